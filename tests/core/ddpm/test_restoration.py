import itertools
import math
import weakref

import numpy as np
import pytest
import torch

from core.ddpm.restoration import (
    COVERAGE,
    RESAMPLES,
    Rule,
    crossing,
    find_t_star,
    noised,
    spread,
    sweep,
    wilson,
)
from core.ddpm.samplers import ddim, dpm_solver, p_sample_loop, time_grid
from core.ddpm.schedule import NoiseSchedule, draw_noise
from core.ddpm.unet import UNet, UNetConfig

T = 40
PICTURES, DRAWS = 3, 2


@pytest.fixture(scope="module")
def schedule():
    return NoiseSchedule.linear(T, 1e-3, 0.2)


def curved(x, t):
    """Answers every value of a picture by itself, and another at every level."""
    return torch.sin(2 * x + t.to(x).view(-1, 1, 1, 1) / 10) + 0.3 * x


def clean_pictures(seeded, side=4):
    return torch.rand(PICTURES, 3, side, side, generator=seeded(1), dtype=torch.float64) * 2 - 1


def sources(seeded, first=0):
    """A generator for every draw of every picture."""
    return [
        [seeded(first + 10 * picture + draw) for draw in range(DRAWS)]
        for picture in range(PICTURES)
    ]


class Spy:
    """Remembers the levels and pictures of every call."""

    def __init__(self, eps_model=curved):
        self.eps_model, self.levels, self.pictures = eps_model, [], []

    def __call__(self, x, t):
        assert len(x) == len(t) > 0
        self.levels.append(t.tolist())
        self.pictures.append(x.clone())
        return self.eps_model(x, t)


# ---------------------------------------------------------------- there


def test_pictures_are_noised_by_equation_four_with_the_same_noise_at_every_level(schedule, seeded):
    x0, levels = clean_pictures(seeded), torch.tensor([0, 7, 20, 39])
    found = noised(schedule, x0, levels, sources(seeded))
    assert found.shape == (PICTURES, 4, DRAWS, 3, 4, 4)
    for p, (row, t), d in itertools.product(
        range(PICTURES), enumerate(levels.tolist()), range(DRAWS)
    ):
        a = float(torch.prod(1 - schedule.betas[: t + 1]))
        noise = torch.randn(x0[p].shape, generator=seeded(10 * p + d), dtype=torch.float64)
        expected = math.sqrt(a) * x0[p] + math.sqrt(1 - a) * noise
        torch.testing.assert_close(found[p, row, d], expected, rtol=0, atol=1e-12)


def test_noise_of_a_draw_does_not_depend_on_the_levels_the_pictures_or_the_draws(schedule, seeded):
    x0 = clean_pictures(seeded)
    every = noised(schedule, x0, torch.tensor([3, 20, 39]), sources(seeded))
    alone = noised(schedule, x0[2:], torch.tensor([20]), [sources(seeded)[2][1:]])
    assert torch.equal(alone[0, 0, 0], every[2, 1, 1])
    drawn = {tuple(one.flatten().tolist()) for one in every.flatten(0, 2)}
    assert len(drawn) == PICTURES * 3 * DRAWS


def test_a_row_of_generators_is_needed_for_every_picture(schedule, seeded):
    with pytest.raises(ValueError, match="zip"):
        noised(schedule, clean_pictures(seeded), torch.tensor([3]), sources(seeded)[:2])


# ---------------------------------------------------------------- and back

WAYS = {
    "ddpm": {"sampler": "ddpm"},
    "ddim": {"sampler": "ddim"},
    "ddim-noisy": {"sampler": "ddim", "eta": 1.0},
    "ddim-clipped": {"sampler": "ddim", "eta": 0.5, "clip_x0": True},
    "dpm": {"sampler": "dpm"},
}


@pytest.fixture(params=WAYS)
def way(request):
    return WAYS[request.param]


def grid_of(way):
    return time_grid(T, T if way["sampler"] == "ddpm" else 8)  # 39, 34, … 4, -1


def levels_of(way):
    return torch.tensor([2, 11, 12, 39] if way["sampler"] == "ddpm" else [4, 9, 29, 39])


def flat_sources(seeded, levels, first=1000):
    """A generator for every picture of the flat batch, named by its place."""
    return [seeded(first + i) for i in range(PICTURES * len(levels) * DRAWS)]


