"""Neighbours: which training pictures a network takes for like a picture, and what they vote for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from core.simsiam.explorer import SimSiamExplorer, Vote
from core.simsiam.neighbours import find, predict, vote
from core.simsiam.representation import normalise
from core.simsiam.run_record import RunRecord
from pages.shared import controls, data_sets, figures, picking
from pages.shared.colours import CLASSES, NEEDLE
from pages.shared.figures import Provenance
from pages.shared.picking import Picked
from pages.shared.text import (
    _,
    coloured,
    formula,
    head,
    mechanism,
    number,
    percent,
    plain_errors,
)
from pages.simsiam.parts import networks, runs

KS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)
DEFAULT_K = 200
TEMPERATURES = (0.02, 0.05, 0.07, 0.1, 0.2, 0.5, 1.0)
DEFAULT_TEMPERATURE = 0.1
THUMBNAILS, COLUMNS = 12, 4
SYMBOLS = (
    "circle",
    "square",
    "diamond",
    "triangle-up",
    "triangle-down",
    "cross",
    "x",
    "star",
    "pentagon",
    "hexagon",
)


# ---------------------------------------------------------------- what is asked for


def stops(most: int) -> list[int]:
    """Values of k on offer, evenly apart by their logarithm, up to the whole bank."""
    return [*(k for k in KS if k < most), most]


def asked(most: int) -> tuple[int, float]:
    """k and the temperature, written alike in either language so that a link fits both."""
    offered = stops(most)
    k = controls.stop(
        _("k, how many neighbours vote"),
        offered,
        min(DEFAULT_K, most),
        "near_k",
        help=_("Up to the whole bank of training pictures."),
    )
    temperature = controls.stop(
        _("Temperature τ"),
        TEMPERATURES,
        DEFAULT_TEMPERATURE,
        "near_temperature",
        help=_("Low: the nearest alone decide. High: all k count alike."),
    )
    return int(k), float(temperature)


class Axes(NamedTuple):
    """Where axes begin and end, the same for both networks: lowest similarity, largest share."""

    low: float
    most: float


def axes_of(pair: networks.Pair, picked: Picked, k: int, temperature: float) -> Axes:
    votes = [networks.explorer(run).vote(picked.picture, k, temperature) for run in pair.both]
    low = min(float(found.similarity[-1]) for found in votes)
    most = max(float(found.scores.max()) for found in votes)
    return Axes(min(low - 0.02, 0.9), min(1.05, max(0.3, 1.1 * most)))


# ---------------------------------------------------------------- one network


def words_of(names: Sequence[str]) -> list[str]:
    """The classes in the visitor's language."""
    return [picking.class_word(name) for name in names]


def settings_of(picked: Picked, k: int, temperature: float) -> dict[str, object]:
    return {
        _("picture"): picked.words,
        "k": number(k, 0),
        "τ": number(temperature, 2),
    }


def answer(found: Vote, names: list[str], picked: Picked) -> None:
    """The winner, how sure the vote is, and whether it is right."""
    order = np.argsort(-found.scores, kind="stable")
    runner_up = next(int(c) for c in order if c != found.predicted)
    left, right = st.columns(2, wrap=False)
    left.metric(_("The vote"), names[found.predicted])
    right.metric(_("Its share"), percent(float(found.scores[found.predicted])))
    said = _("Second: {name}, {share}.").format(
        name=names[runner_up], share=percent(float(found.scores[runner_up]))
    )
    if picked.label is not None:
        right_one = names[picked.label]
        said += " " + (
            _("That is **right**.")
            if picked.label == found.predicted
            else _("It is **wrong**: the data set says {name}.").format(name=right_one)
        )
    st.markdown(said)


def ballot(found: Vote, names: list[str], frequency: np.ndarray, most: float) -> go.Figure:
    """The share of every class in the vote, beside its share of the bank; the axis ends at ``most``."""
    labels = [f"{name}  {percent(float(s))}" for name, s in zip(names, found.scores, strict=True)]
    figure = go.Figure(
        go.Bar(
            x=found.scores,
            y=labels,
            orientation="h",
            name=_("share of the vote"),
            marker_color=[CLASSES[c % len(CLASSES)] for c in range(len(names))],
            showlegend=False,
        )
    )
    figure.add_trace(
        go.Scatter(
            x=frequency,
            y=labels,
            mode="markers",
            name=_("share of the bank"),
            marker={"symbol": "line-ns", "size": 16, "line": {"width": 3, "color": NEEDLE}},
        )
    )
    figure.update_xaxes(range=[0, most], tickformat=".0%", title=_("share of the vote"))
    figure.update_yaxes(autorange="reversed")
    return figure


