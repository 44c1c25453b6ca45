"""Measures how fast each trainer goes, how near to the device's matrix peak, and where time goes.

On random pictures, with the settings of the recipe: pictures a second of training steps, floating
point operations of a picture (forward, backward) as a share of what the same device reaches in one
large matrix product, seconds of an evaluation (not part of the steps), and the operations that take
the longest. On CUDA also the share of the time in which the device computes at all: where it is
low, the processor cannot launch kernels fast enough.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from core.bundles.files import check_place, write_json
from train.families import TRAINED
from train.run import loop
from train.run.budget import seconds_of_a_step
from train.run.loop import Resident
from train.run.settings import Training
from train.run.trainer import Trainer

PROFILED_STEPS = 5
OPERATIONS = 6
TESTED = 2000
"""Random pictures that an evaluation looks at."""


@dataclass(frozen=True)
class Pace:
    """How fast a trainer goes. ``share_of_peak`` and ``busy`` are in [0, 1]; seconds are wall time.

    ``busy``: share of the time in which the device computes; 1 on a CPU. ``operations``: names and
    shares of the time spent in operations.
    """

    family: str
    preset: str
    batch_size: int
    pictures_a_second: float
    gflop_a_picture: float
    share_of_peak: float
    busy: float
    evaluation_seconds: float
    evaluation_pictures: int
    operations: tuple[tuple[str, float], ...]


def random_pictures(count: int, device: torch.device, seed: int) -> Resident:
    """``count`` pictures of uniform noise with the classes 0 to 9 in turn."""
    generator = torch.Generator().manual_seed(seed)
    levels = torch.randint(0, 256, (count, 3, 32, 32), dtype=torch.uint8, generator=generator)
    return Resident(levels.to(device), (torch.arange(count) % 10).to(device), classes=10)


def matrix_peak(device: torch.device) -> float:
    """Operations a second of a large matrix product in the type that the trainers compute in."""
    size, kind = (8192, torch.bfloat16) if device.type == "cuda" else (2048, torch.float32)
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(size, size, generator=generator).to(device, kind) for _ in range(2))
    return 2 * size**3 / loop.seconds_per_call(lambda: a @ b, device)


def flops_of_a_step(trainer: Trainer, rows: Tensor) -> int:
    """Floating point operations of one update; a multiplication and an addition are two."""
    generator = loop.epoch_generator(0, 0, "pace", trainer.device)
    with FlopCounterMode(display=False) as counted:
        trainer.step(rows, 0, generator)
    return counted.get_total_flops()


def where_time_goes(trainer: Trainer, rows: Tensor) -> tuple[float, tuple[tuple[str, float], ...]]:
    """Share of the time in which the device computes, and the longest operations by their share."""
    generator = loop.epoch_generator(0, 0, "pace", trainer.device)
    on_cuda = trainer.device.type == "cuda"
    kinds = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * on_cuda
    loop.synchronize(trainer.device)
    with profile(activities=kinds) as profiled:
        begun = time.perf_counter()
        for _ in range(PROFILED_STEPS):
            trainer.step(rows, 0, generator)
        loop.synchronize(trainer.device)
        wall = 1e6 * (time.perf_counter() - begun)
    column = "self_device_time_total" if on_cuda else "self_cpu_time_total"
    taken = {one.key: getattr(one, column) for one in profiled.key_averages()}
    total = sum(taken.values())
    longest = sorted(taken.items(), key=lambda item: -item[1])[:OPERATIONS]
    busy = min(1.0, total / wall) if on_cuda else 1.0
    return busy, tuple((name, microseconds / total) for name, microseconds in longest)


def recipe(family: str, preset: str, batch_size: int | None = None) -> tuple[object, Training]:
    """Network and settings that are timed; ValueError for a preset or a batch that cannot be."""
    try:
        config, training = TRAINED[family].preset(preset)
    except KeyError:
        raise ValueError(f"preset must be one that {family} has, got {preset!r}") from None
    return config, training if batch_size is None else replace(training, batch_size=batch_size)


def measure(
    family: str, preset: str, device: torch.device, peak: float, batch_size: int | None = None
) -> Pace:
    """The pace of a family's trainer on ``device``, whose matrix products reach ``peak``."""
    kind = TRAINED[family].trainer
    config, training = recipe(family, preset, batch_size)
    trained = random_pictures(training.batch_size, device, 0)
    tested = random_pictures(TESTED, device, 1)
    rows = torch.arange(training.batch_size, device=device)
    flops = flops_of_a_step(kind(config, training, device, trained, tested), rows)
    training = replace(training, record=device.type == "cuda")
    trainer = kind(config, training, device, trained, tested)
    seconds = seconds_of_a_step(trainer)
    busy, operations = where_time_goes(trainer, rows)
    model = trainer.averaged_model()
    evaluation = loop.seconds_per_call(lambda: trainer.evaluate(model), device, warmup=1, runs=1)
    return Pace(
        family=family,
        preset=preset,
        batch_size=training.batch_size,
        pictures_a_second=training.batch_size / seconds,
        gflop_a_picture=flops / training.batch_size / 1e9,
        share_of_peak=flops / seconds / peak,
        busy=busy,
        evaluation_seconds=evaluation,
        evaluation_pictures=TESTED,
        operations=operations,
    )


# ---------------------------------------------------------------- the command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("families", nargs="*", help=f"of {', '.join(TRAINED)} (default: all)")
    parser.add_argument("--preset", default="default", help="size of the network")
    parser.add_argument("--batch-size", type=int, help="default: the recipe's")
    parser.add_argument("--device", help="cuda, mps or cpu (default: the best at hand)")
    parser.add_argument("--to", type=Path, help="a file for the figures, as JSON")


def main(arguments: argparse.Namespace) -> None:
    families = arguments.families or list(TRAINED)
    for family in families:
        if family not in TRAINED:
            raise ValueError(f"families must be of {', '.join(TRAINED)}, got {family!r}")
        recipe(family, arguments.preset, arguments.batch_size)
    device = loop.pick_device(arguments.device)
    if arguments.to is not None:
        check_place(arguments.to)
    peak = matrix_peak(device)
    print(f"{loop.device_name(device)}: {peak / 1e12:.3g} TFLOP/s in a large matrix product")
    paces = []
    for family in families:
        pace = measure(family, arguments.preset, device, peak, arguments.batch_size)
        paces.append(pace)
        print(
            f"{family:<8} {arguments.preset}, batch {pace.batch_size}: "
            f"{pace.pictures_a_second:,.0f} pictures/s, {pace.gflop_a_picture:.3g} GFLOP each, "
            f"{pace.share_of_peak:.1%} of the peak, device busy {pace.busy:.0%}; "
            f"evaluation {pace.evaluation_seconds:.2g} s"
        )
        for name, share in pace.operations:
            print(f"           {share:6.1%}  {name}")
    if arguments.to is not None:
        write_json(
            arguments.to,
            {
                "device": loop.device_name(device),
                "torch": torch.__version__,
                "matrix_tflops": peak / 1e12,
                "paces": [asdict(pace) for pace in paces],
            },
        )
