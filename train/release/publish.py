"""Publishes a bundle on the Hub: checked first, in one commit, with a card that people can read."""

from __future__ import annotations

import argparse
import errno
import json
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from core.bundles import bundle as bundles
from core.bundles import hub, remote
from core.errors import AtelierError
from core.families import open_bundle, read_manifest
from core.judge.nearest import nearest
from core.pictures import data, images
from core.pictures.data import PictureSet
from core.pictures.images import Pictures
from train.families import trained_family_of
from train.release import space, verify
from train.run import sets

COPY = 4.0
"""A picture closer than this, in grey levels (root mean square), to one of a data set is a copy: the
compression of a sheet moves one by 1.5, by 3.2 at most, and the best reconstruction is 5 away."""
MOST_TILES = 4096
OWN_PLACE = "path/to/this/folder"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bundle", type=Path, help="folder of the bundle")
    parser.add_argument("--repo", required=True, help="where to: user/name")
    parser.add_argument("--name", help="its name in a manifest (default: that of the repository)")
    parser.add_argument("--title", help="what people read (default: the card's heading)")
    parser.add_argument("--private", action="store_true", help="make a new repository private")
    parser.add_argument("--dry-run", action="store_true", help="check and show, upload nothing")
    parser.add_argument(
        "--without-data",
        action="store_true",
        help="publish though its data set is not here to look for copies of its pictures",
    )


def main(arguments: argparse.Namespace) -> None:
    repo, revision = remote.parse(arguments.repo)
    if revision is not None:
        raise AtelierError(
            "publish-revision", "{repo}: name the repository alone.", repo=arguments.repo
        )
    name = arguments.name or re.sub(r"[^a-z0-9-]+", "-", repo.split("/")[1].lower())
    source = open_folder(arguments.bundle)
    title = arguments.title or source.heading
    check(source, without_data=arguments.without_data)
    with tempfile.TemporaryDirectory() as folder:
        staged = stage(source, Path(folder) / name, repo, title)
        show(staged, repo)
        if arguments.dry_run:
            print(f"\n{staged.card}")
            print(json.dumps(entry(staged, repo, "0" * 40, name, title), indent=1))
            print("Nothing was uploaded.")
            return
        files = {file: staged.folder / file for file in staged.sha256}
        words = f"{title} ({staged.digest})"
        published = hub.publish(
            repo, files, message=words, private=arguments.private, progress=space.show
        )
        check_arrival(staged, repo, published.commit)
    print(f"{published.url}\ncommit {published.commit}")
    print(json.dumps(entry(staged, repo, published.commit, name, title), indent=1))


def open_folder(folder: Path) -> bundles.Bundle:
    """The bundle of a folder; verified where a manifest next to it names its hashes."""
    manifest = read_manifest(folder.resolve().parent / "manifest.json")
    for named in manifest.entries:
        if named.folder == folder.resolve().name:
            print("hashes: those of the manifest", flush=True)
            return bundles.read_bundle(folder, expected=named.sha256)
    return open_bundle(folder)


# ---------------------------------------------------------------- checks


def check(source: bundles.Bundle, *, without_data: bool) -> None:
    """The weights give their golden output, and no picture of the data set is inside.

    Raises ``AtelierError``: ``bundle-golden``, ``publish-picture``, ``publish-data``.
    """
    if source.has_weights:
        off = verify.family_of(source).golden(source)
        print(f"golden output: off by {off:.1e}", flush=True)
    held = {where: tiles for where, tiles in pictures_inside(source) if len(tiles)}
    count = sum(map(len, held.values()))
    if not held:
        print("pictures inside: none", flush=True)
        return
    banks = list(at_hand(source))
    if not banks and not without_data:
        raise AtelierError(
            "publish-data",
            "The data set of the bundle {name} is not here to look for copies of its pictures: "
            "set {variable}, or publish with --without-data.",
            name=source.place,
            variable=data.DATA_DIR_VARIABLE,
        )
    for bank in banks:
        for where, tiles in held.items():
            refuse_copies(where, tiles, bank)
        words = f"pictures inside: {count:,}, none of them one of the {len(bank):,} of"
        print(f"{words} {bank.name} ({bank.split})", flush=True)
    if not banks:
        print(f"pictures inside: {count:,}, not compared with any data set", flush=True)


def pictures_inside(source: bundles.Bundle) -> Iterator[tuple[str, Pictures]]:
    """All pictures of 32 x 32 in a bundle's sheets and arrays, by where they stand."""
    for file in source.sha256:
        if file.endswith(".jpg"):
            tiles = images.read_sheet((source.folder / file).read_bytes(), MOST_TILES)
            yield file, without_uniform(tiles)
        elif file.endswith(".safetensors") and file != "model.safetensors":
            for key, array in source.arrays(file).items():
                found = as_pictures(array)
                if found is not None:
                    yield f"{file}: {key}", without_uniform(found)


