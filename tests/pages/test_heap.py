"""Garbage collection looks at what visitors made of late, and still frees all of it.

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
heap.SECONDS_BETWEEN, heap.SECONDS_AT_LEAST = 0.05, 0.1
times = []
heap.set_aside = lambda: times.append(time.monotonic())
for _ in range(3):
    heap.keep()
assert not times
assert [thread.name for thread in threading.enumerate()].count("heap") == 1
time.sleep(0.5)
assert not times  # nothing was made
things = [[] for _ in range(100_000)]
time.sleep(0.5)
made = len(times)
assert made
time.sleep(0.5)
assert len(times) == made, times
"""
MUCH = """
import time
heap.SECONDS_BETWEEN, heap.SECONDS_AT_LEAST = 0.05, 3600.0
heap.keep()
aside = gc.get_freeze_count()
thing = Thing()
thing.itself = thing
seen = weakref.ref(thing)
old = [thing]
gc.collect()
del old, thing
things = [[] for _ in range(2000)]
time.sleep(0.5)
assert seen() is not None  # it is old, and little was made
things = [[] for _ in range(2 * heap.MUCH * gc.get_threshold()[1] * gc.get_threshold()[0])]
until = time.monotonic() + 30
while seen() is not None and time.monotonic() < until:
    time.sleep(0.05)
assert seen() is None
assert gc.get_freeze_count() <= aside  # the whole heap has its own, longer time
"""
LIBRARIES = """
heap.SECONDS_BETWEEN = 3600.0
aside = gc.get_freeze_count()
with heap.kept():
    assert not gc.isenabled()
    things = [[] for _ in range(1000)]
assert gc.isenabled()
assert gc.get_freeze_count() >= aside + 1000
assert len(gc.get_objects()) < 1000
"""


@pytest.mark.parametrize(
    "check",
    [CHEAP, FREED, KEPT, MUCH, LIBRARIES],
    ids=["cheap", "freed", "kept", "much", "libraries"],
)
def test_what_stays_is_set_aside(check, tiny_library, monkeypatch):
    monkeypatch.setenv("ATELIER_CHECKPOINTS", str(tiny_library))
    found = subprocess.run(
        [sys.executable, "-c", VISIT + check],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert found.returncode == 0, found.stderr[-3000:]
