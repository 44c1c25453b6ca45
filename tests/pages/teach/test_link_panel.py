"""The panel that makes links and lessons: what it gives opens as it says."""

import re
from urllib.parse import parse_qs, urlsplit

import pytest
from streamlit.testing.v1 import AppTest

from pages.teach import link, link_panel
from pages.teach.lesson import read_lesson
from tests.pages.opening import LONGEST, OF_THE_FRAME, checked, components, opened
from tests.pages.sentences import refusal


def script():
    """The page with its panel below it: AppTest cannot run the dialog alone."""
    from pages import frame
    from pages.shared import shape, site
    from pages.teach import link_panel

    frame.show(lambda: site.INTERPOLATION.show)
    run = shape.run()
    link_panel.contents("interpolation", run.seen_controls, run.seen_figures)


@pytest.fixture
def at():
    at = AppTest.from_function(script, default_timeout=LONGEST)
    at.query_params.update({"lang": "en", "interpolation_w": "30"})
    return checked(at.run())


def shown(at):
    return [block.value for block in at.code if re.match(r"(https?:/)?/[^ \n]*\?", block.value)]


def query_of(address):
    return parse_qs(urlsplit(address).query, keep_blank_values=True)


def test_the_link_says_all_that_stands_on_the_page(at):
    query = query_of(shown(at)[0])
    assert query["interpolation_w"] == ["30"]
    assert query["interpolation_n"] == ["12"]
    assert query["interpolation_a_text"] == ["3"]
    assert not {"keep", "figures", "hide", "model", "bundle", "lang"} & set(query)
    digest = next(iter(at.session_state["shape"].made_of))
    assert query["at"] == [digest[: link_panel.MADE]]


def test_what_is_ticked_is_what_its_link_shows(at):
    for part, name in (("figures", "interpolation_norm"), ("keep", "interpolation_w")):
        at = checked(at.checkbox(key=f"panel_{part}_some").check().run())
        at = checked(at.multiselect(key=f"panel_{part}").set_value([name]).run())
    at = checked(at.multiselect(key="panel_hide").set_value(["why"]).run())
    query = query_of(shown(at)[0])
    assert query["figures"] == ["interpolation_norm"]
    assert query["keep"] == ["interpolation_w"]
    assert query["hide"] == ["why"]
    again = opened("interpolation", **{name: said[-1] for name, said in query.items()})
    assert [chart.key for chart in again.get("plotly_chart")] == ["interpolation_norm"]
    assert set(components(again)) - OF_THE_FRAME == {"interpolation_w_hand"}
    assert again.session_state["interpolation_w"] == 30
    assert not again.info


def test_a_step_needs_a_sentence(at):
    at = checked(at.button(key="panel_add").click().run())
    (error,) = at.error
    assert refusal("panel-say").fullmatch(error.value)
    assert not at.session_state[link_panel.STEPS]


def with_a_step(at):
    at = checked(at.text_area(key="panel_say").set_value("Look at **this**.").run())
    at = checked(at.text_input(key="panel_question").set_value("Which?").run())
    at = checked(at.text_area(key="panel_options").set_value("one\n\ntwo\n").run())
    at = checked(at.selectbox(key="panel_right").select("b").run())
    return checked(at.button(key="panel_add").click().run())


def test_a_view_becomes_a_lesson_that_plays(at):
    at = with_a_step(at)
    packed = query_of(shown(at)[1])["lesson"][0]
    (step,) = link.unpack(packed).steps
    assert (step.page, step.say.en, step.minutes) == ("interpolation", "Look at **this**.", 5)
    assert step.query["interpolation_w"] == ["30"]
    assert [option.words.fr for option in step.ask.options] == ["one", "two"]
    assert step.ask.right is None
    played = opened("home", lesson=packed)
    assert not played.error
    assert played.session_state["interpolation_w"] == 30


def test_answers_travel_only_if_they_are_ticked(at):
    at = with_a_step(at)
    at = checked(at.checkbox(key="panel_answers").check().run())
    (step,) = link.unpack(query_of(shown(at)[1])["lesson"][0]).steps
    assert step.ask.right == "b"


def test_the_file_holds_the_lesson_with_its_answers(at, monkeypatch):
    at = with_a_step(at)
    steps = tuple(at.session_state[link_panel.STEPS])
    text = link_panel.write_lesson(link_panel.lesson_with(steps, "Mine"))
    lesson = read_lesson(text)
    assert lesson.title.en == "Mine"
    assert lesson.steps == steps
    assert lesson.steps[0].ask.right == "b"


def test_the_last_step_can_be_taken_away(at):
    at = with_a_step(at)
    at = checked(at.button(key="panel_drop").click().run())
    assert not at.session_state[link_panel.STEPS]
    assert len(shown(at)) == 1


@pytest.mark.parametrize("words", ["<b>", "[a](http://b)", "{nothing}"])
def test_markup_in_a_sentence_is_refused_in_one(at, words):
    at = checked(at.text_area(key="panel_say").set_value(f"Look {words}").run())
    at = checked(at.button(key="panel_add").click().run())
    assert len(at.error) == 1
    assert not at.session_state[link_panel.STEPS]
