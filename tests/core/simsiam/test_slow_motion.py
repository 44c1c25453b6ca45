"""The arrows of the slow motion are the gradients of the toy's loss, and tell why it collapses."""

from dataclasses import replace
from functools import lru_cache
from math import pi

import numpy as np
import pytest
import torch

from core.simsiam import simsiam
from core.simsiam.slow_motion import angle, pulls, slow_motion, towards, turning
from core.simsiam.toy import Networks, ToyConfig, sample

PLAIN = ToyConfig(dim=2, learning_rate=0.02, steps=60)
PREDICTORS = ("mlp", "linear", "identity", "fixed")
SWITCHES = {
    "no-stop": {"stop_gradient": False},
    "no-predictor": {"predictor": "identity"},
    "neither": {"stop_gradient": False, "predictor": "identity"},
}
SEEDS = (0, 1, 2)


@lru_cache
def moments(config):
    return tuple(slow_motion(config))


def doubled(config):
    """Networks whose weights are float64, so that differences of the loss are exact enough."""
    made = Networks.start(config)
    return replace(
        made,
        encoder=[(w.double(), b.double()) for w, b in made.encoder],
        predictor=[(w.double(), b.double()) for w, b in made.predictor],
    )


def views(config):
    return torch.from_numpy(sample(config).views).double()


def rotated(v, place, by):
    """v (2, N, 2) with one of its vectors turned."""
    turned = v.clone()
    c, s = np.cos(by), np.sin(by)
    x, y = v[place]
    turned[place] = torch.stack([c * x - s * y, s * x + c * y])
    return turned


# ---------------------------------------------------------------- gradients


@pytest.mark.parametrize("predictor", PREDICTORS)
@pytest.mark.parametrize("stop", [True, False])
def test_pulls_at_the_outputs_are_the_gradient_of_the_weights(predictor, stop):
    """Sent back through the encoder they give what autograd makes of the toy's own loss."""
    networks = doubled(replace(PLAIN, predictor=predictor, stop_gradient=stop))
    weights = [tensor.requires_grad_() for layer in networks.encoder for tensor in layer]
    x = views(PLAIN)
    wanted = torch.autograd.grad(networks.loss(x), weights)
    z = networks.f(x)
    _p, pull = pulls(networks, z)
    at_z = pull.predicts if stop else pull.predicts + pull.target
    found = torch.autograd.grad(z, weights, grad_outputs=-at_z / z.shape[1])
    for gradient, expected in zip(found, wanted, strict=True):
        torch.testing.assert_close(gradient, expected)


@pytest.mark.parametrize("predictor", PREDICTORS)
def test_a_pull_is_how_the_loss_falls_when_the_output_turns(predictor):
    networks = doubled(replace(PLAIN, predictor=predictor))
    z = networks.f(views(PLAIN))
    p, pull = pulls(networks, z)
    count, small = z.shape[1], 1e-5

    def fall(loss):
        return -count * (loss(small) - loss(-small)) / (2 * small)

    for place in ((0, 0), (1, 7), (0, 199)):
        falls = {
            "asked": (p, fall(lambda by, at=place: simsiam.loss(*rotated(p, at, by), *z))),
            "target": (z, fall(lambda by, at=place: simsiam.loss(*p, *rotated(z, at, by)))),
            "predicts": (
                z,
                fall(lambda by, at=place: simsiam.loss(*networks.h(rotated(z, at, by)), *z)),
            ),
        }
        for name, (of, expected) in falls.items():
            found = turning(of[place], getattr(pull, name)[place])
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-7)


def test_what_is_asked_is_half_the_sine_of_the_angle_and_orthogonal():
    networks = doubled(PLAIN)
    z = networks.f(views(PLAIN))
    p, pull = pulls(networks, z)
    between = angle(z).flip(0) - angle(p)  # from each prediction to its target
    torch.testing.assert_close(turning(p, pull.asked), between.sin() / 2)
    torch.testing.assert_close(turning(z, pull.target), -between.flip(0).sin() / 2)
    for v, g in ((p, pull.asked), (z, pull.target)):
        assert float((v * g).sum(-1).abs().max()) < 1e-12


def test_without_a_predictor_the_pull_that_stays_is_twin_to_the_one_that_is_stopped():
    networks = doubled(replace(PLAIN, predictor="identity"))
    _p, pull = pulls(networks, networks.f(views(PLAIN)))
    torch.testing.assert_close(pull.predicts, pull.target)
    torch.testing.assert_close(pull.predicts, pull.asked)


