"""The server: many streams at once beside plain `generate` of the same run, and more than it takes.

`python -m benchmarks.serving` starts the real `maquette serve` and talks to it over HTTP. The model
is trained for a few steps only: what it writes doesn't matter, but it has to go on writing.
"""

import argparse
import asyncio
import contextlib
import itertools
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import psutil
from rich.console import Console
from rich.table import Table

from maquette.generation.decode import generate
from maquette.generation.sampling import SamplingOptions
from maquette.loading import load_run_model
from maquette.quantities import format_bytes
from maquette.runs.store import Run, Store
from maquette.serving.limits import Limits
from maquette.spec.schema import Spec
from maquette.worker.training import create_run

SHAPES = {  # (depth, width, heads)
    "4 x 128, 256 ids": (4, 128, 4),
    "6 x 384, 256 ids": (6, 384, 6),
}
STREAMS = (1, 4, 16)
PROMPT = "the cat sat on a mat and the dog "
TOKEN = "a-token-for-benchmarks"
SAMPLING = {"temperature": 0.8, "top_k": 50}


@dataclass(frozen=True, slots=True)
class Heard:
    """What a client heard: `status`, and of a stream when its first and last text came."""

    status: int
    tokens: int = 0
    whole: bool = False
    first_seconds: float = 0.0
    seconds: float = 0.0


