"""Finding t*: noise a picture, denoise it, and see from which level on it is another picture."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from core.ddpm_explorer import DDPMExplorer, Restoration, Way
from core.images import Pictures
from core.judge_explorer import Comparison, JudgeExplorer
from core.restoration import (
    Criterion,
    Rule,
    TStar,
    crossing,
    find_t_star,
    noised,
    spread,
    sweep,
    wilson,
)
from core.similarity import psnr, ssim
from pages.shared import controls, figures, loaders, purification
from pages.shared.controls import Picked
from pages.shared.figures import Provenance
from pages.shared.text import (
    GREY,
    N_,
    SYMBOL_COLOURS,
    _,
    coloured,
    formula,
    head,
    mechanism,
    number,
    percent,
    plain_errors,
)

VIEWS = {"find": N_("Find t*"), "purify": N_("Undo an attack")}
WAYS: dict[str, tuple[str, Way]] = {
    "ddim-50": ("DDIM 50", Way("ddim", 50)),
    "ddim-20": ("DDIM 20", Way("ddim", 20)),
    "dpm-20": ("DPM-Solver++ 20", Way("dpm", 20)),
    "ddim-50-eta-1": ("DDIM 50, η = 1", Way("ddim", 50, eta=1.0)),
    "ddpm": (N_("DDPM, every step"), Way("ddpm", None)),
}
QUICK = Way("ddim", 10)
QUICK_DRAWS = 2
CRITERIA: dict[Criterion, str] = {
    "digit": N_("The judge keeps the digit"),
    "psnr": "PSNR",
    "ssim": "SSIM",
    "features": N_("Distance in the judge's features"),
}
AXES: dict[Criterion, str] = {
    "digit": N_("share of draws with the same digit"),
    "psnr": "PSNR (dB)",
    "ssim": "SSIM",
    "features": N_("distance in the judge's features"),
}
COLOUR = SYMBOL_COLOURS["x_hat"]
KEPT = 3
SECONDS_A_FRAME = 0.3
# The network keeps all cores busy: without a pause the server sends a picture late.
SECONDS_TO_SEND, SECONDS_TO_SEND_FIRST = 0.02, 0.2


@dataclass(frozen=True)
class Request:
    """What is swept: a model, a way, levels as pages count them, draws, a seed, pictures."""

    bundle: str
    way: Way
    levels: tuple[int, ...]
    draws: int
    seed: int
    pictures: tuple[bytes, ...]


@dataclass
class Sweep:
    """A sweep that can be stopped between two steps and gone on with; one visitor's own."""

    steps: Iterator[Restoration]
    now: Restoration | None = None
    compared: Comparison | None = None


@dataclass(frozen=True)
class Found:
    """Pictures, where they have come to, what the judge says of it, and how they came there."""

    explorer: DDPMExplorer
    judge: JudgeExplorer
    picked: list[Picked]
    back: Restoration
    compared: Comparison
    way_words: str
    seed: int

    @property
    def t(self) -> np.ndarray:
        """Levels as pages count them, from 1."""
        return self.back.t + 1

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


# ---------------------------------------------------------------- what is asked for


def way_words(way: Way, code: str | None) -> str:
    if code is None:
        return _("{sampler}, {steps} steps").format(sampler="DDIM", steps=way.steps)
    return _(WAYS[code][0])


