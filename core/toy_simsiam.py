"""A SimSiam of a few hundred parameters on points of known structure: collapse within a second.

Points lie in six dimensions: two hold a class, four are nuisance. A view is the point with fresh
noise, nearly all of it in the nuisance dimensions, as augmentation changes colours and crops but
not the class. Every step takes all points, two fresh views of each, and one SGD step.

| name               | symbol  | shape       | meaning                                              |
|--------------------|---------|-------------|------------------------------------------------------|
| ``x``              | x       | (N, 6)      | points; of two views (2, N, 6)                       |
| ``z``              | z       | (N, d)      | output of the encoder f; of two views (2, N, d)      |
| ``p``              | p       | (2, N, d)   | output of the predictor h, p = h(z)                  |
| ``layers``         | W, b    | (in, out), (out,) | weight and bias of each layer                  |
| ``eigenvalues``    | s_j     | (d,)        | of E[z z^T], z l2-normalised: falling, summing to 1  |
| ``gains``          | p_j     | (d,)        | u_j^T W_p u_j: what a linear predictor does along u_j |

Sources: Chen & He 2021 (arXiv:2011.10566), algorithm 1 and sections 4.1, 4.2, 4.4; Tian, Chen &
Ganguli 2021 (arXiv:2102.06810), section 3, for the spectra of representation and predictor.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import isfinite, pi
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from core import neighbours, simsiam
from core.representation import effective_rank, normalise, principal_plane, singular_values
from core.representation import std_of_outputs as std_of

Predictor = Literal["mlp", "linear", "identity", "fixed"]
BatchNorm = Literal["none", "hidden", "all"]
Layers = list[tuple[Tensor, Tensor]]

CLASSES, A_CLASS, NUISANCE = 5, 40, 4
WIDTH = 2 + NUISANCE
"""Dimensions of a point."""
WITHIN, JITTER = 0.1, 0.05
"""Standard deviation, in the two dimensions of the class, of a class and of a view."""
HIDDEN, PREDICTOR_HIDDEN = 32, 16
MOMENTUM = 0.9
NEIGHBOURS = 10
STATES = 30
"""A run is looked at so many times, more often at its beginning, and before the first step."""
MOST_STEPS, MOST_DIM, MOST_SEED = 20_000, 8, 2**24


@dataclass(frozen=True)
class ToyConfig:
    """Everything that a run depends on.

    ``stop_gradient``: the target z is held constant. ``predictor``: ``mlp`` and ``linear`` learn,
    ``identity`` is none at all, ``fixed`` is an mlp that keeps its random initial weights.
    ``batch_norm``: in no layer, in hidden layers, or in the encoder's last one as well (it has no
    scale and shift here). ``augmentation``: standard deviation of a view in the nuisance
    dimensions, in which points have 1. ``predictor_rate``: the predictor's learning rate over that
    of the encoder. ``dim``: d.
    """

    stop_gradient: bool = True
    predictor: Predictor = "mlp"
    batch_norm: BatchNorm = "hidden"
    augmentation: float = 1.0
    learning_rate: float = 0.1
    predictor_rate: float = 1.0
    weight_decay: float = 1e-3
    dim: int = 4
    steps: int = 600
    seed: int = 0

    def __post_init__(self) -> None:
        if self.predictor not in ("mlp", "linear", "identity", "fixed"):
            raise ValueError(
                "predictor must be 'mlp', 'linear', 'identity' or 'fixed', "
                f"got {self.predictor!r}"
            )
        if self.batch_norm not in ("none", "hidden", "all"):
            raise ValueError(
                f"batch_norm must be 'none', 'hidden' or 'all', got {self.batch_norm!r}"
            )
        for name in ("augmentation", "predictor_rate", "weight_decay"):
            value = getattr(self, name)
            if not (isfinite(value) and value >= 0):
                raise ValueError(f"{name} must be finite and at least 0, got {value}")
        if not (isfinite(self.learning_rate) and self.learning_rate > 0):
            raise ValueError(f"learning_rate must be finite and above 0, got {self.learning_rate}")
        for name, low, high in (
            ("dim", 2, MOST_DIM),
            ("steps", 1, MOST_STEPS),
            ("seed", 0, MOST_SEED),
        ):
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name} must be {low} to {high}, got {getattr(self, name)}")

    def generator(self, stream: int) -> torch.Generator:
        """Random numbers for one purpose of this run: those of another change nothing here."""
        return torch.Generator().manual_seed(len(STREAMS) * self.seed + stream)


STREAMS = POINTS, ENCODER, PREDICTOR, VIEWS, TEST_POINTS = range(5)


# ---------------------------------------------------------------- points and views


def points(generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Points x (N, 6), float32, and their classes (N,), int64, as many of each class.

    The first two dimensions: classes evenly on the unit circle, each with a standard deviation of
    ``WITHIN``. The others: standard normal, the same for every class.
    """
    labels = torch.arange(CLASSES).repeat_interleave(A_CLASS)  # (N,)
    angle = 2 * pi * labels / CLASSES
    x = torch.randn(len(labels), WIDTH, generator=generator)  # (N, 6)
    x[:, :2] = torch.stack([angle.cos(), angle.sin()], dim=1) + WITHIN * x[:, :2]
    return x, labels


