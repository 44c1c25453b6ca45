"""The diagonal Gaussian: draws, density and distance to the standard normal."""

from __future__ import annotations

import math

import torch
from torch import Tensor

LOGVAR_MIN, LOGVAR_MAX = -30.0, 20.0
LOG_2PI = math.log(2 * math.pi)


class DiagonalGaussianDistribution:
    """N(mean, diag(exp(logvar))), over any shape whose first dimension is the batch.

    ``logvar=None`` means 0: the identity covariance. ``logvar`` is clamped to [-30, 20] so that a
    variance neither vanishes nor overflows in float32.
    """

    def __init__(self, mean: Tensor, logvar: Tensor | None = None) -> None:
        if logvar is None:
            logvar = torch.zeros_like(mean)
        if logvar.shape != mean.shape:
            raise ValueError(
                f"logvar must have the shape of mean {tuple(mean.shape)}, got {tuple(logvar.shape)}"
            )
        self.mean = mean
        self.logvar = logvar.clamp(LOGVAR_MIN, LOGVAR_MAX)

    @property
    def std(self) -> Tensor:
        """Standard deviation, the shape of ``mean``."""
        return torch.exp(0.5 * self.logvar)

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """Draw mean + std * eps with eps ~ N(0, I): gradients reach mean and logvar."""
        eps = torch.randn(
            self.mean.shape, generator=generator, device=self.mean.device, dtype=self.mean.dtype
        )
        return self.mean + self.std * eps

    def mode(self) -> Tensor:
        """The most likely point, which for a Gaussian is its mean."""
        return self.mean

    def kl_per_unit(self) -> Tensor:
        """KL(self || N(0, 1)) of every unit by itself, nats, the shape of ``mean``.

        1/2 (mu^2 + sigma^2 - 1 - log sigma^2); the sum over units is ``kl``.
        """
        return 0.5 * (self.mean.square() + self.logvar.exp() - 1.0 - self.logvar)

    def kl(self) -> Tensor:
        """KL(self || N(0, I)) in nats, (B,): Kingma & Welling 2014, appendix B."""
        return _sum_but_batch(self.kl_per_unit())

    def nll(self, x: Tensor) -> Tensor:
        """-log N(x; mean, diag(exp(logvar))) in nats, summed over all but the batch: (B,)."""
        if x.shape != self.mean.shape:
            raise ValueError(
                f"x must have the shape of mean {tuple(self.mean.shape)}, got {tuple(x.shape)}"
            )
        per_dimension = LOG_2PI + self.logvar + (x - self.mean).square() * torch.exp(-self.logvar)
        return 0.5 * _sum_but_batch(per_dimension)


def _sum_but_batch(x: Tensor) -> Tensor:
    return x.flatten(start_dim=1).sum(dim=1)
