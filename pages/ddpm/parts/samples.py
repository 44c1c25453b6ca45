"""Samples of a model: stored or drawn at once, at a click, and shown with the classifier's answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import streamlit as st

from core.bundles.bundle import Bundle
from core.ddpm.explorer import SamplerSettings, Trajectory
from core.judge.explorer import JudgeExplorer
from core.pictures.images import Pictures
from pages.ddpm.parts.step_times import seconds_by_50_steps
from pages.shared import controls, figures, library, links, live, loaders, shape
from pages.shared.figures import Provenance
from pages.shared.text import N_, _, number, percent

IN_ORDER = N_("Seeds {first} to {last} in order: no picture was selected.")

COLUMNS = 4
STORED_WAY = SamplerSettings("ddim", 50)
# Network calls times pictures that are drawn without being asked for: about a second.
KIND = "against"
"""Of the long work, in caches and links."""
AT_ONCE = 16 * 20


@dataclass(frozen=True)
class ModelSamples:
    """Samples of one model, and how they came about."""

    family: str
    title: str
    of: Bundle
    pictures: Pictures
    seconds: float | None
    live: bool
    settings: Mapping[str, object]

    @property
    def seconds_a_sample(self) -> float:
        """As it was just now, or, of stored samples, as the bundle says."""
        if self.seconds is None:
            return seconds_by_50_steps(self.of) or 0.0
        return self.seconds / len(self.pictures)

    @property
    def provenance(self) -> Provenance:
        return Provenance(self.of, self.live, self.seconds, self.settings)


def from_vae(name: str, seed: int, count: int) -> ModelSamples:
    loaders.vae(name)  # not part of the seconds that sampling takes
    timed = loaders.vae_samples(name, seed, count)
    return ModelSamples(
        "vae",
        _("VAE"),
        library.bundle(name),
        timed.value,
        timed.seconds,
        True,
        {_("seed"): seed, _("pictures"): count},
    )


def from_ddpm(
    name: str, way: SamplerSettings, words: str, seed: int, count: int
) -> ModelSamples | None:
    """Stored samples where they are the ones that were asked for; None while nothing is drawn."""
    of = library.bundle(name)
    seeds = [seed + index for index in range(count)]
    links.wants_result(
        KIND, request_of(of, way, seeds)
    )  # or another's work would hide what a link asked
    settings = {_("sampler"): words, _("seeds"): f"{seeds[0]} – {seeds[-1]}"}
    stored = of.progress("final")
    if stored and way == STORED_WAY and seeds[-1] < library.GALLERY_SIZE:
        sheet = library.sheet(of, "final", max(stored), library.GALLERY_SIZE)
        return ModelSamples("ddpm", "DDPM", of, sheet[seed : seed + count], None, False, settings)
    calls = (len(way.grid(loaders.ddpm(name).T)) - 1) * count
    drawn = loaders.has_samples(name, way, seeds)
    ready = calls <= AT_ONCE or drawn
    if drawn and calls > AT_ONCE:
        links.keep_result(True)
    if not ready and not draw_on_click(name, way, seeds, calls):
        return None
    with st.spinner(_("Denoising …")):
        timed = loaders.samples(name, way, seeds)
    return ModelSamples("ddpm", "DDPM", of, timed.value, timed.seconds, True, settings)


def request_of(of: Bundle, way: SamplerSettings, seeds: list[int]) -> tuple:
    return (of.digest, way, tuple(seeds))


def draw_on_click(name: str, way: SamplerSettings, seeds: list[int], calls: int) -> bool:
    """The button for many samples, their progress, stop and go on; whether all are drawn now."""
    explorer = loaders.ddpm(name)
    request = request_of(explorer.bundle, way, seeds)
    button, place = st.empty(), st.empty()
    seconds = loaders.seconds_a_picture(name) * calls
    with button:
        clicked = controls.act(
            _("Draw {count} pictures: about {seconds} s").format(
                count=len(seeds), seconds=number(seconds, 0)
            ),
            "against_go",
            of=("samples_ddpm",),
            type="primary",
            icon=":material/play_arrow:",
        )
    path = live.answer(
        request,
        lambda: explorer.denoise_steps(way, seeds),
        KIND,
        place,
        newest,
        wanted=clicked,
        seconds=seconds,
    )
    if path is None or not path.finished:
        return False
    loaders.keep_samples(name, way, seeds, path)
    # Its pictures are kept now: the steps to them would fill the memory for nothing.
    library.answers(KIND, live.MOST_KEPT).drop(request)
    button.empty()
    return True


def newest(path: Trajectory) -> int:
    """What the network sees in the noise so far; how many bytes travel."""
    return figures.live_sheet(
        path.newest.x0_hat,
        columns=COLUMNS,
        alt=_("What the network sees in the noise so far"),
        width=560,
    )


def in_order(seed: int, count: int) -> str:
    """That pictures were not selected."""
    return _(IN_ORDER).format(first=seed, last=seed + count - 1)


def show(drawn: ModelSamples, judge: JudgeExplorer, marks: bool, sure_from: float) -> None:
    """The samples, with the classifier's answer where it is sure."""
    key, alt = f"samples_{drawn.family}", _("Samples of {model}").format(model=drawn.title)
    with shape.figure(key, alt):
        if shape.run().cut:  # what heads it on its page stays there
            st.markdown(f"**{drawn.title}**")
    if marks:
        seen = loaders.verdicts(drawn.pictures)
        labels = [
            f"{judge.class_names[digit] if p >= sure_from else '?'} · {percent(p)}"
            for digit, p in zip(seen.digit, seen.confidence, strict=True)
        ]
        sheet = figures.strip(drawn.pictures, labels, key, columns=COLUMNS, alt=alt)
    else:
        sheet = figures.sheet(drawn.pictures, key, columns=COLUMNS, alt=alt)
    figures.about(drawn.provenance, key, png=lambda: sheet)
