"""The page Marking: a class as a table, its figures together, and nothing for whoever may not see."""

from dataclasses import replace
from datetime import date

import pytest

from pages.shared import figures
from pages.teach import mark_sheets, sheet
from pages.teach.sheet import Answer, Sheet, SheetItem, figure_json, to_json
from tests.pages.opening import checked
from tests.pages.teach.sheets import curves, png

LESSON = """
id = "mine"
minutes = 1
title = {en = "Which one?", fr = "Lequel ?"}
[[step]]
page = "adding-noise"
minutes = 1
say = {en = "a", fr = "b"}
[step.ask]
id = "3.4"
points = 8
question = {en = "Which?", fr = "Lequel ?"}
options = [{id = "high", en = "the high one", fr = "le haut"}, {id = "low", en = "the low one", fr = "le bas"}]
right = "high"
[[step]]
page = "adding-noise"
minutes = 1
say = {en = "a", fr = "b"}
[step.ask]
id = "why"
points = 2
question = {en = "Why?", fr = "Pourquoi ?"}
"""
CLASS = {"Ada": "high", "Bo": "low", "Cy": "high", "![x](http://example.com)": "low"}


def of(name, option, *, words="because"):
    day = date(2026, 11, 28)
    answer = Answer("3.4", "Which?", option, f"the {option} one", 1000)
    return Sheet(
        name,
        (
            SheetItem(
                "Loss", "collapse", day, figure=figure_json(curves()), words=words, answer=answer
            ),
            SheetItem("A digit", "latent-space", day, picture=png()),
            SheetItem("Why", "collapse", day, words="long " * 40, answer=Answer("why", points=2)),
        ),
    )


@pytest.fixture
def lesson(tmp_path, monkeypatch):
    monkeypatch.setenv("ATELIER_LESSONS", str(tmp_path))
    (tmp_path / "mine.toml").write_text(LESSON, encoding="utf-8")
    return "mine"


def given(at, *extra):
    files = [(f"{place}.json", to_json(of(*one))) for place, one in enumerate(CLASS.items())]
    at.file_uploader[0].set_value([(*one, "application/json") for one in (*files, *extra)])
    return checked(at.run())


def table(at, place=0):
    return at.dataframe[place].value


def test_without_files_the_page_says_what_it_wants(open_page):
    at = open_page("mark_sheets")
    assert at.file_uploader[0].proto.multiple_files
    assert not at.dataframe
    assert mark_sheets.NOT_KEPT in [caption.value for caption in at.caption]


def test_a_class_is_marked_against_a_lesson(open_page, lesson):
    at = given(open_page("mark_sheets", marking_lesson=lesson))
    found = table(at)
    assert list(found.columns) == ["Student", "3.4 (8)", "why (2)", "Points"]
    assert list(found["Student"]) == list(CLASS)
    assert list(found["3.4 (8)"]) == ["high ✓", "low ✗", "high ✓", "low ✗"]
    assert list(found["Points"]) == ["8", "0", "8", "0"]
    assert all(words.startswith("long") and len(words) < 70 for words in found["why (2)"])
    tallies = table(at, 1)
    assert list(tallies["Students"]) == ["2", "2", "4"]
    assert list(tallies["In words"])[:2] == ["the high one", "the low one"]
    assert list(tallies["Right"]) == ["✓", "", ""]


def test_a_sheet_is_parsed_once_as_long_as_it_lies_there(open_page, lesson, monkeypatch):
    parsed = []
    monkeypatch.setattr(
        mark_sheets, "from_json", lambda data: parsed.append(data) or sheet.from_json(data)
    )
    at = given(open_page("mark_sheets"))
    assert len(parsed) == len(CLASS)
    at = given(at, ("0.json", b"{}"))
    assert parsed[len(CLASS) :] == [b"{}"]
    assert len(table(checked(at.run()))) == len(CLASS)


def test_without_a_lesson_nothing_is_right(open_page):
    at = given(open_page("mark_sheets"))
    assert list(table(at)["3.4 (1,000)"]) == list(CLASS.values())
    assert set(table(at)["Points"]) == {figures.NOTHING}
    assert list(table(at, 1).columns) == ["Question", "Option", "Students"]


