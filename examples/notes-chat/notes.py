"""Markdown notes as text.

Made by `maquette eject` (maquette 0.1.0) from the spec notes-chat; blueprint 9a374d186d3b2a74.
"""

import codecs
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from errors import DataError
from text import FEW_DOCUMENTS, ContentHash, Piece, TextEncoder

LONGEST_BLOCK = 500  # lines of a drawer, query or comment; beyond, its mark is plain text

_PROPERTY = re.compile(r"([^\W\d_][\w./-]*(?: [\w./-]+){0,3})::(?:\s+(.*))?$")
_BULLET = re.compile(r"([ \t]*)([-*+]|\d{1,9}[.)])(?:[ \t]+(.*))?$")
_FENCE = re.compile(r"([ \t]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+|> ?)*)(`{3,}(?=[^`]*$)|~{3,})(.*)$")
_ORG = re.compile(r"([ \t]*(?:[-*+][ \t]+)?)#\+(BEGIN|END)_(\w+)(.*)$", re.IGNORECASE)
_DRAWER = re.compile(r"\s*(?:[-*+]\s+)?:(?:LOGBOOK|PROPERTIES):\s*$")
_YAML = re.compile(r"\s*$|\s+\S|#|- |-$|['\"]?[\w .-]+['\"]?:(?:\s|$)")
_TASK = re.compile(
    r"(?:TODO|DOING|DONE|LATER|NOW|WAITING|WAIT|IN-PROGRESS|CANCELL?ED)(?:\s+|$)(?:\[#[ABC]\]\s*)?"
)
_HEADING = re.compile(r"#{1,6} ")
_ONE_TAG = r"#(?:\[\[[^\[\]\n]+\]\]|[\w/-]*[^\W\d][\w/-]*)"
_ONLY_TAGS = re.compile(rf"{_ONE_TAG}(?:[\s,]+{_ONE_TAG})*[\s,]*$")
_CODE_ORG = ("SRC", "EXAMPLE", "EXPORT")
_PROSE_KEYS = ("description", "summary", "abstract")
_GONE = "\x01"  # stands where something was taken out, so that the blanks around it can be mended
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")


class _Line(NamedTuple):
    """A line of a note; `margin` is the blank edge of a line of code, None in prose."""

    text: str
    margin: str | None


def clean(text: str) -> str:
    """The readable text of a Markdown note, ending in one line end; empty if there is none."""
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    lines = _CONTROL.sub("", text).split("\n")
    about, start = _front_matter(lines)
    found = list(_scan(lines[start:]))
    page = _Page(_is_outline(found), about)
    for line in found:
        page.add(line)
    return page.text()


def _front_matter(lines: Sequence[str]) -> tuple[dict[str, str], int]:
    """What is kept of YAML front matter, and the line that it ends before."""
    if lines[0].rstrip() != "---":
        return {}, 0
    about: dict[str, str] = {}
    for number, line in enumerate(islice(lines, 1, LONGEST_BLOCK), 1):
        if line.rstrip() in ("---", "..."):
            return about, number + 1
        if not _YAML.match(line):
            break
        key, _, value = line.partition(":")
        value = value.strip()
        if value[:1] in "\"'" and value[-1:] == value[:1]:
            value = value[1:-1]
        if key.lower() in ("title", *_PROSE_KEYS) and value[:1] not in ("|", ">", "[", "{"):
            about.setdefault(key.lower(), value.strip())
    return {}, 0


def _scan(lines: Sequence[str]) -> Iterator[_Line]:
    """Tell code from prose; leave out drawers, queries and comments that fill whole lines."""
    at = 0
    while at < len(lines):
        fence, org = _FENCE.match(lines[at]), _ORG.match(lines[at])
        if fence:
            at = yield from _fenced(lines, at, fence)
        elif org:
            at = yield from _org_block(lines, at, org)
        else:
            end = _end_of_dropped(lines, at)
            if end is None:
                yield _Line(lines[at], None)
            at = at + 1 if end is None else end


