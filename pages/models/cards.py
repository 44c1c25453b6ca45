"""Cards: one a model, with a picture that it made, and one press that makes all pages begin with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import streamlit as st

from core.bundles.bundle import Bundle
from core.bundles.manifest import ManifestEntry
from core.errors import AtelierError
from pages.models import facts, portraits
from pages.models.facts import Opened
from pages.shared import figures, library, preferred
from pages.shared.text import _, sentence

CHOSEN, USED = "checkpoints_bundle", "checkpoints_used"
ACROSS = 4
CAN_BE_CHOSEN = preferred.FAMILIES
"""Families whose pages begin with a model that the visitor may choose."""


def show(entries: Sequence[ManifestEntry], opened: Opened, last: Callable[[], None]) -> None:
    """All cards, ``ACROSS`` in a row; ``last`` fills one more."""
    confirm_use()
    shown = [lambda entry=entry: card(entry, opened.get(entry.name)) for entry in entries]
    filled = [*shown, last]
    for begin in range(0, len(filled), ACROSS):
        columns = st.columns(ACROSS, gap="small")
        for column, fill in zip(columns, filled[begin : begin + ACROSS], strict=False):
            with column:
                fill()


def card(entry: ManifestEntry, found: Bundle | AtelierError | None) -> None:
    """Picture, title, how it was trained, how good it is, what to do with it."""
    title = preferred.title(entry)
    with st.container(
        border=True, height="stretch", gap="small", key=f"checkpoints_card_{entry.name}"
    ):
        if isinstance(found, Bundle):
            portrait = portraits.of_model(found, title)
            if portrait is not None:
                st.image(portrait.sent, alt=portrait.alt, width="stretch", output_format="PNG")
        st.markdown(f"**{preferred.together(title)}**")
        if isinstance(found, Bundle):
            st.caption(facts.training_in_words(found))
            st.markdown(facts.how_good(found))
            use(entry, found)
        elif found is None:
            st.caption(_("On the Hub, not here yet."))
        else:
            st.caption(sentence(found))
        st.button(
            _("Details"),
            key=f"checkpoints_more_{entry.name}",
            on_click=look_at,
            args=(entry.name,),
            icon=":material/zoom_in:",
            type="tertiary",
        )


def look_at(name: str | None) -> None:
    """Opens the details of a model; None: shows all of them."""
    st.session_state[CHOSEN] = name


def use(entry: ManifestEntry, found: Bundle, *, prefix: str = "checkpoints_use") -> None:
    """One press makes all pages of the family begin with the model; or says that they do, and undoes it."""
    if entry.family not in CAN_BE_CHOSEN:
        if entry.name == preferred.usual(entry.family):
            st.caption(_("Every page that reads digits asks it."))
        return
    usual = preferred.usual(entry.family)
    if entry.name != preferred.in_use(entry.family):
        lacking = not found.has_weights and len(library.available(entry.family)) > 1
        st.button(
            _("Use on all pages"),
            key=f"{prefix}_{entry.name}",
            on_click=take,
            args=(entry,),
            icon=":material/done_all:",
            width="stretch",
            help=_(
                "For this visit. Its weights were not kept: pages that ask the network itself go on "
                "with another one."
            )
            if lacking
            else _("For this visit; a copied link hands it on."),
        )
        return
    st.markdown(":green[:material/check_circle:] " + _("In use on all pages"))
    if entry.name != usual and usual is not None:
        st.button(
            _("Undo"),
            key=f"{prefix}_undo_{entry.name}",
            on_click=preferred.undo,
            args=(entry.family,),
            icon=":material/undo:",
            type="tertiary",
        )


def take(entry: ManifestEntry) -> None:
    preferred.use(entry.name)
    st.session_state[USED] = entry.name


def confirm_use() -> None:
    """What the last press did, once."""
    name = st.session_state.pop(USED, None)
    if name is not None:
        st.toast(
            _("Every page of its family now begins with {title}.").format(
                title=preferred.plain(preferred.title_of(name))
            ),
            icon=":material/done_all:",
        )


def portrait(of: Bundle, title: str) -> None:
    """The same picture, larger, with where it comes from."""
    found = portraits.of_model(of, title, rows=6)
    if found is None:
        return
    st.image(found.sent, alt=found.alt, width="stretch", output_format="PNG")
    st.caption(found.words)
    figures.about(
        figures.Provenance(of, live=False), "checkpoints_portrait", png=lambda: found.picture
    )
