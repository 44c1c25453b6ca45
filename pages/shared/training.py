"""What training pages share: pictures by epoch on a timeline, curves, the clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import streamlit as st

from core.bundles import lineage
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
from pages.shared.text import N_, _, number

SINCE_THE_LAST_RUN = N_("minutes since the last run began")
NO_CURVES_BUT_TIME = N_(
    "For {missing} of the {all} epochs the bundle holds no curves, only how long they took."
)
NO_CURVES = N_("For {missing} of the {all} epochs the bundle holds no curves.")
BEGIN_LATE = N_(
    "The pictures begin at epoch {epochs}, where the last run began: look for small changes."
)

SHEET = 24

Curves = dict[str, tuple[str, tuple[tuple[str, str, str], ...]]]
"""By code: title of the curve, and of each line the column of the history, name and colour."""


def shots(bundle: Bundle) -> list[int]:
    """The epochs after which the bundle kept pictures: samples, and reconstructions where it has any."""
    kept = [found for kind in ("samples", "reconstructions") if (found := bundle.progress(kind))]
    return [epoch for epoch in bundle.progress("samples") if all(epoch in one for one in kept)]


def epochs_before(bundle: Bundle) -> int:
    """How many epochs lay behind the weights when the bundle's own run began."""
    return lineage.starts(lineage.parts(bundle))[-1]


def epoch_timeline(bundle: Bundle, key: str, *, sticky: bool = False) -> int | None:
    """The epoch of the bundle's own run to look at; None, and a sentence, where it kept no pictures.

    Visitors read the epoch of all runs. ``sticky``: as of ``timeline``.
    """
    stops = shots(bundle)
    if not stops:
        st.info(_("This bundle holds no pictures by epoch."))
        return None
    before = epochs_before(bundle)
    words = [number(before + stop, 0) for stop in stops] if before else None
    return timeline(_("Epoch"), stops, key, words=words, sticky=sticky)


def sheet_of_epochs(bundle: Bundle, kind: str, label: str, alt: str, *, columns: int) -> film.Cell:
    """The pictures of one kind that were kept after the epoch of now."""
    source = film.sheets(bundle, kind, shots(bundle), SHEET, columns)
    return film.Cell(source, _at_each(bundle, label), _at_each(bundle, alt))


def _at_each(bundle: Bundle, words: str) -> str | list[str]:
    """The words at every stop of the timeline, where a stop is not the epoch that visitors read."""
    if not (before := epochs_before(bundle)):
        return words
    return [words.replace(STOP, number(before + stop, 0)) for stop in shots(bundle)]


