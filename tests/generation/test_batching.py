from collections.abc import Sequence

import pytest
import torch

from maquette.generation.batching import BatchDecoder, Request, Stream, Written
from maquette.generation.decode import generate
from maquette.generation.sampling import SamplingOptions
from maquette.models.gpt import GPT
from maquette.shapes import GPTShape
from tests.models.small import SHAPES, small_model

GREEDY = SamplingOptions(temperature=0)
LIVELY = SamplingOptions(1.5, top_k=30, top_p=0.95, min_p=0.001, repetition_penalty=1.2)
PLAIN = SamplingOptions()


def request(prompt: Sequence[int], count: int = 40, **how: object) -> Request:
    return Request(prompt, count, **how)  # type: ignore[arg-type]


def alone(model: GPT, wanted: Request) -> list[int]:
    return list(
        generate(
            model,
            wanted.prompt_ids,
            max_new_tokens=wanted.max_new_tokens,
            options=wanted.options,
            seed=wanted.seed,
            stop_tokens=wanted.stop_tokens,
        )
    )


class Record:
    """Steps a decoder and keeps what each stream wrote."""

    def __init__(self, decoder: BatchDecoder) -> None:
        self.decoder = decoder
        self.tokens: dict[Stream, list[int]] = {}
        self.last: dict[Stream, Written] = {}

    def add(self, wanted: Request) -> Stream:
        stream = self.decoder.add(wanted)
        self.tokens[stream] = []
        return stream

    def step(self) -> None:
        for written in self.decoder.step():
            if written.token is not None:
                self.tokens[written.stream].append(written.token)
            self.last[written.stream] = written

    def finish(self) -> None:
        for _ in range(1000):
            if self.decoder.free == self.decoder.slots:
                return
            self.step()
        raise AssertionError("it never ends")


def mixed_requests() -> list[Request]:
    """Prompts short, as long as the context and longer; every way to sample; one with a stop."""
    return [
        request([1], 60, options=GREEDY),
        request([(7 * i) % 64 for i in range(16)], 37, options=LIVELY, seed=5),
        request([(5 * i) % 64 for i in range(40)], 25, options=PLAIN, seed=2**63 - 1),
        request([9, 8, 7], 1, options=GREEDY),
        request([3, 1, 4, 1, 5], 50, options=LIVELY, seed=6),
        request([3, 1, 4, 1, 5], 50, options=LIVELY, seed=7),
        request([11] * 9, 33, options=PLAIN, seed=8, stop_tokens=frozenset(range(0, 64, 9))),
    ]


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("pause", [0, 3])
def test_each_gets_the_tokens_it_would_get_alone(shape: GPTShape, pause: int) -> None:
    model = small_model(shape)
    wanted = mixed_requests()
    record = Record(BatchDecoder(model, slots=len(wanted)))
    streams = []
    for one in wanted:
        streams.append(record.add(one))
        for _ in range(pause):
            record.step()
    record.finish()
    for one, stream in zip(wanted, streams, strict=True):
        expected = alone(model, one)
        assert record.tokens[stream] == expected
        full = len(expected) == one.max_new_tokens
        assert record.last[stream].end == ("length" if full else "stop")
    assert len({tuple(tokens) for tokens in record.tokens.values()}) == len(wanted)


@pytest.mark.parametrize("context", [2, 3, 5])
def test_the_smallest_windows_slide(context: int) -> None:
    model = small_model(context=context)
    record = Record(BatchDecoder(model, slots=3))
    wanted = [request([i + 1] * (i + 1), 20, seed=i) for i in range(3)]
    streams = [record.add(one) for one in wanted]
    record.finish()
    assert [record.tokens[s] for s in streams] == [alone(model, one) for one in wanted]


def test_who_comes_and_goes_changes_nothing_for_the_others() -> None:
    model = small_model()
    generator = torch.Generator().manual_seed(0)

    def number(below: int) -> int:
        return int(torch.randint(below, (), generator=generator))

    record = Record(BatchDecoder(model, slots=4))
    kept: dict[Stream, Request] = {}
    gone: dict[Stream, list[int]] = {}
    for i in range(300):
        if record.decoder.free and number(2):
            prompt = [number(64) for _ in range(1 + number(20))]
            one = request(prompt, 1 + number(30), options=(GREEDY, LIVELY)[i % 2], seed=i)
            kept[record.add(one)] = one
        going = [s for s in kept if s not in record.last or not record.last[s].end]
        if going and number(12) == 0:
            stream = going[number(len(going))]
            del kept[stream]
            record.decoder.remove(stream)
            gone[stream] = list(record.tokens[stream])
        record.step()
    record.finish()
    assert len(kept) > 20
    assert len(gone) > 5
    for stream, one in kept.items():
        assert record.tokens[stream] == alone(model, one)
    for stream, tokens in gone.items():
        assert record.tokens[stream] == tokens  # nothing after it left


