"""Trains a VAE by the evidence lower bound and leaves a bundle.

A run is a folder: ``run.json`` (all settings, fixed at the start), ``state.pt`` (after every
epoch), ``progress/`` (pictures) and, at the end, ``bundle/``.
"""

from __future__ import annotations

import argparse
import copy
import sys
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from core import images
from core.errors import AtelierError
from core.files import replacing, write_json
from core.vae import (
    NLL_CONSTANT,
    PICTURE_DIMENSIONS,
    PRESETS,
    VAE,
    DiagonalGaussianDistribution,
    VAEConfig,
    active_units,
)
from train import loop, sets, vae_bundle
from train.augment import DigitAugmentation


@dataclass(frozen=True)
class VAETraining:
    """How a VAE is trained; the defaults are the recipe of the default preset."""

    data: str = "svhn"
    split: str = "train"
    test_split: str = "test"
    data_note: str = ""
    folder: str = ""
    epochs: int = 60
    batch_size: int = 128
    learning_rate: float = 3e-3
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.0
    warmup_steps: int = 200
    cosine: bool = True
    average_decay: float = 0.999
    clip_norm: float | None = 200.0
    augmentation: DigitAugmentation = field(
        default_factory=lambda: DigitAugmentation(
            shift=0.04,
            scale=0.08,
            rotation=5.0,
            contrast=0.15,
            brightness=0.1,
            tint=0.03,
            invert=0.15,
        )
    )
    seed: int = 0

    def __post_init__(self) -> None:
        if isinstance(self.augmentation, dict):
            object.__setattr__(self, "augmentation", DigitAugmentation(**self.augmentation))
        object.__setattr__(self, "betas", tuple(self.betas))
        if self.epochs < 1:
            raise ValueError(f"epochs must be at least 1, got {self.epochs}")
        if self.batch_size < 2:
            raise ValueError(f"batch_size must be at least 2, got {self.batch_size}")
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate must be above 0, got {self.learning_rate}")


RECIPES: dict[str, VAETraining] = {
    "default": VAETraining(),
    "homework": VAETraining(
        learning_rate=1e-3,
        betas=(0.9, 0.999),
        warmup_steps=0,
        cosine=False,
        average_decay=0.0,
        clip_norm=None,
        augmentation=DigitAugmentation(),
    ),
}


# ---------------------------------------------------------------- one epoch


