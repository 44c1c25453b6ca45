"""The room of a lesson on the page: its code, who answered, and what the class thinks once it is revealed.

What is shown here is asked of the room every few seconds, by a part of the page that runs again alone.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from html import escape

import segno
import streamlit as st

from core.errors import AtelierError
from pages.shared import links, site
from pages.shared.text import _, language, number, plain_errors, sentence
from pages.teach import answers, attending, keeping, room, tally
from pages.teach.attending import Now

TOKEN, LOOKED = "room_token", "room_looked"
EVERY, PATIENCE = 2.0, 10.0
"""Seconds between two looks at the room, and until a tab has a place that does not say who it is."""


def token() -> str:
    """What a room knows a voter by: the token of the tab, and until the tab has sent it, that of the visit."""
    return st.session_state.setdefault(TOKEN, room.new_token())


def come_in(now: Now) -> None:
    """Takes a place in the room, under the token of the tab once the tab has sent it: after a reload, or on a
    phone that slept, nobody is another voter.
    """
    if leads(now):  # after a reload that is known only now
        keeping.run_again()
        return
    kept, rooms = keeping.tab(), room.rooms()
    if kept and kept != token():
        with suppress(AtelierError):  # a browser may say anything
            rooms.rejoin(now.room, token(), kept)
            st.session_state[TOKEN] = kept
    rooms.join(now.room, token())


def has_a_place(now: Now) -> bool:
    """Comes in once the tab has sent its token, or has not for ``PATIENCE`` seconds: a place under the visit's
    own, and a vote, would be left behind by a reload. Whether the visit has come in.
    """
    looked, since = st.session_state.setdefault(LOOKED, (now.room, time.monotonic()))
    if looked != now.room:
        st.session_state[LOOKED] = now.room, time.monotonic()
    if keeping.tab_was_heard() or (looked == now.room and time.monotonic() - since >= PATIENCE):
        come_in(now)
        return True
    keeping.once_heard(partial(come_in, now))
    return False


def leads(now: Now) -> bool:
    """Whether this visit is the room's host.

    A hall sees the address of a stage, so the secret leaves it as soon as the tab is known by its token,
    which gives the secret back after a reload.
    """
    rooms, tab = room.rooms(), keeping.tab()
    if not now.room:
        return False
    secret = _secret(now) or rooms.secret(now.room, tab)
    if not rooms.is_host(now.room, secret):
        return False
    attending.visit().secrets[room.canonical_code(now.room)] = secret
    if tab:
        with suppress(AtelierError):  # a browser may say anything
            rooms.trust(now.room, secret, tab)
            links.write(attending.HOST, ())
    return True


def _secret(now: Now) -> str:
    return now.host or attending.visit().secrets.get(room.canonical_code(now.room), "")


def counts_answers(now: Now) -> bool:
    """Whether the room counts answers to the question of this step."""
    return bool(now.room and now.ask and now.ask.options)


def head(now: Now) -> None:
    """The room's code with the address to type; on a stage it is large while a class comes in, and can be
    scanned at any time.
    """
    if now.gone is not None:
        st.error(sentence(now.gone), icon=":material/error:")
    if not now.room:
        return
    with plain_errors(here=True):
        host = leads(now)
        if not host:
            keeping.once_heard(partial(come_in, now))
        code = room.canonical_code(now.room)
        if now.look == "stage":
            where = _("Room")
            if now.number == 1:
                with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                    st.html(
                        f'<p style="font-size: 1rem; margin: 0">{where} <b style="font-size: 2.5rem; '
                        f'letter-spacing: 0.15em">{code}</b></p>',
                        width="content",
                    )
                    if host:
                        lead_elsewhere(now, code)
            with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                st.caption(joining(code), width="content")
                with st.popover("", icon=":material/qr_code_2:", type="tertiary", help=where):
                    st.html(qr_code(code))
        else:
            st.caption(
                _("Room {code}: what you choose is counted, without your name.").format(code=code)
            )


def lead_elsewhere(now: Now, code: str) -> None:
    """The link that makes another device the room's host, to be opened before the class is here."""
    words = _("Lead from another device")
    with st.popover("", icon=":material/phonelink:", type="tertiary", help=words):
        st.caption(_("Whoever opens this link leads the room, too: do not show it to the class."))
        st.code(
            f"{site.address(for_others=True)}/?room={code}&step={now.number}&host={_secret(now)}",
            language=None,
            wrap_lines=True,
        )


def qr_code(code: str) -> str:
    """The room's address as a QR code, in HTML: dark on light in both themes, as phones want it."""
    link = f"{site.address(for_others=True)}/?room={code}"
    drawn = segno.make(link, micro=False).svg_data_uri(border=2, light="white")
    alt = _("The address of the room, to scan: {link}").format(link=link)
    return f'<img src="{escape(drawn)}" alt="{escape(alt)}" style="display: block; width: 24rem">'


