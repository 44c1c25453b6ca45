"""What the server says of answers: who may see them, and the passphrase of whoever teaches.

Who runs the app sets two variables of its environment:

- ``ATELIER_ANSWERS`` is ``open`` (everybody sees every answer; so it is where nothing is set), ``after-answer``
  (whoever has answered sees the answer) or ``passphrase`` (nobody does before the phrase is given, or before
  the host of a room reveals it to the room).
- ``ATELIER_PASSPHRASE`` opens everything, the guide and the marking as well, for the visit that gives it.

What may not be revealed is not rendered, so it is not sent. A lesson inside its link is different: whoever
has the link has what is in it.
"""

from __future__ import annotations

import hmac
import math
import os
import threading
import time
import unicodedata
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import streamlit as st

from core.errors import AtelierError
from pages.teach import link
from pages.teach.fields import harmless

VARIABLE, PHRASE = "ATELIER_ANSWERS", "ATELIER_PASSPHRASE"
OPEN, AFTER_ANSWER, PASSPHRASE = WAYS = ("open", "after-answer", "passphrase")
MOST_WRONG, WITHIN = 60, 60.0
"""Wrong phrases of all visitors together, and in how many seconds."""
LONGEST = 1000
"""Characters of a phrase."""
GIVEN = "answers_given"
"""In the visit: whether it gave the phrase. The phrase itself is kept nowhere."""


# ---------------------------------------------------------------- what the server says


@dataclass(frozen=True)
class Policy:
    """``answers`` is in force: one of ``WAYS``. ``phrase``: whether the server has a passphrase.

    ``problem``: one sentence on what whoever runs the app has to mend; None where all is well.
    """

    answers: str
    phrase: bool
    problem: AtelierError | None = None


def policy() -> Policy:
    """What the environment says now; where it says something else, the strictest way is in force."""
    said, phrase = os.environ.get(VARIABLE, "").strip().lower() or OPEN, bool(_passphrase())
    if said not in WAYS:
        problem = AtelierError(
            "answers-policy",
            "{variable} is “{value}” and must be {ways}: until it is mended, answers are kept back.",
            variable=VARIABLE,
            value=harmless(said),
            ways=" / ".join(WAYS),
        )
        return Policy(PASSPHRASE, phrase, problem)
    if said == PASSPHRASE and not phrase:
        problem = AtelierError(
            "answers-no-phrase",
            "This server keeps answers back and {variable} is not set: no answer can be shown.",
            variable=PHRASE,
        )
        return Policy(PASSPHRASE, phrase, problem)
    return Policy(said, phrase)


def can_keep_back(name: str) -> bool:
    """Whether answers of the lesson of that name, as an address says it, can be kept back at all."""
    return not name.startswith(link.BEGINNING)


# ---------------------------------------------------------------- who may do what


def may_reveal(answered: bool, *, in_room: bool = False) -> bool:
    """Whether this visit may see the answer to a question.

    ``answered``: whether the visitor answered it; ``in_room``: whether the visitor is in a room whose host
    revealed it. Who opens a room must be asked ``allowed_to_host`` first.
    """
    now = policy()
    if now.answers == OPEN or _has_given(now):
        return True
    if now.answers == AFTER_ANSWER:
        return answered
    return in_room and now.phrase


def guide_problem() -> AtelierError | None:
    """Why guide and marking are closed to this visit, in one sentence; None where they are open."""
    now = policy()
    if now.answers == OPEN or _has_given(now):
        return None
    if now.problem:
        return now.problem
    if not now.phrase:
        return AtelierError(
            "answers-no-guide",
            "This server keeps answers back and {variable} is not set: guide and marking stay closed.",
            variable=PHRASE,
        )
    return AtelierError(
        "answers-guide", "Guide and marking open with the passphrase of this server."
    )


def allowed_to_host() -> bool:
    """Whether this visit may open a room: with ``passphrase`` its host decides what others see."""
    now = policy()
    return now.answers != PASSPHRASE or _has_given(now)


# ---------------------------------------------------------------- the passphrase


def give(phrase: str) -> bool:
    """Whether that is the passphrase; if so, this visit has given it from now on.

    Spaces at the ends, doubled spaces, invisible characters and ways to write one character (full width,
    accents apart) make no difference; capitals do. Raises ``AtelierError`` after too many wrong phrases,
    of whichever visitors, and then for the right one as well: guessing stays slow.
    """
    wanted, said = _passphrase(), _plain(phrase)
    if not wanted or not said:
        return False
    if not GUESSES.ask(lambda: hmac.compare_digest(_bytes(said), _bytes(wanted))):
        return False
    st.session_state[GIVEN] = True
    return True


def _has_given(now: Policy) -> bool:
    return now.phrase and st.session_state.get(GIVEN) is True


def _passphrase() -> str:
    return _plain(os.environ.get(PHRASE, ""))


def _plain(phrase: str) -> str:
    """A phrase as it is compared; empty where it is none."""
    if len(phrase) > LONGEST:
        return ""
    seen = (sign for sign in unicodedata.normalize("NFKC", phrase) if _is_seen(sign))
    return " ".join("".join(seen).split())


def _is_seen(sign: str) -> bool:
    return unicodedata.category(sign) != "Cf"


def _bytes(phrase: str) -> bytes:
    return phrase.encode("utf-8", "surrogatepass")


class Guesses:
    """Wrong guesses of the last ``within`` seconds: after ``most`` of them nobody may guess."""

    def __init__(
        self,
        most: int = MOST_WRONG,
        within: float = WITHIN,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.most, self.within, self._clock = most, within, clock
        self._wrong: deque[float] = deque(maxlen=most)
        self._holding = threading.Lock()

    def ask(self, right: Callable[[], bool]) -> bool:
        """Whether a guess is right; raises ``AtelierError``, and does not look, while there is no turn."""
        with self._holding:
            now = self._clock()
            while self._wrong and now - self._wrong[0] >= self.within:
                self._wrong.popleft()
            if len(self._wrong) >= self.most:
                raise AtelierError(
                    "answers-slow",
                    "Too many wrong phrases were given on this server: try again in {seconds} s.",
                    seconds=math.ceil(self.within - (now - self._wrong[0])),
                )
            found = right()
            if not found:
                self._wrong.append(now)
            return found


GUESSES = Guesses()
"""Of the whole process."""
