"""Every control of every page: change it, and what the visitor sees is different."""

import re

import numpy as np
import pytest
import streamlit as st

from core.pictures import data, house_number, images
from pages.browser import serving
from pages.browser.timeline import HAND
from pages.shared import library, links, loaders, picking, site, text
from pages.shared.picking import INKS, WALLS
from pages.vae import interpolation, likelihood
from tests.pages.opening import checked, components, frames, moved, source_of
from tests.pages.sentences import like, refusal

NAME = "vae-svhn"
WITHOUT_EFFECT = {
    # Chooses what a button next to it does; the button is tested below.
    "latent_dice",
    "teach_room",
    "likelihood_k",
    "likelihood_repeats",
    "likelihood_seed",
    # Happens by chance, and to neither view of the first seed: its own test, with the other parts of a view.
    "views_grey",
    # Changes only pictures whose colours leave the range: its own test.
    "denoise_clip",
    # Opens nothing before its button is clicked: its own tests, with guests.
    "checkpoints_place",
    # The language: its own tests.
    "language_widget",
}
PAGES = [page for pages in site.SECTIONS.values() for page in pages if page is not site.HOME]


def visible(at):
    """What a visitor sees that a control could change, without the seconds it took."""
    pictures = [url for image in at.main.image for url in image.value]
    charts = [chart.proto.spec for chart in at.get("plotly_chart")]
    figures = [(metric.label, metric.value, metric.delta) for metric in at.metric]
    words = [element.value for element in (*at.markdown, *at.error, *at.info, *at.success)]
    plain = [re.sub(r"\d+[.,]\d+ s", "", str(word)) for word in words]
    plain += [re.sub(r"\d+[.,]\d+ s", "", caption.value) for caption in at.caption]
    tables = [table.value.to_csv() for table in at.dataframe]
    films = [given for key, given in components(at).items() if not key.endswith(HAND)]
    return pictures, charts, figures, plain, tables, films


def hands(at):
    """The stops of every timeline in the browser, by its key; arrows that a hand turns have none."""
    return {
        key.removesuffix(HAND): given["stops"]
        for key, given in components(at).items()
        if key.endswith(HAND) and "stops" in given
    }


