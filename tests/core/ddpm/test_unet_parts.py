"""Blocks, attention and the waves of t, by themselves."""

import math

import pytest
import torch
from torch.nn import functional as F

from core.ddpm.unet import (
    Attention,
    Block,
    HomeworkAttention,
    HomeworkBlock,
    LinearAttention,
    sinusoidal,
)


@pytest.fixture
def features(seeded):
    return torch.randn(2, 16, 6, 6, generator=seeded(2))


@pytest.fixture
def time(seeded):
    return torch.randn(2, 12, generator=seeded(3))


@pytest.mark.parametrize("channels", [16, 8])
def test_t_scales_and_shifts_the_features_of_a_block(channels, stirred, features, time):
    block = stirred(Block(16, channels, 12))
    told = block.time(F.silu(time))[:, :, None, None]
    h = block.norm2(block.conv1(F.silu(block.norm1(features))))
    h = h * (1 + told[:, :channels]) + told[:, channels:]
    expected = block.skip(features) + block.conv2(F.silu(h))
    torch.testing.assert_close(block(features, time), expected)


@pytest.mark.parametrize("channels", [16, 8])
def test_t_shifts_the_features_of_a_homework_block(channels, stirred, features, time):
    block = stirred(HomeworkBlock(16, channels, 12))
    h = F.silu(block.norm1(block.conv1(features))) + block.time(F.silu(time))[:, :, None, None]
    expected = block.skip(features) + F.silu(block.norm2(block.conv2(h)))
    torch.testing.assert_close(block(features, time), expected)


def explicit_attention(module, x, over_places):
    """Every pair of places, in loops and einsum: (B, 4 width, H W)."""
    B, _, H, W = x.shape
    mixed = module.query_key_value(module.norm(x)).view(B, 3, 4, -1, H * W)
    q, k, v = mixed[:, 0], mixed[:, 1], mixed[:, 2]  # (B, 4, width, places)
    width = q.shape[2]
    if over_places:
        scores = torch.einsum("bhdn,bhdm->bhnm", q, k) / math.sqrt(width)
        weights = scores.exp() / scores.exp().sum(dim=3, keepdim=True)
    else:
        q, k = q.exp() / q.exp().sum(2, keepdim=True), k.exp() / k.exp().sum(3, keepdim=True)
        weights = torch.einsum("bhdn,bhdm->bhnm", q, k) / math.sqrt(width)
    attended = torch.einsum("bhnm,bhdm->bhdn", weights, v)
    return x + module.out(attended.reshape(B, 4 * width, H, W))


@pytest.mark.parametrize(
    ("kind", "over_places"),
    [(LinearAttention, False), (HomeworkAttention, True), (Attention, True)],
)
def test_attention_is_its_sum_over_pairs_of_places(kind, over_places, stirred, seeded):
    module = stirred(kind(16)).double()
    x = torch.randn(2, 16, 3, 5, generator=seeded(2)).double()
    found, expected = module(x), explicit_attention(module, x, over_places)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)
    assert (found - x).abs().max() > 0.1


def test_the_waves_of_t_are_sines_and_cosines():
    t = torch.tensor([0, 1, 7, 999])
    found = sinusoidal(t, 64)
    assert found.shape == (4, 64)
    for row, level in enumerate(t.tolist()):
        for wave in range(32):
            angle = level * 10_000 ** (-wave / 31)
            pair = (found[row, wave].item(), found[row, 32 + wave].item())
            assert pair == pytest.approx((math.sin(angle), math.cos(angle)), abs=2e-4)


def test_every_level_has_waves_of_its_own():
    waves = sinusoidal(torch.arange(1500), 64).double()
    nearest = torch.cdist(waves, waves) + torch.eye(1500) * 9
    assert nearest.min() > 0.1
