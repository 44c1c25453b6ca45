"""The samplers on pixels of N(0.5, 0.3^2), whose noise is known exactly.

With it every sampler is linear in x and in the noise that it is given. What it must do is worked
out here from conditional Gaussians alone, and not from the formulas that the samplers use.
"""

import itertools
import math

import numpy as np
import pytest
import torch

from core.ddpm.samplers import ddim, dpm_solver, p_sample_loop, time_grid
from core.ddpm.schedule import NoiseSchedule

MEAN, STD = 0.5, 0.3


def exact_eps(schedule):
    """E[eps | x_t] for x_0 ~ N(MEAN, STD^2)."""

    def eps_model(x, t):
        alpha_bar = schedule.alpha_bar(t).to(x).view(-1, 1, 1, 1)
        centred = x - alpha_bar.sqrt() * MEAN
        return centred * (1 - alpha_bar).sqrt() / (alpha_bar * STD**2 + 1 - alpha_bar)

    return eps_model


class World:
    """alpha_bar by its definition, and what is known of x_0 and x_s from x_t."""

    def __init__(self, T, beta_start=1e-4, beta_end=0.02):
        betas = beta_start + np.arange(T) / (T - 1) * (beta_end - beta_start)
        self.alpha_bar = np.append(np.cumprod(1 - betas), 1.0)  # the last is that of -1

    def clean(self, t):
        """x0_hat = gain x_t + offset: conditional mean of x_0."""
        a = self.alpha_bar[t]
        gain = math.sqrt(a) * STD**2 / (a * STD**2 + 1 - a)
        return gain, MEAN - gain * math.sqrt(a) * MEAN

    def spread(self, t):
        """Standard deviation of x_t."""
        a = self.alpha_bar[t]
        return math.sqrt(a * STD**2 + 1 - a)

    def posterior(self, t, s):
        """(of x_t, of x_0, std) in q(x_s | x_t, x_0), by precisions."""
        if s < 0:
            return 0.0, 1.0, 0.0
        a, b = self.alpha_bar[t], self.alpha_bar[s]
        kept = a / b  # x_t = sqrt(kept) x_s + N(0, 1 - kept)
        precision = 1 / (1 - b) + kept / (1 - kept)
        of_t, of_0 = math.sqrt(kept) / (1 - kept), math.sqrt(b) / (1 - b)
        return of_t / precision, of_0 / precision, precision**-0.5

    def noiseless(self, t, s):
        """(of x_t, of x_0, 0): the noise in x_t kept in its direction, at the strength of s."""
        a, b = self.alpha_bar[t], self.alpha_bar[s]
        of_t = math.sqrt((1 - b) / (1 - a))
        return of_t, math.sqrt(b) - of_t * math.sqrt(a), 0.0

    def between(self, eta):
        def rule(t, s):
            std = eta * self.posterior(t, s)[2]
            a, b = self.alpha_bar[t], self.alpha_bar[s]
            of_t = math.sqrt(max(0.0, 1 - b - std**2) / (1 - a))
            return of_t, math.sqrt(b) - of_t * math.sqrt(a), std

        return rule

    def maps(self, levels, rule):
        """x_s = slope x_t + offset + std noise for every pair of neighbouring levels."""
        for t, s in itertools.pairwise(levels):
            of_t, of_0, std = rule(t, s)
            gain, offset = self.clean(t)
            yield of_t + of_0 * gain, of_0 * offset, std

    def moments(self, levels, rule):
        """Mean and standard deviation in the end, from x_T ~ N(0, 1)."""
        mean, variance = 0.0, 1.0
        for slope, offset, std in self.maps(levels, rule):
            mean, variance = slope * mean + offset, slope**2 * variance + std**2
        return mean, math.sqrt(variance)


def levels_of(steps, T=1000):
    return time_grid(T, steps).tolist()


def affine(steps):
    """(slope, offset) of a way back without noise."""
    *_, last = steps
    at_0, at_1 = last.x_t.flatten().tolist()
    return at_1 - at_0, at_0


ENDS = torch.tensor([0.0, 1.0], dtype=torch.float64).view(2, 1, 1, 1)


@pytest.fixture(scope="module")
def schedule():
    return NoiseSchedule.linear(1000)


@pytest.fixture(scope="module")
def world():
    return World(1000)


# ---------------------------------------------------------------- step by step


def follow(found, world, levels, rule, generator):
    """Every step is its map, given the noise that the sampler is given."""
    found = iter(found)
    x = next(found).x_t
    for (slope, offset, std), step in zip(world.maps(levels, rule), found, strict=True):
        noise = torch.randn(x.shape, generator=generator, dtype=x.dtype)
        x = slope * x + offset + std * noise
        torch.testing.assert_close(step.x_t, x, rtol=0, atol=1e-9)


@pytest.mark.parametrize(("T", "beta_end"), [(1000, 0.02), (40, 0.3)])
def test_ancestral_sampling_follows_the_posteriors_of_bayes(T, beta_end, seeded):
    schedule, world = NoiseSchedule.linear(T, 1e-4, beta_end), World(T, 1e-4, beta_end)
    x = torch.randn(2, 1, 3, 3, generator=seeded(1), dtype=torch.float64)
    found = p_sample_loop(exact_eps(schedule), schedule, x, generator=seeded(2))
    follow(found, world, levels_of(T, T), world.posterior, seeded(2))


