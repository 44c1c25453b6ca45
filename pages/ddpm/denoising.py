"""Denoising: from noise to a picture, by whichever sampler, live, and the whole way to look at."""

from __future__ import annotations

import numpy as np
import streamlit as st

from core.ddpm.explorer import DDPMExplorer, SamplerSettings, Trajectory
from core.ddpm.model import DDPM
from core.ddpm.samplers import ddim, dpm_solver, p_sample_loop
from core.ddpm.schedule import NoiseSchedule
from core.pictures.images import Pictures
from pages.browser import film
from pages.browser.timeline import timeline
from pages.shared import controls, figures, live, loaders
from pages.shared.figures import Column, Provenance, digits
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

SAMPLERS = {"ddim": "DDIM", "dpm": "DPM-Solver++", "ddpm": "DDPM"}
COUNTS = (1, 4, 16)
# Ways of at most so many network calls times pictures are gone without being asked: about 0.3 s.
AT_ONCE = 100
COLUMNS = {1: 1, 4: 4, 16: 8}

COMPARED: dict[str, tuple[str, SamplerSettings]] = {
    "ddim-50": ("DDIM 50", SamplerSettings("ddim", 50)),
    "ddim-20": ("DDIM 20", SamplerSettings("ddim", 20)),
    "ddim-10": ("DDIM 10", SamplerSettings("ddim", 10)),
    "ddim-5": ("DDIM 5", SamplerSettings("ddim", 5)),
    "dpm-20": ("DPM-Solver++ 20", SamplerSettings("dpm", 20)),
    "dpm-10": ("DPM-Solver++ 10", SamplerSettings("dpm", 10)),
    "dpm-5": ("DPM-Solver++ 5", SamplerSettings("dpm", 5)),
    "ddim-50-eta-1": ("DDIM 50, η = 1", SamplerSettings("ddim", 50, eta=1.0)),
    "ddpm": (N_("DDPM, every step"), SamplerSettings("ddpm", None)),
}
"""What can be compared; the first that is chosen is the one that the others are measured against."""
COMPARED_FIRST = ("ddim-50", "ddim-10", "dpm-10", "ddim-50-eta-1")
COMPARED_PICTURES = 6


# ---------------------------------------------------------------- what is asked for


def asked() -> tuple[SamplerSettings, list[int], int]:
    """Sampler, steps, eta, seeds of the pictures, and the first seed."""
    left, right = st.columns(2, gap="large")
    with left:
        sampler = controls.choice(_("Sampler"), SAMPLERS, "denoise_sampler")
        count = controls.stop(_("Pictures at once"), COUNTS, 4, "denoise_count")
        steps, eta = None, 0.0
        if sampler == "ddpm":
            st.caption(
                _("DDPM takes every one of the T steps, with fresh noise in each but the last.")
            )
        else:
            steps = controls.whole(_("Steps"), 2, 100, 20, "denoise_steps")
        if sampler == "ddim":
            eta = controls.real(
                "η",
                0.0,
                1.0,
                0.0,
                "denoise_eta",
                help=_(
                    "0: no fresh noise, the way is fixed by where it starts. 1: as much as DDPM."
                ),
            )
        if sampler == "dpm":
            st.caption(_("A second-order solver of the same noiseless way as DDIM with η = 0."))
    with right:
        seed = controls.seed("denoise_seed")
        clip = controls.switch(
            _("Clip x̂₀ to [−1, 1]"),
            "denoise_clip",
            help=_("Values outside are no colours. Off in every comparison of this app."),
        )
    return (
        SamplerSettings(sampler, steps, eta, clip),
        [seed + index for index in range(count)],
        seed,
    )


def words_of(way: SamplerSettings, T: int) -> str:
    """The way in a few words, for captions."""
    if way.sampler == "ddpm":
        return _("DDPM, {steps} steps").format(steps=number(T, 0))
    eta = f", η = {number(way.eta, 2)}" if way.sampler == "ddim" else ""
    return (
        _("{sampler}, {steps} steps").format(sampler=SAMPLERS[way.sampler], steps=way.steps) + eta
    )


# ---------------------------------------------------------------- going the way


def newest(path: Trajectory) -> None:
    """The noisy pictures as they are now, and what the network sees in them."""
    frame = path.newest
    count = len(frame.x_t)
    figures.live_sheet(
        np.concatenate([frame.x_t, frame.x0_hat]),
        columns=min(count, 8),
        factor=2,
        alt=_("The noisy pictures, and below them what the network sees in them"),
        width=560 if count > 1 else 160,
    )


