import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from core.judge.adversarial import fgsm, loss_gradient, pgd
from core.judge.model import Judge

SHAPE = (3, 2, 2)


def linear(seeded, classes=4):
    """logits = W x + b, in double."""
    layer = nn.Linear(math.prod(SHAPE), classes).double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=seeded(3)))
    return nn.Sequential(nn.Flatten(), layer)


def pictures(seeded, count=6, shape=SHAPE, most=1.0):
    unit = torch.rand(count, *shape, generator=seeded(4), dtype=torch.float64)
    return (2 * unit - 1) * most


LABELS = torch.tensor([0, 1, 2, 3, 0, 1])


@pytest.fixture
def judge(tiny_judge, stirred):
    return stirred(Judge(tiny_judge)).eval()


def by_hand(classifier, x, labels):
    """(p - one-hot) W: the gradient of the cross-entropy of a linear classifier."""
    weight = classifier[1].weight.detach()
    p = classifier(x).softmax(dim=1).detach()
    return ((p - F.one_hot(labels, p.shape[1])) @ weight).view_as(x)


def losses(classifier, x, labels):
    return F.cross_entropy(classifier(x), labels, reduction="none").detach()


# ---------------------------------------------------------------- one step


def test_the_gradient_of_a_linear_classifier_is_the_known_one(seeded):
    classifier, x = linear(seeded), pictures(seeded)
    found = loss_gradient(classifier, x, LABELS)
    torch.testing.assert_close(found, by_hand(classifier, x, LABELS))


def test_fgsm_goes_epsilon_along_the_sign_of_the_gradient(seeded):
    classifier, x = linear(seeded), pictures(seeded, most=0.8)
    gradient = by_hand(classifier, x, LABELS)
    assert (gradient < 0).any()
    assert (gradient > 0).any()
    found = fgsm(classifier, x, LABELS, 0.1)
    torch.testing.assert_close(found, x + 0.1 * gradient.sign())
    beyond = fgsm(classifier, x, LABELS, 0.5)
    torch.testing.assert_close(beyond, (x + 0.5 * gradient.sign()).clamp(-1, 1))
    assert (beyond.abs() == 1).any()


def test_where_nothing_depends_on_a_value_it_stays(seeded):
    classifier, x = linear(seeded), pictures(seeded)
    with torch.no_grad():
        classifier[1].weight[:, 5] = 0
    found = fgsm(classifier, x, LABELS, 0.1).flatten(1)
    assert torch.equal(found[:, 5], x.flatten(1)[:, 5])
    assert (found != x.flatten(1))[:, 4].all()


# ---------------------------------------------------------------- many steps


def test_pgd_reaches_the_corner_of_a_classifier_of_two_classes(seeded):
    """There the best direction is the same everywhere: sign of w_other - w_label."""
    classifier, x = linear(seeded, classes=2), pictures(seeded)
    labels = LABELS % 2
    weight = classifier[1].weight.detach()
    way = (weight[1 - labels] - weight[labels]).view_as(x).sign()
    corner = (x + 0.3 * way).clamp(-1, 1)
    for generator in (None, seeded(0), [seeded(i) for i in range(6)]):
        found = pgd(classifier, x, labels, 0.3, generator=generator)
        torch.testing.assert_close(found, corner)
        # From the far corner 2 epsilon have to be made good.
        few = pgd(classifier, x, labels, 0.3, steps=3, step_size=0.2, generator=generator)
        torch.testing.assert_close(few, corner)


def test_steps_are_two_and_a_half_times_epsilon_shared_out(seeded):
    """And no further than epsilon in all: what the classifier is asked about shows it."""
    classifier, x, asked = linear(seeded), pictures(seeded, most=0.5), []

    def watched(picture):
        asked.append(picture.detach().clone())
        return classifier(picture)

    for options, step in (({}, 0.05), ({"steps": 5}, 0.1), ({"step_size": 0.03}, 0.03)):
        asked.clear()
        found = pgd(watched, x, LABELS, 0.2, **options)
        assert len(asked) == options.get("steps", 10)
        expected = x
        for picture in asked:
            torch.testing.assert_close(picture, expected)
            sign = by_hand(classifier, expected, LABELS).sign()
            expected = (expected + step * sign).clamp(min=x - 0.2).clamp(max=x + 0.2)
        torch.testing.assert_close(found, expected)
    one = pgd(classifier, x, LABELS, 0.2, steps=1)
    torch.testing.assert_close(one, fgsm(classifier, x, LABELS, 0.2))


