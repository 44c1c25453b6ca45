"""Sets of runs that differ stay apart, in the address and in words; small numbers keep their value."""

import math
from types import SimpleNamespace

import pytest

from pages.shared import text
from pages.simsiam.parts import run_charts, runs

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


def test_the_error_of_a_difference_is_that_of_a_binomial():
    stats = pytest.importorskip("scipy.stats", reason="scipy is not installed")
    parts = ((0.3, 400), (0.25, 100))
    wanted = math.sqrt(sum(stats.binom(n, p).var() / n**2 for p, n in parts))
    assert run_charts.standard_error(*parts) == pytest.approx(wanted)


@pytest.mark.parametrize("spoken", ["en", "fr"])
@pytest.mark.parametrize("value", [9.8e-4, -3.21e-15, 6.02e23, 1.0, 9.96e-5])
def test_a_small_number_keeps_its_value_in_either_language(value, spoken, monkeypatch):
    monkeypatch.setattr(text, "language", lambda: spoken)
    factor, power = text.scientific(value, 2).split("\u00a0×\u00a010")
    plain = factor.replace("\N{MINUS SIGN}", "-").replace(",", ".")
    raised = int(power.translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")))
    assert float(plain) * 10.0**raised == pytest.approx(value, rel=5e-3)
    assert ("," in factor) is (spoken == "fr")
