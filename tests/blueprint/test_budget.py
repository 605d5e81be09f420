"""A budget becomes dimensions: within 3 %, monotonously, by rules that published models follow."""

import math
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from maquette.blueprint.blueprint import Blueprint
from maquette.blueprint.budget import choose_vocabulary, generation_seconds, settle
from maquette.blueprint.choices import Choice
from maquette.blueprint.costs import activations_bytes
from maquette.blueprint.ladder import DEEPEST
from maquette.blueprint.resolve import resolve
from maquette.errors import SpecError
from maquette.facts import DataFacts, MachineFacts, SplitFacts
from maquette.spec.load import parse_spec
from maquette.spec.schema import Spec
from maquette.spec.task import language

MACHINE = MachineFacts("cpu", 2e11, 1.5e10, 2e-4)
PLENTY = 10**13


def facts(tokens: int, vocabulary: int) -> DataFacts:
    splits = {name: SplitFacts(1, tokens, 4 * tokens) for name in ("train", "validation")}
    return DataFacts(vocabulary, {"stories": splits})


def settled(text: str, tokens: int = PLENTY) -> tuple[Spec, tuple[Choice, ...], Blueprint]:
    spec, of_vocabulary = choose_vocabulary(language(parse_spec(text, origin="spec")), MACHINE)
    data = facts(tokens, getattr(spec.tokenizer, "vocabulary", 256))
    spec, choices = settle(spec, data, MACHINE)
    return spec, (*of_vocabulary, *choices), resolve(spec, data)


def model(text: str, tokens: int = PLENTY) -> Blueprint:
    return settled(f"model: {{{text}}}", tokens)[2]


def peak(blueprint: Blueprint) -> int:
    c = blueprint.costs
    return c.weights_bytes + c.gradients_bytes + c.optimizer_bytes + c.activations_bytes


def minutes(blueprint: Blueprint) -> float:
    assert MACHINE.flops_per_second is not None
    return blueprint.costs.flops / MACHINE.flops_per_second / 60


MODELS = st.fixed_dictionaries(
    {
        "mlp": st.sampled_from(["gelu", "swiglu", "relu2"]),
        "position": st.sampled_from(["rope", "learned"]),
        "tie_embeddings": st.sampled_from(["true", "false"]),
        "context": st.sampled_from([32, 256, 1024]),
    }
)


def keys(values: dict[str, Any]) -> str:
    return ", ".join(f"{key}: {value}" for key, value in values.items())


class TestParameters:
    @settings(max_examples=60, deadline=None)
    @given(MODELS, st.floats(5.2, 10.5), st.integers(256, 2048))
    def test_within_three_percent_and_heads_divide(
        self, rest: dict[str, Any], power: float, vocabulary: int
    ) -> None:
        wanted = int(10**power)
        assume(rest["context"] <= 256 or wanted > 10**6)
        spec = language(parse_spec(f"model: {{parameters: {wanted}, {keys(rest)}}}", origin="a"))
        assume(vocabulary * 64 < wanted)
        data = facts(PLENTY, vocabulary)
        shape = resolve(settle(spec, data, MACHINE).spec, data)
        assert abs(shape.parameters["total"] / wanted - 1) <= 0.03
        assert shape.shape.heads * shape.shape.head_dim == shape.shape.width
        assert shape.shape.head_dim % 2 == 0
        if wanted > 3e6:
            assert 20 <= shape.shape.width / shape.shape.depth <= 200

    @settings(max_examples=60, deadline=None)
    @given(
        st.integers(300_000, 10**9),
        st.floats(1.0, 1.2),
        st.sampled_from(["", ", depth: 5", ", width: 320", ", heads: 6", ", kv_heads: 2"]),
    )
    def test_more_is_never_smaller(self, less: int, times: float, fixed: str) -> None:
        found = []
        for wanted in (less, math.ceil(times * less)):
            try:
                found.append(model(f"parameters: {wanted}{fixed}").parameters["total"])
            except SpecError:
                assume(False)
        assert found[0] <= found[1]

    @pytest.mark.parametrize(
        ("given_keys", "kept"),
        [
            ("depth: 4", {"depth": 4}),
            ("width: 256", {"width": 256}),
            ("heads: 3", {"heads": 3}),
            ("hidden: 1000", {"hidden": 1000}),
            ("depth: 5, width: 384", {"depth": 5, "width": 384}),
            ("depth: 5, heads: 6, kv_heads: 3", {"depth": 5, "heads": 6, "kv_heads": 3}),
        ],
    )
    def test_what_is_given_stays(self, given_keys: str, kept: dict[str, int]) -> None:
        spec, choices, blueprint = settled(f"model: {{parameters: 10M, {given_keys}}}")
        assert {key: getattr(blueprint.shape, key) for key in kept} == kept
        assert abs(blueprint.parameters["total"] / 1e7 - 1) <= 0.03
        assert not {f"model.{key}" for key in kept} & {choice.key for choice in choices}
        assert spec.model.parameters is None

    def test_training_keys_stay(self) -> None:
        text = "train: {steps: 77, batch_size: 12, accumulation: 3, learning_rate: 0.002}"
        train = settled(f"model: {{parameters: 1M}}\n{text}")[2].train
        assert (train.steps, train.batch_size, train.accumulation) == (77, 12, 3)
        assert train.optimizer.learning_rate == 0.002
        epochs = settled("model: {parameters: 1M}\ntrain: {epochs: 2}", tokens=10**6)[2].train
        assert epochs.epochs == pytest.approx(2, abs=0.01)

    def test_a_given_accumulation_divides_the_batch(self) -> None:
        text = "model: {parameters: 1M}\ntrain: {accumulation: 3}"
        assert settled(text)[2].train.batch_size % 3 == 0


