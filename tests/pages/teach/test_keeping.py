"""The sheet of a visit and its copy in the tab: nothing that was kept is lost, nothing old comes back."""

import io
import json

import numpy as np
import plotly.graph_objects as go
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from pages.shared import pins
from pages.teach import keeping
from pages.teach import sheet as sheets
from pages.teach.sheet import Sheet, from_json, to_json
from tests.pages.opening import LONGEST, checked, components
from tests.pages.sentences import like
from tests.pages.teach.sheets import ROWS, curves, sheet

STORE = "sheet_store"


def script():
    """A page with figures to keep, and a browser that says what a test says."""
    import streamlit as st

    from pages.shared import pins
    from pages.shared.text import turn_to
    from pages.teach import keeping
    from tests.pages.teach.test_keeping import PINS

    state = st.session_state
    turn_to("collapse")
    pins.set_keeper(keeping.keep)
    if said := state.pop("browser_says", None):
        keeping.hear([said[0], keeping._visit().token, *said[1:]])
    with st.sidebar:
        keeping.mirror()
    state["runs"] = state.get("runs", 0) + 1

    for name in PINS:
        pins.button(PINS[name])
    for call in state.pop("calls", []):
        call(keeping)
    keeping.settle()


def chart(points=3):
    rng = np.random.default_rng(0)
    return go.Figure(go.Scatter(x=np.arange(points), y=rng.normal(size=points)))


def noise(side):
    return np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)


PINS = {
    "plain": pins.Pin(
        "plain",
        "kNN accuracy of two runs: baseline, no stop-gradient",
        ("simsiam · 93affb", "stored with a bundle"),
        (("k", "200"), ("τ", "0.1")),
        lambda: [*ROWS, {"run": "a\x00b", "epoch": np.int64(3), "accuracy": np.nan}],
        lambda: noise(8),
        curves,
    ),
    "large": pins.Pin(
        "large",
        "Everything",
        rows=lambda: [{"place": n, "words": "x" * 50} for n in range(30_000)],
        picture=lambda: noise(1200),
        plot=lambda: chart(200_000),
    ),
}


def opened(says=("none",), **query):
    at = AppTest.from_function(script, default_timeout=LONGEST)
    for key, value in query.items():
        at.query_params[key] = value
    checked(at.run())
    return browser(at, *says) if says else at


def browser(at, *says):
    """The next run, with what the browser said meanwhile."""
    at.session_state["browser_says"] = says
    return checked(at.run())


def changed(at, call):
    at.session_state["calls"] = [call]
    return checked(at.run())


def kept(at, name):
    return checked(at.button(key=f"{name}_keep").click().run())


def own(at):
    return at.session_state["sheet_of_visit"].sheet


def given(at):
    """What the browser is given now."""
    return components(at)[STORE]


def stored(at):
    """The run after the browser has stored what it was given, and its text."""
    text, version = given(at)["sheet"], given(at)["version"]
    return browser(at, "stored", version), text


# ---------------------------------------------------------------- keeping


def test_a_figure_is_kept_with_all_that_it_says():
    at = opened(collapse_epoch="2", collapse_runs="baseline", lang="fr")
    kept(at, "plain")
    (found,) = own(at).items
    assert found.title == "Collapse: kNN accuracy of two runs"
    assert (found.page, found.query) == (
        "collapse",
        "collapse_epoch=2&collapse_runs=baseline&lang=fr",
    )
    assert found.alt == PINS["plain"].alt
    assert found.caption.split("\n") == [PINS["plain"].alt, *PINS["plain"].origin]
    assert found.settings == (("k", "200"), ("τ", "0.1"))
    assert found.data.rows[0] == ("baseline", 0, 0.21)
    assert found.data.rows[-1] == ("ab", 3, None)
    assert (np.asarray(Image.open(io.BytesIO(found.picture))) == noise(8)).all()
    assert found.figure == sheets.figure_json(curves())
    assert [toast.value for toast in at.toast] == [f"Kept: {found.title}"]


def test_what_is_too_large_is_cut_and_that_is_said():
    at = kept(opened(), "large")
    (found,) = own(at).items
    assert 0 < len(found.data.rows) < 20_000
    assert found.data.rows[-1][0] == len(found.data.rows) - 1
    assert found.figure == ""
    assert Image.open(io.BytesIO(found.picture)).size == (600, 600)
    for said in (found.caption, at.toast[0].value):
        assert like(keeping.FIRST_ROWS, all="30,000").search(said)
        assert keeping.NO_CHART in said


def test_a_link_that_is_too_long_is_left_out_and_that_is_said():
    at = kept(opened(collapse_epoch="2" * 7000), "plain")
    assert own(at).items[0].query == ""
    assert keeping.NO_LINK in at.toast[0].value


