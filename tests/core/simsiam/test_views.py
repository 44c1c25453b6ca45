import math
from dataclasses import fields, replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import InterpolationMode, RandomResizedCrop
from torchvision.transforms.v2 import functional as TF

from core.pictures import images
from core.pictures.shapes import Shape, draw
from core.simsiam import views
from core.simsiam.explorer import views_by_strength
from core.simsiam.views import HARDER, STANDARD, ViewParameters, Views, apply, stages

COUNT, SIZE = 6, 32
MANY = 4000
NEUTRAL = Views(
    crop=1.0,
    flip=0.0,
    jitter=0.0,
    brightness=0.0,
    contrast=0.0,
    saturation=0.0,
    hue=0.0,
    grey=0.0,
)
EVERYTHING = replace(STANDARD, rotation=90.0, solarize=0.3, jigsaw=0.5, cutout=0.5)
NAMES = [
    "crop",
    "flip",
    "brightness",
    "contrast",
    "saturation",
    "hue",
    "grey",
    "rotation",
    "solarize",
    "jigsaw",
    "cutout",
]


def pictures(seed=0, count=COUNT, size=SIZE, dtype=torch.float32):
    """Every level from black to white, and some pixels of one grey."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(count, 3, size, size, generator=generator, dtype=dtype) * 2 - 1
    x[:, :, :2, :2] = x[:, :1, :2, :2]
    x[:, :, 2, 2], x[:, :, 2, 3] = -1, 1
    x[:, 1, 3] = x[:, 0, 3]  # two channels alike
    return x


@pytest.fixture
def drawn(seeded):
    return lambda recipe, count=COUNT, seed=0, size=SIZE: recipe.draw(count, size, seeded(seed))


def neutral(count=COUNT, **changes):
    """Nothing drawn but ``changes``."""
    one, no = torch.ones(count), torch.zeros(count, dtype=torch.bool)
    parts = {
        "box": torch.tensor([0, 0, SIZE, SIZE]).repeat(count, 1),
        "flip": no,
        "brightness": one,
        "contrast": one,
        "saturation": one,
        "hue": 0 * one,
        "grey": no,
        "rotation": 0 * one,
        "solarize": no,
        "tiles": torch.arange(4).repeat(count, 1),
        "hole": torch.zeros(count, 4, dtype=torch.long),
    }
    return ViewParameters(**{**parts, **changes})


def unit(x):
    """[-1, 1] to [0, 1], where torchvision works."""
    return (x + 1) / 2


def each(x, values, function):
    """``function(picture in [0, 1], value)`` of every picture, in [-1, 1] again."""
    made = [function(unit(one)[None], value) for one, value in zip(x, values, strict=True)]
    return 2 * torch.cat(made) - 1


def same(found, expected, atol):
    assert found.shape == expected.shape
    torch.testing.assert_close(found, expected, rtol=0, atol=atol)


# ---------------------------------------------------------------- geometry against torchvision


@pytest.mark.parametrize("size", [32, 17])
def test_a_crop_is_the_resized_crop_of_torchvision(drawn, size):
    x = pictures(1, 40, size)
    box = drawn(replace(STANDARD, crop=0.05, ratio=2.0), 40, 1, size).box
    box[:4] = torch.tensor([[0, 0, 1, 1], [size - 1, 3, 1, 5], [0, 0, size, size], [3, 0, 7, size]])
    expected = [
        TF.resized_crop(one[None], *where, [size, size], antialias=False)
        for one, where in zip(x, box.tolist(), strict=True)
    ]
    assert len({tuple(where) for where in box.tolist()}) > 30
    same(views.crop(x, box), torch.cat(expected), 1e-5)


def test_a_crop_of_the_whole_picture_is_the_picture():
    x = pictures(2, dtype=torch.float64)
    same(views.crop(x, neutral().box), x, 1e-12)


def test_a_rotation_is_that_of_torchvision_inside_the_disc():
    """Outside it the corners come from beyond the picture: mirrored here, black there."""
    x = pictures(3, 5)
    degrees = torch.tensor([90.0, -90.0, 33.0, -7.5, 180.0])
    places = torch.arange(SIZE) - (SIZE - 1) / 2
    disc = places[:, None] ** 2 + places**2 < (SIZE / 2 - 1) ** 2
    expected = each(
        x, degrees.tolist(), lambda one, angle: TF.rotate(one, angle, InterpolationMode.BILINEAR)
    )
    same(views.rotate(x, degrees) * disc, expected * disc, 1e-4)


def test_quarter_turns_move_pixels_whole():
    x = pictures(4, 4, dtype=torch.float64)
    found = views.rotate(x, torch.tensor([0.0, 90.0, 180.0, -90.0]))
    for turns, picture in enumerate(found):
        same(picture, torch.rot90(x[turns], turns, dims=(1, 2)), 1e-10)


def test_a_rotation_leaves_no_corner_empty():
    bright = torch.ones(1, 3, SIZE, SIZE)
    same(views.rotate(bright, torch.tensor([30.0])), bright, 1e-5)


def test_a_flip_mirrors_left_and_right_of_the_pictures_drawn():
    x = pictures(5, 3)
    flip = torch.tensor([True, False, True])
    found = apply(x, neutral(3, flip=flip))
    assert torch.equal(found, torch.stack([TF.hflip(x[0]), x[1], TF.hflip(x[2])]))


QUARTERS = torch.tensor([[0.1, 0.2], [0.3, 0.4]])


def test_a_jigsaw_puts_the_named_quarter_into_every_place():
    x = QUARTERS.repeat_interleave(16, 0).repeat_interleave(16, 1).repeat(3, 3, 1, 1)
    tiles = torch.tensor([[3, 2, 1, 0], [1, 2, 3, 0], [0, 1, 2, 3]])
    found = apply(x, neutral(3, tiles=tiles))[:, :, ::16, ::16]
    expected = torch.tensor([[[0.4, 0.3], [0.2, 0.1]], [[0.2, 0.3], [0.4, 0.1]]])
    torch.testing.assert_close(found[:2], expected[:, None].expand(2, 3, 2, 2))
    torch.testing.assert_close(found[2, 0], QUARTERS)


def test_a_jigsaw_moves_quarters_whole():
    x = pictures(6, 1)
    found = views.jigsaw(x, torch.tensor([[2, 0, 3, 1]]))
    parts = [x[..., :16, :16], x[..., :16, 16:], x[..., 16:, :16], x[..., 16:, 16:]]
    rows = [torch.cat([parts[2], parts[0]], dim=3), torch.cat([parts[3], parts[1]], dim=3)]
    assert torch.equal(found, torch.cat(rows, dim=2))


def test_a_jigsaw_of_an_odd_picture_leaves_the_last_row_and_column():
    x = pictures(7, 1, size=5)
    found = views.jigsaw(x, torch.tensor([[3, 0, 1, 2]]))
    assert torch.equal(found[..., 4, :], x[..., 4, :])
    assert torch.equal(found[..., :, 4], x[..., :, 4])
    assert torch.equal(found[..., :2, :2], x[..., 2:4, 2:4])


def test_a_hole_is_mid_grey_and_the_rest_stays():
    x = pictures(8, 2)
    hole = torch.tensor([[3, 5, 4, 6], [0, 0, 0, 0]])
    found = apply(x, neutral(2, hole=hole))
    expected = x.clone()
    expected[0, :, 3:7, 5:11] = 0
    assert torch.equal(found, expected)


# ---------------------------------------------------------------- colours against torchvision


FACTORS = [0.0, 0.3, 0.77, 1.0, 1.4, 2.0]


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation"])
def test_factors_change_colours_as_those_of_torchvision(name):
    x = pictures(10)
    function = getattr(TF, f"adjust_{name}")
    found = getattr(views, name)(x, torch.tensor(FACTORS))
    same(unit(found), unit(each(x, FACTORS, function)), 1e-4)
    same(found[3], x[3], 1e-6)
    assert found.abs().max() <= 1


def test_a_turn_of_the_colours_is_that_of_torchvision():
    x = pictures(11, 7)
    turns = [0.0, 0.1, -0.1, 0.3, -0.45, 0.5, -0.5]
    found = views.hue(x, torch.tensor(turns))
    same(unit(found), unit(each(x, turns, TF.adjust_hue)), 1e-4)
    same(found[0], x[0], 1e-5)
    same(found.amax(dim=1), x.amax(dim=1), 1e-5)
    same(found.amin(dim=1), x.amin(dim=1), 1e-5)


@pytest.mark.parametrize(
    ("turn", "expected"), [(1 / 3, (-1, 1, -1)), (-1 / 3, (-1, -1, 1)), (0.5, (-1, 1, 1))]
)
def test_red_turns_to_green_to_blue_and_to_cyan(turn, expected):
    red = torch.tensor([1.0, -1.0, -1.0])[None, :, None, None]
    found = views.hue(red, torch.tensor([turn]))
    same(found[0, :, 0, 0], torch.tensor(expected, dtype=torch.float32), 1e-5)


def test_grey_is_that_of_torchvision_in_the_pictures_drawn():
    x = pictures(12, 3)
    found = apply(x, neutral(3, grey=torch.tensor([True, False, True])))
    expected = each(x, range(3), lambda one, _: TF.rgb_to_grayscale(one, num_output_channels=3))
    same(unit(found[[0, 2]]), unit(expected[[0, 2]]), 1e-4)
    assert torch.equal(found[1], x[1])


def test_solarised_is_what_torchvision_makes_of_it():
    x = pictures(13, 3)
    x[:, :, 0, 0], x[:, :, 0, 1] = 0.0, -1e-6  # mid-grey is inverted, what is darker is not
    found = apply(x, neutral(3, solarize=torch.tensor([True, False, True])))
    expected = each(x, range(3), lambda one, _: TF.solarize(one, threshold=0.5))
    same(found[[0, 2]], expected[[0, 2]], 1e-6)
    assert torch.equal(found[1], x[1])
    same(found[0, :, 0, 0], torch.zeros(3), 0)


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation", "hue"])
def test_colours_are_changed_in_double_precision_too(name):
    x = pictures(14, dtype=torch.float64)
    values = torch.linspace(-0.4, 0.4, COUNT) + (name != "hue")
    found = getattr(views, name)(x, values)
    assert found.dtype == torch.float64
    same(found.float(), getattr(views, name)(x.float(), values), 1e-5)


# ---------------------------------------------------------------- a draw for every picture


def test_equal_pictures_become_different_views(seeded):
    x = pictures(20, 1).expand(8, -1, -1, -1)
    found = STANDARD(x, seeded())
    assert found.shape == x.shape
    for first in range(8):
        for second in range(first):
            assert (found[first] - found[second]).abs().mean() > 0.02


@pytest.mark.parametrize("recipe", [STANDARD, HARDER, EVERYTHING])
def test_a_picture_does_not_depend_on_its_company(drawn, recipe):
    x, whole = pictures(21, 20), drawn(recipe, 20)
    expected = apply(x, whole)
    for rows in (slice(3, 9), torch.tensor([11, 2, 2]), torch.arange(20) % 3 == 0):
        same(apply(x[rows], whole.rows(rows)), expected[rows], 1e-6)


@pytest.mark.parametrize("recipe", [STANDARD, HARDER, EVERYTHING])
def test_views_follow_from_the_generator_alone(drawn, seeded, recipe):
    torch.rand(3)  # the global generator has no part in it
    first, second, other = drawn(recipe), drawn(recipe), drawn(recipe, seed=1)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first, other, strict=True))
    x = pictures(22)
    assert torch.equal(recipe(x, seeded(5)), apply(x, drawn(recipe, seed=5)))
    one = seeded(5)
    assert not torch.equal(recipe(x, one), recipe(x, one))


PARTS = {
    "box": {"crop": 1.0},
    "flip": {"flip": 0.0},
    "brightness": {"brightness": 0.0},
    "contrast": {"contrast": 0.0},
    "saturation": {"saturation": 0.0},
    "hue": {"hue": 0.0},
    "grey": {"grey": 0.0},
    "rotation": {"rotation": 0.0},
    "solarize": {"solarize": 0.0},
    "tiles": {"jigsaw": 0.0},
    "hole": {"cutout": 0.0},
}


@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_is_left_out_changes_no_other_draw(seeded, part):
    """The next batch's draws neither: as many numbers are taken whatever is switched off."""
    generators = [seeded(3), seeded(3)]
    for _batch in range(2):
        every = EVERYTHING.draw(40, SIZE, generators[0])
        without = replace(EVERYTHING, **PARTS[part]).draw(40, SIZE, generators[1])
        for name, values in every._asdict().items():
            assert torch.equal(values, getattr(without, name)) == (name != part), name
    left = getattr(without, part)[..., 2:] if part == "hole" else getattr(without, part)
    still = getattr(neutral(40), part)
    assert (left == (still[..., 2:] if part == "hole" else still)).all()


