"""The ONNX files of the family ``judge``."""

from __future__ import annotations

from torch import Tensor

from core.judge.model import CLASSES, Judge
from train.graph import PICTURES, Graph, Tensors, random_pictures


def graphs(model: Judge, golden: dict[str, Tensor]) -> list[Graph]:
    """The classifier with its temperature."""

    def answer(x: Tensor) -> Tensors:
        features = model.features(x)
        return model.logits(features), features

    width = model.answer.in_features
    return [
        Graph(
            "judge.onnx",
            model,
            answer,
            answer,
            {"x": PICTURES},
            {
                "logits": f"(B, {CLASSES}) calibrated: divided by the temperature already",
                "features": f"(B, {width}) what the answer is read from",
            },
            (golden["x"],),
            lambda count, generator: (random_pictures(count, generator),),
        )
    ]
