"""The operations of TrivialAugment and RandAugment on batches, as Pillow defines each of them.

B images, C channels, S pixels a side. Images are uint8 (B, C, S, S); magnitudes float32 (B,).
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

GREY = 128
"""What comes in where an image has been moved away."""


def affine(images: Tensor, maps: Tensor) -> Tensor:
    """Images through affine maps (B, 2, 3): where, from the centre in pixels, a pixel comes from.

    Bilinear; what would come from outside is GREY.
    """
    height, width = images.shape[-2:]
    half = torch.tensor([width / 2, height / 2], device=images.device)
    x, y = (torch.arange(n, device=images.device) + (1 - n) / 2 for n in (width, height))
    across, down, shift = (maps / half[:, None]).unbind(-1)  # each (B, 2), in halves of the image
    rows = down[..., None] * y + shift[..., None]
    grid = (across[..., None] * x)[:, :, None] + rows[..., None]  # (B, 2, S, S)
    outside = grid.abs().amax(1, keepdim=True) > 1
    moved = F.grid_sample(
        images.float(),
        grid.permute(0, 2, 3, 1),
        mode="bilinear",
        padding_mode="border",
        align_corners=False,
    )
    return moved.round_().masked_fill_(outside, GREY).to(torch.uint8)


def shear_x(images: Tensor, amounts: Tensor) -> Tensor:
    """Each row moves by `amounts` pixels for each that it lies below the centre."""
    return affine(images, _maps(amounts, xy=amounts))


def shear_y(images: Tensor, amounts: Tensor) -> Tensor:
    """Each column moves by `amounts` pixels for each that it lies right of the centre."""
    return affine(images, _maps(amounts, yx=amounts))


def translate_x(images: Tensor, pixels: Tensor) -> Tensor:
    """To the left by so many pixels."""
    return affine(images, _maps(pixels, x=pixels))


def translate_y(images: Tensor, pixels: Tensor) -> Tensor:
    """Up by so many pixels."""
    return affine(images, _maps(pixels, y=pixels))


def rotate(images: Tensor, degrees: Tensor) -> Tensor:
    """Counter-clockwise about the centre."""
    turn = torch.deg2rad(degrees)
    maps = _maps(turn, xy=-turn.sin(), yx=turn.sin())
    maps[:, 0, 0] = maps[:, 1, 1] = turn.cos()
    return affine(images, maps)


def _maps(
    like: Tensor,
    *,
    x: Tensor | float = 0.0,
    y: Tensor | float = 0.0,
    xy: Tensor | float = 0.0,
    yx: Tensor | float = 0.0,
) -> Tensor:
    maps = torch.zeros(len(like), 2, 3, device=like.device)
    maps[:, 0, 0] = maps[:, 1, 1] = 1
    maps[:, 0, 1], maps[:, 1, 0], maps[:, 0, 2], maps[:, 1, 2] = xy, yx, x, y
    return maps


def brightness(images: Tensor, amounts: Tensor) -> Tensor:
    """From black (-1) past the image (0) to twice as bright (1)."""
    return _blend(torch.zeros_like(images[:, :1]), images, amounts)


def color(images: Tensor, amounts: Tensor) -> Tensor:
    """From grey (-1) past the image (0) to twice as colourful (1)."""
    return _blend(luminance(images), images, amounts)


def contrast(images: Tensor, amounts: Tensor) -> Tensor:
    """From its mean grey (-1) past the image (0) to twice the contrast (1)."""
    mean = (luminance(images).float().mean((1, 2, 3), keepdim=True) + 0.5).floor()
    return _blend(mean, images, amounts)


def sharpness(images: Tensor, amounts: Tensor) -> Tensor:
    """From smoothed (-1) past the image (0) to sharpened (1); the border stays as it is."""
    values = images.float()
    smooth = values.clone()
    rows = values[..., :-2, :] + values[..., 1:-1, :] + values[..., 2:, :]
    around = rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]
    # Pillow's kernel: 5 in the middle of eight 1.
    smooth[..., 1:-1, 1:-1] = ((around + 4 * values[..., 1:-1, 1:-1]) / 13).round_()
    return _blend(smooth, images, amounts)


def posterize(images: Tensor, bits: Tensor) -> Tensor:
    """Only so many upper bits of each value, 1 to 8."""
    shift = (8 - bits.round().long()).clamp(0, 7).to(torch.uint8)[:, None, None, None]
    return (images >> shift) << shift


def solarize(images: Tensor, thresholds: Tensor) -> Tensor:
    """Values from the threshold on are inverted."""
    return torch.where(images < thresholds[:, None, None, None], images, 255 - images)


def autocontrast(images: Tensor, _: Tensor) -> Tensor:
    """Each channel stretched so that it goes from 0 to 255."""
    values = images.float().contiguous()  # channel by channel the extremes are found sooner
    low, high = values.amin((2, 3), keepdim=True), values.amax((2, 3), keepdim=True)
    scale = 255 / (high - low).clamp_min(1)
    stretched = ((values - low) * scale + 1e-3).floor().clamp(0, 255)  # Pillow cuts, too
    return torch.where(high > low, stretched, values).to(torch.uint8)


def equalize(images: Tensor, _: Tensor) -> Tensor:
    """Each channel's values spread so that all are about as frequent."""
    flat = images.reshape(len(images) * images.shape[1], -1).long()
    counts = torch.zeros(len(flat), 256, dtype=torch.int64, device=images.device)
    counts.scatter_add_(1, flat, torch.ones_like(flat))
    last = counts.gather(1, flat.amax(1, keepdim=True))  # of the largest value that occurs
    step = (counts.sum(1, keepdim=True) - last) // 255
    before = counts.cumsum(1) - counts
    table = ((before + step // 2) // step.clamp_min(1)).clamp(0, 255)
    spread = torch.where(step > 0, table.gather(1, flat), flat)
    return spread.to(torch.uint8).reshape(images.shape)


def identity(images: Tensor, _: Tensor) -> Tensor:
    """Nothing."""
    return images


def luminance(images: Tensor) -> Tensor:
    """Grey of RGB, (B, 1, S, S), in Pillow's whole numbers (ITU-R 601-2)."""
    red, green, blue = images.int().unbind(1)
    return ((red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16)[:, None].to(torch.uint8)


def _blend(other: Tensor, images: Tensor, amounts: Tensor) -> Tensor:
    start = other.float()
    blended = (images.float() - start).mul_(1 + amounts[:, None, None, None]).add_(start)
    return blended.clamp_(0, 255).to(torch.uint8)  # cut, not rounded, as Pillow does


Operation = Callable[[Tensor, Tensor], Tensor]

SPACE: dict[str, tuple[Operation, float, float, bool]] = {
    "identity": (identity, 0, 0, False),
    "shear_x": (shear_x, 0.99, 0.3, True),
    "shear_y": (shear_y, 0.99, 0.3, True),
    "translate_x": (translate_x, 32, 0.45, True),
    "translate_y": (translate_y, 32, 0.45, True),
    "rotate": (rotate, 135, 30, True),
    "brightness": (brightness, 0.99, 0.9, True),
    "color": (color, 0.99, 0.9, True),
    "contrast": (contrast, 0.99, 0.9, True),
    "sharpness": (sharpness, 0.99, 0.9, True),
    "posterize": (posterize, 2, 4, False),
    "solarize": (solarize, 0, 0, False),
    "autocontrast": (autocontrast, 0, 0, False),
    "equalize": (equalize, 0, 0, False),
}
"""Name -> operation, largest magnitude for TrivialAugment (wide) and for RandAugment, and whether
it has a sign (Mueller & Hutter 2021, arXiv:2103.10158; Cubuk et al. 2019, arXiv:1909.13719).

RandAugment's translations are shares of the image's side."""
_FROM = {"posterize": 8.0, "solarize": 256.0}  # the magnitude that does nothing, where it isn't 0


def magnitude(name: str, strengths: Tensor, size: int, *, wide: bool) -> Tensor:
    """The magnitude of an operation at strengths of -1 to 1, of which the sign may not matter."""
    _, wide_most, most, signed = SPACE[name]
    if wide:
        most = wide_most
    elif name.startswith("translate"):
        most *= size
    start = _FROM.get(name, 0.0)
    return start + (strengths if signed else strengths.abs()) * (most - start)
