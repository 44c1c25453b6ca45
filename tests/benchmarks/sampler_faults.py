"""Faults of a sampler that several visitors share: no memory, and threads that die on the way.

Every function takes the explorer of a diffusion model and the random numbers of its case, lets some visitors
denoise at once, and returns a sentence for everything that was lost.
"""

from __future__ import annotations

import ctypes
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch

from core.ddpm.explorer import DDPMExplorer, SamplerSettings
from core.errors import AtelierError
from core.resumable import Resumable

WAY = SamplerSettings("ddim", 6)
VISITORS = 4
HANGS = 300.0
"""Seconds after which a visitor is taken to wait for ever."""
OF_TORCH = (
    "[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory"
)
"""How torch says that there is no memory."""

Outcome = np.ndarray | BaseException | None


def alone(explorer: DDPMExplorer, seed: int) -> np.ndarray:
    """The picture of a seed, with nobody else there."""
    return explorer.denoise(WAY, [seed]).result


@contextmanager
def network(explorer: DDPMExplorer, made: Callable) -> Iterator[None]:
    """The explorer with another network, which is given the true one."""
    together = explorer._together
    true, together.network = together.network, lambda x, t: made(true, x, t)
    try:
        yield
    finally:
        together.network = true


def at_once(jobs: list[Callable[[], np.ndarray]]) -> tuple[list[Outcome], list[threading.Thread]]:
    """What came of jobs that threads do at once; None of one that does not end, or that died silently."""
    found: list[Outcome] = [None] * len(jobs)

    def work(place: int) -> None:
        try:
            found[place] = jobs[place]()
        except BaseException as error:
            found[place] = error

    threads = [threading.Thread(target=work, args=(n,), daemon=True) for n in range(len(jobs))]
    for thread in threads:
        thread.start()
    return found, threads


def joined(threads: list[threading.Thread]) -> bool:
    """Whether all of them end."""
    end = time.monotonic() + HANGS
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    return not any(thread.is_alive() for thread in threads)


def same(one: object, other: np.ndarray) -> bool:
    """Whether two pictures are equal but for what the company in a batch rounds."""
    if not isinstance(one, np.ndarray) or one.shape != other.shape:
        return False
    return int(np.abs(one.astype(int) - other).max()) <= 1


def after_all(explorer: DDPMExplorer, seed: int, true: np.ndarray) -> Iterator[str]:
    """The next request is answered as ever."""
    found, threads = at_once([lambda: alone(explorer, seed)])
    if not joined(threads):
        yield "the next request waits for ever"
    elif not same(found[0], true):
        yield f"the next request ends otherwise: {found[0]!r:.100}"


def no_memory(explorer: DDPMExplorer, chance: random.Random) -> Iterator[str]:
    """From some call of the network on there is none: in one sentence for each of those who asked."""
    seeds = [chance.randrange(10_000) for _ in range(VISITORS)]
    true = [alone(explorer, seed) for seed in seeds]
    after, calls = chance.randrange(6), iter(range(10**6))
    error = chance.choice(
        (MemoryError(), RuntimeError(OF_TORCH), MemoryError("Unable to allocate"))
    )

    def failing(truly: Callable, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        if next(calls) >= after:
            raise error
        return truly(x, t)

    with network(explorer, failing):
        found, threads = at_once([lambda seed=seed: alone(explorer, seed) for seed in seeds])
        if not joined(threads):
            yield "a visitor waits for ever"
            return
    for outcome, expected in zip(found, true, strict=True):
        if not isinstance(outcome, AtelierError) and not same(outcome, expected):
            yield f"no sentence but {outcome!r:.100}"
    yield from after_all(explorer, seeds[0], true[0])


def too_large(explorer: DDPMExplorer, chance: random.Random) -> Iterator[str]:
    """There is memory for few pictures at once: everybody gets theirs all the same."""
    seeds = [chance.randrange(10_000) for _ in range(VISITORS)]
    true = [alone(explorer, seed) for seed in seeds]

    def failing(truly: Callable, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        if len(x) > 1:
            raise MemoryError
        time.sleep(0.002)  # so that others come meanwhile and wait
        return truly(x, t)

    with network(explorer, failing):
        found, threads = at_once([lambda seed=seed: alone(explorer, seed) for seed in seeds])
        if not joined(threads):
            yield "a visitor waits for ever"
            return
    for outcome, expected in zip(found, true, strict=True):
        if not same(outcome, expected):
            yield f"a small request ends otherwise: {outcome!r:.100}"
    yield from after_all(explorer, seeds[0], true[0])


def dies(explorer: DDPMExplorer, chance: random.Random) -> Iterator[str]:
    """A thread dies wherever it is just then; the others get what they asked for."""
    seeds = [chance.randrange(10_000) for _ in range(VISITORS)]
    true = [alone(explorer, seed) for seed in seeds]

    def slower(truly: Callable, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        time.sleep(0.002)
        return truly(x, t)

    victim, pause = chance.randrange(VISITORS), chance.uniform(0, 0.05)
    with network(explorer, slower):
        found, threads = at_once([lambda seed=seed: alone(explorer, seed) for seed in seeds])
        time.sleep(pause)
        number = ctypes.c_ulong(threads[victim].ident)
        ctypes.pythonapi.PyThreadState_SetAsyncExc(number, ctypes.py_object(SystemExit))
        if not joined(threads):
            yield "a visitor waits for ever"
            return
    for place, (outcome, expected) in enumerate(zip(found, true, strict=True)):
        # Who computes a batch when it dies takes nobody with it.
        if place != victim and not same(outcome, expected):
            yield f"another visitor's request ends otherwise: {outcome!r:.100}"
    yield from after_all(explorer, seeds[0], true[0])


def left(explorer: DDPMExplorer, chance: random.Random) -> Iterator[str]:
    """Visitors leave work that others go on with, or it fails and is begun again."""
    seed = chance.randrange(10_000)
    true = alone(explorer, seed)
    work = Resumable(explorer.denoise_steps(WAY, [seed]))
    for number, _now in enumerate(work.advance()):
        if number == chance.randrange(6):
            break
    for _ in range(2):  # two go on together
        found, threads = at_once([lambda: [*work.advance(), work.newest][-1].result] * 2)
        if not joined(threads):
            yield "a visitor waits for ever"
            return
    if not all(same(outcome, true) for outcome in found):
        yield f"work that was left ends otherwise: {found!r:.100}"

    def failing(truly: Callable, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        raise MemoryError

    broken = Resumable(explorer.denoise_steps(WAY, [seed]))
    with network(explorer, failing):
        found, threads = at_once([lambda: list(broken.advance())])
        if not joined(threads) or not isinstance(found[0], AtelierError) or not broken.failed:
            yield f"work without memory ends in {found[0]!r:.100}"
    yield from after_all(explorer, seed, true)


SAMPLERS = {
    "no memory": no_memory,
    "too large": too_large,
    "a thread dies": dies,
    "work left": left,
}
