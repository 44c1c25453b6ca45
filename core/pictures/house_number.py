"""Draws house numbers, so that everyone has a picture of their own without owning a photograph."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from core.pictures.images import SIZE, Pictures

OVERSAMPLING = 8
COLOUR = re.compile(r"#[0-9a-fA-F]{6}")


@dataclass(frozen=True)
class HouseNumber:
    """What to draw.

    ``text``: 1 to 3 digits, of which the middle one stands in the picture as in the data set.
    ``ink``, ``wall``: colours ``#rrggbb``. ``blur``: standard deviation in pixels, 0 to 4.
    ``rotation``: degrees counterclockwise, -45 to 45. ``noise``: standard deviation in grey
    levels of 255, 0 to 80. ``size``: height of a digit as a share of the picture, 0.3 to 1.2.
    """

    text: str = "7"
    ink: str = "#f2efe6"
    wall: str = "#38588a"
    blur: float = 0.6
    rotation: float = 0.0
    noise: float = 4.0
    size: float = 0.85
    seed: int = 0

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[0-9]{1,3}", self.text):
            raise ValueError(f"text must be 1 to 3 digits, got {self.text!r}")
        for name in ("ink", "wall"):
            if not COLOUR.fullmatch(getattr(self, name)):
                raise ValueError(f"{name} must look like #rrggbb, got {getattr(self, name)!r}")
        limits = {"blur": (0, 4), "rotation": (-45, 45), "noise": (0, 80), "size": (0.3, 1.2)}
        for name, (low, high) in limits.items():
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name} must be {low} to {high}, got {getattr(self, name)}")
        if self.seed < 0:
            raise ValueError(f"seed must be 0 or more, got {self.seed}")


def draw(number: HouseNumber) -> Pictures:
    """The house number as uint8 (32, 32, 3), the same for the same ``number``."""
    side = SIZE * OVERSAMPLING
    sheet = Image.new("RGB", (side, side), number.wall)
    # The font's digits are about 0.72 em high.
    font = ImageFont.load_default(size=number.size * side / 0.72)
    ImageDraw.Draw(sheet).text(
        (side / 2, side / 2), number.text, fill=number.ink, font=font, anchor="mm"
    )
    sheet = sheet.rotate(number.rotation, resample=Image.Resampling.BICUBIC, fillcolor=number.wall)
    sheet = sheet.filter(ImageFilter.GaussianBlur(number.blur * OVERSAMPLING))
    small = np.asarray(sheet.resize((SIZE, SIZE), Image.Resampling.BOX), dtype=np.float64)
    noise = np.random.default_rng(number.seed).normal(0.0, number.noise, small.shape)
    return (small + noise).round().clip(0, 255).astype(np.uint8)
