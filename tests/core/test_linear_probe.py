import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from core.linear_probe import linear_probe

CLASSES = 4


@pytest.fixture(scope="module")
def sides():
    """Groups that overlap, with channels of very different means and spreads."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, CLASSES, (500,), generator=generator)
    corners = torch.randn(CLASSES, 7, generator=generator, dtype=torch.float64)
    features = corners[labels] + torch.randn(500, 7, generator=generator, dtype=torch.float64)
    features = features * 10.0 ** torch.arange(-3, 4) + torch.tensor([0, 1, -1, 5, 0, -70, 1e4])
    return features[:350], labels[:350], features[350:], labels[350:]


def right(x, y, probe):
    return float(
        (F.linear(x.double(), probe.weight, probe.bias).argmax(dim=1) == y).double().mean()
    )


@pytest.mark.parametrize("penalty", [1e-4, 1e-3, 0.1, 3.0])
def test_it_is_the_classifier_of_scikit_learn(sides, penalty):
    """Whose C weighs the sum of the losses against half the squared weights: 1 / (penalty N)."""
    module = pytest.importorskip("sklearn.linear_model", reason="the second opinion here")
    x, y, test_x, test_y = (part.numpy() for part in sides)
    mean, std = x.mean(axis=0), x.std(axis=0)
    reference = module.LogisticRegression(C=1 / (penalty * len(x)), tol=1e-10, max_iter=5000)
    reference.fit((x - mean) / std, y)
    probe = linear_probe(*sides, CLASSES, penalty=penalty)
    np.testing.assert_allclose(probe.weight.numpy() * std, reference.coef_, atol=1e-4)
    bias = probe.bias.numpy() + probe.weight.numpy() @ mean
    np.testing.assert_allclose(
        bias - bias.mean(), reference.intercept_ - reference.intercept_.mean(), atol=1e-4
    )
    assert probe.train_accuracy == reference.score((x - mean) / std, y)
    assert probe.test_accuracy == reference.score((test_x - mean) / std, test_y)


@pytest.mark.parametrize("penalty", [1e-3, 0.5])
def test_at_the_minimum_the_gradient_is_zero(sides, penalty):
    x, y, test_x, test_y = sides
    probe = linear_probe(x, y, test_x, test_y, CLASSES, penalty=penalty)
    mean, std = x.mean(dim=0), x.std(dim=0, correction=0)
    weight = (probe.weight * std).requires_grad_()
    bias = (probe.bias + probe.weight @ mean).requires_grad_()
    logits = F.linear((x - mean) / std, weight, bias)
    loss = F.cross_entropy(logits, y) + penalty / 2 * weight.square().sum()
    for gradient in torch.autograd.grad(loss, (weight, bias)):
        assert gradient.abs().max() < 1e-6


def test_without_anything_to_read_the_bias_says_how_frequent_a_class_is():
    y = torch.tensor([0] * 5 + [1] * 3 + [2] * 2)
    probe = linear_probe(
        torch.full((10, 2), 0.1), y, torch.zeros(4, 2), torch.tensor([0, 1, 2, 0]), 3
    )
    assert (probe.weight == 0).all()
    assert probe.bias.softmax(dim=0).tolist() == pytest.approx([0.5, 0.3, 0.2], abs=1e-5)
    assert probe.train_accuracy == 0.5
    assert probe.test_accuracy == 0.5


@pytest.mark.parametrize("gap", [0.5, 4.0])
def test_two_points_have_a_closed_form(gap):
    """At 1 and -1 once standardised, with weights w and -w: the gradient of
    log(1 + e^-2w) + penalty w^2 is zero where penalty w = 1 / (1 + e^2w)."""
    x, y = torch.tensor([[7.0 + gap], [7.0 - gap]]), torch.tensor([1, 0])
    probe = linear_probe(x, y, x, y, 2, penalty=0.2)
    weight = float(probe.weight[1]) * gap
    assert float(probe.weight[0]) * gap == pytest.approx(-weight)
    assert 0.2 * weight == pytest.approx(1 / (1 + math.exp(2 * weight)), rel=1e-5)
    middle = F.linear(torch.tensor([[7.0]], dtype=torch.float64), probe.weight, probe.bias)
    assert middle.diff().item() == pytest.approx(0, abs=1e-6)


def test_weight_and_bias_are_for_features_as_they_come(sides):
    x, y, test_x, test_y = sides
    probe = linear_probe(*sides, CLASSES)
    assert probe.weight.shape == (CLASSES, 7)
    assert probe.bias.shape == (CLASSES,)
    assert probe.train_accuracy == right(x, y, probe)
    assert probe.test_accuracy == right(test_x, test_y, probe)
    assert 0.7 < probe.test_accuracy < probe.train_accuracy < 1


def test_scale_and_place_of_a_channel_make_no_difference(sides):
    x, y, test_x, test_y = sides
    plain = linear_probe(x, y, test_x, test_y, CLASSES)
    scale, shift = torch.linspace(0.1, 9, 7), torch.linspace(-3, 3, 7)
    moved = linear_probe(x * scale + shift, y, test_x * scale + shift, test_y, CLASSES)
    np.testing.assert_allclose(moved.weight * scale, plain.weight, rtol=1e-3, atol=1e-6)
    assert moved.train_accuracy == plain.train_accuracy
    assert moved.test_accuracy == plain.test_accuracy


@pytest.mark.parametrize("value", [0.0, 0.1, 1000.1])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_channel_that_never_changes_in_training_is_not_read(sides, value, dtype):
    x, y, test_x, test_y = sides
    plain = linear_probe(x.to(dtype), y, test_x.to(dtype), test_y, CLASSES)
    constant = torch.cat([x, torch.full((350, 1), value, dtype=torch.float64)], dim=1).to(dtype)
    wild = torch.cat([test_x, torch.linspace(-1e6, 1e6, 150)[:, None]], dim=1).to(dtype)
    probe = linear_probe(constant, y, wild, test_y, CLASSES)
    assert (probe.weight[:, -1] == 0).all()
    assert probe.test_accuracy == plain.test_accuracy
    torch.testing.assert_close(probe.weight[:, :-1], plain.weight, rtol=1e-4, atol=1e-8)


def test_test_features_are_standardised_as_the_training_ones_were(sides):
    """One test row alone gets the answer that it gets among others."""
    x, y, test_x, test_y = sides
    whole = linear_probe(x, y, test_x, test_y, CLASSES)
    single = [
        linear_probe(x, y, test_x[row : row + 1], test_y[row : row + 1], CLASSES).test_accuracy
        for row in range(8)
    ]
    answers = F.linear(test_x[:8], whole.weight, whole.bias).argmax(dim=1)
    assert single == (answers == test_y[:8]).double().tolist()
    assert set(single) == {0.0, 1.0}


def test_what_a_line_can_separate_is_separated_and_what_it_cannot_is_not():
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(600, 2, generator=generator) * 2 - 1
    slanted, crossed = (x.sum(dim=1) > 0).long(), (x.prod(dim=1) > 0).long()
    parts = x[:400], x[400:]
    easy = linear_probe(parts[0], slanted[:400], parts[1], slanted[400:], 2, penalty=1e-5)
    hard = linear_probe(parts[0], crossed[:400], parts[1], crossed[400:], 2, penalty=1e-5)
    assert easy.train_accuracy > 0.99
    assert easy.test_accuracy > 0.97
    assert hard.test_accuracy < 0.65


def test_a_larger_penalty_makes_smaller_weights(sides):
    std = sides[0].std(dim=0)
    sizes = [
        float((linear_probe(*sides, CLASSES, penalty=penalty).weight * std).norm())
        for penalty in (1e-4, 1e-2, 1, 100)
    ]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < 0.02 < 1 < sizes[0]


def test_the_same_features_give_the_same_probe_and_nothing_else_changes(sides):
    state = torch.get_rng_state()
    before = [part.clone() for part in sides]
    first, again = (linear_probe(*sides, CLASSES) for _ in range(2))
    assert torch.equal(first.weight, again.weight)
    assert torch.equal(first.bias, again.bias)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(part, copy) for part, copy in zip(sides, before, strict=True))


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_it_fits_where_gradients_are_off(sides, mode):
    expected = linear_probe(*sides, CLASSES)
    with mode():
        found = linear_probe(*(part.clone() for part in sides), CLASSES)
    assert torch.equal(found.weight, expected.weight)
    assert found.test_accuracy == expected.test_accuracy
    assert not expected.weight.requires_grad


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_narrow_features_are_fitted_in_float64(sides, dtype):
    x, y, test_x, test_y = sides
    x, test_x = x[:, :6].to(dtype), test_x[:, :6].to(dtype)
    found = linear_probe(x, y.to(torch.uint8), test_x, test_y.int(), CLASSES)
    expected = linear_probe(x.double(), y, test_x.double(), test_y, CLASSES)
    assert found.weight.dtype == torch.float64
    assert torch.equal(found.weight, expected.weight)
    assert found.test_accuracy == expected.test_accuracy


def test_more_channels_than_rows_are_fitted_too():
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(20, 100, generator=generator)
    y = torch.randint(0, 3, (20,), generator=generator)
    probe = linear_probe(x, y, x, y, 3)
    assert probe.train_accuracy == 1


def test_a_class_that_is_never_there_is_never_the_answer(sides):
    x, y, test_x, test_y = sides
    probe = linear_probe(x, y, test_x, test_y, CLASSES + 1)
    answers = F.linear(test_x, probe.weight, probe.bias).argmax(dim=1)
    assert (answers < CLASSES).all()


def test_fewer_iterations_stop_earlier(sides):
    early, late = (linear_probe(*sides, CLASSES, iterations=count) for count in (1, 1000))
    assert early.train_accuracy < late.train_accuracy
    assert not torch.allclose(early.weight, late.weight, rtol=0.1)


# ---------------------------------------------------------------- what is refused


X, Y = torch.tensor([[0.0, 1.0], [1.0, 0.0], [2.0, 2.0]]), torch.tensor([0, 1, 1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"penalty": 0}, "penalty must be above 0, got 0"),
        ({"penalty": -1.0}, "penalty must be above 0, got -1.0"),
        ({"iterations": 0}, "iterations must be at least 1, got 0"),
        ({"classes": 1}, "classes must be at least 2, got 1"),
        ({"features": X[0]}, r"features must be \(N, d\) with N at least 1, got \(2,\)"),
        ({"features": X[:0], "labels": Y[:0]}, r"features must be \(N, d\) with N at least 1"),
        ({"features": X * math.nan}, "features must be finite"),
        ({"test_features": X * math.inf}, "test_features must be finite"),
        ({"test_features": X[:0], "test_labels": Y[:0]}, r"test_features must be \(N, d\)"),
        ({"test_features": X[:, :1]}, "test_features must be as wide as features, 2, got 1"),
        ({"labels": Y[:2]}, r"labels must be \(3,\), got \(2,\)"),
        ({"labels": Y[:, None]}, r"labels must be \(3,\), got \(3, 1\)"),
        ({"test_labels": Y[:1]}, r"test_labels must be \(3,\), got \(1,\)"),
        ({"labels": Y + 1}, "labels must be 0 to 1, got 1 to 2"),
        ({"test_labels": Y - 1}, "test_labels must be 0 to 1, got -1 to 0"),
    ],
)
def test_what_cannot_be_fitted_is_refused(change, message):
    given = {
        "features": X,
        "labels": Y,
        "test_features": X,
        "test_labels": Y,
        "classes": 2,
    }
    with pytest.raises(ValueError, match=f"^{message}"):
        linear_probe(**(given | change))
