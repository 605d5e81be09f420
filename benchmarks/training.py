"""Training throughput beside the plain recipe, at its shapes and batches."""

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.reference import ReferenceGPT, ReferenceTrainer
from benchmarks.synthetic import synthetic
from maquette.blueprint.blueprint import Blueprint
from maquette.build import Training
from maquette.events import StepDone
from maquette.quantities import format_count
from maquette.runs.recorder import Recorder
from maquette.runs.store import Store
from maquette.training.device import measure_rate, measure_rates


@dataclass(frozen=True)
class Case:
    """A shape and a batch."""

    depth: int
    width: int
    heads: int
    context: int
    batch: int
    vocabulary: int

    def __str__(self) -> str:
        ids = f"{self.vocabulary} ids"
        return f"{self.depth} x {self.width}, context {self.context}, batch {self.batch}, {ids}"


CASES = [
    Case(4, 128, 4, 64, 12, 256),
    Case(6, 384, 6, 256, 16, 256),
    Case(8, 512, 8, 512, 8, 256),
    Case(8, 512, 8, 512, 8, 16384),
    Case(8, 512, 8, 512, 8, 50304),
]


def main(arguments: list[str] | None = None) -> None:
    """Print a table: tokens/s of both, the ratio, and the share of the machine's own rate."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, nargs="*", help="which ones, from 0")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--compile", choices=("auto", "yes", "no"), default="auto")
    options = parser.parse_args(arguments)
    chosen = CASES if options.cases is None else [CASES[i] for i in options.cases]
    console = Console(width=120)
    table = Table(title="Training, tokens/s (medians of interleaved steps)")
    for heading in ("shape", "plain recipe", "maquette", "ratio", "FLOP/s", "of the rate"):
        table.add_column(heading, justify="left" if heading == "shape" else "right")
    for case in chosen:
        row = compare(case, rounds=options.rounds, compiling=options.compile)
        console.print(" | ".join(row))
        table.add_row(*row)
    console.print(table)


def compare(case: Case, *, rounds: int, compiling: str) -> tuple[str, ...]:
    """One row of the table."""
    tokens = case.batch * case.context
    blueprint, ours = _ours(case, compiling)
    theirs = _theirs(case)
    per_round = max(2, min(40, 10_000 // tokens))
    for timed in (theirs, ours):
        for _ in range(2):
            next(timed)  # set-up and compilation
    seconds: dict[str, list[float]] = {"ours": [], "theirs": []}
    rates = []
    for _ in range(rounds):
        seconds["theirs"] += [next(theirs) for _ in range(per_round)]
        seconds["ours"] += [next(ours) for _ in range(per_round)]
        measure_rate.cache_clear()
        rates.append(max(measure_rates(torch.device("cpu")).values()))
    plain, mine = (tokens / statistics.median(seconds[who]) for who in ("theirs", "ours"))
    flops = mine * blueprint.costs.flops_per_token
    return (
        str(case),
        format_count(plain),
        format_count(mine),
        f"{mine / plain:.2f}x",
        f"{flops / 1e9:.0f} G",
        f"{flops / statistics.median(rates):.0%} of {statistics.median(rates) / 1e9:.0f} G",
    )


def _ours(case: Case, compiling: str) -> tuple[Blueprint, Iterator[float]]:
    # The reference's own arithmetic per token: no gate, biases or rotary positions.
    model: dict[str, Any] = {
        "depth": case.depth,
        "width": case.width,
        "heads": case.heads,
        "context": case.context,
        "position": "learned",
        "norm": "layer",
        "mlp": "gelu",
    }
    train: dict[str, Any] = {
        "steps": 1_000_000,  # a long run: compiles where that pays at all
        "batch_size": case.batch,
        "evaluate": {"windows": 1},
        "sample": {"max_new_tokens": 1},
        "compile": {"auto": "auto", "yes": True, "no": False}[compiling],
    }
    blueprint, prepared = synthetic(case.vocabulary, model=model, train=train)
    return blueprint, _our_steps(Training(blueprint, prepared, device="cpu"), blueprint)


def _our_steps(training: Training, blueprint: Blueprint) -> Iterator[float]:
    """Seconds of each step: everything between two StepDone events, the recording too."""
    plan = blueprint.train
    with tempfile.TemporaryDirectory() as folder:
        run = Store(folder).create("benchmark", spec_text="")
        with Recorder(run) as recorder:
            recorder.begin(steps=plan.steps, tokens_per_step=plan.tokens_per_step)
            begin = time.perf_counter()
            for event in training.events():
                recorder.record(event)
                if isinstance(event, StepDone):
                    yield time.perf_counter() - begin
                    begin = time.perf_counter()


def _theirs(case: Case) -> Iterator[float]:
    model = ReferenceGPT(case.vocabulary, case.context, case.depth, case.width, case.heads)
    data = np.random.default_rng(0).integers(0, case.vocabulary, 1_000_000).astype(np.uint16)
    trainer = ReferenceTrainer(model, data, batch=case.batch, context=case.context, steps=1_000_000)
    while True:
        begin = time.perf_counter()
        trainer.step()
        yield time.perf_counter() - begin


if __name__ == "__main__":
    main()
