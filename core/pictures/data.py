"""Pictures with labels: SVHN and CIFAR-10 in the Hub's parquet layout, or a folder of one's own.

A split is looked for in ``ATELIER_DATA_DIR/<repo>/<configuration>/<split>-*.parquet`` first, then
in the Hub's standard cache; ``download_split`` puts it into the latter. Nothing is downloaded
unasked.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeVar, get_args

import numpy as np
import pyarrow
import pyarrow.parquet as parquet
from PIL import Image

from core.bundles import hub
from core.errors import AtelierError
from core.pictures.images import FORMATS, SIZE, Pictures, read_picture

DATA_DIR_VARIABLE = "ATELIER_DATA_DIR"
PICTURE_SUFFIXES = {".png", ".jpg", ".jpeg", ".jfif", ".webp", ".gif", ".bmp", ".tif", ".tiff"}
Content = TypeVar("Content")
SHARD = re.compile(r"-(\d{5})-of-(\d{5})\.parquet$")

Selection = Literal["shares", "first"]
"""Which pictures a smaller set takes: as many of every class as its share of the set says, or the
first ones, as runs of earlier versions did."""


@dataclass(frozen=True)
class DataSource:
    """Where a data set lives on the Hub and how its table is laid out."""

    repo: str
    configuration: str
    image_column: str
    label_column: str
    class_names: tuple[str, ...]
    hub_splits: tuple[str, ...]
    megabytes: dict[str, int]


SOURCES: dict[str, DataSource] = {
    "svhn": DataSource(
        repo="ufldl-stanford/svhn",
        configuration="cropped_digits",
        image_column="image",
        label_column="label",
        class_names=tuple("0123456789"),
        hub_splits=("train", "test"),
        megabytes={"train": 128, "test": 45},
    ),
    "cifar10": DataSource(
        repo="uoft-cs/cifar10",
        configuration="plain_text",
        image_column="img",
        label_column="label",
        class_names=(
            "airplane",
            "automobile",
            "bird",
            "cat",
            "deer",
            "dog",
            "frog",
            "horse",
            "ship",
            "truck",
        ),
        hub_splits=("train", "test"),
        megabytes={"train": 120, "test": 24},
    ),
}


CROPS = {("svhn", "jittered"): 4}
"""Splits in which several pictures show the same digit, and how many: they are not independent."""


@dataclass(frozen=True)
class PictureSet:
    """Pictures uint8 (N, 32, 32, 3) with labels int64 (N,) and where they came from."""

    name: str
    split: str
    pictures: Pictures
    labels: np.ndarray
    class_names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)

    def fingerprint(self) -> str:
        """sha256 over pictures and labels: two sets with the same value are the same data."""
        digest = hashlib.sha256(np.ascontiguousarray(self.pictures))
        digest.update(np.ascontiguousarray(self.labels))
        return digest.hexdigest()


def _source(name: str) -> DataSource:
    if name not in SOURCES:
        raise ValueError(f"name must be one of {tuple(SOURCES)}, got {name!r}")
    return SOURCES[name]


def find_split(name: str, split: str) -> list[Path] | None:
    """Files of a split, in order, or None where the split is not at hand.

    Raises ``AtelierError`` ``data-incomplete`` when some of its shards are missing.
    """
    source = _source(name)
    folder = _data_folder(source)
    if folder is not None:
        files = sorted(folder.glob(f"{split}-*-of-*.parquet"))
        if files:
            return _complete(files)
    if split in source.hub_splits:
        cached = hub.cached_dataset_file(source.repo, _hub_file(source, split))
        if cached is not None:
            return [cached]
    return None


def _data_folder(source: DataSource) -> Path | None:
    """Where ``ATELIER_DATA_DIR`` has a data set; None where it is not set. ``~`` is one's home."""
    root = os.environ.get(DATA_DIR_VARIABLE)
    return Path(root).expanduser() / source.repo / source.configuration if root else None


def folder_of(name: str) -> Path | None:
    """Where ``ATELIER_DATA_DIR`` would have a data set, there or not; None where it is not set."""
    return _data_folder(_source(name))


def missing(name: str, split: str) -> AtelierError:
    """What to say of a split that is not at hand: where it was looked for, and how to get it."""
    source = _source(name)
    folder = _data_folder(source)
    if folder is None:
        return AtelierError(
            "data-missing",
            "The {split} split of {name} is not at hand: download it, or set {variable} to a "
            "folder that holds {repo}.",
            name=name,
            split=split,
            repo=source.repo,
            variable=DATA_DIR_VARIABLE,
        )
    return AtelierError(
        "data-missing",
        "The {split} split of {name} is not at hand: {variable} is set, but {folder} holds no file "
        "of it; download it, or set {variable} to the folder above {repo}.",
        name=name,
        split=split,
        repo=source.repo,
        variable=DATA_DIR_VARIABLE,
        folder=folder,
    )


