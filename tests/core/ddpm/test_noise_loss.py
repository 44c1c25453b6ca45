"""The noise that is drawn, and the loss of a guess of it."""

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


def two(seeded):
    generator = seeded(3)
    return tuple(torch.randn(SHAPE, generator=generator, dtype=torch.float64) for _ in range(2))


def known(eps):
    return lambda _x, _t: eps


# ---------------------------------------------------------------- noise


@pytest.mark.parametrize("shape", [(3, 1, 2, 2), (3, 3, 32, 32)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_with_a_generator_a_picture_each_row_is_what_it_gets_alone(shape, dtype, seeded):
    like = torch.zeros(shape, dtype=dtype)
    rows = draw_noise(like, [seeded(seed) for seed in (4, 5, 6)])
    assert rows.dtype == dtype
    for row, seed in zip(rows, (4, 5, 6), strict=True):
        assert torch.equal(row[None], draw_noise(like[:1], seeded(seed)))
        assert torch.equal(row[None], draw_noise(like[:1], [seeded(seed)]))


def test_noise_is_standard_normal(seeded):
    noise = draw_noise(torch.zeros(4, 1, 100, 100), [seeded(seed) for seed in range(4)])
    assert (noise.mean(dim=(1, 2, 3)).abs() < 5 / 100).all()
    assert ((noise.std(dim=(1, 2, 3)) - 1).abs() < 5 / math.sqrt(2 * 10_000)).all()


def test_a_generator_leaves_the_global_one_alone(schedule, seeded):
    before = torch.random.get_rng_state()
    x_t, eps = two(seeded)
    schedule.p_sample(known(eps), x_t, LEVELS, seeded())
    schedule.p_sample(known(eps), x_t, LEVELS, [seeded(seed) for seed in range(4)])
    schedule.p_losses(known(eps), x_t, LEVELS, generator=seeded())
    for stratified in (False, True):
        schedule.t_sample(8, seeded(), stratified=stratified)
    assert torch.equal(torch.random.get_rng_state(), before)


# ---------------------------------------------------------------- the loss


def test_the_loss_is_smooth_l1_between_noise_and_guess(schedule, seeded):
    x0, noise = two(seeded)
    guess = 2 * noise.flip(0) + 0.1
    d = (guess - noise).abs().numpy()
    assert (d < 1).any()
    assert (d > 1).any()
    expected = np.where(d < 1, d**2 / 2, d - 0.5).mean()
    found = schedule.p_losses(known(guess), x0, LEVELS, noise)
    assert found.shape == ()
    assert found.item() == pytest.approx(expected, rel=1e-12)
    assert schedule.p_losses(known(noise), x0, LEVELS, noise).item() == 0


def test_the_loss_asks_about_the_noisy_picture(schedule, seeded):
    x0, noise = two(seeded)
    loss = schedule.p_losses(lambda x, t: schedule.walk_noise(x0, x, t), x0, LEVELS, noise)
    assert loss.item() == pytest.approx(0, abs=1e-15)
    drawn = schedule.p_losses(known(torch.zeros_like(x0)), x0, LEVELS, generator=seeded(5))
    same = draw_noise(x0, seeded(5))
    assert drawn == schedule.p_losses(known(torch.zeros_like(x0)), x0, LEVELS, same)


def test_the_gradient_of_the_loss_is_its_formula(schedule, seeded):
    x0, noise = two(seeded)
    x_t = schedule.q_sample(x0, LEVELS, noise)
    weight = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    schedule.p_losses(lambda x, _t: weight * x, x0, LEVELS, noise).backward()
    d = 0.7 * x_t - noise
    assert weight.grad.item() == pytest.approx((d.clamp(-1, 1) * x_t).mean().item(), rel=1e-9)
