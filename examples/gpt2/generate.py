"""Text from the model: `python generate.py --prompt "..."`.

Made by `maquette eject` (maquette 0.1.0) from the spec gpt2; blueprint a6be616f88eb2fc6.
"""

import argparse
import codecs
import math
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from device import choose_device
from errors import count, run
from model import GPT, SHAPE, WEIGHTS, load_model
from text import Tokenizer, read_bpe

# From logits to the next token. Pure functions; all chance comes from an explicit generator.
#
# V vocabulary.


@dataclass(frozen=True, slots=True)
class SamplingOptions:
    """How a token is drawn. Applied in the order of the fields, after `repetition_penalty`.

    Raises ValueError for a number out of bounds.
    """

    temperature: float = 1.0
    """Divides the logits; 0 takes the likeliest token (of equals the lowest id)."""
    top_k: int | None = None
    """Draw from the k likeliest tokens."""
    top_p: float = 1.0
    """Draw from the fewest likeliest tokens that have this probability together."""
    min_p: float = 0.0
    """Draw from tokens that are at least this share as likely as the likeliest."""
    repetition_penalty: float = 1.0
    """Above 1, tokens seen before become less likely."""

    def __post_init__(self) -> None:
        for name, sound, bounds in (
            ("temperature", 0 <= self.temperature < math.inf, "0 or more"),
            ("top_k", self.top_k is None or self.top_k >= 1, "1 or more"),
            ("top_p", 0 < self.top_p <= 1, "above 0, 1 at most"),
            ("min_p", 0 <= self.min_p <= 1, "0 to 1"),
            ("repetition_penalty", 0 < self.repetition_penalty < math.inf, "above 0"),
        ):
            if not sound:
                raise ValueError(f"{name}={getattr(self, name)} must be {bounds}")


def next_token(
    logits: Tensor,
    options: SamplingOptions,
    generator: torch.Generator,
    *,
    seen: Tensor | None = None,
) -> int:
    """Choose a token by its logits (V,); `seen` (V,) bool marks those that were there before.

    Takes one number from the generator, or none at temperature 0. Generator and logits are on one
    device. Raises FloatingPointError where the logits aren't finite: the weights are broken.
    """
    if seen is not None and options.repetition_penalty != 1:
        logits = penalise_repetition(logits, seen, options.repetition_penalty)
    if options.temperature == 0:
        token = int(logits.argmax())  # the first of equals
        if not math.isfinite(float(logits[token])):
            raise FloatingPointError("the model's logits are not finite")
        return token
    # The likeliest token at 0: then no temperature, however low, overflows.
    logits = (logits - logits.max()) / options.temperature
    if options.top_k is not None:
        logits = keep_top_k(logits, options.top_k)
    if options.top_p < 1:
        logits = keep_top_p(logits, options.top_p)
    if options.min_p > 0:
        logits = keep_min_p(logits, options.min_p)
    return draw(logits, generator)


def penalise_repetition(logits: Tensor, seen: Tensor, penalty: float) -> Tensor:
    """Divide positive logits of seen tokens by the penalty, multiply negative ones by it.

    Keskar et al. 2019, arXiv:1909.05858, in the form that also lowers negative logits.
    """
    return torch.where(seen, torch.where(logits > 0, logits / penalty, logits * penalty), logits)


def keep_top_k(logits: Tensor, k: int) -> Tensor:
    """All but the k largest logits at minus infinity (Fan et al. 2018, arXiv:1805.04833).

    Those equal to the k-th stay.
    """
    if k >= logits.numel():
        return logits
    return logits.masked_fill(logits < logits.topk(k).values[-1], -math.inf)


def keep_top_p(logits: Tensor, p: float) -> Tensor:
    """The nucleus: the fewest likeliest tokens with probability p or more together.

    Holtzman et al. 2020, arXiv:1904.09751. Never empty; of equals the lower ids come first.
    """
    ordered, ids = logits.sort(descending=True, stable=True)
    probabilities = ordered.softmax(-1)
    outside = probabilities.cumsum(-1) - probabilities >= p  # those before it suffice
    return logits.masked_fill(outside.new_empty(outside.shape).scatter_(0, ids, outside), -math.inf)


def keep_min_p(logits: Tensor, p: float) -> Tensor:
    """Tokens at least p times as likely as the likeliest (Nguyen et al. 2024, arXiv:2407.01082)."""
    return logits.masked_fill(logits < logits.max() + math.log(p), -math.inf)


def draw(logits: Tensor, generator: torch.Generator) -> int:
    """Draw a token with the probabilities softmax(logits), by one uniform number.

    The number falls into one of the pieces that the probabilities cut [0, 1) into.
    """
    ends = logits.double().softmax(-1).cumsum(-1)
    uniform = torch.rand((), dtype=torch.float64, device=logits.device, generator=generator)
    total = ends[-1]  # 1, but for rounding
    token = int(torch.searchsorted(ends, uniform * total, right=True))
    if token >= len(ends):
        raise FloatingPointError("the model's logits are not finite")
    return token


