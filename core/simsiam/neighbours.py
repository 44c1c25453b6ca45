"""What the nearest pictures of a labelled bank say a picture shows: the weighted k-NN vote.

| name          | symbol  | shape        | range                                                     |
|---------------|---------|--------------|-----------------------------------------------------------|
| ``queries``   | f       | (Q, d)       | features of the pictures asked about                      |
| ``bank``      | f_i     | (N, d)       | features of the pictures whose labels are known           |
| ``labels``    | c_i     | (N,)         | int64 in [0, classes)                                     |
| ``similarity`` | s_i    | (Q, k)       | cosine, [-1, 1]                                           |
| ``temperature`` | tau   |              | above 0                                                   |
| ``scores``    | w_c     | (Q, classes) | [0, 1], summing to 1 over classes                         |

Source: Wu, Xiong, Yu & Lin 2018, "Unsupervised feature learning via non-parametric instance
discrimination" (arXiv:1805.01978), section 3.4, which takes k = 200 and tau = 0.07; SimSiam and
lightly take tau = 0.1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from core.rows import checked_rows
from core.simsiam.representation import normalise

CHUNK = 256
"""Queries whose similarities to the whole bank are held at once."""


@dataclass(frozen=True)
class Neighbours:
    """Of each of Q queries the k nearest rows of a bank, most similar first.

    ``index`` (Q, k), int64: rows of the bank. ``similarity`` (Q, k), float32: their cosine
    similarity; with a row of zeros it is 0.
    """

    index: Tensor
    similarity: Tensor


def find(queries: Tensor, bank: Tensor, k: int = 200, chunk: int = CHUNK) -> Neighbours:
    """The k rows of ``bank`` (N, d) most similar to each of ``queries`` (Q, d).

    Of equally similar rows the lower index comes first, at the k-th place too; a k above N means
    the whole bank. Cosines are taken in float64 and rounded to float32, so that copies of a row
    are equally similar whatever the order of summation. Memory: a float64 copy of the bank and
    ``chunk`` x N similarities. ValueError for an empty bank, features that are not as wide as each
    other or not finite, k or chunk below 1.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    if chunk < 1:
        raise ValueError(f"chunk must be at least 1, got {chunk}")
    bank = normalise(checked_rows("bank", bank))  # (N, d)
    queries = normalise(checked_rows("queries", queries)).to(bank.device)  # (Q, d)
    if queries.shape[1] != bank.shape[1]:
        raise ValueError(
            f"queries must be as wide as bank, {bank.shape[1]}, got {queries.shape[1]}"
        )
    parts = [_nearest((rows @ bank.T).float(), min(k, len(bank))) for rows in queries.split(chunk)]
    index, similarity = zip(*parts, strict=True)
    return Neighbours(torch.cat(index), torch.cat(similarity))


