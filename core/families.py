"""The families of models by name: a new one is a folder with a record, a line here, and in
``core.contents`` what its pages need."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from core.bundles import manifest, opening
from core.bundles.bundle import Bundle, other_family
from core.bundles.manifest import Manifest
from core.family import Family

if TYPE_CHECKING:
    from torch import nn

    from core.bundles.weights import Networks

FAMILIES = {
    "vae": "core.vae.family",
    "ddpm": "core.ddpm.family",
    "simsiam": "core.simsiam.family",
    "judge": "core.judge.family",
}
"""By family: the module that holds its record, ``FAMILY``. It is imported when the record is wanted
first: a page that only shows what bundles store needs no network, and starts without torch."""


def family(name: str) -> Family:
    """The record of a family; KeyError where there is none of that name."""
    return import_module(FAMILIES[name]).FAMILY


def _build(name: str, architecture: dict) -> nn.Module:
    return family(name).build(architecture)


def networks() -> Networks:
    """By family: what builds the network that an ``architecture`` describes."""
    return {name: partial(_build, name) for name in FAMILIES}


def family_of(bundle: Bundle) -> Family:
    """The family of a bundle; raises ``AtelierError`` ``bundle-family`` where it is not known."""
    if bundle.family not in FAMILIES:
        raise other_family(bundle.place, bundle.family, FAMILIES)
    return family(bundle.family)


def open_bundle(
    folder_or_repo: str | Path, *, revision: str | None = None, family: str | None = None
) -> Bundle:
    """A bundle of any family, or of the one named: ``core.bundles.opening.open_bundle``."""
    known = networks() if family is None else {family: networks()[family]}
    return opening.open_bundle(folder_or_repo, networks=known, revision=revision)


def read_manifest(path: Path) -> Manifest:
    """A manifest that opens bundles of every family: ``core.bundles.manifest.read_manifest``."""
    return manifest.read_manifest(path, networks())


def parameter_count(name: str, architecture: dict) -> int:
    """How many trainable numbers a network has, without memory for any; buffers do not count."""
    import torch  # here: see FAMILIES

    with torch.device("meta"):
        return sum(p.numel() for p in family(name).build(architecture).parameters())
