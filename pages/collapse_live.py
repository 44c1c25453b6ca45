"""Collapse, live: a SimSiam of a few hundred parameters, trained while one looks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import sqrt
from typing import Literal

import numpy as np
import plotly.graph_objects as go
import streamlit as st
from plotly.subplots import make_subplots

from core import simsiam
from core.representation import effective_rank, std_of_outputs
from core.toy_simsiam import (
    CLASSES,
    MOST_DIM,
    BatchNorm,
    Networks,
    Predictor,
    Run,
    State,
    Together,
    ToyConfig,
    correlation,
    gains_along,
    parameters,
    sample,
    side_by_side,
    stops,
    train,
    two_views,
)
from pages.shared import controls, figures, live, run_charts, runs
from pages.shared.findings import SHARE, at, last
from pages.shared.text import (
    AMBER,
    GREY,
    N_,
    SYMBOL_COLOURS,
    _,
    coloured,
    formula,
    head,
    mechanism,
    number,
    percent,
    plain_errors,
)

PREDICTORS: dict[Predictor, str] = {
    "mlp": N_("Learns (MLP)"),
    "linear": N_("Learns (linear)"),
    "identity": N_("None"),
    "fixed": N_("Fixed, random"),
}
NORMS: dict[BatchNorm, str] = {
    "hidden": N_("Hidden layers"),
    "all": N_("Hidden layers and z"),
    "none": N_("Nowhere"),
}
RATES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
PREDICTOR_RATES = (0.1, 0.5, 1.0, 2.0, 10.0)
DECAYS = (0.0, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02)
STEPS = (100, 200, 400, 1000, 2000, 5000)
# Both runs of at most so many steps are trained without being asked: about a second.
AT_ONCE = 400
KEPT = 12

# What the switches stand at when the page is opened.
START = ToyConfig(stop_gradient=False)
# Field of the configuration to key of the widget, for what the two sides may differ in.
WIDGETS: dict[str, str] = {
    "stop_gradient": "toy_stopgrad",
    "predictor": "toy_predictor",
    "batch_norm": "toy_norm",
    "augmentation": "toy_augmentation",
    "learning_rate": "toy_rate",
    "predictor_rate": "toy_predictor_rate",
    "weight_decay": "toy_decay",
}

PRESETS: dict[str, tuple[str, Mapping[str, object]]] = {
    "nothing": (N_("SimSiam as it is"), {}),
    "no-stop": (N_("No stop-gradient"), {"stop_gradient": False}),
    "no-predictor": (N_("No predictor"), {"predictor": "identity"}),
    "neither": (N_("Neither"), {"stop_gradient": False, "predictor": "identity"}),
    "fixed": (N_("Fixed random predictor"), {"predictor": "fixed"}),
    "linear": (N_("Linear predictor"), {"predictor": "linear"}),
    "norm": (
        N_("No stop-gradient, z normalised"),
        {"stop_gradient": False, "batch_norm": "all"},
    ),
}
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
            "little is learnt either. How much differs from seed to seed: try a few. The predictor must "
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
            "five classes, so neighbours may still tell them."
        ),
    ),
}

Curve = Literal["loss", "std", "rank", "accuracy"]
CURVES: dict[Curve, str] = {
    "loss": N_("loss"),
    "std": N_("std of z / ‖z‖"),
    "rank": N_("effective rank of z"),
    "accuracy": N_("kNN accuracy"),
}
SIDES, SUFFIXES = (N_("SimSiam"), N_("Your switches")), ("", "_own")
COLOURS, DASHES = (SYMBOL_COLOURS["x"], SYMBOL_COLOURS["z"]), ("solid", "dash")
CLASS_COLOURS = (*(SYMBOL_COLOURS[s] for s in ("x", "z", "x_hat", "eps")), AMBER)
CLASS_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x")
PAIRS_SHOWN = 30
# Below so much of 1/sqrt(d), or of d, or above this loss, a run is said to have collapsed to a point, to a
# few directions, or not to have converged.
POINT, FEW_DIRECTIONS, UNCONVERGED, TOLD = 0.2, 0.55, -0.8, 0.9
# Stop-gradient and predictor to the recipe of a real run that has them so.
RECIPES: dict[tuple[bool, Predictor], str] = {
    (True, "mlp"): "baseline",
    (False, "mlp"): "no-stop-gradient",
    (True, "identity"): "no-predictor",
    (True, "fixed"): "fixed-predictor",
    (False, "identity"): "neither",
}


# ---------------------------------------------------------------- switches


def baseline(own: ToyConfig) -> ToyConfig:
    """SimSiam as it is, from the same start and on the same points."""
    return ToyConfig(dim=own.dim, steps=own.steps, seed=own.seed)


def take(changes: Mapping[str, object]) -> None:
    """Sets every switch to that of SimSiam with ``changes``."""
    wanted = replace(ToyConfig(), **changes)
    for name, key in WIDGETS.items():
        st.session_state[key] = getattr(wanted, name)


def presets(own: ToyConfig) -> None:
    st.markdown(_("**One click:** what shall be different on the right?"))
    with st.container(horizontal=True, gap="small"):
        for code, (title, changes) in PRESETS.items():
            st.button(
                _(title),
                key=f"toy_preset_{code}",
                type="primary" if own == replace(baseline(own), **changes) else "secondary",
                on_click=take,
                args=(changes,),
            )


def switches() -> ToyConfig:
    """The visitor's own settings."""
    stop = st.toggle(
        _("Stop-gradient"),
        START.stop_gradient,
        key="toy_stopgrad",
        bind="query-params",
        help=_("The target z is held constant: no gradient flows through it."),
    )
    predictor = controls.choice(_("Predictor"), PREDICTORS, "toy_predictor")
    with st.expander(_("More switches"), icon=":material/tune:"):
        norm = controls.choice(_("Batch normalisation"), NORMS, "toy_norm")
        augmentation = controls.real(
            _("Strength of augmentation"),
            0.0,
            2.0,
            START.augmentation,
            "toy_augmentation",
            step=0.1,
            help=_("Standard deviation of the fresh noise in every view; points have 1."),
        )
        rate, predictor_rate, decay = (
            float(
                st.select_slider(label, options, getattr(START, name), key=key, bind="query-params")
            )
            for label, options, name, key in (
                (_("Learning rate"), RATES, "learning_rate", "toy_rate"),
                (
                    _("Predictor's rate, times the encoder's"),
                    PREDICTOR_RATES,
                    "predictor_rate",
                    "toy_predictor_rate",
                ),
                (_("Weight decay"), DECAYS, "weight_decay", "toy_decay"),
            )
        )
    with st.expander(_("The same on both sides"), icon=":material/balance:"):
        seed = controls.seed("toy_seed")
        steps = int(
            st.select_slider(_("Steps"), STEPS, START.steps, key="toy_steps", bind="query-params")
        )
        dim = controls.whole(_("Dimensions of z"), 2, MOST_DIM, START.dim, "toy_dim")
    return ToyConfig(
        stop_gradient=stop,
        predictor=predictor,
        batch_norm=norm,
        augmentation=augmentation,
        learning_rate=rate,
        predictor_rate=predictor_rate,
        weight_decay=decay,
        dim=dim,
        steps=steps,
        seed=seed,
    )


