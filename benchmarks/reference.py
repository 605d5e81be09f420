"""The yardstick: a GPT trained the way nanoGPT trains one, in plain PyTorch, written anew here.

Its model (learned positions, LayerNorm, exact GELU, fused query/key/value product, weight tying,
`scaled_dot_product_attention`, full logits), its batches (random offsets) and its optimizer
(AdamW, cosine from 1e-3 to 1e-4 after 100 steps), eager and in float32, as it runs on a CPU.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F


class _Block(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width, bias=False), nn.LayerNorm(width, bias=False)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.up = nn.Linear(width, 4 * width, bias=False)
        self.down = nn.Linear(4 * width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        b, t, c = x.shape
        parts = self.qkv(self.norm1(x)).split(c, dim=2)
        q, k, v = (p.view(b, t, self.heads, c // self.heads).transpose(1, 2) for p in parts)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(y.transpose(1, 2).contiguous().view(b, t, c))
        down: Tensor = self.down(F.gelu(self.up(self.norm2(x))))
        return x + down


class ReferenceGPT(nn.Module):
    """Tokens (B, T) and targets (B, T) -> the loss."""

    def __init__(self, vocabulary: int, context: int, depth: int, width: int, heads: int) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(context, width)
        self.blocks = nn.ModuleList(_Block(width, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width, bias=False)
        self.head = nn.Linear(width, vocabulary, bias=False)
        self.head.weight = self.tokens.weight
        for name, p in self.named_parameters():
            if p.ndim == 2:
                residual = name.endswith(("out.weight", "down.weight"))
                nn.init.normal_(p, std=0.02 / math.sqrt(2 * depth) if residual else 0.02)

    def forward(self, tokens: Tensor, targets: Tensor) -> Tensor:
        x = self.tokens(tokens) + self.positions(torch.arange(tokens.size(1)))
        for block in self.blocks:
            x = block(x)
        logits = self.head(self.norm(x))
        return F.cross_entropy(logits.view(-1, logits.size(-1)), targets.reshape(-1))


class ReferenceTrainer:
    """One optimizer step at a time."""

    def __init__(
        self, model: ReferenceGPT, data: NDArray[Any], *, batch: int, context: int, steps: int
    ) -> None:
        self.model, self.data = model, data
        self.batch, self.context, self.steps = batch, context, steps
        matrices = [p for p in model.parameters() if p.ndim >= 2]
        vectors = [p for p in model.parameters() if p.ndim < 2]
        groups = [
            {"params": matrices, "weight_decay": 0.1},
            {"params": vectors, "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.99))
        self.done = 0

    def draw(self, data: NDArray[Any]) -> tuple[Tensor, Tensor]:
        """A batch at random offsets."""
        offsets = torch.randint(len(data) - self.context, (self.batch,)).tolist()
        rows = [data[i : i + self.context + 1].astype(np.int64) for i in offsets]
        tokens = torch.from_numpy(np.stack(rows))
        return tokens[:, :-1], tokens[:, 1:]

    def step(self) -> float:
        """Forward, backward, clipping, update; the loss is read, as a log would."""
        for group in self.optimizer.param_groups:
            group["lr"] = self._rate()
        loss = self.model(*self.draw(self.data))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.done += 1
        return float(loss)

    def estimate(self, evaluate: Callable[[nn.Module], float]) -> float:
        """The validation loss by somebody else's measure, without a trace in the training."""
        self.model.eval()
        with torch.no_grad():
            value = evaluate(self.model)
        self.model.train()
        return value

    def _rate(self, warmup: int = 100, peak: float = 1e-3, floor: float = 1e-4) -> float:
        if self.done < warmup:
            return peak * (self.done + 1) / (warmup + 1)
        share = (self.done - warmup) / max(1, self.steps - warmup)
        return floor + 0.5 * (1 + math.cos(math.pi * share)) * (peak - floor)
