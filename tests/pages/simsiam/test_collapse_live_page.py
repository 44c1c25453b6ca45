"""The toy SimSiam on its page: what is shown is what was trained, and every switch shows."""

import base64
import json
from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest

from core.simsiam.toy import Run, ToyConfig, parameters, sample, side_by_side, stops, train
from pages.shared import library
from pages.simsiam import collapse_live
from tests.pages.drawn import charts
from tests.pages.opening import answered, moved

PAGE = "collapse_live"
SHORT = {"toy_steps": "100"}
BASE = ToyConfig(steps=100)
CHANGES = {
    "linear": {"predictor": "linear"},
    "no-stop": {"stop_gradient": False},
    "no-predictor": {"predictor": "identity"},
    "norm": {"stop_gradient": False, "batch_norm": "all"},
    "neither": {"stop_gradient": False, "predictor": "identity"},
    "fixed": {"predictor": "fixed"},
    "nothing": {},
}
PATIENCE = 300
"""Seconds for a run that is not trained at once, on a machine that has other work."""


@lru_cache
def states_of(config):
    return tuple(train(config))


def end_of(config):
    return states_of(config)[-1]


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


def plots(at):
    """Charts that no timeline moves."""
    return {
        chart.proto.id.split("-")[-1]: json.loads(chart.proto.spec)
        for chart in at.get("plotly_chart")
    }


def own(at):
    """What the right side was trained with, while no question is open."""
    return shared_runs().requests()[-1]


def shared_runs():
    return library.kept("toy", collapse_live.KEPT)


def marked(at):
    return [button.key for button in at.button if button.proto.type == "primary"]


def test_it_opens_with_the_stop_gradient_taken_away(open_page):
    at = open_page(PAGE)
    assert own(at) == ToyConfig(stop_gradient=False)
    left, right = metrics(at)
    assert left == expected(end_of(ToyConfig()))
    assert right == expected(end_of(ToyConfig(stop_gradient=False)))
    assert not said(at, "lower on the right")  # asked first
    answered(at, "toy_learnt")
    assert not said(at, "lower on the right")
    answered(at, "toy_learnt", "right")
    assert said(at, "lower on the right, and the representation worse")
    assert "Verdict: learnt" in said(at, "SimSiam: loss")
    assert "Verdict: collapse to a point" in said(at, "Your switches: loss")


def test_a_link_restores_every_switch(open_page):
    at = open_page(
        PAGE,
        toy_stopgrad="true",
        toy_predictor="Learns (linear)",
        toy_norm="Hidden layers and z",
        toy_augmentation="0.5",
        toy_rate="0.05",
        toy_predictor_rate="10.0",
        toy_decay="0.001",
        toy_seed="3",
        toy_dim="6",
        **SHORT,
    )
    shared = replace(BASE, seed=3, dim=6)
    wanted = replace(
        shared,
        predictor="linear",
        batch_norm="all",
        augmentation=0.5,
        learning_rate=0.05,
        predictor_rate=10.0,
        weight_decay=0.001,
    )
    assert own(at) == wanted
    left, right = metrics(at)
    assert left == expected(end_of(shared))
    assert right == expected(end_of(wanted))
    gains = charts(at)["toy_gains"].y.values()
    np.testing.assert_allclose([y[-1] for y in gains], end_of(wanted).gains, rtol=1e-6)
    words = said(at, "toy SimSiam")
    for part in (
        f"{parameters(wanted)} parameters",
        "seed: 3",
        "steps: 100",
        "d = 6",
        "on the right predictor: Learns (linear), batch normalisation: Hidden layers and z",
        "augmentation: 0.5",
        "learning rate: 0.05",
        "predictor's rate: × 10.0",
        "weight decay: 0.0010",
        "computed live",
    ):
        assert part in words


def test_a_switch_trains_at_once_and_shows_something_else(open_page):
    at = open_page(PAGE, **SHORT)
    for change, alone in (
        (lambda: at.toggle(key="toy_stopgrad").set_value(True), True),
        (lambda: at.select_slider(key="toy_predictor_rate").set_value(2.0), True),
        (lambda: at.button_group(key="toy_predictor").set_value("fixed"), True),
        (lambda: at.button_group(key="toy_norm").set_value("none"), True),
        (lambda: at.slider(key="toy_augmentation").set_value(0.4), True),
        (lambda: at.select_slider(key="toy_rate").set_value(0.5), True),
        (lambda: at.select_slider(key="toy_decay").set_value(0.02), True),
        (lambda: at.slider(key="toy_dim").set_value(5), False),
        (lambda: at.number_input(key="toy_seed").set_value(9), False),
        (lambda: at.select_slider(key="toy_steps").set_value(200), False),
    ):
        left, right = metrics(at)
        change().run()
        assert not at.exception
        assert metrics(at)[1] != right
        assert (metrics(at)[0] == left) is alone
    at.button(key="toy_seed_again").click().run()
    assert own(at).seed == at.number_input(key="toy_seed").value


