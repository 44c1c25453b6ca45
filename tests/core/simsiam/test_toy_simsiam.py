"""The toy falls where SimSiam falls and learns where it learns; its parts are what they say."""

from dataclasses import replace
from functools import lru_cache
from itertools import pairwise
from math import pi, sqrt

import numpy as np
import pytest
import torch
from scipy.linalg import orthogonal_procrustes
from torch import nn

from core.simsiam import toy as toy_simsiam
from core.simsiam.representation import effective_rank, singular_values, std_of_outputs
from core.simsiam.toy import (
    CLASSES,
    JITTER,
    MOMENTUM,
    WIDTH,
    WITHIN,
    Networks,
    Run,
    Stream,
    ToyConfig,
    batch_norm,
    correlation,
    forward,
    gains_along,
    parameters,
    points,
    random_layers,
    sample,
    side_by_side,
    stops,
    train,
    two_views,
)

SEEDS = (0, 1, 2)
SHORT = ToyConfig(steps=20)


@lru_cache
def states(config):
    return tuple(train(config))


def at_the_end(**settings):
    """The last states over the seeds."""
    return [states(ToyConfig(seed=seed, **settings))[-1] for seed in SEEDS]


def spread(state):
    return state.std * sqrt(len(state.eigenvalues))


# ---------------------------------------------------------------- what happens


def test_with_all_its_parts_it_learns():
    for end in at_the_end():
        assert spread(end) > 0.9
        assert end.rank > 3.2
        assert end.accuracy > 0.95
        assert -0.97 < end.loss < -0.8
        assert end.eigenvalues[0] < 0.7


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {"stop_gradient": False},
        {"predictor": "identity"},
        {"predictor": "identity", "stop_gradient": False},
    ],
    ids=["no stop-gradient", "no predictor", "neither"],
)
def test_without_stop_gradient_or_predictor_it_collapses_at_a_lower_loss(settings):
    for healthy, end in zip(at_the_end(), at_the_end(**settings), strict=True):
        assert end.loss < healthy.loss - 0.05
        assert spread(end) < 0.05
        assert end.rank < 0.5 * healthy.rank
        assert end.accuracy < 0.5
        assert end.eigenvalues[0] > 0.99


def test_a_fixed_random_predictor_neither_collapses_nor_converges_nor_learns():
    healthy, ends = at_the_end(), at_the_end(predictor="fixed")
    for good, end in zip(healthy, ends, strict=True):
        assert end.loss > good.loss + 0.2
        assert spread(end) > 0.3
        assert end.rank < good.rank - 1
    assert np.mean([end.accuracy for end in ends]) < 0.6


def test_a_linear_predictor_falls_first_and_comes_back():
    for seed in SEEDS:
        run = states(ToyConfig(seed=seed, predictor="linear"))
        spreads = [spread(state) for state in run]
        assert min(spreads) < 0.25
        assert spreads[-1] > 0.5
        assert run[-1].accuracy > 0.95


@pytest.mark.slow
def test_a_normalised_z_keeps_its_std_and_loses_its_rank():
    for seed in SEEDS[:2]:
        whole, fallen = (
            states(ToyConfig(seed=seed, batch_norm="all", stop_gradient=stop))[-1]
            for stop in (True, False)
        )
        assert spread(fallen) > 0.95
        assert fallen.rank < 0.6 * whole.rank
        assert fallen.loss < whole.loss


def test_without_batch_norm_it_collapses_in_spite_of_its_other_parts():
    for seed in SEEDS[:2]:
        assert spread(states(ToyConfig(seed=seed, batch_norm="none"))[-1]) < 0.05


def test_without_augmentation_there_is_nothing_to_learn():
    assert states(ToyConfig(augmentation=0.0))[-1].accuracy < 0.7


# ---------------------------------------------------------------- the gradient


def gradients(config):
    networks = Networks.start(config)
    networks.optimiser()
    networks.loss(torch.from_numpy(sample(config).views)).backward()
    return [tensor.grad for layer in networks.encoder for tensor in layer]


def test_without_predictor_stopping_the_gradient_halves_it():
    stopped = gradients(ToyConfig(predictor="identity"))
    flowing = gradients(ToyConfig(predictor="identity", stop_gradient=False))
    for half, whole in zip(stopped, flowing, strict=True):
        torch.testing.assert_close(half, whole / 2, rtol=1e-4, atol=1e-7)
    assert stopped[0].abs().max() > 1e-3


