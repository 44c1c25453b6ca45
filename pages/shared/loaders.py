"""The only place with caches: bundles, models and data, shared by all visitors, bounded."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
import streamlit as st
import torch

from core.bundles.bundle import Bundle
from core.bundles.manifest import CHECKPOINTS, Manifest, ManifestEntry
from core.ddpm.explorer import (
    DDPMExplorer,
    NoisyWalk,
    Prediction,
    Restoration,
    SamplerSettings,
    Trajectory,
    noisy_walk,
)
from core.ddpm.model import ScheduleConfig
from core.ddpm.schedule import NoiseSchedule
from core.errors import AtelierError
from core.families import family_of, read_manifest
from core.judge.explorer import Attack, JudgeExplorer, Verdicts, flat_pictures
from core.judge.nearest import Nearest, nearest
from core.pictures import data
from core.pictures.data import PictureSet, Selection
from core.pictures.house_number import HouseNumber, draw
from core.pictures.images import Pictures, read_sheet
from core.simsiam.explorer import SimSiamExplorer
from core.simsiam.run_record import RunRecord, read_run
from core.vae.explorer import Evidence, VAEExplorer
from core.vae.latent_profiles import ClassProfiles
from pages.shared import guests
from pages.shared.colours import APP
from pages.shared.kept import Kept
from pages.shared.text import _

CONTROL_GROUP = Path("/sys/fs/cgroup")
CHECKPOINTS_VARIABLE = "ATELIER_CHECKPOINTS"
GALLERY_SEED = 2026
GALLERY_SIZE = 24
DRAWN_KEPT = 128
PACED = 16
"""Pictures at once when the pace of a network is measured."""


T = TypeVar("T")


@dataclass(frozen=True)
class Timed(Generic[T]):
    """A result and the seconds that it took to compute, however long ago."""

    value: T
    seconds: float


def granted_cores(control_group: Path) -> float:
    """Cores that a container may use of its machine; infinite where it has no quota.

    A container sees all cores of its host. As many threads as those on two granted cores wait for one
    another.
    """
    for files in (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):  # v2, v1
        with suppress(OSError, ValueError):
            quota, period = " ".join((control_group / file).read_text() for file in files).split()
            return math.inf if quota in ("max", "-1") else int(quota) / int(period)
    return math.inf


@st.cache_resource(max_entries=1, show_spinner=False)
def use_all_cores() -> int:
    """Threads of a computation: as many as cores this process may use, or as OMP_NUM_THREADS says."""
    if "OMP_NUM_THREADS" not in os.environ:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        torch.set_num_threads(max(1, math.ceil(min(cores or 1, granted_cores(CONTROL_GROUP)))))
    return torch.get_num_threads()


@st.cache_data(max_entries=1, show_spinner=False)
def icon() -> Pictures:
    """The app's own picture, for the browser's tab."""
    return draw(HouseNumber(text="8", wall=APP, noise=0.0))


@st.cache_resource(max_entries=4, show_spinner=False)
def _named(path: str, changed: int) -> Manifest:
    return read_manifest(Path(path))


def own_manifest() -> Manifest:
    """The manifest of ``checkpoints/``, or of the folder named by ``ATELIER_CHECKPOINTS``."""
    path = Path(os.environ.get(CHECKPOINTS_VARIABLE, CHECKPOINTS)) / "manifest.json"
    changed = path.stat().st_mtime_ns if path.exists() else 0
    return _named(str(path), changed)


def visible_manifest() -> Manifest:
    """All that this visitor may open: what the manifest names, then the visitor's own guests."""
    found = own_manifest()
    return replace(found, entries=(*found.entries, *guests.entries()))


def available(family: str, *, own: bool = False) -> list[ManifestEntry]:
    """Bundles of a family that can be opened without a download; ``own``: without guests."""
    found = own_manifest() if own else visible_manifest()
    return [entry for entry in found.of_family(family) if found.at_hand(entry)]


