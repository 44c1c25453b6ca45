"""A whole collection of garbage, before and after what stays is set aside.

    python tests/benchmarks/heap.py

Prints the seconds of one collection with every network loaded, before and after, and their ratio, which must
be at least 10. What collections cost a class: ``python tests/benchmarks/visitors.py --mix pages``.
"""

from __future__ import annotations

import gc
import statistics
import sys
import time
from importlib import import_module
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from pages.shared import heap, loaders, site

ROUNDS, LEAST, OF_A_VISIT = 9, 10.0, 5000


def seconds() -> float:
    """The median of a few collections."""
    found = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        gc.collect(2)
        found.append(time.perf_counter() - begun)
    return statistics.median(found)


def main() -> int:
    loaders.warm_up()
    for pages in site.SECTIONS.values():
        for page in pages:
            import_module(page.module)
    before = seconds()
    heap.set_aside()
    visit = [{"element": [i]} for i in range(OF_A_VISIT)]
    after = seconds()
    print(f"{'objects set aside':<24} {gc.get_freeze_count():,}")
    print(f"{'made by a visit':<24} {2 * len(visit):,}")
    print(f"{'a collection before':<24} {1000 * before:8.2f} ms")
    print(f"{'a collection after':<24} {1000 * after:8.2f} ms")
    print(f"{'ratio':<24} {before / after:8.1f} (at least {LEAST:.0f})")
    return 0 if before / after >= LEAST else 1


if __name__ == "__main__":
    sys.exit(main())
