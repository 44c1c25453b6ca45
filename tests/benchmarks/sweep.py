"""The sweep that finds t*, against one level and draw after the other.

    python tests/benchmarks/sweep.py [bundle] [--whole]

12 levels x 4 draws of one picture with 50 steps of DDIM: all of them in one reverse pass, and the plain
loop that noises and restores one picture at a time with the same steps and the same noise. Both must
give the same pictures. Beside it the assignment's way: every level by all its DDPM steps, one picture
at a time; measured for one draw and multiplied (--whole: every draw).
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from core.ddpm.explorer import DDPMExplorer, SamplerSettings
from core.ddpm.model import DDPM
from core.ddpm.restoration import noised
from core.ddpm.samplers import ddim, p_sample_loop, time_grid
from core.families import open_bundle
from core.pictures.house_number import HouseNumber, draw
from core.pictures.images import to_pictures, to_tensor

ROOT = Path(__file__).parents[2]
LEVELS, DRAWS, STEPS = 12, 4, 50
LIMIT_SECONDS, LIMIT_FIRST, LIMIT_RATIO = 6.0, 1.0, 2.2
ROUNDS = 3


def sources() -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in range(DRAWS)]


def batched(explorer: DDPMExplorer, picture: np.ndarray, levels: list[int]):
    """Pictures, seconds to the first rows, seconds in all."""
    begun, first = time.perf_counter(), 0.0
    for found in explorer.restore(SamplerSettings("ddim", STEPS), picture[None], levels, DRAWS, 0):
        first = first or time.perf_counter() - begun
        whole = found
    return whole.now[0], whole.t, first, time.perf_counter() - begun


@torch.no_grad()
def one_by_one(model: DDPM, picture: np.ndarray, levels: np.ndarray):
    """The same pictures, one call of the network a picture and step."""
    schedule, grid = model.schedule, time_grid(model.schedule.T, STEPS)
    begun = time.perf_counter()
    made = np.zeros((len(levels), DRAWS, 32, 32, 3), dtype=np.uint8)
    for row, level in enumerate(levels.tolist()):
        x_t = noised(schedule, to_tensor(picture[None]), torch.tensor([level]), [sources()])[0, 0]
        for number, one in enumerate(x_t):
            *_steps, last = ddim(model.eps, schedule, one[None], grid[grid <= level])
            made[row, number] = to_pictures(last.x_t)[0]
    return made, time.perf_counter() - begun


@torch.no_grad()
def all_steps(model: DDPM, picture: np.ndarray, levels: np.ndarray, draws: int) -> float:
    """Seconds of the assignment's way for that number of draws."""
    schedule, grid = model.schedule, time_grid(model.schedule.T, model.schedule.T)
    begun = time.perf_counter()
    for level in levels.tolist():
        x_t = noised(schedule, to_tensor(picture[None]), torch.tensor([level]), [sources()])[0, 0]
        for one in x_t[:draws]:
            for _step in p_sample_loop(model.eps, schedule, one[None], grid[grid <= level]):
                pass
    return time.perf_counter() - begun


def tell(line: str) -> None:
    """Prints at once: what comes next takes minutes."""
    print(line, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", nargs="?", default=str(ROOT / "checkpoints" / "ddpm-svhn-1000"))
    parser.add_argument("--whole", action="store_true", help="every draw of the assignment's way")
    arguments = parser.parse_args()
    bundle = open_bundle(arguments.bundle)
    explorer, model = DDPMExplorer(bundle), DDPM.from_bundle(bundle)
    model.unet.to(memory_format=torch.channels_last)
    picture = draw(HouseNumber())
    wanted = np.linspace(explorer.T // 25 - 1, explorer.T - 1, LEVELS).round().astype(int).tolist()
    batched(explorer, picture, wanted[:2])  # warm-up
    rounds = [batched(explorer, picture, wanted) for _ in range(ROUNDS)]
    pictures, levels, _first, _seconds = rounds[0]
    first, seconds = (float(np.median([r[i] for r in rounds])) for i in (2, 3))
    tell(f"{len(levels)} levels x {DRAWS} draws, {STEPS} steps, {torch.get_num_threads()} threads")
    tell(f"{'one reverse pass':<34}{seconds:8.2f} s   limit {LIMIT_SECONDS:g} s")
    tell(f"{'  first rows':<34}{first:8.2f} s   limit {LIMIT_FIRST:g} s")
    alone, plain = one_by_one(model, picture, levels)
    off = int(np.abs(pictures.astype(int) - alone).max())
    tell(f"{'one picture after the other':<34}{plain:8.2f} s   {plain / seconds:.1f} times as long")
    tell(f"largest difference of the pictures: {off} grey levels")
    draws = DRAWS if arguments.whole else 1
    thorough = all_steps(model, picture, levels, draws) * DRAWS / draws
    tell(
        f"{'every level by all its steps':<34}{thorough:8.1f} s   "
        f"{thorough / seconds:.0f} times as long"
    )
    met = seconds <= LIMIT_SECONDS and first <= LIMIT_FIRST and plain / seconds >= LIMIT_RATIO
    tell("limits met" if met and off <= 1 else "LIMITS MISSED")
    return 0 if met and off <= 1 else 1


if __name__ == "__main__":
    sys.exit(main())
