"""Anyone's bundle, from a server that stands for the Hub, by field and by link, in a browser."""

import pytest

from core.bundles.manifest import CHECKPOINTS
from tests.browser.test_in_a_browser import about
from tests.hub_server import Hub

QUIET = "[data-testid=stApp][data-test-script-state=notRunning]"
FIELD, OPEN = "[data-testid=stTextInputField]", "[data-testid=stBaseButton-secondaryFormSubmit]"


@pytest.fixture
def hub():
    running = Hub()
    folder = CHECKPOINTS / "vae-svhn"
    files = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
    running.commit = running.put("someone/vae", files)
    running.put("someone/wrong", files | {"config.json": b'{"family": "vae"}'})
    yield running
    running.close()


@pytest.fixture
def connected(hub, start, tmp_path):
    """The app of somebody whose Hub is that server."""
    return start(
        HF_ENDPOINT=hub.address,
        HF_HOME=str(tmp_path / "home"),
        HF_HUB_OFFLINE="0",
        HF_HUB_DISABLE_XET="1",
    )


@pytest.mark.slow
def test_anyones_bundle_opens_from_the_field_and_by_its_link(connected, browser, hub):
    context = browser.new_context(viewport={"width": 1440, "height": 900}, locale="en-GB")
    tab = context.new_page()
    tab.set_default_timeout(60_000)
    tab.goto(f"{connected.url}/checkpoints")
    tab.wait_for_selector(OPEN)
    tab.wait_for_selector(QUIET)

    tab.locator(FIELD).first.fill("someone/wrong")
    tab.locator(OPEN).click()
    tab.wait_for_selector("text=has no usable format")

    tab.locator(FIELD).first.fill("someone/vae")
    tab.locator(OPEN).click()
    tab.wait_for_selector(".st-key-preferred_vae :text('someone/vae@')")
    tab.get_by_role("link", name="Latent space").click()
    about(tab)
    tab.wait_for_selector(f"text=someone/vae@{hub.commit[:7]} · {hub.commit[:12]}")
    link = tab.url
    assert hub.commit in link
    context.close()

    other = browser.new_context(viewport={"width": 390, "height": 844}, locale="en-GB")
    tab = other.new_page()
    tab.set_default_timeout(60_000)
    tab.goto(link)
    about(tab)
    tab.wait_for_selector(f"text=someone/vae@{hub.commit[:7]} · {hub.commit[:12]}")
    other.close()
