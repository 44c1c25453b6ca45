"""The noise schedule and the samplers against the schedulers of diffusers.

diffusers keeps its tables in float32; where whole ways back are compared it is given them in
float64, so that the agreement can be close.
"""

import itertools

import numpy as np
import pytest
import torch

from core.ddpm.samplers import ddim, dpm_solver, p_sample_loop, sample, time_grid
from core.ddpm.schedule import NoiseSchedule

diffusers = pytest.importorskip("diffusers", reason="diffusers is the second opinion here")
DDIMScheduler, DDPMScheduler = diffusers.DDIMScheduler, diffusers.DDPMScheduler
DPMSolverMultistepScheduler = diffusers.DPMSolverMultistepScheduler

NAMES = {"linear": "linear", "cosine": "squaredcos_cap_v2"}
SHAPE = (4, 3, 6, 6)
LEVELS = torch.tensor([0, 10, 500, 999])


@pytest.fixture(params=["linear", "cosine"])
def kind(request):
    return request.param


@pytest.fixture
def schedule(kind):
    return getattr(NoiseSchedule, kind)(1000)


def theirs(scheduler, kind, **options):
    return scheduler(num_train_timesteps=1000, beta_schedule=NAMES[kind], **options)


def in_float64(scheduler, schedule):
    betas = schedule.betas.numpy()
    scheduler.betas = torch.from_numpy(betas)
    scheduler.alphas = torch.from_numpy(1 - betas)
    scheduler.alphas_cumprod = torch.from_numpy(np.cumprod(1 - betas))
    return scheduler


def two(seeded, dtype=torch.float32):
    generator = seeded(3)
    return tuple(torch.randn(SHAPE, generator=generator, dtype=dtype) for _ in range(2))


def gaussian(schedule, mean=0.2, std=0.5):
    """The exact noise for pixels of N(mean, std^2), and a bend so that it is not linear."""

    def eps_model(x, t):
        alpha_bar = schedule.alpha_bar(t).to(x).view(-1, 1, 1, 1)
        centred = x - alpha_bar.sqrt() * mean
        exact = centred * (1 - alpha_bar).sqrt() / (alpha_bar * std**2 + 1 - alpha_bar)
        return exact + 0.1 * alpha_bar.sqrt() * torch.sin(3 * x)

    return eps_model


# ---------------------------------------------------------------- the schedule


@pytest.mark.parametrize("table", ["betas", "alphas", "alphas_cumprod"])
def test_tables_are_those_of_diffusers(kind, schedule, table):
    expected = getattr(theirs(DDPMScheduler, kind), table).double()
    torch.testing.assert_close(getattr(schedule, table), expected, rtol=2e-5, atol=0)


@pytest.mark.parametrize("T", [500, 1500])
def test_another_number_of_levels_is_that_of_diffusers(T):
    expected = DDPMScheduler(num_train_timesteps=T).alphas_cumprod.double()
    torch.testing.assert_close(NoiseSchedule.linear(T).alphas_cumprod, expected, rtol=0, atol=1e-6)


def test_noise_is_added_as_diffusers_adds_it(kind, schedule, seeded):
    x0, noise = two(seeded)
    expected = theirs(DDPMScheduler, kind).add_noise(x0, noise, LEVELS)
    found = schedule.q_sample(x0, LEVELS, noise)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("t", [0, 1, 10, 500, 998, 999])
def test_a_step_back_is_that_of_diffusers(kind, schedule, t, seeded):
    scheduler = theirs(DDPMScheduler, kind, variance_type="fixed_small", clip_sample=False)
    scheduler = in_float64(scheduler, schedule)
    x0, noise = two(seeded)
    x_t = schedule.q_sample(x0, t, noise)
    guess = noise + 0.1 * x0 * schedule.sqrt_alphas_cumprod[t].float()
    expected = scheduler.step(guess, t, x_t, generator=seeded(5)).prev_sample
    found = schedule.p_sample(lambda *_: guess, x_t, t, seeded(5))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_v_is_that_of_diffusers(kind, schedule, seeded):
    x0, noise = two(seeded)
    expected = theirs(DDPMScheduler, kind).get_velocity(x0, noise, LEVELS)
    found = schedule.v_target(x0, LEVELS, noise)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("t", [1, 500, 999])