def as_pictures(array: np.ndarray) -> Pictures | None:
    """An array (..., 32, 32, 3) or (..., 3, 32, 32) as pictures; None where it is no such thing."""
    size = images.SIZE
    if array.shape[-3:] == (3, size, size):
        array = np.moveaxis(array, -3, -1)
    elif array.shape[-3:] != (size, size, 3):
        return None
    found = array.reshape(-1, size, size, 3)
    if found.dtype == np.uint8:
        return found
    return np.clip(np.rint((found.astype(np.float64) + 1) * 127.5), 0, 255).astype(np.uint8)


def without_uniform(tiles: Pictures) -> Pictures:
    """Those that are not of one colour, as the padding of a sheet is."""
    return tiles[np.ptp(tiles.reshape(len(tiles), -1), axis=1) > 0] if len(tiles) else tiles


def at_hand(source: bundles.Bundle) -> Iterator[PictureSet]:
    """The splits that a bundle was trained and measured on, as far as they are here."""
    about = source.config["data"]
    if about["name"] == sets.OWN:
        return
    for split in dict.fromkeys((about["split"], about["test_split"])):
        if data.find_split(about["name"], split) is not None:
            yield data.load_split(about["name"], split)


def refuse_copies(where: str, tiles: Pictures, bank: PictureSet) -> None:
    closest = nearest(tiles, bank.pictures)
    first = int(closest.distance.argmin())
    if closest.distance[first] < COPY:
        raise AtelierError(
            "publish-picture",
            "{where} holds picture {index} of {data} ({split}): bundles hold no picture of a data "
            "set.",
            where=where,
            index=int(closest.index[first]),
            data=bank.name,
            split=bank.split,
        )


# ---------------------------------------------------------------- what is uploaded


def stage(source: bundles.Bundle, folder: Path, repo: str, title: str) -> bundles.Bundle:
    """A copy of the bundle with the card that the Hub shows; raises ``AtelierError`` ``disk-full``."""
    try:
        for file in source.sha256:
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source.folder / file, folder / file)
        (folder / "README.md").write_text(card(source, repo, title), encoding="utf-8")
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise AtelierError(
            "disk-full", "The disk is full: {repo} could not be stored.", repo=repo
        ) from error
    same = {file: value for file, value in source.sha256.items() if file != "README.md"}
    staged = bundles.read_bundle(folder)
    if {file: staged.sha256[file] for file in same} != same:
        raise AtelierError(
            "publish-changed", "The bundle {name} changed meanwhile.", name=source.place
        )
    return staged


def card(source: bundles.Bundle, repo: str, title: str) -> str:
    """The bundle's card with its figures as ``model-index``, its last sheets, and the place to load
    it from.
    """
    words = source.card.replace(OWN_PLACE, repo)
    shown = sheets(source)
    if shown:
        words += "\n## What the model made\n\n" + "\n".join(
            f"![{kind} after epoch {epoch}]({file})" for kind, epoch, file in shown
        )
        words += "\n"
    return hub.model_card(words, title, results(source))


def sheets(source: bundles.Bundle) -> list[tuple[str, int, str]]:
    """The last sheet of every kind: kind, epoch, file."""
    last: dict[str, tuple[str, int, str]] = {}
    for file in sorted(source.sha256):
        found = bundles.PROGRESS_FILE.fullmatch(file)
        if found:
            last[found.group(2)] = (found.group(2), int(found.group(1)), file)
    return list(last.values())


def results(source: bundles.Bundle) -> list[hub.Result]:
    """The main figures of a bundle for ``model-index``."""
    family, about = trained_family_of(source), source.config["data"]
    source_of, (_trained, tested) = data.SOURCES.get(about["name"]), sets.describe(about)
    found = dict(verify.figures(source.metrics))
    return [
        hub.Result(
            task=family.task,
            dataset=source_of.repo if source_of else about["name"],
            words_of_data=tested,
            split=about["test_split"],
            metric=metric,
            words=words,
            value=found[place],
        )
        for metric, words, place in family.figures
        if place in found
    ]


def show(staged: bundles.Bundle, repo: str) -> None:
    """What goes up, file by file."""
    print(f"{repo}: {len(staged.sha256)} files, {staged.bytes / 2**20:.2f} MiB, {staged.digest}")
    for file, value in staged.sha256.items():
        print(f"  {(staged.folder / file).stat().st_size:>10,}  {value[:12]}  {file}")


def check_arrival(staged: bundles.Bundle, repo: str, commit: str) -> None:
    """The commit holds these files and no other; raises ``AtelierError`` ``publish-differs``."""
    there = hub.list_repository(repo, commit).files
    names = {name for name in there if name != hub.KEPT_FILE}
    if names != {*staged.sha256} or not all(
        there[file].is_(staged.folder / file) for file in staged.sha256
    ):
        raise AtelierError(
            "publish-differs",
            "{repo} does not hold what was uploaded: publish it again.",
            repo=repo,
        )


def entry(
    staged: bundles.Bundle, repo: str, commit: str, name: str, title: str
) -> Mapping[str, object]:
    """What ``checkpoints/manifest.json`` says of the published bundle."""
    return {
        "name": name,
        "family": staged.family,
        "title": title,
        "sha256": dict(staged.sha256),
        "repo": repo,
        "revision": commit,
    }
