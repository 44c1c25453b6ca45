"""The families of bundles: which network an architecture in ``config.json`` describes."""

from __future__ import annotations

from pathlib import Path

import torch

from core.bundles import manifest, opening
from core.bundles.bundle import Bundle
from core.bundles.manifest import Manifest
from core.bundles.weights import Networks
from core.ddpm import model as ddpm
from core.judge import model as judge
from core.simsiam import methods
from core.vae import model as vae

NETWORKS: Networks = {
    "vae": vae.build_network,
    "ddpm": ddpm.build_network,
    "judge": judge.build_network,
    "simsiam": methods.build_network,
}


def open_bundle(
    folder_or_repo: str | Path, *, revision: str | None = None, family: str | None = None
) -> Bundle:
    """A bundle of any family, or of the one named: ``core.bundles.opening.open_bundle``."""
    networks = NETWORKS if family is None else {family: NETWORKS[family]}
    return opening.open_bundle(folder_or_repo, networks=networks, revision=revision)


def read_manifest(path: Path) -> Manifest:
    """A manifest that opens bundles of every family: ``core.bundles.manifest.read_manifest``."""
    return manifest.read_manifest(path, NETWORKS)


def parameter_count(family: str, architecture: dict) -> int:
    """How many trainable numbers a network has, without memory for any; buffers do not count."""
    with torch.device("meta"):
        return sum(p.numel() for p in NETWORKS[family](architecture).parameters())
