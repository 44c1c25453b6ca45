"""Lessons: what one is made of, and the file that holds it.

A lesson is a list of steps. A step opens one page of the app with its controls set, says one thing about
it, and may ask a question. A lesson is a file ``NAME.toml``, in the folder ``pages/lessons`` or in the one
that ``ATELIER_LESSONS`` names; NAME is its ``id``. Both languages stand in the file::

    id = "collapse-10"                              # as the file is called
    minutes = 10                                    # all of it; the steps have minutes of their own
    needs = ["simsiam-cifar10-baseline"]            # bundles that the lesson cannot do without
    title = {en = "Why no collapse?", fr = "Pourquoi pas d'effondrement ?"}

    [[step]]
    page = "collapse"                               # the last part of the page's address
    minutes = 10
    set = {collapse_epoch = 20, collapse_runs = ["baseline", "no-predictor"]}
    keep = ["collapse_epoch"]                       # controls that stay; without this line all of them
    figures = ["collapse_loss"]                     # figures that are shown; without this line all of them
    stage = {keep = ["collapse_epoch"], figures = ["collapse_loss"]}    # in their place on a stage
    say = {en = "One loss, two networks.", fr = "Une perte, deux réseaux."}

    [step.ask]
    id = "3.5a"                                     # of the question; no other one has it
    points = 4
    question = {en = "Which one would you keep?", fr = "Lequel garderiez-vous ?"}
    options = [{id = "a", en = "the higher loss", fr = "la perte la plus haute"},
               {id = "b", en = "the lower loss", fr = "la perte la plus basse"}]
    right = "a"                                     # the id of an option
    reveal = ["collapse_knn"]                       # figures that are shown once the answer is
    why = {en = "{baseline.knn} against {no-predictor.knn}.", fr = "{baseline.knn} contre {no-predictor.knn}."}
    likely = [{option = "b", en = "Low is taken for good.", fr = "Bas passe pour bon."}]

``set`` says what the controls stand at, by their names in the address. ``needs``, ``set``, ``keep``,
``figures``, ``stage`` and ``ask`` may be left out, and so may ``options`` (the answer is then written
freely), ``right``, ``reveal``, ``why`` and ``likely`` (likely wrong answers, for the teacher). A text may
hold ``**bold**``, ``*italics*`` and ``code``; links, pictures, HTML and commands are refused. A number in
braces is filled from a bundle: ``pages.teach.numbers`` says which there are. Whatever else a file holds is a
mistake, and named by step and field.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.errors import AtelierError
from pages.shared import links
from pages.teach import fields
from pages.teach.fields import Place

LANGUAGES = ("en", "fr")
MOST_STEPS = 40
MOST_MINUTES = 480
MOST_POINTS = 100
MOST_OPTIONS = 8
MOST_VALUES = 24
LONGEST_VALUE = 200
LONGEST = {"title": 120, "say": 600, "question": 400, "option": 200, "why": 1500, "likely": 400}
"""Characters of a text, by what it is."""
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
"""Of a lesson, which is also the name of its file."""
BUNDLE = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
KEY = re.compile(r"[a-z][a-z0-9_-]{0,47}")
QUESTION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.-]{0,23}")
# ---------------------------------------------------------------- what a lesson is


@dataclass(frozen=True)
class Words:
    """One text in both languages."""

    en: str
    fr: str

    def in_language(self, language: str) -> str:
        """The text in a language: ``en`` or ``fr``."""
        return getattr(self, language)


@dataclass(frozen=True)
class Option:
    """One of the answers that are offered."""

    id: str
    words: Words


@dataclass(frozen=True)
class Likely:
    """A likely wrong answer, for the teacher; ``option`` is empty where the answer is written freely."""

    option: str
    words: Words


@dataclass(frozen=True)
class Ask:
    """A question; ``right`` is the id of an option, None where none is named. ``reveal``: figures."""

    id: str
    points: int
    question: Words
    options: tuple[Option, ...] = ()
    right: str | None = None
    reveal: tuple[str, ...] = ()
    why: Words | None = None
    likely: tuple[Likely, ...] = ()


@dataclass(frozen=True)
class Stage:
    """What a hall sees of a step, by name: controls, figures, and those that are shown with the answer, which
    are None where they are the question's own.
    """

    keep: tuple[str, ...]
    figures: tuple[str, ...]
    reveal: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Step:
    """One view of a page; ``keep`` and ``figures`` are None where all controls or figures stay.

    ``set``: the name of each control and what the address says of it. ``stage``: which of them a hall sees,
    where a desk has more than its screen holds.
    """

    page: str
    minutes: int
    say: Words
    set: tuple[tuple[str, tuple[str, ...]], ...] = ()
    keep: tuple[str, ...] | None = None
    figures: tuple[str, ...] | None = None
    ask: Ask | None = None
    stage: Stage | None = None

    @property
    def query(self) -> dict[str, list[str]]:
        """The controls as an address says them."""
        return {key: list(values) for key, values in self.set}


@dataclass(frozen=True)
class Lesson:
    """Steps in their order; ``minutes`` for all of them, ``needs``: names of bundles."""

    id: str
    minutes: int
    title: Words
    steps: tuple[Step, ...]
    needs: tuple[str, ...] = ()

    @property
    def planned_minutes(self) -> int:
        """The minutes of all steps."""
        return sum(step.minutes for step in self.steps)


# ---------------------------------------------------------------- reading parts


def _words(value: object, place: Place, kind: str) -> Words:
    found = fields.table(value, place, LANGUAGES)
    return Words(*(fields.text(found[one], place.inner(one), LONGEST[kind]) for one in LANGUAGES))


def _control_value(value: object, place: Place) -> str:
    """One value of a control, as the address says it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and abs(value) < 10**12:
        return str(value)
    if isinstance(value, float) and abs(value) < 10**12:
        return f"{value:.10g}"
    if not isinstance(value, str):
        raise place.wrong(fields.text_wanted())
    if len(value) > LONGEST_VALUE or not fields.is_plain(value):
        raise place.wrong(
            AtelierError(
                "lesson-value", "“{value}” is no value of a control.", value=fields.harmless(value)
            )
        )
    return value


