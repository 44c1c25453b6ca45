"""The latent desk: the decoder in the browser gives PyTorch's pictures while the hand moves."""

from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from playwright.sync_api import expect

from core.bundles.manifest import CHECKPOINTS
from core.families import open_bundle
from core.pictures import house_number
from core.vae.explorer import VAEExplorer
from pages.browser import desk, networks, serving
from pages.vae import latent_space
from tests.browser.test_in_a_browser import go, ready

HERE = ".desk.decoding"
NOW = f".desk canvas[aria-label='{desk.DECODED}']"
LEVELS = """canvas => [...canvas.getContext("2d").getImageData(0, 0, 32, 32).data]
    .filter((_, i) => i % 4 < 3)"""
QUIET = "[data-testid=stApp][data-test-script-state=notRunning]"


@pytest.fixture(scope="module")
def explorer():
    return VAEExplorer(open_bundle(CHECKPOINTS / "vae-svhn"))


@pytest.fixture(scope="module")
def first(explorer):
    """z of the picture that the page begins with."""
    picture = house_number.draw(house_number.HouseNumber(text="7"))
    return explorer.encode(picture[None]).mean[0]


def at_the_desk(tab, **query):
    go(tab, "latent-space", lang="en", **query)
    tab.wait_for_selector(HERE)
    tab.wait_for_selector(QUIET)


def row(tab, unit):
    return tab.locator(".desk .unit", has=tab.get_by_role("slider", name=f"z{unit + 1}, KL"))


def picture(tab, of=NOW):
    return np.array(tab.locator(of).evaluate(LEVELS), np.uint8).reshape(32, 32, 3)


def values(tab):
    """The slider values that the picture of now was made of."""
    return np.array([float(one) for one in tab.locator(NOW).get_attribute("data-values").split()])


def until(tab, unit, value):
    """Waits until the picture is that of this value."""
    tab.wait_for_function(
        """([now, unit, value]) => {
            const find = (root) => root.querySelector(now) ?? [...root.querySelectorAll("*")]
                .filter((one) => one.shadowRoot).map((one) => find(one.shadowRoot)).find(Boolean);
            return Number(find(document)?.dataset.values?.split(" ")[unit]) === value;
        }""",
        arg=[NOW, unit, value],
    )


def decoded(explorer, first, values):
    z = np.where(values == np.round(first.astype(np.float64), 2), first, values)
    return explorer.decode(z[None].astype(np.float32))[0]


def off(a, b):
    return int(np.abs(a.astype(int) - b.astype(int)).max())


def test_the_picture_follows_a_held_slider_and_the_server_learns_where_it_is_let_go(
    tab, explorer, first
):
    at_the_desk(tab)
    unit = int(explorer.order[0])
    slider = row(tab, unit).get_by_role("slider")
    slider.hover()  # waits until it stands still
    box = slider.bounding_box()
    middle = box["y"] + box["height"] / 2
    tab.mouse.move(box["x"] + box["width"] * float((first[unit] + 4) / 8), middle)
    tab.mouse.down()
    before, right = picture(tab), 0
    length = tab.get_by_test_id("stMetricValue").first.inner_text()
    for share in (0.15, 0.25, 0.35, 0.45, 0.6, 0.7, 0.8, 0.9):
        tab.mouse.move(box["x"] + box["width"] * share, middle)
        until(tab, unit, float(slider.input_value()))
        now = picture(tab)
        same = off(now, decoded(explorer, first, values(tab))) <= 1
        right += same and off(now, before) > 8
        before = now
    assert right >= 6
    assert "latent_z" not in tab.url  # the hand still holds it
    assert tab.get_by_test_id("stMetricValue").first.inner_text() == length
    tab.mouse.up()
    tab.wait_for_function("location.search.includes('latent_z')")
    expect(tab.get_by_test_id("stMetricValue").first).not_to_have_text(length)
    left = float(slider.input_value())
    said = parse_qs(urlsplit(tab.url).query)
    assert float(said[f"latent_z{unit + 1}"][0]) == left

    tab.goto(tab.url)
    ready(tab)
    tab.wait_for_selector(HERE)
    until(tab, unit, left)
    assert off(picture(tab), now) == 0


