"""Siblings: four methods that learn from two views, what keeps each from collapsing, and runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import streamlit as st

from core.simsiam import barlow_twins, byol, dssl, methods, simsiam, vicreg
from core.simsiam.run_record import RunRecord
from pages.shared import controls, figures, links
from pages.shared.figures import Column
from pages.shared.questions import question as ask
from pages.shared.questions import unanswered
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
from pages.simsiam.parts import diagrams, run_charts, runs
from pages.simsiam.parts.evidence import Chance, Runs, at_the_end, chance_in_words, over_pictures
from pages.simsiam.parts.findings import (
    NOT_HERE,
    SHARE,
    final_epoch,
    separator,
    state_sentences,
    value_at,
    without,
)
from pages.simsiam.parts.questions import QUESTIONS, Question, missing
from pages.simsiam.parts.run_charts import STATES, Reference, spread_of, state

DIFFERENT_LOSSES = N_(
    "These runs have different losses, on different scales: each has a figure of its "
    "own, and no value of one says anything about another."
)
KNN_AT_THE_END = N_("kNN at the end")
THESE_RUNS_SAY = N_("**What these runs say**")
NONE_HERE = N_("None of the runs of this question is here.")
IN_OTHER_SETS = N_("None of the runs of this question is in this set. They are in: {sets}.")
TOLD_LATER = N_("Whether a run has collapsed stands here once you have answered.")

Z, Z1, Z2 = coloured("z"), coloured("z", "z_1"), coloured("z", "z_2")
TARGET1, TARGET2 = coloured("z", r"z^\xi_1"), coloured("z", r"z^\xi_2")
STOP = r"\operatorname{stop}"
QUESTION, BEGINS = "siblings_question", "siblings_begins"
"""The key of the question, and, in the visit, whether the page begins with it."""


# ---------------------------------------------------------------- the methods


@dataclass(frozen=True)
class Sibling:
    """A method: its loss, what keeps it from collapsing, and the parts that it cannot do without.

    ``shown_by``: for each of those parts the recipe without it, whether such a run is here or not; ``of``:
    the recipe with all of them. ``note`` stands after what the runs say. ``also``: parts that it needs by its
    authors' account, and that no recipe is without.
    """

    title: str
    latex: str
    keeps: str
    shown_by: Mapping[str, str]
    of: str
    note: str = ""
    also: frozenset[str] = frozenset()


PARTS = {
    "negatives": N_("negative examples"),
    "momentum": N_("momentum target"),
    "predictor": N_("predictor"),
    "stop": N_("stop-gradient"),
    "variance": N_("variance term"),
    "decorrelation": N_("decorrelation"),
    "shared": N_("shared weights"),
}
REMOVED = {
    "predictor": N_("the predictor"),
    "stop": N_("the stop-gradient"),
    "variance": N_("the variance term"),
    "decorrelation": N_("the decorrelation"),
}
"""Parts as sentences name them that say what became of a run without."""
HAS = {
    "simsiam": {"predictor", "stop", "shared"},
    "byol": {"momentum", "predictor", "stop"},
    "barlow_twins": {"decorrelation", "shared"},
    "vicreg": {"variance", "decorrelation", "shared"},
    "dssl": {"predictor", "stop", "shared"},
}
IMPLICIT = {("barlow_twins", "variance")}  # done without a term of its own
SIBLINGS = {
    "simsiam": Sibling(
        "SimSiam",
        rf"-\tfrac12\cos(p_1, {STOP}\,{Z2}) - \tfrac12\cos(p_2, {STOP}\,{Z1})",
        N_(
            "The target is held constant and a predictor has to hit it: its best answer is the "
            "mean of z over all views of a picture, and the step that would move the target to "
            "the answer is never taken."
        ),
        {"stop": "no-stop-gradient", "predictor": "no-predictor"},
        "baseline",
    ),
    "byol": Sibling(
        "BYOL",
        rf"4 - 2\cos(p_1, {TARGET2}) - 2\cos(p_2, {TARGET1})",
        N_(
            "The target is another network that gradients never reach, a moving average of the "
            "one that learns; a predictor has to hit it."
        ),
        {"predictor": "byol-no-predictor"},
        "byol",
        N_(
            "The authors of BYOL report a collapse without it (table 5 of the paper). With momentum 0 "
            "BYOL is SimSiam, whose run without predictor is on the page *Collapse*."
        ),
        frozenset({"stop"}),
    ),
    "barlow_twins": Sibling(
        "Barlow Twins",
        r"\textstyle\sum_i (1 - C_{ii})^2 + \lambda \sum_{i \neq j} C_{ij}^2",
        N_(
            "Channels are standardised over the batch: a constant one has correlation 0, where "
            "the diagonal asks for 1, and what lies off the diagonal forbids channels to copy one "
            "another."
        ),
        {"decorrelation": "barlow-no-redundancy"},
        "barlow",
        N_(
            "With λ = 0 the loss would allow all channels to say the same: a collapse to one direction, "
            "not to one point, which the standardisation excludes."
        ),
    ),
    "vicreg": Sibling(
        "VICReg",
        rf"\begin{{aligned}}&\lambda\,s({Z1}, {Z2}) + \tfrac{{\mu}}{{2}}\big(v({Z1}) + v({Z2})\big)\\"
        rf"&+ \nu\big(c({Z1}) + c({Z2})\big)\end{{aligned}}",
        N_(
            "It is said outright: a term of the loss asks every channel to vary over the batch, "
            "another forbids channels to vary together."
        ),
        {"variance": "vicreg-no-variance", "decorrelation": "vicreg-no-covariance"},
        "vicreg",
    ),
    "dssl": Sibling(
        "DSSL",
        rf"\begin{{aligned}}&\tfrac12 L_{{\mathrm{{SimSiam}}}} - \tfrac14\cos(p'_1, {STOP}\,{Z1})\\"
        rf"&- \tfrac14\cos(p'_2, {STOP}\,{Z2})\end{{aligned}}",
        N_(
            "SimSiam's own parts, among standard views. Harder views follow them and never lead: "
            "a picture that was changed beyond recognition cannot pull the target towards it."
        ),
        {"stop": "no-stop-gradient", "predictor": "no-predictor"},
        "baseline",
        N_("These are runs of SimSiam; none here is of DSSL without one of its parts."),
    ),
}


NEXT_TO = {"byol": "simsiam"}
"""Methods whose diagram stands next to that of another one, which differs from it in its target alone."""


def overview(method: str) -> None:
    """One method: its diagram, its loss and its parts."""
    left, right = st.columns(2, gap="large")
    with left:
        diagram_of_a_method(method, "siblings_diagram")
    if method in NEXT_TO:
        with right:
            diagram_of_a_method(NEXT_TO[method], "siblings_diagram_next")
        right = st.container()
    with right:
        st.markdown(_("**Its loss**"))
        st.latex(SIBLINGS[method].latex)
        table_of_parts()


def diagram_of_a_method(method: str, key: str) -> None:
    """The wiring of a method as it stands, with what its marks mean."""
    title = SIBLINGS[method].title
    if method in NEXT_TO or key != "siblings_diagram":
        st.markdown(f"**{title}**")
    parts = {"method": method, **methods.method_class(method).config_class().plain()}
    figure, arrows = diagrams.draw(diagrams.wiring(parts, heavy=False))
    alt = diagrams.alt(title, arrows)
    figures.plain_chart(figure, key, alt, lambda: diagrams.rows(arrows), height=diagrams.HEIGHT)
    st.caption(diagrams.legend())


def part_to_remove(method: str, found: Mapping[str, RunRecord]) -> None:
    """Asks which part keeps a method from collapsing; the runs without it answer."""
    sibling = SIBLINGS[method]

    def answer() -> None:
        st.markdown(_(sibling.keeps))
        lines = []
        for part, recipe in sibling.shown_by.items():
            lines += without(found, recipe, _(REMOVED[part]), sibling.of)
        st.markdown("\n".join(f"- {line}" for line in lines))
        if sibling.note:
            st.caption(_(sibling.note))

    ask(
        _("What keeps it from collapsing?"),
        f"siblings_keeps_{method}",
        answer,
        first=_("Which part would you **not** remove from {method}?").format(method=sibling.title),
        options={part: label for part, label in PARTS.items() if part in HAS[method]},
        right=lambda: necessary_parts(method, found),
        of=found and runs.code_of(found),
    )


def necessary_parts(method: str, found: Mapping[str, RunRecord]) -> set[str]:
    """The parts without which a run of this method has collapsed, or partly; nothing where a run is missing
    or is of another method.
    """
    sibling = SIBLINGS[method]
    if not set(sibling.shown_by.values()) <= found.keys():
        return set()
    if any(found[recipe].method != method for recipe in sibling.shown_by.values()):
        return set()
    ends = {part: found[recipe] for part, recipe in sibling.shown_by.items()}
    lost = {
        part
        for part, record in ends.items()
        if state(record, final_epoch(record), SHARE) != "spread"
    }
    return lost | sibling.also if lost else lost


def table_of_parts() -> None:
    """Which method has which part."""
    rows = [[""] + [sibling.title for sibling in SIBLINGS.values()]]
    for part, label in PARTS.items():
        marks = [
            "✓" if part in HAS[method] else "(✓)" if (method, part) in IMPLICIT else "–"
            for method in SIBLINGS
        ]
        rows.append([_(label), *marks])
    st.html(narrow_table(rows))
    st.caption(
        _(
            "✓ has it, – does not. (✓): Barlow Twins has no variance term, but standardises every "
            "channel over the batch. VICReg could do with different weights in its branches; here "
            "they are the same."
        )
    )


def narrow_table(rows: Sequence[Sequence[str]]) -> str:
    """Rows as HTML, the first row and column as heads: six columns on the width of a phone."""
    cell = "padding: 0.3rem 0.15rem; border-bottom: 1px solid rgba(122, 122, 122, 0.4)"
    head, *body = rows
    lines = [f'<th scope="col" style="{cell}">{text}</th>' for text in head]
    lines = [f"<tr>{''.join(lines)}</tr>"]
    for label, *marks in body:
        first = f'<th scope="row" style="{cell}; text-align: left; font-weight: 400">{label}</th>'
        rest = "".join(f'<td style="{cell}; text-align: center">{mark}</td>' for mark in marks)
        lines.append(f"<tr>{first}{rest}</tr>")
    style = "width: 100%; border-collapse: collapse; font-size: 0.9rem; line-height: 1.3"
    return f'<table style="{style}">{"".join(lines)}</table>'


# ---------------------------------------------------------------- the questions


def diagram_of_a_run(records: Sequence[RunRecord]) -> None:
    """The wiring of one of the runs, from its own configuration."""
    labels = {record.recipe: runs.look(record).name for record in records}
    chosen = controls.choice(_("Diagram of"), labels, "siblings_wiring")
    record = next(record for record in records if record.recipe == chosen)
    config = record.bundle.config
    figure, arrows = diagrams.draw(
        diagrams.wiring(config["architecture"], heavy=config["training"]["heavy"])
    )
    figures.chart(
        figure,
        "siblings_run_diagram",
        diagrams.alt(runs.name(record), arrows),
        run_charts.provenance([record], None, {}),
        lambda: diagrams.rows(arrows),
        height=diagrams.HEIGHT,
    )


def begins_with_a_question() -> bool:
    """Whether the address named a question when the page was opened: then that one comes first, for as long
    as the page stays open.
    """
    state = st.session_state
    if QUESTION not in state or BEGINS not in state:
        state[BEGINS] = links.speaks_of([QUESTION])
    return state[BEGINS]


def questions(found: Runs, *, first: bool) -> None:
    """A question, the runs that answer it, and, once its visitor has answered, what they say.

    ``first``: of all that is on the page; the address then names any question, so that a reload leaves it so.
    """
    st.subheader(_("Questions, answered by the runs"), anchor=False)
    labels = {code: question.label for code, question in QUESTIONS.items()}
    row = st.container(horizontal=True, vertical_alignment="bottom")
    with row:
        code = controls.choice(_("Question"), labels, QUESTION, default="9", said=first)
        figure = controls.option(_("Figure"), FIGURES, "siblings_figure", width=190)
    question = QUESTIONS[code]
    st.markdown(_(question.words))
    records = [found[recipe] for recipe in question.recipes if recipe in found]
    if absent := missing(found, question):
        st.caption(_(NOT_HERE).format(runs=absent))
    if not records:
        st.info(none_here(question))
        return
    charts(records, figure)
    ask(
        _("What do these runs say, and why?"),
        f"siblings_answer_{code}",
        lambda: answer(question, found, records),
        options=question.options,
        right=lambda: question.right,
    )
    st.subheader(_("At the end"), anchor=False)
    table(records, told=not unanswered(f"siblings_answer_{code}"))
    runs.what_they_are(records)
    with st.container(width=560):
        diagram_of_a_run(records)
        st.caption(diagrams.legend())


def none_here(question: Question) -> str:
    """That a set has none of a question's runs, and which sets have some."""
    having = [one for one in runs.sets() if set(question.recipes) & one.keys()]
    if not having:
        return _(NONE_HERE)
    return _(IN_OTHER_SETS).format(
        sets=separator().join(dict.fromkeys(runs.size(next(iter(one.values()))) for one in having))
    )


