import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from maquette.augmentation import Crop
from maquette.data.image.decoder_process import decode_all
from maquette.data.image.decoding import BrokenError, decode, dimensions, fit, shorter_side
from tests.data.image.making import Pixels, file_bytes, picture, save

S = 16


def close(found: Pixels, expected: Pixels | tuple[int, int, int], within: int = 1) -> bool:
    return bool((np.abs(found.astype(int) - np.asarray(expected)).max()) <= within)


def solid(mode: str, colour: object) -> Image.Image:
    return Image.new(mode, (S, S), colour)  # type: ignore[arg-type]


def test_an_image_of_the_size_comes_back_as_it_is() -> None:
    image = picture(0, S, S)
    assert np.array_equal(decode(file_bytes(image), S), image)
    assert np.array_equal(fit(image, S), image)


@pytest.mark.parametrize(
    ("image", "colour"),
    [
        (solid("L", 77), (77, 77, 77)),
        (solid("1", 1), (255, 255, 255)),
        (solid("RGBA", (200, 0, 0, 255)), (200, 0, 0)),
        (solid("RGBA", (200, 0, 0, 0)), (255, 255, 255)),
        (solid("RGBA", (200, 0, 0, 51)), (244, 204, 204)),
        (solid("LA", (0, 0)), (255, 255, 255)),
        (solid("I;16", 51400), (200, 200, 200)),
    ],
)
def test_any_mode_becomes_rgb_on_white(image: Image.Image, colour: tuple[int, int, int]) -> None:
    assert close(decode(file_bytes(image), S), colour)


def test_palettes_with_and_without_transparency() -> None:
    image = picture(3, S, S)
    palette = Image.fromarray(image).quantize(16)
    assert close(decode(file_bytes(palette, "gif"), S), np.asarray(palette.convert("RGB")))
    clear = solid("P", 0)
    clear.putpalette([10, 20, 30])
    assert close(decode(file_bytes(clear, "png", transparency=0), S), (255, 255, 255))
    assert close(decode(file_bytes(clear, "png"), S), (10, 20, 30))


