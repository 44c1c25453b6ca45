"""Finding t*, VAE against DDPM: what the pages show is what the core computes."""

import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
import streamlit as st
import torch
from safetensors.numpy import load_file, save_file

from core.bundles.manifest import register
from core.ddpm.explorer import DDPMExplorer, SamplerSettings
from core.ddpm.restoration import TStar, crossing, find_t_star
from core.families import open_bundle
from core.pictures.house_number import HouseNumber, draw
from core.resumable import Resumable
from pages.ddpm import t_star as page
from pages.ddpm.parts import copies, prediction, quick_look, restored
from pages.ddpm.parts import t_star_of_set as of_set
from pages.ddpm.parts.restored import UNRELATED, SweepResult, around, interval_words
from pages.shared import figures, library, live, loaders, training
from pages.shared.picking import PickedPicture
from tests.pages.opening import answered, components, frames, moved
from tests.pages.sentences import like

NAME, SHORT = "ddpm-svhn-1000", "ddpm-svhn-500"
PICTURE = draw(HouseNumber())
ORDER = ("tstar_t_hand", "tstar_predict", "tstar_film")
FEW = {"tstar_levels": "5", "tstar_draws": "2", "tstar_way": "DDIM 20"}
QUICK = np.linspace(40, 800, 12).round().astype(int)
"""Levels of the page before anything is chosen."""
GRID = restored.GRID


def opened(open_page, **query):
    """The page with its answer shown, as it is for who has predicted."""
    return open_page("t_star", **({"tstar_guess": "-1"} | query))


def source(at, alt):
    return next(
        img.url for image in at.image for img in image.proto.imgs if img.alt.startswith(alt)
    )


def shown(at, alt):
    return [img.url for image in at.image for img in image.proto.imgs if img.alt.startswith(alt)]


def said(at, *sentences, **values):
    """The text with one of those sentences in it."""
    texts = [*at.markdown, *at.info, *at.caption, *at.error, *at.warning]
    wanted = like(*sentences, **values)
    return next((str(e.value) for e in texts if wanted.search(str(e.value))), "")


def t_star_said(at):
    return said(at, restored.T_STAR, restored.LIES_BETWEEN, restored.WITH_INTERVAL)


def predicted(at, *guess):
    """Whether a prediction, of that level, is held against the answer."""
    values = {"guess": guess[0]} if guess else {}
    return said(at, *prediction.PREDICTED.values(), **values)


def headline(at):
    """Between which levels t* lies, as the page says it."""
    (words,) = re.findall(r"\*\*.*\*\*", said(at, restored.LIES_BETWEEN))
    low, high = re.findall(r"\d[\d,]*", words)
    return int(low.replace(",", "")), int(high.replace(",", ""))


def in_table(at):
    """t* by PSNR, as the table has it."""
    table = next(t.value for t in at.dataframe if "t*" in t.value.columns)
    return int(table["t*"][1].replace(",", ""))


def crossed(whole, compared):
    """A threshold of the PSNR that the curve of a sweep crosses, as its slider has it."""
    means = compared.scores["psnr"][0].mean(axis=1)
    return round(2 * float(means[0] + means[-1]) / 2) / 2


def sweep(way, levels, draws, seed=0, pictures=PICTURE[None]):
    explorer, judge = loaders.ddpm(NAME), loaders.judge()
    *_, whole = explorer.restore(way, pictures, [level - 1 for level in levels], draws, seed)
    return whole, judge.compare(pictures, whole.now)


# ---------------------------------------------------------------- t*


def test_a_quick_look_is_there_at_once(open_page):
    at = opened(open_page)
    few = {"quick": "DDIM 10", "levels": 8, "few": 4}
    assert said(at, page.QUICK_LOOK, **few, way="DDIM 50", draws=4)
    whole, compared = sweep(SamplerSettings("ddim", 10), QUICK, 4)
    threshold = crossed(whole, compared)
    at = opened(open_page, tstar_by="PSNR", tstar_rule_psnr=str(threshold))
    rule = replace(loaders.judge().rules()["psnr"], threshold=threshold)
    found = find_t_star(whole.t + 1, compared.scores["psnr"][0], rule)
    interval = interval_words(found, whole.t + 1)
    words = restored.WITH_INTERVAL.format(t=f"{found.t:.0f}", T="1,000", draws=4, interval=interval)
    told = said(at, words)
    assert words in told
    assert "*PSNR*" in told  # by which measure
    assert np.isfinite([found.low, found.high]).all()


