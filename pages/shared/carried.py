"""One picture for the visit: what was chosen on one page is what the next page begins with.

Every page has controls of its own for its picture, so that a link says which one it shows. What they say is
noted here, by data set, and given to the controls of the next page, unless a link asks that page for another.
Uploads and photos are kept for the length of the visit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.pictures.images import Pictures
from pages.shared import figures, links
from pages.shared.text import _

STATE, PHOTOS = "carried", "carried_photos"
SIDE, ROW, MARGIN = 48, 56, 8
"""Pixels of a picture of the visit, of its row, and above the first one."""
ABOVE_THE_MENU = """<style>
[data-testid=stSidebarContent] {{ position: static; background: inherit; }}
[data-testid=stSidebarHeader] {{
  background: inherit; height: {height}px; margin-bottom: 0.5rem; position: sticky; top: 0; z-index: 1;
}}
.st-key-carried {{ position: absolute; top: 8px; left: 1rem; right: 3rem; width: auto; z-index: 2; }}
.st-key-carried p {{ font-size: 0.75rem; line-height: 1.25; }}
</style>"""
"""Streamlit draws its menu above all that a page puts into the sidebar; the head of the sidebar is empty."""
Controls = Mapping[str, object]
"""What the keys of a picture's controls end with, and what each says unless its visitor says otherwise."""


@dataclass
class Choice:
    """The newest choice: how many there were, and what its controls say other than by default.

    ``picture`` (32, 32, 3) and ``words`` are what the controls gave.
    """

    number: int
    values: dict[str, object]
    picture: Pictures
    words: str


def _choices() -> dict[str, Choice]:
    return st.session_state.setdefault(STATE, {})


def begin(prefix: str, data_set: str, controls: Controls, own: Controls | None = None) -> None:
    """To be called before a page's controls of a picture: they begin as another page left its own.

    ``own``: what some controls say here by default, other than on all pages. Where such a page begins with the
    picture of the visit, the photos that were given at the data set's place are also at the page's own.
    """
    state, chosen = st.session_state, _choices().get(data_set)
    if chosen is None or (own is not None and not chosen.values):
        return
    fresh = f"{prefix}_from" not in state  # Streamlit forgets the controls of a page that is left
    newer = state.get(f"{prefix}_carried") != chosen.number
    state[f"{prefix}_carried"] = chosen.number
    asked = any(links.values(f"{prefix}_{control}") for control in controls)
    if (fresh and asked) or not (fresh or newer):
        return
    values = {**{name: controls[name] for name in own or ()}, **chosen.values}
    if fresh:  # Streamlit writes what a hand changes into the address, and not what is set here
        links.write_all({f"{prefix}_{name}": [str(v)] for name, v in values.items()})
    for name, default in controls.items():
        if name in values or f"{prefix}_{name}" in state:
            state[f"{prefix}_{name}"] = values.get(name, default)
    if own is not None:
        origin = values.get("from", controls["from"])
        photo(f"{prefix} {origin}", photo(f"{data_set} {origin}", None))


def keep(prefix: str, data_set: str, controls: Controls, picture: Pictures, words: str) -> None:
    """To be called with the picture that a page's controls give; ``controls``: those that it depends on."""
    state, before = st.session_state, _choices().get(data_set)
    if before is not None and before.words == words and np.array_equal(before.picture, picture):
        return
    values = {
        name: state[f"{prefix}_{name}"]
        for name, default in controls.items()
        if state.get(f"{prefix}_{name}", default) != default
    }
    number = 1 if before is None else before.number + 1
    _choices()[data_set] = Choice(number, values, picture, words)
    state[f"{prefix}_carried"] = number


def of_the_visit(data_set: str) -> Choice | None:
    """The picture of the visit, for a page that offers no other; none where no page was asked for another."""
    chosen = _choices().get(data_set)
    return chosen if chosen is not None and chosen.values else None


def photo(place: str, given: Pictures | None) -> Pictures | None:
    """The newest photo (H, W, 3) that was given at a place: at one uploader, or at all that share one."""
    kept = st.session_state.setdefault(PHOTOS, {})
    if given is not None:
        kept[place] = given
    return kept.get(place)


def forget_photo(place: str) -> None:
    """What a visitor wants who empties an uploader."""
    st.session_state.get(PHOTOS, {}).pop(place, None)


def show(place: DeltaGenerator) -> None:
    """The pictures of the visit, one a data set, above the menu; none where no page was asked for another."""
    shown = [chosen for chosen in _choices().values() if chosen.values]
    if not shown:
        return
    with place.container(key="carried", gap="xxsmall"):
        st.html(ABOVE_THE_MENU.format(height=MARGIN + ROW * len(shown)))
        for chosen in shown:
            with st.container(
                horizontal=True, vertical_alignment="center", gap="xsmall", wrap=False
            ):
                st.image(figures.pixels(chosen.picture), alt=chosen.words, width=SIDE)
                st.caption(_("Your picture: {words}").format(words=chosen.words))
