"""Text files: one, many, or globs."""

from collections.abc import Iterator, Sequence
from typing import Any

from maquette.data.encoding import TextEncoder
from maquette.data.text.holdout import ContentHash, Survey
from maquette.data.text.piece import Piece
from maquette.data.text.reading import Found, find_files, read_documents, unreadable
from maquette.errors import DataError


class Files:
    """Documents of text files, read in blocks.

    `separator` parts the documents inside a file; without it a file is one document. Without
    `validation_path`, about `validation_fraction` of the characters is held out: whole documents,
    chosen by a seeded hash of their text; of a single document its last part, cut at a line end.
    A file that is held out by name is never trained on, even if `path` matches it.
    Raises DataError, which names the file, its line and offset where that helps.
    """

    count_words = False
    encoder = TextEncoder

    def __init__(
        self,
        path: str | Sequence[str],
        *,
        separator: str | None = None,
        validation_path: str | Sequence[str] | None = None,
        test_path: str | Sequence[str] | None = None,
        validation_fraction: float = 0.1,
        seed: int = 0,
    ) -> None:
        self._separator = separator
        self._fraction = validation_fraction
        self._seed = seed
        self._files = {"train": find_files(path)}
        if validation_path is not None:
            self._files["validation"] = find_files(validation_path)
        if test_path is not None:
            self._files["test"] = find_files(test_path)
        held = {f.path.resolve() for s, found in self._files.items() if s != "train" for f in found}
        first = self._files["train"][0].path
        self._files["train"] = [f for f in self._files["train"] if f.path.resolve() not in held]
        if not self._files["train"]:
            raise DataError(
                f"{first}: every file is held out for validation or test",
                hint="give files in path that are not in validation_path or test_path",
            )
        self._flags: bytearray | None = None
        self._cut: int | None = None  # characters of a single document to train on

    def fingerprint(self) -> dict[str, Any]:
        """Paths, sizes and times of the files, and what decides the split."""
        split = {} if "validation" in self._files else {"fraction": self._fraction}
        return {
            "kind": "files",
            "separator": self._separator,
            **split,
            **({"seed": self._seed} if split else {}),
            "files": {s: [_identity(f) for f in found] for s, found in self._files.items()},
        }

    def splits(self) -> tuple[str, ...]:
        """Train and validation, and test if files are given for it."""
        return ("train", "validation", "test") if "test" in self._files else ("train", "validation")

    def expected_bytes(self, split: str) -> int:
        """Bytes of text to expect in a split, to show progress by."""
        if split in self._files and (split != "train" or "validation" in self._files):
            return sum(_stat(f)[0] for f in self._files[split])
        share = self._fraction if split == "validation" else 1 - self._fraction
        return round(share * sum(_stat(f)[0] for f in self._files["train"]))

    def pieces(self, split: str) -> Iterator[Piece]:
        """The documents of a split, file after file."""
        if split == "test" or "validation" in self._files:
            yield from self._documents(split)
            return
        if self._flags is None:
            self._survey()
        assert self._flags is not None
        held_out = split == "validation"
        if self._cut is not None:
            yield from self._part(self._cut, held_out=held_out)
            return
        flags = iter(self._flags)
        flag = next(flags)
        for piece in self._documents("train"):
            if flag == held_out:
                yield piece
            if piece.last:
                flag = next(flags, 0)

    def _documents(self, split: str) -> Iterator[Piece]:
        empty = True
        for file in self._files[split]:
            blank = True
            for piece in read_documents(file.path, self._separator):
                yield piece
                blank = False
            if blank and file.named:
                raise DataError(f"{file.path}: holds no text, only whitespace")
            empty &= blank
        if empty:
            raise DataError(f"{self._files[split][0].path}: holds no text, nor do the others")

    def _survey(self) -> None:
        """Read everything once to see where each document goes, and that all of it is UTF-8."""
        survey = Survey(self._fraction)
        content, characters, body = ContentHash(self._seed), 0, 0
        for piece in self._documents("train"):
            content.update(piece.text)
            body = characters + len(piece.text.rstrip()) if piece.text.strip() else body
            characters += len(piece.text)
            if piece.last:
                survey.add(content.place(), characters)
                content, characters = ContentHash(self._seed), 0
        if len(survey.held_out) == 1:
            self._cut = self._line_end(body)
        self._flags = survey.held_out if self._cut else survey.flags(self._where())

    def _where(self) -> str:
        found = self._files["train"]
        more = f" and {len(found) - 1} more" if len(found) > 1 else ""
        return f"{found[0].path}{more}"

    def _line_end(self, characters: int) -> int:
        """Where the last part of a single document begins: the line end nearest behind the share.

        If lines are so long that it would be far off, the character at the share itself.
        """
        target = int(characters * (1 - self._fraction))
        if target == 0 or characters < 2:
            raise DataError(f"{self._where()}: is too small to hold out a part for validation")
        latest = target + (characters - target) // 2
        seen = 0
        for piece in self._documents("train"):
            if seen + len(piece.text) >= target:
                at = piece.text.find("\n", max(0, target - 1 - seen))
                if at >= 0:
                    return seen + at + 1 if seen + at + 1 <= latest else target
            seen += len(piece.text)
            if seen > latest:
                break
        return target

    def _part(self, cut: int, *, held_out: bool) -> Iterator[Piece]:
        """The single document up to `cut` characters, or from there on."""
        seen = 0
        for piece in self._documents("train"):
            here = cut - seen
            seen += len(piece.text)
            if held_out:
                if here < len(piece.text) or piece.last:
                    yield Piece(piece.text[max(0, here) :], piece.last)
            elif here > len(piece.text):
                yield Piece(piece.text, last=False)
            else:
                yield Piece(piece.text[:here], last=True)
                return


def _stat(file: Found) -> tuple[int, int]:
    try:
        stat = file.path.stat()
    except OSError as error:
        raise unreadable(file.path, error) from error
    return stat.st_size, stat.st_mtime_ns


def _identity(file: Found) -> list[Any]:
    return [str(file.path.resolve()), *_stat(file)]
