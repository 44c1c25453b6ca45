"""Marks in the texts of a lesson, ``**bold**``, ``*italics*`` and ``code``, as HTML or left out.

A mark that is not closed, a star between spaces as in 2 * 3, and one behind a letter as in t*, is text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from html import escape

from pages.shared.text import literal

SIGNS = {"strong": "**", "em": "*", "code": "`"}
Write = Callable[[str], str]
_MARK = re.compile(
    r"`(?P<code>[^`]+)`"
    r"|\*\*(?=\S)(?P<strong>.+?)(?<=\S)\*\*(?!\*)"
    r"|(?<!\w)\*(?=[^\s*])(?P<em>[^*]+?)(?<=\S)\*",
    re.DOTALL,
)


def html(text: str) -> str:
    """The text as HTML: its marks become ``<strong>``, ``<em>`` and ``<code>``, all else is escaped."""
    return _render(text, escape, lambda tag, inner: f"<{tag}>{inner}</{tag}>", escape)


def markdown(text: str) -> str:
    """The text for a page: all that is no mark stands there letter for letter."""
    return _render(text, literal, lambda tag, inner: f"{SIGNS[tag]}{inner}{SIGNS[tag]}", str)


def plain(text: str) -> str:
    """The text without its marks."""
    return _render(text, str, lambda _tag, inner: inner, str)


def _render(text: str, word: Write, mark: Callable[[str, str], str], code: Write) -> str:
    """The text with its words and what stands in ``code`` written so, and its marks by their tags."""
    parts, at = [], 0
    for found in _MARK.finditer(text):
        tag = found.lastgroup or ""
        inner = found[tag]
        parts.append(word(text[at : found.start()]))
        within = code(inner) if tag == "code" else _render(inner, word, mark, code)
        parts.append(mark(tag, within))
        at = found.end()
    return "".join([*parts, word(text[at:])])
