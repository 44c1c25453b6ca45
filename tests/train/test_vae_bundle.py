import json
import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from core.bundles.weights import check_golden
from core.families import open_bundle
from core.pictures.data import load_split
from core.pictures.images import read_sheet, sheet_bytes, to_pictures, to_tensor
from core.vae.bounds import NLL_CONSTANT, bits_per_dimension
from core.vae.model import VAE
from core.vae.ppca import fit
from train.run import loop, sets
from train.vae import bundle as vae_bundle

CPU = torch.device("cpu")


@pytest.fixture
def bundle(tiny_bundle):
    return open_bundle(tiny_bundle)


@pytest.fixture
def model(tiny_bundle):
    return VAE.from_pretrained(tiny_bundle)


def latents(model, split):
    with torch.no_grad():
        return model.encode(to_tensor(load_split("svhn", split).pictures))


def test_class_profiles_are_means_and_spreads_of_the_latents_of_a_class(bundle, model):
    train_set = load_split("svhn", "train")
    mean = latents(model, "train").mean.double().numpy()
    for digit in range(10):
        rows = mean[train_set.labels == digit]
        assert bundle.profiles["class_count"][digit] == len(rows) > 0
        np.testing.assert_allclose(bundle.profiles["class_mean"][digit], rows.mean(0), atol=1e-5)
        np.testing.assert_allclose(bundle.profiles["class_std"][digit], rows.std(0), atol=1e-5)


def test_profiles_of_units_and_pictures_are_those_of_the_stored_weights(bundle, model):
    posterior = latents(model, "test")
    profiles = bundle.profiles
    np.testing.assert_allclose(profiles["test_kl"], posterior.kl(), rtol=1e-4)
    np.testing.assert_allclose(profiles["kl_per_unit"], posterior.kl_per_unit().mean(0), rtol=1e-4)
    np.testing.assert_allclose(profiles["unit_variance"], posterior.mean.var(0), rtol=1e-4)
    x = to_tensor(load_split("svhn", "test").pictures)
    mse = (model.decode(posterior.mean).mean - x).square().mean((1, 2, 3)).detach()
    np.testing.assert_allclose(profiles["test_mode_mse"], mse, rtol=1e-4)
    worst = profiles["worst_rows"]
    assert mse[worst].min() >= np.sort(mse.numpy())[-16] - 1e-6
    assert mse[profiles["best_rows"]].max() <= np.sort(mse.numpy())[15] + 1e-6


def test_final_figures_agree_with_each_other_and_with_the_profiles(bundle):
    test = bundle.metrics["test"]
    assert test["pictures"] == 40
    assert test["nll_constant"] == NLL_CONSTANT
    assert test["nll"] == pytest.approx(NLL_CONSTANT + 1536 * test["mse"], rel=1e-6)
    assert test["negative_elbo"] == pytest.approx(test["nll"] + test["kl"])
    assert test["nll"] == pytest.approx(float(bundle.profiles["test_nll"].mean()), rel=1e-6)
    assert test["kl"] == pytest.approx(float(bundle.profiles["test_kl"].mean()), rel=1e-6)
    assert test["bits_per_dimension"] == bits_per_dimension(test["negative_elbo"])
    assert test["mse_of_mode"] < test["mse"]


def test_the_importance_weighted_bound_tightens_with_K(bundle):
    rows = bundle.metrics["importance_weighted"]
    assert [row["K"] for row in rows] == [1, 10, 50]
    assert all(a["nll"] >= b["nll"] for a, b in pairwise(rows))
    assert rows[0]["nll"] > rows[2]["nll"]
    for row in rows:
        assert row["pictures"] == 6
        assert 1 - 1e-6 <= row["effective_sample_size"] <= row["K"] + 1e-6


def test_every_draw_counts_towards_the_importance_weighted_bound(bundle, model):
    pictures = load_split("svhn", "test").pictures[vae_bundle.shown_rows(40, 6)]
    generator = loop.epoch_generator(0, 0, "importance", CPU)
    log_w = model.log_importance_weights(to_tensor(pictures), 50, generator=generator).double()
    for row in bundle.metrics["importance_weighted"]:
        groups = log_w.unflatten(1, (-1, row["K"]))
        bound = (groups.logsumexp(2) - math.log(row["K"])).mean()
        assert row["nll"] == pytest.approx(-bound.item(), rel=1e-7)