def said_of(config: ToyConfig, nothing: str) -> str:
    """How a run differs from SimSiam, in a few words; ``nothing`` where it does not."""
    changed = [_("{name}: {value}").format(name=n, value=v) for n, v in differences(config).items()]
    return ", ".join(changed) or nothing


def differences(own: ToyConfig) -> dict[str, str]:
    """What differs on the right, in words."""
    base = baseline(own)
    said = {
        "stop_gradient": (_("stop-gradient"), _("yes") if own.stop_gradient else _("no")),
        "predictor": (_("predictor"), _(PREDICTORS[own.predictor])),
        "batch_norm": (_("batch normalisation"), _(NORMS[own.batch_norm])),
        "augmentation": (_("augmentation"), number(own.augmentation)),
        "learning_rate": (_("learning rate"), number(own.learning_rate, 2)),
        "predictor_rate": (_("predictor's rate"), f"× {number(own.predictor_rate)}"),
        "weight_decay": (_("weight decay"), number(own.weight_decay, 4)),
    }
    return dict(words for name, words in said.items() if getattr(own, name) != getattr(base, name))


# ---------------------------------------------------------------- runs


def runs_of(*configs: ToyConfig) -> tuple[Run, ...]:
    """This visitor's runs of these settings, trained as far as they were."""
    kept: dict[ToyConfig, Run] = st.session_state.setdefault("toy_runs", {})
    for config in configs:
        kept[config] = kept.pop(config, None) or Run(config)  # the newest last
    while len(kept) > KEPT:
        kept.pop(next(iter(kept)))
    return tuple(kept[config] for config in configs)


