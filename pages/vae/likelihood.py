"""Likelihood: how probable is this picture, and how sure is that figure?"""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from core.vae.bounds import (
    NLL_CONSTANT,
    bits_per_dimension,
    effective_sample_size,
    importance_weighted_bound,
)
from core.vae.explorer import BoundCurve, Evidence, VAEExplorer
from core.vae.gaussian import DiagonalGaussianDistribution
from core.vae.model import VAE
from core.vae.ppca import ProbabilisticPCA
from pages.shared import controls, data_sets, figures, library, live, loaders, picking
from pages.shared.colours import AMBER, GREY, SYMBOL_COLOURS
from pages.shared.figures import Provenance
from pages.shared.loaders import Timed
from pages.shared.picking import Start
from pages.shared.text import _, coloured, formula, head, mechanism, number, percent, plain_errors

DRAWS = 64
SEED = 0


# ---------------------------------------------------------------- one picture


def reconstructions(explorer: VAEExplorer, start: Start, found: Timed[Evidence]) -> None:
    evidence = found.value
    tiles = [
        (start.picture, _("the picture"), _("The picture")),
        (evidence.reconstruction, "VAE", _("What the VAE makes of it")),
        (
            evidence.linear_reconstruction,
            _("linear model"),
            _("What probabilistic PCA makes of it"),
        ),
    ]
    figures.row(tiles)
    figures.about(
        provenance(explorer, start, found),
        "likelihood_pictures",
        png=lambda: figures.grid(np.stack([pixels for pixels, *_words in tiles]), len(tiles)),
    )


def provenance(explorer: VAEExplorer, start: Start, found: Timed[Evidence]) -> Provenance:
    settings = {_("picture"): start.words, _("draws of z"): DRAWS, _("seed"): SEED}
    return Provenance(explorer.bundle, True, found.seconds, settings)


def balance(explorer: VAEExplorer, start: Start, found: Timed[Evidence]) -> None:
    """The bound and its parts, the constant shown apart, beside the linear model's exact value."""
    evidence = found.value
    gain = evidence.linear_nll - evidence.negative_elbo
    cells = st.columns(4)
    cells[0].metric(
        _("Misfit"),
        number(evidence.misfit),
        help=_(
            "Half the squared error of the decoded picture, averaged over draws of z, in nats: the "
            "part of nll that moves."
        ),
    )
    cells[1].metric(
        "KL", number(evidence.kl), help=_("What the code of this picture costs, in nats.")
    )
    cells[2].metric(
        _("Negative ELBO"),
        number(evidence.negative_elbo),
        help=_("Constant {constant} + misfit + KL; {bits} bits per dimension.").format(
            constant=number(NLL_CONSTANT),
            bits=number(float(bits_per_dimension(evidence.negative_elbo)), 3),
        ),
    )
    cells[3].metric(
        _("Linear model, exact"),
        number(evidence.linear_nll),
        # Streamlit reads the direction from a plain hyphen.
        delta=number(gain).replace("\N{MINUS SIGN}", "-"),
        delta_description=_("nats gained by the VAE"),
        help=_("−log p(x) under probabilistic PCA with the same unit noise."),
    )
    figure = go.Figure()
    parts = [
        (_("misfit"), evidence.misfit, SYMBOL_COLOURS["x_hat"]),
        ("KL", evidence.kl, SYMBOL_COLOURS["z"]),
    ]
    for title, value, colour in parts:
        figure.add_trace(
            go.Bar(y=["VAE"], x=[value], name=title, orientation="h", marker_color=colour)
        )
    figure.add_trace(
        go.Bar(
            y=[_("linear model")],
            x=[evidence.linear_nll - NLL_CONSTANT],
            orientation="h",
            name=_("linear model"),
            marker_color=GREY,
        )
    )
    figure.update_layout(barmode="stack")
    figure.update_xaxes(
        title=_("nats above the constant {constant}").format(constant=number(NLL_CONSTANT))
    )
    figures.chart(
        figure,
        "likelihood_balance",
        _("Misfit and KL of the VAE beside the linear model, in nats"),
        provenance(explorer, start, found),
        lambda: [
            {
                "constant": NLL_CONSTANT,
                "misfit": evidence.misfit,
                "kl": evidence.kl,
                "negative_elbo": evidence.negative_elbo,
                "linear_nll": evidence.linear_nll,
            }
        ],
        height=260,
    )


# ---------------------------------------------------------------- the bound against K


def bound_figure(curve: BoundCurve, found: Evidence) -> go.Figure:
    K = [point.K for point in curve.points]
    nll = np.array([point.nll for point in curve.points])
    spread = np.array([point.spread for point in curve.points])
    figure = go.Figure()
    figure.add_trace(figures.band(K, nll - spread, nll + spread, SYMBOL_COLOURS["x"]))
    figure.add_trace(
        figures.line(K, nll, _("importance-weighted bound"), SYMBOL_COLOURS["x"], markers=True)
    )
    for level, title, colour, dash in (
        (found.negative_elbo, _("negative ELBO"), SYMBOL_COLOURS["z"], "dot"),
        (found.linear_nll, _("linear model, exact"), GREY, "dash"),
    ):
        figure.add_trace(figures.line([K[0], max(2, K[-1])], [level] * 2, title, colour, dash=dash))
    figure.update_xaxes(type="log", title="K")
    figure.update_yaxes(title=_("−log p(x), nats"))
    return figure


