"""What pictures for people are drawn with: colours, letters, and text made to fit."""

from pathlib import Path

from PIL import Image, ImageFont

from maquette.runs import durable

PAPER, INK, FAINT, LINE = (250, 249, 246), (32, 33, 36), (128, 128, 128), (222, 220, 214)
MARGIN = 28

Colour = tuple[int, int, int]


def font(size: int) -> "ImageFont.FreeTypeFont | ImageFont.ImageFont":
    """Letters so many pixels high."""
    return ImageFont.load_default(size)


def fitting(text: str, width: int, size: int) -> str:
    """The text in one line, cut where it would be too wide; what is no text shows as escapes."""
    text = text.encode(errors="backslashreplace").decode()
    text = "".join(c if c.isprintable() else " " for c in text)
    letters = font(size)
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
