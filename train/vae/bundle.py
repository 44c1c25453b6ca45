"""From a trained VAE to its bundle: final figures, profiles, golden tensors, model card."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from core.bundles import bundle as bundles
from core.bundles.weights import stored_weights
from core.pictures import images
from core.pictures.data import PictureSet
from core.vae import ppca
from core.vae.bounds import (
    NLL_CONSTANT,
    bits_per_dimension,
    effective_sample_size,
    importance_weighted_bound,
)
from core.vae.explorer import golden_deviation, golden_outputs
from core.vae.latent_profiles import profile
from core.vae.latents import active_units
from core.vae.model import VAE
from core.vae.networks import VAEConfig
from core.vae.readouts import ITERATIONS, read
from train.run import ancestry, loop, sets
from train.run.bundling import Measurements, bundle_config, progress_files, rounded, shown_rows

DRAWS = 5
IMPORTANCE_SAMPLES = (1, 10, 100, 1000)
IMPORTANCE_PICTURES = 200
READ_FROM = 20_000
"""Readers of z learn from this number of training pictures at most."""
READ_ITERATIONS = ITERATIONS
"""And fit in this number of steps at most."""
LEAST_READ = 2
"""Of fewer classes there is nothing to read from z."""
EXTREMES = 16
SHEET_PICTURES = 24
SHEET_COLUMNS = 8


def decodings_at_end(train_pictures: int, test_pictures: int) -> int:
    """How many pictures ``write`` encodes or decodes, for a time budget."""
    importance = min(IMPORTANCE_PICTURES, test_pictures) * max(IMPORTANCE_SAMPLES)
    # Fitting a linear classifier on all pixels of a picture costs about what decoding it does.
    read_from = 2 * min(train_pictures, READ_FROM)
    return train_pictures + read_from + test_pictures * (DRAWS + 3) + importance


# ---------------------------------------------------------------- figures


@torch.no_grad()
def test_figures(model: VAE, levels: Tensor) -> tuple[dict, dict[str, np.ndarray]]:
    """Final test figures, and the same per picture: mean over ``DRAWS`` draws of z."""
    generator = loop.epoch_generator(0, 0, "final", levels.device)
    nll, kl, kl_units, means, mode_mse, draw_mse = [], [], [], [], [], []
    for batch in levels.split(256):
        x = loop.as_float(batch)
        posterior = model.encode(x)
        likelihoods = [model.decode(posterior.sample(generator)) for _ in range(DRAWS)]
        nll.append(torch.stack([likelihood.nll(x) for likelihood in likelihoods]).mean(0))
        draw_mse.append(
            torch.stack([_mse(likelihood.mean, x) for likelihood in likelihoods]).mean(0)
        )
        kl.append(posterior.kl())
        kl_units.append(posterior.kl_per_unit())
        means.append(posterior.mean)
        mode_mse.append(_mse(model.decode(posterior.mode()).mean, x))
    mean = torch.cat(means)
    arrays = {
        "test_nll": _numpy(torch.cat(nll)),
        "test_kl": _numpy(torch.cat(kl)),
        "test_mode_mse": _numpy(torch.cat(mode_mse)),
        "kl_per_unit": torch.cat(kl_units).cpu().double().mean(0).float().numpy(),
        "unit_variance": mean.cpu().double().var(0).float().numpy(),
    }
    total_nll, total_kl = (
        float(arrays[key].mean(dtype=np.float64)) for key in ("test_nll", "test_kl")
    )
    figures = {
        "pictures": len(levels),
        "draws": DRAWS,
        "nll": total_nll,
        "kl": total_kl,
        "negative_elbo": total_nll + total_kl,
        "nll_constant": NLL_CONSTANT,
        "bits_per_dimension": float(bits_per_dimension(total_nll + total_kl)),
        "mse": float(torch.cat(draw_mse).cpu().double().mean()),
        "mse_of_mode": float(arrays["test_mode_mse"].mean(dtype=np.float64)),
        "active_units": int(active_units(mean).sum()),
    }
    return figures, arrays


def _mse(decoded: Tensor, x: Tensor) -> Tensor:
    return (decoded - x).square().mean(dim=(1, 2, 3))


def importance_figures(model: VAE, levels: Tensor) -> list[dict]:
    """The importance-weighted bound at each K over the same pictures and draws."""
    rows = shown_rows(len(levels), IMPORTANCE_PICTURES)
    x = loop.as_float(levels[rows])
    generator = loop.epoch_generator(0, 0, "importance", levels.device)
    log_w = model.log_importance_weights(x, max(IMPORTANCE_SAMPLES), generator=generator)
    figures = []
    for K in IMPORTANCE_SAMPLES:
        groups = log_w.cpu().double().unflatten(1, (-1, K))  # (B, groups, K)
        bound = importance_weighted_bound(groups).mean(dim=1)
        figures.append(
            {
                "K": K,
                "pictures": len(rows),
                "nll": float(-bound.mean()),
                "effective_sample_size": float(effective_sample_size(groups).mean()),
            }
        )
    return figures


@torch.no_grad()
def class_profiles(
    model: VAE, train_set: PictureSet, device: torch.device
) -> dict[str, np.ndarray]:
    """Mean and spread over pictures of E[z|x], by class, over the training set."""
    levels = loop.resident(train_set.pictures, device)
    means = [model.encode(loop.as_float(batch)).mean for batch in levels.split(512)]
    mean = torch.cat(means).cpu().double().numpy()
    found = profile(mean, train_set.labels, len(train_set.class_names))
    return {
        "class_mean": found.mean.astype(np.float32),
        "class_std": found.std.astype(np.float32),
        "class_count": found.count.astype(np.int64),
    }


@torch.no_grad()
def readouts(
    model: VAE, train_set: PictureSet, test_set: PictureSet, device: torch.device
) -> dict[str, float | int]:
    """How well simple readers name the class of test pictures from z, and a linear one from pixels."""

    def side(of: PictureSet) -> tuple[Tensor, Tensor, Tensor]:
        rows = shown_rows(len(of), READ_FROM)
        levels = loop.resident(of.pictures[rows], device)
        z = torch.cat([model.encode(loop.as_float(batch)).mean for batch in levels.split(512)])
        pixels = loop.as_float(levels).flatten(1)
        return pixels, z, torch.from_numpy(of.labels[rows]).to(device)

    sets, classes = (side(train_set), side(test_set)), len(train_set.class_names)
    return read(sets, classes, iterations=READ_ITERATIONS).figures()


def linear_model(train_set: PictureSet, test_set: PictureSet) -> tuple[dict, dict[str, np.ndarray]]:
    """Probabilistic PCA with unit noise on the same pictures, and its exact test nll."""

    def flat(pictures: np.ndarray) -> np.ndarray:
        return pictures.transpose(0, 3, 1, 2).reshape(len(pictures), -1) / np.float32(127.5) - 1

    fitted = ppca.fit(flat(train_set.pictures))
    stored = ppca.ProbabilisticPCA(
        fitted.mean.astype(np.float16).astype(np.float64),
        fitted.loadings.astype(np.float16).astype(np.float64),
    )
    test = flat(test_set.pictures)
    nll = stored.nll(test)
    figures = {
        "components": stored.components,
        "nll": float(nll.mean()),
        "nll_before_rounding": float(fitted.nll(test).mean()),
    }
    arrays = {
        "ppca_mean": fitted.mean.astype(np.float16),
        "ppca_loadings": fitted.loadings.astype(np.float16),
        "ppca_test_nll": nll.astype(np.float32),
    }
    return figures, arrays


def _numpy(values: Tensor) -> np.ndarray:
    return values.detach().float().cpu().numpy()


# ---------------------------------------------------------------- the bundle


def golden(model: VAE) -> dict[str, np.ndarray]:
    """Generated inputs and what the model makes of them, on the CPU in float32."""
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(4, 3, 32, 32, generator=generator) * 2 - 1
    z = torch.randn(4, model.config.latent_dim, generator=generator)
    outputs = golden_outputs(model, {"x": x, "z": z})
    return {
        **{f"input.{key}": _numpy(value) for key, value in (("x", x), ("z", z))},
        **{f"output.{key}": _numpy(value) for key, value in outputs.items()},
    }


def measure(
    model: VAE, about: dict, train_set: PictureSet, test_set: PictureSet, device: torch.device
) -> Measurements:
    """Measure a model with stored (float16) weights; ``about`` is the bundle's ``data``."""
    model = model.to(device, memory_format=torch.channels_last)
    levels = loop.resident(test_set.pictures, device)
    figures, per_picture = test_figures(model, levels)
    linear_figures, linear_arrays = linear_model(train_set, test_set)
    order = np.argsort(per_picture["test_mode_mse"], kind="stable")
    chosen = {"best": order[:EXTREMES], "worst": order[::-1][:EXTREMES].copy()}
    shown = shown_rows(len(test_set), SHEET_PICTURES)
    told_apart = len(train_set.class_names) >= LEAST_READ
    read = {"readouts": readouts(model, train_set, test_set, device)} if told_apart else {}
    return Measurements(
        metrics={
            "test": figures,
            "importance_weighted": importance_figures(model, levels),
            "linear_model": linear_figures,
            **read,
            "protocol": protocol(about, readers=bool(read)),
        },
        profiles={
            **class_profiles(model, train_set, device),
            **per_picture,
            **linear_arrays,
            **{f"{kind}_rows": rows.astype(np.int64) for kind, rows in chosen.items()},
            "shown_rows": np.array(shown, dtype=np.int64),
        },
        sheets={kind: reconstruction_sheet(model, levels[rows]) for kind, rows in chosen.items()},
    )


