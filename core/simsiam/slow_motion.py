"""One step of the toy SimSiam in slow motion: how the loss turns each output, and where all go.

In two dimensions the loss sees nothing but angles: D(p, z) = -cos(angle of z - angle of p). So a
pull is a single number, -N dL/d(angle), for a loss L that is the mean over N points: above 0 it
turns counterclockwise.

| name       | symbol                 | shape     | meaning                                             |
|------------|------------------------|-----------|-----------------------------------------------------|
| ``z, p``   | z, p                   | (2, N, 2) | outputs of encoder and predictor of two views       |
| ``asked``  | -N dL/dp               | (2, N, 2) | what the loss asks of the prediction p = h(z)       |
| ``predicts`` | -N dL/dz through h   | (2, N, 2) | what that makes of z, which p is computed of        |
| ``target`` | -N dL/dz not through h | (2, N, 2) | what the loss asks of z as target: ``detach`` takes |
|            |                        |           | this away, and nothing else                         |

h has batch normalisation, which mixes the points of a view: ``predicts`` at one z holds what that z does
to the losses of all N pairs, not of its own alone. ``asked`` and ``target`` are of one pair.

Closed forms, with u the unit vector of v and N points: asked of p_1 is (u(z_2) - cos u(p_1)) / 2|p_1|,
asked of the target z_2 is (u(p_1) - cos u(z_2)) / 2|z_2|; both are orthogonal to the vector that they
move. Without a predictor p = z, and ``predicts`` equals ``target``: stopping the gradient halves the
pull and turns nothing.

Sources: Chen & He 2021 (arXiv:2011.10566), algorithm 1 and section 4; Tian, Chen & Ganguli 2021
(arXiv:2102.06810), section 3.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import pi, sqrt

import numpy as np
import torch
from torch import Tensor

from core.simsiam import simsiam
from core.simsiam.representation import std_of_outputs
from core.simsiam.toy import Networks, ToyConfig, sample, walk

PLANE = 2
"""d of networks in slow motion: their normalised outputs lie on a circle, none is projected."""


@dataclass(frozen=True)
class Pulls:
    """Where a step down the gradient would take outputs that could move by themselves: (2, N, d) each."""

    asked: Tensor
    predicts: Tensor
    target: Tensor


def pulls(networks: Networks, z: Tensor) -> tuple[Tensor, Pulls]:
    """p = h(z) of two views (2, N, d), and how the symmetric loss pulls at z and p.

    Both halves of the loss are in it: view 1 predicts view 2, and the other way round.
    """
    source, target = z.detach().clone().requires_grad_(), z.detach().clone().requires_grad_()
    p = networks.h(source)
    p = p.clone() if p is source else p  # or what is asked of p would be what is asked of z
    loss = simsiam.loss(*p, *target)
    found = torch.autograd.grad(loss, (p, source, target))
    return p.detach(), Pulls(*(-z.shape[1] * gradient for gradient in found))


def angle(v: Tensor) -> Tensor:
    """Angles (...,) of vectors (..., 2), in radians from -pi to pi."""
    return torch.atan2(v[..., 1], v[..., 0])


def turning(v: Tensor, pull: Tensor) -> Tensor:
    """Pulls (..., 2) at vectors v (..., 2) as derivatives by their angles (...,): v_1 g_2 - v_2 g_1.

    What would stretch v is left out. At p and at a target there is no such part, as the loss sees their
    directions alone; at a z that goes through h there is one, as h sees how long z is.
    """
    return v[..., 0] * pull[..., 1] - v[..., 1] * pull[..., 0]


def towards(angles: Tensor, pull: Tensor) -> Tensor:
    """Share of the views (2, N) that a pull (2, N) turns towards the other view of their point: in [0, 1]."""
    way = torch.remainder(angles.flip(0) - angles + pi, 2 * pi) - pi
    return (pull * way > 0).double().mean()


@dataclass(frozen=True)
class Moment:
    """Networks after ``step`` steps, as two views of every point see them; angles in radians, (2, N).

    ``loss``: of these views. ``spread``: std of the normalised z over all of them, times sqrt(2): 0 is one
    place, 1 is everywhere. ``asked`` turns p, ``predicts`` and ``target`` turn z. ``towards``: share of
    ``predicts`` that turn z towards the other view.
    """

    step: int
    loss: float
    spread: float
    z: np.ndarray
    p: np.ndarray
    asked: np.ndarray
    predicts: np.ndarray
    target: np.ndarray
    towards: float


def slow_motion(config: ToyConfig) -> Iterator[Moment]:
    """A moment before each step of a run in the plane, and one after its last.

    The two views of every point are those of the first step, and stay the same; the steps
    themselves see fresh views, as they do in ``train``.
    """
    if config.dim != PLANE:
        raise ValueError(f"dim must be {PLANE}, or outputs lie on no circle, got {config.dim}")
    views = torch.from_numpy(sample(config).views)  # (2, N, 10)
    for step, networks, _loss in walk(config):
        with torch.no_grad():
            z = networks.f(views)  # (2, N, 2)
        p, pull = pulls(networks, z)
        angles, predicts = angle(z), turning(z, pull.predicts)  # (2, N)
        yield Moment(
            step=step,
            loss=float(simsiam.loss(*p, *z)),
            spread=float(std_of_outputs(z.flatten(0, 1))) * sqrt(PLANE),
            z=angles.numpy(),
            p=angle(p).numpy(),
            asked=turning(p, pull.asked).numpy(),
            predicts=predicts.numpy(),
            target=turning(z, pull.target).numpy(),
            towards=float(towards(angles, predicts)),
        )
