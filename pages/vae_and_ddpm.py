"""VAE against DDPM: samples of both side by side, judged by the same judge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from core.bundle import Bundle
from core.ddpm_explorer import Path, Way
from core.frechet import Gaussian
from core.images import Pictures, sharpness
from core.judge import SURE
from core.judge_explorer import JudgeExplorer, SampleQuality, mean_distance
from core.nearest import nearest
from core.restoration import COVERAGE, wilson
from core.vae import VAE
from pages.shared import controls, figures, live, loaders
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

COUNTS = (16, 32, 64)
COLUMNS = 4
WAYS: dict[str, tuple[str, Way]] = {
    "ddim-20": ("DDIM 20", Way("ddim", 20)),
    "ddim-50": ("DDIM 50", Way("ddim", 50)),
    "dpm-20": ("DPM-Solver++ 20", Way("dpm", 20)),
}
COLOURS = {
    "vae": SYMBOL_COLOURS["z"],
    "ddpm": SYMBOL_COLOURS["x"],
    "test": GREY,
}
STORED_WAY = Way("ddim", 50)
# Network calls times pictures that are drawn without being asked for: about a second.
AT_ONCE = 16 * 20
# Share of the sure samples from which a digit counts as seen.
SEEN = 0.02
# Shares of samples with a digit: from the first on there are digits, below the second hardly any.
MUCH, LITTLE = 0.5, 0.2
BLURRED = 0.85
NOTHING = "–"
MANY_BLANKS = 0.4
FEW_SURE = 0.05
"""Of how many pictures without a digit the judge may be sure before its sureness is doubted."""
# By so much two models differ at least where one is said to be ahead in a final figure.
MARGIN = 0.05


@dataclass(frozen=True)
class Drawn:
    """Samples of one model, and how they came about."""

    family: str
    title: str
    of: Bundle
    pictures: Pictures
    seconds: float | None
    live: bool
    settings: Mapping[str, object]

    @property
    def seconds_a_sample(self) -> float:
        """As it was just now, or, of stored samples, as the bundle says."""
        if self.seconds is None:
            return self.of.metrics["timing"]["seconds_a_picture_50_steps"]
        return self.seconds / len(self.pictures)

    @property
    def provenance(self) -> Provenance:
        return Provenance(self.of, self.live, self.seconds, self.settings)


# ---------------------------------------------------------------- samples


def from_vae(name: str, seed: int, count: int) -> Drawn:
    loaders.vae(name)  # not part of the seconds that sampling takes
    timed = loaders.vae_samples(name, seed, count)
    return Drawn(
        "vae",
        _("VAE"),
        loaders.bundle(name),
        timed.value,
        timed.seconds,
        True,
        {_("seed"): seed, _("pictures"): count},
    )


def from_ddpm(name: str, way: Way, words: str, seed: int, count: int) -> Drawn | None:
    """Stored samples where they are the ones that were asked for; None while nothing is drawn."""
    of = loaders.bundle(name)
    seeds = [seed + index for index in range(count)]
    settings = {_("sampler"): words, _("seeds"): f"{seeds[0]} – {seeds[-1]}"}
    stored = of.progress("final")
    if stored and way == STORED_WAY and seeds[-1] < loaders.GALLERY_SIZE:
        sheet = loaders.sheet(of, "final", max(stored), loaders.GALLERY_SIZE)
        return Drawn("ddpm", "DDPM", of, sheet[seed : seed + count], None, False, settings)
    calls = (len(way.grid(loaders.ddpm(name).T)) - 1) * count
    ready = calls <= AT_ONCE or loaders.is_drawn(name, way, seeds)
    if not ready and not gone(name, way, seeds, calls):
        return None
    with st.spinner(_("Denoising …")):
        timed = loaders.drawn(name, way, seeds)
    return Drawn("ddpm", "DDPM", of, timed.value, timed.seconds, True, settings)


def gone(name: str, way: Way, seeds: list[int], calls: int) -> bool:
    """The button for many samples, their progress, stop and go on; whether all are drawn now."""
    explorer = loaders.ddpm(name)
    request = (explorer.bundle.digest, way, tuple(seeds))
    button, place = st.empty(), st.empty()
    clicked = button.button(
        _("Draw {count} pictures: about {seconds} s").format(
            count=len(seeds), seconds=number(loaders.seconds_a_picture(name) * calls, 0)
        ),
        key="against_go",
        type="primary",
        icon=":material/play_arrow:",
    )
    if clicked:
        st.session_state["against_walker"] = (request, explorer.walker(way, seeds))
    asked, walker = st.session_state.get("against_walker", (None, None))
    if asked != request:
        return False
    going = clicked
    if not clicked and walker.path is not None and not walker.path.finished:
        going = live.stopped(walker.path, place, "against")
    if going:
        live.watch(explorer.advance(walker), place, "against", newest)
    if walker.path is None or not walker.path.finished:
        return False
    loaders.keep_drawn(name, way, seeds, walker.path)
    del st.session_state["against_walker"]
    button.empty()
    return True


def newest(path: Path) -> None:
    """What the network sees in the noise so far."""
    figures.live_sheet(
        path.newest.x0_hat,
        columns=8,
        factor=2,
        alt=_("What the network sees in the noise so far"),
        width=560,
    )


def shown(drawn: Drawn, judge: JudgeExplorer, marks: bool, sure_from: float) -> None:
    """The samples, with the judge's answer where it is sure."""
    alt = _("Samples of {model}").format(model=drawn.title)
    if marks:
        seen = judge.judge(drawn.pictures)
        labels = [
            f"{judge.class_names[digit] if p >= sure_from else '?'} · {percent(p)}"
            for digit, p in zip(seen.digit, seen.confidence, strict=True)
        ]
        sheet = figures.strip(drawn.pictures, labels, columns=COLUMNS, alt=alt)
    else:
        sheet = figures.sheet(drawn.pictures, columns=COLUMNS, alt=alt)
    figures.caption(drawn.provenance)
    figures.downloads(f"samples_{drawn.family}", png=lambda: sheet)


