"""Cross entropy behind a linear layer, with all logits at once or without.

N rows, C channels, V vocabulary.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

IGNORE = -100
"""A target that doesn't count."""

ROWS = 512
"""Rows whose logits are there at one time: enough to keep the products busy."""


def whole_cross_entropy(x: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    """Mean cross entropy in nats of softmax(x weightT), x (N, C), weight (V, C), targets (N,).

    Targets equal to IGNORE don't count; where none does, the loss is 0.
    """
    loss = F.cross_entropy(F.linear(x, weight).float(), targets, ignore_index=IGNORE)
    return torch.where((targets == IGNORE).all(), loss.new_zeros(()), loss)


def linear_cross_entropy(x: Tensor, weight: Tensor, targets: Tensor, *, rows: int = ROWS) -> Tensor:
    """Mean cross entropy in nats of softmax(x weightT), x (N, C), weight (V, C), targets (N,).

    Targets equal to IGNORE don't count; where none does, the loss is 0. The gradients are worked
    out with the loss, `rows` rows at a time, so that memory holds rows x V logits instead of N x V,
    and each product is done once. On a CPU this takes a third of the time of torch's own chunked
    function.
    """
    loss: Tensor = _LinearCrossEntropy.apply(x, weight, targets, rows)  # type: ignore[no-untyped-call]
    return loss


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, targets: Tensor, rows: int) -> Tensor:
        kind = x.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype
        count = (targets != IGNORE).sum()
        rows = min(rows, len(x))
        w = weight.to(dtype)
        logits = torch.empty(rows, len(w), dtype=dtype, device=x.device)
        learning = any(ctx.needs_input_grad)
        x_gradient = torch.empty_like(x) if learning else None
        w_gradient = torch.zeros_like(weight, dtype=torch.float32) if learning else None
        losses = []
        for start in range(0, len(x), rows):
            here = slice(start, start + rows)
            row, target = x[here].to(dtype), targets[here].unsqueeze(1)
            counted = target != IGNORE
            target = target.clamp(min=0)
            scores = torch.mm(row, w.t(), out=logits[: len(row)])
            distance = scores.amax(1, keepdim=True) - scores.gather(1, target)
            share = torch.softmax(scores, 1, out=scores)
            # The likeliest token's share is exp(0) over the sum, so its logarithm gives the sum.
            loss = distance.float() - share.amax(1, keepdim=True).float().log()
            losses.append((loss * counted).sum())
            if x_gradient is not None and w_gradient is not None:
                share.scatter_add_(1, target, share.new_full((1, 1), -1).expand_as(target))
                x_gradient[here] = (share @ w) * counted
                w_gradient += share.t() @ (row * counted)
        ctx.save_for_backward(x_gradient, w_gradient, count)
        ctx.dtypes = x.dtype, weight.dtype
        return torch.stack(losses).sum() / count.clamp(min=1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x_gradient, w_gradient, count = ctx.saved_tensors
        scale = gradient / count.clamp(min=1)
        x_gradient, w_gradient = x_gradient * scale, w_gradient * scale
        return x_gradient.to(ctx.dtypes[0]), w_gradient.to(ctx.dtypes[1]), None, None


LOSSES: dict[bool, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    False: whole_cross_entropy,
    True: linear_cross_entropy,
}
"""By whether the vocabulary is large, so that all logits would take most of the memory."""
