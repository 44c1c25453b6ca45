"""A diffusion model, trained by the plainest loop that there is.

    ATELIER_DATA_DIR=… python -m train.examples.ddpm

``train/ddpm/trainer.py`` takes the same step and adds what a long run wants: a falling learning rate, a moving
average of the weights, figures on test pictures, resuming, a bundle.
"""

from __future__ import annotations

import torch
from torch.nn.functional import smooth_l1_loss

from core.ddpm import DDPM, DDPMConfig
from core.pictures.data import load_split
from core.pictures.images import Pictures, to_tensor


def train(
    pictures: Pictures,
    config: DDPMConfig,
    *,
    epochs: int,
    batch_size: int = 32,
    learning_rate: float = 1e-3,
    seed: int = 0,
) -> tuple[DDPM, list[float]]:
    """The model, and the mean smooth L1 of the noise of every epoch; pictures uint8 (N, 32, 32, 3)."""
    generator = torch.Generator().manual_seed(seed)  # of the order of pictures, of t and of noise
    with torch.random.fork_rng(devices=[]):  # initial weights; the global generator is put back
        torch.manual_seed(seed)
        model = DDPM.build(config)
    schedule = model.schedule
    optimizer = torch.optim.Adam(model.unet.train().parameters(), lr=learning_rate)
    every_x0 = to_tensor(pictures)  # (N, 3, 32, 32) in [-1, 1]
    means = []
    for epoch in range(epochs):
        losses = []
        for rows in torch.randperm(len(every_x0), generator=generator).split(batch_size):
            x0 = every_x0[rows]  # (B, 3, 32, 32)
            t = schedule.t_sample(len(x0), generator)  # (B,): a level for each picture
            eps = torch.randn(x0.shape, generator=generator)
            x_t = schedule.q_sample(
                x0, t, eps
            )  # at once: sqrt(alpha_bar) x0 + sqrt(1 - alpha_bar) eps
            eps_hat = model.eps(x_t, t)  # what the network takes for the noise
            loss = smooth_l1_loss(eps_hat, eps)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        means.append(sum(losses) / len(losses))
        print(f"epoch {epoch + 1}: smooth L1 of the noise {means[-1]:.4f}")
    model.unet.eval()
    return model, means


if __name__ == "__main__":
    train(load_split("svhn", "train").pictures, DDPMConfig(), epochs=20)