def test_long_prompts_do_not_hold_up_those_that_are_being_answered() -> None:
    record = Record(BatchDecoder(small_model(), slots=5))
    first = record.add(request([1], 12))
    record.step()
    late = [record.add(request(list(range(12)), 8)) for _ in range(4)]
    for done in range(4):
        record.step()
        assert len(record.tokens[first]) == done + 2
        assert sum(bool(record.tokens[s]) for s in late) == done + 1
    assert [len(record.tokens[s]) for s in late] == [4, 3, 2, 1]  # who came first is read first


def test_chances_are_those_of_the_model() -> None:
    model = small_model()
    decoder = BatchDecoder(model, slots=2)
    decoder.add(request([9], 12))
    stream = decoder.add(request([5, 6], 10, options=LIVELY, seed=1, logprobs=3))
    ids = [5, 6]
    for _ in range(10):
        (written,) = [w for w in decoder.step() if w.stream is stream]
        with torch.no_grad():
            logits, _ = model(torch.tensor([ids]))
        assert logits is not None
        expected = logits[0, -1].double().log_softmax(-1)
        assert written.token is not None
        assert written.chance is not None
        assert written.chance.token == written.token
        assert written.chance.logprob == pytest.approx(float(expected[written.token]), abs=1e-4)
        values = [value for _, value in written.chance.alternatives]
        assert values == pytest.approx(expected.topk(3).values.tolist(), abs=1e-4)
        assert [i for i, _ in written.chance.alternatives] == expected.topk(3).indices.tolist()
        ids.append(written.token)


def test_an_error_in_one_request_hurts_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    model = small_model()
    record = Record(BatchDecoder(model, slots=3))
    wanted = [request([i + 1], 10, seed=i, options=LIVELY) for i in range(3)]
    first, broken, third = [record.add(one) for one in wanted]
    record.step()
    monkeypatch.setattr(broken, "seen", torch.zeros(3, dtype=torch.bool))
    record.finish()
    assert record.last[broken].error is not None
    assert len(record.tokens[broken]) == 1
    assert record.tokens[first] == alone(model, wanted[0])
    assert record.tokens[third] == alone(model, wanted[2])


def test_a_step_that_fails_for_all_is_made_again_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    model = small_model()
    decoder = BatchDecoder(model, slots=2)
    record = Record(decoder)
    wanted = [request([i + 1], 20, seed=i) for i in range(2)]
    streams = [record.add(one) for one in wanted]
    record.step()

    def fail(*_: object) -> torch.Tensor:
        raise RuntimeError("out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(decoder, "_features", fail)
        record.step()
    record.finish()
    assert [record.tokens[s] for s in streams] == [alone(model, one) for one in wanted]


def test_broken_weights_end_each_with_an_error() -> None:
    model = small_model()
    with torch.no_grad():
        model.get_parameter("norm.weight").fill_(torch.nan)
    decoder = BatchDecoder(model, slots=2)
    for options in (GREEDY, PLAIN):
        decoder.add(request([1], 5, options=options))
    written = decoder.step()
    assert [type(w.error) for w in written] == [FloatingPointError] * 2
    assert decoder.free == 2
    assert decoder.step() == []


@pytest.mark.parametrize("wrong", [request([]), request([64]), request([-1]), request([1], 0)])
def test_what_cannot_be_done_is_refused_at_once(wrong: Request) -> None:
    decoder = BatchDecoder(small_model(), slots=1)
    with pytest.raises(ValueError, match=r"prompt|token"):
        decoder.add(wrong)
    assert decoder.free == 1


def test_the_global_generators_are_left_alone() -> None:
    record = Record(BatchDecoder(small_model(dropout=0.5), slots=1))
    before = torch.get_rng_state()
    record.add(request([1], 5))
    record.finish()
    assert torch.equal(torch.get_rng_state(), before)
