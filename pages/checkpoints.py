"""Checkpoints: every bundle, where it came from, and whether it is what it claims to be."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence

import plotly.graph_objects as go
import streamlit as st

from core.bundles import hub
from core.bundles.bundle import GOLDEN_TOLERANCE, Bundle
from core.bundles.manifest import ManifestEntry
from core.errors import AtelierError
from pages.shared import controls, figures, guests, library, training
from pages.shared.colours import BLUE, VERMILION
from pages.shared.text import (
    N_,
    _,
    head,
    mechanism,
    megabytes,
    number,
    plain_errors,
    scientific,
    sentence,
)

ORIGINS = {"embedded": "checkpoints/", "hub": N_("Hub, cached"), "folder": "–"}
COLOURS, DASHES = (BLUE, VERMILION), ("solid", "dash")
Opened = dict[str, Bundle | AtelierError]


def state(found: Bundle | AtelierError) -> str:
    """What became of the hash check, in a word."""
    if isinstance(found, Bundle):
        return _("verified") if found.verified else _("not checked")
    return _("refused") if found.code == "bundle-hash" else _("not available")


def overview(opened: Opened, entries: Sequence[ManifestEntry]) -> None:
    """One row a bundle."""
    rows = []
    for entry in entries:
        found = opened.get(entry.name)
        whole = isinstance(found, Bundle)
        rows.append(
            {
                _("name"): entry.name,
                _("title"): _(entry.title),
                _("family"): entry.family,
                _("origin"): _(ORIGINS[found.origin]) if whole else _("Hub") if not found else "–",
                _("hash"): state(found) if found else _("not fetched"),
                _("size"): megabytes(found.bytes) if whole else "–",
                _("opened in"): seconds_to_open(entry) if whole else "–",
                _("weights"): (_("yes") if found.has_weights else _("no")) if whole else "–",
                _("epochs"): number(len(found.history), 0) if whole else "–",
                _("revision"): (entry.revision or "–")[:12],
            }
        )
    st.dataframe(rows, hide_index=True, width="stretch")


def seconds_to_open(entry: ManifestEntry) -> str:
    """How long reading and hashing the files took, when they last were."""
    return f"{number(library.opened(entry.name).seconds, 2)} s"


def opener() -> None:
    """A field for anyone's bundle on the Hub."""
    with st.form("checkpoints_opener", border=False):
        left, right = st.columns([5, 2], vertical_alignment="bottom")
        place = left.text_input(
            _("Open a bundle from the Hub"),
            key="checkpoints_place",
            placeholder="user/name@revision",
            help=_(
                "Only bundles in the format of this app: safetensors and JSON. Nothing in them is "
                "executed; the configuration is checked before any weight is fetched."
            ),
        )
        wanted = right.form_submit_button(_("Open"), icon=":material/cloud_download:")
    if wanted:
        with plain_errors():
            name = guests.open_(place, library.own_commits)
            guests.keep_in_link()
            st.session_state["checkpoints_bundle"] = name
            st.success(
                _("{name} is open: choose it as the model on the pages of its family.").format(
                    name=name
                )
            )


def details(entry: ManifestEntry, found: Bundle) -> None:
    cells = st.columns([3, 2, 2, 3])
    cells[0].metric(_("Identity"), found.digest)
    cells[1].metric(_("Size"), megabytes(found.bytes))
    cells[2].metric(_("Opened in"), seconds_to_open(entry))
    cells[3].metric(_("Code"), found.config["code_version"])
    if entry.repo is not None:
        st.caption(
            _("Hub: {repo}, revision {revision}").format(repo=entry.repo, revision=entry.revision)
        )
    if entry.folder is not None and found.origin == "hub":
        st.warning(
            _("The embedded files are damaged: these are the ones of the Hub."),
            icon=":material/healing:",
        )
    if guests.is_copy(entry.name) or not found.reached:
        st.warning(
            _("The Hub could not be reached: this is the copy in the cache."),
            icon=":material/cloud_off:",
        )
    if found.origin == "hub":
        forget(entry)
    training.went_on(found)
    if not found.has_weights:
        st.caption(
            _("A record: the history of a run and what was measured of it, without its weights.")
        )
    elif st.button(
        _("Recompute the golden output"),
        key=f"checkpoints_golden_{entry.name}",
        help=_("Runs the stored input through the weights and compares with the stored output."),
    ):
        golden(entry)
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


