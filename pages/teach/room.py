"""A room: the anonymous answers of a class to the questions of a lesson, counted in the memory of the process.

Whoever opens a room gets its code, which the class types, and a secret, which makes them its host. A tab votes
under a random token that says nothing about its visitor and lets them change their mind. No name, no
address and nothing on disk: a room is gone three hours after it was opened, or with the process.

Each question takes two votes. In the state ``open`` tabs give the first; ``revealed`` shows what was given
and takes nothing; ``second`` takes the second vote. The host moves it on::

    open -- reveal --> revealed -- second --> second -- reveal --> revealed
    open -- second --> second -- reveal --> revealed

A vote that is going on is seen by nobody, the host included: only how many have given one. What is right is
told by the host as well, after the votes, so that the second one is no vote on what everybody has read.
"""

from __future__ import annotations

import hmac
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from core.errors import AtelierError
from pages.teach.fields import harmless
from pages.teach.lesson import MOST_OPTIONS, MOST_STEPS, Lesson

ALPHABET = "BCDFGHJKLMNPQRSTVWXZ"
"""No vowels, so that no word comes about, and no digits, which letters are taken for."""
LETTERS = 5
MOST_ROOMS, MOST_TABS, MOST_HOSTS, MOST_QUESTIONS = 50, 200, 20, MOST_STEPS
LIFE, IDLE = 3 * 3600.0, 30 * 60.0
"""Seconds that a room lives, and that nobody uses it before it may give way to a new one."""
LONGEST_TOKEN = 64
OPEN, REVEALED, SECOND = "open", "revealed", "second"


def new_token() -> str:
    """A random token for one tab of a browser; it is kept in the visit and shown to nobody."""
    return secrets.token_urlsafe(16)


def options_of(lesson: Lesson) -> dict[str, tuple[str, ...]]:
    """The questions of a lesson that a room can count: ids of options by id of question."""
    asks = (step.ask for step in lesson.steps if step.ask)
    return {ask.id: tuple(one.id for one in ask.options) for ask in asks if ask.options}


@dataclass(frozen=True)
class Counts:
    """How many chose each option, those that nobody chose included.

    ``second`` is None where there was no second vote, or where it has not been revealed.
    """

    first: Mapping[str, int]
    second: Mapping[str, int] | None = None


# ---------------------------------------------------------------- what a room is


@dataclass
class _Question:
    """``ballots``: the option that each tab chose in the first and in the second vote, by its number.

    ``begun``: whether there is a second vote; ``seen``: how many of the votes may be looked at; ``told``:
    whether the room has been told what is right.
    """

    options: tuple[str, ...]
    state: str = OPEN
    begun: bool = False
    seen: int = 0
    told: bool = False
    ballots: tuple[dict[int, str], dict[int, str]] = field(default_factory=lambda: ({}, {}))

    @property
    def ballot(self) -> dict[int, str]:
        """The vote that is going on, or else the last one."""
        return self.ballots[self.begun]

    def reveal(self) -> None:
        self.state, self.seen = REVEALED, 1 + self.begun

    def second(self) -> None:
        self.state, self.begun, self.seen = SECOND, True, min(self.seen, 1)

    def counts(self) -> Counts | None:
        sums = [
            {option: list(ballot.values()).count(option) for option in self.options}
            for ballot in self.ballots[: self.seen]
        ]
        return Counts(*sums) if sums else None


@dataclass(repr=False)
class _Room:
    """``tabs``: numbers by token, first the one that was not heard of longest. ``held``: the lesson as it
    was when the room was opened. ``hosts``: tokens of tabs that had the secret.
    """

    lesson: str
    secret: str
    opened: float
    used: float
    questions: dict[str, _Question]
    tabs: dict[str, int] = field(default_factory=dict)
    voters: set[int] = field(default_factory=set)
    next: int = 0
    held: Lesson | None = None
    hosts: set[str] = field(default_factory=set)

    def tab(self, token: str) -> int:
        """The number of a tab, which takes a place if it has none. A tab without a vote gives way."""
        if token not in self.tabs and len(self.tabs) >= MOST_TABS:
            silent = next((one for one, tab in self.tabs.items() if tab not in self.voters), None)
            if silent is None:
                raise AtelierError(
                    "room-full",
                    "This room is full: {most} tabs have voted, and it has no place for more.",
                    most=MOST_TABS,
                )
            del self.tabs[silent]
        number = self.tabs.pop(token, None)
        if number is None:
            number, self.next = self.next, self.next + 1
        self.tabs[token] = number
        return number

    def forget(self, number: int) -> None:
        """Takes back what a tab voted."""
        self.voters.discard(number)
        for question in self.questions.values():
            for ballot in question.ballots:
                ballot.pop(number, None)

    def question(self, name: str) -> _Question:
        if name not in self.questions:
            raise AtelierError(
                "room-question",
                "The lesson of this room has no question “{question}” with options.",
                question=harmless(name),
            )
        return self.questions[name]


