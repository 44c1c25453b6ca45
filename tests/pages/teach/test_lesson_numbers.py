"""Numbers in texts: they come from a bundle's plain data, in the reader's language, and from nowhere else."""

import pytest

from core.errors import AtelierError
from pages.shared import text
from pages.teach import numbers
from pages.teach.fields import Place
from pages.teach.lesson import Lesson, Step, Words
from pages.teach.numbers import Figures, check_numbers, fill, filled, value_at

FOUND = Figures(
    config={"training": {"epochs": 20, "device": "CPU"}, "heavy": True},
    metrics={
        "test": {"knn_accuracy": 0.2941, "kl": -21.52, "large": 2880.4, "small": 0.000984},
        "before": {"test_knn_accuracy": 0.208},
        "quartiles": [299.0, 399.0, 499.0],
        "rows": [{"K": 1}, {"K": 1000}],
        "nan": float("nan"),
        "none": None,
    },
    history=[
        {"epoch": 1, "train_loss": -0.1, "test_knn_accuracy": 0.2},
        {"epoch": 2, "train_loss": -0.5655, "test_knn_accuracy": 0.283},
    ],
)


def resolve(name):
    return FOUND if name in ("baseline", "vae-svhn") else None


@pytest.fixture
def spoken(monkeypatch):
    def speak(code):
        monkeypatch.setattr(text, "language", lambda: code)
        monkeypatch.setattr(numbers, "language", lambda: code)

    speak("en")
    return speak


WRITTEN = {
    "{baseline.metrics.test.kl}": ("−21.5", "−21,5"),
    "{baseline.metrics.test.kl:.2f}": ("−21.52", "−21,52"),
    "{baseline.metrics.test.large:.0f}": ("2,880", "2\u202f880"),
    "{baseline.metrics.test.knn_accuracy:.1%}": ("29.4%", "29,4\u202f%"),
    "{baseline.metrics.test.small:.1e}": ("9.8\u00a0×\u00a010⁻⁴", "9,8\u00a0×\u00a010⁻⁴"),
    "{baseline.config.training.epochs}": ("20", "20"),
    "{baseline.metrics.quartiles.1:.0f}": ("399", "399"),
    "{baseline.metrics.rows.1.K}": ("1,000", "1\u202f000"),
    "{baseline.history.1.train_loss:.1f}": ("−0.1", "−0,1"),
    "{baseline.history.first.train_loss:.1f}": ("−0.1", "−0,1"),
    "{baseline.history.last.train_loss:.2f}": ("−0.57", "−0,57"),
    "{baseline.loss}": ("−0.57", "−0,57"),
    "{baseline.knn}": ("28.3%", "28,3\u202f%"),
    "{baseline.knn:.0%}": ("28%", "28\u202f%"),
    "{baseline.knn_before}": ("20.8%", "20,8\u202f%"),
    "{vae-svhn.knn_all} and {baseline.knn}": ("29.4% and 28.3%", "29,4\u202f% and 28,3\u202f%"),
    "no number": ("no number", "no number"),
}


@pytest.mark.parametrize("template", WRITTEN)
def test_a_number_is_written_as_the_reader_s_language_does(template, spoken):
    for code, wanted in zip(("en", "fr"), WRITTEN[template], strict=True):
        spoken(code)
        assert filled(template, resolve) == wanted


@pytest.mark.parametrize(
    "path",
    [
        "config",
        "metrics",
        "history",
        "history.last",
        "history.3.train_loss",
        "history.-1.train_loss",
        "history.__len__",
        "metrics.nan",
        "metrics.none",
        "metrics.test",
        "metrics.test.nowhere",
        "metrics.test.kl.real",
        "metrics.test.__class__",
        "metrics.__class__.__mro__",
        "metrics.quartiles",
        "metrics.quartiles.3",
        "metrics.quartiles.-1",
        "metrics.quartiles.00000000000000000001",
        "config.training.device",
        "config.training.device.0",
        "config.heavy",
        "profiles.test_nll",
        "path",
        "__dict__",
    ],
)
def test_whatever_is_no_number_of_the_bundle_is_refused(path, spoken):
    assert value_at(FOUND, path) is None
    with pytest.raises(AtelierError):
        filled(f"{{baseline.{path}}}", resolve)


def test_an_attribute_cannot_be_reached(spoken):
    class Told(dict):
        secret = 1.0

    found = Figures({}, Told(a=2.0), [])
    assert value_at(found, "metrics.a") == 2.0
    assert value_at(found, "metrics.secret") is None


@pytest.mark.parametrize(
    "template", ["{0}", "{baseline}", "{baseline.a!r}", "{a[0].b}", "{a.b:>9}"]
)
def test_other_braces_are_left_as_they_are(template):
    """The reader of lessons refuses them; were they to come here, nothing would be formatted."""
    assert filled(template, resolve) == template


def test_a_wrong_name_is_said_with_step_and_field(spoken):
    words = Words("{baseline.knn}", "{other.knn}")
    assert fill(words, Place(3, "say"), resolve) == "28.3%"
    spoken("fr")
    with pytest.raises(AtelierError, match=r"Step 3 .* say: .*other\.knn") as caught:
        fill(words, Place(3, "say"), resolve)
    assert "\n" not in str(caught.value)
    step = Step("collapse", 1, words)
    with pytest.raises(AtelierError, match="Step 1 "):
        check_numbers(Lesson("a", 1, Words("a", "b"), (step,)), resolve)
