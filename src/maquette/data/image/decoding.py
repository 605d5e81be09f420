"""An image file to square RGB pixels. No torch here.

Whatever comes in, grey, palette, 16 bits, CMYK, with transparency (laid on white), turned by EXIF,
comes out as 8-bit RGB. Of an animation, the first picture.
"""

import io
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from maquette.augmentation import Crop, centre_box

Pixels = NDArray[np.uint8]
Encoded = bytes | tuple[str, int, int]
"""The bytes of an image file, or where they are: a path, an offset and a length (0: to the end)."""
FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
"""No others are read: anybody may have made a file, and Pillow runs a program for some (EPS)."""
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # what EXIF's orientation asks for; from 5 on, width and height change places
_UNKNOWN_RANGE = "its pixels are numbers of 32 bits, and nothing says which is white"


class BrokenError(Exception):
    """An image can't be read; the message says why, without its name."""


def shorter_side(encoded: Encoded) -> int:
    """Pixels of an image's shorter side, from its header alone. Raises BrokenError."""
    with _quiet(), _opened(encoded) as image:
        return min(image.size)


def dimensions(encoded: Encoded) -> tuple[int, int]:
    """Width and height as it is looked at, from its header alone. Raises BrokenError."""
    with _quiet(), _opened(encoded) as image:
        # A PNG without EXIF in its header would be decoded to look for some behind the pixels.
        known = image.format != "PNG" or "exif" in image.info
        return _upright(image, _turn(image) if known else None)


def decode(encoded: Encoded, size: int, crop: Crop | None = None) -> Pixels:
    """The image as (size, size, 3): its shorter side brought to `size`, and the middle of it.

    With a crop, that part of it brought to `size` instead. Raises BrokenError.
    """
    with _quiet(), _opened(encoded) as image:
        try:
            return _fitted(image, size, crop)
        except Exception as error:  # Pillow's readers raise whatever a bad file trips over
            raise BrokenError(_reason(error)) from error


def fit(pixels: Pixels, size: int, crop: Crop | None = None) -> Pixels:
    """Pixels (H, W, 3) as (size, size, 3), by the same rule as `decode`."""
    if crop is None and pixels.shape == (size, size, 3):
        return pixels
    return _fitted(Image.fromarray(pixels), size, crop)


def rgb(image: Image.Image) -> Image.Image:
    """Any mode as 8-bit RGB, what is transparent laid on white.

    Raises ValueError for numbers that may mean anything: fractions, and more than 16 bits.
    """
    if image.mode.startswith("I;16") or image.mode == "I":  # Pillow would cut, not scale
        values = np.asarray(image)
        if values.min(initial=0) < 0 or values.max(initial=0) > 0xFFFF:
            raise ValueError(_UNKNOWN_RANGE)
        return Image.fromarray((values >> 8).astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        raise ValueError(_UNKNOWN_RANGE)
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        if image.mode == "La":
            image = image.convert("LA")
        whole = image.convert("RGBA")
        white = Image.new("RGBA", whole.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, whole).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _fitted(image: Image.Image, size: int, crop: Crop | None) -> Pixels:
    turn = _turn(image)
    width, height = _upright(image, turn)
    box = centre_box(width, height) if crop is None else crop.box(width, height)
    # A JPEG is decoded at a half, a quarter or an eighth where that is still large enough.
    scale = size / min(box[2] - box[0], box[3] - box[1])
    if scale < 0.5:
        image.draft(None, (int(image.width * scale) + 1, int(image.height * scale) + 1))
    image.load()
    image = rgb(image)
    if turn is not None:
        image = image.transpose(_TURNS[turn])
    x, y = image.width / width, image.height / height
    box = (box[0] * x, box[1] * y, min(box[2] * x, image.width), min(box[3] * y, image.height))
    if image.size != (size, size) or box != (0, 0, size, size):
        image = image.resize((size, size), Image.Resampling.BICUBIC, box=box, reducing_gap=3.0)
    return np.asarray(image)


def _upright(image: Image.Image, turn: int | None) -> tuple[int, int]:
    width, height = image.size
    return (width, height) if turn is None or turn < 5 else (height, width)


def _turn(image: Image.Image) -> int | None:
    if image.format == "TIFF":  # Pillow turns these by itself, and tells their size as turned
        return None
    try:
        turn = image.getexif().get(0x0112)
    except Exception:  # damaged EXIF says nothing of the picture
        return None
    return turn if turn in _TURNS else None


def _opened(encoded: Encoded) -> Image.Image:
    try:
        return Image.open(io.BytesIO(_read(encoded)), formats=FORMATS)
    except Exception as error:  # Pillow's readers raise whatever a bad file trips over
        raise BrokenError(_reason(error)) from error


def _read(encoded: Encoded) -> bytes:
    if isinstance(encoded, bytes):
        return encoded
    path, offset, length = encoded
    with Path(path).open("rb") as file:
        file.seek(offset)
        return file.read(length or -1)


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "is no image"
    if isinstance(error, Image.DecompressionBombWarning | Image.DecompressionBombError):
        return f"has more than {Image.MAX_IMAGE_PIXELS:,} pixels"
    if isinstance(error, OSError) and error.strerror:
        return f"can't be read: {error.strerror.lower()}"
    return f"can't be read: {error or type(error).__name__}"


class _quiet(warnings.catch_warnings):  # noqa: N801 - used like a function
    """Pillow's warnings say nothing that stops a picture, but for one about its size."""

    def __enter__(self) -> None:
        super().__enter__()
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