def joining(code: str) -> str:
    """The address that students type, in words."""
    where = site.address(for_others=True).partition("://")[2]
    return _("Open {address}/?room={code}").format(address=where, code=code)


def show(now: Now, options: Mapping[str, str], listed: Callable[[], None] | None = None) -> None:
    """Takes part in the room's vote, and shows how it stands; ``listed`` writes the options where the votes
    will be.
    """
    if counts_answers(now):
        st.fragment(_standing, run_every=EVERY)(now, options, listed)


def _standing(
    now: Now, options: Mapping[str, str], listed: Callable[[], None] | None = None
) -> None:
    with plain_errors(here=True):
        rooms, ask = room.rooms(), now.ask
        state, told = rooms.state(now.room, ask.id), rooms.has_been_told(now.room, ask.id)
        if told and not now.revealed and attending.may_reveal(now, in_room=True):
            attending.reveal(now, in_room=True)
            st.rerun()
        host = leads(now)
        if not host and has_a_place(now):
            _vote(now, state)
        counts = rooms.counts(now.room, ask.id)
        if counts is None and listed:
            listed()
        st.caption(
            _("{answered} of {present} answered.").format(
                answered=number(rooms.vote_count(now.room, ask.id), 0),
                present=number(rooms.present(now.room), 0),
            )
        )
        if counts is not None:
            right = ask.right if now.revealed else None
            with st.container(key="room_votes"):
                st.html(tally.bars(list(options.items()), counts, right, language()))
        if host and not told:
            _lead(now, state)
        elif not now.revealed:
            st.caption(attending.why_not(now) if told else _("Whoever teaches shows the answer."))


def _vote(now: Now, state: str) -> None:
    """Gives the room what the visitor chose, where a vote is going on and this visit has not yet given it:
    two tabs of one token, as a browser makes them of a tab that is duplicated, do not vote by turns.
    """
    chosen, rooms, known = now.own_response.option, room.rooms(), attending.visit()
    if known.votes.get(now.vote) != state:
        known.votes[now.vote] = state
        if state == room.SECOND:  # what was chosen for the first one is no vote in the second
            known.chosen.discard(now.vote)
    if state == room.REVEALED or chosen not in {one.id for one in now.ask.options}:
        return
    if state == room.SECOND and now.vote not in known.chosen:
        _stay(now)
        return
    if known.cast.get(now.vote) != (mine := (token(), state, chosen)):
        rooms.vote(now.room, token(), now.ask.id, chosen)
        known.cast[now.vote] = mine


def _stay(now: Now) -> None:
    """Asks for a second vote: another choice, or the same one again."""
    st.button(
        _("Second vote: choose again, or keep your answer"),
        key=f"room_stay_{now.number}",
        icon=":material/how_to_vote:",
        on_click=attending.answer,
        args=(now, now.own_response),
    )


def _lead(now: Now, state: str) -> None:
    """What the host may do next: show the votes, have another one, show the answer."""
    with st.container(key="room_way", horizontal=True, gap="small"):
        if state != room.REVEALED:
            st.button(
                _("Show the votes"),
                key=f"room_reveal_{now.number}",
                icon=":material/bar_chart:",
                on_click=_reveal,
                args=(now,),
            )
        else:
            st.button(
                _("Vote again"),
                key=f"room_second_{now.number}",
                icon=":material/how_to_vote:",
                on_click=_second,
                args=(now,),
            )
        st.button(
            _("Show the answer"),
            key=f"room_tell_{now.number}",
            icon=":material/visibility:",
            on_click=_tell,
            args=(now,),
        )


def reveal(now: Now) -> None:
    """The host's next step: ends the vote and shows it, and after that shows the answer to the room."""
    if not leads(now):
        return
    with plain_errors(here=True):
        step = _tell if room.rooms().state(now.room, now.ask.id) == room.REVEALED else _reveal
        step(now)


def _reveal(now: Now) -> None:
    with plain_errors(here=True):
        room.rooms().reveal(now.room, _secret(now), now.ask.id)


def _tell(now: Now) -> None:
    with plain_errors(here=True):
        room.rooms().tell(now.room, _secret(now), now.ask.id)


def _second(now: Now) -> None:
    with plain_errors(here=True):
        room.rooms().second(now.room, _secret(now), now.ask.id)


def open_for(name: str, lesson: attending.Lesson) -> tuple[str, str]:
    """A new room for a lesson: its code and its host's secret. Raises ``AtelierError`` in one sentence.

    The room holds the lesson as it is now: its file may be edited while a class votes. A lesson inside its
    link loses that link, which has the answers.
    """
    if not answers.can_keep_back(name):
        name = f"{attending.HELD}{secrets.token_hex(8)}"
    return room.rooms().open_room(name, room.options_of(lesson), lesson)


def lesson_of(code: str) -> str:
    """The name of the lesson that a room is for. Raises ``AtelierError`` where there is no such room."""
    return room.rooms().lesson(code)
