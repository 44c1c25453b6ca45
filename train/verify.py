"""Recomputes every figure that pages and card show from the weights and the data set at hand."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from core import bundle as bundles
from core import ddpm_explorer, images, vae_explorer
from core.data import PictureSet
from core.ddpm import DDPM
from core.errors import AtelierError
from core.vae import VAE
from train import ddpm_bundle, loop, sets, vae_bundle
from train.run import Measured

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
            name=bundle.name,
        )
    train_set, test_set = sets.load(
        about["name"], about["split"], about["test_split"], folder=folder
    )
    for found, key in ((train_set, "fingerprint"), (test_set, "test_fingerprint")):
        if found.fingerprint() != about[key]:
            raise AtelierError(
                "verify-other-data",
                "The {split} pictures at hand are not those of the bundle {name}.",
                split=found.split,
                name=bundle.name,
            )
    return train_set, test_set


@dataclass(frozen=True)
class Family:
    """How the figures of a family's bundles are found again."""

    golden: Callable[[bundles.Bundle], float]
    measure: Callable[[bundles.Bundle, PictureSet, PictureSet, torch.device], Measured]
    card: Callable[[dict, dict, list[dict]], str]


def measure_vae(
    bundle: bundles.Bundle, train_set: PictureSet, test_set: PictureSet, device: torch.device
) -> Measured:
    model = VAE.from_bundle(bundle)
    return vae_bundle.measure(model, bundle.config["data"], train_set, test_set, device)


def measure_ddpm(
    bundle: bundles.Bundle, train_set: PictureSet, test_set: PictureSet, device: torch.device
) -> Measured:
    model = DDPM.from_bundle(bundle)
    return ddpm_bundle.measure(model, bundle.config["data"], train_set, test_set, device)


FAMILIES = {
    "vae": Family(vae_explorer.golden_deviation, measure_vae, vae_bundle.card),
    "ddpm": Family(ddpm_explorer.golden_deviation, measure_ddpm, ddpm_bundle.card),
}


def recompute(bundle: bundles.Bundle, folder: str, device: torch.device) -> tuple[Measured, str]:
    """Figures, arrays and sheets of a bundle, and its card, afresh."""
    family = FAMILIES[bundle.family]
    train_set, test_set = pictures_of(bundle, folder)
    print(f"golden output: off by {family.golden(bundle):.1e}")
    measured = family.measure(bundle, train_set, test_set, device)
    try:
        card = family.card(bundle.config, bundle.metrics, bundle.history)
    except KeyError as absent:  # a figure that the comparison below reports
        card = f"no card without {absent}"
    return measured, card


def bars(bundle: bundles.Bundle, fresh: dict[str, float]) -> Iterator[tuple[str, float, str]]:
    """Figures that should not exceed a limit: (name, limit, what it means)."""
    if bundle.family == "vae":
        linear = fresh["linear_model.nll"]
        yield "test.negative_elbo", linear, "the curved latent space beats the flat one"
        if bundle.config["data"]["name"] == "svhn":
            yield "test.negative_elbo", 2880.0, "the bar of the embedded bundle"


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
    """Prints how far each array is off, as a share of its largest entry; how many differ."""
    wrong = 0
    for name in {**stored, **again}:
        a, b = (arrays.get(name, np.array(math.nan)) for arrays in (stored, again))
        off = math.nan
        if a.shape == b.shape:
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
    bundle = bundles.open_bundle(arguments.bundle)
    if bundle.family not in FAMILIES:
        raise AtelierError(
            "verify-family", "No figures are known for the family {family}.", family=bundle.family
        )
    device = loop.pick_device(arguments.device)
    measured, card = recompute(bundle, arguments.folder, device)
    wrong = compare_figures(bundle.metrics, measured.metrics)
    wrong += compare_arrays(bundle.profiles, measured.profiles)
    wrong += compare_sheets(bundle, measured.sheets)
    if card != bundle.card:
        wrong += 1
        print("the card does not say what the figures say  DIFFERS")
    fresh = dict(figures(measured.metrics))
    for name, bar, meaning in bars(bundle, fresh):
        verdict = "met" if fresh[name] <= bar else "MISSED"
        print(f"bar {name} <= {bar:.1f}: {fresh[name]:.2f}, {verdict} ({meaning})")
    print(f"{wrong} figures differ" if wrong else "every figure agrees")
    return 1 if wrong else 0
