"""The link of what is shown: copied, opened by somebody else, and inside a Space's frame."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from pages.shared import share

CHOSEN = "[role=radio][aria-checked=true]:has-text('{label}')"
FRAMED = '<iframe src="{address}" allow="{allow}" style="width: 100%; height: 850px"></iframe>'


LOADED = "[...document.images].every((image) => image.complete)"
"""A picture that is still on its way when the next run of the page takes its place is an error."""


def ready(page):
    page.wait_for_selector("h1")
    page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]")
    if "latent-space" in page.url:
        page.wait_for_selector(".desk .strip[data-unit]")  # the last pictures
    page.wait_for_function(LOADED)
    return page


def address(tab):
    return f"{tab.base}/latent-space?lang=en&latent_from=gallery"


def restores_the_choice(browser, link):
    context = browser.new_context(locale="fr-FR")
    page = ready_at(context.new_page(), link)
    page.wait_for_selector(CHOSEN.format(label="Generated"), state="attached")
    context.close()


def ready_at(page, link):
    page.set_default_timeout(60_000)
    page.goto(link)
    return ready(page)


@pytest.fixture
def other_site():
    """Serves one page, from another site than the app's: localhost is none of 127.0.0.1."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(server.page.encode())

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    server.url = f"http://localhost:{server.server_port}/spaces/user/name"
    yield server
    server.shutdown()
    server.server_close()


def framed(tab, other_site, allow):
    """The app in the frame of another site, as a Space shows it."""
    other_site.page = FRAMED.format(address=address(tab), allow=allow)
    tab.goto(other_site.url)
    return ready(tab.wait_for_selector("iframe").content_frame())


def test_a_copied_link_shows_another_visitor_the_same(tab, browser):
    tab.context.grant_permissions(["clipboard-read", "clipboard-write"])
    ready_at(tab, f"{tab.base}/latent-space?lang=en")
    tab.locator("summary:has-text('Another picture')").click()
    tab.get_by_role("radio", name="Generated").click()
    tab.wait_for_function("location.search.includes('latent_from=gallery')")
    ready(tab)
    tab.get_by_role("button", name="Copy link").press("Enter")
    tab.wait_for_selector("[role=status]:has-text('Copied')")
    link = tab.evaluate("navigator.clipboard.readText()")
    assert link == tab.url
    restores_the_choice(browser, link)


def test_a_refused_clipboard_leaves_the_link_to_be_copied_by_hand(tab, browser):
    ready_at(tab, address(tab))
    tab.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(new Error()) }")
    tab.get_by_role("button", name="Copy link").press(" ")
    field = tab.get_by_role("textbox", name=share.FIELD)
    field.wait_for()
    tab.wait_for_selector(f"[role=status]:has-text('{share.BY_HAND}')")
    assert field.evaluate("e => e.value.slice(e.selectionStart, e.selectionEnd)") == tab.url
    assert field.evaluate("e => e.getRootNode().activeElement === e")
    link = field.input_value()
    field.press("Tab")
    field.wait_for(state="hidden")
    assert tab.get_by_text(share.BY_HAND).count() == 0
    restores_the_choice(browser, link)


@pytest.mark.parametrize("allow", ["clipboard-write", ""])
def test_in_the_frame_of_a_space_the_link_is_that_of_the_app(tab, browser, other_site, allow):
    tab.context.grant_permissions(["clipboard-read", "clipboard-write"])
    inside = framed(tab, other_site, allow)
    inside.get_by_role("button", name="Copy link").click()
    if allow:
        inside.wait_for_selector("[role=status]:has-text('Copied')")
        link = tab.evaluate("navigator.clipboard.readText()")
    else:
        field = inside.get_by_role("textbox", name=share.FIELD)
        field.wait_for()
        link = field.input_value()
        tab.errors.clear()  # the browser reports what it refused
    assert link == inside.url
    assert link.startswith(tab.base)
    restores_the_choice(browser, link)


def test_the_button_speaks_french(tab):
    ready_at(tab, f"{tab.base}/?lang=fr")
    tab.get_by_role("button", name="Copier le lien").wait_for()
