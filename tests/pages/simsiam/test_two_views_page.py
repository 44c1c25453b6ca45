"""Two views: what the page draws, says and compares is what the views and the networks are."""

import base64
import json
import re

import numpy as np
import pytest

from core.pictures import data, images, shapes
from core.simsiam.views import HARDER, STANDARD, Views
from pages.shared import library, loaders, picking
from pages.shared.text import in_language
from pages.simsiam.parts import networks
from tests.pages.simsiam.drawn_networks import NAMES, networks_folder, objects_folder

__all__ = ["networks_folder", "objects_folder"]

PAGE = "two_views"
NAME, OTHER_NAME = NAMES["baseline"], NAMES["no-stop-gradient"]
SHIP = shapes.draw(shapes.Shape())
OTHERS = np.stack([shapes.draw(shapes.Shape(kind=kind)) for kind in shapes.KINDS[1:9]])
RECIPE = Views(ratio=1.33)
"""The standard views, as far as a slider has digits."""
FEW = 6
"""Draws a curve is made of here."""
STILL = {"views_crop": "1.0", "views_ratio": "1.0", "views_flip": "0.0", "views_grey": "0.0"}
STILL |= {"views_jitter": "0.0"}
SLIDERS = ("crop", "ratio", "flip", "jitter", "brightness", "contrast", "saturation", "hue", "grey")
HARD = ("rotation", "solarize", "jigsaw", "cutout")


@pytest.fixture(autouse=True)
def tiny_networks(networks_folder, monkeypatch):
    monkeypatch.setenv("ATELIER_CHECKPOINTS", str(networks_folder))
    monkeypatch.setattr(networks, "DRAWS", FEW)


def captions(at):
    """What stands under the pictures, without stars."""
    return [img.caption.replace("*", "") for image in at.main.image for img in image.proto.imgs]


def pictures(at, alt):
    return [img.url for image in at.main.image for img in image.proto.imgs if img.alt == alt]


def numbers(values):
    """Numbers of a chart, which travel as bytes."""
    if isinstance(values, dict):
        decoded = np.frombuffer(base64.b64decode(values["bdata"]), values["dtype"])
        return decoded.astype(float)
    return np.array(values, dtype=float)


def chart(at, place):
    return json.loads(at.get("plotly_chart")[place].proto.spec)["data"]


def said(at, words):
    texts = [*at.markdown, *at.info, *at.caption, *at.error]
    return next((str(e.value) for e in texts if words in str(e.value)), "")


def seen(at):
    charts = [chart_.proto.spec for chart_ in at.get("plotly_chart")]
    words = [re.sub(r"\d+\.\d+ s", "", str(e.value)) for e in (*at.markdown, *at.caption)]
    return (
        [img.url for image in at.main.image for img in image.proto.imgs],
        captions(at),
        charts,
        words,
    )


# ---------------------------------------------------------------- the views


def test_the_stages_say_what_was_drawn(open_page):
    at = open_page(PAGE)
    shown = captions(at)
    for view in loaders.simsiam(NAME).views(SHIP, RECIPE, 0):
        top, left, height, width = view.drawn["box"]
        place = f"crop {width} × {height} pixels, from column {left + 1}, row {top + 1}"
        assert place in shown
        names = [stage.name for stage in view.stages]
        for part in ("brightness", "contrast", "saturation"):
            if part in names:
                assert f"{part} times {view.drawn[part]:.2f}" in shown
        if "hue" in names:
            assert f"hue {360 * view.drawn['hue']:.0f}°".replace("-", "−") in shown


def test_every_stage_that_changed_a_view_is_shown_and_no_other(open_page):
    at = open_page(PAGE, views_seed="3")
    views = loaders.simsiam(NAME).views(SHIP, RECIPE, 3)
    stages = sum(len(view.stages) for view in views)
    assert len(captions(at)) == 3 + 2 + stages
    last = [view.stages[-1].picture for view in views]
    assert [np.array_equal(a, v.picture) for a, v in zip(last, views, strict=True)] == [True] * 2


def test_every_part_changes_what_one_sees(open_page):
    at = open_page(PAGE)
    for part in SLIDERS:
        slider = at.slider(key=f"views_{part}")
        before, old = seen(at), slider.value
        slider.set_value(slider.min).run()
        assert not at.exception
        assert seen(at) != before, part
        at.slider(key=f"views_{part}").set_value(old)


