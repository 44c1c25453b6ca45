"""Who trains a run: one process at a time, and none whose plan is no more."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from core.bundles.files import restore_interrupted
from core.errors import AtelierError
from train.run import distributed

SECONDS_FOR_A_LOOK = 1.0
"""How long the lock is waited for: a process that only asks whether it is held holds it so long."""
PLAN_VARIABLE = "ATELIER_PLAN"
"""Names the process of the plan that a run is part of: the run ends where its plan has ended."""


@contextmanager
def run_lock(run: Path) -> Iterator[None]:
    """The folder of a run, for one process at a time, or those of one ``torchrun``.

    The lock goes with the process that holds it, however it ends. Raises ``AtelierError``
    ``run-busy``.
    """
    if not distributed.is_first():
        yield
        return
    run.mkdir(parents=True, exist_ok=True)
    lock = FileLock(run / ".lock")
    try:
        lock.acquire(timeout=SECONDS_FOR_A_LOOK)
    except Timeout as error:
        raise AtelierError(
            "run-busy", "Another process trains {folder} at present.", folder=run
        ) from error
    try:
        restore_interrupted(run)
        restore_interrupted(run / "progress")
        yield
    finally:
        lock.release()


def orphaned() -> bool:
    """Whether the plan that this run is part of is no more: then nothing limits its time."""
    plan = os.environ.get(PLAN_VARIABLE)
    return plan is not None and plan != str(os.getppid())


def is_locked(run: Path) -> bool:
    """Whether a process holds the lock of a run at present."""
    file = Path(run) / ".lock"
    if not file.exists():
        return False
    lock = FileLock(file)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return True
    lock.release()
    return False
