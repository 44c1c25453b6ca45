"""The browser's own way back: to the page as it was left, and out of the app again."""

import pytest

from tests.browser.test_copy_link import ready_at

CHOSEN = "[role=radio][aria-checked=true]:has-text('{label}')"


def to_the_page(tab, title):
    tab.get_by_role("link", name=title, exact=True).first.click()
    tab.wait_for_selector(f"h1:has-text('{title}')")
    tab.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]")


def back(tab, path):
    tab.go_back()
    tab.wait_for_url(f"{tab.base}/{path}**")
    tab.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]")
    tab.errors.clear()  # the browser reports requests that leaving a page has ended


def test_back_shows_a_choice_that_the_visitor_made(tab):
    ready_at(tab, f"{tab.base}/latent-space")
    tab.locator("summary:has-text('Another picture')").click()
    tab.get_by_role("radio", name="Generated").click()
    tab.wait_for_function("location.search.includes('latent_from=gallery')")
    to_the_page(tab, "Likelihood")
    back(tab, "latent-space")
    tab.wait_for_selector(CHOSEN.format(label="Generated"), state="attached")


@pytest.mark.parametrize(
    "asked",
    ["latent_text=88&latent_z1=1.5", "latent_from=gallery&lang=fr"],
    ids=["text and number", "language"],
)
def test_back_shows_what_a_link_asked_for(tab, asked):
    ready_at(tab, f"{tab.base}/latent-space?{asked}")
    title = "Vraisemblance" if "lang=fr" in asked else "Likelihood"
    to_the_page(tab, title)
    back(tab, "latent-space")
    assert set(asked.split("&")) <= set(tab.url.split("?")[1].split("&"))
    if "latent_text" in asked:
        typed = "document.querySelector('.st-key-latent_text input')?.value"
        tab.wait_for_function(f"{typed} === '88'")
    tab.go_forward()
    tab.wait_for_selector(f"h1:has-text('{title}')")
    tab.errors.clear()


def test_the_way_back_leads_out_of_the_app(tab):
    tab.goto("about:blank")
    ready_at(tab, f"{tab.base}/latent-space")
    to_the_page(tab, "Likelihood")
    back(tab, "latent-space")
    tab.go_back()
    tab.wait_for_url("about:blank")
    tab.errors.clear()
