"""Any set of labelled images of the Hugging Face hub, through the `datasets` library."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from maquette.data.image.source import Split, Stored, class_labels
from maquette.data.text.hub import load_split
from maquette.errors import DataError

ROWS = 256  # read at a time


class HubImages:
    """The rows of a hub data set that has a column of images and one of labels.

    Without `validation_split`, about `validation_fraction` of each class is held out.
    Raises DataError, which names the data set.
    """

    def __init__(
        self,
        dataset: str,
        *,
        config: str | None = None,
        split: str = "train",
        validation_split: str | None = None,
        test_split: str | None = None,
        image: str = "image",
        label: str = "label",
        revision: str | None = None,
        validation_fraction: float = 0.1,
    ) -> None:
        self.validation_fraction = validation_fraction
        self._dataset, self._config, self._revision = dataset, config, revision
        self._image, self._label = image, label
        named = {"train": split, "validation": validation_split, "test": test_split}
        self._named = {name: hub_split for name, hub_split in named.items() if hub_split}
        self._loaded: dict[str, Any] = {}

    def fingerprint(self) -> dict[str, Any]:
        """What was asked for. Only a `revision` pins what the hub answers."""
        return {
            "kind": "hub",
            "dataset": self._dataset,
            "config": self._config,
            "revision": self._revision,
            "columns": [self._image, self._label],
            "splits": self._named,
        }

    @property
    def classes(self) -> tuple[str, ...]:
        """The data set's own names for its labels, or the labels that occur in training."""
        names = self._names()
        return class_labels(self._labels("train"), names, self._where("train"))[0]

    def splits(self) -> tuple[str, ...]:
        """Train, and validation and test if they are named."""
        return tuple(self._named)

    def split(self, name: str) -> Split:
        """The rows of a split."""
        names, values = self._names(), self._labels(name)
        if names is None and name != "train":
            names, values = list(self.classes), [str(value) for value in values]
        _, labels = class_labels(values, names, self._where(name))
        return Split(
            labels, lambda: self._images(name), lambda row: f"{self._where(name)}, row {row:,}"
        )

    def remarks(self) -> list[str]:
        """Nothing is passed over."""
        return []

    def _where(self, split: str) -> str:
        return f"hub data set {self._dataset}, {self._named[split]}"

    def _rows(self, split: str) -> Any:
        """One split, with its images left as files, loaded once."""
        if split not in self._loaded:
            rows = load_split(
                self._dataset,
                self._config,
                self._named[split],
                self._revision,
                instead="parquet or imagefolder",
            )
            for key, column in (("image", self._image), ("label", self._label)):
                if column not in rows.column_names:
                    raise DataError(
                        f"hub data set {self._dataset}: has no column {column!r}",
                        hint=f"set {key} to one of {', '.join(map(repr, rows.column_names))}",
                    )
            self._loaded[split] = rows.cast_column(self._image, self._undecoded(rows))
        return self._loaded[split]

    def _undecoded(self, rows: Any) -> Any:
        import datasets

        kind = rows.features[self._image]
        binary = getattr(kind, "dtype", None) in ("binary", "large_binary")
        if not (isinstance(kind, datasets.Image) or binary):
            raise DataError(
                f"hub data set {self._dataset}: column {self._image!r} holds no images",
                hint="set image to a column of images",
            )
        return datasets.Image(decode=False)

    def _names(self) -> list[str] | None:
        names = getattr(self._rows("train").features[self._label], "names", None)
        return list(names) if names else None

    def _labels(self, split: str) -> list[Any]:
        batches = self._read(split, self._label)
        return [value for batch in batches for value in batch]

    def _images(self, split: str) -> Iterator[Stored]:
        for batch in self._read(split, self._image):
            for value in batch:
                value = value or {}
                if value.get("bytes") is None and value.get("path"):
                    yield Path(value["path"])
                else:
                    yield value.get("bytes") or b""

    def _read(self, split: str, column: str) -> Iterator[list[Any]]:
        rows = self._rows(split).select_columns([column])
        try:
            for batch in rows.iter(batch_size=ROWS):
                yield batch[column]
        except (OSError, ValueError, RuntimeError) as error:
            raise DataError(f"{self._where(split)}: reading stopped: {error}") from error
