"""Addresses and files as nobody means them: made by chance from what pages know and from what they do not."""

from __future__ import annotations

import base64
import io
import json
import random
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from pages.teach import link, shelf
from pages.teach.lesson import data_of
from pages.teach.sheet import Sheet, to_json
from tests.benchmarks import damage
from tests.pages.teach import sheets

EVIL = "evil.example"
"""An address that no page has a reason to name."""
MARKUP = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg/onload=alert(1)>',
    "</style><script src=//evil.example></script>",
    "[x](javascript:alert(1))",
    f"![x](https://{EVIL}/x.png)",
    f"` ![x](https://{EVIL}/y.png) `",
    "`<b onclick=alert(1)>`",
    "&lt;script&gt;",
    ":red[x] :material/bug_report:",
    "$\\href{javascript:alert(1)}{x}$",
)
WILD = (
    "",
    " ",
    "0",
    "-1",
    "1",
    "1.5",
    "NaN",
    "nan",
    "inf",
    "-inf",
    "1e309",
    "1e-400",
    "99999999999999999999999",
    "-" + "9" * 400,
    "9" * 5000,
    "0x10",
    "1_000",
    "٣",
    "１２",
    "²",
    "½",
    "true",
    "false",
    "null",
    "None",
    "undefined",
    "[]",
    "{}",
    "{label}",
    "{0.__class__}",
    "%s%n",
    "%00",
    "\x00",
    "\n",
    "a\r\nb",
    "\u202eabc",
    "\u200b",
    "é" * 30,
    "😀" * 50,
    "Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A",
    "../../../../etc/passwd",
    "/dev/null",
    "a" * 5000,
    "user/name@main",
    "user/<b>name</b>",
    ",".join("abc") * 200,
    ";DROP TABLE pages",
    *MARKUP,
)
"""What may stand for a value; markup among it."""
NAMES = ("", " ", "__proto__", "constructor", "x" * 300, "<script>", "é", "lang ", "a&b", "a[]")
"""Names of parameters that nothing has."""
LOOKS = ("desk", "stage", "paper", "guide")
PARTS = ("code", "why", "answers")


def value(chance: random.Random, known: Sequence[str] = ()) -> str:
    """A value: one that is known, one that is not, or something between the two."""
    way = chance.random()
    if known and way < 0.35:
        return chance.choice(known)
    if way < 0.5:
        return str(chance.choice((chance.randrange(-5, 2000), chance.uniform(-10, 10))))
    if known and way < 0.6:
        one = chance.choice(known)
        return one[: chance.randrange(len(one) + 1)] + chance.choice(WILD)[:40]
    return chance.choice(WILD)


def values(chance: random.Random, known: Sequence[str] = ()) -> list[str]:
    """One value of a parameter, some, or very many."""
    count = chance.choice((1, 1, 1, 1, 2, 3, 300))
    return [value(chance, known) for _ in range(count)]


# ---------------------------------------------------------------- lessons


def lesson(chance: random.Random) -> str:
    """The name of a lesson, or a lesson in its link; whole, damaged, or none."""
    way = chance.random()
    held = shelf.lessons().lessons
    if way < 0.25:
        return chance.choice([*held, "no-such-lesson", *WILD])
    if way < 0.4:
        text = chance.choice((*damage.BOMBS, " " * 10**7, "[]", '{"step": []}'))
        return wrapped(text.encode("utf-8", "replace"))
    found = data_of(chance.choice(list(held.values())), answers=chance.random() < 0.5)
    found["step"] = [{**chance.choice(found["step"])}]
    if way > 0.55:
        for _ in range(chance.choice((1, 1, 3))):
            edit(found, chance)
    text = wrapped(json.dumps(found).encode())
    return text if way < 0.9 else text[: chance.randrange(len(text))]


