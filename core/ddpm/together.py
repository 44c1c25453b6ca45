"""Calls of one network by several threads at once, computed as one batch.

Visitors who denoise at the same time call the network step by step, each with a few pictures. On two cores a
batch of 16 costs a fraction of 16 calls of one picture, and threads that compute next to one another only
hinder each other. So whoever finds the network free computes what waits, its own call or not, and hands the
results out: what comes meanwhile is the next batch. Nobody waits for more than the calls before its own, and
whoever stops calling is gone at once.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

import torch
from torch import Tensor

from core.errors import recognise_memory_error

MOST = 64
"""Pictures of one batch at most; a longer call is several, and others come between them."""
COMPUTING = threading.Lock()
"""One for all networks: the cores are the same."""

Network = Callable[[Tensor, Tensor], Tensor]
"""x (B, ...) and t (B,) to (B, ...), a row of the answer by its row of x and t alone."""


class _Call:
    """What one thread asks, and what came of it."""

    def __init__(self, x: Tensor, t: Tensor) -> None:
        self.x, self.t = x, t
        self.answer: Tensor | None = None
        self.error: Exception | None = None

    @property
    def done(self) -> bool:
        return self.answer is not None or self.error is not None


class Together:
    """A network that any thread may call; calls that wait for it are computed together.

    A row does not depend on its company but for rounding: in float32 to about 1e-6 of the answer. Where a
    batch fails, each of its calls is computed alone, so that one of them costs no other. Raises what the
    network raises; where there was no memory, ``AtelierError`` ``memory``.
    """

    def __init__(self, network: Network, most: int = MOST) -> None:
        if most < 1:
            raise ValueError(f"most must be at least 1, got {most}")
        self.network, self.most = network, most
        self._waiting: deque[_Call] = deque()
        self._holding = threading.Lock()

    def __call__(self, x: Tensor, t: Tensor) -> Tensor:
        """The network's answer for x (B, ...) at t (B,)."""
        if len(x) <= self.most:
            return self._ask(x, t)
        parts = zip(x.split(self.most), t.split(self.most), strict=True)
        return torch.cat([self._ask(*part) for part in parts])

    def _ask(self, x: Tensor, t: Tensor) -> Tensor:
        call = _Call(x, t)
        with self._holding:
            self._waiting.append(call)
        while not call.done:
            with COMPUTING:
                if not call.done:
                    self._compute(self._next())
        if call.error is not None:
            raise call.error
        return call.answer

    def _next(self) -> list[_Call]:
        """The calls that wait for longest, as many as fit into one batch: at least the first.

        They wait until they are done, so that a thread that dies while it computes them takes none with it.
        """
        with self._holding:
            while self._waiting and self._waiting[0].done:
                self._waiting.popleft()
            taken, pictures = [], 0
            for call in self._waiting:
                pictures += len(call.x)
                if pictures > self.most:
                    break
                taken.append(call)
            return taken

    def _compute(self, calls: list[_Call]) -> None:
        try:
            if len(calls) == 1:
                calls[0].answer = self.network(calls[0].x, calls[0].t)
                return
            made = self.network(
                torch.cat([call.x for call in calls]), torch.cat([call.t for call in calls])
            )
        except Exception as error:  # SystemExit and its like end this thread, and no call
            if len(calls) == 1:
                calls[0].error = recognise_memory_error(error)
            else:
                for call in calls:
                    self._compute([call])
            return
        for call, answer in zip(calls, made.split([len(call.x) for call in calls]), strict=True):
            call.answer = answer
