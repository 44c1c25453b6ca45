"""The lessons of the app, held against its pages and its bundles."""

import json
import re
from functools import cache
from pathlib import Path

import pytest

from pages.shared import site, text
from pages.teach import numbers, shelf
from pages.teach.fields import NUMBER
from pages.teach.lesson import read_lesson, texts, write_lesson
from pages.teach.link import pack
from pages.teach.numbers import RUNS, Figures, check_numbers, fill

ROOT = Path(__file__).parents[3]
EMBEDDED = ROOT / "checkpoints"
LESSONS = {path.stem: read_lesson(path.read_text("utf-8")) for path in shelf.SHIPPED.glob("*.toml")}
STEPS = [(name, n) for name, one in sorted(LESSONS.items()) for n in range(1, len(one.steps) + 1)]


@cache
def embedded(name):
    """The numbers of an embedded bundle, as ``numbers.of_library`` finds it, read as plain files."""
    for one in (name, RUNS.format(name)):
        if (EMBEDDED / one).is_dir():
            said = (json.loads((EMBEDDED / one / f"{file}.json").read_text()) for file in FILES)
            return Figures(*said)
    return None


FILES = ("config", "metrics", "history")


def test_there_are_four():
    assert set(LESSONS) == {"vae-45", "diffusion-45", "simsiam-45", "lab-2h"}


@pytest.mark.parametrize("name", LESSONS)
def test_the_minutes_add_up(name):
    lesson = LESSONS[name]
    assert lesson.planned_minutes == lesson.minutes == (120 if name == "lab-2h" else 45)


@pytest.mark.parametrize("name", LESSONS)
def test_it_is_written_and_read_back(name):
    assert read_lesson(write_lesson(LESSONS[name])) == LESSONS[name]


@pytest.mark.parametrize(("name", "number"), STEPS)
def test_what_an_answer_reveals_is_not_shown_before(name, number):
    step = LESSONS[name].steps[number - 1]
    if step.ask and step.figures is not None:
        assert not set(step.figures) & set(step.ask.reveal)


@pytest.mark.parametrize("name", LESSONS)
@pytest.mark.parametrize("language", ["en", "fr"])
def test_every_number_is_in_an_embedded_bundle(name, language, monkeypatch):
    for module in (text, numbers):
        monkeypatch.setattr(module, "language", lambda: language)
    check_numbers(LESSONS[name], embedded)
    for place, words in texts(LESSONS[name]):
        said = fill(words, place, embedded)
        assert not set(said) & set("{}")
        assert len(NUMBER.findall(words.en)) == len(NUMBER.findall(words.fr))
        assert set(NUMBER.findall(words.en)) == set(NUMBER.findall(words.fr))


@pytest.mark.parametrize("name", LESSONS)
def test_it_names_the_bundles_that_it_needs(name):
    lesson = LESSONS[name]
    used = {
        match.group(1).split(".")[0]
        for _place, words in texts(lesson)
        for match in NUMBER.finditer(words.en)
    }
    full = {one if (EMBEDDED / one).is_dir() else RUNS.format(one) for one in used}
    assert full <= set(lesson.needs)
    named = {one["name"] for one in json.loads((EMBEDDED / "manifest.json").read_text())["bundles"]}
    assert set(lesson.needs) <= named


@pytest.mark.parametrize(("name", "number"), STEPS)
def test_a_question_with_options_has_an_answer_and_a_reason(name, number):
    ask = LESSONS[name].steps[number - 1].ask
    if ask:
        assert ask.why
        assert bool(ask.options) == bool(ask.right)
        assert ask.points > 0


@pytest.mark.parametrize("name", LESSONS)
def test_the_right_answer_has_no_usual_place(name):
    asks = [step.ask for step in LESSONS[name].steps if step.ask and step.ask.options]
    places = [[one.id for one in ask.options].index(ask.right) for ask in asks]
    assert len(set(places)) > 1


def test_french_is_not_english():
    for lesson in LESSONS.values():
        for place, words in texts(lesson):
            bare = re.sub(r"[\d\s.,\u202f]", "", words.en)
            assert words.en != words.fr or not bare or place.field.startswith("ask.options")


def test_french_marks_have_narrow_spaces():
    for lesson in LESSONS.values():
        for _place, words in texts(lesson):
            assert not re.search(r" [?!;:](\s|$)", words.fr), words.fr


def test_the_set_of_runs_of_a_step_is_one_that_the_page_offers(monkeypatch):
    from pages.simsiam.parts import runs

    codes = {}
    for folder in EMBEDDED.glob("simsiam-*"):
        record = type("Run", (), {"bundle": type("B", (), {"name": folder.name})})()
        found = embedded(folder.name)
        data, parts = found.config["data"], found.config["architecture"]
        record.comparable = (
            *(data[key] for key in ("name", "split", "pictures")),
            *(parts[key] for key in ("width", "stem", "hidden")),
            len(found.history),
        )
        monkeypatch.setattr(runs.guests, "is_guest", lambda name: False)
        recipe = found.config["training"]["recipe"]
        codes.setdefault(runs.code_of({recipe: record}), set()).add(recipe)
    steps = [step.query for lesson in LESSONS.values() for step in lesson.steps]
    asked = [query for query in steps if "collapse_set" in query]
    assert asked
    for query in asked:
        assert set(query["collapse_runs"]) <= codes[query["collapse_set"][0]]


def test_the_lab_has_every_item_of_the_assignment():
    lab = LESSONS["lab-2h"]
    for items in site.ASSIGNMENT.values():
        for item in items:
            number = item.number.replace(" ", "")
            wanted = {
                key: [one] if isinstance(one, str) else list(one) for key, one in item.query.items()
            }
            assert any(
                step.page == item.page.path
                and step.ask.id.startswith(number)
                and wanted.items() <= step.query.items()
                for step in lab.steps
            ), item


def test_a_lesson_of_45_minutes_may_be_too_long_for_a_link_but_a_step_fits():
    from dataclasses import replace

    for lesson in LESSONS.values():
        for step in lesson.steps:
            assert pack(replace(lesson, steps=(step,), minutes=step.minutes), answers=True)
