"""Interpolation: what is said of a path follows its figures, and links keep their ends."""

import base64
import json
from pathlib import Path

import numpy as np
import pytest

from core.pictures.house_number import HouseNumber, draw
from core.vae.explorer import Walk
from pages.shared import loaders
from pages.vae import interpolation
from tests.pages.opening import frames, moved
from tests.pages.sentences import like

NAME = "vae-svhn"
EMBEDDED = Path(__file__).parents[3] / "checkpoints"
STRAIGHT = interpolation.ALTS["linear"]


def walk(change, norm):
    n = len(norm)
    return Walk(
        "linear",
        np.zeros((n, 32, 32, 3), np.uint8),
        np.zeros((n, 4)),
        np.array(norm, dtype=float),
        np.array(change, dtype=float),
    )


@pytest.mark.parametrize(
    ("change", "word", "ratio"),
    [([1, 1, 1], "smooth", "1.00"), ([1, 2, 1], "smooth", "1.50"), ([0, 3, 0], "a jump", "3.00")],
)
def test_a_path_is_called_what_its_largest_step_says(change, word, ratio):
    words = interpolation.verdict(walk(change, [1, 1, 1, 1]))
    expected = "uneven" if ratio == "1.50" else word  # from the limit on
    assert expected in words
    assert f"{ratio} times" in words
    assert "3, a single jump" in words


@pytest.mark.parametrize(
    ("straight", "around", "said"),
    [
        (1.7, 2.0, "both"),
        (1.5, 2.0, "spherical"),
        (1.2, 1.5, "neither"),
        (2.4, 2.6, "straight"),
        (1.5, 2.6, "neither"),
    ],
)
def test_the_path_to_take_is_the_one_that_stays_with_the_prior(straight, around, said):
    """Of four units: draws from the prior have length 2, and 1.6 and 2.5 are the limits."""
    ways = (walk([1, 1], [2, middle, 2]) for middle in (straight, around))
    words = interpolation.which_to_take(*ways)
    assert words.endswith(f" {interpolation.VERDICTS[said]}")
    assert like(interpolation.LENGTHS, straight=straight, around=around, root="2.0").match(words)


def test_of_ends_is_said_only_what_holds_for_both():
    def said(*ends):
        first, last = ends
        return interpolation.which_to_take(*(walk([1, 1], [first, m, last]) for m in (0.9, 1.2)))

    assert interpolation.VERDICTS["not even the ends"] in said(1.0, 1.5)
    assert interpolation.VERDICTS["neither"] in said(0.5, 1.9)


# ---------------------------------------------------------------- a path and a mixture


def painted(*levels):
    """A walk whose pictures are grey throughout, of these levels."""
    pictures = np.ones((len(levels), 2, 2, 3), np.uint8) * np.reshape(levels, (-1, 1, 1, 1))
    return Walk("linear", pictures.astype(np.uint8), np.zeros((3, 4)), np.zeros(3), np.zeros(2))


@pytest.mark.parametrize(("middle", "seen"), [(106, True), (102, False)])
def test_a_lesson_is_drawn_only_from_pictures_that_differ(middle, seen):
    words = interpolation.against_mixing(painted(50, middle, 150), painted(50, middle + 20, 150))
    sentence = interpolation.UNLIKE if seen else interpolation.ALIKE
    assert words == sentence.format(levels=f"{middle - 100}.0", kinds="20.0")


def numbers(first, second):
    return np.stack(
        [draw(HouseNumber(text=t, rotation=r)) for t, r in (("3", first), ("8", second))]
    )


def ends_of(at):
    shown = frames(at, "interpolation_film", STRAIGHT)
    return shown[[0, -1]].astype(int)


def test_with_the_embedded_model_the_first_figure_shows_what_is_said(open_page, monkeypatch):
    monkeypatch.setenv("ATELIER_CHECKPOINTS", str(EMBEDDED))
    at = open_page("interpolation")
    assert any(like(interpolation.UNLIKE).search(str(one.value)) for one in at.markdown)
    straight, around = (walk.pictures for walk in decoded(numbers(-25, 25)))
    mixture = (straight[0].astype(float) + straight[-1]) / 2
    assert interpolation.levels_between(straight[25], mixture) > interpolation.SEEN
    assert interpolation.levels_between(straight[25], around[25]) > 20
    np.testing.assert_allclose(ends_of(at), straight[[0, -1]], atol=1)


def decoded(pictures):
    explorer = loaders.vae(NAME)
    ends = [explorer.encode(one[None]).mean[0] for one in pictures]
    return [explorer.walk(*ends, 51, kind) for kind in interpolation.KINDS]


# ---------------------------------------------------------------- the ends of a link


def leans(at):
    return [at.slider(key=f"interpolation_{end}_rotation").value for end in "ab"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, [-25, 25]),
        ({"interpolation_w": "30"}, [-25, 25]),
        ({"interpolation_b_rotation": "10"}, [-25, 10]),
        ({"interpolation_a_rotation": "0", "interpolation_b_rotation": "0"}, [0, 0]),
    ],
)
def test_house_numbers_lean_unless_a_link_says_how_they_stand(open_page, query, expected):
    assert leans(open_page("interpolation", **query)) == expected


def test_a_link_brings_the_numbers_as_they_lean(open_page):
    at = open_page("interpolation")
    moved(at, "interpolation_w", 30)
    link = {name: at.query_params[name] for name in at.query_params if name != "lang"}
    assert set(link) == {"interpolation_w"}
    np.testing.assert_array_equal(ends_of(open_page("interpolation", **link)), ends_of(at))


def test_a_step_of_a_lesson_begins_as_the_page_does(open_page):
    at = open_page("interpolation", lesson="vae-45", step="4")
    np.testing.assert_allclose(ends_of(at), decoded(numbers(-25, 25))[0].pictures[[0, -1]], atol=1)


# ---------------------------------------------------------------- charts


def test_the_chart_has_the_steps_that_the_verdict_counts(open_page):
    at = open_page("interpolation", interpolation_n="6")
    (found,) = [
        c.proto for c in at.get("plotly_chart") if c.proto.id.endswith("interpolation_change")
    ]
    linear, spherical = decoded(numbers(-25, 25))
    for trace, one in zip(json.loads(found.spec)["data"], (linear, spherical), strict=True):
        sent = trace["y"]
        drawn = np.frombuffer(base64.b64decode(sent["bdata"]), sent["dtype"])
        np.testing.assert_allclose(drawn, one.change, atol=1e-4)
    assert any("In 50 equal steps" in str(element.value) for element in at.markdown)