def wrapped(content: bytes) -> str:
    """Bytes as a link holds a lesson."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, link.RAW)
    small = deflate.compress(content) + deflate.flush()
    return link.BEGINNING + base64.urlsafe_b64encode(small).decode().rstrip("=")


def edit(tree: dict | list, chance: random.Random) -> None:
    """Puts something else in the place of one value of a tree."""
    while True:
        keys = [*tree] if isinstance(tree, dict) else [*range(len(tree))]
        if not keys:
            return
        key = chance.choice(keys)
        if not isinstance(tree[key], dict | list) or chance.random() < 0.2:
            tree[key] = chance.choice((*WILD, *damage.WILD, 10**9, [], {}))
            return
        tree = tree[key]


# ---------------------------------------------------------------- files


def spoilt(content: bytes, chance: random.Random) -> bytes:
    """The same, cut off or with other bits, or as it is."""
    way = chance.random()
    if way < 0.3 and content:
        return content[: chance.randrange(len(content))]
    if way < 0.6 and content:
        held = bytearray(content)
        for _ in range(chance.choice((1, 8, 64))):
            held[chance.randrange(len(held))] ^= 1 << chance.randrange(8)
        return bytes(held)
    return content


MODES = {
    "RGB": ("PNG", "JPEG", "TIFF", "WEBP", "BMP", "GIF"),
    "L": ("PNG", "JPEG", "GIF"),
    "1": ("PNG", "TIFF", "BMP"),
    "P": ("PNG", "GIF"),
    "RGBA": ("PNG", "WEBP", "TIFF"),
    "LA": ("PNG",),
    "CMYK": ("JPEG", "TIFF"),
    "I;16": ("PNG", "TIFF"),
    "I": ("TIFF",),
    "F": ("TIFF",),
}
"""Modes of pictures, and the formats that have them."""


def picture(chance: random.Random) -> bytes:
    """A file that claims to be a picture."""
    if chance.random() < 0.35:
        return chance.choice(list(damage.pictures().values()))
    mode, kinds = chance.choice(sorted(MODES.items()))
    kind = chance.choice(kinds)
    size = chance.choice(((1, 1), (3, 200), (32, 32), (640, 480), (9000, 2), (33, 31)))
    levels = np.random.default_rng(chance.randrange(10**6)).integers(0, 256, size[::-1], np.uint8)
    made = Image.fromarray(levels).convert("L")
    made = made.convert(mode) if mode != "I;16" else made.convert("I").convert("I;16")
    file = io.BytesIO()
    more = (
        {"exif": chance.randbytes(60)} if kind in ("PNG", "JPEG") and chance.random() < 0.3 else {}
    )
    made.save(file, kind, **more)
    return spoilt(file.getvalue(), chance)


def sheet(chance: random.Random) -> bytes:
    """A file that claims to be a student's sheet."""
    way = chance.random()
    if way < 0.2:
        return chance.choice(damage.BOMBS).encode("utf-8", "replace")
    if way < 0.3:
        return picture(chance)
    content = to_json(chance.choice((Sheet(), SHEET)))
    if way < 0.5:
        return spoilt(content, chance)
    found = json.loads(content)
    for _ in range(chance.choice((1, 1, 2, 6))):
        edit(found, chance)
    return json.dumps(found).encode("utf-8", "replace")


SHEET = sheets.sheet()


TOML = ("a = " + "[" * 5000, "a = 1e999", "a = " + "9" * 5000, "\x00", "a = nan", "")
"""What may stand in place of a lesson."""


def toml(chance: random.Random) -> bytes:
    """A file that claims to be a lesson."""
    file = chance.choice(sorted(Path(shelf.SHIPPED).glob("*.toml")))
    text = file.read_text(encoding="utf-8")
    way = chance.random()
    if way < 0.2:
        return chance.choice(TOML).encode()
    if way < 0.5:
        return spoilt(text.encode(), chance)
    words = text.split('"')
    for _ in range(chance.choice((1, 2, 5))):
        said = chance.choice(WILD).replace("\\", "").replace('"', "'")
        words[chance.randrange(1, len(words), 2)] = said
    return '"'.join(words).encode("utf-8", "replace")
