"""T = 500, 1000, 1500: brightness against closed forms, time and quality of one sampling, the verdict."""

import base64
import json
import shutil

import numpy as np
import pytest
from scipy import stats

from core.bundles.manifest import register
from core.ddpm.restoration import COVERAGE
from core.families import open_bundle, read_manifest
from core.pictures.images import to_tensor
from core.vae import ppca
from pages.ddpm import ddpm_lengths
from pages.ddpm.parts import brightness, lengths_samples, lengths_trade, samples
from pages.shared import figures, library, loaders, shape
from tests.pages.sentences import like

PAGE = "ddpm_lengths"
NAMES = [f"ddpm-svhn-{T}" for T in (500, 1000, 1500)]
FIGURES = {
    "sure": 0.44,
    "samples": 2000,
    "diversity": 0.82,
    "frechet": 0.52,
    "sharpness": 6.3,
    "sharpness_of_test": 7.2,
}


def said(at, words):
    texts = [*at.markdown, *at.info, *at.caption]
    return next((str(e.value) for e in texts if words in str(e.value)), "")


def shown(at, alt):
    return [img.url for image in at.main.image for img in image.proto.imgs if img.alt == alt]


def chart(at, words):
    """The series of the chart one of whose axes has that title."""
    specs = [json.loads(one.proto.spec) for one in at.get("plotly_chart")]
    return next(spec["data"] for spec in specs if words in json.dumps(spec["layout"]))


# ---------------------------------------------------------------- brightness


def test_brightness_of_known_pictures():
    pictures = np.zeros((3, 32, 32, 3), np.uint8)
    pictures[:, :, :, 0] = np.array([30, 60, 90])[:, None, None]
    found = brightness.of_pictures(pictures)
    np.testing.assert_allclose(found.colour, [60, 0, 0])
    np.testing.assert_allclose(found.each, [10, 20, 30])
    assert found.spread == pytest.approx(10)
    assert found.brightness == pytest.approx(20)


def test_a_linear_model_knows_the_brightness_of_what_it_was_fitted_to():
    generator = np.random.default_rng(0)
    light = generator.normal(120, 40, (300, 1, 1, 1)).clip(0, 255)
    tint = np.array([10, 0, -10])
    noise = generator.normal(0, 5, (300, 32, 32, 3))
    pictures = (light + tint + noise).clip(0, 255).astype(np.uint8)
    x = to_tensor(pictures).numpy().reshape(300, -1)
    fitted = ppca.fit(x)
    found, exact = (
        brightness.of_linear_model(fitted.mean, fitted.loadings),
        brightness.of_pictures(pictures),
    )
    np.testing.assert_allclose(found.colour, exact.colour, atol=0.01)
    assert found.spread == pytest.approx(exact.spread, rel=0.01)


@pytest.mark.parametrize("count", [12, 24, 200])
def test_the_interval_of_a_spread_is_that_of_a_gaussian(count):
    light = brightness.Light(np.full(3, 100.0), 20.0, np.zeros(count))
    tail = (1 - COVERAGE) / 2
    exact = 20 * np.sqrt((count - 1) / stats.chi2.ppf([1 - tail, tail], count - 1))
    np.testing.assert_allclose(light.spread_interval, exact, rtol=0.01)


def lights(**spreads):
    return {
        int(T[1:]): brightness.Light(np.full(3, 100.0), spread, np.zeros(24))
        for T, spread in spreads.items()
    }


@pytest.mark.parametrize(
    ("spreads", "varies", "least"),
    [
        ({"T500": 15, "T1000": 42, "T1500": 45}, "narrow", 500),
        ({"T500": 20, "T1000": 30, "T1500": 18}, "narrow", 1500),
        ({"T500": 40, "T1000": 42, "T1500": 45}, "alike", None),
        ({"T500": 40, "T1000": 42, "T1500": 90}, "wide", None),
    ],
)
def test_brightness_in_words(spreads, varies, least):
    goal = brightness.Light(np.full(3, 110.0), 43.0, np.empty(0))
    found = lengths_samples.in_words(lights(**spreads), goal)
    assert found.startswith(lengths_samples.BRIGHTNESS[varies].format(T=least))
    factor = np.sqrt(23 / stats.chi2.ppf((1 - COVERAGE) / 2, 23))
    few = sum(spread * factor < 43 for spread in spreads.values())
    assert bool(like(lengths_samples.TOO_LITTLE).search(found)) == (few > 1)
    for T, spread in spreads.items():
        values = {"spread": spread, "T": T[1:], "share": f"{100 * spread / 43:.0f}%"}
        assert like(lengths_samples.SPREAD_WITH, **values).search(found)


