"""What a classifier takes for what, and its worst mistakes, drawn for people."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from maquette.classification import Judged
from maquette.data.image.paper import (
    FAINT,
    INK,
    LINE,
    MARGIN,
    PAPER,
    Colour,
    enlarged,
    fitting,
    font,
    scaled,
)
from maquette.data.image.pixels import Images

CLASSES = 24
"""Classes that a confusion matrix shows; of more, those that are confused most."""
MISTAKES, COLUMNS = 40, 8
_RIGHT: Colour = (33, 122, 110)
_WRONG: Colour = (200, 73, 40)
_CELL, _NAMES, _HEAD, _TILE, _GAP = 44, 150, 70, 120, 14
_OTHERS = "all others"


@dataclass(frozen=True, slots=True)
class Confusion:
    """Counts of true classes (rows) by said ones (columns), of the classes that are shown.

    Where these aren't all, the last column counts what was taken for another class.
    """

    shown: tuple[int, ...]
    counts: NDArray[np.int64]
    whole: bool


def most_confused(matrix: NDArray[np.int64], most: int = CLASSES) -> Confusion:
    """A confusion matrix (K, K) of at most so many classes, in their order.

    Of more, those of the commonest mistakes; where there are too few mistakes, the first ones too.
    """
    count = len(matrix)
    if count <= most:
        return Confusion(tuple(range(count)), matrix, whole=True)
    wrong = matrix.copy()
    np.fill_diagonal(wrong, 0)
    rows, columns = np.nonzero(wrong)
    order = np.argsort(-wrong[rows, columns], kind="stable")
    pairs = np.stack([rows[order], columns[order]], 1).ravel()
    chosen = list(dict.fromkeys([*pairs.tolist(), *range(count)]))[:most]
    shown = sorted(chosen)
    inner = matrix[np.ix_(shown, shown)]
    others = matrix[shown].sum(1) - inner.sum(1)
    return Confusion(tuple(shown), np.concatenate([inner, others[:, None]], 1), whole=False)


def draw_confusion(judged: Judged, classes: Sequence[str], *, title: str) -> Image.Image:
    """A confusion matrix: a row for each true class, a column for each that was said.

    Colours are shares of a row, so that classes with few images count as much as others.
    """
    result = judged.result
    found = most_confused(result.confusion.numpy())
    names = [classes[label] for label in found.shown]
    columns = names if found.whole else [*names, _OTHERS]
    left, top = MARGIN + _NAMES, MARGIN + _HEAD + _width_of(columns) + 26
    width = left + len(columns) * _CELL + 90 + MARGIN
    page = _page(max(width, 720), top + len(names) * _CELL + MARGIN, title, _summary(judged))
    if not found.whole:
        note = f"the {len(names)} of {len(classes):,} classes that are confused most"
        _write(page, (MARGIN, MARGIN + 46), note, FAINT, 13)
    draw = ImageDraw.Draw(page)
    _write(page, (MARGIN, top - 19), "true class", FAINT, 12)
    draw.text((left, top - _width_of(columns) - 24), "said", FAINT, font(12))
    draw.text((left + len(columns) * _CELL + 12, top - 19), "right", FAINT, font(12))
    for column, name in enumerate(columns):
        _write_upright(page, left + column * _CELL + _CELL // 2, top - 6, name)
    totals = result.confusion.sum(1).tolist()
    for row, (label, counts) in enumerate(zip(found.shown, found.counts.tolist(), strict=True)):
        y = top + row * _CELL
        shown = fitting(names[row], _NAMES - 14, 14)
        draw.text((left - 12, y + _CELL // 2), shown, INK, font(14, shown), anchor="rm")
        for column, count in enumerate(counts):
            box = (left + column * _CELL, y, left + (column + 1) * _CELL - 2, y + _CELL - 2)
            right = found.shown[column] == label if column < len(names) else False
            _cell(draw, box, count, totals[label], _RIGHT if right else _WRONG)
        accuracy = f"{counts[row] / totals[label]:.1%}" if totals[label] else "no images"
        x = left + len(columns) * _CELL + 12
        draw.text((x, y + _CELL // 2), accuracy, INK, font(13), anchor="lm")
    return page


def draw_mistakes(
    judged: Judged, images: Images, classes: Sequence[str], *, title: str
) -> Image.Image:
    """The images that a classifier told wrong while it was surest, with what it said of each."""
    rows = judged.mistakes(MISTAKES)
    found = judged.answers
    wrong = judged.result.images - int(judged.result.confusion.diagonal().sum())
    side = 1
    if rows:
        pixels = images.batch(judged.indices[rows]).permute(0, 2, 3, 1).contiguous().numpy()
        side = pixels.shape[1]
    tile = enlarged(side, _TILE, 168) if rows else _TILE
    lines = -(-len(rows) // COLUMNS)
    top = MARGIN + _HEAD + 14
    width = 2 * MARGIN + COLUMNS * (tile + _GAP) - _GAP
    height = top + lines * (tile + 50) + (MARGIN if lines else 2 * MARGIN)
    page = _page(width, height, title, _summary(judged))
    images_seen = f"{judged.result.images:,} images"
    note = f"the {len(rows)} of {wrong:,} mistakes that it was surest of"
    if not rows:
        note = f"no mistake in {images_seen}"
    elif len(rows) == wrong:
        note = f"its {wrong} mistakes in {images_seen}, those it was surest of first"
        note = note if wrong > 1 else f"its one mistake in {images_seen}"
    _write(page, (MARGIN, MARGIN + 46), note, FAINT, 13)
    for place, row in enumerate(rows):
        x = MARGIN + place % COLUMNS * (tile + _GAP)
        y = top + place // COLUMNS * (tile + 50)
        page.paste(scaled(Image.fromarray(pixels[place]), tile), (x, y))
        share = f"{float(found.confidence[row]):.1%}"
        room = tile - int(font(13).getlength(share)) - 5
        said = fitting(classes[int(found.said[row])], room, 13)
        _write(page, (x, y + tile + 3), said, _WRONG, 13)
        ImageDraw.Draw(page).text((x + tile, y + tile + 3), share, _WRONG, font(13), anchor="ra")
        true = fitting(f"is {classes[int(found.true[row])]}", tile, 13)
        _write(page, (x, y + tile + 20), true, INK, 13)
    return page


def _page(width: int, height: int, title: str, summary: str) -> Image.Image:
    page = Image.new("RGB", (width, height), PAPER)
    _write(page, (MARGIN, MARGIN - 6), fitting(title, width - 2 * MARGIN, 24), INK, 24)
    _write(page, (MARGIN, MARGIN + 27), fitting(summary, width - 2 * MARGIN, 13), FAINT, 13)
    return page


def _summary(judged: Judged) -> str:
    result = judged.result
    return (
        f"{result.images:,} images   ·   top-1 {result.accuracy:.2%}   ·   top-5 {result.top5:.2%}"
        f"   ·   loss {result.loss:.4f}   ·   calibration error {result.calibration_error:.2%}"
    )


def _cell(
    draw: ImageDraw.ImageDraw,
    box: tuple[int, int, int, int],
    count: int,
    total: int,
    colour: Colour,
) -> None:
    """A count on its share of a row as a shade; the square root keeps rare mistakes in sight."""
    share = (count / total) ** 0.5 if total else 0.0
    shade = _between(PAPER, colour, share)
    draw.rectangle(box, shade, outline=None if count else LINE)
    if count:
        middle = (box[0] + box[2]) // 2, (box[1] + box[3]) // 2
        size = 13 if count < 1000 else 11
        draw.text(middle, f"{count:,}", PAPER if share > 0.6 else INK, font(size), anchor="mm")


def _between(first: Colour, last: Colour, share: float) -> Colour:
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, last, strict=True))
    return red, green, blue


def _width_of(names: Sequence[str]) -> int:
    """Pixels that the longest name takes, as far as it is shown."""
    shown = (fitting(name, _NAMES - 14, 14) for name in names)
    return max(int(font(14, name).getlength(name)) for name in shown) + 2


def _write(page: Image.Image, place: tuple[int, int], text: str, colour: Colour, size: int) -> None:
    ImageDraw.Draw(page).text(place, text, colour, font(size, text))


def _write_upright(page: Image.Image, x: int, bottom: int, text: str) -> None:
    """Text that reads from the bottom up, its end on `bottom`, its middle at `x`."""
    shown = fitting(text, _NAMES - 14, 14)
    letters = font(14, shown)
    strip = Image.new("RGB", (int(letters.getlength(shown)) + 2, 20), PAPER)
    ImageDraw.Draw(strip).text((0, 10), shown, INK, letters, anchor="lm")
    strip = strip.rotate(90, expand=True)
    page.paste(strip, (x - strip.width // 2, bottom - strip.height))
