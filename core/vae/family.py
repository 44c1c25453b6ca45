"""The family ``vae``, in one record."""

from __future__ import annotations

from core.family import Family
from core.vae.explorer import VAEExplorer, golden_deviation
from core.vae.model import VAE, build_network

FAMILY = Family("vae", build_network, VAE.from_bundle, VAEExplorer, golden_deviation)
