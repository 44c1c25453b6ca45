"""The family ``simsiam``, in one record."""

from __future__ import annotations

from core.simsiam.joint_embedding import EMBEDDING_PRESETS
from train.family import TrainedFamily
from train.simsiam import bundle, trainer
from train.simsiam.graphs import graphs

TRAINED = TrainedFamily(
    name="simsiam",
    summary="train SimSiam or one of its siblings",
    command=trainer,
    trainer=trainer.Trainer,
    preset=lambda name: (
        trainer.named_config(trainer.ABLATIONS["baseline"], EMBEDDING_PRESETS[name]),
        trainer.SimSiamTraining(),
    ),
    measure=bundle.measure,
    card=bundle.card,
    graphs=graphs,
    task="image-feature-extraction",
    figures=(
        ("knn_accuracy", "kNN accuracy", "test.knn_accuracy"),
        ("linear_accuracy", "accuracy of a linear probe", "test.linear_accuracy"),
    ),
    of_training=("before", "spectrum_", "map_", "right_by_epoch"),
    record=True,
)
