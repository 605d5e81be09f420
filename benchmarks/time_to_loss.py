"""Seconds from an empty shell to a validation loss on tiny shakespeare, beside the plain recipe.

Both start as new processes, so start-up counts; both are judged on the same validation windows.
The plain recipe's own evaluations (20 batches of each split every 250 steps) count for it too.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.reference import ReferenceGPT, ReferenceTrainer
from maquette.data.batches import fixed_windows
from maquette.models.loss import IGNORE

DATA = Path(__file__).parents[1] / "../shared/data/tinyshakespeare/input.txt"
STEPS = 2000


def main(arguments: list[str] | None = None) -> None:
    """Print when each reached which loss."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA, help="tiny shakespeare's input.txt")
    parser.add_argument("--target", type=float, default=1.88)
    parser.add_argument("--reference", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    console = Console(width=100)
    if not options.data.is_file():
        console.print(f"time_to_loss: left out, there is no {options.data}; name it with --data")
        return
    if options.reference:
        _train_reference(options.data)
        return
    curves = {"plain recipe": _reference_curve(options.data), "maquette": _our_curve(options.data)}
    table = Table(title=f"Tiny shakespeare, 4 x 128, context 64: seconds to {options.target}")
    for heading in ("", "reached", "end", "loss at the end"):
        table.add_column(heading, justify="left" if not heading else "right")
    for who, curve in curves.items():
        reached = next((f"{at:.1f} s" for at, loss in curve if loss <= options.target), "never")
        table.add_row(who, reached, f"{curve[-1][0]:.1f} s", f"{curve[-1][1]:.3f}")
    console.print(table)
    for who, curve in curves.items():
        console.print(f"{who}: " + ", ".join(f"{at:.0f} s {loss:.3f}" for at, loss in curve))


def _reference_curve(data: Path) -> list[tuple[float, float]]:
    command = [sys.executable, "-m", "benchmarks.time_to_loss", "--reference", "--data", str(data)]
    begin = time.time()
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    rows = [json.loads(line) for line in lines]
    return [(row["at"] - begin - row["judging"], row["loss"]) for row in rows]


def _train_reference(path: Path) -> None:
    data = np.fromfile(path, dtype=np.uint8)
    cut = int(len(data) * 0.9)
    _, codes = np.unique(data, return_inverse=True)  # characters, as that recipe has them
    train, held_out = codes[:cut].astype(np.uint16), codes[cut:].astype(np.uint16)
    torch.manual_seed(1337)
    model = ReferenceGPT(int(codes.max()) + 1, 64, 4, 128, 4)
    trainer = ReferenceTrainer(model, train, batch=12, context=64, steps=STEPS)
    windows = list(
        fixed_windows(
            [held_out], context=64, batch_size=16, start_token=0, ignore=IGNORE, windows=128
        )
    )
    judging = 0.0
    for step in range(STEPS + 1):
        if step % 250 == 0:
            with torch.no_grad():
                for split in (train, held_out):
                    for _ in range(20):
                        model(*trainer.draw(split))
                begin = time.time()
                loss = sum(float(model(*w)) * len(w[0]) for w in windows) / 128
                judging += time.time() - begin
            print(json.dumps({"at": time.time(), "judging": judging, "loss": loss}), flush=True)
        if step < STEPS:
            trainer.step()


def _our_curve(data: Path) -> list[tuple[float, float]]:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "maquette", "train", "tinyshakespeare"]
        command += ["--set", f"data.sources.plays.path={data.resolve()}"]
        command += ["--runs-dir", folder]
        begin = time.time()
        subprocess.run(command, check=True, capture_output=True)
        metrics = next(Path(folder).glob("*/metrics.jsonl"))
        rows = [json.loads(line) for line in metrics.read_text(encoding="utf-8").splitlines()]
    return [(row["at"] - begin, row["loss"]) for row in rows if row["event"] == "evaluated"]


if __name__ == "__main__":
    main()