def ranks(found: Vote, names: list[str], low: float) -> go.Figure:
    """The similarity of every neighbour by its rank, by class."""
    figure = go.Figure()
    rank = np.arange(1, len(found.index) + 1)
    for c, name in enumerate(names):
        rows = found.labels == c
        if rows.any():
            figure.add_trace(
                go.Scatter(
                    x=rank[rows],
                    y=found.similarity[rows],
                    mode="markers",
                    name=name,
                    marker={
                        "color": CLASSES[c % len(CLASSES)],
                        "symbol": SYMBOLS[c % len(SYMBOLS)],
                        "size": 9,
                    },
                )
            )
    figure.update_xaxes(title=_("rank of the neighbour"), type="log")
    figure.update_yaxes(title=_("cosine similarity"), range=[low, 1.01])
    return figure


def by_k(
    explorer: SimSiamExplorer, picked: Picked, temperature: float, names: list[str]
) -> list[dict[str, object]]:
    """The predicted class and its share for every k on offer."""
    most = len(explorer.bank[1])
    rows = []
    for k in stops(most):
        found = explorer.vote(picked.picture, k, temperature)
        share = float(found.scores[found.predicted])
        rows.append({"k": k, "class": names[found.predicted], "share": share})
    return rows


def one_network(record: RunRecord, picked: Picked, k: int, temperature: float, axes: Axes) -> None:
    explorer = networks.explorer(record)
    names = words_of(explorer.class_names)
    found = explorer.vote(picked.picture, k, temperature)
    _features, labels = explorer.bank
    frequency = np.bincount(labels, minlength=len(names)) / len(labels)
    settings = settings_of(picked, k, temperature)
    provenance = Provenance(record.bundle, live=True, settings=settings)
    st.subheader(runs.name(record), anchor=False)
    answer(found, names, picked)
    figures.chart(
        ballot(found, names, frequency, axes.most),
        f"near_vote_{record.recipe}",
        _("Share of every class in the vote of the neighbours: {name}").format(
            name=runs.name(record)
        ),
        provenance,
        lambda: [
            {"class": name, "share": float(found.scores[c]), "bank": float(frequency[c])}
            for c, name in enumerate(explorer.class_names)
        ],
        height=430,
    )
    figures.chart(
        ranks(found, names, axes.low),
        f"near_rank_{record.recipe}",
        _("Cosine similarity of the neighbours by rank: {name}").format(name=runs.name(record)),
        provenance,
        lambda: [
            {
                "rank": rank + 1,
                "row": int(found.index[rank]),
                "class": explorer.class_names[found.labels[rank]],
                "similarity": float(found.similarity[rank]),
                "weight": float(found.weight[rank]),
            }
            for rank in range(len(found.index))
        ],
    )
    st.markdown(spread_said(explorer, picked, found))


def spread_said(explorer: SimSiamExplorer, picked: Picked, found: Vote) -> str:
    """How much nearer the nearest are than any picture of the bank."""
    whole = explorer.vote(picked.picture, len(explorer.bank[1]), 1.0)
    middle = float(np.median(whole.similarity))
    return _(
        "Similarity: nearest {first}, last of the k {last}, **median of the whole bank "
        "{middle}**. The nearer the median is to 1, the less the network tells apart."
    ).format(
        first=number(float(found.similarity[0]), 3),
        last=number(float(found.similarity[-1]), 3),
        middle=number(middle, 3),
    )


# ---------------------------------------------------------------- the pictures themselves


def nearest(pair: networks.Pair, picked: Picked, k: int, temperature: float) -> None:
    st.subheader(_("The nearest training pictures"), anchor=False)
    settings = pair.chosen.bundle.config["data"]
    shown = min(k, THUMBNAILS)
    with_pictures = False
    if networks.training_set_at_hand(pair.chosen):
        with_pictures = controls.switch(
            _("Show the pictures"),
            "near_pictures",
            help=_("Reads the whole training set once, which may take half a minute."),
        )
    else:
        st.caption(_("The bank holds features and classes; the pictures are not part of it."))
        words = _("Download the training pictures to see them ({megabytes} MB)")
        data_sets.offer(settings["name"], settings["split"], words, "near_training_download")
    columns = st.columns(len(pair.both), gap="large")
    for column, record in zip(columns, pair.both, strict=True):
        with column:
            row_of(record, picked, k, temperature, shown, with_pictures)


