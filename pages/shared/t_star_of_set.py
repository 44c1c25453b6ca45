"""t* of every test digit, stored with a diffusion bundle: histogram, by class, by level."""

from __future__ import annotations

import itertools

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from core.ddpm_explorer import DDPMExplorer
from core.restoration import Criterion
from pages.shared import controls, figures, loaders
from pages.shared.figures import Provenance
from pages.shared.restored import AXES, COLOUR, CRITERIA, place_words
from pages.shared.text import GREY, N_, _, number, percent, plain_errors

MOST = 0.5
"""Where more pictures than this are never lost, the measure says little about them."""


def bins(values: np.ndarray, levels: np.ndarray, T: int) -> tuple[list[str], np.ndarray]:
    """Shares of stored t* between the levels tried, and beyond them: labels as pages count t."""
    counts, _edges = np.histogram(values, [-2, *levels, T + 1])
    shown = [str(level + 1) for level in levels]
    between = [f"{a}–{b}" for a, b in itertools.pairwise(shown)]
    return [f"< {shown[0]}", *between, f"> {shown[-1]}"], counts / max(1, len(values))


@st.fragment
def show(explorer: DDPMExplorer) -> None:
    """t* of every test digit, stored with the bundle: runs again by itself."""
    with plain_errors():
        st.subheader(_("t* over the whole test set"), anchor=False)
        judged = explorer.bundle.metrics.get("judged", {})
        if "t_star" not in judged:
            st.info(_("This bundle holds no t* of the test digits: choose another model."))
            return
        figures_, arrays = judged["t_star"], explorer.bundle.profiles
        left, right = st.columns(2, gap="large")
        with left:
            criterion = controls.choice(_("By which measure?"), CRITERIA, "tstar_set_by")
        with right:
            classes = {"all": N_("all")} | {str(i): n for i, n in enumerate(explorer.class_names)}
            label = controls.choice(_("Digit"), classes, "tstar_set_class")
        every, levels = arrays[f"t_star_{criterion}"], arrays["t_star_levels"]
        labels = arrays["t_star_labels"]
        names, shares = bins(every, levels, explorer.T)
        figure = go.Figure()
        figure.add_bar(x=names, y=shares, name=_("all digits"), marker_color=GREY)
        if label != "all":
            of_class = every[labels == int(label)]
            _names, of_class_shares = bins(of_class, levels, explorer.T)
            title = _("digit {label}").format(label=explorer.class_names[int(label)])
            figure.add_bar(x=names, y=of_class_shares, name=title, marker_color=COLOUR)
        figure.update_xaxes(title="t*", type="category")
        figure.update_yaxes(title=_("share of the test digits"), tickformat=".0%")
        figure.update_layout(barmode="group", showlegend=True)
        settings = {
            _("over"): _("{count} test pictures").format(count=number(figures_["pictures"], 0)),
            _("draws"): figures_["draws"],
            _("sampler"): _("{sampler}, {steps} steps").format(
                sampler="DDIM", steps=figures_["steps"]
            ),
            _("threshold"): number(figures_[criterion]["threshold"], 2),
        }
        figures.chart(
            figure,
            "tstar_histogram",
            _("Where the t* of the test digits lie: all, and one class"),
            Provenance(explorer.bundle, live=False, settings=settings),
            lambda: [
                {"test_digit": int(digit), "t_star": float(value) + 1}
                for digit, value in zip(labels, every, strict=True)
            ],
        )
        by_class(explorer, criterion, settings)
        curve_of_set(explorer, criterion, settings)
        low, median, high = (
            place_words(t + 1 if 0 <= t < explorer.T else np.copysign(np.inf, t), levels + 1)
            for t in figures_[criterion]["quartiles"]
        )
        st.markdown(
            _(
                "The median t\\* of the test digits is **{median}**, the quartiles are {low} and "
                "{high}. {above} of all test digits are still restored at {last}, the highest "
                "level that was tried."
            ).format(
                low=low,
                high=high,
                median=median,
                above=percent(figures_[criterion]["above"]),
                last=number(levels[-1] + 1, 0),
            )
        )
        if figures_[criterion]["above"] > MOST:
            st.warning(
                _(
                    "By this measure hardly any picture is lost at the levels that were tried. That "
                    "does not mean that the pictures come back: its threshold may be one that "
                    "other samples of this model meet as well. See what an unrelated sample "
                    "scores in the chart of one picture above."
                )
            )


