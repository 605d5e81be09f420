"""The real client, unmodified, against a real server."""

import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openai
import pytest

from maquette.generation.sampling import SamplingOptions
from maquette.generation.text import generate_text
from maquette.tokenizers.bytes import BytesTokenizer
from maquette.tokenizers.chat import STOPS, format_chat
from tests.serving.live import CONTEXT, MODEL, TOKEN, Live, http

MESSAGES: Any = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello!"}]


def expected(live: Live, prompt: str, tokens: int, **how: object) -> str:
    options = how.pop("options", SamplingOptions(temperature=0))
    pieces = generate_text(
        live.model,
        BytesTokenizer(),
        prompt,
        max_new_tokens=tokens,
        options=options,  # type: ignore[arg-type]
        **how,  # type: ignore[arg-type]
    )
    return "".join(pieces)


def chat(client: openai.OpenAI, **fields: object) -> openai.types.chat.ChatCompletion:
    fields = {"model": MODEL, "messages": MESSAGES, "temperature": 0, "max_tokens": 20, **fields}
    return client.chat.completions.create(**fields)  # type: ignore[call-overload,no-any-return]


def complete(client: openai.OpenAI, **fields: object) -> openai.types.Completion:
    fields = {"model": MODEL, "prompt": "the cat", "temperature": 0, "max_tokens": 20, **fields}
    return client.completions.create(**fields)  # type: ignore[call-overload,no-any-return]


def test_the_model_is_listed(client: openai.OpenAI) -> None:
    (model,) = client.models.list().data
    assert (model.id, model.object, model.owned_by) == (MODEL, "model", "maquette")
    assert client.models.retrieve(MODEL) == model
    with pytest.raises(openai.NotFoundError) as error:
        client.models.retrieve("gpt-4o")
    assert error.value.code == "model_not_found"


def test_a_chat_is_answered_as_by_plain_generation(live: Live, client: openai.OpenAI) -> None:
    answer = chat(client)
    text = expected(live, format_chat(MESSAGES), 20, stop=STOPS).strip()
    (choice,) = answer.choices
    assert len(text) > 3
    assert (choice.message.role, choice.message.content) == ("assistant", text)
    assert (choice.finish_reason, choice.logprobs) == ("length", None)
    assert (answer.object, answer.model) == ("chat.completion", MODEL)
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 20
    assert answer.usage.prompt_tokens == len(format_chat(MESSAGES))
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + 20


def test_a_stream_is_the_same_answer_in_pieces(client: openai.OpenAI) -> None:
    fields = {"messages": MESSAGES, "seed": 7, "max_completion_tokens": 30}
    whole = chat(client, temperature=1, max_tokens=None, **fields)
    chunks = list(
        client.chat.completions.create(
            model=MODEL, stream=True, stream_options={"include_usage": True}, **fields
        )
    )
    assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}
    assert len({chunk.id for chunk in chunks}) == 1
    *parts, last = chunks
    assert parts[0].choices[0].delta.role == "assistant"
    texts = [part.choices[0].delta.content or "" for part in parts]
    assert "".join(texts) == whole.choices[0].message.content
    assert sum(map(bool, texts)) > 5
    assert [p.choices[0].finish_reason for p in parts] == [None] * (len(parts) - 1) + ["length"]
    assert all(part.usage is None for part in parts)
    assert last.choices == []
    assert last.usage == whole.usage


def test_usage_comes_only_where_it_was_asked_for(client: openai.OpenAI) -> None:
    chunks = list(
        client.completions.create(model=MODEL, prompt="a", max_tokens=3, stream=True, seed=1)
    )
    assert all(chunk.choices and chunk.usage is None for chunk in chunks)


@pytest.mark.parametrize("kind", ["chat", "completion"])
def test_it_ends_before_a_stop_string(client: openai.OpenAI, kind: str) -> None:
    def written(**fields: object) -> tuple[str, str]:
        if kind == "chat":
            choice = chat(client, max_tokens=40, **fields).choices[0]
            return choice.message.content or "", choice.finish_reason
        found = complete(client, max_tokens=40, **fields).choices[0]
        return found.text, found.finish_reason

    free, why = written()
    assert why == "length"
    cut = free[: free.index(free[4:7])]
    cut = cut.rstrip() if kind == "chat" else cut
    for stop in (free[4:7], [free[4:7], "never there"]):
        assert written(stop=stop) == (cut, "stop")