def test_batch_normalisation_in_the_predictor_mixes_the_pairs_and_sees_lengths():
    """The pull that comes back through h is of all losses, and would stretch z as well."""
    for predictor, mixes in (("mlp", True), ("identity", False)):
        networks = doubled(replace(PLAIN, predictor=predictor))
        z = networks.f(views(PLAIN)).detach()
        _p, pull = pulls(networks, z)
        source = z.clone().requires_grad_()
        own = -torch.cosine_similarity(networks.h(source)[0, 7], z[1, 7], dim=0) / 2
        (of_its_own,) = torch.autograd.grad(own, source)
        assert torch.allclose(-of_its_own[0, 7], pull.predicts[0, 7]) is not mixes
        assert of_its_own[0, 8].any().item() is mixes
        stretches = (z * pull.predicts).sum(-1).abs().max()
        assert bool(stretches > 1e-3) is mixes


def test_the_target_of_a_half_moves_through_the_target_alone():
    """View 1 predicts view 2: nothing of it reaches z2 through the predictor."""
    networks = doubled(PLAIN)
    z = networks.f(views(PLAIN)).detach().requires_grad_()
    half = -torch.cosine_similarity(networks.h(z)[0], z[1].detach(), dim=1).mean()
    (gradient,) = torch.autograd.grad(half, z)
    assert not gradient[1].any()
    assert gradient[0].any()


def test_angles_and_turns():
    v = torch.tensor([[2.0, 0.0], [0.0, 3.0], [-1.0, 0.0]])
    torch.testing.assert_close(angle(v), torch.tensor([0.0, pi / 2, pi]))
    outwards, left = v, torch.stack([-v[:, 1], v[:, 0]], 1)
    assert not turning(v, outwards).any()  # what stretches turns nothing
    torch.testing.assert_close(turning(v, left), torch.tensor([4.0, 9.0, 1.0]))


def test_towards_goes_the_shorter_way():
    angles = torch.tensor([[0.1, 3.0, 0.0], [0.3, -3.0, 1.0]])
    to_the_other = torch.tensor([[1.0, 1.0, 1.0], [-1.0, -1.0, -1.0]])
    assert towards(angles, to_the_other) == 1
    assert towards(angles, -to_the_other) == 0
    assert towards(angles, to_the_other * torch.tensor([1.0, -1.0, 1.0])) == pytest.approx(2 / 3)


# ---------------------------------------------------------------- steps


def test_a_step_is_that_of_gradient_descent_on_all_weights():
    """The first one, in which momentum has nothing to go on with."""
    networks = Networks.start(PLAIN)
    weights = [
        t for part in (networks.encoder, networks.predictor) for layer in part for t in layer
    ]
    x = torch.from_numpy(sample(PLAIN).views)
    for tensor in weights:
        tensor.requires_grad_()
    gradients = torch.autograd.grad(networks.loss(x), weights)
    with torch.no_grad():
        for tensor, gradient in zip(weights, gradients, strict=True):
            tensor -= PLAIN.learning_rate * (gradient + PLAIN.weight_decay * tensor)
        z = networks.f(x)
    after = moments(PLAIN)[1]
    np.testing.assert_allclose(after.z, angle(z), atol=1e-4)
    np.testing.assert_allclose(after.p, angle(networks.h(z)).detach(), atol=1e-4)


def test_moments_begin_alike_and_count_the_steps():
    plain = moments(PLAIN)
    assert [one.step for one in plain] == list(range(61))
    for changes in SWITCHES.values():
        first = moments(replace(PLAIN, **changes))[0]
        np.testing.assert_array_equal(first.z, plain[0].z)
        np.testing.assert_array_equal(first.z.shape, (2, 200))


def test_only_in_the_plane():
    with pytest.raises(ValueError, match="dim must be 2"):
        next(slow_motion(ToyConfig(dim=3)))


@pytest.mark.parametrize("seed", SEEDS)
def test_only_with_both_parts_the_cloud_stays(seed):
    plain = replace(PLAIN, seed=seed)
    assert min(one.spread for one in moments(plain)) > 0.8
    for changes in SWITCHES.values():
        run = moments(replace(plain, **changes))
        assert run[-1].spread < 0.2
        assert run[-1].loss < -0.97


@pytest.mark.parametrize("seed", SEEDS)
def test_without_a_predictor_every_pull_turns_a_view_towards_the_other(seed):
    for code in ("no-predictor", "neither"):
        run = moments(replace(PLAIN, seed=seed, **SWITCHES[code]))
        assert all(one.towards > 0.99 for one in run)
    assert 0.3 < moments(replace(PLAIN, seed=seed))[0].towards < 0.7
