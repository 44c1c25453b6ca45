"""Two views: how a picture is changed twice, and what a network still takes for the same."""

from __future__ import annotations

import textwrap
from dataclasses import fields, replace

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from core.pictures.images import Pictures
from core.simsiam.explorer import View
from core.simsiam.joint_embedding import cosine_similarity
from core.simsiam.run_record import RunRecord
from core.simsiam.simsiam import SimSiam
from core.simsiam.views import HARDER, STANDARD, Views, apply, stages
from pages.shared import controls, figures, picking
from pages.shared.colours import AMBER, BLUE, GREY, LABEL, VERMILION
from pages.shared.figures import Provenance
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
from pages.simsiam.parts import networks, runs
from pages.simsiam.parts.networks import DRAWS, STRENGTHS, Pair

OTHERS = 8
# Standard views, made harder as in training with heavy augmentation.
HEAVY = replace(
    STANDARD,
    **{part: getattr(HARDER, part) for part in ("rotation", "solarize", "jigsaw", "cutout")},
)
LAYERS = {"z": N_("z, after the projector"), "h": N_("h, the backbone's features")}
VIEW_COLOURS = (VERMILION, BLUE)
SAME, OTHER = BLUE, AMBER
LARGE, STAGE = 8, 120
TURN = 360
STAGES = {
    "crop": N_("crop"),
    "flip": N_("mirrored"),
    "brightness": N_("brightness"),
    "contrast": N_("contrast"),
    "saturation": N_("saturation"),
    "hue": N_("hue"),
    "grey": N_("grey"),
    "rotation": N_("rotation"),
    "solarize": N_("solarised"),
    "jigsaw": N_("jigsaw"),
    "cutout": N_("cut-out"),
}


# ---------------------------------------------------------------- what is asked for


def preset(recipe: Views) -> None:
    """Moves every slider to the values of a recipe."""
    for part in fields(recipe):
        st.session_state[f"views_{part.name}"] = float(round(getattr(recipe, part.name), 2))


def presets() -> None:
    with st.container(horizontal=True):
        for name, recipe, label in (
            ("standard", STANDARD, _("Standard views")),
            ("heavy", HEAVY, _("Heavy views")),
        ):
            st.button(label, key=f"views_{name}", on_click=preset, args=(recipe,))


def slider(label: str, name: str, low: float, high: float, step: float, help: str = "") -> float:
    default = float(round(getattr(STANDARD, name), 2))
    return controls.real(label, low, high, default, f"views_{name}", step=step, help=help or None)


def recipe_asked() -> Views:
    """Sliders for every part of the augmentation."""
    geometry, colours, more = st.columns(3, gap="large")
    chosen = {}
    with geometry:
        chosen["crop"] = slider(
            _("Crop: smallest share of the area"),
            "crop",
            0.05,
            1.0,
            0.05,
            _("The share is drawn between this and 1: what counts most in all of this."),
        )
        chosen["ratio"] = slider(_("Crop: widest width over height"), "ratio", 1.0, 4.0, 0.01)
        chosen["flip"] = slider(_("Mirrored: probability"), "flip", 0.0, 1.0, 0.05)
    with colours:
        chosen["jitter"] = slider(_("Colours change: probability"), "jitter", 0.0, 1.0, 0.05)
        chosen["brightness"] = slider(_("Brightness: ± factor"), "brightness", 0.0, 1.0, 0.05)
        chosen["contrast"] = slider(_("Contrast: ± factor"), "contrast", 0.0, 1.0, 0.05)
    with more:
        chosen["saturation"] = slider(_("Saturation: ± factor"), "saturation", 0.0, 1.0, 0.05)
        chosen["hue"] = slider(_("Hue: ± share of the colour circle"), "hue", 0.0, 0.5, 0.01)
        chosen["grey"] = slider(_("Grey: probability"), "grey", 0.0, 1.0, 0.05)
    with st.expander(_("Harder views"), icon=":material/exercise:"):
        left, right = st.columns(2, gap="large")
        with left:
            chosen["rotation"] = slider(_("Rotation: ± degrees"), "rotation", 0.0, 180.0, 5.0)
            chosen["solarize"] = slider(_("Solarised: probability"), "solarize", 0.0, 1.0, 0.05)
        with right:
            chosen["jigsaw"] = slider(
                _("Quarters change places: probability"), "jigsaw", 0.0, 1.0, 0.05
            )
            chosen["cutout"] = slider(
                _("Cut-out: side as a share of the picture's"), "cutout", 0.0, 1.0, 0.05
            )
    return Views(**chosen)


# ---------------------------------------------------------------- the two views


