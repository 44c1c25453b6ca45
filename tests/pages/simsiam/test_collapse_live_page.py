"""The toy SimSiam on its page: what is shown is what was trained, and every switch shows."""

import base64
import json
from dataclasses import replace
from functools import lru_cache
from xml.etree import ElementTree

import numpy as np
import pytest

from core.resumable import Resumable
from core.simsiam.slow_motion import slow_motion
from core.simsiam.toy import Run, ToyConfig, parameters, sample, side_by_side, stops, train
from pages.shared import library, live
from pages.simsiam import collapse_live
from pages.simsiam.parts import (
    runs,
    toy_questions,
    toy_settings,
    toy_steps,
    toy_training,
    toy_verdicts,
)
from pages.simsiam.parts.toy_charts import SIDES, drawn_cloud
from tests.pages.drawn import charts
from tests.pages.opening import answered, bytes_at, components, moved
from tests.pages.sentences import like, refusal

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


def said(at, sentence, **values):
    """The text with that sentence in it."""
    texts = [*at.markdown, *at.info, *at.caption, *at.error, *at.warning]
    wanted = like(sentence, **values)
    return next((str(e.value) for e in texts if wanted.search(str(e.value))), "")


def verdict_said(at, side, verdict):
    words = toy_verdicts.VERDICTS[verdict]
    return said(at, toy_verdicts.SAID, run=SIDES[side], verdict=words)


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
    return library.answers("toy", toy_training.KEPT)


def marked(at):
    return [button.key for button in at.button if button.proto.type == "primary"]


def test_it_opens_with_the_stop_gradient_taken_away(open_page):
    at = open_page(PAGE)
    assert own(at) == ToyConfig(stop_gradient=False)
    left, right = metrics(at)
    assert left == expected(end_of(ToyConfig()))
    assert right == expected(end_of(ToyConfig(stop_gradient=False)))
    assert not said(at, toy_questions.LOWER_AND_WORSE)  # asked first
    answered(at, "toy_learnt")
    assert not said(at, toy_questions.LOWER_AND_WORSE)
    answered(at, "toy_learnt", "right")
    assert said(at, toy_questions.LOWER_AND_WORSE)
    assert verdict_said(at, 0, "learnt")
    assert verdict_said(at, 1, "point")


