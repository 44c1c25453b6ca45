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
``figures`` and ``ask`` may be left out, and so may ``options`` (the answer is then written freely), ``right``,
``reveal``, ``why`` and ``likely`` (likely wrong answers, for the teacher). A text may hold ``**bold**``,
``*italics*`` and ``code``; links, pictures, HTML and commands are refused. A number in braces is filled from
a bundle: ``pages.teach.numbers`` says which there are. Whatever else a file holds is a mistake, and named by
step and field.
"""

from __future__ import annotations

import json
import re
import tomllib
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.errors import AtelierError

LANGUAGES = ("en", "fr")
MOST_STEPS = 40
MOST_MINUTES = 480
MOST_POINTS = 100
MOST_OPTIONS = 8
MOST_KEYS = 24
MOST_VALUES = 24
LONGEST_VALUE = 200
LONGEST = {"title": 120, "say": 600, "question": 400, "option": 200, "why": 1500, "likely": 400}
"""Characters of a text, by what it is."""
SHOWN = 40
"""Characters of a wrong value that an error shows."""
RESERVED = frozenset(
    ("lesson", "step", "as", "room", "host", "keep", "figures", "hide", "at", "lang")
)
"""Parameters of an address that are no control of a page."""
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
"""Of a lesson, which is also the name of its file."""
BUNDLE = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
KEY = re.compile(r"[a-z][a-z0-9_]{0,47}")
QUESTION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.-]{0,23}")
NUMBER = re.compile(r"\{([A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)+)(?::\.([0-6])([fe%]))?\}")
"""A number in a text: bundle or run, path, and how many digits of which form."""
MARKUP = re.compile(r"<[A-Za-z/!?]|\]\(|\]:|!\[|://|www\.|mailto:|javascript:|&#|\\[A-Za-z]", re.I)
TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that make a line read in another order than it is written."""


# ---------------------------------------------------------------- what a lesson is


@dataclass(frozen=True)
class Words:
    """One text in both languages."""

    en: str
    fr: str

    def spoken(self, language: str) -> str:
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
class Step:
    """One view of a page; ``keep`` and ``figures`` are None where all controls or figures stay.

    ``set``: the name of each control and what the address says of it.
    """

    page: str
    minutes: int
    say: Words
    set: tuple[tuple[str, tuple[str, ...]], ...] = ()
    keep: tuple[str, ...] | None = None
    figures: tuple[str, ...] | None = None
    ask: Ask | None = None

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
    def planned(self) -> int:
        """The minutes of all steps."""
        return sum(step.minutes for step in self.steps)


# ---------------------------------------------------------------- mistakes


@dataclass(frozen=True)
class Place:
    """Where in a lesson: a step, counted from 1, None outside of all; and a field."""

    step: int | None
    field: str

    def inner(self, name: object) -> Place:
        """A field, or the n-th entry, of this one."""
        return Place(self.step, f"{self.field}.{name}" if self.field else str(name))

    def wrong(self, problem: AtelierError) -> AtelierError:
        """The problem, said with its place."""
        field = harmless(self.field or "…", 2 * SHOWN)
        if self.step is None:
            return AtelierError(
                "lesson-field", "The lesson, field {field}: {problem}", field=field, problem=problem
            )
        return AtelierError(
            "lesson-step",
            "Step {step} of the lesson, field {field}: {problem}",
            step=self.step,
            field=field,
            problem=problem,
        )


def harmless(value: object, longest: int = SHOWN) -> str:
    """A value from a stranger as an error may show it: short, and without any markup."""
    text = re.sub(r"[^\w .,:…+-]", "?", str(value)[:longest], flags=re.ASCII)
    return re.sub(r":(?=\S)|__", "?", text) or "?"


def _text_wanted() -> AtelierError:
    return AtelierError("lesson-text", "it must be a text.")


def _whole_wanted() -> AtelierError:
    return AtelierError("lesson-whole", "it must be a whole number.")


def _list_wanted() -> AtelierError:
    return AtelierError("lesson-list", "it must be a list.")


def _table_wanted() -> AtelierError:
    return AtelierError("lesson-table", "it must be a table of fields.")


def _no_code(value: object) -> AtelierError:
    return AtelierError(
        "lesson-code",
        "“{value}” cannot stand here: only a short name of plain letters, digits and hyphens can.",
        value=harmless(value),
    )


def _twice(value: str) -> AtelierError:
    return AtelierError("lesson-twice", "“{value}” occurs twice.", value=harmless(value))


def _too_many(count: int, most: int) -> AtelierError:
    return AtelierError(
        "lesson-many", "it has {count} entries, and {most} are the most.", count=count, most=most
    )


# ---------------------------------------------------------------- reading parts


