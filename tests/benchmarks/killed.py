"""What ``kills.py`` kills: every function here is the work of one child process, from its begin to its end."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from pathlib import Path

import torch
import torch._dynamo  # here, and not by the first optimiser of every child: it takes seconds
import torchvision  # noqa: F401 - of the same kind, by the first network of SimSiam

from core.bundles import hub, remote
from core.ddpm.model import DDPMConfig, ScheduleConfig
from core.ddpm.unet import UNetConfig
from core.errors import AtelierError
from core.families import networks
from core.judge.model import JudgeConfig
from core.simsiam.joint_embedding import EmbeddingConfig
from core.vae.networks import VAEConfig
from train.__main__ import main
from train.ddpm import bundle as ddpm_bundle
from train.ddpm import trainer as ddpm
from train.judge import trainer as judge
from train.run import loop
from train.simsiam import trainer as simsiam
from train.simsiam.diagnosis import Protocol
from train.vae import bundle as vae_bundle
from train.vae import trainer as vae

CPU = torch.device("cpu")
EPOCHS, AT_ONCE = 3, 16
SHORT = {"epochs": EPOCHS, "batch_size": AT_ONCE, "warmup_steps": 2}
FEW = Protocol(spread=20, queries=20, bank=40, k=5)
SIZE = EmbeddingConfig(width=8, stem="strided", hidden=16, dim=16, predictor_hidden=8)
FAMILIES = {
    "vae": (vae, VAEConfig(channels=(8, 8, 8), latent_dim=4), vae.VAETraining(**SHORT)),
    "ddpm": (
        ddpm,
        DDPMConfig(UNetConfig(channels=(8, 8, 8), time_width=16), ScheduleConfig(T=20)),
        ddpm.DDPMTraining(**SHORT),
    ),
    "simsiam": (
        simsiam,
        simsiam.named_config(simsiam.ABLATIONS["baseline"], SIZE),
        simsiam.SimSiamTraining(**SHORT, protocol=FEW),
    ),
    "judge": (judge, JudgeConfig(channels=(8, 8, 8), blocks=1), judge.JudgeTraining(**SHORT)),
}
"""By family: trainer, network, recipe; of each the smallest that there is."""
FEWER = {
    vae_bundle: {
        "IMPORTANCE_PICTURES": 4,
        "IMPORTANCE_SAMPLES": (1, 10, 50),
        "READ_ITERATIONS": 30,
    },
    ddpm_bundle: {"SAMPLES": 12, "LEVEL_PICTURES": 8, "COMPONENTS": 6},
}
"""Constants that say of how many pictures figures are; smaller here."""
CHANGES = ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.chmod", "os.truncate")
TO_WRITE = os.O_WRONLY | os.O_RDWR
ALONE = 2000
"""Bytes of a file that goes to the Hub by itself: fewer than in earnest, as all files are smaller here."""


def begin(log: Path, told: Path | None = None, at: int | None = None) -> None:
    """Sends what is printed to ``log``; the process then kills itself right before its change of a file number
    ``at``, counted from 0. Without it ``told`` says, at the end, how many changes there were.
    """
    sink = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for place in (1, 2):
        os.dup2(sink, place)
    torch.set_num_threads(1)
    loop.code_version = lambda: "unknown"
    for module, constants in FEWER.items():
        for name, value in constants.items():
            setattr(module, name, value)
    hub.SENT_ALONE = ALONE
    count_changes(told, at)


def count_changes(told: Path | None, at: int | None) -> None:
    """Hears of every change of a file before it happens."""
    if told is None and at is None:
        return
    changes = 0

    def heard(event: str, arguments: tuple) -> None:
        nonlocal changes
        opened = event == "open" and isinstance(arguments[2], int) and arguments[2] & TO_WRITE
        if not opened and event not in CHANGES:
            return
        if changes == at:
            os.kill(os.getpid(), signal.SIGKILL)
        changes += 1

    sys.addaudithook(heard)
    if told is not None:
        ENDS.callback(lambda: told.write_text(str(changes)))


ENDS = contextlib.ExitStack()
"""What a child does at its end."""


def train(family: str, run: Path, log: Path, told: Path | None, at: int | None) -> None:
    """Begins a run, or goes on with the one that is there; to its bundle."""
    begin(log, told, at)
    trainer, config, training = FAMILIES[family]
    with ENDS:
        if (run / "state.pt").exists():
            trainer.resume(run, device=CPU)
        else:
            trainer.start(run, config, training, device=CPU)


def finish(family: str, run: Path, log: Path, told: Path | None, at: int | None) -> None:
    """Writes the bundle of a run anew, in place of the one that is there."""
    begin(log, told, at)
    with ENDS:
        FAMILIES[family][0].finish(run, device=CPU)


def publish(bundle: Path, repo: str, log: Path, told: Path | None, at: int | None) -> None:
    """Puts a bundle on the Hub; the exit status is that of the command."""
    begin(log, told, at)
    with ENDS:
        status = main(["publish", str(bundle), "--repo", repo])
    sys.exit(status)


def fetch(repo: str, log: Path, told: Path) -> None:
    """Opens what the Hub holds: ``told`` says the bundle's digest, or the code of the error."""
    begin(log)
    try:
        found = remote.fetch(repo, networks=networks()).digest
    except AtelierError as error:
        found = error.code
    told.write_text(found)
