"""Charts of several self-supervised runs, which of them to draw, and what state each is in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from core.simsiam.explorer import Layer
from core.simsiam.run_record import RunRecord
from pages.browser import curves
from pages.browser.curves import Axis, Dash, Level, Series
from pages.browser.film import STOP
from pages.shared import figures, shape
from pages.shared.colours import (
    AMBER,
    BLUE,
    BROWN,
    GREEN,
    GREY,
    OLIVE,
    PINK,
    SKY,
    VERMILION,
    VIOLET,
)
from pages.shared.figures import Provenance
from pages.shared.text import N_, _, number
from pages.simsiam.parts import runs
from pages.simsiam.parts.evidence import by_picture, margin

State = Literal["collapsed", "partly", "spread"]
STATES: dict[State, str] = {
    "collapsed": N_("collapsed"),
    "partly": N_("partly collapsed"),
    "spread": N_("spread out"),
}
CLASSES: dict[str, str] = {
    "airplane": N_("airplane"),
    "automobile": N_("automobile"),
    "bird": N_("bird"),
    "cat": N_("cat"),
    "deer": N_("deer"),
    "dog": N_("dog"),
    "frog": N_("frog"),
    "horse": N_("horse"),
    "ship": N_("ship"),
    "truck": N_("truck"),
}
"""CIFAR-10's classes."""
MARKS = (
    (BLUE, "circle"),
    (VERMILION, "square"),
    (GREEN, "triangle-up"),
    (PINK, "diamond"),
    (AMBER, "cross"),
    (SKY, "circle-open"),
    (BROWN, "square-open"),
    (GREY, "triangle-down"),
    (VIOLET, "star"),
    (OLIVE, "diamond-open"),
)
"""Colour and shape of each of ten classes."""
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "star")
"""Of the runs on one map."""
TOGETHER = 2
"""Runs on one map; of more each has its own."""
LEAST = 150
"""Pixels that a small map takes at least."""
FEW = 200
"""Test pictures on the map of several runs, where more points would lie over one another."""
SMALL = 215
"""Pixels: how high a chart is that stands next to two others."""
LEGEND_LINE = 24
FAINT = 1e-6
"""Singular values below this share of the largest one drawn are left out of the picture."""


# ---------------------------------------------------------------- by epoch


@dataclass(frozen=True)
class Reference:
    """A horizontal line that curves are read against; ``name`` is in the visitor's language."""

    value: float
    name: str
    colour: str = GREY
    dash: Dash = "dot"


def by_epoch(
    records: Sequence[RunRecord],
    column: str,
    title: str,
    key: str,
    *,
    references: Sequence[Reference] = (),
    factor: Callable[[RunRecord], float] | None = None,
) -> None:
    """One figure of ``RunRecord.figures`` against the epoch, a curve a run, with what is under it.

    ``title``, in the visitor's language, names the axis. ``factor`` multiplies the curve of a run:
    sqrt(d) where runs of several d are compared.
    """
    figure = go.Figure()
    values = [_values(record, column, factor) for record in records]
    ends = [0, max(int(record.epochs[-1]) for record in records)]
    for line in references:
        drawn = figures.line(ends, [line.value] * 2, line.name, line.colour, dash=line.dash)
        figure.add_trace(drawn.update(line_width=2))
    for record, found in zip(records, values, strict=True):
        look = runs.look(record)
        figure.add_trace(
            figures.line(record.epochs, found, runs.name(record), look.colour, dash=look.dash)
        )
    figure.update_xaxes(title=_("epoch"))
    figure.update_yaxes(title=title, exponentformat="power")
    if column == "test_knn_accuracy":
        figure.update_yaxes(tickformat="~%")
    of = provenance(records, None, over(records[0], column))
    height = _height(len(records) + len(references))
    figures.chart(
        figure,
        key,
        _by_epoch_words(title, records),
        of,
        lambda: _rows(records, values, column),
        height=height,
    )


