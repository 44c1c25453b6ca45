"""Questions that a page asks: the answer is neither computed nor sent before it is wanted."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TypeVar

import streamlit as st

from pages.shared import controls, shape
from pages.shared.text import _

Answer = TypeVar("Answer")


def question(
    words: str,
    key: str,
    answer: Callable[[], Answer],
    *,
    first: str = "",
    options: Mapping[str, str] | None = None,
    right: Callable[[], Collection[str]] = tuple,
    of: object = None,
) -> Answer | None:
    """A question to open; ``answer`` is called once the visitor wants to see it, and its value is
    returned: None before.

    ``first``: what to do before the answer. ``options`` maps codes to English words: with them the
    visitor answers first, or asks for the answer without. ``right`` says which of them are right, once the
    visitor has answered; of none nothing is said before the answer, as where figures leave it open.
    ``of``: what is asked about; where that is another one, the visitor has not answered yet.
    A link may leave the answers out: then there is no question, either.
    """
    if not shape.tells("answers"):
        return None
    state = st.session_state
    if state.get(f"{key}_of", of) != of:
        state.pop(f"{key}_own", None)
        state.pop(f"{key}_told", None)
    state[f"{key}_of"] = of
    asked = st.expander(words, key=key, on_change="rerun", icon=":material/help:")
    if not asked.open:
        return None
    with asked:
        if first:
            st.markdown(first)
        if options:
            given = controls.own_answer(_("Your answer"), options, f"{key}_own")
            if given is None:
                st.caption(_("The answer follows yours."))
                return None
            state[f"{key}_told"] = True  # Streamlit forgets the answer where the question is closed
            if found := right():
                verdict([_(options[code]) for code in options if code in found], given in found)
        return answer()


def unanswered(*keys: str) -> bool:
    """Whether the page asks and its visitor has not answered one of these questions with options yet."""
    state = st.session_state  # an answer of now stands in the control before the question is drawn

    def has_answer(key: str) -> bool:
        return f"{key}_told" in state or state.get(f"{key}_own") is not None

    return shape.tells("answers") and not all(map(has_answer, keys))


def questions_asked(*keys: str) -> list[str]:
    """Those of these questions that the visitor has been asked."""
    return [key for key in keys if f"{key}_of" in st.session_state]


def verdict(right: Sequence[str], own: bool) -> None:
    """The right options in one line; green where the visitor's ``own`` is one of them."""
    told = st.success if own else st.info
    told(_("Right: {option}").format(option=" · ".join(right)), icon=":material/check:")
