"""Frames as the browser is given them."""

import gzip

import numpy as np
import pytest

from core.bundles.bundle import read_bundle
from pages.browser import film, serving


def content(source):
    return gzip.decompress(serving.OFFERS.content(source.spec["address"].split("/")[-2]).body)


def test_known_frames_travel_as_they_are():
    frames = np.arange(2 * 4 * 3 * 5 * 3, dtype=np.uint8).reshape(2, 4, 3, 5, 3)
    source = film.levels(frames, columns=2)
    assert content(source) == frames.tobytes()
    assert [source.spec[key] for key in ("height", "width", "tiles", "columns")] == [3, 5, 4, 2]


def test_a_view_of_frames_travels_as_what_it_shows():
    frames = np.arange(6 * 2 * 2 * 3, dtype=np.uint8).reshape(6, 2, 2, 3)[::2]
    assert content(film.levels(frames)) == frames.tobytes()


def test_several_series_travel_together():
    frames = np.arange(2 * 3 * 4 * 4 * 3, dtype=np.uint8).reshape(2, 3, 4, 4, 3)
    first, second = film.several(frames, places=[0, 0, None, 2])
    assert first.spec["address"] == second.spec["address"]
    assert content(second) == frames.tobytes()
    assert [(one.spec["first"], one.spec["count"]) for one in (first, second)] == [(0, 3), (3, 3)]
    assert second.spec["places"] == [0, 0, None, 2]  # stops may share a picture, or have none


@pytest.mark.parametrize("place", [3, -1])
def test_a_place_that_is_no_picture_is_refused(place):
    with pytest.raises(ValueError, match="places must be 0 to 2"):
        film.levels(np.zeros((3, 4, 4, 3), np.uint8), places=[place])


@pytest.mark.parametrize(
    "frames", [np.zeros((2, 3, 3)), np.zeros((2, 3, 3, 3)), np.zeros((2, 3, 3, 4), np.uint8)]
)
def test_what_is_no_picture_is_refused(frames):
    with pytest.raises(ValueError, match="uint8"):
        film.levels(frames)


def test_a_mixture_travels_as_two_pictures_and_coefficients():
    first, second = np.random.default_rng(0).normal(size=(2, 3, 4, 5))
    source = film.mix(first, second, [1.0, 0.5], [0.0, 0.25])
    values = np.frombuffer(content(source), "<f4")
    np.testing.assert_array_equal(
        values[:60].reshape(4, 5, 3), first.transpose(1, 2, 0).astype("<f4")
    )
    np.testing.assert_array_equal(values[-4:], [1.0, 0.5, 0.0, 0.25])
    with pytest.raises(ValueError, match="one number a stop"):
        film.mix(first, second, [1.0], [0.0, 0.25])


def test_sheets_are_the_files_of_the_bundle(tiny_library):
    bundle = read_bundle(tiny_library / "vae-svhn")
    epochs = list(bundle.progress("samples"))
    source = film.sheets(bundle, "samples", epochs, 24, 6)
    digests = [address.split("/")[-2] for address in source.spec["addresses"]]
    assert [serving.OFFERS.file(digest) for digest in digests] == list(
        bundle.progress("samples").values()
    )
