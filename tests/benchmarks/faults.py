# ruff: noqa: E402
"""Injects faults into bundles, data, disk, Hub, samplers and pages, and counts what was lost by them.

    python tests/benchmarks/faults.py [--count 500] [--seed 0] [--only CASE] [--short]

Every fault has to end in one sentence of ours, or, on a page, in red in its place; the next request, without
a fault, has to be answered as ever. The kinds of faults come in turn: bundles damaged by accident and by
intent, opened from a folder and shown by pages; a Hub that hangs up, is slow, sends half an answer or another
one; a disk that is full or may not be written; data sets damaged or missing; samplers without memory and
threads that die. A page that has no sentence of its own for a fault shows the app's general one: those are
counted apart. Exits with 1 where anything was lost.

It works on the library of the tests: ATELIER_TEST_LIBRARY names the folder that keeps it; making it takes
minutes.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
for variable in ("ATELIER_DATA_DIR", "ATELIER_CHECKPOINTS", "HF_TOKEN"):
    os.environ.pop(variable, None)
os.environ.update({"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"})

from core.bundles.bundle import bundle_files
from core.bundles.files import sha256
from core.ddpm.explorer import DDPMExplorer
from core.families import open_bundle
from pages.shared import library as app_library
from tests.benchmarks import damage, losses, near_faults, visits
from tests.benchmarks.hub_faults import FAR, Far
from tests.benchmarks.losses import Losses
from tests.benchmarks.near_faults import BUNDLES, NEAR, Near
from tests.benchmarks.sampler_faults import SAMPLERS
from tests.benchmarks.sentences import faulty
from tests.benchmarks.small_library import small_library

FULL, SHORT = 500, 40
PAGES = {
    "vae": ("latent_space", "interpolation", "latent_profiles", "likelihood", "vae_training"),
    "ddpm": ("adding_noise", "denoising", "t_star", "inside_the_unet", "ddpm_training"),
    "judge": ("undo_an_attack", "vae_and_ddpm", "t_star"),
    "simsiam": ("two_views", "collapse", "neighbours", "siblings"),
}
"""Pages that show a bundle, by family; home, Checkpoints and VAE against DDPM show all."""
EVERYWHERE = ("home", "checkpoints", "vae_and_ddpm")
FEW = {
    "vae": ("latent_space",),
    "ddpm": ("denoising",),
    "judge": ("undo_an_attack",),
    "simsiam": ("collapse",),
}
"""Those of ``--short``: each takes seconds when it is opened first."""
OPENED = {"checkpoints": ("checkpoints_bundle",), "collapse": ("collapse_runs",)}
"""Parameters of pages that are to name the bundle."""
HARM = (damage.edited, damage.reshaped, damage.drawn, damage.bomb, damage.flipped, damage.header)
GENERAL = "page, said in general words only"


class Faults:
    """The places of work of one run of the script."""

    def __init__(self, folder: Path, library: Path, counted: Losses, *, short: bool) -> None:
        self.folder, self.losses, self.short = folder, counted, short
        self.near = Near(library / "checkpoints", library / "data", library / "judge", folder)
        self.far: Far | None = None
        self.explorer = DDPMExplorer(open_bundle(self.near.whole["ddpm-svhn-500"]))
        kinds: dict[str, Callable[[random.Random], Iterator[str]]] = {}
        for name, near in NEAR.items():
            kinds[name] = lambda chance, near=near: near(self.near, chance)
        kinds["page of a damaged bundle"] = self.page_of_a_bundle
        for name, far in FAR.items():
            kinds[name] = lambda chance, far=far: far(self.hub(), chance)
        kinds["page without its data"] = self.page_without_data
        for name, sampler in SAMPLERS.items():
            kinds[f"sampler, {name}"] = lambda chance, of=sampler: of(self.explorer, chance)
        kinds["page without memory"] = self.page_without_memory
        self.kinds = kinds

    def hub(self) -> Far:
        """The Hub, started when it is wanted first."""
        if self.far is None:
            bundles = {name: self.near.whole[name] for name in ("judge-svhn", "vae-svhn")}
            self.far = Far.of(self.folder, bundles)
        return self.far

    def case(self, number: int) -> None:
        """One fault; the kinds come in turn."""
        kind = [*self.kinds][number % len(self.kinds)]
        self.losses.tried(kind)
        try:
            for words in self.kinds[kind](self.losses.chance(number)):
                self.losses.lost(number, kind, words)
        except Exception as error:
            self.losses.lost(number, kind, f"the script itself: {type(error).__name__}: {error}")

    # ------------------------------------------------------------ pages

    @contextmanager
    def app(self, **settings: Path) -> Iterator[None]:
        """A server with other folders, for the pages that are visited meanwhile."""
        usual = {"ATELIER_CHECKPOINTS": self.near.library}
        found = {**usual, **settings}
        os.environ.update({name: str(folder) for name, folder in found.items()})
        try:
            yield
        finally:
            for name in found:
                del os.environ[name]

    def seen(self, name: str, query: dict[str, str], *, clean: bool = False) -> Iterator[str]:
        """A visit of a page; a sentence for all that is wrong with it."""
        at = visits.visit(name, query, like_the_app=True)
        for words in visits.exceptions(at):
            yield f"{name}: {words}"
        for words in visits.errors(at):
            if visits.UNEXPECTED in words:
                self.losses.tried(GENERAL)
            if clean or faulty(words):
                yield f"{name}: {words}"

    def pages_of(self, family: str) -> tuple[str, ...]:
        return FEW[family] if self.short else (*PAGES[family], *EVERYWHERE)

    def page_of_a_bundle(self, chance: random.Random) -> Iterator[str]:
        """A page shows a damaged bundle, which the manifest names as it is."""
        name = chance.choice(BUNDLES)
        root = self.folder / "shown"
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir()
        for other in self.near.library.iterdir():
            if other.is_dir() and other.name != name:
                (root / other.name).symlink_to(other)
        copy = shutil.copytree(self.near.whole[name], root / name)
        said = chance.choice(HARM)(copy, chance)
        manifest = json.loads((self.near.library / "manifest.json").read_text(encoding="utf-8"))
        for entry in manifest["bundles"]:
            if entry["name"] == name:
                there = [file for file in bundle_files(copy) if (copy / file).is_file()]
                entry["sha256"] = {file: sha256(copy / file) for file in there}
        (root / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
        page = chance.choice(self.pages_of(name.split("-")[0]))
        query = {"lang": chance.choice(("en", "fr")), "model": name}
        query |= dict.fromkeys(OPENED.get(page, ()), name)
        with self.app(ATELIER_CHECKPOINTS=root):
            for words in self.seen(page, query):
                yield f"{name}, {said}; {words}"
        with self.app():
            for words in self.seen(page, {"lang": "en"}, clean=True):
                yield f"{name}, {said}; afterwards {words}"

    def page_without_data(self, chance: random.Random) -> Iterator[str]:
        """A page looks for a picture of a test set that is damaged."""
        copy = self.near.copy(self.near.data)
        shard = copy.joinpath(*near_faults.SPLIT) / "test-00000-of-00001.parquet"
        way = chance.choice(sorted(near_faults.SHARDS))
        near_faults.SHARDS[way](shard, chance)
        page, parameter = chance.choice((("latent_space", "latent_from"), ("denoising", "")))
        query = {"lang": chance.choice(("en", "fr"))} | ({parameter: "test"} if parameter else {})
        with self.app(ATELIER_DATA_DIR=copy):
            for words in self.seen(page, query):
                yield f"{way}; {words}"
        with self.app(ATELIER_DATA_DIR=self.near.data):
            for words in self.seen(page, {**query, "lang": "en"}, clean=True):
                yield f"{way}; afterwards {words}"

    def page_without_memory(self, chance: random.Random) -> Iterator[str]:
        """The page Denoising finds no memory for its network."""
        from pages.shared import loaders

        seed = str(chance.randrange(1000, 10_000))
        query = {"lang": "en", "denoise_noise": "own", "denoise_seed": seed}
        with self.app():
            visits.visit("denoising", {"lang": "en"})
            together = loaders.ddpm(app_library.available("ddpm")[0].name)._together

            def failing(_x: object, _t: object) -> None:
                raise MemoryError

            true, together.network = together.network, failing
            try:
                at = visits.visit("denoising", query, like_the_app=True)
            finally:
                together.network = true
            found = visits.errors(at)
            if visits.exceptions(at) or not found or any(map(faulty, found)):
                yield f"{visits.exceptions(at) or found}"
            for words in self.seen("denoising", query, clean=True):
                yield f"afterwards {words}"

    def close(self) -> None:
        if self.far is not None:
            self.far.close()


def main() -> int:
    arguments = losses.read(losses.arguments_of(__doc__, FULL, SHORT))
    visits.quiet()
    warnings.simplefilter("ignore")  # of numbers that were damaged on purpose
    counted = Losses(arguments.seed)
    folder = Path(tempfile.mkdtemp(prefix="latent-atelier-faults-"))
    with small_library() as library:
        faults = Faults(folder, library, counted, short=arguments.short)
        try:
            only = arguments.only
            for number in range(arguments.count) if only is None else (only,):
                faults.case(number)
        finally:
            faults.close()
            shutil.rmtree(folder, ignore_errors=True)
    return counted.conclude(f"{arguments.count if only is None else 1} faults")


if __name__ == "__main__":
    sys.exit(main())
