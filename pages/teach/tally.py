"""The picture of a class's votes: bars for each option, to be read from the back row in either theme."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from html import escape

from pages.shared.text import N_, in_language
from pages.teach import marks
from pages.teach.room import Counts
from pages.teach.sheet_svg import written

WIDTH = 1200
"""Pixels of the picture on a stage; a telephone has about 360."""
FONT, LETTER, LINE = 24, 13.5, 32
"""Size of letters in pixels, how wide one is in a wide font, and from one line to the next."""
EDGE, TICK, BAR, GAP, NUMBERS = 8, 36, 30, 26, 170
"""Room around all, for the tick, a bar's height, space between options, room for the numbers of a bar."""
FIRST, SECOND = 0.4, 0.85
"""How opaque the bars of the two votes are; both are of the colour of the text."""

Options = Sequence[tuple[str, str]]


def bars(
    options: Options, counts: Counts, right: str | None, language: str, *, width: int = WIDTH
) -> str:
    """What was voted, as one ``<svg>``: a bar for each option and vote, with its number and share.

    ``options``: id and words of each, in order. ``right``: the id of the right one, which gets a tick, a frame
    and bold words, so that no colour is needed to see it; None where none is shown. A whole bar is all votes.
    Letters are of ``FONT`` pixels where the picture is ``width`` pixels wide. They and the bars take the
    colour of the text around them, so the ``<svg>`` has to stand in the page and not in an ``<img>``.
    """
    votes = [counts.first] if counts.second is None else [counts.first, counts.second]
    parts, y = _legend(width, language) if len(votes) == 2 else ([], float(EDGE))
    for name, words in options:
        top = y
        lines = _lines(_plain(words), width, name == right)
        parts += _words(lines, y, name == right)
        y += LINE * len(lines)
        for vote, opacity in zip(votes, (FIRST, SECOND), strict=False):
            parts += _bar(vote.get(name, 0), sum(vote.values()), y, opacity, width, language)
            y += BAR
        if name == right:
            parts.append(_frame(top, y - top, width))
        y += GAP
    alt = escape(described(options, counts, right, language))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {_n(y)}" width="100%" role="img" '
        f'font-family="sans-serif" font-size="{FONT}" fill="currentColor" aria-label="{alt}">'
        f"{''.join(parts)}</svg>"
    )


def described(options: Options, counts: Counts, right: str | None, language: str) -> str:
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


def _lines(words: str, width: int, right: bool) -> list[str]:
    room = width - 2 * EDGE - (TICK if right else 0)
    return textwrap.wrap(words, max(8, int(room / LETTER))) or [""]


def _words(lines: Sequence[str], y: float, right: bool) -> list[str]:
    x, weight, parts = EDGE, "", []
    if right:
        parts.append(
            f'<path d="M{_n(x + 4)} {_n(y + 16)}l8 8 14 -18" fill="none" stroke="currentColor" '
            'stroke-width="5"/>'
        )
        x, weight = x + TICK, ' font-weight="bold"'
    for place, line in enumerate(lines):
        at = f'x="{_n(x)}" y="{_n(y + LINE * place + 24)}"'
        parts.append(f"<text {at}{weight}>{escape(line)}</text>")
    return parts


def _frame(y: float, height: float, width: int) -> str:
    return (
        f'<rect x="2" y="{_n(y - 5)}" width="{width - 4}" height="{_n(height + 12)}" rx="8" '
        'fill="none" stroke="currentColor" stroke-width="3"/>'
    )


def _bar(count: int, total: int, y: float, opacity: float, width: int, language: str) -> list[str]:
    share = count / total if total else 0.0
    long = max(2.0, share * (width - 2 * EDGE - NUMBERS))
    said = f"{count} · {written(share, 0, True, language)}" if total else str(count)
    return [
        f'<rect x="{EDGE}" y="{_n(y + 2)}" width="{_n(long)}" height="{BAR - 4}" '
        f'fill-opacity="{_n(opacity)}"/>',
        f'<text x="{_n(EDGE + long + 10)}" y="{_n(y + 24)}">{escape(said)}</text>',
    ]


def _legend(width: int, language: str) -> tuple[list[str], float]:
    """Which bar is which vote, and where the options begin below."""
    parts, x, y = [], float(EDGE), float(EDGE)
    for name, opacity in ((N_("First vote"), FIRST), (N_("Second vote"), SECOND)):
        words = in_language(name, language)
        wide = 32 + LETTER * len(words) + 24
        if x > EDGE and x + wide > width:
            x, y = float(EDGE), y + LINE
        parts += [
            f'<rect x="{_n(x)}" y="{_n(y + 4)}" width="24" height="24" fill-opacity="{_n(opacity)}"/>',
            f'<text x="{_n(x + 32)}" y="{_n(y + 24)}">{escape(words)}</text>',
        ]
        x += wide
    return parts, y + LINE + GAP


def _n(value: float) -> str:
    """A length: two decimals, none where they are zero."""
    return f"{value:.2f}".rstrip("0").rstrip(".")
