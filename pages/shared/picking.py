"""A picture of one's own: generated, drawn, uploaded, photographed, or from the test set.

A link restores it, except for what only its sender has: an upload or a photo.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np
import streamlit as st
from PIL import Image, ImageDraw

from core.bundles.bundle import Bundle
from core.errors import AtelierError
from core.pictures import data, house_number, images, shapes
from core.pictures.data import PictureSet
from core.pictures.images import Pictures
from core.vae.explorer import VAEExplorer
from pages.shared import carried, controls, data_sets, figures, library, loaders, shape
from pages.shared.colours import MARK
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
WANTED = N_("Choose a picture to start from.")
"""What a page says that has no picture to show anything of."""
NO_HOUSE_NUMBER = N_("A house number has 1 to 3 digits, 0 to 9.")
CONTROLS: dict[Origin, tuple[str, ...]] = {
    "prior": (),
    "gallery": ("gallery",),
    "test": ("test",),
    "maker": ("text", "ink", "wall", "size", "blur", "rotation", "noise"),
    "shape": ("kind", "colour", "background", "size", "across", "down", "variant"),
    "upload": ("zoom", "crop_across", "crop_down"),
    "camera": ("zoom", "crop_across", "crop_down"),
}
"""The controls that a picture of each origin depends on."""
CROP = {"zoom": 1.0, "crop_across": 0.5, "crop_down": 0.5}
DIGIT = {
    "from": "maker",
    "gallery": 8,
    "test": 0,
    "text": HOUSE_NUMBER,
    "ink": "#f2efe6",
    "wall": "#38588a",
    "size": 0.85,
    "blur": 0.6,
    "rotation": 0,
    "noise": 4,
    **CROP,
}
"""Controls of a picture of a digit, and what they say by default."""
OBJECT = {
    "from": "shape",
    "test": 0,
    "kind": "ship",
    "colour": "#b3261e",
    "background": "#a9cbe6",
    "size": 0.8,
    "across": 0.5,
    "down": 0.5,
    "variant": 0,
    **CROP,
}
"""The same of an object."""
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
class PickedPicture:
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


def _controls(of: Bundle, origin: Origin | None = None) -> carried.Controls:
    """The controls of a picture and their defaults: all, or those that matter to one origin."""
    every = DIGIT
    if of.config["data"]["name"] == OBJECTS:
        every = {**OBJECT, "from": first_object_origin(of)}
    if origin is None:
        return every
    return {name: every[name] for name in ("from", *CONTROLS[origin]) if name in every}


def first_object_origin(of: Bundle) -> Origin:
    """Where a page of objects begins: with a test picture, where they are at hand, or a drawn one."""
    settings = of.config["data"]
    with suppress(AtelierError):  # whoever asks for a test picture is told what is wrong
        if loaders.split_at_hand(settings["name"], settings["test_split"]):
            return "test"
    return "shape"


def origins(of: Bundle, test_at_hand: bool, *, with_prior: bool) -> dict[Origin, str]:
    """The origins that suit the bundle's data: real test pictures only where they are at hand."""
    offered = OBJECT_ORIGINS if of.config["data"]["name"] == OBJECTS else ORIGINS
    left_out = {None if with_prior else "prior", None if test_at_hand else "test"}
    return {code: label for code, label in offered.items() if code not in left_out}


def picture(
    prefix: str,
    of: Bundle,
    *,
    default: Origin = "gallery",
    first: int = DIGIT["gallery"],
    said: bool = False,
) -> PickedPicture | None:
    """A picture: generated, drawn, of the test set, from a file or a camera.

    ``of`` says which data set is meant, and so what is on offer; ``first`` is the gallery's picture
    to begin with. ``said``: the address says the origin even where it is the default. None where
    nothing is chosen yet.
    """
    data_set = of.config["data"]["name"]
    carried.begin(prefix, data_set, _controls(of))
    origin = _origin(prefix, of, default, with_prior=False, said=said)
    found = _pick(prefix, of, origin, first)
    if found is not None:
        ours = _controls(of, found.origin)
        carried.keep(prefix, data_set, ours, found.picture, found.words)
    return found


