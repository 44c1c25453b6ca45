"""How a model is trained: the settings that every family has."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Self, get_args

from core import checks
from core.bundles import schema
from core.errors import AtelierError
from core.pictures.data import Selection
from train.run.ancestry import Ancestor
from train.run.augment import DigitAugmentation

MOST_UPDATES = schema.COUNT["maximum"]
"""Of an epoch or of the rise of the learning rate, and pictures of a batch or a set."""
MOST_SEED = 2**63 - 1
"""The largest that a bundle may name, and that every generator takes."""


@dataclass(frozen=True)
class Training:
    """How a model is trained: data, length, optimiser, average of weights, augmentation, seed.

    ``pictures`` of the training split (0: all), of which ``selection`` says which; ``mixed`` is the
    order of those of a folder (``train.run.sets.load``). An epoch is one pass over them, or
    ``updates_per_epoch`` updates where that is not 0: so a run with small batches can be measured as
    often, and end after as many updates, as one with large batches. ``lengthened``: (epochs done,
    epochs planned until then) of every change. ``ancestors``: the bundles that the weights come from.
    ``compile`` and ``record`` make steps faster (``train.run.recorded``).
    """

    data: str = "svhn"
    split: str = "train"
    test_split: str = "test"
    data_note: str = ""
    folder: str = ""
    epochs: int = 60
    batch_size: int = 128
    learning_rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.0
    warmup_steps: int = 200
    cosine: bool = True
    average_decay: float = 0.999
    clip_norm: float | None = None
    augmentation: DigitAugmentation = field(default_factory=DigitAugmentation)
    compile: bool = False
    record: bool = False
    seed: int = 0
    pictures: int = 0
    selection: Selection = "shares"
    mixed: bool = True
    updates_per_epoch: int = 0
    lengthened: tuple[tuple[int, int], ...] = ()
    ancestors: tuple[Ancestor, ...] = ()

    def __post_init__(self) -> None:
        if isinstance(self.augmentation, dict):
            object.__setattr__(self, "augmentation", DigitAugmentation(**self.augmentation))
        object.__setattr__(self, "betas", tuple(self.betas))
        object.__setattr__(self, "lengthened", tuple(tuple(pair) for pair in self.lengthened))
        object.__setattr__(self, "ancestors", tuple(self.ancestors))
        checks.whole("epochs", self.epochs, 1, MOST_UPDATES)
        checks.whole("batch_size", self.batch_size, 2, MOST_UPDATES)
        if not 0 < self.learning_rate < math.inf:
            raise ValueError(f"learning_rate must be above 0, got {self.learning_rate}")
        if not 0 <= self.weight_decay < math.inf:
            raise ValueError(f"weight_decay must be 0 or more, got {self.weight_decay}")
        checks.whole("warmup_steps", self.warmup_steps, 0, MOST_UPDATES)
        if not 0 <= self.average_decay < 1:
            raise ValueError(f"average_decay must be 0 to below 1, got {self.average_decay}")
        if self.pictures < 0 or self.pictures == 1:
            raise ValueError(f"pictures must be 0 (all), or 2 or more, got {self.pictures}")
        checks.whole("pictures", self.pictures, 0, MOST_UPDATES)
        if self.selection not in get_args(Selection):
            raise ValueError(
                f"selection must be one of {get_args(Selection)}, got {self.selection!r}"
            )
        checks.whole("updates_per_epoch", self.updates_per_epoch, 0, MOST_UPDATES)
        checks.whole("seed", self.seed, 0, MOST_SEED)

    @classmethod
    def read(cls, stored: dict) -> Self:
        """The settings that a run stored.

        One of an earlier version took its first pictures, and those of a folder class behind class.
        """
        return cls(**{"selection": "first", "mixed": False, **stored})


def not_finite(what: str, kept: int) -> AtelierError:
    """What to raise where something is no finite number; the state after epoch ``kept`` stays."""
    advice = (
        f"The state after epoch {kept} is kept: make a bundle of it with --finish, and begin a run "
        "with that bundle (--from) at a lower --learning-rate."
        if kept
        else "Begin again at a lower --learning-rate."
    )
    return AtelierError(
        "run-not-finite",
        "{what} no finite number any more in epoch {epoch}: the run stopped. {advice}",
        what=what,
        epoch=kept + 1,
        advice=advice,
    )
