from pathlib import Path

import numpy as np
import pytest

from core import ddpm_explorer, vae_explorer
from core.bundle import read_manifest

MANIFEST = read_manifest(Path(__file__).parents[1] / "checkpoints" / "manifest.json")
EMBEDDED = [entry.name for entry in MANIFEST.entries if entry.folder]
GOLDEN = {
    "vae": vae_explorer.golden_deviation,
    "ddpm": ddpm_explorer.golden_deviation,
}


@pytest.mark.parametrize("name", EMBEDDED)
def test_every_embedded_bundle_has_the_hashes_of_the_manifest(name):
    assert MANIFEST.open(name).verified


@pytest.mark.parametrize("name", EMBEDDED)
def test_every_embedded_bundle_gives_its_golden_output(name):
    bundle = MANIFEST.open(name)
    assert GOLDEN[bundle.family](bundle) <= 1e-4


@pytest.mark.parametrize("T", [500, 1000, 1500])
def test_every_diffusion_bundle_fits_its_share(T):
    assert MANIFEST.open(f"ddpm-svhn-{T}").bytes <= 6e6


@pytest.mark.parametrize("T", [500, 1000, 1500])
def test_the_network_beats_the_best_guess_that_knows_the_variance_alone(T):
    arrays = MANIFEST.open(f"ddpm-svhn-{T}").profiles
    log_snr = arrays["level_log_snr"].astype(float)
    signal = 1 / (1 + np.exp(-log_snr))  # alpha_bar
    variance = 0.2  # of a value over test pictures
    share = arrays["level_eps_mse"] * (1 + (1 - signal) / (signal * variance))
    assert (share[log_snr > 0] < 0.5).all()
    assert (share < 1.1).all()  # where nothing is left, nothing can be known


def test_embedded_bundles_fit_into_32_megabytes():
    assert sum(MANIFEST.open(name).bytes for name in EMBEDDED) <= 32 * 2**20


def test_the_vae_beats_the_linear_model_and_its_bar():
    bundle = MANIFEST.open("vae-svhn")
    test, linear = bundle.metrics["test"], bundle.metrics["linear_model"]
    assert test["negative_elbo"] < linear["nll"]
    assert test["negative_elbo"] <= 2880.0
