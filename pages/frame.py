"""The frame around every page: page settings, language, navigation."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import streamlit as st
from PIL import Image

ROOT = str(Path(__file__).parents[1])
if ROOT not in sys.path:  # Streamlit puts the folder of this script there, not the project's
    sys.path.insert(0, ROOT)

from core.errors import AtelierError  # noqa: E402
from pages.shared import (  # noqa: E402
    carried,
    controls,
    guests,
    library,
    links,
    preferred,
    share,
    site,
)
from pages.shared.text import _, turned_to  # noqa: E402

CLOSER_TO_THE_TOP = "<style>[data-testid=stMainBlockContainer] { padding-top: 4rem; }</style>"
"""A page begins right below Streamlit's header, so that its figure stands on the first screen."""

SIDEBAR = 300
"""Pixels: the rest of a lecture hall's screen is the figure's."""


def show(navigate: Callable[[], Callable[[], None]]) -> None:
    """The frame and in it the page that ``navigate`` chooses."""
    st.set_page_config(
        page_title="Latent Atelier",
        page_icon=Image.fromarray(library.icon()),
        layout="wide",
        initial_sidebar_state=SIDEBAR,
    )
    st.html(CLOSER_TO_THE_TOP)
    with st.sidebar:
        controls.choose_language()
        share.copy_link()
        models = st.container()
        picture = st.container()
    page = navigate()
    links.begin()
    guests.from_link(library.own_commits)
    guests.keep_in_link()
    with suppress(AtelierError):  # pages say what is wrong with a manifest
        preferred.from_link()
        preferred.keep_in_link()
        preferred.show(models)
    above = st.empty()
    page()
    carried.show(picture)
    links.settle(above)


def navigate() -> Callable[[], None]:
    """The menu, and the page that the address names."""
    menu = {_(section): [page.page() for page in pages] for section, pages in site.SECTIONS.items()}
    menu[""].append(site.home_by_name())
    page = st.navigation(menu, expanded=True)
    turned_to(page.url_path)
    return page.run


if __name__ == "__main__":  # as Streamlit runs it, for every visitor and every change
    show(navigate)
