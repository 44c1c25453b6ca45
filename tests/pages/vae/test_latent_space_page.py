"""Latent space: what the desk is given, and what the page makes of what the desk says."""

import numpy as np
import pytest

from core.pictures import house_number
from pages import from_noise
from pages.browser import networks, serving
from pages.shared import library, loaders
from pages.shared.text import in_language
from pages.vae import latent_space
from tests.pages.opening import bytes_at, components

NAME = "vae-svhn"


def given(at):
    """What the browser's desk gets."""
    return components(at)[latent_space.DESK]


def pictures(address):
    return np.frombuffer(bytes_at(address), np.uint8).reshape(-1, 32, 32, 3)


def now(at):
    return pictures(given(at)["frames"])[0]


def said(at):
    return [str(element.value) for element in (*at.info, *at.error)]


@pytest.fixture
def explorer():
    return loaders.vae(NAME)


@pytest.fixture
def start(explorer):
    """z of the picture that the page begins with."""
    picture = house_number.draw(house_number.HouseNumber(text="7"))
    return explorer.encode(picture[None]).mean[0]


def test_the_desk_begins_at_the_start(open_page, explorer, start):
    at = open_page("latent_space")
    data = given(at)
    np.testing.assert_array_equal(np.float32(data["start"]), start)
    np.testing.assert_allclose(data["values"], start, atol=0.0051)
    assert data["values"] == data["resting"]
    assert data["order"] == explorer.order.tolist()
    assert data["unit"] == data["order"][0]
    decoded = explorer.decode(start[None])[0]
    np.testing.assert_array_equal(now(at), decoded)
    shown, encoded = pictures(data["stills"])
    np.testing.assert_array_equal(shown, decoded)
    assert np.abs(encoded.astype(int) - decoded).mean() > 1


def test_a_value_moves_the_picture_and_the_figures(open_page, explorer, start):
    at = open_page("latent_space")
    unit = int(explorer.order[0])
    at.session_state[f"latent_z{unit + 1}"] = 2.5
    at.run()
    z = start.copy()
    z[unit] = 2.5
    decoded, before = explorer.decode(np.stack([z, start]))
    np.testing.assert_array_equal(now(at), decoded)
    strip = pictures(given(at)["frames"])[1:]
    np.testing.assert_array_equal(strip, explorer.traverse(z, unit, np.linspace(-3, 3, 13)))
    assert at.metric[0].value == f"{np.linalg.norm(z):.2f}"
    assert at.metric[1].value == f"{np.abs(decoded.astype(int) - before).mean():.1f}"


def test_a_unit_that_was_not_moved_keeps_all_decimals_of_the_start(open_page, explorer, start):
    """Or the picture would change when nothing was touched."""
    at = open_page("latent_space", latent_from="prior")
    z = explorer.prior(0)[0]
    assert np.abs(z - np.round(z, 2)).max() > 0.001
    assert at.metric[0].value == f"{np.linalg.norm(z):.2f}"
    assert at.metric[1].value == "0.0"


def test_a_link_restores_values_unit_and_start(open_page, explorer):
    unit = int(explorer.order[1])
    moved = open_page("latent_space", latent_from="prior")
    moved.session_state[f"latent_z{unit + 1}"] = 1.25
    moved.session_state["latent_unit"] = unit + 1
    moved.run()
    link = {"latent_from": "prior", f"latent_z{unit + 1}": "1.25", "latent_unit": str(unit + 1)}
    assert {key: moved.query_params[key] for key in link} == link
    opened = given(open_page("latent_space", **link))
    for part in ("values", "unit", "frames", "stills"):
        assert opened[part] == given(moved)[part]


def test_only_moved_units_are_in_the_address(open_page, explorer):
    at = open_page("latent_space")
    unit = int(explorer.order[0])
    assert not any(at.query_params.get(f"latent_z{u + 1}") for u in range(explorer.latent_dim))
    rest = given(at)["resting"][unit]
    at.session_state[f"latent_z{unit + 1}"] = 3.0
    at.run()
    moved = [u for u in range(explorer.latent_dim) if at.query_params.get(f"latent_z{u + 1}")]
    assert moved == [unit]
    assert at.query_params[f"latent_z{unit + 1}"] == "3"
    at.session_state[f"latent_z{unit + 1}"] = rest
    at.run()
    assert not at.query_params.get(f"latent_z{unit + 1}")


@pytest.mark.parametrize("value", ["abc", "99", "-4.01", "nan", "inf", "1e400"])
def test_a_link_that_no_slider_takes_is_refused_in_one_line(open_page, value):
    at = open_page("latent_space", latent_z1=value)
    assert given(at)["values"] == given(at)["resting"]
    assert [f"`{value}` at “z1”" in line for line in said(at)] == [True]


def test_a_link_in_french_is_understood_in_english(open_page):
    english = open_page("latent_space", latent_from="prior")
    french = open_page("latent_space", latent_from=in_language("From the prior", "fr"))
    assert given(french)["frames"] == given(english)["frames"]


def test_a_new_start_moves_the_sliders(open_page, explorer):
    at = open_page("latent_space")
    at.session_state["latent_z1"] = 3.0
    at.run()
    at.button_group(key="latent_from").set_value("gallery").run()
    at.slider(key="latent_gallery").set_value(5).run()
    z = explorer.encode(library.gallery().pictures[4][None]).mean[0]
    np.testing.assert_allclose(given(at)["values"], z, atol=0.0051)


