"""Collapse: what a self-supervised network does epoch by epoch, and whether anything is left of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import streamlit as st

from core.simsiam.explorer import Layer
from core.simsiam.joint_embedding import cosine_similarity
from core.simsiam.representation import alignment, effective_rank, std_of_outputs, uniformity
from core.simsiam.run_record import RunRecord
from core.simsiam.simsiam import loss
from pages.browser.timeline import timeline
from pages.shared import controls, figures
from pages.shared.questions import question
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
from pages.simsiam.parts import run_charts, runs
from pages.simsiam.parts.run_charts import STATES, Reference, has_learnt, spread_of, state

EPOCH = "collapse_epoch"
"""The key of the timeline."""
DEFAULT = ("baseline", "no-stop-gradient")
# The assignment's plots: a title, and the recipes drawn.
PRESETS: dict[str, tuple[str, tuple[str, ...]]] = {
    "stop": (N_("With and without stop-gradient"), DEFAULT),
    "predictor": (
        N_("Predictor: learnt, none, fixed"),
        ("baseline", "no-predictor", "fixed-predictor"),
    ),
    "neither": (
        N_("Neither of the two"),
        ("baseline", "no-stop-gradient", "no-predictor", "neither"),
    ),
    "dim": (N_("d = 2048 and 4096"), ("baseline", "dim-4096")),
    "batch": (N_("Batch of 512 and of 4096"), ("baseline", "batch-4096")),
    "heavy": (N_("Heavy augmentation"), ("baseline", "heavy")),
}
LAYERS: dict[Layer, str] = {"z": N_("z (projector)"), "h": N_("h (backbone)")}
# Methods whose loss is a mean of negative cosines, from -1 to 1; others have other losses.
NEGATIVE_COSINE = ("simsiam", "dssl")
STATE_WORDS = {
    "collapsed": N_(
        "**{run}** has **collapsed**: spread {spread} and effective rank {rank}, both below "
        "{share} of {reference} ({spread_0} and {rank_0})."
    ),
    "flat": N_(
        "**{run}** shows **one sign of two**: spread {spread} and effective rank {rank}, one of "
        "them below {share} of {reference} ({spread_0} and {rank_0})."
    ),
    "spread": N_(
        "**{run}** has **not collapsed**: spread {spread} and effective rank {rank}, against "
        "{spread_0} and {rank_0} of {reference}."
    ),
}


# ---------------------------------------------------------------- which runs


def choose() -> tuple[Mapping[str, RunRecord], list[RunRecord], Layer]:
    """The set of runs, those of it to draw, by one click as the assignment's plots too; and z or h."""
    with st.container(horizontal=True, gap="xsmall"):
        with st.popover(_("Runs"), icon=":material/tune:"):
            found = runs.chosen_set("collapse_set")
            default = [recipe for recipe in DEFAULT if recipe in found] or list(found)[:2]
            labels = {recipe: runs.look(record).name for recipe, record in found.items()}
            chosen = controls.several(_("Runs"), labels, "collapse_runs", default)
            layer = controls.choice(_("Representation"), LAYERS, "collapse_layer")
        presets(found, chosen)
    return found, [found[recipe] for recipe in chosen], layer


def presets(found: Mapping[str, RunRecord], chosen: Sequence[str]) -> None:
    """A button for every plot of the assignment whose runs are all at hand."""

    def show(recipes: tuple[str, ...]) -> None:
        st.session_state["collapse_runs"] = list(recipes)

    for code, (title, recipes) in PRESETS.items():
        if all(recipe in found for recipe in recipes):
            st.button(
                _(title),
                key=f"collapse_preset_{code}",
                type="primary" if set(recipes) == set(chosen) else "secondary",
                on_click=show,
                args=(recipes,),
            )


# ---------------------------------------------------------------- the state at an epoch


def verdict(records: Sequence[RunRecord], baseline: RunRecord | None, epoch: int) -> None:
    """The rule with its threshold, and what it says of every run."""
    with st.container(width=420):
        share = controls.real(
            _("Collapsed: spread and rank below this share of the baseline's"),
            0.05,
            0.95,
            0.5,
            "collapse_share",
            help=_(
                "A convention, so it can be moved. The baseline itself is compared with its own "
                "epoch 0."
            ),
        )
    table(records, baseline, epoch, share)


