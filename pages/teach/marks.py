"""Marks in the texts of a lesson, ``**bold**``, ``*italics*`` and ``code``, as HTML or left out.

A mark that is not closed, and a star between spaces as in 2 * 3, is text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from html import escape

_MARK = re.compile(
    r"`(?P<code>[^`]+)`"
    r"|\*\*(?=\S)(?P<strong>.+?)(?<=\S)\*\*(?!\*)"
    r"|\*(?=[^\s*])(?P<em>[^*]+?)(?<=\S)\*",
    re.DOTALL,
)


def html(text: str) -> str:
    """The text as HTML: its marks become ``<strong>``, ``<em>`` and ``<code>``, all else is escaped."""
    return _said(text, escape, lambda tag, inner: f"<{tag}>{inner}</{tag}>")


def plain(text: str) -> str:
    """The text without its marks."""
    return _said(text, str, lambda _tag, inner: inner)


def _said(text: str, word: Callable[[str], str], mark: Callable[[str, str], str]) -> str:
    parts, at = [], 0
    for found in _MARK.finditer(text):
        tag = found.lastgroup or ""
        inner = found[tag]
        parts.append(word(text[at : found.start()]))
        parts.append(mark(tag, word(inner) if tag == "code" else _said(inner, word, mark)))
        at = found.end()
    return "".join([*parts, word(text[at:])])
