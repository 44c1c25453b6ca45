"""Variational autoencoder with a unit-variance Gaussian likelihood.

Notation, the same in code, pages and figures:

| name       | symbol            | shape          | range and meaning                                       |
|------------|-------------------|----------------|---------------------------------------------------------|
| ``x``      | x                 | (B, 3, 32, 32) | a picture, float32 in [-1, 1]                           |
| ``z``      | z                 | (B, d)         | a point of the latent space                             |
| ``mean``   | mu_phi(x)         | (B, d)         | where the encoder puts x                                |
| ``logvar`` | log sigma^2_phi   | (B, d)         | log-variance of that place, clamped to [-30, 20]        |
| ``nll``    | -log p(x given z) | (B,)           | nats; at least 3072/2 ln(2 pi) = 2,823.0 by unit variance |
| ``kl``     | KL(q || p)        | (B,)           | nats; bounds what z tells of x; 0: nothing            |
| ``K``      | K                 |                | number of draws of z per picture in importance sampling |

The model: p(z) = N(0, I), p(x|z) = N(mu_theta(z), I), q(z|x) = N(mu_phi(x), diag sigma^2_phi(x)).

Sources: Kingma & Welling 2014 (arXiv:1312.6114) for the model and its bound; Burda, Grosse &
Salakhutdinov 2016 (arXiv:1509.00519) for importance weighting and active units.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core import checks
from core.bundles.bundle import Bundle, unusable
from core.bundles.opening import open_bundle
from core.bundles.weights import load_weights

LOGVAR_MIN, LOGVAR_MAX = -30.0, 20.0
LOG_2PI = math.log(2 * math.pi)
PICTURE_SHAPE = (3, 32, 32)
PICTURE_DIMENSIONS = math.prod(PICTURE_SHAPE)
NLL_CONSTANT = 0.5 * PICTURE_DIMENSIONS * LOG_2PI
"""The part of every nll that no model can change: 3072/2 ln(2 pi) = 2,823.0 nats."""

ACTIVE_VARIANCE = 0.01
"""Variance of E[z_u|x] over pictures from which a unit counts as active."""

Architecture = Literal["homework", "residual"]
Interpolation = Literal["linear", "spherical"]


# ---------------------------------------------------------------- the diagonal Gaussian


class DiagonalGaussianDistribution:
    """N(mean, diag(exp(logvar))), over any shape whose first dimension is the batch.

    ``logvar=None`` means 0: the identity covariance. ``logvar`` is clamped to [-30, 20] so that a
    variance neither vanishes nor overflows in float32.
    """

    def __init__(self, mean: Tensor, logvar: Tensor | None = None) -> None:
        if logvar is None:
            logvar = torch.zeros_like(mean)
        if logvar.shape != mean.shape:
            raise ValueError(
                f"logvar must have the shape of mean {tuple(mean.shape)}, got {tuple(logvar.shape)}"
            )
        self.mean = mean
        self.logvar = logvar.clamp(LOGVAR_MIN, LOGVAR_MAX)

    @property
    def std(self) -> Tensor:
        """Standard deviation, the shape of ``mean``."""
        return torch.exp(0.5 * self.logvar)

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """Draw mean + std * eps with eps ~ N(0, I): gradients reach mean and logvar."""
        eps = torch.randn(
            self.mean.shape, generator=generator, device=self.mean.device, dtype=self.mean.dtype
        )
        return self.mean + self.std * eps

    def mode(self) -> Tensor:
        """The most likely point, which for a Gaussian is its mean."""
        return self.mean

    def kl_per_unit(self) -> Tensor:
        """KL(self || N(0, 1)) of every unit by itself, nats, the shape of ``mean``.

        1/2 (mu^2 + sigma^2 - 1 - log sigma^2); the sum over units is ``kl``.
        """
        return 0.5 * (self.mean.square() + self.logvar.exp() - 1.0 - self.logvar)

    def kl(self) -> Tensor:
        """KL(self || N(0, I)) in nats, (B,): Kingma & Welling 2014, appendix B."""
        return _sum_but_batch(self.kl_per_unit())

    def nll(self, x: Tensor) -> Tensor:
        """-log N(x; mean, diag(exp(logvar))) in nats, summed over all but the batch: (B,)."""
        if x.shape != self.mean.shape:
            raise ValueError(
                f"x must have the shape of mean {tuple(self.mean.shape)}, got {tuple(x.shape)}"
            )
        per_dimension = LOG_2PI + self.logvar + (x - self.mean).square() * torch.exp(-self.logvar)
        return 0.5 * _sum_but_batch(per_dimension)


def _sum_but_batch(x: Tensor) -> Tensor:
    return x.flatten(start_dim=1).sum(dim=1)


# ---------------------------------------------------------------- the networks


@dataclass(frozen=True)
class VAEConfig:
    """Architecture of a ``VAE``.

    ``architecture``: ``"homework"`` (strided 4x4 convolutions with BatchNorm, nearest-neighbour
    upsampling) or ``"residual"`` (pixel-unshuffle stem, residual blocks with GroupNorm).
    ``channels``: width of each resolution, finest first: 16-8-4-2 pixels for ``homework``,
    16-8-4 pixels for ``residual``. ``blocks``: residual blocks a resolution.
    """

    architecture: Architecture = "residual"
    latent_dim: int = 32
    channels: tuple[int, ...] = (32, 64, 128)
    blocks: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "channels", tuple(self.channels))
        if self.architecture not in get_args(Architecture):
            raise ValueError(
                f"architecture must be one of {get_args(Architecture)}, got {self.architecture!r}"
            )
        levels = 4 if self.architecture == "homework" else 3
        if len(self.channels) != levels or any(
            not isinstance(c, int) or not 1 <= c <= 1024 for c in self.channels
        ):
            raise ValueError(
                f"channels of {self.architecture} must be {levels} widths from 1 to 1024, got {self.channels}"
            )
        if self.architecture == "residual" and any(c % GROUPS for c in self.channels):
            raise ValueError(
                f"channels of residual must be multiples of {GROUPS}, got {self.channels}"
            )
        checks.whole("latent_dim", self.latent_dim, 1, 1024)
        most = 1 if self.architecture == "homework" else 8
        checks.whole(f"blocks of {self.architecture}", self.blocks, 1, most)


GROUPS = 8
HOMEWORK = VAEConfig(architecture="homework", channels=(32, 64, 128, 256))
DEFAULT = VAEConfig()
PRESETS: dict[str, VAEConfig] = {"default": DEFAULT, "homework": HOMEWORK}


def _homework_encoder(channels: tuple[int, ...]) -> nn.Sequential:
    layers: list[nn.Module] = []
    width_in = PICTURE_SHAPE[0]
    for width in channels:  # 32 -> 16 -> 8 -> 4 -> 2 pixels
        layers += [
            nn.Conv2d(width_in, width, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
        ]
        width_in = width
    return nn.Sequential(*layers, nn.Flatten())  # (B, 4 * channels[-1])


def _homework_decoder(channels: tuple[int, ...], latent_dim: int) -> nn.Sequential:
    layers: list[nn.Module] = [
        nn.Linear(latent_dim, channels[-1] * 4),
        nn.Unflatten(1, (channels[-1], 2, 2)),
    ]
    widths = (*reversed(channels), channels[0])
    for width_in, width in itertools.pairwise(widths):  # 2 -> 4 -> 8 -> 16 -> 32
        layers += [
            nn.Upsample(scale_factor=2, mode="nearest"),
            nn.Conv2d(width_in, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
        ]
    return nn.Sequential(*layers, nn.Conv2d(channels[0], PICTURE_SHAPE[0], 3, padding=1))


class ResidualBlock(nn.Module):
    """x + conv(act(norm(conv(act(norm(x)))))), the second convolution starting at zero."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(GROUPS, channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm2 = nn.GroupNorm(GROUPS, channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.conv2.weight)
        nn.init.zeros_(self.conv2.bias)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))  # (B, C, H, W)
        return x + self.conv2(F.silu(self.norm2(h)))  # (B, C, H, W)


