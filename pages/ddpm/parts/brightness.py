"""How bright pictures are, one by one: what a model that begins with too little noise gets wrong."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from core.bundles.bundle import Bundle
from core.ddpm.restoration import COVERAGE
from core.pictures.images import Pictures
from pages.shared import library

FULL = 255.0


@dataclass(frozen=True)
class Light:
    """Colour and brightness of a set of pictures, in grey levels of 255.

    ``colour`` (3,): mean red, green, blue. ``brightness``: the mean of all values, over the set;
    ``spread``: the standard deviation of a picture's brightness from picture to picture. ``each`` (N,):
    brightness of each picture, empty where only the whole is known.
    """

    colour: np.ndarray
    spread: float
    each: np.ndarray

    @property
    def brightness(self) -> float:
        return float(self.colour.mean())

    @property
    def spread_interval(self) -> tuple[float, float]:
        """Of the spread, for N pictures whose brightness is Gaussian: s^2 (N - 1) / sigma^2 is chi^2."""
        free = len(self.each) - 1
        tail = (1 - COVERAGE) / 2
        low, high = (
            float(self.spread * np.sqrt(free / chi_squared(p, free))) for p in (1 - tail, tail)
        )
        return low, high


def chi_squared(p: float, free: int) -> float:
    """The p-quantile of chi^2 with ``free`` degrees of freedom (Wilson & Hilferty 1931)."""
    z, part = NormalDist().inv_cdf(p), 2 / (9 * free)
    return free * (1 - part + z * part**0.5) ** 3


def of_pictures(pictures: Pictures) -> Light:
    """Of pictures (N, H, W, 3), two at least."""
    if len(pictures) < 2:
        raise ValueError(f"pictures must be two or more, got {len(pictures)}")
    colours = pictures.astype(np.float64).mean(axis=(1, 2))  # (N, 3)
    each = colours.mean(axis=1)
    return Light(colours.mean(axis=0), float(each.std(ddof=1)), each)


def of_linear_model(mean: np.ndarray, loadings: np.ndarray) -> Light:
    """Of the pictures that a linear-Gaussian model with unit noise was fitted to.

    ``mean`` (3 H W,) and ``loadings`` (3 H W, k) W in [-1, 1], channels first: the mean of all values has
    variance (|W^T 1|^2 + n) / n^2 with n = 3 H W.
    """
    n = len(mean)
    colour = (mean.astype(np.float64).reshape(3, -1).mean(axis=1) + 1) * FULL / 2
    summed = loadings.astype(np.float64).sum(axis=0)
    return Light(colour, float(np.sqrt(summed @ summed + n) / n * FULL / 2), np.empty(0))


def of_training_digits(of: Bundle) -> Light | None:
    """Of the pictures that a model was trained on, from the linear model that a VAE of the same data set
    stores next to its own figures; None where there is no such VAE.
    """
    wanted = of.config["data"]["fingerprint"]
    for entry in library.available("vae", own=True):
        vae = library.bundle(entry.name)
        known = {"ppca_mean", "ppca_loadings"} <= vae.profiles.keys()
        if known and vae.config["data"]["fingerprint"] == wanted:
            return of_linear_model(vae.profiles["ppca_mean"], vae.profiles["ppca_loadings"])
    return None
