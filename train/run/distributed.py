"""Several processes that train one model: who one is, one's share of a batch, averaged gradients.

Started by ``torchrun``, which names rank and world in the environment; one process is the plain
case and needs none of it. NCCL between GPUs, gloo between CPUs.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel


def running() -> bool:
    """Whether several processes share this run."""
    return distributed.is_available() and distributed.is_initialized()


def rank() -> int:
    return distributed.get_rank() if running() else 0


def world() -> int:
    return distributed.get_world_size() if running() else 1


def is_first() -> bool:
    """Whether this is the process that prints and writes files."""
    return rank() == 0


@contextmanager
def processes(device: torch.device) -> Iterator[torch.device]:
    """Joins the other processes of ``torchrun`` for a while; the device of this one."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield device
        return
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield device
        distributed.barrier()  # the first one is still writing
    finally:
        distributed.destroy_process_group()


def share(rows: Tensor) -> Tensor:
    """This process's share of a batch (B,): every world-th row, so all shares are equal.

    Raises ValueError where B does not divide by the number of processes.
    """
    if len(rows) % world():
        raise ValueError(
            f"batch_size must divide by the {world()} processes of this run, got {len(rows)}"
        )
    return rows[rank() :: world()]


def agree_on(value: int) -> int:
    """The first process's value, in all of them."""
    if not running():
        return value
    device = torch.device("cuda") if distributed.get_backend() == "nccl" else torch.device("cpu")
    told = torch.tensor(value, device=device)
    distributed.broadcast(told, src=0)
    return int(told)


def mean(value: Tensor) -> Tensor:
    """The mean over all processes of a scalar."""
    if not running():
        return value
    total = value.detach().clone()
    distributed.all_reduce(total)
    return total / world()


def parallel(module: nn.Module, device: torch.device) -> nn.Module:
    """``module`` with gradients averaged over all processes, and one batch normalisation over them.

    The module itself in one process. Batch statistics of the whole batch need GPUs; between CPUs
    each process has those of its share.
    """
    if not running():
        return module
    if device.type == "cuda":
        module = nn.SyncBatchNorm.convert_sync_batchnorm(module)
        return DistributedDataParallel(module, device_ids=[device])
    return DistributedDataParallel(module)
