"""T = 500, 1000, 1500: three models of the same network and data that differ in the number of steps."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from core.bundles.bundle import Bundle
from core.ddpm.explorer import DDPMExplorer, Prediction
from core.ddpm.model import ScheduleConfig
from core.ddpm.schedule import NoiseSchedule
from pages.browser import film
from pages.browser.timeline import timeline
from pages.ddpm.parts import lengths_samples, lengths_trade
from pages.shared import controls, figures, library, loaders, picking, shape, training
from pages.shared.colours import SYMBOL_COLOURS
from pages.shared.figures import Column, Provenance, digits
from pages.shared.picking import PickedPicture
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

T_ALONE = N_("What differs is T, the number of noise levels.")
SHARED = N_(
    "What differs is T, the number of noise levels, and only in the **last {last} epochs**: the "
    "**{before} epochs before** are the same run for all."
)
SHARED_WITH_T = N_(
    "What differs is T, the number of noise levels, and only in the **last {last} epochs**: the "
    "**{before} epochs before** are the same run for all, with T = {T}."
)

ALIGNMENTS = {
    "noise": N_("Same noise (log SNR)"),
    "share": N_("Same share t / T"),
    "t": N_("Same t"),
}
TITLED_T = re.compile(r"\bT = (\d+)")
NO_SUCH_LEVEL = N_("T = {T} has no such level")
SQUARED_ERROR = N_("squared error of the noise")
COLOURS = (SYMBOL_COLOURS["eps"], SYMBOL_COLOURS["x"], SYMBOL_COLOURS["x_t"])


def levels_before(of: Bundle) -> int | None:
    """The T with which the weights were trained before this run: as the titles of all earlier runs say."""
    told = of.config["training"].get("ancestors") or ()
    found = {
        match.group(1) if (match := TITLED_T.search(str(one.get("title", "")))) else None
        for one in told
        if isinstance(one, dict)
    }
    (T,) = found if len(found) == 1 else (None,)
    return None if T is None else int(T)


def what_differs(bundles: Sequence[Bundle]) -> str:
    """That T differs, and in how many of the epochs: models that share their first ones say so."""
    (shared, *others) = [of.ancestors for of in bundles]
    if not shared or any(one != shared for one in others):
        return _(T_ALONE)
    own = {of.config["training"].get("epochs_done", len(of.history)) for of in bundles}
    before = number(sum(one.epochs for one in shared), 0)
    last = " – ".join(number(count, 0) for count in sorted({min(own), max(own)}))
    if (T := levels_before(bundles[0])) is None:
        return _(SHARED).format(last=last, before=before)
    return _(SHARED_WITH_T).format(last=last, before=before, T=T)


def unequal(explorers: list[DDPMExplorer]) -> None:
    """Says so where more than T differs between the models: how long they were trained."""
    epochs = {e.T: training.epochs_in_words(e.bundle) for e in explorers}
    if len(set(epochs.values())) > 1:
        st.warning(
            _(
                "**Not trained for equally long**: {epochs}. Samples and errors of these models differ "
                "for that reason too; where the levels lie and where they end does not."
            ).format(
                epochs=", ".join(
                    _("{epochs} epochs with T = {T}").format(epochs=count, T=T)
                    for T, count in epochs.items()
                )
            )
        )


# ---------------------------------------------------------------- which level


def stops(alignment: str, explorers: list[DDPMExplorer]) -> list[int]:
    """What the timeline counts: log SNR downwards, per cent of T, or t."""
    longest = max(explorer.T for explorer in explorers)
    if alignment == "noise":
        ends = [explorer.schedule.log_snr for explorer in explorers]
        most, least = max(float(e[0]) for e in ends), min(float(e[-1]) for e in ends)
        return list(range(int(np.floor(most)), int(np.floor(least)) - 1, -1))
    if alignment == "share":
        return [1, *range(5, 101, 5)]
    return sorted({max(1, step * longest // 30) for step in range(31)})


def level(alignment: str, stop: int, explorer: DDPMExplorer) -> int | None:
    """The model's level at a stop, from 0; None where the model has none so deep."""
    if alignment == "noise":
        beyond = stop < float(explorer.schedule.log_snr[-1]) - 0.5
        return None if beyond else explorer.schedule.nearest_t(stop)
    t = stop * explorer.T // 100 if alignment == "share" else stop
    return None if t > explorer.T else max(0, t - 1)


def words_of(alignment: str, stop: int) -> str:
    if alignment == "noise":
        return _("log SNR {value}").format(value=number(stop, 0))
    return percent(stop / 100) + " T" if alignment == "share" else f"t = {stop}"


# ---------------------------------------------------------------- one picture, three models


@dataclass(frozen=True)
class StopPredictions:
    """What one model sees in the picture: one look a level, and which of them each stop shows.

    ``places`` (stops,): None where the model has no level so deep.
    """

    explorer: DDPMExplorer
    looks: list[Prediction]
    places: list[int | None]
    seconds: float

    def at(self, stop: int) -> Prediction | None:
        place = self.places[stop]
        return None if place is None else self.looks[place]


