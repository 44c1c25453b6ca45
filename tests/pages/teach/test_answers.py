"""What the server says of answers: who sees them, who opens the guide, and that guessing is slow."""

import threading

import pytest
from streamlit.testing.v1 import AppTest

from core.errors import AtelierError
from pages.teach import answers, shelf
from pages.teach.answers import Guesses, Policy
from pages.teach.link import pack
from tests.pages.opening import LONGEST

PHRASE = "Correct horse  battery"


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    ticking = Clock()
    monkeypatch.setattr(answers, "GUESSES", Guesses(clock=ticking))
    return ticking


@pytest.fixture
def server(monkeypatch, clock):
    """Sets what the server says, and begins a new visit."""

    def says(way=None, phrase=None):
        for name, value in ((answers.VARIABLE, way), (answers.PHRASE, phrase)):
            if value is None:
                monkeypatch.delenv(name, raising=False)
            else:
                monkeypatch.setenv(name, value)
        return visit()

    def visit():
        state = {}
        monkeypatch.setattr(answers.st, "session_state", state)
        return state

    says.visit = visit
    return says


# ---------------------------------------------------------------- what the server says


@pytest.mark.parametrize("way", [None, "", "  ", "open", " Open "])
def test_answers_are_open_where_nothing_else_is_said(server, way):
    server(way)
    assert answers.policy() == Policy("open", False)
    assert answers.may_reveal(False)
    assert answers.guide_problem() is None
    assert answers.allowed_to_host()


def test_what_is_none_of_the_ways_keeps_everything_back_and_is_said(server):
    server("close<b>d", PHRASE)
    now = answers.policy()
    assert (now.answers, now.phrase) == ("passphrase", True)
    said = str(now.problem)
    assert "ATELIER_ANSWERS" in said
    assert "after-answer" in said
    assert "<" not in said
    assert not answers.may_reveal(True)
    assert answers.guide_problem() is not None
    assert answers.guide_problem().code == "answers-policy"
    assert answers.give(PHRASE)
    assert answers.may_reveal(False)


def test_a_policy_never_holds_the_phrase(server):
    server("passphrase", PHRASE)
    assert "horse" not in repr(answers.policy())


# ---------------------------------------------------------------- who may do what


def test_after_an_answer_the_visitor_who_gave_one_sees_it(server):
    server("after-answer", PHRASE)
    assert [answers.may_reveal(given) for given in (False, True)] == [False, True]
    assert not answers.may_reveal(False, in_room=True)
    assert answers.guide_problem() is not None
    assert answers.allowed_to_host()
    assert answers.guide_problem().code == "answers-guide"
    assert answers.give(PHRASE)
    assert answers.may_reveal(False)
    assert answers.guide_problem() is None
    assert answers.guide_problem() is None


def test_with_a_passphrase_only_the_phrase_or_the_host_reveals(server):
    server("passphrase", PHRASE)
    assert not answers.may_reveal(True)
    assert answers.may_reveal(False, in_room=True)
    assert not answers.allowed_to_host()
    assert answers.give(PHRASE)
    assert answers.may_reveal(False)
    assert answers.guide_problem() is None
    assert answers.allowed_to_host()


@pytest.mark.parametrize("phrase", [None, "", "   ", "\u200b"])
def test_without_a_phrase_on_the_server_nothing_opens(server, phrase):
    server("passphrase", phrase)
    assert not answers.give(phrase or "")
    assert not answers.give("anything")
    for answered in (False, True):
        for in_room in (False, True):
            assert not answers.may_reveal(answered, in_room=in_room)
    assert answers.guide_problem() is not None
    assert not answers.allowed_to_host()
    assert "ATELIER_PASSPHRASE is not set" in str(answers.policy().problem)
    server("after-answer", phrase)
    assert answers.policy().problem is None
    assert answers.may_reveal(True)
    assert answers.guide_problem() is not None
    assert "ATELIER_PASSPHRASE is not set" in str(answers.guide_problem())


