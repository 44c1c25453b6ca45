"""Which lessons there are: those of the app, those of the folder that ``ATELIER_LESSONS`` names, and links."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from core.errors import AtelierError
from pages.shared import site
from pages.shared.site import PageEntry
from pages.teach import link
from pages.teach.fields import Place, harmless
from pages.teach.lesson import NAME, Lesson, read_lesson

SHIPPED = Path(__file__).parents[1] / "lessons"
VARIABLE = "ATELIER_LESSONS"
LARGEST = 128 * 1024
"""Bytes of a file."""
MOST_FILES = 200


@dataclass(frozen=True)
class Shelf:
    """Lessons by name, those of the app first; ``problems``: one sentence for each file left out."""

    lessons: dict[str, Lesson]
    problems: tuple[AtelierError, ...]


def folders() -> list[Path]:
    """Where lessons lie."""
    own = os.environ.get(VARIABLE)
    return [SHIPPED, Path(own)] if own else [SHIPPED]


def _files(folder: Path) -> list[Path]:
    try:
        return sorted(folder.glob("*.toml"))[:MOST_FILES]
    except OSError:
        return []


def read_file(path: Path, folder: Path) -> Lesson:
    """The lesson of a file of a folder, named as the file is; raises ``AtelierError``."""
    if not NAME.fullmatch(path.stem):
        raise AtelierError(
            "lesson-file-name", "its name must be of lower-case letters, digits and hyphens."
        )
    if not path.is_file() or not path.resolve().is_relative_to(folder.resolve()):
        raise AtelierError("lesson-elsewhere", "it is no file of this folder.")
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
        text = content.decode("utf-8")
    except (OSError, UnicodeDecodeError):
        raise AtelierError("lesson-unreadable", "it cannot be read as text.") from None
    if len(content) > LARGEST:
        raise AtelierError("lesson-large", "it has more than {size} kB.", size=LARGEST // 1024)
    lesson = read_lesson(text)
    if lesson.id != path.stem:
        raise Place(None, "id").wrong(
            AtelierError("lesson-id", "it must be “{name}”, as the file is called.", name=path.stem)
        )
    for number in range(1, len(lesson.steps) + 1):
        page_of(lesson, number)
    return lesson


def _read(folder: Path) -> Iterator[tuple[Path, Lesson | AtelierError]]:
    for path in _files(folder):
        try:
            stamp = path.stat()
        except OSError:
            continue  # it has just gone
        yield path, _cached_lesson(path, folder, stamp.st_mtime_ns, stamp.st_size)


@lru_cache(maxsize=2 * MOST_FILES)  # our own folder and that of the setting
def _cached_lesson(path: Path, folder: Path, _changed: int, _size: int) -> Lesson | AtelierError:
    """What a file holds, read again when it changes."""
    try:
        return read_file(path, folder)
    except AtelierError as error:
        return error


def lessons() -> Shelf:
    """All lessons at hand; a bad file costs itself alone."""
    found: dict[str, Lesson] = {}
    problems = []
    for folder in folders():
        for path, one in _read(folder):
            if isinstance(one, Lesson) and one.id in found:
                one = AtelierError("lesson-known", "there is a lesson of this name already.")
            if isinstance(one, Lesson):
                found[one.id] = one
            else:
                problems.append(
                    AtelierError(
                        "lesson-file",
                        "The lesson “{file}” is left out: {problem}",
                        file=harmless(path.name),
                        problem=one,
                    )
                )
    return Shelf(found, tuple(problems))


def lesson(name: str) -> Lesson:
    """The lesson of a name, or the one inside a link; raises ``AtelierError`` where there is none.

    A name is looked up among the files that there are, so it never becomes a path.
    """
    if name.startswith(link.BEGINNING):
        found = link.unpack(name)
        for number in range(1, len(found.steps) + 1):
            page_of(found, number)
        return found
    known = lessons().lessons
    if name not in known:
        raise AtelierError(
            "lesson-none", "There is no lesson called “{name}”.", name=harmless(name)
        )
    return known[name]


PAGES = {page.path: page for pages in site.SECTIONS.values() for page in pages}


def page_of(of: Lesson, number: int) -> PageEntry:
    """The page of a step, counted from 1; raises ``AtelierError`` where the app has no such page."""
    name = of.steps[number - 1].page
    if name not in PAGES:
        raise Place(number, "page").wrong(
            AtelierError("lesson-page", "there is no page “{page}”.", page=harmless(name))
        )
    return PAGES[name]
