"""Recomputes every figure that pages and card show from the weights and the data set at hand."""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from core.bundles import bundle as bundles
from core.errors import AtelierError
from core.families import family_of, open_bundle
from core.pictures import images
from core.pictures.data import PictureSet
from core.simsiam.run_record import RIGHT
from train.ddpm import layer_probe, way
from train.families import trained_family_of
from train.judge import judged
from train.run import loop, sets
from train.run.bundling import Measurements

RELATIVE_TOLERANCE = 1e-4
"""Of a figure. A CPU draws the same z again; a GPU draws others, and its figures will differ."""


ARRAY_TOLERANCE = 1e-2
SHEET_TOLERANCE = 1.0
MOST_PICTURES = 1000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bundle", type=Path, help="folder of the bundle")
    parser.add_argument(
        "--folder", default="", help="one's own pictures, where it learnt from them"
    )
    parser.add_argument("--device", help="cuda, mps or cpu (default: the best at hand)")


def figures(value: object, prefix: str = "") -> Iterator[tuple[str, float]]:
    """Every number of a nested JSON value with the path to it."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from figures(item, f"{prefix}{key}.")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from figures(item, f"{prefix}{index}.")
    elif isinstance(value, int | float):
        yield prefix.rstrip("."), float(value)


def pictures_of(bundle: bundles.Bundle, folder: str) -> tuple[PictureSet, PictureSet]:
    """The very pictures that a bundle was trained and measured on; raises where they are not here."""
    about = bundle.config["data"]
    if about["name"] == sets.OWN and not folder:
        raise AtelierError(
            "verify-folder",
            "The bundle {name} was trained on one's own pictures: name their folder with --folder.",
            name=bundle.place,
        )
    train_set, test_set = sets.load(
        about["name"],
        about["split"],
        about["test_split"],
        folder=folder,
        pictures=bundle.config["training"].get("pictures", 0),
        selection=bundle.config["training"].get("selection", "first"),
        mixed=bundle.config["training"].get("mixed", False),
    )
    for found, key in ((train_set, "fingerprint"), (test_set, "test_fingerprint")):
        if found.fingerprint() != about[key]:
            raise AtelierError(
                "verify-other-data",
                "The {split} pictures at hand are not those of the bundle {name}.",
                split=found.split,
                name=bundle.place,
            )
    return train_set, test_set


def recompute(
    bundle: bundles.Bundle,
    folder: str,
    device: torch.device,
    *,
    with_judge: bool,
    with_way: bool = False,
    with_probe: bool = False,
    t_star_pictures: int | None = None,
) -> Measurements:
    """Figures, arrays and sheets of a bundle afresh, those of the judge, the way that it chooses and what is
    read from every layer where asked for.

    ``t_star_pictures`` as ``judged.of_ddpm`` takes it.
    """
    family, about = trained_family_of(bundle), bundle.config["data"]
    train_set, test_set = pictures_of(bundle, folder)
    print(f"golden output: off by {family_of(bundle).golden(bundle):.1e}", flush=True)
    model = family_of(bundle).load(bundle)
    found = family.measure(model, about, train_set, test_set, device)
    found = replace(
        found,
        metrics=select_by_prefix(bundle.metrics, family.of_training) | found.metrics,
        profiles=select_by_prefix(bundle.profiles, family.of_training) | found.profiles,
    )
    if with_probe and family.probed:
        found = together(found, family.probed(model, train_set, test_set, device))
    with_judge, with_way = with_judge and bool(family.judged), with_way and bool(family.way)
    judge = judged.judge_for(about) if with_judge or with_way else None
    if judge is None:
        return found
    if with_judge:
        figures, arrays = family.judged(model, judge, train_set, test_set, device, t_star_pictures)
        found = replace(
            found, metrics=found.metrics | {"judged": figures}, profiles=found.profiles | arrays
        )
    return together(found, family.way(model, judge, device)) if with_way else found


def together(first: Measurements, second: Measurements) -> Measurements:
    """All that two measurements found; the second one's where both did."""
    return Measurements(
        first.metrics | second.metrics,
        first.profiles | second.profiles,
        first.sheets | second.sheets,
    )


def select_by_prefix(named: dict[str, Any], beginnings: tuple[str, ...]) -> dict[str, Any]:
    """What tells of the time of training: taken as it stands."""
    return {name: value for name, value in named.items() if name.startswith(beginnings)}


def card_of(bundle: bundles.Bundle, metrics: dict) -> str:
    """The card that belongs to these figures."""
    try:
        card = trained_family_of(bundle).card(bundle.config, metrics, bundle.history)
        if "judged" in metrics:
            card += judged.card_section(metrics["judged"])
        for more in (layer_probe, way):
            if more.KIND in metrics:
                card += more.card_section(metrics[more.KIND])
        return card
    except KeyError as absent:  # a figure that the comparison reports
        return f"no card without {absent}"