def downloads(bundle: Bundle, kind: str, epoch: int, key: str, *, columns: int = 6) -> None:
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

    They show all runs that the weights went through. ``levels``: what to read a curve against, by its code.
    """
    st.subheader(_("Loss and clock"), anchor=False)
    history = lineage.whole_history(bundle)
    last = int(history[-1]["epoch"])
    left, right = st.columns(2, gap="large")
    below = st.container()  # the charts stand next to the film
    with below:
        titles = {code: title for code, (title, _lines) in offered.items()}
        code = controls.choice(_("Curve"), titles, f"{prefix}_curve")
    with below, st.columns(2, gap="large")[0]:
        skip = controls.whole(
            _("First epoch shown"),
            1,
            max(2, last - 1),
            min(first_epoch, last),
            f"{prefix}_skip",
            help=_("The first epochs dwarf the rest; leave them out to see the end."),
        )
    shown = [row for row in history if row["epoch"] >= skip] or history
    title, lines = offered[code]
    clock, minutes = clock_of(bundle)
    provenance = Provenance(
        bundle,
        live=False,
        settings={
            _("epochs"): last,
            _("device"): bundle.config["training"]["device"],
            _("minutes"): number(max(float(np.nanmax(one.y)) for one in clock)),
        },
    )
    drawn = [
        Series(_(name), _column(shown, "epoch"), _column(shown, column), colour)
        for column, name, colour in lines
    ]
    begun = [start + 0.5 for start in lineage.starts(lineage.parts(bundle))[1:]]
    for column, part, series, axis, read_against, marks, alt in (
        (
            left,
            "curves",
            drawn,
            Axis(_(title)),
            levels(code),
            [mark for mark in begun if mark > skip],
            _(title),
        ),
        (right, "clock", clock, minutes, (), begun, _("Wall-clock time by epoch")),
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
                marks=marks,
                shift=epochs_before(bundle),
            )
            figures.about(provenance, key, rows=lambda: history)
    if bundle.ancestors:
        st.caption(history_in_words(bundle))


def clock_of(bundle: Bundle) -> tuple[list[Series], Axis]:
    """Minutes by epoch over all runs, and their axis; a run whose epochs are not held is a straight line.

    Of the bundle's own run alone where an earlier one does not tell how long it took.
    """
    of, history = lineage.parts(bundle), lineage.whole_history(bundle)
    starts = lineage.starts(of)
    words = _("minutes since the start")
    if not timed(bundle):
        words = _(SINCE_THE_LAST_RUN)
        history = [{**row, "epoch": starts[-1] + row["epoch"]} for row in bundle.history]
        starts, of = starts[-1:], of[-1:]
    at_end = {0: 0.0} | {row["epoch"]: row["seconds_total"] / 60 for row in history}
    untold = [
        (start, start + one.epochs)
        for start, one in zip(starts, of, strict=True)
        if one.epochs and not one.rows
    ]
    ends = {end for _start, end in untold}
    minutes = [np.nan if row["epoch"] in ends else at_end[row["epoch"]] for row in history]
    made = [
        Series(
            _("wall-clock time"), _column(history, "epoch"), np.array(minutes, dtype=float), AMBER
        )
    ]
    for start, end in untold:
        ends_at = np.array([at_end[start], at_end[end]])
        made.append(Series("", np.array([start, end]), ends_at, AMBER, dash="dot"))
    most = max(float(np.nanmax(one.y)) for one in made)
    return made, Axis(words, span=(0, 1.05 * most), digits=1)


def timed(bundle: Bundle) -> bool:
    """Whether every run that the weights went through tells how long it took."""
    return all(one.seconds is not None for one in lineage.parts(bundle))


def history_in_words(bundle: Bundle) -> str:
    """Where the runs begin in the charts, and of how many epochs the bundle holds no curves."""
    of = lineage.parts(bundle)
    words = [
        _(
            "A thin line marks where a run begins with the weights of the run before ({epochs} epochs). "
            "Pictures, settings and machine may change there, so a curve may jump."
        ).format(epochs=epochs_in_words(bundle))
    ]
    if missing := sum(one.epochs for one in of if not one.rows):
        less = _(NO_CURVES_BUT_TIME) if timed(bundle) else _(NO_CURVES)
        whole = sum(one.epochs for one in of)
        words.append(less.format(missing=number(missing, 0), all=number(whole, 0)))
    return " ".join(words)


def _column(rows: Sequence[Mapping[str, float | None]], name: str) -> np.ndarray:
    """(N,), NaN where a row has no value."""
    return np.array([row.get(name) for row in rows], dtype=float)


def epochs_in_words(bundle: Bundle) -> str:
    """Epochs of the bundles that the weights went through and of the run itself: ``50 + 30``."""
    own = bundle.config["training"].get("epochs_done", len(bundle.history))
    return " + ".join(number(count, 0) for count in (*(a.epochs for a in bundle.ancestors), own))


def first_stop(bundle: Bundle) -> str:
    """That the timeline of epochs begins late, where an earlier run came before."""
    return _(BEGIN_LATE).format(epochs=number(epochs_before(bundle), 0))


def went_on(bundle: Bundle) -> None:
    """What the weights began as, where they did not begin at random."""
    if bundle.ancestors:
        st.caption(
            _(
                "This model did not begin with random weights but with those of an earlier bundle "
                "({ancestors}). Epochs so far: {epochs}."
            ).format(
                ancestors=", ".join(one.name for one in bundle.ancestors),
                epochs=epochs_in_words(bundle),
            )
        )


def explain_average(bundle: Bundle) -> None:
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
