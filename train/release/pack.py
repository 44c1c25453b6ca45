"""Archives of finished runs, one a run, small enough to be carried away."""

from __future__ import annotations

import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
from safetensors.numpy import load_file, save

from core.bundles.files import replacing
from core.families import open_bundle
from train.release import embed

Kept = Literal["all", "record", "backbone"]
"""What an archive keeps of a bundle: everything; no weights; no weights but those of the backbone,
in ``backbone.safetensors`` next to the record."""


def content(folder: Path, target: Path, keep: Kept) -> Path:
    """The folder that is archived: the bundle itself, or what is kept of it, written to ``target``."""
    if keep == "all":
        return folder
    embed.write_record(open_bundle(folder), target)
    if keep == "backbone":
        weights = load_file(folder / "model.safetensors")
        own = {key: value for key, value in weights.items() if key.startswith("backbone.")}
        packed = save({key: np.ascontiguousarray(value) for key, value in own.items()})
        (target / "backbone.safetensors").write_bytes(packed)
    return target


def pack(
    root: Path, target: Path, kept: Mapping[str, Kept], part_mib: float | None = None
) -> list[Path]:
    """A tar archive of every bundle of the runs below ``root`` that ``kept`` names, in ``target``.

    With ``part_mib`` an archive above that size becomes ``NAME.tar.000``, ``.001`` …; joined in order
    (``cat NAME.tar.*``) they are the archive again.
    """
    made = []
    for name, keep in kept.items():
        folder = root / name / "bundle"
        if not (folder / "config.json").exists():
            continue
        with tempfile.TemporaryDirectory() as scratch:
            source = content(folder, Path(scratch) / name, keep)
            path = target / f"{name}.tar"
            with replacing(path) as temporary, tarfile.open(temporary, "w") as archive:
                archive.add(source, name)
        made += cut(path, part_mib)
    return made


def cut(path: Path, part_mib: float | None) -> list[Path]:
    """The file itself where it is small enough, or its parts, which take its place."""
    for old in path.parent.glob(f"{path.name}.[0-9][0-9][0-9]"):
        old.unlink()
    most = (
        path.stat().st_size
        if part_mib is None
        else max(path.stat().st_size // 1000 + 1, int(part_mib * 2**20))
    )
    if path.stat().st_size <= most:
        return [path]
    parts = []
    with open(path, "rb") as whole:
        while content := whole.read(most):
            part = path.with_name(f"{path.name}.{len(parts):03d}")
            with replacing(part) as temporary:
                temporary.write_bytes(content)
            parts.append(part)
    path.unlink()
    return parts
