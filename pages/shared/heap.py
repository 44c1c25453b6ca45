"""Garbage is collected next to the visitors' runs, not at the end of each of them.

By itself Streamlit collects over the whole heap at the end of every run; of what thirty visitors made the
server do, that was three quarters (``tests/benchmarks/visitors.py``). ``.streamlit/config.toml`` turns it off.
Python collects by itself where enough has been made, and what outlives that is set aside (``gc.freeze``): the
next collection looks at what was made since. Cycles among what is set aside are collected by a thread of its
own, once a minute while anything is made, sooner where that is much, and once after that.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

SECONDS_BETWEEN, SECONDS_AT_MOST = 10.0, 60.0
MUCH = 100
"""Collections of what is young, one for every two or three runs of a page: thirty visitors make them in
half a minute."""
WHOLE = 2
"""The generation of objects whose collection looks at all that is not set aside."""

_keeping = threading.Lock()


def set_aside() -> None:
    """Collects garbage once over the whole heap, and sets aside what is left."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def keep() -> None:
    """Sets aside what is there now and, from now on, what outlives a collection. Once a process."""
    if _keeping.acquire(blocking=False):
        gc.freeze()
        gc.callbacks.append(_after_a_collection)
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


def _after_a_collection(phase: str, about: Mapping[str, int]) -> None:
    if phase == "stop" and about["generation"] == WHOLE:
        gc.freeze()


def _watch() -> None:
    waited, seen, since, busy = threading.Event(), _made(), 0.0, False  # never set: it only waits
    while True:
        waited.wait(SECONDS_BETWEEN)
        since += SECONDS_BETWEEN
        made = _made() - seen
        # A visit that ends leaves much and makes little: once more when all is quiet.
        if made >= MUCH or (since >= SECONDS_AT_MOST and (made or busy)):
            set_aside()
            seen, since, busy = _made(), 0.0, made > 0


def _made() -> int:
    """Grows with every few thousand objects that are made."""
    return gc.get_stats()[1]["collections"]