def test_a_link_restores_every_switch(open_page):
    at = open_page(
        PAGE,
        toy_stopgrad="true",
        toy_predictor=toy_settings.PREDICTORS["linear"],
        toy_norm=toy_settings.NORMS["all"],
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
    predictor = f"predictor: {toy_settings.PREDICTORS['linear']}"
    norm = f"batch normalisation: {toy_settings.NORMS['all']}"
    for part in (
        f"{parameters(wanted)} parameters",
        "seed: 3",
        "steps: 100",
        "d = 6",
        toy_settings.ON_THE_RIGHT.format(changed=f"{predictor}, {norm}"),
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
        assert bool(said(at, toy_questions.BOTH_THE_SAME)) is (not changes)
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
        name = SIDES[side]
        for code in ("loss", "std", "rank", "accuracy"):
            y = found[f"toy_{code}"].y[name]
            same(y, [getattr(state, code) for state in states])
        _circle, *classes = found[("toy_cloud", "toy_cloud_own")[side]].series()
        assert len(classes) == len({one["symbol"] for one, _x, _y in classes}) == 5
        _third, x, y = classes[2]
        for j, state in enumerate(states):
            same(np.stack([x[j], y[j]], -1), state.plane[state.labels == 2])
        eigenvalues = found[("toy_spectrum", "toy_spectrum_own")[side]].y
        same(list(eigenvalues.values()), np.stack([state.eigenvalues for state in states], 1))


def same(shown, wanted):
    np.testing.assert_allclose(shown, np.asarray(wanted), rtol=1e-6, atol=1e-7)


def values(stored):
    """Numbers of a chart, which Plotly stores as they are or packed."""
    if isinstance(stored, dict):
        return np.frombuffer(base64.b64decode(stored["bdata"]), dtype=stored["dtype"])
    return np.array(stored, dtype=float)


def test_an_answer_is_about_the_runs_on_the_screen(open_page):
    at = answered(open_page(PAGE, **SHORT), "toy_learnt", "right")
    assert said(at, toy_verdicts.SAID, run=SIDES[1])
    at.button(key="toy_preset_no-predictor").click().run()
    assert not at.exception
    assert at.button_group(key="toy_learnt_own").value is None
    assert not said(at, toy_verdicts.SAID, run=SIDES[1])
    moved(answered(at, "toy_learnt", "left"), "toy_step", 0)
    assert said(at, toy_verdicts.SAID, run=SIDES[1])  # the same runs at another step


def test_what_stands_above_is_not_asked_below(open_page):
    at = open_page(PAGE, **SHORT)
    asked = {key for key in CHANGES if f"toy_ask_{key}" in at.session_state}
    assert asked == CHANGES.keys() - {"no-stop", "nothing"}
    waiting = open_page(PAGE, toy_steps="1000")  # not trained yet
    assert "toy_ask_no-stop" in waiting.session_state


DEFAULTS = {
    "no-stop": "point",
    "no-predictor": "point",
    "neither": "point",
    "fixed": "unconverged",
    "linear": "learnt",
    "norm": "few",
}
"""What the words of every answer say."""


def test_a_question_is_answered_when_its_visitor_has_answered(open_page):
    at = open_page(PAGE, toy_stopgrad="true", toy_seed="4", toy_dim="6", **SHORT)
    for code, own_answer in (
        ("no-predictor", "point"),
        ("neither", "learns"),
        ("fixed", "neither"),
        ("linear", "back"),
        ("norm", "rank"),
        ("no-stop", "Unknown"),
    ):
        _asked, words = toy_questions.QUESTIONS[code]
        answered(at, f"toy_ask_{code}")
        assert not said(at, words)
        answered(at, f"toy_ask_{code}", own_answer)
        assert said(at, words)
        assert told_right(at, own_answer) == (code not in ("neither", "no-stop"))
        end = end_of(ToyConfig(**CHANGES[code]))  # whatever the switches say
        told = said(at, toy_verdicts.end_words(toy_settings.PRESETS[code][0], end, 4))
        assert toy_verdicts.VERDICTS[DEFAULTS[code]] in told
        assert said(at, toy_questions.TRAINED_WITH, seed=0, d=4, steps=400)
    at.button(key="toy_show_linear").click().run()
    assert not at.exception
    shared = replace(BASE, seed=4, dim=6)
    assert metrics(at)[1] == expected(end_of(replace(shared, predictor="linear")))
    assert marked(at) == ["toy_preset_linear"]


def told_right(at, own_answer):
    """Whether the page says that an answer is right."""
    options = toy_questions.FATES
    for others in toy_questions.OPTIONS.values():
        options = {**others, **options}
    return f"Right: {options.get(own_answer)}" in [one.value for one in at.success]


def test_the_side_that_learnt_more_is_named_unless_chance_could_do_it(open_page):
    at = answered(open_page(PAGE, **SHORT), "toy_learnt", "left")
    right = f"Right: {toy_questions.SIDES_NAMED['left']}"
    assert [one.value for one in at.success] == [right]
    at.button_group(key="toy_learnt_own").set_value("right").run()
    assert not at.success
    assert said(at, right)
    first = end_of(ToyConfig(steps=1))
    assert toy_questions.better(first, replace(first, accuracy=first.accuracy + 0.05)) == "alike"
    assert toy_questions.better(first, replace(first, accuracy=1.0)) == "right"
    assert toy_questions.learnt_more(first, first, 4) == {"alike"}
    fallen = replace(first, std=0.0)  # to one place, with as many right neighbours
    assert toy_questions.learnt_more(first, fallen, 4) == set()


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
    assert not at.metric
    assert "toy_go" not in [button.key for button in at.button]
    at.button(key="toy_on").click().run(timeout=PATIENCE)
    assert not at.exception
    assert shared_runs().get(configs[1]) is runs[1]
    assert metrics(at)[1] == expected(runs[1].states[-1])
    assert runs[1].finished


def test_a_cloud_in_training_is_drawn_where_it_will_stand():
    state = end_of(BASE)
    drawn = ElementTree.fromstring(drawn_cloud(state, "step 100", 1.25))
    svg = "{http://www.w3.org/2000/svg}"
    circle, classes = drawn.find(f"{svg}circle"), drawn.findall(f"{svg}g")
    dots = [dot for one in classes for dot in one]
    middle = np.array([float(circle.get("cx")), float(circle.get("cy"))])
    unit = float(circle.get("r"))
    places = np.array([[float(dot.get("cx")), float(dot.get("cy"))] for dot in dots])
    found = (places - middle) / (unit, -unit)
    np.testing.assert_allclose(found, state.plane, atol=0.1 / unit)
    assert len({one.get("fill") for one in classes}) == len(classes) == 5
    _x, _y, width, height = map(float, drawn.get("viewBox").split())
    assert 2 * 1.25 * unit == pytest.approx(width - 22, abs=0.1)
    assert middle[1] + 1.25 * unit <= height


# ---------------------------------------------------------------- several seeds


def points_said(count):
    """That all these seeds of the visitor's switches collapse to a point."""
    return f"**{SIDES[1]}:** {toy_verdicts.COUNTED['point'].format(count=count, all=count)}."


def test_seeds_are_trained_on_a_click_and_once_for_all_visitors(open_page, monkeypatch):
    monkeypatch.setattr(toy_verdicts, "SEEDS", range(2))
    short = {"toy_steps": "100"}
    at = open_page(PAGE, **short)
    assert not said(at, " of 2 ")
    at.button(key="toy_seeds_go").click().run(timeout=PATIENCE)
    assert not at.exception
    ends = [end_of(replace(BASE, seed=seed, stop_gradient=False)) for seed in range(2)]
    found = [toy_verdicts.verdict(end, 4) for end in ends]
    assert found == ["point", "point"]
    assert said(at, points_said(2))
    again = open_page(PAGE, **short, run="1")
    assert said(again, points_said(2))


def test_seeds_that_were_stopped_stay_and_count_their_work_alone(open_page, monkeypatch):
    monkeypatch.setattr(toy_verdicts, "SEEDS", range(2))
    own_config = replace(BASE, stop_gradient=False)
    at = open_page(PAGE, **SHORT)
    work = Resumable(toy_verdicts.over_seeds(own_config))
    steps = work.advance()
    for _run in range(3):
        now = next(steps)
    steps.close()
    ends = [end_of(replace(c, seed=s)) for c, s in ((BASE, 0), (own_config, 0), (BASE, 1))]
    assert (len(now.plain), len(now.own)) == (2, 1)
    assert now.seconds == sum(state.seconds for state in (*now.plain, *now.own))
    library.answers("toy_seeds", live.MOST_KEPT).put(own_config, work)
    at.run()
    assert not at.exception
    counts = toy_verdicts.tally_of_ends([ends[0], ends[2]], 4)
    assert said(at, f"**SimSiam:** {counts}.")
    assert said(at, points_said(1))
    at.button(key="toy_seeds_on").click().run(timeout=PATIENCE)
    assert said(at, points_said(2))


def test_fates_are_counted_the_most_frequent_one_first():
    healthy, fallen = end_of(ToyConfig()), end_of(replace(BASE, stop_gradient=False))
    assert toy_verdicts.verdict(healthy, 4) == "learnt"
    words = toy_verdicts.tally_of_ends([fallen, healthy, fallen], 4)
    counts = (("point", 2), ("learnt", 1))
    told = (toy_verdicts.COUNTED[code].format(count=count, all=3) for code, count in counts)
    assert words == ", ".join(told)


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
        ({}, ["baseline", "no-stop-gradient"]),
        ({"toy_stopgrad": "true"}, ["baseline"]),
        ({"toy_predictor": "None"}, ["baseline", "neither"]),
        ({"toy_stopgrad": "true", "toy_predictor": "None"}, ["baseline", "no-predictor"]),
        ({"toy_predictor": "Fixed, random"}, ["baseline"]),
    ],
)
def test_real_runs_with_the_same_switches_stand_below(open_page, query, expected):
    at = open_page(PAGE, **query)
    (table,) = [frame.value for frame in at.dataframe if "kNN before" in frame.value]
    assert list(table["run"]) == [runs.LOOKS[recipe].name for recipe in expected]
    missing = any(info.value == collapse_live.NO_REAL_RUN for info in at.info)
    assert missing == (query.get("toy_predictor") == "Fixed, random")
    states = dict(zip(table["run"], table["state"], strict=True))
    assert states.pop("SimSiam (baseline)") == "spread out"
    assert set(states.values()) <= {"collapsed"}