def test_so_without_predictor_the_two_are_one_run_at_another_rate():
    stopped = ToyConfig(predictor="identity", steps=10)
    flowing = replace(stopped, stop_gradient=False, learning_rate=0.1, weight_decay=0.01)
    for a, b in zip(states(stopped), states(flowing), strict=True):
        assert a.loss == pytest.approx(b.loss, abs=1e-3)
        assert a.std == pytest.approx(b.std, abs=1e-3)


def test_the_target_is_a_constant():
    config = ToyConfig()
    networks = Networks.start(config)
    networks.optimiser()
    x = torch.from_numpy(sample(config).views)
    networks.loss(x).backward()
    found = [tensor.grad.clone() for layer in networks.encoder for tensor in layer]
    for layer in networks.encoder:
        for tensor in layer:
            tensor.grad = None
    target = networks.f(x).detach().clone()
    p = networks.h(networks.f(x))
    terms = [nn.functional.cosine_similarity(p[i], target[1 - i], dim=1).mean() for i in (0, 1)]
    (-sum(terms) / 2).backward()
    for gradient, (place, index) in zip(found, [(0, 0), (0, 1), (1, 0), (1, 1)], strict=True):
        torch.testing.assert_close(networks.encoder[place][index].grad, gradient)


def test_a_step_is_sgd_with_weight_decay_and_a_rate_for_the_predictor():
    config = ToyConfig(learning_rate=0.1, predictor_rate=3.0, weight_decay=0.02)
    networks = Networks.start(config)
    optimiser = networks.optimiser()
    x = torch.from_numpy(sample(config).views)
    for part, rate in ((networks.encoder, 0.1), (networks.predictor, 0.3)):
        optimiser.zero_grad()
        networks.loss(x).backward()
        weight = part[0][0]
        before, gradient = weight.detach().clone(), weight.grad.clone()
        kept = {
            name: tensor.detach().clone()
            for name, tensor in (("f", networks.encoder[0][0]), ("h", networks.predictor[0][0]))
        }
        optimiser.step()
        pull = gradient + 0.02 * before
        torch.testing.assert_close(weight.detach(), before - rate * pull)
        # Back to where it was, without momentum, for the other part.
        with torch.no_grad():
            networks.encoder[0][0].copy_(kept["f"])
            networks.predictor[0][0].copy_(kept["h"])
        optimiser.state.clear()


def test_momentum_goes_on():
    networks = Networks.start(ToyConfig())
    assert all(group["momentum"] == MOMENTUM for group in networks.optimiser().param_groups)


@pytest.mark.parametrize(
    ("predictor", "learns"), [("mlp", True), ("linear", True), ("fixed", False)]
)
def test_only_a_predictor_that_learns_changes(predictor, learns):
    config = ToyConfig(predictor=predictor)
    networks = Networks.start(config)
    before = networks.predictor[0][0].detach().clone()
    optimiser = networks.optimiser()
    networks.loss(torch.from_numpy(sample(config).views)).backward()
    optimiser.step()
    assert torch.equal(before, networks.predictor[0][0].detach()) is not learns


# ---------------------------------------------------------------- points and views


def test_classes_lie_evenly_on_a_circle(seeded):
    x, labels = points(seeded(3), 2000)
    assert torch.bincount(labels).tolist() == [2000] * CLASSES
    for c in range(CLASSES):
        angle = 2 * pi * c / CLASSES
        place = torch.tensor([np.cos(angle), np.sin(angle)], dtype=torch.float32)
        torch.testing.assert_close(x[labels == c, :2].mean(0), place, rtol=0, atol=0.01)
        torch.testing.assert_close(
            x[labels == c, :2].std(0), torch.full((2,), WITHIN), rtol=0, atol=0.01
        )
        torch.testing.assert_close(
            x[labels == c, 2:].std(0), torch.ones(WIDTH - 2), rtol=0, atol=0.06
        )


