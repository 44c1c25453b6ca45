"""Likelihood: the parts of the bound, weights while K grows, averages over draws."""

import base64
import dataclasses
import json
import math

import numpy as np
import pytest

from core.pictures import house_number
from core.vae.explorer import VAEExplorer, WeightsAtK
from pages.shared import library, loaders
from pages.vae import likelihood
from pages.vae.parts import tightness
from tests.pages.drawn import charts
from tests.pages.opening import components, moved, opened

NAME = "vae-svhn"
BARS, ESTIMATE = "likelihood_bars", "likelihood_estimate"


@pytest.fixture
def picture():
    """The one that the page begins with."""
    return house_number.draw(house_number.HouseNumber())


@pytest.fixture
def evidence(picture):
    return loaders.vae(NAME).evidence(picture, draws=likelihood.DRAWS, seed=likelihood.SEED)


@pytest.fixture
def drawn(picture):
    levels, shown, seed = tightness.LEVELS, tightness.SHOWN, tightness.SEED
    return loaders.vae(NAME).weights(picture, levels=levels, shown=shown, seed=seed)


def metrics(at):
    return {one.label: one.value for one in at.metric}


def traces(at, place):
    """The curves of a Plotly figure by name; ``place`` counts from the first that is drawn."""
    figure = json.loads(at.get("plotly_chart")[place].proto.spec)
    return {trace["name"]: trace for trace in figure["data"] if trace.get("name")}


def values(numbers):
    """A list as Plotly writes it, in the figure's own JSON or packed."""
    if isinstance(numbers, dict):
        return np.frombuffer(base64.b64decode(numbers["bdata"]), numbers["dtype"])
    return np.array(numbers)


# ---------------------------------------------------------------- the parts of the bound


def test_the_gain_stands_under_the_figure_of_the_vae(open_page, evidence):
    gain = evidence.linear_nll - evidence.negative_elbo
    arrow = ":green[↓" if gain >= 0 else ":red[↑"
    said = [str(element.value) for element in open_page("likelihood").markdown]
    assert [one for one in said if one.startswith((":green", ":red"))] == [
        likelihood.against_linear(evidence)
    ]
    assert likelihood.against_linear(evidence).startswith(f"{arrow} {abs(gain):,.1f} nats]")


@pytest.mark.parametrize(("better", "said"), [(25.31, ":green[↓ 25.3"), (-5.0, ":red[↑ 5.0")])
def test_a_loss_is_said_as_a_loss(evidence, better, said):
    other = dataclasses.replace(evidence, linear_nll=evidence.negative_elbo + better)
    assert likelihood.against_linear(other).startswith(said)


def test_without_a_picture_the_stored_figures_stand(open_page):
    at = open_page("likelihood", likelihood_from="upload")
    assert not at.error
    assert BARS not in components(at)
    stored = library.bundle(NAME).metrics["importance_weighted"]
    assert values(traces(at, 0)["test pictures, mean"]["x"]).tolist() == [r["K"] for r in stored]


# ---------------------------------------------------------------- weights while K grows


def weights(K, shares, shown, size=1.0):
    shares = np.array(shares)
    return WeightsAtK(
        K, shares[:shown], float(shares[shown:].sum()), -2900.0, 2900.0, math.inf, size
    )


def test_bars_are_as_high_as_the_shares():
    shown = tightness.SHOWN
    many = np.arange(2 * shown, 0, -1.0)
    many /= many.sum()
    found = [weights(1, [1.0], shown), weights(2, [0.9, 0.1], shown), weights(64, many, shown)]
    one, rest, equal = tightness.bars_of(found)
    assert one.stops == rest.stops == equal.stops == [0, 1, 2, 64]
    tops, feet, gaps = one.y[:, 1::3], one.y[:, 0::3], one.y[:, 2::3]
    assert np.isnan(gaps).all()
    for series in (one, rest, equal):
        assert np.isnan(series.y[0]).all()
    assert tops[1, 0] == 1
    assert np.isnan(tops[1, 1:]).all()
    np.testing.assert_allclose(tops[2, :2], [0.9, 0.1])
    np.testing.assert_allclose(tops[3], many[:shown])
    assert (feet[~np.isnan(tops)] == 0).all()
    assert np.isnan(rest.y[1:3]).all()
    assert rest.y[3, 1] == pytest.approx(many[shown:].sum())
    np.testing.assert_allclose(equal.y[1:], [[1, 1], [1 / 2] * 2, [1 / 64] * 2])


def test_the_page_shows_the_weights_of_its_picture_at_once(open_page, drawn, evidence):
    at = open_page("likelihood")
    shown = charts(at)
    tops = shown[BARS].y["one weight"][1:, 1::3]
    for row, one in zip(tops, drawn, strict=True):
        np.testing.assert_allclose(row[: len(one.largest)], one.largest, atol=1e-4)
    rest = shown[BARS].y["all others together"][-1, 1]
    assert np.nansum(tops[-1]) + rest == pytest.approx(1, abs=1e-4)
    nll = shown[ESTIMATE].y[tightness.FROM_FIRST]
    np.testing.assert_allclose(nll, [one.nll for one in drawn], atol=1e-2)
    assert list(shown[ESTIMATE].levels.values()) == [pytest.approx(evidence.negative_elbo)]


def test_every_stop_says_how_many_draws_it_is_worth(open_page, drawn):
    hand = components(open_page("likelihood"))[f"{tightness.DRAWS_KEY}_hand"]
    assert hand["stops"] == [one.K for one in drawn]
    for said, one in zip(hand["words"]["stops"], drawn, strict=True):
        assert f"{one.K:,}" in said
        assert f"{one.effective_sample_size:.1f}" in said


