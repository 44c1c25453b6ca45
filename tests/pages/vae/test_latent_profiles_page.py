"""Latent profiles: peaks, readers of z, and what a bar does to a picture."""

import base64
import json
import re
from itertools import pairwise

import numpy as np
import plotly.graph_objects as go
import pytest

from core.pictures import data, house_number
from pages.shared import figures, library, loaders
from pages.shared.kept import AnswerCache
from pages.vae import latent_profiles
from pages.vae.parts import class_charts, generated, readers
from tests.pages.opening import frames, moved, turned_to
from tests.pages.sentences import like
from tests.pages.test_controls import visible

NAME = "vae-svhn"
FOUND = {"most_common": 0.19, "linear": 0.21, "products": 0.73, "neighbours": 0.59, "pixels": 0.2}
WHOLE = {**FOUND, "k": 50, "train_pictures": 100, "test_pictures": 10}


def chart(at, key):
    """The first trace of a chart of that key."""
    (found,) = [c.proto for c in at.get("plotly_chart") if c.proto.id.endswith(key)]
    return json.loads(found.spec)["data"][0]


# ---------------------------------------------------------------- what is computed


def all_classes_of(at):
    """The figure of all classes, as it is sent."""
    (found,) = [c.proto for c in at.get("plotly_chart") if c.proto.id.endswith("profiles_all")]
    return json.loads(found.spec)


def test_the_figure_of_all_classes_is_drawn_once_whichever_class_is_chosen(open_page, monkeypatch):
    drawn, all_classes = [], latent_profiles.all_classes
    monkeypatch.setattr(
        latent_profiles, "all_classes", lambda profiled: drawn.append(1) or all_classes(profiled)
    )
    monkeypatch.setattr(figures, "CHARTS", AnswerCache(2))
    at = open_page("latent_profiles")
    whole = all_classes_of(at)
    at.button_group(key="profiles_class").set_value("5").run()
    assert all_classes_of(at) == whole
    assert all_classes_of(open_page("latent_profiles")) == whole
    assert len(drawn) == 1
    at.slider(key="profiles_peak").set_value(0.5).run()
    assert len(drawn) == 2
    assert all_classes_of(at) != whole


def test_the_figure_of_all_classes_speaks_each_visitors_language(open_page, monkeypatch):
    monkeypatch.setattr(figures, "CHARTS", AnswerCache(2))
    for language in ("en", "fr", "en"):
        at = open_page("latent_profiles", lang=language)
        separators = all_classes_of(at)["layout"]["separators"]
        assert separators[0] == ("," if language == "fr" else ".")


# ---------------------------------------------------------------- peaks


def test_peaks_follow_the_stated_rule(open_page):
    at = open_page("latent_profiles", profiles_class="5", profiles_peak="0.06")
    shown = loaders.vae(NAME).profiles
    said = next(str(e.value) for e in at.markdown if "class 5" in str(e.value))
    named = {int(number) - 1 for number in re.findall(r"z(\d+) \(", said)}
    assert named == set(np.flatnonzero(shown.peaks(0.06)[5])) != set()


def test_fewer_training_pictures_change_the_profile(open_page, monkeypatch, svhn_folder):
    without = open_page("latent_profiles")
    assert "profiles_pictures" not in [box.key for box in without.selectbox]
    monkeypatch.setenv("ATELIER_DATA_DIR", str(svhn_folder))
    at = open_page("latent_profiles")
    before = visible(at)
    count = data.count_split("svhn", "train")
    box = at.selectbox(key="profiles_pictures")
    box.select_index(len(box.options) - 1).run()
    assert visible(at) != before
    over = latent_profiles.PICTURES.format(count=count, split="train")
    assert any(over in str(c.value) for c in at.caption)


def test_two_classes_can_be_chosen(open_page):
    at = open_page("latent_profiles", profiles_figure="two")
    for key in ("profiles_a", "profiles_b"):
        before = visible(at)
        at.selectbox(key=key).select_index(3).run()
        assert visible(at) != before


def test_whiskers_are_the_error_of_the_mean_and_few_digits_widen_them(open_page):
    shown = loaders.vae(NAME).profiles
    order = latent_profiles.order_of(loaders.vae(NAME), shown, "between")
    at = open_page("latent_profiles", profiles_class="3")
    sent = chart(at, "profiles_one")["error_y"]["array"]
    drawn = np.frombuffer(base64.b64decode(sent["bdata"]), sent["dtype"])
    expected = shown.std[3] / np.sqrt(shown.count[3] - 1)
    np.testing.assert_allclose(drawn, expected[order], rtol=1e-5)


# ---------------------------------------------------------------- readers of z


def test_bars_are_what_the_bundle_measured(open_page):
    found = library.bundle(NAME).metrics["readouts"]
    judge = library.bundle("judge-svhn").metrics["test"]["accuracy"]
    at = open_page("latent_profiles")
    keys = ("most_common", "pixels", "linear", "neighbours", "products")
    assert chart(at, "profiles_readers")["x"] == [0.1, *(found[key] for key in keys), judge]


@pytest.mark.parametrize(
    ("changed", "same_means", "more"),
    [({}, True, True), ({"linear": 0.7}, False, False), ({"products": 0.22}, True, False)],
)
def test_the_verdict_says_what_the_figures_say(changed, same_means, more):
    words = readers.verdict({**FOUND, **changed}, "1")
    wanted = (
        readers.SAME_MEANS if same_means else readers.OTHER_MEANS,
        readers.MORE if more else readers.NO_MORE,
    )
    assert like(" ".join(wanted)).fullmatch(words)


