"""Charts of several self-supervised runs, which of them to draw, and what state each is in."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import plotly.graph_objects as go

from core.simsiam.explorer import Layer
from core.simsiam.run_record import RunRecord
from pages.shared import figures
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

State = Literal["collapsed", "flat", "spread"]
STATES: dict[State, str] = {
    "collapsed": N_("collapsed"),
    "flat": N_("one sign of two"),
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
LEGEND_LINE, MAP_HEIGHT = 24, 560
FAINT = 1e-6
"""Singular values below this share of the largest one drawn are left out of the picture."""


# ---------------------------------------------------------------- by epoch


@dataclass(frozen=True)
class Reference:
    """A horizontal line that curves are read against; ``name`` is in the visitor's language."""

    value: float
    name: str
    colour: str = GREY
    dash: str = "dot"


def by_epoch(
    records: Sequence[RunRecord],
    column: str,
    title: str,
    key: str,
    *,
    epoch: int | None = None,
    references: Sequence[Reference] = (),
    factor: Callable[[RunRecord], float] | None = None,
    log: bool = False,
) -> None:
    """One figure of ``RunRecord.figures`` against the epoch, a curve a run, with what is under it.

    ``title``, in the visitor's language, names the axis. ``epoch`` is marked. ``factor`` multiplies
    the curve of a run: sqrt(d) where runs of several d are compared.
    """
    figure = go.Figure()
    values = [_values(record, column, factor) for record in records]
    ends = [0, max(int(record.epochs[-1]) for record in records)]
    for line in references:
        drawn = figures.line(ends, [line.value] * 2, line.name, line.colour, dash=line.dash)
        figure.add_trace(drawn.update(line_width=2))
    for record, found in zip(records, values, strict=True):
        curve(figure, record, record.epochs, found)
    if epoch is not None:
        mark(figure, epoch, records, [found[epoch] for found in values])
    figure.update_xaxes(title=_("epoch"))
    figure.update_yaxes(title=title, type="log" if log else "linear", exponentformat="power")
    if column == "test_knn_accuracy":
        figure.update_yaxes(tickformat="~%")
    alt = _("{what} by epoch, one curve a run: {runs}").format(what=title, runs=_names(records))
    of = provenance(records, epoch, over(records[0], column))
    height = _height(len(records) + len(references))
    figures.chart(figure, key, alt, of, lambda: _rows(records, values, column), height=height)


def spectrum(records: Sequence[RunRecord], layer: Layer, epoch: int, key: str) -> None:
    """Singular values of z or h at an epoch, largest first, on axes that no epoch moves."""
    figure = go.Figure()
    for record in records:
        values = record.spectra[layer][epoch]
        index = 1 + np.arange(len(values))
        curve(figure, record, index, np.where(values > 0, values, np.nan))
    top = max(float(record.spectra[layer].max()) for record in records) or 1.0
    figure.update_xaxes(title=_("singular value, largest first"))
    figure.update_yaxes(
        title=_("singular values of {layer}").format(layer=layer),
        type="log",
        exponentformat="power",
        range=np.log10([FAINT * top, 2 * top]).tolist(),
    )
    alt = _("Singular values of {layer} after epoch {epoch}: {runs}").format(
        layer=layer, epoch=epoch, runs=_names(records)
    )
    of = provenance(records, epoch, over(records[0], f"test_rank_{layer}"))
    height = _height(len(records))
    figures.chart(
        figure, key, alt, of, lambda: _spectrum_rows(records, layer, epoch), height=height
    )


