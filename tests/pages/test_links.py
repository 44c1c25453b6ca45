"""The address names codes, in no language; what it asks for in vain is said."""

import pytest
from streamlit.testing.v1 import AppTest

from pages.shared import links
from pages.shared.text import in_language
from tests.pages.opening import LONGEST, moved, turned_to
from tests.pages.sentences import like


def script():
    """A page with a control of every kind, in the frame of the app."""
    import streamlit as st

    from pages import frame
    from pages.shared import controls
    from tests.pages.test_links import KINDS, RUNS

    def page():
        kind = controls.choice("Kind", KINDS, "p_kind")
        if kind == "maker":
            controls.option("Class", controls.same("0123"), "p_class", default="1")
        controls.option("Other", {"a": "A", "b": "B"}, "p_other", optional=True)
        chosen = controls.several("Runs", RUNS, "p_runs", ["baseline"])
        controls.whole("Steps", 2, 100, 20, "p_steps")
        controls.real("Eta", 0.0, 1.0, 0.5, "p_eta")
        controls.stop("K", [1, 10, 100], 10, "p_k")
        controls.span("Levels", 1, 60, (5, 50), "p_levels")
        controls.count("Number", 0, 9, 3, "p_number")
        controls.switch("On", "p_on")
        controls.line("Digits", "7", "p_text", longest=3, width=100, fits=str.isdigit)
        st.write(f"shown: {chosen}")

    frame.show(lambda: page)


KINDS = {"gallery": "Generated", "prior": "From the prior", "maker": "House number"}
RUNS = {"baseline": "SimSiam", "no-predictor": "no predictor", "byol": "BYOL"}


def opened(lang="en", **query):
    at = AppTest.from_function(script, default_timeout=LONGEST)
    for key, value in {"lang": lang, **query}.items():
        at.query_params[key] = value
    at.run()
    assert not at.exception, at.exception
    return at


def address(at):
    told = {key: value for key, value in at.query_params.items() if key.startswith("p_")}
    return {key: [value] if isinstance(value, str) else value for key, value in told.items()}


def french(word):
    return in_language(word, "fr")


@pytest.mark.parametrize("lang", ["en", "fr"])
def test_the_address_names_codes_in_either_language(lang):
    at = opened(lang)
    assert address(at) == {}  # what is usual is not said
    at.button_group(key="p_kind").set_value("maker").run()
    at.selectbox(key="p_class").select_index(3).run()
    at.selectbox(key="p_other").select_index(1).run()
    at.multiselect(key="p_runs").set_value(["byol", "no-predictor"]).run()
    assert address(at) == {
        "p_kind": ["maker"],
        "p_class": ["3"],
        "p_other": ["b"],
        "p_runs": ["no-predictor", "byol"],
    }
    at.button_group(key="p_kind").set_value("gallery").run()
    assert set(address(at)) == {"p_other", "p_runs"}  # the class is asked for no more


def test_no_run_at_all_is_something_to_say():
    at = opened()
    at.multiselect(key="p_runs").set_value([]).run()
    assert address(at) == {"p_runs": [""]}
    assert opened(p_runs="").multiselect(key="p_runs").value == []


@pytest.mark.parametrize("lang", ["en", "fr"])
@pytest.mark.parametrize("word", ["prior", "From the prior", french("From the prior")])
def test_a_link_may_hold_the_code_or_the_words_of_either_language(lang, word):
    at = opened(lang, p_kind=word)
    assert at.button_group(key="p_kind").value == "prior"
    assert address(at) == {"p_kind": ["prior"]}
    assert not at.info


def test_words_of_several_runs_are_read_in_either_language():
    for words in (["no predictor", "BYOL"], [french("no predictor"), "byol"]):
        at = opened(p_runs=words)
        assert at.multiselect(key="p_runs").value == ["no-predictor", "byol"]
        assert address(at) == {"p_runs": ["no-predictor", "byol"]}


def test_the_choice_outlives_a_switch_of_language():
    at = opened(p_kind="maker", p_class="2", p_runs=["byol", "no-predictor"], p_k="100")
    before = address(at)
    for lang in ("fr", "en"):
        at.button_group(key="language_widget").set_value(lang).run()
        assert at.button_group(key="p_kind").value == "maker"
        assert at.selectbox(key="p_class").value == "2"
        assert set(at.multiselect(key="p_runs").value) == {"byol", "no-predictor"}
        assert at.select_slider(key="p_k").value == 100
        assert address(at) == before


