from pathlib import Path

import pytest

from core.bundle import read_manifest
from core.vae_explorer import golden_deviation

MANIFEST = read_manifest(Path(__file__).parents[1] / "checkpoints" / "manifest.json")
EMBEDDED = [entry.name for entry in MANIFEST.entries if entry.folder]
VAES = [entry.name for entry in MANIFEST.of_family("vae") if entry.folder]


@pytest.mark.parametrize("name", EMBEDDED)
def test_every_embedded_bundle_has_the_hashes_of_the_manifest(name):
    assert MANIFEST.open(name).verified


@pytest.mark.parametrize("name", VAES)
def test_every_embedded_vae_gives_its_golden_output(name):
    assert golden_deviation(MANIFEST.open(name)) <= 1e-4


def test_embedded_bundles_fit_into_32_megabytes():
    assert sum(MANIFEST.open(name).bytes for name in EMBEDDED) <= 32 * 2**20


def test_the_vae_beats_the_linear_model_and_its_bar():
    bundle = MANIFEST.open("vae-svhn")
    test, linear = bundle.metrics["test"], bundle.metrics["linear_model"]
    assert test["negative_elbo"] < linear["nll"]
    assert test["negative_elbo"] <= 2880.0
