"""From text to tokens: documents, those held out among them, and the tokenizer.

Made by `maquette eject` (maquette 0.1.0) from the spec wikitext2; blueprint 09628d6f02ee6117.
"""

import codecs
import contextlib
import glob
import hashlib
import heapq
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer as Library
from tokenizers import decoders, models, pre_tokenizers, trainers

from errors import DataError

# Documents in pieces: what every text source hands out, and where a document may be cut.


class Piece(NamedTuple):
    """Part of a document, small enough to hold in memory; `last` ends the document.

    With a `role` it is a whole turn of a dialogue, and `text` is what was said.
    """

    text: str
    last: bool
    role: str | None = None


PIECE_CHARACTERS = 8192
"""Long documents are tokenized in pieces of about this size: flat memory, and all cores busy."""
LONGEST_PIECE = 262_144
"""Text without any safe place to cut is cut after so many characters, wherever that is."""


def cut_safely(
    pieces: Iterable[Piece], size: int = PIECE_CHARACTERS, longest: int = LONGEST_PIECE
) -> Iterator[Piece]:
    """Cut documents anew, where no token and no word of GPT-2's pre-tokenizer crosses the cut.

    The incoming pieces may be cut anywhere and be of any length. The outgoing ones have about
    `size` characters, `longest` at most; their tokens, one after another, are those of the whole
    document, except around a cut that had to be made in `longest` characters with no safe place.
    A turn of a dialogue stays whole.
    """
    held = ""
    for piece in pieces:
        if piece.role is not None:
            assert not held, "a document is either turns or text"
            yield piece
            continue
        text = held + piece.text if held else piece.text
        start = 0
        while len(text) - start > size:
            end = _last_safe_cut(text, start, start + size)
            if end is None:
                end = _first_safe_cut(text, start + size, start + longest)
            if end is None:
                if len(text) - start <= longest:
                    break
                end = start + longest
            yield Piece(text[start:end], last=False)
            start = end
        held = text[start:]
        if piece.last:
            yield Piece(held, last=True)
            held = ""


def _safe(text: str, at: int) -> bool:
    """Whether `text[at-1:at+1]` may be parted: at a lone newline's end or a lone space's start.

    Lone, because a run of whitespace is one token except for its last character.
    """
    if text[at - 1] == "\n":
        return at >= 2 and not text[at - 2].isspace() and not text[at].isspace()
    return text[at] == " " and not text[at - 1].isspace() and not text[at + 1].isspace()


def _last_safe_cut(text: str, low: int, high: int) -> int | None:
    """The last safe cut in (low, high]; needs two characters after it."""
    high = min(high, len(text) - 2)
    while high > low:
        newline, space = text.rfind("\n", low, high), text.rfind(" ", low + 1, high + 1)
        at = max(newline + 1, space)
        if at <= low:
            return None
        if _safe(text, at):
            return at
        high = at - 1
    return None


def _first_safe_cut(text: str, low: int, high: int) -> int | None:
    """The first safe cut in [low, high]; needs two characters after it."""
    high = min(high, len(text) - 2)
    while low <= high:
        found = [
            at
            for at in (text.find("\n", low - 1, high) + 1, text.find(" ", low, high + 1))
            if at >= low
        ]
        if not found:
            return None
        if _safe(text, min(found)):
            return min(found)
        low = min(found) + 1
    return None


# What every tokenizer can do.


class Tokenizer(Protocol):
    """Text <-> token ids.

    `end_of_text` is the id between documents: `<|endoftext|>`, or byte 0, which text never has.
    `chat_tokens` are the ids of the special tokens in `chat.CHAT_TOKENS`, by name; None for bytes,
    which need none, and for BPE tokenizers from before there were any.
    """

    kind: str
    vocabulary: int
    end_of_text: int
    chat_tokens: Mapping[str, int] | None

    def encode(self, text: str) -> NDArray[np.uint32]:
        """The ids of a text, shape (T,). Special tokens typed in the text are plain text."""
        ...

    def encode_batch(self, texts: Sequence[str]) -> list[NDArray[np.uint32]]:
        """The ids of several texts."""
        ...

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """The exact bytes of some ids; special tokens give none."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """The text of some ids; bytes that aren't UTF-8 become U+FFFD."""
        ...

    def token_bytes(self) -> NDArray[np.int32]:
        """How many bytes of text each id stands for, shape (vocabulary,); 0 for special tokens."""
        ...

    def save(self, path: Path) -> None:
        """Write it as tokenizer.json."""
        ...


# Pieces of text to token ids, a batch at a time.

BATCH_CHARACTERS = 1 << 20