def follow_by_epoch(
    records: Sequence[RunRecord],
    column: str,
    title: str,
    key: str,
    timeline: str,
    epoch: int,
    *,
    references: Sequence[Reference] = (),
    factor: Callable[[RunRecord], float] | None = None,
    log: bool = False,
    digits: int | None = None,
    height: int = curves.HEIGHT,
) -> None:
    """The figure of ``by_epoch`` with a dot on every curve that moves with a timeline of epochs.

    ``epoch``: where the timeline rests. ``digits``: decimals of the values, as in ``Axis``.
    """
    values = [_values(record, column, factor) for record in records]
    curves.chart(
        key,
        timeline,
        [
            _curve(record, record.epochs, found)
            for record, found in zip(records, values, strict=True)
        ],
        Axis(_("epoch"), whole=True),
        Axis(title, log=log, percent=column == "test_knn_accuracy", digits=digits),
        _by_epoch_words(title, records),
        now=_epoch_now(),
        levels=[Level(one.value, one.name, one.colour, one.dash) for one in references],
        height=height,
    )
    figures.about(
        provenance(records, epoch, over(records[0], column)),
        key,
        rows=lambda: _rows(records, values, column),
    )


def spectrum(
    records: Sequence[RunRecord], layer: Layer, key: str, timeline: str, epoch: int
) -> None:
    """Singular values of z or h, largest first, at every epoch, on axes that no epoch moves.

    The first ones stay, faint, to compare.
    """
    top = max(float(record.spectra[layer].max()) for record in records) or 1.0
    drawn = []
    for record in records:
        values = record.spectra[layer]
        index = 1 + np.arange(values.shape[1])
        seen = np.where(values > 0, values, np.nan)
        drawn.append(_curve(record, index, seen, stops=record.epochs.tolist()))
    last = max(int((record.spectra[layer] > FAINT * top).sum(axis=1).max()) for record in records)
    curves.chart(
        key,
        timeline,
        drawn,
        Axis(_("singular value, largest first"), span=(1, max(last, 2)), whole=True),
        Axis(
            _("singular values of {layer}").format(layer=layer),
            span=(FAINT * top, 2 * top),
            log=True,
        ),
        _("Singular values of {layer} after epoch {epoch}: {runs}").format(
            layer=layer, epoch=STOP, runs=_names(records)
        ),
        now=_epoch_now(),
        along=False,
    )
    figures.about(
        provenance(records, epoch, over(records[0], f"test_rank_{layer}")),
        key,
        rows=lambda: _spectrum_rows(records, layer, epoch),
    )


def clouds(records: Sequence[RunRecord], layer: Layer, key: str, timeline: str, epoch: int) -> None:
    """Test pictures of several runs, a colour a run, at every epoch: of two runs on one map, of more on a
    small one each, as their clouds would lie over one another.

    Each run on the first two components of its own z or h, all from -reach to reach. The first map has the
    ``key``, those after it have it with their number.
    """
    far = reach(records, layer)
    drawn = [
        Series(
            runs.name(record),
            record.maps[layer][:, :FEW, 0].astype(np.float32),
            record.maps[layer][:, :FEW, 1].astype(np.float32),
            runs.look(record).colour,
            symbol=SHAPES[place % len(SHAPES)],
            stops=record.epochs.tolist(),
        )
        for place, record in enumerate(records)
    ]
    axis = Axis("", span=(-far, far), bare=True)
    alone = len(records) > TOGETHER
    maps = [[one] for one in drawn] if alone else [drawn]
    with shape.figure(key):
        cells = st.columns(2, gap="small", wrap=False) if alone else [st.container()]
        for place, some in enumerate(maps):
            names = ", ".join(one.name for one in some)
            with cells[place % len(cells)]:
                curves.chart(
                    key if place == 0 else f"{key}_{place + 1}",
                    timeline,
                    some,
                    axis,
                    axis,
                    _("Map of {layer} after epoch {epoch}, a point a test picture: {run}").format(
                        layer=layer, epoch=STOP, run=names
                    ),
                    now=_epoch_now() if place < len(cells) else "",
                    along=False,
                    square=True,
                    height=LEAST if alone else curves.HEIGHT,
                    figure=key,
                )
    count = min(FEW, records[0].maps[layer].shape[1])
    settings = {_("over"): _("{count} test pictures").format(count=number(count, 0))}
    figures.about(
        provenance(records, epoch, settings),
        key,
        rows=lambda: [row for record in records for row in _map_rows(record, layer, epoch)[:FEW]],
    )


