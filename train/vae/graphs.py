"""The ONNX files of the family ``vae``."""

from __future__ import annotations

import torch
from torch import Tensor

from core.vae.model import VAE
from train.graph import PICTURES, Graph, Tensors, random_pictures


def graphs(model: VAE, golden: dict[str, Tensor]) -> list[Graph]:
    """Encoder and decoder."""
    d = model.config.latent_dim

    def posterior(x: Tensor) -> Tensors:
        q = model.encode(x)
        return q.mean, q.logvar

    return [
        Graph(
            "encoder.onnx",
            model,
            posterior,
            posterior,
            {"x": PICTURES},
            {
                "mean": f"(B, {d}) mean of q(z given x)",
                "logvar": f"(B, {d}) its log-variance, from -30 to 20",
            },
            (golden["x"],),
            lambda count, generator: (random_pictures(count, generator),),
        ),
        decoder(model, golden["z"]),
    ]


def decoder(model: VAE, golden: Tensor) -> Graph:
    """The decoder alone; ``golden`` are latents (B, d)."""
    d = model.config.latent_dim

    def decodings(z: Tensor) -> Tensors:
        return (model.decode(z).mean,)

    return Graph(
        "decoder.onnx",
        model,
        decodings,
        decodings,
        {"z": f"(B, {d}) latents, float32; N(0, I) draws make samples"},
        {"x_hat": "(B, 3, 32, 32) mean of p(x given z), not clamped to [-1, 1]"},
        (golden,),
        lambda count, generator: (torch.randn(count, d, generator=generator),),
    )
