"""Where the app says that it is."""

import pytest
import streamlit as st

import app


@pytest.fixture
def options(monkeypatch):
    found = {"server.port": 8600, "server.baseUrlPath": "", "server.address": None}
    monkeypatch.setattr(app.st, "get_option", lambda name: found.get(name))
    return found


def test_it_is_found_on_this_machine_and_from_others(options):
    here, *others = app.addresses()
    assert here == "http://localhost:8600/"
    assert all(other.startswith("http://") and other.endswith(":8600/") for other in others)


def test_an_address_of_its_own_is_the_only_one(options):
    options.update({"server.address": "127.0.0.1", "server.baseUrlPath": "/atelier/"})
    assert app.addresses() == ["http://127.0.0.1:8600/atelier"]


def test_all_addresses_are_no_address_of_their_own(options):
    options["server.address"] = "0.0.0.0"
    assert app.addresses()[0] == "http://localhost:8600/"


def test_streamlit_says_nothing_for_which_it_would_ask_the_internet():
    assert st.get_option("logger.hideWelcomeMessage") is True
