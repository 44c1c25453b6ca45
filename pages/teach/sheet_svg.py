"""A figure as SVG, made without a browser: a few kilobytes that print sharply and run nothing.

Plotly's own script has more than four megabytes, draws on the reader's screen, and fetches what a figure
names: a figure out of somebody else's file could make a reader's browser ask an address.
"""

from __future__ import annotations

import html
import itertools
import math
from collections.abc import Iterator

from pages.shared import colours
from pages.teach.sheet_plot import Axis, Mark, Panel, Plot, Scale, Series

WIDTH = 760
LEFT, RIGHT, BELOW, ABOVE = 74.0, 14.0, 52.0, 12.0
LINE, SCALE, LEFT_MOST = 20.0, 74.0, 240.0
FONT, LETTER = 14, 8.6
"""Size of letters in pixels, and how wide one is in a wide font."""
DASHES = {
    "dash": "9 6",
    "dot": "2 5",
    "dashdot": "9 5 2 5",
    "longdash": "14 6",
    "longdashdot": "14 5 2 5",
}


def draw(plot: Plot, alt: str, language: str = "en") -> str:
    """The figure as one ``<svg>`` that names ``alt``; numbers as the language writes them."""
    legend = _legend(plot)
    rows = max((row for row, *_rest in legend), default=-1) + 1
    above = ABOVE + LINE * (rows + bool(plot.title)) + (LINE if plot.notes else 0)
    height = plot.height + LINE * rows
    left, right = _left_margin(plot), RIGHT + (SCALE if _scales(plot) else 0)
    room = (left, above, WIDTH - left - right, height - above - BELOW)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {_n(height)}" role="img" '
        f'font-family="sans-serif" font-size="{FONT}" aria-label="{html.escape(alt)}">',
        f'<rect width="{WIDTH}" height="{_n(height)}" fill="white"/>',
    ]
    if plot.title:
        parts.append(_text(WIDTH / 2, 16, plot.title, "middle", size=16))
    parts += _legend_parts(legend, LINE * bool(plot.title) + 16)
    for place, panel in enumerate(plot.panels):
        parts += _panel(plot, place, panel, room, language)
    for one in _scales(plot)[:1]:
        parts += _scale(one, WIDTH - SCALE, above, height - above - BELOW, language)
    for note in plot.notes:
        x, y = room[0] + note.x * room[2], room[1] + (1 - note.y) * room[3] - 6
        parts.append(_text(x, y, note.words, "middle"))
    return "".join([*parts, "</svg>"])


def _left_margin(plot: Plot) -> float:
    """Room at the left for the longest name of a vertical axis that stands there."""
    names = [
        LETTER * len(words)
        for panel in plot.panels
        if panel.x.domain[0] < 0.05
        for _place, words in panel.y.ticks
    ]
    titled = any(panel.y.title for panel in plot.panels)
    return min(LEFT_MOST, max([LEFT, *(name + 14 + 20 * titled for name in names)]))


def _scales(plot: Plot) -> list[Scale]:
    return [one.scale for one in plot.series if one.scale and one.scale.shown]


def _scale(scale: Scale, left: float, top: float, height: float, language: str) -> Iterator[str]:
    """What colours mean, at the right."""
    step = height / len(scale.colours)
    for index, paint in enumerate(scale.colours):
        y = top + height - (index + 1) * step
        yield _rectangle(left, left + 14, y, y + step, paint, 1.0)
    digits = max(0, 1 - math.floor(math.log10(abs(scale.high - scale.low))))
    for share in (0, 0.5, 1):
        value = scale.low + share * (scale.high - scale.low)
        words = format_number(value, digits, False, language)
        yield _text(left + 18, top + height * (1 - share) + 5, words, "start", size=12)
    if scale.title:
        yield _text(left + 7, top - 6, scale.title, "middle", size=13)


