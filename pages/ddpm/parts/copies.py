"""Whether samples are copies of training pictures: the nearest ones, and what their distances tell."""

from __future__ import annotations

import numpy as np
import streamlit as st

from core.bundles.bundle import Bundle
from pages.ddpm.parts.final_figures import Stored, stored_figures
from pages.ddpm.parts.samples import ModelSamples
from pages.shared import data_sets, figures, loaders, shape
from pages.shared.figures import Column, Provenance, digits
from pages.shared.text import N_, _, number, percent, plain_errors

AFTER_DOWNLOAD = N_("The nearest training pictures are shown once the training set is downloaded.")
NEAREST = N_("The nearest training picture of each")
DISTANCES = N_(
    "Each picture's distance to the nearest training picture: root mean square difference "
    "of all values, in grey levels of 255. **A copy would be at 0**; the median test digit, "
    "which no model has seen, is at {test}."
)
SHARE_OF_REAL = N_("share of the test digits'")
DISTANT = {
    "may be": N_(
        "**{model}**: {sample}, only {share} of the test digits' distance. **Many of these samples may "
        "be copies.**"
    ),
    "no sign": N_("**{model}**: {sample}, at least as far as test digits are: no sign of copies."),
    "as a rule not": N_(
        "**{model}**: {sample}, {share} of the test digits' distance and far from 0: as a rule these are not "
        "copies."
    ),
}
"""What the median distance of samples to the training set tells of copies."""
NEAR_AS_BLURRED = N_(
    "Being closer than real digits does not mean that they are copies: these samples are blurred, "
    "and a blurred picture, without the details in which pictures differ, is near to all of them."
)

FEW = 4
"""Samples of each model that are shown with their nearest training picture."""
SUSPECT = 0.5
"""Below this share of what real digits have, a median distance to the training set tells of copies."""


@shape.fragment
def show(both: list[ModelSamples], models: list[tuple[str, str, Bundle]], limit: float) -> None:
    """Distances of many stored samples, and the nearest pairs of those above: runs again by itself.

    ``limit``: below this share of the test digits' sharpness samples count as blurred.
    """
    with plain_errors():
        st.subheader(_("Are they copies?"), anchor=False)
        distances(models, limit)
        about = both[0].of.config["data"]
        split = next(
            (s for s in (about["split"], "train") if data_sets.at_hand(about["name"], s)), None
        )
        if split is None:
            st.caption(_(AFTER_DOWNLOAD))
            words = _("Download the training digits ({megabytes} MB)")
            data_sets.offer(about["name"], "train", words, "against_download")
        else:
            nearest_pairs(both, about["name"], split)


# ---------------------------------------------------------------- stored distances


def distances(models: list[tuple[str, str, Bundle]], limit: float) -> None:
    """How near the stored samples of each model are to training pictures, next to real digits."""
    told = [(title, stored_figures(of), of) for _family, title, of in models]
    told = [(title, stored, of) for title, stored, of in told if stored is not None]
    if not told:
        return
    rows = [
        {
            "pictures_of": title,
            "pictures": stored["samples"],
            "nearest_training": stored["nearest_training"],
            "of_real": stored["nearest_training"] / stored["nearest_training_of_test"],
        }
        for title, stored, _of in told
    ]
    real = told[0][1]["nearest_training_of_test"]
    rows.append(
        {
            "pictures_of": _("test digits"),
            "pictures": None,
            "nearest_training": real,
            "of_real": 1.0,
        }
    )
    figures.table(
        rows,
        [
            Column("pictures_of", _("pictures of")),
            Column("pictures", _("pictures"), digits(0)),
            Column("nearest_training", _("median distance to the nearest"), digits(1)),
            Column("of_real", _(SHARE_OF_REAL), percent),
        ],
        "distances_to_training",
    )
    st.markdown(
        "\n\n".join(
            [
                _(DISTANCES).format(test=number(real, 1)),
                *(in_words(title, stored, limit) for title, stored, _of in told),
                _(
                    "A median says nothing of the single sample: the pairs with the smallest distances do."
                ),
            ]
        )
    )
    (_t, _s, first), *others = told
    figures.about(
        Provenance(first, live=False, also=[of for *_words, of in others]),
        "distances_to_training",
        rows=lambda: rows,
    )


def in_words(title: str, stored: Stored, limit: float) -> str:
    """What the median distance of a model's samples to the training set tells of copies."""
    share = stored["nearest_training"] / stored["nearest_training_of_test"]
    values = {
        "model": title,
        "sample": number(stored["nearest_training"], 1),
        "share": percent(share),
    }
    if share < SUSPECT:
        return _(DISTANT["may be"]).format(**values)
    if share >= 1:
        return _(DISTANT["no sign"]).format(**values)
    words = _(DISTANT["as a rule not"]).format(**values)
    if stored["sharpness"] < limit * stored["sharpness_of_test"]:
        words += " " + _(NEAR_AS_BLURRED)
    return words


# ---------------------------------------------------------------- the nearest pairs


def nearest_pairs(both: list[ModelSamples], name: str, split: str) -> None:
    """Of the samples above those nearest to a training picture, the most suspect first."""
    bank = loaders.picture_set(name, split)
    rows, pictures = [], []
    for column, drawn in zip(st.columns(2, gap="large"), both, strict=False):
        found = loaders.nearest_pictures(name, split, drawn.pictures)
        first = np.argsort(found.distance, kind="stable")[:FEW]
        ours, theirs = drawn.pictures[first], bank.pictures[found.index[first]]
        with column, shape.figure("nearest_training"):
            st.markdown(
                _(
                    "**{model}**: the {few} samples above that are nearest to a training picture"
                ).format(model=drawn.title, few=len(first))
            )
            figures.sheet(
                ours,
                "nearest_training",
                columns=FEW,
                alt=_("Samples of {model}, nearest first").format(model=drawn.title),
            )
            figures.strip(
                theirs,
                [number(distance, 1) for distance in found.distance[first]],
                "nearest_training",
                columns=FEW,
                alt=_(NEAREST),
            )
        pictures += [ours, theirs]
        rows += [
            {
                "samples_of": drawn.title,
                "sample": int(index) + 1,
                "training_picture": int(found.index[index]),
                "grey_levels": float(found.distance[index]),
            }
            for index in first
        ]
    st.caption(
        _(
            "Above a sample, below it the training picture nearest to it, and how far it is in grey levels. "
            "If a pair were the same picture, the model would have copied it."
        )
    )
    first_of, *others = [drawn.of for drawn in both]
    among = _("{count} training pictures").format(count=number(len(bank), 0))
    figures.about(
        Provenance(first_of, True, settings={_("among"): among}, also=others),
        "nearest_training",
        png=lambda: figures.grid(np.concatenate(pictures), FEW),
        rows=lambda: rows,
    )
