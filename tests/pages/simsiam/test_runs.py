"""Sets of runs that differ stay apart, in the address and in words; small numbers keep their value."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

from pages.shared import text
from pages.simsiam.parts import evidence, run_charts, runs
from tests.pages.sentences import like

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


def with_accuracies(name, **accuracies):
    bundle = SimpleNamespace(name=name)
    return {
        recipe: SimpleNamespace(bundle=bundle, figures={"test_knn_accuracy": np.array([0.1, end])})
        for recipe, end in accuracies.items()
    }


def test_the_best_set_holds_all_recipes_and_is_no_guests(monkeypatch):
    monkeypatch.setattr(runs.guests, "is_guest", lambda name: name == "guest")
    narrow = with_accuracies("narrow", baseline=0.3, heavy=0.2)
    wide = with_accuracies("wide", baseline=0.6)
    guest = with_accuracies("guest", baseline=0.9, heavy=0.9)
    among = [narrow, wide, guest]
    assert runs.best_with(["baseline"], among) is wide
    assert runs.best_with(["baseline", "heavy"], among) is narrow
    assert runs.best_with(["byol"], among) is None


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


def test_chance_between_seeds_is_that_of_few_normal_draws(stats):
    values = [0.50, 0.52, 0.51]
    wanted = stats.t.ppf(0.975, 2) * stats.tstd(values)
    assert evidence.between_trainings(values) == pytest.approx(wanted)
    assert evidence.between_trainings(values[:2]) is None
    shares = [(0.5, 10**9)] * 2
    assert evidence.margin(shares, 0.01) == pytest.approx(0.01 * math.sqrt(2))
    # Few pictures say less than the seeds do.
    few = [(0.5, 25)] * 2
    assert evidence.margin(few, 0.01) == evidence.margin(few, None)
    wanted = 2 * math.sqrt(2) * stats.binom(25, 0.5).std() / 25
    assert evidence.margin(few, None) == pytest.approx(wanted)


def test_two_trainings_are_told_apart_falsely_in_one_case_of_twenty():
    """Of all pairs that differ in their seed alone, with a margin of three other seeds."""
    rng = np.random.default_rng(0)
    shares = [(0.5, 10**12)] * 2
    draws = rng.normal(0.5, 0.01, (4000, 5))
    beyond = [
        abs(first - second) > evidence.margin(shares, evidence.between_trainings(seeds))
        for first, second, *seeds in draws
    ]
    assert 0.04 < np.mean(beyond) < 0.06


def ended(knn, probe=None, seed=0, name="a"):
    test = {"knn_accuracy": knn, "linear_accuracy": probe or knn, "queries": 10_000, "bank": 50_000}
    bundle = SimpleNamespace(name=name, metrics={"test": test}, config={"seed": seed})
    return SimpleNamespace(bundle=bundle, recipe="baseline", seed=seed, right=nothing_kept)


def nothing_kept(_measure, _epoch=-1):
    return None


def answered(right, epochs_right=(), tested_on="test"):
    """A finished run that keeps which pictures it names right: bool (n,) at the end, and by epoch."""
    share = float(np.mean(right))
    test = {"knn_accuracy": share, "linear_accuracy": share, "queries": len(right), "bank": 9}
    data = {"test_fingerprint": tested_on}
    bundle = SimpleNamespace(metrics={"test": test}, config={"seed": 0, "data": data})

    def kept(measure, epoch=-1):
        return epochs_right[epoch] if measure == "knn_by_epoch" else right

    shares = np.array([np.mean(one) for one in epochs_right])
    return SimpleNamespace(
        bundle=bundle, right=kept, queries=len(right), figures={"test_knn_accuracy": shares}
    )


@pytest.mark.parametrize("only_first", [0, 60, 110, 300])
def test_runs_that_keep_their_answers_are_told_apart_as_by_mcnemar(stats, only_first):
    """On 2,000 pictures, 80 of which the second run alone names right."""
    first, second = np.zeros((2, 2000), bool)
    first[:900] = second[:900] = True
    first[900 : 900 + only_first], second[1300:1380] = True, True
    statistic = (only_first - 80) ** 2 / (only_first + 80)
    surely = stats.chi2.sf(statistic, 1) < stats.chi2.sf(4, 1)
    found = evidence.Chance().verdict("knn_accuracy", answered(first), answered(second))
    assert found == (np.sign(only_first - 80) if surely else 0)


def test_a_pair_finds_a_difference_that_counts_alone_do_not_show():
    first, second = np.zeros((2, 2000), bool)
    first[:1000], second[:970] = True, True
    runs_ = [answered(first), answered(second)]
    assert evidence.Chance().verdict("linear_accuracy", *runs_) == 1
    for one in runs_:
        one.right = nothing_kept
    assert evidence.Chance().verdict("linear_accuracy", *runs_) == 0


def test_runs_tested_on_other_pictures_are_no_pair():
    right = np.arange(100) % 2 == 0
    alike = answered(right), answered(~right)
    assert evidence.by_picture("knn_accuracy", alike) is not None
    assert evidence.by_picture("knn_accuracy", [alike[0], answered(right, (), "other")]) is None
    assert evidence.by_picture("knn_accuracy", [alike[0], answered(right[:50])]) is None
    unknown = [answered(right, (), None), answered(right, (), None)]
    assert evidence.by_picture("knn_accuracy", unknown) is None


def test_what_two_pairs_change_by_is_compared_by_picture():
    """Where all four are right together nothing is left to chance."""
    right = np.arange(400) % 3 == 0
    four = [answered(right) for _run in range(4)]
    assert evidence.Chance().margin("knn_accuracy", *four) == 0
    four[1] = answered(~right)
    assert evidence.Chance().margin("knn_accuracy", *four) == pytest.approx(2 / 20)


def test_a_run_is_above_its_start_by_its_own_pictures():
    before, after = np.zeros((2, 2000), bool)
    before[:970], after[:1000] = True, True
    record = answered(after, (before, after))
    assert run_charts.above_random(record, 1) == "above"
    record.right = nothing_kept
    assert run_charts.above_random(record, 1) == "chance"


def by_epoch(record, share, queries=1000, bank=3000):
    record.figures = {"test_knn_accuracy": np.array([0.2, share])}
    record.queries, record.bank = queries, bank
    return record


def test_chance_in_words_counts_the_pictures_of_the_figures_it_speaks_about():
    record = by_epoch(ended(0.5), 0.4)
    final = evidence.chance_in_words(record, evidence.Chance())
    counts = (("10,000", "50,000"), ("1,000", "3,000"))
    over = [evidence.OVER_PICTURES.format(pictures=all_, bank=bank) for all_, bank in counts]
    assert [evidence.over_pictures(record, k) for k in ("knn_accuracy", "knn_by_epoch")] == over
    assert like(evidence.FIGURES_OVER, knn=over[0], probe="10,000").match(final)
    curve = evidence.chance_in_words(record, evidence.Chance(), "knn_by_epoch")
    assert like(evidence.FIGURES_OVER, knn=over[1], probe="10,000").match(curve)


def test_runs_are_compared_by_the_accuracy_that_is_asked_for():
    first, second = by_epoch(ended(0.5, 0.3), 0.2), by_epoch(ended(0.3, 0.3), 0.5)
    for knn, x, y in (("knn_accuracy", "50.0%", "30.0%"), ("knn_by_epoch", "20.0%", "50.0%")):
        words = evidence.comparison(first, second, evidence.Chance(), knn)
        assert like(evidence.COMPARED["knn alone"], x=x, y=y).fullmatch(words)


def test_the_words_say_how_many_pairs_of_trainings():
    seeds = [ended(share) for share in (0.53, 0.545, 0.56)]
    words = evidence.chance_in_words(seeds[0], evidence.Chance(seeds))
    assert like(evidence.CHANCE_OF_SEEDS, sure="95%", points="9.1").search(words)


def test_a_difference_is_one_only_beyond_the_seeds():
    first, second = ended(0.55), ended(0.53)
    assert evidence.Chance().verdict("knn_accuracy", first, second) == 1
    assert evidence.Chance().verdict("knn_accuracy", second, first) == -1
    seeds = [ended(share) for share in (0.53, 0.545, 0.56)]
    assert evidence.Chance(seeds[:2]).verdict("knn_accuracy", first, second) == 1
    assert evidence.Chance(seeds).verdict("knn_accuracy", first, second) == 0
    assert evidence.Chance(seeds).verdict("knn_accuracy", ended(0.63), second) == 1
    assert evidence.Chance().verdict("knn_accuracy", ended(0.535), second) == 0


@pytest.mark.parametrize(
    ("knn", "probe", "words"),
    [
        ((0.5, 0.4), (0.5, 0.4), "above"),
        ((0.4, 0.5), (0.4, 0.5), "below"),
        ((0.5, 0.5), (0.5, 0.4), "probe alone"),
        ((0.5, 0.4), (0.5, 0.5), "knn alone"),
        ((0.5, 0.4), (0.4, 0.5), "disagree"),
        ((0.5, 0.5), (0.5, 0.5), "alike"),
    ],
)
def test_no_sentence_contradicts_one_of_its_two_measures(knn, probe, words):
    first, second = (ended(*both) for both in zip(knn, probe, strict=True))
    sentence = like(evidence.COMPARED[words])
    assert sentence.fullmatch(evidence.comparison(first, second, evidence.Chance()))


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
