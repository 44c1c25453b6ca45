"""One model in full: its run, what was measured, its settings, its files; and another one next to it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import plotly.graph_objects as go
import streamlit as st

from core.bundles import hub
from core.bundles.bundle import GOLDEN_TOLERANCE, Bundle
from core.bundles.manifest import ManifestEntry
from pages.models import cards, facts, labels
from pages.models.labels import readable_values, value_in_words, word
from pages.shared import controls, figures, guests, library, preferred, training
from pages.shared.colours import BLUE, VERMILION
from pages.shared.text import N_, _, language, megabytes, number, plain_errors, scientific

COLOURS, DASHES = (BLUE, VERMILION), ("solid", "dash")
CACHED = N_("The Hub could not be reached: this is the copy in the cache.")
PUBLISHED = N_("Every file was hashed when it was opened, and is the one that was published.")
CARD_IN_ENGLISH = N_(
    "The card is published in English, as it stands here; the facts above are taken from "
    "the same files."
)
Row = Mapping[str, object]


def show(entry: ManifestEntry, found: Bundle, beside: Bundle | None) -> None:
    """The model itself, then its run, then what differs from the other one."""
    title = preferred.title(entry)
    left, right = st.columns([2, 3], gap="medium")
    with left:
        cards.portrait(found, title)
    with right:
        st.subheader(preferred.plain(title), anchor=False)
        in_short(entry, found)
        cards.use(entry, found, prefix="checkpoints_use_one")
        where_from(entry, found)
    shown = [found] if beside is None else [found, beside]
    st.subheader(_("The run"), anchor=False)
    history(shown)
    if beside is not None:
        st.subheader(_("What differs"), anchor=False)
        what_differs(shown)
    with st.expander(_("Everything measured"), icon=":material/monitoring:"):
        values(found.metrics, f"{found.name}-metrics")
    with st.expander(_("All settings"), icon=":material/settings:"):
        values(found.config, f"{found.name}-settings")
    with st.expander(_("Model card"), icon=":material/description:"):
        card(found)
    with st.expander(_("Is it the published one? Files and hashes"), icon=":material/fingerprint:"):
        identity(entry, found)


def in_short(entry: ManifestEntry, found: Bundle) -> None:
    """What it was trained on, how, how long and how good it is, in the visitor's language."""
    config, rate = found.config, facts.learning_rate(found)
    lines = [
        _("**Trained on** {trained}.").format(trained=facts.training_in_words(found)),
        _(
            "**Last run**: on {device}, batch {batch}, {updates} updates, learning rate {rate}."
        ).format(
            device=config["training"].get("device", "–"),
            batch=value_in_words(facts.batch_size(found)),
            updates=value_in_words(facts.updates(found)),
            rate="–" if rate is None else f"{rate:.10g}".replace(".", number(0.5)[1]),
        ),
        _("**Measured on** {pictures} test pictures. {how_good}").format(
            pictures=value_in_words(facts.number_at(config, "data.test_pictures")),
            how_good=facts.how_good(found),
        ),
    ]
    if not found.has_weights:
        lines.append(
            _(
                "**A record**: its history and what was measured are here, its weights were not kept."
            )
        )
    st.markdown("\n".join(f"- {line}" for line in lines))
    training.went_on(found)


def where_from(entry: ManifestEntry, found: Bundle) -> None:
    """What one must know of a model from the Hub."""
    if entry.repo is not None:
        st.caption(
            _("Hub: {repo}, revision {revision}").format(repo=entry.repo, revision=entry.revision)
        )
    if entry.folder is not None and found.origin == "hub":
        st.warning(
            _("The embedded files are damaged: these are from the Hub."),
            icon=":material/healing:",
        )
    if guests.is_copy(entry.name) or not found.reached:
        st.warning(
            _(CACHED),
            icon=":material/cloud_off:",
        )
    if found.origin == "hub":
        forget(entry)


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


# ---------------------------------------------------------------- values


