import math

import numpy as np
import pytest
import torch

from core.simsiam.joint_embedding import cosine_similarity
from core.simsiam.neighbours import (
    ROUNDING,
    Neighbours,
    accuracy,
    find,
    nearer,
    predict,
    vote,
)

CLASSES = 4


def drawn(count, channels, seed=0):
    return torch.randn(count, channels, generator=torch.Generator().manual_seed(seed))


def some_labels(count, seed=0, classes=CLASSES):
    return torch.randint(0, classes, (count,), generator=torch.Generator().manual_seed(seed))


def compass(*degrees):
    """Rows (N, 2) of these directions and of various lengths."""
    radians = torch.tensor(degrees, dtype=torch.float64).deg2rad()
    lengths = torch.arange(1, len(degrees) + 1)[:, None]
    return lengths * torch.stack([radians.cos(), radians.sin()], dim=1)


def neighbours_of(*similarities):
    """One query whose i-th neighbour is row i of the bank."""
    similarity = torch.tensor([similarities], dtype=torch.float32)
    return Neighbours(torch.arange(len(similarities))[None], similarity)


@pytest.fixture(scope="module")
def sides():
    """Two noisy groups a class: neighbours are mostly right, not always."""
    corners = 1.2 * drawn(2 * CLASSES, 6, seed=5)
    groups = some_labels(400, seed=6, classes=2 * CLASSES)
    features = corners[groups] + drawn(400, 6, seed=7)
    return features[:300], groups[:300] % CLASSES, features[300:], groups[300:] % CLASSES


# ---------------------------------------------------------------- find


@pytest.mark.parametrize("k", [1, 3, 20])
def test_the_nearest_have_the_highest_cosines_in_order(k):
    queries, bank = drawn(15, 8), drawn(60, 8, seed=1) + 0.3
    cosine = torch.nn.functional.cosine_similarity(queries[:, None], bank, dim=2)
    expected = cosine.sort(dim=1, descending=True)
    found = find(queries, bank, k)
    assert torch.equal(found.index, expected.indices[:, :k])
    assert found.index.dtype == torch.int64
    assert found.similarity.dtype == torch.float32
    torch.testing.assert_close(found.similarity, expected.values[:, :k])


def test_neighbours_are_those_of_scikit_learn():
    module = pytest.importorskip("sklearn.neighbors", reason="the second opinion here")
    queries, bank = drawn(40, 12), drawn(200, 12, seed=1)
    reference = module.NearestNeighbors(n_neighbors=30, metric="cosine").fit(bank.numpy())
    distance, index = reference.kneighbors(queries.numpy())
    found = find(queries, bank, 30)
    assert np.array_equal(found.index, index)
    np.testing.assert_allclose(found.similarity, 1 - distance, atol=1e-6)


def test_length_does_not_count_and_a_copy_has_a_cosine_of_one():
    bank = drawn(30, 5)
    order = torch.randperm(30, generator=torch.Generator().manual_seed(0))
    found = find(7 * bank[order], bank / 3, 1)
    assert torch.equal(found.index[:, 0], order)
    assert (found.similarity == 1).all()
    assert (find(-bank, bank, 30).similarity[:, -1] == -1).all()


def test_of_equals_the_lower_index_comes_first_at_the_last_place_too():
    bank = compass(40, 20, 0, 20, -20, 20, 40)
    expected = [2, 1, 3, 4, 5, 0, 6]
    for k in range(1, 8):
        assert find(compass(0), bank, k).index.tolist() == [expected[:k]]


@pytest.mark.parametrize("k", [1, 7, 8, 9, 100])
def test_copies_are_named_in_order_wherever_they_stand(k):
    """Many copies of few rows, in any order, wide enough for sums to be rounded differently."""
    different = drawn(40, 301, seed=2)
    which = some_labels(1000, seed=3, classes=40)
    cosine = torch.nn.functional.cosine_similarity(drawn(9, 301)[:, None], different, dim=2)
    expected = cosine[:, which].sort(dim=1, descending=True, stable=True).indices[:, :k]
    assert torch.equal(find(drawn(9, 301), different[which], k).index, expected)


def test_a_bank_of_one_row_again_and_again_is_named_from_its_beginning():
    row = drawn(1, 100)
    found = find(drawn(3, 100, seed=1), row.expand(50, -1), 10)
    assert found.index.tolist() == [list(range(10))] * 3
    assert (found.similarity == found.similarity[:, :1]).all()


