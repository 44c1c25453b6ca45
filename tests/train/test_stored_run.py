"""A run that an earlier version of the code began is resumed, lengthened and finished by this one."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from core.families import open_bundle
from core.pictures.data import load_split
from core.vae.explorer import golden_deviation
from train.run import loop
from train.vae import trainer as vae

STORED = Path(__file__).parent / "stored"
"""The state after one of three epochs of a tiny VAE, trained at commit fd98734 on digits that are drawn
here again: plain values as JSON, tensors as safetensors."""
CPU = torch.device("cpu")


def restored(value, tensors):
    """What stood in the state: a dict is stored as pairs, since its keys may be numbers."""
    if isinstance(value, list):
        return [restored(one, tensors) for one in value]
    if not isinstance(value, dict):
        return value
    if "tensor" in value:
        return tensors[value["tensor"]]
    return {key: restored(one, tensors) for key, one in value["pairs"]}


@pytest.fixture
def run(tmp_path, monkeypatch, make_digits, write_shard):
    folder = tmp_path / "data" / "ufldl-stanford/svhn/cropped_digits"
    for split, count, seed in (("train", 24, 0), ("test", 12, 1)):
        write_shard(folder / f"{split}-00000-of-00001.parquet", *make_digits(count, seed))
    monkeypatch.setenv("ATELIER_DATA_DIR", str(tmp_path / "data"))
    tree = json.loads((STORED / "state.json").read_text(encoding="utf-8"))
    state = restored(tree, load_file(STORED / "state.safetensors"))
    about = state["settings"]["data"]
    # A font may be drawn a grey level apart on another machine.
    about["fingerprint"] = load_split("svhn", "train").fingerprint()
    about["test_fingerprint"] = load_split("svhn", "test").fingerprint()
    (tmp_path / "run").mkdir()
    loop.save_state(tmp_path / "run" / "state.pt", state)
    return tmp_path / "run"


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