def require_bundles(family: str, *, own: bool = False) -> list[ManifestEntry]:
    """Bundles of a family, at least one; raises ``AtelierError`` where there is none."""
    found = available(family, own=own)
    if not found and visible_manifest().of_family(family):
        raise AtelierError(
            "no-bundle-fetched",
            "The bundles of the family {family} are on the Hub: fetch one on the page Checkpoints.",
            family=family,
        )
    if not found:
        raise AtelierError(
            "no-bundle", "No bundle of the family {family} is here yet.", family=family
        )
    return found


def _identity(entry: ManifestEntry) -> str:
    """What a cached bundle depends on: its place and every file's hash."""
    return f"{visible_manifest().root} {entry.name} {sorted(entry.sha256.items())}"


@st.cache_resource(max_entries=64, show_spinner=False)
def _bundle(identity: str, name: str) -> Timed[Bundle]:
    return _opened(name)


@st.cache_resource(max_entries=guests.MOST, show_spinner=False)
def _guest(identity: str, name: str) -> Timed[Bundle]:
    return _opened(name)


def _opened(name: str) -> Timed[Bundle]:
    begun = time.perf_counter()
    return Timed(visible_manifest().open(name), time.perf_counter() - begun)


def opened(name: str) -> Timed[Bundle]:
    """A verified bundle, and the seconds that reading and hashing its files took."""
    entry = visible_manifest().entry(name)
    cached = _guest if entry in guests.entries() else _bundle
    return cached(_identity(entry), name)


def drop(name: str) -> None:
    """Forgets an opened bundle, whose files may be gone."""
    entry = visible_manifest().entry(name)
    for cached in (_guest, _bundle):
        cached.clear(_identity(entry), name)


def bundle(name: str) -> Bundle:
    """A verified bundle of the manifest or of this visitor's guests."""
    return opened(name).value


@st.cache_resource(max_entries=3, show_spinner=False)
def _vae(identity: str, name: str) -> VAEExplorer:
    use_all_cores()
    return VAEExplorer(bundle(name))


def vae(name: str) -> VAEExplorer:
    """The VAE of a bundle, ready to be asked."""
    return _vae(_identity(visible_manifest().entry(name)), name)


@st.cache_resource(max_entries=4, show_spinner=False)
def _ddpm(identity: str, name: str) -> DDPMExplorer:
    use_all_cores()
    return DDPMExplorer(bundle(name))


def ddpm(name: str) -> DDPMExplorer:
    """The diffusion model of a bundle, ready to be asked."""
    return _ddpm(_identity(visible_manifest().entry(name)), name)


@st.cache_resource(max_entries=2, show_spinner=False)
def _judge(identity: str, name: str) -> JudgeExplorer:
    use_all_cores()
    return JudgeExplorer(bundle(name))


def judge() -> JudgeExplorer:
    """The judge of digits, ready to be asked; raises ``AtelierError`` where there is none."""
    entry = require_bundles("judge")[0]
    return _judge(_identity(entry), entry.name)


@st.cache_resource(max_entries=2, show_spinner=False)
def _simsiam(identity: str, name: str) -> SimSiamExplorer:
    use_all_cores()
    return SimSiamExplorer(bundle(name))


def simsiam(name: str) -> SimSiamExplorer:
    """The self-supervised network of a bundle with weights, ready to be asked."""
    return _simsiam(_identity(visible_manifest().entry(name)), name)


@st.cache_resource(max_entries=64, show_spinner=False)
def _run(identity: str, name: str) -> RunRecord:
    return read_run(bundle(name))


def run(name: str) -> RunRecord:
    """What a self-supervised run was like, epoch by epoch; with or without its weights."""
    return _run(_identity(visible_manifest().entry(name)), name)


@dataclass(frozen=True)
class Gallery:
    """Generated pictures to start from, the same for everyone: uint8 (24, 32, 32, 3)."""

    pictures: Pictures
    of: Bundle
    live: bool
    settings: Mapping[str, object]


@st.cache_data(max_entries=4, show_spinner=False)
def _vae_samples(digest: str, name: str) -> Pictures:
    explorer = vae(name)
    return explorer.decode(explorer.prior(GALLERY_SEED, GALLERY_SIZE))


