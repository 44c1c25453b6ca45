"""Works through a list of runs in order, for as long as there is time; goes on where it stopped.

    python -m train plan                            # what there is, done, begun and waiting
    python -m train plan --minutes 30               # trains for so long; again later, it goes on

A file (TOML) names the runs, the best value first. Each one is the command that one would type, so
a run of the plan can be resumed, finished and embedded by hand like any other. When the time is
over the run at work keeps its last whole epoch; ``--finish`` makes bundles of those too.
"""

from __future__ import annotations

import argparse
import json
import shlex
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

import torch

from core import bundle as bundles
from core.errors import AtelierError
from core.files import replacing
from train import embed, loop

PLAN = Path(__file__).with_name("plan.toml")
TRAINERS = ("vae", "ddpm", "simsiam", "judge")
OURS = ("--run", "--minutes", "--resume", "--finish")
"""Options that the plan gives itself."""

SECONDS_TO_STOP = 60
"""How long a run may take to notice that it is to stop."""


@dataclass(frozen=True)
class PlannedRun:
    """One run of a plan.

    ``command``: what follows ``python -m train``, but for the folder and the time. ``minutes``:
    its budget, which decides the number of epochs unless the command does or another run:
    ``as_long_as`` names one that this run is compared with, and trains as many epochs as.
    ``record``: what is kept of it in the end is its record, without weights.
    """

    name: str
    command: str
    minutes: float
    as_long_as: str = ""
    record: bool = False

    def __post_init__(self) -> None:
        words = self.words
        if not words or words[0] not in TRAINERS:
            raise ValueError(
                f"command of {self.name} must begin with one of {', '.join(TRAINERS)}, "
                f"got {self.command!r}"
            )
        for option in OURS:
            if option in words:
                raise ValueError(f"command of {self.name} must leave out {option}")
        if not self.minutes > 0:
            raise ValueError(f"minutes of {self.name} must be above 0, got {self.minutes}")
        if self.as_long_as and "--epochs" in words:
            raise ValueError(f"{self.name} must have as_long_as or --epochs, not both")

    @property
    def words(self) -> list[str]:
        return shlex.split(self.command)


def read_plan(path: Path) -> list[PlannedRun]:
    """The runs of a plan, in order.

    Raises ``AtelierError`` ``plan-unreadable`` and ``ValueError`` for what a run must not be.
    """
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8"))["run"]
    except (OSError, tomllib.TOMLDecodeError, KeyError) as error:
        raise AtelierError(
            "plan-unreadable", "{path} is no plan: a TOML file with [[run]].", path=path
        ) from error
    known = {one.name for one in fields(PlannedRun)}
    runs: list[PlannedRun] = []
    for entry in entries:
        if wrong := sorted(set(entry) - known):
            raise ValueError(f"a run has {', '.join(sorted(known))}, not {', '.join(wrong)}")
        if absent := [key for key in ("name", "command", "minutes") if key not in entry]:
            raise ValueError(f"a run must have {', '.join(absent)}, got {entry}")
        run = PlannedRun(**entry)
        earlier = [one.name for one in runs]
        if run.name in earlier:
            raise ValueError(f"names of runs must differ, got {run.name!r} twice")
        if run.as_long_as and run.as_long_as not in earlier:
            raise ValueError(
                f"as_long_as of {run.name} must name an earlier run, got {run.as_long_as!r}"
            )
        runs.append(run)
    return runs


# ---------------------------------------------------------------- how far a run is


@dataclass(frozen=True)
class Standing:
    """How far a run is: ``done`` of ``planned`` epochs (None: not begun), of which ``bundled``."""

    done: int = 0
    planned: int | None = None
    bundled: int = 0

    def state(self, wanted: int | None) -> Literal["waiting", "begun", "done"]:
        """``wanted``: epochs that the plan asks for; None where the run decides itself."""
        if self.planned is None:
            return "waiting"
        return "done" if self.bundled >= max(self.planned, wanted or 0) else "begun"


def standing(folder: Path) -> Standing:
    """How far the run in ``folder`` is, from its own files."""
    if not (folder / "state.pt").exists():
        return Standing()
    state = loop.load_state(folder / "state.pt", torch.device("cpu"))
    config, bundled = folder / "bundle" / "config.json", 0
    if config.exists():
        bundled = json.loads(config.read_text(encoding="utf-8"))["training"]["epochs_done"]
    return Standing(state["epoch"], state["settings"]["training"]["epochs"], bundled)


def epochs_of_leader(run: PlannedRun, root: Path) -> int | None:
    """Epochs of the run that this one is to be as long as; None: there is none, or not yet."""
    return standing(root / run.as_long_as).planned if run.as_long_as else None