def _control_values(value: object, place: Place) -> tuple[tuple[str, tuple[str, ...]], ...]:
    if not isinstance(value, dict):
        raise place.wrong(fields.table_wanted())
    if len(value) > fields.MOST_KEYS:
        raise place.wrong(fields.too_many(len(value), fields.MOST_KEYS))
    found = []
    for key, said in value.items():
        inner = place.inner(key)
        if not KEY.fullmatch(key) or key in links.FRAME:
            raise inner.wrong(AtelierError("lesson-control", "no control has this name."))
        values = (
            fields.list_of(said, inner, MOST_VALUES, least=1) if isinstance(said, list) else [said]
        )
        found.append((key, tuple(_control_value(one, inner) for one in values)))
    return tuple(found)


# ---------------------------------------------------------------- reading a lesson


def _ask(value: object, place: Place) -> Ask:
    optional = ("options", "right", "reveal", "why", "likely")
    found = fields.table(value, place, ("id", "points", "question"), optional)
    options = []
    if "options" in found:
        of = place.inner("options")
        for index, one in enumerate(fields.list_of(found["options"], of, MOST_OPTIONS, least=2), 1):
            at = of.inner(index)
            one = fields.table(one, at, ("id", *LANGUAGES))
            name = fields.code(one["id"], at.inner("id"), NAME)
            options.append(Option(name, _both(one, at, "option")))
        fields.all_differ([one.id for one in options], of)
    ids = [one.id for one in options]
    right = None
    if "right" in found:
        right = _option(found["right"], place.inner("right"), ids)
    return Ask(
        fields.code(found["id"], place.inner("id"), QUESTION),
        fields.whole(found["points"], place.inner("points"), 0, MOST_POINTS),
        _words(found["question"], place.inner("question"), "question"),
        tuple(options),
        right,
        fields.codes(found.get("reveal", []), place.inner("reveal"), KEY),
        _words(found["why"], place.inner("why"), "why") if "why" in found else None,
        _likely(found.get("likely", []), place.inner("likely"), ids, right),
    )