def two_views(x: Tensor, augmentation: float, generator: torch.Generator) -> Tensor:
    """Each of x (N, 6) twice, with fresh noise: (2, N, 6).

    Its standard deviation is ``augmentation`` in the nuisance dimensions, ``JITTER`` in the others.
    """
    scale = torch.full((WIDTH,), augmentation)
    scale[:2] = JITTER
    return x + scale * torch.randn(2, *x.shape, generator=generator)


# ---------------------------------------------------------------- networks


def random_layers(widths: tuple[int, ...], generator: torch.Generator) -> Layers:
    """Layers from each width to the next: weights from N(0, 1 / width in), biases 0."""
    return [
        (torch.randn(a, b, generator=generator) / a**0.5, torch.zeros(b))
        for a, b in zip(widths, widths[1:], strict=False)
    ]


def batch_norm(x: Tensor) -> Tensor:
    """Each channel of x (..., N, C) to mean 0 and variance 1 over the N points of one view."""
    centred = x - x.mean(dim=-2, keepdim=True)
    return centred * (centred.square().mean(dim=-2, keepdim=True) + 1e-5).rsqrt()


def forward(x: Tensor, layers: Layers, *, hidden_norm: bool, last_norm: bool = False) -> Tensor:
    """x (..., N, C) through linear layers with ReLU between them; through none it stays x."""
    for index, (weight, bias) in enumerate(layers):
        last = index == len(layers) - 1
        x = x @ weight + bias
        if last_norm if last else hidden_norm:
            x = batch_norm(x)
        if not last:
            x = x.relu()
    return x


@dataclass(frozen=True)
class Networks:
    """Encoder f and predictor h with their weights, which a run changes in place."""

    config: ToyConfig
    encoder: Layers
    predictor: Layers

    @classmethod
    def start(cls, config: ToyConfig) -> Networks:
        """Random weights; those of the encoder depend on seed and ``dim`` alone."""
        d = config.dim
        widths = {
            "mlp": (d, PREDICTOR_HIDDEN, d),
            "fixed": (d, PREDICTOR_HIDDEN, d),
            "linear": (d, d),
            "identity": (d,),
        }[config.predictor]
        return cls(
            config,
            random_layers((WIDTH, HIDDEN, d), config.generator(ENCODER)),
            random_layers(widths, config.generator(PREDICTOR)),
        )

    def f(self, x: Tensor) -> Tensor:
        """z (..., N, d) of points x (..., N, 6)."""
        kind = self.config.batch_norm
        return forward(x, self.encoder, hidden_norm=kind != "none", last_norm=kind == "all")

    def h(self, z: Tensor) -> Tensor:
        """p (..., N, d) of z (..., N, d)."""
        return forward(z, self.predictor, hidden_norm=self.config.batch_norm != "none")

    def loss(self, x: Tensor) -> Tensor:
        """The symmetric loss of two views x (2, N, 6): a scalar, -1 at best.

        ``detach`` is the whole of the stop-gradient. Chen & He 2021, algorithm 1.
        """
        z = self.f(x)  # (2, N, d)
        p = self.h(z)  # (2, N, d)
        target = z.detach() if self.config.stop_gradient else z
        return simsiam.loss(*p, *target)

    @property
    def learns(self) -> bool:
        """Whether the predictor has weights that training changes."""
        return self.config.predictor in ("mlp", "linear")

    def optimiser(self) -> torch.optim.SGD:
        """SGD with momentum and weight decay over all weights that learn."""
        rate = self.config.learning_rate
        groups = [{"params": _tensors(self.encoder)}]
        if self.learns:
            params = _tensors(self.predictor)
            groups.append({"params": params, "lr": rate * self.config.predictor_rate})
        for group in groups:
            for tensor in group["params"]:
                tensor.requires_grad_()
        return torch.optim.SGD(
            groups, lr=rate, momentum=MOMENTUM, weight_decay=self.config.weight_decay
        )


