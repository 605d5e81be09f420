"""Any text data set of the Hugging Face hub, through the `datasets` library."""

import sys
from collections.abc import Iterator
from itertools import islice
from typing import Any

from maquette.data.encoding import TextEncoder
from maquette.data.text.holdout import ContentHash, Survey
from maquette.data.text.piece import Piece
from maquette.errors import DataError

ROWS = 64  # read at a time
NEEDS_HUB = "pip install 'maquette[hub]'"


class Hub:
    """The rows of a hub data set, each a document; rows without text are passed over.

    Without `validation_split`, about `validation_fraction` of the documents is held out by a
    seeded hash of their text. With `streaming` nothing is stored, and the data set is read over
    the network once a split. `max_documents` bounds each split of the hub.
    Raises DataError, which names the data set.
    """

    count_words = False
    encoder = TextEncoder

    def __init__(
        self,
        dataset: str,
        *,
        config: str | None = None,
        split: str = "train",
        validation_split: str | None = None,
        test_split: str | None = None,
        field: str = "text",
        revision: str | None = None,
        streaming: bool = False,
        max_documents: int | None = None,
        validation_fraction: float = 0.01,
        seed: int = 0,
    ) -> None:
        self._dataset, self._config, self._revision = dataset, config, revision
        self._field, self._streaming, self._limit = field, streaming, max_documents
        named = {"train": split, "validation": validation_split, "test": test_split}
        self._named = {name: hub_split for name, hub_split in named.items() if hub_split}
        self._fraction, self._seed = validation_fraction, seed
        self._flags: bytearray | None = None

    def fingerprint(self) -> dict[str, Any]:
        """What was asked for. Only a `revision` pins what the hub answers."""
        held_out = "validation" not in self._named
        return {
            "kind": "hub",
            "dataset": self._dataset,
            "config": self._config,
            "revision": self._revision,
            "field": self._field,
            "splits": self._named,
            "max_documents": self._limit,
            "fraction": self._fraction if held_out else None,
            "seed": self._seed if held_out else None,
        }

    def splits(self) -> tuple[str, ...]:
        """Train and validation, and test if it is named."""
        return ("train", "validation", "test") if "test" in self._named else ("train", "validation")

    def pieces(self, split: str) -> Iterator[Piece]:
        """The documents of a split, each in one piece."""
        if split == "test" or "validation" in self._named:
            texts = self._texts(split)
        else:
            texts = self._held(held_out=split == "validation")
        for text in texts:
            yield Piece(text, last=True)

    def _texts(self, split: str) -> Iterator[str]:
        rows = read_texts(
            self._dataset,
            config=self._config,
            split=self._named[split],
            field=self._field,
            revision=self._revision,
            streaming=self._streaming,
        )
        return islice((text for text in rows if text.strip()), self._limit)

    def _held(self, *, held_out: bool) -> Iterator[str]:
        if self._streaming:  # a survey would read it over the network once more
            for text in self._texts("train"):
                if (self._place(text) < self._fraction) == held_out:
                    yield text
            return
        if self._flags is None:
            survey = Survey(self._fraction)
            for text in self._texts("train"):
                survey.add(self._place(text), len(text))
            self._flags = survey.flags(f"hub data set {self._dataset}") if survey.few else None
        for text, flag in zip(self._texts("train"), self._flags or b"", strict=True):
            if flag == held_out:
                yield text

    def _place(self, text: str) -> float:
        content = ContentHash(self._seed)
        content.update(text)
        return content.place()


def read_texts(
    dataset: str,
    *,
    config: str | None,
    split: str,
    field: str,
    revision: str | None = None,
    streaming: bool = False,
) -> Iterator[str]:
    """The text of every row of one split, from the local cache or else from the hub.

    Raises DataError when the library, the network, the data set, its split or its field is missing.
    """
    rows = load_split(dataset, config, split, revision, streaming=streaming)
    columns = rows.column_names
    if columns is not None and field not in columns:
        raise DataError(
            f"hub data set {dataset}: has no field {field!r}",
            hint=f"set field to one of {', '.join(map(repr, columns))}",
        )
    try:
        for batch in rows.select_columns([field]).iter(batch_size=ROWS):
            for value in batch[field]:
                if value is not None and not isinstance(value, str):
                    raise DataError(
                        f"hub data set {dataset}: field {field!r} holds "
                        f"{type(value).__name__}, not text",
                        hint="set field to a column of text",
                    )
                yield value or ""
    except (OSError, ValueError, RuntimeError) as error:  # a stream that breaks off
        raise DataError(f"hub data set {dataset}: reading stopped: {error}", hint=_AGAIN) from error


_AGAIN = "try again; without `streaming` what was downloaded is kept"


def load_split(
    dataset: str,
    config: str | None,
    split: str,
    revision: str | None,
    *,
    streaming: bool = False,
    instead: str = "files",
) -> Any:
    """One split as the `datasets` library has it, from its local cache or else from the hub.

    `instead` is the kind of source that reads the same from files. Raises DataError.
    """
    try:
        import datasets
    except ImportError as error:
        raise DataError(
            f"hub data set {dataset}: needs the datasets library", hint=NEEDS_HUB
        ) from error
    if not sys.stderr.isatty():
        datasets.disable_progress_bars()
    try:
        return datasets.load_dataset(
            dataset, config, split=split, revision=revision, streaming=streaming
        )
    except Exception as error:  # the library lets many kinds of its own dependencies' errors out
        raise _explained(dataset, error, instead) from error


def _explained(dataset: str, error: Exception, instead: str) -> DataError:
    name = f"hub data set {dataset}"
    first_line = (str(error) or type(error).__name__).splitlines()[0]
    if isinstance(error, ConnectionError):
        return DataError(
            f"{name}: the hub can't be reached, and it is not in the local cache",
            hint="check the network; or download it elsewhere, and read its files with "
            f"`kind: {instead}`",
        )
    if type(error).__name__ == "DatasetNotFoundError":
        return DataError(
            f"{name}: {first_line}",
            hint="check the name (owner/name); for a private one, log in with `hf auth login`",
        )
    if isinstance(error, ValueError):  # an unknown split or configuration, with those there are
        return DataError(f"{name}: {first_line}", hint="set split or config to one that is there")
    if isinstance(error, OSError) and error.errno is not None:
        return DataError(f"{name}: {error.strerror}: {error.filename or 'the datasets cache'}")
    return DataError(f"{name}: can't be loaded: {first_line}")