@pytest.mark.parametrize(
    "said",
    [
        None,
        {},
        "no",
        FOUND,
        {**WHOLE, "pixels": "0.2"},
        {**WHOLE, "linear": 7},
        {**WHOLE, "products": float("nan")},
        {**WHOLE, "k": 0},
    ],
)
def test_a_bundle_that_does_not_say_it_shows_the_rest(open_page, monkeypatch, said):
    """A guest's bundle may say anything."""
    bundle = library.bundle(NAME)
    assert readers.readouts_of(bundle)
    monkeypatch.setitem(bundle.metrics, "readouts", said)
    at = open_page("latent_profiles")
    assert "does not say" in at.info[0].value
    assert chart(at, "profiles_one")


# ---------------------------------------------------------------- a bar, decoded


def test_a_unit_moves_by_so_many_bars(open_page):
    explorer, shown = loaders.vae(NAME), loaders.vae(NAME).profiles
    at = open_page("latent_profiles", profiles_class="4", profiles_unit="2")
    picture, _maker = generated.picture_of("4")
    z = explorer.encode(picture[None]).mean[0]
    order = latent_profiles.order_of(explorer, shown, "between").tolist()
    sent = chart(at, "profiles_one")["y"]
    drawn = np.frombuffer(base64.b64decode(sent["bdata"]), sent["dtype"])
    bar = drawn[order.index(1)]  # the very bar that one sees
    decoded = explorer.traverse(z, 1, z[1] + bar * np.arange(21))
    alt = "The picture with z2 moved by {t} bars"
    off = np.abs(frames(at, "profiles_film", alt).astype(int) - decoded)
    assert off.max() <= 1  # the chart carries 64 bits, the latents 32
    said = [c.value for c in at.caption if "bars: 10" in c.value]
    assert said
    lies = latent_profiles.BELOW if bar < 0 else latent_profiles.ABOVE
    words = " ".join(str(m.value) for m in at.markdown)
    assert f"{lies.format(c=4, away=f'{abs(bar):.2f}', unit=2)} Moved by" in words
    assert [c.value for c in moved(at, "profiles_times", 3).caption if "bars: 3" in c.value]


def test_a_unit_of_the_picture_of_the_visit_is_moved(open_page):
    at = open_page("likelihood", likelihood_text="42")
    turned_to(at, "latent_profiles")
    at.selectbox(key="profiles_unit").set_value("2").run()
    picture = house_number.draw(house_number.HouseNumber(text="42"))
    explorer = loaders.vae(NAME)
    z = explorer.encode(picture[None]).mean[0]
    bars = explorer.profiles.distance[0, 1] * np.arange(21)
    decoded = explorer.traverse(z, 1, z[1] + bars)
    alt = "The picture with z2 moved by {t} bars"
    off = np.abs(frames(at, "profiles_film", alt).astype(int) - decoded)
    assert off.max() <= 1
    words = " ".join(str(m.value) for m in at.markdown)
    mine = latent_profiles.Departure(picture, "drawn house number 42")
    assert mine.notice() in words
    assert any("picture: drawn house number 42" in c.value for c in at.caption)


def test_without_one_a_generated_digit_is_moved(open_page):
    at = open_page("likelihood")
    turned_to(at, "latent_profiles")
    assert "your picture" not in " ".join(str(m.value) for m in at.markdown)


def test_the_longest_bar_follows_the_class(open_page):
    shown = loaders.vae(NAME).profiles
    for c in (0, 7):
        at = open_page("latent_profiles", profiles_class=str(c))
        longest = int(np.argmax(np.abs(shown.distance[c]))) + 1
        assert f"in z{longest}. Moved by" in " ".join(str(m.value) for m in at.markdown)


def test_the_chosen_bar_is_marked_and_named(open_page):
    at = open_page("latent_profiles", profiles_class="4", profiles_unit="2")
    trace = chart(at, "profiles_one")
    marked = [n for n, w in zip(trace["x"], trace["marker"]["line"]["width"], strict=True) if w]
    assert marked == ["z2"]
    (found,) = [c.proto for c in at.get("plotly_chart") if c.proto.id.endswith("profiles_one")]
    assert "z2" in json.loads(found.spec)["layout"]["xaxis"]["tickvals"]


def test_names_of_units_do_not_collide_and_peaks_have_theirs():
    units = list(range(12, 0, -1))
    names = class_charts.axis_labels(units, [11, 10, 4], apart=2)
    assert {"z12", "z11", "z5"} <= set(names)
    places = [units.index(int(name[1:]) - 1) for name in names]
    close = [(a, b) for a, b in pairwise(places) if b - a < 2]
    assert close == [(1, 2)]  # two peaks
    assert len(class_charts.axis_labels(units, [])) == len(units)


def test_of_two_peaks_side_by_side_one_is_named_lower():
    figure = go.Figure()
    class_charts.name_units(figure, list(range(12)), [4, 5, 6], apart=2)
    words = dict(zip(figure.layout.xaxis.tickvals, figure.layout.xaxis.ticktext, strict=True))
    assert [name for name, word in words.items() if word != name] == ["z6"]