def test_the_first_sweep_is_there_before_the_first_visitor(open_page, monkeypatch):
    quick_look.prepare()
    asked = []
    restore = DDPMExplorer.restore
    monkeypatch.setattr(DDPMExplorer, "restore", lambda *args: asked.append(args) or restore(*args))
    assert said(open_page("t_star"), page.QUICK_LOOK, quick="DDIM 10")
    assert not asked
    assert said(open_page("t_star", tstar_seed="5"), page.QUICK_LOOK, quick="DDIM 10")
    assert len(asked) == 1


def test_a_click_sweeps_with_the_way_and_the_draws_that_were_chosen(open_page):
    levels = np.linspace(40, 800, 5).round().astype(int)
    whole, compared = sweep(SamplerSettings("ddim", 20), levels, 2)
    threshold = crossed(whole, compared)
    at = opened(open_page, **FEW, tstar_by="PSNR", tstar_rule_psnr=str(threshold))
    quick = source(at, GRID)
    at.button(key="tstar_go").click().run()
    assert not at.exception
    assert not said(at, page.QUICK_LOOK)
    assert said(at, "sampler: DDIM 20")
    assert source(at, GRID) != quick
    rule = replace(loaders.judge().rules()["psnr"], threshold=threshold)
    found = find_t_star(whole.t + 1, compared.scores["psnr"][0], rule)
    low, high = headline(at)
    assert low <= found.t <= high
    levels = (whole.t + 1).tolist()
    assert levels.index(high) - levels.index(low) == 1


def test_what_moves_with_t_is_what_came_back_from_there(open_page):
    at = opened(open_page, tstar_t="300")
    control, told = (components(at)[key] for key in ("tstar_t_hand", "tstar_film"))
    whole, compared = sweep(SamplerSettings("ddim", 10), QUICK, 4)
    assert control["stops"] == (whole.t + 1).tolist()
    assert control["value"] == 300
    large, *strips = (row["cells"] for row in told["rows"])
    first, draws = large[:3], large[3:]
    wanted = [PICTURE[None], whole.noised[0, :, 0], whole.glance[0, :, 0]]
    wanted += [whole.now[0, :, which] for which in range(2)]
    for cell, pictures in zip([*first, *draws], wanted, strict=True):
        np.testing.assert_array_equal(frames(at, "tstar_film", cell["alt"]), pictures)
    after, scores = compared.after, compared.scores["psnr"]
    for which, cell in enumerate(draws):
        for place, words in enumerate(cell["label"]):
            digit, p = after.digit[0, place, which], after.confidence[0, place, which]
            mark = "✓" if digit == compared.before.digit[0] else "✗"
            assert words == f"{mark} {digit} · {p:.0%}\n{scores[0, place, which]:.1f} dB"
    assert [[cell["label"] for cell in row] for row in strips] == [
        [str(t + 1) for t in whole.t]
    ] * 2
    moved(at, "tstar_t", 600)
    assert at.query_params["tstar_t"] == "600"
    assert said(at, "t′: 600")
    assert components(at)["tstar_film"] == told  # all of it was there before


def test_three_ways_have_a_timeline_of_their_own(open_page):
    at = opened(open_page, three_t="200")
    whole, compared = sweep(SamplerSettings("ddim", 10), QUICK, 4)
    assert components(at)["three_t_hand"]["value"] == 200
    for way, pictures in (("one shot", whole.glance), ("many steps", whole.now)):
        np.testing.assert_array_equal(
            frames(at, "three_film", f"Restored: {way}"), pictures[0, :, 0]
        )
    place = (whole.t + 1).tolist().index(200)
    table = next(t.value for t in at.dataframe if "restored by" in t.value.columns)
    assert table["PSNR (dB)"][1] == f"{compared.scores['psnr'][0, place, 0]:.1f}"


