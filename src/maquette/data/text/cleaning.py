"""Markdown notes (Obsidian, Logseq, Roam, plain) as the text that a person would read.

`clean` is a pure function. What it does, and why, is told in docs/data.md; raise VERSION whenever
it gives other text, since prepared data is told apart by it.
"""

import re
from collections.abc import Generator, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

VERSION = 1
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
