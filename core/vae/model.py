"""Variational autoencoder with a unit-variance Gaussian likelihood.

Notation, the same in code, pages and figures:

| name       | symbol            | shape          | range and meaning                                       |
|------------|-------------------|----------------|---------------------------------------------------------|
| ``x``      | x                 | (B, 3, 32, 32) | a picture, float32 in [-1, 1]                           |
| ``z``      | z                 | (B, d)         | a point of the latent space                             |
| ``mean``   | mu_phi(x)         | (B, d)         | where the encoder puts x                                |
| ``logvar`` | log sigma^2_phi   | (B, d)         | log-variance of that place, clamped to [-30, 20]        |
| ``nll``    | -log p(x given z) | (B,)           | nats; at least 3072/2 ln(2 pi) = 2,823.0 by unit variance |
| ``kl``     | KL(q || p)        | (B,)           | nats; bounds what z tells of x; 0: nothing            |
| ``K``      | K                 |                | number of draws of z per picture in importance sampling |

The model: p(z) = N(0, I), p(x|z) = N(mu_theta(z), I), q(z|x) = N(mu_phi(x), diag sigma^2_phi(x)).

Sources: Kingma & Welling 2014 (arXiv:1312.6114) for the model and its bound; Burda, Grosse &
Salakhutdinov 2016 (arXiv:1509.00519) for importance weighting and active units.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor, nn

from core.bundles.bundle import Bundle, unusable
from core.bundles.opening import open_bundle
from core.bundles.weights import load_weights
from core.vae.bounds import importance_weighted_bound
from core.vae.gaussian import DiagonalGaussianDistribution
from core.vae.networks import (
    DEFAULT,
    PICTURE_SHAPE,
    VAEConfig,
    _homework_decoder,
    _homework_encoder,
    _residual_decoder,
    _residual_encoder,
)


class VAE(nn.Module):
    """Encoder q(z|x), decoder p(x|z) and what can be asked of the two together."""

    def __init__(self, config: VAEConfig = DEFAULT) -> None:
        super().__init__()
        self.config = config
        if config.architecture == "homework":
            self.encoder = _homework_encoder(config.channels)
            features = config.channels[-1] * 4
            self.decoder = _homework_decoder(config.channels, config.latent_dim)
        else:
            self.encoder = _residual_encoder(config.channels, config.blocks)
            features = config.channels[-1] * 16
            self.decoder = _residual_decoder(config.channels, config.blocks, config.latent_dim)
        self.mean = nn.Linear(features, config.latent_dim)
        self.logvar = nn.Linear(features, config.latent_dim)

    def encode(self, x: Tensor) -> DiagonalGaussianDistribution:
        """q(z|x) for pictures (B, 3, 32, 32) in [-1, 1]: mean and logvar are (B, d)."""
        if x.ndim != 4 or tuple(x.shape[1:]) != PICTURE_SHAPE:
            raise ValueError(f"x must be (B, 3, 32, 32), got {tuple(x.shape)}")
        features = self.encoder(x)  # (B, features)
        return DiagonalGaussianDistribution(self.mean(features), self.logvar(features))

    def decode(self, z: Tensor) -> DiagonalGaussianDistribution:
        """p(x|z) = N(mu_theta(z), I) for z (B, d): its mean is (B, 3, 32, 32)."""
        if z.ndim != 2 or z.shape[1] != self.config.latent_dim:
            raise ValueError(f"z must be (B, {self.config.latent_dim}), got {tuple(z.shape)}")
        return DiagonalGaussianDistribution(self.decoder(z))

    def sample(
        self,
        batch_size: int,
        *,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Mode of p(x|z) for z ~ N(0, temperature^2 I): (batch_size, 3, 32, 32).

        ``temperature`` 1 is the prior itself; below 1 stays near its centre.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        if not temperature >= 0:
            raise ValueError(f"temperature must be 0 or more, got {temperature}")
        weight = self.mean.weight
        z = torch.randn(
            batch_size,
            self.config.latent_dim,
            generator=generator,
            device=weight.device,
            dtype=weight.dtype,
        )
        return self.decode(temperature * z).mode()

    def forward(
        self, x: Tensor, *, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """One draw of z: (reconstruction (B, 3, 32, 32), nll (B,), kl (B,)), nats.

        ``nll + kl`` is the negative evidence lower bound (ELBO) of one draw.
        """
        posterior = self.encode(x)
        likelihood = self.decode(posterior.sample(generator))
        return likelihood.mode(), likelihood.nll(x), posterior.kl()

    @torch.no_grad()
    def log_importance_weights(
        self,
        x: Tensor,
        K: int,
        *,
        chunk: int = 256,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """log p(x, z_k) - log q(z_k|x) for K draws z_k ~ q(z|x): (B, K), nats.

        Decodes at most ``chunk`` latents at a time, so that memory does not grow with B * K
        pictures. The draws are the same whatever ``chunk``.
        """
        if K < 1:
            raise ValueError(f"K must be at least 1, got {K}")
        if chunk < 1:
            raise ValueError(f"chunk must be at least 1, got {chunk}")
        posterior = self.encode(x)
        batch, d = posterior.mean.shape
        log_w = torch.empty(batch, K, device=x.device, dtype=posterior.mean.dtype)
        pictures_at_once = max(1, chunk // K)
        for first in range(0, batch, pictures_at_once):
            rows = range(first, min(first + pictures_at_once, batch))
            eps = torch.cat(  # (n * K, d), each picture's draws by themselves
                [
                    torch.randn(K, d, generator=generator, device=x.device, dtype=log_w.dtype)
                    for _ in rows
                ]
            )
            row = torch.arange(first, rows.stop, device=x.device).repeat_interleave(K)  # (n * K,)
            parts = [
                self._log_weights(x, posterior, *part)
                for part in zip(row.split(chunk), eps.split(chunk), strict=True)
            ]
            log_w[first : rows.stop] = torch.cat(parts).view(-1, K)
        return log_w

    def _log_weights(
        self, x: Tensor, posterior: DiagonalGaussianDistribution, row: Tensor, eps: Tensor
    ) -> Tensor:
        """log p(x, z) - log q(z|x) for z = mean + std * eps of the pictures ``row``: (n,)."""
        q = DiagonalGaussianDistribution(posterior.mean[row], posterior.logvar[row])
        z = q.mean + q.std * eps  # (n, d)
        prior = DiagonalGaussianDistribution(torch.zeros_like(z))
        return q.nll(z) - prior.nll(z) - self.decode(z).nll(x[row])

    def log_likelihood(
        self,
        x: Tensor,
        K: int,
        *,
        chunk: int = 256,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Importance-sampled log p(x) in nats, (B,): Burda et al. 2016, equation 8.

        log 1/K sum_k p(x, z_k) / q(z_k|x), by log-sum-exp. In expectation a lower bound of
        log p(x) that rises with K; K = 1 is the ELBO.
        """
        return importance_weighted_bound(
            self.log_importance_weights(x, K, chunk=chunk, generator=generator)
        )

    @classmethod
    def from_pretrained(cls, folder_or_repo: str | Path, *, revision: str | None = None) -> VAE:
        """The VAE of a bundle: a local folder, or a Hub repository ``user/name`` at ``revision``.

        In eval mode, float32, on the CPU. Raises ``AtelierError`` when the bundle is missing,
        damaged, or of another family.
        """
        return cls.from_bundle(
            open_bundle(folder_or_repo, networks={"vae": build_network}, revision=revision)
        )

    @classmethod
    def from_bundle(cls, bundle: Bundle) -> VAE:
        """The VAE of a bundle that is open already, and verified where it came with hashes.

        Raises ``AtelierError`` ``bundle-config`` and ``bundle-weights``.
        """
        try:
            model = cls(VAEConfig(**bundle.config["architecture"]))
        except (TypeError, ValueError) as error:
            raise unusable(bundle.place, "architecture") from error
        load_weights(model, bundle)
        return model.eval()

    def architecture(self) -> dict[str, object]:
        """The configuration as plain values, for a bundle's ``config.json``."""
        return {**asdict(self.config), "channels": list(self.config.channels)}


def build_network(architecture: dict) -> VAE:
    """The untrained network that ``architecture`` of a ``config.json`` describes."""
    return VAE(VAEConfig(**architecture))