def test_without_runs_the_toy_still_trains(open_page, monkeypatch, tmp_path):
    monkeypatch.setenv("ATELIER_CHECKPOINTS", str(tmp_path))
    at = open_page(PAGE)
    missing = refusal("no-bundle", family="simsiam")
    assert any(missing.search(error.value) for error in at.error)
    assert len(at.metric) == 8


# ---------------------------------------------------------------- slow motion

SLOW = {"toy_view": "step"}
PARTS = ("z", "p", "asked", "predicts", "target")


@lru_cache
def moments(code, seed=0):
    return tuple(slow_motion(toy_steps.config_of(code, seed)))


def slow_figure(at):
    """What the figure was given: its spec, and (networks, stops, parts of two views, pairs)."""
    spec = components(at)["toy_slow"]
    numbers = np.frombuffer(bytes_at(spec["address"]), "<f4")
    shape = (len(spec["networks"]), len(spec["stops"]), 2 * len(PARTS), spec["pairs"])
    return spec, numbers.reshape(shape)


@pytest.mark.parametrize("compared", toy_steps.CODES)
def test_arrows_of_the_slow_motion_are_those_of_core(open_page, compared):
    spec, numbers = slow_figure(open_page(PAGE, toy_compare=compared, **SLOW))
    codes = toy_steps.CODES[compared]
    assert [one["code"] for one in spec["networks"]] == list(codes)
    assert spec["stops"] == list(range(61))
    points = toy_steps.points_shown()
    for place, code in enumerate(codes):
        run = moments(code)
        panel = spec["networks"][place]
        assert panel["stopped"] is toy_steps.config_of(code).stop_gradient
        assert panel["predictor"] is (toy_steps.config_of(code).predictor == "mlp")
        np.testing.assert_allclose(panel["spread"], [one.spread for one in run], rtol=1e-5)
        np.testing.assert_allclose(panel["towards"], [one.towards for one in run])
        for step in (0, 7, 60):
            wanted = np.concatenate([getattr(run[step], part)[:, points] for part in PARTS])
            np.testing.assert_allclose(numbers[place, step], wanted, atol=1e-5)


