"""The training: `python train.py`.

Made by `maquette eject` (maquette 0.1.0) from the spec fast; blueprint 22a45636cf069141.
"""

import argparse
import contextlib
import dataclasses
import functools
import math
import signal
import threading
import time
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from data import SEED, Batches, Corpus, fixed_windows, read_texts
from device import autocast, choose_device, choose_precision, muon_arithmetic
from errors import DataError, SpecError, TrainingError, count, rate, run
from eval import combine, evaluate
from generate import SamplingOptions, generate_text
from model import GPT, IGNORE, OUT, SHAPE, fill, read_file, save_model, write_file
from text import BytesTokenizer


@dataclass(frozen=True, slots=True)
class SchedulePlan:
    """The learning rate over the run, as a multiple of the peak; all in steps."""

    kind: Literal["cosine", "linear", "constant", "wsd"]
    steps: int
    warmup_steps: int
    decay_steps: int  # the last steps, in which the rate falls; 0 for constant
    final_fraction: float


def learning_rate_factor(
    step: int,
    *,
    kind: Literal["cosine", "linear", "constant", "wsd"],
    steps: int,
    warmup_steps: int,
    decay_steps: int,
    final_fraction: float,
) -> float:
    """The factor for step 0 ... steps: a linear warmup, a plateau, then a fall to the last share.

    Warmup reaches 1 at step `warmup_steps`. The fall takes the last `decay_steps` steps, along
    half a cosine wave (Loshchilov & Hutter 2017, arXiv:1608.03983) or a straight line; `wsd` is a
    straight line after a long plateau (Hu et al. 2024, arXiv:2404.06395).
    """
    if step < warmup_steps:
        return step / warmup_steps
    left = steps - step
    if kind == "constant" or left >= decay_steps:
        return 1.0
    done = 1 - max(0, left) / decay_steps
    fall = 0.5 * (1 + math.cos(math.pi * done)) if kind == "cosine" else 1 - done
    return final_fraction + (1 - final_fraction) * fall


def schedule_factor(plan: SchedulePlan) -> Callable[[int], float]:
    """The learning rate's share of its peak at each step of a plan."""
    return functools.partial(
        learning_rate_factor,
        kind=plan.kind,
        steps=plan.steps,
        warmup_steps=plan.warmup_steps,
        decay_steps=plan.decay_steps,
        final_fraction=plan.final_fraction,
    )


# A schedule of the learning rate, laid out over a number of steps.