def test_the_judge_looks_at_a_quick_look_once(open_page, monkeypatch):
    asked = []
    whole = type(loaders.judge()).compare

    def counted(self, pictures, restored):
        asked.append(restored.shape)
        return whole(self, pictures, restored)

    monkeypatch.setattr(type(loaders.judge()), "compare", counted)
    at = opened(open_page)
    at.run()
    assert len([shape for shape in asked if shape[1:3] == (8, 4)]) == 1


def test_every_measure_has_its_own_t_star(open_page):
    at = opened(open_page)
    table = next(t.value for t in at.dataframe if "t*" in t.value.columns)
    whole, compared = sweep(SamplerSettings("ddim", 10), QUICK, 4)
    for (name, rule), row in zip(
        loaders.judge().rules().items(), table["t*"].tolist(), strict=True
    ):
        found = find_t_star(whole.t + 1, compared.scores[name][0], rule)
        beyond = {-np.inf: f"< {whole.t[0] + 1}", np.inf: f"> {whole.t[-1] + 1}"}
        assert row == (beyond.get(found.t) or f"{found.t:,.0f}"), name
    assert "–" not in set(table["interval"])


def test_a_moved_threshold_is_that_of_the_table_too(open_page):
    threshold = crossed(*sweep(SamplerSettings("ddim", 10), QUICK, 4))
    at = opened(open_page)
    at.slider(key="tstar_rule_digit").set_value(0.9).run()
    at.slider(key="tstar_rule_psnr").set_value(threshold).run()
    table = next(t.value for t in at.dataframe if "t*" in t.value.columns)
    assert table["threshold"].tolist()[:2] == ["≥ 0.90", f"≥ {threshold:.2f}"]
    at.button_group(key="tstar_by").set_value("psnr").run()
    assert at.slider(key="tstar_rule_digit").value == 0.9
    assert said(at, restored.T_STAR, t=in_table(at))


def test_a_threshold_that_unrelated_samples_meet_is_called_too_easy(open_page):
    strict = opened(open_page, tstar_by="PSNR", tstar_rule_psnr="40")
    assert not said(strict, restored.TOO_EASY)
    at = opened(open_page, tstar_by="PSNR", tstar_rule_psnr="5")
    assert said(at, restored.TOO_EASY)


def test_every_picture_has_its_own_unrelated_samples_and_they_are_judged_once(monkeypatch):
    judge, explorer = loaders.judge(), loaders.ddpm(NAME)
    sheets = explorer.bundle.progress("samples")
    samples = library.sheet(explorer.bundle, "samples", max(sheets), UNRELATED)
    pictures = [PICTURE, draw(HouseNumber(text="8"))]
    asked = []
    whole = type(judge).compare

    def counted(self, pictures, restored):
        asked.append(restored.shape)
        return whole(self, pictures, restored)

    monkeypatch.setattr(type(judge), "compare", counted)
    found = SweepResult(
        explorer, judge, [PickedPicture("maker", p, "") for p in pictures], None, None, "", 0
    )
    for index, picture in enumerate(pictures):
        many = torch.from_numpy(samples).permute(0, 3, 1, 2) / 255
        one = torch.from_numpy(picture).permute(2, 0, 1) / 255
        error = (many - one).square().mean(dim=(1, 2, 3))
        expected = float((-10 * error.log10()).mean())
        assert found.unrelated_scores(index)["psnr"] == pytest.approx(expected, abs=1e-4)
        assert found.unrelated_scores(index) is found.unrelated_scores(index)
    assert asked == [(1, 1, *samples.shape)] * 2


@pytest.mark.parametrize(
    ("t", "expected"),
    [
        (150.0, [(0, "just below"), (1, "nearest"), (2, "just above")]),
        (200.0, [(1, "just below"), (2, "nearest"), (3, "just above")]),
        (290.0, [(2, "just below"), (3, "nearest")]),
        (-np.inf, [(0, "above"), (1, "above")]),
        (np.inf, [(2, "below"), (3, "below")]),
    ],
)
def test_strips_are_next_to_t_star(t, expected):
    found = around(t, np.array([90, 160, 200, 300]))
    assert found == [(place, restored.AROUND[part]) for place, part in expected]


def test_a_stricter_threshold_gives_an_earlier_t_star(open_page):
    whole, compared = sweep(SamplerSettings("ddim", 10), QUICK, 4)
    low, high = (crossed(whole, compared) + step for step in (-0.5, 0.5))
    at = opened(open_page, tstar_by="PSNR", tstar_rule_psnr=str(low))
    loose = in_table(at)
    at.slider(key="tstar_rule_psnr").set_value(high).run()
    assert in_table(at) < loose


