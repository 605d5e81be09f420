import math
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maquette.blueprint.blueprint import Blueprint
from maquette.blueprint.resolve import resolve, round_up
from maquette.blueprint.serial import from_json, to_json
from maquette.errors import SpecError
from maquette.facts import DataFacts, SplitFacts
from maquette.spec.load import load_spec, parse_spec
from maquette.spec.parts import Muon, Schedule
from maquette.spec.schema import (
    BPETokenizer,
    GPTModel,
    Spec,
    Train,
)
from maquette.spec.task import language
from tests.presets import LANGUAGE


def split(tokens: int) -> SplitFacts:
    return SplitFacts(documents=3, tokens=tokens, bytes=4 * tokens)


def facts(train: int = 100_000, validation: int = 10_000, vocabulary: int = 256) -> DataFacts:
    splits = {"train": split(train), "validation": split(validation)}
    return DataFacts(vocabulary, {"stories": splits})


def build(text: str, data: DataFacts | None = None) -> Blueprint:
    return resolve(language(parse_spec(f"name: a\n{text}", origin="spec")), data or facts())


class TestShape:
    @pytest.mark.parametrize(
        ("mlp", "width", "hidden"),
        [("gelu", 768, 3072), ("relu2", 128, 512), ("swiglu", 768, 2048), ("swiglu", 8, 64),
         ("swiglu", 320, 896), ("swiglu", 384, 1024)],
    )  # fmt: skip
    def test_hidden_worked_out_by_hand(self, mlp: str, width: int, hidden: int) -> None:
        shape = build(f"model: {{mlp: {mlp}, width: {width}, heads: 4}}").shape
        assert shape.hidden == hidden

    def test_hidden_as_asked(self) -> None:
        assert build("model: {hidden: 100}").shape.hidden == 100

    def test_heads(self) -> None:
        shape = build("model: {width: 96, heads: 6}").shape
        assert (shape.head_dim, shape.kv_heads) == (16, 6)
        assert build("model: {width: 96, heads: 6, kv_heads: 2}").shape.kv_heads == 2

    def test_the_vocabulary_is_what_the_data_says(self) -> None:
        spec = "tokenizer: {kind: bpe, vocabulary: 4096}"
        blueprint = build(spec, facts(vocabulary=3000))
        assert blueprint.shape.vocabulary == 3000
        assert blueprint.tokenizer == "bpe"

    @pytest.mark.parametrize(("number", "up"), [(0, 64), (1, 64), (64, 64), (65, 128)])
    def test_round_up(self, number: int, up: int) -> None:
        assert round_up(number, 64) == up


class TestSteps:
    def test_defaults(self) -> None:
        train = build("model: {context: 64}").train
        assert train.steps == 2000
        assert train.windows_per_epoch == 100_000 // 64
        assert train.tokens_per_step == 32 * 64
        assert train.tokens == 2000 * 32 * 64
        assert train.epochs == 2000 * 32 / 1562
        assert (train.evaluate_every, train.sample_every, train.checkpoint_every) == (
            100,
            400,
            None,
        )
        assert train.schedule.warmup_steps == 100
        assert train.evaluate_windows == 128

    def test_of_epochs(self) -> None:
        train = build("model: {context: 100}\ntrain: {epochs: 2.5, batch_size: 16}").train
        assert train.steps == math.ceil(2.5 * 1000 / 16) == 157
        assert train.epochs >= 2.5

    def test_of_a_sliver_of_an_epoch(self) -> None:
        assert build("train: {epochs: 0.0001}").train.steps == 1

    def test_windows_of_several_sources_add_up(self) -> None:
        sources = {
            "a": {"train": split(1000), "validation": split(0)},
            "b": {"train": split(555), "validation": split(250)},
        }
        text = "model: {context: 100}\ndata: {sources: {a: {kind: stories}, b: {kind: stories}}}"
        train = build(text, DataFacts(256, sources)).train
        assert train.windows_per_epoch == 10 + 5
        assert train.evaluate_windows == 3

    def test_a_single_step(self) -> None:
        train = build("train: {steps: 1}").train
        assert (train.evaluate_every, train.sample_every) == (1, 1)
        assert (train.schedule.warmup_steps, train.schedule.decay_steps) == (0, 1)

    @pytest.mark.parametrize(
        ("schedule", "warmup", "decay"),
        [
            ("{kind: cosine}", 50, 950),
            ("{kind: linear, warmup_steps: 10}", 10, 990),
            ("{kind: constant}", 50, 0),
            ("{kind: wsd, decay_fraction: 0.3}", 50, 300),
            ("{kind: wsd, decay_fraction: 1, warmup_steps: 100}", 100, 900),
        ],
    )
    def test_schedules(self, schedule: str, warmup: int, decay: int) -> None:
        plan = build(f"train: {{steps: 1000, schedule: {schedule}}}").train.schedule
        assert (plan.warmup_steps, plan.decay_steps) == (warmup, decay)


