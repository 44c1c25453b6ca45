"""Values of a Plotly figure's JSON: words, colours, numbers, whatever way they are written.

The JSON may come out of a file that somebody else made. What is no value of the kind that is asked for gives
what stands for nothing (no words, NaN, another colour) or a ValueError.
"""

from __future__ import annotations

import base64
import html
import math
import re
from collections.abc import Sequence

import numpy as np
from PIL import ImageColor
from plotly.colors import get_colorscale
from plotly.exceptions import PlotlyError

from pages.shared import colours
from pages.teach.sheet import tidy

ARRAYS = ("f4", "f8", "i1", "i2", "i4", "u1", "u2", "u4")

Numbers = tuple[float, ...]
"""NaN where there is none."""


def plain(words: object) -> str:
    """Words of a Plotly figure, which are markup, as text; nothing where they are no words."""
    if isinstance(words, dict):
        words = words.get("text")
    if not isinstance(words, str | int | float):
        return ""
    if isinstance(words, float) and words.is_integer():
        words = int(words)
    without = re.sub(r"<br\s*/?>", " ", str(words)[:2000])
    return tidy(html.unescape(re.sub(r"</?[a-zA-Z][^<>]{0,200}>", "", without))).strip()[:300]


def colour(value: object, otherwise: str) -> tuple[str, float]:
    """A colour as ``#rrggbb`` and its opacity, whatever way it is written."""
    if not isinstance(value, str) or len(value) > 60:
        return otherwise, 1.0
    parts = re.fullmatch(r"rgba?\(([^()]*)\)", value.replace(" ", ""))
    try:
        if parts:
            red, green, blue, *rest = (float(part) for part in parts[1].split(","))
            levels = [min(255, max(0, round(level))) for level in (red, green, blue)]
            return _hex(levels), min(1.0, max(0.0, rest[0])) if rest else 1.0
        return _hex(ImageColor.getrgb(value)[:3]), 1.0
    except (ValueError, OverflowError):
        return otherwise, 1.0


def _hex(levels: Sequence[int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*levels)


def scale_colours(values: Numbers, low: float, high: float, scale: object) -> tuple[str, ...]:
    """Numbers as colours of a scale: pairs of a share and a colour, or a name that Plotly knows."""
    try:
        named = get_colorscale(scale if isinstance(scale, str) else "Viridis")
    except PlotlyError as error:
        raise ValueError("no scale that Plotly knows") from error
    pairs = scale if isinstance(scale, list) else named
    at = np.array([float(share) for share, _name in pairs[:64]])
    levels = np.array(
        [ImageColor.getrgb(colour(name, colours.GREY)[0]) for _share, name in pairs[:64]]
    )
    with np.errstate(over="ignore"):  # of two ends next to one another
        shares = np.nan_to_num((np.array(values) - low) / ((high - low) or 1.0))
    mixed = [np.interp(shares, at, levels[:, channel]).round().astype(int) for channel in range(3)]
    return tuple(_hex(one) for one in zip(*mixed, strict=True))


def as_list(value: object) -> list[object]:
    """A list of the figure; Plotly packs one of numbers into base64."""
    if isinstance(value, dict) and "bdata" in value:
        if value.get("dtype") not in ARRAYS:
            raise ValueError("an array of a kind that is not read")
        packed = base64.b64decode(value["bdata"], validate=True)
        found = np.frombuffer(packed, "<" + value["dtype"]).astype(float)
        if "shape" in value:
            found = found.reshape([int(part) for part in str(value["shape"]).split(",")])
        return found.tolist()
    if value is None:
        return []
    if isinstance(value, list):
        return value
    raise ValueError("no list")


def real(value: object) -> float:
    """A number of reasonable size, or NaN."""
    try:
        found = float(value)
    except (TypeError, ValueError):
        return math.nan
    return found if math.isfinite(found) and abs(found) < 1e100 else math.nan


def per_point(value: object, count: int, otherwise: float) -> Numbers:
    """One number a point, where the figure has one for all or a list."""
    if isinstance(value, int | float):
        return (float(value),) * count
    found = tuple(real(one) for one in as_list(value))
    return found if len(found) == count else (otherwise,) * count
