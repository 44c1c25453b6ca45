"""Trains a denoising diffusion model by the smooth L1 between noise and guess; leaves a bundle."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional as F

from core.bundles.bundle import Bundle
from core.bundles.files import replacing
from core.ddpm.model import DDPM, PRESETS, DDPMConfig
from core.ddpm.schedule import draw_noise
from core.ddpm.unet import UNet
from core.pictures import images
from core.pictures.data import PictureSet
from train.ddpm import bundle as ddpm_bundle
from train.run import loop, options, run
from train.run import trainer as base
from train.run.budget import copy_of, seconds_of_a_step
from train.run.bundling import shown_rows
from train.run.recorded import recorded
from train.run.settings import Training

QUARTERS = 4
EVALUATED = 1024
"""Test pictures that are looked at after every epoch."""


Weighting = Literal["uniform", "min-snr"]
"""How much each level of noise counts in the loss: alike, or as ``min_snr_weights`` says."""


@dataclass(frozen=True)
class DDPMTraining(Training):
    """How a diffusion model is trained; the defaults are the recipe of the default preset."""

    batch_size: int = 32
    learning_rate: float = 1.5e-3
    warmup_steps: int = 500
    clip_norm: float | None = 1.0
    weighting: Weighting = "uniform"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.weighting not in get_args(Weighting):
            raise ValueError(
                f"weighting must be one of {get_args(Weighting)}, got {self.weighting!r}"
            )


PRESET_TRAINING: dict[str, DDPMTraining] = {
    "default": DDPMTraining(),
    "homework": DDPMTraining(
        batch_size=128,
        learning_rate=1e-3,
        betas=(0.9, 0.999),
        warmup_steps=0,
        cosine=False,
        clip_norm=None,
    ),
}


class Trainer(base.Trainer):
    """U-Net, schedule, optimiser and data of a run."""

    family = "ddpm"
    records = True
    training_class = DDPMTraining
    config: DDPMConfig
    model: UNet
    training: DDPMTraining

    def __init__(self, config: DDPMConfig, *rest) -> None:
        super().__init__(config, *rest)
        self.schedule = config.schedule.build().to(self.device)
        self.network = recorded(self.model, self.device, self.training.record)

    @classmethod
    def check(cls, config: DDPMConfig, train_set: PictureSet, test_set: PictureSet) -> None:
        """As of every run; ValueError where a quarter of the schedule has no level."""
        super().check(config, train_set, test_set)
        if config.schedule.T < QUARTERS:
            raise ValueError(
                f"T must be at least {QUARTERS}, since the loss is measured by quarter of it, "
                f"got {config.schedule.T}"
            )

    def build(self) -> UNet:
        return UNet(self.config.unet)

    def compiled_parts(self) -> tuple[UNet]:
        return (self.model,)

    def ddpm(self, unet: UNet) -> DDPM:
        """A network of this run with its schedule."""
        return DDPM(unet, self.schedule, self.config)

    def step(self, rows: Tensor, number: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """One update on the given rows: what was minimised, and smooth L1 of the noise."""
        x0 = self.augmented_batch(rows, generator)
        t = self.schedule.t_sample(len(x0), generator, stratified=True)
        noise = draw_noise(x0, generator)
        said = torch.empty_like(x0)

        def network(x_t: Tensor, t: Tensor) -> Tensor:
            with loop.autocast(self.device):
                output = self.network(x_t.contiguous(memory_format=torch.channels_last), t)
            said.copy_(output.detach())
            return output.float()

        says, weights = self.config.prediction, None
        if self.training.weighting == "min-snr":
            weights = self.schedule.min_snr_weights(t, says)
        losses = self.schedule.p_losses if says == "eps" else self.schedule.v_losses
        loss = losses(network, x0, t, noise, weights=weights)
        self.descend(loss, number)

        def eps_hat(x_t: Tensor, t: Tensor) -> Tensor:
            return said if says == "eps" else self.schedule.eps_from_v(x_t, t, said)

        with torch.no_grad():
            of_noise = self.schedule.p_losses(eps_hat, x0, t, noise)
        return loss.detach(), of_noise

    def summary(self, steps: list[tuple[Tensor, Tensor]]) -> dict[str, float]:
        objective, of_noise = (torch.stack(values).mean() for values in zip(*steps, strict=True))
        return {"train_objective": float(objective), "train_loss": float(of_noise)}

    def evaluate(self, model: UNet) -> dict[str, float]:
        rows = shown_rows(len(self.tested.levels), EVALUATED)
        return evaluate(self.ddpm(model), self.tested.levels[rows])

    def snapshot(self, model: UNet, folder: Path, epoch: int) -> None:
        """Samples from the same noise by DDIM, without clipping, as a sheet."""
        steps = min(ddpm_bundle.SAMPLE_STEPS, self.schedule.T)
        count = ddpm_bundle.SHEET_PICTURES
        drawn = ddpm_bundle.draw(self.ddpm(model).eps, self.schedule, count, steps, self.device)
        sheet = images.sheet_bytes(drawn, ddpm_bundle.SHEET_COLUMNS)
        with replacing(folder / f"epoch-{epoch:04d}-samples.jpg") as temporary:
            temporary.write_bytes(sheet)

    def seconds_at_end(self, model: UNet) -> float:
        x = torch.zeros(ddpm_bundle.BATCH, 3, 32, 32, device=self.device)
        x = x.contiguous(memory_format=torch.channels_last)
        t = torch.zeros(len(x), dtype=torch.long, device=self.device)
        with torch.no_grad():
            call = loop.seconds_per_call(lambda: model(x, t), self.device, warmup=2, runs=4)
        return call / len(x) * ddpm_bundle.pictures_at_end(self.config.schedule.T)

    def architecture(self) -> dict[str, object]:
        return self.config.plain()

    @staticmethod
    def config_of(architecture: dict) -> DDPMConfig:
        return DDPMConfig.read(architecture)

    def write(
        self, folder: Path, train_set: PictureSet, test_set: PictureSet, settings: dict
    ) -> Path:
        step = seconds_of_a_step(copy_of(self))
        return ddpm_bundle.write(
            folder,
            self.averaged_model(),
            self.config,
            train_set=train_set,
            test_set=test_set,
            history=self.history,
            settings=settings,
            progress_folder=folder.parent / "progress",
            seconds_an_epoch=step * self.steps_per_epoch,
        )


start, resume, finish = (partial(verb, Trainer) for verb in (run.start, run.resume, run.finish))
"""The three verbs of ``train.run.run`` for diffusion models."""


@torch.no_grad()
def evaluate(model: DDPM, levels: Tensor) -> dict[str, float]:
    """Smooth L1 and mean squared error of the noise on test pictures, and by quarter of T.

    T is at least 4. Every picture has one level and one noise, the same at every call; levels are
    spread evenly. Pictures fewer than 8 are looked at again, so that each quarter has some.
    """
    device, schedule = levels.device, model.schedule
    generator = loop.epoch_generator(0, 0, "evaluate", torch.device("cpu"))
    count = max(len(levels), 2 * QUARTERS)
    levels = levels[torch.arange(count, device=device) % len(levels)]
    t = torch.arange(count) * schedule.T // count
    t = t[torch.randperm(count, generator=generator)].to(device)
    smooth, square = [], []
    for rows in torch.arange(count, device=device).split(ddpm_bundle.BATCH):
        x0 = loop.as_float(levels[rows])
        noise = torch.randn(x0.shape, generator=generator).to(device)
        eps_hat = model.eps(schedule.q_sample(x0, t[rows], noise), t[rows])
        each = F.smooth_l1_loss(eps_hat, noise, reduction="none")
        smooth.append(each.mean(dim=(1, 2, 3)))
        square.append((eps_hat - noise).square().mean(dim=(1, 2, 3)))
    loss, mse = torch.cat(smooth).double(), torch.cat(square).double()
    quarter = t * QUARTERS // schedule.T
    return {
        "test_loss": float(loss.mean()),
        "test_mse": float(mse.mean()),
        **{f"test_loss_{q + 1}": float(loss[quarter == q].mean()) for q in range(QUARTERS)},
    }


# ---------------------------------------------------------------- the command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    options.add_arguments(parser, tuple(PRESETS), DDPMTraining())
    parser.add_argument("-T", type=int, help="levels of noise (default: 1000)")
    parser.add_argument("--schedule", choices=("linear", "cosine"), help="default: linear")
    parser.add_argument("--channels", type=widths, help="widths of the U-Net: 64,96,120")
    parser.add_argument(
        "--weighting", choices=get_args(Weighting), help="of the levels of noise (default: uniform)"
    )
    parser.add_argument(
        "--pixels", type=int, help="pictures are moved by up to this number of pixels"
    )


def widths(text: str) -> tuple[int, ...]:
    """``64,96,120`` as numbers; ValueError where it is none."""
    return tuple(int(part) for part in text.split(","))


def configure(
    arguments: argparse.Namespace, start: Bundle | None
) -> tuple[DDPMConfig, DDPMTraining]:
    """Network, schedule and recipe: of the preset that is named, or of the bundle to begin with.

    The schedule may be another one than the bundle's: its weights then learn the new levels.
    """
    preset = arguments.preset or "default"
    config, recipe = PRESETS[preset], PRESET_TRAINING[preset]
    if start is not None and arguments.preset is None:
        config = Trainer.config_of(start.config["architecture"])
    changed = {
        name: value
        for name, value in (("T", arguments.T), ("kind", arguments.schedule))
        if value is not None
    }
    config = replace(config, schedule=replace(config.schedule, **changed))
    if arguments.channels is not None:
        config = replace(config, unet=replace(config.unet, channels=arguments.channels))
    if arguments.weighting is not None:
        recipe = replace(recipe, weighting=arguments.weighting)
    if arguments.pixels is not None:
        moved = replace(recipe.augmentation, pixels=arguments.pixels)
        recipe = replace(recipe, augmentation=moved)
    return config, recipe


def main(arguments: argparse.Namespace) -> None:
    options.main(Trainer, configure, arguments)
