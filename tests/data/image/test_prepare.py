import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from maquette.augmentation import Crop
from maquette.data.cache import list_prepared
from maquette.data.image import prepare as preparation
from maquette.data.image.files import FileImages
from maquette.data.image.holdout import hold_out
from maquette.data.image.prepare import (
    ImageProgress,
    PreparedImages,
    open_images,
    prepare_images,
)
from maquette.data.image.shapes import Shapes
from maquette.errors import DamagedError, DataError
from tests.data.image.making import Made, file_bytes, made, picture, save

COUNTS = {"train": 16, "validation": 4, "test": 4}


def png(seed: int) -> bytes:
    return file_bytes(picture(seed))


def everything(prepared: PreparedImages, split: str) -> torch.Tensor:
    images = prepared.images(split, workers=0)
    return images.batch(range(len(images)))


def raw(seeds: range) -> np.ndarray:
    return np.stack([picture(seed) for seed in seeds]).transpose(0, 3, 1, 2)


@pytest.mark.parametrize("image", [picture, png], ids=["pixels", "bytes"])
def test_the_images_come_back_as_they_are(tmp_path: Path, image: object) -> None:
    prepared = prepare_images("x", made(COUNTS, image=image), cache=tmp_path)  # type: ignore[arg-type]
    assert np.array_equal(everything(prepared, "train"), raw(range(16)))
    assert np.array_equal(everything(prepared, "validation"), raw(range(16, 20)))
    images = prepared.images("test")
    assert images.batch([3, 1]).dtype == torch.uint8
    assert np.array_equal(images.batch([3, 1]), raw(range(20, 24))[[3, 1]])
    assert images.labels.tolist() == [0, 1, 0, 1]
    assert images.labels.dtype == torch.int64
    facts = prepared.facts
    assert facts.classes == ("class0", "class1")
    assert facts.image_size == 8
    assert {s: f.images for s, f in facts.splits.items()} == COUNTS
    assert facts.splits["train"].per_class == (8, 8)


def test_mean_and_deviation_are_those_of_the_train_split_alone(tmp_path: Path) -> None:
    facts = prepare_images("x", made(COUNTS), cache=tmp_path).facts
    train = raw(range(16)).astype(np.float64) / 255
    assert facts.mean == pytest.approx(train.mean((0, 2, 3)), abs=1e-12)
    assert facts.std == pytest.approx(train.std((0, 2, 3)), abs=1e-12)


def test_a_second_time_it_is_there_and_other_data_is_not(tmp_path: Path) -> None:
    source = made(COUNTS)
    first = prepare_images("x", source, cache=tmp_path)
    assert not first.reused
    source.reads.clear()
    again = prepare_images("x", source, cache=tmp_path)
    assert again.reused
    assert source.reads == []
    assert (again.folder, again.facts, again.remarks) == (first.folder, first.facts, first.remarks)
    assert open_images(first.folder).facts == first.facts
    assert prepare_images("x", source, cache=tmp_path, size=4).facts.image_size == 4
    source.version = 1
    assert not prepare_images("x", source, cache=tmp_path).reused


def test_what_is_damaged_is_made_anew(tmp_path: Path) -> None:
    first = prepare_images("x", made(COUNTS), cache=tmp_path)
    (first.folder / "train.pixels").write_bytes(b"short")
    with pytest.raises(DamagedError, match=r"train.pixels is damaged"):
        open_images(first.folder)
    again = prepare_images("x", made(COUNTS), cache=tmp_path)
    assert not again.reused
    assert np.array_equal(everything(again, "train"), raw(range(16)))


def test_the_sums_follow_the_pixels_and_the_labels(tmp_path: Path) -> None:
    first = prepare_images("x", made(COUNTS), cache=tmp_path).facts
    other = made(COUNTS)
    other.version = 1
    images, labels = other._splits["train"]
    labels[0], labels[1] = labels[1], labels[0]
    second = prepare_images("x", other, cache=tmp_path).facts
    assert first.splits["train"].sha256 != second.splits["train"].sha256
    assert first.splits["test"].sha256 == second.splits["test"].sha256
    assert len(images) == 16


def test_the_same_share_of_each_class_is_held_out(tmp_path: Path) -> None:
    source = made({"train": 36, "test": 3}, classes=3)
    facts = prepare_images("x", source, cache=tmp_path).facts
    assert facts.splits["validation"].per_class == (3, 3, 3)  # a quarter
    assert facts.splits["train"].per_class == (9, 9, 9)
    one = prepare_images("x", source, cache=tmp_path)
    both = torch.cat([everything(one, "train"), everything(one, "validation")])
    assert {image.numpy().tobytes() for image in both} == {i.tobytes() for i in raw(range(36))}
    other = prepare_images("x", source, cache=tmp_path, seed=1)
    assert other.facts.splits["validation"].sha256 != facts.splits["validation"].sha256


