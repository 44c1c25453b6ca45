"""Models, data sets and what they answer, shared by all visitors; every cache is bounded."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TypeVar

import numpy as np
import streamlit as st
import torch

from core.bundles.bundle import Bundle
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
from core.judge.explorer import Attack, JudgeExplorer, SampleQuality, Verdicts, flat_pictures
from core.judge.nearest import Nearest, nearest
from core.pictures import data
from core.pictures.data import PictureSet, Selection
from core.pictures.images import Pictures
from core.simsiam.explorer import SimSiamExplorer
from core.simsiam.run_record import RunRecord, read_run
from core.vae.explorer import Evidence, VAEExplorer
from core.vae.latent_profiles import ClassProfiles
from pages.shared import library, once
from pages.shared.library import Timed
from pages.shared.text import LOGGER, _

CONTROL_GROUP = Path("/sys/fs/cgroup")
DRAWN_KEPT, JUDGED_KEPT, ENCODED_KEPT = 128, 128, 1024
PACED = 16
"""Pictures at once when the pace of a network is measured."""


T = TypeVar("T")


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


@st.cache_resource(max_entries=3, show_spinner=False)
def _vae(identity: str, name: str) -> VAEExplorer:
    use_all_cores()
    return VAEExplorer(library.bundle(name))


def vae(name: str) -> VAEExplorer:
    """The VAE of a bundle, ready to be asked."""
    return _vae(library.identity(library.visible_manifest().entry(name)), name)


@st.cache_resource(max_entries=4, show_spinner=False)
def _ddpm(identity: str, name: str) -> DDPMExplorer:
    use_all_cores()
    return DDPMExplorer(library.bundle(name))


def ddpm(name: str) -> DDPMExplorer:
    """The diffusion model of a bundle, ready to be asked."""
    return _ddpm(library.identity(library.visible_manifest().entry(name)), name)


@st.cache_resource(max_entries=2, show_spinner=False)
def _judge(identity: str, name: str) -> JudgeExplorer:
    use_all_cores()
    return JudgeExplorer(library.bundle(name))


def judge() -> JudgeExplorer:
    """The judge of digits, ready to be asked; raises ``AtelierError`` where there is none."""
    entry = library.require_bundles("judge")[0]
    return _judge(library.identity(entry), entry.name)


@st.cache_resource(max_entries=2, show_spinner=False)
def _simsiam(identity: str, name: str) -> SimSiamExplorer:
    use_all_cores()
    return SimSiamExplorer(library.bundle(name))


def simsiam(name: str) -> SimSiamExplorer:
    """The self-supervised network of a bundle with weights, ready to be asked."""
    return _simsiam(library.identity(library.visible_manifest().entry(name)), name)


@st.cache_resource(max_entries=64, show_spinner=False)
def _run(identity: str, name: str) -> RunRecord:
    return read_run(library.bundle(name))


def run(name: str) -> RunRecord:
    """What a self-supervised run was like, epoch by epoch; with or without its weights."""

    def look() -> RunRecord:
        return _run(library.identity(library.visible_manifest().entry(name)), name)

    return once.ask(("run", name), look)


def warm_up() -> None:
    """Opens the first bundle of every family, so that the first visitor does not wait for it."""
    for family, load in (
        ("vae", vae),
        ("ddpm", lambda name: ddpm(name).denoise(SamplerSettings(), [0])),
        ("simsiam", library.bundle),
        ("judge", lambda _name: judge()),
    ):
        with suppress(AtelierError):  # pages say what is wrong with a bundle
            for entry in library.available(family)[:1]:
                load(entry.name)
    with suppress(AtelierError):
        library.gallery()


# ---------------------------------------------------------------- data sets


@st.cache_resource(max_entries=3, show_spinner=False)
def _split(
    files: tuple[tuple[str, float], ...], name: str, split: str, most: int, selection: Selection
) -> PictureSet:
    return data.load_split(name, split, most, selection)


def split_at_hand(name: str, split: str) -> bool:
    """Whether a split can be read without a download; of a setting that is wrong the log tells."""
    if name not in data.SOURCES:
        return False
    found = data.find_split(name, split) is not None
    if not found:
        _log_once(str(data.missing(name, split)))
    return found


@cache
def _log_once(words: str) -> None:
    """For whoever runs the app: visitors cannot mend it, and need not know its folders."""
    LOGGER.warning(words)


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


@st.cache_data(max_entries=64, show_spinner=False)
def _some(
    files: tuple[tuple[str, float], ...], name: str, split: str, rows: tuple[int, ...]
) -> PictureSet:
    places, source = np.array(rows), data.SOURCES[name]
    labels = data.split_labels(name, split)[places]
    pictures = data.load_rows(name, split, places)
    return PictureSet(name, split, pictures, labels, source.class_names)


def some_pictures(name: str, split: str, rows: Sequence[int]) -> PictureSet:
    """The pictures in these places of a split that is at hand, read alone: a whole set takes seconds."""
    return _some(files_of(name, split), name, split, tuple(int(row) for row in rows))


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


@st.cache_data(max_entries=128, show_spinner=False)
def _evidence(digest: str, name: str, picture: Pictures, draws: int, seed: int) -> Timed[Evidence]:
    begun = time.perf_counter()
    found = vae(name).evidence(picture, draws=draws, seed=seed)
    return Timed(found, time.perf_counter() - begun)


def evidence(name: str, picture: Pictures, *, draws: int, seed: int) -> Timed[Evidence]:
    """nll, kl and the linear model's nll of one picture."""
    return _evidence(library.bundle(name).digest, name, picture, draws, seed)