def plane(record: RunRecord, layer: Layer, epoch: int, reach: float, key: str) -> None:
    """Test pictures on the first two components of their z or h, from -reach to reach."""
    figure = go.Figure()
    points, names = record.maps[layer][epoch], record.bundle.config["data"]["class_names"]
    for c, name in enumerate(names):
        colour, symbol = MARKS[c % len(MARKS)]
        mine = points[record.labels == c]
        figure.add_trace(
            go.Scatter(
                x=mine[:, 0],
                y=mine[:, 1],
                mode="markers",
                name=_(CLASSES.get(name, name)),
                marker={"color": colour, "symbol": symbol, "size": 9, "opacity": 0.8},
            )
        )
    figure.update_layout(legend={"itemsizing": "constant"})
    figure.update_xaxes(title=_("first component"), range=[-reach, reach], constrain="domain")
    figure.update_yaxes(
        title=_("second component"), range=[-reach, reach], scaleanchor="x", constrain="domain"
    )
    alt = _("Map of {layer} after epoch {epoch}, a point a test picture: {run}").format(
        layer=layer, epoch=epoch, run=runs.name(record)
    )
    settings = {_("over"): _("{count} test pictures").format(count=number(len(points), 0))}
    of = provenance([record], epoch, settings)
    figures.chart(figure, key, alt, of, lambda: _map_rows(record, layer, epoch), height=MAP_HEIGHT)


def reach(records: Sequence[RunRecord], layer: Layer) -> float:
    """How far the maps of these runs go at any epoch, with a little room."""
    return 1.05 * max(float(np.abs(record.maps[layer]).max()) for record in records)


def curve(figure: go.Figure, record: RunRecord, x: np.ndarray, y: np.ndarray) -> None:
    """A run's curve as it looks everywhere, named with its hash."""
    look = runs.look(record)
    figure.add_trace(figures.line(x, y, runs.signature(record), look.colour, dash=look.dash))


def mark(
    figure: go.Figure, epoch: int, records: Sequence[RunRecord], values: Sequence[float]
) -> None:
    """A line at the epoch, and a point on every curve there."""
    figure.add_vline(epoch, line_color=GREY, line_width=1)
    for record, value in zip(records, values, strict=True):
        point = {"color": runs.look(record).colour, "size": 11}
        figure.add_trace(
            go.Scatter(
                x=[epoch],
                y=[value],
                mode="markers",
                marker=point,
                showlegend=False,
                hoverinfo="skip",
            )
        )


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


def compared_with(
    record: RunRecord, baseline: RunRecord | None, epoch: int
) -> tuple[RunRecord, int]:
    """What the spread of a run is compared with: the baseline, at the same epoch.

    The baseline itself, and every run where there is none, is compared with its own epoch 0.
    """
    if baseline is None or record.bundle.digest == baseline.bundle.digest:
        return record, 0
    return baseline, epoch


def state(record: RunRecord, baseline: RunRecord | None, epoch: int, share: float) -> State:
    """Whether z has collapsed at an epoch, by a rule.

    Collapsed: spread and effective rank of z are both below ``share`` times those of
    ``compared_with``; flat: one of them is, which alone is no collapse.
    """
    reference, at = compared_with(record, baseline, epoch)
    low = [
        spread_of(record, epoch) < share * spread_of(reference, at),
        record.figures["test_rank_z"][epoch] < share * reference.figures["test_rank_z"][at],
    ]
    return "collapsed" if all(low) else "flat" if any(low) else "spread"


def has_learnt(record: RunRecord, epoch: int) -> bool:
    """Whether neighbours name the class more often than before the first step.

    By more than two standard errors of the difference of both shares, as that much is chance.
    """
    before, now = (float(record.figures["test_knn_accuracy"][at]) for at in (0, epoch))
    asked = knn_queries(record)
    return now - before > 2 * standard_error((before, asked), (now, asked))


def standard_error(*shares: tuple[float, int]) -> float:
    """Of a sum or difference of independent shares, each given with its count: (share, pictures)."""
    return math.sqrt(sum(share * (1 - share) / count for share, count in shares))


def knn_queries(record: RunRecord) -> int:
    """How many test pictures the kNN accuracy by epoch is over."""
    config = record.bundle.config
    return min(config["training"]["protocol"]["queries"], config["data"]["test_pictures"])


# ---------------------------------------------------------------- inside


def _values(
    record: RunRecord, column: str, factor: Callable[[RunRecord], float] | None
) -> np.ndarray:
    """(E + 1,)"""
    found = record.figures[column]
    return found if factor is None else factor(record) * found


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
            "hash": record.bundle.digest,
            "epoch": epoch,
            "layer": layer,
            "class": names[label],
            "first": float(first),
            "second": float(second),
        }
        for label, (first, second) in zip(record.labels, record.maps[layer][epoch], strict=True)
    ]
