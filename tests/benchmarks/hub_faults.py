"""Faults of the Hub on the way to a bundle and back, and of the disk that it is kept on.

The client is the real one, in a process of its own; the server is ours and does as it is told. Every function
takes the place of work and the random numbers of its case, and yields a sentence for everything that was lost.
"""

from __future__ import annotations

import itertools
import math
import random
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from core.bundles.bundle import bundle_files
from core.bundles.files import sha256
from tests.benchmarks import disk
from tests.benchmarks.sentences import faulty
from tests.hub_client import Client
from tests.hub_server import WRITER, Hub

REPO = "user/faults"
CODE = re.compile(r"[a-z]+(-[a-z]+)+")
"""A code of ours: names of Python's errors have large letters."""
READING = ("/api/models/", "/resolve/", "config.json", "model.safetensors", "README.md")
WRITING = (
    "/api/repos/create",
    "/tree/",
    "/preupload/",
    "/objects/batch",
    "/store/",
    "/verify",
    "/commit/",
)
STATUSES = (301, 400, 401, 403, 404, 408, 416, 429, 500, 502, 503, 504)
KINDS = ("cut", "garble", "shorten", "hang up", "portal", "half", *STATUSES)
SLOW = "slow"
FETCH = """
import shutil
from contextlib import nullcontext
from huggingface_hub import constants
from core.bundles import remote
from core.families import networks
from tests.benchmarks.disk import failing
if not kept:
    shutil.rmtree(constants.HF_HUB_CACHE, ignore_errors=True)
with failing(*broken) if broken else nullcontext():
    found = remote.fetch(repo, revision, networks=networks(), expected=expected)
print(found.digest)
"""
PUBLISH = """
import os
from contextlib import nullcontext
from train.__main__ import main
from tests.benchmarks.disk import failing
os.environ["HF_TOKEN"] = token
with failing(*broken) if broken else nullcontext():
    print("status", main(["publish", bundle, "--repo", repo, "--without-data"]))
"""
QUICK = "import time\ntime.sleep = lambda seconds: None"
"""Between its tries the client does not wait."""


@dataclass
class Far:
    """A Hub that holds a bundle, and a client of it."""

    hub: Hub
    client: Client
    bundles: Mapping[str, Path]
    digests: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, folder: Path, bundles: Mapping[str, Path]) -> Far:
        hub = Hub()
        hub.server.handle_error = lambda request, address: None  # who asked is gone
        client = Client(hub.address, folder / "home", ATELIER_DATA_DIR="")
        client.run(QUICK)
        return cls(hub, client, bundles)

    def close(self) -> None:
        self.client.close()
        self.hub.close()

    def whole(self) -> None:
        """No fault from now on."""
        self.hub.fault = lambda method, path: None

    def put(self, name: str) -> None:
        """The repository holds this bundle and nothing before it."""
        self.hub.forget()
        folder = self.bundles[name]
        self.hub.put(REPO, {file: (folder / file).read_bytes() for file in bundle_files(folder)})

    def ask(self, code: str, **values: object) -> tuple[str, str]:
        """What a snippet printed, and what is wrong with the sentence that it ended in; both may be empty."""
        try:
            return self.client.run(code, **values).strip(), ""
        except RuntimeError as error:
            name, _bar, words = str(error).partition(" | ")
            return "", "" if CODE.fullmatch(name) and not faulty(words) else f"{name}: {words}"

    def fetch(self, **changed: object) -> tuple[str, str]:
        usual = {"repo": REPO, "revision": None, "expected": None, "kept": False, "broken": None}
        return self.ask(FETCH, **{**usual, **changed})

    def publish(self, name: str, broken: tuple[int, int] | None = None) -> Iterator[str]:
        """Publishes a bundle; whatever is wrong with what the command says, or with what the Hub then holds."""
        values = {"bundle": str(self.bundles[name]), "repo": REPO, "token": WRITER}
        said, wrong = self.ask(PUBLISH, **values, broken=broken)
        status = said.rpartition("status ")[2]
        complaints = [line for line in said.splitlines() if line.startswith("error: ")]
        if wrong or "Traceback" in said or (status != "0") != (len(complaints) == 1):
            yield f"publish ended with {wrong or said[-200:]}"
        for words in complaints:
            if faulty(words):
                yield f"no sentence: {words}"
        held = self.hub.repositories.get(("models", REPO))
        for _commit, files in held.commits if held else ():
            if files and set(files) != {*bundle_files(self.bundles[name])}:
                yield "a commit holds half a bundle"
        if status == "0" and (held is None or not held.commits[-1][1]):
            yield "publish ended well, and the Hub holds nothing"

    def digest(self, name: str) -> str:
        """The digest that a bundle has wherever it is."""
        if name not in self.digests:
            self.put(name)
            self.digests[name], _wrong = self.fetch()
        return self.digests[name]