@pytest.mark.parametrize("steps", [1, 7, 50])
@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_ddim_follows_its_recursion(schedule, world, steps, eta, seeded):
    x = torch.randn(2, 1, 3, 3, generator=seeded(1), dtype=torch.float64)
    times = time_grid(1000, steps)
    rule = {0.0: world.noiseless, 1.0: world.posterior}.get(eta) or world.between(eta)
    found = ddim(exact_eps(schedule), schedule, x, times, eta=eta, generator=seeded(2))
    follow(found, world, times.tolist(), rule, seeded(2))


@pytest.mark.parametrize("steps", [1, 2, 7, 50])
def test_the_solver_follows_the_two_step_recursion(schedule, world, steps, seeded):
    x = torch.randn(2, 1, 3, 3, generator=seeded(1), dtype=torch.float64)
    levels = levels_of(steps)
    depth = [0.5 * math.log(a / (1 - a)) for a in world.alpha_bar[:-1]]  # lambda
    found = dpm_solver(exact_eps(schedule), schedule, x, torch.tensor(levels))
    now, before = next(found), None
    for index, then in enumerate(found):
        t, s = levels[index], levels[index + 1]
        gain, offset = world.clean(t)
        clean = gain * now.x_t + offset
        straight = clean
        if before is not None and s >= 0:
            slope = (clean - before) / (depth[t] - depth[levels[index - 1]])
            straight = clean + slope * (depth[s] - depth[t]) / 2
        of_t, of_0, _ = world.noiseless(t, s)
        torch.testing.assert_close(then.x_t, of_t * now.x_t + of_0 * straight, rtol=0, atol=1e-9)
        now, before = then, clean


# ---------------------------------------------------------------- where they end


def test_ancestral_sampling_ends_a_little_narrow(schedule, world, seeded):
    mean, std = world.moments(levels_of(1000), world.posterior)
    assert round(std, 3) == 0.296
    assert mean == pytest.approx(MEAN, abs=1e-4)
    x = torch.randn(1, 1, 100, 100, generator=seeded(1), dtype=torch.float64)
    *_, last = p_sample_loop(exact_eps(schedule), schedule, x, generator=seeded(2))
    assert abs(last.x_t.mean().item() - mean) < 5 * std / 100
    assert abs(last.x_t.std().item() / std - 1) < 5 / math.sqrt(2 * 10_000)


@pytest.mark.parametrize(
    ("steps", "last_level", "std"),
    [(50, -1, 0.273), (10, -1, 0.185), (50, 0, 0.275), (10, 0, 0.181)],
)
def test_few_steps_of_ddim_end_narrow(schedule, world, steps, last_level, std):
    """Narrower than the data; how much also depends on the level before the clean picture."""
    levels = levels_of(steps)
    if last_level == 0:
        levels = [*np.linspace(999, 0, steps).round().astype(int).tolist(), -1]
    slope, offset = affine(ddim(exact_eps(schedule), schedule, ENDS, torch.tensor(levels)))
    assert round(slope, 3) == std
    assert (offset, slope) == pytest.approx(world.moments(levels, world.noiseless), abs=1e-9)


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_more_steps_of_ddim_come_closer_to_the_data(world, eta):
    gaps = [
        STD - world.moments(levels_of(steps), world.between(eta))[1]
        for steps in (10, 20, 50, 100, 250, 1000)
    ]
    assert all(more > 1.3 * fewer > 0 for more, fewer in itertools.pairwise(gaps))
    assert gaps[-1] < 0.005


def test_the_solver_comes_closer_to_the_data_than_ddim_with_the_same_steps(schedule):
    eps_model = exact_eps(schedule)
    for steps, most in ((10, 0.11), (20, 0.045), (50, 0.006), (100, 0.0005)):
        times = time_grid(1000, steps)
        first, second = (
            abs(affine(sampler(eps_model, schedule, ENDS, times))[0] - STD)
            for sampler in (ddim, dpm_solver)
        )
        assert second < first
        assert second < most


def test_finer_levels_bring_ancestral_sampling_to_the_data():
    gaps = []
    for T in (100, 400, 1600):
        world = World(T, 0.1 / T, 20 / T)  # the same noise in all, in steps as small as T allows
        gaps.append(STD - world.moments(levels_of(T, T), world.posterior)[1])
    assert all(3 < coarse / fine < 5 for coarse, fine in itertools.pairwise(gaps))


@pytest.mark.parametrize(("sampler", "low", "high"), [(ddim, 1.9, 2.1), (dpm_solver, 3.8, 4.5)])
def test_errors_fall_by_half_for_ddim_and_to_a_quarter_for_the_solver(
    schedule, world, sampler, low, high
):
    """Against the exact flow between two levels, with twice the steps each time."""
    start, end = 999, 99
    slope = world.spread(end) / world.spread(start)
    errors = []
    for steps in (75, 150, 300):
        levels = [*range(start, end - 1, -(start - end) // steps), -1]
        *_, before_last, _ = sampler(exact_eps(schedule), schedule, ENDS, torch.tensor(levels))
        assert before_last.t.tolist() == [end, end]
        errors.append(abs(affine([before_last])[0] - slope))
    assert all(low < coarse / fine < high for coarse, fine in itertools.pairwise(errors))


def test_the_clean_picture_on_the_way_is_the_conditional_mean(schedule, world, seeded):
    x = torch.randn(2, 1, 3, 3, generator=seeded(1), dtype=torch.float64)
    for step in ddim(exact_eps(schedule), schedule, x, time_grid(1000, 20)):
        t = int(step.t[0])
        gain, offset = (1.0, 0.0) if t < 0 else world.clean(t)
        torch.testing.assert_close(step.x0_hat, gain * step.x_t + offset, rtol=0, atol=1e-9)