def table(
    records: Sequence[RunRecord], baseline: RunRecord | None, epoch: int, share: float
) -> None:
    """Every run's figures at the epoch, and what they amount to."""
    states = [state(record, baseline, epoch, share) for record in records]
    st.dataframe(
        [
            {
                _("run"): runs.signature(record),
                _("loss"): _loss_of(record, epoch),
                _("kNN accuracy"): percent(_at(record, "test_knn_accuracy", epoch), 1),
                _("std(z) √d"): number(spread_of(record, epoch), 2),
                _("effective rank of z"): number(_at(record, "test_rank_z", epoch)),
                _("state"): _(STATES[found]),
            }
            for record, found in zip(records, states, strict=True)
        ],
        hide_index=True,
        width="stretch",
    )
    figures.about(
        run_charts.provenance(records, epoch, {_("rule"): _rule(share)}),
        "collapse_state",
        rows=lambda: [
            {
                "run": record.recipe,
                "bundle": record.bundle.name,
                "hash": record.bundle.digest,
                "epoch": epoch,
                **{name: float(values[epoch]) for name, values in record.figures.items()},
                "std_z_sqrt_d": spread_of(record, epoch),
                "state": found,
            }
            for record, found in zip(records, states, strict=True)
        ],
    )
    st.markdown(
        "\n".join(
            f"- {_in_words(record, baseline, epoch, share, found)}"
            for record, found in zip(records, states, strict=True)
        )
    )


def _rule(share: float) -> str:
    return _("collapsed: spread and rank both below {share} of the baseline's").format(
        share=percent(share)
    )


def _in_words(
    record: RunRecord, baseline: RunRecord | None, epoch: int, share: float, found: str
) -> str:
    reference, at = run_charts.compared_with(record, baseline, epoch)
    words = _(STATE_WORDS[found]).format(
        run=runs.name(record),
        spread=number(spread_of(record, epoch), 2),
        rank=number(_at(record, "test_rank_z", epoch)),
        share=percent(share),
        reference=_("epoch 0") if reference is record else _("the baseline"),
        spread_0=number(spread_of(reference, at), 2),
        rank_0=number(_at(reference, "test_rank_z", at)),
    )
    if epoch == 0:
        return words
    knn = (
        _("Its kNN accuracy, {accuracy}, is above that of random weights, {before}.")
        if has_learnt(record, epoch)
        else _("Its kNN accuracy, {accuracy}, is no better than that of random weights, {before}.")
    )
    accuracy = record.figures["test_knn_accuracy"]
    return f"{words} " + knn.format(
        accuracy=percent(float(accuracy[epoch]), 1), before=percent(float(accuracy[0]), 1)
    )


def _at(record: RunRecord, column: str, epoch: int) -> float:
    return float(record.figures[column][epoch])


def _loss_of(record: RunRecord, epoch: int) -> str:
    value = _at(record, "train_loss", epoch)
    return "–" if np.isnan(value) else number(value, 3)


# ---------------------------------------------------------------- the question


def low_loss(records: Sequence[RunRecord], epoch: int) -> None:
    """Is a low loss good news? Answered by the runs on the screen."""
    shared = [record for record in records if record.method in NEGATIVE_COSINE]
    if epoch == 0 or not shared:
        st.markdown(_("Move the epoch on, and choose runs with this loss, for the answer."))
        return
    lowest = min(shared, key=lambda record: _at(record, "train_loss", epoch))
    best = max(shared, key=lambda record: _at(record, "test_knn_accuracy", epoch))
    st.markdown(
        _(
            "After epoch {epoch} the lowest loss on the screen is {loss}, of **{run}**. Its "
            "kNN accuracy is {knn} (random weights: {before}), the std of its z is {spread} "
            "of 1/√d, their effective rank {rank}."
        ).format(epoch=epoch, run=runs.name(lowest), **_evidence(lowest, epoch))
    )
    if lowest is best:
        st.markdown(
            _(
                "Here it also has the best kNN accuracy, so these runs cannot tell you. "
                "Put a run beside it that collapses."
            )
            if len(shared) > 1
            else _("One run alone cannot tell you. Put another one beside it.")
        )
    else:
        st.markdown(
            _(
                "The best kNN accuracy, {knn}, is that of **{run}**, whose loss is {loss} and "
                "whose z have a std of {spread} of 1/√d and an effective rank of {rank}. **The "
                "lower loss is not the better network.**"
            ).format(run=runs.name(best), **_evidence(best, epoch))
        )
    st.markdown(
        _(
            "A network that gives the same answer to every picture has a loss of exactly −1: "
            "two views of a picture always agree when everything agrees. The loss measures "
            "agreement and never asks whether there is anything to agree about."
        )
    )


