"""Inside the U-Net: the grid is what the bundle says, a cell opens its layer, pictures are the core's."""

import json
import shutil

import numpy as np
import pytest

from core.bundles.manifest import register
from core.ddpm.clustering import k_means
from core.ddpm.feature_views import best_overlap, component_colours, grey_grid, segments, strength
from core.families import open_bundle
from core.pictures.house_number import HouseNumber, draw
from pages.ddpm import inside_the_unet
from pages.ddpm.parts import layer_grid, unet_levels, unet_segments
from pages.shared import library, loaders
from tests.pages.opening import components, frames, moved

NAME = "ddpm-svhn-1000"
PICTURE = draw(HouseNumber())
SEGMENTS = unet_segments.ALT


def source(at, alt):
    return next(img.url for image in at.main.image for img in image.proto.imgs if img.alt == alt)


def said(at, words):
    shown = [*at.markdown, *at.info, *at.caption, *at.error]
    return next((str(e.value) for e in shown if words in str(e.value)), "")


def stored():
    return library.bundle(NAME).metrics["layer_probe"]


def grid_of(at):
    """The figure of the grid, as the page sends it."""
    for element in at.get("plotly_chart"):
        spec = json.loads(element.proto.spec)
        if "t = %{customdata[1]}" in str(spec["data"][0].get("hovertemplate")):
            return spec
    return None


def cells(spec):
    """Accuracy in words by layer and t."""
    (bars,) = spec["data"]
    return {tuple(one): text for one, text in zip(bars["customdata"], bars["text"], strict=True)}


# ---------------------------------------------------------------- what is computed


@pytest.fixture
def clustered(monkeypatch):
    """How often k-means was run for the page."""
    runs, k_means = [], unet_segments.k_means

    def counting(features, k, **more):
        runs.append(k)
        return k_means(features, k, **more)

    monkeypatch.setattr(unet_segments, "k_means", counting)
    return runs


def test_segments_are_computed_once_for_all_visitors(open_page, clustered):
    at = open_page("inside_the_unet")
    shown = source(at, SEGMENTS)
    assert clustered
    clustered.clear()
    again = open_page("inside_the_unet")
    assert source(again, SEGMENTS) == shown
    moved(again, "inside_t", again.session_state["inside_t"])
    assert not clustered
    again.slider(key="inside_k").set_value(4).run()
    assert clustered == [4]
    assert source(again, SEGMENTS) != shown


# ---------------------------------------------------------------- the grid


def test_the_grid_holds_the_figures_of_the_bundle(open_page):
    at = open_page("inside_the_unet")
    found, shown = stored(), cells(grid_of(at))
    assert shown == {
        (layer, t): f"{100 * share:,.0f}%"
        for layer, shares in found["accuracy"].items()
        for t, share in zip(found["t"], shares, strict=True)
    }
    layers = [layer for layer, _t in shown]
    assert list(dict.fromkeys(layers)) == list(loaders.ddpm(NAME).layers)  # input to output


def test_the_best_cell_is_named_and_is_what_the_page_opens_with(open_page):
    at = open_page("inside_the_unet")
    found = stored()
    layer, t, share = max(
        (
            (layer, t, share)
            for layer, shares in found["accuracy"].items()
            for t, share in zip(found["t"], shares, strict=True)
        ),
        key=lambda cell: cell[2],
    )
    words = said(at, "linear classifier")
    for part in (f"`{layer}`", f"t = {t:,}", f"{100 * share:.0f}%"):
        assert part in words
    for name in ("pixels", "most_common"):
        assert f"{100 * found[name]:.0f}%" in words
    assert at.session_state["inside_layer"] == layer
    assert at.session_state["inside_t"] == t