@pytest.mark.parametrize("part", HARD)
def test_every_harder_part_alone_is_the_only_stage(open_page, part):
    at = open_page(PAGE, **STILL)
    assert captions(at)[3:] == ["the picture"] * 2
    at.slider(key=f"views_{part}").set_value(1.0 if part != "rotation" else 90.0).run()
    stages = [words.split()[0] for words in captions(at)[3:] if words != "the picture"]
    word = {"solarize": "solarised", "cutout": "cut-out"}.get(part, part)
    assert stages
    assert set(stages) == {word}


def test_a_quarter_out_of_place_and_a_hole_are_told_in_numbers(open_page):
    at = open_page(PAGE, **STILL, views_jigsaw="1.0", views_cutout="0.5")
    recipe = Views(1.0, 1.0, 0.0, 0.0, grey=0.0, jigsaw=1.0, cutout=0.5)
    drawn = loaders.simsiam(NAME).views(SHIP, recipe, 0)[0].drawn
    top, left, height, width = drawn["hole"]
    order = " ".join(str(tile + 1) for tile in drawn["tiles"])
    assert f"jigsaw quarters {order}" in captions(at)
    words = f"cut-out {width} × {height} pixels, from column {left + 1}, row {top + 1}"
    assert words in captions(at)
    assert (height, width) == (16, 16)


def test_presets_move_every_slider(open_page):
    at = open_page(PAGE)
    at.button(key="views_heavy").click().run()
    values = {part: at.slider(key=f"views_{part}").value for part in (*SLIDERS, *HARD)}
    for part in HARD:
        assert values[part] == getattr(HARDER, part) > 0
    for part in SLIDERS:
        assert values[part] == pytest.approx(getattr(STANDARD, part), abs=0.005)
    at.slider(key="views_crop").set_value(0.9).run()
    at.button(key="views_standard").click().run()
    for part in (*SLIDERS, *HARD):
        value = at.slider(key=f"views_{part}").value
        assert value == pytest.approx(getattr(STANDARD, part), abs=0.005)


def test_another_seed_draws_other_views(open_page):
    at = open_page(PAGE)
    before = pictures(at, "View 1"), pictures(at, "View 2")
    at.button(key="views_seed_again").click().run()
    assert at.number_input(key="views_seed").value != 0
    after = pictures(at, "View 1"), pictures(at, "View 2")
    assert after[0] != before[0]
    assert after[1] != before[1]


def test_the_two_views_are_two_draws(open_page):
    at = open_page(PAGE)
    assert pictures(at, "View 1") != pictures(at, "View 2")


# ---------------------------------------------------------------- how alike they are


def expected_bars(layer):
    """(networks, 1 + others): cos with the other view, then with views of other pictures."""
    explorer = loaders.simsiam(NAME)
    first, second = (view.picture for view in explorer.views(SHIP, RECIPE, 0))
    strangers = [
        explorer.views(other, RECIPE, 1 + i, count=1)[0].picture for i, other in enumerate(OTHERS)
    ]
    pairs = np.stack([first] * 9), np.stack([second, *strangers])
    asked = ((NAME, False), (NAME, True), (OTHER_NAME, True))
    return np.stack(
        [loaders.simsiam(n).similarity(*pairs, trained=trained)[layer] for n, trained in asked]
    )


@pytest.mark.parametrize("layer", ["z", "h"])
def test_bars_are_the_similarities_of_the_views_on_the_screen(open_page, layer):
    at = open_page(PAGE)
    if layer != "z":
        at.button_group(key="views_layer").set_value(layer).run()
    same, other = chart(at, 0)
    wanted = expected_bars(layer)
    np.testing.assert_allclose(numbers(same["y"]), wanted[:, 0], atol=1e-5)
    np.testing.assert_allclose(numbers(other["y"]), wanted[:, 1:].mean(axis=1), atol=1e-5)
    top = numbers(other["y"]) + numbers(other["error_y"]["array"])
    bottom = numbers(other["y"]) - numbers(other["error_y"]["arrayminus"])
    np.testing.assert_allclose(top, wanted[:, 1:].max(axis=1), atol=1e-5)
    np.testing.assert_allclose(bottom, wanted[:, 1:].min(axis=1), atol=1e-5)
    assert list(same["x"]) == [
        "SimSiam<br>(baseline),<br>before training",
        "SimSiam<br>(baseline)",
        "no stop-gradient",
    ]
    gap = wanted[1, 0] - wanted[1, 1:].mean()
    assert f"gap {gap:.2f}".replace("-", "−") in said(at, "- **SimSiam (baseline)**")


