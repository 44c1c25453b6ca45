"""The edge between pictures and tensors: uint8 (H, W, 3) outside, float32 in [-1, 1] inside.

Everything that reads, writes, enlarges or arranges pictures is here, so that value ranges and
channel order are decided once. Inside ``core`` a batch is (B, 3, H, W) in [-1, 1]; outside it is
uint8 (B, H, W, 3).
"""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageOps

from core.errors import AtelierError

if TYPE_CHECKING:
    from torch import Tensor

SIZE = 32
"""Side of a picture in pixels."""

MAX_BYTES = 20 * 2**20
MAX_PIXELS = 25_000_000
MAX_JPEG_PIXELS = 80_000_000
"""Of a JPEG that is decoded at a fraction of its size, as those of phones are: what is held in memory
stays below ``MAX_PIXELS``. Pillow warns of more."""
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
"""What uploads may be: Pillow would also hand EPS to Ghostscript, which runs it."""

Pictures = np.ndarray
"""uint8, (B, H, W, 3) or one (H, W, 3)."""


def to_tensor(pictures: Pictures) -> Tensor:
    """uint8 (B, H, W, 3) to float32 (B, 3, H, W) in [-1, 1]: 0 becomes -1 and 255 becomes 1."""
    if pictures.dtype != np.uint8 or pictures.ndim != 4 or pictures.shape[-1] != 3:
        raise ValueError(
            f"pictures must be uint8 (B, H, W, 3), got {pictures.dtype} {pictures.shape}"
        )
    import torch  # here: a page that only shows pictures starts without it

    channels_first = torch.from_numpy(np.ascontiguousarray(pictures.transpose(0, 3, 1, 2)))
    return channels_first.float() / 127.5 - 1.0


def to_pictures(x: Tensor) -> Pictures:
    """float (B, 3, H, W) in [-1, 1] to uint8 (B, H, W, 3), rounded, values outside clipped."""
    if x.ndim != 4 or x.shape[1] != 3:
        raise ValueError(f"x must be (B, 3, H, W), got {tuple(x.shape)}")
    levels = ((x.detach().float() + 1.0) * 127.5).round().clamp(0, 255)
    return levels.byte().permute(0, 2, 3, 1).contiguous().cpu().numpy()


def read_picture(data: bytes, size: int = SIZE) -> Pictures:
    """Any picture file as one uint8 (size, size, 3): upright, centre square, bicubic.

    Raises what ``read_photo`` raises.
    """
    return cut(read_photo(data, size), size=size)


def cut(
    photo: Pictures,
    zoom: float = 1.0,
    across: float = 0.5,
    down: float = 0.5,
    *,
    size: int = SIZE,
) -> Pictures:
    """The square of ``square_of``, as one uint8 (size, size, 3), bicubic."""
    left, top, side = square_of(photo, zoom, across, down)
    square = Image.fromarray(photo).resize(
        (size, size), Image.Resampling.BICUBIC, box=(left, top, left + side, top + side)
    )
    return np.asarray(square, dtype=np.uint8)


def square_of(
    photo: Pictures, zoom: float, across: float, down: float
) -> tuple[float, float, float]:
    """Left, top and side, in pixels, of a square inside a photo (H, W, 3).

    Its side is the photo's shorter side divided by ``zoom``, 1 or more; it lies ``across`` and
    ``down``, 0 (left, top) to 1 (right, bottom), of the room that there is. ValueError for numbers
    outside.
    """
    if not (zoom >= 1 and 0 <= across <= 1 and 0 <= down <= 1):
        raise ValueError(
            f"zoom must be at least 1, across and down 0 to 1, got {zoom}, {across}, {down}"
        )
    height, width = photo.shape[:2]
    side = min(height, width) / zoom
    return across * (width - side), down * (height - side), side


