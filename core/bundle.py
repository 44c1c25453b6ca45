"""A bundle: one folder that holds a trained model and all a page needs to show it.

The same folder is embedded in ``checkpoints/``, published on the Hub and left by a training run:

| file                   | what it holds                                                           |
|------------------------|-------------------------------------------------------------------------|
| config.json            | family, architecture, preprocessing, data, training, seed, code version |
| model.safetensors      | weights alone, float16 where embedded; cast to float32 when loaded      |
| history.json           | a list, one object an epoch: every metric and wall-clock seconds        |
| metrics.json           | final figures, each with its protocol                                   |
| profiles.safetensors   | statistics that pages show without the data set                         |
| golden.safetensors     | ``input.*`` and the ``output.*`` that the stored weights must give      |
| progress/*.jpg         | what the model made while it was trained, as sheets of pictures         |
| README.md              | model card                                                              |

A *record* is a bundle that kept no weights, only what is known of them: its ``config.json`` says
``"weights_kept": false``, and model.safetensors and golden.safetensors are absent.

``manifest.json`` names bundles with the sha256 of each file. No file is a pickle, and nothing in
a bundle is ever executed.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Literal, NamedTuple

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file as load_arrays
from safetensors.numpy import save_file as save_arrays
from torch import Tensor, nn

from core import hub
from core.errors import AtelierError
from core.files import replacing_folder, sha256, write_json

CHECKPOINTS = Path(__file__).parents[1] / "checkpoints"
"""The embedded bundles and the manifest that names them."""

FORMAT = 1
GOLDEN_TOLERANCE = 1e-4
REQUIRED_FILES = (
    "config.json",
    "model.safetensors",
    "history.json",
    "metrics.json",
    "profiles.safetensors",
    "golden.safetensors",
    "README.md",
)
WEIGHT_FILES = ("model.safetensors", "golden.safetensors")
"""What a record lacks."""
PROGRESS_FILE = re.compile(r"progress/epoch-(\d{4})-([a-z]+)\.jpg")
REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")
CONFIG_FIELDS: dict[str, type] = {
    "format": int,
    "family": str,
    "architecture": dict,
    "preprocessing": dict,
    "data": dict,
    "training": dict,
    "seed": int,
    "code_version": str,
}
Origin = Literal["embedded", "folder", "hub"]


class Ancestor(NamedTuple):
    """A bundle that another one went on from: its name, and the epochs of its own run."""

    name: str
    epochs: int


@dataclass(frozen=True)
class Bundle:
    """A bundle whose files were found, hashed and, where hashes were given, verified."""

    name: str
    folder: Path
    origin: Origin
    revision: str | None
    sha256: Mapping[str, str]
    verified: bool
    config: dict = field(repr=False)
    history: list[dict] = field(repr=False)
    metrics: dict = field(repr=False)
    card: str = field(repr=False)
    reached: bool = True
    """False for the cached copy of a bundle whose Hub could not be reached."""

    @cached_property
    def digest(self) -> str:
        """Twelve hexadecimal digits that change when any file does."""
        lines = "\n".join(f"{name} {value}" for name, value in sorted(self.sha256.items()))
        return hashlib.sha256(lines.encode()).hexdigest()[:12]

    @property
    def family(self) -> str:
        return self.config["family"]

    @property
    def heading(self) -> str:
        """The first heading of the card; the name where it has none."""
        found = re.search(r"^# (.+)$", self.card, re.MULTILINE)
        return found.group(1) if found else self.name

    @property
    def has_weights(self) -> bool:
        """False for a record, of which history and statistics alone were kept."""
        return keeps_weights(self.config)

    @property
    def ancestors(self) -> tuple[Ancestor, ...]:
        """The bundles that its weights went through before this run, the oldest first.

        Empty for weights that began at random; what is not told as it should be is left out.
        """
        told = self.config["training"].get("ancestors")
        found = []
        for one in told if isinstance(told, list) else ():
            parts = [one.get(key) for key in ("name", "epochs")] if isinstance(one, dict) else []
            if [type(part) for part in parts] == [str, int]:
                found.append(Ancestor(*parts))
        return tuple(found)

    @property
    def bytes(self) -> int:
        """Size of all files."""
        return sum((self.folder / name).stat().st_size for name in self.sha256)

    def arrays(self, file: str) -> dict[str, np.ndarray]:
        """The arrays of one of the bundle's safetensors files; float16 comes as float32."""
        if file not in self.sha256 or not file.endswith(".safetensors"):
            raise ValueError(f"file must be one of the bundle's safetensors, got {file!r}")
        try:
            arrays = load_arrays(self.folder / file)
        except (SafetensorError, OSError) as error:
            raise damaged(self.name, file) from error
        return {
            key: value.astype(np.float32) if value.dtype == np.float16 else value
            for key, value in arrays.items()
        }

    @cached_property
    def profiles(self) -> dict[str, np.ndarray]:
        """What pages show without the data set; the family says which arrays there are."""
        return self.arrays("profiles.safetensors")

    def progress(self, kind: str) -> dict[int, Path]:
        """Sheets of one kind (``samples``, ``reconstructions``) by epoch, in order."""
        found = {}
        for name in sorted(self.sha256):
            match = PROGRESS_FILE.fullmatch(name)
            if match and match.group(2) == kind:
                found[int(match.group(1))] = self.folder / name
        return found


