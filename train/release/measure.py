"""Measures a bundle anew, the judge's figures included, and rewrites what it says of its weights."""

from __future__ import annotations

import argparse

from safetensors.numpy import load_file

from core.bundles import bundle as bundles
from core.families import family_of, open_bundle
from train.release import verify
from train.run import loop


def add_arguments(parser: argparse.ArgumentParser) -> None:
    verify.add_arguments(parser)
    parser.add_argument(
        "--t-star",
        type=int,
        metavar="N",
        help="t* of N test pictures instead of all; 0: neither that nor purification",
    )


def main(arguments: argparse.Namespace) -> None:
    """Weights, history and golden output stay; seconds, which are of the run's machine, too."""
    bundle = open_bundle(arguments.bundle)
    device = loop.pick_device(arguments.device)
    measured = verify.recompute(
        bundle, arguments.folder, device, with_judge=True, t_star_pictures=arguments.t_star
    )
    metrics = dict(measured.metrics)
    if "timing" in bundle.metrics:
        metrics["timing"] = bundle.metrics["timing"]
    last = len(bundle.history)
    progress = {
        name.removeprefix("progress/"): (bundle.folder / name).read_bytes()
        for name in bundle.sha256
        if name.startswith("progress/")
    }
    progress |= {f"epoch-{last:04d}-{kind}.jpg": sheet for kind, sheet in measured.sheets.items()}
    written = bundles.write_bundle(
        bundle.folder,
        config={key: value for key, value in bundle.config.items() if key != "format"},
        weights=load_file(bundle.folder / "model.safetensors"),
        history=bundle.history,
        metrics=metrics,
        profiles=measured.profiles,
        golden=load_file(bundle.folder / "golden.safetensors"),
        progress=progress,
        card=verify.card_of(bundle, metrics),
        check=family_of(bundle).golden,
    )
    print(f"{written.folder}: measured, {written.bytes / 2**20:.2f} MiB, {written.digest}")
