"""Colours and segments from feature vectors: principal components and k-means.

Rows are places or pictures, columns are channels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


def standardise(features: np.ndarray) -> np.ndarray:
    """Each column of (N, C) to mean 0 and variance 1, float64; a constant column to 0."""
    x = features.astype(np.float64)
    varies = x.max(axis=0) > x.min(axis=0)
    centred = np.where(varies, x - x.mean(axis=0), 0)
    std = centred.std(axis=0)
    return centred / np.where(std > 0, std, 1)


def principal_components(features: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores (N, count) on the leading principal directions of (N, C), and their share of variance.

    A direction's sign is such that its largest weight is positive, so that pictures do not flip.
    Directions beyond the rank, to rounding, have scores of 0.
    """
    if features.ndim != 2 or len(features) < 2:
        raise ValueError(f"features must be (N, C) with N at least 2, got {features.shape}")
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count}")
    x = features.astype(np.float64)
    left, values, directions = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
    values[values <= np.finfo(float).eps * max(x.shape) * np.linalg.norm(x)] = 0
    found = min(count, len(values))
    largest = np.abs(directions[:found]).argmax(axis=1)
    signs = np.sign(directions[np.arange(found), largest])
    scores = np.zeros((len(x), count))
    scores[:, :found] = left[:, :found] * values[:found] * np.where(signs == 0, 1, signs)
    total = np.square(values).sum()
    share = np.zeros(count)
    share[:found] = np.square(values[:found]) / (total if total > 0 else 1)
    return scores, share


@dataclass(frozen=True)
class Clusters:
    """``labels`` (N,), in order of size; ``centres`` (k, C); ``inertia``: squared distances summed."""

    labels: np.ndarray
    centres: np.ndarray
    inertia: float


def k_means(
    features: np.ndarray, k: int, *, seed: int = 0, restarts: int = 4, most: int = 100
) -> Clusters:
    """The best of a few runs of Lloyd's algorithm from k-means++ seeds on (N, C).

    Lloyd 1982; Arthur & Vassilvitskii 2007. Where there are fewer than k different rows, some
    clusters stay empty and their centres repeat another's.
    """
    if features.ndim != 2 or not 1 <= k <= len(features):
        raise ValueError(f"k must be 1 to N for features (N, C), got {k} and {features.shape}")
    if restarts < 1:
        raise ValueError(f"restarts must be at least 1, got {restarts}")
    middle = features.mean(axis=0, dtype=np.float64)
    x = features - middle  # distances of data far from zero would cancel
    rng = np.random.default_rng(seed)
    best: Clusters | None = None
    for _restart in range(restarts):
        centres = _spread_centres(x, k, rng)
        for _round in range(most):
            labels = _distances(x, centres).argmin(axis=1)
            moved = centres.copy()
            for cluster in range(k):
                if (labels == cluster).any():
                    moved[cluster] = x[labels == cluster].mean(axis=0)
            settled = np.allclose(moved, centres, rtol=0, atol=1e-12)
            centres = moved
            if settled:
                break
        distances = _distances(x, centres)
        labels = distances.argmin(axis=1)
        inertia = float(distances.min(axis=1).sum())
        if best is None or inertia < best.inertia:
            best = Clusters(labels, centres, inertia)
    order = np.argsort(-np.bincount(best.labels, minlength=k), kind="stable")
    centres = best.centres[order] + middle
    return Clusters(np.argsort(order)[best.labels], centres, best.inertia)


def _spread_centres(x: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
    """k rows, each next one drawn in proportion to its squared distance from those before."""
    centres = [x[rng.integers(len(x))]]
    for _centre in range(k - 1):
        near = _distances(x, np.stack(centres)).min(axis=1)
        total = near.sum()
        row = rng.choice(len(x), p=near / total) if total > 0 else rng.integers(len(x))
        centres.append(x[row])
    return np.stack(centres)


def _distances(x: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Squared distances (N, k)."""
    cross = x @ centres.T
    squares = np.square(x).sum(axis=1)[:, None] - 2 * cross + np.square(centres).sum(axis=1)
    return squares.clip(min=0)
