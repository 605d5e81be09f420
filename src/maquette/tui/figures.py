"""Figures of a run as short texts, and as pictures of one line."""

import math
from collections.abc import Sequence
from typing import Any

from maquette.cli.common import ago
from maquette.quantities import format_count, format_duration

Row = dict[str, Any]
"""A run in short, as `serving.runs_board.row_of` tells it."""

SYMBOLS = {
    "queued": "◌",
    "running": "●",
    "completed": "✓",
    "stopped": "■",
    "failed": "✗",
    "lost": "?",
}
"""A status is told by its symbol and its word too: colour alone isn't enough."""
_BLOCKS = "▁▂▃▄▅▆▇█"


def status_of(row: Row) -> str:
    """Symbol and word: `● running`, `● preparing data`, `✓ imported`."""
    status = str(row["status"])
    word = "imported" if row["kind"] == "imported" and status == "completed" else status
    if status == "running" and row["doing"]:
        word = str(row["doing"])
    return f"{SYMBOLS[status]} {word}"


def share_of(row: Row) -> float | None:
    """How much of it is done, from 0 to 1."""
    return min(1.0, row["step"] / row["steps"]) if row["steps"] else None


def loss(value: float | None) -> str:
    """In five characters or so."""
    if value is None or not math.isfinite(value):
        return ""
    return f"{value:.3f}" if abs(value) < 100 else f"{value:.4g}"


def judged(row: Row) -> str:
    """What people compare runs by: of images the accuracy, else the validation loss."""
    return f"{row['accuracy']:.1%}" if row["accuracy"] is not None else loss(row["validation_loss"])


def speed(row: Row, *, unit: bool = True) -> str:
    """Tokens or images a second: `12.3k tok/s`."""
    value = row["tokens_per_second"]
    if not value:
        return ""
    count = format_count(value)
    return f"{count} {'img' if row['unit'] == 'images' else 'tok'}/s" if unit else count


def left(row: Row, now: float) -> str:
    """The time that a live run will still take."""
    if row["status"] != "running" or row["ends_at"] is None:
        return ""
    return format_duration(max(0.0, row["ends_at"] - now))


def age(row: Row, now: float) -> str:
    """Since when there is the run."""
    return ago(now - row["created_at"]) if row["created_at"] else ""


def bar(share: float, width: int) -> tuple[str, str]:
    """A line of this many characters, to half of one: its done part and the rest."""
    halves = round(min(1.0, max(0.0, share)) * width * 2)
    done = "━" * (halves // 2) + "╸" * (halves % 2)
    return done, "━" * (width - len(done))


def sparkline(values: Sequence[float | None], width: int) -> str:
    """A curve in one line of blocks, by the logarithm: a loss falls fast first, then slowly."""
    known = [v for v in values if v is not None and math.isfinite(v) and v > 0]
    if len(known) < 2 or width < 2:
        return ""
    count = min(width, len(known))
    picked = [math.log(known[i * (len(known) - 1) // (count - 1)]) for i in range(count)]
    low, high = min(picked), max(picked)
    scale = (len(_BLOCKS) - 1) / (high - low) if high > low else 0.0
    return "".join(_BLOCKS[round((value - low) * scale)] for value in picked)


def one_line(text: str) -> str:
    """The text without what a terminal would obey, or what would begin another line."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
