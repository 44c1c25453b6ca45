"""What the judge says of a generative model: its samples, its t*, how it purifies attacks.

The judge is the one of ``checkpoints/``. It knows digits alone, so models of other pictures are not
judged.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import get_args

import numpy as np
import torch
from torch import Tensor

from core.bundles.manifest import CHECKPOINTS
from core.ddpm.model import DDPM
from core.ddpm.restoration import Criterion, Rule, crossings, noised, quartiles, sweep
from core.ddpm.samplers import time_grid
from core.ddpm.schedule import EpsModel, NoiseSchedule
from core.families import read_manifest
from core.judge.explorer import Attack, JudgeExplorer
from core.judge.nearest import nearest
from core.pictures.data import PictureSet
from core.pictures.images import Pictures, to_pictures, to_tensor
from core.vae.model import VAE
from train.ddpm import bundle as ddpm_bundle
from train.run.bundling import shown_rows

JUDGED_DATA = "svhn"
SAMPLES = 2000
TOLD_APART = 500
"""Of this number of test pictures the nearest training picture is sought, to compare samples with."""

T_STAR_STEPS = 20
T_STAR_PLACES = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 20)
"""Levels in steps of the grid: with T = 1000 and 20 steps 50 to 1000."""
T_STAR_DRAWS = 4
T_STAR_PICTURES: int | None = None
"""Of how many test pictures t* is sought where nothing else is said; None: of all."""

PURIFIED_STEPS = 50
PURIFIED_PLACES = (1, 2, 3, 4, 5, 7, 9, 12, 16, 20)
"""The same for purification: with T = 1000 and 50 steps 20 to 400."""
PURIFIED_PICTURES = 256
ATTACKED_LEVELS = 8
PGD_STEPS = 10
BATCH = 384


def judge_for(about: dict) -> JudgeExplorer | None:
    """The embedded judge, where ``about``, a bundle's ``data``, are pictures that it knows."""
    if about["name"] != JUDGED_DATA:
        return None
    manifest = read_manifest(CHECKPOINTS / "manifest.json")
    entries = manifest.of_family("judge")
    return JudgeExplorer(manifest.open(entries[0].name)) if entries else None


# ---------------------------------------------------------------- samples


def sample_figures(
    judge: JudgeExplorer, drawn: Pictures, train_set: PictureSet, test_set: PictureSet
) -> tuple[dict, dict[str, np.ndarray]]:
    """Figures of samples, with those of the test pictures and of real to real next to them."""
    found, real = judge.quality(drawn), judge.quality(test_set.pictures)
    some = test_set.pictures[shown_rows(len(test_set), TOLD_APART)]
    figures = {
        "judge": judge.bundle.digest,
        "samples": found.count,
        "sharpness": found.sharpness,
        "sharpness_of_test": real.sharpness,
        "sure": found.sure,
        "sure_of_test": real.sure,
        "diversity": found.diversity,
        "frechet": found.frechet,
        "frechet_real_against_real": judge.bundle.metrics["features"]["frechet_halves_of_test"],
        "nearest_training": float(np.median(nearest(drawn, train_set.pictures).distance)),
        "nearest_training_of_test": float(np.median(nearest(some, train_set.pictures).distance)),
    }
    arrays = {
        "judged_digits": found.digits.astype(np.int64),
        "judged_digits_of_test": real.digits.astype(np.int64),
    }
    return figures, arrays


# ---------------------------------------------------------------- there and back


def levels_at(grid: Tensor, places: Sequence[int]) -> Tensor:
    """Levels (L,), rising, ``places`` steps of a grid above the clean picture; as far as it reaches."""
    rising = grid[:-1].flip(0)
    return rising[[place - 1 for place in places if place <= len(rising)]]


