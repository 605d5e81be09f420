"""Decoding for several requests at once: each step writes one token for each of them.

One token reads every weight once, so a few sequences cost little more than one. New ones join
between tokens; each has its own sampling options, seed and stop tokens, and gives the tokens that
`decode.generate` gives alone. Products of several rows may round differently in the last bits,
which changes a token only where two were as good as equal.

B sequences that go on, K key/value heads, D channels a head, V vocabulary.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from maquette.generation.decode import threads_for
from maquette.generation.sampling import SamplingOptions, next_token
from maquette.models.attention import LayerCache
from maquette.models.gpt import GPT

End = Literal["stop", "length"]


@dataclass(frozen=True, slots=True)
class Request:
    """What to write, as `decode.generate` takes it. `logprobs`: how many alternatives to tell."""

    prompt_ids: Sequence[int]
    max_new_tokens: int
    options: SamplingOptions = field(default_factory=SamplingOptions)
    seed: int = 0
    stop_tokens: frozenset[int] = frozenset()
    logprobs: int | None = None


@dataclass(frozen=True, slots=True)
class Chance:
    """How likely the model found a token, in nats, before any sampling option."""

    token: int
    logprob: float
    alternatives: tuple[tuple[int, float], ...]
    """The likeliest tokens and theirs, likeliest first."""


@dataclass(frozen=True, slots=True)
class Written:
    """What a step did for a stream: a token, its end, or both; or an error, which ends it too."""

    stream: "Stream"
    token: int | None = None
    chance: Chance | None = None
    end: End | None = None
    error: Exception | None = None


class Stream:
    """A request on its way: the tokens that the model sees, of which the cache holds `cached`."""

    def __init__(self, request: Request, number: int, context: int, vocabulary: int) -> None:
        self.request = request
        self.number = number
        prompt = [int(i) for i in request.prompt_ids]
        self.ids = prompt[-context:]
        self.cached = 0
        self.written = 0
        self.generator = torch.Generator().manual_seed(request.seed)
        self.seen: Tensor | None = None
        if request.options.repetition_penalty != 1:
            self.seen = torch.zeros(vocabulary, dtype=torch.bool)
            self.seen[prompt] = True

    def append(self, token: int, context: int) -> None:
        """Add a token; where there is no room, keep the last half of the context, to be reread."""
        self.written += 1
        self.ids.append(token)
        if len(self.ids) > context:
            self.ids = self.ids[-max(1, context // 2) :]
            self.cached = 0
        if self.seen is not None:
            self.seen[token] = True


class BatchDecoder:
    """Up to `slots` streams of one model. Not for several threads: one has to own it."""

    def __init__(self, model: GPT, *, slots: int) -> None:
        """The model is put in eval mode. A slot takes the memory of one cache."""
        assert slots >= 1
        self.model = model.eval()
        self.slots = slots
        self._context = model.shape.context
        self._streams: list[Stream] = []  # a stream's row in the caches is its place here
        # Zeros, since 0 times what was there before isn't 0 if that was infinite.
        self._caches = [
            _RowsCache(c.keys.zero_(), c.values.zero_()) for c in model.new_cache(slots)
        ]
        self._added = 0
        self._weights = sum(p.numel() for p in model.parameters())

    @property
    def free(self) -> int:
        """How many more streams there is room for."""
        return self.slots - len(self._streams)

    def add(self, request: Request) -> Stream:
        """Let a request join at the next step.

        Raises ValueError as `check_request` does.
        """
        check_request(request, self.model.shape.vocabulary)
        assert self.free, "all slots are taken"
        self._added += 1
        stream = Stream(request, self._added, self._context, self.model.shape.vocabulary)
        self._streams.append(stream)
        return stream

    def remove(self, stream: Stream) -> None:
        """Take a stream out before its end; nothing happens to one that has ended."""
        if stream in self._streams:
            row, last = self._streams.index(stream), len(self._streams) - 1
            if row != last:
                self._move(last, row)
            self._streams.pop()

    def step(self) -> list[Written]:
        """Write the next token of every stream, but read no more new text than one context.

        So a few long prompts that come together don't hold up those that are being answered. What
        goes wrong with one stream ends that one only.
        """
        with torch.inference_mode():
            going = self._sort_rows()
            reading = self._within_budget(self._streams[going:])
            written = self._go_on(self._streams[:going])
            written += [self._read(stream) for stream in reading]
        for one in written:
            if one.end or one.error:
                self.remove(one.stream)
        return written

    def _sort_rows(self) -> int:
        """Those that the cache knows come first; returns how many these are."""
        going = sum(1 for stream in self._streams if stream.cached)
        holes = [i for i in range(going) if not self._streams[i].cached]
        late = [i for i in range(going, len(self._streams)) if self._streams[i].cached]
        for hole, row in zip(holes, late, strict=True):
            unread = self._streams[hole]
            self._move(row, hole)
            self._streams[row] = unread
        return going

    def _move(self, row: int, to: int) -> None:
        """Give the stream of a row another one, over what is there."""
        stream = self._streams[to] = self._streams[row]
        for cache in self._caches:
            cache.keys[to, :, : stream.cached] = cache.keys[row, :, : stream.cached]
            cache.values[to, :, : stream.cached] = cache.values[row, :, : stream.cached]

    def _within_budget(self, streams: Iterable[Stream]) -> list[Stream]:
        """Those to be read in this step: windows that slid, then new ones, the oldest first."""
        chosen: list[Stream] = []
        left = self._context
        for stream in sorted(streams, key=lambda s: (s.written == 0, s.number)):
            left -= len(stream.ids)
            if left < 0 and chosen:
                break
            chosen.append(stream)
        return chosen

    def _read(self, stream: Stream) -> Written:
        """Read a whole window into its row, and write the token after it."""
        row = self._streams.index(stream)
        model = self.model
        try:
            caches = [LayerCache(*c.row(row)) for c in self._caches]
            tokens = torch.tensor([stream.ids], device=model.token_embedding.weight.device)
            with threads_for(tokens.numel() * self._weights):
                logits = model.output(model.features(tokens, caches)[0, -1:])[0]
            stream.cached = len(stream.ids)
            return self._choose(stream, logits.float().cpu())
        except Exception as error:
            return Written(stream, error=error)

    def _go_on(self, streams: Sequence[Stream]) -> list[Written]:
        """Write the next token of streams of which only the last one is new to the cache."""
        if not streams:
            return []
        try:
            with threads_for(len(streams) * self._weights):
                logits = self._features([s.ids[-1] for s in streams], [s.cached for s in streams])
                logits = self.model.output(logits).float().cpu()
        except Exception:
            for stream in streams:  # whoever is to blame: each is read anew, alone
                stream.cached = 0
            return []
        written = []
        for stream, row in zip(streams, logits, strict=True):
            stream.cached += 1
            written.append(self._choose(stream, row))
        return written

    def _features(self, tokens: list[int], positions: list[int]) -> Tensor:
        """One token of each sequence -> what the output layer reads, (B, C)."""
        model = self.model
        places = _Places(positions, model.token_embedding.weight.device)
        x = model.token_embedding(torch.tensor(tokens, device=places.positions.device)[:, None])
        x, rotary = model.position_embedding(x, places.positions[:, None])  # (B, 1, C)
        for block, cache in zip(model.blocks, self._caches, strict=True):
            cache.places, cache.mask = places, places.mask
            x = block(x, rotary, cache)
        features: Tensor = model.norm(x)
        return features[:, 0]

    def _choose(self, stream: Stream, logits: Tensor) -> Written:
        """Draw a stream's next token from its logits, (V,) on the CPU."""
        request = stream.request
        try:
            token = next_token(logits, request.options, stream.generator, seen=stream.seen)
            if token in request.stop_tokens:
                return Written(stream, end="stop")
            chance = None if request.logprobs is None else _chance(logits, token, request.logprobs)
            stream.append(token, self._context)
            end: End | None = "length" if stream.written == request.max_new_tokens else None
            return Written(stream, token, chance, end)
        except Exception as error:
            return Written(stream, error=error)


