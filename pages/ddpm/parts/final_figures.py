"""The classifier's figures of many samples, stored with the bundles: a table, and who is ahead in what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import streamlit as st

from core.bundles.bundle import Bundle
from core.ddpm.restoration import COVERAGE, wilson
from core.judge.explorer import JudgeExplorer
from pages.ddpm.parts.samples import ModelSamples
from pages.ddpm.parts.step_times import device_of, seconds_by_50_steps
from pages.shared import figures
from pages.shared.figures import Column, Provenance, digits
from pages.shared.text import N_, _, number, percent

TO_THE_NEAREST = N_("distance to training pictures")
AHEAD = N_("**{model} is ahead** in: {measures}.")
NEITHER_AHEAD = N_("**Neither is ahead** in: {measures}.")
OVER_SAMPLES = N_("Over {count} samples of each:")
AGAINST = N_("{measure} ({a} against {b})")
NAMES = {
    "sure": N_("digits that the classifier is sure of"),
    "sharpness": N_("sharpness nearest to that of test digits"),
}
"""Measures as the result names them; the others have one name everywhere."""
SECONDS = N_(
    "Seconds per sample: of the VAE as just measured here with {count} samples; of the others by DDIM "
    "with 50 steps, the median of what the bundles of one network store ({devices}), as it takes the same "
    "time whatever T."
)
FRECHET = N_(
    "Frechet distance: to the test digits, in the classifier's features, so it is not an FID. That of "
    "the test digits is one half of them against the other, {half} against {rest}; larger sets score "
    "lower, so this is not a lower bound; {count} training digits score {training}. A digit counts as "
    "seen if it is at least {share} of those that the classifier is sure of."
)
FAR = {
    "as often": N_(
        "The classifier is sure of {real} of real test digits: no more often than of the samples of "
        "{model} ({sure})."
    ),
    "behind": N_(
        "Both are behind real test digits, of which the classifier is sure in {real} of cases; at best it "
        "is sure of {sure} of the samples ({model})."
    ),
}
"""How far the more readable of two models is from real digits."""

# Share of the sure samples from which a digit counts as seen.
SEEN = 0.02
# By so much two models differ at least where one is said to be ahead in a final figure.
MARGIN = 0.05

Stored = Mapping[str, float]


def stored_figures(of: Bundle) -> Stored | None:
    """The judge's figures of many samples that are stored with a bundle, where there are any."""
    return of.metrics.get("judged", {}).get("samples")


def classes_seen(digits: np.ndarray) -> int:
    """Digits that at least ``SEEN`` of the pictures are taken for that the judge is sure of."""
    return int(((digits > 0) & (digits >= SEEN * digits.sum())).sum())


def show(
    models: list[tuple[str, str, Bundle]],
    chosen: list[Bundle],
    vae: ModelSamples,
    judge: JudgeExplorer,
) -> None:
    """Figures over 2,000 samples each, stored with the bundles; ``chosen``: which two to compare."""
    st.subheader(_("How do they compare?"), anchor=False)
    judged = [(title, of) for _family, title, of in models if stored_figures(of)]
    if not judged:
        st.info(_("These bundles hold no figures of the classifier."))
        return
    compared = [(title, stored_figures(of)) for title, of in judged if of in chosen]
    if len(compared) == 2:
        result(*compared)
    seconds = seconds_a_sample([of for _title, of in judged], vae)
    rows = [final_row(title, of, seconds.get(of.name)) for title, of in judged]
    test, train = real_rows(judged[-1][1], judge)
    # Of the training digits one figure is known: said below, as a column of their own has no room.
    across([*rows, test], columns(), "final_figures")
    rows += [test, train]
    real = judge.bundle.metrics
    half = real["test"]["pictures"] // 2
    words = _(FRECHET).format(
        half=number(half, 0),
        rest=number(real["test"]["pictures"] - half, 0),
        count=number(train["pictures"], 0),
        training=number(train["frechet"], 2),
        share=percent(SEEN),
    )
    devices = {device_of(of) for _title, of in judged if "timing" in of.metrics}
    words += " " + _(SECONDS).format(count=len(vae.pictures), devices="; ".join(sorted(devices)))
    st.caption(words)
    (_title, first), *others = judged
    figures.about(
        Provenance(first, live=False, also=[of for _title, of in others]),
        "final_figures",
        rows=lambda: rows,
    )


def seconds_a_sample(bundles: Sequence[Bundle], vae: ModelSamples) -> dict[str, float | None]:
    """By name: of the VAE as they were here, of others by 50 steps, one time for one network."""
    found = {of.name: seconds_by_50_steps(of) for of in bundles if of.family == "ddpm"}
    return found | {vae.of.name: vae.seconds_a_sample}


def final_row(title: str, of: Bundle, seconds: float | None) -> dict[str, object]:
    """A model's line; ``seconds`` a sample."""
    stored = stored_figures(of)
    return {
        "samples_of": title,
        "pictures": stored["samples"],
        "sharpness": stored["sharpness"],
        "sure": stored["sure"],
        "digits_seen": classes_seen(of.profiles["judged_digits"]),
        "diversity": stored["diversity"],
        "frechet": stored["frechet"],
        "nearest_training": stored["nearest_training"],
        "seconds_a_sample": seconds,
    }


