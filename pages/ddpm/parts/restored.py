"""The result of a sweep: what came back from every level of noise, and t* by every measure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from core.ddpm.explorer import DDPMExplorer, Restoration, SamplerSettings
from core.ddpm.restoration import FEWEST_DRAWS, Criterion, Rule, TStar, find_t_star, spread
from core.judge.explorer import Comparison, JudgeExplorer
from core.pictures.images import Pictures, to_tensor
from pages.browser import film
from pages.browser.timeline import timeline
from pages.ddpm.parts import prediction
from pages.shared import controls, figures, library, live, shape
from pages.shared.colours import GREY, MARK, SYMBOL_COLOURS
from pages.shared.figures import Provenance
from pages.shared.picking import PickedPicture
from pages.shared.text import N_, _, number, percent, plain_errors

TOO_EASY = N_(
    "**With this measure and threshold even an unrelated sample of this model would pass as "
    "restored** ({floor} on average): t\\* says nothing here. Move the threshold, or take another "
    "measure."
)
GRID = N_("The picture, noised to rising levels t′ and restored; a line marks t*")
TOGETHER = N_("The pictures with their t*")
T_STAR = N_("**t\\* is {t}** of {T}.")
LIES_BETWEEN = N_("**t\\* lies between {low} and {high}** of {T}.")
WITH_INTERVAL = N_("**t\\* is {t}** of {T}; interval (bootstrap over {draws} draws): {interval}.")
AROUND = {
    "above": N_("above t*"),
    "below": N_("below t*"),
    "just below": N_("just below t*"),
    "nearest": N_("the level nearest to t*"),
    "just above": N_("just above t*"),
}
"""Where a level lies next to t*."""
IN_THE_ORIGINAL = N_("In the original a digit classifier reads {digit} (p = {p}).")

CRITERIA: dict[Criterion, str] = {
    "digit": N_("The digit stays the same"),
    "psnr": "PSNR",
    "ssim": "SSIM",
    "features": N_("Distance in the classifier's features"),
}
AXES: dict[Criterion, str] = {
    "digit": N_("share of draws with the same digit"),
    "psnr": "PSNR (dB)",
    "ssim": "SSIM",
    "features": N_("distance in the classifier's features"),
}
COLOUR = SYMBOL_COLOURS["x_hat"]
STRIP_TILE = 92
FILM_WIDTH = 560
FEW_DRAWS = 2
"""Up to this number of pictures stand in one row with the original."""
UNRELATED = 32
"""Samples of the bundle's last sheet that stand for pictures which know nothing of this one."""


@dataclass(frozen=True)
class Request:
    """What is swept: a model, a way, levels as pages count them, draws, a seed, pictures.

    Here and not next to the page, whose script defines its classes anew at every run.
    """

    bundle: str
    way: SamplerSettings
    levels: tuple[int, ...]
    draws: int
    seed: int
    pictures: tuple[bytes, ...]


@dataclass(frozen=True)
class SweepResult:
    """Pictures, where they have come to, what the judge says of it, and how they came there.

    ``quick``: the page opens with it, so that few of its draws stand above: the first screen has to hold them.
    """

    explorer: DDPMExplorer
    judge: JudgeExplorer
    picked: list[PickedPicture]
    back: Restoration
    compared: Comparison
    way_words: str
    seed: int
    quick: bool = False
    _unrelated: dict[int, dict[Criterion, float]] = field(default_factory=dict, init=False)

    @property
    def t(self) -> np.ndarray:
        """Levels as pages count them, from 1."""
        return self.back.t + 1

    def unrelated_scores(self, index: int) -> dict[Criterion, float]:
        """Mean scores of samples of this model that know nothing of the picture; none: no sheet.

        The judge looks at them once a picture, not at every move of a threshold.
        """
        sheets = self.explorer.bundle.progress("samples")
        if index not in self._unrelated and sheets:
            samples = library.sheet(self.explorer.bundle, "samples", max(sheets), UNRELATED)
            picture = self.picked[index].picture[None]
            scores = self.judge.compare(picture, samples[None, None]).scores
            self._unrelated[index] = {name: float(score.mean()) for name, score in scores.items()}
        return self._unrelated.get(index, {})

    def provenance(self, index: int) -> Provenance:
        draws = self.back.now.shape[2]
        first = self.seed + index * draws
        settings = {
            _("picture"): self.picked[index].words,
            _("sampler"): self.way_words,
            _("seeds"): f"{first} – {first + draws - 1}" if draws > 1 else first,
            _("clipped"): _("no"),
        }
        return Provenance(self.explorer.bundle, True, self.back.seconds, settings)