def test_the_random_start_is_uniform_within_epsilon(seeded):
    def indifferent(x):
        return x.flatten(1)[:, :2] * 0

    x = torch.zeros(1, 3, 100, 100, dtype=torch.float64)
    found = pgd(indifferent, x, torch.zeros(1, dtype=torch.long), 0.4, generator=seeded(1))
    assert found.abs().max() <= 0.4
    assert found.min() < -0.39
    assert found.max() > 0.39
    assert abs(found.mean()) < 4 * 0.4 / math.sqrt(3 * 30_000)
    assert found.std().item() == pytest.approx(0.4 / math.sqrt(3), rel=0.02)
    again = pgd(indifferent, x, torch.zeros(1, dtype=torch.long), 0.4, generator=seeded(1))
    assert torch.equal(found, again)
    still = pgd(indifferent, x, torch.zeros(1, dtype=torch.long), 0.4)
    assert torch.equal(still, x)


def test_a_picture_with_its_own_generator_does_not_depend_on_the_batch(judge, seeded):
    x = pictures(seeded, 4, (3, 32, 32)).float()
    labels = torch.tensor([1, 2, 3, 4])
    together = pgd(judge, x, labels, 0.1, steps=3, generator=[seeded(9 + i) for i in range(4)])
    for row in range(4):
        one = slice(row, row + 1)
        alone = pgd(judge, x[one], labels[one], 0.1, steps=3, generator=[seeded(9 + row)])
        # A gradient near 0 may change its sign by rounding.
        same = (alone[0] - together[row]).abs() < 1e-5
        assert same.float().mean() > 0.99


# ---------------------------------------------------------------- what every attack keeps

ATTACKS = {
    "fgsm": lambda *given: fgsm(*given),
    "pgd": lambda *given: pgd(*given, steps=5),
    "pgd-random": lambda *given: pgd(*given, steps=5, generator=torch.Generator().manual_seed(1)),
}


@pytest.fixture(params=ATTACKS)
def attack(request):
    return ATTACKS[request.param]


@pytest.mark.parametrize("epsilon", [2 / 255, 0.1, 0.7, 2.0])
def test_it_stays_near_the_picture_and_within_the_range(judge, attack, epsilon, seeded):
    x = pictures(seeded, 4, (3, 32, 32)).float()
    x[0], x[1] = -1, 1
    found = attack(judge, x, torch.arange(4), epsilon)
    assert found.shape == x.shape
    assert found.dtype == x.dtype
    assert found.abs().max() <= 1
    assert (found - x).abs().max() <= epsilon + 1e-6
    assert (found - x).abs().max() > 0.9 * min(epsilon, 1)


def test_it_raises_the_loss_of_every_picture(judge, attack, seeded):
    x = pictures(seeded, 4, (3, 32, 32)).float()
    labels = judge(x).argmax(dim=1)
    before = losses(judge, x, labels)
    after = losses(judge, attack(judge, x, labels, 0.05), labels)
    assert (after > before).all()


def test_many_steps_raise_it_more_than_one(judge, seeded):
    x = pictures(seeded, 8, (3, 32, 32)).float()
    labels = judge(x).argmax(dim=1)
    one, many = (
        losses(judge, found, labels).mean()
        for found in (fgsm(judge, x, labels, 0.1), pgd(judge, x, labels, 0.1))
    )
    assert many > one


def test_with_no_room_nothing_changes(judge, attack, seeded):
    x = pictures(seeded, 2, (3, 32, 32)).float()
    assert torch.equal(attack(judge, x, torch.tensor([1, 2]), 0.0), x)


def test_the_classifier_and_the_picture_are_left_as_they_were(judge, attack, seeded):
    x = pictures(seeded, 2, (3, 32, 32)).float()
    kept = x.clone()
    weights = {name: value.clone() for name, value in judge.state_dict().items()}
    before = torch.random.get_rng_state()
    found = attack(judge, x, torch.tensor([1, 2]), 0.1)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(x, kept)
    assert not x.requires_grad
    assert not found.requires_grad
    assert x.grad is None
    for name, value in judge.state_dict().items():
        assert torch.equal(value, weights[name])
    assert all(parameter.grad is None for parameter in judge.parameters())
    assert all(parameter.requires_grad for parameter in judge.parameters())


def test_it_works_where_gradients_are_off_and_on_weights_that_are_frozen(judge, attack, seeded):
    x = pictures(seeded, 2, (3, 32, 32)).float()
    expected = attack(judge, x, torch.tensor([1, 2]), 0.1)
    judge.requires_grad_(False)
    with torch.no_grad():
        torch.testing.assert_close(attack(judge, x, torch.tensor([1, 2]), 0.1), expected)


@pytest.mark.parametrize("epsilon", [-0.1, 2.1, math.nan])
def test_a_change_of_no_possible_size_is_refused(judge, attack, epsilon, seeded):
    with pytest.raises(ValueError, match=r"^epsilon must be 0 to 2, got"):
        attack(judge, pictures(seeded, 1, (3, 32, 32)).float(), torch.tensor([1]), epsilon)


def test_pgd_without_a_step_is_refused(judge, seeded):
    with pytest.raises(ValueError, match=r"^steps must be at least 1, got 0"):
        pgd(judge, pictures(seeded, 1, (3, 32, 32)).float(), torch.tensor([1]), 0.1, steps=0)
