"""Latent profiles: a click on a bar chooses its unit, and the picture shows what that bar does."""

from tests.browser.hand import stands
from tests.browser.test_in_a_browser import go, ready


def test_a_click_on_a_bar_chooses_its_unit(tab):
    go(tab, "latent-profiles", profiles_order="number")
    bars = tab.locator(".st-key-profiles_one .barlayer .point path")
    bars.nth(2).wait_for()
    stands(bars.nth(2))
    box = bars.nth(2).bounding_box()
    tab.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    tab.wait_for_function("location.search.includes('profiles_unit=3')")
    ready(tab)
    tab.wait_for_selector("text=z3 moved by 10 bars")