def _table(
    value: object, place: Place, fields: Sequence[str], optional: Sequence[str] = ()
) -> dict:
    """A table that has all ``fields``, perhaps some ``optional`` ones, and nothing else."""
    if not isinstance(value, dict):
        raise place.wrong(_table_wanted())
    for name in value:
        if name not in (*fields, *optional):
            raise place.inner(name).wrong(
                AtelierError("lesson-unknown", "there is no field of this name.")
            )
    for name in fields:
        if name not in value:
            raise place.inner(name).wrong(AtelierError("lesson-missing", "it is missing."))
    return value


def _list(value: object, place: Place, most: int, *, least: int = 0) -> list:
    if not isinstance(value, list):
        raise place.wrong(_list_wanted())
    if len(value) > most:
        raise place.wrong(_too_many(len(value), most))
    if len(value) < least:
        raise place.wrong(AtelierError("lesson-empty", "it is empty."))
    return value


def _whole(value: object, place: Place, least: int, most: int) -> int:
    if type(value) is not int:
        raise place.wrong(_whole_wanted())
    if not least <= value <= most:
        raise place.wrong(
            AtelierError(
                "lesson-range", "it must be from {least} to {most}.", least=least, most=most
            )
        )
    return value


def _code(value: object, place: Place, pattern: re.Pattern) -> str:
    if not isinstance(value, str):
        raise place.wrong(_text_wanted())
    if not pattern.fullmatch(value):
        raise place.wrong(_no_code(value))
    return value


def _codes(value: object, place: Place, pattern: re.Pattern) -> tuple[str, ...]:
    found = [
        _code(one, place.inner(index), pattern)
        for index, one in enumerate(_list(value, place, MOST_KEYS), 1)
    ]
    _all_differ(found, place)
    return tuple(found)


def _all_differ(found: Sequence[str], place: Place) -> None:
    for index, one in enumerate(found):
        if one in found[:index]:
            raise place.wrong(_twice(one))


def is_plain(text: str, *, lines: bool = False) -> bool:
    """Whether every character is one to read; ``lines``: a line may end."""
    return all(
        (lines and sign == "\n")
        or (
            unicodedata.category(sign) not in ("Cc", "Cs", "Cn", "Zl", "Zp") and sign not in TURNING
        )
        for sign in text
    )


def _text(value: object, place: Place, longest: int) -> str:
    if not isinstance(value, str):
        raise place.wrong(_text_wanted())
    if not value.strip():
        raise place.wrong(AtelierError("lesson-empty", "it is empty."))
    if len(value) > longest:
        raise place.wrong(
            AtelierError(
                "lesson-long",
                "it has {count} characters, and {most} are the most.",
                count=len(value),
                most=longest,
            )
        )
    if MARKUP.search(value) or not is_plain(value, lines=True):
        raise place.wrong(
            AtelierError(
                "lesson-markup",
                "a text has no links, pictures, HTML, commands or hidden characters.",
            )
        )
    if re.search(r"[{}]", NUMBER.sub("", value)):
        raise place.wrong(
            AtelierError(
                "lesson-braces",
                "braces hold the name of a number, as in {example}.",
                example="{baseline.knn}",
            )
        )
    return value


def _words(value: object, place: Place, kind: str) -> Words:
    found = _table(value, place, LANGUAGES)
    return Words(*(_text(found[one], place.inner(one), LONGEST[kind]) for one in LANGUAGES))