def _n(value: float) -> str:
    """A length: two decimals, none where they are zero."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _text(
    x: float,
    y: float,
    words: str,
    anchor: str,
    *,
    size: int = FONT,
    turned: bool = False,
    fill: str = colours.LABEL,
) -> str:
    turn = f' transform="rotate(-90 {_n(x)} {_n(y)})"' if turned else ""
    return (
        f'<text x="{_n(x)}" y="{_n(y)}" text-anchor="{anchor}" font-size="{size}" '
        f'fill="{fill}"{turn}>{html.escape(words)}</text>'
    )


# ---------------------------------------------------------------- legend

Entry = tuple[int, float, str, Series]
"""Row, place from the left, words, series."""


def _legend(plot: Plot) -> list[Entry]:
    """Names of series in rows above the panels; each once, and none where there is one alone."""
    named = {one.name: one for one in plot.series if one.legend}
    if len(named) < 2:
        return []
    entries, row, x = [], 0, 8.0
    for words, one in named.items():
        short = words if len(words) <= 70 else words[:69] + "…"
        wide = 34 + LETTER * len(short) + 16
        if x + wide > WIDTH and x > 8:
            row, x = row + 1, 8.0
        entries.append((row, x, short, one))
        x += wide
    return entries


def _legend_parts(entries: list[Entry], top: float) -> Iterator[str]:
    for row, x, words, one in entries:
        y = top + row * LINE
        middle = y - 5
        if one.line and not one.fill:
            yield (
                f'<path d="M{_n(x)} {_n(middle)}h26" fill="none" stroke="{one.colours[0]}" '
                f'stroke-width="{_n(one.width)}"{_dash_attribute(one.dash)}/>'
            )
        elif one.markers:
            yield f'<circle cx="{_n(x + 13)}" cy="{_n(middle)}" r="4" fill="{one.colours[0]}"/>'
        else:
            yield (
                f'<rect x="{_n(x + 6)}" y="{_n(middle - 6)}" width="14" height="12" '
                f'fill="{one.colours[0]}" fill-opacity="{_n(one.opacity)}"/>'
            )
        yield _text(x + 32, y, words, "start")


def _dash_attribute(dash: str) -> str:
    return f' stroke-dasharray="{DASHES[dash]}"' if dash in DASHES else ""


# ---------------------------------------------------------------- one panel


class _Place:
    """Where numbers of a panel lie on the picture."""

    def __init__(self, panel: Panel, room: tuple[float, float, float, float]) -> None:
        left, top, width, height = room
        x, y = panel.x, panel.y
        self.x0, self.x1 = (left + end * width for end in x.domain)
        self.y0, self.y1 = (top + (1 - end) * height for end in y.domain)
        self.xs, self.ys = _ends(x), _ends(y)
        if (x.same or y.same) and not (x.log or y.log):
            self._even()
        self.logs = x.log, y.log

    def _even(self) -> None:
        """The same length a unit both ways: the axis with room to spare shows more."""
        wide, high = self.x1 - self.x0, self.y0 - self.y1
        unit = max(abs(self.xs[1] - self.xs[0]) / wide, abs(self.ys[1] - self.ys[0]) / high)
        self.xs, self.ys = (
            _around(ends, unit * length) for ends, length in ((self.xs, wide), (self.ys, high))
        )

    def x(self, value: float) -> float:
        return _between(value, self.xs, (self.x0, self.x1), self.logs[0])

    def y(self, value: float) -> float:
        return _between(value, self.ys, (self.y0, self.y1), self.logs[1])


def _ends(axis: Axis) -> tuple[float, float]:
    if axis.log:
        return math.log10(max(axis.low, 1e-99)), math.log10(max(axis.high, 1e-99))
    return axis.low, axis.high


def _around(ends: tuple[float, float], wanted: float) -> tuple[float, float]:
    middle, half = (ends[0] + ends[1]) / 2, math.copysign(wanted / 2, ends[1] - ends[0])
    return middle - half, middle + half


def _between(
    value: float, ends: tuple[float, float], pixels: tuple[float, float], log: bool
) -> float:
    """The pixel of a value, NaN where it has none; never far outside the picture."""
    if log:
        value = math.log10(value) if value > 0 else math.nan
    share = (value - ends[0]) / ((ends[1] - ends[0]) or 1.0)
    return (
        pixels[0] + min(9.0, max(-9.0, share)) * (pixels[1] - pixels[0])
        if share == share
        else share
    )


def _panel(
    plot: Plot, place: int, panel: Panel, room: tuple[float, float, float, float], language: str
) -> Iterator[str]:
    at = _Place(panel, room)
    inner = (
        f'x="{_n(at.x0)}" y="{_n(at.y1)}" width="{_n(at.x1 - at.x0)}" height="{_n(at.y0 - at.y1)}"'
    )
    yield from _axes(panel, at, language)
    yield f'<svg {inner} viewBox="{inner_box(at)}" overflow="hidden">'
    for mark in plot.marks:
        if mark.panel == place and mark.filled:
            yield _mark(mark, at)
    for one in plot.series:
        if one.panel == place:
            yield from {"curve": _curve, "bars": _rectangles, "cells": _rectangles}[one.kind](
                one, at
            )
    for mark in plot.marks:
        if mark.panel == place and not mark.filled:
            yield _mark(mark, at)
    yield "</svg>"
    yield f'<rect {inner} fill="none" stroke="{colours.PALE}"/>'


def inner_box(at: _Place) -> str:
    """The panel's own part of the picture, which what is drawn in it does not leave."""
    return f"{_n(at.x0)} {_n(at.y1)} {_n(at.x1 - at.x0)} {_n(at.y0 - at.y1)}"


