"""What pages ask a self-supervised network, in numpy: pictures uint8 (..., 32, 32, 3).

A ``SimSiamExplorer`` holds the trained network and the untrained one, and looks up neighbours. It
never changes after it is made; all randomness comes from a seed given with the question.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from core.bundles.bundle import Bundle
from core.bundles.weights import check_golden
from core.errors import AtelierError
from core.pictures import images
from core.pictures.images import Pictures
from core.simsiam import methods, neighbours, views
from core.simsiam.joint_embedding import JointEmbedding, cosine_similarity
from core.simsiam.run_record import Layer
from core.simsiam.views import ViewParameters, Views

BATCH = 256


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
        self._untrained = _still(methods.untrained_network(bundle))
        self.class_names = tuple(bundle.config["data"]["class_names"])

    # ------------------------------------------------------------ views

    def views(self, picture: Pictures, recipe: Views, seed: int, count: int = 2) -> list[View]:
        """``count`` views of one picture (32, 32, 3), each from its own draw of ``seed``."""
        generator = torch.Generator().manual_seed(seed)
        drawn = recipe.draw(count, images.SIZE, generator)
        x = images.to_tensor(picture[None])
        return [_view(x, drawn.rows(slice(i, i + 1))) for i in range(count)]

    def features(self, pictures: Pictures, *, trained: bool = True) -> np.ndarray:
        """h (P, 8w), the backbone's features, of pictures (P, 32, 32, 3)."""
        return _outputs(self._model(trained), images.to_tensor(pictures))["h"].numpy()

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
        """How alike ``count`` pairs of views of a picture are, next to pairs with other pictures.

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
                "bundle-bank",
                "The bundle {name} holds no bank of features.",
                name=self.bundle.place,
            )
        return held["bank_features"], held["bank_labels"].astype(np.int64)

    def vote(
        self,
        picture: Pictures,
        k: int,
        temperature: float,
        *,
        untrained_bank: np.ndarray | None = None,
        features: np.ndarray | None = None,
    ) -> Vote:
        """What the ``k`` nearest training pictures of the bank say of one picture (32, 32, 3).

        With ``untrained_bank`` (N, 8w), the features that the untrained network gives the pictures of the
        bank, it is that network which is asked. ``features`` (1, 8w): what the asked network makes of the
        picture, where that is known.
        """
        trained = untrained_bank is None
        held, classes = self.bank
        bank = torch.from_numpy(held if trained else untrained_bank)
        labels = torch.from_numpy(classes)
        if features is None:
            features = self.features(picture[None], trained=trained)
        h = torch.from_numpy(features)
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


def _view(x: Tensor, drawn: ViewParameters) -> View:
    shown = tuple(Stage(name, images.to_pictures(view)[0]) for name, view in views.stages(x, drawn))
    plain = {name: part[0].tolist() for name, part in drawn._asdict().items()}
    return View(plain, shown, images.to_pictures(views.apply(x, drawn))[0])


# ---------------------------------------------------------------- views of growing strength


@dataclass(frozen=True)
class Strengths:
    """Views of a picture at S strengths from the same random numbers, ``count`` of each.

    ``boxes`` (S, count, 4): top, left, height, width of the crops in pixels. ``views`` (S, count, 32, 32, 3).
    """

    boxes: np.ndarray
    views: Pictures


def views_by_strength(
    picture: Pictures, recipe: Views, strengths: Sequence[float], seed: int, count: int = 2
) -> Strengths:
    """What ``SimSiamExplorer.views`` gives of ``recipe.scaled(s)`` for every s, in one batch."""
    drawn = [
        recipe.scaled(float(strength)).draw(count, images.SIZE, torch.Generator().manual_seed(seed))
        for strength in strengths
    ]
    together = ViewParameters(*(torch.cat(part) for part in zip(*drawn, strict=True)))
    x = images.to_tensor(picture[None]).expand(len(together.flip), -1, -1, -1)
    made = images.to_pictures(views.apply(x, together))
    return Strengths(
        together.box.numpy().reshape(-1, count, 4), made.reshape(-1, count, *made.shape[1:])
    )


# ---------------------------------------------------------------- golden output


def golden_outputs(model: JointEmbedding, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """h and z of the stored pictures."""
    return _outputs(model, inputs["x"])


def golden_deviation(bundle: Bundle) -> float:
    """Largest deviation of the bundle's network from its golden output; raises as ``check_golden``."""
    model = methods.from_bundle(bundle)
    return check_golden(bundle, lambda inputs: golden_outputs(model, inputs))
