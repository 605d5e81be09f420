"""Folders of runs to look at: made by hand, the same every time, without training anything."""

import contextlib
import json
import math
import random
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from maquette.events import CheckpointSaved, Evaluated, Event, Sampled, Started, StepDone, to_row
from maquette.runs.label import Label, write_label
from maquette.runs.process import WorkerLock, this_process
from maquette.runs.state import Change, Failure, SourceLoss, State, Status, Telemetry
from maquette.runs.store import Run, Store

SPEC = """\
# yaml-language-server: $schema=maquette.schema.json
name: {name}
task: language
model: {{family: gpt, depth: 6, width: 384, heads: 6, context: 256}}
tokenizer: {{kind: bpe, vocabulary: 4096}}
data:
  sources:
    stories: {{kind: stories, weight: 0.8}}
    notes: {{kind: notes, path: ~/notes, weight: 0.2}}   # my own
train: {{steps: {steps}, batch_size: 32, learning_rate: 1.0e-3}}
"""
LOG = "2026-11-21 18:00:{:02d} {}\n"
STORY = (
    " there was a small bear who lived at the edge of a wood. Every morning she went down to the"
    " river and looked for stones.\nOne day she found a blue one. “It is mine,” said the otter,"
    " “but you may have half of it.”\nSo they sat on the bank and told it to each other."
)


def make_run(
    store: Store,
    run_id: str,
    status: Status = "completed",
    *,
    step: int = 400,
    steps: int = 1000,
    seconds_ago: float = 4000.0,
    images: bool = False,
    seed: int = 1,
    floor: float = 1.6,
    label: Label | None = None,
    **state: Any,
) -> Run:
    """A run with its files as a worker would have left them, of this very id."""
    store.root.mkdir(parents=True, exist_ok=True)
    name = run_id.rsplit("-", 2)[0]
    run = store.create(
        name,
        spec_text=SPEC.format(name=name, steps=steps),
        spec={"task": "image-classification" if images else "language", "name": name},
        blueprint_text=json.dumps({"family": "gpt", "shape": {"depth": 6, "width": 384}}),
        command=["maquette", "train", f"{name}.yaml", "-d"],
    )
    run = Run(run.path.rename(store.root / run_id))
    begin = time.time() - seconds_ago
    meta = json.loads((run.path / "meta.json").read_text())
    meta.update(created_at=begin, id=run_id, git=None)
    meta["versions"] = {"maquette": "0.1.0", "torch": "2.13.0"}
    (run.path / "meta.json").write_text(json.dumps(meta))
    found = write_metrics(run, step, steps, begin, images=images, seed=seed, floor=floor)
    live = status in ("running", "queued")
    end = time.time() if live else begin + step * 0.25
    changes = [Change("queued", begin)]
    if status != "queued":
        changes.append(Change("running", begin + 2))
    if status not in ("running", "queued", "lost"):
        changes.append(Change(status, end))
    text = {
        "status": status if status != "lost" else "running",
        "history": tuple(changes),
        "process": this_process() if live or status == "lost" else None,
        "step": step,
        "steps": steps,
        "epoch": step / 310,
        "heartbeat_at": end,
        "device": "cpu",
        "precision": "float32",
        "compiled": False,
        "parameters": 12_345_678,
        **found,
    }
    if status == "running":
        text |= {
            "eta_seconds": (steps - step) * 0.25,
            "tokens_per_second": 325.0 if images else 31_400.0,
            "telemetry": Telemetry(187.0, 1_400_000_000, 16_000_000_000),
        }
    fields = {**text, **state}
    run.state_path.write_text(json.dumps(State(**fields).to_json()))
    words = ["data is prepared", "training begins", f"step {step}: all is well"]
    run.log_path.write_text("".join(LOG.format(i, word) for i, word in enumerate(words)))
    if label is not None:
        write_label(run.path, label)
    return run


