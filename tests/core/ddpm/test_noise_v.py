"""v: noise and picture in one."""

import math

import numpy as np
import pytest
import torch

from core.ddpm.schedule import NoiseSchedule, draw_noise

SHAPE = (4, 3, 5, 5)
LEVELS = torch.tensor([0, 1, 500, 999])


@pytest.fixture(params=["linear", "cosine"])
def schedule(request):
    return getattr(NoiseSchedule, request.param)(1000)


def two(seeded, dtype=torch.float64):
    generator = seeded(3)
    return tuple(torch.randn(SHAPE, generator=generator, dtype=dtype) for _ in range(2))


def test_v_is_how_the_noisy_picture_changes_along_the_circle(schedule, seeded):
    """x_t = cos(angle) x_0 + sin(angle) eps, and v its derivative by the angle."""
    x0, noise = two(seeded)
    angle = schedule.alphas_cumprod[LEVELS].sqrt().arccos().view(-1, 1, 1, 1)
    x_t = angle.cos() * x0 + angle.sin() * noise
    torch.testing.assert_close(schedule.q_sample(x0, LEVELS, noise), x_t)
    step = 1e-6
    before, after = ((angle + d).cos() * x0 + (angle + d).sin() * noise for d in (-step, step))
    found = schedule.v_target(x0, LEVELS, noise)
    torch.testing.assert_close(found, (after - before) / (2 * step), rtol=0, atol=1e-8)


def test_v_is_the_noise_at_first_and_the_picture_turned_about_at_last(seeded):
    schedule = NoiseSchedule.linear(1500)
    x0, noise = two(seeded)
    first, last = (schedule.v_target(x0, t, noise) for t in (0, 1499))
    torch.testing.assert_close(first, noise, rtol=0, atol=0.05)
    torch.testing.assert_close(last, -x0, rtol=0, atol=0.01)


def test_v_of_pictures_of_unit_variance_has_unit_variance_at_every_level(schedule):
    t = torch.arange(1000)
    one, zero = torch.ones(1000, 1, 1, 1).double(), torch.zeros(1000, 1, 1, 1).double()
    total = schedule.v_target(one, t, zero) ** 2 + schedule.v_target(zero, t, one) ** 2
    torch.testing.assert_close(total, one)


def test_the_true_v_gives_the_noise_and_the_clean_picture_back(schedule, seeded):
    x0, noise = two(seeded)
    x_t, v = schedule.q_sample(x0, LEVELS, noise), schedule.v_target(x0, LEVELS, noise)
    eps = schedule.eps_from_v(x_t, LEVELS, v)
    torch.testing.assert_close(eps, noise, rtol=0, atol=1e-12)
    torch.testing.assert_close(schedule.x0_from_eps(x_t, LEVELS, eps), x0, rtol=0, atol=1e-8)


@pytest.mark.parametrize("t", [0, 100, 999])
def test_an_error_in_v_is_never_blown_up_in_the_clean_picture(t, seeded):
    schedule = NoiseSchedule.linear(1000)
    x0, noise = two(seeded)
    x_t, v = schedule.q_sample(x0, t, noise), schedule.v_target(x0, t, noise)

    def clean(error_in_eps, error_in_v):
        eps = schedule.eps_from_v(x_t, t, v + error_in_v) + error_in_eps
        return (schedule.x0_from_eps(x_t, t, eps) - x0).mean().item()

    alpha_bar = schedule.alphas_cumprod[t].item()
    assert clean(0.0, 0.1) == pytest.approx(-0.1 * math.sqrt(1 - alpha_bar), rel=1e-6)
    assert clean(0.1, 0.0) == pytest.approx(-0.1 * math.sqrt(1 / alpha_bar - 1), rel=1e-6)
    if t == 999:
        assert round(-clean(1.0, 0.0)) == 157


def test_the_loss_is_smooth_l1_between_v_and_guess(schedule, seeded):
    x0, noise = two(seeded)
    asked = []

    def spy(x, t):
        asked.append((x, t))
        return 2 * x0.flip(0)

    found = schedule.v_losses(spy, x0, LEVELS, noise)
    alpha_bar = schedule.alphas_cumprod.numpy()[LEVELS].reshape(-1, 1, 1, 1)
    v = np.sqrt(alpha_bar) * noise.numpy() - np.sqrt(1 - alpha_bar) * x0.numpy()
    d = np.abs(2 * x0.flip(0).numpy() - v)
    assert d.min() < 1 < d.max()
    assert found.shape == ()
    assert found.item() == pytest.approx(np.where(d < 1, d**2 / 2, d - 0.5).mean(), rel=1e-10)
    ((x, t),) = asked
    assert torch.equal(x, schedule.q_sample(x0, LEVELS, noise))
    assert torch.equal(t, LEVELS)


def test_the_noise_of_the_loss_is_drawn_from_its_generator(schedule, seeded):
    x0, _ = two(seeded)
    before = torch.random.get_rng_state()

    def loss(noise=None, generator=None):
        return schedule.v_losses(lambda x, _t: x, x0, LEVELS, noise, generator).item()

    assert loss(generator=seeded(5)) == loss(draw_noise(x0, seeded(5)))
    assert loss(generator=seeded(5)) != loss(generator=seeded(6))
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("t", [0, 200, 700])
def test_beside_the_loss_of_the_noise_it_weighs_a_level_by_what_is_left_of_the_signal(t, seeded):
    schedule = NoiseSchedule.linear(1000)
    x0, noise = two(seeded)

    def v_model(x, rows):  # near enough everywhere that the loss is a square
        return schedule.v_target(x0, rows, noise) + 0.5 * torch.tanh(x)

    def eps_model(x, rows):
        return schedule.eps_from_v(x, rows, v_model(x, rows))

    in_v, in_eps = (
        loss(guess, x0, t, noise).item()
        for loss, guess in ((schedule.v_losses, v_model), (schedule.p_losses, eps_model))
    )
    assert in_v == pytest.approx(in_eps / schedule.alphas_cumprod[t].item(), rel=1e-9)
    assert in_eps > 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_v_has_the_type_of_the_pictures(schedule, dtype, seeded):
    x0, noise = two(seeded, dtype)
    found = [
        schedule.v_target(x0, LEVELS, noise),
        schedule.eps_from_v(x0, LEVELS, noise),
        schedule.v_losses(lambda x, _t: x, x0, LEVELS, noise),
        schedule.v_losses(lambda x, _t: x, x0, LEVELS),
    ]
    assert {value.dtype for value in found} == {dtype}


@pytest.mark.parametrize(("method", "named"), [("v_target", "noise"), ("eps_from_v", "v")])
def test_v_of_another_shape_or_level_is_refused(schedule, method, named, seeded):
    x0, noise = two(seeded)
    with pytest.raises(ValueError, match=rf"^{named} must have"):
        getattr(schedule, method)(x0, LEVELS, noise[:1])
    for t in (-1, 1000, 0.5, torch.tensor([0, 1])):
        with pytest.raises(ValueError, match=r"^t must be"):
            getattr(schedule, method)(x0, t, noise)
        with pytest.raises(ValueError, match=r"^t must be"):
            schedule.v_losses(lambda x, _t: x, x0, t, noise)
