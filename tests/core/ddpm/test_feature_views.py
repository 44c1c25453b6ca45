import warnings

import numpy as np
import pytest

from core.ddpm.clustering import principal_components
from core.ddpm.feature_views import (
    PALETTE,
    best_overlap,
    channel,
    channel_page,
    component_colours,
    grey_grid,
    one_colour,
    overlap,
    overlay,
    segments,
    strength,
)

SIDES = {"fine": 16, "coarse": 4}
SCOPES = ["cell", "layer", "grid"]


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def maps():
    """(3, H, W) of two layers, every level with a range of its own."""
    rng = np.random.default_rng(0)
    spread = np.array([1, 3, 0.5])[:, None, None]
    return {
        name: (spread * rng.normal(size=(3, side, side)) + shift).astype(np.float32)
        for (name, side), shift in zip(SIDES.items(), (0.5, -2), strict=True)
    }


def activations(channels=(6, 5)):
    """(3, C, H, W) of two layers."""
    rng = np.random.default_rng(1)
    scale = np.array([1, 2, 0.5])[:, None, None, None]
    return {
        name: (scale * rng.normal(size=(3, C, side, side)) + shift).astype(np.float32)
        for (name, side), C, shift in zip(SIDES.items(), channels, (1, -3), strict=True)
    }


