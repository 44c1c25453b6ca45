"""Samplers: from noise to a picture, as generators that can be watched and stopped.

A sampler takes any ``eps_model(x_t, t)`` and yields a ``Step`` before each call of ``update``: where
every picture stands, and the clean picture that the network sees in it from there. The last
``Step`` has t = -1 and the result. Stopping is to stop asking; to go on later, start again from the
last step's ``t`` and ``x_t`` with the same generators.

Times are rows of explicit levels, a column a picture: (S + 1, B), falling to -1. Where a column
stays the same from one row to the next, its picture waits and costs nothing, so that pictures at
different levels of noise go through the network in one batch. Notation as in
``core.ddpm.schedule``; sigma_t = sqrt(1 - alpha_bar_t).

Sources: Ho, Jain & Abbeel 2020 (arXiv:2006.11239), algorithm 2; Song, Meng & Ermon 2021
(arXiv:2010.02502), "DDIM"; Lu et al. 2022 (arXiv:2211.01095), "DPM-Solver++", algorithm 2.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from core.ddpm.schedule import EpsModel, Generators, NoiseSchedule, draw_noise

Sampler = Literal["ddpm", "ddim", "dpm"]


class Step(NamedTuple):
    """Where pictures stand: ``t`` (B,), ``x_t`` and ``x0_hat`` (B, C, H, W).

    ``x0_hat`` is the network's clean picture from this very ``x_t``; NaN for a picture that waits,
    for the network has not looked at it, and ``x_t`` itself for one that is finished (t = -1).
    """

    t: Tensor
    x_t: Tensor
    x0_hat: Tensor


# ---------------------------------------------------------------- times


def time_grid(T: int, steps: int) -> Tensor:
    """``steps`` + 1 levels, evenly from T - 1 down to -1: int64 (steps + 1,).

    With ``steps`` = T every level; with 50 of 1000: 999, 979, …, 19, -1.
    """
    if not 1 <= steps <= T:
        raise ValueError(f"steps must be 1 to T = {T}, got {steps}")
    return T - 1 - (torch.arange(steps + 1) * T).div(steps, rounding_mode="floor")


def snap(grid: Tensor, t: Tensor | int) -> Tensor:
    """The level of a grid (S + 1,) that is nearest to each t; never -1, the lower of two equals."""
    levels = grid[grid >= 0]
    distance = (torch.as_tensor(t)[..., None] - levels.flip(0)).abs()
    return levels.flip(0)[distance.argmin(dim=-1)]


def times_from(grid: Tensor, start: Tensor) -> Tensor:
    """The rows of a grid (S + 1,) for pictures that start at ``start`` (B,): (S' + 1, B).

    A picture waits at its start until the grid has fallen below; rows in which all wait are left
    out. ``start`` must be levels of the grid (``snap``), or -1.
    """
    if not bool(torch.isin(start, torch.cat([grid, grid.new_tensor([-1])])).all()):
        raise ValueError(f"start must be levels of the grid, got {start.tolist()}")
    rows = torch.minimum(grid[:, None], start[None])  # (S + 1, B)
    first = int((grid >= start.max()).sum()) - 1
    return rows[max(first, 0) :]


# ---------------------------------------------------------------- samplers


def p_sample_loop(
    eps_model: EpsModel,
    schedule: NoiseSchedule,
    x: Tensor,
    times: Tensor | None = None,
    *,
    clip_x0: bool = False,
    generator: Generators = None,
) -> Iterator[Step]:
    """Ancestral sampling through every level from x (B, C, H, W) at T - 1: DDPM, algorithm 2.

    ``times`` start elsewhere; each step in them must be to the level just below.
    """
    if times is None:
        times = time_grid(schedule.T, schedule.T)
    if bool((times.diff(dim=0) < -1).any()):
        raise ValueError("times of p_sample_loop must fall by 1 a step: use ddim with eta = 1")

    def update(x_t, now, _then, eps_hat, _x0_hat, rows):
        # The network has been asked already: p_sample is given its answer.
        return schedule.p_sample(lambda *_: eps_hat, x_t, now, _of(generator, rows))

    return _reverse(eps_model, schedule, x, times, update, clip_x0, generator)


def ddim(
    eps_model: EpsModel,
    schedule: NoiseSchedule,
    x: Tensor,
    times: Tensor,
    *,
    eta: float = 0.0,
    clip_x0: bool = False,
    generator: Generators = None,
) -> Iterator[Step]:
    """From x (B, C, H, W) along any falling ``times``: DDIM, equations 12 and 16.

    x_s = sqrt(alpha_bar_s) x0_hat + sqrt(1 - alpha_bar_s - var) eps_hat + sqrt(var) noise, with
    var = eta^2 (1 - alpha_bar_s) / (1 - alpha_bar_t) (1 - alpha_bar_t / alpha_bar_s). ``eta`` 0
    adds no noise; 1 on neighbouring levels is the DDPM posterior.
    """
    if not 0 <= eta <= 1:
        raise ValueError(f"eta must be 0 to 1, got {eta}")

    def update(x_t, now, then, eps_hat, x0_hat, rows):
        a_t, a_s = (_column(schedule.alpha_bar(t)) for t in (now, then))
        var = eta**2 * (1 - a_s) / (1 - a_t) * (1 - a_t / a_s)  # DDIM (16), squared
        # Rounding may take it below 0 where s is the clean picture: alpha_bar_s = 1, var = 0.
        kept = (1 - a_s - var).clamp(min=0)
        # DDIM (12), without its noise
        mean = a_s.sqrt().to(x_t) * x0_hat + kept.sqrt().to(x_t) * eps_hat
        if eta == 0:
            return mean  # draws nothing, so that the generators stand where they stood
        return mean + var.sqrt().to(x_t) * draw_noise(x_t, _of(generator, rows))

    return _reverse(eps_model, schedule, x, times, update, clip_x0, generator)


def dpm_solver(
    eps_model: EpsModel,
    schedule: NoiseSchedule,
    x: Tensor,
    times: Tensor,
    *,
    clip_x0: bool = False,
    previous: Step | None = None,
) -> Iterator[Step]:
    """Second-order multistep solver of the reverse ODE, from x (B, C, H, W) along ``times``.

    DPM-Solver++ (2M), algorithm 2: with lambda = log(sqrt(alpha_bar) / sigma), h = lambda_s -
    lambda_t and h' the step before, x_s = sigma_s / sigma_t x_t + sqrt(alpha_bar_s) (1 - e^-h) D,
    D = x0_hat + h / (2 h') (x0_hat - x0_hat'). The first step of a picture and the step to the clean
    picture take D = x0_hat, which is DDIM. ``previous`` is the step before ``x``, to go on where a
    run was stopped.
    """
    x0_before, t_before = torch.zeros_like(x), torch.full((len(x),), -1, device=x.device)
    if previous is not None:
        x0_before, t_before = previous.x0_hat.clone(), previous.t.clone()

    def update(x_t, now, then, eps_hat, x0_hat, rows):
        a_t, a_s, a_b = (schedule.alpha_bar(t) for t in (now, then, t_before[rows]))
        h, h_before = (
            _half_log_snr(a_s) - _half_log_snr(a_t),
            _half_log_snr(a_t) - _half_log_snr(a_b),
        )
        # First order where there is no step before (t_before is -1), and on the last step, whose h is
        # infinite: the slope would be, too.
        second = (t_before[rows] > now) & (then >= 0)
        lean = _column(h / (2 * h_before)).to(x_t)
        # D of DPM-Solver++, algorithm 2, line 6; `straight` is that of line 4.
        straight, bent = x0_hat, x0_hat + lean * (x0_hat - x0_before[rows])
        chosen = torch.where(_column(second), bent, straight)
        x0_before[rows], t_before[rows] = x0_hat, now
        shrink = ((1 - a_s) / (1 - a_t)).sqrt()  # sigma_s / sigma_t
        grow = a_s.sqrt() - shrink * a_t.sqrt()  # sqrt(alpha_bar_s) (1 - e^-h), also for h = inf
        return _column(shrink).to(x_t) * x_t + _column(grow).to(x_t) * chosen

    return _reverse(eps_model, schedule, x, times, update, clip_x0)


def sample(
    eps_model: EpsModel,
    schedule: NoiseSchedule,
    x: Tensor,
    times: Tensor,
    *,
    sampler: Sampler,
    eta: float = 0.0,
    clip_x0: bool = False,
    generator: Generators = None,
) -> Iterator[Step]:
    """One of the samplers by name; raises ``ValueError`` for an ``eta`` that it does not know.

    ``eta`` belongs to DDIM alone. The solver draws no noise and leaves ``generator`` as it is.
    """
    if eta != 0 and sampler != "ddim":
        raise ValueError(f"eta must be 0 with the sampler {sampler}, got {eta}")
    if sampler == "ddpm":
        return p_sample_loop(eps_model, schedule, x, times, clip_x0=clip_x0, generator=generator)
    if sampler == "ddim":
        return ddim(eps_model, schedule, x, times, eta=eta, clip_x0=clip_x0, generator=generator)
    if sampler == "dpm":
        return dpm_solver(eps_model, schedule, x, times, clip_x0=clip_x0)
    raise ValueError(f"sampler must be one of {get_args(Sampler)}, got {sampler!r}")


# ---------------------------------------------------------------- what they share

Update = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]
"""(x_t, t, s, eps_hat, x0_hat, rows) to x_s, for the pictures ``rows`` that move from t to s."""


def _reverse(
    eps_model: EpsModel,
    schedule: NoiseSchedule,
    x: Tensor,
    times: Tensor,
    update: Update,
    clip_x0: bool,
    generator: Generators = None,
) -> Iterator[Step]:
    times = _check_times(times, schedule, x)
    if isinstance(generator, Sequence) and len(generator) != len(x):
        raise ValueError(
            f"generator must be one, or one a picture: {len(x)} of them, got {len(generator)}"
        )
    return _steps(eps_model, schedule, x, times, update, clip_x0)


def _steps(
    eps_model: EpsModel,
    schedule: NoiseSchedule,
    x: Tensor,
    times: Tensor,
    update: Update,
    clip_x0: bool,
) -> Iterator[Step]:
    def clean(t: Tensor, x: Tensor) -> Tensor:
        """What is known of x_0 before the network looks: the finished pictures."""
        return torch.where(_column(t < 0), x, torch.full_like(x, torch.nan))

    for now, then in itertools.pairwise(times):
        rows = (now > then).nonzero().flatten()  # the pictures that move
        if len(rows) == 0:
            continue
        x_t, t = x[rows], now[rows]
        eps_hat = eps_model(x_t, t)
        x0_hat = schedule.x0_from_eps(x_t, t, eps_hat)
        if clip_x0:
            x0_hat = x0_hat.clamp(-1, 1)
            # The noise that fits the clipped picture; the step would lead elsewhere with the old one.
            eps_hat = schedule.walk_noise(x0_hat, x_t, t)
        yield Step(now, x, clean(now, x).index_copy(0, rows, x0_hat))
        x = x.index_copy(0, rows, update(x_t, t, then[rows], eps_hat, x0_hat, rows))
    yield Step(times[-1], x, clean(times[-1], x))


def _check_times(times: Tensor, schedule: NoiseSchedule, x: Tensor) -> Tensor:
    """Times as (S + 1, B) on the device of x; raises ``ValueError`` where they are no way back."""
    if times.ndim == 1:
        times = times[:, None].expand(-1, len(x))
    if times.ndim != 2 or len(times) < 1 or times.shape[1] != len(x):
        raise ValueError(f"times must be (S + 1,) or (S + 1, {len(x)}), got {tuple(times.shape)}")
    if bool((times < -1).any() | (times >= schedule.T).any() | (times.diff(dim=0) > 0).any()):
        raise ValueError(f"times must fall, from at most {schedule.T - 1} to at least -1")
    return times.to(x.device)


def _of(generator: Generators, rows: Tensor) -> Generators:
    """The generators of some pictures."""
    if generator is None or isinstance(generator, torch.Generator):
        return generator
    return [generator[row] for row in rows.tolist()]


def _half_log_snr(alpha_bar: Tensor) -> Tensor:
    return 0.5 * (alpha_bar.log() - (1 - alpha_bar).log())


def _column(values: Tensor) -> Tensor:
    return values[:, None, None, None]