def _said(value: object, place: Place) -> str:
    """One value of a control, as the address says it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and abs(value) < 10**12:
        return str(value)
    if isinstance(value, float) and abs(value) < 10**12:
        return f"{value:.10g}"
    if not isinstance(value, str):
        raise place.wrong(_text_wanted())
    if len(value) > LONGEST_VALUE or not is_plain(value):
        raise place.wrong(
            AtelierError(
                "lesson-value", "“{value}” is no value of a control.", value=harmless(value)
            )
        )
    return value


def _set(value: object, place: Place) -> tuple[tuple[str, tuple[str, ...]], ...]:
    if not isinstance(value, dict):
        raise place.wrong(_table_wanted())
    if len(value) > MOST_KEYS:
        raise place.wrong(_too_many(len(value), MOST_KEYS))
    found = []
    for key, said in value.items():
        inner = place.inner(key)
        if not KEY.fullmatch(key) or key in RESERVED:
            raise inner.wrong(AtelierError("lesson-control", "no control has this name."))
        values = _list(said, inner, MOST_VALUES, least=1) if isinstance(said, list) else [said]
        found.append((key, tuple(_said(one, inner) for one in values)))
    return tuple(found)


# ---------------------------------------------------------------- reading a lesson


def _ask(value: object, place: Place) -> Ask:
    optional = ("options", "right", "reveal", "why", "likely")
    found = _table(value, place, ("id", "points", "question"), optional)
    options = []
    if "options" in found:
        of = place.inner("options")
        for index, one in enumerate(_list(found["options"], of, MOST_OPTIONS, least=2), 1):
            at = of.inner(index)
            one = _table(one, at, ("id", *LANGUAGES))
            name = _code(one["id"], at.inner("id"), NAME)
            options.append(Option(name, _both(one, at, "option")))
        _all_differ([one.id for one in options], of)
    ids = [one.id for one in options]
    right = found.get("right")
    if right is not None:
        right = _option(right, place.inner("right"), ids)
    return Ask(
        _code(found["id"], place.inner("id"), QUESTION),
        _whole(found["points"], place.inner("points"), 0, MOST_POINTS),
        _words(found["question"], place.inner("question"), "question"),
        tuple(options),
        right,
        _codes(found.get("reveal", []), place.inner("reveal"), KEY),
        _words(found["why"], place.inner("why"), "why") if "why" in found else None,
        _likely(found.get("likely", []), place.inner("likely"), ids, right),
    )


def _both(table: Mapping[str, object], place: Place, kind: str) -> Words:
    """The languages of a table that has other fields, too."""
    return Words(*(_text(table[one], place.inner(one), LONGEST[kind]) for one in LANGUAGES))


def _option(value: object, place: Place, ids: Sequence[str]) -> str:
    if not isinstance(value, str):
        raise place.wrong(_text_wanted())
    if value not in ids:
        raise place.wrong(
            AtelierError(
                "lesson-option", "“{value}” is none of the options.", value=harmless(value)
            )
        )
    return value


def _likely(
    value: object, place: Place, ids: Sequence[str], right: str | None
) -> tuple[Likely, ...]:
    found = []
    for index, one in enumerate(_list(value, place, MOST_OPTIONS), 1):
        at = place.inner(index)
        one = _table(one, at, ("option", *LANGUAGES) if ids else LANGUAGES)
        option = _option(one["option"], at.inner("option"), ids) if ids else ""
        if ids and option == right:
            raise at.inner("option").wrong(
                AtelierError("lesson-likely", "the right answer is no likely wrong one.")
            )
        found.append(Likely(option, _both(one, at, "likely")))
    return tuple(found)


def _step(value: object, number: int) -> Step:
    place = Place(number, "")
    optional = ("set", "keep", "figures", "ask")
    found = _table(value, place, ("page", "minutes", "say"), optional)
    shown = {
        name: _codes(found[name], place.inner(name), KEY) if name in found else None
        for name in ("keep", "figures")
    }
    return Step(
        _code(found["page"], place.inner("page"), NAME),
        _whole(found["minutes"], place.inner("minutes"), 1, MOST_MINUTES),
        _words(found["say"], place.inner("say"), "say"),
        _set(found.get("set", {}), place.inner("set")),
        **shown,
        ask=_ask(found["ask"], place.inner("ask")) if "ask" in found else None,
    )


def lesson_of(value: object) -> Lesson:
    """The lesson that plain data say, as a file or a link holds them.

    Raises ``AtelierError`` with one sentence, which names step and field, at the first mistake.
    """
    place = Place(None, "")
    found = _table(value, place, ("id", "minutes", "title", "step"), ("needs",))
    steps = _list(found["step"], place.inner("step"), MOST_STEPS, least=1)
    lesson = Lesson(
        _code(found["id"], place.inner("id"), NAME),
        _whole(found["minutes"], place.inner("minutes"), 1, MOST_MINUTES),
        _words(found["title"], place.inner("title"), "title"),
        tuple(_step(one, number) for number, one in enumerate(steps, 1)),
        _codes(found.get("needs", []), place.inner("needs"), BUNDLE),
    )
    asked: set[str] = set()
    for number, step in enumerate(lesson.steps, 1):
        if step.ask and step.ask.id in asked:
            raise Place(number, "ask.id").wrong(_twice(step.ask.id))
        asked |= {step.ask.id} if step.ask else set()
    return lesson


def read_lesson(text: str) -> Lesson:
    """The lesson that a TOML file holds; raises ``AtelierError`` with one sentence."""
    try:
        found = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # a number of thousands of digits is a ValueError
        said = harmless(str(error) or type(error).__name__, 2 * SHOWN)
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
    return {one: words.spoken(one) for one in LANGUAGES}


def _data_of_step(step: Step, answers: bool) -> dict[str, Any]:
    found: dict[str, Any] = {"page": step.page, "minutes": step.minutes}
    if step.set:
        found["set"] = {key: said[0] if len(said) == 1 else list(said) for key, said in step.set}
    for name, codes in (("keep", step.keep), ("figures", step.figures)):
        if codes is not None:
            found[name] = list(codes)
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
