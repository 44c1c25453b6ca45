"""The forward process of a diffusion model, one step of the way back, and the loss.

Notation, the same in code, pages and figures:

| name        | symbol             | shape          | range and meaning                                  |
|-------------|--------------------|----------------|----------------------------------------------------|
| ``T``       | T                  |                | number of noise levels                             |
| ``t``       | t                  | (B,) or int    | 0 to T-1, a level each picture; -1: the clean picture |
| ``x0``      | x_0                | (B, 3, 32, 32) | a clean picture in [-1, 1]                         |
| ``x_t``     | x_t                | (B, 3, 32, 32) | sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) eps  |
| ``eps``     | eps                | (B, 3, 32, 32) | the noise, N(0, I)                                 |
| ``eps_hat`` | eps_theta(x_t, t)  | (B, 3, 32, 32) | the network's guess of eps                         |
| ``x0_hat``  | x^_0               | (B, 3, 32, 32) | the clean picture that eps_hat implies             |
| ``v``       | v                  | (B, 3, 32, 32) | sqrt(alpha_bar_t) eps - sqrt(1 - alpha_bar_t) x_0  |

Papers count t from 1 to T, and so do the pages; code counts from 0.

Sources: Ho, Jain & Abbeel 2020 (arXiv:2006.11239), "DDPM" below; Nichol & Dhariwal 2021
(arXiv:2102.09672) for the cosine schedule; Salimans & Ho 2022 (arXiv:2202.00512) for v; Kingma et
al. 2021 (arXiv:2107.00630) for the signal-to-noise ratio as the coordinate that schedules share.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

EpsModel = Callable[[Tensor, Tensor], Tensor]
"""Any guess of the noise: (x_t (B, C, H, W), t (B,)) to eps_hat (B, C, H, W)."""

Generators = torch.Generator | Sequence[torch.Generator] | None
"""One source of noise for a batch, or one a picture: then a picture's noise does not depend on
the company it keeps."""

MAX_T = 10_000


@dataclass(frozen=True, eq=False)
class NoiseSchedule:
    """How much noise is added at each of T levels, and every coefficient that follows from it.

    ``betas`` (T,) are the variances of the steps, each in (0, 1). All arrays are float64, (T,),
    on the device of ``betas``; what is computed from them has the type and device of the pictures.
    """

    betas: Tensor
    name: str = "custom"

    def __post_init__(self) -> None:
        betas = torch.as_tensor(self.betas, dtype=torch.float64)
        if betas.ndim != 1 or not 1 <= len(betas) <= MAX_T:
            raise ValueError(f"betas must be (T,), T from 1 to {MAX_T}, got {tuple(betas.shape)}")
        if not bool(((betas > 0) & (betas < 1)).all()):
            raise ValueError(
                f"betas must lie between 0 and 1, got {float(betas.min())} to {float(betas.max())}"
            )
        object.__setattr__(self, "betas", betas)

    @classmethod
    def linear(
        cls, T: int = 1000, beta_start: float = 1e-4, beta_end: float = 0.02
    ) -> NoiseSchedule:
        """beta_t evenly from ``beta_start`` to ``beta_end``: DDPM, section 4."""
        _check_T(T)
        return cls(torch.linspace(beta_start, beta_end, T, dtype=torch.float64), "linear")

    @classmethod
    def cosine(cls, T: int = 1000, s: float = 0.008, most: float = 0.999) -> NoiseSchedule:
        """alpha_bar as a squared cosine, beta_t at ``most``: Nichol & Dhariwal 2021, equation 17."""
        _check_T(T)
        u = torch.arange(T + 1, dtype=torch.float64) / T
        f = torch.cos((u + s) / (1 + s) * math.pi / 2).square()
        return cls((1 - f[1:] / f[:-1]).clamp(max=most), "cosine")

    def to(self, device: torch.device | str) -> NoiseSchedule:
        """The same schedule on another device; on the CPU for one without float64 (MPS)."""
        wanted = torch.device(device)
        return NoiseSchedule(self.betas.to("cpu" if wanted.type == "mps" else wanted), self.name)

    @property
    def T(self) -> int:
        return len(self.betas)

    # ------------------------------------------------------------ coefficients

    @cached_property
    def alphas(self) -> Tensor:
        """alpha_t = 1 - beta_t: the share of the signal's variance that one step keeps."""
        return 1 - self.betas

    @cached_property
    def sqrt_recip_alphas(self) -> Tensor:
        """1 / sqrt(alpha_t): a step back stretches the picture by it."""
        return self.alphas.rsqrt()

    @cached_property
    def alphas_cumprod(self) -> Tensor:
        """alpha_bar_t, the product of alpha up to t: the share of variance that is still signal."""
        return self.alphas.cumprod(dim=0)

    @cached_property
    def alphas_cumprod_prev(self) -> Tensor:
        """alpha_bar_{t-1}: shifted right, the first is 1."""
        return torch.cat([self.alphas.new_ones(1), self.alphas_cumprod[:-1]])

    @cached_property
    def sqrt_alphas_cumprod(self) -> Tensor:
        """sqrt(alpha_bar_t): what the picture is multiplied with in x_t."""
        return self.alphas_cumprod.sqrt()

    @cached_property
    def sqrt_one_minus_alphas_cumprod(self) -> Tensor:
        """sqrt(1 - alpha_bar_t): what the noise is multiplied with in x_t."""
        return (1 - self.alphas_cumprod).sqrt()

    @cached_property
    def posterior_variance(self) -> Tensor:
        """beta~_t, the variance of q(x_{t-1} | x_t, x_0): DDPM, equation 7; 0 at the last step."""
        return self.betas * (1 - self.alphas_cumprod_prev) / (1 - self.alphas_cumprod)

    @cached_property
    def log_snr(self) -> Tensor:
        """log(alpha_bar_t / (1 - alpha_bar_t)): 0 where signal and noise are equal, falls with t."""
        return self.alphas_cumprod.log() - (1 - self.alphas_cumprod).log()

    def alpha_bar(self, t: Tensor | int) -> Tensor:
        """alpha_bar at t (any shape), 1 at t = -1."""
        t = torch.as_tensor(t, device=self.betas.device)
        if bool(((t < -1) | (t >= self.T)).any()):
            raise ValueError(f"t must be -1 to {self.T - 1}, got {t.min()} to {t.max()}")
        return torch.cat([self.alphas.new_ones(1), self.alphas_cumprod])[t + 1]

    def nearest_t(self, log_snr: float) -> int:
        """The t whose log signal-to-noise ratio is nearest: the same noise in another schedule."""
        return int((self.log_snr - log_snr).abs().argmin())

    def at(self, coefficients: Tensor, t: Tensor, like: Tensor) -> Tensor:
        """coefficients[t] of shape (B, 1, 1, 1), in the type and on the device of ``like``."""
        picked = coefficients[t.to(coefficients.device)]
        return picked.to(like).view(-1, *[1] * (like.ndim - 1))

    def times(self, t: Tensor | int, like: Tensor) -> Tensor:
        """t as (B,) int64 on the device of the pictures ``like`` (B, C, H, W), each 0 to T-1.

        Raises ``ValueError`` for another count, type or range.
        """
        t = torch.as_tensor(t, device=like.device)
        if t.is_floating_point() or t.ndim > 1 or (t.ndim == 1 and len(t) != len(like)):
            raise ValueError(
                f"t must be an integer or ({len(like)},) integers, got {t.dtype} {tuple(t.shape)}"
            )
        if t.device.type == "cpu" and bool(((t < 0) | (t >= self.T)).any()):
            raise ValueError(f"t must be 0 to {self.T - 1}, got {t.min()} to {t.max()}")
        return t.long().expand(len(like))

    # ------------------------------------------------------------ forward

    def q_sample(self, x0: Tensor, t: Tensor | int, noise: Tensor) -> Tensor:
        """x_t ~ q(x_t | x_0) in one step, the shape of ``x0``: DDPM, equation 4.

        sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) noise, with noise ~ N(0, I).
        """
        _check_shape("noise", noise, "x0", x0)
        t = self.times(t, x0)
        return (
            self.at(self.sqrt_alphas_cumprod, t, x0) * x0
            + self.at(self.sqrt_one_minus_alphas_cumprod, t, x0) * noise
        )

    def q_step(self, x_prev: Tensor, t: Tensor | int, noise: Tensor) -> Tensor:
        """x_t ~ q(x_t | x_{t-1}), one step of the walk into noise: DDPM, equation 2.

        sqrt(1 - beta_t) x_{t-1} + sqrt(beta_t) noise.
        """
        _check_shape("noise", noise, "x_prev", x_prev)
        t = self.times(t, x_prev)
        keep, add = self.at(self.alphas, t, x_prev), self.at(self.betas, t, x_prev)
        return keep.sqrt() * x_prev + add.sqrt() * noise

    def walk_noise(self, x0: Tensor, x_t: Tensor, t: Tensor | int) -> Tensor:
        """The eps that takes x_0 to x_t in one step: (x_t - sqrt(alpha_bar) x_0) / sqrt(1 - alpha_bar)."""
        _check_shape("x_t", x_t, "x0", x0)
        t = self.times(t, x0)
        signal = self.at(self.sqrt_alphas_cumprod, t, x0) * x0
        return (x_t - signal) / self.at(self.sqrt_one_minus_alphas_cumprod, t, x0)

    # ------------------------------------------------------------ v: noise and picture in one

    def v_target(self, x0: Tensor, t: Tensor | int, noise: Tensor) -> Tensor:
        """v of a picture and its noise, the shape of ``x0``: Salimans & Ho 2022, section 4.

        sqrt(alpha_bar_t) eps - sqrt(1 - alpha_bar_t) x_0: nearly eps at little noise, nearly -x_0 at
        much, and of variance near 1 at every t.
        """
        _check_shape("noise", noise, "x0", x0)
        t = self.times(t, x0)
        return (
            self.at(self.sqrt_alphas_cumprod, t, x0) * noise
            - self.at(self.sqrt_one_minus_alphas_cumprod, t, x0) * x0
        )

    def eps_from_v(self, x_t: Tensor, t: Tensor | int, v: Tensor) -> Tensor:
        """The noise that a guess of v implies: sqrt(1 - alpha_bar_t) x_t + sqrt(alpha_bar_t) v.

        An error in v becomes one of the same size in x0_hat even at the last level, where an error
        in eps would be blown up by 1 / sqrt(alpha_bar_T), 157 at T = 1000.
        """
        _check_shape("v", v, "x_t", x_t)
        t = self.times(t, x_t)
        return (
            self.at(self.sqrt_one_minus_alphas_cumprod, t, x_t) * x_t
            + self.at(self.sqrt_alphas_cumprod, t, x_t) * v
        )

    # ------------------------------------------------------------ one step back

    def x0_from_eps(self, x_t: Tensor, t: Tensor | int, eps: Tensor) -> Tensor:
        """The clean picture that a guess of the noise implies: DDPM, equation 15.

        (x_t - sqrt(1 - alpha_bar_t) eps) / sqrt(alpha_bar_t).
        """
        _check_shape("eps", eps, "x_t", x_t)
        t = self.times(t, x_t)
        noise = self.at(self.sqrt_one_minus_alphas_cumprod, t, x_t) * eps
        return (x_t - noise) / self.at(self.sqrt_alphas_cumprod, t, x_t)

    def p_mean(self, x_t: Tensor, t: Tensor | int, eps_hat: Tensor) -> Tensor:
        """Mean of p(x_{t-1} | x_t), the shape of ``x_t``: DDPM, equation 11.

        1/sqrt(alpha_t) (x_t - beta_t / sqrt(1 - alpha_bar_t) eps_hat).
        """
        _check_shape("eps_hat", eps_hat, "x_t", x_t)
        t = self.times(t, x_t)
        noise = (
            self.at(self.betas, t, x_t)
            / self.at(self.sqrt_one_minus_alphas_cumprod, t, x_t)
            * eps_hat
        )
        return self.at(self.sqrt_recip_alphas, t, x_t) * (x_t - noise)

    def p_sample(
        self,
        eps_model: EpsModel,
        x_t: Tensor,
        t: Tensor | int,
        generator: Generators = None,
    ) -> Tensor:
        """x_{t-1} ~ p(x_{t-1} | x_t), the shape of ``x_t``: DDPM, algorithm 2.

        Variance beta~_t. At t = 0 the mean itself: the last step adds no noise.
        """
        t = self.times(t, x_t)
        mean = self.p_mean(x_t, t, eps_model(x_t, t))
        std = self.at(self.posterior_variance, t, x_t).sqrt()
        return mean + std * draw_noise(x_t, generator)  # std is 0 at t = 0

    def step_back(
        self, t: Tensor | int, s: Tensor | int, eta: float = 0.0
    ) -> tuple[Tensor, Tensor, Tensor]:
        """What a step from level t to s < t makes x_s of: the factors (any shape) a, b and sigma in

        x_s = a x_t - b eps_hat + sigma xi, with xi ~ N(0, I): DDIM, equations 12 and 16, with x0_hat
        written out. ``eta`` 1 and s = t - 1 are ``p_sample``: a = 1 / sqrt(alpha_t), b = beta_t /
        (sqrt(alpha_t) sqrt(1 - alpha_bar_t)), sigma^2 = beta~_t. s = -1 is the clean picture: sigma = 0.
        """
        a_t, a_s = self.alpha_bar(t).double(), self.alpha_bar(s).double()
        variance = eta**2 * (1 - a_s) / (1 - a_t) * (1 - a_t / a_s)
        of_x_t = (a_s / a_t).sqrt()
        # Rounding may take it below 0 where s is the clean picture.
        of_eps = of_x_t * (1 - a_t).sqrt() - (1 - a_s - variance).clamp(min=0).sqrt()
        return of_x_t, of_eps, variance.sqrt()

    # ------------------------------------------------------------ the loss

    def t_sample(
        self,
        batch_size: int,
        generator: torch.Generator | None = None,
        *,
        stratified: bool = False,
    ) -> Tensor:
        """``batch_size`` levels, each uniform over 0 to T-1: int64 (batch_size,).

        ``stratified`` draws them together, one offset for all and evenly apart, so that every
        batch sees all depths of noise (Kingma et al. 2021, appendix I.1).
        """
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        device = self.betas.device if generator is None else generator.device
        if not stratified:
            return torch.randint(self.T, (batch_size,), generator=generator, device=device)
        offset = torch.rand(1, generator=generator, device=device)
        apart = torch.arange(batch_size, device=device) / batch_size
        return ((offset + apart) % 1 * self.T).long().clamp(max=self.T - 1)

    def p_losses(
        self,
        eps_model: EpsModel,
        x0: Tensor,
        t: Tensor | int,
        noise: Tensor | None = None,
        generator: torch.Generator | None = None,
        *,
        weights: Tensor | None = None,
    ) -> Tensor:
        """Smooth L1 between the noise and its guess from x_t, a scalar.

        Mean over pictures and values of d^2/2 where |d| < 1 and |d| - 1/2 beyond (Girshick 2015),
        d = eps - eps_theta(x_t, t). ``noise`` is drawn where it is not given; ``weights`` (B,)
        multiply each picture's part (``min_snr_weights``).
        """
        if noise is None:
            noise = draw_noise(x0, generator)
        t = self.times(t, x0)
        return _smooth_l1(eps_model(self.q_sample(x0, t, noise), t), noise, weights)

    def min_snr_weights(
        self, t: Tensor, prediction: Literal["eps", "v"], gamma: float = 5.0
    ) -> Tensor:
        """What the loss at levels ``t`` (B,) is multiplied with so that no level rules: (B,).

        min(SNR, gamma) / SNR where the network guesses the noise and min(SNR, gamma) / (SNR + 1) where
        it guesses v, SNR = alpha_bar_t / (1 - alpha_bar_t): Hang et al. 2023 (arXiv:2303.09556),
        section 3.4. Divided by the mean over all T levels, so that the learning rate keeps its meaning.
        """
        if prediction not in ("eps", "v"):
            raise ValueError(f"prediction must be 'eps' or 'v', got {prediction!r}")
        if not gamma > 0:
            raise ValueError(f"gamma must be above 0, got {gamma}")
        snr = self.log_snr.exp()
        every = snr.clamp(max=gamma) / (snr if prediction == "eps" else snr + 1)
        return (every / every.mean())[t.to(every.device)].float().to(t.device)

    def v_losses(
        self,
        v_model: EpsModel,
        x0: Tensor,
        t: Tensor | int,
        noise: Tensor | None = None,
        generator: torch.Generator | None = None,
        *,
        weights: Tensor | None = None,
    ) -> Tensor:
        """As ``p_losses``, for a network that guesses v: every level counts alike in v.

        Beside ``p_losses`` it weighs level t by 1 / alpha_bar_t: colours and coarse shapes, which are
        decided where noise is strong, are learnt sooner.
        """
        if noise is None:
            noise = draw_noise(x0, generator)
        t = self.times(t, x0)
        target = self.v_target(x0, t, noise)
        return _smooth_l1(v_model(self.q_sample(x0, t, noise), t), target, weights)


