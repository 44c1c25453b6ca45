"""Lessons on paper: a worksheet without its answers, a guide with all of them, and nothing that is fetched."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from urllib.parse import parse_qs, urlsplit

import pytest

from core.errors import AtelierError
from pages.shared import text
from pages.shared.text import in_language
from pages.teach import lesson_paper, marks
from pages.teach.fields import Place
from pages.teach.lesson import Ask, Lesson, Likely, Option, Step, Words, data_of, lesson_of, texts
from pages.teach.lesson_paper import (
    MINUTES,
    begins,
    clock,
    guide,
    lines_for,
    paper,
    points_of,
    rewritten,
)
from tests.pages.teach.test_lesson_shipped import LESSONS, embedded

BASE = "https://atelier.example/app"
VOID = ("meta", "br")
BOTH = pytest.mark.parametrize("language", ["en", "fr"])
EACH = pytest.mark.parametrize("name", LESSONS)


@pytest.fixture(autouse=True)
def visitor(monkeypatch):
    """Of a visit in English."""
    monkeypatch.setattr(text, "language", lambda: "en")


class Page(HTMLParser):
    """Tags with their attributes and their words, and whether every tag that is opened is closed in order."""

    def __init__(self, code):
        super().__init__()
        self.tags, self.open, self.words, self.sections = [], [], [], []
        self.feed(code)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "section":
            self.sections.append([])
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.words.append(data)
            if "section" in self.open:
                self.sections[-1].append(data)

    def of(self, tag, **wanted):
        found = [attrs for name, attrs in self.tags if name == tag]
        return [attrs for attrs in found if wanted.items() <= attrs.items()]

    @property
    def said(self):
        return "".join(self.words)


def written(make, of, language, base=BASE, **named):
    return make(LESSONS[of], language, base, resolve=embedded, **named)


def filled(name, language, words, place):
    """A text of a lesson as the paper has it, without its marks."""
    writer = lesson_paper._Writer(LESSONS[name], language, BASE, name, embedded)
    return marks.plain(writer.text(words, place))


def is_answer(place):
    return ".why" in place.field or ".likely" in place.field


# ---------------------------------------------------------------- worksheet and guide


@EACH
@BOTH
def test_the_worksheet_has_all_that_is_read_and_no_answer(name, language):
    code = written(paper, name, language)
    said = Page(code).said
    for place, words in texts(LESSONS[name]):
        one = filled(name, language, words, place)
        assert (one in said) is not is_answer(place), place
        if is_answer(place):
            assert one not in code
            assert not any(part in code for part in re.split(r"[.:;] ", one) if len(part) > 40)
    for step in LESSONS[name].steps:
        for figure in step.ask.reveal if step.ask else ():
            assert figure not in code
    for word in ("the right answer", "**Likely wrong answers**", "✓"):
        assert marks.plain(in_language(word, language)) not in said


@EACH
@BOTH
def test_the_worksheet_is_the_same_whatever_the_answers_are(name, language):
    """Nothing of them is in its bytes, in whatever form."""
    bare = lesson_of(data_of(LESSONS[name], answers=False))
    assert paper(bare, language, BASE, resolve=embedded) == written(paper, name, language)


@EACH
@BOTH
def test_the_guide_has_everything(name, language):
    lesson, code = LESSONS[name], written(guide, name, language)
    page = Page(code)
    for place, words in texts(lesson):
        assert filled(name, language, words, place) in page.said, place
    keyed = page.of("li", **{"class": "key"})
    assert len(keyed) == sum(step.ask.right is not None for step in lesson.steps if step.ask)
    for number, step in enumerate(lesson.steps, 1):
        said = "".join(page.sections[number])
        begin = begins(lesson)
        assert f"{clock(begin[number - 1])}–{clock(begin[number])}" in said
        codes = [*(step.figures or ()), *(step.keep or ()), *(step.ask.reveal if step.ask else ())]
        assert all(one in said for one in codes)
        if step.ask and step.ask.right:
            place = Place(number, "ask")
            right = next(one for one in step.ask.options if one.id == step.ask.right)
            assert f". {filled(name, language, right.words, place)} (" in said
    assert clock(lesson.planned_minutes) == ("2:00" if lesson.planned_minutes == 120 else "0:45")


@EACH
@BOTH
@pytest.mark.parametrize("make", [paper, guide])
def test_the_file_requests_nothing_and_leads_to_the_app_alone(name, language, make):
    page = Page(written(make, name, language))
    assert page.of("html") == [{"lang": language}]
    names = {tag for tag, _attrs in page.tags}
    assert names <= {
        *("html", "head", "body", "meta", "title", "style", "h1", "h2", "p", "section", "span"),
        *("ul", "li", "div", "a", "code", "dl", "dt", "dd", "table", "tr", "th", "td"),
        *("strong", "em"),
    }
    for tag, attrs in page.tags:
        for key, value in attrs.items():
            assert not key.startswith("on")
            assert key not in ("src", "srcset", "action", "style")
            assert "url(" not in (value or "")
            if key == "href":
                assert tag == "a"
                assert value.startswith(f"{BASE}/")


@EACH
@pytest.mark.parametrize(("make", "looks"), [(paper, ["desk"]), (guide, ["stage", "desk"])])
def test_each_step_has_its_links(name, make, looks):
    page = Page(written(make, name, "en"))
    wanted = [
        (f"/app/{step.page}", {"lesson": [name], "step": [str(number)], "as": [look]})
        for number, step in enumerate(LESSONS[name].steps, 1)
        for look in looks
    ]
    found = [urlsplit(a["href"]) for a in page.of("a")]
    assert [(one.path, parse_qs(one.query)) for one in found] == wanted
    assert all(a["rel"] == "noreferrer" for a in page.of("a"))
    assert f"{BASE}/{LESSONS[name].steps[0].page}?lesson={name}&step=1&as=desk" in page.said


def test_without_an_address_of_the_app_links_stand_as_text():
    page = Page(written(paper, "vae-45", "en", ""))
    assert page.of("a") == []
    assert "vae-training?lesson=vae-45&step=1&as=desk" in page.said


def test_a_lesson_inside_a_link_leads_back_to_itself():
    name = "z:" + "A1_-" * 900
    page = Page(written(paper, "vae-45", "en", name=name))
    for a in page.of("a"):
        assert parse_qs(urlsplit(a["href"]).query)["lesson"] == [name]
    assert name not in page.said  # nobody types that
    assert "Open this step" in page.said


@pytest.mark.parametrize("base", ["javascript:alert(1)", "//evil.example", 'https://a"b'])
def test_an_address_that_is_none_is_no_base(base):
    with pytest.raises(ValueError, match="address"):
        paper(LESSONS["vae-45"], "en", base, resolve=embedded)


# ---------------------------------------------------------------- room to write


@EACH
def test_there_are_boxes_to_tick_and_lines_by_points(name):
    lesson, page = LESSONS[name], Page(written(paper, name, "en"))
    asks = [step.ask for step in lesson.steps if step.ask]
    assert len(page.of("span", **{"class": "box"})) == sum(len(ask.options) for ask in asks)
    assert len(page.of("div", **{"class": "line"})) == sum(map(lines_for, asks))
    assert points_of(lesson) == sum(ask.points for ask in asks)
    assert "".join(page.sections[-1]).endswith(f"/ {points_of(lesson)}")
    assert {"Name ", "Date "} <= set(page.words)


def ask(points, options=()):
    return Ask("q", points, Words("a", "b"), options)


def test_more_points_are_more_lines_within_bounds():
    two = tuple(Option(one, Words(one, one)) for one in "ab")
    free, ticked = ([lines_for(ask(n, o)) for n in range(101)] for o in ((), two))
    assert free == sorted(free)
    assert ticked == sorted(ticked)
    assert (free[0], free[2], free[4], free[100]) == (3, 4, 6, 14)
    assert (ticked[0], ticked[100]) == (2, 5)


# ---------------------------------------------------------------- words


ODD = '</p></title></style><script>alert(1)</script><img src="http://evil.example/x">\'" &lt; &amp; <!--'


def hostile():
    said = Words(ODD, ODD)
    options = (Option("a", said), Option("b", said))
    asked = Ask("q", 2, said, options, "a", ("f<b>",), said, (Likely("b", said),))
    odd = (("key", (ODD,)),)
    return Lesson("odd", 5, said, (Step("collapse", 5, said, odd, (ODD,), (ODD,), asked),), (ODD,))


@pytest.mark.parametrize("make", [paper, guide])
def test_every_text_is_shown_letter_for_letter(make):
    page = Page(make(hostile(), "en", BASE, name=ODD))
    assert page.of("script") == page.of("img") == []
    assert page.said.count(ODD) == (6 if make is paper else 12)


def test_marks_become_tags_and_nothing_else_does():
    wanted = {
        "**a** and *b* and `c`": "<strong>a</strong> and <em>b</em> and <code>c</code>",
        "2 * 3 * 4, a ** b": "2 * 3 * 4, a ** b",
        "**a *b* c**": "<strong>a <em>b</em> c</strong>",
        "***a***": "<strong><em>a</em></strong>",
        "**a *b** c*": "<strong>a *b</strong> c*",
        "`**a** <b>`": "<code>**a** &lt;b&gt;</code>",
        "*a": "*a",
        "**": "**",
        "`": "`",
        "*<i>*": "<em>&lt;i&gt;</em>",
        "a\nb": "a\nb",
    }
    for said, code in wanted.items():
        assert marks.html(said) == code
        Page(marks.html(said))
    assert marks.plain("**a *b* c** `d` 2 * 3") == "a b c d 2 * 3"


def test_marks_of_a_lesson_are_tags_on_its_paper():
    said = Words("**bold** and *slanted* and `code`", "b")
    lesson = Lesson("a", 1, said, (Step("collapse", 1, said),))
    code = paper(lesson, "en")
    assert "<strong>bold</strong> and <em>slanted</em> and <code>code</code>" in code
    assert "<h1>bold and slanted and code</h1>" in code


WRITTEN = {
    "2,880.1": "2\u202f880,1",
    "−0.57": "−0,57",
    "28.3%": "28,3\u202f%",
    "20": "20",
    "9.8\u00a0×\u00a010⁻⁴": "9,8\u00a0×\u00a010⁻⁴",
}


@EACH
@BOTH
def test_numbers_are_written_in_the_language_of_the_paper(name, language, monkeypatch):
    made = []
    for visitor in ("en", "fr"):
        monkeypatch.setattr(text, "language", lambda code=visitor: code)
        made.append(written(guide, name, language))
        for numbers in WRITTEN.items():
            here = numbers[visitor == "fr"]
            assert (rewritten(here, "en"), rewritten(here, "fr")) == numbers
    assert made[0] == made[1]


def test_a_number_that_no_bundle_has_is_one_sentence():
    said = Words("{nowhere.metrics.test.kl}", "{nowhere.metrics.test.kl}")
    lesson = Lesson("a", 1, said, (Step("collapse", 1, Words("a", "b")),))
    with pytest.raises(AtelierError, match=r"title.*nowhere"):
        paper(lesson, "en", resolve=embedded)
    asked = Ask("q", 1, Words("a", "b"), why=said)
    lesson = Lesson("a", 1, Words("a", "b"), (Step("collapse", 1, Words("a", "b"), ask=asked),))
    with pytest.raises(AtelierError, match=r"Step 1.*ask\.why.*nowhere"):
        guide(lesson, "en", resolve=embedded)
    assert "<h1>a</h1>" in paper(lesson, "en", resolve=embedded)  # which does not need it


def test_a_page_that_the_app_has_not_is_one_sentence():
    with pytest.raises(AtelierError, match="nowhere"):
        paper(Lesson("a", 1, Words("a", "b"), (Step("nowhere", 1, Words("a", "b")),)), "en")


def test_the_clock_runs():
    steps = tuple(Step("collapse", minutes, Words("a", "b")) for minutes in (5, 55, 20))
    assert begins(Lesson("a", 80, Words("a", "b"), steps)) == [0, 5, 60, 80]
    assert [clock(minutes) for minutes in (0, 5, 60, 80, 480)] == [
        *("0:00", "0:05", "1:00", "1:20", "8:00")
    ]
    other = Lesson("a", 90, Words("a", "b"), steps)
    assert f"{MINUTES}: 90" in Page(guide(other, "en")).said
    assert MINUTES not in Page(guide(replace(other, minutes=80), "en")).said


# ---------------------------------------------------------------- printed


@pytest.fixture
def printer(browser):
    page = browser.new_page()
    yield page
    page.close()


A4_HIGH = 1122
"""Pixels of a sheet of paper at the browser's 96 a inch."""
ROOM = A4_HIGH - 2 * 53


def sheets(pdf):
    return max(int(one) for one in re.findall(rb"/Count (\d+)", pdf))


@pytest.mark.browser
@BOTH
def test_a_worksheet_of_two_hours_prints_on_few_sheets_and_no_step_is_cut(printer, language):
    code = written(paper, "lab-2h", language)
    printer.set_viewport_size({"width": 794 - 2 * 60, "height": A4_HIGH})
    printer.emulate_media(media="print")
    asked = []
    printer.on("request", lambda request: asked.append(request.url))
    printer.set_content(code)
    heights = printer.evaluate(
        "[...document.querySelectorAll('section')].map((one) => one.getBoundingClientRect().height)"
    )
    inside = printer.evaluate(
        "[...document.querySelectorAll('section')].map((one) => getComputedStyle(one).breakInside)"
    )
    assert len(heights) == len(LESSONS["lab-2h"].steps) + 2
    assert max(heights) < ROOM / 2  # what is not to be cut fits, twice over
    assert set(inside) == {"avoid"}
    assert 10 <= sheets(printer.pdf(format="A4", prefer_css_page_size=True)) <= 18
    assert asked == []
