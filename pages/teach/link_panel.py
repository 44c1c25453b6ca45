"""A link that shapes a page, and a lesson out of several: ticked here, so that nobody types a parameter.

The panel stands below *Copy link*. It offers what the page of now has shown: its controls and its figures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from urllib.parse import urlencode

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.errors import AtelierError
from pages.shared import controls, links, shape, site
from pages.shared.text import N_, _, here, number, plain_errors
from pages.teach import link
from pages.teach.lesson import (
    LONGEST,
    MOST_OPTIONS,
    MOST_STEPS,
    Ask,
    Lesson,
    Option,
    Step,
    Words,
    data_of,
    lesson_of,
    write_lesson,
)
from pages.teach.shelf import PAGES

STEPS = "panel_steps"
"""In the visit: the steps of the lesson that is being made."""
MAKE = N_("Make a lesson link")
PARTS: dict[shape.Part, str] = {
    "code": N_("formulas and code"),
    "why": N_("how it works"),
    "answers": N_("the page's own questions"),
}
LONGEST_NAME, LONGEST_STEP = 60, 120
"""Characters of a name in a list, minutes of a step."""


def show(place: DeltaGenerator, run: shape.Run) -> None:
    """The panel, for a page that figures are on; it runs again alone."""
    page = here()
    if page not in PAGES or not (run.seen_figures or run.seen_controls):
        return
    asked = place.button(_(MAKE), key="panel", icon=":material/school:", width="stretch")
    if asked:
        opened = st.dialog(_(MAKE), width="medium", icon=":material/school:")
        opened(contents)(page, dict(run.seen_controls), dict(run.seen_figures))


def contents(page: str, known: Mapping[str, str], figures: Mapping[str, str]) -> None:
    """The panel of a page, whose controls and figures are given by name with what a visitor reads of them."""
    st.caption(
        _(
            "The link below opens this page as it stands, with what you tick of it. Views that you add as "
            "steps are a lesson, with a link and a file of its own."
        )
    )
    with plain_errors(here=True):
        wanted = read_shape(known, figures)
        said, ask = sentence_and_question()
        address = view_link(page, wanted)
        st.markdown(_("**The link of this view**"))
        st.code(address, language=None, wrap_lines=True)
        st.link_button(_("Look at it"), address, icon=":material/open_in_new:", type="tertiary")
        collect_steps(page, wanted, said, ask)


# ---------------------------------------------------------------- what stays of the page


def option_labels(names: Mapping[str, str]) -> dict[str, str]:
    """Names with what a visitor reads of them, short enough for a list."""
    found = {}
    for name, words in names.items():
        words = (words or name).replace("\n", " ")
        short = words if len(words) <= LONGEST_NAME else words[: LONGEST_NAME - 1] + "…"
        found[name] = f"{short} · {name}"
    return found


def read_shape(known: Mapping[str, str], figures: Mapping[str, str]) -> shape.Shape:
    """Which controls and figures stay, and what else is left out."""
    keep = read_subset(
        _("Only some controls"), _("Controls that stay"), option_labels(known), "panel_keep"
    )
    shown = read_subset(
        _("Only some figures"), _("Figures that stay"), option_labels(figures), "panel_figures"
    )
    parts = {part: _(words) for part, words in PARTS.items()}
    hide = controls.some(_("Leave out"), parts, "panel_hide", _("nothing"))
    return shape.Shape(keep, shown, frozenset(hide))


def read_subset(
    switch: str, label: str, names: Mapping[str, str], key: str
) -> tuple[str, ...] | None:
    """Some of the names; None where all of them stay."""
    if not controls.mark(switch, f"{key}_some"):
        return None
    return tuple(controls.some(label, names, key, _("none")))


def view_link(page: str, wanted: shape.Shape) -> str:
    """The address of the page as it stands, with what stays of it."""
    pairs = [(name, value) for name, said in links.stands().items() for value in said]
    for name, codes in (("keep", wanted.keep), ("figures", wanted.figures)):
        if codes is not None:
            pairs.append((name, ",".join(codes)))
    if wanted.hide:
        pairs.append(("hide", ",".join(part for part in shape.PARTS if part in wanted.hide)))
    if links.values(links.RUN):
        pairs.append((links.RUN, "1"))
    pairs += [(name, one) for name in ("bundle", "model") for one in links.values(name)]
    if made := sorted(one[:MADE] for one in shape.run().made_of):
        pairs.append(("at", ",".join(made)))
    return f"{site.address()}/{page}?{urlencode(pairs, safe=',:')}"


MADE = 6
"""Digits of a bundle's hash in a link."""


