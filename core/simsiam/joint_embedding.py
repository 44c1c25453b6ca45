"""The parts that SimSiam and its siblings are made of: backbone, projector, predictor, outputs.

Notation, the same in code, pages and figures:

| name     | symbol | shape   | meaning                                                            |
|----------|--------|---------|--------------------------------------------------------------------|
| ``x1``   | x1     | (B, 3, 32, 32) | one view of every picture, in [-1, 1]; ``x2`` another one   |
| ``h``    | h      | (B, 8w) | backbone features, before the projector: what is kept in the end   |
| ``z1``   | z1     | (B, d)  | the projector's output                                             |
| ``p1``   | p1     | (B, d)  | the predictor's output; z1 itself where there is no predictor      |
| ``w``    | w      |         | width of the backbone: channels of its first stage                 |
| ``d``    | d      |         | dimension of z and p                                               |

Every method here is a network whose ``views_loss(x1, x2)`` gives its loss and its ``Outputs``.

Sources: He et al. 2016 (arXiv:1512.03385) for the backbone; Chen & He 2021 (arXiv:2011.10566) for
projector and predictor.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from typing import ClassVar, Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx
from torch.nn import functional as F

from core import checks
from core.pictures.images import SIZE

Stem = Literal["small", "strided", "imagenet"]
STEMS: tuple[Stem, ...] = get_args(Stem)
STAGES = (1, 2, 4, 8)
BLOCKS = 2


class Outputs(NamedTuple):
    """What the network made of two views, each (B, d). Without a predictor p1 is z1, p2 is z2."""

    p1: Tensor
    p2: Tensor
    z1: Tensor
    z2: Tensor


@dataclass(frozen=True)
class EmbeddingConfig:
    """Architecture: ``width`` of the backbone (64: the ResNet-18 of the paper), ``stem``,
    ``hidden`` layers of the projector, ``dim`` of z, ``predictor_hidden`` of the predictor.

    ``stem``: ``small`` is a 3x3 convolution for pictures of 32 pixels; ``strided`` the same with
    stride 2, a quarter of the work, for training without an accelerator; ``imagenet`` the 7x7 one
    with stride 2 and max-pooling, made for pictures of 224.
    """

    width: int = 64
    stem: Stem = "small"
    hidden: int = 2048
    dim: int = 2048
    predictor_hidden: int = 512

    def __post_init__(self) -> None:
        checks.whole("width", self.width, 1, 512)
        for name in ("hidden", "dim", "predictor_hidden"):
            checks.whole(name, getattr(self, name), 1, 8192)
        if self.stem not in STEMS:
            raise ValueError(f"stem must be one of {', '.join(STEMS)}, got {self.stem!r}")

    def plain(self) -> dict[str, object]:
        """The configuration as plain values; the class called with them reads it back."""
        return asdict(self)


EMBEDDING_PRESETS = {
    "default": EmbeddingConfig(),
    "homework": EmbeddingConfig(stem="imagenet"),
    "narrow": EmbeddingConfig(width=8, stem="strided", hidden=256, predictor_hidden=128),
}
"""Sizes of the network: the paper's, the assignment's, and one for two cores."""


class Backbone(nn.Module):
    """ResNet-18 of torchvision's basic blocks, any width: (B, 3, 32, 32) -> (B, 8 width)."""

    def __init__(self, width: int, stem: Stem) -> None:
        super().__init__()
        # Takes longer than torch itself: only who makes a network waits for it.
        from torchvision.models.resnet import BasicBlock

        if stem in ("small", "strided"):
            self.stem = nn.Sequential(
                nn.Conv2d(3, width, 3, 1 if stem == "small" else 2, padding=1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(),
            )
        elif stem == "imagenet":
            self.stem = nn.Sequential(
                nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(),
                nn.MaxPool2d(3, stride=2, padding=1),
            )
        else:
            raise ValueError(f"stem must be one of {', '.join(STEMS)}, got {stem!r}")
        stages, channels_in = [], width
        for place, factor in enumerate(STAGES):
            channels = factor * width
            for block in range(BLOCKS):
                stride = 2 if place > 0 and block == 0 else 1
                stages.append(
                    BasicBlock(channels_in, channels, stride, _skip(channels_in, channels))
                )
                channels_in = channels
        self.stages = nn.Sequential(*stages)
        self.channels = channels_in
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, BasicBlock):  # every block begins as its own skip
                nn.init.zeros_(module.bn2.weight)

    def forward(self, x: Tensor) -> Tensor:
        # small stem: (B, w, 32, 32) -> (B, 2w, 16, 16) -> (B, 4w, 8, 8) -> (B, 8w, 4, 4) -> (B, 8w)
        return self.stages(self.stem(x)).mean(dim=(2, 3))


