"""What a link or a lesson leaves of a page: which controls, which figures, with or without its explanations.

Pages are written as if all of them were shown. Every control and every figure passes through here before it
is drawn: ``control`` and ``figure`` say where it goes. What is left out goes ``nowhere``: it is computed and
keeps its value, but no message about it leaves the server, so no browser has it. A page of which only some
figures are wanted is run nowhere as a whole, and the wanted parts come out of it into places of the frame.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, Literal

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from pages.shared import once

VISIT = "shape"
Part = Literal["code", "why", "answers"]
PARTS: tuple[Part, ...] = ("code", "why", "answers")
ON_STAGE = 290
"""Pixels that a screen of 1280 x 720, half as large again, leaves for a chart below its control."""


@dataclass(frozen=True)
class Shape:
    """``keep``: the names of the controls that one may touch, ``figures``: those that are shown, both None for
    all of them. ``hide``: formulas and code, explanations, answers to the page's own questions.

    ``without``: figures that are left out of all. ``bare``: figures without their sources and downloads, as on
    a stage.
    """

    keep: tuple[str, ...] | None = None
    figures: tuple[str, ...] | None = None
    hide: frozenset[Part] = frozenset()
    without: frozenset[str] = frozenset()
    bare: bool = False


WHOLE = Shape()


@dataclass
class Run:
    """One run of a page in a shape: where its parts go, and which of them there were.

    ``controls`` and ``figures`` are places by name; ``others`` takes the controls of a page that is run nowhere
    without a word on controls. ``notices``: for what went wrong, and for work that goes on. ``seen_controls``
    and ``seen_figures`` have the names that the page came by, with what a visitor reads of them; ``words`` say
    what the last figure shows, ``made_of`` has the hashes of the bundles in them; ``plots`` makes a Plotly
    figure of those that are drawn in the browser. ``awaited``: figures that come once something is pressed.
    ``code``: names of the functions that the page shows; ``led``: sheets that a
    link leads to, of which the page has shown the first.
    """

    shape: Shape = WHOLE
    controls: Mapping[str, DeltaGenerator] = field(default_factory=dict)
    figures: Mapping[str, DeltaGenerator] = field(default_factory=dict)
    others: DeltaGenerator | None = None
    notices: DeltaGenerator | None = None
    seen_controls: dict[str, str] = field(default_factory=dict)
    seen_figures: dict[str, str] = field(default_factory=dict)
    words: str = ""
    plots: dict[str, Callable[[], Any]] = field(default_factory=dict)
    made_of: set[str] = field(default_factory=set)
    awaited: set[str] = field(default_factory=set)
    code: set[str] = field(default_factory=set)
    led: set[str] = field(default_factory=set)
    _open: list[str] = field(default_factory=list)
    grows: bool = False

    @property
    def cut(self) -> bool:
        """Whether only some figures are wanted, so that the page is run nowhere."""
        return self.shape.figures is not None

    @contextmanager
    def inside(self, name: str, place: DeltaGenerator) -> Iterator[None]:
        """A part in its place; what belongs to it, and says so again, stays where the part puts it."""
        with nullcontext() if name in self._open else place:
            self._open.append(name)
            try:
                yield
            finally:
                self._open.pop()


def run() -> Run:
    """The run that the visitor's page is in; a fragment that runs again is in that of its page."""
    return st.session_state.setdefault(VISIT, Run())


def begin() -> None:
    """To be called before anything of the frame is drawn: nothing is left of the page before."""
    st.session_state[VISIT] = Run()


def nowhere() -> DeltaGenerator:
    """A container outside of every page. Streamlit sends nothing of what is written into it."""
    return DeltaGenerator(root_container=None)


@contextmanager
def apply(to: Run) -> Iterator[None]:
    """The page is run inside."""
    st.session_state[VISIT] = to
    with nowhere() if to.cut else nullcontext():
        yield


def laid_out(shape: Shape, controls: DeltaGenerator, figures: DeltaGenerator) -> Run:
    """A run whose parts go into two places of the frame, in the order in which the shape names them."""
    notices = controls.container()
    places = {name: controls.container() for name in shape.keep or ()}
    shown = {name: figures.container() for name in shape.figures or ()}
    others = controls.container() if shape.keep is None else None
    return Run(shape, places, shown, others, notices)