def asked(explorer: DDPMExplorer) -> tuple[str, tuple[int, ...], int, int]:
    """Sampler, levels as pages count them, number of draws, seed."""
    left, middle, right = st.columns(3, gap="large")
    T = explorer.T
    with left:
        codes = {code: title for code, (title, _way) in WAYS.items()}
        code = controls.choice(_("Way back"), codes, "tstar_way")
    with middle:
        low, high = st.slider(
            _("Levels t′, from and to"),
            1,
            T,
            (T // 25, 4 * T // 5),
            key=f"tstar_span_{T}",
            bind="query-params",
        )
        count = controls.whole(_("How many levels"), 3, 24, 12, "tstar_levels")
    with right:
        draws = controls.whole(
            _("Draws of noise a level"),
            1,
            8,
            4,
            "tstar_draws",
            help=_("Each draw is the same noise at every level, so that one thing varies."),
        )
        seed = controls.seed("tstar_seed")
    levels = np.linspace(low, max(high, low + 1), count).round().astype(int)
    return code, tuple(int(level) for level in np.unique(levels.clip(1, T))), draws, seed


def chosen_pictures(explorer: DDPMExplorer) -> list[Picked]:
    """One picture or several."""
    left, right = st.columns([3, 2], gap="large")
    with left:
        picked = controls.picture("tstar", explorer.bundle, default="maker")
    with right:
        count = controls.whole(
            _("How many pictures"),
            1,
            4,
            1,
            "tstar_count",
            help=_("Those that follow the chosen one; an upload and a photo stand alone."),
        )
    if picked is None:
        return []
    return controls.companions("tstar", explorer.bundle, picked, count)


# ---------------------------------------------------------------- going the way


def move_on(kept: Sweep, place: st.delta_generator.DeltaGenerator) -> None:
    """Move on to the end, showing the rows a few times a second; a click on Stop ends the run of the
    page between two steps.
    """
    with place.container():
        bar = st.progress(0.0)
        st.button(_("Stop"), key="tstar_stop", icon=":material/stop:")
        live = st.empty()
    shown, seen = 0.0, False
    for now in kept.steps:
        kept.now, kept.compared = now, None
        if time.perf_counter() - shown < SECONDS_A_FRAME and not now.finished:
            continue
        shown = time.perf_counter()
        left = now.seconds * (now.total - now.done) / max(1, now.done)
        words = _("step {done} of {total}, {left} s left").format(
            done=number(now.done, 0), total=number(now.total, 0), left=number(left, 0)
        )
        bar.progress(now.done / now.total, text=words)
        with live.container():
            columns = len(now.t)
            rows = np.moveaxis(now.now, 1, 2)  # (P, D, L, H, W, 3)
            first = now.noised[:, :, 0][:, None]
            figures.live_sheet(
                np.concatenate([first, rows], axis=1).reshape(-1, *rows.shape[3:]),
                columns=columns,
                factor=2,
                alt=_("The noisy picture at every level, and below it what each draw has become"),
                width=min(840, 70 * columns),
            )
        time.sleep(SECONDS_TO_SEND if seen else SECONDS_TO_SEND_FIRST)
        seen = True
    place.empty()


def swept(
    explorer: DDPMExplorer, code: str, request: Request, pictures: Pictures
) -> tuple[Restoration | None, Comparison | None, bool]:
    """Buttons, progress, and how far the sweep of this request has come; whether it was asked for."""
    kept: dict[Request, Sweep] = st.session_state.setdefault("tstar_sweeps", {})
    zero_based = [level - 1 for level in request.levels]
    columns = len(explorer.snapped(request.way, zero_based)) * request.draws * len(pictures)
    clicked = st.button(
        _("Noise and restore {count} pictures").format(count=number(columns, 0)),
        key="tstar_go",
        type="primary",
        icon=":material/play_arrow:",
    )
    place = st.empty()
    if clicked:
        kept.pop(request, None)
        steps = explorer.restore(request.way, pictures, zero_based, request.draws, request.seed)
        kept[request] = Sweep(steps)
        while len(kept) > KEPT:
            kept.pop(next(iter(kept)))
    sweep_ = kept.get(request)
    going = clicked
    if sweep_ is not None and sweep_.now and not sweep_.now.finished and not clicked:
        with place.container(horizontal=True, vertical_alignment="center"):
            st.info(
                _("Stopped after {done} of {total} steps.").format(
                    done=number(sweep_.now.done, 0), total=number(sweep_.now.total, 0)
                )
            )
            going = st.button(_("Go on"), key="tstar_on", icon=":material/play_arrow:")
    if going:
        move_on(sweep_, place)
    if sweep_ is None or sweep_.now is None:
        return None, None, False
    if sweep_.compared is None:
        sweep_.compared = loaders.judge().compare(pictures, sweep_.now.now)
    return sweep_.now, sweep_.compared, True


# ---------------------------------------------------------------- t*


def threshold(judge: JudgeExplorer, criterion: Criterion) -> Rule:
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
        words, low, high, round(rule.threshold, 2), f"tstar_rule_{criterion}", step=step
    )
    return Rule(value, rule.higher, rule.share)


