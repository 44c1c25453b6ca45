"""Has it collapsed, and is a low loss good news: what runs amount to at an epoch, in a table and in words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import streamlit as st

from core.simsiam.run_record import RunRecord
from pages.shared import controls, figures
from pages.shared.figures import Column
from pages.shared.text import N_, _, number, percent
from pages.simsiam.parts import run_charts, runs
from pages.simsiam.parts.evidence import Runs
from pages.simsiam.parts.findings import SHARE, final_epoch, value_at
from pages.simsiam.parts.run_charts import (
    STATES,
    above_random,
    has_learnt,
    spread_of,
    state,
    tests,
)

PAIR_ENDS = {
    "shown": N_(
        "Two of the runs above end with losses of {low} and {high}. Which network would you keep?"
    ),
    "of the set": N_(
        "Two runs of this set end with losses of {low} and {high}. Which network would you keep?"
    ),
    "elsewhere": N_(
        "Two runs of another set ({set}) end with losses of {low} and {high}. Which network would you "
        "keep?"
    ),
}
"""What is asked of two runs, by where they are."""
THAT_WITH = N_("that with {loss}")
LOSS_DOES_NOT_TELL = N_("the loss does not tell")
NOT_THE_BETTER = N_("**The lower loss is not the better network** ({words}).")
AGREEMENT = N_(
    "A network that gives the same answer to every picture has a loss of exactly −1: "
    "two views of a picture always agree when everything agrees. The loss measures "
    "agreement and never asks whether there is anything to agree about."
)
OF_THE_PAIR = N_(
    "**{run}**: loss {loss}, kNN accuracy {knn} (random weights: {before}), std·√d {spread}, "
    "effective rank {rank}."
)
RULE = N_(
    "✓: below {share} of what it was at the run's own epoch 0. Collapsed: spread and effective rank "
    "both are; partly collapsed: one of them is."
)

# Methods whose loss is a mean of negative cosines, from -1 to 1; others have other losses.
NEGATIVE_COSINE = ("simsiam", "dssl")
STATE_WORDS = {
    "collapsed": N_("**{run}** has **collapsed**: {spread}, {rank}."),
    "partly": N_("**{run}** is **partly collapsed**: {spread}, {rank}."),
    "spread": N_("**{run}** has **not collapsed**: {spread}, {rank}."),
}
KNN_WORDS = {
    "above": N_(
        "Its kNN accuracy, {accuracy}, is above that of random weights, {before}, by more than chance."
    ),
    "chance": N_(
        "Its kNN accuracy, {accuracy}, is above that of random weights, {before}, by no more than the "
        "chance of {pictures} test pictures."
    ),
    "below": N_("Its kNN accuracy, {accuracy}, is below that of random weights, {before}."),
    "equal": N_("Its kNN accuracy, {accuracy}, is that of random weights."),
}
TICKS = {True: "✓", False: figures.NOTHING}


# ---------------------------------------------------------------- has it collapsed?


def verdict(records: Sequence[RunRecord], epoch: int) -> None:
    """The rule with its threshold, and what it says of every run."""
    with st.container(width=420):
        share = controls.real(
            _("Call it low below this share of its start"),
            0.05,
            0.95,
            SHARE,
            "collapse_share",
            help=_("A convention, so it can be moved. Every run is compared with its own start."),
        )
    rows = [_row(record, epoch, share) for record in records]
    figures.table(rows, _columns(records, epoch), "collapse_state")
    figures.about(
        run_charts.provenance(records, epoch, {_("rule"): _rule(share)}),
        "collapse_state",
        rows=lambda: rows,
    )
    st.markdown(
        "\n".join(f"- {in_words(record, epoch, share)}" for record in records)
        + f"\n\n{_rule(share)}"
    )


def _columns(records: Sequence[RunRecord], epoch: int) -> list[Column]:
    """The table's; updates only where runs took different numbers of them."""
    counted = len({int(record.updates[epoch]) for record in records}) > 1
    return [
        Column("name", _("run")),
        Column("state", _("state"), lambda code: _(STATES[code])),
        Column("spread_is_low", _("spread low"), TICKS.get),
        Column("rank_is_low", _("rank low"), TICKS.get),
        Column("train_loss", _("loss"), _loss),
        Column("test_knn_accuracy", _("kNN accuracy"), lambda share: percent(share, 1)),
        Column("std_z_sqrt_d", _("std(z) √d"), figures.digits(2)),
        Column("test_rank_z", _("rank of z"), figures.digits(1)),
        *([Column("updates", _("updates"), figures.digits(0))] if counted else []),
    ]


def _row(record: RunRecord, epoch: int, share: float) -> dict[str, object]:
    low = tests(record, epoch, share)
    return {
        "run": record.recipe,
        "name": runs.name(record),
        "bundle": record.bundle.name,
        "hash": record.bundle.digest,
        "epoch": epoch,
        "updates": int(record.updates[epoch]),
        **{name: float(values[epoch]) for name, values in record.figures.items()},
        "std_z_sqrt_d": spread_of(record, epoch),
        "spread_is_low": low[0],
        "rank_is_low": low[1],
        "state": state(record, epoch, share),
    }


