import math

import pytest
import torch
from torch.nn import functional as F

from train.run.augment import DigitAugmentation

FIELDS = {
    "shift": 0.1,
    "scale": 0.3,
    "rotation": 40.0,
    "shear": 0.4,
    "contrast": 0.5,
    "brightness": 0.3,
    "tint": 0.3,
    "invert": 0.5,
    "permute": 1.0,
}


def blobs(count, row=16.0, column=16.0):
    y, x = torch.meshgrid(torch.arange(32) + 0.5, torch.arange(32) + 0.5, indexing="ij")
    blob = torch.exp(-((y - row).square() + (x - column).square()) / 8)
    return (2 * blob - 1).expand(count, 3, 32, 32).contiguous()


def centres(pictures):
    weight = (pictures.mean(1) + 1).clamp(min=0)
    places = torch.arange(32) + 0.5
    total = weight.sum((1, 2))
    return (weight.sum(2) @ places / total) - 16, (weight.sum(1) @ places / total) - 16


@pytest.fixture
def same(make_digits):
    digit = torch.from_numpy(make_digits(8, 0)[0][7]).permute(2, 0, 1)
    return (digit / 127.5 - 1).expand(32, 3, 32, 32).contiguous()


def test_all_zero_is_the_picture_as_it_is(same, seeded):
    generator = seeded()
    before = generator.get_state()
    assert torch.equal(DigitAugmentation()(same, generator), same)
    assert torch.equal(generator.get_state(), before)


@pytest.mark.parametrize("field", FIELDS)
def test_every_picture_of_a_batch_has_parameters_of_its_own(same, seeded, field):
    changed = DigitAugmentation(**{field: FIELDS[field]})(same, seeded())
    assert changed.shape == same.shape
    assert changed.abs().max() <= 1 + 1e-6
    different = {tuple(picture.flatten()[::7].tolist()) for picture in changed}
    possible = {"invert": {2}, "permute": {5, 6}}.get(field, {32})
    assert len(different) in possible


def test_the_same_seed_changes_pictures_alike(same, seeded):
    augmentation = DigitAugmentation(**FIELDS)
    assert torch.equal(augmentation(same, seeded(1)), augmentation(same, seeded(1)))
    assert not torch.equal(augmentation(same, seeded(1)), augmentation(same, seeded(2)))


def test_inverting_twice_gives_the_picture_back(same, seeded):
    always = DigitAugmentation(invert=1.0)
    once = always(same, seeded())
    assert torch.equal(once, -same)
    assert torch.equal(always(once, seeded(1)), same)


def test_invert_is_a_probability(seeded):
    x = torch.ones(2000, 3, 1, 1)
    share = (DigitAugmentation(invert=0.3)(x, seeded()) < 0).float().mean().item()
    assert share == pytest.approx(0.3, abs=5 * math.sqrt(0.21 / 2000))


def test_a_shift_is_even_over_its_share_of_the_side_in_both_directions(seeded):
    rows, columns = centres(DigitAugmentation(shift=0.125)(blobs(600), seeded()))
    for moved in (rows, columns):
        assert moved.abs().max() <= 4.01
        assert moved.abs().max() > 3.9
        assert moved.std().item() == pytest.approx(4 / math.sqrt(3), rel=0.1)
        assert abs(moved.mean().item()) < 5 * 4 / math.sqrt(3 * 600)
    assert abs(torch.corrcoef(torch.stack([rows, columns]))[0, 1]) < 5 / math.sqrt(600)


def test_a_rotation_keeps_the_distance_from_the_centre(seeded):
    rows, columns = centres(DigitAugmentation(rotation=30.0)(blobs(400, row=8), seeded()))
    torch.testing.assert_close(
        torch.hypot(rows, columns), torch.full((400,), 8.0), atol=0.1, rtol=0
    )
    turned = torch.rad2deg(torch.atan2(columns, -rows))
    assert turned.abs().max() <= 30.5
    assert turned.min() < -28
    assert turned.max() > 28


