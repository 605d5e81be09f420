"""The route that takes an image and tells what it shows."""

import asyncio
from concurrent.futures import Future
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from fastapi.responses import JSONResponse, Response

from maquette.data.image.decoding import BrokenError
from maquette.serving.answers import as_api_error, while_connected
from maquette.serving.classifier import Seen
from maquette.serving.engine import EngineClosedError, QueueFullError
from maquette.serving.served import ServedClassifier
from maquette.serving.wire import ApiError

Top = Annotated[int, Query(ge=1, description="Classes to tell, the likeliest first.")]
REASON = 200
"""Characters of a reason why a file is no image; some readers quote from the file."""
BINARY = {"schema": {"type": "string", "format": "binary"}}
BODY = {"required": True, "content": {"image/*": BINARY, "application/octet-stream": BINARY}}


def add_classify(api: FastAPI, served: ServedClassifier) -> None:
    """POST /v1/classify: the body is an image file as it is, whatever its type is said to be."""

    @api.post("/v1/classify", response_model=None, openapi_extra={"requestBody": BODY})
    async def classify(request: Request, top: Top = 5) -> Response:
        """What an image shows."""
        kind = request.headers.get("content-type", "")
        if kind.lower().startswith("multipart/"):
            message = "send the image file itself as the body, not a form"
            raise ApiError(415, message, code="unsupported_media_type")
        image = await request.body()
        if not image:
            raise ApiError(400, "the body is empty: send an image file", code="invalid_image")
        try:
            waiting = served.engine.submit(image, top)
        except (QueueFullError, EngineClosedError) as error:
            raise as_api_error(error) from None
        answer = _seen(waiting, served.limits.answer_seconds)
        found = await while_connected(request.receive, answer)
        if found is None:
            return Response(status_code=499)
        return JSONResponse({"model": served.name, **_shown(found)})


async def _seen(waiting: Future[Seen], seconds: float) -> Seen:
    """What is said of an image; it is no longer wanted when this is cancelled. Raises ApiError."""
    try:
        async with asyncio.timeout(seconds):
            return await asyncio.wrap_future(waiting)
    except BrokenError as error:
        message = f"the file {error}"[:REASON].encode(errors="replace").decode()
        raise ApiError(400, message, code="invalid_image") from None
    except Exception as error:
        raise as_api_error(error) from None


def _shown(found: Seen) -> dict[str, Any]:
    return {
        "classes": [{"name": name, "probability": share} for name, share in found.classes],
        "image": {"width": found.width, "height": found.height},
    }
