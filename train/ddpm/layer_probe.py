"""Which layer holds what names the digit, at which level of noise, for a bundle's ``metrics.json``."""

from __future__ import annotations

import torch
from torch import Tensor

from core.ddpm.feature_probe import ITERATIONS, probe_layers
from core.ddpm.model import DDPM
from core.pictures.data import PictureSet
from train.run import loop
from train.run.bundling import Measurements, shown_rows

KIND = "layer_probe"
"""The name of the figures in ``metrics.json``."""
SHARES = (0.01, 0.05, 0.1, 0.2, 0.4, 0.7)
"""The levels, as shares of T."""
TRAIN_PICTURES, TEST_PICTURES = 2000, 1000
"""At most this number, spread over the sets: minutes on one core."""
PROBE_ITERATIONS = ITERATIONS
"""Each classifier is fitted in this number of steps at most."""


def measure(
    model: DDPM, train_set: PictureSet, test_set: PictureSet, device: torch.device
) -> Measurements:
    """The figures ``layer_probe``, stored weights."""
    model = model.to(device)

    def side(of: PictureSet, most: int) -> tuple[Tensor, Tensor]:
        rows = shown_rows(len(of), most)
        pictures = loop.as_float(loop.resident(of.pictures[rows], device))
        return pictures, torch.from_numpy(of.labels[rows]).to(device)

    T = model.schedule.T
    levels = sorted({max(0, round(share * T) - 1) for share in SHARES})
    sets = (side(train_set, TRAIN_PICTURES), side(test_set, TEST_PICTURES))
    classes = len(train_set.class_names)
    found = probe_layers(
        model.unet, model.schedule, sets, levels, classes, iterations=PROBE_ITERATIONS
    )
    return Measurements({KIND: found.figures()}, {}, {})


def best(figures: dict) -> tuple[str, int, float]:
    """Layer, t and accuracy of the best cell; of equals the first."""
    cells = [
        (layer, t, share)
        for layer, shares in figures["accuracy"].items()
        for t, share in zip(figures["t"], shares, strict=True)
    ]
    return max(cells, key=lambda cell: cell[2])


def card_section(figures: dict) -> str:
    """The part of a model card that says from which layer and at which level the digit is read best."""
    layer, t, share = best(figures)
    levels = figures["t"]
    head = " | ".join(f"t = {level}" for level in levels)
    rows = "\n".join(
        f"| {name} | {' | '.join(f'{one:.1%}' for one in shares)} |"
        for name, shares in figures["accuracy"].items()
    )
    parts = figures["parts"]
    return f"""
## Which layer holds the digit, and at which level of noise

| layer | {head} |
|{"---|" * (len(levels) + 1)}
{rows}

A linear classifier names the digit of {share:.1%} of the test pictures from the layer `{layer}` at t = {t};
from all pixels of the clean picture {figures["pixels"]:.1%}; the most common digit is right in
{figures["most_common"]:.1%}. Multinomial logistic regression (penalty {figures["penalty"]:g} on standardised
features, to convergence) on activations averaged over each of {parts} x {parts} parts of the picture;
{figures["train_pictures"]:,} training and {figures["test_pictures"]:,} test pictures spread over the sets, one
draw of noise a picture, the same at every level, from seed {figures["seed"]}.
"""
