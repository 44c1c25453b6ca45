"""The training and test pictures of a run, wherever they come from."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from core.errors import AtelierError
from core.pictures import data
from core.pictures.data import OwnFiles, PictureSet, Selection
from train.run import distributed

OWN = "folder"
"""Name of a data set that is one's own folder of class folders."""

HELD_OUT = 10
"""Of one's own pictures every tenth is a test picture."""

LEAST_HELD_OUT = 2
"""The fewest test pictures that have a variance."""

OFFICIAL_SIZES = {
    ("svhn", "train"): 73257,
    ("svhn", "test"): 26032,
    ("cifar10", "train"): 50000,
    ("cifar10", "test"): 10000,
}


NOTES = {
    ("svhn", "extended"): "training pictures 1 to 2000 and test pictures 1001 to 5033",
    ("svhn", "jittered"): "jittered crops of 4,434 digits, 4 a digit",
}
"""What the splits hold that are not the data set's own, where a run says nothing of them."""

TEST_PICTURES_SEEN = {("svhn", "extended"), ("svhn", "test"), ("cifar10", "test")}
"""Splits that hold pictures of the official test set."""

STRICTEST_FIRST = ("svhn", "folder", "cifar10")
"""Data sets by what their terms leave free."""


@dataclass(frozen=True)
class Terms:
    """What the licence of the pictures means for weights trained on them, for a model card."""

    front_matter: str
    sentence: str


TERMS = {
    "svhn": Terms(
        "license: other\nlicense_name: svhn-non-commercial\ndatasets: [ufldl-stanford/svhn]",
        "SVHN (Netzer et al. 2011) is for non-commercial use only; so are these weights.",
    ),
    "cifar10": Terms(
        "license: mit\ndatasets: [uoft-cs/cifar10]",
        "CIFAR-10 (Krizhevsky 2009) is free to use for research.",
    ),
    OWN: Terms(
        "license: unknown", "Whose pictures they are decides what the weights may be used for."
    ),
}


def load(
    name: str,
    split: str,
    test_split: str,
    *,
    folder: str = "",
    download: bool = False,
    pictures: int = 0,
    selection: Selection = "shares",
    mixed: bool = True,
) -> tuple[PictureSet, PictureSet]:
    """Training and test pictures: two splits of a known data set, or one's own ``folder``.

    ``download`` fetches missing splits from the Hub; ``pictures`` of the training split are taken
    (0: all), which ones ``core.pictures.data.select`` says. ``mixed``: those of a folder come in an
    order in which the first n, for any n, hold each class in its share, in place of class by class.
    Says on stderr which files of a folder are left out. Raises ``AtelierError`` ``folder-small`` and those of
    ``core.pictures.data``.
    """
    if folder:
        files = data.find_own(Path(folder))
        own, unreadable = data.load_own(files)
        if (files.left_out or unreadable) and distributed.is_first():
            print(left_out_in_words(files, unreadable), file=sys.stderr)
        trained, tested = hold_out(own)
        trained = part_of(trained, pictures, selection)
        return (data.mixed(trained), data.mixed(tested)) if mixed else (trained, tested)
    if download:
        for part in (split, test_split):
            if data.find_split(name, part) is None:
                data.download_split(name, part)
    trained = data.load_split(name, split, pictures, selection)
    return trained, data.load_split(name, test_split)


def left_out_in_words(files: OwnFiles, unreadable: Sequence[Path] = ()) -> str:
    """What of a folder is no picture to learn from, by its kinds, and the first that cannot be read."""
    kinds = [f"{kind} ({count})" for kind, count in files.left_out.items()]
    if unreadable:
        first = unreadable[0].relative_to(files.folder)
        kinds.append(f"{data.UNREADABLE} ({len(unreadable)}, the first is {first})")
    return f"Left out of {files.folder}: {', '.join(kinds)}."


def part_of(whole: PictureSet, count: int, selection: Selection) -> PictureSet:
    """``count`` pictures of a set, all where it is 0; which ones ``core.pictures.data.select`` says."""
    rows = data.select(whole.labels, count, selection)
    return replace(whole, pictures=whole.pictures[rows], labels=whole.labels[rows])


def hold_out(pictures: PictureSet) -> tuple[PictureSet, PictureSet]:
    """Every tenth picture of each class for testing, the others for training.

    Where that is no more than a picture in all, since classes are small, every tenth of the whole.
    Raises ``AtelierError`` ``folder-small``.
    """
    if len(pictures) < 2 * HELD_OUT:
        raise AtelierError(
            "folder-small",
            "{count} pictures are too few to learn from: at least {least} are needed.",
            count=len(pictures),
            least=2 * HELD_OUT,
        )
    place = np.zeros(len(pictures), dtype=np.int64)  # of a picture in its class
    for label in np.unique(pictures.labels):
        rows = np.flatnonzero(pictures.labels == label)
        place[rows] = np.arange(len(rows))
    tested = place % HELD_OUT == HELD_OUT - 1
    if tested.sum() < LEAST_HELD_OUT:
        tested = np.arange(len(pictures)) % HELD_OUT == HELD_OUT - 1
    parts = [
        PictureSet(OWN, split, pictures.pictures[rows], pictures.labels[rows], pictures.class_names)
        for split, rows in (("train", ~tested), ("test", tested))
    ]
    return parts[0], parts[1]


def note_of(name: str, split: str, folder: str = "") -> str:
    """What a split holds, in words; empty where it is the data set's own, or one's ``folder``."""
    return "" if folder else NOTES.get((name, split), "")


def terms_of(config: dict) -> Terms:
    """The terms of a bundle's weights, and what its figures compare with.

    The strictest of its own data and of the data of the bundles that it went on from.
    """
    seen = [(config["data"]["name"], config["data"]["split"])]
    seen += [(a["data_name"], a["split"]) for a in config["training"].get("ancestors", ())]
    terms = TERMS[min((name for name, _split in seen), key=STRICTEST_FIRST.index)]
    if not TEST_PICTURES_SEEN.intersection(seen):
        return terms
    return replace(
        terms,
        sentence=f"{terms.sentence} Pictures of the official test set are among those that it was "
        "trained on: none of its figures is a result on that test set.",
    )


def describe(about: dict) -> tuple[str, str]:
    """Training and test data in words, from a bundle's ``data``; called SVHN only where all of it
    was used.
    """
    words = []
    for split, count in (
        (about["split"], about["pictures"]),
        (about["test_split"], about["test_pictures"]),
    ):
        name = about["name"].upper().replace("CIFAR10", "CIFAR-10")
        if about["name"] == OWN:
            words.append(f"one's own folder ({split}), {count:,} pictures")
        elif OFFICIAL_SIZES.get((about["name"], split)) == count:
            words.append(f"{name} {split}, {count:,} pictures")
        else:
            words.append(f"{name} subset ({split}), {count:,} pictures")
    if about["note"]:
        words[0] += f": {about['note']}"
    return words[0], words[1]
