"""What networks say of two views: how alike they are to each, and up to which strength."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from core.ddpm.restoration import wilson
from core.pictures.images import Pictures
from core.simsiam.explorer import View
from core.simsiam.neighbours import Nearer, nearer
from core.simsiam.run_record import RunRecord
from core.simsiam.views import Views
from pages.browser import curves, film
from pages.browser.curves import Axis, Level, Series
from pages.shared import controls, figures, live
from pages.shared.colours import AMBER, BLUE, GREY
from pages.shared.figures import Provenance
from pages.shared.picking import PickedPicture
from pages.shared.text import N_, _, number, percent
from pages.simsiam.parts import networks, runs
from pages.simsiam.parts.networks import STRENGTHS, Pair

NEARER = {
    "all ties": N_(
        "At {strength}: **it cannot tell them apart.** In all {count} draws both similarities are equal "
        "to rounding."
    ),
    "some ties": N_(
        "At {strength}: in **{ties} of {count}** draws **it cannot tell them apart**, both similarities "
        "are equal to rounding. In {hits} of the other {decided} view 2 is closer ({low} to {high}; "
        "chance {chance})."
    ),
    "decided": N_(
        "At {strength}: in **{hits} of {decided}** draws view 2 is closer to view 1 than a view of "
        "another picture ({low} to {high}; chance {chance})."
    ),
}
"""In how many draws a view is nearer, by whether rounding decides all of them, some or none."""
JUDGED = {
    "more": N_("That is more than chance."),
    "less": N_("That is less than chance."),
    "may be": N_("That may be chance."),
}
"""Whether that is chance."""

LAYERS = {"z": N_("z, after the projector"), "h": N_("h, the backbone's features")}
SAME, OTHER = BLUE, AMBER
CHANCE = 0.5
COVERAGE = 0.95
"""Of the intervals: as sure as two standard errors, which other claims about runs go by."""
SECONDS_A_NETWORK = 1.5
"""About what 24 draws at 9 strengths take, on two cores."""


@dataclass(frozen=True)
class Question:
    """What is asked: how alike views of one picture are at every strength, and views of ``others``."""

    pair: Pair
    picked: PickedPicture
    others: Pictures
    recipe: Views
    seed: int

    @property
    def networks(self) -> list[tuple[RunRecord, bool]]:
        """The chosen network before and after training, and the one next to it after training.

        Not before where it began with the weights of another bundle, as those are not here.
        """
        states = (False, True) if networks.has_untrained(self.pair.chosen) else (True,)
        rows = [(self.pair.chosen, trained) for trained in states]
        return rows if self.pair.beside is None else [*rows, (self.pair.beside, True)]

    @property
    def request(self) -> tuple:
        return (
            tuple((run.bundle.digest, trained) for run, trained in self.networks),
            self.picked.picture.tobytes(),
            self.others.tobytes(),
            self.recipe,
            self.seed,
            networks.DRAWS,
        )


@dataclass(frozen=True)
class Answers:
    """What the first networks of a question said; the others are still to be asked."""

    found: tuple[networks.Timed[dict[str, np.ndarray]], ...]
    total: int

    @property
    def done(self) -> int:
        return len(self.found)

    @property
    def seconds(self) -> float:
        return sum(one.seconds for one in self.found)

    @property
    def finished(self) -> bool:
        return self.done == self.total


def answers(question: Question) -> Iterator[Answers]:
    """One network after the other."""
    found: list[networks.Timed[dict[str, np.ndarray]]] = []
    for record, trained in question.networks:
        one = networks.by_strength(
            "agreements",
            record,
            question.picked.picture,
            question.recipe,
            question.others,
            question.seed,
            trained=trained,
        )
        found.append(one)
        yield Answers(tuple(found), len(question.networks))


def ask(question: Question) -> Answers | None:
    """The button, and what the networks answered, once somebody has asked them just this."""
    clicked = controls.act(
        _("Ask the network"), key="views_ask", type="primary", icon=":material/neurology:"
    )
    place = st.empty()
    found = live.answer(
        question.request,
        lambda: answers(question),
        "views",
        place,
        lambda now: None,
        wanted=clicked,
        seconds=SECONDS_A_NETWORK * len(question.networks),
    )
    return found if found is not None and found.finished else None


def title(record: RunRecord, trained: bool) -> str:
    if trained:
        return runs.name(record)
    return _("{name}, before training").format(name=runs.name(record))


# ---------------------------------------------------------------- how often the view is nearer


def nearest_strength(strength: float) -> int:
    """The place of the strength that was asked about nearest to this one."""
    return int(np.abs(STRENGTHS - strength).argmin())


def verdict(found: dict[str, np.ndarray], strength: float) -> str:
    """In how many draws the second view is nearer than a view of another picture, at one strength."""
    place = nearest_strength(strength)
    counted = nearer(found["same"][place], found["other"][place])
    return nearer_words(counted, percent(float(STRENGTHS[place])))


def nearer_words(counted: Nearer, strength: str) -> str:
    """A count of draws in words, with its interval; draws that rounding decides are told apart from it."""
    if not counted.decisions:
        return _(NEARER["all ties"]).format(strength=strength, count=counted.count)
    low, high = (float(edge) for edge in interval(counted))
    words = {
        "strength": strength,
        "hits": counted.first,
        "decided": counted.decisions,
        "low": percent(low),
        "high": percent(high),
        "chance": percent(CHANCE),
        "ties": counted.ties,
        "count": counted.count,
    }
    line = _(NEARER["some ties" if counted.ties else "decided"])
    return line.format(**words) + " " + chance_verdict(low, high)


def interval(counted: Nearer) -> tuple[np.ndarray, np.ndarray]:
    """Wilson's interval of the share of decided draws in which the view is nearer."""
    return wilson(np.float64(counted.first / counted.decisions), counted.decisions, COVERAGE)


