"""Denoising: from noise to a picture, by whichever sampler, live, and the whole way to look at."""

from __future__ import annotations

import numpy as np
import streamlit as st

from core.ddpm.explorer import DDPMExplorer, SamplerSettings, Trajectory
from core.ddpm.model import DDPM
from core.ddpm.samplers import ddim, dpm_solver, p_sample_loop
from core.ddpm.schedule import NoiseSchedule
from pages.browser import networks
from pages.ddpm.parts import compared
from pages.ddpm.parts.denoise_settings import any_seed_words, noise, read_settings, why_this_noise
from pages.ddpm.parts.way_back import along, in_the_browser, results
from pages.shared import controls, figures, library, links, live, loaders, shape
from pages.shared.text import (
    N_,
    _,
    coloured,
    formula,
    head,
    mechanism,
    number,
    plain_errors,
)

UNKNOWN_TO_BROWSERS = N_("This architecture is not made for browsers: the server computes.")
CHANGED = N_(
    "You have changed the settings: press the button. Below: the previous result, for the "
    "old settings."
)
AS_THEY_COME = N_("The noisy pictures, and below them what the network predicts of them")
"""Alt text of the pictures while they are computed; ``way_back.ALTS`` afterwards."""
STALE = "denoise_stale"
"""In the visit: which result it saw last."""
# With at most this number of network calls times pictures nobody has to press a button: about 0.3 s.
AT_ONCE = 100


def newest(path: Trajectory) -> int:
    """The noisy pictures as they are now, and what the network sees in them; how many bytes travel."""
    frame = path.newest
    count = len(frame.x_t)
    if count == 1:  # as large as they will stand when the work is done
        pictures, columns, width = [frame.x_t, frame.eps_hat, frame.x0_hat], 3, figures.WIDE
    else:
        pictures, columns, width = [frame.x_t, frame.x0_hat], min(count, 8), 560
    return figures.live_sheet(
        np.concatenate(pictures),
        columns=columns,
        alt=_(AS_THEY_COME),
        width=width,
    )


def main() -> None:
    head(
        _("Denoising"),
        _(
            "Start from pure noise and **let the network take it away**, step by step. Which "
            "sampler, how many steps, how much fresh noise on the way: see what each is worth."
        ),
    )
    with plain_errors():
        line = st.container(horizontal=True, vertical_alignment="bottom")
        reason = st.empty()
        with line, controls.popover(_("Model, sampler, seed")) as opened:
            name = controls.bundle_name("ddpm", "denoise_bundle")
        bundle = library.bundle(name)
        with line:
            chosen = noise(bundle)
        with opened, links.tell_values_again():
            by, way, seeds = read_settings(chosen)
        explorer = loaders.ddpm(name)
        network = networks.network(explorer.bundle, "unet") if by == "browser" else None
        if network is not None:
            shape.fragment(in_the_browser)(explorer, network, way, seeds[0])
        else:
            if by == "browser":
                st.info(_(UNKNOWN_TO_BROWSERS))
            on_the_server(name, explorer, way, seeds, line)
        if chosen is not None:
            reason.caption(
                f"{why_this_noise(bundle, way, explorer.T)} {any_seed_words(bundle)}".strip()
            )
        with plain_errors():
            compared.show(name, explorer)
        explain()


