"""The ONNX files of the family ``simsiam``."""

from __future__ import annotations

from torch import Tensor

from core.simsiam.joint_embedding import JointEmbedding
from train.graph import PICTURES, Graph, Tensors, random_pictures


def graphs(model: JointEmbedding, golden: dict[str, Tensor]) -> list[Graph]:
    """Backbone and projector of SimSiam or one of its siblings."""
    width, d = model.backbone.channels, model.config.dim

    def features(x: Tensor) -> Tensors:
        return (model.features(x),)

    def projections(h: Tensor) -> Tensors:
        return (model.projector(h),)

    return [
        Graph(
            "encoder.onnx",
            model,
            features,
            features,
            {"x": PICTURES},
            {"h": f"(B, {width}) features of the backbone, what a picture is represented by"},
            (golden["x"],),
            lambda count, generator: (random_pictures(count, generator),),
        ),
        Graph(
            "projector.onnx",
            model,
            projections,
            projections,
            {"h": f"(B, {width}) features of the backbone"},
            {"z": f"(B, {d}) what the loss looks at, not normalised to length 1"},
            features(golden["x"]),
            lambda count, generator: features(random_pictures(count, generator)),
        ),
    ]
