"""Controls: every widget is keyed with its page's prefix and bound to the URL.

A link restores what its sender saw, except for what only its sender has: an upload or a photo.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

import numpy as np
import streamlit as st

from core import data, house_number, images, shapes
from core.bundle import Bundle
from core.data import PictureSet
from core.images import Pictures
from core.vae_explorer import VAEExplorer
from pages.shared import figures, guests, loaders
from pages.shared.figures import Provenance
from pages.shared.text import LANGUAGES, N_, _, in_language, language, number, plain_errors

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
MAX_SEED = 9999
GALLERY_WIDTH = 520
SECONDS_A_STOP = 0.7
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


# ---------------------------------------------------------------- single widgets


Code = TypeVar("Code", bound=str)


def choice(
    label: str,
    options: dict[Code, str],
    key: str,
    *,
    default: Code | None = None,
    help: str | None = None,
) -> Code:
    """One of a few options, as buttons; ``options`` maps codes to English labels.

    The URL carries the label that the sender saw; a link is understood in either language.
    """
    codes = list(options)
    default = default or codes[0]
    if key not in st.session_state and key in st.query_params:
        labels = {
            in_language(label_, spoken): code
            for spoken in LANGUAGES
            for code, label_ in options.items()
        } | {code: code for code in codes}
        wanted = labels.get(st.query_params[key])
        if wanted is not None and st.query_params[key] != _(options[wanted]):
            # Streamlit would drop a label of the other language from the URL: the link of what is
            # shown would lack it.
            st.query_params[key] = _(options[wanted])
            st.rerun()
        if wanted is not None:
            st.session_state[key] = wanted
    spoken = st.session_state.get(f"{key}_language", language())
    if key in st.session_state and spoken != language():
        # Setting the value anew makes Streamlit write the label of this language to the URL.
        st.session_state[key] = st.session_state[key]
    st.session_state[f"{key}_language"] = language()
    if st.session_state.get(key, default) not in codes:
        st.session_state[key] = default
    return st.segmented_control(
        label,
        codes,
        default=default,
        required=True,
        format_func=lambda code: _(options[code]),
        key=key,
        help=help,
        wrap=True,
        bind="query-params",
    )


def whole(
    label: str,
    low: int,
    high: int,
    default: int,
    key: str,
    *,
    step: int = 1,
    help: str | None = None,
) -> int:
    """A whole number on a slider."""
    return int(st.slider(label, low, high, default, step, key=key, help=help, bind="query-params"))


def real(
    label: str,
    low: float,
    high: float,
    default: float,
    key: str,
    *,
    step: float = 0.05,
    help: str | None = None,
) -> float:
    """A number on a slider."""
    return float(
        st.slider(label, low, high, default, step, key=key, help=help, bind="query-params")
    )


def seed(key: str) -> int:
    """A visible seed with a button that draws another one."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        value = st.number_input(
            _("Seed"),
            0,
            MAX_SEED,
            0,
            key=key,
            bind="query-params",
            help=_("Same seed, same random numbers, same pictures."),
            width=170,
        )
        st.button(
            "",
            icon=":material/casino:",
            help=_("Another seed"),
            key=f"{key}_again",
            on_click=lambda: st.session_state.update(
                {key: int(np.random.default_rng().integers(MAX_SEED + 1))}
            ),
        )
    return int(value)


# ---------------------------------------------------------------- a timeline


def pace(key: str) -> float | None:
    """Seconds between two stops while a timeline plays: ``run_every`` of its fragment."""
    return SECONDS_A_STOP if st.session_state.get(f"{key}_playing") else None


