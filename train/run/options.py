"""The command line of a training run: its options, and which of them a run takes when.

Every option is absent unless it is typed, so that none can pass unseen: one that would be ignored is
refused.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import torch

from core.bundles.bundle import Bundle
from core.errors import AtelierError
from core.pictures.data import Selection
from train.run import ancestry, distributed, loop, run
from train.run.settings import Training
from train.run.trainer import Trainer

SETTINGS = (
    "data",
    "split",
    "test_split",
    "data_note",
    "folder",
    "epochs",
    "batch_size",
    "learning_rate",
    "weight_decay",
    "warmup_steps",
    "average_decay",
    "seed",
    "pictures",
    "updates_per_epoch",
)
"""Fields of ``Training`` that are an option each."""

TAKEN_WITH = {
    "resume": {"run", "resume", "epochs", "at_most", "folder", "download", "device"},
    "finish": {"run", "finish", "folder", "download", "device"},
}
"""What a run that goes on takes from the command line; all else stands in its settings."""

Configure = Callable[[argparse.Namespace, Bundle | None], tuple[Any, Training]]
"""Network and recipe that the options of a family name, given the bundle to begin with."""


def add_arguments(
    parser: argparse.ArgumentParser,
    presets: tuple[str, ...],
    defaults: Training,
    *,
    augmented: bool = True,
) -> None:
    """Options of every run; ``augmented`` where the augmentation of digits is used."""
    parser.add_argument("--run", type=Path, required=True, help="folder of the run")
    parser.add_argument(
        "--preset", choices=presets, help=f"size and recipe (default: {presets[0]})"
    )
    parser.add_argument(
        "--from",
        dest="start",
        metavar="BUNDLE",
        help="begin with the weights of this bundle: a folder, or user/name on the Hub",
    )
    going_on = parser.add_mutually_exclusive_group()
    going_on.add_argument(
        "--resume",
        action="store_true",
        default=None,
        help="go on with the run in the folder; with --epochs, to that many in all",
    )
    going_on.add_argument(
        "--finish",
        action="store_true",
        default=None,
        help="no more training: a bundle of the last epoch",
    )
    parser.add_argument(
        "--download",
        action="store_true",
        default=None,
        help="fetch the data set from the Hub where it is missing",
    )
    _add_limits(parser)
    _add_recipe(parser, defaults, augmented)


def _add_limits(parser: argparse.ArgumentParser) -> None:
    """How long, and on what."""
    parser.add_argument("--minutes", type=float, help="budget; decides the number of epochs")
    parser.add_argument(
        "--at-most",
        type=float,
        metavar="MINUTES",
        help="by the clock: then no further epoch is begun and the bundle is made",
    )
    parser.add_argument("--device", help="cuda, mps or cpu (default: the best at hand)")


def _add_recipe(parser: argparse.ArgumentParser, defaults: Training, augmented: bool) -> None:
    """One option for each of ``SETTINGS``, and what makes steps faster."""
    for name in SETTINGS:
        default = getattr(defaults, name)
        parser.add_argument(
            f"--{name.replace('_', '-')}", type=type(default), help=f"default: {default!r}"
        )
    parser.add_argument(
        "--selection",
        choices=get_args(Selection),
        help="which of the pictures --pictures takes (default: of every class its share)",
    )
    if augmented:
        parser.add_argument(
            "--augment", type=float, help="factor on every augmentation (default: 1; 0: none)"
        )
    parser.add_argument(
        "--compile",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="compile the network first, which takes minutes (default: no)",
    )
    parser.add_argument(
        "--record",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="replay the passes of a DDPM or of SimSiam as CUDA graphs (default: on CUDA)",
    )


def typed_options(arguments: argparse.Namespace) -> set[str]:
    """The options that were typed, by the names of their values."""
    return {key for key, value in vars(arguments).items() if value is not None} - {"command"}


def spell_options(names: set[str]) -> str:
    """Options as they are typed, in order."""
    own = {"start": "--from", "T": "-T"}
    return ", ".join(sorted(own.get(name, f"--{name.replace('_', '-')}") for name in names))


def refuse_ignored(arguments: argparse.Namespace) -> None:
    """Raises ValueError where an option was typed that this run would not heed."""
    typed = typed_options(arguments)
    for going_on, taken in TAKEN_WITH.items():
        if going_on in typed and (ignored := typed - taken):
            raise ValueError(
                f"--resume and --finish take the settings of the run: leave out {spell_options(ignored)}"
            )
    if {"minutes", "epochs"} <= typed:
        raise ValueError("--minutes decides the number of epochs: leave out --epochs")
    if "folder" in typed and (ignored := typed & {"data", "split", "test_split", "download"}):
        raise ValueError(f"--folder names the pictures: leave out {spell_options(ignored)}")
    if "selection" in typed and "pictures" not in typed:
        raise ValueError("--selection says which pictures --pictures takes: name their number")
    for name in ("minutes", "at_most"):
        value = getattr(arguments, name)
        if value is not None and not 0 < value < math.inf:
            raise ValueError(f"{name} must be above 0, got {value}")


def training_of(
    recipe: Training,
    arguments: argparse.Namespace,
    device: torch.device,
    *,
    recordable: bool = False,
) -> Training:
    """The recipe with what the command line changes.

    ``recordable``: whether the family's steps may be recorded, which takes CUDA and a single process.
    Raises ValueError where that is asked for and cannot be.
    """
    recordable = recordable and device.type == "cuda" and not distributed.running()
    if arguments.record and not recordable:
        raise ValueError("--record takes CUDA, a single process, and a DDPM or SimSiam")
    changed = {
        name: getattr(arguments, name)
        for name in (*SETTINGS, "selection", "compile", "record")
        if getattr(arguments, name) is not None
    }
    changed.setdefault("record", recordable)
    factor = getattr(arguments, "augment", None)
    if factor is not None:
        changed["augmentation"] = recipe.augmentation.scaled(factor)
    return replace(recipe, **changed)


def _carry_out(
    family: type[Trainer], configure: Configure, arguments: argparse.Namespace, device: torch.device
) -> Path:
    """The bundle of the run that the command line starts, resumes or finishes."""
    where = {"download": bool(arguments.download), "device": device}
    if arguments.finish:
        return run.finish(family, arguments.run, folder=arguments.folder, **where)
    if arguments.resume:
        return run.resume(
            family,
            arguments.run,
            epochs=arguments.epochs,
            folder=arguments.folder,
            at_most=arguments.at_most,
            **where,
        )
    bundle = None
    if arguments.start is not None:
        bundle = ancestry.open_start(arguments.start, family.family)
    config, recipe = configure(arguments, bundle)
    return run.start(
        family,
        arguments.run,
        config,
        training_of(recipe, arguments, device, recordable=family.records),
        begin_with=bundle,
        minutes=arguments.minutes,
        at_most=arguments.at_most,
        **where,
    )


def main(
    family: type[Trainer],
    configure: Configure,
    arguments: argparse.Namespace,
    device: torch.device | None = None,
) -> None:
    """Train as the command line says."""
    refuse_ignored(arguments)
    device = device or loop.pick_device(arguments.device)
    try:
        bundle = _carry_out(family, configure, arguments, device)
    except KeyboardInterrupt:
        if not (arguments.run / "state.pt").exists():
            raise AtelierError(
                "run-stopped-early", "Stopped within the first epoch: there is nothing to keep."
            ) from None
        raise AtelierError(
            "run-stopped",
            "Stopped. The last whole epoch is kept: go on with --resume, or make a bundle of it "
            "with --finish.",
        ) from None
    if distributed.is_first():
        print(f"bundle: {bundle}")
