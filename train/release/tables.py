"""Writes the tables of docs/ from the bundles and measurements that they speak of.

A table stands between ``<!-- table NAME -->`` and ``<!-- end of table -->``; what is between them is
made anew, the rest of the page is left as it is. So no figure of a model is ever typed.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.bundles.bundle import Bundle
from core.bundles.files import replacing
from core.bundles.manifest import CHECKPOINTS, Manifest
from core.errors import AtelierError
from core.families import parameter_count, read_manifest
from train.run import ancestry
from train.simsiam.trainer import ABLATIONS

ROOT = Path(__file__).parents[2]
PACE = ROOT / "docs" / "pace-two-cores.json"
PAGES = (ROOT / "docs" / "models.md", ROOT / "docs" / "training.md")
BLOCK = re.compile(r"(<!-- table ([a-z-]+) -->\n).*?(<!-- end of table -->)", re.S)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows))


def span(values: Sequence[float], form: str) -> str:
    """The least and the largest of the values, or the one that they all are."""
    ends = list(dict.fromkeys(format(end, form) for end in (min(values), max(values))))
    return " to ".join(ends)


def epochs(trainings: Sequence[dict]) -> str:
    """Epochs of runs, those of the bundles that they went on from first; their sum where they differ
    in how many those are.
    """
    chains = [ancestry.epochs_of(training) for training in trainings]
    if len({len(chain) for chain in chains}) > 1:
        return span([sum(chain) for chain in chains], "d")
    return " + ".join(span(part, "d") for part in zip(*chains, strict=True))


def of_made(manifest: Manifest) -> str:
    """What the bundles were trained on, for how long and on what; the runs compared in one row."""
    groups: dict[str, list[Bundle]] = {}
    for entry in manifest.entries:
        together = entry.family == "simsiam"
        groups.setdefault("simsiam-cifar10-*" if together else entry.name, []).append(
            manifest.open(entry.name)
        )
    rows = []
    for name, bundles in groups.items():
        configs = [bundle.config for bundle in bundles]
        counts = [parameter_count(b.family, b.config["architecture"]) / 1e6 for b in bundles]
        rows.append(
            [
                f"`{name}`",
                span(counts, ".2f"),
                span([config["data"]["pictures"] for config in configs], ",d"),
                epochs([config["training"] for config in configs]),
                span([bundle.history[-1]["seconds_total"] / 60 for bundle in bundles], ".0f"),
                ", ".join(dict.fromkeys(config["training"]["device"] for config in configs)),
            ]
        )
    return table(
        ["bundle", "million parameters", "pictures", "epochs", "minutes of the last run", "on"],
        rows,
    )


def of_vae(manifest: Manifest) -> str:
    """Nats of the VAE on the test digits, next to the linear model and the tighter bounds."""
    metrics = manifest.open("vae-svhn").metrics
    test, linear, tighter = metrics["test"], metrics["linear_model"], metrics["importance_weighted"]
    return table(
        ["on test digits", "nats"],
        [
            ["negative ELBO", f"{test['negative_elbo']:,.1f}"],
            ["of which reconstruction / KL", f"{test['nll']:,.1f} / {test['kl']:.1f}"],
            [
                f"probabilistic PCA with the same noise, {linear['components']} components, exact",
                f"{linear['nll']:,.1f}",
            ],
            [
                f"importance-weighted bound, {tighter[0]['pictures']} digits, "
                f"K = {' / '.join(str(row['K']) for row in tighter)}",
                " / ".join(f"{row['nll']:,.1f}" for row in tighter),
            ],
        ],
    )


def of_readouts(manifest: Manifest) -> str:
    """How often simple readers name the digit from z, and a linear one from the pixels."""
    found = manifest.open("vae-svhn").metrics["readouts"]
    return table(
        ["who reads the digit", "accuracy"],
        [
            [title, f"{found[key]:.1%}"]
            for title, key in (
                ("always the most common digit", "most_common"),
                ("a linear classifier on all pixels", "pixels"),
                ("a linear classifier on z", "linear"),
                (f"the {found['k']} nearest training pictures in z", "neighbours"),
                ("a linear classifier on z and all products of two units", "products"),
            )
        ],
    )


def diffusion(manifest: Manifest) -> list[tuple[int, Bundle]]:
    """The diffusion bundles by their number of levels."""
    opened = [manifest.open(entry.name) for entry in manifest.of_family("ddpm")]
    named = [(one.config["architecture"]["schedule"]["T"], one) for one in opened]
    return sorted(named, key=lambda pair: pair[0])


def of_ddpm(manifest: Manifest) -> str:
    """What every length of the diffusion came to, and what it took."""
    rows = []
    for T, bundle in diffusion(manifest):
        metrics = bundle.metrics
        samples, timing = metrics["samples"], metrics["timing"]
        rows.append(
            [
                str(T),
                f"{metrics['schedule']['alpha_bar_end']:.1e}",
                f"{metrics['test']['eps_mse']:.4f}",
                f"{samples['frechet_pixel_components']:.1f}",
                f"{samples['sharpness']:.1f}",
                f"{timing['seconds_a_picture_all_steps']:.2f}",
                f"{timing['seconds_a_picture_50_steps']:.2f}",
                epochs([bundle.config["training"]]),
            ]
        )
    head = "T, ᾱ at the end, squared error of the noise, Frechet distance, sharpness"
    head += ", a picture by all steps (s), by 50 steps (s), epochs"
    return table(head.split(", "), rows)


def of_layer_probe(manifest: Manifest) -> str:
    """From which layer, at which level, a linear classifier reads the digit."""
    found = manifest.open("ddpm-svhn-1000").metrics["layer_probe"]
    rows = [
        [f"`{layer}`", *(f"{share:.1%}" for share in shares)]
        for layer, shares in found["accuracy"].items()
    ]
    head = f"layer, a linear classifier on {found['parts']} × {found['parts']} averages"
    return table([head, *(f"t = {t}" for t in found["t"])], rows)


def of_judged(manifest: Manifest) -> str:
    """What the judge says of samples, and of real digits."""

    def row(name: str, found: dict, end: str) -> list[str]:
        return [
            name,
            f"{found[f'sure{end}']:.1%}",
            f"{found[f'sharpness{end}']:.2f}",
            "1.000" if end else f"{found['diversity']:.3f}",
            f"{found['frechet_real_against_real' if end else 'frechet']:.2f}",
            f"{found[f'nearest_training{end}']:.1f}",
        ]

    vae = manifest.open("vae-svhn").metrics["judged"]["samples"]
    rows = [row("VAE", vae, "")]
    for T, bundle in diffusion(manifest):
        name = f"DDPM, T = {T}, {epochs([bundle.config['training']])} epochs"
        rows.append(row(name, bundle.metrics["judged"]["samples"], ""))
    rows.append(row("test digits", vae, "_of_test"))
    head = "samples of, the judge is sure, sharpness, diversity"
    head += ", Frechet distance in its features, nearest training picture"
    return table(head.split(", "), rows)


T_STAR = {
    "digit": "the judge keeps the digit in half the draws",
    "psnr": "PSNR of {threshold:g} dB",
    "ssim": "SSIM of {threshold:g}",
    "features": "distance in the judge's features",
}


def of_t_star(manifest: Manifest) -> str:
    """Quartiles of t* over the test digits under every measure."""
    bundle = manifest.open("ddpm-svhn-1000")
    found = bundle.metrics["judged"]["t_star"]
    lowest, highest = (int(level) + 1 for level in bundle.profiles["t_star_levels"][[0, -1]])
    rows = []
    for measure, name in T_STAR.items():
        counted = [t + 1 for t in found[measure]["quartiles"]]
        ends = [
            f"> {highest}" if t > highest else f"< {lowest}" if t < lowest else "" for t in counted
        ]
        shown = [end or f"{t:.0f}" for end, t in zip(ends, counted, strict=True)]
        rows.append([name.format(threshold=found[measure]["threshold"]), *shown])
    head = (
        f"{found['pictures']:,} digits, {found['draws']} draws, DDIM with {found['steps']} steps: "
    )
    return table([f"{head}restored means", "lower quartile", "median", "upper quartile"], rows)


def of_judge(manifest: Manifest) -> str:
    """How often the judge is right, and whether it knows."""
    metrics = manifest.open("judge-svhn").metrics
    test, empty = metrics["test"], metrics["digitless"]
    return table(
        ["on test digits", ""],
        [
            ["right", f"{test['accuracy']:.1%}"],
            ["expected calibration error", f"{test['calibration_error']:.3f}"],
            ["sure (p ≥ 0.9)", f"{test['sure']:.0%}"],
            ["right where it is sure", f"{test['accuracy_of_sure']:.1%}"],
            *[
                [f"sure of a digit in {words}", f"{empty[kind]['sure']:.1%}"]
                for kind, words in (
                    ("wiped", "pictures that have lost theirs"),
                    ("scrambled", "scrambled pictures"),
                    ("clouds", "clouds of random colour"),
                )
            ],
        ],
    )


def of_purification(manifest: Manifest) -> str:
    """The judge on attacked digits, and on the same after noise and back."""
    bundle = manifest.open("ddpm-svhn-1000")
    found, arrays = bundle.metrics["judged"]["purification"], bundle.profiles
    best = int(arrays["purified_pgd"][1:].argmax())  # the first entry is without purification
    level = int(arrays["purified_levels"][best]) + 1
    rows = []
    for kind, name in (("clean", "none"), ("fgsm", "FGSM"), ("pgd", "PGD")):
        purified = arrays[f"purified_{kind}"][1 + best]
        rows.append([name, f"{found[f'accuracy_{kind}']:.1%}", f"{purified:.1%}"])
    head = f"attack of {found['grey_levels']}/255 on {found['pictures']} digits"
    return table([head, "right", f"right after noise to t′ = {level} and back"], rows)


WIDE = "simsiam-cifar10-wide"
"""What names of runs at the paper's width begin with."""