def answer(question: Question, found: Runs, records: Sequence[RunRecord]) -> None:
    """What the runs of a question say, what chance is, and why."""
    st.markdown(_(THESE_RUNS_SAY))
    lines = [*question.answer(found), *state_sentences(records)]
    st.markdown("\n".join(f"- {line}" for line in lines))
    st.caption(chance_in_words(records[0], Chance.of(found), question.knn))
    st.markdown(_("**Why**") + "  \n" + _(question.why))


# ---------------------------------------------------------------- figures of the runs


FIGURES = {
    "knn": N_("kNN accuracy"),
    "rank_z": N_("Effective rank of z"),
    "rank_h": N_("Effective rank of h"),
    "spread": N_("std(z) √d"),
    "loss": N_("Training loss"),
}


def charts(records: Sequence[RunRecord], figure: str) -> None:
    """One figure of all runs by epoch; losses apart, as they have different scales."""
    key = f"siblings_{figure}"
    if figure == "knn":
        before = sorted({value_at(record, "test_knn_accuracy", 0) for record in records})
        lines = [
            Reference(value, _("random weights: {value}").format(value=percent(value, 1)))
            for value in before[:1]
        ]
        run_charts.by_epoch(records, "test_knn_accuracy", _("kNN accuracy"), key, references=lines)
    elif figure in ("rank_z", "rank_h"):
        title = _(FIGURES[figure])
        run_charts.by_epoch(records, f"test_{figure}", title, key)
    elif figure == "spread":
        run_charts.by_epoch(
            records,
            "test_std_z",
            _("std of z / ‖z‖, times √d"),
            key,
            references=[
                Reference(1.0, _("1: isotropic")),
                Reference(0.0, _("0: collapsed"), dash="dash"),
            ],
            factor=lambda record: record.dim**0.5,
        )
    elif figure == "loss":
        losses(records, key)
    else:
        raise ValueError(f"figure must be one of {', '.join(FIGURES)}, got {figure!r}")