def test_a_step_back_by_v_is_that_of_diffusers(kind, schedule, t, seeded):
    scheduler = theirs(DDPMScheduler, kind, prediction_type="v_prediction", clip_sample=False)
    scheduler = in_float64(scheduler, schedule)
    x_t, v = two(seeded)
    expected = scheduler.step(v, t, x_t, generator=seeded(5)).prev_sample
    eps_hat = schedule.eps_from_v(x_t.double(), t, v.double())
    noise = torch.randn(SHAPE, generator=seeded(5))
    found = schedule.p_mean(x_t.double(), t, eps_hat)
    found = found + schedule.posterior_variance[t].sqrt() * noise
    torch.testing.assert_close(found.float(), expected, rtol=0, atol=1e-5)


# ---------------------------------------------------------------- the samplers


def assert_follows(steps, scheduler, eps_model, atol=1e-8, **options):
    """Every step is the scheduler's from the same place, and so the whole way is."""
    steps = list(steps)
    assert len(steps) > 5
    for now, then in itertools.pairwise(steps):
        t = int(now.t[0])
        there = scheduler.step(eps_model(now.x_t, now.t), t, now.x_t, **options)
        found = then.x_t.to(there.prev_sample)
        torch.testing.assert_close(found, there.prev_sample, rtol=0, atol=atol)
        if hasattr(there, "pred_original_sample"):
            clean = there.pred_original_sample
            torch.testing.assert_close(now.x0_hat, clean, rtol=0, atol=atol)


@pytest.mark.parametrize("clip", [False, True])
def test_ancestral_sampling_is_that_of_diffusers(kind, schedule, clip, seeded):
    scheduler = theirs(DDPMScheduler, kind, variance_type="fixed_small", clip_sample=clip)
    scheduler = in_float64(scheduler, schedule)
    x, _ = two(seeded, torch.float64)
    times = torch.arange(60, -2, -1)
    eps_model = gaussian(schedule)
    found = p_sample_loop(eps_model, schedule, x, times, clip_x0=clip, generator=seeded(1))
    assert_follows(found, scheduler, eps_model, generator=seeded(1))


@pytest.mark.parametrize("steps", [10, 50])
@pytest.mark.parametrize("eta", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("clip", [False, True])
def test_ddim_is_that_of_diffusers(kind, schedule, steps, eta, clip, seeded):
    scheduler = theirs(
        DDIMScheduler,
        kind,
        timestep_spacing="trailing",
        set_alpha_to_one=True,
        clip_sample=clip,
    )
    scheduler.set_timesteps(steps)
    times = time_grid(1000, steps)
    assert times[:-1].tolist() == scheduler.timesteps.tolist()
    x, _ = two(seeded, torch.float64)
    eps_model = gaussian(schedule)
    options = {"clip_x0": clip, "generator": seeded(1)}
    found = ddim(eps_model, schedule, x, times, eta=eta, **options)
    options = {"use_clipped_model_output": clip, "generator": seeded(1)}
    assert_follows(found, in_float64(scheduler, schedule), eps_model, eta=eta, **options)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("steps", [6, 20, 50])
def test_the_solver_is_that_of_diffusers(kind, schedule, steps, seeded):
    scheduler = theirs(
        DPMSolverMultistepScheduler,
        kind,
        algorithm_type="dpmsolver++",
        solver_order=2,
        final_sigmas_type="zero",
    )
    times = time_grid(1000, steps)
    scheduler.set_timesteps(timesteps=times[:-1].tolist())
    alpha_bar = np.cumprod(1 - schedule.betas.numpy())[times[:-1]]
    scheduler.sigmas = torch.from_numpy(np.append(np.sqrt((1 - alpha_bar) / alpha_bar), 0))
    x, _ = two(seeded, torch.float64)
    eps_model = gaussian(schedule)
    found = dpm_solver(eps_model, schedule, x, times)
    assert_follows(found, scheduler, eps_model, atol=1e-5)  # its steps are in float32


def test_float32_ddim_is_that_of_diffusers_as_it_comes(seeded):
    schedule = NoiseSchedule.linear(1000)
    scheduler = DDIMScheduler(timestep_spacing="trailing", clip_sample=False)
    scheduler.set_timesteps(50)
    x, _ = two(seeded)
    eps_model = gaussian(schedule)
    for now, then in itertools.pairwise(
        sample(eps_model, schedule, x, time_grid(1000, 50), sampler="ddim")
    ):
        there = scheduler.step(eps_model(now.x_t, now.t), int(now.t[0]), now.x_t).prev_sample
        torch.testing.assert_close(then.x_t, there, rtol=0, atol=1e-5)
