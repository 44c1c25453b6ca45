"""The sheet and its file: what goes in comes out, and what somebody else made ends in one sentence."""

import base64
import io
import json
import math
import random
import struct
import zlib
from dataclasses import replace
from datetime import date

import numpy as np
import plotly.graph_objects as go
import pytest
from PIL import Image

from core.errors import AtelierError
from pages.teach import sheet as module
from pages.teach import sheet_plot
from pages.teach.sheet import (
    MOST_ITEMS,
    Answer,
    Data,
    Sheet,
    SheetItem,
    add,
    data_of,
    delete,
    figure_json,
    from_json,
    move,
    say,
    to_json,
    with_name,
)
from tests.pages.teach.sheets import ROWS, figures, png, sheet

DAY = date(2026, 11, 28)


def kept(title="A figure", **more):
    return SheetItem(title=title, page="collapse", when=DAY, **more)


def titles(of):
    return [one.title for one in of.items]


def code_of(data):
    with pytest.raises(AtelierError) as found:
        from_json(data)
    sentence = str(found.value)
    assert sentence.endswith(".")
    assert "\n" not in sentence
    return found.value.code


# ---------------------------------------------------------------- round trips


def test_a_sheet_comes_back_from_its_file():
    assert from_json(to_json(sheet())) == sheet()
    assert from_json(to_json(Sheet())) == Sheet()


def test_a_file_written_again_is_the_same_to_the_byte():
    assert to_json(from_json(to_json(sheet()))) == to_json(sheet())


def test_every_kind_of_figure_and_any_text_comes_back():
    odd = 'é漢字😀 "quoted" \\back\\ </script><!-- \t$x$ \n={}[]'
    many = Sheet(odd)
    for name, figure in figures().items():
        many = add(many, kept(f"{name} {odd}", figure=figure_json(figure), words=odd, alt=odd))
    many = add(many, kept(settings=((odd, odd),), answer=Answer("a.b-c_1", odd, "x", odd, 0.1)))
    many = add(many, kept(data=Data((odd, "b"), ((odd, 1), (0.1, None), (True, -(2**62))))))
    assert from_json(to_json(many)) == many


def test_rows_keep_their_numbers_to_the_last_bit():
    values = [0.1, 1 / 3, 5e-324, 1.7976931348623157e308, -0.0]
    found = from_json(to_json(Sheet(items=(kept(data=data_of([{"v": v} for v in values])),))))
    back = [row[0] for row in found.items[0].data.rows]
    assert back == values
    assert math.copysign(1, back[-1]) == -1


def test_rows_of_figures_may_hold_numbers_of_numpy_and_gaps():
    rows = [{"a": np.float32(0.5), "b": np.int64(3)}, {"a": float("nan"), "c": "x"}, {"c": np.inf}]
    data = data_of(rows)
    assert data.columns == ("a", "b", "c")
    assert data.rows == ((0.5, 3, None), (None, None, "x"), (None, None, None))
    assert data.csv() == "a,b,c\n0.5,3,\n,,x\n,,\n"


def test_a_figure_is_kept_without_its_template_and_with_its_numbers():
    figure = go.Figure(go.Scatter(x=np.arange(3), y=[1.5, None, 2.5], hovertemplate="%{x}"))
    text = figure_json(figure)
    assert "template" not in text
    series = sheet_plot.read(text).series[0]
    assert series.x == (0, 1, 2)
    assert series.y == pytest.approx((1.5, math.nan, 2.5), nan_ok=True)


# ---------------------------------------------------------------- changing


def test_changes_are_those_of_a_list():
    rng = random.Random(0)
    now, model = Sheet(), []
    for step in range(400):
        index = rng.randrange(-2, len(model) + 2)
        there = 0 <= index < len(model)
        action = rng.choice(["add", "move", "delete", "say"])
        if action == "add" and len(model) < MOST_ITEMS:
            now = add(now, kept(str(step)))
            model.append([str(step), ""])
        elif action == "move":
            by = rng.randrange(-3, 4)
            now = move(now, index, by)
            if there:
                one = model.pop(index)
                model.insert(max(0, min(index + by, len(model))), one)
        elif action == "delete":
            now = delete(now, index)
            if there:
                model.pop(index)
        elif action == "say":
            now = say(now, index, f"words {step}")
            if there:
                model[index][1] = f"words {step}"
        assert [[one.title, one.words] for one in now.items] == model


