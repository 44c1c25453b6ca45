"""The family ``vae``, in one record."""

from __future__ import annotations

from core.vae.networks import PRESETS
from train.family import TrainedFamily
from train.judge import judged
from train.vae import bundle, trainer
from train.vae.graphs import graphs

TRAINED = TrainedFamily(
    name="vae",
    summary="train a variational autoencoder",
    command=trainer,
    trainer=trainer.Trainer,
    preset=lambda name: (PRESETS[name], trainer.PRESET_TRAINING[name]),
    measure=bundle.measure,
    card=bundle.card,
    graphs=graphs,
    task="unconditional-image-generation",
    figures=(
        ("negative_elbo", "negative ELBO, nats", "test.negative_elbo"),
        ("mse", "squared error of a reconstruction, pictures in [-1, 1]", "test.mse"),
    ),
    judged=judged.of_vae,
)
