"""Lower layers that learn more slowly, for fine-tuning."""

import re
from collections.abc import Sequence

_BLOCK = re.compile(r"stages\.(\d+)\.(?:blocks\.(\d+)|downsample)\.")


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
