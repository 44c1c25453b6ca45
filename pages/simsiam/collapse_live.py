"""Collapse, live: a SimSiam of a few hundred parameters, trained while one looks."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from core.simsiam import simsiam
from core.simsiam.representation import effective_rank, std_of_outputs
from core.simsiam.toy import (
    Networks,
    Predictor,
    Run,
    State,
    ToyConfig,
    correlation,
    gains_along,
    sample,
    stops,
    train,
    two_views,
)
from pages.browser.curves import Level
from pages.browser.timeline import timeline
from pages.shared import controls, figures, shape
from pages.shared.colours import GREY
from pages.shared.questions import questions_asked, unanswered
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
from pages.simsiam.parts import run_charts, runs, toy_questions, toy_steps
from pages.simsiam.parts.findings import SHARE, final_epoch, value_at
from pages.simsiam.parts.toy_charts import (
    CURVES,
    SIDES,
    SQUARE,
    STEP,
    class_traces,
    cloud,
    curve,
    rows_of,
    spectrum,
)
from pages.simsiam.parts.toy_settings import (
    IN_VIEW,
    PRESETS,
    baseline,
    difference_words,
    keep_alive,
    presets,
    provenance,
    switches,
)
from pages.simsiam.parts.toy_training import REACH, Holders, runs_of, train_in_view
from pages.simsiam.parts.toy_verdicts import strip

NO_REAL_RUN = N_("No real run here has the stop-gradient and the predictor of the right side.")

SHOWN: dict[str, str] = {"train": N_("Training"), "step": N_("Slow motion")}
SUFFIXES = ("", "_own")
PAIRS_SHOWN = 30
# Stop-gradient and predictor to the recipe of a real run that has them so.
REAL_RUNS: dict[tuple[bool, Predictor], str] = {
    (True, "mlp"): "baseline",
    (False, "mlp"): "no-stop-gradient",
    (True, "identity"): "no-predictor",
    (True, "fixed"): "fixed-predictor",
    (False, "identity"): "neither",
}


# ---------------------------------------------------------------- the result


def clouds(pair: Sequence[Run], own: ToyConfig, holders: Holders) -> None:
    """Both clouds, in the places where they were trained."""
    reach = max(np.abs(state.plane).max() for run in pair for state in run.states)
    limit = max(REACH, 1.05 * float(reach))
    for holder, run, side, suffix in zip(holders, pair, SIDES, SUFFIXES, strict=True):
        key = f"toy_cloud{suffix}"
        with holder.container():
            cloud(run, _(side), limit, key)
            figures.about(
                provenance(pair, own),
                key,
                rows=lambda run=run: [
                    {"step": state.step, "class": int(c) + 1, "x": float(x), "y": float(y)}
                    for state in run.states
                    for c, (x, y) in zip(state.labels, state.plane, strict=True)
                ],
            )


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
        at = whole.index(timeline(_("Step"), whole, STEP, sticky=True))
        for column, run in zip(st.columns(2, gap="medium"), pair, strict=True):
            with column:
                figures_of(run.states[at], own.dim)
        toy_questions.ask_which_learnt_more(pair, own)
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


# ---------------------------------------------------------------- data and real runs


def real_runs(own: ToyConfig) -> None:
    """What became of real networks with the stop-gradient and the predictor of either side."""
    st.subheader(_("And in a real network?"), anchor=False)
    with plain_errors():
        found = runs.chosen_set("toy_set")
        recipe = REAL_RUNS.get((own.stop_gradient, own.predictor))
        shown = [found[r] for r in dict.fromkeys(("baseline", recipe)) if r in found]
        if recipe not in found:
            st.info(_(NO_REAL_RUN))
        rows = [
            {
                _("run"): runs.name(record),
                _("state"): _(
                    run_charts.STATES[run_charts.state(record, final_epoch(record), SHARE)]
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
            figures.words_of(rows, "toy_real_runs")
            figures.about(
                run_charts.provenance(shown, None, run_charts.over(shown[0], "test_knn_accuracy")),
                "toy_real_runs",
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
            "One thing is different here: **without any batch normalisation** this toy collapses even with "
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


def training(place: st.delta_generator.DeltaGenerator) -> None:
    """The first view: SimSiam next to the same network without a part, trained in view."""
    keep_alive((toy_steps.COMPARE, toy_steps.SEED))
    with place:
        row = st.container(horizontal=True, gap="small")
    with row:
        buttons = st.container(horizontal=True, gap="small", width="content")
        with controls.popover(_("Switches")):
            others = st.container(horizontal=True, gap="small")
            own = switches()
    with buttons:
        presets(own, IN_VIEW)
    with others:
        presets(own, [code for code in PRESETS if code not in IN_VIEW])
    pair = runs_of(baseline(own), own)
    holders = []
    for column, run, side in zip(st.columns(2, gap="small", wrap=False), pair, SIDES, strict=True):
        with column, st.container(width=SQUARE, gap="small"):
            st.markdown(f"**{_(side)}**")
            holders.append(st.empty())
            st.caption(difference_words(run.config, _("with stop-gradient and predictor")))
    st.caption(_("Colour and shape: the class. A dot: the z of one point."))
    below = st.empty()
    ended = train_in_view(pair, holders, below)
    if ended:
        clouds(pair, own, holders)
        shape.fragment(moving)(pair, own)
    strip(own)
    toy_questions.ask(own, answered=ended)
    data(own)
    real_runs(own)
    explain()


def main() -> None:
    head(
        _("Collapse, live"),
        _(
            "A SimSiam of a few hundred parameters learns on this page in seconds: take a part away, and "
            "see it collapse."
        ),
    )
    with plain_errors():
        with st.container(horizontal=True, gap="medium", vertical_alignment="bottom"):
            with st.container(width="content"):
                shown = controls.choice(_("Show"), SHOWN, "toy_view")
            place = st.container(width="content")
        if shown == "train":
            training(place)
        else:
            keep_alive()
            toy_steps.show(place)


def explain() -> None:
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
        ),
        folded=unanswered(*questions_asked(*toy_questions.keys())),
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
            "helps them to. As Chen & He do, this page calls the predictor h; on other pages h are the "
            "features of the backbone."
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
