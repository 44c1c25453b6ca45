"""What pages ask a self-supervised network and its run, in numpy: pictures uint8 (..., 32, 32, 3).

A ``RunRecord`` tells of a run epoch by epoch, and needs no weights. A ``SimSiamExplorer`` holds the
trained network beside the untrained one, and looks up neighbours. Both never change after they are
made; all randomness comes from a seed given with the question.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from core import images, methods, neighbours, views
from core.bundles.bundle import Bundle, unusable
from core.bundles.weights import check_golden
from core.errors import AtelierError
from core.images import Pictures
from core.joint_embedding import JointEmbedding, cosine_similarity
from core.views import Drawn, Views

BATCH = 256
Layer = Literal["z", "h"]
FIGURES = (
    "test_knn_accuracy",
    "test_alignment",
    "test_uniformity",
    "test_std_z",
    "test_std_h",
    "test_rank_z",
    "test_rank_h",
    "test_variance_z",
    "test_variance_h",
)
"""Figures that a run has of every epoch and of the network before its first step."""


# ---------------------------------------------------------------- a run, epoch by epoch


@dataclass(frozen=True)
class RunRecord:
    """One run: E epochs, with the network before training as epoch 0.

    ``epochs`` (E + 1,): 0 to E. ``figures``: by name, each (E + 1,), ``train_loss`` NaN at epoch 0.
    ``spectra``: singular values of z and of h, (E + 1, 256), falling, 0 where there are no more.
    ``maps``: test pictures on the plane of their first two components, rows l2-normalised,
    (E + 1, n, 2); ``labels`` (n,).
    """

    bundle: Bundle
    epochs: np.ndarray
    figures: dict[str, np.ndarray]
    spectra: dict[Layer, np.ndarray]
    maps: dict[Layer, np.ndarray]
    labels: np.ndarray

    @property
    def recipe(self) -> str:
        """The run's name among those that are compared: ``baseline``, ``no-stop-gradient`` …"""
        return self.bundle.config["training"].get("recipe", self.bundle.name)

    @property
    def method(self) -> str:
        return self.bundle.config["architecture"]["method"]

    @property
    def dim(self) -> int:
        """d, the dimension of z."""
        return self.bundle.config["architecture"]["dim"]

    @property
    def comparable(self) -> tuple[object, ...]:
        """What runs must have in common before their curves are drawn over one another.

        Data and number of pictures, width and stem of the backbone, hidden layers, epochs.
        """
        config = self.bundle.config
        about, parts = config["data"], config["architecture"]
        return (
            about["name"],
            about["split"],
            about["pictures"],
            parts["width"],
            parts["stem"],
            parts["hidden"],
            len(self.epochs) - 1,
        )


def read_run(bundle: Bundle) -> RunRecord:
    """The run of a bundle; ``AtelierError`` ``bundle-config`` or ``bundle-run`` where it cannot be."""
    try:
        methods.config_from(bundle.config["architecture"])
    except (TypeError, ValueError) as error:
        raise unusable(bundle.name, "architecture") from error
    try:
        rows = [{**bundle.metrics["before"], "train_loss": np.nan}, *bundle.history]
        figures = {name: np.array([row[name] for row in rows]) for name in (*FIGURES, "train_loss")}
        held = bundle.profiles
        spectra = {layer: 10 ** held[f"spectrum_{layer}_log10"] for layer in ("z", "h")}
        maps = {layer: held[f"map_{layer}"] for layer in ("z", "h")}
        labels = held["map_labels"].astype(np.int64)
    except (KeyError, TypeError) as absent:
        raise AtelierError(
            "bundle-run",
            "The bundle {name} does not tell of its run what this page shows: {what} is missing.",
            name=bundle.name,
            what=str(absent).strip("'"),
        ) from absent
    spectra = {layer: np.where(s > 2e-7, s, 0.0) for layer, s in spectra.items()}
    return RunRecord(bundle, np.arange(len(rows)), figures, spectra, maps, labels)


