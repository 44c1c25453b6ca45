"""Interpolation: walk from one picture to another through the latent space."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from core.pictures.images import Pictures
from core.vae.explorer import VAEExplorer, Walk
from core.vae.latents import interpolate, interpolate_latents
from pages.browser import film
from pages.browser.timeline import timeline
from pages.shared import controls, figures, library, loaders, picking, shape
from pages.shared.colours import AMBER, SKY
from pages.shared.figures import Provenance
from pages.shared.picking import Start
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

STOPS = range(0, 101, 2)
"""Stops of the timeline, in percent of the way."""
WAYS_KEPT = 32

SMOOTH, JUMP = 1.5, 3.0
"""The largest step in average steps: below the one a way is smooth, from the other on it jumps."""
SAGGING = 0.8
"""Shorter than this share of sqrt(d), z lies where the prior hardly puts a draw."""
KINDS = {"linear": N_("Linear"), "spherical": N_("Spherical")}
COLOURS = {"linear": SKY, "spherical": AMBER}
DASHES = {"linear": "solid", "spherical": "dash"}


def ends(explorer: VAEExplorer) -> tuple[Start | None, Start | None]:
    """The two ends, each of any origin."""
    left, right = st.columns(2, gap="large")
    with left:
        st.subheader(_("From"), anchor=False)
        first = picking.start(
            "interpolation_a", explorer, with_prior=True, default="maker", text="3", own=True
        )
    with right:
        st.subheader(_("To"), anchor=False)
        second = picking.start(
            "interpolation_b",
            explorer,
            with_prior=True,
            default="maker",
            text="8",
            first=9,
            own=True,
        )
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
    """Whether the way is smooth, on a scale, in words that the chart lets one check."""
    found = {_("smooth"): walk.unevenness < SMOOTH, _("uneven"): walk.unevenness < JUMP}
    word = next((word for word, fits in found.items() if fits), _("a jump"))
    return _(
        "**{kind}: {word}.** In {most} equal steps of z, the largest changes the picture {ratio} times as "
        "much as the average one. 1 would be: every step alike; {most}: everything in one step."
    ).format(
        kind=_(KINDS[walk.kind]),
        word=word,
        ratio=number(walk.unevenness, 2),
        most=len(walk.change),
    )


def which_to_take(linear: Walk, spherical: Walk) -> str:
    """Which way stays where the prior puts its draws, at a length near sqrt(d)."""
    root = linear.latents.shape[1] ** 0.5
    straight, around = (float(walk.norm[len(walk.norm) // 2]) for walk in (linear, spherical))
    lengths = _(
        "Half way, z has length {straight} on the straight way and {around} on the spherical one; draws from "
        "the prior have about {root}."
    ).format(straight=number(straight), around=number(around), root=number(root))
    if straight >= SAGGING * root:
        verdict = _("**Between these ends the straight way will do.**")
    elif around >= SAGGING * root:
        verdict = _(
            "**Between these ends take the spherical way:** the straight one leaves the prior."
        )
    else:
        verdict = _(
            "**Neither way goes where the prior puts its draws,** as these ends do not, either."
        )
    return f"{lengths} {verdict}"


def journey(name: str, first: Start, second: Start) -> None:
    """Both ways, their mixture of pixels, and their charts: runs again by itself."""
    with plain_errors():
        travel(name, first, second)


@dataclass(frozen=True)
class Ways:
    """Both ways through the latent space at every stop, and in as many pictures as are asked for."""

    film: list[Walk]
    walks: list[Walk]
    seconds: float


def ways(explorer: VAEExplorer, first: Start, second: Start, n_samples: int) -> Ways:
    """All that is decoded; computed once for all visitors."""

    def compute() -> tuple[list[Walk], list[Walk]]:
        counts = (len(STOPS), n_samples)
        return tuple(
            [explorer.walk(first.z, second.z, count, kind) for kind in KINDS] for count in counts
        )

    request = (explorer.bundle.digest, first.z.tobytes(), second.z.tobytes(), n_samples)
    found = library.timed("interpolation", WAYS_KEPT, request, compute)
    return Ways(*found.value, found.seconds)


def mixed(first: Pictures, second: Pictures) -> film.Source:
    """One picture fading into another, pixel by pixel, at every stop."""
    share = np.array(STOPS) / STOPS[-1]
    ends = (one.transpose(2, 0, 1) / 127.5 - 1 for one in (first, second))
    return film.mix(*ends, 1 - share, share)


def show_ways(found: Ways, n_samples: int) -> None:
    """The pictures of now by either way and by mixing pixels; below them each way as a strip."""
    fading = mixed(*found.film[0].pictures[[0, -1]])
    alts = {
        "linear": _("Decoded {t} percent along the straight way"),
        "spherical": _("Decoded {t} percent along the way around"),
        "pixels": _("Both pictures mixed, {t} percent of the second"),
    }
    titles = {**KINDS, "pixels": N_("Pixels mixed")}
    sources = {walk.kind: film.levels(walk.pictures) for walk in found.film} | {"pixels": fading}
    now = [film.Cell(sources[code], _(titles[code]), alts[code]) for code in titles]
    places = np.linspace(0, len(STOPS) - 1, n_samples).round().astype(int).tolist()
    exact = {walk.kind: film.levels(walk.pictures) for walk in found.walks}
    strips = [
        film.Row(
            [
                film.Cell(
                    exact.get(code, fading),
                    str(index),
                    alts[code].format(t=STOPS[place]),
                    at=place,
                    frame=index if code in exact else None,
                )
                for index, place in enumerate(places)
            ],
            "strip",
            _(title),
        )
        for code, title in titles.items()
    ]
    film.show(
        "interpolation_film", "interpolation_w", [film.Row(now, widest=figures.WIDE), *strips]
    )


def travel(name: str, first: Start, second: Start) -> None:
    explorer = loaders.vae(name)
    share = timeline(_("Way, in %"), STOPS, "interpolation_w", default=50)
    above = st.container()
    n_samples = controls.whole(_("Pictures on the way"), 4, 24, 12, "interpolation_n", step=2)
    found = ways(explorer, first, second, n_samples)
    walks = found.walks
    settings = {_("from"): first.words, _("to"): second.words}
    provenance = Provenance(explorer.bundle, True, found.seconds, settings)
    with above:
        show_ways(found, n_samples)
        here = {**settings, _("way"): percent(share / STOPS[-1])}
        place = STOPS.index(share)
        opened = figures.about(
            replace(provenance, settings=here),
            "interpolation_film",
            png=lambda: figures.grid(np.stack([walk.pictures[place] for walk in found.film]), 2),
        )
        with opened:
            for walk in walks:
                st.markdown(_(KINDS[walk.kind]))
                figures.downloads(
                    f"interpolation_{walk.kind}",
                    png=lambda walk=walk: figures.grid(walk.pictures, n_samples),
                    gif=lambda walk=walk: figures.enlarge(walk.pictures, 8),
                    rows=lambda walk=walk: walk_rows([walk]),
                )
    st.markdown(
        _(
            "Mixing pixels shows **both pictures at once**, one through the other; a way through "
            "the latent space shows **one picture that changes**."
        )
    )
    st.subheader(_("Is it smooth?"), anchor=False)
    for column, walk in zip(st.columns(2, gap="large"), found.film, strict=True):
        with column:
            st.markdown(verdict(walk))
    st.markdown(which_to_take(*found.film))
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
                "Root mean square difference of neighbouring pictures, values in [−1, 1]. A flat curve is "
                "a smooth way; a peak is a place where the picture jumps. Called smooth: a largest step "
                "below {smooth} average steps; a jump: from {jump} on."
            ).format(smooth=number(SMOOTH), jump=number(JUMP))
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
                "Draws from the prior have a length near √{d} = {root}. The straight way is a chord, the "
                "spherical way an arc."
            ).format(d=explorer.latent_dim, root=number(explorer.latent_dim**0.5))
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
        above = st.container()
        name = controls.bundle_name("vae", "interpolation_bundle")
        first, second = ends(loaders.vae(name))
        with above:
            if first is None or second is None:
                st.info(_("Choose a picture for each end."))
            else:
                shape.fragment(journey)(name, first, second)
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
