"""From text to tokens: documents, those held out among them, and the tokenizer.

Made by `maquette eject` (maquette 0.1.0) from the spec chat-tune; blueprint 65b02f2d53489c13.
"""

import codecs
import contextlib
import glob
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

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


# Every byte is a token: nothing to train, any text, any language.


def to_utf8(text: str) -> bytes:
    """The text in UTF-8; halves of surrogate pairs, which UTF-8 can't hold, become U+FFFD."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()


class BytesTokenizer:
    """The 256 bytes as ids. Byte 0, which text never has, stands between documents."""

    kind = "bytes"
    vocabulary = 256
    end_of_text = 0
    chat_tokens: Mapping[str, int] | None = None  # a transcript is plain text

    def encode(self, text: str) -> NDArray[np.uint32]:
        """The ids of a text's UTF-8 bytes, shape (T,)."""
        return self.encode_bytes(to_utf8(text))

    def encode_bytes(self, data: bytes) -> NDArray[np.uint32]:
        """The ids of any bytes, shape (T,); `decode_bytes` gives them back exactly."""
        return np.frombuffer(data, dtype=np.uint8).astype(np.uint32)

    def encode_batch(self, texts: Sequence[str]) -> list[NDArray[np.uint32]]:
        """The ids of several texts."""
        return [self.encode(text) for text in texts]

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """The exact bytes of some ids, byte 0 included."""
        return bytes(int(i) for i in ids)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of some ids; bytes that aren't UTF-8 become U+FFFD."""
        return self.decode_bytes(ids).decode(errors="replace")

    def token_bytes(self) -> NDArray[np.int32]:
        """How many bytes of text each id stands for, shape (256,): one, but none for byte 0."""
        counts = np.ones(self.vocabulary, dtype=np.int32)
        counts[self.end_of_text] = 0
        return counts

    def save(self, path: Path) -> None:
        """Write `{"kind": "bytes"}`, which is all there is to know."""
        path.write_text(json.dumps({"kind": self.kind}) + "\n", encoding="utf-8")


ROLES = ("system", "user", "assistant")
END_OF_TURN = "end"