def test_both_ways_to_average_are_shown_for_the_K_of_now(open_page, drawn):
    at = open_page("likelihood")
    for place in (-1, 4):
        one = drawn[place]
        moved(at, tightness.DRAWS_KEY, one.K)
        naive, kept = list(metrics(at).values())[-2:]
        assert naive == "−∞"
        assert kept == f"−{one.nll:,.1f}"
    assert at.query_params[tightness.DRAWS_KEY] == "16"
    said = [str(element.value) for element in at.markdown]
    assert any(f"exp(−{-one.log_largest:,.0f})" in words for words in said)
    assert any(f"**{one.largest[0]:.0%}**" in words for words in said)


def test_a_picture_is_weighed_once_for_all_visitors(monkeypatch):
    asked, weigh = [], VAEExplorer.weights

    def counted(self, picture, **request):
        asked.append(picture.tobytes())
        return weigh(self, picture, **request)

    monkeypatch.setattr(VAEExplorer, "weights", counted)
    for text in ("7", "7", "8"):
        opened("likelihood", likelihood_text=text)
    assert len(asked) == len(set(asked)) == 2


# ---------------------------------------------------------------- averages over draws


def test_the_click_adds_the_curve_of_the_picture(open_page, picture, evidence):
    at = open_page("likelihood", likelihood_k="100", likelihood_repeats="3")
    bundle = library.bundle(NAME)
    stored = bundle.metrics["importance_weighted"]
    bound, size = 1, 2  # after the balance
    gains = values(traces(at, bound)["test pictures, mean"]["y"])
    np.testing.assert_allclose(gains, [stored[0]["nll"] - row["nll"] for row in stored])
    sizes = values(traces(at, size)["test pictures, mean"]["y"])
    np.testing.assert_allclose(sizes, [row["effective_sample_size"] for row in stored])
    assert "this picture" not in traces(at, bound) | traces(at, size)

    at.button(key="likelihood_go").click().run()
    *_, curve = loaders.vae(NAME).bound_curve(picture, most=100, repeats=3, seed=0)
    own = values(traces(at, bound)["this picture"]["y"])
    wanted = [evidence.negative_elbo - point.nll for point in curve.points]
    np.testing.assert_allclose(own, wanted, atol=1e-2)
    np.testing.assert_allclose(values(traces(at, bound)["test pictures, mean"]["y"]), gains)
    assert "this picture" in traces(at, size)
    last = curve.points[-1]
    said = next(str(e.value) for e in at.markdown if "draws count" in str(e.value))
    assert f"{last.nll:,.1f}" in said
    at.number_input(key="likelihood_seed").set_value(1).run()
    assert "this picture" not in traces(at, bound) | traces(at, size)  # nothing drawn of that seed


def test_a_link_shows_the_curve_that_its_sender_saw(open_page):
    asked = {"likelihood_k": "10", "likelihood_repeats": "2", "likelihood_seed": "3"}
    at = open_page("likelihood", **asked)
    at.button(key="likelihood_go").click().run()
    seen = values(traces(at, 1)["this picture"]["y"])
    link = {name: at.query_params[name] for name in at.query_params}
    assert link["run"] == "1"
    other = open_page("likelihood", **link)
    np.testing.assert_array_equal(values(traces(other, 1)["this picture"]["y"]), seen)
    at.slider(key="likelihood_repeats").set_value(3).run()
    assert "run" not in at.query_params  # nobody has seen this one


def test_the_curve_of_the_settings_before_stays_pale_until_there_is_a_new_one(open_page):
    def words():
        return [one.value for one in at.info if "settings before" in one.value]

    at = open_page("likelihood", likelihood_k="10", likelihood_repeats="2")
    assert not words()
    at.button(key="likelihood_go").click().run()
    (drawn,) = [trace for name, trace in traces(at, 1).items() if name == "this picture"]
    assert drawn["opacity"] == 1
    assert not words()
    at.number_input(key="likelihood_seed").set_value(1).run()
    for place in (1, 2):
        assert traces(at, place)["the settings before"]["opacity"] < 0.5
    pale = traces(at, 1)["the settings before"]
    np.testing.assert_array_equal(values(pale["y"]), values(drawn["y"]))
    (line,) = words()
    assert "drawn house number 7, K up to 10, 2 repeats, seed 0" in line
    assert not any("draws count" in str(one.value) for one in at.markdown)  # they are said of now
    at.text_input(key="likelihood_text").set_value("5").run()
    assert words() == [line]  # the picture is one of the settings
    at.button(key="likelihood_go").click().run()
    assert not words()
    assert "the settings before" not in traces(at, 1) | traces(at, 2)
    assert traces(at, 1)["this picture"]["opacity"] == 1


def test_no_gain_is_claimed_where_there_is_none(evidence):
    point = tightness.BoundAtK(100, evidence.negative_elbo - 4.06, 0.6, 3.0)
    assert "**4.1**" in tightness.bound_words(point, 5, evidence)
    worse = dataclasses.replace(point, nll=evidence.negative_elbo + 0.5)
    assert "q(z|x)" not in tightness.bound_words(worse, 5, evidence)


def test_the_weights_begin_where_they_fill_their_axis_and_no_chart_writes_K_by_itself(open_page):
    shown = components(open_page("likelihood"))
    assert shown[f"{tightness.DRAWS_KEY}_hand"]["value"] == tightness.FIRST < tightness.SHOWN
    assert [shown[key]["now"] for key in ("likelihood_bars", "likelihood_estimate")] == ["", ""]
