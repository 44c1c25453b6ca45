"""The offline commands: ``python -m train vae``, ``ddpm``, ``simsiam``, ``judge`` and others."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from itertools import pairwise
from types import ModuleType

from core.bundles import files
from core.errors import AtelierError
from train.families import TRAINED
from train.release import embed, export, graphs, measure, pace, plan, publish, space, tables, verify
from train.run import download

OTHERS = {
    "measure": (measure, "measure a bundle anew, the judge's figures included"),
    "pace": (pace, "measure how fast each trainer goes, and where its time goes"),
    "plan": (plan, "work through a list of runs, for as long as there is time"),
    "embed": (embed, "put a bundle into checkpoints/ and name it in the manifest"),
    "export": (export, "write a bundle's networks as ONNX files"),
    "graphs": (graphs, "write the networks that run in a visitor's browser"),
    "tables": (tables, "write the tables of docs/ from the bundles"),
    "verify": (verify, "recompute every figure of a bundle"),
    "publish": (publish, "put a bundle on the Hugging Face Hub"),
    "data": (download, "fetch whole data sets from the Hub"),
    "space": (space, "put the app on a Hugging Face Space"),
}


def commands() -> dict[str, tuple[ModuleType, str]]:
    """By name: the module of a command and its help, those that train a family first."""
    return {name: (one.command, one.summary) for name, one in TRAINED.items()} | OTHERS


def build_parser() -> argparse.ArgumentParser:
    """The command line: one sub-command a module of ``commands``."""
    parser = argparse.ArgumentParser(prog="python -m train", description=__doc__)
    parsers = parser.add_subparsers(dest="command", required=True)
    for name, (module, summary) in commands().items():
        command = parsers.add_parser(
            name,
            help=summary,
            description=module.__doc__,
            allow_abbrev=False,  # what is typed is what is looked at
        )
        module.add_arguments(command)
    return parser


def refuse_empty(argv: Sequence[str]) -> None:
    """ValueError for an empty word: what a shell leaves of a variable that is not set would pass unseen.

    An empty path, for one, is the folder that one is in.
    """
    for before, word in pairwise(["", *argv]):
        option, typed, value = word.partition("=")
        if not word.strip():
            raise ValueError(f"what follows {before} must not be empty")
        if typed and option.startswith("-") and not value.strip():
            raise ValueError(f"what follows {option} must not be empty")


def main(argv: list[str] | None = None) -> int:
    """Run a command; the exit status. What a person can mend is one sentence on stderr."""
    argv = sys.argv[1:] if argv is None else argv
    arguments = build_parser().parse_args(argv)
    try:
        refuse_empty(argv)
        return commands()[arguments.command][0].main(arguments) or 0
    except (AtelierError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:  # a full disk, a folder that may not be read or written, …
        print(f"error: {files.plain(error)}", file=sys.stderr)
        return 1


def heed_signals() -> None:
    """SIGINT and SIGTERM stop a command as Ctrl-C does.

    A shell starts what it puts into the background with SIGINT ignored, and that is inherited.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)


if __name__ == "__main__":
    heed_signals()
    sys.exit(main())
