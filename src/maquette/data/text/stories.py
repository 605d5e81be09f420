"""The built-in text: small English stories, made on the spot, the same for the same seed.

Standard library only. A plot is a list of beats; a beat is a choice of sentences; a sentence has
slots for the people and things of the story. The notation of the plots in `stories_*.py`:

    cast: when hero lost         what is drawn: heroes or beasts, and rows of `TABLES`
    let spot = bath | teapot     a word that is drawn once and stays the same
    let a, b = x; y | p; q       words that are drawn together
    - One / another              a beat: one of these sentences
    {thing} {Thing} {a_thing} {A_thing}    a word, with a capital, with its article, both

`A` is the hero, with `he him his himself child` and their capitals. The others are `B` (a friend)
and `E` (an elder); their pronouns `bhe bhim bhis` are never the hero's, so that none can mean two
people.

How the plots are written, so that a small model can learn them in a minute and never change from
one to another on the way: the first sentence names what only this plot has, each later one has a
word of it, no sentence is in two plots, and what belongs together (a hero and the friend, the
parts of a sum) is always together.
"""

import hashlib
import random
import re
import textwrap
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

from maquette.data.encoding import TextEncoder
from maquette.data.text.piece import Piece
from maquette.data.text.stories_animals import ANIMALS_PLOTS
from maquette.data.text.stories_home import HOME_PLOTS
from maquette.data.text.stories_outdoors import OUTDOORS_PLOTS
from maquette.data.text.stories_sums import SUMS_PLOTS
from maquette.data.text.stories_words import BOYS, GIRLS, HE_BEASTS, SHE_BEASTS, TABLES

VERSION = 4
"""Bump it whenever any text changes: prepared data and runs are told apart by it."""

BUCKETS = 8
SPLITS = {"train": range(6), "validation": range(6, 7), "test": range(7, 8)}
"""The buckets of each split. A text's bucket is its hash, so no text can be in two splits."""

Row = dict[str, str]
T = TypeVar("T")


def pick(rng: random.Random, items: Sequence[T]) -> T:
    """One of the items. Only `random()` is used: Python promises the same numbers for a seed."""
    return items[int(rng.random() * len(items))]


def capital(text: str) -> str:
    """The text with its first letter in upper case."""
    return text[:1].upper() + text[1:]


def article(noun: str) -> str:
    """The noun behind a or an."""
    return f"an {noun}" if noun[:1].lower() in "aeiou" else f"a {noun}"


def forms(row: Row) -> Row:
    """A row with the forms of each word: `x`, `X`, `a_x`, `A_x`."""
    full: Row = {}
    for key, value in row.items():
        full |= {key: value, capital(key): capital(value)}
        full |= {f"a_{key}": article(value), f"A_{key}": capital(article(value))}
    return full


def read_table(text: str) -> list[Row]:
    """The rows of a table: column names in its first line, cells parted by bars."""
    head, *lines = re.sub(r"\|\n\s*", "| ", textwrap.dedent(text)).strip().splitlines()
    names = [name.strip() for name in head.split("|")]
    cells = [[cell.strip() for cell in line.split("|")] for line in lines]
    return [forms(dict(zip(names, line, strict=True))) for line in cells]


def people(table: str, she: bool) -> list[Row]:
    """The rows of heroes, girls or boys: their own pronouns, and those of the others, who are not.

    Slots: `he him his himself child` for the hero; `bhe bhim bhis bhimself` for `B` and `E`.
    """
    girl, boy = ("she", "her", "her", "herself", "girl"), ("he", "him", "his", "himself", "boy")
    own, other = (girl, boy) if she else (boy, girl)
    slots = dict(zip(("he", "him", "his", "himself", "child"), own, strict=True))
    slots |= dict(zip(("bhe", "bhim", "bhis", "bhimself"), other[:4], strict=True))
    return [row | forms(slots) for row in read_table(table)]


@cache
def tables() -> dict[str, list[Row]]:
    """All that a plot can draw from, by name."""
    return {
        "hero": people(GIRLS, she=True) + people(BOYS, she=False),
        "beasts": people(SHE_BEASTS, she=True) + people(HE_BEASTS, she=False),
    } | {name: read_table(text) for name, text in TABLES.items()}


@dataclass(frozen=True)
class Plot:
    """A plot, ready to use: the tables to draw a row from, and the sentences of its beats."""

    name: str
    draws: list[list[Row]]
    beats: list[list[str]]