# ---------------------------------------------------------------- parts of a page


def control(name: str, label: str = "", of: Sequence[str] = ()) -> AbstractContextManager:
    """Where a control is drawn: where the page is, in its place of the frame, or nowhere.

    ``of``: figures that come only once it is pressed, so it stays with any of them.
    """
    now = run()
    now.seen_controls.setdefault(name, label)
    awaited = set(of) & set(now.shape.figures or ())
    now.awaited |= awaited
    if awaited and now.notices is not None and name not in (now.shape.keep or ()):
        return now.inside(name, now.notices)
    if leaves_out(name):
        return nowhere()
    if not now.cut:
        return nullcontext()
    return now.inside(name, now.controls.get(name) or now.others or nowhere())


def leaves_out(name: str) -> bool:
    """Whether a control of this name is drawn nowhere."""
    keep = run().shape.keep
    return keep is not None and name not in keep


def figure(name: str, words: str = "") -> AbstractContextManager:
    """Where a figure is drawn: where the page is, in its place of the frame, or nowhere."""
    now = run()
    if words or name not in now.seen_figures:
        now.seen_figures[name] = words or now.seen_figures.get(name, "")
    now.words = words or now.words
    if name in now.shape.without:
        return nowhere()
    if not now.cut or now.grows:
        return nullcontext()
    return now.inside(name, now.figures.get(name) or nowhere())


def fragment(part: Callable[..., None]) -> Callable[..., None]:
    """A part of a page that runs again alone, as ``st.fragment`` makes it.

    Of a page that is run nowhere, the whole runs again: its places stand outside of the part, and Streamlit
    would put what a second run draws below what the first one drew.
    """

    alone = once.in_a_run()(part)

    @wraps(part)
    def run_part(*given: Any, **named: Any) -> None:
        if run().cut:
            part(*given, **named)
        else:
            st.fragment(alone)(*given, **named)

    return run_part


def apart() -> AbstractContextManager:
    """Around a form: Streamlit marks the container that a form stands in, and nowhere has but one of them."""
    return nowhere() if run().cut else nullcontext()


def notice() -> AbstractContextManager:
    """Where a page says what went wrong: always somewhere."""
    now = run()
    return now.notices if now.cut and now.notices is not None else nullcontext()


def work(place: DeltaGenerator) -> DeltaGenerator:
    """Where work that goes on is shown, and stopped: at ``place``, or among the frame's notices."""
    now = run()
    return now.notices.empty() if now.cut and now.notices is not None else place


@contextmanager
def growing() -> Iterator[None]:
    """Figures of work that goes on stay where it is shown: each of them replaces the one before."""
    now = run()
    now.grows = True
    try:
        yield
    finally:
        now.grows = False


def tells(part: Part) -> bool:
    """Whether the page shows its code, its explanations, or the answers to its own questions."""
    return part not in run().shape.hide


def height(usual: int) -> int:
    """Pixels of a chart: on a stage, one that stands alone is as high as the rest of the screen."""
    now = run().shape
    alone = now.bare and now.figures is not None and len(now.figures) == 1
    return max(usual, ON_STAGE) if alone else usual


def largest() -> int | None:
    """Pixels of the side of a square chart at most; None where it may be as large as usual."""
    return ON_STAGE if run().shape.bare else None


def on_stage() -> bool:
    """Whether a hall sees the page, so that a figure has to fit on one screen."""
    return run().shape.bare


def sources() -> bool:
    """Whether figures say where they come from, and can be saved."""
    return not run().shape.bare


# ---------------------------------------------------------------- as an address says it


def names_in(values: Sequence[str]) -> list[str]:
    """Names in an address, ``a,b`` or one value each."""
    return [name for value in values for name in value.split(",") if name]


def read(keep: Sequence[str], figures: Sequence[str], hide: Sequence[str]) -> Shape:
    """The shape of an address; a parameter that is not there leaves all, an empty one leaves none.

    Names that the page does not have leave nothing out of place: they are never shown.
    """
    known = frozenset(part for part in PARTS if part in names_in(hide))
    return Shape(
        tuple(dict.fromkeys(names_in(keep))) if keep else None,
        tuple(dict.fromkeys(names_in(figures))) if figures else None,
        known,
    )
