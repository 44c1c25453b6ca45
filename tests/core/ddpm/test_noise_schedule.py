"""The tables of a noise schedule, and the levels that are drawn from it."""

import math

import numpy as np
import pytest
import torch

from core.ddpm.schedule import MAX_T, NoiseSchedule

TABLES = (
    "betas",
    "alphas",
    "sqrt_recip_alphas",
    "alphas_cumprod",
    "alphas_cumprod_prev",
    "sqrt_alphas_cumprod",
    "sqrt_one_minus_alphas_cumprod",
    "posterior_variance",
    "log_snr",
)


@pytest.fixture(params=["linear", "cosine"])
def schedule(request):
    return getattr(NoiseSchedule, request.param)(1000)


def by_definition(betas):
    alphas = 1 - betas
    alpha_bar = np.array([np.prod(alphas[: t + 1]) for t in range(len(betas))])
    before = np.array([np.prod(alphas[:t]) for t in range(len(betas))])
    posterior = np.zeros_like(betas)  # precisions add up; x_0 itself is known before step 0
    posterior[1:] = 1 / (alphas[1:] / betas[1:] + 1 / (1 - before[1:]))
    return {
        "betas": betas,
        "alphas": alphas,
        "sqrt_recip_alphas": 1 / np.sqrt(alphas),
        "alphas_cumprod": alpha_bar,
        "alphas_cumprod_prev": before,
        "sqrt_alphas_cumprod": np.sqrt(alpha_bar),
        "sqrt_one_minus_alphas_cumprod": np.sqrt(1 - alpha_bar),
        "posterior_variance": posterior,
        "log_snr": np.log(alpha_bar / (1 - alpha_bar)),
    }


# ---------------------------------------------------------------- tables


@pytest.mark.parametrize("table", TABLES)
def test_every_table_is_its_definition(schedule, table):
    found = getattr(schedule, table)
    assert found.dtype == torch.float64
    expected = by_definition(schedule.betas.numpy())[table]
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("betas", [[0.3], [0.5, 0.01, 0.9]])
def test_tables_of_any_betas_are_their_definitions(betas, table):
    schedule = NoiseSchedule(torch.tensor(betas))
    assert len(betas) == schedule.T
    expected = by_definition(schedule.betas.numpy())[table]
    np.testing.assert_allclose(getattr(schedule, table).numpy(), expected, rtol=1e-12)


def test_linear_betas_rise_evenly_and_unscaled():
    for T in (2, 500, 1000, 1500):
        expected = 1e-4 + np.arange(T) / (T - 1) * (0.02 - 1e-4)
        np.testing.assert_allclose(NoiseSchedule.linear(T).betas.numpy(), expected, rtol=1e-12)
    ends = NoiseSchedule.linear(7, 0.01, 0.3).betas[[0, -1]]
    assert ends.tolist() == pytest.approx([0.01, 0.3])


def test_cosine_alpha_bar_is_a_squared_cosine_until_beta_is_capped():
    for T in (10, 1000):
        schedule = NoiseSchedule.cosine(T)
        u = np.arange(T + 1) / T
        f = np.cos((u + 0.008) / 1.008 * np.pi / 2) ** 2
        np.testing.assert_allclose(schedule.alphas_cumprod[:-1], f[1:-1] / f[0], rtol=1e-9)
        assert schedule.betas[-1] == 0.999  # f is 0 there, which would be beta = 1


@pytest.mark.parametrize(
    ("t", "expected"), [(100, 0.895), (200, 0.656), (300, 0.394), (500, 0.078), (800, 0.0015)]
)
def test_what_is_left_of_the_signal_is_the_known_share(t, expected):
    found = NoiseSchedule.linear(1000).alpha_bar(t).item()
    assert float(f"{found:.{4 if expected < 0.01 else 3}f}") == expected


@pytest.mark.parametrize(
    ("T", "expected"), [(500, "6.4e-03"), (1000, "4.0e-05"), (1500, "2.6e-07")]
)
def test_what_is_left_at_the_end_is_the_known_share(T, expected):
    assert f"{NoiseSchedule.linear(T).alphas_cumprod[-1].item():.1e}" == expected


def test_the_clean_picture_is_all_signal_and_the_last_step_certain(schedule):
    assert schedule.alphas_cumprod_prev[0] == 1
    assert schedule.posterior_variance[0] == 0
    assert (schedule.posterior_variance[1:] > 0).all()
    assert (schedule.posterior_variance < schedule.betas).all()


def test_alpha_bar_takes_any_shape_and_is_1_at_the_clean_picture(schedule):
    t = torch.tensor([[-1, 0], [1, 999]])
    expected = [[1.0, *schedule.alphas_cumprod[:1]], schedule.alphas_cumprod[[1, 999]].tolist()]
    assert schedule.alpha_bar(t).tolist() == expected
    assert schedule.alpha_bar(-1) == 1
    assert schedule.alpha_bar(7) == schedule.alphas_cumprod[7]


