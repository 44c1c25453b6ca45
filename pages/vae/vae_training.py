"""Samples and training: what the VAE dreams, and how it got there epoch by epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import streamlit as st

from core.bundles.bundle import Bundle
from core.pictures.data import PictureSet
from core.pictures.images import Pictures, sharpness
from core.vae.explorer import VAEExplorer
from core.vae.gaussian import DiagonalGaussianDistribution
from core.vae.model import VAE
from pages import from_noise
from pages.browser import film
from pages.browser.curves import Level
from pages.shared import controls, data_sets, figures, library, loaders, shape, training
from pages.shared.colours import GREY, SYMBOL_COLOURS
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
    percent,
    plain_errors,
)

COLUMNS, PAIRS = 6, 12
"""Pictures a row, and pairs of a test digit and its reconstruction: as many pictures as samples."""

IN_PAIRS = N_("Test digits and their reconstructions after epoch {epoch}")
SHARPNESS = N_(
    "Neighbouring pixels of its samples differ by **{sharp} grey levels** on average, those of real "
    "digits by {real}: the samples have {share} of their sharpness."
)
WHY_BLURRED = N_(
    "**Digits**: the code has {units} numbers. Together they cost {kl} nats per picture, "
    "which is also the most they can tell about it. **Blur**: neighbouring pixels of the "
    "samples above differ by {value} grey levels on average. Lower the temperature and "
    "watch this number: the samples become more alike, not sharper. The blur comes from the "
    "likelihood. With unit variance it charges each pixel its squared error: where an edge "
    "may lie here or there, the grey between costs least."
)
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


@shape.fragment
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
            help=_("z ~ N(0, temperature² I). At 1 this is the prior; at 0 every z is 0."),
        )
    with right:
        count = controls.whole(_("Pictures"), 16, 64, 32, "training_count", step=16)
    drawn = loaders.vae_samples(explorer.bundle.name, seed, count, temperature)
    pictures = drawn.value
    sheet = figures.sheet(
        pictures,
        "vae_samples",
        columns=8,
        alt=_("{count} pictures that the VAE generated").format(count=count),
    )
    settings = {_("seed"): seed, _("temperature"): number(temperature, 2)}
    figures.about(
        Provenance(explorer.bundle, True, drawn.seconds, settings),
        "vae_samples",
        png=lambda: sheet,
        rows=lambda: [
            {"picture": i + 1, **{f"z{u + 1}": float(v) for u, v in enumerate(z)}}
            for i, z in enumerate(explorer.prior(seed, count, temperature))
        ],
    )
    question(
        _("Do you see digits? Are they blurred?"),
        "training_digits",
        lambda: digits_and_blur(pictures, explorer.bundle),
    )


def digits_and_blur(pictures: Pictures, of: Bundle) -> None:
    """The answer of the figures to the assignment's question: first those of many samples, then why."""
    if measured := " ".join(filter(None, [from_noise.sure_sentence(of), sharpness_words(of)])):
        st.markdown(measured)
    st.markdown(
        _(WHY_BLURRED).format(
            units=of.config["architecture"]["latent_dim"],
            kl=number(of.metrics["test"]["kl"]),
            value=number(sharpness(pictures), 1),
        )
    )


def sharpness_words(of: Bundle) -> str:
    """How sharp many samples of a bundle are, next to test digits; empty where that was not measured."""
    try:
        found = of.metrics["judged"]["samples"]
        sharp, real = float(found["sharpness"]), float(found["sharpness_of_test"])
        share = sharp / real
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return ""
    return _(SHARPNESS).format(sharp=number(sharp), real=number(real), share=percent(share))


# ---------------------------------------------------------------- training


def epochs(name: str) -> None:
    """The timeline, its pictures and its curves: runs again by itself."""
    with plain_errors(), st.container():  # over all of it the timeline stays in view
        bundle = library.bundle(name)
        epoch = training.epoch_timeline(bundle, "training_epoch", sticky=True)
        if epoch is not None:
            show_epoch(bundle, epoch)
        training.curves(bundle, CURVES, "training", partial(linear_model, bundle), first_epoch=3)