def _hub_file(source: DataSource, split: str) -> str:
    return f"{source.configuration}/{split}-00000-of-00001.parquet"


def _complete(files: list[Path]) -> list[Path]:
    shards = [match for file in files if (match := SHARD.search(file.name))]
    expected = int(shards[0].group(2)) if shards else len(files)
    if len(files) != expected:
        raise AtelierError(
            "data-incomplete",
            "{folder} holds {found} of the {expected} files of this split: download it again.",
            folder=files[0].parent,
            found=len(files),
            expected=expected,
        )
    return files


def download_split(
    name: str, split: str, progress: Callable[[int, int], None] | None = None
) -> list[Path]:
    """Fetch a split from the Hub into the standard cache; a second call costs nothing."""
    source = _source(name)
    if split not in source.hub_splits:
        raise AtelierError(
            "data-no-such-split",
            "{name} has no split {split} on the Hub; there are {splits}.",
            name=name,
            split=split,
            splits=", ".join(source.hub_splits),
        )
    return [hub.download_dataset_file(source.repo, _hub_file(source, split), progress)]


def count_split(name: str, split: str) -> int:
    """How many pictures a split that is at hand holds, read from the files' own tables of content.

    Raises ``AtelierError`` ``data-incomplete`` and ``data-damaged``.
    """
    return sum(
        _read(file, parquet.read_metadata).num_rows for file in find_split(name, split) or ()
    )


def select(labels: np.ndarray, count: int, selection: Selection) -> np.ndarray:
    """Rows, rising, of the ``count`` pictures that ``selection`` takes of ``labels`` (N,).

    All rows where ``count`` is 0 or N or more. With ``shares`` a class of n pictures gives
    ``count`` n / N of them, its first ones: rounded down, and what is left of ``count`` goes to the
    classes that lost most by that (largest remainder).
    """
    if selection not in get_args(Selection):
        raise ValueError(f"selection must be one of {get_args(Selection)}, got {selection!r}")
    if count < 0:
        raise ValueError(f"count must be 0 (all) or more, got {count}")
    if count == 0 or count >= len(labels):
        return np.arange(len(labels))
    if selection == "first":
        return np.arange(count)
    classes, sizes = np.unique(labels, return_counts=True)
    given, lost = np.divmod(count * sizes, len(labels))
    # Stable, so that of classes that lost equally much the lower ones come first on every machine.
    given[np.argsort(-lost, kind="stable")[: count - given.sum()]] += 1
    rows = [np.flatnonzero(labels == one)[:n] for one, n in zip(classes, given, strict=True)]
    return np.sort(np.concatenate(rows))


def load_split(name: str, split: str, most: int = 0, selection: Selection = "shares") -> PictureSet:
    """A split that is at hand, decoded; of its pictures ``most``, all where it is 0: see ``select``.

    Raises ``AtelierError``: ``data-missing``, ``data-incomplete``, ``data-damaged``,
    ``data-layout``, ``data-labels``, ``data-picture-unreadable``, ``data-picture-size``.
    """
    source = _source(name)
    files = find_split(name, split)
    if files is None:
        raise missing(name, split)
    tables = [_read_table(file, source) for file in files]
    labels = [_labels(table, source, file) for table, file in zip(tables, files, strict=True)]
    chosen = select(np.concatenate(labels), most, selection)
    pictures: list[Pictures] = []
    before = 0  # pictures in the files before this one
    for file, table in zip(files, tables, strict=True):
        rows = chosen[(chosen >= before) & (chosen < before + len(table))] - before
        column = table.column(source.image_column).take(rows).to_pylist()
        pictures += [_decode(row, file, int(n)) for row, n in zip(column, rows, strict=True)]
        before += len(table)
    return PictureSet(
        name, split, np.stack(pictures), np.concatenate(labels)[chosen], source.class_names
    )


