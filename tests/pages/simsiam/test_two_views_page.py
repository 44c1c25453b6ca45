"""Two views: what the page draws, says and compares is what the views and the networks are."""

import base64
import json
import re

import numpy as np
import pytest
from scipy import stats

from core.pictures import data, images, shapes
from core.simsiam.neighbours import Nearer
from core.simsiam.views import HARDER, STANDARD, Views
from pages.shared import library, loaders, picking
from pages.shared.text import in_language
from pages.simsiam import two_views
from pages.simsiam.parts import alike, networks
from tests.pages.drawn import charts
from tests.pages.opening import checked, frames, moved
from tests.pages.sentences import like, refusal
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


def said(at, sentence, **values):
    """The text with that sentence in it."""
    texts = [*at.markdown, *at.info, *at.caption, *at.error]
    wanted = like(sentence, **values)
    return next((str(e.value) for e in texts if wanted.search(str(e.value))), "")


def asked(at):
    """The page after its visitor asked the network."""
    at.button(key="views_ask").click().run()
    return checked(at)


def curve(at, name, trained):
    """The chart of one network: of every series its mean, and the edges of its band, by name."""
    after = "after" if trained else "before"
    drawn = charts(at)[f"views_agree_{name}_{after}"]
    return {spec["name"]: (y, *band) for spec, _x, y, *band in drawn.series()}