def test_a_result_stays_pale_while_settings_change(open_page):
    at = opened(open_page, **FEW)
    at.button(key="tstar_go").click().run()
    swept, found = source(at, GRID), said(at, "### **t")
    assert not said(at, page.CHANGED)
    at.number_input(key="tstar_seed").set_value(3).run()
    assert not at.exception
    assert source(at, GRID) == swept
    assert said(at, "### **t") == found
    assert said(at, page.CHANGED, way="DDIM 20", levels=5, draws=2, seed=0)
    pale = [html.proto.body for html in at.get("html") if "opacity" in html.proto.body]
    assert [key in "".join(pale) for key in ("tstar_before_film ", "tstar_before ")] == [True] * 2
    assert not said(at, page.QUICK_LOOK)
    at.button(key="tstar_go").click().run()
    assert source(at, GRID) != swept
    assert not said(at, page.CHANGED)


def test_a_result_of_another_picture_does_not_stay(open_page):
    at = opened(open_page, **FEW)
    at.button(key="tstar_go").click().run()
    at.slider(key="tstar_count").set_value(2).run()
    assert not at.exception
    assert said(at, page.QUICK_LOOK)
    assert not said(at, page.CHANGED)


def test_what_t_star_is_stands_above_the_pictures(open_page):
    at = opened(open_page)
    places = {
        getattr(one, "key", None) or getattr(one.proto, "id", ""): i
        for i, one in enumerate(at.main)
    }
    film = next(place for key, place in places.items() if "tstar_film" in key)
    texts = [i for i, one in enumerate(at.main) if "### **t\\*" in str(getattr(one, "value", ""))]
    assert len(texts) == 1
    assert texts[0] < film
    at = opened(open_page, tstar_by="SSIM")
    assert said(at, "By the measure *SSIM*")


def test_a_stopped_sweep_goes_on_to_the_same_pictures(open_page):
    at = opened(open_page, **FEW)
    at.button(key="tstar_go").click().run()
    works = library.answers("tstar", live.MOST_KEPT)
    (request,) = works.requests()
    finished = works.get(request).newest.now
    explorer = loaders.ddpm(NAME)
    zero_based = [level - 1 for level in request.levels]
    steps = explorer.restore(request.way, PICTURE[None], zero_based, request.draws, 0)
    works.put(request, Resumable(steps))
    next(works.get(request).advance())
    at.run()
    assert said(at, "steps are done").startswith("0 of ")
    assert said(at, page.STILL_ON_THEIR_WAY)
    assert not t_star_said(at)
    assert not shown(at, GRID)
    at.button(key="tstar_on").click().run()
    assert not at.exception
    assert not said(at, "steps are done")
    np.testing.assert_array_equal(works.get(request).newest.now, finished)


def test_several_pictures_have_their_own_t_star(open_page):
    at = opened(open_page, tstar_count="3")
    assert shown(at, restored.TOGETHER)
    draws, pictures = 4, 3
    assert said(at, f"seeds: 0 – {draws * pictures - 1}")
    assert said(at, f"vae-svhn · {library.bundle('vae-svhn').digest}")  # beside the DDPM's
    before = frames(at, "tstar_film", "The original picture")
    at.slider(key="tstar_which").set_value(2).run()
    assert said(at, "drawn house number 8")
    assert (frames(at, "tstar_film", "The original picture") != before).any()


def test_one_level_is_too_few(open_page):
    at = opened(open_page, tstar_span_1000=["500", "520"])
    assert at.slider(key="tstar_span_1000").value == (500, 520)
    assert said(at, page.TOO_FEW_LEVELS)


def test_every_stored_t_star_falls_into_one_bin():
    levels = np.array([49, 99, 149])
    names, shares = of_set.bins(np.array([-np.inf] * 2 + [49, 60, 99, 120] + [np.inf] * 2), levels)
    assert names == ["< 50", "50–100", "100–150", "> 150"]
    assert shares.tolist() == [0.25, 0.25, 0.25, 0.25]