# ---------------------------------------------------------------- figures


def stored_figures(of: Bundle) -> Mapping[str, float] | None:
    """The judge's figures of many samples that are stored with a bundle, where there are any."""
    return of.metrics.get("judged", {}).get("samples")


def classes_seen(digits: np.ndarray) -> int:
    """Digits that at least ``SEEN`` of the pictures are taken for that the judge is sure of."""
    return int(((digits > 0) & (digits >= SEEN * digits.sum())).sum())


def quality_row(title: str, found: SampleQuality, seconds: float) -> dict[str, str]:
    return {
        _("samples of"): title,
        _("pictures"): number(found.count, 0),
        _("sharpness"): number(found.sharpness, 1),
        _("the judge is sure"): percent(found.sure),
        _("digits seen"): number(classes_seen(found.digits), 0),
        _("diversity"): number(found.diversity, 2),
        _("Frechet, judge's features"): number(found.frechet, 2),
        _("seconds a sample"): number(seconds, 4),
    }


def live_figures(both: list[Drawn], judge: JudgeExplorer, sure_from: float) -> list[SampleQuality]:
    """Figures of what is on the screen."""
    st.subheader(_("Figures of these samples"), anchor=False)
    found = [judge.quality(drawn.pictures, sure_from=sure_from) for drawn in both]
    rows = [
        quality_row(drawn.title, quality, drawn.seconds_a_sample)
        for drawn, quality in zip(both, found, strict=True)
    ]
    st.dataframe(rows, hide_index=True, width="stretch")
    count = found[0].count
    st.caption(
        _(
            "Frechet distance in the judge's features to all test digits. With {count} samples much of "
            "it is an effect of {count}: as many pictures just as good as test digits would score "
            "about {chance}, not 0. The final figures below, over far more samples, are the ones to "
            "compare."
        ).format(count=count, chance=number(loaders.frechet_of_count(count), 1))
    )
    for drawn in both:
        figures.caption(drawn.provenance)
    figures.downloads("quality_of_samples", rows=lambda: rows)
    return found


