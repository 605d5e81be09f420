"""Read a tokenizer.json, whatever kind of tokenizer wrote it."""

import json
from pathlib import Path

from maquette.errors import DataError
from maquette.tokenizers.base import Tokenizer
from maquette.tokenizers.bytes import BytesTokenizer


def load_tokenizer(path: Path) -> Tokenizer:
    """The tokenizer that was saved at `path`. Raises DataError when it can't be read."""
    try:
        text = path.read_text(encoding="utf-8")
        if json.loads(text).get("kind") == BytesTokenizer.kind:
            return BytesTokenizer()
    except OSError as error:
        raise DataError(f"{path}: can't be read: {error.strerror or error}") from error
    except (ValueError, AttributeError) as error:
        raise DataError(f"{path}: is not a tokenizer: {error}") from error
    from maquette.tokenizers.bpe import read_bpe

    return read_bpe(path)
