"""My sheet: what a student kept and answered, with words of their own; and the files that it becomes."""

from __future__ import annotations

import base64
import io
import re
import unicodedata
from functools import partial
from urllib.parse import parse_qs

import streamlit as st
from PIL import Image

from pages.shared import controls, site
from pages.shared.site import PageEntry
from pages.shared.text import N_, _, head, language, literal, sentence
from pages.teach import keeping, sheet_html, sheet_plot, sheet_svg
from pages.teach.sheet import LONG, SHORT, Sheet, SheetItem, to_json
from pages.teach.sheet_html import to_html
from pages.teach.sheet_notebook import to_notebook

OPENED, PROBLEM, DRAWN = "sheet_opened", "sheet_problem", "sheet_drawn"
PIXELS = "sheet_pixels"
LOOK = f"""<style>
[class*="st-key-{PIXELS}"] img {{ image-rendering: pixelated; }}
[class*="st-key-sheet_words"] textarea {{ min-height: 8rem; }}
[class*="st-key-sheet_moves"] button [data-testid=stMarkdownContainer] {{
  clip-path: inset(50%); height: 1px; overflow: hidden; position: absolute; width: 1px;
}}
</style>"""
"""Pixels stay sharp; what buttons with a picture are called is for whoever hears it."""
EMPTY = N_("Nothing is here yet: press **Keep** under a figure of any page.")
LEFT_OUT = ("room", "host", "embed", "embed_options")
"""What no link of a sheet leads to: a file may say anything."""
SIDE = 384
"""How wide or high a small picture is shown, in pixels of the screen, at most."""
TABLE, ROWS = 280, 200
"""Height of a table in pixels, and how many rows of the data it has."""
LARGEST = 5
"""Megabytes of a file that a browser sends at all: a sheet has fewer."""
OF_A_FILE = 40
"""Characters of a student's name in the name of a file."""


# ---------------------------------------------------------------- what a thing on a sheet looks like


def figure(kept: SheetItem, key: str) -> None:
    """The figure as it prints: the drawing of its chart, else its picture, else its numbers."""
    alt = kept.alt or kept.title
    if found := drawing(kept):
        st.image(found, alt=alt, width="stretch")
    elif kept.picture:
        with st.container(key=f"{PIXELS}_{key}"):
            coded = base64.b64encode(kept.picture).decode()
            st.image(f"data:image/png;base64,{coded}", alt=alt, width=_width(kept.picture))
    elif kept.data.rows:
        columns = zip(kept.data.columns, zip(*kept.data.rows[:ROWS], strict=True), strict=True)
        st.dataframe({name: list(held) for name, held in columns}, hide_index=True, height=TABLE)


def drawing(kept: SheetItem) -> str:
    """The chart of a figure as SVG, made once a visit; empty where there is none that can be read."""
    if not kept.figure:
        return ""
    made: dict[tuple[int, str], str] = st.session_state.setdefault(DRAWN, {})
    place = hash((kept.figure, kept.alt, kept.title)), language()
    if place not in made:
        plot = sheet_plot.read(kept.figure)
        made[place] = sheet_svg.draw(plot, kept.alt or kept.title, language()) if plot else ""
    return made[place]


def forget_drawings(shown: int) -> None:
    """Leaves no more drawings than there are figures."""
    made = st.session_state.get(DRAWN, {})
    while len(made) > 2 * shown:
        made.pop(next(iter(made)))


