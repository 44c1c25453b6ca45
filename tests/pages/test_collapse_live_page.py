"""The toy SimSiam on its page: what is shown is what was trained, and every switch shows."""

import base64
import json
from dataclasses import replace

import numpy as np
import pytest

from core.toy_simsiam import Run, ToyConfig, side_by_side, stops, train

PAGE = "collapse_live.py"
SHORT = {"toy_steps": "100"}
BASE = ToyConfig(steps=100)


def end_of(config):
    *_, last = train(config)
    return last


def said(at, words):
    texts = [*at.markdown, *at.info, *at.caption, *at.error, *at.warning]
    return next((str(e.value) for e in texts if words in str(e.value)), "")


def metrics(at):
    """Loss, spread, rank, kNN accuracy of the left side and of the right."""
    found = [metric.value for metric in at.metric]
    assert len(found) == 8
    return found[:4], found[4:]


def expected(state):
    d = len(state.eigenvalues)
    numbers = (f"{state.loss:.2f}", f"{state.std * d**0.5:.2f}", f"{state.rank:.1f}")
    return [*(text.replace("-", "−") for text in numbers), f"{100 * state.accuracy:.0f}%"]


def charts(at):
    return {
        chart.proto.id.split("-")[-1]: json.loads(chart.proto.spec)
        for chart in at.get("plotly_chart")
    }


def own(at):
    """What the right side was trained with."""
    return list(at.session_state["toy_runs"])[-1]


def test_it_opens_with_the_stop_gradient_taken_away(open_page):
    at = open_page(PAGE)
    assert own(at) == ToyConfig(stop_gradient=False)
    left, right = metrics(at)
    assert left == expected(end_of(ToyConfig()))
    assert right == expected(end_of(ToyConfig(stop_gradient=False)))
    assert said(at, "lower on the right, and the representation worse")
    assert "**learnt**" in said(at, "SimSiam: loss")
    assert "**collapsed to a point**" in said(at, "Your switches: loss")


@pytest.mark.parametrize(
    ("query", "changes"),
    [
        ({"toy_stopgrad": "true"}, {}),
        ({"toy_predictor": "None"}, {"stop_gradient": False, "predictor": "identity"}),
        ({"toy_norm": "Hidden layers and z"}, {"stop_gradient": False, "batch_norm": "all"}),
        ({"toy_augmentation": "0.5"}, {"stop_gradient": False, "augmentation": 0.5}),
        ({"toy_rate": "0.05"}, {"stop_gradient": False, "learning_rate": 0.05}),
        ({"toy_predictor_rate": "10.0"}, {"stop_gradient": False, "predictor_rate": 10.0}),
        ({"toy_decay": "0.0"}, {"stop_gradient": False, "weight_decay": 0.0}),
    ],
    ids=lambda value: str(next(iter(value), "")),
)
def test_a_link_restores_a_switch_of_the_right_side(open_page, query, changes):
    at = open_page(PAGE, **SHORT, **query)
    left, right = metrics(at)
    assert own(at) == replace(BASE, **changes)
    assert left == expected(end_of(BASE))
    assert right == expected(end_of(replace(BASE, **changes)))


@pytest.mark.parametrize(
    ("query", "changes"), [({"toy_seed": "3"}, {"seed": 3}), ({"toy_dim": "6"}, {"dim": 6})]
)
def test_a_setting_of_both_sides_changes_both(open_page, query, changes):
    left, right = metrics(open_page(PAGE, **SHORT, **query))
    shared = replace(BASE, **changes)
    assert left == expected(end_of(shared))
    assert right == expected(end_of(replace(shared, stop_gradient=False)))