@dataclass
class Trainer:
    """Model, optimiser and data of a run, on one device."""

    config: VAEConfig
    training: VAETraining
    device: torch.device
    train_levels: Tensor
    test_levels: Tensor

    def __post_init__(self) -> None:
        with torch.random.fork_rng(devices=[]):  # initial weights; the global generator is put back
            torch.manual_seed(self.training.seed)
            self.model = VAE(self.config)
        self.model.to(self.device, memory_format=torch.channels_last)
        self.average = loop.MovingAverage(self.model, self.training.average_decay)
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(),
            lr=self.training.learning_rate,
            betas=self.training.betas,
            weight_decay=self.training.weight_decay,
        )
        self.epoch = 0
        self.history: list[dict] = []

    @property
    def steps_per_epoch(self) -> int:
        return max(1, len(self.train_levels) // self.training.batch_size)

    def step(self, rows: Tensor, number: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """One update on the given rows: mean (nll, kl) of the batch (2,), and E[z|x] (B, d)."""
        training = self.training
        x = training.augmentation(loop.as_float(self.train_levels[rows]), generator)
        share = 1.0
        if training.cosine:
            total = self.steps_per_epoch * training.epochs
            share = loop.cosine_rate(number, total, training.warmup_steps)
        for group in self.optimizer.param_groups:
            group["lr"] = training.learning_rate * share
        with loop.autocast(self.device):
            encoded = self.model.encode(x.contiguous(memory_format=torch.channels_last))
        # Latents and losses are float32, whatever the networks run in: a loss sums 3,072 pixels.
        posterior = DiagonalGaussianDistribution(encoded.mean.float(), encoded.logvar.float())
        z = posterior.sample(generator)
        with loop.autocast(self.device):
            decoded = self.model.decode(z).mean
        nll = DiagonalGaussianDistribution(decoded.float()).nll(x).mean()
        kl = posterior.kl().mean()
        self.optimizer.zero_grad(set_to_none=True)
        (nll + kl).backward()
        if training.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), training.clip_norm)
        self.optimizer.step()
        self.average.update(self.model)
        return torch.stack([nll, kl]).detach(), posterior.mean.detach()

    def run_epoch(self, bar: tqdm | None = None) -> dict[str, float]:
        """One pass over the training pictures; averages over its steps."""
        self.model.train()
        generator = loop.epoch_generator(self.training.seed, self.epoch, "train", self.device)
        order = torch.randperm(len(self.train_levels), generator=generator, device=self.device)
        losses, means = [], []
        for index in range(self.steps_per_epoch):
            rows = order[index * self.training.batch_size : (index + 1) * self.training.batch_size]
            loss, mean = self.step(rows, self.epoch * self.steps_per_epoch + index, generator)
            losses.append(loss)
            means.append(mean)
            if bar is not None:
                bar.update(1)
        nll, kl = torch.stack(losses).mean(dim=0).tolist()
        return {
            "train_nll": nll,
            "train_kl": kl,
            "train_negative_elbo": nll + kl,
            "train_mse": mse_of(nll),
            "train_active_units": int(active_units(torch.cat(means)).sum()),
        }

    def averaged_model(self) -> VAE:
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


def mse_of(nll: float) -> float:
    """Mean squared error of a pixel that a unit-variance nll in nats stands for."""
    return 2 * (nll - NLL_CONSTANT) / PICTURE_DIMENSIONS


@torch.no_grad()
def evaluate(model: VAE, levels: Tensor, *, draws: int = 1, seed: int = 0) -> dict[str, float]:
    """nll, kl, negative ELBO (nats), mse and active units over pictures, ``draws`` of z each."""
    device = levels.device
    generator = loop.epoch_generator(seed, 0, "evaluate", device)
    nll = kl = mse = 0.0
    means = []
    for batch in levels.split(256):
        x = loop.as_float(batch)
        posterior = model.encode(x)
        means.append(posterior.mean)
        kl += posterior.kl().cpu().double().sum().item()
        for _ in range(draws):
            likelihood = model.decode(posterior.sample(generator))
            nll += likelihood.nll(x).cpu().double().sum().item() / draws
            mse += (likelihood.mean - x).square().mean(
                dim=(1, 2, 3)
            ).cpu().double().sum().item() / draws
    count = len(levels)
    return {
        "nll": nll / count,
        "kl": kl / count,
        "negative_elbo": (nll + kl) / count,
        "mse": mse / count,
        "active_units": int(active_units(torch.cat(means)).sum()),
    }


# ---------------------------------------------------------------- a run


def snapshot(model: VAE, test_levels: Tensor, folder: Path, epoch: int) -> None:
    """Samples of the same z, and reconstructions of the same test pictures, as two sheets."""
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(vae_bundle.SHEET_PICTURES, model.config.latent_dim, generator=generator)
    with torch.no_grad():
        samples = images.to_pictures(model.decode(z.to(test_levels.device)).mode())
    shown = test_levels[vae_bundle.shown_rows(len(test_levels), vae_bundle.SHEET_PICTURES)]
    sheets = {
        "samples": images.sheet_bytes(samples, vae_bundle.SHEET_COLUMNS),
        "reconstructions": vae_bundle.reconstruction_sheet(model, shown),
    }
    for kind, sheet in sheets.items():
        with replacing(folder / f"epoch-{epoch:04d}-{kind}.jpg") as temporary:
            temporary.write_bytes(sheet)


