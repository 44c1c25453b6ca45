"""The picture of votes: true lengths, readable letters, words for everybody, and no markup of strangers."""

import re
from xml.etree import ElementTree

import pytest

from pages.teach import tally
from pages.teach.room import Counts
from pages.teach.tally import bars, description

OPTIONS = (("high", "the higher loss"), ("low", "the lower loss"), ("either", "either"))
FIRST = {"high": 5, "low": 17, "either": 3}
SECOND = {"high": 20, "low": 4, "either": 0}
ODD = '</div><script>alert(1)</script><img src="http://evil.example/x"/> & " \' ]]>'


def read(*said):
    return ElementTree.fromstring(bars(*said))


def style(element):
    """The CSS of an element, by property."""
    return dict(part.split(":", 1) for part in element.get("style", "").split(";") if part)


def filled(picture):
    """The bars, top to bottom: opacity and share of the longest possible."""
    found = [style(one) for one in picture.iter("div")]
    found = [one for one in found if one.get("height") == f"{tally.BAR}px"]
    return [
        (float(one["opacity"]), float(re.search(r"\* ([\d.]+)\)", one["width"])[1]))
        for one in found
    ]


def options(picture):
    """The block of every option."""
    return [one for one in picture if "border" in style(one)]


def words(picture):
    return ["".join(one.itertext()) for one in picture.iter() if not list(one.iter())[1:]]


def test_bars_are_as_long_as_their_shares():
    found = filled(read(OPTIONS, Counts(FIRST), None, "en"))
    assert found == [(tally.FIRST, count / 25) for count in (5, 17, 3)]


def test_two_votes_of_an_option_stand_next_to_one_another():
    picture = read(OPTIONS, Counts(FIRST, SECOND), "high", "en")
    found = filled(picture)
    assert [opacity for opacity, _share in found] == [tally.FIRST, tally.SECOND] * 3
    wanted = [5 / 25, 20 / 24, 17 / 25, 4 / 24, 3 / 25, 0]
    assert [share for _opacity, share in found] == pytest.approx(wanted, abs=1e-4)
    said = "".join(options(picture)[0].itertext())
    assert said == "the higher loss5 · 20%20 · 83%"
    assert "".join(picture[0].itertext()) == "First voteSecond vote"


def test_one_vote_needs_no_legend():
    assert "First vote" not in "".join(read(OPTIONS, Counts(FIRST), None, "en").itertext())


def test_the_right_option_is_marked_without_any_colour():
    plain, marked = (options(read(OPTIONS, Counts(FIRST), one, "en")) for one in (None, "high"))
    looks = [(style(one)["border"], style(one[0])["font-weight"], len(one[0])) for one in marked]
    usual = ("3px solid transparent", "normal", 0)
    assert looks == [("3px solid currentColor", "bold", 1), usual, usual]
    assert [(style(one)["border"], style(one[0])["font-weight"], len(one[0])) for one in plain] == [
        usual
    ] * 3


def test_letters_have_24_pixels_and_no_colour_is_named_so_that_both_themes_are_served():
    code = bars(OPTIONS, Counts(FIRST, SECOND), "high", "en")
    assert re.findall(r"font-size:(\d+)px", code) == ["24"]
    assert set(re.findall(r"(?<!r)color:([^;\"]+)", code)) == {"currentColor"}
    assert "#" not in code
    assert "rgb" not in code


def test_where_nobody_voted_there_are_zeros_and_no_shares():
    picture = read(OPTIONS, Counts({"high": 0, "low": 0, "either": 0}), None, "en")
    assert words(picture).count("0") == 3
    assert "%" not in "".join(picture.itertext())
    assert {share for _opacity, share in filled(picture)} == {0}


@pytest.mark.parametrize("language", ["en", "fr"])
def test_the_alt_text_says_all_numbers_and_the_right_answer(language):
    counts = Counts(FIRST, SECOND)
    picture = read(OPTIONS, counts, "high", language)
    said = picture.get("aria-label")
    assert said == description(OPTIONS, counts, "high", language)
    assert picture.get("role") == "img"
    for number in (25, 5, 17, 3, 24, 20, 4, 0):
        assert str(number) in said
    assert said.count("the higher loss") == 3
    assert description(OPTIONS, Counts(FIRST), None, "en") == (
        "First vote (25): “the higher loss” 5, “the lower loss” 17, “either” 3."
    )


def test_every_text_is_shown_letter_for_letter():
    picture = read((("a", ODD), ("b", "b")), Counts({"a": 1, "b": 0}), "a", "en")
    assert ODD in "".join(picture.itertext())
    assert ODD in picture.get("aria-label")
    assert {one.tag for one in picture.iter()} == {"div", "span"}
    assert {name for one in picture.iter() for name in one.attrib} == {
        "role",
        "aria-label",
        "style",
    }


def test_marks_of_a_text_are_left_out():
    two = (("a", "both **losses** `fell` *now*"), ("b", "2 * 3 * 4"))
    assert {"both losses fell now", "2 * 3 * 4"} <= set(words(read(two, Counts({}), None, "en")))
