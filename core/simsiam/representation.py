"""What a cloud of representations looks like: collapsed to a point, to a few directions, or spread.

| name     | symbol          | shape           | meaning                                             |
|----------|-----------------|-----------------|-----------------------------------------------------|
| ``z``    | z               | (N, d)          | outputs of a projector, one row a picture           |
| ``x, y`` | f(x), f(y)      | (N, d)          | features; for ``alignment`` of two views, row by row |
| ``t``    | t               |                 | inverse width of the Gaussian kernel, above 0       |
| ``values`` | s_1, ..., s_n | (n,)            | singular values, at least 0                         |

Everything is computed and given in float64, on the device of the features (on the CPU where that
device has no float64, as MPS). Each function refuses rows that are not (N, d) or not finite.
"""

from __future__ import annotations

import torch
from torch import Tensor

from core.rows import as_double, checked_rows

CHUNK = 256
"""Rows whose distances to all others are held at once."""


def normalise(x: Tensor) -> Tensor:
    """Rows of (N, d) divided by their l2 norm; a row of zeros stays one."""
    norm = x.norm(dim=1, keepdim=True)  # (N, 1)
    return x / torch.where(norm > 0, norm, 1)


def std_of_outputs(z: Tensor) -> Tensor:
    """Standard deviation of the l2-normalised outputs z (N, d), mean over channels: a scalar.

    0: all rows point the same way, the outputs have collapsed; 1/sqrt(d): they point everywhere
    alike. The deviation of each channel is over the N rows, N at least 2, with N - 1 below.
    Chen & He 2021 (arXiv:2011.10566), section 4.1 and figure 2, middle.
    """
    return _centred(normalise(checked_rows("z", z, least=2))).std(dim=0).mean()


def total_variance(x: Tensor) -> Tensor:
    """Trace of the sample covariance of x (N, d), N at least 2: a scalar, in squared units of x."""
    return _centred(checked_rows("x", x, least=2)).var(dim=0).sum()


def singular_values(x: Tensor) -> Tensor:
    """Singular values of the centred rows of x (N, d), N at least 2: (min(N, d),), falling.

    Their squares over N - 1 are the eigenvalues of the covariance. Accurate to about 1e-15 of the
    largest one: no Gram matrix is formed, in which all below 1e-8 of it would drown.
    """
    centred = _centred(checked_rows("x", x, least=2))
    tall = centred if len(centred) >= centred.shape[1] else centred.T
    triangle = torch.linalg.qr(tall, mode="r").R  # (n, n), with the same singular values
    return torch.linalg.svdvals(triangle)


def effective_rank(values: Tensor) -> Tensor:
    """How many directions singular values (n,) amount to: exp(entropy of s / sum(s)), a scalar.

    1: one direction; n: all of them alike. 0 by convention where every value is 0: a point. Of
    singular values, not of eigenvalues, which would give less. Roy & Vetterli 2007, "The
    effective rank: a measure of effective dimensionality", definition 1.
    """
    if values.ndim != 1 or len(values) < 1:
        raise ValueError(f"values must be (n,) with n at least 1, got {tuple(values.shape)}")
    values = as_double(values)
    if not (values.isfinite() & (values >= 0)).all():
        raise ValueError(f"values must be finite and at least 0, got {values.tolist()}")
    if values.max() == 0:
        return values.max()
    scaled = values / values.max()  # the sum of huge values would be infinite
    return torch.special.entr(scaled / scaled.sum()).sum().exp()


def alignment(x: Tensor, y: Tensor, alpha: float = 2.0) -> Tensor:
    """E |f(x) - f(y)|^alpha over pairs of views (N, d), l2-normalised here: a scalar.

    0: both views of every picture have the same features; at most 2^alpha. Wang & Isola 2020
    (arXiv:2005.10242), section 4.1.2.
    """
    if alpha <= 0:
        raise ValueError(f"alpha must be above 0, got {alpha}")
    x, y = checked_rows("x", x), checked_rows("y", y)
    if x.shape != y.shape:
        raise ValueError(f"y must have the shape of x, {tuple(x.shape)}, got {tuple(y.shape)}")
    return (normalise(x) - normalise(y)).norm(dim=1).pow(alpha).mean()


def uniformity(x: Tensor, t: float = 2.0) -> Tensor:
    """log E exp(-t |f(x) - f(y)|^2) over the pairs of different rows of x (N, d): a scalar.

    Rows are l2-normalised here. 0: all in one point; -2 t is what independent uniform directions
    come near to for large d. Wang & Isola 2020 (arXiv:2005.10242), section 4.1.2. Takes
    memory for ``CHUNK`` x N distances.
    """
    if t <= 0:
        raise ValueError(f"t must be above 0, got {t}")
    x = normalise(checked_rows("x", x, least=2))
    squares = x.square().sum(dim=1)  # (N,): 1, or 0 for a row of zeros
    parts = []
    for start in range(0, len(x), CHUNK):
        rows, others = slice(start, start + CHUNK), slice(start, None)
        squared = squares[rows, None] + squares[others] - 2 * x[rows] @ x[others].T
        later = torch.ones_like(squared, dtype=torch.bool).triu(diagonal=1)  # each pair once
        exponents = (-t * squared.clamp(min=0)).masked_fill(~later, -torch.inf)
        parts.append(exponents.logsumexp(dim=(0, 1)))
    pairs = torch.tensor(len(x) * (len(x) - 1) / 2, dtype=x.dtype, device=x.device)
    return torch.stack(parts).logsumexp(dim=0) - pairs.log()


def principal_plane(x: Tensor, before: Tensor | None = None) -> Tensor:
    """Coordinates (N, 2) of the centred rows of x (N, d) on their first two principal components.

    With ``before`` (N, 2), the same rows on an earlier map, the plane is rotated or reflected to
    lie as near to it as it can (orthogonal Procrustes, Schönemann 1966), never stretched; without,
    the largest weight of each component is positive. Coordinates beyond the rank of x, or below
    about 1e-6 of the first, are 0.
    """
    scores = _two_scores(_centred(checked_rows("x", x, least=2)))
    if before is None:
        return scores
    if before.shape != scores.shape:
        raise ValueError(f"before must be {tuple(scores.shape)}, got {tuple(before.shape)}")
    before = checked_rows("before", before).to(scores.device)
    left, _, right = torch.linalg.svd(scores.T @ before)
    return scores @ (left @ right)


def _two_scores(centred: Tensor) -> Tensor:
    """Scores (N, 2) from the smaller Gram matrix: small values drown in it, the first do not."""
    wide = len(centred) < centred.shape[1]
    gram = centred @ centred.T if wide else centred.T @ centred
    squares, vectors = torch.linalg.eigh(gram)  # rising
    rounding = torch.finfo(gram.dtype).eps * max(centred.shape) * squares[-1]
    scores = centred.new_zeros(len(centred), 2)
    for place in range(min(2, len(squares))):
        square, vector = squares[-1 - place], vectors[:, -1 - place]
        if square <= rounding:
            break
        direction = centred.T @ vector / square.sqrt() if wide else vector  # (d,)
        sign = direction[direction.abs().argmax()].sign()
        scores[:, place] = centred @ direction * sign
    return scores


def _centred(x: Tensor) -> Tensor:
    """Columns with their mean taken off; a constant one is 0 without rounding errors."""
    x = x - x[0]
    return x - x.mean(dim=0)
