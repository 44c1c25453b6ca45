"""The visitors of ``tests/benchmarks``: what they hold of a page, and that a server understands them."""

import asyncio
import json
import os
import subprocess
import sys
import time
import urllib.request

import numpy as np
import pytest
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.Slider_pb2 import Slider

from tests.benchmarks import visitor as visitor_module
from tests.benchmarks.deltas import (
    Node,
    Page,
    addresses,
    another,
    is_figure,
    key_of,
    percentile,
    state_of,
    values_of,
)
from tests.benchmarks.visitor import Failed, Visitor, done
from tests.benchmarks.visitors import grown
from tests.benchmarks.watched import Report, Tally
from tests.browser.conftest import free_port


def identity(key):
    return f"$$ID-{'0a' * 16}-{key}"


def begins(run, *fragments):
    message = ForwardMsg()
    message.new_session.page_script_hash = "page"
    message.new_session.config.max_cached_message_age = 2
    message.metadata.run.script_run_id = run
    message.metadata.run.fragment_ids.extend(fragments)
    return message


def ends(status=ForwardMsg.FINISHED_SUCCESSFULLY):
    message = ForwardMsg()
    message.script_finished = status
    return message


def puts(kind, *path, fragment="", kept="", **fields):
    message = ForwardMsg()
    message.delta.fragment_id = fragment
    element = getattr(message.delta.new_element, kind)
    element.SetInParent()
    for name, value in fields.items():
        if isinstance(value, list):
            getattr(element, name).extend(value)
        else:
            setattr(element, name, value)
    message.metadata.delta_path.extend(path)
    message.hash, message.metadata.cacheable = kept, bool(kept)
    return message


def block(*path):
    message = ForwardMsg()
    message.delta.add_block.SetInParent()
    message.metadata.delta_path.extend(path)
    return message


def page_of(*messages):
    page = Page()
    for message in messages:
        page.take(message)
    return page


def slider(*path, **fields):
    usual = {"id": identity("size"), "min": 0.0, "max": 10.0, "step": 2.5, "default": [5.0]}
    return puts("slider", *path, **{**usual, **fields})


def markdown(body, *path, **fields):
    return puts("markdown", *path, body=body, **fields)


# ---------------------------------------------------------------- the page


@pytest.mark.parametrize(
    ("widget", "key"),
    [(identity("a-b_c"), "a-b_c"), (identity("None"), ""), ("stop", ""), ("", "")],
)
def test_the_key_of_a_widget_ends_its_id(widget, key):
    assert key_of(widget) == key


def test_a_run_takes_away_what_it_did_not_send_again():
    page = page_of(begins("1"), markdown("a", 0, 0), markdown("b", 0, 1), ends())
    page.take(begins("2"))
    page.take(markdown("c", 0, 0))
    assert page.text().split() == ["c", "b"]
    page.take(ends())
    assert page.text() == "c"


def test_a_run_that_was_ended_for_another_takes_nothing_away():
    page = page_of(begins("1"), markdown("a", 0, 0), ends())
    page.take(begins("2"))
    page.take(ends(ForwardMsg.FINISHED_EARLY_FOR_RERUN))
    assert page.text() == "a"


def test_a_fragment_takes_away_its_own_elements_alone():
    page = page_of(
        begins("1"),
        markdown("of the page", 0, 0),
        markdown("mine", 0, 1, fragment="f"),
        markdown("mine, too", 0, 2, fragment="f"),
        markdown("of another", 0, 3, fragment="g"),
        ends(),
        begins("2", "f"),
        markdown("mine, new", 0, 1, fragment="f"),
        ends(ForwardMsg.FINISHED_FRAGMENT_RUN_SUCCESSFULLY),
    )
    assert page.text().split("\n") == ["of the page", "mine, new", "of another"]


def test_an_element_in_place_of_a_block_takes_what_was_in_it_away():
    page = page_of(begins("1"), block(0, 0), markdown("inside", 0, 0, 0))
    page.take(block(0, 0))
    assert page.text() == "inside"
    page.take(markdown("instead", 0, 0))
    assert page.text() == "instead"


