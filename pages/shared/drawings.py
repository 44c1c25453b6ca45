"""Pictures as a browser gets them, and drawings of several with words, whose ground is the page's own."""

from __future__ import annotations

import base64
import hashlib
import html
import math
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from core.pictures.images import Pictures, enlarge, grid, png_bytes, webp_bytes
from pages.shared import colours
from pages.shared.kept import AnswerCache

MARK = np.array([int(colours.MARK[at : at + 2], 16) for at in (1, 3, 5)], dtype=np.uint8)
FILES: AnswerCache[bytes] = AnswerCache(128)
"""Files of large pictures, of some 100 kB each, by their content."""
SHARP = (
    '<style>[data-testid=stImage] :is(img[src^="data:image/webp"], img[src^="data:image/jpeg"]) '
    "{ image-rendering: pixelated; }</style>"
)
"""The style of every page that shows ``pixels``."""


def pixels(picture: Pictures) -> str:
    """An address for ``st.image`` that has the picture (H, W, 3 or 4) in it, not enlarged: browsers do that.

    ``SHARP`` has them enlarge what comes by such an address without smoothing.
    """
    return in_address(webp_bytes(picture), "webp")


def drawn_png(made: Pictures) -> bytes:
    """A large picture with words or lines in it as a PNG file, which is made once for all visitors."""
    content = hashlib.blake2b(np.ascontiguousarray(made), digest_size=16).digest()
    return FILES.ask((made.shape, content), lambda: png_bytes(made))


def vector(svg: str) -> str:
    """An address for ``st.image`` that has a drawing in it, a quarter shorter than Streamlit would make it."""
    return "data:image/svg+xml," + quote(svg, safe=" <>\"'=/:;,.()-+")


def in_address(made: bytes, kind: str) -> str:
    """A file of that kind (``webp``, ``jpeg``) as an address."""
    return f"data:image/{kind};base64,{base64.b64encode(made).decode()}"


def see_through(pictures: Pictures, columns: int) -> Pictures:
    """The ``grid`` of pictures (B, H, W, 3) with gaps of one pixel as (H', W', 4): between them, and where the
    last row is not full, the page shows through in either theme.
    """
    opaque = np.full_like(pictures[..., 0], 255)
    where = grid(opaque[..., None].repeat(3, -1), columns, gap=1, background=0)[..., :1]
    return np.concatenate([grid(pictures, columns, gap=1), where], axis=-1)


def drawable(label: str) -> str:
    """The label in characters that Pillow's own font has: no minus sign, no narrow space."""
    return label.replace("\N{MINUS SIGN}", "-").replace("\N{NARROW NO-BREAK SPACE}", " ")


def frame(large: Pictures, width: int) -> None:
    """A frame inside a picture, in place."""
    large[:width] = large[-width:] = MARK
    large[:, :width] = large[:, -width:] = MARK