def companions(prefix: str, of: Bundle, picked: PickedPicture, count: int) -> list[PickedPicture]:
    """The picture and those that follow it where it came from, ``count`` in all at most.

    An upload and a photo stand alone.
    """
    if picked.origin == "gallery":
        shown = library.gallery().pictures
        first = int(st.session_state.get(f"{prefix}_gallery", DIGIT["gallery"])) - 1
        chosen = [(first + i) % len(shown) for i in range(count)]
        words = [_("generated picture {index}").format(index=i + 1) for i in chosen]
        return [
            PickedPicture("gallery", shown[i], said) for i, said in zip(chosen, words, strict=True)
        ]
    if picked.origin == "test":
        settings = of.config["data"]
        first = int(st.session_state.get(f"{prefix}_test", 0))
        total = loaders.picture_count(settings["name"], settings["test_split"])
        chosen = [(first + i) % total for i in range(count)]
        return _test_pictures(settings, chosen)
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


def drawn_objects() -> list[PickedPicture]:
    """One of every object that can be drawn."""
    return [_drawn_shape(shapes.Shape(kind=kind)) for kind in shapes.KINDS]


def test_words(found: PictureSet, index: int) -> str:
    """A test picture, for captions."""
    return _test_words(found, int(found.labels[index]), index)


def _test_words(of: PictureSet, label: int, index: int) -> str:
    name = of.class_names[label]
    if of.name == OBJECTS:
        return _("test picture {index}: {label}").format(index=index, label=class_word(name))
    return _("test digit {index}, class {label}").format(index=index, label=name)


def maker_words(drawn: house_number.HouseNumber) -> str:
    """A drawn house number, for captions."""
    return _("drawn house number {text}").format(text=drawn.text)


def shape_words(drawn: shapes.Shape) -> str:
    """A drawn object, for captions."""
    return _("drawn object: {kind}").format(kind=_(KINDS[drawn.kind]))


def _test_pictures(settings: Mapping[str, object], rows: Sequence[int]) -> list[PickedPicture]:
    """Some pictures of a test set; no other one is decoded."""
    found = loaders.some_pictures(settings["name"], settings["test_split"], rows)
    return [
        PickedPicture(
            "test",
            found.pictures[place],
            _test_words(found, int(found.labels[place]), row),
            label=int(found.labels[place]),
        )
        for place, row in enumerate(rows)
    ]


def _drawn_number(drawn: house_number.HouseNumber) -> PickedPicture:
    return PickedPicture("maker", _number_pixels(drawn), maker_words(drawn), house_number=drawn)


def _drawn_shape(drawn: shapes.Shape) -> PickedPicture:
    return PickedPicture("shape", _shape_pixels(drawn), shape_words(drawn), shape=drawn)


_number_pixels = lru_cache(maxsize=256)(house_number.draw)
_shape_pixels = lru_cache(maxsize=256)(shapes.draw)


def start(
    prefix: str,
    explorer: VAEExplorer,
    *,
    with_prior: bool = False,
    default: Origin = "gallery",
    first: int = DIGIT["gallery"],
    text: str = HOUSE_NUMBER,
    rotation: int = DIGIT["rotation"],
    own: bool = False,
    begins: bool = True,
) -> Start | None:
    """A picture as ``picture`` offers it, encoded, or a draw from the prior.

    ``first`` is the generated picture to begin with, ``text`` the house number, turned by ``rotation``
    degrees. ``own``: what is chosen here is not the picture of the visit but the page's alone. ``begins``:
    where another page has chosen a picture for the visit, this one begins with it.
    """
    data_set = explorer.bundle.config["data"]["name"]
    if begins:
        usual = _controls(explorer.bundle)
        here = {"gallery": first, "text": text, "rotation": rotation}
        other = {name: value for name, value in here.items() if value != usual[name]}
        carried.begin(prefix, data_set, usual, other if own else None)
    origin = _origin(prefix, explorer.bundle, default, with_prior=with_prior)
    if origin == "prior":
        value = controls.seed(f"{prefix}_seed")
        z = explorer.prior(value)[0]
        return Start("prior", z, None, _("z from the prior, seed {seed}").format(seed=value))
    chosen = _pick(prefix, explorer.bundle, origin, first, text, rotation, own=own)
    if chosen is None:
        return None
    if not own:
        ours = _controls(explorer.bundle, origin)
        carried.keep(prefix, data_set, ours, chosen.picture, chosen.words)
    z = loaders.posterior_mean(explorer, chosen.picture)
    return Start(origin, z, chosen.picture, chosen.words)


