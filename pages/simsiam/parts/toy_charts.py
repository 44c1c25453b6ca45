"""What the toy SimSiam makes of its points, and its quantities by step, for both sides."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import Literal

import numpy as np
import plotly.graph_objects as go

from core.simsiam.toy import CLASSES, Run, State
from pages.shared import figures
from pages.shared.colours import AMBER, GREY, SYMBOL_COLOURS
from pages.shared.text import N_, _

Curve = Literal["loss", "std", "rank", "accuracy"]
CURVES: dict[Curve, str] = {
    "loss": N_("loss"),
    "std": N_("std of z / ‖z‖"),
    "rank": N_("effective rank of z"),
    "accuracy": N_("kNN accuracy"),
}
SIDES = (N_("SimSiam"), N_("Your switches"))
COLOURS, DASHES = (SYMBOL_COLOURS["x"], SYMBOL_COLOURS["z"]), ("solid", "dash")
CLASS_COLOURS = (*(SYMBOL_COLOURS[s] for s in ("x", "z", "x_hat", "eps")), AMBER)
CLASS_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x")


def class_traces(plane: np.ndarray, labels: np.ndarray) -> list[go.Scatter]:
    """Points (N, 2), a colour and a shape for each class."""
    return [
        go.Scatter(
            x=plane[labels == c, 0],
            y=plane[labels == c, 1],
            mode="markers",
            marker={
                "color": CLASS_COLOURS[c],
                "symbol": CLASS_SYMBOLS[c],
                "size": 9,
                "opacity": 0.8,
                "line": {"color": "white", "width": 0.5},
            },
            name=_("class {c}").format(c=c + 1),
            showlegend=False,
            hovertemplate=_("class {c}").format(c=c + 1) + "<extra></extra>",
        )
        for c in range(CLASSES)
    ]


def cloud(state: State, limit: float) -> go.Figure:
    """z on its principal plane, on axes that stay the same for the whole run."""
    figure = go.Figure(class_traces(state.plane, state.labels))
    figure.add_shape(
        type="circle", x0=-1, x1=1, y0=-1, y1=1, line={"color": GREY, "width": 1, "dash": "dot"}
    )
    axis = {
        "range": [-limit, limit],
        "showticklabels": False,
        "zeroline": False,
        "showgrid": False,
    }
    figure.update_xaxes(**axis, constrain="domain")
    figure.update_yaxes(**axis, scaleanchor="x", constrain="domain")
    return figure


def mark(figure: go.Figure, step: int) -> None:
    figure.add_vline(step, line_color=GREY, line_dash="dot")


def curve(runs: Sequence[Run], code: Curve, step: int) -> go.Figure:
    """One quantity of both runs by step."""
    figure = go.Figure()
    for run, side, colour, dash in zip(runs, SIDES, COLOURS, DASHES, strict=True):
        x = [state.step for state in run.states]
        y = [getattr(state, code) for state in run.states]
        figure.add_trace(figures.line(x, y, _(side), colour, dash=dash))
    d = runs[0].config.dim
    reference, words, span = {
        "loss": (-1.0, "−1", [-1.25, max(0.1, *(s.loss for run in runs for s in run.states))]),
        "std": (1 / sqrt(d), "1/√d", [0, 1.3 / sqrt(d)]),
        "rank": (d, f"d = {d}", [0, 1.3 * d]),
        "accuracy": (1 / CLASSES, _("chance"), [0, 1.05]),
    }[code]
    figure.add_hline(
        reference,
        line_color=GREY,
        line_dash="dash",
        annotation_text=words,
        annotation_position="bottom right" if code in ("loss", "accuracy") else "top right",
        annotation_font_size=15,
    )
    mark(figure, step)
    figure.update_xaxes(title=_("step"))
    figure.update_yaxes(title=_(CURVES[code]), range=span)
    if code == "accuracy":
        figure.update_yaxes(tickformat=".0%")
    return figure


def spectrum(run: Run, name: Literal["eigenvalues", "gains"], step: int, title: str) -> go.Figure:
    """d numbers of one run by step, the first in the darkest grey-blue."""
    figure = go.Figure()
    x = [state.step for state in run.states]
    values = np.stack([getattr(state, name) for state in run.states])  # (states, d)
    for j in range(values.shape[1]):
        shade = int(40 + 150 * j / values.shape[1])
        colour = f"rgb({shade // 3},{shade},{min(255, shade + 60)})"
        figure.add_trace(figures.line(x, values[:, j], f"j = {j + 1}", colour))
    mark(figure, step)
    figure.update_xaxes(title=_("step"))
    figure.update_yaxes(title=title)
    return figure


def rows_of(runs: Sequence[Run]) -> list[dict]:
    """Everything that is drawn by step."""
    return [
        {
            "run": side,
            "step": state.step,
            "loss": state.loss,
            "std": state.std,
            "std_of_spread_z": 1 / sqrt(run.config.dim),
            "effective_rank": state.rank,
            "neighbours_accuracy": state.accuracy,
            **{f"eigenvalue_{j + 1}": float(s) for j, s in enumerate(state.eigenvalues)},
        }
        for run, side in zip(runs, ("simsiam", "own"), strict=True)
        for state in run.states
    ]