def test_the_areas_of_the_bars_are_shares():
    levels = np.array([49, 99, 199])
    t_star = np.array([-np.inf, 49, 60, 99, 120, 150, 180, np.inf])
    found = of_set.histogram_bars(t_star, levels, 0.5)
    assert found["x"].tolist() == [25, 75, 150, 225]
    assert found["width"].tolist() == [25, 25, 50, 25]
    assert found["y"].tolist() == [1 / 8, 2 / 8, 4 / 8 / 2, 1 / 8]
    assert found["customdata"][2] == "100–200: 50.0%"
    assert of_set.histogram_bars(t_star, np.array([0]), 1.0)["y"].sum() == 1  # one level alone


def test_t_star_beyond_the_levels_is_said_to_be_there():
    levels = np.array([49, 99, 199])
    shown = [of_set.t_star_words(t, levels) for t in (-np.inf, 49.0, 120.4, np.inf)]
    assert shown == ["< 50", "50", "121", "> 200"]
    assert [of_set.beyond(t) for t in (-np.inf, 60.0, np.inf)] == ["below", "", "above"]


def with_curves(name, **changed):
    """A bundle of the manifest with other arrays of t*."""
    bundle = library.bundle(name)
    bundle = replace(bundle)  # without the arrays that it has read
    arrays = library.bundle(name).profiles | {f"t_star_{key}": a for key, a in changed.items()}
    object.__setattr__(bundle, "profiles", {k: a for k, a in arrays.items() if a is not None})
    return bundle


@pytest.fixture
def with_curves_on_disk(monkeypatch, tmp_path):
    """The library with other arrays in the bundle with T = 1000."""

    def change(**arrays):
        place = shutil.copytree(library.own_manifest().root, tmp_path / "checkpoints")
        folder = place / NAME
        profiles = load_file(folder / "profiles.safetensors") | arrays
        save_file(profiles, folder / "profiles.safetensors")
        title = library.own_manifest().entry(NAME).title
        register(place / "manifest.json", open_bundle(folder), name=NAME, title=title)
        monkeypatch.setenv("ATELIER_CHECKPOINTS", str(place))

    return change


def test_a_bundle_that_lacks_an_array_has_no_curves():
    assert of_set.has_curves(with_curves(NAME))
    for absent in ("levels", "labels", "contrast", "curves_ssim"):
        assert not of_set.has_curves(with_curves(NAME, **{absent: None}))


