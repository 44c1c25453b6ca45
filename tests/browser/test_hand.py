"""The picture follows the hand; the server hears of it when the hand lets go."""

import numpy as np
import pytest

from core.bundles import lineage
from core.bundles.manifest import CHECKPOINTS
from core.ddpm import NoiseSchedule
from core.ddpm.counted_noise import counted_noise
from core.ddpm.explorer import DDPMExplorer, SamplerSettings, noisy_walk
from core.families import read_manifest
from core.pictures.house_number import HouseNumber, draw
from pages.browser import serving
from pages.ddpm import adding_noise
from pages.ddpm.parts import way_back
from tests.browser import hand
from tests.browser.test_in_a_browser import go, ready

FOLLOWING = [
    ("adding-noise", "t", "noise_t"),
    ("denoising", "t", "denoise_t"),
    ("ddpm-training", "Epoch", "ddpm_epoch"),
    ("vae-training", "Epoch", "training_epoch"),
    ("interpolation", "Path, in %", "interpolation_w"),
]


@pytest.mark.parametrize(("path", "label", "key"), FOLLOWING, ids=[path for path, *_ in FOLLOWING])
def test_the_picture_follows_the_hand(tab, path, label, key):
    sent = []
    tab.on("websocket", lambda socket: socket.on("framesent", lambda frame: sent.append(frame)))
    go(tab, path)
    slider = hand.timeline(tab, label)
    tab.wait_for_timeout(500)
    sent.clear()
    seen = []
    stops = int(slider.get_attribute("max")) + 1
    # Of few stops the last is where the page begins, which no address names.
    positions = hand.POSITIONS if stops > 10 else hand.POSITIONS[:-1]
    with hand.held(tab, slider) as move:
        for share in positions:
            move(share)
            seen.append((hand.value(slider), hand.pictures(tab)))
        assert not sent, "the server was told while the hand held on"
    assert hand.different(seen) >= min(6, stops - 1)
    last, shown = seen[-1]
    tab.wait_for_function(f"location.search.includes('{key}={in_address(path, last)}')")
    ready(tab)
    same_pictures(hand.pictures(tab), shown)

    place = len(seen) // 2
    value, shown = seen[place]
    go(tab, path, **{key: in_address(path, value)})  # a link shows what the hand saw in passing
    slider = hand.timeline(tab, label)
    assert hand.value(slider) == value
    same_pictures(hand.pictures(tab), shown)


def in_address(path, value):
    """What an address says: of epochs those of the last run, where visitors read those of all runs."""
    before = 0
    if path == "ddpm-training":
        bundle = read_manifest(CHECKPOINTS / "manifest.json").open("ddpm-svhn-1000")
        before = lineage.starts(lineage.parts(bundle))[-1]
    return int(value.replace(",", "")) - before


def same_pictures(found, wanted):
    assert found.keys() == wanted.keys()
    for words, picture in wanted.items():
        np.testing.assert_array_equal(found[words], picture, err_msg=words)


def test_noise_in_the_browser_is_that_of_python(tab):
    go(tab, "adding-noise")
    found = tab.evaluate(
        """async ([module, seed, step]) => {
          const { philoxNormals } = await import(module);
          const eps = new Float64Array(3072);
          philoxNormals(seed, step, eps);
          return [...eps];
        }""",
        [f"{tab.base}{serving.module('philox.js')}", 4321, 17],
    )
    wanted = counted_noise(4321, 17, (3, 32, 32)).transpose(1, 2, 0).ravel()
    np.testing.assert_allclose(found, wanted, atol=1e-12)


def test_noise_is_added_as_core_adds_it(tab):
    go(tab, "adding-noise", noise_seed=5)
    slider = hand.timeline(tab, "t")
    digit = draw(HouseNumber(text="7", ink="#f2efe6", wall="#38588a", blur=0.6, noise=4, size=0.85))
    schedule = NoiseSchedule.linear(1000)
    for t in (1, 250, 999):
        slider.fill(str(t))
        tab.get_by_role("img", name=f"after {t} steps").wait_for()
        shown = hand.pictures(tab)
        walk = noisy_walk(schedule, digit, 5, [t - 1])
        for words, picture in (
            (adding_noise.CLEAN, digit),
            (adding_noise.IN_ONE_STEP.format(t=t), walk.direct[0]),
            (adding_noise.AFTER_STEPS.format(t=t), walk.walked[0]),
        ):
            off = np.abs(shown[words].astype(int) - picture.astype(int))
            assert off.max() <= 1, words
        (difference,) = (shown[words] for words in shown if words.startswith("The difference"))
        assert np.abs(difference - 127.5).max() < 1  # zero lies between two levels
        jumped = tab.locator(f".strip img[alt='{adding_noise.AT_LEVEL.format(t='1,000')}']").first
        jumped.wait_for()


