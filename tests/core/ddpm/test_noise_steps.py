"""One step into noise and one step back."""

import math

import numpy as np
import pytest
import torch

from core.ddpm.samplers import ddim
from core.ddpm.schedule import NoiseSchedule, draw_noise

SHAPE = (4, 3, 5, 5)
LEVELS = torch.tensor([0, 1, 500, 999])


@pytest.fixture(params=["linear", "cosine"])
def schedule(request):
    return getattr(NoiseSchedule, request.param)(1000)


def two(seeded, dtype=torch.float64):
    generator = seeded(3)
    return tuple(torch.randn(SHAPE, generator=generator, dtype=dtype) for _ in range(2))


def known(eps):
    return lambda _x, _t: eps


def column(values):
    return torch.as_tensor(values).view(-1, 1, 1, 1)


# ---------------------------------------------------------------- forward


def test_q_sample_is_its_formula_for_a_level_each_picture(schedule, seeded):
    x0, noise = two(seeded)
    alpha_bar = np.cumprod(1 - schedule.betas.numpy())[LEVELS.numpy()].reshape(-1, 1, 1, 1)
    expected = np.sqrt(alpha_bar) * x0.numpy() + np.sqrt(1 - alpha_bar) * noise.numpy()
    np.testing.assert_allclose(schedule.q_sample(x0, LEVELS, noise).numpy(), expected, rtol=1e-10)


def test_one_level_for_all_is_that_level_for_each(schedule, seeded):
    x0, noise = two(seeded)
    for t in (0, 700, torch.tensor(700), torch.tensor(3, dtype=torch.int32)):
        each = torch.full((4,), int(t))
        for call in (schedule.q_sample, schedule.q_step):
            assert torch.equal(call(x0, t, noise), call(x0, each, noise))
        for call in (schedule.x0_from_eps, schedule.p_mean):
            assert torch.equal(call(x0, t, noise), call(x0, each, noise))


def test_steps_into_noise_have_the_mean_and_variance_of_one_jump(schedule):
    signal, variance = torch.ones(1, 1, 1, 1).double(), torch.zeros(1, 1, 1, 1).double()
    one, zero = torch.ones_like(signal), torch.zeros_like(signal)
    for t in range(schedule.T):
        keep, add = schedule.q_step(one, t, zero), schedule.q_step(zero, t, one)
        signal, variance = keep * signal, keep**2 * variance + add**2
        if t in (0, 1, 300, 999):
            torch.testing.assert_close(signal, schedule.q_sample(one, t, zero))
            torch.testing.assert_close(variance, schedule.q_sample(zero, t, one) ** 2)


def test_pictures_of_unit_variance_keep_it_at_every_step(schedule):
    t = torch.arange(1000)
    one, zero = torch.ones(1000, 1, 1, 1).double(), torch.zeros(1000, 1, 1, 1).double()
    for call in (schedule.q_step, schedule.q_sample):
        total = call(one, t, zero) ** 2 + call(zero, t, one) ** 2
        torch.testing.assert_close(total, one)


def test_the_noise_of_a_walk_is_the_one_jump_that_lands_there(schedule, seeded):
    x0, noise = two(seeded)
    x_t, generator = x0, seeded(8)
    for t in range(60):
        x_t = schedule.q_step(x_t, t, draw_noise(x_t, generator))
    eps = schedule.walk_noise(x0, x_t, 59)
    torch.testing.assert_close(schedule.q_sample(x0, 59, eps), x_t)
    jumped = schedule.q_sample(x0, LEVELS, noise)
    torch.testing.assert_close(schedule.walk_noise(x0, jumped, LEVELS), noise)