def test_a_message_that_the_page_keeps_is_named_by_its_hash():
    page = page_of(begins("1"), markdown("long", 0, 0, kept="h"), ends())
    assert list(page.asks().rerun_script.cached_message_hashes) == ["h"]
    again = ForwardMsg(ref_hash="h")
    again.metadata.delta_path.extend([0, 4])
    page.take(begins("2"))
    page.take(again)
    page.take(ends())
    assert page.text() == "long"
    for run in "345":
        page.take(begins(run))
        page.take(ends())
    assert not page.asks().rerun_script.cached_message_hashes
    page.take(again)
    assert page.errors == ["the server named a message that it never sent"]


def test_exceptions_and_alerts_of_errors_are_errors():
    page = page_of(
        begins("1"),
        puts("exception", 0, 0, type="ValueError", message="too\nlarge"),
        puts("alert", 0, 1, body="**No** model", format=1),
        puts("alert", 0, 2, body="by the way", format=3),
    )
    assert page.errors == ["ValueError: too large", "**No** model"]


def test_what_is_shown_is_not_where_a_control_stands():
    page = page_of(begins("1"), slider(0, 0), markdown("5", 0, 1), markdown("aside", 1, 0))
    before = page.shown()
    page.take(slider(0, 0, set_value=True, value=[7.5]))
    page.take(markdown("other", 1, 0))
    assert page.shown() == before
    page.take(markdown("7.5", 0, 1))
    assert page.shown() != before


# ---------------------------------------------------------------- widgets


def test_a_widget_holds_what_the_server_or_the_visitor_set_last():
    page = page_of(begins("1"), slider(0, 0))

    def held():
        return values_of(page.states[identity("size")])

    assert held() == ["5"]
    page.set("size", 2.5)
    page.take(slider(0, 0))
    assert held() == ["2.5"]
    page.take(slider(0, 0, set_value=True, value=[10.0]))
    assert held() == ["10"]


def test_a_bound_widget_writes_its_value_into_the_address():
    page = page_of(begins("1"), slider(0, 0, query_param_key="size"))
    page.query = "lang=en"
    page.set("size", 7.5)
    assert page.query == "lang=en&size=7.5"
    page.set("size", 5.0)
    assert page.query == "lang=en"


def test_a_button_is_pressed_once():
    page = page_of(begins("1"), slider(0, 0), puts("button", 0, 1, id=identity("go")))
    pressed = page.asks(trigger="go", fragment="f").rerun_script
    assert pressed.fragment_id == "f"
    assert [one.id for one in pressed.widget_states.widgets if one.trigger_value] == [
        identity("go")
    ]
    assert len(page.asks().rerun_script.widget_states.widgets) == 1


def node_of(message):
    element = message.delta.new_element
    kind = element.WhichOneof("type")
    return Node(kind, getattr(element, kind), "1")


STOPS = ["10", "20", "50"]
TIMELINE = json.dumps({"stops": [0, 3, 9], "value": 3})
MOVABLE = {
    "slider": slider(0),
    "stops": slider(0, type=Slider.SELECT_SLIDER, options=STOPS, default=[1.0]),
    "selectbox": puts("selectbox", 0, id=identity("a"), options=STOPS, default=1),
    "number": puts("number_input", 0, id=identity("a"), default=10, has_max=True, max=10, min=2),
    "checkbox": puts("checkbox", 0, id=identity("a"), default=True),
    "timeline": puts("bidi_component", 0, id=identity("a"), json=TIMELINE),
}
ALLOWED = {
    "slider": {"0", "2.5", "7.5", "10"},
    "stops": {"10", "50"},
    "selectbox": {"10", "50"},
    "number": {"2"},
    "checkbox": {"false"},
}


@pytest.mark.parametrize("kind", ALLOWED)
def test_a_control_is_moved_to_every_other_value_and_to_no_more(kind):
    node = node_of(MOVABLE[kind])
    moved = [another(node, state_of(node), turn, 0) for turn in range(20)]
    assert {values_of(state_of(node, value))[0] for value in moved} == ALLOWED[kind]


def test_a_timeline_is_sent_its_stop_and_the_time():
    node = node_of(MOVABLE["timeline"])
    moved = [another(node, None, turn, 12) for turn in range(5)]
    assert {stop for stop, _now in moved} == {0, 9}
    assert json.loads(state_of(node, moved[0]).json_value) == {"value": [moved[0][0], 12]}


