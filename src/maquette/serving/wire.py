"""What goes over the wire: the OpenAI API's requests and errors.

Fields that change nothing for a model like ours (`user`, `metadata`, ...) are read and ignored;
those that ask for what it can't do are refused by name, so that nobody believes they worked.
"""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from maquette.generation.sampling import SamplingOptions
from maquette.serving.limits import Limits

INT64 = 2**63
Kind = Literal["invalid_request_error", "authentication_error", "rate_limit_error", "server_error"]
Stop = str | list[str] | None
NUCLEUS_OF_ONE = 1e-9
"""What `top_p` 0 means: the likeliest token alone."""


class ApiError(Exception):
    """An answer in OpenAI's form instead of a result."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        kind: Kind = "invalid_request_error",
    ) -> None:
        super().__init__(message)
        self.status = status
        self.body = error_body(message, param=param, code=code, kind=kind)


def error_body(
    message: str,
    *,
    param: str | None = None,
    code: str | None = None,
    kind: Kind = "invalid_request_error",
) -> dict[str, Any]:
    """`{"error": {"message", "type", "param", "code"}}`."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def too_many_waiting() -> ApiError:
    """For whoever comes when there is no room."""
    return ApiError(
        429,
        "too many requests are waiting; try again in a moment",
        code="rate_limit_exceeded",
        kind="rate_limit_error",
    )


class Wire(BaseModel):
    """Unknown fields are ignored, as OpenAI adds some every month."""

    model_config = ConfigDict(extra="ignore")


class TextPart(Wire):
    """A piece of a message."""

    type: Literal["text"]
    text: str


class ChatMessage(Wire):
    """One turn; `developer` is another name for `system`."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[TextPart] | None = None

    def plain(self) -> dict[str, str]:
        """As `tokenizers.chat` takes it."""
        content = self.content or ""
        if not isinstance(content, str):
            content = "".join(part.text for part in content)
        return {"role": "system" if self.role == "developer" else self.role, "content": content}


class StreamOptions(Wire):
    """Whether the last chunk tells how many tokens there were."""

    include_usage: bool = False


class Sampled(Wire):
    """What both kinds of request have. top_k, min_p and repetition_penalty are our additions."""

    model: str
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=1)] | None = None
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    repetition_penalty: Annotated[float, Field(gt=0, le=10)] | None = None
    n: Annotated[int, Field(ge=1)] | None = None
    seed: Annotated[int, Field(ge=-INT64, lt=INT64)] | None = None
    stop: Stop = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None

    # Field -> the values that ask for nothing.
    unsupported: ClassVar[dict[str, Sequence[Any]]] = {
        "presence_penalty": (0,),
        "frequency_penalty": (0,),
        "logit_bias": ({},),
    }

    @model_validator(mode="before")
    @classmethod
    def _refuse_what_is_not_there(cls, data: Any) -> Any:
        for name, neutral in cls.unsupported.items() if isinstance(data, dict) else ():
            if data.get(name) is not None and data[name] not in neutral:
                raise ApiError(400, f"`{name}` is not supported", param=name)
        return data

    def options(self) -> SamplingOptions:
        """How tokens are drawn; OpenAI's defaults."""
        top_p = 1.0 if self.top_p is None else max(self.top_p, NUCLEUS_OF_ONE)
        return SamplingOptions(
            temperature=1.0 if self.temperature is None else self.temperature,
            top_k=self.top_k,
            top_p=top_p,
            min_p=self.min_p or 0.0,
            repetition_penalty=self.repetition_penalty or 1.0,
        )

    def stops(self, limits: Limits) -> tuple[str, ...]:
        """The stop strings. Raises ApiError for too many, too long ones, or an empty one."""
        stop = [] if self.stop is None else self.stop
        stops = (stop,) if isinstance(stop, str) else tuple(stop)
        if len(stops) > limits.stops:
            raise ApiError(400, f"`stop` may hold at most {limits.stops} strings", param="stop")
        if not all(0 < len(one) <= limits.stop_characters for one in stops):
            message = f"a string of `stop` has 1 to {limits.stop_characters} characters"
            raise ApiError(400, message, param="stop")
        return stops

    @property
    def wants_usage(self) -> bool:
        """Whether a stream ends with a chunk that tells usage."""
        return self.stream_options is not None and self.stream_options.include_usage


class ChatRequest(Sampled):
    """POST /v1/chat/completions."""

    messages: Annotated[list[ChatMessage], Field(min_length=1)]
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    drop_oldest: bool | None = None
    """Ours: leave out the oldest messages where not all fit."""

    unsupported: ClassVar[dict[str, Sequence[Any]]] = {
        **Sampled.unsupported,
        "tools": ([],),
        "functions": ([],),
        "tool_choice": ("none", "auto"),
        "function_call": ("none", "auto"),
        "response_format": ({"type": "text"},),
        "modalities": (["text"],),
        "audio": (),
        "prediction": (),
        "web_search_options": (),
    }

    @property
    def new_tokens(self) -> int | None:
        """How many tokens to write at most, by either name. Raises ApiError for two answers."""
        older, newer = self.max_tokens, self.max_completion_tokens
        if older is not None and newer is not None and older != newer:
            message = f"`max_tokens` is {older}, but `max_completion_tokens` is {newer}; give one"
            raise ApiError(400, message, param="max_tokens")
        return newer or older

    @property
    def alternatives(self) -> int | None:
        """How many alternatives to tell a token; None for no probabilities."""
        if not self.logprobs:
            if self.top_logprobs:
                message = "`top_logprobs` needs `logprobs: true`"
                raise ApiError(400, message, param="top_logprobs")
            return None
        return self.top_logprobs or 0


class CompletionRequest(Sampled):
    """POST /v1/completions."""

    prompt: str | list[str] | list[int] | list[list[int]] = ""
    logprobs: Annotated[int, Field(ge=0, le=5)] | None = None

    unsupported: ClassVar[dict[str, Sequence[Any]]] = {
        **Sampled.unsupported,
        "suffix": ("",),
        "echo": (False,),
        "best_of": (1,),
    }

    def prompts(self) -> list[str | list[int]]:
        """Each prompt, as text or ids."""
        given = self.prompt
        if isinstance(given, str):
            return [given]
        if all(isinstance(one, int) for one in given):
            return [[one for one in given if isinstance(one, int)] if given else ""]
        return [one for one in given if not isinstance(one, int)]
