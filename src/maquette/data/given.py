"""Text that is given by a word: a file, a folder, or the built-in stories."""

from pathlib import Path

from maquette.data.source import TextSource
from maquette.data.text.files import Files
from maquette.data.text.stories import Stories

SPLITS_IN_FOLDERS = {"train": ("train",), "validation": ("valid", "validation"), "test": ("test",)}
STORIES = 20_000


def given_text(word: str, *, seed: int) -> TextSource:
    """`stories`, the text of a file, or that of all .txt files in a folder.

    A folder with train.txt and valid.txt, and perhaps test.txt, is split as they say.
    Raises DataError.
    """
    if word == "stories":
        return Stories(stories=STORIES, seed=seed)
    folder = Path(word).expanduser()
    if not folder.is_dir():
        return Files(word, seed=seed)
    named = {split: _named(folder, names) for split, names in SPLITS_IN_FOLDERS.items()}
    if named["train"] and named["validation"]:
        return Files(
            named["train"],
            validation_path=named["validation"],
            test_path=named["test"] or None,
            seed=seed,
        )
    return Files(str(folder / "**" / "*.txt"), seed=seed)


def _named(folder: Path, names: tuple[str, ...]) -> list[str]:
    return [str(file) for name in names if (file := folder / f"{name}.txt").is_file()]
