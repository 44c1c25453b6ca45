"""One training run, whatever the model, in three verbs: start, resume, finish.

A run is a folder: ``run.json`` (all settings, fixed until the run is lengthened), ``state.pt``
(after every epoch), ``progress/`` (pictures) and, at the end, ``bundle/``. Who writes there holds its
lock. A family of models is a ``Trainer``: it says how one step is taken, what is measured, and how
its bundle is written. ``train.run.options`` is its command line.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from core import checks
from core.bundles.bundle import Bundle, required_files
from core.bundles.files import write_json
from core.errors import AtelierError
from core.pictures.data import PictureSet
from train.run import ancestry, bundling, distributed, loop, sets
from train.run.budget import measure_pace
from train.run.lock import orphaned, run_lock
from train.run.loop import MOST_EPOCHS, Resident
from train.run.settings import Training, not_finite
from train.run.trainer import Trainer

STATE = {"epoch", "history", "model", "average", "average_updates", "optimizer"}
"""What the state of every run holds next to its settings."""

Pictures = tuple[PictureSet, PictureSet]
"""Training and test pictures of a run."""


# ---------------------------------------------------------------- the three verbs


def start(
    family: type[Trainer],
    run: Path,
    config: Any,
    training: Training,
    *,
    begin_with: Bundle | None = None,
    minutes: float | None = None,
    at_most: float | None = None,
    download: bool = False,
    device: torch.device,
) -> Path:
    """Train from the first epoch to the last; the folder of the finished bundle.

    ``begin_with``: the bundle whose weights take the place of random ones. ``minutes`` decides the
    number of epochs, once. After ``at_most`` minutes by the clock no further epoch is begun, and the
    bundle is that of the last one. ``download`` fetches data that is not at hand.

    Raises ``AtelierError``: ``run-busy``, ``run-exists``, ``run-in-bundle``, ``run-no-bundle``,
    ``run-not-finite``, ``start-unfit``, and those of ``sets.load`` and of ``family.check``;
    ``OSError`` where a file cannot be read or written.
    """
    end = _end_after(at_most)
    if at_most is None:  # a sheet's name has four digits, which no run reaches that the clock ends
        checks.whole("epochs", training.epochs, 1, MOST_EPOCHS)
    _refuse_bundle(run := Path(run))
    with run_lock(run):
        if (run / "state.pt").exists():
            raise AtelierError(
                "run-exists",
                "{folder} holds a run already: go on with --resume, or name another folder.",
                folder=run,
            )
        if training.folder:  # a run may be resumed from another working directory
            training = replace(training, folder=absolute_folder(training.folder))
        note = training.data_note or sets.note_of(training.data, training.split, training.folder)
        training = replace(training, data_note=note)
        if begin_with is not None:
            training = replace(training, ancestors=ancestry.ancestors(begin_with))
        trainer, pictures = _with_data(family, config, training, download, device)
        if begin_with is not None:
            trainer.begin_with(begin_with)
        if minutes is not None:
            trainer.training = replace(training, epochs=_epochs_within(minutes, trainer))
        settings = _settings_of(trainer, pictures)
        _check_bundle(trainer, pictures, settings)
        return _train_and_bundle(trainer, run, pictures, settings, end)


def resume(
    family: type[Trainer],
    run: Path,
    *,
    epochs: int | None = None,
    folder: str | None = None,
    at_most: float | None = None,
    download: bool = False,
    device: torch.device,
) -> Path:
    """Go on after the last whole epoch; the folder of the finished bundle.

    ``epochs`` gives the run a new length in all: the learning rate goes on where a run of that length
    stands. ``folder``: where one's own pictures lie now. ``at_most`` and ``download`` as in ``start``.

    Raises ``AtelierError``: ``run-busy``, ``run-missing``, ``run-damaged``, ``run-family``,
    ``run-other-data``, ``run-not-finite``, and those of ``sets.load`` and of ``family.check``;
    ``OSError`` where a file cannot be read or written.
    """
    end = _end_after(at_most)
    with _open_run(family, run, epochs, folder, download, device) as (trainer, settings, pictures):
        return _train_and_bundle(trainer, Path(run), pictures, settings, end)


def finish(
    family: type[Trainer],
    run: Path,
    *,
    folder: str | None = None,
    download: bool = False,
    device: torch.device,
) -> Path:
    """No more training: the bundle of the last whole epoch; its folder.

    ``folder`` as in ``resume``. Raises ``AtelierError``: ``run-busy``, ``run-missing``,
    ``run-damaged``, ``run-family``, ``run-other-data``, and those of ``sets.load`` and of
    ``family.check``; ``OSError`` where a file cannot be read or written.
    """
    with _open_run(family, run, None, folder, download, device) as (trainer, settings, pictures):
        trainer.snapshot(trainer.averaged_model(), Path(run) / "progress", trainer.epoch)
        return _write_bundle(trainer, Path(run), pictures, settings)


# ---------------------------------------------------------------- what they share


def _refuse_bundle(run: Path) -> None:
    """Raises ``AtelierError`` ``run-in-bundle``: nothing that is not of a bundle is written into one."""
    place = run.absolute()
    for folder in (place, *place.parents):
        if all((folder / file).is_file() for file in required_files(folder)):
            raise AtelierError(
                "run-in-bundle",
                "{folder} is a bundle: name another folder for the run; to begin with its weights, name it "
                "with --from.",
                folder=folder,
            )


def _end_after(at_most: float | None) -> float:
    """The moment, on the monotonic clock, after which no epoch is begun."""
    return time.monotonic() + 60 * (math.inf if at_most is None else at_most)


def _train_and_bundle(
    trainer: Trainer, run: Path, pictures: Pictures, settings: dict, end: float
) -> Path:
    if distributed.is_first():
        write_json(run / "run.json", settings)
    _run_epochs(trainer, run, settings, end)
    return _write_bundle(trainer, run, pictures, settings)


def _write_bundle(trainer: Trainer, run: Path, pictures: Pictures, settings: dict) -> Path:
    if distributed.is_first():  # one process writes, whatever their number
        trainer.write(run / "bundle", *pictures, settings)
    return run / "bundle"


def _with_data(
    family: type[Trainer], config: Any, training: Training, download: bool, device: torch.device
) -> tuple[Trainer, Pictures]:
    pictures = sets.load(
        training.data,
        training.split,
        training.test_split,
        folder=training.folder,
        download=download,
        pictures=training.pictures,
        selection=training.selection,
        mixed=training.mixed,
    )
    family.check(config, *pictures)
    held = (Resident.of(one, device) for one in pictures)
    return family(config, training, device, *held), pictures


def _epochs_within(minutes: float, trainer: Trainer) -> int:
    """How many epochs the budget allows, the same number in every process."""
    per_epoch, at_end = measure_pace(trainer)
    epochs = distributed.agree_on(loop.epochs_within(minutes, per_epoch, at_end))
    if distributed.is_first():
        print(f"{minutes:g} minutes: {epochs} epochs of {per_epoch:.1f} s", flush=True)
    return epochs


def _settings_of(trainer: Trainer, pictures: Pictures) -> dict:
    """What ``run.json`` says of a new run."""
    train_set, test_set = pictures
    return {
        "family": trainer.family,
        "architecture": trainer.architecture(),
        "training": asdict(trainer.training),
        "data": {
            "name": train_set.name,
            "split": train_set.split,
            "pictures": len(train_set),
            "test_split": test_set.split,
            "test_pictures": len(test_set),
            "note": trainer.training.data_note,
            "fingerprint": train_set.fingerprint(),
            "test_fingerprint": test_set.fingerprint(),
        },
        "device": loop.device_name(trainer.device),
        "code_version": loop.code_version(),
    }


def _check_bundle(trainer: Trainer, pictures: Pictures, settings: dict) -> None:
    """Raises ``AtelierError`` ``run-no-bundle`` where the bundle at the end could not be read."""
    config = bundling.bundle_config(
        trainer.family, trainer.architecture(), settings, pictures[1], trainer.training.epochs
    )
    bundling.check_config(config)


def absolute_folder(folder: str) -> str:
    """A folder as it is found from every working directory; ``~`` is one's home."""
    return str(Path(folder).expanduser().absolute())


