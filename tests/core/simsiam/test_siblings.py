import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from core.simsiam import barlow_twins, byol, vicreg
from core.simsiam import simsiam as siamese
from core.simsiam.barlow_twins import BarlowTwins, BarlowTwinsConfig, cross_correlation
from core.simsiam.byol import BYOL, BYOLConfig
from core.simsiam.dssl import DSSL, directed_loss
from core.simsiam.joint_embedding import Outputs
from core.simsiam.methods import METHODS
from core.simsiam.simsiam import SimSiam, SimSiamConfig
from core.simsiam.vicreg import VICReg, VICRegConfig, covariance_term, variance_term

SIZE = {"width": 2, "stem": "strided", "hidden": 8, "dim": 6, "predictor_hidden": 4}
BATCH = 12


def rows(*values):
    return torch.tensor(values, dtype=torch.float64)


def drawn(seed, *shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def views(seed, count=2):
    return [drawn(seed + place, BATCH, 3, 32, 32).clamp(-1, 1) for place in range(count)]


@pytest.fixture
def make(stirred):
    """A small network in float64 that trains, always with the same weights."""

    def build(kind, **changes):
        return stirred(kind(kind.config_class(**SIZE, **changes)).double())

    return build


def gradients(value, model):
    """Gradient by parameter that learns, 0 where there is none."""
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    found = torch.autograd.grad(value, [p for _name, p in named], materialize_grads=True)
    return dict(zip([name for name, _p in named], found, strict=True))


def close(found, expected, factor=1.0):
    assert found.keys() == expected.keys()
    for name, value in found.items():
        torch.testing.assert_close(value, factor * expected[name], rtol=1e-10, atol=1e-12)


def lightly():
    return pytest.importorskip("lightly.loss", reason="lightly is the second opinion here")


# ---------------------------------------------------------------- what all have in common


@pytest.mark.parametrize("method", METHODS)
def test_views_loss_is_a_scalar_and_what_it_was_made_of(make, method):
    model = make(METHODS[method])
    value, outputs = model.views_loss(*views(1))
    assert value.shape == ()
    assert value.isfinite()
    assert isinstance(outputs, Outputs)
    assert [part.shape for part in outputs] == [(BATCH, 6)] * 4
    found = gradients(value, model)
    assert found["backbone.stem.0.weight"].abs().max() > 1e-6
    assert found["projector.6.weight"].abs().max() > 1e-6


@pytest.mark.parametrize("method", METHODS)
def test_the_loss_is_the_same_when_the_views_change_places(make, method):
    model = make(METHODS[method])
    x1, x2 = views(2)
    value, outputs = model.views_loss(x1, x2)
    mirrored, other = model.views_loss(x2, x1)
    torch.testing.assert_close(value, mirrored)
    torch.testing.assert_close(outputs.p1, other.p2)
    torch.testing.assert_close(outputs.z1, other.z2)


@pytest.mark.parametrize("method", METHODS)
def test_equal_views_have_equal_outputs(make, method):
    x1, x2 = views(3)
    _value, outputs = make(METHODS[method]).views_loss(x1, x1.clone())
    assert torch.equal(outputs.p1, outputs.p2)
    assert torch.equal(outputs.z1, outputs.z2)
    _value, outputs = make(METHODS[method]).views_loss(x1, x2)
    assert (outputs.z1 - outputs.z2).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("method", "changes"),
    [
        ("simsiam", {}),
        ("dssl", {}),
        ("byol", {}),
        ("barlow_twins", {"redundancy": 1.0}),
        ("vicreg", {"invariance": 0.0, "variance": 0.0, "covariance": 1.0}),
    ],
)
def test_the_loss_is_computed_in_single_precision_where_the_network_is_not(make, method, changes):
    model = make(METHODS[method], **changes).float()
    x1, x2 = (x.float() for x in views(4))
    with torch.autocast("cpu", torch.bfloat16):
        value, outputs = model.views_loss(x1, x2)
    assert value.dtype == torch.float32
    p1, p2, z1, z2 = (part.float() for part in outputs)
    expected = {
        "barlow_twins": lambda: barlow_twins.loss(z1, z2, 1.0),
        "vicreg": lambda: vicreg.loss(z1, z2, 0.0, 0.0, 1.0),
        "byol": lambda: byol.loss(p1, p2, z1, z2),
    }.get(method, lambda: siamese.loss(p1, p2, z1, z2))
    torch.testing.assert_close(value, expected(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("method", sorted(set(METHODS) - {"byol"}))
def test_only_byol_does_something_after_a_step(make, method):
    model = make(METHODS[method])
    before = copy.deepcopy(model.state_dict())
    model.after_step()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


# ---------------------------------------------------------------- BYOL


def test_the_loss_of_byol_is_the_squared_distance_of_unit_rows():
    p1, p2, z1, z2 = (drawn(10 + place, 7, 5) for place in range(4))
    unit = [part / part.square().sum(dim=1, keepdim=True).sqrt() for part in (p1, p2, z1, z2)]
    first = (unit[0] - unit[3]).square().sum(dim=1)
    second = (unit[1] - unit[2]).square().sum(dim=1)
    torch.testing.assert_close(byol.loss(p1, p2, z1, z2), (first + second).mean())


@pytest.mark.parametrize(
    ("p1", "p2", "expected"),
    [
        ((3, 0), (0, 2), 0),
        ((3, 0), (0, -2), 4),
        ((-3, 0), (0, -2), 8),
        ((3, 0), (1, 0), 2),
        ((0, 1), (1, 0), 4),
        ((-3, 0), (1, 0), 6),
    ],
)
def test_the_loss_of_byol_of_known_directions(p1, p2, expected):
    found = byol.loss(rows(p1), rows(p2), rows((0, 5)), rows((0.1, 0)))
    assert found.shape == ()
    assert found.item() == pytest.approx(expected, abs=1e-12)


def test_the_target_begins_as_the_network_and_does_not_learn():
    model = BYOL(BYOLConfig(**SIZE))
    values = model.state_dict()
    targets = [name for name in values if name.startswith("target_")]
    assert len(targets) == len(
        [name for name in values if name.startswith(("backbone.", "projector."))]
    )
    for name in targets:
        assert torch.equal(values[name], values[name.removeprefix("target_")])
    for name, parameter in model.named_parameters():
        assert parameter.requires_grad != name.startswith("target_")


def test_the_gradient_of_byol_is_that_of_a_loss_with_targets_from_elsewhere(make):
    model = make(BYOL)
    x1, x2 = (x.requires_grad_() for x in views(20))
    elsewhere = copy.deepcopy(model)
    value, outputs = model.views_loss(x1, x2)
    z1, z2 = (elsewhere.target_projector(elsewhere.target_backbone(x)) for x in (x1, x2))
    p1, p2 = (model.predictor(model.projector(model.backbone(x))) for x in (x1, x2))
    for found, expected in zip(outputs, (p1, p2, z1, z2), strict=True):
        torch.testing.assert_close(found, expected)
    assert not outputs.z1.requires_grad
    assert not outputs.z2.requires_grad
    expected = 2 - 2 * F.cosine_similarity(p1, z2) + 2 - 2 * F.cosine_similarity(p2, z1)
    close(gradients(value, model), gradients(expected.mean(), model))
    model.views_loss(x1, x2)[0].backward()
    for name, parameter in model.named_parameters():
        assert (parameter.grad is None) == name.startswith("target_"), name


def descend(model, seed, rate=0.1):
    """One step of gradient descent."""
    learning = [p for p in model.parameters() if p.requires_grad]
    found = torch.autograd.grad(model.views_loss(*views(seed))[0], learning)
    with torch.no_grad():
        for parameter, gradient in zip(learning, found, strict=True):
            parameter.sub_(rate * gradient)


def weights(model, part):
    return {
        name.removeprefix(part): value.detach().clone()
        for name, value in model.named_parameters()
        if name.startswith((f"{part}backbone.", f"{part}projector."))
    }


def test_the_target_is_an_exponential_average_of_the_network(make):
    model = make(BYOL, momentum=0.9)
    expected = weights(model, "target_")
    for step in range(3):
        descend(model, 30 + 2 * step)
        model.after_step()
        now = weights(model, "")
        expected = {name: 0.9 * old + 0.1 * now[name] for name, old in expected.items()}
        found = weights(model, "target_")
        for name, value in found.items():
            torch.testing.assert_close(value, expected[name], rtol=1e-12, atol=1e-14)
        assert not torch.equal(found["backbone.stem.0.weight"], now["backbone.stem.0.weight"])


def test_a_target_without_memory_is_the_network_after_every_step(make):
    model = make(BYOL, momentum=0.0)
    for step in range(2):
        descend(model, 40 + 2 * step)
        before, after = weights(model, "target_"), weights(model, "")
        assert not torch.equal(before["projector.6.weight"], after["projector.6.weight"])
        model.after_step()
        target = weights(model, "target_")
        assert target.keys() == after.keys()
        assert all(torch.equal(target[name], after[name]) for name in after)


def test_byol_without_memory_is_simsiam_with_its_stop_gradient(make):
    """4 - 2 (cos + cos) against -(cos + cos) / 2: the same but for a factor of 4."""
    target = make(BYOL, momentum=0.0)
    target.after_step()
    simsiam = SimSiam(SimSiamConfig(**SIZE)).double()
    simsiam.load_state_dict(
        {name: v for name, v in target.state_dict().items() if not name.startswith("target_")}
    )
    x1, x2 = views(50)
    value, expected = target.views_loss(x1, x2)[0], simsiam.views_loss(x1, x2)[0]
    torch.testing.assert_close(value, 4 + 4 * expected)
    close(gradients(value, target), gradients(expected, simsiam), factor=4.0)


def test_the_batch_statistics_of_the_target_are_its_own(make):
    model = make(BYOL, momentum=0.5)
    with torch.no_grad():
        for parameter in model.target_backbone.parameters():
            parameter.mul_(1.5)
    x1, x2 = views(60)
    alone = nn.Sequential(*copy.deepcopy([model.target_backbone, model.target_projector]))
    with torch.no_grad():
        alone(x1), alone(x2)
    model.views_loss(x1, x2)
    model.after_step()
    own = {**model.target_backbone.state_dict(prefix="0.")}
    own |= model.target_projector.state_dict(prefix="1.")
    learning = model.backbone.state_dict(prefix="0.")
    compared = [name for name, _value in alone.named_buffers()]
    assert any("running_mean" in name for name in compared)
    for name in compared:
        torch.testing.assert_close(own[name], alone.state_dict()[name])
    assert not torch.equal(own["0.stem.1.running_var"], learning["0.stem.1.running_var"])


@pytest.mark.parametrize("value", [-0.1, 1.0, 1.5, float("nan")])
def test_a_momentum_of_one_or_more_is_refused(value):
    with pytest.raises(ValueError, match=r"^momentum must be 0 to below 1, got"):
        BYOLConfig(momentum=value)
    with pytest.raises(ValueError, match=r"^width must"):
        BYOLConfig(width=0)


# ---------------------------------------------------------------- Barlow Twins


HADAMARD = rows(
    (1, 1, 1),
    (1, 1, -1),
    (1, -1, 1),
    (1, -1, -1),
    (-1, 1, 1),
    (-1, 1, -1),
    (-1, -1, 1),
    (-1, -1, -1),
)
"""Three uncorrelated channels with mean 0 and variance 1."""


@pytest.mark.parametrize(
    ("z2", "correlation", "expected"),
    [
        (HADAMARD, np.eye(3), 0.0),
        (-HADAMARD, -np.eye(3), 3 * 4),
        (HADAMARD[:, [1, 2, 0]], np.roll(np.eye(3), 1, axis=0), 3 + 0.1 * 3),
        (HADAMARD * rows((1, -1, 1)), np.diag([1, -1, 1]), 4),
        (HADAMARD[:, [0, 0, 2]], [[1, 1, 0], [0, 0, 0], [0, 0, 1]], 1 + 0.1),
        (0 * HADAMARD + rows((2, -3, 0.1)), np.zeros((3, 3)), 3),
    ],
    ids=["identity", "opposite", "rotated", "one-opposite", "doubled", "constant"],
)
def test_correlation_and_loss_of_known_channels(z2, correlation, expected):
    np.testing.assert_allclose(cross_correlation(HADAMARD, z2), correlation, atol=2e-5)
    found = barlow_twins.loss(HADAMARD, z2, redundancy=0.1)
    assert found.shape == ()
    assert found.item() == pytest.approx(expected, abs=5e-4)


def test_identity_correlation_is_the_best_there_is():
    assert barlow_twins.loss(HADAMARD, HADAMARD).item() == pytest.approx(0, abs=1e-8)
    assert barlow_twins.loss(drawn(70, 9, 3), drawn(71, 9, 3)).item() > 0.1


def test_cross_correlation_is_that_of_numpy():
    z1, z2 = drawn(72, 40, 5), 3 + 2 * drawn(73, 40, 5) + drawn(72, 40, 5)
    expected = np.corrcoef(z1.T, z2.T)[:5, 5:]
    np.testing.assert_allclose(cross_correlation(z1, z2), expected, atol=2e-5)
    np.testing.assert_allclose(cross_correlation(z2, z1), expected.T, atol=2e-5)


def test_correlations_know_neither_scale_nor_origin():
    z1, z2 = drawn(74, 20, 4), drawn(75, 20, 4)
    moved = z1 * rows((5, 10, 20, 100)) + rows((1, -2, 3, 0))
    torch.testing.assert_close(
        cross_correlation(moved, z2), cross_correlation(z1, z2), rtol=0, atol=2e-5
    )


def test_a_constant_channel_has_finite_gradients():
    z1 = torch.cat([drawn(76, 8, 2), torch.full((8, 1), 0.7).double()], dim=1).requires_grad_()
    z2 = z1.detach().flip(0)
    (found,) = torch.autograd.grad(barlow_twins.loss(z1, z2), z1)
    assert found.isfinite().all()


@pytest.mark.parametrize("redundancy", [0.005, 0.3])
@pytest.mark.parametrize("shape", [(2, 3), (16, 8), (8, 32)])
def test_the_loss_of_barlow_twins_is_that_of_lightly(shape, redundancy):
    """Both standardise by the biased variance plus 1e-5 and divide by the batch."""
    z1 = drawn(80, *shape)
    z2 = z1 + 0.5 * drawn(81, *shape)
    expected = lightly().BarlowTwinsLoss(redundancy)(z1, z2)
    torch.testing.assert_close(barlow_twins.loss(z1, z2, redundancy), expected, rtol=1e-10, atol=0)


def test_barlow_twins_learns_from_both_views_with_its_own_weight(make):
    model = make(BarlowTwins, redundancy=0.2)
    x1, x2 = views(90)
    value, outputs = model.views_loss(x1, x2)
    assert outputs.p1 is outputs.z1
    assert outputs.p2 is outputs.z2
    z1, z2 = model.project(x1), model.project(x2)
    expected = lightly().BarlowTwinsLoss(0.2)(z1, z2)
    close({"": value}, {"": expected})
    close(gradients(value, model), gradients(expected, model))


@pytest.mark.parametrize("loss", [barlow_twins.loss, vicreg.loss])
@pytest.mark.parametrize(
    ("a", "b"), [((4, 3), (4, 2)), ((4, 3), (5, 3)), ((1, 3), (1, 3)), ((4,), (4,))]
)
def test_a_batch_that_has_no_statistics_is_refused(loss, a, b):
    with pytest.raises(ValueError, match=r"^z1 and z2 must be \(B, d\) alike with B of at least 2"):
        loss(torch.zeros(a), torch.zeros(b))


def test_without_redundancy_channels_may_copy_one_another():
    z = drawn(3, 70, 1).expand(70, 9)
    assert barlow_twins.loss(z, z, redundancy=0.0).item() == pytest.approx(0, abs=1e-8)
    assert barlow_twins.loss(z, z, redundancy=0.005).item() == pytest.approx(0.005 * 72, rel=1e-4)
    assert BarlowTwinsConfig(redundancy=0.0).redundancy == 0


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_a_redundancy_that_is_no_weight_is_refused(value):
    with pytest.raises(ValueError, match=r"^redundancy must be 0 or more, got"):
        BarlowTwinsConfig(redundancy=value)
    with pytest.raises(ValueError, match=r"^dim must"):
        BarlowTwinsConfig(dim=0)


# ---------------------------------------------------------------- VICReg


def test_the_variance_term_asks_for_a_std_of_one():
    assert variance_term(torch.ones(4, 3)).item() == pytest.approx(1 - 1e-2)  # eps 1e-4, its root
    z = rows((-1, -0.1, 3), (1, 0.1, 3))  # sample variances: 2, 0.02 and 0
    expected = (0 + (1 - (0.02 + 1e-4) ** 0.5) + 0.99) / 3
    assert variance_term(z).item() == pytest.approx(expected)
    assert variance_term(10 * drawn(100, 50, 3)).item() == 0


def test_the_covariance_term_asks_for_none_between_channels():
    assert covariance_term(HADAMARD).item() == pytest.approx(0, abs=1e-12)
    assert covariance_term(torch.ones(4, 3)).item() == 0
    z = rows((-1, -2, 5), (1, 2, 5))  # sample covariance of the first two: 4
    assert covariance_term(z).item() == pytest.approx(2 * 4**2 / 3)
    assert covariance_term(z + 7).item() == pytest.approx(2 * 4**2 / 3)


def test_the_covariance_term_is_that_of_numpy():
    z = drawn(101, 12, 5) @ drawn(102, 5, 5)
    covariance = np.cov(z.T)
    expected = (covariance**2).sum() - (np.diag(covariance) ** 2).sum()
    assert covariance_term(z).item() == pytest.approx(expected / 5)


def test_a_constant_costs_nothing_but_for_the_variance_term():
    z = torch.full((8, 4), 0.5)
    assert vicreg.loss(z, z, variance=0.0).item() == 0
    assert vicreg.loss(z, z).item() == pytest.approx(25 * 0.99)


def test_each_term_has_its_weight():
    z1, z2 = drawn(103, 7, 3), drawn(104, 7, 3)
    mean = (variance_term(z1) + variance_term(z2)) / 2
    summed = covariance_term(z1) + covariance_term(z2)
    assert 0.02 < mean < 2
    assert 0.02 < summed < 2
    torch.testing.assert_close(vicreg.loss(z1, z2, 1, 0, 0), (z1 - z2).square().mean())
    torch.testing.assert_close(vicreg.loss(z1, z2, 0, 1, 0), mean)
    torch.testing.assert_close(vicreg.loss(z1, z2, 0, 0, 1), summed)
    parts = 2 * (z1 - z2).square().mean() + 3 * mean + 5 * summed
    torch.testing.assert_close(vicreg.loss(z1, z2, 2, 3, 5), parts)


@pytest.mark.parametrize("weight", [(25.0, 25.0, 1.0), (1.0, 7.0, 3.0)])
@pytest.mark.parametrize("shape", [(2, 3), (16, 8), (8, 32)])
def test_the_loss_of_vicreg_is_that_of_lightly(shape, weight):
    """Both: unbiased variance plus 1e-4, covariance over B - 1 and d, its sum over both views."""
    z1 = 0.7 * drawn(110, *shape)
    z2 = z1 + 0.5 * drawn(111, *shape)
    expected = lightly().VICRegLoss(*weight)(z1, z2)
    torch.testing.assert_close(vicreg.loss(z1, z2, *weight), expected, rtol=1e-10, atol=0)


def test_the_defaults_of_both_losses_are_those_of_lightly():
    z1, z2 = drawn(112, 9, 4), drawn(113, 9, 4)
    torch.testing.assert_close(vicreg.loss(z1, z2), lightly().VICRegLoss()(z1, z2))
    torch.testing.assert_close(barlow_twins.loss(z1, z2), lightly().BarlowTwinsLoss()(z1, z2))
    assert VICRegConfig(invariance=25.0, variance=25.0, covariance=1.0) == VICRegConfig()
    assert BarlowTwinsConfig(redundancy=0.005) == BarlowTwinsConfig()


def test_vicreg_learns_from_both_views_with_its_own_weights(make):
    model = make(VICReg, invariance=2.0, variance=3.0, covariance=5.0)
    x1, x2 = views(120)
    value, outputs = model.views_loss(x1, x2)
    assert outputs.p1 is outputs.z1
    assert outputs.p2 is outputs.z2
    expected = lightly().VICRegLoss(2.0, 3.0, 5.0)(model.project(x1), model.project(x2))
    close({"": value}, {"": expected})
    close(gradients(value, model), gradients(expected, model))


def test_nothing_holds_the_variance_of_vicreg_but_its_loss(make):
    model = make(VICReg)
    assert isinstance(model.projector[-1], nn.Linear)
    with torch.no_grad():
        model.projector[-1].weight.zero_()
    z = model.project(views(121)[0])
    torch.testing.assert_close(z, model.projector[-1].bias.expand_as(z))
    assert isinstance(make(BarlowTwins).projector[-1], nn.BatchNorm1d)


@pytest.mark.parametrize("name", ["invariance", "variance", "covariance"])
def test_a_weight_below_zero_is_refused(name):
    with pytest.raises(ValueError, match=rf"^{name} must be 0 or more, got -1"):
        VICRegConfig(**{name: -1.0})
    for wrong in (math.nan, math.inf):
        with pytest.raises(ValueError, match=rf"^{name} must be 0 or more, got"):
            VICRegConfig(**{name: wrong})
    assert getattr(VICRegConfig(**{name: 0.0}), name) == 0
    with pytest.raises(ValueError, match=r"^hidden must"):
        VICRegConfig(hidden=0)


# ---------------------------------------------------------------- DSSL


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [((2, 0), (0, 5), -1), ((0, 1), (3, 0), 0), ((-1, 0), (0, -1), 1), ((1, 0), (1, 0), -0.5)],
)
def test_a_harder_view_is_compared_with_the_view_it_was_made_from(first, second, expected):
    found = directed_loss(rows(first), rows(second), rows((1, 0)), rows((0, 1)))
    assert found.shape == ()
    assert found.item() == pytest.approx(expected, abs=1e-15)


def test_the_directed_loss_moves_no_target():
    p1, p2, z1, z2 = (drawn(130 + place, 5, 4).requires_grad_() for place in range(4))
    value = directed_loss(p1, p2, z1, z2)
    found = torch.autograd.grad(value, (p1, p2, z1, z2), allow_unused=True)
    assert [gradient is None for gradient in found] == [False, False, True, True]
    torch.testing.assert_close(
        value, -(F.cosine_similarity(p1, z1) + F.cosine_similarity(p2, z2)).mean() / 2
    )


def test_without_harder_views_dssl_is_simsiam(make):
    directed, plain = make(DSSL), make(SimSiam)
    x1, x2 = views(140)
    (value, outputs), (expected, parts) = directed.views_loss(x1, x2), plain.views_loss(x1, x2)
    assert torch.equal(value, expected)
    assert all(torch.equal(a, b) for a, b in zip(outputs, parts, strict=True))
    close(gradients(value, directed), gradients(expected, plain))


def test_harder_views_are_given_both_or_neither(make):
    x1, x2, harder = views(150, 3)
    for wrong in ((harder, None), (None, harder)):
        with pytest.raises(ValueError, match=r"^harder1 and harder2 must be given both"):
            make(DSSL).views_loss(x1, x2, *wrong)


@pytest.mark.parametrize("stop_gradient", [True, False])
def test_half_the_loss_draws_harder_views_to_standard_ones(make, stop_gradient):
    model = make(DSSL, stop_gradient=stop_gradient)
    elsewhere = copy.deepcopy(model)
    x1, x2, harder1, harder2 = views(160, 4)
    value, outputs = model.views_loss(x1, x2, harder1, harder2)
    standard, parts = model.views_loss(x1, x2)
    assert all(torch.equal(a, b) for a, b in zip(outputs, parts, strict=True))
    z1, z2 = elsewhere.project(x1), elsewhere.project(x2)
    p1, p2 = (model.predictor(model.project(x)) for x in (harder1, harder2))
    directed = -(F.cosine_similarity(p1, z1) + F.cosine_similarity(p2, z2)).mean() / 2
    torch.testing.assert_close(value, (standard + directed) / 2)
    close(gradients(value, model), gradients((standard + directed) / 2, model))


@pytest.mark.parametrize("stop_gradient", [True, False])
def test_harder_views_pull_no_standard_view(make, stop_gradient):
    model = make(DSSL, stop_gradient=stop_gradient)
    x1, x2, harder1, harder2 = (x.requires_grad_() for x in views(170, 4))
    value, _outputs = model.views_loss(x1, x2, harder1, harder2)
    found = torch.autograd.grad(value, (x1, x2, harder1, harder2))
    expected = torch.autograd.grad(siamese.loss(*model(x1, x2)), (x1, x2))
    for standard, alone in zip(found[:2], expected, strict=True):
        torch.testing.assert_close(standard, alone / 2)
    assert all(gradient.abs().max() > 1e-8 for gradient in found)


def test_the_loss_of_dssl_is_minus_one_at_best(make):
    model = make(DSSL, predictor="identity")
    x = views(180)[0]
    value, _outputs = model.views_loss(x, x, x, x)
    assert value.item() == pytest.approx(-1)
    assert replace(model.config, predictor="mlp") == SimSiamConfig(**SIZE)
