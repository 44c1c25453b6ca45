"""The picture of a model on its card: what it made itself and stores, never a picture of a data set."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from core.bundles.bundle import Bundle
from core.pictures.images import Pictures, enlarge, grid
from pages.shared import figures, library
from pages.shared.colours import BLUE, CLASSES, GREY
from pages.shared.text import _, number, percent

SHEETS = {"vae": "samples", "ddpm": "final"}
"""By family: which stored sheet shows what it generates."""
COLUMNS, ROWS = 4, 3
SIZE = (640, 480)
DOT, FINER = 7, 2
KEPT = 48


@dataclass(frozen=True)
class Portrait:
    """uint8 (H, W, 3), or (H, W, 4) where the page shows through; what it shows, in words.

    ``sent``: what a browser is given of it.
    """

    picture: np.ndarray
    alt: str
    words: str
    sent: str | bytes


def of_model(of: Bundle, title: str, *, rows: int = ROWS) -> Portrait | None:
    """What a model generates, where it puts test pictures, or which digits it mixes up; None where its
    bundle stores nothing of the kind. ``rows`` of generated pictures.
    """
    if of.family in SHEETS:
        return _samples(of, title, rows)
    draw = {"simsiam": _map, "judge": _confusions}.get(of.family)
    if draw is None:
        return None
    picture = library.answers("portraits", KEPT).ask(of.digest, lambda: draw(of))
    if of.family == "simsiam":
        count = number(len(of.profiles["map_labels"]), 0)
        return Portrait(
            picture,
            _("{title}: a map of {count} test pictures, one dot each, one colour a class").format(
                title=title, count=count
            ),
            _("Where it puts {count} test pictures: one colour a class.").format(count=count),
            figures.drawn_png(picture),
        )
    right = percent(float(np.trace(of.profiles["confusion"]) / of.profiles["confusion"].sum()), 1)
    return Portrait(
        picture,
        _("{title}: table of the true digit (rows) and its answer (columns); {right} right").format(
            title=title, right=right
        ),
        _("True digit (rows), its answer (columns)."),
        figures.drawn_png(picture),
    )


def _samples(of: Bundle, title: str, rows: int) -> Portrait | None:
    kept = of.progress(SHEETS[of.family])
    if not kept:
        return None
    shown = library.sheet(of, SHEETS[of.family], max(kept), library.GALLERY_SIZE)
    shown = shown[: COLUMNS * rows]
    count = number(len(shown), 0)
    small = grid(shown, COLUMNS, gap=1)
    return Portrait(
        enlarge(small, 4),
        _("{title}: {count} pictures that it generated").format(title=title, count=count),
        _("{count} pictures that it generated.").format(count=count),
        figures.pixels(small),
    )


def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _map(of: Bundle) -> Pictures:
    """Features h of test pictures on the plane of their first two components, after the last epoch."""
    points, labels = of.profiles["map_h"][-1], of.profiles["map_labels"]
    width, height = (FINER * side for side in SIZE)
    drawn = Image.new("RGBA", (width, height))
    pen = ImageDraw.Draw(drawn)
    middle = (points.max(axis=0) + points.min(axis=0)) / 2
    half = max(float(np.abs(points - middle).max()), 1e-6)
    room = height / 2 - 2 * FINER * DOT  # one scale for both axes: a collapsed cloud stays a dot
    scale = min(room / half, room / 0.05)
    for (x, y), label in zip(points - middle, labels, strict=True):
        across, down = width / 2 + scale * float(x), height / 2 - scale * float(y)
        r = FINER * DOT
        colour = _rgb(CLASSES[int(label) % len(CLASSES)])
        pen.ellipse((across - r, down - r, across + r, down + r), fill=colour)
    return np.asarray(drawn.resize(SIZE, Image.Resampling.BOX))


def _confusions(of: Bundle) -> Pictures:
    """Shares of each true digit, darker where larger; the root shows the rare mistakes."""
    table = of.profiles["confusion"].astype(float)
    shares = np.sqrt(table / np.maximum(table.sum(axis=1, keepdims=True), 1))
    count = len(shares)
    cell = SIZE[1] // (count + 1)
    left = (SIZE[0] - cell * (count + 1)) // 2
    drawn = Image.new("RGBA", SIZE)
    pen, font = ImageDraw.Draw(drawn), ImageFont.load_default(size=int(0.6 * cell))
    for i in range(count):
        middle = cell * (i + 1) + cell // 2
        pen.text((left + cell // 2, middle), str(i), fill=_rgb(GREY), font=font, anchor="mm")
        pen.text((left + middle, cell // 2), str(i), fill=_rgb(GREY), font=font, anchor="mm")
        for j in range(count):
            x, y = left + cell * (j + 1), cell * (i + 1)
            alpha = round(20 + 235 * shares[i, j])
            pen.rectangle((x, y, x + cell - 2, y + cell - 2), fill=(*_rgb(BLUE), alpha))
    return np.asarray(drawn)
