"""From which layer, at which level of noise, the digit can be read: a grid of accuracies to click into."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go
import streamlit as st

from core.bundles.bundle import Bundle
from pages.shared import figures
from pages.shared.colours import APP, INK, MARK, PAPER
from pages.shared.figures import Provenance
from pages.shared.text import N_, _, number, percent

NOT_MEASURED = N_(
    "This bundle does not say from which layer the digit can be read: "
    "`python -m train measure FOLDER --layers` adds it."
)
KIND = "layer_probe"
"""Of the figures in ``metrics.json``."""
COUNTS = ("parts", "train_pictures", "test_pictures")
MOST = 10**9
CLEARLY = 0.05
"""Two classifiers differ clearly where one is right for five digits in a hundred more."""
HEIGHT, CELL = 290, 0.94
DARK = 0.55
"""From this share of the scale on, numbers stand in white."""


@dataclass(frozen=True)
class ProbeGrid:
    """What ``core.ddpm.feature_probe`` measured: ``accuracy`` (layers, levels), as ``layers`` and ``t`` go."""

    layers: tuple[str, ...]
    t: tuple[int, ...]
    accuracy: tuple[tuple[float, ...], ...]
    pixels: float
    most_common: float
    parts: int
    train_pictures: int
    test_pictures: int

    def cells(self) -> list[tuple[str, int, float]]:
        """Layer, t and accuracy, layer after layer: point i of the figure is entry i."""
        return [
            (layer, t, share)
            for layer, shares in zip(self.layers, self.accuracy, strict=True)
            for t, share in zip(self.t, shares, strict=True)
        ]

    @property
    def best(self) -> tuple[str, int, float]:
        """Layer, t and accuracy of the best cell; of equals the first."""
        return max(self.cells(), key=lambda cell: cell[2])

    def best_at(self, place: int) -> tuple[str, float]:
        """The best layer of one column, and its accuracy."""
        column = [row[place] for row in self.accuracy]
        return self.layers[column.index(max(column))], max(column)


def _numbers(values: object, count: int, low: float, high: float) -> bool:
    """Whether these are ``count`` finite numbers from ``low`` to ``high``."""
    return (
        isinstance(values, list)
        and len(values) == count
        and all(type(one) in (int, float) and math.isfinite(one) for one in values)
        and all(low <= one <= high for one in values)
    )


def stored_grid(bundle: Bundle, layers: Sequence[str], T: int) -> ProbeGrid | None:
    """The grid of a bundle; None where a bundle, perhaps a guest's, lacks part or holds what is no grid."""
    said = bundle.metrics.get(KIND)
    if not isinstance(said, dict):
        return None
    t, rows = said.get("t"), said.get("accuracy")
    if not isinstance(t, list) or not t or not _numbers(t, len(t), 1, T):
        return None
    if not all(type(one) is int for one in t) or sorted(set(t)) != t:
        return None
    if not isinstance(rows, dict) or set(rows) != set(layers):
        return None
    if not all(_numbers(rows[layer], len(t), 0, 1) for layer in layers):
        return None
    peers = [said.get(name) for name in ("pixels", "most_common")]
    counts = [said.get(name) for name in COUNTS]
    if not _numbers(peers, 2, 0, 1) or not _numbers(counts, len(counts), 1, MOST):
        return None
    accuracy = tuple(tuple(rows[layer]) for layer in layers)
    return ProbeGrid(tuple(layers), tuple(t), accuracy, *peers, *map(int, counts))


