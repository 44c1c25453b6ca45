"""Fields of a lesson: what may stand in one, and the sentence that names step and field where it may not."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from core.errors import AtelierError

SHOWN = 40
"""Characters of a wrong value that an error shows."""
MOST_KEYS = 40
NUMBER = re.compile(r"\{([A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)+)(?::\.([0-6])([fe%]))?\}")
"""A number in a text: bundle or run, path, and how many digits of which form."""
MARKUP = re.compile(r"<[A-Za-z/!?]|\]\(|\]:|!\[|://|www\.|mailto:|javascript:|&#|\\[A-Za-z]", re.I)
TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that make a line read in another order than it is written."""


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


def text_wanted() -> AtelierError:
    """A text was wanted."""
    return AtelierError("lesson-text", "it must be a text.")


def whole_wanted() -> AtelierError:
    """A whole number was wanted."""
    return AtelierError("lesson-whole", "it must be a whole number.")


def list_wanted() -> AtelierError:
    """A list was wanted."""
    return AtelierError("lesson-list", "it must be a list.")


def table_wanted() -> AtelierError:
    """A table was wanted."""
    return AtelierError("lesson-table", "it must be a table of fields.")


def no_code(value: object) -> AtelierError:
    """A short plain name was wanted."""
    return AtelierError(
        "lesson-code",
        "“{value}” cannot stand here: only a short name of plain letters, digits and hyphens can.",
        value=harmless(value),
    )


def twice(value: str) -> AtelierError:
    """Something stands there twice."""
    return AtelierError("lesson-twice", "“{value}” occurs twice.", value=harmless(value))


def too_many(count: int, most: int) -> AtelierError:
    """A list or table is too long."""
    return AtelierError(
        "lesson-many", "it has {count} entries, and {most} are the most.", count=count, most=most
    )


# ---------------------------------------------------------------- reading parts


def table(value: object, place: Place, fields: Sequence[str], optional: Sequence[str] = ()) -> dict:
    """A table that has all ``fields``, perhaps some ``optional`` ones, and nothing else."""
    if not isinstance(value, dict):
        raise place.wrong(table_wanted())
    for name in value:
        if name not in (*fields, *optional):
            raise place.inner(name).wrong(
                AtelierError("lesson-unknown", "there is no field of this name.")
            )
    for name in fields:
        if name not in value:
            raise place.inner(name).wrong(AtelierError("lesson-missing", "it is missing."))
    return value


def list_of(value: object, place: Place, most: int, *, least: int = 0) -> list:
    """A list of ``least`` to ``most`` entries."""
    if not isinstance(value, list):
        raise place.wrong(list_wanted())
    if len(value) > most:
        raise place.wrong(too_many(len(value), most))
    if len(value) < least:
        raise place.wrong(AtelierError("lesson-empty", "it is empty."))
    return value


def whole(value: object, place: Place, least: int, most: int) -> int:
    """A whole number within bounds."""
    if type(value) is not int:
        raise place.wrong(whole_wanted())
    if not least <= value <= most:
        raise place.wrong(
            AtelierError(
                "lesson-range", "it must be from {least} to {most}.", least=least, most=most
            )
        )
    return value


def code(value: object, place: Place, pattern: re.Pattern) -> str:
    """A short plain name."""
    if not isinstance(value, str):
        raise place.wrong(text_wanted())
    if not pattern.fullmatch(value):
        raise place.wrong(no_code(value))
    return value


def codes(value: object, place: Place, pattern: re.Pattern) -> tuple[str, ...]:
    """A list of short plain names, all different."""
    found = [
        code(one, place.inner(index), pattern)
        for index, one in enumerate(list_of(value, place, MOST_KEYS), 1)
    ]
    all_differ(found, place)
    return tuple(found)


def all_differ(found: Sequence[str], place: Place) -> None:
    """Raises where a name stands twice."""
    for index, one in enumerate(found):
        if one in found[:index]:
            raise place.wrong(twice(one))


def is_plain(text: str, *, lines: bool = False) -> bool:
    """Whether every character is one to read; ``lines``: a line may end."""
    return all(
        (lines and sign == "\n")
        or (
            unicodedata.category(sign) not in ("Cc", "Cs", "Cn", "Zl", "Zp") and sign not in TURNING
        )
        for sign in text
    )


def text(value: object, place: Place, longest: int) -> str:
    """A text to read: neither empty, nor too long, nor with markup."""
    if not isinstance(value, str):
        raise place.wrong(text_wanted())
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