@pytest.mark.parametrize("k", [5, 6, 200])
def test_more_neighbours_than_rows_are_the_whole_bank(k):
    queries, bank = drawn(4, 3), drawn(5, 3, seed=1)
    found = find(queries, bank, k)
    assert found.index.shape == found.similarity.shape == (4, 5)
    assert torch.equal(found.index.sort(dim=1).values, torch.arange(5).expand(4, 5))


def test_a_bank_of_one_row_is_everyones_neighbour():
    assert find(drawn(3, 2), drawn(1, 2, seed=1)).index.tolist() == [[0], [0], [0]]


@pytest.mark.parametrize("chunk", [1, 2, 7, 19, 20, 21, 1000])
def test_chunks_make_no_difference(chunk):
    queries, bank = drawn(20, 33), drawn(90, 33, seed=1).repeat(2, 1)
    expected, found = find(queries, bank, 11), find(queries, bank, 11, chunk=chunk)
    assert torch.equal(found.index, expected.index)
    assert torch.equal(found.similarity, expected.similarity)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_features_of_any_width_of_numbers_do(dtype):
    queries, bank = drawn(10, 64).to(dtype), drawn(80, 64, seed=1).to(dtype)
    found, expected = find(queries, bank, 5), find(queries.double(), bank.double(), 5)
    assert torch.equal(found.index, expected.index)
    assert torch.equal(found.similarity, expected.similarity)


def test_a_row_of_zeros_is_like_nothing():
    bank = torch.cat([torch.zeros(1, 2), compass(30, 150)])
    found = find(compass(0), bank, 3)
    assert found.index.tolist() == [[1, 0, 2]]
    assert found.similarity[0, 1] == 0
    assert (find(torch.zeros(1, 2), bank, 3).index == torch.arange(3)).all()


# ---------------------------------------------------------------- vote and predict


@pytest.mark.parametrize("temperature", [0.05, 0.1, 1.0])
@pytest.mark.parametrize("k", [1, 9, 50])
def test_scores_and_classes_are_those_of_scikit_learn(sides, k, temperature):
    module = pytest.importorskip("sklearn.neighbors", reason="the second opinion here")
    bank, labels, queries, truth = sides
    reference = module.KNeighborsClassifier(
        n_neighbors=k, metric="cosine", weights=lambda d: np.exp(-d / temperature)
    ).fit(bank.numpy(), labels.numpy())
    neighbours = find(queries, bank, k)
    scores = vote(neighbours, labels, CLASSES, temperature)
    np.testing.assert_allclose(scores, reference.predict_proba(queries.numpy()), atol=1e-5)
    predicted = reference.predict(queries.numpy())
    assert np.array_equal(predict(neighbours, scores, labels), predicted)
    found = accuracy(queries, truth, bank, labels, CLASSES, k, temperature)
    assert isinstance(found, float)
    assert found == pytest.approx((predicted == truth.numpy()).mean())


def test_classes_are_those_of_lightly(sides):
    knn = pytest.importorskip("lightly.utils.benchmarking.knn", reason="the second opinion here")
    bank, labels, queries, truth = sides
    unit = torch.nn.functional.normalize
    ranked = knn.knn_predict(unit(queries), unit(bank).T, labels, CLASSES, knn_k=20, knn_t=0.1)
    neighbours = find(queries, bank, 20)
    found = predict(neighbours, vote(neighbours, labels, CLASSES), labels)
    assert torch.equal(found, ranked[:, 0])
    right = (ranked[:, 0] == truth).double().mean()
    assert accuracy(queries, truth, bank, labels, CLASSES, k=20) == pytest.approx(float(right))


def test_a_vote_weighs_by_the_exponent_of_similarity_over_temperature():
    scores = vote(neighbours_of(0.9, 0.8, 0.5), torch.tensor([1, 0, 1]), 3)
    first, second, third = math.exp(9), math.exp(8), math.exp(5)
    total = first + second + third
    expected = [second / total, (first + third) / total, 0]
    assert scores[0].tolist() == pytest.approx(expected, rel=1e-5)
    assert scores.dtype == torch.float32


def test_high_temperatures_count_heads_and_low_ones_ask_the_nearest():
    neighbours, labels = neighbours_of(0.9, 0.3, 0.2, -0.4), torch.tensor([0, 1, 1, 2])
    assert vote(neighbours, labels, 3, 1e6)[0].tolist() == pytest.approx(
        [0.25, 0.5, 0.25], abs=1e-5
    )
    for temperature in (1e-3, 1e-8, 1e-300):
        assert vote(neighbours, labels, 3, temperature)[0].tolist() == [1, 0, 0]
    far = Neighbours(neighbours.index, neighbours.similarity - 0.95)
    torch.testing.assert_close(vote(far, labels, 3), vote(neighbours, labels, 3))


