"""Figures that a visitor keeps: every figure has a button that gives all of it to whoever keeps figures.

Who that is, the frame says: pages know nothing of sheets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go
import streamlit as st

from core.pictures.images import Pictures
from pages.shared.text import _

Rows = Callable[[], Sequence[Mapping[str, object]]]


@dataclass(frozen=True)
class Pin:
    """All that a figure can say of itself, made when it is wanted.

    ``key`` is the figure's name, ``alt`` says in a sentence what it shows, ``origin`` where it comes from, a
    line a source; ``settings`` are names and values as the visitor reads them. ``rows``: its data, raw.
    ``picture``: the pixels (H, W, 3) of now. ``plot``: the chart of now.
    """

    key: str
    alt: str
    origin: tuple[str, ...] = ()
    settings: tuple[tuple[str, str], ...] = ()
    rows: Rows | None = None
    picture: Callable[[], Pictures] | None = None
    plot: Callable[[], go.Figure] | None = None


Keeper = Callable[[Pin], None]
_keepers: list[Keeper] = []


def set_keeper(keeper: Keeper) -> None:
    """From now on ``keeper`` is given what visitors keep; it speaks to the visitor itself."""
    _keepers[:] = [keeper]


def button(pin: Pin) -> None:
    """The button that keeps a figure; none where nobody keeps figures."""
    if _keepers:
        st.button(
            _("Keep"),
            key=f"{pin.key}_keep",
            icon=":material/keep:",
            type="tertiary",
            help=_("Puts this figure on your sheet, with its settings and its link."),
            on_click=_keepers[0],
            args=(pin,),
        )
