"""The control of a timeline: scrub, step, play; every figure that names its key moves with the hand."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext

import streamlit as st

from pages.browser.component import Component
from pages.shared import links, shape
from pages.shared.text import _

_CONTROL, _FIXED = Component("timeline"), Component("fixed_timeline")
HAND = "_hand"
HEADER = 3.75
"""How high Streamlit's header is, in rem."""


def timeline(
    label: str,
    stops: Sequence[int],
    key: str,
    *,
    default: int | None = None,
    words: Sequence[str] | None = None,
    sticky: bool = False,
) -> int:
    """One of ``stops``; starts at ``default``, or at the last one. Belongs into a fragment.

    ``words`` are what is read in place of the stops. The value lives in ``st.session_state[key]``.
    ``sticky``: it stays in view, below the app's header, while the rest of the container that it stands in
    scrolls by.
    """
    stops = list(stops)
    first = stops[-1] if default is None else default
    # What stood at its end stands at the end of other stops, too.
    value = links.restore_number(key, label, stops, first, follows=default is None)

    def take() -> None:
        sent = st.session_state[f"{key}{HAND}"].value  # the stop, and when
        if sent:
            st.session_state[key] = sent[0]

    with shape.control(key, label), _sticking(key) if sticky else nullcontext():
        _CONTROL(
            f"{key}{HAND}",
            {
                "timeline": key,
                "label": label,
                "stops": stops,
                "value": value,
                "sticky": HEADER if sticky else None,
                "words": {
                    "stops": words,
                    "play": _("Play"),
                    "pause": _("Pause"),
                    "back": _("One step back"),
                    "on": _("One step on"),
                    "loop": _("Over and over"),
                    "speed": _("Speed"),
                },
            },
            take,
        )
    if shape.leaves_out(key):
        _tell_fixed_stop(key, stops, value)
    links.keep_number(key, value, first)
    return value


def _tell_fixed_stop(key: str, stops: Sequence[int], value: int) -> None:
    """Tells the figures of a timeline that is left out where they stand."""
    name = f"{key}_fixed"
    with shape.notice():
        st.html(f"<style>.st-key-{name} {{ position: absolute; }}</style>")
        _FIXED(name, {"timeline": key, "stops": list(stops), "value": value})


def _sticking(key: str) -> st.delta_generator.DeltaGenerator:
    """A container that stays in view; what is around Streamlit's own box sticks, as the box fills it."""
    name = f"{key}_sticky"
    st.html(
        f"<style>div:has(> .st-key-{name}) {{ position: sticky; top: {HEADER}rem; z-index: 90; }}</style>"
    )
    return st.container(key=name)