def test_a_completion_is_that_of_plain_generation(live: Live, client: openai.OpenAI) -> None:
    options = SamplingOptions(0.9, top_k=20, top_p=0.9, min_p=0.01, repetition_penalty=1.1)
    fields = {"temperature": 0.9, "top_p": 0.9, "seed": 11}
    extra = {"top_k": 20, "min_p": 0.01, "repetition_penalty": 1.1}
    found = complete(client, max_tokens=200, extra_body=extra, **fields)
    assert found.choices[0].text == expected(live, "the cat", 200, options=options, seed=11)
    assert found.object == "text_completion"
    assert complete(client, max_tokens=9, prompt=list(b"the cat")).choices[0].text == expected(
        live, "the cat", 9
    )


def test_several_choices_have_seeds_of_their_own(live: Live, client: openai.OpenAI) -> None:
    found = complete(client, prompt=["one", "two"], n=2, seed=5, temperature=1)
    texts = [choice.text for choice in found.choices]
    assert [choice.index for choice in found.choices] == [0, 1, 2, 3]
    plain = SamplingOptions()
    assert texts == [
        expected(live, prompt, 20, options=plain, seed=seed)
        for prompt in ("one", "two")
        for seed in (5, 6)
    ]
    assert len(set(texts)) == 4
    chunks: Any = client.chat.completions.create(
        model=MODEL, messages=MESSAGES, n=3, max_tokens=5, seed=1, stream=True
    )
    assert {choice.index for chunk in chunks for choice in chunk.choices} == {0, 1, 2}


def test_no_seed_means_another_answer_each_time(client: openai.OpenAI) -> None:
    assert len({complete(client, temperature=1).choices[0].text for _ in range(3)}) == 3


def test_probabilities_of_a_chat(client: openai.OpenAI) -> None:
    answer = chat(client, logprobs=True, top_logprobs=3).choices[0]
    assert answer.logprobs is not None
    content = answer.logprobs.content
    assert content is not None
    assert len(content) == 20
    written = b"".join(bytes(one.bytes or []) for one in content)
    assert written.decode().strip() == answer.message.content
    for one in content:
        assert one.top_logprobs[0].token == one.token  # greedy
        assert one.top_logprobs[0].logprob == one.logprob
        assert sum(math.exp(top.logprob) for top in one.top_logprobs) <= 1 + 1e-9
        assert len(one.top_logprobs) == 3
    chunks: Any = client.chat.completions.create(
        model=MODEL,
        messages=MESSAGES,
        temperature=0,
        max_tokens=20,
        logprobs=True,
        top_logprobs=3,
        stream=True,
    )
    streamed = [
        one
        for chunk in chunks
        if chunk.choices[0].logprobs
        for one in chunk.choices[0].logprobs.content or []
    ]
    assert [(one.token, one.logprob) for one in streamed] == [
        (one.token, pytest.approx(one.logprob, abs=1e-5)) for one in content
    ]


def test_probabilities_of_a_completion(client: openai.OpenAI) -> None:
    found = complete(client, logprobs=2, max_tokens=6).choices[0]
    assert found.logprobs is not None
    assert "".join(found.logprobs.tokens or []) == found.text
    assert found.logprobs.text_offset == list(range(6))
    for token, value, top in zip(
        found.logprobs.tokens or [],
        found.logprobs.token_logprobs or [],
        found.logprobs.top_logprobs or [],
        strict=True,
    ):
        assert top[token] == value == max(top.values())
        assert len(top) == 2


def test_probabilities_end_where_the_text_is_cut(client: openai.OpenAI) -> None:
    free = complete(client, max_tokens=30).choices[0].text
    cut = complete(client, max_tokens=30, logprobs=1, stop=free[6:9]).choices[0]
    assert cut.logprobs is not None
    assert "".join(cut.logprobs.tokens or []) == cut.text == free[: free.index(free[6:9])]


