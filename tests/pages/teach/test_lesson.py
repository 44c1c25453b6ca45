"""The file of a lesson: what is read is what was written, and a mistake is one sentence with its place."""

import dataclasses
import inspect
import random
import re
import textwrap

import pytest

from core.errors import AtelierError
from pages.teach import lesson as module
from pages.teach.fields import MOST_KEYS, Place, harmless
from pages.teach.lesson import (
    LONGEST,
    MOST_STEPS,
    Ask,
    Lesson,
    Likely,
    Option,
    Stage,
    Step,
    Words,
    lesson_of,
    read_lesson,
    texts,
    write_lesson,
)

TEXT = """
id = "small"
minutes = 5
title = {en = "Small", fr = "Petite"}

[[step]]
page = "collapse"
minutes = 5
set = {collapse_epoch = 20, collapse_runs = ["baseline", "no-predictor"], toy_stopgrad = false}
keep = []
figures = ["collapse_loss"]
say = {en = "One loss.", fr = "Une perte."}

[step.ask]
id = "3.5a"
points = 4
question = {en = "Which one?", fr = "Lequel ?"}
options = [
    {id = "a", en = "high", fr = "haut"},
    {id = "b", en = "low", fr = "bas"},
]
right = "a"
reveal = ["collapse_knn"]
why = {en = "{baseline.knn}", fr = "{baseline.knn}"}
likely = [{option = "b", en = "Low is good.", fr = "Bas, c'est bien."}]
"""


def mistake(text):
    with pytest.raises(AtelierError) as caught:
        read_lesson(text)
    said = str(caught.value)
    assert "\n" not in said
    assert len(said) < 300
    return said


def test_every_field_arrives():
    found = read_lesson(TEXT)
    assert found == Lesson(
        "small",
        5,
        Words("Small", "Petite"),
        (
            Step(
                "collapse",
                5,
                Words("One loss.", "Une perte."),
                (
                    ("collapse_epoch", ("20",)),
                    ("collapse_runs", ("baseline", "no-predictor")),
                    ("toy_stopgrad", ("false",)),
                ),
                keep=(),
                figures=("collapse_loss",),
                ask=Ask(
                    "3.5a",
                    4,
                    Words("Which one?", "Lequel ?"),
                    (Option("a", Words("high", "haut")), Option("b", Words("low", "bas"))),
                    "a",
                    ("collapse_knn",),
                    Words("{baseline.knn}", "{baseline.knn}"),
                    (Likely("b", Words("Low is good.", "Bas, c'est bien.")),),
                ),
            ),
        ),
    )
    assert found.steps[0].query["collapse_runs"] == ["baseline", "no-predictor"]
    assert found.planned_minutes == 5


def test_what_a_hall_sees_arrives():
    staged = TEXT.replace("keep = []", 'keep = []\nstage = {keep = ["a"], figures = ["b"]}')
    assert read_lesson(staged).steps[0].stage == Stage(("a",), ("b",))
    staged = staged.replace('["b"]', '["b"], reveal = ["c"]')
    assert read_lesson(staged).steps[0].stage == Stage(("a",), ("b",), ("c",))


def test_the_example_of_the_documentation_is_a_lesson():
    words = inspect.getdoc(module).split("::\n", 1)[1].split("\n``set`` says")[0]
    example = read_lesson(textwrap.dedent(words))
    assert example.id == "collapse-10"
    assert write_lesson(example)


def test_nothing_of_a_lesson_can_be_changed():
    for one in (found := read_lesson(TEXT), found.steps[0], found.steps[0].ask):
        with pytest.raises(dataclasses.FrozenInstanceError):
            one.id = "other"
    assert hash(found) == hash(read_lesson(TEXT))


# ---------------------------------------------------------------- there and back


SIGNS = "abcXYZ 019 .,;?!\"'\\#=[]()«»éèœ−·\n\t≤ẞ数字🎲*_`"


def some_words(source, kind):
    def one():
        signs = SIGNS.replace("\t", "")
        text = "".join(source.choices(signs, k=source.randint(1, LONGEST[kind])))
        text = re.sub(r"\\[A-Za-z]|\]\(|!\[", "-", text)
        return text if text.strip() else "a"

    return Words(one(), one())