@pytest.mark.parametrize("augmentation", [0.0, 0.5, 2.0])
def test_views_differ_where_nothing_is_said_of_the_class(seeded, augmentation):
    x, _labels = points(seeded(), 1000)
    noise = two_views(x, augmentation, seeded(1)) - x  # (2, N, 10)
    std = noise.std(dim=1)
    torch.testing.assert_close(std[:, :2], torch.full((2, 2), JITTER), rtol=0.05, atol=0)
    expected = torch.full((2, WIDTH - 2), augmentation)
    torch.testing.assert_close(std[:, 2:], expected, rtol=0.05, atol=1e-6)
    assert abs(float((noise[0, :, 0] * noise[1, :, 0]).mean())) < 0.1 * JITTER**2


# ---------------------------------------------------------------- networks


def test_batch_norm_is_that_of_the_library_view_by_view(seeded):
    x = 3 * torch.randn(2, 50, 4, generator=seeded()) + torch.arange(4.0)
    expected = torch.stack([nn.functional.batch_norm(v, None, None, training=True) for v in x])
    torch.testing.assert_close(batch_norm(x), expected)


@pytest.mark.parametrize("hidden_norm", [True, False])
@pytest.mark.parametrize("last_norm", [True, False])
def test_layers_are_those_of_the_library(seeded, hidden_norm, last_norm):
    layers = random_layers((5, 7, 6, 3), seeded())
    layers = [(w, b + 0.1 * i) for i, (w, b) in enumerate(layers)]
    modules = []
    for place, (weight, bias) in enumerate(layers):
        linear = nn.Linear(*weight.shape)
        linear.load_state_dict({"weight": weight.T, "bias": bias})
        modules.append(linear)
        last = place == len(layers) - 1
        if last_norm if last else hidden_norm:
            modules.append(nn.BatchNorm1d(len(bias), affine=False))
        if not last:
            modules.append(nn.ReLU())
    x = torch.randn(40, 5, generator=seeded(1))
    found = forward(x, layers, hidden_norm=hidden_norm, last_norm=last_norm)
    torch.testing.assert_close(found, nn.Sequential(*modules)(x).detach())


def test_no_layers_leave_z_as_it_is(seeded):
    z = torch.randn(6, 4, generator=seeded())
    assert Networks.start(ToyConfig(predictor="identity")).h(z) is z


def test_random_weights_keep_the_variance(seeded):
    ((weight, bias),) = random_layers((400, 300), seeded())
    assert float(weight.std()) == pytest.approx(1 / 20, rel=0.02)
    assert not bias.any()


def test_where_batch_norm_stands(seeded):
    x, _labels = points(seeded())
    spreads = {
        kind: Networks.start(ToyConfig(batch_norm=kind)).f(x).std(0) for kind in ("hidden", "all")
    }
    torch.testing.assert_close(spreads["all"], torch.ones(4), rtol=0.01, atol=0)
    assert not torch.allclose(spreads["hidden"], torch.ones(4), rtol=0.05)
    bare = Networks.start(ToyConfig(batch_norm="none"))
    torch.testing.assert_close(bare.f(3 * x), 3 * bare.f(x))  # biases are 0 at the start
    torch.testing.assert_close(bare.h(3 * x[:, :4]), 3 * bare.h(x[:, :4]))


def test_the_parameters_are_counted():
    assert parameters(ToyConfig()) == 11 * 32 + 33 * 4 + 5 * 16 + 17 * 4
    assert parameters(ToyConfig(predictor="linear", dim=3)) == 11 * 32 + 33 * 3 + 4 * 3
    assert parameters(ToyConfig(predictor="identity")) == 11 * 32 + 33 * 4


# ---------------------------------------------------------------- what is looked at


def test_eigenvalues_of_known_clouds(seeded):
    d = 5
    point = torch.arange(1.0, d + 1).expand(9, d)
    torch.testing.assert_close(
        correlation(point)[0], torch.eye(d, dtype=torch.float64)[0], rtol=0, atol=1e-12
    )
    torch.testing.assert_close(
        correlation(7 * torch.eye(d))[0], torch.full((d,), 1 / d, dtype=torch.float64)
    )
    z = torch.randn(60, d, generator=seeded()) * torch.tensor([3.0, 1, 1, 0.5, 0.1]) + 0.3
    values, vectors = correlation(z)
    unit = (z / z.norm(dim=1, keepdim=True)).double().numpy()
    matrix = unit.T @ unit / len(unit)
    np.testing.assert_allclose(values, np.linalg.eigvalsh(matrix)[::-1], atol=1e-7)
    np.testing.assert_allclose(
        matrix @ vectors.numpy(), vectors.numpy() * values.numpy(), atol=1e-6
    )
    assert float(values.sum()) == pytest.approx(1.0)