def test_a_click_on_a_cell_opens_its_layer_at_its_t(open_page):
    at = open_page("inside_the_unet")
    explorer = loaders.ddpm(NAME)
    found = layer_grid.stored_grid(explorer.bundle, explorer.layers, explorer.T)
    index = 2 * len(found.t) + 1
    layer, t, _share = found.cells()[index]
    assert (layer, t) == (explorer.layers[2], found.t[1])
    bars = grid_of(at)["data"][0]
    assert bars["customdata"][index] == [layer, t]
    at = open_page("inside_the_unet", inside_layer=layer, inside_t=str(t))
    (frame,) = grid_of(at)["layout"]["shapes"]
    row, column = 2, 1
    assert (frame["x0"], frame["x1"]) == (column - 0.5, column + 0.5)
    assert (frame["y0"], frame["y1"]) == (row - 0.5, row + 0.5)
    (cell,) = [
        c
        for row_ in components(at)["inside_film"]["rows"]
        for c in row_["cells"]
        if c["label"] == layer
    ]
    levels = [stop - 1 for stop in components(at)["inside_t_hand"]["stops"]]
    shown, _shares = component_colours(explorer.features(PICTURE, levels, 0), "cell")
    np.testing.assert_array_equal(frames(at, "inside_film", cell["alt"]), shown[layer])


def test_a_cell_that_was_clicked_is_what_controls_then_hold(monkeypatch):
    state = {}
    monkeypatch.setattr(inside_the_unet.st, "session_state", state)
    inside_the_unet.choose("up 8", 100)
    assert state == {"inside_layer": "up 8", "inside_t": 100}


def probe(**changes):
    found = {
        "t": [10, 100],
        "accuracy": {"stem": [0.2, 0.1], "middle": [0.6, 0.3]},
        "pixels": 0.21,
        "most_common": 0.19,
        "parts": 2,
        "train_pictures": 20,
        "test_pictures": 10,
    }
    return type("Of", (), {"metrics": {"layer_probe": {**found, **changes}}})()


LAYERS = ("stem", "middle")


def test_a_grid_of_figures_is_read():
    found = layer_grid.stored_grid(probe(), LAYERS, 1000)
    assert found.cells() == [
        ("stem", 10, 0.2),
        ("stem", 100, 0.1),
        ("middle", 10, 0.6),
        ("middle", 100, 0.3),
    ]
    assert found.best == ("middle", 10, 0.6)
    assert found.best_at(1) == ("middle", 0.3)


@pytest.mark.parametrize(
    "wrong",
    [
        {"t": []},
        {"t": [100, 10]},
        {"t": [10, 10]},
        {"t": [0, 10]},
        {"t": [10, 1001]},
        {"t": [10.5, 100]},
        {"t": "10"},
        {"accuracy": {"stem": [0.2, 0.1]}},
        {"accuracy": {"stem": [0.2, 0.1], "middle": [0.6]}},
        {"accuracy": {"stem": [0.2, 0.1], "middle": [0.6, 1.2]}},
        {"accuracy": {"stem": [0.2, 0.1], "middle": [0.6, float("nan")]}},
        {"accuracy": {"stem": [0.2, 0.1], "middle": [0.6, True]}},
        {"pixels": None},
        {"most_common": -0.1},
        {"test_pictures": 0},
        {"parts": "two"},
    ],
)
def test_what_is_no_grid_is_passed_over(wrong):
    assert layer_grid.stored_grid(probe(**wrong), LAYERS, 1000) is None


def test_a_bundle_without_figures_has_no_grid():
    assert layer_grid.stored_grid(type("Of", (), {"metrics": {}})(), LAYERS, 1000) is None


def test_the_verdict_claims_only_what_the_figures_say():
    clear = layer_grid.verdict(layer_grid.stored_grid(probe(), LAYERS, 1000))
    assert "60%" in clear
    assert "never" not in clear
    assert "no label" in clear
    assert "Noise hides it" in clear
    flat = probe(accuracy={"stem": [0.2, 0.2], "middle": [0.22, 0.2]})
    unclear = layer_grid.verdict(layer_grid.stored_grid(flat, LAYERS, 1000))
    assert "hardly easier" in unclear
    assert "Noise hides it" not in unclear


@pytest.fixture
def without_figures(tmp_path, monkeypatch):
    """The library with a bundle of which nobody measured what its layers hold."""
    shutil.copytree(library.own_manifest().root, tmp_path / "checkpoints")
    manifest, folder = tmp_path / "checkpoints/manifest.json", tmp_path / f"checkpoints/{NAME}"
    metrics = json.loads((folder / "metrics.json").read_text())
    del metrics["layer_probe"]
    (folder / "metrics.json").write_text(json.dumps(metrics))
    register(manifest, open_bundle(folder), name=NAME, title="DDPM, T = 1000")
    monkeypatch.setenv("ATELIER_CHECKPOINTS", str(tmp_path / "checkpoints"))


