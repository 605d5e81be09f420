"""How fast the show is, and the picture of it: `python -m benchmarks.simulate [--picture FILE]`."""

import argparse
import html
import itertools
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from maquette.simulation.paint import Line
from maquette.simulation.show import show
from maquette.simulation.story import tell

_ROUNDS = 5
PICTURE = Path(__file__).parents[1] / "docs" / "images" / "simulate.svg"
_SEED, _SPEED, _COLUMNS, _ROWS = 20, 50, 80, 26
_WIDE, _HIGH, _MARGIN = 8.4, 18, 14
_HOLD_SECONDS = 5.0
_COLOURS = {"2": "#8b949e", "31": "#ff7b72", "32": "#7ee787", "33": "#e3b341", "36": "#79c0ff"}
_STYLES = {code: f"fill: {colour}" for code, colour in _COLOURS.items()} | {
    "1": "font-weight: bold"
}
_STYLED = re.compile(r"\x1b\[([0-9;]*)m([^\x1b]*)")


def main(arguments: list[str] | None = None) -> None:
    """Print how long the start and a module take; or write the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--picture", action="store_true", help=f"write {PICTURE.name} instead")
    if parser.parse_args(arguments).picture:
        PICTURE.write_text(picture(), encoding="utf-8")
        return
    command = [str(Path(sys.executable).with_name("maquette")), "simulate", "--seed", "3"]
    table = Table(title=f"The show (medians of {_ROUNDS})")
    table.add_column("what")
    table.add_column("seconds", justify="right")
    one_line = [*command, "--exit-after-time", "1ms"]
    module = [*command, "--exit-after-modules", "1", "--speed-factor", "1000"]
    table.add_row("to its first line", f"{_seconds(one_line):.2f}")
    table.add_row("a module, 1000 times as fast", f"{_seconds(module):.2f}")
    Console(width=100).print(table)


def _seconds(command: list[str]) -> float:
    times = []
    for _ in range(_ROUNDS):
        begin = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def picture() -> str:
    """An SVG that scrolls through a module at the speed of its title, over and over."""
    story = tell("llm_training", _SEED)
    shown: list[Line] = []
    for line in show(story, width=_COLUMNS, coloured=True):
        if line.passing:
            last = shown[-1]
            shown[-1] = last._replace(pause=last.pause + line.pause)
        else:
            shown.append(line)
    times = [0.0, *itertools.accumulate(line.pause / _SPEED for line in shown)]
    whole = times[-1] + _HOLD_SECONDS
    places = [f"0 {(_ROWS - count) * _HIGH}" for count in range(len(shown) + 1)]
    key_times = [f"{at / whole:.4f}" for at in times]
    styles = " ".join(f".c{code} {{ {style} }}" for code, style in _STYLES.items())
    rows = "\n".join(_row(index, line.text) for index, line in enumerate(shown))
    width, height = _COLUMNS * _WIDE + 2 * _MARGIN, _ROWS * _HIGH + 2 * _MARGIN
    return f"""<svg xmlns="http://www.w3.org/2000/svg" xml:space="preserve"
viewBox="0 0 {width:g} {height:g}">
<title>maquette simulate -m llm_training --seed {_SEED} --speed-factor {_SPEED}</title>
<style>text {{ font: 14px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace;
white-space: pre; fill: #e6edf3; }} {styles}</style>
<rect width="100%" height="100%" rx="8" fill="#0d1117"/>
<svg x="{_MARGIN}" y="{_MARGIN}" width="{_COLUMNS * _WIDE:g}" height="{_ROWS * _HIGH}"><g>
<animateTransform attributeName="transform" type="translate" calcMode="discrete"
repeatCount="indefinite" dur="{whole:.2f}s" keyTimes="{";".join(key_times)}"
values="{";".join(places)}"/>
{rows}
</g></svg></svg>
"""


def _row(index: int, text: str) -> str:
    """A line of the terminal: every piece at its own column, whatever font there is."""
    pieces, column = [], 0
    for codes, words in _STYLED.findall(f"\x1b[0m{text}"):
        if words.strip():
            styles = codes.split(";")
            names = " ".join(f"c{c}" for c in styles if c in _STYLES)
            style = f' class="{names}"' if names else ""
            lead = len(words) - len(words.lstrip(" "))
            place = f'x="{(column + lead) * _WIDE:g}"'
            pieces.append(f"<tspan {place}{style}>{html.escape(words.strip(' '))}</tspan>")
        column += len(words)
    return f'<text y="{index * _HIGH + 13}">{"".join(pieces)}</text>'


if __name__ == "__main__":
    main()
