"""t* of the test digits, stored with a diffusion bundle: histogram, by class, what it depends on."""

from __future__ import annotations

import itertools

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from core.bundles.bundle import Bundle
from core.ddpm.explorer import DDPMExplorer
from core.ddpm.model import ScheduleConfig
from core.ddpm.restoration import Criterion, Rule, crossings, quartiles, wilson
from core.errors import AtelierError
from pages.ddpm.parts.restored import AXES, COLOUR, CRITERIA, place_words, threshold
from pages.shared import controls, figures, library, loaders, shape, training
from pages.shared.colours import GREY
from pages.shared.figures import Provenance
from pages.shared.text import N_, _, number, percent, plain_errors

OVER_SOME = N_("t* over {count} of {every} test digits")
OVER_ALL = N_("t* over the whole test set")
KEPT_BY_CHANCE = N_(
    "**Kept by chance**: at t′ = {last} nothing is left of the picture (ᾱ is below {limit}), and yet "
    "the classifier gives {share} of the draws the answer that it gave to the original, and of "
    "the draws of digit {digit} even {most}; guessing would be {guessed}. That raises the t\\* "
    "of that digit by this measure."
)
MEDIAN = N_(
    "The median t\\* of the test digits is **{median}**, the quartiles are {low} and "
    "{high}. {never} of all test digits are restored at every level that was tried, up "
    "to {last}."
)
NEVER_LOST = N_(
    "By this measure more than half of the pictures are never lost. That does not mean that they "
    "come back: its threshold may be one that other samples of this model meet as well. See "
    "what an unrelated sample scores in the chart of one picture above."
)
SOME_IS_LEFT = N_("And at {last} some of the picture is left in x_t: ᾱ is {signal} there.")
NOT_ON_CONTRAST = N_(
    "On the contrast of the **picture**, by this measure and threshold, it does not: {t} is "
    "the median t\\* of the faintest quarter of the test digits and of the boldest."
)
ON_CONTRAST = N_(
    "On the **picture**: the quarter of the test digits with the least contrast has a median "
    "t\\* of {faint}, the quarter with the most {bold}."
)
LOG_SNR = N_("log SNR at t*")

QUARTERS = 4
"""Into this number of parts of rising contrast the test digits are divided."""
CLASS_WIDTH = 0.6
"""How wide the bars of one class are, of those of all classes behind them."""
MOST = 0.5
"""Where more pictures than this are never lost, the measure says little about them."""
LEFT = 0.001
"""Where ᾱ of the highest level is more than this, some of the picture is left there."""
GUESSED = 0.1
"""How often one of ten digits is right by chance."""


# ---------------------------------------------------------------- what is stored


def has_curves(bundle: Bundle) -> bool:
    """Whether a bundle has t* of test digits, with the curve of every one."""
    names = {"levels", "labels", "contrast", *(f"curves_{criterion}" for criterion in CRITERIA)}
    has_figures = "t_star" in bundle.metrics.get("judged", {})
    return has_figures and {f"t_star_{name}" for name in names} <= bundle.profiles.keys()


def headline(bundle: Bundle) -> str:
    """Over how much of the test set t* is known."""
    count = bundle.metrics["judged"]["t_star"]["pictures"] if has_curves(bundle) else 0
    every = bundle.config["data"]["test_pictures"]
    if 0 < count < every:
        return _(OVER_SOME).format(count=number(count, 0), every=number(every, 0))
    return _(OVER_ALL)


def stored_t_star(bundle: Bundle, criterion: Criterion, rule: Rule) -> np.ndarray:
    """t* of every test digit by this rule, counted from 0: (N,), infinite beyond the levels."""
    arrays = bundle.profiles
    return crossings(arrays["t_star_levels"], arrays[f"t_star_curves_{criterion}"], rule)


def t_star_words(t_star: float, levels: np.ndarray) -> str:
    """A t* as pages count it; beyond the ``levels`` (L,) that were tried only that."""
    return place_words(t_star + 1, levels + 1)


def beyond(t_star: float) -> str:
    """Whether t* lies beyond the levels tried, for tables of data."""
    return "" if np.isfinite(t_star) else "above" if t_star > 0 else "below"


