"""A Plotly figure as plain numbers, so that it can be drawn without Plotly: on paper, in a notebook.

It reads what the app's figures are made of: curves, points, bars, error bars, heat maps, straight lines and
bands across a panel, on linear, logarithmic and category axes, in one panel or several. The figure may come
out of a file that somebody else made: what is read is bounded, and what cannot be read gives None.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from pages.shared import colours
from pages.teach.sheet_values import Numbers, as_list, colour, per_point, plain, real, scale_colours

MOST_POINTS, MOST_RECTANGLES = 60_000, 20_000
MOST_SERIES, MOST_PANELS, MOST_TEXTS = 200, 60, 400
COLOURS = (
    colours.BLUE,
    colours.VERMILION,
    colours.GREEN,
    colours.PINK,
    colours.SKY,
    colours.AMBER,
    colours.BROWN,
)
"""Of series that name none."""
BAR = 0.8
"""Width of a bar, in steps between bars."""


@dataclass(frozen=True)
class Axis:
    """An axis; ``low`` and ``high`` in its own units, low > high where it runs backwards.

    ``ticks``: places and words where the figure names them, as a category axis does.
    """

    title: str
    log: bool
    low: float
    high: float
    ticks: tuple[tuple[float, str], ...] = ()
    percent: bool = False
    domain: tuple[float, float] = (0.0, 1.0)
    same: bool = False
    """A unit is as long as one of the other axis."""


@dataclass(frozen=True)
class Panel:
    """A pair of axes."""

    x: Axis
    y: Axis


@dataclass(frozen=True)
class Scale:
    """What colours of a heat map mean: from ``low`` up to ``high`` in equal steps."""

    title: str
    low: float
    high: float
    colours: tuple[str, ...]
    shown: bool


@dataclass(frozen=True)
class Series:
    """Numbers under one name. ``colours``: one, or one a point, ``#rrggbb``.

    ``kind``: ``curve``, ``bars`` or ``cells`` of a heat map. Of bars, ``x`` and ``y`` are their ends,
    ``base`` where they begin, ``widths`` how broad they are, ``across`` whether they lie; of cells, ``x``
    and ``y`` are their middles, ``widths`` and ``base`` their sides, ``values`` what they hold, ``texts``
    what is written in them. ``error``: lengths below and above of the whiskers along the value.
    """

    panel: int
    kind: str
    name: str
    x: Numbers
    y: Numbers
    colours: tuple[str, ...]
    opacity: float = 1.0
    line: bool = False
    markers: bool = False
    dash: str = "solid"
    width: float = 2.0
    size: float = 6.0
    fill: bool = False
    across: bool = False
    base: Numbers = ()
    widths: Numbers = ()
    error: tuple[Numbers, Numbers] | None = None
    values: Numbers = ()
    texts: tuple[str, ...] = ()
    scale: Scale | None = None
    legend: bool = True


@dataclass(frozen=True)
class Mark:
    """A line or a rectangle over a panel; None where it goes from edge to edge."""

    panel: int
    filled: bool
    x: tuple[float, float] | None
    y: tuple[float, float] | None
    colour: str
    dash: str
    opacity: float


@dataclass(frozen=True)
class Note:
    """Words at a place, given in shares of the whole figure."""

    words: str
    x: float
    y: float


@dataclass(frozen=True)
class Plot:
    """All of a figure; ``height`` in pixels of a figure that is 760 wide."""

    panels: tuple[Panel, ...]
    series: tuple[Series, ...]
    marks: tuple[Mark, ...] = ()
    notes: tuple[Note, ...] = ()
    title: str = ""
    height: float = 360.0


def read(figure: str) -> Plot | None:
    """The figure in its JSON, or None where it holds what is not read here or nothing at all."""
    try:
        return _plot(json.loads(figure))
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        RecursionError,
        TypeError,
        ValueError,
    ):
        return None


# ---------------------------------------------------------------- axes


class _Scale:
    """Places along an axis: numbers as they are, words in the order in which they come."""

    def __init__(self, layout: Mapping[str, object], lists: Sequence[Sequence[object]]) -> None:
        self.layout = layout
        words = [one for of in lists for one in of if isinstance(one, str)]
        named = bool(words) and any(math.isnan(real(word)) for word in words)
        self.words: list[str] | None = None
        if layout.get("type") == "category" or named:
            self.words = list(
                dict.fromkeys(str(one) for of in lists for one in of if one is not None)
            )
            self.place = {word: float(index) for index, word in enumerate(self.words)}
        self.log = layout.get("type") == "log" and self.words is None

    def at(self, values: Sequence[object]) -> Numbers:
        if self.words is None:
            return tuple(real(value) for value in values)
        return tuple(self.place.get(str(value), math.nan) for value in values)

    def ticks(self) -> tuple[tuple[float, str], ...]:
        layout = self.layout
        if layout.get("tickvals") is not None:
            places = self.at(as_list(layout["tickvals"]))
            words = as_list(layout.get("ticktext")) or [f"{place:g}" for place in places]
            found = zip(places, words, strict=False)
            return tuple((p, plain(w)) for p, w in found if p == p and (p > 0 or not self.log))[
                :100
            ]
        if self.words is None:
            return ()
        step = -(-len(self.words) // 40)
        return tuple((float(i), plain(w)) for i, w in enumerate(self.words) if i % step == 0)

    def axis(self, values: Numbers, zero: bool) -> Axis:
        low, high = self.ends(values, zero)
        if not max(abs(low), abs(high)) * 1e-9 < abs(high - low) < 1e90:
            raise ValueError("an axis without length")
        domain = [min(1.0, max(0.0, float(one))) for one in self.layout.get("domain") or (0, 1)]
        return Axis(
            title=plain(self.layout.get("title")),
            log=self.log,
            low=low,
            high=high,
            ticks=self.ticks(),
            percent="%" in str(self.layout.get("tickformat", "")),
            domain=(domain[0], max(domain[1], domain[0] + 0.01)),
            same="scaleanchor" in self.layout,
        )

    def ends(self, values: Numbers, zero: bool) -> tuple[float, float]:
        """Where the axis begins and ends: as the figure says, or around its numbers."""
        named = [real(one) for one in self.layout.get("range") or ()]
        if len(named) == 2 and all(map(math.isfinite, named)) and named[0] != named[1]:
            return (10 ** named[0], 10 ** named[1]) if self.log else (named[0], named[1])
        found = [v for v in values if math.isfinite(v) and (v > 0 or not self.log)] or [1.0]
        low, high = min(found), max(found)
        if self.words is not None:
            low, high = -0.5, len(self.words) - 0.5
        elif self.log:
            room = (high / low) ** 0.04 if high > low else 3.0
            low, high = low / room, high * room
        else:
            room = 0.05 * (high - low) or abs(high) or 1.0
            if zero or self.layout.get("rangemode") == "tozero":
                low, high = min(low, 0.0), max(high, 0.0)
            low, high = low - room * (low != 0 or not zero), high + room * (high != 0 or not zero)
        return (high, low) if self.layout.get("autorange") == "reversed" else (low, high)


# ---------------------------------------------------------------- the figure


def _plot(figure: Mapping[str, object]) -> Plot | None:
    layout = figure.get("layout") or {}
    traces = [trace for trace in figure["data"][:MOST_SERIES] if trace.get("visible", True) is True]
    pairs = [(str(t.get("xaxis", "x")), str(t.get("yaxis", "y"))) for t in traces]
    panels = list(dict.fromkeys(pairs))
    if not traces or len(panels) > MOST_PANELS or len(figure["data"]) > MOST_SERIES:
        return None
    scales = {
        name: _Scale(layout.get(f"{name[0]}axis{name[1:]}") or {}, _along(name, traces, pairs))
        for pair in panels
        for name in pair
    }
    series = []
    for index, (trace, pair) in enumerate(zip(traces, pairs, strict=True)):
        x, y = scales[pair[0]], scales[pair[1]]
        own = COLOURS[index % len(COLOURS)]
        series.append(_series(trace, panels.index(pair), x, y, own))
    mode = layout.get("barmode", "group")
    if mode in ("stack", "relative"):
        series = _stacked(series)
    elif mode == "group":
        series = _grouped(series, traces)
    for curve, most in ((True, MOST_POINTS), (False, MOST_RECTANGLES)):
        if sum(len(one.x) for one in series if (one.kind == "curve") == curve) > most:
            return None
    marks = tuple(_marks(layout, panels, scales))
    made = tuple(_panel(place, pair, series, marks, scales) for place, pair in enumerate(panels))
    height = real(layout.get("height"))
    return Plot(
        panels=made,
        series=tuple(series),
        marks=marks,
        notes=tuple(_notes(layout)),
        title=plain(layout.get("title")),
        height=min(900.0, max(240.0, height)) if height == height else 360.0,
    )


def _along(name: str, traces: Sequence[Mapping], pairs: Sequence[tuple]) -> list[list[object]]:
    """All that the traces have along one axis."""
    place = 0 if name.startswith("x") else 1
    return [
        as_list(trace.get("xy"[place]))
        for trace, pair in zip(traces, pairs, strict=True)
        if pair[place] == name
    ]


def _panel(
    place: int,
    pair: tuple[str, str],
    series: Sequence[Series],
    marks: Sequence[Mark],
    scales: Mapping[str, _Scale],
) -> Panel:
    own = [one for one in series if one.panel == place]
    spans = [_span(one) for one in own]
    spans += [(mark.x or (), mark.y or ()) for mark in marks if mark.panel == place]
    bars = [one for one in own if one.kind == "bars"]
    tight = all(one.kind == "cells" for one in own)
    axes = []
    for along, name in enumerate(pair):
        values = tuple(v for span in spans for v in span[along])
        zero = any(one.across == (along == 0) and 0.0 in one.base for one in bars)
        axis = scales[name].axis(values, zero)
        if tight and not scales[name].words and "range" not in scales[name].layout:
            ends = [v for v in values if v == v]
            low, high = (max, min) if axis.low > axis.high else (min, max)
            axis = replace(axis, low=low(ends), high=high(ends))
        axes.append(axis)
    return Panel(*axes)


def _span(one: Series) -> tuple[Numbers, Numbers]:
    """The numbers that a series needs room for, along x and y."""
    along, value = (one.y, one.x) if one.across else (one.x, one.y)
    if one.kind in ("bars", "cells"):
        sides = [w / 2 for w in one.widths]
        edges = zip(along, sides, strict=True)
        along = tuple(end for p, side in edges for end in (p - side, p + side))
    if one.kind == "bars":
        value = (*value, *one.base)
    if one.kind == "cells":
        value = tuple(
            end for v, w in zip(value, one.base, strict=True) for end in (v - w / 2, v + w / 2)
        )
    if one.error:
        ends = one.x if one.across else one.y
        below = (v - e for v, e in zip(ends, one.error[0], strict=True))
        value = (*value, *below, *(v + e for v, e in zip(ends, one.error[1], strict=True)))
    return (value, along) if one.across else (along, value)


def _series(trace: Mapping, panel: int, x: _Scale, y: _Scale, own: str) -> Series:
    kind = trace.get("type", "scatter")
    name = plain(trace.get("name"))
    shown = trace.get("showlegend", True) is not False and bool(name)
    if kind in ("scatter", "scattergl"):
        return _curve(trace, panel, x, y, own, name, shown)
    if kind == "bar":
        return _bars(trace, panel, x, y, own, name, shown)
    if kind == "heatmap":
        return _cells(trace, panel, x, y)
    raise ValueError(f"{kind} is not read")


def _curve(
    trace: Mapping, panel: int, x: _Scale, y: _Scale, own: str, name: str, shown: bool
) -> Series:
    ys = y.at(as_list(trace.get("y")))
    xs = x.at(as_list(trace["x"])) if "x" in trace else tuple(float(i) for i in range(len(ys)))
    count = min(len(xs), len(ys))
    # Plotly's own default.
    mode = str(trace.get("mode", "lines" if count > 19 else "lines+markers"))
    line, marker = trace.get("line") or {}, trace.get("marker") or {}
    fill = trace.get("fill") in ("toself", "tozeroy", "tonexty")
    named = marker.get("color") if "lines" not in mode else line.get("color")
    found, alpha = colour(trace.get("fillcolor") if fill else named, own)
    many = (found,)
    if not isinstance(named, str) and named is not None and not fill:
        many = _many_colours(marker, count, own)
    size = max([s for s in per_point(marker.get("size"), 1, 6.0) if s == s], default=6.0)
    opacity = real(marker.get("opacity", trace.get("opacity", 1.0)))
    width = real(line.get("width", 2.0))
    return Series(
        panel=panel,
        kind="curve",
        name=name,
        x=xs[:count],
        y=ys[:count],
        colours=many,
        opacity=alpha * (min(1.0, max(0.0, opacity)) if opacity == opacity else 1.0),
        line="lines" in mode and width > 0,
        markers="markers" in mode,
        dash=str(line.get("dash", "solid")),
        width=min(8.0, max(0.5, width)) if width == width else 2.0,
        size=min(24.0, max(1.0, size)),
        fill=fill,
        error=_error(trace.get("error_y"), ys[:count]),
        legend=shown,
    )


def _many_colours(marker: Mapping, count: int, own: str) -> tuple[str, ...]:
    found = as_list(marker.get("color"))
    if len(found) != count or not found:
        return (own,)
    if any(isinstance(one, str) for one in found):
        return tuple(colour(one, own)[0] for one in found)
    values = tuple(real(one) for one in found)
    known = [v for v in values if v == v] or [0.0]
    low, high = real(marker.get("cmin", min(known))), real(marker.get("cmax", max(known)))
    return scale_colours(values, low, high, marker.get("colorscale"))


def _error(found: object, values: Numbers) -> tuple[Numbers, Numbers] | None:
    if not isinstance(found, dict) or found.get("array") is None:
        return None
    above = _lengths(found["array"], len(values))
    below = found.get("arrayminus")
    return (above if below is None else _lengths(below, len(values))), above


def _lengths(found: object, count: int) -> Numbers:
    return tuple(abs(one) for one in per_point(found, count, math.nan))


def _bars(
    trace: Mapping, panel: int, x: _Scale, y: _Scale, own: str, name: str, shown: bool
) -> Series:
    across = trace.get("orientation") == "h"
    xs, ys = x.at(as_list(trace.get("x"))), y.at(as_list(trace.get("y")))
    # Places that are not named are counted.
    xs, ys = xs or tuple(map(float, range(len(ys)))), ys or tuple(map(float, range(len(xs))))
    count = min(len(xs), len(ys))
    xs, ys = xs[:count], ys[:count]
    places = sorted({p for p in (ys if across else xs) if p == p})
    step = min((b - a for a, b in itertools.pairwise(places)), default=1.0)
    marker = trace.get("marker") or {}
    single, alpha = colour(marker.get("color"), own)
    many = (single,)
    if isinstance(marker.get("color"), list | dict):
        many = _many_colours(marker, count, own)
    opacity = real(marker.get("opacity", trace.get("opacity", 1.0)))
    values = xs if across else ys
    base = per_point(trace.get("base"), count, 0.0)
    ends = tuple(b + v for b, v in zip(base, values, strict=True))
    return Series(
        panel=panel,
        kind="bars",
        name=name,
        x=ends if across else xs,
        y=ys if across else ends,
        colours=many,
        opacity=alpha * (opacity if 0 <= opacity <= 1 else 1.0),
        across=across,
        base=base,
        widths=per_point(trace.get("width"), count, BAR * step),
        error=_error(trace.get("error_x" if across else "error_y"), ends),
        legend=shown,
    )


def _grouped(series: Sequence[Series], traces: Sequence[Mapping]) -> list[Series]:
    """Bars of one place next to one another, unless the figure says how wide they are."""
    made = list(series)
    free = [
        index
        for index, (one, trace) in enumerate(zip(series, traces, strict=True))
        if one.kind == "bars" and trace.get("width") is None and trace.get("base") is None
    ]
    for panel in {series[index].panel for index in free}:
        group = [index for index in free if series[index].panel == panel]
        for place, index in enumerate(group):
            one = series[index]
            shift = (place + 0.5) / len(group) - 0.5
            along = one.y if one.across else one.x
            moved = tuple(p + shift * w for p, w in zip(along, one.widths, strict=True))
            widths = tuple(w / len(group) for w in one.widths)
            ends = {"y": moved} if one.across else {"x": moved}
            made[index] = replace(one, widths=widths, **ends)
    return made


def _stacked(series: Sequence[Series]) -> list[Series]:
    """Bars of one place on top of one another: those above zero upwards, those below downwards."""
    made, tops = [], {}
    for one in series:
        if one.kind != "bars":
            made.append(one)
            continue
        along, ends = (one.y, one.x) if one.across else (one.x, one.y)
        base, top = [], []
        for place, begin, end in zip(along, one.base, ends, strict=True):
            length = end - begin
            key = (one.panel, place, length < 0)
            begin = tops.get(key, 0.0)
            tops[key] = begin + (length if length == length else 0.0)
            base.append(begin)
            top.append(begin + length)
        moved = {"x": tuple(top)} if one.across else {"y": tuple(top)}
        made.append(replace(one, base=tuple(base), **moved))
    return made


def _cells(trace: Mapping, panel: int, x: _Scale, y: _Scale) -> Series:
    """A heat map as one rectangle a cell: ``widths`` across, ``base`` how high."""
    z = [as_list(row) for row in as_list(trace.get("z"))]
    down, over = len(z), max(len(row) for row in z)
    if down * over > MOST_RECTANGLES or any(len(row) != over for row in z):
        raise ValueError("no table")
    xs = x.at(as_list(trace["x"])) if "x" in trace else tuple(float(i) for i in range(over))
    ys = y.at(as_list(trace["y"])) if "y" in trace else tuple(float(i) for i in range(down))
    if (len(xs), len(ys)) != (over, down):
        raise ValueError("a table needs one place a column and a row")
    values = tuple(real(value) for row in z for value in row)
    known = [v for v in values if v == v] or [0.0]
    low, high = real(trace.get("zmin", min(known))), real(trace.get("zmax", max(known)))
    scale = trace.get("colorscale")
    if trace.get("reversescale") is True:
        low, high = high, low
    texts = trace.get("text") if trace.get("texttemplate") == "%{text}" else None
    texts = tuple(plain(one) for row in as_list(texts) for one in as_list(row))
    least, most = min(low, high), max(low, high)
    steps = tuple(least + (most - least) * step / 20 for step in range(21))
    bar = Scale(
        title=plain((trace.get("colorbar") or {}).get("title")),
        low=least,
        high=most,
        colours=scale_colours(steps, low, high, scale),
        shown=trace.get("showscale") is not False and most - least > 1e-12 * abs(most),
    )
    return Series(
        panel=panel,
        kind="cells",
        name=plain(trace.get("name")),
        x=xs * down,
        y=tuple(place for place in ys for _column in xs),
        colours=scale_colours(values, low, high, scale),
        base=(_step(ys),) * len(values),
        widths=(_step(xs),) * len(values),
        values=values,
        texts=texts if len(texts) == len(values) <= MOST_TEXTS else (),
        scale=bar,
        legend=False,
    )


def _step(places: Numbers) -> float:
    """How far apart neighbouring places are; 1 where there is one."""
    apart = [abs(b - a) for a, b in itertools.pairwise(places) if a != b]
    return min(apart, default=1.0)


# ---------------------------------------------------------------- what lies over it


def _marks(
    layout: Mapping, panels: Sequence[tuple[str, str]], scales: Mapping[str, _Scale]
) -> Iterator[Mark]:
    """Lines and bands that the figure draws over its panels."""
    for shape in (layout.get("shapes") or [])[:MOST_SERIES]:
        refs = [str(shape.get(f"{name}ref", name)) for name in "xy"]
        names = tuple(ref.removesuffix(" domain") for ref in refs)
        if names not in panels or shape.get("type", "rect") not in ("line", "rect"):
            continue
        ends = []
        for name, ref in zip(names, refs, strict=True):
            found = scales[name].at([shape.get(f"{ref[0]}0"), shape.get(f"{ref[0]}1")])
            ends.append(None if ref.endswith(" domain") else (found[0], found[1]))
        filled = shape.get("type", "rect") == "rect" and bool(shape.get("fillcolor"))
        line = shape.get("line") or {}
        paint, alpha = colour(shape.get("fillcolor") if filled else line.get("color"), colours.GREY)
        opacity = real(shape.get("opacity", 1.0))
        yield Mark(
            panel=panels.index(names),
            filled=filled,
            x=ends[0],
            y=ends[1],
            colour=paint,
            dash=str(line.get("dash", "solid")),
            opacity=alpha * (opacity if 0 <= opacity <= 1 else 1.0),
        )


def _notes(layout: Mapping) -> Iterator[Note]:
    """Words at a place of the whole figure, as titles of its panels are; others point at the screen."""
    for note in (layout.get("annotations") or [])[:MOST_SERIES]:
        x, y, words = real(note.get("x")), real(note.get("y")), plain(note.get("text"))
        if (
            note.get("xref") == note.get("yref") == "paper"
            and words
            and 0 <= x <= 1
            and 0 <= y <= 1
        ):
            yield Note(words, x, y)
