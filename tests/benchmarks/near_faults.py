"""Faults of what lies on the own disk: damaged bundles and data sets, and a disk that is full.

Every function takes the place of work and the random numbers of its case, and yields a sentence for everything
that was lost.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow
from pyarrow import parquet

from core.bundles.bundle import bundle_files, read_bundle
from core.bundles.files import sha256
from core.ddpm.explorer import SamplerSettings
from core.errors import AtelierError
from core.families import check_contents, family, family_of, open_bundle, read_manifest
from core.pictures import data
from core.pictures.images import read_sheet
from core.simsiam.run_record import read_run
from tests.benchmarks import damage, disk
from tests.benchmarks.sentences import faulty
from train.__main__ import main

GREY = np.full((1, 32, 32, 3), 128, np.uint8)
BUNDLES = (
    "vae-svhn",
    "ddpm-svhn-500",
    "judge-svhn",
    "simsiam-cifar10-baseline",
    "simsiam-cifar10-byol",
)
"""Of every family one, and one without weights."""
SPLIT = ("ufldl-stanford", "svhn", "cropped_digits")
"""Folders below which the shards of SVHN lie."""


@dataclass
class Near:
    """A library of whole bundles, drawn data, a run, and a folder to work in."""

    library: Path
    data: Path
    run: Path
    folder: Path
    whole: dict[str, Path] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.whole = {name: self.library / name for name in BUNDLES}

    def copy(self, of: Path, name: str = "") -> Path:
        """A copy that may come to harm, in place of the last one."""
        place = self.folder / "harmed"
        shutil.rmtree(place, ignore_errors=True)
        return shutil.copytree(of, place / (name or of.name))


def told(work: Callable[[], object]) -> tuple[bool, str]:
    """Whether work came to its end, and what is wrong with how it did not."""
    try:
        work()
    except AtelierError as error:
        return False, f"no sentence: {error}" if faulty(str(error)) else ""
    except Exception as error:
        return False, f"{type(error).__name__}: {error}"
    return True, ""


def use(folder: Path) -> None:
    """All that a page may ask of a bundle."""
    found = open_bundle(folder)
    check_contents(found)
    if found.family == "simsiam":
        read_run(found)
    if found.has_weights:
        explorer = family(found.family).explore(found)
        ask = {
            "vae": lambda: explorer.sample(0, 2),
            "ddpm": lambda: explorer.denoise(SamplerSettings("ddim", 2), [0]),
            "judge": lambda: explorer.judge(GREY),
            "simsiam": lambda: explorer.features(GREY),
        }
        ask[found.family]()
        family_of(found).golden(found)
    for file in found.sha256:
        if file.endswith(".jpg"):
            read_sheet((folder / file).read_bytes(), 24)


# ---------------------------------------------------------------- bundles


def harmed(way: damage.Damage | None) -> Callable[[Near, random.Random], Iterator[str]]:
    """The fault of a bundle that came to harm in a way; None: a file is that of another bundle."""

    def fault(near: Near, chance: random.Random) -> Iterator[str]:
        name = chance.choice(BUNDLES)
        harm = way or damage.exchanged(list(near.whole.values()))
        whole, copy = near.whole[name], near.copy(near.whole[name])
        said = f"{name}, {harm(copy, chance)}"
        ended, wrong = told(lambda: use(copy))
        if wrong:
            yield f"{said}: {wrong}"
        hashes = {file: sha256(whole / file) for file in bundle_files(whole)}
        changed = any(not (copy / f).is_file() or sha256(copy / f) != hashes[f] for f in hashes)
        ended, wrong = told(lambda: read_bundle(copy, expected=hashes))
        if wrong or ended == changed:
            yield f"{said}: {wrong or 'taken for the bundle of the manifest'}"
        ended, wrong = told(lambda: use(whole))
        if not ended:
            yield f"{said}: afterwards the whole bundle {wrong or 'is refused'}"

    return fault


# ---------------------------------------------------------------- data sets


def no_data(near: Near, chance: random.Random) -> Iterator[str]:
    """A split is damaged, or a part of it is missing."""
    copy = near.copy(near.data)
    split = chance.choice(("train", "test"))
    shard = copy.joinpath(*SPLIT) / f"{split}-00000-of-00001.parquet"
    way = chance.choice(sorted(SHARDS))
    SHARDS[way](shard, chance)
    rows = np.array([0, 3])
    asks = {
        "the split": lambda: data.load_split("svhn", split),
        "some pictures": lambda: data.load_rows("svhn", split, rows),
        "the labels": lambda: data.split_labels("svhn", split),
        "the number": lambda: data.count_split("svhn", split),
    }
    for name, ask in asks.items():
        with at_hand(copy):
            _ended, wrong = told(ask)
        if wrong:
            yield f"{split}, {way}, {name}: {wrong}"
        with at_hand(near.data):
            ended, wrong = told(ask)
        if not ended:
            yield f"{split}, {way}, afterwards {name}: {wrong or 'refused'}"


@contextlib.contextmanager
def at_hand(folder: Path) -> Iterator[None]:
    """The data sets are looked for there."""
    os.environ[data.DATA_DIR_VARIABLE] = str(folder)
    try:
        yield
    finally:
        del os.environ[data.DATA_DIR_VARIABLE]


def flip(shard: Path, chance: random.Random) -> None:
    content = bytearray(shard.read_bytes())
    for _ in range(chance.choice((1, 8, 64))):
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    shard.write_bytes(content)


def cut(shard: Path, chance: random.Random) -> None:
    content = shard.read_bytes()
    shard.write_bytes(content[: chance.choice((0, 4, chance.randrange(len(content))))])


def column(name: str, values: Callable[[int], object]) -> Callable[[Path, random.Random], None]:
    """Another column in place of the one of that name."""

    def change(shard: Path, _chance: random.Random) -> None:
        table = parquet.read_table(shard)
        held = {key: table.column(key) for key in table.column_names}
        held[name] = values(len(table))
        parquet.write_table(pyarrow.table(held), shard)

    return change


PICTURES = damage.pictures()
SHARDS: dict[str, Callable[[Path, random.Random], object]] = {
    "bits flipped": flip,
    "cut off": cut,
    "gone": lambda shard, chance: shard.unlink(),
    "one of two": lambda shard, chance: shard.rename(
        shard.with_name(shard.name.replace("00001.", "00002."))
    ),
    "a folder": lambda shard, chance: (shard.unlink(), shard.mkdir()),
    "labels too high": column("label", lambda count: list(range(count))),
    "labels below 0": column("label", lambda count: [-1] * count),
    "no labels": column("label", lambda count: [None] * count),
    "labels in words": column("label", lambda count: ["1"] * count),
    "pictures that are none": column(
        "image", lambda count: [{"bytes": b"none", "path": None}] * count
    ),
    "pictures that are bombs": column(
        "image", lambda count: [{"bytes": PICTURES["a bomb"], "path": None}] * count
    ),
    "pictures of one pixel": column(
        "image", lambda count: [{"bytes": PICTURES["one pixel"], "path": None}] * count
    ),
    "no pictures": column("image", lambda count: [None] * count),
    "numbers for pictures": column("image", lambda count: list(range(count))),
    "no rows": lambda shard, chance: parquet.write_table(
        parquet.read_table(shard).slice(0, 0), shard
    ),
    "other columns": lambda shard, chance: parquet.write_table(pyarrow.table({"a": [1, 2]}), shard),
}
"""How a shard comes to harm."""


# ---------------------------------------------------------------- a disk that is full


def command(words: list[str]) -> tuple[int, str]:
    """The exit status of a command of ``python -m train``, and what it says of an error."""
    said = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
        status = main(words)
    return status, said.getvalue().strip()


def full_disk(near: Near, chance: random.Random) -> Iterator[str]:
    """A command finds the disk full, or its folder closed: told, what was is whole, and later it works."""
    way = chance.choice(("embed", "finish"))
    number = chance.choice((*disk.FULL, *disk.CLOSED))
    # A folder that is closed in the middle of a change cannot be put back.
    after = chance.randrange(60 if number in disk.FULL else 3)
    if way == "embed":
        place = near.copy(near.library, "checkpoints")
        name = chance.choice(("new", "vae-svhn"))  # or in place of another bundle
        words = ["embed", str(near.whole["ddpm-svhn-500"]), "--name", name, "--title", "New"]
        words += ["--checkpoints", str(place)]
    else:
        place = near.copy(near.run, "run")
        words = ["judge", "--run", str(place), "--finish", "--device", "cpu"]
    with at_hand(near.data):
        try:
            with disk.failing(number, after) as failing:
                status, said = command(words)
        except Exception as error:  # in place of a sentence
            status, said, failing = -1, f"{type(error).__name__}: {error}", None
        of = f"{way}, error {number} after {after} changes"
        failed = failing is None or failing.changes > after
        if status != int(failed) or (failed and faulty(said)):
            yield f"{of}: ended with {status}: {said[-200:]}"
        for wrong in half(place):
            yield f"{of}: {wrong}"
        status, said = command(words)
        if status:
            yield f"{of}: afterwards {said[-200:]}"
        for wrong in half(place):
            yield f"{of}: afterwards {wrong}"


def half(place: Path) -> Iterator[str]:
    """What in a folder of bundles, or of a run, is no longer whole."""
    left = [path.name for path in place.iterdir() if path.name[0] == "." and path.name != ".lock"]
    if left:
        yield f"left behind: {', '.join(left)}"
    if (place / "manifest.json").exists():
        manifest = read_manifest(place / "manifest.json")
        for entry in manifest.entries:
            ended, wrong = told(lambda name=entry.name: manifest.open(name))
            if not ended:
                yield f"{entry.name} {wrong or 'is refused'}"
    else:
        json.loads((place / "run.json").read_text(encoding="utf-8"))
        ended, wrong = told(lambda: use(place / "bundle"))
        if not ended:
            yield f"the bundle {wrong or 'is refused'}"


NEAR = {
    "bundle, bits flipped": harmed(damage.flipped),
    "bundle, cut off": harmed(damage.cut),
    "bundle, files swapped": harmed(damage.swapped),
    "bundle, a file gone": harmed(damage.removed),
    "bundle, a file of another": harmed(None),
    "bundle, JSON that is none": harmed(damage.bomb),
    "bundle, JSON with other values": harmed(damage.edited),
    "bundle, other arrays": harmed(damage.reshaped),
    "bundle, a header that lies": harmed(damage.header),
    "bundle, pictures that are none": harmed(damage.drawn),
    "data set": no_data,
    "disk full or closed": full_disk,
}
