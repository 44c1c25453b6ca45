"""What every training run shares: device, seeds, time budget, resume, moving average.

Randomness of an epoch comes from (seed, epoch) alone, so a resumed run needs no generator state
and goes on to the same weights as one that never stopped (bit for bit on a CPU with the same
number of threads).
"""

from __future__ import annotations

import hashlib
import io
import math
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from core.bundles.files import replacing
from core.errors import AtelierError
from core.pictures.data import PictureSet
from core.pictures.images import Pictures

MAX_SNAPSHOTS = 40
MOST_EPOCHS = 9999
"""The last that the name of a sheet in a bundle has room for."""

DEVICES = ("cuda", "mps", "cpu")


def pick_device(name: str | None = None) -> torch.device:
    """The named device, or the best at hand: cuda, then mps, then cpu.

    Raises ``ValueError`` for another name, ``AtelierError`` ``device-missing`` where there is none of
    that name here.
    """
    if name is not None:
        return _named_device(name)
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def _named_device(name: str) -> torch.device:
    """``name`` is one of ``DEVICES``, of several with a number behind it: ``cuda:1``."""
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in DEVICES:
        raise ValueError(f"device must be {', '.join(DEVICES[:-1])} or cpu, got {name!r}")
    count = {
        "cuda": torch.cuda.device_count() if torch.cuda.is_available() else 0,
        "mps": int(torch.backends.mps.is_available()),
        "cpu": 1,
    }[device.type]
    if (device.index or 0) >= count:
        raise AtelierError(
            "device-missing",
            "PyTorch finds no {device} on this machine: leave out --device for the best at hand.",
            device=device,
        )
    return device


def autocast(device: torch.device) -> torch.autocast:
    """bfloat16 where it pays (CUDA), float32 elsewhere."""
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda")


def epoch_generator(seed: int, epoch: int, purpose: str, device: torch.device) -> torch.Generator:
    """A generator that depends on these three alone, and differs when any of them does."""
    key = hashlib.sha256(f"{seed} {epoch} {purpose}".encode()).digest()
    return torch.Generator(device).manual_seed(int.from_bytes(key[:8], "big") >> 1)


def cosine_rate(step: int, steps: int, warmup: int, floor: float = 0.02) -> float:
    """Share of the peak learning rate at ``step``: linear rise, then half a cosine to ``floor``."""
    rise = min(1.0, (step + 1) / max(1, warmup))
    return rise * (floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * min(1.0, step / steps))))


class MovingAverage:
    """Exponential moving average of weights, with a warm-up: decay min(decay, (1+n)/(10+n)).

    ``decay`` 0 is the model itself. Buffers (BatchNorm statistics) are copied.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self.values = {key: value.detach().clone() for key, value in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates)) if self.decay else 0.0
        names, parameters = zip(*model.named_parameters(), strict=True)
        averaged = [self.values[name] for name in names]
        get_ema_multi_avg_fn(decay)(averaged, parameters, None)  # all of them in a few kernels
        buffers = [(n, buffer) for n, buffer in model.named_buffers() if n in self.values]
        if buffers:
            names, buffers = zip(*buffers, strict=True)
            torch._foreach_copy_([self.values[name] for name in names], buffers)


def save_state(path: Path, state: dict[str, object]) -> None:
    """Everything a run needs to go on, moved into place when complete."""
    # PyTorch's own writer says of a full disk that a position was unexpected; a file says what it is.
    packed = io.BytesIO()
    torch.save(state, packed)
    with replacing(path) as temporary:
        temporary.write_bytes(packed.getbuffer())


def no_run(folder: Path) -> AtelierError:
    """What to raise where a run is asked to go on and there is none."""
    return AtelierError(
        "run-missing", "{folder} holds no run that could be resumed.", folder=folder
    )


def load_state(path: Path, device: torch.device) -> dict[str, object]:
    """The state of a run, tensors and plain values only.

    Raises ``AtelierError`` ``run-missing`` or ``run-damaged``; ``OSError`` where it may not be read.
    """
    if not path.exists():
        raise no_run(path.parent)
    with open(path, "rb") as file:
        try:
            return torch.load(file, map_location=device, weights_only=True)
        except Exception as error:
            raise run_damaged(path) from error


def run_damaged(path: Path) -> AtelierError:
    """What to raise where a file is not the state of a run."""
    return AtelierError("run-damaged", "{path} is damaged: this run cannot be resumed.", path=path)


def epochs_within(
    minutes: float, seconds_per_epoch: float, seconds_at_end: float, most: int = MOST_EPOCHS
) -> int:
    """How many epochs fit a budget, from 1 to ``most``, five per cent kept back."""
    available = 0.95 * 60 * minutes - seconds_at_end  # inf for more minutes than a float can count
    return max(1, int(min(available / seconds_per_epoch, most)))


def seconds_per_call(
    step: Callable[[], object], device: torch.device, warmup: int = 3, runs: int = 8
) -> float:
    """Seconds of one call of ``step``, after ``warmup`` calls, averaged over ``runs``."""
    for _ in range(warmup):
        step()
    synchronize(device)
    start = time.perf_counter()
    for _ in range(runs):
        step()
    synchronize(device)
    return (time.perf_counter() - start) / runs


def synchronize(device: torch.device) -> None:
    """Wait for the device, so that a clock read next is true."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def snapshot_epochs(epochs: int, every: int = 5) -> list[int]:
    """Epochs after which progress is kept: 0, every fifth, the last; at most 40 of them."""
    wanted = sorted({0, *range(every, epochs + 1, every), epochs})
    if len(wanted) <= MAX_SNAPSHOTS:
        return wanted
    last = len(wanted) - 1
    places = {round(i * last / (MAX_SNAPSHOTS - 1)) for i in range(MAX_SNAPSHOTS)}
    return [wanted[i] for i in sorted(places)]


def code_version() -> str:
    """The commit of the code, with ``+`` where files differ from it; ``unknown`` outside git."""
    folder = Path(__file__).parent
    try:
        return subprocess.run(
            ["git", "describe", "--always", "--abbrev=12", "--dirty=+"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def device_name(device: torch.device) -> str:
    """The device in words, for the card: ``NVIDIA H200`` or ``CPU, 2 threads``."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "cpu":
        threads = torch.get_num_threads()
        return f"CPU, {threads} thread{'s' if threads > 1 else ''}"
    return device.type


def resident(pictures: Pictures, device: torch.device) -> Tensor:
    """uint8 (N, 32, 32, 3) as uint8 (N, 3, 32, 32) on the device."""
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).contiguous().to(device)


@dataclass(frozen=True)
class Resident:
    """A set of pictures on the device of a run: levels uint8 (N, 3, 32, 32), labels int64 (N,).

    ``classes``: how many the set has names for; some may have no picture here.
    """

    levels: Tensor
    labels: Tensor
    classes: int

    @classmethod
    def of(cls, pictures: PictureSet, device: torch.device) -> Resident:
        labels = torch.from_numpy(pictures.labels).to(device)
        return cls(resident(pictures.pictures, device), labels, len(pictures.class_names))


def as_float(levels: Tensor) -> Tensor:
    """uint8 (B, 3, H, W) on any device to float32 in [-1, 1], channels last in memory."""
    return (levels.float() / 127.5 - 1.0).contiguous(memory_format=torch.channels_last)
