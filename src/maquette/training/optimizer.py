"""Optimizers: AdamW, or Muon for the blocks' matrices and AdamW for the rest.

They have what the loop, the scaler and a checkpoint need of torch.optim.Optimizer, and aren't
derived from it: to make one of those imports torch's compiler, which takes a worker a second of
every start.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn

_QUINTIC = (3.4445, -4.7750, 2.0315)
_BLOCK = re.compile(r"stages\.(\d+)\.(?:blocks\.(\d+)|downsample)\.")


def orthogonalise(matrices: Tensor, *, iterations: int = 5) -> Tensor:
    """Bring every singular value near 1: (n, rows, columns) -> the same shape.

    Newton-Schulz iteration with the quintic coefficients of Jordan et al. 2024
    (kellerjordan.github.io/posts/muon), in the arithmetic of the input.
    """
    a, b, c = _QUINTIC
    tall = matrices.size(-2) > matrices.size(-1)
    x = matrices.mT if tall else matrices
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp(min=1e-7)
    rows, columns = x.shape[-2:]
    if columns >= 2 * rows and x.dtype == torch.float32:
        x = _polynomial_of_gram(x @ x.mT, iterations) @ x
        iterations = 0
    for _ in range(iterations):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    result: Tensor = x.mT if tall else x
    return result


def _polynomial_of_gram(gram: Tensor, iterations: int) -> Tensor:
    """The product of all iterations' polynomials a I + b G + c G^2, from the Gram matrix alone.

    The same arithmetic in a third fewer products for a wide matrix. Only float32 is exact enough:
    the Gram matrix squares the singular values.
    """
    a, b, c = _QUINTIC
    product: Tensor | None = None
    for left in reversed(range(iterations)):
        polynomial = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        polynomial.diagonal(dim1=-2, dim2=-1).add_(a)
        product = polynomial if product is None else polynomial @ product
        if left:
            gram = polynomial @ gram @ polynomial
    assert product is not None
    return product


Group = dict[str, Any]
"""Parameters (`params`), and the settings that are theirs, `lr` among them."""


class Optimizer(Protocol):
    """Updates parameters by their gradients; `state` is all that it remembers of each."""

    param_groups: list[Group]
    state: defaultdict[Tensor, dict[str, Tensor]]

    def step(self) -> None:
        """Update every parameter that has a gradient."""


class AdamW:
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019, arXiv:1711.05101).

    The arithmetic is torch's own: its fused kernel, as torch.optim.AdamW calls it.
    """

    def __init__(self, groups: Sequence[Group], *, betas: tuple[float, float], eps: float) -> None:
        self.param_groups = list(groups)
        self.state: defaultdict[Tensor, dict[str, Tensor]] = defaultdict(dict)
        self._beta1, self._beta2 = betas
        self._eps = eps

    @torch.no_grad()
    def step(self) -> None:
        """Update every parameter that has a gradient."""
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            if parameters:
                self._update(parameters, group)

    def _update(self, parameters: list[Tensor], group: Group) -> None:
        for p in parameters:
            if not self.state[p]:
                self.state[p] = {
                    "step": torch.zeros((), device=p.device),
                    "exp_avg": torch.zeros_like(p),
                    "exp_avg_sq": torch.zeros_like(p),
                }
        steps = [self.state[p]["step"] for p in parameters]
        torch._foreach_add_(steps, 1)
        torch._fused_adamw_(
            parameters,
            [p.grad for p in parameters if p.grad is not None],
            [self.state[p]["exp_avg"] for p in parameters],
            [self.state[p]["exp_avg_sq"] for p in parameters],
            [],
            steps,
            lr=group["lr"],
            beta1=self._beta1,
            beta2=self._beta2,
            weight_decay=group["weight_decay"],
            eps=self._eps,
            amsgrad=False,
            maximize=False,
        )


