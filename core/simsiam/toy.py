"""A SimSiam of a few hundred parameters on points of known structure: collapse within a second.

Points lie in ten dimensions: two hold a class, eight are nuisance. A view is the point with fresh
noise, nearly all of it in the nuisance dimensions, as augmentation changes colours and crops but
not the class. Every step takes all points, two fresh views of each, and one SGD step.

| name               | symbol  | shape       | meaning                                              |
|--------------------|---------|-------------|------------------------------------------------------|
| ``x``              | x       | (N, 10)     | points; of two views (2, N, 10)                      |
| ``z``              | z       | (N, d)      | output of the encoder f; of two views (2, N, d)      |
| ``p``              | p       | (2, N, d)   | output of the predictor h, p = h(z)                  |
| ``layers``         | W, b    | (in, out), (out,) | weight and bias of every layer                 |
| ``eigenvalues``    | s_j     | (d,)        | of E[z z^T], z l2-normalised: falling, summing to 1  |
| ``gains``          | g_j     | (d,)        | u_j^T W u_j: what a linear predictor does along u_j  |

Sources: Chen & He 2021 (arXiv:2011.10566), algorithm 1 and sections 4.1, 4.2, 4.4; Tian, Chen &
Ganguli 2021 (arXiv:2102.06810), section 3, for the spectra of representation and predictor.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum, auto
from itertools import pairwise
from math import pi
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from core.simsiam import neighbours, simsiam
from core.simsiam.representation import (
    effective_rank,
    normalise,
    principal_plane,
    singular_values,
    std_of_outputs,
)

Predictor = Literal["mlp", "linear", "identity", "fixed"]
BatchNorm = Literal["none", "hidden", "all"]
Layers = list[tuple[Tensor, Tensor]]

CLASSES, A_CLASS, TEST_A_CLASS, NUISANCE = 5, 40, 20, 8
WIDTH = 2 + NUISANCE
"""Dimensions of a point."""
WITHIN, JITTER = 0.1, 0.05
"""Standard deviation, in the two dimensions of the class, of a class and of a view."""
HIDDEN, PREDICTOR_HIDDEN = 32, 16
MOMENTUM = 0.9
NEIGHBOURS = 10
STATES = 30
"""How often a run is looked at: more often at its beginning, and before the first step."""
MOST_DIM = 8


class Stream(IntEnum):
    """What random numbers are for."""

    POINTS = 0
    ENCODER = auto()
    PREDICTOR = auto()
    VIEWS = auto()
    TEST_POINTS = auto()


@dataclass(frozen=True)
class ToyConfig:
    """Everything that a run depends on; as it stands, SimSiam with all its parts.

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
    learning_rate: float = 0.2
    predictor_rate: float = 1.0
    weight_decay: float = 5e-3
    dim: int = 4
    steps: int = 400
    seed: int = 0

    def __post_init__(self) -> None:
        if self.predictor not in ("mlp", "linear", "identity", "fixed"):
            raise ValueError(
                f"predictor must be 'mlp', 'linear', 'identity' or 'fixed', got {self.predictor!r}"
            )
        if self.batch_norm not in ("none", "hidden", "all"):
            raise ValueError(
                f"batch_norm must be 'none', 'hidden' or 'all', got {self.batch_norm!r}"
            )
        for name, low, high in (
            ("augmentation", 0, 10),
            ("learning_rate", 1e-6, 10),
            ("predictor_rate", 0, 100),
            ("weight_decay", 0, 1),
            ("dim", 2, MOST_DIM),
            ("steps", 1, 20_000),
            ("seed", 0, 2**24),
        ):
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name} must be {low} to {high}, got {getattr(self, name)}")
        shrinking = self.learning_rate * max(1.0, self.predictor_rate) * self.weight_decay
        if shrinking >= 2 * (1 + MOMENTUM):  # heavy ball on a quadratic: Polyak 1964
            raise ValueError(
                f"learning_rate times weight_decay must be below {2 * (1 + MOMENTUM)}, beyond which "
                f"weights grow without bound, got {shrinking}"
            )

    def generator(self, stream: Stream) -> torch.Generator:
        """Random numbers for one purpose of this run: those of another change nothing here."""
        return torch.Generator().manual_seed(len(Stream) * self.seed + stream)


# ---------------------------------------------------------------- points and views


def points(generator: torch.Generator, a_class: int = A_CLASS) -> tuple[Tensor, Tensor]:
    """Points x (N, 10), float32, and their classes (N,), int64: ``a_class`` of each class.

    The first two dimensions: classes evenly on the unit circle, each with a standard deviation of
    ``WITHIN``. The others: standard normal, the same for every class.
    """
    labels = torch.arange(CLASSES).repeat_interleave(a_class)  # (N,)
    angle = 2 * pi * labels / CLASSES
    x = torch.randn(len(labels), WIDTH, generator=generator)  # (N, 10)
    x[:, :2] = torch.stack([angle.cos(), angle.sin()], dim=1) + WITHIN * x[:, :2]
    return x, labels