def answers(both: list[Drawn], found: list[SampleQuality], sure_from: float) -> float:
    """The assignment's questions, answered by what is on the screen; from where on it is blurred."""
    st.subheader(_("Do you see digits? Are they blurred?"), anchor=False)
    st.markdown(_("Look first, then open the answer: it is computed from the samples above."))
    with st.expander(_("The answer of the figures"), icon=":material/visibility:"):
        test = next(filter(None, (stored_figures(drawn.of) for drawn in both)), None)
        limit = BLURRED
        if test is not None:
            limit = controls.real(
                _("Blurred below this share of the test digits' sharpness"),
                0.3,
                1.0,
                BLURRED,
                "against_blurred",
            )
        for drawn, quality in zip(both, found, strict=True):
            words = digits_answer(drawn.title, quality, sure_from)
            if test is not None:
                words += " " + _("Of the test digits it is sure (p ≥ 0.9) of {sure}.").format(
                    sure=percent(test["sure_of_test"])
                )
                words += "\n\n" + blur_answer(quality.sharpness, test["sharpness_of_test"], limit)
            st.markdown(words)
        st.caption(
            _(
                "Yes: the judge is sure of at least {much} of the samples; hardly: of fewer than "
                "{little}. In brackets the {coverage} interval (Wilson 1927)."
            ).format(much=percent(MUCH), little=percent(LITTLE), coverage=percent(COVERAGE))
        )
    return limit


def digits_answer(title: str, quality: SampleQuality, sure_from: float) -> str:
    """Whether there are digits, by the share of samples that the judge is sure of."""
    if quality.sure >= MUCH:
        words = _("**{model}, digits: yes.**")
    elif quality.sure >= LITTLE:
        words = _("**{model}, digits: some.**")
    else:
        words = _("**{model}, digits: hardly.**")
    low, high = wilson(np.float64(quality.sure), quality.count)
    return (
        words
        + " "
        + _("The judge is sure (p ≥ {p}) of {sure} of {count} samples: {share} [{low}, {high}].")
    ).format(
        model=title,
        p=number(sure_from, 2),
        sure=round(quality.sure * quality.count),
        count=quality.count,
        share=percent(quality.sure),
        low=percent(low),
        high=percent(high),
    )


def blur_answer(sharpness_: float, of_test: float, limit: float) -> str:
    """Whether samples are blurred, by their sharpness beside that of test digits."""
    share = sharpness_ / of_test
    if share < limit:
        words = _("**Blurred: yes**, {share} of the sharpness of real pictures")
    elif share > 1 / limit:
        words = _("**Blurred: no**, {share} of the sharpness of real pictures, perhaps by noise")
    else:
        words = _("**Blurred: no**, about as sharp as real pictures: {share}")
    return (
        words
        + " "
        + _(
            "(neighbouring pixels differ by {sharp} grey levels, those of test digits by {test}; "
            "blurred is below {limit})."
        )
    ).format(
        share=percent(share),
        sharp=number(sharpness_, 1),
        test=number(of_test, 1),
        limit=percent(limit),
    )


# ---------------------------------------------------------------- digits


def digits_seen(
    models: list[tuple[str, str, Bundle]], both: list[Drawn], found: list[SampleQuality]
) -> None:
    """Which digits the judge is sure to see: bars of stored samples, diamonds of those above."""
    st.subheader(_("Which digits?"), anchor=False)
    series = []
    for family, title, of in models:
        stored = stored_figures(of)
        if stored is not None:
            name = _("{model}: {sure} of {count} stored")
            series.append((family, title, name, of.profiles["judged_digits"], stored["samples"]))
    for _family, _title, of in models:
        if "judged_digits_of_test" in of.profiles:
            count = of.config["data"]["test_pictures"]
            digits = of.profiles["judged_digits_of_test"]
            series.append(
                ("test", _("test digits"), _("{model}: {sure} of {count}"), digits, count)
            )
            break
    drawn_series = [
        (drawn.family, drawn.title, _("{model}: {sure} of {count} above"), q.digits, q.count)
        for drawn, q in zip(both, found, strict=True)
    ]
    figure, rows = go.Figure(), []
    names = [str(digit) for digit in range(len(found[0].digits))]
    for above, (family, title, words, digits, count) in [
        *((False, one) for one in series),
        *((True, one) for one in drawn_series),
    ]:
        name = words.format(model=title, sure=number(int(digits.sum()), 0), count=number(count, 0))
        shares = digits / max(1, digits.sum())
        look = {"x": names, "name": name, "offsetgroup": family}
        if above:
            marker = {"color": COLOURS[family], "symbol": "diamond-open", "size": 11}
            seen = np.where(digits > 0, shares, np.nan)
            figure.add_scatter(**look, y=seen, mode="markers", marker=marker | {"line_width": 2})
        else:
            figure.add_bar(**look, y=shares, marker_color=COLOURS[family])
        rows += [
            {"set": name, "digit": digit, "share": float(share), "pictures": int(n)}
            for digit, share, n in zip(names, shares, digits, strict=True)
        ]
    figure.update_xaxes(title=_("digit that the judge is sure of"), type="category")
    figure.update_yaxes(title=_("share"), tickformat=".0%")
    figure.update_layout(barmode="group", scattermode="group")
    (_family, _title, first), *others = models
    figures.chart(
        figure,
        "digits_seen",
        _("Which digits the judge is sure to see in the samples and in the test set"),
        Provenance(first, live=False, also=[of for *_words, of in others]),
        lambda: rows,
        height=420,
    )
    named = {family for family, *_rest in series}
    warn_of_blanks([*series, *(one for one in drawn_series if one[0] not in named)])


