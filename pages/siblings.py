"""Siblings: four methods that learn from two views, what keeps each from collapsing, and runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from core import barlow_twins, byol, dssl, methods, simsiam, vicreg
from core.simsiam_explorer import RunRecord
from pages.shared import controls, figures, run_charts, runs
from pages.shared.run_charts import STATES, Reference, has_learnt, spread_of, state
from pages.shared.text import (
    GREY,
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

SHARE = 0.5  # collapsed: below this share of the baseline, as the page Collapse has it by default
Z, Z1, Z2 = coloured("z"), coloured("z", "z_1"), coloured("z", "z_2")
TARGET1, TARGET2 = coloured("z", r"z^\xi_1"), coloured("z", r"z^\xi_2")
STOP = r"\operatorname{stop}"


# ---------------------------------------------------------------- the methods


@dataclass(frozen=True)
class Sibling:
    """A method: its loss, what keeps it from collapsing, the part to remove, a run without it."""

    title: str
    latex: str
    keeps: str
    remove: str
    shown_by: str = ""


PARTS = {
    "negatives": N_("negatives"),
    "momentum": N_("momentum target"),
    "predictor": N_("predictor"),
    "stop": N_("stop-gradient"),
    "variance": N_("variance term"),
    "decorrelation": N_("decorrelation"),
    "shared": N_("shared weights"),
}
HAS = {
    "simsiam": {"predictor", "stop", "shared"},
    "byol": {"momentum", "predictor", "stop"},
    "barlow_twins": {"decorrelation", "shared"},
    "vicreg": {"variance", "decorrelation", "shared"},
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
        N_("the stop-gradient"),
        "no-stop-gradient",
    ),
    "byol": Sibling(
        "BYOL",
        rf"4 - 2\cos(p_1, {TARGET2}) - 2\cos(p_2, {TARGET1})",
        N_(
            "The target is another network that gradients never reach, a moving average of the "
            "one that learns; a predictor has to hit it."
        ),
        N_(
            "the predictor (table 5 of the paper). With momentum 0 BYOL is SimSiam, so SimSiam's "
            "run without predictor stands for it here"
        ),
        "no-predictor",
    ),
    "barlow_twins": Sibling(
        "Barlow Twins",
        r"\textstyle\sum_i (1 - C_{ii})^2 + \lambda \sum_{i \neq j} C_{ij}^2",
        N_(
            "Channels are standardised over the batch: a constant one has correlation 0, where "
            "the diagonal asks for 1, and what lies off the diagonal forbids channels to copy one "
            "another."
        ),
        N_(
            "the decorrelation (λ = 0). Then all channels may say the same: a collapse to one "
            "direction, not to one point, which the standardisation alone excludes"
        ),
    ),
    "vicreg": Sibling(
        "VICReg",
        rf"\lambda\,s({Z1}, {Z2}) + \tfrac{{\mu}}{{2}}\big(v({Z1}) + v({Z2})\big)"
        rf" + \nu\big(c({Z1}) + c({Z2})\big)",
        N_(
            "It is said outright: a term of the loss asks every channel to vary over the batch, "
            "another forbids channels to vary together."
        ),
        N_("the variance term"),
        "vicreg-no-variance",
    ),
    "dssl": Sibling(
        "DSSL",
        rf"\tfrac12 L_{{\mathrm{{SimSiam}}}} - \tfrac14\cos(p'_1, {STOP}\,{Z1})"
        rf" - \tfrac14\cos(p'_2, {STOP}\,{Z2})",
        N_(
            "SimSiam's own parts, among standard views. Harder views follow them and never lead: "
            "a picture that was changed beyond recognition cannot pull the target towards it."
        ),
        N_("the stop-gradient, as in SimSiam"),
        "no-stop-gradient",
    ),
}


def overview(found: Mapping[str, RunRecord]) -> None:
    """One method at a time: its diagram, its loss, and which part to remove."""
    titles = {method: sibling.title for method, sibling in SIBLINGS.items()}
    method = controls.choice(_("Method"), titles, "siblings_method")
    left, right = st.columns(2, gap="large")
    with left:
        parts = {"method": method, **methods.method_class(method).config_class().plain()}
        figure, arrows = diagram(wiring(parts, heavy=False))
        alt = diagram_alt(titles[method], arrows)
        figures.plain_chart(
            figure, "siblings_diagram", alt, lambda: arrow_rows(arrows), height=DIAGRAM_HEIGHT
        )
        st.caption(legend_of_diagrams())
    with right:
        said(SIBLINGS[method], found)
        table_of_parts()


def said(sibling: Sibling, found: Mapping[str, RunRecord]) -> None:
    """The loss, what keeps the method from collapsing, and the run without that."""
    st.markdown(_("**Its loss**"))
    st.latex(sibling.latex)
    st.markdown(_("**Why it does not collapse.**") + " " + _(sibling.keeps))
    st.markdown(_("**The part to remove:** {part}.").format(part=_(sibling.remove)))
    record = found.get(sibling.shown_by)
    if record is not None:
        now, baseline = last(record), found.get("baseline")
        st.markdown(
            _(
                "The run *{run}*: kNN accuracy {before} before training, {knn} at the end; "
                "effective rank of z {rank_before}, then {rank}. By the rule under the table "
                "below: **{state}**."
            ).format(
                run=runs.name(record),
                before=percent(at(record, "test_knn_accuracy", 0), 1),
                knn=percent(at(record, "test_knn_accuracy"), 1),
                rank_before=number(at(record, "test_rank_z", 0)),
                rank=number(at(record, "test_rank_z")),
                state=_(STATES[state(record, baseline, now, SHARE)]),
            )
        )
    elif sibling.shown_by:
        missing = _(runs.LOOKS[sibling.shown_by].name)
        st.markdown(_("The run that shows it, *{run}*, is not here.").format(run=missing))
    else:
        st.markdown(_("No run here is without it."))


def table_of_parts() -> None:
    """Which method has which part."""
    shown = [method for method in SIBLINGS if method in HAS]
    rows = [[""] + [SIBLINGS[method].title for method in shown]]
    for part, label in PARTS.items():
        marks = [
            "✓" if part in HAS[method] else "(✓)" if (method, part) in IMPLICIT else "–"
            for method in shown
        ]
        rows.append([_(label), *marks])
    st.html(narrow_table(rows))
    st.caption(
        _(
            "✓ has it, – does not. (✓): Barlow Twins has no variance term, but standardises every "
            "channel over the batch. VICReg could do with different weights in its branches; here "
            "they are the same. DSSL has the parts of SimSiam."
        )
    )


def narrow_table(rows: Sequence[Sequence[str]]) -> str:
    """Rows as HTML, the first row and column as heads: five columns on the width of a phone."""
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


# ---------------------------------------------------------------- diagrams


Branch = Literal["learns", "stopped", "target"]
Head = Literal["none", "learns", "fixed"]
Meeting = Literal["cosine", "correlation", "terms"]
LEFT, MIDDLE, RIGHT = 0.25, 0.5, 0.75
NARROW, BOX, WIDE = 0.12, 0.38, 0.9
HALF = 0.29
DIAGRAM_HEIGHT = 540
FLOW, TARGET, INK = "#009E73", "#0072B2", "#1D2733"
LEARNS, STILL, PAPER = "#DDF1EA", "#ECEBE7", "#FDFCF9"
ROWS = ("loss", "p", "predictor", "z", "projector", "encoder", "view", "picture")
PICTURE_ROWS = ("picture", "view")


@dataclass(frozen=True)
class Wiring:
    """What a method connects: the left branch always learns, ``right`` says what the other does.

    ``views``: names of the two; ``harder``: the left one is made from the right one. ``terms``:
    those that VICReg asks of each branch.
    """

    views: tuple[str, str]
    right: Branch
    head: Head
    meeting: Meeting
    loss: str
    momentum: float | None = None
    harder: bool = False
    terms: str = ""


@dataclass(frozen=True)
class Box:
    """A part of a diagram; ``learns``: gradients reach its weights from here."""

    text: str
    x: float
    row: str
    width: float = BOX
    learns: bool = False

    @property
    def y(self) -> float:
        return ROWS.index(self.row)


@dataclass(frozen=True)
class Arrow:
    """From one box to another; ``gradient``: it comes back this way. ``x``: where it runs."""

    start: Box
    end: Box
    gradient: bool
    x: float


@dataclass(frozen=True)
class Sketch:
    """Shapes and annotations of a figure, set at once: one by one they take Plotly ten times as
    long.
    """

    shapes: list[dict] = field(default_factory=list)
    notes: list[dict] = field(default_factory=list)

    def figure(self, lowest: float) -> go.Figure:
        """Drawn, from ``lowest`` to the top row."""
        figure = go.Figure()
        figure.update_xaxes(range=[0, 1], visible=False, fixedrange=True)
        figure.update_yaxes(range=[lowest - 0.5, len(ROWS) - 0.5], visible=False, fixedrange=True)
        figure.update_layout(
            shapes=self.shapes,
            annotations=self.notes,
            plot_bgcolor="rgba(0,0,0,0)",
            showlegend=False,
        )
        return figure


def wiring(parts: Mapping[str, object], *, heavy: bool) -> Wiring:
    """The wiring of an architecture, as bundles have it."""
    method = parts["method"]
    views = (_("x₁, heavy"), _("x₂, heavy")) if heavy else ("x₁", "x₂")
    if method == "barlow_twins":
        return Wiring(views, "learns", "none", "correlation", "Cᵢᵢ → 1, Cᵢⱼ → 0")
    if method == "vicreg":
        terms = [letter for letter, name in (("v", "variance"), ("c", "covariance")) if parts[name]]
        return Wiring(views, "learns", "none", "terms", "s(z₁, z₂)", terms="".join(terms))
    if method == "byol":
        momentum = float(parts["momentum"])
        loss = "2 − 2 cos(p₁, z₂)"
        return Wiring(views, "target", "learns", "cosine", loss, momentum)
    if method not in ("simsiam", "dssl"):
        raise ValueError(f"method must be one of {', '.join(methods.METHODS)}, got {method!r}")
    right: Branch = "stopped" if parts["stop_gradient"] else "learns"
    kind: Head = {"mlp": "learns", "identity": "none", "fixed": "fixed"}[parts["predictor"]]
    if method == "dssl":
        views = (_("x₁′, harder"), "x₁")
        return Wiring(views, right, kind, "cosine", "−cos(p₁′, z₁)", harder=True)
    answer = "z₁" if kind == "none" else "p₁"
    return Wiring(views, right, kind, "cosine", f"−cos({answer}, z₂)")


def left_boxes(of: Wiring) -> list[Box]:
    """The branch that learns, from the view down."""
    prime = "₁′" if of.harder else "₁"
    boxes = [
        Box(of.views[0], LEFT, "view"),
        Box(_("encoder"), LEFT, "encoder", learns=True),
        Box(_("projector"), LEFT, "projector", learns=True),
        Box(f"z{prime}", LEFT, "z", NARROW),
    ]
    if of.head != "none":
        named = _("predictor") if of.head == "learns" else _("predictor, fixed")
        boxes.append(Box(named, LEFT, "predictor", learns=of.head == "learns"))
        boxes.append(Box(f"p{prime}", LEFT, "p", NARROW))
    return boxes


def right_boxes(of: Wiring) -> list[Box]:
    """The other branch, from the view down."""
    target, learns = of.right == "target", of.right == "learns"
    return [
        Box(of.views[1], RIGHT, "view"),
        Box(_("target encoder") if target else _("encoder"), RIGHT, "encoder", learns=learns),
        Box(_("target projector") if target else _("projector"), RIGHT, "projector", learns=learns),
        Box("z₁" if of.harder else "z₂", RIGHT, "z", NARROW),
    ]


def connected(of: Wiring) -> tuple[list[Box], list[Arrow]]:
    """All boxes and arrows of a wiring."""
    picture = Box(_("picture x"), MIDDLE, "picture", WIDE)
    left, right = left_boxes(of), right_boxes(of)
    arrows = [Arrow(picture, right[0], False, RIGHT)]
    arrows.append(
        Arrow(right[0], left[0], False, MIDDLE)
        if of.harder
        else Arrow(picture, left[0], False, LEFT)
    )
    learns = of.right == "learns"
    for branch, gradient in ((left, True), (right, learns)):
        for first, second in pairwise(branch):
            arrows.append(Arrow(first, second, gradient and first.row not in PICTURE_ROWS, first.x))
    ends = ((left[-1], True), (right[-1], learns))
    if of.meeting == "cosine":
        met = [Box(of.loss, MIDDLE, "loss", WIDE)]
        arrows += [Arrow(box, met[0], gradient, box.x) for box, gradient in ends]
    elif of.meeting == "correlation":
        met = [Box("C", MIDDLE, "z", NARROW), Box(of.loss, MIDDLE, "predictor", WIDE)]
        arrows += [Arrow(box, met[0], gradient, MIDDLE) for box, gradient in ends]
        arrows.append(Arrow(met[0], met[1], True, MIDDLE))
    elif of.meeting == "terms":
        met = [Box(of.loss, MIDDLE, "z", 0.2)]
        arrows += [Arrow(box, met[0], gradient, MIDDLE) for box, gradient in ends]
        for box, gradient in ends:
            text = " + ".join(f"{term}({box.text})" for term in of.terms)
            met.append(Box(text, box.x, "predictor"))
            arrows.append(Arrow(box, met[-1], gradient, box.x))
    else:
        raise ValueError(f"meeting must be cosine, correlation or terms, got {of.meeting!r}")
    return [picture, *left, *right, *met], arrows


def diagram(of: Wiring) -> tuple[go.Figure, list[Arrow]]:
    """The two branches, views above, loss below; arrows in colour where a gradient comes back."""
    boxes, arrows = connected(of)
    sketch = Sketch()
    for box in boxes:
        draw_box(sketch, box)
    for arrow in arrows:
        draw_arrow(sketch, arrow)
    between(sketch, of)
    if of.right == "stopped":
        cut(sketch, ROWS.index("z") - 0.5 - HALF)
    return sketch.figure(min(box.y for box in boxes)), arrows


def draw_box(sketch: Sketch, box: Box) -> None:
    """A frame with its words, green where it learns."""
    half = box.width / 2
    sketch.shapes.append(
        {
            "type": "rect",
            "x0": box.x - half,
            "x1": box.x + half,
            "y0": box.y - HALF,
            "y1": box.y + HALF,
            "line": {"color": FLOW if box.learns else GREY, "width": 3 if box.learns else 1.5},
            "fillcolor": LEARNS if box.learns else STILL,
        }
    )
    words(sketch, box.x, box.y, box.text, INK, LEARNS if box.learns else STILL)


def draw_arrow(sketch: Sketch, arrow: Arrow) -> None:
    """Straight down, or straight across between boxes of one row."""
    start, end = arrow.start, arrow.end
    if start.row == end.row:
        way = 1 if end.x > start.x else -1
        tail = (start.x + way * start.width / 2, start.y)
        tip = (end.x - way * end.width / 2, end.y)
    else:
        tail, tip = (arrow.x, start.y - HALF), (arrow.x, end.y + HALF)
    draw_line(sketch, tail, tip, FLOW if arrow.gradient else GREY, 4 if arrow.gradient else 1.5)


def draw_line(
    sketch: Sketch,
    tail: tuple[float, float],
    tip: tuple[float, float],
    colour: str,
    width: float,
) -> None:
    sketch.notes.append(
        {
            "x": tip[0],
            "y": tip[1],
            "ax": tail[0],
            "ay": tail[1],
            "axref": "x",
            "ayref": "y",
            "text": "",
            "showarrow": True,
            "arrowhead": 2,
            "arrowsize": 1 if width > 2 else 1.6,
            "arrowwidth": width,
            "arrowcolor": colour,
        }
    )


def between(sketch: Sketch, of: Wiring) -> None:
    """What joins the branches: the same weights, or a target that follows."""
    edge = BOX / 2
    for row in ("encoder", "projector"):
        y = ROWS.index(row)
        if of.momentum is None:
            for off in (-0.06, 0.06):  # an equals sign as long as the gap
                x0, x1, level = LEFT + edge, RIGHT - edge, y + off
                line = {"color": GREY, "width": 2}
                sketch.shapes.append(
                    {"type": "line", "x0": x0, "x1": x1, "y0": level, "y1": level, "line": line}
                )
        else:
            draw_line(sketch, (LEFT + edge, y), (RIGHT - edge, y), TARGET, 3)
    y = ROWS.index("projector") + 0.5
    if of.momentum is None:
        words(sketch, MIDDLE, y, _("same weights"), INK)
    else:
        text = _("copy") if of.momentum == 0 else f"m = {number(of.momentum, 2)}"
        words(sketch, MIDDLE, y, text, TARGET)


def words(sketch: Sketch, x: float, y: float, text: str, colour: str, paper: str = PAPER) -> None:
    """Words in front of all lines, on light paper: as readable on a dark page."""
    sketch.notes.append(
        {
            "x": x,
            "y": y,
            "text": text,
            "showarrow": False,
            "font": {"size": 16, "color": colour},
            "bgcolor": paper,
        }
    )


def cut(sketch: Sketch, y: float) -> None:
    """Two strokes across the arrow of z, where its gradient ends."""
    for off in (-0.1, 0.1):
        sketch.shapes.append(
            {
                "type": "line",
                "x0": RIGHT - 0.07,
                "x1": RIGHT + 0.07,
                "y0": y + off - 0.09,
                "y1": y + off + 0.09,
                "line": {"color": figures.MARK_COLOUR, "width": 4},
            }
        )
    words(sketch, RIGHT, y - 0.55, _("stop-gradient"), figures.MARK_COLOUR)


def legend_of_diagrams() -> str:
    """What colours and strokes mean."""
    return _(
        "Green and thick: a gradient comes back along this arrow. Grey and thin: none does. "
        "Boxes with a green frame learn from it. Where a predictor or a target tells the branches "
        "apart, the loss takes the views the other way round as well."
    )


def diagram_alt(title: str, arrows: Sequence[Arrow]) -> str:
    """The diagram in words."""
    return _("Diagram of {name}. With a gradient: {flow}. Without: {still}.").format(
        name=title,
        flow="; ".join(in_words(arrow) for arrow in arrows if arrow.gradient),
        still="; ".join(in_words(arrow) for arrow in arrows if not arrow.gradient),
    )


def in_words(arrow: Arrow) -> str:
    return f"{arrow.start.text} → {arrow.end.text}"


def arrow_rows(arrows: Sequence[Arrow]) -> list[dict]:
    return [
        {
            "from": arrow.start.text,
            "to": arrow.end.text,
            "branch": "left" if arrow.x < MIDDLE else "right" if arrow.x > MIDDLE else "between",
            "gradient": arrow.gradient,
        }
        for arrow in arrows
    ]


def diagram_of_a_run(records: Sequence[RunRecord]) -> None:
    """The wiring of one of the runs, from its own configuration."""
    labels = {record.recipe: runs.look(record).name for record in records}
    chosen = controls.choice(_("Diagram of"), labels, "siblings_wiring")
    record = next(record for record in records if record.recipe == chosen)
    config = record.bundle.config
    figure, arrows = diagram(wiring(config["architecture"], heavy=config["training"]["heavy"]))
    figures.chart(
        figure,
        "siblings_run_diagram",
        diagram_alt(runs.name(record), arrows),
        run_charts.provenance([record], None, {}),
        lambda: arrow_rows(arrows),
        height=DIAGRAM_HEIGHT,
    )


# ---------------------------------------------------------------- what runs say


Runs = Mapping[str, RunRecord]


def last(record: RunRecord) -> int:
    return int(record.epochs[-1])


def at(record: RunRecord, column: str, epoch: int = -1) -> float:
    return float(record.figures[column][epoch])


def asked(record: RunRecord) -> int:
    """How many test pictures the kNN accuracy by epoch is over."""
    config = record.bundle.config
    return min(config["training"]["protocol"]["queries"], config["data"]["test_pictures"])


def standard_error(*records: RunRecord) -> float:
    """Of a sum or difference of the runs' final kNN accuracies, each a share of ``asked``."""
    shares = [at(record, "test_knn_accuracy") for record in records]
    return float(np.sqrt(sum(p * (1 - p) / asked(r) for p, r in zip(shares, records, strict=True))))


