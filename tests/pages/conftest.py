import os
from pathlib import Path

import pytest
import streamlit as st

from tests import library
from tests.pages.opening import opened


@pytest.fixture(scope="session")
def tiny_library(tmp_path_factory, make_digits, write_shard):
    """A folder of tiny bundles under the names of the embedded ones.

    It takes minutes to make: ``ATELIER_TEST_LIBRARY`` names a folder that keeps it for the next time,
    until whoever changes what it is made of empties it.
    """
    shared = tmp_path_factory.getbasetemp()
    if kept := os.environ.get("ATELIER_TEST_LIBRARY"):
        shared = Path(kept)
        shared.mkdir(parents=True, exist_ok=True)
    elif os.environ.get("PYTEST_XDIST_WORKER"):
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


@pytest.fixture
def own_bundle(monkeypatch, tmp_path, tiny_bundle, svhn_folder):
    """A bundle whose very test pictures are at hand."""
    from train import __main__ as commands

    monkeypatch.setenv("ATELIER_DATA_DIR", str(svhn_folder))
    monkeypatch.setenv("ATELIER_CHECKPOINTS", str(tmp_path))
    place = ["--name", "vae-svhn", "--title", "Small", "--checkpoints", str(tmp_path)]
    assert commands.main(["embed", str(tiny_bundle), *place]) == 0
