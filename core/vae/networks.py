"""Encoders and decoders of the VAE, and the configuration that says which."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Literal, get_args

from torch import Tensor, nn
from torch.nn import functional as F

from core import checks

PICTURE_SHAPE = (3, 32, 32)
PICTURE_DIMENSIONS = math.prod(PICTURE_SHAPE)
Architecture = Literal["homework", "residual"]


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
