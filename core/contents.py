"""What the pages of every family need of a bundle: looked for when one is opened, before it is shown.

Without torch, so that pages of what bundles store start without it; ``core.families`` has them by family.
"""

from __future__ import annotations

from core.bundles.contents import COUNTED, SETTINGS, Contents

RUN_FIGURES = (
    "test_knn_accuracy",
    "test_alignment",
    "test_uniformity",
    "test_std_z",
    "test_std_h",
    "test_rank_z",
    "test_rank_h",
    "test_variance_z",
    "test_variance_h",
)
"""Figures that a run has of every epoch and of the network before its first step."""

VAE = Contents(
    figures=(
        "test.pictures",
        "test.nll",
        "test.kl",
        "test.negative_elbo",
        "linear_model.nll",
    ),
    tables={"importance_weighted": ("K", "nll", "pictures", "effective_sample_size")},
    epochs=("epoch", "test_nll", "test_kl", "test_negative_elbo", "seconds_total"),
    arrays={
        "kl_per_unit": 1,
        "unit_variance": 1,
        "class_mean": 2,
        "class_std": 2,
        "class_count": 1,
        "ppca_mean": 1,
        "ppca_loadings": 2,
        "ppca_test_nll": 1,
        "test_nll": 1,
        "test_kl": 1,
        "test_mode_mse": 1,
        "shown_rows": 1,
        "best_rows": 1,
        "worst_rows": 1,
    },
    partial=("class_mean", "class_std", "ppca_loadings"),
    sheets=("samples", "reconstructions", "best", "worst"),
)

DDPM = Contents(
    figures=(
        "test.pictures",
        "test.eps_mse",
        "samples.samples",
        "samples.steps",
        "samples.components",
        "samples.frechet_pixel_components",
        "samples.frechet_real_against_real",
        "samples.sharpness",
        "samples.sharpness_of_test_pictures",
        "schedule.alpha_bar_end",
        "timing.seconds_a_picture_all_steps",
        "timing.seconds_a_picture_50_steps",
    ),
    epochs=("epoch", "train_loss", "test_loss", "seconds_total"),
    arrays={
        "level_t": 1,
        "level_log_snr": 1,
        "level_loss": 1,
        "level_eps_mse": 1,
        "level_x0_mse": 1,
    },
    sheets=("samples", "ancestral", "final"),
)

SIMSIAM = Contents(
    settings=(
        *SETTINGS,
        "data.class_names",
        "training.heavy",
        *(f"training.views.{name}" for name in ("crop", "flip", "jitter", "grey")),
        *(f"training.harder.{name}" for name in ("rotation", "solarize", "jigsaw", "cutout")),
    ),
    counted=(
        *COUNTED,
        "training.learning_rate",
        "training.protocol.spread",
        "training.protocol.queries",
        "training.protocol.bank",
        "training.protocol.k",
        "training.protocol.temperature",
    ),
    figures=(
        *(f"before.{name}" for name in RUN_FIGURES),
        "test.knn_accuracy",
        "test.linear_accuracy",
        "test.queries",
        "test.bank",
    ),
    epochs=("epoch", "train_loss", *RUN_FIGURES, "seconds_train", "seconds_total"),
    arrays={
        "spectrum_z_log10": 2,
        "spectrum_h_log10": 2,
        "map_z": 3,
        "map_h": 3,
        "map_labels": 1,
    },
)

JUDGE = Contents(
    figures=(
        "test.pictures",
        "test.accuracy",
        "test.calibration_error",
        "test.calibration_error_uncalibrated",
        "test.sure",
        "test.accuracy_of_sure",
        "features.mean_distance",
        "features.median_distance_other_digit",
        "features.frechet_halves_of_test",
    ),
    epochs=("epoch", "seconds_total"),
    arrays={
        "confusion": 2,
        "reliability_count": 1,
        "reliability_confidence": 1,
        "reliability_accuracy": 1,
        "feature_mean": 1,
        "feature_covariance": 2,
    },
)
