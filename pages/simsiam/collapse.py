"""Collapse: what a self-supervised network does epoch by epoch, and whether anything is left of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st

from core.simsiam.explorer import Layer
from core.simsiam.joint_embedding import cosine_similarity
from core.simsiam.representation import alignment, effective_rank, std_of_outputs, uniformity
from core.simsiam.run_record import RunRecord
from core.simsiam.simsiam import loss
from pages.browser.timeline import timeline
from pages.shared import controls, links, shape
from pages.shared.questions import question, unanswered
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
from pages.simsiam.parts import dim_and_batch, run_charts, runs, verdicts
from pages.simsiam.parts.evidence import over_pictures
from pages.simsiam.parts.findings import NOT_HERE, final_epoch, names, recipe_names
from pages.simsiam.parts.run_charts import SMALL, Reference

OTHER_LOSSES = N_("Another loss, on another scale, so not drawn here: {runs}.")
OTHER_DIMS = N_("These runs have different d, so std is shown times √d: 1 is isotropic for all.")
A_POINT = N_(
    "A point of the map is a test picture, its normalised {layer} on two principal components, "
    "which each run has of its own; all runs and epochs are drawn at one scale."
)
KNN_OVER = N_("kNN accuracy: {over}.")
FEWER_EPOCHS = N_("These runs: {count} epochs; the assignment asks for {asked}.")
UNEQUAL_UPDATES = N_(
    "**Equal epochs are not equal updates here.** After epoch {epoch} the weights were "
    "updated {counts} times ({runs})."
)
CHOOSE_A_RUN = N_("Choose at least one run.")

EPOCH, RUNS, SET = "collapse_epoch", "collapse_runs", "collapse_set"
"""The keys of the timeline, of the runs to draw, and of the set that they are of."""
EPOCH_WORDS = N_("Epoch (0: before training)")
EPOCHS_ASKED = 100
"""For how many the assignment asks."""
DEFAULT = ("baseline", "no-stop-gradient")
# The assignment's plots: a title, and the recipes drawn.
PRESETS: dict[str, tuple[str, tuple[str, ...]]] = {
    "stop": (N_("With and without stop-gradient"), DEFAULT),
    "predictor": (N_("With and without predictor"), ("baseline", "no-predictor")),
    "fixed": (
        N_("Predictor: learnt, none, fixed"),
        ("baseline", "no-predictor", "fixed-predictor"),
    ),
    "neither": (
        N_("Neither of the two"),
        ("baseline", "no-stop-gradient", "no-predictor", "neither"),
    ),
    "dim": (N_("d = 2048 and 4096"), ("baseline", "dim-4096")),
    "batch": (N_("Usual batch and batch of 4096"), ("baseline", "batch-4096")),
    "dim-batch": (
        N_("d and batch together"),
        ("baseline", "dim-4096", "batch-4096", "dim-4096-batch-4096"),
    ),
    "updates": (N_("Equal updates"), ("batch-4096", "few-updates")),
    "heavy": (N_("Heavy augmentation"), ("baseline", "heavy", "heavy-dssl")),
}
CHOICE = """<style>
@media (max-width: 40rem) {
  .st-key-collapse_row > :nth-child(2) { flex: 1 1 60%; min-width: 0; width: auto; }
}
</style>"""
"""On a phone the set of runs leaves room in its line for the button next to it."""
OWN = "own"
"""Of the presets: runs that none of them has."""
LAYERS: dict[Layer, str] = {"z": N_("z (projector)"), "h": N_("h (backbone)")}


# ---------------------------------------------------------------- which runs


def choose() -> tuple[Mapping[str, RunRecord], list[RunRecord], Layer]:
    """The set of runs, those of it to draw, by one choice as the assignment's plots too; and z or h."""
    st.html(CHOICE)
    row = st.container(
        horizontal=True, gap="small", vertical_alignment="bottom", key="collapse_row"
    )
    wanted = links.codes_to_restore(RUNS) or DEFAULT
    with row:
        shown = st.container(width=320)
        with st.container(width=340):
            found = runs.chosen_set(SET, wanted)
        with controls.popover(_("Runs")):
            absent = [r for r in st.session_state.get(RUNS, ()) if r not in found]
            default = [recipe for recipe in DEFAULT if recipe in found] or list(found)[:2]
            labels = {recipe: runs.look(record).name for recipe, record in found.items()}
            chosen = controls.several(_("Runs"), labels, RUNS, default)
            layer = controls.choice(_("Representation"), LAYERS, "collapse_layer")
    with shown:
        presets(found, chosen)
    if absent:
        st.info(_(NOT_HERE).format(runs=recipe_names(absent)))
    return found, [found[recipe] for recipe in chosen], layer


