import pytest
import streamlit as st

from tests.pages.opening import opened


@pytest.fixture(autouse=True)
def fresh_caches(monkeypatch):
    monkeypatch.delenv("ATELIER_DATA_DIR", raising=False)
    monkeypatch.delenv("ATELIER_CHECKPOINTS", raising=False)
    st.cache_resource.clear()
    st.cache_data.clear()


@pytest.fixture
def open_page():
    """Opens a page by the name of its module, as a link would, and fails on an exception."""
    return opened
