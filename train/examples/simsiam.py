"""SimSiam, trained by the plainest loop that there is.

    ATELIER_DATA_DIR=… python -m train.examples.simsiam

``train/simsiam/trainer.py`` takes the same step and adds what a long run wants: a falling learning rate, kNN
accuracy and spread after every epoch, resuming, a bundle. Set ``stop_gradient=False`` and watch.
"""

from __future__ import annotations

import torch

from core.pictures.data import load_split
from core.pictures.images import Pictures, to_tensor
from core.simsiam import SimSiam, SimSiamConfig, loss
from core.simsiam.representation import std_of_outputs
from core.simsiam.views import STANDARD


def train(
    pictures: Pictures,
    config: SimSiamConfig,
    *,
    epochs: int,
    batch_size: int = 256,
    learning_rate: float = 0.06,
    seed: int = 0,
) -> tuple[SimSiam, list[float], list[float]]:
    """The model; of every epoch the loss, and the std of z times sqrt(d): 1 spread out, 0 collapsed.

    Pictures uint8 (N, 32, 32, 3); no label is asked for.
    """
    generator = torch.Generator().manual_seed(seed)  # of the order of pictures, and of their views
    with torch.random.fork_rng(devices=[]):  # initial weights; the global generator is put back
        torch.manual_seed(seed)
        model = SimSiam(config).train()
    optimizer = torch.optim.SGD(
        model.parameters(), lr=learning_rate, momentum=0.9, weight_decay=5e-4
    )
    x0 = to_tensor(pictures)  # (N, 3, 32, 32) in [-1, 1]
    losses, spreads = [], []
    for epoch in range(epochs):
        for rows in torch.randperm(len(x0), generator=generator).split(batch_size):
            if len(rows) < 2:
                continue  # batch normalisation knows nothing of one picture
            x1, x2 = (STANDARD(x0[rows], generator) for _view in range(2))
            p1, p2, z1, z2 = model(x1, x2)  # each (B, d); z are constants: the stop-gradient
            value = loss(
                p1, p2, z1, z2
            )  # -1 at best, also for a network that says one thing to all
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
        losses.append(value.item())
        spreads.append(float(std_of_outputs(z1.detach())) * config.dim**0.5)
        print(f"epoch {epoch + 1}: loss {losses[-1]:.3f}, std of z {spreads[-1]:.2f} of 1")
    return model.eval(), losses, spreads


if __name__ == "__main__":
    narrow = SimSiamConfig(width=8, stem="strided", hidden=256, predictor_hidden=128)
    train(load_split("cifar10", "train").pictures, narrow, epochs=20)
