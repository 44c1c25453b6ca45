"""Frames a second while a hand drags, first picture, bytes sent, work of the server: in a real browser.

    python tests/benchmarks/hand.py [PAGE ...]

Needs playwright and /usr/bin/chromium (tests/requirements.txt). On every page whose figures follow the
hand the slider is moved with every frame of the browser for two seconds. Frames a second stand against
those of the same page with nothing moving, in the same run; what is sent against 2 MB; the work of the
server while the hand holds on against none, and that of letting go next to it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from playwright.sync_api import Locator, Page, sync_playwright

ROOT = Path(__file__).parents[2]
PORT = 8734
URL = f"http://127.0.0.1:{PORT}"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
QUIET = "[data-testid=stApp][data-test-script-state=notRunning]"
SECONDS = 2
MOST_SENT = 2e6
PAGES = (
    "latent-space",
    "interpolation",
    "vae-training",
    "adding-noise",
    "denoising",
    "t-star",
    "ddpm-lengths",
    "inside-the-unet",
    "ddpm-training",
    "collapse",
    "collapse-live",
)
# Moves the slider up and down with every frame, or does nothing; counts frames.
DRAG = """(slider, [seconds, move]) => new Promise((done) => {
  const [low, high] = [Number(slider.min || 0), Number(slider.max)];
  const begun = performance.now();
  let frames = 0;
  const frame = (now) => {
    if (now - begun > 1000 * seconds) return done((1000 * frames) / (now - begun));
    frames += 1;
    if (move) {
      const share = Math.abs(((now - begun) / 1000) % 2 - 1);
      slider.value = low + share * (high - low);
      slider.dispatchEvent(new Event("input", { bubbles: true, composed: true }));
    }
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
})"""
LET_GO = "(slider) => slider.dispatchEvent(new Event('change', { bubbles: true, composed: true }))"


def work(process: int) -> float | None:
    """Seconds of a core that a process has used; None where the system has no /proc."""
    file = Path(f"/proc/{process}/stat")
    if not file.exists():
        return None
    fields = file.read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def quiet(page: Page, process: int) -> None:
    """Waits until neither the page nor the server has anything to do."""
    page.wait_for_selector(QUIET, timeout=120_000)
    before, now = -1.0, work(process)
    while now is not None and now - before > 0.02:
        page.wait_for_timeout(500)
        before, now = now, work(process)


def opened(page: Page, path: str) -> tuple[Locator, float, float]:
    """The first slider of a page in the browser, seconds to it and its picture, bytes of what follows it."""
    sent = []

    def note(answer) -> None:
        if "/browser/" in answer.url and "wasm" not in answer.url and "model" not in answer.url:
            sent.append(int(answer.headers.get("content-length", 0)))

    page.on("response", note)
    begun = time.perf_counter()
    page.goto(f"{URL}/{path}?lang=en")
    slider = page.locator("[data-testid=stBidiComponentIsolated] input[type=range]").first
    slider.wait_for(timeout=120_000)
    page.locator("[data-testid=stBidiComponentIsolated]").locator(
        "canvas, svg[role=img]"
    ).first.wait_for(timeout=120_000)
    seconds = time.perf_counter() - begun
    page.wait_for_selector(QUIET, timeout=120_000)
    page.wait_for_timeout(1000)
    page.remove_listener("response", note)
    return slider, seconds, sum(sent)


def measure(page: Page, path: str, process: int) -> None:
    slider, first, sent = opened(page, path)
    quiet(page, process)
    still = slider.evaluate(DRAG, [SECONDS, False])
    before = work(process)
    frames = slider.evaluate(DRAG, [SECONDS, True])
    held = None if before is None else work(process) - before
    slider.evaluate(LET_GO)
    page.wait_for_timeout(1000)
    quiet(page, process)
    let_go = None if held is None else work(process) - before - held
    said = f"{path}: {frames:.0f} frames a second, {frames / still:.2f} of the still page's"
    said += (
        f"; {sent / 1e6:.2f} MB sent, {sent / MOST_SENT:.2f} of limit; first picture {first:.1f} s"
    )
    if held is not None:
        said += f"; server {1000 * held:.0f} ms while held, {1000 * let_go:.0f} ms on letting go"
    print(said, flush=True)


def main() -> None:
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(PORT)]
    server = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=ARGUMENTS)
        try:
            while True:
                try:
                    urllib.request.urlopen(f"{URL}/_stcore/health", timeout=1)
                    break
                except OSError:
                    time.sleep(0.1)
            for path in sys.argv[1:] or PAGES:
                page = browser.new_page(viewport={"width": 1440, "height": 900})
                measure(page, path, server.pid)
                page.close()
        finally:
            browser.close()
            server.terminate()
            server.wait(timeout=30)


main()
