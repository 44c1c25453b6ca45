"""A library of tiny bundles under the names of the embedded ones, trained on drawn digits and objects.

Pages are tested on it: what they do must not depend on how good the embedded weights are, and tiny
networks answer at once. Made once a session, whichever worker asks first.
"""

import json
from argparse import Namespace
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from filelock import FileLock

from core.ddpm import DDPMConfig, ScheduleConfig, UNetConfig
from core.judge import JudgeConfig
from core.pictures.data import SOURCES
from core.vae import VAEConfig
from tests.narrow import without_onednn
from train.ddpm import bundle as ddpm_bundle
from train.ddpm import layer_probe, way
from train.ddpm import trainer as ddpm
from train.judge import judged
from train.judge import trainer as judge
from train.release import embed, measure
from train.simsiam import trainer as simsiam
from train.simsiam.diagnosis import Protocol
from train.vae import bundle as vae_bundle
from train.vae import trainer as vae

CPU = torch.device("cpu")
TRAINED, TESTED = 160, 30
LENGTHS = (500, 1000, 1500)
RUNS = (
    "baseline",
    "no-stop-gradient",
    "no-predictor",
    "fixed-predictor",
    "dim-4096",
    "neither",
    "byol",
)
WITH_WEIGHTS = RUNS[:2]
COLLAPSED = ("no-stop-gradient", "no-predictor", "neither")
SIZE = replace(
    simsiam.EMBEDDING_PRESETS["narrow"],
    width=8,
    stem="strided",
    hidden=12,
    dim=16,
    predictor_hidden=6,
)
FEW = {
    vae_bundle: {
        "IMPORTANCE_PICTURES": 6,
        "IMPORTANCE_SAMPLES": (1, 10, 50),
        "READ_ITERATIONS": 30,
    },
    ddpm_bundle: {"SAMPLES": 40, "LEVEL_PICTURES": 16, "COMPONENTS": 6},
    way: {"SEEDS": 40},
    layer_probe: {
        "TRAIN_PICTURES": 40,
        "TEST_PICTURES": 20,
        "SHARES": (0.05, 0.2),
        "PROBE_ITERATIONS": 30,
    },
    judged: {
        "SAMPLES": 60,
        "TOLD_APART": 20,
        "T_STAR_STEPS": 10,
        "T_STAR_PLACES": (1, 2, 3, 4, 5, 6, 7, 8, 10),
        "T_STAR_DRAWS": 2,
        "PURIFIED_STEPS": 10,
        "PURIFIED_PLACES": (1, 2, 3, 5, 7, 9),
        "PURIFIED_PICTURES": 6,
    },
}
"""Constants that say of how many pictures figures are; smaller here."""


def library(folder: Path, make_digits, write_shard) -> Path:
    """The folder of bundles below ``folder``, made by the first process that asks."""
    made = folder / "checkpoints"
    with FileLock(folder / "library.lock"):
        if not (folder / "made").exists():
            write_data(folder / "data", make_digits, write_shard)
            made.mkdir(exist_ok=True)
            (made / "manifest.json").write_text('{"format": 1, "bundles": []}')
            with without_onednn(), pytest.MonkeyPatch.context() as patch:
                patch.setenv("ATELIER_DATA_DIR", str(folder / "data"))
                patch.setattr(judged, "CHECKPOINTS", made)
                patch.setattr(ddpm_bundle, "draw", in_few_steps(ddpm_bundle.draw))
                for module, constants in FEW.items():
                    for name, value in constants.items():
                        patch.setattr(module, name, value)
                make_bundles(folder, made)
            (folder / "made").touch()
    return made


def in_few_steps(draw):
    """Pictures drawn in 10 steps where 50 are asked for, in 8 where all T are."""

    def drawn(eps_model, schedule, count, steps, device):
        steps = 8 if steps == schedule.T else min(steps, 10)
        return draw(eps_model, schedule, count, steps, device)

    return drawn


def write_data(root: Path, make_digits, write_shard) -> None:
    for name in ("svhn", "cifar10"):
        source = SOURCES[name]
        for split, count, seed in (("train", TRAINED, 0), ("test", TESTED, 1)):
            file = root / source.repo / source.configuration / f"{split}-00000-of-00001.parquet"
            write_shard(file, *make_digits(count, seed), source.image_column, source.label_column)


def make_bundles(folder: Path, made: Path) -> None:
    def add(bundle: Path, name: str, title: str, *, judged_too: bool = False, record: bool = False):
        if judged_too:
            measure.main(
                Namespace(
                    bundle=bundle,
                    folder="",
                    device="cpu",
                    t_star=None,
                    seconds=False,
                    way=False,
                    layers=False,
                )
            )
        embed.main(
            Namespace(bundle=bundle, name=name, title=title, record=record, checkpoints=made)
        )

    training = judge.JudgeTraining(epochs=20, batch_size=16, warmup_steps=5)
    config = JudgeConfig(channels=(8, 16, 16), blocks=1)
    add(
        judge.start(folder / "judge", config, training, device=CPU),
        "judge-svhn",
        "Digit classifier on SVHN",
    )
    training = vae.VAETraining(epochs=20, batch_size=16, warmup_steps=5)
    config = VAEConfig(channels=(8, 8, 16), latent_dim=10)
    add(
        vae.start(folder / "vae", config, training, device=CPU),
        "vae-svhn",
        "VAE on SVHN",
        judged_too=True,
    )
    unet = UNetConfig(channels=(8, 8, 8), time_width=16, attention=(False, False, False))
    for T in LENGTHS:
        training = ddpm.DDPMTraining(epochs=10, batch_size=16, warmup_steps=5)
        config = DDPMConfig(unet, ScheduleConfig(T=T))
        add(
            ddpm.start(folder / f"ddpm-{T}", config, training, device=CPU),
            f"ddpm-svhn-{T}",
            f"DDPM on SVHN, T = {T}",
            judged_too=True,
        )
    for recipe in RUNS:
        chosen = simsiam.ABLATIONS[recipe]
        size = replace(SIZE, dim=32) if "dim" in chosen.config else SIZE
        values = {key: value for key, value in chosen.config.items() if key != "dim"}
        training = simsiam.SimSiamTraining(
            recipe=recipe,
            epochs=5,
            batch_size=32,
            learning_rate=0.3,
            protocol=Protocol(spread=30, queries=30, bank=100, k=10),
        )
        config = simsiam.named_config(replace(chosen, config=values), size)
        bundle = simsiam.start(folder / recipe, config, training, device=CPU)
        if recipe in COLLAPSED:
            collapse(bundle / "history.json")
        add(
            bundle,
            f"simsiam-cifar10-{recipe}",
            recipe,
            record=recipe not in WITH_WEIGHTS,
        )


def collapse(file: Path) -> None:
    """Figures of a run that collapses further than so short a one does."""
    history = json.loads(file.read_text(encoding="utf-8"))
    for row in history:
        row["test_std_z"] *= 0.1
        row["test_rank_z"] = 1 + 0.1 * (row["test_rank_z"] - 1)
    file.write_text(json.dumps(history), encoding="utf-8")
