"""What is served: a language model, or an image classifier."""

from dataclasses import dataclass, field
from typing import Any

from maquette.runs.store import Store
from maquette.serving.classifier import Classifier
from maquette.serving.engine import Engine
from maquette.serving.limits import IMAGE_LIMITS, Limits
from maquette.tokenizers.base import Tokenizer


@dataclass(frozen=True, slots=True)
class Served:
    """A language model: `name` is the model's in the API, `created` in seconds since 1970."""

    name: str
    created: int
    engine: Engine
    tokenizer: Tokenizer
    limits: Limits = field(default_factory=Limits)
    store: Store = field(default_factory=Store)
    """The runs that the page of runs shows."""
    reads_dialogues: bool = True
    """Whether the model has read any, so that it answers and doesn't just go on."""

    @property
    def model(self) -> dict[str, Any]:
        """What /v1/models says of it."""
        return {
            **_model(self.name, self.created, "language"),
            "context_length": self.engine.context,
            "reads_dialogues": self.reads_dialogues,
        }


@dataclass(frozen=True, slots=True)
class ServedClassifier:
    """An image classifier, likewise."""

    name: str
    created: int
    engine: Classifier
    limits: Limits = IMAGE_LIMITS
    store: Store = field(default_factory=Store)

    @property
    def model(self) -> dict[str, Any]:
        """What /v1/models says of it."""
        return {
            **_model(self.name, self.created, "image-classification"),
            "image_size": self.engine.image_size,
            "classes": list(self.engine.classes),
            "max_image_bytes": self.limits.body_bytes,
        }


AnyServed = Served | ServedClassifier


def _model(name: str, created: int, task: str) -> dict[str, Any]:
    head = {"id": name, "object": "model", "created": created, "owned_by": "maquette"}
    return {**head, "task": task}
