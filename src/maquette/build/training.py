"""The training of a blueprint, whatever its task."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from maquette.blueprint.blueprint import (
    AnyBlueprint,
    Blueprint,
    ImagePlan,
    TextPlan,
    TrainPlan,
)
from maquette.build.images import ImageTask
from maquette.build.text import TextTask
from maquette.data.cache import cache_folder
from maquette.data.image.prepare import PreparedImages
from maquette.data.prepare import Prepared
from maquette.events import CheckpointDue, Evaluated, Event, Note, Sampled, Started
from maquette.training import checkpoint, compilation
from maquette.training.average import follow
from maquette.training.device import (
    ACHIEVED_SHARE,
    Precision,
    autocast,
    choose_device,
    choose_precision,
    measure_rate,
    muon_arithmetic,
)
from maquette.training.layer_decay import layer_scales
from maquette.training.loop import Every, TrainState, train
from maquette.training.optimizer import Optimizer, make_adamw, make_muon
from maquette.training.rates import rate_factor


class Task(Protocol):
    """What is learned, from what, and how it is judged."""

    model: nn.Module

    def batch(self, k: int) -> tuple[Tensor, Tensor]:
        """Inputs and targets of step k + 1: a pure function of k."""
        ...

    def begin_from(self, weights: Path) -> list[str]:
        """Take weights from elsewhere for the first ones; what they didn't fit, in words."""
        ...

    def notes(self) -> list[str]:
        """What was decided for this training that its spec doesn't say."""
        ...

    def evaluate(self, model: nn.Module, step: int) -> Evaluated:
        """How a model does on the validation split, always by the same of it."""
        ...

    def sample(self, model: nn.Module, step: int) -> Sampled | None:
        """Something that a model made, if it makes anything."""
        ...


def _task(
    blueprint: AnyBlueprint,
    prepared: Prepared | PreparedImages,
    device: torch.device,
    autocast: contextlib.AbstractContextManager[object],
) -> Task:
    """The task with its model's first weights, which depend on nothing but the seed.

    Every random generator is set from it, so that what a training draws does so too.
    """
    checkpoint.seed_generators(blueprint.seed)
    if isinstance(blueprint, Blueprint):
        assert isinstance(prepared, Prepared)
        return TextTask(blueprint, prepared, device=device, autocast=autocast)
    assert isinstance(prepared, PreparedImages)
    return ImageTask(blueprint, prepared, device=device, autocast=autocast)


class Training:
    """A run in memory: model, optimizers, data, and where it stands."""

    def __init__(
        self,
        blueprint: AnyBlueprint,
        prepared: Prepared | PreparedImages,
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
        self.autocast = autocast(self.device, self.precision)
        self.task = _task(blueprint, prepared, self.device, self.autocast)
        self.model = self.task.model
        self.optimizers = _optimizers(self.model, plan, self.precision)
        self.average = follow(self.model, plan.average)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.precision == "fp16")
        self.state = TrainState()
        self._notes = self.task.notes()
        self._begins_elsewhere = False

    @property
    def result(self) -> nn.Module:
        """The model to use: with averaged weights where the spec asks for them."""
        return self.model if self.average is None else self.average.module

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

    def begin_from(self, weights: Path) -> None:
        """Take the weights in use of another run's checkpoint, or those in a file, for the first.

        Raises CheckpointError.
        """
        self._notes += self.task.begin_from(weights)
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
        for note in self._notes:
            yield Note(self.state.step, note)
        if self._begins_elsewhere and self.state.step == 0:
            yield CheckpointDue(step=self.state.step, best=True)
        samples = plan.sample_every if isinstance(plan, TextPlan) else plan.steps
        events = train(
            self.model,
            self.optimizers,
            self.state,
            batch=self.task.batch,
            windows_per_epoch=plan.windows_per_epoch,
            steps=plan.steps,
            factor=rate_factor(plan),
            accumulation=plan.accumulation,
            gradient_clip=plan.gradient_clip,
            device=self.device,
            autocast=self.autocast,
            scaler=self.scaler,
            every=Every(plan.evaluate_every, samples),
            checkpoint_due=checkpoint_due,
            evaluate=self.evaluate,
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

    def evaluate(self, step: int) -> Evaluated:
        """How the model does on the validation split."""
        with self._uncompiled():
            return self.task.evaluate(self.result, step)

    def sample(self, step: int) -> Sampled | None:
        """Something that the model made, where it makes something."""
        with self._uncompiled():
            return self.task.sample(self.result, step)

    def _uncompiled(self) -> contextlib.AbstractContextManager[object]:
        """For a few passes: they are worth no second graph."""
        if not self._compiled:
            return contextlib.nullcontext()  # to ask torch's compiler for it is to import that
        stance: contextlib.AbstractContextManager[object] = torch.compiler.set_stance("force_eager")
        return stance


def decide_to_compile(
    blueprint: AnyBlueprint,
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
    return compilation.decide(
        wanted,
        device=device,
        precision=precision,
        eager_seconds=seconds,
        graphs=1 if isinstance(blueprint, Blueprint) else len(blueprint.shape.widths),
    )


def _optimizers(model: nn.Module, plan: TrainPlan, precision: Precision) -> list[Optimizer]:
    """The optimizers of a plan; lower layers learn more slowly where it says so."""
    scales = None
    if isinstance(plan, ImagePlan):
        scales = layer_scales([name for name, _ in model.named_parameters()], plan.layer_decay)
    optimizer = plan.optimizer
    shared: dict[str, Any] = {
        "learning_rate": optimizer.learning_rate,
        "weight_decay": optimizer.weight_decay,
        "beta1": optimizer.beta1,
        "beta2": optimizer.beta2,
        "epsilon": optimizer.epsilon,
        "scales": scales,
    }
    if optimizer.kind == "adamw":
        return make_adamw(model, **shared)
    assert optimizer.muon_learning_rate is not None
    assert optimizer.momentum is not None
    return make_muon(
        model,
        muon_learning_rate=optimizer.muon_learning_rate,
        momentum=optimizer.momentum,
        arithmetic=muon_arithmetic(precision),
        **shared,
    )
