"""The learning rate over a run, as a share of its peak."""

import math
from typing import Literal


def learning_rate_factor(
    step: int,
    *,
    kind: Literal["cosine", "linear", "constant", "wsd"],
    steps: int,
    warmup_steps: int,
    decay_steps: int,
    final_fraction: float,
) -> float:
    """The factor for step 1 ... steps: a linear warmup, a plateau, then a fall to the last share.

    Warmup reaches 1 at step `warmup_steps`. The fall takes the last `decay_steps` steps, along
    half a cosine wave (Loshchilov & Hutter 2017, arXiv:1608.03983) or a straight line; `wsd` is a
    straight line after a long plateau (Hu et al. 2024, arXiv:2404.06395).
    """
    if step <= warmup_steps:
        return step / warmup_steps
    left = steps - step
    if kind == "constant" or left >= decay_steps:
        return 1.0
    done = 1 - max(0, left) / decay_steps
    fall = 0.5 * (1 + math.cos(math.pi * done)) if kind == "cosine" else 1 - done
    return final_fraction + (1 - final_fraction) * fall