# ---------------------------------------------------------------- reading


def open_bundle(
    folder_or_repo: str | Path, *, revision: str | None = None, family: str | None = None
) -> Bundle:
    """A bundle by folder, or by Hub repository ``user/name`` at ``revision``.

    Raises ``AtelierError``: ``bundle-missing``, ``bundle-incomplete``, ``bundle-damaged``,
    ``bundle-config``, ``bundle-family``, and those of ``core.remote``.
    """
    folder = Path(folder_or_repo)
    if folder.is_dir():
        bundle = read_bundle(folder)
    elif isinstance(folder_or_repo, str) and REPOSITORY.fullmatch(folder_or_repo):
        from core import remote  # which knows the families, and they read bundles

        bundle = remote.fetch(folder_or_repo, revision)
    else:
        raise AtelierError(
            "bundle-missing",
            "{place} is neither a folder nor a Hub repository of the form user/name.",
            place=folder_or_repo,
        )
    if family is not None and bundle.family != family:
        raise AtelierError(
            "bundle-family",
            "{name} is a bundle of the family {found}, not {expected}.",
            name=bundle.name,
            found=bundle.family,
            expected=family,
        )
    return bundle


def read_bundle(
    folder: Path,
    *,
    name: str | None = None,
    expected: Mapping[str, str] | None = None,
    origin: Origin = "folder",
    revision: str | None = None,
    reached: bool = True,
) -> Bundle:
    """Read and check a folder; ``expected`` maps each file to the sha256 it must have."""
    folder = Path(folder)
    name = name or folder.name
    required = required_files(folder)
    missing = [file for file in required if not (folder / file).is_file()]
    missing += [file for file in expected or () if not (folder / file).is_file()]
    if missing:
        raise incomplete(name, missing[0])
    files = bundle_files(folder) if expected is None else sorted({*required, *expected})
    hashes = {file: sha256(folder / file) for file in files}
    for file, value in hashes.items():
        if expected is not None and expected.get(file) != value:
            raise altered(name, file)
    bundle = Bundle(
        name=name,
        folder=folder,
        origin=origin,
        revision=revision,
        sha256=hashes,
        verified=expected is not None,
        config=read_json(folder, name, "config.json", dict),
        history=read_json(folder, name, "history.json", list),
        metrics=read_json(folder, name, "metrics.json", dict),
        card=(folder / "README.md").read_text(encoding="utf-8"),
        reached=reached,
    )
    _check_config(bundle)
    return bundle


def keeps_weights(config: dict) -> bool:
    """Whether a bundle with this ``config.json`` holds weights; only ``false`` says that not."""
    return config.get("weights_kept") is not False


