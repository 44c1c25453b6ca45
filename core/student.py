"""Student's t: how far a difference may lie from 0 where its spread is known from a few draws alone."""

from __future__ import annotations

from math import atan, cos, pi, sin, sqrt, tan

HALVINGS = 60


def within(t: float, degrees: int) -> float:
    """The share of draws of Student's t that lie between -t and t, 0 to 1; ``degrees`` of freedom, 1 or more.

    The finite series of Abramowitz & Stegun 26.7.3 and 26.7.4, exact for whole degrees.
    """
    if degrees < 1:
        raise ValueError(f"degrees must be 1 or more, got {degrees}")
    angle = atan(t / sqrt(degrees))
    odd = degrees % 2
    term, total = (cos(angle), 0.0) if odd else (1.0, 0.0)
    for power in range(odd, degrees - 1, 2):  # of the cosine in each term
        total += term
        term *= (power + 1) / (power + 2) * cos(angle) ** 2
    return 2 / pi * (angle + sin(angle) * total) if odd else sin(angle) * total


def reach(share: float, degrees: int) -> float:
    """The t that this share of draws, 0 to 1, does not go beyond in either direction."""
    if not 0 <= share < 1:
        raise ValueError(f"share must be in [0, 1), got {share}")
    low, high = 0.0, pi / 2
    for _halving in range(HALVINGS):
        middle = (low + high) / 2
        if within(sqrt(degrees) * tan(middle), degrees) < share:
            low = middle
        else:
            high = middle
    return sqrt(degrees) * tan(low)
