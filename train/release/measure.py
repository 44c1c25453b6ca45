"""Measures a bundle anew, the judge's figures included, and rewrites what it says of its weights."""

from __future__ import annotations

import argparse

import torch
from safetensors.numpy import load_file

from core.bundles import bundle as bundles
from core.bundles.bundle import Bundle
from core.families import family_of, open_bundle
from train.ddpm import way
from train.families import trained_family_of
from train.judge import judged
from train.release import verify
from train.run import loop
from train.run.bundling import Measurements


def add_arguments(parser: argparse.ArgumentParser) -> None:
    verify.add_arguments(parser)
    parser.add_argument(
        "--t-star",
        type=int,
        metavar="N",
        help="t* of N test pictures instead of all; 0: neither that nor purification",
    )
    alone = parser.add_mutually_exclusive_group()
    alone.add_argument(
        "--seconds",
        action="store_true",
        help="how long the model takes on this machine, and nothing else: for a machine that is quiet",
    )
    alone.add_argument(
        "--way",
        action="store_true",
        help="the way back that Home shows, and nothing else: a chosen seed for every digit",
    )
    alone.add_argument(
        "--layers",
        action="store_true",
        help="from which layer and at which level a linear classifier reads the class, and nothing else",
    )


def main(arguments: argparse.Namespace) -> None:
    """Weights, history and golden output stay; seconds, too, unless they alone are measured."""
    refuse_ignored(arguments)
    bundle = open_bundle(arguments.bundle)
    if arguments.t_star is not None and bundle.family != "ddpm":
        raise ValueError(f"--t-star is for a diffusion model: leave it out for {bundle.place}")
    device = loop.pick_device(arguments.device)
    if arguments.seconds:
        measured = with_timing(bundle, device)
    elif arguments.way:
        measured = with_way(bundle, device)
    elif arguments.layers:
        measured = with_probe(bundle, arguments.folder, device)
    else:
        measured = verify.recompute(
            bundle,
            arguments.folder,
            device,
            with_judge=True,
            with_way=True,
            with_probe=True,
            t_star_pictures=arguments.t_star,
        )
        if "timing" in bundle.metrics:
            measured.metrics["timing"] = bundle.metrics["timing"]
    written = rewrite(bundle, measured)
    print(f"{written.folder}: measured, {written.bytes / 2**20:.2f} MiB, {written.digest}")


def refuse_ignored(arguments: argparse.Namespace) -> None:
    """ValueError for an option that would not be heeded, or cannot be."""
    alone = next((name for name in ("seconds", "way", "layers") if getattr(arguments, name)), None)
    if alone and arguments.t_star is not None:
        raise ValueError(f"--{alone} measures that alone: leave out --t-star")
    if alone in ("seconds", "way") and arguments.folder:
        raise ValueError(f"--{alone} looks at no pictures: leave out --folder")
    if arguments.t_star is not None and arguments.t_star < 0:
        raise ValueError(f"t_star must be 0 or more, got {arguments.t_star}")


def with_timing(bundle: Bundle, device: torch.device) -> Measurements:
    """All that was measured, with the seconds of this machine; raises ValueError where there are none."""
    clock = trained_family_of(bundle).clocked
    if clock is None:
        raise ValueError(f"seconds are not measured for the family {bundle.family}")
    timing = bundle.metrics.get("timing", {}) | clock(family_of(bundle).load(bundle), device)
    return verify.together(stored_measurements(bundle), Measurements({"timing": timing}, {}, {}))


def with_way(bundle: Bundle, device: torch.device) -> Measurements:
    """All that was measured, with the way back; raises ValueError where none is kept or nothing can choose."""
    family = trained_family_of(bundle)
    if family.way is None:
        raise ValueError(f"no way back is kept for the family {bundle.family}")
    judge = judged.judge_for(bundle.config["data"])
    if judge is None:
        raise ValueError(f"no judge is here that could choose samples of {bundle.place}")
    return verify.together(
        stored_measurements(bundle), family.way(family_of(bundle).load(bundle), judge, device)
    )


def with_probe(bundle: Bundle, folder: str, device: torch.device) -> Measurements:
    """All that was measured, with what is read from every layer; raises ValueError where nothing is."""
    family = trained_family_of(bundle)
    if family.probed is None:
        raise ValueError(f"no layers are read for the family {bundle.family}")
    pictures = verify.pictures_of(bundle, folder)
    model = family_of(bundle).load(bundle)
    return verify.together(stored_measurements(bundle), family.probed(model, *pictures, device))


def stored_measurements(bundle: Bundle) -> Measurements:
    """All that was measured."""
    return Measurements(bundle.metrics, load_file(bundle.folder / "profiles.safetensors"), {})


def rewrite(bundle: Bundle, measured: Measurements) -> Bundle:
    """The bundle in its folder with other figures, arrays and sheets."""
    last = len(bundle.history)
    chosen = set() if way.KIND in measured.metrics else {*bundle.progress(way.KIND).values()}
    kept = (bundle.folder / name for name in bundle.sha256 if name.startswith("progress/"))
    # A chosen way of which no figure tells any more does not stay.
    progress = {file.name: file.read_bytes() for file in kept if file not in chosen}
    progress |= {f"epoch-{last:04d}-{kind}.jpg": sheet for kind, sheet in measured.sheets.items()}
    return bundles.write_bundle(
        bundle.folder,
        config={key: value for key, value in bundle.config.items() if key != "format"},
        weights=load_file(bundle.folder / "model.safetensors"),
        history=bundle.history,
        metrics=measured.metrics,
        profiles=measured.profiles,
        golden=load_file(bundle.folder / "golden.safetensors"),
        progress=progress,
        card=verify.card_of(bundle, measured.metrics),
        check=family_of(bundle).golden,
    )
