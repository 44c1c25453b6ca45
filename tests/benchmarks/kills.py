"""Kills trainers and ``publish`` at random, goes on, and counts what was lost by it.

    python tests/benchmarks/kills.py [--count 200] [--seed 0] [--only CASE] [--short]

Every case is a run of a tiny network, or a bundle on its way to a small server with the Hub's routes. It is
killed (SIGKILL) one to three times and then left alone:

moment   the process is killed after a random part of the time that it takes
change   it kills itself right before one of its changes of files, any of them as likely as any other
request  a ``publish`` is killed while the Hub answers one of its requests

After every kill each file that stands under its own name is whole, and what the Hub holds opens as the bundle
of before or as the new one, or not at all. At the end the weights are byte for byte those of a run that nobody
killed, and so is all else but times. Exits with 1 where anything was lost.
"""

from __future__ import annotations

import itertools
import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np
import torch
from PIL import Image

from core.bundles.files import restore_interrupted
from core.errors import AtelierError
from core.families import check_contents, family_of, open_bundle
from core.pictures.data import SOURCES
from tests.benchmarks import killed, losses
from tests.benchmarks.losses import Losses
from tests.hub_server import WRITER, Hub
from train.run import loop
from train.run.run import STATE

ROOT = Path(__file__).parents[2]
FULL, SHORT = 200, 4
KINDS = ("judge", "publish", "vae", "finish", "ddpm", "publish", "simsiam", "publish")
"""What the cases are, in turn: a family that is trained, a bundle written anew, or one that is published."""
MOST_KILLS = 3
HANGS = 900.0
"""Seconds after which a child is taken to hang."""
REPO = "user/killed"
OF_TIME = ("seconds", "timing")
"""How names begin of what no two runs have in common."""


@dataclass(frozen=True)
class Whole:
    """Work that nobody disturbed: its folder, how long it took, how often it changed a file, how many requests
    it sent.
    """

    folder: Path
    seconds: float
    changes: int
    requests: int = 0