def to_the_end(runs: Sequence[Run], show: Callable[[Together], None] | None = None) -> None:
    """Trains runs; ``show`` is called with their beginning, to look at while they do."""
    steps = live.one_at_a_time(side_by_side(runs), "toy")
    if show is not None:
        show(next(steps))
    with st.spinner(_("Training …")):
        for _now in steps:
            pass


def trained(runs: Sequence[Run], place: live.Place) -> bool:
    """Trains at once what is short, long runs when asked; whether both are at their end."""
    if all(run.finished for run in runs):
        return True
    steps = runs[0].config.steps
    if steps <= AT_ONCE:
        with place.container():
            to_the_end(runs, newest)
        place.empty()
        return True
    behind = min(runs, key=lambda run: len(run.states)).states
    if behind:
        going = live.stopped(behind[-1], place, "toy")
        if not going:
            newest(Together(tuple(run.states[len(behind) - 1] for run in runs)))
    else:
        going = place.button(
            _("Train both for {steps} steps").format(steps=number(steps, 0)),
            key="toy_go",
            type="primary",
            icon=":material/play_arrow:",
        )
    if going:
        live.watch(side_by_side(runs), place, "toy", newest)
    return going


def newest(now: Together) -> None:
    """Both clouds as they are now."""
    figure = make_subplots(cols=2, subplot_titles=[_(side) for side in SIDES])
    for column, state in enumerate(now.states, start=1):
        for trace in class_traces(state.plane, state.labels):
            figure.add_trace(trace, row=1, col=column)
    figure.update_xaxes(range=[-1.3, 1.3], visible=False)
    figure.update_yaxes(range=[-1.3, 1.3], visible=False)
    figure.update_layout(height=320, margin={"l": 0, "r": 0, "t": 40, "b": 0})
    st.plotly_chart(
        figure,
        key=f"toy_live_{now.done}",
        alt=_("The representations of both runs now"),
        config={"displayModeBar": False},
    )


# ---------------------------------------------------------------- figures


def class_traces(plane: np.ndarray, labels: np.ndarray) -> list[go.Scatter]:
    """Points (N, 2), a colour and a shape for each class."""
    return [
        go.Scatter(
            x=plane[labels == c, 0],
            y=plane[labels == c, 1],
            mode="markers",
            marker={
                "color": CLASS_COLOURS[c],
                "symbol": CLASS_SYMBOLS[c],
                "size": 9,
                "opacity": 0.8,
                "line": {"color": "white", "width": 0.5},
            },
            name=_("class {c}").format(c=c + 1),
            showlegend=False,
            hovertemplate=_("class {c}").format(c=c + 1) + "<extra></extra>",
        )
        for c in range(CLASSES)
    ]


def cloud(state: State, limit: float) -> go.Figure:
    """z on its principal plane, on axes that stay the same for the whole run."""
    figure = go.Figure(class_traces(state.plane, state.labels))
    figure.add_shape(
        type="circle", x0=-1, x1=1, y0=-1, y1=1, line={"color": GREY, "width": 1, "dash": "dot"}
    )
    axis = {
        "range": [-limit, limit],
        "showticklabels": False,
        "zeroline": False,
        "showgrid": False,
    }
    figure.update_xaxes(**axis, constrain="domain")
    figure.update_yaxes(**axis, scaleanchor="x", constrain="domain")
    return figure


def mark(figure: go.Figure, step: int) -> None:
    figure.add_vline(step, line_color=GREY, line_dash="dot")