def test_what_is_drawn_for_one_part_tells_nothing_of_another(drawn):
    """Correlations of 4,000 draws stay within four of their standard errors."""
    found = drawn(replace(EVERYTHING, jitter=1.0, jigsaw=1.0), MANY)
    columns = [part.double().reshape(MANY, -1) for part in found]
    columns[0] = columns[0][:, :3]  # the width follows from height and area
    columns[9], columns[10] = columns[9][:, :3], columns[10][:, :2]
    groups = np.repeat(np.arange(len(columns)), [part.shape[1] for part in columns])
    correlation = np.corrcoef(torch.cat(columns, dim=1).T)
    apart = groups[:, None] != groups
    assert apart.sum() > 100
    assert np.abs(correlation[apart]).max() < 4.5 / math.sqrt(MANY)


def test_whether_a_part_is_used_tells_nothing_of_another(drawn):
    found = drawn(Views(flip=0.5, jitter=0.5, grey=0.5, solarize=0.5, jigsaw=0.5), MANY)
    moved = (found.tiles != torch.arange(4)).any(dim=1)
    used = [found.flip, found.hue != 0, found.grey, found.solarize, moved]
    correlation = np.corrcoef(torch.stack(used).double())
    assert np.abs(correlation - np.eye(5)).max() < 4.5 / math.sqrt(MANY)