def as_levels(values, low, high):
    """0 at ``low`` and 255 at ``high``, every place repeated to fill 32 x 32."""
    values = values.astype(np.float64)
    levels = (255 * (values - low) / (high - low)).round()
    return np.kron(levels, np.ones((32 // values.shape[-1],) * 2))


def assert_same(found, expected):
    assert found.dtype == np.uint8
    assert found.shape == expected.shape
    assert np.abs(found.astype(float) - expected).max() <= 1  # rounding


# ---------------------------------------------------------------- what black and white are


def test_in_its_own_scope_every_picture_goes_from_black_to_white():
    values = maps()
    found = grey_grid(values, "cell")
    assert list(found) == list(values)
    for name, layer in values.items():
        for picture, one in zip(found[name], layer, strict=True):
            assert (picture.min(), picture.max()) == (0, 255)
            for colour in range(3):
                assert_same(picture[..., colour], as_levels(one, one.min(), one.max()))


def test_in_the_scope_of_a_layer_its_extremes_over_all_levels_are_black_and_white():
    values = maps()
    found = grey_grid(values, "layer")
    for name, layer in values.items():
        for colour in range(3):
            expected = as_levels(layer, layer.min(), layer.max())
            assert_same(found[name][..., colour], expected)
        assert (found[name].min(), found[name].max()) == (0, 255)
        assert np.ptp(found[name][0]) < 200  # a quieter level does not use the whole range


def test_in_the_scope_of_the_grid_the_extremes_of_everything_are_black_and_white():
    values = maps()
    found = grey_grid(values, "grid")
    low, high = (f([f(layer) for layer in values.values()]) for f in (np.min, np.max))
    for name, layer in values.items():
        for colour in range(3):
            assert_same(found[name][..., colour], as_levels(layer, low, high))
    assert min(pictures.min() for pictures in found.values()) == 0
    assert max(pictures.max() for pictures in found.values()) == 255
    assert np.ptp(found["coarse"]) < 255


@pytest.mark.parametrize("scope", SCOPES)
def test_a_constant_map_is_black(scope):
    found = grey_grid({"one": np.full((2, 8, 8), 0.3, np.float32)}, scope)
    assert (found["one"] == 0).all()


def test_a_constant_picture_among_others_has_the_grey_of_its_value():
    values = np.linspace(0, 1, 64, dtype=np.float32).reshape(1, 8, 8).repeat(2, axis=0)
    values[1] = 0.5
    assert (grey_grid({"one": values}, "cell")["one"][1] == 0).all()
    for scope in ("layer", "grid"):
        assert (grey_grid({"one": values}, scope)["one"][1] == 128).all()


@pytest.mark.parametrize("side", [4, 8, 16, 32])
def test_pictures_of_every_side_are_enlarged_without_smoothing(side):
    values = np.random.default_rng(2).normal(size=(2, side, side))
    (found,) = grey_grid({"one": values}, "cell").values()
    assert found.shape == (2, 32, 32, 3)
    blocks = found.reshape(2, side, 32 // side, side, 32 // side, 3)
    assert (blocks == blocks[:, :, :1, :, :1]).all()
    assert_same(
        blocks[0, :, 0, :, 0, 0],
        as_levels(values[0], values[0].min(), values[0].max())[:: 32 // side, :: 32 // side],
    )


@pytest.mark.parametrize(
    "draw",
    [
        lambda scope: grey_grid(maps(), scope),
        lambda scope: component_colours(activations(), scope),
        lambda scope: channel_page(activations()["fine"][0], 0, 4, scope),
    ],
    ids=["grey", "components", "page"],
)
def test_an_unknown_scope_is_refused(draw):
    with pytest.raises(ValueError, match=r"^scope must be one of .*'row'"):
        draw("row")


# ---------------------------------------------------------------- one channel, all channels


def test_a_layer_with_fewer_channels_begins_again():
    values = activations(channels=(6, 5))
    for index, fine, coarse in ((0, 0, 0), (4, 4, 4), (5, 5, 0), (6, 0, 1), (27, 3, 2)):
        found = channel(values, index)
        assert np.array_equal(found["fine"], values["fine"][:, fine])
        assert np.array_equal(found["coarse"], values["coarse"][:, coarse])


def test_a_channel_before_the_first_is_refused():
    with pytest.raises(ValueError, match=r"^index must be 0 or more, got -1"):
        channel(activations(), -1)


def test_strength_is_the_root_mean_square_over_channels():
    values = activations()
    found = strength(values)
    for name, layer in values.items():
        expected = np.linalg.norm(layer.astype(float), axis=1) / np.sqrt(layer.shape[1])
        np.testing.assert_allclose(found[name], expected, rtol=1e-6)
    known = np.array([3.0, -4.0], np.float32).reshape(1, 2, 1, 1)
    assert strength({"one": known})["one"].item() == pytest.approx(np.sqrt(12.5))


def test_a_page_holds_the_channels_asked_for_and_the_last_one_what_is_left():
    values = activations()["fine"][0]
    for scope in ("cell", "grid"):
        whole = channel_page(values, 0, 6, scope)
        assert whole.shape == (6, 32, 32, 3)
        assert np.array_equal(channel_page(values, 2, 3, scope), whole[2:5])
        assert np.array_equal(channel_page(values, 4, 4, scope), whole[4:])


def test_channels_of_a_page_are_scaled_each_or_by_the_whole_layer():
    values = activations()["fine"][1]
    values[5] *= 4  # a loud channel that is not on the page
    own, shared = (channel_page(values, 0, 3, scope) for scope in ("cell", "grid"))
    for index in range(3):
        one = values[index]
        for colour in range(3):
            assert_same(own[index][..., colour], as_levels(one, one.min(), one.max()))
            expected = as_levels(one, values.min(), values.max())
            assert_same(shared[index][..., colour], expected)
    assert np.ptp(shared) < 128


def test_a_constant_channel_is_black_on_a_page_of_its_own_scale():
    values = activations()["fine"][0]
    values[2] = 0.3
    page = channel_page(values, 0, 6, "cell")
    assert (page[2] == 0).all()
    assert page[1].max() == 255


# ---------------------------------------------------------------- components as colours


def components(layer):
    """Scores (n, H, W, 3) by the definition: all places of all levels together."""
    n, _, H, W = layer.shape
    rows = np.stack([layer[i, :, y, x] for i in range(n) for y in range(H) for x in range(W)])
    scores, share = principal_components(rows, 3)
    return scores.reshape(n, H, W, 3), share


@pytest.mark.parametrize("scope", SCOPES)
def test_colours_are_the_three_leading_components(scope):
    values = activations()
    found, shares = component_colours(values, scope)
    scores = {name: components(layer)[0] for name, layer in values.items()}
    low, high = (f([f(layer) for layer in scores.values()]) for f in (np.min, np.max))
    for name, layer in scores.items():
        np.testing.assert_allclose(shares[name], components(values[name])[1])
        assert 0 < shares[name].sum() < 1
        for level, colour in np.ndindex(3, 3):
            if scope == "layer":
                low, high = layer[..., colour].min(), layer[..., colour].max()
            elif scope == "cell":
                low, high = layer[level, ..., colour].min(), layer[level, ..., colour].max()
            expected = as_levels(layer[level, ..., colour], low, high)
            assert_same(found[name][level, ..., colour], expected)


def ramp(constant):
    """One channel of eight rises over the places; at the other levels it falls, or halfway."""
    layer = np.full((3, 8, 8, 8), constant, np.float32)
    rising = np.arange(64, dtype=np.float32).reshape(8, 8)
    layer[:, 3] = rising, 63 - rising, rising / 2
    return {"one": layer}, rising


@pytest.mark.parametrize("constant", [0.0, 0.3])
def test_a_colour_means_the_same_at_every_level(constant):
    values, rising = ramp(constant)
    found, shares = component_colours(values, "layer")
    red = found["one"][:, ::4, ::4, 0].astype(float)
    for level, value in enumerate((rising, 63 - rising, rising / 2)):
        assert np.abs(red[level] - 255 * value / 63).max() <= 1
    np.testing.assert_allclose(shares["one"], [1, 0, 0], atol=1e-9)
    alone = component_colours(values, "cell")[0]["one"][2, ::4, ::4, 0]
    assert np.abs(alone - 255 * rising / 63).max() <= 1


@pytest.mark.parametrize("constant", [0.0, 0.3])
@pytest.mark.parametrize("scope", ["cell", "layer"])
def test_a_component_that_is_not_there_has_no_colour(constant, scope):
    values, _ = ramp(constant)
    found = component_colours(values, scope)[0]["one"]
    assert (found[..., 1:] == 0).all()


@pytest.mark.parametrize("scope", SCOPES)
def test_a_layer_that_never_varies_is_black_and_explains_nothing(scope):
    found, shares = component_colours({"one": np.full((2, 8, 4, 4), 0.1, np.float32)}, scope)
    assert (found["one"] == 0).all()
    assert (shares["one"] == 0).all()


def test_two_channels_have_two_colours():
    values = {"one": activations()["fine"][:, :2]}
    found, shares = component_colours(values, "layer")
    assert (found["one"][..., 2] == 0).all()
    assert found["one"][..., :2].max() == 255
    assert shares["one"].sum() == pytest.approx(1)


def test_the_colours_of_a_picture_add_up_to_it():
    coloured = component_colours(activations(), "layer")[0]["fine"]
    parts = [one_colour(coloured, index) for index in range(3)]
    assert np.array_equal(sum(parts), coloured)
    assert all(
        part[..., [c for c in range(3) if c != i]].max() == 0 for i, part in enumerate(parts)
    )


# ---------------------------------------------------------------- segments


def plants():
    """Features at 8 x 8 and 16 x 16 places that tell a corner from the rest, and the places."""
    rng = np.random.default_rng(3)
    corner = np.zeros((8, 8), bool)
    corner[1:4, 2:6] = corner[4:6, 2:3] = True
    values = {}
    for name, side, channels in (("small", 8, 5), ("large", 16, 12)):
        inside = corner.repeat(side // 8, axis=0).repeat(side // 8, axis=1)
        heights = rng.choice([-1, 1], size=(2, channels, 1, 1))
        noise = rng.normal(size=(2, channels, side, side))
        values[name] = (heights * inside + 0.05 * noise).astype(np.float32)
    return values, corner.repeat(4, axis=0).repeat(4, axis=1)


@pytest.mark.parametrize("layers", [["small"], ["large"], ["small", "large"]])
@pytest.mark.parametrize("levels", [[0], [1], [0, 1]])
def test_two_planted_regions_are_found_exactly(layers, levels):
    values, inside = plants()
    picture, found = segments(values, layers, levels, 2)
    assert np.array_equal(found.labels.reshape(32, 32), inside)  # the smaller one is number 1
    assert np.array_equal(picture, np.where(inside[..., None], PALETTE[1], PALETTE[0]))
    assert picture.dtype == np.uint8


def test_segments_do_not_depend_on_the_scale_of_a_channel():
    values, inside = plants()
    rng = np.random.default_rng(4)
    for layer in values.values():
        layer[:, 0] = rng.normal(size=layer[:, 0].shape)  # says nothing
    for factor in (1e-3, 1, 1e4):
        scaled = {name: layer.copy() for name, layer in values.items()}
        for layer in scaled.values():
            layer[:, 0] *= factor
            layer[:, 1] = layer[:, 1] / factor + 3
        _, found = segments(scaled, ["small", "large"], [0, 1], 2)
        assert np.array_equal(found.labels.reshape(32, 32), inside)


@pytest.mark.parametrize("constant", [0.0, 0.3])
def test_a_constant_channel_changes_nothing(constant):
    values, inside = plants()
    values["small"][:, 2] = constant
    _, found = segments(values, ["small"], [0, 1], 2)
    assert np.array_equal(found.labels.reshape(32, 32), inside)


def test_segments_are_made_of_the_chosen_layers_and_levels_alone():
    values, inside = plants()
    other = np.zeros((16, 16), np.float32)
    other[:, :4] = 1
    values["large"][1] = other
    _, found = segments(values, ["small", "large"], [0], 2)
    assert np.array_equal(found.labels.reshape(32, 32), inside)
    _, found = segments(values, ["large"], [1], 2)
    assert np.array_equal(found.labels.reshape(32, 32), np.arange(32) < np.full((32, 1), 8))


def test_a_wide_layer_counts_as_much_as_a_narrow_one():
    values = activations(channels=(48, 3))
    for layers, levels in ((["fine"], [0]), (["coarse"], [2]), (["fine", "coarse"], [2, 0])):
        _, found = segments(values, layers, levels, 1)  # one segment: the whole variance is left
        assert found.inertia == pytest.approx(32 * 32 * len(layers) * len(levels), rel=1e-4)


def test_the_same_seed_makes_the_same_segments():
    values = activations()
    first, again = (segments(values, ["fine", "coarse"], [2, 0], 4, seed=5) for _ in range(2))
    assert np.array_equal(first[0], again[0])
    assert first[0].shape == (32, 32, 3)
    assert np.array_equal(first[0].reshape(-1, 3), PALETTE[first[1].labels])


def test_segments_have_a_colour_each():
    values = activations()
    picture, found = segments(values, ["fine"], [0], len(PALETTE))
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) == len(PALETTE) == found.labels.max() + 1
    assert len(np.unique(PALETTE, axis=0)) == len(PALETTE)


@pytest.mark.parametrize(
    ("named", "layers", "levels", "k"),
    [
        ("layers and levels", [], [0], 2),
        ("layers and levels", ["fine"], [], 2),
        ("k", ["fine"], [0], 0),
        ("k", ["fine"], [0], 32 * 32 + 1),
    ],
)
def test_segments_of_nothing_are_refused(named, layers, levels, k):
    with pytest.raises(ValueError, match=rf"^{named} must"):
        segments(activations(), layers, levels, k)


# ---------------------------------------------------------------- agreement with a known region


def test_overlap_is_the_jaccard_index_of_scikit_learn():
    module = pytest.importorskip("sklearn.metrics", reason="the second opinion here")
    rng = np.random.default_rng(6)
    labels, inside = rng.integers(0, 4, (32, 32)), rng.random((32, 32)) < 0.3
    known = [module.jaccard_score(inside.ravel(), (labels == k).ravel()) for k in range(4)]
    share, label = best_overlap(labels, inside)
    assert share == pytest.approx(max(known))
    assert label == int(np.argmax(known))


def test_overlap_of_known_regions():
    inside = np.zeros((4, 4), bool)
    inside[:2] = True
    assert overlap(inside, inside) == 1
    assert overlap(inside, ~inside) == 0
    assert overlap(inside, np.ones_like(inside)) == 0.5
    assert overlap(~np.ones_like(inside), np.zeros_like(inside)) == 1


# ---------------------------------------------------------------- overlay


def test_an_overlay_lies_between_its_pictures():
    rng = np.random.default_rng(5)
    picture, coloured = rng.integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    assert np.array_equal(overlay(picture, coloured, 0), picture)
    assert np.array_equal(overlay(picture, coloured, 1), coloured)
    half = (picture.astype(float) + coloured) / 2
    assert_same(overlay(picture, coloured), half)
    assert_same(overlay(picture, coloured, 0.25), 0.75 * picture + 0.25 * coloured)
    assert overlay(np.full_like(picture, 255), np.full_like(picture, 255)).min() == 255