def by_class(explorer: DDPMExplorer, criterion: Criterion, settings: dict[str, object]) -> None:
    """Median and quartiles of t* for each digit."""
    arrays = explorer.bundle.profiles
    every, labels = arrays[f"t_star_{criterion}"], arrays["t_star_labels"]
    present = np.unique(labels)
    quartiles = np.array([np.percentile(every[labels == i], (25, 50, 75)) for i in present])
    # Where the picture is lost below, or kept above, all levels tried, the bar ends there.
    quartiles = quartiles.clip(*arrays["t_star_levels"][[0, -1]]) + 1
    names = [explorer.class_names[i] for i in present]
    figure = go.Figure()
    figure.add_bar(
        x=names,
        y=quartiles[:, 1],
        name=_("median t*"),
        marker_color=COLOUR,
        error_y={
            "type": "data",
            "symmetric": False,
            "array": quartiles[:, 2] - quartiles[:, 1],
            "arrayminus": quartiles[:, 1] - quartiles[:, 0],
        },
    )
    figure.update_xaxes(title=_("digit"), type="category")
    last = number(arrays["t_star_levels"][-1] + 1, 0)
    figure.update_yaxes(title=_("t*: median and quartiles, up to {last}").format(last=last))
    figures.chart(
        figure,
        "tstar_by_class",
        _("Median and quartiles of t* for each digit"),
        Provenance(explorer.bundle, live=False, settings=settings),
        lambda: [
            {"digit": name, "lower_quartile": a, "median": b, "upper_quartile": c}
            for name, (a, b, c) in zip(names, quartiles.tolist(), strict=True)
        ],
        height=320,
    )
    if criterion == "digit":
        of_nothing()


def of_nothing() -> None:
    """What the judge reads in pictures without a digit, live: t* of that digit is too high."""
    seen = loaders.flat().digit
    digits, counts = np.unique(seen, return_counts=True)
    most = int(counts.argmax())
    st.markdown(
        _(
            "In {count} of {all} flat pictures, one colour all over, the judge reads a **{digit}**. "
            "Where a {digit} has dissolved into nothing it is therefore still *kept*: its t\\* by "
            "this measure is too high."
        ).format(
            count=number(int(counts[most]), 0),
            all=number(len(seen), 0),
            digit=loaders.judge().class_names[int(digits[most])],
        )
    )


def curve_of_set(explorer: DDPMExplorer, criterion: Criterion, settings: dict[str, object]) -> None:
    """The measure against t', mean over the test set."""
    arrays = explorer.bundle.profiles
    levels, mean = arrays["t_star_levels"] + 1, arrays[f"t_star_curve_{criterion}"]
    figure = go.Figure()
    figure.add_trace(
        figures.line(levels, mean, _("mean over the test digits"), COLOUR, markers=True)
    )
    limit = explorer.bundle.metrics["judged"]["t_star"][criterion]["threshold"]
    figure.add_hline(y=limit, line_dash="dash", line_color=GREY)
    figure.update_xaxes(title="t′")
    figure.update_yaxes(title=_(AXES[criterion]))
    figures.chart(
        figure,
        "tstar_set_curve",
        _("{measure} against t′, mean over the test set").format(measure=_(CRITERIA[criterion])),
        Provenance(explorer.bundle, live=False, settings=settings),
        lambda: [{"t": int(t), "mean": float(m)} for t, m in zip(levels, mean, strict=True)],
        height=300,
    )