def view(at, index, strength=100):
    """View 1 or 2 as it stands on the screen at some strength, without its frame, each pixel once."""
    large = frames(at, "views_film", f"View {index}")[strength // 5]
    return large[1::2, 1::2][1:-1, 1:-1]


def original(at):
    return pictures(at, "The picture")


def seen(at):
    charts_ = [chart_.proto.spec for chart_ in at.get("plotly_chart")]
    words = [re.sub(r"\d+\.\d+ s", "", str(e.value)) for e in (*at.markdown, *at.caption)]
    return (
        [img.url for image in at.main.image for img in image.proto.imgs],
        captions(at),
        charts_,
        words,
        frames(at, "views_film", "View 1").tobytes(),
        frames(at, "views_film", "View 2").tobytes(),
    )


# ---------------------------------------------------------------- the views


def test_the_stages_say_what_was_drawn(open_page):
    at = open_page(PAGE)
    shown = captions(at)
    for one in loaders.simsiam(NAME).views(SHIP, RECIPE, 0):
        top, left, height, width = one.drawn["box"]
        place = f"crop {width} × {height} pixels, from column {left + 1}, row {top + 1}"
        assert place in shown
        names = [stage.name for stage in one.stages]
        for part in ("brightness", "contrast", "saturation"):
            if part in names:
                assert f"{part} times {one.drawn[part]:.2f}" in shown
        if "hue" in names:
            assert f"hue {360 * one.drawn['hue']:.0f}°".replace("-", "−") in shown


def test_every_stage_that_changed_a_view_is_shown_and_no_other(open_page):
    at = open_page(PAGE, views_seed="3")
    views = loaders.simsiam(NAME).views(SHIP, RECIPE, 3)
    stages = sum(len(view.stages) for view in views)
    assert len(captions(at)) == 2 + stages
    for index, one in enumerate(views):
        np.testing.assert_array_equal(one.stages[-1].picture, one.picture)
        np.testing.assert_array_equal(view(at, index + 1), one.picture[1:-1, 1:-1])


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
    assert captions(at) == ["the picture"] * 2
    at.slider(key=f"views_{part}").set_value(1.0 if part != "rotation" else 90.0).run()
    stages = [words.split()[0] for words in captions(at) if words != "the picture"]
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
    before = view(at, 1), view(at, 2)
    at.button(key="views_seed_again").click().run()
    assert at.number_input(key="views_seed").value != 0
    for index, old in enumerate(before):
        assert not np.array_equal(view(at, index + 1), old)


def test_the_two_views_are_two_draws(open_page):
    at = open_page(PAGE)
    assert not np.array_equal(view(at, 1), view(at, 2))


@pytest.mark.parametrize("strength", [0, 50, 200])
def test_the_hand_on_the_strength_shows_the_views_of_that_strength(open_page, strength):
    at = open_page(PAGE, views_seed="2")
    wanted = loaders.simsiam(NAME).views(SHIP, RECIPE.scaled(strength / 100), 2)
    for index, one in enumerate(wanted):
        np.testing.assert_array_equal(view(at, index + 1, strength), one.picture[1:-1, 1:-1])
    at = moved(at, "views_strength", strength)
    stages = sum(len(one.stages) for one in wanted)
    assert len(captions(at)) == 2 + stages
    assert at.query_params["views_strength"] == str(strength)


def test_both_crops_are_framed_in_the_picture(open_page):
    at = open_page(PAGE)
    shown = frames(at, "views_film", two_views.BOTH_FRAMED)
    large = SHIP.repeat(3, axis=0).repeat(3, axis=1)
    for strength in (50, 100, 150):
        changed = (shown[strength // 5] != large).any(axis=-1)
        both = loaders.simsiam(NAME).views(SHIP, RECIPE.scaled(strength / 100), 0)
        inside = np.zeros_like(changed)
        for one in both:
            top, left, height, width = (3 * side for side in one.drawn["box"])
            inside[top : top + height, left : left + width] = True
            for row, column in ((top, left), (top + height - 1, left + width - 1)):
                assert changed[row, column]
        assert not changed[~inside].any()


def test_the_network_is_not_asked_before_somebody_wants_it(open_page):
    at = open_page(PAGE)
    for part in ("crop", "grey"):
        at.slider(key=f"views_{part}").set_value(0.5).run()
    assert not len(library.answers("agreements", networks.KEPT))
    assert not at.get("plotly_chart")
    assert not charts(at)
    asked(at)
    assert len(library.answers("agreements", networks.KEPT)) == 3


# ---------------------------------------------------------------- how alike they are


def expected_bars(layer):
    """(networks, 1 + others): cos with the other view, then with views of other pictures."""
    explorer = loaders.simsiam(NAME)
    first, second = (one.picture for one in explorer.views(SHIP, RECIPE, 0))
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
    at = asked(open_page(PAGE))
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
    at = asked(open_page(PAGE, **STILL))
    same, _other = chart(at, 0)
    np.testing.assert_allclose(numbers(same["y"]), 1, atol=1e-5)


def test_a_gap_of_nothing_has_no_sign():
    names, equal = ["a network"], np.array([[0.9995, 1.0, 1.0]])
    assert "gap 0.00" in alike.gaps(names, equal)
    assert "0.00" in alike.gaps(names, -equal)
    assert "−0.00" not in alike.gaps(names, equal) + alike.gaps(names, -equal)


def test_the_other_network_can_be_chosen(open_page):
    at = asked(open_page(PAGE, views_network="no stop-gradient"))
    same, _other = chart(at, 0)
    assert list(same["x"]) == [
        "no stop-gradient,<br>before training",
        "no stop-gradient",
        "SimSiam<br>(baseline)",
    ]


# ---------------------------------------------------------------- how far it may go


def agreed(seed, trained):
    """The agreement at every strength, each asked on its own."""
    ask = loaders.simsiam(NAME).agreement
    recipes = [RECIPE.scaled(strength) for strength in networks.STRENGTHS]
    return [ask(SHIP, recipe, OTHERS, seed, FEW, trained=trained) for recipe in recipes]


@pytest.mark.parametrize("trained", [False, True])
def test_curves_are_the_agreement_at_every_strength(open_page, trained):
    at = asked(open_page(PAGE, views_seed="3"))
    found = agreed(3, trained)
    shown = curve(at, "baseline", trained)
    for name, key in (("two views", "same"), ("other pictures", "other")):
        values = np.stack([one[key] for one in found])
        mean, low, high = shown[name]
        np.testing.assert_allclose(mean, values.mean(axis=1), atol=1e-5)
        np.testing.assert_allclose(low, np.quantile(values, 0.1, axis=1), atol=1e-5)
        np.testing.assert_allclose(high, np.quantile(values, 0.9, axis=1), atol=1e-5)


@pytest.mark.parametrize("strength", [100, 200, 40])
def test_the_sentence_counts_the_draws_of_the_strength_under_the_hand(open_page, strength):
    at = asked(open_page(PAGE, views_strength=str(strength)))
    place = alike.nearest_strength(strength / 100)
    assert abs(100 * networks.STRENGTHS[place] - strength) <= 12.5
    found = agreed(0, True)[place]
    hits = int((found["same"] > found["other"]).sum())
    interval = stats.binomtest(hits, FEW).proportion_ci(0.95, method="wilson")
    counted = alike.NEARER["decided"]
    words = [str(e.value) for e in at.markdown if like(counted).match(str(e.value))][1]
    wanted = counted.format(
        strength=f"{networks.STRENGTHS[place]:.0%}",
        hits=hits,
        decided=FEW,
        low=f"{interval.low:.0%}",
        high=f"{interval.high:.0%}",
        chance="50%",
    )
    assert words.startswith(wanted)


@pytest.mark.parametrize("hits", range(25))
def test_intervals_are_those_of_scipy_and_decide_what_is_said_of_chance(hits):
    exact = stats.binomtest(hits, 24).proportion_ci(0.95, method="wilson")
    low, high = alike.interval(Nearer(hits, 0, 24))
    assert (low, high) == pytest.approx((exact.low, exact.high), abs=1e-9)
    words = alike.nearer_words(Nearer(hits, 0, 24), "100%")
    assert like(alike.NEARER["decided"], hits=hits, decided=24).match(words)
    assert (alike.JUDGED["more"] in words) == (exact.low > 0.5)
    assert (alike.JUDGED["less"] in words) == (exact.high < 0.5)
    assert (alike.JUDGED["may be"] in words) == (exact.low <= 0.5 <= exact.high)


def test_draws_that_rounding_decides_are_no_misses():
    collapsed = np.full(24, 1.0, dtype=np.float32)
    jitter = np.random.default_rng(0).choice([0.0, 6e-8, -6e-8], 24).astype(np.float32)
    found = {"same": np.tile(collapsed, (9, 1)), "other": np.tile(collapsed + jitter, (9, 1))}
    words = alike.verdict(found, 1.0)
    assert like(alike.NEARER["all ties"], count=24).fullmatch(words)
    found["same"][:, :5] = 0.5  # five draws that it does tell apart, as misses
    words = alike.verdict(found, 1.0)
    exact = stats.binomtest(0, 5).proportion_ci(0.95, method="wilson")
    counts = {"ties": 19, "count": 24, "hits": 0, "decided": 5}
    shares = {"low": f"{exact.low:.0%}", "high": f"{exact.high:.0%}"}
    assert like(alike.NEARER["some ties"], **counts, **shares).match(words)


def test_other_pictures_are_those_that_were_given_in_turn():
    still = Views(1.0, 1.0, 0.0, 0.0, grey=0.0)
    explorer = loaders.simsiam(NAME)
    found = explorer.agreements(SHIP, [still], OTHERS[:4], 0, FEW)
    in_turn = OTHERS[[0, 1, 2, 3, 0, 1]]
    wanted = explorer.similarity(np.stack([SHIP] * FEW), in_turn)["z"]
    np.testing.assert_allclose(found["other"][0], wanted, atol=1e-5)
    np.testing.assert_allclose(found["same"][0], 1, atol=1e-5)
    assert np.ptp(wanted) > 1e-3


def test_an_answer_is_computed_once_for_all_visitors(open_page):
    asked(open_page(PAGE))
    kept = library.answers("agreements", networks.KEPT)
    first = {request: kept.get(request) for request in kept.requests()}
    at = open_page(PAGE, run="1")  # the link of that visitor
    assert len(at.get("plotly_chart")) == 1
    assert {request: kept.get(request) for request in kept.requests()} == first
    assert at.query_params["run"] == "1"


def test_a_link_brings_back_what_the_network_said(open_page):
    at = open_page(PAGE, run="1", views_crop="0.5")
    assert len(at.get("plotly_chart")) == 1
    at.slider(key="views_crop").set_value(0.9).run()
    assert not at.get("plotly_chart")  # of other views nobody has asked
    assert "run" not in at.query_params


# ---------------------------------------------------------------- pictures


def test_every_control_of_a_drawn_object_changes_the_picture(open_page):
    at = open_page(PAGE)
    for key, code in (("kind", "frog"), ("colour", "#5c8a3a"), ("background", "#3b4a63")):
        before = original(at)
        at.button_group(key=f"views_{key}").set_value(code).run()
        assert not at.exception
        assert original(at) != before, key
    for key in ("size", "across", "down", "variant"):
        before = original(at)
        slider = at.slider(key=f"views_{key}")
        slider.set_value(slider.min if slider.value != slider.min else slider.max).run()
        assert original(at) != before, key


def test_house_numbers_and_generated_digits_are_not_on_offer(open_page):
    labels = open_page(PAGE).button_group(key="views_from").options
    assert list(labels) == ["Drawn object", "Upload", "Camera"]


@pytest.fixture
def with_data(monkeypatch, objects_folder):
    monkeypatch.setenv("ATELIER_DATA_DIR", str(objects_folder))
    return data.load_split("cifar10", "test")


def test_a_test_picture_is_compared_with_those_that_follow(open_page, with_data):
    at = asked(open_page(PAGE, views_from="test", views_test="3"))
    ask = loaders.simsiam(NAME).agreement
    wanted = ask(with_data.pictures[3], RECIPE, with_data.pictures[4:12], 0, networks.DRAWS)
    shown = curve(at, "baseline", True)
    assert shown["two views"][0][4] == pytest.approx(wanted["same"].mean(), abs=1e-4)
    assert shown["other pictures"][0][4] == pytest.approx(wanted["other"].mean(), abs=1e-4)


def test_where_the_data_set_is_at_hand_the_page_begins_with_a_test_picture(open_page, with_data):
    at = open_page(PAGE)
    assert at.button_group(key="views_from").value == "test"
    one = loaders.simsiam(NAME).views(with_data.pictures[0], RECIPE, 0)[0]
    np.testing.assert_array_equal(view(at, 1), one.picture[1:-1, 1:-1])
    assert "views_from" not in at.query_params  # a page just opened says nothing
    assert not at.warning
    assert "carried" not in at.session_state or not at.session_state["carried"]["cifar10"].values


def test_an_address_that_says_anything_says_where_the_picture_comes_from(open_page, with_data):
    """Another machine may begin with another picture."""
    at = open_page(PAGE, views_crop="0.5")
    assert at.query_params["views_from"] == "test"
    asked_for = open_page(PAGE)
    asked(asked_for)
    assert asked_for.query_params["views_from"] == "test"


def test_a_link_to_a_test_picture_says_that_it_is_not_here(open_page):
    at = open_page(PAGE, views_from="test", views_test="3")
    (words,) = [str(e.value) for e in at.warning]
    assert "test picture 3" in words
    assert at.button(key="views_missing_download")
    assert at.query_params["views_from"] == "test"
    assert at.query_params["views_test"] == "3"
    one = loaders.simsiam(NAME).views(SHIP, RECIPE, 0)[0]
    np.testing.assert_array_equal(view(at, 1), one.picture[1:-1, 1:-1])
    at.slider(key="views_crop").set_value(0.5).run()
    assert at.warning
    assert at.query_params["views_from"] == "test"
    assert at.query_params["views_test"] == "3"


def test_such_a_link_shows_the_picture_once_the_data_set_is_there(
    open_page, monkeypatch, objects_folder
):
    at = open_page(PAGE, views_from="test", views_test="3")
    monkeypatch.setenv("ATELIER_DATA_DIR", str(objects_folder))
    checked(at.run())
    assert not at.warning
    assert not at.info
    picture = data.load_split("cifar10", "test").pictures[3]
    one = loaders.simsiam(NAME).views(picture, RECIPE, 0)[0]
    np.testing.assert_array_equal(view(at, 1), one.picture[1:-1, 1:-1])


def test_an_upload_is_compared_with_drawn_objects(open_page):
    at = open_page(PAGE, views_from="upload")
    assert said(at, picking.WANTED)
    picture = shapes.draw(shapes.Shape(kind="truck", seed=5))
    content = images.png_bytes(picture)
    at.file_uploader(key="views_upload").set_value(("t.png", content, "image/png")).run()
    asked(at)
    objects = np.stack([one.picture for one in picking.drawn_objects()])
    wanted = loaders.simsiam(NAME).agreement(picture, RECIPE, objects, 0, networks.DRAWS)
    shown = curve(at, "baseline", True)["other pictures"][0][4]
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
    assert [bool(refusal("no-weights").search(error.value)) for error in at.error] == [True]
    assert at.expander[-1].label == "Formula and code"
    assert not at.get("plotly_chart")


def test_one_network_stands_alone(open_page, only):
    only(NAME)
    at = asked(open_page(PAGE))
    assert not at.error
    assert not said(at, OTHER_NAME)
    assert len(charts(at)) == 2


def test_a_french_page_names_objects_in_french(open_page):
    word = in_language("ship", "fr")
    at = open_page(PAGE, lang="fr")
    assert not at.error
    assert said(at, word)
