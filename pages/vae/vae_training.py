"""Samples and training: what the VAE dreams, and how it got there epoch by epoch."""

from __future__ import annotations

import time
from functools import partial

import streamlit as st

from core.bundles.bundle import Bundle
from core.pictures.images import Pictures, sharpness
from core.vae.explorer import VAEExplorer
from core.vae.gaussian import DiagonalGaussianDistribution
from core.vae.model import VAE
from pages.browser import film
from pages.browser.curves import Level
from pages.shared import controls, data_sets, figures, library, loaders, training
from pages.shared.colours import GREY, SYMBOL_COLOURS
from pages.shared.figures import Provenance
from pages.shared.questions import question
from pages.shared.text import N_, _, coloured, formula, head, mechanism, number, plain_errors

CURVES: training.Curves = {
    "elbo": (
        N_("Negative ELBO (nats)"),
        (
            ("train_negative_elbo", N_("training"), GREY),
            ("test_negative_elbo", N_("test"), SYMBOL_COLOURS["x"]),
        ),
    ),
    "kl": (
        N_("KL (nats)"),
        (
            ("train_kl", N_("training"), GREY),
            ("test_kl", N_("test"), SYMBOL_COLOURS["z"]),
        ),
    ),
    "nll": (
        N_("Reconstruction, nll (nats)"),
        (
            ("train_nll", N_("training"), GREY),
            ("test_nll", N_("test"), SYMBOL_COLOURS["x_hat"]),
        ),
    ),
    "mse": (
        N_("Mean squared error of a pixel"),
        (
            ("train_mse", N_("training"), GREY),
            ("test_mse", N_("test"), SYMBOL_COLOURS["x_hat"]),
        ),
    ),
    "active": (
        N_("Active units"),
        (
            ("train_active_units", N_("training"), GREY),
            ("test_active_units", N_("test"), SYMBOL_COLOURS["z"]),
        ),
    ),
}


# ---------------------------------------------------------------- samples


@st.fragment
def samples(name: str) -> None:
    """Seed, temperature and what they give: runs again by itself."""
    with plain_errors():
        draw(loaders.vae(name))


def draw(explorer: VAEExplorer) -> None:
    st.subheader(_("Samples at the end of training"), anchor=False)
    left, middle, right = st.columns(3, gap="large", vertical_alignment="bottom")
    with left:
        seed = controls.seed("training_seed")
    with middle:
        temperature = controls.real(
            _("Temperature of the prior"),
            0.0,
            2.0,
            1.0,
            "training_temperature",
            help=_("z ~ N(0, temperature² I). 1 is the prior; 0 gives the most average picture."),
        )
    with right:
        count = controls.whole(_("Pictures"), 16, 64, 32, "training_count", step=16)
    begun = time.perf_counter()
    pictures = explorer.sample(seed, count, temperature)
    seconds = time.perf_counter() - begun
    sheet = figures.sheet(
        pictures, columns=8, alt=_("{count} pictures that the VAE generated").format(count=count)
    )
    settings = {_("seed"): seed, _("temperature"): number(temperature, 2)}
    figures.about(
        Provenance(explorer.bundle, True, seconds, settings),
        "vae_samples",
        png=lambda: sheet,
        rows=lambda: [
            {"picture": i + 1, **{f"z{u + 1}": float(v) for u, v in enumerate(z)}}
            for i, z in enumerate(explorer.prior(seed, count, temperature))
        ],
    )
    kl = explorer.bundle.metrics["test"]["kl"]
    question(
        _("Do you see digits? Are they blurred?"),
        "training_digits",
        lambda: digits_and_blur(pictures, kl),
    )


