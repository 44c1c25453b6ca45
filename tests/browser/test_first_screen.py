"""The first screen of a page is its figure, with the one control that moves it: in a hall, and on a phone."""

import pytest

from tests.browser.test_in_a_browser import go

SCREENS = {"hall": {"width": 1280, "height": 720}, "phone": {"width": 390, "height": 844}}
LEAST = 0.6
"""Of the figure's height, and of its control's."""
FIRST = {
    "": (".st-key-home_film", ".st-key-home_epoch_hand, .st-key-home_step_hand"),
    "latent-space": (".desk .pictures", ".desk .units > :first-child"),
    "interpolation": (".st-key-interpolation_film", ".st-key-interpolation_w_hand"),
    "latent-profiles": (".st-key-profiles_one", ".st-key-profiles_class"),
    "likelihood": ("img[alt^='The picture, what the VAE']", "summary"),
    "vae-training": (".st-key-training_epoch_film", ".st-key-training_epoch_hand"),
}

SEEN = """(element) => {
  const {top, bottom, height} = element.getBoundingClientRect();
  return Math.max(0, Math.min(bottom, innerHeight) - Math.max(top, 0)) / height;
}"""


@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.parametrize("path", FIRST)
def test_the_figure_and_its_control_are_on_the_first_screen(tab, path, screen):
    tab.set_viewport_size(SCREENS[screen])
    go(tab, path)
    for selector in FIRST[path]:
        element = tab.locator(selector).first
        element.wait_for()
        shown = element.evaluate(SEEN)
        assert shown >= LEAST, f"{selector}: {shown:.0%}"