def _skip(channels_in: int, channels: int) -> nn.Module | None:
    if channels_in == channels:
        return None
    return nn.Sequential(
        nn.Conv2d(channels_in, channels, 1, stride=2, bias=False), nn.BatchNorm2d(channels)
    )


def projector(channels: int, hidden: int, dim: int, *, last_norm: bool = True) -> nn.Sequential:
    """Three layers, (B, channels) -> (B, dim).

    ``last_norm``: batch normalisation without scale and shift at the end, as in SimSiam; it
    centres z, so that a network without it is freer to collapse at once.
    """
    layers = [
        nn.Linear(channels, hidden, bias=False),
        nn.BatchNorm1d(hidden),
        nn.ReLU(),
        nn.Linear(hidden, hidden, bias=False),
        nn.BatchNorm1d(hidden),
        nn.ReLU(),
        nn.Linear(hidden, dim, bias=not last_norm),
    ]
    if last_norm:
        layers.append(nn.BatchNorm1d(dim, affine=False))
    return nn.Sequential(*layers)


def predictor(dim: int, hidden: int) -> nn.Sequential:
    """Two layers with a narrow waist, (B, dim) -> (B, dim)."""
    return nn.Sequential(
        nn.Linear(dim, hidden, bias=False),
        nn.BatchNorm1d(hidden),
        nn.ReLU(),
        nn.Linear(hidden, dim),
    )


def cosine_similarity(a: Tensor, b: Tensor) -> Tensor:
    """A . B / (|A| |B|) of every pair of rows, (B, d), (B, d) -> (B,), from -1 to 1.

    1: same direction. A row of zeros has similarity 0 with everything.
    """
    if a.shape != b.shape or a.ndim != 2:
        raise ValueError(f"a and b must be (B, d) alike, got {tuple(a.shape)} and {tuple(b.shape)}")
    return (F.normalize(precise(a), dim=1) * F.normalize(precise(b), dim=1)).sum(dim=1)


def precise(z: Tensor) -> Tensor:
    """At least float32: losses are not computed in the half precision of an accelerator."""
    return z if z.dtype == torch.float64 else z.float()


def whole_batch(z: Tensor) -> Tensor:
    """The rows of all processes of a distributed run, with gradients; ``z`` itself in one process.

    Losses that look at a batch as a whole (Barlow Twins, VICReg) are those of the true batch.
    """
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return z
    return _WholeBatch.apply(z)


class _WholeBatch(torch.autograd.Function):
    """Rows of all processes, one below the other; a row's gradient is the sum over processes."""

    @staticmethod
    def forward(ctx: FunctionCtx, z: Tensor) -> Tensor:
        parts = [torch.empty_like(z) for _ in range(torch.distributed.get_world_size())]
        torch.distributed.all_gather(parts, z.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: FunctionCtx, gradient: Tensor) -> Tensor:
        total = gradient.contiguous().clone()
        torch.distributed.all_reduce(total)
        return total.chunk(torch.distributed.get_world_size())[torch.distributed.get_rank()]


class JointEmbedding(nn.Module, ABC):
    """A backbone and a projector; what a method adds to them is its loss of two views."""

    config_class: ClassVar[type[EmbeddingConfig]] = EmbeddingConfig
    last_norm: ClassVar[bool] = True

    def __init__(self, config: EmbeddingConfig | None = None) -> None:
        super().__init__()
        self.config = config or self.config_class()
        self.backbone = Backbone(self.config.width, self.config.stem)
        self.projector = projector(
            self.backbone.channels,
            self.config.hidden,
            self.config.dim,
            last_norm=self.last_norm,
        )

    def features(self, x: Tensor) -> Tensor:
        """h, what a picture is represented by after training: (B, 3, 32, 32) -> (B, 8w)."""
        if x.ndim != 4 or tuple(x.shape[1:]) != (3, SIZE, SIZE):
            raise ValueError(f"x must be (B, 3, {SIZE}, {SIZE}), got {tuple(x.shape)}")
        return self.backbone(x)

    def project(self, x: Tensor) -> Tensor:
        """z, what the loss looks at: (B, 3, 32, 32) -> (B, d)."""
        return self.projector(self.features(x))

    @abstractmethod
    def views_loss(self, x1: Tensor, x2: Tensor) -> tuple[Tensor, Outputs]:
        """The loss of two views of the same pictures, a scalar, and what it was made of."""

    def after_step(self) -> None:
        """What a method does after every update of its weights; most do nothing."""