@st.cache_data(max_entries=8, show_spinner=False)
def _noisy_walk(
    schedule: ScheduleConfig, picture: Pictures, seed: int, kept: tuple[int, ...]
) -> Timed[NoisyWalk]:
    begun = time.perf_counter()
    found = noisy_walk(schedule.build(), picture, seed, kept)
    return Timed(found, time.perf_counter() - begun)


def noisy_walk_of(
    schedule: ScheduleConfig, picture: Pictures, seed: int, kept: Sequence[int]
) -> Timed[NoisyWalk]:
    """A random walk from a picture into noise, next to the closed form."""
    return _noisy_walk(schedule, picture, seed, tuple(kept))


@st.cache_resource(max_entries=16, show_spinner=False)
def schedule(of: ScheduleConfig) -> NoiseSchedule:
    """The coefficients of a noise schedule."""
    return of.build()


def has_samples(name: str, settings: SamplerSettings, seeds: Sequence[int]) -> bool:
    """Whether ``samples`` has its answer ready."""
    request = (library.bundle(name).digest, settings, tuple(seeds))
    return library.answers("drawn", DRAWN_KEPT).get(request) is not None


def samples(name: str, settings: SamplerSettings, seeds: Sequence[int]) -> Timed[Pictures]:
    """Only the pictures at the end of a trajectory, picture i from seed i."""

    def draw() -> Timed[Pictures]:
        path = ddpm(name).denoise(settings, seeds)
        return Timed(path.result, path.seconds)

    return library.answers("drawn", DRAWN_KEPT).ask(
        (library.bundle(name).digest, settings, tuple(seeds)), draw
    )


def keep_samples(
    name: str, settings: SamplerSettings, seeds: Sequence[int], path: Trajectory
) -> None:
    """Keeps the end of a trajectory for ``samples``."""
    found = Timed(path.result, path.seconds)
    library.answers("drawn", DRAWN_KEPT).put(
        (library.bundle(name).digest, settings, tuple(seeds)), found
    )


@st.cache_data(max_entries=8, show_spinner=False)
def _seconds_a_picture(digest: str, name: str) -> float:
    return ddpm(name).seconds_a_step(PACED) / PACED


def seconds_a_picture(name: str) -> float:
    """One picture's share of a call of the network, measured once, here."""
    return _seconds_a_picture(library.bundle(name).digest, name)


@st.cache_data(max_entries=16, show_spinner=False)
def _restoration(
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


def restoration(
    name: str,
    way: SamplerSettings,
    pictures: Pictures,
    levels: Sequence[int],
    draws: int,
    seed: int,
) -> Restoration:
    """Pictures noised to several levels and denoised, at once: for what takes about a second."""
    return _restoration(
        library.bundle(name).digest, name, way, pictures, tuple(levels), draws, seed
    )


@st.cache_data(max_entries=16, show_spinner=False)
def _vae_draws(
    digest: str, name: str, seed: int, count: int, temperature: float
) -> Timed[Pictures]:
    begun = time.perf_counter()
    found = vae(name).sample(seed, count, temperature)
    return Timed(found, time.perf_counter() - begun)


def vae_samples(name: str, seed: int, count: int, temperature: float = 1.0) -> Timed[Pictures]:
    """Samples of a VAE: the mode of p(x|z) for z from N(0, temperature² I)."""
    return _vae_draws(library.bundle(name).digest, name, seed, count, temperature)


@st.cache_data(max_entries=64, show_spinner=False)
def _nearest(
    files: tuple[tuple[str, float], ...], name: str, split: str, pictures: Pictures
) -> Nearest:
    return nearest(pictures, picture_set(name, split).pictures)


def nearest_pictures(name: str, split: str, pictures: Pictures) -> Nearest:
    """The nearest pictures of a split that is at hand."""
    return _nearest(files_of(name, split), name, split, pictures)


def verdicts(pictures: Pictures) -> Verdicts:
    """What the judge says of pictures (..., 32, 32, 3): it looks at the same ones once, whoever shows them."""
    request = (judge().bundle.digest, pictures.shape, pictures.tobytes())
    return library.answers("judged", JUDGED_KEPT).ask(request, lambda: judge().judge(pictures))


def quality(pictures: Pictures, sure_from: float) -> SampleQuality:
    """Figures of pictures (N, 32, 32, 3), kept like what the judge says of them."""
    request = (judge().bundle.digest, sure_from, pictures.shape, pictures.tobytes())
    return library.answers("quality", JUDGED_KEPT).ask(
        request,
        lambda: judge().quality(pictures, sure_from=sure_from, seen=verdicts(pictures)),
    )


def posterior_mean(explorer: VAEExplorer, picture: Pictures) -> np.ndarray:
    """z (d,), the mean of q(z|x) of one picture (32, 32, 3), kept for all visitors."""
    request = (explorer.bundle.digest, picture.tobytes())
    return library.answers("encoded", ENCODED_KEPT).ask(
        request, lambda: explorer.encode(picture[None]).mean[0]
    )


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
def _attack(
    digest: str, picture: Pictures, label: int, kind: Attack, levels: int, steps: int, seed: int
) -> Pictures:
    return judge().attack(
        picture[None], np.array([label]), kind, levels=levels, steps=steps, seed=seed
    )[0]


def attack(
    picture: Pictures, label: int, kind: Attack, *, levels: int, steps: int, seed: int
) -> Pictures:
    """A picture changed so that the judge no longer sees ``label`` in it."""
    return _attack(judge().bundle.digest, picture, label, kind, levels, steps, seed)


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
    return _predictions(library.bundle(name).digest, name, picture, tuple(levels), seed)


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
    return _features(library.bundle(name).digest, name, picture, tuple(levels), seed)


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
    return _profiles(library.bundle(name).digest, files, name, data_name, split, limit)
