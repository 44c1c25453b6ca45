"""Likelihood: how probable is this picture, and how sure is that figure?"""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from core.pictures.data import PictureSet
from core.vae.bounds import (
    NLL_CONSTANT,
    bits_per_dimension,
    effective_sample_size,
    importance_weighted_bound,
    log_of_mean_weight,
    normalised_weights,
)
from core.vae.explorer import Evidence, VAEExplorer
from core.vae.gaussian import DiagonalGaussianDistribution
from core.vae.model import VAE
from core.vae.networks import PICTURE_DIMENSIONS
from core.vae.ppca import ProbabilisticPCA
from pages.shared import controls, data_sets, figures, library, links, loaders, picking
from pages.shared.colours import GREY, SYMBOL_COLOURS
from pages.shared.figures import Provenance
from pages.shared.loaders import Timed
from pages.shared.picking import Start
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
from pages.vae.parts import tightness

DRAWS = 64
SEED = 0
IN_PAIRS = N_("In pairs of rows: test digits, and below each its reconstruction.")


# ---------------------------------------------------------------- one picture


def reconstructions(explorer: VAEExplorer, start: Start, found: Timed[Evidence]) -> None:
    """One sheet of three, which stays in one row on a phone."""
    evidence = found.value
    sheet = figures.sheet(
        np.stack([start.picture, evidence.reconstruction, evidence.linear_reconstruction]),
        "likelihood_pictures",
        columns=3,
        alt=_("The picture, what the VAE makes of it, what probabilistic PCA makes of it"),
        factor=8,
    )
    st.caption(_("From left to right: the picture, VAE, linear model."))
    figures.about(provenance(explorer, start, found), "likelihood_pictures", png=lambda: sheet)


def provenance(explorer: VAEExplorer, start: Start, found: Timed[Evidence]) -> Provenance:
    settings = {_("picture"): start.words, _("draws of z"): DRAWS, _("seed"): SEED}
    return Provenance(explorer.bundle, True, found.seconds, settings)


def parts(evidence: Evidence) -> None:
    """The bound, its two parts that move, and the linear model's exact value, in nats."""
    cells = [*st.columns(2, wrap=False), *st.columns(2, wrap=False)]
    cells[0].metric(
        _("Misfit"),
        number(evidence.misfit),
        help=_(
            "Half the squared error of the decoded picture, averaged over draws of z, in nats. "
            "With the constant {constant} it is −log p(x|z)."
        ).format(constant=number(NLL_CONSTANT)),
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
    cells[2].markdown(against_linear(evidence))
    cells[3].metric(
        _("Linear model, exact"),
        number(evidence.linear_nll),
        help=_("−log p(x) under probabilistic PCA with the same unit noise."),
    )


def against_linear(evidence: Evidence) -> str:
    """How far the VAE's bound lies from the linear model's exact value; the lower is the better."""
    gain = evidence.linear_nll - evidence.negative_elbo
    if gain >= 0:
        return _(":green[↓ {nats} nats] below the linear model").format(nats=number(gain))
    return _(":red[↑ {nats} nats] above the linear model").format(nats=number(-gain))


def balance(explorer: VAEExplorer, start: Start, found: Timed[Evidence]) -> None:
    """The parts of the bound as bars, the constant shown apart, next to the linear model's value."""
    evidence = found.value
    figure = go.Figure()
    bars = [
        (_("misfit"), evidence.misfit, SYMBOL_COLOURS["x_hat"]),
        ("KL", evidence.kl, SYMBOL_COLOURS["z"]),
    ]
    for title, value, colour in bars:
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
            showlegend=False,
        )
    )
    figure.update_layout(barmode="stack", legend_traceorder="normal")
    figure.update_xaxes(
        title=_("nats above the constant {constant}").format(constant=number(NLL_CONSTANT))
    )
    figures.chart(
        figure,
        "likelihood_balance",
        _("Misfit and KL of the VAE next to the linear model, in nats"),
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
        height=210,
    )


# ---------------------------------------------------------------- the test set


def test_set(explorer: VAEExplorer) -> None:
    st.subheader(_("Where does the VAE beat the linear model?"), anchor=False)
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
            "The VAE is ahead below the line: for **{share}** of the test pictures, although its "
            "figure is only an upper bound. Mean over the test set: negative ELBO {vae} nats, linear "
            "model with {components} components {linear} nats."
        ).format(
            share=percent(share),
            vae=number(tested["negative_elbo"]),
            linear=number(explorer.bundle.metrics["linear_model"]["nll"]),
            components=explorer.linear.components,
        )
    )
    real = data_sets.measured_test_set(explorer.bundle)
    settings = explorer.bundle.config["data"]
    data_sets.offer(
        settings["name"],
        settings["test_split"],
        _(
            "Show the originals next to the reconstructions: download the test digits ({megabytes} MB)"
        ),
        "likelihood_originals",
    )
    for kind, title in (("best", _("Best reconstructions")), ("worst", _("Worst reconstructions"))):
        extremes(explorer, real, kind, title)