def sample_size_figure(curve: BoundCurve) -> go.Figure:
    K = [point.K for point in curve.points]
    size = [point.effective_sample_size for point in curve.points]
    figure = go.Figure()
    figure.add_trace(figures.line(K, size, _("effective sample size"), AMBER, markers=True))
    figure.add_trace(figures.line(K, K, _("all draws count alike"), GREY, dash="dot"))
    figure.update_xaxes(type="log", title="K")
    figure.update_yaxes(type="log", title=_("draws that count"))
    return figure


def draw_bound(curve: BoundCurve, found: Evidence, provenance: Provenance) -> None:
    def rows() -> list[dict]:
        return [vars(point) | {"repeats": curve.repeats} for point in curve.points]

    left, right = st.columns(2, gap="large")
    with left:
        alt = _("Importance-weighted bound against K with its spread over repeats")
        figures.chart(bound_figure(curve, found), "likelihood_bound", alt, provenance, rows)
    with right:
        alt = _("Effective sample size against K")
        figures.chart(sample_size_figure(curve), "likelihood_ess", alt, provenance, rows)
    last = curve.points[-1]
    st.markdown(
        _(
            "With K = {K}, −log p(x) is estimated at **{nll} ± {spread}** nats, too high rather "
            "than too low, and {size} of the {K} draws count. That is {gain} nats below the "
            "negative ELBO: about so much of it, or more, is slack in q(z|x)."
        ).format(
            K=number(last.K, 0),
            nll=number(last.nll),
            spread=number(last.spread, 2),
            size=number(last.effective_sample_size),
            gain=number(found.negative_elbo - last.nll),
        )
    )


def bound(explorer: VAEExplorer, start: Start, found: Evidence) -> None:
    """Draws on demand, with progress and a stop; not a fragment, for only a run of the whole page
    is interrupted by a click.
    """
    st.subheader(_("How tight is the bound?"), anchor=False)
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
    compute = st.button(
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
    )
    if curve is not None and curve.points:
        if not curve.finished:
            st.info(_("Stopped: the curve ends at K = {K}.").format(K=curve.points[-1].K))
        settings = {
            _("picture"): start.words,
            _("seed"): seed,
            _("repeats"): curve.repeats,
        }
        draw_bound(curve, found, Provenance(explorer.bundle, True, curve.seconds, settings))


# ---------------------------------------------------------------- the test set


def test_set(explorer: VAEExplorer) -> None:
    st.subheader(_("Where does the VAE earn its keep?"), anchor=False)
    arrays, tested = explorer.bundle.profiles, explorer.bundle.metrics["test"]
    vae_nll = arrays["test_nll"] + arrays["test_kl"]
    linear = arrays["ppca_test_nll"]
    share = float((vae_nll < linear).mean())
    figure = go.Figure(
        go.Scattergl(
            x=linear,
            y=vae_nll,
            mode="markers",
            marker={"size": 5, "color": SYMBOL_COLOURS["x"], "opacity": 0.45},
            hovertemplate=_("linear {x}, VAE {y}").format(x="%{x:.1f}", y="%{y:.1f}")
            + "<extra></extra>",
            showlegend=False,
        )
    )
    ends = [float(min(linear.min(), vae_nll.min())), float(max(linear.max(), vae_nll.max()))]
    figure.add_trace(figures.line(ends, ends, _("equal"), GREY, dash="dot"))
    figure.update_xaxes(title=_("linear model, exact nll (nats)"))
    figure.update_yaxes(title=_("VAE, negative ELBO (nats)"))
    over = {_("over"): _("{count} test pictures").format(count=number(len(linear), 0))}
    figures.chart(
        figure,
        "likelihood_scatter",
        _("Every test picture: nll under the linear model against the VAE's bound"),
        Provenance(explorer.bundle, live=False, settings=over),
        lambda: [
            {
                "row": row,
                "nll": float(arrays["test_nll"][row]),
                "kl": float(arrays["test_kl"][row]),
                "negative_elbo": float(vae_nll[row]),
                "linear_nll": float(linear[row]),
            }
            for row in range(len(linear))
        ],
        height=460,
    )
    st.markdown(
        _(
            "Below the line the VAE is ahead although its figure is only a bound: **{share}** of "
            "the test pictures. Mean negative ELBO {vae} nats, linear model {linear} nats with "
            "{components} components."
        ).format(
            share=percent(share),
            vae=number(tested["negative_elbo"]),
            linear=number(explorer.bundle.metrics["linear_model"]["nll"]),
            components=explorer.linear.components,
        )
    )
    importance(explorer)
    for kind, title in (("best", _("Best reconstructions")), ("worst", _("Worst reconstructions"))):
        extremes(explorer, kind, title)


