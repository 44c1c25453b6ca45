"""Diffusion training: what the network guesses, how well at each level, epoch by epoch."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from core.bundles.bundle import Bundle
from core.ddpm.schedule import NoiseSchedule
from core.pictures.images import Pictures, sharpness
from pages.browser import film
from pages.ddpm.parts import example
from pages.shared import controls, figures, library, shape, training
from pages.shared.colours import AMBER, GREY, SKY, SYMBOL_COLOURS
from pages.shared.figures import Provenance
from pages.shared.questions import question
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

CURVES: training.Curves = {
    "loss": (
        N_("Smooth L1 of the noise"),
        (
            ("train_loss", N_("training"), GREY),
            ("test_loss", N_("test"), SYMBOL_COLOURS["eps"]),
        ),
    ),
    "objective": (
        N_("What is minimised"),
        (("train_objective", N_("training"), GREY),),
    ),
    "mse": (
        N_("Squared error of the noise"),
        (("test_mse", N_("test"), SYMBOL_COLOURS["eps"]),),
    ),
    "quarters": (
        N_("Smooth L1 by quarter of T"),
        (
            ("test_loss_1", N_("first quarter, little noise"), SYMBOL_COLOURS["x"]),
            ("test_loss_2", N_("second quarter"), SKY),
            ("test_loss_3", N_("third quarter"), AMBER),
            ("test_loss_4", N_("last quarter, nearly all noise"), SYMBOL_COLOURS["eps"]),
        ),
    ),
}
LEVELS = {
    "level_eps_mse": N_("Squared error of the noise"),
    "level_loss": N_("Smooth L1 of the noise"),
    "level_x0_mse": N_("Squared error of the predicted x₀"),
}
SHEETS = {"ancestral": N_("All T steps"), "final": N_("50 steps (DDIM)")}
SHEET = 24


# ---------------------------------------------------------------- at the end


def final_samples(bundle: Bundle) -> None:
    st.subheader(_("Samples at the end of training"), anchor=False)
    kind = controls.choice(_("Made by"), SHEETS, "ddpm_sheet")
    shown = library.sheet(bundle, kind, max(bundle.progress(kind)), SHEET)
    alt = _("{count} pictures that the diffusion model generated").format(count=SHEET)
    figures.sheet(shown, "ddpm_samples", columns=8, alt=alt)
    settings = {_("seeds"): f"0 – {SHEET - 1}", _("sampler"): _(SHEETS[kind])}
    figures.about(
        Provenance(bundle, live=False, settings=settings),
        "ddpm_samples",
        png=lambda: figures.grid(shown, 8),
    )
    question(
        _("Do you see digits? Are they blurred?"),
        "ddpm_digits",
        lambda: digits_and_blur(bundle, shown),
    )


def digits_and_blur(bundle: Bundle, shown: Pictures) -> None:
    """The answer of the figures to the assignment's question."""
    st.markdown(
        _(
            "Count before you read on. **Digits**: how many of the {count} can you name? "
            "**Blur**: neighbouring pixels of these pictures differ by {value} grey levels on "
            "average, those of real test digits by {real}. Nothing in this loss asks for an "
            "average picture: at every step the network only says which noise it sees, and the "
            "sampler adds texture back."
        ).format(
            count=SHEET,
            value=number(sharpness(shown), 1),
            real=number(bundle.metrics["samples"]["sharpness_of_test_pictures"], 1),
        )
    )


# ---------------------------------------------------------------- by epoch


def epochs(name: str) -> None:
    """The timeline and its pictures: runs again by itself."""
    with plain_errors():
        bundle = library.bundle(name)
        epoch = training.epoch_timeline(bundle, "ddpm_epoch")
        if epoch is None:
            return
        cell = training.sheet_of_epochs(
            bundle,
            "samples",
            _("Samples after epoch {epoch}, always from the same noise, in 50 steps (DDIM)").format(
                epoch=film.STOP
            ),
            _("Samples after epoch {epoch}").format(epoch=film.STOP),
            columns=8,
        )
        film.show("ddpm_epoch_film", "ddpm_epoch", [film.Row([cell], "sheets")])
        if bundle.ancestors:
            st.caption(training.first_stop(bundle))
        with figures.about(
            Provenance(
                bundle, live=False, settings={_("epoch"): training.epochs_before(bundle) + epoch}
            ),
            "ddpm_epoch_film",
            png=lambda: training.sheet_of(bundle, ("samples",), epoch, columns=8),
        ):
            training.downloads(bundle, "samples", epoch, "ddpm_samples_by_epoch", columns=8)


# ---------------------------------------------------------------- by level