def of_simsiam(manifest: Manifest) -> str:
    """What every self-supervised run came to, and what the first one started from."""
    titles = {entry.name: entry.title for entry in manifest.of_family("simsiam")}

    def spread_cells(figures: dict, dim: int, prefix: str = "") -> list[str]:
        ranks = [figures[f"{prefix}rank_{layer}"] for layer in "zh"]
        return [
            f"{figures[f'{prefix}std_z'] * dim**0.5:.2f}",
            *(f"{rank:.1f}" if rank < 10 else f"{rank:.0f}" for rank in ranks),
        ]

    baseline = manifest.open("simsiam-cifar10-baseline")
    before = baseline.metrics["before"]
    first = ["before training, on fewer pictures", "–", f"{before['test_knn_accuracy']:.1%}", "–"]
    rows = [first + spread_cells(before, baseline.config["architecture"]["dim"], "test_")]
    sizes = ("simsiam-cifar10", WIDE)
    for name in (f"{size}-{recipe}" for size in sizes for recipe in ABLATIONS):
        if name not in titles:
            continue  # a recipe of which no run is embedded
        bundle = manifest.open(name)
        test, dim = bundle.metrics["test"], bundle.config["architecture"]["dim"]
        rows.append(
            [
                titles[name],
                f"{bundle.history[-1]['train_loss']:.3g}",
                f"{test['knn_accuracy']:.1%}",
                f"{test['linear_accuracy']:.1%}",
                *spread_cells(test, dim),
            ]
        )
    head = "run, training loss, kNN, linear probe, std of z × √d, effective rank of z, of h"
    return table(head.split(", "), rows)