def test_without_figures_one_sentence_stands_in_their_place(open_page, without_figures):
    at = open_page("inside_the_unet")
    assert grid_of(at) is None
    assert said(at, layer_grid.NOT_MEASURED)
    assert components(at)["inside_film"]["rows"]
    assert source(at, SEGMENTS)


# ---------------------------------------------------------------- what moves with t


def test_every_layer_can_be_looked_at(open_page):
    seen = set()
    for layer in loaders.ddpm(NAME).layers:
        at = open_page("inside_the_unet", inside_layer=layer)
        (channels,) = components(at)["inside_film"]["rows"][-1]["cells"]
        assert channels["label"].startswith(f"{layer}, channels 1 – ")
        seen.add(frames(at, "inside_film", channels["alt"]).tobytes())
    assert len(seen) == len(loaders.ddpm(NAME).layers)


def test_what_moves_with_t_is_what_the_network_holds_there(open_page):
    explorer = loaders.ddpm(NAME)
    at = open_page("inside_the_unet", inside_t="250", inside_layer="stem")
    told = components(at)
    control = told["inside_t_hand"]
    assert (control["value"], at.session_state["inside_t"]) == (250, 250)
    levels = [stop - 1 for stop in control["stops"]]
    looks = explorer.predict(PICTURE, levels, 0)
    shown, shares = component_colours(explorer.features(PICTURE, levels, 0), "cell")
    first, parts = (told["inside_film"]["rows"][i]["cells"] for i in (0, 1))
    wanted = [
        np.stack([look.x_t for look in looks]),
        np.stack([look.x0_hat for look in looks]),
        shown["stem"],
    ]
    for cell, pictures in zip(first, wanted, strict=True):
        np.testing.assert_array_equal(frames(at, "inside_film", cell["alt"]), pictures)
    for index, cell in enumerate(parts):
        alone = frames(at, "inside_film", cell["alt"])
        np.testing.assert_array_equal(alone[..., index], shown["stem"][..., index])
        assert alone.sum() == alone[..., index].sum()
        assert cell["label"].endswith(f"{100 * shares['stem'][index]:.0f}%")
    (strip,) = told["inside_strip"]["rows"]
    for cell, layer in zip(strip["cells"], explorer.layers, strict=True):
        np.testing.assert_array_equal(frames(at, "inside_strip", cell["alt"]), shown[layer])
    moved(at, "inside_t", 500)
    assert at.query_params["inside_t"] == "500"
    assert said(at, "t: 500")
    assert components(at)["inside_film"] == told["inside_film"]  # all of it was there before


def test_a_t_at_which_the_timeline_does_not_stop_gives_way(open_page):
    at = open_page("inside_the_unet", inside_t="123")
    best = components(at)["inside_t_hand"]["value"]
    assert best in stored()["t"]
    assert at.session_state["links"].refused["inside_t"].wanted == "123"


def test_the_view_is_that_of_the_pictures_that_move(open_page):
    at = open_page("inside_the_unet", inside_view="strength", inside_scope="layer")
    levels = [stop - 1 for stop in components(at)["inside_t_hand"]["stops"]]
    activations = loaders.ddpm(NAME).features(PICTURE, levels, 0)
    stem = components(at)["inside_strip"]["rows"][0]["cells"][0]
    np.testing.assert_array_equal(
        frames(at, "inside_strip", stem["alt"]), grey_grid(strength(activations), "layer")["stem"]
    )
    assert not said(at, inside_the_unet.READ_COLOURS)


# ---------------------------------------------------------------- which places are the digit


def test_segments_need_a_layer_and_a_level(open_page):
    at = open_page("inside_the_unet")
    before = source(at, SEGMENTS)
    at.multiselect(key="inside_layers").set_value(["down 16"]).run()
    assert source(at, SEGMENTS) != before
    at.multiselect(key="inside_levels").set_value([]).run()
    assert not at.exception
    assert said(at, unet_segments.CHOOSE)


