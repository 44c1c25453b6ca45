"""The loops that a student reads first: short, of torch and core alone, and they learn."""

import ast
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from core.pictures.images import to_tensor
from core.simsiam.simsiam import SimSiamConfig
from train.examples import ddpm, simsiam, vae

FILES = sorted(path for path in Path(vae.__file__).parent.glob("*.py") if path.stem != "__init__")


@pytest.fixture(scope="module")
def digits(make_digits):
    return make_digits(96, 0)[0]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_loop_is_short_and_made_of_torch_and_core_alone(file):
    text = file.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 70
    tree = ast.parse(text)
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        for name in (
            [node.module]
            if isinstance(node, ast.ImportFrom)
            else [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else []
        )
    }
    assert imported == {"__future__", "torch", "core"}


def test_the_loop_of_the_vae_learns_these_digits(digits, tiny):
    model, means = vae.train(digits, tiny, epochs=6, batch_size=16, learning_rate=3e-3)
    assert len(means) == 6
    assert means[-1] < means[0] - 100  # nats
    with torch.no_grad():
        _x, nll, kl = model(to_tensor(digits))
    untrained, (first,) = vae.train(digits, tiny, epochs=1, batch_size=96, learning_rate=1e-12)
    assert float((nll + kl).mean()) < first - 100
    assert not untrained.training


def test_the_loop_of_the_diffusion_model_learns_the_noise(digits, tiny_ddpm):
    config = replace(tiny_ddpm, prediction="eps")
    model, means = ddpm.train(digits, config, epochs=8, batch_size=16, learning_rate=3e-3)
    assert means[-1] < 0.8 * means[0]
    # Whoever says 0 is as wrong as E[smooth L1 of N(0, 1)].
    zero = float(torch.nn.functional.smooth_l1_loss(torch.randn(10**6), torch.zeros(10**6)))
    assert means[-1] < 0.8 * zero
    assert not model.unet.training


def test_without_stop_gradient_the_loop_of_simsiam_loses_its_spread(digits):
    size = SimSiamConfig(width=8, stem="strided", hidden=32, dim=64, predictor_hidden=8)
    found = {}
    for stop_gradient in (True, False):
        config = replace(size, stop_gradient=stop_gradient)
        _model, losses, spreads = simsiam.train(
            digits, config, epochs=10, batch_size=48, learning_rate=0.3
        )
        found[stop_gradient] = losses[-1], spreads[-1]
    assert found[False][0] < found[True][0] - 0.2
    assert found[False][1] < 0.8 * found[True][1]


@pytest.mark.parametrize("rest", [0, 1])
def test_the_same_seed_gives_the_same_model_whatever_is_left_of_the_last_batch(digits, tiny, rest):
    state = torch.random.get_rng_state()
    some = digits[: 32 + rest]
    first, second = (vae.train(some, tiny, epochs=1, batch_size=16)[0] for _ in range(2))
    assert torch.equal(torch.random.get_rng_state(), state)
    for one, other in zip(first.state_dict().values(), second.state_dict().values(), strict=True):
        assert np.array_equal(one.numpy(), other.numpy())
