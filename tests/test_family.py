"""A stranger adds a family: a record in core, one in train, and everything else follows."""

import argparse
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from core import families
from core.bundles import bundle as bundles
from core.bundles.contents import Contents
from core.bundles.manifest import register
from core.bundles.weights import check_golden, load_weights, stored_weights
from core.errors import AtelierError
from core.family import Family
from core.pictures.images import to_tensor
from tests.pages.opening import opened
from train import families as trained_families
from train.__main__ import main
from train.family import TrainedFamily
from train.graph import PICTURES, Graph, random_pictures
from train.run import loop, run, trainer
from train.run.bundling import Measurements, bundle_config
from train.run.settings import Training

CPU = torch.device("cpu")


class Tint(nn.Module):
    """Says the mean colour of a picture (B, 3, H, W) times a matrix: (B, 3)."""

    def __init__(self, bias):
        super().__init__()
        self.colour = nn.Linear(3, 3, bias=bias)

    def forward(self, x):
        return self.colour(x.mean(dim=(2, 3)))


def load(bundle):
    model = Tint(**bundle.config["architecture"])
    load_weights(model, bundle)
    return model.eval()


def golden(bundle):
    return check_golden(bundle, lambda inputs: {"colour": load(bundle)(inputs["x"]).detach()})


def measure(model, about, train_set, test_set, device):
    x = to_tensor(test_set.pictures)
    with torch.no_grad():
        error = float((model(x) - x.mean(dim=(2, 3))).square().mean())
    return Measurements(
        {"test": {"mse": error}}, {"weight": model.colour.weight.detach().numpy()}, {}
    )


def card(config, metrics, history):
    return f"# Tints\n\nSquared error {metrics['test']['mse']:.3g} after {len(history)} epochs.\n"


def graphs(model, inputs):
    def answer(x):
        return (model(x),)

    gives = {"colour": "(B, 3) mean colour"}
    draw = lambda count, generator: (random_pictures(count, generator),)  # noqa: E731
    takes = {"x": PICTURES}
    return [Graph("tint.onnx", model, answer, answer, takes, gives, (inputs["x"],), draw)]


class Trainer(trainer.Trainer):
    family = "tint"

    def build(self):
        return Tint(**self.config)

    def compiled_parts(self):
        return ()

    def step(self, rows, number, generator):
        x = self.augmented_batch(rows, generator)
        loss = (self.model(x) - x.mean(dim=(2, 3))).square().mean()
        self.descend(loss, number)
        return (loss.detach(),)

    def summary(self, steps):
        return {"train_mse": float(torch.stack([loss for (loss,) in steps]).mean())}

    def evaluate(self, model):
        x = loop.as_float(self.tested.levels)
        return {"test_mse": float((model(x) - x.mean(dim=(2, 3))).square().mean().detach())}

    def snapshot(self, model, folder, epoch):
        """It makes no pictures."""

    def seconds_at_end(self, model):
        return 0.1

    def architecture(self):
        return self.config

    @staticmethod
    def config_of(architecture):
        return architecture

    def write(self, folder, train_set, test_set, settings):
        weights = stored_weights(self.averaged_model())
        model = Tint(**self.config).eval()
        model.load_state_dict({name: torch.from_numpy(w).float() for name, w in weights.items()})
        found = measure(model, settings["data"], train_set, test_set, CPU)
        x = torch.linspace(-1, 1, 2 * 3 * 32 * 32).view(2, 3, 32, 32)
        config = bundle_config("tint", self.config, settings, test_set, len(self.history))
        bundles.write_bundle(
            folder,
            config=config,
            weights=weights,
            history=self.history,
            metrics=found.metrics,
            profiles=found.profiles,
            golden={"input.x": x.numpy(), "output.colour": model(x).detach().numpy()},
            progress={},
            card=card(config, found.metrics, self.history),
            check=golden,
        )
        return folder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--run", required=True)


def train(arguments):
    training = Training(epochs=3, batch_size=16, warmup_steps=1, learning_rate=0.1)
    run.start(Trainer, arguments.run, {"bias": True}, training, device=CPU)


@pytest.fixture
def tint(monkeypatch):
    record = Family("tint", lambda architecture: Tint(**architecture), load, load, golden)
    monkeypatch.setitem(sys.modules, "tint_family", SimpleNamespace(FAMILY=record))
    needed = Contents(figures=("test.mse",), epochs=("test_mse",))
    monkeypatch.setitem(families.FAMILIES, "tint", families.KnownFamily("tint_family", needed))
    trained = TrainedFamily(
        name="tint",
        summary="learn the mean colour",
        command=SimpleNamespace(__doc__="Learns.", add_arguments=add_arguments, main=train),
        trainer=Trainer,
        preset=lambda name: ({"bias": True}, Training()),
        measure=measure,
        card=card,
        graphs=graphs,
        task="other",
        figures=(("mse", "squared error", "test.mse"),),
    )
    monkeypatch.setitem(trained_families.TRAINED, "tint", trained)


@pytest.fixture
def bundle(tint, tmp_path, svhn_folder, monkeypatch):
    monkeypatch.setenv("ATELIER_DATA_DIR", str(svhn_folder))
    assert main(["tint", "--run", str(tmp_path / "run")]) == 0
    return tmp_path / "run" / "bundle"


def test_a_new_family_is_trained_and_opened(bundle):
    found = families.open_bundle(bundle)
    assert found.history[-1]["test_mse"] < found.history[0]["test_mse"]
    assert families.family_of(found).golden(found) <= 1e-4
    assert families.parameter_count("tint", found.config["architecture"]) == 12


def test_a_new_family_is_verified(bundle, capsys):
    assert main(["verify", str(bundle)]) == 0
    found = bundles.read_bundle(bundle)
    metrics = {"test": {"mse": 2 * found.metrics["test"]["mse"]}}
    bundles.write_json(bundle / "metrics.json", metrics)
    assert main(["verify", str(bundle)]) == 1


def test_a_new_family_is_exported(bundle, tmp_path):
    reason = "export needs onnxscript and onnxruntime (tests/requirements.txt)"
    onnxruntime = pytest.importorskip("onnxruntime", reason=reason)
    pytest.importorskip("onnxscript", reason=reason)
    assert main(["export", str(bundle), "--to", str(tmp_path / "onnx")]) == 0
    session = onnxruntime.InferenceSession(tmp_path / "onnx" / "tint.onnx")
    x = np.random.default_rng(0).uniform(-1, 1, (4, 3, 32, 32)).astype(np.float32)
    wanted = load(bundles.read_bundle(bundle))(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(session.run(None, {"x": x})[0], wanted, atol=1e-5)


def test_a_new_family_is_listed(bundle, tmp_path, monkeypatch, capsys):
    manifest = bundle.parents[1] / "manifest.json"
    register(manifest, bundles.read_bundle(bundle), name="tint", title="Tints")
    monkeypatch.setenv("ATELIER_CHECKPOINTS", str(manifest.parent))
    at = opened("checkpoints")
    assert "**Tints**" in [words.value for words in at.markdown]
    assert "checkpoints_more_tint" in [button.key for button in at.button]
    assert not [words.value for words in at.markdown if "None" in words.value]
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "learn the mean colour" in capsys.readouterr().out


def test_a_family_that_nobody_registered_is_refused(bundle, monkeypatch):
    monkeypatch.delitem(families.FAMILIES, "tint")
    with pytest.raises(AtelierError) as caught:
        families.open_bundle(bundle)
    assert caught.value.code == "bundle-family"
