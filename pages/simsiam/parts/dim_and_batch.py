"""d and the batch: the same epochs are not the same updates, so runs are compared at both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st

from core.simsiam.run_record import RunRecord
from pages.shared import figures
from pages.shared.figures import Column
from pages.shared.text import N_, _, number, percent
from pages.simsiam.parts import run_charts, runs
from pages.simsiam.parts.evidence import (
    Chance,
    Knn,
    Runs,
    at_the_end,
    by_picture,
    chance_in_words,
    comparison,
    margin,
    over_pictures,
    sign,
)
from pages.simsiam.parts.findings import final_epoch, recipe_names, value_at

AT_EQUAL_EPOCHS = N_("**At equal epochs** ({few} / {many} updates). {words}")
AT_EQUAL_UPDATES = N_("**At equal updates** ({few} / {many}). {words}")
LACKING = N_("This set lacks the run that would tell: **{run}**.")
CUT = {
    1: N_(
        "**At equal updates** ({few} / {many}): {a} has the higher kNN accuracy, {x} against {y} of "
        "{b} after epoch {epoch}."
    ),
    -1: N_(
        "**At equal updates** ({few} / {many}): {a} has the lower kNN accuracy, {x} against {y} of "
        "{b} after epoch {epoch}."
    ),
    0: N_(
        "**At equal updates** ({few} / {many}): {a}, {x}, and {b} after epoch {epoch}, {y}, "
        "differ by no more than chance."
    ),
}
"""What a whole run is next to one that is cut, by the sign of what they differ by."""
RATE_STILL_HIGH = N_(
    "The learning rate of the shortened run was still high, as it was planned for more updates."
)

KNN: Knn = "knn_by_epoch"
"""Of which kNN accuracy all of this speaks: runs that are cut short have no other."""
PAIRS = (
    ("baseline", "batch-4096", "few-updates"),
    ("dim-4096", "dim-4096-batch-4096", "dim-4096-few-updates"),
)
"""For each d: the usual batch, the large one, and the usual one with as few updates as the large one."""


@dataclass(frozen=True)
class Cut:
    """A run up to an epoch."""

    record: RunRecord
    epoch: int

    @property
    def whole(self) -> bool:
        return self.epoch == final_epoch(self.record)

    @property
    def updates(self) -> int:
        return int(self.record.updates[self.epoch])

    @property
    def share(self) -> tuple[float, int]:
        """Its kNN accuracy by epoch, and of how many test pictures."""
        return value_at(self.record, "test_knn_accuracy", self.epoch), self.record.queries


def at_equal_updates(first: RunRecord, second: RunRecord) -> tuple[Cut, Cut]:
    """Both runs, the longer one cut at the last epoch with no more updates than the other took."""
    fewest = int(min(first.updates[-1], second.updates[-1]))
    return Cut(first, first.epoch_of(fewest)), Cut(second, second.epoch_of(fewest))


def lines(found: Runs) -> list[Cut]:
    """What the table shows: every run of either d in whole, then the usual batch with fewer updates."""
    made = []
    for usual, large, few in PAIRS:
        made += [Cut(found[r], final_epoch(found[r])) for r in (usual, large, few) if r in found]
        if usual in found and large in found and few not in found:
            shortened, _whole = at_equal_updates(found[usual], found[large])
            if not shortened.whole and shortened.epoch > 0:
                made.append(shortened)
    return made


def table(cuts: Sequence[Cut]) -> None:
    """Every run with its updates and what it came to."""
    rows = [
        {
            "run": cut.record.recipe,
            "bundle": cut.record.bundle.name,
            "hash": cut.record.bundle.digest,
            "d": cut.record.dim,
            "batch": cut.record.batch_size,
            "epochs": cut.epoch,
            "updates": cut.updates,
            "knn_by_epoch": cut.share[0],
            "linear_probe": at_the_end(cut.record, "linear_accuracy")[0] if cut.whole else None,
        }
        for cut in cuts
    ]
    figures.table(
        rows,
        [
            Column("d", "d", figures.digits(0)),
            Column("batch", _("batch"), figures.digits(0)),
            Column("epochs", _("epochs"), figures.digits(0)),
            Column("updates", _("updates"), figures.digits(0)),
            Column("knn_by_epoch", f"kNN, {over_pictures(cuts[0].record, KNN)}", _percent),
            Column("linear_probe", _("linear probe"), _percent),
        ],
        "collapse_dim_batch_table",
    )
    figures.about(
        run_charts.provenance([cut.record for cut in cuts], None, {}),
        "collapse_dim_batch_table",
        rows=lambda: rows,
    )


def _percent(share: float) -> str:
    return percent(share, 1)


def helps(found: Runs) -> set[str]:
    """What lifts the kNN accuracy of the baseline by more than chance: ``dim``, ``batch``, ``both``, or
    ``none``; nothing at all where one of the three runs is missing.
    """
    (usual, batch, _few), (dim, both, _wide_few) = PAIRS
    tried = {"dim": dim, "batch": batch, "both": both}
    if not {usual, *tried.values()} <= found.keys():
        return set()
    chance = Chance.of(found)
    better = {
        code
        for code, recipe in tried.items()
        if chance.verdict(KNN, found[recipe], found[usual]) > 0
    }
    return better or {"none"}


def sentences(found: Runs) -> list[str]:
    """What d does at either batch, and what the batch does at equal epochs and at equal updates."""
    chance = Chance.of(found)
    (usual, large, _few), (wide, wide_large, _wide_few) = PAIRS
    told = []
    for first, second in ((wide, usual), (wide_large, large)):
        if first in found and second in found:
            told.append(comparison(found[first], found[second], chance, KNN))
    for pair in PAIRS:
        told += of_the_batch(found, pair, chance)
    return told


def of_the_batch(found: Runs, pair: tuple[str, str, str], chance: Chance) -> list[str]:
    """The large batch of one d next to the usual one: after as many epochs, after as many updates."""
    usual, large, few = (found.get(recipe) for recipe in pair)
    if usual is None or large is None:
        return []
    counts = {"few": number(large.updates[-1], 0), "many": number(usual.updates[-1], 0)}
    told = [_(AT_EQUAL_EPOCHS).format(words=comparison(large, usual, chance, KNN), **counts)]
    if few is not None:
        counts = {"few": number(large.updates[-1], 0), "many": number(few.updates[-1], 0)}
        told.append(_(AT_EQUAL_UPDATES).format(words=comparison(large, few, chance, KNN), **counts))
        return told
    shortened, whole = at_equal_updates(usual, large)
    if not shortened.whole and shortened.epoch > 0:
        told.append(of_a_cut(shortened, whole, chance))
    return [*told, _(LACKING).format(run=recipe_names([pair[2]]))]


def of_a_cut(shortened: Cut, whole: Cut, chance: Chance) -> str:
    """A run that is cut short next to a whole one."""
    difference = whole.share[0] - shortened.share[0]
    between = chance.between_seeds_after(shortened.epoch)
    paired = by_picture(KNN, [whole.record, shortened.record], [whole.epoch, shortened.epoch])
    found = sign(difference, margin([whole.share, shortened.share], between, paired))
    said_of_both = _(CUT[found]).format(
        a=runs.subject(whole.record),
        b=runs.subject(shortened.record),
        x=percent(whole.share[0], 1),
        y=percent(shortened.share[0], 1),
        few=number(whole.updates, 0),
        many=number(shortened.updates, 0),
        epoch=shortened.epoch,
    )
    return f"{said_of_both} " + _(RATE_STILL_HIGH)


def answer(found: Runs) -> None:
    """The runs of both d and both batches, and what they say."""
    cuts = lines(found)
    table(cuts)
    st.markdown("\n".join(f"- {line}" for line in sentences(found)))
    usual = found.get("baseline") or cuts[0].record
    st.caption(chance_in_words(usual, Chance.of(found), KNN))
    st.markdown(
        _(
            "**d** is the number of channels of z. The cosine compares two directions in whatever space "
            "they lie, and nothing in it asks channels to differ, so that more channels need not change "
            "much. **The batch** acts in three ways: through batch normalisation, "
            "through the learning rate, which grows with it, and through the number of updates, which "
            "falls as it grows. At equal updates the last one plays no part."
        )
    )


def can_be_asked(found: Runs) -> bool:
    """Whether a run of another d or batch is here."""
    others = {recipe for pair in PAIRS for recipe in pair} - {"baseline"}
    return "baseline" in found and bool(others & found.keys())