def golden(entry: ManifestEntry) -> None:
    """What the weights give now against what they gave when they were stored."""
    begun = time.perf_counter()
    with plain_errors():
        off = library.golden_deviation(entry.name)
        st.success(
            _("Largest deviation {off}, allowed {limit}; {seconds} s.").format(
                off=scientific(off),
                limit=scientific(GOLDEN_TOLERANCE, 0),
                seconds=number(time.perf_counter() - begun, 2),
            )
        )


def forget(entry: ManifestEntry) -> None:
    """Delete the cached copy; it can be fetched again."""
    if st.button(
        _("Delete from the cache"),
        key=f"checkpoints_forget_{entry.name}",
        icon=":material/delete:",
        help=_("The copy on this machine; the one on the Hub stays."),
    ):
        with plain_errors():
            freed = hub.forget(entry.repo or "", entry.revision or "")
            library.drop(entry.name)
            guests.leave(entry.name)
            guests.keep_in_link()
            st.session_state["checkpoints_freed"] = megabytes(freed)
            st.rerun()


def not_fetched(entry: ManifestEntry) -> None:
    """What is on the Hub and not here: fetched when asked."""
    st.info(
        _("On the Hub as {repo}, revision {revision}, and not here yet.").format(
            repo=entry.repo, revision=(entry.revision or "")[:12]
        )
    )
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


# ---------------------------------------------------------------- two bundles


def numbers(value: object, prefix: str = "") -> Iterator[tuple[str, float | str]]:
    """Every number and short text of a nested JSON value, with the path to it."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from numbers(item, f"{prefix}{key}.")
    elif isinstance(value, list):
        if all(not isinstance(item, Mapping | list) for item in value) and len(value) <= 8:
            yield prefix.rstrip("."), ", ".join(map(str, value))
    elif isinstance(value, bool) or (isinstance(value, str) and len(value) <= 60):
        yield prefix.rstrip("."), str(value)
    elif isinstance(value, int | float):
        yield prefix.rstrip("."), value


def written(value: float | str | None) -> str:
    """A figure in the visitor's language, in about five digits."""
    if value is None:
        return "–"
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return number(value, 0)
    if value == 0 or 1e-2 <= abs(value) < 1e5:
        return number(value, 4)
    return scientific(value, 3)


def side_by_side(pair: Sequence[Bundle]) -> None:
    """Figures, then what differs in the configuration."""
    for title, parts in (
        (_("Figures"), [dict(numbers(one.metrics)) for one in pair]),
        (_("Configuration"), [dict(numbers(one.config)) for one in pair]),
    ):
        first, second = parts
        keys = dict.fromkeys([*first, *second])
        shown = [key for key in keys if first.get(key) != second.get(key)]
        st.markdown(f"**{title}**")
        if not shown:
            st.caption(_("No difference."))
            continue
        st.dataframe(
            [
                {"": key}
                | {
                    f"{place}. {one.name}": written(part.get(key))
                    for place, (one, part) in enumerate(zip(pair, parts, strict=True), start=1)
                }
                for key in shown
            ],
            hide_index=True,
            width="stretch",
        )


