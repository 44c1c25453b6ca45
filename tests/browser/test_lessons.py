"""A lesson in front of a class, on a phone, and made from views: in a browser, by keys and fingers."""

import re
import time
from urllib.parse import parse_qs, urlsplit

import pytest

from pages.simsiam import collapse
from pages.teach import link_panel, playing, shelf
from pages.teach.lesson import read_lesson
from tests.browser.conftest import NARROW, ROOT, TIMEOUT
from tests.browser.hand import places

HALL = {"width": 1280, "height": 720}
STEPS, LEAST_LETTER = 8, 24
"""Of the lessons of 45 minutes that are played here."""
EPOCH = collapse.EPOCH_WORDS
LESSON = read_lesson((ROOT / "pages" / "lessons" / "simsiam-45.toml").read_text("utf-8"))
WHY = LESSON.steps[2].ask.why.en.split(" of {")[0]
QUIET = "[data-testid=stApp][data-test-script-state=notRunning]"
WITHIN = """(selector) => {
  const box = document.querySelector(selector)?.getBoundingClientRect();
  return box && box.height > 150 && box.width > 150
    && box.top >= 0 && box.left >= 0 && box.bottom <= innerHeight && box.right <= innerWidth;
}"""
"""Whether a figure is drawn and lies wholly within the screen."""
LETTER = "(words) => parseFloat(getComputedStyle(words).fontSize) * words.currentCSSZoom"
NOTHING_STICKS_OUT = """() => [document.documentElement, document.querySelector("[data-testid=stMain]")]
  .every((part) => part.scrollWidth <= part.clientWidth)"""
WHOLE = """(count) => {
  const options = [...document.querySelectorAll('[role=radiogroup][aria-label="Your answer"] [role=radio]')];
  const fits = (part) => part.clientWidth === 0 || part.scrollWidth <= part.clientWidth + 1;
  return options.length === count && options.every((option) =>
    option.clientWidth > 0 && [option, ...option.querySelectorAll("div, p")].every(fits));
}"""
"""Whether there is this number of options and all their words fit."""


def ready(tab):
    tab.wait_for_selector(QUIET)
    tab.wait_for_function("[...document.images].every((image) => image.complete)")
    tab.evaluate("document.fonts.ready")
    return tab


def at_step(tab, number):
    """Waits until the step is there and its run is over."""
    if "as=stage" in tab.url:
        tab.wait_for_selector(f".st-key-lesson_head:has-text('{number} / {STEPS}')")
        tab.wait_for_selector(f".st-key-clicker .root[data-step='{number}']", state="attached")
    else:
        tab.wait_for_selector(f"text=/^Step {number} of {STEPS}, /")
    return ready(tab)


def go(tab, step, look="desk", size=HALL, lesson="simsiam-45"):
    tab.set_viewport_size(size)
    tab.goto(f"{tab.base}/?lesson={lesson}&step={step}&as={look}")
    return at_step(tab, step)


def stage(tab, step=3):
    return go(tab, step, "stage")


def timeline(tab):
    found = tab.get_by_role("slider", name=EPOCH, exact=True)
    found.wait_for()
    return found


def says(tab, slider, value):
    """Waits until the timeline says a value."""
    tab.wait_for_function(
        "([slider, value]) => slider.getAttribute('aria-valuetext') === value",
        arg=[slider.element_handle(), value],
    )


# ---------------------------------------------------------------- on a stage


def test_a_hall_sees_the_whole_figure_and_reads_from_the_last_row(tab):
    stage(tab)
    tab.wait_for_function(WITHIN, arg=".st-key-collapse_loss")
    words = tab.locator("p", has_text="Two networks, one loss")
    assert words.evaluate(LETTER) >= LEAST_LETTER
    option = tab.locator("p", has_text="A · the one that ends at")
    assert option.evaluate(LETTER) >= LEAST_LETTER


def test_what_the_answer_shows_stands_on_the_first_screen(tab):
    stage(tab)
    assert tab.get_by_text(WHY).count() == 0
    assert tab.locator(".st-key-collapse_knn").count() == 0
    tab.keyboard.press("r")
    tab.get_by_text(WHY).wait_for()
    for figure in (".st-key-collapse_knn", ".st-key-collapse_clouds"):
        tab.wait_for_function(WITHIN, arg=figure)
    box = tab.locator("p", has_text=WHY).bounding_box()
    assert box["y"] + box["height"] <= HALL["height"]
    assert tab.get_by_text("the one that ends at −0.99").count() == 0  # the right one alone


