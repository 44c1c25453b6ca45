"""How a bundle comes to harm: each function changes the files in a folder, by chance, and says what it did.

A bundle of others may hold anything, so what stands there need not be an accident: JSON that is nested for
ever, numbers that fit into no float, arrays of another shape, pictures that unpack to gigabytes.
"""

from __future__ import annotations

import io
import json
import random
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.numpy import load_file, save_file

Damage = Callable[[Path, random.Random], str]
JSON = ("config.json", "history.json", "metrics.json")
ARRAYS = ("model.safetensors", "profiles.safetensors", "golden.safetensors")
DEEP = 200_000
"""Brackets within one another: more than Python nests."""
WILD: tuple[object, ...] = (
    None,
    True,
    -1,
    0,
    10**30,
    10**400,
    -(10**400),
    1e308,
    "",
    "x" * 20_000,
    "<script>alert(1)</script>",
    "../../etc",
    [],
    {},
    [[[[]]]],
    {"a": {"b": None}},
    [1, 2, 3],
)
"""What may stand in place of a value of JSON."""
BOMBS = (
    "[" * DEEP,
    "[" * DEEP + "]" * DEEP,
    '{"a":' * DEEP + "1" + "}" * DEEP,
    '{"epoch": NaN, "test": {"pictures": Infinity}}',
    '[{"epoch": 1e999, "seconds_total": -1e999}]',
    '{"seed": ' + "9" * 6000 + "}",
    '{"format": 1, "format": 2}',
    '"\ud83d"',
    "\ufeff{}",
    "\x00" * 100,
    "null",
)
"""What may stand in place of a whole file of JSON."""


def files_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


# ---------------------------------------------------------------- accidents


def flipped(folder: Path, chance: random.Random) -> str:
    """Some bits of one file."""
    path = chance.choice(files_of(folder))
    data, count = bytearray(path.read_bytes()), chance.choice((1, 1, 8, 64))
    for _ in range(count):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    path.write_bytes(data)
    return f"{count} bits of {path.name}"


def cut(folder: Path, chance: random.Random) -> str:
    """A file ends too early, or too late."""
    path = chance.choice(files_of(folder))
    data = path.read_bytes()
    if chance.random() < 0.8:
        data = data[: chance.choice((0, 1, 8, chance.randrange(len(data))))]
    else:
        data += chance.randbytes(chance.randrange(1, 100))
    path.write_bytes(data)
    return f"{path.name} has {len(data)} bytes"


def swapped(folder: Path, chance: random.Random) -> str:
    """Two files have each other's content."""
    one, other = chance.sample(files_of(folder), 2)
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)
    return f"{one.name} and {other.name} swapped"


def removed(folder: Path, chance: random.Random) -> str:
    """A file is gone, or a folder or a link to nowhere has its name."""
    path = chance.choice(files_of(folder))
    path.unlink()
    way = chance.choice(("gone", "a folder", "a link to nowhere"))
    if way == "a folder":
        path.mkdir()
    elif way == "a link to nowhere":
        path.symlink_to(folder / "nowhere")
    return f"{path.name} is {way}"


def exchanged(others: list[Path]) -> Damage:
    """One file is that of another bundle."""

    def exchange(folder: Path, chance: random.Random) -> str:
        other = chance.choice([one for one in others if one.name != folder.name])
        path = chance.choice([path for path in files_of(other) if path.parent == other])
        shutil.copyfile(path, folder / path.name)
        return f"{path.name} of {other.name}"

    return exchange


# ---------------------------------------------------------------- intent


def bomb(folder: Path, chance: random.Random) -> str:
    """A file of JSON is something else altogether."""
    name, text = chance.choice(JSON), chance.choice(BOMBS)
    (folder / name).write_bytes(text.encode("utf-8", "surrogatepass"))
    return f"{name} is {text[:20]!r}…"


def edited(folder: Path, chance: random.Random) -> str:
    """Some values of a file of JSON are others, or gone."""
    name = chance.choice(JSON)
    found = json.loads((folder / name).read_text(encoding="utf-8"))
    said = [_edit(found, chance) for _ in range(chance.choice((1, 1, 2, 5)))]
    (folder / name).write_text(json.dumps(found), encoding="utf-8")
    return f"{name}: {'; '.join(said)}"


def _edit(tree: dict | list, chance: random.Random) -> str:
    """Changes one value in a tree, the deeper ones as likely as the others."""
    places: list[tuple[dict | list, object, str]] = []

    def walk(node: dict | list, path: str) -> None:
        for key in node if isinstance(node, dict) else range(len(node)):
            places.append((node, key, f"{path}.{key}"))
            if isinstance(node[key], dict | list):
                walk(node[key], f"{path}.{key}")

    walk(tree, "")
    if not places:
        return "nothing to change"
    node, key, path = chance.choice(places)
    if chance.random() < 0.25:
        del node[key]
        return f"{path} gone"
    node[key] = chance.choice((*WILD, float("nan"), float("inf")))
    return f"{path} = {str(node[key])[:20]}"


