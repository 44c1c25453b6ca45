"""Long work on the page: shown while it goes on, stopped by a click, resumed by another."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from itertools import chain

import streamlit as st

from core.resumable import Resumable, State
from pages.shared import library, links, shape
from pages.shared.kept import AnswerCache
from pages.shared.text import _, number

Place = st.delta_generator.DeltaGenerator
MOST_KEPT = 12
"""How many works of one kind are kept, for all visitors together."""
MOST_LITTLE = 32
"""How many of what is little work: one each of a class."""
AT_ONCE = 10.0
"""Seconds of work that a link may begin by itself."""
QUIET = 0.8
"""Seconds that little work takes before anything is shown of it: longer than 50 steps of one picture on two
idle cores (8.8 ms each), as a first frame costs ``SECONDS_TO_SEND_FIRST``, and soon enough for a class.
"""
REPLAYED_IN = 2.0
"""Seconds in which finished work is shown once more."""
SECONDS_A_FRAME = 0.2
BYTES_A_SECOND = 100_000
"""What one visitor is sent of frames at most: thirty who watch large ones share a room's network."""
# The network keeps all cores busy: without a pause the server sends a picture late, and a browser on
# the same machine paints it late; the first one is what a visitor waits for.
SECONDS_TO_SEND, SECONDS_TO_SEND_FIRST = 0.02, 0.6


def share_of_steps(now: State) -> float:
    """How much is done where every step takes as long."""
    return now.done / max(1, now.total)


def works_of(prefix: str, little: bool = False) -> AnswerCache[Resumable[State]]:
    """The works of one kind, kept for all visitors."""
    if little:
        return library.answers(f"{prefix}_little", MOST_LITTLE)
    return library.answers(prefix, MOST_KEPT)


def result(prefix: str, request: Hashable, *, little: bool = False) -> State | None:
    """What came of the work that answers a request, if it is at its end and still kept."""
    work = works_of(prefix, little).get(request)
    return work.newest if work is not None and work.finished else None


def answer(
    request: Hashable,
    begin: Callable[[], Iterator[State]],
    prefix: str,
    place: Place,
    show: Callable[[State], int | None],
    *,
    wanted: bool,
    seconds: float = math.inf,
    little: bool = False,
    replay: Callable[[State], Sequence[State]] | None = None,
    worked: Callable[[State], float] = share_of_steps,
) -> State | None:
    """How far the work that answers a request has come; None where nobody has begun it.

    The work is the same for all visitors: whoever asks for what another has computed gets it at once,
    and whoever joins while another watches goes on together with that one. ``wanted``: this visitor
    wants it now, and gets the result of work that is at its end. A link whose sender saw the result wants it,
    too, where the whole work takes ``AT_ONCE`` seconds at most; ``seconds`` is about what it takes.
    Otherwise unfinished work is shown at ``place`` with a button to go on.

    ``little``: work of less than a second, which every visitor wants unasked. Nothing is shown of it where it
    takes no longer, no button stops it, and the address does not speak of it. ``replay``: the states of
    finished work, first to last, which are shown once more to who presses for it.
    """
    place = shape.work(place)
    asked = links.wants_result(prefix, request)
    works = works_of(prefix, little)
    work: Resumable[State] | None = works.get(request)
    pressed, wanted = wanted, wanted or little
    if asked and seconds <= AT_ONCE and not (work and work.finished):
        wanted = True
    if wanted and (work is None or work.failed):
        if work is not None:
            works.drop(request, only=work)
        work = works.ask(request, lambda: Resumable(begin()))  # one, whoever presses with them
    if work is None or work.failed:
        if asked:
            words = _(
                "The link shows a result that takes about {seconds} s: press the button to see it."
            )
            place.info(words.format(seconds=number(seconds, 0)))
        else:
            links.keep_result(False)
        return None
    going = wanted and not work.finished
    if work.newest is not None and not (work.finished or wanted):
        going = offer_to_go_on(work.newest, place, prefix)
    if going:
        quiet = QUIET if little and not pressed else 0.0
        # Whoever joins sees at once how far it is: the next step may be a long one, or wait for others.
        stands = [] if work.newest is None else [work.newest]
        steps = chain(stands, work.advance())
        watch(steps, place, prefix, show, worked, quiet=quiet, stops=not little)
    elif pressed and replay is not None:
        watch(paced(replay(work.newest)), place, prefix, show, worked)
    if little or not asked or work.finished:
        links.keep_result(work.finished and not little)
    return work.newest


def watch(
    steps: Iterator[State],
    place: Place,
    prefix: str,
    show: Callable[[State], int | None],
    worked: Callable[[State], float] = share_of_steps,
    *,
    quiet: float = 0.0,
    stops: bool = True,
) -> None:
    """Go on to the end, calling ``show`` a few times a second, or less often where it returns that it has sent
    many bytes; a click on Stop ends the run of the page between two steps. ``worked``: the share of the whole
    work that is done, in [0, 1]. ``quiet``: seconds in which nothing is shown. ``stops``: whether there is a
    Stop.
    """
    if quiet and quietly(steps, prefix, quiet):
        return
    with place.container():
        if stops:
            st.button(
                _("Stop"),
                key=f"{prefix}_stop",
                icon=":material/stop:",
                on_click=lambda: links.keep_result(False),  # or a link that wants it goes on
            )
        bar = st.progress(0.0)
        live = st.empty()
    shown, due, pause = 0.0, 0.0, SECONDS_TO_SEND_FIRST
    for now in steps:
        may_end(prefix)
        if time.perf_counter() - shown < SECONDS_A_FRAME and not now.finished:
            continue
        shown = time.perf_counter()
        share = worked(now)
        words = _("{done} of {total}").format(done=number(now.done, 0), total=number(now.total, 0))
        if share > 0:
            left = now.seconds * (1 - share) / share
            words = _("{done} of {total}, {left} s left").format(
                done=number(now.done, 0), total=number(now.total, 0), left=number(left, 0)
            )
        bar.progress(share, text=words)
        if shown < due and not now.finished:
            continue
        with live.container(), shape.growing():
            sent = show(now) or 0
        due = shown + sent / BYTES_A_SECOND
        time.sleep(pause)
        pause = SECONDS_TO_SEND
    place.empty()


def quietly(steps: Iterator[State], prefix: str, seconds: float) -> bool:
    """Goes on for so long at most; whether that was to the end."""
    until = time.perf_counter() + seconds
    for now in steps:
        may_end(prefix)
        if now.finished or time.perf_counter() > until:
            return now.finished
    return True


def may_end(prefix: str) -> None:
    """Where a run of the page ends that was asked to: Streamlit does so where its state is read."""
    st.session_state.get(f"{prefix}_stop")


def paced(states: Sequence[State]) -> Iterator[State]:
    """One after the other, so that all of them take ``REPLAYED_IN``."""
    for state in states:
        yield state
        time.sleep(REPLAYED_IN / len(states))


def offer_to_go_on(now: State, place: Place, prefix: str) -> bool:
    """Says where work stands; whether this visitor wants to go on with it.

    The button stands where Stop stood, above all that comes and goes: one that moves between the
    press and the release of the mouse is not clicked.
    """
    with place.container():
        going = st.button(_("Go on"), key=f"{prefix}_on", icon=":material/play_arrow:")
        st.info(
            _("{done} of {total} steps are done.").format(
                done=number(now.done, 0), total=number(now.total, 0)
            )
        )
    return going