def history(shown: Sequence[Bundle]) -> None:
    """One quantity of the training runs by epoch."""
    columns = [
        key
        for key, value in (shown[0].history[0].items() if shown[0].history else ())
        if isinstance(value, int | float) and key != "epoch"
    ]
    if not columns:
        st.caption(_("This bundle tells of no epochs."))
        return
    key = controls.option(_("By epoch"), controls.same(columns), "checkpoints_column")
    figure, rows = go.Figure(), []
    for one, colour, dash in zip(shown, COLOURS, DASHES, strict=False):
        told = [row for row in one.history if isinstance(row.get(key), int | float)]
        epochs = [row.get("epoch", place) for place, row in enumerate(told, start=1)]
        values = [row[key] for row in told]
        name = f"{one.name} · {one.digest[:6]}"
        figure.add_trace(figures.line(epochs, values, name, colour, dash=dash))
        rows += [
            {"bundle": one.name, "hash": one.digest, "epoch": epoch, key: value}
            for epoch, value in zip(epochs, values, strict=True)
        ]
    figure.update_xaxes(title=_("epoch"))
    figure.update_yaxes(title=key)
    alt = _("{column} by epoch: {names}").format(
        column=key, names=", ".join(one.name for one in shown)
    )
    figures.plain_chart(figure, "checkpoints_history", alt, lambda: rows)


def one_or_two(entries: Sequence[ManifestEntry], opened: Opened) -> None:
    """The chosen bundle, and another one beside it where that is wanted."""
    names = [entry.name for entry in entries]
    left, right = st.columns(2)
    with left:
        chosen = controls.option(_("Bundle"), controls.same(names), "checkpoints_bundle")
    found, entry = opened.get(chosen), next(one for one in entries if one.name == chosen)
    if found is None:
        not_fetched(entry)
        return
    if isinstance(found, AtelierError):
        st.error(sentence(found), icon=":material/error:")
        return
    with right:
        others = [name for name in names if name != chosen and isinstance(opened.get(name), Bundle)]
        beside = controls.option(
            _("Compare with"), controls.same(others), "checkpoints_beside", optional=True
        )
    details(entry, found)
    shown = [found] if beside is None else [found, opened[beside]]
    st.subheader(_("The run"), anchor=False)
    history(shown)
    if len(shown) == 2:
        st.subheader(_("What differs"), anchor=False)
        side_by_side(shown)


def main() -> None:
    head(
        _("Checkpoints"),
        _(
            "Every picture and figure in this app comes from one of these bundles. **Each file is "
            "hashed when it is opened** and refused if it is not the one that was published."
        ),
    )
    freed = st.session_state.pop("checkpoints_freed", None)
    if freed is not None:
        st.success(_("Deleted from the cache: {size} are free again.").format(size=freed))
    opener()
    with plain_errors():
        found = library.visible_manifest()
        entries = sorted(found.entries, key=lambda entry: not guests.is_guest(entry.name))
        if not entries:
            st.info(_("No bundle is here yet: `python -m train vae` makes one."))
            return
        opened: Opened = {}
        for entry in entries:
            if found.embedded(entry) is None and entry.repo and not found.at_hand(entry):
                continue
            try:
                opened[entry.name] = library.bundle(entry.name)
            except AtelierError as error:
                opened[entry.name] = error
        overview(opened, entries)
        one_or_two(entries, opened)
        mechanism(
            _(
                "A bundle is a folder: weights (safetensors, never a pickle), configuration, the "
                "history of its training, its final figures with their protocol, statistics that "
                "pages need without the data set, and a golden input with the output it must give. "
                "The manifest names the sha256 of every file. `python -m train verify` recomputes "
                "every figure where the data set is at hand.\n\n"
                "A bundle of the Hub is fetched by the commit that the manifest names, into the "
                "standard cache, and checked by the same hashes; a file that is partial or damaged "
                "is fetched again once, then refused. A bundle that you open yourself is checked "
                "against what the Hub says of its files: first its configuration, by a schema and "
                "by the size of the network that it describes, then all else. It stays for this "
                "visit, and the address names it. `python -m train publish` puts one there."
            )
        )
