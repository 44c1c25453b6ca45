"""Answers to requests, kept for all visitors: a bounded cache in which a second asker waits for the first."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Value = TypeVar("Value")


LONG = 32
"""Bytes of a request beyond which a digest stands for them."""


def _short(request: Hashable) -> Hashable:
    """The request with a digest in place of long bytes: what visitors bring does not stay as a key."""
    if isinstance(request, bytes) and len(request) > LONG:
        return hashlib.blake2b(request, digest_size=16).digest()
    return tuple(map(_short, request)) if type(request) is tuple else request


class AnswerCache(Generic[Value]):
    """The last ``most`` answers by request; the one that was not asked for longest leaves first."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._held: OrderedDict[Hashable, Value] = OrderedDict()
        self._holding = threading.Lock()
        self._computing: dict[Hashable, threading.Lock] = {}

    def __len__(self) -> int:
        return len(self._held)

    def requests(self) -> list[Hashable]:
        """What answers are kept to; first the one that was not asked for longest."""
        with self._holding:
            return list(self._held)

    def get(self, request: Hashable) -> Value | None:
        """The answer, if it is kept."""
        request = _short(request)
        with self._holding:
            if request in self._held:
                self._held.move_to_end(request)
            return self._held.get(request)

    def put(self, request: Hashable, value: Value) -> Value:
        """Keeps an answer, in place of an earlier one to the same request."""
        request = _short(request)
        with self._holding:
            self._held[request] = value
            self._held.move_to_end(request)
            while len(self._held) > self.most:
                self._held.popitem(last=False)
        return value

    def drop(self, request: Hashable, only: Value | None = None) -> None:
        """Forgets the answer to a request, if it is kept. ``only``: not where another answer took the place
        of this one.
        """
        request = _short(request)
        with self._holding:
            if only is None or self._held.get(request) is only:
                self._held.pop(request, None)

    def ask(self, request: Hashable, compute: Callable[[], Value]) -> Value:
        """The answer, computed if it is not kept; by one asker, while the others wait for it.

        Where ``compute`` raises, its asker sees that, and the next one computes again.
        """
        request = _short(request)
        with self._holding:
            computing = self._computing.setdefault(request, threading.Lock())
        with computing:
            try:
                found = self.get(request)
                return self.put(request, compute()) if found is None else found
            finally:
                with self._holding:
                    self._computing.pop(request, None)