def load_rows(name: str, split: str, rows: np.ndarray) -> Pictures:
    """Pictures uint8 (R, 32, 32, 3) of a split that is at hand, by their places (R,) in it.

    Only the blocks of the files that hold them are read, and no other picture is decoded. Raises what
    ``load_split`` raises.
    """
    source = _source(name)
    files = find_split(name, split)
    if files is None:
        raise missing(name, split)
    found: dict[int, Pictures] = {}
    before = 0  # pictures in the blocks before this one
    for file in files:
        table = _read(file, parquet.ParquetFile)
        _check_layout(table.schema_arrow.names, table.metadata.num_rows, file, source)
        for block in range(table.num_row_groups):
            past = before + table.metadata.row_group(block).num_rows
            wanted = np.unique(rows[(rows >= before) & (rows < past)])
            if len(wanted):
                column = _block(file, table, block, source.image_column).take(wanted - before)
                for row, place in zip(column.to_pylist(), wanted, strict=True):
                    found[int(place)] = _decode(row, file, int(place))
            before = past
    if len(rows) and (rows.min() < 0 or rows.max() >= before):
        raise ValueError(f"rows must be 0 to {before - 1}, got {rows.min()} to {rows.max()}")
    return np.stack([found[int(place)] for place in rows])


def split_labels(name: str, split: str) -> np.ndarray:
    """Labels int64 (N,) of a split that is at hand; no picture is read. Raises what ``load_split`` does."""
    source = _source(name)
    files = find_split(name, split)
    if files is None:
        raise missing(name, split)
    found = []
    for file in files:
        table = _read(file, parquet.ParquetFile)
        _check_layout(table.schema_arrow.names, table.metadata.num_rows, file, source)
        column = _read(file, lambda _file, table=table: table.read(columns=[source.label_column]))
        found.append(_labels(column, source, file))
    return np.concatenate(found)


def _block(file: Path, table: parquet.ParquetFile, block: int, column: str) -> pyarrow.ChunkedArray:
    read = _read(file, lambda _file: table.read_row_group(block, columns=[column]))
    return read.column(column)


def _read(file: Path, reader: Callable[[Path], Content]) -> Content:
    try:
        return reader(file)
    except FileNotFoundError as error:
        raise AtelierError("data-gone", "{file} is gone: download it again.", file=file) from error
    except (pyarrow.ArrowException, OSError) as error:
        raise AtelierError(
            "data-damaged",
            "{file} is damaged or only half downloaded: delete it and download it again.",
            file=file,
        ) from error


def _read_table(file: Path, source: DataSource) -> pyarrow.Table:
    table = _read(file, parquet.read_table)
    _check_layout(table.column_names, table.num_rows, file, source)
    return table


def _check_layout(names: Sequence[str], count: int, file: Path, source: DataSource) -> None:
    if {source.image_column, source.label_column} - set(names) or count == 0:
        raise AtelierError(
            "data-layout",
            "{file} has no rows with the columns {image} and {label}: it is not {repo}.",
            file=file,
            image=source.image_column,
            label=source.label_column,
            repo=source.repo,
        )


def _labels(table: pyarrow.Table, source: DataSource, file: Path) -> np.ndarray:
    column = table.column(source.label_column)
    whole = pyarrow.types.is_integer(column.type) and column.null_count == 0
    labels = column.to_numpy().astype(np.int64) if whole else np.array([-1])
    if labels.min() < 0 or labels.max() >= len(source.class_names):
        raise AtelierError(
            "data-labels",
            "{file} has labels outside 0 to {highest}.",
            file=file,
            highest=len(source.class_names) - 1,
        )
    return labels


def _decode(row: object, file: Path, number: int) -> Pictures:
    try:
        with Image.open(io.BytesIO(row["bytes"]), formats=FORMATS) as opened:
            picture = np.asarray(opened.convert("RGB"), dtype=np.uint8)
    except Exception as error:  # decoders raise anything on a damaged file
        raise AtelierError(
            "data-picture-unreadable",
            "{file}: picture {number} cannot be read.",
            file=file,
            number=number,
        ) from error
    if picture.shape != (SIZE, SIZE, 3):
        raise AtelierError(
            "data-picture-size",
            "{file}: picture {number} has {width} x {height} pixels instead of {size} x {size}.",
            file=file,
            number=number,
            width=picture.shape[1],
            height=picture.shape[0],
            size=SIZE,
        )
    return picture


# ---------------------------------------------------------------- one's own folder

LINK_TO_NOWHERE = "link to nowhere"
HIDDEN = "name with a dot in front"
NO_SUFFIX = "file without a suffix"
NESTED = "folder in a class folder"
EMPTY = "class folder without a picture"
OF_OTHERS = "folder of another program"
UNREADABLE = "picture that cannot be read"

OTHERS = {
    "$recycle.bin",
    "@eadir",
    "#recycle",
    "#snapshot",
    "lost+found",
    "system volume information",
}
"""Folders, in small letters, that Windows, Linux and Synology's disks put among one's own."""