def test_what_is_held_out_stays_when_images_are_added() -> None:
    labels, names = np.zeros(100, dtype=np.int64), [f"{i}.png" for i in range(100)]
    labels[::2] = 1
    before = hold_out(labels, names, ["a", "b"], fraction=0.2, seed=3)
    assert before.sum() == 20
    assert before[labels == 1].sum() == 10
    more = hold_out(np.append(labels, 1), [*names, "new.png"], ["a", "b"], fraction=0.2, seed=3)
    assert (more[:100] != before).sum() <= 1
    assert not np.array_equal(hold_out(labels, names, ["a", "b"], fraction=0.2, seed=4), before)
    tiny = hold_out(np.array([0, 0, 1, 1]), list("abcd"), ["a", "b"], fraction=0.01, seed=0)
    assert tiny.sum() == 2
    with pytest.raises(DataError, match="a single image of b"):
        hold_out(np.array([0, 0, 1]), list("abc"), ["a", "b"], fraction=0.1, seed=0)


@pytest.mark.parametrize(
    ("sides", "size"),
    [([8, 8, 8], 8), ([64, 64], 64), ([8, 9, 8], 224), ([65, 65], 224), ([2, 300], 224)],
)
def test_images_keep_their_size_if_it_is_small_and_the_same(
    tmp_path: Path, sides: list[int], size: int
) -> None:
    images = [file_bytes(picture(i, side, side + i % 2)) for i, side in enumerate(sides)] * 4
    labels = [i % 2 for i in range(len(images))]
    source = Made({"train": (list(images), labels)}, ("a", "b"))
    assert prepare_images("x", source, cache=tmp_path).facts.image_size == size


def broken_source(count: int, broken: int) -> Made:
    source = made({"train": count, "validation": 4}, image=png)
    images, _ = source._splits["train"]
    for i in range(broken):
        images[3 * i] = b"garbage" if i % 2 else png(3 * i)[:-30]
    return source


def test_a_few_broken_images_are_left_out_and_named(tmp_path: Path) -> None:
    prepared = prepare_images("pets", broken_source(300, 3), cache=tmp_path)
    facts = prepared.facts.splits["train"]
    assert (facts.images, facts.broken) == (297, 3)
    assert len(prepared.images("train")) == 297
    assert prepared.facts.image_size == 8
    (remark,) = prepared.remarks["pets"]
    assert remark.startswith("left out 3 of 300 images of train: train-0.png can't be read: ")
    assert "train-3.png is no image" in remark
    expected = np.delete(raw(range(300)), [0, 3, 6], axis=0)
    assert np.array_equal(everything(prepared, "train"), expected)
    assert prepared.images("train").labels[:4].tolist() == [1, 0, 0, 1]


