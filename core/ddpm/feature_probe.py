"""Which layer of a U-Net holds what names the class, at which level of noise: the U-Net was never told one.

| name        | symbol   | shape          | meaning                                                     |
|-------------|----------|----------------|-------------------------------------------------------------|
| ``x0``      | x_0      | (N, 3, 32, 32) | clean pictures in [-1, 1]                                   |
| ``t``       | t        |                | a level, 0 to T - 1                                         |
| ``h``       | h_l      | (N, C, H, W)   | what layer l holds of x_t, the picture with noise of level t |
| ``pooled``  |          | (N, C P P)     | h averaged over each of P x P equal parts of the picture    |

A linear classifier learns the class from ``pooled``, one for each layer and level: Xiang et al. 2023
(arXiv:2303.09769), "Denoising Diffusion Autoencoders are Unified Self-supervised Learners", section 4, after
Baranchuk et al. 2022 (arXiv:2112.03126), who classify places in the same way. Both average over the whole
picture, which leaves out where things are; with P = 2 the quarters are kept apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from core.ddpm.schedule import NoiseSchedule
from core.ddpm.unet import UNet
from core.linear_probe import linear_probe

PARTS = 2
PENALTY = 1e-2
"""Of the classifiers: a layer has up to 4 x 120 numbers for 2,000 pictures."""
ITERATIONS = 1000
BATCH = 64

Labelled = tuple[Tensor, Tensor]
"""Clean pictures (N, 3, 32, 32) in [-1, 1] and their classes (N,)."""


@dataclass(frozen=True)
class LayerProbe:
    """How often a linear classifier names the class of test pictures, 0 to 1.

    ``accuracy``: by layer, from the input to the output, one number for each of ``t``, levels counted from 1
    as in papers. ``pixels``: the same classifier on all pixels of the clean pictures. ``most_common``: the
    training set's most common class, always. ``parts``, ``penalty``, ``seed`` of the noise, and how many
    pictures the classifiers learnt from and were asked about: what the numbers were made with.
    """

    t: tuple[int, ...]
    accuracy: Mapping[str, tuple[float, ...]]
    pixels: float
    most_common: float
    parts: int
    penalty: float
    seed: int
    train_pictures: int
    test_pictures: int

    def figures(self) -> dict[str, object]:
        """As plain values, for a bundle's ``metrics.json``."""
        by_layer = {layer: list(shares) for layer, shares in self.accuracy.items()}
        return {**vars(self), "t": list(self.t), "accuracy": by_layer}


def noise_of(count: int, seed: int) -> Tensor:
    """The noise of ``count`` pictures, (count, 3, 32, 32) on the CPU: the same at every level."""
    return torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def pooled_features(
    unet: UNet,
    schedule: NoiseSchedule,
    x0: Tensor,
    t: int,
    noise: Tensor,
    parts: int = PARTS,
    batch: int = BATCH,
) -> dict[str, Tensor]:
    """What every layer holds of x0 (N, 3, 32, 32) with noise of level t: (N, C parts parts) by layer."""
    found: dict[str, list[Tensor]] = {layer: [] for layer in unet.layers()}

    def tap(layer: str, h: Tensor) -> None:
        found[layer].append(F.adaptive_avg_pool2d(h, parts).flatten(1))

    for clean, eps in zip(x0.split(batch), noise.split(batch), strict=True):
        x_t = schedule.q_sample(clean, t, eps)
        levels = torch.full((len(x_t),), t, device=x_t.device)
        unet(x_t.contiguous(memory_format=torch.channels_last), levels, tap)
    return {layer: torch.cat(rows) for layer, rows in found.items()}


def probe_layers(
    unet: UNet,
    schedule: NoiseSchedule,
    sets: Sequence[Labelled],
    levels: Sequence[int],
    classes: int,
    *,
    parts: int = PARTS,
    penalty: float = PENALTY,
    seed: int = 0,
    iterations: int = ITERATIONS,
) -> LayerProbe:
    """A classifier for each layer and level, fitted on the first of two ``sets``, asked about the second.

    Training pictures get the noise of ``seed``, test pictures that of ``seed`` + 1. Deterministic on a CPU:
    every fit is a convex problem solved to convergence, in ``iterations`` at most (``core.linear_probe``).
    ValueError for levels outside 0 to T - 1.
    """
    if not levels or not all(0 <= t < schedule.T for t in levels):
        raise ValueError(f"levels must be 0 to {schedule.T - 1}, got {list(levels)}")
    (x0, labels), (test_x0, test_labels) = sets
    noise, test_noise = (
        noise_of(len(x), seed + i).to(x.device) for i, x in enumerate((x0, test_x0))
    )

    def right(features: Tensor, test_features: Tensor) -> float:
        probe = linear_probe(
            features, labels, test_features, test_labels, classes, penalty, iterations
        )
        return probe.test_accuracy

    accuracy: dict[str, list[float]] = {layer: [] for layer in unet.layers()}
    for t in levels:
        held = pooled_features(unet, schedule, x0, t, noise, parts)
        asked = pooled_features(unet, schedule, test_x0, t, test_noise, parts)
        for layer, features in held.items():
            accuracy[layer].append(right(features, asked[layer]))
    most = int(labels.bincount(minlength=classes).argmax())
    return LayerProbe(
        t=tuple(t + 1 for t in levels),
        accuracy={layer: tuple(shares) for layer, shares in accuracy.items()},
        pixels=right(x0.flatten(1), test_x0.flatten(1)),
        most_common=float((test_labels == most).double().mean()),
        parts=parts,
        penalty=penalty,
        seed=seed,
        train_pictures=len(x0),
        test_pictures=len(test_x0),
    )
