"""Samples of models of several lengths from the same seeds, in columns, and how bright they are."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from core.bundles.bundle import Bundle
from core.ddpm.explorer import DDPMExplorer
from core.ddpm.restoration import COVERAGE
from core.pictures.images import Pictures
from pages.ddpm.parts import brightness, samples
from pages.ddpm.parts.brightness import Light
from pages.shared import controls, data_sets, figures, library, loaders, shape
from pages.shared.colours import GREY
from pages.shared.figures import Provenance
from pages.shared.text import N_, _, number, percent

BRIGHTNESS = {
    "narrow": N_("**T = {T} makes pictures that are too much alike in brightness.**"),
    "wide": N_("**Some of these pictures differ too much in brightness.**"),
    "alike": N_(
        "**Beyond chance, the brightness of these samples varies no less and no more than that of real "
        "digits.**"
    ),
}
"""Whether the brightness of samples varies as that of real digits does."""
TOO_LITTLE = N_("Too little in all of: {models}.")
SPREAD_WITH = N_("{spread} with T = {T} ({share}, [{low}, {high}])")
REAL_DIGITS = N_("Real digits of the test set")
SAMPLES_OF = N_("Samples of the model with {title}")
BRIGHTNESS_OF_ONE = N_("brightness of a picture")

SHEETS = {"final": N_("DDIM, 50 steps"), "ancestral": N_("DDPM, all T steps")}
"""Stored sheets of samples, by the sampler that made them, picture i from seed i."""
STORED = 24
COLUMNS = 4
KEY = "lengths_columns"
WIDEST = 250
"""Of a sheet, in pixels: all of it stays on the first screen."""


def sheet_of(of: Bundle, kind: str) -> Pictures:
    """The stored samples of one sampler: uint8 (24, 32, 32, 3)."""
    return library.sheet(of, kind, max(of.progress(kind)), STORED)


def real_digits(of: Bundle) -> Pictures | None:
    """As many test digits, spread over the test set; None where they are not at hand."""
    found = loaders.test_set_of(of)
    if found is None:
        return None
    return found.pictures[np.arange(STORED) * len(found) // STORED]


def show(explorers: Sequence[DDPMExplorer], colours: Sequence[str]) -> None:
    """Columns of samples, and whether their brightness is that of real digits."""
    kinds = {
        kind: title
        for kind, title in SHEETS.items()
        if all(one.bundle.progress(kind) for one in explorers)
    }
    if not kinds:
        st.info(_("These bundles hold no samples."))
        return
    kind = controls.choice(_("Sampler"), kinds, "lengths_sampler")
    drawn = {one.T: sheet_of(one.bundle, kind) for one in explorers}
    real = real_digits(explorers[0].bundle)
    bundles = [one.bundle for one in explorers]
    origin = Provenance(
        bundles[0],
        live=False,
        settings={_("sampler"): _(SHEETS[kind]), _("seeds"): f"0 – {STORED - 1}"},
        also=bundles[1:],
    )
    lights = {T: brightness.of_pictures(pictures) for T, pictures in drawn.items()}
    goal = brightness.of_training_digits(bundles[0])
    columns_of(drawn, lights, real, goal, origin)
    st.caption(samples.in_order(0, STORED))
    if real is None:
        about = bundles[0].config["data"]
        words = _("Real test digits, too ({megabytes} MB)")
        data_sets.offer(about["name"], about["test_split"], words, "lengths_offer")
    chart(lights, goal, None if real is None else brightness.of_pictures(real), colours, origin)
    if goal is not None:
        st.markdown(in_words(lights, goal))
        if lights[explorers[0].T].spread_interval[1] < goal.spread:
            why(explorers[0])


def why(shortest: DDPMExplorer) -> None:
    """Where too little variety comes from: the picture that training leaves in the last level."""
    kept = float(shortest.schedule.alphas_cumprod[-1]) ** 0.5
    st.markdown(
        _(
            "**Why brightness?** With T = {T} even the noisiest picture of training holds {kept} of the "
            "clean one (√ᾱ at t = {T}), enough to see how bright that is. Sampling begins with pure noise, of "
            "middle brightness, and a network that has learnt to trust it stays there. Lin et al. 2024, "
            "*Common Diffusion Noise Schedules and Sample Steps Are Flawed*, found the same in large models."
        ).format(T=shortest.T, kept=percent(kept, 1))
    )


def columns_of(
    drawn: Mapping[int, Pictures],
    lights: Mapping[int, Light],
    real: Pictures | None,
    goal: Light | None,
    origin: Provenance,
) -> None:
    """A column a model, and one of real digits: pictures, mean colour, brightness."""
    sets = [(f"T = {T}", pictures, lights[T]) for T, pictures in drawn.items()]
    if real is not None or goal is not None:
        sets.append((_("Real digits"), real, goal))
    # On a phone, too, all of them stand side by side.
    st.html(f"<style>.st-key-{KEY} [data-testid=stColumn] {{ min-width: 0; }}</style>")
    words = _("Samples of the models, a column each")
    with shape.figure("samples_of_lengths", words), st.container(key=KEY):
        for column, (title, pictures, light) in zip(
            st.columns(len(sets), gap="small", wrap=False), sets, strict=True
        ):
            with column:
                st.markdown(f"**{title}**")
                if pictures is not None:
                    figures.sheet(
                        pictures,
                        "samples_of_lengths",
                        columns=COLUMNS,
                        alt=_(REAL_DIGITS)
                        if pictures is real
                        else _(SAMPLES_OF).format(title=title),
                        width=WIDEST,
                    )
                if light is not None:
                    swatch(light)
    figures.about(
        origin,
        "samples_of_lengths",
        png=lambda: figures.grid(
            np.stack([figures.grid(pictures, COLUMNS) for pictures in drawn.values()]),
            len(drawn),
            gap=8,
        ),
    )


def swatch(light: Light) -> None:
    """The mean colour of a set of pictures, and how bright they are."""
    red, green, blue = light.colour.round().astype(int)
    words = _("brightness {mean} ± {spread}").format(
        mean=number(light.brightness, 0), spread=number(light.spread, 0)
    )
    colour = _("Mean colour")
    st.html(
        f'<div style="max-width:{WIDEST}px"><div role="img" aria-label="{html.escape(colour)}" '
        f'style="height:1.4rem;border-radius:0.3rem;background:rgb({red},{green},{blue})"></div>'
        f"{html.escape(words)}</div>"
    )


# ---------------------------------------------------------------- brightness


def chart(
    lights: Mapping[int, Light],
    goal: Light | None,
    real: Light | None,
    colours: Sequence[str],
    origin: Provenance,
) -> None:
    """A dot a picture at its brightness; grey: where two thirds of the real digits are."""
    figure = go.Figure()
    names, rows = [], []
    sets = [
        (f"T = {T}", str(T), light, colour)
        for (T, light), colour in zip(lights.items(), colours, strict=False)
    ]
    if real is not None:
        sets.append((_("real digits"), "real", real, GREY))
    for place, (name, code, light, colour) in enumerate(sets):
        names.append(name)
        # Side by side, so that pictures of one brightness do not hide one another.
        across = place + np.linspace(-0.25, 0.25, len(light.each))
        figure.add_scatter(
            x=across,
            y=light.each,
            mode="markers",
            name=name,
            showlegend=False,
            marker={
                "size": 14,
                "color": [f"rgb({v},{v},{v})" for v in light.each.round().astype(int)],
                "line": {"color": colour, "width": 3},
            },
        )
        rows += [
            {"set": code, "picture": index, "brightness": float(value)}
            for index, value in enumerate(light.each)
        ]
    if goal is not None:
        figure.add_hrect(
            goal.brightness - goal.spread,
            goal.brightness + goal.spread,
            fillcolor=GREY,
            opacity=0.15,
            line_width=0,
        )
        figure.add_hline(
            goal.brightness,
            line_color=GREY,
            line_dash="dot",
        )
    figure.update_xaxes(tickvals=list(range(len(names))), ticktext=names)
    figure.update_yaxes(title=_(BRIGHTNESS_OF_ONE), range=[0, 255])
    figures.chart(
        figure,
        "lengths_brightness",
        _("Brightness of every sample, one column a model, next to real digits"),
        origin,
        lambda: rows,
        height=320,
    )


def in_words(lights: Mapping[int, Light], goal: Light) -> str:
    """How much brightness varies among the samples of each model, as a share of the training digits'."""
    told = [
        _(SPREAD_WITH).format(
            spread=number(light.spread, 0),
            T=T,
            share=percent(light.spread / goal.spread),
            low=percent(light.spread_interval[0] / goal.spread),
            high=percent(light.spread_interval[1] / goal.spread),
        )
        for T, light in lights.items()
    ]
    narrow = [T for T, light in lights.items() if light.spread_interval[1] < goal.spread]
    wide = [T for T, light in lights.items() if light.spread_interval[0] > goal.spread]
    least = min(lights, key=lambda T: lights[T].spread)
    if narrow:
        words = _(BRIGHTNESS["narrow"]).format(T=least)
    elif wide:
        words = _(BRIGHTNESS["wide"])
    else:
        words = _(BRIGHTNESS["alike"])
    words += " " + _(
        "From picture to picture it varies by {goal} grey levels among training digits (standard "
        "deviation, the grey band), and among samples by {found}."
    ).format(goal=number(goal.spread, 0), found="; ".join(told))
    if len(narrow) > 1:
        words += " " + _(TOO_LITTLE).format(models=", ".join(f"T = {T}" for T in narrow))
    return (
        words
        + " "
        + _("In brackets {coverage} intervals over {count} samples.").format(
            coverage=percent(COVERAGE), count=len(next(iter(lights.values())).each)
        )
    )
