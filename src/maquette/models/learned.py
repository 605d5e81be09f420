"""Learned positions: a vector for each place in the context, as in GPT-2."""

from torch import Tensor, nn


class LearnedPositions(nn.Embedding):
    """Tells a model where tokens stand, by what is added to their embeddings."""

    def forward(self, x: Tensor, where: slice | Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        """Embeddings (B, T, C) with their places' vectors, and nothing for attention.

        `where` the tokens stand: a slice of positions, or those of each sequence, (B, T).
        """
        return x + self.weight[where], None
