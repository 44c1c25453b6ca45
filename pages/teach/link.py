"""A lesson inside its link: nothing is stored anywhere, and whoever has the link has the lesson.

A link is text that a stranger may have written. It is bounded before and after it is unpacked, and what
comes out is read as strictly as a file is.
"""

from __future__ import annotations

import base64
import json
import re
import zlib
from functools import lru_cache

from core.errors import AtelierError
from pages.teach.lesson import Lesson, data_of, lesson_of

BEGINNING = "z:"
LONGEST = 4096
"""Characters of a packed lesson, its beginning included."""
MOST_BYTES = 64 * 1024
"""Of a lesson that is unpacked."""
PACKED = re.compile(r"z:[A-Za-z0-9_-]+")
RAW = -15
"""Deflate without a header, as zlib counts it."""


def pack(lesson: Lesson, *, answers: bool = False) -> str:
    """The lesson as text for an address: deflate, then base64url.

    Whoever has the link can unpack it, so answers are left out unless they are asked for. Raises
    ``AtelierError`` for a lesson that does not fit.
    """
    plain = json.dumps(data_of(lesson, answers=answers), ensure_ascii=False, separators=(",", ":"))
    deflate = zlib.compressobj(9, zlib.DEFLATED, RAW)
    small = deflate.compress(plain.encode()) + deflate.flush()
    text = BEGINNING + base64.urlsafe_b64encode(small).decode().rstrip("=")
    if len(text) > LONGEST or len(plain.encode()) > MOST_BYTES:
        raise AtelierError(
            "lesson-link-long",
            "This lesson needs {size} characters, and a link has room for {most}: save it as a file.",
            size=len(text),
            most=LONGEST,
        )
    return text


@lru_cache(maxsize=32)  # every run of every step asks for it
def unpack(text: str) -> Lesson:
    """The lesson of a link; raises ``AtelierError`` with one sentence where it holds none."""
    if len(text) > LONGEST or not PACKED.fullmatch(text):
        raise _none()
    code = text.removeprefix(BEGINNING)
    try:
        small = base64.urlsafe_b64decode(code + "=" * (-len(code) % 4))
        inflate = zlib.decompressobj(RAW)
        plain = inflate.decompress(small, MOST_BYTES)
        if (
            not inflate.eof or inflate.unused_data
        ):  # more than fits, cut off, or something behind it
            raise _none()
        found = json.loads(plain.decode())
    except (ValueError, zlib.error, RecursionError):
        raise _none() from None
    return lesson_of(found)


def _none() -> AtelierError:
    return AtelierError("lesson-link", "This link holds no lesson: it may have been cut off.")
