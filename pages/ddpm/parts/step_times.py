"""Seconds of a step of diffusion models, as their bundles store them: one number for one network."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from statistics import median

from core.bundles.bundle import Bundle
from core.errors import AtelierError
from pages.shared import library

STEPS = 50
"""Of the DDIM samples whose figures are stored."""


def step_times(bundles: Sequence[Bundle]) -> tuple[list[float], bool]:
    """Seconds of a step for each model, and whether they are one number for all.

    The same network on the same device takes the same time whatever T: then it is the median of what was
    measured, as differences come from what else the machine did.
    """
    measured = [seconds_a_step(of) for of in bundles]
    if all(alike(of, bundles[0]) for of in bundles):
        return [median(measured)] * len(bundles), True
    return measured, False


def alike(one: Bundle, other: Bundle) -> bool:
    """Whether two models have the same network and were timed on the same device."""
    network, other_network = (of.config["architecture"]["unet"] for of in (one, other))
    return network == other_network and device_of(one) == device_of(other)


def seconds_by_50_steps(of: Bundle) -> float | None:
    """Seconds of a sample: the median over the app's own models that are ``alike``; None where not stored."""
    if "timing" not in of.metrics:
        return None
    known = {of.digest: of}
    for entry in library.available(of.family, own=True):
        with suppress(AtelierError):  # one that cannot be opened says so where it is chosen
            one = library.bundle(entry.name)
            known[one.digest] = one
    timed = [one for one in known.values() if "timing" in one.metrics and alike(one, of)]
    return STEPS * median(seconds_a_step(one) for one in timed)


def seconds_a_step(of: Bundle) -> float:
    """As it was measured, else from a picture by all steps."""
    timing = of.metrics["timing"]
    T = of.config["architecture"]["schedule"]["T"]
    stored = timing.get("seconds_a_step")
    return stored if isinstance(stored, float) else timing["seconds_a_picture_all_steps"] / T


def device_of(of: Bundle) -> str:
    """Where the seconds were measured."""
    return of.metrics["timing"].get("device", "–")
