"""Frechet distance between two sets of feature vectors, each summed up as a Gaussian.

|mu_a - mu_b|^2 + tr(S_a + S_b - 2 (S_a S_b)^1/2): Dowson & Landau 1982. With Inception features it is
the FID of Heusel et al. 2017 (arXiv:1706.08500); with any other features it is not, and is named
after them. 0 for equal means and covariances, in squared units of the features.
"""

from __future__ import annotations

import numpy as np


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Between two sets of features (N, d) and (M, d), N and M at least 2.

    Biased upwards for few samples: compare only at equal N, and beside the distance of two real
    sets.
    """
    for name, features in (("a", a), ("b", b)):
        if features.ndim != 2 or len(features) < 2:
            raise ValueError(f"{name} must be (N, d) with N at least 2, got {features.shape}")
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"a and b must have as many features, got {a.shape[1]} and {b.shape[1]}")
    mean_a, mean_b = (features.mean(axis=0, dtype=np.float64) for features in (a, b))
    cov_a, cov_b = (
        np.atleast_2d(np.cov(features.astype(np.float64), rowvar=False)) for features in (a, b)
    )
    root = _square_root(cov_a)
    # S_a S_b has the eigenvalues of root S_b root, which is symmetric.
    eigenvalues = np.linalg.eigvalsh(root @ cov_b @ root).clip(min=0)
    spread = np.trace(cov_a) + np.trace(cov_b) - 2 * np.sqrt(eigenvalues).sum()
    return float(np.square(mean_a - mean_b).sum() + max(0.0, spread))


def _square_root(covariance: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * np.sqrt(values.clip(min=0))) @ vectors.T