# ---------------------------------------------------------------- t*


def threshold(judge: JudgeExplorer, criterion: Criterion, key: str = "tstar_rule") -> Rule:
    """The criterion's rule, its threshold as the visitor set it."""
    rule = judge.rules()[criterion]
    low, high, step = {
        "digit": (0.05, 1.0, 0.05),
        "psnr": (5.0, 40.0, 0.5),
        "ssim": (0.0, 1.0, 0.05),
        "features": (0.0, round(3 * rule.threshold, 1), 0.05),
    }[criterion]
    words = _("Restored means at least") if rule.higher else _("Restored means at most")
    value = controls.real(
        words, low, high, round(rule.threshold, 2), f"{key}_{criterion}", step=step
    )
    return Rule(value, rule.higher, rule.share)


def place_words(t: float, levels: np.ndarray) -> str:
    if np.isneginf(t):
        return f"< {number(levels[0], 0)}"
    if np.isposinf(t):
        return f"> {number(levels[-1], 0)}"
    return number(t, 0)


def interval_words(found: TStar, levels: np.ndarray) -> str:
    """The interval of t*, or a dash where so few draws give none."""
    if np.isnan(found.low):
        return "–"
    low, high = (place_words(end, levels) for end in (found.low, found.high))
    return low if low == high else _("{low} to {high}").format(low=low, high=high)


def t_star_words(found: TStar, levels: np.ndarray, T: int, draws: int) -> str:
    """t* in words."""
    where, whole = place_words(found.t, levels), number(T, 0)
    if np.isnan(found.low):
        few = _("Take at least {few} draws for an interval.").format(few=FEWEST_DRAWS)
        if not np.isfinite(found.t):
            return _(T_STAR).format(t=where, T=whole) + " " + few
        low, high = levels[levels <= found.t].max(), levels[levels >= found.t].min()
        if low == high:  # half of the draws at this very level
            return _(T_STAR).format(t=where, T=whole) + " " + few
        words = _(LIES_BETWEEN)
        return words.format(low=number(low, 0), high=number(high, 0), T=whole) + " " + few
    return _(WITH_INTERVAL).format(
        t=where, T=whole, draws=draws, interval=interval_words(found, levels)
    )


