"""How far the classifier (in code: the judge) can be trusted: with test digits, and with no digit at all."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from core.judge.explorer import JudgeExplorer
from core.judge.model import SURE
from pages.shared import figures, loaders
from pages.shared.colours import GREY, SYMBOL_COLOURS
from pages.shared.figures import Provenance
from pages.shared.text import N_, _, number, percent

WITHOUT_A_DIGIT = N_(
    "**Without a digit**: of test pictures that have lost theirs, left as smooth "
    "colour, it is sure in {wiped} of cases, of test pictures cut into patches and "
    "scrambled in {scrambled}, and of clouds of random colours in {clouds}. So "
    "shares of up to {most} are no evidence of digits by themselves: look at the "
    "samples."
)
FLAT = N_(
    "**Flat pictures**, one colour and no digit: of {count} it reads {share} as {digit}, "
    "and it is sure of {sure} of them."
)


def show(judge: JudgeExplorer) -> None:
    """Its figures, how it answers where there is no digit, its reliability, its confusions."""
    with st.expander(_("How far can the digit classifier be trusted?"), icon=":material/gavel:"):
        in_words(judge)
        without_digits(judge)
        reliability(judge)
        confusions(judge)


def in_words(judge: JudgeExplorer) -> None:
    """How often it is right, and how well calibrated."""
    test = judge.bundle.metrics["test"]
    st.markdown(
        _(
            "On {count} test digits it is right {accuracy} of the time. Its logits are "
            "divided by a temperature so that its probabilities mean what they say: the "
            "expected calibration error is {error} (before: {before}). It is sure (p ≥ {p}) of {sure}, "
            "and then right {right} of the time. Shown a picture with no digit, it names one anyway."
        ).format(
            count=number(test["pictures"], 0),
            accuracy=percent(test["accuracy"], 1),
            error=number(test["calibration_error"], 3),
            before=number(test["calibration_error_uncalibrated"], 3),
            p=number(SURE, 1),
            sure=percent(test["sure"]),
            right=percent(test["accuracy_of_sure"], 1),
        )
    )


def without_digits(judge: JudgeExplorer) -> None:
    """What it says of pictures that hold no digit."""
    if empty := judge.bundle.metrics.get("digitless"):
        shares = {kind: percent(found["sure"], 1) for kind, found in empty.items()}
        most = max(found["sure"] for found in empty.values())
        st.markdown(_(WITHOUT_A_DIGIT).format(**shares, most=percent(most)))
    flat = loaders.flat()
    blank = int(np.bincount(flat.digit).argmax())
    st.markdown(
        _(FLAT).format(
            count=len(flat.digit),
            share=percent((flat.digit == blank).mean()),
            digit=blank,
            sure=percent(flat.sure.mean()),
        )
    )


def reliability(judge: JudgeExplorer) -> None:
    """Share of right answers by the probability that it gives."""
    arrays = judge.bundle.profiles
    count = arrays["reliability_count"]
    full = count > 0
    confidence = arrays["reliability_confidence"][full]
    accuracy = arrays["reliability_accuracy"][full]
    figure = go.Figure()
    figure.add_trace(figures.line([0, 1], [0, 1], _("perfect"), GREY, dash="dash"))
    figure.add_trace(
        figures.line(
            confidence, accuracy, _("the classifier"), SYMBOL_COLOURS["x_hat"], markers=True
        )
    )
    figure.update_xaxes(title=_("probability that it gives"), range=[0, 1.02])
    figure.update_yaxes(title=_("share that is right"), range=[0, 1.02])
    figures.chart(
        figure,
        "judge_reliability",
        _("How often the classifier is right, against the probability that it gives"),
        Provenance(judge.bundle, live=False),
        lambda: [
            {"probability": float(a), "right": float(b), "digits": int(c)}
            for a, b, c in zip(confidence, accuracy, count[full], strict=True)
        ],
        height=340,
    )


def confusions(judge: JudgeExplorer) -> None:
    """What each true digit is read as."""
    arrays = judge.bundle.profiles
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
    heat.update_xaxes(title=_("answer of the classifier"), type="category")
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