def required_files(folder: Path) -> tuple[str, ...]:
    """The files that a bundle must have: a record no weights, any other all."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):  # said where it is read for its content
        return REQUIRED_FILES
    if not isinstance(config, dict) or keeps_weights(config):
        return REQUIRED_FILES
    return tuple(file for file in REQUIRED_FILES if file not in WEIGHT_FILES)


def bundle_files(folder: Path) -> list[str]:
    """Names of the files of a bundle below ``folder``, as they stand in a manifest."""
    progress = (f"progress/{path.name}" for path in (folder / "progress").glob("*.jpg"))
    return [*required_files(folder), *sorted(filter(PROGRESS_FILE.fullmatch, progress))]


def incomplete(name: str, file: str) -> AtelierError:
    """What to raise where a file is missing."""
    return AtelierError(
        "bundle-incomplete", "The bundle {name} lacks {file}.", name=name, file=file
    )


def altered(name: str, file: str) -> AtelierError:
    """What to raise where a file is not the one whose hash was given."""
    return AtelierError(
        "bundle-hash",
        "{file} of the bundle {name} is not the file that was published: its sha256 "
        "differs, so it is not used.",
        name=name,
        file=file,
    )


def damaged(name: str, file: str) -> AtelierError:
    """What to raise where a file cannot be read."""
    return AtelierError(
        "bundle-damaged", "{file} of the bundle {name} is damaged.", name=name, file=file
    )


def read_json(folder: Path, name: str, file: str, kind: type) -> dict | list:
    """A JSON file of a bundle; raises ``AtelierError`` ``bundle-damaged``, also for another kind."""
    try:
        value = json.loads((folder / file).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise damaged(name, file) from error
    if not isinstance(value, kind):
        raise damaged(name, file)
    return value


def unusable(name: str, field: str) -> AtelierError:
    """What to raise where a part of ``config.json`` makes no sense."""
    return AtelierError(
        "bundle-config",
        "config.json of the bundle {name} has no usable {field}.",
        name=name,
        field=field,
    )


def _check_config(bundle: Bundle) -> None:
    for key, kind in CONFIG_FIELDS.items():
        if not isinstance(bundle.config.get(key), kind):
            raise unusable(bundle.name, key)
    if bundle.config["format"] != FORMAT:
        raise AtelierError(
            "bundle-format",
            "The bundle {name} has format {found}; this version reads format {expected}.",
            name=bundle.name,
            found=bundle.config["format"],
            expected=FORMAT,
        )


def load_weights(model: nn.Module, bundle: Bundle) -> None:
    """The bundle's weights into ``model``: same names, same shapes, nothing left over."""
    need_weights(bundle)
    arrays = bundle.arrays("model.safetensors")
    wanted = model.state_dict()
    strangers = sorted(set(wanted) ^ set(arrays))
    strangers += [
        key for key in wanted if key in arrays and tuple(wanted[key].shape) != arrays[key].shape
    ]
    if strangers:
        raise AtelierError(
            "bundle-weights",
            "The weights of the bundle {name} do not fit its architecture: {key}.",
            name=bundle.name,
            key=strangers[0],
        )
    model.load_state_dict({key: torch.from_numpy(value) for key, value in arrays.items()})


def need_weights(bundle: Bundle) -> None:
    """Raises ``AtelierError`` ``bundle-record`` where a bundle has none."""
    if not bundle.has_weights:
        raise AtelierError(
            "bundle-record",
            "The bundle {name} holds what is known of a run, and no weights.",
            name=bundle.name,
        )


Tensors = dict[str, Tensor]


def check_golden(bundle: Bundle, compute: Callable[[Tensors], Tensors]) -> float:
    """Largest deviation of ``compute(inputs)`` from the stored outputs.

    Raises ``AtelierError`` ``bundle-golden`` where it exceeds 1e-4: weights, code or libraries
    are not those that made the bundle.
    """
    need_weights(bundle)
    stored = {key: torch.from_numpy(v) for key, v in bundle.arrays("golden.safetensors").items()}
    outputs, expected = compute(_part(stored, "input.")), _part(stored, "output.")
    fits = [key in outputs and outputs[key].shape == expected[key].shape for key in expected]
    if not fits or not all(fits):
        raise damaged(bundle.name, "golden.safetensors")
    deviations = [(outputs[key] - value).abs().max() for key, value in expected.items()]
    deviation = float(torch.stack(deviations).max())  # NaN where any is NaN
    if not deviation <= GOLDEN_TOLERANCE:
        raise AtelierError(
            "bundle-golden",
            "The bundle {name} does not give its golden output: it is off by {deviation:.2g}.",
            name=bundle.name,
            deviation=deviation,
        )
    return deviation


def _part(tensors: Tensors, prefix: str) -> Tensors:
    return {key[len(prefix) :]: value for key, value in tensors.items() if key.startswith(prefix)}


# ---------------------------------------------------------------- writing


def stored_weights(model: nn.Module) -> dict[str, np.ndarray]:
    """The model's state as it is stored: floating point as float16, the rest unchanged."""
    return {
        key: value.detach()
        .cpu()
        .to(torch.float16 if value.is_floating_point() else value.dtype)
        .numpy()
        for key, value in model.state_dict().items()
    }


def _save_arrays(arrays: Mapping[str, np.ndarray], path: Path) -> None:
    """safetensors writes memory as it lies: arrays in another order (channels last) go in C order."""
    save_arrays({key: np.asarray(value, order="C") for key, value in arrays.items()}, path)


