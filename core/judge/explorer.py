"""What pages and measurements ask the judge, in numpy: pictures uint8 (..., 32, 32, 3).

One ``JudgeExplorer`` serves every visitor: it never changes after it is made, and all randomness
comes from a seed given with the question.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch

from core.bundles.bundle import Bundle, unusable
from core.bundles.weights import check_golden
from core.ddpm.restoration import Criterion, Rule
from core.judge.adversarial import fgsm, pgd
from core.judge.frechet import Gaussian
from core.judge.model import CLASSES, SURE, Judge
from core.judge.similarity import psnr, ssim
from core.pictures import images
from core.pictures.images import Pictures

BATCH = 256
Attack = Literal["fgsm", "pgd"]
LEVEL = 2 / 255
"""One grey level of 255 in core's units."""


@dataclass(frozen=True)
class Verdicts:
    """What the judge says of pictures: ``p`` (..., 10), ``features`` (..., d)."""

    p: np.ndarray
    features: np.ndarray

    @property
    def digit(self) -> np.ndarray:
        """The likeliest digit, (...)."""
        return self.p.argmax(axis=-1)

    @property
    def confidence(self) -> np.ndarray:
        """Its probability, (...)."""
        return self.p.max(axis=-1)

    @property
    def sure(self) -> np.ndarray:
        """Whether that is at least ``SURE``, (...)."""
        return self.confidence >= SURE


@dataclass(frozen=True)
class Comparison:
    """P pictures next to what came back of them at L levels in D draws.

    ``before``, ``after``: what the judge says of both, (P,) and (P, L, D). ``scores`` (P, L, D):
    ``digit`` 1 where it gives both the same answer, else 0; ``psnr`` in dB, inf for equals; ``ssim``;
    ``features``: Euclidean distance in the judge's features.
    """

    before: Verdicts
    after: Verdicts
    scores: dict[Criterion, np.ndarray]


@dataclass(frozen=True)
class SampleQuality:
    """Figures of a set of ``count`` pictures, one of them at least.

    ``sharpness``: mean difference of neighbouring pixels, grey levels of 255. ``sure``: share of
    pictures that the judge is sure of. ``digits`` (10,): how many of those it takes for each digit.
    ``diversity``: mean distance of two pictures in the judge's features, as a share of that of two
    test digits; 0 where all are alike. ``frechet``: Frechet distance to the test digits in the
    judge's features, NaN for a single picture.
    """

    count: int
    sharpness: float
    sure: float
    digits: np.ndarray
    diversity: float
    frechet: float


