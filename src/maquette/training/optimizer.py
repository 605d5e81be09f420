"""Optimizers: they update parameters by their gradients.

They have what the loop, the scaler and a checkpoint need of torch.optim.Optimizer, and aren't
derived from it: to make one of those imports torch's compiler, which takes a worker a second of
every start.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

_QUINTIC = (3.4445, -4.7750, 2.0315)


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


def make_adamw(
    model: nn.Module,
    *,
    learning_rate: float,
    weight_decay: float,
    beta1: float,
    beta2: float,
    epsilon: float,
    scales: Mapping[str, float] | None = None,
) -> list[Optimizer]:
    """AdamW for all of a model; each group knows its `peak` rate.

    Weight decay acts on matrices only: pulling gains and biases to zero has no use. With `scales`,
    a parameter learns at that share of the rate; the groups with the highest come first.
    """
    named = dict(model.named_parameters())
    groups = _groups(named, scales or {}, learning_rate, weight_decay)
    return _with_peaks([AdamW(groups, betas=(beta1, beta2), eps=epsilon)])


def make_muon(
    model: nn.Module,
    *,
    learning_rate: float,
    weight_decay: float,
    beta1: float,
    beta2: float,
    epsilon: float,
    muon_learning_rate: float,
    momentum: float,
    arithmetic: torch.dtype,
    scales: Mapping[str, float] | None = None,
) -> list[Optimizer]:
    """Muon for the matrices inside a model's blocks, and AdamW, as `make_adamw`, for the rest.

    Embeddings and the output layer have rows that mean one token each, not a linear map to be
    orthogonalised, and stay with AdamW.
    """
    named = dict(model.named_parameters())
    inside = {name: p for name, p in named.items() if p.ndim == 2 and "blocks" in name.split(".")}
    rest = {name: p for name, p in named.items() if name not in inside}
    rest_groups = _groups(rest, scales or {}, learning_rate, weight_decay)
    optimizers: list[Optimizer] = [AdamW(rest_groups, betas=(beta1, beta2), eps=epsilon)]
    if inside:
        groups = _groups(inside, scales or {}, muon_learning_rate, weight_decay)
        optimizers.append(Muon(groups, momentum=momentum, arithmetic=arithmetic))
    return _with_peaks(optimizers)


def _groups(
    named: Mapping[str, Tensor], scales: Mapping[str, float], rate: float, weight_decay: float
) -> list[Group]:
    share = {name: scales.get(name, 1.0) for name in named}
    return [
        {"params": chosen, "lr": rate * scale, "weight_decay": decay}
        for scale in sorted(set(share.values()), reverse=True)
        for matrices, decay in ((True, weight_decay), (False, 0.0))
        if (
            chosen := [
                p for n, p in named.items() if share[n] == scale and (p.ndim >= 2) is matrices
            ]
        )
    ]


def _with_peaks(optimizers: list[Optimizer]) -> list[Optimizer]:
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["peak"] = group["lr"]
    return optimizers


def set_learning_rate(optimizers: Iterable[Optimizer], factor: float) -> float:
    """Set every group to its peak times the factor; returns the rate of the first group."""
    optimizers = list(optimizers)
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * factor
    return float(optimizers[0].param_groups[0]["lr"])
