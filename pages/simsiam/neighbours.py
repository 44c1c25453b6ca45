"""Neighbours: which training pictures a network takes for like a picture, and what they vote for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from core.simsiam.explorer import SimSiamExplorer, Vote
from core.simsiam.neighbours import find, predict, vote
from core.simsiam.representation import normalise
from pages.shared import controls, data_sets, figures, library, picking, shape
from pages.shared.colours import CLASSES, GREY
from pages.shared.figures import Provenance
from pages.shared.picking import PickedPicture
from pages.shared.text import (
    N_,
    _,
    coloured,
    formula,
    head,
    mechanism,
    number,
    percent,
    plain_errors,
)
from pages.simsiam.parts import chosen, nearest, networks, runs
from pages.simsiam.parts.nearest import Voter

HOW_NEAR = N_(
    "- **{name}**: nearest {first}, last of the k {last}, median of the whole bank **{middle}**"
)
OTHER_TRAINING_SET = N_(
    "The training set available here is not the one that this network was trained on."
)
VOTED = N_("With {share} of the vote. Second: {name}, {other}.")
RIGHT = N_("That is **right**.")
WRONG = N_("That is **wrong**: the data set says {name}.")
OVER_THE_TEST_SET = N_(
    "One picture proves nothing. Over {pictures} test pictures, with k = {k}, τ = {temperature} and "
    "a bank of {bank}, the vote is right for: {said}."
)
NO_PICTURES_NOR_BEFORE = N_(
    "A frame has the colour of its class. The model stores features and classes, and no picture: with "
    "the training pictures this page also shows the pictures themselves, and the same network before "
    "training."
)
NO_PICTURES = N_(
    "A frame has the colour of its class. The model stores features and classes, and no picture: with "
    "the training pictures this page also shows the pictures themselves."
)
RIGHT_FOR = N_("{name}: **{share}**")

KS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)
K_WORDS = N_("k, how many neighbours vote")
DEFAULT_K = 200
TEMPERATURES = (0.02, 0.05, 0.07, 0.1, 0.2, 0.5, 1.0)
DEFAULT_TEMPERATURE = 0.1
ANSWERS_KEPT = 256
"""Of a few numbers each, for all visitors."""
SETTINGS = ("near_k", "near_temperature", "near_network")
"""What an address may say of the vote."""


# ---------------------------------------------------------------- what is asked for


def stops(most: int) -> list[int]:
    """Values of k on offer, evenly apart by their logarithm, up to the whole bank."""
    return [*(k for k in KS if k < most), most]


def read_settings(most: int) -> tuple[int, float]:
    """k and the temperature, written alike in either language so that a link fits both."""
    left, right = st.columns(2, gap="large")
    with left:
        k = controls.stop(
            _(K_WORDS),
            stops(most),
            min(DEFAULT_K, most),
            "near_k",
            help=_("Up to the whole bank of training pictures."),
        )
    with right:
        temperature = controls.stop(
            _("Temperature τ"),
            TEMPERATURES,
            DEFAULT_TEMPERATURE,
            "near_temperature",
            help=_("Low: the nearest alone decide. High: all k count alike."),
        )
    return int(k), float(temperature)


def widest(votes: Sequence[Vote]) -> float:
    """Where the axis of shares ends, the same for all networks."""
    return min(1.05, max(0.3, 1.1 * max(float(found.scores.max()) for found in votes)))


# ---------------------------------------------------------------- one network


def words_of(names: Sequence[str]) -> list[str]:
    """The classes in the visitor's language."""
    return [picking.class_word(name) for name in names]


def settings_of(picked: PickedPicture, k: int, temperature: float) -> dict[str, object]:
    return {
        _("picture"): picked.words,
        "k": number(k, 0),
        "τ": number(temperature, 2),
    }


def answer(found: Vote, names: list[str], picked: PickedPicture) -> None:
    """The winner, how sure the vote is, and whether it is right."""
    order = np.argsort(-found.scores, kind="stable")
    runner_up = next(int(c) for c in order if c != found.predicted)
    st.metric(_("The vote"), names[found.predicted])
    said = _(VOTED).format(
        share=percent(float(found.scores[found.predicted])),
        name=names[runner_up],
        other=percent(float(found.scores[runner_up])),
    )
    if picked.label is not None:
        right_one = names[picked.label]
        said += " " + (
            _(RIGHT) if picked.label == found.predicted else _(WRONG).format(name=right_one)
        )
    st.markdown(said)


