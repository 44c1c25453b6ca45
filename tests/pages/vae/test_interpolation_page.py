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
    assert "to 3 (all in one step)" in words


@pytest.mark.parametrize(("middle", "sags"), [(0.5, True), (0.79, True), (0.81, False), (1, False)])
def test_the_spherical_way_matters_where_the_straight_one_sags(middle, sags):
    words = interpolation.which_to_take(walk([1, 1], [2, 2 * middle, 2]))
    assert ("take the spherical way" in words) == sags
    assert f"{round(100 * middle)}%" in words
