import io
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from core.errors import AtelierError
from core.pictures.house_number import HouseNumber, draw
from core.pictures.images import (
    difference,
    enlarge,
    gif_bytes,
    grid,
    jpeg_bytes,
    png_bytes,
    read_picture,
    read_sheet,
    sheet_bytes,
    to_pictures,
    to_tensor,
    webp_bytes,
)

ORIENTATION = 0x0112


@pytest.fixture
def noise():
    return np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)


def flat(*levels):
    return np.stack([np.full((32, 32, 3), level, dtype=np.uint8) for level in levels])


def encoded(image, form, **options):
    buffer = io.BytesIO()
    image.save(buffer, format=form, **options)
    return buffer.getvalue()


def png_header(width, height):
    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    rest = chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + header + rest


def test_all_256_levels_come_back_exactly():
    levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, axis=3)
    assert np.array_equal(to_pictures(to_tensor(levels)), levels)


def test_black_is_minus_one_and_white_is_one():
    x = to_tensor(flat(0, 255))
    assert x.dtype == torch.float32
    assert (x[0] == -1).all()
    assert (x[1] == 1).all()


def test_channels_and_axes_keep_their_places(noise):
    x = to_tensor(noise)
    assert x.shape == (5, 3, 32, 32)
    assert x[2, 1, 30, 4].item() == pytest.approx(noise[2, 30, 4, 1] / 127.5 - 1, abs=1e-6)
    assert np.array_equal(to_pictures(x), noise)


def test_values_outside_the_range_are_clipped():
    x = torch.tensor([-7.0, 7.0]).view(2, 1, 1, 1).expand(2, 3, 4, 4)
    pictures = to_pictures(x)
    assert (pictures[0] == 0).all()
    assert (pictures[1] == 255).all()


@pytest.mark.parametrize(
    "wrong", [np.zeros((1, 32, 32, 3)), np.zeros((32, 32, 3), np.uint8), flat(0)[..., :1]]
)
def test_to_tensor_refuses_other_types_and_shapes(wrong):
    with pytest.raises(ValueError, match=r"^pictures must"):
        to_tensor(wrong)


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 32, 32, 3)])
def test_to_pictures_refuses_other_shapes(shape):
    with pytest.raises(ValueError, match=r"^x must"):
        to_pictures(torch.zeros(shape))


@pytest.mark.parametrize("form", ["PNG", "GIF", "BMP", "WEBP"])
def test_a_lossless_file_of_the_right_size_is_read_exactly(form):
    picture = flat(40)[0]
    picture[:16, :, 0] = 200
    options = {"lossless": True} if form == "WEBP" else {}
    data = encoded(Image.fromarray(picture), form, **options)
    assert np.array_equal(read_picture(data), picture)


def test_a_jpeg_is_read_within_its_own_error():
    ramp = np.tile(np.arange(0, 256, 8, dtype=np.uint8)[None, :, None], (32, 1, 3))
    found = read_picture(encoded(Image.fromarray(ramp), "JPEG", quality=95))
    assert np.abs(found.astype(int) - ramp).max() <= 4


def test_transparent_parts_lie_on_white():
    page = np.zeros((32, 32, 4), dtype=np.uint8)
    page[:, 16:, 3] = 255
    found = read_picture(encoded(Image.fromarray(page), "PNG"))
    assert (found[:, :16] == 255).all()
    assert (found[:, 16:] == 0).all()


@pytest.mark.parametrize(("orientation", "turns"), [(3, 2), (6, 1), (8, -1)])
def test_a_turned_photograph_is_set_upright(noise, orientation, turns):
    tag = Image.Exif()
    tag[ORIENTATION] = orientation
    stored = Image.fromarray(np.ascontiguousarray(np.rot90(noise[0], turns)))
    assert np.array_equal(read_picture(encoded(stored, "PNG", exif=tag)), noise[0])


def test_the_centre_square_of_a_wide_and_of_a_tall_picture_is_kept(noise):
    wide = np.zeros((32, 64, 3), dtype=np.uint8)
    wide[:, 16:48] = noise[0]
    tall = np.zeros((96, 32, 3), dtype=np.uint8)
    tall[32:64] = noise[0]
    for page in (wide, tall):
        assert np.array_equal(read_picture(encoded(Image.fromarray(page), "PNG")), noise[0])


