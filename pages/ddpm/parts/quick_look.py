"""The sweep that *Finding t\\** shows at once: few steps, and as many draws as an interval of t* needs."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import numpy as np

from core.ddpm.explorer import Restoration, SamplerSettings
from core.ddpm.restoration import FEWEST_DRAWS
from core.errors import AtelierError
from core.pictures.house_number import HouseNumber, draw
from core.pictures.images import Pictures
from pages.shared import library, loaders

WAY = SamplerSettings("ddim", 10)
DRAWS = FEWEST_DRAWS
LEVELS, SEED = 12, 0
"""How many levels are asked for, and the seed, until a visitor chooses."""


def span(T: int) -> tuple[int, int]:
    """The lowest and the highest level until a visitor chooses, as pages count them."""
    return max(1, T // 25), 4 * T // 5


def levels(low: int, high: int, count: int, T: int) -> tuple[int, ...]:
    """So many levels, evenly apart, as pages count them: 1 to T."""
    found = np.linspace(low, max(high, low + 1), count).round().astype(int)
    return tuple(int(level) for level in np.unique(found.clip(1, T)))


def restoration(name: str, pictures: Pictures, asked: Sequence[int], seed: int) -> Restoration:
    """Pictures (P, 32, 32, 3) noised to the levels asked for and denoised: once for all visitors."""
    zero_based = [level - 1 for level in asked]
    return loaders.restoration(name, WAY, pictures, zero_based, DRAWS, seed)


def prepare() -> None:
    """Computes what the page shows before anything is chosen, so that its first visitor does not wait."""
    with suppress(AtelierError):  # the page says what is wrong with a bundle
        for entry in library.available("ddpm")[:1]:
            T = loaders.ddpm(entry.name).T
            restoration(entry.name, draw(HouseNumber())[None], levels(*span(T), LEVELS, T), SEED)
