"""Two views of a picture: random crop, flip, colours, grey; every picture with its own draw.

What is drawn and what is done with it are apart: ``Views.draw`` gives one row of parameters a
picture, ``apply`` uses them. So a page can show what was drawn, and a run on several devices can
draw for the whole batch and apply its own share.

Pictures are (B, 3, H, W) in [-1, 1]. Colours follow torchvision's functions of the same names,
which work on [0, 1]; the four colour changes come in torchvision's default order, not shuffled.

Sources: Chen & He 2021 (arXiv:2011.10566), appendix D, for the standard views on CIFAR-10 (those of
SimCLR, arXiv:2002.05709, without blur); Bai et al. 2022 (arXiv:2110.13555) for harder ones.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

GREY = (0.2989, 0.587, 0.114)
"""ITU-R 601 weights of red, green and blue, as torchvision rounds them."""


class ViewParameters(NamedTuple):
    """What was drawn for B pictures; neutral values stand for parts that are left out.

    ``box`` (B, 4): top, left, height, width of the crop in pixels. ``flip``, ``grey``, ``solarize``
    (B,): whether. ``brightness``, ``contrast``, ``saturation`` (B,): factors, 1 for no change.
    ``hue`` (B,): share of a turn of the colour circle. ``rotation`` (B,): degrees, anticlockwise.
    ``tiles`` (B, 4): which quarter of the picture stands where, [0, 1, 2, 3] for none moved.
    ``hole`` (B, 4): top, left, height, width of the part that is cut out, in pixels.
    """

    box: Tensor
    flip: Tensor
    brightness: Tensor
    contrast: Tensor
    saturation: Tensor
    hue: Tensor
    grey: Tensor
    rotation: Tensor
    solarize: Tensor
    tiles: Tensor
    hole: Tensor

    def rows(self, rows: slice | Tensor) -> ViewParameters:
        """What was drawn for some of the pictures."""
        return ViewParameters(*(part[rows] for part in self))

    def to(self, device: torch.device) -> ViewParameters:
        return ViewParameters(*(part.to(device) for part in self))


@dataclass(frozen=True)
class Views:
    """How far a view may lie from its picture; all at 0, with ``crop`` 1: the picture itself.

    ``crop``: smallest share of the area that is kept; ``ratio``: widest width over height of a
    crop (its inverse is the narrowest). ``flip``: probability. ``jitter``: probability that colours
    change, by factors up to 1 +- ``brightness``, ``contrast``, ``saturation`` and turns of the
    colour circle up to ``hue`` (0.5 at most) either way. ``grey``: probability. The rest is for
    harder views: ``rotation``: degrees, either way; ``solarize``, ``jigsaw``: probabilities that
    light pixels are inverted, that the four quarters change places; ``cutout``: side of a square
    that is cut out, as a share of the picture's.
    """

    crop: float = 0.2
    ratio: float = 4 / 3
    flip: float = 0.5
    jitter: float = 0.8
    brightness: float = 0.4
    contrast: float = 0.4
    saturation: float = 0.4
    hue: float = 0.1
    grey: float = 0.2
    rotation: float = 0.0
    solarize: float = 0.0
    jigsaw: float = 0.0
    cutout: float = 0.0

    def __post_init__(self) -> None:
        limits = {"crop": (0.01, 1), "ratio": (1, 4), "hue": (0, 0.5), "rotation": (0, 180)}
        for part in fields(self):
            low, high = limits.get(part.name, (0, 1))
            value = getattr(self, part.name)
            if not low <= value <= high:
                raise ValueError(f"{part.name} must be {low} to {high}, got {value}")

    def draw(self, count: int, size: int, generator: torch.Generator) -> ViewParameters:
        """Parameters for ``count`` pictures of ``size`` pixels, on the generator's device.

        As many random numbers whatever is switched off: a part more or less leaves the others'
        draws as they were.
        """
        u = torch.rand(26, count, generator=generator, device=generator.device)
        brightness, contrast, saturation, hue = (
            torch.where(u[3] < self.jitter, (2 * u[4 + place] - 1) * strength, 0.0)
            for place, strength in enumerate(
                (self.brightness, self.contrast, self.saturation, self.hue)
            )
        )
        whole = torch.arange(4, device=u.device).expand(count, 4)
        tiles = torch.where((u[11] < self.jigsaw)[:, None], u[12:16].argsort(dim=0).T, whole)
        side = torch.full((count,), round(self.cutout * size), device=u.device)
        place = (u[16:18] * size - side / 2).round().long().clamp(min=0)
        hole = torch.stack([*torch.minimum(place, size - side), side, side], dim=1)
        return ViewParameters(
            box=self._boxes(u[18:], size),
            flip=u[2] < self.flip,
            brightness=1 + brightness,
            contrast=1 + contrast,
            saturation=1 + saturation,
            hue=hue,
            grey=u[8] < self.grey,
            rotation=(2 * u[9] - 1) * self.rotation,
            solarize=u[10] < self.solarize,
            tiles=tiles,
            hole=hole,
        )

    def scaled(self, strength: float) -> Views:
        """These views with changes ``strength`` times as large, as far as each one goes.

        0: the picture itself, mirrored or not; 1: the self. The share of the area that a crop keeps
        falls from 1; factors and turns grow, and so do the probabilities of changes that know no
        degree: grey, solarize, jigsaw.
        """
        if strength < 0:
            raise ValueError(f"strength must be 0 or more, got {strength}")
        limits = {
            "brightness": 1.0,
            "contrast": 1.0,
            "saturation": 1.0,
            "hue": 0.5,
            "rotation": 180.0,
            "grey": 1.0,
            "solarize": 1.0,
            "jigsaw": 1.0,
            "cutout": 0.9,
        }
        stretched = {
            name: min(most, strength * getattr(self, name)) for name, most in limits.items()
        }
        crop = max(min(0.02, self.crop), 1 - strength * (1 - self.crop))
        ratio = min(4.0, max(1.0, self.ratio**strength))
        return replace(self, crop=crop, ratio=ratio, **stretched)

    def _boxes(self, u: Tensor, size: int) -> Tensor:
        """Crops (count, 4) from uniform numbers (8, count): the first of three tries that fits."""
        count = u.shape[1]
        box = torch.tensor([0, 0, size, size], device=u.device).repeat(count, 1)
        found = torch.zeros(count, dtype=torch.bool, device=u.device)
        for area, ratio in zip(u[0:3], u[3:6], strict=True):
            pixels = (self.crop + (1 - self.crop) * area) * size * size
            aspect = torch.exp((2 * ratio - 1) * math.log(self.ratio))
            width = (pixels * aspect).sqrt().round().long()
            height = (pixels / aspect).sqrt().round().long()
            fits = (width >= 1) & (width <= size) & (height >= 1) & (height <= size) & ~found
            top = ((size - height + 1) * u[6]).long()
            left = ((size - width + 1) * u[7]).long()
            box = torch.where(fits[:, None], torch.stack([top, left, height, width], dim=1), box)
            found |= fits
        return box

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """One view of every picture, the shape of ``x``."""
        return apply(x, self.draw(len(x), x.shape[-1], generator))


STANDARD = Views()
HARDER = Views(
    crop=1.0,
    flip=0.0,
    jitter=0.0,
    grey=0.0,
    rotation=90.0,
    solarize=0.3,
    jigsaw=0.5,
    cutout=0.5,
)
"""What is done to a standard view to make a harder one of it."""


def apply(x: Tensor, drawn: ViewParameters) -> Tensor:
    """The view of every picture that ``drawn`` describes."""
    for _name, view in stages(x, drawn):
        x = view
    return x


def stages(x: Tensor, drawn: ViewParameters) -> Iterator[tuple[str, Tensor]]:
    """The view after every part, with the part's name; parts that change no picture are left out.

    Names: ``crop``, ``flip``, ``brightness``, ``contrast``, ``saturation``, ``hue``, ``grey``,
    ``rotation``, ``solarize``, ``jigsaw``, ``cutout``, in this order.
    """
    size = x.shape[-1]
    if x.shape != (len(drawn.flip), 3, size, size):
        raise ValueError(
            f"x must be ({len(drawn.flip)}, 3, H, H) as drawn for, got {tuple(x.shape)}"
        )
    whole = torch.tensor([0, 0, size, size], device=x.device)
    parts = (
        ("crop", (drawn.box != whole).any(), lambda x: crop(x, drawn.box)),
        ("flip", drawn.flip.any(), lambda x: torch.where(_each(drawn.flip), x.flip(3), x)),
        ("brightness", _differs(drawn.brightness, 1), lambda x: brightness(x, drawn.brightness)),
        ("contrast", _differs(drawn.contrast, 1), lambda x: contrast(x, drawn.contrast)),
        ("saturation", _differs(drawn.saturation, 1), lambda x: saturation(x, drawn.saturation)),
        ("hue", _differs(drawn.hue, 0), lambda x: hue(x, drawn.hue)),
        ("grey", drawn.grey.any(), lambda x: torch.where(_each(drawn.grey), grey(x), x)),
        ("rotation", _differs(drawn.rotation, 0), lambda x: rotate(x, drawn.rotation)),
        (
            "solarize",
            drawn.solarize.any(),
            lambda x: torch.where(_each(drawn.solarize) & (x >= 0), -x, x),
        ),
        (
            "jigsaw",
            (drawn.tiles != torch.arange(4, device=x.device)).any(),
            lambda x: jigsaw(x, drawn.tiles),
        ),
        ("cutout", (drawn.hole[:, 2] > 0).any(), lambda x: cut_out(x, drawn.hole)),
    )
    # Asked once for all parts: on a GPU each question waits for all work under way.
    asked = torch.stack([used for _name, used, _part in parts]).tolist()
    for (name, _used, part), used in zip(parts, asked, strict=True):
        if used:
            x = part(x)
            yield name, x


def _each(values: Tensor) -> Tensor:
    """One value a picture, (B,) -> (B, 1, 1, 1)."""
    return values[:, None, None, None]


def _differs(values: Tensor, neutral: float) -> Tensor:
    return (values != neutral).any()


# ---------------------------------------------------------------- geometry


def crop(x: Tensor, box: Tensor) -> Tensor:
    """The part ``box`` (B, 4: top, left, height, width, pixels) of every picture, enlarged to it.

    Bilinear; the same as torchvision's ``resized_crop`` to the picture's own size.
    """
    size = x.shape[-1]
    top, left, height, width = box.to(x.dtype).T[:, :, None]  # (B, 1) each
    middle = (torch.arange(size, device=x.device, dtype=x.dtype) + 0.5) / size  # (W,)
    rows = (top + height * middle).clamp(min=top + 0.5, max=top + height - 0.5)  # (B, H), pixels
    columns = (left + width * middle).clamp(min=left + 0.5, max=left + width - 0.5)
    field = torch.stack(
        [
            (2 * columns / size - 1)[:, None, :].expand(-1, size, -1),
            (2 * rows / size - 1)[:, :, None].expand(-1, -1, size),
        ],
        dim=3,
    )  # (B, H, W, 2): x, y in [-1, 1]
    return F.grid_sample(x, field, padding_mode="border", align_corners=False)


def rotate(x: Tensor, degrees: Tensor) -> Tensor:
    """Every picture turned anticlockwise by its angle (B,), edges mirrored."""
    angle = torch.deg2rad(degrees.to(x.dtype))
    cosine, sine, none = torch.cos(angle), torch.sin(angle), torch.zeros_like(angle)
    rows = [torch.stack([cosine, -sine, none], dim=1), torch.stack([sine, cosine, none], dim=1)]
    field = F.affine_grid(torch.stack(rows, dim=1), list(x.shape), align_corners=False)
    return F.grid_sample(x, field, padding_mode="reflection", align_corners=False)


def jigsaw(x: Tensor, tiles: Tensor) -> Tensor:
    """The four quarters in another order, ``tiles`` (B, 4): row by row, which one stands there."""
    count, channels, size, _ = x.shape
    half = size // 2
    quarters = x[:, :, : 2 * half, : 2 * half].reshape(count, channels, 2, half, 2, half)
    quarters = quarters.permute(0, 2, 4, 1, 3, 5).reshape(count, 4, channels, half, half)
    quarters = quarters.gather(1, tiles[:, :, None, None, None].expand_as(quarters))
    moved = quarters.reshape(count, 2, 2, channels, half, half).permute(0, 3, 1, 4, 2, 5)
    made = x.clone()
    made[:, :, : 2 * half, : 2 * half] = moved.reshape(count, channels, 2 * half, 2 * half)
    return made


def cut_out(x: Tensor, hole: Tensor) -> Tensor:
    """Mid-grey inside ``hole`` (B, 4: top, left, height, width, pixels)."""
    top, left, height, width = hole.T[:, :, None]  # (B, 1) each
    place = torch.arange(x.shape[-1], device=x.device)
    rows = (place >= top) & (place < top + height)  # (B, H)
    columns = (place >= left) & (place < left + width)
    inside = rows[:, None, :, None] & columns[:, None, None, :]
    return x.masked_fill(inside, 0.0)


# ---------------------------------------------------------------- colours


def _luma(x: Tensor) -> Tensor:
    """Brightness as the eye sees it, (B, 3, H, W) -> (B, 1, H, W), same range as ``x``."""
    red, green, blue = x[:, 0:1], x[:, 1:2], x[:, 2:3]
    return GREY[0] * red + GREY[1] * green + GREY[2] * blue


def _blend(x: Tensor, other: Tensor, factor: Tensor) -> Tensor:
    """``other`` at factor 0, ``x`` at 1, beyond it above; kept in [-1, 1]."""
    factor = _each(factor).to(x.dtype)
    return (factor * x + (1 - factor) * other).clamp(-1, 1)


def brightness(x: Tensor, factor: Tensor) -> Tensor:
    """Black at factor 0, the picture at 1; ``factor`` (B,)."""
    return _blend(x, torch.full_like(x[:, :1], -1.0), factor)


def contrast(x: Tensor, factor: Tensor) -> Tensor:
    """The picture's mean grey at factor 0, the picture at 1; ``factor`` (B,)."""
    return _blend(x, _luma(x).mean(dim=(1, 2, 3), keepdim=True), factor)