class TestRefusals:
    def test_a_source_shorter_than_a_window(self) -> None:
        with pytest.raises(SpecError, match=re.escape("source stories, which has 256 tokens")):
            build("model: {context: 256}", facts(train=256))
        assert build("model: {context: 256}", facts(train=257)).train.windows_per_epoch == 1

    def test_the_repair_fits(self) -> None:
        with pytest.raises(SpecError) as caught:
            build("model: {context: 4096}", facts(train=4000, validation=400))
        context = int(caught.value.message.partition("try model.context=")[2].split()[0])
        build(f"model: {{context: {context}}}", facts(train=4000, validation=400))

    def test_validation_without_a_window(self) -> None:
        with pytest.raises(SpecError, match=re.escape("validation text (tokens: stories 255)")):
            build("model: {context: 256}", facts(validation=255))
        assert build("model: {context: 256}", facts(validation=256)).train.evaluate_windows == 1

    def test_warmup_longer_than_the_epochs(self) -> None:
        with pytest.raises(SpecError, match="warmup_steps=500 is more than the run's 13 steps"):
            build("train: {epochs: 1, schedule: {warmup_steps: 500}}")

    def test_impossible_combinations_made_in_python(self) -> None:
        with pytest.raises(SpecError, match="does not divide"):
            resolve(Spec(model=GPTModel(width=256, heads=6)), facts())


@pytest.mark.parametrize("name", LANGUAGE)
def test_presets_resolve(name: str) -> None:
    spec = language(load_spec(name))
    data = DataFacts(
        getattr(spec.tokenizer, "vocabulary", 256),
        {
            source: {"train": split(2_000_000), "validation": split(200_000)}
            for source in spec.data.sources
        },
    )
    blueprint = resolve(spec, data)
    assert from_json(to_json(blueprint)) == blueprint


_SPECS = st.builds(
    lambda heads, group, pairs, model, train, tokenizer: Spec(
        model=GPTModel(
            heads=heads * group, kv_heads=heads, width=heads * group * pairs * 8, **model
        ),
        train=Train(**train),
        tokenizer=tokenizer,
    ),
    st.integers(1, 4),
    st.integers(1, 4),
    st.integers(1, 8),
    st.fixed_dictionaries(
        {
            "depth": st.integers(1, 8),
            "context": st.integers(2, 512),
            "position": st.sampled_from(["learned", "rope"]),
            "norm": st.sampled_from(["layer", "rms"]),
            "mlp": st.sampled_from(["gelu", "swiglu", "relu2"]),
            "qk_norm": st.booleans(),
            "bias": st.booleans(),
            "tie_embeddings": st.booleans(),
            "dropout": st.floats(0, 0.9),
        }
    ),
    st.fixed_dictionaries(
        {
            "learning_rate": st.floats(1e-7, 10),
            "schedule": st.builds(
                Schedule,
                kind=st.sampled_from(["cosine", "linear", "constant", "wsd"]),
                decay_fraction=st.floats(0.001, 1),
            ),
        },
        optional={
            "optimizer": st.just(Muon(kind="muon")),
            "steps": st.integers(1, 10**6),
            "batch_size": st.integers(1, 512),
            "gradient_clip": st.none() | st.floats(0.1, 10),
        },
    ),
    st.just(BPETokenizer(kind="bpe")) | st.builds(lambda: Spec().tokenizer),
)


@settings(max_examples=80, deadline=None)
@given(_SPECS, st.integers(257, 70_000), st.integers(1000, 10**9))
def test_sound_specs_resolve_to_the_same_bytes(spec: Spec, vocabulary: int, tokens: int) -> None:
    data = facts(tokens, tokens // 2 + 512, vocabulary)
    text = to_json(resolve(spec, data))
    again = Spec.model_validate(spec.model_dump())
    assert to_json(resolve(again, data)) == text
    blueprint = from_json(text)
    assert to_json(blueprint) == text
    assert blueprint.parameters["total"] == sum(
        count for part, count in blueprint.parameters.items() if part != "total"
    )
    schedule = blueprint.train.schedule
    assert 0 <= schedule.warmup_steps + schedule.decay_steps <= blueprint.train.steps


class TestMixture:
    FACTS = DataFacts(
        256,
        {name: {"train": split(1000), "validation": split(100)} for name in ("a", "b")},
    )

    @pytest.mark.parametrize(
        ("weights", "shares", "total"),
        [(("0.75", "0.25"), (0.75, 0.25), 1.0), (("3", "5"), (0.375, 0.625), 8.0)],
    )
    def test_weights_become_shares(
        self, weights: tuple[str, str], shares: tuple[float, float], total: float
    ) -> None:
        a, b = (f"{{kind: stories, weight: {weight}}}" for weight in weights)
        text = f"model: {{context: 10}}\ndata: {{sources: {{a: {a}, b: {b}}}}}"
        mixture = build(text, self.FACTS).train.mixture
        assert mixture is not None
        assert mixture.shares == {"a": shares[0], "b": shares[1]}
        assert mixture.given_total == total

    def test_without_weights_there_is_none(self) -> None:
        assert build("").train.mixture is None

    def test_one_weight_alone_is_refused(self) -> None:
        a, b = "{kind: stories, weight: 1}", "{kind: stories}"
        with pytest.raises(SpecError, match=r"sources\.b has no weight, but others have"):
            build(f"data: {{sources: {{a: {a}, b: {b}}}}}", self.FACTS)
