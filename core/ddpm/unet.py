"""The U-Net that guesses the noise in x_t: two architectures behind one interface.

``homework`` is the assignment's: blocks of convolution, GroupNorm and SiLU at 32-16-8-4 pixels,
linear attention at each resolution. ``unshuffle`` is the app's own: it works on 2 x 2 blocks of
pixels from the first layer on (16-8-4 pixels), and pays for attention only where pictures are
small. Shapes below are those of the default preset.

Sources: Ronneberger, Fischer & Brox 2015 (arXiv:1505.04597) for the shape; Ho, Jain & Abbeel 2020
(arXiv:2006.11239), appendix B, for blocks that know t; Shen et al. 2018 (arXiv:1812.01243) for linear
attention; Dhariwal & Nichol 2021 (arXiv:2105.05233) for scale and shift by t; Shi et al. 2016
(arXiv:1609.05158) for the pixel shuffle.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Architecture = Literal["homework", "unshuffle"]
Tap = Callable[[str, Tensor], None]
"""Is shown every named layer's output (B, C, H, W) as it is computed."""

PICTURE_CHANNELS = 3
GROUPS = 8
HEADS, HEAD_WIDTH = 4, 32
MAX_WIDTH, MAX_TIME_WIDTH = 512, 1024
"""A bundle from elsewhere cannot ask for more memory than a small machine has."""


@dataclass(frozen=True)
class UNetConfig:
    """Architecture of a ``UNet``.

    ``channels``: width of each resolution, finest first: 32-16-8-4 pixels for ``homework``, 16-8-4
    for ``unshuffle``. ``time_width``: length of the vector that tells the blocks t. ``attention``:
    for ``unshuffle``, whether each resolution attends; ``homework`` attends everywhere.
    """

    architecture: Architecture = "unshuffle"
    channels: tuple[int, ...] = (64, 96, 120)
    time_width: int = 128
    attention: tuple[bool, ...] = (False, True, True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "channels", tuple(self.channels))
        object.__setattr__(self, "attention", tuple(self.attention))
        if self.architecture not in get_args(Architecture):
            raise ValueError(
                f"architecture must be one of {get_args(Architecture)}, got {self.architecture!r}"
            )
        levels = 4 if self.architecture == "homework" else 3
        if len(self.channels) != levels or any(
            not isinstance(c, int) or c < GROUPS or c % GROUPS for c in self.channels
        ):
            raise ValueError(
                f"channels of {self.architecture} must be {levels} multiples of {GROUPS},"
                f" got {self.channels}"
            )
        if max(self.channels) > MAX_WIDTH:
            raise ValueError(f"channels must be at most {MAX_WIDTH}, got {self.channels}")
        wide = isinstance(self.time_width, int) and 8 <= self.time_width <= MAX_TIME_WIDTH
        if not wide or self.time_width % 8:
            raise ValueError(
                f"time_width must be a multiple of 8 up to {MAX_TIME_WIDTH}, got {self.time_width}"
            )
        told = all(isinstance(yes, bool) for yes in self.attention)
        if len(self.attention) != levels or not told:
            raise ValueError(f"attention must be {levels} yes or no, got {self.attention}")

    def plain(self) -> dict[str, object]:
        """As plain values, for a bundle's ``config.json``."""
        return {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in asdict(self).items()
        }


HOMEWORK = UNetConfig("homework", channels=(32, 64, 128, 256), attention=(True, True, True, True))
DEFAULT = UNetConfig()
PRESETS: dict[str, UNetConfig] = {"default": DEFAULT, "homework": HOMEWORK}


# ---------------------------------------------------------------- time


def sinusoidal(t: Tensor, width: int) -> Tensor:
    """sin and cos of t at ``width``/2 wavelengths from 2 pi to 20,000 pi: (B,) to (B, width).

    Vaswani et al. 2017 (arXiv:1706.03762), section 3.5.
    """
    half = width // 2
    rates = torch.exp(-math.log(10_000) * torch.arange(half, device=t.device) / (half - 1))
    angles = t.float()[:, None] * rates  # (B, width / 2)
    return torch.cat([angles.sin(), angles.cos()], dim=1)


