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
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file as load_arrays
from safetensors.numpy import save as packed

from core.bundles.files import replacing_folder, sha256, write_json
from core.errors import AtelierError

GOLDEN_TOLERANCE = 1e-4
"""How far a golden output may be from the stored one."""

FORMAT = 1
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
LARGEST_WHOLE = 2**64
NOT_JSON = (ValueError, RecursionError)
"""What Python's reader raises for a text that is no JSON, or nested deeper than it goes."""
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
    place: str = ""
    """How errors name it: as it was asked for, by its name in a manifest or on the Hub, or by its folder."""

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
        except (SafetensorError, OSError, AttributeError, TypeError) as error:  # no type of NumPy
            raise damaged_file_error(self.place, file) from error
        # Libraries teach NumPy types, bfloat16 for one, that pages do not know.
        if any(value.dtype.kind not in "biuf" for value in arrays.values()):
            raise damaged_file_error(self.place, file)
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


def read_bundle(
    folder: Path,
    *,
    name: str | None = None,
    place: str | None = None,
    expected: Mapping[str, str] | None = None,
    origin: Origin = "folder",
    revision: str | None = None,
    reached: bool = True,
) -> Bundle:
    """Read and check a folder; ``expected`` maps each file to the sha256 it must have.

    ``name``: that of the folder where it is left out. ``place``: how errors name the bundle, by default
    by ``name``, and without one by the path of the folder.
    """
    folder = Path(folder)
    place = place or name or str(folder)
    name = name or folder.name
    required = required_files(folder)
    missing = [file for file in required if not (folder / file).is_file()]
    missing += [file for file in expected or () if not (folder / file).is_file()]
    if missing:
        raise incomplete(place, missing[0])
    files = bundle_files(folder) if expected is None else sorted({*required, *expected})
    hashes = {file: _hash(folder, place, file) for file in files}
    for file, value in hashes.items():
        if expected is not None and expected.get(file) != value:
            raise altered_file_error(place, file)
    bundle = Bundle(
        name=name,
        folder=folder,
        origin=origin,
        revision=revision,
        sha256=hashes,
        verified=expected is not None,
        config=read_json(folder, place, "config.json", dict),
        history=read_json(folder, place, "history.json", list),
        metrics=read_json(folder, place, "metrics.json", dict),
        card=_read_text(folder, place, "README.md"),
        reached=reached,
        place=place,
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
    except (OSError, *NOT_JSON):  # said where it is read for its content
        return REQUIRED_FILES
    if not isinstance(config, dict) or keeps_weights(config):
        return REQUIRED_FILES
    return tuple(file for file in REQUIRED_FILES if file not in WEIGHT_FILES)


def bundle_files(folder: Path) -> list[str]:
    """Names of the files of a bundle below ``folder``, as they stand in a manifest."""
    found = (path for path in (folder / "progress").glob("*.jpg") if path.is_file())
    progress = (f"progress/{path.name}" for path in found)
    return [*required_files(folder), *sorted(filter(PROGRESS_FILE.fullmatch, progress))]


def incomplete(name: str, file: str) -> AtelierError:
    """What to raise where a file is missing."""
    return AtelierError(
        "bundle-incomplete", "The bundle {name} lacks {file}.", name=name, file=file
    )


def altered_file_error(name: str, file: str) -> AtelierError:
    """What to raise where a file is not the one whose hash was given."""
    return AtelierError(
        "bundle-hash",
        "{file} of the bundle {name} is not the file that was published: its sha256 "
        "differs, so it is not used.",
        name=name,
        file=file,
    )


def damaged_file_error(name: str, file: str) -> AtelierError:
    """What to raise where a file cannot be read."""
    return AtelierError(
        "bundle-damaged", "{file} of the bundle {name} is damaged.", name=name, file=file
    )


def read_json(folder: Path, name: str, file: str, kind: type) -> dict | list:
    """A JSON file of a bundle; raises ``AtelierError`` ``bundle-damaged``, also for another kind and for a
    number that no float holds, which nothing could be computed with.
    """
    try:
        value = json.loads(
            (folder / file).read_text(encoding="utf-8"),
            parse_constant=_finite,
            parse_float=_finite,
            parse_int=_whole,
        )
    except (OSError, *NOT_JSON) as error:
        raise damaged_file_error(name, file) from error
    if not isinstance(value, kind):
        raise damaged_file_error(name, file)
    return value


def _finite(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise ValueError(f"a number must be finite, got {text}")
    return value


def _whole(text: str) -> int:
    if abs(value := int(text)) > LARGEST_WHOLE:
        raise ValueError(f"a whole number must be at most {LARGEST_WHOLE}")
    return value


def _hash(folder: Path, name: str, file: str) -> str:
    try:
        return sha256(folder / file)
    except OSError as error:
        raise damaged_file_error(name, file) from error


def _read_text(folder: Path, name: str, file: str) -> str:
    try:
        return (folder / file).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise damaged_file_error(name, file) from error


def unusable(name: str, field: str) -> AtelierError:
    """What to raise where a part of ``config.json`` makes no sense."""
    return AtelierError(
        "bundle-config",
        "config.json of the bundle {name} has no usable {field}.",
        name=name,
        field=field,
    )


def other_family(name: str, found: str, expected: Iterable[str]) -> AtelierError:
    """What to raise where a bundle is of no family that was asked for."""
    return AtelierError(
        "bundle-family",
        "{name} is a bundle of the family {found}, not {expected}.",
        name=name,
        found=found,
        expected=", ".join(expected),
    )


def _check_config(bundle: Bundle) -> None:
    for key, kind in CONFIG_FIELDS.items():
        if not isinstance(bundle.config.get(key), kind):
            raise unusable(bundle.place, key)
    if bundle.config["format"] != FORMAT:
        raise AtelierError(
            "bundle-format",
            "The bundle {name} has format {found}; this version reads format {expected}.",
            name=bundle.place,
            found=bundle.config["format"],
            expected=FORMAT,
        )


# ---------------------------------------------------------------- writing


def _save_arrays(arrays: Mapping[str, np.ndarray], path: Path) -> None:
    """safetensors writes memory as it lies: arrays in another order (channels last) go in C order.

    Packed first, since its own writer has an error of its own for a full disk.
    """
    path.write_bytes(packed({key: np.asarray(value, order="C") for key, value in arrays.items()}))


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
        on_disk = read_bundle(temporary, name=Path(folder).name, place=str(folder))
        if check is not None:
            check(on_disk)
    return read_bundle(folder)