def test_scores_sum_to_one(sides):
    bank, labels, queries, _ = sides
    scores = vote(find(queries, bank), labels, CLASSES + 2)
    torch.testing.assert_close(scores.sum(dim=1), torch.ones(len(queries)))
    assert (scores[:, CLASSES:] == 0).all()
    assert (scores >= 0).all()


@pytest.mark.parametrize(
    ("similarities", "labels", "expected"),
    [
        ((0.9, 0.9), (2, 1), 2),
        ((0.5, 0.5, 0.5, 0.5), (3, 0, 0, 3), 3),
        ((0.9, 0.7, 0.7), (0, 2, 1), 0),
        ((0.4, 0.4, 0.4), (0, 2, 2), 2),
        ((0.4, 0.4, 0.4, 0.4, 0.4), (3, 2, 1, 1, 2), 2),
    ],
)
def test_of_classes_with_equal_scores_the_one_with_the_nearest_member_wins(
    similarities, labels, expected
):
    neighbours, labels = neighbours_of(*similarities), torch.tensor(labels)
    for order in (labels, 3 - labels):
        scores = vote(neighbours, order, CLASSES)
        wanted = expected if order is labels else 3 - expected
        assert predict(neighbours, scores, order).tolist() == [wanted]


def test_equal_votes_added_in_another_order_are_still_equal():
    values = torch.rand(25, generator=torch.Generator().manual_seed(0)).tolist()
    neighbours = neighbours_of(*values, *values[::-1])
    labels = torch.tensor([1] * 25 + [0] * 25)
    scores = vote(neighbours, labels, 2)
    assert scores[0, 0] == scores[0, 1]
    assert predict(neighbours, scores, labels).tolist() == [1]


@pytest.mark.parametrize("dtype", [torch.int32, torch.uint8])
def test_labels_of_other_integers_do(sides, dtype):
    bank, labels, queries, truth = sides
    expected = accuracy(queries, truth, bank, labels, CLASSES)
    found = accuracy(queries, truth.to(dtype), bank, labels.to(dtype), CLASSES)
    assert found == expected


def test_accuracy_of_known_neighbours():
    bank, labels = compass(0, 10, 20, 180), torch.tensor([0, 0, 1, 1])
    queries = compass(-5, 25, 170, 1)
    truth = torch.tensor([0, 1, 0, 1])
    assert accuracy(queries, truth, bank, labels, 2, k=1) == 0.5
    assert accuracy(bank, labels, bank, labels, 2, k=1) == 1
    assert accuracy(queries, truth, bank, 1 - labels, 2, k=1) == 0.5
    assert accuracy(queries, 1 - truth, bank, labels, 2, k=1) == 0.5
    assert accuracy(queries[2:], truth[2:], bank, labels, 2, k=1) == 0


def test_defaults_are_200_neighbours_and_a_temperature_of_a_tenth():
    """One in the same direction outweighs 199 at 120 degrees, but not where tau is 1."""
    bank = torch.cat([compass(0), compass(120).expand(199, -1), compass(180).expand(9, -1)])
    assert find(compass(0), bank).index.tolist() == [list(range(200))]
    labels = (torch.arange(209) > 0).long()
    neighbours = find(compass(0), bank)
    share = math.exp(10) / (math.exp(10) + 199 * math.exp(-5))
    assert vote(neighbours, labels, 2)[0, 0] == pytest.approx(share, rel=1e-6)
    assert accuracy(compass(0), labels[:1], bank, labels, 2) == 1
    assert accuracy(compass(0), labels[:1], bank, labels, 2, temperature=1.0) == 0


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize("k", [0, -3])
def test_no_neighbours_at_all_are_refused(k):
    with pytest.raises(ValueError, match=rf"^k must be at least 1, got {k}"):
        find(drawn(2, 3), drawn(4, 3), k)
    with pytest.raises(ValueError, match=rf"^chunk must be at least 1, got {k}"):
        find(drawn(2, 3), drawn(4, 3), chunk=k)


@pytest.mark.parametrize(
    ("queries", "bank", "name"),
    [
        ((2, 3), (0, 3), r"bank must be \(N, d\) with N at least 1, got \(0, 3\)"),
        ((2, 3), (3,), r"bank must be \(N, d\)"),
        ((0, 3), (2, 3), r"queries must be \(N, d\) with N at least 1, got \(0, 3\)"),
        ((3,), (2, 3), r"queries must be \(N, d\)"),
        ((2, 4), (2, 3), "queries must be as wide as bank, 3, got 4"),
    ],
)
def test_features_of_other_shapes_are_refused(queries, bank, name):
    with pytest.raises(ValueError, match=f"^{name}"):
        find(torch.ones(queries), torch.ones(bank))