EMPTY = {
    "wiped": N_("test pictures that have lost their digit"),
    "scrambled": N_("scrambled test pictures"),
    "clouds": N_("clouds of random colours"),
}


def warn_of_blanks(series: list[tuple[str, str, str, np.ndarray, int]]) -> None:
    """Says so where many answers are the one that the judge also gives where there is no digit."""
    empty = loaders.judge().bundle.metrics.get("digitless", {})
    kind = max(empty, key=lambda kind: empty[kind]["sure"], default=None)
    if kind is None or empty[kind]["sure"] <= FEW_SURE:
        return
    blank = empty[kind]["most_read"]
    shares = {family: digits[blank] / max(1, digits.sum()) for family, _t, _n, digits, _c in series}
    for family, title, _name, _digits, _count in series:
        if family != "test" and shares[family] > MANY_BLANKS:
            words = _(
                "**{model}**: {share} of the samples that the judge is sure of are read as "
                "{digit}, its most frequent answer to {kind} too, of which it is sure in {sure} of cases: "
                "part of these samples may show no digit."
            ).format(
                model=title,
                share=percent(shares[family]),
                digit=blank,
                kind=_(EMPTY[kind]),
                sure=percent(empty[kind]["sure"]),
            )
            if "test" in shares:
                words += " " + _("Of the test digits it is {share}.").format(
                    share=percent(shares["test"])
                )
            st.warning(words)


# ---------------------------------------------------------------- copies


@st.fragment
def copies(both: list[Drawn], models: list[tuple[str, str, Bundle]], limit: float) -> None:
    """The nearest training picture of a sample, where the data is at hand: runs again by itself."""
    with plain_errors():
        st.subheader(_("Is it a copy?"), anchor=False)
        about = both[0].of.config["data"]
        split = next(
            (s for s in (about["split"], "train") if controls.at_hand(about["name"], s)), None
        )
        if split is None:
            st.caption(
                _("The nearest training picture is shown where the training set is at hand.")
            )
            words = _("Download the training digits ({megabytes} MB)")
            controls.offer(about["name"], "train", words, "against_download")
        else:
            beside_nearest(both, about["name"], split)
        distances(models, limit)


def beside_nearest(both: list[Drawn], name: str, split: str) -> None:
    """A sample of each model, its nearest training picture beside it at any width."""
    least = min(len(drawn.pictures) for drawn in both)
    index = controls.whole(_("Which sample"), 1, least, 1, "against_which") - 1
    pictures = np.stack([drawn.pictures[index] for drawn in both])
    bank = loaders.picture_set(name, split)
    found = loaders.nearest_pictures(name, split, pictures)
    near = bank.pictures[found.index]
    columns = st.columns(2, gap="large")
    for place, drawn in enumerate(both):
        with columns[place]:
            words = _("nearest: {distance} grey levels").format(
                distance=number(found.distance[place], 1)
            )
            alt = _("A sample of {model}").format(model=drawn.title)
            figures.pairs(
                [
                    (pictures[place], drawn.title, alt),
                    (near[place], words, _("The nearest training picture")),
                ]
            )
    among = _("{count} training pictures").format(count=number(len(bank), 0))
    first, *others = [drawn.of for drawn in both]
    figures.caption(Provenance(first, True, settings={_("among"): among}, also=others))
    figures.downloads(
        "nearest_training",
        png=lambda: figures.grid(
            np.stack([pictures, near], axis=1).reshape(-1, *near.shape[1:]), 2
        ),
        rows=lambda: [
            {
                "samples of": drawn.title,
                "sample": index + 1,
                "training picture": int(found.index[place]),
                "grey levels": float(found.distance[place]),
            }
            for place, drawn in enumerate(both)
        ],
    )


