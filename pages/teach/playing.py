"""A step of a lesson as its students see it at a desk, and as a lecture hall sees it on a stage."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from pages.browser import clicker
from pages.shared import links, shape, site
from pages.shared.text import N_, _, literal, plain_errors
from pages.teach import asked, attending, marks, numbers, room_desk
from pages.teach.attending import Now
from pages.teach.fields import Place
from pages.teach.lesson import Words

LAST = N_("This is the last step. What you kept and answered is on your sheet.")
OPTIONS = """<style>
div[class*=st-key-lesson_own] { width: 100%; }
[class*=st-key-lesson_own] [role=radiogroup] {
  align-items: stretch; flex-direction: column; max-width: none; width: 100%;
}
[class*=st-key-lesson_own] [role=radio] { height: auto; justify-content: start; text-align: start; }
[class*=st-key-lesson_own] [role=radio] * { justify-content: start; white-space: normal; }
</style>"""
"""They stand one below the other, and a long one takes several lines."""
DESK = """<style>
header[data-testid=stHeader], [data-testid=stSidebar] { display: none; }
[data-testid=stMainBlockContainer] { max-width: 60rem; padding-top: 1rem; padding-bottom: 2rem; }
[data-testid=stPopover]:has(button:disabled) { display: none; }
.st-key-clicker { position: absolute; }
.st-key-room_votes { zoom: 0.75; }
[data-testid=stMainBlockContainer]:has(.st-key-lesson_side) { max-width: 90rem; }
[data-testid=stColumn]:has(> * .st-key-lesson_side) {
  align-self: flex-start; max-height: calc(100vh - 2rem); overflow-y: auto; position: sticky; top: 1rem;
}
@media (max-width: 64rem) {
  [data-testid=stHorizontalBlock]:has(> [data-testid=stColumn] .st-key-lesson_side) {
    flex-direction: column; gap: 1rem;
  }
  [data-testid=stColumn]:has(> * .st-key-lesson_side) { max-height: none; position: static; }
  [data-testid=stColumn]:has(> * .st-key-lesson_side), :has(> * .st-key-lesson_side) + [data-testid=stColumn] {
    flex: none; width: 100%;
  }
}
</style>"""
"""Next to a whole page its question stays in sight, where there is room for both."""
STAGE = """<style>
header[data-testid=stHeader], [data-testid=stSidebar], .modebar-container { display: none; }
.st-key-lesson_foot { display: none; }
[data-testid=stMainBlockContainer] { max-width: none; padding: 0.5rem 1.5rem 0; zoom: 1.5; }
[data-testid=stMain] { overflow-x: clip; }
[data-testid=stMainBlockContainer] p { line-height: 1.45; }
[data-testid=stElementContainer]:has([data-testid=stPlotlyChart]), .st-key-room_votes { zoom: calc(1 / 1.5); }
.st-key-clicker { position: absolute; }
[data-testid=stMain]:has(.st-key-room_votes) .st-key-lesson_say { display: none; }
.st-key-room_way { zoom: 0.8; }
.st-key-lesson_head [data-testid=stColumn] { min-width: 0; }
.st-key-lesson_head p { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.st-key-lesson_controls { align-items: end; flex-flow: row wrap; gap: 0 2rem; zoom: 0.88; }
.st-key-lesson_controls > * { flex: none; max-width: 100%; width: auto; }
.st-key-lesson_controls > :has([class*="_hand"]) { width: 100%; }
.st-key-lesson_controls :is(.stButtonGroup, .stNumberInput) {
  align-items: center; flex-direction: row; gap: 0.75rem;
}
.st-key-lesson_figures > :has([data-testid=stPlotlyChart]) { grid-column: 1 / -1; }
.st-key-lesson_figures > :has([class*="_cosine"]) { zoom: 0.75; }
.st-key-lesson_figures > :has([data-testid=stTable]) { grid-column: 1 / -1; }
.st-key-lesson_figures [data-testid=stTable] :is(td, th) { padding-inline: 0.25rem; }
</style>"""
"""On a stage all is half as large again: 16 pixels are 24, lines of 3 are 4.5. Plotly measures its place in
pixels of the screen, so its charts are drawn larger instead (``figures.enlarged``), one a row. Controls are
nobody's to read, and leave their room to the figure."""


def say(now: Now, words: Words, field: str) -> str:
    """A text of the step in the visitor's language, with its numbers."""
    return numbers.fill(words, Place(now.number, field))


def show(now: Now) -> None:
    """The step: where one is, what is said, the controls and the figures, the question, the way on."""
    attending.enter(now)
    st.html((STAGE if now.look == "stage" else DESK) + OPTIONS)
    keys(now)
    wanted = attending.shape_of(now)
    staged = now.look == "stage" and wanted.figures is not None
    run, place = on_stage(now, wanted) if staged else at_desk(now, wanted)
    with place, shape.apply(run):
        now.page.show()
    missing(now, run)


def keys(now: Now) -> None:
    """What keys do on a stage; at a desk they are the page's own."""
    actions = {
        "next": lambda: attending.go(now, now.number + 1),
        "back": lambda: attending.go(now, now.number - 1),
        "reveal": lambda: attending.turn(now) if now.revealed else asked.reveal(now),
    }
    clicker.listen(actions if now.look == "stage" else {}, now.number)


Laid = tuple[shape.Run, AbstractContextManager]
"""A run of the page of a step, and the place that it is drawn in as a whole."""


def at_desk(now: Now, wanted: shape.Shape) -> Laid:
    """One below the other, for a phone as well; a whole page stands next to its question, or below it."""
    head(now)
    if wanted.figures is not None:
        show_sentence(now)
        run = shape.laid_out(wanted, st.container(), figures())
        question(now)
        way(now)
        return run, nullcontext()
    if now.look == "desk":
        left, right = st.columns([3, 7], gap="large")
        side = left.container(key="lesson_side")
    else:  # a stage is too narrow, as all on it is half as large again
        side, right = st.container(), st.container()
    with side:
        show_sentence(now)
        question(now)
        way(now)
    return shape.Run(wanted), right


def on_stage(now: Now, wanted: shape.Shape) -> Laid:
    """Words and question on the left, the figure as large as the rest of the screen."""
    left, right = st.columns([2, 3], gap="medium")
    with left, st.container(key="lesson_words"):
        stage_head(now)
        if not now.revealed:  # then the answer takes the place
            with st.container(key="lesson_say"):
                show_sentence(now)
        question(now)
        hints(now)
    with right:
        place = st.container(key="lesson_controls")
        return shape.laid_out(wanted, place, figures("13rem")), nullcontext()


def hints(now: Now) -> None:
    """Which keys there are, before the first step is left."""
    if now.number == 1:
        st.caption(
            _(
                "Keys: → and PageDown go on, ← and PageUp back, **R** shows the answer with its figures, "
                "**R** again those of the question, **.** blanks the screen."
            )
        )


def figures(narrowest: str = "20rem") -> DeltaGenerator:
    """The place of figures, next to one another where there is room for two, each ``narrowest`` at least."""
    st.html(
        "<style>.st-key-lesson_figures { display: grid; gap: 1rem;"
        f" grid-template-columns: repeat(auto-fit, minmax(min(100%, {narrowest}), 1fr)); }}"
        ' .st-key-lesson_figures > :has([class*="_film"]) { grid-column: 1 / -1; }</style>'
    )
    return st.container(key="lesson_figures")


# ---------------------------------------------------------------- parts


def show_sentence(now: Now) -> None:
    """The sentence of the step."""
    with plain_errors(here=True):
        st.markdown(marks.markdown(say(now, now.step.say, "say")))


def head(now: Now) -> None:
    """Which step of how many, its minutes, and of which lesson."""
    last = len(now.lesson.steps)
    st.progress(now.number / last)
    where = _("Step {step} of {last}, {minutes} min").format(
        step=now.number, last=last, minutes=now.step.minutes
    )
    st.markdown(f"**{where}** · {literal(numbers.title_of(now.lesson))}")
    room_desk.head(now)


def stage_head(now: Now) -> None:
    """The same on a stage, where keys lead on: small, with small buttons."""
    with st.container(key="lesson_head"):
        words, *buttons = st.columns(
            [7, 1, 1, 1], gap="xxsmall", vertical_alignment="center", wrap=False
        )
    with words:
        title = literal(numbers.title_of(now.lesson))
        st.caption(f"**{now.number} / {len(now.lesson.steps)}** · {title}")
    steps = ((-1, _("Back"), "chevron_left"), (1, _("Next"), "chevron_right"))
    for place, (by, label, icon) in zip(buttons, steps, strict=False):
        number = now.number + by
        place.button(
            "",
            key=f"lesson_stage_{by}",
            icon=f":material/{icon}:",
            help=label,
            type="tertiary",
            disabled=not 1 <= number <= len(now.lesson.steps),
            on_click=attending.go,
            args=(now, number),
        )
    if buttons[-1].button(
        "",
        key="lesson_stage_leave",
        icon=":material/close:",
        type="tertiary",
        help=_("Leave the lesson"),
    ):
        leave(now)
    room_desk.head(now)


def question(now: Now) -> None:
    """What the step asks; with it what a room answers."""
    if now.ask:
        with plain_errors(here=True), st.container(border=now.look == "desk"):
            asked.show(now)


def way(now: Now) -> None:
    """Back, on, and out of the lesson."""
    last = len(now.lesson.steps)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            _("Back"),
            key="lesson_back",
            icon=":material/arrow_back:",
            disabled=now.number == 1,
            on_click=attending.go,
            args=(now, now.number - 1),
        )
        st.button(
            _("Next"),
            key="lesson_next",
            icon=":material/arrow_forward:",
            type="primary",
            disabled=now.number == last,
            on_click=attending.go,
            args=(now, now.number + 1),
        )
        if st.button(_("Leave the lesson"), key="lesson_leave", type="tertiary"):
            leave(now)
    if now.number == last:
        st.caption(_(LAST))
        st.page_link(site.SHEET.page(), icon=site.SHEET.icon)


def leave(now: Now) -> None:
    """To the page of the step, with its controls where they stand."""
    query = {
        name: said for name, said in links.parameters().items() if name not in attending.PARAMETERS
    }
    attending.leave()
    st.switch_page(now.page.page(), query_params=query)


def missing(now: Now, run: shape.Run) -> None:
    """What the step asks for and its page has not: whoever wrote the lesson reads it here."""
    wanted: Mapping[str, tuple[str, ...]] = {
        _("The page has no control “{name}”, which this step names."): run.shape.keep or (),
        _("The page has no figure “{name}”, which this step names."): run.shape.figures or (),
    }
    seen = (run.seen_controls, run.seen_figures)
    for (words, names), known in zip(wanted.items(), seen, strict=True):
        for name in names:
            if name not in known and name not in run.awaited:
                st.warning(words.format(name=name), icon=":material/visibility_off:")