def test_no_secret_of_a_room_gets_onto_a_sheet(tmp_path, monkeypatch):
    monkeypatch.setenv("ATELIER_LESSONS", str(tmp_path))
    (tmp_path / "mine.toml").write_text(LESSON, encoding="utf-8")
    at = opened(lesson="mine", step="1", room="KITE", host="s3cret", **{"as": "stage"}, noise_t="7")
    at.session_state["noise_eta"] = 0.25
    at.session_state["noise_runs"] = ["a", "b"]
    kept(at, "plain")
    (found,) = own(at).items
    assert found.page == "adding-noise"
    assert found.query == "noise_t=7&noise_eta=0.25&noise_runs=a&noise_runs=b"


LESSON = """
id = "mine"
minutes = 1
title = {en = "a", fr = "b"}
[[step]]
page = "adding-noise"
minutes = 1
set = {noise_t = 3, noise_eta = 0.5, noise_runs = ["a"]}
say = {en = "a", fr = "b"}
"""


def test_a_full_sheet_says_so_and_stays_as_it_is():
    thing = sheet().items[1]
    at = changed(opened(), lambda keeping: keeping.change(Sheet("", (thing,) * sheets.MOST_ITEMS)))
    kept(at, "plain")
    assert len(own(at).items) == sheets.MOST_ITEMS
    assert [toast.value[:11] for toast in at.toast] == ["Not kept: A"]


def test_an_answer_takes_the_place_of_an_earlier_one():
    def answer(option, words):
        given = ("3.4", "Which?", option, f"the {option} one", 8, words, "collapse")
        return lambda keeping: keeping.answer(*given, {"lesson": "a", "room": "KITE", "host": "s"})

    at = changed(opened(), answer("low", "It is lower."))
    kept(at, "plain")
    changed(at, answer("high", ""))
    first, second = own(at).items
    assert (first.answer.option, first.answer.chosen, first.answer.points) == (
        "high",
        "the high one",
        8,
    )
    assert (first.words, first.query) == ("It is lower.", "lesson=a")
    assert second.answer is None


@pytest.mark.parametrize(
    ("question", "title"), [("3.4", "Question 3.4"), ("blur", "Question of step 7")]
)
def test_an_answer_is_headed_by_the_number_of_its_item_or_its_step(question, title):
    given = (question, "Which?", "a", "the first", 2, "", "collapse", {"lesson": "a", "step": "7"})
    at = changed(opened(), lambda keeping: keeping.answer(*given))
    assert [one.title for one in own(at).items] == [title]


def test_an_answer_that_is_none_is_refused_in_a_sentence():
    at = changed(opened(), lambda k: k.answer("no question?", "", "", "", 1, "", "collapse", {}))
    assert own(at) == Sheet()
    assert ["no valid" in toast.value for toast in at.toast] == [True]


# ---------------------------------------------------------------- changing


def test_things_keep_their_marks_when_they_move():
    at = changed(opened(), lambda keeping: keeping.change(sheet()))
    visit = at.session_state["sheet_of_visit"]
    marks = visit.marks
    changed(at, lambda keeping: keeping.move(marks[0], 2))
    assert visit.marks == (marks[1], marks[2], marks[0], marks[3])
    assert [kept.title for kept in own(at).items[:3]] == ["A digit", "Rows", "Accuracy by epoch"]
    changed(at, lambda keeping: keeping.say(marks[0], "mine"))
    assert own(at).items[2].words == "mine"
    changed(at, lambda keeping: keeping.move(marks[3], 5))
    assert visit.marks[-1] == marks[3]


def test_the_last_deletion_is_undone():
    at = changed(opened(), lambda keeping: keeping.change(sheet()))
    marks = at.session_state["sheet_of_visit"].marks
    for mark in (marks[3], marks[1]):
        changed(at, lambda keeping, mark=mark: keeping.delete(mark))
    assert len(own(at).items) == 2
    changed(at, lambda keeping: keeping.undo())
    assert own(at).items == sheet().items[:3]
    assert at.session_state["sheet_of_visit"].marks == marks[:3]
    changed(at, lambda keeping: keeping.undo())
    assert len(own(at).items) == 3


def test_what_is_gone_changes_nothing():
    at = changed(opened(), lambda keeping: keeping.change(sheet()))
    for call in (
        lambda keeping: keeping.delete(99),
        lambda keeping: keeping.move(99, 1),
        lambda keeping: keeping.say(99, "x"),
    ):
        changed(at, call)
    assert own(at) == sheet()


# ---------------------------------------------------------------- the copy in the tab


def test_the_browser_is_asked_before_it_is_given_anything():
    at = kept(opened(says=()), "plain")
    assert given(at)["ask"]
    assert given(at)["sheet"] is None
    browser(at, "none")
    assert not given(at)["ask"]
    assert from_json(given(at)["sheet"].encode()) == own(at)


