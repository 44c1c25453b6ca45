"""One picture for the visit: chosen on one page, it is there on the next."""

import numpy as np
import pytest

from core.pictures import house_number, images
from pages.shared import carried
from tests.pages.opening import turned_to


def drawn(text):
    return house_number.draw(house_number.HouseNumber(text=text))


def pictured(at):
    """The picture of the visit."""
    (chosen,) = at.session_state[carried.STATE].values()
    return chosen


def test_a_drawn_number_goes_with_its_visitor(open_page):
    at = open_page("likelihood", likelihood_text="42", likelihood_ink="#b3261e")
    turned_to(at, "adding_noise")
    assert at.text_input(key="noise_text").value == "42"
    assert at.button_group(key="noise_ink").value == "#b3261e"
    assert at.query_params["noise_ink"] == "#b3261e"  # so that a link shows it
    at.text_input(key="noise_text").set_value("5").run()
    turned_to(at, "likelihood")
    assert at.text_input(key="likelihood_text").value == "5"
    assert pictured(at).words == "drawn house number 5"


def test_a_page_that_was_not_touched_changes_nothing(open_page):
    at = open_page("likelihood", likelihood_text="42")
    turned_to(at, "checkpoints")
    turned_to(at, "adding_noise")
    turned_to(at, "likelihood")
    assert at.text_input(key="likelihood_text").value == "42"


def test_a_link_that_asks_for_a_picture_shows_it(open_page):
    at = open_page("likelihood", likelihood_text="42")
    at.query_params["noise_text"] = "9"
    turned_to(at, "adding_noise")
    assert at.text_input(key="noise_text").value == "9"
    turned_to(at, "likelihood")
    assert at.text_input(key="likelihood_text").value == "9"


def test_an_upload_and_its_square_go_along(open_page):
    wide = np.concatenate([drawn("1"), drawn("2"), drawn("3")], axis=1)  # 96 x 32
    at = open_page("likelihood", likelihood_from="upload")
    file = ("row.png", images.png_bytes(images.enlarge(wide, 4)), "image/png")
    at.file_uploader(key="likelihood_upload").set_value(file).run()
    at.slider(key="likelihood_crop_across").set_value(1.0).run()
    assert np.abs(pictured(at).picture.astype(int) - drawn("3")).mean() < 12
    before = pictured(at).picture
    turned_to(at, "adding_noise")
    assert at.slider(key="noise_crop_across").value == 1.0
    np.testing.assert_array_equal(pictured(at).picture, before)
    turned_to(at, "likelihood")
    np.testing.assert_array_equal(pictured(at).picture, before)


def test_objects_and_digits_are_two_pictures(open_page):
    at = open_page("likelihood", likelihood_text="42")
    turned_to(at, "two_views")
    at.button_group(key="views_kind").set_value("truck").run()
    turned_to(at, "neighbours")
    assert at.button_group(key="near_kind").value == "truck"
    turned_to(at, "likelihood")
    assert at.text_input(key="likelihood_text").value == "42"
    assert any("drawn house number 42" in c.value for c in at.sidebar.caption)


def test_both_ends_of_an_interpolation_stay_the_pages_own(open_page):
    at = open_page("likelihood", likelihood_text="42")
    turned_to(at, "interpolation")
    assert at.text_input(key="interpolation_a_text").value == "3"
    turned_to(at, "likelihood")
    assert at.text_input(key="likelihood_text").value == "42"


@pytest.mark.parametrize("zoom", [1.0, 2.5])
def test_the_corner_of_a_photo(zoom):
    """Of a photo of one colour a corner, a square at that corner has its colour alone."""
    photo = np.zeros((200, 300, 3), np.uint8)
    photo[:60, -60:] = (200, 100, 50)
    cut = images.cut(photo, 200 / 40 if zoom > 2 else zoom, across=1.0, down=0.0)
    assert cut.shape == (32, 32, 3)
    assert (cut[1, -2] == (200, 100, 50)).all()
    assert (cut[-1, 0] == (200, 100, 50)).all() == (zoom > 2)


@pytest.mark.parametrize(
    "bad", [(0.9, 0.5, 0.5), (1, 1.1, 0.5), (1, 0.5, -0.1), (float("nan"), 0, 0)]
)
def test_a_square_outside_the_photo_is_refused(bad):
    with pytest.raises(ValueError, match="zoom must be at least 1"):
        images.cut(np.zeros((40, 50, 3), np.uint8), *bad)