def ballot(found: Vote, names: list[str], frequency: np.ndarray, most: float) -> go.Figure:
    """The share of every class in the vote, next to its share of the bank; the axis ends at ``most``."""
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
            marker={"symbol": "line-ns", "size": 16, "line": {"width": 3, "color": GREY}},
            showlegend=False,
        )
    )
    figure.update_xaxes(range=[0, most], tickformat=".0%", title=_("share of the vote"))
    figure.update_yaxes(autorange="reversed")
    return figure


def by_rank(voters: Sequence[Voter], votes: Sequence[Vote], picked: PickedPicture, k: int) -> None:
    """How fast similarity falls from the nearest neighbour to the last one that votes, by network."""
    figure = go.Figure()
    for voter, found in zip(voters, votes, strict=True):
        figure.add_trace(
            figures.line(
                np.arange(1, len(found.index) + 1),
                found.similarity,
                voter.title,
                GREY if voter.bank is not None else runs.look(voter.record).colour,
                dash="dash" if voter.bank is not None else "solid",
                markers=len(found.index) == 1,
            )
        )
    low = min(float(found.similarity[-1]) for found in votes)
    # A download is made outside of the visit, which alone knows its guests.
    classes = [networks.explorer(voter.record).class_names for voter in voters]
    figure.update_xaxes(title=_("rank of the neighbour"), type="log")
    figure.update_yaxes(title=_("cosine similarity"), range=[min(low - 0.02, 0.9), 1.01])
    figures.chart(
        figure,
        "near_rank",
        _("Cosine similarity of the neighbours by rank, for every network"),
        origin_of(voters, {_("picture"): picked.words, "k": number(k, 0)}),
        lambda: [
            {"network": voter.title, **row}
            for voter, found, names in zip(voters, votes, classes, strict=True)
            for row in rows_of(found, names)
        ],
    )
    st.markdown(
        "\n".join(
            spread_words(voter, picked, found) for voter, found in zip(voters, votes, strict=True)
        )
    )
    st.markdown(_("The nearer the median is to 1, the less a network tells pictures apart."))


def by_k(
    voter: Voter, picked: PickedPicture, temperature: float, names: list[str]
) -> list[dict[str, object]]:
    """The predicted class and its share for every k on offer."""

    def ask() -> list[tuple[int, int, float]]:
        whole = len(networks.explorer(voter.record).bank[1])
        votes = {k: voter.vote_anew(picked.picture, k, temperature) for k in stops(whole)}
        return [(k, one.predicted, float(one.scores[one.predicted])) for k, one in votes.items()]

    answers = library.answers("near_by_k", ANSWERS_KEPT)
    found = answers.ask((voter.identity, picked.picture.tobytes(), temperature), ask)
    return [{"k": k, "class": names[predicted], "share": share} for k, predicted, share in found]


def one_network(
    voter: Voter, found: Vote, picked: PickedPicture, k: int, temperature: float, most: float
) -> None:
    """What one network's neighbours vote for."""
    explorer = networks.explorer(voter.record)
    names = words_of(explorer.class_names)
    _features, labels = explorer.bank
    frequency = np.bincount(labels, minlength=len(names)) / len(labels)
    settings = settings_of(picked, k, temperature)
    provenance = Provenance(voter.record.bundle, live=True, settings=settings)
    st.markdown(f"**{voter.title}**")
    answer(found, names, picked)
    figures.chart(
        ballot(found, names, frequency, most),
        f"near_vote_{voter.key}",
        _("Share of every class in the vote of the neighbours: {name}").format(name=voter.title),
        provenance,
        lambda: [
            {"class": name, "share": float(found.scores[c]), "bank": float(frequency[c])}
            for c, name in enumerate(explorer.class_names)
        ],
        height=430,
    )


def rows_of(found: Vote, class_names: Sequence[str]) -> list[dict[str, object]]:
    """The neighbours of a vote, most similar first."""
    return [
        {
            "rank": rank + 1,
            "row": int(found.index[rank]),
            "class": class_names[found.labels[rank]],
            "similarity": float(found.similarity[rank]),
            "weight": float(found.weight[rank]),
        }
        for rank in range(len(found.index))
    ]