def test_a_copy_is_sent_until_it_is_confirmed_and_not_again():
    at = kept(opened(), "plain")
    first = given(at)["version"]
    checked(at.run())
    assert given(at)["sheet"]
    browser(at, "stored", first)
    assert given(at)["sheet"] is None
    kept(at, "plain")
    assert given(at)["version"] > first
    browser(at, "stored", first)  # late: of the version before
    assert given(at)["sheet"]


def test_the_tab_says_by_what_it_is_known_after_a_reload():
    at = opened(says=("none", None, "5" * 32))
    assert at.session_state["sheet_of_visit"].tab == "5" * 32
    browser(at, "done", None, 7)  # no token
    browser(at, "done")
    assert at.session_state["sheet_of_visit"].tab == "5" * 32


def test_a_new_visit_has_what_the_tab_held():
    at, text = stored(kept(opened(), "plain"))
    again = opened(says=("held", text))
    assert own(again) == own(at)
    assert not given(again)["ask"]
    assert given(again)["sheet"] is None


def test_an_old_copy_never_takes_the_place_of_the_visits_sheet():
    at = kept(opened(), "plain")
    browser(at, "held", to_json(sheet()).decode())
    assert len(own(at).items) == 1
    assert own(at).items[0].title.startswith("Collapse")


def test_what_was_kept_before_the_tab_was_heard_comes_after_what_it_held():
    at = kept(opened(says=()), "plain")
    browser(at, "held", to_json(sheet()).decode())
    assert own(at).items[:-1] == sheet().items
    assert own(at).items[-1].title.startswith("Collapse")
    assert own(at).name == "Ada"
    assert from_json(given(at)["sheet"].encode()) == own(at)


def test_what_has_no_room_after_what_the_tab_held_is_named():
    full = Sheet("", (sheet().items[1],) * sheets.MOST_ITEMS)
    at = kept(opened(says=()), "plain")
    browser(at, "held", to_json(full).decode())
    assert own(at) == full
    assert ["Not kept" in toast.value for toast in at.toast] == [True]


BROKEN = {
    "no JSON": "{",
    "no sheet": "[1]",
    "another version": '{"format": "latent-atelier-sheet", "version": 9}',
    "half a character": "\ud800",
    "a script as a page": to_json(sheet()).decode().replace('"collapse"', '"javascript:alert(1)"'),
    "too large": "x" * (sheets.MOST_BYTES + 1),
}


@pytest.mark.parametrize("held", BROKEN.values(), ids=BROKEN)
def test_a_copy_that_is_no_sheet_stays_until_the_student_chooses(held):
    at = opened(says=("held", held))
    assert own(at) == Sheet()
    kept(at, "plain")
    assert not given(at)["ask"]
    assert given(at)["sheet"] is None
    visit = at.session_state["sheet_of_visit"]
    assert visit.refused is not None
    changed(at, lambda keeping: keeping.discard())
    assert from_json(given(at)["sheet"].encode()) == own(at)


@pytest.mark.parametrize("why", ["full", "forbidden"])
def test_a_browser_that_keeps_nothing_is_not_asked_again_and_again(why):
    at = kept(opened(), "plain")
    browser(at, why, given(at)["version"])
    assert given(at)["sheet"] is None
    assert at.session_state["sheet_of_visit"].copy == why
    kept(at, "plain")
    stored(at)
    assert at.session_state["sheet_of_visit"].copy == ""


def test_a_browser_without_storage_is_heard():
    at = kept(opened(says=("forbidden",)), "plain")
    assert own(at).items
    assert at.session_state["sheet_of_visit"].copy == "forbidden"


@pytest.mark.parametrize(
    "says", [("held",), ("held", 3), ("stored", "1"), ("stored", True), ("x",)]
)
def test_nonsense_from_a_browser_does_no_harm(says):
    at = opened(says=says)
    kept(at, "plain")
    assert len(own(at).items) == 1


def test_another_visits_browser_is_not_heard():
    at = opened(says=())
    text = json.dumps(to_json(sheet()).decode())
    changed(at, lambda keeping: keeping.hear(["held", "another", text]))
    assert own(at) == Sheet()
    assert given(at)["ask"]


def test_an_empty_sheet_takes_the_copy_away():
    at = kept(opened(), "plain")
    stored(at)
    mark = at.session_state["sheet_of_visit"].marks[0]
    changed(at, lambda keeping: keeping.delete(mark))
    assert given(at)["sheet"] == ""


def test_what_a_run_itself_changes_is_copied_by_another_run():
    at = opened()
    at.session_state["calls"] = [lambda keeping: keeping.name("Ada")]
    runs = at.session_state["runs"]
    checked(at.run())
    assert from_json(given(at)["sheet"].encode()).name == "Ada"
    assert at.session_state["runs"] == runs + 2