def curve(runs: Sequence[Run], code: Curve, step: int) -> go.Figure:
    """One quantity of both runs by step."""
    figure = go.Figure()
    for run, side, colour, dash in zip(runs, SIDES, COLOURS, DASHES, strict=True):
        x = [state.step for state in run.states]
        y = [getattr(state, code) for state in run.states]
        figure.add_trace(figures.line(x, y, _(side), colour, dash=dash))
    d = runs[0].config.dim
    reference, words, span = {
        "loss": (-1.0, "−1", [-1.25, max(0.1, *(s.loss for run in runs for s in run.states))]),
        "std": (1 / sqrt(d), "1/√d", [0, 1.3 / sqrt(d)]),
        "rank": (d, f"d = {d}", [0, 1.3 * d]),
        "accuracy": (1 / CLASSES, _("chance"), [0, 1.05]),
    }[code]
    figure.add_hline(
        reference,
        line_color=GREY,
        line_dash="dash",
        annotation_text=words,
        annotation_position="bottom right" if code in ("loss", "accuracy") else "top right",
        annotation_font_size=15,
    )
    mark(figure, step)
    figure.update_xaxes(title=_("step"))
    figure.update_yaxes(title=_(CURVES[code]), range=span)
    if code == "accuracy":
        figure.update_yaxes(tickformat=".0%")
    return figure


def spectrum(run: Run, name: Literal["eigenvalues", "gains"], step: int, title: str) -> go.Figure:
    """d numbers of one run by step, the first in the darkest grey-blue."""
    figure = go.Figure()
    x = [state.step for state in run.states]
    values = np.stack([getattr(state, name) for state in run.states])  # (states, d)
    for j in range(values.shape[1]):
        shade = int(40 + 150 * j / values.shape[1])
        colour = f"rgb({shade // 3},{shade},{min(255, shade + 60)})"
        figure.add_trace(figures.line(x, values[:, j], f"j = {j + 1}", colour))
    mark(figure, step)
    figure.update_xaxes(title=_("step"))
    figure.update_yaxes(title=title)
    return figure


def rows_of(runs: Sequence[Run]) -> list[dict]:
    """Everything that is drawn by step."""
    return [
        {
            "run": side,
            "step": state.step,
            "loss": state.loss,
            "std": state.std,
            "std_of_spread_z": 1 / sqrt(run.config.dim),
            "effective_rank": state.rank,
            "neighbours_accuracy": state.accuracy,
            **{f"eigenvalue_{j + 1}": float(s) for j, s in enumerate(state.eigenvalues)},
        }
        for run, side in zip(runs, ("simsiam", "own"), strict=True)
        for state in run.states
    ]


def caption(runs: Sequence[Run], own: ToyConfig) -> None:
    """What was trained, with which settings, and how long it took."""
    changed = said_of(own, nothing=_("the same"))
    seconds = sum(run.states[-1].seconds for run in runs)
    st.caption(
        " · ".join(
            (
                _("toy SimSiam, {count} parameters").format(count=parameters(own)),
                _("seed: {seed}").format(seed=own.seed),
                _("steps: {steps}").format(steps=number(own.steps, 0)),
                f"d = {own.dim}",
                _("on the right {changed}").format(changed=changed),
                _("computed live") + f" · {number(seconds, 2)} s",
            )
        )
    )


# ---------------------------------------------------------------- the result


def figures_of(state: State, d: int) -> None:
    """The four numbers of a state."""
    with st.container(horizontal=True, gap="small"):
        for label, value in (
            (_("Loss"), number(state.loss, 2)),
            ("std · √d", number(state.std * sqrt(d), 2)),
            (_("Rank"), number(state.rank, 1)),
            ("kNN", percent(state.accuracy)),
        ):
            st.metric(label, value, width=112)


