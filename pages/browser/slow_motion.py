"""Steps in slow motion: the outputs of several networks on the circle, and how the loss turns them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import streamlit as st

from core.simsiam.slow_motion import Moment
from pages.browser import serving
from pages.browser.component import Component
from pages.shared import shape
from pages.shared.colours import SYMBOL_COLOURS
from pages.shared.text import N_, _

BOTH_HALVES = N_("Both halves of the loss")
_SLOW_MOTION = Component("slow_motion")


@dataclass(frozen=True)
class Panel:
    """A network by its ``code``: a moment for every stop of the timeline.

    ``stopped``: what pulls at its targets is drawn as taken away. ``predictor``: p is not z itself.
    """

    code: str
    title: str
    stopped: bool
    predictor: bool
    moments: Sequence[Moment]


def show(
    key: str,
    timeline: str,
    panels: Sequence[Panel],
    points: Sequence[int],
    pair: int,
    halves: bool,
    near: bool,
    taken: Callable[[], None],
) -> None:
    """Mounts panels that follow the timeline of that key; ``points`` are those whose two views are shown,
    and ``pair`` is the place among them of the one with arrows; ``halves``: those of both halves of the
    loss; ``near``: under a lens, as arrows grow short where the loss is low.

    When the visitor wants one of the three otherwise, ``taken`` is called, which finds them by ``choices``.
    """
    numbers = np.stack([numbers_of(panel.moments, points) for panel in panels])
    with shape.figure(
        key, _("Two views of a point, and how the loss turns what the networks make of them")
    ):
        _SLOW_MOTION(
            key,
            {
                "timeline": timeline,
                "value": pair,
                "halves": halves,
                "near": near,
                "pairs": len(points),
                "stops": [moment.step for moment in panels[0].moments],
                "address": serving.offer(numbers.tobytes(), "moments"),
                "networks": [
                    {
                        "code": panel.code,
                        "place": place,
                        "title": panel.title,
                        "stopped": panel.stopped,
                        "predictor": panel.predictor,
                        "spread": [moment.spread for moment in panel.moments],
                        "towards": [moment.towards for moment in panel.moments],
                    }
                    for place, panel in enumerate(panels)
                ],
                "colours": {"p": SYMBOL_COLOURS["x_hat"], "z": SYMBOL_COLOURS["z"]},
                "words": {
                    "spread": _("spread"),
                    "towards": _("views that the loss turns towards the other view"),
                    "both": _(BOTH_HALVES),
                    "another": _("Another pair"),
                    "lens": _("Magnify"),
                    "larger": _("{scale} times as large"),
                    "which": _("pair {pair} of {pairs}"),
                    "alt": _("{title}: two views of a point after {step} steps; spread {spread}"),
                },
            },
            taken,
        )


def numbers_of(moments: Sequence[Moment], points: Sequence[int]) -> np.ndarray:
    """(stops, 10, points), float32: angles of z1, z2, p1, p2, then the pulls at p, at z as the side that
    predicts, at z as target, each of view 1 and view 2.
    """
    chosen = list(points)
    return np.stack(
        [
            np.concatenate(
                [part[:, chosen] for part in (one.z, one.p, one.asked, one.predicts, one.target)]
            )
            for one in moments
        ]
    ).astype("<f4")


def choices(key: str) -> tuple[object, object, object]:
    """The pair that a visitor wants to see, whether with both halves, and whether under the lens; a browser can
    send what it likes.
    """
    sent = st.session_state[key].value
    return tuple(sent[:3]) if isinstance(sent, list) and len(sent) > 2 else (None, None, None)
