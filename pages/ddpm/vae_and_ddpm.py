"""VAE against DDPM: samples of both side by side, a blind test, and what one digit classifier says."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from core.bundles.bundle import Bundle
from core.ddpm.explorer import SamplerSettings
from core.ddpm.restoration import COVERAGE, wilson
from core.judge.explorer import JudgeExplorer, SampleQuality, mean_distance
from core.judge.frechet import Gaussian
from core.judge.model import SURE
from core.judge.nearest import nearest
from core.pictures.images import sharpness
from core.vae.model import VAE
from pages.ddpm.parts import blind_test, copies, final_figures, judge_trust, samples
from pages.ddpm.parts.final_figures import across, classes_seen, stored_figures
from pages.ddpm.parts.samples import ModelSamples
from pages.shared import controls, figures, library, loaders
from pages.shared.colours import GREY, SYMBOL_COLOURS
from pages.shared.figures import Column, Provenance, digits
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

SCALE = N_(
    "Yes: the classifier is sure of at least {much} of the samples; hardly: of fewer than "
    "{little}. In brackets the {coverage} interval (Wilson 1927)."
)
SURE_OF = N_(
    "The classifier is sure (p ≥ {p}) of {sure} of {count} samples: {share} [{low}, {high}]."
)
DIGITS = {
    "yes": N_("**{model}, digits: yes.**"),
    "some": N_("**{model}, digits: some.**"),
    "hardly": N_("**{model}, digits: hardly.**"),
}
"""Whether samples show digits."""
BLUR = {
    "yes": N_("**Blurred: yes**, {share} of the sharpness of real pictures"),
    "noise": N_("**Blurred: no**, {share} of the sharpness of real pictures, perhaps by noise"),
    "no": N_("**Blurred: no**, about as sharp as real pictures: {share}"),
}
"""Whether samples are blurred."""
PIXELS_DIFFER = N_(
    "(neighbouring pixels differ by {sharp} grey levels, those of test digits by {test}; "
    "blurred is below {limit})."
)
FEW_INFLATE = N_(
    "Frechet distance to all test digits in the classifier's features. With only {count} samples "
    "this number is inflated: {count} real digits would also score about {chance}, not 0. Compare "
    "the figures below, over far more samples."
)
READ_AS_A_BLANK = N_(
    "**{model}**: {share} of the samples that the classifier is sure of are read as {digit}. "
    "That is also its most frequent answer to {kind}, of which it is sure in {sure} of cases: "
    "some of these samples may show no digit."
)
HONEST = N_(
    "A digit classifier is sure of {vae} of the VAE's samples, {ddpm} of the DDPM's and {real} of "
    "real test digits."
)

COUNTS = (16, 32, 64)
WAYS: dict[str, tuple[str, SamplerSettings]] = {
    "ddim-20": ("DDIM 20", SamplerSettings("ddim", 20)),
    "ddim-50": ("DDIM 50", SamplerSettings("ddim", 50)),
    "dpm-20": ("DPM-Solver++ 20", SamplerSettings("dpm", 20)),
}
COLOURS = {
    "vae": SYMBOL_COLOURS["z"],
    "ddpm": SYMBOL_COLOURS["x"],
    "test": GREY,
}
# Shares of samples with a digit: from the first on there are digits, below the second hardly any.
MUCH, LITTLE = 0.5, 0.2
BLURRED = 0.85
MANY_BLANKS = 0.4
# Of how many pictures without a digit the classifier may be sure before its sureness is doubted.
FEW_SURE = 0.05


# ---------------------------------------------------------------- figures


def quality_row(title: str, found: SampleQuality, seconds: float) -> dict[str, object]:
    return {
        "samples_of": title,
        "pictures": found.count,
        "sharpness": found.sharpness,
        "sure": found.sure,
        "digits_seen": classes_seen(found.digits),
        "diversity": found.diversity,
        "frechet": found.frechet,
        "seconds_a_sample": seconds,
    }


def quality_columns() -> list[Column]:
    return [
        Column("samples_of", _("samples of")),
        Column("pictures", _("pictures"), digits(0)),
        Column("sharpness", _("sharpness"), digits(1)),
        Column("sure", _("the classifier is sure"), percent),
        Column("digits_seen", _("digits seen"), digits(0)),
        Column("diversity", _("diversity"), digits(2)),
        Column("frechet", _("Frechet distance"), digits(2)),
        Column("seconds_a_sample", _("seconds per sample"), digits(4)),
    ]


def live_figures(both: list[ModelSamples], sure_from: float) -> list[SampleQuality]:
    """Figures of what is on the screen."""
    st.subheader(_("Figures of these samples"), anchor=False)
    found = [loaders.quality(drawn.pictures, sure_from) for drawn in both]
    rows = [
        quality_row(drawn.title, quality, drawn.seconds_a_sample)
        for drawn, quality in zip(both, found, strict=True)
    ]
    across(rows, quality_columns(), "quality_of_samples")
    count = found[0].count
    st.caption(
        _(
            "These {count} samples are few: their shares may lie far from those over many samples, at the top "
            "of the page."
        ).format(count=count)
        + " "
        + _(FEW_INFLATE).format(count=count, chance=number(loaders.frechet_of_count(count), 1))
    )
    figures.about([drawn.provenance for drawn in both], "quality_of_samples", rows=lambda: rows)
    return found


def answers(both: list[ModelSamples], found: list[SampleQuality], sure_from: float) -> float:
    """The assignment's questions, answered by what is on the screen; from where on it is blurred."""
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
            words += " " + _("For real test digits the share is {sure} (p ≥ {p}).").format(
                sure=percent(test["sure_of_test"]), p=number(SURE, 1)
            )
            words += "\n\n" + blur_answer(quality.sharpness, test["sharpness_of_test"], limit)
        st.markdown(words)
    st.caption(
        _(SCALE).format(much=percent(MUCH), little=percent(LITTLE), coverage=percent(COVERAGE))
    )
    return limit


