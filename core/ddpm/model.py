"""Denoising diffusion: the noise schedule and the U-Net together, as one pretrained model.

The parts stand in files of their own: ``schedule`` (coefficients, ``q_sample``, ``p_sample``,
``p_losses``), ``samplers`` (from noise to a picture) and ``unet`` (the network). They do not know one
another; here they meet. Notation as in ``schedule``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal, get_args

import torch
from torch import Tensor

from core.bundles.bundle import Bundle, unusable
from core.bundles.opening import open_bundle
from core.bundles.weights import load_weights
from core.ddpm.samplers import (
    Sampler,
    Step,
    sample,
    time_grid,
)
from core.ddpm.schedule import MAX_T, Generators, NoiseSchedule, draw_noise
from core.ddpm.unet import PRESETS as NETWORKS
from core.ddpm.unet import UNet, UNetConfig

ScheduleKind = Literal["linear", "cosine"]
Prediction = Literal["eps", "v"]


@dataclass(frozen=True)
class ScheduleConfig:
    """Which noise schedule; the betas are those of the linear kind and unscaled for any T."""

    kind: ScheduleKind = "linear"
    T: int = 1000
    beta_start: float = 1e-4
    beta_end: float = 0.02

    def __post_init__(self) -> None:
        if self.kind not in get_args(ScheduleKind):
            raise ValueError(f"kind must be one of {get_args(ScheduleKind)}, got {self.kind!r}")
        if not isinstance(self.T, int) or not 1 <= self.T <= MAX_T:
            raise ValueError(f"T must be 1 to {MAX_T}, got {self.T}")

    def build(self) -> NoiseSchedule:
        """The schedule itself."""
        if self.kind == "linear":
            return NoiseSchedule.linear(self.T, self.beta_start, self.beta_end)
        return NoiseSchedule.cosine(self.T)


@dataclass(frozen=True)
class DDPMConfig:
    """Network and schedule of a ``DDPM``, and what the network says.

    ``prediction``: ``"eps"``, the network's output is the noise, as in the assignment; ``"v"``, it is
    v, and the noise follows from it: better conditioned where nearly all is noise, so that colours
    do not run away in a model that was trained for a short time.
    """

    unet: UNetConfig = field(default_factory=UNetConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    prediction: Prediction = "v"

    def __post_init__(self) -> None:
        if self.prediction not in get_args(Prediction):
            raise ValueError(
                f"prediction must be one of {get_args(Prediction)}, got {self.prediction!r}"
            )

    def plain(self) -> dict[str, object]:
        """As plain values, for a bundle's ``config.json``."""
        return {
            "unet": self.unet.plain(),
            "schedule": asdict(self.schedule),
            "prediction": self.prediction,
        }

    @classmethod
    def read(cls, plain: dict) -> DDPMConfig:
        """From its plain values; raises ``KeyError``, ``TypeError`` or ``ValueError``."""
        schedule = ScheduleConfig(**plain["schedule"])
        return cls(UNetConfig(**plain["unet"]), schedule, plain["prediction"])


PRESETS = {
    "default": DDPMConfig(),
    "homework": DDPMConfig(NETWORKS["homework"], prediction="eps"),
}


@dataclass(frozen=True)
class DDPM:
    """A network that guesses the noise and the schedule that it was trained for."""

    unet: UNet
    schedule: NoiseSchedule
    config: DDPMConfig

    @classmethod
    def build(cls, config: DDPMConfig) -> DDPM:
        """An untrained model; its weights come from torch's global generator."""
        return cls(UNet(config.unet).eval(), config.schedule.build(), config)

    def to(self, device: torch.device) -> DDPM:
        """The same model on a device, channels last; the network itself is moved."""
        unet = self.unet.to(device, memory_format=torch.channels_last)
        return DDPM(unet, self.schedule.to(device), self.config)

    def eps(self, x_t: Tensor, t: Tensor) -> Tensor:
        """eps_theta(x_t, t), the guess of the noise, the shape of ``x_t``; ``t`` is (B,)."""
        output = self.unet(x_t, t)
        return (
            output if self.config.prediction == "eps" else self.schedule.eps_from_v(x_t, t, output)
        )

    def sample(
        self,
        batch_size: int,
        *,
        sampler: Sampler = "ddpm",
        steps: int | None = None,
        eta: float = 0.0,
        clip_x0: bool = False,
        generator: Generators = None,
    ) -> Iterator[Step]:
        """From pure noise to ``batch_size`` pictures, step by step; ``steps`` None: all T.

        Draws x_T and then the sampler's noise from ``generator``: one, or one a picture. No
        gradients are kept.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        weight = next(self.unet.parameters())
        like = torch.empty(batch_size, 3, 32, 32, device=weight.device, dtype=weight.dtype)
        x_T = draw_noise(like, generator)
        return sample(
            torch.no_grad()(self.eps),
            self.schedule,
            x_T,
            time_grid(self.schedule.T, self.schedule.T if steps is None else steps),
            sampler=sampler,
            eta=eta,
            clip_x0=clip_x0,
            generator=generator,
        )

    @classmethod
    def from_pretrained(cls, folder_or_repo: str | Path, *, revision: str | None = None) -> DDPM:
        """The model of a bundle: a local folder, or a Hub repository ``user/name`` at ``revision``.

        In eval mode, float32, on the CPU. Raises ``AtelierError`` when the bundle is missing,
        damaged, or of another family.
        """
        return cls.from_bundle(
            open_bundle(folder_or_repo, networks={"ddpm": build_network}, revision=revision)
        )

    @classmethod
    def from_bundle(cls, bundle: Bundle) -> DDPM:
        """The model of a bundle that is open already, and verified where it came with hashes.

        Raises ``AtelierError`` ``bundle-config`` and ``bundle-weights``.
        """
        try:
            model = cls.build(DDPMConfig.read(bundle.config["architecture"]))
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise unusable(bundle.place, "architecture") from error
        load_weights(model.unet, bundle)
        return model


def build_network(architecture: dict) -> UNet:
    """The untrained network that ``architecture`` of a ``config.json`` describes."""
    return UNet(DDPMConfig.read(architecture).unet)
