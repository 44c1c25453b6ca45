"""The keys of a lecture: arrows and a clicker's keys go from step to step, R reveals, a full stop blanks."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import streamlit as st

from pages.browser.component import Component
from pages.shared.text import _

_CLICKER = Component("clicker")
KEY = "clicker"


def listen(actions: Mapping[str, Callable[[], None]], step: int) -> None:
    """Mounts the listener, which nobody sees: ``actions`` by ``next``, ``back`` and ``reveal``; without any it
    listens to no key.

    ``step`` is the one that the keys are about: a key that was pressed for an earlier one does nothing. Another
    one than before is shown from its beginning.
    """

    def take() -> None:
        sent = st.session_state[KEY].value
        if isinstance(sent, list) and len(sent) == 3 and sent[0] in actions and sent[1] == step:
            actions[sent[0]]()

    words = {"blank": _("The screen is blank: press the full stop to go on.")}
    _CLICKER(KEY, {"step": step, "keys": bool(actions), "words": words}, take)