def command_of(
    run: PlannedRun, folder: Path, now: Standing, wanted: int | None
) -> list[str] | None:
    """What begins the run or goes on with it; None while the run that it follows is not begun."""
    if now.planned is not None:
        more = ["--epochs", str(wanted)] if wanted is not None and wanted > now.planned else []
        return [run.words[0], "--run", str(folder), "--resume", *more]
    if run.as_long_as and wanted is None:
        return None
    if wanted is not None:
        length = ["--epochs", str(wanted)]
    else:
        length = [] if "--epochs" in run.words else ["--minutes", f"{run.minutes:g}"]
    return [*run.words, "--run", str(folder), *length]


# ---------------------------------------------------------------- work


def carry_out(command: Sequence[str], seconds: float) -> bool | None:
    """Runs a training command for at most ``seconds``.

    Whether it ended well; None where it was stopped, as by Ctrl-C, after its last whole epoch.
    """
    print(f"$ python -m train {shlex.join(command)}", flush=True)
    child = subprocess.Popen([sys.executable, "-m", "train", *command])
    try:
        return child.wait(timeout=max(0.0, seconds)) == 0
    except subprocess.TimeoutExpired:
        child.send_signal(signal.SIGINT)
    except KeyboardInterrupt:  # the terminal has told the child, too
        _wait(child)
        raise
    _wait(child)
    return None


def _wait(child: subprocess.Popen) -> None:
    try:
        child.wait(timeout=SECONDS_TO_STOP)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def work(runs: Sequence[PlannedRun], root: Path, minutes: float) -> list[str]:
    """Trains what is not done, in order, for ``minutes``; the names of the runs that failed."""
    end, failed = time.monotonic() + 60 * minutes, []
    for run in runs:
        left = end - time.monotonic()
        if left <= 0:
            break
        folder, wanted = root / run.name, epochs_of_leader(run, root)
        now = standing(folder)
        if now.state(wanted) == "done":
            continue
        command = command_of(run, folder, now, wanted)
        if command is None:
            continue
        if carry_out(command, left) is False:
            failed.append(run.name)
    return failed


def finish(runs: Sequence[PlannedRun], root: Path) -> list[str]:
    """Bundles of the last whole epochs of all runs that were begun; names of those that failed."""
    failed = []
    for run in runs:
        now = standing(root / run.name)
        if now.done > now.bundled:
            command = [run.words[0], "--run", str(root / run.name), "--finish"]
            if carry_out(command, float("inf")) is False:
                failed.append(run.name)
    return failed


def pack(runs: Sequence[PlannedRun], root: Path, target: Path) -> list[Path]:
    """A tar archive of every bundle, or of its record, named for the run."""
    made = []
    for run in runs:
        folder = root / run.name / "bundle"
        if not (folder / "config.json").exists():
            continue
        with tempfile.TemporaryDirectory() as scratch:
            if run.record:
                record = Path(scratch) / run.name
                embed.write_record(bundles.open_bundle(folder), record)
                folder = record
            path = target / f"{run.name}.tar"
            with replacing(path) as temporary, tarfile.open(temporary, "w") as archive:
                archive.add(folder, run.name)
        made.append(path)
    return made


# ---------------------------------------------------------------- the command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--file", type=Path, default=PLAN, help="the plan (default: train/plan.toml)"
    )
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of the runs")
    parser.add_argument("--only", help="names of runs, with commas between them")
    parser.add_argument("--minutes", type=float, help="train for so long (default: only show)")
    parser.add_argument(
        "--finish", action="store_true", help="make bundles of runs that are not at their end"
    )
    parser.add_argument("--pack", type=Path, help="a folder for one tar archive a bundle")


def chosen(runs: Sequence[PlannedRun], only: str | None) -> list[PlannedRun]:
    """The runs that ``only`` names, in the order of the plan; all without it."""
    if only is None:
        return list(runs)
    names = [name.strip() for name in only.split(",")]
    known = [run.name for run in runs]
    for name in names:
        if name not in known:
            raise ValueError(f"only must be of {', '.join(known)}, got {name!r}")
    return [run for run in runs if run.name in names]


def table(runs: Sequence[PlannedRun], root: Path) -> str:
    """One line a run: state, epochs, budget, name."""
    lines = []
    for run in runs:
        now, wanted = standing(root / run.name), epochs_of_leader(run, root)
        epochs = f"{now.done}/{max(now.planned or 0, wanted or 0) or '?'}"
        lines.append(
            f"{now.state(wanted):<8} {epochs:>9} epochs  {run.minutes:>5g} min  {run.name}"
        )
    return "\n".join(lines)


def main(arguments: argparse.Namespace) -> int:
    runs = chosen(read_plan(arguments.file), arguments.only)
    if arguments.minutes is not None and not arguments.minutes > 0:
        raise ValueError(f"minutes must be above 0, got {arguments.minutes}")
    failed: list[str] = []
    if arguments.minutes is not None:
        failed += work(runs, arguments.runs, arguments.minutes)
    if arguments.finish:
        failed += finish(runs, arguments.runs)
    if arguments.pack is not None:
        for path in pack(runs, arguments.runs, arguments.pack):
            print(f"{path}: {path.stat().st_size / 2**20:.2f} MiB")
    print(table(runs, arguments.runs))
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0