def gallery() -> Gallery:
    """Pictures that a diffusion model generated, or, where none is here, a VAE.

    Raises ``AtelierError`` where there is neither.
    """
    for entry in available("ddpm")[:1]:
        of = bundle(entry.name)
        epochs = of.progress("final")
        pictures = sheet(of, "final", max(epochs), GALLERY_SIZE)
        return Gallery(pictures, of, False, {_("seeds"): f"0 – {len(pictures) - 1}"})
    for entry in available("vae")[:1]:
        of = bundle(entry.name)
        pictures = _vae_samples(of.digest, entry.name)
        return Gallery(pictures, of, True, {_("seed"): GALLERY_SEED})
    raise AtelierError("no-gallery", "No model is here that could generate pictures.")


@st.cache_data(max_entries=64, show_spinner=False)
def _sheet(digest: str, path: str, count: int) -> Pictures:
    return read_sheet(Path(path).read_bytes(), count)


def sheet(of: Bundle, kind: str, epoch: int, count: int) -> Pictures:
    """Pictures of one snapshot: uint8 (count, 32, 32, 3)."""
    return _sheet(of.digest, str(of.progress(kind)[epoch]), count)


def golden_deviation(name: str) -> float:
    """How far the bundle's weights are from their golden output, here and now."""
    return family_of(bundle(name)).golden(bundle(name))


def warm_up() -> None:
    """Opens the first bundle of every family, so that the first visitor does not wait for it."""
    with suppress(AtelierError):  # pages say what is wrong with a bundle
        for entry in available("vae")[:1]:
            vae(entry.name)
        for entry in available("ddpm")[:1]:
            ddpm(entry.name).denoise(SamplerSettings(), [0])
        gallery()


# ---------------------------------------------------------------- data sets


@st.cache_resource(max_entries=3, show_spinner=False)
def _split(
    files: tuple[tuple[str, float], ...], name: str, split: str, most: int, selection: Selection
) -> PictureSet:
    return data.load_split(name, split, most, selection)


def split_at_hand(name: str, split: str) -> bool:
    """Whether a split can be read without a download."""
    return name in data.SOURCES and data.find_split(name, split) is not None


def picture_count(name: str, split: str) -> int:
    """How many pictures a split that is at hand holds, without decoding any."""
    return data.count_split(name, split)


def files_of(name: str, split: str) -> tuple[tuple[str, float], ...]:
    """The files of a split and when they changed: what a result read from them depends on."""
    found = data.find_split(name, split) or []
    return tuple((str(file), file.stat().st_mtime) for file in found)


def picture_set(
    name: str, split: str, most: int = 0, selection: Selection = "shares"
) -> PictureSet:
    """A split that is at hand, or ``most`` of its pictures; ``AtelierError`` where it is not."""
    with st.spinner(_("Reading the pictures …")):
        return _split(files_of(name, split), name, split, most, selection)


@st.cache_data(max_entries=8, show_spinner=False)
def _fingerprint(files: tuple[tuple[str, float], ...], name: str, split: str) -> str:
    return picture_set(name, split).fingerprint()


def test_set_of(of: Bundle) -> PictureSet | None:
    """The very test pictures that a bundle was measured on, if they are at hand."""
    settings = of.config["data"]
    name, split = settings["name"], settings["test_split"]
    if not split_at_hand(name, split):
        return None
    same = _fingerprint(files_of(name, split), name, split) == settings["test_fingerprint"]
    return picture_set(name, split) if same else None


# ---------------------------------------------------------------- results


@st.cache_resource(max_entries=32, show_spinner=False)
def kept(kind: str, most: int) -> Kept:
    """Answers of one kind, kept for all visitors: at most ``most`` of them."""
    return Kept(most)


def timed(kind: str, most: int, request: Hashable, compute: Callable[[], T]) -> Timed[T]:
    """The answer to a request, computed once for all visitors, and the seconds that took."""

    def answer() -> Timed[T]:
        begun = time.perf_counter()
        found = compute()
        return Timed(found, time.perf_counter() - begun)

    return kept(kind, most).ask(request, answer)


