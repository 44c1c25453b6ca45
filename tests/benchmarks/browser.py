"""Start-up to first page, and slider to picture, in a real browser, as a share of their limits.

    python tests/benchmarks/browser.py

Needs playwright and /usr/bin/chromium (tests/requirements.txt). The limits are 5 seconds from
``streamlit run`` to the first page with a picture, and 300 milliseconds from a key pressed on a
slider to the new picture on the screen.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).parents[2]
PORT = 8733
URL = f"http://127.0.0.1:{PORT}"
STARTUP_LIMIT, SLIDER_LIMIT = 5.0, 0.3
ROUNDS = 15
NOW = "img[alt='What the decoder makes of z as the sliders say']"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]


def first_page(page: Page) -> float:
    """Seconds from starting the server to the first picture on the home page."""
    start = time.perf_counter()
    while True:
        try:
            urllib.request.urlopen(f"{URL}/_stcore/health", timeout=1)
            break
        except OSError:
            time.sleep(0.05)
    page.goto(URL)
    page.wait_for_selector("[data-testid=stImage] img", timeout=60_000)
    return time.perf_counter() - start


def slider_to_picture(page: Page) -> list[float]:
    """Seconds from each key press on the strongest unit's slider to the new picture."""
    page.goto(f"{URL}/latent-space?lang=en")
    page.wait_for_selector(NOW, timeout=60_000)
    page.wait_for_timeout(1500)
    thumb = page.locator("[data-testid=stSlider]", has_text="KL").get_by_role("slider").first
    thumb.focus()
    seconds = []
    for index in range(ROUNDS):
        before = page.locator(NOW).get_attribute("src")
        start = time.perf_counter()
        thumb.press("PageUp" if index % 2 else "PageDown")
        page.wait_for_function(
            "([s, b]) => { const i = document.querySelector(s);"
            " return i && i.getAttribute('src') !== b && i.complete }",
            arg=[NOW, before],
            polling="raf",
        )
        seconds.append(time.perf_counter() - start)
        page.wait_for_timeout(300)
    return seconds


def main() -> None:
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(PORT)]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        server = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            startup = first_page(page)
            print(
                f"start-up to first page: {startup:.2f} s, {startup / STARTUP_LIMIT:.2f} of limit"
            )
            seconds = slider_to_picture(page)
            middle = statistics.median(seconds)
            print(
                f"slider to picture: median {1000 * middle:.0f} ms, {middle / SLIDER_LIMIT:.2f} of"
                f" limit (fastest {1000 * min(seconds):.0f}, slowest {1000 * max(seconds):.0f},"
                f" {ROUNDS} rounds)"
            )
        finally:
            server.terminate()
            server.wait(timeout=30)
            browser.close()


main()
