"""The sheet outlives a reload in its own tab, is nowhere else, and its file asks for nothing."""

import json

import pytest
from streamlit.proto.BackMsg_pb2 import BackMsg

from pages.teach.keeping import NO_ROOM
from pages.teach.my_sheet import EMPTY
from tests.browser.test_in_a_browser import go, ready

NAME = "latent-atelier-sheet"
HELD = f"JSON.parse(sessionStorage.getItem('{NAME}') ?? '{{\"items\": []}}')"


def titles(tab):
    return [item["title"] for item in tab.evaluate(HELD)["items"]]


def keep(tab, key):
    """Presses Keep under a figure, and waits until the tab has its copy."""
    before = len(titles(tab))
    tab.locator(f".st-key-{key}_keep button >> visible=true").click()
    tab.wait_for_function(f"{HELD}.items.length > {before}")
    tab.wait_for_selector("[data-testid=stToast]:has-text('Kept')")


def open_sheet(tab):
    tab.get_by_role("link", name="My sheet").click()
    tab.wait_for_selector("h1:has-text('My sheet')")
    return ready(tab)


def shown(tab):
    return tab.locator("[class*=st-key-sheet_item] h3").all_inner_texts()


def test_a_reload_loses_nothing_and_another_tab_has_nothing(tab, browser):
    go(tab, "likelihood", likelihood_k=10)
    keep(tab, "likelihood_pictures")
    open_sheet(tab)
    words = tab.locator("[class*=st-key-sheet_words] textarea")
    words.fill("The VAE blurs.")
    words.blur()  # a part of the page, which runs alone
    tab.wait_for_function(f"{HELD}.items[0].words === 'The VAE blurs.'")
    held = tab.evaluate(HELD)
    assert held["items"][0]["query"] == "likelihood_k=10"
    tab.reload()
    tab.wait_for_selector("[class*=st-key-sheet_item] h3")
    assert len(shown(tab)) == 1
    tab.wait_for_function(  # a field is drawn before its words
        """document.querySelector("[class*=st-key-sheet_words] textarea")?.value === "The VAE blurs." """
    )
    assert tab.evaluate(HELD) == held
    other = browser.new_context(locale="en-GB").new_page()
    other.goto(f"{tab.base}/sheet")
    other.wait_for_selector(f"text={EMPTY.split('*')[0]}")
    ready(other)
    assert other.evaluate(HELD)["items"] == []
    other.context.close()
    assert "Likelihood" not in tab.evaluate("JSON.stringify(localStorage) + document.cookie")


def test_a_figure_in_a_part_that_runs_alone_is_copied_as_well(tab):
    go(tab, "vae-training")
    keep(tab, "vae_samples")
    go(tab, "sheet")
    tab.wait_for_selector("[class*=st-key-sheet_item] h3")
    assert [title.split(". ", 1)[1] for title in shown(tab)] == titles(tab)


def test_the_tab_answers_when_the_visitor_does_nothing(tab):
    """Its answer and a click at the same moment would be one request, for one part of the page alone."""
    go(tab, "likelihood")
    keep(tab, "likelihood_pictures")  # what a tab holds the page has to run for
    sent = []
    tab.on("websocket", lambda one: one.on("framesent", lambda data: sent.append(data)))
    tab.add_init_script("navigator.scheduling.isInputPending = () => !window.rested")
    go(tab, "likelihood")
    tab.wait_for_timeout(1500)
    asked = [BackMsg.FromString(one).rerun_script.fragment_id for one in sent]
    assert asked == [""]  # for the page alone
    tab.evaluate("window.rested = true")
    for _look in range(50):
        if len(sent) > 1:
            break
        tab.wait_for_timeout(100)
    assert BackMsg.FromString(sent[1]).rerun_script.fragment_id


