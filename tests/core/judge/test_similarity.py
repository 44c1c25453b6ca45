import math

import numpy as np
import pytest
import torch

from core.judge.similarity import psnr, ssim


def pair(seed, shape=(3, 3, 32, 32), strength=0.3):
    """Pictures with structure, and the same with noise of their own strength each."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.linspace(-1, 1, shape[-2], dtype=torch.float64).view(1, 1, -1, 1)
    columns = torch.linspace(-1, 1, shape[-1], dtype=torch.float64).view(1, 1, 1, -1)
    phase = 6 * torch.rand(*shape[:2], 1, 1, generator=generator, dtype=torch.float64)
    a = 0.8 * torch.sin(4 * rows + 3 * columns * columns + phase)
    scale = strength * torch.arange(1, shape[0] + 1).view(-1, 1, 1, 1)
    b = a + scale * torch.randn(shape, generator=generator, dtype=torch.float64)
    return a, b.clamp(-1, 1)


def flat(value, shape=(1, 3, 8, 8)):
    return torch.full(shape, value, dtype=torch.float64)


# ---------------------------------------------------------------- against scikit-image


def metrics():
    return pytest.importorskip("skimage.metrics", reason="scikit-image is the second opinion here")


@pytest.mark.parametrize("shape", [(3, 3, 32, 32), (2, 1, 9, 15), (1, 3, 7, 7), (2, 4, 12, 8)])
@pytest.mark.parametrize("strength", [0.02, 0.4])
def test_ssim_is_that_of_scikit_image(shape, strength):
    a, b = pair(1, shape, strength)
    found = ssim(a, b)
    assert found.shape == (shape[0],)
    for row in range(shape[0]):
        expected = metrics().structural_similarity(
            a[row].numpy(), b[row].numpy(), win_size=7, data_range=2, channel_axis=0
        )
        assert found[row].item() == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("window", [3, 5, 11])
def test_so_it_is_for_other_windows(window):
    a, b = pair(2)
    for row, found in enumerate(ssim(a, b, window)):
        expected = metrics().structural_similarity(
            a[row].numpy(), b[row].numpy(), win_size=window, data_range=2, channel_axis=0
        )
        assert found.item() == pytest.approx(expected, abs=1e-10)


def test_psnr_is_that_of_scikit_image():
    a, b = pair(3)
    for row, found in enumerate(psnr(a, b)):
        expected = metrics().peak_signal_noise_ratio(a[row].numpy(), b[row].numpy(), data_range=2)
        assert found.item() == pytest.approx(expected, abs=1e-10)


# ---------------------------------------------------------------- by hand


def test_psnr_of_a_known_difference():
    x = flat(0.25)
    assert psnr(x, x + 0.2).item() == pytest.approx(20)  # 4 / 0.04 = 100
    assert psnr(x, x - 0.02).item() == pytest.approx(40)
    assert psnr(flat(-1.0), flat(1.0)).item() == 0  # black and white
    half = x.clone()
    half[..., 4:] += 0.2
    assert psnr(x, half).item() == pytest.approx(20 + 10 * math.log10(2))


def test_equal_pictures_have_infinite_psnr_and_ssim_one():
    a, b = pair(4)
    assert psnr(a, a).tolist() == [math.inf] * 3
    torch.testing.assert_close(ssim(a, a), torch.ones(3, dtype=torch.float64))
    mixed = torch.stack([a[0], b[1]])
    first, second = psnr(mixed, a[:2]).tolist()
    assert first == math.inf
    assert second < 30


@pytest.mark.parametrize(("one", "other"), [(-0.5, 0.5), (0.2, 0.4), (0.0, 1.0)])
def test_ssim_of_flat_pictures_compares_their_means_alone(one, other):
    c1 = 0.02**2
    expected = (2 * one * other + c1) / (one**2 + other**2 + c1)
    assert ssim(flat(one), flat(other)).item() == pytest.approx(expected, abs=1e-12)


def test_ssim_of_the_opposite_is_below_zero():
    """With means of 0 it is (c2 - 2 var) / (c2 + 2 var) in every window."""
    stripes = flat(0.0, (1, 3, 8, 8))
    stripes[..., 0::2], stripes[..., 1::2] = 0.5, -0.5
    var, c2 = 0.25 * 4 / 3, 0.06**2  # a 2 x 2 window has 4 values: the sample variance
    expected = (c2 - 2 * var) / (c2 + 2 * var)
    assert ssim(stripes, -stripes, window=2).item() == pytest.approx(expected, abs=1e-12)


def test_both_are_the_same_both_ways():
    a, b = pair(5)
    torch.testing.assert_close(psnr(a, b), psnr(b, a))
    torch.testing.assert_close(ssim(a, b), ssim(b, a))


def test_more_noise_is_less_alike():
    a, _ = pair(6, (1, 3, 32, 32))
    noise = torch.randn(a.shape, generator=torch.Generator().manual_seed(0), dtype=a.dtype)
    found = [(psnr(a, a + s * noise).item(), ssim(a, a + s * noise).item()) for s in (0.1, 0.3, 1)]
    assert found == sorted(found, reverse=True)


def test_a_row_does_not_depend_on_the_others():
    a, b = pair(7)
    for row in range(3):
        one = slice(row, row + 1)
        torch.testing.assert_close(psnr(a, b)[one], psnr(a[one], b[one]))
        torch.testing.assert_close(ssim(a, b)[one], ssim(a[one], b[one]))


def test_single_precision_is_computed_in_double():
    a, b = (x.float() for x in pair(8))
    for measure in (psnr, ssim):
        found = measure(a, b)
        assert found.dtype == torch.float64
        torch.testing.assert_close(found, measure(a.double(), b.double()), rtol=1e-6, atol=1e-6)
    # Nearly equal and nearly flat: variances would drown in the rounding of float32.
    a = 0.9 + 1e-4 * a
    np.testing.assert_allclose(ssim(a, a), 1, rtol=0, atol=1e-12)


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize("measure", [psnr, ssim])
@pytest.mark.parametrize(
    ("a", "b"),
    [((3, 8, 8), (3, 8, 8)), ((1, 3, 8, 8), (2, 3, 8, 8)), ((1, 3, 8, 8), (1, 3, 8, 9))],
)
def test_pictures_of_two_shapes_are_refused(measure, a, b):
    with pytest.raises(ValueError, match=r"^a and b must be \(B, C, H, W\) of one shape"):
        measure(torch.zeros(a), torch.zeros(b))


def test_a_window_larger_than_the_picture_is_refused():
    x = torch.zeros(1, 3, 8, 12)
    assert ssim(x, x, window=8).item() == 1
    for wrong in (1, 9):
        with pytest.raises(ValueError, match=rf"^window must be 2 to 8, got {wrong}"):
            ssim(x, x, window=wrong)