def test_a_flag_is_worth_nothing_once_the_phrase_is_taken_away(server, monkeypatch):
    server("passphrase", PHRASE)
    assert answers.give(PHRASE)
    monkeypatch.delenv(answers.PHRASE)
    assert not answers.may_reveal(True)


def test_the_phrase_is_given_for_one_visit_and_only_a_flag_is_kept(server):
    first = server("passphrase", PHRASE)
    assert answers.give(PHRASE)
    assert first == {answers.GIVEN: True}
    second = server.visit()
    assert not answers.may_reveal(True)
    assert not answers.give("Correct horse")
    assert second == {}


def shown():
    import streamlit as st

    from pages.teach import answers

    if said := st.session_state.get("said"):
        answers.give(said)
    st.text(str(answers.may_reveal(False)))


def test_two_tabs_of_one_server_are_two_visits(server, monkeypatch):
    monkeypatch.setenv(answers.VARIABLE, "passphrase")
    monkeypatch.setenv(answers.PHRASE, PHRASE)
    teacher, student = (
        AppTest.from_function(shown, default_timeout=LONGEST),
        AppTest.from_function(shown, default_timeout=LONGEST),
    )
    teacher.session_state["said"] = PHRASE
    assert teacher.run().text[0].value == "True"
    assert student.run().text[0].value == "False"
    del teacher.session_state["said"]
    assert teacher.run().text[0].value == "True"


# ---------------------------------------------------------------- the phrase


@pytest.mark.parametrize(
    ("wanted", "said", "right"),
    [
        (PHRASE, PHRASE, True),
        (PHRASE, "  Correct\u00a0horse battery\n", True),
        (PHRASE, "correct horse battery", False),
        (PHRASE, "Correct horse batter", False),
        (PHRASE, "Correct horse battery staple", False),
        (PHRASE, "", False),
        ("été", "e\u0301te\u0301", True),
        ("e\u0301te\u0301", "été", True),
        ("abc", "ａｂｃ", True),
        ("abc", "a\u200bbc\ufeff", True),
        ("été", "ete", False),
        ("\udcff", "\udcff", True),
        ("a" * 200, "a" * 10**6, False),
    ],
)
def test_spaces_and_ways_to_write_a_letter_make_no_difference(server, wanted, said, right):
    server("passphrase", wanted)
    assert answers.give(said) is right
    assert answers.may_reveal(False) is right


def test_after_many_wrong_phrases_nobody_guesses_for_a_minute(server, clock):
    server("passphrase", PHRASE)
    for turn in range(answers.MOST_WRONG):
        clock.now = turn * 9.0 / (answers.MOST_WRONG - 1)
        server.visit()
        assert not answers.give(f"guess {turn}")
    for said in ("another guess", PHRASE):
        with pytest.raises(AtelierError, match="try again in 51 s") as caught:
            answers.give(said)
        assert caught.value.code == "answers-slow"
    assert not answers.may_reveal(False)
    clock.now = 60.0  # the first of them is forgotten
    assert answers.give(PHRASE)
    assert answers.may_reveal(False)


def test_right_and_empty_phrases_are_no_guesses(server):
    server("passphrase", PHRASE)
    for _turn in range(50):
        assert answers.give(PHRASE)
        assert not answers.give("  ")


def test_threads_together_guess_no_more_often():
    guesses, asked, refused = Guesses(clock=Clock()), [], []

    def wrong():
        asked.append(1)
        return False

    def guess():
        for _turn in range(20):
            try:
                guesses.ask(wrong)
            except AtelierError:
                refused.append(1)

    threads = [threading.Thread(target=guess) for _ in range(20)]
    [one.start() for one in threads]
    [one.join() for one in threads]
    assert (len(asked), len(refused)) == (answers.MOST_WRONG, 400 - answers.MOST_WRONG)


# ---------------------------------------------------------------- lessons in links


def test_a_lesson_inside_its_link_cannot_keep_answers_back():
    lesson = next(iter(shelf.lessons().lessons.values()))
    from dataclasses import replace

    step = replace(lesson, steps=lesson.steps[:1])
    assert not answers.can_keep_back(pack(step, answers=True))
    assert answers.can_keep_back(lesson.id)
