from collections.abc import Sequence

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from maquette import pictures
from maquette.classification import Judged
from maquette.data.image.paper import MARGIN, PAPER
from maquette.pictures import CLASSES, draw_confusion, draw_mistakes, most_confused
from maquette.training.classify import answer, judge


def judged(true: Sequence[int], said: Sequence[int], classes: int, share: float = 0.9) -> Judged:
    """Images of these classes that were taken for those."""
    rest = (1 - share) / (classes - 1)
    shares = torch.full((len(true), classes), rest)
    for row, label in enumerate(said):
        shares[row, label] = share + row * 1e-4  # the last one is surest
    found = answer(shares.log(), torch.tensor(true))
    return Judged(judge(found, classes=classes), found, np.arange(len(true)) + 100)


class Marked:
    """Image i has one colour: its number in red."""

    labels = torch.zeros(256, dtype=torch.int64)

    def __len__(self) -> int:
        return 256

    def batch(
        self,
        indices: Sequence[int] | NDArray[np.int64],
        *,
        crops: object = None,
        device: object = "",
    ) -> Tensor:
        pixels = torch.zeros(len(indices), 3, 8, 8, dtype=torch.uint8)
        for row, index in enumerate(indices):
            pixels[row, 0] = int(index)
        return pixels


def colour(picture: Image.Image, x: int, y: int) -> tuple[int, ...]:
    found = picture.getpixel((x, y))
    assert isinstance(found, tuple)
    return found


def cell(picture: Image.Image, rows: int, row: int, column: int) -> tuple[int, ...]:
    """The shade of a cell, near its corner, where nothing is written."""
    x = MARGIN + pictures._NAMES + column * pictures._CELL + 5
    y = picture.height - MARGIN - (rows - row) * pictures._CELL + 5
    return colour(picture, x, y)


def test_few_classes_are_all_there() -> None:
    matrix = np.arange(9).reshape(3, 3)
    found = most_confused(matrix)
    assert found.whole
    assert found.shown == (0, 1, 2)
    assert found.counts is matrix


def test_of_many_classes_those_of_the_commonest_mistakes_are_shown() -> None:
    matrix = np.diag(np.full(9, 10))
    matrix[7, 2] = 5
    matrix[4, 8] = 3
    matrix[4, 1] = 1
    found = most_confused(matrix, 4)
    assert not found.whole
    assert found.shown == (2, 4, 7, 8)
    assert found.counts.tolist() == [
        [10, 0, 0, 0, 0],
        [0, 10, 0, 3, 1],
        [5, 0, 10, 0, 0],
        [0, 0, 0, 10, 0],
    ]
    assert most_confused(matrix, 6).shown == (0, 1, 2, 4, 7, 8)


def test_a_cell_is_shaded_by_its_share_of_a_row() -> None:
    # Class 0 is always told; class 1, of four images, is once taken for 0.
    picture = draw_confusion(
        judged([0] * 20 + [1] * 4, [0] * 21 + [1] * 3, 2), ["a", "b"], title="x"
    )
    assert cell(picture, 2, 0, 0) == pictures._RIGHT
    assert cell(picture, 2, 0, 1) == PAPER
    half = tuple(round(p + (w - p) * 0.5) for p, w in zip(PAPER, pictures._WRONG, strict=True))
    assert cell(picture, 2, 1, 0) == half  # the root of a quarter
    assert cell(picture, 2, 1, 1) not in (PAPER, pictures._RIGHT)


@pytest.mark.parametrize("classes", [2, 10, CLASSES, CLASSES + 1, 1000])
def test_any_number_of_classes_fits(classes: int) -> None:
    true = [label for label in range(classes) for _ in range(3)]
    said = [(label + (i % 3 == 0)) % classes for i, label in enumerate(true)]
    names = [f"class {i} of a name that is far too long for it" for i in range(classes)]
    picture = draw_confusion(judged(true, said, classes), names, title="a run")
    assert picture.width < 1500
    assert picture.height < 1500
    edge = np.asarray(picture)[:, -MARGIN // 2 :]
    assert (edge == PAPER).all(), "nothing reaches over the edge"
    others = classes > CLASSES
    shown = min(classes, CLASSES)
    assert cell(picture, shown, 0, 0) != PAPER
    assert (picture.width > MARGIN + pictures._NAMES + (shown + others) * pictures._CELL) or others


def test_the_worst_mistakes_are_shown_first() -> None:
    names = ["cat", "dog"]
    found = judged([0] * 50, [0, 0, *[1] * 48], 2, 0.6)
    picture = draw_mistakes(found, Marked(), names, title="a run")
    top, side = MARGIN + pictures._HEAD + 14, 120
    step = side + pictures._GAP
    seen = [
        colour(picture, MARGIN + column * step + 5, top + row * (side + 50) + 5)[0]
        for row in range(5)
        for column in range(8)
    ]
    assert seen == [149 - i for i in range(40)]  # image 100 + row, the surest first


def test_no_mistake_and_one_image() -> None:
    good = judged([0, 1], [0, 1], 2)
    assert draw_mistakes(good, Marked(), ["a", "b"], title="x").height < 250
    one = draw_mistakes(judged([0], [1], 2), Marked(), ["a", "b"], title="x")
    assert colour(one, MARGIN + 5, MARGIN + pictures._HEAD + 19) == (100, 0, 0)


def test_names_may_be_anything() -> None:
    names = ["a\nb", "\udcff\x1b[31m", "日本", ""]
    found = judged([0, 1, 2, 3], [1, 2, 3, 0], 4)
    draw_confusion(found, names, title="x\ny")
    draw_mistakes(found, Marked(), names, title="x\ny")