# ---------------------------------------------------------------- the verdict


def told(*changes):
    stored = {T: FIGURES | one for T, one in zip((500, 1000, 1500), changes, strict=True)}
    return lengths_trade.verdict(stored)


def test_the_verdict_follows_the_figures():
    always, enough = lengths_trade.ALWAYS, lengths_trade.ENOUGH
    gain, none, loss = (lengths_trade.FROM_TO[better] for better in (1, 0, -1))
    half = told({"frechet": 0.63, "sure": 0.41}, {}, {"sure": 0.438})
    assert half.startswith(always["not always"])
    assert gain.format(a=500, b=1000, before="0.63", after="0.52") in half
    assert like(none, a=1000, b=1500).search(half)
    assert half.endswith(enough.format(T=1000))
    rising = told({"frechet": 0.9}, {"frechet": 0.7}, {"frechet": 0.5})
    assert rising.startswith(always["yes"])
    assert rising.endswith(enough.format(T=1500))
    never = told({}, {}, {})
    assert never.startswith(always["no"])
    assert never.endswith(enough.format(T=500))
    worse = told({}, {"frechet": 0.9}, {"frechet": 0.9})
    assert like(loss, a=500, b=1000).search(worse)
    assert worse.endswith(enough.format(T=500))


def test_better_in_one_thing_and_worse_in_another_is_not_better():
    shorter = FIGURES | {"frechet": 0.7}
    assert lengths_trade.better(FIGURES, shorter) == 1
    assert lengths_trade.better(FIGURES | {"sure": 0.2}, shorter) == 0
    assert lengths_trade.better(shorter, FIGURES) == -1
    assert lengths_trade.better(FIGURES | {"sharpness": 1.0}, FIGURES) == 0


def test_a_step_of_one_network_takes_one_time():
    bundles = [library.bundle(name) for name in NAMES]
    step, common = lengths_trade.step_times(bundles)
    assert common
    assert set(step) == {np.median([of.metrics["timing"]["seconds_a_step"] for of in bundles])}
    words = lengths_trade.cost([500, 1000, 1500], step)
    assert like(lengths_trade.COST, times="3.0", first=500).fullmatch(words)


def test_other_networks_keep_their_own_times(monkeypatch):
    bundles = [library.bundle(name) for name in NAMES]
    changed = {**bundles[1].config["architecture"], "unet": {"architecture": "another"}}
    monkeypatch.setitem(bundles[1].config, "architecture", changed)
    step, common = lengths_trade.step_times(bundles)
    assert not common
    assert step == [of.metrics["timing"]["seconds_a_step"] for of in bundles]


def test_time_and_quality_are_of_the_same_sampling():
    explorers = [loaders.ddpm(name) for name in NAMES]
    found = lengths_trade.samplings(explorers, [0.002] * 3)
    for explorer in explorers:
        by = {one.sampler: one for one in found if one.T == explorer.T}
        stored = explorer.bundle.metrics["judged"]["samples"]
        assert (by["final"].seconds, by["final"].sure) == (pytest.approx(0.1), stored["sure"])
        assert by["final"].frechet == stored["frechet"]
        sheet = lengths_samples.sheet_of(explorer.bundle, "ancestral")
        sure = loaders.judge().judge(sheet).sure.mean()
        assert (by["ancestral"].seconds, by["ancestral"].sure) == (
            pytest.approx(0.002 * explorer.T),
            pytest.approx(sure),
        )
        assert by["ancestral"].frechet is None


# ---------------------------------------------------------------- the page


def test_the_page_begins_with_samples_of_each_model_from_the_same_seeds(open_page):
    at = open_page(PAGE)
    alts = [lengths_samples.SAMPLES_OF.format(title=f"T = {T}") for T in (500, 1000, 1500)]
    urls = [shown(at, alt) for alt in alts]
    assert [len(one) for one in urls] == [1, 1, 1]
    assert at.main.image[0].proto.imgs[0].alt == alts[0]
    other = open_page(PAGE, lengths_sampler="ancestral")
    assert shown(other, alts[0]) != urls[0]


