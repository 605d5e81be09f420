"""Pictures as half blocks: two pixels in each character, the upper in its colour of writing."""

from pathlib import Path
from typing import TYPE_CHECKING

from rich.color import Color
from rich.style import Style
from rich.text import Text

if TYPE_CHECKING:
    from PIL.Image import Image

_LARGEST_BYTES = 20 << 20


def half_blocks(path: Path, columns: int, rows: int) -> Text:
    """An image file as text that fits into so many characters; why not, if it can't be shown."""
    from PIL import Image

    try:
        if path.stat().st_size > _LARGEST_BYTES:
            return Text(f"{path.name} is too large to show here", "dim")
        with Image.open(path) as image:
            image.draft("RGB", (columns * 2, rows * 4))
            share = min(columns / image.width, 2 * rows / image.height, 1.0)
            size = (max(1, round(image.width * share)), max(1, round(image.height * share)))
            small = image.convert("RGB").resize(size, Image.Resampling.LANCZOS)
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        return Text(f"{path.name} can't be shown: {error}", "dim")
    return drawn(small)


def drawn(small: "Image") -> Text:
    """An RGB picture as text: its width in columns, half of its height in rows."""
    pixels = small.load()
    assert pixels is not None
    text = Text(no_wrap=True)
    for y in range(0, small.height, 2):
        for x in range(small.width):
            upper = Color.from_rgb(*pixels[x, y])  # type: ignore[misc]
            below = Color.from_rgb(*pixels[x, y + 1]) if y + 1 < small.height else None  # type: ignore[misc]
            text.append("▀", Style(color=upper, bgcolor=below))
        text.append("\n")
    return text
