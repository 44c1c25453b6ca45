"""Opens one page of the app in a test, and reads what it shows."""

import functools
import gzip
import json

import numpy as np
from streamlit.components.v2 import manifest_scanner
from streamlit.testing.v1 import AppTest

from pages.browser import serving
from pages.shared import site

PAGES = {page.name: page for pages in site.SECTIONS.values() for page in pages}
SHOWN = "page_of_the_test"
LONGEST = 600.0
"""Seconds after which a run of a page is given up. AppTest asks the clock on the wall, which a machine may set
forward by a minute.
"""
OF_THE_FRAME = {"arrival", "copy_link", "sheet_store"}
"""Keys of what the frame mounts around every page."""

# Every AppTest reads what all installed packages say of themselves, 0.2 s of a core: once is enough.
manifest_scanner.scan_component_manifests = functools.cache(
    manifest_scanner.scan_component_manifests
)


def script():
    """The app with one page: AppTest knows no navigation between modules."""
    import streamlit as st

    from pages import frame
    from tests.pages.opening import PAGES, SHOWN

    frame.show(lambda: PAGES[st.session_state[SHOWN]].show)


def opened(name, **query):
    """A page by the name of its module, as a link would open it; fails on an exception."""
    at = AppTest.from_function(script, default_timeout=LONGEST)
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


def sent(at):
    """All that the server sent of the page, as text: every message of it, folded ones as well."""

    def messages(node):
        if (proto := getattr(node, "proto", None)) is not None:
            yield str(proto)
        for child in getattr(node, "children", {}).values():
            yield from messages(child)

    return "\n".join(messages(at._tree))


# ---------------------------------------------------------------- what runs in the browser


def components(at):
    """What every component of the page was given, by its key."""
    return {
        element.proto.id.split("-", 2)[2]: json.loads(element.proto.json)
        for element in at.get("bidi_component")
    }


def bytes_at(address):
    """What the server answers at an address of a component."""
    found = serving.OFFERS.content(address.split("/")[-2])
    return gzip.decompress(found.body) if found.zipped else found.body


def source_of(at, film, alt):
    """Where the frames of the picture with that alt text come from."""
    shown = components(at)[film]
    (cell,) = [c for row in shown["rows"] for c in row["cells"] if c["alt"] == alt]
    return shown["sources"][cell["source"]]


def frames(at, film, alt):
    """All frames of that picture of known levels: uint8 (N, H, W, 3), or (N, tiles, H, W, 3).

    They may be part of what several pictures fetch at once.
    """
    spec = source_of(at, film, alt)
    assert spec["kind"] == "levels"
    tiles = [spec["tiles"]] if spec["tiles"] > 1 else []
    shape = (-1, *tiles, spec["height"], spec["width"], 3)
    fetched = np.frombuffer(bytes_at(spec["address"]), np.uint8).reshape(shape)
    return fetched[spec["first"] : spec["first"] + spec["count"]]


def moved(at, key, stop):
    """The page as a hand leaves it that moved the timeline of that key to a stop."""
    at.session_state[key] = stop
    return checked(at.run())
