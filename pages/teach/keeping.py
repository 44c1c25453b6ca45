"""The sheet of the visit: what a student keeps while a tab is open.

The sheet lives in the visit, and the tab's own storage has a copy, so that a reload loses nothing. The visit
decides what the copy is: it first asks what the tab holds, and writes nothing before it has heard. What a
damaged or hostile copy holds never becomes the sheet, and it stays where it is until the student chooses.
The server keeps nothing once the visit is over.

The copy is made at the beginning of a run, so what changes the sheet is best a callback of a control.
"""

from __future__ import annotations

import json
import re
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import date
from functools import wraps
from textwrap import shorten
from typing import Literal
from urllib.parse import parse_qs, urlencode

import numpy as np
import streamlit as st
from PIL import Image
from streamlit.errors import StreamlitAPIException
from streamlit.runtime.scriptrunner import get_script_run_ctx

from core.errors import AtelierError
from core.pictures.images import Pictures, png_bytes
from pages.browser import from_tab, sheet_store
from pages.shared import links, pins, site, text
from pages.shared.site import PageEntry
from pages.shared.text import N_, _, literal, number, sentence
from pages.teach import attending
from pages.teach import sheet as sheets
from pages.teach.sheet import Answer, Data, Sheet, SheetItem

VISIT, MIRROR, STORE = "sheet_of_visit", "sheet_mirror", "sheet_store"
MOST_DATA = 2**19
"""Bytes of a figure's rows: a sheet has room for those of several figures."""
BEGINNING = 90
"""Characters of a title that come from the words for a figure."""
CLAUSE = re.compile(r".{12,}?(?=[.:;]\s)")
EMPTY = Sheet()
NO_LINK = N_("Its link is too long for a sheet and was left out.")
NO_CHART = N_("Its chart is too large for a sheet and was left out.")
FIRST_ROWS = N_("Of its data a sheet has room for the first {shown} of {all} rows.")
NO_ROOM = N_(
    "This browser has no room left for the sheet: a reload brings back an earlier one. Save it."
)
STYLE = f"""<style>
.st-key-{STORE}, [data-testid=stToastViewButton] {{ display: none; }}
[data-testid=stToastText] {{ -webkit-line-clamp: none; max-height: none; }}
</style>"""
"""The store is not seen. Messages are whole: what Streamlit offers to see the rest of one has English words."""


@dataclass
class Visit:
    """What is known of one visitor's sheet.

    ``marks``: a number for each thing on it, which it keeps when it moves; ``made`` were given so far.
    ``version`` counts changes, ``stored`` is the version that the tab has, or would not take.
    ``token`` names this visit to the browser; ``tab`` is a token that the tab keeps. ``heard``: the tab said
    what it held; ``then`` waits for that.
    ``copy``: why the tab has no copy of the last version. ``refused``: why its old copy is none.
    ``said``: what is still to be said, and whether it is about a failure. ``deleted``: the last thing
    deleted, with its place and mark. ``offered``: a file's sheet, until the student has chosen.
    ``read``: this run of the page shows something of the sheet; ``news``: it changed after that.
    ``mounted``: the version that the last run was begun with; ``again``: it was begun for the copy alone.
    """

    sheet: Sheet = EMPTY
    marks: tuple[int, ...] = ()
    made: int = 0
    version: int = 0
    stored: int = 0
    token: str = field(default_factory=lambda: secrets.token_hex(8))
    tab: str = ""
    heard: bool = False
    then: Callable[[], None] | None = None
    copy: Literal["", "full", "forbidden"] = ""
    refused: AtelierError | None = None
    said: list[tuple[str, bool]] = field(default_factory=list)
    deleted: tuple[int, SheetItem, int] | None = None
    offered: Sheet | None = None
    read: bool = False
    news: bool = False
    mounted: int = 0
    again: bool = False
    hearing: threading.Lock = field(default_factory=threading.Lock, compare=False, repr=False)

    def hear_without_a_run(self, said: object) -> bool:
        """That the tab holds nothing, or what it has stored; False for all else, and where something waits for
        the tab that shows on the page.
        """
        if not (isinstance(said, list) and len(said) == 4 and said[1] == self.token):
            return False
        kind, _token, more, tab = said
        with self.hearing:
            # What was kept before the tab was heard is copied by a run.
            nothing_waits = self.then is None and self.version == self.stored
            none = kind == "none" and (self.heard or nothing_waits)
            stored = kind == "stored" and type(more) is int and not self.copy
            if not (none or stored):
                return False
            # First who it is, as a run of the page asks for that once the tab was heard; and only once, as
            # addresses of requests stand in the logs of servers.
            self.tab = self.tab or (tab if isinstance(tab, str) else "")
            if none:
                self.heard = True
            else:
                self.stored = max(self.stored, min(more, self.version))
        return True


