"""Trains the judge of digits by cross-entropy on augmented pictures; leaves a bundle."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.bundles.bundle import Bundle
from core.errors import AtelierError
from core.judge.model import CLASSES, PRESETS, Judge, JudgeConfig
from core.pictures.data import PictureSet
from train.judge import bundle as judge_bundle
from train.run import loop, options, run
from train.run import trainer as base
from train.run.augment import DigitAugmentation, without_digit
from train.run.settings import Training


@dataclass(frozen=True)
class JudgeTraining(Training):
    """How a judge is trained; the defaults are the recipe of the default preset.

    ``mixup``: share of the pictures that are blended with another one, in random proportion; their
    loss is blended alike (Zhang et al. 2018, arXiv:1710.09412, with alpha = 1). ``digitless``:
    share of the pictures that lose their digit; of those every answer is as good as another, or
    the judge would be sure of what it never saw (Hendrycks et al. 2019, arXiv:1812.04606).
    """

    epochs: int = 36
    batch_size: int = 64
    learning_rate: float = 2e-3
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.05
    label_smoothing: float = 0.05
    mixup: float = 0.3
    digitless: float = 0.1
    augmentation: DigitAugmentation = field(
        default_factory=lambda: DigitAugmentation(
            shift=0.05,
            scale=0.12,
            rotation=10.0,
            shear=0.2,
            contrast=0.5,
            brightness=0.2,
            tint=0.2,
            invert=0.5,
            permute=0.5,
        )
    )


class Trainer(base.Trainer):
    """Classifier, optimiser and data of a run."""

    family = "judge"
    training_class = JudgeTraining
    least_tested = 4  # Frechet distance of one half of them to the other
    least_classes = 2  # distance of two pictures of different ones
    most_classes = CLASSES
    config: JudgeConfig
    model: Judge

    @classmethod
    def check(cls, config: JudgeConfig, train_set: PictureSet, test_set: PictureSet) -> None:
        """As of every run; the test pictures themselves must be of two classes."""
        super().check(config, train_set, test_set)
        if len(np.unique(test_set.labels)) < cls.least_classes:
            raise AtelierError(
                "data-few-classes",
                "All {count} test pictures are of one class: the family judge needs two to tell apart.",
                count=len(test_set),
            )

    def build(self) -> Judge:
        return Judge(self.config)

    def begin_with(self, bundle: Bundle) -> None:
        """As of every run; the temperature goes into the last layer, which answers as before.

        So the network trains at a temperature of 1 again, and "before the temperature" means its own.
        """
        super().begin_with(bundle)
        with torch.no_grad():
            for weight in self.model.answer.parameters():
                weight /= self.model.temperature
            self.model.temperature.fill_(1)
        self.average = loop.MovingAverage(self.model, self.training.average_decay)

    def compiled_parts(self) -> tuple[Judge]:
        return (self.model,)

    def step(self, rows: Tensor, number: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """One update on the given rows: mean cross-entropy, and share of right answers.

        An answer is right where it is the picture's own digit, or of two that of the stronger;
        pictures without a digit have none.
        """
        x, labels = self.augmented_batch(rows, generator), self.trained.labels[rows]
        chance, share = torch.rand(2, len(x), generator=generator, device=x.device)
        share = torch.where(chance < self.training.mixup, share, torch.ones_like(share))
        other = torch.randperm(len(x), generator=generator, device=x.device)
        weight = share[:, None, None, None]
        x = weight * x + (1 - weight) * x[other]
        empty = torch.zeros(len(x), dtype=torch.bool, device=x.device)
        if self.training.digitless:
            drawn = torch.rand(len(x), generator=generator, device=x.device)
            empty = drawn < self.training.digitless
            x = torch.where(empty[:, None, None, None], without_digit(x, generator), x)
        x = x.contiguous(memory_format=torch.channels_last)
        with loop.autocast(self.device):
            logits = self.model(x)
        losses = [
            F.cross_entropy(
                logits.float(),
                goal,
                reduction="none",
                label_smoothing=self.training.label_smoothing,
            )
            for goal in (labels, labels[other])
        ]
        of_digits = share * losses[0] + (1 - share) * losses[1]
        of_none = -F.log_softmax(logits.float(), dim=1).mean(dim=1)  # every class as likely
        loss = torch.where(empty, of_none, of_digits).mean()
        self.descend(loss, number)
        stronger = torch.where(share >= 0.5, labels, labels[other])
        hits = (logits.argmax(dim=1) == stronger) & ~empty
        right = hits.sum() / (~empty).sum().clamp(min=1)
        return loss.detach(), right

    def summary(self, steps: list[tuple[Tensor, Tensor]]) -> dict[str, float]:
        loss, right = (torch.stack(values).mean() for values in zip(*steps, strict=True))
        return {"train_loss": float(loss), "train_accuracy": float(right)}

    def evaluate(self, model: Judge) -> dict[str, float]:
        logits = judge_bundle.logits_of(model, self.tested.levels)
        labels = self.tested.labels.cpu()
        return {
            "test_loss": float(F.cross_entropy(logits, labels)),
            "test_accuracy": float((logits.argmax(dim=1) == labels).double().mean()),
        }

    def snapshot(self, model: nn.Module, folder: Path, epoch: int) -> None:
        """A judge makes no pictures."""

    def seconds_at_end(self, model: Judge) -> float:
        test = loop.seconds_per_call(lambda: self.evaluate(model), self.device, warmup=1, runs=1)
        return test * (2 + len(self.trained.levels) / len(self.tested.levels))

    def architecture(self) -> dict[str, object]:
        return self.config.plain()

    @staticmethod
    def config_of(architecture: dict) -> JudgeConfig:
        return JudgeConfig(**architecture)

    def write(
        self, folder: Path, train_set: PictureSet, test_set: PictureSet, settings: dict
    ) -> Path:
        return judge_bundle.write(
            folder,
            self.averaged_model(),
            train_set=train_set,
            test_set=test_set,
            history=self.history,
            settings=settings,
        )


start, resume, finish = (partial(verb, Trainer) for verb in (run.start, run.resume, run.finish))
"""The three verbs of ``train.run.run`` for judges."""


# ---------------------------------------------------------------- the command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    options.add_arguments(parser, tuple(PRESETS), JudgeTraining())


def configure(
    arguments: argparse.Namespace, start: Bundle | None
) -> tuple[JudgeConfig, JudgeTraining]:
    """Network and recipe: of the preset that is named, or the network of the bundle to begin with."""
    if start is not None and arguments.preset is None:
        return Trainer.config_of(start.config["architecture"]), JudgeTraining()
    return PRESETS[arguments.preset or "default"], JudgeTraining()


def main(arguments: argparse.Namespace) -> None:
    options.main(Trainer, configure, arguments)