def boxed(large: Pictures, box: list[int], colour: str, width: int = 4) -> None:
    """A frame around a box (top, left, height, width in small pixels), in place."""
    ink = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    top, left, height, wide = (side * LARGE for side in box)
    inside = large[top : top + height, left : left + wide]
    inside[:width] = inside[-width:] = ink
    inside[:, :width] = inside[:, -width:] = ink


def framed(picked: Picked, views: list[View]) -> list[figures.Tile]:
    """The original with both crops framed in it, and the views, each with a frame of its colour."""
    original = figures.enlarge(picked.picture, LARGE)
    for view, colour, width in zip(views, VIEW_COLOURS, (6, 3), strict=True):
        boxed(original, view.drawn["box"], colour, width)
    alt = _("The picture, with the parts that the two views show framed in it")
    tiles = [(original, _("the picture and both crops"), alt)]
    size = picked.picture.shape[0]
    for index, (view, colour) in enumerate(zip(views, VIEW_COLOURS, strict=True)):
        large = figures.enlarge(view.picture, LARGE)
        boxed(large, [0, 0, size, size], colour, 6)
        words = _("View {index}").format(index=index + 1)
        tiles.append((large, words, words))
    return tiles


def drawn_words(name: str, drawn: dict) -> str:
    """What was drawn for one part, in words and numbers."""
    value = drawn[{"crop": "box", "jigsaw": "tiles", "cutout": "hole"}.get(name, name)]
    if name in ("crop", "cutout"):
        top, left, height, width = value
        size = _("{width} × {height} pixels").format(width=width, height=height)
        place = _("from column {left}, row {top}").format(left=left + 1, top=top + 1)
        return f"{size}, {place}"
    if name in ("brightness", "contrast", "saturation"):
        return _("times {factor}").format(factor=number(value, 2))
    if name in ("hue", "rotation"):
        turn = value * TURN if name == "hue" else value
        return _("{degrees}°").format(degrees=number(turn, 0))
    if name == "jigsaw":
        return _("quarters {order}").format(order=" ".join(str(tile + 1) for tile in value))
    return ""


def stage_tiles(view: View) -> list[figures.Tile]:
    """The view after every part that changed it."""
    tiles = []
    for stage in view.stages:
        words, numbers = _(STAGES[stage.name]), drawn_words(stage.name, view.drawn)
        caption = f"**{words}** {numbers}"
        alt = _("The view after {part} {numbers}").format(part=words, numbers=numbers)
        tiles.append((stage.picture, caption, alt.strip()))
    return tiles


def steps(picked: Picked, views: list[View], provenance: Provenance) -> None:
    st.subheader(_("Part by part"), anchor=False)
    for index, view in enumerate(views):
        st.markdown(_("**View {index}**, from left to right").format(index=index + 1))
        tiles = [(picked.picture, _("the picture"), _("The picture")), *stage_tiles(view)]
        figures.row(tiles, width=STAGE * len(tiles))
    size = picked.picture.shape[0]
    columns = 1 + max(len(view.stages) for view in views)
    blank = np.full((size, size, 3), 255, dtype=np.uint8)
    filled = []
    for view in views:
        row = [picked.picture, *(stage.picture for stage in view.stages)]
        filled += row + [blank] * (columns - len(row))
    figures.about(
        provenance,
        "two_views",
        png=lambda: figures.enlarge(figures.grid(np.stack(filled), columns), 4),
        rows=lambda: [
            {"view": index + 1, **{name: str(value) for name, value in view.drawn.items()}}
            for index, view in enumerate(views)
        ],
    )


# ---------------------------------------------------------------- how alike they are


def other_pictures(picked: Picked, of: RunRecord) -> Pictures:
    """Pictures of something else: those after the chosen one, or drawn objects."""
    found = picking.companions("views", of.bundle, picked, OTHERS + 1)[1:]
    if not found:
        found = picking.drawn_objects()
    return np.stack([one.picture for one in found])


def compared(pair: Pair) -> list[tuple[RunRecord, bool]]:
    """The chosen network before and after training, and the one beside it after training."""
    rows = [(pair.chosen, False), (pair.chosen, True)]
    return rows if pair.beside is None else [*rows, (pair.beside, True)]


def title(record: RunRecord, trained: bool) -> str:
    if trained:
        return runs.name(record)
    return _("{name}, before training").format(name=runs.name(record))


