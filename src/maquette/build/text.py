"""A language model to train: the model, its batches, what it is judged by, and samples of it."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from maquette.blueprint.blueprint import Blueprint, Mixture
from maquette.data.batches import Batches, fixed_windows
from maquette.data.prepare import Prepared
from maquette.errors import TrainingError
from maquette.events import Evaluated, Sampled
from maquette.generation.sampling import SamplingOptions
from maquette.generation.text import generate_text
from maquette.models.gpt import GPT
from maquette.models.loss import IGNORE
from maquette.training.checkpoint import load_weights
from maquette.training.evaluate import combine, evaluate
from maquette.training.loop import TRY


class TextTask:
    """Learning to write: windows of tokens, and the token that follows each."""

    def __init__(
        self,
        blueprint: Blueprint,
        prepared: Prepared,
        *,
        device: torch.device,
        autocast: contextlib.AbstractContextManager[object],
    ) -> None:
        """The model's first weights are drawn from the global generator."""
        self._blueprint, self._device, self._autocast = blueprint, device, autocast
        self.model: nn.Module = GPT(blueprint.shape).to(device)
        self._tokenizer = prepared.tokenizer
        self._token_bytes = torch.from_numpy(self._tokenizer.token_bytes().astype(np.int64))
        self._open_texts(prepared)

    def _open_texts(self, prepared: Prepared) -> None:
        """The batches to train on, the windows to judge by, and each source's share of both."""
        plan, context = self._blueprint.train, self._blueprint.shape.context
        texts = prepared.tokens("train")
        total = sum(map(len, texts.values()))
        chat = plan.objective == "chat"
        masks, held_masks = (prepared.masks(split) for split in ("train", "validation"))
        self._shares = {name: len(tokens) / total for name, tokens in texts.items()}
        if plan.mixture:
            self._shares = plan.mixture.shares
        self.batches = Batches(
            list(texts.values()),
            context=context,
            batch_size=plan.batch_size,
            seed=self._blueprint.seed,
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
                    start_token=self._tokenizer.end_of_text,
                    ignore=IGNORE,
                    windows=plan.evaluate_windows,
                    masks=[held_masks[name]] if chat else None,
                )
            )
            for name, tokens in prepared.tokens("validation").items()
        }

    def batch(self, k: int) -> tuple[Tensor, Tensor]:
        """Inputs and targets of step k + 1, int64 (B, T)."""
        return self.batches.batch(k)

    def begin_from(self, weights: Path) -> list[str]:
        """Take the weights in a checkpoint's folder. Raises CheckpointError."""
        load_weights(weights, self.model, shorter=True)
        return []

    def notes(self) -> list[str]:
        """What was decided for this training that its spec doesn't say."""
        mixture = self._blueprint.train.mixture
        whole = mixture is None or abs(mixture.given_total - 1) < 1e-9
        return [] if mixture is None or whole else [normalised(mixture)]

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
        context = self._blueprint.shape.context
        seen = zip(parts, self.batches.seen(step), strict=True) if several else ()
        words = bytes_per_word(self._blueprint, "validation")
        return Evaluated(
            step=step,
            split="validation",
            loss=losses.loss,
            perplexity=losses.perplexity,
            bits_per_byte=losses.bits_per_byte,
            word_perplexity=losses.word_perplexity(words) if words else None,
            sources={name: part.loss for name, part in parts.items()} if several else {},
            tokens_seen={name: n * context for name, n in seen},
        )

    def sample(self, model: nn.Module, step: int) -> Sampled:
        """The spec's prompt and what the model writes after it, from the same draws each time."""
        assert isinstance(model, GPT)
        plan = self._blueprint.train
        with _finite(step):
            pieces = generate_text(
                model,
                self._tokenizer,
                plan.sample_prompt,
                max_new_tokens=plan.sample_tokens,
                options=SamplingOptions(plan.sample_temperature, top_k=plan.sample_top_k),
                seed=self._blueprint.seed,
            )
            return Sampled(step, plan.sample_prompt, "".join(pieces))


def normalised(mixture: Mixture) -> str:
    """What became of weights that don't add up to 1, in words."""
    shares = ", ".join(f"{name} {share:.1%}" for name, share in mixture.shares.items())
    return f"the weights add up to {mixture.given_total:g}, and are taken as shares: {shares}"


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
