"""Marking: the sheets of a class as a table of questions and students, read in memory and kept nowhere."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePath

from core.errors import AtelierError
from pages.teach.sheet import Answer, Sheet, from_json

MOST_FILES = 200
FORMULA = ("=", "+", "-", "@", "\t")
"""What a spreadsheet would compute if a field began with it."""


@dataclass(frozen=True)
class Key:
    """What a question of a lesson is worth, and the option that is right, if one is."""

    points: float
    right: str = ""


@dataclass(frozen=True)
class MarkedAnswer:
    """One student's answer. ``earned`` is None where it takes a reader to mark it."""

    option: str
    words: str
    earned: float | None


@dataclass(frozen=True)
class Student:
    """One sheet: the name on it, or else that of its file, its answers by question, and all of it."""

    name: str
    file: str
    given: Mapping[str, MarkedAnswer]
    sheet: Sheet

    @property
    def earned_points(self) -> float:
        """Points of the answers that mark themselves."""
        return sum(one.earned or 0.0 for one in self.given.values())


@dataclass(frozen=True)
class Refusal:
    """A file that is no sheet, and why."""

    file: str
    error: AtelierError


@dataclass(frozen=True)
class Table:
    """A class: ``questions`` in order with what each is worth, students in the order of their files, how
    many chose each option of a question, the files that were refused.
    """

    questions: Mapping[str, float]
    students: tuple[Student, ...]
    tallies: Mapping[str, Mapping[str, int]]
    refused: tuple[Refusal, ...]

    def rows(self) -> list[dict[str, object]]:
        """A row a student, raw: the option and the points of every question, and their sum."""
        return [
            {
                "student": student.name,
                "file": student.file,
                **{
                    key: value
                    for question in self.questions
                    for key, value in _cells(question, student.given.get(question))
                },
                "points": student.earned_points,
            }
            for student in self.students
        ]

    def csv_bytes(self) -> bytes:
        """The rows as CSV. A text that a spreadsheet would take for a formula begins with an apostrophe."""
        text = io.StringIO()
        ends = [
            f"{question} {what}" for question in self.questions for what in ("option", "points")
        ]
        writer = csv.DictWriter(text, ["student", "file", *ends, "points"], lineterminator="\n")
        writer.writeheader()
        writer.writerows({key: _safe(cell) for key, cell in row.items()} for row in self.rows())
        return text.getvalue().encode()


def _cells(question: str, given: MarkedAnswer | None) -> tuple[tuple[str, object], ...]:
    option = given.option if given else ""
    return (f"{question} option", option), (f"{question} points", given.earned if given else None)


def _safe(cell: object) -> object:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell


def table(
    files: Iterable[tuple[str, bytes]],
    keys: Mapping[str, Key] | None = None,
    read: Callable[[bytes], Sheet] = from_json,
) -> Table:
    """The table of a class from its files, each a name and the bytes of a sheet's JSON.

    ``keys`` are the questions of the lesson: they stand first, and alone say what earns points, for a
    file may claim anything. A file that is no sheet is refused with its sentence; the others are read, with
    ``read``.
    AtelierError ``marking-many`` for more than ``MOST_FILES`` files.
    """
    keys = keys or {}
    claims: dict[str, Counter[float]] = {question: Counter() for question in keys}
    tallies: dict[str, Counter[str]] = {question: Counter() for question in keys}
    students, refused = [], []
    for count, (file, data) in enumerate(files):
        if count == MOST_FILES:
            raise AtelierError(
                "marking-many", "At most {limit} sheets are marked at once.", limit=MOST_FILES
            )
        try:
            sheet = read(data)
        except AtelierError as error:
            refused.append(Refusal(file, error))
            continue
        answers = _answers(sheet)
        for question, (answer, _words) in answers.items():
            claims.setdefault(question, Counter())[answer.points] += 1
            tallies.setdefault(question, Counter())[answer.option] += 1
        given = {
            question: MarkedAnswer(answer.option, words, _points_of(answer, keys.get(question)))
            for question, (answer, words) in answers.items()
        }
        name = " ".join(sheet.name.split()) or PurePath(file).stem
        students.append(Student(name, file, given, sheet))
    return Table(
        questions={question: _worth(question, keys, found) for question, found in claims.items()},
        students=tuple(students),
        tallies={question: dict(sorted(found.items())) for question, found in tallies.items()},
        refused=tuple(refused),
    )


def _answers(sheet: Sheet) -> dict[str, tuple[Answer, str]]:
    """The answers of a sheet with the words next to them; of two to one question the later."""
    return {kept.answer.question: (kept.answer, kept.words) for kept in sheet.items if kept.answer}


def _points_of(answer: Answer, key: Key | None) -> float | None:
    if key is None or not key.right:
        return None
    return key.points if answer.option == key.right else 0.0


def _worth(question: str, keys: Mapping[str, Key], claims: Counter[float]) -> float:
    """Points of a question: those of the lesson, else what most sheets say, of equals the fewest."""
    if question in keys:
        return keys[question].points
    return min(claims, key=lambda points: (-claims[points], points))
