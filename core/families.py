"""The families of models by name: a new one is a folder with a record, and a line here."""

from __future__ import annotations

from pathlib import Path

import torch

from core.bundles import manifest, opening
from core.bundles.bundle import Bundle, other_family
from core.bundles.manifest import Manifest
from core.bundles.weights import Networks
from core.ddpm.family import FAMILY as DDPM
from core.family import Family
from core.judge.family import FAMILY as JUDGE
from core.simsiam.family import FAMILY as SIMSIAM
from core.vae.family import FAMILY as VAE

FAMILIES: dict[str, Family] = {one.name: one for one in (VAE, DDPM, SIMSIAM, JUDGE)}


def networks() -> Networks:
    """By family: what builds the network that an ``architecture`` describes."""
    return {name: family.build for name, family in FAMILIES.items()}


def family_of(bundle: Bundle) -> Family:
    """The family of a bundle; raises ``AtelierError`` ``bundle-family`` where it is not known."""
    if bundle.family not in FAMILIES:
        raise other_family(bundle.name, bundle.family, FAMILIES)
    return FAMILIES[bundle.family]


def open_bundle(
    folder_or_repo: str | Path, *, revision: str | None = None, family: str | None = None
) -> Bundle:
    """A bundle of any family, or of the one named: ``core.bundles.opening.open_bundle``."""
    known = networks() if family is None else {family: FAMILIES[family].build}
    return opening.open_bundle(folder_or_repo, networks=known, revision=revision)


def read_manifest(path: Path) -> Manifest:
    """A manifest that opens bundles of every family: ``core.bundles.manifest.read_manifest``."""
    return manifest.read_manifest(path, networks())


def parameter_count(family: str, architecture: dict) -> int:
    """How many trainable numbers a network has, without memory for any; buffers do not count."""
    with torch.device("meta"):
        return sum(p.numel() for p in FAMILIES[family].build(architecture).parameters())
