import os
from pathlib import Path

import pytest

from maquette.data.image.folder import ImageFolder
from maquette.errors import DataError
from tests.data.image.making import picture, save


def tree(root: Path, *paths: str) -> Path:
    for number, path in enumerate(paths):
        save(root / path, picture(number))
    return root


def found(source: ImageFolder, split: str = "train") -> list[tuple[str, str]]:
    rows = source.split(split)
    names = [rows.name(i) for i in range(len(rows.labels))]
    images = [path.relative_to(source._root).as_posix() for path in rows.images()]  # type: ignore[union-attr]
    assert images == names
    return [(name, source.classes[label]) for name, label in zip(names, rows.labels, strict=True)]


def test_a_class_a_folder_nested_or_not(tmp_path: Path) -> None:
    tree(tmp_path, "dog/1.png", "cat/b.JPG", "cat/deep/er/a.webp", "cat/a.png")
    source = ImageFolder(str(tmp_path))
    assert source.classes == ("cat", "dog")
    assert source.splits() == ("train",)
    assert found(source) == [
        ("cat/a.png", "cat"),
        ("cat/b.JPG", "cat"),
        ("cat/deep/er/a.webp", "cat"),
        ("dog/1.png", "dog"),
    ]
    assert source.remarks() == []


@pytest.mark.parametrize("name", ["val", "valid", "validation", "Val"])
def test_folders_of_splits(tmp_path: Path, name: str) -> None:
    tree(tmp_path, *(f"{s}/{c}/x{s}.png" for s in ("train", name, "test") for c in "ab"))
    source = ImageFolder(str(tmp_path))
    assert source.splits() == ("train", "validation", "test")
    assert source.classes == ("a", "b")
    assert found(source, "validation") == [(f"{name}/{c}/x{name}.png", c) for c in "ab"]


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    tree(tmp_path, "train/1.png", "bus/1.png", "test/1.png")
    source = ImageFolder(str(tmp_path))
    assert source.classes == ("bus", "test", "train")
    assert source.splits() == ("train",)


def test_what_is_no_image_is_passed_over_and_told(tmp_path: Path) -> None:
    tree(tmp_path, "a/1.png", "b/1.png", "a/.hidden.png", ".git/x.png", "loose.png")
    for name in ("a/notes.txt", "a/Thumbs.db", "README.md"):
        (tmp_path / name).write_text("no image")
    source = ImageFolder(str(tmp_path))
    assert [name for name, _ in found(source)] == ["a/1.png", "b/1.png"]
    assert source.remarks() == [
        "passed over 3: no images, by their names (README.md, a/Thumbs.db, a/notes.txt)",
        "passed over 2: hidden (.git, a/.hidden.png)",
        "passed over 1: in no class's folder (loose.png)",
    ]


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_links_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    root = tree(tmp_path / "set", "a/1.png", "b/1.png")
    elsewhere = tree(tmp_path / "more", "2.png", "3.png")
    (root / "a/more").symlink_to(elsewhere)
    (root / "a/again").symlink_to(elsewhere)
    (root / "a/up").symlink_to(root)
    (root / "b/out").symlink_to("/")
    (root / "b/itself").symlink_to(root / "b")
    (root / "b/broken.png").symlink_to(root / "gone.png")
    (root / "b/linked.png").symlink_to(elsewhere / "2.png")
    source = ImageFolder(str(root))
    names = [name for name, _ in found(source)]
    assert len(names) == 5
    assert {"a/1.png", "b/1.png", "b/linked.png"} < set(names)
    assert sum("/2.png" in name for name in names) == 1
    remarks = source.remarks()
    assert any("b/broken.png" in line and line.startswith("passed over 1:") for line in remarks)
    assert any(line.startswith("passed over 4: folders that lead back") for line in remarks)


def test_a_test_folder_without_answers_is_left_out(tmp_path: Path) -> None:
    tree(tmp_path, "train/a/1.png", "train/b/1.png", "test/0001.png")
    source = ImageFolder(str(tmp_path))
    assert source.splits() == ("train",)
    (remark,) = source.remarks()
    assert "without a folder for any class (test)" in remark


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (["train/a/1.png", "train/b/1.png", "val/a/1.png"], "train has folders .* hasn't: b"),
        (["train/a/1.png", "val/a/1.png", "val/c/1.png"], "validation has folders .* hasn't: c"),
        (["train/a/1.png", "val/1.png"], "val: holds no folder"),
        (["1.png"], "holds no folder, and each class"),
        (["train/a/1.png", "val/a/1.png", "valid/a/1.png"], "two folders for validation: val and"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, paths: list[str], message: str) -> None:
    tree(tmp_path, *paths)
    with pytest.raises(DataError, match=message) as caught:
        ImageFolder(str(tmp_path))
    assert caught.value.hint


def test_an_empty_class_is_named(tmp_path: Path) -> None:
    tree(tmp_path, "a/1.png", "b/1.png")
    (tmp_path / "empty/inner").mkdir(parents=True)
    (tmp_path / "empty/notes.txt").touch()
    with pytest.raises(DataError, match="empty: holds no image"):
        ImageFolder(str(tmp_path))


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="gone: no such folder"):
        ImageFolder(str(tmp_path / "gone"))
    with pytest.raises(DataError, match=r"1.png: is a file"):
        ImageFolder(str(save(tmp_path / "1.png", picture(0))))


def test_the_fingerprint_follows_names_sizes_and_times(tmp_path: Path) -> None:
    tree(tmp_path, "a/1.png", "b/1.png")
    first = ImageFolder(str(tmp_path)).fingerprint()
    assert ImageFolder(str(tmp_path)).fingerprint() == first
    save(tmp_path / "a/1.png", picture(9))
    changed = ImageFolder(str(tmp_path)).fingerprint()
    assert changed != first
    (tmp_path / "a/1.png").rename(tmp_path / "a/2.png")
    assert ImageFolder(str(tmp_path)).fingerprint() != changed


@pytest.mark.skipif(os.name == "nt", reason="names are text there")
def test_a_name_that_is_not_text_is_read_all_the_same(tmp_path: Path) -> None:
    tree(tmp_path, "a/1.png", "b/1.png")
    try:
        (tmp_path / "a/1.png").rename(tmp_path / "a" / os.fsdecode(b"\xff.png"))
    except OSError:
        pytest.skip("this file system wants names in UTF-8")
    source = ImageFolder(str(tmp_path))
    assert len(found(source)) == 2
    source.fingerprint()
