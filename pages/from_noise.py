"""The first figure of Home: ten pictures under one timeline, from noise to digits, as a bundle stores them.

Of a bundle that keeps a way back, that way; of any other its samples after every few epochs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import streamlit as st

from core.bundles.bundle import Bundle
from core.errors import AtelierError
from core.pictures.images import Pictures
from pages.browser import film
from pages.browser.timeline import timeline
from pages.shared import figures, library, shape, site, training
from pages.shared.figures import Provenance
from pages.shared.text import _, number, percent, plain_errors

KIND = "way"
"""The sheet of a way back, and its figures in ``metrics.json``."""
TENS, ACROSS = 10, 5
MOST_FRAMES = 1000
STEP, EPOCH = "home_step", "home_epoch"
"""Keys of the timelines."""


@dataclass(frozen=True)
class Way:
    """Ten pictures on their way from noise: ``frames`` uint8 (N, 10, 32, 32, 3), noise first.

    ``t`` (N,): the level of every frame, from T down to 0. ``seeds``, ``digit``, ``confidence`` (10,): of
    every picture its seed, what the digit classifier reads in the last frame and how surely. ``chosen_of``:
    of how many seeds they were chosen; ``steps`` of the sampler.
    """

    of: Bundle
    frames: Pictures
    t: list[int]
    steps: int
    seeds: list[int]
    digit: list[int]
    confidence: list[float]
    chosen_of: int


def way_of(of: Bundle) -> Way | None:
    """The way back that a bundle keeps; None where it keeps none, or none that can be shown."""
    said, sheets = of.metrics.get(KIND), of.progress(KIND)
    try:
        steps, T = int(said["steps"]), int(of.config["architecture"]["schedule"]["T"])
        seeds, digit, t = ([int(one) for one in said[key]] for key in ("seeds", "digit", "t"))
        confidence, chosen_of = [float(one) for one in said["confidence"]], int(said["of"])
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    if not sheets or not 2 <= len(t) <= MOST_FRAMES or not 1 <= steps <= T:
        return None
    if t[0] > T or t[-1] != 0 or any(level <= below for level, below in pairwise(t)):
        return None
    if any(len(of_each) != TENS for of_each in (seeds, digit, confidence)):
        return None
    if not all(0 <= one <= 1 for one in confidence):
        return None
    count = TENS * len(t)
    flat = library.sheet(of, KIND, max(sheets), count + 1)  # one more: the sheet must end there
    if len(flat) != count:
        return None
    frames = flat.reshape(len(t), TENS, *flat.shape[1:])
    return Way(of, frames, t, steps, seeds, digit, confidence, chosen_of)


def find_way_or_samples() -> Way | Bundle:
    """The way back of the first bundle that keeps one; else the first bundle with samples by epoch.

    Raises ``AtelierError`` where there is none, or none that can be opened.
    """
    by_epoch, failed = None, None
    for family in ("ddpm", "vae"):
        for entry in library.available(family):
            try:
                of = library.bundle(entry.name)
            except AtelierError as error:
                failed = failed or error
                continue
            way = way_of(of) if family == "ddpm" else None
            if way is not None:
                return way
            by_epoch = by_epoch or (of if of.progress("samples") else None)
    if by_epoch is not None:
        return by_epoch
    raise failed or AtelierError("no-gallery", "No model is here that could generate pictures.")


def show() -> None:
    """The figure, and next to it what one sees."""
    found = find_way_or_samples()
    pictures, beside = st.columns([5, 3], gap="medium", vertical_alignment="center")
    with pictures:
        shape.fragment(along if isinstance(found, Way) else by_epoch)(found)
    with beside:
        st.markdown(words_of_way(found) if isinstance(found, Way) else words_of_epochs(found))
        page = site.VAE_TRAINING if _family(found) == "vae" else site.DENOISING
        st.page_link(page.page(), label=f"**{_(page.title)}**", icon=page.icon)


def _family(found: Way | Bundle) -> str:
    return (found.of if isinstance(found, Way) else found).family


# ---------------------------------------------------------------- a way back


def along(way: Way) -> None:
    """The timeline of the noise level, and the ten pictures: runs again by itself."""
    with plain_errors():
        stops = range(len(way.t))
        words = [_level(t) for t in way.t]
        at = timeline(_("From noise to digits"), stops, STEP, words=words)
        sources = film.several(np.ascontiguousarray(way.frames.swapaxes(0, 1)))
        cells = [
            film.Cell(
                source,
                f"{digit} · {percent(math.floor(100 * sure) / 100)}",
                _("Picture {which} of ten at {t}").format(which=index + 1, t=film.STOP),
            )
            for index, (source, digit, sure) in enumerate(
                zip(sources, way.digit, way.confidence, strict=True)
            )
        ]
        film.show(
            "home_film",
            STEP,
            [film.Row(cells[first : first + ACROSS]) for first in range(0, TENS, ACROSS)],
            stops=words,
        )
        settings = {
            _("sampler"): _("{sampler}, {steps} steps").format(sampler="DDIM", steps=way.steps),
            _("seeds"): ", ".join(map(str, way.seeds)),
            "t": number(way.t[at], 0),
        }
        figures.about(
            Provenance(way.of, live=False, settings=settings),
            "home_way",
            rows=lambda: rows_of(way),
            png=lambda: figures.grid(way.frames[at], ACROSS),
            gif=lambda: figures.enlarge(sheets_of(way.frames), 3),
        )


def _level(t: int) -> str:
    """A level in words, which a line does not break."""
    return f"t = {number(t, 0)}".replace(" ", "\N{NO-BREAK SPACE}")


def rows_of(way: Way) -> list[dict[str, object]]:
    return [
        {"picture": index + 1, "seed": seed, "digit": digit, "confidence": sure}
        for index, (seed, digit, sure) in enumerate(
            zip(way.seeds, way.digit, way.confidence, strict=True)
        )
    ]


def sheets_of(frames: Pictures) -> Pictures:
    """Every frame (N, 10, H, W, 3) as one picture: (N, H', W', 3)."""
    return np.stack([figures.grid(frame, ACROSS) for frame in frames])


def words_of_way(way: Way) -> str:
    """What one sees, that the seeds are chosen, and how well the model does unchosen."""
    words = [
        _(
            "**Drag from noise to digits.** At {start} there is nothing but noise. In {steps} steps a network "
            "takes it away. At {end} a house number is left that the network made up."
        ).format(start=_level(way.t[0]), end=_level(way.t[-1]), steps=way.steps),
        _(
            "These ten are **chosen**: from {count} samples, the one of each digit that a classifier is "
            "surest of. Below each picture: what it reads, and how sure it is."
        ).format(count=number(way.chosen_of, 0)),
    ]
    missed = [str(digit) for digit in range(TENS) if digit not in way.digit]
    if missed:
        words.append(
            _("It read no sample as {digits}: another sample stands in that place.").format(
                digits=", ".join(missed)
            )
        )
    return "\n\n".join([*words, *filter(None, [sure_sentence(way.of)])])


def sure_sentence(of: Bundle) -> str:
    """Of how many of a bundle's samples the classifier is sure; empty where that was not measured."""
    shares = sure_of(of)
    if shares is None:
        return ""
    return _(
        "A digit classifier is sure of **{share}** of this model's samples, and of {real} of real digits."
    ).format(share=percent(shares[0]), real=percent(shares[1]))