def real_rows(of: Bundle, judge: JudgeExplorer) -> list[dict[str, object]]:
    """The same of real pictures, as far as it is known."""
    stored, real = stored_figures(of), judge.bundle.metrics["features"]
    test = {
        "samples_of": _("test digits"),
        "pictures": of.config["data"]["test_pictures"],
        "sharpness": stored["sharpness_of_test"],
        "sure": stored["sure_of_test"],
        "digits_seen": classes_seen(of.profiles["judged_digits_of_test"]),
        "diversity": 1.0,
        "frechet": stored["frechet_real_against_real"],
        "nearest_training": stored["nearest_training_of_test"],
        "seconds_a_sample": None,
    }
    train = dict.fromkeys(test) | {
        "samples_of": _("training digits"),
        "pictures": real["frechet_training_pictures"],
        "frechet": real["frechet_training_against_test"],
    }
    return [test, train]


def across(rows: list[dict[str, object]], of: list[Column], key: str) -> None:
    """A table: a line a measure, a column a set of pictures, whose name is the first of ``of``."""
    name, *measures = of
    lines = [
        {"measure": measure.title}
        | {
            str(index): None if row.get(measure.key) is None else measure.form(row[measure.key])
            for index, row in enumerate(rows)
        }
        for measure in measures
    ]
    sets = [Column(str(index), str(row[name.key])) for index, row in enumerate(rows)]
    figures.table(lines, [Column("measure", _("measure")), *sets], key)


def columns() -> list[Column]:
    return [
        Column("samples_of", _("samples of")),
        Column("pictures", _("pictures"), digits(0)),
        Column("sharpness", _("sharpness"), digits(2)),
        Column("sure", _("the classifier is sure"), lambda share: percent(share, 1)),
        Column("digits_seen", _("digits seen"), digits(0)),
        Column("diversity", _("diversity"), digits(3)),
        Column("frechet", _("Frechet distance"), digits(2)),
        Column("nearest_training", _(TO_THE_NEAREST), digits(1)),
        Column("seconds_a_sample", _("seconds per sample"), digits(4)),
    ]


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
        "sure": (_(NAMES["sure"]), lambda value: percent(value, 1)),
        "diversity": (_("diversity"), lambda value: number(value, 2)),
        "frechet": (_("Frechet distance"), lambda value: number(value, 2)),
        "sharpness": (
            _(NAMES["sharpness"]),
            lambda value: number(value, 1),
        ),
    }
    ahead = leads(*stored)
    said: dict[int, list[str]] = {1: [], -1: [], 0: []}
    for name, lead in ahead.items():
        words, show = measures[name]
        a, b = (show(m[name]) for m in (stored if lead >= 0 else stored[::-1]))
        said[lead].append(_(AGAINST).format(measure=words, a=a, b=b))
    sentences = [
        _(AHEAD).format(model=title, measures=", ".join(said[lead]))
        for title, lead in zip(titles, (1, -1), strict=True)
        if said[lead]
    ]
    if said[0]:
        sentences.append(_(NEITHER_AHEAD).format(measures=", ".join(said[0])))
    count = number(min(m["samples"] for m in stored), 0)
    st.markdown(_(OVER_SAMPLES).format(count=count) + " " + " ".join(sentences))
    st.markdown(conclusion(titles, ahead) + " " + far_from_real(titles, stored))
    st.caption(
        _(
            "Ahead: in the share of digits where the {coverage} intervals do not overlap, in the "
            "other figures by more than {margin}."
        ).format(coverage=percent(COVERAGE), margin=percent(MARGIN))
    )


CONCLUSIONS = {
    "alike": N_("**So these figures do not tell the two apart.**"),
    "mixed, digits alike": N_(
        "**So neither is better in everything**, and the classifier reads the digits of both "
        "equally well."
    ),
    "mixed": N_(
        "**So neither is better in everything**: the digits of {reader} are easier to read, and {other} "
        "has other merits. To look real and to show a digit are two things."
    ),
    "better": N_("**So {model} is the better one** wherever the two differ, digits included."),
    "better, digits alike": N_(
        "**So {model} is the better one** wherever the two differ, but its digits are no easier to read. "
        "To look real and to show a digit are two things."
    ),
}


def conclusion(titles: tuple[str, str], ahead: Mapping[str, int]) -> str:
    """What the leads of two models come to: whether one is better, and whether its digits are.

    ``ahead`` is what ``leads`` says: 1 the first model, -1 the second, 0 neither.
    """
    winners = {lead for lead in ahead.values() if lead}
    if not winners:
        return _(CONCLUSIONS["alike"])
    if len(winners) == 2:
        read = ahead["sure"]
        if not read:
            return _(CONCLUSIONS["mixed, digits alike"])
        return _(CONCLUSIONS["mixed"]).format(
            reader=titles[0 if read > 0 else 1],
            other=titles[1 if read > 0 else 0],
        )
    better = titles[0 if winners == {1} else 1]
    if ahead["sure"]:
        return _(CONCLUSIONS["better"]).format(model=better)
    return _(CONCLUSIONS["better, digits alike"]).format(model=better)


def far_from_real(titles: tuple[str, str], stored: tuple[Stored, Stored]) -> str:
    """How far the more readable of two models is from real digits, in the classifier's sureness."""
    best = max(range(2), key=lambda place: stored[place]["sure"])
    real = stored[best]["sure_of_test"]
    low, high = wilson(np.float64(stored[best]["sure"]), int(stored[best]["samples"]))
    values = {
        "sure": percent(stored[best]["sure"]),
        "model": titles[best],
        "real": percent(real),
    }
    if low <= real <= high or stored[best]["sure"] > real:
        return _(FAR["as often"]).format(**values)
    return _(FAR["behind"]).format(**values)
