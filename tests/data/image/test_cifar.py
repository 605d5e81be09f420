import hashlib
import io
import os
import pickle
import struct
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from maquette.data.image import cifar_batches
from maquette.data.image.cifar import cifar10, open_cifar
from maquette.data.image.cifar_batches import CIFAR10, CIFAR100, Cifar, Edition
from maquette.errors import DataError
from tests.data.image.making import file_bytes, picture, pixels_of

pyarrow = pytest.importorskip("pyarrow")

COUNTS = {"train": 20, "test": 4}


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cifar_batches, "IMAGES", COUNTS)


def images(count: int, start: int = 0) -> np.ndarray:
    return np.stack([picture(start + i, 32, 32) for i in range(count)])


def planes(block: np.ndarray) -> np.ndarray:
    """(N, 32, 32, 3) as the files have it: (N, 3072), red, then green, then blue."""
    return block.transpose(0, 3, 1, 2).reshape(len(block), -1)


def python2_pickle(pixels: np.ndarray, key: bytes, labels: list[int]) -> bytes:
    """As Python 2 and the NumPy of then wrote it, by hand: protocol 2, byte strings."""

    def text(value: bytes) -> bytes:
        if len(value) < 256:
            return b"U" + bytes([len(value)]) + value
        return b"T" + struct.pack("<i", len(value)) + value

    def number(value: int) -> bytes:
        return b"J" + struct.pack("<i", value)

    dtype = (
        b"cnumpy\ndtype\n" + b"(" + text(b"u1") + number(0) + number(1) + b"tR"
        + b"(" + number(3) + text(b"|") + b"NNN" + number(-1) + number(-1) + number(0) + b"tb"
    )  # fmt: skip
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\n"
        + b"(cnumpy\nndarray\n(" + number(0) + b"t" + text(b"b") + b"tR"
        + b"(" + number(1) + b"(" + number(pixels.shape[0]) + number(pixels.shape[1]) + b"t"
        + dtype + b"\x89" + text(pixels.tobytes()) + b"tb"
    )  # fmt: skip
    numbers = b"](" + b"".join(map(number, labels)) + b"e"
    return b"\x80\x02}(" + text(b"data") + array + text(key) + numbers + b"u."


def python3_pickle(pixels: np.ndarray, key: bytes, labels: list[int]) -> bytes:
    return pickle.dumps({"data": pixels, key.decode(): labels}, protocol=2)


