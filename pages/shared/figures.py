"""Figures: pictures and charts with alt text, and one button that says where they come from."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal
from urllib.parse import quote

import numpy as np

# Plotly asks whether pandas is there, and fails on one that another visitor's thread is importing.
import pandas  # noqa: F401
import plotly.graph_objects as go
import streamlit as st
from PIL import Image, ImageDraw, ImageFont
from streamlit.delta_generator import DeltaGenerator

from core.bundles.bundle import Bundle
from core.pictures.images import (
    Pictures,
    enlarge,
    gif_bytes,
    grid,
    jpeg_bytes,
    png_bytes,
    webp_bytes,
)
from pages.shared import colours, pins, shape
from pages.shared.kept import Kept
from pages.shared.text import _, language, led_to, number, percent

ROW, WIDE = 532, 840
APART = 16
"""In a row the gap between two pictures is their side divided by this."""
MARK = np.array([int(colours.MARK[at : at + 2], 16) for at in (1, 3, 5)], dtype=np.uint8)
HEIGHT = 360
STRIP_FACTOR = 4
EXACT = 8
"""A sheet for a moment of so many pictures at most is shown without loss."""
FILES: Kept[bytes] = Kept(128)
"""Files of large pictures, of some 100 kB each, by their content."""
CHARTS: Kept[go.Figure] = Kept(64)
"""Figures of many parts, which nobody changes once they are drawn."""
PART, PART_FONT = 6, 28
"""A table of more columns is shown in parts of so many, in letters of so many pixels."""


# ---------------------------------------------------------------- pictures


SHARP = (
    '<style>[data-testid=stImage] :is(img[src^="data:image/webp"], img[src^="data:image/jpeg"]) '
    "{ image-rendering: pixelated; }</style>"
)
"""The style of every page that shows ``pixels``."""

Tile = tuple[Pictures, str, str]
"""A 32 x 32 picture, its caption, its alt text."""


def row(tiles: Sequence[Tile], key: str, *, width: int = ROW) -> None:
    """Pictures side by side, ``width`` pixels in all, enlarged without smoothing."""
    pictures, captions, alts = zip(*tiles, strict=True)
    with shape.figure(key, "; ".join(alts)):
        st.image(
            [pixels(with_gap(picture)) for picture in pictures],
            caption=list(captions),
            alt=list(alts),
            width=width // len(tiles),
        )


def with_gap(picture: Pictures) -> Pictures:
    """The picture with a transparent strip at its right, so that neighbours do not touch."""
    height, width, _channels = picture.shape
    wide = np.zeros((height, width + width // APART, 4), dtype=np.uint8)
    wide[:, :width, :3] = picture
    wide[:, :width, 3] = 255
    return wide


def pixels(picture: Pictures) -> str:
    """An address for ``st.image`` that has the picture (H, W, 3 or 4) in it, not enlarged: browsers do that.

    ``SHARP`` has them enlarge what comes by such an address without smoothing.
    """
    return _address(webp_bytes(picture), "webp")


def drawn_png(made: Pictures) -> bytes:
    """A large picture with words or lines in it as a PNG file, which is made once for all visitors."""
    content = hashlib.blake2b(np.ascontiguousarray(made), digest_size=16).digest()
    return FILES.ask((made.shape, content), lambda: png_bytes(made))


def vector(svg: str) -> str:
    """An address for ``st.image`` that has a drawing in it, a quarter shorter than Streamlit would make it."""
    return "data:image/svg+xml," + quote(svg, safe=" <>\"'=/:;,.()-+")


def _address(made: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(made).decode()}"


def sheet(
    pictures: Pictures,
    key: str,
    *,
    columns: int,
    alt: str,
    marked: int | None = None,
    factor: int = 4,
    width: int | Literal["stretch"] = "stretch",
) -> Pictures:
    """Pictures in rows on one sheet, one of them framed; returns the sheet, ``factor`` times enlarged."""
    if marked is not None:
        pictures = pictures.copy()
        frame(pictures[marked], 1)
    small = grid(pictures, columns, gap=1)
    led = key == led_to()[0] and key not in shape.run().led  # the first of several of one key
    shape.run().led |= {key} if led else set()
    with shape.figure(key, alt), st.container(key=key if led else None):
        st.image(pixels(small), alt=alt, width=width)
    return enlarge(small, factor)


def live_sheet(pictures: Pictures, *, columns: int, alt: str, width: int) -> int:
    """A sheet that will be replaced within a moment; returns how many bytes travel.

    A stored file could be gone before the visitor's browser asks for it.
    """
    small = grid(pictures, columns, gap=1)
    few = len(pictures) <= EXACT
    address = pixels(small) if few else _address(jpeg_bytes(small), "jpeg")
    st.image(address, alt=alt, width=width)
    return len(address)


def drawable(label: str) -> str:
    """The label in characters that Pillow's own font has: no minus sign, no narrow space."""
    return label.replace("\N{MINUS SIGN}", "-").replace("\N{NARROW NO-BREAK SPACE}", " ")