def presets(found: Mapping[str, RunRecord], chosen: Sequence[str]) -> None:
    """Every plot of the assignment whose runs are all in one set, in one list: one that this set does not
    have brings the set that has it.
    """
    holding = {
        code: found if set(recipes) <= found.keys() else runs.best_with(recipes, runs.sets())
        for code, (_title, recipes) in PRESETS.items()
    }
    offered = {code: one for code, one in holding.items() if one is not None}
    now = next((code for code in offered if set(PRESETS[code][1]) == set(chosen)), OWN)
    options = {code: PRESETS[code][0] for code in offered}
    if now == OWN:
        options[OWN] = N_("Own choice of runs")

    def show(code: str) -> None:
        if code in offered:
            st.session_state[RUNS] = list(PRESETS[code][1])
            if offered[code] is not found:
                st.session_state[SET] = runs.code_of(offered[code])

    controls.shortcut(_("Compare"), options, now, "collapse_preset", show)


# ---------------------------------------------------------------- charts


def losses(records: Sequence[RunRecord], epoch: int) -> None:
    """The training loss of those runs that have the same one."""
    shared = [record for record in records if record.method in verdicts.NEGATIVE_COSINE]
    others = [record for record in records if record.method not in verdicts.NEGATIVE_COSINE]
    if shared:
        title = _("training loss")
        lowest = [Reference(-1.0, _("−1: all views agree"))]
        run_charts.follow_by_epoch(
            shared,
            "train_loss",
            title,
            "collapse_loss",
            EPOCH,
            epoch,
            references=lowest,
            digits=3,
            height=SMALL,
        )
    if others:
        st.caption(_(OTHER_LOSSES).format(runs=names(others)))