@shape.fragment
def at_level(found: SweepResult, index: int, *, revealed: bool) -> None:
    """What came back of one picture at t': runs again by itself when the timeline is let go.

    Before the answer is ``revealed``, without what the classifier reads, and with the question for t*.
    """
    with plain_errors():
        levels = [int(t) for t in found.t]
        t = timeline("t′", levels, "tstar_t", default=levels[len(levels) // 2])
        if not revealed:
            prediction.ask(t)
        back, place = found.back, levels.index(t)
        draws = min(back.now.shape[2], FEW_DRAWS) if found.quick else back.now.shape[2]
        frames = [back.noised[index, :, 0], back.glance[index, :, 0]]
        frames += [back.now[index, :, draw] for draw in range(draws)]
        noisy, glance, *ends = film.several(np.stack(frames))
        original = found.picked[index].picture
        first = [
            film.Cell(film.still(original), _("original"), _("The original picture")),
            film.Cell(noisy, f"xₜ, t′ = {film.STOP}", _("The picture with noise of level {t}")),
            film.Cell(
                glance,
                _("one shot"),
                _("What the network predicts at once from noise of level {t}"),
            ),
        ]
        after = [
            film.Cell(
                source,
                [verdict(found, index, level, draw) for level in range(len(levels))]
                if revealed
                else _("draw {number}").format(number=draw + 1),
                _("Draw {number}, restored from noise of level {t}").format(
                    number=draw + 1, t=film.STOP
                ),
            )
            for draw, source in enumerate(ends)
        ]
        rows = [film.Row([*first, *after], widest=figures.WIDE)]
        if draws > FEW_DRAWS:
            rows = [
                film.Row(part, widest=FILM_WIDTH) for part in (first, after[:4], after[4:]) if part
            ]
        strips = [
            film.Row(
                [
                    film.Cell(
                        source,
                        number(level, 0),
                        _("Draw {number}, restored from noise of level {t}").format(
                            number=draw + 1, t=number(level, 0)
                        ),
                        at=at,
                    )
                    for at, level in enumerate(levels)
                ],
                "strip",
                _("draw {number}").format(number=draw + 1),
            )
            for draw, source in enumerate(ends[:FEW_DRAWS])
        ]
        film.show("tstar_film", "tstar_t", [*rows, *strips])
        provenance = found.provenance(index)
        figures.about(
            replace(provenance, settings={**provenance.settings, "t′": number(t, 0)}),
            "t_star_level",
            png=lambda: figures.grid(np.stack([original, *(one[place] for one in frames)]), 4),
            rows=(lambda: [row for row in table(found, index) if row["t"] == t])
            if revealed
            else None,
            gif=lambda: moving(found, index),
        )


def verdict(found: SweepResult, index: int, level: int, draw: int) -> str:
    """What the classifier reads in a draw, whether that is the picture's digit, and how near the draw is to
    the picture: two lines.
    """
    seen, scores = found.compared.after, found.compared.scores
    digit = found.judge.class_names[seen.digit[index, level, draw]]
    mark = "✓" if scores["digit"][index, level, draw] else "✗"
    return (
        f"{mark} {digit} · {percent(float(seen.confidence[index, level, draw]))}\n"
        f"{number(float(scores['psnr'][index, level, draw]), 1)} dB"
    )


@shape.fragment
def result(found: SweepResult, index: int, guess: int, answer: live.Place) -> None:
    """Everything that follows from a sweep: runs again by itself when a criterion is chosen.

    What t* is stands at ``answer``, on the first screen.
    """
    with plain_errors():
        left, right = st.columns([5, 3], gap="large", vertical_alignment="bottom")
        with left:
            criterion = controls.choice(_("Restored, by which measure?"), CRITERIA, "tstar_by")
        with right:
            rule = threshold(found.judge, criterion)
        scores = found.compared.scores[criterion][index]
        t_star = find_t_star(found.t, scores, rule)
        words = t_star_words(t_star, found.t, found.explorer.T, scores.shape[1])
        by = _("By the measure *{measure}*; others stand below the pictures.")
        compared = prediction.verdict(guess, t_star, found.t)
        by = f"{compared} {by.format(measure=_(CRITERIA[criterion]))}".strip()
        answer.markdown(f"### {words}\n\n{by}")
        meaning(found, index, t_star)
        too_easy(found, index, criterion, rule)
        grid(found, index, t_star, criterion)
        curves, beside = st.columns([3, 2], gap="large")
        with curves:
            curve(found, index, criterion, rule, t_star)
            others(found, index, criterion, rule)
        with beside:
            strips(found, index, t_star)
        differing(found, index)
        if len(found.picked) > 1:
            together(found, criterion, rule)


def meaning(found: SweepResult, index: int, t_star: TStar) -> None:
    """What is left of the picture at t*."""
    before = found.compared.before
    words = _(IN_THE_ORIGINAL).format(
        digit=found.judge.class_names[before.digit[index]],
        p=number(float(before.confidence[index]), 2),
    )
    if np.isfinite(t_star.t):
        signal = float(found.explorer.schedule.alphas_cumprod[round(t_star.t) - 1])
        own = signal * float(to_tensor(found.picked[index].picture[None]).var(unbiased=False))
        words += " " + _("At t\\* the picture contributes {share} of the variance of x_t.").format(
            share=percent(own / (own + 1 - signal), 1)
        )
    st.markdown(words)


def too_easy(found: SweepResult, index: int, criterion: Criterion, rule: Rule) -> None:
    """Says so where even an unrelated sample counts as the picture, restored."""
    floor = found.unrelated_scores(index).get(criterion)
    if floor is not None and (floor >= rule.threshold) == rule.higher:
        st.warning(_(TOO_EASY).format(floor=number(floor, 2)))


def grid(found: SweepResult, index: int, t_star: TStar, criterion: Criterion) -> None:
    """Noised, one look and every draw, by level; a line where t* lies. The original stands above."""
    back = found.back
    draws = back.now.shape[2]
    rows = [
        back.noised[index, :, 0],
        back.glance[index, :, 0],
        *(back.now[index, :, draw] for draw in range(draws)),
    ]
    labels = ["x_t", _("one shot")]
    labels += [_("draw {number}").format(number=draw + 1) for draw in range(draws)]
    divided = int(np.searchsorted(found.t, t_star.t, side="right"))
    sheet = figures.matrix(
        np.stack(rows),
        labels,
        [number(t, 0) for t in found.t],
        "t_star",
        alt=_(GRID),
        factor=4,
        divided=divided,
    )
    st.caption(
        _(
            "Left of the line the picture is restored, right of it another one is made. One shot: the "
            "clean picture that the network predicts straight from x_t."
        )
    )
    figures.about(
        found.provenance(index),
        "t_star",
        png=lambda: sheet,
        rows=lambda: table(found, index),
        gif=lambda: moving(found, index),
    )


def moving(found: SweepResult, index: int) -> Pictures:
    """The restored draws at rising levels."""
    draws = np.moveaxis(found.back.now[index], 1, 2)  # (L, H, D, W, 3)
    return figures.enlarge(draws.reshape(len(draws), draws.shape[1], -1, 3), 5)


def table(found: SweepResult, index: int) -> list[dict]:
    """Every score of every draw."""
    compared = found.compared
    return [
        {
            "t": int(t),
            "draw": draw + 1,
            "digit": int(compared.after.digit[index, level, draw]),
            "p": float(compared.after.confidence[index, level, draw]),
            "same_digit": int(compared.scores["digit"][index, level, draw]),
            "psnr": float(compared.scores["psnr"][index, level, draw]),
            "ssim": float(compared.scores["ssim"][index, level, draw]),
            "feature_distance": float(compared.scores["features"][index, level, draw]),
        }
        for level, t in enumerate(found.t)
        for draw in range(found.back.now.shape[2])
    ]


def curve(found: SweepResult, index: int, criterion: Criterion, rule: Rule, t_star: TStar) -> None:
    """The chosen measure against t', with its interval, its threshold and t*."""
    figure = go.Figure()
    scores = found.compared.scores[criterion][index]
    kind = _("Wilson interval (90%)") if rule.share else _("bootstrap interval (90%)")
    if rule.share or not np.isnan(t_star.low):
        figure.add_trace(figures.band(found.t, t_star.curve_low, t_star.curve_high, COLOUR, kind))
    if not rule.share:
        figure.add_trace(
            go.Scatter(
                x=np.repeat(found.t, scores.shape[1]),
                y=scores.ravel(),
                name=_("one draw"),
                mode="markers",
                marker={"color": COLOUR, "size": 6, "opacity": 0.45},
            )
        )
    figure.add_trace(
        figures.line(found.t, t_star.curve, _("mean over draws"), COLOUR, markers=True)
    )
    figure.add_hline(
        y=rule.threshold, line_dash="dash", line_color=GREY, annotation_text=_("threshold")
    )
    floor = found.unrelated_scores(index).get(criterion)
    if floor is not None:
        ends = [found.t[0], found.t[-1]]
        name = _("unrelated samples of this model")
        figure.add_trace(figures.line(ends, [floor, floor], name, GREY, dash="dot"))
    if np.isfinite(t_star.t):
        figure.add_vline(x=t_star.t, line_color=MARK, line_width=3)
        figure.add_annotation(
            x=t_star.t, y=1, yref="paper", text="t*", showarrow=False, yshift=12, font_size=18
        )
        if not np.isnan(t_star.low):
            low, high = max(t_star.low, found.t[0]), min(t_star.high, found.t[-1])
            figure.add_vrect(x0=low, x1=high, fillcolor=MARK, opacity=0.12, line_width=0)
    figure.update_xaxes(title="t′")
    figure.update_yaxes(title=_(AXES[criterion]))
    if rule.share:
        figure.update_yaxes(range=[-0.03, 1.03], tickformat=".0%")
    figures.chart(
        figure,
        f"tstar_{criterion}",
        _("{measure} against t′, with the threshold and t*").format(measure=_(CRITERIA[criterion])),
        found.provenance(index),
        lambda: [
            {"t": int(t), "mean": float(m), "low": float(a), "high": float(b)}
            for t, m, a, b in zip(
                found.t, t_star.curve, t_star.curve_low, t_star.curve_high, strict=True
            )
        ],
    )


def others(found: SweepResult, index: int, criterion: Criterion, rule: Rule) -> None:
    """t* by every measure, and the other curves, each with its own threshold to move."""
    summary = st.container()
    rules, found_by = {criterion: rule}, {}
    with st.expander(_("The other measures: their curves and thresholds")):
        for name, title in CRITERIA.items():
            scores = found.compared.scores[name][index]
            if name != criterion:
                st.markdown(f"**{_(title)}**")
                rules[name] = threshold(found.judge, name)
            found_by[name] = find_t_star(found.t, scores, rules[name])
            if name != criterion:
                curve(found, index, name, rules[name], found_by[name])
    rows = [
        {
            "t*": place_words(found_by[name].t, found.t),
            _("interval"): interval_words(found_by[name], found.t),
            _("measure"): _(title),
            _("threshold"): ("≥" if rules[name].higher else "≤")
            + f" {number(rules[name].threshold, 2)}",
        }
        for name, title in CRITERIA.items()
    ]
    summary.dataframe(rows, hide_index=True, width="stretch")


def around(t: float, levels: np.ndarray) -> list[tuple[int, str]]:
    """Places of the levels (L,) next to t*, each with where it lies."""
    last = len(levels) - 1
    if np.isneginf(t):
        return [(place, _(AROUND["above"])) for place in (0, 1)]
    if np.isposinf(t):
        return [(place, _(AROUND["below"])) for place in (last - 1, last)]
    nearest = int(np.abs(levels - t).argmin())
    places = [
        (nearest - 1, _(AROUND["just below"])),
        (nearest, _(AROUND["nearest"])),
        (nearest + 1, _(AROUND["just above"])),
    ]
    return [(place, words) for place, words in places if 0 <= place <= last]


def strips(found: SweepResult, index: int, t_star: TStar) -> None:
    """The draws just below, at and above t*."""
    st.markdown(_("**Around t\\***"))
    names = found.judge.class_names
    verdicts = found.compared.after
    for place, words in around(t_star.t, found.t):
        labels = [
            f"{names[digit]} · {percent(p)}"
            for digit, p in zip(
                verdicts.digit[index, place], verdicts.confidence[index, place], strict=True
            )
        ]
        with shape.figure("tstar_around"):
            st.caption(f"t′ = {number(found.t[place], 0)} · {words}")
            figures.strip(
                found.back.now[index, place],
                labels,
                "tstar_around",
                columns=4,
                width=STRIP_TILE * min(4, len(labels)),
                alt=_("Draws restored from t′ = {t}, and what the classifier reads").format(
                    t=number(found.t[place], 0)
                ),
            )


def differing(found: SweepResult, index: int) -> None:
    """How different the draws of one level are from each other."""
    draws = found.back.now.shape[2]
    if draws < 2:
        return
    st.subheader(_("How different do the draws become?"), anchor=False)
    apart = spread(found.compared.after.features[index])
    apart = apart / found.judge.bundle.metrics["features"]["mean_distance"]
    kinds = [len(set(row)) for row in found.compared.after.digit[index]]
    figure = go.Figure()
    figure.add_trace(
        figures.line(found.t, apart, _("distance between draws"), COLOUR, markers=True)
    )
    figure.add_hline(y=1.0, line_dash="dash", line_color=GREY)
    figure.update_xaxes(title="t′")
    figure.update_yaxes(title=_("1: as far apart as two test digits"), rangemode="tozero")
    figures.chart(
        figure,
        "tstar_spread",
        _("Distance between the draws of one level in the classifier's features, against t′"),
        found.provenance(index),
        lambda: [
            {"t": int(t), "distance": float(a), "digits": k}
            for t, a, k in zip(found.t, apart, kinds, strict=True)
        ],
        height=300,
    )
    st.markdown(
        _(
            "Number of different digits that the classifier reads in the draws: {few} at t′ = {low}, {many} "
            "at t′ = {high}. Where the draws part, x_t no longer remembers the picture: what comes "
            "back is a sample."
        ).format(
            low=number(found.t[0], 0),
            few=kinds[0],
            high=number(found.t[-1], 0),
            many=kinds[-1],
        )
    )


def together(found: SweepResult, criterion: Criterion, rule: Rule) -> None:
    """t* of every picture that was swept."""
    st.subheader(_("The pictures next to one another"), anchor=False)
    scores = found.compared.scores[criterion]
    all_found = [find_t_star(found.t, each, rule) for each in scores]
    figures.strip(
        np.stack([one.picture for one in found.picked]),
        [f"t* {place_words(one.t, found.t)}" for one in all_found],
        "t_star_pictures",
        columns=4,
        alt=_(TOGETHER),
    )
    rows = [
        {
            "picture": one.words,
            "t_star": found_one.t,
            "low": found_one.low,
            "high": found_one.high,
        }
        for one, found_one in zip(found.picked, all_found, strict=True)
    ]
    last = found.seed + len(found.picked) * found.back.now.shape[2] - 1
    every = {
        _("picture"): ", ".join(one.words for one in found.picked),
        _("seeds"): f"{found.seed} – {last}",
    }
    provenance = found.provenance(0)
    figures.about(
        replace(provenance, settings={**provenance.settings, **every}),
        "t_star_pictures",
        png=lambda: figures.grid(np.stack([one.picture for one in found.picked]), 4),
        rows=lambda: rows,
    )
