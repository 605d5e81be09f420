"""The schema of a language model's spec: what a person may write, every default, unit and bound.

What concerns several keys at once is in `checks.py`.
"""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from maquette.shapes import Mlp, Norm, Position
from maquette.spec.parts import (
    Bytes,
    Count,
    DefaultKind,
    Fraction,
    HubPart,
    Name,
    Part,
    Paths,
    Seconds,
    TrainPart,
)
from maquette.spec.track import Track


class GPTModel(Part):
    """A GPT: token and position embeddings, pre-norm blocks of attention and feed-forward."""

    family: Literal["gpt"] = "gpt"
    """The model family."""
    depth: int = Field(default=6, ge=1, le=256)
    """Blocks, one after another."""
    width: int = Field(default=256, ge=8, le=65536)
    """Channels of the residual stream."""
    heads: int = Field(default=4, ge=1, le=1024)
    """Attention heads; must divide `width`."""
    kv_heads: int | None = Field(default=None, ge=1, le=1024)
    """Key/value heads shared by groups of query heads (grouped-query attention); as `heads`."""
    hidden: int | None = Field(default=None, ge=8, le=1048576)
    """Feed-forward channels; 4 x width, or for swiglu 8/3 x width rounded up to 64."""
    context: int = Field(default=256, ge=2, le=1048576)
    """Tokens that the model sees at once."""
    position: Position = "rope"
    """`learned` position embeddings (GPT-2) or `rope`, rotary ones (Llama)."""
    norm: Norm = "rms"
    """`layer` (LayerNorm) or `rms` (RMSNorm)."""
    mlp: Mlp = "swiglu"
    """Feed-forward: `gelu` (GPT-2), `swiglu` (Llama) or `relu2` (squared ReLU)."""
    qk_norm: bool = False
    """Normalise queries and keys (RMS, per head) before attention: steadier at high rates."""
    bias: bool = False
    """Biases in linear layers and LayerNorm, as in GPT-2."""
    tie_embeddings: bool = True
    """The output layer shares the token embedding's weights."""
    dropout: Fraction = 0.0
    """Chance that an activation is dropped in training; 0.1 to 0.2 for small data."""
    rope_base: float = Field(default=10000.0, gt=1)
    """Base of the rotary frequencies."""
    norm_epsilon: float = Field(default=1e-5, gt=0, le=0.01)
    """Added to the variance in norms."""
    size: Literal["tiny", "small", "medium", "large", "by-depth"] | None = None
    """One word for all dimensions, and for batch, steps and learning rate: 1M, 10M, 124M or 350M
    parameters, or as wide as `depth` suggests. Keys that are given stay as they are."""
    parameters: Count | None = Field(default=None, ge=1000, le=10**12)
    """The same for a number of parameters, such as 10M, hit within 3 %."""
    memory: Bytes | None = Field(default=None, ge=2**20)
    """The most that training may take at its peak, such as 2GiB."""
    latency: Seconds | None = Field(default=None, gt=0, le=3600)
    """The longest that a token may take to generate on this device, such as 20ms."""
    minutes: float | None = Field(default=None, gt=0, le=10**7)
    """How long to train on this device, by its measured rate of matrix products."""


class BytesTokenizer(Part):
    """Every byte is a token: 256 ids, nothing to train, any text."""

    kind: Literal["bytes"] = "bytes"
    """The tokenizer."""


class BPETokenizer(Part):
    """Byte-level byte-pair encoding, trained on the training split alone."""

    kind: Literal["bpe"]
    """The tokenizer."""
    vocabulary: int = Field(default=4096, ge=261, le=1_000_000)
    """Token ids, the 256 bytes and the special tokens among them."""


Tokenizer = Annotated[
    BytesTokenizer | BPETokenizer,
    Field(discriminator="kind"),
    BeforeValidator(DefaultKind("bytes")),
]


class SourcePart(Part):
    """What all sources share."""

    weight: float | None = Field(default=None, gt=0, le=1e9)
    """Share of the windows trained on, in a mixture; all sources have one, or none."""


class StoriesSource(SourcePart):
    """Small English stories made by a built-in generator."""

    kind: Literal["stories"]
    """The source."""
    stories: int = Field(default=20_000, ge=100, le=5_000_000)
    """Training stories; validation and test get a twentieth of it each, none seen in training."""
    seed: int = Field(default=0, ge=0, lt=2**63)
    """Another seed, other stories."""


class FilesSource(SourcePart):
    """Text files: one, many, or globs."""

    kind: Literal["files"]
    """The source."""
    path: Paths
    """A file, a glob such as `texts/**/*.txt`, or a list of them; relative to the spec."""
    separator: str | None = Field(default=None, min_length=1, max_length=1000)
    """Text between documents inside a file, such as `<|endoftext|>`; without it a file is one."""
    validation_path: Paths | None = None
    """Files held out for validation; without it, `validation_fraction` is held out."""
    test_path: Paths | None = None
    """Files of the test split, if there is one."""
    validation_fraction: float = Field(default=0.1, gt=0, lt=0.9)
    """Share held out by document, seeded; of a single document, its last part."""