def test_draws_stay_on_their_device_when_moved(drawn):
    found = drawn(STANDARD).to(torch.device("cpu"))
    assert all(torch.equal(a, b) for a, b in zip(found, drawn(STANDARD), strict=True))
    assert isinstance(found, ViewParameters)
    assert isinstance(found.rows(slice(0, 2)), ViewParameters)


# ---------------------------------------------------------------- what is drawn


def test_neutral_views_give_the_picture_back(seeded):
    x = pictures(30, 200)
    found = NEUTRAL(x, seeded())
    assert torch.equal(found, x)
    assert not list(stages(x, NEUTRAL.draw(200, SIZE, seeded())))
    ratio = replace(NEUTRAL, ratio=4.0, brightness=0.4, hue=0.5)  # never jittered
    assert torch.equal(ratio(x, seeded()), x)


def near(share, probability):
    sigma = math.sqrt(probability * (1 - probability) / MANY)
    assert abs(float(share) - probability) <= 4 * sigma


@pytest.mark.parametrize("probability", [0.0, 0.2, 0.5, 0.8, 1.0])
def test_probabilities_are_kept(drawn, probability):
    names = ("flip", "jitter", "grey", "solarize", "jigsaw")
    found = drawn(Views(**dict.fromkeys(names, probability)), MANY)
    for part in (found.flip, found.grey, found.solarize):
        assert part.dtype == torch.bool
        near(part.double().mean(), probability)
    changed = found.brightness != 1
    near(changed.double().mean(), probability)
    for part, still in ((found.contrast, 1), (found.saturation, 1), (found.hue, 0)):
        assert torch.equal(part != still, changed)  # all four colours change, or none
    moved = (found.tiles != torch.arange(4)).any(dim=1)
    near(moved.double().mean(), probability * 23 / 24)  # one order of 24 moves nothing


