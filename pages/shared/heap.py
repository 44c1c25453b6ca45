"""Garbage is collected next to the visitors' runs, not at the end of each of them.

By itself Streamlit collects over the whole heap at the end of every run; of what thirty visitors made the
server do, that was three quarters (``tests/benchmarks/visitors.py``). ``.streamlit/config.toml`` turns it off.
What stays is set aside (``gc.freeze``), and a collection looks at what was made since. A thread of its own
collects that where much was made; at most once a minute, and once after all is quiet, it collects the rest too.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

SECONDS_BETWEEN, SECONDS_AT_LEAST = 10.0, 60.0
"""Between two looks at how much was made, and between two collections over the whole heap."""
MUCH = 100
"""Collections of what is young, one for every two or three runs of a page: thirty visitors make them in
half a minute."""

_keeping = threading.Lock()


def set_aside() -> None:
    """Collects garbage once over the whole heap, and sets aside what is left."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def keep() -> None:
    """Sets aside what is there now, and leaves collections of what is old to a thread. Once a process."""
    if _keeping.acquire(blocking=False):
        gc.freeze()
        young, middle, _old = gc.get_threshold()
        gc.set_threshold(young, middle, 2 * MUCH)  # by itself only where the thread is late
        threading.Thread(target=_watch, name="heap", daemon=True).start()


@contextmanager
def kept() -> Iterator[None]:
    """While libraries and networks come in nothing is collected, as all of it stays; then it is set aside."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        keep()


def _watch() -> None:
    waited, since, busy = threading.Event(), 0.0, False  # never set: it only waits
    seen = looked = _made()
    while True:
        waited.wait(SECONDS_BETWEEN)
        since += SECONDS_BETWEEN
        made = _made()
        # A visit that ends leaves much and makes little: once more when all is quiet.
        if since >= SECONDS_AT_LEAST and (made > seen or busy):
            busy = made > seen
            set_aside()
            since, seen = 0.0, _made()
            looked = seen
        elif made - looked >= MUCH:
            gc.collect()
            looked = _made()


def _made() -> int:
    """Grows with every few thousand objects that are made."""
    return gc.get_stats()[1]["collections"]