def write_bundle(
    folder: Path,
    *,
    config: dict,
    weights: Mapping[str, np.ndarray] | None,
    history: list[dict],
    metrics: dict,
    profiles: Mapping[str, np.ndarray],
    golden: Mapping[str, np.ndarray] | None,
    progress: Mapping[str, bytes],
    card: str,
    check: Callable[[Bundle], object] | None = None,
) -> Bundle:
    """Write all files and move them into place at once; the result is read back and returned.

    ``progress`` maps ``epoch-0005-samples.jpg`` to the file's bytes. ``check`` is given the bundle
    as it stands on disk; where it raises, the folder stays what it was. Without ``weights`` and
    ``golden`` the bundle is a record.
    """
    if (weights is None) != (golden is None):
        raise ValueError("weights and golden must be given both, or neither")
    config = {"format": FORMAT, **config}
    config.pop("weights_kept", None)
    if weights is None:
        config["weights_kept"] = False
    with replacing_folder(folder) as temporary:
        write_json(temporary / "config.json", config)
        write_json(temporary / "history.json", history)
        write_json(temporary / "metrics.json", metrics)
        _save_arrays(profiles, temporary / "profiles.safetensors")
        for file, arrays in zip(WEIGHT_FILES, (weights, golden), strict=True):
            if arrays is not None:
                _save_arrays(arrays, temporary / file)
        (temporary / "README.md").write_text(card, encoding="utf-8")
        (temporary / "progress").mkdir()
        for name, data in progress.items():
            if not PROGRESS_FILE.fullmatch(f"progress/{name}"):
                raise ValueError(f"progress must be named epoch-0005-samples.jpg, got {name!r}")
            (temporary / "progress" / name).write_bytes(data)
        for file in temporary.rglob("*.*"):
            file.chmod(0o644)
        on_disk = read_bundle(temporary, name=Path(folder).name)
        if check is not None:
            check(on_disk)
    return read_bundle(folder)


# ---------------------------------------------------------------- the manifest


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
    """What ``checkpoints/manifest.json`` says, and the folder it stands in."""

    root: Path
    entries: tuple[ManifestEntry, ...]

    def entry(self, name: str) -> ManifestEntry:
        for entry in self.entries:
            if entry.name == name:
                return entry
        raise AtelierError("manifest-name", "The manifest names no bundle {name}.", name=name)

    def of_family(self, family: str) -> list[ManifestEntry]:
        return [entry for entry in self.entries if entry.family == family]

    def embedded(self, entry: ManifestEntry) -> Path | None:
        """The folder of an entry, where there is one."""
        if entry.folder is None or not (self.root / entry.folder).is_dir():
            return None
        return self.root / entry.folder

    def at_hand(self, entry: ManifestEntry) -> bool:
        """Whether an entry can be opened without asking the network."""
        if self.embedded(entry) is not None:
            return True
        folder = None if entry.repo is None else hub.cached_folder(entry.repo, entry.revision)
        return folder is not None and all((folder / file).is_file() for file in entry.sha256)

    def open(self, name: str, progress: Callable[[int, int], None] | None = None) -> Bundle:
        """The verified bundle of an entry: embedded, else from the cache, else from the Hub.

        Where the embedded folder is damaged, that of the Hub takes its place. ``progress`` is told
        bytes done and bytes in all of a download. Raises what ``read_bundle`` and
        ``core.remote.fetch`` raise, and ``bundle-missing-embedded``.
        """
        entry, refused = self.entry(name), None
        folder = self.embedded(entry)
        if folder is not None:
            try:
                return read_bundle(folder, name=name, expected=entry.sha256, origin="embedded")
            except AtelierError as error:
                refused = error
        if entry.repo is not None:
            from core import remote  # which knows the families, and they read bundles

            try:
                return remote.fetch(
                    entry.repo,
                    entry.revision,
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


def read_manifest(path: Path) -> Manifest:
    """Read and check a manifest; an absent file is an empty one.

    Raises ``AtelierError`` ``manifest-damaged``, also for a folder outside the manifest's own.
    """
    path = Path(path)
    if not path.exists():
        return Manifest(path.parent, ())
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        entries = tuple(ManifestEntry(**entry) for entry in raw["bundles"])
        sound = all(map(_is_sound, entries))
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise AtelierError("manifest-damaged", "{path} is damaged.", path=path) from error
    if not sound:
        raise AtelierError("manifest-damaged", "{path} is damaged.", path=path)
    return Manifest(path.parent, entries)


def _is_sound(entry: ManifestEntry) -> bool:
    paths = [PurePosixPath(name) for name in (*entry.sha256.keys(), entry.folder or ".")]
    outside = any(path.is_absolute() or ".." in path.parts for path in paths)
    pinned = entry.repo is None or re.fullmatch(r"[0-9a-f]{40}", entry.revision or "")
    return not outside and bool(pinned)


def register(manifest_path: Path, bundle: Bundle, *, name: str, title: str) -> ManifestEntry:
    """Name an embedded bundle in the manifest, in place of an entry of the same name."""
    manifest = read_manifest(manifest_path)
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