def test_what_cannot_be_moved_is_said():
    with pytest.raises(ValueError, match="no timeline"):
        another(node_of(puts("bidi_component", 0, json="{}")), None, 1, 0)
    with pytest.raises(ValueError, match="takes no value"):
        state_of(node_of(puts("button", 0, id=identity("go"))))


# ---------------------------------------------------------------- figures


def test_a_component_names_all_that_its_figure_needs():
    module, frames = f"/browser/{'ab' * 16}/film.js", f"/base/browser/{'cd' * 16}/frames"
    data = {"module": module, "rows": [{"source": {"address": frames}}], "label": "/browser/x"}
    film = node_of(puts("bidi_component", 0, json=json.dumps(data)))
    assert addresses(film) == [module, frames]
    assert is_figure((0, 3), film)
    assert not is_figure((1, 3), film)
    hand = puts("bidi_component", 0, component_name="latent_atelier_timeline")
    assert not is_figure((0, 3), node_of(hand))


@pytest.mark.parametrize("count", [1, 2, 19, 20, 30, 101])
@pytest.mark.parametrize("share", [0.5, 0.95, 1.0])
def test_percentiles_are_those_of_numpy(count, share):
    values = np.random.default_rng(count).normal(size=count)
    expected = np.percentile(values, 100 * share, method="inverted_cdf")
    assert percentile(values.tolist(), share) == expected


@pytest.mark.parametrize(("values", "share"), [([], 0.5), ([1.0], 0.0), ([1.0], 1.1)])
def test_there_is_no_percentile_of_nothing(values, share):
    with pytest.raises(ValueError, match=r"values|share"):
        percentile(values, share)


# ---------------------------------------------------------------- figures against limits


def test_a_limit_is_met_or_missed(capsys):
    report = Report()
    report.begin("some mix")
    report.times("fast", [0.1] * 19 + [5.0], 0.3)
    report.times("slow", [0.1] * 18 + [5.0, 5.0], 0.3)
    report.times("never", [], 0.3)
    report.figure("flat", -3.0, "MiB", 64)
    assert report.missed == ["some mix: slow", "some mix: never"]
    printed = capsys.readouterr().out.splitlines()
    assert "PASS" in printed[1]
    assert "MISSED" in printed[2]


def test_memory_that_grows_in_a_soak_is_a_missed_limit():
    report = Report()
    grown(report, [(minute, 900.0 + (minute > 5) * 10.0, 8, 20) for minute in range(40)])
    assert not report.missed
    grown(report, [(minute, 900.0 + 4.0 * minute, 8, 20) for minute in range(40)])
    assert report.missed == [": memory added"]


# ---------------------------------------------------------------- a server

SCRIPT = """
import numpy as np
import streamlit as st

size = st.slider("Size", 0.0, 10.0, 5.0, 2.5, key="size", bind="query-params")
number = st.number_input("Number", 0, 9, 4, key="number")
word = st.selectbox("Word", ["one", "two"], key="word")
many = st.segmented_control("Many", ["un", "deux"], default="un", key="many", required=True)
stop = st.select_slider("Stop", [1, 4, 16], 4, key="stop")
on = st.toggle("On", key="on")
st.markdown(f"size={size} number={number} word={word} many={many} stop={stop} on={on}")
if st.button("Go", key="go"):
    st.markdown("gone")
    st.image(np.full((8, 8, 3), number, dtype=np.uint8), output_format="PNG")
if st.button("Fail", key="fail"):
    raise RuntimeError("on purpose")
st.session_state.runs = st.session_state.get("runs", 0) + 1
st.markdown(f"runs={st.session_state.runs}")

@st.fragment
def part():
    st.markdown(f"inner={st.slider('Inner', 0, 5, 1, key='inner')}")

part()
"""