def _visit() -> Visit:
    visit = st.session_state.setdefault(VISIT, Visit())
    from_tab.LISTENERS[visit.token] = visit
    return visit


def sheet() -> Sheet:
    """The sheet of the visit."""
    visit = _visit()
    visit.read = True
    return visit.sheet


def things() -> list[tuple[int, SheetItem]]:
    """What is on the sheet, in order, each with the mark that it keeps when it moves."""
    return list(zip(_visit().marks, sheet().items, strict=True))


# ---------------------------------------------------------------- changing it


def _take(wanted: Sheet, marks: Sequence[int]) -> None:
    """Another sheet for the visit; AtelierError where it could not be saved."""
    sheets.to_json(wanted)
    visit = _visit()
    visit.sheet, visit.marks = wanted, tuple(marks)
    visit.version += 1


def _new_marks(count: int) -> tuple[int, ...]:
    visit = _visit()
    visit.made += count
    return tuple(range(visit.made - count, visit.made))


def _announce_outcome(change: Callable[..., str | None]) -> Callable[..., None]:
    """A change of which the visitor is told, with the next run, what it returns or why it failed."""

    @wraps(change)
    def done(*given: object, **named: object) -> None:
        try:
            words, failed = change(*given, **named), False
        except AtelierError as error:
            words, failed = sentence(error), True
        if words:
            _visit().said.append((words, failed))
        _copy_now()

    return done


def _copy_now() -> None:
    """At the end of a callback: makes the copy, where a run of a mere part of the page would not."""
    context = get_script_run_ctx(suppress_warning=True)
    if context is not None and context.fragment_ids_this_run:
        with suppress(StreamlitAPIException):  # outside of a callback the next run makes it
            st.rerun([MIRROR])


@_announce_outcome
def change(wanted: Sheet) -> None:
    """Another sheet in place of the visit's own."""
    _take(wanted, _new_marks(len(wanted.items)))
    _visit().deleted = None


@_announce_outcome
def name(words: str) -> None:
    """The name on the sheet."""
    _take(sheets.with_name(_visit().sheet, words), _visit().marks)


@_announce_outcome
def say(mark: int, words: str) -> None:
    """The student's own words on a thing; one that is gone changes nothing."""
    visit = _visit()
    if mark in visit.marks:
        _take(sheets.say(visit.sheet, visit.marks.index(mark), words), visit.marks)


@_announce_outcome
def move(mark: int, by: int) -> None:
    """A thing ``by`` places further down, up to the ends; one that is gone changes nothing."""
    visit = _visit()
    if mark in visit.marks:
        at, marks = visit.marks.index(mark), list(visit.marks)
        marks.pop(at)
        marks.insert(max(0, min(at + by, len(marks))), mark)
        _take(sheets.move(visit.sheet, at, by), marks)


@_announce_outcome
def delete(mark: int) -> None:
    """Takes a thing off the sheet; ``undo`` brings the last one back."""
    visit = _visit()
    if mark in visit.marks:
        at = visit.marks.index(mark)
        gone = at, visit.sheet.items[at], mark
        _take(sheets.delete(visit.sheet, at), [one for one in visit.marks if one != mark])
        visit.deleted = gone


@_announce_outcome
def undo() -> None:
    """Brings the last thing deleted back to its place."""
    visit = _visit()
    if visit.deleted is not None:
        at, kept, mark = visit.deleted
        items, marks = list(visit.sheet.items), list(visit.marks)
        items.insert(at, kept)
        marks.insert(at, mark)
        _take(replace(visit.sheet, items=tuple(items)), marks)
        visit.deleted = None


