from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.modules.batchnorm import _BatchNorm

from core.ddpm.explorer import golden_deviation as ddpm_deviation
from core.families import open_bundle
from core.judge.explorer import golden_deviation as judge_deviation
from core.pictures.data import load_split
from core.simsiam.explorer import golden_deviation as simsiam_deviation
from core.simsiam.joint_embedding import EmbeddingConfig
from core.vae.explorer import golden_deviation
from train.ddpm import trainer as ddpm
from train.families import TRAINED
from train.judge import trainer as judge
from train.release import pace
from train.run.loop import Resident, epoch_generator
from train.simsiam import trainer as simsiam
from train.simsiam.diagnosis import Protocol
from train.vae import trainer as vae

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]


def test_a_run_on_a_gpu_learns_and_leaves_a_bundle_that_a_cpu_reads(tmp_path, tiny):
    training = vae.VAETraining(epochs=3, batch_size=16, warmup_steps=2)
    bundle = open_bundle(vae.start(tmp_path / "run", tiny, training, device=torch.device("cuda")))
    losses = [row["train_negative_elbo"] for row in bundle.history]
    assert losses[-1] < losses[0]
    assert golden_deviation(bundle) <= 1e-4


def test_a_diffusion_run_on_a_gpu_leaves_a_bundle_that_a_cpu_reads(
    tmp_path, tiny_ddpm, few_ddpm_figures, monkeypatch
):
    few_ddpm_figures(monkeypatch)
    training = ddpm.DDPMTraining(epochs=2, batch_size=16, warmup_steps=2, record=True)
    folder = ddpm.start(tmp_path / "run", tiny_ddpm, training, device=torch.device("cuda"))
    assert ddpm_deviation(open_bundle(folder)) <= 1e-4


@pytest.mark.parametrize("recipe", ["baseline", "no-stop-gradient", "byol", "barlow", "vicreg"])
def test_a_recorded_step_is_the_step(recipe, cifar):
    device = torch.device("cuda")
    sets = [Resident.of(load_split("cifar10", split), device) for split in ("train", "test")]
    config = simsiam.named_config(simsiam.ABLATIONS[recipe], SIZE)
    rows, losses = torch.arange(32, device=device), {}
    for record in (False, True):
        trainer = simsiam.Trainer(config, replace(SHORT, record=record), device, *sets)
        generator = epoch_generator(0, 0, "train", device)
        losses[record] = [float(trainer.step(rows, n, generator)[0]) for n in range(3)]
    # The first step is exact but for rounding; later ones differ as two runs on a GPU do.
    assert losses[True][0] == pytest.approx(losses[False][0], rel=1e-3, abs=1e-4)
    assert losses[True] == pytest.approx(losses[False], rel=0.1, abs=1e-2)


def test_a_judge_from_a_gpu_is_read_by_a_cpu(tmp_path, tiny_judge):
    training = judge.JudgeTraining(epochs=2, batch_size=16, warmup_steps=2, compile=True)
    folder = judge.start(tmp_path / "run", tiny_judge, training, device=torch.device("cuda"))
    assert judge_deviation(open_bundle(folder)) <= 1e-4


@pytest.mark.parametrize("family", TRAINED)
def test_the_device_is_seen_at_work(family):
    device = torch.device("cuda")
    found = pace.measure(family, "default", device, pace.matrix_peak(device), 64)
    assert 0 < found.busy <= 1
    assert 0 < found.share_of_peak < 1


@pytest.fixture
def cifar(tmp_path, make_digits, write_shard, monkeypatch):
    for split, count, seed in (("train", 160, 0), ("test", 60, 1)):
        file = tmp_path / f"uoft-cs/cifar10/plain_text/{split}-00000-of-00001.parquet"
        write_shard(file, *make_digits(count, seed), image_column="img")
    monkeypatch.setenv("ATELIER_DATA_DIR", str(tmp_path))


SIZE = EmbeddingConfig(width=8, stem="strided", hidden=32, dim=64, predictor_hidden=8)
SHORT = simsiam.SimSiamTraining(
    epochs=2, batch_size=32, warmup_steps=2, protocol=Protocol(40, 40, 60, 10), record=True
)


@pytest.mark.parametrize("recipe", ["baseline", "heavy-dssl", "byol", "barlow", "vicreg"])
def test_a_self_supervised_run_on_a_gpu_leaves_a_bundle_that_a_cpu_reads(recipe, tmp_path, cifar):
    config = simsiam.named_config(simsiam.ABLATIONS[recipe], SIZE)
    training = replace(SHORT, heavy=recipe == "heavy-dssl")
    device = torch.device("cuda")
    bundle = open_bundle(simsiam.start(tmp_path / "run", config, training, device=device))
    assert simsiam_deviation(bundle) <= 1e-4


def test_processes_on_gpus_share_batch_statistics(monkeypatch, cifar):
    """One process is enough to see that the layers are those that ask the others."""
    for key, value in {
        "RANK": "0",
        "LOCAL_RANK": "0",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": "29571",
    }.items():
        monkeypatch.setenv(key, value)
    torch.distributed.init_process_group("nccl", rank=0, world_size=1)
    try:
        device = torch.device("cuda", 0)
        sets = [Resident.of(load_split("cifar10", split), device) for split in ("train", "test")]
        config = simsiam.named_config(simsiam.ABLATIONS["baseline"], SIZE)
        trainer = simsiam.Trainer(config, SHORT, device, *sets)
        norms = [m for m in trainer.model.modules() if isinstance(m, _BatchNorm)]
        assert norms
        assert all(isinstance(norm, torch.nn.SyncBatchNorm) for norm in norms)
        assert np.isfinite(trainer.run_epoch()["train_loss"])
    finally:
        torch.distributed.destroy_process_group()
