"""How tight the bound of a picture is: importance weights under the hand, and averages over draws."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from core.bundles.bundle import Bundle
from core.pictures.images import Pictures
from core.vae.explorer import BoundAtK, BoundCurve, Evidence, VAEExplorer, WeightsAtK
from pages.browser import curves
from pages.browser.curves import Axis, Level, Series
from pages.browser.film import STOP
from pages.browser.timeline import timeline
from pages.shared import controls, figures, library, links, live, loaders, shape
from pages.shared.colours import AMBER, GREY, SYMBOL_COLOURS
from pages.shared.figures import Provenance
from pages.shared.library import Timed
from pages.shared.picking import Start
from pages.shared.text import N_, _, number, percent

FROM_FIRST = N_("estimate from the first K weights")
STOPPED = N_("Stopped: the curve ends at K = {K}.")
DRAWS_KEY = "likelihood_draws"
LEVELS = tuple(2**power for power in range(11))
FIRST = 8
"""Few enough draws that each weight is a bar one sees: the axis reaches to 100 % at every K."""
SHOWN, SEED = 32, 0
BEFORE = "likelihood_before"
"""In a visit: the request of the curve that was seen last, and what it is drawn with."""
PALE = 0.4
"""Opacity of what belongs to the settings before."""
KEPT = 64
"""Pictures whose weights are kept, for all visitors together."""
REST = SHOWN + 4
"""Where the bar of all other draws stands."""
BAR = 6.0
"""How many pixels wide a bar is: as many as 36 of them have on a phone."""
LEAST = math.floor(math.log(np.finfo(np.float64).smallest_subnormal))
"""float64 has no positive number below the exponential of it."""


# ---------------------------------------------------------------- weights under the hand


def weights_of(explorer: VAEExplorer, picture: Pictures) -> Timed[tuple[WeightsAtK, ...]]:
    """The importance weights of a picture at every K of ``LEVELS``; drawn once for all visitors."""
    return library.timed_answer(
        "importance_weights",
        KEPT,
        (explorer.bundle.digest, picture.tobytes()),
        lambda: explorer.weights(picture, levels=LEVELS, shown=SHOWN, seed=SEED),
    )


@shape.fragment
def weights(name: str, start: Start, found: Evidence) -> None:
    """Every draw's weight while K grows, and what the draws come to: runs again by itself."""
    explorer = loaders.vae(name)
    with st.spinner(_("Drawing {count} samples of z …").format(count=number(LEVELS[-1], 0))):
        drawn = weights_of(explorer, start.picture)
    words = [
        _("{K} draws, worth {size}").format(
            K=number(one.K, 0), size=number(one.effective_sample_size)
        )
        for one in drawn.value
    ]
    K = timeline("K", LEVELS, DRAWS_KEY, default=FIRST, words=words)
    left, right = st.columns(2, gap="large")
    with left:
        bars(drawn.value)
    with right:
        estimate(drawn.value, found)
    now = drawn.value[LEVELS.index(K)]
    settings = {_("picture"): start.words, _("seed"): SEED, "K": number(K, 0)}
    figures.about(
        Provenance(explorer.bundle, True, drawn.seconds, settings),
        "likelihood_weights",
        rows=lambda: rows_of(drawn.value),
    )
    st.markdown(in_words(now))
    underflow(now)


def bars_of(found: Sequence[WeightsAtK]) -> list[Series]:
    """One bar for each of the largest weights, one for all others together, and equal shares.

    A bar is a thick line from 0 to its share. The chart keeps the frame of the first stop in view, pale:
    here one that no hand reaches, with nothing in it.
    """
    stops = [0, *(one.K for one in found)]
    rank = np.arange(1, SHOWN + 1)
    shares = np.full((len(stops), SHOWN), np.nan)
    rest, equal = np.full((2, len(stops), 1), np.nan)
    for row, one in enumerate(found, start=1):
        shares[row, : len(one.largest)] = one.largest
        rest[row] = one.rest if one.K > SHOWN else np.nan
        equal[row] = 1 / one.K
    upright = [_upright(place, height) for place, height in ((rank, shares), ([REST], rest))]
    ends = np.array([0.5, SHOWN + 0.5])
    return [
        Series(_("one weight"), *upright[0], SYMBOL_COLOURS["z"], width=BAR, stops=stops),
        Series(_("all others together"), *upright[1], GREY, width=BAR, stops=stops),
        Series(
            _("if all counted alike"),
            ends,
            np.repeat(equal, 2, axis=1),
            SYMBOL_COLOURS["x"],
            dash="dot",
            width=2.0,
            stops=stops,
        ),
    ]