def batched(pieces: Iterable[Piece]) -> Iterator[list[Piece]]:
    """Lists of pieces, of about BATCH_CHARACTERS each."""
    batch: list[Piece] = []
    characters = 0
    for piece in pieces:
        batch.append(piece)
        characters += len(piece.text)
        if characters >= BATCH_CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


class Encoder(Protocol):
    """Pieces of one split of a source to ids, in their order."""

    def encode(self, batch: list[Piece]) -> tuple[NDArray[np.uint32], bytes]:
        """The ids of a batch, shape (N,), and a byte for each that says whether it is learned.

        No bytes where all of them are.
        """
        ...


class TextEncoder:
    """Documents to ids, each with the end of text behind it."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    def encode(self, batch: list[Piece]) -> tuple[NDArray[np.uint32], bytes]:
        """The ids of a batch, shape (N,); all of them are learned."""
        end = np.array([self._tokenizer.end_of_text], dtype=np.uint32)
        ids: list[NDArray[np.uint32]] = []
        encodings = self._tokenizer.encode_batch([piece.text for piece in batch])
        for piece, encoded in zip(batch, encodings, strict=True):
            ids += [encoded, end] if piece.last else [encoded]
        return np.concatenate(ids), b""


# What a source of text can do, and how its tokens are made.


class TextSource(Protocol):
    """Documents in splits, streamed so that memory stays flat."""

    @property
    def encoder(self) -> Callable[[Tokenizer], Encoder]:
        """What makes ids of its pieces."""
        ...

    def splits(self) -> tuple[str, ...]:
        """Train and validation, and test where there is one."""
        ...

    def pieces(self, split: str) -> Iterator[Piece]:
        """The documents of a split, in pieces."""
        ...


@runtime_checkable
class SizedSource(Protocol):
    """A source that knows beforehand about how many bytes a split has."""

    def expected_bytes(self, split: str) -> int:
        """Bytes to expect in a split."""
        ...


def expected_bytes(source: TextSource, split: str) -> int | None:
    """About how many bytes a split has, where that is known beforehand."""
    return source.expected_bytes(split) if isinstance(source, SizedSource) else None


@contextlib.contextmanager
def naming(name: str) -> Iterator[None]:
    """Begin the message of a DataError with the source that it is about."""
    try:
        yield
    except DataError as error:
        raise DataError(f"data.sources.{name}: {error.message}", hint=error.hint) from error


def encode_split(
    source: TextSource, split: str, tokenizer: Tokenizer
) -> Iterator[tuple[list[Piece], NDArray[np.uint32], bytes]]:
    """A split in batches: the pieces, their ids, and the mask of what is learned; see `Encoder`.

    Raises DataError.
    """
    encoder = source.encoder(tokenizer)
    for batch in batched(cut_safely(source.pieces(split))):
        if tokenizer.kind == "bytes" and any("\0" in piece.text for piece in batch):
            raise DataError(
                f"its {split} split holds byte 0, which ends a document for the byte tokenizer",
                hint="take it out of the text, or use tokenizer: {kind: bpe}",
            )
        yield batch, *encoder.encode(batch)


def no_text(split: str) -> DataError:
    """The error to raise for a split without any text."""
    return DataError(
        f"its {split} split holds no text",
        hint="give it more documents, or raise validation_fraction",
    )


def training_texts(sources: Mapping[str, TextSource], characters: int) -> Iterator[tuple[str, str]]:
    """Source and text of pieces of the train splits, about as much of each source at any time.

    Of a source larger than `characters`, pieces from all of it rather than its beginning.
    """
    queue = [
        (0, order, name, _strided(source, characters))
        for order, (name, source) in enumerate(sources.items())
    ]
    while queue:
        taken, order, name, pieces = heapq.heappop(queue)
        with naming(name):
            piece = next(pieces, None)
        if piece is not None:
            yield name, piece.text
            heapq.heappush(queue, (taken + len(piece.text), order, name, pieces))


def _strided(source: TextSource, characters: int) -> Iterator[Piece]:
    stride = max(1, -(-(expected_bytes(source, "train") or 0) // characters))
    for number, piece in enumerate(cut_safely(source.pieces("train"))):
        if number % stride == 0:
            yield piece


# Which documents are held out for validation: decided by what they say, not where they stand.
#
# Adding documents moves no other one, and copies of a document land on the same side.

FEW_DOCUMENTS = 1000
"""Up to here the held-out share is checked and mended; beyond, chance is fair by itself."""
TOLERANCE = 3.0  # a share off by more than this factor is mended


class ContentHash:
    """The seeded place of a document in [0, 1), from its whole text, fed in pieces."""

    def __init__(self, seed: int) -> None:
        self._hash = hashlib.blake2b(digest_size=8, key=seed.to_bytes(8, "little"))

    def update(self, text: str) -> None:
        """Feed the next piece."""
        self._hash.update(text.encode())

    def place(self) -> float:
        """Where the document stands; below the validation fraction it is held out."""
        return (int.from_bytes(self._hash.digest(), "little") >> 11) / 2**53


@dataclass(slots=True)
class Survey:
    """Collects every document's place and length, then says which are held out.

    Takes one byte a document, and a little more for the first thousand.
    """

    fraction: float
    held_out: bytearray = field(default_factory=bytearray)
    few: list[tuple[float, int]] = field(default_factory=list)
    characters: int = 0

    def add(self, place: float, characters: int) -> None:
        """Note one more document."""
        self.held_out.append(place < self.fraction)
        self.characters += characters
        if len(self.few) <= FEW_DOCUMENTS:
            self.few.append((place, characters))

    def flags(self, where: str) -> bytearray:
        """One byte a document, 1 when it is held out; both kinds occur. Raises DataError."""
        if len({place for place, _ in self.few}) < 2:
            raise DataError(
                f"{where}: all {len(self.held_out):,} documents are the same, "
                "so none can be held out for validation",
            )
        if len(self.held_out) > FEW_DOCUMENTS:
            if 0 < self.held_out.count(1) < len(self.held_out):
                return self.held_out
            raise DataError(
                f"{where}: validation_fraction={self.fraction:g} of {len(self.held_out):,} "
                "documents leaves none for validation",
                hint="raise validation_fraction",
            )
        share = sum(n for place, n in self.few if place < self.fraction) / self.characters
        if self.fraction / TOLERANCE <= share <= min(self.fraction * TOLERANCE, 0.95):
            return self.held_out
        return self._mended()

    def _mended(self) -> bytearray:
        """In the order of their places, hold out what fits into the share; at least one text."""
        sizes: dict[float, int] = {}
        for place, characters in self.few:
            sizes[place] = sizes.get(place, 0) + characters
        room = self.fraction * self.characters
        chosen = set()
        for place in sorted(sizes):
            if sizes[place] <= room:
                chosen.add(place)
                room -= sizes[place]
        if not chosen:
            chosen.add(min(sizes, key=lambda place: (sizes[place], place)))
        return bytearray(place in chosen for place, _ in self.few)


# Find text files and read them in blocks, so that memory stays flat however large they are.

BLOCK_BYTES = 1 << 20
_BOM = "\N{ZERO WIDTH NO-BREAK SPACE}"


class Found(NamedTuple):
    """A file to read; `named` in the spec itself, not matched by a glob."""

    path: Path
    named: bool


def find_files(patterns: str | Sequence[str], *, ending: str = "txt") -> list[Found]:
    """The files that paths and globs stand for: in the order given, each glob sorted, none twice.

    `ending` is what a hint says that such files end in.
    Raises DataError for a path that isn't a file, and for a glob that matches none.
    """
    found: dict[Path, Found] = {}
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        path = Path(pattern).expanduser()
        is_glob = glob.has_magic(str(path)) and not path.exists()
        paths = _matches(path) if is_glob else [_regular(path, ending)]
        for match in paths:
            found.setdefault(match, Found(match, named=not is_glob))
    return list(found.values())


def _matches(pattern: Path) -> list[Path]:
    names = glob.glob(str(pattern), recursive=True)
    paths = sorted(path for path in map(Path, names) if path.is_file())
    if not paths:
        raise DataError(f"{pattern}: no file matches", hint=_WHERE)
    return paths


def _regular(path: Path, ending: str) -> Path:
    try:
        if path.is_dir():
            raise DataError(f"{path}: is a folder", hint=f"its files are {path}/**/*.{ending}")
        if not path.exists():
            raise DataError(f"{path}: no such file", hint=_WHERE)
        if not path.is_file():
            raise DataError(f"{path}: is not a regular file")
        if path.stat().st_size == 0:
            raise DataError(f"{path}: is empty")
    except OSError as error:
        raise unreadable(path, error) from error
    return path


_WHERE = "relative paths in a spec file start at its folder, others where you are"


def unreadable(path: Path, error: OSError) -> DataError:
    """The error to raise for a file that the system won't let us read."""
    return DataError(f"{path}: can't be read: {error.strerror or error}")


