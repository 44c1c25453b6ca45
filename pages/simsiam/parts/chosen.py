"""The picture that the networks of objects are asked about: folded away, and said where it is not here."""

from __future__ import annotations

import streamlit as st

from core.bundles.bundle import Bundle
from core.pictures.shapes import KINDS
from pages.shared import controls, data_sets, links, loaders, picking
from pages.shared.picking import PickedPicture
from pages.shared.text import _


def picture(prefix: str, of: Bundle, settings: tuple[str, ...]) -> PickedPicture | None:
    """The picture, from a picker in one folded line; None where nothing is chosen yet.

    It begins with a test picture where those are at hand. As another machine may begin otherwise, an address
    that says any of ``settings``, the page's other controls, says where the picture comes from, too.
    """
    default = picking.first_object_origin(of)
    _came_in(prefix, default)
    said = links.speaks_of([*settings, links.RUN, *(f"{prefix}_{name}" for name in picking.OBJECT)])
    with st.expander(_("Another picture"), icon=":material/image_search:"):
        return picking.picture(prefix, of, default=default, said=said)


def pin(prefix: str, settings: tuple[str, ...]) -> None:
    """To be called at the end of a fragment: the address says where the picture comes from, if it says any
    of ``settings`` or that a result is shown.
    """
    origin = st.session_state.get(f"{prefix}_from")
    if origin and links.speaks_of([*settings, links.RUN]) and not links.values(f"{prefix}_from"):
        links.write(f"{prefix}_from", [origin])


def _came_in(prefix: str, default: str) -> None:
    """A link may have asked for a test picture before those were downloaded: now it gets it."""
    waiting = f"{prefix}_waiting"
    if default == "test" and st.session_state.pop(waiting, False):
        st.session_state.pop(f"{prefix}_from", None)


def missing(prefix: str, of: Bundle) -> None:
    """Says that a link asks for a test picture which is not on this machine, and offers to fetch it."""
    settings = of.config["data"]
    asked = links.values(f"{prefix}_from")
    if asked != ["test"] or data_sets.at_hand(settings["name"], settings["test_split"]):
        return
    st.session_state[f"{prefix}_waiting"] = True
    number = next(iter(links.values(f"{prefix}_test")), "0")
    words = _(
        "This link shows test picture {number} of CIFAR-10, and the pictures of CIFAR-10 are not on this "
        "machine. **What you see below is another picture.**"
    )
    st.warning(words.format(number=number[:8]), icon=":material/image_not_supported:")
    words = _("Download the CIFAR-10 test pictures ({megabytes} MB)")
    key = f"{prefix}_missing_download"
    data_sets.offer(settings["name"], settings["test_split"], words, key)


def next_button(prefix: str, of: Bundle) -> None:
    """Goes on to the next test picture, or the next object: nothing else has a next one."""
    origin = st.session_state.get(f"{prefix}_from")
    if origin not in ("test", "shape"):
        return
    controls.act(
        _("Next picture"),
        key=f"{prefix}_next",
        icon=":material/skip_next:",
        on_click=_go_on,
        args=(prefix, of, origin),
    )


def _go_on(prefix: str, of: Bundle, origin: str) -> None:
    state, settings = st.session_state, of.config["data"]
    if origin == "test":
        count = loaders.picture_count(settings["name"], settings["test_split"])
        state[f"{prefix}_test"] = (int(state.get(f"{prefix}_test", 0)) + 1) % count
    else:
        place = KINDS.index(state.get(f"{prefix}_kind", picking.OBJECT["kind"]))
        state[f"{prefix}_kind"] = KINDS[(place + 1) % len(KINDS)]
