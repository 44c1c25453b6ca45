import math

import pytest
import torch
from torch.distributions import Independent, Normal, kl_divergence

from core.vae.gaussian import DiagonalGaussianDistribution

SHAPES = [(5, 7), (3, 2, 4, 4)]


def gaussian(shape, dtype, seeded):
    generator = seeded(3)
    mean = torch.randn(shape, generator=generator, dtype=dtype)
    logvar = 2 * torch.randn(shape, generator=generator, dtype=dtype)
    x = torch.randn(shape, generator=generator, dtype=dtype)
    return mean, logvar, x


def reference(mean, logvar):
    return Independent(Normal(mean, torch.exp(logvar / 2)), mean.ndim - 1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", SHAPES)
def test_kl_is_that_of_torch_distributions(shape, dtype, seeded):
    mean, logvar, _ = gaussian(shape, dtype, seeded)
    standard = reference(torch.zeros_like(mean), torch.zeros_like(mean))
    expected = kl_divergence(reference(mean, logvar), standard)
    found = DiagonalGaussianDistribution(mean, logvar).kl()
    assert found.shape == shape[:1]
    assert found.dtype == dtype
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", SHAPES)
def test_nll_is_that_of_torch_distributions(shape, dtype, seeded):
    mean, logvar, x = gaussian(shape, dtype, seeded)
    found = DiagonalGaussianDistribution(mean, logvar).nll(x)
    assert found.shape == shape[:1]
    assert found.dtype == dtype
    torch.testing.assert_close(found, -reference(mean, logvar).log_prob(x))


def test_kl_per_unit_is_that_of_every_unit_and_sums_to_kl(seeded):
    mean, logvar, _ = gaussian((5, 7), torch.float64, seeded)
    q = DiagonalGaussianDistribution(mean, logvar)
    by_unit = kl_divergence(Normal(mean, torch.exp(logvar / 2)), Normal(0.0, 1.0))
    torch.testing.assert_close(q.kl_per_unit(), by_unit)
    torch.testing.assert_close(q.kl_per_unit().sum(1), q.kl())


def test_kl_is_zero_for_the_standard_normal_and_positive_elsewhere(seeded):
    zero = torch.zeros(1, 3)
    assert DiagonalGaussianDistribution(zero).kl().item() == 0
    mean, logvar, _ = gaussian((50, 3), torch.float64, seeded)
    assert (DiagonalGaussianDistribution(mean, logvar).kl() > 0).all()


def test_logvar_none_is_the_identity_covariance(seeded):
    mean, _, x = gaussian((4, 6), torch.float64, seeded)
    q = DiagonalGaussianDistribution(mean)
    assert (q.std == 1).all()
    torch.testing.assert_close(q.nll(x), -reference(mean, torch.zeros_like(mean)).log_prob(x))


def test_logvar_is_clamped_to_minus_30_and_20():
    q = DiagonalGaussianDistribution(torch.zeros(1, 3), torch.tensor([[-1e9, 1.5, 1e9]]))
    assert q.logvar.tolist() == [[-30.0, 1.5, 20.0]]
    assert q.kl().isfinite().all()
    assert q.nll(torch.ones(1, 3)).isfinite().all()


def test_the_mode_has_the_lowest_nll(seeded):
    mean, logvar, _ = gaussian((4, 6), torch.float64, seeded)
    q = DiagonalGaussianDistribution(mean, logvar)
    at_mode = q.nll(q.mode())
    for step in (-0.1, 0.1):
        assert (q.nll(q.mode() + step) > at_mode).all()


def test_nll_at_the_mean_of_a_unit_gaussian_is_the_constant():
    mean = torch.zeros(1, 3072)
    found = DiagonalGaussianDistribution(mean).nll(mean).item()
    assert found == pytest.approx(3072 / 2 * math.log(2 * math.pi), rel=1e-6)


def test_samples_have_the_mean_and_the_standard_deviation(seeded):
    mean, logvar = torch.tensor([-1.0, 0.0, 3.0]), torch.tensor([-4.0, 0.0, 2.0])
    count = 40_000
    q = DiagonalGaussianDistribution(mean.expand(count, 3), logvar.expand(count, 3))
    draws = q.sample(seeded())
    std = torch.exp(logvar / 2)
    assert ((draws.mean(0) - mean).abs() < 5 * std / math.sqrt(count)).all()
    assert ((draws.std(0) / std - 1).abs() < 5 / math.sqrt(2 * count)).all()
    correlation = torch.corrcoef(draws.T) - torch.eye(3)
    assert correlation.abs().max() < 5 / math.sqrt(count)


def test_gradients_reach_mean_and_logvar_through_a_sample(seeded):
    mean, logvar, _ = gaussian((4, 6), torch.float64, seeded)
    mean.requires_grad_()
    logvar.requires_grad_()
    q = DiagonalGaussianDistribution(mean, logvar)
    z = q.sample(seeded(9))
    z.sum().backward()
    std = torch.exp(logvar.detach() / 2)
    eps = (z.detach() - mean.detach()) / std
    torch.testing.assert_close(mean.grad, torch.ones_like(mean))
    torch.testing.assert_close(logvar.grad, eps * std / 2)


def test_the_same_seed_gives_the_same_sample(seeded):
    mean, logvar, _ = gaussian((4, 6), torch.float32, seeded)
    q = DiagonalGaussianDistribution(mean, logvar)
    assert torch.equal(q.sample(seeded(1)), q.sample(seeded(1)))
    assert not torch.equal(q.sample(seeded(1)), q.sample(seeded(2)))


def test_a_generator_leaves_the_global_one_alone(seeded):
    before = torch.random.get_rng_state()
    DiagonalGaussianDistribution(torch.zeros(2, 3)).sample(seeded())
    assert torch.equal(torch.random.get_rng_state(), before)


def test_logvar_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"logvar.*\(2, 3\).*\(2, 4\)"):
        DiagonalGaussianDistribution(torch.zeros(2, 3), torch.zeros(2, 4))


def test_x_of_another_shape_is_refused_rather_than_broadcast():
    with pytest.raises(ValueError, match=r"x must have.*\(2, 3\).*\(1, 3\)"):
        DiagonalGaussianDistribution(torch.zeros(2, 3)).nll(torch.zeros(1, 3))