def extremes(explorer: VAEExplorer, real: PictureSet | None, kind: str, title: str) -> None:
    st.subheader(title, anchor=False)
    sheets = explorer.bundle.progress(kind)
    rows = explorer.bundle.profiles[f"{kind}_rows"]
    shown = library.sheet(explorer.bundle, kind, max(sheets), len(rows))
    if real is not None:
        pairs = [
            np.concatenate([real.pictures[rows[i : i + 8]], shown[i : i + 8]])
            for i in range(0, len(rows), 8)
        ]
        shown = np.concatenate(pairs)
        st.caption(_(IN_PAIRS))
    figures.sheet(shown, f"likelihood_{kind}", columns=8, alt=title)
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


def explain_parts() -> None:
    mechanism(
        _(
            "Three numbers add up to the negative ELBO. A Gaussian with unit variance over "
            "{dimensions} values has a **constant** of {constant} nats that no model can change, so "
            "it is shown apart. The **misfit** is half the squared error of the decoded picture, "
            "averaged over draws of z. The **KL** is the price of the latent code.\n\n"
            "**Probabilistic PCA** is the same model with a linear decoder. There everything is "
            "Gaussian, so its likelihood is exact."
        ).format(
            dimensions=number(PICTURE_DIMENSIONS, 0),
            constant=number(NLL_CONSTANT),
        )
    )


def explain_weights() -> None:
    mechanism(
        _(
            "Importance sampling replaces one draw of z by K draws from q(z|x). Each draw has a "
            "weight, prior times likelihood over q(z|x), and the mean of the weights estimates "
            "p(x). On average the bound rises with K towards the true log p(x). The **effective "
            "sample size** says how many draws really count: while it stays near 1, one lucky draw "
            "decides, and the estimate is not to be trusted yet."
        )
    )


def formulas() -> None:
    x, z = coloured("x"), coloured("z")
    weight = rf"\frac{{p_\theta({x} \mid {z}_k)\,p({z}_k)}}{{q_\phi({z}_k \mid {x})}}"
    formula(
        [
            rf"\log p({x}) \ge \mathbb E_q[\log p_\theta({x} \mid {z})] - "
            rf"\mathrm{{KL}}\big(q_\phi({z} \mid {x})\,\|\,p({z})\big)",
            rf"\log p({x}) \ge \mathbb E\Big[\log \tfrac1K \textstyle\sum_k w_k\Big],\qquad "
            rf"w_k = {weight},\qquad {z}_k \sim q_\phi({z} \mid {x})",
            r"\log \tfrac1K \textstyle\sum_k w_k = m + \log \tfrac1K \textstyle\sum_k "
            r"e^{\log w_k - m},\qquad m = \max_k \log w_k",
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
        log_of_mean_weight,
        normalised_weights,
        effective_sample_size,
        ProbabilisticPCA.nll,
    )


def pick_picture(explorer: VAEExplorer) -> Start | None:
    """The picture, from a picker in one folded line."""
    with st.expander(_("Another picture"), icon=":material/image_search:"):
        return picking.start("likelihood", explorer, default="maker")


def main() -> None:
    head(
        _("Likelihood"),
        _(
            "How probable is a picture? A VAE answers with a bound, its **negative ELBO**: a "
            "constant, the **misfit** (half the squared error of the decoded picture) and the "
            "**KL** (the price of the code). A linear model with the same noise gives an exact "
            "figure to beat."
        ),
    )
    with plain_errors():
        name = controls.bundle_name("vae", "likelihood_bundle")
        explorer = loaders.vae(name)
        left, right = st.columns(2, gap="large")
        pictures, found = left.container(), None
        with left:
            start = pick_picture(explorer)
        if start is None:
            links.wants_result("likelihood", None)  # what the link meant is not to be had
            pictures.info(_(picking.WANTED))
        else:
            found = loaders.evidence(name, start.picture, draws=DRAWS, seed=SEED)
            with pictures:
                reconstructions(explorer, start, found)
            with right:
                parts(found.value)
            balance(explorer, start, found)
        explain_parts()
        st.subheader(_("How tight is the bound?"), anchor=False)
        under_the_hand, on_average = st.container(), st.container()
        with plain_errors():
            test_set(explorer)
        formulas()
        # Last, so that the rest of the page stands while draws are made.
        if start is not None:
            with under_the_hand:
                tightness.weights(name, start, found.value)
                explain_weights()
        with on_average:
            tightness.bound(explorer, start, found and found.value)