@torch.no_grad()
def restorations(
    eps_model: EpsModel,
    schedule: NoiseSchedule,
    pictures: Pictures,
    levels: Tensor,
    grid: Tensor,
    draws: int,
    device: torch.device,
) -> Iterator[tuple[np.ndarray, Pictures]]:
    """Rows of ``pictures`` and what came back of them by DDIM, uint8 (P, L, D, 32, 32, 3).

    Draw d of picture i has its noise from seed i * ``draws`` + d, at every level the same.
    """
    at_once = max(1, BATCH // (len(levels) * draws))
    for first in range(0, len(pictures), at_once):
        rows = np.arange(first, min(first + at_once, len(pictures)))
        sources = [
            [torch.Generator().manual_seed(int(row) * draws + d) for d in range(draws)]
            for row in rows
        ]
        x_t = noised(schedule, to_tensor(pictures[rows]).to(device), levels, sources)
        result = ddpm_bundle.last(sweep(eps_model, schedule, x_t, levels, grid)).x_t
        yield rows, to_pictures(result).reshape(*x_t.shape[:3], *pictures.shape[1:])


def contrast(pictures: Pictures) -> np.ndarray:
    """Standard deviation over the places of pictures uint8 (N, H, W, 3), in grey levels: (N,)."""
    return pictures.mean(axis=3).std(axis=(1, 2)).astype(np.float32)


def summary_of(t_star: np.ndarray, rule: Rule, T: int) -> dict:
    """What ``metrics.json`` says of t* (N,); a quartile of -1 is below, of T above all levels."""
    return {
        "threshold": rule.threshold,
        "quartiles": quartiles(t_star).clip(-1, T).tolist(),
        "below": float(np.isneginf(t_star).mean()),
        "above": float(np.isposinf(t_star).mean()),
    }


def t_star_figures(
    eps_model: EpsModel,
    schedule: NoiseSchedule,
    judge: JudgeExplorer,
    test_set: PictureSet,
    device: torch.device,
    count: int | None = None,
) -> tuple[dict, dict[str, np.ndarray]]:
    """t* of ``count`` test pictures spread over the set by every criterion.

    Arrays ``t_star_…`` (N,) count as code does, from 0; -1 is below the lowest level tried, T above
    the highest. ``t_star_curves_…`` (N, L): the mean over draws of every picture, from which t* by
    any other threshold follows. ``t_star_contrast`` (N,): of every picture, in grey levels.
    """
    grid = time_grid(schedule.T, min(T_STAR_STEPS, schedule.T))
    levels = levels_at(grid, T_STAR_PLACES)
    chosen = shown_rows(len(test_set), count or T_STAR_PICTURES or len(test_set))
    pictures, rules = test_set.pictures[chosen], judge.rules()
    curves: dict[Criterion, list[np.ndarray]] = {name: [] for name in rules}
    for rows, back in restorations(
        eps_model, schedule, pictures, levels, grid, T_STAR_DRAWS, device
    ):
        for name, scores in judge.compare(pictures[rows], back).scores.items():
            curves[name].append(scores.mean(axis=2))
    figures: dict[str, object] = {
        "judge": judge.bundle.digest,
        "pictures": len(pictures),
        "draws": T_STAR_DRAWS,
        "steps": len(grid) - 1,
    }
    arrays = {
        "t_star_levels": levels.cpu().numpy(),
        "t_star_labels": test_set.labels[chosen].astype(np.int64),
        "t_star_contrast": contrast(pictures),
    }
    for name, rule in rules.items():
        kept = np.concatenate(curves[name]).astype(np.float16)  # (N, L), as the bundle keeps them
        arrays[f"t_star_curves_{name}"] = kept
        found = crossings(arrays["t_star_levels"], kept, rule)
        arrays[f"t_star_{name}"] = found.clip(-1, schedule.T).astype(np.float32)
        figures[name] = summary_of(found, rule, schedule.T)
    return figures, arrays


def purification_figures(
    eps_model: EpsModel,
    schedule: NoiseSchedule,
    judge: JudgeExplorer,
    test_set: PictureSet,
    device: torch.device,
) -> tuple[dict, dict[str, np.ndarray]]:
    """Accuracy of the judge on clean and attacked pictures, and after purification at each level.

    ``purified_…`` (1 + L,): first without purification, then at ``purified_levels``.
    """
    grid = time_grid(schedule.T, min(PURIFIED_STEPS, schedule.T))
    levels = levels_at(grid, PURIFIED_PLACES)
    chosen = shown_rows(len(test_set), PURIFIED_PICTURES)
    clean, labels = test_set.pictures[chosen], test_set.labels[chosen]
    sets = {"clean": clean} | {
        kind: judge.attack(clean, labels, kind, levels=ATTACKED_LEVELS, steps=PGD_STEPS)
        for kind in get_args(Attack)
    }
    arrays = {"purified_levels": levels.cpu().numpy()}
    for kind, pictures in sets.items():
        right = np.zeros(1 + len(levels))
        right[0] = (judge.judge(pictures).digit == labels).sum()
        for rows, back in restorations(eps_model, schedule, pictures, levels, grid, 1, device):
            right[1:] += (judge.judge(back[:, :, 0]).digit == labels[rows, None]).sum(axis=0)
        arrays[f"purified_{kind}"] = (right / len(chosen)).astype(np.float32)
    figures = {
        "judge": judge.bundle.digest,
        "pictures": len(chosen),
        "steps": len(grid) - 1,
        "grey_levels": ATTACKED_LEVELS,
        "pgd_steps": PGD_STEPS,
        **{f"accuracy_{kind}": float(arrays[f"purified_{kind}"][0]) for kind in sets},
        **{f"best_purified_{kind}": float(arrays[f"purified_{kind}"][1:].max()) for kind in sets},
    }
    return figures, arrays


# ---------------------------------------------------------------- whole models

Judged = tuple[dict, dict[str, np.ndarray]]
"""Figures for ``metrics.json`` below ``judged``, and arrays for the profiles."""


def of_vae(
    model: VAE,
    judge: JudgeExplorer,
    train_set: PictureSet,
    test_set: PictureSet,
    device: torch.device,
    t_star_pictures: int | None = None,
) -> Judged:
    """Samples of a VAE, which has no t*: the mode of p(x|z) for z from the prior, seed 0."""
    z = torch.randn(SAMPLES, model.config.latent_dim, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        parts = [to_pictures(model.decode(part).mode()) for part in z.to(device).split(BATCH)]
    figures, arrays = sample_figures(judge, np.concatenate(parts), train_set, test_set)
    return {"samples": figures, "protocol": sample_protocol("z from the prior, seed 0")}, arrays


def of_ddpm(
    model: DDPM,
    judge: JudgeExplorer,
    train_set: PictureSet,
    test_set: PictureSet,
    device: torch.device,
    t_star_pictures: int | None = None,
) -> Judged:
    """Samples of a diffusion model by DDIM, its t*, and how it purifies attacks on the judge.

    ``t_star_pictures``: of how many test pictures t* is sought; with 0 neither that nor purification
    is measured.
    """
    eps_model, schedule = model.eps, model.schedule
    steps = min(ddpm_bundle.SAMPLE_STEPS, schedule.T)
    drawn = ddpm_bundle.draw(eps_model, schedule, SAMPLES, steps, device)
    samples, of_samples = sample_figures(judge, drawn, train_set, test_set)
    said = f"DDIM with {steps} steps, eta 0, without clipping, seeds 0 to {SAMPLES - 1}"
    if t_star_pictures == 0:
        return {"samples": samples, "protocol": sample_protocol(said)}, of_samples
    t_star, of_t_star = t_star_figures(
        eps_model, schedule, judge, test_set, device, t_star_pictures
    )
    purified, of_purified = purification_figures(eps_model, schedule, judge, test_set, device)
    way = way_protocol(schedule.T, t_star, of_t_star["t_star_levels"], purified)
    figures = {
        "samples": samples,
        "t_star": t_star,
        "purification": purified,
        "protocol": f"{sample_protocol(said)} {way}",
    }
    return figures, of_samples | of_t_star | of_purified


def sample_protocol(how: str) -> str:
    """How the figures of samples came about."""
    return (
        f"{SAMPLES:,} samples: {how}. The judge is the classifier of digits whose digest is named; "
        "sure is a probability of 0.9 or more. Frechet distance in the judge's features to all "
        "test digits; real against real: one half of the test digits to the other. "
        "Diversity: mean distance of two samples in the judge's features over that of two test "
        "digits. Nearest training picture: median over samples of the root mean square "
        f"difference, grey levels of 255, and of {TOLD_APART} test pictures."
    )


def way_protocol(T: int, t_star: dict, levels: np.ndarray, purified: dict) -> str:
    """The same for the way there and back; ``levels`` (L,) of t*, counted from 0."""
    return (
        f"t*: test pictures noised to {len(levels)} levels up to {levels[-1] + 1} of {T}, "
        f"{t_star['draws']} draws each, back by DDIM with {t_star['steps']} steps. Purification: "
        f"{purified['pictures']} test digits, attacks of {purified['grey_levels']}/255 on the "
        f"judge alone (PGD {purified['pgd_steps']} steps), back by DDIM with {purified['steps']} "
        "steps; the attacker does not know of the purification."
    )


def card_section(figures: dict) -> str:
    """The part of a model card that says what the judge said."""
    samples = figures["samples"]
    rows = [
        ("sure of a digit", "sure", "sure_of_test", ".1%"),
        ("sharpness, grey levels", "sharpness", "sharpness_of_test", ".2f"),
        ("diversity", "diversity", None, ".3f"),
        ("Frechet distance in the judge's features", "frechet", "frechet_real_against_real", ".2f"),
        ("nearest training picture", "nearest_training", "nearest_training_of_test", ".1f"),
    ]
    table = "\n".join(
        f"| {words} | {samples[key]:{form}} | {samples[real] if real else 1:{form}} |"
        for words, key, real, form in rows
    )
    section = f"""
## What the judge of digits says

| judge {samples["judge"]} | {samples["samples"]:,} samples | test digits |
|---|---|---|
{table}
"""
    if "t_star" in figures:
        t_star, purified = figures["t_star"], figures["purification"]
        low, median, high = (round(t + 1) for t in t_star["digit"]["quartiles"])
        section += f"""
Half of {t_star["pictures"]:,} test digits, noised and restored, keep their digit up to a t* between
{low} and {high}, median {median}. Attacked by PGD the judge is right about
{purified["accuracy_pgd"]:.1%} of {purified["pictures"]} digits, after the best purification about
{purified["best_purified_pgd"]:.1%}; without attack about {purified["accuracy_clean"]:.1%}.
"""
    return f"{section}\n{figures['protocol']}\n"