def test_features_that_are_not_finite_are_refused():
    bad = torch.tensor([[1.0, math.nan]])
    with pytest.raises(ValueError, match=r"^bank must be finite"):
        find(torch.ones(1, 2), bad)
    with pytest.raises(ValueError, match=r"^queries must be finite"):
        find(bad, torch.ones(1, 2))


@pytest.mark.parametrize("temperature", [0, -0.1])
def test_temperatures_not_above_zero_are_refused(temperature):
    with pytest.raises(ValueError, match=rf"^temperature must be above 0, got {temperature}"):
        vote(neighbours_of(0.5), torch.tensor([0]), 2, temperature)


@pytest.mark.parametrize(
    ("labels", "classes", "message"),
    [
        ([0, 1, 2], 2, "labels must be 0 to 1, got 0 to 2"),
        ([0, 1, -1], 2, "labels must be 0 to 1, got -1 to 1"),
        ([0, 0, 0], 0, "classes must be at least 1, got 0"),
        ([0, 1], 2, r"labels must be \(N,\) with N above 2, got \(2,\)"),
        ([[0], [1], [0]], 2, r"labels must be \(N,\) with N above 2, got \(3, 1\)"),
    ],
)
def test_labels_that_cannot_be_are_refused(labels, classes, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        vote(neighbours_of(0.5, 0.4, 0.3), torch.tensor(labels), classes)


def test_scores_of_other_queries_or_labels_are_refused():
    neighbours, labels = neighbours_of(0.5, 0.4), torch.tensor([0, 2])
    for shape in ((2, 3), (1, 2), (3,)):
        with pytest.raises(ValueError, match=r"^scores must be \(Q, classes\) of 1 queries"):
            predict(neighbours, torch.ones(shape), labels)
    with pytest.raises(ValueError, match=r"^scores must be highest for a class among"):
        predict(neighbours, torch.tensor([[0.1, 0.8, 0.1]]), labels)


def test_labels_of_other_lengths_are_refused():
    x, y = drawn(4, 2), some_labels(4)
    with pytest.raises(ValueError, match=r"^query_labels must be \(4,\), got \(3,\)"):
        accuracy(x, y[:3], x, y, CLASSES)
    with pytest.raises(ValueError, match=r"^labels must be \(4,\), got \(5,\)"):
        accuracy(x, y, x, some_labels(5), CLASSES)
    with pytest.raises(ValueError, match=r"^labels must be \(4,\), got \(4, 1\)"):
        accuracy(x, y, x, y[:, None], CLASSES)
    with pytest.raises(ValueError, match=r"^query_labels must be 0 to 3, got"):
        accuracy(x, y + 4, x, y, CLASSES)
    with pytest.raises(ValueError, match=r"^queries must be \(N, d\) with N at least 1"):
        accuracy(x[:0], y[:0], x, y, CLASSES)


# ---------------------------------------------------------------- which of two is nearer


def test_the_nearer_are_counted_and_equals_are_not_misses():
    first = np.array([0.9, 0.2, 1.0, 1.0, 0.5])
    second = np.array([0.1, 0.3, 1.0, 1.0 - ROUNDING / 2, 0.5 + 2 * ROUNDING])
    found = nearer(first, second)
    assert (found.first, found.ties, found.count, found.decisions) == (1, 2, 5, 3)
    swapped = nearer(second, first)
    assert (swapped.first, swapped.ties) == (found.decisions - found.first, found.ties)


def test_what_is_called_rounding_is_rounding_and_no_more():
    """Cosines in single precision of vectors as long as SimSiam's z, some of them nearly parallel."""
    rows = drawn(200, 2048, seed=3).double()
    worst = 0.0
    for apart in (1.0, 0.1, 1e-3, 0.0):
        others = rows + apart * drawn(200, 2048, seed=4).double()
        exact = torch.nn.functional.cosine_similarity(rows, others, dim=1)
        single = cosine_similarity(rows.float(), others.float())
        worst = max(worst, float((single.double() - exact).abs().max()))
    assert worst < ROUNDING / 2  # two such cosines are compared
    equal = drawn(50, 2048, seed=5)
    collapsed = cosine_similarity(equal, equal * torch.linspace(0.5, 2, 50)[:, None]).numpy()
    assert nearer(collapsed, np.ones_like(collapsed)).ties == 50


def test_only_rows_of_one_length_are_compared():
    for first, second in ((np.ones(3), np.ones(4)), (np.ones((2, 2)), np.ones((2, 2)))):
        with pytest.raises(ValueError, match="first and second must be"):
            nearer(first, second)