# Parameters -> depth and width of published models of about that size; docs/budget.md has the
# sources.
PUBLISHED = [
    ("parameters: 10.65M, mlp: gelu, bias: true", 65, (6, 384)),  # nanoGPT's characters
    ("size: medium, mlp: gelu, position: learned, context: 1024", 50257, (12, 768)),  # GPT-2
    ("parameters: 355M, mlp: gelu, position: learned, context: 1024", 50257, (24, 1024)),
    ("parameters: 1.1B, kv_heads: 4, tie_embeddings: false", 32000, (22, 2048)),  # TinyLlama
    ("parameters: 6.74B, tie_embeddings: false", 32000, (32, 4096)),  # Llama
]


@pytest.mark.parametrize(("text", "vocabulary", "published"), PUBLISHED)
def test_what_an_expert_chose(text: str, vocabulary: int, published: tuple[int, int]) -> None:
    spec = language(parse_spec(f"model: {{{text}}}", origin="spec"))
    data = facts(PLENTY, vocabulary)
    blueprint = resolve(settle(spec, data, MACHINE).spec, data)
    depth, width = published
    assert 0.6 <= blueprint.shape.depth / depth <= 1.4
    assert 0.75 <= blueprint.shape.width / width <= 1.35
    assert 32 <= blueprint.shape.width / blueprint.shape.depth <= 160
    assert 1e-4 <= blueprint.train.optimizer.learning_rate <= 1e-3
    assert blueprint.train.tokens == pytest.approx(20 * blueprint.parameters["total"], rel=0.01)


def test_of_gpt2_and_llama_the_very_dimensions() -> None:
    """Nobody told the rules about them."""
    small, seven = (
        settle(language(parse_spec(f"model: {{{text}}}", origin="a")), facts(PLENTY, v), MACHINE)
        for text, v, _ in (PUBLISHED[1], PUBLISHED[4])
    )
    assert (small.spec.model.depth, small.spec.model.width, small.spec.model.heads) == (12, 768, 12)
    assert (seven.spec.model.depth, seven.spec.model.width, seven.spec.model.heads) == (
        32,
        4096,
        32,
    )


@pytest.mark.parametrize("size", ["1M", "10M", "124M", "1B", "7B"])
def test_every_choice_says_why(size: str) -> None:
    spec, choices, blueprint = settled(f"model: {{parameters: {size}}}\ntokenizer: {{kind: bpe}}")
    chosen = {choice.key: choice for choice in choices}
    assert set(chosen) == {
        "tokenizer.vocabulary",
        "model.parameters",
        *(f"model.{key}" for key in ("depth", "width", "heads", "hidden")),
        *(f"train.{key}" for key in ("steps", "batch_size", "accumulation", "learning_rate")),
    }
    assert all(choice.why for choice in choices)
    for key, choice in chosen.items():
        part, _, name = key.partition(".")
        if key != "model.parameters":
            assert getattr(getattr(spec, part), name) == choice.value
    assert blueprint.shape.vocabulary * blueprint.shape.width <= 0.3 * blueprint.parameters["total"]


