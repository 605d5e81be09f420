"""Random tokens in place of a prepared text: speed doesn't depend on what they say."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maquette.blueprint.blueprint import Blueprint
from maquette.blueprint.resolve import resolve
from maquette.data.prepare import Prepared
from maquette.facts import DataFacts, SplitFacts
from maquette.spec.schema import Spec
from maquette.tokenizers.bytes import BytesTokenizer


class _WideBytes(BytesTokenizer):
    """Ids beyond the bytes, for a benchmark of large vocabularies."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.vocabulary = vocabulary

    def token_bytes(self) -> NDArray[np.int32]:
        return np.ones(self.vocabulary, dtype=np.int32)

    def decode_bytes(self, ids: Any) -> bytes:
        return bytes(i % 256 for i in ids)


class Synthetic(Prepared):
    """A million random training tokens."""

    def tokens(self, split: str) -> dict[str, NDArray[Any]]:
        count = self.facts.sources["random"][split].tokens
        generator = np.random.default_rng(0)
        return {"random": generator.integers(0, self.facts.vocabulary, count, dtype=np.uint32)}


def synthetic(
    vocabulary: int, *, model: dict[str, Any], train: dict[str, Any]
) -> tuple[Blueprint, Prepared]:
    """A blueprint and data for it."""
    facts = DataFacts(
        vocabulary,
        {
            "random": {
                "train": SplitFacts(1, 1_000_000, 1_000_000),
                "validation": SplitFacts(1, 20_000, 20_000),
            }
        },
    )
    spec = Spec.model_validate({"name": "benchmark", "model": model, "train": train})
    prepared = Synthetic(Path(), _WideBytes(vocabulary), facts, reused=True)
    return resolve(spec, facts), prepared
