"""The levels of noise at which Inside the U-Net looks, and where its figures come from."""

from __future__ import annotations

from collections.abc import Sequence

from core.ddpm.explorer import DDPMExplorer
from pages.shared.figures import Provenance
from pages.shared.picking import PickedPicture
from pages.shared.text import _

STOP_SHARES = (0.01, *(step / 20 for step in range(1, 21)))
"""Where the timeline stops, as shares of T; among them all of ``SHARES``."""
SHARES = (0.01, 0.05, 0.1, 0.2, 0.4, 0.7)
SEGMENT_SHARES = (0.05, 0.1, 0.2)


def levels_of(explorer: DDPMExplorer, shares: Sequence[float] = SHARES) -> list[int]:
    """Levels at these shares of T, from 0, rising; fewer where T is small."""
    return sorted({max(0, round(share * explorer.T) - 1) for share in shares})


def provenance(
    explorer: DDPMExplorer, picked: PickedPicture, seed: int, seconds: float, **more: object
) -> Provenance:
    """Of a figure made of one picture, here and now."""
    settings = {_("picture"): picked.words, _("seed of the noise"): seed, **more}
    return Provenance(explorer.bundle, True, seconds, settings)
