"""The self-supervised runs that pages compare: their names, their looks, which may stand together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st

from core.simsiam.run_record import RunRecord
from pages.shared import controls, guests, library, loaders
from pages.shared.colours import AMBER, BLUE, BROWN, GREEN, GREY, PINK, SKY, VERMILION
from pages.shared.text import N_, _, number


@dataclass(frozen=True)
class Look:
    """How a run is called and drawn: the same on every page."""

    name: str
    colour: str
    dash: str = "solid"


LOOKS: dict[str, Look] = {
    "baseline": Look(N_("SimSiam (baseline)"), BLUE),
    "no-stop-gradient": Look(N_("no stop-gradient"), VERMILION),
    "no-predictor": Look(N_("no predictor"), AMBER),
    "fixed-predictor": Look(N_("fixed random predictor"), PINK),
    "neither": Look(N_("no stop-gradient, no predictor"), GREY),
    "dim-4096": Look(N_("d = 4096"), SKY),
    "batch-4096": Look(N_("batch of 4096"), BLUE, "dash"),
    "dim-4096-batch-4096": Look(N_("d = 4096, batch of 4096"), SKY, "dash"),
    "few-updates": Look(N_("SimSiam, as few updates as a batch of 4096"), BLUE, "dot"),
    "dim-4096-few-updates": Look(N_("d = 4096, as few updates as a batch of 4096"), SKY, "dot"),
    "heavy": Look(N_("heavy augmentation"), VERMILION, "dot"),
    "heavy-dssl": Look(N_("heavy augmentation, DSSL"), GREEN, "dot"),
    "byol": Look(N_("BYOL"), GREEN),
    "byol-no-momentum": Look(N_("BYOL, momentum 0"), GREEN, "dash"),
    "barlow": Look(N_("Barlow Twins"), BROWN),
    "barlow-dim-4096": Look(N_("Barlow Twins, d = 4096"), AMBER, "dashdot"),
    "barlow-batch-4096": Look(N_("Barlow Twins, batch of 4096"), BROWN, "dash"),
    "barlow-dim-4096-batch-4096": Look(N_("Barlow Twins, d = 4096, batch of 4096"), AMBER, "dash"),
    "barlow-no-redundancy": Look(N_("Barlow Twins, diagonal alone"), BROWN, "dot"),
    "vicreg": Look(N_("VICReg"), PINK, "dashdot"),
    "vicreg-no-variance": Look(N_("VICReg, no variance term"), PINK, "dot"),
    "vicreg-no-covariance": Look(N_("VICReg, no covariance term"), PINK, "dash"),
}
"""By recipe, in the order of pages. Colours from Okabe & Ito's palette, told apart by dashes too."""


def look(record: RunRecord) -> Look:
    """How a run is drawn; one of no known recipe is grey and called as its bundle is."""
    return LOOKS.get(record.recipe, Look(record.bundle.name, GREY, "longdash"))


def name(record: RunRecord) -> str:
    """The run's name in the visitor's language."""
    return _(look(record).name)


def signature(record: RunRecord) -> str:
    """Name and hash: what a curve is called where it is drawn."""
    return f"{name(record)} · {record.bundle.digest[:6]}"


# ---------------------------------------------------------------- sets of comparable runs


def sets() -> list[dict[str, RunRecord]]:
    """All runs at hand by recipe, those of equal data, width and epochs together, longest set first.

    A visitor's guests make sets of their own. Of two runs of one recipe in one set, the one with
    weights stands, or else the first by name. Raises ``AtelierError`` where there is none.
    """
    found: dict[tuple[object, ...], dict[str, RunRecord]] = {}
    for entry in library.require_bundles("simsiam"):
        record = loaders.run(entry.name)
        same = found.setdefault((guests.is_guest(entry.name), *record.comparable), {})
        held = same.get(record.recipe)
        if held is None or record.bundle.has_weights > held.bundle.has_weights:
            same[record.recipe] = record
    order = list(LOOKS)

    def place(recipe: str) -> int:
        return order.index(recipe) if recipe in LOOKS else len(order)

    ordered = [dict(sorted(one.items(), key=lambda item: place(item[0]))) for one in found.values()]
    return sorted(ordered, key=len, reverse=True)


def words(record: RunRecord) -> str:
    """What all runs of a set have in common, for captions."""
    config = record.bundle.config
    return _("width {width}, {pictures} pictures, {epochs} epochs, {device}").format(
        width=config["architecture"]["width"],
        pictures=number(config["data"]["pictures"], 0),
        epochs=len(record.epochs) - 1,
        device=config["training"]["device"],
    )


def chosen_set(key: str) -> dict[str, RunRecord]:
    """The set of runs to look at: the visitor's choice where there is more than one."""
    found = sets()
    if len(found) == 1:
        return found[0]
    titles = {words(next(iter(one.values()))): one for one in found}
    return titles[controls.choice(_("Set of runs"), {title: title for title in titles}, key)]


def what_they_are(records: Sequence[RunRecord]) -> None:
    """One line under figures of several runs: size, data and device, and that it is said if small."""
    config = records[0].bundle.config
    small = config["architecture"]["width"] < 64
    said = _("All these runs: {words}.").format(words=words(records[0]))
    if small:
        said += " " + _(
            "A narrow network on part of CIFAR-10, trained on a CPU: it shows who collapses, not "
            "how good these methods become."
        )
    begun = [record for record in records if record.bundle.ancestors]
    if begun:
        said += " " + _(
            "These runs began with the weights of another bundle, so their epoch 0 is no untrained "
            "network: {runs}."
        ).format(
            runs=", ".join(
                f"{name(record)} ({record.bundle.ancestors[-1].name})" for record in begun
            )
        )
    st.caption(said)
