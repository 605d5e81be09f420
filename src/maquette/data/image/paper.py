"""What pictures for people are drawn with: colours, letters, and text made to fit."""

import contextlib
import functools
import unicodedata
from pathlib import Path

from PIL import Image, ImageFont

from maquette.runs import durable

PAPER, INK, FAINT, LINE = (250, 249, 246), (32, 33, 36), (128, 128, 128), (222, 220, 214)
MARGIN = 28

Colour = tuple[int, int, int]
Letters = ImageFont.FreeTypeFont | ImageFont.ImageFont
# Fonts of other scripts by their files' names, as they come with Linux, Windows and macOS.
_FONTS = (
    "DejaVuSans.ttf",
    "arial.ttf",
    "Arial Unicode.ttf",
    "NotoSansCJK-Regular.ttc",
    "DroidSansFallbackFull.ttf",
    "ipag.ttf",
    "msyh.ttc",
    "malgun.ttf",
)


def font(size: int, text: str = "") -> Letters:
    """Letters so many pixels high: Pillow's own, or those of this machine that have more of a text.

    Pillow's own are ASCII and a few signs; whatever else a class may be called by is searched for.
    """
    own = _own(size)
    if not _lacking(own, text):
        return own
    return min((own, *_of_this_machine(size)), key=lambda letters: len(_lacking(letters, text)))


@functools.cache
def _own(size: int) -> Letters:
    return ImageFont.load_default(size)


@functools.cache
def _of_this_machine(size: int) -> list[Letters]:
    found: list[Letters] = []
    for name in _FONTS:
        with contextlib.suppress(OSError):
            found.append(ImageFont.truetype(name, size))
    return found


def _lacking(letters: Letters, text: str) -> set[str]:
    return {c for c in set(text) if not _has(letters, c)}


@functools.cache
def _has(letters: Letters, character: str) -> bool:
    try:
        return character.isspace() or bytes(letters.getmask(character)) != bytes(
            letters.getmask("\U0010ffff")  # what stands for a letter that isn't there
        )
    except UnicodeError:  # letters that are pictures have no others at all
        return character.isascii()


def fitting(text: str, width: int, size: int) -> str:
    """The text in one line, cut where it would be too wide; what is no text shows as escapes.

    A letter that no font here has loses its accents, or shows as an escape.
    """
    text = unicodedata.normalize("NFC", text.encode(errors="backslashreplace").decode())
    text = "".join(c if c.isprintable() else " " for c in text)
    for c in _lacking(font(size, text), text):
        base = unicodedata.normalize("NFKD", c)[0]
        text = text.replace(c, base if base.isascii() else c.encode("unicode_escape").decode())
    letters = font(size, text)
    if letters.getlength(text) <= width:
        return text
    while text and letters.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"


def enlarged(side: int, least: int, most: int) -> int:
    """Pixels a side to show an image at: small ones by a whole number, so that theirs stay squares.

    It is `least` at least, or `most` for images that are larger.
    """
    return side * -(-least // side) if side < least else most


def scaled(image: Image.Image, side: int) -> Image.Image:
    """A square image at a size for the paper, sharp where it is enlarged by a whole number."""
    sharp = side % image.width == 0
    rule = Image.Resampling.NEAREST if sharp else Image.Resampling.LANCZOS
    return image.resize((side, side), rule)


def write_picture(path: Path, picture: Image.Image) -> None:
    """Replace a PNG file in one step. Raises RunError."""
    durable.write_file(path, lambda place: picture.save(place, "png", optimize=True))