def moving(runs: Sequence[Run], own: ToyConfig) -> None:
    """The timeline and all that moves with it: runs again by itself."""
    with plain_errors():
        whole = stops(own.steps)
        step = controls.timeline(_("Step"), whole, "toy_step")
        at = whole.index(step)
        reach = max(np.abs(state.plane).max() for run in runs for state in run.states)
        limit = max(1.1, 1.05 * float(reach))
        columns = st.columns(2, gap="medium")
        for column, run, side, suffix in zip(columns, runs, SIDES, SUFFIXES, strict=True):
            state = run.states[at]
            with column:
                st.markdown(f"#### {_(side)}")
                st.caption(said_of(run.config, _("with stop-gradient and a predictor that learns")))
                figures.plain_chart(
                    cloud(state, limit),
                    f"toy_cloud{suffix}",
                    _(
                        "z of every point after {step} steps, {side}, a colour and a shape a class"
                    ).format(step=step, side=_(side)),
                    lambda state=state: [
                        {"class": int(c) + 1, "x": float(x), "y": float(y)}
                        for c, (x, y) in zip(state.labels, state.plane, strict=True)
                    ],
                    height=360,
                )
                figures_of(state, own.dim)
        caption(runs, own)
        columns = st.columns(2, gap="medium") + st.columns(2, gap="medium")
        for column, code in zip(columns, CURVES, strict=True):
            with column:
                figures.plain_chart(
                    curve(runs, code, step),
                    f"toy_{code}",
                    _("{what} by step, both runs").format(what=_(CURVES[code])),
                    lambda: rows_of(runs),
                    height=300,
                )
                caption(runs, own)
        spectra(runs, own, step)


def spectra(runs: Sequence[Run], own: ToyConfig, step: int) -> None:
    """Eigenvalues of both runs, and what a linear predictor does along them."""
    st.subheader(_("In how many directions does z point?"), anchor=False)
    columns = st.columns(2, gap="medium")
    for column, run, side, suffix in zip(columns, runs, SIDES, SUFFIXES, strict=True):
        figure = spectrum(run, "eigenvalues", step, _("eigenvalue, {side}").format(side=_(side)))
        figure.add_hline(1 / own.dim, line_color=GREY, line_dash="dash", annotation_text="1/d")
        figure.update_yaxes(range=[0, 1.02])
        with column:
            figures.plain_chart(
                figure,
                f"toy_spectrum{suffix}",
                _("Eigenvalues of the correlation of z by step, {side}").format(side=_(side)),
                lambda: rows_of(runs),
                height=300,
            )
            caption(runs, own)
    if own.predictor == "linear":
        figures.plain_chart(
            spectrum(runs[1], "gains", step, _("gain of the predictor")),
            "toy_gains",
            _("What the linear predictor does along every direction of z, by step"),
            lambda: [
                {"step": state.step, "direction": j + 1, "gain": float(gain)}
                for state in runs[1].states
                for j, gain in enumerate(state.gains)
            ],
            height=300,
        )
        caption(runs, own)


# ---------------------------------------------------------------- questions


def verdict(last: State, d: int) -> str:
    """What has become of a run, by stated rules."""
    if last.std * sqrt(d) < POINT:
        return _("collapse to a point: every z points the same way")
    if last.loss > UNCONVERGED:
        return _("no collapse, but no convergence either: the loss stays high")
    if last.rank < FEW_DIRECTIONS * d:
        return _("collapse to a few directions: channels repeat each other")
    if last.accuracy >= TOLD:
        return _("learnt: z is spread out, and neighbours tell the classes")
    return _("spread out, but the classes are not told apart")


def said(name: str, last: State, d: int) -> str:
    return _(
        "{run}: loss {loss}, std {std} of 1/√d, effective rank {rank} of {d}, kNN accuracy {share}. "
        "**Verdict: {verdict}.**"
    ).format(
        run=name,
        loss=number(last.loss, 2),
        std=number(last.std * sqrt(d), 2),
        rank=number(last.rank),
        d=d,
        share=percent(last.accuracy),
        verdict=verdict(last, d),
    )


def answer(runs: Sequence[Run], own: ToyConfig) -> None:
    """Which run has learnt more: asked first, then read from the figures."""
    first, second = (run.states[-1] for run in runs)
    if runs[0].config == own:
        st.info(_("Both sides are the same now: flip a switch on the left, or take a preset."))
        return
    st.markdown(_("**Which of the two has learnt more? Is it the one with the lower loss?**"))
    with st.expander(_("The answer of the figures"), icon=":material/visibility:"):
        for side, last in zip(SIDES, (first, second), strict=True):
            st.markdown("- " + said(_(side), last, own.dim))
        if second.loss < first.loss and second.accuracy < first.accuracy:
            st.markdown(
                _(
                    "The loss is **lower on the right, and the representation worse**: the loss alone "
                    "cannot tell learning from collapse. Look at the spread and the rank."
                )
            )