def swept(eps_model, schedule, x_t, levels, way, seeded):
    generators = flat_sources(seeded, levels)
    return sweep(eps_model, schedule, x_t, levels, grid_of(way), **way, generators=generators)


def one_way_back(eps_model, schedule, x_t, level, way, generator):
    """A picture (1, C, H, W) alone, by the sampler itself."""
    times = torch.tensor([t for t in grid_of(way).tolist() if t <= level])
    clip = {"clip_x0": way.get("clip_x0", False)}
    if way["sampler"] == "dpm":
        steps = dpm_solver(eps_model, schedule, x_t, times, **clip)
    elif way["sampler"] == "ddpm":
        steps = p_sample_loop(eps_model, schedule, x_t, times, **clip, generator=[generator])
    else:
        eta = way.get("eta", 0.0)
        steps = ddim(eps_model, schedule, x_t, times, **clip, eta=eta, generator=[generator])
    return list(steps)


def check_against_one_at_a_time(eps_model, schedule, way, seeded, side):
    x0, levels = clean_pictures(seeded, side), levels_of(way)
    x_t = noised(schedule, x0, levels, sources(seeded))
    together = list(swept(eps_model, schedule, x_t, levels, way, seeded))
    shape = x_t.shape[:3]
    for place, (p, row, d) in enumerate(itertools.product(*map(range, shape))):
        level = int(levels[row])
        noise = draw_noise(x0[p : p + 1], [seeded(10 * p + d)])
        start = schedule.q_sample(x0[p : p + 1], level, noise)
        alone = one_way_back(eps_model, schedule, start, level, way, seeded(1000 + place))
        shared = together[len(together) - len(alone) :]
        for one, step in zip(alone, shared, strict=True):
            assert int(step.t[place]) == int(one.t[0])
            torch.testing.assert_close(step.x_t[place], one.x_t[0], rtol=0, atol=1e-8)
            torch.testing.assert_close(step.x0_hat[place], one.x0_hat[0], rtol=0, atol=1e-8)
        assert (together[-1].t == -1).all()
    return together


def test_the_sweep_is_one_level_and_one_draw_at_a_time(schedule, way, seeded):
    last = check_against_one_at_a_time(curved, schedule, way, seeded, 4)[-1]
    results = last.x_t.unflatten(0, (PICTURES, 4, DRAWS))
    assert (results[:, 1:] - results[:, :-1]).abs().amax(dim=(3, 4, 5)).min() > 1e-3
    assert (results[:, :, 0] - results[:, :, 1]).abs().amax(dim=(2, 3, 4)).min() > 1e-3


@pytest.mark.parametrize("name", ["ddim", "ddim-noisy", "dpm"])
def test_so_it_is_with_a_network(schedule, name, seeded, stirred):
    unet = stirred(UNet(UNetConfig(channels=(8, 8, 8), time_width=16))).double()
    with torch.no_grad():
        check_against_one_at_a_time(unet, schedule, WAYS[name], seeded, 32)


def test_a_sweep_calls_the_network_as_often_as_its_longest_way_alone(schedule, way, seeded):
    levels, spy = levels_of(way)[:3], Spy()  # not from the top
    x_t = noised(schedule, clean_pictures(seeded), levels, sources(seeded))
    steps = list(swept(spy, schedule, x_t, levels, way, seeded))
    visited = [t for t in grid_of(way).tolist() if 0 <= t <= int(levels.max())]
    assert len(spy.levels) == len(visited) == len(steps) - 1
    for call, t in zip(spy.levels, visited, strict=True):
        joined = sum(level >= t for level in levels.tolist())
        assert call == [t] * (PICTURES * DRAWS * joined)


def test_a_picture_joins_at_its_own_level_and_waits_untouched_before(schedule, way, seeded):
    levels, spy = levels_of(way), Spy()
    x_t = noised(schedule, clean_pictures(seeded), levels, sources(seeded))
    flat, start = x_t.flatten(0, 2), levels[None, :, None].expand(x_t.shape[:3]).flatten()
    visited = [t for t in grid_of(way).tolist() if t >= 0]
    steps = list(swept(spy, schedule, x_t, levels, way, seeded))
    for step, t, asked in zip(steps, visited, spy.pictures, strict=False):
        waits = start < t
        assert torch.equal(step.x_t[waits], flat[waits])
        assert step.x0_hat[waits].isnan().all()
        assert not step.x0_hat[~waits].isnan().any()
        assert torch.equal(step.t, start.clamp(max=t))
        assert torch.equal(asked, step.x_t[~waits])
    assert torch.equal(steps[-1].x_t, steps[-1].x0_hat)


