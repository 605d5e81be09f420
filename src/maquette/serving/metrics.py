"""Counts in Prometheus' text format, version 0.0.4."""

import re
from collections import Counter

import psutil

from maquette.serving.engine import Engine

PATHS = frozenset(
    {"/", "/health", "/metrics", "/openapi.json", "/v1/models", "/v1/completions"}
    | {"/v1/chat/completions", "/runs", "/api/runs"}
    | {"/api/runs/{run_id}", "/api/runs/{run_id}/metrics"}
)
RUN = re.compile(r"^/api/runs/[^/]+")
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


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
        engine, counts = self._engine, self._engine.counts
        lines = [
            "# HELP maquette_requests_total Answers.",
            "# TYPE maquette_requests_total counter",
        ]
        for (method, path, status), number in sorted(self._requests.items()):
            labels = f'method="{method}",path="{path}",status="{status}"'
            lines.append(f"maquette_requests_total{{{labels}}} {number}")
        for name, kind, what, value in (
            ("generated_tokens_total", "counter", "Tokens written.", counts.tokens),
            ("prompt_tokens_total", "counter", "Tokens read in prompts.", counts.prompt_tokens),
            ("finished_total", "counter", "Choices written to their end.", counts.finished),
            ("failed_total", "counter", "Choices that ended in an error.", counts.failed),
            ("cancelled_total", "counter", "Choices nobody waited for.", counts.cancelled),
            ("refused_total", "counter", "Requests the queue had no room for.", counts.refused),
            ("steps_total", "counter", "Steps of the decoder.", counts.steps),
            ("step_seconds_total", "counter", "Time in these steps.", counts.step_seconds),
            ("active_choices", "gauge", "Choices being written.", engine.active),
            ("waiting_choices", "gauge", "Choices waiting for a slot.", engine.waiting),
            ("resident_bytes", "gauge", "Memory.", self._process.memory_info().rss),
        ):
            lines += [f"# HELP maquette_{name} {what}", f"# TYPE maquette_{name} {kind}"]
            lines.append(f"maquette_{name} {value}")
        return "\n".join(lines) + "\n"