# ---------------------------------------------------------------- the way, looked at


def results(explorer: DDPMExplorer, path: Trajectory, way: SamplerSettings, seed: int) -> None:
    """The pictures at the end."""
    st.subheader(_("Where the way ends"), anchor=False)
    count = path.x_t.shape[1]
    made = path.result
    sheet = figures.sheet(
        made,
        columns=COLUMNS[count],
        alt=_("Pictures made from noise"),
        width="stretch" if count > 1 else 320,
    )
    figures.caption(provenance(explorer, path, way, seed, count))
    figures.downloads(
        "denoised",
        png=lambda: sheet,
        gif=lambda: figures.enlarge(
            np.stack([figures.grid(frame, COLUMNS[count]) for frame in path.x_t]), 4
        ),
    )


def provenance(
    explorer: DDPMExplorer,
    path: Trajectory,
    way: SamplerSettings,
    seed: int,
    count: int,
    **more: object,
) -> Provenance:
    settings = {
        _("sampler"): words_of(way, explorer.T),
        _("seeds"): seed if count == 1 else f"{seed} – {seed + count - 1}",
        _("clipped"): _("yes") if way.clip_x0 else _("no"),
        **more,
    }
    return Provenance(explorer.bundle, True, path.seconds, settings)


def along(explorer: DDPMExplorer, path: Trajectory, way: SamplerSettings, seed: int) -> None:
    """The timeline of a way that was gone: runs again by itself."""
    with plain_errors():
        count = path.x_t.shape[1]
        index = 0
        if count > 1:
            index = controls.whole(_("Which picture"), 1, count, 1, "denoise_which") - 1
        levels = [int(t) + 1 for t in path.t]
        t = timeline("t", levels, "denoise_t", default=levels[len(levels) * 3 // 5])
        x_t, eps_hat, x0_hat = (
            film.levels(frames[:, index]) for frames in (path.x_t, path.eps_hat, path.x0_hat)
        )
        now = [
            film.Cell(x_t, "xₜ", _("The noisy picture at level {t}")),
            film.Cell(
                eps_hat, _("predicted noise"), _("The noise that the network sees at level {t}")
            ),
            film.Cell(
                x0_hat, _("predicted x₀"), _("The clean picture that the network sees at level {t}")
            ),
        ]
        chosen = np.linspace(0, len(levels) - 1, min(9, len(levels))).round().astype(int).tolist()
        strips = [
            film.Row(
                [
                    film.Cell(cell.source, str(levels[at]), cell.alt.format(t=levels[at]), at=at)
                    for at in chosen
                ],
                "strip",
                cell.label,
            )
            for cell in (now[0], now[2])
        ]
        film.show("denoise_film", "denoise_t", [film.Row(now, widest=figures.WIDE), *strips])
        figures.caption(provenance(explorer, path, way, seed + index, 1, t=t))
        change = along_rows(path, index)
        figures.downloads(
            "denoising_way",
            png=lambda: figures.grid(
                np.concatenate([path.x_t[:, index], path.eps_hat[:, index], path.x0_hat[:, index]]),
                len(levels),
            ),
            gif=lambda: figures.enlarge(
                np.concatenate([path.x_t[:, index], path.x0_hat[:, index]], axis=2), 6
            ),
            rows=lambda: change,
        )
        st.markdown(
            _(
                "Follow the predicted x₀: at high t it is an average of all pictures, blurred and "
                "grey; colour and light and dark come first, edges and texture last."
            )
        )


def along_rows(path: Trajectory, index: int) -> list[dict]:
    """How far the predicted picture still is from the final one, by t."""
    final = path.result[index].astype(float)
    return [
        {
            "t": int(t) + 1,
            "rms_from_result": float(np.sqrt(np.square(path.x0_hat[i, index] - final).mean())),
            "mean_grey_x0_hat": float(path.x0_hat[i, index].mean()),
        }
        for i, t in enumerate(path.t)
    ]


# ---------------------------------------------------------------- side by side


def compared_columns() -> list[Column]:
    off = _("RMS difference from the first row, grey levels")
    return [
        Column("way", _("way"), _),
        Column("network_calls", _("network calls"), int),
        Column("seconds", _("seconds"), digits(2)),
        Column("rms_difference_from_the_first", off, digits(1)),
    ]


def comparison(name: str, explorer: DDPMExplorer) -> None:
    st.subheader(_("Same noise, another way"), anchor=False)
    st.markdown(
        _(
            "Every row starts from the **same noise**. Without fresh noise (η = 0) all ways lead "
            "to nearly the same pictures, once there are enough steps; with fresh noise they part."
        )
    )
    left, right = st.columns([5, 3], gap="large", vertical_alignment="bottom")
    with left:
        titles = {code: title for code, (title, _way) in COMPARED.items()}
        chosen = controls.several(_("Ways"), titles, "compare_ways", COMPARED_FIRST)
    with right:
        seed = controls.seed("compare_seed")
    if not chosen:
        st.info(_("Choose at least one way."))
        return
    seeds = [seed + index for index in range(COMPARED_PICTURES)]
    slow = "ddpm" in chosen
    if slow and not loaders.is_drawn(name, COMPARED["ddpm"][1], seeds):
        seconds = explorer.seconds_a_step(COMPARED_PICTURES) * explorer.T
        if not st.button(
            _("Take every step: about {seconds} s").format(seconds=number(seconds, 0)),
            key="compare_go",
            icon=":material/play_arrow:",
        ):
            chosen = [code for code in chosen if code != "ddpm"]
    first: Pictures | None = None
    rows = []
    for code in chosen:
        title, way = COMPARED[code]
        drawn = loaders.drawn(name, way, seeds)
        first = drawn.value if first is None else first
        off = np.sqrt(np.square(drawn.value.astype(float) - first).mean())
        calls = len(way.grid(explorer.T)) - 1
        rows.append(
            {
                "way": title,
                "network_calls": calls,
                "seconds": drawn.seconds,
                "rms_difference_from_the_first": float(off),
            }
        )
        st.caption(
            _("{way}: {calls} network calls, {seconds} s").format(
                way=_(title), calls=number(calls, 0), seconds=number(drawn.seconds, 2)
            )
        )
        figures.sheet(
            drawn.value,
            columns=COMPARED_PICTURES,
            alt=_("Pictures by {way}").format(way=_(title)),
        )
    if not rows:
        return
    figures.table(rows, compared_columns())
    settings = {_("seeds"): f"{seeds[0]} – {seeds[-1]}", _("clipped"): _("no")}
    figures.caption(Provenance(explorer.bundle, True, settings=settings))
    figures.downloads(
        "denoising_compared",
        png=lambda: figures.grid(
            np.concatenate([loaders.drawn(name, COMPARED[c][1], seeds).value for c in chosen]),
            COMPARED_PICTURES,
        ),
        rows=lambda: rows,
    )


# ---------------------------------------------------------------- the page


def main() -> None:
    head(
        _("Denoising"),
        _(
            "Start from pure noise and **let the network take it away**, step by step. Which "
            "sampler, how many steps, how much fresh noise on the way: see what each is worth."
        ),
    )
    with plain_errors():
        with st.container(horizontal=True, vertical_alignment="center"):
            with st.popover(_("Model, sampler, seed"), icon=":material/tune:"):
                name = controls.bundle_name("ddpm", "denoise_bundle")
                way, seeds, seed = asked()
            explorer = loaders.ddpm(name)
            request = (explorer.bundle.digest, way, tuple(seeds))
            calls = len(way.grid(explorer.T)) - 1
            clicked = st.button(
                (
                    _("Denoise one picture in {calls} steps")
                    if len(seeds) == 1
                    else _("Denoise {count} pictures in {calls} steps")
                ).format(count=len(seeds), calls=number(calls, 0)),
                key="denoise_go",
                type="primary",
                icon=":material/play_arrow:",
            )
        place, below, beside = st.empty(), st.container(), st.container()
        path = live.answer(
            request,
            lambda: explorer.denoise_steps(way, seeds),
            "denoise",
            place,
            newest,
            wanted=clicked,
        )
        if path is None and calls * len(seeds) <= AT_ONCE:
            path = loaders.trajectory(name, way, seeds)
        if path is None:
            place.info(_("This takes a moment: press the button."))
        else:
            with below:
                st.fragment(along)(explorer, path, way, seed)
                results(explorer, path, way, seed)
        with beside, plain_errors():
            comparison(name, explorer)
        explained()


def explained() -> None:
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