def distances(models: list[tuple[str, str, Bundle]], limit: float) -> None:
    """How near the stored samples of each model are to training pictures, and what that tells."""
    told = [(title, stored_figures(of)) for _family, title, of in models]
    told = [(title, stored) for title, stored in told if stored is not None]
    if not told:
        return
    words = [
        _(
            "Distance: root mean square difference of all values. The median test digit is {test} grey "
            "levels from its nearest training picture; a copy would be at 0."
        ).format(test=number(told[0][1]["nearest_training_of_test"], 1))
    ]
    for title, stored in told:
        words.append(
            _("**{model}**: the median of {count} samples is at {sample}.").format(
                model=title,
                count=number(stored["samples"], 0),
                sample=number(stored["nearest_training"], 1),
            )
        )
        blurred = stored["sharpness"] < limit * stored["sharpness_of_test"]
        if blurred and stored["nearest_training"] < stored["nearest_training_of_test"]:
            words.append(
                _(
                    "That it is nearer than real digits does not tell of copies: its samples are "
                    "blurred, and a blurred picture, without the details in which pictures differ, "
                    "is near to all of them."
                )
            )
    st.markdown(" ".join(words))


# ---------------------------------------------------------------- stored figures


def final(
    models: list[tuple[str, str, Bundle]], chosen: list[Bundle], vae: Drawn, judge: JudgeExplorer
) -> None:
    """Figures over 2,000 samples each, stored with the bundles; ``chosen``: which two to compare."""
    st.subheader(_("Final figures"), anchor=False)
    judged = [(title, of) for _family, title, of in models if stored_figures(of)]
    if not judged:
        st.info(_("These bundles hold no figures of the judge."))
        return
    rows = [final_row(title, of, vae) for title, of in judged]
    rows += real_rows(judged[-1][1], judge)
    st.dataframe(rows, hide_index=True, width="stretch")
    compared = [(title, stored_figures(of)) for title, of in judged if of in chosen]
    if len(compared) == 2:
        result(*compared)
    real = judge.bundle.metrics
    half = real["test"]["pictures"] // 2
    words = _(
        "Frechet, judge's features: the Frechet distance in the judge's features to the test digits, "
        "not an FID. That of the test digits is one half of them against the other, {half} against "
        "{rest}; sets of more pictures come out lower, so it is no limit. Digits seen: those "
        "with at least {share} of the samples that the judge is sure of."
    ).format(
        half=number(half, 0), rest=number(real["test"]["pictures"] - half, 0), share=percent(SEEN)
    )
    devices = {of.metrics["timing"]["device"] for _title, of in judged if "timing" in of.metrics}
    words += " " + _(
        "Seconds a sample: of the VAE as just measured here with {count} samples; of the others by DDIM "
        "with 50 steps, stored with the bundle ({devices})."
    ).format(count=len(vae.pictures), devices="; ".join(sorted(devices)))
    st.caption(words)
    (_title, first), *others = judged
    figures.caption(Provenance(first, live=False, also=[of for _title, of in others]))
    figures.downloads("final_figures", rows=lambda: rows)


