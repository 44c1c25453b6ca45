"""Recomputes every figure that pages and card show from the weights and the data set at hand."""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from core import bundle as bundles
from core.errors import AtelierError
from core.vae import VAE
from core.vae_explorer import golden_deviation
from train import loop, sets, vae_bundle

RELATIVE_TOLERANCE = 1e-4
"""Of a figure: another device or thread count rounds otherwise, and draws other z on a GPU."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bundle", type=Path, help="folder of the bundle")
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


def recompute_vae(bundle: bundles.Bundle, device: torch.device) -> tuple[dict, dict]:
    """Metrics and profile arrays of a VAE bundle, afresh."""
    about = bundle.config["data"]
    train_set, test_set = sets.load(
        about["name"],
        about["split"],
        about["test_split"],
        folder=bundle.config["training"]["folder"],
    )
    for found, key in ((train_set, "fingerprint"), (test_set, "test_fingerprint")):
        if found.fingerprint() != about[key]:
            raise AtelierError(
                "verify-other-data",
                "The {split} pictures at hand are not those of the bundle {name}.",
                split=found.split,
                name=bundle.name,
            )
    stored = VAE.from_pretrained(bundle.folder)
    deviation = golden_deviation(bundle)
    print(f"golden output: off by {deviation:.1e}")
    model = stored.to(device, memory_format=torch.channels_last)
    levels = loop.resident(test_set.pictures, device)
    test, arrays = vae_bundle.test_figures(model, levels)
    linear, linear_arrays = vae_bundle.linear_model(train_set, test_set)
    metrics = {
        "test": test,
        "importance_weighted": vae_bundle.importance_figures(model, levels),
        "linear_model": linear,
    }
    return metrics, {
        **vae_bundle.class_profiles(model, train_set, device),
        **arrays,
        **linear_arrays,
    }


FAMILIES = {"vae": recompute_vae}


def bars(bundle: bundles.Bundle, fresh: dict[str, float]) -> Iterator[tuple[str, float, str]]:
    """Figures that should not exceed a limit: (name, limit, what it means)."""
    if bundle.family == "vae":
        linear = fresh["linear_model.nll"]
        yield "test.negative_elbo", linear, "the curved latent space beats the flat one"
        if bundle.config["data"]["name"] == "svhn":
            yield "test.negative_elbo", 2880.0, "the bar of the embedded bundle"


def main(arguments: argparse.Namespace) -> int:
    bundle = bundles.open_bundle(arguments.bundle)
    if bundle.family not in FAMILIES:
        raise AtelierError(
            "verify-family", "No figures are known for the family {family}.", family=bundle.family
        )
    device = loop.pick_device(arguments.device)
    metrics, arrays = FAMILIES[bundle.family](bundle, device)
    known, fresh, wrong = dict(figures(bundle.metrics)), dict(figures(metrics)), 0
    print(f"{'figure':<46}{'stored':>14}{'recomputed':>14}")
    for name in {**known, **fresh}:
        stored, again = known.get(name, math.nan), fresh.get(name, math.nan)  # NaN: absent
        agrees = abs(again - stored) <= RELATIVE_TOLERANCE * max(1, abs(stored))
        wrong += not agrees
        print(f"{name:<46}{stored:>14.4f}{again:>14.4f}{'' if agrees else '  DIFFERS'}")
    for name, again in arrays.items():
        stored = bundle.profiles.get(name, np.array(math.nan))
        scale = max(1.0, float(np.abs(stored).max(initial=0)))
        off = math.nan
        if stored.shape == again.shape:
            off = float(np.abs(again.astype(np.float64) - stored).max(initial=0)) / scale
        agrees = off <= 1e-2
        wrong += not agrees
        print(f"{'profile ' + name:<46}{'off by':>14}{off:14.1e}{'' if agrees else '  DIFFERS'}")
    for name, bar, meaning in bars(bundle, fresh):
        verdict = "met" if fresh[name] <= bar else "MISSED"
        print(f"bar {name} <= {bar:.1f}: {fresh[name]:.2f}, {verdict} ({meaning})")
    print(f"{wrong} figures differ" if wrong else "every figure agrees")
    return 1 if wrong else 0