def measure_pace(trainer: Trainer) -> tuple[float, float]:
    """Seconds of an epoch and of what follows the last one, measured on a copy."""
    trial = Trainer(
        trainer.config, trainer.training, trainer.device, trainer.train_levels, trainer.test_levels
    )
    generator = loop.epoch_generator(trainer.training.seed, 0, "pace", trainer.device)
    rows = torch.arange(
        min(trainer.training.batch_size, len(trial.train_levels)), device=trial.device
    )
    step = loop.timed(lambda: trial.step(rows, 0, generator), trainer.device)
    model = trial.averaged_model()
    test = loop.timed(lambda: evaluate(model, trial.test_levels), trainer.device, warmup=1, runs=1)
    decode = vae_bundle.decodings_at_end(len(trial.train_levels), len(trial.test_levels))
    return step * trainer.steps_per_epoch + test, test / len(trial.test_levels) * decode


def train(
    run: Path,
    config: VAEConfig,
    training: VAETraining,
    *,
    minutes: float | None = None,
    resume: bool = False,
    finish: bool = False,
    download: bool = False,
    device: torch.device,
) -> Path:
    """Start or resume a run; the folder of the finished bundle.

    ``minutes`` decides the number of epochs once, at the start. ``finish`` trains no further and
    makes the bundle of the last whole epoch. ``download`` fetches data that is not at hand.
    """
    state_file = run / "state.pt"
    if resume or finish:
        state = loop.load_state(state_file, device)
        settings = state["settings"]
        config = VAEConfig(**settings["architecture"])
        training = VAETraining(**settings["training"])
        settings["training"] = asdict(training)  # an older run lacks newer settings
    elif state_file.exists():
        raise AtelierError(
            "run-exists",
            "{folder} holds a run already: go on with --resume, or name another folder.",
            folder=run,
        )
    train_set, test_set = sets.load(
        training.data,
        training.split,
        training.test_split,
        folder=training.folder,
        download=download,
    )
    trainer = Trainer(
        config,
        training,
        device,
        loop.resident(train_set.pictures, device),
        loop.resident(test_set.pictures, device),
    )
    if resume or finish:
        prints = [settings["data"][key] for key in ("fingerprint", "test_fingerprint")]
        if prints != [train_set.fingerprint(), test_set.fingerprint()]:
            raise AtelierError(
                "run-other-data",
                "The pictures at hand are not those that {folder} was trained on.",
                folder=run,
            )
        trainer.restore(state)
    else:
        if minutes is not None:
            per_epoch, at_end = measure_pace(trainer)
            epochs = loop.epochs_within(minutes, per_epoch, at_end)
            print(f"{minutes:g} minutes: {epochs} epochs of {per_epoch:.1f} s")
            trainer.training = training = replace(training, epochs=epochs)
        settings = {
            "architecture": trainer.model.architecture(),
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
        write_json(run / "run.json", settings)
    if finish:
        snapshot(trainer.averaged_model(), trainer.test_levels, run / "progress", trainer.epoch)
    else:
        _run_epochs(trainer, run, settings)
    return vae_bundle.write(
        run / "bundle",
        trainer.averaged_model(),
        train_set=train_set,
        test_set=test_set,
        history=trainer.history,
        settings=settings,
        progress_folder=run / "progress",
    )


def _run_epochs(trainer: Trainer, run: Path, settings: dict) -> None:
    epochs = trainer.training.epochs
    shown = loop.snapshot_epochs(epochs)
    if trainer.epoch == 0:
        snapshot(trainer.averaged_model(), trainer.test_levels, run / "progress", 0)
    while trainer.epoch < epochs:
        start = time.perf_counter()
        title = f"epoch {trainer.epoch + 1}/{epochs}"
        with tqdm(
            total=trainer.steps_per_epoch, desc=title, leave=False, disable=not sys.stderr.isatty()
        ) as bar:
            row = trainer.run_epoch(bar)
        trainer.epoch += 1
        loop.synchronize(trainer.device)
        train_seconds = time.perf_counter() - start
        model = trainer.averaged_model()
        row |= {f"test_{key}": value for key, value in evaluate(model, trainer.test_levels).items()}
        if trainer.epoch in shown:
            snapshot(model, trainer.test_levels, run / "progress", trainer.epoch)
        seconds = time.perf_counter() - start
        earlier = trainer.history[-1]["seconds_total"] if trainer.history else 0.0
        trainer.history.append(
            {
                "epoch": trainer.epoch,
                **row,
                "seconds": seconds,
                "seconds_train": train_seconds,
                "seconds_total": earlier + seconds,
            }
        )
        loop.save_state(run / "state.pt", {**trainer.state(), "settings": settings})
        print(
            f"{title}  train {row['train_negative_elbo']:.2f}  test {row['test_negative_elbo']:.2f}"
            f"  (kl {row['test_kl']:.2f}, mse {row['test_mse']:.5f},"
            f" {row['test_active_units']} active)  {seconds:.1f} s",
            flush=True,
        )


# ---------------------------------------------------------------- the command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--run", type=Path, required=True, help="folder of the run")
    parser.add_argument("--preset", choices=tuple(PRESETS), default="default")
    parser.add_argument("--latent-dim", type=int, help="units of z (the assignment: 32 or 100)")
    parser.add_argument("--resume", action="store_true", help="go on with the run in the folder")
    parser.add_argument(
        "--finish", action="store_true", help="no more training: a bundle of the last epoch"
    )
    parser.add_argument(
        "--download",
        action="store_true",
        help="fetch the data set from the Hub where it is missing",
    )
    parser.add_argument("--minutes", type=float, help="budget; decides the number of epochs")
    parser.add_argument("--device", help="cuda, mps or cpu (default: the best at hand)")
    defaults = VAETraining()
    for name in (
        "data",
        "split",
        "test_split",
        "data_note",
        "folder",
        "epochs",
        "batch_size",
        "learning_rate",
        "weight_decay",
        "average_decay",
        "seed",
    ):
        default = getattr(defaults, name)
        parser.add_argument(
            f"--{name.replace('_', '-')}", type=type(default), help=f"default: {default!r}"
        )
    parser.add_argument(
        "--augment", type=float, default=1.0, help="factor on every augmentation (0: none)"
    )


def main(arguments: argparse.Namespace) -> None:
    config = PRESETS[arguments.preset]
    if arguments.latent_dim is not None:
        config = replace(config, latent_dim=arguments.latent_dim)
    training = RECIPES[arguments.preset]
    given = {
        key: value
        for key, value in vars(arguments).items()
        if value is not None and key in VAETraining.__dataclass_fields__
    }
    if given and (arguments.resume or arguments.finish):
        names = ", ".join(f"--{key.replace('_', '-')}" for key in given)
        raise ValueError(f"--resume and --finish take the settings of the run: leave out {names}")
    scaled = {key: value * arguments.augment for key, value in vars(training.augmentation).items()}
    training = replace(training, **given, augmentation=DigitAugmentation(**scaled))
    try:
        bundle = train(
            arguments.run,
            config,
            training,
            minutes=arguments.minutes,
            resume=arguments.resume,
            finish=arguments.finish,
            download=arguments.download,
            device=loop.pick_device(arguments.device),
        )
    except KeyboardInterrupt:
        if not (arguments.run / "state.pt").exists():
            raise AtelierError(
                "run-stopped-early", "Stopped within the first epoch: there is nothing to keep."
            ) from None
        raise AtelierError(
            "run-stopped",
            "Stopped. The last whole epoch is kept: go on with --resume, or make a bundle of it "
            "with --finish.",
        ) from None
    print(f"bundle: {bundle}")