def values(nested: dict, key: str) -> None:
    """Numbers and short texts of a JSON file as a table; the download has its keys."""
    rows = [
        {"key": path, "part": labels.part(path), "what": word(path), "value": value}
        for path, value in readable_values(nested).items()
    ]
    figures.table(
        rows,
        [
            figures.Column("part", _("part")),
            figures.Column("what", _("what")),
            figures.Column("value", _("value"), value_in_words),
        ],
        key,
    )
    figures.about(
        (), key, rows=lambda: [{"key": row["key"], "value": row["value"]} for row in rows]
    )


def card(found: Bundle) -> None:
    """The card as it is published."""
    if language() != "en":
        st.caption(_(CARD_IN_ENGLISH))
    st.markdown(found.card.split("---", 2)[-1])


def identity(entry: ManifestEntry, found: Bundle) -> None:
    """Digest, version of the code, the stored output computed anew, the hash of every file."""
    cells = st.columns(3)
    cells[0].metric(_("Identity"), found.digest)
    cells[1].metric(_("Version of the code"), found.config["code_version"])
    cells[2].metric(_("Size"), megabytes(found.bytes))
    st.caption(
        _(PUBLISHED)
        if found.verified
        else _("Nobody published hashes of these files: they are shown as they are.")
    )
    if found.has_weights and st.button(
        _("Recompute the reference output"),
        key=f"checkpoints_golden_{entry.name}",
        icon=":material/calculate:",
        help=_("Runs the stored input through the weights and compares with the stored output."),
    ):
        golden(entry)
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


# ---------------------------------------------------------------- one or two runs


def history(shown: Sequence[Bundle]) -> None:
    """One quantity of the training runs by epoch."""
    columns = [
        key
        for key, value in (shown[0].history[0].items() if shown[0].history else ())
        if isinstance(value, int | float) and key != "epoch"
    ]
    if not columns:
        st.caption(_("This model has no training history."))
        return
    names = {key: word(key) for key in columns}
    telling = next((key for key in columns if key.startswith("test_")), columns[0])
    key = controls.option(_("By epoch"), names, "checkpoints_column", default=telling)
    figure, rows = go.Figure(), []
    titles = [preferred.title_of(one.name) for one in shown]
    for one, title, colour, dash in zip(shown, titles, COLOURS, DASHES, strict=False):
        known = [row for row in one.history if isinstance(row.get(key), int | float)]
        epochs = [row.get("epoch", place) for place, row in enumerate(known, start=1)]
        held = [row[key] for row in known]
        figure.add_trace(figures.line(epochs, held, title, colour, dash=dash))
        rows += [
            {"bundle": one.name, "hash": one.digest, "epoch": epoch, key: value}
            for epoch, value in zip(epochs, held, strict=True)
        ]
    figure.update_xaxes(title=_("epoch"))
    figure.update_yaxes(title=names[key])
    alt = _("{column} by epoch: {names}").format(column=names[key], names=", ".join(titles))
    provenance = figures.Provenance(shown[0], live=False, also=shown[1:])
    figures.chart(figure, "checkpoints_history", alt, provenance, lambda: rows)


def differences(pair: Sequence[Bundle]) -> list[Row]:
    """Measured values, then settings, that two models do not have in common: key, and one value each."""
    found = []
    for parts in (
        [readable_values(one.metrics) for one in pair],
        [readable_values(one.config) for one in pair],
    ):
        first, second = parts
        found += [
            {"key": path, "first": first.get(path), "second": second.get(path)}
            for path in dict.fromkeys([*first, *second])
            if first.get(path) != second.get(path)
        ]
    return found


def what_differs(pair: Sequence[Bundle]) -> None:
    rows = [
        row | {"part": labels.part(row["key"]), "what": word(row["key"])}
        for row in differences(pair)
    ]
    if not rows:
        st.caption(_("No difference."))
        return
    names = [preferred.title_of(one.name) for one in pair]
    figures.table(
        rows,
        [
            figures.Column("part", _("part")),
            figures.Column("what", _("what")),
            figures.Column("first", f"1. {names[0]}", value_in_words),
            figures.Column("second", f"2. {names[1]}", value_in_words),
        ],
        "checkpoints_differences",
    )
    figures.about((), "checkpoints_differences", rows=lambda: differences(pair))
