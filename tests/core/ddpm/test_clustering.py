import numpy as np
import pytest

from core.ddpm.clustering import k_means, principal_components, standardise

SIZES = (40, 30, 20, 10)


def drawn(count, channels, seed=0):
    return np.random.default_rng(seed).normal(size=(count, channels))


@pytest.fixture
def blobs():
    """Rows far apart by group, in any order, and the groups, largest first."""
    rng = np.random.default_rng(0)
    groups = rng.permutation(np.repeat(np.arange(4), SIZES))
    corners = 20 * np.array([(0, 0, 0), (1, 0, 0), (0, 1, 0), (1, 1, 1)])
    return corners[groups] + rng.normal(size=(100, 3)), groups


def together(labels):
    """Which rows share a cluster, whatever its number."""
    return labels[:, None] == labels


def plain_lloyd(x, k, seed):
    """Squared distances summed after Lloyd's algorithm from k random rows."""
    centres = x[np.random.default_rng(seed).choice(len(x), k, replace=False)]
    for _ in range(200):
        labels = np.square(x[:, None] - centres).sum(axis=2).argmin(axis=1)
        centres = np.stack(
            [x[labels == c].mean(axis=0) if (labels == c).any() else centres[c] for c in range(k)]
        )
    return np.square(x[:, None] - centres).sum(axis=2).min(axis=1).sum()


# ---------------------------------------------------------------- k-means


def test_k_means_groups_as_scikit_learn_does(blobs):
    cluster = pytest.importorskip("sklearn.cluster", reason="scikit-learn is the second opinion")
    x, _ = blobs
    found = k_means(x, 4)
    reference = cluster.KMeans(4, n_init=10, random_state=0).fit(x)
    assert np.array_equal(together(found.labels), together(reference.labels_))
    assert found.inertia == pytest.approx(reference.inertia_, rel=1e-9)
    order = np.argsort(-np.bincount(reference.labels_))
    np.testing.assert_allclose(found.centres, reference.cluster_centers_[order], atol=1e-9)


def test_planted_groups_are_found_and_numbered_by_size(blobs):
    x, groups = blobs
    found = k_means(x, 4)
    assert np.array_equal(found.labels, groups)
    means = [x[groups == group].mean(axis=0) for group in range(4)]
    np.testing.assert_allclose(found.centres, means, atol=1e-9)


@pytest.mark.parametrize("k", [2, 5, 9])
def test_every_row_has_the_nearest_centre_and_every_centre_is_the_mean_of_its_rows(k):
    x = drawn(150, 4)
    found = k_means(x, k)
    distances = np.square(x[:, None] - found.centres).sum(axis=2)
    assert np.array_equal(found.labels, distances.argmin(axis=1))
    assert found.inertia == pytest.approx(distances.min(axis=1).sum(), rel=1e-9)
    means = [x[found.labels == label].mean(axis=0) for label in range(k)]
    np.testing.assert_allclose(found.centres, means, atol=1e-9)
    sizes = np.bincount(found.labels, minlength=k)
    assert (np.diff(sizes) <= 0).all()
    assert sizes.sum() == 150


def test_it_is_never_worse_than_a_run_from_random_rows():
    """Nine groups: from random rows two of them often end up as one."""
    corners = 20 * np.stack(np.meshgrid(range(3), range(3)), axis=-1).reshape(9, 2)
    x = np.repeat(corners, 12, axis=0) + drawn(108, 2, seed=1)
    plain = np.array([plain_lloyd(x, 9, seed) for seed in range(8)])
    for seed in range(5):
        assert k_means(x, 9, seed=seed).inertia <= plain.min() * (1 + 1e-9)
    assert plain.max() > 2 * plain.min()


def test_more_runs_and_more_rounds_are_never_worse():
    x = drawn(300, 6)
    for seed in range(5):
        runs = [k_means(x, 7, seed=seed, restarts=count).inertia for count in (1, 2, 4)]
        rounds = [k_means(x, 7, seed=seed, restarts=1, most=most).inertia for most in (1, 3, 100)]
        assert runs == sorted(runs, reverse=True)
        assert rounds == sorted(rounds, reverse=True)
        assert rounds[0] > rounds[-1]


