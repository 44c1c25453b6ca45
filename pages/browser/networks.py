"""Networks that run in the visitor's browser: runtime, graph and weights, each from the app itself.

``vendor`` holds ONNX Runtime Web, ``graphs`` one graph an architecture (``python -m train graphs``), which
serves every bundle of it: the browser cuts the weights out of the bundle's own ``model.safetensors``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from core.bundles.bundle import Bundle
from pages.browser import serving

GRAPHS = Path(__file__).parent / "graphs"


@cache
def graphs() -> list[dict]:
    """Of every stored graph its file, family, part and architecture."""
    return json.loads((GRAPHS / "GRAPHS.json").read_text("utf-8"))


def network(of: Bundle, part: str) -> Mapping[str, str] | None:
    """Addresses of ``runtime``, ``graph`` and ``weights`` of a part of a bundle, as ``modules/networks.js``
    takes them; None where no graph is stored for its architecture.
    """
    architecture = of.config["architecture"]
    for one in graphs():
        # A diffusion model's schedule is no part of its network.
        if (one["family"], one["part"]) == (of.family, part) and one["architecture"] in (
            architecture,
            architecture.get(part),
        ):
            return {
                "runtime": serving.runtime("ort.wasm.min.mjs"),
                "graph": serving.offer((GRAPHS / one["file"]).read_bytes(), one["file"]),
                "weights": serving.offer_file(of, "model.safetensors"),
            }
    return None
