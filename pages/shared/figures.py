"""Figures: pictures and charts with alt text, and one button that says where they come from."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

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
)
from pages.shared import colours, pins, shape

# What pages take from here, wherever it is kept.
from pages.shared.drawings import FILES as FILES
from pages.shared.drawings import MARK as MARK
from pages.shared.drawings import SHARP as SHARP
from pages.shared.drawings import (
    draw_table,
    drawable,
    frame,
    in_address,
    labels_under,
    pixels,
    see_through,
    table_drawing,
)
from pages.shared.drawings import drawn_png as drawn_png
from pages.shared.drawings import vector as vector
from pages.shared.house_style import Spec as Spec
from pages.shared.house_style import band as band
from pages.shared.house_style import enlarged, in_house_style
from pages.shared.house_style import escape_words as escape_words
from pages.shared.house_style import line as line
from pages.shared.house_style import percent_ticks as percent_ticks
from pages.shared.kept import AnswerCache
from pages.shared.text import N_, _, language, link_target, number

WITH_THE_BUNDLE = N_("stored with the bundle")

ROW, WIDE = 532, 840
APART = 16
"""In a row the gap between two pictures is their side divided by this."""
HEIGHT = 360
STRIP_FACTOR = 4
EXACT = 8
"""A sheet for a moment of this number of pictures at most is shown without loss."""
CHARTS: AnswerCache[go.Figure] = AnswerCache(64)
"""Figures of many parts, which nobody changes once they are drawn."""
PART, PART_FONT = 6, 28
"""A table of more columns is shown in parts of this number, in letters of this height in pixels."""


# ---------------------------------------------------------------- pictures


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
    led = key == link_target()[0] and key not in shape.run().led  # the first of several of one key
    shape.run().led |= {key} if led else set()
    with shape.figure(key, alt), st.container(key=key if led else None):
        st.image(pixels(see_through(pictures, columns)), alt=alt, width=width)
    return enlarge(small, factor)


def live_sheet(pictures: Pictures, *, columns: int, alt: str, width: int) -> int:
    """A sheet that will be replaced within a moment; returns how many bytes travel.

    A stored file could be gone before the visitor's browser asks for it.
    """
    few = len(pictures) <= EXACT
    address = (
        pixels(see_through(pictures, columns))
        if few
        else in_address(jpeg_bytes(grid(pictures, columns, gap=1)), "jpeg")
    )
    st.image(address, alt=alt, width=width)
    return len(address)


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
    if marked is not None:
        pictures = pictures.copy()
        frame(pictures[marked], 1)
    tile = pictures.shape[1] * factor
    font = ImageFont.load_default(size=max(tile // 8, 24))
    below = int(1.7 * font.size)
    cells = np.full((len(pictures), tile + below, tile, 3), 255, dtype=np.uint8)
    for index, (small, label) in enumerate(zip(pictures, labels, strict=True)):
        cells[index, :tile] = enlarge(small, factor)
        drawn = Image.fromarray(cells[index])
        place = (tile // 2, tile + below // 2)
        ImageDraw.Draw(drawn).text(
            place, drawable(label), fill=colours.LABEL, font=font, anchor="mm"
        )
        cells[index] = np.asarray(drawn)
    made = grid(cells, columns, gap=factor)
    with shape.figure(key, alt):
        drawn = labels_under(pictures, labels, columns, factor, font.size, below)
        st.image(drawn, alt=alt, width=width)
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
            drawn = table_drawing(pictures, rows, columns, factor, divided)
            st.image(drawn, alt=alt, width="stretch")
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
        made = table_drawing(
            pictures[:, first:past],
            rows,
            names,
            factor,
            line,
            size=PART_FONT,
            room=len(parts[0]),  # as wide as the others, or its pictures would be larger
        )
        words = f"{alt} ({names[0]} – {names[-1]})"
        beside[index % 2].image(made, alt=words, width="stretch")


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
        _draw_chart(styled, key, alt, picked)
        about(provenance, key, alt, rows=rows, plot=lambda: styled)


def plain_chart(figure: go.Figure, key: str, alt: str, rows: Rows, *, height: int = HEIGHT) -> None:
    """A figure of a formula alone: nothing of a model is in it, so no bundle stands under it."""
    styled = in_house_style(figure, height)
    with shape.figure(key, alt):
        _draw_chart(styled, key, alt)
        about((), key, alt, rows=rows, plot=lambda: styled)


def _draw_chart(
    figure: go.Figure, key: str, alt: str, picked: Callable[[int], None] | None = None
) -> None:
    def pick_point() -> None:
        if points := st.session_state[key].selection.points:
            picked(points[0]["point_index"])

    alone = len(shape.run().shape.figures or ()) <= 1
    st.plotly_chart(
        figure if shape.sources() else enlarged(figure, alone=alone),
        key=key,
        alt=alt,
        width="stretch",
        on_select=pick_point if picked else "ignore",
        selection_mode="points",
        config={
            "displaylogo": False,
            "displayModeBar": True,
            "modeBarButtons": [["toImage"]],
            "toImageButtonOptions": {"format": "svg", "filename": key, "scale": 1},
        },
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
    """The form of a number with ``count`` decimals, as the visitor's language writes it."""
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


NUMBERS_ALONE = """<style>
[data-testid=stElementToolbarButton]:has([aria-label^="Download as CSV"]) { display: none; }
</style>"""
"""Streamlit's own button on a table saves the words that are shown; ``downloads`` saves numbers with points."""


def words_of(rows: Sequence[Row] | Mapping[str, Sequence[object]], key: str, **layout: Any) -> None:
    """A table of what the visitor reads; on a stage one whose cells wrap, as nobody there can scroll it."""
    names = list(rows) if isinstance(rows, Mapping) else list(rows[0]) if rows else []
    alt = _("Table: {columns}").format(columns=", ".join(map(str, names)))
    with shape.figure(key, alt):
        if shape.on_stage():
            st.table(rows, hide_index=True, border="horizontal")
        else:
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
        parts.append(_(WITH_THE_BUNDLE))
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
