"""How charts look: letters, margins, ticks and legends that all have in common, and larger on a stage."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

# Plotly asks whether pandas is there, and fails on one that another visitor's thread is importing.
import pandas  # noqa: F401
import plotly.graph_objects as go

from pages.shared.text import language, percent

OF_A_TRACE = ("name", "x", "y", "text", "hovertext", "customdata")
"""Where Plotly may find words in a trace that pages take from a bundle, and reads them as markup."""

Spec = dict[str, Any]
"""A figure, or a part of one, as Plotly's dictionary."""


def escape_words(spec: Spec) -> None:
    """Words of a figure stand there letter for letter, but for ``<br>``, in place.

    A class may be called ``<b>``, after its folder. Templates of pages are left as they are.
    """
    layout = spec["layout"]
    titled = [one.get("title", {}) for one in (layout, layout.get("legend", {}), *_axes(layout))]
    parts = [(trace, OF_A_TRACE) for trace in spec["data"]]
    parts += [(one, ("text",)) for one in (*titled, *layout.get("annotations", ()))]
    parts += [(axis, ("ticktext",)) for axis in _axes(layout)]
    for part, keys in parts:
        for key in keys:
            if key in part:
                part[key] = _escaped(part[key])


def _escaped(value: object) -> object:
    """Words, or a list of them; all else as it is."""
    if isinstance(value, str):
        return value.replace("&", "&amp;").replace("<", "&lt;").replace("&lt;br>", "<br>")
    if isinstance(value, np.ndarray) and value.dtype.kind not in "OU":
        return value
    if isinstance(value, list | tuple | np.ndarray) and any(isinstance(one, str) for one in value):
        return [_escaped(one) for one in value]
    return value


def in_house_style(figure: go.Figure, height: int) -> go.Figure:
    """The same figure, its letters, margins and legend as all figures have them.

    A page makes its figures with every move, so they are dressed as dictionaries: Plotly checks each value
    that is set on a figure, which takes it ten milliseconds for these few.
    """
    spec = figure.to_dict()
    escape_words(spec)
    layout = spec["layout"]
    named = [one for one in spec["data"] if one.get("showlegend") is not False and one.get("name")]
    crowned = len(named) > 1 or layout.get("annotations") or layout.get("title", {}).get("text")
    layout["height"] = height
    layout["separators"] = ",\u202f" if language() == "fr" else ".,"
    layout["margin"] = {"l": 10, "r": 10, "t": 60 if crowned else 34, "b": 10}
    layout.setdefault("font", {})["size"] = 15
    legend = layout.setdefault("legend", {})
    legend |= {"orientation": "h", "yanchor": "bottom", "y": 1.0, "x": 0, "entrywidth": 0}
    legend.setdefault("font", {})["size"] = 15
    layout.setdefault("xaxis", {})
    layout.setdefault("yaxis", {})
    if language() == "fr":
        percent_ticks(spec)
    for axis in _axes(layout):
        axis.setdefault("tickfont", {})["size"] = 14
        axis.setdefault("separatethousands", True)  # or 1000 stands next to the text's 1,000
        axis.setdefault("title", {}).setdefault("font", {})["size"] = 16
    return go.Figure(spec, _validate=False)


def _numbers(of: object) -> np.ndarray:
    """Values of a trace, which Plotly packs where they were an array."""
    if isinstance(of, dict):
        return np.frombuffer(base64.b64decode(of["bdata"]), of["dtype"]).astype(float)
    return np.asarray(of, dtype=float).ravel()


STEPS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
"""Shares from one tick to the next."""


def percent_ticks(spec: Spec) -> None:
    """Ticks in percent with a space before the sign, in place: Plotly's own formats have none."""
    layout = spec["layout"]
    for name in [name for name in layout if name.startswith(("xaxis", "yaxis"))]:
        axis = layout[name]
        if "%" not in axis.get("tickformat", "") or "tickvals" in axis:
            continue
        letter, of = name[0], name[0] + name[5:]
        traces = [one for one in spec["data"] if one.get(f"{letter}axis", letter) == of]
        held = [_numbers(one[letter]) for one in traces if letter in one]
        bars = any(one["type"] == "bar" for one in traces) or axis.get("rangemode") == "tozero"
        flat = np.concatenate([*held, [0.0] if bars or not held else []])
        flat = flat[np.isfinite(flat)] if np.isfinite(flat).any() else np.zeros(1)
        low, high = axis.get("range") or (flat.min(), flat.max())
        if layout.get("barmode") == "stack":
            high = max(high, 1.0)
        most = 6 if letter == "y" else 3  # words next to one another need room
        step = axis.get("dtick") or next((s for s in STEPS if (high - low) / s <= most), STEPS[-1])
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        axis["tickvals"] = [place * step for place in range(first, last + 1)]
        axis["ticktext"] = [percent(stop) for stop in axis["tickvals"]]


def _axes(layout: Spec) -> list[Spec]:
    return [layout[key] for key in layout if key.startswith(("xaxis", "yaxis"))]


STAGE, STAGE_HEIGHT, STAGE_SHARED = 1.5, 590, 280
"""How much larger a chart is drawn on a stage, and how many pixels high it is there at most: alone, and next to
another figure."""


def enlarged(figure: go.Figure, *, alone: bool) -> go.Figure:
    """A chart for a lecture hall: letters, lines and points half as large again. ``alone``: no other figure
    stands next to it."""
    made = go.Figure(figure)
    layout = made.layout
    margin = {side: STAGE * (layout.margin[side] or 0) for side in "lrtb"}
    most = STAGE_HEIGHT if alone else STAGE_SHARED
    made.update_layout(height=min(STAGE * layout.height, most), margin=margin)
    fonts = [layout.font, layout.legend.font, layout.title.font]
    axes = [*made.select_xaxes(), *made.select_yaxes()]
    fonts += [font for axis in axes for font in (axis.title.font, axis.tickfont)]
    fonts += [note.font for note in layout.annotations]
    for font in fonts:
        if font.size:
            font.size *= STAGE
    for trace in made.data:
        for part in ("line", "marker"):
            drawn = getattr(trace, part, None)
            name = "width" if part == "line" else "size"
            value = getattr(drawn, name, None)
            if isinstance(value, int | float):
                setattr(drawn, name, STAGE * value)
    for one in layout.shapes:
        if one.line.width:
            one.line.width *= STAGE
    return made


def line(
    x: Sequence[float],
    y: Sequence[float],
    name: str,
    colour: str,
    *,
    dash: str = "solid",
    markers: bool = False,
) -> go.Scatter:
    """One named curve."""
    return go.Scatter(
        x=x,
        y=y,
        name=name,
        mode="lines+markers" if markers else "lines",
        line={"color": colour, "width": 3, "dash": dash},
    )


def band(
    x: Sequence[float], low: np.ndarray, high: np.ndarray, colour: str, name: str = ""
) -> go.Scatter:
    """A shaded band between two curves; in the legend where it has a name."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return go.Scatter(
        x=[*x, *reversed(x)],
        y=[*high, *reversed(low)],
        mode="lines",
        fill="toself",
        fillcolor=f"rgba({red},{green},{blue},0.18)",
        line={"width": 0},
        hoverinfo="skip",
        name=name,
        showlegend=bool(name),
    )
