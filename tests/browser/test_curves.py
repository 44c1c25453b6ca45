"""Charts follow the hand on the timeline, and are handles of it themselves."""

import json
import re
from xml.etree import ElementTree

import numpy as np
import pytest

from core.bundles import lineage
from core.families import read_manifest
from core.simsiam.run_record import read_run
from pages.browser import serving
from pages.shared.text import in_language
from pages.simsiam import collapse
from pages.simsiam.parts.run_charts import FEW
from tests.browser.conftest import NARROW, ROOT
from tests.browser.hand import held, places, stands
from tests.browser.test_in_a_browser import about, go, ready

LABEL, KEY = collapse.EPOCH_WORDS, collapse.EPOCH
POSITIONS = (0.05, 0.15, 0.3, 0.4, 0.55, 0.65, 0.8, 0.9)
NARROW_SET = "w8-n10000-e20-a4ec"
NAMES = {"baseline": "SimSiam (baseline)", "no-stop-gradient": "no stop-gradient"}


@pytest.fixture(scope="module")
def records():
    manifest = read_manifest(ROOT / "checkpoints/manifest.json")
    return {recipe: read_run(manifest.open(f"simsiam-cifar10-{recipe}")) for recipe in NAMES}


def chart(tab, key):
    return tab.locator(f".st-key-{key} .chart")


def control(tab, label=LABEL):
    """The timeline, once the last chart of the page has been drawn."""
    slider = tab.get_by_role("slider", name=label, exact=True)
    slider.wait_for()
    return slider


def opened(tab, **query):
    go(tab, "collapse", **{"collapse_set": NARROW_SET, **query})
    tab.locator(".st-key-collapse_more summary").click()
    chart(tab, "collapse_uniformity").locator(".dot").first.wait_for()
    drawn = (
        "[...document.querySelectorAll('.chart')].every((one) => one.querySelector('.plot path'))"
    )
    tab.wait_for_function(drawn)
    return control(tab, in_language(LABEL, query.get("lang", "en")))


def value(slider):
    return int(slider.get_attribute("aria-valuetext"))


def shown(tab):
    """What the charts show now: values in words, and paths of those that change with the epoch."""
    words = chart(tab, "collapse_loss").locator(".entry b").all_inner_texts()
    paths = {
        key: chart(tab, key)
        .locator("svg.plot path:not(.ghost)")
        .evaluate_all("(all) => all.map((one) => one.getAttribute('d'))")
        for key in (
            "collapse_spectrum",
            "collapse_clouds",
            "collapse_plane_1",
            "collapse_plane_2",
        )
    }
    return words, paths


