"""The picture of votes: true lengths, readable letters, words for everybody, and no markup of strangers."""

from xml.etree import ElementTree

import pytest

from pages.teach import tally
from pages.teach.room import Counts
from pages.teach.tally import FONT, bars, described

OPTIONS = (("high", "the higher loss"), ("low", "the lower loss"), ("either", "either"))
FIRST = {"high": 5, "low": 17, "either": 3}
SECOND = {"high": 20, "low": 4, "either": 0}
ODD = '</text><script>alert(1)</script><image href="http://evil.example/x"/> & " \' ]]>'


def read(*said, **named):
    return ElementTree.fromstring(bars(*said, **named))


def of(picture, tag):
    return picture.findall(f"{{http://www.w3.org/2000/svg}}{tag}")


def filled(picture):
    """The bars, top to bottom: opacity and width."""
    rows = [one for one in of(picture, "rect") if float(one.get("height")) == tally.BAR - 4]
    return [(float(one.get("fill-opacity")), float(one.get("width"))) for one in rows]


def words(picture):
    return [one.text for one in of(picture, "text")]


def test_bars_are_as_long_as_their_shares():
    room = tally.WIDTH - 2 * tally.EDGE - tally.NUMBERS
    found = filled(read(OPTIONS, Counts(FIRST), None, "en"))
    assert [width for _opacity, width in found] == pytest.approx(
        [room * count / 25 for count in (5, 17, 3)], abs=0.01
    )
    assert {opacity for opacity, _width in found} == {tally.FIRST}


def test_two_votes_of_an_option_stand_next_to_one_another():
    room = tally.WIDTH - 2 * tally.EDGE - tally.NUMBERS
    picture = read(OPTIONS, Counts(FIRST, SECOND), "high", "en")
    found = filled(picture)
    assert [opacity for opacity, _width in found] == [tally.FIRST, tally.SECOND] * 3
    wanted = [5 / 25, 20 / 24, 17 / 25, 4 / 24, 3 / 25]
    assert [width for _opacity, width in found[:5]] == pytest.approx(
        [room * share for share in wanted], abs=0.01
    )
    assert found[5][1] == 2  # nobody: a mark
    assert words(picture)[:2] == ["First vote", "Second vote"]
    assert "20 · 83%" in words(picture)


def test_one_vote_needs_no_legend():
    assert "First vote" not in words(read(OPTIONS, Counts(FIRST), None, "en"))


def test_the_right_option_is_marked_without_any_colour():
    plain, marked = (read(OPTIONS, Counts(FIRST), right, "en") for right in (None, "high"))
    assert of(plain, "path") == []
    assert len(of(marked, "path")) == 1
    bold = [one.text for one in of(marked, "text") if one.get("font-weight") == "bold"]
    assert bold == ["the higher loss"]
    frames = [one for one in of(marked, "rect") if one.get("fill") == "none"]
    assert len(frames) == 1
    text = next(one for one in of(marked, "text") if one.text == "the higher loss")
    (frame,) = frames
    top, height = float(frame.get("y")), float(frame.get("height"))
    assert top < float(text.get("y")) < top + height


def test_no_colour_is_named_so_that_both_themes_are_served():
    text = bars(OPTIONS, Counts(FIRST, SECOND), "high", "en")
    assert "#" not in text
    assert "currentColor" in text
    assert {part.split('"')[0] for part in text.split('fill="')[1:]} == {"currentColor", "none"}


def test_letters_have_24_pixels_and_lines_fit_the_width():
    long = (("a", "a long option whose words go on and on " * 5), ("b", "x" * 200))
    for width in (tally.WIDTH, 360):
        picture = read(long, Counts({"a": 200, "b": 0}, {"a": 0, "b": 200}), "a", "fr", width=width)
        assert float(picture.get("font-size")) == FONT >= 24
        assert all(one.get("font-size") is None for one in of(picture, "text"))
        for one in of(picture, "text"):
            assert float(one.get("x")) + tally.LETTER * len(one.text) <= width + tally.LETTER
        for one in of(picture, "rect"):
            assert float(one.get("x")) + float(one.get("width")) <= width
        _x, _y, _wide, high = map(float, picture.get("viewBox").split())
        lows = [float(one.get("y")) for one in of(picture, "text")]
        assert lows == sorted(lows)
        assert lows[-1] < high
        assert float(picture.get("viewBox").split()[2]) == width


def test_where_nobody_voted_there_are_zeros_and_no_shares():
    picture = read(OPTIONS, Counts({"high": 0, "low": 0, "either": 0}), None, "en")
    assert words(picture).count("0") == 3
    assert all(width == 2 for _opacity, width in filled(picture))


@pytest.mark.parametrize("language", ["en", "fr"])
def test_the_alt_text_says_all_numbers_and_the_right_answer(language):
    counts = Counts(FIRST, SECOND)
    picture = read(OPTIONS, counts, "high", language)
    said = picture.get("aria-label")
    assert said == described(OPTIONS, counts, "high", language)
    assert picture.get("role") == "img"
    for number in (25, 5, 17, 3, 24, 20, 4, 0):
        assert str(number) in said
    assert said.count("the higher loss") == 3
    assert described(OPTIONS, Counts(FIRST), None, "en") == (
        "First vote (25): “the higher loss” 5, “the lower loss” 17, “either” 3."
    )


def test_every_text_is_shown_letter_for_letter():
    picture = read((("a", ODD), ("b", "b")), Counts({"a": 1, "b": 0}), "a", "en")
    assert " ".join(words(picture)).startswith(" ".join(ODD.split()))
    assert "".join(ODD.split()) in "".join(picture.get("aria-label").split())
    assert {one.tag.rpartition("}")[2] for one in picture.iter()} == {"svg", "rect", "path", "text"}


def test_marks_of_a_text_are_left_out():
    picture = read(
        (("a", "both **losses** `fell` *now*"), ("b", "2 * 3 * 4")), Counts({}), "a", "en"
    )
    assert {"both losses fell now", "2 * 3 * 4"} <= set(words(picture))
