"""Marking: the sheets of a class as a table of questions and students, and their figures together."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from urllib.parse import parse_qs

import streamlit as st

from core.errors import AtelierError
from pages.shared import controls, figures
from pages.shared.figures import Column
from pages.shared.text import N_, _, head, literal, number, plain_errors, sentence
from pages.teach import attending, marking, marks, my_sheet, numbers, on_paper, shelf
from pages.teach.fields import Place
from pages.teach.lesson import Lesson, Words
from pages.teach.marking import Key, MarkedAnswer, Student, Table
from pages.teach.sheet import Sheet, SheetItem, from_json

WORDS = 60
"""Characters of a student's words in the table."""
COLUMNS, AT_ONCE = 2, 12
"""Figures next to one another, and how many before more are asked for."""
MOST_TOGETHER = 64 * 2**20
"""Bytes of a class's sheets, which a visit holds."""
READ, CHOSEN = "marking_read", "marking_lesson"
QUESTION, TITLE = "question:", "title:"
NOT_KEPT = N_(
    "The files are read in the memory of this server, for this tab alone. Nothing of them is kept: "
    "they are gone when the tab is closed."
)
TOO_MUCH = N_("These sheets have more than {most} MiB together: mark them in two parts.")
STUDENT, EARNED = " student", " points"
"""Columns that no question can be called."""

Shown = list[tuple[Student, SheetItem]]


# ---------------------------------------------------------------- the lesson


def choose_lesson() -> Lesson | None:
    """The lesson that the sheets are marked against; None for none."""
    found = shelf.lessons().lessons
    titles = {name: text_of(one.title) or name for name, one in found.items()}
    chosen = controls.option(
        _("Lesson"),
        titles,
        CHOSEN,
        optional=True,
        help=_(
            "What its questions are worth and which option is right: a sheet may claim anything."
        ),
    )
    if chosen is None:
        return None
    keys = keys_of(found[chosen]).values()
    st.caption(
        _("Questions: {questions} · points: {points} · marked by themselves: {right}").format(
            questions=len(keys),
            points=number(sum(key.points for key in keys), 0),
            right=sum(bool(key.right) for key in keys),
        )
    )
    return found[chosen]


def offer_lesson(students: Sequence[Student]) -> None:
    """A button that marks against the lesson that the answers name, where they all name one of this server's.

    Not without a click: a sheet may claim anything.
    """
    answered = [kept for student in students for kept in student.sheet.items if kept.answer]
    named = {name for kept in answered for name in parse_qs(kept.query).get(attending.LESSON, [""])}
    held = shelf.lessons().lessons.get(min(named)) if len(named) == 1 else None
    if held is not None:
        st.button(
            _("Mark against the lesson “{title}”").format(title=literal(text_of(held.title))),
            key="marking_offer",
            icon=":material/checklist:",
            type="primary",
            on_click=lambda: st.session_state.update({CHOSEN: min(named)}),
        )


def text_of(words: Words) -> str:
    """A text of a lesson in the visitor's language; empty where no model has one of its numbers."""
    try:
        return numbers.fill(words, Place(None, ""))
    except AtelierError:
        return ""


def keys_of(lesson: Lesson | None) -> dict[str, Key]:
    """What the questions of a lesson are worth, and what is right."""
    asked = [step.ask for step in lesson.steps if step.ask] if lesson else []
    return {ask.id: Key(ask.points, ask.right or "") for ask in asked}


def words_of(lesson: Lesson | None) -> dict[tuple[str, str], str]:
    """The options of a lesson's questions in words, by question and option."""
    asked = [step.ask for step in lesson.steps if step.ask] if lesson else []
    return {
        (ask.id, one.id): marks.plain(text_of(one.words)) for ask in asked for one in ask.options
    }


# ---------------------------------------------------------------- the table


def mark_of(given: MarkedAnswer | None, key: Key | None) -> str:
    """A cell of the table: the option and whether it is right, or the first of the student's words."""
    if given is None:
        return figures.NOTHING
    if not given.option:
        return given.words if len(given.words) <= WORDS else given.words[:WORDS] + " …"
    if key is None or not key.right:
        return given.option
    return f"{given.option} {'✓' if given.option == key.right else '✗'}"


def show_table(found: Table, keys: Mapping[str, Key]) -> None:
    """A row a student, a column a question; and the points as a file."""
    columns = [Column(STUDENT, _("Student"))]
    for question, points in found.questions.items():
        worth = _("{question} ({points})").format(question=question, points=number(points, 0))
        columns.append(Column(question, worth))
    columns.append(Column(EARNED, _("Points"), lambda value: number(value, 0)))
    rows = [
        {
            STUDENT: student.name,
            EARNED: student.earned_points
            if keys
            else None,  # without a lesson nothing is right or wrong
            **{
                question: mark_of(student.given.get(question), keys.get(question))
                for question in found.questions
            },
        }
        for student in found.students
    ]
    figures.table(rows, columns, "marking_table")
    st.caption(
        _(
            "In brackets: what a question is worth. Points are those of the questions that have a right "
            "option; what is written freely is yours to mark."
        )
    )
    st.download_button(
        _("Points (CSV)"),
        found.csv_bytes,
        file_name="points.csv",
        mime="text/csv",
        key="marking_csv",
        icon=":material/download:",
        on_click="ignore",
    )