def final_row(title: str, of: Bundle, vae: Drawn) -> dict[str, str]:
    """A model's line: seconds of the VAE as they were here, of others as the bundle says."""
    stored, timing = stored_figures(of), of.metrics.get("timing")
    seconds = timing["seconds_a_picture_50_steps"] if timing else None
    if of is vae.of:
        seconds = vae.seconds_a_sample
    return {
        _("samples of"): title,
        _("pictures"): number(stored["samples"], 0),
        _("sharpness"): number(stored["sharpness"], 2),
        _("the judge is sure"): percent(stored["sure"], 1),
        _("digits seen"): number(classes_seen(of.profiles["judged_digits"]), 0),
        _("diversity"): number(stored["diversity"], 3),
        _("Frechet, judge's features"): number(stored["frechet"], 2),
        _("distance to the nearest training picture"): number(stored["nearest_training"], 1),
        _("seconds a sample"): NOTHING if seconds is None else number(seconds, 4),
    }


def real_rows(of: Bundle, judge: JudgeExplorer) -> list[dict[str, str]]:
    """The same of real pictures, as far as it is known."""
    stored, real = stored_figures(of), judge.bundle.metrics["features"]
    test = {
        _("samples of"): _("test digits"),
        _("pictures"): number(of.config["data"]["test_pictures"], 0),
        _("sharpness"): number(stored["sharpness_of_test"], 2),
        _("the judge is sure"): percent(stored["sure_of_test"], 1),
        _("digits seen"): number(classes_seen(of.profiles["judged_digits_of_test"]), 0),
        _("diversity"): number(1, 3),
        _("Frechet, judge's features"): number(stored["frechet_real_against_real"], 2),
        _("distance to the nearest training picture"): number(
            stored["nearest_training_of_test"], 1
        ),
        _("seconds a sample"): NOTHING,
    }
    train = dict.fromkeys(test, NOTHING) | {
        _("samples of"): _("training digits"),
        _("pictures"): number(real["frechet_training_pictures"], 0),
        _("Frechet, judge's features"): number(real["frechet_training_against_test"], 2),
    }
    return [test, train]


Stored = Mapping[str, float]


def leads(first: Stored, second: Stored) -> dict[str, int]:
    """Which of two models is ahead in a final figure: 1 the first, -1 the second, 0 neither.

    In the share that the judge is sure of: where the intervals do not overlap. In the others by more
    than ``MARGIN``: in sharpness and diversity by being nearer to the test digits, whose figure is
    the unit, in the Frechet distance as a share of the larger.
    """
    (low, high), (low_2, high_2) = (
        wilson(np.float64(m["sure"]), m["samples"]) for m in (first, second)
    )
    away = {
        "diversity": [abs(m["diversity"] - 1) for m in (first, second)],
        "frechet": [
            m["frechet"] / max(first["frechet"], second["frechet"]) for m in (first, second)
        ],
        "sharpness": [abs(m["sharpness"] / m["sharpness_of_test"] - 1) for m in (first, second)],
    }
    return {"sure": int(low > high_2) - int(low_2 > high)} | {
        name: int(np.sign(b - a)) if abs(b - a) > MARGIN else 0 for name, (a, b) in away.items()
    }


def result(first: tuple[str, Stored], second: tuple[str, Stored]) -> None:
    """Which of the two chosen models is ahead in what, said from their final figures."""
    titles, stored = zip(first, second, strict=True)
    measures = {
        "sure": (_("digits that the judge is sure of"), lambda value: percent(value, 1)),
        "diversity": (_("diversity"), lambda value: number(value, 2)),
        "frechet": (_("Frechet distance in the judge's features"), lambda value: number(value, 2)),
        "sharpness": (
            _("sharpness nearest to that of test digits"),
            lambda value: number(value, 1),
        ),
    }
    said: dict[int, list[str]] = {1: [], -1: [], 0: []}
    for name, lead in leads(*stored).items():
        words, show = measures[name]
        a, b = (show(m[name]) for m in (stored if lead >= 0 else stored[::-1]))
        said[lead].append(_("{measure} ({a} against {b})").format(measure=words, a=a, b=b))
    sentences = [
        _("**{model} is ahead** in: {measures}.").format(
            model=title, measures=", ".join(said[lead])
        )
        for title, lead in zip(titles, (1, -1), strict=True)
        if said[lead]
    ]
    if said[0]:
        sentences.append(
            _("**Neither is ahead** in: {measures}.").format(measures=", ".join(said[0]))
        )
    count = number(min(m["samples"] for m in stored), 0)
    st.markdown(_("Over {count} samples of each:").format(count=count) + " " + " ".join(sentences))
    st.caption(
        _(
            "Ahead: in the share of digits where the {coverage} intervals do not overlap, in the "
            "other figures by more than {margin}."
        ).format(coverage=percent(COVERAGE), margin=percent(MARGIN))
    )


