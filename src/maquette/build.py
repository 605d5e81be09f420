"""From a blueprint and its data to everything that trains."""

import contextlib
import functools
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from maquette.blueprint.blueprint import Blueprint, Mixture, SchedulePlan, TrainPlan
from maquette.data.batches import Batches, fixed_windows
from maquette.data.cache import cache_folder
from maquette.data.prepare import Prepared
from maquette.errors import TrainingError
from maquette.events import CheckpointDue, Event, Note, Started
from maquette.generation.sampling import SamplingOptions
from maquette.generation.text import generate_text
from maquette.models.gpt import GPT
from maquette.models.loss import IGNORE
from maquette.training import checkpoint, compilation
from maquette.training.device import (
    ACHIEVED_SHARE,
    DTYPES,
    Precision,
    autocast,
    choose_device,
    choose_precision,
    measure_rate,
)
from maquette.training.evaluate import Evaluation, combine, evaluate
from maquette.training.loop import TRY, Every, TrainState, train
from maquette.training.optimizer import make_optimizers
from maquette.training.schedule import extended_factor, learning_rate_factor


def make_model(blueprint: Blueprint, device: torch.device) -> GPT:
    """The model with its first weights, which depend on nothing but the seed.

    Every random generator is set from it, so that what a training draws does so too.
    """
    checkpoint.seed_generators(blueprint.seed)
    return GPT(blueprint.shape).to(device)