class Muon:
    """Momentum, orthogonalised: steps of equal size in every direction of a matrix.

    The arithmetic is torch.optim.Muon's (Nesterov momentum, decoupled weight decay, a step
    multiplied by sqrt(rows / columns) for tall matrices), with two differences: matrices of one
    shape are orthogonalised together, and in `arithmetic` instead of always in bfloat16, which
    processors without bfloat16 products emulate a hundred times slower.
    """

    def __init__(
        self, groups: Sequence[Group], *, momentum: float, arithmetic: torch.dtype
    ) -> None:
        self.param_groups = list(groups)
        self.state: defaultdict[Tensor, dict[str, Tensor]] = defaultdict(dict)
        self._momentum = momentum
        self._arithmetic = arithmetic

    @torch.no_grad()
    def step(self) -> None:
        """Update every matrix that has a gradient."""
        for group in self.param_groups:
            shapes: defaultdict[torch.Size, list[Tensor]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    shapes[parameter.shape].append(parameter)
            for shape, parameters in shapes.items():
                self._update(parameters, shape, group)

    def _update(self, parameters: list[Tensor], shape: torch.Size, group: Group) -> None:
        gradients = [p.grad for p in parameters if p.grad is not None]
        for p in parameters:
            if not self.state[p]:
                self.state[p]["momentum_buffer"] = torch.zeros_like(p)
        momenta = [self.state[p]["momentum_buffer"] for p in parameters]
        torch._foreach_lerp_(momenta, gradients, 1 - self._momentum)
        nesterov = torch._foreach_lerp(gradients, momenta, self._momentum)
        updates = orthogonalise(torch.stack(nesterov).to(self._arithmetic)).to(parameters[0].dtype)
        rate = group["lr"] * max(1.0, shape[0] / shape[1]) ** 0.5
        torch._foreach_mul_(parameters, 1 - group["lr"] * group["weight_decay"])
        torch._foreach_add_(parameters, list(updates.unbind()), alpha=-rate)


def make_optimizers(
    model: nn.Module,
    *,
    kind: Literal["adamw", "muon"],
    learning_rate: float,
    weight_decay: float,
    beta1: float,
    beta2: float,
    epsilon: float,
    muon_learning_rate: float | None,
    momentum: float | None,
    arithmetic: torch.dtype,
    layer_decay: float = 1.0,
) -> list[Optimizer]:
    """The optimizers of a model; each parameter belongs to one, each group knows its `peak` rate.

    Weight decay acts on matrices only: pulling gains and biases to zero has no use. Muon takes
    the matrices inside the blocks; embeddings and the output layer have rows that mean one token
    each, not a linear map to be orthogonalised, and stay with AdamW. With `layer_decay` below 1
    lower layers learn more slowly (`layer_scales`); the head's groups come first.
    """
    named = list(model.named_parameters())
    scales = layer_scales([name for name, _ in named], layer_decay)
    inside = {
        name for name, p in named if kind == "muon" and p.ndim == 2 and "blocks" in name.split(".")
    }
    rest = [(name, p) for name, p in named if name not in inside]
    groups = [
        {"params": chosen, "lr": learning_rate * scale, "weight_decay": decay}
        for scale in sorted(set(scales.values()), reverse=True)
        for matrices, decay in ((True, weight_decay), (False, 0.0))
        if (chosen := [p for n, p in rest if scales[n] == scale and (p.ndim >= 2) is matrices])
    ]
    optimizers: list[Optimizer] = [AdamW(groups, betas=(beta1, beta2), eps=epsilon)]
    if inside:
        assert muon_learning_rate is not None
        assert momentum is not None
        blocks = [
            {
                "params": [p for n, p in named if n in inside and scales[n] == scale],
                "lr": muon_learning_rate * scale,
                "weight_decay": weight_decay,
            }
            for scale in sorted({scales[name] for name in inside}, reverse=True)
        ]
        optimizers.append(Muon(blocks, momentum=momentum, arithmetic=arithmetic))
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["peak"] = group["lr"]
    return optimizers


def layer_scales(names: Sequence[str], decay: float) -> dict[str, float]:
    """Each parameter's share of the learning rate: `decay` for every layer above its own.

    The layers of a ConvNeXt are the stem, each block in order, and the head, which has the full
    rate; what halves the map belongs to the block after it. (The rule of BEiT, Bao et al. 2021,
    arXiv:2106.08254; the published ConvNeXt takes three blocks of the third stage as one layer.)
    """
    if decay == 1:
        return dict.fromkeys(names, 1.0)
    found = {name: _BLOCK.match(name) for name in names}
    blocks = sorted({(int(m[1]), int(m[2] or 0)) for m in found.values() if m})
    layers = {
        name: 1 + blocks.index((int(m[1]), int(m[2] or 0))) if m else _end(name, len(blocks) + 1)
        for name, m in found.items()
    }
    return {name: decay ** (len(blocks) + 1 - layer) for name, layer in layers.items()}


def _end(name: str, last: int) -> int:
    part = name.partition(".")[0]
    assert part in ("stem", "head"), f"{name} belongs to no layer of a ConvNeXt"
    return 0 if part == "stem" else last


def set_learning_rate(optimizers: Iterable[Optimizer], factor: float) -> float:
    """Set every group to its peak times the factor; returns the rate of the first group, which is
    that of the head."""
    optimizers = list(optimizers)
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * factor
    return float(optimizers[0].param_groups[0]["lr"])
