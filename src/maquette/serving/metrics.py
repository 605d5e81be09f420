"""Counts in Prometheus' text format, version 0.0.4."""

import re
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple, Protocol

import psutil

PATHS = frozenset(
    {"/", "/health", "/metrics", "/openapi.json", "/v1/models", "/v1/completions"}
    | {"/v1/chat/completions", "/v1/classify", "/runs", "/api/runs"}
    | {"/api/runs/{run_id}", "/api/runs/{run_id}/metrics"}
)
RUN = re.compile(r"^/api/runs/[^/]+")
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Figure(NamedTuple):
    """A number: its name, `counter` or `gauge`, and what it counts."""

    name: str
    kind: str
    what: str
    value: float


class Engine(Protocol):
    """Whatever works for the server, and counts what it does."""

    def figures(self) -> Iterable[Figure]:
        """What it has done so far."""
        ...


class Metrics:
    """What the server has done since it began."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._requests: Counter[tuple[str, str, int]] = Counter()
        self._process = psutil.Process()

    def count(self, method: str, path: str, status: int) -> None:
        """One more answer. Paths that we don't have are one, so that nobody can fill the memory."""
        path = RUN.sub("/api/runs/{run_id}", path)
        path = path if path in PATHS else "other"
        self._requests[method if method in METHODS else "other", path, status] += 1

    def text(self) -> str:
        """All of it."""
        lines = [
            "# HELP maquette_requests_total Answers.",
            "# TYPE maquette_requests_total counter",
        ]
        for (method, path, status), number in sorted(self._requests.items()):
            labels = f'method="{method}",path="{path}",status="{status}"'
            lines.append(f"maquette_requests_total{{{labels}}} {number}")
        memory = Figure("resident_bytes", "gauge", "Memory.", self._process.memory_info().rss)
        for name, kind, what, value in (*self._engine.figures(), memory):
            lines += [f"# HELP maquette_{name} {what}", f"# TYPE maquette_{name} {kind}"]
            lines.append(f"maquette_{name} {value}")
        return "\n".join(lines) + "\n"
