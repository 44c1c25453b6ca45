"""The picture of a class's votes: bars for each option, to be read from the back row in either theme."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from pages.shared.text import N_, in_language
from pages.teach import marks
from pages.teach.room import Counts
from pages.teach.sheet_svg import format_number

FONT, BAR, NUMBERS = 24, 26, 7
"""Pixels of letters and of a bar's height; room for the numbers at its end, in heights of letters."""
FIRST, SECOND = 0.4, 0.85
"""How opaque the bars of the two votes are; both are of the colour of the text."""

Options = Sequence[tuple[str, str]]


def bars(options: Options, counts: Counts, right: str | None, language: str) -> str:
    """What was voted, as HTML for ``st.html``: a bar for each option and vote, with its number and share.

    ``options``: id and words of each, in order. ``right``: the id of the right one, which gets a tick, a frame
    and bold words, so that no colour is needed to see it; None where none is shown. A whole bar is all votes.
    Letters have ``FONT`` pixels on every screen, and take the colour of the text around them, as the bars do.
    It is no ``<svg>``, because ``st.html`` takes that out.
    """
    votes = [counts.first] if counts.second is None else [counts.first, counts.second]
    parts = [_legend(language)] if len(votes) == 2 else []
    for name, words in options:
        shown = [
            _bar(vote.get(name, 0), sum(vote.values()), opacity, language)
            for vote, opacity in zip(votes, (FIRST, SECOND), strict=False)
        ]
        parts.append(_option(_plain(words), shown, name == right))
    alt = escape(description(options, counts, right, language))
    style = f"font-size:{FONT}px;line-height:1.3"
    return f'<div role="img" aria-label="{alt}" style="{style}">{"".join(parts)}</div>'


def description(options: Options, counts: Counts, right: str | None, language: str) -> str:
    """The same in words, for whoever does not see it."""
    said = [_vote(N_("First vote ({total}): {parts}."), options, counts.first, language)]
    if counts.second is not None:
        second = N_("Second vote ({total}): {parts}.")
        said.append(_vote(second, options, counts.second, language))
    words = dict(options).get(right or "")
    if words is not None:
        sentence = in_language(N_("The right answer: {words}."), language)
        said.append(sentence.format(words=_plain(words).rstrip(".")))
    return " ".join(said)


def _vote(sentence: str, options: Options, vote: Mapping[str, int], language: str) -> str:
    part = in_language(N_("“{words}” {count}"), language)
    parts = [part.format(words=_plain(words), count=vote.get(name, 0)) for name, words in options]
    return in_language(sentence, language).format(total=sum(vote.values()), parts=", ".join(parts))


def _plain(words: str) -> str:
    return " ".join(marks.plain(words).split())


# ---------------------------------------------------------------- parts of the picture

_TICK = (
    '<span style="display:inline-block;width:0.3em;height:0.65em;margin:0 0.5em 0 0.2em;'
    'border:solid currentColor;border-width:0 0.17em 0.17em 0;transform:rotate(40deg)"></span>'
)


def _option(words: str, shown: Sequence[str], right: bool) -> str:
    edge, weight = ("currentColor", "bold") if right else ("transparent", "normal")
    tick = _TICK if right else ""
    return (
        f'<div style="border:3px solid {edge};border-radius:8px;margin-bottom:10px;padding:4px 10px 8px">'
        f'<div style="font-weight:{weight};overflow-wrap:anywhere">{tick}{escape(words)}</div>'
        f"{''.join(shown)}</div>"
    )


def _bar(count: int, total: int, opacity: float, language: str) -> str:
    share = count / total if total else 0.0
    said = f"{count} · {format_number(share, 0, True, language)}" if total else str(count)
    return (
        '<div style="display:flex;align-items:center;gap:10px">'
        f'<div style="flex:none;width:calc((100% - {NUMBERS}em) * {share:.4f});min-width:2px;'
        f'height:{BAR}px;background-color:currentColor;opacity:{opacity}"></div>'
        f'<div style="white-space:nowrap">{escape(said)}</div></div>'
    )


def _legend(language: str) -> str:
    """Which bar is which vote."""
    parts = []
    for name, opacity in ((N_("First vote"), FIRST), (N_("Second vote"), SECOND)):
        square = (
            f'<span style="display:inline-block;width:1em;height:1em;margin-right:0.4em;'
            f'vertical-align:-0.1em;background-color:currentColor;opacity:{opacity}"></span>'
        )
        parts.append(f"<span>{square}{escape(in_language(name, language))}</span>")
    style = "display:flex;flex-wrap:wrap;gap:0 1.5em;margin-bottom:10px;padding:0 13px"
    return f'<div style="{style}">{"".join(parts)}</div>'
