"""Who can read the digit from z: bars from guessing to a classifier, and what they say together."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from core.bundles.bundle import Bundle
from core.errors import AtelierError
from core.vae.explorer import VAEExplorer
from pages.shared import figures, library
from pages.shared.colours import AMBER, GREY, SYMBOL_COLOURS
from pages.shared.figures import Provenance
from pages.shared.text import N_, _, number, percent

SAME_MEANS = N_(
    "A linear classifier on z gets {linear} of the test digits right, hardly more than always "
    "answering “{name}” does ({guess}): **the means of the classes are nearly the same.**"
)
OTHER_MEANS = N_(
    "A linear classifier on z gets {linear} of the test digits right; always answering “{name}” "
    "would be right for {guess}: **the means of the classes differ.**"
)
MORE = N_(
    "With products of z it gets {products} right: **much of the digit can be read from z, but not from "
    "its means.** Digits that lie on opposite sides, light on dark and dark on light for example, "
    "cancel in a mean and can agree in a product."
)
NO_MORE = N_("Products of z add little: {products}. **There is not much more to find in z.**")
"""What the readers show of the means of the classes, and of what else z holds."""
SHARES = ("most_common", "pixels", "linear", "products", "neighbours")
COUNTS = ("k", "train_pictures", "test_pictures")
MOST = 10**9
CLEARLY = 0.05
"""Two readers differ clearly where one is right for five digits in a hundred more."""


def readouts_of(bundle: Bundle) -> dict[str, float] | None:
    """What ``core.vae.readouts`` measured of a bundle; None where a bundle, perhaps a guest's, lacks part."""
    said = bundle.metrics.get("readouts")
    if not isinstance(said, dict):
        return None
    numbers = {name: said.get(name) for name in (*SHARES, *COUNTS)}
    if not all(type(one) in (int, float) and math.isfinite(one) for one in numbers.values()):
        return None
    shares, counts = ([numbers[name] for name in names] for names in (SHARES, COUNTS))
    sound = all(0 <= one <= 1 for one in shares) and all(1 <= one <= MOST for one in counts)
    return numbers if sound else None


def most_common(explorer: VAEExplorer) -> str:
    """The name of the class that most training pictures have."""
    return explorer.class_names[int(np.argmax(explorer.profiles.count))]


def judge_of(bundle: Bundle) -> Bundle | None:
    """The digit classifier, where it was tested on the very pictures that the bundle was."""
    for entry in library.available("judge", own=True):
        try:
            found = library.bundle(entry.name)
        except AtelierError:
            continue
        print_ = bundle.config["data"].get("test_fingerprint")
        if print_ and found.config["data"].get("test_fingerprint") == print_:
            return found
    return None


def readers(
    found: Mapping[str, float], most: str, classes: int, judge: Bundle | None
) -> list[tuple[str, str, float, str]]:
    """Code, name, share of right answers and colour of every reader, from guessing to the digit classifier."""
    z = SYMBOL_COLOURS["z"]
    rows = [
        ("chance", _("chance"), 1 / classes, GREY),
        ("most_common", _("always “{name}”").format(name=most), found["most_common"], GREY),
        ("pixels", _("linear, on pixels"), found["pixels"], SYMBOL_COLOURS["x"]),
        ("linear", _("linear, on z"), found["linear"], z),
        ("neighbours", _("{k} neighbours in z").format(k=found["k"]), found["neighbours"], z),
        ("products", _("linear, on products of z"), found["products"], z),
    ]
    if judge is not None:
        accuracy = judge.metrics["test"]["accuracy"]
        rows.append(("judge", _("digit classifier"), accuracy, AMBER))
    return rows


def verdict(found: Mapping[str, float], most: str) -> str:
    """What the readers show together: as far as their figures say so, and no further."""
    shares = {
        "linear": percent(found["linear"]),
        "guess": percent(found["most_common"]),
        "products": percent(found["products"]),
        "name": most,
    }
    means = SAME_MEANS if found["linear"] - found["most_common"] < CLEARLY else OTHER_MEANS
    more = MORE if found["products"] - found["linear"] >= CLEARLY else NO_MORE
    return " ".join([_(means), _(more)]).format(**shares)


def what_can_be_read(bundle: Bundle, most: str, classes: int) -> None:
    """How often simple readers of z get the digit right, as bars, and what that says next to them."""
    st.subheader(_("Who can read the digit from z?"), anchor=False)
    found = readouts_of(bundle)
    if found is None:
        st.info(_("This bundle does not say how well the digit can be read from z."))
        return
    judge = judge_of(bundle)
    rows = readers(found, most, classes, judge)
    figure = go.Figure(
        go.Bar(
            y=[name for _code, name, _share, _colour in rows],
            x=[share for _code, _name, share, _colour in rows],
            orientation="h",
            marker_color=[colour for *_row, colour in rows],
            text=[percent(share) for _code, _name, share, _colour in rows],
            textposition="auto",
            hoverinfo="skip",
        )
    )
    figure.update_yaxes(autorange="reversed", automargin=True)
    figure.update_xaxes(range=[0, 1.08], tickformat=".0%", dtick=0.5)
    over = _("{count} test pictures").format(count=number(found["test_pictures"], 0))
    learnt = number(found["train_pictures"], 0)
    bars, words = st.columns([3, 2], gap="large")
    with bars:
        figures.chart(
            figure,
            "profiles_readers",
            _("Share of test digits that each reader gets right"),
            Provenance(
                bundle,
                live=False,
                settings={_("over"): over, _("readers learnt from"): learnt},
                also=[judge] if judge else [],
            ),
            lambda: [{"reader": code, "accuracy": share} for code, _name, share, _colour in rows],
            height=310,
        )
    with words:
        st.markdown(verdict(found, most))