def batches(edition: Edition, count: int) -> tuple[list[np.ndarray], list[list[int]]]:
    """As many blocks of images as the edition has files to train on, and their labels."""
    files = len(edition.python["train"])
    blocks = [images(count // files, 100 * i) for i in range(files)]
    labels = [[(i + j) % len(edition.classes) for j in range(count // files)] for i in range(files)]
    return blocks, labels


def flat(labels: list[list[int]]) -> list[int]:
    return [label for part in labels for label in part]


def published(
    edition: Edition, write: Callable[[np.ndarray, bytes, list[int]], bytes]
) -> tuple[Edition, dict[str, bytes]]:
    """Batches written by us, and an edition for which these are the published ones."""
    blocks, labels = batches(edition, COUNTS["train"])
    names = [*edition.python["train"], *edition.python["test"]]
    blocks.append(images(COUNTS["test"], 900))
    labels.append([0, 1, 2, 3])
    files = {
        name: write(planes(block), edition.label_key, wanted)
        for name, block, wanted in zip(names, blocks, labels, strict=True)
    }
    sums = {name: hashlib.md5(data).hexdigest() for name, data in files.items()}
    python = {s: {name: sums[name] for name in of} for s, of in edition.python.items()}
    return replace(edition, python=python), files


def check(source: Cifar, edition: Edition) -> None:
    blocks, labels = batches(edition, COUNTS["train"])
    train, test = source.split("train"), source.split("test")
    assert train.labels.tolist() == flat(labels)
    assert np.array_equal(pixels_of(train), np.concatenate(blocks))
    assert test.labels.tolist() == [0, 1, 2, 3]
    assert np.array_equal(pixels_of(test), images(4, 900))
    assert source.splits() == ("train", "test")
    assert source.classes == edition.classes


@pytest.mark.parametrize("base", [CIFAR10, CIFAR100], ids=["10", "100"])
@pytest.mark.parametrize("write", [python2_pickle, python3_pickle])
def test_the_python_batches(tmp_path: Path, base: Edition, write: Any) -> None:
    edition, files = published(base, write)
    folder = tmp_path / "cifar-batches-py"
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    check(open_cifar(edition, str(tmp_path)), edition)


def test_python_2_wrote_what_pickle_reads_too() -> None:
    """Our hand-made pickle is one: Python's own reader agrees."""
    pixels = planes(images(2))
    batch = pickle.loads(python2_pickle(pixels, b"labels", [3, 4]), encoding="bytes")
    assert np.array_equal(batch[b"data"], pixels)
    assert batch[b"labels"] == [3, 4]


@pytest.mark.parametrize("edition", [CIFAR10, CIFAR100], ids=["10", "100"])
def test_the_binary_batches(tmp_path: Path, edition: Edition) -> None:
    for name, data in binary(edition).items():
        (tmp_path / name).write_bytes(data)
    check(open_cifar(edition, str(tmp_path)), edition)


def binary(edition: Edition) -> dict[str, bytes]:
    blocks, labels = batches(edition, COUNTS["train"])
    names = [*edition.binary["train"], *edition.binary["test"]]
    files = {}
    for name, block, wanted in zip(
        names, [*blocks, images(4, 900)], [*labels, [0, 1, 2, 3]], strict=True
    ):
        rows = zip(wanted, planes(block), strict=True)
        coarse = b"\x07" * (edition.label_bytes - 1)
        files[name] = b"".join(coarse + bytes([label]) + row.tobytes() for label, row in rows)
    return files


def test_an_archive_is_read_as_it_is_once_its_sum_is_right(tmp_path: Path) -> None:
    archive = tmp_path / "cifar-10-binary.tar.gz"
    with tarfile.open(archive, "w:gz") as members:
        for name, data in binary(CIFAR10).items():
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(data)
            members.addfile(member, io.BytesIO(data))
    with pytest.raises(DataError, match="is not the published file: its MD5 is"):
        open_cifar(CIFAR10, str(archive))
    sums = {archive.name: hashlib.md5(archive.read_bytes()).hexdigest()}
    check(open_cifar(replace(CIFAR10, archives=sums), str(archive)), CIFAR10)
    assert [path.name for path in tmp_path.iterdir()] == [archive.name]


@pytest.mark.parametrize("edition", [CIFAR10, CIFAR100], ids=["10", "100"])
def test_parquet_in_the_hubs_layout(tmp_path: Path, edition: Edition) -> None:
    import pyarrow.parquet as parquet

    blocks, labels = batches(edition, COUNTS["train"])
    folder = tmp_path / "plain_text"
    folder.mkdir()
    for split, block, wanted in (
        ("train", np.concatenate(blocks), flat(labels)),
        ("test", images(4, 900), [0, 1, 2, 3]),
    ):
        rows = [{"bytes": file_bytes(one), "path": f"{i}.png"} for i, one in enumerate(block)]
        table = pyarrow.table({"img": rows, edition.label: wanted})
        parquet.write_table(table, folder / f"{split}-00000-of-00001.parquet")
    source = open_cifar(edition, str(tmp_path))
    test = source.split("test")
    assert test.labels.tolist() == [0, 1, 2, 3]
    assert list(test.images()) == [file_bytes(one) for one in images(4, 900)]
    assert source.split("train").labels.tolist() == flat(labels)
    assert test.name(2) == "test-00000-of-00001.parquet, row 2"


def test_a_pickle_that_is_not_the_published_one_is_not_opened(tmp_path: Path) -> None:
    edition, files = published(CIFAR10, python2_pickle)
    files["data_batch_3"] = files["data_batch_3"][:-1]
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError, match=r"data_batch_3 is not the published file") as caught:
        open_cifar(edition, str(tmp_path)).split("train")
    assert "cs.toronto.edu" in str(caught.value.hint)


class Evil:
    def __init__(self, touch: Path) -> None:
        self.touch = touch

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.touch),)


def test_a_pickle_runs_nothing_even_with_the_right_sum(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    data = pickle.dumps({"data": Evil(mark), "labels": [0]}, protocol=2)
    with pytest.raises(DataError, match=r"is no batch of images: it names (posix|nt)"):
        cifar_batches._pickled(data, b"labels", hashlib.md5(data).hexdigest(), "here")
    assert not mark.exists()
    odd = pickle.dumps({"data": np.zeros((1, 3072)), "labels": [0]}, protocol=2)
    with pytest.raises(DataError, match=r"numbers of type .*f8.* instead of bytes"):
        cifar_batches._pickled(odd, b"labels", hashlib.md5(odd).hexdigest(), "here")


def test_a_set_that_is_not_whole_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, data in binary(CIFAR10).items():
        (tmp_path / name).write_bytes(data)
    monkeypatch.setattr(cifar_batches, "IMAGES", {"train": 50_000, "test": 4})
    with pytest.raises(DataError, match=r"has 20 train images instead of the 50,000 of CIFAR-10"):
        open_cifar(CIFAR10, str(tmp_path)).split("train")
    (tmp_path / "test_batch.bin").write_bytes(b"1" * 5000)
    with pytest.raises(DataError, match=r"test_batch.bin: has 5,000 bytes, .* records of 3,073"):
        open_cifar(CIFAR10, str(tmp_path)).split("test")


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="gone: no such folder") as caught:
        open_cifar(CIFAR10, str(tmp_path / "gone"))
    assert "data_batch_1" in str(caught.value.hint)
    (tmp_path / "data_batch_1").touch()
    with pytest.raises(DataError, match="has no data_batch_2"):
        open_cifar(CIFAR10, str(tmp_path))
    (tmp_path / "other.zip").touch()
    with pytest.raises(DataError, match=r"other.zip: is no archive of CIFAR-100"):
        open_cifar(CIFAR100, str(tmp_path / "other.zip"))


def test_the_classes_are_ten_and_a_hundred_in_order() -> None:
    for edition, count in ((CIFAR10, 10), (CIFAR100, 100)):
        assert len(edition.classes) == count
        assert list(edition.classes) == sorted(set(edition.classes))


REAL = Path(__file__).parents[4] / "shared/data/cifar10"


@pytest.mark.skipif(not REAL.is_dir(), reason="needs ../shared/data/cifar10")
def test_the_real_one_has_its_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cifar_batches, "IMAGES", {"train": 50_000, "test": 10_000})
    source = cifar10(str(REAL))
    assert np.bincount(source.split("train").labels).tolist() == [5000] * 10
    assert np.bincount(source.split("test").labels).tolist() == [1000] * 10
