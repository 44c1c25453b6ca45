"""Marking thirty sheets: the counts are those of the answers, and a damaged file costs itself alone."""

import csv
import io
import os
import random
from collections import Counter
from dataclasses import replace
from datetime import date

import pytest

from core.errors import AtelierError
from pages.teach import marking
from pages.teach.marking import Key, table
from pages.teach.sheet import Answer, Sheet, SheetItem, to_json
from tests.pages.teach.sheets import sheet

KEYS = {"3.4": Key(8, "b"), "3.5": Key(2), "3.9": Key(4, "a")}


def answered(name, **given):
    """A sheet with an option for each question, ``q34="b"`` for 3.4."""
    items = [
        SheetItem("Question", "collapse", date(2026, 11, 28), words=f"because {option}")
        for option in given.values()
    ]
    answers = [
        Answer(f"{key[1]}.{key[2]}", "Which?", option, "", 1) for key, option in given.items()
    ]
    return Sheet(name, tuple(replace(k, answer=a) for k, a in zip(items, answers, strict=True)))


def the_class():
    rng = random.Random(0)
    return [
        answered(f"Student {n}", q34=rng.choice("abc"), q39=rng.choice("ab")) for n in range(30)
    ]


def files(sheets):
    return [(f"sheet-{place}.json", to_json(one)) for place, one in enumerate(sheets)]


def test_a_class_of_thirty_is_counted():
    sheets = the_class()
    found = table(files(sheets), KEYS)
    given = [[kept.answer.option for kept in one.items] for one in sheets]
    assert found.tallies["3.4"] == dict(Counter(first for first, _second in given))
    assert sum(found.tallies["3.9"].values()) == 30
    wanted = [8 * (first == "b") + 4 * (second == "a") for first, second in given]
    assert [student.earned_points for student in found.students] == wanted
    assert [student.name for student in found.students] == [one.name for one in sheets]
    assert found.questions == {"3.4": 8, "3.5": 2, "3.9": 4}
    assert found.refused == ()


def test_the_csv_is_the_table():
    found = table(files(the_class()), KEYS)
    rows = list(csv.DictReader(io.StringIO(found.csv_bytes().decode())))
    assert len(rows) == 30
    for row, student in zip(rows, found.students, strict=True):
        assert row["student"] == student.name
        assert row["3.4 option"] == student.given["3.4"].option
        assert float(row["3.4 points"]) + float(row["3.9 points"]) == float(row["points"])
        assert row["3.5 option"] == row["3.5 points"] == ""


def test_a_damaged_file_is_one_sentence_and_the_others_are_read():
    good = files(the_class()[:3])
    bad = [
        ("cut.json", good[0][1][:100]),
        ("photo.json", b"\x89PNG"),
        ("deep.json", b"[" * 100_000),
        ("field.json", good[0][1].replace(b'"page":"collapse"', b'"page":"/etc"')),
    ]
    found = table([bad[0], good[0], bad[1], bad[2], good[1], bad[3], good[2]], KEYS)
    assert [student.file for student in found.students] == [name for name, _data in good]
    assert [one.file for one in found.refused] == [name for name, _data in bad]
    for one in found.refused:
        assert str(one.error).endswith(".")


def test_a_file_does_not_say_what_it_earns():
    boast = answered("Eve", q34="b")
    boast = replace(boast, items=(replace(boast.items[0], answer=Answer("3.4", "", "b", "", 999)),))
    found = table(files([boast]), KEYS)
    assert found.students[0].earned_points == 8
    assert found.questions["3.4"] == 8


def test_what_no_option_decides_is_left_to_a_reader():
    found = table(files([answered("Ada", q35="x", q77="z")]), KEYS)
    assert found.students[0].given["3.5"].earned is None
    assert found.students[0].given["3.5"].words == "because x"
    assert found.students[0].given["7.7"].earned is None
    assert found.students[0].earned_points == 0


def test_without_a_lesson_questions_stand_as_the_sheets_have_them():
    sheets = [sheet("Ada"), sheet("Bob"), answered("Eve", q34="a")]
    found = table(files(sheets))
    assert found.questions == {"3.4": 8, "3.9": 4.5}
    assert found.tallies == {"3.4": {"a": 1, "b": 2}, "3.9": {"": 2}}
    assert all(one.earned is None for s in found.students for one in s.given.values())


def test_the_later_of_two_answers_counts():
    twice = Sheet("Ada", answered("", q34="a").items + answered("", q34="b").items)
    found = table(files([twice]), KEYS)
    assert found.students[0].given["3.4"].option == "b"
    assert found.tallies["3.4"] == {"b": 1}


def test_a_sheet_without_a_name_goes_by_its_file():
    found = table([("group/ada lovelace.json", to_json(answered("  ", q34="a")))], KEYS)
    assert found.students[0].name == "ada lovelace"


@pytest.mark.parametrize("name", ["=1+1", "+A1", "-2", "@SUM(A1)", '=HYPERLINK("http://evil")'])
def test_a_name_is_no_formula_of_a_spreadsheet(name):
    text = table(files([answered(name, q34="a")]), KEYS).csv_bytes().decode()
    assert next(csv.DictReader(io.StringIO(text)))["student"] == f"'{name}"


def test_too_many_files_are_refused_before_they_are_read():
    one = to_json(answered("Ada", q34="a"))
    many = ((f"{n}.json", one) for n in range(10**9))
    with pytest.raises(AtelierError) as found:
        table(many, KEYS)
    assert found.value.code == "marking-many"


def test_no_files_are_an_empty_table():
    found = table([], KEYS)
    assert found.students == ()
    assert found.csv_bytes().decode().count("\n") == 1


def test_nothing_is_kept(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = dict(vars(marking))
    table(files(the_class()), KEYS)
    assert vars(marking) == before
    assert os.listdir(tmp_path) == []
