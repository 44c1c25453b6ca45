"""The sheet: figures and answers that a student keeps, in order, and the file that holds them.

A sheet is data: nothing here knows a page, and nothing is kept on the server. What a ``SheetItem`` or a
``Sheet`` cannot hold is refused when it is made, so that every sheet can be saved, and a file that somebody
else made either gives a sheet or ends in one sentence.
"""

from __future__ import annotations

import base64
import binascii
import csv
import io
import json
import math
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import date

import numpy as np
import plotly.graph_objects as go
from PIL import Image

from core.errors import AtelierError

FORMAT, VERSION = "latent-atelier-sheet", 1

MOST_BYTES = 4 * 2**20
"""Of a sheet's file: a browser keeps about five million characters for a tab."""
MOST_ITEMS = 40
MOST_PICTURE = 2**20
"""Bytes of a picture, and of a figure."""
MOST_SIDE = 8192
MOST_ROWS, MOST_COLUMNS = 20_000, 60
MOST_SETTINGS = 60
MOST_POINTS = 1000
SHORT, LONG, QUERY = 300, 4000, 6000
"""Characters of a title or a value, of a sentence, of an address's query."""

PAGE = re.compile(r"[a-z0-9-]{0,60}")
IDENTIFIER = re.compile(r"[A-Za-z0-9._-]{1,40}")
IN_A_QUERY = re.compile(r"[A-Za-z0-9\-._~%!$&'()*+,;=:@/?]*")
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
PNG = b"\x89PNG\r\n\x1a\n"

Cell = str | int | float | bool | None


# ---------------------------------------------------------------- what may be on a sheet


def _need(right: bool, field: str) -> None:
    if not right:
        raise AtelierError("sheet-field", "The sheet has no valid {field}.", field=field)


def _is_text(value: object, most: int) -> bool:
    return isinstance(value, str) and len(value) <= most and CONTROL.search(value) is None


def _matches(pattern: re.Pattern[str], value: object) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_cell(value: object) -> bool:
    if value is None or isinstance(value, bool):
        return True
    if isinstance(value, int):
        return abs(value) < 2**63
    return _is_number(value) or _is_text(value, LONG)


def _is_png(data: object) -> bool:
    """Whether the bytes are one whole PNG of bounded size; its pixels are not decoded."""
    if not (isinstance(data, bytes) and len(data) <= MOST_PICTURE and data.startswith(PNG)):
        return False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=["PNG"]) as picture:
                small = max(picture.size) <= MOST_SIDE
                picture.verify()
    # Pillow has no error of its own for a damaged file.
    except Exception:
        return False
    return small


def _is_figure(text: object) -> bool:
    """Whether the text is JSON of the outer form of a Plotly figure."""
    if not (isinstance(text, str) and len(text) <= MOST_PICTURE and text.isascii()):
        return False
    try:
        found = _parse_json(text)
    except (ValueError, RecursionError):
        return False
    return (
        isinstance(found, dict)
        and isinstance(found.get("data"), list)
        and isinstance(found.get("layout", {}), dict)
    )


# ---------------------------------------------------------------- what is kept


