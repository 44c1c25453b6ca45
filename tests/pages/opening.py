"""Opens one page of the app in a test, and reads what it shows."""

from streamlit.testing.v1 import AppTest

from pages.shared import site

PAGES = {page.name: page for pages in site.SECTIONS.values() for page in pages}
SHOWN = "page_of_the_test"


def script():
    """The app with one page: AppTest knows no navigation between modules."""
    import streamlit as st

    from pages import frame
    from tests.pages.opening import PAGES, SHOWN

    frame.show(lambda: PAGES[st.session_state[SHOWN]].show)


def opened(name, **query):
    """A page by the name of its module, as a link would open it; fails on an exception."""
    at = AppTest.from_function(script, default_timeout=60)
    at.session_state[SHOWN] = name
    for key, value in {"lang": "en", **query}.items():
        at.query_params[key] = value
    return checked(at.run())


def turned_to(at, name):
    """The same visit on another page."""
    at.session_state[SHOWN] = name
    return checked(at.run())


def answered(at, key, own=None):
    """The page with the question of that key open, and answered by its visitor where it asks."""
    at.session_state[key] = True
    checked(at.run())
    if own is not None:
        checked(at.button_group(key=f"{key}_own").set_value(own).run())
    return at


def checked(at):
    assert not at.exception, [error.value for error in at.exception]
    return at