def place_words(t: float, levels: np.ndarray) -> str:
    if np.isneginf(t):
        return _("below {t}").format(t=number(levels[0], 0))
    if np.isposinf(t):
        return _("above {t}").format(t=number(levels[-1], 0))
    return number(t, 0)


def said(found: TStar, levels: np.ndarray, T: int, draws: int) -> str:
    """t* in words."""
    where = place_words(found.t, levels)
    if draws < 2:
        return _("**t\\* is {t}** of {T}; one draw gives no interval.").format(t=where, T=T)
    low, high = (place_words(end, levels) for end in (found.low, found.high))
    return _("**t\\* is {t}** of {T}; 90% of the time between {low} and {high}.").format(
        t=where, T=T, low=low, high=high
    )


@st.fragment
def result(found: Found) -> None:
    """Everything that follows from a sweep: runs again by itself when a criterion is chosen."""
    with plain_errors():
        left, middle, right = st.columns([5, 3, 2], gap="large", vertical_alignment="bottom")
        with left:
            criterion = controls.choice(_("Restored, by which measure?"), CRITERIA, "tstar_by")
        with middle:
            rule = threshold(found.judge, criterion)
        index = 0
        with right:
            if len(found.picked) > 1:
                index = controls.whole(_("Picture"), 1, len(found.picked), 1, "tstar_which") - 1
        scores = found.compared.scores[criterion][index]
        t_star = find_t_star(found.t, scores, rule)
        st.markdown(f"### {said(t_star, found.t, found.explorer.T, scores.shape[1])}")
        meaning(found, index, t_star)
        grid(found, index, t_star, criterion)
        curves, around = st.columns([3, 2], gap="large")
        with curves:
            curve(found, index, criterion, rule, t_star)
            others(found, index, criterion)
        with around:
            strips(found, index, t_star)
        differing(found, index)
        if len(found.picked) > 1:
            together(found, criterion, rule)


def meaning(found: Found, index: int, t_star: TStar) -> None:
    """What is left of the picture at t*."""
    before = found.compared.before
    words = _("The judge takes the original for a {digit} (p = {p}).").format(
        digit=found.judge.class_names[before.digit[index]],
        p=number(float(before.confidence[index]), 2),
    )
    if np.isfinite(t_star.t):
        kept = float(found.explorer.schedule.alphas_cumprod[round(t_star.t) - 1])
        words += " " + _("At t\\* the picture has {share} of the variance of x_t.").format(
            share=percent(kept, 1)
        )
    st.markdown(words)


def grid(found: Found, index: int, t_star: TStar, criterion: Criterion) -> None:
    """Original, noised, one look and every draw, by level; a line where t* lies."""
    back, original = found.back, found.picked[index].picture
    L = len(back.t)
    draws = back.now.shape[2]
    rows = [
        np.broadcast_to(original, (L, *original.shape)),
        back.noised[index, :, 0],
        back.glance[index, :, 0],
        *(back.now[index, :, draw] for draw in range(draws)),
    ]
    labels = [_("original"), "x_t", _("one look")]
    labels += [_("draw {number}").format(number=draw + 1) for draw in range(draws)]
    divided = int(np.searchsorted(found.t, t_star.t, side="right"))
    sheet = figures.matrix(
        np.stack(rows),
        labels,
        [str(t) for t in found.t],
        alt=_("The picture, noised to rising levels t′ and restored; a line marks t*"),
        factor=4,
        divided=divided,
    )
    st.caption(
        _(
            "Left of the line the picture is restored, right of it another one is made. "
            "One look: what the network sees in x_t at once, without any step."
        )
    )
    figures.caption(found.provenance(index))
    figures.downloads(
        "t_star",
        png=lambda: sheet,
        rows=lambda: table(found, index),
        gif=lambda: film(found, index),
    )


def film(found: Found, index: int) -> Pictures:
    """The restored draws at rising levels."""
    draws = np.moveaxis(found.back.now[index], 1, 2)  # (L, H, D, W, 3)
    return figures.enlarge(draws.reshape(len(draws), draws.shape[1], -1, 3), 5)


def table(found: Found, index: int) -> list[dict]:
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