def chance_verdict(low: float, high: float) -> str:
    """Whether an interval leaves room for chance."""
    if low > CHANCE:
        return _(JUDGED["more"])
    if high < CHANCE:
        return _(JUDGED["less"])
    return _(JUDGED["may be"])


# ---------------------------------------------------------------- against the strength


def limits(question: Question, found: Answers, timeline: str, strength: float) -> None:
    """cos(z1, z2) against the strength of the augmentation, one chart a network."""
    st.markdown(
        _(
            "At {none} nothing changes, except that a view may be mirrored; {one} is what the sliders say; "
            "{two} is twice as far. Where the curves meet, **the network can no longer tell which picture a "
            "view came from**. In brackets: the {coverage} interval."
        ).format(none=percent(0), one=percent(1), two=percent(2), coverage=percent(COVERAGE))
    )
    low = min(
        float(np.quantile(one.value[name], 0.1, axis=1).min())
        for one in found.found
        for name in ("same", "other")
    )
    columns = st.columns(len(found.found))
    for column, (record, trained), one in zip(columns, question.networks, found.found, strict=True):
        with column:
            st.markdown(f"**{title(record, trained)}**")
            curve(question, record, trained, one, timeline, low)
            st.markdown(verdict(one.value, strength))


def curve(
    question: Question,
    record: RunRecord,
    trained: bool,
    found: networks.Timed[dict[str, np.ndarray]],
    timeline: str,
    low: float,
) -> None:
    """Mean and the middle 8 of 10 draws, for views of the picture and of others; moves with the hand."""
    key = f"views_agree_{record.recipe}_{'after' if trained else 'before'}"
    name = title(record, trained)
    series = []
    for code, label, colour in (
        ("same", _("two views"), SAME),
        ("other", _("other pictures"), OTHER),
    ):
        values = found.value[code]
        tenth, most = np.quantile(values, (0.1, 0.9), axis=1)
        series.append(
            Series(
                label,
                100 * STRENGTHS,
                values.mean(axis=1),
                colour,
                dash="solid" if code == "same" else "dash",
                band=(tenth, most),
            )
        )
    curves.chart(
        key,
        timeline,
        series,
        Axis(_("strength (%)"), whole=True),
        Axis("cos(z₁, z₂)", span=(min(-0.1, low - 0.02), 1.05), digits=2),
        _("Cosine similarity of two views against the strength of the augmentation: {name}").format(
            name=name
        ),
        now=percent(0).replace("0", film.STOP),
        levels=[Level(0.0, colour=GREY, dash="dot")],
        height=280,
    )
    settings = {
        _("picture"): question.picked.words,
        _("seed"): question.seed,
        _("draws"): found.value["same"].shape[1],
        _("band"): _("8 of 10 draws"),
        _("interval"): _("Wilson, {coverage}").format(coverage=percent(COVERAGE)),
    }
    figures.about(
        Provenance(record.bundle, live=True, seconds=found.seconds, settings=settings),
        key,
        rows=lambda: [
            {
                "strength": float(strength),
                "draw": draw,
                "same": float(found.value["same"][i, draw]),
                "other": float(found.value["other"][i, draw]),
            }
            for i, strength in enumerate(STRENGTHS)
            for draw in range(found.value["same"].shape[1])
        ],
    )


