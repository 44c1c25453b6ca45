"""Latent Atelier: ``streamlit run app.py``. The frame around every page."""

from __future__ import annotations

import streamlit as st

from pages.shared import site
from pages.shared.text import _, choose_language


def main() -> None:
    st.set_page_config(
        page_title="Latent Atelier",
        page_icon=":material/blur_on:",
        layout="wide",
        menu_items={"About": "Latent Atelier: see, touch and question generative models."},
    )
    with st.sidebar:
        choose_language()
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
    st.navigation(navigation, expanded=True).run()


main()