def pen_downs(path):
    """Where a path begins a part of its own: (N, 2)."""
    return np.array(re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", path), dtype=float)


def lie_alike(places, values):
    """Whether pixels are values up to a scale, to a tenth of a pixel and rounding."""
    for pixels, wanted in zip(places.T, np.asarray(values, dtype=float).T, strict=True):
        line = np.polynomial.Polynomial.fit(wanted, pixels, 1)
        np.testing.assert_allclose(line(wanted), pixels, atol=0.15)
        assert np.ptp(pixels) > 5


def test_the_charts_follow_the_hand_and_the_server_hears_of_it_on_release(tab, records):
    told = []
    tab.on("websocket", lambda socket: socket.on("framesent", lambda frame: told.append(frame)))
    slider = opened(tab)
    tab.wait_for_timeout(500)
    told.clear()
    seen = []
    with held(tab, slider) as move:
        for share in POSITIONS:
            move(share)
            seen.append((value(slider), *shown(tab)))
        assert not told, "the server was told while the hand held on"
    assert len({json.dumps(paths) for _epoch, _words, paths in seen}) >= 6
    for epoch, words, paths in seen:
        losses = [records[recipe].figures["train_loss"][epoch] for recipe in NAMES]
        written = [f"{loss:.3f}".replace("-", "−") if loss == loss else "–" for loss in losses]
        assert words == written
        first = records["baseline"]
        spectrum = first.spectra["z"][epoch]
        singular = np.stack([np.arange(1, 257), np.log10(spectrum)], 1)[spectrum > 0]
        lie_alike(pen_downs(paths["collapse_spectrum"][0]), singular)
        cloud, _dot = map(pen_downs, paths["collapse_clouds"])
        lie_alike(cloud, first.maps["z"][epoch][:FEW])
        for c, path in enumerate(paths["collapse_plane_1"]):
            lie_alike(pen_downs(path), first.maps["z"][epoch][first.labels == c])
    last, words, paths = seen[-1]
    tab.wait_for_function(f"location.search.includes('{KEY}={last}')")
    ready(tab)
    about(tab)
    tab.wait_for_selector(f"text=/epoch: {last} ·/")  # what the figure says has followed
    tab.keyboard.press("Escape")
    assert shown(tab) == (words, paths)

    epoch, words, paths = seen[3]
    slider = opened(tab, **{KEY: epoch})  # a link shows what the hand saw in passing
    assert value(slider) == epoch
    assert shown(tab) == (words, paths)

    tab.get_by_role("link", name="Likelihood").first.click()
    tab.wait_for_selector("h1:has-text('Likelihood')")
    ready(tab)
    tab.get_by_role("link", name="Collapse", exact=True).first.click()
    chart(tab, "collapse_knn").locator(".dot").first.wait_for()
    assert value(control(tab)) == epoch


def test_a_chart_is_a_handle_of_its_timeline(tab):
    slider = opened(tab)
    tab.get_by_role("button", name="Play").click()
    seen = []
    plot = chart(tab, "collapse_knn").locator("svg.plot")
    with held(tab, plot) as move:
        tab.get_by_role("button", name="Play").wait_for()  # it no longer plays
        for share in (0.3, 0.5, 0.7):
            move(share)
            seen.append(value(slider))
    assert seen == sorted(set(seen))
    tab.wait_for_function(f"location.search.includes('{KEY}={seen[-1]}')")
    assert chart(tab, "collapse_loss").locator(".now").inner_text() == f"epoch {seen[-1]}"


def test_a_click_in_the_legend_hides_a_curve(tab):
    opened(tab)
    for key, name in (("collapse_plane_1", "cat"), ("collapse_loss", "no stop-gradient")):
        paths = chart(tab, key).locator("svg.plot path")
        before = paths.count()
        entry = chart(tab, key).get_by_role("button", name=name)
        entry.click()
        assert paths.count() == before - 1
        assert entry.get_attribute("aria-pressed") == "false"
        entry.click()
        assert paths.count() == before


def test_one_timeline_stays_in_view_on_a_phone(tab):
    tab.set_viewport_size(NARROW)
    slider = opened(tab)
    main = tab.locator("[data-testid=stMain]")
    header = tab.locator("[data-testid=stHeader]").bounding_box()
    for key in ("collapse_rank", "collapse_spectrum", "collapse_plane_2", "collapse_uniformity"):
        plot = chart(tab, key).locator("svg.plot")
        plot.evaluate("(plot) => plot.scrollIntoView({block: 'center'})")
        tab.wait_for_timeout(300)
        assert main.evaluate("(main) => main.scrollTop") > 500
        box = slider.bounding_box()
        assert header["y"] + header["height"] <= box["y"] < 200
        seen = set()
        with held(tab, slider) as move:
            for share in (0.2, 0.5, 0.8):
                move(share)
                assert box == slider.bounding_box()
                seen.add(plot.evaluate("(plot) => plot.outerHTML"))
        assert len(seen) == 3
        assert plot.bounding_box()["width"] <= NARROW["width"]
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_picture_is_saved_as_it_stands(tab):
    opened(tab, collapse_epoch=7)
    for key, words in (("collapse_loss", "training loss"), ("collapse_plane_1", "airplane")):
        with tab.expect_download() as download:
            chart(tab, key).get_by_role("button", name="Picture (SVG)").click()
        assert download.value.suggested_filename == f"{key}.svg"
        written = download.value.path().read_text()
        texts = [one.text for one in ElementTree.fromstring(written).iter() if one.text]
        assert any(words in text for text in texts)
        assert "epoch 7" in texts
        assert "var(" not in written


def test_numbers_are_written_as_the_language_writes_them(tab):
    opened(tab, lang="fr")
    ticks = chart(tab, "collapse_loss").locator(".axes text").all_text_contents()
    assert any(re.fullmatch(r"−0,\d+", tick) for tick in ticks)
    assert re.fullmatch(
        "\\d+,\\d\N{NARROW NO-BREAK SPACE}%",
        chart(tab, "collapse_knn").locator(".entry b").first.inner_text(),
    )


def test_little_is_sent_before_the_first_touch(tab):
    sizes = []

    def note(answer):
        if f"/{serving.PREFIX}/" in answer.url:
            sizes.append(int(answer.headers.get("content-length", 0)))

    tab.on("response", note)
    opened(tab)
    tab.wait_for_timeout(500)
    assert 0 < sum(sizes) <= 1e6


@pytest.mark.parametrize(
    ("path", "label", "keys"),
    [
        ("adding-noise", "t", ("noise_agreement", "noise_coefficients")),
        ("collapse-live", "Step", ("toy_cloud", "toy_cloud_own", "toy_loss", "toy_spectrum")),
        ("likelihood", "K", ("likelihood_bars", "likelihood_estimate")),
        ("vae-training", "Epoch", ("training_curves", "training_clock")),
        ("ddpm-training", "Epoch", ("ddpm_curves", "ddpm_clock")),
    ],
)
def test_charts_of_other_pages_follow_too(tab, path, label, keys):
    go(tab, path)
    slider = control(tab, label)
    for key in keys:
        chart(tab, key).locator("svg.plot path").locator("visible=true").first.wait_for()
    seen = {key: set() for key in keys}
    with held(tab, slider) as move:
        for share in POSITIONS:
            move(share)
            for key in keys:
                seen[key].add(chart(tab, key).locator("svg.plot").evaluate("(p) => p.outerHTML"))
    stops = int(slider.get_attribute("max")) + 1
    assert all(len(states) >= min(6, stops) for states in seen.values())


def test_a_stop_of_the_last_run_lies_behind_the_epochs_of_those_before(tab):
    bundle = read_manifest(ROOT / "checkpoints/manifest.json").open("ddpm-svhn-1000")
    starts = lineage.starts(lineage.parts(bundle))
    go(tab, "ddpm-training")
    control(tab, "Epoch")
    drawn = chart(tab, "ddpm_curves")
    dot = drawn.locator(".dot").first
    dot.wait_for()
    last = starts[-1] + len(bundle.history)
    assert drawn.locator(".now").inner_text() == f"epoch {last:,}"
    assert drawn.locator(".part").count() == len(starts) - 1
    ends = dot.evaluate(
        "(one) => [one.getBoundingClientRect(), one.closest('svg').getBoundingClientRect()]"
        ".map((box) => box.right)"
    )
    assert ends[0] == pytest.approx(ends[1], abs=25)  # at the right end, where the last epoch is


# ---------------------------------------------------------------- training of the VAE


def test_the_loss_and_the_epoch_that_moves_it_share_a_screen(tab):
    tab.set_viewport_size({"width": 1280, "height": 720})
    go(tab, "vae-training")
    slider = control(tab, "Epoch")
    loss = chart(tab, "training_curves")
    loss.locator(".dot").first.wait_for()
    for _look in range(50):  # what is above it may still come
        stands(loss)
        loss.evaluate("(one) => one.scrollIntoView({block: 'end'})")
        hand, box = places(tab, "[aria-label=Epoch]", ".st-key-training_curves .chart")
        low, chart_low = (one["y"] + one["height"] for one in (hand, box))
        if 0 <= hand["y"] < low <= box["y"] and chart_low <= 721:
            break
    assert 0 <= hand["y"] < low <= box["y"]
    assert chart_low <= 721
    dot = loss.locator(".dot").first
    before = dot.bounding_box()
    for _step in range(3):
        slider.press("ArrowLeft")
    stands(dot)
    assert dot.bounding_box()["x"] < before["x"] - 5