def test_many_clients_at_once_get_what_each_would_get_alone(
    live: Live, client: openai.OpenAI
) -> None:
    prompts = [f"prompt number {i}" for i in range(12)]

    def ask(i: int) -> str:
        return complete(client, prompt=prompts[i], seed=i, temperature=1).choices[0].text

    with ThreadPoolExecutor(12) as pool:
        found = list(pool.map(ask, range(12)))
    plain = SamplingOptions()
    assert found == [expected(live, prompts[i], 20, options=plain, seed=i) for i in range(12)]


@pytest.mark.parametrize("length", [CONTEXT, CONTEXT + 1])
def test_a_prompt_longer_than_the_context_is_refused(client: openai.OpenAI, length: int) -> None:
    if length == CONTEXT:
        assert complete(client, prompt="a" * length, max_tokens=2).choices[0].text
        return
    for ask in (
        lambda: complete(client, prompt="a" * length),
        lambda: chat(client, messages=[{"role": "user", "content": "a" * length}]),
    ):
        with pytest.raises(openai.BadRequestError) as error:
            ask()
        assert error.value.code == "context_length_exceeded"
        assert str(CONTEXT) in error.value.message


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"temperature": 3}, "temperature"),
        ({"temperature": -1}, "temperature"),
        ({"top_p": 1.5}, "top_p"),
        ({"n": 0}, "n"),
        ({"n": 9}, "n"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 10**6}, "max_tokens"),
        ({"max_tokens": 20, "max_completion_tokens": 21}, "max_tokens"),
        ({"stop": ["a"] * 5}, "stop"),
        ({"stop": ""}, "stop"),
        ({"stop": "a" * 201}, "stop"),
        ({"seed": 2**63}, "seed"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "user", "content": "a"}] * 513}, "messages"),
        ({"messages": [{"role": "user", "content": "a" * 200_001}]}, "messages"),
        ({"messages": [{"role": "tool", "content": "a"}]}, "messages.0.role"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            "messages.0.content.0.type",
        ),
        ({"stop": 3}, "stop"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"presence_penalty": 1}, "presence_penalty"),
        ({"logit_bias": {"1": 5}}, "logit_bias"),
    ],
)
def test_what_is_wrong_is_named(
    client: openai.OpenAI, fields: dict[str, object], param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as error:
        chat(client, **fields)
    assert error.value.type == "invalid_request_error"
    assert error.value.message
    assert error.value.param == param


def test_what_is_not_there_is_refused_in_plain_words(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as error:
        chat(client, tools=[{"type": "function", "function": {"name": "f"}}])
    assert error.value.body is not None
    assert error.value.body["message"] == "`tools` is not supported"  # type: ignore[index]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"model": ', "the body is not JSON"),
        (b"model=tiny", "the body is not JSON"),
        (b"[]", "the body is not an object in application/json"),
        (b'"text"', "the body is not an object in application/json"),
        (b"", "the body is not an object in application/json"),
    ],
)
def test_what_is_no_request_at_all_is_told(live: Live, body: bytes, message: str) -> None:
    with http(live) as client:
        kind = {"content-type": "application/json"}
        answer = client.post("/v1/completions", content=body, headers=kind)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == message
    assert answer.json()["error"]["param"] is None


def test_one_number_of_tokens_by_both_names_is_fine(client: openai.OpenAI) -> None:
    written = chat(client, max_tokens=5, max_completion_tokens=5)
    assert written.usage is not None
    assert written.usage.completion_tokens == 5


def test_what_changes_nothing_is_ignored(client: openai.OpenAI) -> None:
    same = chat(client, user="me", presence_penalty=0, response_format={"type": "text"})
    assert same.choices[0].message == chat(client).choices[0].message
    parts = [{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo!"}]
    messages = [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": parts}]
    assert chat(client, messages=messages).choices[0] == chat(client).choices[0]


def test_without_the_key_nothing_is_answered(live: Live) -> None:
    wrong = openai.OpenAI(base_url=f"{live.address}/v1", api_key=TOKEN + "x", max_retries=0)
    with wrong, pytest.raises(openai.AuthenticationError) as error:
        wrong.models.list()
    assert error.value.code == "invalid_api_key"
