"""The page My sheet: what is kept is shown as it prints, changed, saved, and opened again."""

import base64
import zlib
from dataclasses import replace
from datetime import date

import pytest

from core.errors import AtelierError
from pages.teach import keeping, my_sheet
from pages.teach.sheet import PNG, Data, Sheet, SheetItem, from_json, to_json
from tests.pages.opening import checked, turned_to
from tests.pages.teach.sheets import sheet


@pytest.fixture
def at(open_page):
    """The page with nothing on it."""
    return open_page("my_sheet")


def uploaded(at, data, name="sheet.json"):
    at.file_uploader[0].set_value((name, data, "application/json"))
    return checked(at.run())


def filled(at, wanted=None):
    """The page with a sheet that a file held."""
    return uploaded(at, to_json(wanted or sheet()))


def own(at):
    return at.session_state[keeping.VISIT].sheet


def press(at, key):
    return checked(at.button(key=key).click().run())


def marks(at):
    return at.session_state[keeping.VISIT].marks


def titles(at):
    return [heading.value for heading in at.subheader]


def test_an_empty_sheet_says_what_to_do(at):
    assert ["press **Keep**" in info.value for info in at.info] == [True]
    assert not at.text_area
    assert not at.get("download_button")


def test_what_is_kept_stands_there_in_order(at):
    filled(at)
    assert [t.split(". ")[0] for t in titles(at)] == ["1", "2", "3", "4"]
    assert [t.split(". ")[1] for t in titles(at)] == [kept.title for kept in own(at).items]
    chart, digit = [image.value[0] for image in at.image]
    assert chart.startswith("data:image/svg+xml;base64,")
    assert "<svg" in base64.b64decode(chart.split(",")[1]).decode()
    assert base64.b64decode(digit.split(",")[1]) == own(at).items[1].picture
    assert list(at.dataframe[0].value.columns) == ["run", "epoch", "accuracy"]
    assert [area.value for area in at.text_area] == [kept.words for kept in own(at).items]
    assert ["Which one would you keep" in m.value for m in at.markdown].count(True) == 1


def test_what_a_picture_shows_is_said(at):
    filled(at)
    assert own(at).items[0].alt in str(at.image[0].proto)


def test_things_move_and_go_and_come_back(at):
    filled(at)
    first, second = marks(at)[:2]
    press(at, f"sheet_down_{first}")
    assert [kept.title for kept in own(at).items[:2]] == ["A digit", "Accuracy by epoch"]
    assert titles(at)[0] == "1. A digit"
    press(at, f"sheet_up_{first}")
    assert own(at) == sheet()
    press(at, f"sheet_delete_{second}")
    assert len(titles(at)) == 3
    assert any("Deleted: A digit" in caption.value for caption in at.caption)
    press(at, "sheet_undo_button")
    assert own(at) == sheet()
    assert not any("Deleted" in caption.value for caption in at.caption)


def test_the_ends_do_not_move(at):
    filled(at)
    assert at.button(key=f"sheet_up_{marks(at)[0]}").disabled
    assert at.button(key=f"sheet_down_{marks(at)[-1]}").disabled
    assert not at.button(key=f"sheet_down_{marks(at)[0]}").disabled


def test_words_and_the_name_are_kept(at):
    filled(at)
    mark = marks(at)[1]
    checked(at.text_area(key=f"sheet_words_{mark}").set_value("A *seven*.").run())
    assert own(at).items[1].words == "A *seven*."
    checked(at.text_input(key="sheet_name").set_value("Émile").run())
    assert own(at).name == "Émile"
    press(at, f"sheet_down_{mark}")
    assert at.text_area(key=f"sheet_words_{mark}").value == "A *seven*."


def test_the_sheet_outlives_another_page(at):
    filled(at)
    turned_to(at, "home")
    turned_to(at, "my_sheet")
    assert len(titles(at)) == 4
    assert at.text_area[0].value == sheet().items[0].words


def test_nothing_that_a_student_writes_gets_into_the_address(at):
    filled(at)
    checked(at.text_input(key="sheet_name").set_value("Ada").run())
    checked(at.text_area[0].set_value("secret").run())
    assert set(at.query_params) <= {"lang"}


