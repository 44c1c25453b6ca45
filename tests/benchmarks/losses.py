"""What a script that injects faults has tried and what was lost, in lines of text."""

from __future__ import annotations

import argparse
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

MOST_SAID = 30
"""How many losses are printed."""
LONGEST = 600
"""Characters of one of them."""


@dataclass
class Losses:
    """Counts by kind, and every loss with what brings it about again: seed and number of its case.

    Case ``number`` draws all its chance from ``chance(number)``, whatever came before it.
    """

    seed: int
    counts: Counter[str] = field(default_factory=Counter)
    said: list[str] = field(default_factory=list)
    begun: float = field(default_factory=time.perf_counter)

    def chance(self, number: int) -> random.Random:
        """The random numbers of a case."""
        return random.Random(f"{self.seed} {number}")

    def tried(self, kind: str, count: int = 1) -> None:
        self.counts[kind] += count

    def lost(self, number: int, kind: str, words: str) -> None:
        """Something was lost: said at once, counted, and said again at the end."""
        line = f"LOST: seed {self.seed}, case {number}, {kind}: {words[:LONGEST]}"
        self.said.append(line)
        print(line, flush=True)

    def conclude(self, of: str) -> int:
        """Prints all counts; the exit status, 1 where anything was lost."""
        seconds = time.perf_counter() - self.begun
        for kind, count in sorted(self.counts.items()):
            print(f"  {kind:<34} {count:>6,}")
        print(f"{of}, seed {self.seed}, {seconds:,.0f} s; lost: {len(self.said)}")
        for line in self.said[:MOST_SAID]:
            print(line)
        return 1 if self.said else 0


def arguments_of(document: str, full: int, short: int) -> argparse.ArgumentParser:
    """The options that all such scripts have; ``full``, ``short``: how often without and with ``--short``."""
    parser = argparse.ArgumentParser(description=document.splitlines()[0])
    parser.add_argument("--count", type=int, help=f"how many; {full:,}, or {short} with --short")
    parser.add_argument("--seed", type=int, default=0, help="what all chance is drawn from; 0")
    parser.add_argument("--only", type=int, help="this case alone, as its loss names it")
    parser.add_argument("--short", action="store_true", help="under half a minute on two cores")
    parser.set_defaults(full=full, few=short)
    return parser


def read(parser: argparse.ArgumentParser, argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The arguments, with the count that they stand for."""
    found = parser.parse_args(argv)
    if found.count is None:
        found.count = found.few if found.short else found.full
    if found.count < 1:
        parser.error("--count must be 1 or more")
    return found
