"""Long work: a link whose sender saw a result shows it again."""

import itertools
import time
from dataclasses import dataclass

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from core.resumable import Resumable
from pages.shared import links, live
from tests.pages.opening import LONGEST

BEGUN, SHOWN = [], []


@dataclass(frozen=True)
class Count:
    """A work that counts to three."""

    done: int
    total: int = 3
    seconds: float = 0.1

    @property
    def finished(self):
        return self.done == self.total


def counting(number):
    BEGUN.append(number)
    for done in (1, 2, 3):
        time.sleep(st.session_state.get("step", 0.0))
        yield Count(done)


def script():
    import streamlit as st

    from pages import frame
    from pages.shared import controls, live
    from tests.pages.test_live import SHOWN, Count, counting

    def page():
        number = controls.count("Number", 0, 9, 0, "w_number")
        seconds = st.session_state["about"]
        clicked = st.button("Count", key="w_go")
        found = live.answer(
            ("count", number),
            lambda: counting(number),
            "w",
            st.empty(),
            lambda now: SHOWN.append(now.done),
            wanted=clicked,
            seconds=seconds,
            little=st.session_state["little"],
            replay=lambda end: [Count(done) for done in range(end.total + 1)],
        )
        st.write(f"result: {found and found.done}")

    frame.show(lambda: page)


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch):
    monkeypatch.setattr(live, "SECONDS_TO_SEND", 0)
    monkeypatch.setattr(live, "SECONDS_TO_SEND_FIRST", 0)
    monkeypatch.setattr(live, "REPLAYED_IN", 0)
    monkeypatch.setattr(live, "SECONDS_A_FRAME", 0)
    BEGUN.clear()
    SHOWN.clear()
    for number, little in itertools.product((0, 1), (False, True)):
        live.works_of("w", little).drop(("count", number))


def opened(seconds=1.0, **more):
    return checked(begun(seconds, **more))


def begun(seconds=1.0, little=False, step=0.0, **query):
    at = AppTest.from_function(script, default_timeout=LONGEST)
    at.session_state["about"], at.session_state["little"] = seconds, little
    at.session_state["step"] = step
    for key, value in {"lang": "en", **query}.items():
        at.query_params[key] = value
    return at.run()


def checked(at):
    assert not at.exception, at.exception
    return at


def result(at):
    (shown,) = [m.value for m in at.markdown if m.value.startswith("result: ")]
    return shown.removeprefix("result: ")


def asks(at):
    return links.RUN in at.query_params


def test_a_result_is_said_in_the_address_while_it_is_shown():
    at = opened()
    assert (result(at), asks(at)) == ("None", False)
    checked(at.button(key="w_go").click().run())
    assert (result(at), asks(at)) == ("3", True)
    checked(at.number_input(key="w_number").set_value(1).run())
    assert (result(at), asks(at)) == ("None", False)
    assert BEGUN == [0]


def test_many_presses_are_one_computation():
    for _visitor in range(3):
        at = opened()
        for _press in range(2):
            checked(at.button(key="w_go").click().run())
            assert (result(at), asks(at)) == ("3", True)
    assert BEGUN == [0]


def test_a_link_begins_short_work_by_itself_and_once_for_all_visitors():
    assert result(opened(run="1")) == "3"
    again = opened(run="1")
    assert (result(again), asks(again)) == ("3", True)
    assert BEGUN == [0]


def test_a_link_begins_only_the_work_that_it_was_made_for():
    at = opened(run="1")
    checked(at.number_input(key="w_number").set_value(1).run())
    assert (result(at), asks(at)) == ("None", False)


def test_who_joins_sees_at_once_how_far_the_work_is():
    """Before the next step, which may be a long one."""
    work = live.works_of("w").ask(("count", 0), lambda: Resumable(counting(0)))
    next(work.advance())
    at = opened()
    SHOWN.clear()
    checked(at.button(key="w_go").click().run())
    assert SHOWN == [1, 2, 3]
    assert BEGUN == [0]


def test_long_work_is_one_press_away_and_there_if_another_pressed():
    at = opened(seconds=60, run="1")
    assert (result(at), asks(at)) == ("None", True)
    assert "about 60 s" in at.info[0].value
    checked(at.button(key="w_go").click().run())
    assert result(at) == "3"
    other = opened(seconds=60, run="1")
    assert result(other) == "3"
    assert not other.info
    assert BEGUN == [0]


def test_finished_work_is_shown_once_more_to_who_presses_for_it():
    at = opened()
    checked(at.button(key="w_go").click().run())
    assert SHOWN == [1, 2, 3]
    checked(at.button(key="w_go").click().run())
    assert SHOWN == [1, 2, 3, 0, 1, 2, 3]
    checked(at.run())
    assert (result(at), asks(at), len(SHOWN)) == ("3", True, 7)
    assert BEGUN == [0]


def test_little_work_is_done_unasked_and_nothing_is_shown_of_it():
    at = opened(little=True)
    assert (result(at), asks(at), SHOWN) == ("3", False, [])
    checked(at.button(key="w_go").click().run())
    assert (result(at), asks(at), SHOWN) == ("3", False, [0, 1, 2, 3])
    other = opened(little=True, run="1")  # a link of before
    assert (result(other), asks(other)) == ("3", False)
    assert BEGUN == [0]


def test_little_work_that_takes_long_is_shown_without_a_button_to_stop_it(monkeypatch):
    monkeypatch.setattr(live, "QUIET", 0.05)
    buttons = []
    add = st.button
    monkeypatch.setattr(
        st, "button", lambda *a, **more: buttons.append(more["key"]) or add(*a, **more)
    )
    at = opened(little=True, step=0.1)
    assert (result(at), asks(at), SHOWN) == ("3", False, [2, 3])  # the first step was over time
    assert buttons == ["w_go"]
    assert not at.get("progress")


def test_little_work_that_failed_is_begun_anew():
    at = begun(little=True, step=None)
    assert at.exception
    at.session_state["step"] = 0.0
    assert result(checked(at.run())) == "3"
    assert BEGUN == [0, 0]


def watched_page():
    import streamlit as st

    from pages.shared import live
    from tests.pages.test_live import Count

    steps = (Count(done, total=5) for done in range(1, 6))
    shown = st.session_state["shown"] = []

    def show(now):
        shown.append(now.done)
        return st.session_state["bytes"]

    live.watch(steps, st.empty(), "w", show)


@pytest.mark.parametrize(
    ("sent", "shown"), [(None, [1, 2, 3, 4, 5]), (0, [1, 2, 3, 4, 5]), (10**9, [1, 5])]
)
def test_frames_of_many_bytes_are_shown_seldom_and_the_last_one_always(monkeypatch, sent, shown):
    monkeypatch.setattr(live, "SECONDS_A_FRAME", 0)
    at = AppTest.from_function(watched_page, default_timeout=LONGEST)
    at.session_state["bytes"] = sent
    assert checked(at.run()).session_state["shown"] == shown