def _fenced(lines: Sequence[str], at: int, fence: re.Match[str]) -> Generator[_Line, None, int]:
    yield _Line(lines[at], fence[1])
    margin = re.sub(r"\S", " ", fence[1])
    closing = re.compile(rf"[ \t>]*{fence[2][0]}{{{len(fence[2])},}}[ \t]*$")
    for number in range(at + 1, len(lines)):
        yield _Line(lines[number], margin)
        if closing.match(lines[number]):
            return number + 1
    return len(lines)


def _org_block(lines: Sequence[str], at: int, org: re.Match[str]) -> Generator[_Line, None, int]:
    """Code between #+BEGIN_SRC and #+END_SRC becomes fenced; other marks go, the text stays."""
    name = org[3].upper()
    if org[2].upper() == "END" or name not in (*_CODE_ORG, "QUERY"):
        if org[4].strip() or org[1].strip():
            yield _Line(org[1] + org[4].strip(), None)
        return at + 1
    end = _find(lines, at + 1, re.compile(rf"\s*#\+END_{name}\b", re.IGNORECASE))
    if end is None:
        return at + 1
    if name != "QUERY":
        margin = re.sub(r"\S", " ", org[1])
        yield _Line(f"{org[1]}```{org[4].strip()}", org[1])
        for line in lines[at + 1 : end]:
            yield _Line(line, margin)
        yield _Line(f"{margin}```", margin)
    return end + 1


def _end_of_dropped(lines: Sequence[str], at: int) -> int | None:
    """The line behind a drawer or a comment that begins at a line; None if neither begins."""
    line = lines[at]
    if _DRAWER.match(line):
        end = _find(lines, at + 1, re.compile(r"\s*:END:\s*$"))
        return None if end is None else end + 1
    for opening, closing in (("<!--", "-->"), ("%%", "%%")):
        if line.lstrip().startswith(opening):
            rest = line.lstrip()[len(opening) :]
            if closing in rest:
                return at + 1 if rest.endswith(closing) and rest.count(closing) == 1 else None
            end = next((n for n, text in _following(lines, at) if text.endswith(closing)), None)
            return None if end is None else end + 1
    return None


def _find(lines: Sequence[str], start: int, pattern: re.Pattern[str]) -> int | None:
    return next((n for n, text in _following(lines, start - 1) if pattern.match(text)), None)


def _following(lines: Sequence[str], at: int) -> Iterator[tuple[int, str]]:
    """The lines behind one that may still belong to it, numbered, without blanks at their ends."""
    for number in range(at + 1, min(len(lines), at + 1 + LONGEST_BLOCK)):
        yield number, lines[number].rstrip()


def _is_outline(lines: Sequence[_Line]) -> bool:
    """Whether everything is bullets, and what belongs to them, but for properties at the top.

    Headings may stand among them if bullets are indented right below one, as Logseq writes it.
    """
    begun = below_heading = False
    headings = hung = 0
    for line, margin in lines:
        if not line.strip() or (not begun and _PROPERTY.match(line)):
            continue
        edge = line if margin is None else margin
        if edge.startswith(("- ", "* ")) or line.rstrip() in ("-", "*"):
            begun, below_heading = True, False
        elif margin is None and _HEADING.match(line):
            headings, below_heading = headings + 1, True
        elif edge[:1] in (" ", "\t") and (begun or below_heading):
            hung += below_heading and _BULLET.match(line) is not None
            begun, below_heading = True, False
        else:
            return False
    return begun and (hung > 0 or headings == 0)


