"""What self-supervised runs came to, in numbers and in sentences that say no more than they show."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from core.simsiam.run_record import RunRecord
from pages.shared.text import N_, _, number, percent, scientific
from pages.simsiam.parts import runs
from pages.simsiam.parts.evidence import Runs
from pages.simsiam.parts.run_charts import STATES, above_random, spread_of, state

NOT_HERE = N_("Not in this set of runs: {runs}.")
SHOWS = {
    "needed": N_("It collapses: the part is needed in this run."),
    "learns in part": N_("It collapses in part, and still learns."),
    "not needed": N_("It does not collapse: **this run does not show that the part is needed.**"),
}
"""What a run without a part shows of it."""
FATES = {
    "partly": N_("It collapses in part."),
    "spread": N_("It does not collapse."),
}
"""Of a run that has not learnt, by its state."""
ENDS = {
    "chance": N_("Its kNN accuracy ends above that of random weights by no more than chance."),
    "not above": N_("Its kNN accuracy does not end above that of random weights."),
}
"""Its kNN accuracy, by how it ends next to that of random weights."""
NONE_WITHOUT = N_("**No run here is without {part}**, so these runs do not show what it is for.")
WITHOUT = N_("**Without {part}**: {figures}.")
WITH_IT = N_("With it ({run}): {figures}.")
FIGURES_OF = N_("{state}; kNN accuracy by epoch {knn}, effective rank of z {rank}, std·√d {spread}")

WHO_COLLAPSED = {
    "collapsed": N_("**Collapsed:** {runs}."),
    "partly": N_("**Partly collapsed** (spread or rank is low, not both): {runs}."),
    "spread": N_("**Not collapsed:** {runs}."),
}
WHO_HAS_NOT_LEARNT = {
    "chance": N_(
        "**Above random weights by no more than chance**, in the kNN accuracy by epoch: {runs}."
    ),
    "not above": N_("**Not above random weights**, in the kNN accuracy by epoch: {runs}."),
}

SHARE = 0.2
"""Collapsed: below this share of what it was at epoch 0, unless a visitor moves it."""


def final_epoch(record: RunRecord) -> int:
    """The number of its last epoch."""
    return int(record.epochs[-1])


def value_at(record: RunRecord, column: str, epoch: int = -1) -> float:
    """A figure of a run after an epoch; at its end unless told otherwise."""
    return float(record.figures[column][epoch])


def state_sentences(records: Sequence[RunRecord]) -> list[str]:
    """Who collapsed, and who is not above random weights by more than chance, by name."""
    lines = []
    for code, template in WHO_COLLAPSED.items():
        mine = [r for r in records if state(r, final_epoch(r), SHARE) == code]
        if mine:
            lines.append(_(template).format(runs=names(mine)))
    for code, template in WHO_HAS_NOT_LEARNT.items():
        mine = [r for r in records if above_random(r, final_epoch(r)) == code]
        if mine:
            lines.append(_(template).format(runs=names(mine)))
    return lines


def names(records: Sequence[RunRecord]) -> str:
    """Runs by name, in a list that a sentence can end with."""
    return separator().join(runs.name(record) for record in records)


def names_with(records: Sequence[RunRecord], value: Callable[[RunRecord], str]) -> str:
    """Runs and what is said of each."""
    return separator().join(f"{runs.name(record)} {value(record)}" for record in records)


def separator() -> str:
    """What stands between the members of a list."""
    return _("{a}; {b}").format(a="", b="")


def recipe_names(recipes: Iterable[str]) -> str:
    """Recipes as their runs are called, whether such runs are here or not."""
    looks = runs.LOOKS
    return separator().join(_(looks[one].name) if one in looks else one for one in recipes)


def without(found: Runs, recipe: str, part: str, of: str) -> list[str]:
    """What became of the run without a part, next to the one with it; or that no run is without it."""
    record, whole = found.get(recipe), found.get(of)
    if record is None:
        return [_(NONE_WITHOUT).format(part=part)]
    words = _(WITHOUT).format(part=part, figures=figures_of(record))
    if whole is not None:
        words += " " + _(WITH_IT).format(run=runs.name(whole), figures=figures_of(whole))
    return [f"{words} {what_it_shows(record)}"]


def what_it_shows(record: RunRecord) -> str:
    """What a run without a part says of that part."""
    end = final_epoch(record)
    found, learnt = state(record, end, SHARE), above_random(record, end)
    if found == "collapsed":
        return _(SHOWS["needed"])
    if found == "partly" and learnt == "above":
        return _(SHOWS["learns in part"])
    if learnt == "above":
        return _(SHOWS["not needed"])
    return f"{_(FATES[found])} {_(ENDS[learnt])}"


def figures_of(record: RunRecord) -> str:
    """State, accuracy, rank and spread of a run, each with what it was before training."""
    return _(FIGURES_OF).format(
        state=_(STATES[state(record, final_epoch(record), SHARE)]),
        knn=" → ".join(percent(value_at(record, "test_knn_accuracy", at), 1) for at in (0, -1)),
        rank=" → ".join(number(value_at(record, "test_rank_z", at)) for at in (0, -1)),
        spread=from_to(record, lambda at: spread_of(record, at)),
    )


def peak_rate(record: RunRecord) -> float:
    """The learning rate that a run starts from: it grows with the batch."""
    training = record.bundle.config["training"]
    return training["learning_rate"] * training["batch_size"] / 256


def settings_changed(first: RunRecord, second: RunRecord) -> str:
    """What two runs differ by in d and batch."""
    parts = []
    if first.dim != second.dim:
        parts.append(f"d {number(first.dim, 0)} → {number(second.dim, 0)}")
    if first.batch_size != second.batch_size:
        before, after = (number(record.batch_size, 0) for record in (first, second))
        parts.append(_("batch {before} → {after}").format(before=before, after=after))
    return ", ".join(parts)


def updates_of(*records: RunRecord) -> str:
    """Updates of the weights, run by run: ``40 / 380``."""
    counts = dict.fromkeys(int(record.updates[-1]) for record in records)
    return " / ".join(number(count, 0) for count in counts)


def from_to(record: RunRecord, value: Callable[[int], float]) -> str:
    return f"{short(value(0))} → {short(value(final_epoch(record)))}"


def short(value: float) -> str:
    """A number of any size in about three digits."""
    if value != 0 and not 1e-3 <= abs(value) < 1e5:
        return scientific(value)
    return number(value, max(0, 2 - int(np.floor(np.log10(abs(value) or 1)))))


def largest_fall(record: RunRecord) -> float:
    """How far the kNN accuracy fell in the worst epoch, 0 where it never did."""
    before, after = around_largest_fall(record)
    return max(0.0, before - after)


def around_largest_fall(record: RunRecord) -> tuple[float, float]:
    """The kNN accuracies before and after the epoch in which it fell most."""
    accuracy, at = record.figures["test_knn_accuracy"], before_largest_fall(record)
    return float(accuracy[at]), float(accuracy[at + 1])


def before_largest_fall(record: RunRecord) -> int:
    """The epoch after which the kNN accuracy fell most."""
    return int(np.diff(record.figures["test_knn_accuracy"]).argmin())