@pytest.mark.parametrize("strength", [0.1, 0.5, 1.0])
def test_colours_are_drawn_evenly_within_their_strength(drawn, strength):
    found = drawn(Views(1, 1, 0, 1, strength, strength / 2, strength / 4, strength / 2), MANY)
    for part, centre, most in (
        (found.brightness, 1, strength),
        (found.contrast, 1, strength / 2),
        (found.saturation, 1, strength / 4),
        (found.hue, 0, strength / 2),
    ):
        evenly_spread(part - centre, -most, most)


def evenly_spread(values, low, high, slack=1e-6):
    """Within the limits, and the largest distance to the uniform distribution as it should be."""
    values = (values.double().sort().values - low) / (high - low)
    assert values[0] >= -slack
    assert values[-1] <= 1 + slack
    ranks = (torch.arange(len(values)) + 0.5) / len(values)
    assert (values - ranks).abs().max() < 1.95 / math.sqrt(len(values))  # Kolmogorov, 0.1 %


@pytest.mark.parametrize("most", [15.0, 90.0, 180.0])
def test_turns_are_drawn_evenly_to_both_sides(drawn, most):
    evenly_spread(drawn(Views(rotation=most), MANY).rotation, -most, most)


@pytest.mark.parametrize(("smallest", "ratio"), [(0.2, 4 / 3), (0.08, 2.0), (0.5, 1.0)])
def test_crops_have_their_areas_and_ratios(drawn, smallest, ratio):
    size = 1000  # so that whole pixels hardly matter
    top, left, height, width = drawn(Views(smallest, ratio), MANY, size=size).box.double().T
    whole = (height == size) & (width == size)
    assert whole.double().mean() < 0.05
    area = (height * width / size**2)[~whole]
    stretch = (width / height)[~whole]
    assert area.min() > smallest - 0.005
    assert area.min() < smallest + 0.01
    assert area.max() > 0.9
    assert stretch.max() <= 1.01 * ratio
    assert stretch.min() >= 0.99 / ratio
    if ratio > 1:
        assert stretch.max() > 0.97 * ratio
        assert stretch.min() < 1.03 / ratio
        assert abs(stretch.log().mean()) < 4.5 * stretch.log().std() / math.sqrt(MANY)
    small = area[area < (smallest + 1 / ratio) / 2]  # what always fits is drawn evenly
    evenly_spread(small, smallest, (smallest + 1 / ratio) / 2, slack=0.01)
    for start, side in ((top, height), (left, width)):
        inside = side < size
        assert (start >= 0).all()
        assert (start + side <= size).all()
        evenly_spread((start / (size - side))[inside & ~whole], 0, 1)
    inside = (height < size) & (width < size)
    places = torch.stack([top / (size - height), left / (size - width)])[:, inside]
    assert abs(places.corrcoef()[0, 1]) < 4.5 / math.sqrt(inside.sum())