def points(difference: float) -> str:
    """A difference of shares in percentage points, with its sign."""
    return ("+" if difference > 0 else "") + number(100 * difference, 1)


def compared(first: RunRecord, second: RunRecord) -> str:
    """Which of two runs ends with the higher kNN accuracy, if that is more than chance."""
    a, b = at(first, "test_knn_accuracy"), at(second, "test_knn_accuracy")
    said_of = {
        "a": runs.name(first),
        "b": runs.name(second),
        "x": percent(a, 1),
        "y": percent(b, 1),
        "count": number(asked(first), 0),
    }
    if abs(a - b) <= 2 * standard_error(first, second):
        words = _(
            "**{a}** ({x}) and **{b}** ({y}) end alike in kNN accuracy: {count} test pictures "
            "cannot tell them apart."
        )
    elif a > b:
        words = _("**{a}** ends with a higher kNN accuracy than **{b}**: {x} against {y}.")
    else:
        words = _("**{a}** ends with a lower kNN accuracy than **{b}**: {x} against {y}.")
    return words.format(**said_of)


def pairs(found: Runs, *wanted: tuple[str, str]) -> list[str]:
    """``compared`` for those pairs of recipes that are both here."""
    return [compared(found[a], found[b]) for a, b in wanted if a in found and b in found]


