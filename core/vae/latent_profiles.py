"""What a class looks like in the latent space: per-class mean and spread of E[z|x].

| name      | shape  | meaning                                                               |
|-----------|--------|-----------------------------------------------------------------------|
| ``mean``  | (C, d) | mean over the pictures of a class of the encoder's mean                |
| ``std``   | (C, d) | standard deviation over the same pictures                              |
| ``count`` | (C,)   | how many pictures went in                                              |
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class ClassProfiles:
    """Profiles of C classes over d units; a class without pictures is NaN and counts nowhere."""

    mean: np.ndarray
    std: np.ndarray
    count: np.ndarray

    @property
    def overall(self) -> np.ndarray:
        """Mean of the class means, every class counting alike: (d,)."""
        return np.nanmean(self.mean, axis=0)

    @property
    def within_variance(self) -> np.ndarray:
        """Mean over classes of the variance inside a class: (d,)."""
        return np.nanmean(np.square(self.std), axis=0)

    @property
    def between_variance(self) -> np.ndarray:
        """Variance of the class means over classes: (d,). Large: the unit tells classes apart."""
        return np.nanvar(self.mean, axis=0)

    @property
    def deviation(self) -> np.ndarray:
        """How far a class lies from the mean of all classes, in standard deviations: (C, d).

        (mean of the class - overall mean) / sqrt(within-class variance). 0: the class is like the
        average class; units that never vary have 0. For two classes of equal spread it is half of
        Cohen's d between them.
        """
        spread = np.sqrt(self.within_variance)
        away = self.distance
        return np.divide(away, spread, out=np.zeros_like(away), where=spread > 1e-8)

    def error(self, crops: int = 1) -> np.ndarray:
        """Standard error of the class means: (C, d), std / sqrt(number of independent pictures).

        ``crops`` pictures show the same digit. They are alike, so that they count as one: the error is at
        most this large, and would be so if all crops of a digit had the same latent. Of fewer than three
        digits it is infinite: their spread says nothing.
        """
        if crops < 1:
            raise ValueError(f"crops must be at least 1, got {crops}")
        independent = (self.count / crops)[:, None]  # (C, 1)
        # std divides by n, so that of the population is std sqrt(n / (n - 1)).
        error = self.std / np.sqrt(np.maximum(independent - 1, 1))
        return np.where(independent >= 3, error, np.inf)

    @property
    def distance(self) -> np.ndarray:
        """How far a class mean lies from the mean of all classes, in units of z: (C, d)."""
        return self.mean - self.overall

    def peaks(self, threshold: float, crops: int = 1) -> np.ndarray:
        """Where a class stands out: boolean (C, d).

        Its absolute deviation reaches ``threshold``, and its mean lies at least two standard errors
        (``crops`` as ``error`` takes it) from the mean of all classes: few pictures make no peak.
        """
        if not threshold > 0:
            raise ValueError(f"threshold must be above 0, got {threshold}")
        sure = np.abs(self.distance) >= 2 * self.error(crops)
        return (np.abs(self.deviation) >= threshold) & sure

    @property
    def eta_squared(self) -> np.ndarray:
        """Share of a unit's variance that lies between classes: (d,), 0 to 1 (eta squared)."""
        total = self.between_variance + self.within_variance
        zero = np.zeros_like(total)
        return np.divide(self.between_variance, total, out=zero, where=total > 1e-12)


def profile(latents: np.ndarray, labels: np.ndarray, classes: int) -> ClassProfiles:
    """Profiles of latents (N, d) with labels (N,); a class without pictures is NaN."""
    if len(latents) != len(labels):
        raise ValueError(f"labels must be as many as latents ({len(latents)}), got {len(labels)}")
    mean = np.full((classes, latents.shape[1]), np.nan)
    std = np.full_like(mean, np.nan)
    for c in range(classes):
        rows = latents[labels == c]
        if len(rows):
            mean[c], std[c] = rows.mean(axis=0), rows.std(axis=0)
    return ClassProfiles(mean, std, np.bincount(labels, minlength=classes))
