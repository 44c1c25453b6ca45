import re

import numpy as np
import pytest
from streamlit.proto.BackMsg_pb2 import BackMsg

from pages.ddpm import denoising, t_star, undo_an_attack
from pages.shared import site
from pages.simsiam import collapse, neighbours
from pages.vae.parts import tightness
from tests.browser import hand

PAGES = [page for pages in site.SECTIONS.values() for page in pages if page is not site.HOME]
NARROW = {"width": 390, "height": 844}


def ready(tab):
    """Waits until the page's script has run and its pictures are there."""
    tab.wait_for_selector("h1")
    tab.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]")
    tab.wait_for_function("[...document.images].every((image) => image.complete)")
    return tab


def go(tab, path, **query):
    address = "&".join(f"{key}={value}" for key, value in query.items())
    tab.goto(f"{tab.base}/{path}?{address}")
    return ready(tab)


def about(tab, place=0):
    """Opens what a figure says of where it comes from; the first, unless a place is named."""
    tab.get_by_role("button", name="Source and data").nth(place).click()


def slider(tab, label):
    return tab.locator("[data-testid=stSlider]", has_text=label).get_by_role("slider").first


def source(tab, alt):
    return tab.locator(alt).first.get_attribute("src")


def wait_for_another(tab, before, alt):
    tab.wait_for_function(
        "([alt, before]) => document.querySelector(alt)?.getAttribute('src') !== before",
        arg=[alt, before],
    )


def test_every_page_opens_from_the_navigation(tab):
    tab.goto(tab.base)
    ready(tab)
    for page in PAGES:
        tab.get_by_role("link", name=page.title).first.click()
        tab.wait_for_selector(f"h1:has-text('{page.title}')")
        ready(tab)
        assert tab.locator("[data-testid=stException]").count() == 0
        assert tab.url.split("?")[0].endswith(page.path)
    assert not tab.errors


def test_a_page_is_there_that_was_opened_while_a_figure_answers(tab):
    """The answer names the page before, which Streamlit's client would take for a change back to it."""
    held = []

    def between(socket):
        server = socket.connect_to_server()

        def sent(data):
            asks = BackMsg.FromString(data).rerun_script
            if asks.fragment_id and not held:
                held.append(data)  # an answer on its slow way
                return
            server.send(data)
            if asks.page_script_hash and not asks.fragment_id and len(held) == 1:
                server.send(held[0])  # it comes after the request for another page
                held.append(None)

        socket.on_message(sent)

    go(tab, "likelihood")
    tab.locator(".st-key-likelihood_pictures_keep button >> visible=true").click()
    tab.wait_for_function("sessionStorage.getItem('latent-atelier-sheet')")  # the tab has to say so
    tab.route_web_socket(re.compile("/_stcore/stream"), between)
    tab.goto(tab.base)
    ready(tab)
    for _look in range(50):
        if held:
            break
        tab.wait_for_timeout(100)
    tab.get_by_role("link", name="Latent space").first.click()
    tab.wait_for_selector("h1:has-text('Latent space')")
    ready(tab)
    tab.wait_for_timeout(2000)  # until both requests are answered
    assert len(held) == 2
    assert tab.locator("h1:has-text('Latent space')").count() == 1


@pytest.mark.parametrize("width", [1280, 390])
def test_a_sheet_comes_small_and_is_enlarged_without_smoothing(tab, width):
    tab.set_viewport_size({"width": width, "height": 800})
    go(tab, "vae-training")
    image = tab.locator("[data-testid=stImage] img").first
    across, shown, rendering = image.evaluate(
        "(one) => [one.naturalWidth, one.clientWidth, getComputedStyle(one).imageRendering]"
    )
    assert across == 8 * 33 - 1  # eight pictures and the gaps between them
    assert shown > across
    assert rendering == "pixelated"


def test_a_table_has_no_second_button_that_saves_words_in_place_of_numbers(tab):
    go(tab, "checkpoints")
    table = tab.locator("[data-testid=stDataFrame] >> visible=true").first
    table.scroll_into_view_if_needed()
    table.hover()
    bar = tab.locator("[data-testid=stElementToolbar] >> visible=true")
    bar.get_by_role("button", name="Search").wait_for()
    saves = bar.locator("[aria-label^='Download as CSV']")
    assert saves.count() == 1  # Streamlit's own is there, and has no place on the screen
    assert not saves.is_visible()