def spread_words(voter: Voter, picked: PickedPicture, found: Vote) -> str:
    """How much nearer the nearest are than any picture of the bank."""

    def ask() -> float:
        count = len(networks.explorer(voter.record).bank[1])
        whole = voter.vote_anew(picked.picture, count, 1.0)
        return float(np.median(whole.similarity))

    medians = library.answers("near_median", ANSWERS_KEPT)
    middle = medians.ask((voter.identity, picked.picture.tobytes()), ask)
    return _(HOW_NEAR).format(
        name=voter.title,
        first=number(float(found.similarity[0]), 3),
        last=number(float(found.similarity[-1]), 3),
        middle=number(middle, 3),
    )


# ---------------------------------------------------------------- the pictures themselves


def twelve(pair: networks.Pair, picked: PickedPicture) -> list[Voter]:
    """The nearest of every network, as pictures where they are the run's own, as classes otherwise.

    What the untrained network makes of the bank takes seconds the first time: the others stand there before.
    """
    names = words_of(networks.explorer(pair.chosen).class_names)
    voters = [Voter(record) for record in pair.both]
    groups = [nearest.group(voter, picked) for voter in voters]
    place = st.empty()
    if not networks.is_untrained_bank_ready(pair.chosen):
        with place.container(key="near_nearest"):
            nearest.grid(picked, groups, names, [nearest.before()])
    if (bank := networks.untrained_bank(pair.chosen)) is not None:
        voters.append(Voter(pair.chosen, bank))
        groups.append(nearest.group(voters[-1], picked))
    with place.container(key="near_nearest_all"):
        nearest.grid(picked, groups, names)
    class_names = networks.explorer(pair.chosen).class_names
    figures.about(
        origin_of(voters, {_("picture"): picked.words}),
        "near_nearest_data",
        rows=lambda: [
            {"network": one.title, **row}
            for one in groups
            for row in rows_of(one.found, class_names)
        ],
    )
    return voters


def origin_of(voters: Sequence[Voter], settings: dict[str, object]) -> Provenance:
    """Where a figure of all networks comes from."""
    bundles = list({voter.record.bundle.name: voter.record.bundle for voter in voters}.values())
    return Provenance(bundles[0], live=True, settings=settings, also=bundles[1:])


def offer_missing_pictures(pair: networks.Pair, voters: Sequence[Voter]) -> None:
    """What is missing where the training pictures are not here, or are others, and how to get them."""
    untrained = any(voter.bank is not None for voter in voters)
    if untrained:
        return
    if networks.training_set_at_hand(pair.chosen):
        if networks.are_other_pictures(pair.chosen):
            words = _(OTHER_TRAINING_SET)
            st.caption(words)
        return  # or an error has been said
    settings = pair.chosen.bundle.config["data"]
    words = _(NO_PICTURES_NOR_BEFORE)
    if not networks.has_untrained(pair.chosen):
        words = _(NO_PICTURES)
    st.caption(words)
    words = _("Download the training pictures to see them ({megabytes} MB)")
    data_sets.offer(settings["name"], settings["split"], words, "near_training_download")


def over_the_test_set(pair: networks.Pair) -> None:
    """How often the vote is right, as every run counted it by epoch: one picture is no measure."""
    lines = []
    for record in pair.both:
        accuracy = record.figures["test_knn_accuracy"]
        lines.append((runs.name(record), float(accuracy[-1])))
    if networks.has_untrained(pair.chosen):
        before = float(pair.chosen.figures["test_knn_accuracy"][0])
        lines.append((nearest.before(), before))
    said = "; ".join(_(RIGHT_FOR).format(name=name, share=percent(share)) for name, share in lines)
    config = pair.chosen.bundle.config
    protocol = config["training"]["protocol"]
    st.markdown(
        _(OVER_THE_TEST_SET).format(
            pictures=number(pair.chosen.queries, 0),
            k=number(protocol["k"], 0),
            temperature=number(protocol["temperature"], 2),
            bank=number(min(protocol["bank"], config["data"]["pictures"]), 0),
            said=said,
        )
    )


# ---------------------------------------------------------------- k