def test_crops_lie_within_small_pictures(drawn):
    for size in (2, 5, 32):
        top, left, height, width = drawn(Views(0.01, 4.0), MANY, size=size).box.T
        assert min(top.min(), left.min()) == 0
        assert min(height.min(), width.min()) >= 1
        assert (top + height).max() == size
        assert (left + width).max() == size
        assert ((top == size - height) & (height < size)).any()


def test_a_crop_that_never_fits_is_the_whole_picture(drawn):
    """Of the whole area only the square fits, and of the widest crops hardly any."""
    whole = torch.tensor([0, 0, SIZE, SIZE])
    for ratio in (1.0, 4 / 3, 4.0):
        assert (drawn(Views(1.0, ratio), MANY).box == whole).all()


def test_crops_are_those_of_torchvision_in_distribution(drawn):
    """Mean area and share of whole pictures; torchvision tries ten times instead of three."""
    crop = RandomResizedCrop(SIZE, scale=(0.2, 1.0), ratio=(3 / 4, 4 / 3))
    x = torch.zeros(1, 3, SIZE, SIZE)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        theirs = [crop.make_params([x]) for _ in range(1000)]
    expected = np.array([one["height"] * one["width"] for one in theirs]) / SIZE**2
    box = drawn(STANDARD, MANY).box.double()
    found = (box[:, 2] * box[:, 3]).numpy() / SIZE**2
    error = math.sqrt(expected.var() / 1000 + found.var() / MANY)
    assert abs(found.mean() - expected.mean()) < 4 * error + 0.01
    assert abs((found == 1).mean() - (expected == 1).mean()) < 0.03


