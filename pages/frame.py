"""The frame around every page: page settings, language, navigation."""

from __future__ import annotations

import sys
from pathlib import Path

import streamlit as st
from PIL import Image

ROOT = str(Path(__file__).parents[1])
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)

from pages.shared import guests, loaders, share, site  # noqa: E402
from pages.shared.text import _, choose_language  # noqa: E402


def main() -> None:
    st.set_page_config(
        page_title="Latent Atelier", page_icon=Image.fromarray(loaders.icon()), layout="wide"
    )
    with st.sidebar:
        choose_language()
        share.copy_link()
    navigation = {
        _(section): [
            st.Page(
                page.file,
                title=_(page.title),
                icon=page.icon,
                url_path=page.path,
                default=page is site.HOME,
            )
            for page in pages
        ]
        for section, pages in site.SECTIONS.items()
    }
    page = st.navigation(navigation, expanded=True)
    guests.from_link()
    guests.keep_in_link()
    page.run()


main()
