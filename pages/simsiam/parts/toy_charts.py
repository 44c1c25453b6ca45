"""What the toy SimSiam makes of its points, and its quantities by step, for both sides."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import Literal

import numpy as np
import plotly.graph_objects as go

from core.simsiam.toy import CLASSES, Run, State
from pages.browser import curves
from pages.browser.curves import Axis, Level, Series
from pages.browser.film import STOP
from pages.shared.colours import AMBER, GREY, SYMBOL_COLOURS
from pages.shared.text import N_, _

Curve = Literal["loss", "std", "rank", "accuracy"]
CURVES: dict[Curve, str] = {
    "loss": N_("loss"),
    "std": N_("std of z / ‖z‖"),
    "rank": N_("effective rank of z"),
    "accuracy": N_("kNN accuracy"),
}
STEP = "toy_step"
"""The key of the timeline."""
SIDES = (N_("SimSiam"), N_("Your switches"))
SQUARE = 340
"""Pixels of the width of a cloud, and of its height, where there is room."""
LEAST = 200
"""Pixels that are kept free for a cloud before its numbers are here: as high as it is on a phone."""
DIRECTIONS = (
    N_("1st direction"),
    N_("2nd direction"),
    N_("3rd direction"),
    N_("4th direction"),
    N_("5th direction"),
    N_("6th direction"),
    N_("7th direction"),
    N_("8th direction"),
)
"""As many as z can have."""
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


def cloud(run: Run, side: str, limit: float, key: str) -> None:
    """z on its principal plane at every step, on axes that stay the same for the whole run."""
    planes = np.stack([state.plane for state in run.states])  # (states, N, 2)
    labels, angle = run.states[0].labels, np.linspace(0, 2 * np.pi, 181)
    axis = Axis("", span=(-limit, limit), bare=True)
    curves.chart(
        key,
        STEP,
        [
            Series("", np.cos(angle), np.sin(angle), GREY, dash="dot", width=1),
            *(
                Series(
                    "",  # five names for each cloud would take its place
                    planes[:, labels == c, 0],
                    planes[:, labels == c, 1],
                    CLASS_COLOURS[c],
                    symbol=CLASS_SYMBOLS[c],
                    stops=_steps(run),
                )
                for c in range(CLASSES)
            ),
        ],
        axis,
        axis,
        _("z of every point after {step} steps, {side}, a colour and a shape a class").format(
            step=STOP, side=side
        ),
        now=_step_now(),
        along=False,
        square=True,
        height=LEAST,
    )


def drawn_cloud(state: State, words: str, limit: float) -> str:
    """One state of a cloud as SVG, with words above it: where and as large as ``cloud`` will draw it."""
    side, edge = SQUARE - 22, 8  # as ``curves.js`` lays out a square without axes
    above = SQUARE - side + 28
    scale = side / (2 * limit)
    middle = edge + side / 2, above + side / 2
    dots = "".join(
        f'<g fill="{CLASS_COLOURS[c]}" fill-opacity="0.8">'
        + "".join(
            f'<circle cx="{middle[0] + scale * x:.1f}" cy="{middle[1] - scale * y:.1f}" r="4.5"/>'
            for x, y in state.plane[state.labels == c]
        )
        + "</g>"
        for c in range(CLASSES)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {SQUARE} {above + side + edge}">'
        f'<text x="0" y="21" font-family="sans-serif" font-size="15" fill="{GREY}">{words}</text>'
        f'<circle cx="{middle[0]}" cy="{middle[1]}" r="{scale:.1f}" fill="none" stroke="{GREY}" '
        f'stroke-dasharray="2 5"/>{dots}</svg>'
    )


def curve(pair: Sequence[Run], code: Curve, key: str) -> None:
    """One quantity of both runs by step, with its values at the step of the timeline."""
    d = pair[0].config.dim
    reference, words, span = {
        "loss": (-1.0, "−1", (-1.25, max(0.1, *(s.loss for run in pair for s in run.states)))),
        "std": (1 / sqrt(d), "1/√d", (0, 1.3 / sqrt(d))),
        "rank": (d, f"d = {d}", (0, 1.3 * d)),
        "accuracy": (1 / CLASSES, _("chance"), (0, 1.05)),
    }[code]
    curves.chart(
        key,
        STEP,
        [
            Series(
                _(side),
                np.array(_steps(run)),
                np.array([getattr(state, code) for state in run.states]),
                colour,
                dash=dash,
            )
            for run, side, colour, dash in zip(pair, SIDES, COLOURS, DASHES, strict=True)
        ],
        Axis(_("step"), whole=True),
        Axis(_(CURVES[code]), span=span, percent=code == "accuracy"),
        _("{what} by step, both runs").format(what=_(CURVES[code])),
        now=_step_now(),
        levels=[Level(reference, words)],
        height=300,
    )


def spectrum(
    run: Run,
    name: Literal["eigenvalues", "gains"],
    title: str,
    alt: str,
    key: str,
    *,
    span: tuple[float, float] | None = None,
    levels: Sequence[Level] = (),
) -> None:
    """d numbers of one run by step, the first in the darkest grey-blue."""
    values = np.stack([getattr(state, name) for state in run.states])  # (states, d)
    drawn = []
    for j in range(values.shape[1]):
        shade = int(40 + 150 * j / values.shape[1])
        colour = f"rgb({shade // 3},{shade},{min(255, shade + 60)})"
        name = _(DIRECTIONS[j])
        drawn.append(Series(name, np.array(_steps(run)), values[:, j], colour))
    curves.chart(
        key,
        STEP,
        drawn,
        Axis(_("step"), whole=True),
        Axis(title, span=span),
        alt,
        now=_step_now(),
        levels=levels,
        height=300,
    )


def _steps(run: Run) -> list[int]:
    return [state.step for state in run.states]


def _step_now() -> str:
    return _("step {step}").format(step=STOP)


def rows_of(pair: Sequence[Run]) -> list[dict]:
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
        for run, side in zip(pair, ("simsiam", "own"), strict=True)
        for state in run.states
    ]