def test_slow_motion_says_what_its_networks_do_at_this_step(open_page):
    at = open_page(PAGE, toy_slow_step="12", **SLOW)
    plain, other = (f"{moments(code)[12].spread:.2f}" for code in ("plain", "no-stop"))
    assert float(other) < 0.5 < float(plain)
    ends = [f"{moments(code)[-1].spread:.2f}" for code in ("plain", "no-stop")]

    def spread(step, *numbers):
        names = (toy_steps.NETWORKS[code][0] for code in ("plain", "no-stop"))
        spreads = (" ".join(both) for both in zip(names, numbers, strict=True))
        return toy_steps.SPREAD_AFTER.format(step=step, spreads=", ".join(spreads))

    words = spread(12, plain, other)
    assert said(at, spread(60, *ends)) == said(at, words)
    assert said(at, words)
    moved(at, "toy_slow_step", 0)
    assert not said(at, words)
    assert said(at, toy_steps.SPREAD_AFTER, step=0)
    at.button_group(key="toy_compare").set_value("predictor").run()
    share = f"{100 * moments('plain')[0].towards:.0f}%"
    assert said(at, toy_steps.NO_PREDICTOR, step=0, share=share, all="100%")


@pytest.mark.parametrize("compared", toy_steps.CODES)
def test_the_rule_is_told_only_where_the_clouds_obey_it(compared):
    found = {code: moments(code) for code in toy_steps.CODES[compared]}
    rule = toy_steps.RULES[tuple(found)]
    assert rule in toy_steps.step_words(compared, found, 12)
    for at, factor, fate in (
        (slice(None), 0.05, "shrinks"),
        (slice(20, 40), 0.5, "returns"),
        (slice(40, None), 0.5, "between"),
    ):
        spreads = np.array([one.spread for one in found["plain"]])
        spreads[at] *= factor
        spreads[0] = found["plain"][0].spread
        other = tuple(
            replace(one, spread=float(spread))
            for one, spread in zip(found["plain"], spreads, strict=True)
        )
        told = toy_steps.step_words(compared, {**found, "plain": other}, 12)
        assert toy_steps.FATES[fate].format(names=toy_steps.NETWORKS["plain"][0]) in told
        assert rule not in told


def test_both_halves_come_with_the_link(open_page):
    assert slow_figure(open_page(PAGE, **SLOW))[0]["halves"] is False
    at = open_page(PAGE, toy_halves="1", **SLOW)
    assert slow_figure(at)[0]["halves"] is True
    assert "".join(at.query_params["toy_halves"]) == "1"
    wrong = open_page(PAGE, toy_halves="2", **SLOW)
    assert slow_figure(wrong)[0]["halves"] is False


