import os

import pytest
import streamlit as st

from tests import library
from tests.pages.opening import opened


@pytest.fixture(scope="session")
def tiny_library(tmp_path_factory, make_digits, write_shard):
    """A folder of tiny bundles under the names of the embedded ones."""
    shared = tmp_path_factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        shared = shared.parent  # of all workers
    (shared / "library").mkdir(exist_ok=True)
    return library.library(shared / "library", make_digits, write_shard)


@pytest.fixture(autouse=True)
def fresh_caches(monkeypatch, tiny_library):
    monkeypatch.delenv("ATELIER_DATA_DIR", raising=False)
    monkeypatch.setenv("ATELIER_CHECKPOINTS", str(tiny_library))
    st.cache_resource.clear()
    st.cache_data.clear()


@pytest.fixture
def open_page():
    """Opens a page by the name of its module, as a link would, and fails on an exception."""
    return opened
