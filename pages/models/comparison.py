"""One table a family: how its models were trained and how good they are, to sort and to save."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd
import streamlit as st

from core.bundles.bundle import Bundle
from core.bundles.manifest import ManifestEntry
from pages.models import facts
from pages.models.cards import look_at
from pages.models.facts import FAMILY_NAMES, Opened
from pages.shared import controls, figures, preferred
from pages.shared.figures import NOTHING
from pages.shared.text import N_, _, number, percent, scientific

TITLE_WIDTH, HEIGHT = 210, 400
PAGE, BOX = 820, 40
"""Pixels: a page on a screen of 1,280, and the box that chooses a row."""
TABLE = "checkpoints_table"


@dataclass(frozen=True)
class Quantity:
    """One column: ``key`` in the data, short title, what it is, pixels, how a value is written and found.

    ``more``: shown only where all columns are.
    """

    key: str
    title: str
    words: str
    width: int
    form: Callable[[float], str]
    value: Callable[[Bundle], float | None]
    more: bool = False


def whole(value: float) -> str:
    return number(value, 0)


def digits(count: int) -> Callable[[float], str]:
    return lambda value: number(value, count)


def short(value: float) -> str:
    """A learning rate, in as many digits as it has."""
    return scientific(value, 1) if value < 1e-3 else number(value, 5).rstrip("0").rstrip(".,")


def tenths(value: float) -> str:
    return percent(value, 1)


def metric(path: str) -> Callable[[Bundle], float | None]:
    return lambda of: facts.number_at(of.metrics, path)


def set_to(path: str) -> Callable[[Bundle], float | None]:
    return lambda of: facts.number_at(of.config, path)


PICTURES = Quantity(
    "pictures", N_("pictures"), N_("Training pictures"), 70, whole, set_to("data.pictures")
)
RUN = (
    Quantity("batch", N_("batch"), N_("Pictures per update"), 55, whole, facts.batch_size),
    Quantity(
        "epochs",
        N_("epochs"),
        N_("Passes over the training pictures, earlier runs included"),
        60,
        whole,
        facts.epochs_in_all,
    ),
    Quantity(
        "updates",
        N_("updates, last run"),
        N_("Updates of the weights, of the last run"),
        125,
        whole,
        facts.updates,
        True,
    ),
)
RATE = Quantity(
    "learning_rate", N_("rate"), N_("Highest learning rate"), 85, short, facts.learning_rate
)
SECONDS = Quantity(
    "seconds_per_epoch",
    N_("s/epoch + tests"),
    N_("Seconds per epoch of the last run, measuring included; machines differ"),
    125,
    digits(1),
    facts.seconds_per_epoch,
)
MINUTES = Quantity(
    "minutes",
    N_("min"),
    N_("Minutes in all, earlier runs included"),
    60,
    whole,
    facts.minutes,
    True,
)
JUDGED = (
    Quantity(
        "sure",
        N_("read"),
        N_("Share of its samples that the digit classifier reads with certainty"),
        60,
        tenths,
        metric("judged.samples.sure"),
    ),
    Quantity(
        "frechet",
        N_("Frechet"),
        N_("Frechet distance of samples to test digits, in features of the digit classifier"),
        70,
        digits(2),
        metric("judged.samples.frechet"),
    ),
)

QUANTITIES: dict[str, tuple[Quantity, ...]] = {
    "vae": (
        PICTURES,
        *RUN,
        RATE,
        Quantity(
            "negative_elbo",
            "−ELBO",
            N_("Negative ELBO on test pictures, in nats"),
            75,
            digits(1),
            metric("test.negative_elbo"),
        ),
        JUDGED[0],
        SECONDS,
        Quantity("kl", "KL", N_("KL of it, in nats"), 60, digits(1), metric("test.kl"), True),
        Quantity(
            "nll",
            "nll",
            N_("Reconstruction of it, in nats"),
            75,
            digits(1),
            metric("test.nll"),
            True,
        ),
        Quantity(
            "units",
            N_("units"),
            N_("Units of z"),
            60,
            whole,
            set_to("architecture.latent_dim"),
            True,
        ),
        Quantity(**{**vars(JUDGED[1]), "more": True}),
        MINUTES,
    ),
    "ddpm": (
        Quantity("T", "T", N_("Noise levels"), 50, whole, set_to("architecture.schedule.T")),
        *RUN,
        RATE,
        Quantity(
            "eps_mse",
            N_("error"),
            N_("Squared error of the predicted noise on test pictures"),
            65,
            digits(4),
            metric("test.eps_mse"),
        ),
        *JUDGED,
        SECONDS,
        Quantity(**{**vars(PICTURES), "more": True}),
        Quantity(
            "frechet_pixels",
            N_("Frechet, pixels"),
            N_("Frechet distance of samples to test digits, in their pixels"),
            110,
            digits(1),
            metric("samples.frechet_pixel_components"),
            True,
        ),
        MINUTES,
    ),
    "simsiam": (
        Quantity("d", "d", N_("Numbers in z"), 50, whole, set_to("architecture.dim")),
        *RUN,
        Quantity(
            "learning_rate",
            N_("rate"),
            N_("Learning rate for a batch of 256; the run itself takes it times batch / 256"),
            85,
            short,
            facts.learning_rate,
        ),
        Quantity(
            "knn_accuracy",
            "kNN",
            N_("Test pictures whose nearest neighbours vote for the right class"),
            65,
            tenths,
            metric("test.knn_accuracy"),
        ),
        Quantity(
            "linear_accuracy",
            N_("probe"),
            N_("Test pictures whose class a linear classifier reads from the features"),
            65,
            tenths,
            metric("test.linear_accuracy"),
        ),
        SECONDS,
        Quantity(**{**vars(PICTURES), "more": True}),
        Quantity(
            "width",
            N_("width"),
            N_("Channels of the first stage of the network"),
            60,
            whole,
            set_to("architecture.width"),
            True,
        ),
        Quantity(
            "peak_rate",
            N_("top rate"),
            N_("Highest learning rate of the run"),
            75,
            short,
            facts.peak_rate,
            True,
        ),
        Quantity(
            "rank_z",
            N_("rank z"),
            N_("Effective rank of z: about 1 where the network has collapsed"),
            70,
            digits(1),
            metric("test.rank_z"),
            True,
        ),
        MINUTES,
    ),
    "judge": (
        PICTURES,
        *RUN,
        RATE,
        Quantity(
            "accuracy",
            N_("right"),
            N_("Test digits that it names"),
            65,
            tenths,
            metric("test.accuracy"),
        ),
        Quantity(
            "sure",
            N_("certain"),
            N_("Test digits that it is certain of (p of 0.9 or more)"),
            75,
            tenths,
            metric("test.sure"),
        ),
        SECONDS,
        MINUTES,
    ),
}
"""By family, in the order of the columns."""


def rows_of(family: str, of: Sequence[Bundle]) -> list[dict[str, object]]:
    """What the table holds, raw: one row a model, all columns, English keys."""
    return [
        {"model": one.name}
        | ({"recipe": facts.recipe(one)} if family == "simsiam" else {})
        | {column.key: column.value(one) for column in QUANTITIES[family]}
        for one in of
    ]


def show(entries: Sequence[ManifestEntry], opened: Opened) -> None:
    """The table of the family that the visitor chooses."""
    st.subheader(_("Compare how they were trained"), anchor=False)
    at_hand = [entry for entry in entries if isinstance(opened.get(entry.name), Bundle)]
    held = {
        family: name
        for family, name in FAMILY_NAMES.items()
        if any(entry.family == family for entry in at_hand)
    }
    if not held:
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        most = max(held, key=lambda family: sum(entry.family == family for entry in at_hand))
        family = controls.choice(_("Models"), held, "checkpoints_family", default=most)
        everything = controls.switch(_("All columns"), "checkpoints_all")
    chosen = [entry for entry in at_hand if entry.family == family]
    of = [opened[entry.name] for entry in chosen]
    columns = [one for one in QUANTITIES[family] if everything or not one.more]
    draw_table(chosen, rows_of(family, of), columns, f"{TABLE}_{family}")
    st.caption(
        _(
            "A click on the head of a column sorts by it; a click on the box of a row opens its details."
        )
    )
    figures.about(
        _("Settings and measured figures that each model stores."),
        f"checkpoints_{family}",
        rows=lambda: rows_of(family, of),
    )


def draw_table(
    entries: Sequence[ManifestEntry],
    rows: Sequence[dict[str, object]],
    columns: Sequence[Quantity],
    key: str,
) -> None:
    """Numbers as the visitor's language writes them, which sort as numbers."""
    names = {column.key: _(column.title) for column in columns}
    title = _("model")
    frame = pd.DataFrame(
        {title: [preferred.title(entry) for entry in entries]}
        | {
            names[column.key]: pd.array([row[column.key] for row in rows], dtype="Float64")
            for column in columns
        }
    )
    forms = {names[column.key]: column.form for column in columns}
    left = PAGE - BOX - sum(column.width for column in columns)
    config = {title: st.column_config.TextColumn(width=max(left, TITLE_WIDTH), pinned=True)}
    for column in columns:
        config[names[column.key]] = st.column_config.NumberColumn(
            width=column.width, help=_(column.words)
        )

    def open_details() -> None:
        if picked := st.session_state[key].selection.rows:
            look_at(entries[picked[0]].name)

    st.dataframe(
        frame.style.format(forms, na_rep=NOTHING),
        hide_index=True,
        width="stretch",
        height=HEIGHT if len(frame) > 10 else "auto",
        column_config=config,
        key=key,
        on_select=open_details,
        selection_mode="single-row",
    )
