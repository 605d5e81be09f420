"""Spec and facts to blueprint: the only place where a dimension or a number of steps is computed.

Pure: no file, no clock, no torch. The same spec and facts give the same blueprint.
"""

import math

from maquette.blueprint import costs
from maquette.blueprint.blueprint import (
    Blueprint,
    Mixture,
    TextPlan,
)
from maquette.blueprint.plans import plan_optimizer, plan_schedule, plan_steps
from maquette.errors import SpecError
from maquette.facts import DataFacts
from maquette.shapes import GPTShape, Mlp
from maquette.spec import checks
from maquette.spec.budget import budget
from maquette.spec.schema import (
    Data,
    GPTModel,
    Spec,
    Train,
)


def resolve(spec: Spec, facts: DataFacts) -> Blueprint:
    """Every number of a run. Raises SpecError where spec and data don't fit together.

    What a budget is to choose is chosen before: `blueprint.budget.settle`.
    """
    assert not budget(spec), "settle it first"
    problems = checks.problems(spec)
    if problems:
        raise SpecError("\n".join(problem.text for problem in problems))
    shape = resolve_shape(spec.model, facts.vocabulary)
    plan = _train(spec.train, facts, shape.context, _mixture(spec.data))
    return Blueprint(
        name=spec.name,
        seed=spec.seed,
        tokenizer=spec.tokenizer.kind,
        shape=shape,
        facts=facts,
        parameters=costs.parameters(shape),
        train=plan,
        costs=costs.costs(shape, plan),
    )


def round_up(number: int, multiple: int) -> int:
    """The least multiple that isn't below a number, and not 0."""
    return max(multiple, -(-number // multiple) * multiple)


def standard_hidden(mlp: Mlp, width: int) -> int:
    """Feed-forward channels where a spec doesn't say them."""
    # Two thirds of 4 x width: the gate is a third matrix (Shazeer 2020, arXiv:2002.05202).
    return round_up(8 * width // 3, 64) if mlp == "swiglu" else 4 * width


def resolve_shape(model: GPTModel, vocabulary: int) -> GPTShape:
    """Every dimension of a model."""
    hidden = standard_hidden(model.mlp, model.width) if model.hidden is None else model.hidden
    return GPTShape(
        vocabulary=vocabulary,
        context=model.context,
        depth=model.depth,
        width=model.width,
        heads=model.heads,
        kv_heads=model.heads if model.kv_heads is None else model.kv_heads,
        head_dim=model.width // model.heads,
        hidden=hidden,
        position=model.position,
        norm=model.norm,
        mlp=model.mlp,
        qk_norm=model.qk_norm,
        bias=model.bias,
        tie_embeddings=model.tie_embeddings,
        dropout=float(model.dropout),
        rope_base=float(model.rope_base),
        norm_epsilon=float(model.norm_epsilon),
    )


def _mixture(data: Data) -> Mixture | None:
    weights = {name: s.weight for name, s in data.sources.items() if s.weight is not None}
    total = math.fsum(weights.values())
    shares = {name: weight / total for name, weight in weights.items()}
    return Mixture(shares, total) if weights else None


def _train(train: Train, facts: DataFacts, context: int, mixture: Mixture | None) -> TextPlan:
    windows = _training_windows(facts, context)
    held_out = _validation_windows(facts, context)
    steps = plan_steps(train, windows)
    tokens_per_step = train.batch_size * context
    return TextPlan(
        steps=steps,
        epochs=steps * train.batch_size / windows,
        batch_size=train.batch_size,
        accumulation=train.accumulation,
        windows_per_epoch=windows,
        tokens_per_step=tokens_per_step,
        tokens=steps * tokens_per_step,
        mixture=mixture,
        schedule=plan_schedule(train.schedule, steps),
        extensions=(),
        optimizer=plan_optimizer(train.optimizer, train.learning_rate),
        gradient_clip=train.gradient_clip,
        evaluate_every=train.evaluate.every or max(1, steps // 20),
        evaluate_windows=min(train.evaluate.windows, held_out),
        patience=train.evaluate.patience,
        sample_every=train.sample.every or max(1, steps // 5),
        sample_prompt=train.sample.prompt,
        sample_tokens=train.sample.max_new_tokens,
        sample_temperature=float(train.sample.temperature),
        sample_top_k=train.sample.top_k,
        checkpoint_every=train.checkpoint.every,
        checkpoint_keep=train.checkpoint.keep,
        average=float(train.average),
        precision=train.precision,
        compile=train.compile,
        objective=train.objective,
    )


def _training_windows(facts: DataFacts, context: int) -> int:
    """Windows an epoch. N tokens hold N // context of them: they begin at another offset each
    epoch and wrap, so that the last target is always there."""
    for name, splits in facts.sources.items():
        tokens = splits["train"].tokens
        if tokens < context + 1:
            raise SpecError(
                f"model.context={context} is longer than the training text of source {name}, "
                f"which has {tokens} tokens and needs {context + 1}; {_shorter(tokens)}"
            )
    return sum(splits["train"].tokens // context for splits in facts.sources.values())


def _validation_windows(facts: DataFacts, context: int) -> int:
    """Windows held out, end to end, the last one of a source cut short; one must be whole."""
    tokens = {name: splits["validation"].tokens for name, splits in facts.sources.items()}
    if max(tokens.values()) < context:
        counted = ", ".join(f"{name} {count}" for name, count in tokens.items())
        raise SpecError(
            f"model.context={context} is longer than the validation text "
            f"(tokens: {counted}); {_shorter(max(tokens.values()))}, or hold out more"
        )
    return sum(-(-count // context) for count in tokens.values())


def _shorter(tokens: int) -> str:
    """A context that fits: the largest power of two that leaves a few windows, else any."""
    fitting = tokens - 1
    if fitting < 2:
        return "add text"
    comfortable = max(2, fitting // 8)
    return f"try model.context={2 ** int(math.log2(comfortable))} or add text"
