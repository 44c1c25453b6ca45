"""Whether a classifier's probabilities mean what they say.

Source: Guo, Pleiss, Sun & Weinberger 2017, "On Calibration of Modern Neural Networks"
(arXiv:1706.04599).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

MOST = 100.0
"""No temperature is higher, and none lower than its inverse."""


def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """The temperature by which logits (N, C) must be divided for the least cross-entropy.

    Section 4.2. Above 1: the classifier was surer than it should be. Answers do not change. Within
    1 / ``MOST`` and ``MOST``, for there need be no best one: where every answer is right a lower
    one is always better, where answers are no better than chance a higher one.
    """
    logits = logits.double()
    log_temperature = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [log_temperature], max_iter=100, tolerance_grad=1e-10, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        found = F.cross_entropy(logits / log_temperature.exp(), labels)
        found.backward()
        return found

    optimizer.step(loss)
    found = float(log_temperature.detach().nan_to_num().exp())
    return min(max(found, 1 / MOST), MOST)


@dataclass(frozen=True)
class Reliability:
    """Answers sorted by confidence into bins of equal width: arrays (bins,), NaN where empty."""

    confidence: np.ndarray
    accuracy: np.ndarray
    count: np.ndarray

    @property
    def calibration_error(self) -> float:
        """Expected calibration error, equation 3: 0 where p of answers given with p are right."""
        filled = self.count > 0
        gaps = np.abs(self.accuracy - self.confidence)[filled]
        return float((gaps * self.count[filled]).sum() / self.count.sum())


def reliability(p: np.ndarray, labels: np.ndarray, bins: int = 15) -> Reliability:
    """Confidence and accuracy by bin, of probabilities (N, C) and labels (N,)."""
    if p.ndim != 2 or len(p) == 0 or len(p) != len(labels):
        raise ValueError(f"p must be (N, C) with a row a label, got {p.shape}, {labels.shape}")
    sure, right = p.max(axis=1).astype(np.float64), p.argmax(axis=1) == labels
    place = np.minimum((sure * bins).astype(int), bins - 1)
    count = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore"):
        confidence = np.bincount(place, sure, bins) / count
        accuracy = np.bincount(place, right, bins) / count
    return Reliability(confidence, accuracy, count)