def _residual_encoder(channels: tuple[int, ...], blocks: int) -> nn.Sequential:
    first, *_, last = channels
    layers: list[nn.Module] = [
        nn.PixelUnshuffle(2),  # (B, 12, 16, 16)
        nn.Conv2d(4 * PICTURE_SHAPE[0], first, 3, padding=1),
    ]
    for level, width in enumerate(channels):  # 16 -> 8 -> 4 pixels
        if level:
            layers.append(nn.Conv2d(channels[level - 1], width, 4, stride=2, padding=1))
        layers += [ResidualBlock(width) for _ in range(blocks)]
    return nn.Sequential(*layers, nn.GroupNorm(GROUPS, last), nn.SiLU(), nn.Flatten())


def _residual_decoder(channels: tuple[int, ...], blocks: int, latent_dim: int) -> nn.Sequential:
    first, *_, last = channels
    layers: list[nn.Module] = [
        nn.Linear(latent_dim, last * 16),
        nn.Unflatten(1, (last, 4, 4)),
    ]
    for level in reversed(range(len(channels))):  # 4 -> 8 -> 16 pixels
        layers += [ResidualBlock(channels[level]) for _ in range(blocks)]
        if level:
            layers += [
                nn.Upsample(scale_factor=2, mode="nearest"),
                nn.Conv2d(channels[level], channels[level - 1], 3, padding=1),
            ]
    return nn.Sequential(
        *layers,
        nn.GroupNorm(GROUPS, first),
        nn.SiLU(),
        nn.Conv2d(first, 4 * PICTURE_SHAPE[0], 3, padding=1),  # (B, 12, 16, 16)
        nn.PixelShuffle(2),  # (B, 3, 32, 32)
    )