def _both(table: Mapping[str, object], place: Place, kind: str) -> Words:
    """The languages of a table that has other fields, too."""
    return Words(*(fields.text(table[one], place.inner(one), LONGEST[kind]) for one in LANGUAGES))


def _option(value: object, place: Place, ids: Sequence[str]) -> str:
    if not isinstance(value, str):
        raise place.wrong(fields.text_wanted())
    if value not in ids:
        raise place.wrong(
            AtelierError(
                "lesson-option", "“{value}” is none of the options.", value=fields.harmless(value)
            )
        )
    return value


def _likely(
    value: object, place: Place, ids: Sequence[str], right: str | None
) -> tuple[Likely, ...]:
    found = []
    for index, one in enumerate(fields.list_of(value, place, MOST_OPTIONS), 1):
        at = place.inner(index)
        one = fields.table(one, at, ("option", *LANGUAGES) if ids else LANGUAGES)
        option = _option(one["option"], at.inner("option"), ids) if ids else ""
        if ids and option == right:
            raise at.inner("option").wrong(
                AtelierError("lesson-likely", "the right answer is no likely wrong one.")
            )
        found.append(Likely(option, _both(one, at, "likely")))
    return tuple(found)


def _stage(value: object, place: Place) -> Stage:
    found = fields.table(value, place, ("keep", "figures"), ("reveal",))
    return Stage(**{name: fields.codes(found[name], place.inner(name), KEY) for name in found})


def _step(value: object, number: int) -> Step:
    place = Place(number, "")
    optional = ("set", "keep", "figures", "stage", "ask")
    found = fields.table(value, place, ("page", "minutes", "say"), optional)
    shown = {
        name: fields.codes(found[name], place.inner(name), KEY) if name in found else None
        for name in ("keep", "figures")
    }
    return Step(
        fields.code(found["page"], place.inner("page"), NAME),
        fields.whole(found["minutes"], place.inner("minutes"), 1, MOST_MINUTES),
        _words(found["say"], place.inner("say"), "say"),
        _control_values(found.get("set", {}), place.inner("set")),
        **shown,
        stage=_stage(found["stage"], place.inner("stage")) if "stage" in found else None,
        ask=_ask(found["ask"], place.inner("ask")) if "ask" in found else None,
    )


def lesson_of(value: object) -> Lesson:
    """The lesson that plain data say, as a file or a link holds them.

    Raises ``AtelierError`` with one sentence, which names step and field, at the first mistake.
    """
    place = Place(None, "")
    found = fields.table(value, place, ("id", "minutes", "title", "step"), ("needs",))
    steps = fields.list_of(found["step"], place.inner("step"), MOST_STEPS, least=1)
    lesson = Lesson(
        fields.code(found["id"], place.inner("id"), NAME),
        fields.whole(found["minutes"], place.inner("minutes"), 1, MOST_MINUTES),
        _words(found["title"], place.inner("title"), "title"),
        tuple(_step(one, number) for number, one in enumerate(steps, 1)),
        fields.codes(found.get("needs", []), place.inner("needs"), BUNDLE),
    )
    asked: set[str] = set()
    for number, step in enumerate(lesson.steps, 1):
        if step.ask and step.ask.id in asked:
            raise Place(number, "ask.id").wrong(fields.twice(step.ask.id))
        asked |= {step.ask.id} if step.ask else set()
    return lesson


