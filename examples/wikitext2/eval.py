"""How well the model foretells text that it wasn't trained on: `python eval.py`.

Made by `maquette eject` (maquette 0.1.0) from the spec wikitext2; blueprint 09628d6f02ee6117.
"""

import argparse
import math
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from data import fixed_windows, read_texts
from device import autocast, choose_device, choose_precision
from errors import run
from model import GPT, IGNORE, SHAPE, WEIGHTS, load_model
from text import read_bpe

# Loss over a fixed set of windows, and what people call it.


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


BATCH_TOKENS = 8192


def main() -> None:
    """Print loss, perplexity and bits per byte of each source, and of all together."""
    parser = argparse.ArgumentParser(description="Evaluate the model.")
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="default: %(default)s")
    parser.add_argument("--data", metavar="FILE|FOLDER|stories", help="other text")
    parser.add_argument("--split", default="validation", help="train, validation or test")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    options = parser.parse_args()
    device = choose_device(options.device)
    precision = autocast(device, choose_precision("auto", device))
    tokenizer = read_bpe(options.weights.with_name("tokenizer.json"))
    model = GPT(SHAPE).to(device)
    load_model(options.weights, model)
    corpus = read_texts(tokenizer, options.data)
    if options.split not in corpus.tokens:
        parser.error(f"--split {options.split}: there are {', '.join(corpus.tokens)}")
    parts = {}
    for name, tokens in corpus.tokens[options.split].items():
        windows = fixed_windows(
            [tokens],
            context=SHAPE.context,
            batch_size=max(1, BATCH_TOKENS // SHAPE.context),
            start_token=tokenizer.end_of_text,
            ignore=IGNORE,
        )
        parts[name] = evaluate(
            model,
            windows,
            token_bytes=torch.from_numpy(tokenizer.token_bytes().astype(np.int64)),
            device=device,
            autocast=precision,
        )
        tell(name, parts[name])
    if len(parts) > 1:
        tell("together", add(parts.values()))


def tell(name: str, losses: Losses) -> None:
    """Print a line about a source."""
    print(
        f"{name}: loss {losses.loss:.4f}, perplexity {losses.perplexity:.2f},"
        f" {losses.bits_per_byte:.4f} bits per byte"
    )


if __name__ == "__main__":
    run(main)
