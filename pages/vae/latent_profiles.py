"""Latent profiles: what every class looks like as a bar chart over the latent units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
import streamlit as st
from plotly.subplots import make_subplots

from core.vae.explorer import VAEExplorer
from core.vae.gaussian import DiagonalGaussianDistribution
from core.vae.latent_profiles import ClassProfiles
from core.vae.latents import ACTIVE_VARIANCE, active_units
from pages.shared import controls, data_sets, figures, loaders
from pages.shared.colours import PALE, SYMBOL_COLOURS, WHISKER
from pages.shared.figures import Provenance
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

ORDERS = {
    "between": N_("Variance between classes"),
    "share": N_("Share between classes"),
    "kl": N_("KL"),
    "number": N_("Number"),
}
WHISKERS = {"spread": N_("Spread over the pictures"), "error": N_("Error of the mean")}
SAMPLES = (100, 300, 1000, 3000, 10000, 30000)


def order_of(explorer: VAEExplorer, shown: ClassProfiles, order: str) -> np.ndarray:
    if order in ("between", "share"):
        by = shown.between_variance if order == "between" else shown.explained
        return np.argsort(-by, kind="stable")
    return explorer.order if order == "kl" else np.arange(explorer.latent_dim)


@dataclass(frozen=True)
class Source:
    """Profiles and where they come from."""

    shown: ClassProfiles
    live: bool
    seconds: float | None
    words: str


def source_of_profiles(explorer: VAEExplorer) -> Source:
    """Stored profiles over all training pictures, or live ones over as many as one chooses."""
    settings = explorer.bundle.config["data"]
    total = int(explorer.profiles.count.sum())
    stored = Source(
        explorer.profiles,
        live=False,
        seconds=None,
        words=_("all {count} training pictures").format(count=number(total, 0)),
    )
    candidates = dict.fromkeys((settings["split"], "train"))
    split = next((c for c in candidates if data_sets.at_hand(settings["name"], c)), None)
    if split is None:
        words = _("Download training pictures to choose how many go in ({megabytes} MB)")
        data_sets.offer(settings["name"], "train", words, "profiles_download")
        return stored
    with plain_errors():
        most = loaders.picture_count(settings["name"], split)
        options = [*(n for n in SAMPLES if n < most), most]
        chosen = controls.stop(
            _("Training pictures that go in"),
            [0, *options],
            0,
            "profiles_pictures",
            help=_(
                "0: the profile as it is stored with the bundle. Few pictures: the profile is noisy. "
                "Watch which peaks stay."
            ),
        )
        if chosen:
            found = loaders.profiles(explorer.bundle.name, settings["name"], split, chosen)
            words = _("{count} pictures of the split {split}").format(
                count=number(chosen, 0), split=split
            )
            return Source(found.value, live=True, seconds=found.seconds, words=words)
    return stored


def bars(
    shown: ClassProfiles, c: int, units: np.ndarray, peaks: np.ndarray, whiskers: str
) -> go.Bar:
    colours = [SYMBOL_COLOURS["z"] if peaks[c, u] else PALE for u in units]
    length = shown.std[c, units]
    if whiskers == "error":
        length = length / np.sqrt(max(1, shown.count[c]))
    return go.Bar(
        x=[f"z{u + 1}" for u in units],
        y=shown.mean[c, units],
        error_y={"type": "data", "array": length, "color": WHISKER, "thickness": 1},
        marker_color=colours,
        name=str(c),
        showlegend=False,
        customdata=shown.deviation[c, units],
        hovertemplate="%{x}: %{y:.2f}, δ = %{customdata:.2f}<extra></extra>",
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
    deviation = shown.deviation[:, units]
    limit = float(np.nanmax(np.abs(deviation))) or 1.0
    figure = go.Figure(
        go.Heatmap(
            z=deviation,
            x=[f"z{u + 1}" for u in units],
            y=list(names),
            colorscale="PuOr",
            zmin=-limit,
            zmax=limit,
            colorbar={"title": "δ"},
            hovertemplate="%{x}, %{y}: δ = %{z:.2f}<extra></extra>",
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
            error_y={"type": "data", "array": spread, "color": WHISKER, "thickness": 1},
            marker_color=SYMBOL_COLOURS["x"],
        )
    )
    figure.update_yaxes(title=_("class {a} − class {b}").format(a=names[a], b=names[b]))
    return figure


def kl_chart(explorer: VAEExplorer, units: np.ndarray) -> go.Figure:
    figure = go.Figure(
        go.Bar(
            x=[f"z{u + 1}" for u in units],
            y=explorer.kl_per_unit[units],
            marker_color=[SYMBOL_COLOURS["z"] if explorer.active[u] else PALE for u in units],
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
            "deviation": float(shown.deviation[c, u]),
            "kl_nats": float(explorer.kl_per_unit[u]),
        }
        for c in range(len(shown.mean))
        for u in range(explorer.latent_dim)
    ]


@st.fragment
def profiles(name: str) -> None:
    """All charts: the part that runs again when a control of the page changes."""
    with plain_errors():
        show(loaders.vae(name))


@dataclass(frozen=True)
class Profiled:
    """What the figures of classes are made of: profiles, units in order, peaks (classes, units)."""

    explorer: VAEExplorer
    shown: ClassProfiles
    units: np.ndarray
    peaks: np.ndarray
    provenance: Provenance

    @property
    def classes(self) -> list[str]:
        return list(self.explorer.class_names)

    def rows(self) -> list[dict]:
        return profile_rows(self.shown, self.explorer)


def show(explorer: VAEExplorer) -> None:
    """The controls of all figures, and the figures one below the other."""
    left, middle, right = st.columns(3, gap="large")
    with left:
        source = source_of_profiles(explorer)
    with middle:
        order = controls.choice(_("Order of the units"), ORDERS, "profiles_order")
    with right:
        threshold = controls.real(
            _("A peak: |δ| at least"),
            0.02,
            1.0,
            0.1,
            "profiles_peak",
            step=0.02,
            help=_(
                "δ: how far the class mean lies from the mean over all classes, in standard "
                "deviations inside a class."
            ),
        )
    shown = source.shown
    units, peaks = order_of(explorer, shown, order), shown.peaks(threshold)
    provenance = Provenance(
        explorer.bundle,
        source.live,
        source.seconds,
        {_("over"): source.words, _("peaks"): f"|δ| ≥ {number(threshold, 2)}"},
    )
    profiled = Profiled(explorer, shown, units, peaks, provenance)
    class_by_itself(profiled)
    classes_on_one_scale(profiled)
    units_by_class(profiled)
    two_classes(profiled)
    cost_of_units(explorer, units)


def class_by_itself(profiled: Profiled) -> None:
    """One class: its mean latent, and which units are peaks."""
    shown, classes, units, peaks = profiled.shown, profiled.classes, profiled.units, profiled.peaks
    st.subheader(_("One class"), anchor=False)
    left, right = st.columns(2)
    with left:
        name = controls.option(_("Class"), controls.same(classes), "profiles_class")
    c = classes.index(name)
    with right:
        whiskers = controls.choice(_("Whiskers"), WHISKERS, "profiles_whiskers")
    alt = _("Mean latent of class {c} with its spread, peaks in colour").format(c=name)
    figure = one_class(shown, c, units, peaks, whiskers)
    figures.chart(figure, "profiles_one", alt, profiled.provenance, profiled.rows)
    found = [f"z{u + 1} ({number(float(shown.deviation[c, u]), 2)})" for u in units if peaks[c, u]]
    st.markdown(
        _("Peaks of class {c}, with δ: {list}").format(c=name, list=", ".join(found))
        if found
        else _("No unit of class {c} reaches this threshold.").format(c=name)
    )


def classes_on_one_scale(profiled: Profiled) -> None:
    """The mean latents of all classes."""
    shown, classes, units, peaks = profiled.shown, profiled.classes, profiled.units, profiled.peaks
    st.subheader(_("All classes on one scale"), anchor=False)
    alt = _("Mean latent of every class, on one scale")
    figure = all_classes(shown, classes, units, peaks)
    figures.chart(figure, "profiles_all", alt, profiled.provenance, profiled.rows, height=900)
    st.caption(
        _(
            "The whiskers are the error of the mean, one standard error, every crop counted as a "
            "picture of its own."
        )
    )


def units_by_class(profiled: Profiled) -> None:
    """Which unit speaks for which class."""
    shown, classes, units = profiled.shown, profiled.classes, profiled.units
    st.subheader(_("Which unit speaks for which class"), anchor=False)
    alt = _("Standardised deviation δ of every class and unit")
    figure = heat_map(shown, classes, units)
    figures.chart(figure, "profiles_heat", alt, profiled.provenance, profiled.rows, height=420)
    best = int(np.argmax(shown.explained))
    st.markdown(
        _(
            "The unit that tells classes apart best is **z{unit}**: {share} of its variance lies "
            "between classes. The rest is what pictures of one class differ by."
        ).format(unit=best + 1, share=percent(float(shown.explained[best]), 1))
    )


def two_classes(profiled: Profiled) -> None:
    """The difference of two classes."""
    shown, classes, units = profiled.shown, profiled.classes, profiled.units
    st.subheader(_("Two classes"), anchor=False)
    left, right = st.columns(2)
    last = len(classes) - 1
    options = controls.same(classes)
    with left:
        first = controls.option(_("Class"), options, "profiles_a", default=classes[min(1, last)])
    with right:
        usual = classes[min(7, last)]
        second = controls.option(_("minus class"), options, "profiles_b", default=usual)
    a, b = classes.index(first), classes.index(second)
    alt = _("Mean latent of class {a} minus that of class {b}").format(a=first, b=second)
    figure = class_difference(shown, classes, a, b, units)
    figures.chart(
        figure,
        "profiles_difference",
        alt,
        profiled.provenance,
        lambda: [
            {
                "unit": u + 1,
                "difference": float(shown.mean[a, u] - shown.mean[b, u]),
                "std_inside_a_class": float(np.sqrt(shown.within_variance[u])),
            }
            for u in units
        ],
    )
    st.caption(_("The whiskers are one standard deviation inside a class."))


def cost_of_units(explorer: VAEExplorer, units: np.ndarray) -> None:
    """The KL of every unit."""
    st.subheader(_("What each unit costs"), anchor=False)
    tested = explorer.bundle.metrics["test"]
    over = _("{count} test pictures").format(count=number(tested["pictures"], 0))
    figures.chart(
        kl_chart(explorer, units),
        "profiles_kl",
        _("KL of every unit, in nats"),
        Provenance(explorer.bundle, live=False, settings={_("over"): over}),
        lambda: [
            {
                "unit": u + 1,
                "kl_nats": float(explorer.kl_per_unit[u]),
                "active": bool(explorer.active[u]),
            }
            for u in units
        ],
    )
    st.markdown(
        _(
            "**{active} of {all} units are active** (variance of E[z|x] above {threshold}); "
            "together they cost {kl} nats a picture, and tell at most so much about it."
        ).format(
            active=int(explorer.active.sum()),
            all=explorer.latent_dim,
            threshold=number(ACTIVE_VARIANCE, 2),
            kl=number(tested["kl"]),
        )
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
                "the class. Bars are short beside their whiskers: digits of one class differ far "
                "more than classes do on average. A light 3 on a dark wall and a dark 3 on a light "
                "wall, for one, can lie far apart and cancel in the mean. A bar "
                "is marked as a **peak** by a rule that you can move: its distance from the mean "
                "over all classes, in standard deviations inside a class."
            )
        )
        z = coloured("z")
        formula(
            [
                rf"\delta_{{c,u}} = \frac{{\bar{{{z}}}_{{c,u}} - \bar{{{z}}}_{{\cdot,u}}}}{{s_u}},\qquad "
                r"s_u^2 = \tfrac1C\textstyle\sum_c s_{c,u}^2",
                r"\mathrm{KL}_u = \tfrac12\big(\mu_u^2 + \sigma_u^2 - 1 - \log\sigma_u^2\big)",
            ],
            _("Active units: Burda, Grosse & Salakhutdinov 2016, section 5.2."),
            ClassProfiles.deviation.fget,
            ClassProfiles.explained.fget,
            DiagonalGaussianDistribution.kl_per_unit,
            active_units,
        )