def alike(
    pair: Pair, views: list[View], others: Pictures, recipe: Views, seed: int, words: str
) -> None:
    """cos of the two views on the screen, beside cos with views of other pictures."""
    st.subheader(_("How alike are they to the network?"), anchor=False)
    layer = controls.choice(_("Measured on"), LAYERS, "views_layer")
    ask = networks.explorer(pair.chosen)
    strangers = [
        ask.views(other, recipe, seed + 1 + i, count=1)[0] for i, other in enumerate(others)
    ]
    second = np.stack([views[1].picture, *(view.picture for view in strangers)])
    first = np.repeat(views[0].picture[None], len(second), axis=0)
    rows = []
    for record, trained in compared(pair):
        found = networks.explorer(record).similarity(first, second, trained=trained)
        rows.append((title(record, trained), found))
    figure = go.Figure()
    names = [name for name, _found in rows]
    values = np.stack([found[layer] for _name, found in rows])  # (R, 1 + N)
    mean = values[:, 1:].mean(axis=1)
    for name, height, colour, spread in (
        (_("the two views"), values[:, 0], SAME, None),
        (
            _("view 1 and other pictures"),
            mean,
            OTHER,
            {
                "type": "data",
                "symmetric": False,
                "array": values[:, 1:].max(axis=1) - mean,
                "arrayminus": mean - values[:, 1:].min(axis=1),
                "color": LABEL,
            },
        ),
    ):
        figure.add_trace(
            go.Bar(
                x=[broken(one) for one in names],
                y=height,
                name=name,
                marker_color=colour,
                error_y=spread,
            )
        )
    figure.update_layout(bargap=0.3, bargroupgap=0.06)
    figure.update_xaxes(tickangle=0)
    figure.update_yaxes(
        title=f"cos({layer}₁, {layer}₂)", range=[min(-0.05, values.min() - 0.1), 1.05]
    )
    figures.chart(
        figure,
        "views_alike",
        _("Cosine similarity of two views, and of a view and other pictures, by network"),
        Provenance(
            pair.chosen.bundle,
            live=True,
            settings={
                _("picture"): words,
                _("seed"): seed,
                _("beside"): "–" if pair.beside is None else pair.beside.bundle.digest,
                _("whiskers"): _("lowest and highest of {count}").format(count=len(others)),
            },
        ),
        lambda: [
            {"network": name, "layer": code, "pair": pair_, "cosine": float(value)}
            for name, found in rows
            for code in LAYERS
            for pair_, value in enumerate(found[code])
        ],
    )
    st.markdown(told(names, values))


def broken(name: str) -> str:
    """A network's name in short lines, for a narrow axis."""
    return "<br>".join(textwrap.wrap(name, 17, break_on_hyphens=False))


def told(names: list[str], values: np.ndarray) -> str:
    """What the bars say: a high similarity means nothing while other pictures have it as well."""
    lines = [
        _("- **{name}**: two views {same}, other pictures {other}; gap {gap}").format(
            name=name,
            same=number(float(row[0]), 2),
            other=number(float(row[1:].mean()), 2),
            gap=number(float(row[0] - row[1:].mean()), 2),
        )
        for name, row in zip(names, values, strict=True)
    ]
    moral = _(
        "Look at the **gap**, not at the blue bar alone. A collapsed network has few directions "
        "left: then two views of one picture are no more alike than views of two, all near 1, or, "
        "as the last batch normalisation centres z, jumping between −1 and 1."
    )
    return "\n".join([moral, "", *lines])


# ---------------------------------------------------------------- how far it may go


def limits(pair: Pair, picked: Picked, others: Pictures, recipe: Views, seed: int) -> None:
    """cos(z1, z2) against the strength of the augmentation, one chart a network."""
    st.subheader(_("How far may augmentation go?"), anchor=False)
    st.markdown(
        _(
            "Strength 0 leaves the picture as it is, mirrored or not; 1 is what the sliders say; "
            "2 is twice as far. Where the curves meet, **a view no longer tells which picture it "
            "is of**."
        )
    )
    shown = compared(pair)
    with st.spinner(_("Asking the network …")):
        found = [
            networks.by_strength(
                "views", record, picked.picture, recipe, others, seed, trained=trained
            )
            for record, trained in shown
        ]
    low = min(
        float(np.quantile(one.value[name], 0.1, axis=1).min())
        for one in found
        for name in ("same", "other")
    )
    for column, (record, trained), one in zip(st.columns(len(shown)), shown, found, strict=True):
        with column:
            curve(record, trained, one, picked.words, seed, low)