def read_blocks(path: Path) -> Iterator[str]:
    """The text of a UTF-8 file in blocks of about a megabyte, without its byte order mark.

    Raises DataError that names the file; for bytes that aren't UTF-8, their offset and line too.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    read_bytes, lines, start = 0, 0, True
    try:
        with path.open("rb") as file:
            block = b" "
            while block:
                block = file.read(BLOCK_BYTES)
                read_bytes += len(block)
                text = decoder.decode(block, final=not block)
                lines += text.count("\n")
                if start and text:
                    text, start = text.removeprefix(_BOM), False
                if text:
                    yield text
    except UnicodeDecodeError as error:
        data = bytes(error.object)
        offset = read_bytes - len(data) + error.start
        line = lines + data.count(b"\n", 0, error.start) + 1
        raise _not_utf8(path, data, error.start, offset, line) from error
    except OSError as error:
        raise unreadable(path, error) from error


def _not_utf8(path: Path, data: bytes, at: int, offset: int, line: int) -> DataError:
    utf16 = offset < 2 and data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    encoding = "UTF-16" if utf16 else "LATIN1"
    return DataError(
        f"{path}: is not UTF-8: byte 0x{data[at]:02x} at offset {offset:,}, line {line:,}",
        hint=f"if it is text, convert it: iconv -f {encoding} -t UTF-8 {path.name} > utf8.txt",
    )


def read_documents(path: Path, separator: str | None) -> Iterator[Piece]:
    """The documents of a file, in pieces; none of them is only whitespace.

    Without a separator the file is one document, exactly as it is. With one, line ends around the
    separators belong to no document.
    """
    blocks = read_blocks(path)
    if separator is None:
        return _without_blank(_whole(blocks), strip="")
    return _without_blank(_parted(blocks, separator), strip="\r\n")


def _whole(blocks: Iterable[str]) -> Iterator[Piece]:
    for block in blocks:
        yield Piece(block, last=False)
    yield Piece("", last=True)


def _parted(blocks: Iterable[str], separator: str) -> Iterator[Piece]:
    held = ""  # may be the beginning of a separator
    for block in blocks:
        *whole, rest = (held + block).split(separator)
        for text in whole:
            yield Piece(text, last=True)
        end = max(0, len(rest) - len(separator) + 1)
        yield Piece(rest[:end], last=False)
        held = rest[end:]
    yield Piece(held, last=True)


def _without_blank(pieces: Iterable[Piece], strip: str) -> Iterator[Piece]:
    """Drop documents of whitespace alone, and the characters of `strip` at documents' edges."""
    held, begun = "", False  # held: whitespace that may turn out to be the end
    for piece in pieces:
        text = held + piece.text
        if not begun:
            text = text.lstrip(strip)
        body = text.rstrip()
        held = text[len(body) :]
        if piece.last:
            if begun or body:
                yield Piece(body + held.rstrip(strip), last=True)
            held, begun = "", False
        elif body:
            begun = True
            yield Piece(body, last=False)


