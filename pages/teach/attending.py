"""A lesson that goes on: which step an address says, what the visitor answered, and the way to the next one.

``?lesson=NAME&step=3`` is a step of a lesson at any page's address, ``as=desk`` or ``as=stage`` how it looks,
``room=CODE`` the room whose answers are counted, ``host=SECRET`` that this visit leads it. ``as=paper`` and
``as=guide`` are the lesson on paper, for students and for whoever teaches.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import streamlit as st

from core.errors import AtelierError
from pages.shared import links, shape
from pages.shared.shape import Shape
from pages.shared.site import PageEntry
from pages.shared.text import _
from pages.teach import answers, room, shelf
from pages.teach.fields import harmless
from pages.teach.lesson import Ask, Lesson, Step

VISIT = "lessons"
Look = Literal["desk", "stage", "paper", "guide"]
LOOKS: tuple[Look, ...] = ("desk", "stage", "paper", "guide")
LESSON, STEP, AS, ROOM, HOST = "lesson", "step", "as", "room", "host"
HELD = "room:"
"""What the name of a lesson begins with that only its room has."""
PARAMETERS = (LESSON, STEP, AS, ROOM, HOST)
"""Of an address: what it says of a lesson."""


@dataclass(frozen=True)
class Response:
    """What a visitor answered: an option, or none, and words of their own."""

    option: str = ""
    words: str = ""

    @property
    def whole(self) -> bool:
        """Whether there is an answer."""
        return bool(self.option or self.words.strip())


@dataclass
class Visit:
    """Of one visitor: the step that was entered last, and by lesson and question what was answered, and
    which answers were revealed. By room, lesson and question, ``chosen``: what was answered since its vote
    began, which ``votes`` has as the visit saw it last; ``cast``: under which token, in which vote and for
    what this visit has voted.
    ``secrets``: by the code of a room that this visit leads. ``turned``: lessons and questions whose answer is
    shown on a stage with the figures of the question.
    """

    entered: tuple[str, int] | None = None
    given: dict[tuple[str, str], Response] = field(default_factory=dict)
    revealed: set[tuple[str, str]] = field(default_factory=set)
    chosen: set[tuple[str, str, str]] = field(default_factory=set)
    votes: dict[tuple[str, str, str], str] = field(default_factory=dict)
    cast: dict[tuple[str, str, str], tuple[str, str, str]] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    turned: set[tuple[str, str]] = field(default_factory=set)


def visit() -> Visit:
    """What is known of the visitor's lessons."""
    return st.session_state.setdefault(VISIT, Visit())


@dataclass(frozen=True)
class Now:
    """The step of a lesson that an address says; ``name`` is that of the lesson, or the lesson itself in a
    link, ``number`` counts from 1. ``gone``: why there is no such room as the address says.
    """

    name: str
    lesson: Lesson
    number: int
    look: Look
    room: str = ""
    host: str = ""
    gone: AtelierError | None = None

    @property
    def step(self) -> Step:
        return self.lesson.steps[self.number - 1]

    @property
    def page(self) -> PageEntry:
        return shelf.page_of(self.lesson, self.number)

    @property
    def ask(self) -> Ask | None:
        return self.step.ask

    @property
    def question(self) -> tuple[str, str]:
        """The lesson, by its name in the address, and the question: a lesson cannot speak for another one."""
        return self.name, self.ask.id if self.ask else ""

    @property
    def vote(self) -> tuple[str, str, str]:
        """The question as this room asks it: another room of the same lesson counts anew."""
        return self.room, *self.question

    @property
    def own_response(self) -> Response:
        """What this visitor answered."""
        return visit().given.get(self.question, Response())

    @property
    def revealed(self) -> bool:
        """Whether the answer is shown to this visitor."""
        return self.ask is not None and self.question in visit().revealed


def _parameter_value(parameter: str) -> str:
    return next(iter(links.values(parameter)), "")


