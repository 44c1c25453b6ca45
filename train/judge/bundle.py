"""From a trained judge to its bundle: temperature, figures, statistics of features, card."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from core.bundles import bundle as bundles
from core.bundles.weights import stored_weights
from core.judge.calibration import fit_temperature, reliability
from core.judge.explorer import golden_deviation, golden_outputs, mean_distance
from core.judge.frechet import Gaussian, frechet_distance
from core.judge.model import CLASSES, SURE, Judge, JudgeConfig
from core.pictures.data import PictureSet
from train.run import ancestry, loop, sets
from train.run.augment import without_digit
from train.run.bundling import Measurements, bundle_config, rounded, shown_rows

BATCH = 256
FRECHET_PICTURES = 2000
SPLITS = 10
PATCH = 8
"""Pixels a side of the patches that a picture is cut into and that change places."""
CLOUDS = 2000
CLOUD_PATCHES = 4
"""Patches of colour along each side of a cloud, drawn at random and enlarged smoothly."""


# ---------------------------------------------------------------- what it says


@torch.no_grad()
def features_of(model: Judge, levels: Tensor) -> Tensor:
    """Features of pictures uint8 (N, 3, 32, 32), (N, d), on the CPU."""
    parts = [model.features(loop.as_float(part)).cpu() for part in levels.split(BATCH)]
    return torch.cat(parts)


@torch.no_grad()
def logits_of(model: Judge, levels: Tensor) -> Tensor:
    """Calibrated logits of pictures uint8 (N, 3, 32, 32), (N, 10), on the CPU."""
    return torch.cat([model(loop.as_float(part)).cpu() for part in levels.split(BATCH)])


def calibrated(model: Judge, levels: Tensor, labels: Tensor) -> Judge:
    """The judge with the temperature that suits these pictures best."""
    found = copy.deepcopy(model)
    found.temperature.mul_(fit_temperature(logits_of(model, levels), labels.cpu()))
    return found


# ---------------------------------------------------------------- figures


def test_figures(model: Judge, levels: Tensor, labels: Tensor) -> tuple[dict, dict]:
    """Accuracy and calibration on test digits.

    The temperature was fitted on test digits: so that its figures are not its own praise, each half
    of the digits is judged with the temperature of the other half.
    """
    logits, labels = logits_of(model, levels), labels.cpu()
    raw = logits * model.temperature.cpu()
    crossed = torch.empty_like(raw)
    even = torch.arange(len(raw)) % 2 == 0
    for half in (even, ~even):
        crossed[half] = raw[half] / fit_temperature(raw[~half], labels[~half])
    p, truth = crossed.double().softmax(dim=1).numpy(), labels.numpy()
    found = reliability(p, truth)
    answer, sure = p.argmax(axis=1), p.max(axis=1) >= SURE
    right = answer == truth
    figures = {
        "pictures": len(truth),
        "accuracy": float(right.mean()),
        "cross_entropy": float(F.cross_entropy(crossed.double(), labels)),
        "calibration_error": found.calibration_error,
        "calibration_error_uncalibrated": reliability(
            raw.double().softmax(dim=1).numpy(), truth
        ).calibration_error,
        "temperature": float(model.temperature),
        "sure": float(sure.mean()),
        "accuracy_of_sure": float(right[sure].mean()) if sure.any() else 0.0,
    }
    confusion = np.zeros((CLASSES, CLASSES), dtype=np.int64)
    np.add.at(confusion, (truth, answer), 1)
    arrays = {
        "confusion": confusion,  # [true digit, answer]
        "reliability_confidence": np.nan_to_num(found.confidence).astype(np.float32),
        "reliability_accuracy": np.nan_to_num(found.accuracy).astype(np.float32),
        "reliability_count": found.count.astype(np.int64),
    }
    return figures, arrays


def scrambled(x: Tensor, draws: torch.Generator) -> Tensor:
    """Pictures (N, 3, H, W) whose patches have changed places at random, the same shape."""
    patches = F.unfold(x, PATCH, stride=PATCH)  # (N, 3 * PATCH^2, places)
    order = torch.rand(len(x), 1, patches.shape[2], generator=draws).argsort(dim=2)
    moved = patches.gather(2, order.expand_as(patches))
    return F.fold(moved, x.shape[-2:], PATCH, stride=PATCH)


@torch.no_grad()
def digitless_figures(model: Judge, levels: Tensor) -> dict:
    """How often it is sure of a digit, and says which most, where there is none.

    In test pictures uint8 (N, 3, 32, 32) that have lost their digit, the kind that it may have been
    trained on; in the same scrambled, and in clouds of colour, which it was not trained on.
    """
    draws, device = torch.Generator().manual_seed(0), next(model.parameters()).device
    x = loop.as_float(levels).cpu()
    colours = torch.rand(CLOUDS, 3, CLOUD_PATCHES, CLOUD_PATCHES, generator=draws) * 2 - 1
    kinds = {
        "wiped": without_digit(x, draws),
        "scrambled": scrambled(x, draws),
        "clouds": F.interpolate(colours, x.shape[-2:], mode="bicubic").clamp(-1, 1),
    }
    figures = {}
    for name, pictures in kinds.items():
        p = torch.cat([model(part.to(device)).cpu() for part in pictures.split(BATCH)]).softmax(1)
        read = torch.bincount(p.argmax(dim=1), minlength=CLASSES)
        figures[name] = {
            "pictures": len(pictures),
            "sure": float((p.max(dim=1).values >= SURE).double().mean()),
            "most_read": int(read.argmax()),
            "share_of_most_read": float(read.max() / len(pictures)),
        }
    return figures


def feature_figures(
    model: Judge, trained: Tensor, tested: Tensor, labels: Tensor
) -> tuple[dict, dict]:
    """How far test digits are from one another, and the Frechet distance of real to real."""
    features = features_of(model, tested).double()
    apart = torch.cdist(features, features).numpy()
    other = labels.cpu().numpy()[:, None] != labels.cpu().numpy()[None]
    real = features.numpy()
    train = features_of(model, trained[shown_rows(len(trained), FRECHET_PICTURES)]).numpy()
    draws = np.random.default_rng(0)
    halves = []
    for _split in range(SPLITS):
        order = draws.permutation(len(real))
        first, second = order[: len(real) // 2], order[len(real) // 2 :]
        halves.append(frechet_distance(real[first], real[second]))
    gaussian = Gaussian.of(real)
    figures = {
        "dimension": real.shape[1],
        "mean_distance": mean_distance(real),
        "median_distance_other_digit": float(np.median(apart[other])),
        "frechet_halves_of_test": float(np.mean(halves)),
        "frechet_training_against_test": frechet_distance(train, real),
        "frechet_training_pictures": len(train),
    }
    arrays = {
        "feature_mean": gaussian.mean.astype(np.float32),
        "feature_covariance": gaussian.covariance.astype(np.float32),
    }
    return figures, arrays


def measure(
    model: Judge, about: dict, train_set: PictureSet, test_set: PictureSet, device: torch.device
) -> Measurements:
    """Measure a judge with stored (float16) weights; ``about`` is the bundle's ``data``."""
    model = model.to(device, memory_format=torch.channels_last)
    tested = loop.Resident.of(test_set, device)
    figures, arrays = test_figures(model, tested.levels, tested.labels)
    of_features, statistics = feature_figures(
        model, loop.resident(train_set.pictures, device), tested.levels, tested.labels
    )
    return Measurements(
        metrics={
            "test": figures,
            "digitless": digitless_figures(model, tested.levels),
            "features": of_features,
            "protocol": protocol(about),
        },
        profiles={**arrays, **statistics},
        sheets={},
    )