def test_the_sheet_is_saved_under_the_students_name(at):
    filled(at)
    offered = {button.proto.id.split("-")[-1]: button for button in at.get("download_button")}
    assert {name for name in offered if name.startswith("sheet_save")} == {
        "sheet_save_html",
        "sheet_save_ipynb",
        "sheet_save_json",
    }


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("", "sheet.html"),
        ("Ada Lovelace", "sheet-ada-lovelace.html"),
        ("É/..\\ 李", "sheet-e.html"),
    ],
)
def test_a_file_is_called_after_its_student_in_plain_letters(name, file):
    assert my_sheet.file_name(Sheet(name), "html") == file


def test_a_bad_file_changes_nothing_and_is_one_sentence(at):
    filled(at)
    uploaded(at, b"{}", "bad.json")
    assert ["not a sheet" in error.value for error in at.error] == [True]
    assert own(at) == sheet()
    uploaded(at, to_json(sheet()))
    assert not at.error


def test_a_file_replaces_a_sheet_only_where_the_student_agrees(at):
    filled(at)
    other = Sheet("Bo", sheet().items[:1])
    uploaded(at, to_json(other))
    assert own(at) == sheet()
    assert any("in the file: 1, on your sheet: 4" in m.value for m in at.markdown)
    press(at, "sheet_mine")
    assert own(at) == sheet()
    assert "sheet_replace" not in [button.key for button in at.button]
    uploaded(at, to_json(other))
    press(at, "sheet_replace")
    assert own(at) == other
    assert at.text_input(key="sheet_name").value == "Bo"


def header_alone(width, height):
    """A PNG of that size whose parts are whole, and which has no pixels."""

    def part(kind, body):
        check = zlib.crc32(kind + body)
        return len(body).to_bytes(4, "big") + kind + body + check.to_bytes(4, "big")

    size = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 2, 0, 0, 0])
    return PNG + part(b"IHDR", size) + part(b"IDAT", zlib.compress(b"")) + part(b"IEND", b"")


@pytest.mark.parametrize("size", [(0, 0), (0, 5), (8000, 1)])
def test_a_picture_of_a_strange_size_breaks_nothing(at, size):
    try:
        thing = replace(sheet().items[1], picture=header_alone(*size))
    except AtelierError:
        return  # no sheet holds it
    filled(at, Sheet("", (thing,)))
    assert len(at.image) == 1


def test_a_column_of_numbers_and_words_is_shown(at):
    data = Data(("a", "b"), ((1, "x"), ("two", None), (None, True), (2**62, 0.5)))
    filled(at, Sheet("", (replace(sheet().items[2], data=data),)))
    assert len(at.dataframe[0].value) == 4


def test_words_of_a_strange_file_stand_there_letter_for_letter(at):
    strange = "![x](http://example.com/x.png) <b>$x$ **"
    thing = SheetItem(
        strange, "nowhere", date(2026, 11, 28), caption=strange, settings=((strange, "1"),)
    )
    filled(at, Sheet(strange, (thing,)))
    assert "![x]" not in titles(at)[0]
    assert strange in [text.value for text in at.text]
    assert not any(strange in markdown.value for markdown in at.markdown)
    assert not at.get("page_link")  # there is no such page


def test_the_way_back_leads_to_the_view_and_into_no_room(at):
    query = "noise_t=300&noise_t=2&room=KITE&host=secret"
    thing = replace(sheet().items[1], page="adding-noise", query=query)
    filled(at, Sheet("", (thing,)))
    (link,) = at.get("page_link")
    assert link.proto.page == "adding-noise"
    assert link.proto.query_string == "noise_t=300&noise_t=2"


def test_a_damaged_copy_is_said_and_thrown_away_where_the_student_says_so(at):
    visit = at.session_state[keeping.VISIT]
    try:
        from_json(b"{")
    except Exception as error:
        visit.refused = error
    checked(at.run())
    assert ["cannot be read" in warning.value for warning in at.warning] == [True]
    press(at, "sheet_discard")
    assert not at.warning


@pytest.mark.parametrize(("why", "words"), [("full", "no room"), ("forbidden", "stores nothing")])
def test_a_sheet_without_a_copy_is_said(at, why, words):
    at.session_state[keeping.VISIT].copy = why
    checked(at.run())
    assert [words in warning.value for warning in at.warning] == [True]