def accuracies(records: Sequence[RunRecord], epoch: int) -> None:
    """kNN accuracy next to that of the initial weights."""
    before = sorted({float(record.figures["test_knn_accuracy"][0]) for record in records})
    said = " – ".join(dict.fromkeys(percent(value, 1) for value in (before[0], before[-1])))
    labels = [""] * (len(before) - 1) + [_("random weights: {value}").format(value=said)]
    run_charts.follow_by_epoch(
        records,
        "test_knn_accuracy",
        _("kNN accuracy"),
        "collapse_knn",
        EPOCH,
        epoch,
        references=[Reference(value, name) for value, name in zip(before, labels, strict=True)],
        digits=1,
        height=SMALL,
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
        st.caption(_(OTHER_DIMS))
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
    st.subheader(_("Where the classes lie"), anchor=False)
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


def desk(records: Sequence[RunRecord], layer: Layer, epoch: int) -> None:
    """Loss, kNN accuracy and the map of outputs next to one another."""
    both, right = st.columns([2, 1], gap="medium")
    with both:  # next to one another on a phone, too
        left, middle = st.columns(2, gap="medium", wrap=False)
    with left:
        losses(records, epoch)
    with middle:
        accuracies(records, epoch)
    with right:
        run_charts.clouds(records, layer, "collapse_clouds", EPOCH, epoch)
    st.caption(
        _(A_POINT).format(layer=layer)
        + " "
        + _(KNN_OVER).format(over=over_pictures(records[0], "knn_by_epoch"))
    )
    if (count := final_epoch(records[0])) != EPOCHS_ASKED:
        st.caption(_(FEWER_EPOCHS).format(count=count, asked=EPOCHS_ASKED))
    if told := updates_in_words(records, epoch):
        st.markdown(told)


def updates_in_words(records: Sequence[RunRecord], epoch: int) -> str:
    """How often each run had updated its weights; nothing where they did so equally often."""
    counts = [number(record.updates[epoch], 0) for record in records]
    if len(set(counts)) < 2:
        return ""
    return _(UNEQUAL_UPDATES).format(epoch=epoch, counts=" / ".join(counts), runs=names(records))


def epochs(found: Mapping[str, RunRecord], records: Sequence[RunRecord], layer: Layer) -> None:
    """The timeline of epochs and everything that it moves: runs again by itself."""
    with plain_errors(), st.container():
        stops = records[0].epochs.tolist()
        epoch = timeline(_(EPOCH_WORDS), stops, EPOCH, sticky=True)
        desk(records, layer, epoch)
        ask_questions(found, records)
        st.subheader(_("Has it collapsed?"), anchor=False)
        verdicts.verdict(records, epoch)
        maps(records, layer, epoch)
        more = st.expander(
            _("More measures"),
            key="collapse_more",
            on_change="rerun",
            icon=":material/query_stats:",
        )
        if more.open:
            with more:
                measures(records, layer, epoch)


def ask_questions(found: Mapping[str, RunRecord], shown: Sequence[RunRecord]) -> None:
    """What the visitor answers before the runs do; ``shown``: the runs on the screen."""
    here = verdicts.telling_pair([found], shown)
    pair = here or verdicts.telling_pair(runs.sets())
    first, options = verdicts.loss_question(pair, shown, elsewhere=here is None)
    question(
        _("The loss is −1: good news?"),
        "collapse_low_loss",
        lambda: verdicts.low_loss(pair),
        first=first,
        options=options,
        right=lambda: {"either"} if pair is None else {"higher", "either"},
        of=pair and tuple(record.bundle.name for record in pair),
    )
    if dim_and_batch.can_be_asked(found):
        question(
            _("A larger d, a larger batch: better?"),
            "collapse_dim_batch",
            lambda: dim_and_batch.answer(found),
            first=_("Which of these helps kNN accuracy, by more than chance?"),
            options={
                "dim": N_("d = 4096"),
                "batch": N_("a batch of 4096"),
                "both": N_("both together"),
                "none": N_("none of them"),
            },
            right=lambda: dim_and_batch.helps(found),
            of=runs.code_of(found),
        )


def measures(records: Sequence[RunRecord], layer: Layer, epoch: int) -> None:
    """Spread, rank, spectrum, variance, alignment and uniformity by epoch."""
    left, right = st.columns(2, gap="large")
    with left:
        spreads(records, epoch)
    with right:
        ranks(records, layer, epoch)
    directions(records, layer, epoch)
    on_the_sphere(records, epoch)


def explain(found: Mapping[str, RunRecord]) -> None:
    asked_here = ["collapse_low_loss"]
    if dim_and_batch.can_be_asked(found):
        asked_here.append("collapse_dim_batch")
    mechanism(
        _(
            "**Why the loss cannot tell.** It rewards two views of a picture for having the same "
            "direction. A network that answers every picture alike earns the whole reward without "
            "having looked. So one measures along with the loss how far the answers of *different* "
            "pictures lie apart (std of the normalised z), in how many directions (effective "
            "rank), and whether pictures of one class are neighbours (kNN accuracy).\n\n"
            "**Why the fall is gradual.** The projector ends in a batch normalisation: every "
            "channel of z has mean 0 and variance 1 over a batch, so z cannot become one point. "
            "What it can do is to use fewer and fewer directions, in the end one, with nearly all "
            "pictures at nearly the same point and a few outliers that carry the variance. So **the "
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
            "predictor changes z at random, and undoing that teaches nothing about the pictures. With no "
            "predictor at all p is z, and since the loss treats both sides alike, stopping the "
            "gradient **only halves it**: its direction is that of the loss without any stop, "
            "whose minimum is collapse.\n\n"
            "**Epoch 0** is the network before its first step. A random network keeps some "
            "likeness of pictures, so its kNN accuracy is above chance: what was learnt is what "
            "lies above the dotted line. All figures are measured in evaluation mode, on test "
            "pictures without augmentation (but alignment, which is of two views), with batch "
            "statistics measured anew for every epoch."
        ),
        folded=unanswered(*asked_here),
    )
    z = coloured("z")
    formula(
        [
            rf"L = -\tfrac12\Big(\frac{{p_1 \cdot \mathrm{{stop}}({coloured('z', 'z_2')})}}"
            rf"{{\|p_1\|\,\|{coloured('z', 'z_2')}\|}} + "
            rf"\frac{{p_2 \cdot \mathrm{{stop}}({coloured('z', 'z_1')})}}"
            rf"{{\|p_2\|\,\|{coloured('z', 'z_1')}\|}}\Big),\qquad "
            rf"p_i = \mathrm{{predictor}}({coloured('z', 'z_i')}),\quad {coloured('z', 'z_i')} = f(x_i)",
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
            "**A loss near −1 looks like success. Does the network still tell pictures apart?** Move the "
            "epoch and compare loss, kNN accuracy and the map of what it makes of test pictures."
        ),
    )
    with plain_errors():
        found, records, layer = choose()
        if records:
            shape.fragment(epochs)(found, records, layer)
            runs.what_they_are(records)
        else:
            st.info(_(CHOOSE_A_RUN))
        explain(found)
