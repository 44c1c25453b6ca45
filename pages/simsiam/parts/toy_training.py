"""The toy's runs on the page: shared by all visitors, trained in view, their clouds always in one place."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import streamlit as st

from core.simsiam.toy import Run, State, ToyConfig, side_by_side
from pages.shared import controls, figures, library, live, shape
from pages.shared.text import _, number
from pages.simsiam.parts.toy_charts import SIDES, drawn_cloud

AT_ONCE = 400
"""Both runs of at most this number of steps are trained without being asked: in seconds."""
KEPT = 64
REACH = 1.15
"""How far the axes of the clouds go while they are trained."""
WANTED = "toy_wanted"

Holders = Sequence[live.Place]
"""Where the two clouds stand, whether they are trained or looked at."""


def runs_of(*configs: ToyConfig) -> tuple[Run, ...]:
    """The runs of these settings, shared by all visitors, trained as far as anybody asked."""
    kept = library.answers("toy", KEPT)
    return tuple(kept.ask(config, lambda config=config: Run(config)) for config in configs)


def to_the_end(runs: Sequence[Run], show: Callable[[Sequence[State]], None] | None = None) -> None:
    """Trains runs; ``show`` is called with states on the way, a few times a second."""
    shown = 0.0
    with st.spinner(_("Training …")):
        for now in side_by_side(runs):
            st.session_state.get("toy_stop")  # a run of the page that was asked to end does so here
            if show is not None and time.perf_counter() - shown > live.SECONDS_A_FRAME:
                show(now.states)
                shown = time.perf_counter()


def train_in_view(runs: Sequence[Run], holders: Holders, place: live.Place) -> bool:
    """Trains at once what is short, long runs when asked; whether both are at their end.

    The clouds of now are shown in the ``holders``; what is pressed and said meanwhile in ``place``.
    """
    if all(run.finished for run in runs):
        return True
    place = shape.work(place)

    def show(states: Sequence[State]) -> None:
        for holder, state, side in zip(holders, states, SIDES, strict=True):
            newest(holder, state, side)

    steps = runs[0].config.steps
    if steps <= AT_ONCE:
        with place.container():
            to_the_end(runs, show)
        place.empty()
        return True
    configs = tuple(run.config for run in runs)
    behind = min(runs, key=lambda run: len(run.states)).states
    if st.session_state.pop(WANTED, None) == configs:
        going = True
    elif behind:
        going = live.offer_to_go_on(behind[-1], place, "toy")
    else:
        going = False
        with place:
            controls.act(
                _("Train both for {steps} steps").format(steps=number(steps, 0)),
                "toy_go",
                of=("toy_cloud", "toy_cloud_own"),
                type="primary",
                icon=":material/play_arrow:",
                # Set before the page runs, so that the button is gone once training is on.
                on_click=lambda: st.session_state.update({WANTED: configs}),
            )
    if going:
        place.empty()
        live.watch(side_by_side(runs), place, "toy", lambda now: show(now.states))
    else:
        show([run.reach(max(len(behind) - 1, 0)) for run in runs])
    return going


def newest(holder: live.Place, state: State, side: str) -> None:
    """The cloud of a run that is not at its end, as large as the one that will stand there."""
    drawn = drawn_cloud(state, _("step {step}").format(step=number(state.step, 0)), REACH)
    holder.image(
        figures.vector(drawn),
        alt=_("The representations now, {side}").format(side=_(side)),
        width="stretch",
    )