def test_french_from_the_sidebar_to_the_address(tab):
    go(tab, "interpolation")
    tab.get_by_role("radio", name="Français").click()
    tab.wait_for_function("location.search.includes('lang=fr')")
    tab.wait_for_selector("text=Linéaire")


def test_the_first_visitor_may_come_by_a_link(browser, fresh_server):
    page = browser.new_page()
    page.goto(f"{fresh_server.url}/likelihood?lang=en")
    page.wait_for_selector("h1:has-text('Likelihood')", timeout=60_000)
    assert page.get_by_text("does not seem to exist").count() == 0
    assert page.get_by_role("link", name="Latent space").count() > 0
    page.close()


def test_home_has_a_name_and_every_page_a_language(tab):
    tab.goto(f"{tab.base}/home?lang=fr")
    tab.wait_for_selector("h1:has-text('Latent Atelier')")
    ready(tab)
    assert tab.get_by_text("does not seem to exist").count() == 0
    tab.wait_for_function("document.documentElement.lang === 'fr'")
    tab.get_by_role("radio", name="English").click()
    tab.wait_for_function("document.documentElement.lang === 'en'")


def test_the_bound_is_drawn_and_can_be_stopped(tab):
    go(tab, "likelihood", likelihood_k=5000, likelihood_repeats=20)
    tab.get_by_role("button", name="Draw").click()
    tab.wait_for_selector("text=s left")
    tab.get_by_role("button", name="Stop").click()
    tab.wait_for_selector(f"text={tightness.STOPPED.split('{')[0]}")
    tab.wait_for_selector("text=draws count")
    tab.get_by_role("button", name="Stop").wait_for(state="detached")


def test_an_upload_becomes_the_start(tab, tmp_path):
    from core.pictures import house_number, images

    file = tmp_path / "four.png"
    file.write_bytes(images.png_bytes(house_number.draw(house_number.HouseNumber(text="4"))))
    go(tab, "latent-space", latent_from="upload")
    tab.locator("input[type=file]").set_input_files(file)
    tab.wait_for_selector(".desk canvas[aria-label='The picture that was encoded']")
    tab.wait_for_selector("text=uploaded picture")


def test_a_link_survives_the_switch_of_language(tab):
    go(tab, "latent-space", lang="en", latent_from="gallery")
    tab.get_by_role("radio", name="Français").click()
    chosen = "[role=radio][aria-checked=true]:has-text('Image générée')"
    tab.wait_for_selector(chosen, state="attached")  # in a folded picker
    ready(tab)  # or the reload ends requests for pictures, which the console reports
    assert "lang=fr" in tab.url
    assert "latent_from=gallery" in tab.url
    tab.reload()
    ready(tab)
    tab.wait_for_selector(chosen, state="attached")


def test_figures_and_data_are_downloaded(tab):
    go(tab, "interpolation")
    about(tab)
    for label, start in (("PNG", b"\x89PNG"), ("GIF", b"GIF8"), ("CSV", b"kind,step")):
        with tab.expect_download() as download:
            tab.get_by_role("button", name=label).first.click()
        assert download.value.path().read_bytes().startswith(start)


# ---------------------------------------------------------------- diffusion

MADE = "img[alt='Pictures made from noise']"


def test_denoising_runs_live_stops_and_goes_on(tab):
    go(tab, "denoising", denoise_sampler="DDPM", denoise_count=16)
    tab.get_by_role("button", name="Denoise").click()
    tab.wait_for_selector("text=s left")
    tab.wait_for_selector(f"img[alt='{denoising.AS_THEY_COME}']")
    tab.get_by_role("button", name="Stop").click()
    tab.wait_for_selector("text=steps are done")
    tab.get_by_role("button", name="Go on").click()  # while the stopped page still draws itself
    tab.wait_for_selector("text=s left")
    tab.get_by_role("button", name="Stop").click()
    tab.wait_for_selector("text=steps are done")
    ready(tab)
    assert tab.get_by_role("button", name="Stop").count() == 0
    stopped, done = source(tab, MADE), tab.locator("text=steps are done").inner_text().split()[0]
    tab.get_by_role("button", name="Go on").click()
    tab.wait_for_function(  # it first shows what is done, and a Stop would come before another step
        "(done) => Number(/(\\d+) of 1,000, .*left/.exec(document.body.innerText)?.[1]) > done",
        arg=int(done),
    )
    tab.get_by_role("button", name="Stop").click()
    wait_for_another(tab, stopped, MADE)
    tab.wait_for_selector("text=steps are done")


