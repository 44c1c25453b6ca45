import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from core.judge.calibration import MOST, fit_temperature, reliability


def answers(count, classes, temperature, seed):
    """Logits, and labels that are what the logits say divided by ``temperature``."""
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(count, classes, generator=generator, dtype=torch.float64)
    p = (logits / temperature).softmax(dim=1)
    return logits, torch.multinomial(p, 1, generator=generator).flatten()


# ---------------------------------------------------------------- temperature


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
def test_a_known_temperature_is_found_again(temperature):
    logits, labels = answers(20_000, 10, temperature, seed=1)
    assert fit_temperature(logits, labels) == pytest.approx(temperature, rel=0.05)


@pytest.mark.parametrize(("gap", "right"), [(4.0, 0.8), (0.5, 0.9), (6.0, 0.55)])
def test_of_two_classes_it_is_the_gap_over_the_log_odds_of_being_right(gap, right):
    """p = 1 / (1 + exp(-gap / T)) must be the share of right answers."""
    logits = torch.tensor([[gap, 0.0]]).expand(100, 2)
    labels = (torch.arange(100) >= round(100 * right)).long()
    expected = gap / math.log(right / (1 - right))
    assert fit_temperature(logits, labels) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("seed", range(4))
def test_no_other_temperature_is_better(seed):
    logits, labels = answers(300, 5, 1.7, seed)
    best = fit_temperature(logits, labels)

    def loss(temperature):
        return F.cross_entropy(logits / temperature, labels).item()

    for factor in (0.5, 0.9, 0.999, 1.001, 1.1, 2):
        assert loss(best) < loss(best * factor)
    # Where the loss is flat, the logits of the truth are on average as large as expected.
    p = (logits / best).softmax(dim=1)
    expected, truth = (p * logits).sum(dim=1), logits.gather(1, labels[:, None])[:, 0]
    assert truth.mean().item() == pytest.approx(expected.mean().item(), abs=1e-4)


def test_scaled_logits_have_a_scaled_temperature():
    logits, labels = answers(500, 4, 1.3, seed=2)
    base = fit_temperature(logits, labels)
    assert isinstance(base, float)
    assert fit_temperature(3 * logits, labels) == pytest.approx(3 * base, rel=1e-5)
    assert fit_temperature(logits.float() + 5, labels) == pytest.approx(base, rel=1e-4)


def test_where_every_answer_is_right_it_is_the_lowest():
    logits, _ = answers(50, 10, 1.0, seed=3)
    assert fit_temperature(logits, logits.argmax(dim=1)) == pytest.approx(1 / MOST)


def test_where_answers_are_worse_than_chance_it_is_the_highest():
    logits, _ = answers(50, 10, 1.0, seed=3)
    assert fit_temperature(logits, logits.argmin(dim=1)) == MOST


def test_answers_that_say_nothing_leave_it_within_bounds():
    found = fit_temperature(torch.zeros(8, 3), torch.arange(8) % 3)
    assert 1 / MOST <= found <= MOST


def test_weights_and_logits_are_left_alone():
    logits, labels = answers(20, 3, 1.0, seed=4)
    kept = logits.clone()
    fit_temperature(logits, labels)
    assert torch.equal(logits, kept)
    assert logits.grad is None


# ---------------------------------------------------------------- reliability


def loop(p, labels, bins):
    """Bin by bin, answer by answer."""
    sums = [[0, 0.0, 0] for _ in range(bins)]
    for row, label in zip(p, labels, strict=True):
        sure = max(row)
        for place in range(bins):
            last = place == bins - 1
            if place / bins <= sure and (sure < (place + 1) / bins or last):
                sums[place][0] += 1
                sums[place][1] += sure
                sums[place][2] += list(row).index(sure) == label
                break
    error = sum(abs(right - sure) for count, sure, right in sums if count) / len(p)
    return sums, error


@pytest.mark.parametrize(("bins", "classes"), [(15, 10), (4, 3), (1, 2), (10, 2)])
def test_it_is_the_plain_loop(bins, classes):
    logits, labels = answers(400, classes, 2.0, seed=5)
    p = logits.softmax(dim=1).numpy()
    found = reliability(p, labels.numpy(), bins)
    sums, error = loop(p.tolist(), labels.tolist(), bins)
    assert found.count.tolist() == [count for count, _, _ in sums]
    assert found.count.sum() == 400
    for place, (count, sure, right) in enumerate(sums):
        if count == 0:
            assert math.isnan(found.confidence[place])
            assert math.isnan(found.accuracy[place])
        else:
            assert found.confidence[place] == pytest.approx(sure / count)
            assert found.accuracy[place] == pytest.approx(right / count)
    assert found.calibration_error == pytest.approx(error)
    assert isinstance(found.calibration_error, float)


def test_by_hand():
    p = np.array([[0.6, 0.4], [0.3, 0.7], [0.7, 0.3], [0.95, 0.05]])
    labels = np.array([0, 1, 1, 0])
    found = reliability(p, labels, bins=4)
    assert found.count.tolist() == [0, 0, 3, 1]
    np.testing.assert_allclose(found.confidence[2:], [2 / 3, 0.95])
    np.testing.assert_allclose(found.accuracy[2:], [2 / 3, 1])
    assert found.calibration_error == pytest.approx(0.05 / 4)


def test_a_certain_answer_falls_into_the_last_bin_and_an_edge_into_the_upper():
    p = np.array([[1.0, 0.0], [0.75, 0.25], [0.5, 0.5]])
    assert reliability(p, np.zeros(3, int), bins=4).count.tolist() == [0, 0, 1, 2]
    assert len(reliability(p, np.zeros(3, int)).count) == 15


def test_probabilities_that_mean_what_they_say_have_no_error():
    p = np.array([[0.75, 0.25]] * 4 + [[1.0, 0.0]] * 3)
    assert reliability(p, np.array([0, 0, 0, 1, 0, 0, 0])).calibration_error == pytest.approx(0)
    assert reliability(p[4:], np.ones(3, int)).calibration_error == 1  # sure and always wrong


def test_the_fitted_temperature_lowers_the_error():
    logits, labels = answers(4000, 10, 3.0, seed=6)
    before = reliability(logits.softmax(1).numpy(), labels.numpy()).calibration_error
    warm = (logits / fit_temperature(logits, labels)).softmax(1).numpy()
    after = reliability(warm, labels.numpy()).calibration_error
    assert before > 0.2
    assert after < 0.05


@pytest.mark.parametrize(
    ("p", "labels"), [((4,), (4,)), ((0, 3), (0,)), ((4, 3), (5,)), ((2, 3, 4), (2,))]
)
def test_what_has_no_row_a_label_is_refused(p, labels):
    with pytest.raises(ValueError, match=r"^p must be \(N, C\) with a row a label"):
        reliability(np.ones(p), np.zeros(labels, int))
