"""A picture of one's own: generated, drawn, uploaded, photographed, or from the test set.

A link restores it, except for what only its sender has: an upload or a photo.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import streamlit as st

from core.bundles.bundle import Bundle
from core.pictures import data, house_number, images, shapes
from core.pictures.data import PictureSet
from core.pictures.images import Pictures
from core.vae.explorer import VAEExplorer
from pages.shared import controls, data_sets, figures, library, loaders
from pages.shared.figures import Provenance
from pages.shared.text import N_, _, plain_errors

Origin = Literal["prior", "gallery", "test", "maker", "shape", "upload", "camera"]
ORIGINS: dict[Origin, str] = {
    "prior": N_("From the prior"),
    "gallery": N_("Generated"),
    "test": N_("Test digit"),
    "maker": N_("House number"),
    "upload": N_("Upload"),
    "camera": N_("Camera"),
}
OBJECTS = "cifar10"
OBJECT_ORIGINS: dict[Origin, str] = {
    "shape": N_("Drawn object"),
    "test": N_("Test picture"),
    "upload": N_("Upload"),
    "camera": N_("Camera"),
}
"""Where pictures come from for models of CIFAR-10: no model here generates such pictures."""
GALLERY_WIDTH = 520
HOUSE_NUMBER = "7"
INKS = {
    "#f2efe6": N_("cream"),
    "#1d2733": N_("black"),
    "#b3261e": N_("red"),
    "#e8b923": N_("yellow"),
}
WALLS = {
    "#38588a": N_("blue"),
    "#8a4b38": N_("brick"),
    "#5c6b4a": N_("green"),
    "#d8d2c4": N_("stone"),
    "#22262e": N_("slate"),
}
KINDS: dict[shapes.Kind, str] = {
    "ship": N_("ship"),
    "automobile": N_("automobile"),
    "truck": N_("truck"),
    "airplane": N_("airplane"),
    "bird": N_("bird"),
    "frog": N_("frog"),
    "cat": N_("cat"),
    "disc": N_("disc"),
    "square": N_("square"),
    "triangle": N_("triangle"),
}
CLASSES = {**KINDS, "deer": N_("deer"), "dog": N_("dog"), "horse": N_("horse")}
COLOURS = {
    "#b3261e": N_("red"),
    "#e8b923": N_("yellow"),
    "#2f6db3": N_("blue"),
    "#5c8a3a": N_("green"),
    "#7a5238": N_("brown"),
    "#e4e2dc": N_("white"),
}
BACKGROUNDS = {
    "#a9cbe6": N_("sky"),
    "#d8d2c4": N_("stone"),
    "#e9a26b": N_("evening"),
    "#3b4a63": N_("night"),
    "#7d9a5f": N_("leaves"),
}


@dataclass(frozen=True)
class Picked:
    """A picture (32, 32, 3) that a visitor chose; ``words`` says what it is, for captions.

    ``house_number`` or ``shape`` is what it was drawn from, if it was drawn; ``label`` the class
    that a test picture has in its data set.
    """

    origin: Origin
    picture: Pictures
    words: str
    house_number: house_number.HouseNumber | None = None
    shape: shapes.Shape | None = None
    label: int | None = None


@dataclass(frozen=True)
class Start:
    """Where an exploration starts: a point z (d,), and the picture it was read from, if any.

    ``words`` says what it is, for captions.
    """

    origin: Origin
    z: np.ndarray
    picture: Pictures | None
    words: str

    @property
    def identity(self) -> tuple:
        """Changes when another start is chosen."""
        return (self.origin, self.z.tobytes())


def class_word(name: str) -> str:
    """A class of CIFAR-10 in the visitor's language; any other name as it is."""
    return _(CLASSES[name]) if name in CLASSES else name


def origins(of: Bundle, test_at_hand: bool, *, with_prior: bool) -> dict[Origin, str]:
    """The origins that suit the bundle's data: real test pictures only where they are at hand."""
    offered = OBJECT_ORIGINS if of.config["data"]["name"] == OBJECTS else ORIGINS
    left_out = {None if with_prior else "prior", None if test_at_hand else "test"}
    return {code: label for code, label in offered.items() if code not in left_out}


def picture(
    prefix: str, of: Bundle, *, default: Origin = "gallery", first: int = 1
) -> Picked | None:
    """A picture: generated, drawn, of the test set, from a file or a camera.

    ``of`` says which data set is meant, and so what is on offer; ``first`` is the gallery's picture
    to begin with. None where nothing is chosen yet.
    """
    return _pick(prefix, of, _origin(prefix, of, default, with_prior=False), first)


