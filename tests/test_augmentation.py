import pytest

from maquette.augmentation import Augmentation, Crop, centre_box


def test_only_mixing_and_smoothing_make_targets_soft() -> None:
    assert not Augmentation(0.3, flip=True, pad_crop=4, policy="rand", erase=0.5).soft
    assert Augmentation(mixup=0.1).soft
    assert Augmentation(cutmix=0.1).soft
    assert Augmentation(label_smoothing=0.1).soft


def test_a_crop_has_its_area_and_ratio_and_stays_inside() -> None:
    left, top, right, bottom = Crop(area=0.5, ratio=4 / 3, x=0.25, y=1.0).box(400, 300)
    assert (right - left) * (bottom - top) == pytest.approx(0.5 * 400 * 300)
    assert (right - left) / (bottom - top) == pytest.approx(4 / 3)
    assert left == pytest.approx(0.25 * (400 - (right - left)))
    assert bottom == pytest.approx(300)


def test_a_crop_that_is_too_long_is_cut_off() -> None:
    assert Crop(area=1.0, ratio=4 / 3, x=0.5, y=0.5).box(10, 10) == pytest.approx(
        (0, 10 * (1 - 0.75**0.5) / 2, 10, 10 * (1 + 0.75**0.5) / 2)
    )
    assert Crop(area=1.0, ratio=1.0, x=0.9, y=0.1).box(12, 12) == pytest.approx((0, 0, 12, 12))


def test_the_centre_is_a_square() -> None:
    assert centre_box(10, 6) == (2, 0, 8, 6)
    assert centre_box(5, 8) == (0, 1.5, 5, 6.5)