def test_the_noise_of_a_walk_is_standard_normal(seeded):
    schedule, x0 = NoiseSchedule.linear(200), torch.full((1, 1, 100, 100), 0.7).double()
    x_t, generator = x0, seeded()
    for t in range(200):
        x_t = schedule.q_step(x_t, t, draw_noise(x_t, generator))
    eps = schedule.walk_noise(x0, x_t, 199)
    assert abs(eps.mean().item()) < 5 / 100
    assert abs(eps.std().item() - 1) < 5 / math.sqrt(2 * 10_000)


# ---------------------------------------------------------------- back


def test_the_true_noise_gives_the_clean_picture_back(schedule, seeded):
    x0, noise = two(seeded)
    x_t = schedule.q_sample(x0, LEVELS, noise)
    torch.testing.assert_close(schedule.x0_from_eps(x_t, LEVELS, noise), x0, rtol=0, atol=1e-8)


def test_a_step_back_with_the_true_noise_is_the_posterior_of_bayes(schedule, seeded):
    x0, noise = two(seeded)
    t = torch.tensor([1, 2, 500, 999])
    x_t = schedule.q_sample(x0, t, noise)
    betas = schedule.betas.numpy()
    before = np.array([np.prod(1 - betas[:level]) for level in t])
    beta, before = column(betas[t]), column(before)
    # prior N(sqrt(before) x0, 1 - before), likelihood N(x_t; sqrt(1 - beta) x, beta)
    precision = 1 / (1 - before) + (1 - beta) / beta
    mean = (before.sqrt() / (1 - before) * x0 + (1 - beta).sqrt() / beta * x_t) / precision
    torch.testing.assert_close(schedule.p_mean(x_t, t, noise), mean, rtol=0, atol=1e-9)
    drawn = torch.randn(SHAPE, generator=seeded(9), dtype=torch.float64)
    found = schedule.p_sample(known(noise), x_t, t, seeded(9))
    torch.testing.assert_close(found, mean + drawn / precision.sqrt(), rtol=0, atol=1e-9)


def test_the_last_step_adds_no_noise(schedule, seeded):
    x_t, eps = two(seeded)
    first, second = (schedule.p_sample(known(eps), x_t, 0, seeded(seed)) for seed in (1, 2))
    assert torch.equal(first, second)
    torch.testing.assert_close(first, schedule.x0_from_eps(x_t, 0, eps))
    elsewhere = [schedule.p_sample(known(eps), x_t, 1, seeded(seed)) for seed in (1, 2)]
    assert not torch.equal(*elsewhere)


def test_only_pictures_at_the_last_step_get_no_noise(schedule, seeded):
    x_t, eps = two(seeded)
    first, second = (schedule.p_sample(known(eps), x_t, LEVELS, seeded(seed)) for seed in (1, 2))
    assert [torch.equal(a, b) for a, b in zip(first, second, strict=True)] == [
        level == 0 for level in LEVELS.tolist()
    ]


def test_the_network_is_asked_about_this_very_picture_and_level(schedule, seeded):
    x_t, _ = two(seeded)
    asked = []

    def spy(x, t):
        asked.append((x, t))
        return x

    schedule.p_sample(spy, x_t, 5, seeded())
    (x, t), *others = asked
    assert others == []
    assert torch.equal(x, x_t)
    assert t.tolist() == [5, 5, 5, 5]
    assert t.dtype == torch.int64


# ---------------------------------------------------------------- types and refusals


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_comes_out_has_the_type_of_what_goes_in(schedule, dtype, seeded):
    x, noise = two(seeded, dtype)
    found = [
        schedule.q_sample(x, LEVELS, noise),
        schedule.q_step(x, LEVELS, noise),
        schedule.walk_noise(x, noise, LEVELS),
        schedule.x0_from_eps(x, LEVELS, noise),
        schedule.p_mean(x, LEVELS, noise),
        schedule.p_sample(known(noise), x, LEVELS, seeded()),
        schedule.p_losses(known(noise), x, LEVELS, generator=seeded()),
        draw_noise(x, seeded()),
        draw_noise(x, [seeded()] * 4),
    ]
    assert {value.dtype for value in found} == {dtype}
    assert {value.shape for value in found} == {SHAPE, ()}


