import math

import numpy as np
import pytest
import torch

from core.ddpm.clustering import principal_components
from core.rows import checked_rows
from core.simsiam.representation import (
    CHUNK,
    alignment,
    effective_rank,
    normalise,
    principal_plane,
    singular_values,
    std_of_outputs,
    total_variance,
    uniformity,
)


def drawn(count, channels, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, channels, generator=generator, dtype=torch.float64)


def angles(*degrees):
    """Unit vectors of the plane (N, 2)."""
    radians = torch.tensor(degrees, dtype=torch.float64).deg2rad()
    return torch.stack([radians.cos(), radians.sin()], dim=1)


def close(found, expected, **tolerances):
    np.testing.assert_allclose(np.asarray(found), np.asarray(expected), **tolerances)


# ---------------------------------------------------------------- std of the outputs


@pytest.mark.parametrize("d", [2, 5, 64])
def test_one_hot_rows_have_a_std_of_one_over_root_d(d):
    assert float(std_of_outputs(torch.eye(d))) == pytest.approx(1 / math.sqrt(d), rel=1e-12)
    lengths = torch.linspace(0.1, 40, d)[:, None]
    assert float(std_of_outputs(lengths * torch.eye(d))) == pytest.approx(1 / math.sqrt(d))


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_rows_of_one_direction_have_no_std(dtype):
    row = drawn(1, 300).to(dtype)
    assert float(std_of_outputs(row.expand(7, -1))) == 0
    lengths = 2.0 ** torch.arange(-3, 4)[:, None].to(dtype)
    assert float(std_of_outputs(lengths * row)) == pytest.approx(0, abs=1e-15)


@pytest.mark.parametrize("d", [8, 128, 1024])
def test_isotropic_rows_are_near_one_over_root_d_and_never_above_by_much(d):
    found = float(std_of_outputs(drawn(4000, d)))
    assert found * math.sqrt(d) == pytest.approx(1, abs=0.01)


def test_opposite_rows_are_apart_and_rows_of_zeros_stay_zero():
    assert float(std_of_outputs(torch.tensor([[3.0], [-0.2]]))) == pytest.approx(math.sqrt(2))
    z = torch.tensor([[0.0, 0.0], [5.0, 0.0]])
    assert float(std_of_outputs(z)) == pytest.approx(math.sqrt(0.5) / 2)
    assert float(std_of_outputs(torch.zeros(4, 3))) == 0


def test_the_std_is_that_of_lightly():
    debug = pytest.importorskip("lightly.utils.debug", reason="lightly is the second opinion here")
    z = drawn(50, 16) * torch.linspace(0.1, 3, 16) + 0.7
    assert float(std_of_outputs(z)) == pytest.approx(float(debug.std_of_l2_normalized(z)))


# ---------------------------------------------------------------- spectrum


@pytest.mark.parametrize("shape", [(40, 7), (7, 40), (12, 12), (2, 5), (5, 1), (2, 1)])
def test_singular_values_are_those_of_the_centred_rows(shape):
    x = drawn(*shape) + 3
    centred = (x - x.mean(dim=0)).numpy()
    found = singular_values(x)
    assert found.shape == (min(shape),)
    close(found, np.linalg.svd(centred, compute_uv=False), atol=1e-13 * len(x))
    assert (found >= 0).all()
    assert (found.diff() <= 0).all()


@pytest.mark.parametrize("wide", [False, True])
def test_small_singular_values_do_not_drown_in_large_ones(wide):
    known = torch.tensor([1.0, 1e-3, 1e-6, 1e-9, 1e-11], dtype=torch.float64)
    count, channels = (6, 50) if wide else (50, 6)
    left = torch.linalg.qr(torch.cat([torch.ones(count, 1), drawn(count, 5)], dim=1)).Q[:, 1:]
    right = torch.linalg.qr(drawn(channels, 5, seed=1)).Q
    found = singular_values(left * known @ right.T)
    close(found[:5], known, rtol=1e-4)


def test_their_squares_are_the_eigenvalues_of_the_covariance_and_sum_to_the_total_variance():
    x = drawn(30, 6) * torch.arange(1, 7) - 5
    eigenvalues = np.linalg.eigvalsh(np.cov(x.numpy(), rowvar=False))[::-1]
    close(singular_values(x).square() / 29, eigenvalues, rtol=1e-10)
    assert float(total_variance(x)) == pytest.approx(eigenvalues.sum())