def digits_answer(title: str, quality: SampleQuality, sure_from: float) -> str:
    """Whether there are digits, by the share of samples that the classifier is sure of."""
    if quality.sure >= MUCH:
        words = _(DIGITS["yes"])
    elif quality.sure >= LITTLE:
        words = _(DIGITS["some"])
    else:
        words = _(DIGITS["hardly"])
    low, high = wilson(np.float64(quality.sure), quality.count)
    return (words + " " + _(SURE_OF)).format(
        model=title,
        p=number(sure_from, 2),
        sure=round(quality.sure * quality.count),
        count=quality.count,
        share=percent(quality.sure),
        low=percent(low),
        high=percent(high),
    )


def blur_answer(sharpness_: float, of_test: float, limit: float) -> str:
    """Whether samples are blurred, by their sharpness next to that of test digits."""
    share = sharpness_ / of_test
    if share < limit:
        words = _(BLUR["yes"])
    elif share > 1 / limit:
        words = _(BLUR["noise"])
    else:
        words = _(BLUR["no"])
    return (words + " " + _(PIXELS_DIFFER)).format(
        share=percent(share),
        sharp=number(sharpness_, 1),
        test=number(of_test, 1),
        limit=percent(limit),
    )


# ---------------------------------------------------------------- digits


def digits_seen(
    models: list[tuple[str, str, Bundle]], both: list[ModelSamples], found: list[SampleQuality]
) -> None:
    """Which digits the classifier is sure to see: bars of stored samples, diamonds of those above."""
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
    figure.update_xaxes(title=_("digit that the classifier is sure of"), type="category")
    figure.update_yaxes(title=_("share"), tickformat=".0%")
    figure.update_layout(barmode="group", scattermode="group")
    (_family, _title, first), *others = models
    figures.chart(
        figure,
        "digits_seen",
        _("Which digits the classifier is sure to see in the samples and in the test set"),
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
    """Says so where many answers are the one that the classifier also gives where there is no digit."""
    empty = loaders.judge().bundle.metrics.get("digitless", {})
    kind = max(empty, key=lambda kind: empty[kind]["sure"], default=None)
    if kind is None or empty[kind]["sure"] <= FEW_SURE:
        return
    blank = empty[kind]["most_read"]
    shares = {family: digits[blank] / max(1, digits.sum()) for family, _t, _n, digits, _c in series}
    warnings = []
    for family, title, _name, _digits, _count in series:
        if family != "test" and shares[family] > MANY_BLANKS:
            words = _(READ_AS_A_BLANK).format(
                model=title,
                share=percent(shares[family]),
                digit=blank,
                kind=_(EMPTY[kind]),
                sure=percent(empty[kind]["sure"]),
            )
            if "test" in shares:
                words += " " + _("For real test digits the share is {share}.").format(
                    share=percent(shares["test"])
                )
            warnings.append(words)
    if warnings:
        st.warning("\n\n".join(warnings))


# ---------------------------------------------------------------- the page


def main() -> None:
    head(
        _("VAE against DDPM"),
        _(
            "Both models learnt from the same digits. **Whose samples are sharper, and whose can you "
            "read?** Look first, then test your eye below."
        ),
    )
    with plain_errors():
        line = st.container(horizontal=True, vertical_alignment="center")
        with line, controls.popover(_("Models, sampler, seed")):
            vae_name = controls.bundle_name("vae", "against_vae")
            ddpm_name = controls.bundle_name("ddpm", "against_ddpm")
            codes = {code: title for code, (title, _way) in WAYS.items()}
            code = controls.choice(_("Sampler"), codes, "against_way", default="ddim-50")
            count = controls.stop(_("Pictures of each"), COUNTS, 16, "against_count")
            seed = controls.seed("against_seed")
            marks = controls.switch(_("What the classifier reads in them"), "against_marks")
            sure_from = controls.real(
                _("Count the classifier as sure when p ≥"),
                0.3,
                1.0,
                SURE,
                "against_sure",
                step=0.05,
            )
        judge = loaders.judge()
        vae = samples.from_vae(vae_name, seed, count)
        chosen = library.bundle(ddpm_name)
        in_order = samples.in_order(seed, count)
        line.caption(f"{honest(vae.of, chosen)} {in_order}".strip(), width="content")
        first, second = st.columns(2, gap="large")
        with first:
            st.subheader(_("VAE"), anchor=False)
            samples.show(vae, judge, marks, sure_from)
        with second:
            st.subheader(_("DDPM"), anchor=False)
            ddpm = samples.from_ddpm(ddpm_name, WAYS[code][1], WAYS[code][0], seed, count)
            if ddpm is None:
                st.info(_("This takes a moment: press the button."))
            else:
                samples.show(ddpm, judge, marks, sure_from)
        blind_test.show(vae.of, chosen)
        both = [one for one in (vae, ddpm) if one is not None]
        above = st.container()
        found = live_figures(both, sure_from)
        with above:  # asked before the figures answer it
            asked = question(
                _("Do you see digits? Are they blurred?"),
                "against_digits",
                lambda: answers(both, found, sure_from),
                first=_("Look at the samples above first: the answer is computed from them."),
            )
        limit = BLURRED if asked is None else asked
        models = [("vae", _("VAE"), vae.of), ("ddpm", _("DDPM"), chosen)]
        final_figures.show([models[0], *diffusion_models(chosen)], [vae.of, chosen], vae, judge)
        digits_seen(models, both, found)
        copies.show(both, models, limit)
        judge_trust.show(judge)
        explain()


def honest(*models: Bundle) -> str:
    """How many samples a digit classifier can read, next to real digits; empty where it is not stored."""
    stored = [stored_figures(of) for of in models]
    if None in stored:
        return ""
    vae, ddpm = stored
    return _(HONEST).format(
        vae=percent(vae["sure"]), ddpm=percent(ddpm["sure"]), real=percent(vae["sure_of_test"])
    )


def diffusion_models(chosen: Bundle) -> list[tuple[str, str, Bundle]]:
    """The embedded diffusion models and the chosen one, by rising T."""
    found = [library.bundle(entry.name) for entry in library.available("ddpm", own=True)]
    found += [] if chosen in found else [chosen]
    lengths = {of.name: of.config["architecture"]["schedule"]["T"] for of in found}
    found.sort(key=lambda of: lengths[of.name])
    return [("ddpm", f"DDPM, T = {lengths[of.name]}", of) for of in found]


def explain() -> None:
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
            "**Diversity** is the mean distance of two samples in the classifier's features, as a share "
            "of that of two test digits. The **Frechet distance** compares mean and covariance of "
            "those features with the test digits: it falls when samples are both good and "
            "varied, and rises when few are drawn: compare it at equal counts only."
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
