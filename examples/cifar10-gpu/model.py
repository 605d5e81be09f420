"""The model: a ConvNeXt of 27,823,498 parameters.

Made by `maquette eject` (maquette 0.1.0) from the spec cifar10-gpu; blueprint 99f99336d72d4ac0.
"""

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from errors import CheckpointError


@dataclass(frozen=True, slots=True)
class ConvNeXtShape:
    """A convolutional network for images: the numbers that a `ConvNeXt` obeys.

    Square images of `image_size` pixels and three channels, `classes` to tell apart; `depths`
    blocks of `widths` channels in each stage. The stem cuts the image into patches of `stem_stride`
    pixels. `drop_path` is the chance that the last block is skipped in training; it rises to that
    linearly from 0 at the first. `layer_scale` is each branch's first gain.
    """

    classes: int
    image_size: int
    depths: tuple[int, ...]
    widths: tuple[int, ...]
    stem_stride: int
    drop_path: float
    layer_scale: float
    norm_epsilon: float

    @property
    def smallest_image(self) -> int:
        """Pixels of the smallest image: its map is one pixel in the last stage."""
        return self.stem_stride << (len(self.depths) - 1)


# Depthwise convolution whose gradients are quick on a CPU.
#
# B images, C channels, H x W pixels.

CHUNK = 2**17
"""Numbers of the images whose weight gradient is computed at one time: they fit into a core's
cache, in which each is read once for every row of the kernel."""


