"""Small changes of a picture that fool a classifier.

x (B, 3, H, W) in [-1, 1]; ``epsilon`` is the largest change of a value in these units, so that the
usual 8/255 of pictures in [0, 1] is 16/255 here. The classifier's weights are not touched.

Sources: Goodfellow, Shlens & Szegedy 2015 (arXiv:1412.6572), "FGSM"; Madry et al. 2018
(arXiv:1706.06083), "PGD".
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from core.ddpm.schedule import Generators

Classifier = Callable[[Tensor], Tensor]
"""x (B, 3, H, W) to logits (B, C)."""


def loss_gradient(classifier: Classifier, x: Tensor, labels: Tensor) -> Tensor:
    """How the cross-entropy of each picture changes with its values: the shape of ``x``."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        loss = F.cross_entropy(classifier(x), labels, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, x)
    return gradient


def fgsm(classifier: Classifier, x: Tensor, labels: Tensor, epsilon: float) -> Tensor:
    """One step of ``epsilon`` along the sign of the gradient: Goodfellow et al., section 4."""
    _check(epsilon)
    return (x + epsilon * loss_gradient(classifier, x, labels).sign()).clamp(-1, 1)


def pgd(
    classifier: Classifier,
    x: Tensor,
    labels: Tensor,
    epsilon: float,
    *,
    steps: int = 10,
    step_size: float | None = None,
    generator: Generators = None,
) -> Tensor:
    """Many small steps that stay within ``epsilon``: Madry et al., section 2.1.

    ``step_size`` None is 2.5 ``epsilon`` / ``steps``, as theirs. ``generator``, one or one a
    picture, starts from a random change within ``epsilon``; None starts from ``x`` itself.
    """
    _check(epsilon)
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}")
    step_size = 2.5 * epsilon / steps if step_size is None else step_size
    low, high = (x - epsilon).clamp(min=-1), (x + epsilon).clamp(max=1)
    attacked = x
    if generator is not None:
        attacked = torch.clamp(x + epsilon * _uniform(x, generator), low, high)
    for _step in range(steps):
        gradient = loss_gradient(classifier, attacked, labels)
        attacked = torch.clamp(attacked + step_size * gradient.sign(), low, high)
    return attacked


def _check(epsilon: float) -> None:
    if not 0 <= epsilon <= 2:
        raise ValueError(f"epsilon must be 0 to 2, got {epsilon}")


def _uniform(x: Tensor, generator: Generators) -> Tensor:
    """In [-1, 1), the shape of ``x``, from one generator or one a picture; made on the CPU."""
    if isinstance(generator, torch.Generator):
        unit = torch.rand(x.shape, generator=generator)
    else:
        unit = torch.stack([torch.rand(x.shape[1:], generator=one) for one in generator])
    return (2 * unit - 1).to(x)