@dataclass(frozen=True)
class Data:
    """The rows of a figure: the names of the columns, in English, and a value or None a column."""

    columns: tuple[str, ...] = ()
    rows: tuple[tuple[Cell, ...], ...] = ()

    def __post_init__(self) -> None:
        names = all(_is_text(name, SHORT) and name for name in self.columns)
        _need(names and len(set(self.columns)) == len(self.columns) <= MOST_COLUMNS, "data.columns")
        right = all(len(row) == len(self.columns) for row in self.rows)
        _need(right and len(self.rows) <= MOST_ROWS, "data.rows")
        _need(all(_is_cell(cell) for row in self.rows for cell in row), "data.rows")

    def csv(self) -> str:
        """The rows as CSV with a header and points as decimal signs; None is an empty field."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        if self.columns:
            writer.writerows([self.columns, *self.rows])
        return text.getvalue()


def data_of(rows: Sequence[Mapping[str, object]]) -> Data:
    """Rows as figures have them; what is no finite number becomes None."""
    columns = tuple(dict.fromkeys(name for row in rows for name in row))
    return Data(columns, tuple(tuple(_cell(row.get(name)) for name in columns) for row in rows))


def _cell(value: object) -> Cell:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, str | int | float | bool | None) else str(value)


@dataclass(frozen=True)
class Answer:
    """An answer: the question's identifier (``3.4``) and words, the option chosen and its words, the
    points that the question is worth. ``option`` is empty where the answer is in one's own words.
    """

    question: str
    asked: str = ""
    option: str = ""
    chosen: str = ""
    points: float = 0

    def __post_init__(self) -> None:
        _need(_matches(IDENTIFIER, self.question), "answer.question")
        _need(self.option == "" or _matches(IDENTIFIER, self.option), "answer.option")
        _need(_is_text(self.asked, LONG), "answer.asked")
        _need(_is_text(self.chosen, LONG), "answer.chosen")
        _need(_is_number(self.points) and 0 <= self.points <= MOST_POINTS, "answer.points")


@dataclass(frozen=True)
class SheetItem:
    """One thing on a sheet: a figure with its caption, where it was seen, and what is said of it.

    ``page`` and ``query`` are the address of the view; ``settings`` are names and values as the visitor
    read them. A figure is a ``picture`` (PNG), a ``figure`` (Plotly, as JSON), both, or neither;
    ``words`` are the student's own.
    """

    title: str
    page: str
    when: date
    caption: str = ""
    alt: str = ""
    query: str = ""
    settings: tuple[tuple[str, str], ...] = ()
    data: Data = Data()
    picture: bytes = b""
    figure: str = ""
    words: str = ""
    answer: Answer | None = None

    def __post_init__(self) -> None:
        _need(_is_text(self.title, SHORT) and self.title.strip() != "", "title")
        _need(_matches(PAGE, self.page), "page")
        _need(type(self.when) is date, "when")
        for name in ("caption", "alt", "words"):
            _need(_is_text(getattr(self, name), LONG), name)
        _need(_matches(IN_A_QUERY, self.query) and len(self.query) <= QUERY, "query")
        pairs = all(
            len(pair) == 2 and all(_is_text(one, LONG) for one in pair) for pair in self.settings
        )
        _need(pairs and len(self.settings) <= MOST_SETTINGS, "settings")
        _need(self.picture == b"" or _is_png(self.picture), "picture")
        _need(self.figure == "" or _is_figure(self.figure), "figure")

    @property
    def link(self) -> str:
        """The view's address below that of the app."""
        return f"{self.page}?{self.query}" if self.query else self.page


@dataclass(frozen=True)
class Sheet:
    """What a student keeps, in order; a name only where one is wanted."""

    name: str = ""
    items: tuple[SheetItem, ...] = ()

    def __post_init__(self) -> None:
        _need(_is_text(self.name, SHORT), "name")
        if len(self.items) > MOST_ITEMS:
            raise AtelierError(
                "sheet-full",
                "A sheet holds {limit} figures: delete one, or save this sheet and begin another.",
                limit=MOST_ITEMS,
            )


def figure_json(figure: go.Figure) -> str:
    """A Plotly figure as a sheet keeps it: without its template and what only a pointer would show."""
    plain = json.loads(figure.to_json(validate=False))
    plain.get("layout", {}).pop("template", None)
    for trace in plain["data"]:
        for unseen in ("customdata", "hovertemplate", "hovertext", "hoverinfo"):
            trace.pop(unseen, None)
    return json.dumps(plain, separators=(",", ":"), allow_nan=False)


# ---------------------------------------------------------------- changing a sheet


def with_name(sheet: Sheet, name: str) -> Sheet:
    """The sheet under a student's name; control characters go."""
    return replace(sheet, name=tidy(name)[:SHORT])


def add(sheet: Sheet, kept: SheetItem) -> Sheet:
    """The sheet with one thing more, at its end. AtelierError ``sheet-full`` or ``sheet-too-large``."""
    grown = replace(sheet, items=(*sheet.items, kept))
    to_json(grown)
    return grown


def move(sheet: Sheet, index: int, by: int) -> Sheet:
    """The thing at ``index`` moved ``by`` places, up to the ends. An index that is gone changes nothing."""
    if not 0 <= index < len(sheet.items):
        return sheet
    items = list(sheet.items)
    moved = items.pop(index)
    items.insert(max(0, min(index + by, len(items))), moved)
    return replace(sheet, items=tuple(items))


def delete(sheet: Sheet, index: int) -> Sheet:
    """The sheet without the thing at ``index``. An index that is gone changes nothing."""
    if not 0 <= index < len(sheet.items):
        return sheet
    return replace(sheet, items=(*sheet.items[:index], *sheet.items[index + 1 :]))


