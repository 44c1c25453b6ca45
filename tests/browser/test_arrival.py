"""A page begins at its top, or where a link leads; what is folded or left out stands where it was set."""

import re

import pytest

from pages.shared import site
from tests.browser.test_in_a_browser import go, ready

MAIN = "document.querySelector('[data-testid=stMain]')"
FAR = {
    "1.1 code": (site.LATENT_SPACE, "code_encode"),
    "1.2 log_likelihood": (site.LIKELIHOOD, "likelihood_bars"),
    "1.3 d": (site.VAE_TRAINING, "vae_samples"),
    "1.3 a": (site.VAE_TRAINING, "training_clock"),
    "2.2 a": (site.DDPM_TRAINING, "ddpm_clock"),
    "3.2": (site.TWO_VIEWS, "views_cosine"),
}
"""Views of the assignment that stand far below the first screen."""
IN_VIEW = """(view) => {
  const box = document.querySelector(`.st-key-${view}, .st-key-${view}_hand`)?.getBoundingClientRect();
  return box && box.height > 20 && box.top >= 40
    && Math.min(box.bottom, innerHeight) - box.top >= 0.6 * Math.min(box.height, innerHeight - 100);
}"""


@pytest.mark.parametrize(("page", "view"), FAR.values(), ids=FAR)
def test_a_link_of_the_assignment_opens_the_view_that_answers(tab, page, view):
    item = next(
        one
        for items in site.ASSIGNMENT.values()
        for one in items
        if (one.page, one.view) == (page, view)
    )
    go(tab, "", lang="en")
    tab.locator(f"a[href*='{page.path}'][href*='to={view}']").first.click()
    tab.wait_for_selector(f"h1:has-text('{page.title}')")
    ready(tab)
    tab.wait_for_function(IN_VIEW, arg=view)
    assert item.query.keys() <= tab.evaluate(
        "Object.fromEntries(new URLSearchParams(location.search))"
    ).keys() | {"training_epoch"}
    tab.go_back()
    tab.wait_for_selector("h1:has-text('Latent Atelier')")


def test_a_page_begins_at_its_top_wherever_the_one_before_stood(tab):
    go(tab, site.ADDING_NOISE.path, lang="en")
    for page in (site.DENOISING, site.LATENT_SPACE, site.INTERPOLATION):
        tab.wait_for_function(f"{MAIN}.scrollHeight > 1500")
        tab.evaluate(f"{MAIN}.scrollTo(0, 600)")
        assert tab.evaluate(f"{MAIN}.scrollTop") > 300
        tab.get_by_role("link", name=page.title).first.click()
        tab.wait_for_selector(f"h1:has-text('{page.title}')")
        ready(tab)
        tab.wait_for_timeout(500)
        assert tab.evaluate(f"{MAIN}.scrollTop") == 0


def test_a_hand_that_scrolls_is_not_pulled_back(tab):
    go(tab, site.LIKELIHOOD.path, lang="en", to="likelihood_bars")
    tab.wait_for_function(IN_VIEW, arg="likelihood_bars")
    tab.mouse.move(700, 400)
    tab.mouse.wheel(0, -5000)
    tab.wait_for_function(f"{MAIN}.scrollTop === 0")
    tab.wait_for_timeout(1500)
    assert tab.evaluate(f"{MAIN}.scrollTop") == 0


@pytest.mark.parametrize(
    ("page", "figure", "timeline", "stop"),
    [
        ("interpolation", "interpolation_film", "interpolation_w", "60"),
        ("vae-training", "training_epoch_film", "training_epoch", "2"),
    ],
)
@pytest.mark.parametrize("shape", [{"figures": "", "keep": ""}, {"keep": ""}], ids=["cut", "whole"])
def test_figures_stand_where_a_timeline_stands_that_is_left_out(
    tab, page, figure, timeline, stop, shape
):
    whole = {timeline: stop, "lang": "en"}
    go(tab, page, **whole)
    row = tab.locator(f".st-key-{figure} .row canvas")
    row.first.wait_for()
    words = [one.get_attribute("aria-label") for one in row.all()]
    left = {**shape, "figures": figure} if "figures" in shape else shape
    address = "&".join(f"{key}={value}" for key, value in {**whole, **left}.items())
    tab.goto(f"{tab.base}/{page}?{address}")
    row.first.wait_for()
    assert tab.locator(f".st-key-{timeline}_hand").count() == 0
    for _look in range(100):
        now = [one.get_attribute("aria-label") for one in row.all()]
        if now == words:
            break
        tab.wait_for_timeout(100)
    assert now == words


@pytest.mark.parametrize(
    ("query", "sampler"),
    [({"denoise_sampler": "dpm"}, "DPM-Solver++"), ({"denoise_sampler": "ddpm"}, "DDPM")],
)
def test_what_is_folded_is_there_when_it_is_opened_after_another_run(tab, query, sampler):
    go(tab, site.DENOISING.path, lang="en", denoise_noise="own", denoise_seed=7, **query)
    tab.locator(
        ".st-key-denoise_noise button"
    ).first.click()  # a digit's seed: another run of the page
    tab.wait_for_function("!location.search.includes('denoise_noise=own')")
    ready(tab)
    tab.get_by_role("button", name="Model, sampler, seed").click()
    chosen = tab.locator(".st-key-denoise_sampler [aria-checked=true]")
    chosen.wait_for()
    assert chosen.inner_text() == sampler
    by = tab.locator(".st-key-denoise_by [aria-checked=true]")
    assert by.inner_text() == "The server"


def test_a_button_of_an_icon_alone_has_words_for_who_does_not_see_it(tab):
    go(tab, site.VAE_TRAINING.path, lang="en")
    dice = tab.get_by_role("button", name="Another seed")
    dice.first.wait_for()
    assert tab.get_by_role("button", name=re.compile(r"^[a-z_]+ icon$")).count() == 0
    box = dice.first.bounding_box()
    assert box["width"] < 60  # the words take no room
