"""The families of bundles: which network an architecture in ``config.json`` describes."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from core import methods
from core.ddpm import DDPMConfig
from core.judge import Judge, JudgeConfig
from core.unet import UNet
from core.vae import VAE, VAEConfig

MOST_PARAMETERS = 64_000_000
"""Larger networks are not for two cores; what claims to be one is not built."""


def _simsiam(architecture: dict) -> nn.Module:
    return methods.build(*methods.config_from(architecture))


NETWORKS: dict[str, Callable[[dict], nn.Module]] = {
    "vae": lambda architecture: VAE(VAEConfig(**architecture)),
    "ddpm": lambda architecture: UNet(DDPMConfig.read(architecture).unet),
    "judge": lambda architecture: Judge(JudgeConfig(**architecture)),
    "simsiam": _simsiam,
}


def weight_shapes(family: str, architecture: dict) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the weights of a network, without memory for any.

    Raises ValueError where there is no such family or architecture, or more than
    ``MOST_PARAMETERS`` weights.
    """
    if family not in NETWORKS:
        raise ValueError(f"family must be one of {', '.join(NETWORKS)}, got {family!r}")
    try:
        with torch.device("meta"):
            network = NETWORKS[family](architecture)
    except (KeyError, TypeError, OverflowError) as error:
        raise ValueError(f"architecture must be one of the family {family}") from error
    weights = network.state_dict()
    count = sum(weight.numel() for weight in weights.values())
    if count > MOST_PARAMETERS:
        raise ValueError(f"a network must have at most {MOST_PARAMETERS:,} weights, got {count:,}")
    return {name: tuple(weight.shape) for name, weight in weights.items()}


def parameter_count(family: str, architecture: dict) -> int:
    """How many trainable numbers a network has, without memory for any; buffers do not count."""
    with torch.device("meta"):
        return sum(p.numel() for p in NETWORKS[family](architecture).parameters())