class JudgeExplorer:
    """A judge bundle that answers questions; safe to share between threads."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self._model = Judge.from_bundle(bundle).requires_grad_(False)
        self._model.to(memory_format=torch.channels_last)
        names = bundle.config["data"].get("class_names")
        self.class_names = tuple(names or map(str, range(CLASSES)))
        if len(self.class_names) != CLASSES:
            raise unusable(bundle.place, "data.class_names")

    # ------------------------------------------------------------ what it sees

    @torch.no_grad()
    def judge(self, pictures: Pictures) -> Verdicts:
        """Its answer to each picture."""
        shape = pictures.shape[:-3]
        x = images.to_tensor(pictures.reshape(-1, *pictures.shape[-3:]))
        features = torch.cat(
            [
                self._model.features(part.contiguous(memory_format=torch.channels_last))
                for part in x.split(BATCH)
            ]
        )
        p = self._model.logits(features).softmax(dim=1)
        return Verdicts(p.numpy().reshape(*shape, -1), features.numpy().reshape(*shape, -1))

    def rules(self) -> dict[Criterion, Rule]:
        """When a picture counts as restored, by each criterion."""
        return {
            "digit": Rule(0.5, share=True),
            "psnr": Rule(15.0),
            "ssim": Rule(0.5),
            "features": Rule(
                self.bundle.metrics["features"]["median_distance_other_digit"], higher=False
            ),
        }

    def compare(self, pictures: Pictures, restored: Pictures) -> Comparison:
        """Each picture (P, 32, 32, 3) next to what came back of it, (P, L, D, 32, 32, 3)."""
        before, after = self.judge(pictures), self.judge(restored)
        many = np.broadcast_to(pictures[:, None, None], restored.shape)
        a, b = (images.to_tensor(np.reshape(x, (-1, *x.shape[-3:]))) for x in (many, restored))
        shape = restored.shape[:3]
        scores = {
            "digit": (after.digit == before.digit[:, None, None]).astype(np.float64),
            "psnr": psnr(a, b).numpy().reshape(shape),
            "ssim": ssim(a, b).numpy().reshape(shape),
            "features": np.linalg.norm(after.features - before.features[:, None, None], axis=-1),
        }
        return Comparison(before, after, scores)

    # ------------------------------------------------------------ sets of pictures

    def test_digits(self) -> Gaussian:
        """The features of the test digits, as a Gaussian: what Frechet distances are taken to."""
        profiles = self.bundle.profiles
        return Gaussian(
            profiles["feature_mean"].astype(np.float64),
            profiles["feature_covariance"].astype(np.float64),
        )

    def quality(
        self, pictures: Pictures, *, sure_from: float = SURE, seen: Verdicts | None = None
    ) -> SampleQuality:
        """Figures of a set of pictures (N, 32, 32, 3), N at least 1.

        ``sure_from``: the probability from which the judge counts as sure. ``seen``: its answers to these very
        pictures, where they are known.
        """
        seen = self.judge(pictures) if seen is None else seen
        sure = seen.confidence >= sure_from
        real = self.bundle.metrics["features"]["mean_distance"]
        many = len(pictures) > 1
        return SampleQuality(
            count=len(pictures),
            sharpness=images.sharpness(pictures),
            sure=float(sure.mean()),
            digits=np.bincount(seen.digit[sure], minlength=CLASSES),
            diversity=mean_distance(seen.features) / real,
            frechet=Gaussian.of(seen.features).distance(self.test_digits()) if many else np.nan,
        )

    # ------------------------------------------------------------ fooling it

    def attack(
        self,
        pictures: Pictures,
        labels: np.ndarray,
        kind: Attack,
        *,
        levels: int = 8,
        steps: int = 10,
        seed: int = 0,
    ) -> Pictures:
        """Pictures (B, 32, 32, 3) changed by at most ``levels`` grey levels away from ``labels``.

        PGD starts picture i from seed ``seed`` + i; FGSM needs no seed. What is returned is rounded
        to whole grey levels, as a file would hold it.
        """
        x = images.to_tensor(pictures)
        goal = torch.from_numpy(np.asarray(labels, dtype=np.int64))
        if kind == "fgsm":
            attacked = fgsm(self._model, x, goal, levels * LEVEL)
        elif kind == "pgd":
            sources = [torch.Generator().manual_seed(seed + index) for index in range(len(x))]
            attacked = pgd(self._model, x, goal, levels * LEVEL, steps=steps, generator=sources)
        else:
            raise ValueError(f"kind must be one of {get_args(Attack)}, got {kind!r}")
        return images.to_pictures(attacked)


def mean_distance(features: np.ndarray) -> float:
    """Mean Euclidean distance of two different rows of features (N, d); 0 for a single row."""
    count = len(features)
    if count < 2:
        return 0.0
    rows = torch.from_numpy(features.astype(np.float64))
    return float(torch.pdist(rows).mean())


def flat_pictures() -> Pictures:
    """One colour all over, four levels a channel: uint8 (64, 32, 32, 3), and no digit in any."""
    levels = np.linspace(0, 255, 4).astype(np.uint8)
    colours = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(-1, 1, 1, 3)
    return np.tile(colours, (1, images.SIZE, images.SIZE, 1))


# ---------------------------------------------------------------- golden output


@torch.no_grad()
def golden_outputs(model: Judge, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """What a bundle's golden tensors hold: features of ``x``, and the answer."""
    features = model.features(inputs["x"])
    return {"features": features, "logits": model.logits(features)}


def golden_deviation(bundle: Bundle) -> float:
    """How far the bundle's weights are from their golden output; raises where it is too far."""
    model = Judge.from_bundle(bundle)
    return check_golden(bundle, lambda inputs: golden_outputs(model, inputs))
