"""The built-in text: small English stories, made on the spot, the same for the same seed.

Standard library only. A plot is a list of beats; a beat is a choice of sentences; a sentence has
slots for the people and things of the story. The notation of the plots in `stories_*.py`:

    cast: hero friend lost       what is drawn: people, sums, and rows of `TABLES`
    let spot = bath | teapot     a word that is drawn once and stays the same
    let a, b = x; y | p; q       words that are drawn together
    - One / another              a beat: one of these sentences
    -? One / another             a beat that half of the stories leave out
    -? @child                    sentences that plots share, from `SCENES`
    [big|small]                  either word
    {thing} {Thing} {a_thing} {A_thing}    a word, with a capital, with its article, both

`A` is the hero, with `he him his himself child` and their capitals. The other person is `B` (a
friend, who is also the hero's `rel`: friend, cousin ...) or `E` (an elder); its pronouns `bhe bhim
bhis` are never the hero's, so that none can mean two people.
"""

import hashlib
import itertools
import random
import re
import textwrap
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

from maquette.data.text import stories_animals, stories_home, stories_outdoors, stories_sums
from maquette.data.text import stories_words as words
from maquette.data.text.piece import Piece

VERSION = 2
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


def people(names: Sequence[str], she: bool, key: str, prefix: str = "") -> list[Row]:
    """The slots of each person: the name under `key`, pronouns with `prefix` before them."""
    pronouns = ("she", "her", "her", "herself") if she else ("he", "him", "his", "himself")
    slots = dict(zip(("he", "him", "his", "himself"), pronouns, strict=True))
    own = {prefix + slot: word for slot, word in slots.items()}
    own |= {capital(slot): capital(word) for slot, word in own.items()}
    return [{key: name} | own for name in names]


def with_friends(friends: dict[str, str], she: bool) -> list[Row]:
    """The slots of each hero, `A`, and of the friend, `B`, who is of the other sex."""
    heroes = people(list(friends), she, "A")
    others = people(list(friends.values()), not she, "B", "b")
    return [hero | other for hero, other in zip(heroes, others, strict=True)]


class Cast:
    """All that can be drawn for a story. Each `draw_*` adds slots to the story's row."""

    def __init__(self) -> None:
        self.tables = {name: read_table(text) for name, text in words.TABLES.items()}
        child = ({"child": "boy", "Child": "Boy"}, {"child": "girl", "Child": "Girl"})
        sexes = ((words.BOYS, False), (words.GIRLS, True))
        # Each pair: men, women; so `pair[is_she]` is a list of rows.
        self.heroes = [[p | child[s] for p in with_friends(n, s)] for n, s in sexes]
        sexes = ((words.HE_BEASTS, False), (words.SHE_BEASTS, True))
        self.beasts = [with_friends(n, s) for n, s in sexes]
        elders = ((words.MEN, False), (words.WOMEN, True))
        self.elders = [people(n, s, "E", "b") for n, s in elders]
        self.grands = [[p for p in rows if p["E"].startswith("Grand")] for rows in self.elders]

    def draw(self, name: str) -> Callable[[random.Random, Row], None]:
        """The function that draws `name`: `draw_<name>`, or a row of the table of that name."""
        if name in self.tables:
            rows = self.tables[name]
            return lambda rng, row: row.update(pick(rng, rows))
        found: Callable[[random.Random, Row], None] = getattr(self, f"draw_{name}")
        return found

    def draw_hero(self, rng: random.Random, row: Row) -> None:
        """A child, `A`, and its friend, `B`."""
        row.update(pick(rng, self.heroes[rng.random() < 0.5]))

    def draw_friend(self, rng: random.Random, row: Row) -> None:
        """What the friend is to the hero: `rel`."""
        sibling = "sister" if row["he"] == "he" else "brother"
        row["rel"] = pick(rng, ("friend", "friend", "cousin", sibling))

    def draw_elder(self, rng: random.Random, row: Row) -> None:
        """Somebody older: `E`."""
        row.update(pick(rng, self.elders[row["he"] == "he"]))

    def draw_grand(self, rng: random.Random, row: Row) -> None:
        """A grandparent: `E`."""
        row.update(pick(rng, self.grands[row["he"] == "he"]))

    def draw_beasts(self, rng: random.Random, row: Row) -> None:
        """Two animals with names: `A` the `kind`, and `B` the `bkind`."""
        row.update(pick(rng, self.beasts[rng.random() < 0.5]))
        kind = pick(rng, words.BEASTS)
        other = pick(rng, [beast for beast in words.BEASTS if beast != kind])
        row.update(forms({"kind": kind, "bkind": other}))

    def draw_add(self, rng: random.Random, row: Row) -> None:
        """Two numbers `x` and `y`, from 2 on, and their `sum`, at most 12."""
        x = 2 + int(rng.random() * 7)
        y = 2 + int(rng.random() * (9 - x))
        numbers(row, x=x, y=y, sum=x + y)

    def draw_subtract(self, rng: random.Random, row: Row) -> None:
        """A number `x` up to 12, a smaller `y`, and the rest `d`, at least 2."""
        x = 5 + int(rng.random() * 8)
        y = 2 + int(rng.random() * (x - 3))
        numbers(row, x=x, y=y, d=x - y)

    def draw_share(self, rng: random.Random, row: Row) -> None:
        """A number `half` from 2 to 6, and twice as many, `all`."""
        half = 2 + int(rng.random() * 5)
        numbers(row, half=half, all=2 * half)


