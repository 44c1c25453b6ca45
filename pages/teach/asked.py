"""The question of a step: an answer first, then the answer; nothing of it is sent before."""

from __future__ import annotations

import re
import zlib

import streamlit as st

from pages.shared import controls
from pages.shared.questions import verdict
from pages.shared.text import _
from pages.teach import answers, attending, keeping, marks, numbers, room_desk
from pages.teach.attending import Now, Response
from pages.teach.fields import Place
from pages.teach.lesson import Ask, Words

WIDGET = "lesson_own"


def text_of(now: Now, words: Words, field: str) -> str:
    """A text of the question in the visitor's language, with its numbers."""
    return numbers.fill(words, Place(now.number, f"ask.{field}"))


def show(now: Now) -> None:
    """The question with its points, the visitor's answer, and once it is revealed the answer."""
    ask = now.ask
    words = f"**{marks.markdown(text_of(now, ask.question, 'question'))}**"
    if ask.points and now.look == "desk":
        words += " " + _("({points} points)").format(points=ask.points)
    st.markdown(words)
    options = option_texts(now)
    if now.look == "stage" and (now.revealed or attending.may_reveal(now)):
        if room_desk.counts_answers(now):
            room_desk.show(now, options, lambda: on_stage(now, options))
        else:
            on_stage(now, options)
    else:  # on a stage, too, where an answer has to go before the answer
        own(now, options)
        room_desk.show(now, options)
    if now.revealed:
        answer(now, options)
    elif not room_desk.counts_answers(now):
        to_reveal(now)


def option_texts(now: Now) -> dict[str, str]:
    """The options by id, in the visitor's language."""
    return {
        option.id: text_of(now, option.words, f"options.{place}")
        for place, option in enumerate(now.ask.options, 1)
    }


def on_stage(now: Now, options: dict[str, str]) -> None:
    """The options to read aloud, each with a letter; the right one alone once it is revealed."""
    right = now.ask.right if now.revealed else None
    lines = [
        f"**:material/check: {chr(ord('A') + place)} · {marks.markdown(words)}**"
        if code == right
        else f"{chr(ord('A') + place)} · {marks.markdown(words)}"
        for place, (code, words) in enumerate(options.items())
        if right in (None, code)
    ]
    st.markdown("  \n".join(lines))


def own(now: Now, options: dict[str, str]) -> None:
    """The visitor's answer: one of the options, and a reason; or words of their own."""
    name = now.name if answers.can_keep_back(now.name) else f"link{zlib.crc32(now.name.encode())}"
    key = re.sub(r"[^a-z0-9-]", "_", f"{WIDGET}_{name}_{now.ask.id}".lower())
    before = now.own_response
    option = ""
    if options:
        st.session_state.setdefault(key, before.option or None)
        shown = {code: marks.markdown(words) for code, words in options.items()}
        option = controls.own_answer(_("Your answer"), shown, key) or ""
    label = _("because …") if options else _("Your answer")
    st.session_state.setdefault(f"{key}_words", before.words)
    words = controls.own_words(label, f"{key}_words", long=not options)
    given = Response(option, words)
    if given != before:
        attending.answer(now, given)
        if given.whole:
            keep(now, given, options)


def keep(now: Now, given: Response, options: dict[str, str]) -> None:
    """Puts the answer on the visitor's sheet."""
    ask = now.ask
    keeping.answer(
        ask.id,
        marks.plain(text_of(now, ask.question, "question")),
        given.option,
        marks.plain(options.get(given.option, _(controls.I_DO_NOT_KNOW) if given.option else "")),
        ask.points,
        given.words,
        now.page.path,
        attending.query_of(now),
    )


def to_reveal(now: Now) -> None:
    """The button that shows the answer, or why there is none yet."""
    may = attending.may_reveal(now)
    st.button(
        _("Show the answer"),
        key=f"lesson_reveal_{now.number}",
        icon=":material/visibility:",
        disabled=not may,
        on_click=reveal,
        args=(now,),
    )
    if not may:
        st.caption(attending.why_not(now))


def reveal(now: Now) -> None:
    """Shows the answer; in a room its host shows the votes, and then the answer."""
    if room_desk.counts_answers(now):
        room_desk.reveal(now)
    else:
        attending.reveal(now)


def answer(now: Now, options: dict[str, str]) -> None:
    """The right option, and why."""
    ask: Ask = now.ask
    if ask.right is not None and now.look == "desk":
        verdict([marks.markdown(options[ask.right])], own=now.own_response.option == ask.right)
    if ask.why:
        st.markdown(marks.markdown(text_of(now, ask.why, "why")))
    elif ask.right is None:
        st.caption(
            _("There is no one answer to this question: compare yours with your neighbour's.")
        )