# ---------------------------------------------------------------- all rooms


class Rooms:
    """The rooms of a process; every method may be called from any thread.

    ``clock`` gives seconds that only grow. A code may be typed in small letters and with spaces. Methods
    raise ``AtelierError`` with one sentence: ``room-none`` where no room has the code, ``room-host`` where
    the secret is not that of its host, ``room-question`` where its lesson has no such question.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._rooms: dict[str, _Room] = {}
        self._holding = threading.RLock()

    def __len__(self) -> int:
        with self._holding:
            self._drop_old()
            return len(self._rooms)

    # ------------------------------------------------------------ opening and closing

    def open_room(
        self,
        lesson_id: str,
        options: Mapping[str, Sequence[str]],
        held: Lesson | None = None,
    ) -> tuple[str, str]:
        """A new room for a lesson: its code and the secret of its host. ``held``: the lesson, for
        those who are in the room.

        ``options``: what may be voted, as ``options_of`` gives it. Raises ``AtelierError`` where there is
        nothing to vote on, too much of it, or no room left.
        """
        if not options:
            raise AtelierError(
                "room-nothing",
                "This lesson has no question with options: a room has nothing to count.",
            )
        if len(options) > MOST_QUESTIONS or max(map(len, options.values())) > MOST_OPTIONS:
            raise AtelierError(
                "room-large",
                "A room counts at most {questions} questions with {options} options each.",
                questions=MOST_QUESTIONS,
                options=MOST_OPTIONS,
            )
        with self._holding:
            now = self._clock()
            self._drop_old()
            self._make_place(now)
            code = self._new_code()
            questions = {name: _Question(tuple(ids)) for name, ids in options.items()}
            room = _Room(lesson_id, secrets.token_urlsafe(24), now, now, questions, held=held)
            self._rooms[code] = room
            return code, room.secret

    def close(self, code: str, secret: str) -> None:
        """The host's: the room is gone at once, with all it counted."""
        with self._holding:
            self._of_host(code, secret)
            del self._rooms[canonical_code(code)]

    def is_host(self, code: str, secret: str) -> bool:
        """Whether the secret is that of the room's host; False where there is no such room."""
        with self._holding:
            self._drop_old()
            room = self._rooms.get(canonical_code(code))
            return room is not None and _same(room.secret, secret)

    def trust(self, code: str, secret: str, token: str) -> None:
        """The host's: gives the secret to this tab again when it asks; to ``MOST_HOSTS`` tabs at most."""
        with self._holding:
            hosts = self._of_host(code, secret).hosts
            if len(hosts) < MOST_HOSTS:
                hosts.add(_valid_token(token))

    def secret(self, code: str, token: str) -> str:
        """The secret of the room for a tab that its host trusts; empty for any other, and without a room."""
        with self._holding:
            self._drop_old()
            room = self._rooms.get(canonical_code(code))
            return room.secret if room is not None and token in room.hosts else ""

    def lesson(self, code: str) -> str:
        """The lesson that the room was opened for, as it was named then."""
        with self._holding:
            return self._room(code).lesson

    def full_lesson(self, code: str) -> Lesson | None:
        """The lesson itself, where the room was given it."""
        with self._holding:
            return self._room(code).held

    # ------------------------------------------------------------ what a tab does

    def join(self, code: str, token: str) -> None:
        """Takes a place in the room for a tab; again makes no difference. A vote does so, too.

        Raises ``AtelierError`` ``room-full`` where every place is that of a tab that voted.
        """
        with self._holding:
            self._room(code).tab(_valid_token(token))

    def rejoin(self, code: str, token: str, kept: str) -> None:
        """Says that a tab has another token, ``kept``: if it was here with that one, it is the same tab again,
        and what came of ``token`` is forgotten; otherwise its place goes on under ``kept``.
        """
        with self._holding:
            room = self._room(code)
            number = room.tabs.get(token)
            if _valid_token(kept) != token and number is not None:
                del room.tabs[token]
                if kept in room.tabs:
                    room.forget(number)
                else:
                    room.tabs[kept] = number
            room.tab(kept)

    def vote(self, code: str, token: str, question: str, option: str) -> None:
        """A tab's vote in the vote that is going on; in place of its earlier one, if it gave one.

        Raises ``AtelierError`` for an option that the question has not, and while no vote is going on.
        """
        with self._holding:
            room = self._room(code)
            asked = room.question(question)
            if option not in asked.options:
                raise AtelierError(
                    "room-option",
                    "“{option}” is none of the options of this question.",
                    option=harmless(option),
                )
            if asked.state == REVEALED:
                raise AtelierError(
                    "room-counted", "This vote is over: a second one begins when the host opens it."
                )
            tab = room.tab(_valid_token(token))
            room.voters.add(tab)
            asked.ballot[tab] = option

    def choice(self, code: str, token: str, question: str) -> str | None:
        """What this tab chose in the vote that is going on, or else in the last one; None: nothing."""
        with self._holding:
            room = self._room(code)
            return room.question(question).ballot.get(room.tabs.get(token, -1))

    # ------------------------------------------------------------ what everybody sees

    def state(self, code: str, question: str) -> str:
        """``open``, ``revealed`` or ``second``."""
        with self._holding:
            return self._room(code).question(question).state

    def present(self, code: str) -> int:
        """How many tabs have a place in the room."""
        with self._holding:
            return len(self._room(code).tabs)

    def vote_count(self, code: str, question: str) -> int:
        """How many tabs gave the vote that is going on, or else the last one."""
        with self._holding:
            return len(self._room(code).question(question).ballot)

    def counts(self, code: str, question: str) -> Counts | None:
        """What was voted; None, for the host as well, before it is revealed.

        While a second vote is going on after a reveal, the first one stays and the second is not shown.
        """
        with self._holding:
            return self._room(code).question(question).counts()

    def has_been_told(self, code: str, question: str) -> bool:
        """Whether the host has told the room what is right."""
        with self._holding:
            return self._room(code).question(question).told

    # ------------------------------------------------------------ what the host does

    def reveal(self, code: str, secret: str, question: str) -> None:
        """The host's: ends the vote that is going on and shows it."""
        with self._holding:
            self._of_host(code, secret).question(question).reveal()

    def second(self, code: str, secret: str, question: str) -> None:
        """The host's: opens the second vote, before or after the first is revealed."""
        with self._holding:
            self._of_host(code, secret).question(question).second()

    def tell(self, code: str, secret: str, question: str) -> None:
        """The host's: ends a vote that is going on, shows it, and tells the room what is right."""
        with self._holding:
            asked = self._of_host(code, secret).question(question)
            if asked.state != REVEALED:
                asked.reveal()
            asked.told = True

    # ------------------------------------------------------------ rooms by code

    def _room(self, code: str) -> _Room:
        self._drop_old()
        room = self._rooms.get(canonical_code(code))
        if room is None:
            raise AtelierError(
                "room-none",
                "There is no room “{room}”: it was closed, or opened more than three hours ago.",
                room=harmless(code, 12),
            )
        room.used = self._clock()
        return room

    def _of_host(self, code: str, secret: str) -> _Room:
        room = self._room(code)
        if not _same(room.secret, secret):
            raise AtelierError("room-host", "Only whoever opened this room can do that.")
        return room

    def _drop_old(self) -> None:
        now = self._clock()
        for code in [code for code, room in self._rooms.items() if now - room.opened >= LIFE]:
            del self._rooms[code]

    def _make_place(self, now: float) -> None:
        """Where all rooms are taken, the oldest that nobody used for long gives way."""
        if len(self._rooms) < MOST_ROOMS:
            return
        idle = [code for code, room in self._rooms.items() if now - room.used >= IDLE]
        if not idle:
            raise AtelierError(
                "room-rooms",
                "All {most} rooms of this server are in use: try again later.",
                most=MOST_ROOMS,
            )
        del self._rooms[min(idle, key=lambda code: self._rooms[code].opened)]

    def _new_code(self) -> str:
        while True:
            code = "".join(secrets.choice(ALPHABET) for _ in range(LETTERS))
            if code not in self._rooms:
                return code


def canonical_code(code: str) -> str:
    """A code as rooms are called, from what somebody typed: in capitals, without spaces and hyphens."""
    return "".join(code[: 4 * LETTERS].upper().replace("-", "").split())


def _valid_token(token: str) -> str:
    if not 16 <= len(token) <= LONGEST_TOKEN:
        raise AtelierError("room-tab", "This tab has no valid token: reload the page.")
    return token


def _same(secret: str, said: str) -> bool:
    """Whether two secrets are one, in a time that does not say how much of them agrees."""
    return hmac.compare_digest(secret.encode(), said.encode("utf-8", "surrogatepass"))


ROOMS = Rooms()


def rooms() -> Rooms:
    """The rooms of this process. They lie outside Streamlit's caches, which any visitor can clear."""
    return ROOMS
