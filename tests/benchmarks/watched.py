"""What a running server takes of its machine, and figures against limits in lines of text."""

from __future__ import annotations

import math
import os
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.benchmarks.deltas import percentile
from tests.benchmarks.visitor import Answer

MOST_ERRORS = 20
"""How many kinds of errors are printed."""


@dataclass(frozen=True)
class Watched:
    """A process by its id; every figure is None where the system has no /proc, or nobody knows the id."""

    pid: int | None

    def _read(self, name: str) -> str | None:
        file = Path(f"/proc/{self.pid}/{name}")
        return file.read_text() if self.pid and file.exists() else None

    def _status(self, name: str) -> int | None:
        said = self._read("status")
        if said is None:
            return None
        return int(next(line.split()[1] for line in said.splitlines() if line.startswith(name)))

    def memory(self) -> float | None:
        """MiB that it holds now."""
        held = self._status("VmRSS:")
        return None if held is None else held / 1024

    def peak(self) -> float | None:
        """MiB that it has held at most."""
        held = self._status("VmHWM:")
        return None if held is None else held / 1024

    def threads(self) -> int | None:
        return self._status("Threads:")

    def files(self) -> int | None:
        folder = Path(f"/proc/{self.pid}/fd")
        return len(list(folder.iterdir())) if self.pid and folder.exists() else None

    def work(self) -> float | None:
        """Seconds of a core that it has used."""
        said = self._read("stat")
        if said is None:
            return None
        fields = said.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@dataclass
class Tally:
    """What some visitors did in a while: answers by kind, errors, and how long it took."""

    answers: dict[str, list[Answer]] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    begun: float = field(default_factory=time.perf_counter)
    ended: float = math.nan

    names: dict[str, list[str]] = field(default_factory=dict)
    """Of every answer of a kind: of which page or control."""

    def note(self, kind: str, answer: Answer, name: str = "") -> None:
        self.answers.setdefault(kind, []).append(answer)
        self.names.setdefault(kind, []).append(name)
        self.errors += answer.errors

    def by_name(self, kind: str) -> dict[str, float]:
        """The median time to the end by page or control, the slowest first."""
        found: dict[str, list[float]] = {}
        for name, answer in zip(self.names.get(kind, []), self.answers.get(kind, []), strict=True):
            found.setdefault(name or "home", []).append(answer.done)
        medians = {name: statistics.median(seconds) for name, seconds in found.items()}
        return dict(sorted(medians.items(), key=lambda one: -one[1]))

    def seconds(self, kind: str, part: str = "done") -> list[float]:
        """Of every answer of a kind: to its first figure, or to its end."""
        found = [getattr(answer, part) for answer in self.answers.get(kind, [])]
        return [each for each in found if each is not None]

    def rate(self, kind: str) -> float:
        """How many of a kind there were in a second."""
        return len(self.answers.get(kind, [])) / (self.ended - self.begun)

    def sent(self, kind: str) -> float:
        """kB through the websocket for one of a kind, on average."""
        sent = [answer.sent for answer in self.answers.get(kind, [])]
        return statistics.mean(sent) / 1000 if sent else 0.0


@dataclass
class Report:
    """Prints figures as they come, and keeps which limits were missed and what went wrong."""

    missed: list[str] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)
    _of: str = ""

    def begin(self, of: str) -> None:
        """What the figures below it are of."""
        self._of = of
        self.say(of)

    def say(self, line: str = "") -> None:
        print(line, flush=True)

    def times(
        self, what: str, seconds: Sequence[float], limit: float | None = None, share: float = 0.95
    ) -> None:
        """A median and the time within which ``share`` of all are done, which stands against the limit."""
        if not seconds:
            self.say(f"  {what:<46} none")
            if limit is not None:
                self.missed.append(f"{self._of}: {what}")
            return
        at = percentile(seconds, share)
        name = "most" if share == 1 else f"{share:.0%}"
        words = (
            f"  {what:<46} median {1000 * statistics.median(seconds):7,.0f} ms   "
            f"{name} {1000 * at:7,.0f} ms   ({len(seconds)})"
        )
        self._against(what, words, at, limit, "s")

    def figure(
        self, what: str, value: float | None, unit: str, limit: float | None = None, digits: int = 2
    ) -> None:
        """One figure, which must not be above its limit."""
        if value is None:
            self.say(f"  {what:<46} unknown")
            return
        self._against(what, f"  {what:<46} {value:,.{digits}f} {unit}", value, limit, unit)

    def _against(self, what: str, words: str, value: float, limit: float | None, unit: str) -> None:
        if limit is not None:
            met = value <= limit
            of = f"{limit:,.4g} {unit}".rstrip()
            words += f"   {value / limit:.2f} of {of}: {'PASS' if met else 'MISSED'}"
            if not met:
                self.missed.append(f"{self._of}: {what}")
        self.say(words)

    def slowest(self, tally: Tally, kind: str, most: int = 4) -> None:
        """The pages or controls that take longest."""
        found = [
            f"{name} {1000 * seconds:,.0f} ms"
            for name, seconds in list(tally.by_name(kind).items())[:most]
        ]
        self.say(f"  slowest of {kind}s, by median: {', '.join(found) or 'none'}")

    def rates(self, tally: Tally) -> None:
        """How many of what there was in a second, what went through the websocket, and errors."""
        rates = [
            f"{kind}s {tally.rate(kind):.2f} a second, {tally.sent(kind):.0f} kB each"
            for kind in tally.answers
        ]
        self.say(f"  {'; '.join(rates)}; errors: {len(tally.errors)}")
        self.errors.update(tally.errors)

    def conclude(self) -> None:
        """Errors by kind, and what was missed."""
        for error, count in self.errors.most_common(MOST_ERRORS):
            self.say(f"error, {count} times: {error}")
        self.say(f"errors: {self.errors.total()}; limits missed: {len(self.missed)}")
        for what in self.missed:
            self.say(f"missed: {what}")