BAD = {
    "p_kind": ("video", "%%", "Upload", ""),
    "p_class": ("12", "one", "-1"),
    "p_other": ("c", "None", "🦊"),
    "p_runs": ("vicreg", "SIMSIAM", "`x`"),
    "p_steps": ("abc", "1e9", "inf", "nan", "-3", ""),
    "p_eta": ("1.5", "infinity", "0,5", ""),
    "p_k": ("7", "1.5", "ten"),
    "p_levels": ("0", "61", "x"),
    "p_number": ("10", "-1", "1e99"),
    "p_on": ("yes", "2", "on"),
    "p_text": ("abc", "inf", "nan", "", "12345", "-1"),
}
USUAL = {
    "p_kind": "maker",
    "p_class": "1",
    "p_other": None,
    "p_runs": ["baseline"],
    "p_steps": 20,
    "p_eta": 0.5,
    "p_k": 10,
    "p_levels": (5, 50),
    "p_number": 3,
    "p_on": False,
    "p_text": "7",
}
WIDGETS = {
    "p_kind": "button_group",
    "p_class": "selectbox",
    "p_other": "selectbox",
    "p_runs": "multiselect",
    "p_steps": "slider",
    "p_eta": "slider",
    "p_k": "select_slider",
    "p_levels": "slider",
    "p_number": "number_input",
    "p_on": "toggle",
    "p_text": "text_input",
}


@pytest.mark.parametrize(("key", "value"), [(k, v) for k, values in BAD.items() for v in values])
def test_what_a_control_does_not_take_gives_way_to_the_usual_and_is_said_once(key, value):
    at = opened(**{"p_kind": "maker", key: value})
    usual = "gallery" if key == "p_kind" else USUAL[key]
    assert getattr(at, WIDGETS[key])(key=key).value == usual
    assert len(at.info) == 1
    assert like(links.REFUSED).fullmatch(at.info[0].value)
    at.run()
    assert len(at.info) == 1  # for as long as it holds


def test_a_text_stands_in_the_address_and_what_is_typed_is_kept():
    at = opened(p_text="42")
    assert at.text_input(key="p_text").value == "42"
    assert not at.info
    at.text_input(key="p_text").set_value("8").run()
    assert address(at) == {"p_text": ["8"]}
    at.text_input(key="p_text").set_value("7").run()
    assert address(at) == {}
    at.text_input(key="p_text").set_value("abc").run()  # the page says what is wrong with it
    assert (at.text_input(key="p_text").value, len(at.info)) == ("abc", 0)


def test_a_whole_number_is_made_of_a_fraction_and_that_is_said():
    at = opened(p_steps="2.5")
    assert at.slider(key="p_steps").value == 2
    assert "2.5" in at.info[0].value


def test_the_line_leaves_when_the_visitor_moves_on():
    at = opened(p_kind="video", p_steps="999")
    assert len(at.info[0].value.splitlines()) == 2
    assert address(at)["p_kind"] == ["video"]  # for whoever has it
    at.slider(key="p_steps").set_value(30).run()
    assert "video" in at.info[0].value
    assert "999" not in at.info[0].value
    at.button_group(key="p_kind").set_value("prior").run()
    assert not at.info
    assert address(at)["p_kind"] == ["prior"]


def test_a_link_cannot_write_on_the_page():
    at = opened(p_kind="`<script>` [x](http://a.b) " + "y" * 500)
    said = at.info[0].value
    assert len(said) < 200
    assert said.count("`") == 2


def test_a_link_within_the_visit_is_followed_where_a_hand_was_before(open_page):
    """And without a value in it the page stands as the hand left it."""
    at = moved(open_page("adding_noise"), "noise_t", 700)
    turned_to(at, "home")
    turned_to(at, "adding_noise")
    assert at.session_state["noise_t"] == 700
    turned_to(at, "home")
    at.query_params["noise_t"] = "300"
    turned_to(at, "adding_noise")
    assert at.session_state["noise_t"] == 300
    at = moved(at, "noise_t", 400)
    assert at.session_state["noise_t"] == 400
    assert at.query_params["noise_t"] == "400"


def test_a_step_that_is_followed_sets_every_control_once(monkeypatch):
    state = {}
    monkeypatch.setattr(links.st, "session_state", state)
    monkeypatch.setattr(links.st, "query_params", Address())
    links.begin()
    links.follow({"way": ["30"], "kind": ["b"]}, anew=False)
    options = {"a": "One", "b": "Two"}
    links.check("count", "Count", lambda value: True, 7, lambda said: int(said[-1]))
    assert state["count"] == 7
    assert links.restore_number("way", "Way", range(101), 50) == 30
    links.restore("kind", "Kind", options, "a")
    assert state["kind"] == "b"
    for key, shown in (("count", 7), ("way", 30)):
        links.answer(key, shown)
    links.keep("kind", options, "b", "a")
    # The visitor moves before the run is at its end: the next run takes that.
    state.update(count=9, way=60, kind="a")
    links.begin()
    links.check("count", "Count", lambda value: True, 7, lambda said: int(said[-1]))
    assert state["count"] == 9
    assert links.restore_number("way", "Way", range(101), 50) == 60
    links.restore("kind", "Kind", options, "a")
    assert state["kind"] == "a"


class Address(dict):
    def get_all(self, name):
        return list(self.get(name, ()))


@pytest.mark.parametrize("value", ["inf", "-inf", "1e999", "nan"])
def test_an_infinite_seed_gives_way_to_the_default(open_page, value):
    at = open_page("likelihood", likelihood_seed=value)
    assert at.number_input(key="likelihood_seed").value == 0
