"""What is measured of a self-supervised network after every epoch, without a label in training.

In eval mode, on pictures without augmentation, but for the alignment, which is one of two views.
Batch statistics are measured anew for the weights as they stand (``settle``): the running ones lag
behind, by whole epochs where an epoch has two steps.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from core.simsiam import neighbours, representation
from core.simsiam.joint_embedding import JointEmbedding
from core.simsiam.views import STANDARD, Views
from train.run import loop
from train.run.loop import Resident

CHUNK = 500
SETTLED_ON = 1000
MAPPED = 500
SPECTRUM = 256


@dataclass(frozen=True)
class Protocol:
    """Numbers of pictures: ``spread`` test ones for spread and map, ``queries`` test ones whose
    class is looked up among ``bank`` training ones, by ``k`` neighbours at ``temperature``.
    """

    spread: int = 1000
    queries: int = 2000
    bank: int = 5000
    k: int = 200
    temperature: float = 0.1

    def __post_init__(self) -> None:
        for name in ("spread", "queries", "bank"):
            if getattr(self, name) < 2:
                raise ValueError(f"{name} must be at least 2, got {getattr(self, name)}")


@dataclass(frozen=True)
class Diagnosis:
    """Figures by name; arrays: ``spectrum_z``, ``spectrum_h`` (256,), ``map_z``, ``map_h`` (n, 2)."""

    figures: dict[str, float]
    arrays: dict[str, Tensor]


# ---------------------------------------------------------------- batch statistics


def norms_of(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The batch normalisations of a network, by name."""
    for name, module in model.named_modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            yield name, module


@contextmanager
def cumulative(model: nn.Module) -> Iterator[None]:
    """Batch normalisations average all batches alike in here, from none on."""
    norms = [module for _name, module in norms_of(model)]
    kept = [module.momentum for module in norms]
    for module in norms:
        module.reset_running_stats()
        module.momentum = None
    yield
    for module, momentum in zip(norms, kept, strict=True):
        module.momentum = momentum


@torch.no_grad()
def settle(model: JointEmbedding, levels: Tensor, views: Views) -> JointEmbedding:
    """The model in eval mode, its batch statistics those of views of the first 1,000 pictures."""
    generator = loop.epoch_generator(0, 0, "settle", levels.device)
    with cumulative(model):
        model.train()
        for part in levels[:SETTLED_ON].split(CHUNK):
            x = loop.as_float(part)
            with loop.autocast(levels.device):
                model(views(x, generator), views(x, generator))
    return model.eval()


def statistics_of(model: nn.Module) -> dict[str, Tensor]:
    """Running means and variances of all batch normalisations, by their names in the state."""
    return {
        f"{name}.{key}": getattr(module, key).detach().clone()
        for name, module in norms_of(model)
        for key in ("running_mean", "running_var")
    }


# ---------------------------------------------------------------- what a network makes of pictures


@torch.no_grad()
def features_of(model: JointEmbedding, levels: Tensor) -> Tensor:
    """h of pictures uint8 (N, 3, 32, 32): float32 (N, 8w)."""
    parts = []
    for part in levels.split(CHUNK):
        with loop.autocast(levels.device):
            parts.append(model.features(loop.as_float(part)).float())
    return torch.cat(parts)


@torch.no_grad()
def projections_of(model: JointEmbedding, h: Tensor) -> Tensor:
    """z of features h (N, 8w): float32 (N, d)."""
    parts = []
    for part in h.split(CHUNK):
        with loop.autocast(h.device):
            parts.append(model.projector(part).float())
    return torch.cat(parts)


def pack_bits(right: Tensor) -> Tensor:
    """bool (n,) as uint8 (ceil(n / 8),) on the CPU, eight pictures a byte, as ``np.packbits`` has them."""
    return torch.from_numpy(np.packbits(right.cpu().numpy()))


@torch.no_grad()
def views_of(model: JointEmbedding, levels: Tensor) -> tuple[Tensor, Tensor]:
    """z of two standard views of every picture, the same views every time."""
    generator = loop.epoch_generator(0, 0, "alignment", levels.device)
    first, second = [], []
    for part in levels.split(CHUNK):
        x = loop.as_float(part)
        for found in (first, second):
            with loop.autocast(levels.device):
                found.append(model.project(STANDARD(x, generator)).float())
    return torch.cat(first), torch.cat(second)


def diagnose(
    model: JointEmbedding,
    trained: Resident,
    tested: Resident,
    protocol: Protocol,
    before: Diagnosis | None = None,
) -> Diagnosis:
    """All figures of one epoch; maps lie as near as they can to those of ``before``."""
    bank = features_of(model, trained.levels[: protocol.bank])
    h = features_of(model, tested.levels[: max(protocol.queries, protocol.spread)])
    right = neighbours.named_right(
        h[: protocol.queries],
        tested.labels[: protocol.queries],
        bank,
        trained.labels[: protocol.bank],
        tested.classes,
        k=protocol.k,
        temperature=protocol.temperature,
    )
    h = h[: protocol.spread]
    z = projections_of(model, h)
    first, second = views_of(model, tested.levels[: protocol.spread])
    figures = {
        "test_knn_accuracy": float(right.double().mean()),
        "test_alignment": float(representation.alignment(first, second)),
        "test_uniformity": float(representation.uniformity(z)),
    }
    arrays = {"right": pack_bits(right)}
    for name, x in (("z", z), ("h", h)):
        values = representation.singular_values(x.cpu())  # a GPU takes many times as long
        figures[f"test_std_{name}"] = float(representation.std_of_outputs(x))
        figures[f"test_rank_{name}"] = float(representation.effective_rank(values))
        figures[f"test_variance_{name}"] = float(representation.total_variance(x))
        spectrum = torch.zeros(SPECTRUM)
        shown = values[:SPECTRUM]
        spectrum[: len(shown)] = shown.float()
        arrays[f"spectrum_{name}"] = spectrum
        earlier = before.arrays[f"map_{name}"] if before else None
        plane = representation.principal_plane(
            representation.normalise(x[:MAPPED].double()).cpu(), earlier
        )
        arrays[f"map_{name}"] = plane.float()
    return Diagnosis(figures, arrays)
