"""A lesson on paper: the worksheet for students, and the guide for whoever teaches."""

from __future__ import annotations

import streamlit as st

from core.errors import AtelierError
from pages.browser import serving
from pages.shared import controls, site
from pages.shared.text import _, language, plain_errors, sentence
from pages.teach import answers, lesson_paper
from pages.teach.attending import Now

HEIGHT = 720
"""Pixels of the look at it."""


def show(now: Now) -> None:
    """The file as it will be printed, and to save; the guide only where the server shows answers."""
    guide = now.look == "guide"
    st.title(_("Guide for teachers") if guide else _("Worksheet"), anchor=False)
    if guide and answers.can_keep_back(now.name) and not unlock_answers():
        return
    with plain_errors(here=True):
        write = lesson_paper.guide if guide else lesson_paper.paper
        file = write(now.lesson, language(), site.address(), name=now.name).encode()
        address = serving.offer(file, f"{now.look}.html", "text/html; charset=utf-8")
        with st.container(horizontal=True, vertical_alignment="center"):
            st.link_button(
                _("Open it alone, to print"), address, icon=":material/print:", type="primary"
            )
            st.download_button(
                _("Save (HTML)"),
                file,
                file_name=f"{now.lesson.id}-{now.look}-{language()}.html",
                mime="text/html",
                icon=":material/download:",
                on_click="ignore",
            )
            st.page_link(site.TEACH.page(), label=_("All lessons"), icon=site.TEACH.icon)
        st.iframe(address, height=HEIGHT, alt=_("The file as it will be printed"))


def unlock_answers() -> bool:
    """Whether this visit may see answers; asks for the passphrase where that opens them."""
    problem = answers.guide_problem()
    if problem is None:
        return True
    st.info(sentence(problem), icon=":material/lock:")
    if not answers.policy().phrase:
        return False
    controls.secret(_("Passphrase"), PHRASE, _guess)
    wrong = st.session_state.get(WRONG)
    if wrong is not None:
        st.error(sentence(wrong), icon=":material/error:")
    return False


PHRASE, WRONG = "teach_phrase", "teach_phrase_wrong"
"""In the visit: the field, and why what was typed last did not open."""


def _guess() -> None:
    """One guess for what was typed, however often the page runs with it."""
    wrong = None
    try:
        if not answers.give(st.session_state[PHRASE]):
            wrong = AtelierError("answers-wrong", "This is not the passphrase.")
    except AtelierError as error:
        wrong = error
    st.session_state[WRONG] = wrong
    st.session_state[PHRASE] = ""
