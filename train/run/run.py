"""One training run, whatever the model: settings, epochs, start, resume, budget.

A run is a folder: ``run.json`` (all settings, fixed until the run is lengthened), ``state.pt``
(after every epoch), ``progress/`` (pictures) and, at the end, ``bundle/``. Who writes there holds its
lock. A family of models is a ``Trainer``: it says how one step is taken, what is measured, and how
its bundle is written. ``train.options`` is its command line.
"""

from __future__ import annotations

import copy
import math
import os
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar, get_args

import numpy as np
import torch
from filelock import FileLock, Timeout
from torch import Tensor, nn
from tqdm import tqdm

from core.bundles.bundle import Bundle
from core.bundles.files import restore_interrupted, write_json
from core.bundles.weights import stored_weights
from core.errors import AtelierError
from core.pictures.data import PictureSet, Selection
from train import ancestry, distributed, loop, sets
from train.ancestry import Ancestor
from train.augment import DigitAugmentation
from train.loop import Resident

SECONDS_FOR_A_LOOK = 1.0
"""How long the lock is waited for: a process that only asks whether it is held holds it so long."""

PLAN_VARIABLE = "ATELIER_PLAN"
"""Names the process of the plan that a run is part of: the run ends where its plan has ended."""

CHECKED_EVERY = 50
"""Updates between two looks at the loss: on a GPU each look waits for all work under way."""


