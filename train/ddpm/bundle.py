"""From a trained diffusion model to its bundle: final figures, profiles, golden tensors, card."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from core.bundles import bundle as bundles
from core.bundles.weights import stored_weights
from core.ddpm.explorer import golden_deviation, golden_outputs
from core.ddpm.model import DDPM, DDPMConfig
from core.ddpm.samplers import Step, ddim, p_sample_loop, time_grid
from core.ddpm.schedule import EpsModel, NoiseSchedule, draw_noise
from core.ddpm.unet import UNet
from core.judge.frechet import frechet_distance
from core.pictures import images
from core.pictures.data import PictureSet
from core.pictures.images import Pictures
from train.run import ancestry, loop, sets
from train.run.bundling import Measurements, bundle_config, progress_files, rounded, shown_rows

LEVELS = 20
LEVEL_PICTURES = 256
SAMPLES = 512
SAMPLE_STEPS = 50
COMPONENTS = 64
SHEET_PICTURES = 24
SHEET_COLUMNS = 8
BATCH = 64
SAYS = {
    "eps": "The network says the noise and was trained by the smooth L1 of it.",
    "v": (
        "The network says v = sqrt(alpha_bar) eps - sqrt(1 - alpha_bar) x_0, from which the noise "
        "follows, and was trained by the smooth L1 of v."
    ),
}


def pictures_at_end(T: int) -> int:
    """How many pictures ``write`` passes through the network, for a time budget."""
    return LEVELS * LEVEL_PICTURES + SAMPLES * SAMPLE_STEPS + SHEET_PICTURES * T


# ---------------------------------------------------------------- figures


@torch.no_grad()
def losses_by_level(
    eps_model: EpsModel, schedule: NoiseSchedule, levels: Tensor
) -> tuple[dict, dict[str, np.ndarray]]:
    """How well the noise is guessed at ``LEVELS`` noise levels, on the same pictures and noise."""
    device = levels.device
    x0 = loop.as_float(levels[shown_rows(len(levels), LEVEL_PICTURES)])
    generator = loop.epoch_generator(0, 0, "levels", torch.device("cpu"))
    noise = torch.randn(x0.shape, generator=generator).to(device)
    places = (torch.arange(LEVELS) * 2 + 1) * schedule.T // (2 * LEVELS)
    rows = []
    for t in places.tolist():
        x_t = schedule.q_sample(x0, t, noise)
        times = torch.full((BATCH,), t, device=device)
        eps_hat = torch.cat([eps_model(part, times[: len(part)]) for part in x_t.split(BATCH)])
        x0_hat = schedule.x0_from_eps(x_t, t, eps_hat)
        rows.append(
            [
                float(F.smooth_l1_loss(eps_hat.double(), noise.double())),
                float((eps_hat - noise).double().square().mean()),
                float((x0_hat - x0).double().square().mean()),
            ]
        )
    loss, eps_mse, x0_mse = np.array(rows).T
    arrays = {
        "level_t": places.numpy().astype(np.int64),
        "level_log_snr": schedule.log_snr.cpu()[places].float().numpy(),
        "level_loss": loss.astype(np.float32),
        "level_eps_mse": eps_mse.astype(np.float32),
        "level_x0_mse": x0_mse.astype(np.float32),
    }
    figures = {
        "pictures": len(x0),
        "levels": LEVELS,
        "loss": float(loss.mean()),
        "eps_mse": float(eps_mse.mean()),
    }
    return figures, arrays


def generators(count: int) -> list[torch.Generator]:
    """One source of noise a picture, on the CPU: the same pictures on every device."""
    return [torch.Generator().manual_seed(seed) for seed in range(count)]


@torch.no_grad()
def draw(
    eps_model: EpsModel, schedule: NoiseSchedule, count: int, steps: int, device: torch.device
) -> Pictures:
    """``count`` pictures, number i from seed i: by DDIM without noise, or, for all T, ancestral."""
    made = []
    for part in range(0, count, BATCH):
        sources = generators(count)[part : part + BATCH]
        x_T = draw_noise(torch.empty(len(sources), 3, 32, 32), sources).to(device)
        x_T = x_T.contiguous(memory_format=torch.channels_last)
        times = time_grid(schedule.T, steps)
        if steps == schedule.T:
            way = p_sample_loop(eps_model, schedule, x_T, times, generator=sources)
        else:
            way = ddim(eps_model, schedule, x_T, times)
        made.append(images.to_pictures(last(way).x_t))
    return np.concatenate(made)


def last(way) -> Step:
    """The result of a sampler."""
    for step in way:
        found = step
    return found


def pixel_components(pictures: Pictures) -> tuple[np.ndarray, np.ndarray]:
    """Mean (3072,) and first principal directions (3072, ``COMPONENTS``) of pictures in [-1, 1]."""
    flat = pictures.reshape(len(pictures), -1).astype(np.float64) / 127.5 - 1
    mean = flat.mean(axis=0)
    if len(flat) < flat.shape[1]:  # the rows span fewer directions than there are pixels
        _left, _values, directions = np.linalg.svd(flat - mean, full_matrices=False)
        return mean, directions[:COMPONENTS].T
    _values, vectors = np.linalg.eigh(np.cov(flat, rowvar=False))
    return mean, vectors[:, ::-1][:, :COMPONENTS]


def sample_figures(
    drawn: Pictures, steps: int, train_set: PictureSet, test_set: PictureSet
) -> dict:
    """How like the data samples of ``steps`` steps are, in pixels, and how like it real pictures are."""
    mean, directions = pixel_components(train_set.pictures)

    def features(pictures: Pictures) -> np.ndarray:
        flat = pictures.reshape(len(pictures), -1).astype(np.float64) / 127.5 - 1
        return (flat - mean) @ directions

    real, train = features(test_set.pictures), features(train_set.pictures)
    some = features(train_set.pictures[shown_rows(len(train), len(drawn))])
    return {
        "samples": len(drawn),
        "steps": steps,
        "components": min(COMPONENTS, directions.shape[1]),
        "frechet_pixel_components": frechet_distance(features(drawn), real),
        "frechet_real_against_real": frechet_distance(some, real),
        "sharpness": images.sharpness(drawn),
        "sharpness_of_test_pictures": images.sharpness(test_set.pictures),
    }


def timing(model: DDPM, device: torch.device) -> dict[str, float | str]:
    """Seconds of one network call a picture at batch 16, what the samplers make of it, and where."""
    eps_model, schedule = model.to(device).eps, model.schedule
    x = torch.zeros(16, 3, 32, 32, device=device).contiguous(memory_format=torch.channels_last)
    t = torch.zeros(16, dtype=torch.long, device=device)
    with torch.no_grad():
        call = loop.seconds_per_call(lambda: eps_model(x, t), device, warmup=10, runs=60) / len(x)
    return {
        "seconds_a_step": call,
        "seconds_a_picture_all_steps": call * schedule.T,
        "seconds_a_picture_50_steps": call * SAMPLE_STEPS,
        "device": loop.device_name(device),
    }


def measure(
    model: DDPM, about: dict, train_set: PictureSet, test_set: PictureSet, device: torch.device
) -> Measurements:
    """Measure a model with stored (float16) weights; ``about`` is the bundle's ``data``."""
    model = model.to(device)
    eps_model, schedule = model.eps, model.schedule
    levels = loop.resident(test_set.pictures, device)
    figures, arrays = losses_by_level(eps_model, schedule, levels)
    steps = min(SAMPLE_STEPS, schedule.T)
    drawn = draw(eps_model, schedule, SAMPLES, steps, device)
    ancestral = draw(eps_model, schedule, SHEET_PICTURES, schedule.T, device)
    return Measurements(
        metrics={
            "test": figures,
            "samples": sample_figures(drawn, steps, train_set, test_set),
            "schedule": {
                "alpha_bar_end": float(schedule.alphas_cumprod[-1]),
                "log_snr_end": float(schedule.log_snr[-1]),
            },
            "timing": timing(model, device),
            "protocol": protocol(about, schedule.T),
        },
        profiles=arrays,
        sheets={
            "ancestral": images.sheet_bytes(ancestral, SHEET_COLUMNS),
            "final": images.sheet_bytes(drawn[:SHEET_PICTURES], SHEET_COLUMNS),
        },
    )