def _axes(panel: Panel, at: _Place, language: str) -> Iterator[str]:
    """Grid, ticks and titles."""
    wide, high = at.x1 - at.x0, at.y0 - at.y1
    grid = f'stroke="{colours.STILL}"'
    last = -math.inf
    ticks = _ticks(panel.x, at.xs, max(2, int(wide / 90)), language)
    for x, words in sorted((at.x(value), words) for value, words in ticks):
        yield f'<path d="M{_n(x)} {_n(at.y0)}V{_n(at.y1)}" {grid}/>'
        half = LETTER * len(words) / 2
        if x - half > last:
            yield _text(x, at.y0 + 18, words, "middle")
            last = x + half + 4
    reach = 0.0
    for value, words in _ticks(panel.y, at.ys, max(2, int(high / 45)), language):
        y = at.y(value)
        yield f'<path d="M{_n(at.x0)} {_n(y)}H{_n(at.x1)}" {grid}/>'
        # A name too long for the room stands inside the panel rather than off the picture.
        outside = LETTER * len(words) < at.x0 - 8
        yield _text(at.x0 + (-6 if outside else 6), y + 5, words, "end" if outside else "start")
        reach = max(reach, LETTER * len(words)) if outside else reach
    if panel.x.title:
        yield _text((at.x0 + at.x1) / 2, at.y0 + 40, panel.x.title, "middle", size=15)
    if panel.y.title:
        x = max(14.0, at.x0 - reach - 18)
        yield _text(x, (at.y0 + at.y1) / 2, panel.y.title, "middle", size=15, turned=True)


