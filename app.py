"""Latent Atelier: ``streamlit run app.py``.

The script that runs for every visitor is ``pages/frame.py``. Pointing the server at it, instead of
at this file, keeps Streamlit from taking the folder ``pages`` for its older way of finding pages,
which would break a link to any page but the first for the first visitor.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import streamlit as st
from starlette.routing import Route
from streamlit import net_util

from pages.browser import from_tab, serving
from pages.shared.text import report_failure


def warm_up() -> None:
    """Imports what takes seconds, and opens what the first visitor will need."""
    from pages.ddpm.parts import quick_look
    from pages.shared import heap, loaders

    with heap.kept():
        loaders.warm_up()
        quick_look.prepare()


def addresses() -> list[str]:
    """Where a browser finds the app: on this machine, and from others of the same network."""
    port, bound = st.get_option("server.port"), st.get_option("server.address")
    under = (st.get_option("server.baseUrlPath") or "").strip("/")
    everywhere = bound in (None, "", "0.0.0.0")
    hosts = ["localhost", net_util.get_internal_ip()] if everywhere else [bound]
    wanted = [host for host in hosts if host and not (everywhere and host == "127.0.0.1")]
    return [f"http://{host}:{port}/{under}" for host in wanted]


@asynccontextmanager
async def lifespan(app: st.App) -> AsyncIterator[None]:
    """Answers at once, and gets ready next to it."""
    print("Latent Atelier:", *addresses(), flush=True)
    threading.Thread(target=warm_up, daemon=True).start()
    yield


app = st.App(
    Path(__file__).parent / "pages" / "frame.py",
    routes=[
        Route(from_tab.address("{token}"), from_tab.answer, methods=["POST"]),
        Route(f"{serving.base()}/{{digest}}/{{name}}", serving.answer),
    ],
    lifespan=lifespan,
    on_script_error=report_failure,
)