def some_times(fault: object, place: str, times: float) -> Callable[[str, str], object]:
    """A fault of the requests whose path holds ``place``, this many times."""
    left = itertools.count()

    def found(_method: str, path: str) -> object:
        return fault if place in path and next(left) < times else None

    return found


def reading(far: Far, chance: random.Random) -> Iterator[str]:
    """A bundle is fetched while something is broken: it arrives whole, or the reason is told."""
    name = chance.choice(sorted(far.bundles))
    digest = far.digest(name)
    far.put(name)
    kept = chance.random() < 0.3
    if kept:
        far.fetch()
    fault, times = chance.choice(KINDS), chance.choice((1, 1, 2, 3, math.inf))
    if chance.random() < 0.1:
        fault, times = SLOW, 1
    hashes = {file: sha256(far.bundles[name] / file) for file in bundle_files(far.bundles[name])}
    expected = chance.choice((None, hashes))
    revision = far.hub.repositories["models", REPO].at("main")[0] if expected else None
    asked = {"revision": revision, "expected": expected}
    place = chance.choice(READING)
    far.hub.fault = some_times(fault, place, times)
    found, wrong = far.fetch(kept=kept, **asked)
    far.whole()
    of = f"{fault} at {place}, {times} times, {'kept' if kept else 'new'}"
    if wrong or (found and found != digest):
        yield f"{of}: {wrong or 'another bundle arrived'}"
    again, wrong = far.fetch(kept=True, **asked)
    if wrong or again != digest:
        yield f"{of}: afterwards {wrong or again or 'refused'}"


def writing(far: Far, chance: random.Random) -> Iterator[str]:
    """A bundle is published while something is broken: all of it or nothing, and then once more."""
    name = chance.choice(sorted(far.bundles))
    far.hub.forget()
    fault, place = chance.choice(("hang up", "portal", "half", *STATUSES)), chance.choice(WRITING)
    times = chance.choice((1, 2, math.inf))
    far.hub.fault = some_times(fault, place, times)
    for words in far.publish(name):
        yield f"{fault} at {place}, {times} times: {words}"
    far.whole()
    for words in far.publish(name):
        yield f"{fault} at {place}, {times} times; afterwards: {words}"
    if not far.hub.files(REPO):
        yield f"{fault} at {place}, {times} times: the Hub holds nothing"


def full_cache(far: Far, chance: random.Random) -> Iterator[str]:
    """The disk of the cache is full, or may not be written: told, and afterwards the bundle arrives."""
    name = chance.choice(sorted(far.bundles))
    digest = far.digest(name)
    far.put(name)
    number, after = chance.choice((*disk.FULL, *disk.CLOSED)), chance.choice((0, 1, 3, 9, 30))
    found, wrong = far.fetch(broken=(number, after))
    if wrong or (found and found != digest):
        yield f"error {number} after {after} changes: {wrong or 'another bundle arrived'}"
    again, wrong = far.fetch(kept=True)
    if wrong or again != digest:
        yield f"error {number} after {after} changes: afterwards {wrong or again or 'refused'}"


def full_at_publish(far: Far, chance: random.Random) -> Iterator[str]:
    """The disk is full while a bundle is published: told, and the Hub holds nothing."""
    name = chance.choice(sorted(far.bundles))
    far.hub.forget()
    number, after = chance.choice((*disk.FULL, *disk.CLOSED)), chance.choice((0, 1, 2, 5))
    yield from far.publish(name, broken=(number, after))
    yield from far.publish(name)


FAR = {
    "Hub, reading": reading,
    "Hub, writing": writing,
    "Hub, full cache": full_cache,
    "Hub, full disk at publish": full_at_publish,
}
