"""One step in slow motion: who moves, with and without stop-gradient, with and without a predictor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import streamlit as st

from core.simsiam import simsiam
from core.simsiam.slow_motion import PLANE, Moment, pulls, slow_motion, towards, turning
from core.simsiam.toy import A_CLASS, CLASSES, Networks, ToyConfig, parameters
from pages.browser import cosine, curves
from pages.browser import slow_motion as drawn
from pages.browser.curves import Axis, Series
from pages.browser.film import STOP
from pages.browser.timeline import timeline
from pages.shared import controls, figures, library, links, shape
from pages.shared.colours import BLUE, GREEN, PINK, VERMILION
from pages.shared.questions import question, unanswered
from pages.shared.text import N_, _, coloured, formula, mechanism, number, percent, plain_errors

FATES = {
    "stays": N_("the cloud stays: {names}"),
    "returns": N_("it shrinks and comes back: {names}"),
    "shrinks": N_("it shrinks to one place: {names}"),
    "between": N_("it ends smaller than it was: {names}"),
}
"""What has become of clouds, by ``fate``."""
TWO_PARTS = N_(
    "**It takes two parts.** With stop-gradient **no arrow leads the target** to the prediction: "
    "the loss turns only the side that predicts, in either half. That is not enough: without a "
    "predictor the arrow of the target is taken away, too, and the one that is left points "
    "straight at the other view. **A predictor bends that arrow**, so that the two views are no "
    "longer pulled straight together. One shared place for all is still a perfect answer; the "
    "arrows that are left do not lead there."
)
SPREAD_AFTER = N_("Spread after {step} steps: {spreads}.")
NO_PREDICTOR = N_(
    "**Without a predictor, the stop-gradient takes away one of two equal arrows:** z₁ is its own "
    "prediction, and both arrows turn a view towards the other one (press *Both halves of the "
    "loss*). **A predictor bends the arrow that is left.** Views that it turns towards the other "
    "one, after {step} steps: {share}; without a predictor: {all}."
)

STEPS, RATE = 60, 0.02
"""So low a learning rate that a collapse takes some twenty steps."""
KEPT = 32
STEP, FIGURE = "toy_slow_step", "toy_slow"
PAIR, HALVES, NEAR = "toy_pair", "toy_halves", "toy_near"
COMPARE, SEED, ASK = "toy_compare", "toy_slow_seed", "toy_slow_ask"
ANSWERED_WITH = 0
"""The seed whose networks the answer is told of."""
STAYS, SHRINKS = 0.8, 0.2
"""Shares of the spread that a cloud began with: one that never falls to the first stays, and one that ends
below the second has shrunk."""
A_CLASS_SHOWN = 6
NETWORKS: dict[str, tuple[str, Mapping[str, object]]] = {
    "plain": (N_("stop-gradient and predictor"), {}),
    "no-stop": (N_("no stop-gradient"), {"stop_gradient": False}),
    "no-predictor": (N_("no predictor"), {"predictor": "identity"}),
    "neither": (
        N_("neither of them"),
        {"stop_gradient": False, "predictor": "identity"},
    ),
}
LOOKS = {
    "plain": (GREEN, "solid"),
    "no-stop": (VERMILION, "dash"),
    "no-predictor": (BLUE, "dot"),
    "neither": (PINK, "dashdot"),
}
COMPARED: dict[str, str] = {
    "stop": N_("stop-gradient"),
    "predictor": N_("predictor"),
    "all": N_("all four"),
}
CODES: dict[str, tuple[str, ...]] = {
    "stop": ("plain", "no-stop"),
    "predictor": ("plain", "no-predictor"),
    "all": tuple(NETWORKS),
}
RULES: dict[tuple[str, ...], str] = {
    CODES["stop"]: N_(
        "**With stop-gradient the cloud stays; without it, it shrinks to one place.**"
    ),
    CODES["predictor"]: N_(
        "**With a predictor the cloud stays; without one, it shrinks to one place.**"
    ),
    CODES["all"]: N_("**Only with both parts does the cloud stay.**"),
}
"""What is said of the networks compared, where those of this seed show it."""


def config_of(code: str, seed: int = 0) -> ToyConfig:
    """A network of the slow motion: that of the other view of the page, in the plane and slower."""
    changes = NETWORKS[code][1]
    return ToyConfig(dim=PLANE, learning_rate=RATE, steps=STEPS, seed=seed, **changes)


def moments(code: str, seed: int) -> tuple[Moment, ...]:
    """All steps of a network, taken once for all visitors."""
    config = config_of(code, seed)
    return library.answers("toy_slow", KEPT).ask(config, lambda: tuple(slow_motion(config)))


def points_shown() -> list[int]:
    """A few points of every class."""
    return [c * A_CLASS + k for c in range(CLASSES) for k in range(A_CLASS_SHOWN)]


def typical(run: Sequence[Moment], points: Sequence[int]) -> int:
    """The place among ``points`` of the one whose prediction lies, over all steps, as far from its target as
    that of most points: a single pair may go the other way until the last step.
    """
    angles = np.array([(one.p[0] - one.z[1])[list(points)] for one in run])
    cosines = np.cos(angles)  # (steps, points)
    away = np.abs(cosines - np.median(cosines, axis=1, keepdims=True))
    return int(away.mean(axis=0).argmin())


# ---------------------------------------------------------------- the figure


def slow(compared: str) -> None:
    """The timeline and all that moves with it: runs again by itself."""
    with plain_errors(), st.container():
        figure = st.container()
        with controls.popover(_("Seed"), icon=":material/casino:"):
            seed = controls.seed(SEED)
        with figure:
            found, point = moving(CODES[compared], seed)
        step = st.session_state[STEP]
        source = _(
            "toy SimSiam in the plane, {count} parameters at most · seed: {seed} · learning rate: {rate}"
        ).format(count=parameters(config_of("plain")), seed=seed, rate=number(RATE, 2))
        st.markdown(reading_guide())
        st.markdown(step_words(compared, found, step, ends=not unanswered(ASK)))
        spreads(found)
        figures.about(source, FIGURE, rows=lambda: rows_of(found, point))


def moving(codes: Sequence[str], seed: int) -> tuple[dict[str, tuple[Moment, ...]], int]:
    """The timeline and the circles; returns what they show, and the point with arrows."""
    with st.spinner(_("Training …")):
        found = {code: moments(code, seed) for code in codes}
    timeline(_("Step"), range(STEPS + 1), STEP, default=0, sticky=True)
    points = points_shown()
    start = typical(found["plain"], points)
    places = range(len(points))
    pair = links.restore_number(PAIR, _("Another pair"), places, start, follows=True)
    halves = links.restore_number(HALVES, _(drawn.BOTH_HALVES), (0, 1), 0)

    near = links.restore_number(NEAR, _("Magnify"), (0, 1), 0)

    def take_choices() -> None:
        other, whole, close = drawn.choices(FIGURE)
        if other in range(len(points)) and whole in (False, True) and close in (False, True):
            st.session_state[PAIR] = other
            st.session_state[HALVES], st.session_state[NEAR] = int(whole), int(close)

    drawn.show(
        FIGURE,
        STEP,
        [
            drawn.Panel(
                code,
                _(NETWORKS[code][0]),
                config_of(code).stop_gradient,
                config_of(code).predictor != "identity",
                found[code],
            )
            for code in codes
        ],
        points,
        pair,
        bool(halves),
        bool(near),
        take_choices,
    )
    links.keep_numbers({PAIR: (pair, start), HALVES: (halves, 0), NEAR: (near, 0)})
    return found, points[pair]


def reading_guide() -> str:
    """What every mark of the figure means: places, the wedge, the four kinds of arrow, dots and lines."""
    return _(
        "**How to read it.** The loss sees directions alone, so every output is a place on a circle: "
        "z₁ and z₂ are two views of one point, p₁ is the prediction that is made of z₁; the grey wedge is "
        "the angle between p₁ and its target z₂. The green arrow at p₁ shows how the loss turns the "
        "prediction. The **solid arrow** at z₁ shows how it turns the side that predicts. The arrow at z₂ "
        "shows how it turns the target: it is **dashed where it acts, and dotted where the stop-gradient "
        "takes it away**. Grey dots are views of other points, green dots all predictions; lines along the "
        "circle show where the next step takes them."
    )


def step_words(
    compared: str, found: Mapping[str, Sequence[Moment]], step: int, *, ends: bool = True
) -> str:
    """What the networks show at a step and at the last one, in numbers of theirs; ``ends``: what becomes of
    each, too, which the page asks about.
    """
    now = {code: run[step] for code, run in found.items()}
    share = {code: percent(one.towards) for code, one in now.items()}
    if compared == "stop":
        words = _(
            "**With stop-gradient, the loss turns only the side that predicts.** z₂ still moves, because "
            "one set of weights moves all, and because it is the side that predicts in the other half of "
            "the loss. Without it the target is turned towards the prediction as well: the two sides walk "
            "towards each other."
        )
    elif compared == "predictor":
        words = _(NO_PREDICTOR).format(
            step=number(now["plain"].step, 0), share=share["plain"], all=share["no-predictor"]
        )
    else:
        words = ""
    fate_of_each = f"{fates(found)} " if ends else ""
    return f"{words}\n\n{fate_of_each}{spread_words(found, step)}".strip()


def fate(run: Sequence[Moment]) -> Literal["stays", "returns", "shrinks", "between"]:
    """What becomes of a cloud, by its spread on the way and at the last step."""
    shares = [one.spread / run[0].spread for one in run]
    if min(shares) > STAYS:
        return "stays"
    end = shares[-1]
    return "returns" if end > STAYS else "shrinks" if end < SHRINKS else "between"


def fates(found: Mapping[str, Sequence[Moment]]) -> str:
    """Which clouds stay and which shrink; in one sentence where only that of ``plain`` stays."""
    seen = {code: fate(run) for code, run in found.items()}
    if all(one == ("stays" if code == "plain" else "shrinks") for code, one in seen.items()):
        return _(RULES[tuple(found)])
    parts = [
        _(words).format(names=", ".join(_(NETWORKS[c][0]) for c in found if seen[c] == one))
        for one, words in FATES.items()
        if one in seen.values()
    ]
    return _("**With this seed:** {parts}.").format(parts="; ".join(parts))


def spread_words(found: Mapping[str, Sequence[Moment]], step: int) -> str:
    """The spread of every network at a step, and at the last one."""

    def at(place: int) -> str:
        return ", ".join(
            " ".join([_(NETWORKS[code][0]), number(run[place].spread, 2)])
            for code, run in found.items()
        )

    first = _(SPREAD_AFTER)
    said = [first.format(step=number(found["plain"][step].step, 0), spreads=at(step))]
    if step != STEPS:
        said.append(first.format(step=number(STEPS, 0), spreads=at(-1)))
    return " ".join(said)


def spreads(found: Mapping[str, Sequence[Moment]]) -> None:
    """The spread of every network by step."""
    curves.chart(
        "toy_slow_spread",
        STEP,
        [
            Series(
                _(NETWORKS[code][0]),
                np.array([one.step for one in run]),
                np.array([one.spread for one in run]),
                LOOKS[code][0],
                dash=LOOKS[code][1],
            )
            for code, run in found.items()
        ],
        Axis(_("step"), whole=True),
        Axis(_("spread (0: one place, 1: everywhere)"), span=(0, 1.1)),
        _("Spread of z by step"),
        now=_("step {step}").format(step=STOP),
        height=300,
    )


def rows_of(found: Mapping[str, Sequence[Moment]], point: int) -> list[dict]:
    """Numbers of every network by step, and those of the pair with arrows; radians, and pulls per radian."""
    parts = ("z", "p", "asked", "predicts", "target")
    return [
        {
            "network": code,
            "step": one.step,
            "loss": one.loss,
            "spread": one.spread,
            "share_towards_the_other_view": one.towards,
            **{
                f"{part}_{view + 1}": float(getattr(one, part)[view, point])
                for part in parts
                for view in (0, 1)
            },
        }
        for code, run in found.items()
        for one in run
    ]


# ---------------------------------------------------------------- words


def ask_question() -> None:
    """Whether the picture was understood."""

    def answer() -> None:
        found = {code: moments(code, ANSWERED_WITH) for code in NETWORKS}
        st.markdown(_(TWO_PARTS))
        st.markdown(
            _("Seed {seed}:").format(seed=ANSWERED_WITH)
            + f" {fates(found)} {spread_words(found, STEPS)}"
        )

    question(
        _(
            "Why does the network not simply send every picture to one place, as that has the best loss?"
        ),
        ASK,
        answer,
        options={
            "punished": N_("the loss punishes it"),
            "not-led": N_("the arrow that would lead the target there is taken away"),
            "cannot": N_("the network cannot represent it"),
        },
        right=lambda: {"not-led"},
    )


def explain() -> None:
    mechanism(
        _(
            "**Two dimensions, so that nothing is projected.** The networks are those of the other view of "
            "this page with d = 2 and a learning rate of {rate}. Of {count} points, {shown} are drawn.\n\n"
            "**Arrows are gradients.** An arrow is as long as the loss falls per radian, when only this "
            "output turns. At p₁ and at the target that is the loss of this pair. The cosine does not change "
            "when a vector is stretched, so the gradient there is at right angles to the vector: along the "
            "circle. The solid arrow at z₁ has come back through the predictor h, whose batch normalisation "
            "mixes all points: turning z₁ changes the losses of all {count} pairs, and the arrow holds them "
            "all. And h sees how long z₁ is, so this gradient has a part that would stretch z₁; only the part "
            "that turns it is drawn. An arrow with two heads is longer than drawn.\n\n"
            "**Steps are steps of training.** They move weights, not outputs: all points at once, from fresh "
            "views, with momentum and weight decay. A view therefore does not go exactly where its own arrow "
            "points.\n\n"
            "**One half of the loss** is shown: view 1 predicts view 2. The other half swaps the roles; "
            "*Both halves of the loss* shows them together. Arrows grow short as the loss falls: "
            "*Magnify* shows the pair, and its arrows, up to three times as large."
        ).format(rate=number(RATE, 2), count=CLASSES * A_CLASS, shown=len(points_shown())),
        folded=unanswered(ASK),
    )
    z, p = coloured("z"), coloured("x_hat", "p")
    formula(
        [
            rf"L = \tfrac12 D({p}_1, \mathrm{{sg}}({z}_2)) + \tfrac12 D({p}_2, \mathrm{{sg}}({z}_1)),"
            rf"\qquad D(p, z) = -\cos(p, z)",
            rf"-\frac{{\partial L}}{{\partial {p}_1}} = \frac{{1}}{{2\|{p}_1\|}}"
            rf"\left(\frac{{{z}_2}}{{\|{z}_2\|}} - \cos({p}_1, {z}_2)\,\frac{{{p}_1}}{{\|{p}_1\|}}\right)"
            rf"\;\perp\; {p}_1",
            rf"-\frac{{\partial L}}{{\partial {z}_1}} = "
            rf"-\sum_{{n=1}}^N\left(\frac{{\partial {p}_1^{{(n)}}}}{{\partial {z}_1}}\right)^{{\!\top}}"
            rf"\frac{{\partial L}}{{\partial {p}_1^{{(n)}}}},\qquad "
            rf"-\frac{{\partial L}}{{\partial {z}_2}} = 0 \;\text{{ with sg}}",
        ],
        _(
            "Chen & He 2021, algorithm 1; for one half of the loss, in which view 1 predicts view 2."
        ),
        pulls,
        turning,
        towards,
        slow_motion,
        Networks.loss,
        simsiam.loss,
    )


def show(place: st.delta_generator.DeltaGenerator) -> None:
    """The second view of the page; what is compared is chosen at ``place``."""
    with place:
        compared = controls.choice(_("With and without"), COMPARED, COMPARE)
    shape.fragment(slow)(compared)
    ask_question()
    st.subheader(_("What the loss sees: an angle"), anchor=False)
    st.markdown(
        _(
            "Turn an arrow, and the cosine changes; stretch it, and it does not. The small arrows show how "
            "the loss turns each of the two, per radian, however long it is; that of the target z is "
            "dotted, as the stop-gradient takes it away."
        )
    )
    cosine.show("toy_cosine", pull=True)
    explain()
