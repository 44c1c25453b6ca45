"""A cosine to feel: two arrows to turn and to stretch, with their cosine and the loss as numbers."""

from __future__ import annotations

import streamlit as st

from pages.browser.component import Component
from pages.shared import links, shape
from pages.shared.colours import SYMBOL_COLOURS
from pages.shared.text import _

_COSINE = Component("cosine")
START = {"p_angle": 75.0, "p_length": 1.2, "z_angle": 20.0, "z_length": 0.8}
"""Where the arrows p and z begin: angles in degrees, lengths in radii of the circle."""
LIMITS = {"angle": (-180.0, 180.0), "length": (0.4, 1.8)}


def show(key: str, *, pull: bool = False) -> None:
    """Two arrows p and z in the plane: mouse, finger and arrow keys move their tips.

    ``pull``: how the loss would turn each of them is drawn at its tip; that of the target z is dotted, as
    a stop-gradient takes it away. The arrows are restored by a link; only this figure runs again when a
    hand lets go.
    """
    shape.fragment(_show_arrows)(key, pull)


def _show_arrows(key: str, pull: bool) -> None:
    def take() -> None:
        sent = st.session_state[f"{key}_hand"].value
        if isinstance(sent, list) and len(sent) == len(START) + 1:
            for part, value in zip(START, sent, strict=False):
                st.session_state[f"{key}_{part}"] = _number(value, START[part])

    names, places = {"angle": _("angle"), "length": _("length")}, {}
    for part, first in START.items():
        arrow, kind = part.split("_")
        label, limits = f"{arrow}: {names[kind]}", LIMITS[kind]
        places[part] = links.restore_real(f"{key}_{part}", label, *limits, first)
    with shape.figure(key, _("Two arrows, p and z, and the cosine of the angle between them")):
        _COSINE(
            f"{key}_hand",
            {
                "value": list(places.values()),
                "pull": pull,
                "colours": {"p": SYMBOL_COLOURS["x_hat"], "z": SYMBOL_COLOURS["z"]},
                "words": {
                    "alt": _("Two arrows, p and z, and the cosine of the angle between them"),
                    "turn": _("Arrow {name}: left and right turn it, up and down stretch it"),
                    "place": _("{angle} degrees, length {length}"),
                    "loss": _("loss: D(p, z) = −cos"),
                    "angle": _("angle"),
                },
            },
            take,
        )
    links.keep_numbers({f"{key}_{part}": (places[part], START[part]) for part in START})


def _number(value: object, otherwise: float) -> float:
    """What a browser sent, which may be anything, as a number."""
    return float(value) if isinstance(value, int | float) else otherwise
