"""A language model to train: the model, its batches, what it is judged by, and samples of it."""

import contextlib
from pathlib import Path

import torch
from torch import Tensor, nn

from maquette.blueprint.blueprint import Blueprint, Mixture
from maquette.build.language import LanguageTask
from maquette.data.prepare import Prepared
from maquette.events import Evaluated, Sampled
from maquette.facts import bytes_per_word
from maquette.generation.sampling import SamplingOptions
from maquette.models.gpt import GPT
from maquette.training.checkpoint import load_weights


class TextTask:
    """A blueprint's model, and its task."""

    def __init__(
        self,
        blueprint: Blueprint,
        prepared: Prepared,
        *,
        device: torch.device,
        autocast: contextlib.AbstractContextManager[object],
    ) -> None:
        """The model's first weights are drawn from the global generator."""
        self._blueprint = blueprint
        self.model: nn.Module = GPT(blueprint.shape).to(device)
        plan = blueprint.train
        self._task = LanguageTask(
            prepared.corpus,
            context=blueprint.shape.context,
            batch_size=plan.batch_size,
            seed=blueprint.seed,
            shares=plan.mixture.shares if plan.mixture else None,
            answers_only=plan.objective == "chat",
            evaluate_windows=plan.evaluate_windows,
            evaluate_batch=max(1, plan.batch_size // plan.accumulation),
            bytes_per_word=bytes_per_word(blueprint.facts, "validation"),
            prompt=plan.sample_prompt,
            sample_tokens=plan.sample_tokens,
            sampling=SamplingOptions(plan.sample_temperature, top_k=plan.sample_top_k),
            device=device,
            autocast=autocast,
        )
        self.batches = self._task.batches

    def batch(self, k: int) -> tuple[Tensor, Tensor]:
        """Inputs and targets of step k + 1, int64 (B, T)."""
        return self._task.batch(k)

    def begin_from(self, weights: Path) -> list[str]:
        """Take the weights in a checkpoint's folder. Raises CheckpointError."""
        load_weights(weights, self.model, shorter=True)
        return []

    def notes(self) -> list[str]:
        """What was decided for this training that its spec doesn't say."""
        mixture = self._blueprint.train.mixture
        whole = mixture is None or abs(mixture.given_total - 1) < 1e-9
        return [] if mixture is None or whole else [normalised(mixture)]

    def evaluate(self, model: nn.Module, step: int) -> Evaluated:
        """Losses over the fixed validation windows of each source."""
        return self._task.evaluate(model, step)

    def sample(self, model: nn.Module, step: int) -> Sampled:
        """The spec's prompt and what the model writes after it, from the same draws each time."""
        return self._task.sample(model, step)


def normalised(mixture: Mixture) -> str:
    """What became of weights that don't add up to 1, in words."""
    shares = ", ".join(f"{name} {share:.1%}" for name, share in mixture.shares.items())
    return f"the weights add up to {mixture.given_total:g}, and are taken as shares: {shares}"