SHIPPED = {name: len(lesson.steps) for name, lesson in shelf.lessons().lessons.items()}
UNFIT = """() => {
  const main = document.querySelector("[data-testid=stMain]");
  const parts = [...document.querySelectorAll(".st-key-lesson_words, .st-key-lesson_figures")];
  const edge = (side) => Math.max(...parts.map((part) => part.getBoundingClientRect()[side]));
  const [low, right] = [Math.max(main.scrollHeight, edge("bottom")), edge("right")];
  const drawn = document.querySelector(".st-key-lesson_figures")?.getBoundingClientRect();
  if (parts.length < 2 || drawn.height < 150) return "empty";
  if (document.querySelector(".st-key-lesson_figures [data-testid=stDataFrame]")) return "a table that scrolls";
  const table = [...document.querySelectorAll("[data-testid=stTable], [data-testid=stTable] div")];
  if (table.some((part) => part.scrollWidth > part.clientWidth + 1)) return "a table that is cut off";
  return low > innerHeight || right > innerWidth ? `${right} x ${low} of ${innerWidth} x ${innerHeight}` : "";
}"""
"""What is wrong with the screen of a stage: nothing is drawn, a part of it lies beyond the edge, or a table has
columns that nobody sees.
"""


def fits(tab, *at):
    """Waits until all of a step lies within the screen, and stays there for a moment."""
    calm, until = 0, time.monotonic() + 30
    while calm < 2:
        calm = 0 if (wrong := tab.evaluate(UNFIT)) else calm + 1
        assert time.monotonic() < until, (*at, wrong)
        tab.wait_for_timeout(200)


# French words are longer: where they fit, English ones do.
@pytest.mark.parametrize(
    ("name", "language"), [*((name, "fr") for name in SHIPPED), ("vae-45", "en")]
)
def test_every_step_fits_into_the_screen_of_a_hall(tab, name, language):
    tab.set_viewport_size(HALL)
    tab.goto(f"{tab.base}/?lesson={name}&step=1&as=stage&lang={language}")
    for number in range(1, SHIPPED[name] + 1):
        tab.wait_for_selector(f".st-key-lesson_head:has-text('{number} / {SHIPPED[name]}')")
        tab.wait_for_selector(f".st-key-clicker .root[data-step='{number}']", state="attached")
        ready(tab)
        fits(tab, number, "question")
        tab.keyboard.press("r")
        ready(tab)
        fits(tab, number, "answer")
        tab.keyboard.press("PageDown")


def test_a_hall_reads_whose_samples_it_sees(tab):
    tab.set_viewport_size(HALL)
    tab.goto(f"{tab.base}/?lesson=vae-45&step=8&as=stage")
    figures = tab.locator(".st-key-lesson_figures")
    ready(tab)
    fits(tab, 8)  # a stage is laid out anew as its figures come in
    for name in ("VAE", "DDPM"):
        words = figures.get_by_text(name, exact=True)
        words.wait_for()
        assert words.evaluate(LETTER) >= LEAST_LETTER


def test_r_shows_the_figures_of_the_answer_and_those_of_the_question_again(tab):
    stage(tab)
    tab.locator(".st-key-collapse_loss").wait_for()
    tab.keyboard.press("r")
    tab.locator(".st-key-collapse_knn").wait_for()
    tab.locator(".st-key-collapse_loss").wait_for(state="detached")
    ready(tab)
    tab.keyboard.press("r")
    tab.locator(".st-key-collapse_loss").wait_for()
    tab.locator(".st-key-collapse_knn").wait_for(state="detached")
    assert tab.get_by_text(WHY).count() == 1


def test_a_clicker_goes_from_step_to_step(tab):
    stage(tab)
    tab.keyboard.press("PageDown")
    at_step(tab, 4)
    assert "step=4" in tab.url
    tab.keyboard.press("PageUp")
    at_step(tab, 3)
    tab.keyboard.press("ArrowRight")
    at_step(tab, 4)
    tab.keyboard.press("ArrowLeft")
    at_step(tab, 3)