def test_nothing_is_changed_in_place():
    before = sheet()
    move(before, 0, 1)
    say(before, 0, "other")
    delete(before, 0)
    add(before, kept())
    with_name(before, "Bob")
    assert before == sheet()


def test_words_from_a_field_lose_what_no_file_may_hold():
    said = say(Sheet(items=(kept(),)), 0, "one\r\ntwo\x00\x1b[31m three\ud800")
    assert said.items[0].words == "one\ntwo[31m three"
    assert with_name(said, "Ada\x07").name == "Ada"
    assert from_json(to_json(said)) == said


def test_a_full_sheet_takes_no_more():
    full = Sheet(items=(kept(),) * MOST_ITEMS)
    with pytest.raises(AtelierError) as found:
        add(full, kept())
    assert found.value.code == "sheet-full"


def test_a_sheet_never_grows_beyond_what_its_file_may_hold():
    large = png(500)
    now = Sheet()
    while len(to_json(now)) + 4 / 3 * len(large) < module.MOST_BYTES - 1000:
        now = add(now, kept(picture=large))
    assert 1 < len(now.items) < MOST_ITEMS
    with pytest.raises(AtelierError) as found:
        add(now, kept(picture=large))
    assert found.value.code == "sheet-too-large"
    assert from_json(to_json(now)) == now


# ---------------------------------------------------------------- files that somebody else made

WRITTEN = json.loads(to_json(sheet()))


def with_item(**changes):
    item = {**WRITTEN["items"][0], **changes}
    return json.dumps({**WRITTEN, "items": [item]}).encode()


def bomb(side):
    """A PNG that says it is ``side`` pixels wide and high, of a few bytes."""

    def chunk(name, data):
        check = zlib.crc32(name + data)
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", check)

    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    body = zlib.compress(b"\0" * 1000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def jpeg():
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, format="JPEG")
    return file.getvalue()


def coded(data):
    return base64.b64encode(data).decode()


NO_SHEETS = {
    "nothing": b"",
    "no JSON": b"a picture, perhaps",
    "no text": b"\xff\xfe\x00",
    "a list": b"[]",
    "another file": b'{"format": "notebook"}',
    "deep": b"[" * 200_000,
    "deep inside": b'{"format":"latent-atelier-sheet","a":' + b'{"a":' * 100_000,
    "NaN": to_json(sheet()).replace(b"0.283", b"NaN"),
    "infinity": to_json(sheet()).replace(b"0.283", b"-Infinity"),
    "a key twice": to_json(sheet()).replace(b'"name":"Ada"', b'"name":"Ada","name":"Bob"'),
    "a number of many digits": to_json(sheet()).replace(b"0.283", b"9" * 10_000),
}


@pytest.mark.parametrize("data", NO_SHEETS.values(), ids=NO_SHEETS)
def test_a_file_that_is_no_sheet_is_said_to_be_none(data):
    assert code_of(data) == "sheet-unreadable"


def test_a_file_that_is_too_large_is_not_parsed(monkeypatch):
    monkeypatch.setattr(module, "_parse_json", None)
    assert code_of(b" " * (module.MOST_BYTES + 1)) == "sheet-too-large"


def test_another_version_is_named():
    assert code_of(json.dumps({**WRITTEN, "version": 2}).encode()) == "sheet-version"
    assert code_of(json.dumps({**WRITTEN, "version": [[]] * 99}).encode()) == "sheet-version"


def test_too_many_items_are_refused():
    items = WRITTEN["items"][3:] * (MOST_ITEMS + 1)
    assert code_of(json.dumps({**WRITTEN, "items": items}).encode()) == "sheet-full"