def test_places_are_means_of_classes_and_draws_of_the_seed(open_page, explorer):
    at = open_page("latent_space")
    at.number_input(key="latent_dice").set_value(5).run()
    data = given(at)
    (_means, classes), (_digits, digits) = data["menus"]
    names, means = zip(*classes, strict=True)
    way = from_noise.way_of(library.bundle("ddpm-svhn-1000"))
    z = explorer.encode(way.frames[-1]).mean.clip(-4, 4)
    for name, values in digits:
        assert way.digit[int(name)] == int(name)
        np.testing.assert_allclose(values, z[int(name)], atol=0.0051)
    assert names == explorer.class_names
    np.testing.assert_allclose(means, np.nan_to_num(explorer.profiles.mean), atol=0.0051)
    prior, posterior = (values for _words, values in data["draws"])
    np.testing.assert_allclose(prior, explorer.prior(5)[0].clip(-4, 4), atol=0.0051)
    picture = house_number.draw(house_number.HouseNumber(text="7"))
    drawn = explorer.posterior_draw(picture, 5)
    np.testing.assert_allclose(posterior, drawn, atol=0.0051)
    without = open_page("latent_space", latent_from="prior")
    assert len(given(without)["draws"]) == 1  # no picture, no posterior


# ---------------------------------------------------------------- what a browser says


class Hand:
    def __init__(self, value):
        self.value = value


def told(at, value):
    """The page after its desk has said that, and what was kept; AppTest hands on no component's value."""
    kept = {latent_space.DESK: Hand(value)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(latent_space.st, "session_state", kept)
        latent_space.take(loaders.vae(NAME), 4.0)
    del kept[latent_space.DESK]
    for key, one in kept.items():
        at.session_state[key] = one
    return at.run(), kept


def test_what_the_hand_leaves_is_kept(open_page, explorer):
    z = np.linspace(-2, 2, explorer.latent_dim).round(2)
    at, _kept = told(open_page("latent_space"), [z.tolist(), 3, 1])
    assert given(at)["values"] == z.tolist()
    assert given(at)["unit"] == 3


@pytest.mark.parametrize(
    "value",
    [
        None,
        7,
        {},
        [],
        [None, None],
        [[1.0], 99],
        ["abc", "abc"],
        [[[1.0]] * 10, -1],
        [[float("nan")] * 10, None],
        [[{}] * 10, None],
        [["1.0x"] * 10, True],
    ],
)
def test_what_no_hand_leaves_changes_nothing(open_page, value):
    at, kept = told(open_page("latent_space"), value)
    assert kept == {}
    assert given(at)["values"] == given(at)["resting"]


def test_values_beyond_the_sliders_stop_at_their_ends(open_page, explorer):
    at, _kept = told(open_page("latent_space"), [[100.0] * explorer.latent_dim, 0])
    assert given(at)["values"] == [4.0] * explorer.latent_dim


# ---------------------------------------------------------------- the decoder in the browser


def test_an_architecture_without_a_graph_is_left_to_the_server(open_page):
    assert given(open_page("latent_space"))["network"] is None


def test_a_known_architecture_is_offered_with_the_weights_of_the_bundle(open_page, monkeypatch):
    bundle = library.bundle(NAME)
    listed = {"family": "vae", "part": "decoder", "architecture": bundle.config["architecture"]}
    file = next(networks.GRAPHS.glob("vae-decoder-*.onnx"))
    monkeypatch.setattr(networks, "graphs", lambda: [listed | {"file": file.name}])
    found = given(open_page("latent_space"))["network"]
    digest = found["weights"].split("/")[-2]
    assert serving.OFFERS.file(digest) == bundle.folder / "model.safetensors"
    assert bytes_at(found["graph"]) == file.read_bytes()


# ---------------------------------------------------------------- what is said


def at_mean(explorer, c):
    """A link to the mean of that class."""
    mean = np.clip(latent_space.rounded(explorer.profiles.mean[c]), -4, 4)
    return {f"latent_z{unit + 1}": f"{value:.2f}" for unit, value in enumerate(mean)}


def smudge(at):
    return [str(one.value) for one in at.markdown if "grey smudge" in str(one.value)]


def test_why_a_mean_is_grey_is_said_where_one_is_taken(open_page, explorer, monkeypatch):
    found = {**explorer.bundle.metrics["readouts"], "linear": 0.2, "most_common": 0.19}
    for bundle in (explorer.bundle, library.bundle(NAME)):
        monkeypatch.setitem(bundle.metrics, "readouts", found)
    assert smudge(open_page("latent_space")) == []
    (words,) = smudge(open_page("latent_space", **at_mean(explorer, 3)))
    assert f"mean of class {explorer.class_names[3]}" in words
    for bundle in (explorer.bundle, library.bundle(NAME)):
        monkeypatch.setitem(bundle.metrics, "readouts", {**found, "linear": 0.8})
    assert smudge(open_page("latent_space", **at_mean(explorer, 3))) == []


@pytest.mark.parametrize("idle", [0, 2])
def test_idle_units_are_counted(explorer, idle):
    class Known:
        latent_dim = 4
        active = np.arange(4) >= idle
        kl_per_unit = np.array([0.16, 1, 2, 3])

    words = latent_space.idle_words(Known)
    none = latent_space.NONE_IDLE.format(least=0.16)
    assert words == (latent_space.SOME_IDLE.format(idle=2, units=4) if idle else none)