def test_the_order_of_the_flat_batch_is_pictures_levels_draws(schedule, seeded):
    """A network that knows nothing leaves x_t / sqrt(alpha_bar) of every place."""
    levels = torch.tensor([4, 29, 39])
    x_t = noised(schedule, clean_pictures(seeded), levels, sources(seeded))
    *_, last = sweep(lambda x, _t: torch.zeros_like(x), schedule, x_t, levels, time_grid(T, 8))
    scale = schedule.alphas_cumprod[levels].sqrt().view(1, 3, 1, 1, 1, 1)
    torch.testing.assert_close(last.x_t.unflatten(0, x_t.shape[:3]), x_t / scale)


def test_the_default_way_back_is_ddim_without_noise(schedule, seeded):
    levels = torch.tensor([9, 39])
    x_t = noised(schedule, clean_pictures(seeded), levels, sources(seeded))
    found, plain = (
        list(sweep(curved, schedule, x_t, levels, time_grid(T, 8), **options))[-1]
        for options in ({}, {"sampler": "ddim", "eta": 0.0, "clip_x0": False})
    )
    assert torch.equal(found.x_t, plain.x_t)
    assert found.x_t.abs().max() > 1  # nothing is clipped


def test_nothing_but_the_present_state_is_kept(schedule, way, seeded):
    levels = levels_of(way)
    x_t = noised(schedule, clean_pictures(seeded), levels, sources(seeded))
    seen = []
    for step in swept(curved, schedule, x_t, levels, way, seeded):
        seen.append((weakref.ref(step.x_t), weakref.ref(step.x0_hat)))
        step = None  # the loop lets go
        alive = [i for i, pair in enumerate(seen) if any(one() is not None for one in pair)]
        # The first x_t is a view of what was given; the solver needs the step before.
        assert set(alive) <= {0, len(seen) - 2, len(seen) - 1}


def test_levels_off_the_grid_are_refused(schedule, seeded):
    levels = torch.tensor([4, 10])
    x_t = noised(schedule, clean_pictures(seeded), levels, sources(seeded))
    with pytest.raises(ValueError, match="start must be levels of the grid"):
        next(sweep(curved, schedule, x_t, levels, time_grid(T, 8)))


def test_a_sampler_that_does_not_exist_is_refused(schedule, seeded):
    levels = torch.tensor([4])
    x_t = noised(schedule, clean_pictures(seeded), levels, sources(seeded))
    with pytest.raises(ValueError, match=r"^sampler must be one of"):
        next(sweep(curved, schedule, x_t, levels, time_grid(T, 8), sampler="euler"))


def test_too_few_generators_are_refused(schedule, seeded):
    levels = torch.tensor([4, 9])
    x_t = noised(schedule, clean_pictures(seeded), levels, sources(seeded))
    with pytest.raises(ValueError, match="generator must be one, or one a picture: 12 of them"):
        next(sweep(curved, schedule, x_t, levels, time_grid(T, 8), eta=1.0, generators=[seeded()]))


# ---------------------------------------------------------------- t*: where a curve crosses

INF = math.inf
HIGHER, LOWER = Rule(10.0), Rule(10.0, higher=False)


@pytest.mark.parametrize(
    ("curve", "expected"),
    [
        ([30, 20, 5, 1], 200 + 200 * 10 / 15),  # from 20 at 200 to 5 at 400
        ([12, 8, 5, 1], 150),
        ([11, 10.5, 10, 9], 400),  # at the threshold is restored, until it falls
        ([11, 10, 9, 8], 200),
        ([30, 20, 15, 10], INF),  # at the threshold at the last level: never lost
        ([10, 10, 10, 10], INF),
        ([9.99, 20, 20, 20], -INF),
        ([5, 4, 3, 2], -INF),
        ([14, 6, 30, 2], 150),  # the first crossing counts
        ([INF, 20, 5, 1], 200 + 200 * 10 / 15),
        ([INF, 5, 4, 3], 200),  # infinite until the next level
        ([INF, INF, 10, 4], 400),
        ([INF, INF, INF, 9], 500),
        ([INF] * 4, INF),
        ([20, -INF, 0, 0], 100),
    ],
)
def test_a_curve_is_lost_where_the_line_between_two_levels_meets_the_threshold(curve, expected):
    levels = [100, 200, 400, 500]
    assert crossing(levels, curve, HIGHER) == pytest.approx(expected)
    found = crossing(np.array(levels), np.array(curve, dtype=np.float64), HIGHER)
    assert isinstance(found, float)
    mirrored = [20 - value for value in curve]  # the same distances on the other side
    assert crossing(levels, mirrored, LOWER) == pytest.approx(expected)