def test_16_bit_grey_of_a_tiff_is_scaled_not_cut() -> None:
    ramp = np.linspace(0, 65535, S * S).astype(np.uint16).reshape(S, S)
    found = decode(file_bytes(Image.fromarray(ramp), "tiff"), S)
    assert close(found[..., 0], (ramp // 257).astype(np.uint8))


@pytest.mark.parametrize("most", [1.0, 255.0, -1, 70_000])
def test_numbers_that_may_mean_anything_are_no_picture(most: float) -> None:
    """As black, or as white, which they would be cut to, they would be learnt from unseen."""
    kind = np.float32 if isinstance(most, float) else np.int32
    image = Image.fromarray(np.full((S, S), most, dtype=kind))
    with pytest.raises(BrokenError, match="numbers of 32 bits"):
        decode(file_bytes(image, "tiff"), S)
    deep = Image.fromarray(np.full((S, S), 0x8000, dtype=np.int32))
    assert close(decode(file_bytes(deep, "tiff"), S), (128, 128, 128))


def test_cmyk_jpeg() -> None:
    cmyk = solid("CMYK", (0, 255, 255, 0))  # magenta and yellow make red
    assert close(decode(file_bytes(cmyk, "jpeg", quality=95), S), (255, 0, 0), within=3)


@pytest.mark.parametrize("kind", ["png", "tiff"])
@pytest.mark.parametrize("turn", range(1, 9))
def test_exif_turns_the_picture(turn: int, kind: str) -> None:
    image = Image.fromarray(picture(5, 24, S))
    exif = Image.Exif()
    exif[0x0112] = turn
    data = file_bytes(image, kind, exif=exif)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    expected = ImageOps.fit(upright, (S, S), Image.Resampling.BICUBIC)
    assert close(decode(data, S), np.asarray(expected), within=2)


def test_damaged_exif_costs_nothing() -> None:
    data = file_bytes(picture(0, S, S), "jpeg", exif=b"Exif\x00\x00garbage", quality=95)
    assert decode(data, S).shape == (S, S, 3)


@pytest.mark.parametrize(("width", "height"), [(40, 20), (20, 40), (33, 47), (9, 31)])
def test_the_shorter_side_is_brought_to_the_size_and_the_middle_kept(
    width: int, height: int
) -> None:
    image = picture(7, width, height)
    expected = ImageOps.fit(Image.fromarray(image), (S, S), Image.Resampling.BICUBIC)
    assert close(decode(file_bytes(image), S), np.asarray(expected), within=2)
    assert close(fit(image, S), np.asarray(expected), within=2)
    assert shorter_side(file_bytes(image)) == min(width, height)


def test_a_large_jpeg_is_close_to_one_decoded_whole() -> None:
    """Decoding at a fraction of the size is quicker; it must not be another picture."""
    image = Image.fromarray(picture(8, 640, 480))
    data = file_bytes(image, "jpeg", quality=95)
    expected = ImageOps.fit(image, (S, S), Image.Resampling.BICUBIC)
    assert close(decode(data, S), np.asarray(expected), within=12)
    crop = Crop(0.25, 1.0, 1.0, 0.0)  # its box in the upper right
    left, top, right, bottom = crop.box(640, 480)
    part = image.resize((S, S), Image.Resampling.BICUBIC, box=(left, top, right, bottom))
    assert right == 640
    assert top == 0
    assert close(decode(data, S, crop), np.asarray(part), within=12)


def test_a_crop_is_that_part_of_the_picture() -> None:
    image = np.zeros((20, 40, 3), dtype=np.uint8)
    image[:12, 28:] = 255  # a little more, which is looked at to interpolate
    crop = Crop(area=1 / 8, ratio=1.0, x=1.0, y=0.0)
    assert crop.box(40, 20) == pytest.approx((30, 0, 40, 10))
    assert close(decode(file_bytes(image), S, crop), (255, 255, 255))
    assert not close(decode(file_bytes(image), S, Crop(1 / 8, 1.0, 0.0, 0.0)), (255, 255, 255))


def test_an_animation_shows_its_first_picture() -> None:
    first, second = (solid("RGB", colour) for colour in ((255, 0, 0), (0, 0, 255)))
    data = file_bytes(first, "gif", save_all=True, append_images=[second])
    assert close(decode(data, S), (255, 0, 0))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "is no image"),
        (b"hello, world", "is no image"),
        (file_bytes(picture(0), "eps"), "is no image"),  # to read it, Pillow would start a program
        (file_bytes(picture(0, 64, 64), "jpeg")[:500], "(?i)truncated"),
        (file_bytes(picture(0, 64, 64))[:300], "truncated"),
        (file_bytes(picture(0))[:20], "can't be read|no image"),
    ],
)
def test_broken_images_say_why(data: bytes, why: str) -> None:
    with pytest.raises(BrokenError, match=why):
        decode(data, S)


def test_dimensions_are_those_that_one_sees() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    for kind in ("jpeg", "png", "webp", "tiff"):
        assert dimensions(file_bytes(picture(0, 30, 20), kind)) == (30, 20)
        assert dimensions(file_bytes(picture(0, 30, 20), kind, exif=exif)) == (20, 30)


def test_a_bomb_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    data = file_bytes(picture(0, 64, 64))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 3000)
    with pytest.raises(BrokenError, match="more than 3,000 pixels"):
        decode(data, S)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)  # Pillow raises by itself at twice as many
    with pytest.raises(BrokenError, match="more than 1,000 pixels"):
        shorter_side(data)


def test_images_are_read_from_where_they_are(tmp_path: Path) -> None:
    place = tmp_path
    one, two = file_bytes(picture(1, S, S)), file_bytes(picture(2, S, S))
    packed = save(place / "packed", one + two)
    alone = save(place / "two.png", two)
    missing = str(place / "gone.png")
    pixels, broken = decode_all(
        [
            ((str(packed), 0, len(one)), None),
            ((str(packed), len(one), len(two)), None),
            ((str(alone), 0, 0), None),
            ((missing, 0, 0), None),
        ],
        S,
    )
    assert np.array_equal(pixels[0], picture(1, S, S))
    assert np.array_equal(pixels[1], picture(2, S, S))
    assert np.array_equal(pixels[2], picture(2, S, S))
    assert list(broken) == [3]
    assert "no such file" in broken[3]
