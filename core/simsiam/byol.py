"""BYOL: like SimSiam, but the target is another network, a moving average of the one that learns.

xi <- m xi + (1 - m) theta after every update. With m = 0 the target is the network itself as it
was after the last update: SimSiam with its stop-gradient, computed the long way round.

The notation is that of ``core.simsiam.joint_embedding``; z1 and z2 come from the target.

Source: Grill et al. 2020, *Bootstrap Your Own Latent* (arXiv:2006.07733). The projector here is
SimSiam's, so that runs of both differ in the target alone.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor

from core.simsiam.joint_embedding import (
    EmbeddingConfig,
    JointEmbedding,
    Outputs,
    cosine_similarity,
    predictor,
)


@dataclass(frozen=True)
class BYOLConfig(EmbeddingConfig):
    """``momentum`` m of the target, from 0 (no memory) to below 1."""

    momentum: float = 0.99

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum must be 0 to below 1, got {self.momentum}")


def loss(p1: Tensor, p2: Tensor, z1: Tensor, z2: Tensor) -> Tensor:
    """|p1' - z2'|^2 + |p2' - z1'|^2 of rows scaled to length 1: a scalar from 0, its best, to 8.

    Eq. 2 of the paper, for both orders of the views: 4 - 2 cos(p1, z2) - 2 cos(p2, z1).
    """
    return 4 - 2 * (cosine_similarity(p1, z2).mean() + cosine_similarity(p2, z1).mean())


class BYOL(JointEmbedding):
    """The network that learns, and its target."""

    config: BYOLConfig
    config_class = BYOLConfig

    def __init__(self, config: BYOLConfig | None = None) -> None:
        super().__init__(config)
        self.predictor = predictor(self.config.dim, self.config.predictor_hidden)
        self.target_backbone = copy.deepcopy(self.backbone).requires_grad_(False)
        self.target_projector = copy.deepcopy(self.projector).requires_grad_(False)

    def forward(self, x1: Tensor, x2: Tensor) -> Outputs:
        """p1, p2 of the network, z1, z2 of the target (constants), each (B, d)."""
        p1, p2 = self.predictor(self.project(x1)), self.predictor(self.project(x2))
        with torch.no_grad():
            z1 = self.target_projector(self.target_backbone(x1))
            z2 = self.target_projector(self.target_backbone(x2))
        return Outputs(p1, p2, z1, z2)

    def views_loss(self, x1: Tensor, x2: Tensor) -> tuple[Tensor, Outputs]:
        """BYOL's loss of both orders (a scalar, 0 at best) and p1, p2, z1, z2."""
        outputs = self(x1, x2)
        return loss(*outputs), outputs

    @torch.no_grad()
    def after_step(self) -> None:
        """The target follows; its batch statistics are its own."""
        pairs = ((self.target_backbone, self.backbone), (self.target_projector, self.projector))
        for target, learning in pairs:
            for follower, leader in zip(target.parameters(), learning.parameters(), strict=True):
                follower.lerp_(leader, 1 - self.config.momentum)
