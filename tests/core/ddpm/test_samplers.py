"""What the samplers have in common: what they yield, and stopping."""

import itertools

import pytest
import torch

from core.ddpm.samplers import ddim, dpm_solver, p_sample_loop, sample, time_grid, times_from
from core.ddpm.schedule import NoiseSchedule, draw_noise

T = 40
WAYS = {
    "ddpm": {"sampler": "ddpm"},
    "ddim": {"sampler": "ddim"},
    "ddim-half": {"sampler": "ddim", "eta": 0.5},
    "ddim-noisy": {"sampler": "ddim", "eta": 1.0},
    "dpm": {"sampler": "dpm"},
}


@pytest.fixture(scope="module")
def schedule():
    return NoiseSchedule.linear(T, 1e-3, 0.2)


@pytest.fixture(params=WAYS)
def way(request):
    return WAYS[request.param]


def curved(x, t):
    """Some guess of the noise that is not linear and depends on t."""
    return torch.sin(2 * x + t.to(x).view(-1, 1, 1, 1) / 10) + 0.3 * x


def start(seeded, count=3, seed=1):
    return draw_noise(
        torch.zeros(count, 3, 4, 4).double(), [seeded(100 * seed + i) for i in range(count)]
    )


def grid_of(way):
    return time_grid(T, T if way["sampler"] == "ddpm" else 8)


def generators(seeded, count=3):
    return [seeded(seed) for seed in range(count)]


# ---------------------------------------------------------------- what is yielded


def test_every_level_is_shown_with_the_clean_picture_seen_from_there(schedule, way, seeded):
    x = start(seeded)
    times = grid_of(way)
    steps = list(sample(curved, schedule, x, times, **way, generator=generators(seeded)))
    assert [step.t.tolist() for step in steps] == [[t] * 3 for t in times.tolist()]
    assert torch.equal(steps[0].x_t, x)
    for step in steps[:-1]:
        seen = schedule.x0_from_eps(step.x_t, step.t, curved(step.x_t, step.t))
        assert torch.equal(step.x0_hat, seen)
    assert torch.equal(steps[-1].x0_hat, steps[-1].x_t)
    assert steps[-1].x_t.isfinite().all()
    assert not torch.equal(steps[-1].x_t, x)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_pictures_keep_their_shape_and_type(schedule, way, dtype, seeded):
    x = start(seeded).to(dtype)
    for step in sample(curved, schedule, x, grid_of(way), **way, generator=seeded()):
        assert (step.x_t.dtype, step.x0_hat.dtype, step.t.dtype) == (dtype, dtype, torch.int64)
        assert step.x_t.shape == step.x0_hat.shape == x.shape


def test_what_was_yielded_does_not_change_later(schedule, way, seeded):
    x = start(seeded)
    before = x.clone()
    steps, copies = [], []
    for step in sample(curved, schedule, x, grid_of(way), **way, generator=seeded()):
        steps.append(step)
        copies.append(tuple(part.clone() for part in step))
    assert all(map(torch.equal, itertools.chain(*steps), itertools.chain(*copies)))
    assert torch.equal(x, before)


def test_the_ancestral_sampler_visits_every_level_unless_told(schedule, seeded):
    steps = p_sample_loop(curved, schedule, start(seeded), generator=seeded())
    assert [step.t[0].item() for step in steps] == list(range(T - 1, -2, -1))


def test_ddim_with_full_noise_on_neighbouring_levels_is_the_ddpm_posterior(schedule, seeded):
    x, times = start(seeded), time_grid(T, T)
    for clip in (False, True):
        options = {"clip_x0": clip}
        one = p_sample_loop(curved, schedule, x, generator=seeded(5), **options)
        two = ddim(curved, schedule, x, times, eta=1.0, generator=seeded(5), **options)
        for a, b in zip(one, two, strict=True):
            torch.testing.assert_close(a.x_t, b.x_t, rtol=0, atol=1e-9)
            torch.testing.assert_close(a.x0_hat, b.x0_hat, rtol=0, atol=1e-9)


def test_the_solver_begins_and_ends_as_ddim(schedule, seeded):
    x = start(seeded)
    for steps in (1, 2):
        times = time_grid(T, steps)
        *_, one = ddim(curved, schedule, x, times)
        *_, two = dpm_solver(curved, schedule, x, times)
        torch.testing.assert_close(one.x_t, two.x_t, rtol=0, atol=1e-10)
    one, two = (
        list(sampler(curved, schedule, x, time_grid(T, 4))) for sampler in (ddim, dpm_solver)
    )
    torch.testing.assert_close(one[1].x_t, two[1].x_t, rtol=0, atol=1e-10)
    assert (one[2].x_t - two[2].x_t).abs().max() > 1e-3


def test_clean_pictures_are_clipped_when_asked_and_then_lead_the_way(schedule, way, seeded):
    x = 3 * start(seeded)
    args = (curved, schedule, x, grid_of(way))
    free, default, clipped = (
        list(sample(*args, **way, **options, generator=seeded(1)))
        for options in ({"clip_x0": False}, {}, {"clip_x0": True})
    )
    assert max(step.x0_hat.abs().max() for step in free) > 1
    assert all(torch.equal(a.x_t, b.x_t) for a, b in zip(free, default, strict=True))
    for step in clipped[:-1]:
        seen = schedule.x0_from_eps(step.x_t, step.t, curved(step.x_t, step.t))
        assert torch.equal(step.x0_hat, seen.clamp(-1, 1))
    assert clipped[-1].x_t.abs().max() <= 1 + 1e-9
    if way in ({"sampler": "ddim"}, {"sampler": "dpm"}):  # the first step of both, without noise
        now, then = clipped[:2]
        a, b = schedule.alpha_bar(now.t[0]), schedule.alpha_bar(then.t[0])
        noise = (now.x_t - a.sqrt() * now.x0_hat) / (1 - a).sqrt()
        expected = b.sqrt() * now.x0_hat + (1 - b).sqrt() * noise
        torch.testing.assert_close(then.x_t, expected)