def test_arrows_belong_to_the_timeline_that_has_the_focus(tab):
    stage(tab)
    slider = timeline(tab)
    says(tab, slider, "34")
    slider.focus()
    tab.keyboard.press("ArrowLeft")
    says(tab, slider, "33")
    tab.wait_for_function("location.search.includes('collapse_epoch=33')")
    assert "step=3" in tab.url
    ready(tab)
    tab.keyboard.press("PageDown")  # a clicker does not know what has the focus
    at_step(tab, 4)


@pytest.mark.parametrize("key", [".", "b"])
def test_a_key_blanks_the_screen_until_the_next_one(tab, key):
    stage(tab)
    tab.keyboard.press(key)
    blank = tab.locator(".latent-atelier-blank")
    blank.wait_for()
    assert blank.bounding_box() == {"x": 0, "y": 0, **HALL}
    seen = "document.elementFromPoint(innerWidth / 2, innerHeight / 2).className"
    assert tab.evaluate(seen) == "latent-atelier-blank"
    tab.keyboard.press(key)
    blank.wait_for(state="detached")


def test_a_hand_on_a_chart_finds_the_epoch_below_it(tab):
    stage(tab)
    slider = timeline(tab)
    tab.wait_for_function(WITHIN, arg=".st-key-collapse_loss")
    parts = ".st-key-collapse_loss .marker", ".st-key-collapse_loss .plot"
    box, left = places(tab, *parts)  # at epoch 34
    height = left["y"] + left["height"] / 2
    tab.mouse.move(box["x"], height)
    tab.mouse.down()
    tab.mouse.move(box["x"] - left["width"] / 3, height)
    now, left = places(tab, *parts)
    tab.mouse.up()
    assert abs(now["x"] - (box["x"] - left["width"] / 3)) < left["width"] / 34
    assert slider.get_attribute("aria-valuetext") not in ("0", "34")


def test_keys_in_a_field_are_for_the_field(tab):
    go(tab, 7, "stage", lesson="vae-45")
    field = tab.locator(".st-key-training_seed input")
    field.focus()
    for key in ("r", ".", "PageDown", "ArrowRight"):
        tab.keyboard.press(key)
    assert tab.locator(".latent-atelier-blank").count() == 0
    field.blur()
    tab.keyboard.press("PageUp")  # had the field's keys counted, this would lead elsewhere
    at_step(tab, 6)
    tab.keyboard.press("PageDown")
    at_step(tab, 7)
    tab.get_by_role("button", name="Show the answer").wait_for()


# ---------------------------------------------------------------- at a desk


def test_a_student_goes_through_the_lesson_on_a_phone(tab):
    go(tab, 1, size=NARROW)
    for number in range(1, STEPS + 1):
        at_step(tab, number)
        assert tab.evaluate(NOTHING_STICKS_OUT), number
        options = tab.get_by_role("radiogroup", name="Your answer").get_by_role("radio")
        if number > 1:  # the first one asks nothing
            options.first.click()
            tab.wait_for_selector("[class*=st-key-lesson_own] [role=radio][aria-checked=true]")
            tab.get_by_role("button", name="Show the answer").click()
            tab.wait_for_selector("[data-testid=stAlert]:has-text('Right: ')")
            ready(tab)
            assert tab.evaluate(NOTHING_STICKS_OUT), number
        if number < STEPS:
            tab.get_by_role("button", name="Next").click()
    tab.wait_for_selector(f"text={playing.LAST}")
    assert tab.get_by_role("button", name="Next").is_disabled()
    tab.get_by_role("link", name="My sheet").click()
    tab.wait_for_selector("h1:has-text('My sheet')")
    answered = tab.locator("[class*=st-key-sheet_item] h3")
    answered.nth(STEPS - 2).wait_for()
    assert answered.count() == STEPS - 1


