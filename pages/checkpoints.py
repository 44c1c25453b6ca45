"""Checkpoints: every bundle, where it came from, and whether it is what it claims to be."""

from __future__ import annotations

import time

import streamlit as st

from core.bundle import GOLDEN_TOLERANCE, Bundle, ManifestEntry
from core.errors import AtelierError
from pages.shared import loaders
from pages.shared.text import _, head, mechanism, megabytes, number, plain_errors, sentence

ORIGINS = {"embedded": "checkpoints/", "hub": "Hub", "folder": "–"}


def state(found: Bundle | AtelierError) -> str:
    """What became of the hash check, in a word."""
    if isinstance(found, Bundle):
        return _("verified") if found.verified else _("not checked")
    return _("refused") if found.code == "bundle-hash" else _("not available")


def overview(opened: dict[str, Bundle | AtelierError], entries: list[ManifestEntry]) -> None:
    """One row a bundle."""
    rows = []
    for entry in entries:
        found = opened[entry.name]
        whole = isinstance(found, Bundle)
        rows.append(
            {
                _("name"): entry.name,
                _("title"): _(entry.title),
                _("family"): entry.family,
                _("origin"): ORIGINS[found.origin] if whole else "–",
                _("weights"): (_("yes") if found.has_weights else _("no")) if whole else "–",
                _("hash"): state(found),
                _("size"): megabytes(found.bytes) if whole else "–",
                _("epochs"): number(len(found.history), 0) if whole else "–",
            }
        )
    st.dataframe(rows, hide_index=True, width="stretch")


def details(entry: ManifestEntry, found: Bundle) -> None:
    cells = st.columns(3)
    cells[0].metric(_("Identity"), found.digest)
    cells[1].metric(_("Size"), megabytes(found.bytes))
    cells[2].metric(_("Code"), found.config["code_version"])
    if not found.has_weights:
        st.caption(
            _("A record: the history of a run and what was measured of it, without its weights.")
        )
    elif st.button(
        _("Recompute the golden output"),
        key=f"checkpoints_golden_{entry.name}",
        help=_("Runs the stored input through the weights and compares with the stored output."),
    ):
        begun = time.perf_counter()
        with plain_errors():
            off = loaders.golden_deviation(entry.name)
            st.success(
                _("Largest deviation {off}, allowed {limit}; {seconds} s.").format(
                    off=f"{off:.1e}",
                    limit=f"{GOLDEN_TOLERANCE:.0e}",
                    seconds=number(time.perf_counter() - begun, 2),
                )
            )
    with st.expander(_("Model card"), icon=":material/description:"):
        st.markdown(found.card.split("---", 2)[-1])
    with st.expander(_("Figures"), icon=":material/monitoring:"):
        st.json(found.metrics)
    with st.expander(_("Configuration"), icon=":material/settings:"):
        st.json(found.config)
    with st.expander(_("Files and their sha256"), icon=":material/fingerprint:"):
        st.dataframe(
            [
                {
                    _("file"): name,
                    _("size"): megabytes((found.folder / name).stat().st_size),
                    "sha256": value,
                }
                for name, value in found.sha256.items()
            ],
            hide_index=True,
            width="stretch",
        )


def main() -> None:
    head(
        _("Checkpoints"),
        _(
            "Every picture and figure in this app comes from one of these bundles. **Each file is "
            "hashed when it is opened** and refused if it is not the one that was published."
        ),
    )
    with plain_errors():
        entries = list(loaders.manifest().entries)
        if not entries:
            st.info(_("No bundle is here yet: `python -m train vae` makes one."))
            return
        opened: dict[str, Bundle | AtelierError] = {}
        for entry in entries:
            try:
                opened[entry.name] = loaders.bundle(entry.name)
            except AtelierError as error:
                opened[entry.name] = error
        overview(opened, entries)
        names = [entry.name for entry in entries]
        chosen = st.selectbox(_("Bundle"), names, key="checkpoints_bundle", bind="query-params")
        found = opened[chosen]
        if isinstance(found, AtelierError):
            st.error(sentence(found), icon=":material/error:")
        else:
            details(loaders.manifest().entry(chosen), found)
        mechanism(
            _(
                "A bundle is a folder: weights (safetensors, never a pickle), configuration, the "
                "history of its training, its final figures with their protocol, statistics that "
                "pages need without the data set, and a golden input with the output it must give. "
                "The manifest names the sha256 of every file. `python -m train verify` recomputes "
                "every figure where the data set is at hand."
            )
        )


main()
