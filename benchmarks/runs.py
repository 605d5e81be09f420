"""What it takes to trust a run: saving, stopping, being killed, and looking at many runs.

`python -m benchmarks.runs` measures all of it with real workers; name some of `saving`, `stop`,
`goodput`, `listing` for less. Other work on the machine shows in every figure.
"""

import argparse
import contextlib
import functools
import itertools
import json
import math
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from maquette.events import (
    CheckpointSaved,
    Evaluated,
    Event,
    Finished,
    Sampled,
    Started,
    StepDone,
)
from maquette.quantities import format_bytes
from maquette.runs.control import spawn
from maquette.runs.recorder import Recorder
from maquette.runs.store import Run, Store
from maquette.spec.load import load_spec, read_spec_text
from maquette.spec.task import language
from maquette.training.saving import SaveRhythm
from maquette.worker.training import create_run

WIKITEXT = Path(__file__).parents[1] / "../shared/data/wikitext-2"
_LISTED = 200
_ROUNDS = 9

Timed = tuple[float, Event]


def main(arguments: list[str] | None = None) -> None:
    """Print a table for each part."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--seconds", type=float, default=75, help="saving: training time a shape")
    parser.add_argument("--stops", type=int, default=5, help="stop: how many times")
    parser.add_argument("--minutes", type=float, default=5, help="goodput: how long in all")
    parser.add_argument("--every", type=float, default=60, help="goodput: seconds between kills")
    parser.add_argument("--preset", default="stories", help="goodput: what to train")
    parser.add_argument("--set", action="append", default=[], help="goodput: as `train` has it")
    parser.add_argument("--wikitext", type=Path, default=WIKITEXT, help="a WikiText-2 folder")
    options = parser.parse_args(arguments)
    if unknown := set(options.parts) - PARTS.keys():
        parser.error(f"there is no part {', '.join(sorted(unknown))}")
    console = Console(width=110)
    for part in options.parts or PARTS:
        with tempfile.TemporaryDirectory() as folder:
            PARTS[part](options, Store(folder), console)


def saving(options: argparse.Namespace, store: Store, console: Console) -> None:
    """The share of training time that checkpoints take at the default interval."""
    table = Table(title=f"Checkpoints by the clock, over {options.seconds:.0f} s of training")
    for heading in ("", "saved", "of them best", "size", "seconds each", "of the time"):
        table.add_column(heading, justify="left" if not heading else "right")
    table.add_column("once it has lived an hour", justify="right")
    for preset, overrides in _shapes(options, console):
        run = _new_run(preset, store, overrides)
        with _worker(run) as worker:
            _until(worker, functools.partial(_has_reached, run, 1))
            _until(worker, lambda: False, seconds=options.seconds)
            stopped_at = time.time()
            worker.send_signal(signal.SIGTERM)
            worker.wait()
        table.add_row(preset, *_saving_row(run, stopped_at))
    console.print(table)


def _saving_row(run: Run, stopped_at: float) -> tuple[str, ...]:
    steps = [(at, e) for at, e in _of(run, StepDone) if at <= stopped_at]
    saved = [e for at, e in _of(run, CheckpointSaved) if at <= stopped_at]  # not the last one
    every = [e for _, e in _of(run, CheckpointSaved)]
    seconds = statistics.median(e.seconds for e in every)
    wall = stopped_at - steps[0][0]  # the first one may have compiled
    rhythm = SaveRhythm(None, lived_seconds=3600)
    rhythm.saved(seconds)
    return (
        str(len(saved)),
        str(sum(e.best for e in saved)),
        format_bytes(every[-1].bytes),
        f"{seconds:.2f} (at most {max(e.seconds for e in every):.2f})",
        f"{sum(e.seconds for e in saved) / wall:.2%} of {wall:.0f} s",
        f"{seconds / rhythm.interval_seconds:.2%}, each {rhythm.interval_seconds:.0f} s",
    )


def stop(options: argparse.Namespace, store: Store, console: Console) -> None:
    """From SIGTERM to a committed checkpoint and the state `stopped`."""
    table = Table(title="SIGTERM to the state `stopped`, its checkpoint committed")
    for heading in ("", "seconds, median", "at most", "a step takes", "steps ended after it"):
        table.add_column(heading, justify="left" if not heading else "right")
    for preset, overrides in _shapes(options, console):
        run = _new_run(preset, store, overrides)
        seconds, steps = [], []
        for number in range(options.stops):
            with _worker(run) as worker:
                before = run.stored_state().step
                _until(worker, functools.partial(_has_reached, run, before + 4))
                time.sleep(0.3 * number)  # at another moment of the step each time
                asked_at = time.time()
                worker.send_signal(signal.SIGTERM)
                _until(worker, functools.partial(_has_stopped, run), look_seconds=0.005)
                seconds.append(time.time() - asked_at)
                worker.wait()
            after = [e for at, e in _of(run, StepDone) if at > asked_at]
            steps.append(len(after))
            last = _of(run, StepDone)[-1][1].step
            assert run.checkpoint("latest").step == last, "the last step was not saved"
        step = statistics.median(e.step_seconds for _, e in _of(run, StepDone))
        table.add_row(
            preset,
            f"{statistics.median(seconds):.2f}",
            f"{max(seconds):.2f}",
            f"{step:.2f} s",
            ", ".join(map(str, steps)),
        )
    console.print(table)


def goodput(options: argparse.Namespace, store: Store, console: Console) -> None:
    """The share of the time that went into steps that remained, with a kill now and then."""
    run = _new_run(options.preset, store, options.set)
    lives: list[tuple[float, float, list[Timed]]] = []  # started, ended, what happened
    begin = time.time()
    end = begin + 60 * options.minutes
    while time.time() < end:
        started_at = time.time()
        with _worker(run) as worker:
            _until(worker, lambda: False, seconds=min(options.every, end - started_at))
            finished = worker.poll() is not None
        lives.append((started_at, time.time(), [e for e in run.events() if e[0] >= started_at]))
        if finished:
            break
    kept_until = max((c.step for c in run.checkpoints()), default=0)
    shares = _shares(lives, kept_until)
    wall = lives[-1][1] - begin
    title = f"{options.preset}, {wall:.0f} s with a SIGKILL every {options.every:.0f} s"
    table = Table(title=f"{title}: {len(lives)} lives, {kept_until} steps remain")
    for heading in ("", "seconds", "share"):
        table.add_column(heading, justify="left" if not heading else "right")
    useful = shares["steps that remain"] + shares["evaluations and samples that remain"]
    for name, seconds in {**shares, "anything else": wall - sum(shares.values())}.items():
        table.add_row(name, f"{seconds:.1f}", f"{seconds / wall:.1%}")
    table.add_section()
    table.add_row("goodput, in steps alone", "", f"{shares['steps that remain'] / wall:.1%}")
    table.add_row("goodput, with evaluations and samples", "", f"{useful / wall:.1%}")
    console.print(table)
    starts = [f"{_restart(at, events):.1f}" for at, _, events in lives if events]
    console.print(f"seconds from each start to its training: {', '.join(starts)}")


def _shares(lives: list[tuple[float, float, list[Timed]]], kept_until: int) -> dict[str, float]:
    """Where the time went; what the next life (or a resume now) does anew was work repeated."""
    steps: list[float] = []
    beside: list[float] = []
    evaluating = repeated = starting = standing = 0.0
    begins = [_after_step(events) for _, _, events in lives] + [kept_until or -1]
    for number, (started_at, ended_at, events) in enumerate(lives):
        starting += _restart(started_at, events) if events else ended_at - started_at
        last = min(step for step in begins[number + 1 :] if step is not None)
        slowed, waited = _saves(events)
        standing += waited
        for (before, _), (at, event) in itertools.pairwise(events):
            if not isinstance(event, StepDone | Evaluated | Sampled):
                continue
            took = event.step_seconds if isinstance(event, StepDone) else at - before
            if event.step > last:
                repeated += took
            elif isinstance(event, StepDone):
                (beside if event.step in slowed else steps).append(took)
            else:
                evaluating += took
    # A step beside a save is worth what the others take. Its own time would hide what saving costs.
    worth = statistics.mean(steps) * len(beside) if steps else 0.0
    return {
        "steps that remain": sum(steps) + worth,
        "evaluations and samples that remain": evaluating,
        "work repeated": repeated,
        "saving: standing still": standing,
        "saving: steps that it slows down": sum(beside) - worth,
        "starting": starting,
    }


def _saves(events: list[Timed]) -> tuple[set[int], float]:
    """The steps that were done while a checkpoint was written; seconds between steps for it."""
    slowed: set[int] = set()
    waited = 0.0
    steps = [(at, e) for at, e in events if isinstance(e, StepDone)]
    others = [at for at, e in events if isinstance(e, Evaluated | Sampled)]
    told_at = {e.step: at for at, e in events if isinstance(e, CheckpointSaved)}
    for (before, due), (at, event) in itertools.pairwise(steps):
        begun_at = at - event.step_seconds
        if due.step in told_at:
            waited += begun_at - max([before, *(t for t in others if before < t < begun_at)])
        if any(step < event.step and begun_at < told for step, told in told_at.items()):
            slowed.add(event.step)
    return slowed, waited


def _after_step(events: list[Timed]) -> int | None:
    """The last step that stays of what was done before; -1 where it all begins anew."""
    return next((e.step or -1 for _, e in events if isinstance(e, Started)), None)


def _restart(started_at: float, events: list[Timed]) -> float:
    """Seconds from the start of the process until the loop began."""
    return next(at for at, e in events if isinstance(e, Started)) - started_at


def listing(options: argparse.Namespace, store: Store, console: Console) -> None:
    """How soon `ps` and `status` answer with many runs in the folder."""
    del options
    runs = _many_runs(store)
    maquette = str(Path(sys.executable).with_name("maquette"))
    where = ["--runs-dir", str(store.root)]
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "maquette ps": [maquette, "ps", *where],
        "maquette ps --all": [maquette, "ps", "--all", *where],
        "maquette ps --all --json": [maquette, "ps", "--all", "--json", *where],
        "maquette status": [maquette, "status", *where],
        "maquette status RUN": [maquette, "status", runs[_LISTED // 2].id, *where],
        "maquette status BEGINNING": [maquette, "status", runs[_LISTED // 2].id[:12], *where],
    }
    title = f"{_LISTED} runs in the folder (medians of {_ROUNDS} in turn)"
    table = Table("command", title=title)
    for heading in ("seconds", "at most", "of an idle interpreter"):
        table.add_column(heading, justify="right")
    times: dict[str, list[float]] = {name: [] for name in commands}
    environment = {**os.environ, "COLUMNS": "120"}
    for _ in range(_ROUNDS):
        for name, command in commands.items():
            begin = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True, env=environment)
            times[name].append(time.perf_counter() - begin)
    idle = statistics.median(times["python -c pass"])
    for name, seconds in times.items():
        median = statistics.median(seconds)
        table.add_row(name, f"{median:.3f}", f"{max(seconds):.3f}", f"{median / idle:.1f}x")
    console.print(table)


def _many_runs(store: Store) -> list[Run]:
    """Runs as training leaves them: completed, stopped, failed, and one lost in ten."""
    spec = load_spec("stories")
    first = store.create(
        spec.name,
        spec_text=read_spec_text("stories"),
        spec=spec.model_dump(mode="json"),
        command=["maquette", "train", "stories"],
    )
    with Recorder(first) as recorder:
        recorder.begin(steps=400, tokens_per_step=3072)
        recorder.record(Started(0, 400, 5_000_000, "cpu", "bf16", False))
        for step in range(1, 401):
            recorder.record(StepDone(step, step / 300, step * 3072, 2.0, 1e-3, 0.5, 0.5, step))
            if step % 100 == 0:
                recorder.record(Evaluated(step, "validation", 2.0, 7.4, 1.2, None, True, 2.0))
                saved = first.commit_checkpoint(step, _fill, best=True)
                recorder.record(CheckpointSaved(step, True, saved.bytes, 0.1))
        recorder.record(Finished(400, "completed"))
    runs = [first]
    for number in range(1, _LISTED):
        path = store.root / f"{spec.name}-{number:03d}-calm-otter"
        shutil.copytree(first.path, path)
        _edit(path / "meta.json", created_at=first.meta.created_at - 60 * number)
        status = ("completed", "stopped", "failed", "running" if number % 3 else "completed")
        _edit(path / "state.json", status=status[number % 4])
        runs.append(Run(path))
    return runs


def _fill(folder: Path) -> None:
    for name in ("model.safetensors", "optimizer.safetensors", "trainer.json"):
        (folder / name).write_bytes(bytes(1000))


def _edit(path: Path, **changes: Any) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**content, **changes}), encoding="utf-8")


def _shapes(options: argparse.Namespace, console: Console) -> Iterator[tuple[str, list[str]]]:
    yield "stories", []
    if options.wikitext.is_dir():
        yield "wikitext2", [f"data.sources.wiki.path={options.wikitext.resolve()}"]
    else:
        console.print(f"wikitext2 left out: there is no {options.wikitext}; see --wikitext")


def _new_run(preset: str, store: Store, overrides: list[str]) -> Run:
    """A run of a preset, its data prepared: that is no part of any figure."""
    return create_run(
        language(load_spec(preset, overrides)),
        store,
        spec_text=read_spec_text(preset),
        command=["benchmark"],
    )


@contextlib.contextmanager
def _worker(run: Run) -> Iterator[subprocess.Popen[bytes]]:
    """A worker in a process of its own, as `maquette resume` starts it; killed if still alive."""
    worker = spawn(run)
    try:
        yield worker
    finally:
        worker.kill()
        worker.wait()


def _until(
    worker: subprocess.Popen[bytes],
    done: Callable[[], bool],
    *,
    seconds: float = math.inf,
    look_seconds: float = 0.05,
) -> None:
    """Wait until it is done, the worker has ended, or the time is up."""
    deadline = time.monotonic() + seconds
    while not done() and worker.poll() is None and time.monotonic() < deadline:
        time.sleep(look_seconds)


def _has_reached(run: Run, step: int) -> bool:
    return run.stored_state().step >= step


def _has_stopped(run: Run) -> bool:
    return run.stored_state().status == "stopped"


def _of(run: Run, kind: type[Any]) -> list[tuple[float, Any]]:
    return [(at, event) for at, event in run.events() if isinstance(event, kind)]


PARTS = {"saving": saving, "stop": stop, "goodput": goodput, "listing": listing}

if __name__ == "__main__":
    main()