@torch.no_grad()
def reconstruction_sheet(model: VAE, levels: Tensor) -> bytes:
    """What the model makes of pictures (the mode of both distributions), as one sheet."""
    restored = model.decode(model.encode(loop.as_float(levels)).mode()).mode()
    return images.sheet_bytes(images.to_pictures(restored), SHEET_COLUMNS)


def write(
    folder: Path,
    model: VAE,
    *,
    train_set: PictureSet,
    test_set: PictureSet,
    history: list[dict],
    settings: dict,
    progress_folder: Path,
) -> Path:
    """Measure the weights as they will be stored and write the bundle; its folder."""
    config = bundle_config("vae", model.architecture(), settings, test_set, len(history))
    device = next(model.parameters()).device
    measured = measure(rounded(model), config["data"], train_set, test_set, device)
    progress = progress_files(progress_folder, settings["training"]["epochs"], len(history))
    progress |= {
        f"epoch-{len(history):04d}-{kind}.jpg": sheet for kind, sheet in measured.sheets.items()
    }
    written = bundles.write_bundle(
        folder,
        config=config,
        weights=stored_weights(model),
        history=history,
        metrics=measured.metrics,
        profiles=measured.profiles,
        golden=golden(rounded(model)),
        progress=progress,
        card=card(config, measured.metrics, history),
        check=golden_deviation,
    )
    return written.folder