def some_ask(source, number):
    options = tuple(
        Option(f"o{index}", some_words(source, "option"))
        for index in range(source.choice((0, 2, 3, 8)))
    )
    right = source.choice([None, *(one.id for one in options)])
    wrong = [one.id for one in options if one.id != right] or [""]
    return Ask(
        f"{number}.{source.randint(0, 9)}",
        source.randint(0, 100),
        some_words(source, "question"),
        options,
        right,
        tuple(f"figure_{index}" for index in range(source.randint(0, 3))),
        source.choice([None, some_words(source, "why")]),
        tuple(
            Likely(source.choice(wrong), some_words(source, "likely"))
            for _index in range(source.randint(0, 2))
        ),
    )


def some_lesson(seed):
    source = random.Random(seed)
    steps = tuple(
        Step(
            source.choice(("collapse", "latent-space")),
            source.randint(1, 30),
            some_words(source, "say"),
            tuple(
                (f"key_{index}", tuple(source.choices(("", "1", "a b", "é\\\"'#"), k=count)))
                for index, count in enumerate(source.choices((1, 2, 5), k=source.randint(0, 3)))
            ),
            source.choice((None, (), ("one", "two_2"))),
            source.choice((None, (), ("one_figure",))),
            some_ask(source, number) if source.random() < 0.7 else None,
            source.choice((None, Stage((), ("one",)), Stage(("a",), ("b", "c"), ("d",)))),
        )
        for number in range(1, source.randint(2, 9))
    )
    needs = source.choice(((), ("vae-svhn", "a-b-1")))
    return Lesson(f"made-{seed}", source.randint(1, 99), some_words(source, "title"), steps, needs)


@pytest.mark.parametrize("seed", range(40))
def test_what_is_written_is_read_back(seed):
    made = some_lesson(seed)
    assert read_lesson(write_lesson(made)) == made


def test_writing_is_settled_after_once():
    once = write_lesson(read_lesson(TEXT))
    assert write_lesson(read_lesson(once)) == once


# ---------------------------------------------------------------- mistakes


def test_a_text_has_a_place():
    places = {(place.step, place.field): words.en for place, words in texts(read_lesson(TEXT))}
    assert places == {
        (None, "title"): "Small",
        (1, "say"): "One loss.",
        (1, "ask.question"): "Which one?",
        (1, "ask.options.1"): "high",
        (1, "ask.options.2"): "low",
        (1, "ask.why"): "{baseline.knn}",
        (1, "ask.likely.1"): "Low is good.",
    }


MISTAKES = {
    "an unknown field": ("minutes = 5\ntitle", "minutes = 5\nauthor = 1\ntitle", "author"),
    "an unknown field of a step": ("keep = []", "hide = []", "Step 1 * hide"),
    "an unknown field of a question": ("points = 4", "points = 4\nhint = 1", "Step 1 * ask.hint"),
    "a missing language": (
        'say = {en = "One loss.", fr =',
        'say = {en = "One loss.", de =',
        "say.de",
    ),
    "one language": (', fr = "Une perte."', "", "Step 1 * say.fr"),
    "a missing field": ('page = "collapse"\n', "", "Step 1 * page"),
    "text for a number": ("minutes = 5\nset", 'minutes = "5"\nset', "Step 1 * minutes"),
    "yes for a number": ("points = 4", "points = true", "Step 1 * ask.points"),
    "a number for text": ('en = "One loss."', "en = 1", "Step 1 * say.en"),
    "a date": ("points = 4", "points = 2026-01-01", "Step 1 * ask.points"),
    "a table for a list": ("keep = []", "keep = {}", "Step 1 * keep"),
    "a list for a table": (
        'say = {en = "One loss.", fr = "Une perte."}',
        "say = []",
        "Step 1 * say",
    ),
    "an answer that is no option": ('right = "a"', 'right = "c"', "Step 1 * ask.right"),
    "a likely one that is no option": ('option = "b"', 'option = "c"', "ask.likely.1.option"),
    "the right one as a wrong one": ('option = "b"', 'option = "a"', "ask.likely.1.option"),
    "an option twice": ('id = "b"', 'id = "a"', "Step 1 * ask.options"),
    "one option": ('    {id = "b", en = "low", fr = "bas"},\n', "", "Step 1 * ask.options"),
    "a stage without figures": ("keep = []", "stage = {keep = []}", "Step 1 * stage.figures"),
    "a field that no stage has": (
        "keep = []",
        "stage = {keep = [], figures = [], say = []}",
        "Step 1 * stage.say",
    ),
    "a figure twice": ('["collapse_loss"]', '["a", "a"]', "Step 1 * figures"),
    "a path for a page": ('page = "collapse"', 'page = "../etc"', "Step 1 * page"),
    "a path for a control": ("collapse_epoch = 20", '"../x" = 20', "Step 1 * set"),
    "the address's own parameter": ("collapse_epoch = 20", 'host = "x"', "Step 1 * set.host"),
    "no value": ('["baseline", "no-predictor"]', "[]", "Step 1 * set.collapse_runs"),
    "a table as a value": ("collapse_epoch = 20", "collapse_epoch = {a = 1}", "set.collapse_epoch"),
    "not a number": ("collapse_epoch = 20", "collapse_epoch = nan", "set.collapse_epoch"),
    "no text": ('en = "One loss."', 'en = "  "', "Step 1 * say.en"),
    "a long text": ('en = "One loss."', f'en = "{"a" * 601}"', "601"),
    "no minutes": ("minutes = 5\nset", "minutes = 0\nset", "from 1"),
    "an open brace": ('why = {en = "{baseline.knn}"', 'why = {en = "{baseline.knn"', "ask.why.en"),
    "an attribute": ('{en = "{baseline.knn}"', '{en = "{baseline.__class__!r}"', "ask.why.en"),
    "an index": ('{en = "{baseline.knn}"', '{en = "{baseline[0].knn}"', "ask.why.en"),
    "a wide format": ('{en = "{baseline.knn}"', '{en = "{baseline.knn:999999d}"', "ask.why.en"),
    "no TOML": ("[[step]]", "[[step", "TOML"),
    "a key twice": ("points = 4", "points = 4\npoints = 5", "TOML"),
}