@dataclass(frozen=True)
class Layout:
    """Where a table of pictures has its parts, in pixels: a tile, the gap between two, letters, margins."""

    tile: int
    gap: int
    letters: int
    left: int
    above: int

    @classmethod
    def of(cls, side: int, factor: int, rows: Sequence[str], size: int | None) -> Layout:
        letters = size or max(side * factor // 8, 24)
        font = ImageFont.load_default(size=letters)
        left = int(max(font.getlength(drawable(label)) for label in rows)) + 2 * letters // 2
        return cls(side * factor, factor, letters, left, int(1.7 * letters))

    def across(self, column: int) -> int:
        """The middle of a column."""
        return self.left + column * (self.tile + self.gap) + self.tile // 2

    def down(self, row: int) -> int:
        """The middle of a row."""
        return self.above + row * (self.tile + self.gap) + self.tile // 2

    def line(self, divided: int, width: int) -> tuple[int, int]:
        """Left and right edge of the line before a column, in a table of that width."""
        at, thick = self.left + divided * (self.tile + self.gap), max(self.gap + 4, 8)
        right = min(at - self.gap // 2 - 1 + thick // 2, width - 1)
        return max(right - thick, 0), right


def draw_table(
    pictures: np.ndarray,
    rows: Sequence[str],
    columns: Sequence[str],
    factor: int,
    divided: int | None,
) -> Pictures:
    """The sheet of ``matrix`` on white, as it is saved."""
    across, down = pictures.shape[1], pictures.shape[0]
    at = Layout.of(pictures.shape[3], factor, rows, None)
    font = ImageFont.load_default(size=at.letters)
    body = grid(enlarge(pictures.reshape(-1, *pictures.shape[2:]), factor), across, gap=at.gap)
    made = np.full((at.above + body.shape[0], at.left + body.shape[1], 3), 255, dtype=np.uint8)
    made[at.above :, at.left :] = body
    drawn = Image.fromarray(made)
    pen = ImageDraw.Draw(drawn)
    for index, label in enumerate(columns):
        place = (at.across(index), at.above // 2)
        pen.text(place, drawable(label), fill=colours.LABEL, font=font, anchor="mm")
    for index, label in enumerate(rows[:down]):
        place = (at.left - at.letters // 2, at.down(index))
        pen.text(place, drawable(label), fill=colours.LABEL, font=font, anchor="rm")
    if divided is not None:
        left, right = at.line(divided, made.shape[1])
        pen.rectangle((left, 0, right, made.shape[0]), fill=tuple(MARK.tolist()))
    return np.asarray(drawn)


# Text in the colour of either theme: browsers tell a picture which one it stands in.
THEMED = (
    f"<style>text {{ fill: {colours.LABEL}; font-family: sans-serif; }} "
    "image { image-rendering: pixelated; } @media (prefers-color-scheme: dark) "
    f"{{ text {{ fill: {colours.LABEL_ON_DARK}; }} }}</style>"
)


def table_drawing(
    pictures: np.ndarray,
    rows: Sequence[str],
    columns: Sequence[str],
    factor: int,
    divided: int | None,
    *,
    size: int | None = None,
    room: int = 0,
) -> str:
    """The table of ``matrix`` as pages show it: an address of a drawing whose ground is the page's own.

    ``size``: of its letters in pixels. ``room``: it is as wide as one of that number of columns.
    """
    down, across = pictures.shape[:2]
    at = Layout.of(pictures.shape[3], factor, rows, size)
    width = at.left + max(room, across) * (at.tile + at.gap) - at.gap
    height = at.above + down * (at.tile + at.gap) - at.gap
    small = see_through(pictures.reshape(-1, *pictures.shape[2:]), across)
    parts = [_image(small, at.left, at.above, factor)]
    parts += [
        _words(label, at.across(index), at.above // 2, at.letters)
        for index, label in enumerate(columns)
    ]
    parts += [
        _words(label, at.left - at.letters // 2, at.down(index), at.letters, "end")
        for index, label in enumerate(rows[:down])
    ]
    if divided is not None:
        left, right = at.line(divided, at.left + across * (at.tile + at.gap) - at.gap)
        parts.append(
            f'<rect x="{left}" y="0" width="{right - left + 1}" height="{height}" fill="{colours.MARK}"/>'
        )
    return _drawing(width, height, parts)


def labels_under(
    pictures: Pictures, labels: Sequence[str], columns: int, factor: int, letters: int, below: int
) -> str:
    """The sheet of ``strip`` as pages show it: an address of a drawing whose ground is the page's own."""
    across, tile = min(columns, len(pictures)), pictures.shape[1] * factor
    parts, step = [], tile + below + factor
    for first in range(0, len(pictures), across):
        top = first // across * step
        parts.append(_image(see_through(pictures[first : first + across], across), 0, top, factor))
        parts += [
            _words(label, place * (tile + factor) + tile // 2, top + tile + below // 2, letters)
            for place, label in enumerate(labels[first : first + across])
        ]
    height = math.ceil(len(pictures) / across) * step - factor
    return _drawing(across * (tile + factor) - factor, height, parts)


def _drawing(width: int, height: int, parts: Sequence[str]) -> str:
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
    return vector(f'{svg}viewBox="0 0 {width} {height}">{THEMED}{"".join(parts)}</svg>')


def _image(small: Pictures, x: int, y: int, factor: int) -> str:
    """Pictures in a drawing, which enlarges them."""
    height, width = (side * factor for side in small.shape[:2])
    return f'<image x="{x}" y="{y}" width="{width}" height="{height}" href="{pixels(small)}"/>'


def _words(label: str, x: int, y: int, size: int, anchor: str = "middle") -> str:
    """Words in a drawing, as wide as in the sheet that is saved, whichever letters a browser has."""
    wide = ImageFont.load_default(size=size).getlength(drawable(label))
    fitted = f'textLength="{wide:.0f}" lengthAdjust="spacingAndGlyphs" ' if wide >= 1 else ""
    return (
        f'<text x="{x}" y="{y}" font-size="{size}" text-anchor="{anchor}" {fitted}'
        f'dominant-baseline="central">{html.escape(label)}</text>'
    )