def test_total_variance_of_known_rows():
    assert float(total_variance(torch.tensor([[1.0, 5.0], [3.0, 5.0]]))) == 2
    assert float(total_variance(torch.full((997, 4), 0.1, dtype=torch.float64))) == 0
    far = (drawn(500, 3) + 1000).float()
    assert float(total_variance(far)) == pytest.approx(
        float(far.double().var(dim=0).sum()), rel=1e-9
    )


def test_a_point_has_no_singular_values_above_zero():
    """Not even rounding errors, which would have an effective rank."""
    x = torch.full((350, 4), 0.1, dtype=torch.float64)
    assert (x.mean(dim=0) != x[0]).all()
    assert singular_values(x).tolist() == [0] * 4


# ---------------------------------------------------------------- effective rank


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([7.0], 1),
        ([5.0, 0.0, 0.0], 1),
        ([2.0, 2.0, 2.0, 2.0], 4),
        ([2.0, 2.0, 0.0], 2),
        ([3.0, 1.0], 4 / 3**0.75),
        ([0.5, 0.25, 0.25], 2**1.5),
        ([0.0, 0.0], 0),
    ],
)
@pytest.mark.parametrize("scale", [1, 1e-300, 2.5e307])
def test_effective_rank_of_known_spectra(values, expected, scale):
    found = effective_rank(scale * torch.tensor(values, dtype=torch.float64))
    assert found.shape == ()
    assert float(found) == pytest.approx(expected, rel=1e-12)


def test_effective_rank_is_the_exponent_of_the_entropy_and_lies_between_one_and_n():
    stats = pytest.importorskip("scipy.stats", reason="scipy is the second opinion here")
    for seed in range(5):
        values = drawn(1, 20, seed)[0].abs() ** 3
        found = float(effective_rank(values))
        assert found == pytest.approx(np.exp(stats.entropy(values.numpy())))
        assert 1 < found < 20
        shuffled = values[torch.randperm(20, generator=torch.Generator().manual_seed(seed))]
        assert float(effective_rank(shuffled)) == pytest.approx(found)


def test_collapse_to_a_line_and_to_a_point_is_seen_in_the_effective_rank():
    line = torch.outer(torch.arange(10.0), torch.tensor([1.0, 2.0, -1.0]))
    assert float(effective_rank(singular_values(line))) == pytest.approx(1, abs=1e-9)
    assert float(effective_rank(singular_values(torch.full((10, 3), 0.7)))) == 0
    assert float(effective_rank(singular_values(drawn(3000, 8)))) == pytest.approx(8, abs=0.05)


# ---------------------------------------------------------------- alignment and uniformity


@pytest.mark.parametrize("alpha", [0.5, 1, 2, 3])
def test_alignment_is_the_mean_distance_to_that_power(alpha):
    x, y = angles(0, 0, 10), angles(0, 180, 70)
    chords = [0, 2, 1]  # of 0, 180 and 60 degrees
    expected = sum(chord**alpha for chord in chords) / 3
    assert float(alignment(x, y, alpha)) == pytest.approx(expected, rel=1e-12)
    assert float(alignment(5 * x, 0.3 * y, alpha)) == pytest.approx(expected, rel=1e-12)


def test_alignment_is_squared_by_default_and_two_minus_twice_the_cosine():
    x, y = drawn(30, 6), drawn(30, 6, seed=1)
    cosine = torch.nn.functional.cosine_similarity(x, y)
    assert float(alignment(x, y)) == pytest.approx(float((2 - 2 * cosine).mean()))
    assert float(alignment(x, x)) == 0


@pytest.mark.parametrize("t", [0.5, 2, 7])
@pytest.mark.parametrize("count", [2, 3, CHUNK, CHUNK + 1, 2 * CHUNK + 50])
def test_uniformity_is_the_plain_sum_over_pairs(count, t):
    x = drawn(count, 5) + 0.5
    unit = x / x.norm(dim=1, keepdim=True)
    expected = torch.pdist(unit).square().mul(-t).exp().mean().log()
    assert float(uniformity(x, t)) == pytest.approx(float(expected), rel=1e-10)


def test_uniformity_of_known_clouds():
    assert float(uniformity(angles(30, 30, 30))) == pytest.approx(0, abs=1e-12)
    assert float(uniformity(angles(0, 180))) == pytest.approx(-8)
    assert float(uniformity(angles(0, 120, 240), t=3)) == pytest.approx(-9)
    apart = math.log((1 + 2 * math.exp(-8)) / 3)
    assert float(uniformity(angles(0, 0, 180))) == pytest.approx(apart)
    assert float(uniformity(drawn(400, 1000))) == pytest.approx(-4, abs=0.02)