# ---------------------------------------------------------------- the network itself


@dataclass(frozen=True)
class Stage:
    """A picture after one part of the augmentation: ``name`` as ``views.stages`` has it."""

    name: str
    picture: Pictures


@dataclass(frozen=True)
class View:
    """One view of a picture: what was drawn (plain numbers), every stage, and the result."""

    drawn: dict[str, object]
    stages: tuple[Stage, ...]
    picture: Pictures


@dataclass(frozen=True)
class Vote:
    """What the neighbours of a picture say: ``index`` (k,) into the bank, most similar first,
    ``similarity`` (k,), ``weight`` (k,) that sum to 1, ``labels`` (k,), ``scores`` (classes,).
    """

    index: np.ndarray
    similarity: np.ndarray
    weight: np.ndarray
    labels: np.ndarray
    scores: np.ndarray
    predicted: int


class SimSiamExplorer:
    """A bundle with weights; safe to share between threads."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self._trained = _still(methods.from_bundle(bundle))
        self._untrained = _still(methods.untrained(bundle))
        self.class_names = tuple(bundle.config["data"]["class_names"])

    # ------------------------------------------------------------ views

    def views(self, picture: Pictures, recipe: Views, seed: int, count: int = 2) -> list[View]:
        """``count`` views of one picture (32, 32, 3), each from its own draw of ``seed``."""
        generator = torch.Generator().manual_seed(seed)
        drawn = recipe.draw(count, images.SIZE, generator)
        x = images.to_tensor(picture[None])
        return [_view(x, drawn.rows(slice(i, i + 1))) for i in range(count)]

    def similarity(
        self, first: Pictures, second: Pictures, *, trained: bool = True
    ) -> dict[Layer, np.ndarray]:
        """cos(z1, z2) and cos(h1, h2) of pairs of pictures (P, 32, 32, 3): each (P,)."""
        model = self._model(trained)
        parts = [_outputs(model, images.to_tensor(pictures)) for pictures in (first, second)]
        return {
            layer: cosine_similarity(parts[0][layer], parts[1][layer]).numpy()
            for layer in ("z", "h")
        }

    def agreement(
        self,
        picture: Pictures,
        recipe: Views,
        others: Pictures,
        seed: int,
        count: int,
        *,
        trained: bool = True,
    ) -> dict[str, np.ndarray]:
        """How alike ``count`` pairs of views of a picture are, beside pairs with other pictures.

        ``same`` (count,): cos(z1, z2) of two views of ``picture``; ``other`` (count,): of a view
        of it and a view of one of ``others`` (N, 32, 32, 3), in turn.
        """
        found = self.agreements(picture, [recipe], others, seed, count, trained=trained)
        return {name: similarity[0] for name, similarity in found.items()}

    def agreements(
        self,
        picture: Pictures,
        recipes: Sequence[Views],
        others: Pictures,
        seed: int,
        count: int,
        *,
        trained: bool = True,
    ) -> dict[str, np.ndarray]:
        """``agreement`` of R recipes from the same random numbers, in one batch: each (R, count)."""
        x = images.to_tensor(picture[None]).expand(2 * count, -1, -1, -1)
        strangers = images.to_tensor(others[np.arange(count) % len(others)])
        x = torch.cat([x, strangers])  # (3 count, 3, 32, 32)
        made = [recipe(x, torch.Generator().manual_seed(seed)) for recipe in recipes]
        z = _outputs(self._model(trained), torch.cat(made))["z"]  # (R 3 count, d)
        first, second, stranger = z.unflatten(0, (len(recipes), 3, count)).transpose(0, 1)
        return {
            name: cosine_similarity(first.flatten(0, 1), other.flatten(0, 1))
            .unflatten(0, (len(recipes), count))
            .numpy()
            for name, other in (("same", second), ("other", stranger))
        }

    # ------------------------------------------------------------ neighbours

    @cached_property
    def bank(self) -> tuple[np.ndarray, np.ndarray]:
        """Features (N, 8w) of the first N training pictures of the run, and their labels (N,)."""
        held = self.bundle.profiles
        if "bank_features" not in held:
            raise AtelierError(
                "bundle-bank", "The bundle {name} holds no bank of features.", name=self.bundle.name
            )
        return held["bank_features"], held["bank_labels"].astype(np.int64)

    def vote(self, picture: Pictures, k: int, temperature: float) -> Vote:
        """What the ``k`` nearest training pictures of the bank say of one picture (32, 32, 3)."""
        bank, labels = (torch.from_numpy(part) for part in self.bank)
        h = _outputs(self._trained, images.to_tensor(picture[None]))["h"]
        found = neighbours.find(h, bank, k=k)
        scores = neighbours.vote(found, labels, len(self.class_names), temperature)
        predicted = neighbours.predict(found, scores, labels)
        weight = (found.similarity.double() / temperature).softmax(dim=1)[0]
        index = found.index[0]
        return Vote(
            index.numpy(),
            found.similarity[0].numpy(),
            weight.numpy(),
            labels[index].numpy(),
            scores[0].numpy(),
            int(predicted[0]),
        )

    # ------------------------------------------------------------ inside

    def _model(self, trained: bool) -> JointEmbedding:
        return self._trained if trained else self._untrained


def _still(model: JointEmbedding) -> JointEmbedding:
    return model.requires_grad_(False).to(memory_format=torch.channels_last)


@torch.no_grad()
def _outputs(model: JointEmbedding, x: Tensor) -> dict[str, Tensor]:
    """h (B, 8w) and z (B, d)."""
    parts = []
    for part in x.split(BATCH):
        h = model.features(part.contiguous(memory_format=torch.channels_last))
        parts.append((h, model.projector(h)))
    h, z = (torch.cat(column) for column in zip(*parts, strict=True))
    return {"h": h, "z": z}


def _view(x: Tensor, drawn: Drawn) -> View:
    shown = tuple(Stage(name, images.to_pictures(view)[0]) for name, view in views.stages(x, drawn))
    plain = {name: part[0].tolist() for name, part in drawn._asdict().items()}
    return View(plain, shown, images.to_pictures(views.apply(x, drawn))[0])


# ---------------------------------------------------------------- golden output


def golden_outputs(model: JointEmbedding, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """h and z of the stored pictures."""
    return _outputs(model, inputs["x"])


def golden_deviation(bundle: Bundle) -> float:
    """Largest deviation of the bundle's network from its golden output; raises as ``check_golden``."""
    model = methods.from_bundle(bundle)
    return check_golden(bundle, lambda inputs: golden_outputs(model, inputs))


def with_strength(recipe: Views, strength: float) -> Views:
    """The recipe's changes made ``strength`` times as large, as far as each one goes.

    0: the picture itself, mirrored or not; 1: the recipe. The share of the area that a crop keeps
    falls from 1; factors and turns grow, and so do the probabilities of changes that know no
    degree: grey, solarize, jigsaw.
    """
    if strength < 0:
        raise ValueError(f"strength must be 0 or more, got {strength}")
    limits = {
        "brightness": 1.0,
        "contrast": 1.0,
        "saturation": 1.0,
        "hue": 0.5,
        "rotation": 180.0,
        "grey": 1.0,
        "solarize": 1.0,
        "jigsaw": 1.0,
        "cutout": 0.9,
    }
    stretched = {name: min(most, strength * getattr(recipe, name)) for name, most in limits.items()}
    crop = max(min(0.02, recipe.crop), 1 - strength * (1 - recipe.crop))
    ratio = float(np.clip(recipe.ratio**strength, 1, 4))
    return replace(recipe, crop=crop, ratio=ratio, **stretched)