# Decoding: tokens from a model, one after another, with a cache of keys and values.

SHARED_WORK = 2**26
"""Multiplications that a step needs at least before a CPU's cores share it. With fewer, waiting
for each other takes longer than the work, and on a busy machine very much longer."""


def generate(
    model: GPT,
    prompt_ids: Sequence[int],
    *,
    max_new_tokens: int,
    options: SamplingOptions | None = None,
    seed: int = 0,
    stop_tokens: Collection[int] = (),
    use_cache: bool = True,
) -> Iterator[int]:
    """Continue a prompt token by token; ends before a stop token, which isn't given out.

    The model sees at most its context. Of a longer prompt it reads the last part; when the window
    is full, its last half stays and is read anew from position 0, with and without the cache, so
    that both give the same tokens. All chance comes from `seed`; the global generators and the
    model's training mode are left as they are. Raises ValueError for an empty prompt or ids that
    the model doesn't have, FloatingPointError where its weights are broken.
    """
    ids = [int(i) for i in prompt_ids]
    if not ids:
        raise ValueError("a prompt needs at least one token")
    if min(ids) < 0 or max(ids) >= model.shape.vocabulary:
        raise ValueError(f"a prompt's ids must be in 0 ... {model.shape.vocabulary - 1}")
    window = _Window(model, ids[-model.shape.context :], use_cache=use_cache)
    options = options or SamplingOptions()
    return _stream(window, ids, max_new_tokens, options, seed, frozenset(stop_tokens))


def _stream(
    window: "_Window",
    prompt: Sequence[int],
    max_new_tokens: int,
    options: SamplingOptions,
    seed: int,
    stop_tokens: frozenset[int],
) -> Iterator[int]:
    generator = torch.Generator().manual_seed(seed)
    seen = None
    if options.repetition_penalty != 1:
        seen = torch.zeros(window.model.shape.vocabulary, dtype=torch.bool)
        seen[list(prompt)] = True
    for _ in range(max_new_tokens):
        # Modes are set around each step, never around a yield: they'd reach whoever consumes.
        with _evaluating(window.model), torch.inference_mode():
            # On the CPU, so that a seed means the same on every device.
            token = next_token(window.logits(), options, generator, seen=seen)
        if token in stop_tokens:
            return
        yield token
        window.append(token)
        if seen is not None:
            seen[token] = True