def read_let(text: str) -> list[Row]:
    """The rows of `a, b = x; y | p; q`."""
    names, values = text.split("=", 1)
    keys = [name.strip() for name in names.split(",")]
    rows = [[word.strip() for word in value.split(";")] for value in values.split("|")]
    return [forms(dict(zip(keys, row, strict=True))) for row in rows]


def read_plot(name: str, text: str) -> Plot:
    """A plot from its notation; see the top of this file."""
    items: list[str] = []
    for line in textwrap.dedent(text).strip().splitlines():
        if line.startswith(("cast:", "let ", "- ")):
            items.append(line)
        else:
            items[-1] += " " + line.strip()
    plot = Plot(name, [], [])
    for item in items:
        mark, rest = item.split(maxsplit=1)
        if mark == "cast:":
            plot.draws.extend(tables()[each] for each in rest.split())
        elif mark == "let":
            plot.draws.append(read_let(rest))
        else:
            plot.beats.append([" " + sentence for sentence in re.split(r"\s/\s", rest)])
    return plot


@cache
def plots() -> list[Plot]:
    """All plots, read once, when the first story is wanted."""
    families = (HOME_PLOTS, OUTDOORS_PLOTS, ANIMALS_PLOTS, SUMS_PLOTS)
    return [read_plot(name, text) for family in families for name, text in family.items()]


def once_named(last: str, sentence: str) -> str:
    """The sentence, with a pronoun for whom the last one was about: `Tom ran. He fell.`"""
    for name, pronoun in (("{A}", "he"), ("{B}", "bhe"), ("{E}", "bhe")):
        starts = (f" {name} ", f" {{When}} {name} ")
        alone = last.startswith(starts) and f" {name} and " not in last
        if alone or last.endswith(f" {name}."):
            if sentence.startswith(f" {name} ") and not sentence.startswith(f" {name} the "):
                return f" {{{capital(pronoun)}}}{sentence[4:]}"
            if sentence.startswith(f" {{When}} {name} "):
                return f" {{When}} {{{pronoun}}}{sentence[11:]}"
    return sentence


def tell(plot: Plot, rng: random.Random) -> str:
    """One story with this plot."""
    row: Row = {}
    for rows in plot.draws:
        row.update(pick(rng, rows))
    chosen = ""
    last = ""
    for beat in plot.beats:
        last = once_named(last, pick(rng, beat))
        chosen += last
    return chosen.format_map(row).lstrip()


def story(rng: random.Random) -> str:
    """One story: ASCII, one paragraph, about 400 characters."""
    return tell(pick(rng, plots()), rng)


def split_of(text: str) -> str:
    """The split that a text belongs to: three quarters of all texts are for training."""
    bucket = zlib.crc32(text.encode()) % BUCKETS
    return next(split for split, buckets in SPLITS.items() if bucket in buckets)


def story_at(index: int, *, seed: int, split: str) -> str:
    """Story number `index` of a split: a pure function of these three."""
    digest = hashlib.blake2b(f"{seed}/{split}/{index}".encode(), digest_size=8).digest()
    # An integer seeds alike on every platform and version of Python.
    rng = random.Random(int.from_bytes(digest, "big"))
    buckets = SPLITS[split]
    while True:
        text = story(rng)
        if zlib.crc32(text.encode()) % BUCKETS in buckets:
            return text


def some_stories(count: int, *, seed: int, split: str) -> Iterator[str]:
    """The first `count` stories of a split: train, validation or test; others give a KeyError."""
    for index in range(count):
        yield story_at(index, seed=seed, split=split)


class Stories:
    """The stories as a source of text: `stories` to train on, a twentieth of it for each other."""

    count_words = False
    encoder = TextEncoder

    def __init__(self, *, stories: int, seed: int) -> None:
        self.stories = stories
        self.seed = seed

    def fingerprint(self) -> dict[str, int | str]:
        """What decides the text: the generator's version, the number of stories and the seed."""
        return {
            "kind": "stories",
            "version": VERSION,
            "stories": self.stories,
            "seed": self.seed,
        }

    def splits(self) -> tuple[str, ...]:
        """Train, validation and test."""
        return tuple(SPLITS)

    def count(self, split: str) -> int:
        """How many stories a split has."""
        return self.stories if split == "train" else max(20, self.stories // 20)

    def pieces(self, split: str) -> Iterator[Piece]:
        """The stories of a split, each a document of one piece."""
        for text in some_stories(self.count(split), seed=self.seed, split=split):
            yield Piece(text, last=True)
