"""Gaussian noise of a counter and a key: any draw by itself, alike in Python and in a browser.

A generator with a state can be drawn from only in order, and PyTorch's own is not at hand in a browser.
Philox 4x32-10 (Salmon, Moraes, Dror & Shaw 2011, *Parallel random numbers: as easy as 1, 2, 3*) turns a
counter and a key into four numbers of 32 bits; pairs of them become pairs of Gaussian numbers (Box &
Muller 1958). ``pages/browser/modules/philox.js`` is the same in the browser.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

ROUNDS = 10
MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
WEYL = (0x9E3779B9, 0xBB67AE85)
LOW, HALF = np.uint64(0xFFFFFFFF), np.uint64(32)


def philox(counter: Sequence[np.ndarray | int], key: Sequence[int]) -> np.ndarray:
    """Four random words of 32 bits for each counter of four words, under a key of two: (4, ...) uint64."""
    c0, c1, c2, c3 = np.broadcast_arrays(*(np.asarray(part, dtype=np.uint64) for part in counter))
    for turn in range(ROUNDS):
        k0, k1 = (np.uint64((k + turn * w) % 2**32) for k, w in zip(key, WEYL, strict=True))
        first, second = MULTIPLIERS[0] * c0, MULTIPLIERS[1] * c2
        c0, c2 = (second >> HALF) ^ c1 ^ k0, (first >> HALF) ^ c3 ^ k1
        c1, c3 = second & LOW, first & LOW
    return np.stack([c0, c1, c2, c3])


def counted_noise(seed: int, step: int, shape: Sequence[int]) -> np.ndarray:
    """N(0, I) as float64 of a shape: draw ``step`` of a seed, each from 0 to 2**32 - 1.

    The counter holds the number of the block of four values and the step, the key the seed.
    """
    for name, value in (("seed", seed), ("step", step)):
        if not 0 <= value < 2**32:
            raise ValueError(f"{name} must be 0 to {2**32 - 1}, got {value}")
    size = math.prod(shape)
    words = philox((np.arange(-(-size // 4)), step, 0, 0), (seed, 0)).astype(np.float64)
    radius = np.sqrt(-2 * np.log((words[0::2] + 0.5) / 2**32))  # (2, blocks)
    angle = 2 * np.pi * words[1::2] / 2**32
    pairs = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)  # (2, 2, blocks)
    return pairs.reshape(4, -1).T.reshape(-1)[:size].reshape(tuple(shape))
