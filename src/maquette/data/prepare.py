"""Text to tokens, once: memory-mapped files in the cache, made anew when anything changes.

    <cache>/data/<key>/
      manifest.json               what it was made from, size and SHA-256 of each file
      facts.json                  documents, tokens, bytes and words of each split; what was skipped
      tokenizer.json
      <source>.<split>.tokens     ids, little-endian, 16 bits, or 32 for over 65,536 ids
      <source>.<split>.mask       of dialogues: a byte a token, 1 for the assistant's

The key is a hash of everything that the tokens depend on.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from maquette.data.cache import FACTS_FILE, cache_folder, preparing
from maquette.data.corpus import Corpus
from maquette.data.source import (
    TextSource,
    encode_split,
    expected_bytes,
    naming,
    no_text,
    training_texts,
)
from maquette.data.sources import RemarkingSource, open_source
from maquette.errors import DamagedError, DataError, RunError
from maquette.facts import DataFacts, SplitFacts
from maquette.quantities import format_bytes
from maquette.runs import durable
from maquette.runs.manifest import read_manifest
from maquette.spec.schema import Spec
from maquette.tokenizers import bpe
from maquette.tokenizers.base import Tokenizer
from maquette.tokenizers.bpe import BPETokenizer, train_bpe
from maquette.tokenizers.bytes import BytesTokenizer
from maquette.tokenizers.load import load_tokenizer

FORMAT = 3
"""Part of the key: raise it when the same text would give other tokens or other files."""
TOKENIZER_FILE = "tokenizer.json"

Tokens = NDArray[Any]
Report = Callable[["Progress"], None]


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a preparation stands. `total_bytes` of text is an estimate, None when unknown."""

    stage: Literal["waiting", "tokenizer", "tokens"]
    source: str
    split: str
    documents: int
    tokens: int
    bytes: int
    total_bytes: int | None

    def __str__(self) -> str:
        match self.stage:
            case "waiting":
                return "waiting for another process that prepares the same data"
            case "tokenizer":
                return "preparing data: training the tokenizer"
            case "tokens":
                return f"preparing data: {self.source}, {self.split}"

    @property
    def done(self) -> tuple[int, int | None]:
        """Bytes read, and about how many there are."""
        return self.bytes, self.total_bytes

    @property
    def read(self) -> str:
        """The same in words."""
        total = self.total_bytes
        of = "" if total is None else f" of about {format_bytes(total)}"
        return f"{format_bytes(self.bytes)}{of}"


@dataclass(frozen=True, slots=True)
class Prepared:
    """Prepared data: `tokens` are files mapped into memory, so opening them costs nothing.

    `remarks` are what each source has to say, by its name: what it skipped or mended.
    """

    folder: Path
    tokenizer: Tokenizer
    facts: DataFacts
    reused: bool
    remarks: dict[str, list[str]] = field(default_factory=dict)

    @property
    def corpus(self) -> Corpus:
        """All splits, mapped into memory."""
        splits = {split for splits in self.facts.sources.values() for split in splits}
        return Corpus(
            self.tokenizer,
            {split: self.tokens(split) for split in splits},
            {split: self.masks(split) for split in splits},
        )

    def tokens(self, split: str) -> dict[str, Tokens]:
        """Source name -> token ids, shape (N,); sources without this split are left out."""
        dtype = _dtype(self.facts.vocabulary)
        return {
            name: np.memmap(self.folder / _file_name(name, split), dtype=dtype, mode="r")
            for name, splits in self.facts.sources.items()
            if split in splits
        }

    def masks(self, split: str) -> dict[str, NDArray[np.uint8]]:
        """Source name -> a byte for each of its tokens: 1 for what the assistant says, and its end.

        Only of sources of dialogues. Their end_of_text counts where the assistant spoke last.
        """
        paths = {
            name: self.folder / _file_name(name, split, "mask")
            for name, splits in self.facts.sources.items()
            if split in splits
        }
        return {
            name: np.memmap(path, dtype=np.uint8, mode="r")
            for name, path in paths.items()
            if path.is_file()
        }