# ---------------------------------------------------------------- the section


@shape.fragment
def show(explorer: DDPMExplorer) -> None:
    """t* of every test digit, stored with the bundle: runs again by itself."""
    bundle = explorer.bundle
    with plain_errors():
        st.subheader(headline(bundle), anchor=False)
        if not has_curves(bundle):
            st.info(_("This bundle holds no t* of the test digits: choose another model."))
            return
        left, middle, right = st.columns([3, 2, 3], gap="large")
        with left:
            criterion = controls.choice(_("By which measure?"), CRITERIA, "tstar_set_by")
        with middle:
            rule = threshold(loaders.judge(), criterion, "tstar_set_rule")
        with right:
            classes = {"all": N_("all")} | {str(i): n for i, n in enumerate(explorer.class_names)}
            label = controls.choice(_("Digit"), classes, "tstar_set_class")
        found = bundle.metrics["judged"]["t_star"]
        settings = {
            _("over"): _("{count} test pictures").format(count=number(found["pictures"], 0)),
            _("draws"): found["draws"],
            _("sampler"): _("{sampler}, {steps} steps").format(
                sampler="DDIM", steps=found["steps"]
            ),
            _("threshold"): number(rule.threshold, 2),
            _("judge"): found["judge"],
        }
        provenance = Provenance(bundle, live=False, settings=settings)
        t_star = stored_t_star(bundle, criterion, rule)
        histogram(explorer, t_star, None if label == "all" else int(label), provenance)
        by_class(explorer, t_star, provenance)
        if criterion == "digit":
            show_chance_digit(explorer)
        curve_of_set(bundle, criterion, rule, provenance)
        summary(explorer, t_star)
        depends(bundle, t_star, criterion, rule)


def bins(t_star: np.ndarray, levels: np.ndarray) -> tuple[list[str], np.ndarray]:
    """Shares (L + 1,) of t* (N,) between the levels (L,) and beyond them: labels as pages count t."""
    ends = levels[0] - 1, levels[-1] + 1
    counts, _edges = np.histogram(t_star.clip(*ends), [ends[0], *levels, ends[1]])
    words = [number(level + 1, 0) for level in levels]
    between = [f"{a}–{b}" for a, b in itertools.pairwise(words)]
    return [f"< {words[0]}", *between, f"> {words[-1]}"], counts / max(1, len(t_star))


def shortest_step(levels: np.ndarray) -> int:
    """The shortest distance between neighbours of the levels (L,), the clean picture one of them."""
    return int(np.diff([-1, *levels]).min())


def histogram_bars(t_star: np.ndarray, levels: np.ndarray, width: float) -> dict[str, object]:
    """What Plotly needs to draw a histogram of t* (N,) whose areas are shares.

    Levels are closer where most pictures are lost: so a bar's height is its share per the shortest
    distance between them. The last bar, of that width, holds all beyond the highest level. Bars are
    ``width``, in (0, 1], of their bin.
    """
    names, shares = bins(t_star, levels)
    step = shortest_step(levels)
    edges = np.array([0, *(levels + 1), levels[-1] + 1 + step])
    wide = np.diff(edges)
    return {
        "x": edges[:-1] + wide / 2,
        "width": wide * width,
        "y": shares * step / wide,
        "customdata": [f"{n}: {percent(share, 1)}" for n, share in zip(names, shares, strict=True)],
        "hovertemplate": "%{customdata}",
    }