def test_the_same_seed_groups_alike():
    x = drawn(200, 5)
    state = np.random.get_state()[1].copy()
    first, again = k_means(x, 6, seed=3, restarts=1), k_means(x, 6, seed=3, restarts=1)
    assert np.array_equal(first.labels, again.labels)
    assert np.array_equal(first.centres, again.centres)
    assert first.inertia == again.inertia
    assert len({k_means(x, 6, seed=seed, restarts=1).inertia for seed in range(6)}) > 1
    assert np.array_equal(np.random.get_state()[1], state)


def test_one_cluster_is_everything_round_its_mean():
    x = drawn(30, 3)
    found = k_means(x, 1)
    assert (found.labels == 0).all()
    np.testing.assert_allclose(found.centres, x.mean(axis=0, keepdims=True), atol=1e-12)
    assert found.inertia == pytest.approx(30 * x.var(axis=0).sum())


def test_as_many_clusters_as_rows_leave_nothing_over():
    x = drawn(12, 3)
    found = k_means(x, 12)
    assert sorted(found.labels) == list(range(12))
    np.testing.assert_allclose(found.centres[found.labels], x, atol=1e-12)
    assert found.inertia == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("k", [3, 5, 12])
def test_with_fewer_different_rows_than_clusters_some_stay_empty(k):
    different = drawn(3, 4)
    which = np.array([0] * 5 + [1] * 4 + [2] * 3)
    found = k_means(different[which], k)
    assert np.array_equal(found.labels, which)
    assert found.inertia == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose(found.centres[:3], different, atol=1e-12)
    apart = np.abs(found.centres[:, None] - different).max(axis=2).min(axis=1)
    assert found.centres.shape == (k, 4)
    assert (apart < 1e-12).all()


def test_rows_repeated_count_as_often_as_they_are_there():
    x = np.array([[0.0], [0.0], [0.0], [4.0], [100.0]])
    found = k_means(x, 2)
    assert found.labels.tolist() == [0, 0, 0, 0, 1]
    assert found.centres.ravel().tolist() == [1.0, 100.0]
    assert found.inertia == pytest.approx(12)


@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_groups_do_not_depend_on_where_zero_is_nor_on_the_type(blobs, dtype):
    x, groups = blobs
    shifted = (x + 1000).astype(dtype)
    before = shifted.copy()
    assert np.array_equal(k_means(shifted, 4).labels, groups)
    assert np.array_equal(shifted, before)


@pytest.mark.parametrize(
    ("shape", "k"), [((5, 2), 0), ((5, 2), -1), ((5, 2), 6), ((0, 2), 1), ((5,), 2), ((5, 2, 2), 2)]
)
def test_a_number_of_clusters_that_cannot_be_is_refused(shape, k):
    with pytest.raises(ValueError, match=rf"^k must be 1 to N for features \(N, C\), got {k}"):
        k_means(np.zeros(shape), k)


# ---------------------------------------------------------------- principal components


@pytest.mark.parametrize("shape", [(200, 5), (6, 20)])
def test_components_are_the_eigenvectors_of_the_covariance(shape):
    x = drawn(*shape) * np.linspace(1, 3, shape[1]) + 7
    values, vectors = np.linalg.eigh(np.cov(x.T))
    values, vectors = values[::-1], vectors[:, ::-1]
    scores, share = principal_components(x, 4)
    expected = (x - x.mean(axis=0)) @ vectors[:, :4]
    same = np.sign((scores * expected).sum(axis=0))
    np.testing.assert_allclose(scores, expected * same, atol=1e-9)
    np.testing.assert_allclose(share, values[:4] / values.sum(), atol=1e-12)


def test_shares_fall_and_sum_to_one():
    x = drawn(80, 6) * [5, 4, 3, 2, 1, 0.5]
    _, whole = principal_components(x, 6)
    assert whole.sum() == pytest.approx(1)
    assert (np.diff(whole) < 0).all()
    _, part = principal_components(x, 2)
    np.testing.assert_allclose(part, whole[:2])


