"""The bundles that a visitor may open, what they store, and answers kept for all visitors.

Nothing here needs torch: Home and Checkpoints are shown before it is there.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Hashable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Generic, TypeVar

import streamlit as st

from core.bundles.bundle import Bundle
from core.bundles.manifest import CHECKPOINTS, Manifest, ManifestEntry
from core.errors import AtelierError
from core.families import check_contents, family_of, read_manifest
from core.pictures.house_number import HouseNumber, draw
from core.pictures.images import Pictures, read_sheet
from pages.shared import guests, once
from pages.shared.colours import APP
from pages.shared.kept import AnswerCache
from pages.shared.text import _

CHECKPOINTS_VARIABLE = "ATELIER_CHECKPOINTS"
GALLERY_SIZE = 24

T = TypeVar("T")


@dataclass(frozen=True)
class Timed(Generic[T]):
    """A result and the seconds that it took to compute, however long ago."""

    value: T
    seconds: float


@st.cache_data(max_entries=1, show_spinner=False)
def icon() -> Pictures:
    """The app's own picture, for the browser's tab."""
    return draw(HouseNumber(text="8", wall=APP, noise=0.0))


# ---------------------------------------------------------------- bundles


@lru_cache(maxsize=4)
def _manifest_at(path: str, changed: int) -> Manifest:
    return read_manifest(Path(path))


def own_manifest() -> Manifest:
    """The manifest of ``checkpoints/``, or of the folder named by ``ATELIER_CHECKPOINTS``."""
    path = Path(os.environ.get(CHECKPOINTS_VARIABLE, CHECKPOINTS)) / "manifest.json"

    def look() -> Manifest:
        return _manifest_at(str(path), path.stat().st_mtime_ns if path.exists() else 0)

    return once.ask(path, look)


def own_commits() -> set[tuple[str, str]]:
    """The repositories and commits of the Hub that our own manifest names."""
    with suppress(AtelierError):  # pages say what is wrong with a manifest
        entries = own_manifest().entries
        return {(one.repo, one.revision) for one in entries if one.repo and one.revision}
    return set()


def visible_manifest() -> Manifest:
    """All that this visitor may open: what the manifest names, then the visitor's own guests."""
    found = own_manifest()
    return replace(found, entries=(*found.entries, *guests.entries()))


def available(family: str, *, own: bool = False) -> list[ManifestEntry]:
    """Bundles of a family that can be opened without a download; ``own``: without guests."""
    found = own_manifest() if own else visible_manifest()

    def here(entry: ManifestEntry) -> bool:
        # What is in the Hub's cache may come and go while the page runs: that is looked for every time.
        stands = once.ask(
            (found.root, entry.folder), lambda: found.embedded_folder(entry) is not None
        )
        return stands or found.at_hand(entry)

    return [entry for entry in found.of_family(family) if here(entry)]


def require_bundles(family: str, *, own: bool = False) -> list[ManifestEntry]:
    """Bundles of a family, at least one; raises ``AtelierError`` where there is none."""
    found = available(family, own=own)
    if not found and visible_manifest().of_family(family):
        raise AtelierError(
            "no-bundle-fetched",
            "The bundles of the family {family} are on the Hub: fetch one on the page Checkpoints.",
            family=family,
        )
    if not found:
        raise AtelierError(
            "no-bundle", "No bundle of the family {family} is here yet.", family=family
        )
    return found


def identity(entry: ManifestEntry) -> str:
    """What a cached bundle depends on: its place and every file's hash."""
    return f"{visible_manifest().root} {entry.name} {sorted(entry.sha256.items())}"


@st.cache_resource(max_entries=64, show_spinner=False)
def _bundle(identity: str, name: str) -> Timed[Bundle]:
    return _open_bundle(name)


@st.cache_resource(max_entries=guests.MOST, show_spinner=False)
def _guest(identity: str, name: str) -> Timed[Bundle]:
    return _open_bundle(name)


def _open_bundle(name: str) -> Timed[Bundle]:
    begun = time.perf_counter()
    found = visible_manifest().open(name)
    check_contents(found)
    return Timed(found, time.perf_counter() - begun)


def timed_bundle(name: str) -> Timed[Bundle]:
    """A verified bundle, and the seconds that reading and hashing its files took."""

    def look() -> Timed[Bundle]:
        entry = visible_manifest().entry(name)
        cached = _guest if entry in guests.entries() else _bundle
        return cached(identity(entry), name)

    return once.ask(("opened", name), look)


def drop(name: str) -> None:
    """Forgets an opened bundle, whose files may be gone."""
    for kind in ("opened", "run"):
        once.forget((kind, name))
    entry = visible_manifest().entry(name)
    for cached in (_guest, _bundle):
        cached.clear(identity(entry), name)


def bundle(name: str) -> Bundle:
    """A verified bundle of the manifest or of this visitor's guests."""
    return timed_bundle(name).value


@st.cache_data(max_entries=64, show_spinner=False)
def _sheet(digest: str, path: str, count: int) -> Pictures:
    return read_sheet(Path(path).read_bytes(), count)


def sheet(of: Bundle, kind: str, epoch: int, count: int) -> Pictures:
    """Pictures of one snapshot: uint8 (count, 32, 32, 3)."""
    return _sheet(of.digest, str(of.progress(kind)[epoch]), count)


@dataclass(frozen=True)
class Gallery:
    """Generated pictures to start from, the same for everyone: uint8 (24, 32, 32, 3)."""

    pictures: Pictures
    of: Bundle
    settings: Mapping[str, object]


def gallery() -> Gallery:
    """Pictures that a diffusion model generated, or, where none is here, a VAE; from its bundle.

    Raises ``AtelierError`` where there is neither.
    """
    for family, kind in (("ddpm", "final"), ("vae", "samples")):
        for entry in available(family):
            of = bundle(entry.name)
            epochs = of.progress(kind)
            if epochs:
                pictures = sheet(of, kind, max(epochs), GALLERY_SIZE)
                seeds = {_("seeds"): f"0 – {len(pictures) - 1}"} if family == "ddpm" else {}
                return Gallery(pictures, of, seeds)
    raise AtelierError("no-gallery", "No model is here that could generate pictures.")


def golden_deviation(name: str) -> float:
    """How far the bundle's weights are from their golden output, here and now."""
    return family_of(bundle(name)).golden(bundle(name))


# ---------------------------------------------------------------- answers


@st.cache_resource(show_spinner=False)  # as many as the pages name, and each is bounded itself
def answers(kind: str, most: int) -> AnswerCache:
    """Answers of one kind, kept for all visitors: at most ``most`` of them."""
    return AnswerCache(most)


def timed_answer(kind: str, most: int, request: Hashable, compute: Callable[[], T]) -> Timed[T]:
    """The answer to a request, computed once for all visitors, and the seconds that took."""

    def answer() -> Timed[T]:
        begun = time.perf_counter()
        found = compute()
        return Timed(found, time.perf_counter() - begun)

    return answers(kind, most).ask(request, answer)