class _Window:
    """The tokens that the model sees now, and how many of them the cache holds."""

    def __init__(self, model: GPT, ids: list[int], *, use_cache: bool) -> None:
        self.model = model
        self._ids = ids
        self._cache = model.new_cache(1) if use_cache else None
        self._cached = 0
        self._weights = sum(p.numel() for p in model.parameters())

    def append(self, token: int) -> None:
        """Add a token; where there is no room, keep the last half of the context."""
        self._ids.append(token)
        if len(self._ids) > self.model.shape.context:
            self._ids = self._ids[-max(1, self.model.shape.context // 2) :]
            self._cached = 0
            for layer in self._cache or ():
                layer.length = 0

    def logits(self) -> Tensor:
        """The logits of the next token, (V,), on the CPU."""
        model = self.model
        device = model.token_embedding.weight.device
        tokens = torch.tensor([self._ids[self._cached :]], device=device)
        with threads_for(tokens.numel() * self._weights):
            last = model.features(tokens, self._cache)[0, -1:]
            logits: Tensor = model.output(last)[0]
        if self._cache is not None:
            self._cached = len(self._ids)
        return logits.float().cpu()


def arrange_for_decoding(model: nn.Module) -> None:
    """Store a model's matrices so that a CPU multiplies them faster with one token, in place.

    One token reads every weight once, so the order in memory is what counts: for matrices with
    more outputs than inputs, column by column is up to twice as fast. The values stay.
    """
    for layer in model.modules():
        if isinstance(layer, nn.Linear) and layer.out_features > layer.in_features:
            layer.weight.data = layer.weight.data.t().contiguous().t()


@contextmanager
def threads_for(multiplications: int) -> Iterator[None]:
    """One thread inside if the work is too small to be shared."""
    before = torch.get_num_threads()
    if multiplications >= SHARED_WORK or before == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Dropout off inside."""
    if not model.training:
        yield
        return
    model.eval()
    try:
        yield
    finally:
        model.train()


# Text from a model, piece by piece: whole characters only, and never a part of a stop string.


def generate_text(
    model: GPT,
    tokenizer: Tokenizer,
    prompt: str,
    *,
    max_new_tokens: int,
    options: SamplingOptions | None = None,
    seed: int = 0,
    stop: Sequence[str] = (),
    use_cache: bool = True,
) -> Iterator[str]:
    """Continue a prompt in pieces of text; an empty one starts a document.

    Ends at the model's end of text, after `max_new_tokens`, or before the first stop string that
    the new text holds. All the pieces together are what the tokenizer decodes from the new tokens;
    U+FFFD stands for bytes that aren't UTF-8. Raises ValueError for an empty stop string, and what
    `decode.generate` raises.
    """
    text = TextStream(tokenizer, stop)
    ids = tokenizer.encode(prompt).tolist() or [tokenizer.end_of_text]
    tokens = generate(
        model,
        ids,
        max_new_tokens=max_new_tokens,
        options=options,
        seed=seed,
        stop_tokens=(tokenizer.end_of_text,),
        use_cache=use_cache,
    )
    return _pieces(tokens, text)


def _pieces(tokens: Iterator[int], text: "TextStream") -> Iterator[str]:
    for token in tokens:
        if piece := text.feed(token):
            yield piece
        if text.stopped:
            return
    if rest := text.end():
        yield rest


class TextStream:
    """Tokens in, text out: whole characters, and nothing of a stop string or after it.

    `trim`: without blanks at its edges, as an answer in a chat. Raises ValueError for an empty
    stop string.
    """

    def __init__(
        self, tokenizer: Tokenizer, stop: Sequence[str] = (), *, trim: bool = False
    ) -> None:
        self._tokenizer = tokenizer
        self._stops = _Stops(stop)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._trim, self._begun, self._blanks = trim, False, ""
        self.read = 0
        """Characters decoded so far."""
        self.passed = 0
        """Characters of these that can't be part of a stop string; blanks that were trimmed too."""

    @property
    def stopped(self) -> bool:
        """Whether a stop string was found: no text comes after it."""
        return self._stops.found

    def feed(self, token: int) -> str:
        """What can be shown once this token is there."""
        return self._take(self._decoder.decode(self._tokenizer.decode_bytes((token,))))

    def end(self) -> str:
        """What was held back, when no more tokens come."""
        return self._take(self._decoder.decode(b"", final=True)) + self._pass(self._stops.flush())

    def _take(self, text: str) -> str:
        self.read += len(text)
        return self._pass(self._stops.feed(text))

    def _pass(self, text: str) -> str:
        self.passed += len(text)
        if not self._trim:
            return text
        text = self._blanks + text if self._begun else text.lstrip()
        kept = text.rstrip()
        self._begun, self._blanks = self._begun or bool(kept), text[len(kept) :]
        return kept


class _Stops:
    """Lets text through as soon as it can't be part of a stop string any more."""

    def __init__(self, stop: Sequence[str]) -> None:
        if "" in stop:
            raise ValueError("a stop string can't be empty")
        self._stop = tuple(stop)
        self._held = ""
        self.found = False

    def feed(self, text: str) -> str:
        """Take more text; returns what is safe to show."""
        held = self._held + text
        # The one that is complete first counts, so that the cut between tokens changes nothing.
        ends = [(at + len(stop), at) for stop in self._stop if (at := held.find(stop)) >= 0]
        if ends:
            self.found, self._held = True, ""
            return held[: min(ends)[1]]
        keep = max((_overlap(held, stop) for stop in self._stop), default=0)
        self._held = held[len(held) - keep :]
        return held[: len(held) - keep]

    def flush(self) -> str:
        """What was held back, when no more text comes."""
        held, self._held = self._held, ""
        return held


def _overlap(text: str, stop: str) -> int:
    """The length of the longest end of a text that is a beginning, but not all, of a string."""
    for length in range(min(len(text), len(stop) - 1), 0, -1):
        if text.endswith(stop[:length]):
            return length
    return 0


TOKENS = 200
TEMPERATURE = 0.8
TOP_K: int | None = None


def main() -> None:
    """Print what the model writes after a prompt, as it comes."""
    parser = argparse.ArgumentParser(description="Let the model write.")
    parser.add_argument("--prompt", default="", help="what it goes on from")
    parser.add_argument("--max-new-tokens", type=count, default=TOKENS, metavar="N")
    parser.add_argument("--temperature", type=float, default=TEMPERATURE, metavar="T")
    parser.add_argument("--top-k", type=count, default=TOP_K, metavar="K")
    parser.add_argument("--top-p", type=float, default=1.0, metavar="P")
    parser.add_argument("--seed", type=int, default=0, help="another seed, another text")
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="default: %(default)s")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    options = parser.parse_args()
    try:
        sampling = SamplingOptions(options.temperature, top_k=options.top_k, top_p=options.top_p)
    except ValueError as error:
        parser.error(str(error))
    tokenizer = read_bpe(options.weights.with_name("tokenizer.json"))
    model = GPT(SHAPE).to(choose_device(options.device))
    load_model(options.weights, model)
    arrange_for_decoding(model.eval())
    print(options.prompt, end="")
    for piece in generate_text(
        model,
        tokenizer,
        options.prompt,
        max_new_tokens=options.max_new_tokens,
        options=sampling,
        seed=options.seed % 2**64,
    ):
        print(piece, end="", flush=True)
    print()


if __name__ == "__main__":
    run(main)
