"""Copies a finished bundle into checkpoints/ and names it in the manifest."""

from __future__ import annotations

import argparse
import re
import shutil
from pathlib import Path

import numpy as np

from core.bundles import bundle as bundles
from core.bundles.files import replacing_folder
from core.bundles.manifest import CHECKPOINTS, register
from core.errors import AtelierError
from core.families import open_bundle
from train.families import trained_family_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bundle", type=Path, help="folder of the bundle")
    parser.add_argument("--name", required=True, help="its name in the manifest: vae-svhn")
    parser.add_argument("--title", required=True, help="what people read")
    parser.add_argument(
        "--record", action="store_true", help="without the weights: history and statistics alone"
    )
    parser.add_argument("--checkpoints", type=Path, default=CHECKPOINTS, help="where to")


def main(arguments: argparse.Namespace) -> None:
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", arguments.name):
        raise ValueError(
            f"name must be lower-case letters, digits and hyphens, got {arguments.name!r}"
        )
    source = open_bundle(arguments.bundle)
    target = arguments.checkpoints / arguments.name
    if target.resolve() == source.folder.resolve():
        raise AtelierError("embed-itself", "{folder} is there already.", folder=target)
    wanted = dict(source.sha256)

    def register_bundle() -> None:
        embedded = bundles.read_bundle(target, expected=wanted)
        place = arguments.checkpoints / "manifest.json"
        register(place, embedded, name=arguments.name, title=arguments.title)
        print(f"{target}: {embedded.bytes / 2**20:.2f} MiB, {embedded.digest}")

    with replacing_folder(target, register_bundle) as temporary:
        if arguments.record:
            write_record(source, temporary)
            wanted = dict(bundles.read_bundle(temporary, name=target.name).sha256)
        else:
            copy(source, temporary)


def copy(source: bundles.Bundle, folder: Path) -> None:
    """All files of a bundle."""
    for name in source.sha256:
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(source.folder / name, folder / name)


def write_record(source: bundles.Bundle, target: Path) -> None:
    """The bundle without its weights and without the features that they made."""
    family = trained_family_of(source)
    if not family.record:
        raise AtelierError(
            "embed-record", "Bundles of the family {family} keep weights.", family=source.family
        )
    config = {**source.config, "weights_kept": False}
    try:
        card = family.card(config, source.metrics, source.history)
    except KeyError as absent:
        raise AtelierError(
            "embed-figures",
            "The bundle {name} cannot be a record: its figures lack {what}.",
            name=source.place,
            what=str(absent).strip("'"),
        ) from absent
    kept = {
        name: array.astype(np.float16) if array.dtype == np.float32 else array
        for name, array in source.profiles.items()
        if not name.startswith(("before.", "bank_"))
    }
    bundles.write_bundle(
        target,
        config=config,
        weights=None,
        history=source.history,
        metrics=source.metrics,
        profiles=kept,
        golden=None,
        progress={},
        card=card,
    )