def test_a_click_denoises_sixteen_pictures(tab):
    go(tab, "denoising", denoise_steps=50, denoise_count=16)
    tab.wait_for_selector("text=press the button")
    tab.get_by_role("button", name="Denoise").click()
    tab.wait_for_selector(MADE)
    ready(tab)
    assert tab.get_by_role("button", name="Stop").count() == 0


def test_a_link_restores_sampler_steps_and_seed(tab):
    link = {"denoise_sampler": "DPM-Solver%2B%2B", "denoise_steps": 12, "denoise_seed": 5}
    go(tab, "denoising", **link)
    tab.wait_for_selector(MADE)
    about(tab, 1)
    tab.wait_for_selector("text=DPM-Solver++, 12 steps")
    tab.wait_for_selector("text=seeds: 5 – 8")
    seen = source(tab, MADE)
    tab.goto(tab.url)
    ready(tab)
    tab.wait_for_selector(MADE)
    assert source(tab, MADE).split("/")[-1] == seen.split("/")[-1]


def test_a_sweep_runs_live_stops_and_goes_on(tab):
    go(tab, "t-star", tstar_seed=11, tstar_guess=-1)
    tab.wait_for_selector("text=A quick look")
    tab.locator(".st-key-tstar_go button").click()
    tab.wait_for_selector(f"img[alt='{t_star.AS_IT_COMES}']")
    tab.locator(".st-key-tstar_stop button").click()
    tab.wait_for_selector("text=/\\d+ of \\d+ steps are done/")
    tab.locator(".st-key-tstar_on button").click()
    tab.wait_for_selector("text=steps are done", state="detached")
    tab.wait_for_selector("text=/t\\* (is|lies between) [\\d,]+/")
    about(tab)
    tab.wait_for_selector("text=/sampler: DDIM 50 ·/")
    assert tab.get_by_text("A quick look").count() == 0


def test_an_attack_is_undone_by_a_link(tab):
    go(tab, "t-star", tstar_view="Undo an attack", purify_levels=12, purify_attack="FGSM")
    tab.wait_for_url("**/undo-an-attack?*")  # where the view of this link is now
    tab.get_by_role("img", name="The attacked picture", exact=True).wait_for()
    about(tab)
    tab.wait_for_selector("text=attack: FGSM 12/255")
    tab.keyboard.press("Escape")
    shown = hand.pictures(tab)
    assert (shown["The attacked picture"] != shown["The picture"]).any()
    slider(tab, "Largest change").press("Home")
    tab.wait_for_selector(f"text={undo_an_attack.STILL_READ.format(digit=7)}")
    for _look in range(50):  # the browser draws the pictures after the words
        shown = hand.pictures(tab)
        if (shown["The attacked picture"] == shown["The picture"]).all():
            break
        tab.wait_for_timeout(200)
    np.testing.assert_array_equal(shown["The attacked picture"], shown["The picture"])


def test_fresh_seeds_give_fresh_samples_of_both(tab):
    go(tab, "vae-and-ddpm", against_way="DDIM 20")
    images = [f"img[alt='Samples of {model}']" for model in ("VAE", "DDPM")]
    before = [source(tab, image) for image in images]
    tab.get_by_role("button", name="Models, sampler, seed").click()
    tab.locator(".st-key-against_seed_again button").first.click()
    for image, old in zip(images, before, strict=True):
        wait_for_another(tab, old, image)
    tab.wait_for_function("location.search.includes('against_seed')")


# ---------------------------------------------------------------- self-supervised networks