@pytest.mark.parametrize(
    "t",
    [
        -1,
        1000,
        0.5,
        torch.tensor([0, 1, 2, 1000]),
        torch.tensor([0, -1, 2, 3]),
        torch.tensor([0, 1]),
        torch.zeros(1).long(),
        torch.zeros(4),
        torch.zeros(4, 1).long(),
    ],
)
@pytest.mark.parametrize("method", ["q_sample", "q_step", "x0_from_eps", "p_mean"])
def test_levels_that_do_not_fit_are_refused(schedule, method, t, seeded):
    x, noise = two(seeded)
    with pytest.raises(ValueError, match=r"^t must be"):
        getattr(schedule, method)(x, t, noise)


def test_levels_that_do_not_fit_are_refused_by_what_asks_the_network(schedule, seeded):
    x, noise = two(seeded)
    for t in (-1, 1000, 0.5, torch.tensor([0, 1])):
        with pytest.raises(ValueError, match=r"^t must be"):
            schedule.p_sample(known(noise), x, t)
        with pytest.raises(ValueError, match=r"^t must be"):
            schedule.p_losses(known(noise), x, t, noise)
        with pytest.raises(ValueError, match=r"^t must be"):
            schedule.walk_noise(x, noise, t)


@pytest.mark.parametrize(
    ("method", "named"),
    [("q_sample", "noise"), ("q_step", "noise"), ("x0_from_eps", "eps"), ("p_mean", "eps_hat")],
)
def test_noise_of_another_shape_is_refused_rather_than_broadcast(schedule, method, named, seeded):
    x, noise = two(seeded)
    with pytest.raises(ValueError, match=rf"^{named} must have.*\(4, 3, 5, 5\).*\(1, 3, 5, 5\)"):
        getattr(schedule, method)(x, LEVELS, noise[:1])


def test_a_walk_to_another_shape_is_refused(schedule, seeded):
    x, noise = two(seeded)
    with pytest.raises(ValueError, match=r"^x_t must have"):
        schedule.walk_noise(x, noise[:1], LEVELS)


@pytest.mark.parametrize("count", [0, 3, 5])
def test_generators_of_another_count_are_refused(schedule, count, seeded):
    x, noise = two(seeded)
    with pytest.raises(ValueError, match=f"^generator must be.* 4 .* got {count}"):
        schedule.p_sample(known(noise), x, LEVELS, [seeded()] * count)


# ---------------------------------------------------------------- a step as a sum


@pytest.mark.parametrize("t", [1, 500, 999])
def test_a_step_to_the_level_below_with_eta_1_is_p_sample(schedule, seeded, t):
    x_t, eps_hat = two(seeded)
    of_x_t, of_eps, sigma = schedule.step_back(t, t - 1, eta=1.0)
    xi = draw_noise(x_t, seeded(4))
    expected = schedule.p_sample(known(eps_hat), x_t, t, seeded(4))
    found = of_x_t * x_t - of_eps * eps_hat + sigma * xi
    np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0])
@pytest.mark.parametrize(("t", "s"), [(999, 700), (700, 20), (20, 0), (3, -1)])
def test_a_step_over_many_levels_is_that_of_ddim(schedule, seeded, t, s, eta):
    x_t, eps_hat = two(seeded)
    of_x_t, of_eps, sigma = schedule.step_back(t, s, eta)
    steps = ddim(known(eps_hat), schedule, x_t, torch.tensor([t, s]), eta=eta, generator=seeded(4))
    *_, last = steps
    added = sigma * draw_noise(x_t, seeded(4)) if eta else 0.0
    found = of_x_t * x_t - of_eps * eps_hat + added
    np.testing.assert_allclose(found.numpy(), last.x_t.numpy(), rtol=1e-9, atol=1e-9)
    assert (sigma == 0) == (eta == 0 or s == -1)
