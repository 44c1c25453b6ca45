"""The VAE: Gaussian, networks, model, bounds of the likelihood, latent space."""

from core.vae.bounds import bits_per_dimension, effective_sample_size, importance_weighted_bound
from core.vae.gaussian import DiagonalGaussianDistribution
from core.vae.latents import active_units, interpolate, interpolate_latents
from core.vae.model import VAE
from core.vae.networks import PRESETS, VAEConfig

__all__ = [
    "PRESETS",
    "VAE",
    "DiagonalGaussianDistribution",
    "VAEConfig",
    "active_units",
    "bits_per_dimension",
    "effective_sample_size",
    "importance_weighted_bound",
    "interpolate",
    "interpolate_latents",
]
