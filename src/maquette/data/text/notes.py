"""A folder of Markdown notes, one document a file."""

import codecs
import hashlib
import os
import unicodedata
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from maquette.data.encoding import TextEncoder
from maquette.data.text.cleaning import VERSION, clean
from maquette.data.text.holdout import FEW_DOCUMENTS, ContentHash
from maquette.data.text.piece import Piece
from maquette.errors import DataError

SUFFIXES = (".md", ".markdown")
NOT_NOTES = (".excalidraw.md",)  # drawings
OWN_FOLDERS = {"logseq": ("bak", "version-files")}  # Logseq's own copies of notes
LARGEST_BYTES = 64 << 20
EXAMPLES = 3

_HIDDEN = "hidden"
_OTHER = "not Markdown"
_INSIDE = "linked to what is read anyway"
_BROKEN = "linked to nothing"
_SPECIAL = "not regular files"
_UNREADABLE = "unreadable"
_EMPTY = "empty"
_LARGE = f"over {LARGEST_BYTES >> 20} MiB"
_BINARY = "with byte 0, so not text"
_MENDED = "not UTF-8, wrong bytes as U+FFFD"
_SKIPPED = (
    _HIDDEN,
    _OTHER,
    _EMPTY,
    _INSIDE,
    _BROKEN,
    _SPECIAL,
    _UNREADABLE,
    _LARGE,
    _BINARY,
)
_NAMED = (
    _BROKEN,
    _SPECIAL,
    _UNREADABLE,
    _LARGE,
    _BINARY,
    _MENDED,
)  # somebody may want to mend these


class NoteFile(NamedTuple):
    """A note's file, and its path inside the folder, parts joined by `/`."""

    path: str
    name: str