FIELDS = [
    {"title": ""},
    {"title": " "},
    {"title": "x" * 301},
    {"title": None},
    {"title": "a\x00b"},
    {"title": "a\ud800b"},
    {"words": "x" * 4001},
    {"words": ["x"]},
    {"page": "../etc/passwd"},
    {"page": "//evil.example"},
    {"page": "javascript:alert(1)"},
    {"query": 'a="><script>'},
    {"query": "a b"},
    {"query": "x" * 6001},
    {"when": "yesterday"},
    {"when": "2026-13-01"},
    {"when": 20261128},
    {"settings": {"a": "b"}},
    {"settings": [["a"]]},
    {"settings": [["a", "b", "c"]]},
    {"settings": [["a", 1]]},
    {"settings": [["a", "b"]] * 61},
    {"data": None},
    {"data": {"columns": ["a"], "rows": [], "more": 1}},
    {"data": {"columns": ["a", "a"], "rows": []}},
    {"data": {"columns": [["a"]], "rows": []}},
    {"data": {"columns": ["a"], "rows": [[1, 2]]}},
    {"data": {"columns": ["a"], "rows": [[[]]]}},
    {"data": {"columns": ["a"], "rows": [[2**64]]}},
    {"data": {"columns": ["a"], "rows": [[1]] * 20_001}},
    {"data": {"columns": [f"c{i}" for i in range(61)], "rows": []}},
    {"picture": "not base64!"},
    {"picture": coded(b"GIF89a")},
    {"picture": coded(jpeg())},
    {"picture": coded(png()[:-20])},
    {"picture": coded(png()[:40] + b"\0" + png()[41:])},
    {"picture": coded(bomb(60_000))},
    {"picture": coded(bomb(9_000))},
    {"picture": 7},
    {"figure": "{}"},
    {"figure": "[1]"},
    {"figure": '{"data": 1}'},
    {"figure": '{"data": [], "layout": 1}'},
    {"figure": '{"data": [NaN]}'},
    {"figure": "[" * 100_000},
    {"figure": {"data": []}},
    {"answer": "b"},
    {"answer": {"question": "3.4"}},
    {"answer": {**WRITTEN["items"][0]["answer"], "question": "../3.4"}},
    {"answer": {**WRITTEN["items"][0]["answer"], "points": -1}},
    {"answer": {**WRITTEN["items"][0]["answer"], "points": True}},
    {"answer": {**WRITTEN["items"][0]["answer"], "points": "8"}},
    {"answer": {**WRITTEN["items"][0]["answer"], "points": 1e9}},
    {"more": 1},
]


@pytest.mark.parametrize("changes", FIELDS, ids=lambda of: f"{next(iter(of))}-{str(of)[:40]}")
def test_a_field_that_cannot_be_is_named(changes):
    with pytest.raises(AtelierError) as found:
        from_json(with_item(**changes))
    assert found.value.code == "sheet-item"
    assert found.value.values["place"] == 1
    wanted = "form" if "more" in changes else next(iter(changes))
    assert found.value.values["field"].split(".")[0] == wanted


def test_an_infinite_number_that_json_lets_through_is_refused():
    assert code_of(to_json(sheet()).replace(b"0.283", b"1e999", 1)) == "sheet-item"


@pytest.mark.parametrize("name", [None, 7, "x" * 301, "a\x00", ["Ada"]])
def test_a_name_that_cannot_be_is_refused(name):
    assert code_of(json.dumps({**WRITTEN, "name": name}).encode()) == "sheet-field"


def test_what_a_sheet_cannot_hold_is_refused_when_it_is_made():
    for changes in ({"title": ""}, {"page": "a/b"}, {"picture": b"x"}, {"when": "2026-11-28"}):
        with pytest.raises(AtelierError):
            replace(kept(), **changes)


def outcome(data):
    """The sheet, or the code of the error."""
    try:
        return from_json(data)
    except AtelierError as error:
        return error.code


def test_damaged_bytes_give_a_sheet_or_a_sentence():
    rng = random.Random(1)
    whole = to_json(sheet())
    for _time in range(150):
        data = bytearray(whole)
        for _change in range(rng.randrange(1, 4)):
            at = rng.randrange(len(data))
            data[at : at + rng.randrange(3)] = rng.choice(
                [b"", b'"', b"[", b"}", b"\\u0000", b"1e5", b"null", b"\xff", b","]
            )
        found = outcome(bytes(data))
        assert isinstance(found, Sheet) or found.startswith("sheet-")


def test_any_value_in_any_place_gives_a_sheet_or_a_sentence():
    values = [None, True, -1, 1e300, "", "x", [], [[]], {}, {"a": 1}, [None], "\ud800", [{}]]
    for field in WRITTEN["items"][0]:
        for value in values:
            found = outcome(with_item(**{field: value}))
            assert isinstance(found, Sheet) or found == "sheet-item"


def test_an_address_is_that_of_the_view():
    assert sheet().items[0].link == (
        "collapse?collapse_runs=baseline%2Cno-stop-gradient&collapse_epoch=2"
    )
    assert kept().link == "collapse"


def test_rows_of_the_app_and_of_the_file_are_the_same_csv():
    from pages.shared.figures import csv_bytes

    assert data_of(ROWS).csv().encode() == csv_bytes(ROWS)
    assert data_of([]).csv() == ""