def prepare(
    spec: Spec,
    *,
    cache: Path | None = None,
    progress: Report | None = None,
    tokenizer: Path | None = None,
) -> Prepared:
    """The spec's text as tokens: found in the cache, or made and put there.

    `cache` takes the place of $MAQUETTE_CACHE. `tokenizer` is a tokenizer.json to use rather than
    to train one; without it that of the run which the spec begins from, if it does. Two
    preparations of the same data wait for each other; one that is cut off leaves nothing that the
    next would take for whole. Raises DataError.
    """
    report = progress or (lambda _: None)
    sources = _open_sources(spec)
    known = _known_tokenizer(spec, tokenizer)
    about = _about(spec, sources, known)
    root = cache_folder() if cache is None else cache / "data"
    folder = root / _key(about)
    prepared = _open_if_whole(folder)
    if prepared is not None:
        return prepared
    try:
        durable.make_folder(root)
        with preparing(folder, lambda: report(Progress("waiting", "", "", 0, 0, 0, None))):
            prepared = _open_if_whole(folder)  # made while we waited
            if prepared is None:
                if folder.exists():
                    durable.remove_folder(folder)
                _make(folder, spec, sources, about, report, known)
    except (RunError, OSError) as error:
        raise _cannot_write(root, sources, error) from error
    return prepared or open_prepared(folder, reused=False)


def find_prepared(spec: Spec, *, cache: Path | None = None) -> Prepared | None:
    """The spec's text as tokens, if it is in the cache already. Raises DataError."""
    root = cache_folder() if cache is None else cache / "data"
    return _open_if_whole(root / data_key(spec))