def losses(records: Sequence[RunRecord], key: str) -> None:
    """A figure for every loss function: their values cannot be compared."""
    groups: dict[tuple[object, ...], list[RunRecord]] = {}
    for record in records:
        groups.setdefault(scale(record), []).append(record)
    if len(groups) > 1:
        st.caption(_(DIFFERENT_LOSSES))
    for start in range(0, len(groups), 2):
        columns = st.columns(2, gap="large")
        some = list(groups.values())[start : start + 2]
        for place, (column, group) in enumerate(zip(columns, some, strict=False)):
            method = SIBLINGS[group[0].method].title
            with column:
                title = _("training loss of {method}").format(method=method)
                run_charts.by_epoch(group, "train_loss", title, f"{key}_{start + place}")


def scale(record: RunRecord) -> tuple[object, ...]:
    """What a loss must have in common with another one to stand on one axis with it."""
    method, parts = record.method, record.bundle.config["architecture"]
    if method in ("simsiam", "dssl"):
        return ("cosine",)
    if method == "byol":
        return (method,)
    if method == "barlow_twins":  # a sum over channels
        return (method, record.dim, parts["redundancy"])
    if method == "vicreg":
        return (method, parts["invariance"], parts["variance"], parts["covariance"])
    raise ValueError(f"method must be one of {', '.join(methods.METHODS)}, got {method!r}")


