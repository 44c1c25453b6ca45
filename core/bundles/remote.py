"""Bundles on the Hub: looked at before they are read, fetched by commit, checked by hash.

Nothing of a bundle is executed, and no more of it is read than its format names: JSON, safetensors,
JPEG sheets, a card. Before any weight is fetched its ``config.json`` has to fit a schema and to
describe a network of bounded size, and all files have to be of bounded size.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from core.bundles import hub, schema
from core.bundles.bundle import (
    PROGRESS_FILE,
    REQUIRED_FILES,
    WEIGHT_FILES,
    Bundle,
    altered_file_error,
    incomplete,
    keeps_weights,
    other_family,
    read_bundle,
    read_json,
    unusable,
)
from core.bundles.files import sha256
from core.errors import AtelierError

if TYPE_CHECKING:
    from core.bundles.weights import Networks

MIB = 2**20
LARGEST = {
    "config.json": MIB // 4,
    "history.json": 16 * MIB,
    "metrics.json": 4 * MIB,
    "README.md": MIB,
    "golden.safetensors": 16 * MIB,
    "profiles.safetensors": 128 * MIB,
    "model.safetensors": 256 * MIB,
}
"""Bytes that a file may have."""
LARGEST_SHEET, MOST_SHEETS = 4 * MIB, 200
COMMIT = re.compile(r"[0-9a-f]{40}")
PLACE = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?")

Progress = Callable[[int, int], None]
"""Called with bytes done and bytes in all."""


def parse(place: str) -> tuple[str, str | None]:
    """Repository and revision of ``user/name`` or ``user/name@revision``.

    Raises ``AtelierError`` ``hub-name``.
    """
    found = PLACE.fullmatch(place.strip())
    if found is None or ".." in place:
        raise AtelierError(
            "hub-name",
            "{repo} is not a name of the form user/name or user/name@revision.",
            repo=place.strip()[:100] or "–",
        )
    return found["repo"], found["revision"]


def fetch(
    repo: str,
    revision: str | None = None,
    *,
    networks: Networks,
    name: str | None = None,
    expected: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> Bundle:
    """A bundle of the Hub, through the standard cache; ``expected``: the sha256 of every file.

    ``networks``: by family, what builds a network; a bundle of another family is refused. With
    ``expected`` what the cache holds whole is not asked for again. A file that is partial or damaged
    is fetched again once. Where the Hub cannot be reached the cached copy is opened, and its
    ``reached`` is False. Raises ``AtelierError``: those of ``core.bundles.hub``,
    ``bundle-incomplete``, ``bundle-large``, ``bundle-config``, ``bundle-family``,
    ``bundle-weights``, ``bundle-hash``, ``bundle-damaged``.
    """
    name = name or repo
    if expected is not None:
        folder = cached_copy(repo, revision, expected)
        if folder is not None:
            return _read(folder, name, expected, revision, networks)
    try:
        listing = hub.list_repository(repo, revision)
    except AtelierError as error:
        folder = hub.cached_folder(repo, revision)
        if folder is None or error.code not in ("hub-unreachable", "hub-answer", "hub-busy"):
            raise
        try:
            return _read(folder, name, expected, folder.name, networks, reached=False)
        except AtelierError as why:  # where the cache lacks a file, the Hub is what is missing
            raise (error if why.code == "bundle-incomplete" else why) from None
    config = _one(repo, listing, "config.json", name, expected)
    keeps = check_config(config, name, networks)
    wanted = _files_to_read(listing, name, expected, keeps)
    total, done = sum(listing.files[file].size for file in wanted), 0
    folder = config.parent
    for file in wanted:
        tell = None if progress is None else _part(progress, done, total)
        _one(repo, listing, file, name, expected, tell)
        done += listing.files[file].size
        if progress is not None:
            progress(done, total)
    if not COMMIT.fullmatch(revision or ""):  # so that the cache knows what the branch stands for
        hub.fetch_file(repo, revision or "main", "config.json")
    return _read(folder, name, expected, listing.commit, networks)


def cached_copy(repo: str, revision: str | None, expected: Mapping[str, str]) -> Path | None:
    """The folder of the standard cache that holds all ``expected`` files as they must be."""
    folder = hub.cached_folder(repo, revision)
    if folder is None:
        return None
    whole = all(
        (folder / file).is_file() and sha256(folder / file) == value
        for file, value in expected.items()
    )
    return folder if whole else None


def check_config(config: Path, name: str, networks: Networks) -> bool:
    """Whether a bundle with this ``config.json`` keeps weights; raises where it is not usable."""
    from core.bundles.weights import weight_shapes  # here: it needs torch, own bundles do not

    found = read_json(config.parent, name, config.name, dict)
    fault = schema.fault(found)
    if fault is not None:
        raise unusable(name, fault)
    if found["family"] not in networks:
        raise other_family(name, found["family"], networks)
    try:
        weight_shapes(networks, found["family"], found["architecture"])
    except ValueError as error:
        raise unusable(name, "architecture") from error
    return keeps_weights(found)


def _part(progress: Progress, before: int, total: int) -> Progress:
    return lambda done, _size: progress(min(total, before + done), total)


def _files_to_read(
    listing: hub.Listing, name: str, expected: Mapping[str, str] | None, keeps: bool
) -> list[str]:
    """The files to read: those expected, or all that the format names; none too large."""
    required = [file for file in REQUIRED_FILES if keeps or file not in WEIGHT_FILES]
    sheets = sorted(file for file in listing.files if PROGRESS_FILE.fullmatch(file))
    wanted = [*required, *sheets] if expected is None else sorted({*required, *expected})
    missing = [file for file in wanted if file not in listing.files]
    if missing:
        raise incomplete(name, missing[0])
    for file in wanted:
        _check_size(listing, file, name)
    if len(sheets) > MOST_SHEETS:
        raise _large(name, "progress/", LARGEST_SHEET * MOST_SHEETS)
    return wanted


def _check_size(listing: hub.Listing, file: str, name: str) -> None:
    most = LARGEST.get(file, LARGEST_SHEET)
    if listing.files[file].size > most:
        raise _large(name, file, most)


def _large(name: str, file: str, most: int) -> AtelierError:
    return AtelierError(
        "bundle-large",
        "{file} of the bundle {name} is larger than the {megabytes} MB that are read.",
        name=name,
        file=file,
        megabytes=f"{most / MIB:g}",
    )


def _one(
    repo: str,
    listing: hub.Listing,
    file: str,
    name: str,
    expected: Mapping[str, str] | None,
    progress: Progress | None = None,
) -> Path:
    """One file, fetched again once where it is not what the manifest and the Hub say it is."""
    if file not in listing.files:
        raise incomplete(name, file)
    _check_size(listing, file, name)
    try:
        path = hub.fetch_file(repo, listing.commit, file, progress)
        sound = _sound(path, listing.files[file], file, expected)
    except AtelierError as error:
        if error.code != "hub-partial":
            raise
        sound = False
    if not sound:
        path = hub.fetch_file(repo, listing.commit, file, progress, again=True)
    if not _sound(path, listing.files[file], file, expected):
        raise altered_file_error(name, file)
    return path


def _sound(
    path: Path, remote: hub.RemoteFile, file: str, expected: Mapping[str, str] | None
) -> bool:
    if expected is not None and file in expected:
        return sha256(path) == expected[file]
    return remote.is_(path)


def _read(
    folder: Path,
    name: str,
    expected: Mapping[str, str] | None,
    revision: str | None,
    networks: Networks,
    *,
    reached: bool = True,
) -> Bundle:
    from core.bundles.weights import check_weights

    check_config(folder / "config.json", name, networks)
    found = read_bundle(
        folder, name=name, expected=expected, origin="hub", revision=revision, reached=reached
    )
    if found.has_weights:
        check_weights(found, networks)
    return found