def test_restored_is_below_the_threshold_where_lower_is_better():
    assert crossing([0, 10, 20], [0, 5, 15], LOWER) == 15
    assert crossing([0, 10, 20], [0, 10, 20], LOWER) == 10
    assert crossing([0, 10, 20], [11, 0, 0], LOWER) == -INF
    assert crossing([0, 10, 20], [0, 1, 2], LOWER) == INF
    assert Rule(1.0).higher
    assert not Rule(1.0).share


def test_a_curve_that_holds_no_number_is_refused():
    with pytest.raises(ValueError, match=r"^curve must hold numbers, got NaN"):
        crossing([0, 10], [1.0, math.nan], HIGHER)


# ---------------------------------------------------------------- t* and how sure it is


def falling(draws, seed, noise=1.0, levels=10, shared=1.0):
    """Scores that fall from 20 to 2 over the levels 0, 50, …, each draw with its own."""
    rng = np.random.default_rng(seed)
    line = np.linspace(20, 2, levels)[:, None]
    return line + shared * rng.normal(size=(1, draws)) + noise * rng.normal(size=(levels, draws))


LEVELS = np.arange(0, 500, 50)


def test_t_star_is_where_the_mean_of_the_draws_crosses():
    scores = falling(6, 0)
    found = find_t_star(LEVELS, scores, HIGHER)
    np.testing.assert_allclose(found.curve, scores.mean(axis=1))
    assert found.t == crossing(LEVELS, scores.mean(axis=1), HIGHER)
    assert isinstance(found.t, float)
    assert 100 < found.t < 400


@pytest.mark.parametrize("seed", range(8))
def test_intervals_hold_what_they_are_about(seed):
    found = find_t_star(LEVELS, falling(5, seed), HIGHER)
    assert isinstance(found.low, float)
    assert isinstance(found.high, float)
    assert found.low < found.t < found.high
    assert found.curve.shape == found.curve_low.shape == found.curve_high.shape == (10,)
    assert (found.curve_low < found.curve).all()
    assert (found.curve < found.curve_high).all()


def test_draws_that_agree_leave_no_doubt():
    scores = falling(1, 0).repeat(5, axis=1)
    found = find_t_star(LEVELS, scores, HIGHER)
    assert found.low == pytest.approx(found.t)
    assert found.high == pytest.approx(found.t)
    np.testing.assert_allclose(found.curve_low, scores[:, 0])
    np.testing.assert_allclose(found.curve_high, scores[:, 0])


@pytest.mark.parametrize("draws", [1, 2, 3])
def test_few_draws_give_no_interval(draws):
    found = find_t_star(LEVELS, falling(draws, 0), HIGHER)
    assert np.isfinite(found.t)
    assert np.isnan(found.low)
    assert np.isnan(found.high)


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    """Draws from a known world; without the stretching four of them hold it 74 times in 100."""
    truth = crossing(LEVELS, falling(1, 0, noise=0, shared=0)[:, 0], HIGHER)
    for draws, least in ((4, 0.78), (16, 0.86)):
        held = 0
        for seed in range(400):
            found = find_t_star(LEVELS, falling(draws, seed, shared=3), HIGHER, seed=seed)
            held += found.low <= truth <= found.high
        assert least <= held / 400 < 0.95


def test_more_draws_are_surer():
    widths = []
    for draws in (5, 50, 500):
        found = [find_t_star(LEVELS, falling(draws, seed), HIGHER) for seed in range(10)]
        widths.append(np.mean([one.high - one.low for one in found]))
    assert widths[0] > 2 * widths[1] > 4 * widths[2] > 0


