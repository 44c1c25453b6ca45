"""Every visible sentence has its French, with the same fields."""

import ast
import gettext
import re
import string
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = Path(__file__).parent
LOCALES = ROOT / "pages" / "shared" / "locale"
SOURCES = [file for room in ("core", "pages") for file in sorted((ROOT / room).rglob("*.py"))]
MARKERS = {"_": 0, "N_": 0, "AtelierError": 1}


def sentences():
    """(file, line, sentence) of everything that is marked as visible."""
    for file in SOURCES:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            name = getattr(getattr(node, "func", None), "id", None)
            if name not in MARKERS or len(node.args) <= MARKERS[name]:
                continue
            argument = node.args[MARKERS[name]]
            if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                yield f"{file.relative_to(ROOT)}:{node.lineno}", argument.value


def fields(sentence):
    return {name for _, name, _, _ in string.Formatter().parse(sentence) if name is not None}


FRENCH = gettext.translation("atelier", LOCALES, languages=["fr"])
CATALOGUE = {key: value for key, value in FRENCH._catalog.items() if key}


def test_sentences_are_found():
    assert len(list(sentences())) > 300


def test_every_sentence_has_its_french():
    missing = [f"{place}: {text}" for place, text in sentences() if not CATALOGUE.get(text)]
    assert not missing


def test_french_and_english_have_the_same_fields():
    different = {
        text for _, text in sentences() if fields(text) != fields(CATALOGUE.get(text, text))
    }
    assert not different


def test_french_signs_do_not_stand_alone_on_a_line():
    """A thin no-break space before ; : ? ! and inside « »; ``:material/…:`` is no sign."""
    alone = re.compile(r" [;?!»](?!\w)| :(?!\w)|« ")
    assert not {text for text in CATALOGUE.values() if alone.search(text)}


def test_no_translation_is_left_over():
    assert not set(CATALOGUE) - {text for _, text in sentences()}


def test_sentences_are_whole_constants_where_they_are_marked():
    """``_(f"…")`` or ``_("…" + x)`` would never be found in the catalogue."""
    wrong = []
    for file in SOURCES:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if getattr(getattr(node, "func", None), "id", None) in MARKERS and node.args:
                argument = node.args[min(MARKERS[node.func.id], len(node.args) - 1)]
                if isinstance(argument, ast.JoinedStr | ast.BinOp):
                    wrong.append(f"{file.relative_to(ROOT)}:{node.lineno}")
    assert not wrong


def words_passed_to_streamlit(tree):
    """String constants given as first argument to a Streamlit element, unmarked."""
    visible = {"title", "header", "subheader", "markdown", "caption", "info", "error", "warning"}
    visible |= {"success", "button", "slider", "selectbox", "number_input", "text_input", "toggle"}
    visible |= {"metric", "expander", "popover", "file_uploader", "camera_input", "select_slider"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", None) in visible and node.args:
            first = node.args[0]
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield node.lineno, first.value


def test_no_sentence_goes_to_the_page_unmarked():
    names = {"", "Latent Atelier", "KL", "t", "η"}
    unmarked = [
        f"{file.relative_to(ROOT)}:{line}: {words}"
        for file in SOURCES
        if file.parts[-2] != "core"
        for line, words in words_passed_to_streamlit(ast.parse(file.read_text(encoding="utf-8")))
        if words not in names
    ]
    assert not unmarked


QUOTED = 4
FOLDERS = ("", "browser", "ddpm", "simsiam", "teach", "vae")
TESTS = [
    *(file for folder in FOLDERS for file in (PAGES / folder).glob("*.py")),
    *PAGES.parent.joinpath("browser").glob("*.py"),
]


def runs(sentence):
    """All that stands of a sentence without its fields, as so many words in a row."""
    for part in re.split(r"\{[^}]*\}", sentence):
        found = re.findall(r"[\w'’-]+", part.lower())
        yield from zip(*(found[place:] for place in range(QUOTED)), strict=False)


@cache
def runs_of_the_app():
    english = {text for _, text in sentences()}
    return {run for text in (*english, *CATALOGUE.values()) for run in runs(text)}


def quotations(tree):
    """Strings with words of a sentence of the app in them; docstrings are not looked at."""
    told = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        text = getattr(node, "value", None) if isinstance(node, ast.Constant) else None
        if isinstance(text, str) and id(node) not in told:
            quoted = runs_of_the_app().intersection(runs(text))
            yield from [(node.lineno, text)] if quoted else []


def test_no_test_quotes_a_sentence():
    """A better word must break no test: ``tests/pages/sentences.py`` says what to do instead."""
    found = [
        f"{file.relative_to(ROOT)}:{line}: {words}"
        for file in TESTS
        for line, words in quotations(ast.parse(file.read_text(encoding="utf-8")))
    ]
    assert not found


@pytest.mark.parametrize("part", [slice(None), slice(3, 7)])
@pytest.mark.parametrize("form", ["assert {!r} in said", "assert f{!r} in said", "f(name={!r})"])
def test_a_quotation_is_seen(form, part):
    (longest,) = sorted((text for _, text in sentences() if "{" not in text), key=len)[-1:]
    quoted = " ".join(longest.split()[part])
    assert list(quotations(ast.parse(form.format(quoted))))


def test_the_compiled_catalogue_is_the_written_one():
    pofile = pytest.importorskip("babel.messages.pofile", reason="babel: tests/requirements.txt")
    with (LOCALES / "fr" / "LC_MESSAGES" / "atelier.po").open("rb") as file:
        written = {entry.id: entry.string for entry in pofile.read_po(file) if entry.id}
    assert written == CATALOGUE
