"""Sets of runs that differ stay apart, in the address and in words; small numbers keep their value."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

from pages.shared import text
from pages.simsiam.parts import evidence, runs

SETTINGS = ("cifar10", "train", 10_000, 8, "strided", 256, 20)


def one_set(name, **changed):
    places = {"data": 0, "split": 1, "pictures": 2, "width": 3, "stem": 4, "hidden": 5, "epochs": 6}
    comparable = list(SETTINGS)
    for key, value in changed.items():
        comparable[places[key]] = value
    config = {
        "architecture": {"width": comparable[3]},
        "data": {"pictures": comparable[2]},
        "training": {"device": "CPU"},
    }
    bundle = SimpleNamespace(name=name, config=config)
    record = SimpleNamespace(
        bundle=bundle, comparable=tuple(comparable), epochs=range(comparable[6] + 1)
    )
    return {"baseline": record}


@pytest.mark.parametrize(
    "changed", [{"stem": "small"}, {"hidden": 512}, {"split": "other"}, {"epochs": 30}], ids=str
)
def test_sets_that_differ_have_two_codes_and_two_titles(changed):
    sets = [one_set("a"), one_set("b", **changed)]
    found = {runs.code_of(one): one for one in sets}
    assert len(found) == 2
    assert len(set(runs.titles(found).values())) == 2


def test_a_set_has_the_same_code_whichever_bundle_comes_first():
    assert runs.code_of(one_set("a")) == runs.code_of(one_set("b"))


# ---------------------------------------------------------------- chance


@pytest.fixture
def stats():
    return pytest.importorskip("scipy.stats", reason="scipy is not installed")


def test_the_error_of_a_difference_is_that_of_a_binomial(stats):
    parts = ((0.3, 400), (0.25, 100))
    wanted = math.sqrt(sum(stats.binom(n, p).var() / n**2 for p, n in parts))
    assert evidence.standard_error(*parts) == pytest.approx(wanted)


def test_two_networks_right_together_differ_less_than_the_error_says(stats):
    """On the same pictures the paired error is smaller: a difference beyond the other one is beyond it."""
    rng = np.random.default_rng(0)
    ease = rng.uniform(size=(2000, 1))
    first, second = (rng.uniform(size=(2000, 2)) < ease).T
    paired = stats.sem(first.astype(float) - second, ddof=0)
    shares = [(float(right.mean()), len(right)) for right in (first, second)]
    assert paired < evidence.standard_error(*shares)


def test_chance_between_seeds_is_that_of_normal_draws(stats):
    values = [0.50, 0.52, 0.51]
    assert evidence.deviation(values) == pytest.approx(stats.tstd(values))
    assert evidence.deviation(values[:2]) is None
    # Of two runs: the standard deviation of a difference of two draws, twice.
    of_a_difference = stats.norm(scale=0.01 * math.sqrt(2)).std()
    shares = [(0.5, 10**9)] * 2
    assert evidence.margin(shares, 0.01) == pytest.approx(2 * of_a_difference)
    # Few pictures say less than the seeds do.
    few = [(0.5, 25)] * 2
    assert evidence.margin(few, 0.01) == evidence.margin(few, None)
    wanted = 2 * math.sqrt(2) * stats.binom(25, 0.5).std() / 25
    assert evidence.margin(few, None) == pytest.approx(wanted)


def ended(knn, probe=None, seed=0, name="a"):
    test = {"knn_accuracy": knn, "linear_accuracy": probe or knn, "queries": 10_000}
    bundle = SimpleNamespace(name=name, metrics={"test": test}, config={"seed": seed})
    return SimpleNamespace(bundle=bundle, recipe="baseline", seed=seed)


def test_a_difference_is_one_only_beyond_the_seeds():
    first, second = ended(0.55), ended(0.53)
    assert evidence.Chance().verdict("knn_accuracy", first, second) == 1
    assert evidence.Chance().verdict("knn_accuracy", second, first) == -1
    seeds = [ended(share) for share in (0.53, 0.545, 0.56)]
    assert evidence.Chance(seeds[:2]).verdict("knn_accuracy", first, second) == 1
    assert evidence.Chance(seeds).verdict("knn_accuracy", first, second) == 0
    assert evidence.Chance(seeds).verdict("knn_accuracy", ended(0.6), second) == 1
    assert evidence.Chance().verdict("knn_accuracy", ended(0.535), second) == 0


@pytest.mark.parametrize(
    ("knn", "probe", "words"),
    [
        ((0.5, 0.4), (0.5, 0.4), "ends above"),
        ((0.4, 0.5), (0.4, 0.5), "ends below"),
        ((0.5, 0.5), (0.5, 0.4), "the linear probe differs"),
        ((0.5, 0.4), (0.5, 0.5), "the kNN accuracy differs"),
        ((0.5, 0.4), (0.4, 0.5), "the two measures disagree"),
        ((0.5, 0.5), (0.5, 0.5), "cannot be told apart"),
    ],
)
def test_no_sentence_contradicts_one_of_its_two_measures(knn, probe, words):
    first, second = (ended(*both) for both in zip(knn, probe, strict=True))
    assert words in evidence.compared(first, second, evidence.Chance())


def test_seeds_of_a_run_differ_from_it_in_the_seed_alone(monkeypatch):
    def record(name, seed, **changed):
        config = {
            "seed": seed,
            "architecture": {"dim": 16},
            "training": {"seed": seed, "learning_rate": 0.1, **changed},
        }
        bundle = SimpleNamespace(name=name, config=config)
        return SimpleNamespace(bundle=bundle, recipe="baseline", seed=seed, comparable=SETTINGS)

    held = {one.bundle.name: one for one in (record("c", 2), record("a", 0), record("b", 1))}
    held["d"] = record("d", 3, learning_rate=0.2)
    monkeypatch.setattr(runs.guests, "is_guest", lambda name: False)
    monkeypatch.setattr(runs.loaders, "run", held.__getitem__)
    entries = [SimpleNamespace(name=name) for name in held]
    monkeypatch.setattr(runs.library, "require_bundles", lambda family: entries)
    assert [one.bundle.name for one in runs.seeds_of(held["a"])] == ["a", "b", "c"]
    assert [one.bundle.name for one in runs.seeds_of(held["d"])] == ["d"]


@pytest.mark.parametrize("spoken", ["en", "fr"])
@pytest.mark.parametrize("value", [9.8e-4, -3.21e-15, 6.02e23, 1.0, 9.96e-5])
def test_a_small_number_keeps_its_value_in_either_language(value, spoken, monkeypatch):
    monkeypatch.setattr(text, "language", lambda: spoken)
    factor, power = text.scientific(value, 2).split("\u00a0×\u00a010")
    plain = factor.replace("\N{MINUS SIGN}", "-").replace(",", ".")
    raised = int(power.translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")))
    assert float(plain) * 10.0**raised == pytest.approx(value, rel=5e-3)
    assert ("," in factor) is (spoken == "fr")
