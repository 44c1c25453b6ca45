"""The judge: a small classifier of house-number digits, calibrated, and what it is asked.

Notation, the same in code, pages and figures:

| name          | symbol | shape   | range and meaning                                              |
|---------------|--------|---------|----------------------------------------------------------------|
| ``logits``    |        | (B, 10) | before the softmax, divided by the temperature                 |
| ``p``         | p      | (B, 10) | probabilities; calibrated: of answers given with p, p are right |
| ``features``  | f      | (B, d)  | mean over places of the last layer, before the answer          |

It says how sure one may be that a picture holds a digit, and which; it is no authority: its own
accuracy and calibration error stand in its card.

Sources: He et al. 2016 (arXiv:1603.05027) for the blocks; Guo et al. 2017 (arXiv:1706.04599) for
temperature scaling and the expected calibration error.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.bundle import Bundle, load_weights, open_bundle, unusable

CLASSES = 10
SURE = 0.9
"""The judge is sure of a digit where its probability is at least this."""


@dataclass(frozen=True)
class JudgeConfig:
    """Architecture: width of each resolution (16-8-4 pixels) and residual blocks at each."""

    channels: tuple[int, ...] = (32, 64, 96)
    blocks: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "channels", tuple(self.channels))
        if len(self.channels) != 3 or any(not 1 <= c <= 1024 for c in self.channels):
            raise ValueError(f"channels must be 3 widths from 1 to 1024, got {self.channels}")
        if not 1 <= self.blocks <= 8:
            raise ValueError(f"blocks must be 1 to 8, got {self.blocks}")

    def plain(self) -> dict[str, object]:
        """The configuration as plain values; ``JudgeConfig(**plain)`` reads it back."""
        return {"channels": list(self.channels), "blocks": self.blocks}


PRESETS = {"default": JudgeConfig()}


class Residual(nn.Module):
    """skip(x) + conv(act(norm(conv(act(norm(x)))))), with BatchNorm."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(channels_in)
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        same = channels_in == channels and stride == 1
        self.skip = (
            nn.Identity() if same else nn.Conv2d(channels_in, channels, 1, stride, bias=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.norm1(x))
        return self.skip(h) + self.conv2(F.relu(self.norm2(self.conv1(h))))


class Judge(nn.Module):
    """Digits in pictures (B, 3, 32, 32) in [-1, 1]."""

    def __init__(self, config: JudgeConfig | None = None) -> None:
        super().__init__()
        self.config = config or JudgeConfig()
        first, *_rest = self.config.channels
        layers: list[nn.Module] = [nn.Conv2d(3, first, 3, padding=1, bias=False)]
        width = first
        for channels in self.config.channels:  # 16 -> 8 -> 4 pixels
            layers.append(Residual(width, channels, stride=2))
            layers += [Residual(channels, channels, 1) for _ in range(self.config.blocks - 1)]
            width = channels
        self.layers = nn.Sequential(*layers, nn.BatchNorm2d(width), nn.ReLU())
        self.answer = nn.Linear(width, CLASSES)
        self.register_buffer("temperature", torch.ones(()))

    def features(self, x: Tensor) -> Tensor:
        """What the answer is read from, (B, d)."""
        if x.ndim != 4 or tuple(x.shape[1:]) != (3, 32, 32):
            raise ValueError(f"x must be (B, 3, 32, 32), got {tuple(x.shape)}")
        return self.layers(x).mean(dim=(2, 3))

    def forward(self, x: Tensor) -> Tensor:
        """Calibrated logits, (B, 10)."""
        return self.answer(self.features(x)) / self.temperature

    def probabilities(self, x: Tensor) -> Tensor:
        """p (B, 10), each row sums to 1."""
        return self(x).softmax(dim=1)

    @classmethod
    def from_pretrained(cls, folder_or_repo: str | Path, *, revision: str | None = None) -> Judge:
        """The judge of a bundle; eval mode, float32, CPU. Raises ``AtelierError``."""
        return cls.from_bundle(open_bundle(folder_or_repo, revision=revision, family="judge"))

    @classmethod
    def from_bundle(cls, bundle: Bundle) -> Judge:
        """The judge of an open bundle; raises ``AtelierError`` ``bundle-config``, ``bundle-weights``."""
        try:
            config = JudgeConfig(**bundle.config["architecture"])
        except (TypeError, ValueError) as error:
            raise unusable(bundle, "architecture") from error
        model = cls(config)
        load_weights(model, bundle)
        return model.eval()

    def architecture(self) -> dict[str, object]:
        return {**asdict(self.config), "channels": list(self.config.channels)}


def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """The temperature that minimises the cross-entropy of logits (N, 10): Guo et al. 2017, 4.2.

    One-dimensional and unimodal in log temperature: golden-section search over [1/20, 20].
    """

    def loss(log_temperature: float) -> float:
        return float(F.cross_entropy(logits.double() / np.exp(log_temperature), labels))

    low, high, ratio = np.log(0.05), np.log(20.0), (np.sqrt(5) - 1) / 2
    for _step in range(80):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        low, high = (low, right) if loss(left) < loss(right) else (left, high)
    return float(np.exp((low + high) / 2))


def calibration_error(p: np.ndarray, labels: np.ndarray, bins: int = 15) -> float:
    """Expected calibration error of probabilities (N, C): Guo et al. 2017, equation 3; 0 to 1."""
    sure, right = p.max(axis=1), p.argmax(axis=1) == labels
    place = np.minimum((sure * bins).astype(int), bins - 1)
    gaps = [
        (place == b).mean() * abs(right[place == b].mean() - sure[place == b].mean())
        for b in range(bins)
        if (place == b).any()
    ]
    return float(np.sum(gaps))