class TimeEmbedding(nn.Module):
    """t (B,) to the vector (B, out) that every block is told."""

    def __init__(self, waves: int, out: int) -> None:
        super().__init__()
        self.waves = waves
        self.layers = nn.Sequential(nn.Linear(waves, out), nn.GELU(), nn.Linear(out, out))

    def forward(self, t: Tensor) -> Tensor:
        weight = self.layers[0].weight
        return self.layers(sinusoidal(t, self.waves).to(weight.dtype))


# ---------------------------------------------------------------- blocks of the default


class Block(nn.Module):
    """skip(x) + conv(act(norm(conv(act(norm(x)))) (1 + scale) + shift)), scale and shift by t.

    The second convolution starts at zero, so that a block starts as its skip.
    """

    def __init__(self, channels_in: int, channels: int, time_width: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(GROUPS, channels_in)
        self.conv1 = nn.Conv2d(channels_in, channels, 3, padding=1)
        self.time = nn.Linear(time_width, 2 * channels)
        self.norm2 = nn.GroupNorm(GROUPS, channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        same = channels_in == channels
        self.skip = nn.Identity() if same else nn.Conv2d(channels_in, channels, 1)
        nn.init.zeros_(self.conv2.weight)
        nn.init.zeros_(self.conv2.bias)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        scale, shift = self.time(F.silu(time))[:, :, None, None].chunk(2, dim=1)  # (B, C, 1, 1)
        h = self.norm2(self.conv1(F.silu(self.norm1(x))))  # (B, C, H, W)
        return self.skip(x) + self.conv2(F.silu(torch.addcmul(shift, h, 1 + scale)))


class Attention(nn.Module):
    """x + softmax attention between all places of (B, C, H, W), in 4 heads, from zero."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(GROUPS, channels)
        self.query_key_value = nn.Conv2d(channels, 3 * channels, 1)
        self.out = nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor) -> Tensor:
        B, C, H, W = x.shape
        mixed = self.query_key_value(self.norm(x)).flatten(2)  # (B, 3 C, H W)
        split = mixed.view(B, 3, HEADS, C // HEADS, H * W).transpose(3, 4)  # (B, 3, 4, H W, C / 4)
        query, key, value = split.unbind(dim=1)
        attended = F.scaled_dot_product_attention(query, key, value)  # (B, 4, H W, C / 4)
        return x + self.out(attended.transpose(2, 3).reshape(B, C, H, W))


class Upsample(nn.Module):
    """Twice the side by repeating pixels, then a convolution."""

    def __init__(self, channels_in: int, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.interpolate(x, scale_factor=2, mode="nearest"))


class UnshuffleStem(nn.Module):
    """(B, 3, 32, 32) to (B, C, 16, 16): each 2 x 2 block of pixels becomes 12 channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4 * PICTURE_CHANNELS, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        blocks = F.pixel_unshuffle(x, 2)  # (B, 12, 16, 16)
        return self.conv(blocks.contiguous(memory_format=torch.channels_last))


class ShuffleHead(nn.Module):
    """(B, C, 16, 16) to (B, 3, 32, 32), the way back of the stem; it starts at zero."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(GROUPS, channels)
        self.conv = nn.Conv2d(channels, 4 * PICTURE_CHANNELS, 3, padding=1)
        nn.init.zeros_(self.conv.weight)
        nn.init.zeros_(self.conv.bias)

    def forward(self, x: Tensor, _time: Tensor) -> Tensor:
        return F.pixel_shuffle(self.conv(F.silu(self.norm(x))), 2)


# ---------------------------------------------------------------- blocks of the homework network


class HomeworkBlock(nn.Module):
    """Twice convolution, norm and SiLU, with t added in between, next to a skip."""

    def __init__(self, channels_in: int, channels: int, time_width: int | None) -> None:
        super().__init__()
        self.time = None if time_width is None else nn.Linear(time_width, channels)
        self.conv1 = nn.Conv2d(channels_in, channels, 3, padding=1)
        self.norm1 = nn.GroupNorm(GROUPS, channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm2 = nn.GroupNorm(GROUPS, channels)
        same = channels_in == channels
        self.skip = nn.Identity() if same else nn.Conv2d(channels_in, channels, 1)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        h = F.silu(self.norm1(self.conv1(x)))  # (B, C, H, W)
        if self.time is not None:
            h = h + self.time(F.silu(time))[:, :, None, None]
        return self.skip(x) + F.silu(self.norm2(self.conv2(h)))


class LinearAttention(nn.Module):
    """x + attention whose cost grows with the number of places, not with its square.

    The softmax is taken over places for keys and over channels for queries, so that keys meet
    values first: a (32, 32) table a head.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(1, channels)
        self.query_key_value = nn.Conv2d(channels, 3 * HEADS * HEAD_WIDTH, 1, bias=False)
        self.out = nn.Sequential(
            nn.Conv2d(HEADS * HEAD_WIDTH, channels, 1), nn.GroupNorm(1, channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        B, _C, H, W = x.shape
        mixed = self.query_key_value(self.norm(x)).flatten(2)  # (B, 384, H W)
        query, key, value = mixed.view(B, 3, HEADS, HEAD_WIDTH, H * W).unbind(dim=1)
        query, key = query.softmax(dim=2) * HEAD_WIDTH**-0.5, key.softmax(dim=3)
        table = key @ value.transpose(2, 3)  # (B, 4, 32, 32)
        attended = table.transpose(2, 3) @ query  # (B, 4, 32, H W)
        return x + self.out(attended.reshape(B, HEADS * HEAD_WIDTH, H, W))


class HomeworkAttention(nn.Module):
    """x + softmax attention in 4 heads of 32 channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(1, channels)
        self.query_key_value = nn.Conv2d(channels, 3 * HEADS * HEAD_WIDTH, 1, bias=False)
        self.out = nn.Conv2d(HEADS * HEAD_WIDTH, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        B, _C, H, W = x.shape
        mixed = self.query_key_value(self.norm(x)).flatten(2)  # (B, 384, H W)
        split = mixed.view(B, 3, HEADS, HEAD_WIDTH, H * W).transpose(3, 4)
        query, key, value = split.unbind(dim=1)
        attended = F.scaled_dot_product_attention(query, key, value)  # (B, 4, H W, 32)
        return x + self.out(attended.transpose(2, 3).reshape(B, HEADS * HEAD_WIDTH, H, W))


class HomeworkHead(nn.Module):
    """One more block, without t, and the colours."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.block = HomeworkBlock(channels, channels, None)
        self.conv = nn.Conv2d(channels, PICTURE_CHANNELS, 1)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        return self.conv(self.block(x, time))


# ---------------------------------------------------------------- the network


class Level(nn.Module):
    """One resolution on the way down or up: blocks, attention, and the way to the next."""

    def __init__(self, blocks: list[nn.Module], attention: nn.Module, resize: nn.Module) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.attention = attention
        self.resize = resize

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x, time)
        return self.attention(x)


class UNet(nn.Module):
    """eps_theta(x_t, t): the noise in a picture, from the picture and its level of noise."""

    def __init__(self, config: UNetConfig = DEFAULT) -> None:
        super().__init__()
        self.config = config
        if config.architecture == "homework":
            self._build_homework(config.channels, config.time_width)
        else:
            self._build_unshuffle(config)

    def _build_homework(self, channels: tuple[int, ...], time_width: int) -> None:
        width = channels[0]
        stem = width // 3 * 2
        self.time = TimeEmbedding(width, time_width)
        self.stem = nn.Conv2d(PICTURE_CHANNELS, stem, 7, padding=3)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        last = len(channels) - 1
        for index, c in enumerate(channels):  # 32 -> 16 -> 8 -> 4 pixels
            c_in = channels[index - 1] if index else stem
            blocks = [HomeworkBlock(c_in, c, time_width), HomeworkBlock(c, c, time_width)]
            resize = nn.Conv2d(c, c, 4, stride=2, padding=1) if index < last else nn.Identity()
            self.down.append(Level(blocks, LinearAttention(c), resize))
        c = channels[-1]
        blocks = [HomeworkBlock(c, c, time_width) for _ in range(2)]
        self.middle = nn.ModuleList([blocks[0], HomeworkAttention(c), blocks[1]])
        for index in range(last, 0, -1):  # 4 -> 8 -> 16 -> 32 pixels
            c, c_out = channels[index], channels[index - 1]
            blocks = [
                HomeworkBlock(2 * c, c_out, time_width),
                HomeworkBlock(c_out, c_out, time_width),
            ]
            resize = nn.ConvTranspose2d(c_out, c_out, 4, stride=2, padding=1)
            self.up.append(Level(blocks, LinearAttention(c_out), resize))
        self.head = HomeworkHead(width)

    def _build_unshuffle(self, config: UNetConfig) -> None:
        channels, time_width = config.channels, config.time_width

        def attention(index: int) -> nn.Module:
            return Attention(channels[index]) if config.attention[index] else nn.Identity()

        self.time = TimeEmbedding(64, time_width)
        self.stem = UnshuffleStem(channels[0])
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        last = len(channels) - 1
        for index, c in enumerate(channels):  # 16 -> 8 -> 4 pixels
            resize: nn.Module = nn.Identity()
            if index < last:
                resize = nn.Conv2d(c, channels[index + 1], 3, stride=2, padding=1)
            self.down.append(Level([Block(c, c, time_width)], attention(index), resize))
        c = channels[-1]
        blocks = [Block(c, c, time_width) for _ in range(2)]
        self.middle = nn.ModuleList([blocks[0], Attention(c), blocks[1]])
        for index in range(last, -1, -1):  # 4 -> 8 -> 16 pixels
            c = channels[index]
            resize = Upsample(c, channels[index - 1]) if index else nn.Identity()
            self.up.append(Level([Block(2 * c, c, time_width)], attention(index), resize))
        self.head = ShuffleHead(channels[0])

    def forward(self, x: Tensor, t: Tensor, tap: Tap | None = None) -> Tensor:
        """eps_hat, the shape of ``x`` (B, 3, 32, 32), for levels ``t`` (B,) from 0.

        ``tap`` is shown every layer of ``layers()`` by name.
        """
        if x.ndim != 4 or tuple(x.shape[1:]) != (PICTURE_CHANNELS, 32, 32):
            raise ValueError(f"x must be (B, 3, 32, 32), got {tuple(x.shape)}")
        if t.shape != x.shape[:1]:  # len(x) would bind an exported graph to one batch size
            raise ValueError(f"t must be ({len(x)},), got {tuple(t.shape)}")
        show = tap or (lambda _name, _features: None)
        time = self.time(t)  # (B, time_width)
        h = self.stem(x)
        show("stem", h)
        skips = []
        for name, level in zip(self._down_names(), self.down, strict=True):
            h = level(h, time)
            show(name, h)
            skips.append(h)
            h = level.resize(h)
        first, attention, second = self.middle
        h = second(attention(first(h, time)), time)
        show("middle", h)
        for name, level in zip(self._up_names(), self.up, strict=True):
            h = level(torch.cat([h, skips.pop()], dim=1), time)
            show(name, h)
            h = level.resize(h)
        return self.head(h, time)

    def _down_names(self) -> list[str]:
        return [f"down {self._side(index)}" for index in range(len(self.down))]

    def _up_names(self) -> list[str]:
        last = len(self.down) - 1
        return [f"up {self._side(last - index)}" for index in range(len(self.up))]

    def _side(self, index: int) -> int:
        finest = 32 if self.config.architecture == "homework" else 16
        return finest // 2**index

    def layers(self) -> tuple[str, ...]:
        """Names of what ``tap`` is shown, in order; the number is the side in pixels."""
        return ("stem", *self._down_names(), "middle", *self._up_names())
