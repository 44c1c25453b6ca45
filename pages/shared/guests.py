"""Bundles of others, opened by a visitor: offered on every page for the length of the visit."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from contextlib import suppress

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from core.bundles import fetched, hub, remote
from core.bundles.bundle import Bundle
from core.bundles.manifest import ManifestEntry
from core.errors import AtelierError
from core.families import check_contents, networks
from pages.shared import links
from pages.shared.text import N_, _, literal, megabytes, sentence

PARAMETER = "bundle"
MOST = 4
MOST_VARIABLE, MOST_MIB = "ATELIER_GUESTS_MIB", 2048
Owned = Callable[[], Collection[fetched.Commit]]
"""The commits that the app's owner names; asked for only when something was fetched."""
MADE_ROOM = N_("{name} is here no longer: its files made room for bundles that others opened.")
GUESTS, REFUSED, COPIES = "guests", "guests_refused", "guests_copies"


def entries() -> tuple[ManifestEntry, ...]:
    """This visit's bundles of others, the newest last; none outside a visit."""
    if get_script_run_ctx(suppress_warning=True) is None:
        return ()
    return tuple(st.session_state.get(GUESTS, {}).values())


def is_guest(name: str) -> bool:
    return any(entry.name == name for entry in entries())


def is_copy(name: str) -> bool:
    """Whether a guest is the copy of the cache, as the Hub could not be reached."""
    return name in st.session_state.get(COPIES, ())


def open_(place: str, owned: Owned = set) -> str:
    """Fetches ``user/name`` or ``user/name@revision`` and adds it; its name on the pages.

    Raises ``AtelierError``. The first of more than ``MOST`` guests leaves.
    """
    repo, revision = remote.parse(place)
    before = set(hub.cached_sizes())
    bar = st.progress(0.0, text=_("Fetching {name} …").format(name=repo))
    try:
        found = remote.fetch(
            repo,
            revision,
            networks=networks(),
            progress=lambda done, total: bar.progress(
                min(1.0, done / max(1, total)),
                text=_("Fetching {name}: {done} of {total}").format(
                    name=repo, done=megabytes(done), total=megabytes(total)
                ),
            ),
        )
        check_contents(found)
    finally:
        bar.empty()
        _note(repo, before, owned)
    return add(found, repo)


def _note(repo: str, before: Collection[fetched.Commit], owned: Owned) -> None:
    """Notes what came into the cache for a visitor, whether it could be opened or not."""
    with suppress(OSError):  # a cache that cannot be written holds nothing new
        visitors = set(fetched.commits())
        for one in hub.cached_sizes():
            if one[0] == repo and (one not in before or one in visitors):
                fetched.note(*one, _most_bytes(), owned=owned())


def _most_bytes() -> int:
    """What the bundles that visitors had fetched may take of the disk."""
    try:
        mib = max(0, int(os.environ.get(MOST_VARIABLE, "")))
    except ValueError:
        mib = MOST_MIB
    return mib * 2**20


def add(found: Bundle, repo: str) -> str:
    """An opened bundle as a guest; its name on the pages."""
    name = f"{repo}@{(found.revision or '')[:7]}"
    entry = ManifestEntry(
        name=name,
        family=found.family,
        title=f"{found.heading[:60]} · {name}",
        sha256=dict(found.sha256),
        repo=repo,
        revision=found.revision,
    )
    held = st.session_state.setdefault(GUESTS, {})
    held.pop(name, None)
    held[name] = entry
    while len(held) > MOST:
        held.pop(next(iter(held)))
    copies = st.session_state.setdefault(COPIES, set())
    copies.discard(name) if found.reached else copies.add(name)
    return name


def leave(name: str) -> None:
    """Takes a guest off the pages, and out of the address."""
    gone = st.session_state.get(GUESTS, {}).pop(name, None)
    if gone is not None:
        st.session_state.setdefault(REFUSED, {})[f"{gone.repo}@{gone.revision}"] = None


def from_link(owned: Owned = set) -> None:
    """Opens what ``?bundle=user/name@revision`` names, once a visit; says why where it cannot.

    What is not in the cache is fetched only if the visitor agrees: a link is made by somebody else. That
    holds for a guest as well that had to make room in the cache for another visitor's.
    """
    asked = st.session_state.setdefault(REFUSED, {})
    for name in [
        one.name for one in entries() if hub.cached_folder(one.repo, one.revision) is None
    ]:
        lost = st.session_state[GUESTS].pop(name)
        asked.pop(f"{lost.repo}@{lost.revision}", None)
        st.info(literal(_(MADE_ROOM).format(name=name)), icon=":material/info:")
    for place in _places_to_open():
        try:
            repo, revision = remote.parse(place)
            if hub.cached_folder(repo, revision) is None and not _ask_to_fetch(place):
                continue
            asked[place] = None
            open_(place, owned)
        except AtelierError as error:
            asked[place] = error
    for place, error in asked.items():
        if error is not None:
            # What an address says is shown letter for letter: as Markdown it could load a picture.
            st.error(literal(f"{place[:100]}: {sentence(error)}"), icon=":material/error:")
            asked[place] = None  # said once


def _places_to_open() -> list[str]:
    """Places that the address names, and that were neither opened nor refused on this visit."""
    done = st.session_state.get(REFUSED, {})
    held = {f"{one.repo}@{one.revision}" for one in entries()}
    asked = dict.fromkeys(links.values(PARAMETER)[:MOST])
    return [place for place in asked if place not in held and place not in done]


def _ask_to_fetch(place: str) -> bool:
    """Asks whether a bundle that a link names shall be fetched; whether the visitor said so now."""
    question = st.empty()
    with question.container(border=True):
        st.markdown(
            _("This link asks for the bundle `{place}` of the Hub, which is not here yet.").format(
                place=place[:100].replace("`", "'")
            )
        )
        with st.container(horizontal=True):
            agreed = st.button(
                _("Fetch it"), key=f"guests_fetch_{place}", icon=":material/cloud_download:"
            )
            declined = st.button(_("Go on without"), key=f"guests_decline_{place}")
    if declined:
        st.session_state[REFUSED][place] = None
    if agreed or declined:
        question.empty()
    return agreed


def keep_in_link() -> None:
    """The address names the guests, so that it opens them again, and what the visitor was asked for and
    has not answered; a change of page would lose them.
    """
    held = [f"{one.repo}@{one.revision}" for one in entries()]
    links.write(PARAMETER, [*held, *_places_to_open()])