def _evidence(record: RunRecord, epoch: int) -> dict[str, str]:
    accuracy = record.figures["test_knn_accuracy"]
    return {
        "loss": _loss_of(record, epoch),
        "knn": percent(float(accuracy[epoch]), 1),
        "before": percent(float(accuracy[0]), 1),
        "spread": number(spread_of(record, epoch), 2),
        "rank": number(_at(record, "test_rank_z", epoch)),
    }


# ---------------------------------------------------------------- charts


def losses(records: Sequence[RunRecord], epoch: int) -> None:
    """The training loss of those runs that have the same one."""
    shared = [record for record in records if record.method in NEGATIVE_COSINE]
    others = [runs.name(record) for record in records if record.method not in NEGATIVE_COSINE]
    if shared:
        title = _("training loss")
        lowest = [Reference(-1.0, _("−1: all views agree"))]
        run_charts.follow_by_epoch(
            shared, "train_loss", title, "collapse_loss", EPOCH, epoch, references=lowest, digits=3
        )
    if others:
        st.caption(
            _("Another loss, on another scale, so not drawn here: {runs}.").format(
                runs=", ".join(others)
            )
        )


def accuracies(records: Sequence[RunRecord], epoch: int) -> None:
    """kNN accuracy beside that of the initial weights."""
    before = sorted({_at(record, "test_knn_accuracy", 0) for record in records})
    said = " – ".join(dict.fromkeys(percent(value, 1) for value in (before[0], before[-1])))
    names = [""] * (len(before) - 1) + [_("random weights: {value}").format(value=said)]
    run_charts.follow_by_epoch(
        records,
        "test_knn_accuracy",
        _("kNN accuracy"),
        "collapse_knn",
        EPOCH,
        epoch,
        references=[Reference(value, name) for value, name in zip(before, names, strict=True)],
    )


def spreads(records: Sequence[RunRecord], epoch: int) -> None:
    """std of the l2-normalised z between collapsed and isotropic; times sqrt(d) where d differs."""
    dims = {record.dim for record in records}
    collapsed = Reference(0.0, _("0: collapsed"), dash="dash")
    if len(dims) == 1:
        value = dims.pop() ** -0.5
        isotropic = Reference(value, _("1/√d = {value}: isotropic").format(value=number(value, 4)))
        title, factor = _("std of z / ‖z‖"), None
    else:
        isotropic = Reference(1.0, _("1: isotropic"))
        title, factor = _("std of z / ‖z‖, times √d"), _root_of_dim
        st.caption(
            _("These runs have different d, so std is shown times √d: 1 is isotropic for all.")
        )
    run_charts.follow_by_epoch(
        records,
        "test_std_z",
        title,
        "collapse_std",
        EPOCH,
        epoch,
        references=[isotropic, collapsed],
        factor=factor,
    )


def _root_of_dim(record: RunRecord) -> float:
    return record.dim**0.5


def directions(records: Sequence[RunRecord], layer: Layer, epoch: int) -> None:
    """Spectrum and total variance of z or h."""
    st.subheader(_("How many directions are left"), anchor=False)
    left, right = st.columns(2, gap="large")
    with left:
        run_charts.spectrum(records, layer, "collapse_spectrum", EPOCH, epoch)
    with right:
        title = _("total variance of {layer}").format(layer=layer)
        run_charts.follow_by_epoch(
            records, f"test_variance_{layer}", title, "collapse_variance", EPOCH, epoch, log=True
        )
    st.caption(
        _(
            "**Effective rank** counts directions by their singular values: 1 when all pictures "
            "lie on a line, as many as there are directions when all are alike. **Total variance** "
            "says how large the cloud is before it is scaled to length 1: a cloud can shrink and "
            "keep its shape, or keep its size and lose its directions. Compare **z**, where the "
            "loss acts, with **h**, the features that are kept."
        )
    )


