"""Weights of a bundle: whether they fit a network, what they must give, how they are stored."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from core.bundles.bundle import GOLDEN_TOLERANCE, Bundle, damaged_file_error
from core.errors import AtelierError

Networks = Mapping[str, Callable[[dict], nn.Module]]
"""By family: what builds the network that an ``architecture`` of ``config.json`` describes."""

MOST_PARAMETERS = 64_000_000
"""Larger networks are not for two cores; what claims to be one is not built."""


def weight_shapes(
    networks: Networks, family: str, architecture: dict
) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the weights of a network, without memory for any.

    Raises ValueError where there is no such family or architecture, or more than
    ``MOST_PARAMETERS`` weights.
    """
    if family not in networks:
        raise ValueError(f"family must be one of {', '.join(networks)}, got {family!r}")
    try:
        with torch.device("meta"):
            network = networks[family](architecture)
    except (KeyError, TypeError, OverflowError) as error:
        raise ValueError(f"architecture must be one of the family {family}") from error
    weights = network.state_dict()
    count = sum(weight.numel() for weight in weights.values())
    if count > MOST_PARAMETERS:
        raise ValueError(f"a network must have at most {MOST_PARAMETERS:,} weights, got {count:,}")
    return {name: tuple(weight.shape) for name, weight in weights.items()}


def check_weights(bundle: Bundle, networks: Networks) -> None:
    """Names and shapes of the stored weights are those of the architecture; reads their header only.

    Raises ``AtelierError`` ``bundle-weights`` and ``bundle-damaged``.
    """
    wanted = weight_shapes(networks, bundle.family, bundle.config["architecture"])
    file = "model.safetensors"
    try:
        with safe_open(bundle.folder / file, "numpy") as stored:
            found = {key: tuple(stored.get_slice(key).get_shape()) for key in stored.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise damaged_file_error(bundle.place, file) from error
    strangers = sorted({*wanted.items()} ^ {*found.items()})
    if strangers:
        raise AtelierError(
            "bundle-weights",
            "The weights of the bundle {name} do not fit its architecture: {key}.",
            name=bundle.place,
            key=strangers[0][0],
        )


def load_weights(model: nn.Module, bundle: Bundle) -> None:
    """The bundle's weights into ``model``: same names, same shapes, nothing left over, every number finite."""
    need_weights(bundle)
    arrays = bundle.arrays("model.safetensors")
    wanted = model.state_dict()
    strangers = sorted(set(wanted) ^ set(arrays))
    strangers += [
        key for key in wanted if key in arrays and tuple(wanted[key].shape) != arrays[key].shape
    ]
    if strangers:
        raise AtelierError(
            "bundle-weights",
            "The weights of the bundle {name} do not fit its architecture: {key}.",
            name=bundle.place,
            key=strangers[0],
        )
    if not all(np.isfinite(value).all() for value in arrays.values()):
        raise damaged_file_error(bundle.place, "model.safetensors")
    model.load_state_dict({key: torch.from_numpy(value) for key, value in arrays.items()})


def need_weights(bundle: Bundle) -> None:
    """Raises ``AtelierError`` ``bundle-record`` where a bundle has none."""
    if not bundle.has_weights:
        raise AtelierError(
            "bundle-record",
            "The bundle {name} holds what is known of a run, and no weights.",
            name=bundle.place,
        )


Tensors = dict[str, Tensor]


def check_golden(bundle: Bundle, compute: Callable[[Tensors], Tensors]) -> float:
    """Largest deviation of ``compute(inputs)`` from the stored outputs.

    Raises ``AtelierError`` ``bundle-golden`` where it exceeds 1e-4: weights, code or libraries
    are not those that made the bundle.
    """
    need_weights(bundle)
    file = "golden.safetensors"
    arrays = bundle.arrays(file)
    try:
        stored = {key: torch.from_numpy(value) for key, value in arrays.items()}
        outputs, expected = compute(_part(stored, "input.")), _part(stored, "output.")
        fits = [key in outputs and outputs[key].shape == expected[key].shape for key in expected]
        if not fits or not all(fits):
            raise damaged_file_error(bundle.place, file)
        deviations = [(outputs[key] - value).abs().max() for key, value in expected.items()]
        deviation = float(torch.stack(deviations).max())  # NaN where any is NaN
    except (
        KeyError,
        TypeError,
        ValueError,
        RuntimeError,
    ) as error:  # inputs of no use to the network
        raise damaged_file_error(bundle.place, file) from error
    if not deviation <= GOLDEN_TOLERANCE:
        raise AtelierError(
            "bundle-golden",
            "The bundle {name} does not give its golden output: it is off by {deviation:.2g}.",
            name=bundle.place,
            deviation=deviation,
        )
    return deviation


def _part(tensors: Tensors, prefix: str) -> Tensors:
    return {key[len(prefix) :]: value for key, value in tensors.items() if key.startswith(prefix)}


def stored_weights(model: nn.Module) -> dict[str, np.ndarray]:
    """The model's state as it is stored: floating point as float16, the rest unchanged."""
    return {
        key: value.detach()
        .cpu()
        .to(torch.float16 if value.is_floating_point() else value.dtype)
        .numpy()
        for key, value in model.state_dict().items()
    }