def curve(found: Found, index: int, criterion: Criterion, rule: Rule, t_star: TStar) -> None:
    """The chosen measure against t', with its interval, its threshold and t*."""
    figure = go.Figure()
    figure.add_trace(figures.band(found.t, t_star.curve_low, t_star.curve_high, COLOUR))
    scores = found.compared.scores[criterion][index]
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
    figure.add_hline(y=rule.threshold, line_dash="dash", line_color=GREY)
    if np.isfinite(t_star.t):
        figure.add_vline(x=t_star.t, line_color=figures.MARK_COLOUR, line_width=3)
        figure.add_annotation(
            x=t_star.t, y=1, yref="paper", text="t*", showarrow=False, yshift=12, font_size=18
        )
        low, high = max(t_star.low, found.t[0]), min(t_star.high, found.t[-1])
        figure.add_vrect(x0=low, x1=high, fillcolor=figures.MARK_COLOUR, opacity=0.12, line_width=0)
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


def others(found: Found, index: int, criterion: Criterion) -> None:
    """t* by every measure, and the other curves."""
    rules = found.judge.rules()
    draws = found.back.now.shape[2]
    rows = []
    for name, title in CRITERIA.items():
        t_star = find_t_star(found.t, found.compared.scores[name][index], rules[name])
        sign = "≥" if rules[name].higher else "≤"
        interval = "–".join(place_words(end, found.t) for end in (t_star.low, t_star.high))
        rows.append(
            {
                _("measure"): _(title),
                _("threshold"): f"{sign} {number(rules[name].threshold, 2)}",
                "t*": place_words(t_star.t, found.t),
                _("90% interval"): interval if draws > 1 else "",
            }
        )
    st.dataframe(rows, hide_index=True, width="stretch")
    with st.expander(_("The curves of the other measures")):
        for name in CRITERIA:
            if name != criterion:
                rule = rules[name]
                scores = found.compared.scores[name][index]
                curve(found, index, name, rule, find_t_star(found.t, scores, rule))


def strips(found: Found, index: int, t_star: TStar) -> None:
    """The draws just below, at and above t*."""
    st.markdown(_("**Around t\\***"))
    after = int(np.searchsorted(found.t, t_star.t, side="right"))
    at = [place for place in (after - 1, after, after + 1) if 0 <= place < len(found.t)]
    names = found.judge.class_names
    for place in at:
        verdicts = found.compared.after
        labels = [
            f"{names[digit]} · {percent(p)}"
            for digit, p in zip(
                verdicts.digit[index, place], verdicts.confidence[index, place], strict=True
            )
        ]
        side = _("restored") if place < after else _("another picture")
        st.caption(f"t′ = {found.t[place]} · {side}")
        figures.strip(
            found.back.now[index, place],
            labels,
            columns=4,
            alt=_("Draws restored from t′ = {t}, with the judge's answer").format(t=found.t[place]),
        )


def differing(found: Found, index: int) -> None:
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
        _("Distance between the draws of one level in the judge's features, against t′"),
        found.provenance(index),
        lambda: [
            {"t": int(t), "distance": float(a), "digits": k}
            for t, a, k in zip(found.t, apart, kinds, strict=True)
        ],
        height=300,
    )
    st.markdown(
        _(
            "At t′ = {low} the judge sees {few} different digits in the draws, at t′ = {high} it "
            "sees {many}. Where the draws part, the noise no longer remembers the picture: what "
            "comes back is a sample."
        ).format(low=found.t[0], few=kinds[0], high=found.t[-1], many=kinds[-1])
    )