def test_gains_are_the_eigenvalues_where_eigenvectors_agree(seeded):
    _values, vectors = correlation(torch.randn(30, 4, generator=seeded()))
    wanted = torch.tensor([2.0, 0.5, -1.0, 0.25], dtype=torch.float64)
    weight = vectors @ torch.diag(wanted) @ vectors.T
    torch.testing.assert_close(gains_along(vectors, weight), wanted)
    weight = torch.randn(4, 4, generator=seeded(2)).double()
    u = vectors.numpy()
    expected = [u[:, j] @ weight.numpy() @ u[:, j] for j in range(4)]
    np.testing.assert_allclose(gains_along(vectors, weight), expected)


def test_the_first_state_is_of_the_untrained_network():
    config = replace(SHORT, predictor="linear", seed=4)
    first = states(config)[0]
    networks = Networks.start(config)
    x, labels = points(config.generator(Stream.POINTS))
    test, test_labels = points(config.generator(Stream.TEST_POINTS), toy_simsiam.TEST_A_CLASS)
    z = networks.f(x)
    assert first.std == pytest.approx(float(std_of_outputs(z)))
    assert first.rank == pytest.approx(float(effective_rank(singular_values(z))))
    values, vectors = correlation(z)
    np.testing.assert_allclose(first.eigenvalues, values)
    np.testing.assert_allclose(first.gains, gains_along(vectors, networks.predictor[0][0]))
    assert first.accuracy == toy_simsiam.neighbours.accuracy(
        networks.f(test), test_labels, z, labels, CLASSES, k=10
    )
    views = torch.from_numpy(sample(config).views)
    assert first.loss == pytest.approx(float(networks.loss(views)), abs=1e-6)
    assert np.array_equal(first.labels, labels.numpy())


def test_z_on_the_plane_is_normalised_and_centred():
    plane = states(SHORT)[-1].plane
    assert plane.shape == (200, 2)
    assert np.linalg.norm(plane, axis=1).max() < 2
    np.testing.assert_allclose(plane.mean(axis=0), 0, atol=1e-6)


def test_the_plane_does_not_turn_between_states():
    for before, after in pairwise(states(SHORT)):
        turn, _scale = orthogonal_procrustes(after.plane, before.plane)
        np.testing.assert_allclose(turn, np.eye(2), atol=1e-6)


def test_gains_are_those_of_a_linear_predictor_alone():
    assert states(SHORT)[0].gains is None
    assert states(replace(SHORT, predictor="linear"))[-1].gains.shape == (4,)


# ---------------------------------------------------------------- a run


@pytest.mark.parametrize("steps", [1, 7, 400, 5000])
def test_a_run_is_looked_at_from_beginning_to_end(steps):
    found = stops(steps)
    assert found[0] == 0
    assert found[-1] == steps
    assert found == sorted(set(found))
    assert len(found) <= 31
    gaps = np.diff(found)
    assert steps < 400 or gaps[-1] > 5 * gaps[0]


def test_states_come_at_the_stops():
    found = states(SHORT)
    assert [state.step for state in found] == stops(20)
    assert [state.done for state in found] == stops(20)
    assert all(state.total == 20 for state in found)
    assert [state.finished for state in found] == [False] * (len(found) - 1) + [True]
    assert all(a.seconds < b.seconds for a, b in pairwise(found))