@st.cache_data(max_entries=128, show_spinner=False)
def _evidence(digest: str, name: str, picture: Pictures, draws: int, seed: int) -> Timed[Evidence]:
    begun = time.perf_counter()
    found = vae(name).evidence(picture, draws=draws, seed=seed)
    return Timed(found, time.perf_counter() - begun)


def evidence(name: str, picture: Pictures, *, draws: int, seed: int) -> Timed[Evidence]:
    """nll, kl and the linear model's nll of one picture."""
    return _evidence(bundle(name).digest, name, picture, draws, seed)


@st.cache_data(max_entries=8, show_spinner=False)
def _noisy_walk(
    schedule: ScheduleConfig, picture: Pictures, seed: int, levels: tuple[int, ...]
) -> Timed[NoisyWalk]:
    begun = time.perf_counter()
    found = noisy_walk(schedule.build(), picture, seed, levels)
    return Timed(found, time.perf_counter() - begun)


def noisy_walk_of(
    schedule: ScheduleConfig, picture: Pictures, seed: int, levels: Sequence[int]
) -> Timed[NoisyWalk]:
    """A random walk from a picture into noise, beside the closed form."""
    return _noisy_walk(schedule, picture, seed, tuple(levels))


@st.cache_resource(max_entries=16, show_spinner=False)
def schedule(of: ScheduleConfig) -> NoiseSchedule:
    """The coefficients of a noise schedule."""
    return of.build()


@st.cache_data(max_entries=8, show_spinner=False)
def _trajectory(
    digest: str, name: str, settings: SamplerSettings, seeds: tuple[int, ...]
) -> Trajectory:
    return ddpm(name).denoise(settings, seeds)


def trajectory(name: str, settings: SamplerSettings, seeds: Sequence[int]) -> Trajectory:
    """From noise to pictures at once: for what takes less than a second."""
    return _trajectory(bundle(name).digest, name, settings, tuple(seeds))


def is_drawn(name: str, settings: SamplerSettings, seeds: Sequence[int]) -> bool:
    """Whether ``drawn`` has its answer ready."""
    request = (bundle(name).digest, settings, tuple(seeds))
    return kept("drawn", DRAWN_KEPT).get(request) is not None


def drawn(name: str, settings: SamplerSettings, seeds: Sequence[int]) -> Timed[Pictures]:
    """Only the pictures at the end of a trajectory, picture i from seed i."""

    def draw() -> Timed[Pictures]:
        path = ddpm(name).denoise(settings, seeds)
        return Timed(path.result, path.seconds)

    return kept("drawn", DRAWN_KEPT).ask((bundle(name).digest, settings, tuple(seeds)), draw)


def keep_drawn(
    name: str, settings: SamplerSettings, seeds: Sequence[int], path: Trajectory
) -> None:
    """Keeps the end of a trajectory for ``drawn``."""
    found = Timed(path.result, path.seconds)
    kept("drawn", DRAWN_KEPT).put((bundle(name).digest, settings, tuple(seeds)), found)


@st.cache_data(max_entries=8, show_spinner=False)
def _seconds_a_picture(digest: str, name: str) -> float:
    return ddpm(name).seconds_a_step(PACED) / PACED


def seconds_a_picture(name: str) -> float:
    """One picture's share of a call of the network, measured once, here."""
    return _seconds_a_picture(bundle(name).digest, name)


@st.cache_data(max_entries=16, show_spinner=False)
def _restored(
    digest: str,
    name: str,
    way: SamplerSettings,
    pictures: Pictures,
    levels: tuple[int, ...],
    draws: int,
    seed: int,
) -> Restoration:
    for found in ddpm(name).restore(way, pictures, levels, draws, seed):
        whole = found
    return whole


def restored(
    name: str,
    way: SamplerSettings,
    pictures: Pictures,
    levels: Sequence[int],
    draws: int,
    seed: int,
) -> Restoration:
    """Pictures noised to several levels and denoised, at once: for what takes about a second."""
    return _restored(bundle(name).digest, name, way, pictures, tuple(levels), draws, seed)


@st.cache_data(max_entries=16, show_spinner=False)
def _vae_draws(digest: str, name: str, seed: int, count: int) -> Timed[Pictures]:
    begun = time.perf_counter()
    found = vae(name).sample(seed, count)
    return Timed(found, time.perf_counter() - begun)