def read_lesson(text: str) -> Lesson:
    """The lesson that a TOML file holds; raises ``AtelierError`` with one sentence."""
    try:
        found = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # a number of thousands of digits is a ValueError
        said = fields.harmless(str(error) or type(error).__name__, 2 * fields.SHOWN)
        raise AtelierError("lesson-toml", "This file is no TOML: {detail}.", detail=said) from None
    return lesson_of(found)


# ---------------------------------------------------------------- writing


def data_of(lesson: Lesson, *, answers: bool = True) -> dict[str, Any]:
    """The lesson as plain data, which ``lesson_of`` reads.

    Without ``answers`` its questions have neither ``right``, ``reveal``, ``why`` nor ``likely``.
    """
    found: dict[str, Any] = {"id": lesson.id, "minutes": lesson.minutes}
    if lesson.needs:
        found["needs"] = list(lesson.needs)
    found["title"] = _plain(lesson.title)
    found["step"] = [_data_of_step(step, answers) for step in lesson.steps]
    return found


def _plain(words: Words) -> dict[str, str]:
    return {one: words.in_language(one) for one in LANGUAGES}


def _data_of_step(step: Step, answers: bool) -> dict[str, Any]:
    found: dict[str, Any] = {"page": step.page, "minutes": step.minutes}
    if step.set:
        found["set"] = {key: said[0] if len(said) == 1 else list(said) for key, said in step.set}
    for name, codes in (("keep", step.keep), ("figures", step.figures)):
        if codes is not None:
            found[name] = list(codes)
    if of := step.stage:
        found["stage"] = {"keep": list(of.keep), "figures": list(of.figures)}
        found["stage"] |= {"reveal": list(of.reveal)} if of.reveal is not None and answers else {}
    found["say"] = _plain(step.say)
    if step.ask:
        found["ask"] = _data_of_ask(step.ask, answers)
    return found


def _data_of_ask(ask: Ask, answers: bool) -> dict[str, Any]:
    found: dict[str, Any] = {"id": ask.id, "points": ask.points, "question": _plain(ask.question)}
    if ask.options:
        found["options"] = [{"id": one.id, **_plain(one.words)} for one in ask.options]
    if not answers:
        return found
    if ask.right is not None:
        found["right"] = ask.right
    if ask.reveal:
        found["reveal"] = list(ask.reveal)
    if ask.why:
        found["why"] = _plain(ask.why)
    if ask.likely:
        found["likely"] = [
            {**({"option": one.option} if one.option else {}), **_plain(one.words)}
            for one in ask.likely
        ]
    return found


def _toml(value: object) -> str:
    """A value on one line. A basic string of TOML is written as one of JSON is."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def _lines(table: Mapping[str, object]) -> Iterator[str]:
    for key, value in table.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            yield f"{key} = ["
            yield from (f"    {_toml(one)}," for one in value)
            yield "]"
        else:
            yield f"{key} = {_toml(value)}"


def write_lesson(lesson: Lesson) -> str:
    """The lesson as a TOML file, which ``read_lesson`` reads back to the same lesson."""
    found = data_of(lesson)
    steps = found.pop("step")
    lines = [*_lines(found)]
    for step in steps:
        ask = step.pop("ask", None)
        lines += ["", "[[step]]", *_lines(step)]
        lines += ["", "[step.ask]", *_lines(ask)] if ask else []
    return "\n".join(lines) + "\n"


# ---------------------------------------------------------------- all texts


def texts(lesson: Lesson) -> Iterator[tuple[Place, Words]]:
    """Every text of a lesson and where it stands."""
    yield Place(None, "title"), lesson.title
    for number, step in enumerate(lesson.steps, 1):
        place = Place(number, "")
        yield place.inner("say"), step.say
        if ask := step.ask:
            of = place.inner("ask")
            yield of.inner("question"), ask.question
            for index, option in enumerate(ask.options, 1):
                yield of.inner(f"options.{index}"), option.words
            if ask.why:
                yield of.inner("why"), ask.why
            for index, one in enumerate(ask.likely, 1):
                yield of.inner(f"likely.{index}"), one.words
