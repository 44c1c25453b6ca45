"""One ONNX file to be: what a family says of each network that it exports."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

PICTURES = "(B, 3, 32, 32) RGB pictures, float32 in [-1, 1]"
Tensors = tuple[Tensor, ...]
Answer = Callable[..., Tensors]


@dataclass(frozen=True)
class Graph:
    """One file to be: what is traced, what it must agree with, and inputs to try it with.

    ``answer`` is traced, from inputs to outputs; ``reference`` is the model's own way to the same
    outputs. ``takes`` and ``gives`` describe them by name, in order. ``golden`` are inputs of the
    bundle's golden tensors; ``draw`` makes a batch of others.
    """

    file: str
    network: nn.Module
    answer: Answer
    reference: Answer
    takes: dict[str, str]
    gives: dict[str, str]
    golden: Tensors
    draw: Callable[[int, torch.Generator], Tensors]


def random_pictures(count: int, generator: torch.Generator) -> Tensor:
    """Pictures (count, 3, 32, 32) of uniform noise in [-1, 1]."""
    return 2 * torch.rand(count, 3, 32, 32, generator=generator) - 1