# ---------------------------------------------------------------- the bundle


def golden(model: DDPM) -> dict[str, np.ndarray]:
    """Generated inputs and what the network makes of them, on the CPU in float32."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(4, 3, 32, 32, generator=generator)
    T = model.schedule.T
    t = torch.tensor([0, T // 4, T // 2, T - 1])
    outputs = golden_outputs(model, {"x": x, "t": t})
    return {
        "input.x": x.numpy(),
        "input.t": t.numpy(),
        **{f"output.{key}": value.detach().numpy() for key, value in outputs.items()},
    }


def write(
    folder: Path,
    unet: UNet,
    config: DDPMConfig,
    *,
    train_set: PictureSet,
    test_set: PictureSet,
    history: list[dict],
    settings: dict,
    progress_folder: Path,
    seconds_an_epoch: float,
) -> Path:
    """Measure the weights as they will be stored and write the bundle; its folder."""
    about = bundle_config("ddpm", config.plain(), settings, test_set, len(history))
    device = next(unet.parameters()).device
    stored = DDPM(rounded(unet), config.schedule.build(), config)
    measured = measure(stored, about["data"], train_set, test_set, device)
    measured.metrics["timing"]["seconds_an_epoch"] = seconds_an_epoch
    progress = progress_files(progress_folder, settings["training"]["epochs"], len(history))
    progress |= {
        f"epoch-{len(history):04d}-{kind}.jpg": sheet for kind, sheet in measured.sheets.items()
    }
    written = bundles.write_bundle(
        folder,
        config=about,
        weights=stored_weights(unet),
        history=history,
        metrics=measured.metrics,
        profiles=measured.profiles,
        golden=golden(stored.to(torch.device("cpu"))),
        progress=progress,
        card=card(about, measured.metrics, history),
        check=golden_deviation,
    )
    return written.folder


def protocol(about: dict, T: int) -> str:
    """What the figures of ``metrics.json`` were measured on, in one paragraph."""
    trained, tested = sets.describe(about)
    return (
        f"Trained on: {trained}. Measured on: {tested}. Stored float16 weights, arithmetic in "
        f"float32. Losses: mean over {min(LEVEL_PICTURES, about['test_pictures'])} test pictures "
        f"spread over the set, at {LEVELS} levels spread over T = {T}, the same noise at each; "
        f"values of noise have variance 1. Samples: {SAMPLES} pictures from seeds 0 to "
        f"{SAMPLES - 1}, DDIM with {min(SAMPLE_STEPS, T)} steps, eta 0, without clipping. Frechet distance: "
        f"between the Gaussians fitted to samples and to all test pictures in the first "
        f"{COMPONENTS} principal components of the training pixels, values in [-1, 1]; real "
        f"against real: as many training pictures in the place of samples. It sees colours and "
        "coarse shapes, not digits, and is not FID. Sharpness: mean absolute difference of "
        "neighbouring pixels, grey levels of 255."
    )


def card(config: dict, metrics: dict, history: list[dict]) -> str:
    """The model card: what it is, what it was trained on, how well it does, how to load it."""
    trained, tested = sets.describe(config["data"])
    architecture = DDPMConfig.read(config["architecture"])
    parameters = sum(p.numel() for p in UNet(architecture.unet).parameters())
    terms = sets.terms_of(config)
    test, samples, end = metrics["test"], metrics["samples"], metrics["schedule"]
    times = metrics["timing"]
    schedule = architecture.schedule
    rows = (
        (
            f"smooth L1 of the noise, mean over levels ({test['pictures']} pictures)",
            test["loss"],
            5,
        ),
        ("squared error of the noise, mean over levels", test["eps_mse"], 5),
        (
            f"Frechet distance in {samples['components']} principal components of pixels, "
            f"{samples['samples']} samples",
            samples["frechet_pixel_components"],
            2,
        ),
        ("the same, real against real", samples["frechet_real_against_real"], 2),
        (
            f"sharpness of samples (test pictures: {samples['sharpness_of_test_pictures']:.2f})",
            samples["sharpness"],
            2,
        ),
    )
    table = "\n".join(f"| {words} | {value:.{digits}f} |" for words, value, digits in rows)
    return f"""---
