"""Trains a VAE by the evidence lower bound and leaves a bundle."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from core.bundles.bundle import Bundle
from core.bundles.files import replacing
from core.pictures import images
from core.pictures.data import PictureSet
from core.vae.bounds import NLL_CONSTANT
from core.vae.gaussian import DiagonalGaussianDistribution
from core.vae.latents import active_units
from core.vae.model import VAE
from core.vae.networks import PICTURE_DIMENSIONS, PRESETS, VAEConfig
from train.run import loop, options, run
from train.run import trainer as base
from train.run.augment import DigitAugmentation
from train.run.bundling import shown_rows
from train.run.settings import Training
from train.vae import bundle as vae_bundle


@dataclass(frozen=True)
class VAETraining(Training):
    """How a VAE is trained; the defaults are the recipe of the default preset."""

    learning_rate: float = 3e-3
    clip_norm: float | None = 200.0
    augmentation: DigitAugmentation = field(
        default_factory=lambda: DigitAugmentation(
            shift=0.04,
            scale=0.08,
            rotation=5.0,
            contrast=0.15,
            brightness=0.1,
            tint=0.03,
            invert=0.15,
        )
    )


PRESET_TRAINING: dict[str, VAETraining] = {
    "default": VAETraining(),
    "homework": VAETraining(
        learning_rate=1e-3,
        betas=(0.9, 0.999),
        warmup_steps=0,
        cosine=False,
        average_decay=0.0,
        clip_norm=None,
        augmentation=DigitAugmentation(),
    ),
}


class Trainer(base.Trainer):
    """Encoder, decoder, optimiser and data of a run."""

    family = "vae"
    training_class = VAETraining
    config: VAEConfig
    model: VAE

    def build(self) -> VAE:
        return VAE(self.config)

    def compiled_parts(self) -> tuple[nn.Module, nn.Module]:
        return self.model.encoder, self.model.decoder

    def step(self, rows: Tensor, number: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """One update on the given rows: mean (nll, kl) of the batch (2,), and E[z|x] (B, d)."""
        x = self.augmented_batch(rows, generator)
        with loop.autocast(self.device):
            encoded = self.model.encode(x)
        # Latents and losses are float32, whatever the networks run in: a loss sums 3,072 pixels.
        posterior = DiagonalGaussianDistribution(encoded.mean.float(), encoded.logvar.float())
        z = posterior.sample(generator)
        with loop.autocast(self.device):
            decoded = self.model.decode(z).mean
        nll = DiagonalGaussianDistribution(decoded.float()).nll(x).mean()
        kl = posterior.kl().mean()
        self.descend(nll + kl, number)
        return torch.stack([nll, kl]).detach(), posterior.mean.detach()

    def summary(self, steps: list[tuple[Tensor, Tensor]]) -> dict[str, float]:
        losses, means = zip(*steps, strict=True)
        nll, kl = torch.stack(losses).mean(dim=0).tolist()
        return {
            "train_nll": nll,
            "train_kl": kl,
            "train_negative_elbo": nll + kl,
            "train_mse": mse_of(nll),
            "train_active_units": int(active_units(torch.cat(means)).sum()),
        }

    def evaluate(self, model: VAE) -> dict[str, float]:
        found = evaluate(model, self.tested.levels)
        return {f"test_{key}": value for key, value in found.items()}

    def snapshot(self, model: VAE, folder: Path, epoch: int) -> None:
        snapshot(model, self.tested.levels, folder, epoch)

    def seconds_at_end(self, model: VAE) -> float:
        test = loop.seconds_per_call(
            lambda: evaluate(model, self.tested.levels), self.device, warmup=1, runs=1
        )
        decode = vae_bundle.decodings_at_end(len(self.trained.levels), len(self.tested.levels))
        return test / len(self.tested.levels) * decode

    def architecture(self) -> dict[str, object]:
        return self.model.architecture()

    @staticmethod
    def config_of(architecture: dict) -> VAEConfig:
        return VAEConfig(**architecture)

    def write(
        self, folder: Path, train_set: PictureSet, test_set: PictureSet, settings: dict
    ) -> Path:
        return vae_bundle.write(
            folder,
            self.averaged_model(),
            train_set=train_set,
            test_set=test_set,
            history=self.history,
            settings=settings,
            progress_folder=folder.parent / "progress",
        )


start, resume, finish = (partial(verb, Trainer) for verb in (run.start, run.resume, run.finish))
"""The three verbs of ``train.run.run`` for VAEs."""


def mse_of(nll: float) -> float:
    """Mean squared error of a pixel that a unit-variance nll in nats stands for."""
    return 2 * (nll - NLL_CONSTANT) / PICTURE_DIMENSIONS


@torch.no_grad()
def evaluate(model: VAE, levels: Tensor, *, draws: int = 1, seed: int = 0) -> dict[str, float]:
    """nll, kl, negative ELBO (nats), mse and active units over pictures, ``draws`` of z each."""
    device = levels.device
    generator = loop.epoch_generator(seed, 0, "evaluate", device)
    nll = kl = mse = 0.0
    means = []
    for batch in levels.split(256):
        x = loop.as_float(batch)
        posterior = model.encode(x)
        means.append(posterior.mean)
        kl += posterior.kl().cpu().double().sum().item()
        for _ in range(draws):
            likelihood = model.decode(posterior.sample(generator))
            nll += likelihood.nll(x).cpu().double().sum().item() / draws
            mse += (likelihood.mean - x).square().mean(
                dim=(1, 2, 3)
            ).cpu().double().sum().item() / draws
    count = len(levels)
    return {
        "nll": nll / count,
        "kl": kl / count,
        "negative_elbo": (nll + kl) / count,
        "mse": mse / count,
        "active_units": int(active_units(torch.cat(means)).sum()),
    }


def snapshot(model: VAE, test_levels: Tensor, folder: Path, epoch: int) -> None:
    """Samples of the same z, and reconstructions of the same test pictures, as two sheets."""
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(vae_bundle.SHEET_PICTURES, model.config.latent_dim, generator=generator)
    with torch.no_grad():
        samples = images.to_pictures(model.decode(z.to(test_levels.device)).mode())
    shown = test_levels[shown_rows(len(test_levels), vae_bundle.SHEET_PICTURES)]
    sheets = {
        "samples": images.sheet_bytes(samples, vae_bundle.SHEET_COLUMNS),
        "reconstructions": vae_bundle.reconstruction_sheet(model, shown),
    }
    for kind, sheet in sheets.items():
        with replacing(folder / f"epoch-{epoch:04d}-{kind}.jpg") as temporary:
            temporary.write_bytes(sheet)


# ---------------------------------------------------------------- the command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    options.add_arguments(parser, tuple(PRESETS), VAETraining())
    parser.add_argument("--latent-dim", type=int, help="units of z (the assignment: 32 or 100)")


def configure(arguments: argparse.Namespace, start: Bundle | None) -> tuple[VAEConfig, VAETraining]:
    """Network and recipe: of the preset that is named, or the network of the bundle to begin with."""
    preset = arguments.preset or "default"
    config = PRESETS[preset]
    if start is not None and arguments.preset is None:
        config = Trainer.config_of(start.config["architecture"])
    if arguments.latent_dim is not None:
        config = replace(config, latent_dim=arguments.latent_dim)
    return config, PRESET_TRAINING[preset]


def main(arguments: argparse.Namespace) -> None:
    options.main(Trainer, configure, arguments)