# ---------------------------------------------------------------- the two views on the screen


def bars(question: Question, views: Sequence[View], recipe: Views) -> None:
    """cos of the two views on the screen, next to cos with views of other pictures."""
    st.subheader(_("How alike are these two views?"), anchor=False)
    layer = controls.choice(_("Measured on"), LAYERS, "views_layer")
    rows = similarities(question, views, recipe)
    names = [name for name, _found in rows]
    values = np.stack([found[layer] for _name, found in rows])  # (R, 1 + N)
    left, right = st.columns([3, 2], gap="large")
    with left:
        draw_bars(question, names, values, layer, rows)
    with right:
        st.markdown(gaps(names, values))


def similarities(
    question: Question, views: Sequence[View], recipe: Views
) -> list[tuple[str, dict[str, np.ndarray]]]:
    """Of every network cos of view 1 with view 2 and with a view of each other picture, (1 + N,)."""
    explorer = networks.explorer(question.pair.chosen)
    strangers = [
        explorer.views(other, recipe, question.seed + 1 + i, count=1)[0]
        for i, other in enumerate(question.others)
    ]
    second = np.stack([views[1].picture, *(view.picture for view in strangers)])
    first = np.repeat(views[0].picture[None], len(second), axis=0)
    rows = []
    for record, trained in question.networks:
        request = (record.bundle.digest, trained, first.tobytes(), second.tobytes())
        ask_it = networks.explorer(record).similarity
        found = networks.compute_once(
            "views_alike",
            request,
            lambda ask_it=ask_it, trained=trained: ask_it(first, second, trained=trained),
        )
        rows.append((title(record, trained), found.value))
    return rows


def draw_bars(
    question: Question,
    names: Sequence[str],
    values: np.ndarray,
    layer: str,
    rows: Sequence[tuple[str, dict[str, np.ndarray]]],
) -> None:
    figure = go.Figure()
    mean = values[:, 1:].mean(axis=1)
    spread = {
        "type": "data",
        "symmetric": False,
        "array": values[:, 1:].max(axis=1) - mean,
        "arrayminus": mean - values[:, 1:].min(axis=1),
        "color": GREY,
    }
    for name, height, colour, whiskers in (
        (_("the two views"), values[:, 0], SAME, None),
        (_("view 1 and other pictures"), mean, OTHER, spread),
    ):
        figure.add_trace(
            go.Bar(
                x=[broken(one) for one in names],
                y=height,
                name=name,
                marker_color=colour,
                error_y=whiskers,
            )
        )
    figure.update_layout(bargap=0.3, bargroupgap=0.06)
    figure.update_xaxes(tickangle=0)
    figure.update_yaxes(
        title=f"cos({layer}₁, {layer}₂)", range=[min(-0.05, values.min() - 0.1), 1.05]
    )
    pair = question.pair
    settings = {
        _("picture"): question.picked.words,
        _("seed"): question.seed,
        _("whiskers"): _("lowest and highest of {count}").format(count=len(question.others)),
    }
    also = () if pair.beside is None else (pair.beside.bundle,)
    figures.chart(
        figure,
        "views_alike",
        _("Cosine similarity of two views, and of a view and other pictures, by network"),
        Provenance(pair.chosen.bundle, live=True, settings=settings, also=also),
        lambda: [
            {"network": name, "layer": code, "pair": place, "cosine": float(value)}
            for name, found in rows
            for code in LAYERS
            for place, value in enumerate(found[code])
        ],
    )


def broken(name: str) -> str:
    """A network's name in short lines, for a narrow axis."""
    return "<br>".join(textwrap.wrap(name, 17, break_on_hyphens=False))


def gaps(names: Sequence[str], values: np.ndarray) -> str:
    """What the bars say: a high similarity means nothing while other pictures have it as well."""
    lines = [
        _("- **{name}**: two views {same}, other pictures {other}; gap {gap}").format(
            name=name,
            same=cosine_text(float(row[0])),
            other=cosine_text(float(row[1:].mean())),
            gap=cosine_text(float(row[0] - row[1:].mean())),
        )
        for name, row in zip(names, values, strict=True)
    ]
    moral = _(
        "Look at the **gap**, not at the blue bar alone. A collapsed network has few directions left: two "
        "views of one picture are then as alike as views of two pictures. Their similarities are all near "
        "1, or, as the last batch normalisation centres z, they jump between −1 and 1."
    )
    return "\n".join([moral, "", *lines])


def cosine_text(cosine: float) -> str:
    """A cosine with two decimals; what rounds to nothing has no sign."""
    return number(round(cosine, 2) + 0.0, 2)
