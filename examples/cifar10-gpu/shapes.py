"""Drawn shapes, made on the spot: images to train on when there are no others.

Made by `maquette eject` (maquette 0.1.0) from the spec cifar10-gpu; blueprint 99f99336d72d4ac0.
"""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from images import Split

SIDE = 32
FINE = 3  # samples a pixel and direction, whose mean is the pixel
BLOCK = 256  # images drawn from one stream of random numbers
CHUNK = 8  # images drawn at a time: what their samples take fits into a cache
SPLITS = ("train", "validation", "test")

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]


def _polygon(x: Floats, y: Floats, sides: int) -> Floats:
    """How far out a point is, measured towards the nearest side of a regular polygon."""
    turns = 2 * np.pi * np.arange(sides) / sides
    far: Floats = np.full_like(x, -np.inf)
    for turn in turns:
        np.maximum(far, x * np.float32(np.sin(turn)) - y * np.float32(np.cos(turn)), out=far)
    return far


def _triangle(x: Floats, y: Floats) -> Mask:
    return _polygon(x, y - 0.12, 3) < 0.56


def _star(x: Floats, y: Floats) -> Mask:
    """Five tips: inside at least four of the pentagram's five sides."""
    turns = 2 * np.pi * np.arange(5) / 5
    sides = [x * np.float32(np.sin(t)) - y * np.float32(np.cos(t)) < 0.37 for t in turns]
    inside: Mask = np.asarray(np.sum(sides, axis=0, dtype=np.int8)) >= 4
    return inside


def _cross(x: Floats, y: Floats) -> Mask:
    ax, ay = np.abs(x), np.abs(y)
    return (np.minimum(ax, ay) < 0.27) & (np.maximum(ax, ay) < 0.92)


def _heart(x: Floats, y: Floats) -> Mask:
    """Two discs on the upper sides of a square that stands on its corner."""
    ax, down = np.abs(x), y + 0.08
    discs = (ax - 0.40) ** 2 + (down + 0.32) ** 2 < 0.47**2
    wedge = (ax * 0.78 + down * 0.62 < 0.52) & (down > -0.32)
    return discs | wedge


def _crescent(x: Floats, y: Floats) -> Mask:
    return (x**2 + y**2 < 0.92**2) & ((x - 0.46) ** 2 + y**2 > 0.72**2)


def _arrow(x: Floats, y: Floats) -> Mask:
    head = (y > -0.95) & (np.abs(x) < (y + 0.95) * 0.75) & (y < -0.05)
    shaft = (np.abs(x) < 0.2) & (y >= -0.1) & (y < 0.92)
    return head | shaft


FORMS: dict[str, Callable[[Floats, Floats], Mask]] = {
    "arrow": _arrow,
    "bar": lambda x, y: (np.abs(x) < 0.95) & (np.abs(y) < 0.25),
    "bowtie": lambda x, y: (np.abs(y) < np.abs(x) * 0.8 + 0.06) & (np.abs(x) < 0.85),
    "circle": lambda x, y: x**2 + y**2 < 0.8**2,
    "crescent": _crescent,
    "cross": _cross,
    "half": lambda x, y: (x**2 + (y - 0.4) ** 2 < 0.9**2) & (y < 0.4),
    "heart": _heart,
    "ring": lambda x, y: np.abs(x**2 + y**2 - 0.58) < 0.27,
    "square": lambda x, y: np.maximum(np.abs(x), np.abs(y)) < 0.7,
    "star": _star,
    "triangle": _triangle,
}
"""Name -> which points of the plane are inside, at a radius of about 1, y pointing down."""


