"""Digits cut out by a classifier of labelled places: against scikit-learn, and where one knows the answer."""

import numpy as np
import pytest
import torch

from core.ddpm.labelled_places import (
    PENALTY,
    LabelledPicture,
    chosen_places,
    digit_of,
    of_colours,
    read_out,
    shaded,
)
from core.pictures.house_number import HouseNumber, draw


def test_the_digit_is_where_ink_covers_the_wall():
    drawn = HouseNumber(text="8", ink="#ff0000", wall="#000000", noise=0.0, blur=0.0)
    digit = digit_of(drawn)
    red = draw(drawn)[..., 0]
    assert digit.shape == (32, 32)
    assert (red[digit] > 127).all()
    assert (red[~digit] <= 127).all()
    assert 0.05 < digit.mean() < 0.5


def test_where_the_digit_is_does_not_depend_on_colours_and_noise():
    first = digit_of(HouseNumber(text="4", ink="#1d2733", wall="#d8d2c4", noise=60.0))
    assert np.array_equal(first, digit_of(HouseNumber(text="4")))


def test_a_shadow_falls_evenly_from_one_side():
    white = np.full((32, 32, 3), 200, np.uint8)
    right, left = shaded(white, 0.5), shaded(white, 0.5, from_left=True)
    assert (right[:, 0] == 200).all()
    assert (right[:, -1] == 100).all()
    assert np.array_equal(left, right[:, ::-1])
    steps = np.diff(right[0, :, 0].astype(int))
    assert (np.abs(steps + 100 / 31) < 1).all()
    assert np.array_equal(shaded(white, 0), white)
    with pytest.raises(ValueError, match="share must be 0 to 1, got 2"):
        shaded(white, 2)


def test_places_are_as_many_of_the_digit_as_of_the_wall():
    digit = digit_of(HouseNumber(text="3"))
    places = chosen_places(digit, 15, np.random.default_rng(0))
    inside = digit.reshape(-1)[places]
    assert len(set(places.tolist())) == 30
    assert inside.sum() == 15
    few = np.zeros((32, 32), bool)
    few[0, :4] = True
    assert few.reshape(-1)[chosen_places(few, 15, np.random.default_rng(0))].sum() == 4


def pictures(digits, **more):
    drawn = [HouseNumber(text=text, **more) for text in digits]
    return [LabelledPicture(draw(one), digit_of(one)) for one in drawn]


def test_what_colours_tell_is_read_from_them():
    """Light on dark in all pictures: a digit that was never seen is cut out by its colour."""
    known, asked = pictures("123", noise=8.0), pictures("70", noise=8.0)
    found = read_out(
        [of_colours(one.picture) for one in known],
        known,
        [of_colours(one.picture) for one in asked],
        20,
    )
    for mask, one in zip(found, asked, strict=True):
        assert (mask & one.digit).sum() / (mask | one.digit).sum() > 0.8


def test_the_classifier_is_that_of_scikit_learn():
    module = pytest.importorskip("sklearn.linear_model", reason="the second opinion here")
    known, asked = pictures("25", noise=40.0), pictures("7", noise=40.0)
    generator = torch.Generator().manual_seed(0)
    features = [torch.randn(1024, 6, generator=generator) for _ in range(3)]
    for rows, one in zip(features, [*known, *asked], strict=True):
        rows[:, 0] += torch.from_numpy(one.digit.reshape(-1)).float()
    (found,) = read_out(features[:2], known, features[2:], 30, seed=4)
    source = np.random.default_rng(4)
    places = [chosen_places(one.digit, 30, source) for one in known]
    x = np.concatenate([f[p].double().numpy() for f, p in zip(features, places, strict=False)])
    y = np.concatenate([o.digit.reshape(-1)[p] for o, p in zip(known, places, strict=True)])
    mean, std = x.mean(axis=0), x.std(axis=0)
    reader = module.LogisticRegression(C=1 / (PENALTY * len(x)), tol=1e-10, max_iter=2000)
    reader.fit((x - mean) / std, y)
    expected = reader.predict((features[2].double().numpy() - mean) / std)
    assert (found.reshape(-1) == expected).mean() > 0.998
