"""Samples and training: what the VAE dreams, and how it got there epoch by epoch."""

from __future__ import annotations

import time

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from core.bundle import Bundle
from core.images import Pictures, sharpness
from core.vae import VAE, DiagonalGaussianDistribution
from core.vae_explorer import VAEExplorer
from pages.shared import controls, figures, loaders
from pages.shared.figures import Provenance
from pages.shared.text import (
    AMBER,
    GREY,
    N_,
    SYMBOL_COLOURS,
    _,
    coloured,
    formula,
    head,
    mechanism,
    number,
    plain_errors,
)

CURVES: dict[str, tuple[str, tuple[tuple[str, str, str], ...]]] = {
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
SHEET = 24


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
    figures.caption(Provenance(explorer.bundle, True, seconds, settings))
    figures.downloads(
        "vae_samples",
        png=lambda: sheet,
        rows=lambda: [
            {"picture": i + 1, **{f"z{u + 1}": float(v) for u, v in enumerate(z)}}
            for i, z in enumerate(explorer.prior(seed, count, temperature))
        ],
    )
    questions(pictures, explorer.bundle.metrics["test"]["kl"])


def questions(pictures: Pictures, kl: float) -> None:
    with st.expander(_("Do you see digits? Are they blurred?"), icon=":material/help:"):
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
    """The timeline and its pictures: runs again by itself, and while the timeline plays."""
    with plain_errors():
        show_epoch(loaders.vae(name))


def show_epoch(explorer: VAEExplorer) -> None:
    bundle = explorer.bundle
    st.subheader(_("What it could do, epoch by epoch"), anchor=False)
    shots = list(bundle.progress("samples"))
    if not shots:
        st.info(_("This bundle holds no pictures by epoch."))
        return
    epoch = controls.timeline(_("Epoch"), shots, "training_epoch")
    settings = {_("epoch"): epoch}
    left, right = st.columns(2, gap="large")
    with left:
        st.markdown(_("**Samples**, always of the same z"))
        made = loaders.sheet(bundle, "samples", epoch, SHEET)
        figures.sheet(made, columns=6, alt=_("Samples after epoch {epoch}").format(epoch=epoch))
        figures.caption(Provenance(bundle, live=False, settings=settings))
        figures.downloads(
            "vae_samples_by_epoch",
            png=lambda: figures.grid(made, 6),
            gif=lambda: film(bundle, "samples", shots),
        )
    with right:
        st.markdown(_("**Reconstructions**, always of the same test digits"))
        reconstructions(explorer, epoch, settings)


def film(bundle: Bundle, kind: str, epochs: list[int]) -> Pictures:
    """The sheets of all snapshots of a kind, as frames."""
    sheets = [figures.grid(loaders.sheet(bundle, kind, epoch, SHEET), 6) for epoch in epochs]
    return figures.enlarge(np.stack(sheets), 3)


def reconstructions(explorer: VAEExplorer, epoch: int, settings: dict) -> None:
    bundle = explorer.bundle
    restored = loaders.sheet(bundle, "reconstructions", epoch, SHEET)
    alt = _("Reconstructions after epoch {epoch}").format(epoch=epoch)
    figures.sheet(restored, columns=6, alt=alt)
    figures.caption(Provenance(bundle, live=False, settings=settings))
    shots = list(bundle.progress("reconstructions"))
    figures.downloads(
        "vae_reconstructions_by_epoch",
        png=lambda: figures.grid(restored, 6),
        gif=lambda: film(bundle, "reconstructions", shots),
    )
    real = controls.measured_test_set(explorer)
    if real is not None and st.toggle(
        _("Show the test digits"), key="training_real", bind="query-params"
    ):
        shown = real.pictures[bundle.profiles["shown_rows"]]
        figures.sheet(shown, columns=6, alt=_("The test digits themselves"))
        figures.downloads("vae_test_digits", png=lambda: figures.grid(shown, 6))


def curves(explorer: VAEExplorer) -> None:
    st.subheader(_("Loss and clock"), anchor=False)
    bundle = explorer.bundle
    history = bundle.history
    left, right = st.columns(2, gap="large")
    with left:
        titles = {code: title for code, (title, _lines) in CURVES.items()}
        code = controls.choice(_("Curve"), titles, "training_curve")
    with right:
        skip = controls.whole(
            _("First epoch shown"),
            1,
            max(2, len(history) - 1),
            min(3, len(history)),
            "training_skip",
            help=_("The first epochs dwarf the rest; leave them out to see the end."),
        )
    shown = [row for row in history if row["epoch"] >= skip] or history
    title, lines = CURVES[code]
    figure = go.Figure()
    for column, name, colour in lines:
        figure.add_trace(
            figures.line(
                [row["epoch"] for row in shown], [row.get(column) for row in shown], _(name), colour
            )
        )
    if code == "elbo":
        linear = bundle.metrics["linear_model"]["nll"]
        figure.add_hline(
            linear,
            line_dash="dot",
            opacity=0.7,
            annotation_text=_("linear model, exact: {nll}").format(nll=number(linear)),
        )
    figure.update_xaxes(title=_("epoch"))
    figure.update_yaxes(title=_(title))
    clock = go.Figure()
    clock.add_trace(
        figures.line(
            [row["epoch"] for row in history],
            [row["seconds_total"] / 60 for row in history],
            _("wall-clock time"),
            AMBER,
        )
    )
    clock.update_xaxes(title=_("epoch"))
    clock.update_yaxes(title=_("minutes since the start"), rangemode="tozero")
    training = bundle.config["training"]
    provenance = Provenance(
        bundle,
        live=False,
        settings={
            _("epochs"): len(history),
            _("device"): training["device"],
            _("minutes"): number(history[-1]["seconds_total"] / 60, 0),
        },
    )
    with left:
        figures.chart(figure, "training_curves", _(title), provenance, lambda: history)
    with right:
        alt = _("Wall-clock time by epoch")
        figures.chart(clock, "training_clock", alt, provenance, lambda: history)
    if training["average_decay"]:
        st.caption(
            _(
                "Test figures are those of the moving average of the weights, training figures "
                "those of the weights as they moved, on augmented pictures: the two are not the "
                "same quantity."
            )
        )


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
        samples(name)
        st.fragment(run_every=controls.pace("training_epoch"))(epochs)(name)
        curves(loaders.vae(name))
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


main()