@dataclass(frozen=True)
class OwnFiles:
    """What a folder of class folders holds.

    ``pictures``: the files of each class that has any, classes and files in the order of their names.
    ``left_out``: how many other entries there are of each kind, which is a suffix, in small letters,
    or one of ``LINK_TO_NOWHERE``, ``HIDDEN``, ``NO_SUFFIX``, ``NESTED``, ``EMPTY`` and ``OF_OTHERS``.
    """

    folder: Path
    pictures: Mapping[str, tuple[Path, ...]]
    left_out: Mapping[str, int]


def find_own(folder: Path) -> OwnFiles:
    """Looks at the names in ``folder/<class>/<picture>``; opens no picture.

    Class folders whose names begin with a dot or ``__``, or are among ``OTHERS``, are those of other
    programs and not looked into. Raises ``AtelierError``: ``folder-missing``, ``folder-empty``;
    ``OSError`` where a class folder may not be read.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise AtelierError("folder-missing", "{folder} is not a folder.", folder=folder)
    pictures: dict[str, tuple[Path, ...]] = {}
    left_out: Counter[str] = Counter()
    for entry in sorted(folder.iterdir()):
        if not entry.is_dir():
            left_out[_kind(entry)] += 1
        elif entry.name.startswith((".", "__")) or entry.name.lower() in OTHERS:
            left_out[OF_OTHERS] += 1
        else:
            inside = sorted(entry.iterdir())
            found = tuple(file for file in inside if _is_picture(file))
            left_out.update(_kind(file) for file in inside if not _is_picture(file))
            if found:
                pictures[entry.name] = found
            else:
                left_out[EMPTY] += 1
    if not pictures:
        raise _empty(folder)
    return OwnFiles(folder, pictures, dict(sorted(left_out.items())))


def _is_picture(file: Path) -> bool:
    """By its name; macOS leaves a file ``._0.png`` next to ``0.png`` on a disk of another system."""
    named = not file.name.startswith(".") and file.suffix.lower() in PICTURE_SUFFIXES
    return named and file.is_file()


def _kind(entry: Path) -> str:
    """The kind of what is left out, as ``OwnFiles`` counts it."""
    if entry.name.startswith("."):
        return HIDDEN
    if not entry.exists():
        return LINK_TO_NOWHERE
    return NESTED if entry.is_dir() else entry.suffix.lower() or NO_SUFFIX


def _empty(folder: Path) -> AtelierError:
    return AtelierError(
        "folder-empty",
        "{folder} holds no class folders with pictures: one folder a class is expected.",
        folder=folder,
    )


def load_own(files: OwnFiles) -> tuple[PictureSet, tuple[Path, ...]]:
    """The pictures of a folder, of any size, cut to 32 x 32, class behind class; files that are no picture.

    These are left out, and so is a class of which nothing else is left. Raises ``AtelierError``
    ``folder-empty`` where no file can be read, and ``OSError``, which names it, where one may not be.
    """
    pictures: list[Pictures] = []
    sizes: dict[str, int] = {}
    unreadable: list[Path] = []
    for name, found in files.pictures.items():
        before = len(pictures)
        for file in found:
            try:
                pictures.append(read_picture(file.read_bytes()))
            except AtelierError:
                unreadable.append(file)
        if len(pictures) > before:
            sizes[name] = len(pictures) - before
    if not pictures:
        raise _empty(files.folder)
    labels = np.repeat(np.arange(len(sizes), dtype=np.int64), [*sizes.values()])
    whole = PictureSet(files.folder.name, "all", np.stack(pictures), labels, tuple(sizes))
    return whole, tuple(unreadable)


def load_folder(folder: Path) -> PictureSet:
    """One's own data set: ``folder/<class>/<picture>``, pictures of any size, cut to 32 x 32.

    Raises what ``find_own`` and ``load_own`` raise.
    """
    return load_own(find_own(folder))[0]


def mixed(pictures: PictureSet) -> PictureSet:
    """The same pictures in an order in which every class is spread evenly over the set.

    So the first n have of each class its share, to a picture. Picture p, from 0, of a class of s
    stands by (p + 1/2) / s; of equals the lower class comes first. The order is the same everywhere.
    """
    place = np.zeros(len(pictures))
    for label in np.unique(pictures.labels):
        rows = np.flatnonzero(pictures.labels == label)
        place[rows] = (np.arange(len(rows)) + 0.5) / len(rows)
    order = np.lexsort((pictures.labels, place))
    return replace(pictures, pictures=pictures.pictures[order], labels=pictures.labels[order])