def together(found: Found, criterion: Criterion, rule: Rule) -> None:
    """t* of every picture that was swept."""
    st.subheader(_("The pictures beside each other"), anchor=False)
    scores = found.compared.scores[criterion]
    all_found = [find_t_star(found.t, each, rule) for each in scores]
    figures.strip(
        np.stack([one.picture for one in found.picked]),
        [f"t* {place_words(one.t, found.t)}" for one in all_found],
        columns=4,
        alt=_("The pictures with their t*"),
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
    figures.caption(found.provenance(0))
    figures.downloads("t_star_pictures", rows=lambda: rows)


# ---------------------------------------------------------------- three ways to restore


@st.fragment
def three_ways(found: Found) -> None:
    """One look, step by step, and the VAE, on the same picture: runs again by itself."""
    with plain_errors():
        st.subheader(_("One look, many steps, and the VAE"), anchor=False)
        index = 0
        if len(found.picked) > 1:
            index = controls.whole(_("Picture"), 1, len(found.picked), 1, "three_which") - 1
        levels = [int(t) for t in found.t]
        t = controls.timeline("t′", levels, "three_t", default=levels[len(levels) // 2])
        place = levels.index(t)
        original = found.picked[index].picture
        back = found.back
        ways: list[tuple[str, Pictures]] = [
            (_("one look"), back.glance[index, place, 0]),
            (_("many steps"), back.now[index, place, 0]),
        ]
        for entry in loaders.entries("vae")[:1]:
            explorer = loaders.vae(entry.name)
            z = explorer.encode(original[None]).mean
            ways.append((_("VAE"), explorer.decode(z)[0]))
        tiles = [(original, _("original"), _("The original picture"))]
        tiles.append((back.noised[index, place, 0], f"x_t, t = {t}", _("The noised picture")))
        tiles += [(pixels, title, _("Restored: {way}").format(way=title)) for title, pixels in ways]
        figures.row(tiles, width=figures.WIDE)
        figures.caption(found.provenance(index))
        stack = np.stack([pixels for _title, pixels in ways])[None, :, None]
        compared = found.judge.compare(original[None], stack)
        rows = [
            {
                _("restored by"): title,
                "PSNR (dB)": number(float(compared.scores["psnr"][0, i, 0]), 1),
                "SSIM": number(float(compared.scores["ssim"][0, i, 0]), 2),
                _("distance in features"): number(float(compared.scores["features"][0, i, 0]), 2),
                _("the judge sees"): found.judge.class_names[compared.after.digit[0, i, 0]],
                "p": number(float(compared.after.confidence[0, i, 0]), 2),
            }
            for i, (title, _pixels) in enumerate(ways)
        ]
        st.dataframe(rows, hide_index=True, width="stretch")
        figures.downloads(
            "three_ways",
            png=lambda: figures.grid(np.stack([pixels for pixels, *_w in tiles]), len(tiles)),
            rows=lambda: rows,
        )
        st.markdown(
            _(
                "One look gives the **mean** of all pictures that x_t could have been: the best "
                "guess by squared error, and a blurred one. Many steps give **one** of them: "
                "sharp, and more often wrong. The VAE is given the clean picture, not x_t, and "
                "squeezes it through z: it loses detail at every t′ alike."
            )
        )


# ---------------------------------------------------------------- the whole test set


def bins(values: np.ndarray, levels: np.ndarray, T: int) -> tuple[list[str], np.ndarray]:
    """Shares of stored t* between the levels tried, and beyond them: labels as pages count t."""
    edges = [-np.inf, *levels, np.inf]
    counts, _edges = np.histogram(np.where(values < 0, -np.inf, values), [-2, *edges[1:-1], T + 1])
    shown = [str(level + 1) for level in levels]
    between = [f"{a}–{b}" for a, b in itertools.pairwise(shown)]
    return [f"< {shown[0]}", *between, f"> {shown[-1]}"], counts / max(1, len(values))


@st.fragment
def test_set(explorer: DDPMExplorer) -> None:
    """t* of every test digit, stored with the bundle: runs again by itself."""
    with plain_errors():
        st.subheader(_("t* over the whole test set"), anchor=False)
        judged = explorer.bundle.metrics.get("judged", {})
        if "t_star" not in judged:
            st.info(_("This bundle holds no t* of the test digits: choose another model."))
            return
        figures_, arrays = judged["t_star"], explorer.bundle.profiles
        left, right = st.columns(2, gap="large")
        with left:
            criterion = controls.choice(_("By which measure?"), CRITERIA, "tstar_set_by")
        with right:
            classes = {"all": N_("all")} | {str(i): n for i, n in enumerate(explorer.class_names)}
            label = controls.choice(_("Digit"), classes, "tstar_set_class")
        every, levels = arrays[f"t_star_{criterion}"], arrays["t_star_levels"]
        labels = arrays["t_star_labels"]
        names, shares = bins(every, levels, explorer.T)
        figure = go.Figure()
        figure.add_bar(x=names, y=shares, name=_("all digits"), marker_color=GREY)
        if label != "all":
            of_class = every[labels == int(label)]
            _names, of_class_shares = bins(of_class, levels, explorer.T)
            title = _("digit {label}").format(label=explorer.class_names[int(label)])
            figure.add_bar(x=names, y=of_class_shares, name=title, marker_color=COLOUR)
        figure.update_xaxes(title="t*", type="category")
        figure.update_yaxes(title=_("share of the test digits"), tickformat=".0%")
        figure.update_layout(barmode="group", showlegend=True)
        settings = {
            _("over"): _("{count} test pictures").format(count=number(figures_["pictures"], 0)),
            _("draws"): figures_["draws"],
            _("sampler"): _("{sampler}, {steps} steps").format(
                sampler="DDIM", steps=figures_["steps"]
            ),
            _("threshold"): number(figures_[criterion]["threshold"], 2),
        }
        figures.chart(
            figure,
            "tstar_histogram",
            _("How many test digits have their t* where, all and one class"),
            Provenance(explorer.bundle, live=False, settings=settings),
            lambda: [
                {"test_digit": int(digit), "t_star": float(value) + 1}
                for digit, value in zip(labels, every, strict=True)
            ],
        )
        by_class(explorer, criterion, settings)
        curve_of_set(explorer, criterion, settings)
        low, median, high = figures_[criterion]["quartiles"]
        st.markdown(
            _(
                "Half of the test digits have their t\\* between {low} and {high}, the median is "
                "**{median}**: there x_t has {share} of its variance from the picture. "
                "{above} of them are still restored at {last}."
            ).format(
                low=number(low + 1, 0),
                high=number(high + 1, 0),
                median=number(median + 1, 0),
                share=percent(float(explorer.schedule.alphas_cumprod[round(median)]), 1),
                above=percent(figures_[criterion]["above"]),
                last=number(levels[-1] + 1, 0),
            )
        )


def by_class(explorer: DDPMExplorer, criterion: Criterion, settings: dict[str, object]) -> None:
    """Median and quartiles of t* for each digit."""
    arrays = explorer.bundle.profiles
    every, labels = arrays[f"t_star_{criterion}"], arrays["t_star_labels"]
    present = np.unique(labels)
    quartiles = np.array([np.percentile(every[labels == i], (25, 50, 75)) for i in present]) + 1
    names = [explorer.class_names[i] for i in present]
    figure = go.Figure()
    figure.add_bar(
        x=names,
        y=quartiles[:, 1],
        name=_("median t*"),
        marker_color=COLOUR,
        error_y={
            "type": "data",
            "symmetric": False,
            "array": quartiles[:, 2] - quartiles[:, 1],
            "arrayminus": quartiles[:, 1] - quartiles[:, 0],
        },
    )
    figure.update_xaxes(title=_("digit"), type="category")
    figure.update_yaxes(title=_("t*: median and quartiles"))
    figures.chart(
        figure,
        "tstar_by_class",
        _("Median and quartiles of t* for each digit"),
        Provenance(explorer.bundle, live=False, settings=settings),
        lambda: [
            {"digit": name, "lower_quartile": a, "median": b, "upper_quartile": c}
            for name, (a, b, c) in zip(names, quartiles.tolist(), strict=True)
        ],
        height=320,
    )


def curve_of_set(explorer: DDPMExplorer, criterion: Criterion, settings: dict[str, object]) -> None:
    """The measure against t', mean over the test set."""
    arrays = explorer.bundle.profiles
    levels, mean = arrays["t_star_levels"] + 1, arrays[f"t_star_curve_{criterion}"]
    figure = go.Figure()
    figure.add_trace(
        figures.line(levels, mean, _("mean over the test digits"), COLOUR, markers=True)
    )
    limit = explorer.bundle.metrics["judged"]["t_star"][criterion]["threshold"]
    figure.add_hline(y=limit, line_dash="dash", line_color=GREY)
    figure.update_xaxes(title="t′")
    figure.update_yaxes(title=_(AXES[criterion]))
    figures.chart(
        figure,
        "tstar_set_curve",
        _("{measure} against t′, mean over the test set").format(measure=_(CRITERIA[criterion])),
        Provenance(explorer.bundle, live=False, settings=settings),
        lambda: [{"t": int(t), "mean": float(m)} for t, m in zip(levels, mean, strict=True)],
        height=300,
    )


# ---------------------------------------------------------------- the page


def find(explorer: DDPMExplorer, picked: list[Picked]) -> None:
    code, levels, draws, seed = asked(explorer)
    if not picked:
        st.info(_("Choose a picture to start from."))
        return
    pictures = np.stack([one.picture for one in picked])
    way = WAYS[code][1]
    request = Request(
        explorer.bundle.digest,
        way,
        levels,
        draws,
        seed,
        tuple(picture.tobytes() for picture in pictures),
    )
    judge = loaders.judge()
    back, compared, whole = swept(explorer, code, request, pictures)
    if not whole:
        st.info(
            _(
                "A quick look in 10 steps with {draws} draws; press the button for the way that "
                "you chose."
            ).format(draws=QUICK_DRAWS)
        )
        zero_based = [level - 1 for level in levels]
        back = loaders.restored(
            explorer.bundle.name, QUICK, pictures[:1], zero_based, QUICK_DRAWS, seed
        )
        compared, picked = judge.compare(pictures[:1], back.now), picked[:1]
    if len(back.t) < 2:
        st.warning(_("Fewer than two levels of this way lie in this range: widen it."))
        return
    words = way_words(way if whole else QUICK, code if whole else None)
    found = Found(explorer, judge, picked, back, compared, words, seed)
    result(found)
    st.fragment(run_every=controls.pace("three_t"))(three_ways)(found)


def main() -> None:
    head(
        _("Finding t*"),
        _(
            "Noise a picture to level t′ and denoise it again. At low t′ **the same picture comes "
            "back**, at high t′ **another one**. Where it changes is t\\*: find it, by more than "
            "one measure."
        ),
    )
    with plain_errors():
        name = controls.bundle_name("ddpm", "tstar_bundle")
        explorer = loaders.ddpm(name)
        view = controls.choice(_("What to do"), VIEWS, "tstar_view")
        picked = chosen_pictures(explorer)
        if view == "find":
            find(explorer, picked)
            test_set(explorer)
        else:
            purification.show(explorer, picked)
        explained()


def explained() -> None:
    mechanism(
        _(
            "A picture at level t′ is √ᾱ times itself plus noise. While the noise hides only "
            "texture, every picture that fits x_t has the same digit, and the way back ends at "
            "one of them. When the noise hides the strokes as well, the network fills in what it "
            "has learnt: **the prior takes over from the picture**.\n\n"
            "**t\\* depends on the picture** (large, high-contrast digits survive longer), on the "
            "**measure** (colours are lost before digits, or after), on the **draws** (hence the "
            "interval), on the **sampler**, and on the **model**: one that knows the data better "
            "needs less of the picture. Compare models at the same noise, not at the same t: "
            "t\\* of T = 500 and of T = 1000 are other numbers for one amount of noise.\n\n"
            "**Thresholds** are conventions, so each can be moved: half of the draws with the same "
            "digit; 15 dB; an SSIM of 0.5 in 7 × 7 windows; and in the judge's features the "
            "median distance of two test digits of different class. All levels and draws go "
            "through the network together: those at lower t′ join as t falls."
        )
    )
    x, x_t = coloured("x", "x_0"), coloured("x_t", "x_{t'}")
    eps, x_hat = coloured("eps"), coloured("x_hat", r"\hat x_0")
    formula(
        [
            rf"{x_t} = \sqrt{{\bar\alpha_{{t'}}}}\,{x} + \sqrt{{1-\bar\alpha_{{t'}}}}\,{eps},"
            rf"\qquad {x_t} \to x_{{t'-1}} \to \dots \to {x_hat}",
            rf"t^* = \min\{{t' : m({x}, {x_hat}(t')) "
            r"\text{ is on the other side of its threshold}\}",
        ],
        _(
            "Meng et al. 2022, *SDEdit*, for noising part of the way; Wang et al. 2004 for SSIM; "
            "Wilson 1927 for the interval of a share; the interval of t* is a bootstrap over "
            "draws."
        ),
        noised,
        sweep,
        crossing,
        find_t_star,
        wilson,
        spread,
        psnr,
        ssim,
    )


main()