def show_epoch(bundle: Bundle, epoch: int) -> None:
    """The pictures of an epoch, and their files."""
    above, below = st.container(), st.container()
    with below:
        real = data_sets.measured_test_set(bundle)
        settings = bundle.config["data"]
        data_sets.offer(
            settings["name"],
            settings["test_split"],
            _(
                "Show each original above its reconstruction: download the test digits ({megabytes} MB)"
            ),
            "training_originals",
        )
    with above:
        samples_by_epoch = training.sheet_of_epochs(
            bundle,
            "samples",
            _("Samples after epoch {epoch}, always of the same z").format(epoch=film.STOP),
            _("Samples after epoch {epoch}").format(epoch=film.STOP),
            columns=COLUMNS,
        )
        frames = None if real is None else pairs_by_epoch(bundle, real)
        cells = [samples_by_epoch, reconstructions(bundle, frames)]
        film.show("training_epoch_film", "training_epoch", [film.Row(cells, "sheets")])
        with figures.about(
            Provenance(bundle, live=False, settings={_("epoch"): epoch}),
            "training_epoch_film",
            png=lambda: training.sheet_of(bundle, ("samples", "reconstructions"), epoch),
        ):
            st.markdown(_("Samples"))
            training.downloads(bundle, "samples", epoch, "vae_samples_by_epoch")
            st.markdown(_("Reconstructions"))
            training.downloads(bundle, "reconstructions", epoch, "vae_reconstructions_by_epoch")
            if frames is not None:
                st.markdown(_("Test digits and their reconstructions"))
                save_pairs(frames, training.shots(bundle).index(epoch))


def reconstructions(bundle: Bundle, frames: np.ndarray | None) -> film.Cell:
    """Reconstructions by epoch: below their originals where those are at hand, else alone."""
    if frames is None:
        return training.sheet_of_epochs(
            bundle,
            "reconstructions",
            _("Reconstructions after epoch {epoch}, always of the same test digits").format(
                epoch=film.STOP
            ),
            _("Reconstructions after epoch {epoch}").format(epoch=film.STOP),
            columns=COLUMNS,
        )
    return film.Cell(
        film.levels(frames, COLUMNS),
        _("Test digits, and below each its reconstruction after epoch {epoch}").format(
            epoch=film.STOP
        ),
        _(IN_PAIRS).format(epoch=film.STOP),
    )


def pairs_by_epoch(bundle: Bundle, real: PictureSet) -> np.ndarray:
    """The first test digits that the bundle shows and what it made of them: (epochs, 2n, 32, 32, 3)."""
    originals = real.pictures[bundle.profiles["shown_rows"][:PAIRS]]
    made = [
        library.sheet(bundle, "reconstructions", epoch, training.SHEET)[:PAIRS]
        for epoch in training.shots(bundle)
    ]
    return in_pairs(originals, np.stack(made), COLUMNS)


def in_pairs(originals: Pictures, made: np.ndarray, columns: int) -> np.ndarray:
    """Rows of originals (n, H, W, 3), each above its row of what was made of them (E, n, H, W, 3).

    uint8 (E, 2n, H, W, 3), for sheets of ``columns`` columns.
    """
    rows = []
    for first in range(0, len(originals), columns):
        part = slice(first, first + columns)
        above = np.broadcast_to(originals[part], made[:, part].shape)
        rows += [above, made[:, part]]
    return np.concatenate(rows, axis=1)


def save_pairs(frames: np.ndarray, now: int) -> None:
    """The pairs of an epoch, and those of all epochs, as files."""
    figures.downloads(
        "vae_pairs_by_epoch",
        png=lambda: figures.grid(frames[now], COLUMNS),
        gif=lambda: figures.enlarge(np.stack([figures.grid(one, COLUMNS) for one in frames]), 3),
    )


def seconds_by_epoch(history: Sequence[Mapping[str, float]]) -> np.ndarray:
    """How long every epoch took: (N,), seconds of wall-clock time."""
    return np.diff([0.0, *(row["seconds_total"] for row in history)])


def pace(bundle: Bundle) -> None:
    """The clock in words."""
    seconds = seconds_by_epoch(bundle.history)
    st.markdown(
        _(
            "**{seconds} seconds per epoch** (median of {epochs} epochs), {minutes} minutes in all. "
            "Device: {device}."
        ).format(
            seconds=number(float(np.median(seconds)), 1),
            epochs=len(seconds),
            minutes=number(float(seconds.sum()) / 60),
            device=bundle.config["training"]["device"],
        )
    )


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
            "Draw z from the prior and decode it. **Do you see digits? Are they blurred?** Move the "
            "epoch: z and the test digits stay the same, only the weights change."
        ),
    )
    with plain_errors():
        name = controls.bundle_name("vae", "training_bundle")
        shape.fragment(epochs)(name)
        bundle = library.bundle(name)
        pace(bundle)
        training.went_on(bundle)
        training.explain_average(bundle)
        mechanism(
            _(
                "A sample is the **mode** of p(x|z), which for a Gaussian is its mean: no pixel "
                "noise is added. A reconstruction decodes the mean of q(z|x). Training maximises "
                "the ELBO."
            )
        )
        samples(name)
        z = coloured("z")
        formula(
            [
                rf"{z} \sim \mathcal N(0, \tau^2 I),\qquad "
                rf"{coloured('x_hat')} = \mu_\theta({z})",
            ],
            _("Kingma & Welling 2014, appendix A shows the same kind of pictures on other data."),
            VAE.sample,
            DiagonalGaussianDistribution.mode,
        )
