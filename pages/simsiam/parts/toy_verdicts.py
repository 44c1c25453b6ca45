"""What has become of a toy run, by stated rules: one run in words, and several seeds at a glance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import sqrt

import streamlit as st
from plotly.subplots import make_subplots

from core.simsiam.toy import State, ToyConfig, train
from pages.shared import controls, figures, library, live, shape
from pages.shared.text import N_, _, number, percent
from pages.simsiam.parts.toy_charts import SIDES, class_traces
from pages.simsiam.parts.toy_settings import baseline, difference_words
from pages.simsiam.parts.toy_training import AT_ONCE, REACH

SAID = N_(
    "{run}: loss {loss}, std {std} of 1/√d, effective rank {rank} of {d}, kNN accuracy {share}. "
    "**Verdict: {verdict}.**"
)

# Below so much of 1/sqrt(d), or of d, or above this loss, a run is said to have collapsed to a point, to a
# few directions, or not to have converged.
POINT, FEW_DIRECTIONS, UNCONVERGED, TOLD = 0.2, 0.55, -0.8, 0.9
VERDICTS: dict[str, str] = {
    "point": N_("collapse to a point: every z points the same way"),
    "unconverged": N_("no collapse, but no convergence either: the loss stays high"),
    "few": N_("collapse to a few directions: channels repeat each other"),
    "learnt": N_("learnt: z is spread out, and neighbours share a class"),
    "apart": N_("spread out, but the classes are not told apart"),
}
COUNTED: dict[str, str] = {
    "point": N_("{count} of {all} collapse to a point"),
    "unconverged": N_("{count} of {all} do not converge"),
    "few": N_("{count} of {all} collapse to a few directions"),
    "learnt": N_("{count} of {all} learn"),
    "apart": N_("{count} of {all} stay spread out and do not tell the classes apart"),
}
SEEDS = range(8)
KEPT = 512
"""Ends of runs that are kept for all visitors; each is a few kilobytes."""


def verdict(last: State, d: int) -> str:
    """A code of ``VERDICTS``."""
    if last.std * sqrt(d) < POINT:
        return "point"
    if last.loss > UNCONVERGED:
        return "unconverged"
    if last.rank < FEW_DIRECTIONS * d:
        return "few"
    return "learnt" if last.accuracy >= TOLD else "apart"


def end_words(name: str, last: State, d: int) -> str:
    return _(SAID).format(
        run=name,
        loss=number(last.loss, 2),
        std=number(last.std * sqrt(d), 2),
        rank=number(last.rank),
        d=d,
        share=percent(last.accuracy),
        verdict=_(VERDICTS[verdict(last, d)]),
    )


# ---------------------------------------------------------------- several seeds


@dataclass(frozen=True)
class Seeds:
    """The ends of runs that differ in their seed: of SimSiam, and of the visitor's switches."""

    plain: tuple[State, ...]
    own: tuple[State, ...]

    @property
    def seconds(self) -> float:
        """Of work alone: while it is stopped, no time goes by."""
        return sum(state.seconds for state in (*self.plain, *self.own))

    @property
    def total(self) -> int:
        return 2 * len(SEEDS)

    @property
    def done(self) -> int:
        return len(self.plain) + len(self.own)

    @property
    def finished(self) -> bool:
        return self.done == self.total


def end_of(config: ToyConfig) -> State:
    """The last state of a run, trained once for all visitors."""

    def train_to_the_end() -> State:
        *_before, last = train(config)
        return last

    return library.answers("toy_ends", KEPT).ask(config, train_to_the_end)


def over_seeds(own: ToyConfig) -> Iterator[Seeds]:
    """One run after the other, the two sides in turn."""
    ends: tuple[list[State], list[State]] = ([], [])
    for seed in SEEDS:
        for config, side in zip((baseline(own), own), ends, strict=True):
            side.append(end_of(replace(config, seed=seed)))
            yield Seeds(tuple(ends[0]), tuple(ends[1]))


def tally_of_ends(ends: Sequence[State], d: int) -> str:
    """How many of the runs came to which end, the most frequent one first."""
    codes = Counter(verdict(last, d) for last in ends).most_common()
    return ", ".join(_(COUNTED[code]).format(count=count, all=len(ends)) for code, count in codes)


def strip(own: ToyConfig) -> None:
    """Whether one seed was chance: the same two runs from eight others, when somebody asks."""
    own = replace(own, seed=0, steps=min(own.steps, AT_ONCE))
    st.subheader(_("Is it chance?"), anchor=False)
    wanted = controls.act(
        _("Train both from {count} seeds").format(count=len(SEEDS)),
        key="toy_seeds_go",
        icon=":material/replay:",
        help=_("Seeds 0 to {last}, {steps} steps each; other visitors find them trained.").format(
            last=SEEDS[-1], steps=number(own.steps, 0)
        ),
    )
    place = st.empty()
    begin = lambda: over_seeds(own)  # noqa: E731
    shown = live.answer(
        own, begin, "toy_seeds", place, lambda now: ends(now, own, "live"), wanted=wanted
    )
    if shown is not None:
        ends(shown, own, "all")
        rows = [
            {
                "run": side,
                "seed": seed,
                "verdict": verdict(last, own.dim),
                "loss": last.loss,
                "std": last.std,
                "effective_rank": last.rank,
                "neighbours_accuracy": last.accuracy,
            }
            for side, states in (("simsiam", shown.plain), ("own", shown.own))
            for seed, last in zip(SEEDS, states, strict=False)  # some may be still to come
        ]
        source = _(
            "toy SimSiam · seeds 0 to {last} · steps: {steps} · on the right {changed}"
        ).format(
            last=SEEDS[-1], steps=number(own.steps, 0), changed=difference_words(own, _("the same"))
        )
        figures.about(source, "toy_seeds", rows=lambda: rows)


def ends(now: Seeds, own: ToyConfig, name: str) -> None:
    """The last cloud of every run that is at its end, small, and how many came to which end.

    ``name``: of the figure, which may be shown on the way and at the end in one run of the page.
    """
    names = [f"**{_(side)}:** " for side in SIDES]
    for side, states in zip(names, (now.plain, now.own), strict=True):
        if states:
            st.markdown(side + tally_of_ends(states, own.dim) + ".")
    count = len(SEEDS)
    figure = make_subplots(rows=2, cols=count, horizontal_spacing=0.01, vertical_spacing=0.04)
    for row, states in enumerate((now.plain, now.own), start=1):
        for column, state in enumerate(states, start=1):
            for trace in class_traces(state.plane, state.labels):
                trace.marker.size, trace.marker.line.width = 4, 0
                figure.add_trace(trace, row=row, col=column)
    shared = {"showticklabels": False, "showgrid": False, "zeroline": False, "fixedrange": True}
    frame = {"showline": True, "linecolor": "rgba(128,128,128,0.4)", "mirror": True}
    figure.update_xaxes(range=[-REACH, REACH], **shared, **frame)
    figure.update_yaxes(range=[-REACH, REACH], **shared, **frame)
    figure.update_layout(height=230, margin={"l": 0, "r": 0, "t": 4, "b": 0})
    alt = _("z at the end from every seed: SimSiam above, your switches below")
    with shape.figure("toy_seeds", alt):
        st.plotly_chart(
            figure,
            key=f"toy_seeds_{name}_{now.done}",
            alt=alt,
            config={"displayModeBar": False},
        )
