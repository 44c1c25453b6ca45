"""A hand on a timeline: holds it, moves it, lets go, and reads what the pictures show meanwhile."""

from base64 import b64decode
from contextlib import contextmanager

import numpy as np

POSITIONS = (0.1, 0.2, 0.35, 0.45, 0.55, 0.65, 0.8, 0.9)
"""Shares of the way along the timeline; none is where a page begins."""

_SHOWN = """() => [...document.querySelectorAll("[data-testid=stBidiComponentIsolated]")].flatMap((host) =>
  [...host.shadowRoot.querySelectorAll(".row:not(.strip) canvas")].map((canvas) => {
    const {data, width, height} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    let bytes = "";
    for (let i = 0; i < data.length; i += 8192)
      bytes += String.fromCharCode(...data.subarray(i, i + 8192));
    return {width, height, data: btoa(bytes), words: canvas.getAttribute("aria-label")};
  }))"""


def timeline(tab, label):
    """The timeline of that label, once there are pictures that follow it."""
    found = tab.get_by_role("slider", name=label, exact=True)
    found.wait_for()
    tab.wait_for_selector(".row canvas[aria-label]")
    return found


def value(slider):
    return slider.get_attribute("aria-valuetext")


def pictures(tab):
    """What is shown now, by alt text: uint8 (H, W, 3)."""
    return {
        one["words"]: np.frombuffer(b64decode(one["data"]), np.uint8).reshape(
            one["height"], one["width"], 4
        )[..., :3]
        for one in tab.evaluate(_SHOWN)
    }


def stands(place):
    """Waits until nothing on the page moves it any more."""
    place.evaluate(
        """(one) => new Promise((done) => {
            let [before, frames] = ["", 0];
            const look = () => {
                const { x, y } = one.getBoundingClientRect();
                frames = `${x} ${y}` === before ? frames + 1 : 0;
                before = `${x} ${y}`;
                if (frames > 10) done();
                else requestAnimationFrame(look);
            };
            look();
        })"""
    )


def places(tab, *selectors):
    """Boxes of all that match, read at one moment: a page may still move between two questions."""
    for selector in selectors:
        tab.locator(selector).first.wait_for(state="attached")  # a line has no width
    return tab.evaluate(
        """(all) => all.map((one) => {
            const { x, y, width, height } = one.getBoundingClientRect();
            return { x, y, width, height };
        })""",
        [one for selector in selectors for one in tab.locator(selector).element_handles()],
    )


@contextmanager
def held(tab, slider):
    """Holds a slider or a chart in its middle; gives what moves it to a share of its width."""
    slider.scroll_into_view_if_needed()
    stands(slider)
    box = slider.bounding_box()
    height = box["y"] + box["height"] / 2

    def move(share):
        tab.mouse.move(box["x"] + share * box["width"], height)
        tab.evaluate(
            "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
        )

    tab.mouse.move(box["x"] + 0.5 * box["width"], height)
    tab.mouse.down()
    yield move
    tab.mouse.up()


def moved_through(tab, slider):
    """What every position showed while the hand held on: a list of (value, pictures)."""
    seen = []
    with held(tab, slider) as move:
        for share in POSITIONS:
            move(share)
            seen.append((value(slider), pictures(tab)))
    return seen


def different(seen):
    """How many of the positions showed pictures of their own."""
    return len({b"".join(one.tobytes() for one in shown.values()) for _value, shown in seen})