def _ticks(
    axis: Axis, ends: tuple[float, float], most: int, language: str
) -> list[tuple[float, str]]:
    """Places and words of an axis' ticks, in its own units."""
    low, high = sorted(ends)
    if axis.ticks:
        inside = [
            (v, w) for v, w in axis.ticks if low <= (math.log10(v) if axis.log else v) <= high
        ]
        step = max(1, -(-len(inside) // 40))
        return inside[::step]
    if axis.log:
        return _decades(low, high, most, language)
    step = _nice((high - low) / most)
    first = math.ceil(low / step - 1e-9)
    count = min(60, math.floor(high / step + 1e-9) - first + 1)
    digits = max(0, -math.floor(math.log10(step * (100 if axis.percent else 1)) + 1e-9))
    return [
        (value, format_number(value, digits, axis.percent, language))
        for value in (step * (first + index) for index in range(count))
    ]


def _decades(low: float, high: float, most: int, language: str) -> list[tuple[float, str]]:
    first, last = math.ceil(low - 1e-9), math.floor(high + 1e-9)
    step = max(1, -(-(last - first + 1) // most))
    powers = [(float(power), 1) for power in range(first, last + 1, step)]
    if last - first < 2:
        every = itertools.product(range(math.floor(low), last + 1), (1, 2, 5))
        powers = [(float(power), factor) for power, factor in every]
    found = [(factor * 10**power, power) for power, factor in powers]
    inside = [(v, p) for v, p in found if low - 1e-9 <= math.log10(v) <= high + 1e-9]
    return [(value, _power(value, power, language)) for value, power in inside]


def _power(value: float, power: float, language: str) -> str:
    if -3 <= power <= 4:
        return format_number(value, max(0, -int(power)), False, language)
    raised = str(int(power)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    factor = round(value / 10**power)
    return f"10{raised}" if factor == 1 else f"{factor}·10{raised}"


def _nice(step: float) -> float:
    """The next of 1, 2, 5 times a power of ten."""
    power = 10 ** math.floor(math.log10(step))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= step * (1 - 1e-9))


def format_number(value: float, digits: int, percent: bool, language: str) -> str:
    """A number as the language writes it: 2,880.1 or 2 880,1; 74% or 74 %."""
    if abs(value) >= 1e7 or digits > 6:
        text = f"{value:.3g}"
    else:
        text = f"{100 * value if percent else value:,.{digits}f}"
    text = text.replace("-", "\N{MINUS SIGN}")
    if language == "fr":
        text = text.replace(",", "\N{NARROW NO-BREAK SPACE}").replace(".", ",")
    space = "\N{NARROW NO-BREAK SPACE}" if language == "fr" else ""
    return f"{text}{space}%" if percent else text


# ---------------------------------------------------------------- what stands in it


def _mark(mark: Mark, at: _Place) -> str:
    x0, x1 = (at.x(v) for v in mark.x) if mark.x else (at.x0, at.x1)
    y0, y1 = (at.y(v) for v in mark.y) if mark.y else (at.y0, at.y1)
    if any(math.isnan(v) for v in (x0, x1, y0, y1)):
        return ""
    if mark.filled:
        return _rectangle(x0, x1, y0, y1, mark.colour, mark.opacity)
    return (
        f'<path d="M{_n(x0)} {_n(y0)}L{_n(x1)} {_n(y1)}" fill="none" stroke="{mark.colour}" '
        f'stroke-width="2" stroke-opacity="{_n(mark.opacity)}"{_dash_attribute(mark.dash)}/>'
    )


def _rectangle(x0: float, x1: float, y0: float, y1: float, colour: str, opacity: float) -> str:
    left, top = min(x0, x1), min(y0, y1)
    return (
        f'<rect x="{_n(left)}" y="{_n(top)}" width="{_n(abs(x1 - x0))}" height="{_n(abs(y1 - y0))}" '
        f'fill="{colour}" fill-opacity="{_n(opacity)}"/>'
    )


def _curve(one: Series, at: _Place) -> Iterator[str]:
    points = [(at.x(x), at.y(y)) for x, y in zip(one.x, one.y, strict=True)]
    path = _path(points)
    first = one.colours[0]
    if one.fill:
        yield f'<path d="{path}Z" fill="{first}" fill-opacity="{_n(one.opacity)}"/>'
    elif one.line:
        yield (
            f'<path d="{path}" fill="none" stroke="{first}" stroke-width="{_n(one.width)}" '
            f'stroke-opacity="{_n(one.opacity)}" stroke-linejoin="round"{_dash_attribute(one.dash)}/>'
        )
    yield from _whiskers(one, at)
    if one.markers:
        many = one.colours if len(one.colours) == len(points) else one.colours[:1] * len(points)
        by_colour: dict[str, list[str]] = {}
        for (x, y), paint in zip(points, many, strict=True):
            if x == x and y == y:
                by_colour.setdefault(paint, []).append(f"M{_n(x)} {_n(y)}h0")
        # A point is a line without length and with round ends: a fifth of the bytes of a circle.
        for paint, dots in by_colour.items():
            yield (
                f'<path d="{"".join(dots)}" stroke="{paint}" stroke-width="{_n(one.size)}" '
                f'stroke-opacity="{_n(one.opacity)}" stroke-linecap="round"/>'
            )


def _path(points: list[tuple[float, float]]) -> str:
    """A line through the points, with a gap where one has no place."""
    parts, pen = [], "M"
    for x, y in points:
        if x != x or y != y:
            pen = "M"
            continue
        parts.append(f"{pen}{_n(x)} {_n(y)}")
        pen = "L"
    return "".join(parts)


def _whiskers(one: Series, at: _Place) -> Iterator[str]:
    if one.error is None:
        return
    parts = []
    for x, y, below, above in zip(one.x, one.y, *one.error, strict=True):
        if one.across:
            ends = at.x(x - below), at.x(x + above), at.y(y)
            line = f"M{_n(ends[0])} {_n(ends[2])}H{_n(ends[1])}"
        else:
            ends = at.y(y - below), at.y(y + above), at.x(x)
            line = f"M{_n(ends[2])} {_n(ends[0])}V{_n(ends[1])}"
        if all(end == end for end in ends):
            parts.append(line)
    yield f'<path d="{"".join(parts)}" fill="none" stroke="{colours.WHISKER}" stroke-width="1.5"/>'


def _rectangles(one: Series, at: _Place) -> Iterator[str]:
    many = one.colours if len(one.colours) == len(one.x) else one.colours[:1] * len(one.x)
    for x, y, base, width, paint in zip(one.x, one.y, one.base, one.widths, many, strict=True):
        if one.kind == "cells":
            ends = (x - width / 2, x + width / 2), (y - base / 2, y + base / 2)
        elif one.across:
            ends = (base, x), (y - width / 2, y + width / 2)
        else:
            ends = (x - width / 2, x + width / 2), (base, y)
        pixels = (*map(at.x, ends[0]), *map(at.y, ends[1]))
        if all(pixel == pixel for pixel in pixels):
            yield _rectangle(*pixels, paint, one.opacity)
    for x, y, words, paint in zip(one.x, one.y, one.texts, many, strict=False):
        dark = sum(int(paint[at_ : at_ + 2], 16) for at_ in (1, 3, 5)) < 382
        yield _text(at.x(x), at.y(y) + 5, words, "middle", fill="white" if dark else colours.LABEL)
    if one.kind == "bars":
        yield from _whiskers(one, at)