def test_brightness_is_that_of_the_pictures_above(open_page):
    series = chart(open_page(PAGE), lengths_samples.BRIGHTNESS_OF_ONE)
    for trace, name in zip(series, NAMES, strict=False):
        sheet = lengths_samples.sheet_of(library.bundle(name), "final")
        found = trace["y"]
        if isinstance(found, dict):  # Plotly packs numbers
            found = np.frombuffer(base64.b64decode(found["bdata"]), found["dtype"])
        np.testing.assert_allclose(found, sheet.reshape(24, -1).mean(axis=1))


def test_real_digits_stand_next_to_the_samples_where_they_are_at_hand(
    open_page, monkeypatch, tmp_path, tiny_library, svhn_folder
):
    alt = lengths_samples.REAL_DIGITS
    assert not shown(open_page(PAGE), alt)
    monkeypatch.setenv("ATELIER_DATA_DIR", str(svhn_folder))
    assert not shown(open_page(PAGE), alt)  # not those that the models were measured on
    shutil.copytree(tiny_library, tmp_path / "checkpoints")
    folder, manifest = tmp_path / "checkpoints" / NAMES[0], tmp_path / "checkpoints/manifest.json"
    config = json.loads((folder / "config.json").read_text())
    config["data"]["test_fingerprint"] = loaders.picture_set("svhn", "test").fingerprint()
    (folder / "config.json").write_text(json.dumps(config))
    entry = next(e for e in read_manifest(manifest).entries if e.name == folder.name)
    register(manifest, open_bundle(folder), name=entry.name, title=entry.title)
    monkeypatch.setenv("ATELIER_CHECKPOINTS", str(tmp_path / "checkpoints"))
    assert len(shown(open_page(PAGE), alt)) == 1


def test_every_figure_names_all_three_models(open_page):
    at = open_page(PAGE)
    sources = [str(c.value) for c in at.caption if figures.WITH_THE_BUNDLE in str(c.value)]
    joint = [one for one in sources if NAMES[0] in one]
    assert joint
    assert all(name in one for one in joint for name in NAMES)


def test_the_epochs_that_the_models_share_are_said_at_the_top(open_page):
    bundle = library.bundle(NAMES[0])
    words = ddpm_lengths.what_differs([library.bundle(name) for name in NAMES])
    assert said(open_page(PAGE), words)
    assert words == ddpm_lengths.T_ALONE or bundle.ancestors


@pytest.mark.parametrize(
    ("titles", "own", "words"),
    [
        (["DDPM, T = 1000, U-Net"] * 2, 20, ddpm_lengths.SHARED_WITH_T),
        (["DDPM, T = 1000", "DDPM, T = 500"], 20, ddpm_lengths.SHARED),
        ([None, None], 7, ddpm_lengths.SHARED),
    ],
)
def test_shared_epochs_are_those_of_the_ancestors(monkeypatch, titles, own, words):
    bundles = [library.bundle(name) for name in NAMES]
    ancestors = [
        {"name": name, "epochs": epochs} | ({"title": title} if title else {})
        for name, epochs, title in zip(("a", "b"), (50, 182), titles, strict=True)
    ]
    for one in bundles:
        monkeypatch.setitem(one.config["training"], "ancestors", ancestors)
        monkeypatch.setitem(one.config["training"], "epochs_done", own)
    wanted = words.format(last=own, before=232, T=1000)
    assert ddpm_lengths.what_differs(bundles) == wanted
    monkeypatch.setitem(bundles[1].config["training"], "ancestors", ancestors[:1])
    assert ddpm_lengths.what_differs(bundles) == ddpm_lengths.T_ALONE


def test_the_page_answers_in_one_verdict(open_page):
    at = open_page(PAGE)
    assert said(at, samples.IN_ORDER.format(first=0, last=23))
    stored = {
        T: library.bundle(name).metrics["judged"]["samples"]
        for T, name in zip((500, 1000, 1500), NAMES, strict=True)
    }
    assert said(at, lengths_trade.verdict(stored))
    panels = {trace.get("xaxis", "x") for trace in chart(at, "seconds per picture")}
    assert panels == {"x", "x2"}  # time and quality of the same samplings


def test_on_a_stage_the_title_between_the_panels_has_room():
    """Plotly writes it to the left of the second panel, in letters that are half as large again."""
    explorers = [loaders.ddpm(name) for name in NAMES]
    rows = lengths_trade.samplings(explorers, [0.002] * 3)

    def between():
        layout = lengths_trade.panels(rows, "sure", ["red", "green", "blue"], []).layout
        return layout.xaxis2.domain[0] - layout.xaxis.domain[1]

    usual = between()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shape, "on_stage", lambda: True)
        assert between() > 1.5 * usual
