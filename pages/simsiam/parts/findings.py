"""What self-supervised runs came to, in numbers and in sentences that say no more than they show."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from core.simsiam.run_record import RunRecord
from pages.shared.text import N_, _, number, percent, scientific
from pages.simsiam.parts import run_charts, runs
from pages.simsiam.parts.run_charts import has_learnt, knn_queries, state

Runs = Mapping[str, RunRecord]
"""Runs of one set by recipe."""
SHARE = 0.5
"""Collapsed: below this share of the baseline, as the page Collapse has it by default."""


def final_epoch(record: RunRecord) -> int:
    """The number of its last epoch."""
    return int(record.epochs[-1])


def value_at(record: RunRecord, column: str, epoch: int = -1) -> float:
    """A figure of a run after an epoch; at its end unless told otherwise."""
    return float(record.figures[column][epoch])


def standard_error(*records: RunRecord) -> float:
    """Of a sum or difference of the runs' final kNN accuracies, each a share of ``knn_queries``."""
    return run_charts.standard_error(
        *((value_at(record, "test_knn_accuracy"), knn_queries(record)) for record in records)
    )


def percentage_points(difference: float) -> str:
    """A difference of shares in percentage points, with its sign."""
    return ("+" if difference > 0 else "") + number(100 * difference, 1)


def compared(first: RunRecord, second: RunRecord) -> str:
    """Which of two runs ends with the higher kNN accuracy, if that is more than chance."""
    a, b = value_at(first, "test_knn_accuracy"), value_at(second, "test_knn_accuracy")
    said_of = {
        "a": runs.name(first),
        "b": runs.name(second),
        "x": percent(a, 1),
        "y": percent(b, 1),
        "count": number(knn_queries(first), 0),
    }
    if abs(a - b) <= 2 * standard_error(first, second):
        words = _(
            "**{a}** ({x}) and **{b}** ({y}) end alike in kNN accuracy: {count} test pictures "
            "cannot tell them apart."
        )
    elif a > b:
        words = _("**{a}** ends with a higher kNN accuracy than **{b}**: {x} against {y}.")
    else:
        words = _("**{a}** ends with a lower kNN accuracy than **{b}**: {x} against {y}.")
    return words.format(**said_of)


def compared_pairs(found: Runs, *wanted: tuple[str, str]) -> list[str]:
    """``compared`` for those pairs of recipes that are both here."""
    return [compared(found[a], found[b]) for a, b in wanted if a in found and b in found]


def states_said(records: Sequence[RunRecord], baseline: RunRecord | None) -> list[str]:
    """Who collapsed and who learnt something, by name."""
    templates = {
        "collapsed": N_("**Collapsed:** {runs}."),
        "flat": N_("**One sign of two** (spread or rank is low, not both): {runs}."),
        "spread": N_("**Not collapsed:** {runs}."),
    }
    lines = []
    for code, template in templates.items():
        mine = [r for r in records if state(r, baseline, final_epoch(r), SHARE) == code]
        if mine:
            lines.append(_(template).format(runs="; ".join(runs.name(r) for r in mine)))
    idle = [r for r in records if not has_learnt(r, final_epoch(r))]
    if idle:
        lines.append(
            _("**No better than before training**, by kNN accuracy: {runs}.").format(
                runs="; ".join(runs.name(r) for r in idle)
            )
        )
    return lines


def listed(records: Sequence[RunRecord], value: Callable[[RunRecord], str]) -> str:
    """Runs and what is said of each."""
    return "; ".join(f"{runs.name(record)} {value(record)}" for record in records)


def updates(record: RunRecord) -> int:
    """Steps that a run took: as it counted, or whole batches an epoch, one at least."""
    counted = record.bundle.history[-1].get("updates") if record.bundle.history else None
    if isinstance(counted, int):
        return counted
    training, about = record.bundle.config["training"], record.bundle.config["data"]
    return max(1, about["pictures"] // training["batch_size"]) * final_epoch(record)


def peak_rate(record: RunRecord) -> float:
    """The learning rate that a run starts from: it grows with the batch."""
    training = record.bundle.config["training"]
    return training["learning_rate"] * training["batch_size"] / 256


def settings_changed(first: RunRecord, second: RunRecord) -> str:
    """What two runs differ by in d and batch."""
    parts = []
    if first.dim != second.dim:
        parts.append(f"d {number(first.dim, 0)} → {number(second.dim, 0)}")
    batches = [record.bundle.config["training"]["batch_size"] for record in (first, second)]
    if batches[0] != batches[1]:
        before, after = (number(size, 0) for size in batches)
        parts.append(_("batch {before} → {after}").format(before=before, after=after))
    return ", ".join(parts)


def seconds_an_epoch(record: RunRecord) -> float:
    """Training alone, without what is measured after it; the median epoch."""
    return float(np.median([row["seconds_train"] for row in record.bundle.history]))


def from_to(record: RunRecord, value: Callable[[int], float]) -> str:
    return f"{short(value(0))} → {short(value(final_epoch(record)))}"


def short(value: float) -> str:
    """A number of any size in about three digits."""
    if value != 0 and not 1e-3 <= abs(value) < 1e5:
        return scientific(value)
    return number(value, max(0, 2 - int(np.floor(np.log10(abs(value) or 1)))))


def largest_fall(record: RunRecord) -> float:
    """How far the kNN accuracy fell in the worst epoch, 0 where it never did."""
    return max(0.0, float(-np.diff(record.figures["test_knn_accuracy"]).min()))