# ---------------------------------------------------------------- a lesson of several views


def sentence_and_question() -> tuple[str, Ask | None]:
    """What is said with the view, and what it asks."""
    said = controls.own_words(
        _("A sentence"), "panel_say", long=True, longest=LONGEST["say"], height=80
    )
    words = controls.own_words(_("A question"), "panel_question", longest=LONGEST["question"])
    if not words.strip():
        return said, None
    lines = controls.own_words(
        _("Its options, one a line; none for an answer in words"), "panel_options", long=True
    )
    offered = [line.strip() for line in lines.splitlines() if line.strip()][:MOST_OPTIONS]
    options = tuple(
        Option(chr(ord("a") + place), Words(line, line)) for place, line in enumerate(offered)
    )
    right = None
    if len(options) > 1:
        names = {option.id: option.words.en for option in options}
        right = controls.one(_("The right one"), names, "panel_right", _("none is marked"))
    why = controls.own_words(
        _("Why"), "panel_why", long=True, longest=LONGEST["why"], height=80
    ).strip()
    ask = Ask("q1", 1, Words(words, words), options, right, why=Words(why, why) if why else None)
    return said, ask


def collect_steps(page: str, wanted: shape.Shape, said: str, ask: Ask | None) -> None:
    """The lesson so far: this view as its next step, its link, its file."""
    steps: list[Step] = st.session_state.setdefault(STEPS, [])
    minutes = controls.minutes(_("Minutes"), LONGEST_STEP, 5, "panel_minutes")
    row = st.container(horizontal=True)
    with row:
        added = st.button(
            _("Add this view as a step"),
            key="panel_add",
            icon=":material/add:",
            type="primary",
            disabled=len(steps) >= MOST_STEPS,
        )
    if added:
        step = step_of(page, wanted, said, ask, minutes, len(steps) + 1)
        lesson_of(data_of(lesson_with((*steps, step))))  # or it says what is wrong with it
        steps.append(step)
    with row:
        dropped = st.button(
            _("Take the last one away"), key="panel_drop", disabled=not steps, type="tertiary"
        )
    if dropped:
        steps.pop()
    if steps:
        offer_lesson(tuple(steps))


def step_of(
    page: str, wanted: shape.Shape, said: str, ask: Ask | None, minutes: int, place: int
) -> Step:
    """The view of now as a step of a lesson."""
    said = said.strip()
    if not said:
        raise AtelierError("panel-say", "A step needs a sentence: write one above.")
    values = tuple((name, tuple(value)) for name, value in links.stands().items() if value)
    if links.values(links.RUN):
        values += ((links.RUN, ("1",)),)
    if ask is not None:
        ask = replace(ask, id=f"q{place}")
    return Step(page, minutes, Words(said, said), values, wanted.keep, wanted.figures, ask)


def lesson_with(steps: Sequence[Step], title: str = "", name: str = "") -> Lesson:
    """Steps as a lesson."""
    title = title.strip() or _("My lesson")
    return Lesson(
        name or "my-lesson", sum(step.minutes for step in steps), Words(title, title), tuple(steps)
    )


def offer_lesson(steps: Sequence[Step]) -> None:
    """The lesson's link and its file."""
    st.markdown(_("**The lesson so far: step 1 to {last}**").format(last=number(len(steps), 0)))
    for place, step in enumerate(steps, 1):
        st.caption(f"{place}. {_(PAGES[step.page].title)}: {step.say.en}")
    title = controls.own_words(_("Title"), "panel_title", longest=LONGEST["title"])
    lesson = lesson_with(steps, title)
    lesson_of(data_of(lesson))  # or it says what is wrong with the title
    with_answers = controls.mark(
        _("Answers travel in the link"),
        "panel_answers",
        help=_("Whoever has the link can read what is inside it: a link cannot keep answers back."),
    )
    try:
        packed = link.pack(lesson, answers=with_answers)
    except AtelierError as error:
        st.info(_(error.template).format(**error.values))
    else:
        st.code(
            f"{site.address()}/?{urlencode({'lesson': packed}, safe=':')}",
            language=None,
            wrap_lines=True,
        )
    st.download_button(
        _("Save the lesson (TOML)"),
        write_lesson(lesson),
        file_name=f"{lesson.id}.toml",
        mime="application/toml",
        icon=":material/download:",
        key="panel_save",
        on_click="ignore",
    )