def test_more_than_one_in_a_hundred_stops(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        prepare_images("pets", broken_source(300, 4), cache=tmp_path)
    message = str(caught.value)
    assert message.startswith("data.sources.pets: 4 of 300 images in train are broken: train-0.png")
    assert "train-9.png is no image" in message
    with pytest.raises(DataError, match=r": 11 of the first 31 images of 300 in train are .* more"):
        prepare_images("pets", broken_source(300, 12), cache=tmp_path)
    with pytest.raises(DataError, match=r": 1 of 9 images in train is broken"):
        prepare_images("pets", broken_source(9, 1), cache=tmp_path)
    assert not [path for path in (tmp_path / "data").iterdir() if path.is_dir()]


def test_a_class_that_is_missing_in_a_split_is_named(tmp_path: Path) -> None:
    source = made(COUNTS, classes=2)
    source._splits["validation"][1][:] = [0, 0, 0, 0]
    with pytest.raises(DataError, match=r"data.sources.x: its validation split has no image of cl"):
        prepare_images("x", source, cache=tmp_path)
    alone = Made({"train": ([picture(0)] * 4, [0] * 4)}, ("only",))
    with pytest.raises(DataError, match="has 1 class,"):
        prepare_images("x", alone, cache=tmp_path)


def test_copies_of_training_images_are_counted(tmp_path: Path) -> None:
    source = made(COUNTS)
    source._splits["validation"][0][1] = picture(3)
    source._splits["test"][0][2:] = [picture(5), picture(6)]
    found = prepare_images("x", source, cache=tmp_path).duplicates
    assert (found["validation"].images, found["validation"].of) == (1, 4)
    assert found["validation"].example == "validation-1.png"
    assert (found["test"].images, found["test"].example) == (2, "test-2.png")


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sets are too large to be kept as pixels."""
    monkeypatch.setattr(preparation, "PIXEL_BYTES", 100)


@pytest.mark.parametrize("kind", ["pixels", "bytes", "files"])
def test_a_large_set_stays_files_and_gives_the_same_images(
    tmp_path: Path, kind: str, large: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def image(seed: int) -> object:
        path = tmp_path / f"images/{seed}.png"
        return {"pixels": picture(seed), "bytes": png(seed), "files": save(path, png(seed))}[kind]

    source = made(COUNTS, image=image)  # type: ignore[arg-type]
    prepared = prepare_images("x", source, cache=tmp_path)
    assert prepared.on_the_fly
    assert not list(prepared.folder.glob("*.pixels"))
    assert bool(list(prepared.folder.glob("*.paths"))) == (kind == "files")
    assert np.array_equal(everything(prepared, "train"), raw(range(16)))
    assert prepared.images("test").labels.tolist() == [0, 1, 0, 1]
    monkeypatch.setattr(preparation, "PIXEL_BYTES", 1 << 30)
    source.version = 1
    kept = prepare_images("x", source, cache=tmp_path)
    assert not kept.on_the_fly
    assert kept.facts == prepared.facts


def test_workers_change_nothing_that_comes_out(tmp_path: Path, large: None) -> None:
    source = made({"train": 80, "validation": 2}, image=png)
    prepared = prepare_images("x", source, cache=tmp_path)
    crops = [Crop(0.5, 1.1, i / 80, 0.5) for i in range(80)]
    images = [prepared.images("train", workers=n) for n in (0, 1, 3)]
    try:
        found = [each.batch(range(80), crops=crops) for each in images]
    finally:
        for each in images:
            assert isinstance(each, FileImages)
            each.close()
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])
    assert not torch.equal(found[0], torch.from_numpy(raw(range(80))))


def test_a_file_that_is_gone_since_is_named(tmp_path: Path, large: None) -> None:
    paths = [save(tmp_path / f"{i}.png", png(i)) for i in range(8)]
    source = Made({"train": (list(paths), [0, 1] * 4)}, ("a", "b"))
    images = prepare_images("x", source, cache=tmp_path).images("train", workers=0)
    for path in paths:
        path.unlink()
    with pytest.raises(DataError, match=r"\d.png: can't be read: no such file"):
        images.batch([0])


def test_progress_tells_splits_and_counts(tmp_path: Path) -> None:
    told: list[ImageProgress] = []
    prepare_images("pets", made({"train": 150, "test": 4}), cache=tmp_path, progress=told.append)
    assert [(p.split, p.images, p.total) for p in told] == [
        ("train", 64, 150), ("train", 128, 150), ("train", 150, 150), ("test", 4, 4),
    ]  # fmt: skip
    assert str(told[0]) == "preparing data: pets, train"


def test_a_split_that_is_not_there(tmp_path: Path) -> None:
    prepared = prepare_images("x", made({"train": 8}), cache=tmp_path)
    with pytest.raises(DataError, match="no test split"):
        prepared.images("test")


def test_two_preparations_wait_for_each_other(tmp_path: Path) -> None:
    def prepare_shapes(_: int) -> bool:
        return prepare_images("x", Shapes(images=600), cache=tmp_path).reused

    with ThreadPoolExecutor(2) as threads:
        assert sorted(threads.map(prepare_shapes, range(2))) == [False, True]


def test_a_full_disk_is_told_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    real = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: real._replace(free=1000))
    with pytest.raises(DataError, match=r"preparing needs 4.50 KiB, and 1000 B are free"):
        prepare_images("x", made(COUNTS), cache=tmp_path)


def test_facts_are_plain_json(tmp_path: Path) -> None:
    prepared = prepare_images("x", made(COUNTS), cache=tmp_path)
    written = json.loads((prepared.folder / "facts.json").read_text())
    assert written["classes"] == ["class0", "class1"]
    assert written["splits"]["test"]["per_class"] == [2, 2]


def test_it_is_listed_with_all_that_is_prepared(tmp_path: Path) -> None:
    prepared = prepare_images("pets", made(COUNTS), cache=tmp_path)
    (entry,) = list_prepared(tmp_path / "data")
    assert (entry.key, entry.sources) == (prepared.folder.name, {"pets": "made"})
    assert (entry.images, entry.tokens, entry.tokenizer) == (24, 0, "")
    assert entry.bytes == sum(path.stat().st_size for path in prepared.folder.iterdir())
