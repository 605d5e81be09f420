"""The training loop. It yields what happens; whoever reads it shows, records and saves."""

import dataclasses
import math
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from maquette.errors import TrainingError
from maquette.events import (
    CheckpointDue,
    Evaluated,
    Finished,
    LoopEvent,
    Note,
    Sampled,
    StepDone,
)
from maquette.models.loss import IGNORE
from maquette.training.optimizer import Optimizer, set_learning_rate

TRY = "try a lower train.learning_rate, more schedule.warmup_steps, or model.qk_norm: true"


@dataclass
class TrainState:
    """Where a run stands. Together with weights and optimizers it is all that a resume needs."""

    step: int = 0
    tokens: int = 0
    best_loss: float = math.inf
    best_step: int = 0
    stale_evaluations: int = 0


@dataclass(frozen=True)
class Every:
    """How many steps lie between the things that happen now and then."""

    evaluate: int
    sample: int


def train(
    model: nn.Module,
    optimizers: Sequence[Optimizer],
    state: TrainState,
    *,
    batch: Callable[[int], tuple[Tensor, Tensor]],
    windows_per_epoch: int,
    steps: int,
    factor: Callable[[int], float],
    accumulation: int,
    gradient_clip: float | None,
    device: torch.device,
    autocast: AbstractContextManager[object],
    scaler: torch.amp.GradScaler,
    every: Every,
    checkpoint_due: Callable[[int], bool],
    evaluate: Callable[[int], Evaluated],
    sample: Callable[[int], Sampled | None],
    average: AveragedModel | None,
    patience: int | None,
    stop: Callable[[], bool],
) -> Iterator[LoopEvent]:
    """Train from `state` to step `steps`, yielding events; `state` moves along.

    `batch(k)` gives inputs and targets of step k + 1: tokens (B, T) and those that follow them, or
    images and classes (B,) or shares of them (B, K). `factor(step)` is the learning rate's share of
    its peak, `checkpoint_due(step)` whether to save after a step; `evaluate(step)` and
    `sample(step)` tell how the model does after it, `stop()` whether to end there. Raises
    TrainingError before an update with a loss or gradient that is not finite, with weights and
    optimizer still as they were.
    """
    model.train()
    if state.step == 0:
        yield _evaluated(state, evaluate)
        yield from _sampled(state, sample)
    while state.step < steps:
        begin = time.perf_counter()
        inputs, targets = batch(state.step)
        step = state.step + 1
        loss, gradient_norm = _gradients(
            model,
            inputs.to(device),
            targets.to(device),
            _parts(targets, accumulation),
            gradient_clip,
            autocast,
            scaler,
            optimizers,
            step,
        )
        rate = set_learning_rate(optimizers, factor(step))
        for optimizer in optimizers:
            scaler.step(optimizer)  # type: ignore[arg-type]  # it calls step(), and no more
        scaler.update()
        model.zero_grad()
        if average is not None:
            average.update_parameters(model)
        state.step = step
        state.tokens += _size(targets)
        yield StepDone(
            step=step,
            epoch=step * len(targets) / windows_per_epoch,
            tokens=state.tokens,
            loss=loss,
            learning_rate=rate,
            gradient_norm=gradient_norm,
            step_seconds=time.perf_counter() - begin,
            batch=batch_checksum(inputs, targets),
        )
        last = step == steps
        best = False
        if step % every.evaluate == 0 or last:
            evaluated = _evaluated(state, evaluate)
            best = evaluated.best
            yield evaluated
        if step % every.sample == 0 or last:
            yield from _sampled(state, sample)
        tired = patience is not None and state.stale_evaluations >= patience
        stopping = not last and stop()
        if best or last or tired or stopping or checkpoint_due(step):
            yield CheckpointDue(step=step, best=best)
        if tired and not last:
            yield Note(step, f"no better validation loss in {patience} evaluations: ending early")
            yield Finished(step, "early_stop")
            return
        if stopping:
            yield Finished(step, "stopped")
            return
    yield Finished(state.step, "completed")


def batch_checksum(inputs: Tensor, targets: Tensor) -> int:
    """CRC-32 over the bytes of inputs and targets: a millisecond for 128 small images."""
    checksum = 0
    for part in (inputs, targets):
        checksum = zlib.crc32(part.cpu().contiguous().numpy().data, checksum)
    return checksum


def _size(targets: Tensor) -> int:
    """Tokens or images: of these, shares of classes come in rows."""
    return len(targets) if targets.is_floating_point() else targets.numel()


def _parts(targets: Tensor, accumulation: int) -> list[float]:
    """How many times the targets that count in each part of a batch go into those of all parts.

    So the parts add up to the mean over the batch, however it is cut.
    """
    counts = [
        len(part) if part.is_floating_point() else int((part != IGNORE).sum())
        for part in targets.chunk(accumulation)
    ]
    return [sum(counts) / count if count else math.inf for count in counts]


def _gradients(
    model: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    divisors: Sequence[float],
    gradient_clip: float | None,
    autocast: AbstractContextManager[object],
    scaler: torch.amp.GradScaler,
    optimizers: Sequence[Optimizer],
    step: int,
) -> tuple[float, float]:
    """Fill every gradient from one batch, cut into as many parts as there are divisors of their
    losses; returns its mean loss and the gradient's norm."""
    total = torch.zeros((), device=inputs.device)
    parts = zip(inputs.chunk(len(divisors)), targets.chunk(len(divisors)), divisors, strict=True)
    for part_inputs, part_targets, divisor in parts:
        with autocast:
            _, loss = model(part_inputs, part_targets)
        loss = loss / divisor
        scaler.scale(loss).backward()
        total += loss.detach()
    for optimizer in optimizers:
        scaler.unscale_(optimizer)  # type: ignore[arg-type]  # it reads the groups, and no more
    parameters = list(model.parameters())
    norm = torch.nn.utils.clip_grad_norm_(parameters, gradient_clip or math.inf)
    mean_loss, gradient_norm = float(total), float(norm)
    if not math.isfinite(mean_loss):
        raise TrainingError(f"the loss of step {step} is {mean_loss}", hint=TRY)
    # fp16 gradients may overflow now and then: the scaler skips that update and scales less. Below
    # a scale of 1 it isn't the scale that makes them so.
    if not math.isfinite(gradient_norm) and (not scaler.is_enabled() or scaler.get_scale() < 1):
        raise TrainingError(f"the gradient of step {step} is {gradient_norm}", hint=TRY)
    return mean_loss, gradient_norm


def _evaluated(state: TrainState, evaluate: Callable[[int], Evaluated]) -> Evaluated:
    begin = time.perf_counter()
    evaluated = evaluate(state.step)
    best = evaluated.loss < state.best_loss
    if best:
        state.best_loss, state.best_step, state.stale_evaluations = evaluated.loss, state.step, 0
    else:
        state.stale_evaluations += 1
    return dataclasses.replace(evaluated, best=best, seconds=time.perf_counter() - begin)


def _sampled(state: TrainState, sample: Callable[[int], Sampled | None]) -> Iterator[Sampled]:
    sampled = sample(state.step)
    if sampled is not None:
        yield sampled