# ---------------------------------------------------------------- the bundle


def golden(model: Judge) -> dict[str, np.ndarray]:
    """Generated inputs and what the judge says of them, on the CPU in float32."""
    x = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    outputs = golden_outputs(model, {"x": x})
    return {"input.x": x.numpy(), **{f"output.{key}": v.numpy() for key, v in outputs.items()}}


def write(
    folder: Path,
    model: Judge,
    *,
    train_set: PictureSet,
    test_set: PictureSet,
    history: list[dict],
    settings: dict,
) -> Path:
    """Fit the temperature, measure the weights as they will be stored, write the bundle."""
    config = bundle_config("judge", model.config.plain(), settings, test_set, len(history))
    device = next(model.parameters()).device
    tested = loop.Resident.of(test_set, device)
    model = calibrated(model, tested.levels, tested.labels)
    measured = measure(rounded(model), config["data"], train_set, test_set, device)
    written = bundles.write_bundle(
        folder,
        config=config,
        weights=stored_weights(model),
        history=history,
        metrics=measured.metrics,
        profiles=measured.profiles,
        golden=golden(rounded(model)),
        progress={},
        card=card(config, measured.metrics, history),
        check=golden_deviation,
    )
    return written.folder


def protocol(about: dict) -> str:
    """What the figures of ``metrics.json`` were measured on, in one paragraph."""
    trained, tested = sets.describe(about)
    return (
        f"Trained on: {trained}. Measured on: {tested}. Stored float16 weights, arithmetic in "
        "float32. The temperature is fitted on the test digits; accuracy does not depend on it, and "
        "for all else each half of the digits is judged with the temperature of the other half. "
        "Calibration error: expected, 15 bins of equal width. Sure: a probability of "
        f"{SURE:g} or more. Without a digit: every test picture as its mean colour or a blend of four, "
        f"the same scrambled, patches of {PATCH} pixels in another order, and {CLOUDS:,} clouds, "
        f"{CLOUD_PATCHES} by {CLOUD_PATCHES} random colours enlarged smoothly. "
        "Features: mean over places of the last layer; distances are "
        "Euclidean. Frechet distance of real to real: mean over "
        f"{SPLITS} splits of the test digits into halves, and of {FRECHET_PICTURES:,} training "
        "pictures, which the judge was trained on, to all test digits."
    )


