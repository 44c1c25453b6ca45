"""Garbage collection at the end of a run looks at what visitors made, and still frees all of it.

In processes of their own: what is set aside there stays so.
"""

import subprocess
import sys
from pathlib import Path

import pytest

VISIT = """
import gc, os, weakref
import streamlit as st
from pages.shared import heap, loaders
from tests.pages.opening import opened

class Thing:
    pass

def visited():
    at = opened("latent_space")
    thing = Thing()
    thing.itself = thing  # a cycle: only garbage collection frees it
    at.session_state["thing"] = thing
    return at, weakref.ref(thing)

loaders.warm_up()
heap.grown()
early, seen_early = visited()
heap.set_aside()
aside = gc.get_freeze_count()
late, seen_late = visited()
"""
CHEAP = """
gc.collect()
assert len(gc.get_objects()) < 0.1 * aside, (len(gc.get_objects()), aside)
"""
FREED = """
del late
gc.collect()
assert seen_late() is None
del early
gc.collect()
assert seen_early() is not None  # it was set aside, and waits for the next time
heap.set_aside()
assert seen_early() is None
"""
KEPT = """
import threading, time
heap.SECONDS_BETWEEN, heap.SECONDS_AT_MOST, heap.SECONDS_TO_LOAD = 0.05, 60.0, 0.05
times = []
heap.set_aside = lambda: times.append(time.monotonic())
for _ in range(3):
    heap.keep()
assert len(times) == 1
assert [thread.name for thread in threading.enumerate()].count("heap") == 1
time.sleep(0.5)
assert len(times) == 2, times  # the warm-up said that something came in
for _ in range(20):
    heap.grown()
time.sleep(0.5)
assert len(times) == 3, times
"""


@pytest.mark.parametrize("check", [CHEAP, FREED, KEPT], ids=["cheap", "freed", "kept"])
def test_what_stays_is_set_aside(check, tiny_library, monkeypatch):
    monkeypatch.setenv("ATELIER_CHECKPOINTS", str(tiny_library))
    found = subprocess.run(
        [sys.executable, "-c", VISIT + check],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert found.returncode == 0, found.stderr[-3000:]
