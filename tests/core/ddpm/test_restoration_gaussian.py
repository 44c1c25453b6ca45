"""t* of pixels of N(0.5, 0.3^2), whose noise is known exactly: what it must be is worked out here.

With it every way back is linear in x_t and in the noise that it is given, so that what comes back
of x_0 noised with eps is a x_0 + b eps + c, and noise of the way's own of variance v. Its mean
squared error is then (1 - a)^2 s^2 + b^2 + v + ((1 - a) mu - c)^2, and PSNR and t* follow.
"""

import itertools
import math

import numpy as np
import pytest
import torch

from core.ddpm.restoration import Rule, crossing, find_t_star, noised, sweep
from core.ddpm.samplers import time_grid
from core.ddpm.schedule import NoiseSchedule
from core.judge.similarity import psnr

MEAN, STD = 0.5, 0.3


def exact_eps(schedule):
    """E[eps | x_t] for x_0 ~ N(MEAN, STD^2)."""

    def eps_model(x, t):
        alpha_bar = schedule.alpha_bar(t).to(x).view(-1, 1, 1, 1)
        centred = x - alpha_bar.sqrt() * MEAN
        return centred * (1 - alpha_bar).sqrt() / (alpha_bar * STD**2 + 1 - alpha_bar)

    return eps_model


class World:
    """alpha_bar by its definition, and what comes back of a picture."""

    def __init__(self, T, beta_start=1e-4, beta_end=0.02):
        betas = beta_start + np.arange(T) / (T - 1) * (beta_end - beta_start)
        self.alpha_bar = np.append(np.cumprod(1 - betas), 1.0)  # the last is that of -1

    def step(self, t, s, noisy):
        """x_s = slope x_t + offset + std noise: x_0 guessed from x_t, then x_s from both."""
        a, b = self.alpha_bar[t], self.alpha_bar[s]
        gain = math.sqrt(a) * STD**2 / (a * STD**2 + 1 - a)  # regression of x_0 on x_t
        if not noisy:  # the noise in x_t kept in its direction
            of_t = math.sqrt((1 - b) / (1 - a))
            of_0, std = math.sqrt(b) - of_t * math.sqrt(a), 0.0
        elif s < 0:
            of_t, of_0, std = 0.0, 1.0, 0.0
        else:  # q(x_s | x_t, x_0) by Bayes
            kept = a / b
            precision = 1 / (1 - b) + kept / (1 - kept)
            of_t, of_0 = (
                math.sqrt(kept) / (1 - kept) / precision,
                math.sqrt(b) / (1 - b) / precision,
            )
            std = precision**-0.5
        return of_t + of_0 * gain, of_0 * (MEAN - gain * math.sqrt(a) * MEAN), std

    def there_and_back(self, levels, noisy=False):
        """(a, b, c, v) of a picture noised to the first of falling ``levels``."""
        alpha_bar = self.alpha_bar[levels[0]]
        slope, offset, variance = 1.0, 0.0, 0.0
        for t, s in itertools.pairwise(levels):
            by, add, std = self.step(t, s, noisy)
            slope, offset, variance = by * slope, by * offset + add, by**2 * variance + std**2
        return slope * math.sqrt(alpha_bar), slope * math.sqrt(1 - alpha_bar), offset, variance

    def error(self, levels, noisy=False):
        a, b, c, v = self.there_and_back(levels, noisy)
        return (1 - a) ** 2 * STD**2 + b**2 + v + ((1 - a) * MEAN - c) ** 2

    def curve(self, grid, starts, noisy=False):
        """PSNR from each level of ``starts`` along the grid."""
        ways = ([t for t in grid if t <= start] for start in starts)
        return np.array([10 * math.log10(4 / self.error(way, noisy)) for way in ways])


def data(shape, generator):
    return MEAN + STD * torch.randn(shape, generator=generator, dtype=torch.float64)


# Seeds below 500 make data; noise has seeds of its own, else it would be the data's.


def noise_of(shape, seeded):
    return [[seeded(1000 * (p + 1) + d) for d in range(shape[1])] for p in range(shape[0])]


def scores(schedule, x0, levels, grid, draws, seeded, **way):
    """PSNR (P, L, D) of pictures noised to every level and denoised."""
    shape = (len(x0), len(levels), draws)
    x_t = noised(schedule, x0, levels, noise_of((len(x0), draws), seeded))
    generators = [seeded(10**6 + i) for i in range(math.prod(shape))]
    for step in sweep(
        exact_eps(schedule), schedule, x_t, levels, grid, **way, generators=generators
    ):
        last = step
    many = x0[:, None, None].expand(*shape, *x0.shape[1:]).flatten(0, 2)
    return psnr(many, last.x_t).unflatten(0, shape).numpy()


def check_t_star(levels, found, expected, thresholds, values, agree):
    """t* of scores (P, L, D) of pictures with ``values`` values is that of the curve expected.

    A score's standard deviation is 10 / ln 10 sqrt(2 / values), and of a mean over draws no more:
    the picture is the same in all of them.
    """
    chance = 10 / math.log(10) * math.sqrt(2 / values)
    np.testing.assert_allclose(found.mean(axis=(0, 2)), expected, rtol=0, atol=4 * chance)
    for threshold in thresholds:
        rule = Rule(threshold)
        truth = crossing(levels, expected, rule)
        assert levels[0] < truth < levels[-1]
        place = np.searchsorted(levels, truth)
        gap = levels[place] - levels[place - 1]
        steep = (expected[place - 1] - expected[place]) / gap  # dB a level
        off = []
        for picture in found:
            t_star = find_t_star(levels, picture, rule)
            off.append(t_star.t - truth)
            assert t_star.low <= t_star.t <= t_star.high
        assert np.abs(off).max() < 5 * chance / steep
        assert 5 * chance / steep < agree  # and that says something