def card(config: dict, metrics: dict, history: list[dict]) -> str:
    """The model card: what it is, what it was trained on, how far it can be trusted."""
    trained, tested = sets.describe(config["data"])
    parameters = sum(p.numel() for p in Judge(JudgeConfig(**config["architecture"])).parameters())
    terms, test, features = sets.terms_of(config), metrics["test"], metrics["features"]
    floor, empty = features["frechet_halves_of_test"], metrics["digitless"]
    return f"""---
library_name: latent-atelier
tags: [image-classification, calibration, education]
{terms.front_matter}
---
# Judge of digits

A small classifier of digits in 32 x 32 colour pictures, {parameters:,} parameters, calibrated by one
temperature. It judges what generative models make: whether a picture holds a digit, which one, and
how far two pictures are from each other. It is made for learning and teaching, not for reading
house numbers.

**Trained on** {trained}.

{ancestry.length_in_words(config, history)} {terms.sentence}
No picture of the data set is in this folder.

| on {tested} | |
|---|---|
| accuracy | {test["accuracy"]:.2%} |
| expected calibration error | {test["calibration_error"]:.4f} |
| the same before the temperature | {test["calibration_error_uncalibrated"]:.4f} |
| temperature | {test["temperature"]:.3f} |
| sure of (p at least {SURE:g}) | {test["sure"]:.1%} |
| accuracy of those | {test["accuracy_of_sure"]:.2%} |
| sure of a digit in test pictures that have lost theirs | {empty["wiped"]["sure"]:.1%} |
| in test pictures, scrambled | {empty["scrambled"]["sure"]:.1%} |
| in clouds of random colour | {empty["clouds"]["sure"]:.1%} |
| Frechet distance in its features, half of the test digits to the other half | {floor:.2f} |

Those distances are in the {features["dimension"]} features of this judge: they are not FID, and compare
with no figure of another classifier. Of a picture that holds no digit it still says one,
most often {empty["wiped"]["most_read"]} where the digit is gone: look at how sure it is.

{metrics["protocol"]}

```python
from core.judge import Judge
judge = Judge.from_pretrained("path/to/this/folder")
p = judge(pictures).softmax(dim=1)  # pictures (B, 3, 32, 32) in [-1, 1]; p (B, 10)
```
"""
