"""The latent desk: a slider a unit, and the decoder in the browser, which draws what they say."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import streamlit as st

from core.bundles.bundle import Bundle
from core.pictures.images import Pictures
from pages.browser import networks, serving
from pages.browser.component import Component
from pages.shared import shape
from pages.shared.text import N_, _, number

DECODED = N_("What the decoder makes of z as the sliders say")
UNABLE = N_("This browser runs no WebAssembly: the server decodes when you let go of a slider.")
FAILED = N_("The decoder could not be loaded: the server decodes when you let go of a slider.")
_DESK = Component("desk")
Places = Sequence[tuple[str, Sequence[float]]]
"""Points that a click goes to: words, and the value of every slider."""


@dataclass(frozen=True)
class Units:
    """The units of a latent space: in what ``order`` they stand, the first ``in_view`` not folded; the
    ``kl`` (d,) of each in nats.
    """

    order: Sequence[int]
    kl: Sequence[float]
    in_view: int


@dataclass(frozen=True)
class Start:
    """Where the sliders rest: ``z`` (d,) and what it is decoded to; the ``picture`` it was read from,
    if any. ``resting`` (d,) is z as sliders can show it.
    """

    z: np.ndarray
    resting: Sequence[float]
    decoded: Pictures
    picture: Pictures | None


@dataclass(frozen=True)
class Stand:
    """Where the sliders are: their ``values`` (d,), the ``unit`` of the strip, and for browsers that
    cannot decode what Python made of them: ``now`` (32, 32, 3) and ``strip`` (n, 32, 32, 3).
    """

    values: Sequence[float]
    unit: int
    now: Pictures
    strip: Pictures


def show(
    key: str,
    of: Bundle,
    units: Units,
    start: Start,
    stand: Stand,
    *,
    limit: float,
    stops: Sequence[float],
    menus: Sequence[tuple[str, Places]],
    draws: Places,
    taken: Callable[[], None],
) -> None:
    """Mounts the desk; sliders go from -``limit`` to ``limit``, the strip through ``stops``.

    A menu has a title and places to choose from; every draw is a button.
    When the hand lets go, ``taken`` is called, which then finds by ``values_and_unit`` what the desk says.
    """
    small = [(_("start"), _("What the decoder makes of the start"), start.decoded)]
    if start.picture is not None:
        small.append((_("the picture"), _("The picture that was encoded"), start.picture))
    stills = np.stack([pixels for *_words, pixels in small])
    frames = np.concatenate([stand.now[None], stand.strip])
    with shape.figure(key, _(DECODED)):
        _DESK(
            key,
            {
                "network": networks.network(of, "decoder"),
                "order": [int(unit) for unit in units.order],
                "first": units.in_view,
                "kl": [number(float(one), 2) for one in units.kl],
                "start": [float(one) for one in start.z],
                "resting": list(start.resting),
                "values": list(stand.values),
                "unit": stand.unit,
                "limit": limit,
                "stops": list(stops),
                "labels": [number(value, 1) for value in stops],
                "pictures": [[label, alt] for label, alt, _pixels in small],
                "menus": [
                    [title, [[label, list(values)] for label, values in places]]
                    for title, places in menus
                ],
                "draws": [[label, list(values)] for label, values in draws],
                "stills": serving.offer(stills.tobytes(), "stills"),
                "frames": serving.offer(frames.tobytes(), "frames"),
                "words": _words(len(units.order) - units.in_view),
            },
            taken,
        )


def values_and_unit(key: str) -> tuple[object, object]:
    """All values, and the unit of the strip, as the desk of that key sent them last.

    Either may be anything: a browser can send what it likes.
    """
    sent = st.session_state[key].value
    return (sent[0], sent[1]) if isinstance(sent, list) and len(sent) > 1 else (None, None)


def _words(others: int) -> Mapping[str, object]:
    return {
        "now": [_("now"), _(DECODED)],
        "change": [
            _("now − start"),
            _("Difference of the two; grey where nothing changed"),
        ],
        "set": _("Set z to"),
        "reset": _("the start"),
        "others": _("The other {count} units").format(count=others),
        "choose": _("Show this unit from end to end"),
        "typed": _("Value of {unit}"),
        "end": _("Set {unit} to {value}"),
        "stop": _("Set the unit to {value}"),
        "strip": _("z{unit} from end to end, all others as they are"),
        "loading": _("The decoder is on its way; until then the picture follows when you let go."),
        "here": _("Your browser decodes: the picture follows your hand."),
        "unable": _(UNABLE),
        "unknown": _(
            "This architecture is not made for browsers: the server decodes when you let go of a slider."
        ),
        "failed": _(FAILED),
    }
