"""What training, measuring and publishing have to know of a family of models, in one record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from torch import Tensor

from core.judge.explorer import JudgeExplorer
from train.graph import Graph
from train.run.bundling import Measurements
from train.run.settings import Training
from train.run.trainer import Trainer


@dataclass(frozen=True)
class TrainedFamily:
    """One family: ``name`` as in ``core.families``.

    ``command``: the module with ``add_arguments`` and ``main`` of ``python -m train NAME``; ``summary``:
    one line of its help. ``trainer``: what a run trains. ``preset``: configuration and settings by the
    name of a preset. ``measure``: figures, given the model, the bundle's ``data``, training and test
    pictures, the device. ``card``: the model card, of config, metrics and history. ``judged``, where
    the judge has something to say: given the model, the judge, and the same. ``of_training``:
    beginnings of names of figures and arrays that tell of earlier weights, and are not measured again.
    ``clocked``, where pages show how long a model takes: the figures ``timing``, given model and device.
    ``way``, where a bundle keeps a way back with chosen seeds: its figures and sheet, given the model, the
    judge, the device. ``probed``, where a bundle keeps what a linear classifier reads from every layer: its
    figures, given the model, training and test pictures, the device.
    ``graphs``: ONNX files, of the model and the golden inputs. ``record``: whether a bundle is worth
    keeping without weights. ``task``: the Hub's name for what such a model does. ``figures``: metric's
    type, its words, and where it stands in metrics.json.
    """

    name: str
    summary: str
    command: ModuleType
    trainer: type[Trainer]
    preset: Callable[[str], tuple[object, Training]]
    measure: Callable[..., Measurements]
    card: Callable[[dict, dict, list[dict]], str]
    graphs: Callable[[Any, dict[str, Tensor]], list[Graph]]
    task: str
    figures: tuple[tuple[str, str, str], ...]
    judged: Callable[..., tuple[dict, dict]] | None = None
    of_training: tuple[str, ...] = ()
    clocked: Callable[[Any, Any], dict] | None = None
    way: Callable[[Any, JudgeExplorer, Any], Measurements] | None = None
    probed: Callable[..., Measurements] | None = None
    record: bool = False