def test_what_a_visit_kept_before_it_heard_the_tab_comes_after_what_the_tab_held(tab):
    go(tab, "likelihood")
    keep(tab, "likelihood_pictures")
    first = titles(tab)
    asked, sent = [], []
    tab.on("websocket", lambda socket: socket.on("framesent", lambda frame: sent.append(frame)))
    tab.route("**/sheet_store.js", lambda route: asked.append(route))  # the tab cannot answer yet
    go(tab, "likelihood")
    tab.locator(".st-key-likelihood_pictures_keep button >> visible=true").click()
    tab.wait_for_selector("[data-testid=stToast]:has-text('Kept')")
    assert titles(tab) == first
    asked[0].continue_()
    tab.wait_for_function(f"{HELD}.items.length === 2")
    assert titles(tab) == first * 2
    tab.wait_for_timeout(2000)  # the module speaks once the hand rests
    assert any(first[0].encode() in frame for frame in sent)
    sent.clear()
    tab.get_by_role("radio", name="Français").click()
    tab.wait_for_function("location.search.includes('lang=fr')")
    assert sent
    assert not any(first[0].encode() in frame for frame in sent)  # later runs do not bring it again


def test_a_damaged_copy_stays_until_the_student_throws_it_away(tab):
    go(tab, "sheet")
    tab.evaluate(f"sessionStorage.setItem('{NAME}', 'damaged')")
    tab.reload()
    tab.wait_for_selector(".st-key-sheet_refused")
    assert tab.evaluate(f"sessionStorage.getItem('{NAME}')") == "damaged"
    tab.get_by_role("button", name="Throw it away").click()
    tab.wait_for_function(f"sessionStorage.getItem('{NAME}') === null")


def test_a_browser_without_room_is_said_once(tab):
    tab.add_init_script(
        "Storage.prototype.setItem = () => { throw new DOMException('full', 'QuotaExceededError'); }"
    )
    go(tab, "likelihood")
    tab.locator(".st-key-likelihood_pictures_keep button >> visible=true").click()
    tab.wait_for_selector("[data-testid=stToast]:has-text('Kept')")
    ready(tab)
    tab.wait_for_timeout(2000)  # the module speaks once the hand rests
    open_sheet(tab)
    tab.wait_for_selector(f"text={NO_ROOM}")


@pytest.mark.parametrize("kind", ["html", "ipynb", "json"])
def test_a_saved_sheet_asks_for_nothing(tab, browser, tmp_path, kind):
    go(tab, "likelihood")
    keep(tab, "likelihood_pictures")
    open_sheet(tab)
    with tab.expect_download() as saved:
        tab.locator(f".st-key-sheet_save_{kind} button >> visible=true").click()
    file = tmp_path / saved.value.suggested_filename
    saved.value.save_as(file)
    assert file.name == f"sheet.{kind}"
    if kind != "html":
        assert json.loads(file.read_text("utf-8"))
        return
    reader = browser.new_context().new_page()
    asked = []
    reader.on("request", lambda request: asked.append(request.url))
    reader.goto(file.as_uri())
    reader.wait_for_load_state("networkidle")
    assert reader.locator("figure img").evaluate(
        "image => image.complete && image.naturalWidth > 0"
    )
    assert [url for url in asked if not url.startswith("data:")] == [file.as_uri()]
    assert (
        reader.get_by_role("link", name="Open this view").get_attribute("href").startswith(tab.base)
    )
    reader.context.close()


def test_a_tab_without_a_sheet_has_no_page_run_and_no_click_lost(tab):
    """What the tab says by itself asks for no run, so that none can take the place of a click's."""
    asked = []

    def note(socket):
        socket.on("framesent", lambda frame: asked.append(BackMsg.FromString(frame)))

    tab.on("websocket", note)
    with tab.expect_response(lambda answer: "/browser/tab/" in answer.url) as answered:
        go(tab, "likelihood")
    assert answered.value.status == 204
    runs = [one for one in asked if one.WhichOneof("type") == "rerun_script"]
    assert len(runs) == 1, runs
    with tab.expect_response(lambda answer: "/browser/tab/" in answer.url) as answered:
        keep(tab, "likelihood_pictures")
    assert answered.value.status == 204
    runs = [one for one in asked if one.WhichOneof("type") == "rerun_script"]
    assert len(runs) == 2, runs