@dataclass(frozen=True)
class Training:
    """How a model is trained: data, length, optimiser, average of weights, augmentation, seed.

    ``pictures`` of the training split (0: all), of which ``selection`` says which. An epoch is one
    pass over them, or ``updates_per_epoch`` updates where that is not 0: so a run with small batches
    can be measured as often, and end after as many updates, as one with large batches. ``lengthened``:
    (epochs done, epochs planned until then) of every change. ``ancestors``: the bundles that the
    weights come from.
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
    seed: int = 0
    pictures: int = 0
    selection: Selection = "shares"
    updates_per_epoch: int = 0
    lengthened: tuple[tuple[int, int], ...] = ()
    ancestors: tuple[Ancestor, ...] = ()

    def __post_init__(self) -> None:
        if isinstance(self.augmentation, dict):
            object.__setattr__(self, "augmentation", DigitAugmentation(**self.augmentation))
        object.__setattr__(self, "betas", tuple(self.betas))
        object.__setattr__(self, "lengthened", tuple(tuple(pair) for pair in self.lengthened))
        object.__setattr__(self, "ancestors", tuple(self.ancestors))
        if self.epochs < 1:
            raise ValueError(f"epochs must be at least 1, got {self.epochs}")
        if self.batch_size < 2:
            raise ValueError(f"batch_size must be at least 2, got {self.batch_size}")
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate must be above 0, got {self.learning_rate}")
        if self.pictures < 0:
            raise ValueError(f"pictures must be 0 (all) or more, got {self.pictures}")
        if self.selection not in get_args(Selection):
            raise ValueError(
                f"selection must be one of {get_args(Selection)}, got {self.selection!r}"
            )
        if self.updates_per_epoch < 0:
            raise ValueError(
                f"updates_per_epoch must be 0 (all pictures) or more, got {self.updates_per_epoch}"
            )
        if self.seed < 0:
            raise ValueError(f"seed must be 0 or more, got {self.seed}")

    @classmethod
    def read(cls, stored: dict) -> Self:
        """The settings that a run stored; one of an earlier version took its first pictures."""
        return cls(**{"selection": "first", **stored})


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


# ---------------------------------------------------------------- what a family adds


class Trainer(ABC):
    """Model, optimiser and data of a run, on one device."""

    family: ClassVar[str]
    training_class: ClassVar[type[Training]] = Training

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
        """Measure the averaged model and write its bundle, with the pictures kept beside it."""

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

    def augmented(self, rows: Tensor, generator: torch.Generator) -> Tensor:
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


# ---------------------------------------------------------------- a run


def longer(training: Training, done: int, epochs: int) -> Training:
    """The settings of a run that goes on to ``epochs`` epochs, ``done`` of them behind it.

    What was planned before is kept in ``lengthened``, so that a bundle tells of every change. The
    number that it was planned for changes nothing: the command that lengthened a run may be
    repeated after an interruption.
    """
    if epochs < training.epochs:
        raise ValueError(
            f"epochs of a run that is resumed must be at least the {training.epochs} it was "
            f"planned for, got {epochs}"
        )
    if epochs == training.epochs:
        return training
    return replace(
        training, epochs=epochs, lengthened=(*training.lengthened, (done, training.epochs))
    )


def _and_then(earlier: str, now: str) -> str:
    return earlier if earlier.endswith(now) else f"{earlier}, then {now}"


def copy_of(trainer: Trainer) -> Trainer:
    """The same run before its first step, to try things on."""
    return type(trainer)(
        trainer.config, trainer.training, trainer.device, trainer.trained, trainer.tested
    )


def seconds_of_a_step(trial: Trainer) -> float:
    """One update of the weights; the weights of ``trial`` move."""
    generator = loop.epoch_generator(trial.training.seed, 0, "pace", trial.device)
    count = min(trial.training.batch_size, len(trial.trained.levels))
    rows = torch.arange(count, device=trial.device)
    return loop.timed(lambda: trial.step(rows, 0, generator), trial.device)


def measure_pace(trainer: Trainer) -> tuple[float, float]:
    """Seconds of an epoch and of what follows the last one, measured on a copy."""
    trial = copy_of(trainer)
    step = seconds_of_a_step(trial)
    model = trial.averaged_model()
    test = loop.timed(lambda: trial.evaluate(model), trainer.device, warmup=1, runs=1)
    return step * trainer.steps_per_epoch + test, trial.seconds_at_end(model)


@contextmanager
def locked(run: Path) -> Iterator[None]:
    """The folder of a run, for one process at a time, or those of one ``torchrun``.

    The lock goes with the process that holds it, however it ends. Raises ``AtelierError``
    ``run-busy``.
    """
    if not distributed.is_first():
        yield
        return
    run.mkdir(parents=True, exist_ok=True)
    lock = FileLock(run / ".lock")
    try:
        lock.acquire(timeout=SECONDS_FOR_A_LOOK)
    except Timeout as error:
        raise AtelierError(
            "run-busy", "Another process trains {folder} at present.", folder=run
        ) from error
    try:
        restore_interrupted(run)
        restore_interrupted(run / "progress")
        yield
    finally:
        lock.release()


def orphaned() -> bool:
    """Whether the plan that this run is part of is no more: then nothing limits its time."""
    plan = os.environ.get(PLAN_VARIABLE)
    return plan is not None and plan != str(os.getppid())


def train(
    family: type[Trainer],
    run: Path,
    config: Any,
    training: Training,
    *,
    start: Bundle | None = None,
    minutes: float | None = None,
    at_most: float | None = None,
    resume: bool = False,
    lengthen: int | None = None,
    finish: bool = False,
    download: bool = False,
    device: torch.device,
) -> Path:
    """Start or resume a run; the folder of the finished bundle.

    ``start``: the bundle whose weights a new run begins with. ``minutes`` decides the number of
    epochs once, at the start; after ``at_most`` minutes by the clock no further epoch is begun, and the
    bundle is that of the last one. ``lengthen`` gives a resumed run a new number of epochs in all: the
    learning rate goes on where a run of that length stands. ``finish`` trains no further and makes
    the bundle of the last whole epoch. ``download`` fetches data that is not at hand.

    Raises ``AtelierError``: ``run-busy``, ``run-exists``, ``run-missing``, ``run-damaged``,
    ``run-other-data``, ``run-not-finite``, ``start-unfit``, and those of ``sets.load``.
    """
    run, end = Path(run), time.monotonic() + 60 * (math.inf if at_most is None else at_most)
    if (resume or finish) and not (run / "state.pt").exists():
        raise loop.no_run(run)
    with locked(run):
        if resume or finish:
            trainer, settings, pictures = _taken_up(family, run, lengthen, download, device)
        else:
            trainer, settings, pictures = _begun(
                family, run, config, training, start, minutes, download, device
            )
        if distributed.is_first() and not finish:
            write_json(run / "run.json", settings)
        if finish:
            trainer.snapshot(trainer.averaged_model(), run / "progress", trainer.epoch)
        else:
            _run_epochs(trainer, run, settings, end)
        if not distributed.is_first():
            return run / "bundle"  # which the first process writes
        return trainer.write(run / "bundle", *pictures, settings)


def is_locked(run: Path) -> bool:
    """Whether a process holds the lock of a run at present."""
    file = Path(run) / ".lock"
    if not file.exists():
        return False
    lock = FileLock(file)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return True
    lock.release()
    return False


Opened = tuple[Trainer, dict, tuple[PictureSet, PictureSet]]
"""A run ready to train: with its settings, and its training and test pictures."""


def _with_data(
    family: type[Trainer], config: Any, training: Training, download: bool, device: torch.device
) -> tuple[Trainer, tuple[PictureSet, PictureSet]]:
    pictures = sets.load(
        training.data,
        training.split,
        training.test_split,
        folder=training.folder,
        download=download,
        pictures=training.pictures,
        selection=training.selection,
    )
    held = (Resident.of(one, device) for one in pictures)
    return family(config, training, device, *held), pictures


def _taken_up(
    family: type[Trainer], run: Path, lengthen: int | None, download: bool, device: torch.device
) -> Opened:
    """The run in ``run`` after its last whole epoch."""
    state = loop.load_state(run / "state.pt", device)
    settings = state["settings"]
    config = family.config_of(settings["architecture"])
    training = planned = family.training_class.read(settings["training"])
    if lengthen is not None:
        training = longer(training, state["epoch"], lengthen)
    if training != planned:
        settings |= {"device": _and_then(settings["device"], loop.device_name(device))}
        settings |= {"code_version": loop.code_version()}
    settings["training"] = asdict(training)  # an older run lacks newer settings
    trainer, pictures = _with_data(family, config, training, download, device)
    prints = [settings["data"][key] for key in ("fingerprint", "test_fingerprint")]
    if prints != [one.fingerprint() for one in pictures]:
        raise AtelierError(
            "run-other-data",
            "The pictures at hand are not those that {folder} was trained on.",
            folder=run,
        )
    trainer.restore(state)
    return trainer, settings, pictures


def _begun(
    family: type[Trainer],
    run: Path,
    config: Any,
    training: Training,
    start: Bundle | None,
    minutes: float | None,
    download: bool,
    device: torch.device,
) -> Opened:
    """A new run before its first step."""
    if (run / "state.pt").exists():
        raise AtelierError(
            "run-exists",
            "{folder} holds a run already: go on with --resume, or name another folder.",
            folder=run,
        )
    note = training.data_note or sets.note_of(training.data, training.split, training.folder)
    training = replace(training, data_note=note)
    if start is not None:
        training = replace(training, ancestors=ancestry.ancestors(start))
    trainer, pictures = _with_data(family, config, training, download, device)
    if start is not None:
        trainer.begin_with(start)
    if minutes is not None:
        per_epoch, at_end = measure_pace(trainer)
        epochs = distributed.agreed(loop.epochs_within(minutes, per_epoch, at_end))
        if distributed.is_first():
            print(f"{minutes:g} minutes: {epochs} epochs of {per_epoch:.1f} s", flush=True)
        trainer.training = training = replace(training, epochs=epochs)
    train_set, test_set = pictures
    settings = {
        "architecture": trainer.architecture(),
        "training": asdict(training),
        "data": {
            "name": train_set.name,
            "split": train_set.split,
            "pictures": len(train_set),
            "test_split": test_set.split,
            "test_pictures": len(test_set),
            "note": training.data_note,
            "fingerprint": train_set.fingerprint(),
            "test_fingerprint": test_set.fingerprint(),
        },
        "device": loop.device_name(device),
        "code_version": loop.code_version(),
    }
    return trainer, settings, pictures


def _run_epochs(trainer: Trainer, run: Path, settings: dict, end: float) -> None:
    """The epochs that are left; after ``end`` none is begun but the very first of a run."""
    epochs = trainer.training.epochs
    shown = loop.snapshot_epochs(epochs)
    first = distributed.is_first()
    silent = not (first and sys.stderr.isatty())
    if trainer.epoch == 0:
        trainer.before_training()
        trainer.snapshot(trainer.averaged_model(), run / "progress", 0)
    while trainer.epoch < epochs:
        if orphaned():
            raise KeyboardInterrupt
        late = trainer.epoch > 0 and time.monotonic() > end
        if distributed.agreed(int(late)):  # the first process's clock, or some would go on alone
            if trainer.epoch not in shown and first:
                trainer.snapshot(trainer.averaged_model(), run / "progress", trainer.epoch)
            return
        start = time.perf_counter()
        title = f"epoch {trainer.epoch + 1}/{epochs}"
        with tqdm(total=trainer.steps_per_epoch, desc=title, leave=False, disable=silent) as bar:
            row = trainer.run_epoch(bar)
        trainer.epoch += 1
        loop.synchronize(trainer.device)
        train_seconds = time.perf_counter() - start
        model = trainer.averaged_model()
        row |= trainer.evaluate(model)
        if trainer.epoch in shown:
            trainer.snapshot(model, run / "progress", trainer.epoch)
        for name, value in row.items():
            if not math.isfinite(value):
                raise not_finite(f"{name} is", trainer.epoch - 1)
        seconds = time.perf_counter() - start
        earlier = trainer.history[-1]["seconds_total"] if trainer.history else 0.0
        trainer.history.append(
            {
                "epoch": trainer.epoch,
                "updates": trainer.epoch * trainer.steps_per_epoch,
                **row,
                "seconds": seconds,
                "seconds_train": train_seconds,
                "seconds_total": earlier + seconds,
            }
        )
        if first:
            loop.save_state(run / "state.pt", {**trainer.state(), "settings": settings})
            print(f"{title}  {_in_words(row)}  {seconds:.1f} s", flush=True)


def _in_words(row: dict[str, float]) -> str:
    return "  ".join(f"{name} {value:.5g}" for name, value in row.items())


def bundle_config(
    family: str, architecture: dict, settings: dict, test_set: PictureSet, epochs_done: int
) -> dict:
    """What ``config.json`` of a run's bundle says, but for the format."""
    return {
        "family": family,
        "architecture": architecture,
        "preprocessing": {"size": 32, "range": [-1, 1], "channels": "RGB"},
        "data": {**settings["data"], "class_names": list(test_set.class_names)},
        "training": {
            **settings["training"],
            "folder": Path(settings["training"]["folder"]).name,  # where it lay is nobody's matter
            "device": settings["device"],
            "epochs_done": epochs_done,
        },
        "seed": settings["training"]["seed"],
        "code_version": settings["code_version"],
    }