def test_a_scale_changes_the_distance_from_the_centre_by_its_factor(seeded):
    rows, columns = centres(DigitAugmentation(scale=0.2)(blobs(400, row=9), seeded()))
    factor = torch.log(rows.abs() / 7)
    assert columns.abs().max() < 0.05
    assert factor.abs().max() <= 0.205
    assert factor.min() < -0.19
    assert factor.max() > 0.19


@pytest.mark.parametrize("row", [6, 12, 16, 22])
def test_a_shear_moves_a_row_sideways_in_proportion_to_its_height_over_the_centre(seeded, row):
    rows, columns = centres(DigitAugmentation(shear=0.4)(blobs(400, row=row), seeded()))
    torch.testing.assert_close(rows, torch.full((400,), row - 16.0), atol=0.02, rtol=0)
    if row == 16:
        assert columns.abs().max() < 0.02
        return
    slant = columns / (16 - row)
    assert slant.abs().max() <= 0.41
    assert slant.min() < -0.38
    assert slant.max() > 0.38
    assert abs(slant.mean().item()) < 5 * 0.4 / math.sqrt(3 * 400)


def test_one_slant_leans_the_whole_picture(seeded):
    """Rows above and below the centre go opposite ways, twice as far at twice the height."""
    lean = {
        row: centres(DigitAugmentation(shear=0.4)(blobs(50, row=row), seeded()))[1]
        for row in (8, 12, 24)
    }
    torch.testing.assert_close(lean[8], -lean[24], atol=0.05, rtol=0)
    torch.testing.assert_close(lean[8], 2 * lean[12], atol=0.05, rtol=0)


def moved(x, generator, *, rotation, scale, shift, shear):
    """The affine map by its matrices: moved, turned and scaled after it was slanted."""
    angle, size, right, down = (
        (2 * torch.rand(len(x), 1, 1, 1, generator=generator).flatten() - 1) * limit
        for limit in (math.radians(rotation), scale, 2 * shift, 2 * shift)
    )
    theta = torch.zeros(len(x), 3, 3)
    theta[:, 0, 0] = theta[:, 1, 1] = size.exp() * angle.cos()
    theta[:, 0, 1], theta[:, 1, 0] = -size.exp() * angle.sin(), size.exp() * angle.sin()
    theta[:, 0, 2], theta[:, 1, 2], theta[:, 2, 2] = right, down, 1
    if shear:
        upright = torch.eye(3).repeat(len(x), 1, 1)
        slant = torch.rand(len(x), 1, 1, 1, generator=generator).flatten()
        upright[:, 0, 1] = (2 * slant - 1) * shear
        theta = theta @ upright
    field = F.affine_grid(theta[:, :2], list(x.shape), align_corners=False)
    return F.grid_sample(x, field, padding_mode="reflection", align_corners=False)


@pytest.mark.parametrize("shear", [0.0, 0.3])
def test_moving_is_one_affine_map_and_no_shear_draws_nothing(same, seeded, shear):
    how = {"rotation": 20.0, "scale": 0.2, "shift": 0.1, "shear": shear}
    generators = [seeded(5), seeded(5)]
    found = DigitAugmentation(**how)(same, generators[0])
    torch.testing.assert_close(found, moved(same, generators[1], **how), atol=1e-4, rtol=0)
    assert torch.equal(generators[0].get_state(), generators[1].get_state())


def test_a_shear_alone_is_enough_to_move(same, seeded):
    how = {"rotation": 0.0, "scale": 0.0, "shift": 0.0, "shear": 0.3}
    found = DigitAugmentation(shear=0.3)(same, seeded(5))
    torch.testing.assert_close(found, moved(same, seeded(5), **how), atol=1e-4, rtol=0)


def test_contrast_stretches_about_the_mean(seeded):
    x = 0.1 * torch.randn(400, 3, 8, 8, generator=seeded(3))
    changed = DigitAugmentation(contrast=0.4)(x, seeded())
    mean = x.mean((1, 2, 3), keepdim=True)
    gain = (changed - mean).flatten(1).norm(dim=1) / (x - mean).flatten(1).norm(dim=1)
    torch.testing.assert_close(changed, (x - mean) * gain.view(-1, 1, 1, 1) + mean)
    assert gain.log().abs().max() <= 0.401
    assert gain.log().min() < -0.38
    assert gain.log().max() > 0.38


