"""From which level of noise on a picture cannot be restored: t*.

A picture is noised to a level t' and denoised again, several times with other noise. At low t' the
same picture comes back, at high t' another one. Where that changes is t*, by a stated criterion.

Notation, the same in code, pages and figures:

| name         | symbol | shape     | meaning                                                    |
|--------------|--------|-----------|------------------------------------------------------------|
| ``levels``   | t'     | (L,)      | how far the picture is noised, rising                      |
| ``scores``   | s      | (L, D)    | how well draw d was restored from level l                  |
| ``curve``    |        | (L,)      | mean of the scores over the draws                          |
| ``t_star``   | t*     | ()        | where the curve first crosses the threshold, interpolated  |

Sources: Ho et al. 2020 (arXiv:2006.11239) for both ways; Meng et al. 2022 (arXiv:2108.01073),
"SDEdit", for noising part of the way; Wilson 1927 for the interval of a share; Efron 1979 for the
bootstrap.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from core.ddpm.samplers import Sampler, Step, sample, times_from
from core.ddpm.schedule import EpsModel, NoiseSchedule, draw_noise

COVERAGE = 0.9
"""What every interval is made for. A bootstrap of few draws holds the true value less often."""

FEWEST_DRAWS = 4
"""Of fewer draws no interval is made: resampling two or three of them says next to nothing."""

RESAMPLES = 1000

Criterion = Literal["digit", "psnr", "ssim", "features"]


@dataclass(frozen=True)
class Rule:
    """When a picture counts as restored: the curve on the right side of ``threshold``.

    ``higher``: restored is at or above it (digit, PSNR, SSIM); else at or below (distance).
    ``share``: the scores are 0 or 1, and the curve is a share.
    """

    threshold: float
    higher: bool = True
    share: bool = False


# ---------------------------------------------------------------- there and back


def noised(
    schedule: NoiseSchedule,
    x0: Tensor,
    levels: Tensor,
    generators: Sequence[Sequence[torch.Generator]],
) -> Tensor:
    """Pictures (P, C, H, W) at every level with every draw of noise: (P, L, D, C, H, W).

    ``generators`` are P rows of D; a draw is the same noise at every level, so that along the
    levels one thing varies. q_sample, DDPM equation 4.
    """
    P, L, D = len(x0), len(levels), len(generators[0])
    noise = torch.stack(
        [
            draw_noise(one.expand(D, *one.shape), row)
            for one, row in zip(x0, generators, strict=True)
        ]
    )
    many = x0[:, None, None].expand(P, L, D, *x0.shape[1:]).flatten(0, 2)
    t = levels[None, :, None].expand(P, L, D).flatten()
    x_t = schedule.q_sample(many, t, noise[:, None].expand(P, L, D, *x0.shape[1:]).flatten(0, 2))
    return x_t.unflatten(0, (P, L, D))


def sweep(
    eps_model: EpsModel,
    schedule: NoiseSchedule,
    x_t: Tensor,
    levels: Tensor,
    grid: Tensor,
    *,
    sampler: Sampler = "ddim",
    eta: float = 0.0,
    clip_x0: bool = False,
    generators: Sequence[torch.Generator] | None = None,
) -> Iterator[Step]:
    """All of x_t (P, L, D, C, H, W) back to clean pictures in one reverse pass along ``grid``.

    ``levels`` (L,) must be levels of the grid. A picture joins when the grid has come down to its
    level, so every call of the network is one batch, and nothing but the present state is kept.
    Yields the steps of ``core.ddpm.samplers`` for the flat batch (P * L * D, C, H, W); ``generators``
    are as many.
    """
    P, L, D = x_t.shape[:3]
    start = levels[None, :, None].expand(P, L, D).flatten()
    yield from sample(
        eps_model,
        schedule,
        x_t.flatten(0, 2),
        times_from(grid, start),
        sampler=sampler,
        eta=eta,
        clip_x0=clip_x0,
        generator=generators,
    )


# ---------------------------------------------------------------- t*


def crossing(levels: np.ndarray, curve: np.ndarray, rule: Rule) -> float:
    """Where a curve (L,) over rising levels first leaves the restored side, linearly interpolated.

    -inf where it is not restored at the lowest level already, inf where it is at all of them.
    """
    return float(crossings(np.asarray(levels), np.asarray(curve)[None], rule)[0])


def crossings(levels: np.ndarray, curves: np.ndarray, rule: Rule) -> np.ndarray:
    """``crossing`` of each row of curves (N, L) over rising levels (L,): (N,), with its -inf and inf."""
    levels, curves = levels.astype(np.float64), curves.astype(np.float64)
    above = curves - rule.threshold if rule.higher else rule.threshold - curves
    if np.isnan(above).any():
        raise ValueError("curve must hold numbers, got NaN")
    lost = above < 0
    first = lost.argmax(axis=1)
    rows = np.arange(len(curves))
    before = np.maximum(first - 1, 0)
    up, down = above[rows, before], above[rows, first]
    with np.errstate(all="ignore"):  # in rows that are given another answer below
        # From an infinite PSNR the curve falls to the threshold only at the next level.
        share = np.where(np.isinf(up), 1.0, up / (up - down))
        found = levels[before] + share * (levels[first] - levels[before])
    found = np.where(first == 0, -np.inf, found)
    return np.where(lost.any(axis=1), found, np.inf)


def quartiles(t_star: np.ndarray) -> np.ndarray:
    """Lower quartile, median and upper quartile of t* (N,), infinite ones among them: (3,).

    Each is the value of a picture, never the mean of two: one of them may be infinite.
    """
    return np.percentile(t_star, (25, 50, 75), method="lower")


@dataclass(frozen=True)
class TStar:
    """t* with its bootstrap interval, and the curve it was read from.

    ``t``, ``low``, ``high`` are -inf below the lowest level tried, inf above the highest; ``low``
    and ``high`` are NaN for fewer than ``FEWEST_DRAWS`` draws. ``curve``, ``curve_low``,
    ``curve_high`` (L,): mean over draws and its interval.
    """

    t: float
    low: float
    high: float
    curve: np.ndarray
    curve_low: np.ndarray
    curve_high: np.ndarray


def find_t_star(levels: np.ndarray, scores: np.ndarray, rule: Rule, *, seed: int = 0) -> TStar:
    """t* of scores (L, D) at rising levels (L,).

    Intervals come from drawing the D draws anew, with replacement, ``RESAMPLES`` times: whole
    columns, since a draw is the same noise at every level. What a resampled curve is off by is
    stretched by sqrt(D / (D - 1)): the variance of resampled means is too small by that (Efron &
    Tibshirani 1993, section 5.3). The interval of a share is Wilson's, which is honest for few
    draws. Levels at which the threshold is crossed more than once: the first crossing counts.
    """
    levels, scores = np.asarray(levels), np.asarray(scores, dtype=np.float64)
    if scores.ndim != 2 or scores.shape[0] != len(levels) or scores.shape[1] < 1:
        raise ValueError(f"scores must be ({len(levels)}, D), got {scores.shape}")
    if len(levels) < 2 or (np.diff(levels) <= 0).any():
        raise ValueError(f"levels must rise, at least 2 of them, got {levels.tolist()}")
    curve = scores.mean(axis=1)
    draws = scores.shape[1]
    chosen = np.random.default_rng(seed).integers(draws, size=(RESAMPLES, draws))
    curves = scores[:, chosen].mean(axis=2).T  # (RESAMPLES, L)
    with np.errstate(invalid="ignore"):  # an infinite PSNR has no deviation
        stretched = curve + math.sqrt(draws / max(1, draws - 1)) * (curves - curve)
    curves = np.where(np.isfinite(curve), stretched, curves)
    tail = 100 * (1 - COVERAGE) / 2
    # "lower" and "higher" never average two values: one of them may be infinite.
    low, high = (
        np.percentile(crossings(levels, curves, rule), at, method=method)
        for at, method in ((tail, "lower"), (100 - tail, "higher"))
    )
    if draws < FEWEST_DRAWS:
        low, high = np.nan, np.nan
    if rule.share:
        curve_low, curve_high = wilson(curve, draws)
    else:
        curve_low = np.percentile(curves, tail, axis=0, method="lower")
        curve_high = np.percentile(curves, 100 - tail, axis=0, method="higher")
    return TStar(
        crossing(levels, curve, rule), float(low), float(high), curve, curve_low, curve_high
    )


def wilson(
    share: np.ndarray, count: int, coverage: float = COVERAGE
) -> tuple[np.ndarray, np.ndarray]:
    """The interval of a share seen in ``count`` trials: Wilson 1927."""
    z = NormalDist().inv_cdf(0.5 + coverage / 2)
    centre = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * np.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    return np.maximum(centre - half, 0.0), np.minimum(centre + half, 1.0)


# ---------------------------------------------------------------- how different the draws become


def spread(vectors: np.ndarray) -> np.ndarray:
    """Mean distance between two draws, (...): of vectors (..., D, d); 0 where all are alike."""
    draws = vectors.shape[-2]
    if draws < 2:
        return np.zeros(vectors.shape[:-2])
    apart = np.linalg.norm(vectors[..., :, None, :] - vectors[..., None, :, :], axis=-1)
    return apart.sum(axis=(-2, -1)) / (draws * (draws - 1))
