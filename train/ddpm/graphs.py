"""The ONNX files of the family ``ddpm``."""

from __future__ import annotations

import torch
from torch import Tensor

from core.ddpm.model import DDPM
from core.ddpm.unet import UNet
from train.graph import Graph, Tensors


def graphs(model: DDPM, golden: dict[str, Tensor]) -> list[Graph]:
    """The U-Net; what its output implies for the noise is part of the graph."""
    unet, T, says_v = model.unet, model.schedule.T, model.config.prediction == "v"
    signal = model.schedule.sqrt_alphas_cumprod.float()  # (T,)
    noise = model.schedule.sqrt_one_minus_alphas_cumprod.float()  # (T,)

    def answer(x_t: Tensor, t: Tensor) -> Tensors:
        output = unet(x_t, t)
        if not says_v:
            return (output,)
        # NoiseSchedule.eps_from_v without its check of t, which a graph cannot hold
        eps_hat = noise[t].view(-1, 1, 1, 1) * x_t + signal[t].view(-1, 1, 1, 1) * output
        return eps_hat, output

    def reference(x_t: Tensor, t: Tensor) -> Tensors:
        eps_hat = model.eps(x_t, t)
        return (eps_hat, unet(x_t, t)) if says_v else (eps_hat,)

    def draw(count: int, generator: torch.Generator) -> Tensors:
        x_t = torch.randn(count, 3, 32, 32, generator=generator)
        return x_t, torch.linspace(T - 1, 0, count).long()  # every picture at its own level

    gives = {"eps_hat": "(B, 3, 32, 32) the noise that the model sees"}
    if says_v:
        gives["v_hat"] = "(B, 3, 32, 32) the network's own output, v"
    return [
        Graph(
            "unet.onnx",
            unet,
            answer,
            reference,
            {
                "x_t": "(B, 3, 32, 32) pictures with noise, float32",
                "t": f"(B,) int64, the level of each, 0 to {T - 1}",
            },
            gives,
            (golden["x"], golden["t"]),
            draw,
        )
    ]


def unet_alone(unet: UNet) -> Graph:
    """The U-Net without its schedule, which lets it serve any T; it says eps or v, as it was trained."""

    def answer(x_t: Tensor, t: Tensor) -> Tensors:
        return (unet(x_t, t),)

    def draw(count: int, generator: torch.Generator) -> Tensors:
        return torch.randn(count, 3, 32, 32, generator=generator), 7 * torch.arange(count)

    return Graph(
        "unet.onnx",
        unet,
        answer,
        answer,
        {
            "x_t": "(B, 3, 32, 32) pictures with noise, float32",
            "t": "(B,) int64, the level of each, from 0",
        },
        {"output": "(B, 3, 32, 32) what the network says"},
        draw(1, torch.Generator().manual_seed(0)),
        draw,
    )