def test_a_whole_page_stands_next_to_its_question(tab):
    tab.set_viewport_size(HALL)
    tab.goto(f"{tab.base}/?lesson=lab-2h&step=18&as=desk")
    tab.wait_for_selector("text=/^Step 18 of /")
    ready(tab)
    side, title = tab.locator(".st-key-lesson_side"), tab.get_by_role("heading", name="Denoising")
    question, heading = side.bounding_box(), title.first.bounding_box()
    assert heading["x"] >= question["x"] + question["width"]
    assert heading["y"] < 200
    tab.get_by_text("Source and data").last.wait_for()
    tab.wait_for_function(  # what arrives late may put the page back to its top
        """() => {
          const main = document.querySelector("[data-testid=stMain]");
          main.scrollTo(0, main.scrollHeight);
          return main.scrollTop > 100;
        }"""
    )
    assert 0 <= side.bounding_box()["y"] < 200  # it stays where it is
    tab.set_viewport_size(NARROW)
    tab.wait_for_function(
        """() => document.querySelector(".st-key-lesson_side").getBoundingClientRect().bottom
          <= document.querySelector("h1").getBoundingClientRect().top"""
    )
    tab.wait_for_function(NOTHING_STICKS_OUT)  # figures take their new size one after the other


def test_a_step_begins_at_its_top(tab):
    go(tab, 4, size=NARROW)
    top = "document.querySelector('[data-testid=stMain]').scrollTop"
    tab.get_by_role("button", name="Next").scroll_into_view_if_needed()
    assert tab.evaluate(top) > 300
    tab.get_by_role("button", name="Next").click()
    at_step(tab, 5)
    tab.wait_for_function(f"{top} === 0")


def test_options_are_read_whole_on_a_phone(tab):
    go(tab, 2, size=NARROW)
    tab.wait_for_function(WHOLE, arg=4)  # they are laid out again when their font arrives


def test_a_reload_and_the_way_out_lose_nothing(tab):
    go(tab, 3, size=NARROW)
    slider = timeline(tab)
    slider.press("Home")
    says(tab, slider, "0")
    tab.wait_for_function("location.search.includes('collapse_epoch=0')")
    ready(tab)
    tab.reload()
    at_step(tab, 3)
    says(tab, timeline(tab), "0")
    tab.get_by_role("button", name="Leave the lesson").click()
    tab.wait_for_url(re.compile(r"/collapse\?"))
    tab.wait_for_selector("h1:has-text('Collapse')")
    ready(tab)
    says(tab, timeline(tab), "0")
    assert "lesson=" not in tab.url
    tab.wait_for_selector(".st-key-collapse_knn")  # which the lesson had not shown


# ---------------------------------------------------------------- what is sent


def test_an_answer_is_not_sent_before_it_may_be_seen(browser, start):
    server = start(ATELIER_ANSWERS="after-answer")
    context = browser.new_context(viewport=NARROW, locale="en-GB")
    tab = context.new_page()
    tab.set_default_timeout(TIMEOUT)
    sent = bytearray()

    def heard(frame):
        sent.extend(frame.encode() if isinstance(frame, str) else frame)

    tab.on("websocket", lambda socket: socket.on("framereceived", heard))
    tab.base = server.url
    go(tab, 3, size=NARROW)
    reveal = tab.get_by_role("button", name="Show the answer")
    assert reveal.is_disabled()
    assert b"Which of the two would you keep?" in sent
    assert WHY.encode() not in sent
    assert b"collapse_knn" not in sent
    tab.get_by_role("radio", name="either: both losses fell").click()
    tab.wait_for_selector(".st-key-lesson_reveal_3 button:enabled")
    assert WHY.encode() not in sent
    reveal.click()
    tab.get_by_text(WHY).wait_for()
    assert WHY.encode() in sent
    tab.locator(".st-key-collapse_knn").wait_for()
    assert b"collapse_knn" in sent
    context.close()


# ---------------------------------------------------------------- made from views


@pytest.fixture
def another(browser):
    """A tab of somebody else, who was given a link."""
    context = browser.new_context(viewport=HALL, locale="en-GB")
    page = context.new_page()
    page.set_default_timeout(TIMEOUT)
    yield page
    context.close()


def test_a_host_leads_on_after_a_reload_and_the_address_has_no_secret(tab, another):
    tab.goto(f"{tab.base}/teach")
    ready(tab)
    tab.locator(".st-key-teach_open_diffusion-45 button").first.click()
    tab.wait_for_selector(".st-key-room_way")
    for _look in range(2):
        tab.wait_for_function("!location.search.includes('host=')")
        ready(tab.reload() and tab)
        tab.wait_for_selector(".st-key-room_way")
    tab.locator("[data-testid=stPopoverButton]:visible", has_text="phonelink").click()
    link = tab.locator("[data-testid=stCode]:visible").inner_text().strip()
    assert "&host=" in link
    another.goto(f"{tab.base}/?{link.partition('?')[2]}")
    another.wait_for_selector(".st-key-room_way")
    another.wait_for_function("!location.search.includes('host=')")
    another.get_by_role("button", name="Show the votes").click()
    tab.get_by_role("button", name="Vote again").wait_for()