def frame(large: Pictures, width: int) -> None:
    """A frame inside a picture, in place."""
    large[:width] = large[-width:] = MARK
    large[:, :width] = large[:, -width:] = MARK


def strip(
    pictures: Pictures,
    labels: Sequence[str],
    key: str,
    *,
    alt: str,
    columns: int = 6,
    marked: int | None = None,
    factor: int = STRIP_FACTOR,
    width: int | Literal["stretch"] = "stretch",
) -> Pictures:
    """Pictures with a label under each, in rows; returns the sheet."""
    tile = pictures.shape[1] * factor
    font = ImageFont.load_default(size=max(tile // 8, 24))
    below = int(1.7 * font.size)
    cells = np.full((len(pictures), tile + below, tile, 3), 255, dtype=np.uint8)
    for index, (small, label) in enumerate(zip(pictures, labels, strict=True)):
        cells[index, :tile] = enlarge(small, factor)
        if index == marked:
            frame(cells[index, :tile], factor)
        drawn = Image.fromarray(cells[index])
        place = (tile // 2, tile + below // 2)
        ImageDraw.Draw(drawn).text(
            place, drawable(label), fill=colours.LABEL, font=font, anchor="mm"
        )
        cells[index] = np.asarray(drawn)
    made = grid(cells, columns, gap=factor)
    with shape.figure(key, alt):
        st.image(drawn_png(made), alt=alt, width=width, output_format="PNG")
    return made


def matrix(
    pictures: np.ndarray,
    rows: Sequence[str],
    columns: Sequence[str],
    key: str,
    *,
    alt: str,
    factor: int = STRIP_FACTOR,
    divided: int | None = None,
) -> Pictures:
    """Pictures (R, C, H, W, 3) as a table with a label a row and a column; returns the sheet.

    ``divided`` draws a line before that column (0 to C): what lies left of it differs in kind. A wide
    table is shown in parts, two side by side, which stand below one another on a narrow screen.
    """
    whole = draw_table(pictures, rows, columns, factor, divided)
    with shape.figure(key, alt):
        if len(columns) <= PART:
            st.image(drawn_png(whole), alt=alt, width="stretch", output_format="PNG")
        else:
            _in_parts(pictures, rows, columns, alt, factor, divided)
    return whole


def _in_parts(
    pictures: np.ndarray,
    rows: Sequence[str],
    columns: Sequence[str],
    alt: str,
    factor: int,
    divided: int | None,
) -> None:
    """A wide table of pictures, two parts of it next to one another."""
    parts = np.array_split(np.arange(len(columns)), -(-len(columns) // PART))
    for index, part in enumerate(parts):
        if index % 2 == 0:
            beside = st.columns(2, gap="small")
        first, past = int(part[0]), int(part[-1]) + 1
        line = None
        if divided is not None and (first < divided <= past or first == divided == 0):
            line = divided - first
        names = columns[first:past]
        made = draw_table(pictures[:, first:past], rows, names, factor, line, size=PART_FONT)
        # As wide as the others, or its pictures would be larger.
        missing = (len(parts[0]) - len(part)) * (pictures.shape[3] + 1) * factor
        made = np.pad(made, ((0, 0), (0, missing), (0, 0)), constant_values=255)
        words = f"{alt} ({names[0]} – {names[-1]})"
        picture = drawn_png(made)
        beside[index % 2].image(picture, alt=words, width="stretch", output_format="PNG")


def draw_table(
    pictures: np.ndarray,
    rows: Sequence[str],
    columns: Sequence[str],
    factor: int,
    divided: int | None,
    *,
    size: int | None = None,
) -> Pictures:
    """The sheet of ``matrix``, its labels in letters of ``size`` pixels."""
    across, down = pictures.shape[1], pictures.shape[0]
    tile, gap = pictures.shape[3] * factor, factor
    font = ImageFont.load_default(size=size or max(tile // 8, 24))
    margin = int(max(font.getlength(drawable(label)) for label in rows)) + 2 * font.size // 2
    above = int(1.7 * font.size)
    body = grid(enlarge(pictures.reshape(-1, *pictures.shape[2:]), factor), across, gap=gap)
    made = np.full((above + body.shape[0], margin + body.shape[1], 3), 255, dtype=np.uint8)
    made[above:, margin:] = body
    drawn = Image.fromarray(made)
    pen = ImageDraw.Draw(drawn)
    for index, label in enumerate(columns):
        place = (margin + index * (tile + gap) + tile // 2, above // 2)
        pen.text(place, drawable(label), fill=colours.LABEL, font=font, anchor="mm")
    for index, label in enumerate(rows[:down]):
        place = (margin - font.size // 2, above + index * (tile + gap) + tile // 2)
        pen.text(place, drawable(label), fill=colours.LABEL, font=font, anchor="rm")
    if divided is not None:
        at, width = margin + divided * (tile + gap) - gap // 2 - 1, max(gap + 4, 8)
        right = min(at + width // 2, made.shape[1] - 1)
        pen.rectangle((max(right - width, 0), 0, right, made.shape[0]), fill=tuple(MARK.tolist()))
    return np.asarray(drawn)


# ---------------------------------------------------------------- charts


@dataclass(frozen=True)
class Provenance:
    """Where a figure comes from. ``also``: the other bundles in it."""

    of: Bundle
    live: bool
    seconds: float | None = None
    settings: Mapping[str, object] = field(default_factory=dict)
    also: Sequence[Bundle] = ()


Origin = Provenance | str
"""Where a figure comes from, or, of what no bundle has a part in, a line that says so."""

Rows = Callable[[], Sequence[Mapping[str, object]]]


def chart(
    figure: go.Figure | Callable[[], go.Figure],
    key: str,
    alt: str,
    provenance: Provenance,
    rows: Rows,
    *,
    height: int = HEIGHT,
    picked: Callable[[int], None] | None = None,
    of: Hashable = None,
) -> None:
    """A Plotly figure in the house style, with where it comes from and its data.

    The camera in its corner saves it as SVG. ``picked`` is told which point, counted from 0, a click
    chose. A figure of many parts may be a function, and ``of`` all that it depends on but the language: it is
    called once for all visitors.
    """
    if isinstance(figure, go.Figure):
        styled = in_house_style(figure, height)
    else:
        styled = CHARTS.ask((key, of, height, language()), lambda: in_house_style(figure(), height))
    with shape.figure(key, alt):
        _drawn(styled, key, alt, picked)
        about(provenance, key, alt, rows=rows, plot=lambda: styled)


def plain_chart(figure: go.Figure, key: str, alt: str, rows: Rows, *, height: int = HEIGHT) -> None:
    """A figure of a formula alone: nothing of a model is in it, so no bundle stands under it."""
    styled = in_house_style(figure, height)
    with shape.figure(key, alt):
        _drawn(styled, key, alt)
        about((), key, alt, rows=rows, plot=lambda: styled)


OF_A_TRACE = ("name", "x", "y", "text", "hovertext", "customdata")
"""Where Plotly may find words in a trace that pages take from a bundle, and reads them as markup."""

Spec = dict[str, Any]
"""A figure, or a part of one, as Plotly's dictionary."""


def as_written(spec: Spec) -> None:
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
    as_written(spec)
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


def _drawn(
    figure: go.Figure, key: str, alt: str, picked: Callable[[int], None] | None = None
) -> None:
    def heard() -> None:
        if points := st.session_state[key].selection.points:
            picked(points[0]["point_index"])

    st.plotly_chart(
        figure if shape.sources() else enlarged(figure),
        key=key,
        alt=alt,
        width="stretch",
        on_select=heard if picked else "ignore",
        selection_mode="points",
        config={
            "displaylogo": False,
            "displayModeBar": True,
            "modeBarButtons": [["toImage"]],
            "toImageButtonOptions": {"format": "svg", "filename": key, "scale": 1},
        },
    )


STAGE, STAGE_HEIGHT, STAGE_SHARED = 1.5, 590, 280
"""How much larger a chart is drawn on a stage, and how many pixels high it is there at most: alone, and next to
another figure."""


def enlarged(figure: go.Figure) -> go.Figure:
    """A chart for a lecture hall: letters, lines and points half as large again."""
    made = go.Figure(figure)
    layout = made.layout
    margin = {side: STAGE * (layout.margin[side] or 0) for side in "lrtb"}
    most = STAGE_SHARED if len(shape.run().shape.figures or ()) > 1 else STAGE_HEIGHT
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


# ---------------------------------------------------------------- tables

NOTHING = "–"
"""Shown where a row has no value."""

Row = Mapping[str, object]


@dataclass(frozen=True)
class Column:
    """One column of a table: ``key`` in the data, its ``title`` on the page, how a value is shown.

    Data that is saved has the keys and the raw values, so that it is the same in every language.
    """

    key: str
    title: str
    form: Callable[[Any], object] = str


def digits(count: int) -> Callable[[float], str]:
    """The form of a number with so many decimals, as the visitor's language writes it."""
    return lambda value: number(value, count)


def table(rows: Sequence[Row], columns: Sequence[Column], key: str) -> None:
    """Rows as the visitor reads them; ``downloads`` is given the same rows, raw."""
    shown = [
        {
            column.title: NOTHING if row.get(column.key) is None else column.form(row[column.key])
            for column in columns
        }
        for row in rows
    ]
    widths = {
        column.title: st.column_config.Column(
            width=PER_LETTER * max(longest, len(column.title)) + PADDING
        )
        for column in columns
        if (longest := _outlier([str(row[column.title]) for row in shown]))
    }
    words_of(shown, key, column_config=widths)


PER_LETTER, PADDING, LONGEST_CELL = 8, 16, 60
"""Pixels of a letter of a table and of the room round a cell, and letters of a cell that has room for all."""


def _outlier(words: Sequence[str]) -> int:
    """Letters of the longest of them, where Streamlit's grid would cut it: of more than five cells it leaves
    out those that are about twice as long as the mean. Else 0.
    """
    lengths = [len(one) for one in words]
    longest = max(lengths, default=0)
    cut = len(lengths) > 5 and longest * len(lengths) > 1.7 * sum(lengths)
    return min(longest, LONGEST_CELL) if cut else 0


def words_of(rows: Sequence[Row] | Mapping[str, Sequence[object]], key: str, **layout: Any) -> None:
    """A table of what the visitor reads."""
    names = list(rows) if isinstance(rows, Mapping) else list(rows[0]) if rows else []
    alt = _("Table: {columns}").format(columns=", ".join(map(str, names)))
    with shape.figure(key, alt):
        st.dataframe(rows, hide_index=True, width="stretch", **layout)


# ---------------------------------------------------------------- where it comes from, downloads


def about(
    origin: Origin | Sequence[Origin],
    key: str,
    alt: str = "",
    *,
    rows: Rows | None = None,
    png: Callable[[], Pictures] | None = None,
    gif: Callable[[], Pictures] | None = None,
    plot: Callable[[], go.Figure] | None = None,
) -> DeltaGenerator:
    """Two buttons under the figure of that key: one says where it comes from and gives it and its data as
    files, the other keeps it.

    Returns what the first one opens, for a figure with files of several keys. A figure of a formula
    alone comes from no bundle: ``()``. ``alt`` says what the figure shows, as the last picture did where it is
    empty; ``plot`` is its chart.
    """
    of = (origin,) if isinstance(origin, Provenance | str) else tuple(origin)
    said = tuple(one if isinstance(one, str) else in_words(one) for one in of)
    for one in of:
        if isinstance(one, Provenance):
            shape.run().made_of.update(bundle.digest for bundle in (one.of, *one.also))
    words = _("Source and data") if of else _("Data")
    with shape.figure(key, alt):
        if not shape.sources():
            return shape.nowhere()
        with st.container(horizontal=True, gap="small"):
            opened = st.popover(words, icon=":material/info:", type="tertiary")
            pins.button(_pin(key, alt, said, _settings(of), rows, png, plot))
        with opened:
            for one in said:
                st.caption(one)
            if rows or png or gif:
                downloads(key, rows=rows, png=png, gif=gif)
    return opened


def _pin(key: str, alt: str, *rest: Any) -> pins.Pin:
    """The figure as it can be kept: what it shows, and its chart, are known from when it was drawn."""
    now = shape.run()
    pin = pins.Pin(key, alt or now.seen_figures.get(key) or now.words, *rest)
    return replace(pin, plot=pin.plot or now.plots.get(key))


def _settings(of: Sequence[Origin]) -> tuple[tuple[str, str], ...]:
    """Names and values that a figure was made with, each name once."""
    found = [one.settings for one in of if isinstance(one, Provenance)]
    return tuple({str(name): str(value) for one in found for name, value in one.items()}.items())


def in_words(provenance: Provenance) -> str:
    """Bundle and revision, settings, live or precomputed, seconds."""
    colon = _("{name}: {value}")
    parts = [
        f"{of.name} · {of.revision[:12] if of.revision else of.digest}"
        for of in (provenance.of, *provenance.also)
    ]
    parts += [colon.format(name=name, value=value) for name, value in provenance.settings.items()]
    if provenance.live:
        took = "" if provenance.seconds is None else f" · {number(provenance.seconds, 2)} s"
        parts.append(_("computed live") + took)
    else:
        parts.append(_("stored with the bundle"))
    return " · ".join(parts)


def csv_bytes(rows: Sequence[Mapping[str, object]]) -> bytes:
    """Rows as CSV with a header, points as decimal signs; no rows are an empty file."""
    text = io.StringIO()
    names = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(text, fieldnames=names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def downloads(
    key: str,
    *,
    rows: Rows | None = None,
    png: Callable[[], Pictures] | None = None,
    gif: Callable[[], Pictures] | None = None,
) -> None:
    """Buttons that save a figure and its data; each file is made when it is asked for."""
    offers = [
        (_("Picture (PNG)"), "png", "image/png", png and (lambda: png_bytes(png()))),
        (_("Animation (GIF)"), "gif", "image/gif", gif and (lambda: gif_bytes(gif()))),
        (_("Data (CSV)"), "csv", "text/csv", rows and (lambda: csv_bytes(rows()))),
    ]
    with st.container(horizontal=True):
        for label, suffix, mime, make in offers:
            if make is not None:
                st.download_button(
                    label,
                    make,
                    file_name=f"{key}.{suffix}",
                    mime=mime,
                    key=f"{key}_{suffix}",
                    icon=":material/download:",
                    type="tertiary",
                    on_click="ignore",
                )
