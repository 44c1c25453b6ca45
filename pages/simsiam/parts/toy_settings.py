"""The switches of the toy SimSiam: presets, widgets, and what differs on the right, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import streamlit as st

from core.simsiam.toy import MOST_DIM, BatchNorm, Predictor, Run, ToyConfig, parameters
from pages.shared import controls
from pages.shared.text import N_, _, number

ON_THE_RIGHT = N_("on the right {changed}")

PREDICTORS: dict[Predictor, str] = {
    "mlp": N_("Learns (MLP)"),
    "linear": N_("Learns (linear)"),
    "identity": N_("None"),
    "fixed": N_("Fixed, random"),
}
NORMS: dict[BatchNorm, str] = {
    "hidden": N_("Hidden layers"),
    "all": N_("Hidden layers and z"),
    "none": N_("Nowhere"),
}
RATES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
PREDICTOR_RATES = (0.1, 0.5, 1.0, 2.0, 10.0)
DECAYS = (0.0, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02)
STEPS = (100, 200, 400, 1000, 2000, 5000)

# What the switches stand at when the page is opened.
START = ToyConfig(stop_gradient=False)
# Field of the configuration to key of the widget, for what the two sides may differ in.
WIDGETS: dict[str, str] = {
    "stop_gradient": "toy_stopgrad",
    "predictor": "toy_predictor",
    "batch_norm": "toy_norm",
    "augmentation": "toy_augmentation",
    "learning_rate": "toy_rate",
    "predictor_rate": "toy_predictor_rate",
    "weight_decay": "toy_decay",
}

SHARED = ("toy_seed", "toy_steps", "toy_dim")
"""Keys of what is the same on both sides."""

IN_VIEW = ("no-stop", "no-predictor", "neither")
"""Presets that are buttons of their own; the others stand with the switches."""
PRESETS: dict[str, tuple[str, Mapping[str, object]]] = {
    "nothing": (N_("Plain SimSiam"), {}),
    "no-stop": (N_("No stop-gradient"), {"stop_gradient": False}),
    "no-predictor": (N_("No predictor"), {"predictor": "identity"}),
    "neither": (N_("Neither"), {"stop_gradient": False, "predictor": "identity"}),
    "fixed": (N_("Fixed random predictor"), {"predictor": "fixed"}),
    "linear": (N_("Linear predictor"), {"predictor": "linear"}),
    "norm": (
        N_("No stop-gradient, z normalised"),
        {"stop_gradient": False, "batch_norm": "all"},
    ),
}


def baseline(own: ToyConfig) -> ToyConfig:
    """SimSiam as it is, from the same start and on the same points."""
    return ToyConfig(dim=own.dim, steps=own.steps, seed=own.seed)


def take(changes: Mapping[str, object]) -> None:
    """Sets every switch to that of SimSiam with ``changes``."""
    wanted = replace(ToyConfig(), **changes)
    for name, key in WIDGETS.items():
        st.session_state[key] = getattr(wanted, name)


def presets(own: ToyConfig, codes: Sequence[str]) -> None:
    """Buttons that set every switch at once; that of the switches as they are is marked."""
    for code in codes:
        title, changes = PRESETS[code]
        controls.act(
            _(title),
            key=f"toy_preset_{code}",
            type="primary" if own == replace(baseline(own), **changes) else "secondary",
            on_click=take,
            args=(changes,),
        )


def keep_alive(keys: Sequence[str] = (*WIDGETS.values(), *SHARED)) -> None:
    """To be called where widgets of another view are not shown, the switches unless told otherwise: a
    widget's value is forgotten with the widget, unless the page takes it up.
    """
    for key in keys:
        if key in st.session_state:
            st.session_state[key] = st.session_state[key]


def switches() -> ToyConfig:
    """The visitor's own settings."""
    stop = controls.switch(
        _("Stop-gradient"),
        "toy_stopgrad",
        default=START.stop_gradient,
        help=_("The target z is held constant: no gradient flows through it."),
    )
    predictor = controls.choice(_("Predictor"), PREDICTORS, "toy_predictor")
    norm = controls.choice(_("Batch normalisation"), NORMS, "toy_norm")
    augmentation = controls.real(
        _("Strength of augmentation"),
        0.0,
        2.0,
        START.augmentation,
        "toy_augmentation",
        step=0.1,
        help=_("Standard deviation of the fresh noise in every view; points have 1."),
    )
    rate, predictor_rate, decay = (
        float(controls.stop(label, options, getattr(START, name), key))
        for label, options, name, key in (
            (_("Learning rate"), RATES, "learning_rate", "toy_rate"),
            (
                _("Predictor's rate, times the encoder's"),
                PREDICTOR_RATES,
                "predictor_rate",
                "toy_predictor_rate",
            ),
            (_("Weight decay"), DECAYS, "weight_decay", "toy_decay"),
        )
    )
    st.markdown(_("**The same on both sides**"))
    seed = controls.seed("toy_seed")
    steps = controls.stop(_("Steps"), STEPS, START.steps, "toy_steps")
    dim = controls.whole(_("Dimensions of z"), 2, MOST_DIM, START.dim, "toy_dim")
    return ToyConfig(
        stop_gradient=stop,
        predictor=predictor,
        batch_norm=norm,
        augmentation=augmentation,
        learning_rate=rate,
        predictor_rate=predictor_rate,
        weight_decay=decay,
        dim=dim,
        steps=steps,
        seed=seed,
    )


def difference_words(config: ToyConfig, nothing: str) -> str:
    """How a run differs from SimSiam, in a few words; ``nothing`` where it does not."""
    changed = [_("{name}: {value}").format(name=n, value=v) for n, v in differences(config).items()]
    return ", ".join(changed) or nothing


def differences(own: ToyConfig) -> dict[str, str]:
    """What differs on the right, in words."""
    base = baseline(own)
    said = {
        "stop_gradient": (_("stop-gradient"), _("yes") if own.stop_gradient else _("no")),
        "predictor": (_("predictor"), _(PREDICTORS[own.predictor])),
        "batch_norm": (_("batch normalisation"), _(NORMS[own.batch_norm])),
        "augmentation": (_("augmentation"), number(own.augmentation)),
        "learning_rate": (_("learning rate"), number(own.learning_rate, 2)),
        "predictor_rate": (_("predictor's rate"), f"× {number(own.predictor_rate)}"),
        "weight_decay": (_("weight decay"), number(own.weight_decay, 4)),
    }
    return dict(words for name, words in said.items() if getattr(own, name) != getattr(base, name))


def provenance(runs: Sequence[Run], own: ToyConfig) -> str:
    """What was trained, with which settings, and how long it took."""
    changed = difference_words(own, nothing=_("the same"))
    seconds = sum(run.states[-1].seconds for run in runs)
    return " · ".join(
        (
            _("toy SimSiam, {count} parameters").format(count=parameters(own)),
            _("seed: {seed}").format(seed=own.seed),
            _("steps: {steps}").format(steps=number(own.steps, 0)),
            f"d = {own.dim}",
            _(ON_THE_RIGHT).format(changed=changed),
            _("computed live") + f" · {number(seconds, 2)} s",
        )
    )