def test_a_switch_trains_at_once_and_shows_something_else(open_page):
    at = open_page(PAGE, **SHORT)
    for change in (
        lambda: at.toggle(key="toy_stopgrad").set_value(True),
        lambda: at.button_group(key="toy_predictor").set_value("fixed"),
        lambda: at.button_group(key="toy_norm").set_value("none"),
        lambda: at.slider(key="toy_augmentation").set_value(0.4),
        lambda: at.select_slider(key="toy_rate").set_value(0.5),
        lambda: at.select_slider(key="toy_predictor_rate").set_value(2.0),
        lambda: at.select_slider(key="toy_decay").set_value(0.02),
        lambda: at.slider(key="toy_dim").set_value(5),
        lambda: at.number_input(key="toy_seed").set_value(9),
        lambda: at.select_slider(key="toy_steps").set_value(200),
    ):
        before = metrics(at)[1]
        if own(at).predictor == "fixed":
            at.button_group(key="toy_predictor").set_value("mlp").run()
        change().run()
        assert not at.exception
        # An mlp that keeps its weights does not hear of its own rate.
        assert metrics(at)[1] != before


def test_another_seed_is_drawn_on_request(open_page):
    at = open_page(PAGE, **SHORT)
    at.button(key="toy_seed_again").click().run()
    assert own(at).seed == at.number_input(key="toy_seed").value


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("nothing", {}),
        ("no-stop", {"stop_gradient": False}),
        ("no-predictor", {"predictor": "identity"}),
        ("neither", {"stop_gradient": False, "predictor": "identity"}),
        ("fixed", {"predictor": "fixed"}),
        ("linear", {"predictor": "linear"}),
        ("norm", {"stop_gradient": False, "batch_norm": "all"}),
    ],
)
def test_a_preset_sets_every_switch(open_page, code, changes):
    at = open_page(PAGE, toy_rate="0.05", toy_augmentation="0.5", toy_decay="0.0", **SHORT)
    at.button(key=f"toy_preset_{code}").click().run()
    assert not at.exception
    assert own(at) == replace(BASE, **changes)
    pressed = [b.key for b in at.button if b.proto.type == "primary"]
    assert pressed == [f"toy_preset_{code}"]


def test_equal_sides_are_said_to_be_equal(open_page):
    at = open_page(PAGE, toy_stopgrad="true", **SHORT)
    assert said(at, "Both sides are the same now")
    left, right = metrics(at)
    assert left == right
    assert not said(open_page(PAGE, **SHORT), "Both sides are the same now")


def test_the_timeline_moves_every_figure(open_page):
    at = open_page(PAGE, **SHORT)
    before = charts(at)
    at.select_slider(key="toy_step").set_value(0).run()
    assert not at.exception
    first = next(train(BASE))
    left, right = metrics(at)
    assert left == right == expected(first)
    after = charts(at)
    moved = [key for key in before if key.startswith("toy_") and before[key] != after[key]]
    assert set(moved) == {
        "toy_cloud",
        "toy_cloud_own",
        "toy_loss",
        "toy_std",
        "toy_rank",
        "toy_accuracy",
        "toy_spectrum",
        "toy_spectrum_own",
    }
    at.button(key="toy_step_on").click().run()
    assert at.select_slider(key="toy_step").value == stops(100)[1]


def test_curves_are_those_of_the_runs(open_page):
    found = charts(open_page(PAGE, **SHORT))
    for side, config in enumerate((BASE, replace(BASE, stop_gradient=False))):
        states = list(train(config))
        for key, name in (("loss", "loss"), ("std", "std"), ("rank", "rank"), ("accuracy",) * 2):
            y = found[f"toy_{key}"]["data"][side]["y"]
            np.testing.assert_allclose(values(y), [getattr(state, name) for state in states])
        cloud = found[("toy_cloud", "toy_cloud_own")[side]]["data"]
        assert len(cloud) == 5
        assert len({trace["marker"]["symbol"] for trace in cloud}) == 5
        np.testing.assert_allclose(
            values(cloud[2]["x"]), states[-1].plane[states[-1].labels == 2, 0]
        )
        lines = found[("toy_spectrum", "toy_spectrum_own")[side]]["data"]
        np.testing.assert_allclose(
            [values(line["y"])[-1] for line in lines], states[-1].eigenvalues, atol=1e-12
        )


