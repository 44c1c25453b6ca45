"""The nearest picture of a set, to see whether a generated picture is a copy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from core.pictures.images import Pictures

BATCH = 2048


@dataclass(frozen=True)
class Nearest:
    """For each of N pictures: ``index`` (N,) of the nearest one of a set, and how far it is.

    ``distance`` (N,): root mean square difference of the values, in grey levels of 255; 0 for a copy.
    """

    index: np.ndarray
    distance: np.ndarray


def nearest(pictures: Pictures, bank: Pictures) -> Nearest:
    """The nearest picture of ``bank`` (M, H, W, 3) to each of ``pictures`` (N, H, W, 3), uint8."""
    if len(bank) == 0 or pictures.shape[1:] != bank.shape[1:]:
        raise ValueError(
            f"bank must be (M, {', '.join(map(str, pictures.shape[1:]))}) with M at least 1, "
            f"got {bank.shape}"
        )
    asked = _flat(pictures)  # (N, H * W * 3)
    best = torch.full((len(asked),), torch.inf, dtype=torch.float64)
    index = torch.zeros(len(asked), dtype=torch.long)
    for start in range(0, len(bank), BATCH):
        part = _flat(bank[start : start + BATCH])
        # |a - b|^2 = |a|^2 + |b|^2 - 2 a.b; |a|^2 changes no order and is left out.
        squared = part.square().sum(dim=1) - 2 * asked @ part.T  # (N, batch)
        found, place = squared.min(dim=1)
        closer = found < best
        best[closer], index[closer] = found[closer], place[closer] + start
    chosen = bank[index.numpy()].astype(np.float64)
    distance = np.sqrt(np.square(chosen - pictures).mean(axis=(1, 2, 3)))
    return Nearest(index.numpy(), distance)


def _flat(pictures: Pictures) -> Tensor:
    """float64, in which sums of squares of grey levels are exact: a copy wins."""
    return torch.from_numpy(pictures.reshape(len(pictures), -1)).double()
