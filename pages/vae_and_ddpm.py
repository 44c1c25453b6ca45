"""VAE against DDPM: samples of both side by side, judged by the same judge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from core.bundle import Bundle
from core.ddpm_explorer import Way
from core.frechet import Gaussian
from core.images import Pictures, sharpness
from core.judge import SURE
from core.judge_explorer import JudgeExplorer, SampleQuality, mean_distance
from core.nearest import nearest
from core.vae import VAE
from pages.shared import controls, figures, loaders
from pages.shared.figures import Provenance
from pages.shared.text import (
    GREY,
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
    explorer = loaders.ddpm(name)
    calls = (len(way.grid(explorer.T)) - 1) * count
    if calls > AT_ONCE and not loaders.is_drawn(name, way, seeds):
        seconds = loaders.seconds_a_picture(name) * calls
        if not st.button(
            _("Draw {count} pictures: about {seconds} s").format(
                count=count, seconds=number(seconds, 0)
            ),
            key="against_go",
            type="primary",
            icon=":material/play_arrow:",
        ):
            return None
    with st.spinner(_("Denoising …")):
        timed = loaders.drawn(name, way, seeds)
    return Drawn("ddpm", "DDPM", of, timed.value, timed.seconds, True, settings)


def shown(drawn: Drawn, judge: JudgeExplorer, marks: bool, sure_from: float) -> None:
    """The samples, with the judge's answer where it is sure."""
    st.subheader(drawn.title, anchor=False)
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


