"""The FastAPI application: routes, and errors in OpenAI's form."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from starlette.exceptions import HTTPException

from maquette.serving.answers import Answer, EventStream, answer_whole
from maquette.serving.classify import add_classify
from maquette.serving.engine import Job
from maquette.serving.forms import ChatForm, CompletionForm, Form
from maquette.serving.jobs import chat_jobs, completion_jobs
from maquette.serving.metrics import Metrics
from maquette.serving.pages import add_pages
from maquette.serving.runs import add_runs
from maquette.serving.security import Access, App, Guard
from maquette.serving.served import AnyServed, Served
from maquette.serving.wire import ApiError, ChatRequest, CompletionRequest, Sampled, error_body

DROPPED = "maquette-dropped-messages"
"""The header that tells how many messages were left out of a chat."""


def create_app(served: AnyServed, access: Access) -> App:
    """The whole server as an ASGI application; it starts and ends the engine."""
    metrics = Metrics(served.engine)
    api = _routes(served, metrics)
    return Guard(api, access=access, limits=served.limits, count=metrics.count)


def _routes(served: AnyServed, metrics: Metrics) -> FastAPI:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        served.engine.start()
        try:
            yield
        finally:
            await asyncio.to_thread(served.engine.close)

    # The pages of documentation that FastAPI has need scripts from elsewhere.
    api = FastAPI(
        title="maquette", docs_url=None, redoc_url=None, lifespan=lifespan, redirect_slashes=False
    )
    _add_errors(api)
    _add_models(api, served)
    if isinstance(served, Served):
        _add_openai(api, served)
        _refuse(api, "/v1/classify", f"{served.name} writes text: it looks at no images")
        home = "index.html"
    else:
        add_classify(api, served)
        for path in ("/v1/chat/completions", "/v1/completions"):
            why = "it writes no text; POST /v1/classify takes an image"
            _refuse(api, path, f"{served.name} tells images apart: {why}")
        home = "classify.html"
    add_runs(api, served.store)
    add_pages(api, home)

    @api.get("/health")
    async def health() -> Response:
        """Whether the model can answer."""
        alive = served.engine.alive
        return JSONResponse({"status": "ok" if alive else "ending"}, 200 if alive else 503)

    @api.get("/metrics", response_class=PlainTextResponse)
    async def numbers() -> Response:
        """Counts for Prometheus."""
        return Response(metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return api


def _add_models(api: FastAPI, served: AnyServed) -> None:
    @api.get("/v1/models")
    async def models() -> dict[str, Any]:
        """The one model that is served."""
        return {"object": "list", "data": [served.model]}

    @api.get("/v1/models/{name}")
    async def one_model(name: str) -> dict[str, Any]:
        """The model by name."""
        _check_model(name, served)
        return served.model


def _refuse(api: FastAPI, path: str, message: str) -> None:
    """Tell that a route is for models of another task."""

    @api.post(path, include_in_schema=False)
    async def refuse() -> None:
        raise ApiError(404, message, code="wrong_task")


def _add_openai(api: FastAPI, served: Served) -> None:
    tokenizer, context, limits = served.tokenizer, served.engine.context, served.limits

    @api.post("/v1/chat/completions", response_model=None)
    async def chat(request: Request, body: ChatRequest) -> Response:
        """The next turn of a dialogue."""
        _check_model(body.model, served)
        jobs, prompt = await asyncio.to_thread(chat_jobs, body, tokenizer, context, limits)
        tokens = len(prompt.ids)
        response = await _answer(request, body, served, jobs, tokens, ChatForm(tokenizer))
        if prompt.dropped:
            response.headers[DROPPED] = str(prompt.dropped)
        return response

    @api.post("/v1/completions", response_model=None)
    async def completions(request: Request, body: CompletionRequest) -> Response:
        """What follows a text."""
        _check_model(body.model, served)
        jobs, tokens = await asyncio.to_thread(completion_jobs, body, tokenizer, context, limits)
        return await _answer(request, body, served, jobs, tokens, CompletionForm(tokenizer))


async def _answer(
    request: Request, body: Sampled, served: Served, jobs: list[Job], tokens: int, form: Form
) -> Response:
    seconds = served.limits.answer_seconds
    answer = Answer(jobs, form, model=served.name, seconds=seconds)
    answer.submit(served.engine, prompt_tokens=tokens)
    if body.stream:
        return EventStream(answer, usage=body.wants_usage, seconds=seconds)
    return await answer_whole(answer, request.receive)


def _check_model(name: str, served: AnyServed) -> None:
    if name != served.name:
        raise ApiError(
            404,
            f"there is no such model here; the one served is {served.name}",
            param="model",
            code="model_not_found",
        )


def _add_errors(api: FastAPI) -> None:
    @api.exception_handler(ApiError)
    async def refused(_: Request, error: Exception) -> Response:
        assert isinstance(error, ApiError)
        headers = {"retry-after": "1"} if error.status == 429 else None
        return JSONResponse(error.body, error.status, headers)

    @api.exception_handler(RequestValidationError)
    async def wrong_fields(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        # The deepest one: of a union it is about the branch that was meant.
        first = max(error.errors(), key=lambda one: len(one["loc"]))
        if first["type"] == "json_invalid":
            return JSONResponse(error_body("the body is not JSON"), 400)
        if first["loc"] == ("body",):
            return JSONResponse(error_body("the body is not an object in application/json"), 400)
        # Without what was sent: it may be long, or no text at all.
        where = _place(first["loc"], error.body)
        body = error_body(_printable(f"{where}: {first['msg']}"), param=_printable(where))
        return JSONResponse(body, 400)

    @api.exception_handler(HTTPException)
    async def no_such_route(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        code = "not_found" if error.status_code == 404 else None
        body = error_body(_printable(str(error.detail)), code=code)
        return JSONResponse(body, error.status_code, error.headers)

    @api.exception_handler(Exception)
    async def defect(_: Request, __: Exception) -> Response:
        return JSONResponse(error_body("the server failed", kind="server_error"), 500)


def _place(loc: Sequence[str | int], sent: Any) -> str:
    """Where a mistake is, without pydantic's names of a union's branches, which nobody sent."""
    kind, *parts = loc
    names = []
    for part in parts:
        if kind == "body" and isinstance(part, str) and not isinstance(sent, dict):
            continue
        names.append(str(part))
        found = isinstance(sent, list) or (isinstance(sent, dict) and part in sent)
        sent = sent[part] if found else None
    return ".".join(names)


def _printable(text: str) -> str:
    return text[:500].encode(errors="replace").decode()