def timeline(label: str, stops: Sequence[int], key: str, *, default: int | None = None) -> int:
    """Scrub, step or play through ``stops``; starts at ``default``, or at the last one.

    Belongs into a fragment that is called with ``st.fragment(run_every=pace(key))``.
    """
    stops = list(stops)
    flag = f"{key}_playing"
    first = stops[-1] if default is None else default

    def move(steps: int) -> None:
        now = st.session_state.get(key, first)
        place = stops.index(now if now in stops else first)
        st.session_state[key] = stops[min(max(place + steps, 0), len(stops) - 1)]

    def play_or_pause() -> None:
        st.session_state[flag] = not st.session_state.get(flag, False)
        if st.session_state[flag] and st.session_state.get(key, first) == stops[-1]:
            st.session_state[key] = stops[0]
        st.session_state[f"{flag}_changed"] = True

    if st.session_state.get(key, first) not in stops:
        st.session_state[key] = first  # the stops are others than they were
    playing = st.session_state.get(flag, False)
    if st.session_state.pop(f"{flag}_changed", False):
        # The page has to call this fragment at another pace; the stop stays for one beat.
        st.session_state[f"{flag}_hold"] = True
        st.rerun(scope="app")
    if playing and not st.session_state.pop(f"{flag}_hold", False):
        move(1)
        if st.session_state[key] == stops[-1]:
            st.session_state[flag] = False
            st.session_state[f"{flag}_changed"] = True
    with st.container(horizontal=True, vertical_alignment="bottom"):
        value = st.select_slider(label, stops, first, key=key, bind="query-params")
        for name, icon, words, action in (
            ("back", "skip_previous", _("One step back"), lambda: move(-1)),
            ("play", "pause" if playing else "play_arrow", _("Play or pause"), play_or_pause),
            ("on", "skip_next", _("One step on"), lambda: move(1)),
        ):
            st.button(
                "", icon=f":material/{icon}:", help=words, key=f"{key}_{name}", on_click=action
            )
    return value


# ---------------------------------------------------------------- a picture of one's own


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
        shown = loaders.gallery().pictures
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
    return _("test digit {index}, a {label}").format(index=index, label=label)


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
) -> Start | None:
    """A picture as ``picture`` offers it, encoded, or a draw from the prior."""
    origin = _origin(prefix, explorer.bundle, default, with_prior=with_prior)
    if origin == "prior":
        value = seed(f"{prefix}_seed")
        z = explorer.prior(value)[0]
        return Start("prior", z, None, _("z from the prior, seed {seed}").format(seed=value))
    chosen = _pick(prefix, explorer.bundle, origin, first)
    if chosen is None:
        return None
    z = explorer.encode(chosen.picture[None]).mean[0]
    return Start(origin, z, chosen.picture, chosen.words)


def _origin(prefix: str, of: Bundle, default: Origin, *, with_prior: bool) -> Origin:
    settings = of.config["data"]
    found = at_hand(settings["name"], settings["test_split"])
    offered = origins(of, found, with_prior=with_prior)
    return choice(_("Start from"), offered, f"{prefix}_from", default=default)


def _pick(prefix: str, of: Bundle, origin: Origin, first: int) -> Picked | None:
    pick = _PICTURES[origin]
    return pick(prefix, of, first) if origin == "gallery" else pick(prefix, of)


def _from_gallery(prefix: str, of: Bundle, first: int) -> Picked:
    shown = loaders.gallery()
    index = whole(_("Picture"), 1, len(shown.pictures), first, f"{prefix}_gallery") - 1
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
    figures.caption(Provenance(shown.of, live=shown.live, settings=shown.settings))
    settings = of.config["data"]
    words = _("Download the real test digits ({megabytes} MB)")
    offer(settings["name"], settings["test_split"], words, f"{prefix}_download")
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
        index = int(
            st.number_input(
                label.format(last=len(found) - 1),
                0,
                len(found) - 1,
                0,
                key=f"{prefix}_test",
                bind="query-params",
            )
        )
        return _test_picture(found, index)
    return None


def _from_maker(prefix: str, of: Bundle) -> Picked | None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        text = st.text_input(
            _("Digits (1 to 3)"),
            "7",
            max_chars=3,
            key=f"{prefix}_text",
            bind="query-params",
            width=150,
        )
        ink = choice(_("Ink"), INKS, f"{prefix}_ink")
        wall = choice(_("Wall"), WALLS, f"{prefix}_wall")
        with st.popover(_("More")):
            size = real(_("Size"), 0.3, 1.2, 0.85, f"{prefix}_size")
            blur = real(_("Blur (pixels)"), 0.0, 4.0, 0.6, f"{prefix}_blur", step=0.1)
            rotation = whole(_("Rotation (degrees)"), -45, 45, 0, f"{prefix}_rotation")
            noise = whole(_("Noise (grey levels)"), 0, 80, 4, f"{prefix}_noise")
    if not (text.isascii() and text.isdigit()):
        st.error(_("A house number has 1 to 3 digits, 0 to 9."), icon=":material/error:")
        return None
    drawn = house_number.HouseNumber(
        text=text, ink=ink, wall=wall, blur=blur, rotation=rotation, noise=noise, size=size
    )
    return _drawn_number(drawn)


