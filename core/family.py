"""What the app has to know of a family of models, in one record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from core.bundles.bundle import Bundle

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Family:
    """One family: ``name`` as ``config.json`` of its bundles has it.

    ``build``: the untrained network of an ``architecture``. ``load``: the model of a bundle, in eval
    mode. ``explore``: what pages ask it, in numpy. ``golden``: largest deviation of the bundle's
    golden output; raises ``AtelierError`` ``bundle-golden``.
    """

    name: str
    build: Callable[[dict], nn.Module]
    load: Callable[[Bundle], Any]
    explore: Callable[[Bundle], Any]
    golden: Callable[[Bundle], float]
