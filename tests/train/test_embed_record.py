import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from core.bundles.bundle import write_bundle
from core.errors import AtelierError
from core.families import open_bundle, read_manifest
from core.simsiam import methods
from core.simsiam.run_record import read_run
from core.simsiam.simsiam import SimSiamConfig
from tests.narrow import without_onednn
from train.__main__ import main
from train.simsiam import trainer as simsiam
from train.simsiam.diagnosis import Protocol

SIZE = SimSiamConfig(width=2, stem="strided", hidden=16, dim=12, predictor_hidden=6)
WEIGHTS = {"model.safetensors", "golden.safetensors"}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory, make_digits, write_shard):
    """A finished run of drawn digits in the layout of CIFAR-10."""
    root = tmp_path_factory.mktemp("simsiam")
    for split, count, seed in (("train", 64, 0), ("test", 30, 1)):
        file = root / f"uoft-cs/cifar10/plain_text/{split}-00000-of-00001.parquet"
        write_shard(file, *make_digits(count, seed), image_column="img")
    training = simsiam.SimSiamTraining(
        epochs=2,
        batch_size=32,
        warmup_steps=1,
        recipe="no-stop-gradient",
        protocol=Protocol(spread=30, queries=20, bank=50, k=5),
    )
    with without_onednn(), pytest.MonkeyPatch.context() as patch:
        patch.setenv("ATELIER_DATA_DIR", str(root))
        config = ("simsiam", SIZE)
        folder = simsiam.start(root / "run", config, training, device=torch.device("cpu"))
    return open_bundle(folder)


@pytest.fixture
def embed(tmp_path):
    """The command; its exit status."""

    def run(folder, *options, name="sim-tiny"):
        place = ["--name", name, "--title", "Tiny", "--checkpoints", str(tmp_path)]
        return main(["embed", str(folder), *place, *options])

    return run


@pytest.fixture
def embedded(embed, bundle, tmp_path):
    assert embed(bundle.folder, "--record") == 0
    return read_manifest(tmp_path / "manifest.json").open("sim-tiny")


def test_a_record_opens_verified_and_without_weights(embedded, bundle, tmp_path):
    assert embedded.verified
    assert not embedded.has_weights
    assert embedded.folder == tmp_path / "sim-tiny"
    files = {path.name for path in embedded.folder.rglob("*.*")}
    assert files == set(embedded.sha256) == set(bundle.sha256) - WEIGHTS
    assert read_manifest(tmp_path / "manifest.json").entry("sim-tiny").title == "Tiny"
    assert embedded.bytes < bundle.bytes / 2


def test_a_record_tells_of_the_run_what_its_bundle_tells(embedded, bundle):
    found, whole = read_run(embedded), read_run(bundle)
    assert found.recipe == "no-stop-gradient"
    assert found.comparable == whole.comparable
    for name, values in whole.figures.items():
        np.testing.assert_array_equal(found.figures[name], values)
    for layer in ("z", "h"):
        np.testing.assert_array_equal(found.spectra[layer], whole.spectra[layer])
        np.testing.assert_array_equal(found.maps[layer], whole.maps[layer])
    np.testing.assert_array_equal(found.labels, whole.labels)
    assert embedded.history == bundle.history
    assert embedded.metrics == bundle.metrics
    assert embedded.config == {**bundle.config, "weights_kept": False}


def test_a_record_holds_no_features_and_no_statistics_of_weights(embedded, bundle):
    kept, whole = set(embedded.profiles), set(bundle.profiles)
    left_out = whole - kept
    assert kept < whole
    assert {"bank_features", "bank_labels"} < left_out
    assert left_out == {name for name in whole if name.startswith(("before.", "bank_"))}
    assert any(name.startswith("before.") for name in left_out)
    stored = load_file(embedded.folder / "profiles.safetensors")
    assert {array.dtype for array in stored.values()} == {np.dtype("float16"), np.dtype("uint8")}


def test_the_network_of_a_record_is_refused(embedded):
    with pytest.raises(AtelierError) as caught:
        methods.from_bundle(embedded)
    assert caught.value.code == "bundle-record"


def test_the_card_of_a_record_says_that_weights_were_not_kept(embedded, bundle):
    said = "The weights were not kept"
    assert said in embedded.card
    assert said not in bundle.card
    assert "from_pretrained" in bundle.card
    assert "from_pretrained" not in embedded.card
    accuracy = f"{bundle.metrics['test']['knn_accuracy']:.2%}"
    assert accuracy in bundle.card
    assert accuracy in embedded.card


def test_the_bundle_itself_stays_as_it_was(embedded, bundle):
    assert open_bundle(bundle.folder).digest == bundle.digest
    assert methods.from_pretrained(bundle.folder).config == SIZE


def test_without_the_option_weights_are_embedded(embed, bundle, tmp_path):
    assert embed(bundle.folder) == 0
    opened = read_manifest(tmp_path / "manifest.json").open("sim-tiny")
    assert opened.has_weights
    assert opened.digest == bundle.digest


def test_a_record_takes_the_place_of_the_bundle_and_back(embed, bundle, tmp_path):
    for options, kept in ((), True), (("--record",), False), ((), True):
        assert embed(bundle.folder, *options) == 0
        manifest = read_manifest(tmp_path / "manifest.json")
        assert [entry.name for entry in manifest.entries] == ["sim-tiny"]
        opened = manifest.open("sim-tiny")
        assert opened.has_weights is kept
        assert (opened.folder / "model.safetensors").exists() is kept


@pytest.mark.parametrize("options", [(), ("--record",)])
def test_a_record_of_a_record_is_the_same(embed, embedded, options, tmp_path):
    assert embed(embedded.folder, *options, name="again") == 0
    again = read_manifest(tmp_path / "manifest.json").open("again")
    assert again.digest == embedded.digest


def test_a_record_is_not_made_onto_its_own_bundle(embed, bundle, tmp_path, capsys):
    assert embed(bundle.folder) == 0
    assert embed(tmp_path / "sim-tiny", "--record") == 1
    assert "already" in capsys.readouterr().err
    assert read_manifest(tmp_path / "manifest.json").open("sim-tiny").has_weights


def test_a_bundle_without_the_figures_of_a_record_is_refused(embed, bundle, tmp_path, capsys):
    metrics = {key: value for key, value in bundle.metrics.items() if key != "test"}
    poor = write_bundle(
        tmp_path / "poor",
        config=bundle.config,
        weights=bundle.arrays("model.safetensors"),
        history=bundle.history,
        metrics=metrics,
        profiles=bundle.profiles,
        golden=bundle.arrays("golden.safetensors"),
        progress={},
        card="",
    )
    assert embed(poor.folder, "--record") == 1
    said = capsys.readouterr().err
    assert "its figures lack test" in said
    assert said.count("\n") == 1
    assert not (tmp_path / "sim-tiny").exists()


def test_families_whose_pages_need_weights_make_no_records(embed, tiny_bundle, tmp_path, capsys):
    assert embed(tiny_bundle, "--record", name="vae-tiny") == 1
    said = capsys.readouterr().err
    assert "vae" in said
    assert said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