def companions(prefix: str, of: Bundle, picked: Picked, count: int) -> list[Picked]:
    """The picture and those that follow it where it came from, ``count`` in all at most.

    An upload and a photo stand alone.
    """
    if picked.origin == "gallery":
        shown = library.gallery().pictures
        first = int(st.session_state.get(f"{prefix}_gallery", 1)) - 1
        chosen = [(first + i) % len(shown) for i in range(count)]
        words = [_("generated picture {index}").format(index=i + 1) for i in chosen]
        return [Picked("gallery", shown[i], said) for i, said in zip(chosen, words, strict=True)]
    if picked.origin == "test":
        settings = of.config["data"]
        found = loaders.picture_set(settings["name"], settings["test_split"])
        first = int(st.session_state.get(f"{prefix}_test", 0))
        chosen = [(first + i) % len(found) for i in range(count)]
        return [_test_picture(found, i) for i in chosen]
    if picked.origin == "maker" and picked.house_number is not None:
        text = picked.house_number.text
        drawn = [
            replace(picked.house_number, text="".join(str((int(d) + i) % 10) for d in text))
            for i in range(count)
        ]
        return [_drawn_number(one) for one in drawn]
    if picked.origin == "shape" and picked.shape is not None:
        first = shapes.KINDS.index(picked.shape.kind)
        following = [shapes.KINDS[(first + i) % len(shapes.KINDS)] for i in range(count)]
        return [_drawn_shape(replace(picked.shape, kind=kind)) for kind in following]
    return [picked]


def drawn_objects() -> list[Picked]:
    """One of every object that can be drawn."""
    return [_drawn_shape(shapes.Shape(kind=kind)) for kind in shapes.KINDS]


def test_words(found: PictureSet, index: int) -> str:
    """A test picture, for captions."""
    label = found.class_names[found.labels[index]]
    if found.name == OBJECTS:
        return _("test picture {index}: {label}").format(index=index, label=class_word(label))
    return _("test digit {index}, class {label}").format(index=index, label=label)


def maker_words(drawn: house_number.HouseNumber) -> str:
    """A drawn house number, for captions."""
    return _("drawn house number {text}").format(text=drawn.text)


def shape_words(drawn: shapes.Shape) -> str:
    """A drawn object, for captions."""
    return _("drawn object: {kind}").format(kind=_(KINDS[drawn.kind]))


def _test_picture(found: PictureSet, index: int) -> Picked:
    label = int(found.labels[index])
    return Picked("test", found.pictures[index], test_words(found, index), label=label)


def _drawn_number(drawn: house_number.HouseNumber) -> Picked:
    return Picked("maker", house_number.draw(drawn), maker_words(drawn), house_number=drawn)


def _drawn_shape(drawn: shapes.Shape) -> Picked:
    return Picked("shape", shapes.draw(drawn), shape_words(drawn), shape=drawn)


def start(
    prefix: str,
    explorer: VAEExplorer,
    *,
    with_prior: bool = False,
    default: Origin = "gallery",
    first: int = 1,
    text: str = HOUSE_NUMBER,
) -> Start | None:
    """A picture as ``picture`` offers it, encoded, or a draw from the prior.

    ``first`` is the generated picture to begin with, ``text`` the house number.
    """
    origin = _origin(prefix, explorer.bundle, default, with_prior=with_prior)
    if origin == "prior":
        value = controls.seed(f"{prefix}_seed")
        z = explorer.prior(value)[0]
        return Start("prior", z, None, _("z from the prior, seed {seed}").format(seed=value))
    chosen = _pick(prefix, explorer.bundle, origin, first, text)
    if chosen is None:
        return None
    z = explorer.encode(chosen.picture[None]).mean[0]
    return Start(origin, z, chosen.picture, chosen.words)


def _origin(prefix: str, of: Bundle, default: Origin, *, with_prior: bool) -> Origin:
    settings = of.config["data"]
    found = data_sets.at_hand(settings["name"], settings["test_split"])
    offered = origins(of, found, with_prior=with_prior)
    return controls.choice(_("Start from"), offered, f"{prefix}_from", default=default)


def _pick(
    prefix: str, of: Bundle, origin: Origin, first: int, text: str = HOUSE_NUMBER
) -> Picked | None:
    if origin == "gallery":
        return _from_gallery(prefix, of, first)
    if origin == "maker":
        return _from_maker(prefix, text)
    return _PICTURES[origin](prefix, of)


