"""Which class can be read from z, and by what kind of reader: the encoder was never told one.

| name        | symbol   | shape              | meaning                                              |
|-------------|----------|--------------------|------------------------------------------------------|
| ``z``       | mu(x)    | (N, d)             | the encoder's means, one row a picture               |
| ``labels``  | c        | (N,)               | int64 in [0, classes)                                |
| ``products``|          | (N, d + d(d+1)/2)  | z and all z_i z_j with i at most j                   |

A linear reader sees what the *mean* of a class differs by. A digit that is light on dark in one picture
and dark on light in the next lies on either side of the mean of all: there the class shows in products of
units, or in the neighbourhood, and no plane finds it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from core.linear_probe import linear_probe
from core.rows import checked_rows

NEIGHBOURS = 50
ITERATIONS = 1000
CHUNK = 256


@dataclass(frozen=True)
class Readouts:
    """How often each reader names the right class of test pictures, 0 to 1.

    ``most_common``: the training set's most common class, always; ``pixels``: a linear classifier on all
    pixels; ``linear``: on z; ``products``: on z and its products; ``neighbours``: the vote of the ``k``
    nearest training pictures in z. ``train_pictures`` and ``test_pictures`` say how many they learnt from
    and were asked about.
    """

    most_common: float
    pixels: float
    linear: float
    products: float
    neighbours: float
    k: int
    train_pictures: int
    test_pictures: int

    def figures(self) -> dict[str, float | int]:
        return asdict(self)


def products(z: Tensor) -> Tensor:
    """z (N, d) and all products z_i z_j with i <= j behind it: (N, d + d (d + 1) / 2)."""
    first, second = torch.triu_indices(z.shape[1], z.shape[1])
    return torch.cat([z, z[:, first] * z[:, second]], dim=1)


def vote_of_neighbours(
    z: Tensor, labels: Tensor, asked: Tensor, k: int = NEIGHBOURS, chunk: int = CHUNK
) -> Tensor:
    """The most frequent class among the k rows of ``z`` (N, d) nearest to each of ``asked`` (Q, d): (Q,).

    Nearest by Euclidean distance; of equally frequent classes the lowest. ValueError for k below 1 or rows
    that are not finite or not as wide as each other.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    z, asked = checked_rows("z", z), checked_rows("asked", asked)
    if asked.shape[1] != z.shape[1]:
        raise ValueError(f"asked must be as wide as z, {z.shape[1]}, got {asked.shape[1]}")
    nearest = [
        torch.cdist(rows, z).topk(min(k, len(z)), dim=1, largest=False).indices
        for rows in asked.split(chunk)
    ]
    votes = labels.to(z.device)[torch.cat(nearest)]  # (Q, k)
    counts = votes.new_zeros(len(votes), int(labels.max()) + 1)
    return counts.scatter_add(1, votes, torch.ones_like(votes)).argmax(dim=1)


def read(
    sets: Sequence[tuple[Tensor, Tensor, Tensor]],
    classes: int,
    k: int = NEIGHBOURS,
    iterations: int = ITERATIONS,
) -> Readouts:
    """All readers, fitted on the first of two ``sets`` and asked about the second.

    Each is (pixels (N, p), z (N, d), labels (N,)). Deterministic: every fit is a convex problem solved to
    convergence, in ``iterations`` at most (``core.linear_probe``), and a vote.
    """
    (pixels, z, labels), (test_pixels, test_z, test_labels) = sets

    def right(features: Tensor, test_features: Tensor) -> float:
        probe = linear_probe(
            features, labels, test_features, test_labels, classes, iterations=iterations
        )
        return probe.test_accuracy

    voted = vote_of_neighbours(z, labels, test_z, k).to(test_labels.device)
    most = int(labels.bincount(minlength=classes).argmax())
    return Readouts(
        most_common=float((test_labels == most).double().mean()),
        pixels=right(pixels, test_pixels),
        linear=right(z, test_z),
        products=right(products(z), products(test_z)),
        neighbours=float((voted == test_labels).double().mean()),
        k=min(k, len(z)),
        train_pictures=len(z),
        test_pictures=len(test_z),
    )