def test_keys_buttons_and_play_move_it_too(tab):
    go(tab, "vae-training")
    slider = hand.timeline(tab, "Epoch")
    last = hand.value(slider)
    slider.focus()
    tab.keyboard.press("Home")
    assert hand.value(slider) == "0"
    tab.wait_for_function("location.search.includes('training_epoch=0')")
    tab.get_by_role("button", name="One step on").click()
    assert hand.value(slider) not in ("0", last)
    tab.get_by_label("Speed").select_option("4")
    tab.get_by_role("button", name="Play").click()
    tab.wait_for_function(
        "(slider) => slider.getAttribute('aria-valuetext') === slider.dataset.last",
        arg=slider.evaluate_handle(
            f"(slider) => {{ slider.dataset.last = '{last}'; return slider; }}"
        ),
    )
    tab.wait_for_function(
        "!location.search.includes('training_epoch')"
    )  # the last one is the default
    tab.get_by_role("button", name="Play").wait_for()


def test_over_and_over_begins_again(tab):
    go(tab, "vae-training")
    slider = hand.timeline(tab, "Epoch")
    tab.get_by_role("button", name="Over and over").click()
    tab.get_by_label("Speed").select_option("4")
    tab.get_by_role("button", name="Play").click()
    values = set()
    for _look in range(200):
        values.add(hand.value(slider))
        tab.wait_for_timeout(20)
    assert len(values) > 3
    tab.get_by_role("button", name="Pause").click()
    tab.get_by_role("button", name="Play").wait_for()


def test_a_click_on_a_small_picture_goes_there(tab):
    go(tab, "adding-noise")
    slider = hand.timeline(tab, "t")
    tab.locator(".strip button").nth(6).click()
    assert hand.value(slider) == "750"
    tab.wait_for_function("location.search.includes('noise_t=750')")
    assert tab.locator(".strip .marked figcaption").first.inner_text() == "750"


def test_where_it_stands_outlives_another_page(tab):
    go(tab, "adding-noise", noise_t=333)
    hand.timeline(tab, "t")
    tab.get_by_role("link", name="Likelihood").first.click()
    tab.wait_for_selector("h1:has-text('Likelihood')")
    ready(tab)
    assert "noise_t" not in tab.url
    tab.get_by_role("link", name="Adding noise").first.click()
    tab.wait_for_selector("h1:has-text('Adding noise')")
    assert hand.value(hand.timeline(tab, "t")) == "333"


def test_below_a_base_path(browser, start):
    server = start(base="atelier")
    page = browser.new_page()
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{server.url}/adding-noise?lang=en")
    slider = hand.timeline(page, "t")
    assert hand.different(hand.moved_through(page, slider)) >= 6
    assert not errors
    page.close()


@pytest.mark.parametrize("path", [path for path, *_ in FOLLOWING])
def test_little_is_sent_before_the_first_touch(tab, path):
    """Of frames: 2 MB at most, as they travel."""
    sizes = []

    def note(answer):
        if f"/{serving.PREFIX}/" in answer.url:
            sizes.append(int(answer.headers.get("content-length", 0)))

    tab.on("response", note)
    go(tab, path)
    tab.wait_for_selector(".row canvas[aria-label]")
    tab.wait_for_timeout(500)
    assert 0 < sum(sizes) <= 2e6


def test_the_browser_goes_the_way_back_as_the_server_does(tab):
    go(tab, "denoising", denoise_by="browser", denoise_seed=4, denoise_steps=12)
    slider = hand.timeline(tab, "t")
    explorer = DDPMExplorer(read_manifest(CHECKPOINTS / "manifest.json").open("ddpm-svhn-1000"))
    path = explorer.denoise(SamplerSettings("ddim", 12), [4])
    for place in (0, 5, 9, 12):
        slider.fill(str(place))
        t = f"{int(path.t[place]) + 1:,}"
        for alt in way_back.ALTS.values():
            tab.locator(f"canvas[aria-label='{alt.format(t=t)}']").first.wait_for()
        shown = hand.pictures(tab)
        for part, alt in way_back.ALTS.items():
            words, frames = alt.format(t=t), getattr(path, part)
            off = np.abs(shown[words].astype(int) - frames[place, 0].astype(int))
            assert off.max() <= 2, (words, off.max())


def test_without_webassembly_the_way_back_is_the_servers(tab):
    tab.add_init_script("delete window.WebAssembly")
    go(tab, "denoising", denoise_by="browser")
    tab.get_by_text(way_back.NO_WEBASSEMBLY).wait_for()
    tab.errors.clear()  # the console is told, too
