"""SimSiam: two views of a picture shall be predictable from each other; no negatives, no momentum.

The notation is that of ``core.simsiam.joint_embedding``; D(p, z) = -cos(p, z).

Source: Chen & He 2021, *Exploring Simple Siamese Representation Learning* (arXiv:2011.10566).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from core.simsiam.joint_embedding import (
    EMBEDDING_PRESETS,
    EmbeddingConfig,
    JointEmbedding,
    Outputs,
    cosine_similarity,
    predictor,
)

__all__ = ["PRESETS", "SimSiam", "SimSiamConfig", "cosine_similarity", "loss"]

Predictor = Literal["mlp", "identity", "fixed"]


@dataclass(frozen=True)
class SimSiamConfig(EmbeddingConfig):
    """The parts, and the two switches that decide over collapse.

    ``stop_gradient``: the target z is held constant. ``predictor``: ``mlp`` learns, ``identity``
    is none at all, ``fixed`` is an mlp that keeps its random initial weights.
    """

    stop_gradient: bool = True
    predictor: Predictor = "mlp"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.predictor not in ("mlp", "identity", "fixed"):
            raise ValueError(
                f"predictor must be 'mlp', 'identity' or 'fixed', got {self.predictor!r}"
            )


PRESETS = {name: SimSiamConfig(**size.plain()) for name, size in EMBEDDING_PRESETS.items()}


def loss(p1: Tensor, p2: Tensor, z1: Tensor, z2: Tensor) -> Tensor:
    """D(p1, z2) / 2 + D(p2, z1) / 2, averaged over the batch: a scalar from -1, its best, to 1.

    Says nothing of where gradients stop: that is decided in ``SimSiam.forward``. Eq. 2 of the
    paper. -1 is also what a network reaches that gives the same answer to every picture.
    """
    return -0.5 * (cosine_similarity(p1, z2).mean() + cosine_similarity(p2, z1).mean())


class SimSiam(JointEmbedding):
    """Backbone, projector and predictor over pictures (B, 3, 32, 32) in [-1, 1]."""

    config: SimSiamConfig
    config_class = SimSiamConfig

    def __init__(self, config: SimSiamConfig | None = None) -> None:
        super().__init__(config)
        kind = self.config.predictor
        if kind == "identity":
            self.predictor: nn.Module = nn.Identity()
        elif kind in ("mlp", "fixed"):
            self.predictor = predictor(self.config.dim, self.config.predictor_hidden)
            self.predictor.requires_grad_(kind == "mlp")
        else:
            raise ValueError(f"predictor must be 'mlp', 'identity' or 'fixed', got {kind!r}")

    def forward(self, x1: Tensor, x2: Tensor) -> Outputs:
        """p1, p2, z1, z2 of two views, each (B, d); with ``stop_gradient`` z1 and z2 are constants.

        p1 = h(f(x1)), z2 = stopgrad(f(x2)): Algorithm 1 of the paper, whose f is backbone and
        projector, whose h is the predictor.
        """
        z1, z2 = self.project(x1), self.project(x2)
        p1, p2 = self.predictor(z1), self.predictor(z2)
        if self.config.stop_gradient:
            z1, z2 = z1.detach(), z2.detach()
        return Outputs(p1, p2, z1, z2)

    def views_loss(self, x1: Tensor, x2: Tensor) -> tuple[Tensor, Outputs]:
        """The symmetric loss (a scalar, -1 at best) and p1, p2, z1, z2."""
        outputs = self(x1, x2)
        return loss(*outputs), outputs