class Tally:
    """What was passed over or mended: how often, and the first few names."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.examples: dict[str, list[str]] = {}

    def add(self, what: str, name: str) -> None:
        """Count one more."""
        self.counts[what] += 1
        examples = self.examples.setdefault(what, [])
        if len(examples) < EXAMPLES:
            examples.append(name)

    def told(self, *kinds: str) -> str:
        """`3 empty, 1 unreadable (a.md)`: those that occur, named where that helps."""
        return ", ".join(map(self._told, (kind for kind in kinds if self.counts[kind])))

    def _told(self, kind: str) -> str:
        count = f"{self.counts[kind]:,} {kind}"
        if kind not in _NAMED:
            return count
        more = ", ..." if self.counts[kind] > len(self.examples[kind]) else ""
        return f"{count} ({', '.join(self.examples[kind])}{more})"


class Notes:
    """The notes below a folder, in the order of their names.

    About `validation_fraction` of the files is held out, each by a seeded hash of its path inside
    the folder: neither new notes nor edits move another note. Only where that would leave a split
    without text, the note whose hash is nearest takes its place there. `clean` makes plain text of
    the Markdown. Raises DataError. What is skipped is counted; see `remarks`.

    Memory is that of the names in one folder and of one note.
    """

    count_words = False
    encoder = TextEncoder

    def __init__(
        self,
        path: str,
        *,
        clean: bool = True,
        validation_fraction: float = 0.1,
        seed: int = 0,
    ) -> None:
        self._folder = Path(path).expanduser()
        self._clean = clean
        self._fraction = validation_fraction
        self._seed = seed
        self._tallies: dict[str, Tally] = {}
        self._bytes: int | None = None
        self._surveyed = False
        self._moved: tuple[float, bool] | None = None  # a note's place, and whether it's held out
        if self._folder.is_file():
            raise DataError(
                f"{path}: is a file", hint="give path the folder of the notes, or use kind: files"
            )
        if not self._folder.is_dir():
            raise DataError(
                f"{path}: no such folder",
                hint="relative paths in a spec file start at its folder, others where you are",
            )

    def fingerprint(self) -> dict[str, Any]:
        """The folder, a hash of its notes' names, sizes and times, and what decides their use."""
        digest, count, self._bytes = hashlib.blake2b(digest_size=16), 0, 0
        for note in find_notes(self._folder, Tally()):
            try:
                found = Path(note.path).stat()
            except OSError:
                continue
            digest.update(repr((note.name, found.st_size, found.st_mtime_ns)).encode())
            count, self._bytes = count + 1, self._bytes + found.st_size
        return {
            "kind": "notes",
            "folder": str(self._folder.resolve()),
            "notes": count,
            "hash": digest.hexdigest(),
            "cleaning": VERSION if self._clean else None,
            "fraction": self._fraction,
            "seed": self._seed,
        }

    def splits(self) -> tuple[str, ...]:
        """Train and validation."""
        return ("train", "validation")

    def expected_bytes(self, split: str) -> int:
        """Bytes of text to expect in a split, to show progress by."""
        if self._bytes is None:
            self.fingerprint()
        share = self._fraction if split == "validation" else 1 - self._fraction
        return round(share * (self._bytes or 0))

    def pieces(self, split: str) -> Iterator[Piece]:
        """The notes of a split, each a document of one piece."""
        self._survey()
        walked, read = Tally(), Tally()
        for note in find_notes(self._folder, walked):
            if self._held_out(self._place(note)) == (split == "validation"):
                text = self._read(note, read)
                if text:
                    yield Piece(text, last=True)
        self._tallies |= {"": walked, split: read}

    def remarks(self) -> list[str]:
        """What was skipped or mended in the splits that were read, in lines for people."""
        whole = Tally()
        for tally in self._tallies.values():
            whole.counts += tally.counts
            for kind, names in tally.examples.items():
                whole.examples[kind] = (whole.examples.get(kind, []) + names)[:EXAMPLES]
        told = {"skipped": whole.told(*_SKIPPED), "mended": whole.told(_MENDED)}
        return [f"{verb}: {what}" for verb, what in told.items() if what]

    def _place(self, note: NoteFile) -> float:
        content = ContentHash(self._seed)
        content.update(unicodedata.normalize("NFC", note.name))
        return content.place()

    def _held_out(self, place: float) -> bool:
        if self._moved is not None and place == self._moved[0]:
            return self._moved[1]
        return place < self._fraction

    def _survey(self) -> None:
        """Of few notes, see that both splits have text; beyond, chance is fair by itself."""
        if self._surveyed:
            return
        walked, read = Tally(), Tally()
        places: list[float] = []
        for number, note in enumerate(find_notes(self._folder, walked)):
            if number >= FEW_DOCUMENTS:
                places = []
                break
            if self._read(note, read):
                places.append(self._place(note))
        else:
            self._check(places, walked, read)
        held_out = sum(map(self._held_out, places))
        if places and held_out == 0:
            self._moved = min(places), True
        elif places and held_out == len(places):
            self._moved = max(places), False
        self._surveyed = True

    def _check(self, places: list[float], walked: Tally, read: Tally) -> None:
        if len(places) > 1:
            return
        seen = ", ".join(filter(None, (walked.told(*_SKIPPED), read.told(*_SKIPPED))))
        besides = f" (skipped: {seen})" if seen else ""
        if not places:
            raise DataError(
                f"{self._folder}: holds no Markdown note with text{besides}",
                hint="notes are files that end in .md; others are read with kind: files",
            )
        raise DataError(
            f"{self._folder}: holds one note with text{besides}, and a file is never split",
            hint="add notes, or read the file with kind: files, which holds out its last part",
        )

    def _read(self, note: NoteFile, tally: Tally) -> str:
        """The text of a note; empty, and counted, where there is none to use."""
        try:
            with open(note.path, "rb") as file:  # noqa: PTH123 - a Path for each of a million
                data = file.read(LARGEST_BYTES + 1)
        except OSError:
            tally.add(_UNREADABLE, note.name)
            return ""
        if len(data) > LARGEST_BYTES:
            tally.add(_LARGE, note.name)
            return ""
        utf16 = data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
        encoding = "utf-16" if utf16 else "utf-8-sig"
        try:
            text, mended = data.decode(encoding), False
        except UnicodeDecodeError:
            text, mended = data.decode(encoding, "replace"), True
        if "\0" in text:
            tally.add(_BINARY, note.name)
            return ""
        text = clean(text) if self._clean else text
        if not text.strip():
            tally.add(_EMPTY, note.name)
            return ""
        if mended:
            tally.add(_MENDED, note.name)
        return text