def table(records: Sequence[RunRecord], *, told: bool) -> None:
    """What every run came to; ``told``: its state, too, which is what questions ask about."""
    rows = [
        {
            "run": record.recipe,
            "name": runs.name(record),
            "bundle": record.bundle.name,
            "hash": record.bundle.digest,
            "d": record.dim,
            "batch": record.batch_size,
            "updates": int(record.updates[-1]),
            "knn_before": value_at(record, "test_knn_accuracy", 0),
            "knn_by_epoch": value_at(record, "test_knn_accuracy"),
            "knn": at_the_end(record, "knn_accuracy")[0],
            "linear_probe": at_the_end(record, "linear_accuracy")[0],
            "std_root_d": spread_of(record, final_epoch(record)),
            "rank_z_before": value_at(record, "test_rank_z", 0),
            "rank_z": value_at(record, "test_rank_z"),
            "rank_z_both": " → ".join(
                number(value_at(record, "test_rank_z", at)) for at in (0, -1)
            ),
            "rank_h": value_at(record, "test_rank_h"),
            **({"state": state(record, final_epoch(record), SHARE)} if told else {}),
        }
        for record in records
    ]
    counted = len({row["updates"] for row in rows}) > 1
    figures.table(
        rows,
        [
            Column("name", _("run")),
            *([Column("state", _("state"), lambda code: _(STATES[code]))] if told else []),
            *([Column("updates", _("updates"), figures.digits(0))] if counted else []),
            Column("knn", _(KNN_AT_THE_END), _share),
            Column("linear_probe", _("linear probe"), _share),
            Column("rank_z_both", _("rank of z")),
            Column("std_root_d", _("std(z) √d"), figures.digits(2)),
        ],
        "siblings_table",
    )
    figures.about(
        run_charts.provenance(records, None, run_charts.over(records[0], "test_knn_accuracy")),
        "siblings_table",
        rows=lambda: rows,
    )
    rule = (
        _(
            "Collapsed: std(z) √d and the effective rank of z are both below {share} of what they were "
            "before the run's own training; partly collapsed: one of them is."
        ).format(share=percent(SHARE))
        if told
        else _(TOLD_LATER)
    )
    st.caption(
        f"{rule} "
        + _(
            "kNN, at the end: {final}. kNN by epoch, in the curve: {by_epoch}; a larger bank alone raises it. "
            "Linear probe: {count} test pictures."
        ).format(
            final=over_pictures(records[0], "knn_accuracy"),
            by_epoch=over_pictures(records[0], "knn_by_epoch"),
            count=number(at_the_end(records[0], "linear_accuracy")[1], 0),
        )
    )