def show_tallies(
    found: Table, keys: Mapping[str, Key], words: Mapping[tuple[str, str], str]
) -> None:
    """How many chose each option of each question."""
    rows = [
        {
            "question": question,
            "option": option or _("in their own words"),
            "words": words.get((question, option), ""),
            "right": "✓" if option and option == keys.get(question, Key(0)).right else "",
            "students": count,
        }
        for question, tally in found.tallies.items()
        for option, count in tally.items()
    ]
    if rows:
        st.subheader(_("What was chosen"), anchor=False)
        columns = [
            Column("question", _("Question")),
            Column("option", _("Option")),
            *([Column("words", _("In words")), Column("right", _("Right"))] if words else []),
            Column("students", _("Students"), lambda value: number(value, 0)),
        ]
        figures.table(rows, columns, "marking_tallies")


def show_refused(found: Table) -> None:
    """One sentence for every file that is no sheet."""
    words = _("{file} was left out: {reason}")
    lines = [
        words.format(file=literal(one.file), reason=sentence(one.error)) for one in found.refused
    ]
    if lines:
        st.warning("  \n".join(lines), icon=":material/error:")


# ---------------------------------------------------------------- figures next to one another


def comparison_options(sheets: Sequence[Sheet]) -> dict[str, str]:
    """What can be compared: questions, and titles that stand on several sheets, with how many there are."""
    count = _("{name} · {count}")
    asked = Counter(k.answer.question for one in sheets for k in one.items if k.answer)
    titled = Counter(title for one in sheets for title in {k.title for k in one.items})
    found = {
        QUESTION + name: count.format(name=_("Question {name}").format(name=name), count=times)
        for name, times in asked.items()
    }
    common = {
        TITLE + title: count.format(name=title, count=times)
        for title, times in titled.most_common()
        if times > 1 or len(sheets) == 1
    }
    return found | common


def matching(students: Sequence[Student], chosen: str) -> Shown:
    """What the students kept of that question or under that title."""
    return [
        (student, kept)
        for student in students
        for kept in student.sheet.items
        if chosen == TITLE + kept.title
        or (kept.answer and chosen == QUESTION + kept.answer.question)
    ]


@st.fragment
def compare(found: Table, keys: Mapping[str, Key]) -> None:
    """Figures and words of one question, or of one title, of all students."""
    options = comparison_options([student.sheet for student in found.students])
    if not options:
        return
    st.subheader(_("Next to one another"), anchor=False)
    chosen = controls.pick(_("What to compare"), options, "marking_what")
    shown = matching(found.students, chosen)
    most = st.session_state.setdefault("marking_most", AT_ONCE)
    for first in range(0, min(most, len(shown)), COLUMNS):
        row = shown[first : min(first + COLUMNS, most)]
        for place, (column, (student, kept)) in enumerate(
            zip(st.columns(COLUMNS, gap="small"), row, strict=False), first
        ):
            with column.container(border=True, height="stretch"):
                one(place, student, kept, keys)
    if len(shown) > most:
        left = number(len(shown) - most, 0)
        st.button(
            _("{count} more").format(count=left),
            key="marking_more",
            icon=":material/expand_more:",
            on_click=lambda: st.session_state.update(marking_most=most + AT_ONCE),
        )
    my_sheet.forget_drawings(max(most, len(shown)))


def one(place: int, student: Student, kept: SheetItem, keys: Mapping[str, Key]) -> None:
    """What one student kept: the name, what was chosen, the figure, the words."""
    st.html(f"<strong>{escape(student.name)}</strong>")
    if kept.answer and kept.answer.option:
        own = MarkedAnswer(kept.answer.option, kept.words, None)
        mark = mark_of(own, keys.get(kept.answer.question))
        st.text(" · ".join(filter(None, (mark, kept.answer.chosen))))
    my_sheet.figure(kept, f"marking_{place}")
    if kept.words:
        st.text(kept.words)


def table_of(files: Sequence[tuple[str, bytes]], keys: Mapping[str, Key]) -> Table:
    """The table of the files, each of which is parsed once as long as it lies there."""
    before, now = st.session_state.get(READ, {}), {}

    def read(data: bytes) -> Sheet:
        content = hashlib.blake2b(data).digest()
        now[content] = before.get(content) or from_json(data)
        return now[content]

    found = marking.table(files, keys, read)
    st.session_state[READ] = now
    return found


# ---------------------------------------------------------------- the page


def main() -> None:
    head(
        _("Marking"),
        _(
            "The sheets of a class next to one another: **drop the files** that students saved as "
            "*Sheet (JSON)* on the page My sheet."
        ),
    )
    st.caption(_(NOT_KEPT))
    if not on_paper.unlock_answers():
        return
    st.html(my_sheet.LOOK)
    left, right = st.columns([2, 3], gap="medium")
    with left:
        lesson = choose_lesson()
    with right:
        given = controls.file(
            _("Sheets (JSON), up to {count} files").format(count=marking.MOST_FILES),
            ["json"],
            "marking_files",
            my_sheet.LARGEST,
            accept_multiple_files=True,
        )
    if not given:
        return
    if sum(file.size for file in given) > MOST_TOGETHER:
        st.error(_(TOO_MUCH).format(most=MOST_TOGETHER // 2**20), icon=":material/error:")
        return
    keys, files = keys_of(lesson), [(file.name, file.getvalue()) for file in given]
    with plain_errors(here=True):
        found = table_of(files, keys)
        show_refused(found)
        if found.students:
            if lesson is None:
                offer_lesson(found.students)
            show_table(found, keys)
            show_tallies(found, keys, words_of(lesson))
            compare(found, keys)
