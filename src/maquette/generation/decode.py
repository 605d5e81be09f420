"""Decoding: tokens from a model, one after another, with a cache of keys and values."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from maquette.generation.sampling import SamplingOptions, next_token
from maquette.models.gpt import GPT

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
