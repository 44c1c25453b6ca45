import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from tests import chromium

ROOT = Path(__file__).parents[2]
WIDE, NARROW = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
TIMEOUT = 60_000


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("browser")


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Server:
    """The app as its users start it, on a port of its own."""

    def __init__(self, log, base="", **environment):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}" + (f"/{base}" if base else "")
        self.log = log
        variables = {k: v for k, v in os.environ.items() if not k.startswith("ATELIER_DATA")}
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "streamlit", "run", "app.py"),
                *("--server.port", str(self.port), "--server.baseUrlPath", base),
            ],
            cwd=ROOT,
            env=variables | {"HF_HUB_OFFLINE": "1"} | environment,
            stdout=log.open("w"),
            stderr=subprocess.STDOUT,
        )
        deadline = time.monotonic() + TIMEOUT / 1000
        while True:
            try:
                urllib.request.urlopen(f"{self.url}/_stcore/health", timeout=1)
                return
            except OSError:
                assert self.process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.1)

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=30)


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    running = Server(tmp_path_factory.mktemp("server") / "log")
    yield running
    running.stop()


@pytest.fixture(scope="session")
def profile(playwright, tmp_path_factory):
    """A browser that has been here before: what it has compiled of the app it keeps, which takes a third
    from what a page costs.
    """
    context = playwright.chromium.launch_persistent_context(
        tmp_path_factory.mktemp("profile"),
        executable_path=chromium.PATH,
        args=chromium.ARGUMENTS,
        viewport=WIDE,
        locale="en-GB",
    )
    yield context
    context.close()


@pytest.fixture
def tab(profile, server):
    """A new visitor's tab; at the end its console must be free of errors."""
    page = profile.new_page()
    page.set_default_timeout(TIMEOUT)
    page.errors = []
    page.on("console", lambda m: page.errors.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.base = server.url
    yield page
    here = page.evaluate("[...document.images].map((image) => image.src)")
    page.close()
    profile.clear_permissions()
    profile.clear_cookies()
    errors = [error for error in page.errors if not (PROBE.search(error) or left(error, here))]
    assert not errors


PROBE = re.compile("status of 404")
PICTURE = re.compile(r"Image source error - (\S+)")


def left(error, here):
    """Whether a picture could not be loaded because another one had taken its place meanwhile:
    Streamlit forgets a picture with the run of the page that showed it.
    """
    found = PICTURE.search(error)
    return bool(found) and found[1] not in here


"""On a link to a page Streamlit's own client first asks below that page for its server's health."""


@pytest.fixture
def start(tmp_path):
    """Starts an app of its own, with variables of its environment."""
    running = []

    def start_(base="", **environment):
        running.append(Server(tmp_path / "log", base, **environment))
        return running[-1]

    yield start_
    for one in running:
        one.stop()


@pytest.fixture
def fresh_server(start):
    return start()