class Kills:
    """The place of work, the children, and what they were without a kill."""

    def __init__(self, folder: Path, hub: Hub, counted: Losses) -> None:
        self.folder, self.hub, self.losses = folder, hub, counted
        self.children = multiprocessing.get_context("forkserver")
        self.children.set_forkserver_preload(["tests.benchmarks.killed"])
        self.log = folder / "log"
        self.number, self.turn, self.kind, self.kills = 0, 0, "", 0
        self._wholes: dict[tuple[str, str], Whole] = {}
        self._published: dict[str, tuple[dict[str, bytes], str]] = {}

    # ------------------------------------------------------------ children

    def child(self, function: Callable, *arguments: object) -> multiprocessing.Process:
        """A process of its own, which is not started yet."""
        self.log.write_text("")
        return self.children.Process(target=function, args=arguments)

    def ended(self, process: multiprocessing.Process) -> bool:
        """Waits for a child; whether it came to its own good end."""
        process.join(HANGS)
        if process.exitcode is None:
            process.kill()
            process.join()
            self.lose("it hangs")
        elif process.exitcode not in (0, -signal.SIGKILL):
            said = " / ".join(self.log.read_text(errors="replace").splitlines()[-3:])
            self.lose(f"it ended with {process.exitcode}: {said}")
        return process.exitcode == 0

    def lose(self, words: str) -> None:
        self.losses.lost(self.number, self.kind, words)

    def undisturbed(self, work: str, family: str) -> Whole:
        """What ``train``, ``finish`` or ``publish`` of a family is without a kill."""
        if (work, family) not in self._wholes:
            self._wholes[work, family] = self._first(work, family)
        return self._wholes[work, family]

    def _first(self, work: str, family: str) -> Whole:
        run, told = self.folder / "whole" / family, self.folder / "told"
        if work != "train":  # the whole run stays as it is
            run = self._copy(family, f"whole/{work}-{family}")
        arguments = (run / "bundle", REPO) if work == "publish" else (family, run)
        self.hub.forget()
        process = self.child(getattr(killed, work), *arguments, self.log, told, None)
        begun = time.perf_counter()
        process.start()
        if not self.ended(process):
            raise SystemExit(f"{work} of {family} fails without a kill")
        seconds = time.perf_counter() - begun
        return Whole(run, seconds, int(told.read_text()), len(self.hub.seen))

    def _copy(self, family: str, name: str) -> Path:
        whole = self.undisturbed("train", family).folder
        return shutil.copytree(whole, self.folder / name)

    def kill(self, chance: random.Random, whole: Whole, function: Callable, *arguments) -> None:
        """Starts a child and kills it, one way after the other; it may come to its end before that."""
        ways = ["change", *(["request"] if whole.requests else []), "moment"]
        way = ways[(self.number + self.turn) % len(ways)]
        self.turn += 1
        at = chance.randrange(whole.changes) if way == "change" else None
        process = self.child(function, *arguments, self.log, None, at)
        if way == "request":
            self.hub.fault = killer_at(chance.randrange(whole.requests), process)
        process.start()
        if way == "moment":
            process.join(chance.uniform(0, 0.9 * whole.seconds))
            process.kill()
        late = self.ended(process)
        self.hub.fault = lambda method, path: None
        self.losses.tried("came too late" if late else f"killed at a {way}")
        self.kills += not late

    # ------------------------------------------------------------ cases

    def case(self, number: int) -> None:
        """One run, or one bundle on its way; killed, and then left alone."""
        chance = self.losses.chance(number)
        self.number, self.turn, self.kind = number, 0, KINDS[number % len(KINDS)]
        self.losses.tried(f"case: {self.kind}")
        times = chance.choice((1, 1, 2, MOST_KILLS))
        if self.kind == "publish":
            self.published(chance, times)
        elif self.kind == "finish":
            self.finished(chance, times)
        else:
            self.trained(chance, self.kind, times)
        shutil.rmtree(self.folder / "at-work", ignore_errors=True)

    def trained(self, chance: random.Random, family: str, times: int) -> None:
        """A run that is killed while it is trained."""
        whole, run = self.undisturbed("train", family), self.folder / "at-work" / "run"
        for _ in range(times):
            self.kill(chance, whole, killed.train, family, run)
            self.no_half_file(run)
        self.to_its_end(killed.train, family, run, whole)

    def finished(self, chance: random.Random, times: int) -> None:
        """A bundle that is written anew: one whole bundle, the old or the new one, is always there."""
        family = chance.choice(("judge", "vae"))
        whole, run = self.undisturbed("finish", family), self._copy(family, "at-work/run")
        for _ in range(times):
            self.kill(chance, whole, killed.finish, family, run)
            self.no_half_file(run)
            again = shutil.copytree(run, run.with_name("again"), dirs_exist_ok=True)
            restore_interrupted(again)  # as whoever takes the run's lock does
            if not (again / "bundle").is_dir():
                self.lose("the bundle is gone")
            shutil.rmtree(again)
        self.to_its_end(killed.finish, family, run, whole)

    def to_its_end(self, function: Callable, family: str, run: Path, whole: Whole) -> None:
        """Without another kill; then nothing differs from the run that was never killed."""
        process = self.child(function, family, run, self.log, None, None)
        process.start()
        if self.ended(process):
            self.no_half_file(run)
            for words in differences(run, whole.folder):
                self.lose(words)
            left = [path.name for path in hidden(run) if path.name != ".lock"]
            if left:
                self.lose(f"left behind: {', '.join(left)}")

    def no_half_file(self, run: Path) -> None:
        for words in half_files(run):
            self.lose(words)

    # ------------------------------------------------------------ the Hub

    def on_the_hub(self, family: str) -> tuple[dict[str, bytes], str]:
        """The files of a published bundle and its digest."""
        if family not in self._published:
            self.undisturbed("publish", family)
            self.hub.forget()
            self.published_again(family)
            self._published[family] = (dict(self.hub.files(REPO)), self.fetched())
        return self._published[family]

    def published_again(self, family: str) -> None:
        bundle = self.undisturbed("train", family).folder / "bundle"
        process = self.child(killed.publish, bundle, REPO, self.log, None, None)
        process.start()
        self.ended(process)

    def fetched(self) -> str:
        """What a reader gets from the Hub: the digest of a bundle, or the code of an error."""
        told = self.folder / "told"
        process = self.child(killed.fetch, REPO, self.log, told)
        process.start()
        return told.read_text() if self.ended(process) else "no end"

    def published(self, chance: random.Random, times: int) -> None:
        """A bundle that is killed on its way to a new repository, or to one that holds another bundle."""
        old, new = chance.sample(("judge", "vae"), 2)
        known = {self.on_the_hub(one)[1]: self.on_the_hub(one)[0] for one in (old, new)}
        whole = self.undisturbed("publish", new)
        self.hub.forget()
        if chance.random() < 0.5:
            self.hub.put(REPO, self.on_the_hub(old)[0])
        bundle = self.undisturbed("train", new).folder / "bundle"
        for _ in range(times):
            self.kill(chance, whole, killed.publish, bundle, REPO)
            self.no_half_bundle(known)
        self.published_again(new)
        if self.no_half_bundle(known) != self.on_the_hub(new)[1]:
            self.lose("published again, it is not there")

    def no_half_bundle(self, known: dict[str, dict[str, bytes]]) -> str:
        """What a reader gets; every commit holds nothing, or one bundle whole."""
        held = self.hub.repositories.get(("models", REPO))
        commits = [] if held is None else [files for _name, files in held.commits]
        if any(files and files not in known.values() for files in commits):
            self.lose("a commit holds half a bundle")
        found = self.fetched()
        expected = {"hub-not-found"} if held is None else {"bundle-incomplete"}
        if commits and commits[-1]:
            expected = {digest for digest, files in known.items() if files == commits[-1]}
        if found not in expected:
            self.lose(f"the Hub gave {found}, not {', '.join(expected) or 'an error'}")
        return found


