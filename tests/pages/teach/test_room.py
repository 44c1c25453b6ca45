"""Rooms: sums are right whoever votes when, a vote that goes on is seen by nobody, and all of it is bounded."""

import builtins
import io
import os
import random
import re
import string
import threading
import tracemalloc

import pytest

from core.errors import AtelierError
from pages.teach import room, shelf
from pages.teach.lesson import MOST_OPTIONS, MOST_STEPS
from pages.teach.room import IDLE, LIFE, MOST_ROOMS, MOST_TABS, Counts, Rooms, new_token, options_of
from tests.pages.sentences import refusal

OPTIONS = {"keep": ("high", "low", "either"), "live": ("a", "b")}


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def rooms(clock):
    return Rooms(clock)


@pytest.fixture
def opened(rooms):
    return rooms.open_room("simsiam-45", OPTIONS)


def token(number):
    return f"token-of-tab-{number:06d}"


def refused(code, act, *said):
    """What is said when that is refused with a code."""
    with pytest.raises(AtelierError) as caught:
        act(*said)
    assert caught.value.code == code
    assert len(str(caught.value)) < 200
    return str(caught.value)


# ---------------------------------------------------------------- one room


def test_a_code_is_easy_to_type_and_a_secret_is_not(rooms, opened):
    code, secret = opened
    assert re.fullmatch("[BCDFGHJKLMNPQRSTVWXZ]{4,6}", code)
    assert not set(room.ALPHABET) & set("OI01AEIUY")
    assert len(secret) >= 32
    assert rooms.lesson(f" {code[:2]}-{code[2:].lower()} ") == "simsiam-45"
    assert len({rooms.open_room("a", OPTIONS)[0] for _ in range(20)}) == 20


def test_a_vote_is_moved_and_not_added(rooms, opened):
    code, secret = opened
    for option in ("high", "low", "low", "either"):
        rooms.vote(code, token(1), "keep", option)
    rooms.vote(code, token(2), "keep", "low")
    assert rooms.vote_count(code, "keep") == 2
    assert rooms.choice(code, token(1), "keep") == "either"
    assert rooms.choice(code, token(3), "keep") is None
    rooms.reveal(code, secret, "keep")
    assert rooms.counts(code, "keep") == Counts({"high": 0, "low": 1, "either": 1})


def test_a_tab_that_comes_again_is_no_other_voter(rooms, opened):
    code, secret = opened
    rooms.join(code, token(1))
    rooms.rejoin(code, token(1), token(7))  # what the tab itself keeps
    rooms.vote(code, token(7), "keep", "high")
    assert rooms.present(code) == rooms.vote_count(code, "keep") == 1
    rooms.join(code, token(2))  # a reload: another visit, which the room does not know yet
    assert rooms.present(code) == 2
    rooms.vote(code, token(2), "keep", "low")
    rooms.rejoin(code, token(2), token(7))
    assert rooms.present(code) == rooms.vote_count(code, "keep") == 1
    assert rooms.choice(code, token(7), "keep") == "high"
    rooms.vote(code, token(7), "keep", "either")
    rooms.reveal(code, secret, "keep")
    assert rooms.counts(code, "keep") == Counts({"high": 0, "low": 0, "either": 1})


def test_a_tab_that_says_its_token_twice_loses_nothing(rooms, opened):
    code, _secret = opened
    rooms.vote(code, token(1), "keep", "high")
    for _ in range(2):
        rooms.rejoin(code, token(1), token(7))
        rooms.rejoin(code, token(7), token(7))
    assert rooms.present(code) == 1
    assert rooms.choice(code, token(7), "keep") == "high"
    with pytest.raises(AtelierError, match="no valid token"):
        rooms.rejoin(code, token(7), "short")
    assert rooms.choice(code, token(7), "keep") == "high"


def test_nobody_sees_a_vote_that_goes_on(rooms, opened):
    code, secret = opened
    rooms.vote(code, token(1), "keep", "high")
    assert rooms.state(code, "keep") == "open"
    assert rooms.counts(code, "keep") is None
    rooms.reveal(code, secret, "keep")
    first = Counts({"high": 1, "low": 0, "either": 0})
    assert rooms.state(code, "keep") == "revealed"
    assert rooms.counts(code, "keep") == first
    rooms.second(code, secret, "keep")
    rooms.vote(code, token(1), "keep", "low")
    assert rooms.state(code, "keep") == "second"
    assert rooms.counts(code, "keep") == first
    rooms.reveal(code, secret, "keep")
    both = Counts(first.first, {"high": 0, "low": 1, "either": 0})
    assert rooms.counts(code, "keep") == both
    rooms.second(code, secret, "keep")  # opened again: it goes on
    assert rooms.counts(code, "keep") == first
    assert rooms.vote_count(code, "keep") == 1
    assert rooms.counts(code, "live") is None


