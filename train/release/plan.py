"""Works through a list of runs in order, for as long as there is time; goes on where it stopped.

    python -m train plan                            # what there is, done, begun and waiting
    python -m train plan --minutes 30               # trains for so long; again later, it goes on
    python -m train plan --file train/plans/two-cores.toml --minutes 170 --jobs 2

A file (TOML) names the runs, the best value first. Each one is the command that one would type, so
a run of the plan can be resumed, finished and embedded by hand like any other. When the time is
over the runs at work keep their last whole epoch; ``--finish`` makes bundles of those too. With
``--jobs`` several train at once, each with its share of the cores, and give way to other work.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from threading import Event
from typing import Literal, get_args

import torch

from core.errors import AtelierError
from train.families import TRAINED
from train.release import pack
from train.release.pack import Kept
from train.run import loop
from train.run.lock import PLAN_VARIABLE, is_locked

PLAN = Path(__file__).parents[1] / "plans" / "accelerator.toml"
TRAIN = (sys.executable, "-m", "train")
"""What starts a run."""

OURS = ("--run", "--minutes", "--at-most", "--resume", "--finish", "--from")
"""Options that the plan gives itself, or for which a run has a field."""

SECONDS_TO_STOP = 60
"""How long a run may take to notice that it is to stop."""

ASK_AGAIN = 15.0
"""Seconds between two looks at what may begin while others train."""

TELLING = ("test_accuracy", "test_knn_accuracy", "test_negative_elbo", "test_loss")
"""Figures on test pictures, of which the first that a family has says how good its run is."""


@dataclass(frozen=True)
class PlannedRun:
    """One run of a plan.

    ``command``: what follows ``python -m train``, but for the folder and the time. ``minutes``:
    its budget, which decides the number of epochs unless the command does or another run does:
    ``as_long_as`` names the run that it is compared with, and it trains for as many epochs.
    ``start``: what it begins with, an earlier run of the plan once that has its bundle, or the folder
    of a bundle. ``at_most``: minutes by the clock after which it trains no further and makes its bundle
    (0: there is no such limit). ``keep``: what ``--pack`` keeps of it.
    """

    name: str
    command: str
    minutes: float
    as_long_as: str = ""
    start: str = ""
    at_most: float = 0.0
    keep: str = "all"  # of ``Kept``

    def __post_init__(self) -> None:
        for one in fields(self):
            value, kind = getattr(self, one.name), (int, float) if "float" in one.type else str
            if not isinstance(value, kind) or isinstance(value, bool):
                raise ValueError(f"{one.name} of a run must be {one.type}, got {value!r}")
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", self.name):
            raise ValueError(
                f"name must be lower-case letters, digits and hyphens, got {self.name!r}"
            )
        words = self.words
        if not words or words[0] not in TRAINED:
            raise ValueError(
                f"command of {self.name} must begin with one of {', '.join(TRAINED)}, "
                f"got {self.command!r}"
            )
        typed = self.options
        for option in OURS:
            if option in typed:
                raise ValueError(f"command of {self.name} must leave out {option}")
        if not 0 <= self.at_most < math.inf:
            raise ValueError(f"at_most of {self.name} must be 0 or more, got {self.at_most}")
        if self.keep not in get_args(Kept):
            raise ValueError(
                f"keep of {self.name} must be one of {get_args(Kept)}, got {self.keep!r}"
            )
        if self.keep != "all" and not TRAINED[words[0]].record:
            raise ValueError(f"keep of {self.name} must be 'all': {words[0]} keeps its weights")
        if not 0 < self.minutes < math.inf:
            raise ValueError(f"minutes of {self.name} must be above 0, got {self.minutes}")
        if self.as_long_as and "--epochs" in typed:
            raise ValueError(f"{self.name} must have as_long_as or --epochs, not both")

    @property
    def words(self) -> list[str]:
        return shlex.split(self.command)

    @property
    def options(self) -> set[str]:
        """The options that the command has, without their values: ``--epochs=3`` is ``--epochs``."""
        return {word.split("=")[0] for word in self.words}


def read_plan(path: Path) -> list[PlannedRun]:
    """The runs of a plan, in order.

    Where the file states ``core_hours``, they must be the sum of its minutes. Raises ``AtelierError``
    ``plan-unreadable`` and ``ValueError`` for what a run must not be.
    """
    try:
        plan = tomllib.loads(path.read_text(encoding="utf-8"))
        entries = plan["run"]
        if not isinstance(entries, list) or not all(isinstance(one, dict) for one in entries):
            raise KeyError("run")
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
        if run.start and run.start not in earlier and "/" not in run.start:
            raise ValueError(
                f"start of {run.name} must name an earlier run or a folder, got {run.start!r}"
            )
        runs.append(run)
    hours = sum(run.minutes for run in runs) / 60
    if abs(plan.get("core_hours", hours) - hours) > 0.05:
        raise ValueError(f"core_hours must be the sum {hours:.1f}, got {plan['core_hours']}")
    return runs


# ---------------------------------------------------------------- how far a run is


@dataclass(frozen=True)
class Standing:
    """How far a run is: ``done`` of ``planned`` epochs (None: not begun), of which ``bundled``.

    ``last``: its figures after the last epoch.
    """

    done: int = 0
    planned: int | None = None
    bundled: int = 0
    last: Mapping[str, float] = field(default_factory=dict)

    def figure(self) -> str:
        """The figure on test pictures that says most, with its name; empty before the first epoch."""
        told = [name for name in TELLING if name in self.last]
        return f"  {told[0]} {self.last[told[0]]:.5g}" if told else ""

    def state(
        self, wanted: int | None, at_most: float = 0.0
    ) -> Literal["waiting", "begun", "done"]:
        """``wanted``: epochs that the plan asks for; None where the run decides itself.

        A run with a limit ``at_most`` is done once it has the bundle of its last epoch.
        """
        if self.planned is None:
            return "waiting"
        if at_most and 0 < self.bundled == self.done:
            return "done"
        return "done" if self.bundled >= max(self.planned, wanted or 0) else "begun"


def standing(folder: Path) -> Standing:
    """How far the run in ``folder`` is, from its own files."""
    if not (folder / "state.pt").exists():
        return Standing()
    state = loop.load_state(folder / "state.pt", torch.device("cpu"))
    config, bundled = folder / "bundle" / "config.json", 0
    if config.exists():
        bundled = json.loads(config.read_text(encoding="utf-8"))["training"]["epochs_done"]
    last = state["history"][-1] if state["history"] else {}
    return Standing(state["epoch"], state["settings"]["training"]["epochs"], bundled, last)


def epochs_of_leader(run: PlannedRun, root: Path, plan: Sequence[PlannedRun] = ()) -> int | None:
    """Epochs of the run that this one is to be as long as; None: there is none, or not yet.

    Those that it is planned for; or of one that its limit has ended, those that it has.
    """
    if not run.as_long_as:
        return None
    now = standing(root / run.as_long_as)
    limits = [one.at_most for one in plan if one.name == run.as_long_as]
    return now.done if now.state(None, *limits) == "done" else now.planned


def bundle_to_begin_with(run: PlannedRun, root: Path, plan: Sequence[PlannedRun]) -> Path | None:
    """The bundle that a run begins with; None while the run that is to make it is not at its end.

    ``plan``: all runs that there are, those among them that are not asked for, too.
    """
    for one in plan:
        if one.name == run.start:
            now = standing(root / one.name)
            done = now.state(epochs_of_leader(one, root, plan), one.at_most) == "done"
            return root / one.name / "bundle" if done else None
    return Path(run.start)


def command_of(
    run: PlannedRun,
    folder: Path,
    now: Standing,
    wanted: int | None,
    start: Path | None = None,
) -> list[str] | None:
    """What begins the run or goes on with it; None while the run that it follows is not begun.

    ``wanted``: epochs of the run that it follows. ``start``: the bundle to begin with; None where
    that is not made yet.
    """
    limit = ["--at-most", f"{run.at_most:g}"] if run.at_most else []
    if now.planned is not None:
        more = ["--epochs", str(wanted)] if wanted is not None and wanted > now.planned else []
        return [run.words[0], "--run", str(folder), "--resume", *more, *limit]
    if (run.as_long_as and wanted is None) or (run.start and start is None):
        return None
    if wanted is not None:
        length = ["--epochs", str(wanted)]
    else:
        length = [] if "--epochs" in run.options else ["--minutes", f"{run.minutes:g}"]
    begun = ["--from", str(start)] if run.start else []
    return [*run.words, "--run", str(folder), *begun, *length, *limit]


# ---------------------------------------------------------------- work


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def carry_out(
    command: Sequence[str], seconds: float, jobs: int = 1, stop: Event | None = None
) -> bool | None:
    """Runs a training command for at most ``seconds``, or until ``stop`` is set; one of ``jobs``.

    Whether it ended well; None where it was stopped, as by Ctrl-C: it keeps its last whole epoch.
    """
    print(f"$ python -m train {shlex.join(command)}", flush=True)
    environment, politely = {**os.environ, PLAN_VARIABLE: str(os.getpid())}, []
    if jobs > 1:
        environment.setdefault("OMP_NUM_THREADS", str(max(1, cores() // jobs)))
        politely = ["nice", "-n", "19"] if shutil.which("nice") else []
    # In a group of its own: Ctrl-C in a terminal reaches the plan, which tells it once.
    child = subprocess.Popen([*politely, *TRAIN, *command], env=environment, process_group=0)
    end = time.monotonic() + seconds
    try:
        while time.monotonic() < end and not (stop and stop.is_set()):
            with suppress(subprocess.TimeoutExpired):
                return child.wait(timeout=max(0.0, min(1.0, end - time.monotonic()))) == 0
    except BaseException:
        _stop(child)
        raise
    _stop(child)
    return None


def _stop(child: subprocess.Popen) -> None:
    child.send_signal(signal.SIGINT)
    try:
        child.wait(timeout=SECONDS_TO_STOP)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def next_to_train(
    waiting: list[PlannedRun], root: Path, plan: Sequence[PlannedRun]
) -> tuple[PlannedRun, list[str]] | None:
    """The first run that can be trained now, with its command; it leaves the list, as all that are done.

    None where each of them is done, waits for another one, or is trained by another process.
    """
    for run in [run for run in waiting if not is_locked(root / run.name)]:
        folder, wanted = root / run.name, epochs_of_leader(run, root, plan)
        now = standing(folder)
        if now.state(wanted, run.at_most) == "done":
            waiting.remove(run)
            continue
        start = bundle_to_begin_with(run, root, plan) if run.start else None
        command = command_of(run, folder, now, wanted, start)
        if command is not None:
            waiting.remove(run)
            return run, command
    return None


def trained_elsewhere(runs: Sequence[PlannedRun], root: Path) -> int:
    """How many of the runs other processes train."""
    return sum(is_locked(root / run.name) for run in runs)


def work(
    runs: Sequence[PlannedRun],
    root: Path,
    minutes: float,
    jobs: int = 1,
    at_end: Callable[[PlannedRun], object] = lambda run: None,
    plan: Sequence[PlannedRun] = (),
) -> list[str]:
    """Trains what is not done, in order, for ``minutes``; the names of the runs that failed.

    ``jobs`` at once; a run that another process trains is left to it and counts as one of them.
    ``plan``: all runs, where ``runs`` are some of them. ``at_end`` is called with every run that
    ended, before the next one; where it raises, the run has failed and the others go on.
    """
    plan = plan or runs
    end, failed, stop = time.monotonic() + 60 * minutes, [], Event()
    waiting, at_work = list(runs), dict[Future, PlannedRun]()

    with ThreadPoolExecutor(jobs) as pool:
        try:
            while True:
                others = trained_elsewhere(waiting, root)
                while len(at_work) + others < jobs and (left := end - time.monotonic()) > 0:
                    found = next_to_train(waiting, root, plan)
                    if found is None:
                        break
                    run, command = found
                    at_work[pool.submit(carry_out, command, left, jobs, stop)] = run
                if not at_work:
                    if time.monotonic() > end or not others:
                        return failed
                    time.sleep(1)
                # Not until one ends: what waits for the first epoch of another may begin meanwhile.
                for future in wait(at_work, ASK_AGAIN, return_when=FIRST_COMPLETED).done:
                    run = at_work.pop(future)
                    try:
                        well = future.result() is not False
                        at_end(run)
                    except (AtelierError, OSError) as error:
                        print(f"error: {run.name}: {error}", file=sys.stderr)
                        well = False
                    if not well:
                        failed.append(run.name)
        except BaseException:
            stop.set()
            raise


def finish(runs: Sequence[PlannedRun], root: Path, jobs: int = 1) -> list[str]:
    """Bundles of the last whole epochs of all runs that were begun; names of those that failed."""
    failed = []
    for run in runs:
        folder = root / run.name
        now = standing(folder)
        if now.done > now.bundled and not is_locked(folder):
            command = [run.words[0], "--run", str(folder), "--finish"]
            if carry_out(command, float("inf"), jobs) is False:
                failed.append(run.name)
    return failed


def smoke(runs: Sequence[PlannedRun], seconds: float) -> list[str]:
    """One update and a bundle by the first run of every trainer; the names of those that failed.

    Each has ``seconds``, and one that fails does not keep the next from being tried: what would go
    wrong at the end of a long run goes wrong here first.
    """
    failed, seen = [], set()
    with tempfile.TemporaryDirectory() as scratch:
        for run in runs:
            if run.words[0] in seen:
                continue
            seen.add(run.words[0])
            begun = time.monotonic()
            short = ["--epochs", "1", "--updates-per-epoch", "1"]
            # Of an option that is typed twice the last one counts.
            command = [*run.words, "--run", str(Path(scratch) / run.name), *short]
            well = carry_out(command, seconds)
            if not well:
                failed.append(run.name)
            how = {True: "well", False: "FAILED", None: f"NOT WITHIN {seconds:g} s"}[well]
            print(f"smoke of {run.name}: {how}, {time.monotonic() - begun:.0f} s", flush=True)
    return failed


# ---------------------------------------------------------------- the command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--file", type=Path, default=PLAN, help="the plan (default: train/plans/accelerator.toml)"
    )
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of the runs")
    parser.add_argument("--only", help="names of runs, with commas between them")
    parser.add_argument("--minutes", type=float, help="train for so long (default: only show)")
    parser.add_argument("--jobs", type=int, default=1, help="how many train at once (default: 1)")
    parser.add_argument(
        "--smoke",
        type=float,
        metavar="SECONDS",
        help="first try every trainer for one update and its bundle, each at most so long",
    )
    parser.add_argument(
        "--finish", action="store_true", help="make bundles of runs that are not at their end"
    )
    parser.add_argument("--pack", type=Path, help="a folder for one tar archive a bundle")
    parser.add_argument(
        "--part", type=float, metavar="MIB", help="cut archives into parts of at most this many MiB"
    )


def select_runs(runs: Sequence[PlannedRun], only: str | None) -> list[PlannedRun]:
    """The runs that ``only`` names, in the order of the plan; all without it."""
    if only is None:
        return list(runs)
    names = [name.strip() for name in only.split(",")]
    known = [run.name for run in runs]
    for name in names:
        if name not in known:
            raise ValueError(f"only must be of {', '.join(known)}, got {name!r}")
    return [run for run in runs if run.name in names]


def table(runs: Sequence[PlannedRun], root: Path, plan: Sequence[PlannedRun] = ()) -> str:
    """One line a run: state, epochs, budget, name, the last figure on test pictures."""
    lines = []
    for run in runs:
        now, wanted = standing(root / run.name), epochs_of_leader(run, root, plan or runs)
        epochs = f"{now.done}/{max(now.planned or 0, wanted or 0) or '?'}"
        state = "at work" if is_locked(root / run.name) else now.state(wanted, run.at_most)
        lines.append(
            f"{state:<8} {epochs:>9} epochs  {run.minutes:>5g} min  {run.name}{now.figure()}"
        )
    return "\n".join(lines)


def main(arguments: argparse.Namespace) -> int:
    plan = read_plan(arguments.file)
    runs = select_runs(plan, arguments.only)
    for name in ("minutes", "smoke", "part"):
        value = getattr(arguments, name)
        if value is not None and not 0 < value < math.inf:
            raise ValueError(f"{name} must be above 0, got {value}")
    if arguments.jobs < 1:
        raise ValueError(f"jobs must be at least 1, got {arguments.jobs}")
    if arguments.part is not None and arguments.pack is None:
        raise ValueError("--part cuts what --pack packs: name a folder with --pack")

    def pack_runs(some: Sequence[PlannedRun]) -> list[Path]:
        if arguments.pack is None:
            return []
        kept = {run.name: run.keep for run in some}
        return pack.pack(arguments.runs, arguments.pack, kept, arguments.part)

    failed: list[str] = []
    if arguments.smoke is not None:
        failed += [f"smoke of {name}" for name in smoke(runs, arguments.smoke)]
    if arguments.minutes is not None:
        failed += work(
            runs,
            arguments.runs,
            arguments.minutes,
            arguments.jobs,
            lambda run: pack_runs([run]),  # there, whatever happens to the next one
            plan,
        )
    if arguments.finish:
        failed += finish(runs, arguments.runs, arguments.jobs)
    for path in pack_runs(runs):
        print(f"{path}: {path.stat().st_size / 2**20:.2f} MiB")
    print(table(runs, arguments.runs, plan))
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0
