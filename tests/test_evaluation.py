import dataclasses
import math
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch

from maquette.data.prepare import Prepared
from maquette.errors import DataError, UsageError
from maquette.evaluation import Result, evaluate_split, together
from maquette.models.gpt import GPT
from maquette.spec.schema import Spec
from maquette.training.evaluate import Losses
from tests.models.small import small_model
from tests.trained import prepared, write_texts


@pytest.fixture
def data(tmp_path: Path) -> Prepared:
    return prepared(tmp_path, Spec.model_validate({"data": {"sources": write_texts(tmp_path)}}))


@pytest.fixture
def model() -> GPT:
    return small_model(vocabulary=256, scale=1.0)


def nats_of(model: GPT, ids: list[int], start: int) -> float:
    """The nats of one text, windows of 16 end to end, the last one reaching back."""
    total = 0.0
    for begin in range(0, len(ids), 16):
        stop = min(begin + 16, len(ids))
        window = ([start, *ids])[max(0, stop - 16) : stop + 1]
        logits, _ = model(torch.tensor([window[:-1]]))
        assert logits is not None
        scores = logits[0].log_softmax(-1)
        for i in range(stop - begin):
            place = len(window) - 2 - i
            total -= float(scores[place, window[place + 1]])
    return total


@torch.no_grad()
def test_every_token_of_every_source_counts_once(data: Prepared, model: GPT) -> None:
    seen: list[tuple[int, int]] = []
    results = evaluate_split(
        model, data, "test", autocast=nullcontext(), progress=lambda *at: seen.append(at)
    )
    assert list(results) == ["first", "second"]
    for name, result in results.items():
        ids = data.tokens("test")[name].tolist()
        assert result.losses.tokens == len(ids)
        assert result.losses.bytes == data.facts.sources[name]["test"].bytes
        expected = nats_of(model, ids, data.tokenizer.end_of_text)
        assert result.losses.nats == pytest.approx(expected, rel=1e-4)
        assert result.word_perplexity is None
    assert (
        seen[-1][0]
        == seen[-1][1]
        == sum(math.ceil(len(ids) / 16) for ids in data.tokens("test").values())
    )


def test_a_stride_predicts_the_same_tokens_from_more_context(data: Prepared, model: GPT) -> None:
    whole = evaluate_split(model, data, "test", autocast=nullcontext())
    slow = evaluate_split(model, data, "test", autocast=nullcontext(), stride=4)
    for name in whole:
        assert slow[name].losses.tokens == whole[name].losses.tokens
        assert slow[name].losses.nats != whole[name].losses.nats


def test_a_few_windows_are_quicker(data: Prepared, model: GPT) -> None:
    results = evaluate_split(model, data, "validation", autocast=nullcontext(), windows=2)
    assert [r.losses.tokens for r in results.values()] == [32, 32]


@pytest.mark.parametrize("stride", [0, 17, -1])
def test_a_stride_beyond_the_context_would_skip_tokens(
    data: Prepared, model: GPT, stride: int
) -> None:
    with pytest.raises(UsageError, match=f"--stride {stride} must be 1 to 16"):
        evaluate_split(model, data, "test", autocast=nullcontext(), stride=stride)


def test_a_split_that_the_data_lacks_is_refused(data: Prepared, model: GPT) -> None:
    sources = {
        name: {split: facts for split, facts in splits.items() if split != "test"}
        for name, splits in data.facts.sources.items()
    }
    facts = dataclasses.replace(data.facts, sources=sources)
    with pytest.raises(DataError, match="no test split") as caught:
        evaluate_split(
            model, dataclasses.replace(data, facts=facts), "test", autocast=nullcontext()
        )
    assert caught.value.hint == "it has train, validation"


def test_together_is_one_text_and_words_count_only_if_all_count_them() -> None:
    one, two = Losses(100.0, 50, 200), Losses(50.0, 50, 100)
    both = together([Result(one, 5.0), Result(two, 4.0)])
    assert both.losses == Losses(150.0, 100, 300)
    # 40 and 25 words
    assert both.word_perplexity == pytest.approx(math.exp(150 / 65))
    assert together([Result(one, 5.0), Result(two, None)]).word_perplexity is None
    assert together([Result(one, 5.0)]).word_perplexity == pytest.approx(math.exp(100 / 40))
