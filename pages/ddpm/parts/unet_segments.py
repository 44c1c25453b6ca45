"""Which places of a picture are the digit: by k-means without labels, and by a few labelled places."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import streamlit as st

from core.ddpm.clustering import Clusters, k_means
from core.ddpm.explorer import DDPMExplorer
from core.ddpm.feature_views import PALETTE, best_overlap, overlap, overlay, segments
from core.ddpm.labelled_places import (
    LabelledPicture,
    digit_of,
    of_colours,
    of_network,
    read_out,
    shaded,
)
from core.pictures.house_number import HouseNumber, draw
from core.pictures.images import Pictures
from pages.ddpm.parts.unet_levels import (
    SEGMENT_SHARES,
    STOP_SHARES,
    levels_of,
    provenance,
)
from pages.shared import controls, figures, library, loaders, shape
from pages.shared.figures import Provenance
from pages.shared.library import Timed
from pages.shared.picking import INKS, WALLS, PickedPicture
from pages.shared.text import N_, _, number, percent, plain_errors

MOST_SEGMENTS, SEGMENTS = len(PALETTE), 3
CHOOSE = N_("Choose at least one layer and one level.")
ALT = N_("Segments by k-means on activations")
READ_OUTS = {
    "activations": N_(
        "**On average activations tell digit from wall better than colours do**: which tone "
        "is the ink changes "
        "from picture to picture, and a colour alone does not say."
    ),
    "colours": N_("**With these layers and levels, colours serve better than activations.**"),
    "neither": N_("**With these layers and levels, activations serve no better than colours.**"),
}
"""By which of the two reads labelled pixels better."""
KEPT = 8
ACROSS = 740
CLEARLY = 0.05
"""Two ways of cutting out differ clearly where one agrees with the digit by so much more."""

CREAM, BLACK, RED, YELLOW = INKS
BLUE, BRICK, GREEN, STONE, SLATE = WALLS
LEARNT_FROM = (
    ("1", CREAM, BLUE),
    ("2", BLACK, STONE),
    ("3", YELLOW, SLATE),
    ("5", CREAM, GREEN),
    ("8", BLACK, BLUE),
    ("0", RED, STONE),
    ("6", YELLOW, BRICK),
    ("4", CREAM, SLATE),
)
ASKED_ABOUT = (
    ("7", CREAM, BRICK),
    ("9", BLACK, BRICK),
    ("7", YELLOW, GREEN),
    ("9", RED, SLATE),
    ("7", BLACK, GREEN),
    ("9", YELLOW, BLUE),
)
"""Digits, inks on walls: none of these digits or pairs of colours is among those learnt from."""
SHADOW = 0.5


def _draw_digit(of: tuple[str, str, str], from_left: bool) -> LabelledPicture:
    number_ = HouseNumber(text=of[0], ink=of[1], wall=of[2])
    return LabelledPicture(shaded(draw(number_), SHADOW, from_left=from_left), digit_of(number_))


@cache
def labelled_digits() -> list[LabelledPicture]:
    """The drawn digits that the classifiers learn from, in a shadow from either side."""
    return [_draw_digit(one, index % 2 == 1) for index, one in enumerate(LEARNT_FROM)]


@cache
def held_out_digits() -> list[LabelledPicture]:
    """The drawn digits that they are asked about."""
    return [_draw_digit(one, index % 2 == 1) for index, one in enumerate(ASKED_ABOUT)]


# ---------------------------------------------------------------- without a label


@shape.fragment
def show(name: str, picked: PickedPicture, seed: int) -> None:
    """k-means on one picture, and a read-out of labelled places, from chosen layers and levels."""
    with plain_errors():
        st.subheader(_("Which places are the digit?"), anchor=False)
        explorer = loaders.ddpm(name)
        levels = levels_of(explorer, STOP_SHARES)
        left, middle = st.columns(2, gap="large")
        with left:
            usual = usual_layers(explorer)
            layers = controls.several(
                _("Layers"), controls.same(explorer.layers), "inside_layers", usual
            )
        with middle:
            ts = [level + 1 for level in levels]
            usual = [str(level + 1) for level in levels_of(explorer, SEGMENT_SHARES)]
            some = controls.several(_("Levels t"), controls.same(ts), "inside_levels", usual)
        if not layers or not some:
            st.info(_(CHOOSE))
            return
        chosen = [int(t) - 1 for t in some]
        labels_shown(explorer, layers, chosen, seed)
        without_labels(explorer, name, picked, seed, layers, chosen)


def without_labels(
    explorer: DDPMExplorer,
    name: str,
    picked: PickedPicture,
    seed: int,
    layers: Sequence[str],
    chosen: Sequence[int],
) -> None:
    """k-means groups the places of one picture by activations, and by colours."""
    words = _("Without a single label: k-means")
    st.markdown(f"**{words}**")
    k = controls.whole(_("Segments"), 2, MOST_SEGMENTS, SEGMENTS, "inside_k")
    found = loaders.features(name, picked.picture, list(chosen), seed)
    request = (explorer.bundle.digest, picked.picture.tobytes(), seed, *layers, *chosen, k)
    map_, clusters, by_colour = library.answers("unet_segments", KEPT).ask(
        request, lambda: cut_out(found.value, picked.picture, layers, len(chosen), k)
    )
    shape = picked.picture.shape
    tiles = [
        (picked.picture, _("the picture"), _("The picture")),
        (map_, _("segments from activations"), _(ALT)),
        (
            overlay(picked.picture, map_),
            _("segments over the picture"),
            _("The segments laid over the picture"),
        ),
        (
            PALETTE[by_colour].reshape(shape),
            _("segments from colours alone"),
            _("Segments by k-means on the colours of the pixels"),
        ),
    ]
    figures.row(tiles, "unet_segments", width=ACROSS)
    figures.about(
        provenance(
            explorer,
            picked,
            seed,
            found.seconds,
            **{
                _("layers"): ", ".join(layers),
                "t": ", ".join(number(level + 1, 0) for level in chosen),
                "k": k,
            },
        ),
        "unet_segments",
        png=lambda: figures.grid(np.stack([pixels for pixels, *_words in tiles]), len(tiles)),
        rows=lambda: [
            {"row": i // 32, "column": i % 32, "segment": int(label) + 1}
            for i, label in enumerate(clusters.labels)
        ],
    )
    if picked.house_number is None:
        sizes = np.bincount(clusters.labels, minlength=k) / clusters.labels.size
        words = _("Shares of the picture, largest first: {shares}.").format(
            shares=", ".join(percent(float(size)) for size in sizes)
        )
        st.markdown(f"{words} {over_held_out_digits(explorer)}")
        return
    digit = digit_of(picked.house_number).reshape(-1)
    of_layers, of_pixels = (best_overlap(one, digit)[0] for one in (clusters.labels, by_colour))
    words = k_means_verdict(of_layers, of_pixels)
    st.markdown(f"{words} {over_held_out_digits(explorer)}")


def cut_out(
    features: dict[str, np.ndarray], picture: Pictures, layers: Sequence[str], levels: int, k: int
) -> tuple[Pictures, Clusters, np.ndarray]:
    """Segments of a picture by activations, as colours and as labels, and labels by its colours alone."""
    by_colour = k_means(picture.reshape(-1, 3).astype(float), k).labels
    return *segments(features, layers, range(levels), k), by_colour


def usual_layers(explorer: DDPMExplorer) -> Sequence[str]:
    """The layers that the page begins with: the last two."""
    return explorer.layers[-2:]


def over_held_out_digits(explorer: DDPMExplorer) -> str:
    """What k-means did for all drawn digits that are asked about above, in words: once for a model, with the
    layers and levels that the page begins with, as it takes a second of all cores.
    """
    layers, levels = usual_layers(explorer), levels_of(explorer, SEGMENT_SHARES)

    def compute() -> np.ndarray:
        found = []
        for one in held_out_digits():
            held = explorer.features(one.picture, levels, 0)
            _map, clusters, by_colour = cut_out(held, one.picture, layers, len(levels), SEGMENTS)
            inside = one.digit.reshape(-1)
            found.append([best_overlap(each, inside)[0] for each in (clusters.labels, by_colour)])
        return np.mean(found, axis=0)

    request = explorer.bundle.digest
    of_layers, of_pixels = library.answers("unet_k_means", KEPT).ask(request, compute)
    return over_held_out_digits_verdict(float(of_layers), float(of_pixels))


def over_held_out_digits_verdict(of_layers: float, of_pixels: float) -> str:
    """Whether k-means on activations helped, given mean overlaps of the best segments."""
    words = _(
        "Over the {count} drawn digits above, in {k} segments each, with the layers and levels that this page "
        "begins with: {layers} from activations, {pixels} from colours."
    ).format(
        count=len(ASKED_ABOUT), k=SEGMENTS, layers=percent(of_layers), pixels=percent(of_pixels)
    )
    if of_layers - of_pixels >= CLEARLY:
        return words + " " + _("**On these pictures k-means on activations helps.**")
    return (
        words
        + " "
        + _("**On these pictures k-means on activations helps no more than colours do.**")
    )


def k_means_verdict(of_layers: float, of_pixels: float) -> str:
    """What k-means did for one drawn digit, given the overlaps of the best segments."""
    words = _(
        "The segment that fits the drawn digit best overlaps it by {layers} from activations, by {pixels} from "
        "colours."
    ).format(layers=percent(of_layers), pixels=percent(of_pixels))
    if of_layers - of_pixels >= CLEARLY:
        means = _("**Here the activations cut the digit out better than its colours do.**")
    elif of_pixels - of_layers >= CLEARLY:
        means = _(
            "**Here k-means on activations does not help**: the digit was drawn in one colour, and colours "
            "alone cut it out better. k-means finds what varies most, not what has a name."
        )
    else:
        means = _("**Here the activations are no better than the colours.**")
    return f"{words} {means}"


# ---------------------------------------------------------------- with a few labels


@dataclass(frozen=True)
class ReadOut:
    """Where each of three ways sees the digit, bool (6, 32, 32) each, and how far they overlap with it."""

    activations: np.ndarray
    colours: np.ndarray
    segments: np.ndarray
    overlaps: dict[str, list[float]]

    def mean(self, way: str) -> float:
        return float(np.mean(self.overlaps[way]))


def compute_read_out(
    explorer: DDPMExplorer, layers: Sequence[str], levels: Sequence[int], count: int, seed: int
) -> Timed[ReadOut]:
    """Classifiers learn from ``count`` places of digit and of wall in each labelled picture."""
    begun = time.perf_counter()
    known, others = labelled_digits(), held_out_digits()

    def network_features(of: Sequence[LabelledPicture]) -> list:
        return [of_network(explorer, one.picture, layers, levels, seed) for one in of]

    def colour_features(of: Sequence[LabelledPicture]) -> list:
        return [of_colours(one.picture) for one in of]

    ways = {
        "activations": read_out(network_features(known), known, network_features(others), count),
        "colours": read_out(colour_features(known), known, colour_features(others), count),
        "segments": best_segments(),
    }
    overlaps = {
        way: [overlap(seen, one.digit) for seen, one in zip(masks, others, strict=True)]
        for way, masks in ways.items()
    }
    arrays = {way: np.stack(masks) for way, masks in ways.items()}
    return Timed(ReadOut(**arrays, overlaps=overlaps), time.perf_counter() - begun)


@cache
def best_segments() -> list[np.ndarray]:
    """``best_segment`` of every picture asked about: no network has a part in it."""
    return [best_segment(one) for one in held_out_digits()]


def best_segment(of: LabelledPicture) -> np.ndarray:
    """Of two segments by colour the one that fits the digit better, chosen by who knows the digit."""
    labels = k_means(of.picture.reshape(-1, 3).astype(float), 2).labels.reshape(of.digit.shape)
    return labels == best_overlap(labels, of.digit)[1]


def labels_shown(
    explorer: DDPMExplorer, layers: Sequence[str], levels: Sequence[int], seed: int
) -> None:
    """Digits that no classifier has seen, and where each way sees them."""
    title = _("With a few labelled pixels: a linear classifier")
    st.markdown(f"**{title}**")
    count = controls.whole(
        _("Labelled pixels of digit and of wall, in each of {count} drawn digits").format(
            count=len(LEARNT_FROM)
        ),
        1,
        60,
        20,
        "inside_labelled",
    )
    request = (explorer.bundle.digest, tuple(layers), tuple(levels), count, seed)
    timed = library.answers("unet_read_out", KEPT).ask(
        request, lambda: compute_read_out(explorer, layers, levels, count, seed)
    )
    found, others = timed.value, held_out_digits()
    masks = [np.stack([one.digit for one in others]), found.activations, found.colours]
    pictures = np.stack([one.picture for one in others])
    as_pictures = [mask[..., None].repeat(3, -1).astype(np.uint8) * 255 for mask in masks]
    rows = [_("picture"), _("the digit"), _("from activations"), _("from colours")]
    columns = [
        f"{percent(a)} · {percent(c)}"
        for a, c in zip(found.overlaps["activations"], found.overlaps["colours"], strict=True)
    ]
    sheet = figures.matrix(
        np.stack([pictures, *as_pictures]),
        rows,
        columns,
        "unet_read_out",
        alt=_(
            "Drawn digits in shadow, where the digit is, and where a classifier of activations and one of "
            "colours see it"
        ),
    )
    figures.about(
        Provenance(
            explorer.bundle,
            True,
            timed.seconds,
            {
                _("seed of the noise"): seed,
                _("layers"): ", ".join(layers),
                "t": ", ".join(number(level + 1, 0) for level in levels),
                _("labelled pixels"): 2 * count * len(LEARNT_FROM),
            },
        ),
        "unet_read_out",
        png=lambda: sheet,
        rows=lambda: [
            {"digit": of[0], "ink": of[1], "wall": of[2], "way": way, "overlap": shares[i]}
            for way, shares in found.overlaps.items()
            for i, of in enumerate(ASKED_ABOUT)
        ],
    )
    st.markdown(read_out_verdict(found))


def read_out_verdict(found: ReadOut) -> str:
    """What the labelled pixels were good for, as far as the overlaps say so."""
    words = _(
        "Above each digit: how far what is seen overlaps with the drawn digit (intersection over union), from "
        "activations and from colours; on average {activations} and {colours}. These digits and these pairs "
        "of colours are new to both classifiers."
    ).format(activations=percent(found.mean("activations")), colours=percent(found.mean("colours")))
    gain = found.mean("activations") - found.mean("colours")
    if gain >= CLEARLY:
        means = _(READ_OUTS["activations"])
    elif gain <= -CLEARLY:
        means = _(READ_OUTS["colours"])
    else:
        means = _(READ_OUTS["neither"])
    apart = _(
        "Two segments by k-means on the colours of each picture overlap by {segments}, if "
        "someone who knows the digit "
        "says which of the two it is: cutting a picture apart and knowing what is what are two tasks."
    ).format(segments=percent(found.mean("segments")))
    return f"{words} {means} {apart}"