def test_another_seed_draws_other_views(tab):
    go(tab, "two-views")
    view = "img[alt^='The view after crop']"
    before = source(tab, view)
    tab.get_by_test_id("stPopover").get_by_role("button", name="Settings").click()
    slider_box = tab.locator(".st-key-views_seed input").first
    slider_box.fill("7")
    slider_box.press("Enter")
    wait_for_another(tab, before, view)
    assert "views_seed=7" in tab.url


def test_one_epoch_slider_moves_the_reading_of_all_runs(tab):
    go(tab, "collapse")
    tab.wait_for_selector("text=/no stop-gradient.* has collapsed/")
    tab.get_by_role("slider", name=collapse.EPOCH_WORDS).press("Home")
    tab.wait_for_selector("text=/no stop-gradient.* has collapsed/", state="detached")
    assert "collapse_epoch=0" in tab.url


def test_a_preset_brings_its_runs(tab):
    go(tab, "collapse")
    tab.locator(".st-key-collapse_preset input").click()
    tab.get_by_role("option", name=collapse.PRESETS["dim"][0]).click()
    tab.wait_for_function("location.search.includes('collapse_runs=dim-4096')")
    tab.get_by_test_id("stPopover").get_by_role("button", name="Runs").click()
    tab.wait_for_selector("[data-testid=stMultiSelect]:has-text('d = 4096')")


def test_the_toy_trains_again_when_a_switch_moves(tab):
    go(tab, "collapse-live")
    about(tab)
    tab.wait_for_selector("text=/computed live/")
    tab.locator(".st-key-toy_preset_no-predictor button").click()
    tab.wait_for_function("location.search.includes('toy_')")  # the run that follows has begun
    ready(tab)
    about(tab)
    tab.wait_for_selector("text=/on the right.*None/")


def test_another_k_asks_other_neighbours(tab):
    go(tab, "neighbours")
    line = "li:has-text('last of the k')"
    tab.wait_for_selector(line)
    gone = (
        "(before) => ![...document.querySelectorAll('li')].some((one) => one.innerText === before)"
    )
    before = tab.locator(line).first.inner_text()
    slider(tab, neighbours.K_WORDS).press("ArrowLeft")
    tab.wait_for_function(gone, arg=before)
    tab.wait_for_selector(line)
    assert "near_k=" in tab.url


def test_another_question_brings_its_runs(tab):
    go(tab, "siblings")
    tab.get_by_role("radio", name="7 · Avoiding collapse").click()
    tab.wait_for_function("location.search.includes('siblings_question')")
    ready(tab)
    about(tab)
    tab.wait_for_selector("text=/simsiam-cifar10-vicreg-no-variance · /")


@pytest.mark.parametrize("lang", ["en", "fr"])
def test_a_field_for_files_speaks_the_language_of_the_page(tab, lang):
    go(tab, "marking", lang=lang)
    field = tab.get_by_test_id("stFileUploader")
    field.wait_for()
    parts = field.locator("button p"), field.get_by_test_id("stFileUploaderDropzoneInstructions")
    for part in (parts[0], parts[1].locator("span")):
        size, over = part.evaluate(
            "(one) => [getComputedStyle(one).fontSize, getComputedStyle(one, '::after').content]"
        )
        assert (size == "0px") == (lang == "fr")
        assert (over != "none") == (lang == "fr")
    if lang == "fr":
        assert "JSON" in over


def test_a_click_on_a_cell_of_the_grid_opens_its_layer_at_its_t(tab):
    go(tab, "inside-the-unet")
    tab.wait_for_selector(".st-key-inside_strip canvas")
    grid = tab.locator(".st-key-unet_probe .nsewdrag").first
    grid.scroll_into_view_if_needed()
    box = grid.bounding_box()
    x, y = box["x"] + 0.25 * box["width"], box["y"] + 0.44 * box["height"]
    tab.mouse.move(x - 30, y)
    tab.mouse.move(x, y, steps=5)
    tab.wait_for_timeout(500)  # Plotly looks for what is under the hand a few times a second
    tab.mouse.down()
    tab.mouse.up()
    tab.wait_for_function("location.search.includes('inside_t=50')")
    assert "inside_layer=down+4" in tab.url