def test_a_preset_sets_every_switch(open_page):
    at = open_page(
        "collapse_live", toy_rate="0.05", toy_augmentation="0.5", toy_decay="0.0", **SHORT
    )
    for code, changes in CHANGES.items():
        at.button(key=f"toy_preset_{code}").click().run()
        assert not at.exception
        assert own(at) == replace(BASE, **changes)
        assert marked(at) == [f"toy_preset_{code}"]
        left, right = metrics(at)
        assert (left == right) is (not changes)
        assert bool(said(at, "Both sides are the same now")) is (not changes)
        assert ("toy_gains" in charts(at)) is (code == "linear")


def test_the_timeline_moves_every_figure(open_page):
    at = open_page(PAGE, **SHORT)
    before = {key: one.spec for key, one in charts(at).items()}
    along = {"toy_loss", "toy_std", "toy_rank", "toy_accuracy", "toy_spectrum", "toy_spectrum_own"}
    assert set(before) == along | {"toy_cloud", "toy_cloud_own"}
    assert {spec["timeline"] for spec in before.values()} == {"toy_step"}
    assert {key for key, spec in before.items() if spec["along"]} == along
    for key in ("toy_cloud", "toy_cloud_own"):
        circle, *classes = before[key]["series"]
        assert circle["stops"] is None
        assert all(one["stops"] == stops(100) for one in classes)
    for step in (0, stops(100)[1]):
        moved(at, "toy_step", step)
        sides = [
            states_of(config)[stops(100).index(step)]
            for config in (BASE, replace(BASE, stop_gradient=False))
        ]
        assert list(metrics(at)) == [expected(state) for state in sides]
        assert {key: one.spec for key, one in charts(at).items()} == before  # sent once
        assert "".join(at.query_params["toy_step"]) == str(step)


def test_curves_are_those_of_the_runs(open_page):
    found = charts(open_page(PAGE, **SHORT))
    for side, config in enumerate((BASE, replace(BASE, stop_gradient=False))):
        states = states_of(config)
        name = collapse_live.SIDES[side]
        for code in ("loss", "std", "rank", "accuracy"):
            y = found[f"toy_{code}"].y[name]
            same(y, [getattr(state, code) for state in states])
        cloud = found[("toy_cloud", "toy_cloud_own")[side]]
        classes = cloud.spec["series"][1:]
        assert len(classes) == len({one["symbol"] for one in classes}) == 5
        for j, state in enumerate(states):
            same(cloud.points["class 3"][j], state.plane[state.labels == 2])
        eigenvalues = found[("toy_spectrum", "toy_spectrum_own")[side]].y
        same(list(eigenvalues.values()), np.stack([state.eigenvalues for state in states], 1))


def same(shown, wanted):
    np.testing.assert_allclose(shown, np.asarray(wanted), rtol=1e-6, atol=1e-7)


def values(stored):
    """Numbers of a chart, which Plotly stores as they are or packed."""
    if isinstance(stored, dict):
        return np.frombuffer(base64.b64decode(stored["bdata"]), dtype=stored["dtype"])
    return np.array(stored, dtype=float)


def test_a_question_is_answered_when_it_is_opened(open_page):
    at = open_page(PAGE, **SHORT)
    for code, words in (
        ("no-predictor", "stopping the gradient only halves it"),
        ("neither", "the very same run"),
        ("fixed", "must be **trained**"),
        ("linear", "the spread falls first"),
        ("norm", "keeps every channel of z at variance 1"),
        ("no-stop", "nothing is left to tell points apart"),
    ):
        assert not said(at, words)
        at.session_state[f"toy_ask_{code}"] = True
        at.run()
        assert not at.exception
        assert said(at, words)
        assert said(at, f"loss {expected(end_of(replace(BASE, **CHANGES[code])))[0]}, std")
    at.button(key="toy_show_linear").click().run()
    assert not at.exception
    assert metrics(at)[1] == expected(end_of(replace(BASE, predictor="linear")))
    assert marked(at) == ["toy_preset_linear"]