def test_log_snr_falls_and_is_0_where_half_is_signal(schedule):
    assert (schedule.log_snr.diff() < 0).all()
    positive = schedule.log_snr > 0
    assert 0 < positive.sum() < 1000
    assert torch.equal(positive, schedule.alphas_cumprod > 0.5)
    assert NoiseSchedule(torch.tensor([0.5])).log_snr.item() == 0


def test_nearest_t_finds_every_level_again(schedule):
    for t in (0, 1, 2, 499, 998, 999):
        assert schedule.nearest_t(schedule.log_snr[t].item()) == t
    assert schedule.nearest_t(math.inf) == 0
    assert schedule.nearest_t(100.0) == 0
    assert schedule.nearest_t(-100.0) == 999


def test_nearest_t_is_the_same_noise_in_another_schedule(schedule):
    other = NoiseSchedule.cosine(400)
    for t in (50, 300, 600):
        found = other.nearest_t(schedule.log_snr[t].item())
        gaps = [abs(float(value - schedule.log_snr[t])) for value in other.log_snr]
        assert gaps[found] == min(gaps)
        assert other.alphas_cumprod[found] == pytest.approx(
            schedule.alphas_cumprod[t].item(), abs=0.01
        )


def test_moving_a_schedule_keeps_it(schedule):
    moved = schedule.to("cpu")
    assert torch.equal(moved.betas, schedule.betas)
    assert moved.name == schedule.name


# ---------------------------------------------------------------- levels drawn


def chi_square(counts):
    expected = sum(counts) / len(counts)
    return sum((count - expected) ** 2 / expected for count in counts)


CRITICAL_19 = 43.8  # chi-square of 19 degrees of freedom is above in 1 of 1000 draws


@pytest.mark.parametrize("stratified", [False, True])
def test_levels_are_integers_from_0_to_T_minus_1(stratified, seeded):
    schedule = NoiseSchedule.linear(3)
    t = schedule.t_sample(1000, seeded(), stratified=stratified)
    assert t.shape == (1000,)
    assert t.dtype == torch.int64
    assert set(t.tolist()) == {0, 1, 2}


def test_levels_are_uniform(seeded):
    t = NoiseSchedule.linear(20).t_sample(20_000, seeded())
    assert chi_square(t.bincount(minlength=20).tolist()) < CRITICAL_19


@pytest.mark.parametrize("row", [0, 3])
def test_each_stratified_level_is_uniform(row, seeded):
    schedule, generator = NoiseSchedule.linear(20), seeded()
    drawn = [int(schedule.t_sample(5, generator, stratified=True)[row]) for _ in range(4000)]
    assert chi_square(np.bincount(drawn, minlength=20)) < CRITICAL_19


def test_a_stratified_batch_has_one_level_in_each_equal_part(seeded):
    generator = seeded()
    for _ in range(50):
        t = NoiseSchedule.linear(1024).t_sample(128, generator, stratified=True)
        assert sorted((t // 8).tolist()) == list(range(128))
    for _ in range(50):
        t = NoiseSchedule.linear(4).t_sample(12, generator, stratified=True)
        assert t.bincount().tolist() == [3, 3, 3, 3]


def test_batches_are_not_stratified_unless_asked(seeded):
    t = NoiseSchedule.linear(1024).t_sample(128, seeded())
    assert len(set((t // 8).tolist())) < 110  # 81 on average


@pytest.mark.parametrize("stratified", [False, True])
def test_the_same_seed_draws_the_same_levels(stratified, seeded):
    schedule = NoiseSchedule.linear(1000)
    first, again, other = (
        schedule.t_sample(16, seeded(seed), stratified=stratified) for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    "betas", [[], [[0.1]], [0.1] * (MAX_T + 1), [0.0, 0.1], [0.1, 1.0], [-0.1], [float("nan")]]
)
def test_betas_that_are_no_schedule_are_refused(betas):
    with pytest.raises(ValueError, match=r"^betas must"):
        NoiseSchedule(torch.tensor(betas))


@pytest.mark.parametrize("make", [NoiseSchedule.linear, NoiseSchedule.cosine])
@pytest.mark.parametrize("T", [0, -1, MAX_T + 1])
def test_T_out_of_range_is_refused(make, T):
    with pytest.raises(ValueError, match=rf"^T must be 1 to {MAX_T}, got {T}"):
        make(T)


@pytest.mark.parametrize("t", [-2, 1000, torch.tensor([3, -2]), torch.tensor([[1000]])])
def test_alpha_bar_of_no_level_is_refused(schedule, t):
    with pytest.raises(ValueError, match=r"^t must be -1 to 999"):
        schedule.alpha_bar(t)


@pytest.mark.parametrize("stratified", [False, True])
def test_an_empty_batch_of_levels_is_refused(schedule, stratified):
    with pytest.raises(ValueError, match=r"^batch_size must be at least 1, got 0"):
        schedule.t_sample(0, stratified=stratified)


def test_a_schedule_equals_itself_alone():
    """So that it can be a key, and two are never compared value by value unawares."""
    one, two = NoiseSchedule.linear(50), NoiseSchedule.linear(50)
    assert one == one
    assert one != two
    assert {one: 1, two: 2}[one] == 1
