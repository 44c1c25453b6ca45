import re
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

ROOT = Path(__file__).parents[2]
FRAME = ROOT / "pages" / "frame.py"


@pytest.fixture(autouse=True)
def fresh_caches(monkeypatch):
    monkeypatch.delenv("ATELIER_DATA_DIR", raising=False)
    monkeypatch.delenv("ATELIER_CHECKPOINTS", raising=False)
    st.cache_resource.clear()
    st.cache_data.clear()


@pytest.fixture
def open_page():
    """Opens a page of the app as a link would, and fails on an exception."""

    def open_(file, **query):
        at = AppTest.from_file(str(FRAME), default_timeout=60)
        at.query_params["lang"] = query.pop("lang", "en")
        at.run()
        for key, value in query.items():
            at.query_params[key] = value
        if file != "home.py":
            at.switch_page(file)
        return checked(at.run())

    return open_


def checked(at):
    assert not at.exception, [error.value for error in at.exception]
    return at


def visible(at):
    """What a visitor sees that a control could change: pictures, charts, figures, sentences."""
    pictures = [url for image in at.image for url in image.value]
    charts = [chart.proto.spec for chart in at.get("plotly_chart")]
    figures = [(metric.label, metric.value, metric.delta) for metric in at.metric]
    words = [element.value for element in (*at.markdown, *at.error, *at.info, *at.success)]
    tables = [table.value.to_csv() for table in at.dataframe]
    plain = [re.sub(r"\d+[.,]\d+ s", "", str(word)) for word in words]
    return pictures, charts, figures, plain, tables