def states_said(records: Sequence[RunRecord], baseline: RunRecord | None) -> list[str]:
    """Who collapsed and who learnt something, by name."""
    templates = {
        "collapsed": N_("**Collapsed:** {runs}."),
        "flat": N_("**One sign of two** (spread or rank is low, not both): {runs}."),
        "spread": N_("**Not collapsed:** {runs}."),
    }
    lines = []
    for code, template in templates.items():
        mine = [r for r in records if state(r, baseline, last(r), SHARE) == code]
        if mine:
            lines.append(_(template).format(runs="; ".join(runs.name(r) for r in mine)))
    idle = [r for r in records if not has_learnt(r, last(r))]
    if idle:
        lines.append(
            _("**No better than before training**, by kNN accuracy: {runs}.").format(
                runs="; ".join(runs.name(r) for r in idle)
            )
        )
    return lines


def listed(records: Sequence[RunRecord], value: Callable[[RunRecord], str]) -> str:
    """Runs and what is said of each."""
    return "; ".join(f"{runs.name(record)} {value(record)}" for record in records)


def updates(record: RunRecord) -> int:
    """Steps that a run took: whole batches an epoch, one at least."""
    training, about = record.bundle.config["training"], record.bundle.config["data"]
    return max(1, about["pictures"] // training["batch_size"]) * last(record)


def peak_rate(record: RunRecord) -> float:
    """The learning rate that a run starts from: it grows with the batch."""
    training = record.bundle.config["training"]
    return training["learning_rate"] * training["batch_size"] / 256


def change(first: RunRecord, second: RunRecord) -> str:
    """What two runs differ by in d and batch."""
    parts = []
    if first.dim != second.dim:
        parts.append(f"d {number(first.dim, 0)} → {number(second.dim, 0)}")
    batches = [record.bundle.config["training"]["batch_size"] for record in (first, second)]
    if batches[0] != batches[1]:
        before, after = (number(size, 0) for size in batches)
        parts.append(_("batch {before} → {after}").format(before=before, after=after))
    return ", ".join(parts)


# ---------------------------------------------------------------- the questions


def barlow_alike(found: Runs) -> list[str]:
    """How both methods react to d and batch."""
    lines = pairs(found, ("barlow", "baseline"))
    for recipe in ("dim-4096", "batch-4096", "dim-4096-batch-4096"):
        wanted = ("baseline", recipe, "barlow", f"barlow-{recipe}")
        ends = [found.get(name) for name in wanted]
        if all(ends):
            lines.append(reaction(*ends))
        else:
            lines += pairs(found, (recipe, "baseline"), (f"barlow-{recipe}", "barlow"))
    large = [found[r] for r in ("batch-4096", "barlow-batch-4096") if r in found]
    if large and "baseline" in found:
        lines.append(
            _(
                "In the same number of epochs the large batch takes {few} updates of the weights, "
                "the other one {many}."
            ).format(few=number(updates(large[0]), 0), many=number(updates(found["baseline"]), 0))
        )
    return lines


def reaction(first: RunRecord, second: RunRecord, third: RunRecord, fourth: RunRecord) -> str:
    """From the first to the second run, and from the third to the fourth: alike or not?"""
    simsiam_moves = at(second, "test_knn_accuracy") - at(first, "test_knn_accuracy")
    barlow_moves = at(fourth, "test_knn_accuracy") - at(third, "test_knn_accuracy")
    apart = abs(simsiam_moves - barlow_moves) > 2 * standard_error(first, second, third, fourth)
    words = (
        _(
            "**{change}:** kNN accuracy of SimSiam {a} points, of Barlow Twins {b}. They react "
            "**differently**, by more than chance."
        )
        if apart
        else _(
            "**{change}:** kNN accuracy of SimSiam {a} points, of Barlow Twins {b}. That is **no "
            "difference** that {count} test pictures can tell from chance."
        )
    )
    return words.format(
        change=change(first, second),
        a=points(simsiam_moves),
        b=points(barlow_moves),
        count=number(asked(first), 0),
    )


def heavy_views(found: Runs) -> list[str]:
    """What heavier views do, and where views are made at all."""
    lines = pairs(found, ("heavy", "baseline"), ("heavy-dssl", "heavy"), ("heavy-dssl", "baseline"))
    here = [found[r] for r in ("baseline", "heavy", "heavy-dssl") if r in found]
    if here:
        lines.append(
            _(
                "Largest fall of the kNN accuracy from one epoch to the next, in points: {runs}."
            ).format(runs=listed(here, lambda record: number(100 * largest_fall(record), 1)))
        )
        lines.append(views_in_words(here[-1]))
    return lines


def largest_fall(record: RunRecord) -> float:
    """How far the kNN accuracy fell in the worst epoch, 0 where it never did."""
    return max(0.0, float(-np.diff(record.figures["test_knn_accuracy"]).min()))


def views_in_words(record: RunRecord) -> str:
    """The augmentation of a run, from its configuration."""
    training = record.bundle.config["training"]
    standard, harder = training["views"], training["harder"]
    words = _(
        "**Where SimSiam augments:** only in making its views, twice for each picture of every "
        "batch: a crop of at least {crop} of the area, mirrored in {flip} of the cases, colours "
        "changed in {jitter}, grey in {grey}. The network is tested on pictures as they are."
    ).format(**{name: percent(standard[name]) for name in ("crop", "flip", "jitter", "grey")})
    if not training["heavy"]:
        return words
    return f"{words} " + _(
        "Harder views are further turned by up to {rotation}°, inverted where they are light in "
        "{solarize} of the cases, their quarters shuffled in {jigsaw}, and lose a square as wide "
        "as {cutout} of the picture."
    ).format(
        rotation=number(harder["rotation"], 0),
        **{name: percent(harder[name]) for name in ("solarize", "jigsaw", "cutout")},
    )


def kept_from_collapse(found: Runs) -> list[str]:
    """VICReg with and without its variance term."""
    lines = pairs(found, ("vicreg", "vicreg-no-variance"))
    here = [found[r] for r in ("vicreg", "vicreg-no-variance") if r in found]
    if here:
        lines.append(
            _("Total variance of z, before training and at the end: {runs}.").format(
                runs=listed(here, lambda r: from_to(r, lambda e: at(r, "test_variance_z", e)))
            )
        )
        lines.append(
            _("std·√d of the normalised z, before training and at the end: {runs}.").format(
                runs=listed(here, lambda r: from_to(r, lambda e: spread_of(r, e)))
            )
        )
    return lines


def from_to(record: RunRecord, value: Callable[[int], float]) -> str:
    return f"{short(value(0))} → {short(value(last(record)))}"


def short(value: float) -> str:
    """A number of any size in about three digits."""
    if value != 0 and not 1e-3 <= abs(value) < 1e5:
        return f"{value:.1e}"
    return number(value, max(0, 2 - int(np.floor(np.log10(abs(value) or 1)))))


def byol_or_simsiam(found: Runs) -> list[str]:
    """What the momentum adds, and what it costs."""
    lines = pairs(
        found,
        ("byol", "baseline"),
        ("byol-no-momentum", "baseline"),
        ("byol", "byol-no-momentum"),
        ("byol-no-momentum", "no-stop-gradient"),
    )
    if {"byol-no-momentum", "baseline"} <= found.keys():
        pair = [found[name] for name in ("byol-no-momentum", "baseline")]
        first, second = (record.figures["test_knn_accuracy"] for record in pair)
        lines.append(
            _(
                "The kNN accuracies of BYOL with momentum 0 and of SimSiam lie {points} points "
                "apart at most, over all epochs. Their learning rates: {byol} and {simsiam}."
            ).format(
                points=number(100 * float(np.abs(first - second).max()), 1),
                byol=number(peak_rate(pair[0]), 3),
                simsiam=number(peak_rate(pair[1]), 3),
            )
        )
    if "byol" in found:
        record = found["byol"]
        momentum = record.bundle.config["architecture"]["momentum"]
        lines.append(
            _(
                "With m = {m} the target is an average over about 1/(1 − m) = {memory} updates, of "
                "{all} in the whole run. With m = 0 it is the network itself as the last update "
                "left it: **SimSiam's stop-gradient, computed the long way round**."
            ).format(
                m=number(momentum, 2),
                memory=number(1 / (1 - momentum), 0),
                all=number(updates(record), 0),
            )
        )
        if "baseline" in found:
            lines.append(
                _(
                    "The target is a second pass of both views, without gradient: an epoch of "
                    "training took {byol} s with BYOL, {simsiam} s with SimSiam, whatever else their "
                    "machine did."
                ).format(
                    byol=number(seconds_an_epoch(record), 1),
                    simsiam=number(seconds_an_epoch(found["baseline"]), 1),
                )
            )
    return lines


def asymmetry(found: Runs) -> list[str]:
    """SimSiam without what makes its branches differ."""
    others = ("no-predictor", "fixed-predictor", "no-stop-gradient", "neither")
    lines = pairs(found, *(("baseline", other) for other in others))
    if "baseline" in found:
        lines.append(
            _(
                "The predictor keeps its learning rate of {rate} to the end, while that of encoder "
                "and projector falls from {rate} to 0 by a cosine: it has to keep up with a "
                "representation that still moves."
            ).format(rate=number(peak_rate(found["baseline"]), 3))
        )
    return lines


@dataclass(frozen=True)
class Question:
    """One of the assignment's questions: the runs that answer it, and how they are read."""

    label: str
    words: str
    recipes: tuple[str, ...]
    answer: Callable[[Runs], list[str]]
    why: str


QUESTIONS = {
    "5c": Question(
        N_("5 c · Barlow Twins"),
        N_(
            "Give the projector 4,096 outputs instead of 2,048, and train in batches of 4,096. "
            "**Would Barlow Twins react as SimSiam does?**"
        ),
        (
            "baseline",
            "dim-4096",
            "batch-4096",
            "dim-4096-batch-4096",
            "barlow",
            "barlow-dim-4096",
            "barlow-batch-4096",
            "barlow-dim-4096-batch-4096",
        ),
        barlow_alike,
        N_(
            "SimSiam's loss looks at one picture at a time: d only says how long z is, and the "
            "batch matters through batch normalisation, through the number of updates, and "
            "through the learning rate that grows with it. The loss of Barlow Twins is a sum over "
            "d × d correlations, each estimated from one batch. More channels are more "
            "decorrelated directions to fill, so that its authors find it to gain from d far "
            "beyond 2,048 where other methods do not (figure 4 of the paper); a larger batch "
            "estimates C better, yet small batches do (figure 2)."
        ),
    ),
    "6": Question(
        N_("6 · Heavy augmentation"),
        N_(
            "Heavy augmentation makes SimSiam unstable. **Where does SimSiam augment at all, and "
            "what could be done about it?**"
        ),
        ("baseline", "heavy", "heavy-dssl"),
        heavy_views,
        N_(
            "A view that was turned, shuffled and cut out has lost much of its picture. The "
            "symmetric loss draws both views together, so it also draws the good view towards "
            "what is left in the bad one. DSSL gives the pair a direction: the harder view learns "
            "from the standard view that it was made from, whose gradient is stopped; among "
            "standard views the loss stays symmetric."
        ),
    ),
    "7": Question(
        N_("7 · Avoiding collapse"),
        N_(
            "Both branches could ignore their input and answer with one constant vector. **What "
            "keeps them from it?** VICReg says so in its loss: take the term away."
        ),
        ("vicreg", "vicreg-no-variance"),
        kept_from_collapse,
        N_(
            "Ways out of collapse: negatives that push other pictures away (contrastive methods); "
            "asymmetry (stop-gradient with a predictor: SimSiam; a momentum target: BYOL); "
            "statistics of the batch (Barlow Twins, VICReg). VICReg has three terms. "
            "**Invariance** s: both views have the same z. **Variance** v: every channel has a "
            "standard deviation of 1 at least. **Covariance** c: no two channels vary together. "
            "Without v a constant z makes the two others 0. Without c all channels may say the "
            "same: a collapse to one direction."
        ),
    ),
    "8": Question(
        N_("8 · BYOL and SimSiam"),
        N_(
            "BYOL's target is a moving average of the network, SimSiam's is the network itself "
            "with its gradient stopped. **Is it the momentum that prevents collapse?**"
        ),
        ("baseline", "byol", "byol-no-momentum", "no-stop-gradient"),
        byol_or_simsiam,
        N_(
            "Both have a predictor, both stop the gradient at the target, and both losses are the "
            "same cosine on another scale. They differ in the target: BYOL keeps a second set of "
            "weights that follows slowly, so that the target is steadier than any single step of "
            "the network; SimSiam shares its weights. What both cannot do without is the stopped "
            "gradient and the predictor: momentum makes targets steadier, it is not what prevents "
            "collapse. BYOL's loss is 4 + 4 times SimSiam's: at a quarter of the learning rate and four "
            "times the weight decay, momentum 0 takes SimSiam's very steps."
        ),
    ),
    "9": Question(
        N_("9 · Asymmetry"),
        N_(
            "SimSiam treats its two views differently: one goes through a predictor, the other "
            "gets no gradient. **What is that asymmetry good for?**"
        ),
        ("baseline", "no-predictor", "fixed-predictor", "no-stop-gradient", "neither"),
        asymmetry,
        N_(
            "Symmetric branches can meet anywhere, and the nearest place to meet is a constant. "
            "With the gradient stopped on one side, one branch moves and the other one is a fixed "
            "goal for that step: the two parts take turns, as in k-means. The predictor makes the "
            "goal one that can be reached: the mean over all views of a picture. Without predictor "
            "p is z, and since both orders of the views count, stopping the gradient **halves it "
            "and leaves its direction**: the symmetric loss is back. A predictor that cannot "
            "learn asks for something that has nothing to do with the pictures. The gain: no "
            "negatives, no large batches, no second network."
        ),
    ),
}


def questions(found: Runs) -> None:
    """A question, the runs that answer it, and what they say."""
    st.subheader(_("Questions to the runs"), anchor=False)
    labels = {code: question.label for code, question in QUESTIONS.items()}
    question = QUESTIONS[controls.choice(_("Question"), labels, "siblings_question", default="9")]
    st.markdown(_(question.words))
    records = [found[recipe] for recipe in question.recipes if recipe in found]
    missing = [_(runs.LOOKS[recipe].name) for recipe in question.recipes if recipe not in found]
    if missing:
        st.caption(_("Not in this set of runs: {runs}.").format(runs="; ".join(missing)))
    if not records:
        st.info(_("None of the runs of this question is here."))
        return
    charts(records, controls.choice(_("Figure"), FIGURES, "siblings_figure"))
    st.subheader(_("At the end"), anchor=False)
    baseline = found.get("baseline")
    table(records, baseline)
    left, right = st.columns(2, gap="large")
    with left:
        st.markdown(_("**What these runs say**"))
        lines = [*states_said(records, baseline), *question.answer(found)]
        st.markdown("\n".join(f"- {line}" for line in lines))
        st.caption(
            _(
                "One run each, so one seed: chance is that of the choice of test pictures (two "
                "standard errors), not that of another training."
            )
        )
        st.markdown(_("**Why**") + "  \n" + _(question.why))
    with right:
        diagram_of_a_run(records)
        st.caption(legend_of_diagrams())
    runs.what_they_are(records)


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
        before = sorted({at(record, "test_knn_accuracy", 0) for record in records})
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
        st.caption(
            _(
                "These runs have different losses, on different scales: each has a figure of its "
                "own, and no value of one says anything about another."
            )
        )
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


def seconds_an_epoch(record: RunRecord) -> float:
    """Training alone, without what is measured after it; the median epoch."""
    return float(np.median([row["seconds_train"] for row in record.bundle.history]))


def table(records: Sequence[RunRecord], baseline: RunRecord | None) -> None:
    """What every run came to."""
    rows = [
        {
            "run": record.recipe,
            "bundle": record.bundle.name,
            "hash": record.bundle.digest,
            "d": record.dim,
            "batch": record.bundle.config["training"]["batch_size"],
            "knn_before": at(record, "test_knn_accuracy", 0),
            "knn": at(record, "test_knn_accuracy"),
            "linear_probe": record.bundle.metrics["test"]["linear_accuracy"],
            "std_root_d": spread_of(record, last(record)),
            "rank_z": at(record, "test_rank_z"),
            "rank_h": at(record, "test_rank_h"),
            "seconds_an_epoch": seconds_an_epoch(record),
            "state": state(record, baseline, last(record), SHARE),
        }
        for record in records
    ]
    st.dataframe(
        [
            {
                _("run"): runs.name(record),
                _("state"): _(STATES[row["state"]]),
                "kNN": percent(row["knn"], 1),
                _("kNN before"): percent(row["knn_before"], 1),
                _("linear probe"): percent(row["linear_probe"], 1),
                _("std(z) √d"): number(row["std_root_d"], 2),
                _("rank of z"): number(row["rank_z"]),
                _("rank of h"): number(row["rank_h"]),
                _("s/epoch"): number(row["seconds_an_epoch"], 1),
            }
            for record, row in zip(records, rows, strict=True)
        ],
        hide_index=True,
        width="stretch",
    )
    figures.caption(
        run_charts.provenance(records, None, run_charts.over(records[0], "test_knn_accuracy"))
    )
    st.caption(
        _(
            "Collapsed: both std(z) √d and the effective rank of z are below {share} of the "
            "baseline's; one sign of two: one of them is. The baseline is compared with itself before "
            "training. The linear probe is over all {count} test pictures; seconds are those of "
            "training alone, on {device}."
        ).format(
            share=percent(SHARE),
            count=number(records[0].bundle.metrics["test"]["queries"], 0),
            device=records[0].bundle.config["training"]["device"],
        )
    )
    figures.downloads("siblings_table", rows=lambda: rows)


# ---------------------------------------------------------------- the page


def explained() -> None:
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
        )
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
            "SimSiam, BYOL, Barlow Twins and VICReg all learn from two views and no negatives. "
            "**Each has one part without which it collapses.** Find it in the diagram, remove it, "
            "and see what the runs say."
        ),
    )
    found: Runs = {}
    with plain_errors():
        found = runs.chosen_set("siblings_set")
    overview(found)
    if found:
        questions(found)
    explained()


main()
