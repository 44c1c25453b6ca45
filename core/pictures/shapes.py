"""Draws simple objects of CIFAR-10's kind, so that everyone has a picture of their own.

An object is a list of filled polygons in its own coordinates: x to the right and y down, both from
-1 to 1 over the object's width, (0, 0) its middle.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFilter

from core.pictures.house_number import COLOUR
from core.pictures.images import SIZE, Pictures

OVERSAMPLING = 8
BLUR = 0.4
"""Standard deviation in pixels: photographs of this size have no hard edges."""
GRAIN = 4.0
"""Standard deviation of the noise in grey levels."""
TILT, LENGTHENED, SHIFTED, TONED = 4.0, 0.1, 0.03, 0.12
"""Most that a seed turns (degrees), stretches, moves (share of the picture), lightens or darkens."""

Kind = Literal[
    "ship",
    "automobile",
    "truck",
    "airplane",
    "bird",
    "frog",
    "cat",
    "disc",
    "square",
    "triangle",
]
KINDS: tuple[Kind, ...] = get_args(Kind)
Paint = Literal["body", "light", "dark", "glass", "white", "black"]
Ground = Literal["water", "road", "grass"]
GROUNDS: dict[Ground, str] = {"water": "#2b5a73", "road": "#6e6a66", "grass": "#5d7f3d"}
Points = list[tuple[float, float]]


class Part(NamedTuple):
    """One filled polygon of an object."""

    paint: Paint
    points: Points


class Drawing(NamedTuple):
    """An object: what is painted one over the other, and what it stands on from ``level`` (y) down."""

    parts: list[Part]
    ground: Ground | None = None
    level: float = 0.0


@dataclass(frozen=True)
class Shape:
    """What to draw.

    ``kind``: seven classes of CIFAR-10, of the cat only its head, and three plain shapes.
    ``colour``, ``background``: ``#rrggbb``; the background is the sky where there is ground below.
    ``size``: width as a share of the picture, 0.2 to 1.2. ``across``, ``down``: where the middle stands, as
    shares of the picture, 0 to 1. ``seed``: small changes of tilt, length, place and tone, and the
    grain.
    """

    kind: Kind = "ship"
    colour: str = "#b3261e"
    background: str = "#a9cbe6"
    size: float = 0.8
    across: float = 0.5
    down: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {self.kind!r}")
        for name in ("colour", "background"):
            if not COLOUR.fullmatch(getattr(self, name)):
                raise ValueError(f"{name} must look like #rrggbb, got {getattr(self, name)!r}")
        limits = {"size": (0.2, 1.2), "across": (0, 1), "down": (0, 1)}
        for name, (low, high) in limits.items():
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name} must be {low} to {high}, got {getattr(self, name)}")
        if self.seed < 0:
            raise ValueError(f"seed must be 0 or more, got {self.seed}")


# ---------------------------------------------------------------- outlines


def box(left: float, top: float, right: float, bottom: float) -> Points:
    """A rectangle."""
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def oval(x: float, y: float, width: float, height: float) -> Points:
    """An ellipse around (x, y)."""
    turns = np.linspace(0, 2 * math.pi, 48, endpoint=False)
    return [(x + width / 2 * math.cos(a), y + height / 2 * math.sin(a)) for a in turns]


def wheel(x: float, y: float, width: float) -> list[Part]:
    """A tyre with its hub."""
    return [
        Part("black", oval(x, y, width, width)),
        Part("light", oval(x, y, 0.4 * width, 0.4 * width)),
    ]


def eye(x: float, y: float, width: float) -> list[Part]:
    """An eye with its pupil."""
    return [
        Part("white", oval(x, y, width, width)),
        Part("black", oval(x, y, 0.5 * width, 0.6 * width)),
    ]


# ---------------------------------------------------------------- objects


def _ship() -> Drawing:
    windows = [Part("glass", box(x, -0.2, x + 0.14, -0.06)) for x in (-0.5, -0.24, 0.02)]
    return Drawing(
        [
            Part("white", box(-0.62, -0.3, 0.36, 0.08)),
            *windows,
            Part("white", box(-0.4, -0.52, 0.05, -0.28)),
            Part("dark", box(-0.25, -0.85, -0.03, -0.5)),
            Part("black", [(0.2, -0.3), (0.24, -0.8), (0.29, -0.8), (0.32, -0.3)]),
            Part("body", [(-0.92, 0.05), (1.0, 0.0), (0.78, 0.46), (-0.8, 0.46)]),
            Part("light", [(-0.89, 0.13), (0.96, 0.08), (0.93, 0.16), (-0.87, 0.21)]),
        ],
        "water",
        0.3,
    )


def _automobile() -> Drawing:
    return Drawing(
        [
            Part("black", oval(0.0, 0.5, 1.9, 0.16)),
            Part("body", [(-0.55, -0.05), (-0.36, -0.42), (0.3, -0.42), (0.6, -0.05)]),
            Part("glass", [(-0.42, -0.06), (-0.29, -0.33), (-0.04, -0.33), (-0.04, -0.06)]),
            Part("glass", [(0.05, -0.06), (0.05, -0.33), (0.26, -0.33), (0.46, -0.06)]),
            Part("body", [(-1.0, -0.02), (0.72, -0.06), (0.98, 0.08), (1.0, 0.36), (-1.0, 0.36)]),
            Part("dark", box(-1.0, 0.26, 1.0, 0.36)),
            Part("white", box(0.88, 0.06, 0.99, 0.17)),
            *wheel(-0.56, 0.34, 0.42),
            *wheel(0.56, 0.34, 0.42),
        ],
        "road",
        0.12,
    )


def _truck() -> Drawing:
    return Drawing(
        [
            Part("black", oval(0.0, 0.6, 1.9, 0.16)),
            Part("white", box(-1.0, -0.65, 0.38, 0.3)),
            Part("light", box(-1.0, -0.65, 0.38, -0.55)),
            Part("dark", box(-1.0, 0.24, 0.95, 0.4)),
            Part("body", [(0.42, -0.4), (0.78, -0.4), (0.98, -0.05), (0.98, 0.36), (0.42, 0.36)]),
            Part("glass", [(0.54, -0.3), (0.74, -0.3), (0.88, -0.04), (0.54, -0.04)]),
            *wheel(-0.72, 0.42, 0.38),
            *wheel(-0.28, 0.42, 0.38),
            *wheel(0.7, 0.42, 0.38),
        ],
        "road",
        0.15,
    )


def _airplane() -> Drawing:
    return Drawing(
        [
            Part("dark", [(-0.05, -0.08), (0.28, -0.08), (-0.1, -0.5), (-0.3, -0.5)]),
            Part("body", [(-0.78, -0.05), (-0.98, -0.52), (-0.76, -0.52), (-0.45, -0.08)]),
            Part("white", oval(0.0, 0.0, 2.0, 0.38)),
            Part("white", [(-0.98, -0.06), (-0.5, -0.13), (-0.5, 0.13), (-0.7, 0.1)]),
            *(Part("glass", box(x, -0.07, x + 0.09, 0.02)) for x in np.linspace(-0.5, 0.5, 6)),
            Part("glass", [(0.78, -0.09), (0.9, -0.06), (0.94, 0.0), (0.74, 0.0)]),
            Part("body", [(-0.12, 0.04), (0.3, 0.04), (-0.22, 0.62), (-0.46, 0.62)]),
            Part("dark", oval(0.02, 0.3, 0.3, 0.13)),
            Part("dark", [(-0.95, 0.0), (-0.68, 0.0), (-0.9, 0.2), (-1.05, 0.2)]),
        ]
    )


def _bird() -> Drawing:
    return Drawing(
        [
            Part("black", box(-0.02, 0.4, 0.04, 0.74)),
            Part("black", box(0.16, 0.4, 0.22, 0.74)),
            Part("dark", [(-0.4, 0.05), (-1.0, 0.28), (-0.92, 0.42), (-0.3, 0.4)]),
            Part("body", oval(0.05, 0.12, 1.15, 0.75)),
            Part("light", oval(0.28, 0.24, 0.6, 0.46)),
            Part("body", oval(0.5, -0.35, 0.56, 0.54)),
            Part("dark", [(-0.5, 0.2), (0.25, -0.12), (0.2, 0.16), (-0.2, 0.34)]),
            Part("black", [(0.72, -0.42), (1.0, -0.3), (0.72, -0.22)]),
            *eye(0.58, -0.42, 0.15),
        ],
        "grass",
        0.7,
    )


def _frog() -> Drawing:
    return Drawing(
        [
            Part("dark", oval(-0.72, 0.42, 0.6, 0.5)),
            Part("dark", oval(0.72, 0.42, 0.6, 0.5)),
            Part("dark", oval(-0.72, 0.66, 0.52, 0.16)),
            Part("dark", oval(0.72, 0.66, 0.52, 0.16)),
            Part("body", oval(0.0, 0.24, 1.4, 1.0)),
            Part("light", oval(0.0, 0.46, 0.86, 0.5)),
            Part("body", oval(0.0, -0.16, 1.2, 0.64)),
            Part("body", oval(-0.36, -0.46, 0.42, 0.42)),
            Part("body", oval(0.36, -0.46, 0.42, 0.42)),
            *eye(-0.36, -0.48, 0.28),
            *eye(0.36, -0.48, 0.28),
            Part("black", [(-0.42, -0.05), (0.0, 0.06), (0.42, -0.05), (0.0, 0.12)]),
            Part("body", oval(-0.4, 0.66, 0.26, 0.22)),
            Part("body", oval(0.4, 0.66, 0.26, 0.22)),
        ],
        "grass",
        0.35,
    )


def _cat() -> Drawing:
    whiskers = [
        Part("white", [(0.2 * side, 0.2), (0.95 * side, y), (0.95 * side, y + 0.05)])
        for side in (-1, 1)
        for y in (0.1, 0.32)
    ]
    return Drawing(
        [
            Part("body", [(-0.75, -0.1), (-0.72, -0.9), (-0.15, -0.45)]),
            Part("body", [(0.75, -0.1), (0.72, -0.9), (0.15, -0.45)]),
            Part("light", [(-0.64, -0.3), (-0.64, -0.7), (-0.32, -0.45)]),
            Part("light", [(0.64, -0.3), (0.64, -0.7), (0.32, -0.45)]),
            Part("body", oval(0.0, 0.1, 1.6, 1.3)),
            *(Part("dark", box(x, -0.52, x + 0.08, -0.25)) for x in (-0.24, -0.04, 0.16)),
            Part("light", oval(0.0, 0.38, 0.72, 0.5)),
            *eye(-0.36, -0.02, 0.32),
            *eye(0.36, -0.02, 0.32),
            Part("black", [(-0.12, 0.22), (0.12, 0.22), (0.0, 0.36)]),
            *whiskers,
        ]
    )


def _disc() -> Drawing:
    return Drawing([Part("body", oval(0.0, 0.0, 1.7, 1.7))])


def _square() -> Drawing:
    return Drawing([Part("body", box(-0.75, -0.75, 0.75, 0.75))])


def _triangle() -> Drawing:
    return Drawing([Part("body", [(0.0, -0.85), (0.95, 0.75), (-0.95, 0.75)])])


DRAWINGS: dict[Kind, Callable[[], Drawing]] = {
    "ship": _ship,
    "automobile": _automobile,
    "truck": _truck,
    "airplane": _airplane,
    "bird": _bird,
    "frog": _frog,
    "cat": _cat,
    "disc": _disc,
    "square": _square,
    "triangle": _triangle,
}


# ---------------------------------------------------------------- painting


def draw(shape: Shape) -> Pictures:
    """The object as uint8 (32, 32, 3), the same for the same ``shape``."""
    side = SIZE * OVERSAMPLING
    rng = np.random.default_rng(shape.seed)
    tilt, longer, right, lower, tone, sky = rng.uniform(-1, 1, 6)
    drawing = DRAWINGS[shape.kind]()
    half = np.array([1 + LENGTHENED * longer, 1.0]) * shape.size * side / 2
    middle = np.array([shape.across + SHIFTED * right, shape.down + SHIFTED * lower]) * side
    turn = math.radians(TILT * tilt)
    turned = np.array(
        [[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]]
    )  # anticlockwise for positive angles: y points down
    sheet = _scenery(shape, drawing, middle[1] + drawing.level * half[1], side, TONED * sky)
    pen, colours = ImageDraw.Draw(sheet), _colours(_toned(shape.colour, TONED * tone))
    for part in drawing.parts:
        points = np.array(part.points) * half @ turned.T + middle  # (P, 2): x, y
        pen.polygon([tuple(point) for point in points.tolist()], fill=colours[part.paint])
    sheet = sheet.filter(ImageFilter.GaussianBlur(BLUR * OVERSAMPLING))
    small = np.asarray(sheet.resize((SIZE, SIZE), Image.Resampling.BOX), dtype=np.float64)
    grain = rng.normal(0.0, GRAIN, small.shape)
    return (small + grain).round().clip(0, 255).astype(np.uint8)


Colour = tuple[int, int, int]


def _scenery(shape: Shape, drawing: Drawing, level: float, side: int, tone: float) -> Image.Image:
    """The background, lighter towards the bottom, and the ground, darker towards it."""
    top, bottom = (_toned(shape.background, tone + change) for change in (0.0, 0.25))
    share = np.linspace(0, 1, side)[:, None]  # (H, 1)
    rows = (1 - share) * np.array(top) + share * np.array(bottom)  # (H, 3)
    if drawing.ground is not None:
        near, far = (np.array(_toned(GROUNDS[drawing.ground], tone + c)) for c in (-0.2, 0.15))
        below = np.arange(side)[:, None] >= level
        rows = np.where(below, share * near + (1 - share) * far, rows)
    column = rows.round().astype(np.uint8)[:, None]  # (H, 1, 3)
    return Image.fromarray(np.repeat(column, side, axis=1))


def _colours(body: Colour) -> dict[Paint, Colour]:
    return {
        "body": body,
        "light": _mixed(body, (255, 255, 255), 0.45),
        "dark": _mixed(body, (0, 0, 0), 0.4),
        "glass": (38, 56, 74),
        "white": (236, 238, 240),
        "black": (28, 28, 32),
    }


def _toned(colour: str, change: float) -> Colour:
    """Towards white by ``change``, or towards black where it is negative."""
    return _mixed(ImageColor.getrgb(colour), (255,) * 3 if change > 0 else (0,) * 3, abs(change))


def _mixed(colour: Colour, other: Colour, share: float) -> Colour:
    return tuple(round((1 - share) * a + share * b) for a, b in zip(colour, other, strict=True))
