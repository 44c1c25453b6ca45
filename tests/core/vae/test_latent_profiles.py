import numpy as np
import pytest

from core.vae.latent_profiles import ClassProfiles, profile


@pytest.fixture
def latents():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 3], [4, 5, 6])
    return rng.normal(size=(15, 2)) + labels[:, None] * [1.0, 0.0], labels


def test_a_profile_holds_mean_spread_and_count_of_every_class(latents):
    z, labels = latents
    found = profile(z, labels, 4)
    for c in (0, 1, 3):
        np.testing.assert_allclose(found.mean[c], z[labels == c].mean(0))
        np.testing.assert_allclose(found.std[c], z[labels == c].std(0))
    assert found.count.tolist() == [4, 5, 0, 6]


def test_a_class_without_pictures_is_unknown_and_counts_nowhere(latents):
    z, labels = latents  # of the classes 0, 1 and 3
    with_gap, without = profile(z, labels, 4), profile(z, np.minimum(labels, 2), 3)
    assert np.isnan(with_gap.mean[2]).all()
    for name in ("overall", "within_variance", "between_variance", "eta_squared"):
        np.testing.assert_allclose(getattr(with_gap, name), getattr(without, name))
    assert not with_gap.peaks(0.01)[2].any()


def test_labels_of_another_length_are_refused(latents):
    with pytest.raises(ValueError, match=r"^labels must.*15.*14"):
        profile(latents[0], latents[1][:-1], 4)


def test_variance_splits_into_within_and_between_classes_of_equal_size():
    rng = np.random.default_rng(1)
    labels = np.repeat(np.arange(5), 20)
    z = rng.normal(size=(100, 3)) + rng.normal(size=(5, 3))[labels]
    found = profile(z, labels, 5)
    np.testing.assert_allclose(found.within_variance + found.between_variance, z.var(0))
    np.testing.assert_allclose(found.eta_squared, found.between_variance / z.var(0))
    np.testing.assert_allclose(found.overall, z.mean(0))


def test_effect_is_the_standardised_difference():
    found = ClassProfiles(np.array([[1.0], [3.0]]), np.array([[0.5], [0.5]]), np.array([5, 5]))
    np.testing.assert_allclose(found.deviation, [[-2.0], [2.0]])
    assert found.peaks(2.0).all()
    assert not found.peaks(2.1).any()


def test_the_error_of_a_class_mean_is_that_of_scipy(latents):
    stats = pytest.importorskip("scipy.stats", reason="the second opinion here")
    z, labels = latents  # 4, 5 and 6 pictures of the classes 0, 1 and 3
    found = profile(z, labels, 4)
    for c in (0, 1, 3):
        np.testing.assert_allclose(found.error()[c], stats.sem(z[labels == c], axis=0))


def test_pictures_of_one_digit_count_as_one_and_few_digits_make_no_peak():
    mean, std = np.array([[5.0], [-5.0]]), np.ones((2, 1))
    every, fours = ClassProfiles(mean, std, np.full(2, 5)), ClassProfiles(mean, std, np.full(2, 20))
    np.testing.assert_allclose(fours.error(crops=4), every.error())
    assert every.peaks(1.0).all()
    two = ClassProfiles(mean, std, np.full(2, 2))
    assert np.isinf(two.error()).all()
    assert not two.peaks(1.0).any()
    assert not ClassProfiles(mean, 0 * std + 1e-3, np.ones(2)).peaks(1.0).any()
    with pytest.raises(ValueError, match="crops must be at least 1, got 0"):
        every.error(0)


def test_a_unit_that_never_varies_has_no_effect_and_explains_nothing():
    found = ClassProfiles(np.ones((3, 1)), np.zeros((3, 1)), np.full(3, 5))
    assert (found.deviation == 0).all()
    assert (found.eta_squared == 0).all()


def test_a_unit_that_is_its_class_explains_everything():
    found = ClassProfiles(np.array([[0.0], [1.0]]), np.zeros((2, 1)), np.array([5, 5]))
    assert found.eta_squared.tolist() == [1.0]


@pytest.mark.parametrize("threshold", [0, -1, float("nan")])
def test_a_threshold_that_everything_reaches_is_refused(threshold):
    found = ClassProfiles(np.zeros((2, 1)), np.ones((2, 1)), np.array([5, 5]))
    with pytest.raises(ValueError, match=r"^threshold must"):
        found.peaks(threshold)