def histogram(
    explorer: DDPMExplorer, t_star: np.ndarray, label: int | None, provenance: Provenance
) -> None:
    """Where the t* (N,) of the test digits lie, and those of one class before them."""
    arrays = explorer.bundle.profiles
    levels, labels = arrays["t_star_levels"], arrays["t_star_labels"]
    figure = go.Figure()
    of_all = histogram_bars(t_star, levels, 1.0)
    figure.add_bar(**of_all, name=_("all digits"), marker_color=GREY)
    if label is not None:
        of_class = histogram_bars(t_star[labels == label], levels, CLASS_WIDTH)
        title = _("digit {label}").format(label=explorer.class_names[label])
        figure.add_bar(**of_class, name=title, marker_color=COLOUR)
    step, end = shortest_step(levels), int(levels[-1]) + 1
    ticks = [*range(0, end, 4 * step), end + step / 2]
    names = [*(number(t, 0) for t in ticks[:-1]), f"> {number(end, 0)}"]
    figure.update_xaxes(title="t*", tickvals=ticks, ticktext=names, range=[0, end + step])
    height = _("share of the digits per {step} levels").format(step=step)
    figure.update_yaxes(title=height, tickformat=".0%")
    figure.update_layout(barmode="overlay", showlegend=True)
    figures.chart(
        figure,
        "tstar_histogram",
        _("Where the t* of the test digits lie: all, and one class"),
        provenance,
        lambda: [
            {
                "test_digit": int(digit),
                "t_star": float(t) + 1 if np.isfinite(t) else "",
                "beyond": beyond(t),
            }
            for digit, t in zip(labels, t_star, strict=True)
        ],
    )


def by_class(explorer: DDPMExplorer, t_star: np.ndarray, provenance: Provenance) -> None:
    """Median and quartiles of t* (N,) for each digit."""
    arrays = explorer.bundle.profiles
    levels, labels = arrays["t_star_levels"], arrays["t_star_labels"]
    present = np.unique(labels)
    found = np.array([quartiles(t_star[labels == i]) for i in present])  # (classes, 3)
    # Where the picture is lost below, or kept above, all levels tried, the bar ends there.
    drawn = found.clip(levels[0], levels[-1]) + 1
    names = [explorer.class_names[i] for i in present]
    figure = go.Figure()
    figure.add_bar(
        x=names,
        y=drawn[:, 1],
        name=_("median t*"),
        marker_color=COLOUR,
        error_y={
            "type": "data",
            "symmetric": False,
            "array": drawn[:, 2] - drawn[:, 1],
            "arrayminus": drawn[:, 1] - drawn[:, 0],
        },
    )
    figure.update_xaxes(title=_("digit"), type="category")
    first, last = number(levels[0] + 1, 0), number(levels[-1] + 1, 0)
    axis = _("t*: median and quartiles, {first} to {last}").format(first=first, last=last)
    figure.update_yaxes(title=axis)
    figures.chart(
        figure,
        "tstar_by_class",
        _("Median and quartiles of t* for each digit"),
        provenance,
        lambda: [
            {"digit": name, "lower_quartile": a, "median": b, "upper_quartile": c}
            for name, (a, b, c) in zip(
                names, [[t_star_words(t, levels) for t in row] for row in found], strict=True
            )
        ],
        height=320,
    )


def show_chance_digit(explorer: DDPMExplorer) -> None:
    """Which digit the judge answers again most where nothing is left of the picture, if any."""
    arrays, names = explorer.bundle.profiles, explorer.class_names
    labels, last = arrays["t_star_labels"], int(arrays["t_star_levels"][-1])
    if float(explorer.schedule.alphas_cumprod[last]) > LEFT:
        return
    kept = arrays["t_star_curves_digit"][:, -1]
    shares = {label: float(kept[labels == label].mean()) for label in np.unique(labels)}
    most = max(shares, key=lambda label: shares[label])
    low, _high = wilson(np.array([shares[most]]), int((labels == most).sum()))
    if low[0] <= GUESSED:
        return
    st.markdown(
        _(KEPT_BY_CHANCE).format(
            last=number(last + 1, 0),
            limit=number(LEFT, 3),
            share=percent(float(kept.mean())),
            digit=names[int(most)],
            most=percent(shares[most]),
            guessed=percent(GUESSED),
        )
    )