def row_of(
    record: RunRecord, picked: Picked, k: int, temperature: float, shown: int, with_pictures: bool
) -> None:
    """The nearest few, as pictures where they are the run's own, as words otherwise."""
    explorer = networks.explorer(record)
    names = words_of(explorer.class_names)
    found = explorer.vote(picked.picture, k, temperature)
    labels = [
        f"{names[label]} {number(float(similarity), 2)}"
        for label, similarity in zip(found.labels[:shown], found.similarity[:shown], strict=True)
    ]
    st.markdown(f"**{runs.name(record)}**")
    pictures = networks.bank_pictures(record) if with_pictures else None
    if pictures is None:
        st.markdown(" · ".join(labels))
    else:
        alt = _("The nearest training pictures, most similar first: {labels}")
        figures.strip(
            pictures.pictures[found.index[:shown]],
            labels,
            alt=alt.format(labels=", ".join(labels)),
            columns=COLUMNS,
            factor=6,
        )
    figures.about(Provenance(record.bundle, live=True, settings={_("picture"): picked.words}))


# ---------------------------------------------------------------- k


def against_k(pair: networks.Pair, picked: Picked, temperature: float) -> None:
    st.subheader(_("How much does k decide?"), anchor=False)
    columns: dict[str, list[str]] = {}
    rows: list[dict[str, object]] = []
    for record in pair.both:
        explorer = networks.explorer(record)
        found = by_k(explorer, picked, temperature, words_of(explorer.class_names))
        columns.setdefault("k", [number(row["k"], 0) for row in found])
        columns[runs.name(record)] = [
            _("{name}, {share}").format(name=row["class"], share=percent(row["share"]))
            for row in found
        ]
        rows += [{"network": runs.name(record), **row} for row in found]
    st.dataframe(columns, hide_index=True, width="stretch", height="content")
    st.markdown(
        _(
            "One neighbour is always sure of itself. With more of them the share falls and the "
            "answer settles; with the whole bank and a high temperature it is the most frequent "
            "class, whatever the picture."
        )
    )
    settings = {_("picture"): picked.words, "τ": number(temperature, 2)}
    figures.about(
        Provenance(pair.chosen.bundle, live=True, settings=settings), "near_by_k", rows=lambda: rows
    )


# ---------------------------------------------------------------- the page


def show(pair: networks.Pair) -> None:
    left, right = st.columns([3, 2], gap="large")
    with left:
        picked = picking.picture("near", pair.chosen.bundle, default="shape")
    with right:
        bank = networks.explorer(pair.chosen).bank[1]
        k, temperature = asked(len(bank))
        if picked is not None:
            figures.row([(picked.picture, picked.words, picked.words)], width=200)
    if picked is None:
        st.info(_("Choose a picture to start from."))
        return
    axes = axes_of(pair, picked, k, temperature)
    for column, record in zip(st.columns(len(pair.both), gap="large"), pair.both, strict=True):
        with column:
            one_network(record, picked, k, temperature, axes)
    against_k(pair, picked, temperature)
    nearest(pair, picked, k, temperature)
    runs.what_they_are(pair.both)


def main() -> None:
    head(
        _("Neighbours"),
        _(
            "A network that never saw a label puts pictures side by side. **Ask the neighbours of "
            "a picture what they are**: if they are right, the network has learnt what belongs "
            "together; if all pictures are neighbours of all, it has collapsed."
        ),
    )
    with plain_errors():
        show(networks.pair("near_network"))
    explained()


def explained() -> None:
    mechanism(
        _(
            "The network turns the picture into its features h, and so it did with the first "
            "pictures of its training set, the **bank**. The k whose features point most nearly "
            "the same way vote for their own class, each with the weight exp(similarity / τ). The "
            "labels are used here only, never in training: a good vote means that **pictures of "
            "one class lie together by themselves**.\n\nThe k-NN accuracy of the page on collapse "
            "is this vote, taken for many test pictures with k = 200 and τ = 0.1. A random network "
            "is no zero: colours and edges alone already beat chance. A collapsed one gives all "
            "pictures nearly the same features, so that all weights are alike and **the vote "
            "nears the share of the classes in the bank**. Its few remaining differences can "
            "still say something: collapse is seldom complete."
        )
    )
    h, h_i = coloured("z", "h"), coloured("z", "h_i")
    formula(
        [
            rf"s_i = \frac{{{h} \cdot {h_i}}}{{\lVert {h} \rVert\,\lVert {h_i} \rVert}},\qquad "
            r"w_c = \frac{\sum_{i \in N_k,\ c_i = c} e^{s_i / \tau}}{\sum_{i \in N_k} e^{s_i / \tau}}",
            r"\hat c = \arg\max_c w_c",
        ],
        _(
            "Wu, Xiong, Yu & Lin 2018, section 3.4. N_k are the k pictures of the bank with the "
            "highest s."
        ),
        normalise,
        find,
        vote,
        predict,
        SimSiamExplorer.vote,
    )