def digits_and_blur(pictures: Pictures, kl: float) -> None:
    """The answer of the figures to the assignment's question."""
    st.markdown(
        _(
            "Count before you read on. **Digits**: some samples carry a clear digit, others only "
            "a light or dark shape in the middle. The latent code costs {kl} nats a picture "
            "and tells at most so much about it. **Blur**: neighbouring pixels of these "
            "samples differ by {value} grey levels on average. Lower the temperature and watch "
            "the figure: samples become more average, not sharper. The blur is what a "
            "unit-variance likelihood asks for, for it fines every pixel by its squared error "
            "and never rewards texture."
        ).format(kl=number(kl), value=number(sharpness(pictures), 1))
    )


# ---------------------------------------------------------------- training


def epochs(name: str) -> None:
    """The timeline and its pictures: runs again by itself."""
    with plain_errors():
        show_epoch(loaders.vae(name))


def show_epoch(explorer: VAEExplorer) -> None:
    bundle = explorer.bundle
    st.subheader(_("What it could do, epoch by epoch"), anchor=False)
    epoch = training.epoch_timeline(bundle, "training_epoch")
    if epoch is None:
        return
    cells = [
        training.sheet_of_epochs(
            bundle,
            "samples",
            _("Samples after epoch {epoch}, always of the same z").format(epoch=film.STOP),
            _("Samples after epoch {epoch}").format(epoch=film.STOP),
            columns=6,
        ),
        training.sheet_of_epochs(
            bundle,
            "reconstructions",
            _("Reconstructions after epoch {epoch}, always of the same test digits").format(
                epoch=film.STOP
            ),
            _("Reconstructions after epoch {epoch}").format(epoch=film.STOP),
            columns=6,
        ),
    ]
    real = data_sets.measured_test_set(bundle)
    if real is not None and controls.switch(_("Show the test digits"), "training_real"):
        shown = real.pictures[bundle.profiles["shown_rows"]]
        words = _("The test digits themselves")
        cells.append(film.Cell(film.levels(shown[None], columns=6), words, words))
    film.show("training_epoch_film", "training_epoch", [film.Row(cells, "sheets")])
    with figures.about(Provenance(bundle, live=False, settings={_("epoch"): epoch})):
        st.markdown(_("Samples"))
        training.saved(bundle, "samples", epoch, "vae_samples_by_epoch")
        st.markdown(_("Reconstructions"))
        training.saved(bundle, "reconstructions", epoch, "vae_reconstructions_by_epoch")
        if len(cells) > 2:
            st.markdown(_("The test digits themselves"))
            figures.downloads("vae_test_digits", png=lambda: figures.grid(shown, 6))


def linear_model(bundle: Bundle, code: str) -> list[Level]:
    """The linear model's exact figure, where it can be compared."""
    if code != "elbo":
        return []
    linear = bundle.metrics["linear_model"]["nll"]
    return [Level(linear, _("linear model, exact: {nll}").format(nll=number(linear)), dash="dot")]


def main() -> None:
    head(
        _("Samples and training"),
        _(
            "Draw z from the prior, decode it, look. **Do you see digits? Are they blurred?** Then "
            "turn back the clock and watch the same z become pictures, epoch by epoch."
        ),
    )
    with plain_errors():
        name = controls.bundle_name("vae", "training_bundle")
        st.fragment(epochs)(name)
        samples(name)
        bundle = library.bundle(name)
        training.curves(bundle, CURVES, "training", partial(linear_model, bundle), first_epoch=3)
        training.went_on(bundle)
        training.average_said(bundle)
        mechanism(
            _(
                "A sample is the **mode** of p(x|z), which for a Gaussian is its mean: no pixel "
                "noise is added. Training maximises the ELBO. The pictures by epoch are always "
                "those of the same z and of the same test digits, so that only the weights differ."
            )
        )
        z = coloured("z")
        formula(
            [
                rf"{z} \sim \mathcal N(0, \tau^2 I),\qquad "
                rf"{coloured('x_hat')} = \mu_\theta({z})",
            ],
            _("Kingma & Welling 2014, appendix A shows the same pictures for other data."),
            VAE.sample,
            DiagonalGaussianDistribution.mode,
        )