def protocol(about: dict, *, readers: bool = True) -> str:
    """What the figures of ``metrics.json`` were measured on, in one paragraph; ``readers`` of z too."""
    trained, tested = sets.describe(about)
    bounded = min(IMPORTANCE_PICTURES, about["test_pictures"])
    said = (
        f"Trained on: {trained}. Measured on: {tested}. Stored float16 weights, arithmetic in "
        f"float32; nll and kl in nats, mean over {DRAWS} draws of z a picture, the constant "
        f"{NLL_CONSTANT:.1f} included. Importance-weighted bound on {bounded} pictures "
        "spread over the test set. Linear model: probabilistic PCA with unit noise fitted on the "
        "same training pictures, exact."
    )
    if not readers:
        return said
    return (
        f"{said} Readers of z: multinomial logistic regression (penalty 1e-3 on "
        f"standardised features, to convergence) on at most {READ_FROM:,} of the training pictures, on "
        "all pixels, on the encoder's means and on these with all their products; and the vote of the "
        "nearest training pictures in z (Euclidean)."
    )


def read_in_words(metrics: dict) -> str:
    """What readers of z make of the class, in one sentence of the card; nothing of older bundles."""
    if "readouts" not in metrics:
        return ""
    found = metrics["readouts"]
    return (
        f"A linear classifier on z names the class of {found['linear']:.1%} of the test pictures, one on z and "
        f"all products of two units {found['products']:.1%}, the vote of the {found['k']} nearest training "
        f"pictures in z {found['neighbours']:.1%}; a linear classifier on all pixels {found['pixels']:.1%}; "
        f"always the most common class {found['most_common']:.1%}."
    )


def card(config: dict, metrics: dict, history: list[dict]) -> str:
    """The model card: what it is, what it was trained on, how well it does, how to load it."""
    trained, tested = sets.describe(config["data"])
    parameters = sum(p.numel() for p in VAE(VAEConfig(**config["architecture"])).parameters())
    architecture, terms = config["architecture"], sets.terms_of(config)
    test, linear = metrics["test"], metrics["linear_model"]
    bounds = "\n".join(
        f"| importance-weighted bound, K = {row['K']} ({row['pictures']} pictures) | {row['nll']:.1f} |"
        for row in metrics["importance_weighted"]
    )
    return f"""---
library_name: latent-atelier
tags: [vae, image-generation, education]
{terms.front_matter}
---
# VAE, {architecture["architecture"]} architecture, {architecture["latent_dim"]} latent units

A variational autoencoder for 32 x 32 colour pictures with a unit-variance Gaussian likelihood;
{parameters:,} parameters. It is made for learning and teaching, not for recognising anything.

**Trained on** {trained}.

{ancestry.length_in_words(config, history)} {terms.sentence}
No picture of the data set is in this folder; the sheets in `progress/` were made by the model.

| on {tested} | nats |
|---|---|
| negative ELBO | {test["negative_elbo"]:.1f} |
| of which reconstruction (nll) | {test["nll"]:.1f} |
| of which KL | {test["kl"]:.1f} |
| probabilistic PCA, {linear["components"]} components, exact | {linear["nll"]:.1f} |
{bounds}

Every nll holds the constant {test["nll_constant"]:.1f} of a unit-variance likelihood.
Mean squared error of a reconstruction {test["mse"]:.4f} (pictures in [-1, 1]);
{test["active_units"]} of {architecture["latent_dim"]} units are active;
{test["bits_per_dimension"]:.3f} bits per dimension.
{read_in_words(metrics)}

{metrics["protocol"]}

```python
from core.vae import VAE
model = VAE.from_pretrained("path/to/this/folder")
pictures = model.sample(16)  # (16, 3, 32, 32) in [-1, 1]
```
"""
