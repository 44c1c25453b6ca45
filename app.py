"""Latent Atelier: ``streamlit run app.py``.

The script that runs for every visitor is ``pages/frame.py``. Pointing the server at it, instead of
at this file, keeps Streamlit from taking the folder ``pages`` for its older way of finding pages,
which would break a link to any page but the first for the first visitor.
"""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from pages.shared.text import report_failure

app = st.App(Path(__file__).parent / "pages" / "frame.py", on_script_error=report_failure)