def questions(own: ToyConfig) -> None:
    """Each asked before it is answered; the answer is trained when it is opened."""
    st.subheader(_("Ask before you switch"), anchor=False)
    base = replace(baseline(own), steps=min(own.steps, AT_ONCE))
    for code, (question, why) in QUESTIONS.items():
        asked = st.expander(
            _(question), key=f"toy_ask_{code}", on_change="rerun", icon=":material/help:"
        )
        if not asked.open:
            continue
        changes = PRESETS[code][1]
        with asked:
            runs = runs_of(base, replace(base, **changes))
            to_the_end(runs)
            for name, run in zip((SIDES[0], PRESETS[code][0]), runs, strict=True):
                st.markdown("- " + said(_(name), run.states[-1], base.dim))
            st.markdown(_(why))
            st.button(
                _("Show it on the right"),
                key=f"toy_show_{code}",
                icon=":material/arrow_upward:",
                on_click=take,
                args=(changes,),
            )


def real_runs(own: ToyConfig) -> None:
    """What became of real networks with the stop-gradient and the predictor of either side."""
    st.subheader(_("And in a real network?"), anchor=False)
    with plain_errors():
        found = runs.chosen_set("toy_set")
        recipe = RECIPES.get((own.stop_gradient, own.predictor))
        shown = [found[r] for r in dict.fromkeys(("baseline", recipe)) if r in found]
        if recipe not in found:
            st.info(
                _("No real run here has the stop-gradient and the predictor of the right side.")
            )
        rows = [
            {
                _("run"): runs.name(record),
                _("state"): _(
                    run_charts.STATES[
                        run_charts.state(record, found.get("baseline"), last(record), SHARE)
                    ]
                ),
                _("loss"): number(at(record, "train_loss"), 2),
                "std · √d": number(run_charts.spread_of(record, last(record)), 2),
                _("rank of z"): _("{rank} of {d}").format(
                    rank=number(at(record, "test_rank_z")), d=number(record.dim, 0)
                ),
                _("kNN before"): percent(at(record, "test_knn_accuracy", 0), 1),
                "kNN": percent(at(record, "test_knn_accuracy"), 1),
            }
            for record in shown
        ]
        if rows:
            st.dataframe(rows, hide_index=True, width="stretch")
            figures.caption(
                run_charts.provenance(shown, None, run_charts.over(shown[0], "test_knn_accuracy"))
            )
            runs.what_they_are(shown)
    st.markdown(
        _(
            "These are residual networks on CIFAR-10, with the same stop-gradient and the same predictor as "
            "above; the page *Collapse* shows them epoch by epoch. Three "
            "things differ there. The last layer of z is **batch normalised**, so the std falls gradually "
            "and the effective rank tells more (take the preset *z normalised* to see why). There are "
            "hundreds or thousands of directions instead of four. And a random network already tells classes "
            "a little, so that collapse shows as a kNN accuracy **below** that of random weights.\n\n"
            "One thing is otherwise here: **without any batch normalisation** this toy collapses even with "
            "stop-gradient and predictor, at this weight decay. The authors of SimSiam saw poor accuracy "
            "there, 34.6 instead of 68.1 per cent on ImageNet, but no collapse."
        )
    )


def data(own: ToyConfig) -> None:
    """What tells a class and what does not, with pairs of views."""
    with st.expander(_("The points and their views"), icon=":material/scatter_plot:"):
        st.markdown(
            _(
                "Every point has ten coordinates. Two say its class, **eight say nothing of it**. A view "
                "is the point with fresh noise, nearly all of it in those eight. A line joins "
                "two views of one point: what they share is the class, and that is what may be learnt "
                "by predicting one from the other."
            )
        )
        found = sample(own)
        shown = np.linspace(0, len(found.labels) - 1, PAIRS_SHOWN).round().astype(int)
        for column, (i, j), title in zip(
            st.columns(2, gap="medium"),
            ((0, 1), (2, 3)),
            (_("Coordinates 1 and 2: the class"), _("Coordinates 3 and 4: nuisance")),
            strict=True,
        ):
            figure = go.Figure(class_traces(found.x[:, [i, j]], found.labels))
            ends = np.full((2, PAIRS_SHOWN, 3), np.nan)  # from view to view, then a gap
            ends[0, :, :2], ends[1, :, :2] = found.views[:, shown, i].T, found.views[:, shown, j].T
            pairs = figures.line(ends[0].ravel(), ends[1].ravel(), _("two views"), GREY)
            pairs.line.width = 1.5
            figure.add_trace(pairs)
            figure.update_xaxes(title=title, range=[-3, 3], constrain="domain")
            figure.update_yaxes(range=[-3, 3], scaleanchor="x", constrain="domain")
            with column:
                figures.plain_chart(
                    figure,
                    f"toy_points_{i + 1}",
                    title,
                    lambda: [
                        {"class": int(c) + 1, **{f"x{k + 1}": float(v) for k, v in enumerate(row)}}
                        for c, row in zip(found.labels, found.x, strict=True)
                    ],
                    height=380,
                )
        st.caption(
            _("toy points · seed: {seed} · augmentation: {strength}").format(
                seed=own.seed, strength=number(own.augmentation)
            )
        )


