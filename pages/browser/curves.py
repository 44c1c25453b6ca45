"""Charts that move with a timeline while the hand holds it: curves, spectra, maps of points.

A chart is series on two axes, sent once. A series stays as it is, or is another one at every stop. Where
the timeline is the horizontal axis (``along``), a line stands at its stop, a dot on every curve that has a
value there, and the chart is a handle of the timeline itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor, log10
from typing import Literal

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from pages.browser import serving
from pages.browser.component import Component
from pages.browser.film import STOP
from pages.shared import shape
from pages.shared.colours import GREY
from pages.shared.text import _

_CHART = Component("curves")
HEIGHT = 340
ROOM = 0.05
"""Of what a vertical axis spans, left free above and below the data."""
NAME, AROUND = 28, 90
"""Pixels: what the name of a level takes beyond it, and how much of a chart's height its axes take."""
MOST_DIGITS = 9
TEXT = "currentColor"
"""A colour: that of the text, in either theme."""

Dash = Literal["solid", "dash", "dot", "dashdot", "longdash"]
Symbol = Literal[
    "circle",
    "square",
    "triangle-up",
    "triangle-down",
    "diamond",
    "cross",
    "x",
    "star",
    "circle-open",
    "square-open",
    "diamond-open",
]


@dataclass(frozen=True)
class Axis:
    """One axis, the same at all stops.

    ``span``: where it begins and ends; without it, as far as the data goes. ``whole``: ticks at whole
    numbers alone. ``bare``: no ticks. ``digits``: decimals of a value in words; None: three digits that
    count.
    """

    title: str
    span: tuple[float, float] | None = None
    log: bool = False
    percent: bool = False
    whole: bool = False
    bare: bool = False
    digits: int | None = None


@dataclass(frozen=True)
class Series:
    """A curve, or points where it has a ``symbol``; NaN is a gap.

    It stays as it is: x and y (N,), with a ``band`` from low (N,) to high (N,) around it. Or it is another
    one at each of S ``stops``, in rising order: y (S, N), x (N,) or (S, N); between two of them it stays
    that of the one before. ``name`` stands in the legend, unless it is empty.
    """

    name: str
    x: np.ndarray
    y: np.ndarray
    colour: str
    dash: Dash = "solid"
    width: float = 3.0
    symbol: Symbol | None = None
    stops: Sequence[int] | None = None
    band: tuple[np.ndarray, np.ndarray] | None = None

    def __post_init__(self) -> None:
        rows = () if self.stops is None else (len(self.stops),)
        count = np.shape(self.y)[-1]
        if np.shape(self.y) != (*rows, count):
            raise ValueError(f"y must be {(*rows, count)}, got {np.shape(self.y)}")
        if np.shape(self.x) not in ((count,), (*rows, count)):
            raise ValueError(f"x must be {(count,)} or {(*rows, count)}, got {np.shape(self.x)}")
        if any(np.shape(edge) != (count,) for edge in self.band or ()):
            raise ValueError(f"low and high of a band must be {(count,)}")
        if rows and (not rows[0] or list(self.stops) != sorted(self.stops)):
            raise ValueError(f"stops must be some numbers in rising order, got {self.stops}")


@dataclass(frozen=True)
class Level:
    """A horizontal line that curves are read against, with its name next to it."""

    value: float
    name: str = ""
    colour: str = GREY
    dash: Dash = "dash"


def chart(
    key: str,
    timeline: str,
    series: Sequence[Series],
    x: Axis,
    y: Axis,
    alt: str,
    *,
    now: str = "",
    levels: Sequence[Level] = (),
    marks: Sequence[float] = (),
    shift: int = 0,
    along: bool = True,
    square: bool = False,
    height: int = HEIGHT,
    figure: str | None = None,
) -> None:
    """Mounts a chart that follows the timeline of that key.

    ``alt``, and ``now``, which stands before the legend, may hold ``film.STOP``. ``marks``: where a thin
    vertical line stands. ``shift``: how far right of its own number a stop lies on the axis. ``square``:
    both axes have one scale; else the chart is ``height`` pixels high, legend apart. ``figure``: the one
    that this chart is a part of, where that has several.
    """
    parts = [
        np.asarray(part, dtype="<f4").reshape(-1)
        for one in series
        for part in (one.x, one.y, *(one.band or ()))
    ]
    flat = np.concatenate(parts) if parts else np.empty(0, dtype="<f4")
    now_at = st.session_state.get(timeline)
    shape.run().plots[key] = lambda: plot_of(series, x, y, levels, now_at, marks)
    now_there = None if now_at is None else now_at + shift
    with shape.figure(figure or key, alt.replace(STOP, str(now_there))):
        _CHART(
            key,
            {
                "timeline": timeline,
                "alt": alt,
                "now": now,
                "name": key,
                "along": along,
                "marks": [float(mark) for mark in marks],
                "shift": shift,
                "square": square,
                "height": shape.height(height),
                "largest": shape.largest(),
                "address": serving.offer(flat.tobytes(), "curves"),
                "x": _spec(x, x.span or _span([one.x for one in series], x.log)),
                "y": _spec(y, y.span or _roomy(series, levels, y.log, height)),
                "series": [
                    {
                        "name": one.name,
                        "colour": one.colour,
                        "dash": one.dash,
                        "width": one.width,
                        "symbol": one.symbol,
                        "stops": None if one.stops is None else list(one.stops),
                        "count": int(np.shape(one.y)[-1]),
                        "x_moves": np.ndim(one.x) == 2,
                        "band": one.band is not None,
                    }
                    for one in series
                ],
                "levels": [
                    {
                        "value": level.value,
                        "name": level.name,
                        "colour": level.colour,
                        "dash": level.dash,
                    }
                    for level in levels
                ],
                "words": {"save": _("Picture (SVG)"), "nothing": "–"},
            },
        )