def last_deletion() -> tuple[int, SheetItem] | None:
    """The place and the thing that ``undo`` would bring back."""
    gone = _visit().deleted
    return None if gone is None else (min(gone[0], len(_visit().marks)), gone[1])


# ---------------------------------------------------------------- keeping a figure


@_announce_outcome
def keep(pin: pins.Pin) -> str:
    """Puts a figure on the sheet, as it is now; what went wrong, or was left out, is said."""
    try:
        kept, notes = _item_of(pin)
        _put(kept)
    except AtelierError as error:
        raise AtelierError("sheet-not-kept", "Not kept: {reason}", reason=error) from error
    words = _("Kept: {title}").format(title=literal(kept.title))
    return " ".join([words, *notes])


def _put(kept: SheetItem) -> None:
    """A thing at the end of the sheet; an answer in place of an earlier one to its question."""
    visit = _visit()
    items, answer = list(visit.sheet.items), kept.answer
    for at, old in enumerate(items):
        same = answer and old.answer and old.answer.question == answer.question
        if same and _lesson(old) == _lesson(kept):
            words = kept.words or old.words
            address = {"page": kept.page, "query": kept.query, "when": kept.when}
            items[at] = replace(old, **address, words=words, answer=answer)
            return _take(replace(visit.sheet, items=tuple(items)), visit.marks)
    grown = replace(visit.sheet, items=(*items, kept))
    return _take(grown, (*visit.marks, *_new_marks(1)))


def _lesson(of: SheetItem) -> list[str]:
    """The lesson that an answer belongs to, as its address says it."""
    return parse_qs(of.query).get(attending.LESSON, [])


def _item_of(pin: pins.Pin) -> tuple[SheetItem, list[str]]:
    """The figure as a sheet keeps it, and a sentence for whatever was left out."""
    page, query, notes = *_here(), []
    alt = sheets.tidy(pin.alt).strip()
    first = CLAUSE.match(alt)
    title = shorten(first[0] if first else alt, BEGINNING, placeholder=" …") or _("Figure")
    if page is not None:
        title = _("{name}: {value}").format(name=_(page.title), value=title)
    data = _data(pin, notes)
    figure, picture = _figure(pin, notes), _picture(pin)
    if len(query) > sheets.QUERY:
        query = ""
        notes.append(_(NO_LINK))
    caption = sheets.tidy("\n".join(filter(None, [alt, *pin.origin, *notes])))
    settings = [
        tuple(sheets.tidy(word)[: sheets.LONG] for word in pair)
        for pair in pin.settings[: sheets.MOST_SETTINGS]
    ]
    kept = SheetItem(
        title=title[: sheets.SHORT],
        page=_path(page),
        when=date.today(),
        caption=caption[: sheets.LONG],
        alt=alt[: sheets.LONG],
        query=query,
        settings=tuple(settings),
        data=data,
        picture=picture,
        figure=figure,
    )
    return kept, notes


def _here() -> tuple[PageEntry | None, str]:
    """The page that the visitor is on, and what its address says."""
    with suppress(AtelierError):  # an address may name a lesson that is none
        if now := attending.read():
            return now.page, links.address(now.step.query)
    path = st.session_state.get(text.STAYS, ("",))[0]
    pages = [page for of in site.SECTIONS.values() for page in of]
    found = next((page for page in pages if page.path == (path or site.HOME.path)), None)
    return found, links.address()


def _path(page: PageEntry | None) -> str:
    """The last part of a page's address: home has none."""
    return "" if page is None or page is site.HOME else page.path