@dataclass(frozen=True)
class Bar:
    """What a figure should reach: at most ``limit``, or at least."""

    figure: str
    limit: float
    meaning: str
    at_least: bool = False

    def met(self, value: float) -> bool:
        return value >= self.limit if self.at_least else value <= self.limit


def bars(bundle: bundles.Bundle, fresh: dict[str, float]) -> Iterator[Bar]:
    """What is asked of the figures of a family."""
    known = bundle.config["data"]["name"] == "svhn"
    if bundle.family == "vae":
        linear = fresh["linear_model.nll"]
        yield Bar("test.negative_elbo", linear, "the curved latent space beats the flat one")
        if known:
            yield Bar("test.negative_elbo", 2880.0, "the bar of the embedded bundle")
    if bundle.family == "judge" and known:
        yield Bar("test.accuracy", 0.94, "the bar of the embedded bundle", at_least=True)


def compare_figures(stored: dict, again: dict) -> int:
    """Prints figures side by side; how many differ. NaN stands for an absent one."""
    known, fresh, wrong = dict(figures(stored)), dict(figures(again)), 0
    print(f"{'figure':<46}{'stored':>14}{'recomputed':>14}")
    for name in {**known, **fresh}:
        a, b = known.get(name, math.nan), fresh.get(name, math.nan)
        clock = name.startswith("timing.")  # of this machine, now: shown, not compared
        agrees = clock or abs(b - a) <= RELATIVE_TOLERANCE * max(1, abs(a))
        wrong += not agrees
        print(f"{name:<46}{a:>14.4f}{b:>14.4f}{'' if agrees else '  DIFFERS'}")
    return wrong


def compare_arrays(stored: dict[str, np.ndarray], again: dict[str, np.ndarray]) -> int:
    """Prints how far each array is off, as a share of its largest entry; how many differ.

    Of which pictures were named right: the share of pictures that one of the two alone counts as right.
    """
    wrong = 0
    for name in {**stored, **again}:
        a, b = (arrays.get(name, np.array(math.nan)) for arrays in (stored, again))
        off = math.nan
        if name in RIGHT.values():
            if name not in stored:  # a bundle older than these: nothing to compare
                continue
            if a.shape == b.shape and a.dtype == b.dtype == np.uint8:
                off = float(np.unpackbits(a ^ b).mean())
        elif a.shape == b.shape:
            scale = max(1.0, float(np.abs(a).max(initial=0)))
            off = float(np.abs(b.astype(np.float64) - a).max(initial=0)) / scale
        agrees = off <= ARRAY_TOLERANCE
        wrong += not agrees
        print(f"{'profile ' + name:<46}{'off by':>14}{off:14.1e}{'' if agrees else '  DIFFERS'}")
    return wrong


def compare_sheets(bundle: bundles.Bundle, again: dict[str, bytes]) -> int:
    """Prints how far stored sheets are from fresh ones, in grey levels; how many differ."""
    wrong = 0
    for kind, fresh in again.items():
        stored = bundle.progress(kind)
        off = math.inf
        if stored:
            a, b = (
                images.read_sheet(data, MOST_PICTURES).astype(np.float64)
                for data in (stored[max(stored)].read_bytes(), fresh)
            )
            off = float(np.abs(a - b).mean()) if a.shape == b.shape else math.inf
        agrees = off <= SHEET_TOLERANCE
        wrong += not agrees
        print(f"{'sheet ' + kind:<46}{'off by':>14}{off:14.1e}{'' if agrees else '  DIFFERS'}")
    return wrong


def main(arguments: argparse.Namespace) -> int:
    bundle = open_bundle(arguments.bundle)
    device = loop.pick_device(arguments.device)
    stored = bundle.metrics.get("judged", {})
    measured = recompute(
        bundle,
        arguments.folder,
        device,
        with_judge=bool(stored),
        with_way=way.KIND in bundle.metrics,
        with_probe=layer_probe.KIND in bundle.metrics,
        t_star_pictures=stored.get("t_star", {}).get("pictures", 0),
    )
    wrong = compare_figures(bundle.metrics, measured.metrics)
    wrong += compare_arrays(bundle.profiles, measured.profiles)
    wrong += compare_sheets(bundle, measured.sheets)
    if card_of(bundle, bundle.metrics) != bundle.card:
        wrong += 1
        print("the card does not say what the figures say  DIFFERS")
    fresh = dict(figures(measured.metrics))
    for bar in bars(bundle, fresh):
        value = fresh[bar.figure]
        sign, verdict = ">=" if bar.at_least else "<=", "met" if bar.met(value) else "MISSED"
        print(f"bar {bar.figure} {sign} {bar.limit:g}: {value:.6g}, {verdict} ({bar.meaning})")
    print(f"{wrong} figures differ" if wrong else "every figure agrees")
    return 1 if wrong else 0
