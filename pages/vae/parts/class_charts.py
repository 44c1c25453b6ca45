"""Charts of class means over the units of z, and what they are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from core.vae.explorer import VAEExplorer
from core.vae.latent_profiles import ClassProfiles
from pages.shared.colours import PALE, SYMBOL_COLOURS, WHISKER
from pages.shared.figures import Provenance
from pages.shared.text import _


@dataclass(frozen=True)
class ClassChartData:
    """What the figures of classes are made of: profiles, units in order, peaks (classes, units).

    ``crops`` pictures show the same digit.
    """

    explorer: VAEExplorer
    shown: ClassProfiles
    units: np.ndarray
    peaks: np.ndarray
    crops: int
    provenance: Provenance

    @property
    def classes(self) -> list[str]:
        return list(self.explorer.class_names)

    @property
    def content(self) -> tuple[str | bytes, ...]:
        """All that charts of every class show, to tell it from what others show."""
        shown = self.shown
        arrays = (shown.distance, shown.error(self.crops), shown.deviation, self.units, self.peaks)
        return *self.classes, *(array.tobytes() for array in arrays)

    def rows(self) -> list[dict]:
        return profile_rows(self.shown, self.explorer)


def axis_labels(units: Sequence[int], always: Sequence[int], *, apart: int = 1) -> list[str]:
    """The units whose names stand on an axis of bars, where names that do not stand ``apart`` bars from one
    another would collide; ``always``: those that are named in any case.
    """
    places = {place for place, unit in enumerate(units) if unit in always}
    for place in range(len(units)):
        if all(abs(place - other) >= apart for other in places):
            places.add(place)
    return [f"z{units[place] + 1}" for place in sorted(places)]


CLOSE = 2
"""How far names stand apart where 32 bars share half a page."""
LOWER = "\N{FIGURE SPACE}" * 4
"""After a name that stands upright: it begins lower by as much as a name is long."""


def name_units(
    figure: go.Figure, units: Sequence[int], always: Sequence[int] = (), *, apart: int = 1
) -> None:
    """Names of units upright below their bars, a second one of two neighbours lower where names are to stand
    apart; arguments as of ``axis_labels``.
    """
    names = axis_labels(list(units), list(always), apart=apart)
    places = [place for place, unit in enumerate(units) if f"z{unit + 1}" in names]
    words, lowered = [], False
    for name, place in zip(names, places, strict=True):
        lowered = apart > 1 and place - 1 in places and not lowered
        words.append(name + LOWER if lowered else name)
    figure.update_xaxes(tickmode="array", tickvals=names, ticktext=words, tickangle=-90)


def bars(
    shown: ClassProfiles, c: int, units: np.ndarray, peaks: np.ndarray, whiskers: np.ndarray
) -> go.Bar:
    """How far class c lies from the mean of all classes over ``units``, with ``whiskers`` (C, d)."""
    return go.Bar(
        x=[f"z{u + 1}" for u in units],
        y=shown.distance[c, units],
        error_y={
            "type": "data",
            "array": np.where(np.isfinite(whiskers), whiskers, np.nan)[c, units],
            "color": WHISKER,
            "thickness": 1,
        },
        marker_color=[SYMBOL_COLOURS["z"] if peaks[c, u] else PALE for u in units],
        name=str(c),
        showlegend=False,
        customdata=shown.deviation[c, units],
        hovertemplate="%{x}: %{y:.2f}, δ = %{customdata:.2f}<extra></extra>",
    )


def one_class(profiled: ClassChartData, c: int, whiskers: np.ndarray, chosen: int) -> go.Figure:
    """One class, the bar of the ``chosen`` unit in a frame."""
    units, peaks = profiled.units, profiled.peaks[c]
    figure = go.Figure(bars(profiled.shown, c, units, profiled.peaks, whiskers))
    frame = [3 if unit == chosen else 0 for unit in units]
    figure.update_traces(marker_line={"color": SYMBOL_COLOURS["x"], "width": frame})
    name_units(figure, units, [*np.flatnonzero(peaks), chosen], apart=CLOSE)
    figure.update_yaxes(title=_("class mean − mean of all"))
    return figure


def all_classes(profiled: ClassChartData) -> go.Figure:
    shown, names, units = profiled.shown, profiled.classes, profiled.units
    whiskers = shown.error(profiled.crops)
    count = len(names)
    figure = make_subplots(
        rows=(count + 1) // 2,
        cols=2,
        shared_yaxes="all",
        shared_xaxes=True,
        subplot_titles=list(names),
        vertical_spacing=0.05,
        horizontal_spacing=0.04,
    )
    for c in range(count):
        one = bars(shown, c, units, profiled.peaks, whiskers)
        figure.add_trace(one, row=c // 2 + 1, col=c % 2 + 1)
    figure.update_xaxes(showticklabels=False)
    return figure


def heat_map(shown: ClassProfiles, names: Sequence[str], units: np.ndarray) -> go.Figure:
    deviation = shown.deviation[:, units]
    limit = float(np.nanmax(np.abs(deviation))) or 1.0
    figure = go.Figure(
        go.Heatmap(
            z=deviation,
            x=[f"z{u + 1}" for u in units],
            y=list(names),
            colorscale="PuOr",
            zmin=-limit,
            zmax=limit,
            colorbar={"title": "δ"},
            hovertemplate="%{x}, %{y}: δ = %{z:.2f}<extra></extra>",
        )
    )
    figure.update_yaxes(title=_("class"), autorange="reversed", type="category")
    name_units(figure, units)
    return figure


def class_difference(
    shown: ClassProfiles, names: Sequence[str], a: int, b: int, units: np.ndarray
) -> go.Figure:
    spread = np.sqrt(shown.within_variance[units])
    figure = go.Figure(
        go.Bar(
            x=[f"z{u + 1}" for u in units],
            y=shown.mean[a, units] - shown.mean[b, units],
            error_y={"type": "data", "array": spread, "color": WHISKER, "thickness": 1},
            marker_color=SYMBOL_COLOURS["x"],
        )
    )
    figure.update_yaxes(title=_("class {a} − class {b}").format(a=names[a], b=names[b]))
    name_units(figure, units)
    return figure


def kl_chart(explorer: VAEExplorer, units: np.ndarray) -> go.Figure:
    figure = go.Figure(
        go.Bar(
            x=[f"z{u + 1}" for u in units],
            y=explorer.kl_per_unit[units],
            marker_color=[SYMBOL_COLOURS["z"] if explorer.active[u] else PALE for u in units],
        )
    )
    figure.update_yaxes(title=_("KL (nats)"))
    name_units(figure, units)
    return figure


def profile_rows(shown: ClassProfiles, explorer: VAEExplorer) -> list[dict]:
    return [
        {
            "class": c,
            "unit": u + 1,
            "pictures": int(shown.count[c]),
            "mean": float(shown.mean[c, u]),
            "distance_from_all": float(shown.distance[c, u]),
            "std": float(shown.std[c, u]),
            "deviation": float(shown.deviation[c, u]),
            "kl_nats": float(explorer.kl_per_unit[u]),
        }
        for c in range(len(shown.mean))
        for u in range(explorer.latent_dim)
    ]