# ---------------------------------------------------------------- the page


def main() -> None:
    head(
        _("Collapse, live"),
        _(
            "A SimSiam of a few hundred parameters learns on this page within a second. On the left as "
            "it is, on the right **as you switch it**: same points, same first weights, same noise. "
            "See it collapse, and see what prevents it."
        ),
    )
    with plain_errors():
        above = st.container()
        left, right = st.columns([3, 8], gap="large")
        with left:
            own = switches()
        with above:
            presets(own)
        runs = runs_of(baseline(own), own)
        with right:
            place = st.empty()
            if trained(runs, place):
                answer(runs, own)
                st.fragment(run_every=controls.pace("toy_step"))(moving)(runs, own)
        questions(own)
        data(own)
        real_runs(own)
        explained()


def explained() -> None:
    mechanism(
        _(
            "**Two views in, one question:** can the z of one view be predicted from the other? "
            "A constant z makes it easy, and nothing in the loss forbids it.\n\n"
            "**What keeps it from that** is an asymmetry. The predictor chases the target, and the "
            "target, its gradient stopped, does not come to meet it. A predictor that is near its optimum "
            "gives the average z over views: the encoder then learns what the views share, and the "
            "constant answer, though still a perfect one, is no longer where training leads. Take away the "
            "predictor, or its training, or the stop-gradient, and the asymmetry is gone.\n\n"
            "**How to read the figures.** Every dot is the l2-normalised z of a point as it is, on the plane "
            "in which z varies most; dots in one place mean collapse to a point, dots on a line collapse to "
            "one direction. The std is mean over channels: 0 when collapsed, 1/√d when z points everywhere. "
            "The eigenvalues say how z is shared out over directions; they sum to 1. kNN: the ten "
            "nearest of 200 points vote on the class of 100 others.\n\n"
            "**Rules of the verdicts**: a std below a fifth of 1/√d is a collapse to a point, a loss "
            "above −0.8 has not converged, an effective rank below 0.55 d is a collapse to few directions, "
            "a kNN accuracy of 0.9 or more has learnt."
        )
    )
    z, p = coloured("z"), coloured("x_hat", "p")
    formula(
        [
            rf"{p}_1 = h({z}_1),\qquad {z}_i = f({coloured('x')} + {coloured('eps')}_i)",
            rf"L = \tfrac12 D({p}_1, \mathrm{{sg}}({z}_2)) + \tfrac12 D({p}_2, \mathrm{{sg}}({z}_1)),"
            rf"\qquad D(p, z) = -\frac{{p}}{{\|p\|}}\cdot\frac{{z}}{{\|z\|}}",
            r"h = \mathrm{id}:\quad \nabla L = \tfrac12 \nabla L\big|_{\text{no sg}}",
            rf"\mathbb E[{z}{z}^\top]\,u_j = s_j u_j,\qquad g_j = u_j^\top W u_j",
        ],
        _(
            "Chen & He 2021, algorithm 1, section 4 and table 3; Tian, Chen & Ganguli 2021, section 3: the "
            "eigenvectors of a linear predictor turn to those of the correlation of z, and weight decay "
            "helps them to."
        ),
        Networks.loss,
        simsiam.loss,
        two_views,
        std_of_outputs,
        effective_rank,
        correlation,
        gains_along,
        train,
    )


main()
