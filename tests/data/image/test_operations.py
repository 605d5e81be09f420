"""Every operation against Pillow's own, whole numbers for whole numbers where it can be."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor

from maquette.data.image import operations
from maquette.data.image.operations import GREY, SPACE, magnitude
from tests.data.image.making import picture

SIDES = (32, 45)
FILL = (GREY, GREY, GREY)
BILINEAR = Image.Resampling.BILINEAR


def images(side: int, count: int = 6) -> tuple[Tensor, list[Image.Image]]:
    """Smooth ones, noise, one that is nearly flat and one with flat channels."""
    made = [picture(i, side, side) for i in range(count - 3)]
    rng = np.random.default_rng(0)
    made.append(rng.integers(0, 256, (side, side, 3), dtype=np.uint8))
    made.append(rng.integers(100, 104, (side, side, 3), dtype=np.uint8))
    made.append(np.full((side, side, 3), (7, 255, 0), dtype=np.uint8))
    batch = torch.from_numpy(np.stack(made)).permute(0, 3, 1, 2)
    return batch, [Image.fromarray(one) for one in made]


def from_pil(pictures: list[Image.Image]) -> Tensor:
    return torch.from_numpy(np.stack([np.asarray(p) for p in pictures])).permute(0, 3, 1, 2)


def differences(found: Tensor, expected: Tensor) -> Tensor:
    assert found.dtype == torch.uint8
    assert found.shape == expected.shape
    return (found.int() - expected.int()).abs()


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("amount", [-0.9, -0.3, 0.0, 0.5, 0.99])
@pytest.mark.parametrize(
    ("name", "enhance"),
    [
        ("brightness", ImageEnhance.Brightness),
        ("color", ImageEnhance.Color),
        ("contrast", ImageEnhance.Contrast),
        ("sharpness", ImageEnhance.Sharpness),
    ],
)
def test_enhancements_are_pillows(
    name: str, enhance: Callable[[Image.Image], ImageEnhance.Brightness], amount: float, side: int
) -> None:
    batch, pictures = images(side)
    found = SPACE[name][0](batch, torch.full((len(batch),), amount))
    expected = from_pil([enhance(p).enhance(1 + amount) for p in pictures])
    wrong = differences(found, expected)
    # A smoothed value that lies on the edge may be rounded the other way, and then be enlarged.
    assert wrong.max() <= (2 if name == "sharpness" else 1)
    assert (wrong > 0).float().mean() < 0.02


@pytest.mark.parametrize("side", SIDES)
def test_posterize_solarize_autocontrast_and_equalize_are_pillows_exactly(side: int) -> None:
    batch, pictures = images(side)
    full = torch.ones(len(batch))
    for bits in range(1, 9):
        expected = from_pil([ImageOps.posterize(p, bits) for p in pictures])
        assert torch.equal(operations.posterize(batch, full * bits), expected)
    for threshold in (0, 1, 100, 255, 256):
        expected = from_pil([ImageOps.solarize(p, threshold) for p in pictures])
        assert torch.equal(operations.solarize(batch, full * threshold), expected)
    expected = from_pil([ImageOps.autocontrast(p) for p in pictures])
    assert differences(operations.autocontrast(batch, full), expected).max() <= 1
    expected = from_pil([ImageOps.equalize(p) for p in pictures])
    assert torch.equal(operations.equalize(batch, full), expected)


def affine_by_pillow(picture: Image.Image, coefficients: tuple[float, ...]) -> Image.Image:
    return picture.transform(
        picture.size, Image.Transform.AFFINE, coefficients, BILINEAR, fillcolor=FILL
    )


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("amount", [-0.7, 0.0, 0.25, 0.99])
def test_shearing_moving_and_turning_are_pillows(amount: float, side: int) -> None:
    """Pillow counts from the upper left corner, so the centre has to be taken out there."""
    batch, pictures = images(side)
    full, c = torch.ones(len(batch)), side / 2
    pixels, degrees = amount * 20, amount * 100
    cases = {
        "shear_x": (amount, (1, amount, -amount * c, 0, 1, 0)),
        "shear_y": (amount, (1, 0, 0, amount, 1, -amount * c)),
        "translate_x": (pixels, (1, 0, pixels, 0, 1, 0)),
        "translate_y": (pixels, (1, 0, 0, 0, 1, pixels)),
    }
    for name, (size, coefficients) in cases.items():
        expected = from_pil([affine_by_pillow(p, coefficients) for p in pictures])
        check_moved(SPACE[name][0](batch, full * size), expected)
    expected = from_pil([p.rotate(degrees, BILINEAR, fillcolor=FILL) for p in pictures])
    check_moved(SPACE["rotate"][0](batch, full * degrees), expected)


def check_moved(found: Tensor, expected: Tensor) -> None:
    """Pillow cuts what it interpolates where we round; a corner may fall on either side."""
    wrong = differences(found, expected)
    assert (wrong > 1).float().mean() < 0.005
    assert (wrong > 0).float().mean() < 0.6


@pytest.mark.parametrize("name", SPACE)
@pytest.mark.parametrize("wide", [False, True])
def test_without_strength_nothing_changes_and_with_it_something_does(name: str, wide: bool) -> None:
    batch, _ = images(32)
    batch = batch[:3]
    none = magnitude(name, torch.zeros(3), 32, wide=wide)
    assert none.shape == (3,)
    operation = SPACE[name][0]
    always = name in ("autocontrast", "equalize")
    assert always or torch.equal(operation(batch, none), batch)
    strong = operation(batch, magnitude(name, torch.tensor([1.0, -1.0, 1.0]), 32, wide=wide))
    assert strong.shape == batch.shape
    assert name == "identity" or not torch.equal(strong, batch)


def test_the_strengths_are_the_papers() -> None:
    """TrivialAugment (wide) at full strength; RandAugment moves by shares of the image."""
    one = torch.tensor([1.0, -1.0])
    wide = {name: magnitude(name, one, 32, wide=True).tolist() for name in SPACE}
    assert wide["rotate"] == [135, -135]
    assert wide["translate_x"] == [32, -32]
    assert wide["shear_y"] == pytest.approx([0.99, -0.99])
    assert wide["posterize"] == [2, 2]
    assert wide["solarize"] == [0, 0]
    assert magnitude("translate_x", one, 200, wide=False).tolist() == [90, -90]
    assert magnitude("posterize", 0.5 * one, 32, wide=False).tolist() == [6, 6]
    assert len(SPACE) == 14


def test_each_image_has_its_own_magnitude() -> None:
    batch, _ = images(32)
    amounts = torch.linspace(-0.9, 0.9, len(batch))
    for name in ("rotate", "brightness", "sharpness", "contrast", "color", "shear_x"):
        whole = SPACE[name][0](batch, amounts)
        single = [SPACE[name][0](batch[i : i + 1], amounts[i : i + 1]) for i in range(len(batch))]
        assert torch.equal(whole, torch.cat(single))