def test_the_lens_comes_with_the_link(open_page):
    assert slow_figure(open_page(PAGE, **SLOW))[0]["near"] is False
    at = open_page(PAGE, toy_near="1", **SLOW)
    assert slow_figure(at)[0]["near"] is True
    assert "".join(at.query_params["toy_near"]) == "1"


def test_another_seed_and_another_pair_are_others(open_page):
    at = open_page(PAGE, toy_pair="3", **SLOW)
    spec, numbers = slow_figure(at)
    assert spec["value"] == 3
    at.number_input(key="toy_slow_seed").set_value(1).run()
    assert not at.exception
    assert not np.allclose(slow_figure(at)[1], numbers)


def test_the_first_pair_of_a_seed_is_one_like_most(open_page):
    at = open_page(PAGE, **SLOW)
    for seed in (0, 1, 2):
        at.number_input(key="toy_slow_seed").set_value(seed).run()
        spec, _numbers = slow_figure(at)
        run = toy_steps.moments("plain", seed)
        point = toy_steps.points_shown()[spec["value"]]
        cosines = np.cos(run[-1].p[0] - run[-1].z[1])
        assert cosines[point] > 0.7  # the prediction has learnt
        low, high = np.quantile(cosines, [0.2, 0.95])
        assert low < cosines[point] <= high + 1e-3
        assert "toy_pair" not in at.query_params
    at.session_state["toy_pair"] = 9
    at.number_input(key="toy_slow_seed").set_value(1).run()
    assert slow_figure(at)[0]["value"] == 9  # the visitor's own choice stays


def test_switches_are_kept_while_the_slow_motion_is_shown(open_page):
    at = open_page(PAGE, toy_decay="0.001", **SHORT)
    before = own(at)
    at.button_group(key="toy_view").set_value("step").run()
    assert not at.metric
    at.button_group(key="toy_view").set_value("train").run()
    assert not at.exception
    assert own(at) == before
    assert before.weight_decay == 0.001


def test_what_is_compared_is_kept_while_the_training_is_shown(open_page):
    at = open_page(PAGE, toy_compare="predictor", toy_slow_seed="3", toy_pair="5", **SLOW, **SHORT)
    before = slow_figure(at)
    at.button_group(key="toy_view").set_value("train").run()
    assert at.metric
    at.run()
    at.button_group(key="toy_view").set_value("step").run()
    assert not at.exception
    after = slow_figure(at)
    assert [one["code"] for one in after[0]["networks"]] == ["plain", "no-predictor"]
    assert after[0]["value"] == before[0]["value"] == 5
    np.testing.assert_array_equal(after[1], before[1])


def test_a_question_follows_the_slow_motion(open_page):
    at = open_page(PAGE, toy_slow_seed="5", **SLOW)
    answered(at, "toy_slow_ask")
    assert not said(at, toy_steps.TWO_PARTS)
    answered(at, "toy_slow_ask", "not-led")
    assert said(at, toy_steps.TWO_PARTS)
    numbers = said(at, "Seed 0:")
    for code in toy_steps.NETWORKS:
        assert f"{moments(code)[-1].spread:.2f}" in numbers


def test_the_arrows_of_the_cosine_are_restored_and_kept(open_page):
    at = open_page(PAGE, toy_cosine_p_angle="-30", toy_cosine_z_length="1.5", **SLOW)
    spec = components(at)["toy_cosine_hand"]
    assert spec["value"] == [-30.0, 1.2, 20.0, 1.5]
    assert spec["pull"]
    at.session_state["toy_cosine_z_angle"] = 90.0
    at.run()
    assert components(at)["toy_cosine_hand"]["value"] == [-30.0, 1.2, 90.0, 1.5]
    assert "".join(at.query_params["toy_cosine_z_angle"]) == "90"


def test_what_becomes_of_the_clouds_is_said_after_the_answer(open_page):
    rule = toy_steps.RULES[toy_steps.CODES["stop"]]

    def told(at):
        words = "\n".join(str(one.value) for one in at.markdown)
        return rule in words, {b.proto.expanded for b in at.expander if b.label == "How it works"}

    at = open_page(PAGE, **SLOW)
    assert told(at) == (False, {False})
    shown, unfolded = told(answered(at, "toy_slow_ask", "punished"))
    assert shown
    assert unfolded == {True}