def test_a_large_picture_is_made_small_without_changing_its_colours():
    page = np.zeros((256, 256, 3), dtype=np.uint8)
    page[:, 128:] = (250, 120, 10)
    found = read_picture(encoded(Image.fromarray(page), "PNG"))
    assert found.shape == (32, 32, 3)
    assert (found[:, :14] == 0).all()
    assert (found[:, 18:] == (250, 120, 10)).all()


@pytest.mark.parametrize("mode", ["L", "LA", "P", "1", "CMYK"])
def test_other_colour_modes_are_read_as_rgb(mode):
    image = Image.new(mode, (40, 40))
    assert read_picture(encoded(image, "TIFF")).shape == (32, 32, 3)


@pytest.mark.parametrize(
    "data",
    [b"", b"not a picture", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"%!PS-Adobe-3.0 EPSF-3.0\n"],
)
def test_what_is_no_picture_is_refused_in_words(data):
    with pytest.raises(AtelierError) as caught:
        read_picture(data)
    assert caught.value.code == "picture-unreadable"


def test_half_a_picture_is_refused(noise):
    data = png_bytes(noise[0])
    with pytest.raises(AtelierError) as caught:
        read_picture(data[: len(data) // 2])
    assert caught.value.code == "picture-unreadable"


@pytest.mark.parametrize("form", ["EPS", "PPM", "TGA"])
def test_decoders_nobody_needs_are_never_run(noise, form):
    data = encoded(Image.fromarray(noise[0]), form)
    with pytest.raises(AtelierError) as caught:
        read_picture(data)
    assert caught.value.code == "picture-unreadable"


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_damaged_files_are_refused_in_words_wherever_the_damage_is(noise):
    rng = np.random.default_rng(1)
    tag = Image.Exif()
    tag[ORIENTATION] = 6
    image = Image.fromarray(noise[0])
    files = [encoded(image, form, exif=tag) for form in ("PNG", "JPEG", "WEBP", "TIFF")]
    codes = set()
    for number in range(400):
        data = bytearray(files[number % 4])
        for _ in range(3):
            data[rng.integers(min(len(data), 400))] = rng.integers(256)
        try:
            read_picture(bytes(data))
        except AtelierError as error:
            codes.add(error.code)
    assert "picture-unreadable" in codes
    assert codes <= {"picture-unreadable", "picture-too-large"}


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_damaged_tags_of_a_photograph_are_no_surprise():
    tags = Image.Exif()
    tags.update({ORIENTATION: 6, 0x0100: 32, 0x010E: "hello", 0x011A: 72.0})
    tags[0x8769] = {0x9000: b"0230", 0xA002: 32}
    data = encoded(Image.new("RGB", (32, 32)), "JPEG", exif=tags)
    start = data.index(b"Exif")
    codes = set()
    for place in range(start + 6, start + 110):
        for value in (0, 2, 7, 11, 15, 16, 66, 85, 255):
            try:
                read_picture(data[:place] + bytes([value]) + data[place + 1 :])
            except AtelierError as error:
                codes.add(error.code)
    assert codes <= {"picture-unreadable"}


def test_a_file_above_20_megabytes_is_refused_unread():
    with pytest.raises(AtelierError) as caught:
        read_picture(bytes(20 * 2**20 + 1))
    assert caught.value.code == "picture-too-large"


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [7100, 12_000, 60_000])
def test_a_small_file_of_many_pixels_is_refused_as_too_large(side):
    with pytest.raises(AtelierError) as caught:
        read_picture(png_header(side, side))
    assert caught.value.code == "picture-too-large"


def test_enlarge_makes_every_pixel_a_square(noise):
    large = enlarge(noise[0], 3)
    assert large.shape == (96, 96, 3)
    for row in range(3):
        for column in range(3):
            assert np.array_equal(large[row::3, column::3], noise[0])
    assert np.array_equal(enlarge(noise, 3)[0], large)
    with pytest.raises(ValueError, match=r"^factor must"):
        enlarge(noise[0], 0)


def test_grid_puts_pictures_in_reading_order_on_the_background(noise):
    sheet = grid(noise, columns=3, gap=2, background=7)
    assert sheet.shape == (32 * 2 + 2, 32 * 3 + 4, 3)
    for index, picture in enumerate(noise):
        top, left = index // 3 * 34, index % 3 * 34
        assert np.array_equal(sheet[top : top + 32, left : left + 32], picture)
    assert (sheet[32:34] == 7).all()
    assert (sheet[34:, 68:] == 7).all()


def test_grid_is_no_wider_than_its_pictures(noise):
    assert grid(noise[:2], columns=8, gap=1).shape == (32, 65, 3)


def test_grid_names_the_argument_it_refuses(noise):
    with pytest.raises(ValueError, match=r"^columns must"):
        grid(noise, 0)
    with pytest.raises(ValueError, match=r"^pictures must"):
        grid(noise[:0], 2)


def test_difference_is_mid_grey_where_equal_and_half_the_gap_elsewhere():
    pairs = [(9, 9, 128), (255, 0, 255), (0, 255, 0), (110, 100, 133), (100, 110, 123)]
    for a, b, expected in pairs:
        assert (difference(flat(a), flat(b)) == expected).all()


def decoded(file):
    return np.asarray(Image.open(io.BytesIO(file)))


@pytest.mark.parametrize("channels", [3, 4])
def test_a_webp_comes_back_exactly_and_is_smaller_than_a_png(noise, channels):
    seen = np.full((*noise[0].shape[:2], 1), 128, dtype=np.uint8)
    picture = np.concatenate([draw(HouseNumber()), seen], axis=2)[..., :channels]
    file = webp_bytes(picture)
    np.testing.assert_array_equal(decoded(file), picture)
    assert len(file) < len(png_bytes(picture))
    noisy = np.concatenate([noise[0], seen], axis=2)[..., :channels]
    np.testing.assert_array_equal(decoded(webp_bytes(noisy)), noisy)


def test_a_jpeg_for_a_moment_has_half_the_bytes_of_noise_and_all_of_its_colour(noise):
    sheet = grid(noise, 5, gap=0)
    file = jpeg_bytes(sheet)
    assert len(file) < len(webp_bytes(sheet)) / 1.8

    def colour(picture):  # how far red and blue lie from green
        apart = picture.astype(float)
        return (apart[..., [0, 2]] - apart[..., 1:2]).std()

    assert colour(decoded(file)) > 0.9 * colour(sheet)
    lossy = encoded(Image.fromarray(sheet), "WEBP", quality=90)
    assert colour(decoded(lossy)) < 0.6 * colour(sheet)


def test_a_png_comes_back_exactly(noise):
    with Image.open(io.BytesIO(png_bytes(noise[0]))) as opened:
        assert opened.format == "PNG"
        assert np.array_equal(np.asarray(opened), noise[0])


@pytest.mark.parametrize(
    ("there_and_back", "order"), [(True, [0, 90, 180, 250, 180, 90]), (False, [0, 90, 180, 250])]
)
def test_a_gif_holds_its_frames_in_order_without_end(there_and_back, order):
    data = gif_bytes(flat(0, 90, 180, 250), milliseconds=70, there_and_back=there_and_back)
    with Image.open(io.BytesIO(data)) as opened:
        assert opened.info["loop"] == 0
        assert opened.n_frames == len(order)
        for number, level in enumerate(order):
            opened.seek(number)
            assert opened.info["duration"] == 70
            assert (np.asarray(opened.convert("RGB")) == level).all()


def test_a_sheet_gives_its_pictures_back_within_the_error_of_jpeg(make_digits):
    digits, _ = make_digits(7, 3)
    found = read_sheet(sheet_bytes(digits, columns=3), count=7)
    assert found.shape == digits.shape
    error = found.astype(float) - digits
    assert 10 * np.log10(255**2 / np.square(error).mean((1, 2, 3))).min() > 32


def test_a_sheet_that_cannot_be_read_is_one_sentence(make_digits):
    whole = sheet_bytes(make_digits(7, 3)[0], columns=3)
    huge = bytearray(whole)
    size = huge.index(b"\xff\xc0") + 5  # the frame's height and width
    huge[size : size + 4] = struct.pack(">HH", 60_000, 60_000)
    postscript = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n"
    spoilt = [b"", b"text", whole[: len(whole) // 2], bytes(huge), postscript]
    for data in [*spoilt, png_bytes(flat(0, 255)[0])]:
        with pytest.raises(AtelierError) as caught:
            read_sheet(data, count=7)
        assert caught.value.code == "sheet-unreadable"


def test_neighbours_on_a_sheet_do_not_mix():
    found = read_sheet(sheet_bytes(flat(0, 255, 255, 0), columns=2), count=4)
    assert (found[[0, 3]] < 4).all()
    assert (found[[1, 2]] > 251).all()


def test_a_picture_on_a_sheet_does_not_depend_on_its_neighbours(noise):
    alone = read_sheet(sheet_bytes(noise[:1], columns=1), count=1)
    together = read_sheet(sheet_bytes(noise, columns=2), count=5)
    assert np.array_equal(together[0], alone[0])


def test_a_16_bit_grey_picture_keeps_its_levels():
    levels = np.linspace(0, 65535, 32 * 32).reshape(32, 32).astype(np.uint16)
    buffer = io.BytesIO()
    Image.fromarray(levels).save(buffer, format="PNG")
    read = read_picture(buffer.getvalue())
    np.testing.assert_allclose(read[..., 0], levels / 257, atol=1)


@pytest.mark.parametrize("white", [255, 65535])
def test_a_grey_picture_of_32_bits_is_read_by_its_levels(white):
    """As NumPy's default integers are stored: 255 is white where nothing is above it."""
    ramp = np.tile(np.linspace(0, white, 32).round().astype(np.int32), (32, 1))
    found = read_picture(encoded(Image.fromarray(ramp), "TIFF"))
    np.testing.assert_allclose(found[..., 0], ramp * (255 / white), atol=1)


def test_a_dark_picture_of_16_bits_stays_dark():
    levels = np.full((32, 32), 255, np.uint16)
    for form in ("PNG", "TIFF"):
        assert read_picture(encoded(Image.fromarray(levels), form)).max() <= 1


@pytest.mark.parametrize("format_", ["PNG", "JPEG"])
def test_a_large_photograph_is_read_as_its_small_copy(format_):
    small, other = (draw(HouseNumber(text=text)).astype(int) for text in "48")
    buffer = io.BytesIO()
    large = small.astype(np.uint8).repeat(100, 0).repeat(100, 1)
    Image.fromarray(large).save(buffer, format=format_)
    read = read_picture(buffer.getvalue())
    assert np.abs(read - small).mean() < 5 < np.abs(read - other).mean()


# ---------------------------------------------------------------- large photographs, and fractions


@pytest.mark.parametrize("size", [(8000, 6000), (6000, 8000), (8160, 6144)], ids=str)
def test_a_photograph_of_many_pixels_is_decoded_at_a_fraction(size):
    """Left half dark, right half light, as a phone of today would store it."""
    photo = Image.new("L", size, 20)
    photo.paste(220, (size[0] // 2, 0, *size))
    found = read_picture(encoded(photo, "JPEG", quality=50))
    assert abs(found[:, :14].astype(int) - 20).max() <= 2
    assert abs(found[:, 18:].astype(int) - 220).max() <= 2


@pytest.mark.parametrize(
    ("size", "form", "how"),
    [
        ((8000, 6000), "PNG", {}),
        ((8000, 6000), "JPEG", {"progressive": True}),  # which its decoder holds whole
        ((65000, 300 + 200), "JPEG", {}),  # too narrow for a fraction
        ((9000, 9000), "JPEG", {}),
    ],
)
def test_what_would_fill_the_memory_is_still_refused(size, form, how):
    with pytest.raises(AtelierError) as caught:
        read_picture(encoded(Image.new("L", size), form, **how))
    assert caught.value.code == "picture-too-large"
    assert f"{size[0]} x {size[1]}" in str(caught.value)


@pytest.mark.parametrize("white", [1.0, 255.0, 0.5])
def test_a_picture_of_fractions_is_read_as_grey_levels(white):
    """Shares of white where none is above 1, levels of 255 otherwise."""
    ramp = np.tile(np.linspace(0, white, 32, dtype=np.float32), (32, 1))
    found = read_picture(encoded(Image.fromarray(ramp), "TIFF"))
    wanted = ramp * (1 if white == 255 else 255)
    assert abs(found.astype(float) - wanted[..., None]).max() <= 0.51