def test_a_long_run_waits_for_a_click_and_shows_the_end(open_page):
    at = open_page(PAGE, toy_steps="1000")
    assert not at.metric
    at.button(key="toy_go").click().run(timeout=PATIENCE)
    assert not at.exception
    left, _right = metrics(at)
    run = shared_runs().get(ToyConfig(steps=1000))
    assert run.states[-1].step == 1000
    assert left == expected(run.states[-1])
    assert "toy_go" not in [button.key for button in at.button]


def test_a_stopped_run_goes_on_where_it_stood(open_page):
    at = open_page(PAGE, toy_steps="1000")
    configs = ToyConfig(steps=1000), ToyConfig(steps=1000, stop_gradient=False)
    runs = [Run(config) for config in configs]
    for now in side_by_side(runs):
        if now.done > 500:
            break
    for config, run in zip(configs, runs, strict=True):
        shared_runs().put(config, run)
    at.run()
    assert said(at, f"{now.done} of 1,000 steps are done")
    both = plots(at)[f"toy_live_{now.done}"]["data"]
    np.testing.assert_allclose(values(both[5]["x"]), now.states[1].plane[:40, 0])
    assert not at.metric
    at.button(key="toy_on").click().run(timeout=PATIENCE)
    assert not at.exception
    assert shared_runs().get(configs[1]) is runs[1]
    assert metrics(at)[1] == expected(runs[1].states[-1])
    assert runs[1].finished


def test_points_are_drawn_with_pairs_of_views(open_page):
    found = plots(open_page(PAGE, **SHORT))
    strong = plots(open_page(PAGE, toy_augmentation="2.0", **SHORT))
    drawn = sample(replace(BASE, stop_gradient=False))
    for key, (i, j) in (("toy_points_1", (0, 1)), ("toy_points_3", (2, 3))):
        *classes, pairs = found[key]["data"]
        np.testing.assert_allclose(values(classes[1]["y"]), drawn.x[drawn.labels == 1, j])
        ends = values(pairs["x"]).reshape(-1, 3), values(pairs["y"]).reshape(-1, 3)
        assert len(ends[0]) == 30
        np.testing.assert_allclose(ends[0][0], [*drawn.views[:, 0, i], np.nan])
        np.testing.assert_allclose(ends[1][-1], [*drawn.views[:, -1, j], np.nan])
    assert found["toy_points_3"] != strong["toy_points_3"]


def test_another_visitor_gets_the_runs_that_are_trained_already(open_page):
    open_page(PAGE, **SHORT)
    runs = {config: shared_runs().get(config) for config in shared_runs().requests()}
    states = {config: list(run.states) for config, run in runs.items()}
    open_page(PAGE, **SHORT)
    assert set(shared_runs().requests()) == set(runs)
    for config, run in runs.items():
        assert shared_runs().get(config) is run
        assert [state.step for state in run.states] == [state.step for state in states[config]]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, ["SimSiam (baseline)", "no stop-gradient"]),
        ({"toy_stopgrad": "true"}, ["SimSiam (baseline)"]),
        ({"toy_predictor": "None"}, ["SimSiam (baseline)", "no stop-gradient, no predictor"]),
        ({"toy_stopgrad": "true", "toy_predictor": "None"}, ["SimSiam (baseline)", "no predictor"]),
        ({"toy_predictor": "Fixed, random"}, ["SimSiam (baseline)"]),
    ],
)
def test_real_runs_with_the_same_switches_stand_below(open_page, query, expected):
    at = open_page(PAGE, **query)
    (table,) = [frame.value for frame in at.dataframe if "kNN before" in frame.value]
    assert list(table["run"]) == expected
    missing = any("No real run here" in info.value for info in at.info)
    assert missing == (query.get("toy_predictor") == "Fixed, random")
    states = dict(zip(table["run"], table["state"], strict=True))
    assert states.pop("SimSiam (baseline)") == "spread out"
    assert set(states.values()) <= {"collapsed"}


def test_without_runs_the_toy_still_trains(open_page, monkeypatch, tmp_path):
    monkeypatch.setenv("ATELIER_CHECKPOINTS", str(tmp_path))
    at = open_page(PAGE)
    assert any("No bundle of the family simsiam" in error.value for error in at.error)
    assert len(at.metric) == 8
