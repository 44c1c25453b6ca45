"""Two views: how a picture is changed twice, and what a network still takes for the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace

import numpy as np
import streamlit as st

from core.ddpm.restoration import wilson
from core.pictures.images import Pictures
from core.simsiam.explorer import View, views_by_strength
from core.simsiam.joint_embedding import cosine_similarity
from core.simsiam.neighbours import nearer
from core.simsiam.run_record import RunRecord
from core.simsiam.simsiam import SimSiam
from core.simsiam.views import HARDER, STANDARD, Views, apply, stages
from pages.browser import cosine, film
from pages.browser.timeline import timeline
from pages.shared import controls, figures, library, picking, shape
from pages.shared.colours import BLUE, VERMILION
from pages.shared.figures import Provenance
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
from pages.simsiam.parts import alike, chosen, networks, runs
from pages.simsiam.parts.networks import Pair

BOTH_FRAMED = N_("The picture, with the parts that the two views show framed in it")

OTHERS = 8
# Standard views, made harder as in training with heavy augmentation.
HEAVY = replace(
    STANDARD,
    **{part: getattr(HARDER, part) for part in ("rotation", "solarize", "jigsaw", "cutout")},
)
VIEW_COLOURS = (VERMILION, BLUE)
LARGE, FRAMED, STAGE = 3, 2, 96
"""How many times a picture with frames in it, and a view in its frame, is enlarged; pixels of a stage."""
TURN = 360
STRENGTHS = range(0, 201, 5)
"""Percent of what the sliders say: where the hand can go."""
USUAL = 100
FILMS_KEPT = 8
TIMELINE = "views_strength"
WIDEST = 800
"""Pixels of the row of three."""
SETTINGS = (*(f"views_{part.name}" for part in fields(Views)), TIMELINE, "views_seed")
"""What an address may say of the views."""
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
    for name, recipe, label in (
        ("standard", STANDARD, _("Standard views")),
        ("heavy", HEAVY, _("Heavy views")),
    ):
        controls.act(label, key=f"views_{name}", on_click=preset, args=(recipe,))


def slider(label: str, name: str, low: float, high: float, step: float, help: str = "") -> float:
    default = float(round(getattr(STANDARD, name), 2))
    return controls.real(label, low, high, default, f"views_{name}", step=step, help=help or None)


def read_recipe() -> Views:
    """Sliders for every part of the augmentation."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(_("**What may change, and how far**"))
        presets()
    geometry, colours, more = st.columns(3, gap="large")
    parts = {}
    with geometry:
        parts["crop"] = slider(
            _("Crop: smallest share of the area"),
            "crop",
            0.05,
            1.0,
            0.05,
            _("The share is drawn between this and 1. No other change matters as much."),
        )
        parts["ratio"] = slider(_("Crop: most extreme aspect ratio"), "ratio", 1.0, 4.0, 0.01)
        parts["flip"] = slider(_("Mirrored: how often"), "flip", 0.0, 1.0, 0.05)
    with colours:
        parts["jitter"] = slider(_("Colour jitter: how often"), "jitter", 0.0, 1.0, 0.05)
        parts["brightness"] = slider(_("Brightness: ± factor"), "brightness", 0.0, 1.0, 0.05)
        parts["contrast"] = slider(_("Contrast: ± factor"), "contrast", 0.0, 1.0, 0.05)
    with more:
        parts["saturation"] = slider(_("Saturation: ± factor"), "saturation", 0.0, 1.0, 0.05)
        parts["hue"] = slider(_("Hue: ± share of the colour circle"), "hue", 0.0, 0.5, 0.01)
        parts["grey"] = slider(_("Grey: how often"), "grey", 0.0, 1.0, 0.05)
    with st.expander(_("Harder views"), icon=":material/exercise:"):
        left, right = st.columns(2, gap="large")
        with left:
            parts["rotation"] = slider(_("Rotation: ± degrees"), "rotation", 0.0, 180.0, 5.0)
            parts["solarize"] = slider(_("Solarised: how often"), "solarize", 0.0, 1.0, 0.05)
        with right:
            parts["jigsaw"] = slider(
                _("Quarters change places: how often"), "jigsaw", 0.0, 1.0, 0.05
            )
            parts["cutout"] = slider(
                _("Cut-out: side as a share of the picture's"), "cutout", 0.0, 1.0, 0.05
            )
    return Views(**parts)


# ---------------------------------------------------------------- the two views


def draw_frame(large: Pictures, box: Sequence[int], colour: str, factor: int, width: int) -> None:
    """A frame around a box (top, left, height, width in small pixels), in place."""
    ink = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    top, left, height, wide = (int(side) * factor for side in box)
    inside = large[top : top + height, left : left + wide]
    inside[:width] = inside[-width:] = ink
    inside[:, :width] = inside[:, -width:] = ink


def frames(picture: Pictures, recipe: Views, seed: int) -> tuple[Pictures, Pictures]:
    """At every strength the picture with both crops framed in it, (S, 3 H, 3 H, 3), and both views, each in
    a frame of its colour, (2, S, 2 H, 2 H, 3)."""
    found = views_by_strength(picture, recipe, [one / USUAL for one in STRENGTHS], seed)
    size = picture.shape[0]
    originals = np.repeat(figures.enlarge(picture, LARGE)[None], len(STRENGTHS), axis=0)
    for original, boxes in zip(originals, found.boxes, strict=True):
        for box, colour, width in zip(boxes, VIEW_COLOURS, (3, 1), strict=True):
            draw_frame(original, box, colour, LARGE, width)
    both = figures.enlarge(found.views.swapaxes(0, 1).reshape(-1, size, size, 3), FRAMED)
    both = both.reshape(len(VIEW_COLOURS), len(STRENGTHS), *both.shape[1:])
    for views, colour in zip(both, VIEW_COLOURS, strict=True):
        for view in views:
            draw_frame(view, (0, 0, size, size), colour, FRAMED, 1)
    return originals, both