def test_what_k_means_did_is_said_with_its_overlap(open_page):
    at = open_page("inside_the_unet", inside_k="2")
    explorer = loaders.ddpm(NAME)
    levels = unet_levels.levels_of(explorer, unet_levels.SEGMENT_SHARES)
    held = explorer.features(PICTURE, levels, 0)
    found = segments(held, explorer.layers[-2:], range(len(levels)), 2)[1].labels
    inside = draw(HouseNumber(ink="#ffffff", wall="#000000", noise=0.0))[..., 0] > 127
    share = best_overlap(found, inside.reshape(-1))[0]
    assert f"by {100 * share:.0f}% from activations" in said(at, "overlaps it by")


def test_of_k_means_over_all_drawn_digits_is_said_what_was_measured(open_page):
    explorer = loaders.ddpm(NAME)
    levels = unet_levels.levels_of(explorer, unet_levels.SEGMENT_SHARES)
    shares = []
    for one in unet_segments.held_out_digits():
        held = explorer.features(one.picture, levels, 0)
        found = segments(held, explorer.layers[-2:], range(len(levels)), 3)[1].labels
        by_colour = k_means(one.picture.reshape(-1, 3).astype(float), 3).labels
        shares.append([best_overlap(each, one.digit.reshape(-1))[0] for each in (found, by_colour)])
    told = said(open_page("inside_the_unet"), "Over the 6 drawn digits above")
    assert unet_segments.over_held_out_digits_verdict(*np.mean(shares, axis=0)) in told


@pytest.mark.parametrize(
    ("layers", "colours", "words"),
    [(0.9, 0.5, "activations helps.**"), (0.5, 0.9, "no more"), (0.7, 0.7, "no more")],
)
def test_k_means_is_said_to_help_only_where_it_does(layers, colours, words):
    assert words in unet_segments.over_held_out_digits_verdict(layers, colours)


@pytest.mark.parametrize(
    ("layers", "colours", "words"),
    [(0.9, 0.5, "better than its"), (0.5, 0.9, "does not help"), (0.7, 0.72, "no better")],
)
def test_of_k_means_is_said_what_its_overlaps_say(layers, colours, words):
    assert words in unet_segments.k_means_verdict(layers, colours)


@pytest.mark.parametrize(
    ("layers", "colours", "words"),
    [
        (0.6, 0.3, "activations"),
        (0.3, 0.6, "colours"),
        (0.5, 0.5, "neither"),
    ],
)
def test_of_labelled_pixels_is_said_what_their_overlaps_say(layers, colours, words):
    empty = np.zeros((1, 32, 32), bool)
    overlaps = {"activations": [layers], "colours": [colours], "segments": [0.8]}
    said_ = unet_segments.read_out_verdict(unet_segments.ReadOut(empty, empty, empty, overlaps))
    assert unet_segments.READ_OUTS[words] in said_
    assert "80%" in said_


def test_no_digit_and_no_pair_of_colours_is_learnt_from_and_asked_about():
    known, others = unet_segments.LEARNT_FROM, unet_segments.ASKED_ABOUT
    assert not {one[0] for one in known} & {one[0] for one in others}
    assert not {one[1:] for one in known} & {one[1:] for one in others}


def test_the_read_out_is_that_of_the_chosen_layers_and_says_its_overlaps(open_page):
    at = open_page("inside_the_unet", inside_labelled="12")
    explorer = loaders.ddpm(NAME)
    levels = unet_levels.levels_of(explorer, unet_levels.SEGMENT_SHARES)
    found = unet_segments.compute_read_out(explorer, explorer.layers[-2:], levels, 12, 0).value
    words = said(at, "intersection over union")
    means = (found.mean("activations"), found.mean("colours"), found.mean("segments"))
    for mean in means:
        assert f"{100 * mean:.0f}%" in words
    for mask, of in zip(found.colours, unet_segments.held_out_digits(), strict=True):
        union = (mask | of.digit).sum()
        index = [np.array_equal(mask, one) for one in found.colours].index(True)
        share = found.overlaps["colours"][index]
        assert share == pytest.approx((mask & of.digit).sum() / union)