class VAE(nn.Module):
    """Encoder q(z|x), decoder p(x|z) and what can be asked of the two together."""

    def __init__(self, config: VAEConfig = DEFAULT) -> None:
        super().__init__()
        self.config = config
        if config.architecture == "homework":
            self.encoder = _homework_encoder(config.channels)
            features = config.channels[-1] * 4
            self.decoder = _homework_decoder(config.channels, config.latent_dim)
        else:
            self.encoder = _residual_encoder(config.channels, config.blocks)
            features = config.channels[-1] * 16
            self.decoder = _residual_decoder(config.channels, config.blocks, config.latent_dim)
        self.mean = nn.Linear(features, config.latent_dim)
        self.logvar = nn.Linear(features, config.latent_dim)

    def encode(self, x: Tensor) -> DiagonalGaussianDistribution:
        """q(z|x) for pictures (B, 3, 32, 32) in [-1, 1]: mean and logvar are (B, d)."""
        if x.ndim != 4 or tuple(x.shape[1:]) != PICTURE_SHAPE:
            raise ValueError(f"x must be (B, 3, 32, 32), got {tuple(x.shape)}")
        features = self.encoder(x)  # (B, features)
        return DiagonalGaussianDistribution(self.mean(features), self.logvar(features))

    def decode(self, z: Tensor) -> DiagonalGaussianDistribution:
        """p(x|z) = N(mu_theta(z), I) for z (B, d): its mean is (B, 3, 32, 32)."""
        if z.ndim != 2 or z.shape[1] != self.config.latent_dim:
            raise ValueError(f"z must be (B, {self.config.latent_dim}), got {tuple(z.shape)}")
        return DiagonalGaussianDistribution(self.decoder(z))

    def sample(
        self,
        batch_size: int,
        *,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Mode of p(x|z) for z ~ N(0, temperature^2 I): (batch_size, 3, 32, 32).

        ``temperature`` 1 is the prior itself; below 1 stays near its centre.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        if not temperature >= 0:
            raise ValueError(f"temperature must be 0 or more, got {temperature}")
        weight = self.mean.weight
        z = torch.randn(
            batch_size,
            self.config.latent_dim,
            generator=generator,
            device=weight.device,
            dtype=weight.dtype,
        )
        return self.decode(temperature * z).mode()

    def forward(
        self, x: Tensor, *, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """One draw of z: (reconstruction (B, 3, 32, 32), nll (B,), kl (B,)), nats.

        ``nll + kl`` is the negative evidence lower bound (ELBO) of one draw.
        """
        posterior = self.encode(x)
        likelihood = self.decode(posterior.sample(generator))
        return likelihood.mode(), likelihood.nll(x), posterior.kl()

    @torch.no_grad()
    def log_importance_weights(
        self,
        x: Tensor,
        K: int,
        *,
        chunk: int = 256,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """log p(x, z_k) - log q(z_k|x) for K draws z_k ~ q(z|x): (B, K), nats.

        Decodes at most ``chunk`` latents at a time, so that memory does not grow with B * K
        pictures. The draws are the same whatever ``chunk``.
        """
        if K < 1:
            raise ValueError(f"K must be at least 1, got {K}")
        if chunk < 1:
            raise ValueError(f"chunk must be at least 1, got {chunk}")
        posterior = self.encode(x)
        batch, d = posterior.mean.shape
        log_w = torch.empty(batch, K, device=x.device, dtype=posterior.mean.dtype)
        pictures_at_once = max(1, chunk // K)
        for first in range(0, batch, pictures_at_once):
            rows = range(first, min(first + pictures_at_once, batch))
            eps = torch.cat(  # (n * K, d), each picture's draws by themselves
                [
                    torch.randn(K, d, generator=generator, device=x.device, dtype=log_w.dtype)
                    for _ in rows
                ]
            )
            row = torch.arange(first, rows.stop, device=x.device).repeat_interleave(K)  # (n * K,)
            parts = [
                self._log_weights(x, posterior, *part)
                for part in zip(row.split(chunk), eps.split(chunk), strict=True)
            ]
            log_w[first : rows.stop] = torch.cat(parts).view(-1, K)
        return log_w

    def _log_weights(
        self, x: Tensor, posterior: DiagonalGaussianDistribution, row: Tensor, eps: Tensor
    ) -> Tensor:
        """log p(x, z) - log q(z|x) for z = mean + std * eps of the pictures ``row``: (n,)."""
        q = DiagonalGaussianDistribution(posterior.mean[row], posterior.logvar[row])
        z = q.mean + q.std * eps  # (n, d)
        prior = DiagonalGaussianDistribution(torch.zeros_like(z))
        return q.nll(z) - prior.nll(z) - self.decode(z).nll(x[row])

    def log_likelihood(
        self,
        x: Tensor,
        K: int,
        *,
        chunk: int = 256,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Importance-sampled log p(x) in nats, (B,): Burda et al. 2016, equation 8.

        log 1/K sum_k p(x, z_k) / q(z_k|x), by log-sum-exp. In expectation a lower bound of
        log p(x) that rises with K; K = 1 is the ELBO.
        """
        return importance_weighted_bound(
            self.log_importance_weights(x, K, chunk=chunk, generator=generator)
        )

    @classmethod
    def from_pretrained(cls, folder_or_repo: str | Path, *, revision: str | None = None) -> VAE:
        """The VAE of a bundle: a local folder, or a Hub repository ``user/name`` at ``revision``.

        In eval mode, float32, on the CPU. Raises ``AtelierError`` when the bundle is missing,
        damaged, or of another family.
        """
        return cls.from_bundle(
            open_bundle(folder_or_repo, networks={"vae": build_network}, revision=revision)
        )

    @classmethod
    def from_bundle(cls, bundle: Bundle) -> VAE:
        """The VAE of a bundle that is open already, and verified where it came with hashes.

        Raises ``AtelierError`` ``bundle-config`` and ``bundle-weights``.
        """
        try:
            model = cls(VAEConfig(**bundle.config["architecture"]))
        except (TypeError, ValueError) as error:
            raise unusable(bundle.name, "architecture") from error
        load_weights(model, bundle)
        return model.eval()

    def architecture(self) -> dict[str, object]:
        """The configuration as plain values, for a bundle's ``config.json``."""
        return {**asdict(self.config), "channels": list(self.config.channels)}


def build_network(architecture: dict) -> VAE:
    """The untrained network that ``architecture`` of a ``config.json`` describes."""
    return VAE(VAEConfig(**architecture))


# ---------------------------------------------------------------- bounds


def importance_weighted_bound(log_w: Tensor) -> Tensor:
    """log-mean-exp over the last dimension of log weights (..., K): (...), nats."""
    return torch.logsumexp(log_w, dim=-1) - math.log(log_w.shape[-1])


def effective_sample_size(log_w: Tensor) -> Tensor:
    """(sum w)^2 / sum w^2 over the last dimension of log weights (..., K): (...), 1 to K.

    K: every draw counts alike, q(z|x) is the true posterior. 1: one draw decides everything, and
    the bound is still far below log p(x). Kong 1992; Owen 2013, section 9.3.
    """
    return torch.exp(2 * torch.logsumexp(log_w, dim=-1) - torch.logsumexp(2 * log_w, dim=-1))


def bits_per_dimension(nll: Tensor | float) -> Tensor | float:
    """Nats of a picture in [-1, 1] as bits per 8-bit channel value.

    nll / (3072 ln 2) + log2(127.5): the second term changes the unit from [-1, 1] to 0..255.
    Never below 8.32 with a unit-variance likelihood.
    """
    return nll / (PICTURE_DIMENSIONS * math.log(2)) + math.log2(127.5)


# ---------------------------------------------------------------- the latent space


def active_units(mean: Tensor, threshold: float = ACTIVE_VARIANCE) -> Tensor:
    """Which units the encoder uses: variance over pictures of E[z_u|x] above ``threshold``.

    ``mean`` is (N, d), one row a picture; the result is a boolean (d,). Burda et al. 2016,
    section 5.2, with their threshold.
    """
    if mean.ndim != 2 or len(mean) < 2:
        raise ValueError(f"mean must be (N, d) with N at least 2, got {tuple(mean.shape)}")
    return mean.var(dim=0) > threshold


def interpolate_latents(
    z_1: Tensor, z_2: Tensor, n_samples: int, kind: Interpolation = "linear"
) -> Tensor:
    """``n_samples`` points from z_1 to z_2, both included: (n_samples, d) for two (d,).

    ``linear``: (1 - w) z_1 + w z_2. ``spherical``: the direction turns evenly along the great
    circle between the ends (Shoemake 1985) and the length goes evenly from one end's to the
    other's, so that two draws of a high-dimensional normal, of nearly equal length, are joined by
    points of that length (White 2016, arXiv:1609.04468). For ends that point the same or the
    opposite way, or an end at the origin, the straight line is taken.
    """
    if z_1.shape != z_2.shape or z_1.ndim != 1:
        raise ValueError(
            f"z_1 and z_2 must be two (d,), got {tuple(z_1.shape)} and {tuple(z_2.shape)}"
        )
    if n_samples < 2:
        raise ValueError(f"n_samples must be at least 2, got {n_samples}")
    if kind not in get_args(Interpolation):
        raise ValueError(f"kind must be one of {get_args(Interpolation)}, got {kind!r}")
    w = torch.linspace(0, 1, n_samples, device=z_1.device, dtype=z_1.dtype)[:, None]
    straight = (1 - w) * z_1 + w * z_2
    if kind == "linear":
        return straight
    length_1, length_2 = z_1.norm(), z_2.norm()
    if min(length_1, length_2) == 0:
        return straight
    angle = torch.arccos(F.cosine_similarity(z_1, z_2, dim=0).clamp(-1, 1))
    if torch.sin(angle) < 1e-4:
        return straight
    turned = torch.sin((1 - w) * angle) * z_1 / length_1 + torch.sin(w * angle) * z_2 / length_2
    path = turned / torch.sin(angle) * ((1 - w) * length_1 + w * length_2)
    path[0], path[-1] = z_1, z_2
    return path


@torch.no_grad()
def interpolate(
    model: VAE, z_1: Tensor, z_2: Tensor, n_samples: int, kind: Interpolation = "linear"
) -> Tensor:
    """Pictures along the way from z_1 to z_2, both included: (n_samples, 3, 32, 32)."""
    return model.decode(interpolate_latents(z_1, z_2, n_samples, kind)).mode()
