from itertools import combinations

import numpy as np
import pytest

from core.pictures.house_number import HouseNumber, draw

PLAIN = {"ink": "#ffffff", "wall": "#000000", "blur": 0.0, "noise": 0.0}


def slant(**parameters):
    weight = draw(HouseNumber(text="1", **PLAIN, **parameters)).mean(axis=2)
    rows, columns = np.mgrid[:32, :32]
    x = columns - np.average(columns, weights=weight)
    y = rows - np.average(rows, weights=weight)
    return np.average(x * y, weights=weight)


def test_the_same_number_is_drawn_alike():
    picture = draw(HouseNumber())
    assert picture.shape == (32, 32, 3)
    assert picture.dtype == np.uint8
    assert np.array_equal(picture, draw(HouseNumber()))


def test_every_two_digits_differ():
    pictures = [draw(HouseNumber(text=str(digit), **PLAIN)).astype(int) for digit in range(10)]
    assert all(np.abs(a - b).mean() > 5 for a, b in combinations(pictures, 2))


@pytest.mark.parametrize(
    "change",
    [
        {"text": "42"},
        {"ink": "#ff0000"},
        {"wall": "#00ff00"},
        {"blur": 2.0},
        {"rotation": 20.0},
        {"noise": 30.0},
        {"size": 0.5},
        {"seed": 1},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_parameter_changes_the_picture(change):
    before, after = draw(HouseNumber()), draw(HouseNumber(**change))
    assert np.abs(before.astype(int) - after).mean() > 0.5


def test_ink_and_wall_have_their_colours():
    picture = draw(HouseNumber(text="1", ink="#ff8000", wall="#102030", blur=0.0, noise=0.0))
    assert picture[0, 0].tolist() == [0x10, 0x20, 0x30]
    assert np.abs(picture.astype(int) - [255, 128, 0]).sum(axis=2).min() <= 3


@pytest.mark.parametrize("size", [0.3, 0.5, 0.8])
def test_size_is_the_height_of_a_digit_as_a_share_of_the_picture(size):
    picture = draw(HouseNumber(text="7", size=size, **PLAIN))
    rows = np.flatnonzero(picture.max(axis=(1, 2)) > 127)
    assert rows[-1] - rows[0] + 1 == pytest.approx(32 * size, abs=2)
    assert rows.mean() == pytest.approx(15.5, abs=1)


def test_rotation_is_counterclockwise():
    assert slant(rotation=30.0) > slant() + 1
    assert slant(rotation=-30.0) < slant() - 1


def test_noise_has_its_standard_deviation_and_no_bias():
    flat = {"ink": "#808080", "wall": "#808080", "blur": 0.0}
    picture = draw(HouseNumber(noise=20.0, **flat)).astype(float)
    assert picture.std() == pytest.approx(20, rel=0.05)
    assert picture.mean() == pytest.approx(128, abs=5 * 20 / np.sqrt(picture.size))


def test_blur_softens_edges_and_keeps_the_light():
    sharp = draw(HouseNumber(**PLAIN, size=0.5)).astype(float)
    soft = draw(HouseNumber(**{**PLAIN, "blur": 2.0}, size=0.5)).astype(float)
    assert np.abs(np.diff(soft, axis=1)).max() < 0.6 * np.abs(np.diff(sharp, axis=1)).max()
    assert soft.mean() == pytest.approx(sharp.mean(), rel=0.02)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("text", ""),
        ("text", "1234"),
        ("text", "a"),
        ("text", "1\n"),
        ("text", "\u0663"),
        ("ink", "red"),
        ("wall", "#12345"),
        ("blur", -0.1),
        ("blur", 4.1),
        ("rotation", 46),
        ("noise", 81),
        ("noise", float("nan")),
        ("size", 0.2),
        ("size", 1.3),
        ("seed", -1),
    ],
)
def test_a_wrong_value_is_refused_by_its_name(name, wrong):
    with pytest.raises(ValueError, match=rf"^{name} must"):
        HouseNumber(**{name: wrong})
