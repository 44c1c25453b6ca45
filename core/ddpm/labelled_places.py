"""A read-out of a few labelled places: the digit is cut out by a classifier of what a U-Net holds there.

After Baranchuk et al. 2022 (arXiv:2112.03126): activations of chosen layers and levels are enlarged to the
size of the picture and set side by side; a small classifier learns from labelled places which belong to the
object. Theirs are photographs and dozens of parts, here it is digit or wall, and one linear classifier.

Pictures are uint8 (32, 32, 3); rows of features are the 1,024 places, row by row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from core.ddpm.explorer import DDPMExplorer
from core.linear_probe import linear_probe
from core.pictures.house_number import HouseNumber, draw
from core.pictures.images import SIZE, Pictures

PENALTY = 1e-2


def digit_of(drawn: HouseNumber) -> np.ndarray:
    """Where the digits of a drawn house number are: bool (32, 32), more than half of a pixel covered."""
    plain = draw(replace(drawn, ink="#ffffff", wall="#000000", noise=0.0))
    return plain[..., 0] > 127


def shaded(picture: Pictures, share: float, *, from_left: bool = False) -> Pictures:
    """A picture in a shadow that falls in from one side: brightness falls evenly by ``share`` across it."""
    if not 0 <= share <= 1:
        raise ValueError(f"share must be 0 to 1, got {share}")
    light = np.linspace(1, 1 - share, picture.shape[1])
    light = light[::-1] if from_left else light
    return (picture * light[None, :, None]).round().clip(0, 255).astype(np.uint8)


def of_network(
    explorer: DDPMExplorer,
    picture: Pictures,
    layers: Sequence[str],
    levels: Sequence[int],
    seed: int,
) -> Tensor:
    """What the layers hold at every place at every level, (1024, channels of all of them)."""
    held = explorer.features(picture, levels, seed)
    columns = [
        F.interpolate(torch.from_numpy(held[layer]), SIZE, mode="bilinear", align_corners=False)
        for layer in layers
    ]  # (levels, C, 32, 32) each
    return torch.cat([one.flatten(0, 1) for one in columns]).flatten(1).T


def of_colours(picture: Pictures) -> Tensor:
    """The colour of every place in [-1, 1]: (1024, 3)."""
    return torch.from_numpy(picture).reshape(-1, 3).float() / 127.5 - 1


@dataclass(frozen=True)
class LabelledPicture:
    """A picture and where its digit is, bool (32, 32)."""

    picture: Pictures
    digit: np.ndarray


def chosen_places(digit: np.ndarray, count: int, generator: np.random.Generator) -> np.ndarray:
    """``count`` places of the digit and as many of the wall: rows of features, (2 count,) or fewer."""
    flat = digit.reshape(-1)
    parts = [np.flatnonzero(flat), np.flatnonzero(~flat)]
    return np.concatenate(
        [generator.choice(part, min(count, len(part)), replace=False) for part in parts]
    )


def read_out(
    features: Sequence[Tensor],
    labelled: Sequence[LabelledPicture],
    asked: Sequence[Tensor],
    count: int,
    seed: int = 0,
) -> list[np.ndarray]:
    """Where a linear classifier sees the digit in ``asked`` pictures: bool (32, 32) each.

    It learns from ``count`` places of the digit and as many of the wall of each labelled picture;
    ``features``, ``asked``: (1024, d) a picture, of the labelled ones and of those asked about.
    """
    generator = np.random.default_rng(seed)
    places = [chosen_places(one.digit, count, generator) for one in labelled]
    x = torch.cat([rows[place] for rows, place in zip(features, places, strict=True)])
    y = np.concatenate(
        [one.digit.reshape(-1)[place] for one, place in zip(labelled, places, strict=True)]
    )
    labels = torch.from_numpy(y).long()
    found = linear_probe(x, labels, x, labels, 2, PENALTY)
    return [
        ((rows.double() @ found.weight.T + found.bias).argmax(dim=1) == 1)
        .numpy()
        .reshape(SIZE, SIZE)
        for rows in asked
    ]