@pytest.mark.parametrize("what", MISTAKES)
def test_a_mistake_is_one_sentence_with_its_place(what):
    old, new, wanted = MISTAKES[what]
    assert TEXT.count(old) == 1
    said = mistake(TEXT.replace(old, new))
    for part in wanted.split(" * "):
        assert part in said


HOSTILE = (
    "[here](https://example.org)",
    "![](//example.org/x.png)",
    "<img src=x onerror=alert(1)>",
    "</div>",
    "https://example.org",
    "www.example.org",
    "[a]: //example.org",
    "$\\\\href{x}{y}$",
    "&#60;b&#62;",
    "\\u0000",
    "\\u001b[31m",
    "\\u202eabc",
)


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("field", ["One loss.", "Which one?", "high", "Low is good.", "Small"])
def test_markup_is_refused_in_every_text(text, field):
    changed = TEXT.replace(f'en = "{field}"', f'en = "{text}"')
    assert changed != TEXT
    said = mistake(changed)
    assert "example" not in said
    assert "<" not in said


def test_half_a_letter_is_refused():
    found = {
        "id": "a",
        "minutes": 1,
        "title": {"en": "\ud800", "fr": "a"},
        "step": [{"page": "collapse", "minutes": 1, "say": {"en": "a", "fr": "a"}}],
    }
    with pytest.raises(AtelierError, match=r"title\.en"):
        lesson_of(found)


def test_there_are_bounds_to_everything():
    one = {"page": "collapse", "minutes": 1, "say": {"en": "a", "fr": "a"}}
    whole = {"id": "a", "minutes": 1, "title": {"en": "a", "fr": "a"}}
    assert len(lesson_of({**whole, "step": [one] * MOST_STEPS}).steps) == MOST_STEPS
    many = {f"key_{index}": "1" for index in range(MOST_KEYS + 1)}
    for steps in (
        [],
        [one] * (MOST_STEPS + 1),
        [{**one, "set": many}],
        [{**one, "set": {"key": ["1"] * 25}}],
        [{**one, "set": {"key": "1" * 201}}],
        [{**one, "set": {"key": 10**4000}}],
        [{**one, "keep": list(many)}],
    ):
        with pytest.raises(AtelierError) as caught:
            lesson_of({**whole, "step": steps})
        assert len(str(caught.value)) < 300


def test_a_question_has_a_name_of_its_own():
    step = TEXT[TEXT.index("[[step]]") :]
    assert "Step 2" in mistake(TEXT + step)


@pytest.mark.parametrize("text", ["a = " + "[" * 50_000, "a = " + "9" * 5000, "\x00", "a.b" * 9999])
def test_no_text_makes_the_reader_fail(text):
    mistake(text)


def test_what_an_error_shows_of_a_stranger_s_value_has_no_markup():
    said = harmless("**a** `b` [c](d) <e> :red[f] $g$ h_i" * 9)
    assert not set(said) & set("*`[]()<>$")
    assert len(said) <= 40
    assert str(Place(2, "a" * 999).wrong(AtelierError("x", "b."))).count("a") < 90