def vae_samples(name: str, seed: int, count: int) -> Timed[Pictures]:
    """Samples of a VAE: the mode of p(x|z) for z from the prior."""
    return _vae_draws(bundle(name).digest, name, seed, count)


@st.cache_data(max_entries=64, show_spinner=False)
def _nearest(
    files: tuple[tuple[str, float], ...], name: str, split: str, pictures: Pictures
) -> Nearest:
    return nearest(pictures, picture_set(name, split).pictures)


def nearest_pictures(name: str, split: str, pictures: Pictures) -> Nearest:
    """The nearest pictures of a split that is at hand."""
    return _nearest(files_of(name, split), name, split, pictures)


@st.cache_data(max_entries=2, show_spinner=False)
def _flat(digest: str) -> Verdicts:
    return judge().judge(flat_pictures())


def flat() -> Verdicts:
    """What the judge says of flat pictures, which hold no digit."""
    return _flat(judge().bundle.digest)


@st.cache_data(max_entries=16, show_spinner=False)
def _frechet_of_count(digest: str, count: int) -> float:
    return judge().test_digits().distance_of_draws(count)


def frechet_of_count(count: int) -> float:
    """The Frechet distance that ``count`` pictures as good as test digits have on average."""
    return _frechet_of_count(judge().bundle.digest, count)


@st.cache_data(max_entries=64, show_spinner=False)
def _attacked(
    digest: str, picture: Pictures, label: int, kind: Attack, levels: int, steps: int, seed: int
) -> Pictures:
    return judge().attack(
        picture[None], np.array([label]), kind, levels=levels, steps=steps, seed=seed
    )[0]


def attacked(
    picture: Pictures, label: int, kind: Attack, *, levels: int, steps: int, seed: int
) -> Pictures:
    """A picture changed so that the judge no longer sees ``label`` in it."""
    return _attacked(judge().bundle.digest, picture, label, kind, levels, steps, seed)


@st.cache_data(max_entries=64, show_spinner=False)
def _predictions(
    digest: str, name: str, picture: Pictures, levels: tuple[int, ...], seed: int
) -> Timed[list[Prediction]]:
    begun = time.perf_counter()
    found = ddpm(name).predict(picture, levels, seed)
    return Timed(found, time.perf_counter() - begun)


def predictions(
    name: str, picture: Pictures, levels: Sequence[int], seed: int
) -> Timed[list[Prediction]]:
    """What a diffusion model sees in a picture at several levels of noise."""
    return _predictions(bundle(name).digest, name, picture, tuple(levels), seed)


@st.cache_data(max_entries=4, show_spinner=False)
def _features(
    digest: str, name: str, picture: Pictures, levels: tuple[int, ...], seed: int
) -> Timed[dict[str, np.ndarray]]:
    begun = time.perf_counter()
    found = ddpm(name).features(picture, levels, seed)
    return Timed(found, time.perf_counter() - begun)


def features(
    name: str, picture: Pictures, levels: Sequence[int], seed: int
) -> Timed[dict[str, np.ndarray]]:
    """Activations of every layer of a U-Net for one picture at several levels of noise."""
    return _features(bundle(name).digest, name, picture, tuple(levels), seed)


@st.cache_data(max_entries=8, show_spinner=False)
def _profiles(
    digest: str,
    files: tuple[tuple[str, float], ...],
    name: str,
    data_name: str,
    split: str,
    limit: int,
) -> Timed[ClassProfiles]:
    pictures = picture_set(data_name, split)
    begun = time.perf_counter()
    rows = np.arange(limit) * len(pictures) // limit
    found = vae(name).profile(
        pictures.pictures[rows], pictures.labels[rows], len(pictures.class_names)
    )
    return Timed(found, time.perf_counter() - begun)


def profiles(name: str, data_name: str, split: str, limit: int) -> Timed[ClassProfiles]:
    """Class profiles over ``limit`` pictures spread over a split that is at hand."""
    files = files_of(data_name, split)
    return _profiles(bundle(name).digest, files, name, data_name, split, limit)