def _upright(places: Sequence[float], heights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lines from 0 to heights (S, N) at places (N,), with gaps between them: x (3N,), y (S, 3N)."""
    feet = np.where(np.isnan(heights), np.nan, 0.0)
    gaps = np.full_like(heights, np.nan)
    return np.repeat(places, 3), np.stack([feet, heights, gaps], axis=-1).reshape(len(heights), -1)


def bars(found: Sequence[WeightsAtK]) -> None:
    curves.chart(
        "likelihood_bars",
        DRAWS_KEY,
        bars_of(found),
        Axis(
            _("the {count} largest weights, sorted").format(count=SHOWN),
            span=(0, REST + 1),
            bare=True,
        ),
        Axis(_("share of the sum of all K weights"), span=(0, 1), percent=True),
        _("Normalised importance weights of {K} draws, the largest first").format(K=STOP),
        along=False,
    )


def estimate(found: Sequence[WeightsAtK], evidence: Evidence) -> None:
    """What the first K draws say of -log p(x), by K."""
    levels = [
        Level(evidence.negative_elbo, _("negative ELBO"), SYMBOL_COLOURS["z"], "dot"),
    ]
    curves.chart(
        "likelihood_estimate",
        DRAWS_KEY,
        [
            Series(
                _(FROM_FIRST),
                np.array([one.K for one in found]),
                np.array([one.nll for one in found]),
                SYMBOL_COLOURS["x"],
            )
        ],
        Axis("K", log=True),
        Axis(_("−log p(x), nats"), digits=1),
        _("−log p(x) as the first {K} draws estimate it").format(K=STOP),
        levels=levels,
    )


def rows_of(found: Sequence[WeightsAtK]) -> list[dict]:
    """Everything that is drawn, a row a K."""
    return [
        {
            "K": one.K,
            "effective_sample_size": one.effective_sample_size,
            "nll": one.nll,
            **{f"share_{rank}": float(share) for rank, share in enumerate(one.largest, start=1)},
            "share_of_others": one.rest,
        }
        for one in found
    ]


def in_words(now: WeightsAtK) -> str:
    """How few draws carry the estimate."""
    if now.K == 1:
        return _("A single draw has all the weight. Move K and watch whether others join it.")
    return _(
        "The heaviest of the {K} draws alone carries **{share}** of the whole weight. The effective "
        "sample size is {size}: the estimate is as uncertain as one from {size} draws that all "
        "count alike."
    ).format(
        K=number(now.K, 0),
        share=percent(float(now.largest[0])),
        size=number(now.effective_sample_size),
    )


def underflow(now: WeightsAtK) -> None:
    """Why weights are not averaged as they are: both results, of the very draws above."""
    left, right = st.columns(2, wrap=False)
    left.metric(_("Average, then logarithm"), number_or_infinity(-now.nll_of_mean))
    right.metric(_("Log-sum-exp"), number_or_infinity(-now.nll))
    if math.isinf(now.nll_of_mean):
        st.markdown(
            _(
                "Both estimate log p(x) from the same {K} weights, in float64. The largest weight is "
                "exp({log}), and float64 has no positive number below exp({least}): every weight "
                "becomes 0, and the logarithm of their mean −∞. Log-sum-exp takes the largest log "
                "weight out of the sum before anything is exponentiated."
            ).format(K=number(now.K, 0), log=number(now.log_largest, 0), least=number(LEAST, 0))
        )


def number_or_infinity(value: float) -> str:
    """A number, or an infinity, as a page writes it."""
    if math.isinf(value):
        return "−∞" if value < 0 else "∞"
    return number(value)


# ---------------------------------------------------------------- on average over draws


@dataclass(frozen=True)
class Own:
    """The curve of one picture, ``words``, over its ELBO, with draws of a seed.

    ``before``: it belongs to the settings before, and those of now have no curve yet.
    """

    curve: BoundCurve
    found: Evidence
    words: str
    seed: int
    before: bool = False

    @property
    def name(self) -> str:
        return _("the settings before") if self.before else _("this picture")

    @property
    def opacity(self) -> float:
        return PALE if self.before else 1.0


def bound_figure(stored: Sequence[dict], own: Own | None) -> go.Figure:
    """What K draws gain over the ELBO: on average over test pictures, and for one picture."""
    figure = go.Figure()
    K = [row["K"] for row in stored]
    gains = [stored[0]["nll"] - row["nll"] for row in stored]
    figure.add_trace(figures.line(K, gains, _("test pictures, mean"), GREY, markers=True))
    if own is not None:
        points, colour = own.curve.points, SYMBOL_COLOURS["x"]
        K = [point.K for point in points]
        gain = own.found.negative_elbo - np.array([point.nll for point in points])
        spread = np.array([point.spread for point in points])
        band = figures.band(K, gain - spread, gain + spread, colour)
        line = figures.line(K, gain, own.name, colour, markers=True)
        figure.add_traces([trace.update(opacity=own.opacity) for trace in (band, line)])
    figure.update_layout(showlegend=True)
    figure.update_xaxes(type="log", title="K")
    figure.update_yaxes(title=_("gain over the ELBO, nats"))
    return figure


def sample_size_figure(stored: Sequence[dict], own: Own | None) -> go.Figure:
    figure = go.Figure()
    K = [row["K"] for row in stored]
    size = [row["effective_sample_size"] for row in stored]
    figure.add_trace(figures.line(K, size, _("test pictures, mean"), GREY, markers=True))
    if own is not None:
        at = [point.K for point in own.curve.points]
        size = [point.effective_sample_size for point in own.curve.points]
        line = figures.line(at, size, own.name, AMBER, markers=True)
        figure.add_trace(line.update(opacity=own.opacity))
        K = max(K, at, key=max)
    figure.add_trace(figures.line(K, K, _("all draws count alike"), GREY, dash="dot"))
    figure.update_xaxes(type="log", title="K")
    figure.update_yaxes(type="log", title=_("effective sample size"))
    return figure


def rows_of_averages(stored: Sequence[dict], own: Own | None) -> list[dict]:
    """Test pictures, then one picture, a row a K."""
    rows = [{"of": "test set", **row} for row in stored]
    if own is not None:
        of = {"of": "settings before" if own.before else "this picture"}
        of |= {"repeats": own.curve.repeats}
        rows += [of | vars(point) for point in own.curve.points]
    return rows


def averages(bundle: Bundle, own: Own | None) -> None:
    """The stored curves over test pictures, and one picture's where it was drawn."""
    stored = bundle.metrics["importance_weighted"]
    pictures = _("{count} test pictures").format(count=number(stored[0]["pictures"], 0))
    settings: dict[str, object] = {_("stored with the bundle"): pictures}
    if own is not None:
        settings |= {
            _("picture"): own.words,
            _("seed"): own.seed,
            _("repeats"): own.curve.repeats,
        }
    seconds = None if own is None else own.curve.seconds
    provenance = Provenance(bundle, own is not None, seconds, settings)

    def rows() -> list[dict]:
        return rows_of_averages(stored, own)

    left, right = st.columns(2, gap="large")
    with left:
        alt = _("What K draws gain over the ELBO, by K, with the spread over repeats")
        figures.chart(bound_figure(stored, own), "likelihood_bound", alt, provenance, rows)
    with right:
        alt = _("Effective sample size against K")
        figures.chart(sample_size_figure(stored, own), "likelihood_ess", alt, provenance, rows)


def bound(explorer: VAEExplorer, start: Start | None, found: Evidence | None) -> None:
    """Averages: those of the bundle at once, this picture's on demand, with progress and a stop.

    Not a fragment, for only a run of the whole page is interrupted by a click.
    """
    stored = explorer.bundle.metrics["importance_weighted"]
    st.markdown(
        _(
            "**On average over {count} test pictures**, stored with the model: more draws raise the "
            "bound of log p(x), but few of them count."
        ).format(count=number(stored[0]["pictures"], 0))
    )
    result, own = st.container(), None
    if start is not None and found is not None:
        st.markdown(_("Draw several sets of z to add the curve of this picture, with its spread."))
        own = read_own_curve(explorer, start, found)
    with result:
        if own is not None and own.before:
            st.info(of_before(own))
        averages(explorer.bundle, own)
        if own is not None and not own.before:
            st.markdown(bound_words(own.curve.points[-1], own.curve.repeats, own.found))


def of_before(own: Own) -> str:
    """Which settings the pale curve belongs to."""
    return _(
        "You have changed the settings: press the button. The pale curve belongs to the settings before: "
        "{picture}, K up to {K}, {repeats} repeats, seed {seed}."
    ).format(
        picture=own.words,
        K=number(own.curve.points[-1].K, 0),
        repeats=own.curve.repeats,
        seed=own.seed,
    )


def read_own_curve(explorer: VAEExplorer, start: Start, found: Evidence) -> Own | None:
    """This picture's curve, where somebody has wanted it; else, pale, the one that was seen before."""
    left, middle, right = st.columns(3, gap="large", vertical_alignment="bottom")
    with left:
        most = controls.stop(_("K up to"), [10, 100, 1000, 5000], 1000, "likelihood_k")
    with middle:
        repeats = controls.whole(
            _("Repeats"),
            2,
            20,
            5,
            "likelihood_repeats",
            help=_("Each repeat draws afresh; the band is one standard deviation over them."),
        )
    with right:
        seed = controls.seed("likelihood_seed")
    request = (explorer.bundle.digest, start.picture.tobytes(), most, repeats, seed)
    a_draw = weights_of(explorer, start.picture).seconds / LEVELS[-1]
    compute = controls.act(
        _("Draw {count} samples of z").format(count=number(most * repeats, 0)),
        key="likelihood_go",
        type="primary",
        icon=":material/play_arrow:",
    )
    curve = live.answer(
        request,
        lambda: explorer.bound_curve(start.picture, most=most, repeats=repeats, seed=seed),
        "likelihood",
        st.empty(),
        lambda _curve: None,
        wanted=compute,
        seconds=most * repeats * a_draw,
    )
    if curve is None or not curve.points:
        return None if links.wants_result("likelihood", request) else previous_curve(explorer)
    if curve.finished:
        st.session_state[BEFORE] = request, found, start.words, seed
    else:
        st.info(_(STOPPED).format(K=curve.points[-1].K))
    return Own(curve, found, start.words, seed)


def previous_curve(explorer: VAEExplorer) -> Own | None:
    """The curve that this visit saw last, of this very model, as long as it is kept for all visitors."""
    request, found, words, seed = st.session_state.get(BEFORE, (None, None, "", SEED))
    if request is None or request[0] != explorer.bundle.digest:
        return None
    curve = live.result("likelihood", request)
    return None if curve is None else Own(curve, found, words, seed, before=True)


def bound_words(last: BoundAtK, repeats: int, found: Evidence) -> str:
    """What the largest K of a picture's curve says about the ELBO."""
    words = _(
        "With K = {K}, {repeats} sets of draws put −log p(x) at **{nll} ± {spread}** nats on "
        "average, and {size} of the {K} draws count."
    ).format(
        K=number(last.K, 0),
        repeats=repeats,
        nll=number(last.nll),
        spread=number(last.spread, 2),
        size=number(last.effective_sample_size),
    )
    gain = found.negative_elbo - last.nll
    if gain <= 0:
        return words
    return f"{words} " + _(
        "This is an upper bound in expectation. So the negative ELBO lies at least about **{gain}** "
        "nats above −log p(x), and that gap comes from q(z|x) alone, which is not the true posterior."
    ).format(gain=number(gain))