def _nearest(similarity: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Index and similarity (Q, k) of the k highest of each row of (Q, N), ties by index."""
    values, index = similarity.topk(min(k + 1, similarity.shape[1]), dim=1)
    index = index[:, :k]
    if values.shape[1] > k:  # topk takes any of those that equal the k-th
        tied = values[:, k - 1] == values[:, k]  # (Q,)
        index[tied] = _first_highest(similarity[tied], values[tied, k - 1 : k], k)
    index = index.sort(dim=1).values
    found, order = similarity.gather(1, index).sort(dim=1, descending=True, stable=True)
    return index.gather(1, order), found


def _first_highest(similarity: Tensor, last: Tensor, k: int) -> Tensor:
    """Index (Q, k) of the k highest of each row of (Q, N), of those at ``last`` (Q, 1) the first."""
    above, level = similarity > last, similarity == last
    places_left = k - above.sum(dim=1, keepdim=True)
    chosen = above | (level & (level.cumsum(dim=1, dtype=torch.int32) <= places_left))
    return chosen.nonzero()[:, 1].view(-1, k)  # k a row


def vote(neighbours: Neighbours, labels: Tensor, classes: int, temperature: float = 0.1) -> Tensor:
    """Scores (Q, classes), float32: the share of each class in the weights exp(s_i / tau).

    ``labels`` (N,) are those of the bank. Small temperatures do not overflow: what counts is the
    difference from the nearest neighbour.
    """
    if temperature <= 0:
        raise ValueError(f"temperature must be above 0, got {temperature}")
    _check_labels("labels", labels, classes)
    voted = _labels_of(neighbours, labels)  # (Q, k)
    weights = F.softmax(neighbours.similarity.double() / temperature, dim=1)
    scores = weights.new_zeros(len(voted), classes).scatter_add(1, voted, weights)
    return scores.float()  # equal votes stay equal, whatever the order of summation


def predict(neighbours: Neighbours, scores: Tensor, labels: Tensor) -> Tensor:
    """Classes (Q,) of the highest of ``scores`` (Q, classes).

    Of classes with equal scores the one whose nearest member is nearest wins. ValueError where no
    neighbour is of the class with the highest score, so that these are scores of other labels.
    """
    voted = _labels_of(neighbours, labels)  # (Q, k)
    if scores.ndim != 2 or len(scores) != len(voted) or scores.shape[1] <= int(voted.max()):
        raise ValueError(
            f"scores must be (Q, classes) of {len(voted)} queries with a column for label "
            f"{int(voted.max())}, got {tuple(scores.shape)}"
        )
    highest = scores == scores.max(dim=1, keepdim=True).values  # (Q, classes)
    wins = highest.gather(1, voted)  # (Q, k), nearest first
    if not wins.any(dim=1).all():
        raise ValueError("scores must be highest for a class among the neighbours' labels")
    first = wins.int().argmax(dim=1, keepdim=True)  # (Q, 1)
    return voted.gather(1, first).squeeze(1)


def accuracy(
    queries: Tensor,
    query_labels: Tensor,
    bank: Tensor,
    labels: Tensor,
    classes: int,
    k: int = 200,
    temperature: float = 0.1,
) -> float:
    """Share of ``queries`` (Q, d) whose label the weighted vote of ``bank`` (N, d) gets right."""
    right = named_right(queries, query_labels, bank, labels, classes, k, temperature)
    return float(right.double().mean())


def named_right(
    queries: Tensor,
    query_labels: Tensor,
    bank: Tensor,
    labels: Tensor,
    classes: int,
    k: int = 200,
    temperature: float = 0.1,
) -> Tensor:
    """Which of ``queries`` (Q, d) the weighted vote of ``bank`` (N, d) gives their label: bool (Q,)."""
    for name, given, rows in (("query_labels", query_labels, queries), ("labels", labels, bank)):
        if given.ndim != 1 or len(given) != len(rows):
            raise ValueError(f"{name} must be ({len(rows)},), got {tuple(given.shape)}")
    _check_labels("query_labels", query_labels, classes)
    neighbours = find(queries, bank, k)
    predicted = predict(neighbours, vote(neighbours, labels, classes, temperature), labels)
    return predicted == query_labels.to(predicted.device)


# ---------------------------------------------------------------- which of two is nearer

ROUNDING = 1e-5
"""Cosines that differ by less are equal to rounding: float32 has 24 binary digits, and a sum of d = 2,048
products is off by about sqrt(d) 2^-23 = 5e-6."""


@dataclass(frozen=True)
class Nearer:
    """Of ``count`` comparisons: in how many the first cosine is the higher one, in how many neither is."""

    first: int
    ties: int
    count: int

    @property
    def decisions(self) -> int:
        """Comparisons in which the two can be told apart."""
        return self.count - self.ties


def nearer(first: np.ndarray, second: np.ndarray, rounding: float = ROUNDING) -> Nearer:
    """How often the cosines ``first`` (N,) are higher than ``second`` (N,), by more than ``rounding``."""
    if first.shape != second.shape or first.ndim != 1:
        raise ValueError(f"first and second must be (N,) alike, got {first.shape}, {second.shape}")
    apart = first.astype(float) - second
    tied = np.abs(apart) <= rounding
    return Nearer(int(((apart > 0) & ~tied).sum()), int(tied.sum()), len(apart))


def _labels_of(neighbours: Neighbours, labels: Tensor) -> Tensor:
    """Labels (Q, k), int64, of the neighbours."""
    most = int(neighbours.index.max())
    if labels.ndim != 1 or len(labels) <= most:
        raise ValueError(f"labels must be (N,) with N above {most}, got {tuple(labels.shape)}")
    return labels.to(neighbours.index.device, torch.long)[neighbours.index]


def _check_labels(name: str, labels: Tensor, classes: int) -> None:
    if classes < 1:
        raise ValueError(f"classes must be at least 1, got {classes}")
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        found = f"{int(labels.min())} to {int(labels.max())}"
        raise ValueError(f"{name} must be 0 to {classes - 1}, got {found}")
