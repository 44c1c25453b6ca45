"""Lessons as they are played: every step opens, asks first, and shows only what it names."""

from functools import cache
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

import pytest
import segno

from pages.shared import links, site
from pages.shared.controls import I_DO_NOT_KNOW
from pages.teach import answers, attending, keeping, room, room_desk, shelf
from pages.teach.lesson import read_lesson, write_lesson
from pages.teach.link import pack
from tests.pages.opening import OF_THE_FRAME, checked, components, opened, sent
from tests.pages.sentences import refusal

EMBEDDED = Path(__file__).parents[3] / "checkpoints"
LESSONS = shelf.lessons().lessons
STEPS = [
    (name, number) for name, lesson in LESSONS.items() for number in range(1, len(lesson.steps) + 1)
]
SMALL = """
id = "small"
minutes = 12
title = {en = "A small lesson", fr = "Une petite leçon"}

[[step]]
page = "interpolation"
minutes = 5
set = {interpolation_w = 30, interpolation_n = 6, interpolation_b_text = "5"}
keep = ["interpolation_w"]
figures = ["interpolation_film"]
say = {en = "A first sentence.", fr = "Une première phrase."}

[step.ask]
id = "1.1"
points = 3
question = {en = "Which one?", fr = "Lequel ?"}
options = [
    {id = "a", en = "the answer a", fr = "la réponse a"},
    {id = "b", en = "the answer b", fr = "la réponse b"},
]
right = "b"
reveal = ["interpolation_norm"]
why = {en = "The secret reason.", fr = "La raison secrète."}

[[step]]
page = "interpolation"
minutes = 5
set = {interpolation_n = 8}
figures = ["interpolation_film", "no_such_figure"]
say = {en = "A second sentence.", fr = "Une deuxième phrase."}

[[step]]
page = "collapse-live"
minutes = 2
say = {en = "A whole page.", fr = "Une page entière."}

[step.ask]
id = "1.2"
points = 1
question = {en = "In your words?", fr = "Avec vos mots ?"}
why = {en = "The secret words.", fr = "Les mots secrets."}
"""
OWN = "lesson_own_small_1_1"


@pytest.fixture
def embedded(monkeypatch):
    monkeypatch.setenv("ATELIER_CHECKPOINTS", str(EMBEDDED))


@pytest.fixture
def small(tmp_path, monkeypatch):
    (tmp_path / "small.toml").write_text(SMALL, "utf-8")
    monkeypatch.setenv("ATELIER_LESSONS", str(tmp_path))
    return shelf.lesson("small")


def figures(at):
    held = set(components(at)) | {chart.key for chart in at.get("plotly_chart")}
    return held - OF_THE_FRAME - {"clicker"}


# ---------------------------------------------------------------- the lessons of the app


@pytest.mark.parametrize("language", ["en", "fr"])
@pytest.mark.parametrize(("name", "number"), STEPS, ids=[f"{n}-{k}" for n, k in STEPS])
def test_every_step_opens_and_has_what_it_names(embedded, name, number, language):
    lesson = LESSONS[name]
    at = opened("home", lesson=name, step=str(number), lang=language)
    assert not at.error
    assert not at.warning
    step, run = lesson.steps[number - 1], at.session_state["shape"]
    assert set(step.keep or ()) <= set(run.seen_controls)
    assert set(step.figures or ()) <= set(run.seen_figures)
    assert step.ask is None or set(step.ask.reveal) <= set(run.seen_figures)
    stands = at.session_state["links"].stands
    for key, said in step.query.items():
        if key != links.RUN:
            assert stands[key] == said, key


@pytest.mark.parametrize(("name", "number"), STEPS, ids=[f"{n}-{k}" for n, k in STEPS])
def test_every_step_has_what_a_hall_is_to_see(embedded, name, number):
    step = LESSONS[name].steps[number - 1]
    assert step.stage or step.figures is not None  # no whole page fits into the screen of a hall
    if step.stage:
        at = opened("home", lesson=name, step=str(number), **{"as": "stage"})
        assert not at.error
        assert not at.warning
        run = at.session_state["shape"]
        assert set(step.stage.keep) <= set(run.seen_controls)
        assert {*step.stage.figures, *(step.stage.reveal or ())} <= set(run.seen_figures)


