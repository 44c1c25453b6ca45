"""A room with thirty visitors: what the server sends to whom and when, and that nothing of it stays."""

import asyncio
import json
import re
import secrets

import pytest

from pages.teach.keeping import STORE
from tests.benchmarks.visitor import Visitor, done
from tests.pages.conftest import tiny_library  # noqa: F401
from tests.served import App

VISITORS = 30
SECRET = "The secret reason of this lesson."
LESSON = f"""
id = "votes"
minutes = 5
title = {{en = "A lesson with a vote", fr = "Une leçon avec un vote"}}

[[step]]
page = "interpolation"
minutes = 5
keep = []
figures = ["interpolation_film"]
say = {{en = "Look at it.", fr = "Regardez."}}

[step.ask]
id = "q1"
points = 1
question = {{en = "Which one?", fr = "Lequel ?"}}
options = [
    {{id = "a", en = "the first answer", fr = "la première réponse"}},
    {{id = "b", en = "the other answer", fr = "l'autre réponse"}},
]
right = "b"
why = {{en = "{SECRET}", fr = "La raison secrète."}}
"""
A, B = "the first answer", "the other answer"
OWN = "lesson_own_votes_q1"


@pytest.fixture
def app(tmp_path, tiny_library):  # noqa: F811
    lessons = tmp_path / "lessons"
    lessons.mkdir()
    (lessons / "votes.toml").write_text(LESSON, "utf-8")
    running = App(
        tmp_path / "app", ATELIER_CHECKPOINTS=str(tiny_library), ATELIER_LESSONS=str(lessons)
    )
    yield running
    running.stop()


class Listener(Visitor):
    """A visitor who remembers all that the server ever sent."""

    def __init__(self, base):
        super().__init__(base)
        self.heard = bytearray()

    def _take(self, data):
        self.heard += data
        super()._take(data)

    async def open(self, path, query=""):
        """The page, and what the tab then says of itself: who it is, and that it holds no sheet."""
        answer = await super().open(path, query)
        asked = json.loads(self.page.widget(STORE).message.json)
        await self.move(STORE, ["none", asked["visit"], 0, secrets.token_hex(16)])
        return answer

    def has_heard(self, words):
        return words.encode() in self.heard

    async def look(self):
        """What the room shows of itself, which is asked for every few seconds."""
        nodes = (node for _path, node in self.page.elements())
        said = next(node for node in nodes if "answered" in getattr(node.message, "body", ""))
        answer = await self.again(said.fragment)
        assert not answer.errors
        return self.page.text()


async def a_room(url):
    """The host, on the stage of a new room, and the room's code."""
    host = Listener(url)
    await host.open("teach", "lang=en")
    answer = await host.click("teach_open_votes")
    assert not answer.errors
    (code,) = host.holds()["room"]
    assert re.fullmatch("[A-Z]{5}", code)
    return host, code


async def all_of(visitors, act):
    return await asyncio.gather(*(act(place, one) for place, one in enumerate(visitors)))


async def vote(visitors, chosen):
    """Everybody votes; ``chosen`` says what, by place."""

    async def one(place, visitor):
        await visitor.move(OWN, chosen(place))
        assert not visitor.page.errors

    await all_of(visitors, one)


async def both_votes(host, visitors, code):
    """Two votes with everything that is seen of them, before and after the answer."""
    everybody = [host, *visitors]

    async def joined(_place, visitor):
        answer = await visitor.open("", f"room={code}&lang=en")
        assert not answer.errors
        assert "Which one?" in await visitor.look()

    await all_of(visitors, joined)
    assert f"0 of {VISITORS} answered" in await host.look()
    await vote(visitors, lambda place: A if place < 20 else B)
    await vote(visitors[:15], lambda _place: B)  # half of them change their mind
    assert f"{VISITORS} of {VISITORS} answered" in await host.look()
    await all_of(visitors, lambda _place, visitor: visitor.look())
    assert not any(one.has_heard("First vote (") or one.has_heard("25 · 83%") for one in everybody)
    await host.click("room_reveal_1")
    seen = [host.page.text(), *await all_of(visitors, lambda _place, one: one.look())]
    assert all("5 · 17%" in one and "25 · 83%" in one for one in seen)
    assert all(one.has_heard("First vote (") and one.has_heard("25 · 83%") for one in everybody)
    assert not any(one.has_heard(SECRET) or one.has_heard("right answer") for one in everybody)

    await host.click("room_second_1")
    await all_of(visitors, lambda _place, visitor: visitor.look())
    assert f"0 of {VISITORS} answered" in await host.look()
    await vote(visitors[15:20], lambda _place: B)
    await all_of(visitors[:15] + visitors[20:], lambda _place, one: one.click("room_stay_1"))
    assert f"{VISITORS} of {VISITORS} answered" in await host.look()
    assert not any(
        one.has_heard("Second vote (") or one.has_heard("30 · 100%") for one in everybody
    )
    await host.click("room_reveal_1")
    seen = [host.page.text(), *await all_of(visitors, lambda _place, one: one.look())]
    assert all("5 · 17%" in one and "30 · 100%" in one for one in seen)
    assert not any(one.has_heard(SECRET) for one in everybody)

    await host.click("room_tell_1")
    seen = [await host.look(), *await all_of(visitors, lambda _place, one: one.look())]
    assert all(SECRET in one and "The right answer: the other answer" in one for one in seen)


@pytest.mark.slow
def test_thirty_vote_twice_and_leave_no_trace(app):
    async def lesson():
        alone = Listener(app.url)
        await alone.open("", "lesson=votes&lang=en")  # what the page itself writes, it has written
        host, code = await a_room(app.url)
        visitors = [Listener(app.url) for _ in range(VISITORS)]
        before = app.files()
        try:
            await both_votes(host, visitors, code)
        finally:
            for one in (alone, host, *visitors):
                await one.leave()
        return before, code

    before, code = done(lesson())
    assert app.files() == before
    for file in (app.log, *(app.folder / name for name in before)):
        assert code.encode() not in file.read_bytes(), file


@pytest.mark.slow
def test_who_has_not_the_secret_leads_no_room(app):
    async def lesson():
        host, code = await a_room(app.url)
        other = Listener(app.url)
        try:
            await other.open("", f"lesson=votes&room={code}&host=guessed&as=stage&lang=en")
            assert not {"room_reveal_1", "room_tell_1"} & set(other.page.widgets())
            assert {"room_reveal_1", "room_tell_1"} <= set(host.page.widgets())
            await other.look()
            assert "0 of 1 answered" in await host.look()
        finally:
            for one in (host, other):
                await one.leave()

    done(lesson())
