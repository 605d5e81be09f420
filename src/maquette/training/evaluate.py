"""Loss over a fixed set of windows, and what people call it."""

import math
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from maquette.models.loss import IGNORE


@dataclass(frozen=True, slots=True)
class Losses:
    """Sums over all targets that count."""

    nats: float
    tokens: float
    bytes: float

    @property
    def loss(self) -> float:
        """Nats per token."""
        return self.nats / self.tokens

    @property
    def perplexity(self) -> float:
        """exp(nats per token); infinite where that overflows."""
        return _exp(self.loss)

    @property
    def bits_per_byte(self) -> float:
        """Bits per byte of text: comparable between tokenizers."""
        return self.nats / math.log(2) / self.bytes if self.bytes else math.nan

    def word_perplexity(self, bytes_per_word: float) -> float:
        """exp(nats per word), the words counted as in the papers: comparable with theirs."""
        return _exp(self.nats / self.bytes * bytes_per_word)


def combine(parts: Mapping[str, Losses], shares: Mapping[str, float]) -> Losses:
    """All sources as one text in which each has its share of the tokens, as in training."""
    scales = {name: shares[name] / part.tokens for name, part in parts.items()}
    return Losses(
        math.fsum(scales[name] * part.nats for name, part in parts.items()),
        math.fsum(scales[name] * part.tokens for name, part in parts.items()),
        math.fsum(scales[name] * part.bytes for name, part in parts.items()),
    )


def add(parts: Iterable[Losses]) -> Losses:
    """Several texts as one."""
    parts = list(parts)
    return Losses(
        sum(part.nats for part in parts),
        sum(part.tokens for part in parts),
        sum(part.bytes for part in parts),
    )


def _exp(value: float) -> float:
    return math.exp(value) if value < 700 else math.inf


@torch.no_grad()
def evaluate(
    model: nn.Module,
    windows: Iterable[tuple[Tensor, Tensor]],
    *,
    token_bytes: Tensor,
    device: torch.device,
    autocast: AbstractContextManager[object],
) -> Losses:
    """Sum the losses of windows: inputs and targets int64 (B, T), targets of IGNORE left out.

    `token_bytes` (V,) says how many bytes each token stands for. Dropout is off meanwhile.
    """
    was_training = model.training
    model.eval()
    nats, tokens, size = 0.0, 0, 0
    for inputs, targets in windows:
        targets = targets.to(device)
        with autocast:
            _, loss = model(inputs.to(device), targets)
        counted = targets != IGNORE
        count = int(counted.sum())
        nats += float(loss) * count
        tokens += count
        size += int(F.embedding(targets[counted].cpu(), token_bytes[:, None]).sum())
    model.train(was_training)
    return Losses(nats, tokens, size)
