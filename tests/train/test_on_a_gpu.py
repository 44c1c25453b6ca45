import pytest
import torch

from core.bundle import open_bundle
from core.vae_explorer import golden_deviation
from train import vae

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]


def test_a_run_on_a_gpu_learns_and_leaves_a_bundle_that_a_cpu_reads(tmp_path, tiny):
    training = vae.VAETraining(epochs=3, batch_size=16, warmup_steps=2)
    bundle = open_bundle(vae.train(tmp_path / "run", tiny, training, device=torch.device("cuda")))
    losses = [row["train_negative_elbo"] for row in bundle.history]
    assert losses[-1] < losses[0]
    assert golden_deviation(bundle) <= 1e-4
