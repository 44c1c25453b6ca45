"""Data sets of pictures: whether they are at hand, and one click that downloads them."""

from __future__ import annotations

import streamlit as st

from core.bundles.bundle import Bundle
from core.pictures import data
from core.pictures.data import PictureSet
from pages.shared import loaders
from pages.shared.text import _, number, plain_errors


def at_hand(name: str, split: str) -> bool:
    """Whether a split can be read without a download; what is wrong with it is said."""
    with plain_errors():
        return loaders.split_at_hand(name, split)
    return False


def offer(name: str, split: str, words: str, key: str) -> None:
    """One click that downloads a split, where it is not at hand; ``words`` has {megabytes}."""
    source = data.SOURCES.get(name)
    if source is None or split not in source.hub_splits or at_hand(name, split):
        return
    wanted = st.button(
        words.format(megabytes=source.megabytes[split]),
        key=key,
        icon=":material/download:",
        wrap=True,
    )
    if wanted and download(name, split):
        st.rerun(scope="app")


def measured_test_set(of: Bundle) -> PictureSet | None:
    """The test pictures that the bundle was measured on; where they are not here, says so."""
    settings = of.config["data"]
    with plain_errors():
        found = loaders.test_set_of(of)
        if found is not None:
            return found
        if loaders.split_at_hand(settings["name"], settings["test_split"]):
            st.caption(
                _("The test set available here is not the one that this bundle was measured on.")
            )
        else:
            st.caption(_("The test digits themselves are not part of the bundle."))
    return None


def download(name: str, split: str) -> bool:
    """Fetch a split with a progress bar; True when it is at hand."""
    bar = st.progress(0.0, text=_("Asking the Hub …"))

    def show(done: int, total: int) -> None:
        words = _("{done} of {total} MB").format(done=number(done / 1e6), total=number(total / 1e6))
        bar.progress(min(1.0, done / max(1, total)), text=words)

    with plain_errors():
        data.download_split(name, split, show)
        bar.empty()
        return True
    bar.empty()
    return False
