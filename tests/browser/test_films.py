"""Pictures that follow a hand on a timeline: while it holds, after it lets go, and by a link."""

import base64

import numpy as np
import pytest

from core.pictures.house_number import HouseNumber, draw
from pages.ddpm import ddpm_lengths, inside_the_unet
from pages.shared import loaders
from tests.browser import hand
from tests.browser.test_in_a_browser import go, ready

LET_GO = 0.2
DIFFERENT = 6
"""How many of the positions have another picture, at least."""
PIXELS = """(canvases) => canvases.map((canvas) => {
  const { width, height } = canvas;
  const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
  let bytes = "";
  for (const level of data) bytes += String.fromCharCode(level);
  return { width, height, pixels: btoa(bytes) };
})"""


def canvases(tab, film):
    """The pictures of a film as they are painted: uint8 (H, W, 3) each."""
    read = tab.locator(f".st-key-{film} canvas").evaluate_all(PIXELS)
    return [
        np.frombuffer(base64.b64decode(one["pixels"]), np.uint8).reshape(
            one["height"], one["width"], 4
        )[..., :3]
        for one in read
    ]


def slider_of(tab, key):
    return tab.locator(f".st-key-{key}_hand input[type=range]")


def drag(tab, key, look):
    """What ``look`` sees at each position of a held hand, with the place of the stop there."""
    slider, seen = slider_of(tab, key), []
    with hand.held(tab, slider) as move:
        for share in (*hand.POSITIONS, LET_GO):
            move(share)
            seen.append((int(slider.input_value()), look()))
    return seen


def same(shown, expected):
    """Whether pictures are alike to one grey level: one batch rounds otherwise than another."""
    return len(shown) == len(expected) and all(
        one.shape == other.shape and np.abs(one.astype(int) - other).max() <= 1
        for one, other in zip(shown, expected, strict=True)
    )


# ---------------------------------------------------------------- what Python computes

PICTURE = draw(HouseNumber())
MODELS = [f"ddpm-svhn-{T}" for T in (500, 1000, 1500)]


def t_star():
    """Noised, one look and the first draws of the quick look, level by level."""
    from pages.ddpm.parts.quick_look import DRAWS, WAY
    from pages.ddpm.parts.restored import FEW_DRAWS

    explorer = loaders.ddpm("ddpm-svhn-1000")
    levels = np.linspace(40, 800, 12).round().astype(int) - 1
    *_before, back = explorer.restore(WAY, PICTURE[None], levels, DRAWS, 0)
    frames = [
        [PICTURE, back.noised[0, i, 0], back.glance[0, i, 0], *back.now[0, i, :FEW_DRAWS]]
        for i in range(len(back.t))
    ]
    return [int(t) + 1 for t in back.t], frames


def lengths():
    """x_t, predicted picture and predicted noise of three models at every stop of log SNR."""
    explorers = [loaders.ddpm(name) for name in MODELS]
    stops = ddpm_lengths.stops("noise", explorers)
    frames = []
    for stop in stops:
        looks = []
        for explorer in explorers:
            level = ddpm_lengths.level("noise", stop, explorer)
            looks.append(None if level is None else explorer.predict(PICTURE, [level], 0)[0])
        frames.append(
            [
                np.zeros_like(PICTURE) if look is None else getattr(look, kind)
                for kind in ("x_t", "x0_hat", "eps_hat")
                for look in looks
            ]
        )
    return stops, frames


def inside():
    """x_t and the predicted picture at every level; the layers are compared with those of a link."""
    explorer = loaders.ddpm("ddpm-svhn-1000")
    levels = inside_the_unet.levels_of(explorer, inside_the_unet.STOP_SHARES)
    looks = explorer.predict(PICTURE, levels, 0)
    return [level + 1 for level in levels], [[look.x_t, look.x0_hat] for look in looks]


FILMS = {
    "t-star": ("tstar_t", "tstar_film", t_star),
    "ddpm-lengths": ("lengths_at_noise", "lengths_film", lengths),
    "inside-the-unet": ("inside_t", "inside_film", inside),
}


@pytest.mark.parametrize("page", FILMS)
def test_pictures_follow_the_hand_and_the_page_follows_when_it_lets_go(tab, page):
    key, film, computed = FILMS[page]
    stops, expected = computed()
    go(tab, page)
    tab.wait_for_selector(f".st-key-{film} canvas")
    address = tab.url
    seen = drag(tab, key, lambda: (canvases(tab, film), tab.url))
    for place, (shown, url) in seen:
        assert same(shown[: len(expected[place])], expected[place]), stops[place]
        assert url == address  # Python knows nothing before the hand lets go
    different = {b"".join(one.tobytes() for one in shown) for _place, (shown, _url) in seen[:-1]}
    assert len(different) >= DIFFERENT
    # The hand has let go.
    place, (held, _url) = seen[-1]
    tab.wait_for_function(
        "([key, value]) => new URLSearchParams(location.search).get(key) === value",
        arg=[key, str(stops[place])],
    )
    ready(tab)
    # A link shows what its sender saw, and so does the page after another one.
    tab.goto(tab.url)
    ready(tab)
    tab.wait_for_selector(f".st-key-{film} canvas")
    assert int(slider_of(tab, key).input_value()) == place
    assert same(canvases(tab, film), held)
    title = tab.locator("h1").inner_text()
    for other in ("Denoising", title):
        tab.get_by_role("link", name=other, exact=True).first.click()
        tab.wait_for_selector(f"h1:has-text('{other}')")
        ready(tab)
    tab.wait_for_selector(f".st-key-{film} canvas")
    ready(tab)
    assert int(slider_of(tab, key).input_value()) == place
    assert same(canvases(tab, film), held)


def test_captions_of_the_draws_follow_the_hand(tab):
    go(tab, "t-star", tstar_guess=-1)
    said = ".st-key-tstar_film .row:not(.strip) figcaption"
    tab.wait_for_selector(said)
    seen = drag(tab, "tstar_t", lambda: tuple(tab.locator(said).all_inner_texts()[3:]))
    assert len({words for _place, words in seen[:-1]}) >= DIFFERENT
    assert all("%" in draw and "dB" in draw for _place, words in seen for draw in words)