@dataclass(frozen=True)
class Goal:
    """What a figure should come to at full scale, on an accelerator."""

    figure: str
    limit: float
    form: str
    reached: float
    at_least: bool = True

    @property
    def met(self) -> bool:
        return self.reached >= self.limit if self.at_least else self.reached <= self.limit

    def row(self) -> list[str]:
        sign = "≥" if self.at_least else "≤"
        limit, reached = format(self.limit, self.form), format(self.reached, self.form)
        return [self.figure, f"{sign} {limit}", reached, "yes" if self.met else "no"]


def goals(manifest: Manifest) -> list[Goal]:
    """The goals of the runs at full scale, and what the bundles here reached."""
    vae, ddpm, judge, baseline = (
        manifest.open(name).metrics
        for name in ("vae-svhn", "ddpm-svhn-1000", "judge-svhn", "simsiam-cifar10-baseline")
    )
    wide = manifest.open(f"{WIDE}-baseline").metrics
    of_vae, of_ddpm = (metrics["judged"]["samples"] for metrics in (vae, ddpm))
    collapsed = max(
        manifest.open(f"simsiam-cifar10-{recipe}").metrics["test"]["rank_z"]
        for recipe in ("no-stop-gradient", "no-predictor", "neither")
    )
    return [
        Goal("VAE: negative ELBO, nats", 2877.0, ",.1f", vae["test"]["negative_elbo"], False),
        Goal("judge: right", 0.955, ".1%", judge["test"]["accuracy"]),
        Goal(
            "DDPM, T = 1000: share of samples that the judge is sure of",
            0.8,
            ".1%",
            of_ddpm["sure"],
        ),
        Goal(
            "the same: Frechet distance in the judge's features over the VAE's",
            1 / 3,
            ".2f",
            of_ddpm["frechet"] / of_vae["frechet"],
            False,
        ),
        Goal(
            "SimSiam: kNN; the goal is for full width and 200 epochs",
            0.8,
            ".1%",
            wide["test"]["knn_accuracy"],
        ),
        Goal(
            "collapsed runs: largest effective rank of z over the baseline's",
            0.1,
            ".3f",
            collapsed / baseline["test"]["rank_z"],
            False,
        ),
    ]