def test_the_second_vote_may_come_before_anything_is_revealed(rooms, opened):
    code, secret = opened
    rooms.vote(code, token(1), "keep", "high")
    rooms.vote(code, token(2), "keep", "high")
    rooms.second(code, secret, "keep")
    assert rooms.counts(code, "keep") is None
    assert rooms.vote_count(code, "keep") == 0
    assert rooms.choice(code, token(1), "keep") is None
    rooms.vote(code, token(1), "keep", "low")
    assert rooms.vote_count(code, "keep") == 1
    rooms.reveal(code, secret, "keep")
    assert rooms.counts(code, "keep").first["high"] == 2
    assert rooms.counts(code, "keep").second == {"high": 0, "low": 1, "either": 0}


def test_what_is_right_is_told_after_the_votes(rooms, opened):
    code, secret = opened
    rooms.vote(code, token(1), "keep", "high")
    rooms.reveal(code, secret, "keep")
    rooms.second(code, secret, "keep")
    rooms.vote(code, token(1), "keep", "low")
    assert not rooms.has_been_told(code, "keep")
    rooms.tell(code, secret, "keep")
    assert rooms.has_been_told(code, "keep")
    assert rooms.state(code, "keep") == "revealed"
    assert rooms.counts(code, "keep").second == {"high": 0, "low": 1, "either": 0}
    assert not rooms.has_been_told(code, "live")
    refused("room-host", rooms.tell, code, "guessed", "live")


def test_after_the_reveal_no_vote_is_taken(rooms, opened):
    code, secret = opened
    rooms.vote(code, token(1), "keep", "high")
    rooms.reveal(code, secret, "keep")
    refused("room-counted", rooms.vote, code, token(1), "keep", "low")
    refused("room-counted", rooms.vote, code, token(2), "keep", "low")
    assert sum(rooms.counts(code, "keep").first.values()) == 1
    rooms.vote(code, token(1), "live", "a")  # of another question it is


def test_what_the_lesson_has_not_is_refused(rooms, opened):
    code, secret = opened
    said = refused("room-option", rooms.vote, code, token(1), "keep", "<script>")
    assert "<" not in said
    refused("room-option", rooms.vote, code, token(1), "live", "high")
    refused("room-question", rooms.vote, code, token(1), "other", "high")
    for act in (rooms.vote_count, rooms.counts, rooms.state, rooms.has_been_told):
        refused("room-question", act, code, "other")
    for act in (rooms.reveal, rooms.second, rooms.tell):
        refused("room-question", act, code, secret, "other")
    refused("room-tab", rooms.vote, code, "short", "keep", "high")
    refused("room-tab", rooms.join, code, "long" * 100)
    assert rooms.vote_count(code, "keep") == 0
    assert rooms.present(code) == 0


def test_only_the_host_moves_a_question_on(rooms, opened):
    code, secret = opened
    other, _secret = rooms.open_room("other", OPTIONS)
    wrong = ["", secret[:-1], secret + "A", secret.swapcase(), _secret, "é", "\udcff", token(1)]
    for said in wrong:
        assert not rooms.is_host(code, said)
        for act in (rooms.reveal, rooms.second):
            refused("room-host", act, code, said, "keep")
        refused("room-host", rooms.close, code, said)
    assert not rooms.is_host(other, secret)
    assert not rooms.is_host("NONE", secret)
    assert rooms.is_host(code, secret)
    assert rooms.state(code, "keep") == "open"


def test_a_closed_room_is_gone(rooms, opened):
    code, secret = opened
    rooms.vote(code, token(1), "keep", "high")
    rooms.close(code.lower(), secret)
    said = refused("room-none", rooms.vote, code, token(1), "keep", "high")
    assert code in said
    assert not rooms.is_host(code, secret)
    refused("room-none", rooms.close, code, secret)
    assert len(rooms) == 0
    for typed in ("", "<b>", "B" * 10**6):
        refused("room-none", rooms.join, typed, token(1))


# ---------------------------------------------------------------- how long, and how much


def test_a_room_is_gone_after_three_hours_however_busy_it_is(rooms, opened, clock):
    code, secret = opened
    clock.now += LIFE - 1
    rooms.vote(code, token(1), "keep", "high")
    assert rooms.is_host(code, secret)
    clock.now += 1
    refused("room-none", rooms.vote, code, token(1), "keep", "high")
    assert not rooms.is_host(code, secret)
    assert len(rooms) == 0
    assert rooms._rooms == {}


