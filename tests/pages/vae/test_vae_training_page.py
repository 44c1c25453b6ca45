"""Samples and training: pairs of test digits and reconstructions by epoch, the clock in words."""

import numpy as np
import pytest

from pages import from_noise
from pages.shared import library, loaders, training
from pages.shared.text import percent
from pages.vae import vae_training
from tests.pages.opening import answered, components, frames
from tests.pages.sentences import like

NAME = "vae-svhn"
FILM, PAIRS = "training_epoch_film", vae_training.IN_PAIRS.format(epoch="{t}")


def alts(at):
    return [cell["alt"] for row in components(at)[FILM]["rows"] for cell in row["cells"]]


def test_every_original_stands_above_what_was_made_of_it():
    originals = np.arange(5, dtype=np.uint8).reshape(5, 1, 1, 1) * np.ones((1, 2, 2, 3), np.uint8)
    made = np.stack([originals + 100, originals + 200])
    found = vae_training.in_pairs(originals, made, 2)
    assert found.shape == (2, 10, 2, 2, 3)
    assert found[0, :, 0, 0, 0].tolist() == [0, 1, 100, 101, 2, 3, 102, 103, 4, 104]
    assert found[1, :, 0, 0, 0].tolist() == [0, 1, 200, 201, 2, 3, 202, 203, 4, 204]


def test_reconstructions_are_shown_with_their_originals(open_page, own_bundle):
    at = open_page("vae_training")
    bundle = library.bundle(NAME)
    found, columns = frames(at, FILM, PAIRS), vae_training.COLUMNS
    assert len(found) == len(training.shots(bundle))
    rows = found.reshape(len(found), -1, 2, columns, 32, 32, 3)
    real = loaders.test_set_of(bundle).pictures[bundle.profiles["shown_rows"]]
    for shot, epoch in zip(rows, training.shots(bundle), strict=True):
        made = library.sheet(bundle, "reconstructions", epoch, training.SHEET)
        np.testing.assert_array_equal(shot[:, 0].reshape(-1, 32, 32, 3), real[: vae_training.PAIRS])
        np.testing.assert_array_equal(shot[:, 1].reshape(-1, 32, 32, 3), made[: vae_training.PAIRS])


def test_without_the_test_digits_they_are_offered_in_place(open_page):
    at = open_page("vae_training")
    assert alts(at) == ["Samples after epoch {t}", "Reconstructions after epoch {t}"]
    assert at.button(key="training_originals")


def test_an_old_link_still_opens(open_page):
    at = open_page("vae_training", training_real="true")
    assert alts(at) == alts(open_page("vae_training"))
    assert not [info for info in at.info if "link" in info.value]
    assert not at.error


def test_the_clock_says_seconds_per_epoch(open_page):
    history = [{"seconds_total": 60.0}, {"seconds_total": 100.0}, {"seconds_total": 150.0}]
    assert vae_training.seconds_by_epoch(history).tolist() == [60, 40, 50]
    at = open_page("vae_training")
    seconds = vae_training.seconds_by_epoch(library.bundle(NAME).history)
    said = [str(element.value) for element in at.markdown]
    assert any(f"**{np.median(seconds):,.1f} seconds per epoch**" in words for words in said)


def test_the_clock_in_words_agrees_with_the_clock_in_the_chart(open_page):
    minutes = library.bundle(NAME).history[-1]["seconds_total"] / 60
    said = [str(element.value) for element in open_page("vae_training").markdown]
    assert any(f"{minutes:.1f} minutes in all" in words for words in said)


# ---------------------------------------------------------------- digits, and blur


def answer(at):
    answered(at, "training_digits")
    return [str(element.value) for element in at.markdown]


def test_the_answer_is_what_the_classifier_measured(open_page, monkeypatch):
    bundle = library.bundle(NAME)
    figures = {"sure": 0.31, "sure_of_test": 0.87, "sharpness": 3.0, "sharpness_of_test": 6.0}
    monkeypatch.setitem(bundle.metrics, "judged", {"samples": figures})
    said = " ".join(answer(open_page("vae_training")))
    unchosen = from_noise.sure_sentence(bundle)
    assert [share in unchosen for share in (percent(0.31), percent(0.87))] == [True, True]
    assert unchosen in said
    assert vae_training.SHARPNESS.format(sharp="3.0", real="6.0", share=percent(0.5)) in said


@pytest.mark.parametrize("judged", [None, {}, {"samples": {"sharpness": "much"}}, 7])
def test_a_bundle_that_nobody_judged_has_the_rest_of_the_answer(open_page, monkeypatch, judged):
    monkeypatch.setitem(library.bundle(NAME).metrics, "judged", judged)
    said = " ".join(answer(open_page("vae_training")))
    assert not like(vae_training.SHARPNESS).search(said)
    assert like(vae_training.WHY_BLURRED).search(said)
