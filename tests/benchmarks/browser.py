"""Start-up, slider to picture, click to denoised picture, memory: in a real browser, against limits.

    python tests/benchmarks/browser.py

Needs playwright and /usr/bin/chromium (tests/requirements.txt). The limits are 5 seconds from
``streamlit run`` to the first page with a picture, 300 milliseconds from a key pressed on a slider to
the new picture on the screen, 1 second from a click to the first picture of a way back by DDIM in 20
steps and to the first rows of a sweep for t*, 5 seconds to 16 pictures by DDIM in 50 steps, 6 seconds
to a whole sweep (12 levels, 4 draws, DDIM 50), 2 seconds from a switch of the toy SimSiam to its
trained network and from opening any page to its first picture or chart, and 1.5 GiB of memory with
every page visited.
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
STARTUP_LIMIT, SLIDER_LIMIT, PAGE_LIMIT = 5.0, 0.3, 2.0
MEMORY_LIMIT = 1536
ROUNDS, CLICKS = 15, 5
LIVE = "img[alt^='The noisy pictures, and below them']"
MADE = "img[alt='Pictures made from noise']"
ROWS = "img[alt^='The noisy picture at every level']"
FIRST = "[data-testid=stImage] img, .js-plotly-plot, [data-testid=stDataFrame], canvas[aria-label]"
QUIET = "[data-testid=stApp][data-test-script-state=notRunning]"
# In JavaScript: the address says that a result is shown, or that the switch was moved and all is drawn.
SWEPT = "() => location.search.includes('run=1')"
SWITCHED = (
    "() => location.search.includes('toy_predictor=identity') && "
    f"document.querySelector('{QUIET}') !== null"
)
PAGES = (
    "",
    "latent-space",
    "interpolation",
    "latent-profiles",
    "likelihood",
    "vae-training",
    "adding-noise",
    "denoising",
    "t-star",
    "undo-an-attack",
    "vae-and-ddpm",
    "ddpm-lengths",
    "inside-the-unet",
    "ddpm-training",
    "two-views",
    "collapse",
    "collapse-live",
    "neighbours",
    "siblings",
    "checkpoints",
)
DENOISE = "denoising?lang=en&denoise_count=16&denoise_seed={seed}&denoise_steps="
SWEEP = "t-star?lang=en&tstar_seed={seed}"
TOY = "collapse-live?lang=en&toy_seed={seed}"
CLICKED = (
    # What is timed, the page, the button, what is waited for, the first seed, the limit in seconds.
    ("click to first picture, DDIM 20", f"{DENOISE}20", "denoise_go", f"{LIVE}, {MADE}", 100, 1.0),
    ("click to 16 pictures, DDIM 50", f"{DENOISE}50", "denoise_go", MADE, 200, 5.0),
    ("click to first rows of a sweep", SWEEP, "tstar_go", ROWS, 300, 1.0),
    ("click to a whole sweep", SWEEP, "tstar_go", SWEPT, 400, 6.0),
    ("a switch of the toy to its network", TOY, "toy_preset_no-predictor", SWITCHED, 500, 2.0),
)
NOW = "canvas[aria-label='What the decoder makes of z as the sliders say']"
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
    page.wait_for_selector(FIRST, timeout=60_000)
    return time.perf_counter() - start


def slider_to_picture(page: Page) -> list[float]:
    """Seconds from each move of the strongest unit's slider to its picture, which the browser decodes."""
    page.goto(f"{URL}/latent-space?lang=en")
    page.wait_for_selector(".desk.decoding", timeout=60_000)
    page.wait_for_timeout(1500)
    slider = page.locator(".desk .unit").get_by_role("slider").first
    return [
        slider.evaluate(
            """(slider, [now, value]) => new Promise((resolve) => {
                const picture = slider.getRootNode().querySelector(now);
                const begun = performance.now();
                new MutationObserver((_, watching) => {
                    watching.disconnect();
                    requestAnimationFrame(() => resolve((performance.now() - begun) / 1000));
                }).observe(picture, { attributeFilter: ["data-values"] });
                slider.value = value;
                slider.dispatchEvent(new Event("input"));
            })""",
            [NOW, 3 - 6 * index / ROUNDS],
        )
        for index in range(ROUNDS)
    ]


def clicks(page: Page, link: str, button: str, shown: str, first_seed: int) -> list[float]:
    """Seconds from a click on a button to what is ``shown``, with another seed each time."""
    seconds = []
    for seed in range(first_seed, first_seed + CLICKS):
        page.goto(f"{URL}/{link.format(seed=seed)}")
        page.wait_for_selector(f".st-key-{button} button", timeout=60_000)
        page.wait_for_selector(QUIET, timeout=60_000)
        page.wait_for_timeout(500)
        start = time.perf_counter()
        page.locator(f".st-key-{button} button").click()
        if shown.startswith("() =>"):
            page.wait_for_function(shown, timeout=60_000)
        else:
            page.wait_for_selector(shown, timeout=60_000)
        seconds.append(time.perf_counter() - start)
        page.wait_for_selector(QUIET, timeout=60_000)
    return seconds


def report(what: str, seconds: list[float], limit: float) -> None:
    middle = statistics.median(seconds)
    print(
        f"{what}: median {1000 * middle:.0f} ms, {middle / limit:.2f} of limit (fastest"
        f" {1000 * min(seconds):.0f}, slowest {1000 * max(seconds):.0f}, {len(seconds)} rounds)",
        flush=True,
    )


def visit_all(page: Page) -> dict[str, float]:
    """Seconds from opening every page, as a new visitor, to its first picture, chart or table."""
    seconds = {}
    for path in PAGES:
        start = time.perf_counter()
        page.goto(f"{URL}/{path}?lang=en")
        page.wait_for_selector(FIRST, timeout=60_000)
        seconds[path or "home"] = time.perf_counter() - start
        page.wait_for_selector(QUIET, timeout=60_000)
    return seconds


def peak_memory(process: int) -> float | None:
    """Largest resident size so far in MiB; None where the system has no /proc."""
    status = Path(f"/proc/{process}/status")
    if not status.exists():
        return None
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


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
            report("slider to picture", slider_to_picture(page), SLIDER_LIMIT)
            for words, link, button, shown, seed, limit in CLICKED:
                report(words, clicks(page, link, button, shown, seed), limit)
            visits = visit_all(page)
            slowest = max(visits, key=visits.get)
            report(
                f"page to its first picture (slowest: {slowest})", [*visits.values()], PAGE_LIMIT
            )
            memory = peak_memory(server.pid)
            if memory is not None:
                print(
                    f"memory with every page visited: {memory:.0f} MiB at most,"
                    f" {memory / MEMORY_LIMIT:.2f} of limit"
                )
        finally:
            server.terminate()
            server.wait(timeout=30)
            browser.close()


main()
