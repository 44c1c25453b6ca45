"""Whether what a person is told of a fault is one sentence."""

from __future__ import annotations

import re

LONGEST = 500
LEAKS = re.compile(r"Traceback|\bError\(|0x[0-9a-f]{6,}|\{[a-z_]+\}|<class |\bNone\b")
"""What belongs into a log, or stands for a value that was never filled in."""


def faulty(words: str) -> bool:
    """Whether words are not one line that ends as a sentence does, or tell of the inside of the program."""
    ends = words.rstrip().endswith((".", "!", "?", "…"))
    return not (ends and len(words) <= LONGEST and "\n" not in words) or bool(LEAKS.search(words))