def test_on_a_stage_the_figures_of_the_answer_take_the_place_of_the_others(small):
    at = opened("home", lesson="small", step="1", **{"as": "stage"})
    before = figures(at)
    press = at.session_state["lessons"]
    assert "interpolation_norm" not in before
    at = checked(at.button(key="lesson_reveal_1").click().run())
    assert figures(at) == before - {"interpolation_film"} | {"interpolation_norm"}
    press.turned = {("small", "1.1")}  # as R does, once more
    assert figures(checked(at.run())) == before


def test_a_step_shows_its_own_runs_whatever_the_step_before_showed(embedded):
    steps = [
        number
        for number, step in enumerate(LESSONS["lab-2h"].steps, 1)
        if step.page == "collapse" and "collapse_runs" in step.query
    ]
    assert len(steps) >= 3
    at = opened("home", lesson="lab-2h", step=str(steps[0]))
    for number in steps[1:]:
        at.query_params["step"] = str(number)
        checked(at.run())
        wanted = LESSONS["lab-2h"].steps[number - 1].query["collapse_runs"]
        assert list(at.session_state["collapse_runs"]) == list(wanted)
        assert not at.info


@cache
def known_pages():
    return set(shelf.PAGES)


def test_every_step_is_on_a_page():
    assert {step.page for lesson in LESSONS.values() for step in lesson.steps} <= known_pages()


# ---------------------------------------------------------------- asked first


def test_a_step_shows_what_it_names_and_nothing_of_the_answer(small):
    at = opened("home", lesson="small", step="1")
    assert figures(at) == {"interpolation_w_hand", "interpolation_film"}
    assert at.session_state["interpolation_w"] == 30
    said = sent(at)
    assert "Which one?" in said
    assert "the answer b" in said
    assert "secret" not in said
    assert "interpolation_norm" not in said


def test_the_answer_follows_the_visitors_own(small, monkeypatch):
    monkeypatch.setenv("ATELIER_ANSWERS", "after-answer")
    at = opened("home", lesson="small", step="1")
    assert at.button(key="lesson_reveal_1").disabled
    at = checked(at.button_group(key=OWN).set_value("a").run())
    at = checked(at.button(key="lesson_reveal_1").click().run())
    assert any(one.value == "The secret reason." for one in at.markdown)
    assert any("the answer b" in one.value for one in at.info)
    assert "interpolation_norm" in figures(at)


def test_no_option_of_a_lesson_is_taken_for_i_do_not_know(tmp_path, monkeypatch):
    (tmp_path / "small.toml").write_text(SMALL.replace('"b"', '"unknown"'), "utf-8")
    monkeypatch.setenv("ATELIER_LESSONS", str(tmp_path))
    at = opened("home", lesson="small", step="1")
    offered = at.button_group(key=OWN).options
    assert offered == ["the answer a", "the answer b", I_DO_NOT_KNOW]


def test_a_stage_takes_an_answer_where_the_answer_follows_it(small, monkeypatch):
    monkeypatch.setenv("ATELIER_ANSWERS", "after-answer")
    at = opened("home", lesson="small", step="1", **{"as": "stage"})
    assert at.button(key="lesson_reveal_1").disabled
    at = checked(at.button_group(key=OWN).set_value("a").run())
    at = checked(at.button(key="lesson_reveal_1").click().run())
    assert "The secret reason." in sent(at)
    assert "the answer a" not in sent(at)  # the right one alone stays


def test_an_open_server_shows_the_answer_to_whoever_asks(small):
    at = opened("home", lesson="small", step="1")
    at = checked(at.button(key="lesson_reveal_1").click().run())
    assert "The secret reason." in sent(at)


