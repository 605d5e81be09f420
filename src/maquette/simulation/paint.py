"""Text for a terminal: colours, bars, lines that fit; the same bytes wherever Python runs."""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

_CODES = {"bold": 1, "dim": 2, "red": 31, "green": 32, "yellow": 33, "blue": 34}
_CODES |= {"magenta": 35, "cyan": 36}
_AGAIN = "\r\x1b[2K"  # back to the start of the line, and clear it
_PIECE = re.compile(r"\x1b\[[0-9;]*m|[^\x1b]")
NARROWEST = 20


class Line(NamedTuple):
    """A line of the show, and the seconds after it, at speed 1.

    A passing line stands only until the next one: it is for terminals.
    """

    text: str
    pause: float = 0.0
    passing: bool = False


class Painter:
    """Makes lines of a width, in colours or without."""

    def __init__(self, width: int, *, coloured: bool) -> None:
        self.width = max(NARROWEST, width)
        self.coloured = coloured

    def paint(self, text: str, *styles: str) -> str:
        """The text in these colours."""
        if not self.coloured or not text:
            return text
        codes = ";".join(str(_CODES[style]) for style in styles)
        return f"\x1b[{codes}m{text}\x1b[0m"

    def line(self, text: str, pause: float = 0.0, *, passing: bool = False) -> Line:
        """A line, cut off where the terminal ends."""
        return Line(clip(text, self.width), pause, passing)

    def title(self, text: str, pause: float = 0.0) -> Line:
        """A heading."""
        rule = "─" * max(0, self.width - len(text) - 1)
        return self.line(f"{self.paint(text, 'bold', 'cyan')} {self.paint(rule, 'dim')}", pause)

    def pair(self, label: str, value: str, note: str = "", pause: float = 0.0) -> Line:
        """A label, its value, and what there is to say, where there is room for it."""
        text = f"  {self.paint(f'{label:<14} ', 'dim')}{value}"
        if note and 20 + len(value) + len(note) <= self.width:
            text += f"  {self.paint(note, 'dim')}"
        return self.line(text, pause)

    def bar(self, share: float, width: int) -> str:
        """A progress bar."""
        full = round(max(0.0, min(1.0, share)) * width)
        return self.paint("━" * full, "green") + self.paint("─" * (width - full), "dim")

    def progress(
        self, label: str, share: float, note: str = "", pause: float = 0.0, *, passing: bool
    ) -> Line:
        """A label, a bar as wide as there is room for, a percentage."""
        shown = f"  {label} "
        after = f" {share:>4.0%}{'  ' + note if note else ''}"
        room = self.width - len(shown) - len(after)
        if room < 6 and note:
            return self.progress(label, share, "", pause, passing=passing)
        bar = self.bar(share, min(40, room)) if room >= 6 else ""
        return self.line(shown + bar + after, pause, passing=passing)


def clip(text: str, width: int) -> str:
    """The first `width` characters, colours left as they are."""
    if len(text) <= width:
        return text
    shown, pieces = 0, []
    for piece in _PIECE.findall(text):
        if len(piece) == 1:
            shown += 1
            if shown > width:
                continue
        pieces.append(piece)
    return "".join(pieces)


def plain(text: str) -> str:
    """The text without colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def chunks(lines: Iterable[Line], *, live: bool) -> Iterator[tuple[str, float]]:
    """What to write, and the seconds to wait then.

    Where nobody watches it `live`, passing lines are left out, and their time is kept.
    """
    standing = False
    for text, pause, passing in lines:
        if passing and not live:
            yield "", pause
            continue
        before = _AGAIN if standing else ""
        yield f"{before}{text}{'' if passing else chr(10)}", pause
        standing = passing
