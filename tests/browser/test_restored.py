"""A link restores what its sender saw of long work, in another browser and without a press."""

import pytest

from tests.browser.test_in_a_browser import MADE, go, ready, source

DONE = "location.search.includes('run=1')"


@pytest.fixture
def elsewhere(browser):
    """Opens a link as someone else does: another browser that knows nothing."""
    opened = []

    def open_(link):
        opened.append(browser.new_context(locale="en-GB"))
        page = opened[-1].new_page()
        page.set_default_timeout(60_000)
        page.goto(link)
        return ready(page)

    yield open_
    for context in opened:
        context.close()


def test_a_sweep_gives_the_same_t_star(tab, elsewhere):
    go(
        tab,
        "t-star",
        tstar_levels=5,
        tstar_draws=2,
        tstar_way="ddim-20",
        tstar_seed=3,
        tstar_guess=420,
    )
    tab.wait_for_selector("text=A quick look")
    tab.locator(".st-key-tstar_go button").click()
    tab.wait_for_function(DONE)
    tab.wait_for_selector("text=A quick look", state="detached")
    # The heading of the stored sweep stands there until the page has drawn its own in its place.
    headline, predicted = "h3:has-text('of 1,000')", "text=You predicted 420"
    tab.wait_for_selector(predicted)
    found = tab.locator(headline).first.inner_text()
    other = elsewhere(tab.url)
    other.wait_for_selector(predicted)
    assert other.locator(headline).first.inner_text() == found
    assert other.get_by_text("A quick look").count() == 0


def test_a_way_back_ends_at_the_same_pictures(tab, elsewhere):
    go(tab, "denoising", denoise_count=4, denoise_seed=31, denoise_steps=60)
    tab.wait_for_selector("text=press the button")
    tab.get_by_role("button", name="Denoise").click()
    tab.wait_for_function(DONE)
    tab.wait_for_selector(MADE)
    made = source(tab, MADE).split("/")[-1]  # named after what it holds
    other = elsewhere(tab.url)
    other.wait_for_selector(MADE)
    assert source(other, MADE).split("/")[-1] == made
    assert other.get_by_text("press the button").count() == 0


def test_samples_are_the_same(tab, elsewhere):
    go(tab, "vae-and-ddpm", against_count=32, against_way="ddim-20", against_seed=40)
    tab.locator(".st-key-against_go button").click()
    samples = "img[alt^='Samples of DDPM']"
    tab.wait_for_selector(samples)
    ready(tab)
    made = source(tab, samples).split("/")[-1]
    other = elsewhere(tab.url)
    other.wait_for_selector(samples)
    assert source(other, samples).split("/")[-1] == made
    assert other.locator(".st-key-against_go button").count() == 0
