"""How fast the embedded VAE decodes, as a ratio against the assignment's network in the same run.

python tests/benchmarks/decode.py
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402

from core.families import read_manifest  # noqa: E402
from core.vae.model import VAE  # noqa: E402
from core.vae.networks import HOMEWORK  # noqa: E402

BATCHES = (1, 8, 64)
ROUNDS = 30


@torch.inference_mode()
def milliseconds(model: VAE, z: torch.Tensor) -> float:
    """Of one decoding, median over ``ROUNDS`` after three to warm up."""
    for _ in range(3):
        model.decode(z)
    seconds = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        model.decode(z)
        seconds.append(time.perf_counter() - start)
    return 1000 * statistics.median(seconds)


def main() -> None:
    bundle = read_manifest(ROOT / "checkpoints" / "manifest.json").open("vae-svhn")
    ours = VAE.from_pretrained(bundle.folder).to(memory_format=torch.channels_last)
    peer = VAE(HOMEWORK).eval().to(memory_format=torch.channels_last)
    print(f"{torch.get_num_threads()} threads, {bundle.name} {bundle.digest}")
    print(f"{'batch':>6}{'ours, ms':>12}{'homework, ms':>14}{'ratio':>8}")
    for batch in BATCHES:
        a = milliseconds(ours, torch.randn(batch, ours.config.latent_dim))
        b = milliseconds(peer, torch.randn(batch, peer.config.latent_dim))
        print(f"{batch:>6}{a:>12.2f}{b:>14.2f}{a / b:>8.2f}")


main()