def quality_row(title: str, found: SampleQuality, seconds: float) -> dict[str, str]:
    return {
        _("samples of"): title,
        _("pictures"): number(found.count, 0),
        _("sharpness"): number(found.sharpness, 1),
        _("the judge is sure"): percent(found.sure),
        _("digits seen"): number(int((found.digits > 0).sum()), 0),
        _("diversity"): number(found.diversity, 2),
        _("Frechet distance"): number(found.frechet, 2),
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
    st.caption(
        _(
            "Frechet distance in the judge's features to all test digits: of few samples it is far "
            "too large, so compare these two with each other, and the final figures below with "
            "real against real."
        )
    )
    for drawn in both:
        figures.caption(drawn.provenance)
    figures.downloads("quality_of_samples", rows=lambda: rows)
    return found


def answers(both: list[Drawn], found: list[SampleQuality]) -> None:
    """The assignment's questions, answered by what is on the screen."""
    st.subheader(_("Do you see digits? Are they blurred?"), anchor=False)
    st.markdown(_("Look first, then open the answer: it is computed from the samples above."))
    with st.expander(_("The answer of the figures"), icon=":material/visibility:"):
        test = next(
            (
                drawn.of.metrics["judged"]["samples"]
                for drawn in both
                if "judged" in drawn.of.metrics
            ),
            None,
        )
        for drawn, quality in zip(both, found, strict=True):
            words = _(
                "**{model}**: the judge is sure of a digit in {sure} of them; neighbouring pixels "
                "differ by {sharp} grey levels."
            ).format(
                model=drawn.title, sure=percent(quality.sure), sharp=number(quality.sharpness, 1)
            )
            if test is not None:
                words += " " + _(
                    "Of test digits it is sure (p ≥ 0.9) of {sure}; their neighbouring pixels differ "
                    "by {sharp}."
                ).format(
                    sure=percent(test["sure_of_test"]), sharp=number(test["sharpness_of_test"], 1)
                )
                share = quality.sharpness / test["sharpness_of_test"]
                words += " " + (
                    _("The samples are **blurred**: {share} of the sharpness of real pictures.")
                    if share < 0.85
                    else _("The samples are **about as sharp** as real pictures: {share}.")
                ).format(share=percent(share))
            st.markdown(words)


def digits_seen(both: list[Drawn], found: list[SampleQuality]) -> None:
    """Which digits the judge is sure to see."""
    st.subheader(_("Which digits?"), anchor=False)
    figure = go.Figure()
    names = [str(i) for i in range(len(found[0].digits))]
    series = [
        (drawn.family, drawn.title, quality.digits)
        for drawn, quality in zip(both, found, strict=True)
    ]
    for drawn in both:
        stored = drawn.of.profiles.get("judged_digits_of_test")
        if stored is not None:
            series.append(("test", _("test digits"), stored))
            break
    rows = []
    for family, title, counts in series:
        share = counts / max(1, counts.sum())
        figure.add_bar(x=names, y=share, name=title, marker_color=COLOURS[family])
        rows += [
            {"set": title, "digit": name, "share": float(value)}
            for name, value in zip(names, share, strict=True)
        ]
    figure.update_xaxes(title=_("digit that the judge is sure of"), type="category")
    figure.update_yaxes(title=_("share"), tickformat=".0%")
    figure.update_layout(barmode="group")
    figures.chart(
        figure,
        "digits_seen",
        _("Which digits the judge is sure to see in the samples and in the test set"),
        both[-1].provenance,
        lambda: rows,
        height=320,
    )


# ---------------------------------------------------------------- copies


@st.fragment
def copies(both: list[Drawn]) -> None:
    """The nearest training picture of a sample, where the data is at hand: runs again by itself."""
    with plain_errors():
        st.subheader(_("Is it a copy?"), anchor=False)
        of = both[-1].of
        about = of.config["data"]
        split = next(
            (s for s in (about["split"], "train") if controls.at_hand(about["name"], s)), None
        )
        if split is None:
            st.caption(
                _("The nearest training picture is shown where the training set is at hand.")
            )
            words = _("Download the training digits ({megabytes} MB)")
            controls.offer(about["name"], "train", words, "against_download")
            return
        least = min(len(drawn.pictures) for drawn in both)
        index = controls.whole(_("Which sample"), 1, least, 1, "against_which") - 1
        pictures = np.stack([drawn.pictures[index] for drawn in both])
        bank = loaders.picture_set(about["name"], split)
        found = loaders.nearest_pictures(about["name"], split, pictures)
        tiles = []
        for drawn, sample, row, distance in zip(
            both, pictures, found.index, found.distance, strict=True
        ):
            tiles += [
                (sample, drawn.title, _("A sample of {model}").format(model=drawn.title)),
                (
                    bank.pictures[row],
                    _("nearest: {distance} grey levels").format(distance=number(distance, 1)),
                    _("The nearest training picture"),
                ),
            ]
        figures.row(tiles, width=figures.WIDE)
        figures.caption(
            Provenance(
                of,
                True,
                settings={
                    _("among"): _("{count} training pictures").format(count=number(len(bank), 0))
                },
            )
        )
        stored = of.metrics.get("judged", {}).get("samples")
        if stored:
            st.markdown(
                _(
                    "Distance: root mean square difference of all values. The median sample of "
                    "this DDPM is {sample} grey levels from its nearest training picture, the "
                    "median test digit {test}: a model that copied would be far nearer."
                ).format(
                    sample=number(stored["nearest_training"], 1),
                    test=number(stored["nearest_training_of_test"], 1),
                )
            )


# ---------------------------------------------------------------- stored figures


def final(bundles: list[tuple[str, str, Bundle]]) -> None:
    """Figures over 2,000 samples each, stored with the bundles."""
    st.subheader(_("Final figures"), anchor=False)
    judged = [
        (title, of, of.metrics["judged"]["samples"])
        for _family, title, of in bundles
        if "samples" in of.metrics.get("judged", {})
    ]
    if not judged:
        st.info(_("These bundles hold no figures of the judge."))
        return
    rows = [
        {
            _("samples of"): title,
            _("pictures"): number(stored["samples"], 0),
            _("sharpness"): number(stored["sharpness"], 2),
            _("the judge is sure"): percent(stored["sure"], 1),
            _("diversity"): number(stored["diversity"], 3),
            _("Frechet distance"): number(stored["frechet"], 2),
            _("distance to the nearest training picture"): number(stored["nearest_training"], 1),
        }
        for title, _of, stored in judged
    ]
    _title, of, stored = judged[-1]
    rows.append(
        {
            _("samples of"): _("test digits"),
            _("pictures"): number(of.config["data"]["test_pictures"], 0),
            _("sharpness"): number(stored["sharpness_of_test"], 2),
            _("the judge is sure"): percent(stored["sure_of_test"], 1),
            _("diversity"): number(1, 3),
            _("Frechet distance"): number(stored["frechet_real_against_real"], 2),
            _("distance to the nearest training picture"): number(
                stored["nearest_training_of_test"], 1
            ),
        }
    )
    st.dataframe(rows, hide_index=True, width="stretch")
    st.caption(
        _(
            "The Frechet distance of the test digits is that of one half of them to the other: no "
            "set of samples can be expected to do better. It is a distance in this judge's "
            "features, not an FID."
        )
    )
    for _title, of, _stored in judged:
        figures.caption(Provenance(of, live=False))
    figures.downloads("final_figures", rows=lambda: rows)


def trust(judge: JudgeExplorer) -> None:
    """How far the judge can be trusted."""
    with st.expander(_("How far can the judge be trusted?"), icon=":material/gavel:"):
        test, arrays = judge.bundle.metrics["test"], judge.bundle.profiles
        st.markdown(
            _(
                "On {count} test digits it is right {accuracy} of the time. Its logits are "
                "divided by a temperature so that its probabilities mean what they say: the "
                "expected calibration error is {error} (before: {before}). It is sure (p ≥ 0.9) of {sure}, "
                "and then right {right} of the time. It knows digits alone: of a picture that "
                "holds none it still names one, often without being sure."
            ).format(
                count=number(test["pictures"], 0),
                accuracy=percent(test["accuracy"], 1),
                error=number(test["calibration_error"], 3),
                before=number(test["calibration_error_uncalibrated"], 3),
                sure=percent(test["sure"]),
                right=percent(test["accuracy_of_sure"], 1),
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
        first, second = st.columns(2, gap="large")
        vae = from_vae(vae_name, seed, count)
        with first:
            shown(vae, judge, marks, sure_from)
        with second:
            ddpm = from_ddpm(ddpm_name, WAYS[code][1], WAYS[code][0], seed, count)
            if ddpm is not None:
                shown(ddpm, judge, marks, sure_from)
        both = [one for one in (vae, ddpm) if one is not None]
        found = live_figures(both, judge, sure_from)
        answers(both, found)
        digits_seen(both, found)
        copies(both)
        final(
            [
                ("vae", _("VAE"), loaders.bundle(vae_name)),
                *(
                    ("ddpm", f"DDPM, T = {loaders.ddpm(e.name).T}", loaders.bundle(e.name))
                    for e in loaders.entries("ddpm", own=True)
                ),
            ]
        )
        trust(judge)
        explained()


def explained() -> None:
    mechanism(
        _(
            "The **VAE** draws z and paints the **mean** of all pictures that this z may stand "
            "for, in one step: what it cannot know from z it averages away, so its samples are "
            "soft, and fast. The **DDPM** decides detail by detail on its way through the noise: "
            "sharp, and many network calls.\n\n"
            "**Sharpness** is the mean difference of neighbouring pixels: noise counts as sharp, "
            "so read it only with the pictures in view. **Sure** is a probability of 0.9 or more. "
            "**Diversity** is the mean distance of two samples in the judge's features, as a share "
            "of that of two test digits. The **Frechet distance** compares mean and covariance of "
            "those features with the test digits: it falls when samples are both good and "
            "varied, and rises when few are drawn."
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