def test_the_decoder_in_the_browser_is_pytorchs(tab, explorer):
    """Fifty points of a wide prior, through the very module that the page uses."""
    at_the_desk(tab)
    z = 1.5 * np.random.default_rng(0).normal(size=(50, explorer.latent_dim)).astype(np.float32)
    found = tab.evaluate(
        """async ([networks, pictures, spec, z, count]) => {
            const { openNetwork } = await import(networks);
            const { levelsOf } = await import(pictures);
            const network = openNetwork(spec);
            await network.ready;
            const data = Float32Array.from(z);
            const dims = [count, z.length / count];
            const made = await network.run({ z: { type: "float32", data, dims } });
            network.close();
            return Array.from({ length: count }, (_, row) => [...levelsOf(made, row, 32)]);
        }""",
        [
            serving.module("networks.js"),
            serving.module("pictures.js"),
            dict(networks.network(explorer.bundle, "decoder")),
            [float(one) for one in z.flat],
            len(z),
        ],
    )
    found = np.array(found, np.uint8).reshape(-1, 32, 32, 3)
    assert off(found, explorer.decode(z)) <= 1


def test_thumbnails_and_strip_are_what_their_places_make(tab, explorer, first):
    at_the_desk(tab)
    strip = tab.locator(".desk .stops canvas")
    tab.wait_for_selector(".desk .strip[data-unit]")
    unit = int(explorer.order[0])
    for place, value in ((0, -3.0), (6, 0.0), (12, 3.0)):
        z = first.copy()
        z[unit] = value
        shown = np.array(strip.nth(place).evaluate(LEVELS), np.uint8).reshape(32, 32, 3)
        assert off(shown, explorer.decode(z[None])[0]) <= 1
    other = int(explorer.order[2])
    for place, value in ((0, -4.0), (1, 4.0)):
        z = first.copy()
        z[other] = value
        wanted = explorer.decode(z[None])[0]
        end = row(tab, other).locator("canvas").nth(place)
        for _attempt in range(100):  # they are made when nothing else is to do
            shown = np.array(end.evaluate(LEVELS), np.uint8).reshape(32, 32, 3)
            if off(shown, wanted) <= 1:
                break
            tab.wait_for_timeout(100)
        assert off(shown, wanted) <= 1


def test_typed_values_keys_and_clicks_move_it_too(tab, explorer, first):
    at_the_desk(tab)
    unit = int(explorer.order[1])
    field = row(tab, unit).get_by_role("spinbutton")
    field.fill("2.5")
    field.press("Enter")
    until(tab, unit, 2.5)
    tab.wait_for_function(f"location.search.includes('latent_z{unit + 1}=2.5')")
    field.fill("77")
    field.press("Enter")
    until(tab, unit, 4.0)
    row(tab, unit).get_by_role("slider").press("ArrowLeft")
    until(tab, unit, 3.99)
    row(tab, unit).locator("button.end").first.click()
    until(tab, unit, -4.0)
    tab.locator(".desk .stops button").nth(12).click()
    until(tab, unit, 3.0)
    tab.get_by_role("button", name="the start", exact=True).click()
    tab.wait_for_function("!location.search.includes('latent_z')")
    assert off(picture(tab), explorer.decode(first[None])[0]) <= 1
    assert (picture(tab, ".desk canvas[aria-label^='Difference']") == 128).mean() > 0.95


