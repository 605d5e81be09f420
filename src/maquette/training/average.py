"""A moving average of the weights (Polyak & Juditsky 1992, doi:10.1137/0330046)."""

from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


def follow(model: nn.Module, decay: float) -> AveragedModel | None:
    """A copy of the model that follows it, keeping the share `decay` each step; none without."""
    if not decay:
        return None
    average = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
    return AveragedModel(model, multi_avg_fn=average)
