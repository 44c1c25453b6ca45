"""Probabilistic PCA with unit noise: the best linear relative of the VAE, with an exact likelihood.

| name         | symbol    | shape  | meaning                                                        |
|--------------|-----------|--------|----------------------------------------------------------------|
| ``mean``     | mu        | (D,)   | mean picture, D = 3072                                         |
| ``loadings`` | W         | (D, q) | columns orthogonal, |W_i|^2 = lambda_i - 1                     |
| ``z``        | z         | (N, q) | latent, N(0, I)                                                |

The model is x = W z + mu + eps with z ~ N(0, I_q) and eps ~ N(0, I_D): the VAE's prior and
likelihood with a linear decoder, hence its true posterior is Gaussian and log p(x) has a closed
form. Source: Tipping & Bishop 1999, "Probabilistic principal component analysis", with sigma^2
held at 1: the maximum-likelihood W keeps the eigenvectors whose eigenvalue exceeds 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class ProbabilisticPCA:
    """A fitted model; arrays are float64 (float32 once stored in a bundle)."""

    mean: np.ndarray
    loadings: np.ndarray

    def __post_init__(self) -> None:
        if self.mean.ndim != 1 or self.loadings.ndim != 2 or len(self.loadings) != len(self.mean):
            raise ValueError(
                f"mean must be (D,) and loadings (D, q), got {self.mean.shape} and {self.loadings.shape}"
            )

    @property
    def components(self) -> int:
        """How many directions vary more than the noise: q."""
        return self.loadings.shape[1]

    def _posterior_precision(self) -> np.ndarray:
        return np.eye(self.components) + self.loadings.T @ self.loadings  # (q, q)

    def encode(self, x: np.ndarray) -> np.ndarray:
        """E[z|x] = (I + W'W)^-1 W'(x - mu) for x (N, D): (N, q)."""
        return np.linalg.solve(self._posterior_precision(), self.loadings.T @ (x - self.mean).T).T

    def decode(self, z: np.ndarray) -> np.ndarray:
        """E[x|z] = W z + mu for z (N, q): (N, D)."""
        return z @ self.loadings.T + self.mean

    def nll(self, x: np.ndarray) -> np.ndarray:
        """Exact -log p(x) in nats for x (N, D): (N,).

        x ~ N(mu, C) with C = W W' + I. By Woodbury's identity the quadratic form is
        |r|^2 - r'W (I + W'W)^-1 W'r, and log det C = log det (I + W'W).
        """
        residual = x.astype(np.float64) - self.mean  # (N, D)
        precision = self._posterior_precision()
        projected = residual @ self.loadings  # (N, q)
        explained = np.einsum("nq,nq->n", projected, np.linalg.solve(precision, projected.T).T)
        quadratic = np.einsum("nd,nd->n", residual, residual) - explained
        log_det = np.linalg.slogdet(precision)[1]
        return 0.5 * (quadratic + log_det + x.shape[1] * math.log(2 * math.pi))


def fit(x: np.ndarray, components: int | None = None) -> ProbabilisticPCA:
    """Maximum likelihood for x (N, D) with unit noise.

    ``components=None`` takes every eigenvalue of the covariance above 1, which is optimal; a
    smaller number takes the largest ones.
    """
    if x.ndim != 2 or len(x) < 2:
        raise ValueError(f"x must be (N, D) with N at least 2, got {x.shape}")
    mean = x.mean(axis=0, dtype=np.float64)
    centred = x - mean
    few = len(x) < x.shape[1]  # then (N, N) products have the same eigenvalues above 0
    products = centred @ centred.T if few else centred.T @ centred
    eigenvalues, eigenvectors = np.linalg.eigh(products / len(x))
    useful = int((eigenvalues > 1).sum())
    q = useful if components is None else components
    if not 0 <= q <= useful:
        raise ValueError(f"components must be 0 to {useful} (eigenvalues above 1), got {q}")
    order = np.argsort(eigenvalues)[::-1][:q]
    directions = eigenvectors[:, order]  # (D, q)
    if few:
        directions = centred.T @ directions / np.sqrt(len(x) * eigenvalues[order])
    # An eigenvector's sign is arbitrary: its largest entry is made positive, on every machine.
    largest = np.take_along_axis(directions, np.abs(directions).argmax(axis=0)[None], axis=0)
    loadings = directions * np.sign(largest) * np.sqrt(eigenvalues[order] - 1)
    return ProbabilisticPCA(mean=mean, loadings=loadings)
