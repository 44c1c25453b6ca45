"""What the pages of a family need of a bundle, declared once and looked for when a bundle is opened.

A bundle of others may hold anything: without this a figure that is missing would end a page, and not
the one that it was opened on.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from core.bundles import schema
from core.bundles.bundle import Bundle, unusable
from core.errors import AtelierError

SETTINGS = (
    "data.name",
    "data.split",
    "data.test_split",
    "data.fingerprint",
    "data.test_fingerprint",
    "data.pictures",
    "data.test_pictures",
    "training.device",
    "training.batch_size",
    "training.epochs",
)
"""What pages say of every bundle."""
COUNTED = ("training.batch_size", "training.epochs")
"""Those of them that pages compute with, next to the numbers of pictures."""
NUMERIC = (np.floating, np.integer)
LARGEST = sys.float_info.max


@dataclass(frozen=True)
class Contents:
    """What must be there.

    ``settings``: parts of ``config.json``, as paths (``training.device``); ``counted``: those that are numbers
    above 0. ``figures``: numbers of ``metrics.json``, as paths (``test.kl``); ``tables``: lists of rows there,
    by path, and the numbers of each row. ``epochs``: numbers of every row of ``history.json``, which has at
    least one. ``arrays``: of ``profiles.safetensors``, by name, with their number of dimensions; their numbers
    are finite, but for those that are ``partial``: they may be empty, and NaN where there was nothing to
    measure. ``sheets``: kinds of pictures, one sheet at least.
    """

    settings: tuple[str, ...] = SETTINGS
    counted: tuple[str, ...] = COUNTED
    figures: tuple[str, ...] = ()
    tables: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    epochs: tuple[str, ...] = ()
    arrays: Mapping[str, int] = field(default_factory=dict)
    partial: tuple[str, ...] = ()
    sheets: tuple[str, ...] = ()

    def check(self, bundle: Bundle) -> None:
        """Raises ``AtelierError`` ``bundle-lacks``, or ``bundle-config``: the first part that is missing."""
        for path in self.settings:
            if _at(bundle.config, path) is None:
                raise unusable(bundle.place, path)
        for path in self.counted:
            if not (_is_number(found := _at(bundle.config, path)) and found > 0):
                raise unusable(bundle.place, path)
        if (fault := schema.fault(bundle.config)) is not None:
            raise unusable(bundle.place, fault)
        for path in self.figures:
            if not _is_number(_at(bundle.metrics, path)):
                raise _lacks(bundle, path, "metrics.json")
        for path, columns in self.tables.items():
            rows = _at(bundle.metrics, path)
            if not isinstance(rows, list) or not rows:
                raise _lacks(bundle, path, "metrics.json")
            _check_rows(bundle, rows, columns, "metrics.json", f"{path} ")
        if self.epochs and not bundle.history:
            raise _lacks(bundle, "epoch 1", "history.json")
        _check_rows(bundle, bundle.history, self.epochs, "history.json")
        for name, dimensions in self.arrays.items():
            array = bundle.profiles.get(name)
            fits = array is not None and array.ndim == dimensions and _is_numeric(array)
            if not fits or not (name in self.partial or _is_finite(array)):
                raise _lacks(bundle, name, "profiles.safetensors")
        for kind in self.sheets:
            if not bundle.progress(kind):
                raise _lacks(bundle, f"epoch-0000-{kind}.jpg", "progress")


def _check_rows(
    bundle: Bundle, rows: list, columns: tuple[str, ...], file: str, before: str = ""
) -> None:
    for number, row in enumerate(rows, start=1):
        for name in columns:
            if not isinstance(row, dict) or not _is_number(row.get(name)):
                raise _lacks(bundle, f"{before}{name} ({number})", file)


def _at(tree: object, path: str) -> object:
    for key in path.split("."):
        tree = tree.get(key) if isinstance(tree, dict) else None
    return tree


def _is_number(value: object) -> bool:
    whole_or_not = isinstance(value, int | float) and not isinstance(value, bool)
    return whole_or_not and -LARGEST <= value <= LARGEST  # a whole number may fit into no float


def _is_numeric(array: np.ndarray) -> bool:
    return issubclass(array.dtype.type, NUMERIC)


def _is_finite(array: np.ndarray) -> bool:
    return array.size > 0 and bool(np.isfinite(array).all())


def _lacks(bundle: Bundle, what: str, file: str) -> AtelierError:
    return AtelierError(
        "bundle-lacks",
        "The bundle {name} cannot be shown: {file} has no usable {what}.",
        name=bundle.place,
        file=file,
        what=what,
    )
