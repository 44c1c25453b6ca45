"""The family ``judge``, in one record."""

from __future__ import annotations

from core.judge.model import PRESETS
from train.family import TrainedFamily
from train.judge import bundle, trainer
from train.judge.graphs import graphs

TRAINED = TrainedFamily(
    name="judge",
    summary="train a judge of digits",
    command=trainer,
    trainer=trainer.Trainer,
    preset=lambda name: (PRESETS[name], trainer.JudgeTraining()),
    measure=bundle.measure,
    card=bundle.card,
    graphs=graphs,
    task="image-classification",
    figures=(
        ("accuracy", "accuracy", "test.accuracy"),
        ("expected_calibration_error", "expected calibration error", "test.calibration_error"),
    ),
)
