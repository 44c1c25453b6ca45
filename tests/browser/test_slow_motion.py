"""The slow motion follows the hand step by step, and the arrows of a cosine are dragged, turned and read."""

from math import atan2, cos, degrees, pi, radians

import numpy as np
import pytest

from core.simsiam.slow_motion import slow_motion
from pages.browser.slow_motion import BOTH_HALVES
from pages.simsiam.parts import toy_steps
from tests.browser.hand import held, places, stands
from tests.browser.test_in_a_browser import go, ready

QUIET = "[data-testid=stApp][data-test-script-state=notRunning]"
POINTS = toy_steps.points_shown()


@pytest.fixture(scope="module")
def runs():
    """Every step of the two networks that the page begins with."""
    return {code: tuple(slow_motion(toy_steps.config_of(code))) for code in toy_steps.CODES["stop"]}


@pytest.fixture(scope="module")
def first(runs):
    """The place of the pair that the page begins with."""
    return toy_steps.typical(runs["plain"], POINTS)


def at_the_steps(tab, **query):
    go(tab, "collapse-live", lang="en", toy_view="step", **query)
    tab.locator(".panel[data-network=plain] svg[data-at]").wait_for()
    tab.wait_for_selector(QUIET)


def panel(tab, code):
    return tab.locator(f".panel[data-network={code}]")


def shown(tab, code):
    """The step, the pulls that arrows show, and the spread in words."""
    pulls = {
        name: panel(tab, code)
        .locator(f".{name}")
        .evaluate_all("(all) => all.map((one) => one.dataset.pull)")
        for name in ("asked", "predicts", "target")
    }
    step = int(panel(tab, code).locator("svg.circle").get_attribute("data-at"))
    return step, pulls, panel(tab, code).locator("b").first.inner_text()


def until(tab, step):
    tab.locator(f".panel[data-network=plain] svg[data-at='{step}']").wait_for()


def test_steps_follow_the_hand_and_the_arrows_are_the_gradients(tab, runs, first):
    at_the_steps(tab)
    on = tab.get_by_role("button", name="One step on")
    for step in (0, 1, 2, 3):
        until(tab, step)
        for code, run in runs.items():
            # It glides there, the spread with it.
            spread = panel(tab, code).locator("b").first
            spread.filter(has_text=f"{run[step].spread:.2f}").wait_for()
            now, pulls, spread = shown(tab, code)
            assert now == step
            moment = run[step]
            expected = {
                "asked": moment.asked[0, POINTS[first]],
                "predicts": moment.predicts[0, POINTS[first]],
                "target": moment.target[1, POINTS[first]],
            }
            for name, place in (("asked", 0), ("predicts", 0), ("target", 1)):
                assert float(pulls[name][place]) == pytest.approx(expected[name], abs=2e-4)
                assert pulls[name][1 - place] == ""  # of the other half of the loss
            assert spread == f"{moment.spread:.2f}"
        on.click()
    tab.get_by_role("button", name="One step back").click()
    until(tab, 3)
    tab.wait_for_function("location.search.includes('toy_slow_step=3')")


def test_the_target_is_pulled_where_nothing_stops_it(tab, runs):
    at_the_steps(tab)
    dotted = ".target.stopped"
    assert panel(tab, "plain").locator(dotted).count() == 2
    assert panel(tab, "no-stop").locator(dotted).count() == 0
    dashes = "(one) => getComputedStyle(one).strokeDasharray"
    looks = [panel(tab, code).locator(".target").first.evaluate(dashes) for code in runs]
    predicts = panel(tab, "no-stop").locator(".predicts").first.evaluate(dashes)
    assert len({*looks, predicts}) == 3  # a target looks like no side that predicts
    slider = tab.get_by_role("slider", name="Step", exact=True)
    spreads = []
    with held(tab, slider) as move:
        for share in (0.1, 0.25, 0.4, 0.6, 0.8):
            move(share)
            until(tab, int(slider.get_attribute("aria-valuetext")))
            step, _pulls, spread = shown(tab, "no-stop")
            spreads.append((step, spread))
        assert "toy_slow_step" not in tab.evaluate("location.search")
    assert len({step for step, _spread in spreads}) == 5
    for step, spread in spreads:
        assert spread == f"{runs['no-stop'][step].spread:.2f}"
    tab.wait_for_function("location.search.includes('toy_slow_step=')")


