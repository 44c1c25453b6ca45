import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.distributions import LowRankMultivariateNormal, MultivariateNormal, kl_divergence

from core.vae.bounds import (
    effective_sample_size,
    importance_weighted_bound,
    log_of_mean_weight,
    normalised_weights,
)
from core.vae.model import VAE
from core.vae.networks import VAEConfig

D, d = 3072, 4


def linear(weight, bias):
    layer = nn.Linear(weight.shape[1], weight.shape[0]).double()
    with torch.no_grad():
        layer.weight.copy_(weight)
        layer.bias.copy_(bias)
    return layer


def linear_gaussian(loadings, centre, variance):
    """A VAE with a linear decoder, whose encoder has the posterior's mean and ``variance``."""
    model = VAE(VAEConfig(channels=(8, 8, 8), latent_dim=d)).double()
    precision = torch.eye(d).double() + loadings.T @ loadings
    weight = torch.linalg.solve(precision, loadings.T)
    model.encoder = nn.Flatten()
    model.decoder = nn.Sequential(linear(loadings, centre), nn.Unflatten(1, (3, 32, 32)))
    model.mean = linear(weight, -weight @ centre)
    model.logvar = linear(torch.zeros(d, D).double(), variance.log())
    return model.eval()


@pytest.fixture
def loadings(seeded):
    orthogonal, _ = torch.linalg.qr(torch.randn(D, d, generator=seeded(1)).double())
    return orthogonal * torch.tensor([3.0, 2.0, 1.0, 0.3]).double()


@pytest.fixture
def centre(seeded):
    return 0.2 * torch.randn(D, generator=seeded(2)).double()


@pytest.fixture
def exact(loadings, centre):
    return linear_gaussian(loadings, centre, 1 / (1 + loadings.square().sum(0)))


@pytest.fixture
def skewed(loadings, centre):
    mixed = (
        loadings
        @ torch.tensor(
            [[1.0, 0.2, 0, 0], [0, 1.0, 0.3, 0], [0, 0, 1.0, 0], [0.1, 0, 0, 1.0]]
        ).double()
    )
    return linear_gaussian(mixed, centre, 1.5 / (1 + mixed.square().sum(0)))


def marginal(model):
    layer = model.decoder[0]
    ones = torch.ones(D).double()
    return LowRankMultivariateNormal(layer.bias.detach(), layer.weight.detach(), ones)


def drawn(model, count, seeded):
    generator = seeded(6)
    z = torch.randn(count, d, generator=generator).double()
    noise = torch.randn(count, 3, 32, 32, generator=generator).double()
    return model.decode(z).mean.detach() + noise


@pytest.mark.parametrize("K", [1, 2, 33])
@pytest.mark.parametrize("chunk", [1, 3, 7, 512])
def test_with_the_exact_posterior_every_weight_is_the_evidence(exact, seeded, K, chunk):
    x = drawn(exact, 5, seeded)
    evidence = marginal(exact).log_prob(x.flatten(1))
    log_w = exact.log_importance_weights(x, K, chunk=chunk, generator=seeded())
    assert log_w.shape == (5, K)
    torch.testing.assert_close(log_w, evidence[:, None].expand(5, K), rtol=0, atol=1e-7)
    bound = exact.log_likelihood(x, K, chunk=chunk, generator=seeded())
    torch.testing.assert_close(bound, evidence, rtol=0, atol=1e-7)
    torch.testing.assert_close(effective_sample_size(log_w), torch.full((5,), float(K)).double())


def test_the_bound_rises_with_K_towards_the_evidence(skewed, seeded):
    x = drawn(skewed, 4, seeded)
    evidence = marginal(skewed).log_prob(x.flatten(1))
    log_w = skewed.log_importance_weights(x, 4000, generator=seeded())
    gaps = [
        (evidence - importance_weighted_bound(log_w.unflatten(1, (-1, K))).mean(1)).mean()
        for K in (1, 4, 40, 4000)
    ]
    assert gaps[0] > 2 * gaps[1] > 4 * gaps[2]
    assert abs(gaps[3]) < 0.05
    assert gaps[0] > 0.2


def test_one_draw_is_on_average_the_evidence_less_the_gap_of_the_posterior(skewed, seeded):
    x = drawn(skewed, 1, seeded)
    weight = skewed.decoder[0].weight.detach()
    covariance = torch.linalg.inv(torch.eye(d).double() + weight.T @ weight)
    q = skewed.encode(x)
    approximate = MultivariateNormal(q.mean[0].detach(), torch.diag(q.std[0].detach().square()))
    gap = kl_divergence(approximate, MultivariateNormal(q.mean[0].detach(), covariance))
    log_w = skewed.log_importance_weights(x, 4000, generator=seeded())[0]
    expected = marginal(skewed).log_prob(x.flatten(1)).item() - gap.item()
    assert abs(log_w.mean().item() - expected) < 5 * log_w.std().item() / math.sqrt(4000)


def test_weights_average_to_the_evidence(skewed, seeded):
    x = drawn(skewed, 1, seeded)
    evidence = marginal(skewed).log_prob(x.flatten(1))
    ratio = torch.exp(skewed.log_importance_weights(x, 4000, generator=seeded())[0] - evidence)
    assert abs(ratio.mean().item() - 1) < 5 * ratio.std().item() / math.sqrt(4000)