def test_draws_are_drawn_anew_as_whole_columns():
    """Every column crosses half way, and so does the mean of any of them; rows drawn one by one
    would not."""
    up = np.array([1.0, 4.0, 9.0, 2.0, 30.0])
    scores = 10 + np.stack([2 * up, up, -up, -2 * up])
    found = find_t_star(np.array([0, 100, 300, 400]), scores, HIGHER)
    assert (found.t, found.low, found.high) == pytest.approx((200, 200, 200))
    assert found.curve_low[0] < found.curve_high[0] - 10


def test_the_interval_is_that_of_nine_in_ten_resamples():
    """With h of n draws at 1 the mean of a resample is binomial: its 5 % and 95 % points."""
    stats = pytest.importorskip("scipy.stats", reason="scipy is the second opinion here")
    for draws, high in ((7, 3), (9, 4), (12, 8), (25, 12)):
        scores = np.tile(np.arange(draws) < high, (2, 1)) * np.array([[1.0], [-1.0]])
        found = find_t_star([0, 1], scores, Rule(0.0))
        hits = stats.binom(draws, high / draws)
        low, top = hits.ppf(0.05), hits.ppf(0.95)
        # A resample's own chance error, at three standard deviations.
        wide = 3 * math.sqrt(0.05 * 0.95 / RESAMPLES)
        lows = {hits.ppf(0.05 - wide), low, hits.ppf(0.05 + wide)}
        tops = {hits.ppf(0.95 - wide), top, hits.ppf(0.95 + wide)}
        # Deviations are stretched, so that resampled means have the variance of means.
        mean, stretch = high / draws, math.sqrt(draws / (draws - 1))
        drawn = [mean + (end[0] - mean) / stretch for end in (found.curve_low, found.curve_high)]
        assert round(drawn[0] * draws, 9) in lows  # that number of draws is drawn anew
        assert round(drawn[1] * draws, 9) in tops
        assert found.curve_low[1] == -found.curve_high[0]


def test_the_same_seed_gives_the_same_interval():
    scores = falling(5, 2)
    first, again, other = (find_t_star(LEVELS, scores, HIGHER, seed=seed) for seed in (0, 0, 1))
    assert (first.low, first.high) == (again.low, again.high)
    assert np.array_equal(first.curve_low, again.curve_low)
    assert (first.low, first.high) != (other.low, other.high)
    assert (first.low, first.high) == pytest.approx((other.low, other.high), abs=15)
    assert (first.t, first.low) == (find_t_star(LEVELS, scores, HIGHER).t, first.low)
    before = np.random.get_state()[1].copy()
    find_t_star(LEVELS, scores, HIGHER)
    assert np.array_equal(np.random.get_state()[1], before)


def test_nine_intervals_in_ten_hold_the_truth():
    """For 30 draws; fewer draws know less of their own spread, and hold it less often."""
    truth = crossing(LEVELS, np.linspace(20, 2, 10), HIGHER)
    for draws, least, most in ((30, 0.84, 0.96), (6, 0.70, 0.90)):
        held = 0
        for seed in range(200):
            found = find_t_star(LEVELS, falling(draws, seed, noise=0.5), HIGHER, seed=seed)
            held += found.low <= truth <= found.high
        assert least <= held / 200 <= most


def test_ends_of_the_interval_may_lie_beyond_the_levels():
    always = np.full((3, 4), 20.0)
    found = find_t_star([0, 1, 2], always, HIGHER)
    assert (found.t, found.low, found.high) == (INF, INF, INF)
    found = find_t_star([0, 1, 2], 0 * always, HIGHER)
    assert (found.t, found.low, found.high) == (-INF, -INF, -INF)
    half = np.array([[20.0] * 4, [12] * 4, [14, 14, 2, 2]])  # half of the draws are never lost
    found = find_t_star([0, 1, 2], half, HIGHER)
    assert found.t == 2 - 0.5
    with_luck = find_t_star([0, 1, 2], half + np.array([[0], [0], [3]]), HIGHER)
    assert with_luck.high == INF
    assert 1 < with_luck.low < 2
    doubtful = find_t_star([0, 1], np.array([[18.0, 18, 4, 4], [0] * 4]), HIGHER)
    best = 11 + math.sqrt(4 / 3) * 7  # all four draws the better one, stretched from their mean
    assert doubtful.low == -INF
    assert 0 < doubtful.t < doubtful.high == pytest.approx((best - 10) / best)


