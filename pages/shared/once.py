"""What a page asks for a hundred times is looked up once in a run.

A look at the disk takes microseconds, but lets the threads of other visitors go first each time: with thirty
of them, a page of three hundred looks waits for seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

Value = TypeVar("Value")

_RUN: ContextVar[dict[Hashable, Any] | None] = ContextVar("once", default=None)


@contextmanager
def in_a_run() -> Iterator[None]:
    """Around a run of a page, or of a part that runs again alone."""
    if _RUN.get() is not None:
        yield
        return
    before = _RUN.set({})
    try:
        yield
    finally:
        _RUN.reset(before)


def forget(request: Hashable) -> None:
    """The next one to ask in this run looks again: something was changed."""
    if (held := _RUN.get()) is not None:
        held.pop(request, None)


def ask(request: Hashable, look: Callable[[], Value]) -> Value:
    """The answer of this run, looked up the first time; outside of a run every time."""
    held = _RUN.get()
    if held is None:
        return look()
    if request not in held:
        held[request] = look()
    return held[request]
