"""t* of every test digit, stored with a diffusion bundle: histogram, by class, by level."""

from __future__ import annotations

import itertools

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from core.bundle import Bundle
from core.ddpm import ScheduleConfig
from core.ddpm_explorer import DDPMExplorer
from core.restoration import Criterion, Rule, crossings
from pages.shared import controls, figures, loaders
from pages.shared.figures import Provenance
from pages.shared.restored import AXES, COLOUR, CRITERIA, place_words, threshold
from pages.shared.text import GREY, N_, _, number, percent, plain_errors

QUARTERS = 4
"""Into so many parts of rising contrast the test digits are divided."""
CLASS_WIDTH = 0.6
"""How wide the bars of one class are, of those of all classes behind them."""
MOST = 0.5
"""Where more pictures than this are never lost, the measure says little about them."""


def held(bundle: Bundle) -> bool:
    """Whether a bundle has t* of test digits, with the curve of every one."""
    return "t_star_curves_digit" in bundle.profiles


def headline(bundle: Bundle) -> str:
    """Over how much of the test set t* is known."""
    count = bundle.metrics["judged"]["t_star"]["pictures"] if held(bundle) else 0
    every = bundle.config["data"]["test_pictures"]
    if 0 < count < every:
        return _("t* over {count} of {every} test digits").format(
            count=number(count, 0), every=number(every, 0)
        )
    return _("t* over the whole test set")


def bins(values: np.ndarray, levels: np.ndarray, T: int) -> tuple[list[str], np.ndarray]:
    """Shares of stored t* between the levels tried, and beyond them: labels as pages count t."""
    counts, _edges = np.histogram(values, [-2, *levels, T + 1])
    shown = [str(level + 1) for level in levels]
    between = [f"{a}–{b}" for a, b in itertools.pairwise(shown)]
    return [f"< {shown[0]}", *between, f"> {shown[-1]}"], counts / max(1, len(values))


def bars(values: np.ndarray, levels: np.ndarray, T: int, width: float) -> dict[str, object]:
    """A histogram whose areas are shares of stored t*, for bars as wide as ``width`` of their bin.

    Levels are closer where most pictures are lost: so a bar's height is its share per the shortest
    distance between them. The last bar, of that width, holds all beyond the highest level.
    """
    names, shares = bins(values, levels, T)
    step = int(np.diff(levels).min())
    edges = np.array([0, *(levels + 1), levels[-1] + 1 + step])
    wide = np.diff(edges)
    return {
        "x": edges[:-1] + wide / 2,
        "width": wide * width,
        "y": shares * step / wide,
        "customdata": [
            f"{name}: {percent(share, 1)}" for name, share in zip(names, shares, strict=True)
        ],
        "hovertemplate": "%{customdata}",
    }


@st.fragment
def show(explorer: DDPMExplorer) -> None:
    """t* of every test digit, stored with the bundle: runs again by itself."""
    with plain_errors():
        st.subheader(headline(explorer.bundle), anchor=False)
        if not held(explorer.bundle):
            st.info(_("This bundle holds no t* of the test digits: choose another model."))
            return
        arrays = explorer.bundle.profiles
        figures_ = explorer.bundle.metrics["judged"]["t_star"]
        left, middle, right = st.columns([3, 2, 3], gap="large")
        with left:
            criterion = controls.choice(_("By which measure?"), CRITERIA, "tstar_set_by")
        with middle:
            rule = threshold(loaders.judge(), criterion, "tstar_set_rule")
        with right:
            classes = {"all": N_("all")} | {str(i): n for i, n in enumerate(explorer.class_names)}
            label = controls.choice(_("Digit"), classes, "tstar_set_class")
        levels, labels = arrays["t_star_levels"], arrays["t_star_labels"]
        curves = arrays[f"t_star_curves_{criterion}"].astype(np.float64)
        every = crossings(levels, curves, rule).clip(-1, explorer.T)
        step = int(np.diff(levels).min())
        figure = go.Figure()
        figure.add_bar(
            **bars(every, levels, explorer.T, 1.0), name=_("all digits"), marker_color=GREY
        )
        if label != "all":
            of_class = every[labels == int(label)]
            title = _("digit {label}").format(label=explorer.class_names[int(label)])
            look = {"name": title, "marker_color": COLOUR}
            figure.add_bar(**bars(of_class, levels, explorer.T, CLASS_WIDTH), **look)
        end = int(levels[-1]) + 1
        ticks = [*range(0, end, 4 * step), end + step / 2]
        words = [*(number(t, 0) for t in ticks[:-1]), f"> {number(end, 0)}"]
        figure.update_xaxes(title="t*", tickvals=ticks, ticktext=words, range=[0, end + step])
        words = _("share of the test digits per {step} levels").format(step=step)
        figure.update_yaxes(title=words, tickformat=".0%")
        figure.update_layout(barmode="overlay", showlegend=True)
        settings = {
            _("over"): _("{count} test pictures").format(count=number(figures_["pictures"], 0)),
            _("draws"): figures_["draws"],
            _("sampler"): _("{sampler}, {steps} steps").format(
                sampler="DDIM", steps=figures_["steps"]
            ),
            _("threshold"): number(rule.threshold, 2),
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
        by_class(explorer, every, criterion, settings)
        curve_of_set(explorer, curves.mean(axis=0), rule, criterion, settings)
        above = float((every >= explorer.T).mean())
        low, median, high = (
            counted(t, levels, explorer.T) for t in np.percentile(every, (25, 50, 75))
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
                above=percent(above),
                last=number(levels[-1] + 1, 0),
            )
        )
        depends(explorer, every, criterion, rule)
        if above > MOST:
            st.warning(
                _(
                    "By this measure hardly any picture is lost at the levels that were tried. That "
                    "does not mean that the pictures come back: its threshold may be one that "
                    "other samples of this model meet as well. See what an unrelated sample "
                    "scores in the chart of one picture above."
                )
            )


