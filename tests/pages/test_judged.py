"""The digit classifier: it looks at the same pictures once, whoever shows them."""

import numpy as np
import pytest

from core.judge.explorer import JudgeExplorer
from core.pictures.house_number import HouseNumber, draw
from pages.shared import loaders


@pytest.fixture
def looked_at(monkeypatch):
    """How many pictures the classifier was shown, call by call."""
    counts, judge = [], JudgeExplorer.judge

    def counting(explorer, pictures):
        counts.append(int(np.prod(pictures.shape[:-3])))
        return judge(explorer, pictures)

    monkeypatch.setattr(JudgeExplorer, "judge", counting)
    return counts


@pytest.mark.parametrize("page", ["vae_and_ddpm", "undo_an_attack", "ddpm_lengths"])
def test_a_second_visitor_asks_the_classifier_nothing(open_page, looked_at, page):
    open_page(page)
    assert looked_at
    looked_at.clear()
    open_page(page)
    assert not looked_at


def test_its_answers_are_those_to_these_pictures_in_their_order(looked_at):
    pictures = np.stack([draw(HouseNumber(text=text)) for text in "123456"])
    expected = loaders.judge().judge(pictures)
    looked_at.clear()
    for shown, p in (
        (pictures, expected.p),
        (pictures.reshape(2, 3, 32, 32, 3), expected.p.reshape(2, 3, -1)),
        (pictures[::-1], expected.p[::-1]),
    ):
        for _visitor in range(2):
            np.testing.assert_allclose(loaders.verdicts(shown).p, p, atol=1e-5)
    assert looked_at == [6, 6, 6]


def test_figures_of_samples_rest_on_its_answers():
    pictures = np.stack([draw(HouseNumber(text=text)) for text in "123456"])
    judge = loaders.judge()
    for sure_from in (0.2, 0.9):
        alone = judge.quality(pictures, sure_from=sure_from)
        known = judge.quality(pictures, sure_from=sure_from, seen=loaders.verdicts(pictures))
        assert (alone.sure, alone.diversity, alone.frechet) == pytest.approx(
            (known.sure, known.diversity, known.frechet)
        )
        np.testing.assert_array_equal(alone.digits, known.digits)
