"""The models that a visitor wants every page to begin with: one a family, for the length of the visit.

The address names them, ``?model=NAME``, so that a link hands them on. Each page still has its own choice,
and a link that says what a page shows is stronger than this.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import streamlit as st
from streamlit.delta_generator import DeltaGenerator
from streamlit.runtime.scriptrunner import get_script_run_ctx

from core.bundles.manifest import ManifestEntry
from core.errors import AtelierError
from pages.shared import guests, library, links
from pages.shared.text import _

PARAMETER, STATE = "model", "preferred"
FAMILIES = ("vae", "ddpm", "simsiam")
"""Of which one can be chosen, in the order of the navigation. Not the digit classifier: stored figures were
measured by one, and what is computed now has to be comparable with them.
"""
FIRST_RECIPE = "baseline"
"""Of the runs that are compared, what the pages begin with: the one that the others change."""


@dataclass
class Preferences:
    """What one visitor chose.

    ``chosen``: name by family. ``controls``: family by the key of every control that chooses a model on a
    page. ``page``: where the address was read last.
    """

    chosen: dict[str, str] = field(default_factory=dict)
    controls: dict[str, str] = field(default_factory=dict)
    page: str | None = None


def _preferences() -> Preferences:
    return st.session_state.setdefault(STATE, Preferences())


# ---------------------------------------------------------------- names


def title(entry: ManifestEntry) -> str:
    """The title of a model in the visitor's language."""
    base, wide, width = entry.title.rpartition(", width ")
    if wide and width.isdigit():
        return _("{title}, width {width}").format(title=_(base), width=width)
    return _(entry.title)


def title_of(name: str) -> str:
    return title(library.visible_manifest().entry(name))


# ---------------------------------------------------------------- which model


def usual(family: str) -> str | None:
    """Our own model of a family that pages begin with; None where there is none at hand."""
    entries = library.available(family, own=True)
    if family == "simsiam":
        for entry in entries:
            with suppress(AtelierError):  # pages say what is wrong with a bundle
                of = library.bundle(entry.name)
                if of.has_weights and of.config["training"].get("recipe") == FIRST_RECIPE:
                    return entry.name
    return entries[0].name if entries else None


def _newest_guest(family: str) -> str | None:
    theirs = [entry.name for entry in guests.entries() if entry.family == family]
    return theirs[-1] if theirs else None


def choice(family: str) -> str | None:
    """What the visitor chose for the pages of a family, else the newest guest of it; None: neither."""
    name = _preferences().chosen.get(family)
    at_hand = {entry.name for entry in library.available(family)}
    return name if name in at_hand else _newest_guest(family)


def in_use(family: str) -> str | None:
    """The model that the pages of a family begin with."""
    return choice(family) or usual(family)


def begin_with(family: str, key: str, names: Sequence[str]) -> str | None:
    """Which of ``names`` a page's control of its model begins with; None where the visitor chose none of
    them. To be called before that control.
    """
    _preferences().controls[key] = family
    name = choice(family)
    return name if name in names else None


def use(name: str) -> None:
    """Makes all pages of its family begin with a model."""
    wanted, family = _preferences(), library.visible_manifest().entry(name).family
    if family not in FAMILIES:
        return
    if name == (_newest_guest(family) or usual(family)):
        wanted.chosen.pop(family, None)
    else:
        wanted.chosen[family] = name
    for key, of in wanted.controls.items():  # of the page that is open
        if of == family:
            st.session_state.pop(key, None)
            links.write(key, [])
    keep_in_link()


def undo(family: str) -> None:
    """Makes the pages of a family begin with our own model again."""
    if (name := usual(family)) is not None:
        use(name)


# ---------------------------------------------------------------- address, sidebar


def from_link() -> None:
    """Takes over what the address asks for, where it may be new: at the begin of a visit and when a page
    is opened. What is not here is said above the page.
    """
    wanted, context = _preferences(), get_script_run_ctx(suppress_warning=True)
    page = context.page_script_hash if context else ""
    if page != wanted.page:
        wanted.page = page
        entries = {entry.name: entry for family in FAMILIES for entry in library.available(family)}
        links.check(PARAMETER, _("Models on all pages"), entries.__contains__)
        for name in links.values(PARAMETER):
            if name in entries:
                wanted.chosen[entries[name].family] = name
    held = [title_of(name) for family in FAMILIES if (name := in_use(family)) is not None]
    links.answer(PARAMETER, ", ".join(held))


def keep_in_link() -> None:
    """The address names what was chosen; a change of page would lose it."""
    held = _preferences().chosen
    links.write(PARAMETER, [held[family] for family in FAMILIES if family in held])


def show(place: DeltaGenerator) -> None:
    """In the sidebar: which models are not the usual ones, each with its way back."""
    for family in FAMILIES:
        name, own = choice(family), usual(family)
        if name is None or name == own:
            continue
        with place.container(border=True, gap="small", key=f"preferred_{family}"):
            st.caption(_("On all pages: **{title}**").format(title=together(title_of(name))))
            if own is not None:
                st.button(
                    _("Back to {title}").format(title=together(title_of(own))),
                    key=f"preferred_undo_{family}",
                    on_click=undo,
                    args=(family,),
                    icon=":material/undo:",
                    type="tertiary",
                )


def together(words: str) -> str:
    """The same, with an equation on one line."""
    return plain(words).replace(" = ", "\u00a0=\u00a0")


def plain(words: str) -> str:
    """Words as Markdown shows them letter for letter: the title of a guest may hold anything."""
    return "".join(
        f"\\{letter}" if letter in r"\`*_{}[]()#!|<>$:~^" else letter for letter in words
    )
