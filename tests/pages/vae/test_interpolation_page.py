"""Interpolation: the verdict on a way follows its figures."""

import numpy as np
import pytest

from core.vae.explorer import Walk
from pages.vae import interpolation


def walk(change, norm):
    n = len(norm)
    return Walk(
        "linear",
        np.zeros((n, 32, 32, 3), np.uint8),
        np.zeros((n, 4)),
        np.array(norm, dtype=float),
        np.array(change, dtype=float),
    )


@pytest.mark.parametrize(
    ("change", "word", "ratio"),
    [([1, 1, 1], "smooth", "1.00"), ([1, 2, 1], "smooth", "1.50"), ([0, 3, 0], "a jump", "3.00")],
)
def test_a_way_is_called_what_its_largest_step_says(change, word, ratio):
    words = interpolation.verdict(walk(change, [1, 1, 1, 1]))
    expected = "uneven" if ratio == "1.50" else word  # from the limit on
    assert expected in words
    assert f"{ratio} times" in words
    assert "3: everything in one step" in words


@pytest.mark.parametrize(
    ("straight", "around", "said"),
    [
        (1.7, 2.0, "the straight way will do"),
        (1.5, 2.0, "take the spherical way"),
        (1.2, 1.5, "Neither way goes"),
    ],
)
def test_the_way_to_take_is_the_one_that_stays_with_the_prior(straight, around, said):
    """Of four units: draws from the prior have length 2, and 1.6 is the limit."""
    ways = (walk([1, 1], [2, middle, 2]) for middle in (straight, around))
    words = interpolation.which_to_take(*ways)
    assert said in words
    assert f"length {straight} on the straight way and {around}" in words
