"""What must hold in every show, read from the lines that people see."""

import math
import re

from maquette.events import CheckpointSaved, Evaluated, Finished, Started, StepDone
from maquette.simulation.paint import Line, plain
from maquette.simulation.show import show
from maquette.simulation.simulate import simulate
from maquette.simulation.story import Module, Story, tell

WIDTH = 60
_UNITS = {"k": 1e3, "M": 1e6, "B": 1e9, "T": 1e12, "": 1.0}
_BYTES = {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40, "B": 1}
_SECONDS = {"d": 86400.0, "h": 3600.0, "min": 60.0, "s": 1.0}
_ROUNDING = 0.006  # of three digits


def check(module: Module, seed: int) -> None:
    """Every invariant of one story."""
    story = tell(module, seed)
    assert seed % 10 or tell(module, seed) == story
    check_events(story)
    check_lines(story, list(show(story, width=WIDTH)))


def check_events(story: Story) -> None:
    """Steps, times and losses of the events agree with one another."""
    events = list(simulate(story))
    told = story.rehearsal
    assert isinstance(events[0][1], Started)
    assert isinstance(events[-1][1], Finished)
    seconds, step, best = 0.0, 0, math.inf
    for at, event in events:
        assert at >= seconds
        match event:
            case Started():
                step = event.step
            case StepDone():
                assert event.step > step
                assert event.tokens == event.step * story.tokens_per_step
                assert math.isclose(
                    at - seconds, (event.step - step) * event.step_seconds, rel_tol=1e-6
                )
                assert 0 < event.loss < 1.6 * story.first_loss
                assert 0 <= event.learning_rate <= story.learning_rate
                assert event.gradient_norm > 0
                assert event.step_seconds >= told.step.seconds
                step = event.step
            case Evaluated():
                assert event.best == (event.loss < best)
                best = min(best, event.loss)
                if event.perplexity is not None:
                    assert event.perplexity == math.exp(event.loss)
            case CheckpointSaved():
                assert event.bytes == round(told.checkpoint_bytes)
        seconds = at
    assert step <= story.steps
    assert best < story.first_loss
    assert told.memory.total <= told.cluster.device.memory_bytes


def check_lines(story: Story, lines: list[Line]) -> None:
    """What the lines say agrees with the model that they announce."""
    texts = [plain(line.text) for line in lines]
    assert all(len(text) <= WIDTH for text in texts)
    assert all(text.isprintable() for text in texts)
    assert all(line.pause >= 0 for line in lines)
    said = "\n".join(text for text, line in zip(texts, lines, strict=True) if not line.passing)
    parameters = _count(_after(said, "parameters"))
    assert _near(parameters, story.parameters)
    _check_memory(story, said)
    _check_losses(said)
    _check_account(story, said)
    shards = [_size(size) for size in re.findall(r"model-\d+-of-\d+ .*? 100%  (.+)", said)]
    assert sum(story.shards) == story.export_bytes == 2 * story.parameters
    assert _near(sum(shards), 2 * parameters)
    assert _near(_size(_after(said, "safetensors")), 2 * parameters)
    for size, seconds, rate in re.findall(r"(\S+ \wiB) in .*, (\S+) at (\S+ \wiB)/s", said):
        assert _near(_size(size), 12 * parameters)
        assert abs(_size(size) / _duration(seconds) / _size(rate) - 1) < 0.08


def _check_memory(story: Story, said: str) -> None:
    total = _size(_after(said, "memory"))
    parts = ("weights", "gradients", "optimizer", "activations", "logits", "buffers")
    found = [re.search(rf"^  +{part} +(\S+ \w+)", said, re.MULTILINE) for part in parts]
    assert _near(sum(_size(match[1]) for match in found if match), total)
    for used in re.findall(r"^  \S+-\d{4} +(\S+) GiB  ", said, re.MULTILINE):
        assert 0.98 * total <= float(used) * 2**30 <= 1.01 * total


def _check_losses(said: str) -> None:
    """Perplexity is e to the loss, as far as its digits go."""
    pairs = re.findall(r"loss (\S+)  perplexity (\S+)", said)
    for loss, perplexity in pairs:
        assert abs(float(perplexity) / math.exp(float(loss)) - 1) < 2e-3
    evaluated = [float(loss) for loss in re.findall(r"^  loss (\S+)", said, re.MULTILINE)]
    assert evaluated
    assert float(_after(said, "best loss")) == min(evaluated)
    assert float(_after(said, "final loss")) == evaluated[-1]


def _check_account(story: Story, said: str) -> None:
    """Time x speed = tokens, in the summary."""
    summary = said[said.index("summary ") :]
    seconds = re.search(r"time +(\S+)(?:  (\S+) of it in steps)?", summary)
    assert seconds is not None
    tokens = _count(_after(summary, story.unit))
    lost = re.search(r"(\S+) more were lost", summary)
    speed = _count(_after(summary, "speed").split(" ")[0])
    done = speed * _duration(seconds[2])
    assert abs(done / (tokens + (_count(lost[1]) if lost else 0)) - 1) < 0.06
    assert _duration(seconds[2]) <= _duration(seconds[1]) * 1.05
    assert f"of {story.steps:,} steps" in summary
    told, used = story.rehearsal.cluster, _duration(seconds[1]) / 3600
    each = re.search(r"\$(\S+) a device and hour", summary)
    assert each is not None
    dollars = float(_after(summary, "cost").replace(",", "").removeprefix("$"))
    assert abs(dollars / (float(each[1]) * told.count * used) - 1) < 0.05
    kwh = float(_after(summary, "energy").replace(",", "").removesuffix(" kWh"))
    assert told.device.watts is not None
    watts = told.device.watts + told.device.host_watts
    assert abs(kwh / (watts * told.count * used / 1000) - 1) < 0.05
    count, size = re.findall(r"checkpoints +(\d+)  (.+) each", summary)[0]
    assert int(count) == len(re.findall(r"^  saved ", said, re.MULTILINE))
    assert _near(_size(size), 12 * story.parameters)


def _after(text: str, label: str) -> str:
    match = re.search(rf"^  {label} +(.+?)(?:  |$)", text, re.MULTILINE)
    assert match is not None, f"nothing is said of {label}"
    return match[1]


def _count(text: str) -> float:
    match = re.fullmatch(r"([\d.]+)([kMBT]?)", text)
    assert match is not None, text
    return float(match[1]) * _UNITS[match[2]]


def _size(text: str) -> float:
    number, unit = text.split(" ")
    return float(number) * _BYTES[unit]


def _duration(text: str) -> float:
    return sum(float(n) * _SECONDS[u] for n, u in re.findall(r"([\d.e+-]+)(d|h|min|s)", text))


def _near(a: float, b: float) -> bool:
    return abs(a - b) <= 2 * _ROUNDING * max(a, b)
