import numpy as np
import pytest

import core.judge.nearest as module
from core.judge.nearest import nearest


@pytest.fixture(scope="module")
def digits(make_digits):
    return make_digits(40, 3)[0]


def random_pictures(count, seed, side=6):
    return np.random.default_rng(seed).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def brute(pictures, bank):
    gaps = pictures[:, None].astype(np.int64) - bank[None]
    apart = np.sqrt(np.square(gaps).mean(axis=(2, 3, 4)))  # (N, M)
    return apart.argmin(axis=1), apart.min(axis=1)


@pytest.mark.parametrize("batch", [1, 3, 7, 39, 40, 41])
def test_it_is_what_a_plain_search_finds_wherever_chunks_end(digits, batch, monkeypatch):
    monkeypatch.setattr(module, "BATCH", batch)
    asked = np.concatenate([digits[::5] // 2 + 60, random_pictures(4, 0, side=32)])
    index, distance = brute(asked, digits)
    found = nearest(asked, digits)
    assert found.index.tolist() == index.tolist()
    assert len(set(index.tolist())) > 3
    np.testing.assert_allclose(found.distance, distance, rtol=1e-12)


def test_a_copy_is_found_at_no_distance(digits):
    order = np.random.default_rng(1).permutation(len(digits))
    found = nearest(digits[order], digits)
    assert found.index.tolist() == order.tolist()
    assert (found.distance == 0).all()


def test_a_copy_is_told_from_what_is_almost_one(digits):
    """Of a bright picture, with variants a single grey level away."""
    picture = np.full((1, 32, 32, 3), 251, dtype=np.uint8)
    picture[0, ::3] -= 20
    bank = picture.repeat(12, axis=0)
    for row in range(12):
        if row != 7:
            bank[row, row, 2 * row, row % 3] += 1
    found = nearest(picture, bank)
    assert found.index.tolist() == [7]
    assert found.distance.tolist() == [0]


def test_distance_is_in_grey_levels(digits):
    picture = random_pictures(1, 2) // 2
    bank = np.stack([picture[0] + 10, picture[0] + 100])
    found = nearest(picture, bank)
    assert found.index.tolist() == [0]
    assert found.distance.tolist() == [10]
    one = picture.copy()
    one[0, 2, 3, 1] += 60
    assert nearest(one, picture).distance[0] == pytest.approx(60 / np.sqrt(6 * 6 * 3))


def test_black_and_white_are_as_far_apart_as_can_be():
    black, white = np.zeros((1, 4, 4, 3), np.uint8), np.full((1, 4, 4, 3), 255, np.uint8)
    assert nearest(black, white).distance.tolist() == [255]
    assert nearest(white, black).distance.tolist() == [255]  # no wrapping around of uint8


def test_a_picture_does_not_depend_on_the_others_asked(digits):
    asked = random_pictures(5, 4, side=32)
    together = nearest(asked, digits)
    assert together.index.shape == together.distance.shape == (5,)
    for row in range(5):
        alone = nearest(asked[row : row + 1], digits)
        assert alone.index[0] == together.index[row]
        assert alone.distance[0] == together.distance[row]


def test_of_two_equals_the_first_is_named(monkeypatch):
    monkeypatch.setattr(module, "BATCH", 2)
    picture = random_pictures(1, 5)
    bank = np.concatenate([random_pictures(1, 6), picture, random_pictures(1, 7), picture])
    assert nearest(picture, bank).index.tolist() == [1]


@pytest.mark.parametrize("shape", [(0, 6, 6, 3), (4, 6, 7, 3), (4, 6, 6)])
def test_a_bank_of_nothing_or_of_other_pictures_is_refused(shape):
    with pytest.raises(ValueError, match=r"^bank must be \(M, 6, 6, 3\) with M at least 1"):
        nearest(random_pictures(2, 8), np.zeros(shape, np.uint8))
