"""The manifest: the bundles that an app knows by name, with the sha256 of every file."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from core.bundles import hub, remote
from core.bundles.bundle import FORMAT, NOT_JSON, Bundle, read_bundle
from core.bundles.files import write_json
from core.errors import AtelierError

if TYPE_CHECKING:
    from core.bundles.weights import Networks

CHECKPOINTS = Path(__file__).parents[2] / "checkpoints"
"""The embedded bundles and the manifest that names them."""


@dataclass(frozen=True)
class ManifestEntry:
    """One bundle of the manifest: embedded folder and/or Hub repository with pinned revision."""

    name: str
    family: str
    title: str
    sha256: Mapping[str, str]
    folder: str | None = None
    repo: str | None = None
    revision: str | None = None


@dataclass(frozen=True)
class Manifest:
    """What ``checkpoints/manifest.json`` says, and the folder it stands in.

    ``networks``: by family, what builds the network of a bundle that comes from the Hub.
    """

    root: Path
    entries: tuple[ManifestEntry, ...]
    networks: Networks = field(default_factory=dict, repr=False, compare=False)

    def entry(self, name: str) -> ManifestEntry:
        for entry in self.entries:
            if entry.name == name:
                return entry
        raise AtelierError("manifest-name", "The manifest names no bundle {name}.", name=name)

    def of_family(self, family: str) -> list[ManifestEntry]:
        return [entry for entry in self.entries if entry.family == family]

    def embedded_folder(self, entry: ManifestEntry) -> Path | None:
        """The folder of an entry, where there is one."""
        if entry.folder is None or not (self.root / entry.folder).is_dir():
            return None
        return self.root / entry.folder

    def at_hand(self, entry: ManifestEntry) -> bool:
        """Whether an entry can be opened without asking the network."""
        if self.embedded_folder(entry) is not None:
            return True
        folder = None if entry.repo is None else hub.cached_folder(entry.repo, entry.revision)
        return folder is not None and all((folder / file).is_file() for file in entry.sha256)

    def open(self, name: str, progress: Callable[[int, int], None] | None = None) -> Bundle:
        """The verified bundle of an entry: embedded, else from the cache, else from the Hub.

        Where the embedded folder is damaged, that of the Hub takes its place. ``progress`` is called
        with bytes done and bytes in all of a download. Raises what ``read_bundle`` and
        ``core.bundles.remote.fetch`` raise, and ``bundle-missing-embedded``.
        """
        entry, refused = self.entry(name), None
        folder = self.embedded_folder(entry)
        if folder is not None:
            try:
                return read_bundle(folder, name=name, expected=entry.sha256, origin="embedded")
            except AtelierError as error:
                refused = error
        if entry.repo is not None:
            try:
                return remote.fetch(
                    entry.repo,
                    entry.revision,
                    networks=self.networks,
                    name=name,
                    expected=entry.sha256,
                    progress=progress,
                )
            except AtelierError as error:
                raise refused or error from error
        if refused is not None:
            raise refused
        raise AtelierError(
            "bundle-missing-embedded",
            "The folder of the bundle {name} is missing from checkpoints/.",
            name=name,
        )


def read_manifest(path: Path, networks: Networks) -> Manifest:
    """Read and check a manifest; an absent file is an empty one.

    Raises ``AtelierError`` ``manifest-damaged``, also for a folder outside the manifest's own.
    """
    path = Path(path)
    if not path.exists():
        return Manifest(path.parent, (), networks)
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        entries = tuple(ManifestEntry(**entry) for entry in raw["bundles"])
        sound = all(map(_is_sound, entries))
    except (OSError, *NOT_JSON, TypeError, KeyError, AttributeError) as error:
        raise AtelierError("manifest-damaged", "{path} is damaged.", path=path) from error
    if not sound:
        raise AtelierError("manifest-damaged", "{path} is damaged.", path=path)
    return Manifest(path.parent, entries, networks)


def _is_sound(entry: ManifestEntry) -> bool:
    paths = [PurePosixPath(name) for name in (*entry.sha256.keys(), entry.folder or ".")]
    outside = any(path.is_absolute() or ".." in path.parts for path in paths)
    pinned = entry.repo is None or re.fullmatch(r"[0-9a-f]{40}", entry.revision or "")
    return not outside and bool(pinned)


def register(manifest_path: Path, bundle: Bundle, *, name: str, title: str) -> ManifestEntry:
    """Name an embedded bundle in the manifest, in place of an entry of the same name."""
    manifest = read_manifest(manifest_path, {})  # nothing is opened
    entry = ManifestEntry(
        name=name,
        family=bundle.family,
        title=title,
        folder=bundle.folder.relative_to(manifest.root).as_posix(),
        sha256=dict(bundle.sha256),
    )
    entries = [other for other in manifest.entries if other.name != name] + [entry]
    entries.sort(key=lambda other: (other.family, other.name))
    plain = [
        {key: value for key, value in vars(other).items() if value is not None} for other in entries
    ]
    write_json(manifest_path, {"format": FORMAT, "bundles": plain})
    return entry
