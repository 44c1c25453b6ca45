"""docs/teaching.md is kept true: its example, its keys, its parameters, its limits, the words on buttons."""

import ast
import json
import re
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from streamlit import config

from pages import frame
from pages.browser import component
from pages.shared import links, shape
from pages.teach import answers, attending, link, marking, room, sheet, shelf
from pages.teach.fields import NUMBER
from pages.teach.lesson import read_lesson
from pages.teach.numbers import RUNS, SHORT, Figures, check_numbers, filled
from tests.pages.opening import OF_THE_FRAME, components, opened

ROOT = Path(__file__).parents[1]
EMBEDDED = ROOT / "checkpoints"
PAGE = (ROOT / "docs" / "teaching.md").read_text("utf-8")
(EXAMPLE,) = re.findall(r"```toml\n(.*?)```", PAGE, re.S)
LESSON = read_lesson(EXAMPLE)
NOT_OURS = {"Network URL", "secret"}
"""Words in italics that stand on no page of the app."""
SPELLED = {3: "three", 4: "four", 5: "five", 60: "sixty"}


def rows(head):
    """The cells of the table whose head begins so, a list a row."""
    table = PAGE[PAGE.index(f"| {head} |") :].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table]


def codes(text):
    return re.findall(r"`([^`]+)`", text)


@pytest.fixture
def embedded(monkeypatch):
    monkeypatch.setenv("ATELIER_CHECKPOINTS", str(EMBEDDED))
    monkeypatch.delenv("ATELIER_DATA_DIR", raising=False)


def figures_of(name):
    """The numbers of an embedded bundle, or of the run of a recipe, read as plain files."""
    for one in (name, RUNS.format(name)):
        if (EMBEDDED / one).is_dir():
            files = ("config", "metrics", "history")
            return Figures(*(json.loads((EMBEDDED / one / f"{x}.json").read_text()) for x in files))
    return None


# ---------------------------------------------------------------- the lesson


def test_the_lesson_is_called_as_its_file():
    assert f"{LESSON.id}.toml" in EXAMPLE.splitlines()[0]
    assert LESSON.planned_minutes == LESSON.minutes
    assert all((EMBEDDED / name).is_dir() for name in LESSON.needs)
    check_numbers(LESSON, figures_of)


@pytest.mark.slow
@pytest.mark.parametrize("language", ["en", "fr"])
@pytest.mark.parametrize("number", range(1, len(LESSON.steps) + 1))
def test_every_step_of_the_lesson_opens_and_has_what_it_names(
    embedded, tmp_path, monkeypatch, number, language
):
    (tmp_path / f"{LESSON.id}.toml").write_text(EXAMPLE, "utf-8")
    monkeypatch.setenv(shelf.VARIABLE, str(tmp_path))
    at = opened("home", lesson=LESSON.id, step=str(number), lang=language)
    assert not at.error
    assert not at.warning
    step, run = LESSON.steps[number - 1], at.session_state[shape.VISIT]
    assert set(step.keep) <= set(run.seen_controls)
    assert {*step.figures, *(step.ask.reveal if step.ask else ())} <= set(run.seen_figures)
    stands = at.session_state[links.VISIT].stands
    assert {key: stands[key] for key in step.query} == step.query


def test_every_number_in_braces_is_one_of_a_model():
    said = [found[0] for found in NUMBER.finditer(PAGE)]
    assert len(said) > 6
    for one in said:
        assert "{" not in filled(one, figures_of)
    assert {one for one in SHORT if f".{one}}}" in PAGE} >= {"knn", "knn_before", "loss", "rank"}


# ---------------------------------------------------------------- parameters and links


def test_the_table_of_parameters_is_that_of_the_frame():
    named = {name for row in rows("parameter") for name in codes(row[0])}
    assert named <= links.FRAME
    assert named >= {*attending.PARAMETERS, *frame.SHAPE, "at", "lang"}