def test_both_halves_and_another_pair(tab, runs, first):
    at_the_steps(tab)
    tab.get_by_role("button", name=BOTH_HALVES).click()
    _step, pulls, _spread = shown(tab, "plain")
    assert all(pulls["predicts"])
    assert all(pulls["target"])
    assert float(pulls["predicts"][1]) == pytest.approx(
        runs["plain"][0].predicts[1, POINTS[first]], abs=2e-4
    )
    tab.get_by_role("button", name="Another pair").click()
    point = POINTS[first + 1]
    _step, pulls, _spread = shown(tab, "plain")
    assert float(pulls["target"][0]) == pytest.approx(runs["plain"][0].target[0, point], abs=2e-4)
    tab.wait_for_function(f"location.search.includes('toy_pair={first + 1}')")
    tab.wait_for_function("location.search.includes('toy_halves=1')")
    tab.goto(tab.url)
    ready(tab)
    panel(tab, "plain").locator("svg[data-at]").wait_for()
    assert shown(tab, "plain")[1] == pulls
    both = tab.get_by_role("button", name=BOTH_HALVES)
    assert both.get_attribute("aria-pressed") == "true"
    both.click()
    tab.wait_for_function("!location.search.includes('toy_halves')")
    assert shown(tab, "plain")[1]["predicts"][1] == ""


def length(tab, code, name):
    """Pixels of an arrow on the screen, from its foot to its tip."""
    path = panel(tab, code).locator(f".{name}").first.get_attribute("d")
    foot, tip = (tuple(map(float, one.split())) for one in path[1:].split("M")[0].split("L"))
    return float(np.hypot(tip[0] - foot[0], tip[1] - foot[1]))


def test_a_lens_shows_short_arrows_larger_and_both_views_in_sight(tab):
    at_the_steps(tab, toy_slow_step="12")
    until(tab, 12)
    before = length(tab, "plain", "predicts")
    _step, pulls, _spread = shown(tab, "plain")
    tab.get_by_role("button", name="Magnify").click()
    for code in ("plain", "no-stop"):
        svg = panel(tab, code).locator("svg.circle")
        scale = float(svg.get_attribute("data-scale"))
        assert 1.5 < scale <= 3
        box, *views = places(
            tab, f".panel[data-network={code}] svg.circle", f".panel[data-network={code}] circle.z"
        )
        assert len(views) == 2
        for one in views:
            assert box["x"] <= one["x"] <= box["x"] + box["width"] - one["width"]
            assert box["y"] <= one["y"] <= box["y"] + box["height"] - one["height"]
    assert length(tab, "plain", "predicts") == pytest.approx(min(scale * before, 125), rel=0.01)
    assert shown(tab, "plain")[1] == pulls  # the numbers are the same
    tab.get_by_text(f"{scale:.1f} times as large").wait_for()
    tab.wait_for_function("location.search.includes('toy_near=1')")
    tab.get_by_role("button", name="One step on").click()
    until(tab, 13)
    tab.get_by_role("button", name="Magnify").click()
    tab.wait_for_function("!location.search.includes('toy_near')")
    assert panel(tab, "plain").locator("svg.circle").get_attribute("data-scale") == "1.00"


# ---------------------------------------------------------------- the cosine


def cosine(tab):
    return float(tab.locator(".cosine[data-cosine]").get_attribute("data-cosine"))


def angles(tab):
    return [
        float(tab.locator(f".handle[data-name={name}]").get_attribute("aria-valuenow"))
        for name in "pz"
    ]