def plane(
    record: RunRecord, layer: Layer, reach: float, key: str, timeline: str, epoch: int
) -> None:
    """Test pictures on the first two components of their z or h at every epoch, from -reach to reach."""
    points, names = record.maps[layer], record.bundle.config["data"]["class_names"]
    drawn = []
    for c, name in enumerate(names):
        colour, symbol = MARKS[c % len(MARKS)]
        mine = points[:, record.labels == c].astype(np.float32)
        drawn.append(
            Series(
                _(CLASSES.get(name, name)),
                mine[..., 0],
                mine[..., 1],
                colour,
                symbol=symbol,
                stops=record.epochs.tolist(),
            )
        )
    curves.chart(
        key,
        timeline,
        drawn,
        Axis(_("first component"), span=(-reach, reach)),
        Axis(_("second component"), span=(-reach, reach)),
        _("Map of {layer} after epoch {epoch}, a point a test picture: {run}").format(
            layer=layer, epoch=STOP, run=runs.name(record)
        ),
        now=_epoch_now(),
        along=False,
        square=True,
    )
    settings = {_("over"): _("{count} test pictures").format(count=number(points.shape[1], 0))}
    figures.about(
        provenance([record], epoch, settings), key, rows=lambda: _map_rows(record, layer, epoch)
    )


def reach(records: Sequence[RunRecord], layer: Layer) -> float:
    """How far the maps of these runs go at any epoch, with a little room."""
    return 1.05 * max(float(np.abs(record.maps[layer]).max()) for record in records)


def provenance(
    records: Sequence[RunRecord], epoch: int | None, settings: Mapping[str, object]
) -> Provenance:
    """Where a figure of several runs comes from: every bundle by name and hash."""
    first, *others = (record.bundle for record in records)
    said: dict[str, object] = {}
    if epoch is not None:
        said[_("epoch")] = epoch
    seeds = sorted({record.bundle.config["seed"] for record in records})
    said[_("seed")] = ", ".join(map(str, seeds))
    return Provenance(first, live=False, settings={**said, **settings}, also=tuple(others))


def over(record: RunRecord, column: str) -> dict[str, object]:
    """How many pictures a figure was measured on, for captions."""
    config = record.bundle.config
    protocol, about = config["training"]["protocol"], config["data"]
    tests = {name: min(protocol[name], about["test_pictures"]) for name in ("queries", "spread")}
    if column == "train_loss":
        return {_("over"): _("the views of all training pictures")}
    if column == "test_knn_accuracy":
        return {
            _("over"): _(
                "{queries} test pictures, {bank} training pictures as bank, k = {k}, τ = {tau}"
            ).format(
                queries=number(tests["queries"], 0),
                bank=number(min(protocol["bank"], about["pictures"]), 0),
                k=protocol["k"],
                tau=number(protocol["temperature"], 2),
            )
        }
    return {_("over"): _("{count} test pictures").format(count=number(tests["spread"], 0))}


# ---------------------------------------------------------------- what state a run is in


def spread_of(record: RunRecord, epoch: int) -> float:
    """std sqrt(d) of the l2-normalised z: 1 where they point everywhere alike, 0 in one point."""
    return float(record.figures["test_std_z"][epoch] * np.sqrt(record.dim))


def tests(record: RunRecord, epoch: int, share: float) -> tuple[bool, bool]:
    """Whether spread and effective rank of z are below ``share`` of what they were at its own epoch 0."""
    rank = record.figures["test_rank_z"]
    return (
        spread_of(record, epoch) < share * spread_of(record, 0),
        bool(rank[epoch] < share * rank[0]),
    )