def test_two_views_that_are_the_picture_itself_are_one(open_page):
    at = open_page(PAGE, **STILL)
    assert pictures(at, "View 1")
    same, _other = chart(at, 0)
    np.testing.assert_allclose(numbers(same["y"]), 1, atol=1e-5)


def test_the_other_network_can_be_chosen(open_page):
    at = open_page(PAGE, views_network="no stop-gradient")
    same, _other = chart(at, 0)
    assert list(same["x"]) == [
        "no stop-gradient,<br>before training",
        "no stop-gradient",
        "SimSiam<br>(baseline)",
    ]
    assert said(at, OTHER_NAME)


# ---------------------------------------------------------------- how far it may go


def agreed(seed, trained):
    """The agreement at every strength, each asked on its own."""
    ask = loaders.simsiam(NAME).agreement
    recipes = [RECIPE.scaled(strength) for strength in networks.STRENGTHS]
    return [ask(SHIP, recipe, OTHERS, seed, FEW, trained=trained) for recipe in recipes]


def uneven(trained):
    """A seed with which the other view is nearer more or less often than by chance."""
    for seed in range(20):
        found = agreed(seed, trained)[4]
        if (found["same"] > found["other"]).mean() != 0.5:
            return seed
    raise AssertionError("all seeds give one half")


@pytest.mark.parametrize(("place", "trained"), [(1, False), (2, True)])
def test_curves_are_the_agreement_at_every_strength(open_page, place, trained):
    seed = uneven(trained)
    at = open_page(PAGE, views_seed=str(seed))
    found = agreed(seed, trained)
    traces = {trace["name"]: trace for trace in chart(at, place) if "name" in trace}
    for name_, key in (("two views", "same"), ("other pictures", "other")):
        wanted = [one[key].mean() for one in found]
        np.testing.assert_allclose(numbers(traces[name_]["y"]), wanted, atol=1e-5)
    nearer = [(one["same"] > one["other"]).mean() for one in found]
    assert np.isclose(networks.STRENGTHS[4], 1)
    words = [str(e.value) for e in at.markdown if "is nearer than" in str(e.value)][place - 1]
    assert (
        f"**{100 * nearer[4]:.0f}%** of the draws at strength 1, in {100 * nearer[-1]:.0f}%"
        in words
    )


def test_other_pictures_are_those_that_were_given_in_turn():
    still = Views(1.0, 1.0, 0.0, 0.0, grey=0.0)
    explorer = loaders.simsiam(NAME)
    found = explorer.agreements(SHIP, [still], OTHERS[:4], 0, FEW)
    in_turn = OTHERS[[0, 1, 2, 3, 0, 1]]
    wanted = explorer.similarity(np.stack([SHIP] * FEW), in_turn)["z"]
    np.testing.assert_allclose(found["other"][0], wanted, atol=1e-5)
    np.testing.assert_allclose(found["same"][0], 1, atol=1e-5)
    assert np.ptp(wanted) > 1e-3


def test_bands_go_from_the_lowest_tenth_to_the_highest(open_page):
    at = open_page(PAGE)
    ask = loaders.simsiam(NAME).agreements
    recipes = [RECIPE.scaled(s) for s in networks.STRENGTHS]
    same = ask(SHIP, recipes, OTHERS, 0, FEW)["same"]
    band = numbers(chart(at, 2)[0]["y"])
    np.testing.assert_allclose(band[:9], np.quantile(same, 0.9, axis=1), atol=1e-5)
    np.testing.assert_allclose(band[9:][::-1], np.quantile(same, 0.1, axis=1), atol=1e-5)


def test_a_curve_is_computed_once(open_page):
    at = open_page(PAGE)
    before = [str(c.value) for c in at.caption if "draws: 6" in str(c.value)]
    at.button_group(key="views_layer").set_value("h").run()
    assert [str(c.value) for c in at.caption if "draws: 6" in str(c.value)] == before
    at.number_input(key="views_seed").set_value(1).run()
    assert len(library.kept("views", networks.KEPT)) == 6