def against_k(voters: Sequence[Voter], picked: PickedPicture, temperature: float) -> None:
    st.subheader(_("How much does k decide?"), anchor=False)
    columns: dict[str, list[str]] = {}
    rows: list[dict[str, object]] = []
    for voter in voters:
        class_names = networks.explorer(voter.record).class_names
        words = words_of(class_names)
        found = by_k(voter, picked, temperature, words)
        columns.setdefault("k", [number(row["k"], 0) for row in found])
        columns[voter.title] = [
            _("{name}, {share}").format(name=row["class"], share=percent(row["share"]))
            + right_or_wrong(picked, row["class"], words)
            for row in found
        ]
        rows += [
            {"network": voter.title, **row, "class": class_names[words.index(row["class"])]}
            for row in found
        ]
    figures.words_of(columns, "near_by_k", height="content")
    st.markdown(
        _(
            "One neighbour is always sure of itself. With more of them the share falls and the "
            "answer settles; with the whole bank and a high temperature it is the most frequent "
            "class, whatever the picture."
        )
    )
    settings = {_("picture"): picked.words, "τ": number(temperature, 2)}
    figures.about(origin_of(voters, settings), "near_by_k", rows=lambda: rows)


def right_or_wrong(picked: PickedPicture, answer: str, names: Sequence[str]) -> str:
    """A mark behind an answer, where the picture has a class."""
    if picked.label is None:
        return ""
    return " ✓" if names[picked.label] == answer else " ✗"


# ---------------------------------------------------------------- the page


def the_vote(voters: Sequence[Voter], picked: PickedPicture) -> None:
    """k and the temperature, and what follows from them."""
    st.subheader(_("The vote"), anchor=False)
    k, temperature = read_settings(len(networks.explorer(voters[0].record).bank[1]))
    votes = [voter.vote(picked.picture, k, temperature) for voter in voters]
    most = widest(votes)
    st.caption(
        _("Bars: the share of every class in the vote. Grey line: its share of the whole bank.")
    )
    columns = st.columns(len(voters), gap="medium")
    for column, voter, found in zip(columns, voters, votes, strict=True):
        with column:
            one_network(voter, found, picked, k, temperature, most)
    against_k(voters, picked, temperature)
    st.subheader(_("How near are they?"), anchor=False)
    by_rank(voters, votes, picked, k)
    chosen.pin("near", SETTINGS)


def show() -> None:
    above = st.container()
    left, right = st.columns([5, 3], gap="small")
    buttons = right.container(horizontal=True)
    going_on = buttons.container(width="content")
    with buttons, controls.popover(_("Settings")):
        pair = networks.pair("near_network")
    of = pair.chosen.bundle
    with left:
        picked = chosen.picture("near", of, SETTINGS)
    with going_on:
        chosen.next_button("near", of)
    with above:
        chosen.missing("near", of)
    if picked is None:
        st.info(_(picking.WANTED))
        return
    voters = twelve(pair, picked)
    offer_missing_pictures(pair, voters)
    over_the_test_set(pair)
    shape.fragment(the_vote)(voters, picked)
    runs.what_they_are(pair.both)


def main() -> None:
    head(
        _("Neighbours"),
        _(
            "A network that never saw a label puts some pictures close together. **Ask the nearest ones "
            "what they are**: if they are right, the network has learnt what belongs together; if every "
            "picture is as near as every other, it has collapsed."
        ),
    )
    with plain_errors():
        show()
    explain()


def explain() -> None:
    mechanism(
        _(
            "The network turns the picture into its features h. The features of the first pictures of its "
            "training set are stored: they are the **bank**. The k pictures of the bank whose features point "
            "in the most similar direction vote for their own class, each with the weight exp(similarity / "
            "τ). Labels are used here only, never in training: a good vote means that **pictures of one class "
            "lie together by themselves**.\n\nThe k-NN accuracy on the page *Collapse* is this vote, taken "
            "for many test pictures with k = 200 and τ = 0.1. A network before training already does better "
            "than chance, as it keeps colours and edges. A collapsed one gives all pictures nearly the same "
            "features, so that all weights are alike and **the vote approaches the share of each class in the "
            "bank**. Its few remaining differences can still say something: collapse is seldom complete."
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
