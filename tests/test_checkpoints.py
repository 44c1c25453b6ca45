from pathlib import Path

import numpy as np
import pytest

from core.families import family_of, read_manifest
from core.judge.model import Judge

MANIFEST = read_manifest(Path(__file__).parents[1] / "checkpoints" / "manifest.json")
EMBEDDED = [entry.name for entry in MANIFEST.entries if entry.folder]
WITH_WEIGHTS = [name for name in EMBEDDED if MANIFEST.open(name).has_weights]


@pytest.mark.parametrize("name", EMBEDDED)
def test_every_embedded_bundle_has_the_hashes_of_the_manifest(name):
    assert MANIFEST.open(name).verified


@pytest.mark.parametrize("name", WITH_WEIGHTS)
def test_every_embedded_bundle_with_weights_gives_its_golden_output(name):
    bundle = MANIFEST.open(name)
    assert family_of(bundle).golden(bundle) <= 1e-4


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


def test_the_judge_meets_its_bars():
    bundle = MANIFEST.open("judge-svhn")
    test, judge = bundle.metrics["test"], Judge.from_bundle(bundle)
    assert test["accuracy"] >= 0.94
    assert test["calibration_error"] < 0.03
    assert test["accuracy_of_sure"] >= 0.97
    assert sum(p.numel() for p in judge.parameters()) <= 500_000
    assert bundle.bytes <= 1_000_000


def test_judged_figures_are_those_of_the_embedded_judge():
    digest = MANIFEST.open("judge-svhn").digest
    judged = {
        entry.name: MANIFEST.open(entry.name).metrics["judged"]
        for family in ("vae", "ddpm")
        for entry in MANIFEST.of_family(family)
    }
    for name, figures in judged.items():
        parts = [part for part in figures.values() if isinstance(part, dict)]
        assert {part["judge"] for part in parts} == {digest}, name
        assert figures["samples"]["samples"] == 2000
    assert "t_star" in judged["ddpm-svhn-1000"]


def test_t_star_of_the_test_digits_adds_up():
    bundle = MANIFEST.open("ddpm-svhn-1000")
    arrays, figures = bundle.profiles, bundle.metrics["judged"]["t_star"]
    for name in ("digit", "psnr", "ssim", "features"):
        every = arrays[f"t_star_{name}"]
        assert len(every) == figures["pictures"] >= 400
        assert figures[name]["quartiles"] == pytest.approx(
            np.percentile(every, (25, 50, 75), method="lower")
        )
        assert figures[name]["below"] == pytest.approx((every < 0).mean())
        assert figures[name]["above"] == pytest.approx((every >= 1000).mean())


def test_purification_helps_against_an_attack_that_does_not_know_of_it():
    figures = MANIFEST.open("ddpm-svhn-1000").metrics["judged"]["purification"]
    assert figures["accuracy_clean"] > 0.9
    assert figures["accuracy_pgd"] <= figures["accuracy_fgsm"] < 0.5
    assert figures["best_purified_pgd"] > figures["accuracy_pgd"] + 0.3


def test_the_vae_beats_the_linear_model_and_its_bar():
    bundle = MANIFEST.open("vae-svhn")
    test, linear = bundle.metrics["test"], bundle.metrics["linear_model"]
    assert test["negative_elbo"] < linear["nll"]
    assert test["negative_elbo"] <= 2880.0