def saturation(x: Tensor, factor: Tensor) -> Tensor:
    """Grey at factor 0, the picture at 1; ``factor`` (B,)."""
    return _blend(x, _luma(x), factor)


def grey(x: Tensor) -> Tensor:
    """Every picture in shades of grey."""
    return _luma(x).expand_as(x)


def hue(x: Tensor, turn: Tensor) -> Tensor:
    """Every colour moved along the colour circle by ``turn`` (B,), -0.5 to 0.5 of it.

    In HSV: the lightest and the darkest channel of a pixel keep their values.
    """
    red, green, blue = x.unbind(dim=1)  # (B, H, W) each
    high, low = torch.maximum(red, green), torch.minimum(red, green)
    high, low = torch.maximum(high, blue), torch.minimum(low, blue)
    spread = high - low
    sixth = torch.where(
        red == high, green - blue, torch.where(green == high, blue - red, red - green)
    )
    sixth /= torch.where(spread > 0, spread, 1.0)
    sixth += torch.where(red == high, 0.0, torch.where(green == high, 2.0, 4.0))
    sixth += 6 * turn.to(x.dtype)[:, None, None]  # where on the circle: 0 red, 2 green, 4 blue
    away = sixth[:, None] + torch.tensor([5.0, 3.0, 1.0], device=x.device)[:, None, None]
    away = (
        away - 6 * (away / 6).floor_() - 2
    ).abs_()  # 2 where a channel is at its highest, 0 at its lowest
    return high[:, None] - spread[:, None] * (2 - away).clamp_(0, 1)
