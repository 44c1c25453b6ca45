"""Augmentation on the device, every picture with its own parameters.

Batched tensor operations instead of ``torchvision.transforms.v2``, which draws one set of
parameters for a whole batch. Pictures are (B, 3, H, W) in [-1, 1].
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class DigitAugmentation:
    """How far a picture of a digit may be changed without becoming another digit.

    ``pixels``: moved by this number of whole pixels, either way, so that nothing is blurred; edges are
    mirrored. ``shift``: share of the side, either way. ``scale``: factor exp(+-scale). ``rotation``:
    degrees, either way. ``shear``: slant of uprights, +-shear of their height. ``contrast``:
    factor exp(+-contrast) about the picture's mean. ``brightness``: added, +-brightness of 2.
    ``tint``: factor exp(+-tint) a colour channel. ``invert``: probability of light and dark
    changing places. ``permute``: probability of the colour channels changing places. All zero:
    the picture as it is.
    """

    shift: float = 0.0
    scale: float = 0.0
    rotation: float = 0.0
    shear: float = 0.0
    contrast: float = 0.0
    brightness: float = 0.0
    tint: float = 0.0
    invert: float = 0.0
    permute: float = 0.0
    pixels: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.pixels, int) or not 0 <= self.pixels < 32:
            raise ValueError(f"pixels must be a whole number from 0 to 31, got {self.pixels}")
        for name, value in vars(self).items():
            if name == "pixels":
                continue
            if not 0 <= value <= (180 if name == "rotation" else 1):
                raise ValueError(f"{name} must be 0 to 1 (rotation: 0 to 180), got {value}")

    def scaled(self, factor: float) -> DigitAugmentation:
        """The same, every number but that of pixels times ``factor``; ValueError out of range."""
        scaled = {
            one.name: getattr(self, one.name) * factor
            for one in fields(self)
            if one.name != "pixels"
        }
        return replace(self, **scaled)

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Augmented pictures, the shape of ``x``."""
        if self.pixels:
            x = self._shift(x, generator)
        if self.shift or self.scale or self.rotation or self.shear:
            x = self._move(x, generator)
        if self.permute:
            x = self._permute(x, generator)
        if self.invert:
            chosen = _uniform(x, generator, 0, 1) < self.invert
            x = torch.where(chosen, -x, x)
        if self.contrast or self.brightness or self.tint:
            x = self._recolour(x, generator)
        return x

    def _shift(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Whole pixels down and to the right, -``pixels`` to ``pixels``, each picture its own."""
        most, (height, width) = self.pixels, x.shape[-2:]
        padded = F.pad(x, (most,) * 4, mode="reflect").permute(0, 2, 3, 1)  # (B, H, W, 3)
        drawn = torch.randint(0, 2 * most + 1, (2, len(x)), generator=generator, device=x.device)
        down, right = drawn[:, :, None]
        rows = down + torch.arange(height, device=x.device)  # (B, H)
        columns = right + torch.arange(width, device=x.device)  # (B, W)
        each = torch.arange(len(x), device=x.device)[:, None, None]
        return padded[each, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)

    def _move(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """One affine map a picture, edges mirrored."""
        angle, scale, right, down = (
            _uniform(x, generator, -limit, limit).flatten()
            for limit in (math.radians(self.rotation), self.scale, 2 * self.shift, 2 * self.shift)
        )
        cosine, sine = torch.exp(scale) * torch.cos(angle), torch.exp(scale) * torch.sin(angle)
        slant = _uniform(x, generator, -self.shear, self.shear).flatten() if self.shear else 0.0
        rows = [
            torch.stack([cosine, slant * cosine - sine, right], 1),
            torch.stack([sine, slant * sine + cosine, down], 1),
        ]
        field = F.affine_grid(torch.stack(rows, 1), list(x.shape), align_corners=False)
        return F.grid_sample(x, field, padding_mode="reflection", align_corners=False)

    def _permute(self, x: Tensor, generator: torch.Generator) -> Tensor:
        keys = torch.rand(len(x), 3, generator=generator, device=x.device)
        order = keys.argsort(dim=1)  # (B, 3)
        kept = _uniform(x, generator, 0, 1).view(-1, 1) >= self.permute
        order = torch.where(kept, torch.arange(3, device=x.device), order)
        return x.gather(1, order[:, :, None, None].expand_as(x))

    def _recolour(self, x: Tensor, generator: torch.Generator) -> Tensor:
        mean = x.mean(dim=(1, 2, 3), keepdim=True)
        gain = torch.exp(_uniform(x, generator, -self.contrast, self.contrast))
        offset = _uniform(x, generator, -self.brightness, self.brightness)
        tint = torch.exp(_uniform(x, generator, -self.tint, self.tint, channels=3))
        x = (x - mean) * gain + mean + offset
        return ((x + 1) * tint - 1).clamp(-1, 1)


def without_digit(x: Tensor, generator: torch.Generator) -> Tensor:
    """Pictures with the colours of ``x`` and no digit in them, the shape of ``x``.

    Half are one colour, half a blend of four from corner to corner; of each half some are grey. A
    little noise lies over all, of a strength that each draws for itself.
    """
    one, four = F.adaptive_avg_pool2d(x, 1), F.adaptive_avg_pool2d(x, 2)
    plain = one.expand_as(x)
    blend = F.interpolate(four, x.shape[-2:], mode="bilinear", align_corners=True)
    made = torch.where(_uniform(x, generator, 0, 1) < 0.5, plain, blend)
    grey = made.mean(dim=1, keepdim=True).expand_as(made)
    made = torch.where(_uniform(x, generator, 0, 1) < 0.3, grey, made)
    noise = torch.randn(x.shape, generator=generator, device=x.device)
    return (made + _uniform(x, generator, 0, 0.1) * noise).clamp(-1, 1)


def _uniform(
    x: Tensor, generator: torch.Generator, low: float, high: float, channels: int = 1
) -> Tensor:
    """One draw a picture (and channel) in [low, high): (B, channels, 1, 1)."""
    unit = torch.rand(len(x), channels, 1, 1, generator=generator, device=x.device)
    return low + (high - low) * unit
