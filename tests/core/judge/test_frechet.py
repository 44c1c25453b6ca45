import itertools

import numpy as np
import pytest

from core.judge.frechet import Gaussian, frechet_distance


def features(count, width, seed, scale=1.0, shift=0.0):
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(width, width)) / np.sqrt(width)
    return scale * rng.normal(size=(count, width)) @ mixing + shift


def test_draws_of_a_gaussian_come_nearer_to_it_the_more_there_are():
    real = Gaussian.of(features(400, 12, 0, shift=3.0))
    of_few, of_more, of_many = (real.distance_of_draws(count) for count in (4, 16, 4000))
    assert of_few > of_more > of_many > 0
    assert of_many < 0.01 * np.trace(real.covariance)


def test_the_distance_of_draws_is_that_of_so_many_real_pictures():
    many = features(4000, 12, 0, shift=3.0)
    real = Gaussian.of(many)
    parts = [Gaussian.of(many[first : first + 16]).distance(real) for first in range(0, 4000, 16)]
    assert real.distance_of_draws(16, repeats=250) == pytest.approx(np.mean(parts), rel=0.1)


@pytest.mark.parametrize("width", [2, 7, 40])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_it_is_the_formula_with_the_matrix_root_of_scipy(width, dtype):
    linalg = pytest.importorskip("scipy.linalg", reason="scipy is the second opinion here")
    a = features(300, width, 0).astype(dtype)
    b = features(200, width, 1, scale=1.7, shift=0.4).astype(dtype)
    wide_a, wide_b = a.astype(np.float64), b.astype(np.float64)
    cov_a, cov_b = np.cov(wide_a, rowvar=False), np.cov(wide_b, rowvar=False)
    root = np.real(linalg.sqrtm(cov_a @ cov_b))
    expected = np.sum((wide_a.mean(0) - wide_b.mean(0)) ** 2) + np.trace(cov_a + cov_b - 2 * root)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-6)
    assert isinstance(frechet_distance(a, b), float)


def test_in_one_dimension_it_is_the_gap_of_means_and_of_deviations():
    a, b = features(50, 1, 0), features(70, 1, 1, scale=3.0, shift=-2.0)
    expected = (a.mean() - b.mean()) ** 2 + (a.std(ddof=1) - b.std(ddof=1)) ** 2
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-9)


def test_along_independent_axes_the_gaps_add_up():
    corners = np.array(list(itertools.product([-1.0, 1.0], repeat=3)))
    stretch, shift = np.array([2.0, 0.5, 1.0]), np.array([0.0, 3.0, -1.0])
    deviation = corners.std(axis=0, ddof=1)
    expected = np.sum(shift**2 + ((stretch - 1) * deviation) ** 2)
    assert frechet_distance(corners, corners * stretch + shift) == pytest.approx(expected)


def test_a_set_is_at_no_distance_from_itself():
    for count, width in ((200, 5), (10, 40)):
        a = features(count, width, 0)
        assert frechet_distance(a, a) == pytest.approx(0, abs=1e-6)
        assert frechet_distance(a, a[::-1]) == pytest.approx(0, abs=1e-6)


def test_moving_a_set_adds_the_square_of_the_way():
    a, b = features(100, 6, 0), features(100, 6, 1, scale=2.0)
    way = np.arange(6.0)
    assert frechet_distance(a, a + way) == pytest.approx(np.sum(way**2), rel=1e-6)
    b = b - b.mean(0) + a.mean(0)
    expected = frechet_distance(a, b) + np.sum(way**2)
    assert frechet_distance(a, b + way) == pytest.approx(expected, rel=1e-9)


def test_scaling_all_features_scales_it_by_the_square():
    a, b = features(100, 6, 0), features(80, 6, 1, shift=1.0)
    assert frechet_distance(3 * a, 3 * b) == pytest.approx(9 * frechet_distance(a, b), rel=1e-9)


def test_turning_all_features_does_not_change_it():
    a, b = features(100, 6, 0), features(80, 6, 1, shift=1.0)
    turn, _ = np.linalg.qr(np.random.default_rng(3).normal(size=(6, 6)))
    assert frechet_distance(a @ turn, b @ turn) == pytest.approx(frechet_distance(a, b), rel=1e-9)


def test_it_is_the_same_both_ways():
    for count, width in ((100, 6), (5, 30)):
        a, b = features(count, width, 0), features(count + 3, width, 1, scale=2.0, shift=0.3)
        assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a), rel=1e-6)


@pytest.mark.parametrize("count", [2, 10, 63])
def test_fewer_samples_than_features_stay_finite(count):
    a, b = features(count, 64, 0), features(count, 64, 1, shift=0.5)
    found = frechet_distance(a, b)
    assert np.isfinite(found)
    assert found >= np.sum((a.mean(0) - b.mean(0)) ** 2)


def test_two_samples_each_leave_their_two_lines():
    a, b = features(2, 64, 0), features(2, 64, 1, shift=0.5)
    u, v = ((pair[0] - pair[1]) / np.sqrt(2) for pair in (a, b))  # covariances u u^T and v v^T
    spread = np.sum(u**2) + np.sum(v**2) - 2 * abs(np.sum(u * v))
    expected = np.sum((a.mean(0) - b.mean(0)) ** 2) + spread
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-6)