def main(arguments: list[str] | None = None) -> None:
    """Print a table of throughput for each shape, and one of the load test."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, default=128, help="to be written for each stream")
    parser.add_argument("--rounds", type=int, default=3, help="of each number of streams")
    parser.add_argument("--clients", type=int, default=80, help="at once in the load test")
    options = parser.parse_args(arguments)
    console = Console(width=110)
    with tempfile.TemporaryDirectory() as folder:
        for number, (name, shape) in enumerate(SHAPES.items()):
            store = Store(Path(folder) / str(number))
            run = _trained(store, Path(folder), shape)
            with _server(store, run) as server:
                throughput(server, run, name, options, console)
                if number == 0:
                    load(server, options, console)


def throughput(
    server: "Server", run: Run, name: str, options: argparse.Namespace, console: Console
) -> None:
    """Tokens per second of 1, 4 and 16 streams, taking turns with plain `generate`."""
    model, tokenizer, _ = load_run_model(run, device="cpu")
    ids = tokenizer.encode(PROMPT).tolist()
    sampling = SamplingOptions(**SAMPLING)  # type: ignore[arg-type]
    begin_bytes = server.peak_bytes()
    plain: list[tuple[float, float, float]] = []  # seconds: first token, all, of CPU
    served: dict[int, list[tuple[float, float, list[Heard]]]] = {n: [] for n in STREAMS}
    peaks: dict[int, int] = {}
    asyncio.run(_together(server, 1, options.tokens))  # the first step is slower
    for seed in range(options.rounds):
        began, cpu = time.perf_counter(), time.process_time()
        times = [
            time.perf_counter() - began
            for _ in generate(
                model, ids, max_new_tokens=options.tokens, options=sampling, seed=seed
            )
        ]
        plain.append((times[0], times[-1], time.process_time() - cpu))
        for streams in STREAMS:
            began, cpu = time.perf_counter(), server.cpu_seconds()
            heard = asyncio.run(_together(server, streams, options.tokens))
            seconds = time.perf_counter() - began
            served[streams].append((seconds, server.cpu_seconds() - cpu, heard))
            assert all(one.whole and one.tokens == options.tokens for one in heard), heard
            peaks.setdefault(streams, server.peak_bytes())
    _print(name, options.tokens, plain, served, peaks, console)
    more = (peaks[STREAMS[-1]] - peaks[1]) / (STREAMS[-1] - 1)
    console.print(
        f"the server before its first request: {format_bytes(begin_bytes)};"
        f" a further stream: {format_bytes(max(0, more))}"
    )


def _print(
    name: str,
    tokens: int,
    plain: list[tuple[float, float, float]],
    served: dict[int, list[tuple[float, float, list[Heard]]]],
    peaks: dict[int, int],
    console: Console,
) -> None:
    table = Table(title=f"{name}: {tokens} tokens a stream, top-k 50 (medians)")
    for heading in ("", "tokens/s", "of `generate`", "a stream", "first token", "CPU a token"):
        table.add_column(heading, justify="left" if not heading else "right")
    table.add_column("peak memory", justify="right")
    first, all_, cpu = (statistics.median(column) for column in zip(*plain, strict=True))
    rate = tokens / all_
    row = ("generate", f"{rate:.0f}", "1.00x", f"{rate:.0f}", _ms(first), _fine_ms(cpu / tokens))
    table.add_row(*row, "")
    for streams, rounds in served.items():
        written = streams * tokens
        total = statistics.median(written / seconds for seconds, _, _ in rounds)
        cpu = statistics.median(seconds / written for _, seconds, _ in rounds)
        everyone = [one for _, _, heard in rounds for one in heard]
        table.add_row(
            f"{streams} stream{'s' * (streams > 1)}",
            f"{total:.0f}",
            f"{total / rate:.2f}x",
            f"{statistics.median(one.tokens / one.seconds for one in everyone):.0f}",
            _ms(statistics.median(one.first_seconds for one in everyone)),
            _fine_ms(cpu),
            format_bytes(peaks[streams]),
        )
    console.print(table)


def load(server: "Server", options: argparse.Namespace, console: Console) -> None:
    """More clients than the queue holds, then a wave of which every second one hangs up."""
    limits = Limits()
    table = Table(title=f"Load: {limits.slots} written at once, {limits.queue} wait")
    for heading in ("", "clients", "whole", "429", "5xx", "hung up", "slots free again after"):
        table.add_column(heading, justify="left" if not heading else "right")
    waves: dict[str, list[int | None]] = {
        "more than it takes": [None] * options.clients,
        "every second hangs up": [5 if i % 2 else None for i in range(limits.slots * 2)],
    }
    for name, leave_after in waves.items():
        before = server.numbers()
        heard = asyncio.run(_wave(server, leave_after, options.tokens))
        idle_seconds = _until_idle(server)
        after = server.numbers()
        statuses = [one.status for one in heard]
        stayed = [one for one, leave in zip(heard, leave_after, strict=True) if leave is None]
        whole = sum(one.whole and one.tokens == options.tokens for one in stayed)
        left = after["maquette_cancelled_total"] - before["maquette_cancelled_total"]
        assert whole == sum(one.status == 200 for one in stayed), "an answer was cut off"
        assert set(statuses) <= {200, 429}, statuses
        assert left == len(heard) - len(stayed), "who hung up was written for"
        failed = sum(status >= 500 for status in statuses)
        row = (len(heard), whole, statuses.count(429), failed, f"{left:.0f}", _ms(idle_seconds))
        table.add_row(name, *map(str, row))
    console.print(table)


def _until_idle(server: "Server") -> float:
    """Seconds until nothing is written and nothing waits. Raises AssertionError after 10."""
    began = time.perf_counter()
    while True:
        numbers = server.numbers()
        if not numbers["maquette_active_choices"] and not numbers["maquette_waiting_choices"]:
            return time.perf_counter() - began
        assert time.perf_counter() - began < 10, "slots are still taken"
        time.sleep(0.002)


async def _together(server: "Server", streams: int, tokens: int) -> list[Heard]:
    return await _wave(server, [None] * streams, tokens)


async def _wave(server: "Server", leave_after: list[int | None], tokens: int) -> list[Heard]:
    """Clients that all ask at once; each may hang up after so many pieces of text."""
    return list(
        await asyncio.gather(
            *(
                _client(server, seed, tokens, leave)
                for seed, leave in zip(itertools.count(), leave_after, strict=False)
            )
        )
    )


async def _client(server: "Server", seed: int, tokens: int, leave_after: int | None) -> Heard:
    """One request on a bare connection: a client that costs little beside the server."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    body = json.dumps(
        {
            "model": server.model,
            "prompt": PROMPT,
            "max_tokens": tokens,
            "seed": seed,
            "stream": True,
            "stream_options": {"include_usage": True},
            **SAMPLING,
        }
    ).encode()
    head = (
        f"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
        f"Authorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    began = time.perf_counter()
    writer.write(head.encode() + body)
    try:
        status = int((await reader.readline()).split()[1])
        times: list[float] = []
        usage, whole = 0, False
        while line := await reader.readline():
            if line.startswith(b"data: [DONE]"):
                whole = True
            elif line.startswith(b'data: {"id"'):
                times.append(time.perf_counter() - began)
                if found := re.search(rb'"completion_tokens": (\d+)', line):
                    usage = int(found[1])
                    times.pop()
            if leave_after is not None and len(times) >= leave_after:
                break
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    first, last = (times[0], times[-1]) if times else (0.0, 0.0)
    return Heard(status, usage, whole, first, last)


@dataclass(frozen=True, slots=True)
class Server:
    """A running `maquette serve`."""

    port: int
    model: str
    process: "subprocess.Popen[str]"

    def numbers(self) -> dict[str, float]:
        """What /metrics says, without what has labels."""
        request = Request(f"http://127.0.0.1:{self.port}/metrics")
        request.add_header("authorization", f"Bearer {TOKEN}")
        with urlopen(request, timeout=20) as answer:
            lines = answer.read().decode().splitlines()
        plain = [line.split() for line in lines if not line.startswith("#") and "{" not in line]
        return {name: float(value) for name, value in plain}

    def cpu_seconds(self) -> float:
        """What it has computed so far, whatever else the machine does."""
        times = psutil.Process(self.process.pid).cpu_times()
        return float(times.user + times.system)

    def peak_bytes(self) -> int:
        """The most memory that the process has had; what it has now where that isn't known."""
        with contextlib.suppress(OSError):
            status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8")
            if found := re.search(r"VmHWM:\s*(\d+) kB", status):
                return int(found[1]) * 1024
        return int(self.numbers()["maquette_resident_bytes"])


@contextlib.contextmanager
def _server(store: Store, run: Run) -> Iterator[Server]:
    maquette = str(Path(sys.executable).with_name("maquette"))
    command = [maquette, "serve", run.id, "--port", "0", "--token", TOKEN, "--device", "cpu"]
    command += ["--runs-dir", str(store.root)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        found = re.search(r":(\d+)/", process.stdout.readline())
        assert found is not None, process.stderr and process.stderr.read()
        yield Server(int(found[1]), run.id, process)
    finally:
        process.terminate()
        process.wait(60)
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


def _trained(store: Store, folder: Path, shape: tuple[int, int, int]) -> Run:
    """A run of bytes, trained long enough to write words, so that no text ends before its time."""
    depth, width, heads = shape
    text = folder / "text.txt"
    words = ["the", "cat", "sat", "on", "a", "mat", "and", "the", "dog", "ran", "to", "a", "hat"]
    text.write_text("\n".join(" ".join(words[i % 7 :: 1 + i % 3]) for i in range(4000)))
    train: dict[str, Any] = {"steps": 10, "batch_size": 1, "compile": False}
    train |= {"learning_rate": 3e-3, "evaluate": {"windows": 4}, "sample": {"max_new_tokens": 1}}
    spec = Spec.model_validate(
        {
            "name": "served",
            "model": {"depth": depth, "width": width, "heads": heads, "context": 256},
            "data": {"sources": {"text": {"kind": "files", "path": str(text)}}},
            "train": train,
        }
    )
    run = create_run(spec, store, spec_text="name: served\n", device="cpu")
    command = [sys.executable, "-m", "maquette.worker", str(run.path)]
    alone = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
    }  # no figure: but two threads crawl when disturbed
    subprocess.run(command, check=True, capture_output=True, env=alone)
    return run


def _fine_ms(seconds: float) -> str:
    return f"{1000 * seconds:.2f} ms"


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.0f} ms"


if __name__ == "__main__":
    main()
