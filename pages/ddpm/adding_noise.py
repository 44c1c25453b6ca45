"""Adding noise: a picture, one timeline of t, and every coefficient of the way into noise."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import streamlit as st

from core.ddpm.explorer import NoisyWalk, noisy_walk
from core.ddpm.model import ScheduleConfig
from core.ddpm.schedule import NoiseSchedule
from core.pictures.images import Pictures
from pages.browser import curves, film
from pages.browser.curves import Axis, Series
from pages.browser.timeline import timeline
from pages.shared import controls, figures, library, loaders, picking, shape
from pages.shared.colours import SYMBOL_COLOURS
from pages.shared.figures import Provenance
from pages.shared.loaders import Timed
from pages.shared.picking import PickedPicture
from pages.shared.text import (
    N_,
    _,
    coloured,
    formula,
    head,
    mechanism,
    number,
    plain_errors,
    scientific,
)

KINDS = {"linear": N_("Linear"), "cosine": N_("Cosine")}
COLOURS = {"linear": SYMBOL_COLOURS["x_t"], "cosine": SYMBOL_COLOURS["x_hat"]}
CLEAN = N_("The clean picture x_0")
IN_ONE_STEP = N_("The picture with the noise of all {t} steps, added in one step")
AFTER_STEPS = N_("The picture after {t} steps of the random walk")
AT_LEVEL = N_("The picture with noise of level {t}, in one step")
T_NOW = f"t = {film.STOP}"
STOPS = 50
STRIP = 9
SHORTER = re.compile(r"\s?[:;]\s")
"""What follows has no room in the table; it stands above, with the coefficient that is chosen."""
BY_POWERS = {"betas", "posterior_variance", "sqrt_recip_alphas"}
"""Drawn on a scale of powers: the last values of the cosine schedule would flatten the linear one."""
# Arrays of ``NoiseSchedule``: symbol, LaTeX, what it does.
COEFFICIENTS: dict[str, tuple[str, str, str]] = {
    "alphas_cumprod": (
        "ᾱₜ",
        r"\bar\alpha_t = \prod_{s \le t} \alpha_s",
        N_("what is left of the picture's own variance; 1 at the start, near 0 at the end"),
    ),
    "betas": (
        "βₜ",
        r"\beta_t = \beta_1 + \frac{t-1}{T-1}\,(\beta_T - \beta_1)",
        N_(
            "the variance of the noise that step t adds; the formula is that of the linear schedule"
        ),
    ),
    "alphas": ("αₜ", r"\alpha_t = 1 - \beta_t", N_("what step t keeps of the picture's variance")),
    "sqrt_recip_alphas": (
        "1/√αₜ",
        r"1/\sqrt{\alpha_t}",
        N_("how far a step back stretches the picture again"),
    ),
    "alphas_cumprod_prev": (
        "ᾱₜ₋₁",
        r"\bar\alpha_{t-1}",
        N_("ᾱ one step earlier: shifted right, beginning with 1"),
    ),
    "sqrt_alphas_cumprod": (
        "√ᾱₜ",
        r"\sqrt{\bar\alpha_t}",
        N_("what the picture is multiplied with in x_t"),
    ),
    "sqrt_one_minus_alphas_cumprod": (
        "√(1−ᾱₜ)",
        r"\sqrt{1-\bar\alpha_t}",
        N_("what the noise is multiplied with in x_t: its standard deviation"),
    ),
    "posterior_variance": (
        "β̃ₜ",
        r"\tilde\beta_t = \beta_t\,\frac{1-\bar\alpha_{t-1}}{1-\bar\alpha_t}",
        N_("the variance of the noise that a step back adds; 0 at the last step"),
    ),
    "log_snr": (
        "log SNR",
        r"\log \frac{\bar\alpha_t}{1-\bar\alpha_t}",
        N_("the logarithm of signal over noise: 0 where they are equal, falls all the way"),
    ),
}


def saved_levels(T: int) -> list[int]:
    """Levels of the walk that are saved with it, 0 (clean) to T as pages count them."""
    return sorted({0, 1, *(step * T // STOPS for step in range(1, STOPS + 1))})


# ---------------------------------------------------------------- the pictures at t


def at_level(name: str, config: ScheduleConfig, picked: PickedPicture, seed: int) -> None:
    """The timeline and all that moves with it: runs again by itself."""
    with plain_errors(), st.container():
        t = timeline("t", range(config.T + 1), "noise_t", default=config.T // 4, sticky=True)
        levels = [level - 1 for level in saved_levels(config.T)]
        found = loaders.noisy_walk_of(config, picked.picture, seed, levels)
        pictures(name, config, picked, seed, found, t)
        agreement(name, config, found, seed, picked)
        coefficients(name, config, t)
        if t > 0:
            table(loaders.schedule(config), t)


def provenance(
    name: str, config: ScheduleConfig, seconds: float | None, **settings: object
) -> Provenance:
    said = {_("schedule"): _(KINDS[config.kind]), "T": config.T, **settings}
    return Provenance(library.bundle(name), True, seconds, said)


def in_one_step(config: ScheduleConfig, x0: np.ndarray, eps: np.ndarray) -> film.Source:
    """x_t of the closed form at all levels 0 to T."""
    schedule = loaders.schedule(config)
    signal = [1.0, *schedule.sqrt_alphas_cumprod.tolist()]
    noise = [0.0, *schedule.sqrt_one_minus_alphas_cumprod.tolist()]
    return film.mix(x0, eps, signal, noise)


def pictures(
    name: str,
    config: ScheduleConfig,
    picked: PickedPicture,
    seed: int,
    found: Timed[NoisyWalk],
    t: int,
) -> None:
    walk = found.value
    x0 = picked.picture.transpose(2, 0, 1) / 127.5 - 1
    other = replace(config, kind="cosine" if config.kind == "linear" else "linear")
    jumps = {one.kind: in_one_step(one, x0, walk.eps) for one in (config, other)}
    walk_of = film.walk(x0, loaders.schedule(config).alphas.tolist(), seed)
    differs = _("difference: at most {off}")
    now = [
        film.Cell(film.still(picked.picture), "x₀", _(CLEAN)),
        film.Cell(
            walk_of["direct"],
            _("xₜ in one step"),
            _(IN_ONE_STEP),
        ),
        film.Cell(
            walk_of["walked"],
            _("xₜ after {t} small steps"),
            _(AFTER_STEPS),
            sign="−",
        ),
        film.Cell(
            walk_of["off"],
            [differs.format(off=scientific(off, 0)) for off in walk.off],
            _("The difference of the two pictures at level {t}: grey is zero"),
            sign="=",
        ),
    ]
    chosen = np.linspace(0, config.T, STRIP).round().astype(int).tolist()
    strips = [
        film.Row(
            [
                film.Cell(
                    jumps[one.kind],
                    number(level, 0),
                    _(AT_LEVEL).format(t=number(level, 0)),
                    at=level,
                )
                for level in chosen
            ],
            "strip",
            _(KINDS[one.kind]),
        )
        for one in (config, other)
    ]
    film.show("noise_film", "noise_t", [film.Row(now, widest=figures.WIDE), *strips])
    settings = {_("picture"): picked.words, "t": number(t, 0), _("seed"): seed}
    figures.about(
        provenance(name, config, found.seconds, **settings),
        "adding_noise",
        png=lambda: still_picture(config, picked, seed, t),
        gif=lambda: figures.enlarge(walk.walked, 8),
    )
    if t > 0:
        st.markdown(
            _(
                "Two ways to the same level: **one step**, or **{t} small steps**. The one step adds "
                "the noise of all small steps, summed up. The two pictures differ by at most **{off}** "
                "in any value, and that is rounding. So training never has to walk: it jumps to any "
                "level. The strips jump with another draw of noise, under either schedule."
            ).format(t=number(t, 0), off=scientific(walk.off[t], 0))
        )


def still_picture(config: ScheduleConfig, picked: PickedPicture, seed: int, t: int) -> Pictures:
    """The three pictures at t, next to one another: what the browser shows, as a file."""
    walk = loaders.noisy_walk_of(config, picked.picture, seed, [t - 1]).value
    return figures.grid(np.stack([picked.picture, walk.direct[0], walk.walked[0]]), 3)


def agreement(
    name: str,
    config: ScheduleConfig,
    found: Timed[NoisyWalk],
    seed: int,
    picked: PickedPicture,
) -> None:
    """What is left of the picture along the walk, against the formula."""
    st.subheader(_("How much picture, how much noise?"), anchor=False)
    walk, schedule = found.value, loaders.schedule(config)
    signal = schedule.sqrt_alphas_cumprod.numpy()
    noise = schedule.sqrt_one_minus_alphas_cumprod.numpy()
    levels = np.arange(config.T + 1)
    measured_picture = _("picture, measured on the walk")
    measured_noise = _("noise, measured on the walk")
    curves.chart(
        "noise_agreement",
        "noise_t",
        [
            Series("√ᾱₜ", levels[1:], signal, SYMBOL_COLOURS["x"], width=6),
            Series(measured_picture, levels, walk.signal, curves.TEXT, width=1.5),
            Series("√(1−ᾱₜ)", levels[1:], noise, SYMBOL_COLOURS["eps"], width=6),
            Series(measured_noise, levels, walk.noise, curves.TEXT, width=1.5, dash="dash"),
        ],
        Axis("t", whole=True),
        Axis(_("factor"), digits=4),
        _("Share of picture and of noise in x_t: formula and random walk"),
        now=T_NOW,
    )
    figures.about(
        provenance(name, config, found.seconds, **{_("picture"): picked.words, _("seed"): seed}),
        "noise_agreement",
        rows=lambda: [
            {
                "t": int(level) + 1,
                "signal_of_walk": float(walk.signal[i]),
                "noise_of_walk": float(walk.noise[i]),
                "signal_of_one_step": float(walk.signal_jumped[i]),
                "noise_of_one_step": float(walk.noise_jumped[i]),
            }
            for i, level in enumerate(walk.t)
        ],
    )


# ---------------------------------------------------------------- the coefficients


def coefficients(name: str, config: ScheduleConfig, t: int) -> None:
    """One array of either schedule over t, with its value at the current t."""
    st.subheader(_("Every coefficient"), anchor=False)
    titles = {key: symbol for key, (symbol, _latex, _words) in COEFFICIENTS.items()}
    key = controls.choice(_("Coefficient"), titles, "noise_coefficient")
    symbol, latex, words = COEFFICIENTS[key]
    left, right = st.columns([2, 3], gap="large", vertical_alignment="center")
    with left:
        st.latex(latex)
        st.markdown(_(words)[:1].upper() + _(words)[1:] + ".")
    raw = {
        kind: getattr(loaders.schedule(replace(config, kind=kind)), key).numpy() for kind in KINDS
    }
    # On a scale of powers nothing, as the last step back adds, is a gap.
    powers = key in BY_POWERS
    values = {kind: np.where(of > 0, of, np.nan) if powers else of for kind, of in raw.items()}
    levels = np.arange(1, config.T + 1)
    with right:
        curves.chart(
            "noise_coefficients",
            "noise_t",
            [
                Series(
                    _(KINDS[kind]),
                    levels,
                    values[kind],
                    colour,
                    dash="solid" if kind == config.kind else "dash",
                )
                for kind, colour in COLOURS.items()
            ],
            Axis("t", whole=True),
            Axis(symbol, log=powers, digits=5),
            _("{symbol} over t, linear and cosine schedule").format(symbol=symbol),
            now=T_NOW,
        )
        figures.about(
            provenance(name, config, None, t=number(t, 0)),
            "noise_coefficients",
            rows=lambda: [
                {"t": level + 1, **{kind: float(raw[kind][level]) for kind in KINDS}}
                for level in range(config.T)
            ],
        )


def table(schedule: NoiseSchedule, t: int) -> None:
    """All coefficients at t, with what each one does."""
    figures.words_of(
        [
            {
                _("coefficient"): symbol,
                _("in code"): key,
                _("value at t = {t}").format(t=number(t, 0)): number(
                    float(getattr(schedule, key)[t - 1]), 6
                ),
                _("what it does"): SHORTER.split(_(words))[0],
            }
            for key, (symbol, _latex, words) in COEFFICIENTS.items()
        ],
        "noise_table",
        height="content",
    )


def main() -> None:
    head(
        _("Adding noise"),
        _(
            "A diffusion model learns to undo what this page does: **a little noise, T times**. "
            "Move t and watch the picture drown; one formula gets there in a single step."
        ),
    )
    with plain_errors():
        with st.expander(_("Another picture, schedule, model, seed"), icon=":material/tune:"):
            left, right = st.columns([3, 2], gap="large")
            with right:
                name = controls.bundle_name("ddpm", "noise_bundle")
                explorer = loaders.ddpm(name)
                kind = controls.choice(
                    _("Schedule"),
                    KINDS,
                    "noise_kind",
                    help=_("How the noise is shared out over the T steps."),
                )
                seed = controls.seed("noise_seed")
            with left:
                picked = picking.picture("noise", explorer.bundle, default="maker")
        if picked is None:
            st.info(_(picking.WANTED))
        else:
            config = replace(explorer.config.schedule, kind=kind)
            shape.fragment(at_level)(name, config, picked, seed)
        mechanism(
            _(
                "Each step shrinks the picture a little and adds a little Gaussian noise, so "
                "that a picture of variance 1 keeps variance 1. Because sums of Gaussians are Gaussian, t "
                "steps can be written as **one**: √ᾱₜ times the picture plus √(1−ᾱₜ) times noise. "
                "Training relies on it: any level is reached at once.\n\nThe **linear** schedule "
                "spends many of its last steps on pictures that are noise already. The "
                "**cosine** schedule destroys more evenly: compare the two strips. What tells "
                "two levels apart is their signal-to-noise ratio, not the number t."
            )
        )
        x, x_t, eps = coloured("x", "x_0"), coloured("x_t"), coloured("eps")
        formula(
            [
                rf"q({x_t} \mid x_{{t-1}}) = \mathcal N\big(\sqrt{{1-\beta_t}}\,x_{{t-1}},\ "
                r"\beta_t I\big)",
                rf"{x_t} = \sqrt{{\bar\alpha_t}}\,{x} + \sqrt{{1-\bar\alpha_t}}\,{eps},\qquad "
                rf"{eps} \sim \mathcal N(0, I)",
                r"\log \mathrm{SNR}(t) = \log \bar\alpha_t - \log(1-\bar\alpha_t)",
            ],
            _(
                "Ho, Jain & Abbeel 2020, equations 2 and 4; Nichol & Dhariwal 2021, equation 17, "
                "for the cosine. Code counts t from 0, this page from 1, as the papers do."
            ),
            NoiseSchedule.q_step,
            NoiseSchedule.q_sample,
            NoiseSchedule.linear,
            NoiseSchedule.cosine,
            noisy_walk,
        )