def test_a_narrow_kernel_neither_vanishes_nor_overflows():
    assert float(uniformity(angles(0, 90, 180, 270), t=1e4)) == pytest.approx(
        -2e4 + math.log(4 / 6)
    )


def test_rows_of_zeros_are_one_away_from_every_direction():
    x = torch.tensor([[0.0, 0.0], [3.0, 4.0]])
    assert float(uniformity(x, t=5)) == pytest.approx(-5)
    assert float(alignment(x, x.flip(0), alpha=3)) == pytest.approx(1)


# ---------------------------------------------------------------- the plane of a map


@pytest.mark.parametrize("shape", [(60, 8), (8, 60), (9, 9), (30, 2), (2, 30), (3, 3)])
def test_the_plane_is_that_of_the_first_two_components(shape):
    x = drawn(*shape) * torch.linspace(1, 3, shape[1]) + 4
    expected, _ = principal_components(x.numpy(), 2)
    close(principal_plane(x), expected, atol=1e-6)


@pytest.mark.parametrize(("count", "channels"), [(20, 5), (5, 20)])
def test_it_is_the_plane_of_scikit_learn_up_to_signs(count, channels):
    decomposition = pytest.importorskip("sklearn.decomposition", reason="the second opinion here")
    x = drawn(count, channels)
    found = principal_plane(x)
    expected = torch.from_numpy(decomposition.PCA(2).fit_transform(x.numpy()))
    close(found * (found * expected).sum(dim=0).sign(), expected, atol=1e-9)


def turned(degrees, flipped):
    cos, sin = angles(degrees)[0].tolist()
    sign = -1 if flipped else 1
    return torch.tensor([[cos, sin], [-sign * sin, sign * cos]], dtype=torch.float64)


@pytest.mark.parametrize("flipped", [False, True])
@pytest.mark.parametrize("degrees", [0, 35, 90, 200])
def test_a_map_turned_or_mirrored_is_laid_over_the_one_before(degrees, flipped):
    x = drawn(40, 6) * torch.arange(1, 7)
    before = principal_plane(x) @ turned(degrees, flipped)
    close(principal_plane(x, before), before, atol=1e-9)
    close(principal_plane(x, before + torch.tensor([3.0, -70.0])), before, atol=1e-9)
    close(principal_plane(x, 0.2 * before), before, atol=1e-9)  # turned, not shrunk


def test_no_other_turn_lies_nearer_and_distances_on_the_map_stay():
    x, before = drawn(25, 7), 3 * drawn(25, 2, seed=1)
    plain, found = principal_plane(x), principal_plane(x, before)
    close(torch.pdist(found), torch.pdist(plain), atol=1e-9)
    gap = (found - before).square().sum()
    for flipped in (False, True):
        for degrees in range(0, 360, 3):
            other = plain @ turned(degrees, flipped)
            assert gap <= (other - before).square().sum() + 1e-9


def test_the_turn_is_that_of_scipy():
    linalg = pytest.importorskip("scipy.linalg", reason="scipy is the second opinion here")
    x, before = drawn(25, 7), drawn(25, 2, seed=1)
    plain = principal_plane(x)
    turn, _ = linalg.orthogonal_procrustes(plain.numpy(), before.numpy())
    close(principal_plane(x, before), plain.numpy() @ turn, atol=1e-9)


def test_small_changes_of_the_features_move_the_map_a_little():
    """Of a round cloud, whose components by themselves turn round and change places."""
    x = drawn(200, 2)
    x = x - x.mean(dim=0)
    values, vectors = torch.linalg.eigh(x.T @ x)
    x = x @ vectors / values.sqrt() @ vectors.T  # the same variance in every direction
    first = principal_plane(x * torch.tensor([1.001, 1.0]))
    after = x * torch.tensor([1.0, 1.001])
    assert (principal_plane(after) - first).abs().max() > 0.05
    assert (principal_plane(after, first) - first).abs().max() < 1e-3