def killer_at(number: int, process: multiprocessing.Process) -> Callable[[str, str], None]:
    """A fault of the Hub that ends its client while it answers the request of that number."""
    requests = itertools.count()

    def fault(_method: str, _path: str) -> None:
        if next(requests) == number:
            process.kill()

    return fault


# ---------------------------------------------------------------- whole and half


def hidden(run: Path) -> list[Path]:
    """What stands under a name with a dot in front, the highest only."""
    found = run.rglob(".*") if run.is_dir() else ()
    return [path for path in found if not any(part[0] == "." for part in shown(path.parent, run))]


def shown(path: Path, run: Path) -> tuple[str, ...]:
    return path.relative_to(run).parts


def named(run: Path) -> list[Path]:
    """The files that stand under their own names."""
    files = (path for path in run.rglob("*") if path.is_file()) if run.is_dir() else ()
    return [path for path in sorted(files) if not any(p[0] == "." for p in shown(path, run))]


def half_files(run: Path) -> Iterator[str]:
    """A sentence for each file or bundle of a run that is there and not whole."""
    for path in named(run):
        try:
            if path.name == "state.pt":
                held = loop.load_state(path, killed.CPU)
                if not set(held) >= STATE or held["epoch"] != len(held["history"]):
                    raise ValueError("a part of it is missing")
            elif path.suffix == ".json":
                json.loads(path.read_text(encoding="utf-8"))
            elif path.suffix == ".jpg":
                np.asarray(Image.open(path))
        except (AtelierError, OSError, ValueError) as error:
            yield f"half a file, {path.relative_to(run)}: {error}"
    if (run / "bundle").is_dir():
        try:
            found = open_bundle(run / "bundle")
            check_contents(found)
            family_of(found).golden(found)
        except AtelierError as error:
            yield f"half a bundle: {error}"


def differences(run: Path, whole: Path) -> Iterator[str]:
    """A sentence for each way in which a run is another one than the whole one, but for times."""
    ours, theirs = ([shown(path, of) for path in named(of)] for of in (run, whole))
    if ours != theirs:
        yield f"other files: {sorted({*ours} ^ {*theirs})}"
        return
    for parts in ours:
        one, other = run.joinpath(*parts), whole.joinpath(*parts)
        if one.suffix in (".safetensors", ".jpg"):
            same = one.read_bytes() == other.read_bytes()
        elif one.suffix == ".json":
            same = alike(*(json.loads(path.read_text(encoding="utf-8")) for path in (one, other)))
        elif one.name == "state.pt":
            same = alike(*(loop.load_state(path, killed.CPU) for path in (one, other)))
        else:  # the card tells of times
            same = True
        if not same:
            yield f"another {'/'.join(parts)} than that of the run that was never killed"


def alike(one: object, other: object) -> bool:
    """Whether two trees are equal, but for what their names say is a time."""
    if isinstance(one, dict) and isinstance(other, dict):
        keys = [key for key in one if not str(key).startswith(OF_TIME)]
        return set(one) == set(other) and all(alike(one[key], other[key]) for key in keys)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(alike, one, other))
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return torch.equal(one, other)
    return one == other or (one != one and other != other)


# ---------------------------------------------------------------- the script


@contextmanager
def place_of_work() -> Iterator[tuple[Path, Hub]]:
    """A folder with drawn data, a Hub, and the environment of the children."""
    # Here: they change the environment, and a child imports this script once more.
    from tests.conftest import draw_digits, write_table

    folder, hub = Path(tempfile.mkdtemp(prefix="latent-atelier-kills-")), Hub()
    hub.server.handle_error = lambda request, address: None  # its client is dead
    (folder / "tmp").mkdir()
    for source in SOURCES.values():
        for split, count, seed in (("train", 64, 0), ("test", 24, 1)):
            file = f"{source.repo}/{source.configuration}/{split}-00000-of-00001.parquet"
            columns = source.image_column, source.label_column
            write_table(folder / "data" / file, *draw_digits(count, seed), *columns)
    settings = {
        "ATELIER_DATA_DIR": folder / "data",
        "HF_ENDPOINT": hub.address,
        "HF_HOME": folder / "home",
        "HF_TOKEN": WRITER,
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "OMP_NUM_THREADS": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": ROOT,
        # Locks of a killed child's progress bars are said to be left over.
        "PYTHONWARNINGS": "ignore::UserWarning:multiprocessing.resource_tracker",
        "TMPDIR": folder / "tmp",
    }
    os.environ.update({name: str(value) for name, value in settings.items()})
    try:
        yield folder, hub
    finally:
        hub.close()
        shutil.rmtree(folder, ignore_errors=True)


def main() -> int:
    arguments = losses.read(losses.arguments_of(__doc__, FULL, SHORT))
    counted = Losses(arguments.seed)
    with place_of_work() as (folder, hub):
        kills = Kills(folder, hub, counted)
        if arguments.only is not None:
            kills.case(arguments.only)
        for number in itertools.count() if arguments.only is None else ():
            if kills.kills >= arguments.count:
                break
            kills.case(number)
    return counted.conclude(f"{kills.kills} kills")


if __name__ == "__main__":
    sys.exit(main())