def row_of_three(picked: PickedPicture, recipe: Views, seed: int) -> None:
    """The picture and its two views, which follow the hand on the strength."""
    request = (picked.picture.tobytes(), recipe, seed)
    made = library.answers("views_frames", FILMS_KEPT)  # of two megabytes each
    originals, both = made.ask(request, lambda: frames(picked.picture, recipe, seed))
    original = film.levels(originals)
    first, second = film.several(both)
    alt = _(BOTH_FRAMED)
    one, two = (_("View {index}").format(index=index) for index in (1, 2))
    cells = [
        film.Cell(original, _("the picture and both crops"), alt),
        film.Cell(first, one, one),
        film.Cell(second, two, two),
    ]
    words = [percent(one / USUAL) for one in STRENGTHS]
    film.show("views_film", TIMELINE, [film.Row(cells, widest=WIDEST)], stops=words)


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


def steps(picked: PickedPicture, views: list[View], provenance: Provenance) -> None:
    st.subheader(_("Part by part"), anchor=False)
    for index, view in enumerate(views):
        with shape.figure("two_views"):
            st.markdown(_("**View {index}**, from left to right").format(index=index + 1))
            tiles = [(picked.picture, _("the picture"), _("The picture")), *stage_tiles(view)]
            figures.row(tiles, "two_views", width=STAGE * len(tiles))
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


# ---------------------------------------------------------------- the page


def other_pictures(picked: PickedPicture, of: RunRecord) -> Pictures:
    """Pictures of something else: those after the chosen one, or drawn objects."""
    found = picking.companions("views", of.bundle, picked, OTHERS + 1)[1:]
    if not found:
        found = picking.drawn_objects()
    return np.stack([one.picture for one in found])


def at_work(pair: Pair, picked: PickedPicture, others: Pictures, seed: int) -> None:
    """The views, what changes them, and what the networks say of them; follows its own controls alone."""
    hand = st.container()
    recipe = read_recipe()
    with hand:
        row_of_three(picked, recipe, seed)
        strength = timeline(
            _("Strength of the changes"),
            STRENGTHS,
            TIMELINE,
            default=USUAL,
            words=[percent(one / USUAL) for one in STRENGTHS],
        )
    scaled = recipe.scaled(strength / USUAL)
    views = networks.explorer(pair.chosen).views(picked.picture, scaled, seed)
    origin = Provenance(
        pair.chosen.bundle,
        live=True,
        settings={
            _("picture"): picked.words,
            _("strength"): percent(strength / USUAL),
            _("seed"): seed,
        },
    )
    st.subheader(_("How far may the changes go?"), anchor=False)
    st.markdown(
        _(
            "Move the strength until **you** can no longer say that both views show one picture. Then ask the "
            "network: for {draws} pairs of views at every strength, is view 2 closer to view 1 than a view of "
            "another picture?"
        ).format(draws=networks.DRAWS)
    )
    question = alike.Question(pair, picked, others, recipe, seed)
    found = alike.ask(question)
    if found is not None:
        alike.limits(question, found, TIMELINE, strength / USUAL)
        alike.bars(question, views, scaled)
    steps(picked, views, origin)
    chosen.pin("views", SETTINGS)


def cosine_to_feel() -> None:
    """Two arrows to drag, and their cosine."""
    st.subheader(_("What does a cosine measure?"), anchor=False)
    st.markdown(
        _(
            "A network turns a view into a long list of numbers; think of it as an arrow. **The cosine says "
            "how far two arrows point the same way**, whatever their lengths: 1 for the same direction, 0 for "
            "a right angle, −1 for opposite directions. Drag the tips."
        )
    )
    cosine.show("views_cosine")


def show() -> None:
    above = st.container()
    left, right = st.columns([4, 1], gap="small", vertical_alignment="top")
    with right, controls.popover(_("Settings")):
        pair = networks.pair("views_network")
        seed = controls.seed("views_seed")
    of = pair.chosen.bundle
    with left:
        picked = chosen.picture("views", of, SETTINGS)
    with above:
        chosen.missing("views", of)
    if picked is None:
        st.info(_(picking.WANTED))
    else:
        shape.fragment(at_work)(pair, picked, other_pictures(picked, pair.chosen), seed)
    cosine_to_feel()
    runs.what_they_are(pair.both)


def main() -> None:
    head(
        _("Two views"),
        _(
            "Change a picture at random, twice, and **train a network to give the same answer to both**: "
            "that is all the supervision SimSiam has. What you change here is what it learns to ignore."
        ),
    )
    with plain_errors():
        show()
    explain()


def explain() -> None:
    mechanism(
        _(
            "Every picture of a batch is changed **twice, each time by its own draw**: a part of it is cut out "
            "and enlarged, it is mirrored, its colours shift, some views are grey. Both go through the same "
            "network f (backbone h, then projector z), and the loss asks that each can be predicted from the "
            "other.\n\n**What differs between the views is what the network learns to ignore; what they share "
            "is what it learns.** Without colour changes the histogram of colours would be enough to recognise "
            "a picture; without crops the layout of light and dark would be. Views that go too far share "
            "nothing any more, and there is nothing left to learn.\n\n**A similarity of 1 is no success in "
            "itself.** A network that gives every picture the same answer reaches it as well, and with it the "
            "best possible loss. Only a comparison with other pictures tells the two apart, and nothing in the "
            "loss makes that comparison."
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
        nearer,
        wilson,
        apply,
        stages,
        Views.draw,
        Views.scaled,
        SimSiam.forward,
    )
