"""The diffusion pages: what they show is what the core computes."""

import json
import shutil

import numpy as np
import pytest
import torch

from core.bundles.manifest import register
from core.ddpm.explorer import SamplerSettings
from core.ddpm.feature_views import component_colours, grey_grid, strength
from core.ddpm.schedule import NoiseSchedule
from core.families import open_bundle, read_manifest
from core.pictures.house_number import HouseNumber, draw
from core.resumable import Resumable
from pages.browser import networks
from pages.ddpm import ddpm_lengths
from pages.shared import library, live, loaders
from tests.pages.drawn import charts
from tests.pages.opening import bytes_at, components, frames, moved, source_of

NAME = "ddpm-svhn-1000"
GRID = "Pictures made from noise"
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


def test_walk_and_closed_form_agree_to_rounding(open_page):
    words = said(open_page("adding_noise", noise_t="1000"), "by at most")
    factor, power = words.split("at most **")[1].split("**")[0].split("\u00a0×\u00a010")
    raised = int(power.translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")))
    assert 0 < float(factor) * 10.0**raised < 1e-10


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
    assert len(library.kept("denoise", live.MOST_KEPT)) == 1


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
    at = open_page("denoising", denoise_steps="100")
    explorer = loaders.ddpm(NAME)
    work = Resumable(explorer.denoise_steps(way, seeds))
    for path in work.advance():
        if path.done == 30:
            break
    library.kept("denoise", live.MOST_KEPT).put((explorer.bundle.digest, way, seeds), work)
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
    at = open_page("denoising", denoise_t="1000")
    assert at.session_state["denoise_t"] == 1000
    explorer = loaders.ddpm(NAME)
    whole = explorer.denoise(SamplerSettings("ddim", 20), range(4))
    for which in (1, 4):
        at.slider(key="denoise_which").set_value(which).run()
        for alt, wanted in (
            ("The noisy picture at level {t}", whole.x_t),
            ("The noise that the network sees at level {t}", whole.eps_hat),
            ("The clean picture that the network sees at level {t}", whole.x0_hat),
        ):
            shown = frames(at, "denoise_film", alt)
            np.testing.assert_array_equal(shown, wanted[:, which - 1])
    np.testing.assert_array_equal(whole.x_t[-1], whole.x0_hat[-1])  # the clean end


def test_the_browser_is_given_all_that_it_takes_to_go_the_way(open_page, monkeypatch):
    spec = {"runtime": "/r", "graph": "/g", "weights": "/w"}
    monkeypatch.setattr(networks, "network", lambda of, part: spec if part == "unet" else None)
    at = open_page("denoising", denoise_by="browser", denoise_seed="3", denoise_steps="60")
    found = source_of(at, "denoise_film", "The noisy picture at level {t}")
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
    assert said(at, "not made for browsers")
    assert "denoise_go" in [button.key for button in at.button]


def test_ways_are_compared_from_the_same_noise(open_page):
    at = open_page("denoising")
    table = at.dataframe[0].value
    assert list(table["network calls"]) == [50, 10, 10, 50]
    off = [float(value) for value in table.iloc[:, -1]]
    assert off[0] == 0
    assert off[1] < off[3]  # fewer steps change less than fresh noise
    at.multiselect(key="compare_ways").set_value(["dpm-20", "dpm-10"]).run()
    assert list(at.dataframe[0].value["network calls"]) == [20, 10]
    at.multiselect(key="compare_ways").set_value([]).run()
    assert said(at, "at least one way")


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
        assert float(table["squared error of the noise"][row]) == pytest.approx(
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
    (told,) = [str(c.value) for c in at.caption if "the-long-one" in str(c.value)]
    assert ("as long as the others" in told) == equal
    assert bool(at.warning) == (not equal)
    if not equal:
        assert "41 + 2 epochs with T = 500, 41 + 3 epochs with" in str(at.warning[0].value)
    training = open_page("ddpm_training")
    assert any("the-long-one" in str(c.value) for c in training.caption)


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
                assert (place, words) == (None, f"T = {T} has no such level")
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


# ---------------------------------------------------------------- inside the U-Net


def test_segments_need_a_layer_and_a_level(open_page):
    at = open_page("inside_the_unet")
    before = source(at, "Segments by k-means on activations")
    at.multiselect(key="inside_layers").set_value(["down 16"]).run()
    assert source(at, "Segments by k-means on activations") != before
    at.multiselect(key="inside_levels").set_value([]).run()
    assert not at.exception
    assert said(at, "at least one layer")


def test_every_layer_can_be_looked_at(open_page):
    seen = set()
    for layer in loaders.ddpm(NAME).layers:
        at = open_page("inside_the_unet", inside_layer=layer)
        (channels,) = components(at)["inside_film"]["rows"][-1]["cells"]
        assert channels["label"].startswith(f"{layer}, channels 1 – ")
        seen.add(frames(at, "inside_film", channels["alt"]).tobytes())
    assert len(seen) == len(loaders.ddpm(NAME).layers)


def test_what_moves_with_t_is_what_the_network_holds_there(open_page):
    explorer = loaders.ddpm(NAME)
    at = open_page("inside_the_unet", inside_t="250")
    control, told = (components(at)[key] for key in ("inside_t_hand", "inside_film"))
    assert (control["value"], at.session_state["inside_t"]) == (250, 250)
    levels = [stop - 1 for stop in control["stops"]]
    looks = explorer.predict(PICTURE, levels, 0)
    shown, _shares = component_colours(explorer.features(PICTURE, levels, 0), "cell")
    wanted = [
        np.stack([look.x_t for look in looks]),
        np.stack([look.x0_hat for look in looks]),
        *(shown[layer] for layer in explorer.layers),
    ]
    cells = [*told["rows"][0]["cells"], *told["rows"][1]["cells"]]
    for cell, pictures in zip(cells, wanted, strict=True):
        np.testing.assert_array_equal(frames(at, "inside_film", cell["alt"]), pictures)
    moved(at, "inside_t", 500)
    assert at.query_params["inside_t"] == "500"
    assert said(at, "t: 500")
    assert components(at)["inside_film"] == told  # all of it was there before


def test_a_t_at_which_the_timeline_does_not_stop_gives_way(open_page):
    at = open_page("inside_the_unet", inside_t="123")
    assert components(at)["inside_t_hand"]["value"] == 150
    assert at.session_state["links"].refused["inside_t"].wanted == "123"


def test_the_view_is_that_of_the_pictures_that_move(open_page):
    at = open_page("inside_the_unet", inside_view="strength", inside_scope="layer")
    levels = [stop - 1 for stop in components(at)["inside_t_hand"]["stops"]]
    activations = loaders.ddpm(NAME).features(PICTURE, levels, 0)
    stem = components(at)["inside_film"]["rows"][1]["cells"][0]
    np.testing.assert_array_equal(
        frames(at, "inside_film", stem["alt"]), grey_grid(strength(activations), "layer")["stem"]
    )


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


def test_the_gallery_holds_pictures_of_the_diffusion_model():
    shown = library.gallery()
    assert shown.of.name == NAME
    assert shown.pictures.shape == (24, 32, 32, 3)