def by_level(bundle: Bundle) -> None:
    """The final error at each level of noise."""
    st.subheader(_("Which level is hard?"), anchor=False)
    arrays = bundle.profiles
    key = controls.choice(_("Error"), LEVELS, "ddpm_level")
    figure = go.Figure()
    figure.add_trace(
        figures.line(
            arrays["level_t"] + 1,
            arrays[key],
            _(LEVELS[key]),
            SYMBOL_COLOURS["x_hat" if key == "level_x0_mse" else "eps"],
            markers=True,
        )
    )
    figure.update_xaxes(title="t")
    figure.update_yaxes(title=_(LEVELS[key]), type="log", exponentformat="power")
    over = _("{count} test pictures").format(count=number(bundle.metrics["test"]["pictures"], 0))
    figures.chart(
        figure,
        "ddpm_by_level",
        _("{what} against t").format(what=_(LEVELS[key])),
        Provenance(bundle, live=False, settings={_("over"): over}),
        lambda: [
            {"t": int(t) + 1, **{name: float(arrays[name][i]) for name in LEVELS}}
            for i, t in enumerate(arrays["level_t"])
        ],
    )
    first, last = (float(arrays["level_eps_mse"][place]) for place in (0, -1))
    st.markdown(
        _(
            "Little noise is hard to tell from texture: squared error {first} at the lowest "
            "level, where answering 0 would give 1. Nearly pure noise is easy, it only has "
            "to be copied: {last} at the highest. For the **picture** it is the other way "
            "round: a small error in the noise is a large one in x₀ where almost no picture "
            "is left."
        ).format(first=number(first, 3), last=scientific(last, 0))
    )


def predicts_v(bundle: Bundle) -> bool:
    return bundle.config["architecture"].get("prediction") == "v"


def why_v() -> str:
    """Why a network predicts v instead of the noise."""
    return (
        _(
            "This network does not predict the noise itself but **v**, noise and picture in one, "
            "from which the noise follows. At the last level next to nothing of the picture is left, "
            "and the smallest error in the noise would become a huge one in the picture: the colours "
            "drift. An error in v stays the same size in the picture. What is minimised is the smooth "
            "L1 of v; the curve called smooth L1 of the noise is the assignment's loss."
        )
        + "\n\n"
    )


def loss_shape() -> None:
    """Smooth L1 next to the square and the absolute value."""
    st.subheader(_("Smooth L1, the loss"), anchor=False)
    d = np.linspace(-3, 3, 121)
    smooth = np.where(np.abs(d) < 1, d**2 / 2, np.abs(d) - 0.5)
    figure = go.Figure()
    for values, name, colour, dash in (
        (smooth, _("smooth L1"), SYMBOL_COLOURS["eps"], "solid"),
        (d**2 / 2, _("half the square"), SYMBOL_COLOURS["x"], "dash"),
        (np.abs(d) - 0.5, _("absolute value less a half"), GREY, "dot"),
    ):
        figure.add_trace(figures.line(d, values, name, colour, dash=dash))
    figure.update_xaxes(title=_("noise − guess"))
    figure.update_yaxes(range=[-0.6, 3])
    figures.plain_chart(
        figure,
        "ddpm_loss_shape",
        _("Smooth L1 between half the square and the absolute value"),
        lambda: [{"d": float(x), "smooth_l1": float(y)} for x, y in zip(d, smooth, strict=True)],
        height=300,
    )


def main() -> None:
    head(
        _("Diffusion training"),
        _(
            "Take a picture, a random level t and some noise; **guess the noise**. That is all the "
            "training there is. Further down: the samples epoch by epoch, always from the same noise."
        ),
    )
    with plain_errors():
        figure = st.container()
        name = controls.bundle_name("ddpm", "ddpm_bundle")
        bundle = library.bundle(name)
        with figure:
            example.show(name)
        st.subheader(_("Epoch by epoch"), anchor=False)
        shape.fragment(epochs)(name)
        final_samples(bundle)
        training.curves(bundle, CURVES, "ddpm")
        training.explain_average(bundle)
        by_level(bundle)
        loss_shape()
        mechanism(
            _(
                "One step of training: draw t for every picture of a batch, jump to x_t in one "
                "step, ask the network for the noise, and compare. Errors below 1 count by their "
                "square, larger ones only by their size, so that no single value rules a step. "
                "The levels of a batch are drawn evenly apart, so that each batch sees every "
                "depth of noise."
            )
            + "\n\n"
            + (why_v() if predicts_v(bundle) else "")
            + _(
                "What is shown and stored is an **exponential moving average** of the weights: the "
                "weights themselves jump about from step to step, and samples with them."
            )
        )
        x_t, eps = coloured("x_t"), coloured("eps")
        guess = coloured("eps", rf"\varepsilon_\theta({x_t}, t)")
        formula(
            [
                r"t \sim \mathcal U\{1, \dots, T\},\qquad "
                rf"{eps} \sim \mathcal N(0, I),\qquad {x_t} = \sqrt{{\bar\alpha_t}}\,"
                rf"{coloured('x', 'x_0')} + \sqrt{{1-\bar\alpha_t}}\,{eps}",
                rf"L = \mathbb E\,\ell\big({eps} - {guess}\big),\qquad "
                r"\ell(d) = \tfrac12 d^2 \text{ if } |d| < 1,\ |d| - \tfrac12 \text{ otherwise}",
                rf"v = \sqrt{{\bar\alpha_t}}\,{eps} - \sqrt{{1-\bar\alpha_t}}\,"
                rf"{coloured('x', 'x_0')},\qquad "
                rf"{guess} = \sqrt{{1-\bar\alpha_t}}\,{x_t} + \sqrt{{\bar\alpha_t}}\,v_\theta",
            ],
            _(
                "Ho, Jain & Abbeel 2020, algorithm 1, with smooth L1 (Girshick 2015) in the place of "
                "the square, as the assignment has it; Salimans & Ho 2022, section 4, for v."
            ),
            NoiseSchedule.p_losses,
            NoiseSchedule.t_sample,
            NoiseSchedule.v_losses,
            NoiseSchedule.v_target,
            NoiseSchedule.eps_from_v,
            NoiseSchedule.q_sample,
        )
