"""Interpolation: walk from one picture to another through the latent space."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

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
from pages.shared.library import Timed
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
"""Stops of the timeline, in percent of the path."""
WALKS_KEPT = 64
PREFIXES = ("interpolation_a", "interpolation_b")
TURN = 25
"""By how many degrees the first house number leans left and the second right: upright ones are so alike that
their mixture looks like a path.
"""
SMOOTH, JUMP = 1.5, 3.0
"""The largest step in average steps: below the one a path is smooth, from the other on it jumps."""
PRIOR = (0.8, 1.25)
"""Lengths of z in sqrt(d) outside of which the prior hardly puts a draw: at d = 32, 92 % lie within."""
SEEN = 5.0
"""Grey levels (root mean square): from here on one sees that two pictures differ."""
KINDS = {"linear": N_("Linear"), "spherical": N_("Spherical")}
COLOURS = {"linear": SKY, "spherical": AMBER}
DASHES = {"linear": "solid", "spherical": "dash"}
ALTS = {
    "linear": N_("Decoded {t} percent along the straight path"),
    "spherical": N_("Decoded {t} percent along the spherical path"),
    "pixels": N_("Both pictures mixed, {t} percent of the second"),
}
"""Of the pictures of now, and of those of one stop."""
LENGTHS = N_(
    "Half way, z has length {straight} on the straight path and {around} on the spherical one; draws "
    "from the prior have about {root}."
)
VERDICTS = {
    "both": N_(
        "**Between these ends both paths stay where the prior puts its draws.** Which picture half way is "
        "the clearer one?"
    ),
    "spherical": N_(
        "**Between these ends take the spherical path:** the straight one leaves the prior."
    ),
    "straight": N_(
        "**Between these ends take the straight path:** on average the two ends lie further out than draws "
        "from the prior, and the spherical path stays as far out."
    ),
    "not even the ends": N_(
        "**Neither path passes where the prior puts its draws;** nor do its two ends."
    ),
    "neither": N_("**Neither path passes half way where the prior puts its draws.**"),
}
"""Which path passes half way where the prior puts its draws."""
UNLIKE = N_(
    "Mixing pixels shows **both pictures at once**, one through the other; a path through "
    "the latent space shows **one picture that changes**. Half way, the straight path and the "
    "mixture differ by **{levels} grey levels** of 255 (root mean square), the straight path and "
    "the spherical one by {kinds}."
)
ALIKE = N_(
    "Half way, the straight path and the mixture of pixels differ by only **{levels} grey levels** "
    "of 255 (root mean square), the straight path and the spherical one by {kinds}. These ends are "
    "too much alike to tell a path from a mixture: turn the two digits against each other."
)
"""What a path shows and a mixture of pixels does not, where the two differ and where they hardly do."""
BOTH_WANTED = N_("Choose a picture for each end.")


def ends(explorer: VAEExplorer) -> tuple[Start | None, Start | None]:
    """The two ends, each of any origin; the first begins as the picture of the visit, if there is one."""
    titles, texts, firsts = (_("From"), _("To")), ("3", "8"), (picking.DIGIT["gallery"], 9)
    found = []
    for column, prefix, title, text, first, lean in zip(
        st.columns(2, gap="large"),
        PREFIXES,
        titles,
        texts,
        firsts,
        (-TURN, TURN),
        strict=True,
    ):
        with column:
            st.markdown(f"**{title}**")
            found.append(
                picking.start(
                    prefix,
                    explorer,
                    with_prior=True,
                    default="maker",
                    first=first,
                    text=text,
                    rotation=lean,
                    own=True,
                    begins=prefix == PREFIXES[0],
                )
            )
    return tuple(found)


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


def along(values: list[float], walk: Walk, stops: Sequence[float]) -> go.Scatter:
    """A line of values over the percent of the path."""
    kind = walk.kind
    return figures.line(stops, values, _(KINDS[kind]), COLOURS[kind], dash=DASHES[kind])


def chart_of_change(walks: list[Walk]) -> go.Figure:
    """What every step between two neighbouring stops changes."""
    between = [(a + b) / 2 for a, b in pairwise(STOPS)]
    figure = go.Figure([along(walk.change, walk, between) for walk in walks])
    figure.update_xaxes(title=_("path, in %"), range=[0, 100], dtick=25)
    figure.update_yaxes(title=_("change of the picture (RMS)"), rangemode="tozero")
    return figure


def chart_of_norm(walks: list[Walk], latent_dim: int) -> go.Figure:
    figure = go.Figure([along(walk.norm, walk, list(STOPS)) for walk in walks])
    figure.add_hline(
        latent_dim**0.5, line_dash="dot", annotation_text=f"√{latent_dim}", opacity=0.6
    )
    figure.update_xaxes(title=_("path, in %"), range=[0, 100], dtick=25)
    figure.update_yaxes(title=_("length of z"), rangemode="tozero")
    return figure


def verdict(walk: Walk) -> str:
    """Whether the path is smooth, on a scale, in words that the chart lets one check."""
    found = {_("smooth"): walk.unevenness < SMOOTH, _("uneven"): walk.unevenness < JUMP}
    word = next((word for word, fits in found.items() if fits), _("a jump"))
    return _(
        "**{kind}: {word}.** In {most} equal steps of z, the largest changes the picture {ratio} times as "
        "much as the average one. 1 would mean equal steps; {most}, a single jump."
    ).format(
        kind=_(KINDS[walk.kind]),
        word=word,
        ratio=number(walk.unevenness, 2),
        most=len(walk.change),
    )


def which_to_take(linear: Walk, spherical: Walk) -> str:
    """Which path stays where the prior puts its draws, at a length near sqrt(d)."""
    root = linear.latents.shape[1] ** 0.5
    straight, around = (float(walk.norm[len(walk.norm) // 2]) for walk in (linear, spherical))
    lengths = _(LENGTHS).format(straight=number(straight), around=number(around), root=number(root))

    def usual(length: float) -> bool:
        return PRIOR[0] * root <= length <= PRIOR[1] * root

    if usual(straight) and usual(around):
        verdict = "both"
    elif usual(around):
        verdict = "spherical"
    elif usual(straight):
        verdict = "straight"
    elif not (usual(linear.norm[0]) or usual(linear.norm[-1])):
        verdict = "not even the ends"
    else:
        verdict = "neither"
    return " ".join([lengths, _(VERDICTS[verdict])])


def journey(name: str, first: Start, second: Start, frames: int) -> None:
    """Both paths and the mixture of pixels under the hand: runs again by itself."""
    with plain_errors():
        travel(name, first, second, frames)


def decode_walks(
    explorer: VAEExplorer, first: Start, second: Start, count: int
) -> Timed[list[Walk]]:
    """Both paths, decoded at ``count`` points; computed once for all visitors."""
    return library.timed_answer(
        "interpolation",
        WALKS_KEPT,
        (explorer.bundle.digest, first.z.tobytes(), second.z.tobytes(), count),
        lambda: [explorer.walk(first.z, second.z, count, kind) for kind in KINDS],
    )


def settings_of(first: Start, second: Start) -> dict[str, object]:
    return {_("from"): first.words, _("to"): second.words}


def cross_fade(first: Pictures, second: Pictures) -> film.Source:
    """One picture fading into another, pixel by pixel, at every stop."""
    share = np.array(STOPS) / STOPS[-1]
    ends = (one.transpose(2, 0, 1) / 127.5 - 1 for one in (first, second))
    return film.mix(*ends, 1 - share, share)


def show_paths(film_of: list[Walk], strips_of: list[Walk]) -> None:
    """The pictures of now on either path and with pixels mixed; below them each path as a strip."""
    fading = cross_fade(*film_of[0].pictures[[0, -1]])
    alts = {code: _(words) for code, words in ALTS.items()}
    titles = {**KINDS, "pixels": N_("Pixels mixed")}
    sources = {walk.kind: film.levels(walk.pictures) for walk in film_of} | {"pixels": fading}
    now = [film.Cell(sources[code], _(titles[code]), alts[code]) for code in titles]
    count = len(strips_of[0].pictures)
    places = np.linspace(0, len(STOPS) - 1, count).round().astype(int).tolist()
    exact = {walk.kind: film.levels(walk.pictures) for walk in strips_of}
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


def levels_between(one: np.ndarray, other: np.ndarray) -> float:
    """Root mean square difference of two pictures, in grey levels of 255."""
    return float(np.sqrt(np.square(one.astype(float) - other).mean()))


def against_mixing(linear: Walk, spherical: Walk) -> str:
    """What a path shows and a mixture of pixels does not: as far as their pictures half way differ."""
    straight, around = (walk.pictures[len(walk.pictures) // 2] for walk in (linear, spherical))
    mixture = (linear.pictures[0].astype(float) + linear.pictures[-1]) / 2
    apart = levels_between(straight, mixture)
    return _(UNLIKE if apart >= SEEN else ALIKE).format(
        levels=number(apart), kinds=number(levels_between(straight, around))
    )


def travel(name: str, first: Start, second: Start, frames: int) -> None:
    explorer = loaders.vae(name)
    share = timeline(_("Path, in %"), STOPS, "interpolation_w", default=50)
    every, some = (decode_walks(explorer, first, second, count) for count in (len(STOPS), frames))
    show_paths(every.value, some.value)
    here = {**settings_of(first, second), _("path"): percent(share / STOPS[-1])}
    place = STOPS.index(share)
    opened = figures.about(
        Provenance(explorer.bundle, True, every.seconds + some.seconds, here),
        "interpolation_film",
        png=lambda: figures.grid(np.stack([walk.pictures[place] for walk in every.value]), 2),
    )
    with opened:
        for walk in some.value:
            st.markdown(_(KINDS[walk.kind]))
            figures.downloads(
                f"interpolation_{walk.kind}",
                png=lambda walk=walk: figures.grid(walk.pictures, frames),
                gif=lambda walk=walk: figures.enlarge(walk.pictures, 8),
                rows=lambda walk=walk: walk_rows([walk]),
            )
    st.markdown(against_mixing(*every.value))


def smoothness(explorer: VAEExplorer, first: Start, second: Start) -> None:
    """Whether the picture changes evenly, and which path to take: of the very steps of the timeline."""
    found = decode_walks(explorer, first, second, len(STOPS))
    walks = found.value
    provenance = Provenance(explorer.bundle, True, found.seconds, settings_of(first, second))
    st.subheader(_("Is it smooth?"), anchor=False)
    for column, walk in zip(st.columns(2, gap="large"), walks, strict=True):
        with column:
            st.markdown(verdict(walk))
    st.markdown(which_to_take(*walks))
    left, right = st.columns(2, gap="large")
    with left:
        figures.chart(
            chart_of_change(walks),
            "interpolation_change",
            _("Change from picture to picture along both paths"),
            provenance,
            lambda: walk_rows(walks),
        )
        st.caption(
            _(
                "Root mean square difference of neighbouring pictures, values in [−1, 1]. A flat curve is "
                "a smooth path; a peak is a place where the picture jumps. We call a path smooth when its "
                "largest step is below {smooth} average steps, and a jump from {jump}."
            ).format(smooth=number(SMOOTH), jump=number(JUMP))
        )
    with right:
        figures.chart(
            chart_of_norm(walks, explorer.latent_dim),
            "interpolation_norm",
            _("Length of z along both paths"),
            provenance,
            lambda: walk_rows(walks),
        )
        st.caption(
            _(
                "Draws from the prior have a length near √{d} = {root}. The straight path is a chord, the "
                "spherical path an arc."
            ).format(d=explorer.latent_dim, root=number(explorer.latent_dim**0.5))
        )


def how_it_works() -> None:
    mechanism(
        _(
            "A picture is encoded to the mean of its posterior; an end from the prior is drawn "
            "directly. **Linear** mixes the two latents with weights that move from 0 to 1. "
            "**Spherical** turns the direction evenly along a great circle, while the length goes "
            "evenly from that of one end to that of the other, so that z is not shorter half way. "
            "Compare the two half way: where z is short on the straight path, pictures tend to be "
            "paler and closer to the average picture."
        )
    )


def main() -> None:
    head(
        _("Interpolation"),
        _(
            "Two pictures, and a path from one to the other. **Every point on the path is decoded**: "
            "if the latent space is well filled, each of them is a plausible picture and none of "
            "the steps is a jump."
        ),
    )
    with plain_errors():
        above = st.container()
        name = controls.bundle_name("vae", "interpolation_bundle")
        explorer = loaders.vae(name)
        with st.expander(_("Other pictures"), icon=":material/image_search:"):
            first, second = ends(explorer)
            frames = controls.whole(_("Pictures on the path"), 4, 24, 12, "interpolation_n", step=2)
        chosen = first is not None and second is not None
        with above:
            if chosen:
                shape.fragment(journey)(name, first, second, frames)
            else:
                st.info(_(BOTH_WANTED))
        how_it_works()
        if chosen:
            smoothness(explorer, first, second)
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