def curve_of_set(bundle: Bundle, criterion: Criterion, rule: Rule, provenance: Provenance) -> None:
    """The measure against t', mean over the test digits."""
    arrays = bundle.profiles
    levels, mean = arrays["t_star_levels"] + 1, arrays[f"t_star_curves_{criterion}"].mean(axis=0)
    figure = go.Figure()
    name = _("mean over the test digits")
    figure.add_trace(figures.line(levels, mean, name, COLOUR, markers=True))
    figure.add_hline(y=rule.threshold, line_dash="dash", line_color=GREY)
    figure.update_xaxes(title="t′")
    figure.update_yaxes(title=_(AXES[criterion]))
    figures.chart(
        figure,
        "tstar_set_curve",
        _("{measure} against t′, mean over the test set").format(measure=_(CRITERIA[criterion])),
        provenance,
        lambda: [{"t": int(t), "mean": float(m)} for t, m in zip(levels, mean, strict=True)],
        height=300,
    )


def summary(explorer: DDPMExplorer, t_star: np.ndarray) -> None:
    """Quartiles of t* (N,) in words, and a warning where they say little."""
    levels = explorer.bundle.profiles["t_star_levels"]
    low, median, high = (t_star_words(t, levels) for t in quartiles(t_star))
    never = float(np.isposinf(t_star).mean())
    last = number(levels[-1] + 1, 0)
    st.markdown(
        _(MEDIAN).format(low=low, high=high, median=median, never=percent(never), last=last)
    )
    if never <= MOST:
        return
    words = _(NEVER_LOST)
    signal = float(explorer.schedule.alphas_cumprod[int(levels[-1])])
    if signal > LEFT:
        words += " " + _(SOME_IS_LEFT).format(last=last, signal=number(signal, 4))
    st.warning(words)


# ---------------------------------------------------------------- what it depends on


def depends(bundle: Bundle, t_star: np.ndarray, criterion: Criterion, rule: Rule) -> None:
    """What t* (N,) depends on, as far as the stored figures tell: the picture, and the model."""
    arrays = bundle.profiles
    levels = arrays["t_star_levels"]
    quarters = np.array_split(arrays["t_star_contrast"].argsort(kind="stable"), QUARTERS)
    faint, bold = (
        t_star_words(quartiles(t_star[part])[1], levels) for part in (quarters[0], quarters[-1])
    )
    st.markdown(_("**What does it depend on?**"))
    if faint == bold:
        words = _(NOT_ON_CONTRAST).format(t=faint)
    else:
        words = _(ON_CONTRAST).format(faint=faint, bold=bold)
    judge = bundle.metrics["judged"]["t_star"]["judge"]
    rows = [row_of_model(entry.name, criterion, rule, judge) for entry in library.available("ddpm")]
    rows = sorted((row for row in rows if row), key=lambda row: (row["T"], row[_("bundle")]))
    if len(rows) < 2:
        st.markdown(words)
        return
    st.markdown(f"{words} " + _("On the **model**, by the same measure and threshold:"))
    figures.words_of(rows, "tstar_by_model")
    st.caption(
        _(
            "log SNR at t\\*: log ᾱ/(1 − ᾱ), how much noise that is. The same t′ is another amount of "
            "noise in another schedule: compare this column. Models whose epochs differ differ "
            "in more than T."
        )
    )


def row_of_model(
    name: str, criterion: Criterion, rule: Rule, judge: str
) -> dict[str, object] | None:
    """The median t* of a bundle's test digits, and how much noise that is.

    None where it is not stored, or was found with another judge than the one with this digest.
    """
    try:
        bundle = library.bundle(name)
    except AtelierError:  # a bundle that cannot be opened says so where it is chosen
        return None
    if not has_curves(bundle) or bundle.metrics["judged"]["t_star"]["judge"] != judge:
        return None
    levels = bundle.profiles["t_star_levels"]
    schedule = ScheduleConfig(**bundle.config["architecture"]["schedule"]).build()
    t_star = stored_t_star(bundle, criterion, rule)
    median = float(quartiles(t_star)[1])
    log_snr = float(schedule.log_snr[round(median)]) if np.isfinite(median) else None
    return {
        "T": schedule.T,
        _("t*, median"): t_star_words(median, levels),
        _(LOG_SNR): "–" if log_snr is None else number(log_snr, 1),
        _("epochs"): training.epochs_in_words(bundle),
        _("test digits"): number(len(t_star), 0),
        _("bundle"): f"{name} · {bundle.digest}",
    }
