"""Questions about the toy: asked before they are answered; what an answer needs is trained when it is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from math import sqrt

import streamlit as st

from core.simsiam.toy import CLASSES, TEST_A_CLASS, Run, State, ToyConfig
from pages.shared import controls
from pages.shared.questions import question
from pages.shared.text import N_, _, number
from pages.simsiam.parts.evidence import margin, sign
from pages.simsiam.parts.toy_charts import SIDES
from pages.simsiam.parts.toy_settings import PRESETS, baseline, take
from pages.simsiam.parts.toy_training import runs_of, to_the_end
from pages.simsiam.parts.toy_verdicts import POINT, end_words, verdict

BOTH_THE_SAME = N_("Both sides are the same now: flip a switch, or take a preset.")
LOWER_AND_WORSE = N_(
    "The loss is **lower on the right, and the representation worse**: the loss alone "
    "cannot tell learning from collapse. Look at the spread and the rank."
)
TRAINED_WITH = N_("Both with seed {seed}, d = {d}, {steps} steps, whatever the switches say.")
SIDES_NAMED = {
    "left": N_("the left one"),
    "right": N_("the right one"),
    "alike": N_("both as much"),
}

BASE = ToyConfig()
"""What the questions are answered with: SimSiam as it stands."""

FATES: Mapping[str, str] = {
    "point": N_("it collapses to a point"),
    "learns": N_("it learns as before"),
    "neither": N_("it stays spread out, but learns little"),
}
OPTIONS: dict[str, Mapping[str, str]] = {
    "linear": {
        "learns": N_("it learns as before"),
        "back": N_("it nearly collapses, and comes back"),
        "point": N_("it collapses, and stays so"),
    },
    "norm": {
        "point": N_("the std falls all the same"),
        "nothing": N_("the std stays, and nothing is lost"),
        "rank": N_("the std stays, but the rank falls"),
    },
}
"""Answers to choose from where they are not the ``FATES``."""
QUESTIONS: dict[str, tuple[str, str]] = {
    "no-stop": (
        N_("What will happen without stop-gradient?"),
        N_(
            "The target may now come to meet the prediction. Both move to where every point has the same "
            "z: the loss reaches its best value, and nothing is left to tell points apart."
        ),
    ),
    "no-predictor": (
        N_("What will happen without the predictor, with the gradient still stopped?"),
        N_(
            "z is then its own prediction, and stopping the gradient only halves it: each of the two terms "
            "still pulls the views together. The predictor is as necessary as the stop-gradient."
        ),
    ),
    "neither": (
        N_("And without both?"),
        N_(
            "It falls as without the predictor alone, at twice the gradient: with half the learning rate and "
            "twice the weight decay it is the very same run."
        ),
    ),
    "fixed": (
        N_("What will happen with a predictor that keeps its random weights?"),
        N_(
            "It cannot adapt to z, so the loss stays far from −1. There is no collapse to a point, but "
            "little is learnt either. How little depends on the seed: try a few. The predictor must "
            "be **trained**, not just be there."
        ),
    ),
    "linear": (
        N_("Is a linear predictor enough?"),
        N_(
            "It is, but watch the beginning: the spread falls first, nearly to a collapse, and "
            "comes back as the predictor learns. Weight decay helps it: set it to 0 and the way back is "
            "far longer."
        ),
    ),
    "norm": (
        N_("No stop-gradient, but z is normalised over the batch: can the std still fall?"),
        N_(
            "It cannot: batch normalisation keeps every channel of z at variance 1. Collapse shows "
            "elsewhere: all channels say the same, and the **effective rank** falls. The large networks "
            "on the page *Collapse* have this layer. Here two directions are enough for "
            "five classes, so that neighbours may still tell the classes apart."
        ),
    ),
}


def ask_which_learnt_more(runs: Sequence[Run], own: ToyConfig) -> None:
    """Which run has learnt more: asked first, then read from the figures."""
    first, second = (run.states[-1] for run in runs)
    if runs[0].config == own:
        st.info(_(BOTH_THE_SAME))
        return

    def of_the_figures() -> None:
        for side, last in zip(SIDES, (first, second), strict=True):
            st.markdown("- " + end_words(_(side), last, own.dim))
        if second.loss < first.loss and better(first, second) == "left":
            st.markdown(_(LOWER_AND_WORSE))

    question(
        _("Which of the two has learnt more? Is it the one with the lower loss?"),
        "toy_learnt",
        of_the_figures,
        options=SIDES_NAMED,
        right=lambda: learnt_more(first, second, own.dim),
        of=own,
    )


def learnt_more(first: State, second: State, d: int) -> set[str]:
    """The right option; none where as many neighbours are right, and yet the runs ended differently."""
    ahead = better(first, second)
    open_ = ahead == "alike" and verdict(first, d) != verdict(second, d)
    return set() if open_ else {ahead}


def better(first: State, second: State) -> str:
    """The side whose kNN accuracy is higher, ``left`` or ``right``; ``alike`` within two standard errors."""
    shares = [(state.accuracy, CLASSES * TEST_A_CLASS) for state in (first, second)]
    ahead = sign(first.accuracy - second.accuracy, margin(shares, None))
    return {1: "left", -1: "right", 0: "alike"}[ahead]


def keys() -> list[str]:
    """Of the questions that ask for a prediction."""
    return [f"toy_ask_{code}" for code in QUESTIONS]


def ask(own: ToyConfig, *, answered: bool) -> None:
    """Each asked before it is answered; the answer is trained when it is opened.

    ``answered``: both runs stand above at their end, so that a question about them is none any more.
    """
    st.subheader(_("Predict, then switch"), anchor=False)
    for code, (words, _why) in QUESTIONS.items():
        if answered and own == replace(baseline(own), **PRESETS[code][1]):
            continue
        question(
            _(words),
            f"toy_ask_{code}",
            partial(show_answer, code),
            options=OPTIONS.get(code, FATES),
            right=partial(fate, code),
        )


def trained_runs(code: str) -> tuple[Run, ...]:
    """Both runs of a question, at their end: SimSiam as it stands, and what is asked about.

    With the settings that the words were written for, whatever the switches say.
    """
    runs = runs_of(BASE, replace(BASE, **PRESETS[code][1]))
    to_the_end(runs)
    return runs


def fate(code: str) -> set[str]:
    """The option that the run of a question bears out."""
    states = trained_runs(code)[1].states
    found = verdict(states[-1], BASE.dim)
    if code == "norm":
        return {{"point": "point", "few": "rank"}.get(found, "nothing")}
    if code == "linear" and found == "learnt":
        low = min(state.std for state in states) * sqrt(BASE.dim) < POINT
        return {"back" if low else "learns"}
    return {{"point": "point", "learnt": "learns"}.get(found, "neither")} & OPTIONS.get(
        code, FATES
    ).keys()


def show_answer(code: str) -> None:
    """Both runs of a question, trained now, and what they say."""
    title, changes = PRESETS[code]
    runs = trained_runs(code)
    for name, run in zip((SIDES[0], title), runs, strict=True):
        st.markdown("- " + end_words(_(name), run.states[-1], BASE.dim))
    st.caption(_(TRAINED_WITH).format(seed=BASE.seed, d=BASE.dim, steps=number(BASE.steps, 0)))
    st.markdown(_(QUESTIONS[code][1]))
    controls.act(
        _("Show it on the right"),
        key=f"toy_show_{code}",
        icon=":material/arrow_upward:",
        on_click=take,
        args=(changes,),
    )
