"""Activations of a U-Net as pictures: single channels, principal components, segments.

Activations of a layer are (n, C, H, W): n levels of noise, C channels. All results are uint8
pictures (…, 32, 32, 3), enlarged without smoothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, get_args

import numpy as np

from core.ddpm.clustering import Clusters, k_means, principal_components, standardise
from core.pictures.images import SIZE, Pictures, enlarge

Scope = Literal["cell", "layer", "grid"]
"""Within what black and white are found: one picture, one layer at all levels, everything."""

Activations = Mapping[str, np.ndarray]
"""(n, C, H, W) by layer name."""

PALETTE = np.array(
    [
        (0, 114, 178),
        (230, 159, 0),
        (0, 158, 115),
        (204, 121, 167),
        (86, 180, 233),
        (213, 94, 0),
        (240, 228, 66),
        (60, 60, 60),
    ],
    dtype=np.uint8,
)
"""Okabe & Ito's colours, one a segment."""


def grey_grid(maps: Mapping[str, np.ndarray], scope: Scope) -> dict[str, Pictures]:
    """Maps (n, H, W) of each layer as grey pictures (n, 32, 32, 3), black lowest in ``scope``."""
    return _scaled({name: values[..., None].repeat(3, -1) for name, values in maps.items()}, scope)


def channel(activations: Activations, index: int) -> dict[str, np.ndarray]:
    """One channel of every layer: (n, H, W); a layer with fewer channels begins again."""
    if index < 0:
        raise ValueError(f"index must be 0 or more, got {index}")
    return {name: values[:, index % values.shape[1]] for name, values in activations.items()}


def strength(activations: Activations) -> dict[str, np.ndarray]:
    """Root mean square over the channels of every layer: (n, H, W)."""
    return {
        name: np.sqrt(np.square(values.astype(np.float64)).mean(axis=1))
        for name, values in activations.items()
    }


def component_colours(
    activations: Activations, scope: Scope
) -> tuple[dict[str, Pictures], dict[str, np.ndarray]]:
    """The three leading principal components of a layer as red, green and blue (n, 32, 32, 3).

    Components are fitted to all levels of a layer together, so that a colour means the same at
    every t. Also the shares (3,) of the layer's variance that they hold.
    """
    scores, shares = {}, {}
    for name, values in activations.items():
        n, C, H, W = values.shape
        rows = values.transpose(0, 2, 3, 1).reshape(-1, C)
        found, share = principal_components(rows, 3)
        scores[name] = found.reshape(n, H, W, 3)
        shares[name] = share
    return _scaled(scores, scope), shares


def one_colour(coloured: Pictures, index: int) -> Pictures:
    """Pictures (…, 3) with the red (0), green (1) or blue (2) of theirs alone."""
    alone = np.zeros_like(coloured)
    alone[..., index] = coloured[..., index]
    return alone


def channel_page(values: np.ndarray, first: int, count: int, scope: Scope) -> Pictures:
    """Channels ``first`` to ``first + count`` of one level (C, H, W) as grey pictures.

    Black and white are those of each channel (``cell``) or of the whole layer.
    """
    if scope not in get_args(Scope):
        raise ValueError(f"scope must be one of {get_args(Scope)}, got {scope!r}")
    if not 0 <= first < len(values):
        raise ValueError(f"first must be 0 to {len(values) - 1}, got {first}")
    maps = values[first : first + count]
    if scope != "cell":
        return _grey(maps, float(values.min()), float(values.max()))
    return np.stack([_grey(one, float(one.min()), float(one.max())) for one in maps])


def segments(
    activations: Activations, layers: Sequence[str], levels: Sequence[int], k: int, seed: int = 0
) -> tuple[Pictures, Clusters]:
    """k segments of one picture (32, 32, 3) from chosen layers and rows of levels.

    Features of every layer are repeated to 32 x 32 places, standardised and set side by side; then
    k-means groups the places. The idea of Baranchuk et al. 2022 (arXiv:2112.03126), who train a
    small classifier on such features instead.
    """
    if not layers or not levels:
        raise ValueError("layers and levels must name at least one each")
    columns = []
    for name in layers:
        for level in levels:
            values = activations[name][level]
            factor = SIZE // values.shape[-1]
            wide = values.repeat(factor, axis=-2).repeat(factor, axis=-1)  # (C, 32, 32)
            columns.append(standardise(wide.reshape(len(wide), -1).T) / np.sqrt(len(wide)))
    found = k_means(np.concatenate(columns, axis=1), k, seed=seed)
    return PALETTE[found.labels % len(PALETTE)].reshape(SIZE, SIZE, 3), found


def best_overlap(labels: np.ndarray, inside: np.ndarray) -> tuple[float, int]:
    """The segment that agrees best with a region, by intersection over union, and that share.

    ``labels``: of every place; ``inside``: bool, the same shape. Who knows the region chooses the segment:
    segments have no names.
    """
    shares = [overlap(labels == label, inside) for label in range(int(labels.max()) + 1)]
    return max(shares), int(np.argmax(shares))


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    """Intersection over union of two regions, bool of one shape; 1 where both are empty."""
    union = (one | other).sum()
    return float((one & other).sum() / union) if union else 1.0


def overlay(picture: Pictures, coloured: Pictures, share: float = 0.5) -> Pictures:
    """A picture seen through another of its size."""
    mixed = (1 - share) * picture.astype(np.float64) + share * coloured
    return mixed.round().clip(0, 255).astype(np.uint8)


def _scaled(values: Mapping[str, np.ndarray], scope: Scope) -> dict[str, Pictures]:
    """Values (n, H, W, 3) as pictures, every colour from its lowest to its highest in scope."""
    if scope not in get_args(Scope):
        raise ValueError(f"scope must be one of {get_args(Scope)}, got {scope!r}")
    made = {}
    lowest = min(float(v.min()) for v in values.values())
    highest = max(float(v.max()) for v in values.values())
    for name, layer in values.items():
        if scope == "grid":
            low, high = lowest, highest
        else:
            axes = (1, 2) if scope == "cell" else (0, 1, 2)
            low, high = layer.min(axis=axes, keepdims=True), layer.max(axis=axes, keepdims=True)
        made[name] = _levels(layer, low, high)
    return made


def _grey(values: np.ndarray, low: float, high: float) -> Pictures:
    return _levels(values[..., None].repeat(3, -1), low, high)


def _levels(values: np.ndarray, low: np.ndarray | float, high: np.ndarray | float) -> Pictures:
    span = np.where(np.asarray(high) > low, np.asarray(high) - low, 1)
    levels = ((values - low) / span * 255).round().clip(0, 255).astype(np.uint8)
    return enlarge(levels, SIZE // levels.shape[-2])
