"""Undo an attack: what the page shows is what the core computes."""

import numpy as np
import pytest

from core.ddpm.explorer import SamplerSettings
from core.pictures.house_number import HouseNumber, draw
from pages.ddpm.undo_an_attack import (
    DRAWS,
    OF_THE_TEST_SET,
    ONE_EXAMPLE,
    PURIFIED,
    SHARES,
    STILL_READ,
)
from pages.shared import library, loaders
from tests.pages.opening import components, frames
from tests.pages.sentences import like

NAME = "ddpm-svhn-1000"
PICTURE = draw(HouseNumber())


def said(at, sentence, **values):
    texts = [*at.markdown, *at.info, *at.caption, *at.error, *at.warning]
    found = (like(sentence, **values).search(str(one.value)) for one in texts)
    return next((match[0] for match in found if match), "")


def test_whether_the_judge_still_reads_the_digit_is_what_it_says(open_page):
    judge = loaders.judge()
    before = judge.judge(PICTURE[None])
    attacked = judge.attack(PICTURE[None], before.digit, "pgd")
    fooled = judge.judge(attacked).digit[0] != before.digit[0]
    none = open_page("undo_an_attack", purify_levels="0")
    assert said(none, STILL_READ, digit=before.digit[0])
    assert bool(said(open_page("undo_an_attack"), STILL_READ)) is not bool(fooled)


@pytest.mark.parametrize("levels", [4, 16])
def test_the_attack_is_that_of_its_size(open_page, levels):
    at = open_page("undo_an_attack", purify_levels=str(levels))
    judge = loaders.judge()
    label = judge.judge(PICTURE[None]).digit
    wanted = judge.attack(PICTURE[None], label, "pgd", levels=levels)
    found = frames(at, "attack_film", "The attacked picture")
    np.testing.assert_array_equal(found, wanted)
    assert np.abs(found[0].astype(int) - PICTURE).max() == levels


def test_purified_accuracies_are_the_stored_ones(open_page):
    stored = library.bundle(NAME).metrics["judged"]["purification"]
    shares = {of: f"{100 * stored[f'accuracy_{of}']:.1f}%" for of in ("clean", "pgd")}
    assert said(open_page("undo_an_attack"), PURIFIED, **shares)


def test_the_picture_is_said_to_be_one_example_of_many(open_page):
    at = open_page("undo_an_attack", purify_seed="3")
    assert said(at, ONE_EXAMPLE, first=3, last=3 + DRAWS - 1)
    bundle = library.bundle(NAME)
    best = float(bundle.profiles["purified_pgd"].max())
    count = bundle.metrics["judged"]["purification"]["pictures"]
    assert said(at, f"{ONE_EXAMPLE} {OF_THE_TEST_SET}", count=count, back=f"{best:.0%}")


def test_the_levels_reach_to_where_a_picture_is_lost(open_page):
    """The page asks where the digit is lost: the t* of its first picture is 520."""
    stops = components(open_page("undo_an_attack"))["purify_t_hand"]["stops"]
    assert stops[0] == 20
    assert stops[-2:] == [500, 600]


def test_what_moves_with_t_is_what_came_back_from_there(open_page):
    at = open_page("undo_an_attack", purify_levels="16")
    judge = loaders.judge()
    label = judge.judge(PICTURE[None]).digit
    attacked = judge.attack(PICTURE[None], label, "pgd", levels=16)
    levels = [round(share * 1000) - 1 for share in SHARES]
    *_, whole = loaders.ddpm(NAME).restore(SamplerSettings("ddim", 50), attacked, levels, DRAWS, 0)
    assert components(at)["purify_t_hand"]["stops"] == (whole.t + 1).tolist()
    (row,) = components(at)["purify_film"]["rows"]
    seen = judge.judge(whole.now[0])
    for which, cell in enumerate(row["cells"]):
        np.testing.assert_array_equal(
            frames(at, "purify_film", cell["alt"]), whole.now[0, :, which]
        )
        marks = [words.split()[:2] for words in cell["label"]]
        digits = seen.digit[:, which]
        assert marks == [["✓" if digit == label[0] else "✗", str(digit)] for digit in digits]