def _share(value: float) -> str:
    return percent(value, 1)


# ---------------------------------------------------------------- the page


def explain(*asked: str) -> None:
    """How they work; folded while a question of the page with one of these keys is open."""
    mechanism(
        _(
            "All of these draw two views of a picture together, and all know the trivial way to "
            "do so: one answer for everything. **Asymmetric methods** (SimSiam, BYOL, DSSL) change "
            "how the gradient flows: one side predicts, the other side is held constant, and the "
            "trivial answer, though it would be the smallest loss, is not what the steps lead to. "
            "**Methods with statistics** (Barlow Twins, VICReg) change the loss: over a batch the "
            "channels have to vary, and not all alike, so the trivial answer is no longer the "
            "smallest loss; both branches learn, without a predictor.\n\n"
            "Their losses cannot be compared: −1 to 1 for SimSiam, 0 to 8 for BYOL, a sum over "
            "d × d correlations for Barlow Twins, three weighted terms for VICReg. What can be "
            "compared is what becomes of z and h: kNN accuracy, linear probe, effective rank, "
            "spread. All projectors here are SimSiam's, so that runs differ in the method alone; "
            "only VICReg's lacks the last batch normalisation, which would do the work of its "
            "variance term."
        ),
        folded=unanswered(*asked),
    )
    formula(
        [
            rf"L_{{\mathrm{{SimSiam}}}} = {SIBLINGS['simsiam'].latex}",
            rf"L_{{\mathrm{{BYOL}}}} = {SIBLINGS['byol'].latex},\qquad "
            r"\xi \leftarrow m\,\xi + (1-m)\,\theta",
            rf"L_{{\mathrm{{BT}}}} = {SIBLINGS['barlow_twins'].latex},\qquad "
            rf"C_{{ij}} = \tfrac1B \textstyle\sum_b \hat{{{Z}}}_{{1,bi}}\,\hat{{{Z}}}_{{2,bj}}",
            rf"L_{{\mathrm{{VICReg}}}} = {SIBLINGS['vicreg'].latex}",
            rf"s = \tfrac{{1}}{{Bd}}\|{Z1} - {Z2}\|^2,\quad "
            rf"v = \tfrac1d\textstyle\sum_j \max\big(0, 1 - \sqrt{{\mathrm{{var}}({Z}_j) + "
            rf"\epsilon}}\big),\quad c = \tfrac1d\textstyle\sum_{{i \neq j}} "
            rf"\mathrm{{cov}}({Z})_{{ij}}^2",
            rf"L_{{\mathrm{{DSSL}}}} = {SIBLINGS['dssl'].latex}",
        ],
        _(
            "Chen & He 2021 (arXiv:2011.10566) for SimSiam; Grill et al. 2020 (arXiv:2006.07733), "
            "BYOL; Zbontar et al. 2021 (arXiv:2103.03230), Barlow Twins; Bardes et al. 2022 "
            "(arXiv:2105.04906), VICReg; Bai et al. 2022 (arXiv:2110.13555), DSSL. ẑ of Barlow "
            "Twins: channels standardised over the batch. z with ξ: of BYOL's target."
        ),
        simsiam.loss,
        byol.loss,
        byol.BYOL.after_step,
        barlow_twins.cross_correlation,
        barlow_twins.loss,
        vicreg.variance_term,
        vicreg.covariance_term,
        vicreg.loss,
        dssl.directed_loss,
    )


def main() -> None:
    head(
        _("Siblings"),
        _(
            "SimSiam, BYOL, Barlow Twins and VICReg all learn from two views and no negative examples. "
            "**What keeps each of them from collapsing?** Read the diagram, answer, and see which runs "
            "show it, and for which part no run is here."
        ),
    )
    first = begins_with_a_question()
    places = st.container(), st.container(), st.container()
    asking, choosing, drawing = places if first else reversed(places)
    found: Runs = {}
    with choosing, st.container(width=480), plain_errors():
        found = runs.chosen_set("siblings_set")
    titles = {method: sibling.title for method, sibling in SIBLINGS.items()}
    with drawing:
        method = controls.choice(_("Method"), titles, "siblings_method")
        overview(method)
    with drawing if first else choosing:
        part_to_remove(method, found)
    with asking:
        if found:
            questions(found, first=first)
    keys = [f"siblings_keeps_{method}"]
    if found:
        keys.append(f"siblings_answer_{st.session_state[QUESTION]}")
    explain(*keys)