def predict_at_stops(
    name: str, picked: PickedPicture, seed: int, alignment: str, marks: list[int]
) -> StopPredictions:
    """All stops of one model, its levels looked at in one batch."""
    explorer = loaders.ddpm(name)
    at_stops = [level(alignment, stop, explorer) for stop in marks]
    levels = sorted({one for one in at_stops if one is not None})
    looked = loaders.predictions(name, picked.picture, levels, seed)
    places = [None if one is None else levels.index(one) for one in at_stops]
    return StopPredictions(explorer, looked.value, places, looked.seconds)


def one_look(names: list[str], picked: PickedPicture, seed: int) -> None:
    """The timeline and what each model sees: runs again by itself."""
    with plain_errors():
        figure = st.container()
        explorers = [loaders.ddpm(name) for name in names]
        alignment = controls.choice(_("Align the models by"), ALIGNMENTS, "lengths_align")
        marks = stops(alignment, explorers)
        title = {"noise": "log SNR", "share": _("t as a share of T (%)"), "t": "t"}[alignment]
        with figure:
            stop = timeline(
                title,
                marks,
                f"lengths_at_{alignment}",
                default=marks[len(marks) // 3],
                words=[number(mark, 0) for mark in marks],
            )
            models = [predict_at_stops(name, picked, seed, alignment, marks) for name in names]
            pictures(models, f"lengths_at_{alignment}")
        looks(models, alignment, stop, marks.index(stop), picked, seed)


def pictures(models: list[StopPredictions], key: str) -> None:
    """A row a kind of picture, a column a model; all move with the timeline."""
    kinds = [
        ("x_t", "xₜ", _("The noisy picture for T = {T}"), None),
        (
            "x0_hat",
            _("predicted x₀"),
            _("The picture that the model with T = {T} predicts"),
            "x0_mse",
        ),
        (
            "eps_hat",
            _("predicted noise"),
            _("The noise that the model with T = {T} predicts"),
            "eps_mse",
        ),
    ]
    sources = [
        film.several(
            np.stack([[getattr(look, kind) for look in one.looks] for kind, *_words in kinds]),
            places=one.places,
        )
        for one in models
    ]
    rows = [
        film.Row(
            [
                film.Cell(
                    sources[column][row],
                    [label(one, stop, error) for stop in range(len(one.places))],
                    alt.format(T=one.explorer.T),
                )
                for column, one in enumerate(models)
            ],
            "strip",
            title,
        )
        for row, (_kind, title, alt, error) in enumerate(kinds)
    ]
    film.show("lengths_film", key, rows)


def label(of: StopPredictions, stop: int, error: str | None) -> str:
    """Under a picture at a stop: its level, or that squared error of the look."""
    look, T = of.at(stop), of.explorer.T
    if error is None:
        if look is None:
            return _(NO_SUCH_LEVEL).format(T=T)
        return f"T = {T}, t = {look.t + 1}"  # one form next to the name of the model
    if look is None:
        return ""
    return _("squared error {value}").format(value=number(getattr(look, error), 4))


def looks(
    models: list[StopPredictions],
    alignment: str,
    stop: int,
    index: int,
    picked: PickedPicture,
    seed: int,
) -> None:
    """What follows at a stop, the ``index``-th of the timeline."""
    seen = [(one.explorer, look) for one in models if (look := one.at(index)) is not None]
    for one in models:
        if one.at(index) is None:
            st.caption(
                _("The model with T = {T} ends before {where}: its log SNR ends at {end}.").format(
                    T=one.explorer.T,
                    where=words_of(alignment, stop),
                    end=number(float(one.explorer.schedule.log_snr[-1]), 1),
                )
            )
    if not seen:
        return
    settings = {
        _("picture"): picked.words,
        _("aligned"): words_of(alignment, stop),
        _("seed of the noise"): seed,
    }
    rows = [
        {
            "T": explorer.T,
            "t": look.t + 1,
            "alpha_bar": look.alpha_bar,
            "log_snr": look.log_snr,
            "eps_mse": look.eps_mse,
            "x0_mse": look.x0_mse,
        }
        for explorer, look in seen
    ]
    figures.table(
        rows,
        [
            Column("T", "T", int),
            Column("t", "t", int),
            Column("alpha_bar", "ᾱₜ", digits(5)),
            Column("log_snr", "log SNR", digits(2)),
            Column("eps_mse", _(SQUARED_ERROR), digits(4)),
            Column("x0_mse", _("squared error of x̂₀"), digits(4)),
        ],
        "ddpm_lengths",
    )
    figures.about(
        [
            Provenance(one.explorer.bundle, True, one.seconds, settings)
            for one in models
            if one.at(index) is not None
        ],
        "ddpm_lengths",
        png=lambda: figures.grid(
            np.stack([p for _e, look in seen for p in (look.x_t, look.eps_hat, look.x0_hat)]), 3
        ),
        rows=lambda: rows,
    )


# ---------------------------------------------------------------- figures of the runs


def by_level(explorers: list[DDPMExplorer]) -> None:
    """Error of the predicted noise against its level."""
    st.subheader(_("Is the same noise equally hard?"), anchor=False)
    axis = controls.choice(_("Against"), {"noise": "log SNR", "share": "t / T"}, "lengths_axis")
    figure = go.Figure()
    for explorer, colour in zip(explorers, COLOURS, strict=False):
        arrays = explorer.bundle.profiles
        x = arrays["level_log_snr"] if axis == "noise" else (arrays["level_t"] + 1) / explorer.T
        figure.add_trace(
            figures.line(
                x,
                arrays["level_eps_mse"],
                f"T = {explorer.T}",
                colour,
                markers=True,
            )
        )
    figure.update_xaxes(title="log SNR" if axis == "noise" else "t / T")
    if axis == "noise":
        figure.update_xaxes(autorange="reversed")
    figure.update_yaxes(title=_(SQUARED_ERROR), type="log", exponentformat="power")
    tested = explorers[0].bundle.metrics["test"]["pictures"]
    figures.chart(
        figure,
        "lengths_by_level",
        _("Squared error of the predicted noise against the noise level, one curve a model"),
        Provenance(
            explorers[0].bundle,
            live=False,
            settings={_("over"): _("{count} test pictures").format(count=number(tested, 0))},
            also=[one.bundle for one in explorers[1:]],
        ),
        lambda: [
            {
                "T": explorer.T,
                "t": int(arrays["level_t"][i]) + 1,
                "log_snr": float(arrays["level_log_snr"][i]),
                "loss": float(arrays["level_loss"][i]),
                "eps_mse": float(arrays["level_eps_mse"][i]),
                "x0_mse": float(arrays["level_x0_mse"][i]),
            }
            for explorer in explorers
            for arrays in [explorer.bundle.profiles]
            for i in range(len(arrays["level_t"]))
        ],
    )


def main() -> None:
    head(
        "T = 500, 1000, 1500",
        _(
            "Three models with the same network and data, samples from the same seeds: **is a larger T "
            "always better?**"
        ),
    )
    with plain_errors():
        names = [entry.name for entry in library.require_bundles("ddpm", own=True)]
        names.sort(key=lambda name: loaders.ddpm(name).T)
        explorers = [loaders.ddpm(name) for name in names]
        st.markdown(what_differs([one.bundle for one in explorers]))
        lengths_samples.show(explorers, COLOURS)
        unequal(explorers)
        lengths_trade.show(explorers, COLOURS)
        st.subheader(_("One picture, three models"), anchor=False)
        st.markdown(
            _(
                "Align the models by t and they disagree; align them by noise and they see the same. "
                "What counts is how much noise there is, not its number."
            )
        )
        with st.expander(_("Another picture, seed"), icon=":material/tune:"):
            left, right = st.columns([3, 2], gap="large")
            with left:
                picked = picking.picture("lengths", explorers[0].bundle, default="maker")
            with right:
                seed = controls.seed("lengths_seed")
        if picked is None:
            st.info(_(picking.WANTED))
        else:
            shape.fragment(one_look)(names, picked, seed)
        by_level(explorers)
        st.subheader(_("All figures"), anchor=False)
        lengths_trade.table(explorers)
        mechanism(
            _(
                "All three use β from 0.0001 to 0.02, unscaled, as the assignment has it. More "
                "steps therefore mean more noise in the end: after 500 steps ᾱ is still {a}, "
                "after 1000 {b}, after 1500 {c}. **T = 500 does not reach pure noise**, yet sampling "
                "starts from pure noise: the model meets something there that it never saw in training. "
                "T = 1500 spends its last third on levels where nothing is left to see."
            ).format(
                a=number(float(NoiseSchedule.linear(500).alphas_cumprod[-1]), 4),
                b=number(float(NoiseSchedule.linear(1000).alphas_cumprod[-1]), 5),
                c=number(float(NoiseSchedule.linear(1500).alphas_cumprod[-1]), 7),
            )
        )
        x_t = coloured("x_t")
        formula(
            [
                r"\bar\alpha_T = \prod_{t=1}^{T} (1-\beta_t),\qquad "
                r"\log \mathrm{SNR}(t) = \log \frac{\bar\alpha_t}{1-\bar\alpha_t}",
                rf"\text{{same noise: }} {x_t}^{{(500)}} = {x_t}^{{(1500)}} \iff "
                r"\bar\alpha^{(500)}_{t} = \bar\alpha^{(1500)}_{t'}",
            ],
            _(
                "Kingma et al. 2021, *Variational Diffusion Models*: in continuous time the "
                "variational bound depends on the ends of the signal-to-noise ratio alone, not "
                "on the way between them."
            ),
            NoiseSchedule.linear,
            NoiseSchedule.nearest_t,
            DDPMExplorer.predict,
            ScheduleConfig.build,
        )
