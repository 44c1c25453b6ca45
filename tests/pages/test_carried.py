"""One picture for the visit: chosen on one page, it is there on the next."""

import numpy as np
import pytest

from core.pictures import house_number, images
from pages.shared import carried, picking
from pages.vae import interpolation
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


def test_an_interpolation_begins_at_the_picture_of_the_visit(open_page):
    at = open_page("likelihood", likelihood_text="42", likelihood_ink="#b3261e")
    turned_to(at, "interpolation")
    assert [at.text_input(key=f"interpolation_{end}_text").value for end in "ab"] == ["42", "8"]
    assert at.button_group(key="interpolation_a_ink").value == "#b3261e"
    assert (
        at.slider(key="interpolation_a_rotation").value == 0
    )  # and not the turn of the page's own 3
    assert at.query_params["interpolation_a_text"] == "42"  # so that a link shows it
    assert at.query_params["interpolation_a_rotation"] == "0"
    at.text_input(key="interpolation_a_text").set_value("9").run()
    turned_to(at, "likelihood")
    assert at.text_input(key="likelihood_text").value == "42"


def test_an_interpolation_without_one_goes_from_a_3_to_an_8(open_page):
    at = open_page("likelihood")
    turned_to(at, "interpolation")
    assert [at.text_input(key=f"interpolation_{end}_text").value for end in "ab"] == ["3", "8"]
    assert at.slider(key="interpolation_a_rotation").value == -25


def test_a_link_to_an_interpolation_keeps_its_ends(open_page):
    at = open_page("likelihood", likelihood_text="42")
    at.query_params["interpolation_a_text"] = "3"
    turned_to(at, "interpolation")
    assert at.text_input(key="interpolation_a_text").value == "3"
    assert at.slider(key="interpolation_a_rotation").value == -25


def test_an_upload_is_the_first_end_of_an_interpolation(open_page):
    at = open_page("likelihood", likelihood_from="upload")
    file = ("one.png", images.png_bytes(drawn("1")), "image/png")
    at.file_uploader(key="likelihood_upload").set_value(file).run()
    before = pictured(at).picture
    turned_to(at, "interpolation")
    assert at.button_group(key="interpolation_a_from").value == "upload"
    assert not at.info  # both ends are there
    file = ("two.png", images.png_bytes(drawn("2")), "image/png")
    at.file_uploader(key="interpolation_a_upload").set_value(file).run()
    turned_to(at, "likelihood")
    np.testing.assert_array_equal(pictured(at).picture, before)


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


def test_an_icon_and_a_long_strip_are_pictures_too():
    """Of a strip of 2 x 100 pixels the middle 16 are kept, and a square of less than a pixel is drawn."""
    strip = np.zeros((2, 100, 3), np.uint8)
    strip[:, 42:58] = 200
    photo = images.read_photo(images.png_bytes(strip))
    assert photo.shape == (2, 16, 3)
    assert (photo == 200).all()
    assert picking._framed(photo, 8.0, 1.0, 0.0).size == (16, 2)


def test_each_end_of_an_interpolation_has_an_upload_of_its_own(open_page):
    at = open_page("interpolation", interpolation_a_from="upload", interpolation_b_from="upload")
    file = ("one.png", images.png_bytes(drawn("1")), "image/png")
    at.file_uploader(key="interpolation_a_upload").set_value(file).run()
    assert interpolation.BOTH_WANTED in [info.value for info in at.info]
    file = ("two.png", images.png_bytes(drawn("2")), "image/png")
    at.file_uploader(key="interpolation_b_upload").set_value(file).run()
    assert not at.info
    turned_to(at, "likelihood")
    assert carried.STATE not in at.session_state or not pictured(at).values  # theirs alone


def test_an_upload_that_is_taken_away_is_gone(open_page):
    at = open_page("likelihood", likelihood_from="upload")
    file = ("one.png", images.png_bytes(drawn("1")), "image/png")
    at.file_uploader(key="likelihood_upload").set_value(file).run()
    assert pictured(at).words == "uploaded picture"
    at.file_uploader(key="likelihood_upload").set_value(None).run()
    assert picking.WANTED in [info.value for info in at.info]


def test_what_nobody_chose_is_not_called_ones_own(open_page):
    at = open_page("likelihood")
    assert not at.sidebar.caption
    at.text_input(key="likelihood_text").set_value("5").run()
    assert any("drawn house number 5" in c.value for c in at.sidebar.caption)


def test_controls_of_another_origin_do_not_travel(open_page):
    at = open_page("likelihood", likelihood_text="42")
    at.button_group(key="likelihood_from").set_value("gallery").run()
    assert pictured(at).values == {"from": "gallery"}