@pytest.fixture
def app(tmp_path):
    (tmp_path / "app.py").write_text(SCRIPT)
    port = free_port()
    command = [*(sys.executable, "-m", "streamlit", "run", "app.py"), "--server.headless", "true"]
    more = ["--server.port", str(port), "--browser.gatherUsageStats", "false"]
    process = subprocess.Popen(
        [*command, *more],
        cwd=tmp_path,
        env=dict(os.environ),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url, deadline = f"http://127.0.0.1:{port}", time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(f"{url}/_stcore/health", timeout=1)
            break
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    yield url
    process.terminate()
    process.wait(timeout=30)


@pytest.mark.parametrize("closed", [2, 99])  # aiohttp replaces one by itself
def test_a_connection_that_the_server_closed_is_replaced_once_more(closed):
    asked = []

    async def answer(reader, writer):
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        if len(asked) > closed:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            await writer.drain()
        writer.transport.abort()

    async def visit():
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        browser = visitor_module.Browser()
        port = server.sockets[0].getsockname()[1]
        try:
            return await Visitor("http://nowhere", browser).fetch(f"http://127.0.0.1:{port}/health")
        finally:
            await browser.close()
            server.close()

    if closed == 2:
        assert done(visit()) == b"ok"
    else:
        with pytest.raises(Failed, match="for http"):
            done(visit())
        assert len(asked) < 10


@pytest.mark.slow
def test_a_server_understands_a_visitor(app):
    async def visit():
        visitor = Visitor(app)
        try:
            answer = await visitor.open("", "size=7.5")
            text = visitor.page.text()
            assert "size=7.5 number=4 word=one many=un stop=4 on=False" in text
            assert answer.first is None
            settings = {"size": 2.5, "number": 7, "word": "two", "many": "deux", "on": True}
            for key, value in {**settings, "stop": "16"}.items():
                answer = await visitor.move(key, value)
                assert not answer.errors
            text = visitor.page.text()
            assert "size=2.5 number=7 word=two many=deux stop=16 on=True" in text
            assert visitor.holds() == {"size": ["2.5"]}
            assert "runs=7" in text
            await visitor.move("inner", 3)
            assert "inner=3" in visitor.page.text()
            assert "runs=7" in visitor.page.text()  # the fragment alone ran
            answer = await visitor.click("go")
            assert "gone" in visitor.page.text()
            assert 0 < answer.first <= answer.done
            answer = await visitor.reconnect()
            assert "size=2.5 number=7 word=two many=deux stop=16 on=True" in visitor.page.text()
            assert "gone" not in visitor.page.text()
            assert "runs=9" in visitor.page.text()  # the same session
            answer = await visitor.move("number", 7)
            assert not answer.errors  # the page counts its runs
            answer = await visitor.click("fail")
            assert any("RuntimeError" in error for error in answer.errors)
            with pytest.raises(Failed, match="has no nothing"):
                await visitor.move("nothing")
        finally:
            await visitor.leave()

    done(visit())


@pytest.mark.slow
@pytest.mark.parametrize("loses", ["everything", "new_session"])
def test_who_comes_back_and_hears_nothing_asks_once_more(app, monkeypatch, loses):
    """As Streamlit may lose what it answers to a connection that has just come back."""
    monkeypatch.setattr(visitor_module, "LOST", 1.0)

    class Unheard(Visitor):
        losing = False

        def _take(self, data):
            kind = ForwardMsg.FromString(data).WhichOneof("type")
            if self.losing and self._answer.asked == 1 and loses in ("everything", kind):
                return
            super()._take(data)

    async def visit():
        visitor = Unheard(app)
        try:
            assert (await visitor.open("", "size=7.5")).asked == 1
            visitor.losing = True
            answer = await visitor.reconnect()
            assert answer.asked == 2
            assert not answer.errors
            assert answer.done > 1.0
            visitor.losing = False
            assert (await visitor.move("number", 9)).asked == 1
            assert "size=7.5 number=9" in visitor.page.text()
        finally:
            await visitor.leave()

    done(visit())


@pytest.mark.slow
def test_visitors_do_not_share_what_they_set(app):
    async def visit():
        first, tally = Visitor(app), Tally()
        second = first.tab()
        try:
            await asyncio.gather(first.open(""), second.open(""))
            tally.note("move", await first.move("number", 9))
            tally.note("move", await second.move("inner"))
            assert "number=9" in first.page.text()
            assert "number=4" in second.page.text()
            assert len(tally.seconds("move")) == 2
            assert not tally.errors
        finally:
            await second.close()
            await first.leave()

    done(visit())