def _origin(
    prefix: str, of: Bundle, default: Origin, *, with_prior: bool, said: bool = False
) -> Origin:
    settings = of.config["data"]
    found = data_sets.at_hand(settings["name"], settings["test_split"])
    offered = origins(of, found, with_prior=with_prior)
    return controls.choice(_("Start from"), offered, f"{prefix}_from", default=default, said=said)


def _pick(
    prefix: str,
    of: Bundle,
    origin: Origin,
    first: int,
    text: str = HOUSE_NUMBER,
    rotation: int = DIGIT["rotation"],
    *,
    own: bool = False,
) -> PickedPicture | None:
    if origin == "gallery":
        return _from_gallery(prefix, of, first)
    if origin == "maker":
        return _from_maker(prefix, of, text, rotation)
    if origin == "test":
        return _from_test_set(prefix, of)
    if origin == "shape":
        return _from_shape(prefix, of)
    place = f"{prefix if own else of.config['data']['name']} {origin}"
    given = _upload if origin == "upload" else _photo
    return _cut(prefix, of, origin, place, given(prefix, of, place))


def _from_gallery(prefix: str, of: Bundle, first: int) -> PickedPicture:
    shown = library.gallery()
    index = controls.whole(_("Picture"), 1, len(shown.pictures), first, f"{prefix}_gallery") - 1
    figures.sheet(
        shown.pictures,
        f"{prefix}_gallery_sheet",
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
    _offer_digits(prefix, of)
    words = _("generated picture {index}").format(index=index + 1)
    return PickedPicture("gallery", shown.pictures[index], words)


def _offer_digits(prefix: str, of: Bundle) -> None:
    """The real digits, where they are not at hand: drawn and generated ones stand in for them."""
    settings = of.config["data"]
    words = _("Download the real test digits ({megabytes} MB)")
    data_sets.offer(settings["name"], settings["test_split"], words, f"{prefix}_download")


def _from_test_set(prefix: str, of: Bundle) -> PickedPicture | None:
    settings = of.config["data"]
    label = (
        _("Number of the test picture, 0 to {last}")
        if settings["name"] == OBJECTS
        else _("Number of the test digit, 0 to {last}")
    )
    with plain_errors():
        last = loaders.picture_count(settings["name"], settings["test_split"]) - 1
        first = min(DIGIT["test"], last)
        index = controls.count(label.format(last=last), 0, last, first, f"{prefix}_test")
        return _test_pictures(settings, [index])[0]
    return None


def _from_maker(prefix: str, of: Bundle, first: str, turn: int) -> PickedPicture | None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        text = controls.line(
            _("Digits (1 to 3)"),
            first,
            f"{prefix}_text",
            longest=3,
            width=150,
            fits=lambda said: said.isascii() and said.isdigit(),
        )
        ink = controls.choice(_("Ink"), INKS, f"{prefix}_ink", default=DIGIT["ink"])
        wall = controls.choice(_("Wall"), WALLS, f"{prefix}_wall", default=DIGIT["wall"])
        with controls.popover(_("More"), icon=None):
            size = controls.real(_("Size"), 0.3, 1.2, DIGIT["size"], f"{prefix}_size")
            blur = controls.real(
                _("Blur (pixels)"), 0.0, 4.0, DIGIT["blur"], f"{prefix}_blur", step=0.1
            )
            rotation = controls.whole(_("Rotation (degrees)"), -45, 45, turn, f"{prefix}_rotation")
            noise = controls.whole(
                _("Noise (grey levels)"), 0, 80, DIGIT["noise"], f"{prefix}_noise"
            )
    _offer_digits(prefix, of)
    if not (text.isascii() and text.isdigit()):
        with shape.notice():
            st.error(_(NO_HOUSE_NUMBER), icon=":material/error:")
        return None
    drawn = house_number.HouseNumber(
        text=text, ink=ink, wall=wall, blur=blur, rotation=rotation, noise=noise, size=size
    )
    return _drawn_number(drawn)


def _from_shape(prefix: str, of: Bundle) -> PickedPicture:
    kind = controls.choice(_("Object"), KINDS, f"{prefix}_kind", default=OBJECT["kind"])
    with st.container(horizontal=True, vertical_alignment="bottom"):
        colour = controls.choice(_("Colour"), COLOURS, f"{prefix}_colour", default=OBJECT["colour"])
        background = controls.choice(
            _("Background"), BACKGROUNDS, f"{prefix}_background", default=OBJECT["background"]
        )
        with controls.popover(_("More"), icon=None):
            size = controls.real(_("Size"), 0.2, 1.2, OBJECT["size"], f"{prefix}_size")
            across = controls.real(
                _("Place, left to right"), 0.0, 1.0, OBJECT["across"], f"{prefix}_across"
            )
            down = controls.real(
                _("Place, top to bottom"), 0.0, 1.0, OBJECT["down"], f"{prefix}_down"
            )
            variant = controls.whole(
                _("Variant"),
                0,
                99,
                OBJECT["variant"],
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


def _upload(prefix: str, of: Bundle, place: str) -> object:
    key = f"{prefix}_upload"
    return controls.file(
        _("A picture file"),
        sorted(suffix.lstrip(".") for suffix in data.PICTURE_SUFFIXES),
        key,
        images.MAX_BYTES // 2**20,
        on_change=_forget_if_empty,
        args=(key, place),
    )


def _photo(prefix: str, of: Bundle, place: str) -> object:
    objects = of.config["data"]["name"] == OBJECTS
    label = _("A photo of an object") if objects else _("A photo of a house number")
    key = f"{prefix}_camera"
    return st.camera_input(label, key=key, on_change=_forget_if_empty, args=(key, place))


def _forget_if_empty(key: str, place: str) -> None:
    """A photo that its visitor takes away is gone from the other pages, too."""
    if st.session_state.get(key) is None:
        carried.forget_photo(place)


def _cut(prefix: str, of: Bundle, origin: Origin, place: str, file: object) -> PickedPicture | None:
    """A square of the photo that was given here, or earlier in this visit at the same place."""
    given = None
    if file is not None:
        with plain_errors():
            given = images.read_photo(file.getvalue())
        if given is None:
            return None
    photo = carried.photo(place, given)
    if photo is None:
        st.caption(_("A link cannot carry it: whoever opens the link chooses a picture again."))
        return None
    left, middle, right = st.columns([2, 2, 3], gap="medium", wrap=False)
    with right:
        zoom = controls.real(_("Zoom"), 1.0, 8.0, CROP["zoom"], f"{prefix}_zoom", step=0.1)
        half = CROP["crop_across"]
        across = controls.real(_("Left to right"), 0.0, 1.0, half, f"{prefix}_crop_across")
        down = controls.real(_("Top to bottom"), 0.0, 1.0, CROP["crop_down"], f"{prefix}_crop_down")
    picture = images.cut(photo, zoom, across, down)
    alt = _("The photo, and in it the square that is used")
    left.image(_framed(photo, zoom, across, down), alt=alt, width="stretch")
    middle.image(figures.pixels(picture), alt=_("The square at 32 x 32 pixels"), width="stretch")
    st.caption(
        _("Let the object fill the square. A link cannot carry this picture.")
        if of.config["data"]["name"] == OBJECTS
        else _("Let one digit fill the square, as in SVHN. A link cannot carry this picture.")
    )
    words = _("uploaded picture") if origin == "upload" else _("photo")
    return PickedPicture(origin, picture, words)


def _framed(photo: Pictures, zoom: float, across: float, down: float) -> Image.Image:
    """The photo with the square of ``images.square_of`` drawn in it."""
    left, top, side = images.square_of(photo, zoom, across, down)
    drawn = Image.fromarray(photo)
    width = max(2, min(drawn.size) // 60)
    box = (
        left,
        top,
        left + max(side - 1, 0),
        top + max(side - 1, 0),
    )  # of an icon less than a pixel
    ImageDraw.Draw(drawn).rectangle(box, outline=MARK, width=width)
    return drawn
