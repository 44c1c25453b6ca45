"""What stays is left out of garbage collection.

Streamlit collects garbage over the whole heap at the end of every run of a page. Most of the heap is what
never goes: libraries, networks, bundles. Python can set those aside (``gc.freeze``), and a collection
looks at what visitors made since. Of what is set aside, cycles are not collected: so all is taken back and
set aside anew when something large came in, at most once a minute, and every ten minutes in any case.
"""

from __future__ import annotations

import gc
import threading

SECONDS_BETWEEN, SECONDS_AT_MOST = 60.0, 600.0
SECONDS_TO_LOAD = 3.0
"""What comes in seldom comes alone: a bundle, its network, the libraries of its page."""

_grown = threading.Event()
_keeping = threading.Lock()


def set_aside() -> None:
    """Collects garbage once over the whole heap, and sets aside what is left."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def grown() -> None:
    """To be called when something came in that stays; costs nothing itself."""
    _grown.set()


def keep() -> None:
    """Sets aside what is there now and, in a thread of its own, what comes later. Once a process."""
    if _keeping.acquire(blocking=False):
        set_aside()
        threading.Thread(target=_watch, name="heap", daemon=True).start()


def _watch() -> None:
    waited = threading.Event()  # never set: it only waits
    while True:
        waited.wait(SECONDS_BETWEEN)
        if _grown.wait(SECONDS_AT_MOST - SECONDS_BETWEEN):
            waited.wait(SECONDS_TO_LOAD)
        _grown.clear()
        set_aside()