def counted(t: float, levels: np.ndarray, T: int) -> str:
    """A stored t* as pages count it; beyond the levels that were tried only that."""
    return place_words(t + 1 if 0 <= t < T else np.copysign(np.inf, t), levels + 1)


def by_class(
    explorer: DDPMExplorer,
    every: np.ndarray,
    criterion: Criterion,
    settings: dict[str, object],
) -> None:
    """Median and quartiles of t* for each digit."""
    arrays = explorer.bundle.profiles
    labels = arrays["t_star_labels"]
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
        by_chance(explorer)


def by_chance(explorer: DDPMExplorer) -> None:
    """Which digits are kept by chance: those that the judge reads most where no picture is left."""
    arrays, names = explorer.bundle.profiles, loaders.judge().class_names
    labels, last = arrays["t_star_labels"], int(arrays["t_star_levels"][-1])
    at_last = arrays["t_star_curves_digit"][:, -1]
    kept = {label: float(at_last[labels == label].mean()) for label in np.unique(labels)}
    most = max(kept, key=lambda label: kept[label])
    flat = np.bincount(loaders.flat().digit)
    st.markdown(
        _(
            "**Kept by chance**: at t′ = {last}, where {noise} of the variance of x_t is noise, {kept} "
            "of the draws that began as {digit} are still read as {digit}, more than of any other "
            "digit: the judge reads it into many of this model's samples. The t\\* of that digit "
            "is too high by this measure. Of {count} flat pictures, one colour all over, the judge "
            "reads {share} as {flat}."
        ).format(
            last=number(last + 1, 0),
            noise=percent(1 - float(explorer.schedule.alphas_cumprod[last]), 1),
            kept=percent(kept[most]),
            digit=names[int(most)],
            count=number(int(flat.sum()), 0),
            share=percent(float(flat.max() / flat.sum())),
            flat=names[int(flat.argmax())],
        )
    )


def curve_of_set(
    explorer: DDPMExplorer,
    mean: np.ndarray,
    rule: Rule,
    criterion: Criterion,
    settings: dict[str, object],
) -> None:
    """The measure against t', mean over the test set."""
    levels = explorer.bundle.profiles["t_star_levels"] + 1
    figure = go.Figure()
    figure.add_trace(
        figures.line(levels, mean, _("mean over the test digits"), COLOUR, markers=True)
    )
    figure.add_hline(y=rule.threshold, line_dash="dash", line_color=GREY)
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


def depends(explorer: DDPMExplorer, every: np.ndarray, criterion: Criterion, rule: Rule) -> None:
    """What t* depends on, as far as the stored figures tell: the picture, and the model."""
    arrays = explorer.bundle.profiles
    quarters = np.array_split(arrays["t_star_contrast"].argsort(kind="stable"), QUARTERS)
    faint, bold = (
        counted(float(np.median(every[part])), arrays["t_star_levels"], explorer.T)
        for part in (quarters[0], quarters[-1])
    )
    st.markdown(_("**What does it depend on?**"))
    st.markdown(
        _(
            "On the **picture**: the quarter of the test digits with the least contrast comes back up "
            "to a median t\\* of {faint}, the quarter with the most up to {bold}. On the "
            "**schedule**: the same measure and threshold for every model that holds such curves."
        ).format(faint=faint, bold=bold)
    )
    st.dataframe(
        [
            row
            for entry in loaders.entries("ddpm")
            if (row := of_model(entry.name, criterion, rule))
        ],
        hide_index=True,
        width="stretch",
    )
    st.caption(
        _(
            "Noise at t\\*: share of the variance of x_t, 1 − ᾱ. Where models of other T agree in it and "
            "not in t\\*, the amount of noise decides and not the number of steps."
        )
    )


def of_model(name: str, criterion: Criterion, rule: Rule) -> dict[str, object] | None:
    """The median t* of a bundle's test digits, and how much noise that is; None: not stored."""
    bundle = loaders.bundle(name)
    if not held(bundle):
        return None
    arrays, plain = bundle.profiles, bundle.config["architecture"]["schedule"]
    schedule = ScheduleConfig(**plain).build()
    levels, T = arrays["t_star_levels"], schedule.T
    every = crossings(levels, arrays[f"t_star_curves_{criterion}"], rule).clip(-1, T)
    median = float(np.median(every))
    kept = schedule.alphas_cumprod[round(median)] if 0 <= median < T else None
    return {
        "T": T,
        _("epochs"): bundle.config["training"]["epochs_done"],
        _("test digits"): len(every),
        _("t*, median"): counted(median, levels, T),
        _("noise at t*"): "–" if kept is None else percent(1 - float(kept), 1),
    }