@dataclass(frozen=True)
class Measured:
    """All that a bundle says of its weights: figures, arrays, sheets of pictures by kind."""

    metrics: dict
    profiles: dict[str, np.ndarray]
    sheets: dict[str, bytes]


Network = TypeVar("Network", bound=nn.Module)


def rounded(model: Network) -> Network:
    """The model as its bundle will give it back: float16 weights, float32 arithmetic, CPU."""
    stored = {key: torch.from_numpy(value) for key, value in stored_weights(model).items()}
    again = copy.deepcopy(model).to("cpu")
    again.load_state_dict(stored)
    return again.eval()


def shown_rows(count: int, wanted: int) -> list[int]:
    """The same rows every time, spread over the set: what progress pictures are made of."""
    wanted = min(wanted, count)
    return [index * count // wanted for index in range(wanted)]


def progress_files(folder: Path, planned: int, done: int) -> dict[str, bytes]:
    """Sheets of a run of ``planned`` epochs up to the last ``done``, at most 40 a kind."""
    wanted = {epoch for epoch in loop.snapshot_epochs(planned) if epoch <= done} | {done}
    files = sorted(folder.glob("epoch-*.jpg"))
    return {
        file.name: file.read_bytes() for file in files if int(file.name.split("-")[1]) in wanted
    }
