"""Routes of the page of runs. It asks again and again: an answer that is known costs nothing."""

import hashlib
from typing import Annotated

from fastapi import FastAPI, Header, Query
from fastapi.responses import Response

from maquette.errors import RunError
from maquette.runs.store import Run, Store
from maquette.serving.runs_board import Board, details, metrics
from maquette.serving.wire import ApiError

Known = Annotated[str | None, Header(alias="if-none-match", max_length=200)]
After = Annotated[str | None, Query(max_length=40)]


def add_runs(api: FastAPI, store: Store) -> None:
    """GET /api/runs, /api/runs/ID and /api/runs/ID/metrics; each with an ETag."""
    board = Board(store)

    # Plain functions: they read files, in a thread of their own.
    @api.get("/api/runs", response_model=None)
    def runs(known: Known = None) -> Response:
        """All runs, the newest first."""
        try:
            return _answer(board.listing(), known)
        except RunError as error:
            raise _unreadable(error) from None

    @api.get("/api/runs/{run_id}", response_model=None)
    def run(run_id: str, known: Known = None) -> Response:
        """Everything about a run but its curves."""
        return _answer(details(_find(store, run_id)), known)

    @api.get("/api/runs/{run_id}/metrics", response_model=None)
    def curves(run_id: str, after: After = None) -> Response:
        """A run's curves; with `after`, the `cursor` of an answer before, what is new since."""
        try:
            return _answer(metrics(_find(store, run_id), after), None)
        except ValueError as error:
            raise ApiError(400, str(error), param="after") from None
        except RunError as error:
            raise _unreadable(error) from None


def _find(store: Store, run_id: str) -> Run:
    found = store.get(run_id)
    if found is None:
        raise ApiError(404, "there is no such run", param="run_id", code="run_not_found")
    return found


def _unreadable(error: RunError) -> ApiError:
    return ApiError(503, error.message, code="unreadable", kind="server_error")


def _answer(body: bytes, known: str | None) -> Response:
    """The body, or 304 where the client has it already."""
    tag = f'"{hashlib.blake2s(body, digest_size=12).hexdigest()}"'
    if known == tag:
        return Response(status_code=304, headers={"etag": tag})
    return Response(body, media_type="application/json", headers={"etag": tag})
