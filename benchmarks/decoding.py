"""Images decoded per second, of files as large as ImageNet's: what trains at 224 waits for this."""

import argparse
import io
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

from maquette.augmentation import Augmentation
from maquette.data.image.augment import draw_crops
from maquette.data.image.decoder_process import decode_all
from maquette.data.image.decoders import Decoders, Task

WIDTH, HEIGHT = 500, 375
"""ImageNet's most frequent size."""
CROP_SCALE = 0.25  # the least share of an image that a random part keeps


def main(arguments: list[str] | None = None) -> None:
    """Print a table: the whole middle as for validation, random parts as for training."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--pixels", type=int, default=224)
    parser.add_argument("--workers", type=int, help="processes; one for each core unless given")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        paths = [_draw(Path(folder, f"{i}.jpg"), i) for i in range(options.images)]
        kib = sum(path.stat().st_size for path in paths) / len(paths) / 1024
        crops = draw_crops(Augmentation(crop_scale=CROP_SCALE), len(paths), seed=0, step=0)
        assert crops is not None
        whole: list[Task] = [((str(path), 0, 0), None) for path in paths]
        parts: list[Task] = [(image, crop) for (image, _), crop in zip(whole, crops, strict=True)]
        table = Table(
            title=f"{len(paths)} JPEGs of {WIDTH} x {HEIGHT}, {kib:.0f} KiB each, decoded and"
            f" brought to {options.pixels} pixels"
        )
        for heading in ("", "images/s of processor time", "images/s with workers", "workers"):
            table.add_column(heading, justify="right" if heading else "left")
        for name, tasks in (("the whole middle", whole), ("random parts", parts)):
            alone, together, workers = measure(tasks, options.pixels, options.workers)
            table.add_row(name, f"{alone:.0f}", f"{together:.0f}", str(workers))
    Console(width=100).print(table)


def measure(tasks: list[Task], size: int, workers: int | None) -> tuple[float, float, int]:
    """Images a second of one core's time, then by the clock with workers, and how many these are.

    By the clock it depends on what else the machine does; each is the better of two.
    """
    spent, waited = [], []
    with Decoders(workers) as decoders:
        decoders.decode(tasks, size)  # starts them
        for _ in range(2):
            begin = time.process_time()
            decode_all(tasks, size)
            spent.append(time.process_time() - begin)
            begin = time.perf_counter()
            decoders.decode(tasks, size)
            waited.append(time.perf_counter() - begin)
    return len(tasks) / min(spent), len(tasks) / min(waited), decoders.workers


def _draw(path: Path, seed: int) -> Path:
    """Smooth colours with finer and finer detail, about as many bytes as a photograph has."""
    rng = np.random.default_rng(seed)
    image = np.zeros((HEIGHT, WIDTH, 3), dtype=np.float32)
    for side, strength in ((3, 100), (12, 50), (48, 30), (190, 22), (375, 16)):
        coarse = rng.integers(0, 256, (side, side * WIDTH // HEIGHT, 3), dtype=np.uint8)
        fine = Image.fromarray(coarse).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
        image += strength / 128 * (np.asarray(fine, dtype=np.float32) - 128)
    file = io.BytesIO()
    drawn = Image.fromarray((image + 128).clip(0, 255).astype(np.uint8))
    drawn.save(file, "jpeg", quality=90)
    path.write_bytes(file.getvalue())
    return path


if __name__ == "__main__":
    main()
