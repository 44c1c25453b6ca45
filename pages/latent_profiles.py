"""Latent profiles: what every class looks like as a bar chart over the latent units."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
import streamlit as st
from plotly.subplots import make_subplots

from core.latent_profiles import ClassProfiles
from core.vae import DiagonalGaussianDistribution, active_units
from core.vae_explorer import VAEExplorer
from pages.shared import controls, figures, loaders
from pages.shared.text import (
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

ORDERS = {
    "between": N_("Tells classes apart"),
    "kl": N_("KL"),
    "number": N_("Number"),
}
WHISKERS = {"spread": N_("Spread over the pictures"), "error": N_("Error of the mean")}
LIGHT = "#B9C4CC"
ACTIVE = 0.01


def order_of(explorer: VAEExplorer, shown: ClassProfiles, order: str) -> np.ndarray:
    if order == "between":
        return np.argsort(-shown.explained, kind="stable")
    return explorer.order if order == "kl" else np.arange(explorer.latent_dim)


def source_of_profiles(explorer: VAEExplorer) -> tuple[ClassProfiles, bool, float | None, str]:
    """Stored profiles over all training pictures, or live ones over as many as one chooses."""
    settings = explorer.bundle.config["data"]
    total = int(explorer.profiles.count.sum())
    if not loaders.split_at_hand(settings["name"], settings["split"]):
        words = _("{count} training pictures").format(count=number(total, 0))
        return explorer.profiles, False, None, words
    options = [n for n in (100, 300, 1000, 3000, 10000) if n < total] + [total]
    chosen = st.select_slider(
        _("Training pictures that go in"),
        options,
        total,
        key="profiles_pictures",
        format_func=lambda n: number(n, 0),
        help=_("Few pictures: the profile is noisy. Watch which peaks stay."),
    )
    words = _("{count} training pictures").format(count=number(chosen, 0))
    if chosen == total:
        return explorer.profiles, False, None, words
    begun = time.perf_counter()
    live = loaders.profiles(explorer.bundle.name, settings["name"], settings["split"], chosen)
    return live, True, time.perf_counter() - begun, words


def bars(
    shown: ClassProfiles, c: int, units: np.ndarray, peaks: np.ndarray, whiskers: str
) -> go.Bar:
    colours = [SYMBOL_COLOURS["z"] if peaks[c, u] else LIGHT for u in units]
    length = shown.std[c, units]
    if whiskers == "error":
        length = length / np.sqrt(max(1, shown.count[c]))
    return go.Bar(
        x=[f"z{u + 1}" for u in units],
        y=shown.mean[c, units],
        error_y={"type": "data", "array": length, "color": "#5A6570", "thickness": 1},
        marker_color=colours,
        name=str(c),
        showlegend=False,
        customdata=shown.effect[c, units],
        hovertemplate="%{x}: %{y:.2f}, d = %{customdata:.2f}<extra></extra>",
    )


def one_class(
    shown: ClassProfiles, c: int, units: np.ndarray, peaks: np.ndarray, whiskers: str
) -> go.Figure:
    figure = go.Figure(bars(shown, c, units, peaks, whiskers))
    figure.update_yaxes(title=_("mean of E[z|x]"))
    return figure


def all_classes(
    shown: ClassProfiles, names: Sequence[str], units: np.ndarray, peaks: np.ndarray
) -> go.Figure:
    count = len(names)
    figure = make_subplots(
        rows=(count + 1) // 2,
        cols=2,
        shared_yaxes="all",
        shared_xaxes=True,
        subplot_titles=list(names),
        vertical_spacing=0.05,
        horizontal_spacing=0.04,
    )
    for c in range(count):
        figure.add_trace(bars(shown, c, units, peaks, "error"), row=c // 2 + 1, col=c % 2 + 1)
    figure.update_xaxes(showticklabels=False)
    return figure


def heat_map(shown: ClassProfiles, names: Sequence[str], units: np.ndarray) -> go.Figure:
    effect = shown.effect[:, units]
    limit = float(np.abs(effect).max()) or 1.0
    figure = go.Figure(
        go.Heatmap(
            z=effect,
            x=[f"z{u + 1}" for u in units],
            y=list(names),
            colorscale="PuOr",
            zmin=-limit,
            zmax=limit,
            colorbar={"title": "d"},
            hovertemplate="%{x}, %{y}: d = %{z:.2f}<extra></extra>",
        )
    )
    figure.update_yaxes(title=_("class"), autorange="reversed", type="category")
    return figure


def class_difference(
    shown: ClassProfiles, names: Sequence[str], a: int, b: int, units: np.ndarray
) -> go.Figure:
    spread = np.sqrt(shown.within_variance[units])
    figure = go.Figure(
        go.Bar(
            x=[f"z{u + 1}" for u in units],
            y=shown.mean[a, units] - shown.mean[b, units],
            error_y={"type": "data", "array": spread, "color": "#5A6570", "thickness": 1},
            marker_color=SYMBOL_COLOURS["x"],
        )
    )
    figure.update_yaxes(title=_("class {a} − class {b}").format(a=names[a], b=names[b]))
    return figure


def kl_chart(explorer: VAEExplorer, units: np.ndarray) -> go.Figure:
    active = explorer.unit_variance > ACTIVE
    figure = go.Figure(
        go.Bar(
            x=[f"z{u + 1}" for u in units],
            y=explorer.kl_per_unit[units],
            marker_color=[SYMBOL_COLOURS["z"] if active[u] else LIGHT for u in units],
        )
    )
    figure.update_yaxes(title=_("KL (nats)"))
    return figure


def profile_rows(shown: ClassProfiles, explorer: VAEExplorer) -> list[dict]:
    return [
        {
            "class": c,
            "unit": u + 1,
            "pictures": int(shown.count[c]),
            "mean": float(shown.mean[c, u]),
            "std": float(shown.std[c, u]),
            "effect": float(shown.effect[c, u]),
            "kl_nats": float(explorer.kl_per_unit[u]),
        }
        for c in range(len(shown.mean))
        for u in range(explorer.latent_dim)
    ]


@st.fragment
def profiles(name: str) -> None:
    explorer = loaders.vae(name)
    left, middle, right = st.columns(3, gap="large")
    with left:
        shown, live, seconds, words = source_of_profiles(explorer)
    with middle:
        order = controls.choice(_("Order of the units"), ORDERS, "profiles_order")
    with right:
        threshold = controls.real(
            _("A peak: |d| at least"),
            0.02,
            1.0,
            0.1,
            "profiles_peak",
            step=0.02,
            help=_(
                "d: how far the class mean lies from the mean over all classes, in standard "
                "deviations inside a class. Cohen calls 0.2 small, 0.5 medium, 0.8 large."
            ),
        )
    units = order_of(explorer, shown, order)
    peaks = shown.peaks(threshold)
    settings = {_("over"): words, _("peaks"): f"|d| ≥ {number(threshold, 2)}"}

    def caption() -> None:
        figures.caption(explorer.bundle, live=live, seconds=seconds, settings=settings)

    def rows() -> list[dict]:
        return profile_rows(shown, explorer)

    st.subheader(_("One class"), anchor=False)
    classes = list(explorer.class_names)
    left, right = st.columns(2)
    name_ = left.selectbox(_("Class"), classes, key="profiles_class", bind="query-params")
    chosen = classes.index(name_)
    with right:
        whiskers = controls.choice(_("Whiskers"), WHISKERS, "profiles_whiskers")
    figures.chart(
        one_class(shown, chosen, units, peaks, whiskers),
        "profiles_one",
        _("Mean latent of class {c} with its spread, peaks in colour").format(c=name_),
    )
    found = [
        f"z{u + 1} ({number(float(shown.effect[chosen, u]), 2)})" for u in units if peaks[chosen, u]
    ]
    st.markdown(
        _("Peaks of class {c}, with d: {list}").format(c=name_, list=", ".join(found))
        if found
        else _("No unit of class {c} reaches this threshold.").format(c=name_)
    )
    caption()
    figures.downloads("profiles_data", rows=rows)

    st.subheader(_("All ten on one scale"), anchor=False)
    figures.chart(
        all_classes(shown, classes, units, peaks),
        "profiles_all",
        _("Mean latent of all ten classes, on one scale"),
        height=900,
    )
    st.caption(_("The whiskers are the error of the mean, one standard error."))
    caption()

    st.subheader(_("Which unit speaks for which class"), anchor=False)
    figures.chart(
        heat_map(shown, classes, units),
        "profiles_heat",
        _("Standardised difference d of every class and unit"),
        height=420,
    )
    best = int(np.argmax(shown.explained))
    st.markdown(
        _(
            "The unit that tells classes apart best is **z{unit}**: {share} of its variance lies "
            "between classes. The rest is what digits of one class differ by: light, colour, "
            "neighbours, place."
        ).format(unit=best + 1, share=percent(float(shown.explained[best])))
    )
    caption()

    st.subheader(_("Two classes"), anchor=False)
    left, right = st.columns(2)
    last = len(classes) - 1
    first = left.selectbox(
        _("Class"), classes, index=min(1, last), key="profiles_a", bind="query-params"
    )
    second = right.selectbox(
        _("minus class"), classes, index=min(7, last), key="profiles_b", bind="query-params"
    )
    a, b = classes.index(first), classes.index(second)
    figures.chart(
        class_difference(shown, classes, a, b, units),
        "profiles_difference",
        _("Mean latent of class {a} minus that of class {b}").format(a=first, b=second),
    )
    st.caption(_("The whiskers are one standard deviation inside a class."))
    caption()

    st.subheader(_("What each unit says"), anchor=False)
    figures.chart(kl_chart(explorer, units), "profiles_kl", _("KL of every unit, in nats"))
    tested = explorer.bundle.metrics["test"]
    st.markdown(
        _(
            "**{active} of {all} units are active** (variance of E[z|x] above {threshold}); "
            "together they tell {kl} nats about a picture."
        ).format(
            active=int((explorer.unit_variance > ACTIVE).sum()),
            all=explorer.latent_dim,
            threshold=number(ACTIVE, 2),
            kl=number(tested["kl"]),
        )
    )
    figures.caption(
        explorer.bundle,
        live=False,
        settings={
            _("over"): _("{count} test pictures").format(count=number(tested["pictures"], 0))
        },
    )


def main() -> None:
    head(
        _("Latent profiles"),
        _(
            "Average what the encoder says of all pictures of one class, and a profile appears. "
            "**Peaks say which units know about the digit**, though nobody ever told the model "
            "what a digit is."
        ),
    )
    with plain_errors():
        profiles(controls.bundle_name("vae", "profiles_bundle"))
        mechanism(
            _(
                "For every training picture the encoder gives a mean E[z|x]. A bar is the average "
                "of these over a class, its whisker one standard deviation over the pictures of "
                "the class. Bars are short beside their whiskers: most of what the latent space "
                "stores is not the digit but its colours and light. A light 3 on a dark wall and a "
                "dark 3 on a light wall, for one, can lie far apart and cancel in the mean. A bar "
                "is marked as a **peak** by a rule that you can move: its distance from the mean "
                "over all classes, in standard deviations inside a class."
            )
        )
        z = coloured("z")
        formula(
            [
                rf"d_{{c,u}} = \frac{{\bar{{{z}}}_{{c,u}} - \bar{{{z}}}_{{\cdot,u}}}}{{s_u}},\qquad "
                r"s_u^2 = \tfrac1C\textstyle\sum_c s_{c,u}^2",
                r"\mathrm{KL}_u = \tfrac12\big(\mu_u^2 + \sigma_u^2 - 1 - \log\sigma_u^2\big)",
            ],
            _("Active units: Burda, Grosse & Salakhutdinov 2016. Effect size d: Cohen 1988."),
            ClassProfiles.effect.fget,
            ClassProfiles.explained.fget,
            DiagonalGaussianDistribution.kl_per_unit,
            active_units,
        )


main()