def _read(family: type[Trainer], run: Path, state: object) -> tuple[dict, Any, Training]:
    """Settings of a stored run, as plain values and as what the family makes of them."""
    settings = state.get("settings") if isinstance(state, dict) else None
    if not isinstance(settings, dict) or not set(state) >= STATE:
        raise loop.run_damaged(run / "state.pt")
    if settings.get("family", family.family) != family.family:
        raise AtelierError(
            "run-family",
            "{folder} is a run of the family {found}, not of {family}.",
            folder=run,
            found=settings["family"],
            family=family.family,
        )
    try:
        config = family.config_of(settings["architecture"])
        return settings, config, family.training_class.read(settings["training"])
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, ValueError) and "family" in settings:
            raise
        # Runs of earlier versions name no family.
        raise AtelierError(
            "run-family",
            "{folder} is no run of the family {family}: its settings are others.",
            folder=run,
            family=family.family,
        ) from error


def _with_folder(training: Training, folder: str | None) -> Training:
    """The settings of a run whose own pictures lie in ``folder`` now."""
    if folder is None:
        return training
    if not training.folder:
        raise ValueError(
            f"folder must be left out: the run was trained on {training.data}, got {folder!r}"
        )
    return replace(training, folder=absolute_folder(folder))


@contextmanager
def _open_run(
    family: type[Trainer],
    run: Path,
    epochs: int | None,
    folder: str | None,
    download: bool,
    device: torch.device,
) -> Iterator[tuple[Trainer, dict, Pictures]]:
    """The run in ``run`` after its last whole epoch, locked; ``epochs``: its new length."""
    run = Path(run)
    if not (run / "state.pt").exists():
        raise loop.no_run(run)
    with run_lock(run):
        state = loop.load_state(run / "state.pt", device)
        settings, config, training = _read(family, run, state)
        training = planned = _with_folder(training, folder)
        if epochs is not None:
            training = longer(training, state["epoch"], epochs)
        if training != planned:
            settings["device"] = _and_then(settings["device"], loop.device_name(device))
            settings["code_version"] = loop.code_version()
        settings["training"] = asdict(training)  # an older run lacks newer settings
        trainer, pictures = _with_data(family, config, training, download, device)
        prints = [settings["data"][key] for key in ("fingerprint", "test_fingerprint")]
        if prints != [one.fingerprint() for one in pictures]:
            raise AtelierError(
                "run-other-data",
                "The pictures at hand are not those that {folder} was trained on.",
                folder=run,
            )
        try:
            trainer.restore(state)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise loop.run_damaged(run / "state.pt") from error
        _check_bundle(trainer, pictures, settings)
        yield trainer, settings, pictures


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
    checks.whole("epochs", epochs, 1, MOST_EPOCHS)
    return replace(
        training, epochs=epochs, lengthened=(*training.lengthened, (done, training.epochs))
    )


def _and_then(earlier: str, now: str) -> str:
    return earlier if earlier.endswith(now) else f"{earlier}, then {now}"


# ---------------------------------------------------------------- epochs


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
        if distributed.agree_on(int(late)):  # the first process's clock, or some would go on alone
            if trainer.epoch not in shown and first:
                trainer.snapshot(trainer.averaged_model(), run / "progress", trainer.epoch)
            return
        begun = time.perf_counter()
        title = f"epoch {trainer.epoch + 1}/{epochs}"
        with tqdm(total=trainer.steps_per_epoch, desc=title, leave=False, disable=silent) as bar:
            row = trainer.run_epoch(bar)
        trainer.epoch += 1
        loop.synchronize(trainer.device)
        train_seconds = time.perf_counter() - begun
        model = trainer.averaged_model()
        row |= trainer.evaluate(model)
        if trainer.epoch in shown:
            trainer.snapshot(model, run / "progress", trainer.epoch)
        for name, value in row.items():
            if not math.isfinite(value):
                raise not_finite(f"{name} is", trainer.epoch - 1)
        seconds = time.perf_counter() - begun
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
