"""Text as token ids, by split and source."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maquette.data.source import TextSource, encode_split, naming, no_text
from maquette.tokenizers.base import Tokenizer


@dataclass(frozen=True, slots=True)
class Corpus:
    """What a model reads: split -> source -> ids, (N,), and where not all of them are learned a
    byte for each, 1 for what the assistant says."""

    tokenizer: Tokenizer
    tokens: Mapping[str, Mapping[str, NDArray[Any]]]
    masks: Mapping[str, Mapping[str, NDArray[np.uint8]]]


def read_corpus(sources: Mapping[str, TextSource], tokenizer: Tokenizer) -> Corpus:
    """All of some sources' text in memory, two or four bytes a token. Raises DataError."""
    dtype = np.dtype("<u2" if tokenizer.vocabulary <= 1 << 16 else "<u4")
    tokens: dict[str, dict[str, NDArray[Any]]] = {}
    masks: dict[str, dict[str, NDArray[np.uint8]]] = {}
    for name, source in sources.items():
        for split in source.splits():
            ids, learned = [], []
            with naming(name):
                for _, batch, mask in encode_split(source, split, tokenizer):
                    ids.append(batch.astype(dtype))
                    learned.append(mask)
                if not ids:
                    raise no_text(split)
            tokens.setdefault(split, {})[name] = np.concatenate(ids)
            masks.setdefault(split, {})
            if any(learned):
                masks[split][name] = np.frombuffer(b"".join(learned), dtype=np.uint8)
    return Corpus(tokenizer, tokens, masks)
