"""A page begins at its top, wherever the one before was scrolled to, or at the part that a link leads to."""

from __future__ import annotations

import streamlit as st

from pages.browser.component import Component
from pages.shared.text import here, link_target

_ARRIVAL = Component("arrival")
_KEY = "arrival"


def show() -> None:
    """Mounts it, once in a page; it draws nothing."""
    view, number = link_target()
    st.html(f"<style>.st-key-{_KEY} {{ position: absolute; }}</style>")
    _ARRIVAL(_KEY, {"page": here(), "view": view, "number": number})
