"""Time of the U-Net and of a grid of samples, next to two peers in the same run.

    python tests/benchmarks/unet.py [--threads N] [--runs N]

Peers: the homework network, and a `diffusers` UNet2DModel of 3.0 M parameters. Prints milliseconds
a picture and step at batch 1, 8 and 32, the time of 16 pictures by DDIM with 50 steps, each as a
ratio to ours, and the share of the machine's own matrix product that ours reaches.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import torch
from diffusers import UNet2DModel
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from core.ddpm.model import PRESETS
from core.ddpm.samplers import ddim, time_grid
from core.ddpm.schedule import NoiseSchedule
from core.ddpm.unet import UNet

BATCHES = (1, 8, 32)
GRID, STEPS = 16, 50
MATRIX = 1024


class Peer(nn.Module):
    """The `diffusers` network behind our interface."""

    def __init__(self) -> None:
        super().__init__()
        down = ("DownBlock2D", "AttnDownBlock2D", "DownBlock2D")
        self.unet = UNet2DModel(
            sample_size=32,
            layers_per_block=1,
            block_out_channels=(64, 64, 128),
            down_block_types=down,
            up_block_types=tuple(name.replace("Down", "Up") for name in reversed(down)),
        )

    def forward(self, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return self.unet(x, t).sample


def networks() -> dict[str, nn.Module]:
    torch.manual_seed(0)
    made = {
        "ours": UNet(PRESETS["default"].unet),
        "homework": UNet(PRESETS["homework"].unet),
        "diffusers": Peer(),
    }
    return {
        name: network.eval().to(memory_format=torch.channels_last) for name, network in made.items()
    }


def inputs(batch: int) -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.randn(batch, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    return x, torch.randint(0, 1000, (batch,))


def interleaved(calls: dict[str, object], runs: int) -> dict[str, float]:
    """Median seconds of each call; the calls take turns, so that all meet the same machine."""
    for call in calls.values():
        call()
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _run in range(runs):
        for name, call in calls.items():
            begun = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - begun)
    return {name: statistics.median(values) for name, values in times.items()}


def grid_of(network: nn.Module) -> object:
    schedule, times = NoiseSchedule.linear(), time_grid(1000, STEPS)
    x_T = torch.randn(GRID, 3, 32, 32)

    def eps_model(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return network(x.contiguous(memory_format=torch.channels_last), t)

    return lambda: list(ddim(eps_model, schedule, x_T, times))


def matrix_peak(runs: int) -> float:
    """Multiplications and additions a second of a large matrix product."""
    a = torch.randn(MATRIX, MATRIX)
    seconds = interleaved({"product": lambda: a @ a}, max(runs, 20))["product"]
    return 2 * MATRIX**3 / seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--runs", type=int, default=15)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    made = networks()
    print(f"{arguments.threads} threads, float32, channels last, torch {torch.__version__}")
    for name, network in made.items():
        count = sum(value.numel() for value in network.parameters())
        print(f"{name}: {count / 1e6:.2f} M parameters")
    with torch.inference_mode():
        for batch in BATCHES:
            x, t = inputs(batch)
            calls = {name: partial(network, x, t) for name, network in made.items()}
            found = interleaved(calls, arguments.runs)
            words = ", ".join(
                f"{name} {seconds / batch * 1e3:.2f} ms ({seconds / found['ours']:.2f})"
                for name, seconds in found.items()
            )
            print(f"a picture and step at batch {batch}: {words}")
        found = interleaved({name: grid_of(network) for name, network in made.items()}, 3)
        words = ", ".join(
            f"{name} {seconds:.2f} s ({seconds / found['ours']:.2f})"
            for name, seconds in found.items()
        )
        print(f"{GRID} pictures, DDIM with {STEPS} steps: {words}")
        x, t = inputs(BATCHES[-1])
        with FlopCounterMode(display=False) as counter:
            made["ours"](x, t)
        operations = counter.get_total_flops()
        seconds = interleaved({"ours": lambda: made["ours"](x, t)}, arguments.runs)["ours"]
        peak = matrix_peak(arguments.runs)
        print(
            f"ours: {operations / len(x) / 1e6:.0f} M operations a picture, "
            f"{operations / seconds / 1e9:.0f} of {peak / 1e9:.0f} G operations a second of a "
            f"{MATRIX} x {MATRIX} matrix product: {operations / seconds / peak:.0%}"
        )


if __name__ == "__main__":
    main()