def test_a_full_house_says_so_and_idle_rooms_give_way_oldest_first(rooms, clock):
    made = []
    for _ in range(MOST_ROOMS):
        made.append(rooms.open_room("a", OPTIONS))
        clock.now += 1
    refused("room-rooms", rooms.open_room, "a", OPTIONS)
    assert len(rooms) == MOST_ROOMS
    clock.now += IDLE - 10
    rooms.join(made[0][0], token(1))
    clock.now += 5
    rooms.open_room("b", OPTIONS)
    rooms.open_room("c", OPTIONS)
    assert len(rooms) == MOST_ROOMS
    assert rooms.is_host(*made[0])  # the oldest, but in use
    assert [rooms.is_host(*one) for one in made[1:4]] == [False, False, True]


def test_a_room_that_is_only_looked_at_is_in_use(rooms, clock):
    made = [rooms.open_room("a", OPTIONS) for _ in range(MOST_ROOMS)]
    clock.now += IDLE
    for code, _secret in made:
        rooms.vote_count(code, "keep")
    refused("room-rooms", rooms.open_room, "a", OPTIONS)


def test_a_room_holds_so_many_tabs_and_those_without_a_vote_give_way(rooms, opened):
    code, _secret = opened
    for number in range(MOST_TABS):
        rooms.join(code, token(number))
    rooms.join(code, token(0))  # again: heard of last
    assert rooms.present(code) == MOST_TABS
    rooms.vote(code, token(1), "keep", "high")
    rooms.join(code, token(MOST_TABS))
    assert rooms.present(code) == MOST_TABS
    assert rooms.choice(code, token(1), "keep") == "high"
    for number in range(MOST_TABS):
        rooms.vote(code, token(number), "keep", "high")
    assert rooms.vote_count(code, "keep") == MOST_TABS
    said = refused("room-full", rooms.join, code, token(10**5))
    assert str(MOST_TABS) in said
    refused("room-full", rooms.vote, code, token(10**5), "keep", "low")
    rooms.vote(code, token(3), "keep", "low")  # who is in may still change their mind
    assert rooms.vote_count(code, "keep") == MOST_TABS


def test_a_room_is_opened_for_so_many_questions_and_options(rooms):
    most = {str(n): tuple(map(str, range(MOST_OPTIONS))) for n in range(MOST_STEPS)}
    rooms.open_room("a", most)
    refused("room-nothing", rooms.open_room, "a", {})
    refused("room-large", rooms.open_room, "a", {**most, "one": ("a", "b")})
    many = {"q": tuple(map(str, range(MOST_OPTIONS + 1)))}
    refused("room-large", rooms.open_room, "a", many)
    assert len(rooms) == 1


def test_a_full_room_fits_into_a_megabyte(rooms):
    most = {str(n): tuple(map(str, range(MOST_OPTIONS))) for n in range(MOST_STEPS)}
    tracemalloc.start()
    code, secret = rooms.open_room("a", most)
    for number in range(MOST_TABS):
        one = token(number)
        for question in most:
            rooms.vote(code, one, question, "0")
    for question in most:
        rooms.second(code, secret, question)
    for number in range(MOST_TABS):
        rooms.vote(code, token(number), "0", "1")
    now, _most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert now < 2**20


def test_shipped_lessons_have_rooms(rooms):
    for lesson in shelf.lessons().lessons.values():
        options = options_of(lesson)
        code, _secret = rooms.open_room(lesson.id, options)
        for question, ids in options.items():
            rooms.vote(code, token(1), question, ids[-1])
        asked = {step.ask.id for step in lesson.steps if step.ask and step.ask.options}
        assert set(options) == asked


# ---------------------------------------------------------------- many at once


def test_thirty_threads_vote_and_change_their_minds(opened, rooms):
    code, secret = opened
    last, failed = {}, []

    def student(number):
        source, one = random.Random(number), new_token()
        try:
            rooms.join(code, one)
            for _turn in range(200):
                option = source.choice(OPTIONS["keep"])
                rooms.vote(code, one, "keep", option)
                assert 1 <= rooms.vote_count(code, "keep") <= 30
                assert rooms.counts(code, "keep") is None
                assert rooms.choice(code, one, "keep") == option
            last[number] = option
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=student, args=(number,)) for number in range(30)]
    [one.start() for one in threads]
    [one.join() for one in threads]
    assert failed == []
    rooms.reveal(code, secret, "keep")
    wanted = {option: list(last.values()).count(option) for option in OPTIONS["keep"]}
    assert rooms.counts(code, "keep").first == wanted
    assert sum(wanted.values()) == rooms.present(code) == 30


def test_thirty_threads_open_no_more_rooms_than_there_are(rooms):
    made, full = [], []

    def teacher():
        for _turn in range(5):
            try:
                made.append(rooms.open_room("a", OPTIONS))
            except AtelierError:
                full.append(1)

    threads = [threading.Thread(target=teacher) for _ in range(30)]
    [one.start() for one in threads]
    [one.join() for one in threads]
    assert (len(made), len(full), len(rooms)) == (MOST_ROOMS, 150 - MOST_ROOMS, MOST_ROOMS)
    assert len({code for code, _secret in made}) == MOST_ROOMS