def test_a_dragged_arrow_has_the_cosine_of_its_angle(tab):
    at_the_steps(tab)
    plane = tab.locator(".cosine svg.plane")
    plane.scroll_into_view_if_needed()
    stands(plane)
    box, grip = places(tab, ".cosine svg.plane", ".handle[data-name=p] .grip")
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    tab.mouse.move(grip["x"] + grip["width"] / 2, grip["y"] + grip["height"] / 2)
    tab.mouse.down()
    seen = []
    for right, up in ((80, 0), (0, 70), (-90, 10), (-40, -80), (60, -60), (70, 25)):
        tab.mouse.move(middle[0] + right, middle[1] - up)
        p, z = angles(tab)
        assert p == pytest.approx(degrees(atan2(up, right)), abs=1)
        assert cosine(tab) == pytest.approx(cos(radians(p - z)), abs=1e-5)
        words = tab.locator("b.cosine").inner_text(), tab.locator("b.loss").inner_text()
        numbers = [float(one.replace("−", "-")) for one in words]
        np.testing.assert_allclose(numbers, [cosine(tab), -cosine(tab)], atol=0.00501)
        seen.append(words)
    assert len(set(seen)) == 6
    assert "toy_cosine" not in tab.url  # the hand still holds it
    tab.mouse.up()
    tab.wait_for_function(f"location.search.includes('toy_cosine_p_angle={int(angles(tab)[0])}')")
    before = angles(tab), cosine(tab)
    tab.goto(tab.url)
    ready(tab)
    tab.locator(".cosine[data-cosine]").wait_for()
    assert (angles(tab), cosine(tab)) == before


def test_keys_turn_and_stretch_an_arrow_and_only_turning_changes_the_cosine(tab):
    at_the_steps(tab)
    handle = tab.locator(".handle[data-name=z]")
    handle.focus()
    first, before = angles(tab)[1], cosine(tab)
    handle.press("Shift+ArrowLeft")
    assert angles(tab)[1] == first + 10
    turned = cosine(tab)
    assert turned != before
    for _press in range(4):
        handle.press("ArrowUp")
    assert cosine(tab) == turned
    assert "length 1.00" in handle.get_attribute("aria-valuetext")
    tab.wait_for_function("location.search.includes('toy_cosine_z_length=1')")


def test_the_pull_is_the_sine_at_right_angles_however_long_the_arrow_is(tab):
    at_the_steps(tab)
    p, z = angles(tab)
    size = float(tab.locator(".cosine .pull").first.get_attribute("data-size"))
    assert size == pytest.approx(np.sin((z - p) * pi / 180), abs=1e-3)
    tab.locator(".handle[data-name=p]").press("ArrowUp")
    assert float(tab.locator(".cosine .pull").first.get_attribute("data-size")) == size
    path = tab.locator(".cosine .pull").first.get_attribute("d")
    (x0, y0), (x1, y1) = (
        tuple(map(float, part.split())) for part in path[1:].split("M")[0].split("L")
    )
    assert (x1 - x0) * cos(p * pi / 180) - (y1 - y0) * np.sin(p * pi / 180) == pytest.approx(
        0, abs=1e-6
    )


def test_the_name_of_the_longest_arrow_is_in_the_picture(tab):
    query = {"toy_cosine_p_angle": "90", "toy_cosine_p_length": "1.8"}
    at_the_steps(tab, **query, toy_cosine_z_angle="-90", toy_cosine_z_length="1.8")
    box, *names = places(tab, ".cosine svg.plane", ".cosine svg.plane text")
    assert len(names) == 2
    for one in names:
        assert box["y"] <= one["y"]
        assert one["y"] + one["height"] <= box["y"] + box["height"]


def test_a_finger_drags_an_arrow(browser, server):
    context = browser.new_context(
        viewport={"width": 390, "height": 844}, has_touch=True, locale="en-GB"
    )
    tab = context.new_page()
    tab.set_default_timeout(60_000)
    tab.base = server.url
    at_the_steps(tab)
    grip = tab.locator(".handle[data-name=z] .grip")
    grip.scroll_into_view_if_needed()
    stands(grip)
    box, before = grip.bounding_box(), cosine(tab)
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    fingers = context.new_cdp_session(tab)
    for kind, right, down in (("touchStart", 0, 0), ("touchMove", -20, 40), ("touchMove", -40, 80)):
        points = [{"x": x + right, "y": y + down}]
        fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    fingers.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    tab.wait_for_function("location.search.includes('toy_cosine_z_angle')")
    assert cosine(tab) != before
    context.close()
