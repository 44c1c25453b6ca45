"""The whole training of a bundle's weights: the runs that they went through, one after another.

A run that went on from a bundle tells of those before it in its settings (``train/run/ancestry.py``): how
many epochs and minutes each took and, where it was kept, its history.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

from core.bundles.bundle import Bundle

Row = dict[str, float]
MOST_EPOCHS = 9999
"""Of one run."""
LARGEST = 1e300
"""A whole number of JSON may fit into no float."""


@dataclass(frozen=True)
class Part:
    """One run: its name, how many epochs it had, the seconds that it took (None: untold).

    ``rows``: its history, an object an epoch that counts from 1; empty where the bundle does not hold it.
    """

    name: str
    epochs: int
    seconds: float | None
    rows: tuple[Row, ...]


def parts(bundle: Bundle) -> tuple[Part, ...]:
    """All runs, the oldest first, the bundle's own last. What is not told as it should be is left out."""
    told = bundle.config["training"].get("ancestors")
    found = []
    for one in told if isinstance(told, list) else ():
        if not isinstance(one, dict) or type(one.get("name")) is not str:
            continue
        if type(one.get("epochs")) is int and 0 <= one["epochs"] <= MOST_EPOCHS:
            minutes = one.get("minutes")
            seconds = 60.0 * minutes if _is_number(minutes) and minutes >= 0 else None
            found.append(Part(one["name"], one["epochs"], seconds, _rows(one)))
    own = tuple(bundle.history)
    seconds = own[-1]["seconds_total"] if own else 0.0
    return (*found, Part(bundle.name, len(own), seconds, own))


def starts(of: tuple[Part, ...]) -> list[int]:
    """For each run how many epochs lay behind the weights when it began."""
    return [sum(one.epochs for one in of[:place]) for place in range(len(of))]


def whole_history(bundle: Bundle) -> list[Row]:
    """Rows of all runs as of one: ``epoch`` and ``seconds_total`` count from the first epoch of the first.

    Of a run whose history is not held, one row, for its last epoch, with these two alone. Seconds are left
    out of rows that follow a run which does not tell its own.
    """
    rows: list[Row] = []
    epochs, seconds = 0, 0.0
    for one in parts(bundle):
        last = {"epoch": one.epochs}
        if one.seconds is not None:
            last["seconds_total"] = one.seconds
        for row in one.rows or ([last] if one.epochs else []):
            moved = {**row, "epoch": epochs + row["epoch"]}
            moved.pop("seconds_total", None)
            if seconds is not None and "seconds_total" in row:
                moved["seconds_total"] = seconds + row["seconds_total"]
            rows.append(moved)
        epochs += one.epochs
        seconds = None if seconds is None or one.seconds is None else seconds + one.seconds
    return rows


def _rows(told: dict) -> tuple[Row, ...]:
    """The history of an ancestor; nothing where it is not one row of numbers an epoch."""
    history = told.get("history")
    if not isinstance(history, list) or len(history) != told["epochs"]:
        return ()
    for place, row in enumerate(history, start=1):
        if not isinstance(row, dict) or row.get("epoch") != place:
            return ()
        if not all(_is_number(value) for value in row.values()) or "seconds_total" not in row:
            return ()
    return tuple(history)


def _is_number(value: object) -> bool:
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    return plain and abs(value) < LARGEST and isfinite(value)
