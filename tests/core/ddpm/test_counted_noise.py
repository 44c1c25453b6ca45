"""Noise of a counter: known answers, the normal distribution, no draw like another."""

import numpy as np
import pytest
from scipy import stats

from core.ddpm.counted_noise import counted_noise, philox

ONES = 0xFFFFFFFF
# From the known-answer tests of Random123, by the authors of the paper.
KNOWN = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((ONES,) * 4, (ONES,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "words"), KNOWN)
def test_known_answers(counter, key, words):
    assert tuple(int(word) for word in philox(counter, key)) == words


def test_many_counters_are_as_one_by_one():
    many = philox((np.arange(5), 7, 0, 0), (3, 0))
    for block in range(5):
        np.testing.assert_array_equal(many[:, block], philox((block, 7, 0, 0), (3, 0)))


def test_the_numbers_are_normal():
    drawn = counted_noise(1, 0, (200_000,))
    assert stats.kstest(drawn, "norm").pvalue > 0.01
    assert np.abs(drawn).max() < 6.8  # the rarest that 32 bits can say


@pytest.mark.parametrize("other", [(1, 0), (0, 1)], ids=["seed", "step"])
def test_other_draws_are_independent(other):
    first, second = counted_noise(0, 0, (50_000,)), counted_noise(*other, (50_000,))
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.02


def test_neighbours_are_independent():
    drawn = counted_noise(5, 9, (100_000,))
    for lag in (1, 2, 3, 4):
        assert abs(np.corrcoef(drawn[:-lag], drawn[lag:])[0, 1]) < 0.02


def test_a_draw_is_the_same_whatever_its_shape():
    flat = counted_noise(2, 3, (3 * 5 * 7,))
    np.testing.assert_array_equal(counted_noise(2, 3, (3, 5, 7)), flat.reshape(3, 5, 7))
    np.testing.assert_array_equal(counted_noise(2, 3, (6,)), flat[:6])


@pytest.mark.parametrize(("seed", "step", "name"), [(-1, 0, "seed"), (0, 2**32, "step")])
def test_what_is_no_counter_is_refused(seed, step, name):
    with pytest.raises(ValueError, match=name):
        counted_noise(seed, step, (3,))