def trust(judge: JudgeExplorer) -> None:
    """How far the judge can be trusted."""
    with st.expander(_("How far can the judge be trusted?"), icon=":material/gavel:"):
        test, arrays = judge.bundle.metrics["test"], judge.bundle.profiles
        st.markdown(
            _(
                "On {count} test digits it is right {accuracy} of the time. Its logits are "
                "divided by a temperature so that its probabilities mean what they say: the "
                "expected calibration error is {error} (before: {before}). It is sure (p ≥ 0.9) of {sure}, "
                "and then right {right} of the time. Of a picture that holds no digit it still names one."
            ).format(
                count=number(test["pictures"], 0),
                accuracy=percent(test["accuracy"], 1),
                error=number(test["calibration_error"], 3),
                before=number(test["calibration_error_uncalibrated"], 3),
                sure=percent(test["sure"]),
                right=percent(test["accuracy_of_sure"], 1),
            )
        )
        if empty := judge.bundle.metrics.get("digitless"):
            shares = {kind: percent(found["sure"], 1) for kind, found in empty.items()}
            most = max(found["sure"] for found in empty.values())
            st.markdown(
                _(
                    "**Without a digit**: of test pictures that have lost theirs, left as smooth "
                    "colour, it is sure in {wiped} of cases, of test pictures cut into patches and "
                    "scrambled in {scrambled}, and of clouds of random colours in {clouds}. So "
                    "shares of up to {most} are no evidence of digits by themselves: look at the "
                    "samples."
                ).format(**shares, most=percent(most))
            )
        flat = loaders.flat()
        blank = int(np.bincount(flat.digit).argmax())
        st.markdown(
            _(
                "**Flat pictures**, one colour and no digit: of {count} it reads {share} as {digit}, "
                "and it is sure of {sure} of them."
            ).format(
                count=len(flat.digit),
                share=percent((flat.digit == blank).mean()),
                digit=blank,
                sure=percent(flat.sure.mean()),
            )
        )
        count = arrays["reliability_count"]
        full = count > 0
        confidence = arrays["reliability_confidence"][full]
        accuracy = arrays["reliability_accuracy"][full]
        figure = go.Figure()
        figure.add_trace(figures.line([0, 1], [0, 1], _("perfect"), GREY, dash="dash"))
        figure.add_trace(
            figures.line(
                confidence, accuracy, _("the judge"), SYMBOL_COLOURS["x_hat"], markers=True
            )
        )
        figure.update_xaxes(title=_("probability that it gives"), range=[0, 1.02])
        figure.update_yaxes(title=_("share that is right"), range=[0, 1.02])
        figures.chart(
            figure,
            "judge_reliability",
            _("How often the judge is right, against the probability that it gives"),
            Provenance(judge.bundle, live=False),
            lambda: [
                {"probability": float(a), "right": float(b), "digits": int(c)}
                for a, b, c in zip(confidence, accuracy, count[full], strict=True)
            ],
            height=340,
        )
        confusion = arrays["confusion"]
        names = list(judge.class_names)
        heat = go.Figure(
            go.Heatmap(
                z=confusion / np.maximum(1, confusion.sum(axis=1, keepdims=True)),
                x=names,
                y=names,
                colorscale="Viridis",
                text=confusion,
                texttemplate="%{text}",
                showscale=False,
            )
        )
        heat.update_xaxes(title=_("answer of the judge"), type="category")
        heat.update_yaxes(title=_("true digit"), type="category", autorange="reversed")
        figures.chart(
            heat,
            "judge_confusion",
            _("Confusion matrix: what each true digit is read as"),
            Provenance(judge.bundle, live=False),
            lambda: [
                {"true": names[i], "answer": names[j], "count": int(confusion[i, j])}
                for i in range(len(names))
                for j in range(len(names))
            ],
            height=460,
        )


# ---------------------------------------------------------------- the page


