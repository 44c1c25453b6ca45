"""Views made a second, and pictures trained a second, against a plain torchvision pipeline.

    python tests/benchmarks/views.py [--pictures 4096] [--batch 512] [--workers N] [--device cuda]

The peer is what one would write first: a ``Dataset`` that opens each picture with Pillow and applies
``torchvision.transforms`` twice, behind a ``DataLoader`` with as many workers as there are cores. Ours draws
one set of parameters a picture and applies them to the whole batch on the device. Both make the same
kind of view (crop, flip, colour jitter, grey); the order of colour changes is shuffled in the peer's.
Then the same network takes the same step on views of either.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

sys.path.insert(0, str(Path(__file__).parents[2]))

from core.simsiam.joint_embedding import EMBEDDING_PRESETS
from core.simsiam.methods import build
from core.simsiam.simsiam import SimSiamConfig
from core.simsiam.views import STANDARD
from train.run import loop

LIMIT_VIEWS = {"cuda": 10.0, "cpu": 2.0}
"""On a GPU the peer has all cores of its machine, ours has none."""
LIMIT_TRAINED = 1.0


class TwoViews(Dataset):
    """Two views of every picture, as tutorials make them."""

    def __init__(self, pictures: np.ndarray) -> None:
        self.pictures = pictures
        self.transform = transforms.Compose(
            [
                transforms.RandomResizedCrop(32, scale=(0.2, 1.0)),
                transforms.RandomHorizontalFlip(),
                transforms.RandomApply([transforms.ColorJitter(0.4, 0.4, 0.4, 0.1)], p=0.8),
                transforms.RandomGrayscale(p=0.2),
                transforms.ToTensor(),
                transforms.Normalize([0.5] * 3, [0.5] * 3),
            ]
        )

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        picture = Image.fromarray(self.pictures[index])
        return self.transform(picture), self.transform(picture)


def plain(pictures: np.ndarray, batch: int, workers: int) -> Iterator[tuple[torch.Tensor, ...]]:
    yield from DataLoader(
        TwoViews(pictures), batch, shuffle=True, num_workers=workers, drop_last=True
    )


def batched(
    levels: torch.Tensor, batch: int, generator: torch.Generator
) -> Iterator[tuple[torch.Tensor, ...]]:
    order = torch.randperm(len(levels), generator=generator, device=levels.device)
    for rows in order[: len(order) // batch * batch].split(batch):
        x = loop.as_float(levels[rows])
        yield STANDARD(x, generator), STANDARD(x, generator)


def seconds(
    views: Iterator[tuple[torch.Tensor, ...]], device: torch.device, step=None
) -> tuple[float, int]:
    """Seconds of one pass, and pictures in it."""
    begun, count = time.perf_counter(), 0
    for first, second in views:
        first, second = first.to(device), second.to(device)
        if step is not None:
            step(first, second)
        count += len(first)
    loop.synchronize(device)
    return time.perf_counter() - begun, count


def stepping(device: torch.device):
    """One update of the network, in float32 as in bfloat16 where the trainer uses it."""
    size = EMBEDDING_PRESETS["default" if device.type == "cuda" else "narrow"]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = build("simsiam", SimSiamConfig(**size.plain()))
    model.to(device, memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)

    def step(first: torch.Tensor, second: torch.Tensor) -> None:
        pair = [x.contiguous(memory_format=torch.channels_last) for x in (first, second)]
        with loop.autocast(device):
            loss, _outputs = model.views_loss(*pair)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    return step


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=4096)
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--device", help="cuda, mps or cpu (default: the best at hand)")
    arguments = parser.parse_args()
    device = loop.pick_device(arguments.device)
    pictures = np.random.default_rng(0).integers(
        0, 256, (arguments.pictures, 32, 32, 3), dtype=np.uint8
    )
    levels = loop.resident(pictures, device)
    generator = torch.Generator(device).manual_seed(0)

    def ours() -> Iterator[tuple[torch.Tensor, ...]]:
        return batched(levels, arguments.batch, generator)

    def theirs() -> Iterator[tuple[torch.Tensor, ...]]:
        return plain(pictures, arguments.batch, arguments.workers)

    step = stepping(device)
    seconds(ours(), device, step)  # warm
    print(f"{arguments.pictures} pictures, batch {arguments.batch}, {loop.device_name(device)}")
    met = True
    for what, taken, limit in (
        ("views made", None, LIMIT_VIEWS.get(device.type, 2.0)),
        ("pictures trained", step, LIMIT_TRAINED),
    ):
        each = 1 if taken else 2
        rates = []
        for make in (ours, theirs):
            took, count = seconds(make(), device, taken)
            rates.append(each * count / took)
        ratio = rates[0] / rates[1]
        good = ratio >= limit
        met &= good
        print(
            f"{what:<18} ours {rates[0]:>9,.0f} /s   torchvision, {arguments.workers} workers "
            f"{rates[1]:>9,.0f} /s   ratio {ratio:5.1f}   limit {limit:g}   "
            f"{'met' if good else 'MISSED'}"
        )
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
