"""DSSL: heavily augmented views learn from standard ones, never the other way round.

A standard view SV is what SimSiam compares. A harder view HV is a standard view augmented further.
Symmetric losses would pull SV towards what is left of the picture in HV. DSSL keeps the symmetric
loss among standard views and adds a directed one: HV is drawn to SV, and SV does not move.

The notation is that of ``core.simsiam.joint_embedding``; ``harder1`` is made from ``x1``.

Source: Bai et al. 2022, *Directional Self-supervised Learning for Heavy Image Augmentations*
(arXiv:2110.13555).
"""

from __future__ import annotations

from torch import Tensor

from core.simsiam.joint_embedding import Outputs, cosine_similarity
from core.simsiam.simsiam import SimSiam, loss


def directed_loss(p_harder1: Tensor, p_harder2: Tensor, z1: Tensor, z2: Tensor) -> Tensor:
    """D(p_harder1, z1) / 2 + D(p_harder2, z2) / 2 with z held constant: from -1, its best, to 1.

    Each harder view is compared with the standard view that it was made from.
    """
    first = cosine_similarity(p_harder1, z1.detach()).mean()
    second = cosine_similarity(p_harder2, z2.detach()).mean()
    return -0.5 * (first + second)


class DSSL(SimSiam):
    """SimSiam whose harder views have a direction."""

    def views_loss(
        self,
        x1: Tensor,
        x2: Tensor,
        harder1: Tensor | None = None,
        harder2: Tensor | None = None,
    ) -> tuple[Tensor, Outputs]:
        """SimSiam's loss of the standard views and the directed one, half each; -1 at best.

        Without harder views it is SimSiam's. The outputs are those of the standard views.
        """
        outputs = self(x1, x2)
        standard = loss(*outputs)
        if harder1 is None and harder2 is None:
            return standard, outputs
        if harder1 is None or harder2 is None:
            raise ValueError("harder1 and harder2 must be given both, or neither")
        p_harder1 = self.predictor(self.project(harder1))
        p_harder2 = self.predictor(self.project(harder2))
        directed = directed_loss(p_harder1, p_harder2, outputs.z1, outputs.z2)
        return 0.5 * (standard + directed), outputs
