"""Every byte is a token: nothing to train, any text, any language."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def to_utf8(text: str) -> bytes:
    """The text in UTF-8; halves of surrogate pairs, which UTF-8 can't hold, become U+FFFD."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()


class BytesTokenizer:
    """The 256 bytes as ids. Byte 0, which text never has, stands between documents."""

    kind = "bytes"
    vocabulary = 256
    end_of_text = 0
    chat_tokens: Mapping[str, int] | None = None  # a transcript is plain text

    def encode(self, text: str) -> NDArray[np.uint32]:
        """The ids of a text's UTF-8 bytes, shape (T,)."""
        return self.encode_bytes(to_utf8(text))

    def encode_bytes(self, data: bytes) -> NDArray[np.uint32]:
        """The ids of any bytes, shape (T,); `decode_bytes` gives them back exactly."""
        return np.frombuffer(data, dtype=np.uint8).astype(np.uint32)

    def encode_batch(self, texts: Sequence[str]) -> list[NDArray[np.uint32]]:
        """The ids of several texts."""
        return [self.encode(text) for text in texts]

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """The exact bytes of some ids, byte 0 included."""
        return bytes(int(i) for i in ids)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of some ids; bytes that aren't UTF-8 become U+FFFD."""
        return self.decode_bytes(ids).decode(errors="replace")

    def token_bytes(self) -> NDArray[np.int32]:
        """How many bytes of text each id stands for, shape (256,): one, but none for byte 0."""
        counts = np.ones(self.vocabulary, dtype=np.int32)
        counts[self.end_of_text] = 0
        return counts

    def save(self, path: Path) -> None:
        """Write `{"kind": "bytes"}`, which is all there is to know."""
        path.write_text(json.dumps({"kind": self.kind}) + "\n", encoding="utf-8")
