"""Two processes on the CPU, joined by gloo: shares, averaged gradients, one writer."""

import json
import os
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch

from train.run import distributed

ROOT = Path(__file__).parents[2]
PREAMBLE = """
import json, os, sys
import torch
from torch import nn
from train.run import distributed
torch.set_num_threads(1)
told = {}
"""


def in_two_processes(body, tmp_path, **environment):
    """Runs ``body`` twice, as torchrun would; what each left in ``told``."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    script = tmp_path / "body.py"
    end = "\njson.dump(told, open(sys.argv[1], 'w'))\n"
    script.write_text(PREAMBLE + textwrap.dedent(body) + end)
    running = []
    for rank in range(2):
        given = {
            **os.environ,
            "RANK": str(rank),
            "LOCAL_RANK": str(rank),
            "WORLD_SIZE": "2",
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
            "PYTHONPATH": str(ROOT),
            **environment,
        }
        command = [sys.executable, str(script), str(tmp_path / f"told-{rank}.json")]
        running.append(
            subprocess.Popen(
                command, env=given, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            )
        )
    said = [one.communicate(timeout=240)[0] for one in running]
    assert [one.returncode for one in running] == [0, 0], said
    return [json.loads((tmp_path / f"told-{rank}.json").read_text()) for rank in range(2)], said


def test_alone_one_has_all_rows_and_is_the_first():
    rows = torch.arange(6)
    assert torch.equal(distributed.share(rows), rows)
    assert distributed.is_first()
    assert distributed.world() == 1
    assert distributed.agree_on(7) == 7
    module = torch.nn.Linear(2, 2)
    assert distributed.parallel(module, torch.device("cpu")) is module
    with distributed.processes(torch.device("cpu")) as device:
        assert device == torch.device("cpu")


@pytest.mark.slow
def test_two_processes_share_rows_and_average_gradients(tmp_path):
    body = """
    with distributed.processes(torch.device("cpu")) as device:
        rows = torch.arange(8)
        mine = distributed.share(rows)
        told["rows"] = mine.tolist()
        told["first"] = distributed.is_first()
        told["agreed"] = distributed.agree_on(10 + distributed.rank())
        told["mean"] = float(distributed.mean(torch.tensor(float(distributed.rank()))))
        torch.manual_seed(distributed.rank())  # other initial weights: those of the first count
        model = distributed.parallel(nn.Linear(3, 1), device)
        x = torch.randn(8, 3, generator=torch.Generator().manual_seed(0))
        model(x[mine]).square().mean().backward()
        told["weight"] = model.module.weight.tolist()
        told["bias"] = model.module.bias.tolist()
        told["grad"] = model.module.weight.grad.tolist()
        try:
            distributed.share(torch.arange(7))
        except ValueError as error:
            told["refused"] = str(error)
    """
    (first, second), _said = in_two_processes(body, tmp_path)
    assert sorted(first["rows"] + second["rows"]) == list(range(8))
    assert (first["first"], second["first"]) == (True, False)
    assert first["agreed"] == second["agreed"] == 10
    assert first["mean"] == second["mean"] == 0.5
    assert "2 processes" in first["refused"]
    weight, bias = (torch.tensor(first[key], requires_grad=True) for key in ("weight", "bias"))
    x = torch.randn(8, 3, generator=torch.Generator().manual_seed(0))
    torch.nn.functional.linear(x, weight, bias).square().mean().backward()
    for told in (first, second):
        torch.testing.assert_close(torch.tensor(told["grad"]), weight.grad)


@pytest.mark.slow
def test_losses_of_the_whole_batch_are_those_of_one_process(tmp_path):
    """Without batch normalisation, which gloo does not join, two halves are one batch exactly."""
    body = """
    from core.simsiam import barlow_twins, vicreg
    from core.simsiam.joint_embedding import whole_batch
    with distributed.processes(torch.device("cpu")) as device:
        x = torch.randn(2, 12, 5, generator=torch.Generator().manual_seed(1)).double()
        mine = distributed.share(torch.arange(12))
        for name, loss_of in (("barlow", barlow_twins.loss), ("vicreg", vicreg.loss)):
            torch.manual_seed(0)
            model = distributed.parallel(nn.Linear(5, 4).double(), device)
            z = model(torch.cat([x[0, mine], x[1, mine]]))
            loss = loss_of(*(whole_batch(part) for part in z.chunk(2)))
            loss.backward()
            torch.manual_seed(0)
            alone = nn.Linear(5, 4).double()
            expected = loss_of(alone(x[0]), alone(x[1]))
            expected.backward()
            told[name] = [float(loss), float(expected)]
            told[name + "_grad"] = [model.module.weight.grad.tolist(), alone.weight.grad.tolist()]
    """
    both, _said = in_two_processes(body, tmp_path)
    for told in both:
        for name in ("barlow", "vicreg"):
            assert told[name][0] == pytest.approx(told[name][1], rel=1e-9)
            ours, theirs = torch.tensor(told[f"{name}_grad"], dtype=torch.float64)
            torch.testing.assert_close(ours, theirs, rtol=1e-7, atol=1e-10)


@pytest.mark.slow
def test_a_run_of_two_processes_trains_one_model_and_writes_once(
    tmp_path, make_digits, write_shard
):
    for split, count in (("train", 64), ("test", 40)):
        file = tmp_path / f"data/uoft-cs/cifar10/plain_text/{split}-00000-of-00001.parquet"
        write_shard(file, *make_digits(count, 0), image_column="img")
    run = tmp_path / "run"
    body = f"""
    from core.simsiam.joint_embedding import EmbeddingConfig
    from train.simsiam import trainer as simsiam
    from train.__main__ import main
    size = EmbeddingConfig(width=8, stem="strided", hidden=32, dim=32, predictor_hidden=8)
    simsiam.EMBEDDING_PRESETS["narrow"] = size
    weights = []
    descend = simsiam.Trainer.descend
    def watched(trainer, loss, number):
        descend(trainer, loss, number)
        weights.append(float(trainer.model.projector[0].weight.double().sum()))
    simsiam.Trainer.descend = watched
    told["exit"] = main(["simsiam", "--run", {str(run)!r}, "--preset", "narrow", "--epochs", "2",
        "--batch-size", "32", "--device", "cpu", "--bank", "40", "--queries", "30"])
    told["weights"] = weights
    """
    environment = {"ATELIER_DATA_DIR": str(tmp_path / "data")}
    (first, second), said = in_two_processes(body, tmp_path, **environment)
    assert first["exit"] == second["exit"] == 0
    assert len(first["weights"]) == 4
    assert first["weights"] == second["weights"]  # averaged gradients: the models never part
    assert (run / "bundle" / "model.safetensors").exists()
    assert "epoch 2/2" in said[0]
    assert "epoch" not in said[1]
