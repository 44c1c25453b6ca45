"""Sentences of the app without a quotation: an error's by its code, any other by the constant that holds it."""

import ast
import re
import string
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]


def like(*sentences, **values):
    """What a sentence with ``{fields}`` looks like once filled; a field without a value may hold anything."""

    def filled(sentence):
        for text, name, _form, _conversion in string.Formatter().parse(sentence):
            yield re.escape(text)
            if name is not None:
                yield re.escape(str(values[name])) if name in values else "(?s:.*?)"

    return re.compile("|".join("".join(filled(sentence)) for sentence in sentences))


@cache
def _refusals():
    """By code: the sentences of every ``AtelierError`` that the app raises."""
    found = {}
    for room in ("core", "pages"):
        for file in (ROOT / room).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if getattr(getattr(node, "func", None), "id", None) == "AtelierError":
                    code, sentence = (getattr(one, "value", "") for one in node.args[:2])
                    found.setdefault(code, []).append(sentence)
    return found


def refusal(code, **values):
    """What the error of that code looks like to a visitor."""
    return like(*_refusals()[code], **values)
