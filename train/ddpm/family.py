"""The family ``ddpm``, in one record."""

from __future__ import annotations

from core.ddpm.model import PRESETS
from train.ddpm import bundle, layer_probe, trainer, way
from train.ddpm.graphs import graphs
from train.family import TrainedFamily
from train.judge import judged

TRAINED = TrainedFamily(
    name="ddpm",
    summary="train a denoising diffusion model",
    command=trainer,
    trainer=trainer.Trainer,
    preset=lambda name: (PRESETS[name], trainer.PRESET_TRAINING[name]),
    measure=bundle.measure,
    card=bundle.card,
    graphs=graphs,
    task="unconditional-image-generation",
    figures=(
        ("eps_mse", "squared error of the noise, mean over levels", "test.eps_mse"),
        (
            "frechet_pixel_components",
            "Frechet distance in principal components of pixels (not FID)",
            "samples.frechet_pixel_components",
        ),
    ),
    judged=judged.of_ddpm,
    clocked=bundle.timing,
    way=way.measure,
    probed=layer_probe.measure,
)
