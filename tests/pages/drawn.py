"""Reads the charts that a page sends to its visitor's browser."""

from dataclasses import dataclass

import numpy as np

from tests.pages.opening import bytes_at, components


@dataclass(frozen=True)
class Drawn:
    """A chart as the browser gets it: its ``spec``, and the numbers of its series."""

    spec: dict
    numbers: np.ndarray

    def series(self):
        """Of every series its spec, x and y; (S, N) where it is another one at each of S stops."""
        start = 0
        for one in self.spec["series"]:
            count, frames = one["count"], len(one["stops"] or [0])
            moves, shape = one["x_moves"], (frames, count) if one["stops"] else (count,)
            sizes = [shape if moves else (count,), shape, *[(count,)] * (2 * one["band"])]
            parts = []
            for size in sizes:
                length = int(np.prod(size))
                parts.append(self.numbers[start : start + length].reshape(size))
                start += length
            yield one, *parts
        assert start == len(self.numbers)

    @property
    def y(self):
        """By name."""
        return {one["name"]: y for one, _x, y, *_band in self.series()}

    @property
    def points(self):
        """By name: (S, N, 2)."""
        return {one["name"]: np.stack([x, y], -1) for one, x, y in self.series()}

    @property
    def levels(self):
        return {level["name"]: level["value"] for level in self.spec["levels"]}


def charts(at):
    """Every chart of the browser's own by its key."""
    return {
        key: Drawn(spec, np.frombuffer(bytes_at(spec["address"]), dtype="<f4"))
        for key, spec in components(at).items()
        if "series" in spec
    }
