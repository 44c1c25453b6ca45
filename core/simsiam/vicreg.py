"""VICReg: views agree, every channel varies, no two channels vary together; each said outright.

The variance term alone forbids that all pictures get the same z: without it the other two are
smallest for a constant.

The notation is that of ``core.simsiam.joint_embedding``. The last batch normalisation of the projector is
left out: it would keep every channel's variance at 1 and leave the variance term nothing to do.

Source: Bardes et al. 2022, *VICReg* (arXiv:2105.04906).
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

EPS = 1e-4


@dataclass(frozen=True)
class VICRegConfig(EmbeddingConfig):
    """Weights of the three terms, 0 or more: lambda, mu and nu of the paper.

    ``variance`` 0 leaves out what keeps VICReg from collapsing.
    """

    invariance: float = 25.0
    variance: float = 25.0
    covariance: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("invariance", "variance", "covariance"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be 0 or more, got {getattr(self, name)}")


def variance_term(z: Tensor) -> Tensor:
    """Mean over channels of max(0, 1 - std): 0 where every channel has a std of 1 or more. Eq. 1."""
    return F.relu(1 - torch.sqrt(z.var(dim=0) + EPS)).mean()


def covariance_term(z: Tensor) -> Tensor:
    """Sum of squared covariances of different channels, over d: 0 where none vary together. Eq. 4."""
    centred = z - z.mean(dim=0)
    with torch.autocast(z.device.type, enabled=False):  # a product in bfloat16 has three digits
        covariance = centred.T @ centred / (len(z) - 1)  # (d, d)
    off_diagonal = covariance.square().sum() - covariance.diagonal().square().sum()
    return off_diagonal / z.shape[1]


def loss(
    z1: Tensor,
    z2: Tensor,
    invariance: float = 25.0,
    variance: float = 25.0,
    covariance: float = 1.0,
) -> Tensor:
    """The three terms, weighted: a scalar, 0 at best. Eq. 6 of the paper, as its authors run it.

    The variance term is the mean of both views, the covariance term their sum.
    """
    if z1.shape != z2.shape or z1.ndim != 2 or len(z1) < 2:
        raise ValueError(
            f"z1 and z2 must be (B, d) alike with B of at least 2, got {tuple(z1.shape)} "
            f"and {tuple(z2.shape)}"
        )
    return (
        invariance * F.mse_loss(z1, z2)
        + variance * (variance_term(z1) + variance_term(z2)) / 2
        + covariance * (covariance_term(z1) + covariance_term(z2))
    )


class VICReg(JointEmbedding):
    """Backbone and projector: neither predictor nor stop-gradient nor batch norm at the end."""

    config: VICRegConfig
    config_class = VICRegConfig
    last_norm = False

    def forward(self, x1: Tensor, x2: Tensor) -> Outputs:
        """z1 and z2 of two views, (B, d); no predictor, so they stand for p1 and p2 as well."""
        z1, z2 = self.project(x1), self.project(x2)
        return Outputs(z1, z2, z1, z2)

    def views_loss(self, x1: Tensor, x2: Tensor) -> tuple[Tensor, Outputs]:
        """The loss over the whole batch (a scalar, 0 at best) and z1, z2 (twice)."""
        outputs, config = self(x1, x2), self.config
        z1, z2 = (whole_batch(precise(z)) for z in (outputs.z1, outputs.z2))
        value = loss(z1, z2, config.invariance, config.variance, config.covariance)
        return value, outputs
