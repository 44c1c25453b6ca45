"""When two runs differ by more than chance: that of the test pictures, and that of another training."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from core import student
from core.simsiam.run_record import RunRecord
from pages.shared.text import N_, _, number, percent
from pages.simsiam.parts import runs

OVER_PICTURES = N_("{pictures} test pictures, bank of {bank}")

CHANCE_OF_PICTURES = N_(
    "**Chance** is that of these test pictures alone, two standard errors: this set has {count} of "
    "the three seeds of the baseline that would tell how far two trainings lie apart. A small "
    "difference may still be one of the seed."
)

Knn = Literal["knn_accuracy", "knn_by_epoch"]
"""The kNN accuracy of a finished run: over all test pictures with the whole training set as bank, or, as after
every epoch, over fewer pictures with a smaller bank. A larger bank alone raises it, so that one answer speaks
of one of them.
"""
Measure = Literal["knn_accuracy", "knn_by_epoch", "linear_accuracy"]
SURE = 0.95
"""How many of all pairs of trainings that differ in the seed alone lie no further apart than chance is said
to go.
"""
SIGNS = (1, -1, -1, 1)
"""Of two runs that are compared, and of what two pairs change by: (first - second) - (third - fourth)."""
ENOUGH_SEEDS = 3
"""Fewer say nothing of how far runs lie apart that differ in the seed alone."""
COMPARED = {
    "alike": N_(
        "{a} and {b} cannot be told apart: kNN accuracy {x} and {y}, linear probe {p} "
        "and {q} differ by no more than chance."
    ),
    "above": N_("{a} ends above {b}: kNN accuracy {x} against {y}, linear probe {p} against {q}."),
    "below": N_("{a} ends below {b}: kNN accuracy {x} against {y}, linear probe {p} against {q}."),
    "disagree": N_(
        "{a} and {b}: the two measures disagree. kNN accuracy {x} against {y}, linear "
        "probe {p} against {q}."
    ),
    "knn alone": N_(
        "{a} and {b}: the kNN accuracy differs, {x} against {y}; the linear probe, {p} "
        "and {q}, by no more than chance."
    ),
    "probe alone": N_(
        "{a} and {b}: the linear probe differs, {p} against {q}; the kNN accuracy, {x} "
        "and {y}, by no more than chance."
    ),
}
"""What the two measures say of two runs, by which of them differ."""
FIGURES_OVER = N_(
    "**Figures of this answer:** the kNN accuracy is over {knn}; the linear probe is over {probe} test "
    "pictures."
)
CHANCE_OF_SEEDS = N_(
    "**Chance** is the larger one of two standard errors over these test pictures and of what seeds "
    "differ by: {count} seeds of the baseline end with kNN accuracies of {low} to {high}, by which "
    "{sure} of pairs of trainings lie no more than {points} points apart."
)

Runs = Mapping[str, RunRecord]
"""Runs of one set by recipe."""


# ---------------------------------------------------------------- how far chance goes


def standard_error(*shares: tuple[float, int]) -> float:
    """Of a sum or difference of independent shares, each given with its count: (share, pictures).

    On the same pictures two networks tend to be right together, and a difference is surer than this
    says: an upper bound, unless they are right where the other one is wrong.
    """
    return math.sqrt(sum(share * (1 - share) / count for share, count in shares))


def paired_error(parts: Sequence[np.ndarray]) -> float:
    """Standard error of the sum of parts (n,), by picture, if its mean were 0.

    Of two runs, 1 where the first one is right and -1 where the second one is, this is that of McNemar's
    test (1947): sqrt(b + c) / n, with b and c pictures that one of both alone names right.
    """
    by_picture = np.sum(parts, axis=0, dtype=float)
    return float(np.sqrt(np.square(by_picture).sum())) / len(by_picture)


def between_trainings(values: Sequence[float]) -> float | None:
    """How far one training's share may lie from that of all, by ``values`` of seeds; None of fewer than
    ``ENOUGH_SEEDS``.

    Their standard deviation times Student's t, as so few values tell it badly: a difference of two trainings
    stays within sqrt(2) times this in ``SURE`` of all pairs.
    """
    if len(values) < ENOUGH_SEEDS:
        return None
    return student.reach(SURE, len(values) - 1) * float(np.std(values, ddof=1))


def margin(
    shares: Sequence[tuple[float, int]],
    between_seeds: float | None,
    paired: Sequence[np.ndarray] | None = None,
) -> float:
    """How large a sum or difference of that number of runs' shares may be by chance, 0 to 1.

    The larger one of two standard errors over the test pictures, or, where ``paired`` is given as
    ``by_picture`` gives it, two of its ``paired_error``, and of sqrt(runs) times ``between_seeds``, which is of
    one run, as ``between_trainings`` tells it, where that is known.
    """
    by_pictures = 2 * (paired_error(paired) if paired else standard_error(*shares))
    by_seeds = 0.0 if between_seeds is None else between_seeds * math.sqrt(len(shares))
    return max(by_pictures, by_seeds)


def at_the_end(record: RunRecord, measure: Measure) -> tuple[float, int]:
    """A final figure and the number of test pictures that it is over."""
    if measure == "knn_by_epoch":
        return float(record.figures["test_knn_accuracy"][-1]), record.queries
    test = record.bundle.metrics["test"]
    return test[measure], test["queries"]


def by_picture(
    measure: Measure, records: Sequence[RunRecord], epochs: Sequence[int] = ()
) -> list[np.ndarray] | None:
    """Of every run (n,): its sign of ``SIGNS`` where it names a test picture right, else 0.

    ``epochs`` of the kNN accuracy by epoch, one a run; without them the last. None where one of the runs does
    not keep which pictures it names right, or where they were tested on other pictures.
    """
    epochs = epochs or [-1] * len(records)
    found = [one.right(measure, epoch) for one, epoch in zip(records, epochs, strict=True)]
    if any(right is None for right in found) or len({len(right) for right in found}) > 1:
        return None
    tested = {one.bundle.config["data"].get("test_fingerprint") for one in records}
    if len(tested) > 1 or None in tested:
        return None
    return [sign * right.astype(float) for sign, right in zip(SIGNS, found, strict=False)]


def bank_of(record: RunRecord, knn: Knn) -> int:
    """How many training pictures vote for the kNN accuracy of a run."""
    return record.bank if knn == "knn_by_epoch" else record.bundle.metrics["test"]["bank"]


@dataclass(frozen=True)
class Chance:
    """What a set knows of chance: runs of its baseline that differ in the seed alone."""

    seeds: Sequence[RunRecord] = ()

    @classmethod
    def of(cls, found: Runs) -> Chance:
        return cls(runs.seeds_of(found["baseline"]) if "baseline" in found else ())

    def between_seeds(self, measure: Measure) -> float | None:
        return between_trainings([at_the_end(one, measure)[0] for one in self.seeds])

    def between_seeds_after(self, epoch: int) -> float | None:
        """Of the kNN accuracy by epoch."""
        return between_trainings(
            [float(one.figures["test_knn_accuracy"][epoch]) for one in self.seeds]
        )

    def margin(self, measure: Measure, *records: RunRecord) -> float:
        """Of the difference of two runs' final figures, or of what two pairs change by: see ``SIGNS``."""
        shares = [at_the_end(record, measure) for record in records]
        return margin(shares, self.between_seeds(measure), by_picture(measure, records))

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


