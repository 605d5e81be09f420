import threading
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from maquette.augmentation import Augmentation
from maquette.data.image.batches import Ahead, ImageBatches, evaluation_batches, normalise
from maquette.data.image.pixels import PixelImages
from tests.data.image.making import picture

MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)
ALL = Augmentation(
    crop_scale=0.4, flip=True, pad_crop=2, policy="trivial", erase=0.5, mixup=0.4, cutmix=1.0,
    label_smoothing=0.1,
)  # fmt: skip


def images(folder: Path, count: int = 10, size: int = 8, classes: int = 3) -> PixelImages:
    """Image i has the label i % 3."""
    pixels = np.stack([picture(i, size, size) for i in range(count)])
    (folder / "pixels").write_bytes(pixels.tobytes())
    labels = (np.arange(count) % classes).astype("<u2")
    (folder / "labels").write_bytes(labels.tobytes())
    return PixelImages(folder / "pixels", folder / "labels", size)


def make(
    data: PixelImages, size: int = 4, seed: int = 1, augmentation: Augmentation | None = None
) -> ImageBatches:
    return ImageBatches(
        data, batch_size=size, seed=seed, classes=3, mean=MEAN, std=STD, augmentation=augmentation
    )


@pytest.mark.parametrize("size", [1, 3, 4, 10, 25])
def test_every_image_comes_once_an_epoch_in_another_order(tmp_path: Path, size: int) -> None:
    batches = make(images(tmp_path), size)
    sequence = [i for k in range(-(-30 // size)) for i in batches.indices(k)]
    epochs = [sequence[i : i + 10] for i in (0, 10, 20)]
    assert all(Counter(epoch) == Counter(range(10)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3
    other = make(images(tmp_path), size, seed=2)
    assert [i for k in range(-(-10 // size)) for i in other.indices(k)][:10] != epochs[0]


def test_a_batch_without_augmentation_is_the_images_normalised(tmp_path: Path) -> None:
    data = images(tmp_path)
    batches = make(data)
    pixels, targets = batches.batch(2)
    chosen = batches.indices(2)
    raw = np.stack([picture(i) for i in chosen]) / 255
    expected = ((raw - np.array(MEAN)) / np.array(STD)).transpose(0, 3, 1, 2)
    assert pixels.dtype == torch.float32
    assert np.allclose(pixels.numpy(), expected, atol=1e-5)
    assert targets.tolist() == [i % 3 for i in chosen]
    assert targets.dtype == torch.int64
    assert pixels.is_contiguous(memory_format=torch.channels_last)


def test_a_batch_is_a_function_of_its_number(tmp_path: Path) -> None:
    """Whatever was asked for before, and whatever others drew at random."""
    data = images(tmp_path)
    first = make(data, augmentation=ALL)
    expected = [first.batch(k) for k in range(6)]
    torch.manual_seed(99)
    np.random.seed(99)
    torch.rand(7)
    second = make(data, augmentation=ALL)
    for k in (4, 0, 5, 4, 2):
        for found, wanted in zip(second.batch(k), expected[k], strict=True):
            assert torch.equal(found, wanted)
    assert not torch.equal(expected[0][0], expected[1][0])
    third = make(data, seed=2, augmentation=ALL)
    assert not torch.equal(third.batch(0)[0], expected[0][0])
    assert torch.allclose(expected[0][1].sum(1), torch.ones(4))


def test_evaluation_reads_all_in_order_every_time(tmp_path: Path) -> None:
    data = images(tmp_path)
    parts = list(evaluation_batches(data, batch_size=4, mean=MEAN, std=STD))
    assert [len(labels) for _, labels in parts] == [4, 4, 2]
    assert torch.cat([labels for _, labels in parts]).tolist() == [i % 3 for i in range(10)]
    whole = torch.cat([pixels for pixels, _ in parts])
    assert torch.equal(whole, normalise(data.batch(range(10)), MEAN, STD))


def test_evaluation_of_some_takes_the_same_some(tmp_path: Path) -> None:
    data = images(tmp_path)

    def some(seed: int) -> Tensor:
        parts = evaluation_batches(data, batch_size=4, mean=MEAN, std=STD, limit=6, seed=seed)
        return torch.cat([pixels for pixels, _ in parts])

    assert len(some(0)) == 6
    assert torch.equal(some(0), some(0))
    assert len(torch.unique(some(0).flatten(1), dim=0)) == 6
    assert not torch.equal(some(0), some(1))


def test_the_mean_and_deviation_are_taken_out() -> None:
    pixels = torch.randint(0, 256, (64, 3, 9, 9), dtype=torch.uint8)
    values = pixels.double() / 255
    mean, std = values.mean((0, 2, 3)).tolist(), values.std((0, 2, 3)).tolist()
    found = normalise(pixels, mean, std)
    assert found.mean((0, 2, 3)).abs().max() < 1e-4
    assert (found.std((0, 2, 3)) - 1).abs().max() < 1e-4


class Noted:
    """Batches that note who asked for which; the fifth fails."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, str]] = []

    def batch(self, k: int) -> tuple[Tensor, Tensor]:
        self.asked.append((k, threading.current_thread().name))
        if k == 5:
            raise ValueError("five")
        return torch.tensor(k), torch.tensor(-k)


def test_the_next_is_made_ahead_and_the_asked_one_comes_out() -> None:
    noted = Noted()
    ahead = Ahead(noted)
    found = [int(ahead.batch(k)[0]) for k in (0, 1, 2, 9, 3, 4)]
    assert found == [0, 1, 2, 9, 3, 4]
    with pytest.raises(ValueError, match="five"):
        ahead.batch(5)
    ahead.close()
    numbers = [k for k, _ in noted.asked]
    assert numbers[:4] == [0, 1, 2, 3]
    assert numbers.count(1) == 1  # made once, not again when it was asked for
    assert all(name.startswith("ahead") for _, name in noted.asked)