class Files:
    """Documents of text files, read in blocks.

    `separator` parts the documents inside a file; without it a file is one document. Without
    `validation_path`, about `validation_fraction` of the characters is held out: whole documents,
    chosen by a seeded hash of their text; of a single document its last part, cut at a line end.
    A file that is held out by name is never trained on, even if `path` matches it.
    Raises DataError, which names the file, its line and offset where that helps.
    """

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


def to_utf8(text: str) -> bytes:
    """The text in UTF-8; halves of surrogate pairs, which UTF-8 can't hold, become U+FFFD."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()


# The special tokens of BPE tokenizers.

ROLES = ("system", "user", "assistant")
END_OF_TURN = "end"
CHAT_TOKENS = {name: f"<|{name}|>" for name in (*ROLES, END_OF_TURN)}
"""Name -> special token of the dialogue format."""
END_OF_TEXT = "<|endoftext|>"
SPECIAL_TOKENS = (END_OF_TEXT, *CHAT_TOKENS.values())
"""Ids 0, 1, ... of every tokenizer trained here. Text that holds them literally is text."""


# Byte-level byte-pair encoding (Sennrich et al. 2016, arXiv:1508.07909; GPT-2's byte level).
#
# The alphabet holds all 256 bytes, so any text can be encoded; merges never cross the borders of
# GPT-2's pre-tokenizer (words with their leading space, numbers, punctuation, runs of whitespace).

# The library warns on every fork after it has used threads, unless this is set. A forked child
# has lost those threads and must not wait for them, so it encodes on one.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        after_in_child=lambda: os.environ.__setitem__("TOKENIZERS_PARALLELISM", "false")
    )

TRAINING_CHARACTERS = 32_000_000
"""The merges are learned from at most so much text; more changes them little and takes memory."""
MINIMUM_COUNT = 2  # a pair seen once teaches nothing


class BPETokenizer:
    """Byte-level BPE around a trained `tokenizers.Tokenizer`; the special tokens come first."""

    kind = "bpe"

    def __init__(self, library: Library) -> None:
        end_of_text = library.token_to_id(END_OF_TEXT)
        if end_of_text is None:
            raise ValueError(f"the tokenizer has no {END_OF_TEXT} token")
        library.encode_special_tokens = True  # typed specials are text; this is not in the file
        self._library = library
        self._bytes = _bytes_of_ids(library)
        self.vocabulary: int = library.get_vocab_size()
        self.end_of_text: int = end_of_text
        self.chat_tokens: Mapping[str, int] | None = _chat_tokens(library)

    def encode(self, text: str) -> NDArray[np.uint32]:
        """The ids of a text, shape (T,). Special tokens typed in the text are plain text."""
        return self.encode_batch([text])[0]

    def encode_batch(self, texts: Sequence[str]) -> list[NDArray[np.uint32]]:
        """The ids of several texts, on all cores. Takes about 200 bytes a token while it works."""
        clean = [text if text.isascii() else to_utf8(text).decode() for text in texts]
        encodings = self._library.encode_batch(clean, add_special_tokens=False)
        return [np.array(encoding.ids, dtype=np.uint32) for encoding in encodings]

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """The exact bytes of some ids; special tokens give none."""
        return b"".join(self._bytes[i] for i in ids)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of some ids; bytes that aren't UTF-8 become U+FFFD."""
        return self.decode_bytes(ids).decode(errors="replace")

    def token_bytes(self) -> NDArray[np.int32]:
        """How many bytes of text each id stands for, shape (vocabulary,); 0 for special tokens."""
        return np.array([len(piece) for piece in self._bytes], dtype=np.int32)

    def digest(self) -> str:
        """SHA-256 of all that it is."""
        return hashlib.sha256(self._library.to_str().encode()).hexdigest()

    def save(self, path: Path) -> None:
        """Write it as the `tokenizers` library's own tokenizer.json, which others read too."""
        path.write_text(self._library.to_str(pretty=True), encoding="utf-8")