def read() -> Now | None:
    """The step of the address; None where it says no lesson. Raises ``AtelierError`` in one sentence."""
    name, code = _parameter_value(LESSON), _parameter_value(ROOM)
    if not name and not code:
        return None
    held, gone = None, None
    if code:
        try:
            theirs, held = room.rooms().lesson(code), room.rooms().full_lesson(code)
        except AtelierError as error:
            if not name:
                raise
            code, gone = "", error
        else:
            if name and name != theirs:
                raise AtelierError(
                    "room-other", "The room “{room}” is about another lesson.", room=harmless(code)
                )
            name = theirs
    lesson = held or shelf.lesson(name)
    secret = _parameter_value(HOST) or visit().secrets.get(room.canonical_code(code), "")
    return Now(name, lesson, _number(lesson), _look(), code, secret, gone)


def _number(lesson: Lesson) -> int:
    said, last = _parameter_value(STEP) or "1", len(lesson.steps)
    if not (said.isascii() and said.isdigit() and len(said) < 4 and 1 <= int(said) <= last):
        raise AtelierError(
            "lesson-step",
            "This lesson has the steps 1 to {last}, not “{step}”.",
            last=last,
            step=harmless(said),
        )
    return int(said)


def _look() -> Look:
    said = _parameter_value(AS) or "desk"
    if said not in LOOKS:
        raise AtelierError(
            "lesson-look",
            "A lesson is shown as {looks}, not as “{look}”.",
            looks=", ".join(LOOKS),
            look=harmless(said),
        )
    return said


# ---------------------------------------------------------------- going through it


def enter(now: Now) -> None:
    """To be called before the page of a step is run: where the step is another one than in the last run, its
    controls are set.
    """
    here, known = (now.name, now.number), visit()
    if known.entered == here:
        return
    links.follow(now.step.query, anew=known.entered is None)
    known.entered = here


def outside() -> None:
    """To be called where no step is shown: whoever comes back finds its controls as the step says."""
    visit().entered = None


def go(now: Now, number: int) -> None:
    """To another step of the lesson; beyond its ends nothing happens."""
    if 1 <= number <= len(now.lesson.steps):
        links.write(STEP, [str(number)])


def leave() -> None:
    """Out of the lesson: the address says no more of it."""
    visit().entered = None
    links.write_all({one: [] for one in PARAMETERS})


def answer(now: Now, given: Response) -> None:
    """Keeps what the visitor answered, in the visit alone."""
    known = visit()
    known.given[now.question] = given
    known.chosen.add(now.vote)


def may_reveal(now: Now, *, in_room: bool = False) -> bool:
    """Whether this visitor may see the answer now."""
    if not answers.can_keep_back(now.name):
        return True
    return answers.may_reveal(now.own_response.whole, in_room=in_room)


def why_not(now: Now) -> str:
    """Why this visit may not see the answer yet."""
    if answers.policy().answers == answers.AFTER_ANSWER:
        return _("The answer follows yours.")
    return _("Whoever teaches shows the answer.")


def reveal(now: Now, *, in_room: bool = False) -> None:
    """Shows the answer from now on, where the server lets this visitor see it."""
    if now.ask and may_reveal(now, in_room=in_room):
        visit().revealed.add(now.question)


def turn(now: Now) -> None:
    """On a stage, from the figures of the answer to those of the question, and back."""
    visit().turned ^= {now.question}


def shape_of(now: Now) -> Shape:
    """What the step leaves of its page: what its question asks for is shown with the answer, not before. A
    screen in a hall has room for one of the two, so there the figures of the answer replace the others.
    """
    step, open_ = now.step, now.ask is None or now.revealed
    keep, figures = step.keep, step.figures
    answer = now.ask.reveal if now.ask else ()
    if now.look == "stage" and (of := step.stage):
        keep, figures = of.keep, of.figures
        answer = answer if of.reveal is None else of.reveal
    if figures is not None and now.revealed and answer:
        if now.look != "stage":
            figures = tuple(dict.fromkeys((*figures, *answer)))
        elif now.question not in visit().turned:
            figures = answer
    return Shape(
        keep=keep,
        figures=figures,
        hide=frozenset() if open_ else frozenset(shape.PARTS),
        without=frozenset() if open_ else frozenset((*now.ask.reveal, *answer)),
        bare=now.look == "stage",
    )


def query_of(now: Now, **changed: str) -> Mapping[str, str]:
    """Parameters of an address that opens this step, others in their place."""
    name = "" if now.name.startswith(HELD) else now.name
    query = {LESSON: name, STEP: str(now.number), AS: now.look, ROOM: now.room, **changed}
    return {name: said for name, said in query.items() if said}
