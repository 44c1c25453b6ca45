"""The first screen of a page is its figure, with the one control that moves it: in a hall, and on a phone."""

import time

import pytest

from pages.shared import site
from tests.browser.test_in_a_browser import PAGES, go, ready

SCREENS = {"hall": {"width": 1280, "height": 720}, "phone": {"width": 390, "height": 844}}
LEAST, SECONDS = 0.6, 20
"""Of the height of the figure, and of that of its control; how long both may take to be drawn."""
FIRST = {
    "": (".st-key-home_film", ".st-key-home_step_hand"),
    "latent-space": (".desk .pictures", ".desk .units > :first-child"),
    "interpolation": (".st-key-interpolation_film", ".st-key-interpolation_w_hand"),
    "latent-profiles": (".st-key-profiles_one", ".st-key-profiles_class"),
    "likelihood": ("img[alt^='The picture, what the VAE']", "summary:has-text('Another picture')"),
    "two-views": (".st-key-views_film", ".st-key-views_strength_hand"),
    "neighbours": (".near .tiles", "summary:has-text('Another picture')"),
    "vae-training": (".st-key-training_epoch_film", ".st-key-training_epoch_hand"),
    "adding-noise": (".st-key-noise_film .row", ".st-key-noise_t_hand"),
    "denoising": (".st-key-denoise_film .row", ".st-key-denoise_t_hand"),
    "t-star": (".st-key-tstar_film .row", ".st-key-tstar_t_hand"),
    "undo-an-attack": (".st-key-attack_film", ".st-key-purify_film", ".st-key-purify_t_hand"),
    "vae-and-ddpm": ("img[alt='Samples of VAE']", "button:has-text('Models, sampler, seed')"),
    "ddpm-lengths": (".st-key-lengths_columns", ".st-key-lengths_sampler"),
    "ddpm-training": (".st-key-ddpm_example_film", ".st-key-ddpm_example_t_hand"),
    "inside-the-unet": (".st-key-unet_probe", ".st-key-inside_t_hand"),
    "collapse": (".st-key-collapse_loss", ".st-key-collapse_epoch_hand"),
    "collapse-live": (".st-key-toy_cloud", ".st-key-toy_preset_no-stop"),
    "siblings": (".st-key-siblings_diagram", ".st-key-siblings_method"),
    "checkpoints": (
        ".st-key-checkpoints_card_vae-svhn img",
        ".st-key-checkpoints_more_vae-svhn",
    ),
}

SEEN = """(element) => {
  const {top, bottom, height} = element.getBoundingClientRect();
  return height > 20 ? Math.max(0, Math.min(bottom, innerHeight) - Math.max(top, 0)) / height : 0;
}"""

CUT = """(links) => links.filter((link) => {
  const label = link.querySelector("p");
  const words = document.createRange();
  words.selectNodeContents(label);
  return words.getBoundingClientRect().width > label.parentElement.clientWidth + 1;
}).map((link) => link.textContent)"""
"""Which links show less than their whole label."""


@pytest.mark.parametrize("path", FIRST)
def test_the_figure_and_its_control_are_on_the_first_screen_of_a_hall(tab, path):
    tab.set_viewport_size(SCREENS["hall"])
    go(tab, path)
    for selector in FIRST[path]:
        is_seen(tab, selector)


@pytest.mark.parametrize("path", sorted({*FIRST, *(page.path for page in PAGES)}))
def test_on_a_phone_they_are_too_nothing_sticks_out_and_every_picture_has_words(tab, path):
    tab.set_viewport_size(SCREENS["phone"])
    go(tab, path)
    for selector in FIRST.get(path, ()):
        is_seen(tab, selector)
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert tab.locator("[data-testid=stException]").count() == 0
    for image in tab.locator("[data-testid=stImage] img").all():
        assert len(image.get_attribute("alt") or "") > 3


def is_seen(tab, selector):
    element = tab.locator(selector).first
    element.wait_for()
    until = time.monotonic() + SECONDS
    while (shown := element.evaluate(SEEN)) < LEAST and time.monotonic() < until:
        tab.wait_for_timeout(200)
    assert shown >= LEAST, f"{selector}: {shown:.0%}"