def read_bpe(path: Path) -> BPETokenizer:
    """The tokenizer that was saved at `path`. Raises DataError when it can't be read."""
    try:
        return BPETokenizer(Library.from_str(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise DataError(f"{path}: can't be read: {error.strerror or error}") from error
    except Exception as error:  # the library raises bare Exception for a file it doesn't know
        raise DataError(f"{path}: is not a tokenizer: {error}") from error


def train_bpe(texts: Iterable[str], vocabulary: int) -> BPETokenizer:
    """Learn `vocabulary` tokens, the special ones and the 256 bytes among them.

    Reads at most TRAINING_CHARACTERS, one text after another, and keeps word counts only; the same
    texts give the same tokenizer. Raises DataError when the texts hold too few different pairs.
    """
    library = Library(models.BPE())
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    library.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        min_frequency=MINIMUM_COUNT,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    library.train_from_iterator(_at_most(TRAINING_CHARACTERS, texts), trainer=trainer)
    reached = library.get_vocab_size()
    if reached < vocabulary:
        raise DataError(
            f"tokenizer.vocabulary={vocabulary} is too large for this text: "
            f"it has enough repeated pairs for {reached} tokens",
            hint=f"set tokenizer.vocabulary to {reached} or less, or add training text",
        )
    return BPETokenizer(library)


def _chat_tokens(library: Library) -> dict[str, int] | None:
    specials = {str(token): i for i, token in library.get_added_tokens_decoder().items()}
    if not all(token in specials for token in CHAT_TOKENS.values()):
        return None
    return {name: specials[token] for name, token in CHAT_TOKENS.items()}


def _at_most(characters: int, texts: Iterable[str]) -> Iterator[str]:
    left = characters
    for text in texts:
        yield to_utf8(text[:left]).decode()
        left -= len(text)
        if left <= 0:
            return


def _bytes_of_ids(library: Library) -> list[bytes]:
    to_byte = _byte_of_character()
    specials = library.get_added_tokens_decoder()
    pieces = {i: token for token, i in library.get_vocab().items()}
    return [
        b"" if i in specials else bytes(to_byte[c] for c in pieces[i]) for i in range(len(pieces))
    ]


def _byte_of_character() -> dict[str, int]:
    """GPT-2's alphabet: printable Latin-1 stands for itself, other bytes for U+0100 upwards."""
    printable = {*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = [byte for byte in range(256) if byte not in printable]
    return {
        **{chr(byte): byte for byte in printable},
        **{chr(256 + n): byte for n, byte in enumerate(others)},
    }