def curve(
    record: RunRecord,
    trained: bool,
    found: networks.Timed[dict[str, np.ndarray]],
    words: str,
    seed: int,
    low: float,
) -> None:
    name = title(record, trained)
    st.markdown(f"**{name}**")
    figure = go.Figure()
    for code, label, colour in (
        ("same", _("two views"), SAME),
        ("other", _("other pictures"), OTHER),
    ):
        values = found.value[code]
        tenth, most = np.quantile(values, (0.1, 0.9), axis=1)
        figure.add_trace(figures.band(STRENGTHS, tenth, most, colour))
        dash = "solid" if code == "same" else "dash"
        mean = values.mean(axis=1)
        figure.add_trace(figures.line(STRENGTHS, mean, label, colour, dash=dash, markers=True))
    figure.add_vline(x=1, line={"color": GREY, "dash": "dot", "width": 2})
    figure.update_xaxes(title=_("strength"))
    figure.update_yaxes(title="cos(z₁, z₂)", range=[min(-0.1, low - 0.02), 1.05])
    key = f"views_strength_{record.recipe}_{'after' if trained else 'before'}"
    figures.chart(
        figure,
        key,
        _("Cosine similarity of two views against the strength of the augmentation: {name}").format(
            name=name
        ),
        Provenance(
            record.bundle,
            live=True,
            seconds=found.seconds,
            settings={
                _("picture"): words,
                _("seed"): seed,
                _("draws"): DRAWS,
                _("band"): _("8 of 10 draws"),
            },
        ),
        lambda: [
            {
                "strength": float(strength),
                "draw": draw,
                "same": float(found.value["same"][i, draw]),
                "other": float(found.value["other"][i, draw]),
            }
            for i, strength in enumerate(STRENGTHS)
            for draw in range(DRAWS)
        ],
    )
    st.markdown(verdict(found.value))


def verdict(found: dict[str, np.ndarray]) -> str:
    """How often a view is nearer to the other view than to another picture."""
    nearer = (found["same"] > found["other"]).mean(axis=1)
    at_one, at_end = (nearer[int(np.abs(STRENGTHS - s).argmin())] for s in (1.0, STRENGTHS[-1]))
    return _(
        "The other view is nearer than another picture in **{one}** of the draws at strength 1, "
        "in {end} at {most}. Chance: {chance}."
    ).format(
        one=percent(float(at_one)),
        end=percent(float(at_end)),
        most=number(float(STRENGTHS[-1]), 0),
        chance=percent(0.5),
    )


# ---------------------------------------------------------------- the page


def show(pair: Pair) -> None:
    left, right = st.columns([3, 2], gap="large")
    with left:
        picked = picking.picture("views", pair.chosen.bundle, default="shape")
    with right:
        seed = controls.seed("views_seed")
        presets()
    pictures = st.container()
    recipe = recipe_asked()
    if picked is None:
        pictures.info(_("Choose a picture to start from."))
        return
    views = networks.explorer(pair.chosen).views(picked.picture, recipe, seed)
    provenance = Provenance(
        pair.chosen.bundle, live=True, settings={_("picture"): picked.words, _("seed"): seed}
    )
    with pictures:
        figures.row(framed(picked, views), width=figures.WIDE)
        figures.about(provenance)
    steps(picked, views, provenance)
    others = other_pictures(picked, pair.chosen)
    alike(pair, views, others, recipe, seed, picked.words)
    limits(pair, picked, others, recipe, seed)
    runs.what_they_are(pair.both)


def main() -> None:
    head(
        _("Two views"),
        _(
            "Change a picture twice by chance, and **train a network to say the same of both**: "
            "that is all the supervision SimSiam has. What you change here is what it learns to "
            "ignore."
        ),
    )
    with plain_errors():
        show(networks.pair("views_network"))
    explained()


def explained() -> None:
    mechanism(
        _(
            "Every picture of a batch is changed **twice, each time by its own draw**: a part of "
            "it is cut out and enlarged, it is mirrored, its colours move, some views are grey. "
            "Both go through the same network f (backbone h, then projector z), and the loss asks "
            "that one can be predicted from the other.\n\n**What varies between the views is what "
            "the network learns to ignore; what they share is what it learns.** Without "
            "colour changes the histogram of colours would be enough to know a picture again; "
            "without crops the layout of light and dark. Views that go too far share nothing any "
            "more, and there is nothing left to learn.\n\n**A similarity of 1 is no success in "
            "itself.** A network that says the same of everything has it as well, and the best "
            "possible loss. Only the comparison with other pictures tells the two apart; nothing "
            "in the loss makes it."
        )
    )
    z1, z2 = coloured("z", "z_1"), coloured("z", "z_2")
    x = coloured("x")
    formula(
        [
            rf"x_1 = a_1({x}),\quad x_2 = a_2({x}),\qquad {z1} = f(x_1),\quad {z2} = f(x_2)",
            rf"\cos({z1}, {z2}) = \frac{{{z1} \cdot {z2}}}{{\lVert {z1} \rVert\,\lVert {z2} \rVert}}"
            r"\in [-1, 1]",
        ],
        _(
            "Chen & He 2021, *Exploring Simple Siamese Representation Learning*; the views are those "
            "of Chen et al. 2020 (SimCLR) without blur, the harder ones those of Bai et al. 2022. "
            "In the loss one of the two z is held constant: that is `stop_gradient`."
        ),
        cosine_similarity,
        apply,
        stages,
        Views.draw,
        Views.scaled,
        SimSiam.forward,
    )
