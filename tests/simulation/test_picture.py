"""The picture in the docs is the show as it is."""

import xml.etree.ElementTree as ET
from collections.abc import Iterator

from benchmarks.simulate import PICTURE, picture

from maquette.simulation.paint import plain
from maquette.simulation.show import show
from maquette.simulation.story import tell


def test_the_picture_is_up_to_date() -> None:
    """If it isn't: `python -m benchmarks.simulate --picture`."""
    assert PICTURE.read_text(encoding="utf-8") == picture()


def test_the_picture_has_every_line_at_its_place() -> None:
    shown = [
        plain(line.text)
        for line in show(tell("llm_training", 20), width=80, coloured=True)
        if not line.passing
    ]
    assert [line.replace(" ", "") for line in _lines()] == [line.replace(" ", "") for line in shown]


def _lines() -> Iterator[str]:
    for element in ET.fromstring(picture()).iter():
        if element.tag.endswith("}text"):
            yield "".join(element.itertext())
