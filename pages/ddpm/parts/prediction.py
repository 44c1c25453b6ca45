"""A prediction of t*: made before its answer is computed into the page, and compared with it after."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np
import streamlit as st

from core.ddpm.restoration import TStar
from pages.shared import controls, links
from pages.shared.text import N_, _, number

PREDICTED = {
    "below": N_(
        "You predicted {guess}: below it. The picture survives more noise than you thought."
    ),
    "above": N_("You predicted {guess}: above it. The picture is lost sooner than you thought."),
    "right": N_("You predicted {guess}: right, as far as these draws can tell."),
}
"""How a prediction stands to t*."""

GUESS, OF = "tstar_guess", "tstar_guess_of"
NONE, WITHOUT = 0, -1
"""No prediction yet; the answer is wanted without one."""


def read_guess(T: int, of: Hashable) -> int:
    """What was predicted, 1 to T, or ``NONE``, or ``WITHOUT``; a link carries it.

    ``of``: what was asked about, a model and a picture. Of another one begins another prediction.
    """
    if st.session_state.setdefault(OF, of) != of:
        st.session_state[OF], st.session_state[GUESS] = of, NONE
    guess = round(links.restore_real(GUESS, _("Your prediction"), WITHOUT, T, NONE))
    links.keep_number(GUESS, guess, NONE)
    return guess


def ask(t: int) -> None:
    """Buttons that take the level under the hand as the prediction, or do without; runs the page again."""
    with st.container(horizontal=True):
        here = controls.act(
            _("My prediction: t* = {t}").format(t=number(t, 0)),
            key="tstar_predict",
            type="primary",
            icon=":material/push_pin:",
        )
        without = controls.act(
            _("Show t* without a prediction"), key="tstar_reveal", type="tertiary"
        )
    if here or without:
        st.session_state[GUESS] = t if here else WITHOUT
        st.rerun()


def verdict(guess: int, found: TStar, levels: np.ndarray) -> str:
    """How a prediction stands to t* and its interval; empty without one.

    Where so few draws give no interval, it is compared with the two levels that t* lies between.
    """
    if guess in (NONE, WITHOUT):
        return ""
    low, high = found.low, found.high
    if np.isnan(low):
        below, above = levels[levels < found.t], levels[levels > found.t]
        low = below.max() if len(below) else found.t
        high = above.min() if len(above) else found.t
    if guess < low:
        words = _(PREDICTED["below"])
    elif guess > high:
        words = _(PREDICTED["above"])
    else:
        words = _(PREDICTED["right"])
    return words.format(guess=number(guess, 0))
