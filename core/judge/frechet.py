"""Frechet distance between two sets of feature vectors, each summed up as a Gaussian.

|mu_a - mu_b|^2 + tr(S_a + S_b - 2 (S_a S_b)^1/2): Dowson & Landau 1982. With Inception features it is
the FID of Heusel et al. 2017 (arXiv:1706.08500); with any other features it is not, and is named
after them. 0 for equal means and covariances, in squared units of the features.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Gaussian:
    """What the distance knows of a set of features: float64 ``mean`` (d,), ``covariance`` (d, d)."""

    mean: np.ndarray
    covariance: np.ndarray

    @classmethod
    def of(cls, features: np.ndarray) -> Gaussian:
        """Mean and sample covariance of features (N, d), N at least 2."""
        _check("features", features)
        features = features.astype(np.float64)
        return cls(features.mean(axis=0), np.atleast_2d(np.cov(features, rowvar=False)))

    def distance(self, other: Gaussian) -> float:
        """Frechet distance to another Gaussian of as many dimensions."""
        if self.mean.shape != other.mean.shape:
            raise ValueError(
                f"other must have {len(self.mean)} features, as this, got {len(other.mean)}"
            )
        root = _square_root(self.covariance)
        # S_a S_b has the eigenvalues of root S_b root, which is symmetric.
        eigenvalues = np.linalg.eigvalsh(root @ other.covariance @ root).clip(min=0)
        traces = np.trace(self.covariance) + np.trace(other.covariance)
        spread = traces - 2 * np.sqrt(eigenvalues).sum()
        return float(np.square(self.mean - other.mean).sum() + max(0.0, spread))

    def distance_of_draws(self, count: int, repeats: int = 5) -> float:
        """Mean distance of ``count`` draws of this very Gaussian to it, ``count`` at least 2.

        What a small number of samples alone does to the distance.
        """
        draws, root = np.random.default_rng(0), _square_root(self.covariance)
        sets = draws.standard_normal((repeats, count, len(self.mean))) @ root + self.mean
        return float(np.mean([Gaussian.of(one).distance(self) for one in sets]))


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Between two sets of features (N, d) and (M, d), N and M at least 2.

    Biased upwards for few samples: compare only at equal N, and next to the distance of two real
    sets.
    """
    _check("a", a)
    _check("b", b)
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"a and b must have as many features, got {a.shape[1]} and {b.shape[1]}")
    return Gaussian.of(a).distance(Gaussian.of(b))


def _check(name: str, features: np.ndarray) -> None:
    if features.ndim != 2 or len(features) < 2:
        raise ValueError(f"{name} must be (N, d) with N at least 2, got {features.shape}")


def _square_root(covariance: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * np.sqrt(values.clip(min=0))) @ vectors.T
