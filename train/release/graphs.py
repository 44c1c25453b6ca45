"""Writes the networks that run in a visitor's browser, one ONNX file an architecture, without weights.

Every weight stands in a file as external data, float32, under the name that its tensor has in a bundle's
``model.safetensors``. So one file serves all bundles of its architecture, a visitor's own too: the
browser cuts the tensors out of the bundle. To be run again when ``core`` changes a network.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch

from core import ddpm, vae
from core.bundles.files import write_json
from core.errors import AtelierError
from train.ddpm.graphs import unet_alone
from train.graph import Graph
from train.release.export import OPSET, need_packages, traced_graph
from train.vae.graphs import decoder

if TYPE_CHECKING:
    import onnx

FOLDER = Path(__file__).parents[2] / "pages" / "browser" / "graphs"
LIST = "GRAPHS.json"
NETWORK = "network."
"""Before the name of every weight of a traced graph."""


class Part(NamedTuple):
    """A network that browsers run: ``architecture`` as the bundles' ``config.json`` has it."""

    family: str
    part: str
    architecture: dict
    graph: Graph

    @property
    def file(self) -> str:
        plain = json.dumps(self.architecture, sort_keys=True)
        digest = hashlib.sha256(plain.encode()).hexdigest()[:12]
        return f"{self.family}-{self.part}-{digest}.onnx"


def decoder_of(config: vae.VAEConfig) -> Part:
    """The decoder of a VAE."""
    model = vae.VAE(config).eval()
    graph = decoder(model, torch.zeros(1, config.latent_dim))
    return Part("vae", "decoder", model.architecture(), graph)


def unet_of(config: ddpm.UNetConfig) -> Part:
    """The network of a diffusion model, whatever its schedule."""
    return Part("ddpm", "unet", config.plain(), unet_alone(ddpm.UNet(config).eval()))


def preset_parts() -> Iterator[Part]:
    """The parts of every preset that is trained."""
    yield from (decoder_of(config) for config in vae.PRESETS.values())
    yield from (unet_of(config.unet) for config in ddpm.PRESETS.values())


def without_weights(graph: Graph) -> onnx.ModelProto:
    """The graph with external data in the place of its weights.

    Raises ``AtelierError`` ``graph-weights`` where a weight is not found as PyTorch stores it.
    """
    import onnx

    model = traced_graph(graph, opset=OPSET, batch=None, optimize=False)
    del model.graph.value_info[:]  # shapes in between, which ONNX Runtime finds by itself
    weights = graph.network.state_dict()
    for one in model.graph.initializer:
        del one.metadata_props[:]
        if not one.name.startswith(NETWORK):
            continue
        name = one.name.removeprefix(NETWORK)
        if name not in weights or tuple(one.dims) != tuple(weights[name].shape):
            raise AtelierError(
                "graph-weights", "{file} would hold weights: {name}.", file=graph.file, name=name
            )
        one.ClearField("raw_data")
        one.data_location = onnx.TensorProto.EXTERNAL
        one.external_data.add(key="location", value=name)
    return model


def write(parts: Iterator[Part], folder: Path) -> list[Path]:
    """The files of ``parts`` and their list in ``folder``, in place of those that are there."""
    need_packages()
    folder.mkdir(parents=True, exist_ok=True)
    made = {part.file: (part, without_weights(part.graph).SerializeToString()) for part in parts}
    for path in folder.glob("*.onnx"):
        path.unlink()
    for file, (_part, content) in made.items():
        (folder / file).write_bytes(content)
    listed = [
        {
            "file": file,
            "family": part.family,
            "part": part.part,
            "architecture": part.architecture,
        }
        for file, (part, _content) in made.items()
    ]
    write_json(folder / LIST, listed)
    return [folder / file for file in made]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--to", type=Path, default=FOLDER, help="folder for the files")


def main(arguments: argparse.Namespace) -> None:
    for path in write(preset_parts(), arguments.to):
        print(f"{path}: {path.stat().st_size / 2**10:.0f} KiB")