class _Page:
    """Puts the cleaned lines together."""

    def __init__(self, outline: bool, about: dict[str, str]) -> None:
        self._outline = outline
        self._about = about
        self._lines: list[str] = []
        self._depth = 0  # of the last bullet of an outline, in characters
        self._in_list = self._in_code = False
        self._blank = True

    def add(self, line: _Line) -> None:
        """Take the next line, clean it, keep what is left."""
        text = line.text
        if line.margin is not None:
            code = _dedent(text, line.margin) if self._outline else text
            self._lines.append(code.rstrip("\n"))
            self._blank = self._in_code = False
        elif not text.strip():
            self._space()
        elif self._outline:
            self._add_block(text)
        else:
            self._add_plain(text.rstrip())

    def text(self) -> str:
        """The page: title, description, lines; a title alone is no text."""
        while self._lines and not self._lines[-1].strip():
            self._lines.pop()
        first = next((line for line in self._lines if line.strip()), "")
        head = [inline(self._about[key]) for key in _PROSE_KEYS if key in self._about]
        title = inline(self._about.get("title", ""))
        if title and not first.startswith("# "):
            head.insert(0, f"# {title}")
        blocks = ["\n".join(self._lines)] if self._lines else []
        parts = [part for part in head if part] + blocks
        if title and not first and len(parts) == 1:
            return ""
        text = "\n\n".join(parts).strip("\n")
        return text + "\n" if text.strip() else ""

    def _space(self) -> None:
        if self._lines and self._lines[-1]:
            self._lines.append("")
        self._blank = True

    def _property(self, text: str) -> bool:
        """Whether it is one; title and description at the top of a page are kept."""
        found = _PROPERTY.match(text)
        if not found:
            return False
        key, value = found[1].lower(), (found[2] or "").strip()
        if value and not any(self._lines) and key in ("title", *_PROSE_KEYS):
            self._about.setdefault(key, value)
        return True

    def _add_block(self, text: str) -> None:
        """A line of an outline: the bullet and the indentation go."""
        bullet = _BULLET.match(text)
        if bullet and bullet[2] in "-*":
            depth = len(bullet[1].expandtabs(4))
            if depth == 0 and self._depth > 0:
                self._space()
            self._depth = depth
            body = _TASK.sub("", bullet[3] or "", count=1)
            body = re.sub(r"^\[[ xX]\]\s+", "", body)
        else:
            body = text.strip()
        if self._property(body):
            return
        body = inline(body)
        if not body.strip() or body.strip() == ">":
            return
        if _HEADING.match(body):
            self._space()
        self._lines.append(body.strip())
        self._blank = False

    def _add_plain(self, text: str) -> None:
        """A line of an ordinary note: lists, quotes and tables stay as they are."""
        if re.match(r" {4}|\t", text):
            bulleted = _BULLET.match(text)
            self._in_code = self._in_code or (self._blank and not self._in_list and not bulleted)
            if self._in_code:
                self._lines.append(text)
                self._blank = False
                return
        self._in_code = False
        bullet = _BULLET.match(text)
        if text[:1] not in (" ", "\t"):
            self._in_list = False
        prefix, body = "", text
        if bullet:
            self._in_list = True
            body = re.sub(r"^\[[ xX]\]\s+", "", bullet[3] or "")
            prefix = text[: len(bullet[1]) + len(bullet[2])] + " "
        elif text[:1] in (" ", "\t", ">"):
            body = text.lstrip(" \t>")
            prefix = text[: len(text) - len(body)]
            body = re.sub(r"^\[![\w-]+\][+-]?\s*", "", body) if ">" in prefix else body
        if self._property(body):
            return
        cleaned = inline(body)
        if cleaned.strip() or (not body.strip() and ">" in prefix):
            self._lines.append((prefix + cleaned).rstrip())
            self._blank = False


def _dedent(line: str, margin: str) -> str:
    """The line without a margin; of a shorter edge, all of it."""
    if line.startswith(margin):
        return line[len(margin) :]
    edge = len(line) - len(line.lstrip(" \t"))
    return line[min(edge, len(margin)) :]