def _rule(share: float) -> str:
    return _(RULE).format(share=percent(share))


def in_words(record: RunRecord, epoch: int, share: float) -> str:
    """State of a run with both tests, and its kNN accuracy next to that before its first step."""
    ticks = [f" {TICKS[True]}" if low else "" for low in tests(record, epoch, share)]
    rank = record.figures["test_rank_z"]
    words = _(STATE_WORDS[state(record, epoch, share)]).format(
        run=runs.name(record),
        spread=_("spread {before} → {now}").format(
            before=number(spread_of(record, 0), 2), now=number(spread_of(record, epoch), 2)
        )
        + ticks[0],
        rank=_("effective rank {before} → {now}").format(
            before=number(rank[0]), now=number(rank[epoch])
        )
        + ticks[1],
    )
    if epoch == 0:
        return words
    before, now = (value_at(record, "test_knn_accuracy", at) for at in (0, epoch))
    found = above_random(record, epoch)
    if found == "not above":
        found = "below" if now < before else "equal"
    return f"{words} " + _(KNN_WORDS[found]).format(
        accuracy=percent(now, 1), before=percent(before, 1), pictures=number(record.queries, 0)
    )


def _loss(value: float) -> str:
    return figures.NOTHING if np.isnan(value) else number(value, 3)


# ---------------------------------------------------------------- is a low loss good news?


def telling_pair(
    found: Iterable[Runs], shown: Sequence[RunRecord] = ()
) -> tuple[RunRecord, RunRecord] | None:
    """Two runs of one set whose losses mislead: the first one learnt, the other has the lower loss and
    collapsed.

    Of all such pairs one of two runs that are ``shown``, or else one with the baseline; among equals the one
    whose first loss is lowest, then its second. None where there is none.
    """
    seen = {record.recipe for record in shown}
    pairs = []
    for one in found:
        shared = [record for record in one.values() if record.method in NEGATIVE_COSINE]
        learnt = [r for r in shared if has_learnt(r, final_epoch(r))]
        collapsed = [
            r
            for r in shared
            if state(r, final_epoch(r), SHARE) == "collapsed" and not has_learnt(r, final_epoch(r))
        ]
        pairs += [(good, bad) for good in learnt for bad in collapsed if _end(bad) < _end(good)]

    def rank(pair: tuple[RunRecord, RunRecord]) -> tuple[object, ...]:
        good, bad = pair
        hidden = 2 - (good.recipe in seen) - (bad.recipe in seen)
        return hidden, good.recipe != "baseline", _end(good), _end(bad)

    return min(pairs, key=rank, default=None)


def _end(record: RunRecord) -> float:
    return value_at(record, "train_loss")


def loss_question(
    pair: tuple[RunRecord, RunRecord] | None,
    shown: Sequence[RunRecord] = (),
    *,
    elsewhere: bool = False,
) -> tuple[str, dict[str, str]]:
    """What is asked of the pair, without saying which is which, and what may be answered.

    ``shown``: the runs of the figures. ``elsewhere``: the pair is of another set than that of the figures.
    """
    if pair is None:
        return _("Would you keep the network with the lower loss?"), {
            "lower": N_("yes"),
            "higher": N_("no"),
            "either": LOSS_DOES_NOT_TELL,
        }
    high, low = (number(value_at(record, "train_loss"), 2) for record in pair)
    seen = {record.recipe for record in shown}
    place = "shown" if {record.recipe for record in pair} <= seen else "of the set"
    words = _(PAIR_ENDS["elsewhere" if elsewhere else place])
    return words.format(low=low, high=high, set=runs.words(pair[0])), {
        "lower": _(THAT_WITH).format(loss=low),
        "higher": _(THAT_WITH).format(loss=high),
        "either": LOSS_DOES_NOT_TELL,
    }


def low_loss(pair: tuple[RunRecord, RunRecord] | None) -> None:
    """Is a low loss good news? Answered by two runs whose losses mislead."""
    if pair is None:
        st.markdown(
            _(
                "No run here has collapsed with a lower loss than one that has learnt: these runs cannot tell."
            )
        )
    else:
        good, bad = pair
        st.markdown(
            f"- {_of_the_pair(good)}\n- {_of_the_pair(bad)}\n\n"
            + _(NOT_THE_BETTER).format(words=runs.words(good))
        )
    st.markdown(_(AGREEMENT))


def _of_the_pair(record: RunRecord) -> str:
    return _(OF_THE_PAIR).format(
        run=runs.name(record),
        loss=number(value_at(record, "train_loss"), 2),
        knn=percent(value_at(record, "test_knn_accuracy"), 1),
        before=percent(value_at(record, "test_knn_accuracy", 0), 1),
        spread=number(spread_of(record, final_epoch(record)), 2),
        rank=number(value_at(record, "test_rank_z")),
    )
