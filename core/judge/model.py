"""The judge: a small classifier of house-number digits, calibrated, and asked about pictures.

Notation, the same in code, pages and figures:

| name          | symbol | shape   | range and meaning                                             |
|---------------|--------|---------|---------------------------------------------------------------|
| ``logits``    |        | (B, 10) | before the softmax, divided by the temperature                |
| ``p``         | p      | (B, 10) | probabilities; calibrated: of answers given with p, p are right |
| ``features``  | f      | (B, d)  | mean over places of the last layer, from which it answers     |

It says how sure one may be that a picture holds a digit, and which. It is no authority: its
accuracy and its calibration error stand in its card.

Sources: He et al. 2016 (arXiv:1603.05027) for the blocks; Guo et al. 2017 (arXiv:1706.04599) for
the temperature.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn, ones
from torch.nn import functional as F

from core import checks
from core.bundles.bundle import Bundle, unusable
from core.bundles.opening import open_bundle
from core.bundles.weights import load_weights
from core.pictures.images import SIZE

CLASSES = 10
SURE = 0.9
"""The judge is sure of a digit where its probability is at least this."""


@dataclass(frozen=True)
class JudgeConfig:
    """Architecture: widths at 32, 16 and 8 pixels, and residual blocks at each."""

    channels: tuple[int, ...] = (24, 64, 112)
    blocks: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "channels", tuple(self.channels))
        if len(self.channels) != 3 or any(
            not isinstance(width, int) or not 1 <= width <= 1024 for width in self.channels
        ):
            raise ValueError(f"channels must be 3 widths from 1 to 1024, got {self.channels}")
        checks.whole("blocks", self.blocks, 1, 8)

    def plain(self) -> dict[str, object]:
        """The configuration as plain values; ``JudgeConfig(**plain)`` reads it back."""
        return {"channels": list(self.channels), "blocks": self.blocks}


PRESETS = {"default": JudgeConfig()}


class Residual(nn.Module):
    """skip(a) + conv(relu(norm(conv(a)))), a = relu(norm(x)): a pre-activation block."""

    def __init__(self, channels_in: int, channels: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(channels_in)
        self.conv1 = nn.Conv2d(channels_in, channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        same = channels_in == channels
        self.skip = nn.Identity() if same else nn.Conv2d(channels_in, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        a = F.relu(self.norm1(x))
        return self.skip(a) + self.conv2(F.relu(self.norm2(self.conv1(a))))


class Judge(nn.Module):
    """Digits in pictures (B, 3, 32, 32) in [-1, 1]."""

    def __init__(self, config: JudgeConfig | None = None) -> None:
        super().__init__()
        self.config = config or JudgeConfig()
        width = self.config.channels[0]
        layers: list[nn.Module] = [nn.Conv2d(3, width, 3, padding=1, bias=False)]  # (B, C, 32, 32)
        for place, channels in enumerate(self.config.channels):  # 32, 16, 8 pixels
            if place > 0:
                layers.append(nn.AvgPool2d(2))
            layers.append(Residual(width, channels))
            layers += [Residual(channels, channels) for _ in range(self.config.blocks - 1)]
            width = channels
        self.layers = nn.Sequential(*layers, nn.BatchNorm2d(width), nn.ReLU())
        self.answer = nn.Linear(width, CLASSES)
        self.register_buffer("temperature", ones(()))

    def features(self, x: Tensor) -> Tensor:
        """What the answer is read from, (B, d), 0 or more."""
        if x.ndim != 4 or tuple(x.shape[1:]) != (3, SIZE, SIZE):
            raise ValueError(f"x must be (B, 3, {SIZE}, {SIZE}), got {tuple(x.shape)}")
        return self.layers(x).mean(dim=(2, 3))  # (B, d, 8, 8) -> (B, d)

    def logits(self, features: Tensor) -> Tensor:
        """The calibrated answer from features (B, d): (B, 10)."""
        return self.answer(features) / self.temperature

    def forward(self, x: Tensor) -> Tensor:
        """Calibrated logits, (B, 10)."""
        return self.logits(self.features(x))

    @classmethod
    def from_pretrained(cls, folder_or_repo: str | Path, *, revision: str | None = None) -> Judge:
        """The judge of a bundle: a folder, or a Hub repository at ``revision``.

        In eval mode, float32, on the CPU. Raises ``AtelierError`` when the bundle is missing,
        damaged, or of another family.
        """
        return cls.from_bundle(
            open_bundle(folder_or_repo, networks={"judge": build_network}, revision=revision)
        )

    @classmethod
    def from_bundle(cls, bundle: Bundle) -> Judge:
        """The judge of a bundle that is open already, and verified where it came with hashes.

        Raises ``AtelierError`` ``bundle-config`` and ``bundle-weights``.
        """
        try:
            model = cls(JudgeConfig(**bundle.config["architecture"]))
        except (TypeError, ValueError) as error:
            raise unusable(bundle.place, "architecture") from error
        load_weights(model, bundle)
        return model.eval()


def build_network(architecture: dict) -> Judge:
    """The untrained network that ``architecture`` of a ``config.json`` describes."""
    return Judge(JudgeConfig(**architecture))