def test_a_passphrase_keeps_the_answer_back(small, monkeypatch):
    monkeypatch.setenv("ATELIER_ANSWERS", "passphrase")
    monkeypatch.setenv("ATELIER_PASSPHRASE", "kite")
    at = opened("home", lesson="small", step="1")
    at = checked(at.button_group(key=OWN).set_value("b").run())
    assert at.button(key="lesson_reveal_1").disabled
    for look in ("guide", "paper"):
        shown = sent(opened("home", lesson="small", **{"as": look}))
        assert "secret" not in shown


def test_a_lesson_in_its_link_cannot_keep_answers_back(small, monkeypatch):
    monkeypatch.setenv("ATELIER_ANSWERS", "after-answer")
    at = opened("home", lesson=pack(small, answers=True), step="1")
    at = checked(at.button(key="lesson_reveal_1").click().run())
    assert "The secret reason." in sent(at)
    at = opened("home", lesson=pack(small), step="1")
    at = checked(at.button(key="lesson_reveal_1").click().run())
    assert "secret" not in sent(at)


def test_what_one_answers_is_kept_on_the_sheet_and_found_again(small):
    at = opened("home", lesson="small", step="1")
    at = checked(at.button_group(key=OWN).set_value("a").run())
    at = checked(at.text_input(key=f"{OWN}_words").set_value("it looks so").run())
    (kept,) = at.session_state[keeping.VISIT].sheet.items
    assert (kept.answer.question, kept.answer.option) == ("1.1", "a")
    assert kept.answer.chosen == "the answer a"
    assert kept.answer.points == 3
    assert kept.words == "it looks so"
    at = checked(at.button(key="lesson_next").click().run())
    at = checked(at.button(key="lesson_back").click().run())
    assert at.button_group(key=OWN).value == "a"
    assert at.text_input(key=f"{OWN}_words").value == "it looks so"
    assert len(at.session_state[keeping.VISIT].sheet.items) == 1


# ---------------------------------------------------------------- from step to step


def test_a_step_begins_as_the_lesson_says_whatever_was_moved_before(small):
    at = opened("home", lesson="small", step="1")
    at.session_state["interpolation_w"] = 90
    at = checked(at.run())
    at = checked(at.button(key="lesson_next").click().run())
    assert at.query_params["step"] == "2"
    assert at.session_state["interpolation_n"] == 8
    assert at.session_state["interpolation_w"] == 50
    assert at.session_state["interpolation_b_text"] == "8"
    at = checked(at.button(key="lesson_back").click().run())
    assert at.session_state["interpolation_w"] == 30
    assert at.session_state["interpolation_b_text"] == "5"


def test_what_was_moved_holds_while_the_step_lasts(small):
    at = opened("home", lesson="small", step="1")
    at.session_state["interpolation_w"] = 90
    at = checked(at.run())
    at = checked(at.button_group(key=OWN).set_value("a").run())
    assert at.session_state["interpolation_w"] == 90
    assert at.query_params["interpolation_w"] == "90"


def test_an_address_that_was_moved_is_found_again(small):
    at = opened("home", lesson="small", step="1", interpolation_w="70")
    assert at.session_state["interpolation_w"] == 70
    assert at.session_state["interpolation_n"] == 6


def test_a_figure_that_the_page_has_not_is_named(small):
    at = opened("home", lesson="small", step="2")
    assert ["no_such_figure" in one.value for one in at.warning] == [True]
    assert "interpolation_film" in figures(at)


def test_a_whole_page_keeps_its_own_answers_until_the_question_is_answered(small):
    at = opened("home", lesson="small", step="3")
    assert "Formula and code" not in {one.label for one in at.expander}
    at = checked(at.text_area(key="lesson_own_small_1_2_words").set_value("mine").run())
    at = checked(at.button(key="lesson_reveal_3").click().run())
    assert "The secret words." in sent(at)
    assert "Formula and code" in {one.label for one in at.expander}


def test_the_ends_of_a_lesson_have_no_way_on(small):
    at = opened("home", lesson="small", step="1")
    assert at.button(key="lesson_back").disabled
    at = opened("home", lesson="small", step="3")
    assert at.button(key="lesson_next").disabled
    assert not components(at)["clicker"]["keys"]  # a desk's keys are its page's