class DepthwiseConv(nn.Conv2d):
    """A convolution of each channel by itself, with an odd kernel, that keeps the map's size.

    On a CPU the gradients take a third to a twentieth of the time that the library's take.
    """

    def __init__(self, channels: int, kernel: int) -> None:
        assert kernel % 2 == 1
        super().__init__(channels, channels, kernel, padding=kernel // 2, groups=channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        if x.device.type != "cpu":
            return super().forward(x)
        weight, bias = self.weight, self.bias
        assert bias is not None
        if torch.is_autocast_enabled("cpu"):  # here, since a function's backward knows of none
            dtype = torch.get_autocast_dtype("cpu")
            x, weight, bias = x.to(dtype), weight.to(dtype), bias.to(dtype)
        rows, columns = (
            min(side // 2, pixels - 1)
            for side, pixels in zip(self.kernel_size, x.shape[2:], strict=True)
        )
        # From no pixel of a small map do the kernel's outer parts reach another one.
        middle_row, middle_column = (side // 2 for side in self.kernel_size)
        weight = weight[
            :,
            :,
            middle_row - rows : middle_row + rows + 1,
            middle_column - columns : middle_column + columns + 1,
        ]
        y: Tensor = _Depthwise.apply(x, weight, bias)  # type: ignore[no-untyped-call]
        return y


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        ctx.save_for_backward(x, weight)
        return _convolve(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        for_x, for_weight, for_bias = ctx.needs_input_grad
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        return (
            _convolve(gradient, weight.flip(2, 3), None) if for_x else None,
            _weight_gradient(x, gradient, weight) if for_weight else None,
            gradient.sum((0, 2, 3)) if for_bias else None,
        )


def _convolve(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    rows, columns = weight.shape[2:]
    padding = (rows // 2, columns // 2)
    return F.conv2d(x, weight, bias, padding=padding, groups=len(weight))


def _weight_gradient(x: Tensor, gradient: Tensor, weight: Tensor) -> Tensor:
    """The sum over all images of how a map goes with its gradient, shifted by each tap.

    That is a depthwise convolution too: of the images, one below the other with rows of zeros
    between, by their gradients stacked likewise as one tall kernel. Convolutions forward are what
    the library does well.
    """
    _, C, H, W = x.shape
    rows, columns = weight.shape[2:]
    gap, tall = rows // 2, H + rows // 2
    dtype = torch.promote_types(weight.dtype, torch.float32)
    total = torch.zeros(1, C, rows, columns, dtype=dtype)
    images = max(1, CHUNK // (C * H * W))
    for part_x, part_gradient in zip(
        torch.split(x, images), torch.split(gradient, images), strict=True
    ):
        stacked_x, stacked_gradient = (
            F.pad(part.permute(0, 2, 3, 1), (0, 0, 0, 0, 0, gap)).view(len(part) * tall, W, C)
            for part in (part_x, part_gradient)
        )
        total += F.conv2d(
            stacked_x.permute(2, 0, 1).unsqueeze(0),
            stacked_gradient.permute(2, 0, 1).unsqueeze(1),
            padding=(gap, columns // 2),
            groups=C,
        )
    return total.view_as(weight).to(weight.dtype)


# Stochastic depth: in training, a residual branch is skipped for some samples.


class DropPath(nn.Module):
    """(B, ...) -> (B, ...): each sample's branch is zeroed with the chance `rate`, in training.

    What stays is divided by 1 - rate, so that the mean stays (Huang et al. 2016, arXiv:1603.09382).
    It draws from the global generator of the device.
    """

    rate: Tensor

    def __init__(self, rate: float) -> None:
        super().__init__()
        assert 0 < rate < 1
        # A tensor: as a number it would be a constant of compiled code, which no two blocks share.
        self.register_buffer("rate", torch.tensor(rate), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, ...) -> (B, ...)."""
        if not self.training:
            return x
        draws = torch.rand((len(x), *[1] * (x.ndim - 1)), device=x.device)
        return x * ((draws >= self.rate) / (1 - self.rate)).to(x.dtype)


# ConvNeXt's block, and the norm that its stem and downsampling share.
#
# B images, C channels, H x W pixels.

KERNEL = 7
EXPANSION = 4


class ChannelNorm(nn.LayerNorm):
    """LayerNorm over the channels of each pixel, (B, C, H, W) -> (B, C, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        x = x.permute(0, 2, 3, 1)  # no copy where channels lie last in memory
        return super().forward(x).permute(0, 3, 1, 2)


class Halving(nn.Conv2d):
    """A convolution of 2 x 2 pixels at steps of 2; what is left over at an odd edge is cut off.

    On a CPU it is a linear layer over patches, which is up to six times quicker on small maps.
    """

    def __init__(self, before: int, width: int) -> None:
        super().__init__(before, width, kernel_size=2, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H // 2, W // 2)."""
        if x.device.type != "cpu":
            return super().forward(x)
        B, C, H, W = x.shape
        x = x.permute(0, 2, 3, 1)[:, : H // 2 * 2, : W // 2 * 2]
        x = x.reshape(B, H // 2, 2, W // 2, 2, C).transpose(2, 3)
        x = x.reshape(B, H // 2, W // 2, 4 * C)
        weight = self.weight.permute(0, 2, 3, 1).flatten(1)  # (C', 4 C)
        return F.linear(x, weight, self.bias).permute(0, 3, 1, 2)


class Mlp(nn.Module):
    """(..., C) -> (..., C) through `hidden` channels, with the exact GELU."""

    def __init__(self, *, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) -> (..., C)."""
        return self.fc2(F.gelu(self.fc1(x)))  # type: ignore[no-any-return]


class Block(nn.Module):
    """x + gamma * mlp(norm(depthwise(x))) (Liu et al. 2022, arXiv:2201.03545, figure 4).

    `gamma` is layer scale (Touvron et al. 2021, arXiv:2103.17239).
    """

    def __init__(
        self, *, width: int, drop_path: float, layer_scale: float, norm_epsilon: float
    ) -> None:
        super().__init__()
        self.conv_dw = DepthwiseConv(width, KERNEL)
        self.norm = nn.LayerNorm(width, eps=norm_epsilon)
        self.mlp = Mlp(width=width, hidden=EXPANSION * width)
        self.gamma = nn.Parameter(torch.full((width,), layer_scale))
        self.drop_path = DropPath(drop_path) if drop_path else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        y = self.conv_dw(x).permute(0, 2, 3, 1)  # (B, H, W, C)
        y = self.mlp(self.norm(y)) * self.gamma
        return x + self.drop_path(y).permute(0, 3, 1, 2)  # type: ignore[no-any-return]


# ConvNeXt: a convolutional network for images. Weights have timm's names.
#
# B images, C channels, H x W pixels.


class Stage(nn.Module):
    """Blocks of one width. All stages but the first halve the map before, rounding down."""

    def __init__(self, shape: ConvNeXtShape, index: int, drop_path: list[float]) -> None:
        super().__init__()
        width = shape.widths[index]
        self.downsample: nn.Module = nn.Identity()
        if index > 0:
            before = shape.widths[index - 1]
            self.downsample = nn.Sequential(
                ChannelNorm(before, eps=shape.norm_epsilon),
                Halving(before, width),
            )
        self.blocks = nn.Sequential(
            *(
                Block(
                    width=width,
                    drop_path=rate,
                    layer_scale=shape.layer_scale,
                    norm_epsilon=shape.norm_epsilon,
                )
                for rate in drop_path
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H', W')."""
        return self.blocks(self.downsample(x))  # type: ignore[no-any-return]


class Head(nn.Module):
    """Norm and linear layer over the mean of all pixels."""

    def __init__(self, *, width: int, classes: int, norm_epsilon: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, eps=norm_epsilon)
        self.fc = nn.Linear(width, classes)


class ConvNeXt(nn.Module):
    """Images to logits, and to the loss where targets are given."""

    def __init__(self, shape: ConvNeXtShape) -> None:
        super().__init__()
        self.shape = shape
        s = shape
        self.stem = nn.Sequential(
            nn.Conv2d(3, s.widths[0], kernel_size=s.stem_stride, stride=s.stem_stride),
            ChannelNorm(s.widths[0], eps=s.norm_epsilon),
        )
        rates = drop_path_rates(s)
        self.stages = nn.Sequential(*(Stage(s, i, rates[i]) for i in range(len(s.depths))))
        self.head = Head(width=s.widths[-1], classes=s.classes, norm_epsilon=s.norm_epsilon)
        initialise(self)

    def forward(
        self, images: Tensor, targets: Tensor | None = None
    ) -> tuple[Tensor | None, Tensor | None]:
        """Images (B, 3, H, W) -> logits (B, classes), or with targets only the mean loss.

        Targets are classes (B,), or shares of each class (B, classes). Logits and loss are float32.
        """
        logits = self.head.fc(self.features(images)).float()
        if targets is None:
            return logits, None
        return None, F.cross_entropy(logits, targets)

    def features(self, images: Tensor) -> Tensor:
        """Images (B, 3, H, W) of any size from `shape.smallest_image` on -> what the head's linear
        layer reads, (B, C)."""
        assert min(images.shape[2:]) >= self.shape.smallest_image, "the images are too small"
        # With channels last in memory convolutions, norms and linear layers need no copies.
        x = self.stem(images.contiguous(memory_format=torch.channels_last))
        x = self.stages(x)
        return self.head.norm(x.mean((2, 3)))  # type: ignore[no-any-return]


def drop_path_rates(shape: ConvNeXtShape) -> list[list[float]]:
    """Each block's chance to be skipped, by stage: 0 for the first, then rising linearly."""
    total = sum(shape.depths)
    rates = [shape.drop_path * i / max(1, total - 1) for i in range(total)]
    ends = [sum(shape.depths[: i + 1]) for i in range(len(shape.depths))]
    return [rates[end - depth : end] for end, depth in zip(ends, shape.depths, strict=True)]


def initialise(model: nn.Module) -> None:
    """Draw a ConvNeXt's first weights from the global generator, as published.

    Every matrix and kernel, the head's too: 0.02 around 0, whatever its width: what is read by a
    product has passed a norm, and what a block adds is as small as its layer scale, so that no
    spread has to fit the depth. The normal distribution is cut at +-2, a hundred spreads out.
    Biases 0, gains 1.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.trunc_normal_(module.weight, std=0.02)
            assert module.bias is not None
            nn.init.zeros_(module.bias)


IGNORE = -100
"""A target that doesn't count."""


# Weights in a file that torch alone reads; loading one runs no code.


def save_model(file: Path, model: nn.Module) -> None:
    """Write a model's weights."""
    write_file(file, model.state_dict())


def load_model(file: Path, model: nn.Module) -> None:
    """Read a model's weights. Raises CheckpointError."""
    fill(model, read_file(file), file)


def write_file(file: Path, value: dict[str, Any]) -> None:
    """Write tensors and plain values, and then give the file its name. Raises CheckpointError."""
    unfinished = file.with_name(f"{file.name}.unfinished")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        torch.save(value, unfinished)
        unfinished.replace(file)
    except (OSError, RuntimeError) as error:  # torch makes the latter of a full disk
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)
        hint = "is there room, and may you write there?"
        raise CheckpointError(f"{file} can't be written: {error}", hint=hint) from None


def read_file(file: Path) -> dict[str, Any]:
    """What `write_file` wrote. Raises CheckpointError."""
    try:
        content: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise CheckpointError(f"{file}: no such file", hint="a training writes weights") from None
    except Exception as error:  # pickle, zipfile and torch have errors of their own
        raise CheckpointError(f"{file} can't be read: {error}") from None
    return content


def fill(model: nn.Module, weights: dict[str, Tensor], file: Path) -> None:
    """Copy the weights in a file into a model. Raises CheckpointError."""
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise CheckpointError(f"{file} is of another model: {error}") from None


SHAPE = ConvNeXtShape(
    classes=10,
    image_size=32,
    depths=(3, 3, 9, 3),
    widths=(96, 192, 384, 768),
    stem_stride=1,
    drop_path=0.1,
    layer_scale=1e-06,
    norm_epsilon=1e-06,
)

HERE = Path(__file__).parent
OUT = HERE / "out"
"""Where the training writes."""
WEIGHTS = max((OUT / "weights.pt", HERE / "weights.pt"), key=Path.exists)
"""The weights to use: those of the training here, or else those that came with the project."""