def _width(picture: bytes) -> int:
    """How wide a picture is shown: a small one as large as a whole factor allows. Its pixels are not read."""
    with Image.open(io.BytesIO(picture), formats=["PNG"]) as opened:
        width, height = opened.size
    return max(1, width) * max(1, SIDE // max(1, width, height))


def page_of(kept: SheetItem) -> PageEntry | None:
    """The page that a thing comes from; None where the app has none of that address."""
    pages = [page for of in site.SECTIONS.values() for page in of]
    path = kept.page or site.HOME.path
    return next((page for page in pages if page.path == path), None)


# ---------------------------------------------------------------- the things, one below the other


def item(place: int, count: int, mark: int, kept: SheetItem) -> None:
    """One thing: its title and what moves it, the figure, the student's words, where it comes from."""
    with st.container(border=True, key=f"sheet_item_{mark}"):
        title, moves = st.columns([5, 1], vertical_alignment="center")
        title.subheader(f"{place + 1}. {literal(kept.title)}", anchor=False)
        with (
            moves,
            st.container(
                horizontal=True,
                horizontal_alignment="right",
                gap="small",
                key=f"sheet_moves_{mark}",
            ),
        ):
            move(mark, "up", _("Further up"), -1, place == 0)
            move(mark, "down", _("Further down"), 1, place == count - 1)
            st.button(
                _("Delete"),
                key=f"sheet_delete_{mark}",
                icon=":material/delete:",
                help=_("Delete"),
                type="tertiary",
                on_click=keeping.delete,
                args=(mark,),
            )
        right = st.container()
        if kept.figure or kept.picture or kept.data.rows:
            left, right = st.columns([3, 2], gap="medium")
            with left:
                figure(kept, str(mark))
        with right:
            show_answer(kept)
            words(mark)
            origin(kept)


def move(mark: int, way: str, words_: str, by: int, disabled: bool) -> None:
    """A button that moves a thing."""
    st.button(
        words_,
        key=f"sheet_{way}_{mark}",
        icon=f":material/arrow_{way}ward:",
        help=words_,
        type="tertiary",
        disabled=disabled,
        on_click=keeping.move,
        args=(mark, by),
    )


def show_answer(kept: SheetItem) -> None:
    """The question of a lesson and what was chosen."""
    if kept.answer is None:
        return
    if kept.answer.asked:
        st.markdown(f"**{literal(kept.answer.asked)}**")
    if chosen := kept.answer.chosen or kept.answer.option:
        st.markdown(_("Your answer: {answer}").format(answer=literal(chosen)))


@st.fragment
def words(mark: int) -> None:
    """The student's own words on a thing; writing them runs nothing else."""
    controls.words_field(
        _("In your own words"),
        next((kept.words for other, kept in keeping.things() if other == mark), ""),
        f"sheet_words_{mark}",
        partial(keeping.say, mark),
        longest=LONG,
        long=True,
        placeholder=_("What do you see, and why is it so?"),
    )


def origin(kept: SheetItem) -> None:
    """The way back to the view, and what stands under the figure on paper."""
    page = page_of(kept)
    if page is not None:
        query = parse_qs(kept.query, keep_blank_values=True)
        st.page_link(
            page.page(),
            label=_("Open this view"),
            icon=page.icon,
            query_params={
                name: said for name, said in query.items() if name.lower() not in LEFT_OUT
            }
            or None,
        )
    if kept.caption or kept.settings or kept.data.rows:
        with st.expander(_("Caption and data")):
            st.text(kept.caption)
            colon = _("{name}: {value}")
            for name, value in kept.settings:
                st.text(colon.format(name=name, value=value))
            if kept.data.rows:
                size = {"rows": len(kept.data.rows), "columns": len(kept.data.columns)}
                st.caption(
                    _(
                        "Data: {rows} × {columns} (rows × columns); saved files have all of them."
                    ).format(**size)
                )


def undo_here(kept: SheetItem) -> None:
    """Says what was deleted, in its place, with the way to bring it back."""
    with st.container(horizontal=True, vertical_alignment="center", key="sheet_undo"):
        st.caption(_("Deleted: {title}").format(title=literal(kept.title)), width="content")
        st.button(
            _("Undo"),
            key="sheet_undo_button",
            icon=":material/undo:",
            type="tertiary",
            on_click=keeping.undo,
        )


# ---------------------------------------------------------------- files


def file_name(of: Sheet, suffix: str) -> str:
    """What a file of the sheet is called: with the student's name, in plain letters."""
    plain = unicodedata.normalize("NFKD", of.name).encode("ascii", "ignore").decode().lower()
    own = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:OF_A_FILE]
    return "-".join(filter(None, ("sheet", own))) + f".{suffix}"


