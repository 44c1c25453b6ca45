"""What the VAE pages ask, in numpy: pictures uint8 (B, 32, 32, 3), latents float32 (B, d).

One ``VAEExplorer`` serves every visitor: it never changes after it is made, and all randomness
comes from a seed given with the question.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from core.bundles.bundle import Bundle, damaged_file_error
from core.bundles.weights import check_golden
from core.pictures import images
from core.pictures.images import Pictures
from core.vae.bounds import (
    NLL_CONSTANT,
    effective_sample_size,
    importance_weighted_bound,
    log_of_mean_weight,
    normalised_weights,
)
from core.vae.latent_profiles import ClassProfiles, profile
from core.vae.latents import ACTIVE_VARIANCE, Interpolation, interpolate, interpolate_latents
from core.vae.model import VAE
from core.vae.networks import PICTURE_DIMENSIONS
from core.vae.ppca import ProbabilisticPCA

DECODE_AT_ONCE = 256
DRAWS_AT_ONCE = 1024


@dataclass(frozen=True)
class Posterior:
    """q(z|x) of pictures: ``mean``, ``std`` and ``kl_per_unit`` (nats), each (B, d)."""

    mean: np.ndarray
    std: np.ndarray
    kl_per_unit: np.ndarray


@dataclass(frozen=True)
class Walk:
    """A way through the latent space and what it looks like.

    ``pictures`` (n, 32, 32, 3); ``latents`` (n, d); ``norm`` (n,) is the length of z;
    ``change`` (n - 1,) is the root mean square difference of neighbouring pictures in [-1, 1].
    """

    kind: Interpolation
    pictures: Pictures
    latents: np.ndarray
    norm: np.ndarray
    change: np.ndarray

    @property
    def unevenness(self) -> float:
        """Largest change over mean change: 1 when every step changes the picture alike."""
        mean = float(self.change.mean())
        return float(self.change.max()) / mean if mean > 0 else 1.0


@dataclass(frozen=True)
class Evidence:
    """What the model says of one picture, in nats; every nll holds the constant 2,823.0.

    ``nll``, ``kl``: mean over draws of z; ``linear_nll``: exact, under probabilistic PCA.
    """

    nll: float
    kl: float
    kl_per_unit: np.ndarray
    linear_nll: float
    reconstruction: Pictures
    linear_reconstruction: Pictures

    @property
    def negative_elbo(self) -> float:
        return self.nll + self.kl

    @property
    def misfit(self) -> float:
        """The part of nll that better pictures would lower: half the squared error, over draws."""
        return self.nll - NLL_CONSTANT


@dataclass(frozen=True)
class BoundAtK:
    """The importance-weighted bound with K draws, as -log p(x) in nats, over repeats."""

    K: int
    nll: float
    spread: float
    effective_sample_size: float


@dataclass(frozen=True)
class BoundCurve:
    """The bound at rising K from ``repeats`` independent sets of draws.

    ``done`` of ``total`` draws in ``seconds`` of work.
    """

    points: tuple[BoundAtK, ...]
    repeats: int
    done: int
    total: int
    seconds: float

    @property
    def finished(self) -> bool:
        return self.done == self.total


@dataclass(frozen=True)
class WeightsAtK:
    """Importance weights of the first K of a picture's draws, in float64.

    ``largest`` (n,), n at most K: shares of the sum of all weights, in falling order; ``rest``: the share
    of all others together. ``log_largest``: the largest log weight, nats. ``nll``: -log p(x) as the bound
    estimates it, by log-sum-exp, nats; ``nll_of_mean``: the same by averaging the weights themselves,
    infinite where they all become 0.
    """

    K: int
    largest: np.ndarray
    rest: float
    log_largest: float
    nll: float
    nll_of_mean: float
    effective_sample_size: float


def _fit(arrays: Mapping[str, np.ndarray], d: int, classes: int) -> bool:
    """Whether the statistics of a bundle have the shapes of ``d`` latent units and that number of classes."""
    shapes = {
        "kl_per_unit": (d,),
        "unit_variance": (d,),
        "class_mean": (classes, d),
        "class_std": (classes, d),
        "class_count": (classes,),
        "ppca_mean": (PICTURE_DIMENSIONS,),
    }
    fits = all(arrays[name].shape == shape for name, shape in shapes.items())
    return fits and arrays["ppca_loadings"].shape[:1] == (PICTURE_DIMENSIONS,)


class VAEExplorer:
    """A VAE bundle that answers questions; safe to share between threads."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self._model = VAE.from_bundle(bundle).to(memory_format=torch.channels_last)
        arrays = bundle.profiles
        self.kl_per_unit = arrays["kl_per_unit"]
        self.order = np.argsort(-self.kl_per_unit, kind="stable")
        self.active = arrays["unit_variance"] > ACTIVE_VARIANCE
        self.profiles = ClassProfiles(
            arrays["class_mean"], arrays["class_std"], arrays["class_count"]
        )
        names = bundle.config["data"].get("class_names")
        self.class_names = tuple(names or map(str, range(len(self.profiles.mean))))
        if not _fit(arrays, self.latent_dim, len(self.class_names)):
            raise damaged_file_error(bundle.place, "profiles.safetensors")
        self.linear = ProbabilisticPCA(arrays["ppca_mean"], arrays["ppca_loadings"])

    @property
    def latent_dim(self) -> int:
        return self._model.config.latent_dim

    def parameters(self) -> int:
        """How many numbers were learnt."""
        return sum(value.numel() for value in self._model.parameters())

    # ------------------------------------------------------------ to and from the latent space

    @torch.inference_mode()
    def encode(self, pictures: Pictures) -> Posterior:
        """q(z|x) of uint8 pictures (B, 32, 32, 3)."""
        parts = [self._model.encode(x) for x in images.to_tensor(pictures).split(DECODE_AT_ONCE)]
        return Posterior(
            *(
                torch.cat(values).numpy()
                for values in (
                    [q.mean for q in parts],
                    [q.std for q in parts],
                    [q.kl_per_unit() for q in parts],
                )
            )
        )

    @torch.inference_mode()
    def decode(self, z: np.ndarray) -> Pictures:
        """Mode of p(x|z) for latents (B, d): uint8 (B, 32, 32, 3)."""
        latents = torch.from_numpy(np.ascontiguousarray(z, dtype=np.float32))
        decoded = [self._model.decode(part).mode() for part in latents.split(DECODE_AT_ONCE)]
        return images.to_pictures(torch.cat(decoded))

    def prior(self, seed: int, count: int = 1, temperature: float = 1.0) -> np.ndarray:
        """z ~ N(0, temperature^2 I): (count, d), the same for the same seed."""
        generator = torch.Generator().manual_seed(seed)
        z = torch.randn(count, self.latent_dim, generator=generator)
        return (temperature * z).numpy()

    @torch.inference_mode()
    def sample(self, seed: int, count: int, temperature: float = 1.0) -> Pictures:
        """Modes of p(x|z) for the z of ``prior``: uint8 (count, 32, 32, 3)."""
        generator = torch.Generator().manual_seed(seed)
        return images.to_pictures(
            self._model.sample(count, temperature=temperature, generator=generator)
        )

    @torch.inference_mode()
    def posterior_draw(self, picture: Pictures, seed: int) -> np.ndarray:
        """z ~ q(z|x) for one picture (32, 32, 3): (d,), the same for the same seed."""
        generator = torch.Generator().manual_seed(seed)
        return self._model.encode(images.to_tensor(picture[None])).sample(generator)[0].numpy()

    def traverse(self, z: np.ndarray, unit: int, values: Sequence[float]) -> Pictures:
        """The picture of z (d,) with one unit set to each value: uint8 (len(values), 32, 32, 3)."""
        if not 0 <= unit < self.latent_dim:
            raise ValueError(f"unit must be 0 to {self.latent_dim - 1}, got {unit}")
        latents = np.repeat(z[None].astype(np.float32), len(values), axis=0)
        latents[:, unit] = values
        return self.decode(latents)

    @torch.inference_mode()
    def walk(self, z_1: np.ndarray, z_2: np.ndarray, n_samples: int, kind: Interpolation) -> Walk:
        """From z_1 (d,) to z_2 (d,), both included, in ``n_samples`` pictures."""
        ends = [torch.from_numpy(np.asarray(z, dtype=np.float32)) for z in (z_1, z_2)]
        decoded = interpolate(self._model, *ends, n_samples, kind)
        latents = interpolate_latents(*ends, n_samples, kind)
        change = (decoded[1:] - decoded[:-1]).square().mean(dim=(1, 2, 3)).sqrt()
        return Walk(
            kind=kind,
            pictures=images.to_pictures(decoded),
            latents=latents.numpy(),
            norm=latents.norm(dim=1).numpy(),
            change=change.numpy(),
        )

    def profile(self, pictures: Pictures, labels: np.ndarray, classes: int) -> ClassProfiles:
        """Class profiles of pictures that are at hand."""
        return profile(self.encode(pictures).mean, labels, classes)

    # ------------------------------------------------------------ likelihood

    @torch.inference_mode()
    def evidence(self, picture: Pictures, *, draws: int = 64, seed: int = 0) -> Evidence:
        """nll, kl and their sum for one picture (32, 32, 3), next to the linear model's exact nll."""
        x = images.to_tensor(picture[None])
        posterior = self._model.encode(x)
        generator = torch.Generator().manual_seed(seed)
        _pictures, nll, kl = self._model(x.expand(draws, -1, -1, -1), generator=generator)
        flat = x.reshape(1, -1).numpy()
        linear = self.linear.decode(self.linear.encode(flat)).reshape(1, 3, 32, 32)
        restored = self._model.decode(posterior.mode()).mode()
        return Evidence(
            nll=float(nll.mean()),
            kl=float(kl.mean()),
            kl_per_unit=posterior.kl_per_unit()[0].numpy(),
            linear_nll=float(self.linear.nll(flat)[0]),
            reconstruction=images.to_pictures(restored)[0],
            linear_reconstruction=images.to_pictures(torch.from_numpy(linear))[0],
        )

    def bound_curve(
        self, picture: Pictures, *, most: int, repeats: int, seed: int
    ) -> Iterator[BoundCurve]:
        """The bound at K = 1, 2, 5, 10, … up to ``most``, yielded after every batch of draws.

        Every repeat has draws of its own; within a repeat the draws of a smaller K are the first
        of a larger one. Stopping early leaves the points that are complete.
        """
        if most < 1 or repeats < 2:
            raise ValueError(f"most must be at least 1 and repeats 2, got {most} and {repeats}")
        levels = [
            K for power in range(5) for K in (10**power, 2 * 10**power, 5 * 10**power) if most >= K
        ]
        x = images.to_tensor(picture[None])
        generator = torch.Generator().manual_seed(seed)
        log_w = torch.empty(repeats, 0, dtype=torch.float64)
        points: tuple[BoundAtK, ...] = ()
        total = levels[-1] * repeats
        draws_at_once = max(1, DRAWS_AT_ONCE // repeats)
        seconds, begun = 0.0, time.perf_counter()

        def so_far() -> BoundCurve:
            now = seconds + time.perf_counter() - begun
            return BoundCurve(points, repeats, log_w.numel(), total, now)

        for K in levels:
            while log_w.shape[1] < K:
                draws = min(draws_at_once, K - log_w.shape[1])
                fresh = self._draws(x, draws * repeats, generator)
                log_w = torch.cat([log_w, fresh.view(repeats, draws)], dim=1)
                if log_w.shape[1] < K:
                    curve = so_far()
                    yield curve
                    seconds, begun = curve.seconds, time.perf_counter()
            nll = -importance_weighted_bound(log_w)
            at_K = BoundAtK(
                K=K,
                nll=float(nll.mean()),
                spread=float(nll.std()),
                effective_sample_size=float(effective_sample_size(log_w).mean()),
            )
            points = (*points, at_K)
            curve = so_far()
            yield curve
            seconds, begun = curve.seconds, time.perf_counter()

    def weights(
        self, picture: Pictures, *, levels: Sequence[int], shown: int, seed: int
    ) -> tuple[WeightsAtK, ...]:
        """Importance weights of one picture (32, 32, 3) at every K of ``levels``, which rise.

        The draws of a smaller K are the first of a larger one. At most ``shown`` weights stand alone.
        """
        if not levels or levels[0] < 1 or list(levels) != sorted(set(levels)):
            raise ValueError(f"levels must rise from 1 or more, got {list(levels)}")
        if shown < 1:
            raise ValueError(f"shown must be at least 1, got {shown}")
        generator = torch.Generator().manual_seed(seed)
        log_w = self._draws(images.to_tensor(picture[None]), levels[-1], generator)
        return tuple(_weights_at(log_w[:K], shown) for K in levels)

    @torch.inference_mode()
    def _draws(self, x: torch.Tensor, count: int, generator: torch.Generator) -> torch.Tensor:
        weights = self._model.log_importance_weights(
            x, count, chunk=DECODE_AT_ONCE, generator=generator
        )
        return weights[0].double()


def _weights_at(log_w: torch.Tensor, shown: int) -> WeightsAtK:
    """What log weights (K,) in float64 come to."""
    shares = normalised_weights(log_w).sort(descending=True).values
    return WeightsAtK(
        K=len(log_w),
        largest=shares[:shown].numpy(),
        rest=float(shares[shown:].sum()),
        log_largest=float(log_w.max()),
        nll=-float(importance_weighted_bound(log_w)),
        nll_of_mean=-float(log_of_mean_weight(log_w)),
        effective_sample_size=float(effective_sample_size(log_w)),
    )


# ---------------------------------------------------------------- golden output


@torch.no_grad()
def golden_outputs(model: VAE, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """What a bundle's golden tensors hold: the posterior of ``x`` and the decoding of ``z``."""
    posterior = model.encode(inputs["x"])
    return {
        "mean": posterior.mean,
        "logvar": posterior.logvar,
        "decoded": model.decode(inputs["z"]).mean,
    }


def golden_deviation(bundle: Bundle) -> float:
    """How far the bundle's weights are from their golden output; raises where it is too far."""
    model = VAE.from_bundle(bundle)
    return check_golden(bundle, lambda inputs: golden_outputs(model, inputs))