def test_on_a_stage_the_figure_stands_alone(small):
    at = opened("home", lesson="small", step="1", **{"as": "stage"})
    assert "interpolation_film" in figures(at)
    assert "clicker" in components(at)
    assert "Source and data" not in sent(at)
    assert any("A · the answer a" in one.value for one in at.markdown)


def test_a_key_goes_on_once_and_not_for_a_step_that_is_gone(small):
    at = opened("home", lesson="small", step="1", **{"as": "stage"})
    assert components(at)["clicker"]["step"] == 1
    assert components(at)["clicker"]["keys"]
    at = checked(at.button(key="lesson_stage_1").click().run())
    assert components(at)["clicker"]["step"] == 2


# ---------------------------------------------------------------- addresses that are wrong


@pytest.mark.parametrize(
    "query",
    [
        {"lesson": "none"},
        {"lesson": "../../etc/passwd"},
        {"lesson": "<img src=x onerror=alert(1)>"},
        {"lesson": "z:eJxV"},
        {"lesson": "z:" + "A" * 5000},
        {"lesson": "small", "step": "0"},
        {"lesson": "small", "step": "99"},
        {"lesson": "small", "step": "१"},
        {"lesson": "small", "step": "1e9"},
        {"lesson": "small", "as": "root"},
        {"room": "NONE"},
    ],
    ids=str,
)
def test_a_wrong_address_is_one_sentence_and_the_page_is_there(small, query):
    at = opened("interpolation", **query)
    assert len(at.error) == 1
    assert at.title[0].value == "Interpolation"


def test_leaving_is_of_the_lesson_alone(small):
    assert set(attending.PARAMETERS) == {"lesson", "step", "as", "room", "host"}
    assert set(attending.PARAMETERS) <= links.FRAME


def test_a_lesson_that_is_written_plays_as_the_one_that_was_read(small, tmp_path):
    (tmp_path / "small.toml").write_text(write_lesson(small), "utf-8")
    at = opened("home", lesson="small", step="1")
    assert figures(at) == {"interpolation_w_hand", "interpolation_film"}


# ---------------------------------------------------------------- what one lesson cannot do to another


def turned(at, **query):
    """The same visit at another address of the app, as a link within it leads there."""
    at.query_params.clear()
    at.query_params.update({"lang": "en", **query})
    return checked(at.run())


@pytest.fixture
def kept_back(monkeypatch):
    monkeypatch.setenv("ATELIER_ANSWERS", "passphrase")
    monkeypatch.setenv("ATELIER_PASSPHRASE", "kite")


def test_a_lesson_of_ones_own_opens_no_answer_of_another(small, kept_back):
    own = read_lesson(SMALL.replace("The secret reason.", "Mine."))
    at = opened("home", lesson=pack(own, answers=True), step="1")
    at = checked(at.button(key="lesson_reveal_1").click().run())
    assert "Mine." in sent(at)
    at = turned(at, lesson="small", step="1")
    assert "The secret reason." not in sent(at)
    assert at.button(key="lesson_reveal_1").disabled


def test_a_room_opens_no_answer_of_another_lesson(small, kept_back):
    own = read_lesson(SMALL.replace('id = "small"', 'id = "other"'))
    rooms = room.rooms()
    code, secret = rooms.open_room("other", room.options_of(own))
    rooms.tell(code, secret, "1.1")
    at = opened("interpolation", lesson="small", step="1", room=code)
    (error,) = at.error
    assert refusal("room-other", room=code).fullmatch(error.value)
    assert "The secret reason." not in sent(at)