@pytest.mark.parametrize(
    ("named", "offers"), [("mine", True), ("theirs", False), ("../mine", False), ("", False)]
)
def test_the_lesson_that_the_answers_name_is_offered(open_page, lesson, named, offers):
    items = [replace(kept, query=f"lesson={named}&step=1") for kept in of("Ada", "high").items]
    at = open_page("mark_sheets")
    file = ("a.json", to_json(Sheet("Ada", tuple(items))), "application/json")
    at.file_uploader[0].set_value([file])
    checked(at.run())
    assert ("marking_offer" in {button.key for button in at.button}) is offers
    if offers:
        assert list(table(at)["Points"]) == [figures.NOTHING]
        checked(at.button(key="marking_offer").click().run())
        assert list(table(at)["Points"]) == ["8"]
        assert "marking_offer" not in {button.key for button in at.button}


def test_a_file_that_is_no_sheet_is_named_and_the_others_are_marked(open_page):
    at = given(open_page("mark_sheets"), ("0.json", b"{}"), ("late.json", b"\xff"))
    (warning,) = at.warning
    assert warning.value.count("not a sheet") == 2
    assert "late.json" in warning.value
    assert len(table(at)) == len(CLASS)


def test_only_bad_files_are_no_class(open_page):
    at = open_page("mark_sheets")
    at.file_uploader[0].set_value([("a.json", b"{}", "application/json")])
    checked(at.run())
    assert at.warning
    assert not at.dataframe


def test_too_many_files_are_refused_in_a_sentence(open_page, monkeypatch):
    monkeypatch.setattr(mark_sheets.marking, "MOST_FILES", 3)
    at = given(open_page("mark_sheets"))
    assert ["At most 3 sheets" in error.value for error in at.error] == [True]
    assert not at.dataframe


def test_figures_stand_next_to_one_another(open_page, lesson):
    at = given(open_page("mark_sheets", marking_lesson=lesson))
    what = at.selectbox(key="marking_what")
    assert "Question 3.4 · 4" in what.options
    assert len(at.image) == len(CLASS)  # the charts of the first question
    assert [text.value for text in at.text].count("because") == len(CLASS)
    checked(what.select(what.options[what.options.index("A digit · 4")]).run())
    assert [image.value[0][:14] for image in at.image] == ["data:image/png"] * len(CLASS)


def test_many_figures_come_a_dozen_at_a_time(open_page, monkeypatch):
    monkeypatch.setattr(mark_sheets, "AT_ONCE", 2)
    at = given(open_page("mark_sheets"))
    assert len(at.image) == 2
    checked(at.button(key="marking_more").click().run())
    assert len(at.image) == len(CLASS)
    assert "marking_more" not in [button.key for button in at.button]


def test_a_students_name_is_no_markup(open_page):
    at = given(open_page("mark_sheets"))
    assert not any("![x](http" in markdown.value for markdown in at.markdown)


def test_nothing_of_a_student_gets_into_the_address(open_page):
    at = given(open_page("mark_sheets"))
    what = at.selectbox(key="marking_what")
    checked(what.select(what.options[-1]).run())
    assert set(at.query_params) <= {"lang"}


@pytest.mark.parametrize("policy", ["passphrase", "after-answer"])
def test_where_answers_are_kept_back_the_page_is_closed(open_page, lesson, monkeypatch, policy):
    monkeypatch.setenv("ATELIER_ANSWERS", policy)
    monkeypatch.setenv("ATELIER_PASSPHRASE", "open sesame")
    at = open_page("mark_sheets", marking_lesson=lesson)
    assert not at.file_uploader
    assert not at.selectbox
    checked(at.text_input(key="teach_phrase").set_value("open sesame").run())
    assert at.file_uploader


def test_more_than_there_is_room_for_is_refused_in_a_sentence(open_page, monkeypatch):
    monkeypatch.setattr(mark_sheets, "MOST_TOGETHER", 10)
    at = open_page("mark_sheets")
    at.file_uploader[0].set_value([("a.json", b"{" + b" " * 10 + b"}", "application/json")])
    at = checked(at.run())
    assert [one.value for one in at.error] == [mark_sheets.TOO_MUCH.format(most=0)]
    assert not at.dataframe
