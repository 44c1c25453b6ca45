"""How much each level of noise counts in the loss."""

import pytest
import torch

from core.ddpm.schedule import NoiseSchedule

EVERY = torch.arange(1000)


@pytest.fixture(params=["linear", "cosine"])
def schedule(request):
    return getattr(NoiseSchedule, request.param)(1000)


@pytest.mark.parametrize("gamma", [1.0, 5.0])
def test_an_error_of_the_picture_counts_min_snr_gamma_whatever_the_network_says(schedule, gamma):
    """An error d of x0_hat is one of SNR d^2 in the noise and of (SNR + 1) d^2 in v."""
    snr = schedule.alphas_cumprod / (1 - schedule.alphas_cumprod)
    wanted = snr.clamp(max=gamma)
    for prediction, error in (("eps", snr), ("v", snr + 1)):
        counts = schedule.min_snr_weights(EVERY, prediction, gamma).double() * error
        torch.testing.assert_close(counts / counts[500], wanted / wanted[500], rtol=1e-5, atol=0)


def test_weights_have_the_mean_1_over_all_levels_and_that_of_a_level_is_its_own(schedule):
    for prediction in ("eps", "v"):
        weights = schedule.min_snr_weights(EVERY, prediction)
        assert float(weights.mean()) == pytest.approx(1, rel=1e-5)
        some = torch.tensor([999, 0, 500])
        torch.testing.assert_close(schedule.min_snr_weights(some, prediction), weights[some])


def test_where_gamma_is_above_every_ratio_the_picture_counts_by_its_ratio():
    schedule = NoiseSchedule.linear(1000)
    weights = schedule.min_snr_weights(EVERY, "eps", gamma=1e9)
    torch.testing.assert_close(weights, torch.ones(1000), rtol=1e-6, atol=0)


@pytest.mark.parametrize("losses", ["p_losses", "v_losses"])
def test_a_weighted_loss_is_the_mean_of_the_weighted_losses_of_the_pictures(
    schedule, losses, seeded
):
    x0 = torch.randn(3, 3, 4, 4, generator=seeded(0), dtype=torch.float64)
    noise = torch.randn(3, 3, 4, 4, generator=seeded(1), dtype=torch.float64)
    t, weights = torch.tensor([3, 400, 990]), torch.tensor([0.5, 2.0, 0.0], dtype=torch.float64)

    def network(x_t, t):
        return 0.3 * x_t + t.view(-1, 1, 1, 1) / 1000

    loss = getattr(schedule, losses)
    each = [loss(network, x0[i : i + 1], t[i : i + 1], noise[i : i + 1]) for i in range(3)]
    found = loss(network, x0, t, noise, weights=weights)
    torch.testing.assert_close(found, (0.5 * each[0] + 2 * each[1]) / 3)
    alike = loss(network, x0, t, noise, weights=torch.ones(3, dtype=torch.float64))
    torch.testing.assert_close(alike, loss(network, x0, t, noise))
    with pytest.raises(ValueError, match=r"weights must be \(3,\), got \(2,\)"):
        loss(network, x0, t, noise, weights=weights[:2])


def test_what_has_no_weights_is_refused(schedule):
    with pytest.raises(ValueError, match="prediction must be 'eps' or 'v', got 'x0'"):
        schedule.min_snr_weights(EVERY, "x0")
    with pytest.raises(ValueError, match="gamma must be above 0, got 0"):
        schedule.min_snr_weights(EVERY, "v", gamma=0)
