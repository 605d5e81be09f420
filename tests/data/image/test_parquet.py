import json
from pathlib import Path
from typing import Any

import pytest

from maquette.data.image.parquet import ParquetImages
from maquette.errors import DataError
from tests.data.image.making import file_bytes, picture

pyarrow = pytest.importorskip("pyarrow")
from pyarrow import parquet  # noqa: E402

IMAGES = [file_bytes(picture(i)) for i in range(6)]


def write(
    path: Path,
    labels: list[Any],
    *,
    names: list[str] | None = None,
    plain: bool = False,
    columns: tuple[str, str] = ("image", "label"),
) -> str:
    images = IMAGES[: len(labels)]
    column = images if plain else [{"bytes": data, "path": None} for data in images]
    table = pyarrow.table({columns[0]: column, columns[1]: labels})
    if names:
        about = {"info": {"features": {columns[1]: {"names": names, "_type": "ClassLabel"}}}}
        table = table.replace_schema_metadata({"huggingface": json.dumps(about)})
    parquet.write_table(table, path)
    return str(path)


@pytest.mark.parametrize("plain", [False, True])
def test_images_and_named_numbers(tmp_path: Path, plain: bool) -> None:
    path = write(tmp_path / "a.parquet", [1, 0, 1, 0], names=["cat", "dog"], plain=plain)
    source = ParquetImages(path)
    assert source.classes == ("cat", "dog")
    split = source.split("train")
    assert split.labels.tolist() == [1, 0, 1, 0]
    assert list(split.images()) == IMAGES[:4] == list(split.images())
    assert split.name(3) == "a.parquet, row 3"


def test_names_and_numbers_without_names(tmp_path: Path) -> None:
    text = ParquetImages(write(tmp_path / "a.parquet", ["dog", "cat", "dog"]))
    assert text.classes == ("cat", "dog")
    assert text.split("train").labels.tolist() == [1, 0, 1]
    train = write(tmp_path / "b.parquet", [7, 3, 7, 10])
    numbers = ParquetImages(train, test_path=write(tmp_path / "c.parquet", [10, 3]))
    assert numbers.classes == ("3", "7", "10")
    assert numbers.split("train").labels.tolist() == [1, 0, 1, 2]
    assert numbers.split("test").labels.tolist() == [2, 0]
    truth = ParquetImages(write(tmp_path / "d.parquet", [True, False]))
    assert truth.classes == ("False", "True")


def test_several_files_and_splits_and_other_columns(tmp_path: Path) -> None:
    for i in range(3):
        write(tmp_path / f"part-{i}.parquet", ["a", "b"], columns=("img", "kind"))
    write(tmp_path / "val.parquet", ["b", "a"], columns=("img", "kind"))
    source = ParquetImages(
        str(tmp_path / "*.parquet"),
        validation_path=str(tmp_path / "val.parquet"),
        image="img",
        label="kind",
    )
    assert source.splits() == ("train", "validation")
    train = source.split("train")
    assert train.labels.tolist() == [0, 1] * 3  # the file held out isn't trained on
    assert train.name(3) == "part-1.parquet, row 1"
    assert source.split("validation").labels.tolist() == [1, 0]


def test_a_row_without_an_image_has_no_bytes(tmp_path: Path) -> None:
    rows = [{"bytes": None, "path": "x"}, None, {"bytes": IMAGES[0], "path": None}]
    parquet.write_table(pyarrow.table({"image": rows, "label": [0, 1, 0]}), tmp_path / "a.parquet")
    images = list(ParquetImages(str(tmp_path / "a.parquet")).split("train").images())
    assert images == [b"", b"", IMAGES[0]]


@pytest.mark.parametrize(
    ("labels", "names", "message"),
    [
        ([0, 2], ["a", "b"], "the label of row 1 is 2, and there are 2 classes"),
        ([0, -1], ["a", "b"], "images without a class"),
        ([0, -1], None, "images without a class"),
        ([0.5, 1.0], None, "the label of row 0 is 0.5"),
        (["a", None], None, "the label of row 1 is None"),
    ],
)
def test_labels_that_are_none_are_named(
    tmp_path: Path, labels: list[Any], names: list[str] | None, message: str
) -> None:
    path = write(tmp_path / "a.parquet", labels, names=names)
    with pytest.raises(DataError, match=rf"a.parquet: .*{message}"):
        ParquetImages(path)


def test_a_class_that_train_does_not_have(tmp_path: Path) -> None:
    source = ParquetImages(
        write(tmp_path / "a.parquet", ["a", "b"]),
        validation_path=write(tmp_path / "v.parquet", ["a", "c"]),
    )
    with pytest.raises(DataError, match=r"v.parquet: c is no class of train"):
        source.split("validation")


def test_what_is_wrong_with_a_file_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", [0, 1])
    with pytest.raises(DataError, match="has no column 'img'") as caught:
        ParquetImages(path, image="img")
    assert caught.value.hint == "set image to one of 'image', 'label'"
    with pytest.raises(DataError, match="column 'label' holds int64, not the bytes"):
        ParquetImages(path, image="label")
    (tmp_path / "b.parquet").write_text("no parquet")
    with pytest.raises(DataError, match=r"b.parquet: is not parquet"):
        ParquetImages(str(tmp_path / "b.parquet"))
    with pytest.raises(DataError, match="is a folder") as caught:
        ParquetImages(str(tmp_path))
    assert str(caught.value.hint).endswith("/**/*.parquet")
    with pytest.raises(DataError, match="every file is held out"):
        ParquetImages(path, test_path=path)


def test_the_fingerprint_follows_the_files_and_the_columns(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", [0, 1])
    first = ParquetImages(path).fingerprint()
    assert ParquetImages(path).fingerprint() == first
    write(tmp_path / "a.parquet", [0, 1, 1])
    assert ParquetImages(path).fingerprint() != first
