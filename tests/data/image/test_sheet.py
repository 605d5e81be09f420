from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFont

from maquette.augmentation import Augmentation
from maquette.data.image import paper, sheet
from maquette.data.image.paper import fitting, font, write_picture
from maquette.data.image.prepare import PreparedImages, prepare_images
from maquette.data.image.sheet import contact_sheet
from tests.data.image.making import Made, picture

PLAIN = Augmentation()


def prepared(folder: Path, classes: int = 3, size: int = 8, count: int = 30) -> PreparedImages:
    images = [picture(i, size, size) for i in range(count)]
    labels = [i % classes for i in range(count)]
    names = tuple(f"kind-{i}" for i in range(classes))
    splits = {"train": (list(images), labels), "validation": (list(images), labels)}
    return prepare_images("x", Made(splits, names), cache=folder, size=size)  # type: ignore[arg-type]


def draw(data: PreparedImages, augmentation: Augmentation = PLAIN, seed: int = 0) -> Image.Image:
    images = data.images("train")
    return contact_sheet(images, data.facts, augmentation, title="Some", seed=seed)


def tiles(picture: Image.Image, rows: int, size: int, captions: bool = False) -> np.ndarray:
    """The images on a sheet, (2 halves, rows, columns, H, W, 3)."""
    page = sheet._Page(size, rows, captions=captions)
    assert page.picture.size == picture.size
    pixels, tile = np.asarray(picture), page._tile
    found = [
        [
            [pixels[y : y + tile, x : x + tile] for x, y in row]
            for row in (
                [page._place(r, c, side) for c in range(sheet.COLUMNS)] for r in range(rows)
            )
        ]
        for side in (0, 1)
    ]
    return np.array(found)


def test_each_row_shows_images_of_its_class_as_they_are(tmp_path: Path) -> None:
    data = prepared(tmp_path)
    left, right = tiles(draw(data), 3, 8)
    assert np.array_equal(left, right)  # nothing is augmented
    times = left.shape[2] // 8
    for label, row in enumerate(left):
        shown = {tile[::times, ::times].tobytes() for tile in row}
        own = {picture(i).tobytes() for i in range(label, 30, 3)}
        assert len(shown) == sheet.COLUMNS
        assert shown < own
        assert np.array_equal(row[0], row[0][::times, ::times].repeat(times, 0).repeat(times, 1))


def test_the_right_half_is_what_training_sees(tmp_path: Path) -> None:
    data = prepared(tmp_path)
    left, right = tiles(draw(data, Augmentation(flip=True)), 3, 8)
    pairs = zip(left.reshape(18, 72, 72, 3), right.reshape(18, 72, 72, 3), strict=True)
    for one, other in pairs:
        assert np.array_equal(one, other) or np.array_equal(one[:, ::-1], other)
    assert not np.array_equal(left, right)


def test_what_was_mixed_in_stands_below(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(sheet._Page, "caption", lambda _, row, column, text: said.append(text))
    draw(prepared(tmp_path), Augmentation(mixup=1.0, label_smoothing=0.5))
    assert len(said) == 18
    mixed = [text for text in said if text]
    assert mixed
    assert all(text.startswith("+ ") and " % kind-" in text for text in mixed)
    assert len({text.split()[1] for text in mixed}) == 1  # one share for the batch


def test_the_same_seed_draws_the_same_sheet(tmp_path: Path) -> None:
    data = prepared(tmp_path)
    rule = Augmentation(policy="trivial", cutmix=1.0, crop_scale=0.5, erase=0.5)
    assert draw(data, rule).tobytes() == draw(data, rule).tobytes()
    assert draw(data, rule).tobytes() != draw(data, rule, seed=1).tobytes()


def test_many_classes_large_images_and_few_of_a_class(tmp_path: Path) -> None:
    data = prepared(tmp_path, classes=40, size=150, count=80)
    found = draw(data)
    assert found.size == sheet._Page(150, sheet.ROWS, captions=False).picture.size
    assert max(found.size) < 3000


def test_a_long_name_is_cut(tmp_path: Path) -> None:
    cut = fitting("a very long name of a class indeed", 100, 15)
    assert cut.endswith("…")
    assert font(15).getlength(cut) <= 100
    assert fitting("cat", 100, 15) == "cat"


def test_letters_that_no_font_here_has_become_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paper, "_FONTS", ("absent.ttf",))
    paper._of_this_machine.cache_clear()
    try:
        assert fitting("Äpfel 日", 200, 15) == r"Apfel \u65e5"
        assert fitting("£", 200, 15) == r"\xa3"
    finally:
        paper._of_this_machine.cache_clear()


def test_letters_are_looked_for_in_the_fonts_of_the_machine() -> None:
    try:
        ImageFont.truetype("DejaVuSans.ttf", 15)
    except OSError:
        pytest.skip("there is no DejaVu Sans")
    assert fitting("Äpfel Вишня", 200, 15) == "Äpfel Вишня"
    found = font(15, "Äpfel Вишня")
    assert isinstance(found, ImageFont.FreeTypeFont)
    assert found.getname()[0] == "DejaVu Sans"
    assert font(15, "cat") is font(15)  # the same letters everywhere where they do


def test_it_is_written_as_png(tmp_path: Path) -> None:
    path = tmp_path / "sheet.png"
    write_picture(path, draw(prepared(tmp_path)))
    with Image.open(path) as image:
        assert image.format == "PNG"
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == ["sheet.png"]