def importance(explorer: VAEExplorer) -> None:
    """The stored importance-weighted bound over test pictures."""
    stored = explorer.bundle.metrics["importance_weighted"]
    figure = go.Figure()
    figure.add_trace(
        figures.line(
            [row["K"] for row in stored],
            [row["nll"] for row in stored],
            _("importance-weighted bound"),
            SYMBOL_COLOURS["x"],
            markers=True,
        )
    )
    figure.update_xaxes(type="log", title="K")
    figure.update_yaxes(title=_("−log p(x), nats"))
    over = _("{count} test pictures").format(count=number(stored[0]["pictures"], 0))
    figures.chart(
        figure,
        "likelihood_importance",
        _("Mean importance-weighted bound over test pictures against K"),
        Provenance(explorer.bundle, live=False, settings={_("over"): over}),
        lambda: stored,
        height=300,
    )


def extremes(explorer: VAEExplorer, kind: str, title: str) -> None:
    st.subheader(title, anchor=False)
    sheets = explorer.bundle.progress(kind)
    rows = explorer.bundle.profiles[f"{kind}_rows"]
    shown = library.sheet(explorer.bundle, kind, max(sheets), len(rows))
    real = data_sets.measured_test_set(explorer.bundle)
    if real is not None:
        pairs = [
            np.concatenate([real.pictures[rows[i : i + 8]], shown[i : i + 8]])
            for i in range(0, len(rows), 8)
        ]
        shown = np.concatenate(pairs)
        st.caption(
            _("In pairs of rows: the test digits, and below them what the VAE makes of them.")
        )
    figures.sheet(shown, columns=8, alt=title)
    mse = explorer.bundle.profiles["test_mode_mse"][rows]
    settings = {
        _("mean squared error, values in [−1, 1]"): (
            f"{number(float(mse.min()), 4)} – {number(float(mse.max()), 4)}"
        )
    }
    figures.about(
        Provenance(explorer.bundle, live=False, settings=settings),
        f"likelihood_{kind}",
        png=lambda: figures.grid(shown, 8),
        rows=lambda: [
            {"row": int(row), "mse": float(value)} for row, value in zip(rows, mse, strict=True)
        ],
    )


# ---------------------------------------------------------------- the page


def main() -> None:
    head(
        _("Likelihood"),
        _(
            "How probable is a picture under the model? The VAE only gives a **bound**; drawing "
            "more samples tightens it. A linear model with the same noise gives its answer "
            "exactly: the bar that a curved latent space has to clear."
        ),
    )
    with plain_errors():
        name = controls.bundle_name("vae", "likelihood_bundle")
        explorer = loaders.vae(name)
        left, right = st.columns([2, 3], gap="large")
        with left:
            start = picking.start("likelihood", explorer, default="maker")
        if start is None:
            st.info(_("Choose a picture to start from."))
        else:
            found = loaders.evidence(name, start.picture, draws=DRAWS, seed=SEED)
            with right:
                reconstructions(explorer, start, found)
            balance(explorer, start, found)
            tightness = st.container()
        with plain_errors():
            test_set(explorer)
        mechanism(
            _(
                "Three quantities make up the bound. A Gaussian with unit variance over 3,072 "
                "values carries a **constant** of 2,823.0 nats that no model can change, so it is "
                "shown apart. The **misfit** is half the squared error of the decoded picture, "
                "averaged over draws of z. The **KL** is what the latent code costs.\n\n"
                "Importance sampling replaces one draw of z by K draws, each weighted by prior "
                "times likelihood over q(z|x). On average the bound rises with K towards the true "
                "log p(x). "
                "The **effective sample size** says how many draws really count: when it stays "
                "near 1, a single lucky draw decides, and the figure is not to be trusted yet.\n\n"
                "**Probabilistic PCA** is the same model with a linear decoder. There everything "
                "is Gaussian, so its likelihood is exact."
            )
        )
        x, z = coloured("x"), coloured("z")
        weight = rf"\frac{{p_\theta({x} \mid {z}_k)\,p({z}_k)}}{{q_\phi({z}_k \mid {x})}}"
        formula(
            [
                rf"\log p({x}) \ge \mathbb E_q[\log p_\theta({x} \mid {z})] - "
                rf"\mathrm{{KL}}\big(q_\phi({z} \mid {x})\,\|\,p({z})\big)",
                rf"\log p({x}) \ge \mathbb E\Big[\log \tfrac1K \textstyle\sum_k {weight}\Big]"
                rf"\qquad {z}_k \sim q_\phi({z} \mid {x})",
                r"\mathrm{ESS} = \frac{(\sum_k w_k)^2}{\sum_k w_k^2}",
            ],
            _(
                "Burda, Grosse & Salakhutdinov 2016, equation 8; Kong 1992; Tipping & Bishop 1999. "
                "The ELBO is maximised: its KL comes with a minus sign."
            ),
            VAE.forward,
            DiagonalGaussianDistribution.nll,
            VAE.log_importance_weights,
            importance_weighted_bound,
            effective_sample_size,
            ProbabilisticPCA.nll,
        )
        if start is not None:
            with tightness:  # last, so that the rest of the page stands while draws are made
                bound(explorer, start, found.value)
