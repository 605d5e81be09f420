"""Decoding many images, also as the program that worker processes run: no torch here."""

import pickle
import struct
import sys
from typing import IO, Any

import numpy as np

from maquette.augmentation import Crop
from maquette.data.image.decoding import BrokenError, Encoded, Pixels, decode


def decode_all(
    images: list[tuple[Encoded, Crop | None]], size: int
) -> tuple[Pixels, dict[int, str]]:
    """Many of them, (N, size, size, 3), and why those that are broken are; these stay black."""
    pixels = np.zeros((len(images), size, size, 3), dtype=np.uint8)
    broken = {}
    for row, (encoded, crop) in enumerate(images):
        try:
            pixels[row] = decode(encoded, size, crop)
        except BrokenError as error:
            broken[row] = str(error)
    return pixels, broken


def send(pipe: IO[bytes], value: Any) -> None:
    """Write a value to a pipe between us and a worker process."""
    data = pickle.dumps(value, protocol=5)
    pipe.write(struct.pack("<Q", len(data)) + data)
    pipe.flush()


def receive(pipe: IO[bytes]) -> Any:
    """The next value from the other side. Raises EOFError when there is no other side."""
    head = pipe.read(8)
    if len(head) < 8:
        raise EOFError
    (length,) = struct.unpack("<Q", head)
    data = pipe.read(length)
    if len(data) < length:
        raise EOFError
    return pickle.loads(data)


def main() -> None:
    """Decode what comes on stdin until it ends: when whoever started us is gone, so are we."""
    tasks, results = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr  # nothing may print into the results
    while True:
        try:
            images, size = receive(tasks)
        except EOFError:
            return
        send(results, decode_all(images, size))


if __name__ == "__main__":
    main()
