"""What a family of models adds to a run, and one epoch of it."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from tqdm import tqdm

from core.bundles import schema
from core.bundles.bundle import Bundle
from core.errors import AtelierError
from core.pictures.data import PictureSet
from train.run import ancestry, bundling, distributed, loop
from train.run.loop import Resident
from train.run.settings import Training, not_finite

LEAST_TRAINED = 2
"""The fewest training pictures that have a covariance."""
CHECKED_EVERY = 50
"""Updates between two looks at the loss: on a GPU each look waits for all work under way."""


class Trainer(ABC):
    """Model, optimiser and data of a run, on one device."""

    family: ClassVar[str]
    training_class: ClassVar[type[Training]] = Training
    records: ClassVar[bool] = False
    """Whether its steps are made of a network that may be recorded (``train.run.recorded``)."""
    least_tested: ClassVar[int] = 2
    """How many test pictures the figures at the end need."""
    least_classes: ClassVar[int] = 1
    most_classes: ClassVar[int | None] = None

    def __init__(
        self,
        config: Any,
        training: Training,
        device: torch.device,
        trained: Resident,
        tested: Resident,
    ) -> None:
        self.config, self.training, self.device = config, training, device
        self.trained, self.tested = trained, tested
        with torch.random.fork_rng(devices=[]):  # initial weights; the global generator is put back
            torch.manual_seed(training.seed)
            self.model = self.build()
        self.model.to(device, memory_format=torch.channels_last)
        if training.compile:
            for part in self.compiled_parts():
                part.compile()  # in place: names of weights stay, copies are not compiled
        self.average = loop.MovingAverage(self.model, training.average_decay)
        self.optimizer = self.build_optimizer()
        self.epoch = 0
        self.history: list[dict] = []
        _ = self.steps_per_epoch  # ValueError for more than its pictures allow, before any step

    @classmethod
    def check(cls, config: Any, train_set: PictureSet, test_set: PictureSet) -> None:
        """Refuses a run that could not end in a bundle, before any work.

        Raises ``AtelierError`` ``data-few``, ``data-class-name``, ``data-few-classes`` and
        ``data-many-classes``; families add what they need of ``config``. What is wrong with the settings
        ``bundling.check_config`` says, when they are all known.
        """
        cls._check_classes(train_set.class_names)
        for pictures, least in ((train_set, LEAST_TRAINED), (test_set, cls.least_tested)):
            if len(pictures) < least:
                raise AtelierError(
                    "data-few",
                    "The {split} set has too few pictures, {count}: the family {family} needs {least} or more.",
                    split=pictures.split,
                    count=len(pictures),
                    family=cls.family,
                    least=least,
                )

    @classmethod
    def _check_classes(cls, names: Sequence[str]) -> None:
        classes = len(names)
        if classes < cls.least_classes:
            raise AtelierError(
                "data-few-classes",
                "The family {family} needs pictures of at least {least} classes to be measured on, "
                "got {count}.",
                family=cls.family,
                least=cls.least_classes,
                count=classes,
            )
        if cls.most_classes is not None and classes > cls.most_classes:
            raise AtelierError(
                "data-many-classes",
                "The family {family} tells at most {most} classes apart, got {count}.",
                family=cls.family,
                most=cls.most_classes,
                count=classes,
            )
        if classes > schema.MOST_CLASSES:
            raise AtelierError(
                "data-many-classes",
                "A bundle names at most {most:,} classes, got {count:,}.",
                most=schema.MOST_CLASSES,
                count=classes,
            )
        for name in names:
            if len(name) > schema.LONGEST_NAME or not bundling.is_text(name):
                raise AtelierError(
                    "data-class-name",
                    "A bundle cannot name the class {name}: the name of its folder must be UTF-8 and have at "
                    "most {most} characters.",
                    name=ascii(name),
                    most=schema.LONGEST_NAME,
                )

    @abstractmethod
    def build(self) -> nn.Module:
        """The network with its initial weights."""

    def build_optimizer(self) -> torch.optim.Optimizer:
        """AdamW over all weights, where a family has no other."""
        return torch.optim.AdamW(
            self.model.parameters(),
            lr=self.training.learning_rate,
            betas=self.training.betas,
            weight_decay=self.training.weight_decay,
            fused=True,  # one pass over all weights: a twentieth of a small network's step
        )

    def peak_rate(self) -> float:
        """The learning rate that the schedule falls from."""
        return self.training.learning_rate

    @abstractmethod
    def compiled_parts(self) -> Sequence[nn.Module]:
        """The parts of the network whose calls are worth compiling."""

    @abstractmethod
    def step(self, rows: Tensor, number: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        """One update on the given rows; what ``summary`` wants to know of it."""

    @abstractmethod
    def summary(self, steps: list[tuple[Tensor, ...]]) -> dict[str, float]:
        """Training figures of an epoch, from what its steps returned."""

    @abstractmethod
    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """Figures of a model on the test pictures, named ``test_…``."""

    @abstractmethod
    def snapshot(self, model: nn.Module, folder: Path, epoch: int) -> None:
        """Pictures that show what a model can do, into ``folder``."""

    def begin_with(self, bundle: Bundle) -> None:
        """Takes the weights of ``bundle`` in place of the initial ones; the rest is as in any run.

        Raises ``AtelierError`` ``start-unfit`` where they do not fit the network.
        """
        ancestry.load_start(self.model, bundle)
        self.average = loop.MovingAverage(self.model, self.training.average_decay)

    def before_training(self) -> None:  # noqa: B027 - most families have nothing to do here
        """What a family wants to know of the network before its first step."""

    @abstractmethod
    def seconds_at_end(self, model: nn.Module) -> float:
        """About how long ``write`` will take."""

    @abstractmethod
    def architecture(self) -> dict[str, object]:
        """The configuration as plain values; ``config_of`` reads it back."""

    @staticmethod
    @abstractmethod
    def config_of(architecture: dict) -> Any:
        """The configuration from its plain values."""

    @abstractmethod
    def write(
        self, folder: Path, train_set: PictureSet, test_set: PictureSet, settings: dict
    ) -> Path:
        """Measure the averaged model and write its bundle, with the pictures kept next to it."""

    # ------------------------------------------------------------ one epoch

    @property
    def steps_per_epoch(self) -> int:
        whole = max(1, len(self.trained.levels) // self.training.batch_size)
        wanted = self.training.updates_per_epoch
        if wanted > whole:
            raise ValueError(
                f"updates_per_epoch must be at most the {whole} of one pass, got {wanted}"
            )
        return wanted or whole

    def augmented_batch(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        """Training pictures (B, 3, 32, 32) in [-1, 1], augmented, channels last."""
        x = self.training.augmentation(loop.as_float(self.trained.levels[rows]), generator)
        return x.contiguous(memory_format=torch.channels_last)

    def descend(self, loss: Tensor, number: int) -> None:
        """One update of the weights by the gradient of ``loss``, at the rate of step ``number``."""
        training, share = self.training, 1.0
        if training.cosine:
            total = self.steps_per_epoch * training.epochs
            share = loop.cosine_rate(number, total, training.warmup_steps)
        for group in self.optimizer.param_groups:
            group["lr"] = self.peak_rate() * (1.0 if group.get("constant") else share)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if training.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), training.clip_norm)
        self.optimizer.step()
        self.average.update(self.model)

    def run_epoch(self, bar: tqdm | None = None) -> dict[str, float]:
        """One pass over the training pictures; averages over its steps."""
        self.model.train()
        generator = loop.epoch_generator(self.training.seed, self.epoch, "train", self.device)
        order = torch.randperm(len(self.trained.levels), generator=generator, device=self.device)
        steps = []
        for index in range(self.steps_per_epoch):
            rows = order[index * self.training.batch_size : (index + 1) * self.training.batch_size]
            steps.append(self.step(rows, self.epoch * self.steps_per_epoch + index, generator))
            if index % CHECKED_EVERY == 0:
                self.stop_unless_finite([steps[-1][0]])
            if bar is not None:
                bar.update(1)
        self.stop_unless_finite([steps[-1][0], *self.model.state_dict().values()])
        return self.summary(steps)

    def stop_unless_finite(self, values: Sequence[Tensor]) -> None:
        """Raises ``AtelierError`` ``run-not-finite`` where a loss or a weight is no finite number."""
        sums = torch.stack([value.detach().double().sum() for value in values])
        if bool(torch.isfinite(distributed.mean(sums.sum()))):  # the same answer in every process
            return
        raise not_finite("The loss is", self.epoch)

    def averaged_model(self) -> nn.Module:
        """The model with the moving average of its weights, in eval mode."""
        model = copy.deepcopy(self.model)
        model.load_state_dict(self.average.values)
        return model.eval()

    def state(self) -> dict[str, object]:
        return {
            "epoch": self.epoch,
            "history": self.history,
            "model": self.model.state_dict(),
            "average": self.average.values,
            "average_updates": self.average.updates,
            "optimizer": self.optimizer.state_dict(),
        }

    def restore(self, state: dict) -> None:
        self.epoch = state["epoch"]
        self.history = state["history"]
        self.model.load_state_dict(state["model"])
        self.average.values = state["average"]
        self.average.updates = state["average_updates"]
        self.optimizer.load_state_dict(state["optimizer"])