@pytest.mark.parametrize(
    ("parameter", "values"),
    [("as", attending.LOOKS), ("hide", shape.PARTS), ("lang", ("en", "fr"))],
)
def test_a_parameter_has_the_values_that_it_is_said_to_have(parameter, values):
    (words,) = [row[1] for row in rows("parameter") if codes(row[0]) == [parameter]]
    assert codes(words) == list(values)


@pytest.mark.slow
def test_the_link_of_the_page_shows_what_is_said_of_it(embedded):
    path, query = re.search(r"`/([a-z-]+)\?(\w+=[^`]+)`", PAGE).groups()
    asked = {name: said[0] for name, said in parse_qs(query).items()}
    at = opened(shelf.PAGES[path].name, **asked)
    assert not at.error
    shown = set(components(at)) - OF_THE_FRAME
    assert shown == {f"{asked['keep']}_hand", asked["figures"]}
    assert str(at.session_state[asked["keep"]]) == asked[asked["keep"]]


# ---------------------------------------------------------------- the server


def test_every_variable_is_read_by_the_app():
    code = "\n".join(file.read_text("utf-8") for file in (ROOT / "pages").rglob("*.py"))
    named = set(re.findall(r"ATELIER_[A-Z_]+", PAGE))
    assert named == {answers.VARIABLE, answers.PHRASE, shelf.VARIABLE}
    assert all(f'"{name}"' in code for name in named)


def test_the_ways_with_answers_are_those_of_the_server():
    assert [codes(row[0])[0] for row in rows("value")] == list(answers.WAYS)


def test_every_option_of_the_command_is_one_of_streamlit():
    named = set(re.findall(r"--([a-z]+\.[A-Za-z]+)", PAGE))
    assert named == {"server.address", "server.port", "browser.serverAddress"}
    for name in named:
        config.get_option(name)  # raises for one that there is not
    assert (ROOT / re.search(r"`python (tests/\S+)`", PAGE)[1]).is_file()


@pytest.mark.parametrize(
    "said",
    [
        f"a code of {SPELLED[room.LETTERS]} letters",
        f"gone {SPELLED[room.LIFE / 3600]} hours after the room was opened",
        f"{room.MOST_ROOMS} rooms and for {room.MOST_TABS} tabs",
        f"{sheet.MOST_ITEMS} things and {sheet.MOST_BYTES // 2**20} MiB",
        f"up to {marking.MOST_FILES} sheets",
        f"{link.LONGEST:,} characters",
        f"{SPELLED[answers.MOST_WRONG]} wrong ones within a minute",
        f"{SPELLED[len(list(shelf.SHIPPED.glob('*.toml')))].title()} lessons are here",
    ],
)
def test_the_limits_are_those_of_the_code(said):
    assert said in " ".join(PAGE.split())
    assert answers.WITHIN == 60


# ---------------------------------------------------------------- keys and words


def test_the_keys_of_the_stage_are_those_that_the_browser_hears():
    code = (Path(component.__file__).parent / "modules" / "clicker.js").read_text("utf-8")
    named = [key for row in rows("key") for key in codes(row[0])]
    assert len(named) == 7
    for key in named:
        assert f'"{key}"' in code, key
    heard = re.findall(r'new Set\(\[("[^\]]+)\]\)', code)
    for key in re.findall(r'"(\w+)"', "".join(heard)):
        assert key in named, key


def sentences():
    """Everything that a page says, in English."""
    for file in (ROOT / "pages").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("_", "N_"):
                yield from (one.value for one in node.args if isinstance(one, ast.Constant))


def test_words_in_italics_stand_on_a_page():
    prose = re.sub(r"```.*?```|`[^`]*`", "", PAGE, flags=re.S)
    named = {" ".join(one.split()) for one in re.findall(r"(?<!\*)\*([^*]+)\*(?!\*)", prose)}
    assert len(named) > 12
    assert named - NOT_OURS <= set(sentences())