def test_a_mismatched_posterior_wastes_draws(skewed, seeded):
    x = drawn(skewed, 4, seeded)
    size = effective_sample_size(skewed.log_importance_weights(x, 200, generator=seeded()))
    assert (size > 1).all()
    assert (size < 180).all()


def test_chunks_of_the_same_draws_give_the_same_weights(skewed, seeded):
    x = drawn(skewed, 1, seeded)
    whole = skewed.log_importance_weights(x, 64, chunk=64, generator=seeded())
    parts = skewed.log_importance_weights(x, 64, chunk=16, generator=seeded())
    torch.testing.assert_close(parts, whole)


def test_log_likelihood_is_the_bound_of_its_weights(skewed, seeded):
    x = drawn(skewed, 3, seeded)
    log_w = skewed.log_importance_weights(x, 9, generator=seeded(4))
    expected = torch.log(torch.exp(log_w - log_w.max()).mean(1)) + log_w.max()
    torch.testing.assert_close(skewed.log_likelihood(x, 9, generator=seeded(4)), expected)


@pytest.mark.parametrize(("K", "chunk", "named"), [(0, 5, "K"), (3, 0, "chunk")])
def test_an_empty_request_is_refused(exact, seeded, K, chunk, named):
    with pytest.raises(ValueError, match=f"^{named} must"):
        exact.log_likelihood(torch.zeros(1, 3, 32, 32).double(), K, chunk=chunk)


def test_the_bound_of_equal_weights_is_that_weight():
    for K in (1, 5, 1000):
        bound = importance_weighted_bound(torch.full((2, K), -2900.0))
        torch.testing.assert_close(bound, torch.full((2,), -2900.0))


def test_the_bound_is_the_mean_of_weights_small_enough_to_exponentiate(seeded):
    w = torch.rand(4, 6, generator=seeded()).double()
    torch.testing.assert_close(importance_weighted_bound(w.log()), w.mean(1).log())


def test_the_bound_moves_with_a_shift_and_the_effective_size_does_not(seeded):
    log_w = torch.randn(4, 6, generator=seeded()).double()
    shifted = importance_weighted_bound(log_w - 5000)
    torch.testing.assert_close(shifted, importance_weighted_bound(log_w) - 5000)
    torch.testing.assert_close(effective_sample_size(log_w - 5000), effective_sample_size(log_w))


def test_effective_size_is_the_square_of_the_sum_over_the_sum_of_squares(seeded):
    w = torch.rand(4, 6, generator=seeded()).double()
    torch.testing.assert_close(effective_sample_size(w.log()), w.sum(1) ** 2 / (w**2).sum(1))


def test_effective_size_goes_from_one_to_K():
    equal = torch.full((5,), -3000.0).double()
    one = equal.clone()
    one[2] += 200
    assert effective_sample_size(equal).item() == pytest.approx(5)
    assert effective_sample_size(one).item() == pytest.approx(1)


MEASURE = """
import resource
import torch
from torch import nn
from core.vae import VAE, VAEConfig

# next to no network: what would fill the memory are 80,000 pictures, 0.98 GB of them
model = VAE(VAEConfig(channels=(8, 8, 8), latent_dim=4)).eval()
model.decoder = nn.Sequential(nn.Linear(4, 3072), nn.Unflatten(1, (3, 32, 32)))
x = torch.rand(64, 3, 32, 32) * 2 - 1
model.log_likelihood(x[:2], 4)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
model.log_likelihood(x, 1250)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss counts KiB on Linux")
def test_many_draws_on_64_pictures_stay_under_half_a_gib():
    root = Path(__file__).parents[3]
    measured = subprocess.run(
        [sys.executable, "-c", MEASURE],
        env={**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": str(os.cpu_count())},
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(measured.stdout) * 1024 < 2**29


@pytest.mark.parametrize("chunk", [1, 3, 7, 20, 256])
def test_draws_do_not_depend_on_how_many_are_decoded_at_once(chunk):
    model = VAE(VAEConfig(channels=(8, 8, 8), latent_dim=4)).eval()
    x = torch.rand(5, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    whole, parts = (
        model.log_importance_weights(x, 7, chunk=size, generator=torch.Generator().manual_seed(1))
        for size in (1000, chunk)
    )
    torch.testing.assert_close(parts, whole, rtol=0, atol=0.02)
    assert (whole.std(dim=1) > 0.1).all()  # the draws differ: other ones would be far away


def test_normalised_weights_are_shares_of_their_sum(seeded):
    w = torch.rand(3, 7, generator=seeded()).double()
    shares = w / w.sum(1, keepdim=True)
    torch.testing.assert_close(normalised_weights(w.log()), shares)
    torch.testing.assert_close(normalised_weights(w.log() - 2900), shares)


def test_the_mean_of_weights_is_lost_where_log_sum_exp_keeps_it(seeded):
    w = torch.rand(3, 7, generator=seeded()).double()
    torch.testing.assert_close(log_of_mean_weight(w.log()), w.mean(1).log())
    tiny = w.log() - 2900
    assert log_of_mean_weight(tiny).tolist() == [-math.inf] * 3
    torch.testing.assert_close(importance_weighted_bound(tiny), w.mean(1).log() - 2900)