def two_views(x: Tensor, augmentation: float, generator: torch.Generator) -> Tensor:
    """Each of x (N, 10) twice, with fresh noise: (2, N, 10).

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
        for a, b in pairwise(widths)
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
            random_layers((WIDTH, HIDDEN, d), config.generator(Stream.ENCODER)),
            random_layers(widths, config.generator(Stream.PREDICTOR)),
        )

    def f(self, x: Tensor) -> Tensor:
        """z (..., N, d) of points x (..., N, 10)."""
        kind = self.config.batch_norm
        return forward(x, self.encoder, hidden_norm=kind != "none", last_norm=kind == "all")

    def h(self, z: Tensor) -> Tensor:
        """p (..., N, d) of z (..., N, d)."""
        return forward(z, self.predictor, hidden_norm=self.config.batch_norm != "none")

    def loss(self, x: Tensor) -> Tensor:
        """The symmetric loss of two views x (2, N, 10): a scalar, -1 at best.

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
    """A run after ``step`` of ``total`` steps and ``seconds`` of work.

    ``loss``: of two fresh views of every point, -1 at best. The rest is of the points as they are:
    ``std`` (0: collapsed, 1/sqrt(d): spread), ``rank`` (effective rank of z, 0 to d), ``accuracy``
    (share of test points whose class their ``NEIGHBOURS`` nearest of the points tell),
    ``eigenvalues`` (d,), ``gains`` (d,) where the predictor is linear. ``plane`` (N, 2):
    l2-normalised z on its principal plane, turned to lie as near as it can to the state before;
    ``labels`` (N,).
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


def walk(config: ToyConfig) -> Iterator[tuple[int, Networks, Tensor]]:
    """The training itself: before each step, and after the last one, how many steps are done, the
    networks as they are, and the loss of two fresh views of every point, of which the step is taken.
    """
    x, _labels = points(config.generator(Stream.POINTS))
    views = config.generator(Stream.VIEWS)
    networks = Networks.start(config)
    optimiser = networks.optimiser()
    for step in range(config.steps + 1):
        loss = networks.loss(two_views(x, config.augmentation, views))
        yield step, networks, loss
        if step < config.steps:
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()


def train(config: ToyConfig) -> Iterator[State]:
    """Train from the beginning; yields a state at each of ``stops(config.steps)``."""
    x, labels = points(config.generator(Stream.POINTS))
    test, test_labels = points(config.generator(Stream.TEST_POINTS), TEST_A_CLASS)
    looked_at, plane = set(stops(config.steps)), None
    seconds, begun = 0.0, time.perf_counter()
    for step, networks, loss in walk(config):
        if step in looked_at:
            with torch.no_grad():
                z, test_z = networks.f(x), networks.f(test)  # (N, d)
            values, vectors = correlation(z)
            plane = principal_plane(normalise(z), plane)
            linear = config.predictor == "linear"
            gains = gains_along(vectors, networks.predictor[0][0].detach()) if linear else None
            accuracy = neighbours.accuracy(test_z, test_labels, z, labels, CLASSES, k=NEIGHBOURS)
            seconds += time.perf_counter() - begun
            yield State(
                step=step,
                total=config.steps,
                seconds=seconds,
                loss=float(loss.detach()),
                std=float(std_of_outputs(z)),
                rank=float(effective_rank(singular_values(z))),
                accuracy=accuracy,
                eigenvalues=values.numpy(),
                gains=None if gains is None else gains.numpy(),
                plane=plane.numpy(),
                labels=labels.numpy(),
            )
            begun = time.perf_counter()


# ---------------------------------------------------------------- what pages ask


class Run:
    """A run that goes on as far as it is asked to; ``states`` are those reached so far.

    Safe to share between threads: who asks for a state that another thread computes waits for it.
    """

    def __init__(self, config: ToyConfig) -> None:
        self.config = config
        self.states: list[State] = []
        self._steps = train(config)
        self._taking = threading.Lock()

    def reach(self, index: int) -> State:
        """The state at the stop of this index, trained up to where it was not yet reached."""
        with self._taking:
            while len(self.states) <= index:
                self.states.append(next(self._steps))
        return self.states[index]

    @property
    def finished(self) -> bool:
        return bool(self.states) and self.states[-1].finished


@dataclass(frozen=True)
class Together:
    """Where runs of as many steps are that go side by side."""

    states: tuple[State, ...]

    @property
    def done(self) -> int:
        return self.states[0].done

    @property
    def total(self) -> int:
        return self.states[0].total

    @property
    def seconds(self) -> float:
        return sum(state.seconds for state in self.states)

    @property
    def finished(self) -> bool:
        return self.states[0].finished


def side_by_side(runs: Sequence[Run]) -> Iterator[Together]:
    """Advances runs of equal length together, from stop to stop; a run that is ahead is waited for."""
    lengths = {run.config.steps for run in runs}
    if len(lengths) != 1:
        raise ValueError(f"runs must have as many steps as each other, got {sorted(lengths)}")
    for index in range(len(stops(lengths.pop()))):
        yield Together(tuple(run.reach(index) for run in runs))


@dataclass(frozen=True)
class Sample:
    """Points ``x`` (N, 10), the views of the first step (2, N, 10), and classes ``labels`` (N,)."""

    x: np.ndarray
    views: np.ndarray
    labels: np.ndarray


def sample(config: ToyConfig) -> Sample:
    """The points of a run and their first two views."""
    x, labels = points(config.generator(Stream.POINTS))
    views = two_views(x, config.augmentation, config.generator(Stream.VIEWS))
    return Sample(x.numpy(), views.numpy(), labels.numpy())
