"""A sheet as one HTML file: it asks for nothing, opens without a network, and prints.

The writer takes blocks. A sheet gives one a figure; whatever else is to be printed in the same way gives its
own. Every word is data: it is escaped, and a policy inside the file forbids scripts and requests.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from pages.shared.text import LANGUAGES, N_, in_language
from pages.teach import sheet_plot, sheet_svg
from pages.teach.sheet import Data, Sheet, SheetItem

SHOWN_ROWS = 40
"""Of a table that stands in place of a figure; the file of its data has all."""
BASE = re.compile(r"https?://[A-Za-z0-9.\-]+(:[0-9]{1,5})?(/[A-Za-z0-9\-._~%/]*)?|")

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"

_CSS = """
@page { margin: 16mm; }
* { box-sizing: border-box; }
html { background: #FFFFFF; color-scheme: light; }
body { color: #1D2733; font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 50rem;
  padding: 0 1rem; }
h1 { font-size: 1.8rem; line-height: 1.2; margin: 0; }
h2 { break-after: avoid; font-size: 1.25rem; line-height: 1.3; margin: 0 0 0.5rem; }
section { border-top: 1px solid #B9C4CC; break-inside: avoid; margin-top: 1.5rem; padding-top: 1rem; }
figure { break-inside: avoid; margin: 0 0 0.5rem; }
figure svg { display: block; height: auto; width: 100%; }
figure img { display: block; height: auto; image-rendering: pixelated; max-height: 22cm; max-width: 100%; }
figcaption, dl, .from { color: #5A6570; font-size: 0.9rem; }
dl { display: grid; gap: 0 1rem; grid-template-columns: max-content 1fr; margin: 0.5rem 0; }
dd { margin: 0; overflow-wrap: anywhere; }
p { margin: 0.5rem 0; overflow-wrap: anywhere; white-space: pre-line; }
.words { border-left: 4px solid #0072B2; padding-left: 0.75rem; }
.asked { font-weight: 600; }
table { border-collapse: collapse; font-size: 0.85rem; }
.table { overflow-x: auto; }
td, th { border-bottom: 1px solid #ECEBE7; padding: 0.15rem 0.75rem 0.15rem 0; text-align: left; }
a { color: #0b5c8f; }
@media print {
  body { font-size: 11pt; margin: 0; max-width: none; padding: 0; }
  figure svg { max-height: 12cm; }
  .screen { display: none; }
}
""".strip()


@dataclass(frozen=True)
class Block:
    """One thing on paper, top to bottom. Everything is text but ``svg``, which ``sheet_svg`` made.

    ``facts`` are names and values; ``asked`` is a question, ``answer`` what was chosen, ``words`` what is
    said; ``link`` is an address and ``link_words`` what it is called.
    """

    title: str
    svg: str = ""
    picture: bytes = b""
    alt: str = ""
    caption: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    asked: str = ""
    answer: str = ""
    words: str = ""
    data: Data | None = None
    file_name: str = ""
    link: str = ""
    link_words: str = ""


@dataclass(frozen=True)
class Made:
    """One thing on paper as its maker wrote it: HTML in which every word is escaped and nothing is fetched."""

    html: str


def to_html(sheet: Sheet, language: str, base: str = "") -> str:
    """The sheet as one file in a language. ``base``: address of the app, which links lead back to; where
    there is none they stand as text.
    """
    blocks = [block(kept, place, language, base) for place, kept in enumerate(sheet.items, 1)]
    title = in_language(N_("My sheet"), language)
    return document(title, language, blocks, below=sheet.name)


def block(kept: SheetItem, place: int, language: str, base: str = "") -> Block:
    """What a kept figure is on paper: drawn where its Plotly figure can be read, else its picture."""
    if not BASE.fullmatch(base):
        raise ValueError(f"not an address of an app: {base}")
    plot = sheet_plot.read(kept.figure) if kept.figure else None
    answer = kept.answer
    facts = [*kept.settings, (in_language(N_("Kept on"), language), kept.when.isoformat())]
    if answer and answer.points:
        points = sheet_svg.format_number(
            answer.points, 0 if answer.points % 1 == 0 else 1, False, language
        )
        facts.append((in_language(N_("Points"), language), points))
    root = f"{base.rstrip('/')}/" if base else ""
    return Block(
        title=f"{place}. {kept.title}",
        svg=sheet_svg.draw(plot, kept.alt or kept.title, language) if plot else "",
        picture=b"" if plot else kept.picture,
        alt=kept.alt or kept.title,
        caption=kept.caption,
        facts=tuple(facts),
        asked=f"{answer.question}  {answer.asked}".strip() if answer else "",
        answer=(answer.chosen or answer.option) if answer else "",
        words=kept.words,
        data=kept.data,
        file_name=f"{place:02d}-{kept.page or 'home'}.csv",
        link=root + kept.link,
        link_words=in_language(N_("Open this view"), language) if base else "",
    )


def document(
    title: str,
    language: str,
    blocks: Sequence[Block | Made],
    *,
    below: str = "",
    style: str = "",
) -> str:
    """Blocks as one HTML file that requests nothing; ``below`` stands under its title.

    ``style``: CSS of what was made elsewhere, after that of blocks.
    """
    if language not in LANGUAGES:
        raise ValueError(f"no language of the app: {language}")
    head = (
        f'<meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{escape(_POLICY)}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="referrer" content="no-referrer">'
        f"<title>{escape(' · '.join(filter(None, (title, below))))}</title><style>{_CSS}{style}</style>"
    )
    parts = [f"<h1>{escape(title)}</h1>", _paragraph(below, "from")]
    parts += [
        f"<section>{one.html}</section>" if isinstance(one, Made) else _section(one, language)
        for one in blocks
    ]
    body = "\n".join(filter(None, parts))
    return f'<!doctype html>\n<html lang="{language}">\n<head>{head}</head>\n<body>\n{body}\n</body>\n</html>\n'


def _paragraph(words: str, kind: str) -> str:
    return f'<p class="{kind}">{escape(words)}</p>' if words else ""


def _section(one: Block, language: str) -> str:
    parts = [
        f"<h2>{escape(one.title)}</h2>",
        _figure(one, language),
        _paragraph(one.asked, "asked"),
        _paragraph(one.answer, "answer"),
        _paragraph(one.words, "words"),
    ]
    if one.facts:
        pairs = "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in one.facts)
        parts.append(f"<dl>{pairs}</dl>")
    if one.link and one.link_words:
        href = escape(one.link)
        parts.append(
            f'<p class="from"><a href="{href}" rel="noreferrer">{escape(one.link_words)}</a></p>'
        )
    elif one.link:
        parts.append(_paragraph(one.link, "from"))
    if one.data and one.data.rows:
        coded = base64.b64encode(one.data.csv().encode()).decode()
        label = in_language(N_("Data (CSV)"), language)
        parts.append(
            f'<p class="from screen"><a download="{escape(one.file_name)}" '
            f'href="data:text/csv;charset=utf-8;base64,{coded}">{escape(label)}</a></p>'
        )
    return f"<section>{''.join(filter(None, parts))}</section>"


def _figure(one: Block, language: str) -> str:
    """The drawing, else the picture, else the first rows of the data."""
    if one.svg:
        shown = one.svg
    elif one.picture:
        coded = base64.b64encode(one.picture).decode()
        shown = f'<img alt="{escape(one.alt)}" src="data:image/png;base64,{coded}">'
    elif one.data and one.data.rows:
        shown = _table(one.data, language)
    else:
        shown = ""
    if not shown and not one.caption:
        return ""
    caption = f"<figcaption>{escape(one.caption)}</figcaption>" if one.caption else ""
    return f"<figure>{shown}{caption}</figure>"


def _table(data: Data, language: str) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in data.columns)
    rows = "".join(
        "<tr>" + "".join(f"<td>{escape('' if c is None else str(c))}</td>" for c in row) + "</tr>"
        for row in data.rows[:SHOWN_ROWS]
    )
    more = len(data.rows) - SHOWN_ROWS
    words = in_language(N_("{count} more rows in the file of the data"), language).format(
        count=more
    )
    below = _paragraph(words, "from") if more > 0 else ""
    return f'<div class="table"><table><tr>{head}</tr>{rows}</table></div>{below}'