def _data(pin: pins.Pin, notes: list[str]) -> Data:
    """The rows of a figure, as many as a sheet has room for."""
    rows = list(pin.rows()) if pin.rows else []
    columns = list(dict.fromkeys(column for row in rows for column in row))[: sheets.MOST_COLUMNS]
    shown = [_plain({column: row.get(column) for column in columns}) for row in rows]
    shown = shown[: sheets.MOST_ROWS]
    found = sheets.data_of(shown)
    while (size := len(json.dumps(found.rows, ensure_ascii=False).encode())) > MOST_DATA:
        shown = shown[: len(shown) * MOST_DATA // size]
        found = sheets.data_of(shown)
    if len(shown) < len(rows):
        notes.append(_(FIRST_ROWS).format(shown=number(len(shown), 0), all=number(len(rows), 0)))
    return found


def _plain(row: Mapping[str, object]) -> dict[str, object]:
    return {
        sheets.tidy(column)[: sheets.SHORT]: sheets.tidy(value)[: sheets.LONG]
        if isinstance(value, str)
        else value
        for column, value in row.items()
    }


def _figure(pin: pins.Pin, notes: list[str]) -> str:
    """The chart of a figure; empty where there is none, or where it is too large."""
    found = sheets.figure_json(pin.plot()) if pin.plot else ""
    if len(found) <= sheets.MOST_PICTURE:
        return found
    notes.append(_(NO_CHART))
    return ""


def _picture(pin: pins.Pin) -> bytes:
    """The picture of a figure as PNG, as it is, or halved until a sheet has room for it."""
    if pin.picture is None:
        return b""
    pixels: Pictures = pin.picture()
    made = png_bytes(pixels)
    while len(made) > sheets.MOST_PICTURE or max(pixels.shape[:2]) > sheets.MOST_SIDE:
        pixels = np.asarray(Image.fromarray(pixels).reduce(2))
        made = png_bytes(pixels)
    return made


@_announce_outcome
def answer(
    question: str,
    asked: str,
    option: str,
    chosen: str,
    points: float,
    words: str,
    page: str,
    query: Mapping[str, str],
) -> None:
    """Puts an answer on the sheet, in place of an earlier one to the same question.

    ``question`` is its identifier and ``asked`` its words, ``option`` the identifier of what was chosen and
    ``chosen`` its words, ``words`` the student's own: where they are empty, those that stood there stay.
    ``page`` and ``query`` are the address of the view, whose room is left out.
    """
    own = (attending.ROOM, attending.HOST)
    address = urlencode({name: said for name, said in query.items() if name not in own})
    long = [sheets.tidy(one)[: sheets.LONG] for one in (asked, chosen, words)]
    step = query.get(attending.STEP, "")
    title = (
        _("Question of step {step}").format(step=step)
        if step and not question[:1].isdigit()  # a name that its lesson alone reads
        else _("Question {name}").format(name=question)
    )
    kept = SheetItem(
        title=title[: sheets.SHORT],
        page=page,
        when=date.today(),
        query=address if len(address) <= sheets.QUERY else "",
        words=long[2],
        answer=Answer(question, long[0], option, long[1], points),
    )
    _put(kept)


# ---------------------------------------------------------------- opening a file


def open_file(data: bytes) -> AtelierError | None:
    """Offers the sheet in a file, at once where the visit's own has nothing; what is wrong with the file."""
    visit = _visit()
    visit.offered = None
    try:
        found = sheets.from_json(data)
        sheets.to_json(found)
    except AtelierError as error:
        return error
    if visit.sheet == EMPTY:
        change(found)
    else:
        visit.offered = found
    return None


def pending_sheet() -> Sheet | None:
    """The sheet of a file that would replace the visit's own, if the student agrees."""
    return _visit().offered


def agree(agreed: bool) -> None:
    """The student's choice: the sheet of the file, or the visit's own."""
    visit = _visit()
    found, visit.offered = visit.offered, None
    if agreed and found is not None:
        change(found)


# ---------------------------------------------------------------- the copy in the tab


def mirror() -> None:
    """To be called with every run, in the sidebar, where it takes no room: keeps the copy of the sheet in
    the tab, and says what is to be said of the sheet.
    """
    st.html(STYLE)
    _visit().read = False
    _mount_store()


@st.fragment(key=MIRROR)
def _mount_store() -> None:
    visit = _visit()
    if visit.news and visit.read:
        visit.news = False
        st.rerun()
    visit.news, visit.mounted = False, visit.version
    _tell()
    current = visit.stored == visit.version or visit.refused is not None
    sheet_store.show(
        STORE,
        visit.token,
        lambda: hear(st.session_state[STORE].value),
        ask=not visit.heard,
        version=visit.version,
        sheet=None if current or not visit.heard else _as_text(visit.sheet),
        most=sheets.MOST_BYTES,
    )


def _tell() -> None:
    told = _visit().said
    for words, failed in told:
        icon = ":material/error:" if failed else ":material/keep:"
        long = failed or len(words) > 3 * BEGINNING
        st.toast(words, icon=icon, duration="long" if long else "short")
    told.clear()


def settle() -> None:
    """To be called last, when the page was run: of changes that its own run has made, has the copy made by
    another run, and says what came of them.
    """
    visit = _visit()
    late, visit.again = visit.version != visit.mounted and not visit.again, False
    if late:
        visit.again = True
        st.rerun()
    _tell()


def _as_text(of: Sheet) -> str:
    """What the tab shall hold: nothing of a sheet without anything on it."""
    return "" if of == EMPTY else sheets.to_json(of).decode()


def hear(said: object) -> None:
    """What the tab says; what it says to another visit, or twice, changes nothing."""
    visit = _visit()
    if not (isinstance(said, list) and len(said) >= 2 and said[1] == visit.token):
        return
    kind, more = said[0], said[2] if len(said) > 2 else None
    if len(said) > 3 and isinstance(said[3], str):
        visit.tab = said[3]
    if not visit.heard and kind in ("none", "held", "forbidden"):
        visit.heard = True
        if visit.then is not None:
            with suppress(AtelierError):  # the next run of the page says so
                visit.then()
            visit.then = None
        if kind == "forbidden":
            visit.copy = "forbidden"
        if kind == "held" and isinstance(more, str):
            _restore(more)
        return
    with visit.hearing:
        new = type(more) is int and visit.stored < more <= visit.version
        if new and kind in ("stored", "full", "forbidden"):
            visit.stored, visit.copy = more, "" if kind == "stored" else kind


def _restore(held: str) -> None:
    """The sheet that the tab holds, and after it what was kept before the tab could say so."""
    visit = _visit()
    early, visit.news = visit.sheet, True
    try:
        found = sheets.from_json(held.encode("utf-8", "surrogatepass"))
        _take(found, _new_marks(len(found.items)))
    except AtelierError as error:
        visit.refused = error
        return
    if early == EMPTY:
        visit.stored = visit.version
        return
    try:
        if early.name:
            _take(sheets.with_name(found, early.name), visit.marks)
        for kept in early.items:
            _put(kept)
    except AtelierError as error:
        reason = AtelierError("sheet-not-kept", "Not kept: {reason}", reason=error)
        visit.said.append((sentence(reason), True))


def tab() -> str:
    """A random token of the visitor's tab, the same after a reload; empty before the tab has said it, and where
    its browser refuses it a storage.
    """
    return _visit().tab


def run_again() -> None:
    """In what waits for the tab: has the whole page run again, as what it shows hangs on the tab."""
    visit = _visit()
    visit.read = visit.news = True


def tab_was_heard() -> bool:
    """Whether the tab has said what it holds."""
    return _visit().heard


def once_heard(then: Callable[[], None]) -> None:
    """Calls ``then`` when the tab has sent its token; at once where it has, with whatever that raises."""
    visit = _visit()
    with visit.hearing:
        if not visit.heard:
            visit.then = then
    if visit.heard:
        then()


def refusal() -> AtelierError | None:
    """Why what the tab holds is no sheet; it stays there, and the visit's sheet has no copy."""
    return _visit().refused


def discard() -> None:
    """What the student chooses who does without that: the visit's sheet takes its place."""
    visit = _visit()
    visit.refused = None
    visit.version += 1
    _copy_now()


def no_copy() -> str:
    """Why a reload would not find this sheet, in a sentence; empty where it would."""
    if _visit().copy == "forbidden":
        return _("This browser stores nothing for this page: a reload loses the sheet. Save it.")
    if _visit().copy == "full":
        return _(NO_ROOM)
    return ""
