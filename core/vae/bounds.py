"""Bounds of log p(x) from importance weights, and the units in which they are given."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from core.vae.gaussian import LOG_2PI
from core.vae.networks import PICTURE_DIMENSIONS

NLL_CONSTANT = 0.5 * PICTURE_DIMENSIONS * LOG_2PI
"""The part of every nll that no model can change: 3072/2 ln(2 pi) = 2,823.0 nats."""


def importance_weighted_bound(log_w: Tensor) -> Tensor:
    """log-mean-exp over the last dimension of log weights (..., K): (...), nats."""
    return torch.logsumexp(log_w, dim=-1) - math.log(log_w.shape[-1])


def log_of_mean_weight(log_w: Tensor) -> Tensor:
    """log(1/K sum_k w_k) over the last dimension of log weights (..., K), as the formula is written: (...).

    Exact on paper, where it is ``importance_weighted_bound``. In float64 exp(-745.2) is 0, in float32
    exp(-104): weights of pictures, near exp(-2,900), all become 0, and this becomes -inf.
    """
    return torch.log(torch.exp(log_w).mean(dim=-1))


def normalised_weights(log_w: Tensor) -> Tensor:
    """w_k / sum_k w_k over the last dimension of log weights (..., K): (..., K), of sum 1.

    All 1/K: q(z|x) is the true posterior. One of them near 1: a single draw decides.
    """
    return torch.softmax(log_w, dim=-1)


def effective_sample_size(log_w: Tensor) -> Tensor:
    """(sum w)^2 / sum w^2 over the last dimension of log weights (..., K): (...), 1 to K.

    K: every draw counts alike, q(z|x) is the true posterior. 1: one draw decides everything, and
    the bound is still far below log p(x). Kong 1992; Owen 2013, section 9.3.
    """
    return torch.exp(2 * torch.logsumexp(log_w, dim=-1) - torch.logsumexp(2 * log_w, dim=-1))


def bits_per_dimension(nll: Tensor | float) -> Tensor | float:
    """Nats of a picture in [-1, 1] as bits per 8-bit channel value.

    nll / (3072 ln 2) + log2(127.5): the second term changes the unit from [-1, 1] to 0..255.
    Never below 8.32 with a unit-variance likelihood.
    """
    return nll / (PICTURE_DIMENSIONS * math.log(2)) + math.log2(127.5)
