"""A VAE, trained by the plainest loop that there is.

    ATELIER_DATA_DIR=… python -m train.examples.vae

``train/vae/trainer.py`` takes the same step and adds what a long run wants: a falling learning rate, a moving
average of the weights, augmentation, figures on test pictures, resuming, a bundle.
"""

from __future__ import annotations

import torch

from core.pictures.data import load_split
from core.pictures.images import Pictures, to_tensor
from core.vae import VAE, VAEConfig


def train(
    pictures: Pictures,
    config: VAEConfig,
    *,
    epochs: int,
    batch_size: int = 128,
    learning_rate: float = 1e-3,
    seed: int = 0,
) -> tuple[VAE, list[float]]:
    """The model, and the mean negative ELBO of every epoch in nats; pictures uint8 (N, 32, 32, 3)."""
    generator = torch.Generator().manual_seed(seed)  # of the order of pictures, and of z
    with torch.random.fork_rng(devices=[]):  # initial weights; the global generator is put back
        torch.manual_seed(seed)
        model = VAE(config).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    x0 = to_tensor(pictures)  # (N, 3, 32, 32) in [-1, 1]
    means = []
    for epoch in range(epochs):
        losses = []
        for rows in torch.randperm(len(x0), generator=generator).split(batch_size):
            if len(rows) < 2:
                continue  # batch normalisation knows nothing of one picture
            x = x0[rows]  # (B, 3, 32, 32)
            posterior = model.encode(x)  # q(z|x)
            z = posterior.sample(generator)  # (B, d): mean + std * eps, so gradients reach both
            likelihood = model.decode(z)  # p(x|z)
            loss = (likelihood.nll(x) + posterior.kl()).mean()  # -ELBO: what is to become small
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        means.append(sum(losses) / len(losses))
        print(f"epoch {epoch + 1}: negative ELBO {means[-1]:.1f} nats")
    return model.eval(), means


if __name__ == "__main__":
    train(load_split("svhn", "train").pictures, VAEConfig(), epochs=20)
