"""Parquet files with a column of images and one of labels, such as the hub's."""

import bisect
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from maquette.data.image.source import Split, class_labels
from maquette.data.text.hub import NEEDS_HUB
from maquette.data.text.reading import find_files, unreadable
from maquette.errors import DataError

ROWS = 256  # read at a time


class ParquetImages:
    """Images and labels of parquet files: any data set that has a column of each.

    An image is the bytes of a file, or the hub's {bytes, path}. A label is a number, named by the
    hub's metadata where the file has such, or a name. Without `validation_path`, about
    `validation_fraction` of each class is held out. A file that is held out by name is never
    trained on, even if `path` matches it. Raises DataError, which names the file.
    """

    def __init__(
        self,
        path: str | Sequence[str],
        *,
        validation_path: str | Sequence[str] | None = None,
        test_path: str | Sequence[str] | None = None,
        image: str = "image",
        label: str = "label",
        validation_fraction: float = 0.1,
    ) -> None:
        given = {"train": path, "validation": validation_path, "test": test_path}
        files = {
            split: [found.path for found in find_files(patterns, ending="parquet")]
            for split, patterns in given.items()
            if patterns is not None
        }
        held = {p.resolve() for split, paths in files.items() if split != "train" for p in paths}
        first = files["train"][0]
        files["train"] = [p for p in files["train"] if p.resolve() not in held]
        if not files["train"]:
            raise DataError(
                f"{first}: every file is held out for validation or test",
                hint="give files in path that are not in validation_path or test_path",
            )
        self.validation_fraction = validation_fraction
        self._tables = {split: Table(paths, image, label) for split, paths in files.items()}
        names = self._tables["train"].class_names()
        self._named = names is not None
        self.classes, self._train_labels = class_labels(
            self._tables["train"].labels(), names, str(first)
        )

    def fingerprint(self) -> dict[str, Any]:
        """Paths, sizes and times of the files, and the columns."""
        return {
            "kind": "parquet",
            "files": {split: table.identity() for split, table in self._tables.items()},
        }

    def splits(self) -> tuple[str, ...]:
        """Train, and validation and test if files are given for them."""
        return tuple(self._tables)

    def split(self, name: str) -> Split:
        """The rows of a split's files."""
        table = self._tables[name]
        if name == "train":
            labels = self._train_labels
        else:
            values = table.labels() if self._named else [str(value) for value in table.labels()]
            _, labels = class_labels(values, self.classes, str(table.files[0]))
        return Split(labels, table.images, table.name)

    def remarks(self) -> list[str]:
        """Nothing is passed over."""
        return []


class Table:
    """The rows of some parquet files, one file after another."""

    def __init__(self, files: Sequence[Path], image: str, label: str) -> None:
        self.files = list(files)
        self._image, self._label = image, label
        self._ends: list[int] = []
        for path in self.files:
            with _open(path) as file:
                self._check(path, file.schema_arrow)
                self._ends.append((self._ends or [0])[-1] + file.metadata.num_rows)

    def __len__(self) -> int:
        """Rows of all files."""
        return self._ends[-1]

    def _check(self, path: Path, schema: Any) -> None:
        import pyarrow

        for key, column in (("image", self._image), ("label", self._label)):
            if column not in schema.names:
                raise DataError(
                    f"{path}: has no column {column!r}",
                    hint=f"set {key} to one of {', '.join(map(repr, schema.names))}",
                )
        kind = schema.field(self._image).type
        if pyarrow.types.is_struct(kind):
            kind = kind.field("bytes").type if kind.get_field_index("bytes") >= 0 else kind
        if not (pyarrow.types.is_binary(kind) or pyarrow.types.is_large_binary(kind)):
            raise DataError(
                f"{path}: column {self._image!r} holds {kind}, not the bytes of image files",
                hint="set image to a column of binary, or of structs with `bytes`",
            )

    def identity(self) -> list[Any]:
        """Paths, sizes and times of the files, and the columns."""
        stats = [(path, path.stat()) for path in self.files]
        rows = [[str(path.resolve()), stat.st_size, stat.st_mtime_ns] for path, stat in stats]
        return [self._image, self._label, *rows]

    def class_names(self) -> list[str] | None:
        """The names that the hub's metadata has for the labels."""
        with _open(self.files[0]) as file:
            about = (file.schema_arrow.metadata or {}).get(b"huggingface", b"{}")
        try:
            names = json.loads(about)["info"]["features"][self._label]["names"]
        except (ValueError, KeyError, TypeError):
            return None
        return [str(name) for name in names] if isinstance(names, list) and names else None

    def labels(self) -> list[Any]:
        """The label of every row, as it is written."""
        return list(self._column(self._label))

    def images(self) -> Iterator[bytes]:
        """The bytes of every row's image; none where there are none."""
        for value in self._column(self._image):
            data = value.get("bytes") if isinstance(value, dict) else value
            yield data or b""

    def name(self, row: int) -> str:
        """The file of a row, and its number there, counted from 0."""
        place = bisect.bisect_right(self._ends, row)
        start = self._ends[place - 1] if place else 0
        return f"{self.files[place].name}, row {row - start:,}"

    def _column(self, name: str) -> Iterator[Any]:
        for path in self.files:
            try:
                with _open(path) as file:
                    for batch in file.iter_batches(batch_size=ROWS, columns=[name]):
                        yield from batch.column(0).to_pylist()
            except OSError as error:
                raise unreadable(path, error) from error


def _open(path: Path) -> Any:
    try:
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise DataError(f"{path}: reading parquet needs pyarrow", hint=NEEDS_HUB) from error
    try:
        return parquet.ParquetFile(path)
    except OSError as error:
        raise unreadable(path, error) from error
    except ValueError as error:  # pyarrow's own errors derive from it
        raise DataError(f"{path}: is not parquet: {error}") from error