def ranks(records: Sequence[RunRecord], layer: Layer, epoch: int) -> None:
    """Effective rank of z or h."""
    title = _("effective rank of {layer}").format(layer=layer)
    run_charts.follow_by_epoch(
        records, f"test_rank_{layer}", title, "collapse_rank", EPOCH, epoch, digits=1
    )


def on_the_sphere(records: Sequence[RunRecord], epoch: int) -> None:
    """Alignment and uniformity of the normalised z."""
    st.subheader(_("Alignment and uniformity"), anchor=False)
    left, right = st.columns(2, gap="large")
    with left:
        run_charts.follow_by_epoch(
            records,
            "test_alignment",
            _("alignment of two views"),
            "collapse_alignment",
            EPOCH,
            epoch,
            references=[Reference(0.0, _("0: both views in one place"))],
        )
    with right:
        run_charts.follow_by_epoch(
            records,
            "test_uniformity",
            _("uniformity"),
            "collapse_uniformity",
            EPOCH,
            epoch,
            references=[
                Reference(0.0, _("0: all pictures in one place")),
                Reference(-4.0, _("−4: everywhere alike"), dash="dash"),
            ],
        )
    st.caption(
        _(
            "Both are of the normalised z, and lower is better for both. Alignment alone is best "
            "in a collapsed network; only together do they say something."
        )
    )


def maps(records: Sequence[RunRecord], layer: Layer, epoch: int) -> None:
    """One or two runs' test pictures on a plane, on the same axes."""
    st.subheader(_("Where the test pictures lie"), anchor=False)
    by_recipe = {record.recipe: record for record in records}
    labels = {recipe: runs.look(record).name for recipe, record in by_recipe.items()}
    picked, columns = [], st.columns(2, gap="large")
    for place, column in enumerate(columns[: min(2, len(records))]):
        with column:
            title = _("First map") if place == 0 else _("Second map")
            default = records[place].recipe
            key = f"collapse_map_{place + 1}"
            picked.append(by_recipe[controls.choice(title, labels, key, default=default)])
    reach = run_charts.reach(picked, layer)
    for place, (column, record) in enumerate(zip(columns, picked, strict=False)):
        with column:
            key = f"collapse_plane_{place + 1}"
            run_charts.plane(record, layer, reach, key, EPOCH, epoch)
    st.caption(
        _(
            "A point is a test picture: its normalised {layer} on the first two principal "
            "components of that epoch, turned to lie as near as it can to the epoch before. "
            "The axes are the same for both maps and all epochs. Click a class in the legend to "
            "hide it."
        ).format(layer=layer)
    )


# ---------------------------------------------------------------- the page


def epochs(records: Sequence[RunRecord], baseline: RunRecord | None, layer: Layer) -> None:
    """The timeline of epochs and everything that it moves: runs again by itself."""
    with plain_errors(), st.container():
        stops = records[0].epochs.tolist()
        epoch = timeline(_("Epoch (0: before training)"), stops, EPOCH, sticky=True)
        left, right = st.columns(2, gap="large")
        with left:
            losses(records, epoch)
        with right:
            accuracies(records, epoch)
        question(
            _("The loss is −1: good news?"),
            "collapse_low_loss",
            lambda: low_loss(records, epoch),
            first=_(
                "Of two runs, one with a loss of −0.9 and one with −0.7, which one would you keep?"
            ),
            options={
                "lower": N_("that with −0.9"),
                "higher": N_("that with −0.7"),
                "either": N_("the loss does not tell"),
            },
        )
        st.subheader(_("Has it collapsed?"), anchor=False)
        verdict(records, baseline, epoch)
        left, right = st.columns(2, gap="large")
        with left:
            spreads(records, epoch)
        with right:
            ranks(records, layer, epoch)
        directions(records, layer, epoch)
        maps(records, layer, epoch)
        on_the_sphere(records, epoch)