def on_the_server(
    name: str,
    explorer: DDPMExplorer,
    way: SamplerSettings,
    seeds: list[int],
    line: st.delta_generator.DeltaGenerator,
) -> None:
    """The button, the pictures on their way, and the whole way once it is computed."""
    calls = len(way.grid(explorer.T)) - 1
    words = (
        _("Denoise one picture in {calls} steps")
        if len(seeds) == 1
        else _("Denoise {count} pictures in {calls} steps")
    )
    with line:
        clicked = controls.act(
            words.format(count=len(seeds), calls=number(calls, 0)),
            "denoise_go",
            of=("denoised", "denoise_film", "denoising_way"),
            type="primary",
            icon=":material/play_arrow:",
        )
    # One place for the work and for its result: what grows stands where it will stay.
    place = st.container(key="denoise_place").empty()
    request = (explorer.bundle.digest, way, tuple(seeds))
    path = live.answer(
        request,
        lambda: explorer.denoise_steps(way, seeds, ancestral=True),
        "denoise",
        place,
        newest,
        wanted=clicked,
        seconds=calls * len(seeds) * loaders.seconds_a_picture(name),
        little=calls * len(seeds) <= AT_ONCE,
        replay=Trajectory.replay,
    )
    asks = links.wants_result("denoise", request)
    if path is not None:
        if path.finished:
            st.session_state[STALE] = request, name
        with place.container() if path.finished else st.container():
            shape.fragment(along)(explorer, path, way, seeds[0])
            results(explorer, path, way, seeds[0])
    elif not asks and (before := result_of_before()) is not None:
        with place.container():
            st.info(_(CHANGED))
            st.html("<style>.st-key-denoise_before { opacity: 0.45; }</style>")
            with st.container(key="denoise_before"):
                shape.fragment(along)(*before)
                results(*before)
    elif not asks:  # which has said so already
        place.info(_("This takes a moment: press the button."))


def result_of_before() -> tuple[DDPMExplorer, Trajectory, SamplerSettings, int] | None:
    """The result that this visit saw last, as long as it is kept for all visitors."""
    request, name = st.session_state.get(STALE, (None, ""))
    if request is None:
        return None
    _digest, way, seeds = request
    explorer = loaders.ddpm(name)
    little = (len(way.grid(explorer.T)) - 1) * len(seeds) <= AT_ONCE
    path = live.result("denoise", request, little=little)
    return None if path is None else (explorer, path, way, seeds[0])


def explain() -> None:
    mechanism(
        _(
            "The network never paints a picture. It is shown a noisy one and the level t, "
            "and guesses **the noise** (by way of v: see Diffusion training); taking the "
            "guess away gives the picture it believes in, the predicted x₀. No sampler "
            "trusts it at once: each takes a small step towards it.\n\n**DDPM** takes all T "
            "steps and adds fresh noise after each but the last, as the model says. **DDIM** "
            "skips levels and, with η = 0, adds none: the same noise always gives the same "
            "picture. **DPM-Solver++** follows the same curve with a second-order rule, so "
            "that 10 to 20 steps are enough."
        )
    )
    x, x_t = coloured("x_hat", r"\hat x_0"), coloured("x_t")
    eps = coloured("eps", rf"\varepsilon_\theta({coloured('x_t')}, t)")
    formula(
        [
            rf"{x} = \frac{{{x_t} - \sqrt{{1-\bar\alpha_t}}\,{eps}}}{{\sqrt{{\bar\alpha_t}}}}",
            r"\text{DDPM: } x_{t-1} = \frac{1}{\sqrt{\alpha_t}}\Big("
            rf"{x_t} - \frac{{\beta_t}}{{\sqrt{{1-\bar\alpha_t}}}}\,{eps}\Big)"
            r" + \sqrt{\tilde\beta_t}\,\xi,\qquad \xi \sim \mathcal N(0, I)",
            rf"\text{{DDIM: }} x_s = \sqrt{{\bar\alpha_s}}\,{x} + "
            rf"\sqrt{{1-\bar\alpha_s-\sigma^2}}\,{eps} + \sigma\,\xi,\qquad "
            r"\sigma^2 = \eta^2\,\frac{1-\bar\alpha_s}{1-\bar\alpha_t}"
            r"\Big(1-\frac{\bar\alpha_t}{\bar\alpha_s}\Big)",
        ],
        _(
            "Ho, Jain & Abbeel 2020, algorithm 2; Song, Meng & Ermon 2021, equation 12; Lu et al. "
            "2022, DPM-Solver++ (2M). A page counts t from 1 to T, code from 0."
        ),
        NoiseSchedule.p_sample,
        NoiseSchedule.p_mean,
        p_sample_loop,
        ddim,
        dpm_solver,
        DDPM.sample,
    )