# ---------------------------------------------------------------- pictures


def test_every_control_of_a_drawn_object_changes_the_picture(open_page):
    at = open_page(PAGE)
    for key, code in (("kind", "frog"), ("colour", "#5c8a3a"), ("background", "#3b4a63")):
        before = pictures(at, "The picture")
        at.button_group(key=f"views_{key}").set_value(code).run()
        assert not at.exception
        assert pictures(at, "The picture") != before, key
    for key in ("size", "across", "down", "variant"):
        before = pictures(at, "The picture")
        slider = at.slider(key=f"views_{key}")
        slider.set_value(slider.min if slider.value != slider.min else slider.max).run()
        assert pictures(at, "The picture") != before, key


def test_house_numbers_and_generated_digits_are_not_on_offer(open_page):
    labels = open_page(PAGE).button_group(key="views_from").options
    assert list(labels) == ["Drawn object", "Upload", "Camera"]


def test_a_test_picture_is_compared_with_those_that_follow(open_page, monkeypatch, objects_folder):
    monkeypatch.setenv("ATELIER_DATA_DIR", str(objects_folder))
    at = open_page(PAGE, views_from="test", views_test="3")
    found = data.load_split("cifar10", "test")
    assert said(at, f"test picture 3: {found.class_names[found.labels[3]]}")
    ask = loaders.simsiam(NAME).agreement
    wanted = ask(found.pictures[3], RECIPE, found.pictures[4:12], 0, networks.DRAWS)
    traces = {trace["name"]: trace for trace in chart(at, 2) if "name" in trace}
    assert numbers(traces["two views"]["y"])[4] == pytest.approx(wanted["same"].mean(), abs=1e-4)
    shown = numbers(traces["other pictures"]["y"])[4]
    assert shown == pytest.approx(wanted["other"].mean(), abs=1e-4)


def test_an_upload_is_compared_with_drawn_objects(open_page):
    at = open_page(PAGE, views_from="upload")
    assert said(at, "Choose a picture to start from.")
    picture = shapes.draw(shapes.Shape(kind="truck", seed=5))
    content = images.png_bytes(picture)
    at.file_uploader(key="views_upload").set_value(("t.png", content, "image/png")).run()
    assert not at.exception
    objects = np.stack([one.picture for one in picking.drawn_objects()])
    wanted = loaders.simsiam(NAME).agreement(picture, RECIPE, objects, 0, networks.DRAWS)
    traces = {trace["name"]: trace for trace in chart(at, 2) if "name" in trace}
    shown = numbers(traces["other pictures"]["y"])[4]
    assert shown == pytest.approx(wanted["other"].mean(), abs=1e-4)


# ---------------------------------------------------------------- which networks


def test_records_without_weights_are_not_offered(open_page):
    options = open_page(PAGE).button_group(key="views_network").options
    assert list(options) == ["SimSiam (baseline)", "no stop-gradient"]


@pytest.fixture
def only(networks_folder, monkeypatch, tmp_path):
    """A manifest with some of the bundles."""

    def use(*names):
        raw = json.loads((networks_folder / "manifest.json").read_text())
        raw["bundles"] = [entry for entry in raw["bundles"] if entry["name"] in names]
        for name in names:
            (tmp_path / name).symlink_to(networks_folder / name)
        (tmp_path / "manifest.json").write_text(json.dumps(raw))
        monkeypatch.setenv("ATELIER_CHECKPOINTS", str(tmp_path))

    return use


@pytest.mark.parametrize("page", [PAGE, "neighbours"])
def test_records_alone_get_one_sentence_and_the_explanation_stays(open_page, only, page):
    only("a-record")
    at = open_page(page)
    assert ["no bundle here has any" in error.value for error in at.error] == [True]
    assert at.expander[-1].label == "Formula and code"
    assert not at.get("plotly_chart")


@pytest.mark.parametrize("page", [PAGE, "neighbours"])
def test_one_network_stands_alone(open_page, only, page):
    only(NAME)
    at = open_page(page)
    assert not at.error
    assert not said(at, OTHER_NAME)
    assert len(at.get("plotly_chart")) == (3 if page == PAGE else 2)


def test_a_french_page_names_objects_in_french(open_page):
    word = in_language("ship", "fr")
    at = open_page(PAGE, lang="fr")
    assert not at.error
    assert said(at, word)