def plot_of(
    series: Sequence[Series],
    x: Axis,
    y: Axis,
    levels: Sequence[Level],
    stop: int | None,
    marks: Sequence[float] = (),
) -> go.Figure:
    """The chart as a Plotly figure, which papers and notebooks draw: moving series as they are at a stop."""
    figure = go.Figure()
    for one in series:
        at = 0
        if one.stops is not None and stop is not None:
            at = max(int(np.searchsorted(one.stops, stop, side="right")) - 1, 0)
        across = np.asarray(one.x)[at] if np.ndim(one.x) == 2 else np.asarray(one.x)
        up = np.asarray(one.y)[at] if one.stops is not None else np.asarray(one.y)
        figure.add_trace(
            go.Scatter(
                x=across.tolist(),
                y=[None if np.isnan(value) else float(value) for value in up],
                name=one.name,
                showlegend=bool(one.name),
                mode="markers" if one.symbol else "lines",
                line={"color": one.colour, "width": one.width, "dash": one.dash},
                marker={"color": one.colour, "symbol": one.symbol or "circle"},
            )
        )
    for level in levels:
        figure.add_hline(
            level.value, line_dash=level.dash, line_color=level.colour, annotation_text=level.name
        )
    for mark in marks:
        figure.add_vline(mark, line_dash="dot", line_color=GREY, line_width=1)
    for axis, update in ((x, figure.update_xaxes), (y, figure.update_yaxes)):
        update(title=axis.title, type="log" if axis.log else "linear")
        if axis.percent:
            update(tickformat=".0%")
        if axis.span is not None:
            update(range=[log10(edge) if axis.log else edge for edge in axis.span])
    return figure


def _spec(axis: Axis, span: tuple[float, float]) -> dict[str, object]:
    digits = axis.digits
    if digits is None and not axis.log:
        size = (100 if axis.percent else 1) * (span[1] - span[0])
        digits = min(max(2 - floor(log10(size)), 0), MOST_DIGITS)
    return {
        "title": axis.title,
        "low": float(span[0]),
        "high": float(span[1]),
        "log": axis.log,
        "percent": axis.percent,
        "whole": axis.whole,
        "bare": axis.bare,
        "digits": digits,
    }


def _span(data: Sequence[np.ndarray], log: bool) -> tuple[float, float]:
    """From the smallest to the largest value; never empty."""
    flat = np.concatenate([np.asarray(part, dtype=float).reshape(-1) for part in data] or [[]])
    flat = flat[np.isfinite(flat) & ((flat > 0) | (not log))]
    if not len(flat):
        return (1.0, 10.0) if log else (0.0, 1.0)
    low, high = float(flat.min()), float(flat.max())
    if low < high:
        return low, high
    return (low / 2, 2 * high) if log else (low - 0.5, high + 0.5)


def _roomy(
    series: Sequence[Series], levels: Sequence[Level], log: bool, height: int
) -> tuple[float, float]:
    """What a vertical axis spans: all series and levels, with room around them, and with so much of it
    beyond a level near an end that its name, which is as high in a small chart, need not lie on a curve.
    """
    data = [part for one in series for part in (one.y, *(one.band or ()))]
    low, high = _span([*data, np.array([level.value for level in levels])], log)

    def share(value: float) -> float:
        return np.log(value / low) / np.log(high / low) if log else (value - low) / (high - low)

    name = NAME / (height - AROUND)
    named = [share(level.value) for level in levels if level.name]
    below = max([ROOM, *(name - one for one in named)])
    above = max([ROOM, *(name - (1 - one) for one in named)])
    if log:
        return low * (low / high) ** below, high * (high / low) ** above
    return low - below * (high - low), high + above * (high - low)
