"""Inside the U-Net: which layer, at which level of noise, holds what names the digit; and how it looks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import streamlit as st

from core.ddpm.explorer import DDPMExplorer, Prediction
from core.ddpm.feature_probe import pooled_features, probe_layers
from core.ddpm.feature_views import (
    Scope,
    channel,
    channel_page,
    component_colours,
    grey_grid,
    one_colour,
    segments,
    strength,
)
from core.ddpm.labelled_places import read_out
from core.ddpm.unet import UNet
from core.pictures.images import Pictures
from pages.browser import film
from pages.browser.timeline import timeline
from pages.ddpm.parts import layer_grid, unet_segments
from pages.ddpm.parts.layer_grid import ProbeGrid
from pages.ddpm.parts.unet_levels import STOP_SHARES, levels_of, provenance
from pages.shared import controls, figures, library, loaders, picking, shape
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
    "grid": N_("All layers together"),
}
COMPONENTS = (
    N_("component 1, red: {share}"),
    N_("component 2, green: {share}"),
    N_("component 3, blue: {share}"),
)
READ_COLOURS = N_(
    "**How to read the colours.** A layer has dozens of channels; its three strongest "
    "directions are shown as red, green and blue. Two places of one colour hold nearly the "
    "same. Ask: has the stroke one colour from end to end, and the wall another? Colours of "
    "different layers have nothing to do with each other. The number in a name is the side of the "
    "layer in pixels: at 4 a square stands for 8 × 8 pixels."
)
CHANNELS_A_PAGE, CHANNELS_A_ROW = 24, 8
MAPS_KEPT = 16
TIMELINE, LAYER = "inside_t", "inside_layer"
FILM_WIDTH = 320


def levels_shown(explorer: DDPMExplorer, grid: ProbeGrid | None) -> list[int]:
    """All levels of the timeline, from 0: its own, and those of the grid."""
    of_grid = [] if grid is None else [t - 1 for t in grid.t]
    return sorted({*levels_of(explorer, STOP_SHARES), *of_grid})


def levels_in_table(explorer: DDPMExplorer, grid: ProbeGrid | None) -> list[int]:
    """The few levels of the table of pictures: those of the grid where there is one."""
    return levels_of(explorer) if grid is None else [t - 1 for t in grid.t]


# ---------------------------------------------------------------- layers and channels by t


@dataclass(frozen=True)
class Maps:
    """Every layer at every stop as pictures: uint8 (stops, 32, 32, 3) by name.

    ``shares``: (3,) of the variance of a layer that the components hold; empty where none are shown.
    """

    shown: dict[str, Pictures]
    shares: dict[str, np.ndarray]


def maps_of(view: str, scope: Scope, index: int, features: Mapping[str, np.ndarray]) -> Maps:
    if view == "components":
        return Maps(*component_colours(features, scope))
    if view == "channel":
        return Maps(grey_grid(channel(features, index), scope), {})
    return Maps(grey_grid(strength(features), scope), {})


@dataclass(frozen=True)
class MapSettings:
    """Which maps are shown, and which channels of which layer."""

    view: str
    scope: Scope
    index: int
    layer: str
    first: int


def read_settings(
    explorer: DDPMExplorer, features: Mapping[str, np.ndarray], grid: ProbeGrid | None
) -> MapSettings:
    """What the controls below the pictures say; at first the layer from which the digit is read best."""
    left, middle, right = st.columns(3, gap="large")
    with left:
        view = controls.choice(_("Show"), VIEWS, "inside_view")
    with middle:
        scope = controls.choice(
            _("Normalise over"),
            SCOPES,
            "inside_scope",
            help=_(
                "Over all layers together you see which are strong and which are weak. Over each "
                "picture alone, every picture has full contrast."
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
        first = explorer.layers[-1] if grid is None else grid.best[0]
        layer = controls.option(
            _("Layer: click a cell, or choose one"), layers, LAYER, default=first
        )
    pages = -(-features[layer].shape[1] // CHANNELS_A_PAGE)
    page = 1
    with right:
        if pages > 1:
            page = controls.whole(_("Page of channels"), 1, pages, 1, "inside_page")
    return MapSettings(view, scope, index, layer, (min(page, pages) - 1) * CHANNELS_A_PAGE)


@shape.fragment
def by_level(name: str, picked: PickedPicture, seed: int) -> None:
    """The grid, the layer chosen in it at the t of a timeline, and all layers: runs again by itself."""
    with plain_errors():
        explorer = loaders.ddpm(name)
        grid = layer_grid.stored_grid(explorer.bundle, explorer.layers, explorer.T)
        levels = levels_shown(explorer, grid)
        found = loaders.features(name, picked.picture, levels, seed)
        looked = loaders.predictions(name, picked.picture, levels, seed)
        figure = st.container()
        now = read_settings(explorer, found.value, grid)
        maps = library.answers("inside", MAPS_KEPT).ask(
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
            t = first_screen(explorer, grid, looked.value, levels, maps, now, pages)
        place = levels.index(t - 1)
        channels(explorer, picked, seed, found, levels, place, now, pages[place])
        with st.expander(_("Layer by layer, level by level"), icon=":material/grid_on:"):
            grid_of_layers(
                explorer, picked, seed, found, levels, levels_in_table(explorer, grid), now, maps
            )


def choose(layer: str, t: int) -> None:
    """A cell of the grid was clicked: its layer and its t are those of the page."""
    st.session_state.update({LAYER: layer, TIMELINE: t})


def first_screen(
    explorer: DDPMExplorer,
    grid: ProbeGrid | None,
    looks: list[Prediction],
    levels: list[int],
    maps: Maps,
    now: MapSettings,
    pages: Pictures,
) -> int:
    """Grid and timeline, next to them what moves with it; the t of the timeline."""
    usual = levels_of(explorer)
    first = usual[min(2, len(usual) - 1)] + 1 if grid is None else grid.best[1]
    left, right = st.columns([3, 2], gap="large")
    with left:
        above = st.container()
        t = timeline("t", [level + 1 for level in levels], TIMELINE, default=first)
        with above:
            if grid is None:
                layer_grid.absent()
            else:
                layer_grid.show(explorer.bundle, grid, now.layer, t, choose)
        if grid is not None:
            st.markdown(layer_grid.verdict(grid))
    with right:
        chosen_layer(looks, maps, now, pages)
    all_layers(explorer, maps)
    return t


def chosen_layer(looks: list[Prediction], maps: Maps, now: MapSettings, pages: Pictures) -> None:
    """What the network is given and guesses, and what one layer holds.

    ``pages``: channels, uint8 (stops, channels, 32, 32, 3).
    """
    seen = [np.stack([getattr(look, kind) for look in looks]) for kind in ("x_t", "x0_hat")]
    shown = maps.shown[now.layer]
    colours = [one_colour(shown, index) for index in range(3)] if maps.shares else []
    noisy, guess, whole, *alone = film.several(np.stack([*seen, shown, *colours]))
    words = {
        "layer": now.layer,
        "first": now.first + 1,
        "last": now.first + pages.shape[1],
        "t": film.STOP,
    }
    parts = (
        [
            film.Cell(
                source,
                _(label).format(share=percent(float(share))),
                _("Component {index} of the layer {layer} at t = {t}").format(
                    index=index + 1, **words
                ),
            )
            for index, (source, label, share) in enumerate(
                zip(alone, COMPONENTS, maps.shares[now.layer], strict=True)
            )
        ]
        if alone
        else []
    )
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
                        _("What the network predicts at once from noise of level {t}"),
                    ),
                    film.Cell(
                        whole,
                        now.layer,
                        _("The chosen layer, {layer}, at t = {t}").format(**words),
                    ),
                ]
            ),
            *([film.Row(parts)] if parts else []),
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


def all_layers(explorer: DDPMExplorer, maps: Maps) -> None:
    """All layers at the t of the timeline, from input to output, and how to read their colours."""
    sources = film.several(np.stack([maps.shown[layer] for layer in explorer.layers]))
    film.show(
        "inside_strip",
        TIMELINE,
        [
            film.Row(
                [
                    film.Cell(
                        source,
                        layer,
                        _("The layer {layer} at t = {t}").format(layer=layer, t=film.STOP),
                    )
                    for layer, source in zip(explorer.layers, sources, strict=True)
                ],
                "strip",
            )
        ],
    )
    if maps.shares:
        st.markdown(_(READ_COLOURS))


def channels(
    explorer: DDPMExplorer,
    picked: PickedPicture,
    seed: int,
    found: Timed[dict[str, np.ndarray]],
    levels: list[int],
    place: int,
    now: MapSettings,
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
    picked: PickedPicture,
    seed: int,
    found: Timed[dict[str, np.ndarray]],
    levels: list[int],
    columns: list[int],
    now: MapSettings,
    maps: Maps,
) -> None:
    """One row a layer, one column a level of ``columns``."""
    places = [levels.index(level) for level in columns]
    rows = {layer: f"{layer} ({found.value[layer].shape[1]})" for layer in explorer.layers}
    sheet = figures.matrix(
        np.stack([maps.shown[layer][places] for layer in rows]),
        list(rows.values()),
        [f"t = {level + 1}" for level in columns],
        "inside_the_unet",
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
                "share_of_three_components": float(np.sum(maps.shares.get(layer, np.nan))),
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
                first=percent(float(maps.shares[first].sum())),
                first_layer=f"`{first}`",
                last=percent(float(maps.shares[last].sum())),
                last_layer=f"`{last}`",
            )
        )


def main() -> None:
    head(
        _("Inside the U-Net"),
        _(
            "The network learnt to guess noise and never saw a label. **Which layer, at which level of "
            "noise, holds what it takes to name the digit?** Click a cell to see that layer at that t."
        ),
    )
    with plain_errors():
        with st.expander(_("Another picture, model, seed"), icon=":material/tune:"):
            left, right = st.columns([3, 2], gap="large")
            with right:
                name = controls.bundle_name("ddpm", "inside_bundle")
                explorer = loaders.ddpm(name)
                seed = controls.seed("inside_seed")
                st.caption(
                    _(
                        "{layers} layers, {parameters} million parameters; the noise is the same at every t."
                    ).format(
                        layers=len(explorer.layers),
                        parameters=number(explorer.parameters() / 1e6, 1),
                    )
                )
            with left:
                picked = picking.picture("inside", explorer.bundle, default="maker")
        if picked is None:
            st.info(_(picking.WANTED))
        else:
            by_level(name, picked, seed)
            unet_segments.show(name, picked, seed)
        explanations()


def explanations() -> None:
    """What stands closed at the end of the page."""
    with st.expander(_("Does this carry over to other tasks?"), icon=":material/help:"):
        st.markdown(
            _(
                "**Where it carries over.** Xiang et al. 2023 read the class of photographs off one layer of a "
                "diffusion model nearly as well as off networks trained to represent pictures; "
                "Baranchuk et al. 2022 "
                "found parts of faces and cars with a small classifier and a few dozen labelled "
                "pictures. Layers in "
                "the middle of the way up and small t served best: enough noise that texture does not matter, "
                "enough picture that shape is still there. The grid above asks the same of this network.\n\n"
                "**Where it does not carry over.** These pictures have 32 × 32 pixels, and the "
                "network is small and "
                "saw digits alone: it has no reason to know what it never needed for guessing "
                "noise. Activations "
                "depend on t and on the noise: change the seed and look again before you believe "
                "a segment. A segment along the "
                "edge is the padding of the convolutions, not the picture."
            )
        )
    mechanism(
        _(
            "The U-Net goes down from fine to coarse, through a middle, and up again; each layer "
            "on the way up also "
            "sees what its partner on the way down held. Shown are the activations after each layer for the "
            "same picture and the same noise, at rising t.\n\n"
            "**The grid.** For each layer and each t, activations of training digits are "
            "averaged over the quarters "
            "of the picture; a linear classifier learns the digit from these averages and is "
            "asked about test digits. "
            "The U-Net itself learns nothing more. What a linear classifier cannot read may "
            "still be there, in a form "
            "that is harder to read."
        )
    )
    x_t, eps = coloured("x_t"), coloured("eps", r"\varepsilon_\theta")
    formula(
        [
            rf"h_\ell({x_t}, t) \in \mathbb R^{{C_\ell \times H_\ell \times W_\ell}},\qquad "
            rf"{eps} = \mathrm{{head}}(h_L)",
            r"p(c \mid x_t) = \mathrm{softmax}_c"
            r"\big(W_{\ell,t}\, \mathrm{pool}(h_\ell(x_t, t)) + b_{\ell,t}\big)",
            r"\min_{c, m} \sum_{i} \big\| f_i - m_{c(i)} \big\|^2,\qquad "
            r"f_i = \big(h_\ell[i]\big)_{\ell,\,t}",
        ],
        _(
            "Ronneberger, Fischer & Brox 2015; Xiang et al. 2023, *Denoising Diffusion "
            "Autoencoders are Unified "
            "Self-supervised Learners*; Baranchuk et al. 2022, *Label-Efficient Semantic Segmentation with "
            "Diffusion Models*; Lloyd 1982."
        ),
        UNet.forward,
        pooled_features,
        probe_layers,
        component_colours,
        segments,
        read_out,
    )
