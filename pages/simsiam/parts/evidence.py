"""When two runs differ by more than chance: that of the test pictures, and that of another training."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from core.simsiam.run_record import RunRecord
from pages.shared.text import N_, _, number, percent
from pages.simsiam.parts import runs

Measure = Literal["knn_accuracy", "linear_accuracy"]
MEASURES: dict[Measure, str] = {
    "knn_accuracy": N_("kNN accuracy"),
    "linear_accuracy": N_("linear probe"),
}
"""What is measured at the end of a run, on all test pictures."""
ENOUGH_SEEDS = 3
"""Fewer say nothing of how far runs lie apart that differ in the seed alone."""

Runs = Mapping[str, RunRecord]
"""Runs of one set by recipe."""


# ---------------------------------------------------------------- how far chance goes


def standard_error(*shares: tuple[float, int]) -> float:
    """Of a sum or difference of independent shares, each given with its count: (share, pictures).

    On the same pictures two networks tend to be right together, and a difference is surer than this
    says: an upper bound, unless they are right where the other one is wrong.
    """
    return math.sqrt(sum(share * (1 - share) / count for share, count in shares))


def deviation(values: Sequence[float]) -> float | None:
    """Standard deviation between seeds; None of fewer than ``ENOUGH_SEEDS``."""
    return float(np.std(values, ddof=1)) if len(values) >= ENOUGH_SEEDS else None


def margin(shares: Sequence[tuple[float, int]], between_seeds: float | None) -> float:
    """How large a sum or difference of so many runs' shares may be by chance, 0 to 1.

    The larger one of two standard errors over the test pictures and of two standard deviations of such
    a sum between seeds, where that is known: sqrt(runs) times the one of a run.
    """
    by_pictures = 2 * standard_error(*shares)
    by_seeds = 0.0 if between_seeds is None else 2 * between_seeds * math.sqrt(len(shares))
    return max(by_pictures, by_seeds)


def at_the_end(record: RunRecord, measure: Measure) -> tuple[float, int]:
    """A final figure and the number of test pictures that it is over."""
    test = record.bundle.metrics["test"]
    return test[measure], test["queries"]


@dataclass(frozen=True)
class Chance:
    """What a set knows of chance: runs of its baseline that differ in the seed alone."""

    seeds: Sequence[RunRecord] = ()

    @classmethod
    def of(cls, found: Runs) -> Chance:
        return cls(runs.seeds_of(found["baseline"]) if "baseline" in found else ())

    def between_seeds(self, measure: Measure) -> float | None:
        return deviation([at_the_end(one, measure)[0] for one in self.seeds])

    def between_seeds_after(self, epoch: int) -> float | None:
        """Of the kNN accuracy by epoch."""
        return deviation([float(one.figures["test_knn_accuracy"][epoch]) for one in self.seeds])

    def margin(self, measure: Measure, *records: RunRecord) -> float:
        """Of a sum or difference of these runs' final figures."""
        shares = [at_the_end(record, measure) for record in records]
        return margin(shares, self.between_seeds(measure))

    def verdict(self, measure: Measure, first: RunRecord, second: RunRecord) -> int:
        """1 where the first run ends higher by more than chance, -1 where the second does, else 0."""
        difference = at_the_end(first, measure)[0] - at_the_end(second, measure)[0]
        return sign(difference, self.margin(measure, first, second))


def sign(difference: float, by_chance: float) -> int:
    """Of a difference; 0 where it may be chance."""
    return 0 if abs(difference) <= by_chance else 1 if difference > 0 else -1


# ---------------------------------------------------------------- in words


def points(difference: float) -> str:
    """A difference of shares in percentage points, with its sign."""
    return ("+" if difference > 0 else "") + number(100 * difference, 1)


def compared(first: RunRecord, second: RunRecord, chance: Chance) -> str:
    """Which of two runs ends better, by kNN accuracy and linear probe, if that is more than chance."""
    knn, probe = (chance.verdict(measure, first, second) for measure in MEASURES)
    values = [
        percent(at_the_end(record, measure)[0], 1)
        for measure in MEASURES
        for record in (first, second)
    ]
    if knn == probe == 0:
        words = _(
            "**{a}** and **{b}** cannot be told apart: kNN accuracy {x} and {y}, linear probe {p} "
            "and {q} differ by no more than chance."
        )
    elif knn == probe == 1:
        words = _(
            "**{a}** ends above **{b}**: kNN accuracy {x} against {y}, linear probe {p} against {q}."
        )
    elif knn == probe == -1:
        words = _(
            "**{a}** ends below **{b}**: kNN accuracy {x} against {y}, linear probe {p} against {q}."
        )
    elif knn and probe:
        words = _(
            "**{a}** and **{b}**: the two measures disagree. kNN accuracy {x} against {y}, linear "
            "probe {p} against {q}."
        )
    elif knn:
        words = _(
            "**{a}** and **{b}**: the kNN accuracy differs, {x} against {y}; the linear probe, {p} "
            "and {q}, by no more than chance."
        )
    else:
        words = _(
            "**{a}** and **{b}**: the linear probe differs, {p} against {q}; the kNN accuracy, {x} "
            "and {y}, by no more than chance."
        )
    x, y, p, q = values
    return words.format(a=runs.name(first), b=runs.name(second), x=x, y=y, p=p, q=q)


def compared_pairs(found: Runs, chance: Chance, *wanted: tuple[str, str]) -> list[str]:
    """``compared`` for those pairs of recipes that are both here."""
    return [compared(found[a], found[b], chance) for a, b in wanted if a in found and b in found]


def chance_in_words(record: RunRecord, chance: Chance) -> str:
    """What the sentences call chance, and what is not known of it."""
    pictures = number(record.bundle.metrics["test"]["queries"], 0)
    apart = _(
        "The runs keep how many test pictures were right, not which, so the pictures count as if every "
        "network had been given its own: that errs on the side of “no difference”."
    )
    between = chance.between_seeds("knn_accuracy")
    if between is None:
        words = _(
            "**Chance** is that of the {pictures} test pictures alone, two standard errors: this set has "
            "{count} of the three seeds of the baseline that would tell how far two trainings lie apart. "
            "A small difference may still be one of the seed."
        ).format(pictures=pictures, count=len(chance.seeds))
    else:
        values = [at_the_end(one, "knn_accuracy")[0] for one in chance.seeds]
        words = _(
            "**Chance** is the larger one of two standard errors over {pictures} test pictures and of two "
            "standard deviations between seeds: {count} seeds of the baseline end with kNN accuracies of "
            "{low} to {high}, so two runs may lie {points} points apart."
        ).format(
            pictures=pictures,
            count=len(values),
            low=percent(min(values), 1),
            high=percent(max(values), 1),
            points=number(100 * 2 * between * math.sqrt(2), 1),
        )
    return f"{words} {apart}"