def read_photo(data: bytes, size: int = SIZE) -> Pictures:
    """Any picture file as uint8 (H, W, 3), upright, its shorter side less than ``16 * size`` pixels, its longer
    one at most 8 times that: of a longer strip the middle.

    Transparent parts are laid on white. Raises ``AtelierError`` with code ``picture-unreadable``
    or ``picture-too-large``.
    """
    if len(data) > MAX_BYTES:
        raise AtelierError(
            "picture-too-large",
            "This file has {megabytes:.0f} MiB; pictures up to {limit} MiB are read.",
            megabytes=len(data) / 2**20,
            limit=MAX_BYTES // 2**20,
        )
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as opened:
            _draft(opened, 8 * size)
            upright = _eight_bit(ImageOps.exif_transpose(opened)).convert("RGBA")
            upright = _middle(upright.reduce(max(1, min(upright.size) // (8 * size))))
    except AtelierError:
        raise
    except Image.DecompressionBombError as error:
        raise AtelierError(
            "picture-too-large",
            "Pictures up to {limit} million pixels are read; this one has far more.",
            limit=MAX_PIXELS // 10**6,
        ) from error
    except Exception as error:  # decoders raise anything on a damaged file
        raise AtelierError(
            "picture-unreadable",
            "This file is not a picture that can be read: try a PNG, JPEG, WebP or GIF.",
        ) from error
    page = Image.new("RGBA", upright.size, "white")
    page.alpha_composite(upright)
    return np.asarray(page.convert("RGB"), dtype=np.uint8)


def _middle(whole: Image.Image) -> Image.Image:
    """Of a strip more than 8 times as long as it is wide the middle, else the whole picture."""
    width, height = whole.size
    most = 8 * min(width, height)
    across, down = min(width, most), min(height, most)
    left, top = (width - across) // 2, (height - down) // 2
    return whole.crop((left, top, left + across, top + down))


def _draft(opened: Image.Image, least: int) -> None:
    """Has a JPEG decoded at the smallest fraction with sides of ``least`` pixels; limits all pictures.

    A progressive JPEG is held whole by its decoder, whatever the fraction.
    """
    width, height = opened.size
    opened.draft("RGB", (least, least))
    whole = opened.size == (width, height) or opened.info.get("progressive")
    limit = MAX_PIXELS if whole else MAX_JPEG_PIXELS
    if width * height > limit or opened.width * opened.height > MAX_PIXELS:
        raise AtelierError(
            "picture-too-large",
            "This picture has {width} x {height} pixels; up to {limit} million are read.",
            width=width,
            height=height,
            limit=(limit if width * height > limit else MAX_PIXELS) // 10**6,
        )


def _eight_bit(picture: Image.Image) -> Image.Image:
    """A grey picture of 16 or 32 bits or of fractions with 8 bits, any other as it is.

    Fractions (float32) up to 1 are shares of white, and grey levels of 255 where any is above. Whole numbers
    of 32 bits do not say what white is: it is 255 where none is above, else 65535.
    """
    if picture.mode == "F":
        levels = np.nan_to_num(np.asarray(picture, dtype=np.float64))
        white = 255 if levels.max() <= 1 else 1
        return Image.fromarray((levels * white).round().clip(0, 255).astype(np.uint8))
    if not picture.mode.startswith("I"):
        return picture
    levels = np.asarray(picture, dtype=np.float64)
    white = 255 if picture.mode == "I" and levels.max() <= 255 else 65535
    return Image.fromarray((levels * (255 / white)).clip(0, 255).astype(np.uint8))


def enlarge(picture: Pictures, factor: int) -> Pictures:
    """Every pixel as a factor x factor square (nearest neighbour), (H, W, 3) or (B, H, W, 3)."""
    if factor < 1:
        raise ValueError(f"factor must be at least 1, got {factor}")
    return picture.repeat(factor, axis=-3).repeat(factor, axis=-2)


def grid(pictures: Pictures, columns: int, gap: int = 1, background: int = 255) -> Pictures:
    """uint8 (B, H, W, 3) as one picture of ``columns`` columns, ``gap`` pixels between."""
    if pictures.ndim != 4 or len(pictures) == 0:
        raise ValueError(f"pictures must be (B, H, W, 3) with B at least 1, got {pictures.shape}")
    if columns < 1:
        raise ValueError(f"columns must be at least 1, got {columns}")
    count, height, width, _ = pictures.shape
    columns = min(columns, count)
    rows = math.ceil(count / columns)
    shape = (rows * (height + gap) - gap, columns * (width + gap) - gap, 3)
    sheet = np.full(shape, background, dtype=np.uint8)
    for index, picture in enumerate(pictures):
        top, left = (index // columns) * (height + gap), (index % columns) * (width + gap)
        sheet[top : top + height, left : left + width] = picture
    return sheet


def difference(a: Pictures, b: Pictures) -> Pictures:
    """a - b around mid-grey, uint8: 128 where equal, lighter where a is, at half contrast."""
    signed = a.astype(np.int16) - b.astype(np.int16)
    return (128 + signed // 2).clip(0, 255).astype(np.uint8)


def sharpness(pictures: Pictures) -> float:
    """Mean absolute difference of neighbouring pixels of (B, H, W, 3), in grey levels of 255.

    0 for flat pictures; the lower, the softer.
    """
    levels = pictures.astype(np.float64)
    across, down = np.abs(np.diff(levels, axis=2)), np.abs(np.diff(levels, axis=1))
    return float((across.mean() + down.mean()) / 2)


def png_bytes(picture: Pictures) -> bytes:
    """One uint8 (H, W, 3) as a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="PNG", optimize=False, compress_level=6)
    return buffer.getvalue()


def webp_bytes(picture: Pictures) -> bytes:
    """One uint8 (H, W, 3), or (H, W, 4) with transparency, as a WebP file without loss.

    A fifth smaller than the PNG of a sheet of small pictures, and made in a seventh of the time.
    """
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="WEBP", lossless=True, quality=0, method=0)
    return buffer.getvalue()


def jpeg_bytes(picture: Pictures) -> bytes:
    """One uint8 (H, W, 3) as a small JPEG file in full colour, for what is shown for a moment.

    Of noise without loss it would have twice as many bytes, and with colours at half the resolution, as in
    lossy WebP, hardly any colour.
    """
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="JPEG", quality=75, subsampling=0)
    return buffer.getvalue()


def gif_bytes(frames: Pictures, milliseconds: int = 90, there_and_back: bool = True) -> bytes:
    """uint8 (B, H, W, 3) as an endless GIF, ``milliseconds`` a frame."""
    order = list(range(len(frames)))
    if there_and_back:
        order += order[-2:0:-1]
    first, *rest = [Image.fromarray(frames[index]) for index in order]
    buffer = io.BytesIO()
    first.save(
        buffer, format="GIF", save_all=True, append_images=rest, duration=milliseconds, loop=0
    )
    return buffer.getvalue()


def sheet_bytes(pictures: Pictures, columns: int) -> bytes:
    """Pictures side by side without a gap, as a small file: JPEG, quality 92, full colour.

    The side of a picture is a multiple of JPEG's 8-pixel blocks, so neighbours do not mix.
    """
    buffer = io.BytesIO()
    sheet = Image.fromarray(grid(pictures, columns, gap=0))
    sheet.save(buffer, format="JPEG", quality=92, subsampling=0, optimize=True)
    return buffer.getvalue()


def read_sheet(data: bytes, count: int, size: int = SIZE) -> Pictures:
    """The first ``count`` pictures of a sheet made by ``sheet_bytes``: (count, size, size, 3).

    Raises ``AtelierError`` ``sheet-unreadable``.
    """
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG",)) as opened:
            if opened.width * opened.height > MAX_PIXELS:
                raise ValueError(f"a sheet must have at most {MAX_PIXELS:,} pixels")
            sheet = np.asarray(opened.convert("RGB"), dtype=np.uint8)
    except Exception as error:  # decoders raise anything on a damaged file
        raise AtelierError(
            "sheet-unreadable", "A sheet of pictures is damaged: it cannot be read."
        ) from error
    rows, columns = sheet.shape[0] // size, sheet.shape[1] // size
    tiles = sheet[: rows * size, : columns * size].reshape(rows, size, columns, size, 3)
    return tiles.transpose(0, 2, 1, 3, 4).reshape(-1, size, size, 3)[:count]