@pytest.mark.parametrize("probability", [0.5, 1.0])
def test_tiles_are_permutations_each_as_likely(drawn, probability):
    found = drawn(Views(jigsaw=probability), MANY).tiles
    assert found.shape == (MANY, 4)
    assert (found.sort(dim=1).values == torch.arange(4)).all()
    moved = found[(found != torch.arange(4)).any(dim=1)]
    orders, counts = moved.unique(dim=0, return_counts=True)
    assert len(orders) == 23
    expected = len(moved) / 23
    assert ((counts - expected) ** 2 / expected).sum() < 49  # chi-squared, 22 degrees, 0.1 %


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 1.0])
def test_a_hole_is_a_square_of_its_side_within_the_picture(drawn, share):
    top, left, height, width = drawn(Views(cutout=share), MANY).hole.T
    side = round(share * SIZE)
    assert (height == side).all()
    assert (width == side).all()
    for start in (top, left):
        assert start.min() == 0
        assert start.max() == SIZE - side
    if share < 1:
        inner = (top > 0) & (top < SIZE - side)
        assert inner.double().mean() == pytest.approx(1 - share, abs=0.06)
        assert abs(float((top == 0).double().mean() - (top == SIZE - side).double().mean())) < 0.06


# ---------------------------------------------------------------- stages


@pytest.mark.parametrize("recipe", [STANDARD, HARDER, EVERYTHING])
def test_stages_come_in_order_and_end_with_the_view(drawn, recipe):
    x, seen = pictures(40), set()
    for seed in range(4):
        one = drawn(recipe, seed=seed)
        shown = list(stages(x, one))
        names = [name for name, _view in shown]
        assert names == [name for name in NAMES if name in names]
        assert torch.equal(shown[-1][1], apply(x, one))
        seen |= set(names)
        for (_name, before), (_next, after) in pairwise(shown):
            assert not torch.equal(before, after)
    expected = {
        STANDARD: set(NAMES[:7]),
        HARDER: set(NAMES[7:]),
        EVERYTHING: set(NAMES),
    }[recipe]
    assert seen == expected


def test_every_stage_is_its_part_of_the_one_before(drawn):
    x, one = pictures(41), drawn(EVERYTHING)
    assert one.flip.any()
    parts = {
        "crop": lambda x: views.crop(x, one.box),
        "brightness": lambda x: views.brightness(x, one.brightness),
        "contrast": lambda x: views.contrast(x, one.contrast),
        "saturation": lambda x: views.saturation(x, one.saturation),
        "hue": lambda x: views.hue(x, one.hue),
        "rotation": lambda x: views.rotate(x, one.rotation),
        "jigsaw": lambda x: views.jigsaw(x, one.tiles),
        "cutout": lambda x: views.cut_out(x, one.hole),
    }
    before = x
    for name, after in stages(x, one):
        if name in parts:
            assert torch.equal(after, parts[name](before)), name
        before = after


