"""What bundles of all families have in common when a run writes them."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import nn

from core.bundles import schema
from core.bundles.bundle import FORMAT, LARGEST_WHOLE
from core.bundles.weights import stored_weights
from core.errors import AtelierError
from core.pictures.data import PictureSet
from train.run import loop


def bundle_config(
    family: str, architecture: dict, settings: dict, test_set: PictureSet, epochs_done: int
) -> dict:
    """What ``config.json`` of a run's bundle says, but for the format."""
    return {
        "family": family,
        "architecture": architecture,
        "preprocessing": {"size": 32, "range": [-1, 1], "channels": "RGB"},
        "data": {**settings["data"], "class_names": list(test_set.class_names)},
        "training": {
            **settings["training"],
            "folder": Path(settings["training"]["folder"]).name,  # where it lay is nobody's matter
            "device": settings["device"],
            "epochs_done": epochs_done,
        },
        "seed": settings["training"]["seed"],
        "code_version": settings["code_version"],
    }


def check_config(config: dict) -> None:
    """Raises ``AtelierError`` ``run-no-bundle`` where ``config.json`` with this could not be read back.

    So a run is refused before it trains, not when its bundle is written.
    """
    fault = next(_unstorable(config), None) or schema.fault({"format": FORMAT, **config})
    if fault is not None:
        raise AtelierError(
            "run-no-bundle",
            "This run could not end in a bundle: its config.json would have no usable {field}.",
            field=fault,
        )


def _unstorable(value: object, path: str = "") -> Iterator[str]:
    """Paths of texts that are no UTF-8, as names of files may be, and of whole numbers too large to read."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _unstorable(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _unstorable(item, f"{path}.{index}")
    elif (isinstance(value, str) and not is_text(value)) or (
        isinstance(value, int) and abs(value) > LARGEST_WHOLE
    ):
        yield path


def is_text(words: str) -> bool:
    """Whether a file can hold it as UTF-8: a name of a file that is in another encoding cannot be."""
    try:
        words.encode()
    except UnicodeEncodeError:
        return False
    return True


@dataclass(frozen=True)
class Measurements:
    """All that a bundle says of its weights: figures, arrays, sheets of pictures by kind."""

    metrics: dict
    profiles: dict[str, np.ndarray]
    sheets: dict[str, bytes]


Network = TypeVar("Network", bound=nn.Module)


def rounded(model: Network) -> Network:
    """The model as its bundle will give it back: float16 weights, float32 arithmetic, CPU."""
    stored = {key: torch.from_numpy(value) for key, value in stored_weights(model).items()}
    again = copy.deepcopy(model).to("cpu")
    again.load_state_dict(stored)
    return again.eval()


def shown_rows(count: int, wanted: int) -> list[int]:
    """The same rows every time, spread over the set: what progress pictures are made of."""
    wanted = min(wanted, count)
    return [index * count // wanted for index in range(wanted)]


def progress_files(folder: Path, planned: int, done: int) -> dict[str, bytes]:
    """Sheets of a run of ``planned`` epochs up to the last ``done``, at most 40 a kind."""
    wanted = {epoch for epoch in loop.snapshot_epochs(planned) if epoch <= done} | {done}
    files = sorted(folder.glob("epoch-*.jpg"))
    return {
        file.name: file.read_bytes() for file in files if int(file.name.split("-")[1]) in wanted
    }