def _from_shape(prefix: str, of: Bundle) -> Picked:
    kind = choice(_("Object"), KINDS, f"{prefix}_kind")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        colour = choice(_("Colour"), COLOURS, f"{prefix}_colour")
        background = choice(_("Background"), BACKGROUNDS, f"{prefix}_background")
        with st.popover(_("More")):
            size = real(_("Size"), 0.2, 1.2, 0.8, f"{prefix}_size")
            across = real(_("Place, left to right"), 0.0, 1.0, 0.5, f"{prefix}_across")
            down = real(_("Place, top to bottom"), 0.0, 1.0, 0.5, f"{prefix}_down")
            variant = whole(
                _("Variant"),
                0,
                99,
                0,
                f"{prefix}_variant",
                help=_("Another tilt, length, place, tone and grain, each by a little."),
            )
    settings = of.config["data"]
    words = _("Download the CIFAR-10 test pictures ({megabytes} MB)")
    offer(settings["name"], settings["test_split"], words, f"{prefix}_download")
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
        type=["png", "jpg", "jpeg", "webp", "gif", "bmp"],
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
    "gallery": _from_gallery,
    "test": _from_test_set,
    "maker": _from_maker,
    "shape": _from_shape,
    "upload": _from_upload,
    "camera": _from_camera,
}


# ---------------------------------------------------------------- data sets


def at_hand(name: str, split: str) -> bool:
    """Whether a split can be read without a download; what is wrong with it is said."""
    with plain_errors():
        return loaders.split_at_hand(name, split)
    return False


def offer(name: str, split: str, words: str, key: str) -> None:
    """One click that downloads a split, where it is not at hand; ``words`` has {megabytes}."""
    source = data.SOURCES.get(name)
    if source is None or split not in source.hub_splits or at_hand(name, split):
        return
    wanted = st.button(
        words.format(megabytes=source.megabytes[split]),
        key=key,
        icon=":material/download:",
        wrap=True,
    )
    if wanted and download(name, split):
        st.rerun(scope="app")


def measured_test_set(of: Bundle) -> PictureSet | None:
    """The test pictures that the bundle was measured on; where they are not here, says so."""
    settings = of.config["data"]
    with plain_errors():
        found = loaders.test_set_of(of)
        if found is not None:
            return found
        if loaders.split_at_hand(settings["name"], settings["test_split"]):
            st.caption(_("The test set at hand is not the one that this bundle was measured on."))
        else:
            st.caption(_("The test digits themselves are not part of the bundle."))
    return None


def download(name: str, split: str) -> bool:
    """Fetch a split with a progress bar; True when it is at hand."""
    bar = st.progress(0.0, text=_("Asking the Hub …"))

    def show(done: int, total: int) -> None:
        words = _("{done} of {total} MB").format(done=number(done / 1e6), total=number(total / 1e6))
        bar.progress(min(1.0, done / max(1, total)), text=words)

    with plain_errors():
        data.download_split(name, split, show)
        bar.empty()
        return True
    bar.empty()
    return False


def in_numbers(title: str) -> list[tuple[str, int]]:
    """What sorts titles as one counts: T = 500 before T = 1000."""
    return [(words, int(count or 0)) for words, count in re.findall(r"(\D*)(\d*)", title)]


def bundle_name(family: str, key: str) -> str:
    """The bundle to look at: the only one, or a choice where there are several, in the order of the
    numbers in their titles; first the visitor's own, else the manifest's first.

    Raises ``AtelierError`` where there is none.
    """
    entries = loaders.some(family)
    first = entries[0].name
    entries = sorted(entries, key=lambda entry: in_numbers(entry.title))
    names = [entry.name for entry in entries]
    if len(names) == 1:
        return first
    titles = {entry.name: _(entry.title) for entry in entries}
    theirs = [entry.name for entry in guests.entries() if entry.name in names]
    if key in st.session_state and st.session_state[key] not in names:
        del st.session_state[key]
    return st.selectbox(
        _("Model"),
        names,
        names.index(theirs[-1] if theirs else first),
        format_func=lambda name: titles.get(name, name),
        key=key,
        bind="query-params",
    )
