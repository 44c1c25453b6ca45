"""What configurations ask of their values: one sentence, the same everywhere."""

from __future__ import annotations

from numbers import Integral


def whole(name: str, value: object, low: int, high: int) -> None:
    """``value`` is a whole number from ``low`` to ``high``; ValueError otherwise."""
    if not isinstance(value, Integral) or isinstance(value, bool) or not low <= value <= high:
        raise ValueError(f"{name} must be {low} to {high}, got {value}")