library_name: latent-atelier
tags: [diffusion, ddpm, image-generation, education]
{terms.front_matter}
---
# DDPM, T = {schedule.T}, {architecture.unet.architecture} U-Net

A denoising diffusion model for 32 x 32 colour pictures; {schedule.kind} schedule,
{parameters:,} parameters, exponential moving average of the weights. {SAYS[architecture.prediction]}
It is made for learning and teaching, not for recognising anything.

**Trained on** {trained}.

{ancestry.length_in_words(config, history)} {terms.sentence}
No picture of the data set is in this folder; the sheets in `progress/` were made by the model.

| on {tested} | |
|---|---|
{table}

At the last level alpha_bar is {end["alpha_bar_end"]:.2g}. One picture by all {schedule.T} steps takes
{times["seconds_a_picture_all_steps"]:.2f} s, by 50 steps {times["seconds_a_picture_50_steps"]:.2f} s,
at 16 at once on {times["device"]}.

{metrics["protocol"]}

```python
import torch
from core.ddpm import DDPM
model = DDPM.from_pretrained("path/to/this/folder")
with torch.inference_mode():
    for t, x_t, x0_hat in model.sample(16, sampler="ddim", steps=50):
        pass  # x_t ends as (16, 3, 32, 32) in [-1, 1]
```
"""
