"""What *Denoising* is asked for: a sampler, steps, and noise that may have been chosen for its digit."""

from __future__ import annotations

import streamlit as st

from core.bundles.bundle import Bundle
from core.ddpm.explorer import SamplerSettings
from pages.shared import controls, links
from pages.shared.text import N_, _, number, percent

CHOSEN = N_(
    "**Chosen**: of the first {count} seeds, the one whose picture a digit classifier reads as this "
    "digit most surely."
)
CHOSEN_WITH_ANOTHER = N_(
    "**Chosen** among {count} seeds with {chosen_with}. With {sampler} it may become another digit, or "
    "none."
)
SAMPLERS = {"ddim": "DDIM", "dpm": "DPM-Solver++", "ddpm": "DDPM"}
COUNTS = (1, 4, 16)
OWN = "own"
"""The seed is the visitor's, and not one that was chosen."""
CHOSEN_WITH = SamplerSettings("ddim", 50)
"""How the samples were made from which the seeds were chosen."""
OWN_STEPS = 20
"""Steps at first where the seed is the visitor's own: four pictures at once have to come soon."""
STEPS_BEGAN = "denoise_steps_began"
"""In the visit: what the number of steps began with."""
COMPUTED_BY = {"server": N_("The server"), "browser": N_("Your browser")}
BROWSER_STEPS = 50


def endings(bundle: Bundle) -> dict[str, int]:
    """Seeds that were chosen because their picture shows a digit, by that digit; the surest first."""
    stored = bundle.metrics.get("way", {})
    rows = zip(*(stored.get(key, ()) for key in ("confidence", "digit", "seeds")), strict=False)
    chosen = sorted(
        (-sure, str(digit), seed)
        for place, (sure, digit, seed) in enumerate(rows)
        if digit == place  # else no sample was read as this digit
    )
    return {digit: seed for _sure, digit, seed in chosen}


def noise(bundle: Bundle) -> int | None:
    """The seed of noise that ends in a digit, or None: the visitor's own."""
    chosen = endings(bundle)
    if not chosen:
        return None
    options = {**{digit: digit for digit in sorted(chosen)}, OWN: N_("any seed")}
    asks_for_a_seed = links.values("denoise_seed") or links.values("denoise_count")
    default = OWN if asks_for_a_seed else next(iter(chosen))
    label = _("Noise chosen for the digit")
    code = controls.choice(label, options, "denoise_noise", default=default)
    return chosen.get(code)


def read_steps(chosen: bool) -> int:
    """How many steps, 2 to 100: at first as many as the ``chosen`` noise was chosen with, else 20."""
    state, default = st.session_state, CHOSEN_WITH.steps if chosen else OWN_STEPS
    before, state[STEPS_BEGAN] = state.get(STEPS_BEGAN, default), default
    if default != before == state.get("denoise_steps"):  # the visitor has left it as it was
        state["denoise_steps"] = default
    return controls.whole(_("Steps"), 2, 100, default, "denoise_steps")


def why_this_noise(bundle: Bundle, way: SamplerSettings, T: int) -> str:
    """In one sentence how the noise was chosen; with another sampler, that this may not hold for it."""
    of = number(bundle.metrics["way"]["of"], 0)
    if way == CHOSEN_WITH:
        return _(CHOSEN).format(count=of)
    return _(CHOSEN_WITH_ANOTHER).format(
        count=of, chosen_with=words_of(CHOSEN_WITH, T), sampler=words_of(way, T)
    )


def any_seed_words(bundle: Bundle) -> str:
    """How well the model does with seeds that nobody chose; empty where its bundle does not say."""
    sure = bundle.metrics.get("judged", {}).get("samples", {}).get("sure")
    if sure is None:
        return ""
    words = _("The classifier is sure of {share} of the pictures of *any seed*.")
    return words.format(share=percent(sure))


def read_settings(chosen: int | None) -> tuple[str, SamplerSettings, list[int]]:
    """Whose machine computes, sampler, steps, eta, and seeds of the pictures: ``chosen``, if it is one."""
    left, right = st.columns(2, gap="large")
    with left:
        by = controls.choice(_("Computed by"), COMPUTED_BY, "denoise_by")
        if by == "browser":
            st.caption(
                _(
                    "One picture, by DDIM with η = 0 in at most {steps} steps. The network comes to "
                    "your browser, some 9 MB the first time, and the server rests."
                ).format(steps=BROWSER_STEPS)
            )
            sampler, count = "ddim", 1
        else:
            sampler, count = controls.choice(_("Sampler"), SAMPLERS, "denoise_sampler"), 1
            if chosen is None:
                count = controls.stop(_("Pictures at once"), COUNTS, 4, "denoise_count")
        steps, eta, clip = None, 0.0, False
        if sampler == "ddpm":
            st.caption(
                _("DDPM takes every one of the T steps, with fresh noise in each but the last.")
            )
        else:
            steps = read_steps(chosen is not None)
        if by == "browser":
            steps = min(steps, BROWSER_STEPS)
        elif sampler == "ddim":
            eta = controls.real(
                "η",
                0.0,
                1.0,
                0.0,
                "denoise_eta",
                help=_(
                    "0: deterministic, the start decides everything. 1: as much fresh noise as DDPM."
                ),
            )
        if sampler == "dpm":
            st.caption(
                _("A second-order solver of the same path without noise as DDIM with η = 0.")
            )
    with right:
        seed = controls.seed("denoise_seed") if chosen is None else chosen
        if by == "server":
            clip = controls.switch(
                _("Clip x̂₀ to [−1, 1]"),
                "denoise_clip",
                help=_("Values outside are no colours. Off in every comparison of this app."),
            )
    settings = SamplerSettings(sampler, steps, eta, clip)
    return by, settings, [seed + index for index in range(count)]


def words_of(way: SamplerSettings, T: int) -> str:
    """The way in a few words, for captions."""
    if way.sampler == "ddpm":
        return _("DDPM, {steps} steps").format(steps=number(T, 0))
    eta = f", η = {number(way.eta, 2)}" if way.sampler == "ddim" else ""
    return (
        _("{sampler}, {steps} steps").format(sampler=SAMPLERS[way.sampler], steps=way.steps) + eta
    )
