"""Checkpoints: the trained models behind every page, one to begin with everywhere, all to compare."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import streamlit as st

from core.bundles.bundle import Bundle
from core.bundles.manifest import Manifest, ManifestEntry
from core.errors import AtelierError
from pages.models import cards, comparison, details, facts
from pages.models.cards import CHOSEN
from pages.models.facts import Opened
from pages.shared import controls, guests, library, links, preferred, shape
from pages.shared.text import N_, _, head, mechanism, plain_errors, sentence

ELSEWHERE = N_("On the Hub as {repo}, revision {revision}, and not here yet.")
FREED = N_("Deleted from the cache: {size} are free again.")


def opener() -> None:
    """A field for anyone's model on the Hub, as the last card."""
    with st.container(border=True, height="stretch", key="checkpoints_own"):
        words = _("Your own model, or a teammate's")
        st.markdown(f":material/cloud_download: **{words}**")
        st.caption(
            _(
                "Trained with this code and put on the Hub by `python -m train publish`? All pages of its "
                "family begin with it, for this visit; the link hands it on."
            )
        )
        with shape.apart(), st.form("checkpoints_opener", border=False):
            place = st.text_input(
                _("Open a model from the Hub"),
                key="checkpoints_place",
                placeholder="user/name@revision",
                help=_(
                    "Only models in the format of this app: safetensors and JSON. Nothing in them is "
                    "executed; the configuration is checked before any weight is fetched."
                ),
            )
            wanted = st.form_submit_button(_("Open"), icon=":material/cloud_download:")
        if wanted:
            with plain_errors():
                name = guests.open_(place, library.own_commits)
                preferred.use(name)
                guests.keep_in_link()
                if library.visible_manifest().entry(name).family in preferred.FAMILIES:
                    st.session_state[cards.USED] = name
                st.rerun()


def offer_to_fetch(entry: ManifestEntry) -> None:
    """What is on the Hub and not here: fetched when asked."""
    st.info(_(ELSEWHERE).format(repo=entry.repo, revision=(entry.revision or "")[:12]))
    if st.button(
        _("Fetch it"), key=f"checkpoints_fetch_{entry.name}", icon=":material/cloud_download:"
    ):
        bar = st.progress(0.0)
        with plain_errors():
            library.visible_manifest().open(
                entry.name, lambda done, total: bar.progress(min(1.0, done / max(1, total)))
            )
            st.rerun()
        bar.empty()


def open_all(found: Manifest) -> Opened:
    """Every model that is here, or why it cannot be opened."""
    opened: Opened = {}
    for entry in found.entries:
        if found.embedded_folder(entry) is None and entry.repo and not found.at_hand(entry):
            continue
        try:
            opened[entry.name] = library.bundle(entry.name)
        except AtelierError as error:
            opened[entry.name] = error
    return opened


def model_in_detail(names: Sequence[str]) -> str | None:
    """The model whose details the visitor, or a link, asked for."""
    asked = next(iter(links.values(CHOSEN)), None)
    name = st.session_state.get(CHOSEN, asked)
    return name if name in names else None


def titles(entries: Sequence[ManifestEntry]) -> dict[str, str]:
    """By name: what a visitor reads of each; where two would read alike, with the name."""
    found = {entry.name: preferred.title(entry) for entry in entries}
    times = Counter(found.values())
    return {
        name: f"{title} · {name}" if times[title] > 1 else title for name, title in found.items()
    }


def choose(entries: Sequence[ManifestEntry]) -> str | None:
    """The control of whose details are shown: none of them shows all models."""
    return controls.option(_("Details of one model"), titles(entries), CHOSEN, optional=True)


def all_models(entries: Sequence[ManifestEntry], opened: Opened) -> None:
    cards.show(facts.with_card(entries, opened), opened, opener)
    comparison.show(entries, opened)
    choose(entries)


def one_model(entries: Sequence[ManifestEntry], opened: Opened) -> None:
    """Its details, and another model next to it where that is wanted."""
    cards.confirm_use()
    back, left, right = st.columns([1, 2, 2], vertical_alignment="bottom")
    back.button(
        _("All models"),
        key="checkpoints_back",
        on_click=cards.look_at,
        args=(None,),
        icon=":material/arrow_back:",
    )
    with left:
        name = choose(entries)
    found, entry = opened.get(name), next(one for one in entries if one.name == name)
    if found is None:
        offer_to_fetch(entry)
        return
    if isinstance(found, AtelierError):
        st.error(sentence(found), icon=":material/error:")
        return
    with right:
        others = titles(
            [
                one
                for one in entries
                if one.name != name and isinstance(opened.get(one.name), Bundle)
            ]
        )
        beside = controls.option(_("Compare with"), others, "checkpoints_beside", optional=True)
    details.show(entry, found, None if beside is None else opened[beside])


def how_it_works() -> None:
    mechanism(
        _(
            "A model is kept as one folder: weights (safetensors, never a pickle), settings, the "
            "history of its training, its final figures with their protocol, statistics that "
            "pages need without the data set, and an input with the reference output that it must "
            "give. The manifest names the sha256 of every file, and a changed file is "
            "refused. `python -m train verify` recomputes every figure where the data set is at "
            "hand.\n\n"
            "A model from the Hub is fetched by the commit that the manifest names, into the "
            "standard cache, and checked by the same hashes; a file that is partial or damaged "
            "is fetched again once, then refused. A model that you open yourself is checked "
            "against what the Hub says of its files: first its settings, by a schema and "
            "by the size of the network that it describes, then all else. It stays for this "
            "visit, and the address names it. `python -m train publish` puts one there."
        )
    )


def main() -> None:
    head(
        _("Checkpoints"),
        _(
            "The trained models: **make all pages begin with another one**, or compare their training."
        ),
    )
    freed = st.session_state.pop("checkpoints_freed", None)
    if freed is not None:
        st.success(_(FREED).format(size=freed))
    with plain_errors():
        found = library.visible_manifest()
        opened = open_all(found)
        entries = facts.ordered(found.entries, opened)
        if not entries:
            opener()
            st.info(_("No bundle is here yet: `python -m train vae` makes one."))
            return
        if model_in_detail([entry.name for entry in entries]) is None:
            all_models(entries, opened)
        else:
            one_model(entries, opened)
        how_it_works()