class Shapes:
    """Drawn shapes: `images` to train on, a tenth of it for each of validation and test."""

    validation_fraction = 0.1
    classes = tuple(FORMS)

    def __init__(self, *, images: int = 20_000, seed: int = 0) -> None:
        self.images = images
        self.seed = seed

    def splits(self) -> tuple[str, ...]:
        """Train, validation and test."""
        return SPLITS

    def count(self, split: str) -> int:
        """How many images a split has."""
        return self.images if split == "train" else max(len(FORMS), self.images // 10)

    def split(self, name: str) -> Split:
        """The images of a split: the first of a sequence that has no end."""
        count = self.count(name)

        def images() -> Iterator[NDArray[np.uint8]]:
            for start in range(0, count, BLOCK):
                yield from draw(start // BLOCK, self.seed, name)[: count - start]

        return Split(
            np.arange(count, dtype=np.int64) % len(FORMS), images, lambda row: f"{name}, {row:,}"
        )

    def remarks(self) -> list[str]:
        """Nothing is passed over."""
        return []


def draw(block: int, seed: int, split: str) -> NDArray[np.uint8]:
    """BLOCK images of a split, (BLOCK, 32, 32, 3); image i of all shows form i % 12."""
    rng = np.random.default_rng([seed, SPLITS.index(split), block])
    forms = (np.arange(BLOCK) + block * BLOCK) % len(FORMS)
    traits = rng.random((BLOCK, 40), dtype=np.float32)
    shades = _shades(rng)
    noise = rng.standard_normal((BLOCK, SIDE, SIDE, 3), dtype=np.float32)
    pixels = np.empty((BLOCK, SIDE, SIDE, 3), dtype=np.float32)
    for start in range(0, BLOCK, CHUNK):
        rows = slice(start, start + CHUNK)
        pixels[rows] = _picture(forms[rows], traits[rows], shades[rows])
    pixels += noise * (3 + 11 * traits[:, 39, None, None, None])
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)


def _shades(rng: np.random.Generator) -> Floats:
    """Colours (BLOCK, 4, 3) of background, its other end, shape, and pebbles and stick.

    The shape's is lighter than the others by 60 of 255 or more, so that it can be seen.
    """
    tries = rng.random((BLOCK, 24, 4, 3), dtype=np.float32) * 160
    tries[:, :, 1] = tries[:, :, 0] * 0.6 + tries[:, :, 1] * 0.4  # a gradient, not two halves
    tries[:, :, 2] += 95
    light = tries.mean(-1)
    good = light[:, :, 2] > light[:, :, (0, 1, 3)].max(-1) + 60
    good[:, -1] |= ~good.any(1)
    first: Floats = tries[np.arange(BLOCK), good.argmax(1)]
    return first


def _picture(forms: NDArray[np.int64], traits: Floats, shades: Floats) -> Floats:
    """Images without noise, (N, 32, 32, 3), values 0 to 255."""
    count, fine = len(forms), SIDE * FINE
    axis: Floats = (np.arange(fine, dtype=np.float32) + 0.5) / np.float32(FINE)
    x, y = np.broadcast_to(axis, (count, 1, fine)), np.broadcast_to(axis[:, None], (count, fine, 1))
    inside = np.empty((count, fine, fine), dtype=bool)
    u, v = _placed(x, y, traits)
    for form in np.unique(forms):
        mine = forms == form
        inside[mine] = list(FORMS.values())[form](u[mine], v[mine])
    pebbles = np.zeros_like(inside)
    for k in range(3):  # up to three, behind the shape
        px, py, size, there = (traits[:, 8 + 4 * k + i, None, None] for i in range(4))
        radius = np.where(there < 0.5, 1.0 + 1.5 * size, 0)
        pebbles |= (x - SIDE * px) ** 2 + (y - SIDE * py) ** 2 < radius**2
    stick = _stick(x, y, traits)
    ground, far, front, other = (shades[:, None, None, k] for k in range(4))
    picture = ground + (far - ground) * _gradient(traits)[..., None]
    for mask, colour in ((pebbles, other), (inside, front), (stick, other)):
        picture += (colour - picture) * _cover(mask)[..., None]
    return picture


def _gradient(traits: Floats) -> Floats:
    """How far each pixel is from one end of the background to the other, (N, 32, 32)."""
    axis = (np.arange(SIDE, dtype=np.float32) + 0.5) / SIDE - 0.5
    turn = (2 * np.pi * traits[:, 24])[:, None, None]
    shade: Floats = np.clip(np.cos(turn) * axis + np.sin(turn) * axis[:, None] + 0.5, 0, 1)
    return shade


def _placed(x: Floats, y: Floats, traits: Floats) -> tuple[Floats, Floats]:
    """Coordinates of the shape's own: moved, turned, scaled, squeezed by up to a fifth."""
    radius = 7.5 + 5.5 * traits[:, 0]
    margin = 0.85 * radius  # a corner may stick out of the picture
    cx = margin + (SIDE - 2 * margin) * traits[:, 1]
    cy = margin + (SIDE - 2 * margin) * traits[:, 2]
    turn = 2 * np.pi * traits[:, 3]
    squeeze = 1 + 0.2 * (2 * traits[:, 4] - 1)
    sin, cos = (f(turn).astype(np.float32)[:, None, None] for f in (np.sin, np.cos))
    dx, dy = x - cx[:, None, None], y - cy[:, None, None]
    wide, high = (radius * squeeze)[:, None, None], (radius / squeeze)[:, None, None]
    return (cos * dx + sin * dy) / wide, (cos * dy - sin * dx) / high


def _stick(x: Floats, y: Floats, traits: Floats) -> Mask:
    """In two of five images, a stick of one to three pixels that hides a part of what is there."""
    turn = (np.pi * traits[:, 30])[:, None, None]
    px, py = (SIDE * (0.2 + 0.6 * traits[:, i, None, None]) for i in (31, 32))
    along = np.cos(turn) * (x - px) + np.sin(turn) * (y - py)
    aside = np.cos(turn) * (y - py) - np.sin(turn) * (x - px)
    half_width = (0.5 + traits[:, 33])[:, None, None] * (traits[:, 34] < 0.4)[:, None, None]
    stick: Mask = (np.abs(aside) < half_width) & (np.abs(along) < 9)
    return stick


def _cover(inside: Mask) -> Floats:
    """The share of each pixel that lies inside: (N, S, S) -> (N, 32, 32)."""
    samples = inside.view(np.uint8)
    total = sum(samples[:, i::FINE, j::FINE] for i in range(FINE) for j in range(FINE))
    return np.asarray(total, dtype=np.float32) / np.float32(FINE**2)
