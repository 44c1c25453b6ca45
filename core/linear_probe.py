"""How much a linear classifier reads from frozen features.

| name       | symbol | shape        | meaning                                                       |
|------------|--------|--------------|---------------------------------------------------------------|
| ``features`` | x    | (N, d)       | frozen features, one row a picture                            |
| ``weight`` | W      | (classes, d) | of the logits W x + b                                         |
| ``bias``   | b      | (classes,)   |                                                               |
| ``penalty`` | lambda |             | weight of |W|^2 / 2, above 0, on standardised features        |

The usual linear evaluation (Zhang, Isola & Efros 2016, arXiv:1603.08511, section 3.2.1; Chen & He
2021, arXiv:2011.10566, appendix A) trains by stochastic gradients. On stored features the same
convex problem has one minimum, which is found here to convergence: no learning rate, no seed.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from core.rows import checked_rows


@dataclass(frozen=True)
class Probe:
    """A fitted classifier of features as they come, not standardised, and how often it is right.

    ``weight`` (classes, d) and ``bias`` (classes,), float64: logits are x W' + b.
    ``train_accuracy`` and ``test_accuracy`` in [0, 1]; ``test_right``: which test rows are, bool (N,).
    """

    train_accuracy: float
    test_accuracy: float
    weight: Tensor
    bias: Tensor
    test_right: Tensor


def linear_probe(
    features: Tensor,
    labels: Tensor,
    test_features: Tensor,
    test_labels: Tensor,
    classes: int,
    penalty: float = 1e-3,
    iterations: int = 1000,
) -> Probe:
    """Multinomial logistic regression on ``features`` (N, d), ``labels`` (N,) in [0, classes).

    Minimises mean cross-entropy + penalty / 2 |W|^2 over features standardised by the mean and
    standard deviation of the training rows; the bias is free, and a channel that never changes in
    training gets no weight. Full-batch L-BFGS with the strong Wolfe conditions (Nocedal & Wright
    2006, algorithms 7.5 and 3.5), ``iterations`` at most: the same features give the same probe.
    ValueError for features not finite or not as wide as each other, labels out of range or not one
    a row, penalty not above 0, iterations below 1.
    """
    if penalty <= 0:
        raise ValueError(f"penalty must be above 0, got {penalty}")
    if iterations < 1:
        raise ValueError(f"iterations must be at least 1, got {iterations}")
    x, test_x = checked_rows("features", features), checked_rows("test_features", test_features)
    if test_x.shape[1] != x.shape[1]:
        raise ValueError(
            f"test_features must be as wide as features, {x.shape[1]}, got {test_x.shape[1]}"
        )
    y = _checked_labels("labels", labels, x, classes)
    test_y = _checked_labels("test_labels", test_labels, test_x, classes)
    mean, std = _moments(x)
    weight, bias = _fit((x - mean) / std, y, classes, penalty, iterations)
    weight = weight / std  # (classes, d)
    bias = bias - weight @ mean
    right, test_right = _right(x, y, weight, bias), _right(test_x, test_y, weight, bias)
    return Probe(_share(right), _share(test_right), weight, bias, test_right)


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (d,) by channel; a constant channel is its mean, with std 1."""
    varies = x.amax(dim=0) > x.amin(dim=0)
    mean = torch.where(varies, x.mean(dim=0), x[0])
    std = (x - mean).square().mean(dim=0).sqrt()
    return mean, torch.where(std > 0, std, 1)


def _fit(
    x: Tensor, y: Tensor, classes: int, penalty: float, iterations: int
) -> tuple[Tensor, Tensor]:
    """Weight (classes, d) and bias (classes,) for standardised x (N, d) and labels y (N,)."""
    weight, bias = x.new_zeros(classes, x.shape[1]), x.new_zeros(classes)
    wanted = F.one_hot(y, classes).to(x.dtype)  # (N, classes)
    optimizer = torch.optim.LBFGS(
        [weight, bias],
        max_iter=iterations,
        max_eval=2 * iterations,
        tolerance_grad=1e-7,
        tolerance_change=1e-14,
        history_size=20,
        line_search_fn="strong_wolfe",
    )

    def loss() -> Tensor:
        logits = F.linear(x, weight, bias)  # (N, classes)
        surplus = (logits.softmax(dim=1) - wanted) / len(x)  # gradient of the mean by logits
        weight.grad = surplus.T @ x + penalty * weight
        bias.grad = surplus.sum(dim=0)
        return F.cross_entropy(logits, y) + penalty / 2 * weight.square().sum()

    optimizer.step(loss)
    return weight, bias


def _right(x: Tensor, y: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """bool (N,)"""
    return F.linear(x, weight, bias).argmax(dim=1) == y


def _share(right: Tensor) -> float:
    return float(right.double().mean())


def _checked_labels(name: str, labels: Tensor, x: Tensor, classes: int) -> Tensor:
    if classes < 2:
        raise ValueError(f"classes must be at least 2, got {classes}")
    if labels.ndim != 1 or len(labels) != len(x):
        raise ValueError(f"{name} must be ({len(x)},), got {tuple(labels.shape)}")
    if not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        found = f"{int(labels.min())} to {int(labels.max())}"
        raise ValueError(f"{name} must be 0 to {classes - 1}, got {found}")
    return labels.to(x.device, torch.long)