@pytest.mark.parametrize("recipe", [STANDARD, EVERYTHING])
def test_the_pictures_themselves_are_left_alone(seeded, recipe):
    x = pictures(42)
    kept = x.clone()
    found = recipe(x, seeded())
    assert torch.equal(x, kept)
    assert found.isfinite().all()
    assert found.abs().max() <= 1 + 1e-6


@pytest.mark.parametrize("part", PARTS)
def test_a_part_drawn_alone_is_the_only_stage(drawn, part):
    x = pictures(43, 8)
    changes = {part: getattr(drawn(replace(EVERYTHING, jitter=1.0), 8), part)}
    name = {"box": "crop", "tiles": "jigsaw", "hole": "cutout"}.get(part, part)
    assert [found for found, _view in stages(x, neutral(8, **changes))] == [name]


@pytest.mark.parametrize(
    "shape",
    [(COUNT + 1, 3, 32, 32), (COUNT, 1, 32, 32), (COUNT, 3, 32), (3, 32, 32), (COUNT, 3, 24, 32)],
)
def test_other_pictures_than_those_drawn_for_are_refused(drawn, shape):
    for ask in (apply, lambda x, one: list(stages(x, one))):
        with pytest.raises(ValueError, match=rf"^x must be \({COUNT}, 3, H, H\) as drawn for, got"):
            ask(torch.zeros(shape), drawn(STANDARD))


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [("crop", 0.01, 1), ("ratio", 1, 4), ("hue", 0, 0.5), ("rotation", 0, 180)]
    + [
        (part.name, 0, 1)
        for part in fields(Views)
        if part.name not in ("crop", "ratio", "hue", "rotation")
    ],
)
def test_every_part_has_its_limits(name, low, high):
    for wrong in (low - 0.005, high + 0.005, float("nan")):
        with pytest.raises(ValueError, match=rf"^{name} must be {low} to {high}, got"):
            Views(**{name: wrong})
    for right in (low, high):
        assert getattr(Views(**{name: right}), name) == right


def test_standard_views_are_those_of_the_paper():
    """Appendix D: crops from a fifth, 0.4 and 0.1 of jitter at 0.8, grey at 0.2, no blur."""
    assert Views(0.2, 4 / 3, 0.5, 0.8, 0.4, 0.4, 0.4, 0.1, 0.2) == STANDARD
    assert not any(getattr(STANDARD, name) for name in ("rotation", "solarize", "jigsaw", "cutout"))


# ---------------------------------------------------------------- views of growing strength


@pytest.mark.parametrize("recipe", [STANDARD, EVERYTHING])
def test_views_by_strength_are_those_of_the_scaled_recipe(seeded, recipe):
    picture, strengths = draw(Shape(kind="truck")), [0.0, 0.5, 1.0, 1.75]
    found = views_by_strength(picture, recipe, strengths, seed=4)
    assert found.views.shape == (4, 2, SIZE, SIZE, 3)
    x = images.to_tensor(picture[None]).expand(2, -1, -1, -1)
    for place, strength in enumerate(strengths):
        scaled = recipe.scaled(strength)
        parameters = scaled.draw(2, SIZE, seeded(4))
        np.testing.assert_array_equal(found.boxes[place], parameters.box.numpy())
        alone = images.to_pictures(apply(x, parameters))
        assert np.abs(found.views[place].astype(int) - alone).max() <= 1  # of 255


def test_at_no_strength_a_view_is_the_picture_or_its_mirror_image():
    picture = draw(Shape(kind="ship"))
    found = views_by_strength(picture, STANDARD, [0.0], seed=0, count=16)
    mirrored = picture[:, ::-1]
    as_it_is = [np.array_equal(view, picture) for view in found.views[0]]
    turned = [np.array_equal(view, mirrored) for view in found.views[0]]
    assert all(one or other for one, other in zip(as_it_is, turned, strict=True))
    assert any(as_it_is)
    assert any(turned)
    assert (found.boxes == [0, 0, SIZE, SIZE]).all()