def test_scores_have_mean_zero_and_do_not_go_together():
    scores, share = principal_components(drawn(60, 4) + 3, 4)
    np.testing.assert_allclose(scores.mean(axis=0), 0, atol=1e-12)
    products = scores.T @ scores
    np.testing.assert_allclose(products, np.diag(np.diag(products)), atol=1e-10)
    np.testing.assert_allclose(np.diag(products) / np.trace(products), share, atol=1e-12)


def test_the_largest_weight_of_a_direction_is_positive():
    for seed in range(10):
        x = drawn(50, 6, seed) * [1, 2, 3, 4, 5, 6]
        scores, _ = principal_components(x, 6)
        directions = scores.T @ (x - x.mean(axis=0)) / np.square(scores).sum(axis=0)[:, None]
        np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1)
        largest = np.abs(directions).argmax(axis=1)
        assert (directions[np.arange(6), largest] > 0).all()
        np.testing.assert_allclose(principal_components(-x, 6)[0], -scores, atol=1e-9)


def test_a_score_rises_with_the_channel_that_makes_it():
    for step in (1, -1):
        x = np.zeros((9, 3))
        x[:, 1] = np.arange(9)[::step]
        scores, share = principal_components(x, 1)
        np.testing.assert_allclose(scores[:, 0], x[:, 1] - 4, atol=1e-12)
        assert share.tolist() == pytest.approx([1])


LINE = np.outer(np.arange(10.0), [1, 2, -1, 0.25])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("x", "rank"),
    [
        (LINE, 1),
        (LINE + 0.5, 1),
        (drawn(3, 10), 2),
        (drawn(50, 2), 2),
        (np.concatenate([drawn(50, 1), np.full((50, 4), 0.3)], axis=1), 1),
        (np.full((50, 4), 0.1), 0),
    ],
    ids=["line", "line-off-zero", "few-rows", "few-columns", "beside-constants", "constant"],
)
def test_beyond_the_rank_there_is_nothing(x, rank, dtype):
    """Not even rounding errors, for pictures are stretched from the lowest score to the highest."""
    scores, share = principal_components(x.astype(dtype), 6)
    assert scores.shape == (len(x), 6)
    assert share.shape == (6,)
    assert (np.abs(scores[:, :rank]).max(axis=0) > 0.1).all()
    assert share[:rank].sum() == pytest.approx(min(rank, 1))
    assert (share[:rank] > 0).all()
    assert (scores[:, rank:] == 0).all()
    assert (share[rank:] == 0).all()


def test_components_of_float32_far_from_zero_are_those_of_float64():
    x = (drawn(1500, 3) + 1000).astype(np.float32)
    found, expected = (principal_components(features, 3)[0] for features in (x, x.astype(float)))
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("shape", [(1, 4), (0, 4), (4,), (2, 2, 2)])
def test_components_need_several_rows(shape):
    with pytest.raises(ValueError, match=r"^features must be \(N, C\) with N at least 2, got"):
        principal_components(np.zeros(shape), 1)


@pytest.mark.parametrize("count", [0, -1])
def test_no_components_at_all_are_refused(count):
    with pytest.raises(ValueError, match=rf"^count must be at least 1, got {count}"):
        principal_components(np.zeros((5, 2)), count)


# ---------------------------------------------------------------- standardise


def test_columns_get_mean_zero_and_variance_one():
    x = drawn(70, 4) * [1e-3, 1, 5, 1e3] + [0, 2, -7, 1e3]
    found = standardise(x)
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-10)
    np.testing.assert_allclose(found.var(axis=0), 1, rtol=1e-10)
    for column in range(4):
        assert np.corrcoef(found[:, column], x[:, column])[0, 1] == pytest.approx(1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("value", [0.0, 0.5, 0.1, 1000.1])
def test_a_constant_column_becomes_zero(value, dtype):
    x = drawn(1024, 2).astype(dtype)
    x[:, 1] = value
    found = standardise(x)
    assert np.abs(found[:, 1]).max() < 1e-9
    assert found[:, 0].std() == pytest.approx(1, rel=1e-5)


def test_columns_of_float32_far_from_zero_have_mean_zero_too():
    found = standardise((drawn(1024, 3) + 1000).astype(np.float32))
    np.testing.assert_allclose(found.mean(axis=0, dtype=np.float64), 0, atol=1e-4)