def another(widget, kind):
    """A value of the widget that is not the one it has."""
    if kind == "slider" and isinstance(widget.value, tuple):
        return (widget.min, (widget.min + widget.value[1]) // 2)
    if kind == "slider":
        return widget.min if widget.value != widget.min else widget.max
    if kind == "number_input":
        return 7 if widget.value != 7 else 8
    if kind == "toggle":
        return not widget.value
    if kind == "text_input":
        return "42"
    if kind == "multiselect":  # one less
        return widget.value[:-1]
    return next(option for option in widget.options if str(option) != str(widget.value))


KINDS = (
    "slider",
    "select_slider",
    "number_input",
    "selectbox",
    "multiselect",
    "toggle",
    "text_input",
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.path)
def test_every_control_changes_what_one_sees(open_page, page):
    at = open_page(page.name)
    start, changed = visible(at), None
    controls = [(kind, widget.key) for kind in KINDS for widget in getattr(at, kind)]
    for kind, key in controls:
        if key in WITHOUT_EFFECT:
            continue
        if (
            changed is not None
        ):  # back to the start, in one run with the next change if that is there
            put_back(at, *changed)
            there = key in {widget.key for widget in getattr(at, kind)}
            if kind == "multiselect" or not there:  # which a list of presets may set as well
                at.run()
        widget = getattr(at, kind)(key=key)
        place = widget.index if kind == "selectbox" else widget.value
        if kind == "selectbox":  # its options are what the visitor reads, not its values
            widget.select_index(0 if place else 1).run()
        else:
            widget.set_value(another(widget, kind)).run()
        assert not at.exception
        assert visible(at) != start, key
        changed = (kind, key, place)
    if changed is not None:
        put_back(at, *changed)
        at.run()
    for key, stops in hands(at).items():
        now = at.session_state[key]
        before = visible(at)
        moved(at, key, next(stop for stop in stops if stop != now))
        assert visible(at) != before, key
    nothing_yet = page in (site.SHEET, site.TEACH)  # nothing is kept, and no room is open
    assert changed or page.name in CHOICES or nothing_yet


def put_back(at, kind, key, old):
    widget = getattr(at, kind)(key=key)
    if kind == "selectbox":
        widget.select_index(old)
    else:
        widget.set_value(old)


CHOICES = {
    "latent_space": {"latent_from": ["prior", "gallery"]},
    "interpolation": {
        "interpolation_a_from": ["gallery", "prior"],
        "interpolation_b_from": ["gallery", "prior"],
    },
    "latent_profiles": {
        "profiles_order": ["kl", "number"],
        "profiles_whiskers": ["spread"],
        "profiles_class": ["1", "9"],
        "profiles_figure": ["map", "two", "cost"],
    },
    "likelihood": {
        "likelihood_from": ["gallery"],
        "likelihood_ink": list(INKS)[1:],
        "likelihood_wall": list(WALLS)[1:],
    },
    "vae_training": {"training_curve": ["kl", "nll", "mse", "active"]},
    "adding_noise": {
        "noise_from": ["gallery"],
        "noise_kind": ["cosine"],
        "noise_coefficient": [
            "betas",
            "alphas",
            "sqrt_recip_alphas",
            "alphas_cumprod_prev",
            "sqrt_alphas_cumprod",
            "sqrt_one_minus_alphas_cumprod",
            "posterior_variance",
            "log_snr",
        ],
    },
    "denoising": {"denoise_sampler": ["dpm", "ddpm"], "denoise_by": ["browser"]},
    "t_star": {
        "tstar_from": ["gallery"],
        "tstar_way": ["ddim-20", "dpm-20", "ddim-50-eta-1", "ddpm"],
        "tstar_by": ["psnr", "ssim", "features"],
        "tstar_set_by": ["psnr", "ssim", "features"],
        "tstar_set_class": ["0", "7"],
    },
    "vae_and_ddpm": {"against_way": ["ddim-20", "dpm-20"]},
    "ddpm_lengths": {
        "lengths_from": ["gallery"],
        "lengths_align": ["share", "t"],
        "lengths_axis": ["share"],
        "lengths_sampler": ["ancestral"],
        "lengths_quality": ["frechet"],
    },
    "inside_the_unet": {
        "inside_from": ["gallery"],
        "inside_view": ["channel", "strength"],
        "inside_scope": ["layer", "grid"],
    },
    "ddpm_training": {
        "ddpm_sheet": ["final"],
        "ddpm_curve": ["objective", "mse", "quarters"],
        "ddpm_level": ["level_loss", "level_x0_mse"],
    },
    "collapse": {"collapse_layer": ["h"]},
    "collapse_live": {
        "toy_view": ["step"],
        "toy_predictor": ["linear", "identity", "fixed"],
        "toy_norm": ["all", "none"],
    },
    "checkpoints": {"checkpoints_family": ["vae", "ddpm", "judge"]},
    "siblings": {
        "siblings_method": ["byol", "barlow_twins", "vicreg", "dssl"],
        "siblings_question": ["5c", "6", "7", "8"],
        "siblings_wiring": ["no-predictor", "fixed-predictor", "no-stop-gradient", "neither"],
    },
}


OPENED = {"t_star": {"tstar_guess": "-1"}}
"""Pages that show some of their controls only once a question is answered."""


@pytest.mark.parametrize(("file", "key"), [(f, key) for f, keys in CHOICES.items() for key in keys])
def test_every_choice_changes_what_one_sees(open_page, file, key):
    at = open_page(file, **OPENED.get(file, {}))
    seen = [visible(at)]
    for code in CHOICES[file][key]:
        at.button_group(key=key).set_value(code).run()
        assert not at.exception, code
        shown = visible(at)
        assert shown not in seen, code  # neither the page as it was opened nor another choice's
        seen.append(shown)


# ---------------------------------------------------------------- seeds and starts


def test_another_seed_button_moves_the_seed(open_page):
    at = open_page("vae_training")
    pictures = at.image[0].value
    at.button(key="training_seed_again").click().run()
    assert at.number_input(key="training_seed").value != 0
    assert at.image[0].value != pictures


# ---------------------------------------------------------------- pictures of one's own


def upload(at, name, content):
    at.file_uploader(key="latent_upload").set_value((name, content, "image/png")).run()
    assert not at.exception
    return at


def test_an_uploaded_picture_is_encoded(open_page):
    at = open_page("latent_space", latent_from="upload")
    assert any("Choose a picture" in info.value for info in at.info)
    picture = house_number.draw(house_number.HouseNumber(text="4"))
    upload(at, "four.png", images.png_bytes(picture))
    z = loaders.vae(NAME).encode(picture[None]).mean[0]
    assert at.session_state["latent_z1"] == pytest.approx(round(float(z[0]), 2))


def test_a_file_that_is_no_picture_gets_one_sentence(open_page):
    at = upload(open_page("latent_space", latent_from="upload"), "no.png", b"not a picture")
    assert ["not a picture" in error.value for error in at.error] == [True]
    assert at.expander  # the rest of the page is there


def test_a_house_number_of_letters_gets_one_sentence(open_page):
    at = open_page("likelihood")
    at.text_input(key="likelihood_text").set_value("abc").run()
    assert [error.value for error in at.error] == [picking.NO_HOUSE_NUMBER]
    assert at.get("plotly_chart")  # the test-set figures stay


def test_test_digits_are_offered_where_they_are_at_hand(open_page, monkeypatch, svhn_folder):
    without = open_page("latent_space")
    assert len(without.button_group(key="latent_from").options) == 5
    monkeypatch.setenv("ATELIER_DATA_DIR", str(svhn_folder))
    at = open_page("latent_space", latent_from="test")
    before = visible(at)
    at.number_input(key="latent_test").set_value(3).run()
    assert visible(at) != before
    found = data.load_split("svhn", "test")
    z = loaders.vae(NAME).encode(found.pictures[3][None]).mean[0]
    assert at.session_state["latent_z1"] == pytest.approx(round(float(z[0]), 2))


def test_a_number_beyond_the_test_set_is_ignored(open_page, monkeypatch, svhn_folder):
    monkeypatch.setenv("ATELIER_DATA_DIR", str(svhn_folder))
    at = open_page("latent_space", latent_from="test", latent_test="999999")
    assert at.number_input(key="latent_test").value == 0


def test_a_download_that_cannot_reach_the_hub_says_so(open_page):
    at = open_page("latent_space", latent_from="gallery")
    at.button(key="latent_download").click().run()
    assert not at.exception
    assert [bool(refusal("hub-unreachable").search(error.value)) for error in at.error] == [True]


# ---------------------------------------------------------------- interpolation


def test_the_middle_of_the_straight_way_is_short(open_page):
    ends = {"interpolation_a_from": "prior", "interpolation_b_from": "prior"}
    at = open_page("interpolation", **ends, interpolation_b_seed="1")
    explorer = loaders.vae(NAME)
    first, second = explorer.prior(0)[0], explorer.prior(1)[0]
    linear, spherical = (explorer.walk(first, second, 51, kind) for kind in ("linear", "spherical"))
    said = " ".join(str(element.value) for element in at.markdown)
    assert f"{linear.unevenness:.2f}" in said
    assert f"{spherical.unevenness:.2f}" in said
    assert linear.norm[25] < spherical.norm[25]
    assert f"{linear.norm[25]:.1f}" in said
    assert interpolation.which_to_take(linear, spherical) in said


def test_every_stop_of_the_way_is_decoded(open_page):
    at = open_page("interpolation", interpolation_a_from="prior", interpolation_b_from="prior")
    explorer = loaders.vae(NAME)
    z = explorer.prior(0)[0]
    shown = frames(at, "interpolation_film", interpolation.ALTS["spherical"])
    np.testing.assert_array_equal(shown, explorer.walk(z, z, 51, "spherical").pictures)
    at = open_page("interpolation", interpolation_b_from="prior", interpolation_w="30")
    assert at.session_state["interpolation_w"] == 30
    shown = frames(at, "interpolation_film", interpolation.ALTS["linear"])
    other = explorer.prior(0)[0]
    decoded = explorer.decode(other[None])[0].astype(int)
    assert np.abs(shown[-1] - decoded).max() <= 1  # a batch rounds otherwise


# ---------------------------------------------------------------- likelihood


def test_the_balance_is_the_models_own(open_page):
    at = open_page("likelihood")
    picture = house_number.draw(house_number.HouseNumber())
    found = loaders.vae(NAME).evidence(picture, draws=64, seed=0)
    values = [metric.value for metric in at.metric]
    assert values[1] == f"{found.kl:.1f}"
    assert values[2] == f"{found.negative_elbo:,.1f}"
    assert values[3] == f"{found.linear_nll:,.1f}"


def test_repeats_and_most_draws_change_the_bound(open_page):
    said = set()
    for most, repeats in ((10, 2), (10, 3), (100, 2)):
        at = open_page("likelihood")
        at.select_slider(key="likelihood_k").set_value(most).run()
        at.slider(key="likelihood_repeats").set_value(repeats).run()
        at.button(key="likelihood_go").click().run()
        said.add(next(str(e.value) for e in at.markdown if "draws count" in str(e.value)))
    assert len(said) == 3


# ---------------------------------------------------------------- training and checkpoints


def test_the_test_digits_are_shown_beside_what_was_made_of_them(open_page, own_bundle):
    said = [caption.value for caption in open_page("likelihood").caption]
    assert said.count(likelihood.IN_PAIRS) == 2


def test_another_test_set_is_not_taken_for_the_measured_one(open_page, monkeypatch, svhn_folder):
    monkeypatch.setenv("ATELIER_DATA_DIR", str(svhn_folder))
    for file in ("vae_training", "likelihood"):
        at = open_page(file)
        assert any("not the one" in caption.value for caption in at.caption)


@pytest.mark.parametrize("file", ["latent_space", "likelihood", "vae_training"])
def test_a_damaged_data_file_gets_a_sentence_and_the_page_goes_on(
    open_page, monkeypatch, tmp_path, file
):
    folder = tmp_path / "ufldl-stanford" / "svhn" / "cropped_digits"
    folder.mkdir(parents=True)
    (folder / "test-00000-of-00001.parquet").write_bytes(b"PAR1 half of a file")
    monkeypatch.setenv("ATELIER_DATA_DIR", str(tmp_path))
    whole = open_page(file)
    assert whole.expander[-1].label == "Formula and code"
    assert whole.image or any(key.endswith(("_film", "_desk")) for key in components(whole))


def test_sliders_reach_a_start_that_lies_far_out(open_page, monkeypatch):
    explorer = loaders.vae(NAME)
    far = np.full(explorer.latent_dim, 5.5, dtype=np.float32)
    monkeypatch.setattr(explorer, "prior", lambda *a, **k: np.stack([far] * 24))
    at = open_page("latent_space", latent_from="prior")
    assert at.metric[0].value == f"{np.linalg.norm(far):.2f}"
    desk = components(at)["latent_desk"]
    assert desk["limit"] == 6
    assert desk["values"] == [5.5] * explorer.latent_dim


def test_the_timeline_shows_the_sheets_that_the_bundle_kept(open_page):
    at = open_page("vae_training", training_epoch="5")
    bundle = library.bundle(NAME)
    assert components(at)["training_epoch_hand"]["value"] == 5
    for kind, words in (("samples", "Samples"), ("reconstructions", "Reconstructions")):
        spec = source_of(at, "training_epoch_film", f"{words} after epoch {{t}}")
        files = [serving.OFFERS.file(address.split("/")[-2]) for address in spec["addresses"]]
        assert files == list(bundle.progress(kind).values())
    assert at.query_params["training_epoch"] == "5"
    moved(at, "training_epoch", max(bundle.progress("samples")))
    assert "training_epoch" not in at.query_params


@pytest.mark.parametrize("wrong", ["3", "-1", "5.0", "last", ""])
def test_a_link_to_a_stop_that_is_none_is_said(open_page, wrong):
    at = open_page("vae_training", training_epoch=wrong)
    last = max(library.bundle(NAME).progress("samples"))
    assert at.session_state["training_epoch"] == last
    refused = like(links.REFUSED, wanted=wrong or " ", shown=last)
    assert any(refused.fullmatch(info.value) for info in at.info)


def test_a_stop_that_is_gone_gives_way_to_the_nearest(open_page):
    at = open_page("denoising", denoise_t="950", denoise_steps="20")
    assert at.session_state["denoise_t"] == 950
    at.slider(key="denoise_steps").set_value(10).run()
    assert at.session_state["denoise_t"] in (900, 1000)
    shown = at.query_params["denoise_t"]
    assert str(at.session_state["denoise_t"]) in (shown, *shown)


def test_a_stop_of_a_link_is_taken_as_soon_as_it_is_one(open_page):
    at = open_page("denoising", denoise_t="950", denoise_steps="10")
    assert at.session_state["denoise_t"] != 950
    at.slider(key="denoise_steps").set_value(20).run()
    assert at.session_state["denoise_t"] == 950


def test_temperature_zero_makes_all_samples_alike(open_page):
    at = open_page("vae_training", training_temperature="0.0")
    pictures = at.image[0].value
    at.number_input(key="training_seed").set_value(3).run()
    assert at.image[0].value == pictures


def test_the_golden_output_is_recomputed(open_page):
    at = open_page("checkpoints", checkpoints_bundle=NAME)
    at.button(key=f"checkpoints_golden_{NAME}").click().run()
    assert ["Largest deviation" in success.value for success in at.success] == [True]


def test_how_it_works_is_open_on_the_first_visit_to_a_page(open_page):
    def opened(at):
        return {box.proto.expanded for box in at.expander if box.label == "How it works"}

    at = open_page("denoising")
    state = at.session_state
    state["stays"] = ("denoising", frozenset())
    assert opened(checked(at.run())) == {True}
    state["stays"] = ("denoising", frozenset({"denoising", "home"}))
    assert opened(checked(at.run())) == {False}


def test_a_page_that_is_left_is_no_first_visit_any_more(monkeypatch):
    state = {}
    monkeypatch.setattr(st, "session_state", state)
    for page, before in (("a", set()), ("a", set()), ("b", {"a"}), ("a", {"a", "b"})):
        text.turn_to(page)
        assert state[text.STAYS] == (page, frozenset(before))