def write_metrics(
    run: Run, step: int, steps: int, begin: float, *, images: bool, seed: int, floor: float
) -> dict[str, Any]:
    """A believable course of a training; returns what the state says of it."""
    noise = random.Random(seed)
    rows: list[tuple[float, Event]] = []
    known: dict[str, Any] = {}
    if step:
        rows.append((begin + 2, Started(0, steps, 12_345_678, "cpu", "float32", False)))
    every = max(1, steps // 20)
    best = math.inf
    for number in range(1, step + 1):
        at = begin + 2 + number * 0.25
        true = floor + (2.3 if images else 7.0) * math.exp(-5.5 * (number / steps) ** 0.5)
        loss = true * (1 + noise.gauss(0, 0.03))
        warm = min(1.0, number / (0.05 * steps))
        rate = 1e-3 * warm * (0.5 + 0.5 * math.cos(math.pi * number / steps)) + 1e-5
        norm = 0.4 + 1.2 * math.exp(-number / (0.1 * steps)) + abs(noise.gauss(0, 0.08))
        seconds = 0.25 * (1 + abs(noise.gauss(0, 0.04)))
        rows.append((at, StepDone(number, number / 310, number * 8192, loss, rate, norm, seconds)))
        known["train_loss"] = round(loss, 4)
        if number % every == 0:
            value = true * 1.04
            sources = {} if images else {"stories": value - 0.1, "notes": value + 0.4}
            seen = {} if images else {"stories": number * 6500, "notes": number * 1600}
            accuracy = 1 - 0.9 * math.exp(-4 * number / steps) if images else None
            evaluated = Evaluated(
                number,
                "validation",
                value,
                None if images else math.exp(value),
                None,
                None,
                value < best,
                0.4,
                sources,
                seen,
                accuracy,
            )
            rows.append((at, evaluated))
            if value < best:
                best = value
                known |= {"best_loss": round(value, 4), "best_step": number}
            known |= {"validation_loss": round(value, 4), "accuracy": accuracy}
            known["sources"] = tuple(SourceLoss(k, sources[k], seen[k]) for k in sources)
            if not images:
                rows.append((at, Sampled(number, "Once upon a time", STORY)))
                text = f"Once upon a time{STORY}\n"
                (run.samples_path / f"step-{number:08d}.txt").write_text(text, encoding="utf-8")
            if number % (4 * every) == 0:
                rows.append((at, CheckpointSaved(number, True, 50_000, 0.2)))
                known["checkpoint_step"] = number
                save(run, number)
    with run.metrics_path.open("w", encoding="utf-8") as file:
        for at, event in rows:
            file.write(json.dumps({"at": round(at, 3), **to_row(event)}) + "\n")
    return known


def save(run: Run, number: int) -> None:
    def fill(folder: Path) -> None:
        (folder / "model.safetensors").write_bytes(bytes(50_000))

    run.commit_checkpoint(number, fill, best=True)


@contextlib.contextmanager
def workshop(root: Path) -> Iterator[Store]:
    """A store with a run of every kind; the live ones are held by this process meanwhile."""
    store = Store(root)
    hours = 3600.0
    lost = replace(this_process(), pid=2**22 + 1, started="0")
    failure = Failure("out of memory on cuda:0 at step 212", "try a smaller train.batch_size")
    with contextlib.ExitStack() as stack:
        live = [
            make_run(store, "stories-calm-otter", "running", step=640, seconds_ago=170, seed=3),
            make_run(store, "notes-chat-bold-heron", "running", step=90, seconds_ago=25, seed=4),
            make_run(store, "cifar10-quiet-cedar", "queued", step=0, seconds_ago=12, images=True),
        ]
        done: dict[str, Any] = {"step": 1000}
        make_run(
            store, "cifar10-neat-ivy", images=True, seconds_ago=26.5 * hours, floor=0.3, **done
        )
        make_run(
            store,
            "notes-chat-misty-raven",
            seconds_ago=5.5 * hours,
            label=Label("notes, second try"),
            **done,
        )
        make_run(store, "primer-warm-fjord", seconds_ago=9.5 * hours, seed=6, floor=2.0, **done)
        make_run(store, "stories-keen-plum", "stopped", step=520, seconds_ago=7.5 * hours, seed=7)
        make_run(
            store,
            "gpt2-small-bold-lynx",
            "failed",
            step=212,
            seconds_ago=2.5 * hours,
            seed=8,
            floor=2.6,
            device="cuda:0",
            error=failure,
        )
        make_run(
            store,
            "wikitext-brave-fern",
            "lost",
            step=310,
            seconds_ago=3.5 * hours,
            seed=9,
            process=lost,
        )
        make_run(
            store,
            "primer-rosy-wren",
            seconds_ago=50 * hours,
            label=Label(archived=True),
            **done,
        )
        for run in live:
            stack.enter_context(hold(run))
        yield store


@contextlib.contextmanager
def hold(run: Run) -> Iterator[WorkerLock]:
    """Be the worker of a run: it lives as long as this lasts."""
    with run.lock() as lock:
        yield lock