def _smooth_l1(guess: Tensor, target: Tensor, weights: Tensor | None) -> Tensor:
    """Mean smooth L1 of (B, ...), each picture's part times its weight (B,) where there are any."""
    if weights is None:
        return F.smooth_l1_loss(guess, target)
    if weights.shape != guess.shape[:1]:
        raise ValueError(f"weights must be ({len(guess)},), got {tuple(weights.shape)}")
    each = F.smooth_l1_loss(guess, target, reduction="none").flatten(1).mean(dim=1)
    return (each * weights).mean()


def draw_noise(like: Tensor, generator: Generators = None) -> Tensor:
    """N(0, I) of the shape, type and device of ``like`` (B, ...).

    With one generator a picture, row i is what a batch of that picture alone would be given.
    """
    if generator is None or isinstance(generator, torch.Generator):
        return torch.randn(like.shape, generator=generator, device=like.device, dtype=like.dtype)
    if len(generator) != len(like):
        raise ValueError(
            f"generator must be one, or one a picture: {len(like)} of them, got {len(generator)}"
        )
    rows = [
        torch.randn(like.shape[1:], generator=one, device=one.device, dtype=like.dtype)
        for one in generator
    ]
    return torch.stack(rows).to(like.device) if rows else like.clone()


def _check_T(T: int) -> None:
    if not 1 <= T <= MAX_T:
        raise ValueError(f"T must be 1 to {MAX_T}, got {T}")


def _check_shape(name: str, value: Tensor, other: str, wanted: Tensor) -> None:
    if value.shape != wanted.shape:
        raise ValueError(
            f"{name} must have the shape of {other} {tuple(wanted.shape)}, got {tuple(value.shape)}"
        )