def of_goals(manifest: Manifest) -> str:
    """What runs at full scale should reach, next to what the bundles reached."""
    return table(["figure", "goal", "reached", "met"], [goal.row() for goal in goals(manifest)])


def of_pace(_manifest: Manifest) -> str:
    """How fast trainers go on two cores, from the file that ``python -m train pace`` wrote."""
    measured = json.loads(PACE.read_text(encoding="utf-8"))
    rows = []
    for one in measured["paces"]:
        name, share = one["operations"][0]
        rows.append(
            [
                one["family"],
                f"{one['batch_size']}",
                f"{one['pictures_a_second']:,.0f}",
                f"{one['gflop_a_picture']:.2f}",
                f"{one['share_of_peak']:.0%}",
                f"{name.removeprefix('aten::')} {share:.0%}",
            ]
        )
    head = "trainer, batch, pictures a second, GFLOP a picture, share of the matrix peak"
    return table([*head.split(", "), "longest operation"], rows)


TABLES: dict[str, Callable[[Manifest], str]] = {
    "made": of_made,
    "vae": of_vae,
    "readouts": of_readouts,
    "ddpm": of_ddpm,
    "layers": of_layer_probe,
    "judge": of_judge,
    "judged": of_judged,
    "t-star": of_t_star,
    "purification": of_purification,
    "simsiam": of_simsiam,
    "goals": of_goals,
    "pace": of_pace,
}


def rewritten(text: str, manifest: Manifest) -> str:
    """``text`` with every table made anew.

    Raises ``AtelierError`` ``table-unknown`` for a name that is not in ``TABLES``.
    """

    def remake(found: re.Match) -> str:
        begin, name, end = found.groups()
        if name not in TABLES:
            raise AtelierError("table-unknown", "There is no table {name}.", name=name)
        return f"{begin}\n{TABLES[name](manifest)}\n\n{end}"

    return BLOCK.sub(remake, text)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "files", type=Path, nargs="*", help="default: docs/models.md and docs/training.md"
    )


def main(arguments: argparse.Namespace) -> None:
    manifest = read_manifest(CHECKPOINTS / "manifest.json")
    for file in arguments.files or PAGES:
        before = file.read_text(encoding="utf-8")
        after = rewritten(before, manifest)
        if after != before:
            with replacing(file) as temporary:
                temporary.write_text(after, encoding="utf-8")
        print(f"{file}: {'written' if after != before else 'nothing new'}")
