"""A run that an earlier version of the code began is resumed, lengthened and finished by this one."""

import shutil
from pathlib import Path

import pytest
import torch

from core.families import open_bundle
from core.vae.explorer import golden_deviation
from train.vae import trainer as vae

STORED = Path(__file__).parent / "stored"
"""One of three epochs of a tiny VAE on drawn digits, trained at commit fd98734."""
CPU = torch.device("cpu")


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv("ATELIER_DATA_DIR", str(STORED / "data"))
    return Path(shutil.copytree(STORED / "run", tmp_path / "run"))


@pytest.mark.parametrize("epochs", [None, 4])
def test_an_earlier_run_goes_on(run, epochs):
    bundle = open_bundle(vae.resume(run, epochs=epochs, device=CPU))
    assert [row["epoch"] for row in bundle.history] == list(range(1, (epochs or 3) + 1))
    assert bundle.history[0]["train_negative_elbo"] == pytest.approx(3507.8, abs=0.1)
    assert bundle.history[-1]["test_negative_elbo"] < bundle.history[0]["test_negative_elbo"]
    assert golden_deviation(bundle) <= 1e-4


def test_an_earlier_run_is_finished_as_it_is(run):
    bundle = open_bundle(vae.finish(run, device=CPU))
    assert bundle.config["training"]["epochs_done"] == 1
    assert golden_deviation(bundle) <= 1e-4