def test_the_linear_model_is_the_one_fitted_on_the_training_pictures(bundle):
    flat = [
        to_tensor(load_split("svhn", split).pictures).flatten(1).double().numpy()
        for split in ("train", "test")
    ]
    fitted = fit(flat[0])
    linear = bundle.metrics["linear_model"]
    assert linear["components"] == fitted.components > 0
    assert linear["nll_before_rounding"] == pytest.approx(fitted.nll(flat[1]).mean(), rel=1e-6)
    assert linear["nll"] == pytest.approx(linear["nll_before_rounding"], rel=1e-3)
    profiles = bundle.profiles
    np.testing.assert_allclose(profiles["ppca_mean"], fitted.mean, atol=1e-3)
    np.testing.assert_allclose(
        profiles["ppca_loadings"] @ profiles["ppca_loadings"].T,
        fitted.loadings @ fitted.loadings.T,
        atol=2e-2 * np.abs(fitted.loadings).max() ** 2,
    )


def test_the_bundle_gives_its_golden_output(bundle, model):
    assert check_golden(bundle, lambda x: vae_bundle.golden_outputs(model, x)) <= 1e-4


def test_progress_holds_samples_and_reconstructions_of_the_first_and_last_epoch(bundle, model):
    for kind in ("samples", "reconstructions"):
        assert list(bundle.progress(kind)) == [0, 2]
    test = load_split("svhn", "test").pictures
    shown = bundle.profiles["shown_rows"]
    sheet = bundle.progress("reconstructions")[2].read_bytes()
    found = read_sheet(sheet, len(shown)).astype(float)
    with torch.no_grad():
        restored = to_pictures(model.decode(model.encode(to_tensor(test[shown])).mean).mean)
    again = read_sheet(sheet_bytes(restored, 8), len(shown))
    assert np.abs(found - again).mean() < 1.5


def test_weights_are_stored_in_float16(bundle):
    weights = load_file(bundle.folder / "model.safetensors")
    assert {value.dtype for value in weights.values()} == {np.dtype(np.float16)}


def test_a_subset_is_never_called_the_whole_data_set(bundle):
    assert "SVHN subset (train), 64 pictures" in bundle.card
    assert "SVHN subset (test), 40 pictures" in bundle.card
    assert "non-commercial" in bundle.card


@pytest.mark.parametrize(
    ("count", "expected"), [(73257, "SVHN train, 73,257 pictures"), (73256, "SVHN subset (train)")]
)
def test_only_all_pictures_are_the_data_set(count, expected):
    data = {"name": "svhn", "split": "train", "test_split": "test", "note": ""}
    words, _ = sets.describe({**data, "pictures": count, "test_pictures": 5})
    assert words.startswith(expected)


def test_the_card_shows_the_figures_of_the_metrics(bundle):
    assert f"{bundle.metrics['test']['negative_elbo']:.1f}" in bundle.card
    assert f"{bundle.metrics['linear_model']['nll']:.1f}" in bundle.card
    for row in bundle.metrics["importance_weighted"]:
        assert f"{row['nll']:.1f}" in bundle.card


def test_the_protocol_names_the_pictures_that_were_measured(bundle):
    assert "Importance-weighted bound on 6 pictures" in bundle.metrics["protocol"]


@pytest.mark.parametrize(("count", "wanted"), [(40, 24), (24, 24), (10, 24), (1952, 200)])
def test_shown_rows_are_spread_over_the_set(count, wanted):
    rows = vae_bundle.shown_rows(count, wanted)
    assert len(rows) == min(count, wanted)
    assert len(set(rows)) == len(rows)
    assert rows[0] == 0
    assert rows[-1] >= count - 1 - count // len(rows)
    assert rows[-1] < count


def sheets(folder, epochs):
    for epoch in epochs:
        (folder / f"epoch-{epoch:04d}-samples.jpg").write_bytes(b"x")


def test_a_run_stopped_early_keeps_every_snapshot_it_made(tmp_path):
    made = [epoch for epoch in loop.snapshot_epochs(1000) if epoch <= 600]
    sheets(tmp_path, made)
    found = vae_bundle.progress_files(tmp_path, 1000, 600)
    assert list(found) == [f"epoch-{epoch:04d}-samples.jpg" for epoch in made]
    assert len(found) > 20


def test_a_snapshot_of_an_epoch_that_was_lost_is_left_out(tmp_path):
    sheets(tmp_path, [0, 5, 10])
    assert list(vae_bundle.progress_files(tmp_path, 20, 9)) == [
        "epoch-0000-samples.jpg",
        "epoch-0005-samples.jpg",
    ]


def test_the_configuration_says_what_was_trained_on_what(bundle):
    config = json.loads((bundle.folder / "config.json").read_text())
    assert config["architecture"]["channels"] == [8, 8, 8]
    assert config["training"]["epochs_done"] == config["training"]["epochs"] == 2
    assert config["data"]["fingerprint"] == load_split("svhn", "train").fingerprint()
    assert config["data"]["test_fingerprint"] == load_split("svhn", "test").fingerprint()
    assert config["seed"] == 0