def values(stored):
    """Numbers of a chart, which Plotly stores as they are or packed."""
    if isinstance(stored, dict):
        return np.frombuffer(base64.b64decode(stored["bdata"]), dtype=stored["dtype"])
    return np.array(stored, dtype=float)


def test_gains_are_shown_of_a_linear_predictor_alone(open_page):
    at = open_page(PAGE, toy_predictor="Learns (linear)", toy_stopgrad="true", **SHORT)
    lines = charts(at)["toy_gains"]["data"]
    last = end_of(replace(BASE, predictor="linear"))
    np.testing.assert_allclose([values(line["y"])[-1] for line in lines], last.gains)
    assert "toy_gains" not in charts(open_page(PAGE, **SHORT))


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("no-stop", "nothing is left to tell points apart"),
        ("no-predictor", "stopping the gradient only halves it"),
        ("neither", "twice the gradient"),
        ("fixed", "must be **trained**"),
        ("linear", "the spread falls first"),
        ("norm", "keeps every channel of z at variance 1"),
    ],
)
def test_a_question_is_answered_when_it_is_opened(open_page, code, words):
    at = open_page(PAGE, **SHORT)
    assert not said(at, words)
    trained = len(at.session_state["toy_runs"])
    at.session_state[f"toy_ask_{code}"] = True
    at.run()
    assert not at.exception
    assert said(at, words)
    assert len(at.session_state["toy_runs"]) >= trained
    at.button(key=f"toy_show_{code}").click().run()
    assert not at.exception
    primary = [b.key for b in at.button if b.proto.type == "primary"]
    assert primary == [f"toy_preset_{code}"]


def test_a_long_run_waits_for_a_click_and_shows_the_end(open_page):
    at = open_page(PAGE, toy_steps="1000")
    assert not at.metric
    at.button(key="toy_go").click().run()
    assert not at.exception
    left, _right = metrics(at)
    assert left == expected(end_of(ToyConfig(steps=1000)))
    assert "toy_go" not in [button.key for button in at.button]


def test_a_stopped_run_goes_on_where_it_stood(open_page):
    at = open_page(PAGE, toy_steps="1000")
    configs = ToyConfig(steps=1000), ToyConfig(steps=1000, stop_gradient=False)
    runs = [Run(config) for config in configs]
    for now in side_by_side(runs):
        if now.done > 100:
            break
    at.session_state["toy_runs"] = dict(zip(configs, runs, strict=True))
    at.run()
    assert said(at, f"Stopped after {now.done} of 1,000 steps")
    assert not at.metric
    at.button(key="toy_on").click().run()
    assert not at.exception
    assert metrics(at)[1] == expected(end_of(configs[1]))


def test_the_caption_says_what_differs(open_page):
    at = open_page(PAGE, toy_decay="0.01", toy_seed="2", **SHORT)
    words = said(at, "toy SimSiam, 632 parameters")
    for part in ("seed: 2", "steps: 100", "d = 4", "stop-gradient no", "weight decay 0.0100"):
        assert part in words
    assert "computed live" in words


def test_points_are_drawn_with_pairs_of_views(open_page):
    found = charts(open_page(PAGE, **SHORT))
    strong = charts(open_page(PAGE, toy_augmentation="2.0", **SHORT))
    assert len(found["toy_points_1"]["data"]) == 5 + 30
    assert found["toy_points_1"] == strong["toy_points_1"]
    assert found["toy_points_3"] != strong["toy_points_3"]


def test_few_runs_are_kept(open_page):
    at = open_page(PAGE, **SHORT)
    for code in ("no-predictor", "fixed", "linear", "norm", "no-stop"):
        at.session_state[f"toy_ask_{code}"] = True
    at.run()
    for seed in (1, 2):
        at.number_input(key="toy_seed").set_value(seed).run()
    assert not at.exception
    assert len(at.session_state["toy_runs"]) == 12


def test_it_speaks_french(open_page):
    at = open_page(PAGE, lang="fr", **SHORT)
    assert not at.exception
    assert len(at.metric) == 8