def say(sheet: Sheet, index: int, words: str) -> Sheet:
    """The student's words on the thing at ``index``. An index that is gone changes nothing."""
    if not 0 <= index < len(sheet.items):
        return sheet
    items = list(sheet.items)
    items[index] = replace(items[index], words=tidy(words)[:LONG])
    said = replace(sheet, items=tuple(items))
    to_json(said)
    return said


def tidy(words: str) -> str:
    """Words as a field gives them, with plain line ends and without control characters."""
    return CONTROL.sub("", words.replace("\r\n", "\n").replace("\r", "\n"))


# ---------------------------------------------------------------- the file


def to_json(sheet: Sheet) -> bytes:
    """The sheet as a file that ``from_json`` reads. AtelierError ``sheet-too-large``."""
    held = {
        "format": FORMAT,
        "version": VERSION,
        "name": sheet.name,
        "items": [_item_data(kept) for kept in sheet.items],
    }
    text = json.dumps(held, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return _check_size(text.encode())


def _item_data(kept: SheetItem) -> dict[str, object]:
    answer = kept.answer
    return {
        **{field.name: getattr(kept, field.name) for field in fields(kept)},
        "when": kept.when.isoformat(),
        "data": {"columns": kept.data.columns, "rows": kept.data.rows},
        "picture": base64.b64encode(kept.picture).decode(),
        "answer": answer and {field.name: getattr(answer, field.name) for field in fields(answer)},
    }


def _check_size(data: bytes) -> bytes:
    if len(data) > MOST_BYTES:
        raise AtelierError(
            "sheet-too-large",
            "This sheet has {megabytes:.1f} MiB; a sheet has at most {limit} MiB.",
            megabytes=len(data) / 2**20,
            limit=MOST_BYTES // 2**20,
        )
    return data


def from_json(data: bytes) -> Sheet:
    """The sheet in a file. AtelierError: ``sheet-too-large``, ``sheet-unreadable`` where the file is none,
    ``sheet-version``, ``sheet-item`` (which thing, which field), ``sheet-field``, ``sheet-full``.
    """
    _check_size(data)
    try:
        found = _parse_json(data.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise AtelierError("sheet-unreadable", "This file is not a sheet of Latent Atelier.")
    if found.get("version") != VERSION:
        raise AtelierError(
            "sheet-version",
            "This sheet is of version {found}; this app reads version {known}.",
            found=str(found.get("version"))[:20],
            known=VERSION,
        )
    _need(set(found) == {"format", "version", "name", "items"}, "form")
    _need(isinstance(found["items"], list), "items")
    # Before the items are read: a sheet that is too long is not worth the work.
    items = found["items"][: MOST_ITEMS + 1]
    return Sheet(found["name"], tuple(_read(item, place + 1) for place, item in enumerate(items)))


def _parse_json(text: str) -> object:
    """Strict JSON: no NaN, no key twice. ValueError or RecursionError."""

    def refuse(name: str) -> None:
        raise ValueError(name)

    def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ValueError("a key stands there twice")
        return found

    return json.loads(text, parse_constant=refuse, object_pairs_hook=once)


def _read(item: object, place: int) -> SheetItem:
    try:
        _need(_has_exactly(item, SheetItem), "form")
        return SheetItem(
            **{
                **item,
                "when": _day(item["when"]),
                "settings": _rows(item["settings"], "settings"),
                "data": _data(item["data"]),
                "picture": _picture(item["picture"]),
                "answer": _answer(item["answer"]),
            }
        )
    except AtelierError as error:
        raise AtelierError(
            "sheet-item",
            "Item {place} of the sheet has no valid {field}.",
            place=place,
            field=error.values.get("field", "form"),
        ) from error


def _has_exactly(found: object, kind: type) -> bool:
    return isinstance(found, dict) and set(found) == {field.name for field in fields(kind)}


def _day(text: object) -> date:
    _need(_matches(re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}"), text), "when")
    try:
        return date.fromisoformat(text)
    except ValueError:
        return _need(False, "when")


def _rows(found: object, name: str) -> tuple[tuple[object, ...], ...]:
    _need(isinstance(found, list) and all(isinstance(row, list) for row in found), name)
    return tuple(tuple(row) for row in found)


def _data(found: object) -> Data:
    _need(_has_exactly(found, Data) and isinstance(found["columns"], list), "data")
    return Data(tuple(found["columns"]), _rows(found["rows"], "data.rows"))


def _picture(text: object) -> bytes:
    _need(isinstance(text, str), "picture")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return _need(False, "picture")


def _answer(found: object) -> Answer | None:
    if found is None:
        return None
    _need(_has_exactly(found, Answer), "answer")
    return Answer(**found)