def comparison(
    first: RunRecord, second: RunRecord, chance: Chance, by: Knn = "knn_accuracy"
) -> str:
    """Which of two runs ends better, by kNN accuracy and linear probe, if that is more than chance."""
    measures: tuple[Measure, ...] = (by, "linear_accuracy")
    knn, probe = (chance.verdict(measure, first, second) for measure in measures)
    values = [
        percent(at_the_end(record, measure)[0], 1)
        for measure in measures
        for record in (first, second)
    ]
    if knn == probe == 0:
        found = "alike"
    elif knn == probe == 1:
        found = "above"
    elif knn == probe == -1:
        found = "below"
    elif knn and probe:
        found = "disagree"
    else:
        found = "knn alone" if knn else "probe alone"
    x, y, p, q = values
    said = _(COMPARED[found]).format(
        a=runs.subject(first), b=runs.subject(second), x=x, y=y, p=p, q=q
    )
    return said[0].upper() + said[1:]


def comparisons(found: Runs, chance: Chance, *wanted: tuple[str, str]) -> list[str]:
    """``comparison`` for those pairs of recipes that are both here."""
    return [comparison(found[a], found[b], chance) for a, b in wanted if a in found and b in found]


def over_pictures(record: RunRecord, knn: Knn) -> str:
    """What a kNN accuracy is over: ``1,000 test pictures, bank of 3,000``."""
    return _(OVER_PICTURES).format(
        pictures=number(at_the_end(record, knn)[1], 0), bank=number(bank_of(record, knn), 0)
    )


def chance_in_words(record: RunRecord, chance: Chance, knn: Knn = "knn_accuracy") -> str:
    """What the sentences call chance, of which figures, and what is not known of it."""
    of_what = _(FIGURES_OVER).format(
        knn=over_pictures(record, knn),
        probe=number(at_the_end(record, "linear_accuracy")[1], 0),
    )
    apart = (
        _(
            "The runs keep how many test pictures were right, not which, so the pictures count as if every "
            "network had been given its own: that errs on the side of “no difference”."
        )
        if by_picture(knn, [record]) is None
        else _(
            "Runs that keep which test pictures they name right are compared picture by picture: only those "
            "count that one run names right and the other one wrong (McNemar's test)."
        )
    )
    between = chance.between_seeds(knn)
    if between is None:
        words = _(CHANCE_OF_PICTURES).format(count=len(chance.seeds))
    else:
        values = [at_the_end(one, knn)[0] for one in chance.seeds]
        words = _(CHANCE_OF_SEEDS).format(
            count=len(values),
            low=percent(min(values), 1),
            high=percent(max(values), 1),
            sure=percent(SURE),
            points=number(100 * between * math.sqrt(2), 1),
        )
    return f"{of_what} {words} {apart}"
