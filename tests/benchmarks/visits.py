"""Visits of pages in this process, without a server: how scripts that inject faults look at the app."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from html.parser import HTMLParser

import streamlit as st
from streamlit import config
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.testing.v1 import AppTest

from pages import frame
from pages.shared.text import report_failure
from tests.pages.opening import LONGEST, PAGES, SHOWN, script

UNEXPECTED = "failed unexpectedly"
"""In what the app shows of an error that no page has a sentence for."""
OFF = ("script", "iframe", "object", "embed", "form", "meta", "base", "link")
"""Elements that no page makes of HTML."""


def quiet() -> None:
    """Nothing is logged of what goes wrong, and it is told in full to whoever looks at the page."""
    config.set_option("client.showErrorDetails", "full")
    logging.disable(logging.CRITICAL)


def fresh() -> None:
    """As if the server had just been started."""
    st.cache_resource.clear()
    st.cache_data.clear()


def as_the_app() -> None:
    """One page, with the app's own sentence for errors that no page has one for."""
    import streamlit as st  # here: AppTest takes the text of this function alone

    from tests.benchmarks import visits

    visits.run_as_the_app(st.session_state[visits.SHOWN])


def run_as_the_app(name: str) -> None:
    get_script_run_ctx().on_script_error = report_failure
    try:
        frame.show(lambda: PAGES[name].show)
    except Exception as error:
        report_failure(error)


def visit(name: str, query: Mapping[str, object], *, like_the_app: bool = False) -> AppTest:
    """A page by the name of its module, opened at an address for the first time."""
    at = AppTest.from_function(as_the_app if like_the_app else script, default_timeout=LONGEST)
    at.session_state[SHOWN] = name
    for key, value in query.items():
        at.query_params[key] = value
    return at.run()


def exceptions(at: AppTest) -> list[str]:
    """What ended the run of a page: the error, and where in this project it came from."""
    found = []
    for one in at.exception:
        places = [line for line in one.stack_trace if "site-packages" not in line]
        ours = [
            line.split("\n")[0].strip() for line in places if "/pages/" in line or "/core/" in line
        ]
        found.append(f"{one.message[:200]} ({ours[-1] if ours else 'no place'})")
    return found


def errors(at: AppTest) -> list[str]:
    """The sentences that the page shows in red."""
    return [str(one.value) for one in at.error]


# ---------------------------------------------------------------- markup


class _Reader(HTMLParser):
    """Notes what in a piece of HTML a page would never write."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in OFF:
            self.found.append(f"<{tag}>")
        for name, value in attrs:
            scheme = "".join((value or "").split()).lower()
            if name.startswith("on") or scheme.startswith(("javascript:", "data:text")):
                self.found.append(f"<{tag} {name}=…>")

    handle_startendtag = handle_starttag


def foreign(html: str) -> list[str]:
    """Elements and attributes of HTML that would run something, or fetch it from elsewhere."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return reader.found


CODE = re.compile(r"(`+)[^`].*?\1", re.DOTALL)
"""Code in Markdown, which is shown as it stands."""


def foreign_on(at: AppTest, elsewhere: str) -> list[str]:
    """What a page shows that it would never write: HTML that runs something, in Markdown links and pictures of
    ``elsewhere`` or with a script for an address.
    """
    found = [one for piece in pieces(at) for one in foreign(piece)]
    link = re.compile(rf"(?<!\\)\]\(\s*(?:javascript:|https?://{re.escape(elsewhere)})[^)]*")
    for text in texts(at):
        found += link.findall(CODE.sub("", text))
    return found


def pieces(at: AppTest) -> Iterable[str]:
    """All HTML that a page hands to the browser as HTML."""
    for node in _nodes(at._tree):
        kind, proto = getattr(node, "type", ""), getattr(node, "proto", None)
        if kind == "html" or getattr(proto, "allow_html", False):
            yield getattr(proto, "body", "")


def texts(at: AppTest) -> Iterable[str]:
    """All Markdown that a page shows."""
    for node in _nodes(at._tree):
        proto = getattr(node, "proto", None)
        body = getattr(proto, "body", "")
        if isinstance(body, str) and getattr(node, "type", "") != "html":
            yield body
        label = getattr(proto, "label", "")
        if isinstance(label, str):
            yield label


def _nodes(node: object) -> Iterable[object]:
    for child in getattr(node, "children", {}).values():
        yield child
        yield from _nodes(child)
