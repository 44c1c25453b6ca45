"""The self-supervised runs that pages compare: their names, their looks, which may stand together."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import streamlit as st

from core.simsiam.run_record import RunRecord
from pages.browser.curves import Dash
from pages.shared import controls, guests, library, loaders, preferred
from pages.shared.colours import AMBER, BLUE, BROWN, GREEN, GREY, PINK, SKY, VERMILION
from pages.shared.text import N_, _, number

WIDTH_OF_THE_PAPER = 64
"""Channels of the first stage of ResNet-18."""


@dataclass(frozen=True)
class Look:
    """How a run is called and drawn: the same on every page."""

    name: str
    colour: str
    dash: Dash = "solid"


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


def subject(record: RunRecord) -> str:
    """The run as the subject of a sentence: one that is called after its setting, in small letters, is the run
    with it, as a setting ends nowhere.
    """
    if record.recipe in LOOKS and look(record).name[0].islower():
        return _("the run with **{name}**").format(name=name(record))
    return f"**{name(record)}**"


def signature(record: RunRecord) -> str:
    """Name and hash, which tells two runs of one name apart."""
    return f"{name(record)} · {record.bundle.digest[:6]}"


# ---------------------------------------------------------------- sets of comparable runs


def seeds_of(record: RunRecord) -> list[RunRecord]:
    """All runs at hand that differ from this one in the seed alone, itself included, by seed."""
    theirs = guests.is_guest(record.bundle.name)
    found = {record.seed: record}
    for entry in library.require_bundles("simsiam"):
        if guests.is_guest(entry.name) == theirs:
            other = loaders.run(entry.name)
            if _but_for_the_seed(other) == _but_for_the_seed(record):
                found.setdefault(other.seed, other)
    return [found[seed] for seed in sorted(found)]


def _but_for_the_seed(record: RunRecord) -> tuple[object, ...]:
    config = record.bundle.config
    told = {key: value for key, value in config["training"].items() if key not in NOT_OF_THE_RECIPE}
    return (record.recipe, record.comparable, config["architecture"], told)


NOT_OF_THE_RECIPE = ("seed", "device", "compile", "record")
"""What the training configuration says of one run and its machine."""


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


def size(record: RunRecord) -> str:
    """What sets of runs differ by, short enough for a list on a phone."""
    config = record.bundle.config
    return _("width {width}, {pictures} pictures, {epochs} epochs").format(
        width=config["architecture"]["width"],
        pictures=number(config["data"]["pictures"], 0),
        epochs=len(record.epochs) - 1,
    )


def words(record: RunRecord) -> str:
    """What all runs of a set have in common, for captions."""
    return _("{size}, {device}").format(
        size=size(record), device=record.bundle.config["training"]["device"]
    )


def chosen_set(key: str, recipes: Collection[str] = ()) -> dict[str, RunRecord]:
    """The set of runs to look at: the visitor's choice where there is more than one.

    ``recipes``: what is to be shown of it, where that is known; it begins with the ``best_with`` these.
    """
    found = {code_of(one): one for one in sets()}
    if len(found) == 1:
        return next(iter(found.values()))
    of_name = {run.bundle.name: code for code, one in found.items() for run in one.values()}
    first = of_name.get(preferred.begin_with("simsiam", key, list(of_name)) or "")
    if first is None and recipes and (best := best_with(recipes, found.values())) is not None:
        first = code_of(best)
    return found[controls.option(_("Set of runs"), titles(found), key, default=first)]


def best_with(
    recipes: Collection[str], among: Iterable[dict[str, RunRecord]]
) -> dict[str, RunRecord] | None:
    """Of our own sets that hold all these recipes the one whose runs come to the best kNN accuracy; None
    where there is none.
    """

    def best(one: dict[str, RunRecord]) -> float:
        return max(float(one[recipe].figures["test_knn_accuracy"][-1]) for recipe in recipes)

    whole = [
        one
        for one in among
        if recipes
        and set(recipes) <= one.keys()
        and not guests.is_guest(next(iter(one.values())).bundle.name)
    ]
    return max(whole, key=best, default=None)


def code_of(one: dict[str, RunRecord]) -> str:
    """What a set is called in an address: width, pictures and epochs, and what else it differs by.

    Equal for equal sets wherever they are opened; a guest's set has the name of its bundle.
    """
    first = next(iter(one.values()))
    shared = "-".join(map(str, first.comparable))
    told_apart = hashlib.sha256(shared.encode()).hexdigest()[:4]
    _data, _split, pictures, width, _stem, _hidden, epochs = first.comparable
    code = f"w{width}-n{pictures}-e{epochs}-{told_apart}"
    is_guest = guests.is_guest(first.bundle.name)
    return f"{code}-{first.bundle.name}" if is_guest else code


def titles(found: Mapping[str, dict[str, RunRecord]]) -> dict[str, str]:
    """What a visitor reads of each set; where two would read alike, with the name of a bundle."""
    firsts = {code: next(iter(one.values())) for code, one in found.items()}
    said = {code: size(first) for code, first in firsts.items()}
    twice = {title for title, times in Counter(said.values()).items() if times > 1}
    return {
        code: f"{title} · {firsts[code].bundle.name}" if title in twice else title
        for code, title in said.items()
    }


def what_they_are(records: Sequence[RunRecord]) -> None:
    """One line under figures of several runs: size, data and device, and that it is said if small."""
    config = records[0].bundle.config
    said = _("All these runs: {words}.").format(words=words(records[0]))
    if config["architecture"]["width"] < WIDTH_OF_THE_PAPER:
        said += " " + _(
            "A narrow network: it shows which runs collapse, not how good these methods can get."
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