def test_infinite_scores_leave_numbers_everywhere():
    scores = falling(4, 3)
    scores[0] = INF
    scores[1, 2] = INF
    found = find_t_star(LEVELS, scores, HIGHER)
    for value in (found.t, found.low, found.high):
        assert math.isfinite(value)
    assert found.curve[:2].tolist() == [INF, INF]
    assert found.curve_low[0] == INF
    assert found.curve_high[1] == INF
    assert not np.isnan([*found.curve_low, *found.curve_high]).any()


def test_a_share_has_the_interval_of_wilson():
    scores = np.array([[1, 1, 1, 1, 1], [1, 1, 0, 1, 1], [1, 0, 0, 1, 0], [0, 0, 0, 0, 0]])
    found = find_t_star([0, 1, 2, 3], scores, Rule(0.5, share=True))
    low, high = wilson(np.array([1, 0.8, 0.4, 0]), 5)
    np.testing.assert_array_equal(found.curve_low, low)
    np.testing.assert_array_equal(found.curve_high, high)
    assert found.t == pytest.approx(1 + 0.3 / 0.4)
    plain = find_t_star([0, 1, 2, 3], scores, Rule(0.5))
    assert (plain.t, plain.low, plain.high) == (found.t, found.low, found.high)
    assert plain.curve_low[0] == 1 > found.curve_low[0]


def test_a_distance_is_restored_below():
    scores = 20 - falling(5, 4)
    found = find_t_star(LEVELS, scores, LOWER)
    mirrored = find_t_star(LEVELS, 20 - scores, HIGHER)
    assert (found.t, found.low, found.high) == pytest.approx(
        (mirrored.t, mirrored.low, mirrored.high)
    )


@pytest.mark.parametrize("shape", [(10,), (9, 4), (4, 10), (10, 0), (10, 4, 1)])
def test_scores_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match=r"^scores must be \(10, D\), got"):
        find_t_star(LEVELS, np.zeros(shape), HIGHER)


@pytest.mark.parametrize("levels", [[5], [5, 5], [0, 7, 3]])
def test_levels_that_do_not_rise_are_refused(levels):
    with pytest.raises(ValueError, match=r"^levels must rise, at least 2 of them"):
        find_t_star(levels, np.zeros((len(levels), 3)), HIGHER)


# ---------------------------------------------------------------- the interval of a share


@pytest.mark.parametrize("count", [1, 2, 5, 8, 40])
def test_wilson_is_that_of_scipy(count):
    stats = pytest.importorskip("scipy.stats", reason="scipy is the second opinion here")
    hits = np.arange(count + 1)
    low, high = wilson(hits / count, count)
    for k in hits:
        expected = stats.binomtest(int(k), count).proportion_ci(0.9, method="wilson")
        assert low[k] == pytest.approx(expected.low, abs=1e-12)
        assert high[k] == pytest.approx(expected.high, abs=1e-12)
    assert COVERAGE == 0.9


def test_wilson_never_leaves_zero_to_one_and_is_honest_at_the_ends():
    low, high = wilson(np.array([0.0, 1.0]), 3)
    assert (low >= 0).all()
    assert (high <= 1).all()
    assert (low[0], high[1]) == pytest.approx((0, 1))
    assert 0.4 < high[0] < 0.5  # three misses of three do not prove that it never happens
    assert low[1] == pytest.approx(1 - high[0])


# ---------------------------------------------------------------- how different the draws become


def test_spread_is_the_mean_distance_of_two_draws():
    triangle = np.array([[0.0, 0], [3, 0], [0, 4]])
    assert spread(triangle) == pytest.approx((3 + 4 + 5) / 3)
    assert spread(triangle[:2]) == pytest.approx(3)
    assert spread(triangle + 7) == pytest.approx(4)


def test_spread_of_many_sets_is_that_of_each():
    vectors = np.random.default_rng(0).normal(size=(2, 3, 5, 4))
    found = spread(vectors)
    assert found.shape == (2, 3)
    for p, row in itertools.product(range(2), range(3)):
        pairs = itertools.combinations(vectors[p, row], 2)
        assert found[p, row] == pytest.approx(np.mean([math.dist(a, b) for a, b in pairs]))


def test_draws_that_are_alike_have_no_spread():
    assert spread(np.ones((2, 4, 3))).tolist() == [0, 0]
    assert spread(np.random.default_rng(0).normal(size=(2, 1, 3))).tolist() == [0, 0]