def lay_out(
    kind: Literal["cosine", "linear", "constant", "wsd"],
    *,
    steps: int,
    warmup_steps: int | None,
    final_fraction: float,
    decay_fraction: float,
) -> SchedulePlan:
    """The schedule of a run of so many steps. Raises SpecError where the warmup is longer."""
    usual = min(200, steps // 20)
    warmup = usual if warmup_steps is None else warmup_steps
    if warmup > steps:
        raise SpecError(
            f"train.schedule.warmup_steps={warmup} is more than the run's {steps} steps; "
            f"try {usual}"
        )
    decay = {
        "cosine": steps - warmup,
        "linear": steps - warmup,
        "constant": 0,
        "wsd": min(steps - warmup, round(decay_fraction * steps)),
    }
    return SchedulePlan(
        kind=kind,
        steps=steps,
        warmup_steps=warmup,
        decay_steps=decay[kind],
        final_fraction=final_fraction,
    )


_QUINTIC = (3.4445, -4.7750, 2.0315)


def orthogonalise(matrices: Tensor, *, iterations: int = 5) -> Tensor:
    """Bring every singular value near 1: (n, rows, columns) -> the same shape.

    Newton-Schulz iteration with the quintic coefficients of Jordan et al. 2024
    (kellerjordan.github.io/posts/muon), in the arithmetic of the input.
    """
    a, b, c = _QUINTIC
    tall = matrices.size(-2) > matrices.size(-1)
    x = matrices.mT if tall else matrices
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp(min=1e-7)
    rows, columns = x.shape[-2:]
    if columns >= 2 * rows and x.dtype == torch.float32:
        x = _polynomial_of_gram(x @ x.mT, iterations) @ x
        iterations = 0
    for _ in range(iterations):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    result: Tensor = x.mT if tall else x
    return result


def _polynomial_of_gram(gram: Tensor, iterations: int) -> Tensor:
    """The product of all iterations' polynomials a I + b G + c G^2, from the Gram matrix alone.

    The same arithmetic in a third fewer products for a wide matrix. Only float32 is exact enough:
    the Gram matrix squares the singular values.
    """
    a, b, c = _QUINTIC
    product: Tensor | None = None
    for left in reversed(range(iterations)):
        polynomial = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        polynomial.diagonal(dim1=-2, dim2=-1).add_(a)
        product = polynomial if product is None else polynomial @ product
        if left:
            gram = polynomial @ gram @ polynomial
    assert product is not None
    return product


Group = dict[str, Any]
"""Parameters (`params`), and the settings that are theirs, `lr` among them."""


class Optimizer(Protocol):
    """Updates parameters by their gradients; `state` is all that it remembers of each."""

    param_groups: list[Group]
    state: defaultdict[Tensor, dict[str, Tensor]]

    def step(self) -> None:
        """Update every parameter that has a gradient."""


class AdamW:
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019, arXiv:1711.05101).

    The arithmetic is torch's own: its fused kernel, as torch.optim.AdamW calls it.
    """

    def __init__(self, groups: Sequence[Group], *, betas: tuple[float, float], eps: float) -> None:
        self.param_groups = list(groups)
        self.state: defaultdict[Tensor, dict[str, Tensor]] = defaultdict(dict)
        self._beta1, self._beta2 = betas
        self._eps = eps

    @torch.no_grad()
    def step(self) -> None:
        """Update every parameter that has a gradient."""
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            if parameters:
                self._update(parameters, group)

    def _update(self, parameters: list[Tensor], group: Group) -> None:
        for p in parameters:
            if not self.state[p]:
                self.state[p] = {
                    "step": torch.zeros((), device=p.device),
                    "exp_avg": torch.zeros_like(p),
                    "exp_avg_sq": torch.zeros_like(p),
                }
        steps = [self.state[p]["step"] for p in parameters]
        torch._foreach_add_(steps, 1)
        torch._fused_adamw_(
            parameters,
            [p.grad for p in parameters if p.grad is not None],
            [self.state[p]["exp_avg"] for p in parameters],
            [self.state[p]["exp_avg_sq"] for p in parameters],
            [],
            steps,
            lr=group["lr"],
            beta1=self._beta1,
            beta2=self._beta2,
            weight_decay=group["weight_decay"],
            eps=self._eps,
            amsgrad=False,
            maximize=False,
        )


class Muon:
    """Momentum, orthogonalised: steps of equal size in every direction of a matrix.

    The arithmetic is torch.optim.Muon's (Nesterov momentum, decoupled weight decay, a step
    multiplied by sqrt(rows / columns) for tall matrices), with two differences: matrices of one
    shape are orthogonalised together, and in `arithmetic` instead of always in bfloat16, which
    processors without bfloat16 products emulate a hundred times slower.
    """

    def __init__(
        self, groups: Sequence[Group], *, momentum: float, arithmetic: torch.dtype
    ) -> None:
        self.param_groups = list(groups)
        self.state: defaultdict[Tensor, dict[str, Tensor]] = defaultdict(dict)
        self._momentum = momentum
        self._arithmetic = arithmetic

    @torch.no_grad()
    def step(self) -> None:
        """Update every matrix that has a gradient."""
        for group in self.param_groups:
            shapes: defaultdict[torch.Size, list[Tensor]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    shapes[parameter.shape].append(parameter)
            for shape, parameters in shapes.items():
                self._update(parameters, shape, group)

    def _update(self, parameters: list[Tensor], shape: torch.Size, group: Group) -> None:
        gradients = [p.grad for p in parameters if p.grad is not None]
        for p in parameters:
            if not self.state[p]:
                self.state[p]["momentum_buffer"] = torch.zeros_like(p)
        momenta = [self.state[p]["momentum_buffer"] for p in parameters]
        torch._foreach_lerp_(momenta, gradients, 1 - self._momentum)
        nesterov = torch._foreach_lerp(gradients, momenta, self._momentum)
        updates = orthogonalise(torch.stack(nesterov).to(self._arithmetic)).to(parameters[0].dtype)
        rate = group["lr"] * max(1.0, shape[0] / shape[1]) ** 0.5
        torch._foreach_mul_(parameters, 1 - group["lr"] * group["weight_decay"])
        torch._foreach_add_(parameters, list(updates.unbind()), alpha=-rate)


def make_muon(
    model: nn.Module,
    *,
    learning_rate: float,
    weight_decay: float,
    beta1: float,
    beta2: float,
    epsilon: float,
    muon_learning_rate: float,
    momentum: float,
    arithmetic: torch.dtype,
    scales: Mapping[str, float] | None = None,
) -> list[Optimizer]:
    """Muon for the matrices inside a model's blocks, and AdamW, as `make_adamw`, for the rest.

    Embeddings and the output layer have rows that mean one token each, not a linear map to be
    orthogonalised, and stay with AdamW.
    """
    named = dict(model.named_parameters())
    inside = {name: p for name, p in named.items() if p.ndim == 2 and "blocks" in name.split(".")}
    rest = {name: p for name, p in named.items() if name not in inside}
    rest_groups = _groups(rest, scales or {}, learning_rate, weight_decay)
    optimizers: list[Optimizer] = [AdamW(rest_groups, betas=(beta1, beta2), eps=epsilon)]
    if inside:
        groups = _groups(inside, scales or {}, muon_learning_rate, weight_decay)
        optimizers.append(Muon(groups, momentum=momentum, arithmetic=arithmetic))
    return _with_peaks(optimizers)


def _groups(
    named: Mapping[str, Tensor], scales: Mapping[str, float], rate: float, weight_decay: float
) -> list[Group]:
    share = {name: scales.get(name, 1.0) for name in named}
    return [
        {"params": chosen, "lr": rate * scale, "weight_decay": decay}
        for scale in sorted(set(share.values()), reverse=True)
        for matrices, decay in ((True, weight_decay), (False, 0.0))
        if (
            chosen := [
                p for n, p in named.items() if share[n] == scale and (p.ndim >= 2) is matrices
            ]
        )
    ]


def _with_peaks(optimizers: list[Optimizer]) -> list[Optimizer]:
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["peak"] = group["lr"]
    return optimizers


def set_learning_rate(optimizers: Iterable[Optimizer], factor: float) -> float:
    """Set every group to its peak times the factor; returns the rate of the first group."""
    optimizers = list(optimizers)
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * factor
    return float(optimizers[0].param_groups[0]["lr"])


# A moving average of the weights (Polyak & Juditsky 1992, doi:10.1137/0330046).


def follow(model: nn.Module, decay: float) -> AveragedModel | None:
    """A copy of the model that follows it, keeping the share `decay` each step; none without."""
    if not decay:
        return None
    average = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
    return AveragedModel(model, multi_avg_fn=average)


@dataclass(frozen=True, slots=True)
class Note:
    """A decision or warning said aloud: compile or not, a batch cut, early stop ahead."""

    kind: ClassVar[str] = "note"
    step: int
    text: str


@dataclass(frozen=True, slots=True)
class StepDone:
    """One optimizer step. `loss` is the mean training loss in nats per token before the update.

    `batch` is a checksum of what the step was trained on: CRC-32 of the inputs' bytes, then of the
    targets'. Runs from before it was written down have 0.
    """

    kind: ClassVar[str] = "step"
    step: int
    epoch: float
    tokens: int
    loss: float
    learning_rate: float
    gradient_norm: float
    step_seconds: float
    batch: int = 0


@dataclass(frozen=True, slots=True)
class Evaluated:
    """How the model does on a fixed part of a split.

    `best` says that no earlier evaluation of this run had a lower loss.
    """

    kind: ClassVar[str] = "evaluated"
    step: int
    split: str
    loss: float
    """Mean in nats, over tokens or images; of several sources, by their shares in the training."""
    perplexity: float | None = None
    bits_per_byte: float | None = None
    word_perplexity: float | None = None
    """Of sources that count words as the papers do (WikiText)."""
    best: bool = False
    seconds: float = 0.0
    sources: dict[str, float] = dataclasses.field(default_factory=dict, hash=False)
    """The loss of each of several sources."""
    tokens_seen: dict[str, int] = dataclasses.field(default_factory=dict, hash=False)
    """How many tokens of each were trained on so far."""


@dataclass(frozen=True, slots=True)
class Sampled:
    """Text that the model wrote after `prompt`."""

    kind: ClassVar[str] = "sampled"
    step: int
    prompt: str
    text: str


@dataclass(frozen=True, slots=True)
class CheckpointDue:
    """The loop stands still after a whole step: whoever reads it may save its state now."""

    kind: ClassVar[str] = "checkpoint_due"
    step: int
    best: bool


@dataclass(frozen=True, slots=True)
class Finished:
    """The last event of a worker that ended on its own terms."""

    kind: ClassVar[str] = "finished"
    step: int
    reason: Literal["completed", "early_stop", "stopped"]


LoopEvent = Note | StepDone | Evaluated | Sampled | CheckpointDue | Finished
"""What the training loop itself yields."""


# The training loop. It yields what happens; whoever reads it shows, records and saves.

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


# Learning to write: windows of tokens, and the token that follows each.


class LanguageTask:
    """What a language model is trained on, what it is judged by, and samples of it.

    `shares` are the sources' shares of the windows; without them every window is read once an
    epoch. With `answers_only`, of dialogues only what the assistant says counts. An evaluation
    reads `evaluate_windows` of each source, spread evenly, `evaluate_batch` at a time.
    `bytes_per_word` of the held-out text gives a perplexity by word. Raises DataError for a text
    that is shorter than a window.
    """

    def __init__(
        self,
        corpus: Corpus,
        *,
        context: int,
        batch_size: int,
        seed: int,
        shares: Mapping[str, float] | None,
        answers_only: bool,
        evaluate_windows: int,
        evaluate_batch: int,
        bytes_per_word: float | None,
        prompt: str,
        sample_tokens: int,
        sampling: SamplingOptions,
        device: torch.device,
        autocast: contextlib.AbstractContextManager[object],
    ) -> None:
        self._tokenizer = corpus.tokenizer
        self._token_bytes = torch.from_numpy(self._tokenizer.token_bytes().astype(np.int64))
        self._context, self._seed = context, seed
        self._bytes_per_word = bytes_per_word
        self._prompt, self._sample_tokens, self._sampling = prompt, sample_tokens, sampling
        self._device, self._autocast = device, autocast
        texts, masks = corpus.tokens["train"], corpus.masks["train"]
        for name, tokens in texts.items():
            if len(tokens) <= context:
                raise DataError(
                    f"{name} has {len(tokens)} tokens to train on, and the context is {context}",
                    hint="give it more text",
                )
        total = sum(map(len, texts.values()))
        self._shares = shares or {name: len(tokens) / total for name, tokens in texts.items()}
        self.batches = Batches(
            list(texts.values()),
            context=context,
            batch_size=batch_size,
            seed=seed,
            weights=[shares[name] for name in texts] if shares else None,
            masks=[masks[name] for name in texts] if answers_only else None,
            ignore=IGNORE,
        )
        held_masks = corpus.masks["validation"]
        self._held_out = {
            name: list(
                fixed_windows(
                    [tokens],
                    context=context,
                    batch_size=evaluate_batch,
                    start_token=self._tokenizer.end_of_text,
                    ignore=IGNORE,
                    windows=evaluate_windows,
                    masks=[held_masks[name]] if answers_only else None,
                )
            )
            for name, tokens in corpus.tokens["validation"].items()
        }

    def batch(self, k: int) -> tuple[Tensor, Tensor]:
        """Inputs and targets of step k + 1, int64 (B, T)."""
        return self.batches.batch(k)

    def evaluate(self, model: nn.Module, step: int) -> Evaluated:
        """Losses over the fixed validation windows of each source."""
        parts = {
            name: evaluate(
                model,
                windows,
                token_bytes=self._token_bytes,
                device=self._device,
                autocast=self._autocast,
            )
            for name, windows in self._held_out.items()
        }
        several = len(parts) > 1
        losses = combine(parts, self._shares) if several else next(iter(parts.values()))
        seen = zip(parts, self.batches.seen(step), strict=True) if several else ()
        words = self._bytes_per_word
        return Evaluated(
            step=step,
            split="validation",
            loss=losses.loss,
            perplexity=losses.perplexity,
            bits_per_byte=losses.bits_per_byte,
            word_perplexity=losses.word_perplexity(words) if words else None,
            sources={name: part.loss for name, part in parts.items()} if several else {},
            tokens_seen={name: n * self._context for name, n in seen},
        )

    def sample(self, model: nn.Module, step: int) -> Sampled:
        """The prompt and what the model writes after it, from the same draws each time."""
        assert isinstance(model, GPT)
        with _finite(step):
            pieces = generate_text(
                model,
                self._tokenizer,
                self._prompt,
                max_new_tokens=self._sample_tokens,
                options=self._sampling,
                seed=self._seed,
            )
            return Sampled(step, self._prompt, "".join(pieces))


@contextlib.contextmanager
def _finite(step: int) -> Iterator[None]:
    try:
        yield
    except FloatingPointError as error:
        raise TrainingError(f"after step {step}: {error}", hint=TRY) from error


# Checkpoints in one file, which torch alone reads; loading one runs no code.
#
# A training that goes on from one computes what it would have computed without a break.


def save_checkpoint(
    file: Path,
    model: nn.Module,
    optimizers: Sequence[Optimizer],
    scaler: torch.amp.GradScaler,
    state: TrainState,
    average: AveragedModel | None,
) -> None:
    """Write everything that a resume needs, and then give it its name."""
    checkpoint = {
        "model": model.state_dict(),
        "average": None if average is None else average.module.state_dict(),
        "optimizers": [[o.state[p] for p in _parameters(o)] for o in optimizers],
        "scaler": scaler.state_dict(),
        "state": dataclasses.asdict(state),
        "random": torch.get_rng_state(),
        "random_cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }
    write_file(file, checkpoint)


def load_checkpoint(
    file: Path,
    model: nn.Module,
    optimizers: Sequence[Optimizer],
    scaler: torch.amp.GradScaler,
    average: AveragedModel | None,
) -> TrainState:
    """Put back all that `save_checkpoint` wrote. Raises CheckpointError."""
    checkpoint = read_file(file)
    fill(model, checkpoint["model"], file)
    state = TrainState(**checkpoint["state"])
    if average is not None:
        fill(average.module, checkpoint["average"], file)
        average.n_averaged.fill_(state.step)
    for optimizer, entries in zip(optimizers, checkpoint["optimizers"], strict=True):
        for p, entry in zip(_parameters(optimizer), entries, strict=True):
            optimizer.state[p] = {key: tensor.to(p.device) for key, tensor in entry.items()}
    if scaler.is_enabled():
        scaler.load_state_dict(checkpoint["scaler"])
    torch.set_rng_state(checkpoint["random"])
    if torch.cuda.is_available() and torch.cuda.device_count() == len(checkpoint["random_cuda"]):
        torch.cuda.set_rng_state_all(checkpoint["random_cuda"])
    return state


def _parameters(optimizer: Optimizer) -> list[Tensor]:
    return [p for group in optimizer.param_groups for p in group["params"]]


STEPS = 1000
BATCH_SIZE = 16
ACCUMULATION = 1
"""Parts that a batch is computed in, to save memory."""
LEARNING_RATE = 0.005
EVALUATE_EVERY = 50
EVALUATE_WINDOWS = 128
CHECKPOINT_EVERY = 50
SAMPLE_EVERY = 200


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description="Train the model.")
    parser.add_argument("--steps", type=count, default=STEPS, help="default: %(default)s")
    parser.add_argument("--batch-size", type=count, default=BATCH_SIZE, help="default: %(default)s")
    parser.add_argument("--learning-rate", type=rate, default=LEARNING_RATE, metavar="RATE")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    parser.add_argument("--data", metavar="FILE|FOLDER|stories", help="other text")
    parser.add_argument("--out", type=Path, default=OUT, help="a folder to write into")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    return parser.parse_args()


def main() -> None:
    """Train, printing what happens; Ctrl-C ends it after a step, with a checkpoint."""
    options = arguments()
    device = choose_device(options.device)
    precision = choose_precision("auto", device)
    arithmetic = autocast(device, precision)
    options.out.mkdir(parents=True, exist_ok=True)
    tokenizer = BytesTokenizer()
    corpus = read_texts(tokenizer, options.data)
    torch.manual_seed(SEED)
    model = GPT(SHAPE).to(device)
    task = LanguageTask(
        corpus,
        context=SHAPE.context,
        batch_size=options.batch_size,
        seed=SEED,
        shares=None,
        answers_only=False,
        evaluate_windows=EVALUATE_WINDOWS,
        evaluate_batch=max(1, options.batch_size // ACCUMULATION),
        bytes_per_word=None,
        prompt="",
        sample_tokens=200,
        sampling=SamplingOptions(0.8, top_k=None),
        device=device,
        autocast=arithmetic,
    )
    optimizers = make_muon(
        model,
        learning_rate=options.learning_rate,
        weight_decay=0.1,
        beta1=0.9,
        beta2=0.95,
        epsilon=1e-08,
        muon_learning_rate=0.02,
        momentum=0.85,
        arithmetic=muon_arithmetic(precision),
    )
    schedule = lay_out(
        "linear",
        steps=options.steps,
        warmup_steps=None,
        final_fraction=0.0,
        decay_fraction=0.2,
    )
    average = follow(model, 0.95)
    scaler = torch.amp.GradScaler(device.type, enabled=precision == "fp16")
    state = TrainState()
    if options.resume:
        state = load_checkpoint(options.out / "checkpoint.pt", model, optimizers, scaler, average)
    weights = options.out / "weights.pt"
    kept = options.resume and weights.exists()  # those of an earlier training give way
    interrupted = threading.Event()
    signal.signal(signal.SIGINT, lambda *_: interrupted.set())
    used = model if average is None else average.module
    for event in train(
        model,
        optimizers,
        state,
        batch=task.batch,
        windows_per_epoch=task.batches.windows,
        steps=options.steps,
        factor=schedule_factor(schedule),
        accumulation=ACCUMULATION,
        gradient_clip=1.0,
        device=device,
        autocast=arithmetic,
        scaler=scaler,
        every=Every(EVALUATE_EVERY, SAMPLE_EVERY),
        checkpoint_due=lambda step: step % CHECKPOINT_EVERY == 0,
        evaluate=lambda step: task.evaluate(used, step),
        sample=lambda step: task.sample(used, step),
        average=average,
        patience=None,
        stop=interrupted.is_set,
    ):
        tell(event, options.steps)
        if isinstance(event, CheckpointDue):
            file = options.out / "checkpoint.pt"
            save_checkpoint(file, model, optimizers, scaler, state, average)
            if event.best or not kept:
                save_model(weights, used)
                kept = True


def tell(event: LoopEvent, steps: int) -> None:
    """Print an event; losses with all of their digits, so that trainings can be compared."""
    if isinstance(event, StepDone):
        print(f"step {event.step}/{steps} loss {event.loss!r}")
    elif isinstance(event, Evaluated):
        print(f"step {event.step}/{steps} validation loss {event.loss!r}", flush=True)
    elif isinstance(event, Sampled):
        print(f"{event.prompt}{event.text}")
    elif isinstance(event, Note):
        print(event.text)


if __name__ == "__main__":
    run(main)
