"""What can be read from z: against scikit-learn, and where one knows what can be read."""

import numpy as np
import pytest
import torch

from core.vae.readouts import products, read, vote_of_neighbours


def side(count, seed, classes=3, d=4):
    """Groups that overlap; pixels that say nothing."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, classes, (count,), generator=generator)
    z = torch.randn(count, d, generator=generator) + 1.2 * torch.eye(d)[labels]
    return torch.randn(count, 6, generator=generator), z, labels


def test_products_are_those_of_scikit_learn():
    module = pytest.importorskip("sklearn.preprocessing", reason="the second opinion here")
    z = side(20, 0)[1].double()
    expected = module.PolynomialFeatures(2, include_bias=False).fit_transform(z.numpy())
    np.testing.assert_allclose(products(z).numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize("k", [1, 7, 60])
def test_the_vote_is_that_of_scikit_learn(k):
    module = pytest.importorskip("sklearn.neighbors", reason="the second opinion here")
    (_p, z, labels), (_q, asked, _l) = side(60, 1), side(40, 2)
    reference = module.KNeighborsClassifier(k).fit(z.numpy(), labels.numpy())
    found = vote_of_neighbours(z, labels, asked, k, chunk=16)
    np.testing.assert_array_equal(found.numpy(), reference.predict(asked.numpy()))


def test_every_reader_is_as_often_right_as_that_of_scikit_learn():
    linear = pytest.importorskip("sklearn.linear_model", reason="the second opinion here")
    neighbours = pytest.importorskip("sklearn.neighbors", reason="the second opinion here")
    known, asked = side(300, 3), side(200, 4)
    found = read((known, asked), 3, k=9)

    def right(x, test_x):
        x, test_x = x.double().numpy(), test_x.double().numpy()
        mean, std = x.mean(axis=0), x.std(axis=0)
        reader = linear.LogisticRegression(C=1 / (1e-3 * len(x)), tol=1e-10, max_iter=5000)
        reader.fit((x - mean) / std, known[2].numpy())
        return reader.score((test_x - mean) / std, asked[2].numpy())

    assert found.pixels == pytest.approx(right(known[0], asked[0]), abs=0.005)
    assert found.linear == pytest.approx(right(known[1], asked[1]), abs=0.005)
    assert found.products == pytest.approx(
        right(*(products(s[1]) for s in (known, asked))), abs=0.005
    )
    voter = neighbours.KNeighborsClassifier(9).fit(known[1].numpy(), known[2].numpy())
    assert found.neighbours == voter.score(asked[1].numpy(), asked[2].numpy())
    most = int(known[2].bincount().argmax())
    assert found.most_common == pytest.approx(float((asked[2] == most).double().mean()))
    assert (found.k, found.train_pictures, found.test_pictures) == (9, 300, 200)


def test_a_class_that_shows_in_products_alone_is_hidden_from_a_line():
    """Two units of the same sign, or of opposite signs: both classes have mean 0 in every unit."""

    def signs(seed):
        generator = torch.Generator().manual_seed(seed)
        z = torch.randn(2000, 2, generator=generator)
        return z.clone(), z, (z[:, 0] * z[:, 1] > 0).long()

    found = read((signs(5), signs(6)), 2)
    assert found.linear < 0.6
    assert found.products > 0.97
    assert found.neighbours > 0.9


def test_what_cannot_be_read_is_refused():
    _p, z, labels = side(10, 7)
    with pytest.raises(ValueError, match="k must be at least 1, got 0"):
        vote_of_neighbours(z, labels, z, 0)
    with pytest.raises(ValueError, match="as wide as z, 4, got 3"):
        vote_of_neighbours(z, labels, z[:, :3])
    with pytest.raises(ValueError, match="asked must be finite"):
        vote_of_neighbours(z, labels, z / 0)
