"""What the diffusion pages ask, in numpy: pictures uint8 (B, 32, 32, 3).

One ``DDPMExplorer`` serves every visitor: it never changes after it is made, and all randomness
comes from a seed given with the question. Levels ``t`` count from 0, -1 is the clean picture; pages
show t + 1.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import smooth_l1_loss

from core.bundles.bundle import Bundle
from core.bundles.weights import check_golden
from core.ddpm.counted_noise import counted_noise
from core.ddpm.model import DDPM
from core.ddpm.restoration import noised, sweep
from core.ddpm.samplers import Sampler, Step, sample, snap, time_grid
from core.ddpm.schedule import NoiseSchedule, draw_noise
from core.ddpm.together import COMPUTING, Together
from core.pictures import images
from core.pictures.images import Pictures

FRAMES = 50
"""How many steps of a trajectory are kept to be looked at, at most; evenly spread."""

LOOK = 64
"""How many pictures pass through the network at once where there is no need for more."""

TIMED = 3
"""Calls of the network of which the fastest says how long one takes."""

NOISE_SPAN = 3.0
"""Noise is shown from -3 (black) to 3 (white)."""


def show_noise(eps: Tensor) -> Pictures:
    """Noise (B, 3, H, W) as pictures: 0 is grey, +-3 white and black."""
    return images.to_pictures(eps / NOISE_SPAN)


# ---------------------------------------------------------------- forward


@dataclass(frozen=True)
class NoisyWalk:
    """One random walk from a picture into noise, and what one step of the closed form says of it.

    ``t`` (T + 1,) are all levels, from -1. ``off`` (T + 1,): largest difference between the walk and the
    closed form with the walk's own noise summed up. ``signal``, ``noise`` (T + 1,): what the walk kept of
    the picture (its regression on x_0) and the standard deviation of the rest; ``signal_jumped``,
    ``noise_jumped``: the same of one step with the noise ``eps`` (3, 32, 32). ``walked`` (n, 32, 32, 3):
    x_t after t + 1 steps of q(x_t | x_{t-1}), t in ``kept`` (n,); ``jumped``: in one step with ``eps``;
    ``direct``: in one step with the walk's own noise.
    """

    t: np.ndarray
    off: np.ndarray
    signal: np.ndarray
    noise: np.ndarray
    signal_jumped: np.ndarray
    noise_jumped: np.ndarray
    eps: np.ndarray
    kept: np.ndarray
    walked: Pictures
    jumped: Pictures
    direct: Pictures


def noisy_walk(
    schedule: NoiseSchedule, picture: Pictures, seed: int, kept: Sequence[int]
) -> NoisyWalk:
    """Walk a picture (32, 32, 3) through all levels; pictures of the levels ``kept``, -1 to T - 1.

    The noise of step t is draw t of ``counted_noise``, so that a browser can go the same way.
    """
    if not kept or min(kept) < -1 or max(kept) >= schedule.T:
        raise ValueError(f"levels must be -1 to {schedule.T - 1}, got {list(kept)}")
    x0 = images.to_tensor(picture[None]).double()
    eps = draw_noise(x0, torch.Generator().manual_seed(seed))
    x, summed = x0, torch.zeros_like(x0)
    wanted, rows = set(kept), []
    walked, jumped, direct_ones = [], [], []
    for t in range(-1, schedule.T):
        jump, direct = x0, x0
        if t >= 0:
            step_noise = torch.from_numpy(counted_noise(seed, t, x0.shape))
            x = schedule.q_step(x, t, step_noise)
            # The noise so far is shrunk by the step as the picture is, and the step's is added.
            keep = float(schedule.alphas[t])
            summed = keep**0.5 * summed + (1 - keep) ** 0.5 * step_noise
            unit = summed / schedule.sqrt_one_minus_alphas_cumprod[t]
            direct = schedule.q_sample(x0, t, unit)
            jump = schedule.q_sample(x0, t, eps)
        rows.append([float((x - direct).abs().max()), *_regression(x, x0), *_regression(jump, x0)])
        if t in wanted:
            walked.append(x)
            jumped.append(jump)
            direct_ones.append(direct)
    off, signal, noise, signal_jumped, noise_jumped = np.array(rows).T
    return NoisyWalk(
        t=np.arange(-1, schedule.T),
        off=off,
        signal=signal,
        noise=noise,
        signal_jumped=signal_jumped,
        noise_jumped=noise_jumped,
        eps=eps[0].numpy(),
        kept=np.array(sorted(wanted)),
        walked=images.to_pictures(torch.cat(walked)),
        jumped=images.to_pictures(torch.cat(jumped)),
        direct=images.to_pictures(torch.cat(direct_ones)),
    )


def _regression(x_t: Tensor, x0: Tensor) -> tuple[float, float]:
    """The share of x0 in x_t by least squares, and the standard deviation of the rest."""
    share = (x_t * x0).sum() / x0.square().sum()
    return float(share), float((x_t - share * x0).square().mean().sqrt())


# ---------------------------------------------------------------- backward


@dataclass(frozen=True)
class SamplerSettings:
    """How to go back from noise: ``steps`` None takes every level, as ``ddpm`` must."""

    sampler: Sampler = "ddim"
    steps: int | None = 20
    eta: float = 0.0
    clip_x0: bool = False

    def grid(self, T: int) -> Tensor:
        """The levels that are visited, from T - 1 to -1."""
        steps = T if self.sampler == "ddpm" or self.steps is None else min(self.steps, T)
        return time_grid(T, steps)


class Move(NamedTuple):
    """A step from t to ``s`` as a sum: x_s = ``of_x_t`` x_t - ``of_eps`` eps_hat + what was added.

    ``sigma`` is what the fresh noise is multiplied with, 0 where there is none. ``added`` uint8
    (B, 32, 32, 3): that noise, as ``show_noise`` shows it; of a second-order solver, whose ``sigma`` is 0,
    its correction, in units of the picture. ``x_s``: where the step ends.
    """

    s: int
    of_x_t: float
    of_eps: float
    sigma: float
    added: Pictures
    x_s: Pictures


class Ancestral(NamedTuple):
    """What ``NoiseSchedule.p_sample`` makes of x_t, uint8 (B, 32, 32, 3): x_{t-1} = ``mean`` + ``sigma`` xi.

    ``mean`` = ``of_x_t`` x_t - ``of_eps`` eps_hat. ``fresh``: xi, as ``show_noise`` shows it. ``x_s``: x_{t-1}.
    """

    of_x_t: float
    of_eps: float
    sigma: float
    mean: Pictures
    fresh: Pictures
    x_s: Pictures


class Frame(NamedTuple):
    """One step of a trajectory: level ``t``, and uint8 (B, 32, 32, 3) as ``Trajectory`` has them.

    ``move`` is the step that begins here; None until it is taken. ``ancestral``: the step that DDPM would
    take from here; None at the end, and where the sampler is DDPM itself.
    """

    t: int
    x_t: Pictures
    eps_hat: Pictures
    x0_hat: Pictures
    move: Move | None = None
    ancestral: Ancestral | None = None


@dataclass(frozen=True)
class Trajectory:
    """A trajectory as far as it has come: at most ``FRAMES`` of its steps and the newest, ``frames``.

    ``t`` (n,) falls from T - 1; ``x_t``, ``eps_hat``, ``x0_hat``: uint8 (n, B, 32, 32, 3), the
    noise as ``show_noise`` shows it. ``done`` of ``total`` steps taken, in ``seconds``.
    """

    frames: tuple[Frame, ...]
    done: int
    total: int
    seconds: float

    @cached_property
    def t(self) -> np.ndarray:
        return np.array([frame.t for frame in self.frames])

    @cached_property
    def x_t(self) -> Pictures:
        return np.stack([frame.x_t for frame in self.frames])

    @cached_property
    def eps_hat(self) -> Pictures:
        return np.stack([frame.eps_hat for frame in self.frames])

    @cached_property
    def x0_hat(self) -> Pictures:
        return np.stack([frame.x0_hat for frame in self.frames])

    @property
    def moves(self) -> list[Move]:
        """The step that begins at each level that is kept, but for the newest."""
        return [frame.move for frame in self.frames if frame.move is not None]

    @property
    def ancestral(self) -> list[Ancestral]:
        """The step that DDPM would take from each level that is kept, but for the newest."""
        kept = self.frames[: len(self.moves)]
        return [frame.ancestral for frame in kept if frame.ancestral is not None]

    @property
    def newest(self) -> Frame:
        return self.frames[-1]

    @property
    def finished(self) -> bool:
        return self.done == self.total

    @property
    def result(self) -> Pictures:
        """The pictures; before the end, what the network sees in the noise so far."""
        return self.newest.x0_hat

    def replay(self) -> list[Trajectory]:
        """The trajectory as far as it had come at each of the steps that are kept, first to last."""
        last = max(1, len(self.frames) - 1)
        return [
            Trajectory(
                self.frames[: kept + 1],
                round(self.done * kept / last),
                self.total,
                self.seconds * kept / last,
            )
            for kept in range(len(self.frames))
        ]


@dataclass(frozen=True)
class Restoration:
    """Pictures noised to several levels and being denoised: uint8 (P, L, D, 32, 32, 3).

    ``t`` (L,) rising levels; D draws of noise a level. ``noised``: where they started. ``glance``:
    what the network sees in those in one look, at the end, and None before. ``now``: what it sees at present;
    where a picture still waits, its noised self. ``done`` of ``total`` steps taken, in ``seconds``;
    ``worked``, in [0, 1]: the share of all calls of the network that they were, since at later steps more
    pictures are on their way.
    """

    t: np.ndarray
    noised: Pictures
    glance: Pictures | None
    now: Pictures
    done: int
    total: int
    worked: float
    seconds: float

    @property
    def finished(self) -> bool:
        return self.done == self.total


@dataclass(frozen=True)
class Prediction:
    """One look at a noisy picture, ``t`` the level: what the network sees in it.

    ``eps_mse``: mean squared error of the noise, whose variance is 1. ``x0_mse``: of the picture in
    [-1, 1]. ``log_snr``: log(alpha_bar / (1 - alpha_bar)). ``loss``: smooth L1 of the noise, as
    ``NoiseSchedule.p_losses``; ``off``: noise less guess, as ``show_noise`` shows it.
    """

    t: int
    x_t: Pictures
    eps: Pictures
    eps_hat: Pictures
    x0_hat: Pictures
    eps_mse: float
    x0_mse: float
    log_snr: float
    alpha_bar: float
    loss: float
    off: Pictures


class DDPMExplorer:
    """A DDPM bundle that answers questions; safe to share between threads."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self._model = DDPM.from_bundle(bundle)
        self._unet = self._model.unet.to(memory_format=torch.channels_last)
        self._together = Together(self._network)
        self.schedule, self.config = self._model.schedule, self._model.config
        names = bundle.config["data"].get("class_names")
        self.class_names = tuple(names or map(str, range(10)))

    @property
    def T(self) -> int:
        return self.schedule.T

    def parameters(self) -> int:
        """How many numbers were learnt."""
        return sum(value.numel() for value in self._unet.parameters())

    @cached_property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers that ``features`` knows."""
        return self._unet.layers()

    @torch.no_grad()
    def _network(self, x_t: Tensor, t: Tensor) -> Tensor:
        return self._model.eps(x_t.contiguous(memory_format=torch.channels_last), t)

    def _eps(self, x_t: Tensor, t: Tensor) -> Tensor:
        """The predicted noise, computed together with what other visitors ask meanwhile."""
        return self._together(x_t, t)

    # ------------------------------------------------------------ from noise to pictures

    def begin(self, seed: int) -> np.ndarray:
        """The pure noise (3, 32, 32) that the picture of a seed is made of, float32."""
        generator = torch.Generator().manual_seed(seed)
        return draw_noise(torch.empty(1, 3, images.SIZE, images.SIZE), [generator])[0].numpy()

    def denoise_steps(
        self, settings: SamplerSettings, seeds: Sequence[int], *, ancestral: bool = False
    ) -> Iterator[Trajectory]:
        """The trajectory from pure noise as it grows, picture i from seed i, before every step and at
        the end. ``ancestral``: with the step that DDPM would take from every level that is kept, where the
        sampler is another one. Raises ``ValueError`` before the first step.
        """
        if not seeds:
            raise ValueError("seeds must name at least one picture")
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        x_T = draw_noise(torch.empty(len(seeds), 3, images.SIZE, images.SIZE), generators)
        times = settings.grid(self.T)
        steps = self._reverse(settings, x_T, times, generators)
        if settings.sampler == "ddpm":
            return self._record(steps, times, 1.0, None)
        return self._record(steps, times, settings.eta, tuple(seeds) if ancestral else None)

    def _reverse(
        self, settings: SamplerSettings, x: Tensor, times: Tensor, generators: list[torch.Generator]
    ) -> Iterator[Step]:
        return sample(
            self._eps,
            self.schedule,
            x,
            times,
            sampler=settings.sampler,
            eta=settings.eta,
            clip_x0=settings.clip_x0,
            generator=generators,
        )

    def denoise(self, settings: SamplerSettings, seeds: Sequence[int]) -> Trajectory:
        """The whole trajectory at once."""
        for path in self.denoise_steps(settings, seeds):
            whole = path
        return whole

    def _move_between(self, before: Step, after: Step, eta: float) -> Move:
        """The step between two that follow one another, as a sum."""
        t, s = int(before.t[0]), int(after.t[0])
        of_x_t, of_eps, sigma = (float(each) for each in self.schedule.step_back(t, s, eta))
        eps_hat = self.schedule.walk_noise(before.x0_hat, before.x_t, t)
        rest = after.x_t - (of_x_t * before.x_t - of_eps * eps_hat)
        added = show_noise(rest / sigma) if sigma else images.to_pictures(rest)
        return Move(s, of_x_t, of_eps, sigma, added, images.to_pictures(after.x_t))

    def _ancestral(self, x_t: Tensor, eps_hat: Tensor, t: int, seeds: Sequence[int]) -> Ancestral:
        """One step of DDPM from level ``t``, picture i with noise of seed i: asks no network."""

        def generators() -> list[torch.Generator]:
            return [_generator_of(seed, t) for seed in seeds]

        of_x_t, of_eps, sigma = (float(each) for each in self.schedule.step_back(t, t - 1, 1.0))
        return Ancestral(
            of_x_t,
            of_eps,
            sigma,
            images.to_pictures(self.schedule.p_mean(x_t, t, eps_hat)),
            show_noise(draw_noise(x_t, generators())),
            images.to_pictures(self.schedule.p_sample(lambda *_: eps_hat, x_t, t, generators())),
        )

    def _record(
        self, steps: Iterator[Step], times: Tensor, eta: float, seeds: Sequence[int] | None
    ) -> Iterator[Trajectory]:
        """``seeds``, one a picture, of the noise of the steps that DDPM would take; None: none of them."""
        total = len(times) - 1
        kept = {round(i * total / FRAMES) for i in range(FRAMES + 1)} if total > FRAMES else None
        frames: tuple[Frame, ...] = ()
        before: Step | None = None  # where the last of the frames stands, until its step is taken
        seconds = 0.0
        begun = time.perf_counter()
        for done, step in enumerate(steps):
            if before is not None:
                frames = (
                    *frames[:-1],
                    frames[-1]._replace(move=self._move_between(before, step, eta)),
                )
                before = None
            t = int(step.t[0])
            noise = torch.zeros_like(step.x_t)
            if t >= 0:
                noise = self.schedule.walk_noise(step.x0_hat, step.x_t, t)
            newest = Frame(
                t,
                images.to_pictures(step.x_t),
                show_noise(noise),
                images.to_pictures(step.x0_hat),
            )
            if t >= 0 and seeds is not None and (kept is None or done in kept):
                newest = newest._replace(ancestral=self._ancestral(step.x_t, noise, t, seeds))
            seconds += time.perf_counter() - begun
            yield Trajectory((*frames, newest), done, total, seconds)
            begun = time.perf_counter()
            if kept is None or done in kept:
                frames, before = (*frames, newest), step

    # ------------------------------------------------------------ noise a picture, and back

    def nearest_levels(self, settings: SamplerSettings, levels: Sequence[int]) -> np.ndarray:
        """The levels of the sampler's grid that are nearest to ``levels``, rising, each once."""
        return np.unique(snap(settings.grid(self.T), torch.tensor(list(levels))).numpy())

    def restore(
        self,
        settings: SamplerSettings,
        pictures: Pictures,
        levels: Sequence[int],
        draws: int,
        seed: int,
    ) -> Iterator[Restoration]:
        """Noise pictures (P, 32, 32, 3) to every level, ``draws`` times, and denoise all at once.

        Levels snap to the sampler's grid. Draw d of picture i has its own noise, from seed
        ``seed`` + i * ``draws`` + d, the same at every level. Yields before every step, and at the end
        with what the network sees in every noisy picture in one look.
        """
        if draws < 1:
            raise ValueError(f"draws must be at least 1, got {draws}")
        if len(levels) == 0:
            raise ValueError("levels must name at least one level")
        begun = time.perf_counter()
        t = torch.from_numpy(self.nearest_levels(settings, levels))
        P, L, D = len(pictures), len(t), draws
        seeds = [[seed + i * D + d for d in range(D)] for i in range(P)]
        forward = [[torch.Generator().manual_seed(one) for one in row] for row in seeds]
        backward = [
            _generator_of(one, level) for row in seeds for level in t.tolist() for one in row
        ]
        x_t = noised(self.schedule, images.to_tensor(pictures), t, forward)

        def shaped(x: Tensor) -> Pictures:
            return images.to_pictures(x).reshape(P, L, D, images.SIZE, images.SIZE, 3)

        flat, each = x_t.flatten(0, 2), t[None, :, None].expand(P, L, D).flatten()
        noisy = shaped(flat)

        def look() -> Pictures:
            parts = zip(flat.split(LOOK), each.split(LOOK), strict=True)
            eps = torch.cat([self._eps(*part) for part in parts])
            return shaped(self.schedule.x0_from_eps(flat, each, eps))

        steps = sweep(
            self._eps,
            self.schedule,
            x_t,
            t,
            settings.grid(self.T),
            sampler=settings.sampler,
            eta=settings.eta,
            clip_x0=settings.clip_x0,
            generators=backward,
        )
        grid = settings.grid(self.T)
        on_the_way = (grid[grid <= t.max()][:-1, None] <= t).sum(dim=1)  # levels, step by step
        worked = [0.0, *(on_the_way.cumsum(0) / on_the_way.sum()).tolist()]
        total = len(worked) - 1
        seconds = time.perf_counter() - begun
        begun = time.perf_counter()
        for done, step in enumerate(steps):
            waits = step.x0_hat.isnan()
            now = shaped(torch.where(waits, flat, step.x0_hat))
            # At the end: whoever watches sees the first step as soon as it is taken, which has few pictures.
            glance = look() if done == total else None
            seconds += time.perf_counter() - begun
            yield Restoration(t.numpy(), noisy, glance, now, done, total, worked[done], seconds)
            begun = time.perf_counter()

    # ------------------------------------------------------------ one look

    def draw_level(self, seed: int) -> int:
        """A level as training draws it, uniform over 0 to T - 1."""
        return int(self.schedule.t_sample(1, torch.Generator().manual_seed(seed)))

    def predict(self, picture: Pictures, levels: Sequence[int], seed: int) -> list[Prediction]:
        """What the network sees in a picture (32, 32, 3) at each level, always the same noise."""
        x0 = images.to_tensor(picture[None])
        eps = draw_noise(x0, torch.Generator().manual_seed(seed))
        t = torch.tensor(list(levels))
        many = x0.expand(len(t), -1, -1, -1)
        x_t = self.schedule.q_sample(many, t, eps.expand_as(many))
        eps_hat = self._eps(x_t, t)
        x0_hat = self.schedule.x0_from_eps(x_t, t, eps_hat)
        rows = zip(
            t.tolist(),
            images.to_pictures(x_t),
            show_noise(eps_hat),
            images.to_pictures(x0_hat),
            (eps_hat - eps).square().mean(dim=(1, 2, 3)).tolist(),
            (x0_hat - x0).square().mean(dim=(1, 2, 3)).tolist(),
            smooth_l1_loss(eps_hat, eps.expand_as(many), reduction="none").mean((1, 2, 3)).tolist(),
            show_noise(eps - eps_hat),
            strict=True,
        )
        shown = show_noise(eps)[0]
        return [
            Prediction(
                level,
                noisy,
                shown,
                guess,
                clean,
                eps_mse,
                x0_mse,
                float(self.schedule.log_snr[level]),
                float(self.schedule.alphas_cumprod[level]),
                loss,
                off,
            )
            for level, noisy, guess, clean, eps_mse, x0_mse, loss, off in rows
        ]

    def seconds_a_step(self, pictures: int) -> float:
        """One call of the network: the fastest of ``TIMED``, as other work of the machine makes some slow."""
        x = torch.zeros(pictures, 3, images.SIZE, images.SIZE)
        t = torch.zeros(pictures, dtype=torch.long)
        with COMPUTING:  # what others compute meanwhile is not its pace
            self._network(x, t)
            taken = []
            for _call in range(TIMED):
                begun = time.perf_counter()
                self._network(x, t)
                taken.append(time.perf_counter() - begun)
        return min(taken)

    # ------------------------------------------------------------ inside the network

    def features(
        self, picture: Pictures, levels: Sequence[int], seed: int
    ) -> dict[str, np.ndarray]:
        """Activations of every layer for a picture at each level: (n, C, H, W) by layer name."""
        x0 = images.to_tensor(picture[None])
        eps = draw_noise(x0, torch.Generator().manual_seed(seed))
        t = torch.tensor(list(levels))
        many = x0.expand(len(t), -1, -1, -1)
        found: dict[str, np.ndarray] = {}

        def tap(name: str, activation: Tensor) -> None:
            found[name] = activation.contiguous().numpy().copy()

        with torch.no_grad():
            x_t = self.schedule.q_sample(many, t, eps.expand_as(many))
            self._unet(x_t.contiguous(memory_format=torch.channels_last), t, tap)
        return found


def _generator_of(seed: int, level: int) -> torch.Generator:
    """The generator of the reverse noise from a level, independent of the forward noise.

    The two numbers are mixed, for a generator on the CPU knows the lower 32 bits of a seed alone.
    """
    mixed = np.random.SeedSequence([seed, level]).generate_state(1)
    return torch.Generator().manual_seed(int(mixed[0]))


# ---------------------------------------------------------------- golden output


@torch.no_grad()
def golden_outputs(model: DDPM, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """What a bundle's golden tensors hold: the noise that the model sees in ``x`` at ``t``."""
    return {"eps_hat": model.eps(inputs["x"], inputs["t"])}


def golden_deviation(bundle: Bundle) -> float:
    """How far the bundle's weights are from their golden output; raises where it is too far."""
    model = DDPM.from_bundle(bundle)
    return check_golden(bundle, lambda inputs: golden_outputs(model, inputs))
