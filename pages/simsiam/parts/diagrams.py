"""Diagrams of methods that learn from two views: what is connected, and where a gradient returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from typing import Literal

import plotly.graph_objects as go

from core.simsiam import methods
from pages.shared.colours import BLUE, GREEN, GREY, INK, LEARNS, MARK, STILL
from pages.shared.text import _, language, number

Branch = Literal["learns", "stopped", "target"]
Head = Literal["none", "learns", "fixed"]
Meeting = Literal["cosine", "correlation", "terms"]
LEFT, MIDDLE, RIGHT = 0.25, 0.5, 0.75
NARROW, BOX, WIDE = 0.12, 0.38, 0.9
HALF = 0.29
HEIGHT = 540
FLOW, TARGET = GREEN, BLUE
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


def boxes_and_arrows(of: Wiring) -> tuple[list[Box], list[Arrow]]:
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


def draw(of: Wiring) -> tuple[go.Figure, list[Arrow]]:
    """The two branches, views above, loss below; arrows in colour where a gradient comes back."""
    return _draw_wiring(of, language())


@lru_cache(maxsize=64)
def _draw_wiring(of: Wiring, language: str) -> tuple[go.Figure, list[Arrow]]:
    boxes, arrows = boxes_and_arrows(of)
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
        words(sketch, MIDDLE, y, _("same weights"))
    else:
        text = _("copy") if of.momentum == 0 else f"m = {number(of.momentum, 2)}"
        words(sketch, MIDDLE, y, text, TARGET)


def words(
    sketch: Sketch,
    x: float,
    y: float,
    text: str,
    colour: str | None = None,
    paper: str | None = None,
    anchor: Literal["left", "center"] = "center",
) -> None:
    """Words on the paper of a box, or on the page itself: then in the colour of its text, or in one that
    stands out in both themes.
    """
    note = {"x": x, "y": y, "text": text, "showarrow": False, "xanchor": anchor, "align": anchor}
    font = {"size": 16 if anchor == "center" else 14}
    if colour is not None:
        font["color"] = colour
    if paper is not None:
        note["bgcolor"] = paper
    sketch.notes.append({**note, "font": font})


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
                "line": {"color": MARK, "width": 4},
            }
        )
    in_lines = _("stop-gradient").replace(" ", "<br>", 1)
    words(sketch, RIGHT + 0.02, y - 0.65, in_lines, MARK, anchor="left")


def legend() -> str:
    """What colours and strokes mean."""
    return _(
        "Green and thick: a gradient comes back along this arrow. Grey and thin: none does. "
        "Boxes with a green frame learn from it. Where a predictor or a target tells the branches "
        "apart, the loss is also computed with the views swapped."
    )


def alt(title: str, arrows: Sequence[Arrow]) -> str:
    """The diagram in words."""
    return _("Diagram of {name}. With a gradient: {flow}. Without: {still}.").format(
        name=title,
        flow="; ".join(in_words(arrow) for arrow in arrows if arrow.gradient),
        still="; ".join(in_words(arrow) for arrow in arrows if not arrow.gradient),
    )


def in_words(arrow: Arrow) -> str:
    return f"{arrow.start.text} → {arrow.end.text}"


def rows(arrows: Sequence[Arrow]) -> list[dict]:
    return [
        {
            "from": arrow.start.text,
            "to": arrow.end.text,
            "branch": "left" if arrow.x < MIDDLE else "right" if arrow.x > MIDDLE else "between",
            "gradient": arrow.gradient,
        }
        for arrow in arrows
    ]
