"""The standalone project of a language model."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from maquette.blueprint.blueprint import Blueprint
from maquette.codegen.description import (
    CodeFile,
    Description,
    common_values,
    training_values,
)
from maquette.facts import bytes_per_word
from maquette.spec.schema import DialoguesSource, HubSource, Source, Spec, WikiTextSource

# Kind of source -> the module and class that reads it, and whether it chooses documents by a seed.
READERS = {
    "stories": ("data.text.stories", "Stories", False),
    "files": ("data.text.files", "Files", True),
    "notes": ("data.text.notes", "Notes", True),
    "dialogues": ("data.text.dialogues", "Dialogues", True),
    "wikitext": ("data.text.wikitext", "WikiText", False),
    "hub": ("data.text.files", "Files", True),
}

CODE = (
    CodeFile("errors.py", ("errors",)),
    CodeFile("device.py", ("training.device",)),
    CodeFile("model.py", ("models", "shapes", "training.weights")),
    CodeFile(
        "text.py",
        (
            "tokenizers",
            "data.encoding",
            "data.source",
            "data.text.files",
            "data.text.holdout",
            "data.text.piece",
            "data.text.reading",
        ),
    ),
)
STORIES = CodeFile(
    "stories.py",
    (
        "data.text.stories",
        "data.text.stories_animals",
        "data.text.stories_home",
        "data.text.stories_outdoors",
        "data.text.stories_sums",
        "data.text.stories_words",
    ),
)
NOTES = CodeFile("notes.py", ("data.text.notes", "data.text.cleaning"))
WIKITEXT = CodeFile("wikitext.py", ("data.text.wikitext",))
DIALOGUES = CodeFile("dialogues.py", ("data.text.dialogues", "data.turns", "tokenizers.chat"))
REST = (
    CodeFile("data.py", ("data",)),
    CodeFile("eval.py", ("training.evaluate",)),
    CodeFile("generate.py", ("generation",)),
    CodeFile("train.py", ("training", "build", "blueprint", "events")),
    CodeFile("tests/test_project.py"),
)


def text_project(
    spec: Spec, blueprint: Blueprint, *, has_weights: bool = False, result: float | None = None
) -> Description:
    """The project of a spec without a budget, whose blueprint this is.

    `has_weights` and `result`, a validation loss, are for a run's.
    """
    kinds = {source.kind for source in spec.data.sources.values()}
    further = {"notes": NOTES, "dialogues": DIALOGUES, "wikitext": WIKITEXT}
    first = CODE if kinds == {"dialogues"} else (*CODE, STORIES)
    code = (*first, *(file for kind, file in further.items() if kind in kinds), *REST)
    shape = blueprint.shape
    return Description(
        folder="text",
        code=code,
        choices={
            "maquette.models.feedforward.BENDS": {shape.mlp},
            "maquette.models.norm.NORMS": {shape.norm},
            "maquette.models.loss.LOSSES": {shape.vocabulary > 4 * shape.width},
            "maquette.models.positions.POSITIONS": {shape.position},
            "maquette.models.positions.ROTATIONS": {shape.position},
            "maquette.data.text.wikitext.LINES": {"text"},
        },
        prose=("README.md", "model_card.md"),
        values={
            **common_values(blueprint),
            **training_values(spec.train, blueprint.train),
            **_model_values(blueprint),
            **_data_values(spec),
            **_training_values(blueprint),
            "has_weights": has_weights,
            "result": None if result is None else f"{result:.4f}",
        },
    )


def _model_values(blueprint: Blueprint) -> dict[str, Any]:
    shape = blueprint.shape
    return {
        "shape": [(f.name, getattr(shape, f.name)) for f in dataclasses.fields(shape)],
        "depth": str(shape.depth),
        "width": str(shape.width),
        "heads": str(shape.heads),
        "context": str(shape.context),
        "vocabulary": shape.vocabulary,
        "vocabulary_text": f"{shape.vocabulary:,}",
        "tokenizer": blueprint.tokenizer,
        "bpe": blueprint.tokenizer == "bpe",
        "tokenizers": blueprint.tokenizer == "bpe",
        "pillow": False,
    }


def _data_values(spec: Spec) -> dict[str, Any]:
    sources = spec.data.sources
    kinds = sorted({source.kind for source in sources.values()})
    return {
        "sources": [_source(name, source) for name, source in sources.items()],
        "imports": sorted({READERS[kind][:2] for kind in kinds}),
        "source_kinds": ", ".join(kinds),
        "text_is_here": all(
            source.kind == "stories" or (isinstance(source, DialoguesSource) and not source.path)
            for source in sources.values()
        ),
        "dialogues_only": kinds == ["dialogues"],
        "needs_text": bool({"wikitext", "hub"} & {*kinds}),
    }


def _source(name: str, source: Source) -> Mapping[str, Any]:
    _, reader, seeded = READERS[source.kind]
    written = source.model_dump(exclude={"kind", "weight"}, exclude_none=True)
    if isinstance(source, WikiTextSource):
        written.setdefault("path", source.config)
    elif isinstance(source, HubSource):  # what reads it isn't in the project
        fraction = source.validation_fraction
        written = {"path": f"data/{name}/**/*.txt", "validation_fraction": fraction}
    return {"name": name, "made_by": reader, "seeded": seeded, "arguments": list(written.items())}


def _training_values(blueprint: Blueprint) -> dict[str, Any]:
    plan = blueprint.train
    return {
        "tokens": f"{plan.tokens:,}",
        "shares": list(plan.mixture.shares.items()) if plan.mixture else [],
        "answers_only": plan.objective == "chat",
        "evaluate_windows": plan.evaluate_windows,
        "sample_every": plan.sample_every,
        "bytes_per_word": bytes_per_word(blueprint.facts, "validation"),
        "prompt": plan.sample_prompt,
        "sample_tokens": plan.sample_tokens,
        "temperature": plan.sample_temperature,
        "top_k": plan.sample_top_k,
        "layer_decay": None,
    }
