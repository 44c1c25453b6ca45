"""Teach: the lessons, each for a stage, for desks and on paper, and the room that counts a class's answers."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from core.errors import AtelierError
from pages.shared import controls, shape, site
from pages.shared.text import _, head, literal, number, plain_errors, sentence
from pages.teach import (
    answers,
    attending,
    keeping,
    link,
    numbers,
    on_paper,
    room,
    room_desk,
    shelf,
)
from pages.teach.attending import AS, HOST, LESSON, ROOM, STEP
from pages.teach.lesson import Lesson, read_lesson

LARGEST = 1
"""Megabytes of a lesson's file."""


def main() -> None:
    head(
        _("Teach"),
        _(
            "A lesson is a row of views with a sentence and a question each. **Show it on a stage, or give its "
            "link to a class:** everyone then moves the same figures, answers first, and sees the answer after."
        ),
    )
    with plain_errors(here=True):
        join()
    found = shelf.lessons()
    columns = st.columns(2, gap="medium")
    for place, (name, lesson) in enumerate(in_order(found.lessons)):
        with columns[place % 2], plain_errors(here=True):
            card(name, lesson)
    for problem in found.problems:
        st.warning(sentence(problem), icon=":material/error:")
    with plain_errors(here=True):
        own_file()
    with st.container(horizontal=True):
        st.page_link(site.SHEET.page(), icon=site.SHEET.icon)
        st.page_link(site.MARKING.page(), icon=site.MARKING.icon)
    show_policy()


def in_order(lessons: Mapping[str, Lesson]) -> list[tuple[str, Lesson]]:
    """Short ones first; of equals in the order of the menu."""
    pages = list(shelf.PAGES)
    return sorted(
        lessons.items(), key=lambda one: (one[1].minutes, pages.index(one[1].steps[0].page), one[0])
    )


def join() -> None:
    """The way into a room for whoever has its code."""
    with (
        shape.apart(),
        st.form("teach_join", border=False),
        st.container(horizontal=True, vertical_alignment="bottom"),
    ):
        code = controls.code(_("Code of a room"), "teach_room", longest=12)
        pressed = st.form_submit_button(_("Join"), icon=":material/login:")
    if pressed and code.strip():
        room_desk.lesson_of(code)  # or there is no such room
        st.switch_page(site.HOME.page(), query_params={STEP: "1", ROOM: room.canonical_code(code)})


def card(name: str, lesson: Lesson) -> None:
    """One lesson: what it is about, and everything one can do with it."""
    asked = [step.ask for step in lesson.steps if step.ask]
    with st.container(border=True):
        st.markdown(f"#### {literal(numbers.title_of(lesson))}")
        st.caption(
            _("{minutes} min · {steps} steps · {questions} questions · {points} points").format(
                minutes=lesson.minutes,
                steps=len(lesson.steps),
                questions=len(asked),
                points=number(sum(ask.points for ask in asked), 0),
            )
        )
        looks = {
            "desk": (_("At a desk"), ":material/school:"),
            "stage": (_("On a stage"), ":material/present_to_all:"),
            "paper": (_("Worksheet"), ":material/print:"),
            "guide": (_("Guide"), ":material/menu_book:"),
        }
        with st.container(horizontal=True, vertical_alignment="center"):
            for look, (label, icon) in looks.items():
                query = {LESSON: name, AS: look}
                st.page_link(site.HOME.page(), label=label, icon=icon, query_params=query)
            wanted = st.button(
                _("Open a room"),
                key=f"teach_open_{lesson.id}",
                icon=":material/meeting_room:",
                disabled=not answers.allowed_to_host(),
                help=_(
                    "Counts what a class answers, without names, in the memory of this server: for "
                    "{hours} hours at most, and not on a disk."
                ).format(hours=int(room.LIFE // 3600)),
            )
    if wanted:
        with plain_errors(here=True):
            open_room(name, lesson)


def open_room(name: str, lesson: Lesson) -> None:
    """A room for a lesson, and its stage."""
    code, secret = room_desk.open_for(name, lesson)
    attending.visit().secrets[code] = secret
    query = {STEP: "1", AS: "stage", ROOM: code} | ({} if keeping.tab() else {HOST: secret})
    st.switch_page(site.HOME.page(), query_params=query)


def own_file() -> None:
    """A lesson from a file of one's own: it travels inside its link, so nothing is stored here."""
    with st.expander(_("A lesson of your own"), icon=":material/upload_file:"):
        st.markdown(
            _(
                "**Make one** on any page: *Make a lesson link*, next to *Copy link*, ticks what stays of the "
                "page and collects views into a lesson. **Bring one** as a file here. Or put the file into the "
                "folder that `{variable}` names, and it stands above."
            ).format(variable=shelf.VARIABLE)
        )
        file = controls.file(_("A lesson (TOML)"), ["toml"], "teach_file", LARGEST)
        if file is None:
            return
        try:
            text = file.getvalue().decode("utf-8")
        except UnicodeDecodeError:
            raise AtelierError("lesson-unreadable", "it cannot be read as text.") from None
        lesson = read_lesson(text)
        for place in range(1, len(lesson.steps) + 1):
            shelf.page_of(lesson, place)
        numbers.check_numbers(lesson)
        card(link.pack(lesson, answers=True), lesson)
        st.caption(
            _(
                "Whoever has such a link has the answers as well: they are inside it. A room keeps them back: "
                "its lesson stays on this server."
            )
        )


def show_policy() -> None:
    """What this server says of answers."""
    found = answers.policy()
    if found.problem:
        st.warning(sentence(found.problem), icon=":material/lock:")
        return
    said = {
        answers.OPEN: _("This server shows an answer to whoever asks for it."),
        answers.AFTER_ANSWER: _("This server shows an answer to whoever has answered."),
        answers.PASSPHRASE: _("This server shows answers to a room whose host shows them."),
    }
    st.caption(said[found.answers])
    if not answers.allowed_to_host():
        on_paper.unlock_answers()