_CODE_SPAN = re.compile(r"(`+)(?!`)(.+?)(?<!`)\1(?!`)")
_TARGET = r"\((?:[^()\n]|\([^()\n]*\))*\)"  # one level of parentheses inside
_SQUARE = r"\[((?:[^\[\]\n]|\[[^\[\]\n]*\])*)\]"
_REFERENCE = r"\(\((?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|(?=[\w-]*[A-Z0-9_-])[\w-]{9})\)\)"
_INNER_LINK = re.compile(r"\[\[((?:(?!\[\[|\]\])[^\n])+)\]\]")
_STEPS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"<!--(?:(?!<!--)[^\n])*?-->|%%[^%\n]+%%|<img\b[^<>]*>", _GONE),
        (rf"!{_SQUARE}{_TARGET}(?:\{{[^}}\n]*\}})?|!\[\[[^\[\]\n]*\]\]", _GONE),  # attachments
        (r"\{\{cloze ([^{}\n]*)\}\}", r"\1"),
        (r"\{\{(?:\[\[)?[A-Za-z](?:[^{}\n]|\{[^{}\n]*\})*\}\}", _GONE),  # macros
        (rf"\[([^\[\]\n]*)\]\({_REFERENCE}\)", r"\1"),
        (_REFERENCE, _GONE),
        (r"(?:^|(?<=\s))#\.[\w-]+", _GONE),
        (
            r"\b(?:SCHEDULED|DEADLINE|CLOSED|CLOCK):\s*[<\[][^<>\[\]\n]*[>\]].*?(?=\b[A-Z]{5,}:|$)",
            _GONE,
        ),
        (r"\[\w[\w-]*:: [^\[\]\n]*\]", _GONE),  # Dataview's properties inside a line
        (rf"\[(\[[^\[\]\n]*\])\]({_TARGET})", r"\1"),  # [[1]](address)
        (r"(?:^|(?<=[\s(]))#(?=\[\[)", ""),
    )
)
_AFTER_LINKS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (rf"{_SQUARE}{_TARGET}", r"\1"),
        (r"<(https?://[^<>\s]+)>", r"\1"),
        (r"(?:^|(?<=[\s(\[\"']))#([\w/-]*[^\W\d][\w/-]*)", r"\1"),
        (r"==(?=\S)([^=\n]+?)(?<=\S)==", r"\1"),
        (r"\^\^(?=\S)([^^\n]+?)(?<=\S)\^\^", r"\1"),
        (r"(?<=\S)\s\^[A-Za-z0-9][A-Za-z0-9-]{3,}$", ""),  # Obsidian's name of a block
        (r"[ \t]*\x01[ \x01\t]*(?=[.,;:!?)]|$)", ""),
        (r"^[ \x01\t]+", ""),
        (r"[ \t]*\x01[ \x01\t]*", " "),
    )
)


def inline(text: str) -> str:
    """A line of prose: links become their text, macros and attachments go, `code` stays."""
    if _ONLY_TAGS.match(text):
        return ""
    spans: list[str] = []

    def hide(found: re.Match[str]) -> str:
        spans.append(found[0])
        return f"\x00{len(spans) - 1}\x00"

    text = _CODE_SPAN.sub(hide, text)
    for pattern, replacement in _STEPS:
        text = pattern.sub(replacement, text)
    for _ in range(8):
        text, count = _INNER_LINK.subn(_link_text, text)
        if not count:
            break
    for pattern, replacement in _AFTER_LINKS:
        text = pattern.sub(replacement, text)
    return re.sub(r"\x00(\d+)\x00", lambda found: spans[int(found[1])], text)


def _link_text(found: re.Match[str]) -> str:
    """What is shown of a link: its alias, or the page, or the heading of this page."""
    target, bar, alias = found[1].replace("\\|", "|").partition("|")
    if bar and alias.strip():
        return alias.strip()
    page, _, heading = target.partition("#")
    if not page.strip():
        return "" if heading.startswith("^") else heading.strip()
    return page.strip() if heading.strip() else target.strip()


# A folder of Markdown notes, one document a file.

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

    def splits(self) -> tuple[str, ...]:
        """Train and validation."""
        return ("train", "validation")

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
            with open(note.path, "rb") as file:
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
            outside = outside or os.path.islink(path)
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
        if not os.path.exists(target):
            return _BROKEN
        if not (link.is_dir() or link.is_file()):
            return _SPECIAL
        holds_root = os.path.join(self._root, "").startswith(os.path.join(target, ""))
        if holds_root or self._is_inside(target) or not self._follow(link):
            return _INSIDE
        return None

    def _is_inside(self, real: str) -> bool:
        return real == self._root or real.startswith(os.path.join(self._root, ""))

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
