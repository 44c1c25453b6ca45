"""Long work on the page: shown while it goes, stopped by a click, gone on with by another."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar

import streamlit as st

from pages.shared.text import _, number

Place = st.delta_generator.DeltaGenerator
SECONDS_A_FRAME = 0.2
# The network keeps all cores busy: without a pause the server sends a picture late, and a browser on
# the same machine paints it late; the first one is what a visitor waits for.
SECONDS_TO_SEND, SECONDS_TO_SEND_FIRST = 0.02, 0.6


class Progress(Protocol):
    """How far some work has come: ``done`` of ``total`` steps in ``seconds``."""

    done: int
    total: int
    seconds: float

    @property
    def finished(self) -> bool: ...


Work = TypeVar("Work", bound=Progress)


def one_at_a_time(steps: Iterator[Work], prefix: str) -> Iterator[Work]:
    """The same steps, each taken by one run of the page at a time.

    Streamlit answers a click with a new run at once, in a thread beside the old one, which ends
    only where it next asks Streamlit for something. So the old run asks before every step, and the
    new one waits for the step that is still being taken.
    """
    taking = st.session_state.setdefault(f"{prefix}_taking", threading.Lock())
    while True:
        st.session_state.get(f"{prefix}_taking")  # a run that was asked to end does so here
        with taking:
            now = next(steps, None)
        if now is None:
            return
        yield now


def share_of_steps(now: Progress) -> float:
    """How much is done where every step takes as long."""
    return now.done / max(1, now.total)


def watch(
    steps: Iterator[Work],
    place: Place,
    prefix: str,
    show: Callable[[Work], None],
    worked: Callable[[Work], float] = share_of_steps,
) -> None:
    """Go on to the end, calling ``show`` a few times a second; a click on Stop ends the run of the
    page between two steps. ``worked``: the share of the whole work that is done, in [0, 1].
    """
    with place.container():
        st.button(_("Stop"), key=f"{prefix}_stop", icon=":material/stop:")
        bar = st.progress(0.0)
        live = st.empty()
    shown, pause = 0.0, SECONDS_TO_SEND_FIRST
    for now in one_at_a_time(steps, prefix):
        if time.perf_counter() - shown < SECONDS_A_FRAME and not now.finished:
            continue
        shown = time.perf_counter()
        share = worked(now)
        words = _("step {done} of {total}").format(
            done=number(now.done, 0), total=number(now.total, 0)
        )
        if share > 0:
            left = now.seconds * (1 - share) / share
            words = _("step {done} of {total}, {left} s left").format(
                done=number(now.done, 0), total=number(now.total, 0), left=number(left, 0)
            )
        bar.progress(share, text=words)
        with live.container():
            show(now)
        time.sleep(pause)
        pause = SECONDS_TO_SEND
    place.empty()


def stopped(now: Progress, place: Place, prefix: str) -> bool:
    """Says where work was stopped; whether its visitor wants to go on.

    The button stands where Stop stood, above all that comes and goes: one that moves between the
    press and the release of the mouse is not clicked.
    """
    with place.container():
        going = st.button(_("Go on"), key=f"{prefix}_on", icon=":material/play_arrow:")
        st.info(
            _("Stopped after {done} of {total} steps.").format(
                done=number(now.done, 0), total=number(now.total, 0)
            )
        )
    return going
