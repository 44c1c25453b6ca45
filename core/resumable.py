"""Long work that can be paused, resumed and watched by several people at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from traceback import clear_frames
from typing import Generic, Protocol, TypeVar

from core.errors import recognise_memory_error


class Progress(Protocol):
    """How far some work has come: ``done`` of ``total`` steps in ``seconds`` of work."""

    done: int
    total: int
    seconds: float

    @property
    def finished(self) -> bool: ...


State = TypeVar("State", bound=Progress)


class Resumable(Generic[State]):
    """Steps that are computed once, whoever asks for them, and only while somebody does.

    ``newest`` is the state after the last step, None before the first. Safe to share between threads.
    """

    def __init__(self, steps: Iterator[State]) -> None:
        self.newest: State | None = None
        self._error: BaseException | None = None
        self._steps = steps
        self._taken = 0
        self._taking = threading.Lock()

    @property
    def finished(self) -> bool:
        return self.newest is not None and self.newest.finished

    @property
    def failed(self) -> bool:
        """Whether a step raised: the work cannot go on."""
        return self._error is not None

    def advance(self) -> Iterator[State]:
        """Go on from where the work stands, one state after another; may be left at any time.

        Who asks while another thread computes a step waits for that step and gets the same state.
        What the work raises is raised here, to everybody who asks from then on; where there was no memory,
        an ``AtelierError`` ``memory``.
        """
        seen = self._taken
        while True:
            with self._taking:
                if self._taken == seen:
                    if isinstance(self._error, Exception):  # not what only ended another's run
                        raise self._error
                    try:
                        self.newest = next(self._steps)
                    except StopIteration:
                        return
                    except BaseException as error:
                        clear_frames(error.__traceback__)  # or they hold their tensors as long
                        self._error = recognise_memory_error(error)
                        if self._error is not error:
                            raise self._error from error
                        raise
                    self._taken += 1
                seen, newest = self._taken, self.newest
            yield newest
