"""Pictures that move with a timeline while the hand holds it: frames are sent once, compressed.

A page says where frames come from (``levels``, ``still``, ``mix``, ``walk``, ``sheets``) and which pictures
it shows of them: the frame of now, or that of one stop, marked while it is the nearest to now.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import streamlit as st

from core.bundles.bundle import Bundle
from core.pictures.images import SIZE, Pictures
from pages.browser import serving
from pages.browser.component import Component
from pages.shared import shape

_FILM = Component("film")
NOISE_SPAN = 3.0
"""Noise is shown from -3 (black) to 3 (white), as ``core.ddpm.explorer`` shows it."""
STOP = "{t}"
"""In a label or an alt text: the stop of now."""


@dataclass(frozen=True)
class Source:
    """Where frames come from, as ``modules/sources.js`` reads it."""

    spec: Mapping[str, object]


@dataclass(frozen=True)
class Cell:
    """One picture: the frame of now of a source, or, with ``at``, that of one stop, which a click chooses.

    ``at`` is the place of the stop; its frame has the same place in the source, or is ``frame``.
    ``label`` and ``alt`` may hold ``STOP``, or be as many texts as the timeline has stops. ``sign`` stands
    before the picture, as in an equation.
    """

    source: Source
    label: str | Sequence[str]
    alt: str | Sequence[str]
    at: int | None = None
    frame: int | None = None
    sign: str = ""


@dataclass(frozen=True)
class Row:
    """Pictures next to one another, with ``words`` before them: ``large``, a ``strip`` of small ones, or
    ``sheets`` of several each, which stand below one another on a narrow screen.
    """

    cells: Sequence[Cell]
    kind: Literal["large", "strip", "sheets"] = "large"
    words: str = ""
    widest: int | None = None
    """How many pixels a row of large pictures takes at most."""


def show(
    key: str, timeline: str, rows: Sequence[Row], *, stops: Sequence[str] | None = None
) -> None:
    """Mounts pictures that follow the timeline of that key; ``stops`` are its stops in words."""
    sources = list({id(cell.source): cell.source for row in rows for cell in row.cells}.values())
    place = {id(source): index for index, source in enumerate(sources)}
    with shape.figure(key, _now(timeline, rows[0])):
        _FILM(
            key,
            {
                "timeline": timeline,
                "stops": None if stops is None else list(stops),
                "sources": [source.spec for source in sources],
                "rows": [
                    {
                        "kind": row.kind,
                        "words": row.words,
                        "widest": row.widest,
                        "cells": [
                            {
                                "source": place[id(cell.source)],
                                "label": _texts(cell.label),
                                "alt": _texts(cell.alt),
                                "at": cell.at,
                                "frame": cell.at if cell.frame is None else cell.frame,
                                "sign": cell.sign,
                            }
                            for cell in row.cells
                        ],
                    }
                    for row in rows
                ],
            },
        )


def _now(timeline: str, row: Row) -> str:
    """What the pictures of a row show now, in words."""
    now = str(st.session_state.get(timeline, ""))
    said = [cell.alt for cell in row.cells if isinstance(cell.alt, str)]
    return "; ".join(one.replace(STOP, now) for one in said)


def _texts(of: str | Sequence[str]) -> str | list[str]:
    return of if isinstance(of, str) else list(of)


# ---------------------------------------------------------------- where frames come from


def levels(
    frames: Pictures, columns: int = 1, places: Sequence[int | None] | None = None
) -> Source:
    """Known pictures, one a stop: uint8 (N, H, W, 3), or (N, tiles, H, W, 3) in rows of ``columns``.

    ``places``: which of the N is shown at every stop, None where there is nothing to show.
    """
    if frames.ndim not in (4, 5):
        raise ValueError(f"frames must be uint8 (N, [tiles,] H, W, 3), got {frames.shape}")
    return several(frames[None], columns, places)[0]


def several(
    frames: Pictures, columns: int = 1, places: Sequence[int | None] | None = None
) -> list[Source]:
    """K sources like ``levels``, which browsers fetch at once: uint8 (K, N, H, W, 3) or (K, N, tiles, …)."""
    if frames.dtype != np.uint8 or frames.ndim not in (5, 6) or frames.shape[-1] != 3:
        raise ValueError(
            f"frames must be uint8 (K, N, H, W, 3) or (K, N, tiles, H, W, 3), "
            f"got {frames.dtype} {frames.shape}"
        )
    count = frames.shape[1]
    if places is not None and not all(one is None or 0 <= one < count for one in places):
        raise ValueError(f"places must be 0 to {count - 1} or None, got {list(places)}")
    address = serving.offer(np.ascontiguousarray(frames).tobytes(), "frames")
    return [
        Source(
            {
                "kind": "levels",
                "address": address,
                "first": index * count,
                "count": count,
                "places": None if places is None else list(places),
                "height": frames.shape[-3],
                "width": frames.shape[-2],
                "tiles": frames.shape[2] if frames.ndim == 6 else 1,
                "columns": columns,
            }
        )
        for index in range(len(frames))
    ]


def still(picture: Pictures) -> Source:
    """One picture (H, W, 3) at all stops."""
    return levels(picture[None])


def _floats(*parts: np.ndarray) -> str:
    flat = [np.asarray(part, dtype="<f4").reshape(-1) for part in parts]
    return serving.offer(np.concatenate(flat).tobytes(), "values")


def mix(first: np.ndarray, second: np.ndarray, a: Sequence[float], b: Sequence[float]) -> Source:
    """a[t] first + b[t] second, both float (3, H, W) in units of [-1, 1]; a and b one number a stop."""
    if len(a) != len(b):
        raise ValueError(f"a and b must have one number a stop each, got {len(a)} and {len(b)}")
    _channels, height, width = first.shape
    address = _floats(first.transpose(1, 2, 0), second.transpose(1, 2, 0), a, b)
    return Source({"kind": "mix", "address": address, "height": height, "width": width})


def walk(x0: np.ndarray, alphas: Sequence[float], seed: int) -> dict[str, Source]:
    """The random walk from x0 (3, H, W) with the noise of ``core.ddpm.counted_noise``; stops 0 to T.

    ``walked``: after t steps. ``direct``: in one step, with the noise of all those steps summed up.
    ``off``: the first less the second, around mid-grey.
    """
    _channels, height, width = x0.shape
    address = _floats(x0.transpose(1, 2, 0), alphas)
    spec = {"kind": "walk", "address": address, "height": height, "width": width, "seed": seed}
    return {part: Source({**spec, "part": part}) for part in ("walked", "direct", "off")}


def way_back(
    network: Mapping[str, str],
    noise: np.ndarray,
    levels: Sequence[int],
    alpha_bar: Sequence[float],
    says: Literal["eps", "v"],
    words: Mapping[str, str],
) -> dict[str, Source]:
    """What the visitor's own browser makes of noise (3, 32, 32) by DDIM: ``x_t``, ``eps_hat``, ``x0_hat``, and
    ``x_s``, where the step from x_t ends.

    ``levels`` fall, from 0 to T - 1 as code counts; ``alpha_bar`` has one number more, 1 at the end: as many
    as there are stops. ``network`` is what ``networks.network`` says of the U-Net. ``words``: ``loading``,
    ``step`` with ``{step}`` and ``{steps}``, ``unable``.
    """
    if len(alpha_bar) != len(levels) + 1:
        raise ValueError(f"alpha_bar must have {len(levels) + 1} numbers, got {len(alpha_bar)}")
    way = {
        "kind": "way",
        "network": dict(network),
        "noise": serving.offer(np.asarray(noise, dtype="<f4").tobytes(), "noise"),
        "levels": list(levels),
        "alpha_bar": list(alpha_bar),
        "says": says,
        "words": dict(words),
    }
    spans = {"x_t": 1.0, "eps_hat": NOISE_SPAN, "x0_hat": 1.0, "x_s": 1.0}
    return {part: Source({**way, "part": part, "span": span}) for part, span in spans.items()}


def sheets(of: Bundle, kind: str, epochs: Sequence[int], count: int, columns: int) -> Source:
    """The first ``count`` pictures of the sheets that a bundle kept after these epochs, one sheet a stop."""
    paths = of.progress(kind)
    return Source(
        {
            "kind": "sheets",
            "addresses": [
                serving.offer_file(of, paths[epoch].relative_to(of.folder).as_posix())
                for epoch in epochs
            ],
            "height": SIZE,
            "width": SIZE,
            "tiles": count,
            "columns": columns,
        }
    )
