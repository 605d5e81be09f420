"""Learning to write: windows of tokens, and the token that follows each."""

import contextlib
from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from maquette.data.batches import Batches, fixed_windows
from maquette.data.corpus import Corpus
from maquette.errors import DataError, TrainingError
from maquette.events import Evaluated, Sampled
from maquette.generation.sampling import SamplingOptions
from maquette.generation.text import generate_text
from maquette.models.gpt import GPT
from maquette.models.loss import IGNORE
from maquette.training.evaluate import combine, evaluate
from maquette.training.loop import TRY


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
