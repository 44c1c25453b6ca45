"""Interpolation: walk from one picture to another through the latent space."""

from __future__ import annotations

import time

import plotly.graph_objects as go
import streamlit as st

from core.vae.explorer import VAEExplorer, Walk
from core.vae.latents import interpolate, interpolate_latents
from pages.shared import controls, figures, loaders, picking
from pages.shared.colours import AMBER, SKY
from pages.shared.figures import Provenance
from pages.shared.picking import Start
from pages.shared.text import N_, _, coloured, formula, head, mechanism, number, plain_errors

KINDS = {"linear": N_("Linear"), "spherical": N_("Spherical")}
COLOURS = {"linear": SKY, "spherical": AMBER}
DASHES = {"linear": "solid", "spherical": "dash"}


def ends(explorer: VAEExplorer) -> tuple[Start | None, Start | None]:
    """The two ends, each of any origin."""
    left, right = st.columns(2, gap="large")
    with left:
        st.subheader(_("From"), anchor=False)
        first = picking.start("interpolation_a", explorer, with_prior=True, default="prior")
    with right:
        st.subheader(_("To"), anchor=False)
        second = picking.start("interpolation_b", explorer, with_prior=True, first=9)
    return first, second


def walk_rows(walks: list[Walk]) -> list[dict]:
    return [
        {
            "kind": walk.kind,
            "step": index,
            "latent_norm": float(walk.norm[index]),
            "change_from_previous": float(walk.change[index - 1]) if index else "",
            **{f"z{unit + 1}": float(value) for unit, value in enumerate(walk.latents[index])},
        }
        for walk in walks
        for index in range(len(walk.norm))
    ]


def chart_of_change(walks: list[Walk]) -> go.Figure:
    figure = go.Figure()
    for walk in walks:
        steps = [index + 0.5 for index in range(len(walk.change))]
        figure.add_trace(
            figures.line(
                steps,
                walk.change,
                _(KINDS[walk.kind]),
                COLOURS[walk.kind],
                dash=DASHES[walk.kind],
                markers=True,
            )
        )
    figure.update_xaxes(title=_("between pictures"))
    figure.update_yaxes(title=_("change of the picture (RMS)"), rangemode="tozero")
    return figure


def chart_of_norm(walks: list[Walk], latent_dim: int) -> go.Figure:
    figure = go.Figure()
    for walk in walks:
        figure.add_trace(
            figures.line(
                list(range(len(walk.norm))),
                walk.norm,
                _(KINDS[walk.kind]),
                COLOURS[walk.kind],
                dash=DASHES[walk.kind],
                markers=True,
            )
        )
    figure.add_hline(
        latent_dim**0.5, line_dash="dot", annotation_text=f"√{latent_dim}", opacity=0.6
    )
    figure.update_xaxes(title=_("picture"))
    figure.update_yaxes(title=_("length of z"), rangemode="tozero")
    return figure


def verdict(walk: Walk) -> str:
    """Whether the way is smooth, in one sentence that the chart above lets one check."""
    return _(
        "{kind}: the largest step changes the picture {ratio} times as much as the average step."
    ).format(kind=_(KINDS[walk.kind]), ratio=number(walk.unevenness, 2))


@st.fragment
def journey(name: str, first: Start, second: Start) -> None:
    """Both ways and their charts: the part that runs again when their number changes."""
    with plain_errors():
        travel(name, first, second)


def travel(name: str, first: Start, second: Start) -> None:
    explorer = loaders.vae(name)
    n_samples = controls.whole(_("Pictures on the way"), 4, 24, 12, "interpolation_n", step=2)
    begun = time.perf_counter()
    walks = [explorer.walk(first.z, second.z, n_samples, kind) for kind in KINDS]
    seconds = time.perf_counter() - begun
    settings = {_("from"): first.words, _("to"): second.words}
    provenance = Provenance(explorer.bundle, True, seconds, settings)
    for column, walk in zip(st.columns(2, gap="large"), walks, strict=True):
        with column:
            st.subheader(_(KINDS[walk.kind]), anchor=False)
            sheet = figures.strip(
                walk.pictures,
                [str(index) for index in range(n_samples)],
                alt=_("{n} pictures from the first end to the second").format(n=n_samples),
            )
            st.markdown(verdict(walk))
            figures.caption(provenance)
            figures.downloads(
                f"interpolation_{walk.kind}",
                png=lambda sheet=sheet: sheet,
                gif=lambda walk=walk: figures.enlarge(walk.pictures, 8),
                rows=lambda walk=walk: walk_rows([walk]),
            )
    st.subheader(_("Is it smooth?"), anchor=False)
    left, right = st.columns(2, gap="large")
    with left:
        figures.chart(
            chart_of_change(walks),
            "interpolation_change",
            _("Change from picture to picture along both ways"),
            provenance,
            lambda: walk_rows(walks),
        )
        st.caption(
            _(
                "Root mean square difference of neighbouring pictures, values in [−1, 1]. A flat "
                "curve is a smooth way; a peak is a place where the picture jumps."
            )
        )
    with right:
        figures.chart(
            chart_of_norm(walks, explorer.latent_dim),
            "interpolation_norm",
            _("Length of z along both ways"),
            provenance,
            lambda: walk_rows(walks),
        )
        st.caption(
            _(
                "Draws from the prior have a length near √{d}; encoded pictures are shorter. The "
                "straight way cuts through the middle, where the prior hardly ever goes; the "
                "spherical way goes around it."
            ).format(d=explorer.latent_dim)
        )


def main() -> None:
    head(
        _("Interpolation"),
        _(
            "Two pictures, and a way from one to the other. **Every point on the way is decoded**: "
            "if the latent space is well filled, each of them is a plausible picture and none of "
            "the steps is a jump."
        ),
    )
    with plain_errors():
        name = controls.bundle_name("vae", "interpolation_bundle")
        first, second = ends(loaders.vae(name))
        if first is None or second is None:
            st.info(_("Choose a picture for each end."))
        else:
            journey(name, first, second)
        mechanism(
            _(
                "A picture is encoded to the mean of its posterior; an end from the prior is drawn "
                "directly. **Linear** mixes the two latents with weights that move from 0 to 1. "
                "**Spherical** turns the direction evenly along a great circle, while the length goes "
                "evenly from that of the one end to that of the other, so it does not sag on the "
                "way. Compare the two in the middle: where the straight way is short, pictures "
                "tend to be paler and more average."
            )
        )
        z1, z2 = coloured("z", "z_1"), coloured("z", "z_2")
        formula(
            [
                rf"z(w) = (1 - w)\,{z1} + w\,{z2},\qquad w = \tfrac{{0}}{{n-1}}, \dots, 1",
                rf"z(w) = \ell(w)\left[\frac{{\sin((1-w)\,\omega)}}{{\sin\omega}}\,"
                rf"\frac{{{z1}}}{{\lVert {z1}\rVert}} + \frac{{\sin(w\,\omega)}}{{\sin\omega}}\,"
                rf"\frac{{{z2}}}{{\lVert {z2}\rVert}}\right],\qquad "
                rf"\ell(w) = (1-w)\,\lVert {z1}\rVert + w\,\lVert {z2}\rVert",
                rf"\cos\omega = \frac{{{z1}^\top {z2}}}{{\lVert {z1}\rVert\,\lVert {z2}\rVert}}",
            ],
            _("Shoemake 1985; White 2016, *Sampling Generative Networks*."),
            interpolate_latents,
            interpolate,
        )
