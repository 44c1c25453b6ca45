"""Collapse, live: a SimSiam of a few hundred parameters, trained while one looks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from math import sqrt

import numpy as np
import plotly.graph_objects as go
import streamlit as st
from plotly.subplots import make_subplots

from core.simsiam import simsiam
from core.simsiam.representation import effective_rank, std_of_outputs
from core.simsiam.toy import (
    Networks,
    Predictor,
    Run,
    State,
    Together,
    ToyConfig,
    correlation,
    gains_along,
    sample,
    side_by_side,
    stops,
    train,
    two_views,
)
from pages.browser.curves import Level
from pages.browser.timeline import timeline
from pages.shared import figures, library, live
from pages.shared.colours import GREY
from pages.shared.questions import question
from pages.shared.text import (
    N_,
    _,
    coloured,
    formula,
    head,
    mechanism,
    number,
    percent,
    plain_errors,
)
from pages.simsiam.parts import run_charts, runs
from pages.simsiam.parts.findings import SHARE, final_epoch, value_at
from pages.simsiam.parts.toy_charts import (
    CURVES,
    SIDES,
    STEP,
    class_traces,
    cloud,
    curve,
    rows_of,
    spectrum,
)
from pages.simsiam.parts.toy_settings import (
    PRESETS,
    baseline,
    presets,
    provenance,
    said_of,
    switches,
    take,
)

# Both runs of at most so many steps are trained without being asked: about a second.
AT_ONCE = 400
KEPT = 64

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

SUFFIXES = ("", "_own")
PAIRS_SHOWN = 30
# Below so much of 1/sqrt(d), or of d, or above this loss, a run is said to have collapsed to a point, to a
# few directions, or not to have converged.
POINT, FEW_DIRECTIONS, UNCONVERGED, TOLD = 0.2, 0.55, -0.8, 0.9
# Stop-gradient and predictor to the recipe of a real run that has them so.
REAL_RUNS: dict[tuple[bool, Predictor], str] = {
    (True, "mlp"): "baseline",
    (False, "mlp"): "no-stop-gradient",
    (True, "identity"): "no-predictor",
    (True, "fixed"): "fixed-predictor",
    (False, "identity"): "neither",
}


# ---------------------------------------------------------------- runs


def runs_of(*configs: ToyConfig) -> tuple[Run, ...]:
    """The runs of these settings, shared by all visitors, trained as far as anybody asked."""
    runs = library.kept("toy", KEPT)
    return tuple(runs.ask(config, lambda config=config: Run(config)) for config in configs)


def to_the_end(runs: Sequence[Run], show: Callable[[Together], None] | None = None) -> None:
    """Trains runs; ``show`` is called with their beginning, to look at while they do."""
    steps = side_by_side(runs)
    if show is not None:
        show(next(steps))
    with st.spinner(_("Training …")):
        for _now in steps:
            st.session_state.get("toy_stop")  # a run of the page that was asked to end does so here


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


def moving(pair: Sequence[Run], own: ToyConfig) -> None:
    """The timeline and all that moves with it: runs again by itself."""
    with plain_errors(), st.container():
        whole = stops(own.steps)
        step = timeline(_("Step"), whole, STEP, sticky=True)
        at = whole.index(step)
        reach = max(np.abs(state.plane).max() for run in pair for state in run.states)
        limit = max(1.1, 1.05 * float(reach))
        columns = st.columns(2, gap="medium")
        for column, run, side, suffix in zip(columns, pair, SIDES, SUFFIXES, strict=True):
            state, key = run.states[at], f"toy_cloud{suffix}"
            with column:
                st.markdown(f"#### {_(side)}")
                st.caption(said_of(run.config, _("with stop-gradient and a predictor that learns")))
                cloud(run, _(side), limit, key)
                figures.about(
                    provenance(pair, own),
                    key,
                    rows=lambda state=state: [
                        {"class": int(c) + 1, "x": float(x), "y": float(y)}
                        for c, (x, y) in zip(state.labels, state.plane, strict=True)
                    ],
                )
                figures_of(state, own.dim)
        columns = st.columns(2, gap="medium") + st.columns(2, gap="medium")
        for column, code in zip(columns, CURVES, strict=True):
            with column:
                curve(pair, code, f"toy_{code}")
                figures.about(provenance(pair, own), f"toy_{code}", rows=lambda: rows_of(pair))
        spectra(pair, own)


def spectra(pair: Sequence[Run], own: ToyConfig) -> None:
    """Eigenvalues of both runs, and what a linear predictor does along them."""
    st.subheader(_("In how many directions does z point?"), anchor=False)
    columns = st.columns(2, gap="medium")
    for column, run, side, suffix in zip(columns, pair, SIDES, SUFFIXES, strict=True):
        key = f"toy_spectrum{suffix}"
        with column:
            spectrum(
                run,
                "eigenvalues",
                _("eigenvalue, {side}").format(side=_(side)),
                _("Eigenvalues of the correlation of z by step, {side}").format(side=_(side)),
                key,
                span=(0, 1.02),
                levels=[Level(1 / own.dim, "1/d")],
            )
            figures.about(provenance(pair, own), key, rows=lambda: rows_of(pair))
    if own.predictor == "linear":
        spectrum(
            pair[1],
            "gains",
            _("gain of the predictor"),
            _("What the linear predictor does along every direction of z, by step"),
            "toy_gains",
        )
        figures.about(
            provenance(pair, own),
            "toy_gains",
            rows=lambda: [
                {"step": state.step, "direction": j + 1, "gain": float(gain)}
                for state in pair[1].states
                for j, gain in enumerate(state.gains)
            ],
        )


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

    def of_the_figures() -> None:
        for side, last in zip(SIDES, (first, second), strict=True):
            st.markdown("- " + said(_(side), last, own.dim))
        if second.loss < first.loss and second.accuracy < first.accuracy:
            st.markdown(
                _(
                    "The loss is **lower on the right, and the representation worse**: the loss alone "
                    "cannot tell learning from collapse. Look at the spread and the rank."
                )
            )

    question(
        _("Which of the two has learnt more? Is it the one with the lower loss?"),
        "toy_learnt",
        of_the_figures,
        options={
            "left": N_("the left one"),
            "right": N_("the right one"),
            "alike": N_("both as much"),
        },
    )


def questions(own: ToyConfig) -> None:
    """Each asked before it is answered; the answer is trained when it is opened."""
    st.subheader(_("Ask before you switch"), anchor=False)
    base = replace(baseline(own), steps=min(own.steps, AT_ONCE))
    for code, (words, _why) in QUESTIONS.items():
        question(_(words), f"toy_ask_{code}", partial(trained_answer, base, code))


def trained_answer(base: ToyConfig, code: str) -> None:
    """Both runs of a question, trained now, and what they say."""
    title, changes = PRESETS[code]
    runs = runs_of(base, replace(base, **changes))
    to_the_end(runs)
    for name, run in zip((SIDES[0], title), runs, strict=True):
        st.markdown("- " + said(_(name), run.states[-1], base.dim))
    st.markdown(_(QUESTIONS[code][1]))
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
        recipe = REAL_RUNS.get((own.stop_gradient, own.predictor))
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
                        run_charts.state(record, found.get("baseline"), final_epoch(record), SHARE)
                    ]
                ),
                _("loss"): number(value_at(record, "train_loss"), 2),
                "std · √d": number(run_charts.spread_of(record, final_epoch(record)), 2),
                _("rank of z"): _("{rank} of {d}").format(
                    rank=number(value_at(record, "test_rank_z")), d=number(record.dim, 0)
                ),
                _("kNN before"): percent(value_at(record, "test_knn_accuracy", 0), 1),
                "kNN": percent(value_at(record, "test_knn_accuracy"), 1),
            }
            for record in shown
        ]
        if rows:
            st.dataframe(rows, hide_index=True, width="stretch")
            figures.about(
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
                st.fragment(moving)(runs, own)
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