def figure(found: ProbeGrid, layer: str, t: int) -> go.Figure:
    """The grid, input at the top, with a frame around the cell of a layer and a t where there is one."""
    cells = found.cells()
    shares = [share for _layer, _t, share in cells]
    low, high = min([found.most_common, *shares]), max(shares)
    span = high - low or 1
    rows = [found.layers.index(one) for one, _t, _share in cells]
    columns = [found.t.index(one) for _layer, one, _share in cells]
    drawn = go.Figure(
        go.Bar(  # Plotly has no heat map whose cells can be chosen
            x=columns,
            y=[CELL] * len(cells),
            base=[row - CELL / 2 for row in rows],
            width=CELL,
            marker={
                "color": shares,
                "colorscale": [[0, PAPER], [1, APP]],
                "cmin": low,
                "cmax": high,
                "line": {"width": 0},
            },
            selected={"marker": {"opacity": 1}},
            unselected={"marker": {"opacity": 1}},
            text=[percent(share) for share in shares],
            textposition="inside",
            insidetextanchor="middle",
            textangle=0,
            constraintext="none",
            insidetextfont={
                "color": ["white" if (s - low) / span > DARK else INK for s in shares],
                "size": 14,
            },
            customdata=[[one, at] for one, at, _share in cells],
            hovertemplate="%{customdata[0]}, t = %{customdata[1]}: %{text}<extra></extra>",
            showlegend=False,
        )
    )
    drawn.update_xaxes(
        title=_("level of noise t"),
        tickvals=list(range(len(found.t))),
        ticktext=[number(one, 0) for one in found.t],
        range=[-0.5, len(found.t) - 0.5],
        fixedrange=True,
        showgrid=False,
        zeroline=False,
    )
    drawn.update_yaxes(
        tickvals=list(range(len(found.layers))),
        ticktext=list(found.layers),
        range=[len(found.layers) - 0.5, -0.5],
        fixedrange=True,
        showgrid=False,
        zeroline=False,
        automargin=True,
    )
    if t in found.t:
        row, column = found.layers.index(layer), found.t.index(t)
        drawn.add_shape(
            type="rect",
            x0=column - 0.5,
            x1=column + 0.5,
            y0=row - 0.5,
            y1=row + 0.5,
            line={"color": MARK, "width": 3},
        )
    return drawn


def verdict(found: ProbeGrid) -> str:
    """What the grid shows, as far as its figures say so and no further."""
    layer, t, share = found.best
    last_layer, last = found.best_at(len(found.t) - 1)
    words = {
        "cells": number(sum(map(len, found.accuracy)), 0),
        "share": percent(share),
        "layer": f"`{layer}`",
        "t": number(t, 0),
        "guess": percent(found.most_common),
        "pixels": percent(found.pixels),
        "last": percent(last),
        "last_layer": f"`{last_layer}`",
        "last_t": number(found.t[-1], 0),
    }
    if share - max(found.most_common, found.pixels) >= CLEARLY:
        means = _(
            "**A linear classifier on {layer} at t = {t} names {share} of the test digits; on the clean pixels "
            "{pixels}; always answering the most common digit is right for {guess}.** The network saw no "
            "label. This is the best of {cells} cells, chosen on these very digits; how much of it a network "
            "before training would reach was not measured."
        )
    else:
        means = _(
            "**A linear classifier names {share} of the test digits at best, from {layer} at t = "
            "{t}; on the clean "
            "pixels {pixels}; always answering the most common digit is right for {guess}.** In "
            "this network the "
            "digit is hardly easier to read than in the pixels."
        )
    if share - last >= CLEARLY:
        more = _(
            "Noise hides it: at t = {last_t} the best layer, {last_layer}, is right for {last}."
        )
        means = f"{means} {more}"
    return means.format(**words)


def show(
    bundle: Bundle, found: ProbeGrid, layer: str, t: int, choose: Callable[[str, int], None]
) -> None:
    """The figure; a click on a cell calls ``choose`` with its layer and its t."""
    cells = found.cells()
    settings = {
        _("over"): _("{count} test pictures").format(count=number(found.test_pictures, 0)),
        _("classifiers learnt from"): _("{count} pictures").format(
            count=number(found.train_pictures, 0)
        ),
        _("averaged over"): _("{parts} × {parts} parts of the picture").format(parts=found.parts),
    }
    figures.chart(
        figure(found, layer, t),
        "unet_probe",
        _(
            "Share of test digits that a linear classifier names rightly, by layer and level of noise"
        ),
        Provenance(bundle, live=False, settings=settings),
        lambda: (
            [{"layer": one, "t": at, "accuracy": share} for one, at, share in cells]
            + [
                {"layer": "clean pixels", "accuracy": found.pixels},
                {"layer": "most common class", "accuracy": found.most_common},
            ]
        ),
        height=HEIGHT,
        picked=lambda index: choose(*cells[index][:2]),
    )


def absent() -> None:
    """In place of the grid."""
    st.info(_(NOT_MEASURED))