def numbers(row: Row, **values: int) -> None:
    """Add numbers to a row, as words."""
    for key, value in values.items():
        row[key] = words.NUMBERS[value]
        row[capital(key)] = capital(words.NUMBERS[value])


@dataclass(frozen=True)
class Plot:
    """A plot, ready to use: what to draw, the rows of its own words, the sentences of its beats."""

    name: str
    draws: list[Callable[[random.Random, Row], None]]
    lets: list[list[Row]]
    beats: list[list[str]]


def expand(text: str) -> list[str]:
    """Every reading of a text with `[one|other]` choices."""
    parts = [part.split("|") for part in re.split(r"[\[\]]", " ".join(text.split()))]
    return ["".join(reading) for reading in itertools.product(*parts)]


def read_let(text: str) -> list[Row]:
    """The rows of `a, b = x; y | p; q`."""
    names, values = text.split("=", 1)
    keys = [name.strip() for name in names.split(",")]
    rows = [[word.strip() for word in value.split(";")] for value in values.split("|")]
    return [forms(dict(zip(keys, row, strict=True))) for row in rows]


def read_plot(name: str, text: str, cast: Cast) -> Plot:
    """A plot from its notation; see the top of this file."""
    items: list[str] = []
    for line in textwrap.dedent(text).strip().splitlines():
        if line.startswith(("cast:", "let ", "- ", "-? ")):
            items.append(line)
        else:
            items[-1] += " " + line.strip()
    plot = Plot(name, [], [], [])
    for item in items:
        mark, rest = item.split(maxsplit=1)
        if mark == "cast:":
            plot.draws.extend(cast.draw(each) for each in rest.split())
        elif mark == "let":
            plot.lets.append(read_let(rest))
        else:
            if rest.startswith("@"):
                more, rest = words.SCENES[rest[1:]]
                plot.draws.extend(cast.draw(each) for each in more.split())
            beat = [" " + one for each in re.split(r"\s/\s", rest) for one in expand(each)]
            plot.beats.append(beat + [""] * (len(beat) if mark == "-?" else 0))
    return plot


@cache
def plots() -> list[Plot]:
    """All plots, read once, when the first story is wanted."""
    cast = Cast()
    families = (stories_home, stories_outdoors, stories_animals, stories_sums)
    found = [item for family in families for item in family.PLOTS.items()]
    return [read_plot(name, text, cast) for name, text in found]


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
    for draw in plot.draws:
        draw(rng, row)
    for rows in plot.lets:
        row.update(pick(rng, rows))
    chosen = ""
    last = ""
    for beat in plot.beats:
        sentence = pick(rng, beat)
        if sentence:
            last = once_named(last, sentence)
            chosen += last
    return chosen.format_map(row).lstrip()


def story(rng: random.Random) -> str:
    """One story: ASCII, one paragraph, about 350 characters."""
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


def generate(count: int, *, seed: int, split: str) -> Iterator[str]:
    """The first `count` stories of a split: train, validation or test; others give a KeyError."""
    for index in range(count):
        yield story_at(index, seed=seed, split=split)


class Stories:
    """The stories as a source of text: `stories` to train on, a twentieth of it for each other."""

    count_words = False

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
        for text in generate(self.count(split), seed=self.seed, split=split):
            yield Piece(text, last=True)