class Naive:
    """One question of a room as one would say it, with a list of all that happened."""

    def __init__(self):
        self.now, self.begun, self.said, self.seen = "open", False, [], set()

    def vote(self, tab, option):
        if self.now != "revealed":
            self.said.append((2 if self.now == "second" else 1, tab, option))

    def move(self, what):
        if what == "second":
            self.now, self.begun = "second", True
            self.seen.discard(2)
        else:
            self.now = "revealed"
            self.seen |= {1, 2} if self.begun else {1}

    def votes(self, vote):
        return {tab: option for which, tab, option in self.said if which == vote}

    def sums(self, vote, options):
        return {one: sum(o == one for o in self.votes(vote).values()) for one in options}

    def counts(self, options):
        if not self.seen:
            return None
        return Counts(*(self.sums(vote, options) for vote in sorted(self.seen)))


@pytest.mark.parametrize("seed", range(60))
def test_whatever_happens_the_sums_are_those_of_a_naive_list(rooms, clock, seed):
    source = random.Random(seed)
    code, secret = rooms.open_room("a", OPTIONS)
    naive = {question: Naive() for question in OPTIONS}
    for _turn in range(150):
        question = source.choice(list(OPTIONS))
        act = source.choices(("vote", "reveal", "second", "wrong", "join"), (12, 1, 1, 2, 1))[0]
        tab, option = source.randrange(12), source.choice(OPTIONS[question])
        if act == "vote":
            revealed = naive[question].now == "revealed"
            naive[question].vote(tab, option)
            if revealed:
                refused("room-counted", rooms.vote, code, token(tab), question, option)
            else:
                rooms.vote(code, token(tab), question, option)
        elif act == "wrong":
            refused("room-option", rooms.vote, code, token(tab), question, option + "?")
            refused("room-host", rooms.reveal, code, "".join(source.sample(secret, 20)), question)
        elif act == "join":
            rooms.join(code, token(tab))
        else:
            naive[question].move(act)
            getattr(rooms, act)(code, secret, question)
        clock.now += source.random()
        for name, one in naive.items():
            going = one.votes(2 if one.begun else 1)
            assert rooms.state(code, name) == one.now
            assert rooms.vote_count(code, name) == len(going)
            assert rooms.counts(code, name) == one.counts(OPTIONS[name])
            assert rooms.choice(code, token(tab), name) == going.get(tab)


# ---------------------------------------------------------------- nothing personal, nothing kept


def test_nothing_is_read_from_a_disk_or_written_to_one(monkeypatch):
    def never(*_args, **_named):
        raise AssertionError("a file was opened")

    for module, name in ((builtins, "open"), (io, "open"), (os, "open"), (os, "mkdir")):
        monkeypatch.setattr(module, name, never)
    rooms = Rooms()
    code, secret = rooms.open_room("a", OPTIONS)
    rooms.vote(code, new_token(), "keep", "high")
    rooms.second(code, secret, "keep")
    rooms.vote(code, new_token(), "keep", "low")
    rooms.reveal(code, secret, "keep")
    found = rooms.counts(code, "keep")
    rooms.close(code, secret)
    monkeypatch.undo()
    assert sum(found.first.values()) == sum(found.second.values()) == 1


def test_a_host_s_tabs_are_given_the_secret_again_and_no_other(rooms, opened):
    code, secret = opened
    rooms.trust(code, secret, token(1))
    assert rooms.secret(code.lower(), token(1)) == secret
    assert rooms.secret(code, token(2)) == rooms.secret("NONE", token(1)) == ""
    with pytest.raises(AtelierError, match=refusal("room-host")):
        rooms.trust(code, "guessed", token(2))
    with pytest.raises(AtelierError, match="no valid token"):
        rooms.trust(code, secret, "")
    assert rooms.secret(code, "") == ""
    for tab in range(40):
        rooms.trust(code, secret, token(tab))
    assert sum(rooms.secret(code, token(tab)) == secret for tab in range(40)) == room.MOST_HOSTS


def test_tokens_are_random_and_leave_a_room_by_no_way(rooms, opened):
    code, secret = opened
    one = new_token()
    assert one != new_token()
    assert set(one) <= set(string.ascii_letters + string.digits + "-_")
    rooms.vote(code, one, "keep", "high")
    rooms.reveal(code, secret, "keep")
    said = [rooms.counts(code, "keep"), rooms.state(code, "keep"), rooms._rooms, rooms]
    assert one not in repr(said)
    assert secret not in repr(said)


def test_the_process_has_one_house(monkeypatch):
    monkeypatch.setattr(room, "ROOMS", Rooms())
    code, _secret = room.rooms().open_room("a", OPTIONS)
    assert room.rooms().lesson(code) == "a"
