"""Bundles of others, opened by a visitor: offered on every page for the length of the visit."""

from __future__ import annotations

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from core.bundles import remote
from core.bundles.bundle import Bundle
from core.bundles.manifest import ManifestEntry
from core.errors import AtelierError
from core.families import networks
from pages.shared import links
from pages.shared.text import _, megabytes, sentence

PARAMETER = "bundle"
MOST = 4
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


def open_(place: str) -> str:
    """Fetches ``user/name`` or ``user/name@revision`` and adds it; its name on the pages.

    Raises ``AtelierError``. The first of more than ``MOST`` guests leaves.
    """
    repo, revision = remote.parse(place)
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
    finally:
        bar.empty()
    return add(found, repo)


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
    """Takes a guest off the pages."""
    st.session_state.get(GUESTS, {}).pop(name, None)


def from_link() -> None:
    """Opens what ``?bundle=user/name@revision`` names, once a visit; says why where it cannot."""
    asked = st.session_state.setdefault(REFUSED, {})
    held = {f"{one.repo}@{one.revision}" for one in entries()}
    for place in links.values(PARAMETER)[:MOST]:
        if place in held or place in asked:
            continue
        asked[place] = None
        try:
            open_(place)
        except AtelierError as error:
            asked[place] = error
    for place, error in asked.items():
        if error is not None:
            st.error(f"{place[:100]}: {sentence(error)}", icon=":material/error:")
            asked[place] = None  # said once


def keep_in_link() -> None:
    """The address names the guests, so that it opens them again; a change of page would lose them."""
    links.write(PARAMETER, [f"{one.repo}@{one.revision}" for one in entries()])