def save_as(of: Sheet) -> None:
    """Buttons that save the sheet; each file is made when it is asked for."""
    spoken, base = language(), site.address()
    base = base if sheet_html.BASE.fullmatch(base) else ""
    offers = (
        (_("Page (HTML)"), "html", "text/html", lambda: to_html(of, spoken, base).encode()),
        (
            _("Notebook"),
            "ipynb",
            "application/x-ipynb+json",
            lambda: to_notebook(of, spoken, base),
        ),
        (_("Sheet (JSON)"), "json", "application/json", lambda: to_json(of)),
    )
    helps = (
        _("One file that opens anywhere and prints: to read, to hand in on paper or as PDF."),
        _("For Jupyter: your words, the numbers, and a cell that draws each figure."),
        _("To open it here again, and what a teacher marks."),
    )
    for (label, suffix, mime, make), help_ in zip(offers, helps, strict=True):
        st.download_button(
            label,
            make,
            file_name=file_name(of, suffix),
            mime=mime,
            key=f"sheet_save_{suffix}",
            help=help_,
            icon=":material/download:",
            on_click="ignore",
        )


def open_one(opened: bool) -> None:
    """The field for a sheet's file; what is wrong with the last one."""
    turn = st.session_state.setdefault(OPENED, 0)
    key = f"sheet_file_{turn}"
    with st.expander(_("Open a sheet"), opened, icon=":material/folder_open:"):
        controls.file(
            _("A sheet that you saved (JSON)"),
            ["json"],
            key,
            LARGEST,
            on_change=_take_file,
            args=(key,),
        )
        if problem := st.session_state.get(PROBLEM):
            st.error(sentence(problem), icon=":material/error:")


def _take_file(key: str) -> None:
    """Takes the file, so that the same one can be given again."""
    state = st.session_state
    if file := state.get(key):
        state[PROBLEM] = keeping.open_file(file.getvalue())
        state[OPENED] += 1


def ask_before(found: Sheet, own: Sheet) -> None:
    """Asks before the sheet of a file replaces what is here."""
    with st.container(border=True, key="sheet_ask"):
        words_ = _("Items in the file: {new}, on your sheet: {old}. Replace your sheet?")
        st.markdown(words_.format(new=len(found.items), old=len(own.items)))
        with st.container(horizontal=True):
            st.button(_("Replace it"), key="sheet_replace", on_click=keeping.agree, args=(True,))
            st.button(_("Keep mine"), key="sheet_mine", on_click=keeping.agree, args=(False,))


# ---------------------------------------------------------------- the page


def copy_in_this_tab() -> None:
    """Says what stands between the sheet and its copy, if anything does."""
    if problem := keeping.refusal():
        with st.container(border=True, key="sheet_refused"):
            st.warning(
                _("This tab holds a sheet that cannot be read: {reason}").format(
                    reason=sentence(problem)
                ),
                icon=":material/warning:",
            )
            st.markdown(
                _("It stays as it is, and this sheet has no copy, until you decide otherwise.")
            )
            st.button(
                _("Throw it away"),
                key="sheet_discard",
                icon=":material/delete:",
                on_click=keeping.discard,
            )
    if words_ := keeping.no_copy():
        st.warning(words_, icon=":material/warning:")


def top(of: Sheet) -> None:
    """The student's name, and what saves the sheet."""
    left, right = st.columns([2, 3], gap="medium", vertical_alignment="bottom")
    with left:
        controls.words_field(
            _("Name (optional)"),
            of.name,
            "sheet_name",
            keeping.name,
            longest=SHORT,
            placeholder=_("In the files and in this tab, nowhere else"),
        )
    with right:
        st.caption(_("Save as"))
        with st.container(horizontal=True, gap="small"):
            save_as(of)


def main() -> None:
    head(
        _("My sheet"),
        _("What you kept and answered: write what you see, then **save it as a file**."),
    )
    st.html(LOOK)
    own, found = keeping.sheet(), keeping.things()
    copy_in_this_tab()
    if (other := keeping.pending_sheet()) is not None:
        ask_before(other, own)
    if not found:
        st.info(
            _(EMPTY),
            icon=":material/keep:",
        )
    if found or own.name:
        top(own)
    st.caption(
        _(
            "The sheet lives in this tab alone: it is gone when the tab is closed, and whoever uses this "
            "tab after you finds it. Save it, then close the tab."
        )
    )
    gone = keeping.last_deletion()
    for place, (mark, kept) in enumerate(found):
        if gone and gone[0] == place:
            undo_here(gone[1])
        item(place, len(found), mark, kept)
    if gone and gone[0] >= len(found):
        undo_here(gone[1])
    open_one(not found)
    forget_drawings(len(found))