def test_features_that_never_vary_leave_the_gap_of_means():
    a, b = np.zeros((5, 3)), np.full((4, 3), 2.0)
    assert frechet_distance(a, b) == pytest.approx(12)


def test_few_samples_of_one_distribution_seem_further_apart():
    rng = np.random.default_rng(0)
    gaps = [
        np.mean([frechet_distance(*rng.normal(size=(2, count, 16))) for _ in range(5)])
        for count in (20, 80, 320)
    ]
    assert gaps[0] > 2 * gaps[1] > 4 * gaps[2] > 0


@pytest.mark.parametrize(
    ("named", "a", "b"),
    [
        ("a", (5,), (5, 3)),
        ("a", (1, 3), (5, 3)),
        ("a", (2, 3, 4), (5, 3)),
        ("b", (5, 3), (5,)),
        ("b", (5, 3), (1, 3)),
    ],
)
def test_sets_that_cannot_be_compared_are_refused(named, a, b):
    with pytest.raises(ValueError, match=rf"^{named} must be \(N, d\)"):
        frechet_distance(np.ones(a), np.ones(b))


def test_sets_of_other_features_are_refused():
    with pytest.raises(ValueError, match="as many features, got 3 and 4"):
        frechet_distance(np.ones((5, 3)), np.ones((5, 4)))


# ---------------------------------------------------------------- from Gaussians


def test_a_gaussian_is_the_mean_and_the_sample_covariance_of_features():
    rows = np.array([[0.0, 1], [2, 1], [4, 7]])
    found = Gaussian.of(rows)
    assert found.mean.tolist() == [2, 3]
    np.testing.assert_allclose(found.covariance, [[4, 6], [6, 12]])  # over N - 1
    wide = features(50, 6, 0)
    np.testing.assert_allclose(Gaussian.of(wide).covariance, np.cov(wide.T))
    single = Gaussian.of(rows[:, :1])
    assert single.covariance.shape == (1, 1)
    assert single.covariance[0, 0] == pytest.approx(4)


def test_a_gaussian_is_kept_in_double():
    rows = (1000 + 0.01 * features(200, 3, 0)).astype(np.float32)
    found = Gaussian.of(rows)
    assert found.mean.dtype == found.covariance.dtype == np.float64
    np.testing.assert_allclose(found.covariance, np.cov(rows.astype(np.float64).T), rtol=1e-9)


@pytest.mark.parametrize("width", [1, 2, 7, 40])
def test_the_distance_of_gaussians_is_the_formula_with_the_matrix_root_of_scipy(width):
    linalg = pytest.importorskip("scipy.linalg", reason="scipy is the second opinion here")
    a = Gaussian.of(features(300, width, 2))
    b = Gaussian.of(features(200, width, 3, scale=1.7, shift=0.4))
    root = np.real(linalg.sqrtm(a.covariance @ b.covariance))
    gap = np.square(a.mean - b.mean).sum()
    expected = gap + np.trace(a.covariance + b.covariance - 2 * root)
    assert a.distance(b) == pytest.approx(expected, rel=1e-8)
    assert b.distance(a) == pytest.approx(expected, rel=1e-8)
    assert isinstance(a.distance(b), float)


def test_the_distance_of_sets_is_that_of_their_gaussians():
    a, b = features(30, 6, 0), features(20, 6, 1, shift=1.0)
    assert frechet_distance(a, b) == Gaussian.of(a).distance(Gaussian.of(b))


def test_covariances_that_commute_leave_the_gaps_of_deviations():
    """With the same axes it is the sum of (s_a - s_b)^2 along them."""
    turn, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))
    a, b = np.array([4.0, 9.0, 0.0]), np.array([1.0, 25.0, 4.0])
    one, other = (Gaussian(np.zeros(3), (turn * values) @ turn.T) for values in (a, b))
    expected = np.square(np.sqrt(a) - np.sqrt(b)).sum()
    assert one.distance(other) == pytest.approx(expected)
    moved = Gaussian(np.array([1.0, -2.0, 2.0]), other.covariance)
    assert one.distance(moved) == pytest.approx(expected + 9)


def test_a_gaussian_is_at_no_distance_from_itself_even_rounded():
    for seed in range(20):
        found = Gaussian.of(features(500, 20, seed))
        assert 0 <= found.distance(found) < 1e-9
    rounded = Gaussian(found.mean, found.covariance.astype(np.float32).astype(np.float64))
    assert 0 <= found.distance(rounded) < 1e-4


def test_gaussians_of_other_dimensions_are_refused():
    a, b = Gaussian.of(features(9, 3, 0)), Gaussian.of(features(9, 4, 0))
    with pytest.raises(ValueError, match=r"^other must have 3 features, as this, got 4"):
        a.distance(b)


@pytest.mark.parametrize("shape", [(5,), (1, 3), (2, 3, 4)])
def test_a_gaussian_needs_two_rows_of_features(shape):
    with pytest.raises(ValueError, match=r"^features must be \(N, d\) with N at least 2"):
        Gaussian.of(np.ones(shape))
