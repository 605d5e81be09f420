"""A search as a picture: how each trial learned, and its score beside its speed."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from PIL import Image, ImageDraw

from maquette.data.image.paper import FAINT, INK, LINE, MARGIN, PAPER, Colour, fitting, font
from maquette.quantities import format_count
from maquette.search.record import Search, Trial

_WIDTH, _HEIGHT, _TOP, _LEFT = 1180, 560, 96, 66
_FRONT: Colour = (33, 122, 110)
_DEFAULT: Colour = (200, 73, 40)
_OTHER: Colour = (170, 168, 160)


class _Axis(NamedTuple):
    """A range of values on so many pixels, from the first to the last."""

    low: float
    high: float
    first: int
    last: int

    def place(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return self.first + share * (self.last - self.first)

    def ticks(self) -> list[float]:
        """Round numbers, about five of them."""
        step = 10 ** math.floor(math.log10((self.high - self.low) / 4))
        step *= next(f for f in (1, 2, 5, 10) if (self.high - self.low) / (step * f) <= 6)
        count = math.ceil(self.low / step)
        return [i * step for i in range(count, math.floor(self.high / step + 1e-9) + 1)]


def draw_search(search: Search) -> Image.Image:
    """Two panels: scores over the training, and the last ones beside tokens a second."""
    page = Image.new("RGB", (_WIDTH, _HEIGHT), PAPER)
    draw = ImageDraw.Draw(page)
    options = search.options
    draw.text((MARGIN, MARGIN - 6), fitting(search.name, 700, 24), INK, font(24))
    words = f"{len(search.trials)} trials, {options.strategy}; each had as much time as the spec"
    draw.text((MARGIN, MARGIN + 27), words, FAINT, font(13))
    _legend(draw)
    trials = search.ranked()
    if not trials:
        draw.text((MARGIN, _TOP), "no trial has a score yet", INK, font(14))
        return page
    middle = _WIDTH // 2
    _curves(draw, search, trials, (MARGIN + _LEFT, middle - MARGIN))
    _scatter(draw, search, trials, (middle + _LEFT, _WIDTH - MARGIN))
    return page


def _legend(draw: ImageDraw.ImageDraw) -> None:
    x = _WIDTH - MARGIN
    for words, colour in (
        ("others", _OTHER),
        ("best of score, parameters and speed", _FRONT),
        ("the spec itself", _DEFAULT),
    ):
        x -= int(font(13).getlength(words)) + 24
        draw.ellipse((x, MARGIN + 31, x + 9, MARGIN + 40), colour)
        draw.text((x + 14, MARGIN + 27), words, FAINT, font(13))


def _colour(trial: Trial, front: set[int]) -> Colour:
    if trial.is_default:
        return _DEFAULT
    return _FRONT if trial.number in front else _OTHER


def _curves(
    draw: ImageDraw.ImageDraw, search: Search, trials: Sequence[Trial], span: tuple[int, int]
) -> None:
    x = _Axis(0.0, 100.0, *span)
    y = _scores([v for t in trials for _, v in t.curve[len(t.curve) // 5 :]])
    _frame(draw, x, y, "% of its training", _unit(search))
    front = search.front()
    for trial in sorted(trials, key=lambda t: (t.is_default, t.number in front)):
        steps = trial.steps or 1
        points = [
            (x.place(100 * min(1.0, step / steps)), y.place(value))
            for step, value in trial.curve
            if y.low <= value <= y.high
        ]
        if len(points) > 1:
            draw.line(points, _colour(trial, front), 3 if trial.is_default else 2, "curve")


def _scatter(
    draw: ImageDraw.ImageDraw, search: Search, trials: Sequence[Trial], span: tuple[int, int]
) -> None:
    speeds = [t.tokens_per_second or 0.0 for t in trials]
    margin = (max(speeds) - min(speeds)) * 0.1 or max(speeds) * 0.1 or 1.0
    x = _Axis(max(0.0, min(speeds) - margin), max(speeds) + margin, *span)
    y = _scores([t.score for t in trials if t.score is not None])
    unit = "images" if search.higher_is_better else "tokens"
    _frame(draw, x, y, f"{unit} a second of training", _unit(search))
    front = search.front()
    for trial in reversed(trials):
        assert trial.score is not None
        place = x.place(trial.tokens_per_second or 0.0), y.place(trial.score)
        size = 6 if trial.status == "done" else 3
        box = (place[0] - size, place[1] - size, place[0] + size, place[1] + size)
        draw.ellipse(box, _colour(trial, front))
        where = place[0] + 9, place[1] - 8
        draw.text(where, str(trial.number + 1), INK, font(12))


def _scores(values: Sequence[float]) -> _Axis:
    low, high = min(values), max(values)
    margin = (high - low) * 0.08 or abs(high) * 0.05 or 1.0
    return _Axis(low - margin, high + margin, _HEIGHT - MARGIN - 40, _TOP + 24)


def _unit(search: Search) -> str:
    return "share of validation images told right" if search.higher_is_better else "bits per byte"


def _frame(draw: ImageDraw.ImageDraw, x: _Axis, y: _Axis, below: str, beside: str) -> None:
    """Both axes with their numbers."""
    draw.text((x.first - _LEFT + 8, y.last - 28), beside, FAINT, font(13))
    for tick in y.ticks():
        at = y.place(tick)
        draw.line((x.first, at, x.last, at), LINE)
        draw.text((x.first - 8, at), f"{tick:.4g}", FAINT, font(12), anchor="rm")
    for tick in x.ticks():
        at = x.place(tick)
        draw.line((at, y.first, at, y.first + 4), FAINT)
        draw.text((at, y.first + 8), format_count(tick), FAINT, font(12), anchor="ma")
    draw.line((x.first, y.first, x.last, y.first), FAINT)
    draw.text((x.last, y.first + 26), below, FAINT, font(13), anchor="ra")
