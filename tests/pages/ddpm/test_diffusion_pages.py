"""The diffusion pages: what they show is what the core computes."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch

from core.bundles.manifest import register
from core.ddpm.explorer import DDPMExplorer, SamplerSettings, _generator_of
from core.ddpm.model import DDPM
from core.ddpm.samplers import sample, time_grid
from core.ddpm.schedule import NoiseSchedule, draw_noise
from core.families import open_bundle, read_manifest
from core.pictures.house_number import HouseNumber, draw
from core.pictures.images import to_pictures
from core.resumable import Resumable
from pages.browser import networks
from pages.ddpm import adding_noise, ddpm_lengths, denoising
from pages.ddpm.parts import compared, denoise_settings, example, way_back
from pages.ddpm.parts.denoise_settings import CHOSEN_WITH, endings
from pages.ddpm.parts.way_back import ALTS, STEP_ALTS
from pages.shared import library, live, loaders, shape, training
from tests.pages.drawn import charts
from tests.pages.opening import bytes_at, components, frames, moved, source_of
from tests.pages.sentences import like

NAME = "ddpm-svhn-1000"
GRID = way_back.GRID
PICTURE = draw(HouseNumber())


def source(at, alt):
    return next(img.url for image in at.image for img in image.proto.imgs if img.alt == alt)


def said(at, words):
    shown = [*at.markdown, *at.info, *at.caption, *at.error]
    return next((str(e.value) for e in shown if words in str(e.value)), "")


# ---------------------------------------------------------------- adding noise


def test_the_table_holds_the_coefficients_at_t(open_page):
    at = open_page("adding_noise", noise_t="500", noise_kind="Cosine")
    table = at.dataframe[0].value.set_index("in code")["value at t = 500"]
    schedule = NoiseSchedule.cosine(1000)
    for name, shown in table.items():
        value = float(getattr(schedule, name)[499])
        assert float(shown.replace("\N{MINUS SIGN}", "-")) == pytest.approx(value, abs=1e-6)
    assert len(table) == 9
    words = at.dataframe[0].value["what it does"]
    assert words[0] == adding_noise.SHORTER.split(adding_noise.COEFFICIENTS["alphas_cumprod"][2])[0]
    assert words.str.len().max() < 60  # what there is room for at 1,280 pixels


@pytest.mark.parametrize(("key", "by_powers"), [("betas", True), ("alphas_cumprod", False)])
def test_a_coefficient_whose_end_would_flatten_the_rest_is_drawn_by_powers(
    open_page, key, by_powers
):
    at = open_page("adding_noise", noise_coefficient=key)
    assert components(at)["noise_coefficients"]["y"]["log"] is by_powers
    (formula,) = [
        latex.value for latex in at.latex if "\\prod" in latex.value or "beta_T" in latex.value
    ][:1]
    assert ("beta_T" in formula) is by_powers


def test_walk_and_closed_form_agree_to_rounding(open_page):
    words = said(open_page("adding_noise", noise_t="1000"), "by at most")
    factor, power = words.split("at most **")[1].split("**")[0].split("\u00a0×\u00a010")
    raised = int(power.translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")))
    assert 0 < float(factor) * 10.0**raised < 1e-10


@pytest.mark.parametrize(
    ("page", "keys", "film"),
    [
        ("adding_noise", ["noise_bundle", "noise_kind", "noise_seed"], "noise_film"),
        ("inside_the_unet", ["inside_bundle", "inside_seed"], "inside_strip"),
        ("ddpm_lengths", ["lengths_seed"], "lengths_film"),
    ],
)
def test_what_else_can_be_chosen_is_closed_and_above_the_pictures(open_page, page, keys, film):
    at = open_page(page)
    (box,) = [one for one in at.expander if one.label.startswith("Another picture")]
    assert not box.proto.expanded
    inside = [getattr(one, "key", None) for one in box]
    assert set(keys) <= set(inside)
    order = list(at.main)
    place = next(i for i, one in enumerate(order) if film in getattr(one.proto, "id", ""))
    assert order.index(box) < place


def test_the_clean_picture_has_no_coefficients(open_page):
    at = open_page("adding_noise", noise_t="0")
    assert not at.dataframe
    assert not said(at, "by at most")


def test_another_number_of_levels_is_another_schedule(open_page):
    at = open_page("adding_noise", noise_t="500")
    at.selectbox(key="noise_bundle").set_value("ddpm-svhn-500").run()
    assert not at.exception
    value = f"{float(NoiseSchedule.linear(500).alphas_cumprod[499]):.6f}"
    assert value in at.dataframe[0].value.to_csv()


# ---------------------------------------------------------------- denoising


def test_a_click_gives_what_was_shown_at_once(open_page):
    at = open_page("denoising")
    at_once = source(at, GRID)
    at.button(key="denoise_go").click().run()
    assert not at.exception
    assert source(at, GRID) == at_once
    assert len(live.works_of("denoise", little=True)) == 1
    assert len(live.works_of("denoise")) == 0


def test_samplers_start_from_the_same_noise_and_end_differently():
    explorer = loaders.ddpm(NAME)
    ways = [
        SamplerSettings("ddim", 20),
        SamplerSettings("dpm", 20),
        SamplerSettings("ddim", 20, eta=1.0),
    ]
    paths = [explorer.denoise(way, [0, 1]) for way in ways]
    for path in paths:
        np.testing.assert_array_equal(path.x_t[0], paths[0].x_t[0])
    assert len({path.result.tobytes() for path in paths}) == len(ways)


def test_clipping_changes_pictures_that_leave_the_range(open_page):
    free, clipped = (
        loaders.ddpm(NAME).denoise(SamplerSettings("ddim", 20, clip_x0=clip), range(16))
        for clip in (False, True)
    )
    changed = [seed for seed in range(16) if (free.x_t[:, seed] != clipped.x_t[:, seed]).any()]
    assert changed  # colours near black or white
    link = {"denoise_seed": str(changed[0]), "denoise_count": "1"}
    shown = [
        source(open_page("denoising", **link, **extra), GRID)
        for extra in ({}, {"denoise_clip": "true"})
    ]
    differ = (free.result[changed[0]] != clipped.result[changed[0]]).any()
    assert (shown[0] != shown[1]) == differ


def test_long_ways_wait_for_the_click(open_page):
    at = open_page("denoising", denoise_sampler="DDPM")
    assert said(at, "press the button")
    assert not [img for image in at.image for img in image.proto.imgs if img.alt == GRID]


def test_a_stopped_way_goes_on_to_the_same_pictures(open_page):
    way, seeds = SamplerSettings("ddim", 100), (0, 1, 2, 3)
    at = open_page("denoising", denoise_steps="100", denoise_noise="own")
    explorer = loaders.ddpm(NAME)
    work = Resumable(explorer.denoise_steps(way, seeds))
    for path in work.advance():
        if path.done == 30:
            break
    live.works_of("denoise").put((explorer.bundle.digest, way, seeds), work)
    at.run()
    assert said(at, "30 of 100 steps are done")
    half_way = source(at, GRID)
    at.button(key="denoise_on").click().run()
    assert not at.exception
    assert not said(at, "steps are done")
    assert source(at, GRID) != half_way
    whole = explorer.denoise(way, seeds)
    np.testing.assert_array_equal(work.newest.result, whole.result)
    np.testing.assert_array_equal(work.newest.t, whole.t)


def test_the_film_is_the_way_that_was_gone(open_page):
    at = open_page("denoising", denoise_t="1000", denoise_noise="own")
    assert at.session_state["denoise_t"] == 1000
    explorer = loaders.ddpm(NAME)
    whole = explorer.denoise(SamplerSettings("ddim", 20), range(4))
    for which in (1, 4):
        at.slider(key="denoise_which").set_value(which).run()
        for alt, wanted in (
            (ALTS["x_t"], whole.x_t),
            (ALTS["eps_hat"], whole.eps_hat),
            (ALTS["x0_hat"], whole.x0_hat),
        ):
            shown = frames(at, "denoise_film", alt)
            np.testing.assert_array_equal(shown, wanted[:, which - 1])
    np.testing.assert_array_equal(whole.x_t[-1], whole.x0_hat[-1])  # the clean end
    shown = frames(at, "denoise_film", STEP_ALTS["ends"])
    np.testing.assert_array_equal(shown, whole.x_t[1:, 3])  # every step is kept
    terms = components(at)["denoise_film"]["rows"][1]["cells"]
    assert [cell["sign"] for cell in terms] == ["", "−", "="]
    first = whole.moves[0]
    assert terms[0]["label"][0] == f"{first.of_x_t:,.3f} · xₜ"
    assert terms[1]["label"][0] == f"{first.of_eps:,.3f} · predicted noise"
    assert terms[0]["label"][-1] == ""  # no step begins at the end


@pytest.mark.parametrize(
    ("link", "term"),
    [
        ({"denoise_eta": "1.0"}, STEP_ALTS["fresh"]),
        ({"denoise_sampler": "dpm"}, STEP_ALTS["correction"]),
    ],
)
def test_what_a_sampler_adds_is_a_term_of_its_step(open_page, link, term):
    at = open_page("denoising", denoise_noise="own", denoise_count="1", denoise_seed="3", **link)
    sampler = link.get("denoise_sampler", "ddim")
    way = SamplerSettings(sampler, 20, eta=float(link.get("denoise_eta", 0)))
    whole = loaders.ddpm(NAME).denoise(way, [3])
    shown = frames(at, "denoise_film", term)
    wanted = np.stack([move.added[0] for move in whole.moves])
    np.testing.assert_array_equal(shown[: len(wanted)], wanted)


@pytest.mark.parametrize("way", [{}, {"denoise_sampler": "dpm"}])
def test_one_step_of_ddpm_is_what_p_sample_makes_with_the_noise_shown(open_page, way):
    at = open_page("denoising", denoise_count="1", denoise_seed="3", denoise_steps="20", **way)
    explorer, levels = loaders.ddpm(NAME), time_grid(1000, 20)[:-1].tolist()
    sampler = way.get("denoise_sampler", "ddim")
    x = torch.from_numpy(explorer.begin(3))[None]
    model = DDPM.from_bundle(library.bundle(NAME))
    steps = sample(model.eps, explorer.schedule, x, time_grid(1000, 20), sampler=sampler)
    with torch.no_grad():
        taken = [(int(step.t), step) for step in steps][:-1]
    assert [t for t, _step in taken] == levels
    mean, fresh, ends = (
        frames(at, "denoise_film", alt)
        for alt in (
            STEP_ALTS["mean of DDPM"],
            STEP_ALTS["fresh of DDPM"],
            STEP_ALTS["end of DDPM"],
        )
    )
    row = components(at)["denoise_film"]["rows"][2]
    assert row["words"] == way_back.OF_DDPM
    assert [cell["sign"] for cell in row["cells"]] == ["", "+", "="]
    noise = [draw_noise(x, [_generator_of(3, t)]) for t in levels]
    for place, (t, step) in enumerate(taken):
        eps_hat = explorer.schedule.walk_noise(step.x0_hat, step.x_t, t)
        wanted = explorer.schedule.p_sample(
            lambda *_, said=eps_hat: said, step.x_t, t, [_generator_of(3, t)]
        )
        for shown, tensor in (
            (mean, explorer.schedule.p_mean(step.x_t, t, eps_hat)),
            (fresh, noise[place] / 3),
            (ends, wanted),
        ):
            off = shown[place].astype(int) - to_pictures(tensor)[0].astype(int)
            assert np.abs(off).max() <= 1
        sigma = float(explorer.schedule.posterior_variance[t].sqrt())
        assert row["cells"][1]["label"][place] == f"{sigma:.3f} · fresh noise"
    assert row["cells"][1]["label"][-1] == ""  # no step begins at the end


def test_ddpm_itself_and_the_stage_have_no_second_row_of_one_step(open_page, monkeypatch):
    words = [row["words"] for row in components(open_page("denoising"))["denoise_film"]["rows"]]
    assert words[1:3] == ["One step", way_back.OF_DDPM]
    path = loaders.ddpm(NAME).denoise(SamplerSettings("ddpm", None), [0])
    assert path.moves
    assert not path.ancestral
    monkeypatch.setattr(shape, "on_stage", lambda: True)
    shown = components(open_page("denoising"))["denoise_film"]["rows"]
    assert not any("One step" in row["words"] for row in shown)


def test_noise_that_becomes_a_digit_is_that_of_the_chosen_seed(open_page):
    bundle = library.bundle(NAME)
    stored = bundle.metrics["way"]
    chosen = endings(bundle)
    assert chosen  # or the test shows nothing
    surest = max(
        (sure, digit)
        for place, (sure, digit) in enumerate(
            zip(stored["confidence"], stored["digit"], strict=True)
        )
        if digit == place
    )[1]
    assert next(iter(chosen)) == str(surest)
    at = open_page("denoising")
    seed = stored["seeds"][surest]
    assert said(at, f"seeds: {seed} ·")
    whole = loaders.ddpm(NAME).denoise(CHOSEN_WITH, [seed])
    shown = frames(at, "denoise_film", ALTS["x_t"])
    np.testing.assert_array_equal(shown, whole.x_t[:, 0])
    note = said(at, denoise_settings.CHOSEN.format(count=stored["of"]))
    assert "*any seed*" in note  # what becomes of the others stands there too
    linked = open_page("denoising", denoise_seed="5")
    assert said(linked, "seeds: 5 – 8")  # a link with a seed asks for that one
    assert not said(linked, "**Chosen**")


def test_chosen_noise_begins_with_the_steps_that_it_was_chosen_with(open_page):
    at = open_page("denoising")
    steps = at.slider(key="denoise_steps")
    assert steps.value == CHOSEN_WITH.steps
    assert said(at, "DDIM, 50 steps")
    at.segmented_control(key="denoise_noise").set_value("own").run()
    assert at.slider(key="denoise_steps").value == 20  # nobody has set it
    at.slider(key="denoise_steps").set_value(30).run()
    at.segmented_control(key="denoise_noise").set_value(
        next(iter(endings(library.bundle(NAME))))
    ).run()
    assert at.slider(key="denoise_steps").value == 30


@pytest.mark.parametrize("noise", [{}, {"denoise_noise": "own"}])
def test_a_link_that_names_the_steps_stands(open_page, noise):
    for steps in (20, 50):
        at = open_page("denoising", denoise_steps=str(steps), **noise)
        assert at.slider(key="denoise_steps").value == steps


def test_another_sampler_is_not_said_to_end_in_the_chosen_digit(open_page):
    for link in ({"denoise_steps": "20"}, {"denoise_sampler": "dpm"}, {"denoise_eta": "1.0"}):
        at = open_page("denoising", **link)
        told = [str(caption.value) for caption in at.caption]
        other = like(denoise_settings.CHOSEN_WITH_ANOTHER, chosen_with="DDIM, 50 steps, η = 0.00")
        assert any(other.match(one) for one in told)
        assert not any(like(denoise_settings.CHOSEN).search(one) for one in told)


def test_no_noise_is_shown_where_none_is_predicted(open_page):
    at = open_page("denoising", denoise_t="0")
    alt = ALTS["eps_hat"]
    places = source_of(at, "denoise_film", alt)["places"]
    stops = components(at)["denoise_t_hand"]["stops"]
    cell = components(at)["denoise_film"]["rows"][0]["cells"][1]
    labels = dict(zip(stops, cell["label"], strict=True))
    assert [stop for stop, place in zip(stops, places, strict=True) if place is None] == [0]
    assert labels[0] == way_back.NONE_PREDICTED
    assert labels[1000] == "predicted noise"


def test_a_bundle_without_chosen_seeds_begins_with_any(open_page, monkeypatch):
    monkeypatch.delitem(library.bundle(NAME).metrics, "way")
    at = open_page("denoising")
    assert not at.exception
    assert said(at, "seeds: 0 – 3")


def test_a_result_stays_while_settings_change(open_page):
    at = open_page("denoising", denoise_noise="own", denoise_count="4")
    before = components(at)["denoise_film"]
    at.slider(key="denoise_steps").set_value(100).run()
    assert not at.exception
    assert said(at, denoising.CHANGED)
    assert components(at)["denoise_film"]["rows"][0] == before["rows"][0]
    at.button(key="denoise_go").click().run()
    assert not said(at, denoising.CHANGED)
    assert said(at, "DDIM, 100 steps")


def test_who_joins_a_way_that_has_not_moved_yet_sees_its_noise(open_page):
    way, seeds = SamplerSettings("ddim", 60), (5, 6, 7, 8)
    explorer = loaders.ddpm(NAME)
    work = Resumable(explorer.denoise_steps(way, seeds))
    next(work.advance())
    live.works_of("denoise").put((explorer.bundle.digest, way, seeds), work)
    at = open_page("denoising", denoise_seed="5", denoise_count="4", denoise_steps="60")
    assert said(at, "0 of 60 steps are done")
    assert len(components(at)["denoise_film"]["rows"]) == 3  # none for a step


# ---------------------------------------------------------------- one training example


def test_an_example_is_what_the_network_guesses(open_page):
    at = open_page("ddpm_training", ddpm_example_of="drawn", ddpm_example_seed="7")
    explorer = loaders.ddpm(NAME)
    digit, _words = example.drawn_digit(7)
    drawn = explorer.draw_level(7) + 1
    assert at.session_state["ddpm_example_t"] == drawn
    stops = components(at)["ddpm_example_t_hand"]["stops"]
    looks = explorer.predict(digit, [stop - 1 for stop in stops], 7)
    for alt, part in (
        (example.ALTS["x_t"], "x_t"),
        (example.ALTS["eps_hat"], "eps_hat"),
        (example.ALTS["off"], "off"),
    ):
        shown = frames(at, "ddpm_example_film", alt)
        np.testing.assert_array_equal(shown, [getattr(look, part) for look in looks])
    rows = components(at)["ddpm_example_film"]["rows"]
    assert rows[1]["cells"][2]["label"] == [f"loss {look.loss:.4f}" for look in looks]
    now = looks[stops.index(drawn)]
    assert said(at, f"here **{now.loss:.4f}**")


def test_to_draw_again_draws_picture_noise_and_level(open_page):
    at = open_page("ddpm_training", ddpm_example_of="drawn")
    before = components(at)["ddpm_example_film"]
    moved(at, "ddpm_example_t", components(at)["ddpm_example_t_hand"]["stops"][0])
    at.button(key="ddpm_example_seed_draw").click().run()
    assert not at.exception
    seed = at.session_state["ddpm_example_seed"]
    assert at.session_state["ddpm_example_t"] == loaders.ddpm(NAME).draw_level(seed) + 1
    assert components(at)["ddpm_example_film"] != before


def test_an_example_is_a_test_digit_where_those_are_at_hand(open_page, monkeypatch, svhn_folder):
    monkeypatch.setenv("ATELIER_DATA_DIR", str(svhn_folder))
    at = open_page("ddpm_training", ddpm_example_seed="3")
    count = loaders.picture_count("svhn", "test")
    row = int(np.random.default_rng(3).integers(count))
    (wanted,) = loaders.some_pictures("svhn", "test", [row]).pictures
    shown = frames(at, "ddpm_example_film", example.ALTS["x0"])
    np.testing.assert_array_equal(shown[0], wanted)


def test_the_browser_is_given_all_that_it_takes_to_go_the_way(open_page, monkeypatch):
    spec = {"runtime": "/r", "graph": "/g", "weights": "/w"}
    monkeypatch.setattr(networks, "network", lambda of, part: spec if part == "unet" else None)
    at = open_page("denoising", denoise_by="browser", denoise_seed="3", denoise_steps="60")
    found = source_of(at, "denoise_film", ALTS["x_t"])
    explorer = loaders.ddpm(NAME)
    grid = SamplerSettings("ddim", 50).grid(explorer.T)
    assert (found["kind"], found["network"]) == ("way", spec)
    assert found["levels"] == grid[:-1].tolist()
    np.testing.assert_allclose(found["alpha_bar"], explorer.schedule.alpha_bar(grid))
    assert found["alpha_bar"][-1] == 1
    noise = np.frombuffer(bytes_at(found["noise"]), "<f4").reshape(3, 32, 32)
    wanted = torch.randn(3, 32, 32, generator=torch.Generator().manual_seed(3))
    np.testing.assert_array_equal(noise, wanted.numpy())
    assert "denoise_go" not in [button.key for button in at.button]
    assert said(at, "DDIM, 50 steps")


def test_a_network_that_no_browser_knows_is_run_by_the_server(open_page):
    at = open_page("denoising", denoise_by="browser")
    assert said(at, denoising.UNKNOWN_TO_BROWSERS)
    assert "denoise_go" in [button.key for button in at.button]


@pytest.fixture
def counted(monkeypatch):
    """How many ways were gone for the comparison of samplers, and by which sampler."""
    gone, denoise = [], DDPMExplorer.denoise

    def counting(explorer, settings, seeds):
        if len(seeds) == compared.PICTURES:
            gone.append(settings)
        return denoise(explorer, settings, seeds)

    monkeypatch.setattr(DDPMExplorer, "denoise", counting)
    return gone


def test_ways_are_compared_from_the_same_noise(open_page):
    at = open_page("denoising")
    at.button(key="compare_ask").click().run()
    table = at.dataframe[0].value
    assert list(table["network calls"]) == [50, 10, 10, 50]
    off = [float(value) for value in table.iloc[:, -1]]
    assert off[0] == 0
    assert off[1] < off[3]  # fewer steps change less than fresh noise
    at.multiselect(key="compare_ways").set_value(["dpm-20", "dpm-10"]).run()
    assert list(at.dataframe[0].value["network calls"]) == [20, 10]
    at.multiselect(key="compare_ways").set_value([]).run()
    assert said(at, compared.CHOOSE)


def test_samplers_that_nobody_asks_about_are_not_compared(open_page, counted):
    at = open_page("denoising")
    assert not counted
    assert not at.dataframe
    assert "4 samplers" in at.button(key="compare_ask").label
    assert "compare_ways" not in at.query_params
    at.button(key="compare_ask").click().run()
    assert counted == [compared.WAYS[code][1] for code in compared.FIRST]
    assert at.query_params["compare_ways"] == list(compared.FIRST)
    assert "compare_ask" not in [button.key for button in at.button]


def test_a_second_visitor_finds_the_comparison_that_another_asked_for(open_page, counted):
    first = open_page("denoising")
    first.button(key="compare_ask").click().run()
    found = first.dataframe[0].value
    counted.clear()
    second = open_page("denoising")
    pd.testing.assert_frame_equal(second.dataframe[0].value, found)
    assert not counted


@pytest.mark.parametrize("link", [{"compare_ways": ["ddim-5", "dpm-5"]}, {"compare_seed": "3"}])
def test_a_link_to_a_comparison_shows_it(open_page, counted, link):
    at = open_page("denoising", **link)
    assert (
        len(at.dataframe[0].value) == len(counted) == len(link.get("compare_ways", compared.FIRST))
    )


def test_a_step_that_shows_the_comparison_asks_for_it(open_page, counted):
    at = open_page("denoising", figures="denoising_compared")
    assert len(at.dataframe[0].value) == len(counted) == len(compared.FIRST)


def test_every_step_is_only_taken_when_asked(open_page):
    at = open_page("denoising")
    at.multiselect(key="compare_ways").set_value(["ddpm"]).run()
    assert "Take every step" in at.button(key="compare_go").label
    assert not at.dataframe


# ---------------------------------------------------------------- T = 500, 1000, 1500


def test_models_are_aligned_by_noise(open_page):
    at = open_page("ddpm_lengths", lengths_at_noise="0")
    table = at.dataframe[0].value
    for T, t in zip(table["T"], table["t"], strict=True):
        schedule = NoiseSchedule.linear(int(T))
        assert int(t) - 1 == int(schedule.log_snr.abs().argmin())
    assert list(table["T"]) == [500, 1000, 1500]


def test_a_model_that_ends_before_the_level_is_left_out_and_said_so(open_page):
    at = open_page("ddpm_lengths", lengths_align="Same t", lengths_at_t="1000")
    assert list(at.dataframe[0].value["T"]) == [1000, 1500]
    assert said(at, "T = 500 ends before")


def test_the_error_of_each_model_is_its_own(open_page):
    at = open_page("ddpm_lengths", lengths_align="Same t", lengths_at_t="250")
    table = at.dataframe[0].value
    for row, T in enumerate((500, 1000, 1500)):
        (look,) = loaders.ddpm(f"ddpm-svhn-{T}").predict(PICTURE, [249], 0)
        assert float(table[ddpm_lengths.SQUARED_ERROR][row]) == pytest.approx(
            look.eps_mse, abs=1e-4
        )


def test_the_runs_compared_have_the_same_network_and_data():
    configs = [library.bundle(f"ddpm-svhn-{T}").config for T in (500, 1000, 1500)]
    for config in configs:
        config["architecture"]["schedule"].pop("T")
    assert all(config["architecture"] == configs[0]["architecture"] for config in configs)
    assert all(config["data"] == configs[0]["data"] for config in configs)
    assert len({config["training"]["batch_size"] for config in configs}) == 1


@pytest.fixture
def lengths_trained_for(tmp_path, monkeypatch):
    """Bundles whose configurations say how long they were trained, weights as embedded."""

    def make(epochs_of, **more):
        shutil.copytree(library.own_manifest().root, tmp_path / "checkpoints")
        manifest = tmp_path / "checkpoints/manifest.json"
        for T, epochs in epochs_of.items():
            folder = tmp_path / f"checkpoints/ddpm-svhn-{T}"
            config = json.loads((folder / "config.json").read_text())
            config["training"] |= {"epochs_done": epochs, **more}
            (folder / "config.json").write_text(json.dumps(config))
            entry = next(e for e in read_manifest(manifest).entries if e.name == folder.name)
            register(manifest, open_bundle(folder), name=entry.name, title=entry.title)
        monkeypatch.setenv("ATELIER_CHECKPOINTS", str(tmp_path / "checkpoints"))

    return make


@pytest.mark.parametrize(("of_500", "equal"), [(50, True), (12, False)])
def test_runs_that_are_not_equally_long_are_compared_with_a_warning(
    open_page, lengths_trained_for, of_500, equal
):
    lengths_trained_for({500: of_500, 1000: 50, 1500: 50})
    at = open_page("ddpm_lengths")
    warned = [str(element.value) for element in at.warning]
    assert warned == [] if equal else "12 epochs with T = 500, 50 epochs with" in warned[0]


@pytest.mark.parametrize(("last_of_500", "equal"), [(3, True), (2, False)])
def test_what_three_lengths_have_in_common_is_said_where_they_went_on_from_one_model(
    open_page, lengths_trained_for, last_of_500, equal
):
    lengths_trained_for(
        {500: last_of_500, 1000: 3, 1500: 3}, ancestors=[{"name": "the-long-one", "epochs": 41}]
    )
    at = open_page("ddpm_lengths")
    last = "3" if equal else "2 – 3"
    told = like(ddpm_lengths.SHARED, last=last, before=41)
    assert any(told.search(str(m.value)) for m in at.markdown)
    assert "the-long-one" not in " ".join(str(c.value) for c in at.caption)  # said once
    assert bool(at.warning) == (not equal)
    if not equal:
        assert "41 + 2 epochs with T = 500, 41 + 3 epochs with" in str(at.warning[0].value)
    assert said(open_page("ddpm_training"), "(41 + 3 epochs)")


@pytest.mark.parametrize("alignment", ["noise", "share", "t"])
def test_each_model_moves_through_its_own_levels(open_page, alignment):
    at = open_page("ddpm_lengths", lengths_align=alignment)
    told = components(at)
    stops = told[f"lengths_at_{alignment}_hand"]["stops"]
    for cell, T in zip(told["lengths_film"]["rows"][0]["cells"], (500, 1000, 1500), strict=True):
        explorer = loaders.ddpm(f"ddpm-svhn-{T}")
        places = source_of(at, "lengths_film", cell["alt"])["places"]
        shown = frames(at, "lengths_film", cell["alt"])
        for place, stop, words in zip(places, stops, cell["label"], strict=True):
            level = ddpm_lengths.level(alignment, stop, explorer)
            if level is None:
                assert (place, words) == (None, ddpm_lengths.NO_SUCH_LEVEL.format(T=T))
                continue
            assert words == f"T = {T}, t = {level + 1}"
            (look,) = explorer.predict(PICTURE, [level], 0)
            np.testing.assert_array_equal(shown[place], look.x_t)
        assert len({place for place in places if place is not None}) > 6


def test_under_each_guess_is_its_error(open_page):
    told = components(open_page("ddpm_lengths"))
    explorer, stop = loaders.ddpm(NAME), told["lengths_at_noise_hand"]["stops"][5]
    (look,) = explorer.predict(PICTURE, [explorer.schedule.nearest_t(stop)], 0)
    words = told["lengths_film"]["rows"][1]["cells"][1]["label"][5]
    error = float(words.removeprefix("squared error ").replace(",", ""))
    assert error == pytest.approx(look.x0_mse, rel=1e-3, abs=1e-3)


def test_the_table_follows_when_the_timeline_is_let_go(open_page):
    at = open_page("ddpm_lengths")
    told = components(at)["lengths_film"]
    moved(at, "lengths_at_noise", -3)
    assert at.query_params["lengths_at_noise"] == "-3"
    assert said(at, "aligned: log SNR \N{MINUS SIGN}3")
    assert components(at)["lengths_film"] == told  # all of it was there before
    table = at.dataframe[0].value
    for T, t in zip(table["T"], table["t"], strict=True):
        assert int(t) - 1 == loaders.ddpm(f"ddpm-svhn-{T}").schedule.nearest_t(-3)


# ---------------------------------------------------------------- training


def test_the_curves_are_the_history(open_page):
    at = open_page("ddpm_training")
    history = library.bundle(NAME).history
    chart = charts(at)["ddpm_curves"]
    assert chart.spec["timeline"] == "ddpm_epoch"
    columns = {"training": "train_loss", "test": "test_loss"}
    assert set(chart.y) == set(columns)
    for name, y in chart.y.items():
        np.testing.assert_allclose(y, [row[columns[name]] for row in history], rtol=1e-6)


def test_the_curves_and_the_clock_go_through_all_runs(open_page, monkeypatch):
    bundle = library.bundle(NAME)
    own = bundle.history
    took = own[-1]["seconds_total"] / 60
    ancestors = [
        {"name": "first", "epochs": len(own), "minutes": took, "history": own},
        {"name": "second", "epochs": 30, "minutes": 5.0},
    ]
    monkeypatch.setitem(bundle.config["training"], "ancestors", ancestors)
    at, count = open_page("ddpm_training"), len(own)
    before = count + 30
    drawn = charts(at)
    by_name = {one["name"]: (x, y) for one, x, y in drawn["ddpm_curves"].series()}
    for name, column in (("training", "train_loss"), ("test", "test_loss")):
        x, y = by_name[name]
        assert list(x) == [*range(1, count + 1), before, *range(before + 1, before + count + 1)]
        losses = [row[column] for row in own]
        np.testing.assert_allclose(y, [*losses, np.nan, *losses], rtol=1e-6)
    for key in ("ddpm_curves", "ddpm_clock"):
        assert drawn[key].spec["marks"] == [count + 0.5, before + 0.5]
        assert drawn[key].spec["shift"] == before
    (_clock, x, y), (untold, *line) = drawn["ddpm_clock"].series()
    assert y[-1] == pytest.approx(5 + 2 * took, rel=1e-6)
    assert untold["dash"] == "dot"
    np.testing.assert_allclose(line, [[count, before], [took, took + 5]], rtol=1e-6)
    assert said(at, training.NO_CURVES_BUT_TIME.format(missing=30, all=before + count))
    words = components(at)["ddpm_epoch_hand"]["words"]["stops"]
    assert words[-1] == str(before + count)
    cell = components(at)["ddpm_epoch_film"]["rows"][0]["cells"][0]
    assert cell["label"][0].startswith(f"Samples after epoch {before},")
    assert said(at, training.BEGIN_LATE.format(epochs=before))


def test_where_a_run_does_not_tell_its_minutes_the_clock_is_that_of_the_last(
    open_page, monkeypatch
):
    bundle = library.bundle(NAME)
    monkeypatch.setitem(bundle.config["training"], "ancestors", [{"name": "first", "epochs": 30}])
    at = open_page("ddpm_training")
    clock = charts(at)["ddpm_clock"]
    assert clock.spec["y"]["title"] == training.SINCE_THE_LAST_RUN
    ((_one, x, y),) = clock.series()
    assert x[0] == 31
    np.testing.assert_allclose(y, [row["seconds_total"] / 60 for row in bundle.history], rtol=1e-6)
    words = training.NO_CURVES.format(missing=30, all=30 + len(bundle.history))
    assert said(at, words).endswith(words)


def test_the_gallery_holds_pictures_of_the_diffusion_model():
    shown = library.gallery()
    assert shown.of.name == NAME
    assert shown.pictures.shape == (24, 32, 32, 3)