class TestLimits:
    @settings(max_examples=12, deadline=None)
    @given(st.floats(7.5, 10), st.sampled_from([64, 256, 1024]))
    def test_memory_is_filled_to_less_than_a_window(self, power: float, context: int) -> None:
        memory = int(10**power)
        blueprint = model(f"memory: {memory}, context: {context}")
        assert peak(blueprint) <= memory
        assert memory - peak(blueprint) < activations_bytes(blueprint.shape, 1) + 0.03 * memory

    @settings(max_examples=8, deadline=None)
    @given(st.floats(-3, -1.3))
    def test_latency_is_kept_to_less_than_a_block(self, power: float) -> None:
        latency = 10**power
        takes = generation_seconds(model(f"latency: {latency}").shape, MACHINE)
        assert 0.97 * latency - 2e-4 <= takes <= latency

    @settings(max_examples=25, deadline=None)
    @given(st.floats(-1, 3), st.sampled_from(["", ", parameters: 1M"]))
    def test_minutes_are_used(self, power: float, fixed: str) -> None:
        asked = 10**power
        blueprint = model(f"minutes: {asked}{fixed}")
        assert 0.97 * asked <= minutes(blueprint) <= asked

    @pytest.mark.parametrize("key", ["memory", "latency", "minutes"])
    @settings(max_examples=6, deadline=None)
    @given(share=st.floats(1, 10), times=st.floats(1, 1.5))
    def test_more_is_never_smaller(self, key: str, share: float, times: float) -> None:
        unit = {"memory": 10**8, "latency": 0.005, "minutes": 1.0}[key]
        less, more = share * unit, share * unit * times
        if key == "memory":
            less, more = int(less), math.ceil(more)
        sizes = [model(f"{key}: {each}").parameters["total"] for each in (less, more)]
        assert sizes[0] <= sizes[1]

    def test_the_tightest_wins_and_says_so(self) -> None:
        text = "memory: 100MiB, minutes: 600, latency: 1s"
        _, choices, blueprint = settled(f"model: {{{text}}}")
        assert blueprint.parameters == model("memory: 100MiB").parameters
        why = next(choice.why for choice in choices if choice.key == "model.parameters")
        assert "model.memory=100 MiB allows" in why
        assert "model.minutes would allow more" in why

    def test_minutes_shorten_what_the_parameters_want(self) -> None:
        _, choices, blueprint = settled("model: {parameters: 5M, minutes: 15}")
        assert blueprint.train.tokens < 20 * blueprint.parameters["total"]
        why = next(choice.why for choice in choices if choice.key == "train.steps")
        assert "model.minutes=15" in why

    def test_four_passes_over_the_text(self) -> None:
        blueprint = model("parameters: 5M", tokens=10**6)
        assert 3.8 <= blueprint.train.epochs <= 4
        assert model("minutes: 10000", tokens=10**6).parameters["total"] <= 10**6


class TestByDepth:
    @pytest.mark.parametrize(("depth", "width"), [(1, 32), (6, 320), (12, 832), (32, 4096)])
    def test_a_depth_suggests_a_width(self, depth: int, width: int) -> None:
        shape = model(f"size: by-depth, depth: {depth}").shape
        assert (shape.depth, shape.width) == (depth, width)

    def test_a_width_that_is_given_stays(self) -> None:
        assert model("size: by-depth, depth: 4, width: 96").shape.width == 96

    def test_the_deepest(self) -> None:
        assert model(f"size: by-depth, depth: {DEEPEST}").shape.depth == DEEPEST


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("model: {size: small, parameters: 3M}", ["model.size=small", "model.parameters=3000000"]),
        ("model: {size: by-depth}", ["model.depth", "isn't given"]),
        ("model: {parameters: 10M, width: 256, depth: 6, hidden: 700}", ["4.87M", "leave one"]),
        ("model: {parameters: 2000}", ["vocabulary of 256", "nearest has"]),
        ("model: {parameters: 10M, memory: 100MiB}", ["parameters=10000000", "memory=100 MiB"]),
        ("model: {parameters: 1B, latency: 20ms}", ["parameters=1000000000", "latency=20ms"]),
        ("model: {parameters: 1B, minutes: 0.001}", ["minutes=0.001 is too short", "10 steps"]),
        (
            "model: {parameters: 10M, minutes: 1}\ntrain: {steps: 100000}",
            ["train.steps=100000", "model.minutes=1"],
        ),
        ("model: {memory: 1MiB}", ["memory=1.00 MiB is too little", "takes"]),
        ("model: {latency: 0.01ms}", ["latency=0.01ms is too little"]),
        ("model: {parameters: 10M, width: 255}", ["model.width=255"]),
        ("model: {parameters: 10M, width: 256, heads: 6}", ["heads=6 does not divide"]),
        (
            "model: {parameters: 1M}\ntrain: {from: latest}",
            ["model.parameters=1000000", "train.from"],
        ),
        (
            "model: {parameters: 10M, memory: 200MiB}\ntrain: {batch_size: 64, accumulation: 1}",
            ["memory=200 MiB"],
        ),
    ],
)
def test_contradictions_name_both_sides(text: str, words: list[str]) -> None:
    with pytest.raises(SpecError) as caught:
        settled(text)
    for word in words:
        assert word in caught.value.message


def test_a_spec_without_a_budget_is_left_alone() -> None:
    spec, choices, blueprint = settled("model: {depth: 2}")
    assert (choices, blueprint.shape.width, blueprint.train.steps) == ((), 256, 2000)
    assert spec.model.depth == 2
