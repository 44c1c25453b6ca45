"""One step in slow motion: who moves, with and without stop-gradient, with and without a predictor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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
from pages.shared import controls, figures, library, links
from pages.shared.colours import BLUE, GREEN, PINK, VERMILION
from pages.shared.questions import question
from pages.shared.text import N_, _, coloured, formula, mechanism, number, percent, plain_errors

STEPS, RATE = 60, 0.02
"""So low a learning rate that a collapse takes some twenty steps."""
KEPT = 32
STEP, FIGURE, PAIR = "toy_slow_step", "toy_slow", "toy_pair"
A_CLASS_SHOWN = 6
START_PAIR = 24
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


def config_of(code: str, seed: int = 0) -> ToyConfig:
    """A network of the slow motion: that of the other view of the page, in the plane and slower."""
    changes = NETWORKS[code][1]
    return ToyConfig(dim=PLANE, learning_rate=RATE, steps=STEPS, seed=seed, **changes)


def moments(code: str, seed: int) -> tuple[Moment, ...]:
    """All steps of a network, taken once for all visitors."""
    config = config_of(code, seed)
    return library.kept("toy_slow", KEPT).ask(config, lambda: tuple(slow_motion(config)))


def points_shown() -> list[int]:
    """A few points of every class."""
    return [c * A_CLASS + k for c in range(CLASSES) for k in range(A_CLASS_SHOWN)]


# ---------------------------------------------------------------- the figure


def slow(compared: str) -> None:
    """The timeline and all that moves with it: runs again by itself."""
    with plain_errors(), st.container():
        figure = st.container()
        with st.popover(_("Seed"), icon=":material/casino:"):
            seed = controls.seed("toy_slow_seed")
        with figure:
            found, point = moving(CODES[compared], seed)
        step = st.session_state[STEP]
        source = _(
            "toy SimSiam in the plane, {count} parameters at most · seed: {seed} · learning rate: {rate}"
        ).format(count=parameters(config_of("plain")), seed=seed, rate=number(RATE, 2))
        st.markdown(read_as())
        st.markdown(told(compared, {code: found[code][step] for code in found}))
        spreads(found)
        figures.about(source, FIGURE, rows=lambda: rows_of(found, point))


def moving(codes: Sequence[str], seed: int) -> tuple[dict[str, tuple[Moment, ...]], int]:
    """The timeline and the circles; returns what they show, and the point with arrows."""
    with st.spinner(_("Training …")):
        found = {code: moments(code, seed) for code in codes}
    timeline(_("Step"), range(STEPS + 1), STEP, default=0, sticky=True)
    points = points_shown()
    pair = links.restore_number(PAIR, _("Another pair"), range(len(points)), START_PAIR)

    def taken() -> None:
        sent = drawn.said(FIGURE)
        if sent in range(len(points)):
            st.session_state[PAIR] = sent

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
        taken,
    )
    links.keep_number(PAIR, pair, START_PAIR)
    return found, points[pair]


def read_as() -> str:
    """What every mark of the figure means."""
    return _(
        "**How to read it.** The loss sees directions alone, so every output is a place on a circle: "
        "z₁ and z₂ are two views of one point, p₁ is the prediction that is made of z₁. "
        "The **solid arrow** at z₁ shows how the loss turns the side that predicts; the arrow at z₂ shows "
        "how it turns the target, and is **dotted where the stop-gradient takes it away**. Grey dots are "
        "views of other points, green dots all predictions; grey lines show where the next step takes them."
    )


def told(compared: str, now: Mapping[str, Moment]) -> str:
    """What the networks show at a step, in numbers of theirs."""
    spread = {code: number(one.spread, 2) for code, one in now.items()}
    share = {code: percent(one.towards) for code, one in now.items()}
    step = number(now["plain"].step, 0)
    if compared == "stop":
        return _(
            "**With stop-gradient, only the side that predicts moves.** Without it the target comes to meet "
            "the prediction as well: both walk towards each other, and so does every pair, because one set "
            "of weights moves them all. The cloud shrinks. Spread after {step} steps: {plain} with "
            "stop-gradient, {other} without."
        ).format(step=step, plain=spread["plain"], other=spread["no-stop"])
    if compared == "predictor":
        return _(
            "**Without a predictor, the stop-gradient takes away the twin of what it leaves:** z₁ is its own "
            "prediction, and both arrows turn a view towards the other one (press *Both halves of the "
            "loss*). Half the pull in the same direction still shrinks the cloud. **A predictor bends the "
            "arrow that is left.** Views that it turns towards the other one, after {step} steps: {share}; "
            "without a predictor: {all}. Spread: {plain} with a predictor, {other} without."
        ).format(
            step=step,
            share=share["plain"],
            all=share["no-predictor"],
            plain=spread["plain"],
            other=spread["no-predictor"],
        )
    return _(
        "**Only with both parts does the cloud stay.** Spread after {step} steps: {plain} with both, "
        "{stop} without stop-gradient, {predictor} without predictor, {neither} without either."
    ).format(
        step=step,
        plain=spread["plain"],
        stop=spread["no-stop"],
        predictor=spread["no-predictor"],
        neither=spread["neither"],
    )


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


def asked() -> None:
    """Whether the picture was understood."""

    def answer() -> None:
        st.markdown(
            _(
                "With stop-gradient, and with a predictor that learns, p₁ goes to z₂ while z₂ stays where it "
                "is. In the next half of the loss the roles are swapped. So each side chases the other, and "
                "neither is invited to meet halfway: one shared place for all is still a perfect answer, but "
                "no arrow of the target leads there."
            )
        )

    question(
        _(
            "Why does the network not simply send every picture to one place, as that has the best loss?"
        ),
        "toy_slow_ask",
        answer,
        options={
            "punished": N_("the loss punishes it"),
            "not-led": N_("the arrow that would lead the target there is taken away"),
            "cannot": N_("the network cannot represent it"),
        },
    )


def explained() -> None:
    mechanism(
        _(
            "**Two dimensions, so that nothing is projected.** The networks are those of the other view of "
            "this page with d = 2 and a learning rate of {rate}. Of {count} points, {shown} are drawn.\n\n"
            "**Arrows are gradients.** An arrow is as long as the loss of this pair falls per radian, when "
            "only this output turns. The cosine does not change when a vector is stretched, so its gradient "
            "is at right angles to the vector: along the circle. An arrow with two heads is longer than "
            "drawn.\n\n"
            "**Steps are steps of training.** They move weights, not outputs: all points at once, from fresh "
            "views, with momentum and weight decay. A view therefore does not go exactly where its own arrow "
            "points.\n\n"
            "**One half of the loss** is shown: view 1 predicts view 2. The other half swaps the roles; "
            "*Both halves of the loss* shows them together."
        ).format(rate=number(RATE, 2), count=CLASSES * A_CLASS, shown=len(points_shown()))
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
            rf"-\left(\frac{{\partial h}}{{\partial {z}_1}}\right)^{{\!\top}}"
            rf"\frac{{\partial L}}{{\partial {p}_1}},\qquad "
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
        compared = controls.choice(_("With and without"), COMPARED, "toy_compare")
    st.fragment(slow)(compared)
    asked()
    st.subheader(_("What the loss sees: an angle"), anchor=False)
    st.markdown(
        _(
            "Turn an arrow, and the cosine changes; stretch it, and nothing does. The small arrows show how "
            "the loss turns each of the two; that of the target z is dotted, as the stop-gradient takes it "
            "away."
        )
    )
    cosine.show("toy_cosine", pull=True)
    explained()