def sure_of(of: Bundle) -> tuple[float, float] | None:
    """The shares of samples and of test digits that the judge is sure of; None where nobody asked it."""
    try:
        found = of.metrics["judged"]["samples"]
        return float(found["sure"]), float(found["sure_of_test"])
    except (KeyError, TypeError, ValueError):
        return None


# ---------------------------------------------------------------- samples by epoch


def by_epoch(of: Bundle) -> None:
    """The timeline of training, and the first ten samples: runs again by itself.

    Visitors read the epoch of all runs, as on the pages of training.
    """
    with plain_errors():
        epochs, before = list(of.progress("samples")), training.epochs_before(of)
        counted = [number(before + epoch, 0) for epoch in epochs]
        words = [_("epoch {epoch}").format(epoch=one) for one in counted]
        epoch = timeline(_("From noise to digits"), epochs, EPOCH, words=words)
        cell = film.Cell(
            film.sheets(of, "samples", epochs, TENS, ACROSS),
            "",
            [_("Samples after epoch {epoch}").format(epoch=one) for one in counted],
        )
        film.show("home_film", EPOCH, [film.Row([cell], widest=figures.WIDE)])
        figures.about(
            Provenance(of, live=False, settings={_("epoch"): number(before + epoch, 0)}),
            "home_samples",
            png=lambda: figures.grid(library.sheet(of, "samples", epoch, TENS), ACROSS),
            gif=lambda: figures.enlarge(sheets_of(all_epochs(of, epochs)), 3),
        )


def all_epochs(of: Bundle, epochs: Sequence[int]) -> Pictures:
    """The first ten samples after every epoch: (N, 10, 32, 32, 3)."""
    return np.stack([library.sheet(of, "samples", epoch, TENS) for epoch in epochs])


def words_of_epochs(of: Bundle) -> str:
    same = (
        _("Every picture begins with the same noise at every stop")
        if of.family == "ddpm"
        else _("Every picture is decoded from the same z at every stop")
    )
    words = [
        _("**Drag through the training.** {same}; only the network changes.").format(same=same),
        _("The ten are the first ones, not the best."),
    ]
    if of.ancestors:
        words.insert(1, training.first_stop(of))
    return "\n\n".join(filter(None, [" ".join(words), sure_sentence(of)]))