def test_a_reload_in_a_room_is_no_other_voter(tab, another):
    tab.goto(f"{tab.base}/teach")
    ready(tab)
    tab.locator(".st-key-teach_open_diffusion-45 button").first.click()
    tab.wait_for_selector(".st-key-lesson_head")
    code = parse_qs(urlsplit(tab.url).query)["room"][0]
    another.goto(f"{tab.base}/?room={code}&step=1")
    another.get_by_role("radiogroup", name="Your answer").get_by_role("radio").first.click()
    another.wait_for_selector("text=1 of 1 answered.")
    another.reload()  # the tab has said who it is, or the room would not have counted it
    ready(another)
    another.wait_for_selector("text=1 of 1 answered.")
    another.get_by_role("radiogroup", name="Your answer").get_by_role("radio").nth(1).click()
    ready(another)
    another.wait_for_timeout(3000)  # the next look at the room
    assert another.get_by_text("1 of 1 answered.").count() == 1


def test_reloads_before_the_tab_has_said_who_it_is_leave_no_place(tab, another):
    tab.goto(f"{tab.base}/teach")
    ready(tab)
    tab.locator(".st-key-teach_open_diffusion-45 button").first.click()
    tab.wait_for_selector(".st-key-lesson_head")
    code = parse_qs(urlsplit(tab.url).query)["room"][0]
    another.goto(f"{tab.base}/?room={code}&step=1")
    for _reload in range(3):
        another.wait_for_selector("text=/of \\d+ answered/")  # the room was asked
        another.reload()
    another.get_by_role("radiogroup", name="Your answer").get_by_role("radio").first.click()
    another.wait_for_selector("text=1 of 1 answered.")
    another.wait_for_timeout(3000)  # the next look at the room
    assert another.get_by_text("1 of 1 answered.").count() == 1


FIGURES = ("film", "norm", "change")
"""Of interpolation."""


def figures(page):
    """The figures of interpolation that a page shows."""
    return [name for name in FIGURES if page.locator(f".st-key-interpolation_{name}").count()]


def link(panel, place):
    """A link that the panel shows, the first or the second."""
    return panel.locator("[data-testid=stCode]").nth(place).inner_text().strip()


def test_a_panel_makes_a_link_and_a_lesson(tab, another):
    tab.goto(f"{tab.base}/interpolation?interpolation_n=5")
    tab.wait_for_selector("h1")
    ready(tab)
    for name in FIGURES:
        tab.wait_for_selector(f".st-key-interpolation_{name}")
    tab.locator(".st-key-panel button").click()
    panel = tab.get_by_role("dialog", name=link_panel.MAKE)
    panel.get_by_text("Only some figures").click()
    panel.get_by_label("Figures that stay").click()
    tab.get_by_role("option", name="interpolation_film").click()
    tab.wait_for_selector("[data-testid=stCode]:has-text('figures=interpolation_film')")
    panel.get_by_label("A sentence").fill("Watch the seven become a four.")
    panel.get_by_label("A sentence").blur()
    ready(tab)
    view = link(panel, 0)
    assert "interpolation_n=5" in view
    panel.locator(".st-key-panel_add button").click()
    panel.locator(".st-key-panel_title").wait_for()
    ready(tab)
    lesson = link(panel, 1)
    assert "lesson=z:" in lesson

    another.goto(view)
    another.wait_for_selector(".st-key-interpolation_film")
    ready(another)
    assert figures(another) == ["film"]
    another.locator(".st-key-frame_whole button").click()
    another.wait_for_selector("h1:has-text('Interpolation')")

    another.goto(lesson)
    another.wait_for_selector("text=Watch the seven become a four.")
    another.wait_for_selector("text=/^Step 1 of 1, 5 min/")
    another.wait_for_selector(".st-key-interpolation_film")
    ready(another)
    assert figures(another) == ["film"]
