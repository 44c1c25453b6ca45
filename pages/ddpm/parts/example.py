"""One training example under the hand: a picture, a level, noise, and what the network guesses of it."""

from __future__ import annotations

import numpy as np
import streamlit as st

from core.bundles.bundle import Bundle
from core.ddpm.explorer import DDPMExplorer, Prediction
from core.pictures.house_number import HouseNumber, draw
from core.pictures.images import Pictures
from pages.browser import film
from pages.browser.timeline import timeline
from pages.shared import controls, figures, library, links, loaders, picking, shape
from pages.shared.figures import Provenance
from pages.shared.text import N_, _, number, plain_errors

PICTURES = {"test": N_("Test digits"), "drawn": N_("Drawn digits")}
LEVELS = 24
"""To move t through, next to the one that was drawn."""
LEVEL, SEED, DRAWN = "ddpm_example_t", "ddpm_example_seed", "ddpm_example_drawn"
ALTS = {
    "x0": N_("The clean picture of the example"),
    "x_t": N_("The noisy picture of the example at level {t}"),
    "eps_hat": N_("The noise that the network guesses at level {t}"),
    "off": N_("Noise less guess at level {t}: grey where the guess is right"),
}
WIDTH = 520


def drawn_digit(seed: int) -> tuple[Pictures, str]:
    """A house number of one digit, (32, 32, 3), its digit and colours drawn from a seed; and in words."""
    source = np.random.default_rng(seed)
    digit = str(source.integers(10))
    ink, wall = (str(source.choice(list(of))) for of in (picking.INKS, picking.WALLS))
    made = draw(HouseNumber(text=digit, ink=ink, wall=wall, blur=0.6, noise=4, size=0.85))
    return made, _("drawn house number {text}").format(text=digit)


def test_digit(bundle: Bundle, seed: int) -> tuple[Pictures, str]:
    """One picture (32, 32, 3) of the test split that is at hand, drawn from a seed; and in words."""
    name, split = (bundle.config["data"][key] for key in ("name", "test_split"))
    row = int(np.random.default_rng(seed).integers(loaders.picture_count(name, split)))
    found = loaders.some_pictures(name, split, [row])
    return found.pictures[0], _("test picture {row}").format(row=row)


def picture(bundle: Bundle, seed: int) -> tuple[Pictures, str]:
    """x0 of the example: a test digit where the data set is at hand and wanted, else a drawn one."""
    data = bundle.config["data"]
    offered = dict(PICTURES)
    if not loaders.split_at_hand(data["name"], data["test_split"]):
        del offered["test"]
    kind = controls.choice(_("Pictures"), offered, "ddpm_example_of")
    return test_digit(bundle, seed) if kind == "test" else drawn_digit(seed)


def levels(T: int, drawn: int) -> list[int]:
    """Where t can be moved to, 1 to T as pages count: ``LEVELS`` spread over it, and the one drawn."""
    return sorted({*np.linspace(1, T, min(LEVELS, T)).round().astype(int).tolist(), drawn})


@shape.fragment
def show(name: str) -> None:
    """The example and the hand on its level: runs again by itself."""
    with plain_errors():
        bundle, explorer = library.bundle(name), loaders.ddpm(name)
        line = st.container(horizontal=True, vertical_alignment="center")
        with line:
            controls.again(_("Draw again"), SEED)
            with controls.popover(_("Pictures, seed")):
                seed = controls.seed(SEED)
                x0, words = picture(bundle, seed)
        if st.session_state.setdefault(DRAWN, seed) != seed:  # its level is drawn anew, too
            st.session_state[DRAWN] = seed
            st.session_state.pop(LEVEL, None)
            links.write(LEVEL, [])
        drawn = explorer.draw_level(seed) + 1
        stops = levels(explorer.T, drawn)
        t = timeline("t", stops, LEVEL, default=drawn)
        found = loaders.predictions(name, x0, [stop - 1 for stop in stops], seed)
        pictures(explorer, x0, found.value)
        settings = {_("picture"): words, _("seed"): seed, "t": t}
        figures.about(
            Provenance(bundle, True, found.seconds, settings),
            "training_example",
            rows=lambda: [
                {"t": look.t + 1, "smooth_l1": look.loss, "squared_error": look.eps_mse}
                for look in found.value
            ],
            png=lambda: tiles(x0, found.value[stops.index(t)]),
        )
        describe(bundle, t, found.value[stops.index(t)])


def tiles(x0: Pictures, look: Prediction) -> Pictures:
    return figures.grid(np.stack([x0, look.eps, look.x_t, look.eps, look.eps_hat, look.off]), 3)


def pictures(explorer: DDPMExplorer, x0: Pictures, looks: list[Prediction]) -> None:
    """x_t as a sum, and below it the noise less its guess."""
    a = explorer.schedule.alphas_cumprod[[look.t for look in looks]].numpy()
    parts = [[getattr(look, part) for look in looks] for part in ("x_t", "eps_hat", "off")]
    x_t, eps_hat, off = film.several(np.stack([np.stack(part) for part in parts]))
    clean, eps = film.still(x0), film.still(looks[0].eps)
    made = [
        film.Cell(
            clean,
            [f"{number(v, 3)} · x₀" for v in np.sqrt(a)],
            _(ALTS["x0"]),
        ),
        film.Cell(
            eps,
            [f"{number(v, 3)} · ε" for v in np.sqrt(1 - a)],
            _("The noise of the example"),
            sign="+",
        ),
        film.Cell(x_t, "xₜ", _(ALTS["x_t"]), sign="="),
    ]
    loss = _("loss {value}")
    guessed = [
        film.Cell(eps, "ε", _("The noise that was added")),
        film.Cell(eps_hat, _("guess"), _(ALTS["eps_hat"]), sign="−"),
        film.Cell(
            off,
            [loss.format(value=number(look.loss, 4)) for look in looks],
            _(ALTS["off"]),
            sign="=",
        ),
    ]
    film.show(
        "ddpm_example_film",
        LEVEL,
        [
            film.Row(made, words=_("The network is given"), widest=WIDTH),
            film.Row(guessed, words=_("It guesses"), widest=WIDTH),
        ],
    )


def describe(bundle: Bundle, t: int, look: Prediction) -> None:
    """What is drawn, what is compared, and how this example stands among others of its level."""
    arrays = bundle.profiles
    usual = float(np.interp(t - 1, arrays["level_t"], arrays["level_loss"]))
    st.markdown(
        _(
            "Training draws a picture x₀, a level t and noise ε, and shows the network only xₜ and t. The "
            "network guesses ε. The loss is the smooth L1 of the difference: here **{loss}**; at this level "
            "it is {usual} on average over {count} test digits. Move t: near 1 the noise is hard to tell from "
            "the picture, near T it is nearly all there is."
        ).format(
            loss=number(look.loss, 4),
            usual=number(usual, 4),
            count=number(bundle.metrics["test"]["pictures"], 0),
        )
    )