@pytest.mark.parametrize("screen", SCREENS)
def test_what_t_star_is_and_its_pictures_are_on_the_first_screen_after_a_prediction(tab, screen):
    tab.set_viewport_size(SCREENS[screen])
    go(tab, "t-star", tstar_guess=300)
    for selector in ("h3:has-text('of 1,000')", "text=You predicted 300", *FIRST["t-star"]):
        is_seen(tab, selector)


def test_loss_accuracy_and_map_are_on_the_first_screen_of_collapse(tab):
    tab.set_viewport_size(SCREENS["hall"])
    go(tab, "collapse")
    for key in ("collapse_loss", "collapse_knn", "collapse_clouds"):
        is_seen(tab, f".st-key-{key}")


def test_loss_and_accuracy_are_on_the_first_screen_of_collapse_on_a_phone(tab):
    tab.set_viewport_size(SCREENS["phone"])
    go(tab, "collapse")
    for selector in (
        ".st-key-collapse_epoch_hand",
        ".st-key-collapse_loss",
        ".st-key-collapse_knn",
    ):
        is_seen(tab, selector)
    svg = tab.locator(".st-key-collapse_loss .plot")
    width, height = svg.evaluate("(one) => [one.clientWidth, one.clientHeight]")
    assert height <= 1.5 * width + 1  # no tower


@pytest.mark.parametrize("number", ["3.5 c", "3.6", "3.7", "3.8", "3.9"])
def test_the_question_of_an_item_is_on_the_first_screen(tab, number):
    (item,) = [one for items in site.ASSIGNMENT.values() for one in items if one.number == number]
    tab.set_viewport_size(SCREENS["hall"])
    go(tab, item.page.path, **item.query)
    chips = tab.locator(".st-key-siblings_question")
    chips.wait_for()
    assert chips.evaluate(SEEN) == 1
    assert (
        tab.locator(".st-key-siblings_knn").evaluate("one => one.getBoundingClientRect().top") < 720
    )


@pytest.mark.parametrize("language", ["en", "fr"])
def test_the_picture_of_the_visit_stands_above_the_menu_and_no_name_of_a_page_is_cut_off(
    tab, language
):
    tab.set_viewport_size(SCREENS["hall"])
    go(tab, "likelihood", likelihood_text="42", lang=language)
    picture = ".st-key-carried img"
    is_seen(tab, picture)
    menu = tab.locator("[data-testid=stSidebarNav]")
    bottom = tab.locator(".st-key-carried").bounding_box()
    assert bottom["y"] + bottom["height"] <= menu.bounding_box()["y"]
    assert tab.locator("[data-testid=stSidebar]").bounding_box()["width"] <= 240
    menu.get_by_role("link").last.click()  # which scrolls the menu
    ready(tab)
    is_seen(tab, picture)
    assert menu.get_by_role("link").evaluate_all(CUT) == []


def test_the_three_doors_are_of_one_height(tab):
    tab.set_viewport_size(SCREENS["hall"])
    go(tab, "")
    doors = tab.locator("[class*=st-key-home_door_]")
    heights = doors.evaluate_all("all => all.map((one) => one.offsetHeight)")
    assert len(heights) == 3
    assert len(set(heights)) == 1


def test_no_label_of_home_is_cut_off_on_a_phone(tab):
    tab.set_viewport_size(SCREENS["phone"])
    go(tab, "", lang="fr")
    links = tab.locator("[data-testid=stPageLink] a:visible")
    links.first.wait_for()
    assert links.evaluate_all(CUT) == []


def test_controls_that_stand_below_one_another_on_a_phone_are_near(tab):
    tab.set_viewport_size(SCREENS["phone"])
    go(tab, "likelihood")
    tab.locator(".st-key-likelihood_go").wait_for()
    # Measured at one moment: what stands above them comes bit by bit.
    tab.wait_for_function("""() => {
      const [above, below] = ["k", "repeats"].map((name) =>
        document.querySelector(`.st-key-likelihood_${name}`).getBoundingClientRect());
      return above.height > 60 && below.top - above.bottom >= 0 && below.top - above.bottom < 40;
    }""")