def test_a_room_keeps_back_the_answers_of_a_lesson_that_only_it_has(small, kept_back):
    own = read_lesson(SMALL.replace('id = "small"', 'id = "own"'))
    code, secret = room_desk.open_for(pack(own, answers=True), own)
    at = opened("home", room=code, step="1")
    assert "Which one?" in sent(at)
    assert "lesson" not in at.query_params
    assert at.session_state["lessons"].entered[0].startswith(attending.HELD)
    at = checked(at.button_group(key=own_key(at)).set_value("b").run())
    assert "secret" not in sent(at)
    room.rooms().tell(code, secret, "1.1")
    assert "The secret reason." in sent(checked(at.run()))


def own_key(at):
    (found,) = [one.key for one in at.button_group if one.key.startswith("lesson_own")]
    return found


def test_an_answer_is_counted_in_another_room_of_the_lesson_too(small):
    first, second = (room.rooms().open_room("small", room.options_of(small))[0] for _ in range(2))
    at = opened("home", lesson="small", step="1", room=first)
    visit = at.session_state[keeping.VISIT]
    visit.heard, visit.tab = True, "the token of this tab"
    checked(at.button_group(key=OWN).set_value("a").run())
    at = turned(at, room=second, step="1")
    assert at.button_group(key=OWN).value == "a"
    assert [room.rooms().vote_count(code, "1.1") for code in (first, second)] == [1, 1]


def test_two_tabs_of_one_token_do_not_vote_by_turns(small):
    code, secret = room.rooms().open_room("small", room.options_of(small))

    def tab():
        at = opened("home", lesson="small", step="1", room=code)
        visit = at.session_state[keeping.VISIT]
        visit.heard, visit.tab = True, "the token of both tabs"
        return checked(at.run())

    def chooses(at, option):
        checked(at.button_group(key=OWN).set_value(option).run())

    def counts():
        for at in (first, second, first):
            checked(at.run())  # the next looks at the room
        room.rooms().reveal(code, secret, "1.1")
        return room.rooms().counts(code, "1.1")

    first, second = tab(), tab()
    chooses(first, "a")
    chooses(second, "b")
    assert counts().first == {"a": 0, "b": 1}  # the last choice
    room.rooms().second(code, secret, "1.1")
    for at in (first, second):
        checked(at.run())
    chooses(second, "a")
    assert counts().second == {"a": 1, "b": 0}


def test_the_secret_of_a_host_leaves_the_address_and_a_reload_leads_on(small):
    code, secret = room.rooms().open_room("small", room.options_of(small))
    step = {"lesson": "small", "step": "1", "room": code, "as": "stage"}

    def leads(at):
        return "room_reveal_1" in [button.key for button in at.button]

    def said_by(at, token):
        visit = at.session_state[keeping.VISIT]
        visit.heard, visit.tab = True, token
        return checked(at.run())

    at = opened("home", **step, host=secret)
    assert leads(at)
    assert "".join(at.query_params["host"]) == secret  # the tab has not said who it is
    at = said_by(at, "the token of the host")
    assert leads(at)
    assert "host" not in at.query_params
    assert leads(checked(at.run()))

    again = opened("home", **step)  # the tab, reloaded
    assert not leads(again)
    again = said_by(again, "the token of the host")
    assert leads(again)
    checked(again.button(key="room_reveal_1").click().run())
    assert room.rooms().state(code, "1.1") == room.REVEALED

    for other in ("the token of another", ""):
        assert not leads(said_by(opened("home", **step), other))
    assert not leads(said_by(opened("home", **step, host="guessed"), "the token of a third"))
    assert room.rooms().present(code) == 3  # the host has no vote


def test_where_a_browser_refuses_its_storage_the_secret_stays(small):
    code, secret = room.rooms().open_room("small", room.options_of(small))
    at = opened("home", lesson="small", step="1", room=code, host=secret)
    at.session_state[keeping.VISIT].heard = True
    assert "".join(checked(at.run()).query_params["host"]) == secret