def main() -> None:
    head(
        _("VAE against DDPM"),
        _(
            "Samples of both, as many of each, judged by the same judge: **what does each of them "
            "do better**, and what does it cost?"
        ),
    )
    with plain_errors():
        vae_name = controls.bundle_name("vae", "against_vae")
        left, middle, right = st.columns(3, gap="large")
        with left:
            ddpm_name = controls.bundle_name("ddpm", "against_ddpm")
            codes = {code: title for code, (title, _way) in WAYS.items()}
            code = controls.choice(_("Sampler"), codes, "against_way", default="ddim-50")
        with middle:
            count = int(
                st.select_slider(
                    _("Pictures of each"), COUNTS, 16, key="against_count", bind="query-params"
                )
            )
            marks = st.toggle(
                _("What the judge sees in them"), key="against_marks", bind="query-params"
            )
        with right:
            seed = controls.seed("against_seed")
            sure_from = controls.real(
                _("The judge is sure from p ="), 0.3, 1.0, SURE, "against_sure", step=0.05
            )
        judge = loaders.judge()
        vae = from_vae(vae_name, seed, count)
        ddpm = from_ddpm(ddpm_name, WAYS[code][1], WAYS[code][0], seed, count)
        first, second = st.columns(2, gap="large")
        with first:
            st.subheader(_("VAE"), anchor=False)
            shown(vae, judge, marks, sure_from)
        with second:
            st.subheader(_("DDPM"), anchor=False)
            if ddpm is None:
                st.info(_("This takes a moment: press the button."))
            else:
                shown(ddpm, judge, marks, sure_from)
        both = [one for one in (vae, ddpm) if one is not None]
        found = live_figures(both, judge, sure_from)
        limit = answers(both, found, sure_from)
        chosen = loaders.bundle(ddpm_name)
        models = [("vae", _("VAE"), vae.of), ("ddpm", _("DDPM"), chosen)]
        digits_seen(models, both, found)
        copies(both, models, limit)
        final([models[0], *diffusion_models(chosen)], [vae.of, chosen], vae, judge)
        trust(judge)
        explained()


def diffusion_models(chosen: Bundle) -> list[tuple[str, str, Bundle]]:
    """The embedded diffusion models and the chosen one, by rising T."""
    found = [loaders.bundle(entry.name) for entry in loaders.entries("ddpm", own=True)]
    found += [] if chosen in found else [chosen]
    lengths = {of.name: of.config["architecture"]["schedule"]["T"] for of in found}
    found.sort(key=lambda of: lengths[of.name])
    return [("ddpm", f"DDPM, T = {lengths[of.name]}", of) for of in found]


def explained() -> None:
    mechanism(
        _(
            "The **VAE** draws z and paints the **mean** of all pictures that this z may stand "
            "for, in one call of its network: with a Gaussian likelihood the mean is the best single "
            "answer, and what cannot be known from z is averaged away. A mean of many pictures is "
            "blurred. The **DDPM** decides step by step on its way through the noise, and what it "
            "has decided it sees in the next step, so nothing has to be averaged at the end; that "
            "takes many calls. Whether its shapes are digits is another question, which the "
            "figures above answer.\n\n"
            "**Sharpness** is the mean difference of neighbouring pixels: noise counts as sharp, "
            "so read it only with the pictures in view. **Sure** is a probability of 0.9 or more. "
            "**Diversity** is the mean distance of two samples in the judge's features, as a share "
            "of that of two test digits. The **Frechet distance** compares mean and covariance of "
            "those features with the test digits: it falls when samples are both good and "
            "varied, and rises when few are drawn: compare it at equal counts alone."
        )
    )
    z = coloured("z")
    formula(
        [
            rf"\text{{VAE: }} {z} \sim \mathcal N(0, I),\quad {coloured('x_hat')} = "
            rf"\mu_\theta({z})",
            r"d^2 = \|\mu_a-\mu_b\|^2 + \mathrm{tr}\big(\Sigma_a+\Sigma_b"
            r"-2(\Sigma_a\Sigma_b)^{1/2}\big)",
        ],
        _("Dowson & Landau 1982; Heusel et al. 2017, whose features were Inception's."),
        VAE.sample,
        JudgeExplorer.quality,
        Gaussian.distance,
        mean_distance,
        sharpness,
        nearest,
    )


main()