class _Places:
    """Where a step's tokens stand in their sequences."""

    def __init__(self, positions: list[int], device: torch.device) -> None:
        self.positions = torch.tensor(positions, device=device)
        self.rows = torch.arange(len(positions), device=device)
        self.longest = max(positions) + 1
        self.mask: Tensor | None = None  # (B, 1, 1, S)
        if min(positions) + 1 < self.longest:
            seen = torch.arange(self.longest, device=device) <= self.positions[:, None]
            self.mask = seen[:, None, None]


class _RowsCache(LayerCache):
    """One block's keys and values of all slots; `append` takes one token of each of the first B."""

    places: _Places

    def row(self, row: int) -> tuple[Tensor, Tensor]:
        """The keys and values of one slot, (1, K, context, D) each."""
        return self.keys[row : row + 1], self.values[row : row + 1]

    def append(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Add (B, K, 1, D) at each sequence's place; returns (B, K, S, D), S of the longest."""
        at = self.places
        self.keys[at.rows, :, at.positions] = keys[:, :, 0]
        self.values[at.rows, :, at.positions] = values[:, :, 0]
        count = len(at.rows)
        return self.keys[:count, :, : at.longest], self.values[:count, :, : at.longest]


def check_request(request: Request, vocabulary: int) -> None:
    """Raise ValueError for an empty prompt, ids out of the vocabulary, or no token to write."""
    ids = request.prompt_ids
    if not ids:
        raise ValueError("a prompt needs at least one token")
    if min(ids) < 0 or max(ids) >= vocabulary:
        raise ValueError(f"a prompt's ids must be in 0 ... {vocabulary - 1}")
    if request.max_new_tokens < 1:
        raise ValueError("there must be at least one token to write")


def _chance(logits: Tensor, token: int, alternatives: int) -> Chance:
    logprobs = logits.double().log_softmax(-1)
    best = logprobs.topk(min(alternatives, len(logprobs)))
    pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
    return Chance(token, float(logprobs[token]), tuple(pairs))
