"""What a longer T costs and what it brings: time and quality of the same sampling, and a verdict."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import plotly.graph_objects as go
import streamlit as st
from plotly.subplots import make_subplots

from core.bundles.bundle import Bundle
from core.ddpm.explorer import DDPMExplorer
from core.ddpm.restoration import COVERAGE, wilson
from core.errors import AtelierError
from pages.ddpm.parts.final_figures import MARGIN, Stored, leads, stored_figures
from pages.ddpm.parts.lengths_samples import SHEETS, STORED, sheet_of
from pages.ddpm.parts.step_times import STEPS, device_of, step_times
from pages.shared import controls, figures, loaders, shape, training
from pages.shared.colours import GREY
from pages.shared.figures import Column, Provenance, digits
from pages.shared.text import N_, _, number, percent, scientific

ALWAYS = {
    "yes": N_("**Yes, as far as these models go.**"),
    "not always": N_("**No, not always.**"),
    "no": N_("**No.**"),
}
"""Whether a larger T is always better."""
FROM_TO = {
    1: N_(
        "From T = {a} to T = {b} the samples become better (Frechet distance {before} → {after})."
    ),
    0: N_("From T = {a} to T = {b} they do not get better ({before} → {after})."),
    -1: N_("From T = {a} to T = {b} they become worse ({before} → {after})."),
}
"""What a larger T brings, as ``better`` says it."""
ENOUGH = N_("**T = {T} is enough here.**")
COST = N_(
    "Sampling by all steps takes T calls of the network: {longest} s per picture with T = {T}, {times} "
    "times as long as with T = {first}. With {steps} steps all models take the same time. Training costs "
    "the same too: an update visits one level per picture, whatever T."
)

MEASURES = {
    "sure": N_("The classifier is sure"),
    "frechet": N_("Frechet distance"),
}
PATTERN = {"final": "", "ancestral": "/"}


@dataclass(frozen=True)
class Sampling:
    """Time and quality of one model's samples by one sampler.

    ``seconds``: per picture. ``frechet`` is None where too few pictures are stored.
    """

    T: int
    sampler: str
    seconds: float
    samples: int
    sure: float
    frechet: float | None

    @property
    def interval(self) -> tuple[float, float]:
        """Of the share that the classifier is sure of."""
        low, high = wilson(np.float64(self.sure), self.samples)
        return float(low), float(high)


def samplings(explorers: Sequence[DDPMExplorer], step: Sequence[float]) -> list[Sampling]:
    """Of each model: the stored figures of its samples by 50 steps, and of the sheet by all T steps.

    The classifier is asked about the sheet here, where there is one.
    """
    found = []
    for explorer, seconds in zip(explorers, step, strict=True):
        of, T = explorer.bundle, explorer.T
        if stored := stored_figures(of):
            found.append(
                Sampling(
                    T,
                    "final",
                    STEPS * seconds,
                    stored["samples"],
                    stored["sure"],
                    stored["frechet"],
                )
            )
        with suppress(AtelierError):  # no classifier: the figures that are stored, alone
            if of.progress("ancestral"):
                sure = float(loaders.verdicts(sheet_of(of, "ancestral")).sure.mean())
                found.append(Sampling(T, "ancestral", T * seconds, STORED, sure, None))
    return found


def show(explorers: Sequence[DDPMExplorer], colours: Sequence[str]) -> None:
    """The verdict, the chart it rests on, and what was measured how."""
    st.subheader(_("Is a larger T always better?"), anchor=False)
    bundles = [one.bundle for one in explorers]
    step, common = step_times(bundles)
    stored = {one.T: stored_figures(one.bundle) for one in explorers}
    if None not in stored.values() and len(stored) > 1:
        words = verdict(stored)
        if common:  # else differences of seconds are not those of T
            words += " " + cost([one.T for one in explorers], step)
        st.markdown(words)
        st.caption(
            _(
                "Better: by more than {margin} in diversity or in the Frechet distance to the test digits "
                "(in the features of a digit classifier), or in the share of digits that this classifier is "
                "sure of, where the {coverage} intervals do not overlap; {count} samples of each by DDIM "
                "with {steps} steps."
            ).format(
                margin=percent(MARGIN),
                coverage=percent(COVERAGE),
                count=number(min(one["samples"] for one in stored.values()), 0),
                steps=STEPS,
            )
        )
    if rows := samplings(explorers, step):
        measure = controls.choice(_("Quality"), MEASURES, "lengths_quality")
        chart(rows, measure, colours, bundles)
        how_timed(bundles, step, common)


def how_timed(bundles: Sequence[Bundle], step: Sequence[float], common: bool) -> None:
    """Under the chart: that time and quality are of the same samples, and how a step was timed."""
    words = _(
        "Left and right are the same sampling: {steps} steps of DDIM, or all T steps of DDPM, of which only "
        "{count} samples are stored, hence the long intervals ({coverage})."
    ).format(steps=STEPS, count=STORED, coverage=percent(COVERAGE))
    devices = {device_of(of) for of in bundles}
    if common:
        words += " " + _(
            "All models have the same network, so a step takes the same time whatever T: {milliseconds} ms, "
            "the median of what was measured ({device})."
        ).format(milliseconds=number(1000 * step[0], 1), device=devices.pop())
    elif len(devices) > 1:
        words += " " + _(
            "The models were timed on different machines: do not compare their seconds."
        )
    else:
        words += " " + _("The networks differ: each was timed alone.")
    st.caption(words)


def chart(
    rows: Sequence[Sampling], measure: str, colours: Sequence[str], bundles: Sequence[Bundle]
) -> None:
    """The chart of ``panels``, made once for all visitors."""
    figures.chart(
        lambda: panels(rows, measure, colours, bundles),
        "lengths_trade",
        _("Seconds per picture and quality of the same samples, two samplers, one group a model"),
        Provenance(bundles[0], live=False, also=bundles[1:]),
        lambda: [
            {
                "T": row.T,
                "sampler": row.sampler,
                "seconds_a_picture": row.seconds,
                "samples": row.samples,
                "sure": row.sure,
                "low": row.interval[0],
                "high": row.interval[1],
                "frechet": row.frechet,
            }
            for row in rows
        ],
        of=(measure, tuple(rows), tuple(colours), *(bundle.digest for bundle in bundles)),
    )
    st.caption(
        _("Dotted: real test digits.")
        if measure == "sure"
        else _(
            "Dotted: one half of the test digits against the other. Lower is better; {count} samples are too "
            "few for a distance, so samples by all T steps have none."
        ).format(count=STORED)
    )


def panels(
    rows: Sequence[Sampling], measure: str, colours: Sequence[str], bundles: Sequence[Bundle]
) -> go.Figure:
    """Seconds per picture, and quality of the same pictures: a bar a sampling, in both panels."""
    lengths = list(dict.fromkeys(row.T for row in rows))
    look = dict(zip(lengths, colours, strict=False))
    # Letters of a stage are half as large again, so the title between the panels needs more room.
    figure = make_subplots(cols=2, horizontal_spacing=0.22 if shape.on_stage() else 0.12)
    for sampler, title in SHEETS.items():
        of = [row for row in rows if row.sampler == sampler]
        names = [f"T = {row.T}" for row in of]
        values = [row.sure if measure == "sure" else row.frechet for row in of]
        style = {
            "name": _(title),
            "offsetgroup": sampler,
            "legendgroup": sampler,
            "marker": {
                "color": [look[row.T] for row in of],
                "pattern": {"shape": PATTERN[sampler]},
            },
        }
        figure.add_bar(
            x=names,
            y=[row.seconds for row in of],
            text=[f"{number(row.seconds, 1 if row.seconds >= 1 else 2)} s" for row in of],
            textposition="outside",
            cliponaxis=False,
            showlegend=True,
            row=1,
            col=1,
            **style,
        )
        figure.add_bar(
            x=names,
            y=values,
            error_y=interval_bars(of) if measure == "sure" else None,
            showlegend=False,
            row=1,
            col=2,
            **style,
        )
    if measure == "sure":
        figure.update_yaxes(tickformat=".0%", range=[0, 1.05], col=2)
    of_real = "sure_of_test" if measure == "sure" else "frechet_real_against_real"
    if stored := next(filter(None, map(stored_figures, bundles)), None):
        figure.add_hline(stored[of_real], line_dash="dot", line_color=GREY, row=1, col=2)
    slowest = max(row.seconds for row in rows)
    figure.update_yaxes(range=[0, 1.15 * slowest], col=1)
    # Below each panel: between the two, on a phone, a title would lie over the bars.
    for col, title in ((1, _("seconds per picture")), (2, _(MEASURES[measure]))):
        figure.update_xaxes(title=title, col=col)
    figure.update_layout(barmode="group")
    return figure


def interval_bars(rows: Sequence[Sampling]) -> dict[str, object]:
    """Intervals of the shares as error bars."""
    return {
        "type": "data",
        "array": [row.interval[1] - row.sure for row in rows],
        "arrayminus": [row.sure - row.interval[0] for row in rows],
        "symmetric": False,
        "color": GREY,
    }


# ---------------------------------------------------------------- the verdict


def better(longer: Stored, shorter: Stored) -> int:
    """1 where samples of the longer T are better, -1 where worse, 0 where neither, or each in something.

    Sharpness is left out: noise counts as sharp.
    """
    ahead = leads(longer, shorter)
    said = {ahead[name] for name in ("sure", "diversity", "frechet")} - {0}
    return said.pop() if len(said) == 1 else 0


def verdict(stored: dict[int, Stored]) -> str:
    """Whether a larger T is always better, from the figures of each model by rising T."""
    lengths = sorted(stored)
    pairs = list(pairwise(lengths))
    steps = {(a, b): better(stored[b], stored[a]) for a, b in pairs}
    if all(found == 1 for found in steps.values()):
        words = _(ALWAYS["yes"])
    elif any(found == 1 for found in steps.values()):
        words = _(ALWAYS["not always"])
    else:
        words = _(ALWAYS["no"])
    for (a, b), found in steps.items():
        words += " " + _(FROM_TO[found]).format(
            a=a,
            b=b,
            before=number(stored[a]["frechet"], 2),
            after=number(stored[b]["frechet"], 2),
        )
    enough = next(
        T for T in lengths if all(better(stored[b], stored[T]) < 1 for b in lengths if b > T)
    )
    return words + " " + _(ENOUGH).format(T=enough)


def cost(lengths: Sequence[int], step: Sequence[float]) -> str:
    """What the longest T costs, against the shortest."""
    shortest, longest = lengths[0] * step[0], lengths[-1] * step[-1]
    return _(COST).format(
        longest=number(longest, 1),
        T=lengths[-1],
        times=number(longest / shortest, 1),
        first=lengths[0],
        steps=STEPS,
    )


# ---------------------------------------------------------------- all figures


def table(explorers: Sequence[DDPMExplorer]) -> None:
    """All stored figures, a column a model."""
    bundles = [one.bundle for one in explorers]
    step, _common = step_times(bundles)
    rows = [row_of(one, seconds) for one, seconds in zip(explorers, step, strict=True)]
    measures = [
        Column("alpha_bar_end", _("ᾱ at the end"), scientific),
        Column("epochs", _("epochs")),
        Column("seconds_an_epoch", _("seconds per epoch, without tests"), digits(1)),
        Column("trained_on", _("last run on")),
        Column("seconds_all_steps", _("all steps, s"), digits(2)),
        Column("seconds_50_steps", _("50 steps, s"), digits(2)),
        Column("eps_mse", _("error of the noise"), digits(4)),
        Column("frechet_pixels", _("Frechet, pixels"), digits(1)),
        Column("frechet", _("Frechet, classifier's features"), digits(2)),
        Column("sure", _("the classifier is sure"), lambda share: percent(share, 1)),
        Column("diversity", _("diversity"), digits(2)),
        Column("sharpness", _("sharpness"), digits(1)),
    ]
    lines = [
        {"measure": one.title}
        | {str(row["T"]): None if row[one.key] is None else one.form(row[one.key]) for row in rows}
        for one in measures
    ]
    titles = {"measure": _("measure")} | {str(row["T"]): f"T = {row['T']}" for row in rows}
    figures.words_of(
        [
            {
                title: figures.NOTHING if line[key] is None else line[key]
                for key, title in titles.items()
            }
            for line in lines
        ],
        "lengths_figures",
        height="content",  # else the last rows are out of sight
    )
    samples = bundles[0].metrics["samples"]
    st.caption(
        _(
            "Error of the noise: a mean over all levels of each T. A longer T has more levels of almost pure "
            "noise, which is easy to guess: this number does not compare the models. Frechet, pixels: between "
            "Gaussians fitted to {count} pictures in {components} principal components of the pixels; it "
            "sees colour and coarse shape, not digits. Real pictures score {real}."
        ).format(
            count=number(samples["samples"], 0),
            components=samples["components"],
            real=number(samples["frechet_real_against_real"], 1),
        )
    )
    figures.about(
        Provenance(bundles[0], live=False, also=bundles[1:]), "lengths_figures", rows=lambda: rows
    )


def row_of(explorer: DDPMExplorer, step: float) -> dict[str, object]:
    """The stored figures of one model; seconds of sampling from the time of a step."""
    of, metrics = explorer.bundle, explorer.bundle.metrics
    stored = stored_figures(of) or {}
    return {
        "T": explorer.T,
        "alpha_bar_end": metrics["schedule"]["alpha_bar_end"],
        "epochs": training.epochs_in_words(of),
        "seconds_an_epoch": metrics["timing"].get("seconds_an_epoch"),
        "trained_on": of.config["training"]["device"],
        "seconds_all_steps": explorer.T * step,
        "seconds_50_steps": STEPS * step,
        "eps_mse": metrics["test"]["eps_mse"],
        "frechet_pixels": metrics["samples"]["frechet_pixel_components"],
        "frechet": stored.get("frechet"),
        "sure": stored.get("sure"),
        "diversity": stored.get("diversity"),
        "sharpness": metrics["samples"]["sharpness"],
    }
