"""Images per second of ConvNeXt, forward and backward, beside timm's own, in one run."""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from rich.console import Console
from rich.table import Table
from tests.models import reference
from torch import nn

from maquette.data.cache import cache_folder
from maquette.models.convnext import ConvNeXt
from maquette.shapes import CONVNEXT_VARIANTS, ConvNeXtShape
from maquette.training.compilation import compile_blocks
from maquette.training.device import autocast

CLASSES = 10
CPU = torch.device("cpu")


def main(arguments: list[str] | None = None) -> None:
    """Print a table: medians of interleaved steps, and the ratio to timm's float32."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--variant", choices=CONVNEXT_VARIANTS, default="tiny")
    parser.add_argument("--pixels", type=int, default=32)
    parser.add_argument("--stem-stride", type=int, default=4)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--compile", action="store_true", help="one more line, after a minute")
    options = parser.parse_args(arguments)
    seconds = measure(options)
    console = Console(width=100)
    table = Table(
        title=f"ConvNeXt-{options.variant}, forward and backward, {options.pixels} pixels, stem"
        f" {options.stem_stride}, batch {options.batch}, {torch.get_num_threads()} threads"
    )
    for heading in ("", "images/s", "ratio"):
        table.add_column(heading, justify="right" if heading else "left")
    base = seconds["timm, float32"]
    for name, taken in seconds.items():
        table.add_row(name, f"{options.batch / taken:.0f}", f"{base / taken:.2f}x")
    console.print(table)


def measure(options: argparse.Namespace) -> dict[str, float]:
    """Median seconds of a step, by who takes it."""
    depths, widths = CONVNEXT_VARIANTS[options.variant]
    shape = ConvNeXtShape(
        classes=CLASSES,
        image_size=options.pixels,
        depths=depths,
        widths=widths,
        stem_stride=options.stem_stride,
        drop_path=0.0,
        layer_scale=1e-6,
        norm_epsilon=1e-6,
    )
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(options.batch, 3, shape.image_size, shape.image_size, generator=generator)
    targets = torch.randint(CLASSES, (options.batch,), generator=generator)
    ours = ConvNeXt(shape)
    theirs: nn.Module = reference.timm().create_model(
        f"convnext_{options.variant}", num_classes=CLASSES, patch_size=shape.stem_stride
    )

    def their_loss() -> torch.Tensor:
        return nn.functional.cross_entropy(theirs(images), targets)

    def our_loss(model: nn.Module = ours, precision: str = "float32") -> torch.Tensor:
        with autocast(CPU, precision):  # type: ignore[arg-type]
            loss: torch.Tensor = model(images, targets)[1]
        return loss

    steps: dict[str, Callable[[], torch.Tensor]] = {
        "timm, float32": their_loss,
        "maquette, float32": our_loss,
        "maquette, bf16": lambda: our_loss(precision="bf16"),
    }
    if options.compile:
        compiled = ConvNeXt(shape)
        compile_blocks(compiled, cache=cache_folder().parent / "compiled")
        steps["maquette, bf16, compiled"] = lambda: our_loss(compiled, "bf16")
    taken: dict[str, list[float]] = {name: [] for name in steps}
    for loss in steps.values():
        _step(loss, ours, theirs)  # set-up
    for _ in range(options.rounds):
        for name, loss in steps.items():
            taken[name].append(_step(loss, ours, theirs))
    return {name: statistics.median(each) for name, each in taken.items()}


def _step(loss: Callable[[], torch.Tensor], *models: nn.Module) -> float:
    begin = time.perf_counter()
    loss().backward()  # type: ignore[no-untyped-call]
    taken = time.perf_counter() - begin
    for model in models:
        model.zero_grad()
    return taken


if __name__ == "__main__":
    main()
