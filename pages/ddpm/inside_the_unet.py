"""Inside the U-Net: what its layers hold while it guesses the noise, and what that is good for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import streamlit as st

from core.ddpm.clustering import k_means
from core.ddpm.explorer import DDPMExplorer, Prediction
from core.ddpm.feature_views import (
    PALETTE,
    Scope,
    channel,
    channel_page,
    component_colours,
    grey_grid,
    overlay,
    segments,
    strength,
)
from core.ddpm.unet import UNet
from core.pictures.images import Pictures
from pages.browser import film
from pages.browser.timeline import timeline
from pages.shared import controls, figures, library, loaders, picking
from pages.shared.figures import Provenance
from pages.shared.loaders import Timed
from pages.shared.picking import Picked
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

VIEWS = {
    "components": N_("Three components as colours"),
    "channel": N_("One channel"),
    "strength": N_("Strength over channels"),
}
SCOPES: dict[Scope, str] = {
    "cell": N_("Each picture"),
    "layer": N_("Each layer"),
    "grid": N_("The whole grid"),
}
STOP_SHARES = (0.01, *(step / 20 for step in range(1, 21)))
"""Where the timeline stops, as shares of T; among them all that the grid shows."""
SHARES = (0.01, 0.05, 0.15, 0.25, 0.4, 0.6, 0.8)
SEGMENT_SHARES = (0.05, 0.15, 0.25)
CHANNELS_A_PAGE, CHANNELS_A_ROW = 24, 12
MOST_SEGMENTS = len(PALETTE)
MAPS_KEPT = 16
TIMELINE = "inside_t"
FILM_WIDTH = 320


def levels_of(explorer: DDPMExplorer, shares: Sequence[float] = SHARES) -> list[int]:
    """Levels at these shares of T, from 0, rising; fewer where T is small."""
    return sorted({max(0, round(share * explorer.T) - 1) for share in shares})


def provenance(
    explorer: DDPMExplorer, picked: Picked, seed: int, seconds: float, **more: object
) -> Provenance:
    settings = {_("picture"): picked.words, _("seed of the noise"): seed, **more}
    return Provenance(explorer.bundle, True, seconds, settings)


# ---------------------------------------------------------------- layers and channels by t


@dataclass(frozen=True)
class Maps:
    """Every layer at every stop as pictures: uint8 (stops, 32, 32, 3) by name.

    ``shares``: of the variance of a layer that three components hold; empty where none are shown.
    """

    shown: dict[str, Pictures]
    shares: dict[str, float]


def maps_of(view: str, scope: Scope, index: int, features: Mapping[str, np.ndarray]) -> Maps:
    if view == "components":
        return Maps(*component_colours(features, scope))
    if view == "channel":
        return Maps(grey_grid(channel(features, index), scope), {})
    return Maps(grey_grid(strength(features), scope), {})


@dataclass(frozen=True)
class Chosen:
    """Which maps are shown, and which channels of which layer."""

    view: str
    scope: Scope
    index: int
    layer: str
    first: int


def chosen(explorer: DDPMExplorer, features: Mapping[str, np.ndarray]) -> Chosen:
    """What the controls below the pictures say."""
    left, middle, right = st.columns(3, gap="large")
    with left:
        view = controls.choice(_("Show"), VIEWS, "inside_view")
    with middle:
        scope = controls.choice(
            _("Normalise over"),
            SCOPES,
            "inside_scope",
            help=_(
                "The same scale for the whole grid shows which layers are loud; a scale of its "
                "own shows every picture at full contrast."
            ),
        )
    index = 0
    with right:
        if view == "channel":
            widest = max(values.shape[1] for values in features.values())
            index = controls.whole(_("Channel"), 1, widest, 1, "inside_channel") - 1
    left, right = st.columns(2, gap="large", vertical_alignment="bottom")
    with left:
        layers = controls.same(explorer.layers)
        layer = controls.option(
            _("Every channel of one layer"), layers, "inside_layer", default=explorer.layers[-1]
        )
    pages = -(-features[layer].shape[1] // CHANNELS_A_PAGE)
    page = 1
    with right:
        if pages > 1:
            page = controls.whole(_("Page of channels"), 1, pages, 1, "inside_page")
    return Chosen(view, scope, index, layer, (min(page, pages) - 1) * CHANNELS_A_PAGE)


@st.fragment
def by_level(name: str, picked: Picked, seed: int) -> None:
    """All layers, and the channels of one, at the t of a timeline: runs again by itself."""
    with plain_errors():
        explorer = loaders.ddpm(name)
        levels = levels_of(explorer, STOP_SHARES)
        found = loaders.features(name, picked.picture, levels, seed)
        looked = loaders.predictions(name, picked.picture, levels, seed)
        figure = st.container()
        now = chosen(explorer, found.value)
        maps = library.kept("inside", MAPS_KEPT).ask(
            (
                explorer.bundle.digest,
                picked.picture.tobytes(),
                seed,
                now.view,
                now.scope,
                now.index,
            ),
            lambda: maps_of(now.view, now.scope, now.index, found.value),
        )
        values = found.value[now.layer]
        pages = np.stack([channel_page(one, now.first, CHANNELS_A_PAGE, "grid") for one in values])
        with figure:
            ts = [level + 1 for level in levels]
            usual = levels_of(explorer)
            t = timeline("t", ts, TIMELINE, default=usual[min(2, len(usual) - 1)] + 1)
            moving(explorer, looked.value, maps, now, pages)
        channels(explorer, picked, seed, found, levels, ts.index(t), now, pages[ts.index(t)])
        with st.expander(_("Layer by layer, level by level"), icon=":material/grid_on:"):
            grid_of_layers(explorer, picked, seed, found, levels, now, maps)


def moving(
    explorer: DDPMExplorer, looks: list[Prediction], maps: Maps, now: Chosen, pages: Pictures
) -> None:
    """The pictures that move with the timeline; ``pages``: uint8 (stops, channels, 32, 32, 3)."""
    seen = np.stack([[getattr(look, kind) for look in looks] for kind in ("x_t", "x0_hat")])
    layers = np.stack([maps.shown[layer] for layer in explorer.layers])
    noisy, guess, *of_layers = film.several(np.concatenate([seen, layers]))
    first, last = now.first + 1, now.first + pages.shape[1]
    words = {"layer": now.layer, "first": first, "last": last, "t": film.STOP}
    film.show(
        "inside_film",
        TIMELINE,
        [
            film.Row(
                [
                    film.Cell(
                        noisy, f"xₜ, t = {film.STOP}", _("The picture with noise of level {t}")
                    ),
                    film.Cell(
                        guess,
                        _("predicted x₀"),
                        _("What the network sees at once in noise of level {t}"),
                    ),
                ],
                widest=FILM_WIDTH,
            ),
            film.Row(
                [
                    film.Cell(
                        source,
                        layer,
                        _("The layer {layer} at t = {t}").format(layer=layer, t=film.STOP),
                    )
                    for layer, source in zip(explorer.layers, of_layers, strict=True)
                ],
                "strip",
            ),
            film.Row(
                [
                    film.Cell(
                        film.levels(pages, columns=CHANNELS_A_ROW),
                        _("{layer}, channels {first} – {last}, t = {t}").format(**words),
                        _("Channels {first} to {last} of the layer {layer} at t = {t}").format(
                            **words
                        ),
                    )
                ]
            ),
        ],
    )


def channels(
    explorer: DDPMExplorer,
    picked: Picked,
    seed: int,
    found: Timed[dict[str, np.ndarray]],
    levels: list[int],
    place: int,
    now: Chosen,
    shown: Pictures,
) -> None:
    """Caption and files of the channels of one layer at one level."""
    t = levels[place] + 1
    figures.about(
        provenance(
            explorer,
            picked,
            seed,
            found.seconds,
            **{
                _("layer"): now.layer,
                "t": t,
                _("channels"): f"{now.first + 1} – {now.first + len(shown)}",
            },
        ),
        "unet_channels",
        png=lambda: figures.grid(shown, CHANNELS_A_ROW),
        rows=lambda: [
            {
                "layer": now.layer,
                "t": t,
                "channel": i + 1,
                "mean": float(one.mean()),
                "std": float(one.std()),
            }
            for i, one in enumerate(found.value[now.layer][place])
        ],
    )


def grid_of_layers(
    explorer: DDPMExplorer,
    picked: Picked,
    seed: int,
    found: Timed[dict[str, np.ndarray]],
    levels: list[int],
    now: Chosen,
    maps: Maps,
) -> None:
    """One row a layer, one column a level."""
    columns = levels_of(explorer)
    places = [levels.index(level) for level in columns]
    rows = {layer: f"{layer} ({found.value[layer].shape[1]})" for layer in explorer.layers}
    sheet = figures.matrix(
        np.stack([maps.shown[layer][places] for layer in rows]),
        list(rows.values()),
        [f"t = {level + 1}" for level in columns],
        alt=_("Activations of the U-Net: one row a layer, one column a level of noise"),
    )
    figures.about(
        provenance(explorer, picked, seed, found.seconds, **{_("scale"): _(SCOPES[now.scope])}),
        "inside_the_unet",
        png=lambda: sheet,
        rows=lambda: [
            {
                "layer": layer,
                "t": level + 1,
                "channels": values.shape[1],
                "mean": float(values[i].mean()),
                "std": float(values[i].std()),
                "share_of_three_components": maps.shares.get(layer, float("nan")),
            }
            for layer, values in found.value.items()
            for i, level in enumerate(levels)
        ],
    )
    if maps.shares:
        first, last = explorer.layers[0], explorer.layers[-1]
        st.markdown(
            _(
                "Rows are layers, with the number of their channels; the number in the name is "
                "the side in pixels. Red, green and blue are the same three components along a "
                "row. They hold {first} of the variance of {first_layer} and {last} of that of "
                "{last_layer}."
            ).format(
                first=percent(maps.shares[first]),
                first_layer=f"`{first}`",
                last=percent(maps.shares[last]),
                last_layer=f"`{last}`",
            )
        )


# ---------------------------------------------------------------- segments


@st.fragment
def segmentation(name: str, picked: Picked, seed: int) -> None:
    """k-means over the places of one picture, from chosen layers and levels."""
    with plain_errors():
        st.subheader(_("Segments without a single label"), anchor=False)
        st.markdown(
            _(
                "Every place of the picture is described by what chosen layers hold there; "
                "places with similar descriptions get one colour. **Do digit and wall come "
                "apart?**"
            )
        )
        explorer = loaders.ddpm(name)
        levels = levels_of(explorer, STOP_SHARES)
        found = loaders.features(name, picked.picture, levels, seed)
        left, middle, right = st.columns(3, gap="large")
        with left:
            usual = explorer.layers[-2:]
            layers = controls.several(
                _("Layers"), controls.same(explorer.layers), "inside_layers", usual
            )
        with middle:
            ts = [level + 1 for level in levels_of(explorer)]
            usual = [str(level + 1) for level in levels_of(explorer, SEGMENT_SHARES)]
            some = controls.several(_("Levels t"), controls.same(ts), "inside_levels", usual)
        with right:
            k = controls.whole(_("Segments"), 2, MOST_SEGMENTS, 3, "inside_k")
        if not layers or not some:
            st.info(_("Choose at least one layer and one level."))
            return
        rows = [levels.index(int(t) - 1) for t in some]
        map_, clusters = segments(found.value, layers, rows, k)
        pixels = picked.picture.reshape(-1, 3).astype(float)
        plain = PALETTE[k_means(pixels, k).labels].reshape(picked.picture.shape)
        tiles = [
            (picked.picture, _("the picture"), _("The picture")),
            (map_, _("segments from features"), _("Segments by k-means on activations")),
            (
                overlay(picked.picture, map_),
                _("segments over the picture"),
                _("The segments laid over the picture"),
            ),
            (
                plain,
                _("segments from colours alone"),
                _("Segments by k-means on the colours of the pixels"),
            ),
        ]
        figures.pairs(tiles)
        figures.about(
            provenance(
                explorer,
                picked,
                seed,
                found.seconds,
                **{_("layers"): ", ".join(layers), "t": ", ".join(map(str, some)), "k": k},
            ),
            "unet_segments",
            png=lambda: figures.grid(np.stack([pixels for pixels, *_words in tiles]), len(tiles)),
            rows=lambda: [
                {"row": i // 32, "column": i % 32, "segment": int(label) + 1}
                for i, label in enumerate(clusters.labels)
            ],
        )
        sizes = np.bincount(clusters.labels, minlength=k) / clusters.labels.size
        st.markdown(
            _("Shares of the picture, largest first: {shares}.").format(
                shares=", ".join(percent(float(size)) for size in sizes)
            )
        )


def main() -> None:
    head(
        _("Inside the U-Net"),
        _(
            "To guess the noise, the network has to know what is **not** noise. Look at what its "
            "layers hold on the way, and see whether a digit can be cut out with it."
        ),
    )
    with plain_errors():
        above = st.container()
        name = controls.bundle_name("ddpm", "inside_bundle")
        explorer = loaders.ddpm(name)
        left, right = st.columns([3, 2], gap="large")
        with left:
            picked = picking.picture("inside", explorer.bundle, default="maker")
        with right:
            seed = controls.seed("inside_seed")
            st.caption(
                _(
                    "{layers} layers, {parameters} million parameters; the noise is the same at every t."
                ).format(
                    layers=len(explorer.layers), parameters=number(explorer.parameters() / 1e6, 1)
                )
            )
        if picked is None:
            st.info(_("Choose a picture to start from."))
        else:
            with above:
                by_level(name, picked, seed)
            segmentation(name, picked, seed)
        with st.expander(_("Does this carry over to other tasks?"), icon=":material/help:"):
            st.markdown(
                _(
                    "**Where it carries over.** On large photographs Baranchuk et al. 2022 read off "
                    "parts of faces and cars with a small classifier on such features and a few "
                    "dozen labelled pictures; others found correspondences, depth and edges. Layers "
                    "in the middle of the way up and small t served best: enough noise that texture "
                    "does not matter, enough picture that shape is still there.\n\n**Where it does not "
                    "carry over.** These pictures have 32 × 32 pixels, and the network is small and "
                    "saw digits alone: it has no reason to know what it never needed for guessing "
                    "noise. k-means finds what varies most, not what has a name; often that is light "
                    "and dark, as in the fourth picture, made from the colours alone. Where both "
                    "agree, the network adds nothing. And features depend on t and on the noise "
                    "drawn: change the seed and look again before you believe a segment. A segment "
                    "along the edge is the padding of the convolutions, not the picture."
                )
            )
        mechanism(
            _(
                "The U-Net goes down from fine to coarse, through a middle, and up again; each "
                "layer of the way up also sees what its partner on the way down held. Shown are "
                "the activations after each layer for the same picture and the same noise, at "
                "rising t.\n\n"
                "A layer has dozens of channels. **Principal components** turn them into three "
                "colours; **k-means** groups places by all of them."
            )
        )
        x_t, eps = coloured("x_t"), coloured("eps", r"\varepsilon_\theta")
        formula(
            [
                rf"h_\ell({x_t}, t) \in \mathbb R^{{C_\ell \times H_\ell \times W_\ell}},\qquad "
                rf"{eps} = \mathrm{{head}}(h_L)",
                r"\min_{c, m} \sum_{i} \big\| f_i - m_{c(i)} \big\|^2,\qquad "
                r"f_i = \big(h_\ell[i]\big)_{\ell,\,t}",
            ],
            _(
                "Ronneberger, Fischer & Brox 2015; Baranchuk et al. 2022, *Label-Efficient Semantic "
                "Segmentation with Diffusion Models*; Lloyd 1982."
            ),
            UNet.forward,
            component_colours,
            segments,
            k_means,
        )