class WikiTextSource(SourcePart):
    """WikiText-2 or -103 with its published splits."""

    kind: Literal["wikitext"]
    """The source."""
    config: Literal[
        "wikitext-2-v1", "wikitext-2-raw-v1", "wikitext-103-v1", "wikitext-103-raw-v1"
    ] = "wikitext-2-raw-v1"
    """Which one: 2 or 103 million words, raw or with rare words as `<unk>`."""
    path: str | None = None
    """A folder with train, valid and test as .txt or .parquet; else the cache, else the hub."""


class HubSource(HubPart, SourcePart):
    """Any text data set of the Hugging Face hub."""

    kind: Literal["hub"]
    """The source."""
    field: str = Field(default="text", max_length=100)
    """The column that holds the text."""
    streaming: bool = False
    """Read over the network while preparing instead of downloading first."""
    max_documents: int | None = Field(default=None, ge=1)
    """Stop after so many documents of each split."""
    validation_fraction: float = Field(default=0.01, gt=0, lt=0.9)
    """Share of documents held out where the data set has no validation split."""


class NotesSource(SourcePart):
    """A folder of Markdown notes (Obsidian, Logseq, Roam, plain), one document a file."""

    kind: Literal["notes"]
    """The source."""
    path: str = Field(min_length=1)
    """The folder; its .md files are read, those in folders below it too, hidden ones not."""
    clean: bool = True
    """Read links, outlines, properties and the like as plain text; false keeps the raw Markdown."""
    validation_fraction: float = Field(default=0.1, gt=0, lt=0.9)
    """Share of the files held out, chosen by their paths: adding or editing notes moves none."""


class DialoguesSource(SourcePart):
    """Dialogues of system, user and assistant."""

    kind: Literal["dialogues"]
    """The source."""
    path: Paths | None = None
    """A file, a glob or a list of them, `<dialogue>` blocks or JSONL; null: the built-in primer."""
    validation_path: Paths | None = None
    """Files held out for validation; without it, `validation_fraction` is held out."""
    test_path: Paths | None = None
    """Files of the test split, if there is one."""
    validation_fraction: float = Field(default=0.1, gt=0, lt=0.9)
    """Share of the dialogues held out, chosen by what they say."""


Source = Annotated[
    StoriesSource | FilesSource | WikiTextSource | HubSource | NotesSource | DialoguesSource,
    Field(discriminator="kind"),
]


def _stories() -> dict[str, Source]:
    return {"stories": StoriesSource(kind="stories")}


class Data(Part):
    """What the model reads."""

    sources: dict[Name, Source] = Field(default_factory=_stories, min_length=1, max_length=64)
    """Named sources; an epoch reads every window of every source once."""


class Evaluation(Part):
    """Validation during training, on the same windows every time."""

    every: int | None = Field(default=None, ge=1)
    """Steps between evaluations; a twentieth of the run."""
    windows: int = Field(default=128, ge=1)
    """Windows of the validation split, spread evenly; all of them when there are fewer."""
    patience: int | None = Field(default=None, ge=1)
    """Stop after so many evaluations in a row without a better loss."""


class Sampling(Part):
    """Text written by the model during training."""

    every: int | None = Field(default=None, ge=1)
    """Steps between samples; a fifth of the run."""
    prompt: str = Field(default="", max_length=10_000)
    """What the model continues; empty: the start of a document."""
    max_new_tokens: int = Field(default=200, ge=1, le=100_000)
    """Tokens to write."""
    temperature: float = Field(default=0.8, ge=0, le=10)
    """0 takes the likeliest token every time; higher is more daring."""
    top_k: int | None = Field(default=None, ge=1)
    """Draw only from the k likeliest tokens."""


class Train(TrainPart):
    """How the model learns."""

    objective: Literal["text", "chat"] = "text"
    """What counts: every token, or only what the assistant says in sources of dialogues."""
    evaluate: Evaluation = Evaluation()
    """Validation during training."""
    sample: Sampling = Sampling()
    """Text written during training."""


class Spec(Part):
    """A whole spec."""

    name: Name = "untitled"
    """Begins the run's id: lower case letters, digits, hyphens."""
    task: Literal["language"] = "language"
    """What the model does."""
    seed: int = Field(default=0, ge=0, lt=2**63)
    """Fixes weights, order of data, dropout and samples."""
    model: GPTModel = GPTModel()
    """The model."""
    tokenizer: Tokenizer = BytesTokenizer()
    """How text becomes numbers."""
    data: Data = Data()
    """What the model reads."""
    train: Train = Train()
    """How it learns."""
    track: Track = Field(default_factory=list)
    """Where its curves go besides its own files: tensorboard, trackio, wandb, or a list of them."""
