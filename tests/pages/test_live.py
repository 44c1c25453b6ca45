"""Long work: a link whose sender saw a result shows it again."""

from dataclasses import dataclass

import pytest
from streamlit.testing.v1 import AppTest

from pages.shared import library, links, live

BEGUN = []


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
    yield from (Count(done) for done in (1, 2, 3))


def script():
    import streamlit as st

    from pages import frame
    from pages.shared import controls, live
    from tests.pages.test_live import counting

    def page():
        number = controls.count("Number", 0, 9, 0, "w_number")
        seconds = st.session_state["about"]
        clicked = st.button("Count", key="w_go")
        found = live.answer(
            ("count", number),
            lambda: counting(number),
            "w",
            st.empty(),
            lambda now: None,
            wanted=clicked,
            seconds=seconds,
        )
        st.write(f"result: {found and found.done}")

    frame.show(lambda: page)


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch):
    monkeypatch.setattr(live, "SECONDS_TO_SEND", 0)
    monkeypatch.setattr(live, "SECONDS_TO_SEND_FIRST", 0)
    BEGUN.clear()
    library.kept("w", live.MOST_KEPT).drop(("count", 0))
    library.kept("w", live.MOST_KEPT).drop(("count", 1))


def opened(seconds=1.0, **query):
    at = AppTest.from_function(script, default_timeout=30)
    at.session_state["about"] = seconds
    for key, value in {"lang": "en", **query}.items():
        at.query_params[key] = value
    return checked(at.run())


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
    at = AppTest.from_function(watched_page)
    at.session_state["bytes"] = sent
    assert checked(at.run()).session_state["shown"] == shown