def _from_gallery(prefix: str, of: Bundle, first: int) -> Picked:
    shown = library.gallery()
    index = controls.whole(_("Picture"), 1, len(shown.pictures), first, f"{prefix}_gallery") - 1
    figures.sheet(
        shown.pictures,
        columns=8,
        marked=index,
        alt=_("Gallery of pictures that a model generated"),
        width=GALLERY_WIDTH,
    )
    st.caption(
        _("A diffusion model generated these pictures; no photograph is among them.")
        if shown.of.family == "ddpm"
        else _("The VAE generated these pictures; no photograph is among them.")
    )
    st.caption(figures.in_words(Provenance(shown.of, live=False, settings=shown.settings)))
    settings = of.config["data"]
    words = _("Download the real test digits ({megabytes} MB)")
    data_sets.offer(settings["name"], settings["test_split"], words, f"{prefix}_download")
    words = _("generated picture {index}").format(index=index + 1)
    return Picked("gallery", shown.pictures[index], words)


def _from_test_set(prefix: str, of: Bundle) -> Picked | None:
    settings = of.config["data"]
    label = (
        _("Number of the test picture, 0 to {last}")
        if settings["name"] == OBJECTS
        else _("Number of the test digit, 0 to {last}")
    )
    with plain_errors():
        found = loaders.picture_set(settings["name"], settings["test_split"])
        last = len(found) - 1
        index = controls.count(label.format(last=last), 0, last, 0, f"{prefix}_test")
        return _test_picture(found, index)
    return None


def _from_maker(prefix: str, first: str) -> Picked | None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        text = controls.line(_("Digits (1 to 3)"), first, f"{prefix}_text", longest=3, width=150)
        ink = controls.choice(_("Ink"), INKS, f"{prefix}_ink")
        wall = controls.choice(_("Wall"), WALLS, f"{prefix}_wall")
        with st.popover(_("More")):
            size = controls.real(_("Size"), 0.3, 1.2, 0.85, f"{prefix}_size")
            blur = controls.real(_("Blur (pixels)"), 0.0, 4.0, 0.6, f"{prefix}_blur", step=0.1)
            rotation = controls.whole(_("Rotation (degrees)"), -45, 45, 0, f"{prefix}_rotation")
            noise = controls.whole(_("Noise (grey levels)"), 0, 80, 4, f"{prefix}_noise")
    if not (text.isascii() and text.isdigit()):
        st.error(_("A house number has 1 to 3 digits, 0 to 9."), icon=":material/error:")
        return None
    drawn = house_number.HouseNumber(
        text=text, ink=ink, wall=wall, blur=blur, rotation=rotation, noise=noise, size=size
    )
    return _drawn_number(drawn)


def _from_shape(prefix: str, of: Bundle) -> Picked:
    kind = controls.choice(_("Object"), KINDS, f"{prefix}_kind")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        colour = controls.choice(_("Colour"), COLOURS, f"{prefix}_colour")
        background = controls.choice(_("Background"), BACKGROUNDS, f"{prefix}_background")
        with st.popover(_("More")):
            size = controls.real(_("Size"), 0.2, 1.2, 0.8, f"{prefix}_size")
            across = controls.real(_("Place, left to right"), 0.0, 1.0, 0.5, f"{prefix}_across")
            down = controls.real(_("Place, top to bottom"), 0.0, 1.0, 0.5, f"{prefix}_down")
            variant = controls.whole(
                _("Variant"),
                0,
                99,
                0,
                f"{prefix}_variant",
                help=_("Another tilt, length, place, tone and grain, each by a little."),
            )
    settings = of.config["data"]
    words = _("Download the CIFAR-10 test pictures ({megabytes} MB)")
    data_sets.offer(settings["name"], settings["test_split"], words, f"{prefix}_download")
    return _drawn_shape(
        shapes.Shape(
            kind=kind,
            colour=colour,
            background=background,
            size=size,
            across=across,
            down=down,
            seed=variant,
        )
    )


def _from_upload(prefix: str, of: Bundle) -> Picked | None:
    file = st.file_uploader(
        _("A picture file"),
        type=sorted(suffix.lstrip(".") for suffix in data.PICTURE_SUFFIXES),
        key=f"{prefix}_upload",
        max_upload_size=images.MAX_BYTES // 2**20,
    )
    st.caption(_("The centre square is cut to 32 x 32 pixels. A link cannot carry an upload."))
    return _read("upload", file, _("uploaded picture"))


def _from_camera(prefix: str, of: Bundle) -> Picked | None:
    objects = of.config["data"]["name"] == OBJECTS
    label = _("A photo of an object") if objects else _("A photo of a house number")
    file = st.camera_input(label, key=f"{prefix}_camera")
    st.caption(_("The centre square is cut to 32 x 32 pixels. A link cannot carry a photo."))
    return _read("camera", file, _("photo"))


def _read(origin: Origin, file: object, words: str) -> Picked | None:
    if file is None:
        return None
    with plain_errors():
        return Picked(origin, images.read_picture(file.getvalue()), words)
    return None


_PICTURES = {
    "test": _from_test_set,
    "shape": _from_shape,
    "upload": _from_upload,
    "camera": _from_camera,
}
