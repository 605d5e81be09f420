"""What a search has asked, tried and found: one file, replaced durably after every change."""

import dataclasses
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from maquette.errors import RunError
from maquette.runs import durable
from maquette.runs.process import WorkerLock
from maquette.runs.words import two_words

Strategy = Literal["random", "evolution", "halving"]
Status = Literal["planned", "measured", "running", "done", "early", "failed"]
FOLDER, FILE = "searches", "search.json"
ENDED: tuple[Status, ...] = ("done", "early", "failed")


@dataclass(frozen=True, slots=True)
class Options:
    """What a search was asked for. With `steps` these are those of the spec's own trial."""

    trials: int = 12
    minutes: float = 30.0
    steps: int | None = None
    strategy: Strategy = "random"
    seed: int = 0
    device: str = "auto"
    keep: tuple[str, ...] = ()  # keys of the spec that no trial changes
    confirm: bool = True


@dataclass(frozen=True, slots=True)
class Trial:
    """A candidate and its short training. `share`: of the first stage's time, how much it gets.

    `step_seconds` is the shortest of some steps, measured before. `score` is bits per byte, or the
    share of images told right.
    """

    number: int
    candidate: int  # the trial that tried this spec first
    changes: str  # from the spec, in words
    spec: dict[str, Any]  # as plain data; its length is that of a whole training
    share: int = 1
    confirms: bool = False  # another seed, to see whether the first one was luck
    status: Status = "planned"
    step_seconds: float | None = None
    steps: int | None = None
    parameters: int | None = None
    tokens_per_second: float | None = None
    run: str | None = None
    score: float | None = None
    curve: tuple[tuple[int, float], ...] = ()  # (step, score)
    cause: str | None = None

    @property
    def is_default(self) -> bool:
        """Whether it is the spec itself."""
        return self.candidate == 0


@dataclass(slots=True)
class Search:
    """A search in its folder."""

    path: Path
    spec: dict[str, Any]  # settled; as plain data
    task: str
    options: Options
    whole_steps: int  # of a whole training of the spec
    trials: list[Trial] = field(default_factory=list)
    seconds: float = 0.0  # spent so far
    ended: str | None = None  # why there are no more trials
    finished: bool = False

    @property
    def name(self) -> str:
        """What a person types to go on with it."""
        return self.path.name

    @property
    def higher_is_better(self) -> bool:
        """Whether scores are accuracies."""
        return self.task == "image-classification"

    def put(self, trial: Trial) -> Trial:
        """Add a trial or replace it, and write everything down."""
        if trial.number == len(self.trials):
            self.trials.append(trial)
        else:
            self.trials[trial.number] = trial
        self.write()
        return trial

    def write(self) -> None:
        """Put the file in its place. Raises RunError."""
        value = {
            "spec": self.spec,
            "task": self.task,
            "options": dataclasses.asdict(self.options),
            "whole_steps": self.whole_steps,
            "seconds": self.seconds,
            "ended": self.ended,
            "finished": self.finished,
            "trials": [dataclasses.asdict(trial) for trial in self.trials],
        }
        durable.write_json(self.path / FILE, value)

    def lock(self) -> WorkerLock:
        """Who works on it."""
        return WorkerLock(self.path / "search.lock")

    def better(self, one: float, other: float) -> bool:
        """Whether a score is better than another."""
        return one > other if self.higher_is_better else one < other

    def ranked(self) -> list[Trial]:
        """Trials with a score: those of most time first, and of these the best."""
        scored = [t for t in self.trials if t.score is not None and not t.confirms]
        sign = -1 if self.higher_is_better else 1
        return sorted(
            scored, key=lambda t: (-t.share, t.status != "done", sign * (t.score or 0.0), t.number)
        )

    def front(self) -> set[int]:
        """Trials that no other beats in all of score, parameters and speed at once (Pareto)."""
        done = [t for t in self.ranked() if t.status == "done"]
        done = [t for t in done if t.share == max(d.share for d in done)]
        return {t.number for t in done if not any(self._dominates(o, t) for o in done)}

    def _dominates(self, one: Trial, other: Trial) -> bool:
        sign = -1 if self.higher_is_better else 1
        a, b = (
            (sign * (t.score or 0.0), t.parameters or 0, -(t.tokens_per_second or 0.0))
            for t in (one, other)
        )
        return all(x <= y for x, y in zip(a, b, strict=True)) and a != b


def make(root: Path, spec: dict[str, Any], options: Options, *, whole_steps: int) -> Search:
    """A new search of a spec in full, in a folder of its own among a store's. Raises RunError."""
    generator = random.SystemRandom()
    for _ in range(1000):
        path = root / FOLDER / f"{spec['name']}-{two_words(generator)}"
        search = Search(path, spec, spec["task"], options, whole_steps)

        def fill(folder: Path, search: Search = search) -> None:
            dataclasses.replace(search, path=folder).write()

        if durable.create_folder(path, fill):
            return search
    raise RunError(f"can't find a free name for a search in {root / FOLDER}")


def searches(root: Path) -> Iterator[Search]:
    """The searches of a store that can be read, newest first."""
    files = sorted((root / FOLDER).glob(f"*/{FILE}"), key=lambda f: -f.stat().st_mtime)
    for file in files:
        try:
            yield read(file.parent)
        except RunError:
            continue


def find(root: Path, name: str) -> Search:
    """The search of this name. Raises RunError, which lists those there are."""
    if (root / FOLDER / name / FILE).is_file() and name not in ("", ".", ".."):
        return read(root / FOLDER / name)
    names = [search.name for search in searches(root)]
    hint = f"there are {', '.join(names)}" if names else "`maquette search SPEC` begins one"
    raise RunError(f"there is no search {name!r} in {root / FOLDER}", hint=hint)


def read(path: Path) -> Search:
    """The search in a folder. Raises RunError where its file is damaged."""
    file = path / FILE
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
        options = value["options"] | {"keep": tuple(value["options"]["keep"])}
        trials = [
            Trial(**(row | {"curve": tuple((s, v) for s, v in row["curve"])}))
            for row in value["trials"]
        ]
        return Search(
            path,
            dict(value["spec"]),
            str(value["task"]),
            Options(**options),
            int(value["whole_steps"]),
            trials,
            float(value["seconds"]),
            value["ended"],
            value["finished"],
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise RunError(f"{file} can't be read: {error}", hint="begin a new search") from None