def test_a_room_goes_on_with_the_lesson_that_it_was_opened_for(small, tmp_path):
    code, _secret = room_desk.open_for("small", small)
    at = opened("home", lesson="small", step="1", room=code)
    edited = SMALL.replace('id = "a", en = "the answer a"', 'id = "z", en = "the answer z"')
    (tmp_path / "small.toml").write_text(edited, "utf-8")
    for later in (checked(at.run()), opened("home", room=code, step="1")):
        assert "the answer a" in sent(later)
        assert "the answer z" not in sent(later)
    checked(later.button_group(key=OWN).set_value("a").run())
    assert "the answer z" in sent(opened("home", lesson="small", step="1"))


def test_a_phone_reads_the_address_of_the_room(monkeypatch):
    """What is drawn is what the library draws of that very address, with a margin that readers need."""
    monkeypatch.setattr(site, "address", lambda for_others: "http://10.0.0.7:8501/a&b")
    drawn = ElementTree.fromstring(room_desk.qr_code("KITES") + "</img>")
    link = "http://10.0.0.7:8501/a&b/?room=KITES"
    assert link in drawn.get("alt")
    head, comma, picture = drawn.get("src").partition(",")
    assert head.startswith("data:image/svg+xml")
    assert unquote(picture) == unquote(
        segno.make_qr(link).svg_data_uri(border=2, light="white").partition(comma)[2]
    )


def test_a_vote_waits_until_the_tab_has_said_who_it_is(small, monkeypatch):
    code, _secret = room.rooms().open_room("small", room.options_of(small))

    def votes():
        return room.rooms().vote_count(code, "1.1"), room.rooms().present(code)

    def voted(seconds):
        monkeypatch.setattr(room_desk, "PATIENCE", seconds)
        at = opened("home", lesson="small", step="1", room=code)
        return checked(at.button_group(key=OWN).set_value("a").run())

    voted(60.0)
    assert votes() == (0, 0)  # a reload now would leave it behind
    for _reload in range(2):
        at = voted(60.0)
        visit = at.session_state[keeping.VISIT]
        visit.heard, visit.tab = True, "the token of this tab"
        checked(at.run())
        assert votes() == (1, 1)
    voted(0.0)  # of a tab that does not say it
    assert votes() == (2, 2)


def test_a_room_that_is_gone_is_said_once_and_the_lesson_goes_on(small):
    code, secret = room.rooms().open_room("small", room.options_of(small))
    room.rooms().close(code, secret)
    at = opened("home", lesson="small", step="1", room=code)
    assert len(at.error) == 1
    assert "interpolation_film" in figures(at)


def test_answers_to_questions_of_one_name_are_those_of_their_lessons(small, tmp_path):
    (tmp_path / "other.toml").write_text(SMALL.replace('id = "small"', 'id = "other"'), "utf-8")
    at = opened("home", lesson="small", step="1")
    at = checked(at.button_group(key=OWN).set_value("a").run())
    at = turned(at, lesson="other", step="1")
    assert at.button_group(key=OWN.replace("small", "other")).value is None
    at = checked(at.button_group(key=OWN.replace("small", "other")).set_value("b").run())
    kept = at.session_state[keeping.VISIT].sheet.items
    assert [one.answer.option for one in kept] == ["a", "b"]


def test_whoever_was_elsewhere_finds_the_step_as_it_begins(small):
    at = opened("home", lesson="small", step="1")
    at.session_state["interpolation_w"] = 90
    at = checked(at.run())
    at = turned(at)
    at = turned(at, lesson="small", step="1")
    assert at.session_state["interpolation_w"] == 30


def test_a_wrong_phrase_is_one_guess_however_often_the_page_runs(kept_back):
    before = len(answers.GUESSES._wrong)
    at = opened("overview")
    at = checked(at.text_input(key="teach_phrase").set_value("wrong").run())
    for _again in range(5):
        at = checked(at.run())
    assert len(answers.GUESSES._wrong) - before == 1
    assert any(refusal("answers-wrong").fullmatch(one.value) for one in at.error)
    answers.GUESSES._wrong.clear()


def test_a_button_that_a_figure_waits_for_stays(embedded):
    at = opened("home", lesson="vae-45", step="8")
    at = checked(at.number_input(key="against_seed").set_value(5000).run())
    assert at.button(key="against_go")
    assert not at.warning
