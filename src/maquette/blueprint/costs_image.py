"""What a ConvNeXt and its training take: parameters, floating-point operations, bytes.

C channels of a stage, P pixels of its map.
"""

from maquette.blueprint.blueprint import Costs, TrainPlan
from maquette.blueprint.costs import costs_of_run
from maquette.shapes import ConvNeXtShape

_FLOAT32 = 4
_TAPS = 7 * 7
_EXPANSION = 4
_COLOURS = 3


def parameters(shape: ConvNeXtShape) -> dict[str, int]:
    """Trained numbers by part; the parts add up to "total"."""
    s = shape
    blocks = list(zip(s.depths, s.widths, strict=True))
    halvings = list(zip(s.widths, s.widths[1:], strict=False))
    counts = {
        "stem": (_COLOURS * s.stem_stride**2 + 1) * s.widths[0],
        "depthwise": sum(depth * (_TAPS + 1) * C for depth, C in blocks),
        "mlp": sum(depth * (2 * _EXPANSION * C + _EXPANSION + 1) * C for depth, C in blocks),
        "layer_scale": sum(depth * C for depth, C in blocks),
        "downsampling": sum((4 * before + 1) * C for before, C in halvings),
        # of the stem, of each block, before each downsampling, of the head
        "norms": 2 * (s.widths[0] + sum(d * C for d, C in blocks) + sum(s.widths[:-1]))
        + 2 * s.widths[-1],
        "head": (s.widths[-1] + 1) * s.classes,
    }
    return {**counts, "total": sum(counts.values())}


def multiplications_per_image(shape: ConvNeXtShape) -> int:
    """Multiplications, each with an addition, of the products of one image's forward pass.

    Those of a kernel with the zeros around the map count too, as they do in published figures.
    """
    s, pixels = shape, _pixels(shape)
    total = _stem_multiplications(s) + s.widths[-1] * s.classes
    for P, depth, C in zip(pixels, s.depths, s.widths, strict=True):  # noqa: N806
        total += P * depth * (_TAPS * C + 2 * _EXPANSION * C * C)
    for P, before, C in zip(pixels[1:], s.widths, s.widths[1:], strict=False):  # noqa: N806
        total += P * 4 * before * C
    return total


def flops_per_image(shape: ConvNeXtShape) -> int:
    """Operations of the products for one image of training, forward and backward.

    Two for each multiplication with its addition. Backward takes twice the forward pass, for the
    gradients of a product's both sides; but nobody wants that of the image.
    """
    return 2 * (3 * multiplications_per_image(shape) - _stem_multiplications(shape))


def activations_bytes(shape: ConvNeXtShape, images: int) -> int:
    """Bytes kept between forward and backward for `images` images, in float32, uncompiled.

    Numbers a pixel:
        12 C + 2    in each block: the inputs of convolution, norm and both linear layers (4 C for
                    the second), of GELU (4 C) and layer scale; the norm's mean and spread
        2 C + 2     in each downsampling, by the map before it, and C + 2 in the stem; its image
    and a few an image in the head. Within 15 % of what autograd keeps; bf16 takes about half.
    """
    s, pixels = shape, _pixels(shape)
    count = _COLOURS * s.image_size**2 + pixels[0] * (s.widths[0] + 2)
    for P, depth, C in zip(pixels, s.depths, s.widths, strict=True):  # noqa: N806
        count += P * depth * ((4 + 2 * _EXPANSION) * C + 2)
    count += sum(P * (2 * C + 2) for P, C in zip(pixels, s.widths[:-1], strict=False))
    count += 2 * s.widths[-1] + s.classes
    return _FLOAT32 * images * count


def costs(shape: ConvNeXtShape, train: TrainPlan) -> Costs:
    """What the run takes, an image being its token; Muon has the linear layers of the blocks."""
    return costs_of_run(
        train,
        parameters=parameters(shape)["total"],
        matrices=block_matrices(shape),
        flops_per_token=flops_per_image(shape),
        activations_bytes=activations_bytes(shape, train.batch_size // train.accumulation),
    )


def block_matrices(shape: ConvNeXtShape) -> int:
    """Weights in the linear layers of the blocks."""
    return sum(
        depth * 2 * _EXPANSION * C * C for depth, C in zip(shape.depths, shape.widths, strict=True)
    )


def _pixels(shape: ConvNeXtShape) -> list[int]:
    """Pixels of each stage's map: what a patch or a pair of pixels leaves over is cut off."""
    side = shape.image_size // shape.stem_stride
    return [(side >> stage) ** 2 for stage in range(len(shape.depths))]


def _stem_multiplications(shape: ConvNeXtShape) -> int:
    s = shape
    return _pixels(s)[0] * _COLOURS * s.stem_stride**2 * s.widths[0]