def explained() -> None:
    mechanism(
        _(
            "**Why the loss cannot tell.** It rewards two views of a picture for having the same "
            "direction. A network that answers every picture alike earns the whole reward without "
            "having looked. So one measures beside the loss how far the answers of *different* "
            "pictures lie apart (std of the normalised z), in how many directions (effective "
            "rank), and whether pictures of one class are neighbours (kNN accuracy).\n\n"
            "**Why the fall is gradual.** The projector ends in a batch normalisation: every "
            "channel of z has mean 0 and variance 1 over a batch, so z cannot become one point. "
            "What it can do is to use fewer and fewer directions, in the end one, with nearly all "
            "pictures in one place on it and a few outliers that carry the variance. So **the "
            "effective rank falls first**, and std·√d follows, without reaching 0; after a short "
            "run it may still look healthy. Compare with the baseline, do not wait for 0.\n\n"
            "**Why the stopped gradient matters.** Chen & He (section 5) read SimSiam as two "
            "alternating optimisations, as in k-means: with targets η held fixed, improve the "
            "network; with the network held fixed, set each η to the mean answer over all views "
            "of its picture. Stopping the gradient is what holds the targets fixed. Without it, "
            "both sides may walk towards each other, and the quickest way to meet is anywhere.\n\n"
            "**Why the predictor matters.** The target should be the expectation over all views "
            "of a picture, but a step sees one view only. The predictor learns to fill the gap: "
            "its best answer to one view is that expectation. It has to *learn* it: a fixed random "
            "predictor asks for something that has nothing to do with the pictures. With no "
            "predictor at all p is z, and since the loss treats both sides alike, stopping the "
            "gradient **only halves it**: its direction is that of the loss without any stop, "
            "whose minimum is collapse.\n\n"
            "**Epoch 0** is the network before its first step. A random network keeps some "
            "likeness of pictures, so its kNN accuracy is above chance: what was learnt is what "
            "lies above the dotted line. All figures are measured in evaluation mode, on test "
            "pictures without augmentation (but alignment, which is of two views), with batch "
            "statistics measured anew for every epoch."
        )
    )
    z = coloured("z")
    formula(
        [
            rf"L = -\tfrac12\Big(\frac{{p_1 \cdot \mathrm{{stop}}({coloured('z', 'z_2')})}}"
            rf"{{\|p_1\|\,\|{coloured('z', 'z_2')}\|}} + "
            rf"\frac{{p_2 \cdot \mathrm{{stop}}({coloured('z', 'z_1')})}}"
            rf"{{\|p_2\|\,\|{coloured('z', 'z_1')}\|}}\Big),\qquad "
            rf"p_i = h({coloured('z', 'z_i')}),\quad {coloured('z', 'z_i')} = f(x_i)",
            rf"\mathrm{{std}} = \tfrac1d\textstyle\sum_j \mathrm{{std}}_n\big({z}_{{n,j}} / "
            rf"\|{z}_n\|\big) \in [0,\, 1/\sqrt d\,]",
            r"\mathrm{erank} = \exp\Big(-\textstyle\sum_i q_i \log q_i\Big),\qquad "
            r"q_i = s_i / \textstyle\sum_k s_k",
            rf"\mathrm{{alignment}} = \mathbb E\,\|\hat z_1 - \hat z_2\|^2,\qquad "
            rf"\mathrm{{uniformity}} = \log \mathbb E\, e^{{-2\|\hat z_n - \hat z_m\|^2}},\qquad "
            rf"\hat z = {z}/\|{z}\|",
        ],
        _(
            "Chen & He 2021 (arXiv:2011.10566), equation 2, figure 2 and section 5; Roy & "
            "Vetterli 2007 for the effective rank, here of the singular values s of the centred "
            "rows; Wang & Isola 2020 (arXiv:2005.10242)."
        ),
        loss,
        cosine_similarity,
        std_of_outputs,
        effective_rank,
        alignment,
        uniformity,
    )


def main() -> None:
    head(
        _("Collapse"),
        _(
            "Nothing in this loss stops a network from giving every picture the same answer. "
            "**Take away the stopped gradient or the predictor and the loss looks better than "
            "ever, while what the network knows is gone.** Move the epoch and see it happen."
        ),
    )
    with plain_errors():
        found, records, layer = choose()
        if records:
            st.fragment(epochs)(records, found.get("baseline"), layer)
            runs.what_they_are(records)
        else:
            st.info(_("Choose at least one run."))
        explained()