def test_a_finger_drags_a_slider(browser, server, explorer):
    context = browser.new_context(
        viewport={"width": 390, "height": 844}, has_touch=True, locale="en-GB"
    )
    tab = context.new_page()
    tab.set_default_timeout(60_000)
    tab.base = server.url
    at_the_desk(tab)
    slider = row(tab, int(explorer.order[0])).get_by_role("slider")
    box = slider.bounding_box()
    assert box["y"] + box["height"] < 844  # the first slider is on the first screen
    assert tab.locator(NOW).bounding_box()["y"] > 0
    fingers = context.new_cdp_session(tab)
    y = box["y"] + box["height"] / 2
    before = slider.input_value()
    for kind, share in (("touchStart", 0.5), ("touchMove", 0.7), ("touchMove", 0.9)):
        points = [{"x": box["x"] + box["width"] * share, "y": y}]
        fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    fingers.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    tab.wait_for_function("location.search.includes('latent_z')")
    assert float(slider.input_value()) > max(2.0, float(before))
    context.close()


def test_a_class_and_draws_set_all_sliders_at_once(tab, explorer):
    at_the_desk(tab)
    tab.get_by_role("combobox", name=latent_space.MEAN).select_option(label="3")
    mean = np.round(explorer.profiles.mean[3].astype(np.float64), 2)
    until(tab, 0, float(mean[0]))
    np.testing.assert_array_equal(values(tab), mean)
    tab.wait_for_function("location.search.includes('latent_z1=')")
    tab.wait_for_selector(QUIET)
    tab.get_by_role("button", name=latent_space.OF_PRIOR).click()
    drawn = np.round(explorer.prior(0)[0].astype(np.float64), 2)
    until(tab, 0, float(drawn[0]))
    np.testing.assert_array_equal(values(tab), drawn)


def test_other_pages_and_the_way_back_keep_it(tab, explorer):
    unit = int(explorer.order[0])
    at_the_desk(tab)
    field = row(tab, unit).get_by_role("spinbutton")
    field.fill("-1.5")
    field.press("Enter")
    tab.wait_for_function(f"location.search.includes('latent_z{unit + 1}=-1.5')")
    tab.wait_for_selector(QUIET)
    tab.get_by_role("link", name="Likelihood", exact=True).first.click()
    tab.wait_for_selector("h1:has-text('Likelihood')")
    tab.wait_for_selector(QUIET)
    tab.go_back()
    tab.wait_for_selector("h1:has-text('Latent space')")
    tab.wait_for_selector(HERE)
    until(tab, unit, -1.5)
    tab.get_by_role("link", name="Likelihood", exact=True).first.click()
    tab.wait_for_selector("h1:has-text('Likelihood')")
    tab.wait_for_selector(QUIET)
    assert not tab.workers  # runtime and weights are gone with the page
    tab.get_by_role("link", name="Latent space", exact=True).first.click()
    tab.wait_for_selector(HERE)
    until(tab, unit, -1.5)


def test_without_webassembly_the_server_answers_when_the_hand_lets_go(tab, explorer, first):
    tab.add_init_script("delete window.WebAssembly")
    go(tab, "latent-space", lang="en")
    tab.wait_for_selector(f"text={desk.UNABLE}")
    unit = int(explorer.order[0])
    field = row(tab, unit).get_by_role("spinbutton")
    field.fill("2.5")
    field.press("Enter")
    until(tab, unit, 2.5)
    assert off(picture(tab), decoded(explorer, first, values(tab))) == 0
    assert not tab.workers


def test_a_decoder_that_does_not_come_is_said(tab, explorer):
    tab.route("**/model.safetensors", lambda route: route.fulfill(status=404))
    go(tab, "latent-space", lang="en")
    tab.wait_for_selector(f"text={desk.FAILED}")
    unit = int(explorer.order[0])
    field = row(tab, unit).get_by_role("spinbutton")
    field.fill("1")
    field.press("Enter")
    until(tab, unit, 1.0)
    tab.errors.clear()  # the console reports what is missing


def test_below_another_path_too(start, browser):
    app = start(base="atelier")
    context = browser.new_context(locale="en-GB")
    tab = context.new_page()
    tab.set_default_timeout(60_000)
    tab.base, errors = app.url, []
    tab.on("pageerror", lambda error: errors.append(str(error)))
    at_the_desk(tab)
    assert not errors
    context.close()
