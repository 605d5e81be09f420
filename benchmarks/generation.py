"""Generation with a KV cache, side by side with transformers' `generate`.

Llama's arithmetic at the same shape, weights, prompt and precision (float32), greedy and sampled.
"""

import statistics
import time
from collections.abc import Callable, Sequence

import torch
from rich.console import Console
from rich.table import Table

from maquette.generation.decode import arrange_for_decoding, generate
from maquette.generation.sampling import SamplingOptions
from maquette.models.gpt import GPT
from maquette.shapes import GPTShape

PROMPT, NEW, REPEATS = 32, 64, 7
SHAPES = {  # (depth, width, heads, vocabulary)
    "4 x 128, 256 ids": (4, 128, 4, 256),
    "6 x 384, 4096 ids": (6, 384, 6, 4096),
    "8 x 512, 16384 ids": (8, 512, 8, 16384),
}
WAYS = {
    "greedy": SamplingOptions(temperature=0),
    "top-k 50": SamplingOptions(temperature=0.8, top_k=50),
}


def _shape(depth: int, width: int, heads: int, vocabulary: int) -> GPTShape:
    return GPTShape(
        vocabulary=vocabulary,
        context=256,
        depth=depth,
        width=width,
        heads=heads,
        kv_heads=heads,
        head_dim=width // heads,
        hidden=-(-8 * width // 3 // 64) * 64,
        position="rope",
        norm="rms",
        mlp="swiglu",
        qk_norm=False,
        bias=False,
        tie_embeddings=False,
        dropout=0.0,
        rope_base=10000.0,
        norm_epsilon=1e-5,
    )


def _ours(shape: GPTShape, options: SamplingOptions) -> Callable[[], int]:
    model = GPT(shape).eval()
    arrange_for_decoding(model)  # as a run's model is loaded
    prompt = list(range(1, PROMPT + 1))
    return lambda: sum(
        1 for _ in generate(model, prompt, max_new_tokens=NEW, options=options, seed=0)
    )


def _theirs(shape: GPTShape, options: SamplingOptions) -> Callable[[], int]:
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.width,
        intermediate_size=shape.hidden,
        num_hidden_layers=shape.depth,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        max_position_embeddings=shape.context,
        rms_norm_eps=shape.norm_epsilon,
        tie_word_embeddings=shape.tie_embeddings,
    )
    model = LlamaForCausalLM(config).eval()
    prompt = torch.arange(1, PROMPT + 1)[None]
    how: dict[str, object] = {"do_sample": False}
    if options.temperature:
        how = {"do_sample": True, "temperature": options.temperature, "top_k": options.top_k}

    def run() -> int:
        out = model.generate(
            prompt,
            attention_mask=torch.ones_like(prompt),
            min_new_tokens=NEW,
            max_new_tokens=NEW,
            pad_token_id=0,
            **how,
        )
        return int(out.size(1)) - PROMPT

    return run


def _seconds(way: Callable[[], int], threads: int) -> float:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    begin = time.perf_counter()
    assert way() == NEW
    seconds = time.perf_counter() - begin
    torch.set_num_threads(before)
    return seconds


def _better_threads(way: Callable[[], int]) -> int:
    """One thread or all, whichever is faster: small steps on a busy machine suffer from many."""
    way()
    return min((1, torch.get_num_threads()), key=lambda threads: _seconds(way, threads))


def measure(shape: GPTShape, options: SamplingOptions) -> tuple[float, float]:
    """Tokens per second of ours and theirs: medians of repeats that take turns.

    Both have the number of threads that suits theirs best.
    """
    torch.manual_seed(0)
    ours, theirs = _ours(shape, options), _theirs(shape, options)
    threads = _better_threads(theirs)
    _seconds(ours, threads)
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(REPEATS):
        for way, found in zip((ours, theirs), seconds, strict=True):
            found.append(_seconds(way, threads))
    return NEW / statistics.median(seconds[0]), NEW / statistics.median(seconds[1])


def main(_arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    table = Table(title=f"Generation: {NEW} tokens after {PROMPT}, float32, tokens/s (medians)")
    table.add_column("shape")
    table.add_column("choice")
    for heading in ("maquette", "transformers", "ratio"):
        table.add_column(heading, justify="right")
    for name, numbers in SHAPES.items():
        for way, options in WAYS.items():
            ours, theirs = measure(_shape(*numbers), options)
            table.add_row(name, way, f"{ours:.0f}", f"{theirs:.0f}", f"{ours / theirs:.2f}x")
    Console().print(table)


if __name__ == "__main__":
    main()