# ---------------------------------------------------------------- seeds, stopping, going on


def test_the_same_seed_makes_the_same_pictures(schedule, way, seeded):
    x, times = start(seeded), grid_of(way)
    first, again, other = (
        list(sample(curved, schedule, x, times, **way, generator=seeded(seed)))[-1].x_t
        for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    noiseless = way["sampler"] == "dpm" or way == {"sampler": "ddim"}
    assert torch.equal(first, other) == noiseless


def test_a_generator_leaves_the_global_one_alone(schedule, way, seeded):
    before = torch.random.get_rng_state()
    list(sample(curved, schedule, start(seeded), grid_of(way), **way, generator=seeded()))
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("stop", [0, 1, 5])
def test_a_paused_run_ends_as_if_it_had_not_been(schedule, way, stop, seeded):
    x, times = start(seeded), grid_of(way)
    *_, whole = sample(curved, schedule, x, times, **way, generator=seeded(1))
    paused = sample(curved, schedule, x, times, **way, generator=seeded(1))
    for _ in range(stop + 1):
        next(paused)
    list(sample(curved, schedule, x + 1, times, **way, generator=seeded(1)))
    torch.rand(3)
    *_, last = paused
    assert torch.equal(last.x_t, whole.x_t)


@pytest.mark.parametrize("each", [False, True])
@pytest.mark.parametrize("stop", [0, 1, 5])
@pytest.mark.parametrize("starts", [[39, 39, 39], [39, 24, 9]])
def test_a_stopped_run_goes_on_from_its_last_step(schedule, way, stop, each, starts, seeded):
    """Bit for bit, with the same generators, and for the solver with the step before."""
    x, times = start(seeded), times_from(grid_of(way), torch.tensor(starts))

    def noise():
        return generators(seeded) if each else seeded(1)

    whole = list(sample(curved, schedule, x, times, **way, generator=noise()))
    kept = noise()
    stopped = sample(curved, schedule, x, times, **way, generator=kept)
    seen = list(itertools.islice(stopped, stop + 1))
    stopped.close()
    assert torch.equal(seen[-1].t, times[stop])
    if way["sampler"] == "dpm":
        previous = seen[-2] if stop else None
        rest = dpm_solver(curved, schedule, seen[-1].x_t, times[stop:], previous=previous)
    else:
        rest = sample(curved, schedule, seen[-1].x_t, times[stop:], **way, generator=kept)
    for found, expected in zip(rest, whole[stop:], strict=True):
        assert torch.equal(found.t, expected.t)
        assert torch.equal(found.x_t, expected.x_t)


def test_going_on_leaves_the_step_before_as_it_was(schedule, seeded):
    times = time_grid(T, 8)
    whole = list(dpm_solver(curved, schedule, start(seeded), times))
    kept = tuple(part.clone() for part in whole[2])
    for _ in range(2):
        *_, last = dpm_solver(curved, schedule, whole[3].x_t, times[3:], previous=whole[2])
        assert torch.equal(last.x_t, whole[-1].x_t)
    assert all(map(torch.equal, whole[2], kept))


def test_the_solver_without_the_step_before_starts_first_order(schedule, seeded):
    times = time_grid(T, 8)
    whole = list(dpm_solver(curved, schedule, start(seeded), times))
    *_, last = dpm_solver(curved, schedule, whole[3].x_t, times[3:])
    assert (last.x_t - whole[-1].x_t).abs().max() > 1e-4


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize("eta", [-0.1, 1.1, float("nan")])
def test_an_eta_out_of_range_is_refused(schedule, eta, seeded):
    with pytest.raises(ValueError, match=r"^eta must be 0 to 1, got"):
        ddim(curved, schedule, start(seeded), time_grid(T, 8), eta=eta)


@pytest.mark.parametrize(
    "times",
    [
        [40, 39, 38],
        [0, -1, -2],
        [4, 5, 4],
        [[9, 9, 9], [8, 10, 8]],
        [[1, 1], [0, 0], [-1, -1]],
        [],
    ],
)
@pytest.mark.parametrize("sampler", ["ddpm", "ddim", "dpm"])
def test_times_that_are_no_way_back_are_refused_at_once(schedule, sampler, times, seeded):
    with pytest.raises(ValueError, match=r"^times must"):
        sample(
            curved, schedule, start(seeded), torch.tensor(times, dtype=torch.long), sampler=sampler
        )


@pytest.mark.parametrize(
    "times",
    [time_grid(T, 8), torch.tensor([39, 38, 36]), torch.tensor([[9, 9, 9], [8, 9, 7], [7, 8, 6]])],
    ids=["grid", "one-skip", "one-picture"],
)
def test_ancestral_sampling_refuses_to_skip_levels_at_once(schedule, times, seeded):
    def eps_model(x, t):
        raise AssertionError("the network was asked")

    with pytest.raises(ValueError, match=r"^times of p_sample_loop must fall by 1"):
        p_sample_loop(eps_model, schedule, start(seeded), times, generator=seeded())


def test_an_unknown_sampler_is_refused(schedule, seeded):
    with pytest.raises(ValueError, match=r"^sampler must be one of .*ddpm.*'euler'"):
        sample(curved, schedule, start(seeded), time_grid(T, 8), sampler="euler")
