"""The latent space: which of its units are used, and paths through it."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional as F

from core.vae.model import VAE

ACTIVE_VARIANCE = 0.01
"""Variance of E[z_u|x] over pictures from which a unit counts as active."""
Interpolation = Literal["linear", "spherical"]


def active_units(mean: Tensor, threshold: float = ACTIVE_VARIANCE) -> Tensor:
    """Which units the encoder uses: variance over pictures of E[z_u|x] above ``threshold``.

    ``mean`` is (N, d), one row a picture; the result is a boolean (d,). Burda et al. 2016,
    section 5.2, with their threshold.
    """
    if mean.ndim != 2 or len(mean) < 2:
        raise ValueError(f"mean must be (N, d) with N at least 2, got {tuple(mean.shape)}")
    return mean.var(dim=0) > threshold


def interpolate_latents(
    z_1: Tensor, z_2: Tensor, n_samples: int, kind: Interpolation = "linear"
) -> Tensor:
    """``n_samples`` points from z_1 to z_2, both included: (n_samples, d) for two (d,).

    ``linear``: (1 - w) z_1 + w z_2. ``spherical``: the direction turns evenly along the great
    circle between the ends (Shoemake 1985) and the length goes evenly from one end's to the
    other's, so that two draws of a high-dimensional normal, of nearly equal length, are joined by
    points of that length (White 2016, arXiv:1609.04468). For ends that point the same or the
    opposite way, or an end at the origin, the straight line is taken.
    """
    if z_1.shape != z_2.shape or z_1.ndim != 1:
        raise ValueError(
            f"z_1 and z_2 must be two (d,), got {tuple(z_1.shape)} and {tuple(z_2.shape)}"
        )
    if n_samples < 2:
        raise ValueError(f"n_samples must be at least 2, got {n_samples}")
    if kind not in get_args(Interpolation):
        raise ValueError(f"kind must be one of {get_args(Interpolation)}, got {kind!r}")
    w = torch.linspace(0, 1, n_samples, device=z_1.device, dtype=z_1.dtype)[:, None]
    straight = (1 - w) * z_1 + w * z_2
    if kind == "linear":
        return straight
    length_1, length_2 = z_1.norm(), z_2.norm()
    if min(length_1, length_2) == 0:
        return straight
    angle = torch.arccos(F.cosine_similarity(z_1, z_2, dim=0).clamp(-1, 1))
    if torch.sin(angle) < 1e-4:
        return straight
    turned = torch.sin((1 - w) * angle) * z_1 / length_1 + torch.sin(w * angle) * z_2 / length_2
    path = turned / torch.sin(angle) * ((1 - w) * length_1 + w * length_2)
    path[0], path[-1] = z_1, z_2
    return path


@torch.no_grad()
def interpolate(
    model: VAE, z_1: Tensor, z_2: Tensor, n_samples: int, kind: Interpolation = "linear"
) -> Tensor:
    """Pictures along the way from z_1 to z_2, both included: (n_samples, 3, 32, 32)."""
    return model.decode(interpolate_latents(z_1, z_2, n_samples, kind)).mode()