def reshaped(folder: Path, chance: random.Random) -> str:
    """An array is another one: other numbers, shape or type, or it is gone."""
    name = chance.choice([name for name in ARRAYS if (folder / name).is_file()])
    arrays = load_file(folder / name)
    key = chance.choice(sorted(arrays))
    ways: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "NaN": lambda a: np.full(a.shape, np.nan, np.float32),
        "infinite": lambda a: np.full(a.shape, -np.inf, np.float32),
        "huge": lambda a: np.full(a.shape, 3e38, np.float32),
        "flat": lambda a: a.reshape(-1),
        "deeper": lambda a: a[None],
        "empty": lambda a: a[:0] if a.ndim else a.reshape(1)[:0],
        "half": lambda a: a[: len(a) // 2] if a.ndim else a,
        "turned": lambda a: np.ascontiguousarray(a.T),
        "whole numbers": lambda a: np.zeros(a.shape, np.int64),
        "negative": lambda a: np.full(a.shape, -7, np.int64),
        "booleans": lambda a: np.zeros(a.shape, bool),
        "bytes": lambda a: np.zeros(a.shape, np.uint8),
    }
    way = chance.choice((*ways, "gone", "under another name"))
    if way in ways:
        arrays[key] = ways[way](arrays[key])
    else:
        held = arrays.pop(key)
        if way != "gone":
            arrays[f"{key}.other"] = held
    save_file(arrays, folder / name)
    return f"{name}: {key} {way}"


def header(folder: Path, chance: random.Random) -> str:
    """The table of contents of a file of arrays lies."""
    name = chance.choice([name for name in ARRAYS if (folder / name).is_file()])
    data = (folder / name).read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    about = json.loads(data[8 : 8 + size])
    key = chance.choice(sorted(about))
    way = chance.choice(("length", "nested", "shape", "type", "places"))
    if way == "length":
        data = struct.pack("<Q", chance.choice((0, 1, 2**31, 2**62, 2**64 - 1))) + data[8:]
    elif way == "nested":
        data = struct.pack("<Q", 2 * DEEP) + b"[" * DEEP + b"]" * DEEP
    else:
        if way == "shape":
            about[key]["shape"] = chance.choice(([], [2**40], [2**31, 2**31, 4], [-1], [0]))
        elif way == "type":
            about[key]["dtype"] = chance.choice(("BF16", "F8_E4M3", "U64", "X", "", None))
        else:
            about[key]["data_offsets"] = chance.choice(([0, 2**50], [5, 2], [-4, 4], []))
        said = json.dumps(about).encode()
        data = struct.pack("<Q", len(said)) + said + data[8 + size :]
    (folder / name).write_bytes(data)
    return f"header of {name}: {way} of {key}"


def drawn(folder: Path, chance: random.Random) -> str:
    """A sheet of pictures is another picture, or none at all; in a bundle without sheets the card is."""
    sheets = [path for path in files_of(folder) if path.suffix == ".jpg"]
    path = chance.choice(sheets or [folder / "README.md"])
    name, content = chance.choice(sorted(pictures().items()))
    path.write_bytes(content)
    return f"{path.name} is {name}"


def pictures() -> dict[str, bytes]:
    """Files that claim to be pictures, by what is wrong with them."""

    def saved(mode: str, size: tuple[int, int], kind: str) -> bytes:
        buffer = io.BytesIO()
        Image.new(mode, size).save(buffer, kind)
        return buffer.getvalue()

    whole = saved("RGB", (64, 64), "JPEG")
    return {
        "nothing": b"",
        "text": b"not a picture",
        "half a JPEG": whole[: len(whole) // 2],
        "a JPEG's begin": whole[:30],
        "one pixel": saved("L", (1, 1), "PNG"),
        "a strip": saved("RGB", (20_000, 1), "PNG"),
        "a bomb": png_of(30_000, 30_000),
        "a bomb of bytes": png_of(14_000, 12_000),
        "no pixels": png_of(0, 0),
        "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n",
        "SVG": b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>',
        "a grey GIF": saved("L", (33, 31), "GIF"),
    }


def png_of(width: int, height: int) -> bytes:
    """A small PNG that claims to be as large as that; the rows that it holds are black."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        sum_ = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + sum_

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes(min(3 * width + 1, 10**6)) * 4, 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
