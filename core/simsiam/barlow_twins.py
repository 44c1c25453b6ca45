"""Barlow Twins: the channels of two views agree with themselves and with no other channel.

C_ij = mean over the batch of z1'_i z2'_j, channels standardised over the batch: (d, d), -1 to 1.
The diagonal is drawn to 1 (views agree), the rest to 0 (channels are not redundant).

The notation is that of ``core.simsiam.joint_embedding``.

Source: Zbontar et al. 2021, *Barlow Twins* (arXiv:2103.03230).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from core.simsiam.joint_embedding import (
    EmbeddingConfig,
    JointEmbedding,
    Outputs,
    precise,
    whole_batch,
)


@dataclass(frozen=True)
class BarlowTwinsConfig(EmbeddingConfig):
    """``redundancy``: weight lambda of what lies off the diagonal, 0 or more.

    0 leaves out what keeps Barlow Twins from saying the same in every channel.
    """

    redundancy: float = 0.005

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.redundancy < math.inf:
            raise ValueError(f"redundancy must be 0 or more, got {self.redundancy}")


def cross_correlation(z1: Tensor, z2: Tensor) -> Tensor:
    """C of two views, (B, d), (B, d) -> (d, d). A constant channel has correlation 0."""
    if z1.shape != z2.shape or z1.ndim != 2 or len(z1) < 2:
        raise ValueError(
            f"z1 and z2 must be (B, d) alike with B of at least 2, got {tuple(z1.shape)} "
            f"and {tuple(z2.shape)}"
        )
    first, second = (F.batch_norm(z, None, None, training=True) for z in (z1, z2))
    with torch.autocast(z1.device.type, enabled=False):  # a product in bfloat16 has three digits
        return first.T @ second / len(z1)


def loss(z1: Tensor, z2: Tensor, redundancy: float = 0.005) -> Tensor:
    """sum_i (1 - C_ii)^2 + lambda sum_{i != j} C_ij^2: a scalar, 0 at best. Eq. 1 of the paper."""
    correlation = cross_correlation(z1, z2)
    diagonal = correlation.diagonal()
    off_diagonal = correlation.square().sum() - diagonal.square().sum()
    return (1 - diagonal).square().sum() + redundancy * off_diagonal


class BarlowTwins(JointEmbedding):
    """Backbone and projector: neither predictor nor stop-gradient, the same weights for both."""

    config: BarlowTwinsConfig
    config_class = BarlowTwinsConfig

    def forward(self, x1: Tensor, x2: Tensor) -> Outputs:
        """z1 and z2 of two views, (B, d); no predictor, so they stand for p1 and p2 as well."""
        z1, z2 = self.project(x1), self.project(x2)
        return Outputs(z1, z2, z1, z2)

    def views_loss(self, x1: Tensor, x2: Tensor) -> tuple[Tensor, Outputs]:
        """The loss over the whole batch (a scalar, 0 at best) and z1, z2 (twice)."""
        outputs = self(x1, x2)
        z1, z2 = (whole_batch(precise(z)) for z in (outputs.z1, outputs.z2))
        return loss(z1, z2, self.config.redundancy), outputs
