"""What a link leaves out of a page is not sent: not hidden, not folded, not there."""

import pytest

from pages.shared import picking, shape
from pages.shared.shape import Shape
from tests.pages.opening import LONGEST, OF_THE_FRAME, checked, components, opened, sent, turned_to


def keys(at):
    """What is shown of a page: not what its frame mounts, nor what only says where a timeline stands."""
    return {key for key in components(at) if not key.endswith("_fixed")} - OF_THE_FRAME


def test_an_address_says_what_stays():
    wanted = shape.read(["a,b", "c"], [], ["code,why,nonsense"])
    assert wanted == Shape(("a", "b", "c"), None, frozenset({"code", "why"}))
    assert shape.read([], [], []) == shape.WHOLE
    assert shape.read([""], [""], []) == Shape((), (), frozenset())


def test_only_the_figures_that_are_named_are_sent():
    whole = opened("interpolation")
    assert "interpolation_film" in keys(whole)
    assert len(whole.get("plotly_chart")) == 2
    some = opened("interpolation", figures="interpolation_norm")
    assert keys(some) == {"interpolation_w_hand"}
    assert [chart.key for chart in some.get("plotly_chart")] == ["interpolation_norm"]
    assert not some.title
    assert not some.expander


def test_a_page_without_figures_still_has_its_controls():
    at = opened("interpolation", figures="")
    assert keys(at) == {"interpolation_w_hand"}
    assert {slider.key for slider in at.slider} >= {"interpolation_n"}


def test_only_the_controls_that_are_named_are_sent_and_the_others_hold():
    at = opened("interpolation", keep="interpolation_n", interpolation_w="30")
    assert [slider.key for slider in at.slider] == ["interpolation_n"]
    assert keys(at) == {"interpolation_film"}
    assert components(at)["interpolation_w_fixed"]["value"] == 30
    assert at.session_state["interpolation_w"] == 30
    assert at.query_params["interpolation_w"] == "30"
    at = checked(at.slider(key="interpolation_n").set_value(6).run())
    assert at.session_state["interpolation_w"] == 30


def test_figures_stand_in_the_order_of_the_address():
    names = ("interpolation_norm", "interpolation_change")
    for order in (names, names[::-1]):
        at = opened("interpolation", figures=",".join(order), keep="")
        assert tuple(chart.key for chart in at.get("plotly_chart")) == order


@pytest.mark.parametrize(
    ("part", "words"), [("why", "How it works"), ("code", "Formula and code")], ids=["why", "code"]
)
def test_explanations_and_code_are_left_out(part, words):
    labels = {expander.label for expander in opened("interpolation").expander}
    assert words in labels
    labels -= {expander.label for expander in opened("interpolation", hide=part).expander}
    assert labels == {words}


def test_the_answers_of_a_page_are_left_out_with_their_questions():
    key = "collapse_low_loss"
    assert key in str([e.proto for e in opened("collapse").expander])
    assert key not in str([e.proto for e in opened("collapse", hide="answers").expander])


def test_names_that_the_page_does_not_have_show_nothing_and_break_nothing():
    at = opened("interpolation", figures="<b>,../../etc", keep="no_such_control")
    assert not keys(at)
    assert not at.get("plotly_chart")
    assert not at.error


def test_the_whole_page_is_one_press_away():
    at = opened("interpolation", figures="interpolation_norm", keep="", hide="why")
    at = checked(at.button(key="frame_whole").click().run())
    assert not {"figures", "keep", "hide"} & set(at.query_params)
    assert len(at.get("plotly_chart")) == 2
    assert "How it works" in {expander.label for expander in at.expander}


def test_a_link_says_when_it_was_made_with_other_weights():
    at = opened("interpolation", at="0123ab")
    assert any("other weights" in info.value for info in at.info)
    digest = next(iter(at.session_state["shape"].made_of))
    at = opened("interpolation", at=digest[:6])
    assert not any("other weights" in info.value for info in at.info)


def test_nothing_written_nowhere_is_sent():
    from streamlit.testing.v1 import AppTest

    def script():
        import streamlit as st

        from pages.shared import shape

        with shape.nowhere():
            left, right = st.columns(2)
            left.markdown("secret left")
            with right, st.expander("secret expander", key="x", on_change="rerun") as opened_:
                assert opened_.open is False
            with st.popover("secret popover"), st.container():
                st.caption("secret caption")
            st.empty().container().markdown("secret place")
            with st.spinner("secret spinner"):
                value = st.slider("secret slider", 0, 9, 3, key="held", bind="query-params")
            st.progress(0.5, "secret progress")
            assert not st.button("secret button")
        st.markdown(f"value {value}")

    at = AppTest.from_function(script, default_timeout=LONGEST)
    at.query_params["held"] = "7"
    at.run()
    assert not at.exception
    assert [one.value for one in at.markdown] == ["value 7"]
    everything = sent(at)
    assert "value 7" in everything
    assert "secret" not in everything


def test_a_part_that_runs_alone_runs_with_the_page_where_that_is_cut(monkeypatch):
    """What a fragment drew into a place of the frame would stay above what it draws there again."""
    alone = []

    def fragment(part):
        alone.append(part.__name__)
        return part

    monkeypatch.setattr(shape.st, "fragment", fragment)
    opened("interpolation")
    assert "journey" in alone
    alone.clear()
    opened("interpolation", figures="interpolation_film")
    assert "journey" not in alone


def test_what_a_page_says_of_bad_input_is_said_where_its_controls_are():
    at = opened("interpolation", figures="interpolation_film", keep="interpolation_a_text")
    at = checked(at.text_input(key="interpolation_a_text").set_value("x").run())
    assert [one.value for one in at.error] == [picking.NO_HOUSE_NUMBER]


def test_nothing_of_a_shape_is_left_on_the_next_page():
    at = opened("interpolation", figures="interpolation_film")
    assert at.session_state["shape"].cut
    for name in ("figures", "keep"):
        at.query_params.pop(name, None)
    at = turned_to(at, "likelihood")
    assert not at.session_state["shape"].cut
    assert at.title


@pytest.mark.parametrize("page", ["overview", "checkpoints"])
def test_a_page_with_a_form_can_be_cut(page):
    assert not opened(page, figures="nothing").error
