"""Where a run's curves go besides its own files."""

from typing import Literal

Tracker = Literal["tensorboard", "trackio", "wandb"]
Track = Tracker | list[Tracker]