def find_notes(folder: Path, tally: Tally) -> Iterator[NoteFile]:
    """The notes below a folder, sorted by name folder by folder; what is skipped is counted.

    A link to a folder or file elsewhere is followed, once; one to what is read anyway is not, so
    no loop can arise. Raises DataError when the folder itself can't be read.
    """
    walk = _Walk(folder, tally)
    stack = [(iter(walk.names(str(folder), "", outside=False)), False)]
    if tally.counts[_UNREADABLE]:
        raise DataError(f"{folder}: can't be read", hint="see its permissions")
    while stack:
        names, outside = stack[-1]
        name = next(names, None)
        if name is None:
            stack.pop()
        elif name.endswith("/"):
            path = str(folder / name)
            outside = outside or os.path.islink(path)  # noqa: PTH114 - false where it's too long
            stack.append((iter(walk.names(path, name, outside=outside)), outside))
        else:
            yield NoteFile(str(folder / name), os.fsencode(name).decode("utf-8", "replace"))


class _Walk:
    """Lists folders, telling notes and folders from all that is skipped."""

    def __init__(self, folder: Path, tally: Tally) -> None:
        self._root = os.path.realpath(folder)
        self._tally = tally
        self._followed: set[tuple[int, int]] = set()  # files and folders outside, by identity

    def names(self, path: str, inside: str, *, outside: bool) -> list[str]:
        """The notes and, ending in `/`, the folders in a folder: paths from the root, sorted.

        `inside` is the folder's own, empty or ending in `/`; `outside` says that a link led to it.
        """
        found = []
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    if self._wanted(entry, inside, outside):
                        folder = entry.is_dir()
                        found.append(f"{inside}{entry.name}/" if folder else inside + entry.name)
        except OSError:
            self._tally.add(_UNREADABLE, inside)
        return sorted(found)

    def _wanted(self, entry: os.DirEntry[str], inside: str, outside: bool) -> bool:
        name = inside + entry.name
        lower = entry.name.lower()
        reason = None
        if entry.name.startswith(".") or entry.name in OWN_FOLDERS.get(_last(inside), ()):
            reason = _HIDDEN
        elif entry.is_dir(follow_symlinks=False):
            reason = _INSIDE if outside and not self._follow(entry) else None
        elif not (lower.endswith(SUFFIXES) or _is_folder(entry)) or lower.endswith(NOT_NOTES):
            reason = _OTHER
        elif entry.is_symlink():
            reason = self._why_not_follow(entry)
        elif not entry.is_file():
            reason = _SPECIAL
        if reason is not None:
            self._tally.add(reason, os.fsencode(name).decode("utf-8", "replace"))
        return reason is None

    def _why_not_follow(self, link: os.DirEntry[str]) -> str | None:
        target = os.path.realpath(link.path)
        if not os.path.exists(target):  # noqa: PTH110 - also true of a link to itself
            return _BROKEN
        if not (link.is_dir() or link.is_file()):
            return _SPECIAL
        holds_root = os.path.join(self._root, "").startswith(os.path.join(target, ""))  # noqa: PTH118
        if holds_root or self._is_inside(target) or not self._follow(link):
            return _INSIDE
        return None

    def _is_inside(self, real: str) -> bool:
        return real == self._root or real.startswith(os.path.join(self._root, ""))  # noqa: PTH118

    def _follow(self, entry: os.DirEntry[str]) -> bool:
        """Note what lies outside the root; False when it was there already."""
        found = entry.stat()
        identity = (found.st_dev, found.st_ino)
        new = identity not in self._followed
        self._followed.add(identity)
        return new


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is a folder or a link to one; links that lead round in a circle aren't."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _last(inside: str) -> str:
    return inside.rstrip("/").rpartition("/")[2]
