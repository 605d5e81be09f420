"""From a request on the wire to jobs for the engine: encoded, and within every bound."""

import secrets
from collections.abc import Sequence

from maquette.errors import UsageError
from maquette.generation.batching import Request
from maquette.generation.chat import Prompt, fit_chat
from maquette.generation.text import TextStream
from maquette.serving.engine import Job
from maquette.serving.limits import Limits
from maquette.serving.wire import INT64, ApiError, ChatRequest, CompletionRequest, Sampled
from maquette.tokenizers import chat
from maquette.tokenizers.base import Tokenizer

COMPLETION_TOKENS = 16
"""Written by /v1/completions when nothing is said, as by OpenAI's."""


def chat_jobs(
    body: ChatRequest, tokenizer: Tokenizer, context: int, limits: Limits
) -> tuple[list[Job], Prompt]:
    """The jobs of a chat, and what the model reads of it. Raises ApiError."""
    messages = [message.plain() for message in body.messages]
    if len(messages) > limits.messages:
        raise ApiError(400, f"at most {limits.messages} messages are read", param="messages")
    _check_characters([message["content"] for message in messages], limits, "messages")
    prompt = _prompt(body, messages, tokenizer, context)
    ids = prompt.ids
    # Unless told otherwise the answer may fill the window, and a little more than that.
    tokens = body.new_tokens or min(max(COMPLETION_TOKENS, context - len(ids)), limits.tokens)
    field = "max_completion_tokens" if body.max_completion_tokens else "max_tokens"
    _check_tokens(tokens, limits, field)
    stops = (*body.stops(limits), *chat.stop_strings(tokenizer))
    return _jobs(
        body,
        [ids],
        tokens=tokens,
        stops=stops,
        stop_tokens=chat.stop_tokens(tokenizer),
        alternatives=body.alternatives,
        tokenizer=tokenizer,
        limits=limits,
        trim=True,
    ), prompt


def _prompt(
    body: ChatRequest, messages: list[dict[str, str]], tokenizer: Tokenizer, context: int
) -> Prompt:
    """All that was said, or with `drop_oldest` what fits, as in the terminal. Raises ApiError."""
    try:
        chat.check_chat(tokenizer)
    except UsageError as error:
        raise ApiError(400, error.message, param="messages") from None
    if not body.drop_oldest:
        ids = chat.encode_chat(tokenizer, messages)
        _check_context(ids, context, "messages")
        return Prompt(ids, 0)
    try:
        answer = body.new_tokens or context
        return fit_chat(tokenizer, messages, context=context, answer=answer)
    except UsageError as error:
        raise ApiError(
            400, error.message, param="messages", code="context_length_exceeded"
        ) from None


def completion_jobs(
    body: CompletionRequest, tokenizer: Tokenizer, context: int, limits: Limits
) -> tuple[list[Job], int]:
    """The jobs of a completion, and its prompts' tokens. Raises ApiError."""
    prompts = body.prompts()
    if len(prompts) > limits.choices:
        raise ApiError(400, f"at most {limits.choices} prompts are read", param="prompt")
    _check_characters([one for one in prompts if isinstance(one, str)], limits, "prompt")
    encoded: list[list[int]] = []
    for prompt in prompts:
        ids = tokenizer.encode(prompt).tolist() if isinstance(prompt, str) else prompt
        ids = ids or [tokenizer.end_of_text]
        if min(ids) < 0 or max(ids) >= tokenizer.vocabulary:
            raise ApiError(400, f"ids are 0 ... {tokenizer.vocabulary - 1}", param="prompt")
        _check_context(ids, context, "prompt")
        encoded.append(ids)
    tokens = body.max_tokens or COMPLETION_TOKENS
    _check_tokens(tokens, limits, "max_tokens")
    return _jobs(
        body,
        encoded,
        tokens=tokens,
        stops=body.stops(limits),
        stop_tokens=(tokenizer.end_of_text,),
        alternatives=body.logprobs,
        tokenizer=tokenizer,
        limits=limits,
        trim=False,
    ), sum(map(len, encoded))


def _jobs(
    body: Sampled,
    prompts: Sequence[list[int]],
    *,
    tokens: int,
    stops: Sequence[str],
    stop_tokens: Sequence[int],
    alternatives: int | None,
    tokenizer: Tokenizer,
    limits: Limits,
    trim: bool,
) -> list[Job]:
    """`n` jobs a prompt. Their seeds count up from the request's, so that they differ."""
    n = body.n or 1
    if n * len(prompts) > limits.choices:
        raise ApiError(400, f"at most {limits.choices} choices can be written", param="n")
    first = secrets.randbelow(INT64) if body.seed is None else body.seed
    return [
        Job(
            Request(
                ids,
                tokens,
                options=body.options(),
                seed=(first + i) % INT64,
                stop_tokens=frozenset(stop_tokens),
                logprobs=alternatives,
            ),
            TextStream(tokenizer, stops, trim=trim),
        )
        for ids in prompts
        for i in range(n)
    ]


def _check_characters(texts: Sequence[str], limits: Limits, param: str) -> None:
    if sum(map(len, texts)) > limits.characters:
        message = f"the text may have at most {limits.characters} characters"
        raise ApiError(400, message, param=param, code="string_above_max_length")


def _check_context(ids: Sequence[int], context: int, param: str) -> None:
    if len(ids) > context:
        raise ApiError(
            400,
            f"this model's context is {context} tokens, and the prompt has {len(ids)}",
            param=param,
            code="context_length_exceeded",
        )


def _check_tokens(tokens: int, limits: Limits, param: str) -> None:
    if tokens > limits.tokens:
        raise ApiError(400, f"`{param}` may be at most {limits.tokens}", param=param)
