from pathlib import Path
from typing import Any

import numpy as np
import pytest

from maquette.data.image.hub import HubImages
from maquette.errors import DataError
from tests.data.image.making import file_bytes, picture, save

datasets = pytest.importorskip("datasets")

IMAGES = [file_bytes(picture(i)) for i in range(6)]


def columns(labels: list[Any], feature: Any) -> Any:
    rows = {"image": [{"bytes": data, "path": None} for data in IMAGES], "label": labels}
    features = datasets.Features({"image": datasets.Image(), "label": feature})
    return datasets.Dataset.from_dict(rows, features=features)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """A data set of two splits under a hub-like name; notes what was asked for."""
    named = datasets.ClassLabel(names=["cat", "dog"])
    folder = tmp_path / "owner/pets"
    folder.mkdir(parents=True)
    for split, labels in (("train", [0, 1] * 3), ("test", [1] * 3 + [0] * 3)):
        columns(labels, named).to_parquet(folder / f"{split}.parquet")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    return []


def test_images_stay_files_and_labels_have_names(hub: object) -> None:
    source = HubImages("owner/pets", test_split="test")
    assert source.classes == ("cat", "dog")
    assert source.splits() == ("train", "test")
    split = source.split("test")
    assert split.labels.tolist() == [1, 1, 1, 0, 0, 0]
    assert list(split.images()) == IMAGES == list(split.images())
    assert split.name(4) == "hub data set owner/pets, test, row 4"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"image": "img"}, "has no column 'img'"),
        ({"label": "fine"}, "has no column 'fine'"),
        ({"image": "label"}, "column 'label' holds no images"),
        ({"split": "gone"}, 'Unknown split "gone"'),
    ],
)
def test_what_is_not_there_is_named(hub: object, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=rf"hub data set owner/pets: .*{message}") as caught:
        HubImages("owner/pets", **arguments).split("train")
    assert caught.value.hint


def test_labels_without_names_and_images_beside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(tmp_path / "one.png", picture(1))
    asked: list[dict[str, Any]] = []

    def load(*names: Any, **options: Any) -> Any:
        asked.append({"names": names, **options})
        wanted = ["b", "a"] if options["split"] == "fit" else ["a", "b"]
        rows = {"pic": [str(path)] * 2, "kind": wanted}
        features = datasets.Features({"pic": datasets.Image(), "kind": datasets.Value("string")})
        return datasets.Dataset.from_dict(rows, features=features)

    monkeypatch.setattr(datasets, "load_dataset", load)
    source = HubImages(
        "o/p", config="c", split="fit", validation_split="check", image="pic", label="kind",
        revision="v1",
    )  # fmt: skip
    assert source.classes == ("a", "b")
    assert source.split("train").labels.tolist() == [1, 0]
    split = source.split("validation")
    assert split.labels.tolist() == [0, 1]
    assert list(split.images()) == [path, path]
    assert [a["split"] for a in asked] == ["fit", "check"]  # each is loaded once
    assert asked[0]["names"] == ("o/p", "c")
    assert asked[0]["revision"] == "v1"


def test_labels_of_minus_one_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in the test split of ImageNet-1K."""
    named = datasets.ClassLabel(names=["a", "b"])

    def load(*_: Any, **options: Any) -> Any:
        return columns([0, 1] * 3 if options["split"] == "train" else [-1] * 6, named)

    monkeypatch.setattr(datasets, "load_dataset", load)
    source = HubImages("o/p", test_split="test")
    with pytest.raises(DataError, match=r"o/p, test: holds images without a class"):
        source.split("test")


def test_what_can_be_read_instead_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ConnectionError

    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(DataError, match="can't be reached") as caught:
        HubImages("o/p").split("train")
    assert "`kind: parquet or imagefolder`" in str(caught.value.hint)


def test_the_fingerprint_says_what_was_asked_for() -> None:
    first = HubImages("o/p").fingerprint()
    for other in ({"revision": "v2"}, {"test_split": "test"}, {"label": "x"}, {"config": "c"}):
        assert HubImages("o/p", **other).fingerprint() != first  # type: ignore[arg-type]
    assert np.all([isinstance(key, str) for key in first])