@pytest.mark.parametrize("steps", [20, 50])
@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_t_star_of_ddim_is_that_of_its_recursion(steps, eta, seeded):
    schedule, world = NoiseSchedule.linear(1000), World(1000)
    grid = time_grid(1000, steps)
    levels = grid[:-1].flip(0)[:: max(1, steps // 20)]  # rising
    x0 = data((2, 3, 48, 48), seeded(1))
    found = scores(schedule, x0, levels, grid, 4, seeded, sampler="ddim", eta=eta)
    expected = world.curve(grid.tolist(), levels.tolist(), noisy=eta == 1)
    assert (np.diff(expected) < 0).all()
    check_t_star(levels.numpy(), found, expected, (16, 18, 20), x0[0].numel(), agree=40)


def test_t_star_of_the_ancestral_sampler_is_that_of_its_recursion(seeded):
    T = 60
    schedule, world = NoiseSchedule.linear(T, 1e-4, 0.25), World(T, 1e-4, 0.25)
    grid = time_grid(T, T)
    levels = torch.arange(0, T, 4)
    x0 = data((2, 3, 48, 48), seeded(2))
    found = scores(schedule, x0, levels, grid, 4, seeded, sampler="ddpm")
    expected = world.curve(grid.tolist(), levels.tolist(), noisy=True)
    check_t_star(levels.numpy(), found, expected, (16, 20, 25), x0[0].numel(), agree=3)


@pytest.mark.parametrize("steps", [1, 20, 50])
def test_what_comes_back_is_linear_in_the_picture_and_its_noise(steps, seeded):
    """Value by value, without chance: DDIM from every level."""
    schedule, world = NoiseSchedule.linear(1000), World(1000)
    grid = time_grid(1000, steps)
    levels = grid[:-1].flip(0)
    x0 = data((2, 1, 3, 3), seeded(1))
    sources = noise_of((2, 2), seeded)
    x_t = noised(schedule, x0, levels, sources)
    *_, last = sweep(exact_eps(schedule), schedule, x_t, levels, grid)
    found = last.x_t.unflatten(0, x_t.shape[:3])
    for p, d in itertools.product(range(2), range(2)):
        noise = torch.randn(1, 3, 3, generator=seeded(1000 * (p + 1) + d), dtype=torch.float64)
        for row, level in enumerate(levels.tolist()):
            a, b, c, _ = world.there_and_back([t for t in grid.tolist() if t <= level])
            expected = a * x0[p] + b * noise + c
            torch.testing.assert_close(found[p, row, d], expected, rtol=0, atol=1e-9)


def test_one_look_restores_what_regression_does(seeded):
    """From any level straight to the clean picture: the conditional mean, whose error is known."""
    schedule, world = NoiseSchedule.linear(1000), World(1000)
    x0 = data((1, 3, 64, 64), seeded(3))
    for level in (99, 299, 599):
        a = world.alpha_bar[level]
        variance = STD**2 * (1 - a) / (a * STD**2 + 1 - a)  # of x_0 given x_t
        assert world.error([level, -1]) == pytest.approx(variance)
        grid = torch.tensor([level, -1])
        (found,) = scores(schedule, x0, grid[:1], grid, 2, seeded).mean(axis=2)[0]
        chance = 10 / math.log(10) * math.sqrt(2 / x0.numel())
        assert abs(found - 10 * math.log10(4 / variance)) < 4 * chance


def test_after_the_highest_level_another_picture_comes_back():
    """Its error is the variance of the data and that of what DDIM makes of noise."""
    world = World(1000)
    grid = time_grid(1000, 50).tolist()
    a, b, c, _ = world.there_and_back(grid)
    assert abs(a) < 0.01  # nothing of the picture
    assert world.error(grid) == pytest.approx(STD**2 + b**2 + (MEAN - c) ** 2, rel=0.02)


def test_noise_on_the_way_back_loses_the_picture_sooner():
    world, grid = World(1000), time_grid(1000, 50).tolist()
    starts = grid[-2::-1]
    quiet, noisy = (
        crossing(starts, world.curve(grid, starts, noisy), Rule(18.0)) for noisy in (False, True)
    )
    assert noisy < quiet - 20


def test_the_interval_holds_t_star_of_a_picture(seeded):
    """The t* of endless draws of one picture lies in nearly all intervals of few draws."""
    schedule, world = NoiseSchedule.linear(1000), World(1000)
    grid = time_grid(1000, 20)
    levels = grid[:-1].flip(0)[:14]
    x0 = data((8, 1, 6, 6), seeded(4))  # small, so that draws differ
    found = scores(schedule, x0, levels, grid, 8, seeded)
    held = 0
    for picture, rows in zip(x0, found, strict=True):
        # PSNR averages logarithms: the mean over many draws is taken from the linear map.
        noise = torch.randn(4000, 36, generator=seeded(5), dtype=torch.float64)
        curve = []
        for level in levels.tolist():
            a, b, c, _ = world.there_and_back([t for t in grid.tolist() if t <= level])
            gap = (1 - a) * picture.flatten() - c - b * noise
            curve.append(float((10 * torch.log10(4 / gap.square().mean(dim=1))).mean()))
        t_star = find_t_star(levels.numpy(), rows, Rule(20.0))
        assert t_star.low < t_star.high
        held += t_star.low <= crossing(levels.numpy(), np.array(curve), Rule(20.0)) <= t_star.high
    assert held >= 6