class Training:
    """A run in memory: model, optimizers, data, and where it stands."""

    def __init__(
        self,
        blueprint: Blueprint,
        prepared: Prepared,
        *,
        device: str = "auto",
        like: Started | None = None,
    ) -> None:
        """Build it all at step 0. Raises DeviceError.

        `like` is how the run was started before: what was measured and decided then stays so, since
        another precision or compiled code would compute other bits.
        """
        plan = blueprint.train
        self.blueprint = blueprint
        self.device = choose_device(device)
        self.precision = choose_precision(like.precision if like else plan.precision, self.device)
        self._compiled_before = like.compiled if like else None
        self._compiled = False
        self.tokenizer = prepared.tokenizer
        self.model = make_model(blueprint, self.device)
        native = DTYPES["bf16" if self.precision == "bf16" else "float32"]
        optimizer = plan.optimizer
        self.optimizers = make_optimizers(
            self.model,
            kind=optimizer.kind,
            learning_rate=optimizer.learning_rate,
            weight_decay=optimizer.weight_decay,
            beta1=optimizer.beta1,
            beta2=optimizer.beta2,
            epsilon=optimizer.epsilon,
            muon_learning_rate=optimizer.muon_learning_rate,
            momentum=optimizer.momentum,
            arithmetic=native,
        )
        self.average = _average(self.model, plan.average)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.precision == "fp16")
        self.autocast = autocast(self.device, self.precision)
        self.state = TrainState()
        self._open_texts(prepared)
        self._begins_elsewhere = False
        self._token_bytes = torch.from_numpy(self.tokenizer.token_bytes().astype(np.int64))

    def _open_texts(self, prepared: Prepared) -> None:
        """The batches to train on, the windows to judge by, and each source's share of both."""
        plan, context = self.blueprint.train, self.blueprint.shape.context
        texts = prepared.tokens("train")
        total = sum(map(len, texts.values()))
        chat = plan.objective == "chat"
        masks, held_masks = (prepared.masks(split) for split in ("train", "validation"))
        self._shares = {name: len(tokens) / total for name, tokens in texts.items()}
        if plan.mixture:
            self._shares = plan.mixture.shares
        self._batches = Batches(
            list(texts.values()),
            context=context,
            batch_size=plan.batch_size,
            seed=self.blueprint.seed,
            weights=[self._shares[name] for name in texts] if plan.mixture else None,
            masks=[masks[name] for name in texts] if chat else None,
            ignore=IGNORE,
        )
        self._held_out = {
            name: list(
                fixed_windows(
                    [tokens],
                    context=context,
                    batch_size=max(1, plan.batch_size // plan.accumulation),
                    start_token=self.tokenizer.end_of_text,
                    ignore=IGNORE,
                    windows=plan.evaluate_windows,
                    masks=[held_masks[name]] if chat else None,
                )
            )
            for name, tokens in prepared.tokens("validation").items()
        }

    @property
    def result(self) -> GPT:
        """The model to use: with averaged weights where the spec asks for them."""
        if self.average is None:
            return self.model
        assert isinstance(self.average.module, GPT)
        return self.average.module

    def save(self, folder: Path) -> None:
        """Write a checkpoint's files into a folder."""
        checkpoint.save_training(
            folder, self.model, self.optimizers, self.scaler, self.state, self.average
        )

    def load(self, folder: Path) -> None:
        """Go back to where a checkpoint was written. Raises CheckpointError."""
        self.state = checkpoint.load_training(
            folder, self.model, self.optimizers, self.scaler, self.average
        )

    def begin_from(self, folder: Path) -> None:
        """Take another run's weights, those in use, for the first ones. Raises CheckpointError."""
        checkpoint.load_weights(folder, self.model, shorter=True)
        if self.average is not None:
            self.average.module.load_state_dict(self.model.state_dict())
        self._begins_elsewhere = True

    def events(
        self,
        stop: Callable[[], bool] = lambda: False,
        *,
        checkpoint_due: Callable[[int], bool] = lambda _: False,
    ) -> Iterator[Event]:
        """Train from here to the end, or until `stop()`; see training/loop.py.

        With weights of another run a checkpoint is due at once, so that it may go.
        """
        plan = self.blueprint.train
        compiled, reason = decide_to_compile(
            self.blueprint,
            device=self.device,
            precision=self.precision,
            after_step=self.state.step,
            before=self._compiled_before,
        )
        if compiled:
            compilation.compile_blocks(self.model, cache=cache_folder().parent / "compiled")
            self._compiled = True
        yield Started(
            step=self.state.step,
            steps=plan.steps,
            parameters=self.blueprint.parameters["total"],
            device=str(self.device),
            precision=self.precision,
            compiled=compiled,
        )
        yield Note(self.state.step, reason)
        if plan.mixture and abs(plan.mixture.given_total - 1) > 1e-9:
            yield Note(self.state.step, normalised(plan.mixture))
        if self._begins_elsewhere and self.state.step == 0:
            yield CheckpointDue(step=self.state.step, best=True)
        events = train(
            self.model,
            self.optimizers,
            self.state,
            batch=self._batches.batch,
            windows_per_epoch=plan.windows_per_epoch,
            steps=plan.steps,
            factor=rate_factor(plan),
            accumulation=plan.accumulation,
            gradient_clip=plan.gradient_clip,
            device=self.device,
            autocast=self.autocast,
            scaler=self.scaler,
            every=Every(plan.evaluate_every, plan.sample_every),
            checkpoint_due=checkpoint_due,
            evaluate=self.evaluate,
            bytes_per_word=bytes_per_word(self.blueprint, "validation"),
            sample=self.sample,
            average=self.average,
            patience=plan.patience,
            stop=stop,
        )
        extended_at = {e.after_step for e in plan.extensions}
        if self.state.step in extended_at:
            self.state.stale_evaluations = 0
        for event in events:
            # A run that ended early for want of progress has its patience anew where it was
            # extended, also when it comes by there a second time.
            if event.step in extended_at:
                self.state.stale_evaluations = 0
            yield event

    def evaluate(self, step: int) -> Evaluation:
        """Losses over the fixed validation windows of each source."""
        with self._uncompiled():
            parts = {
                name: evaluate(
                    self.result,
                    windows,
                    token_bytes=self._token_bytes,
                    device=self.device,
                    autocast=self.autocast,
                )
                for name, windows in self._held_out.items()
            }
        if len(parts) == 1:
            return Evaluation(next(iter(parts.values())), {}, {})
        seen = zip(parts, self._batches.seen(step), strict=True)
        return Evaluation(
            combine(parts, self._shares),
            sources={name: part.loss for name, part in parts.items()},
            tokens_seen={name: n * self.blueprint.shape.context for name, n in seen},
        )

    def sample(self, step: int) -> tuple[str, str]:
        """The spec's prompt and what the model writes after it, from the same draws each time."""
        plan = self.blueprint.train
        with self._uncompiled(), _finite(step):
            pieces = generate_text(
                self.result,
                self.tokenizer,
                plan.sample_prompt,
                max_new_tokens=plan.sample_tokens,
                options=SamplingOptions(plan.sample_temperature, top_k=plan.sample_top_k),
                seed=self.blueprint.seed,
            )
            return plan.sample_prompt, "".join(pieces)

    def _uncompiled(self) -> contextlib.AbstractContextManager[object]:
        """For a few passes: they are worth no second graph."""
        if not self._compiled:
            return contextlib.nullcontext()  # to ask torch's compiler for it is to import that
        stance: contextlib.AbstractContextManager[object] = torch.compiler.set_stance("force_eager")
        return stance


def decide_to_compile(
    blueprint: Blueprint,
    *,
    device: torch.device,
    precision: Precision,
    after_step: int = 0,
    before: bool | None = None,
) -> tuple[bool, str]:
    """Whether to compile for the steps after one, and why; `before` is what was decided before."""
    plan = blueprint.train
    wanted = plan.compile if before is None else before
    if before is False:
        return False, "compile: no, as when the run began"
    seconds = 0.0
    if wanted == "auto":
        rate = measure_rate(device, precision)
        share = (plan.steps - after_step) / plan.steps
        seconds = blueprint.costs.flops * share / (ACHIEVED_SHARE * rate)
    return compilation.decide(wanted, device=device, precision=precision, eager_seconds=seconds)


def normalised(mixture: Mixture) -> str:
    """What became of weights that don't add up to 1, in words."""
    shares = ", ".join(f"{name} {share:.1%}" for name, share in mixture.shares.items())
    return f"the weights add up to {mixture.given_total:g}, and are taken as shares: {shares}"


def rate_factor(plan: TrainPlan) -> Callable[[int], float]:
    """The learning rate's share of its peak at each step of a plan, its extensions included."""
    factor = _schedule_factor(plan.schedule)
    for extension in plan.extensions:
        factor = functools.partial(
            extended_factor,
            before=factor,
            after_step=extension.after_step,
            how=extension.how,
            then=_schedule_factor(extension.schedule),
            warmup_steps=extension.schedule.warmup_steps,
        )
    return factor


def _schedule_factor(schedule: SchedulePlan) -> Callable[[int], float]:
    return functools.partial(
        learning_rate_factor,
        kind=schedule.kind,
        steps=schedule.steps,
        warmup_steps=schedule.warmup_steps,
        decay_steps=schedule.decay_steps,
        final_fraction=schedule.final_fraction,
    )


def _average(model: GPT, decay: float) -> AveragedModel | None:
    """A copy of the model that follows it (Polyak & Juditsky 1992), if there is a decay."""
    if not decay:
        return None
    follow = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
    return AveragedModel(model, multi_avg_fn=follow)


@contextlib.contextmanager
def _finite(step: int) -> Iterator[None]:
    try:
        yield
    except FloatingPointError as error:
        raise TrainingError(f"after step {step}: {error}", hint=TRY) from error


def bytes_per_word(blueprint: Blueprint, split: str) -> float | None:
    """Mean bytes of a word, of sources that all count words; None if one doesn't."""
    facts = [splits[split] for splits in blueprint.facts.sources.values() if split in splits]
    words = [f.words for f in facts if f.words is not None]
    if not words or len(words) < len(facts):
        return None
    return sum(f.bytes for f in facts) / sum(words)
