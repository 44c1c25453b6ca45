import math

import pytest
import torch

from core.vae.latents import active_units, interpolate, interpolate_latents
from core.vae.model import VAE


@pytest.fixture
def ends(seeded):
    z = torch.randn(2, 6, generator=seeded(8)).double()
    return z[0], z[1]


def on_the_sphere(ends):
    return ends[0] / ends[0].norm(), ends[1] / ends[1].norm()


def test_units_are_active_above_the_threshold_only():
    pattern = torch.tensor([-1.0, 1.0]).repeat(50)[:, None]
    unit = pattern / pattern.std()
    mean = unit * torch.tensor([0.0, 0.0999, 0.1001, 1.0]) + torch.tensor([5.0, 1.0, 0.0, -1.0])
    assert active_units(mean).tolist() == [False, False, True, True]
    assert active_units(mean, threshold=0.5).tolist() == [False, False, False, True]


@pytest.mark.parametrize("shape", [(1, 3), (3,), (2, 3, 4)])
def test_active_units_need_several_rows(shape):
    with pytest.raises(ValueError, match=r"^mean must"):
        active_units(torch.zeros(shape))


@pytest.mark.parametrize("kind", ["linear", "spherical"])
@pytest.mark.parametrize("n", [2, 3, 10])
def test_both_ends_are_kept_exactly(ends, seeded, kind, n):
    assert interpolate_latents(*ends, n, kind).shape == (n, 6)
    for seed in range(20):
        a, b = torch.randn(2, 50, generator=seeded(seed))
        path = interpolate_latents(a, b, n, kind)
        assert torch.equal(path[0], a)
        assert torch.equal(path[-1], b)


def test_the_linear_way_takes_equal_steps_through_the_midpoint(ends):
    path = interpolate_latents(*ends, 5, "linear")
    torch.testing.assert_close(path[2], (ends[0] + ends[1]) / 2)
    steps = path.diff(dim=0)
    torch.testing.assert_close(steps, ((ends[1] - ends[0]) / 4).expand(4, 6))


def test_the_way_is_linear_unless_asked(ends):
    assert torch.equal(interpolate_latents(*ends, 7), interpolate_latents(*ends, 7, "linear"))
    assert not torch.equal(
        interpolate_latents(*ends, 7), interpolate_latents(*ends, 7, "spherical")
    )


def test_the_spherical_way_keeps_the_norm_of_ends_of_equal_norm(ends):
    path = interpolate_latents(*on_the_sphere(ends), 9, "spherical")
    torch.testing.assert_close(path.norm(dim=1), torch.ones(9).double())


def test_the_spherical_way_turns_by_equal_angles(ends):
    a, b = on_the_sphere(ends)
    path = interpolate_latents(a, b, 9, "spherical")
    turned = torch.arccos((path[1:] * path[:-1]).sum(1))
    torch.testing.assert_close(turned, (torch.arccos(a @ b) / 8).expand(8))


def test_the_spherical_midpoint_of_a_right_angle_is_the_diagonal():
    z = 3 * torch.eye(2).double()
    path = interpolate_latents(z[0], z[1], 3, "spherical")
    torch.testing.assert_close(path[1], torch.full((2,), 3 / math.sqrt(2)).double())


@pytest.mark.parametrize("factor", [1.0, 2.5, -1.0, -0.4])
def test_parallel_and_opposite_ends_are_joined_by_the_line(ends, factor):
    pair = ends[0], factor * ends[0]
    straight = interpolate_latents(*pair, 6, "linear")
    torch.testing.assert_close(interpolate_latents(*pair, 6, "spherical"), straight)


def test_an_unknown_way_is_refused(ends):
    with pytest.raises(ValueError, match=r"^kind must.*'cubic'"):
        interpolate_latents(*ends, 5, "cubic")


def test_fewer_than_two_points_are_refused(ends):
    with pytest.raises(ValueError, match=r"^n_samples must.*1"):
        interpolate_latents(*ends, 1)


@pytest.mark.parametrize("shapes", [((3,), (4,)), ((1, 3), (1, 3))])
def test_ends_of_other_shapes_are_refused(shapes):
    with pytest.raises(ValueError, match=r"^z_1 and z_2"):
        interpolate_latents(*map(torch.zeros, shapes), 5)


@pytest.mark.parametrize("kind", ["linear", "spherical"])
def test_interpolate_decodes_the_way(tiny, seeded, kind):
    model = VAE(tiny).eval()
    z = torch.randn(2, 4, generator=seeded())
    pictures = interpolate(model, z[0], z[1], 5, kind)
    assert pictures.shape == (5, 3, 32, 32)
    assert not pictures.requires_grad
    expected = model.decode(interpolate_latents(z[0], z[1], 5, kind)).mean
    torch.testing.assert_close(pictures, expected)
