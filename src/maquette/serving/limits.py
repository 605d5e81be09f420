"""What a client may ask for at most. Standard library only."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Every bound of the server."""

    body_bytes: int = 1 << 20
    bodies_bytes: int = 256 << 20
    """Of all requests that aren't answered yet; whoever comes then is told 429."""
    characters: int = 200_000
    """Of a request's whole text, before it is tokenized."""
    messages: int = 512
    choices: int = 8
    """Of one request: prompts times `n`."""
    tokens: int = 8192
    """To be written for one choice."""
    stops: int = 4
    stop_characters: int = 200
    alternatives: int = 20
    slots: int = 16
    """Choices that are written at once."""
    queue: int = 32
    """Choices, or images, that wait for their turn; whoever comes then is told 429."""
    header_seconds: float = 15.0
    """For a request's headers to arrive, on a connection that has been opened."""
    body_seconds: float = 30.0
    """For a request's body to arrive."""
    answer_seconds: float = 600.0
    """For the whole answer, waiting included."""
    drain_seconds: int = 10
    """For answers to be finished after SIGTERM."""
    connections: int = 256


IMAGE_LIMITS = Limits(body_bytes=20 << 20, answer_seconds=60.0)
"""Where bodies are image files. How many pixels are too many, `data.image.decoding` says."""
