"""The way back that a bundle keeps: one chosen sample for every digit, from noise to picture.

With it a page shows real denoising before torch is there. The seeds are chosen, and all that shows the
pictures says so: of the first ``SEEDS`` seeds, for each digit the one whose sample the judge is surest of.
What such a model makes unchosen stands next to it in the bundle, as the sheets ``final`` and ``ancestral``.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from core.ddpm.model import DDPM
from core.ddpm.samplers import ddim, time_grid
from core.ddpm.schedule import EpsModel, NoiseSchedule, draw_noise
from core.judge.explorer import JudgeExplorer
from core.judge.model import CLASSES
from core.pictures import images
from core.pictures.images import Pictures
from train.ddpm import bundle as ddpm_bundle
from train.run.bundling import Measurements

KIND = "way"
"""Of the sheet, and the name of its figures in ``metrics.json``."""
STEPS, FRAMES = 50, 21
SEEDS = 200
QUALITY = 75


def surest_rows(p: np.ndarray) -> list[int]:
    """For each of D digits one row of p (N, D), the judge's probabilities of N >= D samples.

    Of the rows whose likeliest digit it is, the surest. A digit that is no row's likeliest takes the
    surest row that is left, whatever its digit, after all others have chosen.
    """
    count, digits = p.shape
    if count < digits:
        raise ValueError(f"p must have a row for each of {digits} digits at least, got {count}")
    digit, confidence = p.argmax(axis=1), p.max(axis=1)
    rows = [
        int(np.where(digit == one, confidence, -1).argmax()) if (digit == one).any() else None
        for one in range(digits)
    ]
    taken = {row for row in rows if row is not None}
    left = (int(row) for row in np.argsort(-confidence, kind="stable") if row not in taken)
    return [next(left) if row is None else row for row in rows]


def shown_steps(schedule: NoiseSchedule, grid: Tensor, count: int) -> list[int]:
    """Places in a grid (S + 1,) of ``count`` levels, both ends included, fewer where the grid has fewer.

    They are spread evenly over sqrt(alpha_bar), how much of x_t is picture: evenly over t, hardly anything but
    noise would be seen.
    """
    if len(grid) <= count:
        return list(range(len(grid)))
    signal = schedule.alpha_bar(grid).sqrt().numpy()  # rises to 1
    wanted = np.linspace(signal[0], signal[-1], count)
    return np.unique(np.abs(signal[:, None] - wanted).argmin(axis=0)).tolist()


@torch.no_grad()
def frames(
    eps_model: EpsModel,
    schedule: NoiseSchedule,
    seeds: Sequence[int],
    steps: int,
    device: torch.device,
) -> tuple[Pictures, list[int]]:
    """x_t along DDIM without noise, a column a seed: uint8 (F, N, 32, 32, 3), noise first.

    And the level of every frame, F numbers from T down to 0, as pages count them.
    """
    grid = time_grid(schedule.T, steps)
    places = shown_steps(schedule, grid, FRAMES)
    sources = [torch.Generator().manual_seed(seed) for seed in seeds]
    x_T = draw_noise(torch.empty(len(sources), 3, 32, 32), sources).to(device)
    x_T = x_T.contiguous(memory_format=torch.channels_last)
    way = ddim(eps_model, schedule, x_T, grid)
    made = [images.to_pictures(step.x_t) for at, step in enumerate(way) if at in places]
    return np.stack(made), [int(grid[place]) + 1 for place in places]


def measure(model: DDPM, judge: JudgeExplorer, device: torch.device) -> Measurements:
    """The sheet ``way``, ten columns, noise in the first row, and its figures; stored weights.

    ``seeds``, ``digit``, ``confidence`` (10,): of column d the seed, and which digit the judge sees in the
    last row and how surely. The digit is d, unless ``surest_rows`` found none. ``t``: the level of every row.
    """
    model = model.to(device)
    steps = min(STEPS, model.schedule.T)
    drawn = ddpm_bundle.draw(model.eps, model.schedule, SEEDS, steps, device)
    seeds = surest_rows(judge.judge(drawn).p)
    shown, t = frames(model.eps, model.schedule, seeds, steps, device)
    seen = judge.judge(shown[-1])
    figures = {
        "judge": judge.bundle.digest,
        "sampler": "ddim",
        "steps": steps,
        "t": t,
        "of": SEEDS,
        "seeds": seeds,
        "digit": seen.digit.tolist(),
        "confidence": seen.confidence.tolist(),
    }
    return Measurements({KIND: figures}, {}, {KIND: sheet_bytes(shown)})


def sheet_bytes(shown: Pictures) -> bytes:
    """Frames (F, N, 32, 32, 3) as a JPEG, a row a frame.

    ``images.sheet_bytes`` makes two passes over a picture, for which Pillow sets aside a byte a pixel: too
    little for noise.
    """
    buffer = io.BytesIO()
    sheet = images.grid(shown.reshape(-1, *shown.shape[2:]), shown.shape[1], gap=0)
    Image.fromarray(sheet).save(buffer, format="JPEG", quality=QUALITY, subsampling=0)
    return buffer.getvalue()


def card_section(figures: dict) -> str:
    """The part of a model card that says what the sheet shows, and that its seeds were chosen."""
    others = [
        f"column {column} shows what the judge takes for a {seen}"
        for column, seen in enumerate(figures["digit"])
        if seen != column
    ]
    missed = (
        f" For {len(others)} of {CLASSES} digits no sample was found: {'; '.join(others)}."
        if others
        else ""
    )
    low, high = min(figures["confidence"]), max(figures["confidence"])
    return f"""
## A way back, with chosen seeds

`progress/epoch-…-{KIND}.jpg`: x_t along DDIM with {figures["steps"]} steps, noise in the first row, a
column for each digit 0 to 9. The seeds are **chosen**: of the first {figures["of"]}, for each digit the one
whose sample the judge {figures["judge"]} is surest of ({low:.0%} to {high:.0%}).{missed} They show how
the model works, not how often it succeeds: for that see the sheets `final` and `ancestral`, whose seeds
are 0 to 23.
"""
