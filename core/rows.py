"""Rows of features, one a picture, as every measure of them takes them."""

from __future__ import annotations

from torch import Tensor


def as_double(x: Tensor) -> Tensor:
    """``x`` in float64, on the CPU where its device has none."""
    return (x.cpu() if x.device.type == "mps" else x).double()


def checked_rows(name: str, x: Tensor, least: int = 1) -> Tensor:
    """``x`` in float64; ValueError where it is no finite (N, d) with N at least ``least``."""
    if x.ndim != 2 or len(x) < least or x.shape[1] < 1:
        raise ValueError(f"{name} must be (N, d) with N at least {least}, got {tuple(x.shape)}")
    x = as_double(x)
    if not x.isfinite().all():
        raise ValueError(f"{name} must be finite, got NaN or infinity")
    return x
