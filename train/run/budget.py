"""How long an epoch takes, measured on a copy of a run before its first step."""

from __future__ import annotations

import torch

from train.run import loop
from train.run.trainer import Trainer


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
    return loop.seconds_per_call(lambda: trial.step(rows, 0, generator), trial.device)


def measure_pace(trainer: Trainer) -> tuple[float, float]:
    """Seconds of an epoch and of what follows the last one, measured on a copy."""
    trial = copy_of(trainer)
    step = seconds_of_a_step(trial)
    model = trial.averaged_model()
    test = loop.seconds_per_call(lambda: trial.evaluate(model), trainer.device, warmup=1, runs=1)
    return step * trainer.steps_per_epoch + test, trial.seconds_at_end(model)
