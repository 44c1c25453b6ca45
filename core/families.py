"""The families of models by name: a new one is a folder with a record, and a line here."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from core import contents
from core.bundles import manifest, opening
from core.bundles.bundle import Bundle, other_family
from core.bundles.contents import Contents
from core.bundles.manifest import Manifest
from core.family import Family

if TYPE_CHECKING:
    from torch import nn

    from core.bundles.weights import Networks


@dataclass(frozen=True)
class KnownFamily:
    """What is known of a family before any of its networks is wanted.

    ``module`` holds its record, ``FAMILY``, and is imported when that is wanted first: a page that only shows
    what bundles store needs no network, and starts without torch. ``contents``: what pages need of a bundle.
    """

    module: str
    contents: Contents


FAMILIES = {
    "vae": KnownFamily("core.vae.family", contents.VAE),
    "ddpm": KnownFamily("core.ddpm.family", contents.DDPM),
    "simsiam": KnownFamily("core.simsiam.family", contents.SIMSIAM),
    "judge": KnownFamily("core.judge.family", contents.JUDGE),
}
"""By name."""


def family(name: str) -> Family:
    """The record of a family; KeyError where there is none of that name."""
    return import_module(FAMILIES[name].module).FAMILY


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


def check_contents(bundle: Bundle) -> None:
    """Raises ``AtelierError`` where pages cannot show a bundle: ``bundle-lacks``, ``bundle-config``,
    ``bundle-family``."""
    if bundle.family not in FAMILIES:
        raise other_family(bundle.place, bundle.family, FAMILIES)
    FAMILIES[bundle.family].contents.check(bundle)


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
