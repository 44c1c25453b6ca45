"""How alike two pictures are, value by value and structure by structure.

Pictures are (B, C, H, W) in [-1, 1], so that the data range is 2.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

DATA_RANGE = 2.0


def psnr(a: Tensor, b: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB, (B,): 10 log10(4 / mean squared error); inf for equals."""
    _check(a, b)
    mse = (a - b).double().square().flatten(1).mean(dim=1)
    return 10 * torch.log10(DATA_RANGE**2 / mse)


def ssim(a: Tensor, b: Tensor, window: int = 7) -> Tensor:
    """Structural similarity, (B,), 1 for equals: Wang et al. 2004, equation 13.

    Mean over colour channels and over all ``window`` x ``window`` squares inside the picture,
    every pixel of a square alike, with sample variances; C1 = (0.01 * 2)^2, C2 = (0.03 * 2)^2.
    """
    _check(a, b)
    if not 2 <= window <= min(a.shape[-2:]):
        raise ValueError(f"window must be 2 to {min(a.shape[-2:])}, got {window}")
    a, b = a.double(), b.double()
    unbiased = window**2 / (window**2 - 1)

    def mean(x: Tensor) -> Tensor:
        return F.avg_pool2d(x, window, stride=1)

    mean_a, mean_b = mean(a), mean(b)
    var_a = unbiased * (mean(a * a) - mean_a.square())
    var_b = unbiased * (mean(b * b) - mean_b.square())
    covariance = unbiased * (mean(a * b) - mean_a * mean_b)
    c1, c2 = (0.01 * DATA_RANGE) ** 2, (0.03 * DATA_RANGE) ** 2
    top = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    bottom = (mean_a.square() + mean_b.square() + c1) * (var_a + var_b + c2)
    return (top / bottom).flatten(1).mean(dim=1)


def _check(a: Tensor, b: Tensor) -> None:
    if a.ndim != 4 or a.shape != b.shape:
        raise ValueError(
            f"a and b must be (B, C, H, W) of one shape, got {tuple(a.shape)}, {tuple(b.shape)}"
        )
