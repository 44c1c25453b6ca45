"""What training pages share: pictures by epoch on a timeline, curves, the clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import streamlit as st

from core.bundles.bundle import Bundle
from core.pictures.images import Pictures
from pages.browser import curves as by_epoch
from pages.browser import film
from pages.browser.curves import Axis, Level, Series
from pages.browser.film import STOP
from pages.browser.timeline import timeline
from pages.shared import controls, figures, library
from pages.shared.colours import AMBER
from pages.shared.figures import Provenance
from pages.shared.text import _, number

SHEET = 24

Curves = dict[str, tuple[str, tuple[tuple[str, str, str], ...]]]
"""By code: title of the curve, and of each line the column of the history, name and colour."""


def shots(bundle: Bundle) -> list[int]:
    """The epochs after which the bundle kept pictures: samples, and reconstructions where it has any."""
    kept = [found for kind in ("samples", "reconstructions") if (found := bundle.progress(kind))]
    return [epoch for epoch in bundle.progress("samples") if all(epoch in one for one in kept)]


def epoch_timeline(bundle: Bundle, key: str, *, sticky: bool = False) -> int | None:
    """The epoch to look at; None, and a sentence, where the bundle kept no pictures.

    ``sticky``: as of ``timeline``.
    """
    stops = shots(bundle)
    if not stops:
        st.info(_("This bundle holds no pictures by epoch."))
        return None
    return timeline(_("Epoch"), stops, key, sticky=sticky)


def sheet_of_epochs(bundle: Bundle, kind: str, label: str, alt: str, *, columns: int) -> film.Cell:
    """The pictures of one kind that were kept after the epoch of now."""
    source = film.sheets(bundle, kind, shots(bundle), SHEET, columns)
    return film.Cell(source, label, alt)


def saved(bundle: Bundle, kind: str, epoch: int, key: str, *, columns: int = 6) -> None:
    """The pictures of an epoch, and those of all epochs, as files."""
    figures.downloads(
        key,
        png=lambda: figures.grid(library.sheet(bundle, kind, epoch, SHEET), columns),
        gif=lambda: all_sheets(bundle, kind, shots(bundle), columns),
    )


def sheet_of(bundle: Bundle, kinds: Sequence[str], epoch: int, columns: int = 6) -> Pictures:
    """The pictures of an epoch, one sheet a kind, next to one another."""
    sheets = [figures.grid(library.sheet(bundle, kind, epoch, SHEET), columns) for kind in kinds]
    return figures.grid(np.stack(sheets), len(sheets), gap=8)


def all_sheets(bundle: Bundle, kind: str, epochs: list[int], columns: int) -> Pictures:
    """The sheets of all snapshots of a kind, as frames."""
    sheets = [figures.grid(library.sheet(bundle, kind, e, SHEET), columns) for e in epochs]
    return figures.enlarge(np.stack(sheets), 3)


def curves(
    bundle: Bundle,
    offered: Curves,
    prefix: str,
    levels: Callable[[str], Sequence[Level]] = lambda code: (),
    *,
    first_epoch: int = 1,
) -> None:
    """One of several curves by epoch, and the clock; both follow the timeline ``PREFIX_epoch``.

    ``levels``: what to read a curve against, by its code.
    """
    st.subheader(_("Loss and clock"), anchor=False)
    history = bundle.history
    left, right = st.columns(2, gap="large")
    below = st.container()  # the charts stand next to the film
    with below:
        titles = {code: title for code, (title, _lines) in offered.items()}
        code = controls.choice(_("Curve"), titles, f"{prefix}_curve")
    with below, st.columns(2, gap="large")[0]:
        skip = controls.whole(
            _("First epoch shown"),
            1,
            max(2, len(history) - 1),
            min(first_epoch, len(history)),
            f"{prefix}_skip",
            help=_("The first epochs dwarf the rest; leave them out to see the end."),
        )
    shown = [row for row in history if row["epoch"] >= skip] or history
    title, lines = offered[code]
    provenance = Provenance(
        bundle,
        live=False,
        settings={
            _("epochs"): len(history),
            _("device"): bundle.config["training"]["device"],
            _("minutes"): number(history[-1]["seconds_total"] / 60),
        },
    )
    drawn = [
        Series(_(name), _column(shown, "epoch"), _column(shown, column), colour)
        for column, name, colour in lines
    ]
    clock = Series(
        _("wall-clock time"),
        _column(history, "epoch"),
        _column(history, "seconds_total") / 60,
        AMBER,
    )
    minutes = Axis(_("minutes since the start"), span=(0, 1.05 * clock.y.max()), digits=1)
    for column, part, series, axis, read_against, alt in (
        (left, "curves", drawn, Axis(_(title)), levels(code), _(title)),
        (right, "clock", [clock], minutes, (), _("Wall-clock time by epoch")),
    ):
        with column:
            key = f"{prefix}_{part}"
            by_epoch.chart(
                key,
                f"{prefix}_epoch",
                series,
                Axis(_("epoch"), whole=True),
                axis,
                alt,
                now=_("epoch {epoch}").format(epoch=STOP) if shots(bundle) else "",
                along=bool(shots(bundle)),
                levels=read_against,
            )
            figures.about(provenance, key, rows=lambda: history)


def _column(rows: Sequence[Mapping[str, float | None]], name: str) -> np.ndarray:
    """(N,), NaN where a row has no value."""
    return np.array([row.get(name) for row in rows], dtype=float)


def epochs_in_words(bundle: Bundle) -> str:
    """Epochs of the bundles that the weights went through and of the run itself: ``50 + 30``."""
    own = bundle.config["training"].get("epochs_done", len(bundle.history))
    return " + ".join(number(count, 0) for count in (*(a.epochs for a in bundle.ancestors), own))


def before_epoch_0(bundle: Bundle) -> str:
    """That a run did not begin at the beginning, for the figures that show its epochs."""
    return _(
        "At epoch 0 of this run the weights had {epochs} epochs behind them: look for small changes."
    ).format(epochs=number(sum(one.epochs for one in bundle.ancestors), 0))


def went_on(bundle: Bundle) -> None:
    """What the weights began as, where they did not begin at random: curves tell of the last run."""
    if bundle.ancestors:
        st.caption(
            _(
                "This model did not begin with random weights but with those of an earlier bundle "
                "({ancestors}). Epochs so far: {epochs}. Curves and clock show the last run alone."
            ).format(
                ancestors=", ".join(one.name for one in bundle.ancestors),
                epochs=epochs_in_words(bundle),
            )
        )


def average_said(bundle: Bundle) -> None:
    """What a moving average of the weights means for the comparison of the curves."""
    settings = bundle.config["training"]
    if not settings.get("average_decay"):
        return
    augmentation = settings.get("augmentation")
    if isinstance(augmentation, dict) and any(augmentation.values()):
        st.caption(
            _(
                "The test curve is measured with a moving average of the weights; the training curve, with "
                "the weights of the moment and on augmented pictures. So the gap between the two does not "
                "show overfitting alone."
            )
        )
    else:
        st.caption(
            _(
                "The test curve is measured with a moving average of the weights; the training curve, with "
                "the weights of the moment. So the gap between the two does not show overfitting alone."
            )
        )