@pytest.mark.parametrize(("count", "channels"), [(10, 4), (4, 10), (5, 1), (2, 3)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_beyond_the_rank_the_map_is_zero(count, channels, dtype):
    steps = torch.arange(count, dtype=dtype)
    x = torch.outer(steps, torch.ones(channels, dtype=dtype)) + 0.1
    found = principal_plane(x)
    along = (steps - steps.mean()).double() * math.sqrt(channels)
    close(found[:, 0], along, atol=1e-5)
    assert (found[:, 1] == 0).all()
    assert (principal_plane(torch.full((count, channels), 0.1, dtype=dtype)) == 0).all()


def test_a_line_and_a_point_are_laid_over_the_map_before_too():
    steps = torch.arange(6, dtype=torch.float64) - 2.5
    line = torch.outer(steps, torch.tensor([1.0, 0, 0, 0], dtype=torch.float64))
    before = torch.outer(steps, angles(130)[0])
    close(principal_plane(line, before), before, atol=1e-12)
    assert (principal_plane(torch.ones(6, 4), before) == 0).all()
    assert torch.isfinite(principal_plane(line, torch.zeros(6, 2))).all()


# ---------------------------------------------------------------- what goes in


OF_ONE_CLOUD = [
    std_of_outputs,
    total_variance,
    singular_values,
    uniformity,
    principal_plane,
    lambda x: alignment(x, x.flip(0)),
]


@pytest.mark.parametrize("of", OF_ONE_CLOUD)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_narrow_numbers_are_computed_in_float64(of, dtype):
    x = (drawn(400, 20) + 2).to(dtype)
    before = x.clone()
    found = of(x)
    assert found.dtype == torch.float64
    assert torch.equal(found, of(x.double()))
    assert torch.equal(x, before)


def test_small_and_large_float16_rows_have_directions():
    x = torch.tensor([[6e-8, 0.0], [0.0, 6e4]], dtype=torch.float16)
    close(normalise(checked_rows("x", x)), torch.eye(2))


@pytest.mark.parametrize("of", OF_ONE_CLOUD)
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_rows_that_are_not_finite_are_refused(of, bad):
    x = drawn(4, 3)
    x[2, 1] = bad
    with pytest.raises(ValueError, match=r"^[xz] must be finite"):
        of(x)


@pytest.mark.parametrize(
    "of", [std_of_outputs, total_variance, singular_values, uniformity, principal_plane]
)
@pytest.mark.parametrize("shape", [(1, 4), (0, 4), (4,), (2, 2, 2), (3, 0)])
def test_a_cloud_needs_two_rows(of, shape):
    with pytest.raises(ValueError, match=r"^[xz] must be \(N, d\) with N at least 2, got \("):
        of(torch.zeros(shape))


def test_alignment_needs_pairs():
    assert float(alignment(torch.ones(1, 2), torch.ones(1, 2))) == 0
    with pytest.raises(ValueError, match=r"^x must be \(N, d\) with N at least 1"):
        alignment(torch.zeros(0, 2), torch.zeros(0, 2))
    with pytest.raises(ValueError, match=r"^y must have the shape of x, \(3, 2\), got \(2, 2\)"):
        alignment(torch.ones(3, 2), torch.ones(2, 2))
    with pytest.raises(ValueError, match=r"^y must be finite"):
        alignment(torch.ones(1, 2), torch.tensor([[1.0, math.nan]]))


@pytest.mark.parametrize("value", [0, -1.0])
def test_powers_and_widths_must_be_above_zero(value):
    with pytest.raises(ValueError, match=rf"^alpha must be above 0, got {value}"):
        alignment(torch.ones(2, 2), torch.ones(2, 2), alpha=value)
    with pytest.raises(ValueError, match=rf"^t must be above 0, got {value}"):
        uniformity(torch.ones(2, 2), t=value)


@pytest.mark.parametrize("bad", [-1e-9, math.nan, math.inf])
def test_singular_values_below_zero_or_not_finite_are_refused(bad):
    with pytest.raises(ValueError, match=r"^values must be finite and at least 0, got \[1.0, "):
        effective_rank(torch.tensor([1.0, bad]))


@pytest.mark.parametrize("shape", [(), (0,), (2, 2)])
def test_singular_values_are_a_row_of_numbers(shape):
    with pytest.raises(ValueError, match=r"^values must be \(n,\) with n at least 1, got \("):
        effective_rank(torch.ones(shape))


@pytest.mark.parametrize("shape", [(4, 2), (5, 3), (5,)])
def test_the_map_before_is_of_the_same_rows(shape):
    with pytest.raises(ValueError, match=r"^before must be \(5, 2\), got \("):
        principal_plane(drawn(5, 3), torch.zeros(shape))
    with pytest.raises(ValueError, match=r"^before must be finite"):
        principal_plane(drawn(5, 3), torch.full((5, 2), math.nan))