def test_time_between_two_looks_is_not_work(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(toy_simsiam.time, "perf_counter", lambda: clock[0])
    run = train(replace(SHORT, steps=4))
    next(run)
    clock[0] += 1000.0
    assert next(run).seconds == 0.0


def losses(config):
    return [state.loss for state in states(config)]


def test_the_seed_makes_the_run():
    again = [state.loss for state in train(SHORT)]
    assert again == losses(SHORT)
    assert losses(replace(SHORT, seed=1)) != losses(SHORT)


@pytest.mark.parametrize(
    "change",
    [
        {"stop_gradient": False},
        {"predictor": "linear"},
        {"predictor": "identity"},
        {"predictor": "fixed"},
        {"batch_norm": "none"},
        {"batch_norm": "all"},
        {"augmentation": 0.5},
        {"learning_rate": 0.1},
        {"predictor_rate": 2.0},
        {"weight_decay": 0.0},
        {"dim": 3},
    ],
    ids=str,
)
def test_every_setting_changes_the_run(change):
    assert losses(replace(SHORT, **change)) != losses(SHORT)


@pytest.mark.parametrize("change", [{"stop_gradient": False}, {"predictor": "identity"}], ids=str)
def test_a_switch_leaves_points_first_weights_and_noise_alone(change):
    other = replace(SHORT, **change)
    assert states(other)[0].std == states(SHORT)[0].std
    assert np.array_equal(states(other)[0].plane, states(SHORT)[0].plane)
    a, b = sample(SHORT), sample(other)
    assert np.array_equal(a.x, b.x)
    assert np.array_equal(a.views, b.views)
    mlp, fixed = (Networks.start(replace(SHORT, predictor=kind)) for kind in ("mlp", "fixed"))
    assert torch.equal(mlp.predictor[0][0], fixed.predictor[0][0])


def test_streams_of_random_numbers_do_not_meet():
    first = {
        float(torch.randn(1, generator=ToyConfig(seed=seed).generator(stream)))
        for seed in range(40)
        for stream in Stream
    }
    assert len(first) == 200


def test_the_global_generator_is_left_alone():
    before = torch.get_rng_state()
    list(train(replace(SHORT, steps=2)))
    assert torch.equal(before, torch.get_rng_state())


def test_a_run_that_is_left_goes_on_where_it_stood():
    run = Run(SHORT)
    assert not run.finished
    third = run.reach(3)
    assert len(run.states) == 4
    assert run.reach(3) is third
    assert not run.finished
    run.reach(len(stops(20)) - 1)
    assert run.finished
    assert [state.loss for state in run.states] == losses(SHORT)


def test_two_runs_go_side_by_side_and_on():
    runs = [Run(SHORT), Run(replace(SHORT, stop_gradient=False))]
    for now in side_by_side(runs):
        if now.done >= 9:
            break
    reached = [len(run.states) for run in runs]
    assert reached[0] == reached[1] < len(stops(20))
    *_, last = side_by_side(runs)
    assert last.finished
    assert (last.done, last.total) == (20, 20)
    assert not now.finished
    assert last.seconds == pytest.approx(sum(run.states[-1].seconds for run in runs))
    assert [state.loss for state in last.states] == [
        losses(SHORT)[-1],
        losses(replace(SHORT, stop_gradient=False))[-1],
    ]


def test_runs_of_other_lengths_do_not_go_side_by_side():
    with pytest.raises(ValueError, match=r"runs must have as many steps.*\[20, 21\]"):
        next(side_by_side([Run(SHORT), Run(replace(SHORT, steps=21))]))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("predictor", "ema"),
        ("batch_norm", "layer"),
        ("augmentation", -0.1),
        ("augmentation", float("nan")),
        ("learning_rate", 0.0),
        ("learning_rate", 11.0),
        ("predictor_rate", -1.0),
        ("weight_decay", -1e-3),
        ("dim", 1),
        ("dim", 9),
        ("steps", 0),
        ("seed", -1),
    ],
)
def test_a_setting_that_cannot_be_is_refused(field, value):
    with pytest.raises(ValueError, match=field) as refused:
        ToyConfig(**{field: value})
    assert str(value) in str(refused.value)


def test_a_weight_decay_that_would_blow_weights_up_is_refused():
    ToyConfig(learning_rate=3.7, weight_decay=1.0)
    with pytest.raises(ValueError, match=r"learning_rate times weight_decay.*3\.9"):
        ToyConfig(learning_rate=3.9, weight_decay=1.0)
    with pytest.raises(ValueError, match="learning_rate times weight_decay"):
        ToyConfig(learning_rate=1.0, predictor_rate=10.0, weight_decay=0.5)


def test_at_the_edge_of_what_is_allowed_numbers_stay_finite():
    wild = ToyConfig(learning_rate=3.7, weight_decay=1.0, predictor_rate=1.0, steps=200)
    for state in train(wild):
        assert np.isfinite([state.loss, state.std, state.rank]).all()
