from itertools import combinations

import numpy as np
import pytest

from core.pictures.data import SOURCES
from core.pictures.shapes import DRAWINGS, GRAIN, KINDS, Shape, draw

PLAIN = {"colour": "#ff0000", "background": "#000000"}


def red(**changes):
    """Where the object's own colour stands in a plain disc, (32, 32) from 0 to 1."""
    picture = draw(Shape(**{"kind": "disc", **PLAIN, **changes})).astype(float)
    return (picture[..., 0] - picture[..., 1] - 40).clip(0) / 255  # less the grain


def middle(weight):
    rows, columns = np.mgrid[:32, :32]
    return np.average(columns, weights=weight), np.average(rows, weights=weight)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_shape_is_drawn_alike(kind):
    picture = draw(Shape(kind=kind))
    assert picture.shape == (32, 32, 3)
    assert picture.dtype == np.uint8
    assert np.array_equal(picture, draw(Shape(kind=kind)))


def test_every_two_kinds_differ():
    pictures = [draw(Shape(kind=kind)).astype(int) for kind in KINDS]
    assert all(np.abs(a - b).mean() > 5 for a, b in combinations(pictures, 2))


def test_every_kind_is_a_class_of_cifar_or_a_plain_shape():
    plain = {"disc", "square", "triangle"}
    assert set(KINDS) - plain < set(SOURCES["cifar10"].class_names)
    assert set(DRAWINGS) == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "change",
    [
        {"colour": "#5c8a3a"},
        {"background": "#3b4a63"},
        {"size": 0.5},
        {"across": 0.3},
        {"down": 0.7},
        {"seed": 1},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_parameter_changes_the_picture(kind, change):
    before, after = draw(Shape(kind=kind)), draw(Shape(kind=kind, **change))
    assert np.abs(before.astype(int) - after).mean() > 1.5


@pytest.mark.parametrize("size", [0.3, 0.6, 0.9])
def test_size_is_the_width_of_an_object(size):
    columns = np.flatnonzero(red(size=size).max(axis=0) > 0.4)
    assert columns[-1] - columns[0] + 1 == pytest.approx(0.85 * 32 * size, rel=0.15, abs=1.5)


@pytest.mark.parametrize(("across", "down"), [(0.3, 0.5), (0.5, 0.7), (0.65, 0.35)])
def test_across_and_down_place_the_middle(across, down):
    # A seed moves it by up to 0.03 of the picture, a pixel.
    x, y = middle(red(across=across, down=down, size=0.4))
    assert x == pytest.approx(32 * across - 0.5, abs=1.2)
    assert y == pytest.approx(32 * down - 0.5, abs=1.2)


@pytest.mark.parametrize("seed", range(6))
def test_a_seed_changes_little(seed):
    x, y = middle(red(seed=seed, size=0.5))
    assert abs(x - 15.5) < 1.2
    assert abs(y - 15.5) < 1.2
    area = red(seed=seed, size=0.5).sum()
    assert area == pytest.approx(red(seed=99, size=0.5).sum(), rel=0.4)


def test_seeds_tilt_either_way():
    def slant(seed):
        weight = red(kind="square", seed=seed, size=0.7)
        rows, columns = np.mgrid[:32, :32]
        _x, y = middle(weight)
        upper, lower = ((rows > y - 6) & (rows < y - 3)), ((rows > y + 3) & (rows < y + 6))
        ends = [np.average(columns[part], weights=weight[part]) for part in (upper, lower)]
        return ends[0] - ends[1]

    slants = [slant(seed) for seed in range(12)]
    assert min(slants) < -0.05
    assert max(slants) > 0.05
    assert max(np.abs(slants)) < 12 * np.tan(np.deg2rad(4)) + 0.3


def test_seeds_stretch_by_up_to_a_tenth():
    def stretch(seed):
        weight = red(kind="disc", seed=seed, size=0.7)
        return weight.max(axis=0).sum() / weight.max(axis=1).sum()

    stretches = [stretch(seed) for seed in range(12)]
    assert 0.87 < min(stretches) < 0.97
    assert 1.03 < max(stretches) < 1.13


def test_object_and_background_have_their_colours():
    picture = draw(Shape(kind="square", colour="#ff8000", background="#102030", size=0.6))
    inside = picture[12:20, 12:20].reshape(-1, 3).mean(axis=0)
    # A seed lightens or darkens by up to 12 of 100.
    assert np.abs(inside - [255, 128, 0]).max() < 0.12 * 255 + 3
    assert np.abs(picture[0].mean(axis=0) - [0x10, 0x20, 0x30]).max() < 0.12 * 255 + 3


def test_the_background_is_lighter_below_where_there_is_no_ground():
    picture = draw(Shape(kind="disc", size=0.3)).astype(float)
    assert picture[-2:].mean() > picture[:2].mean() + 3


@pytest.mark.parametrize("kind", ["ship", "automobile", "truck", "bird", "frog"])
def test_the_ground_follows_the_object_down(kind):
    def ground(down):
        picture = draw(Shape(kind=kind, down=down, size=0.5, background="#ffffff"))
        edge = picture[:, 0].astype(int).sum(axis=1)
        return int(np.argmax(edge < 600))

    assert 0 < ground(0.4) < ground(0.6) < 32


def test_a_ship_floats_and_a_wheel_stands_on_the_road():
    """The hull reaches below the water's edge; so do the wheels below the road's."""
    for kind in ("ship", "automobile"):
        drawing = DRAWINGS[kind]()
        assert max(y for part in drawing.parts for _x, y in part.points) > drawing.level


def test_grain_has_its_standard_deviation():
    flat = draw(Shape(kind="disc", size=0.2, across=0.0, down=0.0)).astype(float)
    rows = flat[16:, 16:] - flat[16:, 16:].mean(axis=1, keepdims=True)
    assert rows.std() == pytest.approx(GRAIN, rel=0.1)


def test_objects_reach_no_further_than_their_width():
    for kind, drawing in DRAWINGS.items():
        points = np.array([point for part in drawing().parts for point in part.points])
        assert np.abs(points).max() <= 1.06, kind


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("kind", "submarine"),
        ("colour", "red"),
        ("colour", "#12345"),
        ("background", "#1234567"),
        ("size", 0.19),
        ("size", 1.21),
        ("across", -0.01),
        ("across", 1.01),
        ("down", float("nan")),
        ("down", 1.01),
        ("seed", -1),
    ],
)
def test_a_wrong_value_is_refused_by_its_name(name, wrong):
    with pytest.raises(ValueError, match=rf"^{name} must"):
        Shape(**{name: wrong})