def open_prepared(folder: Path, *, reused: bool = True) -> Prepared:
    """The prepared data in a folder. Raises DamagedError when it isn't whole."""
    read_manifest(folder)
    path = folder / FACTS_FILE
    try:
        written = json.loads(path.read_bytes())
        facts = DataFacts(
            vocabulary=written["vocabulary"],
            sources={
                name: {split: SplitFacts(**counts) for split, counts in splits.items()}
                for name, splits in written["sources"].items()
            },
        )
        remarks = {name: list(lines) for name, lines in written["remarks"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedError(f"{path} is damaged: {error}") from error
    return Prepared(folder, load_tokenizer(folder / TOKENIZER_FILE), facts, reused, remarks)


def data_key(spec: Spec) -> str:
    """The name of the folder that holds the spec's prepared data. Raises DataError."""
    return _key(_about(spec, _open_sources(spec), _known_tokenizer(spec, None)))


def _open_sources(spec: Spec) -> dict[str, TextSource]:
    return {name: open_source(name, part, spec.seed) for name, part in spec.data.sources.items()}


def _known_tokenizer(spec: Spec, file: Path | None) -> BPETokenizer | None:
    """A tokenizer that was trained before; bytes have nothing that could differ."""
    if spec.tokenizer.kind == "bytes":
        return None
    if file is None and spec.train.from_run is not None:
        file = Path(spec.train.from_run) / TOKENIZER_FILE
    tokenizer = None if file is None else load_tokenizer(file)
    if tokenizer is not None and not isinstance(tokenizer, BPETokenizer):
        raise DataError(f"{file} is a tokenizer of bytes, and the spec wants bpe")
    return tokenizer


def _about(
    spec: Spec, sources: dict[str, TextSource], known: BPETokenizer | None
) -> dict[str, Any]:
    """Everything that the tokens depend on. The order of the sources decides BPE's text."""
    tokenizer = spec.tokenizer.model_dump()
    if spec.tokenizer.kind == "bpe":
        tokenizer["library"] = metadata.version("tokenizers")
    if known is not None:
        tokenizer["sha256"] = known.digest()
    prints = []
    for name, source in sources.items():
        with naming(name):
            prints.append([name, dict(source.fingerprint())])
    return {"data_format": FORMAT, "tokenizer": tokenizer, "sources": prints}


def _key(about: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]


def _open_if_whole(folder: Path) -> Prepared | None:
    try:
        return open_prepared(folder)
    except (DamagedError, DataError):
        return None


def _make(
    folder: Path,
    spec: Spec,
    sources: dict[str, TextSource],
    about: dict[str, Any],
    report: Report,
    known: BPETokenizer | None,
) -> None:
    _check_space(folder.parent, spec, sources)
    tokenizer = known or _make_tokenizer(spec, sources, report)

    def fill(place: Path) -> None:
        tokenizer.save(place / TOKENIZER_FILE)
        facts = DataFacts(tokenizer.vocabulary, {})
        for name, source in sources.items():
            with naming(name):
                facts.sources[name] = {
                    split: _write(place, name, source, split, tokenizer, report)
                    for split in source.splits()
                }
        remarks = {
            name: source.remarks()
            for name, source in sources.items()
            if isinstance(source, RemarkingSource)
        }
        written = asdict(facts) | {"remarks": remarks}
        (place / FACTS_FILE).write_text(json.dumps(written, indent=2) + "\n")

    durable.commit_folder(folder, fill, extra=about)


def _make_tokenizer(
    spec: Spec, sources: dict[str, TextSource], report: Report
) -> BytesTokenizer | BPETokenizer:
    if spec.tokenizer.kind == "bytes":
        return BytesTokenizer()
    return train_bpe(_training_texts(sources, report), spec.tokenizer.vocabulary)


def _training_texts(sources: dict[str, TextSource], report: Report) -> Iterator[str]:
    """What the tokenizer is trained on."""
    budget = bpe.TRAINING_CHARACTERS
    sizes = [expected_bytes(source, "train") for source in sources.values()]
    total = None if None in sizes else sum(size or 0 for size in sizes)
    expected = None if total is None else min(total, budget)
    read_bytes = 0
    for name, text in training_texts(sources, budget):
        read_bytes += len(text)
        report(Progress("tokenizer", name, "train", 0, 0, read_bytes, expected))
        yield text


def _write(
    place: Path,
    name: str,
    source: TextSource,
    split: str,
    tokenizer: BytesTokenizer | BPETokenizer,
    report: Report,
) -> SplitFacts:
    """Encode one split of one source into its file, a batch of pieces at a time."""
    dtype = _dtype(tokenizer.vocabulary)
    lengths = tokenizer.token_bytes().astype(np.int64)  # bytes that each id stands for
    documents = tokens = read_bytes = words = 0
    total_bytes = expected_bytes(source, split)
    digest = hashlib.sha256()
    mask_path = place / _file_name(name, split, "mask")
    with (place / _file_name(name, split)).open("wb") as file, mask_path.open("wb") as masks:
        for batch, stream, mask in encode_split(source, split, tokenizer):
            written = stream.astype(dtype).tobytes()
            file.write(written)
            masks.write(mask)
            digest.update(written)
            documents += sum(piece.last for piece in batch)
            tokens += len(stream)
            read_bytes += int(lengths[stream].sum())
            if source.count_words:
                words += sum(len(p.text.split()) + p.text.count("\n") for p in batch)
            report(Progress("tokens", name, split, documents, tokens, read_bytes, total_bytes))
    if not mask_path.stat().st_size:
        mask_path.unlink()
    if not read_bytes:
        raise no_text(split)
    counted = words if source.count_words else None
    return SplitFacts(documents, tokens, read_bytes, counted, digest.hexdigest())


def _dtype(vocabulary: int) -> np.dtype[Any]:
    return np.dtype("<u2" if vocabulary <= 1 << 16 else "<u4")


def _file_name(source: str, split: str, kind: str = "tokens") -> str:
    return f"{source}.{split}.{kind}"


def _bytes_of_text(sources: dict[str, TextSource]) -> int | None:
    sizes = [
        expected_bytes(source, split) for source in sources.values() for split in source.splits()
    ]
    return None if None in sizes else sum(size or 0 for size in sizes)


def _check_space(root: Path, spec: Spec, sources: dict[str, TextSource]) -> None:
    """Refuse at once what can't fit: with the bytes tokenizer the size is known beforehand."""
    text = _bytes_of_text(sources)
    if text is None or spec.tokenizer.kind != "bytes":
        return
    needed, free = 2 * text, shutil.disk_usage(root).free
    if needed > free:
        raise DataError(
            f"{root}: preparing needs {format_bytes(needed)}, and {format_bytes(free)} are free",
            hint=_ELSEWHERE,
        )


_ELSEWHERE = "free some space, or set MAQUETTE_CACHE to a folder on another disk"


def _cannot_write(
    root: Path, sources: dict[str, TextSource], error: RunError | OSError
) -> DataError:
    cause = error if isinstance(error, OSError) else error.__cause__
    reason = (isinstance(cause, OSError) and cause.strerror) or str(error)
    text = _bytes_of_text(sources)
    needs = (
        f" (the text has {format_bytes(text)}; its tokens take up to twice that)" if text else ""
    )
    return DataError(f"{root}: can't be written: {reason}{needs}", hint=_ELSEWHERE)
