"""Controls: every widget is keyed with its page's prefix and bound to the URL.

A link restores what its sender saw.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import streamlit as st

from pages.shared import guests, loaders
from pages.shared.text import LANGUAGES, _, in_language, language

MAX_SEED = 9999
SECONDS_A_STOP = 0.7


# ---------------------------------------------------------------- single widgets


Code = TypeVar("Code", bound=str)


def choice(
    label: str,
    options: dict[Code, str],
    key: str,
    *,
    default: Code | None = None,
    help: str | None = None,
) -> Code:
    """One of a few options, as buttons; ``options`` maps codes to English labels.

    The URL carries the label that the sender saw; a link is understood in either language.
    """
    codes = list(options)
    default = default or codes[0]
    if key not in st.session_state and key in st.query_params:
        labels = {
            in_language(label_, spoken): code
            for spoken in LANGUAGES
            for code, label_ in options.items()
        } | {code: code for code in codes}
        wanted = labels.get(st.query_params[key])
        if wanted is not None and st.query_params[key] != _(options[wanted]):
            # Streamlit would drop a label of the other language from the URL: the link of what is
            # shown would lack it.
            st.query_params[key] = _(options[wanted])
            st.rerun()
        if wanted is not None:
            st.session_state[key] = wanted
    spoken = st.session_state.get(f"{key}_language", language())
    if key in st.session_state and spoken != language():
        # Setting the value anew makes Streamlit write the label of this language to the URL.
        st.session_state[key] = st.session_state[key]
    st.session_state[f"{key}_language"] = language()
    if st.session_state.get(key, default) not in codes:
        st.session_state[key] = default
    return st.segmented_control(
        label,
        codes,
        default=default,
        required=True,
        format_func=lambda code: _(options[code]),
        key=key,
        help=help,
        wrap=True,
        bind="query-params",
    )


def whole(
    label: str,
    low: int,
    high: int,
    default: int,
    key: str,
    *,
    step: int = 1,
    help: str | None = None,
) -> int:
    """A whole number on a slider."""
    return int(st.slider(label, low, high, default, step, key=key, help=help, bind="query-params"))


def real(
    label: str,
    low: float,
    high: float,
    default: float,
    key: str,
    *,
    step: float = 0.05,
    help: str | None = None,
) -> float:
    """A number on a slider."""
    return float(
        st.slider(label, low, high, default, step, key=key, help=help, bind="query-params")
    )


def seed(key: str) -> int:
    """A visible seed with a button that draws another one."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        value = st.number_input(
            _("Seed"),
            0,
            MAX_SEED,
            0,
            key=key,
            bind="query-params",
            help=_("Same seed, same random numbers, same pictures."),
            width=170,
        )
        st.button(
            "",
            icon=":material/casino:",
            help=_("Another seed"),
            key=f"{key}_again",
            on_click=lambda: st.session_state.update(
                {key: int(np.random.default_rng().integers(MAX_SEED + 1))}
            ),
        )
    return int(value)


# ---------------------------------------------------------------- a timeline


def pace(key: str) -> float | None:
    """Seconds between two stops while a timeline plays: ``run_every`` of its fragment."""
    return SECONDS_A_STOP if st.session_state.get(f"{key}_playing") else None


def timeline(label: str, stops: Sequence[int], key: str, *, default: int | None = None) -> int:
    """Scrub, step or play through ``stops``; starts at ``default``, or at the last one.

    Belongs into a fragment that is called with ``st.fragment(run_every=pace(key))``.
    """
    stops = list(stops)
    flag = f"{key}_playing"
    first = stops[-1] if default is None else default

    def move(steps: int) -> None:
        now = st.session_state.get(key, first)
        place = stops.index(now if now in stops else first)
        st.session_state[key] = stops[min(max(place + steps, 0), len(stops) - 1)]

    def play_or_pause() -> None:
        st.session_state[flag] = not st.session_state.get(flag, False)
        if st.session_state[flag] and st.session_state.get(key, first) == stops[-1]:
            st.session_state[key] = stops[0]
        st.session_state[f"{flag}_changed"] = True

    if st.session_state.get(key, first) not in stops:
        st.session_state[key] = first  # the stops are others than they were
    playing = st.session_state.get(flag, False)
    if st.session_state.pop(f"{flag}_changed", False):
        # The page has to call this fragment at another pace; the stop stays for one beat.
        st.session_state[f"{flag}_hold"] = True
        st.rerun(scope="app")
    if playing and not st.session_state.pop(f"{flag}_hold", False):
        move(1)
        if st.session_state[key] == stops[-1]:
            st.session_state[flag] = False
            st.session_state[f"{flag}_changed"] = True
    with st.container(horizontal=True, vertical_alignment="bottom"):
        value = st.select_slider(label, stops, first, key=key, bind="query-params")
        for name, icon, words, action in (
            ("back", "skip_previous", _("One step back"), lambda: move(-1)),
            ("play", "pause" if playing else "play_arrow", _("Play or pause"), play_or_pause),
            ("on", "skip_next", _("One step on"), lambda: move(1)),
        ):
            st.button(
                "", icon=f":material/{icon}:", help=words, key=f"{key}_{name}", on_click=action
            )
    return value


# ---------------------------------------------------------------- models


def in_numbers(title: str) -> list[tuple[str, int]]:
    """What sorts titles as one counts: T = 500 before T = 1000."""
    return [(words, int(count or 0)) for words, count in re.findall(r"(\D*)(\d*)", title)]


def bundle_name(family: str, key: str) -> str:
    """The bundle to look at: the only one, or a choice where there are several, in the order of the
    numbers in their titles; first the visitor's own, else the manifest's first.

    Raises ``AtelierError`` where there is none.
    """
    entries = loaders.require_bundles(family)
    first = entries[0].name
    entries = sorted(entries, key=lambda entry: in_numbers(entry.title))
    names = [entry.name for entry in entries]
    if len(names) == 1:
        return first
    titles = {entry.name: _(entry.title) for entry in entries}
    theirs = [entry.name for entry in guests.entries() if entry.name in names]
    if key in st.session_state and st.session_state[key] not in names:
        del st.session_state[key]
    return st.selectbox(
        _("Model"),
        names,
        names.index(theirs[-1] if theirs else first),
        format_func=lambda name: titles.get(name, name),
        key=key,
        bind="query-params",
    )
