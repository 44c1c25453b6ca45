"""Digits that a diffusion model made and the classifier reads: what a VAE can start from without data."""

from __future__ import annotations

from contextlib import suppress

from core.bundles.bundle import Bundle
from core.errors import AtelierError
from core.pictures.images import Pictures
from pages import from_noise
from pages.shared import library

FIRST = 8
"""The picture of the gallery, counted from 1, that stands in where no digit of a class was made."""


def digits() -> tuple[dict[str, Pictures], Bundle | None]:
    """A picture (32, 32, 3) of every digit that was made, and the bundle that keeps them, if there is one."""
    with suppress(AtelierError):
        found = from_noise.find_way_or_samples()
        if isinstance(found, from_noise.Way):
            pictures = found.frames[-1]
            # Where a digit was missed, another sample stands in its column.
            return {
                str(d): pictures[d] for d, seen in enumerate(found.digit) if d == seen
            }, found.of
    return {}, None


def picture_of(name: str) -> tuple[Pictures, Bundle]:
    """A digit of that name, or the gallery's clearest picture, and where it comes from."""
    made, of = digits()
    if name in made and of is not None:
        return made[name], of
    gallery = library.gallery()
    return gallery.pictures[FIRST - 1], gallery.of