def _tensors(layers: Layers) -> list[Tensor]:
    return [tensor for layer in layers for tensor in layer]


def parameters(config: ToyConfig) -> int:
    """How many weights the encoder and the predictor have, whether they learn or not."""
    made = Networks.start(config)
    return sum(tensor.numel() for tensor in _tensors(made.encoder) + _tensors(made.predictor))


# ---------------------------------------------------------------- what is looked at


def correlation(z: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues s_j (d,), falling, and eigenvectors u_j, the columns of (d, d), of E[z z^T].

    z (N, d) is l2-normalised here, so that the eigenvalues sum to 1: all near 1/d when z points
    everywhere, the first near 1 when it has collapsed. Float64.
    """
    z = normalise(z.double())
    values, vectors = torch.linalg.eigh(z.T @ z / len(z))  # rising
    return values.clamp(min=0).flip(0), vectors.flip(1)


def gains_along(vectors: Tensor, weight: Tensor) -> Tensor:
    """u_j^T W u_j (d,) of a linear predictor p = z W for the columns u_j of ``vectors`` (d, d).

    They are its eigenvalues where it has the eigenvectors of E[z z^T], to which training brings
    it: Tian, Chen & Ganguli 2021, theorem 3.
    """
    return (vectors * (weight.to(vectors.dtype) @ vectors)).sum(dim=0)


@dataclass(frozen=True)
class State:
    """A run after ``step`` of ``total`` steps, ``seconds`` after its beginning.

    ``loss``: of the views of this step, before it (-1 at best); of the last one, of fresh views.
    The rest is of the clean points, as they are: ``std`` (0: collapsed, 1/sqrt(d): spread),
    ``rank`` (effective rank of z, 1 to d), ``accuracy`` (share of test points whose class their
    ``NEIGHBOURS`` nearest of the points tell), ``eigenvalues`` (d,), ``gains`` (d,) where the
    predictor is linear. ``plane`` (N, 2): l2-normalised z on its principal plane, turned to lie as
    near as it can to the one before; ``labels`` (N,).
    """

    step: int
    total: int
    seconds: float
    loss: float
    std: float
    rank: float
    accuracy: float
    eigenvalues: np.ndarray
    gains: np.ndarray | None
    plane: np.ndarray
    labels: np.ndarray

    @property
    def done(self) -> int:
        return self.step

    @property
    def finished(self) -> bool:
        return self.step == self.total


def stops(steps: int) -> list[int]:
    """After which steps a run is looked at: 0, then ever more rarely, and after the last one."""
    return sorted({round(steps * (i / STATES) ** 2) for i in range(STATES + 1)})


def train(config: ToyConfig) -> Iterator[State]:
    """Train from the beginning; yields a state at each of ``stops(config.steps)``.

    Ends early where z is no longer finite, as under too high a learning rate.
    """
    x, labels = points(config.generator(POINTS))
    test, test_labels = points(config.generator(TEST_POINTS))
    views = config.generator(VIEWS)
    networks = Networks.start(config)
    optimiser = networks.optimiser()
    looked_at, plane, begun = set(stops(config.steps)), None, time.perf_counter()
    for step in range(config.steps + 1):
        loss = networks.loss(two_views(x, config.augmentation, views))
        if step in looked_at:
            with torch.no_grad():
                z, test_z = networks.f(x), networks.f(test)
            values, vectors = correlation(z)
            plane = principal_plane(normalise(z), plane)
            linear = config.predictor == "linear"
            gains = gains_along(vectors, networks.predictor[0][0].detach()) if linear else None
            yield State(
                step=step,
                total=config.steps,
                seconds=time.perf_counter() - begun,
                loss=float(loss.detach()),
                std=float(std_of(z)),
                rank=float(effective_rank(singular_values(z))),
                accuracy=neighbours.accuracy(
                    test_z, test_labels, z, labels, CLASSES, k=NEIGHBOURS
                ),
                eigenvalues=values.numpy(),
                gains=None if gains is None else gains.numpy(),
                plane=plane.numpy(),
                labels=labels.numpy(),
            )
        if step < config.steps:
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
