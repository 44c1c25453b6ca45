"""The sheet on paper: nothing is asked of anyone, every word is a word, and each figure is one block."""

import base64
import re
from dataclasses import fields, replace
from html.parser import HTMLParser

import pytest

from pages.shared.text import in_language
from pages.teach.sheet import Answer, Data, Sheet, add, figure_json
from pages.teach.sheet_html import Block, block, document, to_html
from tests.pages.teach.sheets import ROWS, curves, figures, png, sheet

BASE = "https://atelier.example/app"
VOID = ("meta", "img", "br")


class Page(HTMLParser):
    """Tags with their attributes, texts, and whether every tag that is opened is closed in order."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.words, self.styles = [], [], [], ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "style":
            self.styles += data
        else:
            self.words.append(data)

    def of(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]


def read(of, language="en", base=BASE):
    return Page(to_html(of, language, base))


def full():
    """A sheet with a figure of every kind and a picture."""
    now = sheet()
    for name, figure in figures().items():
        now = add(now, replace(now.items[0], title=name, figure=figure_json(figure)))
    return now


LOADS = (
    "src",
    "srcset",
    "data",
    "poster",
    "action",
    "formaction",
    "background",
    "ping",
    "xlink:href",
)


def test_the_file_requests_nothing():
    page = read(full())
    names = {tag for tag, _attrs in page.tags}
    assert names <= {
        *("html", "head", "body", "meta", "title", "style", "h1", "h2", "p", "section"),
        *("figure", "figcaption", "img", "svg", "rect", "path", "text", "circle"),
        *("dl", "dt", "dd", "a", "div", "table", "tr", "th", "td"),
    }
    for tag, attrs in page.tags:
        for name, value in attrs.items():
            assert not name.startswith("on")
            assert "url(" not in (value or "")
            if name in LOADS:
                assert (tag, name) == ("img", "src")
                assert value.startswith("data:image/png;base64,")
            if name == "href":
                assert tag == "a"
                assert value.startswith((f"{BASE}/", "data:text/csv;charset=utf-8;base64,"))
    assert "url(" not in page.styles
    assert "@import" not in page.styles


def test_the_file_forbids_itself_scripts_and_requests():
    [policy] = [meta["content"] for meta in read(full()).of("meta") if "http-equiv" in meta]
    said = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert said["default-src"] == "'none'"
    assert said["img-src"] == "data:"
    assert "script-src" not in said


ODD = '</p></title></style><script>alert(1)</script><img src="http://evil.example/x">\'" &lt; &amp; <!--'


def test_every_text_is_shown_letter_for_letter():
    first = sheet().items[0]
    texts = {name: f"{name} {ODD}" for name in ("title", "caption", "alt", "words")}
    answer = Answer("3.4", f"asked {ODD}", "b", f"chosen {ODD}", 2)
    odd = replace(
        first,
        **texts,
        settings=((f"name {ODD}", f"value {ODD}"),),
        answer=answer,
        figure="",
        data=Data((f"column {ODD}",), ((f"cell {ODD}",),)),
    )
    page = read(Sheet(f"student {ODD}", (odd, replace(odd, picture=png()))))
    words = "\n".join(page.words)
    said = [*texts.values(), answer.asked, answer.chosen, *odd.settings[0], f"student {ODD}"]
    for text in [*said, *odd.data.columns, odd.data.rows[0][0]]:
        assert text in words or text == texts["alt"]
    assert page.of("img") == [
        {"alt": texts["alt"], "src": "data:image/png;base64," + base64.b64encode(png()).decode()}
    ]
    assert not page.of("script")


def test_words_of_a_drawn_figure_are_shown_letter_for_letter():
    figure = curves()
    figure.data[0].name = ODD.replace("&", "&amp;").replace("<", "&lt;")
    page = read(Sheet(items=(replace(sheet().items[0], figure=figure_json(figure), alt=ODD),)))
    assert not page.of("script")
    assert not page.of("img")
    assert ODD[:60] in "\n".join(page.words)
    assert [svg["aria-label"] for svg in page.of("svg") if "aria-label" in svg] == [ODD]


@pytest.mark.parametrize("language", ["en", "fr"])
def test_the_page_says_its_language(language):
    page = read(sheet(), language)
    assert page.of("html") == [{"lang": language}]
    assert in_language("My sheet", language) in page.words


def test_each_figure_is_one_block_in_the_order_of_the_sheet():
    page = read(full())
    assert len(page.of("section")) == len(full().items)
    assert len([svg for svg in page.of("svg") if "aria-label" in svg]) == 1 + len(figures())
    heads = [word for word in page.words if re.match(r"\d+\. ", word) and word != "3. a list?"]
    assert heads == [f"{place}. {kept.title}" for place, kept in enumerate(full().items, 1)]


def test_a_block_is_not_divided_between_two_sheets_of_paper():
    rules = dict(re.findall(r"([^{}]+)\{([^{}]*)\}", read(sheet()).styles))
    assert "break-inside: avoid" in rules["\nsection "]
    assert "display: none" in rules["\n  .screen "]


def test_links_lead_back_to_the_views():
    links = [a["href"] for a in read(sheet()).of("a") if not a["href"].startswith("data:")]
    assert links == [f"{BASE}/{kept.link}" for kept in sheet().items]
    assert all(a["rel"] == "noreferrer" for a in read(sheet()).of("a") if "rel" in a)


def test_without_an_address_of_the_app_links_stand_as_text():
    page = read(sheet(), base="")
    assert all(a["href"].startswith("data:text/csv") for a in page.of("a"))
    assert sheet().items[0].link in page.words


@pytest.mark.parametrize(
    "base",
    ["javascript:alert(1)", "data:text/html,x", "//evil.example", 'https://a"b', "https://a b"],
)
def test_an_address_that_is_none_is_no_base(base):
    with pytest.raises(ValueError, match="address"):
        to_html(sheet(), "en", base)


def test_the_data_travel_with_the_file():
    files = [a for a in read(sheet()).of("a") if "download" in a]
    for link, kept in zip(files, [k for k in sheet().items if k.data.rows], strict=True):
        coded = link["href"].partition("base64,")[2]
        assert base64.b64decode(coded).decode() == kept.data.csv()
    assert files[0]["download"] == "01-collapse.csv"


def test_rows_stand_as_a_table_where_there_is_no_figure():
    page = read(Sheet(items=(sheet().items[2],)))
    assert len(page.of("tr")) == len(ROWS) + 1
    assert "0.283" in page.words
    many = replace(sheet().items[2], data=Data(("n",), tuple((n,) for n in range(100))))
    page = read(Sheet(items=(many,)))
    assert len(page.of("tr")) == 41
    assert any("60" in word for word in page.words)


def test_a_figure_that_cannot_be_drawn_is_shown_as_its_picture():
    surface = replace(sheet().items[1], figure='{"data": [{"type": "surface", "z": [[1]]}]}')
    page = read(Sheet(items=(surface,)))
    assert len(page.of("img")) == 1
    assert not page.of("svg")


def test_the_file_is_small():
    """A figure takes kilobytes; Plotly's script alone would take five million."""
    assert len(to_html(full(), "en", BASE)) < 300_000


def test_an_empty_sheet_is_a_page():
    page = read(Sheet())
    assert page.of("h1") == [{}]
    assert not page.of("section")


def test_the_writer_takes_blocks_of_any_origin():
    page = Page(document("Worksheet", "fr", [Block("1. Loss", asked="Which one?"), Block("2.")]))
    assert "Which one?" in page.words
    assert [len(page.of(tag)) for tag in ("section", "h2", "a", "figure")] == [2, 2, 0, 0]
    with pytest.raises(ValueError, match="language"):
        document("Worksheet", '"><script>', [])


def test_a_block_has_all_that_is_kept():
    made = block(sheet().items[0], 1, "en", BASE)
    empty = [field.name for field in fields(Block) if not getattr(made, field.name)]
    assert empty == ["picture"]