def median_of_set(name, criterion, threshold):
    """The median t* of a bundle's test digits as the page counts it, picture by picture."""
    bundle, rule = library.bundle(name), loaders.judge().rules()[criterion]
    levels = bundle.profiles["t_star_levels"]
    curves = bundle.profiles[f"t_star_curves_{criterion}"]
    found = [crossing(levels, curve, replace(rule, threshold=threshold)) for curve in curves]
    return sorted(found)[(len(found) - 1) // 2] + 1


def test_the_histogram_is_the_stored_one(open_page):
    bundle = library.bundle(NAME)
    curves = bundle.profiles["t_star_curves_psnr"].astype(float)
    threshold = round(2 * float(np.median(curves))) / 2
    median = median_of_set(NAME, "psnr", threshold)
    assert np.isfinite(median)
    at = opened(open_page, tstar_set_by="PSNR", tstar_set_rule_psnr=str(threshold))
    assert said(at, of_set.MEDIAN, median=f"{median:,.0f}")


def test_a_digit_that_is_often_kept_by_chance_is_named(open_page, with_curves_on_disk):
    """All that the judge says of pure noise is 3: of the draws of a 3 it keeps all."""
    labels = library.bundle(NAME).profiles["t_star_labels"]
    curves = library.bundle(NAME).profiles["t_star_curves_digit"].copy()
    curves[:, -1] = labels == 3
    with_curves_on_disk(t_star_curves_digit=curves.astype(np.float16))
    at = opened(open_page)
    share = (labels == 3).mean()
    kept = {"last": "1,000", "share": f"{share:.0%}", "digit": 3, "most": "100%"}
    assert said(at, of_set.KEPT_BY_CHANCE, **kept)
    at.button_group(key="tstar_set_by").set_value("psnr").run()
    assert not said(at, of_set.KEPT_BY_CHANCE)


def test_the_headline_says_over_how_much_of_the_test_set():
    whole = library.bundle(NAME)
    assert of_set.headline(whole) == of_set.OVER_ALL
    t_star = whole.metrics["judged"]["t_star"] | {"pictures": 10}
    part = replace(whole, metrics=whole.metrics | {"judged": {"t_star": t_star}})
    tested = whole.config["data"]["test_pictures"]
    assert of_set.headline(part) == of_set.OVER_SOME.format(count=10, every=f"{tested:,}")


def test_a_stricter_threshold_of_the_test_set_is_crossed_at_lower_levels(open_page):
    medians = [median_of_set(NAME, "digit", threshold) for threshold in (0.3, 0.5, 0.9)]
    assert medians[0] > medians[1] > medians[2]
    at = opened(open_page, tstar_set_rule_digit="0.9")
    assert said(at, of_set.MEDIAN, median=f"{medians[2]:,.0f}")


def test_where_something_of_the_picture_is_left_no_digit_is_kept_by_chance(open_page):
    """T = 500 ends with a little of the picture in x_t."""
    at = opened(open_page, tstar_bundle=library.own_manifest().entry(SHORT).title)
    assert said(at, of_set.MEDIAN)
    assert not said(at, of_set.KEPT_BY_CHANCE)


def test_where_the_measure_loses_less_than_half_of_the_pictures_the_page_says_so(open_page):
    curves = library.bundle(NAME).profiles["t_star_curves_psnr"]
    lowest = curves.min(axis=1).astype(float)  # below it a picture is never lost
    few, most = (float(2 * bound) / 2 for bound in (np.ceil(lowest.max()), 5.0))
    never = (curves >= most).all(axis=1).mean()
    assert never > 0.5
    at = opened(open_page, tstar_set_by="PSNR", tstar_set_rule_psnr=str(most))
    assert said(at, of_set.NEVER_LOST)
    assert not said(at, of_set.SOME_IS_LEFT)
    assert said(at, of_set.MEDIAN, never=f"{never:.0%}")
    at = opened(open_page, tstar_set_by="PSNR", tstar_set_rule_psnr=str(few))
    assert not said(at, of_set.NEVER_LOST)
    short = {"tstar_bundle": library.own_manifest().entry(SHORT).title, "tstar_set_by": "PSNR"}
    at = opened(open_page, **short, tstar_set_rule_psnr=str(most))
    assert said(at, f"{of_set.NEVER_LOST} {of_set.SOME_IS_LEFT}", last=500, signal="0.0064")


def of_models(at):
    frames = [frame.value for frame in at.dataframe]
    return next(frame for frame in frames if of_set.LOG_SNR in frame.columns)


@pytest.mark.parametrize(("measure", "threshold"), [("digit", 0.5), ("psnr", 15.0)])
def test_what_t_star_depends_on_is_told_by_the_stored_figures(open_page, measure, threshold):
    at = opened(open_page, tstar_set_by=restored.CRITERIA[measure])
    arrays = library.bundle(NAME).profiles
    order = arrays["t_star_contrast"].argsort(kind="stable")
    ends = order[: len(order) // 4], order[-(len(order) // 4) :]
    assert arrays["t_star_contrast"][ends[0]].max() <= arrays["t_star_contrast"][ends[1]].min()
    middle = (len(ends[0]) - 1) // 2
    faint, bold = (np.sort(arrays[f"t_star_{measure}"][end])[middle] + 1 for end in ends)
    if faint == bold:
        assert said(at, of_set.NOT_ON_CONTRAST, t=f"{faint:,.0f}")
    elif 0 < min(faint, bold) <= max(faint, bold) <= 1000:
        both = {"faint": f"{faint:,.0f}", "bold": f"{bold:,.0f}"}
        assert said(at, of_set.ON_CONTRAST, **both)
    told = of_models(at)
    assert told["T"].tolist() == [500, 1000, 1500]
    for place, T in enumerate((500, 1000, 1500)):
        row, bundle = told.iloc[place], library.bundle(f"ddpm-svhn-{T}")
        expected = median_of_set(bundle.name, measure, threshold)
        assert row["bundle"] == f"{bundle.name} · {bundle.digest}"
        assert row["epochs"] == training.epochs_in_words(bundle)
        assert row["test digits"] == f"{len(bundle.profiles['t_star_labels']):,}"
        if np.isinf(expected):
            lowest = library.bundle(bundle.name).profiles["t_star_levels"][0] + 1
            beyond = f"> {T:,}" if expected > 0 else f"< {lowest}"
            assert (row["t*, median"], row[of_set.LOG_SNR]) == (beyond, "–")
            continue
        assert row["t*, median"] == f"{expected:,.0f}"
        kept = float(loaders.ddpm(bundle.name).schedule.alphas_cumprod[round(expected - 1)])
        log_snr = float(row[of_set.LOG_SNR].replace("−", "-"))
        assert log_snr == pytest.approx(np.log(kept / (1 - kept)), abs=0.051)


def test_a_measure_that_loses_nothing_depends_on_nothing(open_page):
    at = opened(open_page, tstar_set_by="PSNR", tstar_set_rule_psnr="5")
    assert said(at, of_set.NOT_ON_CONTRAST, t="> 1,000")
    assert of_models(at)["t*, median"].tolist() == ["> 500", "> 1,000", "> 1,500"]


def test_models_that_another_judge_measured_are_not_compared(open_page, monkeypatch):
    figures = library.bundle("ddpm-svhn-500").metrics["judged"]["t_star"]
    monkeypatch.setitem(figures, "judge", "another")
    assert of_models(opened(open_page))["T"].tolist() == [1000, 1500]


# ---------------------------------------------------------------- predict, then reveal


def test_nothing_of_the_answer_is_sent_before_a_prediction(open_page):
    at = open_page("t_star")
    assert not shown(at, GRID)
    assert not t_star_said(at)
    assert not said(at, restored.IN_THE_ORIGINAL)
    labels = [cell["label"] for cell in components(at)["tstar_film"]["rows"][0]["cells"]]
    assert labels[3:] == ["draw 1", "draw 2"]
    assert not any("read as" in table.value.columns for table in at.dataframe)
    at.button(key="tstar_reveal").click().run()
    assert not at.exception
    assert shown(at, GRID)
    assert not predicted(at)
    assert at.query_params["tstar_guess"] == "-1"


def test_the_prediction_is_asked_for_at_the_timeline(open_page):
    at = open_page("t_star")
    order = [getattr(one, "key", None) or getattr(one.proto, "id", "") for one in at.main]
    place = {name: next(i for i, key in enumerate(order) if name in key) for name in ORDER}
    assert [*sorted(place, key=place.get)] == list(ORDER)
    assert said(at, "**predict it first**")


def test_a_prediction_is_the_level_under_the_hand_and_travels_in_the_link(open_page):
    at = open_page("t_star")
    moved(at, "tstar_t", 300)
    at.button(key="tstar_predict").click().run()
    assert not at.exception
    assert predicted(at, 300)
    assert at.query_params["tstar_guess"] == "300"
    assert predicted(open_page("t_star", tstar_guess="300"), 300)


def test_a_prediction_is_of_its_picture(open_page):
    at = open_page("t_star", tstar_guess="300")
    assert predicted(at, 300)
    at.text_input(key="tstar_text").set_value("42").run()
    assert not at.exception
    assert not predicted(at)
    assert not shown(at, GRID)


def test_a_prediction_is_of_its_model_and_of_one_picture(open_page):
    at = open_page("t_star", tstar_guess="300", tstar_count="2")
    assert predicted(at, 300)
    at.slider(key="tstar_which").set_value(2).run()
    assert not predicted(at)
    assert not shown(at, GRID)
    at = open_page("t_star", tstar_guess="300")
    at.selectbox(key="tstar_bundle").set_value("ddpm-svhn-500").run()
    assert not predicted(at)


@pytest.mark.parametrize(
    ("guess", "expected"),
    [
        (199, "below"),
        (200, "right"),
        (350, "right"),
        (400, "right"),
        (401, "above"),
        (0, ""),
        (-1, ""),
    ],
)
def test_a_prediction_is_held_against_the_interval(guess, expected):
    curve = np.zeros(4)
    found = TStar(300.0, 200.0, 400.0, curve, curve, curve)
    words = prediction.verdict(guess, found, np.array([100, 250, 350, 500]))
    assert words == (prediction.PREDICTED[expected].format(guess=guess) if expected else "")


@pytest.mark.parametrize(("guess", "expected"), [(249, "below"), (250, "right"), (351, "above")])
def test_without_an_interval_it_is_held_against_the_levels_around(guess, expected):
    curve = np.zeros(4)
    found = TStar(300.0, np.nan, np.nan, curve, curve, curve)
    words = prediction.verdict(guess, found, np.array([100, 250, 350, 500]))
    assert words == prediction.PREDICTED[expected].format(guess=guess)


def test_old_links_to_the_attack_open_its_page(open_page, monkeypatch):
    asked = []
    monkeypatch.setattr(
        st, "switch_page", lambda page, query_params: asked.append((page, query_params))
    )
    at = open_page(
        "t_star",
        tstar_view="Undo an attack",
        tstar_text="42",
        tstar_bundle="ddpm-svhn-500",
        purify_levels="12",
        purify_share="0.5",
        lang="en",
    )
    assert not at.exception
    (page, query), *_ = asked
    assert page.url_path == "undo-an-attack"
    assert query == {
        "lang": ["en"],
        "purify_levels": ["12"],
        "purify_share": ["0.5"],
        "purify_bundle": ["ddpm-svhn-500"],
        "attack_text": ["42"],
    }


# ---------------------------------------------------------------- VAE against DDPM


def test_the_first_samples_are_stored_and_others_are_drawn(open_page):
    at = open_page("vae_and_ddpm")
    assert said(at, f"seeds: 0 – 15 · {figures.WITH_THE_BUNDLE}")
    first = source(at, "Samples of DDPM"), source(at, "Samples of VAE")
    at.number_input(key="against_seed").set_value(7).run()
    assert not at.exception
    at = open_page("vae_and_ddpm", against_seed="100", against_way="DDIM 20")
    assert said(at, "seeds: 100 – 115 · computed live")
    assert source(at, "Samples of DDPM") != first[0]
    assert source(at, "Samples of VAE") != first[1]


def test_many_samples_wait_for_the_click(open_page):
    at = open_page("vae_and_ddpm", against_count="32", against_way="DDIM 20", against_seed="50")
    assert not shown(at, "Samples of DDPM")
    at.button(key="against_go").click().run()
    assert not at.exception
    assert shown(at, "Samples of DDPM")


def test_the_figures_are_those_of_the_samples(open_page):
    at = open_page("vae_and_ddpm", against_seed="3", against_way="DDIM 20")
    judge = loaders.judge()
    found = judge.quality(loaders.vae_samples("vae-svhn", 3, 16).value)
    table = next(t.value for t in at.dataframe if "measure" in t.value.columns)
    row = table.set_index("measure")["VAE"]
    assert row["sharpness"] == f"{found.sharpness:.1f}"
    assert row["diversity"] == f"{found.diversity:.2f}"
    assert row["Frechet distance"] == f"{found.frechet:.2f}"


def test_the_final_figures_are_the_stored_ones(open_page):
    at = open_page("vae_and_ddpm")
    tables = [t.value for t in at.dataframe if "measure" in t.value.columns]
    table = max(tables, key=lambda one: one.shape[1]).set_index("measure")
    vae = library.bundle("vae-svhn").metrics["judged"]["samples"]
    assert table["VAE"]["pictures"] == f"{vae['samples']:,}"
    assert table["VAE"]["Frechet distance"] == f"{vae['frechet']:.2f}"
    assert table.shape[1] == 5  # the VAE, three diffusion models, test digits


def test_the_nearest_training_picture_is_shown_where_the_data_is(
    open_page, monkeypatch, svhn_folder
):
    assert said(open_page("vae_and_ddpm"), copies.AFTER_DOWNLOAD)
    monkeypatch.setenv("ATELIER_DATA_DIR", str(svhn_folder))
    at = open_page("vae_and_ddpm")
    assert len(shown(at, copies.NEAREST)) == 2
    assert said(at, "among: 64 training pictures")


def test_the_answer_is_computed_from_the_samples(open_page):
    at = answered(open_page("vae_and_ddpm"), "against_digits")
    quality = loaders.judge().quality(loaders.vae_samples("vae-svhn", 0, 16).value)
    words = said(at, "**VAE, digits:")
    assert f"differ by {quality.sharpness:.1f} grey levels" in words