def state(record: RunRecord, epoch: int, share: float) -> State:
    """Whether z has collapsed at an epoch: by both ``tests``, by one of them, or by none."""
    low = tests(record, epoch, share)
    return "collapsed" if all(low) else "partly" if any(low) else "spread"


def above_random(record: RunRecord, epoch: int) -> Literal["above", "chance", "not above"]:
    """The kNN accuracy of an epoch next to that before the first step.

    ``above``: by more than two standard errors of the difference of both shares, paired where the run
    keeps which pictures it names right; ``chance``: by no more than that. Both shares are by epoch, of the
    same pictures and the same bank: the final figures have a larger bank, which alone raises them, and
    nothing of before training to stand next to.
    """
    before, now = (float(record.figures["test_knn_accuracy"][at]) for at in (0, epoch))
    if now <= before:
        return "not above"
    paired = by_picture("knn_by_epoch", [record, record], [epoch, 0])
    by_chance = margin([(share, record.queries) for share in (now, before)], None, paired)
    return "above" if now - before > by_chance else "chance"


def has_learnt(record: RunRecord, epoch: int) -> bool:
    """Whether neighbours name the class more often than before the first step, by more than chance.

    False says that this many pictures do not show it, not that nothing was learnt.
    """
    return above_random(record, epoch) == "above"


# ---------------------------------------------------------------- inside


def _values(
    record: RunRecord, column: str, factor: Callable[[RunRecord], float] | None
) -> np.ndarray:
    """(E + 1,)"""
    found = record.figures[column]
    return found if factor is None else factor(record) * found


def _curve(
    record: RunRecord, x: np.ndarray, y: np.ndarray, stops: Sequence[int] | None = None
) -> Series:
    """A run's curve as it looks everywhere."""
    look = runs.look(record)
    return Series(runs.name(record), x, y, look.colour, dash=look.dash, stops=stops)


def _by_epoch_words(title: str, records: Sequence[RunRecord]) -> str:
    return _("{what} by epoch, one curve a run: {runs}").format(what=title, runs=_names(records))


def _epoch_now() -> str:
    return _("epoch {epoch}").format(epoch=STOP)


def _height(entries: int) -> int:
    """Room for a legend with one entry a line above the chart."""
    return 300 + LEGEND_LINE * entries


def _names(records: Sequence[RunRecord]) -> str:
    return ", ".join(runs.name(record) for record in records)


def _rows(records: Sequence[RunRecord], values: Sequence[np.ndarray], column: str) -> list[dict]:
    """A line an epoch and run; nothing where the figure does not exist."""
    return [
        {
            "run": record.recipe,
            "bundle": record.bundle.name,
            "hash": record.bundle.digest,
            "epoch": int(epoch),
            column: "" if np.isnan(value) else float(value),
        }
        for record, found in zip(records, values, strict=True)
        for epoch, value in zip(record.epochs, found, strict=True)
    ]


def _spectrum_rows(records: Sequence[RunRecord], layer: Layer, epoch: int) -> list[dict]:
    return [
        {
            "run": record.recipe,
            "bundle": record.bundle.name,
            "hash": record.bundle.digest,
            "epoch": epoch,
            "layer": layer,
            "index": index,
            "singular_value": float(value),
        }
        for record in records
        for index, value in enumerate(record.spectra[layer][epoch], start=1)
    ]


def _map_rows(record: RunRecord, layer: Layer, epoch: int) -> list[dict]:
    names = record.bundle.config["data"]["class_names"]
    return [
        {
            "run": record.recipe,
            "bundle": record.bundle.name,
            "hash": record.bundle.digest,
            "epoch": epoch,
            "layer": layer,
            "class": names[label],
            "first": float(first),
            "second": float(second),
        }
        for label, (first, second) in zip(record.labels, record.maps[layer][epoch], strict=True)
    ]