def test_brightness_adds_the_same_to_every_pixel(seeded):
    x = 0.1 * torch.randn(400, 3, 8, 8, generator=seeded(3))
    added = DigitAugmentation(brightness=0.2)(x, seeded()) - x
    offset = added[:, :1, :1, :1]
    torch.testing.assert_close(added, offset.expand_as(added))
    assert offset.abs().max() <= 0.201
    assert offset.min() < -0.19
    assert offset.max() > 0.19


def test_a_tint_scales_the_light_of_every_channel_by_itself(seeded):
    x = 0.1 * torch.randn(400, 3, 8, 8, generator=seeded(3))
    factor = (DigitAugmentation(tint=0.2)(x, seeded()) + 1) / (x + 1)
    by_channel = factor[:, :, :1, :1]
    torch.testing.assert_close(factor, by_channel.expand_as(factor))
    assert by_channel.log().abs().max() <= 0.201
    assert (by_channel.std(1) > 0).all()


def test_permuting_keeps_the_channels_and_changes_their_order(seeded):
    x = torch.tensor([-0.5, 0.0, 0.5]).view(1, 3, 1, 1).expand(600, 3, 2, 2)
    changed = DigitAugmentation(permute=1.0)(x, seeded())
    assert torch.equal(changed.sort(1).values, x)
    orders, counts = changed[:, :, 0, 0].unique(dim=0, return_counts=True)
    assert len(orders) == 6
    assert (counts - 100).abs().max() < 5 * math.sqrt(600 * 5 / 36)


@pytest.mark.parametrize("most", [1, 3])
def test_pixels_move_a_picture_whole_as_far_each_way_as_the_other(seeded, most):
    x = torch.rand(1, 3, 32, 32, generator=seeded(0)).expand(1800, 3, 32, 32)
    moved = DigitAugmentation(pixels=most)(x, seeded(1))
    inner = slice(most, 32 - most)
    places = {}
    for down in range(-most, most + 1):
        for right in range(-most, most + 1):
            there = x[0, :, most + down : 32 - most + down, most + right : 32 - most + right]
            places[down, right] = int((moved[:, :, inner, inner] == there).all((1, 2, 3)).sum())
    assert sum(places.values()) == 1800
    mean = 1800 / (2 * most + 1) ** 2
    assert all(abs(count - mean) < 6 * math.sqrt(mean) for count in places.values())


def test_what_a_moved_picture_lacks_at_its_edge_is_its_own_mirror_image(seeded):
    x = torch.arange(32.0).expand(1, 3, 32, 32) / 31
    moved = DigitAugmentation(pixels=1)(x.expand(64, 3, 32, 32), seeded(0))[:, 0, 5] * 31
    edges = {(round(float(row[0])), round(float(row[-1]))) for row in moved}
    assert edges == {(0, 31), (1, 30), (1, 30)}


def test_a_factor_scales_all_but_the_number_of_pixels():
    augmentation = DigitAugmentation(**FIELDS, pixels=2)
    half, none = augmentation.scaled(0.5), augmentation.scaled(0)
    assert {name: getattr(half, name) for name in FIELDS} == {
        name: value / 2 for name, value in FIELDS.items()
    }
    assert (half.pixels, none) == (2, DigitAugmentation(pixels=2))
    with pytest.raises(ValueError, match="must be 0 to 1"):
        augmentation.scaled(-1)


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("pixels", -1),
        ("pixels", 0.5),
        ("pixels", 32),
        *((field, -0.1) for field in FIELDS),
        ("shift", 1.1),
        ("shear", 1.1),
        ("invert", 2),
        ("rotation", 181),
    ],
)
def test_a_wrong_value_is_refused_by_its_name(field, wrong):
    with pytest.raises(ValueError, match=rf"^{field} must"):
        DigitAugmentation(**{field: wrong})
